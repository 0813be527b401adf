/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX: what its tests share
 *
 * They are the host, and run on
 *   -M q35 -m 2G -cpu Icelake-Server,+vmx,+tdx,phys-bits=52
 */
#include "check.h"
#include "traps.h"

#define MB              (1024 * 1024ul)
#define GB              (1024 * MB)
#define PAGE            4096ul

/* Leaves (ABI specification, "SEAMCALL Instruction Leaves") */
enum {
    VP_ENTER = 0, MNG_ADDCX = 1, MEM_PAGE_ADD = 2, MEM_SEPT_ADD = 3,
    VP_ADDCX = 4, MEM_PAGE_AUG = 6, MEM_RANGE_BLOCK = 7, MNG_KEY_CONFIG = 8,
    MNG_CREATE = 9, VP_CREATE = 10, MNG_RD = 11, MR_EXTEND = 16,
    MR_FINALIZE = 17, VP_FLUSH = 18, MNG_VPFLUSHDONE = 19,
    MNG_KEY_FREEID = 20, MNG_INIT = 21, VP_INIT = 22, PAGE_RDMD = 24,
    VP_RD = 26, PAGE_RECLAIM = 28, MEM_PAGE_REMOVE = 29, SYS_KEY_CONFIG = 31,
    SYS_INIT = 33, SYS_RD = 34, SYS_LP_INIT = 35, SYS_TDMR_INIT = 36,
    MEM_TRACK = 38, CACHE_WB = 40, PAGE_WBINVD = 41, VP_WR = 43,
    SYS_CONFIG = 45, SYS_DISABLE = 69,
};
#define VERSION(n)      ((uint64_t)(n) << 16)

/* Status, without details */
#define ST(error, recoverable, class_name) \
    ((uint64_t)(error) << 63 | (uint64_t)!(recoverable) << 62 | \
     (uint64_t)(class_name) << 32)
#define SUCCESS                 0ul
#define INTERRUPTED_RESUMABLE   ST(1, 1, 0x0003)
#define OPERAND_INVALID         ST(1, 0, 0x0100)
#define OPERAND_ADDR_RANGE      ST(1, 0, 0x0101)
#define OPERAND_BUSY            ST(1, 1, 0x0200)
#define PREVIOUS_EPOCH_BUSY     ST(1, 1, 0x0201)
#define RND_NO_ENTROPY          ST(1, 1, 0x0203)
#define METADATA_INCORRECT      ST(1, 0, 0x0300)
#define PAGES_EXIST             ST(1, 0, 0x0400)
#define SYS_INIT_NOT_PENDING    ST(1, 0, 0x0500)
#define SYS_LP_INIT_DONE        ST(1, 0, 0x0503)
#define SYS_NOT_READY           ST(1, 0, 0x0505)
#define SYS_SHUTDOWN            ST(1, 0, 0x0506)
#define KEY_CONFIG_NOT_PENDING  ST(1, 0, 0x0507)
#define LP_INIT_NOT_PENDING     ST(1, 0, 0x050b)
#define CONFIG_NOT_PENDING      ST(1, 0, 0x050c)
#define TDCS_NOT_ALLOCATED      ST(1, 0, 0x0606)
#define LIFECYCLE_INCORRECT     ST(1, 0, 0x0607)
#define OP_STATE_INCORRECT      ST(1, 0, 0x0608)
#define NO_VCPUS                ST(1, 0, 0x0609)
#define TDCX_NUM_INCORRECT      ST(1, 0, 0x0610)
#define X2APIC_ID_NOT_UNIQUE    ST(1, 0, 0x0621)
#define VCPU_STATE_INCORRECT    ST(1, 0, 0x0700)
#define VCPU_ASSOCIATED         ST(1, 1, 0x0701)
#define VCPU_NOT_ASSOCIATED     ST(1, 1, 0x0702)
#define NO_VE_INFO              ST(1, 0, 0x0704)
#define MAX_VCPUS_EXCEEDED      ST(1, 0, 0x0705)
#define KEYS_NOT_CONFIGURED     ST(1, 1, 0x0810)
#define KEY_CONFIGURED          ST(0, 1, 0x0815)
#define WBCACHE_NOT_COMPLETE    ST(1, 1, 0x0817)
#define HKID_NOT_FREE           ST(1, 0, 0x0820)
#define NO_HKID_READY           ST(0, 1, 0x0821)
#define WBCACHE_RESUME_ERROR    ST(1, 0, 0x0823)
#define FLUSHVP_NOT_DONE        ST(1, 1, 0x0824)
#define INVALID_TDMR            ST(1, 0, 0x0a00)
#define NON_ORDERED_TDMR        ST(1, 0, 0x0a01)
#define TDMR_OUTSIDE_CMRS       ST(1, 0, 0x0a02)
#define TDMR_INITIALIZED        ST(0, 1, 0x0a03)
#define INVALID_PAMT            ST(1, 0, 0x0a10)
#define PAMT_OUTSIDE_CMRS       ST(1, 0, 0x0a11)
#define PAMT_OVERLAP            ST(1, 0, 0x0a12)
#define INVALID_RESERVED        ST(1, 0, 0x0a20)
#define NON_ORDERED_RESERVED    ST(1, 0, 0x0a21)
#define WALK_FAILED             ST(1, 0, 0x0b00)
#define ENTRY_NOT_PRESENT       ST(1, 0, 0x0b03)
#define NOT_BLOCKED             ST(1, 0, 0x0b06)
#define ALREADY_BLOCKED         ST(0, 1, 0x0b07)
#define TRACKING_NOT_DONE       ST(1, 0, 0x0b08)
#define ALREADY_ACCEPTED        ST(0, 1, 0x0b0a)
#define SIZE_MISMATCH           ST(1, 0, 0x0b0b)
#define ENTRY_STATE_INCORRECT   ST(1, 0, 0x0b0d)
#define FIELD_ID_INCORRECT      ST(1, 0, 0x0c00)
#define FIELD_NOT_WRITABLE      ST(1, 0, 0x0c01)
#define FIELD_NOT_READABLE      ST(1, 0, 0x0c02)
#define FIELD_VALUE_NOT_VALID   ST(1, 0, 0x0c03)

/* Operands, as details have them */
enum {
    RAX = 0, RCX = 1, RDX = 2, RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7,
    R8 = 8, R9 = 9, R10, R11, R12, R13, R14, R15,
    OP_ATTRIBUTES = 64, OP_XFAM = 65, OP_CONFIG_FLAGS = 66, OP_EPTP = 67,
    OP_MAX_VCPUS = 68, OP_CPUID = 69, OP_TSC = 70, OP_NUM_L2_VMS = 71,
    OP_TDR = 128, OP_SEPT_TREE = 146, OP_TD_EPOCH = 169, OP_KOT = 186,
};

/* SEAMCALL: registers are by their number. */

static uint64_t reg[16];

void do_seamcall(uint64_t *regs);
asm(".pushsection .text\n"
    "do_seamcall:\n"
    "  push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "  push %rdi\n"
    "  mov (%rdi), %rax\n mov 8(%rdi), %rcx\n mov 16(%rdi), %rdx\n"
    "  mov 24(%rdi), %rbx\n mov 40(%rdi), %rbp\n mov 48(%rdi), %rsi\n"
    "  mov 64(%rdi), %r8\n mov 72(%rdi), %r9\n mov 80(%rdi), %r10\n"
    "  mov 88(%rdi), %r11\n mov 96(%rdi), %r12\n mov 104(%rdi), %r13\n"
    "  mov 112(%rdi), %r14\n mov 120(%rdi), %r15\n mov 56(%rdi), %rdi\n"
    "  .byte 0x66, 0x0f, 0x01, 0xcf\n"
    "  push %rdi\n mov 8(%rsp), %rdi\n pop 56(%rdi)\n"
    "  mov %rax, (%rdi)\n mov %rcx, 8(%rdi)\n mov %rdx, 16(%rdi)\n"
    "  mov %rbx, 24(%rdi)\n mov %rbp, 40(%rdi)\n mov %rsi, 48(%rdi)\n"
    "  mov %r8, 64(%rdi)\n mov %r9, 72(%rdi)\n mov %r10, 80(%rdi)\n"
    "  mov %r11, 88(%rdi)\n mov %r12, 96(%rdi)\n mov %r13, 104(%rdi)\n"
    "  mov %r14, 112(%rdi)\n mov %r15, 120(%rdi)\n"
    "  pop %rdi\n"
    "  pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
    "  ret\n"
    ".popsection");

static uint64_t seamcall(uint64_t leaf, uint64_t rcx, uint64_t rdx, uint64_t r8,
                         uint64_t r9)
{
    reg[RAX] = leaf;
    reg[RCX] = rcx;
    reg[RDX] = rdx;
    reg[R8] = r8;
    reg[R9] = r9;
    do_seamcall(reg);
    return reg[RAX];
}

/* One that must succeed */
static void must(const char *what, uint64_t leaf, uint64_t rcx, uint64_t rdx,
                 uint64_t r8, uint64_t r9)
{
    expect(what, seamcall(leaf, rcx, rdx, r8, r9), SUCCESS);
}

/* A call, and the status that it must have */
struct step {
    const char *what;
    uint64_t leaf, rcx, rdx, r8, r9, status;
};

static void run_steps(const struct step *step, int nr)
{
    for (int i = 0; i < nr; i++) {
        expect(step[i].what, seamcall(step[i].leaf, step[i].rcx, step[i].rdx,
                                      step[i].r8, step[i].r9), step[i].status);
    }
}
#define RUN(steps) run_steps(steps, ARRAY_SIZE(steps))

/* VMX: SEAMCALL is for VMX root operation. */

static void vmx_on(uint32_t *region)
{
    uint64_t pa = (uint64_t)region, cr0, cr4;

    region[0] = rdmsr(0x480);
    if (!(rdmsr(0x3a) & 1)) {
        wrmsr(0x3a, 5);
    }
    asm volatile("mov %%cr0, %0" : "=r" (cr0));
    asm volatile("mov %0, %%cr0" : : "r" (cr0 | 0x21));
    asm volatile("mov %%cr4, %0" : "=r" (cr4));
    asm volatile("mov %0, %%cr4" : : "r" (cr4 | 1 << 13));
    asm volatile("vmxon %0" : : "m" (pa) : "cc", "memory");
}

/*
 * Memory: the host has all below 256 MiB, the PAMTs are at 512 MiB.  That is
 * reserved in the first TDMR; the second one is for TDs.
 */
#define PAMT            (512 * MB)
#define RESERVED_PAGE   (64 * MB)
#define P(n)            (GB + 16 * MB + (n) * PAGE)
#define BIG(n)          (GB + 64 * MB + (n) * 2 * MB)
#define MODULE_HKID     1
#define HKID(n)         (2ul + (n))
#define KEYID_SHIFT     46

#define TDMR_WORDS      (8 + 2 * 16)
static uint64_t tdmr[2][64] __attribute__((aligned(512))) = {
    { 0, GB, PAMT, PAGE, PAMT + 16 * PAGE, 2 * PAGE, PAMT + 4 * MB, 4 * MB,
      0, 256 * MB, PAMT, 32 * MB },
    { GB, GB, PAMT + 16 * MB, PAGE, PAMT + 17 * MB, 2 * PAGE, PAMT + 20 * MB,
      4 * MB, GB - 16 * MB, 16 * MB },
};
static uint64_t tdmr_array[64] __attribute__((aligned(512)));
static uint32_t vmxon_region[1024] __attribute__((aligned(4096)));

static void setup(void)
{
    init_traps();
    /* No interrupt of the PIC makes a TD exit. */
    asm volatile("outb %%al, $0x21\n outb %%al, $0xa1" : : "a" (0xff));
    vmx_on(vmxon_region);
    tdmr_array[0] = (uint64_t)tdmr[0];
    tdmr_array[1] = (uint64_t)tdmr[1];
}

static uint64_t config(void)
{
    return seamcall(SYS_CONFIG, (uint64_t)tdmr_array, 2, MODULE_HKID, 0);
}

static void tdmr_init(uint64_t base)
{
    while (true) {
        uint64_t status = seamcall(SYS_TDMR_INIT, base, 0, 0, 0);

        if (status || reg[RDX] == base + GB) {
            expect("TDH.SYS.TDMR.INIT", status, SUCCESS);
            return;
        }
    }
}

static __attribute__((unused)) void bring_up(void)
{
    setup();
    must("TDH.SYS.INIT", SYS_INIT, 0, 0, 0, 0);
    must("TDH.SYS.LP.INIT", SYS_LP_INIT, 0, 0, 0, 0);
    expect("TDH.SYS.CONFIG", config(), SUCCESS);
    must("TDH.SYS.KEY.CONFIG", SYS_KEY_CONFIG, 0, 0, 0, 0);
    tdmr_init(0);
    tdmr_init(GB);
}

/*
 * TDs.  Each has 64 pages of its own: TDR, TDCX, TDVPR with its TDCX, and pages
 * of the secure EPT.
 */
#define TDR(td)         P(64 * (td))
#define TDCX(td, n)     P(64 * (td) + 1 + (n))
#define TDVPR(td)       P(64 * (td) + 8)
#define TDVPX(td, n)    P(64 * (td) + 8 + (n))
#define SEPT(td, n)     P(64 * (td) + 16 + (n))
#define PRIVATE(td, n)  P(64 * (td) + 32 + (n))
#define NR_TDCX         4
#define NR_TDVPX        6

/* TD_PARAMS, as words: attributes, XFAM, vCPUs, EPTP, flags, TSC */
static uint64_t td_params[128] __attribute__((aligned(1024))) = {
    0, 3, 4, 0x1e, 0, 100
};

enum td_state {
    HKID_ASSIGNED, NO_TDCX, UNINITIALIZED, INITIALIZED, RUNNABLE,
    KEY_BLOCKED, TEARDOWN, NR_TD_STATES
};

static __attribute__((unused)) void make_vcpu(int td)
{
    must("TDH.VP.CREATE", VP_CREATE, TDVPR(td), TDR(td), 0, 0);
    for (int i = 1; i < NR_TDVPX; i++) {
        must("TDH.VP.ADDCX", VP_ADDCX, TDVPX(td, i), TDVPR(td), 0, 0);
    }
    must("TDH.VP.INIT", VP_INIT, TDVPR(td), 0x1234, 0, 0);
}

static __attribute__((unused)) void cache_wb(void)
{
    uint64_t status, resume = 0;

    do {
        status = seamcall(CACHE_WB, resume, 0, 0, 0);
        resume = 1;
    } while (status == INTERRUPTED_RESUMABLE);
    expect("TDH.PHYMEM.CACHE.WB", status, SUCCESS);
}

/* The TD is in the state before this one. */
static __attribute__((unused)) void next_state(int td, enum td_state state)
{
    switch (state) {
    case HKID_ASSIGNED:
        must("TDH.MNG.CREATE", MNG_CREATE, TDR(td), HKID(td), 0, 0);
        break;
    case NO_TDCX:
        must("TDH.MNG.KEY.CONFIG", MNG_KEY_CONFIG, TDR(td), 0, 0, 0);
        break;
    case UNINITIALIZED:
        for (int i = 0; i < NR_TDCX; i++) {
            must("TDH.MNG.ADDCX", MNG_ADDCX, TDCX(td, i), TDR(td), 0, 0);
        }
        break;
    case INITIALIZED:
        must("TDH.MNG.INIT", MNG_INIT, TDR(td), (uint64_t)td_params, 0, 0);
        make_vcpu(td);
        break;
    case RUNNABLE:
        must("TDH.MR.FINALIZE", MR_FINALIZE, TDR(td), 0, 0, 0);
        break;
    case KEY_BLOCKED:
        must("TDH.VP.FLUSH", VP_FLUSH, TDVPR(td), 0, 0, 0);
        must("TDH.MNG.VPFLUSHDONE", MNG_VPFLUSHDONE, TDR(td), 0, 0, 0);
        break;
    case TEARDOWN:
        cache_wb();
        must("TDH.MNG.KEY.FREEID", MNG_KEY_FREEID, TDR(td), 0, 0, 0);
        break;
    default:
        break;
    }
}

static __attribute__((unused)) void make_td(int td, enum td_state state)
{
    for (enum td_state i = HKID_ASSIGNED; i <= state; i++) {
        next_state(td, i);
    }
}

/* Secure EPT: a GPA with its level is an operand. */

#define LEVEL_4K        0
#define LEVEL_2M        1
#define LEVEL_1G        2
#define LEVEL_512G      3

/* All but the entry itself, for GPAs below 1 GiB: the levels above it */
static __attribute__((unused)) void make_tree(int td, int lowest)
{
    for (int level = LEVEL_512G; level > lowest; level--) {
        must("TDH.MEM.SEPT.ADD", MEM_SEPT_ADD, 0 | level, TDR(td),
             SEPT(td, level - 1), 0);
    }
}
