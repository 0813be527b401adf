/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX: faults that the machine's property tdx-fault-seed makes
 *
 * Run it with the options in tdx.h and -M q35,tdx-fault-seed=2024.
 */
#include "tdx-td-code.h"

#define TD              0
#define GPA             0x5000ul

/* What fails, and with what; that it was seen, and how often it was called */
static struct {
    uint64_t leaf, status;
    int seen, calls;
} faults[] = {
    { VP_ENTER, OPERAND_BUSY | OP_TD_EPOCH },
    { VP_ENTER, OPERAND_BUSY | OP_SEPT_TREE },
    { MNG_ADDCX, RND_NO_ENTROPY },
    { MEM_PAGE_ADD, OPERAND_BUSY | RCX },
    { MEM_SEPT_ADD, OPERAND_BUSY | OP_SEPT_TREE },
    { MEM_PAGE_AUG, OPERAND_BUSY | RCX },
    { MEM_PAGE_AUG, OPERAND_BUSY | OP_SEPT_TREE },
    { MEM_RANGE_BLOCK, OPERAND_BUSY | OP_SEPT_TREE },
    { MNG_CREATE, RND_NO_ENTROPY },
    { MEM_PAGE_REMOVE, OPERAND_BUSY | RCX },
    { MEM_TRACK, OPERAND_BUSY | OP_TD_EPOCH },
    { CACHE_WB, INTERRUPTED_RESUMABLE },
};

static bool is_fault(uint64_t leaf, uint64_t status)
{
    bool found = false;

    for (int i = 0; i < ARRAY_SIZE(faults); i++) {
        if (faults[i].leaf == leaf) {
            faults[i].calls++;
            if (faults[i].status == status) {
                faults[i].seen++;
                found = true;
            }
        }
    }
    return found;
}

/* A leaf that must succeed, at once or when it is called again */
static void twice(uint64_t leaf, uint64_t rcx, uint64_t rdx, uint64_t r8,
                  uint64_t r9)
{
    uint64_t status = seamcall(leaf, rcx, rdx, r8, r9);

    if (is_fault(leaf, status)) {
        status = seamcall(leaf, rcx, rdx, r8, r9);
        expect("leaf that is called again", status, SUCCESS);
    } else {
        expect("leaf", status, SUCCESS);
    }
}

/*
 * The first 64 calls: which of them fail follows from the seed.  One that fails
 * has not looked at its operands; one that does not has.
 */
#define FIRST_CALLS     0x9001510040200200

static void test_seed(void)
{
    uint64_t failed_calls = 0;

    for (int i = 0; i < 64; i++) {
        uint64_t status = seamcall(MNG_CREATE, RESERVED_PAGE, HKID(TD), 0, 0);

        if (status == RND_NO_ENTROPY) {
            failed_calls |= 1ul << i;
        } else {
            expect("TDR: reserved", status, METADATA_INCORRECT | RCX);
        }
    }
    expect("calls that fail", failed_calls, FIRST_CALLS);
}

static uint64_t retry_enter(void)
{
    uint64_t status = enter(TD);

    if (is_fault(VP_ENTER, status)) {
        status = enter(TD);
    }
    return status;
}

/* A TD as in make_td(), with leaves that fail */
static void make_td_twice(void)
{
    twice(MNG_CREATE, TDR(TD), HKID(TD), 0, 0);
    next_state(TD, NO_TDCX);
    for (int i = 0; i < NR_TDCX; i++) {
        twice(MNG_ADDCX, TDCX(TD, i), TDR(TD), 0, 0);
    }
    next_state(TD, INITIALIZED);
    for (int level = LEVEL_512G; level >= LEVEL_2M; level--) {
        twice(MEM_SEPT_ADD, level, TDR(TD), SEPT(TD, level), 0);
    }
    for (int i = 0; i < 8; i++) {
        twice(MEM_PAGE_ADD, GPA + PAGE * (1 + i), TDR(TD), PRIVATE(TD, 1 + i),
              RESERVED_PAGE);
    }
    next_state(TD, RUNNABLE);
    for (int i = 0; i < 16; i++) {
        twice(MEM_PAGE_AUG, GPA, TDR(TD), PRIVATE(TD, 0), 0);
        twice(MEM_RANGE_BLOCK, GPA, TDR(TD), 0, 0);
        twice(MEM_TRACK, TDR(TD), 0, 0, 0);
        twice(MEM_PAGE_REMOVE, GPA, TDR(TD), 0, 0);
        /* It has nothing to execute. */
        expect("TD exit", retry_enter(), 48);
    }
}

static void tear_down_twice(void)
{
    uint64_t status = 0;

    next_state(TD, KEY_BLOCKED);
    for (uint64_t resume = 0; ; resume = 1) {
        status = seamcall(CACHE_WB, resume, 0, 0, 0);
        if (!is_fault(CACHE_WB, status)) {
            break;
        }
    }
    expect("CACHE.WB", status, SUCCESS);
    must("FREEID", MNG_KEY_FREEID, TDR(TD), 0, 0, 0);
    for (uint64_t pa = TDR(TD) + PAGE; pa < TDR(TD + 1); pa += PAGE) {
        seamcall(PAGE_RECLAIM, pa, 0, 0, 0);
    }
    must("RECLAIM of the TDR", PAGE_RECLAIM, TDR(TD), 0, 0, 0);
}

int main(void)
{
    bring_up();
    test_seed();
    for (int i = 0; i < 16; i++) {
        make_td_twice();
        tear_down_twice();
    }
    for (int i = 0; i < ARRAY_SIZE(faults); i++) {
        check(faults[i].seen > 0 && faults[i].seen < faults[i].calls,
              "faults that were seen", faults[i].seen, faults[i].calls / 4);
    }
    return result();
}
