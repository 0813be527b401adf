/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host of one guest with SEV-ES: what VMRUN and the security processor allow,
 * what they refuse, and what the host learns of the guest
 *
 * Source: APM volume 2, 15.34, 15.35 and appendix B; SEV API, chapters 5 and 6.
 */
#include <stdbool.h>
#include <minilib.h>
#include "traps.h"

#define PAGE                    4096
#define C_BIT                   (1ull << 51)
#define MIN_NO_ES_ASID          32

#define MSR_EFER                0xc0000080
#define MSR_SYSCFG              0xc0010010
#define MSR_VM_HSAVE_PA         0xc0010117
#define MSR_GHCB                0xc0010130
#define MSR_SEV_STATUS          0xc0010131
#define EFER_SVME               (1 << 12)
#define EFER_SCE                1

/* Of the VMCB */
#define INTERCEPT_EXCEPTIONS    0x008
#define INTERCEPT_3             0x00c
#define INTERCEPT_4             0x010
#define INTERCEPT_CPUID         (1u << 18)
#define INTERCEPT_HLT           (1u << 24)
#define INTERCEPT_VMRUN         (1u << 0)
#define INTERCEPT_VMMCALL       (1u << 1)
#define TRAP_EFER               (1u << 15)
#define TRAP_CR4                (1u << 20)
#define ASID                    0x058
#define TLB_CONTROL             0x05c
#define INT_STATE               0x068
#define EXIT_CODE               0x070
#define EXIT_INFO_1             0x078
#define EXIT_INFO_2             0x080
#define EXIT_INT_INFO           0x088
#define NESTED_CTL              0x090
#define GHCB                    0x0a0
#define EVENT_INJ               0x0a8
#define NESTED_CR3              0x0b0
#define LBR_CTL                 0x0b8
#define NEXT_RIP                0x0c8
#define INSN_LEN                0x0d0
#define VMSA_PA                 0x108
#define SAVE                    0x400

/* Of the VMSA, and of the host save area from SAVE on */
#define EFER                    0x0d0
#define XSS                     0x140
#define CR4                     0x148
#define CR3                     0x150
#define CR0                     0x158
#define DR7                     0x160
#define DR6                     0x168
#define RFLAGS                  0x170
#define RIP                     0x178
#define RSP                     0x1d8
#define RAX                     0x1f8
#define RBX                     0x318
#define R15                     0x378
#define SEV_FEATURES            0x3b0
#define XCR0                    0x3e8
#define MXCSR                   0x408
#define X87_FCW                 0x410
#define XMM0                    0x470

#define EXIT_CR4_TRAP           0x094
#define EXIT_EFER_TRAP          0x08f
#define EXIT_CPUID              0x072
#define EXIT_HLT                0x078
#define EXIT_SHUTDOWN           0x07f
#define EXIT_NPF                0x400
#define EXIT_VMGEXIT            0x403
#define EXIT_INVALID            (-1ull)

/* Of the security processor */
#define REG_CMDRESP             0x10980
#define REG_ADDR_LO             0x109e0
#define REG_ADDR_HI             0x109e4
#define TMR                     (64 << 20)
#define TMR_LEN                 (1 << 20)

#define INIT                    0x001
#define SHUTDOWN                0x002
#define DF_FLUSH                0x00a
#define DECOMMISSION            0x020
#define ACTIVATE                0x021
#define DEACTIVATE              0x022
#define LAUNCH_START            0x030
#define LAUNCH_UPDATE_DATA      0x031
#define LAUNCH_UPDATE_VMSA      0x032
#define POLICY_ES               (1 << 2)

#define SUCCESS                 0x00
#define INVALID_LENGTH          0x04
#define POLICY_FAILURE          0x07
#define INACTIVE                0x08
#define INVALID_ADDRESS         0x09
#define INVALID_ASID            0x0d
#define WBINVD_REQUIRED         0x0e
#define DF_FLUSH_REQUIRED       0x0f

#define ALIGNED                 __attribute__((aligned(PAGE)))

/* A place in assembly code, of which only the address matters */
#define LABEL(name) void name(void)

static uint8_t vmcb[PAGE] ALIGNED, hsave[PAGE] ALIGNED, vmsa[PAGE] ALIGNED;
static uint8_t initial[PAGE] ALIGNED, first[PAGE] ALIGNED, second[PAGE] ALIGNED;
static uint64_t pml4[512] ALIGNED, pdpt[512] ALIGNED;

/* The guest's memory, all of it encrypted, one page each */
static struct {
    uint8_t code[PAGE];
    uint64_t pml4[512], pdpt[512];
    uint64_t gdt[32];
    Gate idt[32];
    uint8_t rest[PAGE - 32 * 24];
    uint8_t stack[PAGE];
} guest ALIGNED;

static uint8_t *psp;
static uint32_t command[16] ALIGNED;

/*
 * The guest, at the start of its first page; RBX is the page.  The values in
 * the GHCB MSR are how far it has come.  #VC of CPUID is for the host to
 * answer.
 */
LABEL(guest_code);
LABEL(guest_vc);
LABEL(guest_bp);
LABEL(guest_end);
asm(".pushsection .text\n"
    "guest_code:\n"
    "    mov $0x7777, %r15d\n"
    "    movq %r15, %xmm0\n"
    "    cpuid\n"
    "    hlt\n"
    "    movq %xmm0, %rdx\n"
    "    cmp $0x7777, %rdx\n"
    "    jne guest_wrong\n"
    "    cmp $0x7777, %r15\n"
    "    jne guest_wrong\n"
    "    mov %cr4, %rdx\n"
    "    or $0x200, %rdx\n"
    "    mov %rdx, %cr4\n"
    "    mov $0xc0000080, %ecx\n"
    "    rdmsr\n"
    "    or $1, %eax\n"
    "    wrmsr\n"
    "    mov $0xc0010131, %ecx\n"
    "    rdmsr\n"
    "    cmp $3, %eax\n"
    "    jne guest_wrong\n"
    "    sti\n"
    "    nop\n"
    "    hlt\n"
    "    cli\n"
    "    hlt\n"
    "    mov $0x80000000, %edx\n"
    "    add %rdx, %rsp\n"
    "    lea 1f(%rip), %r15\n"
    "    int3\n"
    "1:  hlt\n"
    "    lea 1f(%rip), %r15\n"
    "    .byte 0xcd, 3\n"                  /* INT 3, not INT3 */
    "1:  hlt\n"
    "guest_wrong:\n"
    "    ud2\n"
    "guest_bp:\n"
    "    cmp (%rsp), %r15\n"
    "    jne guest_wrong\n"
    "    iretq\n"
    "guest_vc:\n"
    "    pop %rcx\n"
    "    cmp $0x72, %rcx\n"
    "    jne guest_wrong\n"
    "    mov $0xc0010130, %ecx\n"
    "    mov $0x72000, %eax\n"
    "    xor %edx, %edx\n"
    "    wrmsr\n"
    "    rep; vmmcall\n"
    "    addq $2, (%rsp)\n"
    "    iretq\n"
    "guest_end:\n"
    ".popsection");

static uint64_t get(const uint8_t *area, unsigned offset)
{
    return *(const uint64_t *)(area + offset);
}

static void set(uint8_t *area, unsigned offset, uint64_t val)
{
    *(uint64_t *)(area + offset) = val;
}

static void set32(uint8_t *area, unsigned offset, uint32_t val)
{
    *(uint32_t *)(area + offset) = val;
}

static void copy(void *to, const void *from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    }
}

static void fill(void *to, uint8_t val, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)to)[i] = val;
    }
}

static bool equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (a[i] != b[i]) {
            return false;
        }
    }
    return true;
}

static uint32_t config_read(unsigned slot, unsigned reg)
{
    uint32_t val;

    asm volatile("outl %0, %w1" : : "a" (1u << 31 | slot << 11 | reg),
                 "d" (0xcf8));
    asm volatile("inl %w1, %0" : "=a" (val) : "d" (0xcfc));
    return val;
}

static bool find_psp(void)
{
    for (unsigned slot = 0; slot < 32; slot++) {
        if (config_read(slot, 0) == 0x14ca1022) {
            psp = (uint8_t *)(uint64_t)(config_read(slot, 0x18) & ~0xf);
        }
    }
    return psp;
}

static uint32_t psp_read(unsigned reg)
{
    uint32_t val;

    asm volatile("movl %1, %0" : "=r" (val) : "m" (psp[reg]));
    return val;
}

static void psp_write(unsigned reg, uint32_t val)
{
    asm volatile("movl %1, %0" : "=m" (psp[reg]) : "r" (val) : "memory");
}

static uint32_t psp_command(int cmd)
{
    uint32_t resp;

    psp_write(REG_ADDR_LO, (uint64_t)command);
    psp_write(REG_ADDR_HI, 0);
    psp_write(REG_CMDRESP, cmd << 16);
    do {
        resp = psp_read(REG_CMDRESP);
    } while (!(resp & 1u << 31));
    return resp & 0xffff;
}

/* For what begins with a handle: it and what follows */
static uint32_t psp_guest(int cmd, uint32_t handle, uint32_t a, uint32_t b,
                          uint32_t c)
{
    fill(command, 0, sizeof(command));
    command[0] = handle;
    command[1] = a;
    command[2] = b;
    command[4] = c;
    return psp_command(cmd);
}

static uint32_t psp_init(bool es)
{
    fill(command, 0, sizeof(command));
    command[0] = es;
    command[2] = es ? TMR : 0;
    command[4] = es ? TMR_LEN : 0;
    return psp_command(INIT);
}

static void wbinvd(void)
{
    asm volatile("wbinvd" : : : "memory");
}

/* All of 4 GiB, by pages of 1 GiB; as nested page tables as well */
static void map_memory(void)
{
    pml4[0] = (uint64_t)pdpt | 7;
    for (int i = 0; i < 4; i++) {
        pdpt[i] = (uint64_t)i << 30 | 0x87;
    }
    asm volatile("mov %0, %%cr3" : : "r" (pml4) : "memory");
}

static void set_guest_gate(int vector, uint64_t handler)
{
    guest.idt[vector] = (Gate) {
        .offset_lo = handler,
        .selector = 8,
        .flags = 0x8e00,
        .offset_mid = handler >> 16,
        .offset_hi = handler >> 32,
    };
}

static void make_guest(void)
{
    uint64_t code = (uint64_t)guest_code;

    copy(guest.code, (void *)code, (uint64_t)guest_end - code);
    guest.pml4[0] = (uint64_t)guest.pdpt | C_BIT | 3;
    for (int i = 0; i < 4; i++) {
        guest.pdpt[i] = (uint64_t)i << 30 | C_BIT | 0x83;
    }
    guest.gdt[1] = 0x00af9b000000ffff;
    guest.gdt[2] = 0x00cf93000000ffff;
    set_guest_gate(29, (uint64_t)guest.code + (uint64_t)guest_vc - code);
    set_guest_gate(3, (uint64_t)guest.code + (uint64_t)guest_bp - code);
}

static void set_seg(uint8_t *area, unsigned offset, uint16_t selector,
                    uint16_t attrib)
{
    set(area, offset, selector | (uint32_t)attrib << 16 | 0xffffffffull << 32);
    set(area, offset + 8, 0);
}

static void make_vmsa(void)
{
    uint64_t cr0;

    asm volatile("mov %%cr0, %0" : "=r" (cr0));
    fill(initial, 0, PAGE);
    set_seg(initial, 0x000, 0x10, 0xc93);           /* ES, CS, SS, DS */
    set_seg(initial, 0x010, 0x08, 0xa9b);
    set_seg(initial, 0x020, 0x10, 0xc93);
    set_seg(initial, 0x030, 0x10, 0xc93);
    set(initial, 0x060, (uint64_t)(sizeof(guest.gdt) - 1) << 32);
    set(initial, 0x068, (uint64_t)guest.gdt);
    set(initial, 0x080, (uint64_t)(sizeof(guest.idt) - 1) << 32);
    set(initial, 0x088, (uint64_t)guest.idt);
    set(initial, EFER, 0x500 | EFER_SVME);
    set(initial, CR4, 0x220);                       /* PAE, OSFXSR */
    set(initial, CR3, (uint64_t)guest.pml4 | C_BIT);
    set(initial, CR0, cr0);
    set(initial, DR7, 0x400);
    set(initial, DR6, 0xffff0ff0);
    set(initial, RFLAGS, 2);
    set(initial, RIP, (uint64_t)guest.code);
    set(initial, RSP, (uint64_t)(guest.stack + PAGE));
    set(initial, RAX, 0);
    set(initial, RBX, (uint64_t)guest.code);
    set(initial, XCR0, 1);
    set32(initial, MXCSR, 0x1f80);
    set32(initial, X87_FCW, 0x37f);
    copy(vmsa, initial, PAGE);
}

static void make_vmcb(uint32_t asid)
{
    fill(vmcb, 0, PAGE);
    fill(vmcb + SAVE, 0xaa, 0x298);
    /* #VC is for the guest, whatever the hypervisor says. */
    set32(vmcb, INTERCEPT_EXCEPTIONS, 1u << 29);
    set32(vmcb, INTERCEPT_3, INTERCEPT_CPUID | INTERCEPT_HLT);
    set32(vmcb, INTERCEPT_4, INTERCEPT_VMRUN | INTERCEPT_VMMCALL |
          TRAP_EFER | TRAP_CR4);
    set32(vmcb, ASID, asid);
    set(vmcb, NESTED_CTL, 7);                       /* NPT, SEV, SEV-ES */
    set(vmcb, NESTED_CR3, (uint64_t)pml4);
    set(vmcb, LBR_CTL, 1);
    set(vmcb, VMSA_PA, (uint64_t)vmsa);
}

/*
 * VMRUN, and what of the host's state is not what it should be after that.  All
 * registers but RAX and RSP come from the host save area.
 */
static uint64_t vmrun(void)
{
    uint64_t r15, rbx, xmm0;

    set(vmcb, EXIT_CODE, 0x55);
    asm volatile("mov %%rbx, %[host_rbx]\n"
                 "mov %%rbp, %[host_rbp]\n"
                 "movq %%rdx, %%xmm0\n"
                 "vmrun\n"
                 "mov %%r15, %%rax\n"
                 "movq %%xmm0, %%rdx\n"
                 "mov %%rbx, %%rcx\n"
                 : "=a" (r15), "=d" (xmm0), "=c" (rbx),
                   [host_rbx] "=m" (*(uint64_t *)(hsave + SAVE + RBX)),
                   [host_rbp] "=m" (*(uint64_t *)(hsave + SAVE + 0x328))
                 : "a" (vmcb), "d" (0x1111)
                 : "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                   "r15", "memory", "cc");
    if (get(vmcb, EXIT_CODE) == EXIT_INVALID) {
        return EXIT_INVALID;
    }
    CHECK_EQ(rbx, get(hsave, SAVE + RBX));
    CHECK_EQ(r15, 0x5151);
    CHECK_EQ(xmm0, 0);
    /* Nothing of the guest's state is anywhere in the VMCB. */
    for (int i = 0; i < 0x298; i++) {
        if (vmcb[SAVE + i] != 0xaa) {
            ml_printf("byte 0x%x of the VMCB's save area was written\n", i);
            failures++;
            break;
        }
    }
    CHECK_EQ(get(vmcb, NEXT_RIP), 0);
    CHECK_EQ(vmcb[INSN_LEN], 0);
    return get(vmcb, EXIT_CODE);
}

static void make_host(void)
{
    /* The guest has no handlers for the firmware's timer. */
    asm volatile("outb %b0, $0x21\n"
                 "outb %b0, $0xa1" : : "a" (0xff));
    fill(hsave, 0, PAGE);
    for (int i = 0; i < 4; i++) {
        set_seg(hsave, SAVE + 0x010 * i, 0x10, 0xc93);
    }
    set_seg(hsave, SAVE + 0x040, 0x10, 0xc93);      /* FS, GS, LDTR, TR */
    set_seg(hsave, SAVE + 0x050, 0x10, 0xc93);
    set(hsave, SAVE + R15, 0x5151);
    set(hsave, SAVE + XCR0, 1);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, (uint64_t)hsave);
}

static void test_msrs(void)
{
    /* Nobody else has a GHCB, and what a guest has is nobody's to write. */
    CHECK_EQ(try_rdmsr(MSR_GHCB), TRAP_GP);
    CHECK_EQ(try_wrmsr(MSR_GHCB, 0x1000), TRAP_GP);
    CHECK_EQ(try_wrmsr(MSR_SEV_STATUS, 3), TRAP_GP);
    CHECK_EQ(rdmsr(MSR_SEV_STATUS), 0);
    CHECK_EQ(rdmsr(MSR_SYSCFG) >> 23 & 1, 1);
}

static uint32_t launch(void)
{
    uint32_t handle;

    /* Without INIT's flag there are no guests with SEV-ES. */
    CHECK_EQ(psp_init(false), SUCCESS);
    CHECK_EQ(psp_guest(LAUNCH_START, 0, POLICY_ES, 0, 0), POLICY_FAILURE);
    CHECK_EQ(psp_command(SHUTDOWN), SUCCESS);
    CHECK_EQ(psp_init(true), SUCCESS);
    CHECK_EQ(psp_guest(LAUNCH_START, 0, POLICY_ES, 0, 0), SUCCESS);
    handle = command[0];

    CHECK_EQ(psp_guest(LAUNCH_UPDATE_VMSA, handle, 0, (uint64_t)vmsa, PAGE),
             INACTIVE);
    CHECK_EQ(psp_guest(ACTIVATE, handle, 0, 0, 0), INVALID_ASID);
    CHECK_EQ(psp_guest(ACTIVATE, handle, MIN_NO_ES_ASID, 0, 0), INVALID_ASID);
    CHECK_EQ(psp_guest(ACTIVATE, handle, 1, 0, 0), DF_FLUSH_REQUIRED);
    wbinvd();
    CHECK_EQ(psp_command(DF_FLUSH), SUCCESS);
    CHECK_EQ(psp_guest(ACTIVATE, handle, 1, 0, 0), SUCCESS);

    CHECK_EQ(psp_guest(LAUNCH_UPDATE_VMSA, handle, 0, (uint64_t)vmsa, 2048),
             INVALID_LENGTH);
    CHECK_EQ(psp_guest(LAUNCH_UPDATE_VMSA, handle, 0, (uint64_t)vmsa + 2048,
                       PAGE), INVALID_ADDRESS);
    CHECK_EQ(psp_guest(LAUNCH_UPDATE_DATA, handle, 0, (uint64_t)&guest,
                       sizeof(guest)), SUCCESS);
    return handle;
}

/* The state as the host hands it over, and then as the launch has sealed it */
static void test_entry(uint32_t handle)
{
    make_vmcb(1);
    CHECK_EQ(vmrun(), EXIT_INVALID);
    set(vmsa, SEV_FEATURES, 1);
    CHECK_EQ(psp_guest(LAUNCH_UPDATE_VMSA, handle, 0, (uint64_t)vmsa, PAGE),
             SUCCESS);
    CHECK_EQ(vmrun(), EXIT_INVALID);
    copy(vmsa, initial, PAGE);
    set(vmsa, XCR0, 2);
    CHECK_EQ(psp_guest(LAUNCH_UPDATE_VMSA, handle, 0, (uint64_t)vmsa, PAGE),
             SUCCESS);
    CHECK_EQ(vmrun(), EXIT_INVALID);
    copy(vmsa, initial, PAGE);
    set(vmsa, XSS, 1 << 11);
    CHECK_EQ(psp_guest(LAUNCH_UPDATE_VMSA, handle, 0, (uint64_t)vmsa, PAGE),
             SUCCESS);
    CHECK_EQ(vmrun(), EXIT_INVALID);
    copy(vmsa, initial, PAGE);
    CHECK_EQ(psp_guest(LAUNCH_UPDATE_VMSA, handle, 0, (uint64_t)vmsa, PAGE),
             SUCCESS);
    CHECK_EQ(equal(vmsa, initial, PAGE), false);

    /* Each of these is wrong alone. */
    make_vmcb(MIN_NO_ES_ASID);
    CHECK_EQ(vmrun(), EXIT_INVALID);
    make_vmcb(1);
    set(vmcb, NESTED_CTL, 3);
    CHECK_EQ(vmrun(), EXIT_INVALID);
    make_vmcb(2);
    CHECK_EQ(vmrun(), EXIT_INVALID);
    make_vmcb(1);
    set(vmcb, VMSA_PA, (uint64_t)vmsa + 8);
    CHECK_EQ(vmrun(), EXIT_INVALID);
    make_vmcb(1);
    set(vmcb, VMSA_PA, 1ull << 40);
    CHECK_EQ(vmrun(), EXIT_INVALID);
    make_vmcb(1);
    set(vmcb, EVENT_INJ, 1u << 31 | 4 << 8 | 0x20);         /* INT 32 */
    CHECK_EQ(vmrun(), EXIT_INVALID);
    make_vmcb(1);
    set(vmcb, EVENT_INJ, 1u << 31 | 3 << 8 | 3);            /* INT3 */
    CHECK_EQ(vmrun(), EXIT_INVALID);
    make_vmcb(1);
}

/* The third GiB of the guest's addresses is the first one, or nothing. */
static void alias_memory(bool present)
{
    pdpt[2] = present ? 0x87 : 0;
    set32(vmcb, TLB_CONTROL, 1);
}

/*
 * An event of TYPE (APM volume 2, 15.20) whose delivery a nested page fault
 * interrupts, as the guest's stack is not there.  VMRUN could not inject it;
 * the guest executes the instruction again.
 */
static void test_interrupted(unsigned type)
{
    alias_memory(false);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(vmrun(), EXIT_NPF);
        CHECK_EQ(get(vmcb, EXIT_INFO_2) >> 12,
                 (2ull << 30 | (uint64_t)guest.stack) >> 12);
        CHECK_EQ((uint32_t)get(vmcb, EXIT_INT_INFO), 1u << 31 | type << 8 | 3);
    }
    alias_memory(true);
    CHECK_EQ(vmrun(), EXIT_HLT);
    CHECK_EQ((uint32_t)get(vmcb, EXIT_INT_INFO) >> 31, 0);
}

static void test_guest(void)
{
    /* CPUID is #VC, whose handler calls. */
    CHECK_EQ(vmrun(), EXIT_VMGEXIT);
    CHECK_EQ(get(vmcb, GHCB), 0x72000);
    copy(first, vmsa, PAGE);

    CHECK_EQ(vmrun(), EXIT_HLT);
    CHECK_EQ(get(vmcb, INT_STATE) & 2, 0);
    copy(second, vmsa, PAGE);

    /* What was before, or something else, is not the guest's state. */
    copy(vmsa, first, PAGE);
    CHECK_EQ(vmrun(), EXIT_INVALID);
    copy(vmsa, second, PAGE);
    vmsa[RIP] ^= 1;
    CHECK_EQ(vmrun(), EXIT_INVALID);
    copy(vmsa, second, PAGE);

    CHECK_EQ(vmrun(), EXIT_CR4_TRAP);
    CHECK_EQ(get(vmcb, EXIT_INFO_1), 0x220);
    CHECK_EQ(vmrun(), EXIT_EFER_TRAP);
    CHECK_EQ(get(vmcb, EXIT_INFO_1), 0x500 | EFER_SVME | EFER_SCE);
    CHECK_EQ(vmrun(), EXIT_HLT);
    CHECK_EQ(get(vmcb, INT_STATE) & 2, 2);
    CHECK_EQ(vmrun(), EXIT_HLT);
    CHECK_EQ(get(vmcb, INT_STATE) & 2, 0);

    test_interrupted(3);                            /* INT3 is an exception */
    test_interrupted(4);                            /* INT 3 is not */

    /*
     * There is no handler for UD2, nor for what comes of that.  The double
     * fault is the hypervisor's, thus #VC, and one after #DF ends the guest.
     */
    set32(vmcb, INTERCEPT_EXCEPTIONS, 1u << 29 | 1u << 8);
    CHECK_EQ(vmrun(), EXIT_SHUTDOWN);
}

/* The key is gone, and with it the guest. */
static void test_end(uint32_t handle)
{
    CHECK_EQ(psp_guest(DEACTIVATE, handle, 0, 0, 0), SUCCESS);
    CHECK_EQ(vmrun(), EXIT_INVALID);
    CHECK_EQ(psp_guest(ACTIVATE, handle, 1, 0, 0), DF_FLUSH_REQUIRED);
    CHECK_EQ(psp_command(DF_FLUSH), WBINVD_REQUIRED);
    wbinvd();
    CHECK_EQ(psp_command(DF_FLUSH), SUCCESS);
    CHECK_EQ(psp_guest(DECOMMISSION, handle, 0, 0, 0), SUCCESS);
}

int main(void)
{
    uint32_t handle;

    init_traps();
    map_memory();
    if (!find_psp()) {
        ml_printf("no security processor\nFAIL\n");
        return 1;
    }
    /* SSE, which this program uses to see what becomes of it */
    asm volatile("mov %%cr4, %%rax\n"
                 "or $0x200, %%rax\n"
                 "mov %%rax, %%cr4" : : : "rax");
    make_host();
    make_guest();
    make_vmsa();

    test_msrs();
    handle = launch();
    test_entry(handle);
    test_guest();
    test_end(handle);

    ml_printf("%s\n", failures ? "FAIL" : "PASS");
    return failures != 0;
}
