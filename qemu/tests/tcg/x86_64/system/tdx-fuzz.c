/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX: leaves in no order at all
 *
 * Random leaves of the host, with operands that often are right, and random
 * leaves of TDs.  Nothing may end the machine, and what the module says of its
 * pages must agree.  Run it with the options in tdx.h.  Each episode is
 * STEPS leaves: EXTRA_CFLAGS=-DEPISODES=334, in the environment of make, is
 * for a million.
 */
#include "tdx-td-code.h"

#define EXIT_EPT        48
#ifndef EPISODES
#define EPISODES        12
#endif
#define STEPS           3000
#define NR_TDS          3
#define NR_FIX          256
#define NR_PAGES        (64 * NR_TDS + NR_FIX)
#define NR_BIG          4

static uint64_t seed = 0x123456789abcdef;

/* Xorshift64* (Vigna) */
static uint64_t next_random(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * 0x2545f4914f6cdd1d;
}

static uint64_t below(uint64_t n)
{
    return next_random() % n;
}

static uint64_t random_page(void)
{
    switch (below(8)) {
    case 0:
        return BIG(below(NR_BIG));
    case 1:
        return BIG(below(NR_BIG)) + PAGE * below(512);
    default:
        return P(below(64 * NR_TDS));
    }
}

/* A GPA with its level: few of them, so that they meet. */
static uint64_t random_gpa(void)
{
    uint64_t level = below(5);
    uint64_t gpa = (below(16) ? 0 : TD_TOP_2M) + PAGE * below(8) +
                   2 * MB * below(2);

    if (below(8)) {
        level &= 1;
        gpa &= -(PAGE << (9 * level));
    }
    return gpa | level;
}

static uint64_t random_field(void)
{
    static const uint8_t classes[] = { 0x00, 0x01, 0x10, 0x11, 0x12, 0x13, 0x14,
                                       0x20, 0x08, 0x19 };
    uint64_t class_code = classes[below(ARRAY_SIZE(classes))];

    return class_code << 56 | 3ul << 32 | below(below(2) ? 0x40 : 0x10000);
}

static uint64_t random_operand(void)
{
    int td = below(NR_TDS);

    switch (below(12)) {
    case 0:
    case 1:
        return TDR(td);
    case 2:
        return TDVPR(td);
    case 3:
    case 4:
        return random_page();
    case 5:
    case 6:
        return random_gpa();
    case 7:
        return HKID(td);
    case 8:
        return random_field();
    case 9:
        return (uint64_t)td_params;
    case 10:
        return below(8);
    default:
        return next_random() >> below(64);
    }
}

/*
 * What the leaf wants in RCX, RDX and R8: t is a TDR, v a TDVPR, p a page, g a
 * GPA, h a key id, f a field, a parameters.  The last ones end what others
 * need, and are seldom called.
 */
static const struct {
    uint64_t leaf;
    const char *operands;
} leaves[] = {
    { VP_ENTER, "v" }, { MNG_ADDCX, "pt" }, { MEM_PAGE_ADD, "gtp" },
    { MEM_PAGE_ADD, "gtp" }, { MEM_SEPT_ADD, "gtp" }, { MEM_SEPT_ADD, "gtp" },
    { VP_ADDCX, "pv" }, { MEM_PAGE_AUG, "gtp" }, { MEM_PAGE_AUG, "gtp" },
    { MEM_RANGE_BLOCK, "gt" }, { MEM_PAGE_REMOVE, "gt" },
    { MEM_PAGE_REMOVE, "gt" }, { MEM_TRACK, "t" }, { MR_EXTEND, "gt" },
    { MNG_KEY_CONFIG, "t" }, { MNG_CREATE, "ph" }, { VP_CREATE, "pt" },
    { MNG_RD, "tf" }, { MNG_INIT, "ta" }, { VP_INIT | VERSION(1), "v" },
    { PAGE_RDMD, "p" }, { VP_RD, "vf" }, { VP_WR, "vf" },
    { PAGE_RECLAIM, "p" }, { SYS_KEY_CONFIG, "" }, { SYS_INIT, "" },
    { SYS_RD, "0f" }, { SYS_LP_INIT, "" }, { SYS_TDMR_INIT, "" },
    { CACHE_WB, "" }, { PAGE_WBINVD, "p" }, { SYS_CONFIG, "" },
    { MR_FINALIZE, "t" }, { VP_FLUSH, "v" }, { MNG_VPFLUSHDONE, "t" },
    { MNG_KEY_FREEID, "t" }, { PAGE_RECLAIM, "t" },
};
#define NR_ENDS         5

static uint64_t operand_for(char kind, int td)
{
    switch (kind) {
    case 't':
        return TDR(td);
    case 'v':
        return TDVPR(td);
    case 'p':
        return random_page();
    case 'g':
        return random_gpa();
    case 'h':
        return HKID(td);
    case 'f':
        return random_field();
    case 'a':
        return (uint64_t)td_params;
    default:
        return 0;
    }
}

static void random_leaf(void)
{
    int i = below(ARRAY_SIZE(leaves) - (below(64) ? NR_ENDS : 0));
    int td = below(NR_TDS);
    const char *kind = leaves[i].operands;
    uint64_t arg[4] = { 0, 0, 0, RESERVED_PAGE };

    for (int j = 0; j < 4; j++) {
        if (*kind) {
            arg[j] = operand_for(*kind++, td);
        }
        if (!below(20)) {
            arg[j] = random_operand();
        }
    }
    for (int j = 10; j < 16; j++) {
        /* Nothing that the code of a TD would never come back from */
        reg[j] = j == R10 ? below(DO_SPIN) : random_operand();
    }
    seamcall(leaves[i].leaf ^ (below(50) ? 0 : 1ul << below(32)), arg[0],
             arg[1], arg[2], arg[3]);
}

/* The TD goes on if there is a page where it had none. */
static int next_fix;

static void fix(int td, uint64_t gpa)
{
    for (int level = LEVEL_1G; level >= LEVEL_4K && next_fix < NR_FIX;
         level--) {
        seamcall(level ? MEM_SEPT_ADD : MEM_PAGE_AUG,
                 (gpa & -(PAGE << 9 * level)) | level, TDR(td),
                 P(64 * NR_TDS + next_fix++), 0);
    }
}

/* A TD that executes random leaves of TDs */
static void random_td_leaf(int td)
{
    uint64_t rcx = below(2) ? random_gpa() : random_operand(), status;

    status = td_op(td, below(4) ? DO_TDCALL : below(DO_SPIN), below(13), rcx,
                   below(2) ? random_field() : random_operand(),
                   random_operand(), next_random());
    if (status == EXIT_EPT) {
        fix(td, reg[R8]);
    }
}

/* All pages that there may be something in */
#define NR_ALL          (NR_PAGES + 512 * NR_BIG)
#define TYPE_FREE       0
#define TYPE_TDR        4

static uint64_t page(int i)
{
    return i < NR_PAGES ? P(i) : BIG(0) + PAGE * (i - NR_PAGES);
}

static uint64_t type_of(int i)
{
    must("RDMD", PAGE_RDMD, page(i), 0, 0, 0);
    return reg[RCX];
}

/* The pages that a TD has are those that it counts. */
static void check_pages(int td)
{
    uint64_t owned = 0;

    if (seamcall(MNG_RD, TDR(td), 0x8000000300000004, 0, 0) != SUCCESS) {
        return;
    }
    owned = reg[R8];
    for (int i = 0; i < NR_ALL; i++) {
        type_of(i);
        owned -= reg[RDX] == TDR(td);
    }
    expect("pages that the TD counts and does not have", owned, 0);
}

static void for_each_tdr(uint64_t leaf)
{
    for (int i = 0; i < NR_ALL; i++) {
        if (type_of(i) == TYPE_TDR) {
            seamcall(leaf, page(i), 0, 0, 0);
        }
    }
}

/* Whatever the TDs have become, their pages can be had back. */
static void tear_down(void)
{
    for (int i = 0; i < NR_ALL; i++) {
        seamcall(VP_FLUSH, page(i), 0, 0, 0);
    }
    for_each_tdr(MNG_VPFLUSHDONE);
    seamcall(CACHE_WB, 0, 0, 0, 0);
    for_each_tdr(MNG_KEY_FREEID);
    for (int i = 0; i < NR_ALL; i++) {
        if (type_of(i) != TYPE_TDR) {
            seamcall(PAGE_RECLAIM, page(i), 0, 0, 0);
        }
    }
    for_each_tdr(PAGE_RECLAIM);
    for (int i = 0; i < NR_ALL; i++) {
        expect("page at the end", type_of(i), TYPE_FREE);
    }
}

static void episode(void)
{
    next_fix = 0;
    for (int td = 0; td < NR_TDS; td++) {
        enum td_state state = below(8) ? INITIALIZED : below(INITIALIZED);

        make_td(td, state);
        if (state == INITIALIZED) {
            load_td(td);
            if (below(3)) {
                next_state(td, RUNNABLE);
            }
        }
    }
    for (int i = 0; i < STEPS; i++) {
        if (below(4)) {
            random_leaf();
        } else {
            random_td_leaf(below(NR_TDS));
        }
    }
    for (int td = 0; td < NR_TDS; td++) {
        check_pages(td);
    }
}

/* What is left, whatever it is, becomes the host's. */
static void test_disable(void)
{
    uint64_t status;

    do {
        status = seamcall(SYS_DISABLE, 0, 0, 0, 0);
    } while (status == INTERRUPTED_RESUMABLE);
    expect("DISABLE", status, SUCCESS);
    for (int i = 0; i < NR_ALL; i++) {
        MEM64(page(i)) = i;
        expect("page of the host", MEM64(page(i)), i);
    }
}

int main(void)
{
    bring_up();
    for (int i = 0; i < EPISODES; i++) {
        episode();
        if (i + 1 < EPISODES) {
            tear_down();
        }
    }
    test_disable();
    return result();
}
