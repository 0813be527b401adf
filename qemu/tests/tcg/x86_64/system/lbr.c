/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's last branch records, single steps from branch to branch, and guests
 * that have their own
 */
#include <stdbool.h>
#include <minilib.h>
#include "traps.h"

#define MSR_EFER                0xc0000080
#define MSR_VM_HSAVE_PA         0xc0010117
#define MSR_DEBUGCTL            0x1d9
#define MSR_LASTBRANCHFROMIP    0x1db
#define MSR_LASTBRANCHTOIP      0x1dc
#define MSR_LASTINTFROMIP       0x1dd
#define MSR_LASTINTTOIP         0x1de

/* A place in assembly code, of which only the address matters */
#define LABEL(name) void name(void)

#define LBR                     1
#define BTF                     2

/* WRMSR of DEBUGCTL; it is no branch. */
#define DEBUGCTL(val)                                                   \
    "mov $0x1d9, %%ecx\n"                                               \
    "mov $" val ", %%eax\n"                                             \
    "xor %%edx, %%edx\n"                                                \
    "wrmsr\n"

/* The last branch of CODE is from its label 1 to its label 2. */
#define TEST_BRANCH(code) do {                                          \
        uint64_t from, to;                                              \
                                                                        \
        asm volatile("lea 1f(%%rip), %0\n"                              \
                     "lea 2f(%%rip), %1\n"                              \
                     DEBUGCTL("1")                                      \
                     code "\n"                                          \
                     DEBUGCTL("0")                                      \
                     : "=&r" (from), "=&r" (to)                         \
                     : : "rax", "rcx", "rdx", "rsi", "rdi", "r8",       \
                     "memory", "cc");                                   \
        check_branch(#code, from, to);                                  \
    } while (0)

static void check_branch(const char *name, uint64_t from, uint64_t to)
{
    uint64_t lbr_from = rdmsr(MSR_LASTBRANCHFROMIP);
    uint64_t lbr_to = rdmsr(MSR_LASTBRANCHTOIP);

    if (lbr_from != from || lbr_to != to) {
        ml_printf("%s: 0x%lx to 0x%lx, not 0x%lx to 0x%lx\n", name,
                  lbr_from, lbr_to, from, to);
        failures++;
    }
}

static void test_msrs(void)
{
    CHECK_EQ(rdmsr(MSR_DEBUGCTL), 0);
    CHECK_EQ(rdmsr(MSR_LASTBRANCHFROMIP), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(try_wrmsr(MSR_LASTBRANCHFROMIP + i, 0), TRAP_GP);
    }
    CHECK_EQ(try_wrmsr(MSR_DEBUGCTL, 1 << 6), TRAP_GP);
    CHECK_EQ(try_wrmsr(MSR_DEBUGCTL, 1ull << 32), TRAP_GP);
    wrmsr(MSR_DEBUGCTL, LBR);
    CHECK_EQ(rdmsr(MSR_DEBUGCTL), LBR);
    wrmsr(MSR_DEBUGCTL, 0);
    CHECK_EQ(rdmsr(MSR_DEBUGCTL), 0);
}

static void test_branches(void)
{
    /* To the next instruction: it is a branch, too. */
    TEST_BRANCH("1: jmp 2f\n"
                "2: nop");
    TEST_BRANCH("1: jmp 2f\n"
                ".skip 5000\n"
                "2: nop");
    TEST_BRANCH("lea 2f(%%rip), %%rdi\n"
                "1: jmp *%%rdi\n"
                "ud2\n"
                "2: nop");
    TEST_BRANCH("xor %%edi, %%edi\n"
                "1: jz 2f\n"
                "ud2\n"
                "2: nop");
    /* Not taken */
    TEST_BRANCH("1: jmp 2f\n"
                "2: test %%esp, %%esp\n"
                "jz 3f\n"
                "mov $1, %%ecx\n"
                "loop 2b\n"
                "3: nop");
    /* REP is none, and what is behind it neither. */
    TEST_BRANCH("mov %%rsp, %%rdi\n"
                "mov %%rsp, %%rsi\n"
                "mov $300, %%ecx\n"
                "1: jmp 2f\n"
                "2: rep lodsb");
    TEST_BRANCH("mov $3, %%ecx\n"
                "2: nop\n"
                "1: loop 2b");
    TEST_BRANCH("1: call 2f\n"
                "2: pop %%rdi");
    TEST_BRANCH("lea 2f(%%rip), %%rdi\n"
                "push %%rdi\n"
                "1: ret\n"
                "ud2\n"
                "2: nop");
    TEST_BRANCH("mov %%rsp, %%rsi\n"
                "push $0x10\n"
                "push %%rsi\n"
                "pushf\n"
                "push $8\n"
                "lea 2f(%%rip), %%rdi\n"
                "push %%rdi\n"
                "1: iretq\n"
                "ud2\n"
                "2: nop");
    TEST_BRANCH("lea 2f(%%rip), %%rdi\n"
                "push $8\n"
                "push %%rdi\n"
                "1: lretq\n"
                "ud2\n"
                "2: nop");
}

LABEL(ud_handler);
LABEL(db_handler);
uint64_t db_rip;

/* Read nothing of memory, and jump nowhere, before the recording ends. */
asm(".pushsection .text\n"
    "ud_handler:\n"
    "    mov $0x1d9, %ecx\n"
    "    xor %eax, %eax\n"
    "    xor %edx, %edx\n"
    "    wrmsr\n"
    "    movl $6, trap_nr(%rip)\n"
    "    jmp 1f\n"
    "db_handler:\n"
    "    mov (%rsp), %rax\n"
    "    mov %rax, db_rip(%rip)\n"
    "    movl $1, trap_nr(%rip)\n"
    "1:  mov trap_rsp(%rip), %rsp\n"
    "    jmp *trap_fixup(%rip)\n"
    ".popsection");

static void test_exception(void)
{
    LABEL(ud_from);
    LABEL(ud_to);
    int nr;

    set_gate(TRAP_UD, (uint64_t)ud_handler);
    nr = TRY(DEBUGCTL("1")
             "ud_from: jmp ud_to\n"
             "nop\n"
             "ud_to: ud2", 0, 0, 0, 0);
    CHECK_EQ(nr, TRAP_UD);
    check_branch("#UD", (uint64_t)ud_to, (uint64_t)ud_handler);
    CHECK_EQ(rdmsr(MSR_LASTINTFROMIP), (uint64_t)ud_from);
    CHECK_EQ(rdmsr(MSR_LASTINTTOIP), (uint64_t)ud_to);
}

#define SET_TF                                                          \
    "pushf\n"                                                           \
    "orl $0x100, (%%rsp)\n"                                             \
    "popf\n"

static void test_debug(void)
{
    LABEL(db_from);
    LABEL(db_to);
    LABEL(btf_from);
    LABEL(btf_to);
    LABEL(int1_from);
    LABEL(int1_to);

    set_gate(TRAP_DB, (uint64_t)db_handler);

    /* #DB ends the recording, and is not in it. */
    CHECK_EQ(TRY(DEBUGCTL("1")
                 "db_from: jmp db_to\n"
                 "nop\n"
                 "db_to:" SET_TF
                 "nop\n"
                 "nop", 0, 0, 0, 0), TRAP_DB);
    CHECK_EQ(rdmsr(MSR_DEBUGCTL), 0);
    check_branch("#DB", (uint64_t)db_from, (uint64_t)db_to);

    /* From branch to branch */
    CHECK_EQ(TRY(DEBUGCTL("3")
                 SET_TF
                 "nop\n"
                 "mov $100, %%ecx\n"
                 "mov %%rsp, %%rsi\n"
                 "rep lodsb\n"
                 "test %%esp, %%esp\n"
                 "jz btf_to\n"
                 "pause\n"
                 "btf_from: jnz btf_to\n"
                 "nop\n"
                 "btf_to: nop\n"
                 "nop", 0, 0, 0, 0), TRAP_DB);
    CHECK_EQ(db_rip, (uint64_t)btf_to);
    CHECK_EQ(rdmsr(MSR_DEBUGCTL), 0);
    check_branch("BTF", (uint64_t)btf_from, (uint64_t)btf_to);

    /* Another #DB has the same effect. */
    CHECK_EQ(TRY(DEBUGCTL("3")
                 "int1_from: jmp int1_to\n"
                 "int1_to: .byte 0xf1", 0, 0, 0, 0), TRAP_DB);
    CHECK_EQ(rdmsr(MSR_DEBUGCTL), 0);
    check_branch("INT1", (uint64_t)int1_from, (uint64_t)int1_to);
}

static uint8_t vmcb[4096] __attribute__((aligned(4096)));
static uint8_t hsave[4096] __attribute__((aligned(4096)));
static uint8_t guest_stack[4096] __attribute__((aligned(4096)));

#define LBR_CTL         0x0b8
#define SAVE            0x400
#define DBGCTL          (SAVE + 0x270)
#define BR_FROM         (SAVE + 0x278)
#define BR_TO           (SAVE + 0x280)
#define EXCP_FROM       (SAVE + 0x288)
#define EXCP_TO         (SAVE + 0x290)
#define EXIT_CODE       0x070
#define EXIT_VMMCALL    0x081

static uint64_t vmcb_get(unsigned offset)
{
    return *(uint64_t *)(vmcb + offset);
}

static void vmcb_set(unsigned offset, uint64_t val)
{
    *(uint64_t *)(vmcb + offset) = val;
}

static void vmcb_seg(unsigned offset, uint16_t selector, uint16_t attrib)
{
    vmcb_set(SAVE + offset, selector | (uint32_t)attrib << 16 |
             0xffffffffull << 32);
    vmcb_set(SAVE + offset + 8, 0);
}

LABEL(guest_start);
LABEL(guest_from);
LABEL(guest_to);

asm(".pushsection .text\n"
    "guest_start:\n"
    "    mov $0x1d9, %ecx\n"
    "    rdmsr\n"
    "    mov %eax, %esi\n"
    "    mov $1, %eax\n"
    "    xor %edx, %edx\n"
    "    wrmsr\n"
    "guest_from: jmp guest_to\n"
    "    nop\n"
    "guest_to:\n"
    "    mov %esi, %eax\n"
    "    vmmcall\n"
    ".popsection");

static void run_guest(bool lbrv)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) gdtr;
    uint64_t cr0, cr3, cr4;

    asm volatile("mov %%cr0, %0\n"
                 "mov %%cr3, %1\n"
                 "mov %%cr4, %2" : "=r" (cr0), "=r" (cr3), "=r" (cr4));
    asm volatile("sgdt %0" : "=m" (gdtr));

    for (int i = 0; i < sizeof(vmcb); i++) {
        vmcb[i] = 0;
    }
    vmcb_set(0x010, 3);                     /* intercepts VMRUN, VMMCALL */
    vmcb_set(0x058, 1);                     /* ASID */
    vmcb_set(LBR_CTL, lbrv);
    vmcb_seg(0x000, 0x10, 0xc93);           /* ES, CS, SS, DS */
    vmcb_seg(0x010, 0x08, 0xa9b);
    vmcb_seg(0x020, 0x10, 0xc93);
    vmcb_seg(0x030, 0x10, 0xc93);
    vmcb_set(SAVE + 0x060, (uint64_t)gdtr.limit << 32);
    vmcb_set(SAVE + 0x068, gdtr.base);
    vmcb_set(SAVE + 0x080, (uint64_t)(sizeof(idt) - 1) << 32);
    vmcb_set(SAVE + 0x088, (uint64_t)idt);
    vmcb_set(SAVE + 0x0d0, rdmsr(MSR_EFER));
    vmcb_set(SAVE + 0x148, cr4);
    vmcb_set(SAVE + 0x150, cr3);
    vmcb_set(SAVE + 0x158, cr0);
    vmcb_set(SAVE + 0x160, 0x400);          /* DR7, DR6 */
    vmcb_set(SAVE + 0x168, 0xffff0ff0);
    vmcb_set(SAVE + 0x170, 2);              /* RFLAGS, RIP, RSP */
    vmcb_set(SAVE + 0x178, (uint64_t)guest_start);
    vmcb_set(SAVE + 0x1d8, (uint64_t)(guest_stack + sizeof(guest_stack)));
    vmcb_set(DBGCTL, 1ull << 63 | BTF);
    vmcb_set(BR_FROM, 0x11);
    vmcb_set(BR_TO, 0x22);
    vmcb_set(EXCP_FROM, 0x33);
    vmcb_set(EXCP_TO, 0x44);

    asm volatile("vmrun" : : "a" (vmcb) : "rcx", "rdx", "rsi", "memory");
    CHECK_EQ(vmcb_get(EXIT_CODE), EXIT_VMMCALL);
}

static void test_guest(void)
{
    uint64_t from, to, int_from, int_to;

    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1 << 12);
    wrmsr(MSR_VM_HSAVE_PA, (uint64_t)hsave);

    TEST_BRANCH("1: jmp 2f\n"
                "2: nop");
    from = rdmsr(MSR_LASTBRANCHFROMIP);
    to = rdmsr(MSR_LASTBRANCHTOIP);
    int_from = rdmsr(MSR_LASTINTFROMIP);
    int_to = rdmsr(MSR_LASTINTTOIP);

    run_guest(true);
    /* What the guest has read: reserved bits are none. */
    CHECK_EQ((uint32_t)vmcb_get(SAVE + 0x1f8), BTF);
    CHECK_EQ(vmcb_get(DBGCTL), LBR);
    CHECK_EQ(vmcb_get(BR_FROM), (uint64_t)guest_from);
    CHECK_EQ(vmcb_get(BR_TO), (uint64_t)guest_to);
    CHECK_EQ(vmcb_get(EXCP_FROM), 0x33);
    CHECK_EQ(vmcb_get(EXCP_TO), 0x44);
    CHECK_EQ(rdmsr(MSR_DEBUGCTL), 0);
    check_branch("host's", from, to);
    CHECK_EQ(rdmsr(MSR_LASTINTFROMIP), int_from);
    CHECK_EQ(rdmsr(MSR_LASTINTTOIP), int_to);

    /* Those of the host go on while the guest has not recorded any. */
    run_guest(false);
    CHECK_EQ((uint32_t)vmcb_get(SAVE + 0x1f8), 0);
    CHECK_EQ(rdmsr(MSR_DEBUGCTL), LBR);
    wrmsr(MSR_DEBUGCTL, 0);
    CHECK_EQ(vmcb_get(BR_FROM), 0x11);
    CHECK_EQ(vmcb_get(BR_TO), 0x22);
}

int main(void)
{
    init_traps();

    test_msrs();
    test_branches();
    test_exception();
    test_debug();
    test_guest();

    ml_printf("%s\n", failures ? "FAIL" : "PASS");
    return failures != 0;
}
