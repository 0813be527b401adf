/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX, for TCG: what the processor and the TDX module have in common
 *
 * On hardware the module is software that executes in SEAM root mode, with VMX
 * as its means.  Here it is C, in hw/i386/tdx-*.c: it has the state of TDs and
 * decides.  target/i386/tcg/system/tdx_*.c is the processor below it: it
 * executes TDs, translates what they access, and delivers events to them.
 *
 * Sources: Intel TDX CPU Architectural Extensions (343754), Intel TDX Module
 * ABI Specification (348551), SDM volume 3.
 */
#ifndef HW_I386_TDX_MODULE_H
#define HW_I386_TDX_MODULE_H

#include "exec/hwaddr.h"
#include "cpu.h"
#include "hw/i386/x86.h"

/*
 * Key ids: 0 is the platform's, then those of MKTME, which the host may use,
 * then the private ones.  MSR_IA32_MKTME_KEYID_PARTITIONING counts both.
 */
#define TDX_NR_MKTME_KEYIDS     0
#define TDX_FIRST_PRIVATE_KEYID (TDX_NR_MKTME_KEYIDS + 1)
#define TDX_LAST_KEYID          (TDX_NR_MKTME_KEYIDS + TDX_NR_PRIVATE_KEYIDS)

/* Basic exit reasons of VMX that a TD can have (SDM, appendix C) */
typedef enum TdxReason {
    TDX_REASON_EXCEPTION_NMI = 0,
    TDX_REASON_EXTERNAL_INTERRUPT = 1,
    TDX_REASON_TRIPLE_FAULT = 2,
    TDX_REASON_INIT = 3,
    TDX_REASON_SIPI = 4,
    TDX_REASON_OTHER_SMI = 6,
    TDX_REASON_INTERRUPT_WINDOW = 7,
    TDX_REASON_NMI_WINDOW = 8,
    TDX_REASON_TASK_SWITCH = 9,
    TDX_REASON_CPUID = 10,
    TDX_REASON_HLT = 12,
    TDX_REASON_INVD = 13,
    TDX_REASON_RDPMC = 15,
    TDX_REASON_VMCALL = 18,
    TDX_REASON_CR_ACCESS = 28,
    TDX_REASON_IO = 30,
    TDX_REASON_RDMSR = 31,
    TDX_REASON_WRMSR = 32,
    TDX_REASON_MWAIT = 36,
    TDX_REASON_MONITOR = 39,
    TDX_REASON_APIC_ACCESS = 44,
    TDX_REASON_VIRTUALIZED_EOI = 45,
    TDX_REASON_EPT_VIOLATION = 48,
    TDX_REASON_EPT_MISCONFIG = 49,
    TDX_REASON_WBINVD = 54,
    TDX_REASON_APIC_WRITE = 56,
    TDX_REASON_BUS_LOCK = 74,
    TDX_REASON_NOTIFY = 75,
    TDX_REASON_TDCALL = 77,
} TdxReason;

/* Exit qualification of EPT violations (SDM, table "Exit Qualification") */
#define TDX_EPT_READ            (1u << 0)
#define TDX_EPT_WRITE           (1u << 1)
#define TDX_EPT_EXEC            (1u << 2)
#define TDX_EPT_GLA_VALID       (1u << 7)
#define TDX_EPT_GLA_TRANSLATED  (1u << 8)

/* Extended exit qualification of EPT violations, bits 3:0 */
#define TDX_EXT_QUAL_NONE       0
#define TDX_EXT_QUAL_ACCEPT     1
#define TDX_EXT_QUAL_GPA_DETAILS 2
#define TDX_EXT_QUAL_TD_ENTRY_MD_CHECK 5
#define TDX_EXT_QUAL_PENDING_EPT_VIOLATION 6

/* What a TD did that is not the processor's alone to handle */
typedef struct TdxEvent {
    TdxReason reason;
    uint64_t qualification;
    uint64_t ext_qualification;
    uint64_t gpa;
    uint64_t gla;
    uint32_t intr_info;         /* VM-exit interruption information */
    uint32_t insn_len;          /* filled in by the processor */
} TdxEvent;

/* What becomes of it */
typedef enum TdxAction {
    TDX_DONE,                   /* nothing more: the instruction completes */
    TDX_NATIVE,                 /* as the processor does it without TDX */
    TDX_EXIT,                   /* TD exit with the event; RIP stays */
    TDX_EXIT_AFTER,             /* the same, with RIP after the instruction */
    TDX_VE,                     /* #VE with the event */
    TDX_GP,                     /* #GP(0) */
    TDX_UD,                     /* #UD */
} TdxAction;

/* The information of a #VE, of which there is one at a time */
typedef struct TdxVeInfo {
    bool valid;
    uint32_t reason;
    uint64_t qualification;
    uint64_t gla;
    uint64_t gpa;
    uint32_t insn_len;
    uint32_t insn_info;
} TdxVeInfo;

/* What the processor has of a vCPU that is not executing. */
typedef struct TdxCpuState {
    uint64_t regs[CPU_NB_REGS];
    uint64_t rip;
    uint64_t rflags;
    uint32_t hflags;            /* what of it is state of the architecture */
    uint32_t hflags2;
    SegmentCache segs[6], ldt, tr, gdt, idt;
    uint64_t cr0, cr2, cr3, cr4, cr8;
    uint64_t pdptrs[4];
    uint64_t dr[8];
    uint64_t efer;
    uint64_t star, lstar, cstar, fmask, kernelgsbase;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat;
    uint64_t tsc_aux;
    uint64_t tsc_deadline;
    uint64_t debugctl;
    uint64_t spec_ctrl;
    uint64_t misc_enable;
    uint64_t xfd, xfd_err;
    uint64_t xss;
    uint64_t xcr0;
    uint32_t pkru, pkrs;
    /* Extended state */
    uint32_t fpstt;
    uint16_t fpus, fpuc, fpop, fpcs, fpds;
    uint64_t fpip, fpdp;
    uint8_t fptags[8];
    FPReg fpregs[8];
    uint32_t mxcsr;
    ZMMReg xmm[32] QEMU_ALIGNED(16);
    uint64_t opmask[NB_OPMASK_REGS];
} TdxCpuState;

/*
 * A vCPU of a TD as the processor knows it.  The module's own struct contains
 * it.
 */
typedef struct TdxVcpu {
    /* Set by the module while the vCPU does not execute */
    uint64_t shared_eptp;
    uint64_t pi_desc;           /* posted-interrupt descriptor */
    uint16_t pi_vector;         /* notification vector */
    uint32_t pin_ctls;          /* pin-based controls that VP.WR may change */
    uint8_t shared_bit;         /* of a GPA: 47 or 51 */
    uint8_t ept_levels;         /* 4 or 5 */
    uint16_t hkid;
    uint64_t xfam;
    uint64_t attributes;
    uint64_t tsc_offset;
    uint64_t tsc_multiplier;    /* 48 bits of fraction */
    bool pend_nmi;              /* an NMI to be injected; cleared by that */

    /* The processor's; the module may read it, and change it if idle */
    TdxCpuState state;
    TdxVeInfo ve;
    uint8_t vapic[4096];        /* virtual APIC page */

    /* The processor's alone */
    TdxCpuState host;           /* while the vCPU executes */
    TdxEvent exit;              /* the exit that is under way */
    uint32_t exit_xmm;          /* XMM registers that it hands over */
    TdxAction fault_action;     /* of the last GPA that did not translate */
    TdxEvent fault;
    /* An event that is being delivered: if the vCPU exits, once more */
    struct {
        bool valid;
        bool is_hw;
        int vector;
        int error_code;
    } pending;
} TdxVcpu;

/* A translation of a private GPA */
typedef struct TdxTranslation {
    hwaddr pa;                  /* without key id, of the byte asked for */
    uint64_t page_size;
    int prot;                   /* PAGE_READ, PAGE_WRITE, PAGE_EXEC */
} TdxTranslation;

/*
 * The module, called by the processor
 *
 * It runs in the thread of a CPU that executes, without the BQL.  A leaf that
 * finds an object taken by another CPU says OPERAND_BUSY and does not wait:
 * whoever has it may be waiting for all CPUs to stop.
 */

/* Whether this machine has SEAM; set from the CPU's feature at start. */
bool tdx_present(void);
void tdx_module_init(X86MachineState *x86ms);
void tdx_module_reset(void);

/* Unless 0, leaves fail now and then, see tdx-fault.c. */
#define X86_MACHINE_TDX_FAULT_SEED  "tdx-fault-seed"
extern uint64_t tdx_fault_seed;

/*
 * SEAMCALL, with the leaf in RAX; RIP and RFLAGS are already those after it.
 * The results are in the registers, unless tdx_cpu_enter() was called: that is
 * then the last thing that was done.
 */
void tdx_seamcall(X86CPU *cpu);

/* TDCALL of the vCPU that executes; what it becomes, TDX_DONE or another. */
TdxAction tdx_tdcall(X86CPU *cpu, TdxVcpu *vcpu, TdxEvent *event);

/*
 * Translate an access of the TD to a GPA whose shared bit is clear.  @need is
 * PAGE_READ, PAGE_WRITE, or PAGE_EXEC, or several.  TDX_DONE, or TDX_EXIT or
 * TDX_VE with @event, whose reason, ext_qualification and bits 5:3 of
 * qualification are set: the processor adds the rest.
 */
TdxAction tdx_translate_private(TdxVcpu *vcpu, uint64_t gpa, int need,
                                TdxTranslation *out, TdxEvent *event);

/* CPUID of a TD: TDX_DONE with @regs (EAX, EBX, ECX, EDX), or TDX_VE. */
TdxAction tdx_cpuid(X86CPU *cpu, TdxVcpu *vcpu, uint32_t leaf, uint32_t subleaf,
                    uint32_t regs[4]);

/* MSRs of a TD; x2APIC's that the processor has virtualised are not asked. */
TdxAction tdx_rdmsr(X86CPU *cpu, TdxVcpu *vcpu, uint32_t msr, uint64_t *val);
TdxAction tdx_wrmsr(X86CPU *cpu, TdxVcpu *vcpu, uint32_t msr, uint64_t val);

/* What XSETBV may set, and which bits of CR0 and CR4 a TD cannot change. */
bool tdx_xcr0_valid(const TdxVcpu *vcpu, uint64_t val);
bool tdx_cr0_valid(const TdxVcpu *vcpu, uint64_t val);
bool tdx_cr4_valid(const TdxVcpu *vcpu, uint64_t val);

/*
 * A TD exit: @vcpu->state is saved.  Set the host's registers @regs, all but
 * RSP, and end what TDH.VP.ENTER began.
 */
void tdx_vcpu_exited(X86CPU *cpu, TdxVcpu *vcpu, const TdxEvent *event,
                     target_ulong regs[CPU_NB_REGS]);

/*
 * The processor, called by the module
 */

/*
 * The state after TDH.VP.INIT (ABI specification, "Initial State of Guest
 * GPRs"): @rcx is its operand.
 */
void tdx_vcpu_init(TdxVcpu *vcpu, uint64_t rcx, uint32_t index,
                   uint32_t cpuid_1_eax);

/*
 * TD entry: the CPU goes on as @vcpu, which nothing else may use until
 * tdx_vcpu_exited().  @xmm: the registers that the host hands over after a
 * TDG.VP.VMCALL, a bit for each of XMM0 to XMM15.  No translation survives an
 * entry or an exit.
 */
void tdx_cpu_enter(X86CPU *cpu, TdxVcpu *vcpu, uint32_t xmm);

/* A CPU is reset: if it executes a TD, it exits. */
void tdx_cpu_reset(X86CPU *cpu);

/* The XMM registers that a TDG.VP.VMCALL hands over, for TDX_EXIT_AFTER */
void tdx_cpu_pass_xmm(X86CPU *cpu, uint32_t xmm);

/* Whether the vCPU has a virtual interrupt pending that its PPR allows. */
bool tdx_vcpu_intr_pending(const TdxVcpu *vcpu);

/*
 * Memory and keys (hw/i386/tdx-memory.c)
 *
 * A page that has been taken for a key id is the TD's, or the module's.  The
 * host that touches it takes a machine check; what a device reads is
 * ciphertext.  Addresses are without key id.  All of them may stop all CPUs for
 * a moment, so that no lock may be held that another CPU waits for.
 */
void tdx_memory_init(X86MachineState *x86ms);
void tdx_memory_reset(void);
bool tdx_memory_is_ram(hwaddr pa, uint64_t len);
void tdx_memory_set_key(unsigned hkid, const uint8_t key[16]);
void tdx_memory_drop_key(unsigned hkid);
void tdx_memory_take(hwaddr pa, unsigned hkid);
void tdx_memory_release(hwaddr pa);
/* The key id that the page is taken for, 0: the host's */
unsigned tdx_memory_owner(hwaddr pa);
/* False if not all of it is RAM. @hkid 0: the host's memory. */
bool tdx_memory_read(hwaddr pa, unsigned hkid, void *buf, size_t len);
bool tdx_memory_write(hwaddr pa, unsigned hkid, const void *buf, size_t len);

/*
 * Each CPU must have written its cache back before a key id gets another key:
 * WBINVD, or TDH.PHYMEM.CACHE.WB.
 */
void tdx_memory_wbinvd(X86CPU *cpu);

#endif
