/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions of TDs, and events for them
 *
 * Source: Intel TDX Module Base Architecture Specification, "Instructions
 * Handling" and "Virtualization Exception (#VE)".
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "exec/cpu_ldst.h"
#include "exec/helper-proto.h"
#include "hw/i386/tdx-module.h"
#include "tcg/helper-tcg.h"
#include "tdx.h"
#include "target/i386/trace.h"

#define P_SEAMLDR_LEAF      (1ULL << 63)

/* Qualification of an exit for IN, OUT, INS and OUTS, beside SVM's bits */
#define TDX_IO_IN           (1u << 3)
#define TDX_IO_STRING       (1u << 4)
#define TDX_IO_REP          (1u << 5)
#define TDX_IO_IMMEDIATE    (1u << 6)
#define TDX_IO_PORT_SHIFT   16

/* A second one before the TD has read the first is a double fault. */
G_NORETURN void tdx_raise_ve(CPUX86State *env, const TdxEvent *event,
                             uintptr_t ra)
{
    TdxVeInfo *ve = &env->tdx_vcpu->ve;

    cpu_restore_state(env_cpu(env), ra);
    trace_tdx_ve(env_cpu(env)->cpu_index, env->eip, event->reason,
                 event->qualification, event->gpa);
    if (ve->valid) {
        raise_exception_err(env, EXCP08_DBLE, 0);
    }
    *ve = (TdxVeInfo) {
        .valid = true,
        .reason = event->reason,
        .qualification = event->qualification,
        .gla = event->gla,
        .gpa = event->gpa,
        .insn_len = event->reason == TDX_REASON_EPT_VIOLATION ? 0 :
                    env->insn_len,
    };
    raise_exception(env, EXCP14_VE);
}

static G_NORETURN void tdx_raise_ve_reason(CPUX86State *env, TdxReason reason,
                                           uintptr_t ra)
{
    const TdxEvent event = { .reason = reason };

    tdx_raise_ve(env, &event, ra);
}

static G_NORETURN void tdx_exit_reason(CPUX86State *env, TdxReason reason,
                                       uint32_t intr_info, uintptr_t ra)
{
    const TdxEvent event = { .reason = reason, .intr_info = intr_info };

    tdx_exit(env, &event, ra);
}

/* What the module has decided; returns if the processor is to go on. */
static bool tdx_act(CPUX86State *env, TdxAction action, TdxEvent *event,
                    uintptr_t ra)
{
    switch (action) {
    case TDX_NATIVE:
        return false;
    case TDX_DONE:
        return true;
    case TDX_EXIT_AFTER:
        do_complete_instruction(env, ra);
        tdx_exit(env, event, 0);
    case TDX_EXIT:
        tdx_exit(env, event, ra);
    case TDX_VE:
        tdx_raise_ve(env, event, ra);
    case TDX_GP:
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    case TDX_UD:
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    default:
        g_assert_not_reached();
    }
}

void helper_seamcall(CPUX86State *env, uint32_t insn_len)
{
    uintptr_t ra = GETPC();

    if (!env_archcpu(env)->tdx) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
    vmx_check_root(env, ra);
    env->eip += insn_len;
    do_end_instruction(env);
    CC_OP = CC_OP_EFLAGS;
    CC_SRC = 0;
    if ((env->regs[R_EAX] & P_SEAMLDR_LEAF) || !tdx_present()) {
        /* There is no P-SEAMLDR, or no module: VMfailInvalid. */
        CC_SRC = CC_C;
        return;
    }
    tdx_seamcall(env_archcpu(env));
}

void helper_tdcall(CPUX86State *env, uint32_t insn_len)
{
    uintptr_t ra = GETPC();
    TdxVcpu *vcpu = env->tdx_vcpu;
    TdxEvent event = { };
    TdxAction action;

    if (!vcpu) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
    if (env->hflags & HF_CPL_MASK) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    env->insn_len = insn_len;
    action = tdx_tdcall(env_archcpu(env), vcpu, &event);
    if (!tdx_act(env, action, &event, ra)) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
    env->eip += insn_len;
    do_end_instruction(env);
    tdx_evaluate_interrupts(env);
}

void tdx_vmcall(CPUX86State *env, uintptr_t ra)
{
    tdx_raise_ve_reason(env, TDX_REASON_VMCALL, ra);
}

void tdx_triple_fault(CPUX86State *env, uintptr_t ra)
{
    tdx_exit_reason(env, TDX_REASON_TRIPLE_FAULT, 0, ra);
}

/* With the BQL */
void tdx_machine_check(CPUX86State *env)
{
    tdx_exit_reason(env, TDX_REASON_EXCEPTION_NMI,
                    tdx_intr_info(TDX_INTR_TYPE_HW_EXCEPTION, EXCP12_MCHK), 0);
}

static void tdx_check_xsetbv(CPUX86State *env, uintptr_t ra)
{
    uint64_t val = (uint64_t)(uint32_t)env->regs[R_EDX] << 32 |
                   (uint32_t)env->regs[R_EAX];

    if (!(env->hflags & HF_CPL_MASK) && !(uint32_t)env->regs[R_ECX] &&
        !tdx_xcr0_valid(env->tdx_vcpu, val)) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
}

void tdx_intercept(CPUX86State *env, uint32_t type, uintptr_t ra)
{
    switch (type) {
    case SVM_EXIT_NMI:
        env_cpu(env)->interrupt_request &= ~CPU_INTERRUPT_NMI;
        tdx_exit_reason(env, TDX_REASON_EXCEPTION_NMI,
                        tdx_intr_info(TDX_INTR_TYPE_NMI, EXCP02_NMI), ra);
    case SVM_EXIT_SMI:
        tdx_exit_reason(env, TDX_REASON_OTHER_SMI, 0, ra);
    case SVM_EXIT_INIT:
        tdx_exit_reason(env, TDX_REASON_INIT, 0, ra);
    case SVM_EXIT_HLT:
        tdx_raise_ve_reason(env, TDX_REASON_HLT, ra);
    case SVM_EXIT_INVD:
        tdx_raise_ve_reason(env, TDX_REASON_INVD, ra);
    case SVM_EXIT_WBINVD:
        tdx_raise_ve_reason(env, TDX_REASON_WBINVD, ra);
    case SVM_EXIT_RDPMC:
        tdx_raise_ve_reason(env, TDX_REASON_RDPMC, ra);
    case SVM_EXIT_MONITOR:
        tdx_raise_ve_reason(env, TDX_REASON_MONITOR, ra);
    case SVM_EXIT_MWAIT:
        tdx_raise_ve_reason(env, TDX_REASON_MWAIT, ra);
    case SVM_EXIT_XSETBV:
        tdx_check_xsetbv(env, ra);
        break;
    default:
        break;
    }
}

/* The port is an immediate: the opcode is the last byte but one. */
static bool tdx_io_is_immediate(CPUX86State *env)
{
    target_ulong pc = env->segs[R_CS].base + env->eip + env->insn_len - 2;

    if (!(env->hflags & HF_CS64_MASK)) {
        pc = (uint32_t)pc;
    }
    return env->insn_len >= 2 && (cpu_ldub_code(env, pc) & ~3) == 0xe4;
}

void tdx_intercept_io(CPUX86State *env, uint32_t port, uint32_t param,
                      uintptr_t ra)
{
    uint32_t size = (param & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT;
    TdxEvent event = { .reason = TDX_REASON_IO };

    cpu_restore_state(env_cpu(env), ra);
    event.qualification = (size - 1) |
        (param & SVM_IOIO_TYPE_MASK ? TDX_IO_IN : 0) |
        (param & SVM_IOIO_STR_MASK ? TDX_IO_STRING : 0) |
        (param & SVM_IOIO_REP_MASK ? TDX_IO_REP : 0) |
        (tdx_io_is_immediate(env) ? TDX_IO_IMMEDIATE : 0) |
        port << TDX_IO_PORT_SHIFT;
    tdx_raise_ve(env, &event, 0);
}

void tdx_td_cpuid(CPUX86State *env, uintptr_t ra)
{
    TdxEvent event = { .reason = TDX_REASON_CPUID };
    uint32_t regs[4] = { };
    TdxAction action = tdx_cpuid(env_archcpu(env), env->tdx_vcpu,
                                 env->regs[R_EAX], env->regs[R_ECX], regs);

    tdx_act(env, action, &event, ra);
    env->regs[R_EAX] = regs[0];
    env->regs[R_EBX] = regs[1];
    env->regs[R_ECX] = regs[2];
    env->regs[R_EDX] = regs[3];
}

bool tdx_td_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *val, uintptr_t ra)
{
    TdxEvent event = { .reason = TDX_REASON_RDMSR };

    if (tdx_apic_rdmsr(env, msr, val)) {
        return true;
    }
    return tdx_act(env, tdx_rdmsr(env_archcpu(env), env->tdx_vcpu, msr, val),
                   &event, ra);
}

bool tdx_td_wrmsr(CPUX86State *env, uint32_t msr, uint64_t val, uintptr_t ra)
{
    TdxEvent event = { .reason = TDX_REASON_WRMSR };
    TdxAction action = tdx_apic_wrmsr(env, msr, val);

    if (action == TDX_NATIVE) {
        action = tdx_wrmsr(env_archcpu(env), env->tdx_vcpu, msr, val);
    }
    return tdx_act(env, action, &event, ra);
}

bool tdx_allows_cr(CPUX86State *env, int reg, uint64_t val)
{
    if (!env->tdx_vcpu) {
        return true;
    }
    return reg == 0 ? tdx_cr0_valid(env->tdx_vcpu, val) :
           reg == 4 ? tdx_cr4_valid(env->tdx_vcpu, val) : true;
}

uint64_t tdx_tsc(CPUX86State *env, uint64_t host_tsc)
{
    const TdxVcpu *vcpu = env->tdx_vcpu;
    uint64_t low, high;

    mulu64(&low, &high, host_tsc, vcpu->tsc_multiplier);
    return (high << 16 | low >> 48) + vcpu->tsc_offset;
}
