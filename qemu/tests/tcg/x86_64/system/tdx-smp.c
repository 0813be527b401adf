/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX: two CPUs, each a package of its own
 *
 * The second CPU executes one SEAMCALL after another for the first one.  Run it
 * with the options in tdx.h and -smp 2,sockets=2.
 */
#include "tdx-td-code.h"
#include "ap.h"

#define TD              0
#define APIC            0xfee00000ul
#define IPI_VECTOR      0x50
#define EXIT_INTERRUPT  1ul
#define EXIT_EPT        48ul

#define DATA            0x1000ul
#define GPA             0x5000ul
#define ROUNDS          1000

#define READ(var)       __atomic_load_n(&(var), __ATOMIC_ACQUIRE)
#define WRITE(var, val) __atomic_store_n(&(var), val, __ATOMIC_RELEASE)

/* The second CPU */

static struct {
    uint64_t reg[16];
    uint64_t ready, go;
    uint64_t retries;
} ap;
enum { GO_CALL = 1, GO_ROUNDS = 2 };
static uint32_t ap_vmxon_region[1024] __attribute__((aligned(4096)));
static uint8_t ap_stack[4096] __attribute__((aligned(16)));

/*
 * Both CPUs add and remove pages of one TD at the same time.  A leaf may be
 * busy, which the CPU then calls again; nothing else goes wrong.
 */
#define FIRST_GPA       0x10000ul
#define SECOND_GPA      0x20000ul

static bool may_retry(uint64_t status)
{
    return (status & 0xffffffff00000000) == OPERAND_BUSY ||
           status == PREVIOUS_EPOCH_BUSY;
}

/* How many calls were busy; RAX is the status of the last one. */
static uint64_t rounds(uint64_t *regs, uint64_t gpa, uint64_t page)
{
    static const uint64_t leaf[] = {
        MEM_PAGE_AUG, MEM_RANGE_BLOCK, MEM_TRACK, MEM_PAGE_REMOVE
    };
    uint64_t retries = 0;

    for (int i = 0; i < 4 * ROUNDS; i++) {
        do {
            regs[RAX] = leaf[i % 4];
            regs[RCX] = leaf[i % 4] == MEM_TRACK ? TDR(TD) : gpa;
            regs[RDX] = TDR(TD);
            regs[R8] = page;
            do_seamcall(regs);
        } while (may_retry(regs[RAX]) && ++retries);
        if (regs[RAX] != SUCCESS) {
            break;
        }
    }
    return retries;
}

void ap_main(void)
{
    MEM32(APIC + 0xf0) = 0x1ff;
    vmx_on(ap_vmxon_region);
    WRITE(ap.ready, 1);
    while (true) {
        uint64_t go = READ(ap.go);

        if (go == GO_ROUNDS) {
            ap.retries = rounds(ap.reg, SECOND_GPA, PRIVATE(TD, 21));
            WRITE(ap.go, 0);
        } else if (go == GO_CALL) {
            do_seamcall(ap.reg);
            /* An interrupt that a TD exit has acknowledged */
            MEM32(APIC + 0xb0) = 0;
            WRITE(ap.go, 0);
        }
        asm volatile("pause");
    }
}

static void start_ap(void)
{
    MEM32(APIC + 0xf0) = 0x1ff;
    boot_ap(ap_stack + sizeof(ap_stack));
    while (!READ(ap.ready)) {
        asm volatile("pause");
    }
}

static void ap_begin(uint64_t leaf, uint64_t rcx, uint64_t rdx, uint64_t r8)
{
    ap.reg[RAX] = leaf;
    ap.reg[RCX] = rcx;
    ap.reg[RDX] = rdx;
    ap.reg[R8] = r8;
    WRITE(ap.go, GO_CALL);
}

static uint64_t ap_end_call(void)
{
    while (READ(ap.go)) {
        asm volatile("pause");
    }
    return ap.reg[RAX];
}

static uint64_t ap_call(uint64_t leaf, uint64_t rcx, uint64_t rdx, uint64_t r8)
{
    ap_begin(leaf, rcx, rdx, r8);
    return ap_end_call();
}

/* Have the TD do something on the second CPU, and do not wait for its exit. */
static void ap_td_op(enum op op, uint64_t rax, uint64_t rcx)
{
    ap.reg[R10] = op;
    ap.reg[R11] = rax;
    ap.reg[R12] = rcx;
    ap_begin(VP_ENTER, TDVPR(TD), 0, 0);
}

static void kick_ap(void)
{
    MEM32(APIC + 0x310) = 1 << 24;
    MEM32(APIC + 0x300) = IPI_VECTOR;
}

/* Bring-up is for each CPU, and keys are for each package. */

static void test_bring_up(void)
{
    setup();
    must("SYS.INIT", SYS_INIT, 0, 0, 0, 0);
    must("LP.INIT", SYS_LP_INIT, 0, 0, 0, 0);
    expect("CONFIG before all LP.INIT", config(), CONFIG_NOT_PENDING);
    expect("LP.INIT of the other", ap_call(SYS_LP_INIT, 0, 0, 0), SUCCESS);
    expect("CONFIG", config(), SUCCESS);
    must("NUM_PKGS", SYS_RD, 0, 0x0000000100000000, 0, 0);
    expect("NUM_PKGS", reg[R8], 2);
    must("KEY.CONFIG", SYS_KEY_CONFIG, 0, 0, 0, 0);
    expect("leaf before all KEY.CONFIG",
           seamcall(MNG_CREATE, TDR(TD), HKID(TD), 0, 0), SYS_NOT_READY);
    expect("KEY.CONFIG again", seamcall(SYS_KEY_CONFIG, 0, 0, 0, 0),
           KEY_CONFIGURED);
    expect("KEY.CONFIG of the other", ap_call(SYS_KEY_CONFIG, 0, 0, 0),
           SUCCESS);
    tdmr_init(0);
    tdmr_init(GB);
}

static void test_keys(void)
{
    next_state(TD, HKID_ASSIGNED);
    must("KEY.CONFIG", MNG_KEY_CONFIG, TDR(TD), 0, 0, 0);
    expect("ADDCX before all KEY.CONFIG",
           seamcall(MNG_ADDCX, TDCX(TD, 0), TDR(TD), 0, 0),
           KEYS_NOT_CONFIGURED);
    expect("KEY.CONFIG again", seamcall(MNG_KEY_CONFIG, TDR(TD), 0, 0, 0),
           KEY_CONFIGURED);
    expect("KEY.CONFIG of the other", ap_call(MNG_KEY_CONFIG, TDR(TD), 0, 0),
           SUCCESS);
    expect("KEY.CONFIG of the other again",
           ap_call(MNG_KEY_CONFIG, TDR(TD), 0, 0), LIFECYCLE_INCORRECT);
}

/* A vCPU is associated with the CPU that had it last. */
static void test_association(void)
{
    const uint64_t field = 0xa000000200000002;

    expect("VP.RD of the other", ap_call(VP_RD, TDVPR(TD), field, 0),
           VCPU_ASSOCIATED);
    expect("VP.ENTER of the other", ap_call(VP_ENTER, TDVPR(TD), 0, 0),
           VCPU_ASSOCIATED);
    expect("VP.FLUSH of the other", ap_call(VP_FLUSH, TDVPR(TD), 0, 0),
           VCPU_NOT_ASSOCIATED);
    expect("TD entry", enter(TD), EXIT_VMCALL);
    must("VP.FLUSH", VP_FLUSH, TDVPR(TD), 0, 0, 0);
    expect("VP.RD of the other", ap_call(VP_RD, TDVPR(TD), field, 0), SUCCESS);
    expect("VP.RD", seamcall(VP_RD, TDVPR(TD), field, 0, 0), VCPU_ASSOCIATED);
    expect("VP.FLUSH", seamcall(VP_FLUSH, TDVPR(TD), 0, 0, 0),
           VCPU_NOT_ASSOCIATED);
}

/* What the host cannot do while the TD executes on the other CPU */
static const struct step busy[] = {
    { "VP.FLUSH", VP_FLUSH, TDVPR(TD), 0, 0, 0, OPERAND_BUSY | RCX },
    { "VP.ENTER", VP_ENTER, TDVPR(TD), 0, 0, 0, VCPU_ASSOCIATED },
    { "VP.RD", VP_RD, TDVPR(TD), 0xa000000200000002, 0, 0, VCPU_ASSOCIATED },
    { "VPFLUSHDONE", MNG_VPFLUSHDONE, TDR(TD), 0, 0, 0, OPERAND_BUSY | RCX },
    { "FREEID", MNG_KEY_FREEID, TDR(TD), 0, 0, 0, OPERAND_BUSY | RCX },
    { "PAGE.ADD", MEM_PAGE_ADD, GPA, TDR(TD), PRIVATE(TD, 9), RESERVED_PAGE,
      OPERAND_BUSY | RDX },
    { "RECLAIM of the TDVPR", PAGE_RECLAIM, TDVPR(TD), 0, 0, 0,
      OPERAND_BUSY | RCX },
    { "RECLAIM of the TDR", PAGE_RECLAIM, TDR(TD), 0, 0, 0,
      OPERAND_BUSY | RCX },
    { "SYS.DISABLE", SYS_DISABLE, 0, 0, 0, 0, ST(1, 1, 0x0202) },
};

/*
 * A page that is blocked can go once the TD's vCPUs that ran in that epoch have
 * left; the TD spins until then, with a translation of another page.
 */
static void test_running(void)
{
    must("PAGE.AUG", MEM_PAGE_AUG, GPA, TDR(TD), PRIVATE(TD, 8), 0);
    ap_td_op(DO_TDCALL, 6, GPA);
    expect("ACCEPT", ap_end_call(), EXIT_VMCALL);
    expect("ACCEPT", ap.reg[R11], SUCCESS);
    ap_td_op(DO_SPIN, 0, DATA);
    for (int i = 0; i < 100000; i++) {
        asm volatile("pause");
    }
    RUN(busy);
    must("RANGE.BLOCK", MEM_RANGE_BLOCK, GPA, TDR(TD), 0, 0);
    expect("REMOVE before TRACK", seamcall(MEM_PAGE_REMOVE, GPA, TDR(TD), 0, 0),
           TRACKING_NOT_DONE | RCX);
    must("TRACK", MEM_TRACK, TDR(TD), 0, 0, 0);
    expect("REMOVE with a vCPU of that epoch",
           seamcall(MEM_PAGE_REMOVE, GPA, TDR(TD), 0, 0),
           TRACKING_NOT_DONE | RCX);
    expect("TRACK with a vCPU of the epoch before",
           seamcall(MEM_TRACK, TDR(TD), 0, 0, 0), PREVIOUS_EPOCH_BUSY);
    kick_ap();
    expect("TD exit", ap_end_call(), EXIT_INTERRUPT);
    expect("vector of the interrupt", ap.reg[R9], 1ul << 31 | IPI_VECTOR);
    must("REMOVE", MEM_PAGE_REMOVE, GPA, TDR(TD), 0, 0);
    must("TRACK", MEM_TRACK, TDR(TD), 0, 0, 0);

    /* What was removed is not there any more. */
    ap_begin(VP_ENTER, TDVPR(TD), 0, 0);
    kick_ap();
    expect("TD exit", ap_end_call(), EXIT_INTERRUPT);
    expect("VP.FLUSH of the other", ap_call(VP_FLUSH, TDVPR(TD), 0, 0),
           SUCCESS);
    expect("VP.FLUSH after TD exit", seamcall(VP_FLUSH, TDVPR(TD), 0, 0, 0),
           VCPU_NOT_ASSOCIATED);
}

static void test_together(void)
{
    uint64_t children, retries = 0;

    must("CHLDCNT", MNG_RD, TDR(TD), 0x8000000300000004, 0, 0);
    children = reg[R8];
    /* Whether they meet, so that one is called again, is left to chance. */
    for (int i = 0; i < 200 && !retries; i++) {
        WRITE(ap.go, GO_ROUNDS);
        retries = rounds(reg, FIRST_GPA, PRIVATE(TD, 20));
        expect("leaves at the same time", reg[RAX], SUCCESS);
        expect("leaves of the other CPU", ap_end_call(), SUCCESS);
        retries += ap.retries;
    }
    must("CHLDCNT", MNG_RD, TDR(TD), 0x8000000300000004, 0, 0);
    expect("pages of the TD", reg[R8], children);
}

/* A key id is free once both packages have written back their caches. */
static void test_teardown(void)
{
    must("VPFLUSHDONE", MNG_VPFLUSHDONE, TDR(TD), 0, 0, 0);
    cache_wb();
    expect("FREEID after one CACHE.WB",
           seamcall(MNG_KEY_FREEID, TDR(TD), 0, 0, 0), WBCACHE_NOT_COMPLETE);
    expect("CACHE.WB of the other", ap_call(CACHE_WB, 0, 0, 0), SUCCESS);
    must("FREEID", MNG_KEY_FREEID, TDR(TD), 0, 0, 0);
}

int main(void)
{
    start_ap();
    test_bring_up();
    test_keys();
    next_state(TD, UNINITIALIZED);
    next_state(TD, INITIALIZED);
    load_td(TD);
    clear_td_page();
    add_td_page(TD, DATA, td_page, 4);
    next_state(TD, RUNNABLE);
    test_association();
    test_running();
    test_together();
    test_teardown();
    return result();
}
