/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX: secure EPT entries, every state by every leaf of the host
 *
 * What a TD does to them is in tdx-guest.c.  Run it with the options in tdx.h.
 */
#include "tdx.h"

/* TDs: one that is not finalized, one that is, and one to be measured */
#define BUILD           0
#define RUN_TD          1
#define MEASURED        2

#define SOURCE          (80 * MB)
#define ESI             (ENTRY_STATE_INCORRECT | RCX)
#define NB              (NOT_BLOCKED | RCX)
#define AB              (ALREADY_BLOCKED | RCX)
#define TND             (TRACKING_NOT_DONE | RCX)
#define OPST            OP_STATE_INCORRECT

/* States, as in the extended information about an entry */
enum state {
    FREE = 0, BLOCKED = 1, PENDING = 2, PENDING_BLOCKED = 3, MAPPED = 4,
    NL_BLOCKED = 129, NL_MAPPED = 132,
};

static uint64_t next_small = P(64 * 8), next_big = BIG(0);
static uint64_t next_gpa[NR_TD_STATES], next_gpa_2m[NR_TD_STATES];

static uint64_t new_page(int level)
{
    uint64_t page = level == LEVEL_2M ? next_big : next_small;

    if (level == LEVEL_2M) {
        next_big += 2 * MB;
    } else {
        next_small += PAGE;
    }
    return page;
}

/* Entries of 4 KiB are in the first 2 MiB, those of 2 MiB follow. */
static uint64_t new_gpa(int td, int level)
{
    return level == LEVEL_2M ? 2 * MB * ++next_gpa_2m[td] :
                               PAGE * next_gpa[td]++;
}

/* The state of an entry, by a leaf that fails */
static uint64_t state_of(int td, uint64_t gpa, int level)
{
    uint64_t status = seamcall(MEM_PAGE_AUG, gpa | level, TDR(td), 8, 0);

    if (status == (OPERAND_INVALID | R8)) {
        return FREE;
    }
    expect("entry that is not free", status, ESI);
    expect("level of the entry", reg[RDX] & 0xff, level);
    return reg[RDX] >> 8;
}

static void add(int td, uint64_t gpa)
{
    must("PAGE.ADD", MEM_PAGE_ADD, gpa, TDR(td), new_page(LEVEL_4K), SOURCE);
}

static void block(int td, uint64_t gpa, int level)
{
    must("RANGE.BLOCK", MEM_RANGE_BLOCK, gpa | level, TDR(td), 0, 0);
}

/* From free, or from mapped for MAPPED and BLOCKED, to the state */
static void make_entry(int td, uint64_t gpa, int level, enum state state)
{
    if (state == PENDING || state == PENDING_BLOCKED) {
        must("PAGE.AUG", MEM_PAGE_AUG, gpa | level, TDR(td), new_page(level),
             0);
    } else if (state == NL_MAPPED || state == NL_BLOCKED) {
        must("SEPT.ADD", MEM_SEPT_ADD, gpa | level, TDR(td),
             new_page(LEVEL_4K), 0);
    }
    if (state == BLOCKED || state == PENDING_BLOCKED || state == NL_BLOCKED) {
        block(td, gpa, level);
    }
    expect("entry that was made", state_of(td, gpa, level), state);
}

#define NR_STATES       5
static const enum state states[2][NR_STATES] = {
    { FREE, MAPPED, BLOCKED, PENDING, PENDING_BLOCKED },
    { FREE, PENDING, PENDING_BLOCKED, NL_MAPPED, NL_BLOCKED },
};

static const char *const names[2][NR_STATES] = {
    { "4K free", "4K mapped", "4K blocked", "4K pending",
      "4K pending blocked" },
    { "2M free", "2M pending", "2M pending blocked", "2M of entries",
      "2M of entries, blocked" },
};

/* For each state as above: the status, and the state after it */
static const struct row {
    const char *what;
    int level;
    uint64_t leaf;
    struct {
        uint64_t status;
        enum state after;
    } by_state[NR_STATES];
} build_rows[] = {
    { "PAGE.ADD", LEVEL_4K, MEM_PAGE_ADD,
      { { SUCCESS, MAPPED }, { ESI, MAPPED }, { ESI, BLOCKED },
        { ESI, PENDING }, { ESI, PENDING_BLOCKED } } },
    { "PAGE.AUG", LEVEL_4K, MEM_PAGE_AUG,
      { { SUCCESS, PENDING }, { ESI, MAPPED }, { ESI, BLOCKED },
        { ESI, PENDING }, { ESI, PENDING_BLOCKED } } },
    { "BLOCK", LEVEL_4K, MEM_RANGE_BLOCK,
      { { ESI, FREE }, { SUCCESS, BLOCKED }, { AB, BLOCKED },
        { SUCCESS, PENDING_BLOCKED }, { AB, PENDING_BLOCKED } } },
    { "REMOVE", LEVEL_4K, MEM_PAGE_REMOVE,
      { { ESI, FREE }, { SUCCESS, FREE }, { SUCCESS, FREE }, { SUCCESS, FREE },
        { SUCCESS, FREE } } },
    { "SEPT.ADD", LEVEL_2M, MEM_SEPT_ADD,
      { { SUCCESS, NL_MAPPED }, { ESI, PENDING }, { ESI, PENDING_BLOCKED },
        { ESI, NL_MAPPED }, { ESI, NL_BLOCKED } } },
    { "PAGE.AUG", LEVEL_2M, MEM_PAGE_AUG,
      { { SUCCESS, PENDING }, { ESI, PENDING }, { ESI, PENDING_BLOCKED },
        { ESI, NL_MAPPED }, { ESI, NL_BLOCKED } } },
    { "BLOCK", LEVEL_2M, MEM_RANGE_BLOCK,
      { { ESI, FREE }, { SUCCESS, PENDING_BLOCKED }, { AB, PENDING_BLOCKED },
        { SUCCESS, NL_BLOCKED }, { AB, NL_BLOCKED } } },
    { "REMOVE", LEVEL_2M, MEM_PAGE_REMOVE,
      { { ESI, FREE }, { SUCCESS, FREE }, { SUCCESS, FREE },
        { ESI, NL_MAPPED }, { ESI, NL_BLOCKED } } },
};

/* The same for a TD that may run */
static const struct row run_rows[] = {
    { "PAGE.ADD", LEVEL_4K, MEM_PAGE_ADD,
      { { OPST, FREE }, { OPST, MAPPED }, { OPST, BLOCKED },
        { OPST, PENDING }, { OPST, PENDING_BLOCKED } } },
    { "PAGE.AUG", LEVEL_4K, MEM_PAGE_AUG,
      { { SUCCESS, PENDING }, { ESI, MAPPED }, { ESI, BLOCKED },
        { ESI, PENDING }, { ESI, PENDING_BLOCKED } } },
    { "BLOCK", LEVEL_4K, MEM_RANGE_BLOCK,
      { { ESI, FREE }, { SUCCESS, BLOCKED }, { AB, BLOCKED },
        { SUCCESS, PENDING_BLOCKED }, { AB, PENDING_BLOCKED } } },
    { "REMOVE", LEVEL_4K, MEM_PAGE_REMOVE,
      { { ESI, FREE }, { NB, MAPPED }, { TND, BLOCKED }, { NB, PENDING },
        { TND, PENDING_BLOCKED } } },
    { "SEPT.ADD", LEVEL_2M, MEM_SEPT_ADD,
      { { SUCCESS, NL_MAPPED }, { ESI, PENDING }, { ESI, PENDING_BLOCKED },
        { ESI, NL_MAPPED }, { ESI, NL_BLOCKED } } },
    { "PAGE.AUG", LEVEL_2M, MEM_PAGE_AUG,
      { { SUCCESS, PENDING }, { ESI, PENDING }, { ESI, PENDING_BLOCKED },
        { ESI, NL_MAPPED }, { ESI, NL_BLOCKED } } },
    { "BLOCK", LEVEL_2M, MEM_RANGE_BLOCK,
      { { ESI, FREE }, { SUCCESS, PENDING_BLOCKED }, { AB, PENDING_BLOCKED },
        { SUCCESS, NL_BLOCKED }, { AB, NL_BLOCKED } } },
    { "REMOVE", LEVEL_2M, MEM_PAGE_REMOVE,
      { { ESI, FREE }, { NB, PENDING }, { TND, PENDING_BLOCKED },
        { ESI, NL_MAPPED }, { ESI, NL_BLOCKED } } },
};

static void test_cell(int td, const struct row *row, int i, uint64_t gpa)
{
    int level = row->level;
    enum state state = states[level][i];
    uint64_t page = new_page(row->leaf == MEM_SEPT_ADD ? LEVEL_4K : level);
    uint64_t status = row->by_state[i].status, got;

    make_entry(td, gpa, level, state);
    got = seamcall(row->leaf, gpa | level, TDR(td), page, SOURCE);
    if (got != status) {
        ml_printf("%s, %s: ", row->what, names[level][i]);
    }
    expect(row->what, got, status);
    if (status == ESI || status == NB || status == AB) {
        expect("entry that the host is told of", reg[RDX], level | state << 8);
    }
    if (status == SUCCESS && row->leaf == MEM_PAGE_REMOVE) {
        uint64_t pa = reg[RCX];

        must("RDMD of what was removed", PAGE_RDMD, pa, 0, 0, 0);
        expect("type of what was removed", reg[RCX], 0);
        MEM64(pa) = 0x1234;
        expect("what was removed is the host's", MEM64(pa), 0x1234);
    }
    expect(names[level][i], state_of(td, gpa, level), row->by_state[i].after);
}

/* What a TD that may run has must have been added before. */
static uint64_t mapped[64];
static int nr_mapped;

static void test_rows(int td, const struct row *rows, int nr)
{
    for (int r = 0; r < nr; r++) {
        for (int i = 0; i < NR_STATES; i++) {
            enum state state = states[rows[r].level][i];
            uint64_t gpa;

            if (state != MAPPED && state != BLOCKED) {
                gpa = new_gpa(td, rows[r].level);
            } else if (td == RUN_TD) {
                gpa = mapped[--nr_mapped];
            } else {
                gpa = new_gpa(td, LEVEL_4K);
                add(td, gpa);
            }
            test_cell(td, &rows[r], i, gpa);
        }
    }
}

/* Operands, with the tree of BUILD as it is after the tables */
#define GPA             (300 * PAGE)    /* free, of 4 KiB */
#define GPA_2M          (300 * 2 * MB)
#define LEAF_PAGE       PRIVATE(BUILD, 0)
#define T               TDR(BUILD)

static const struct step operands[] = {
    { "shared GPA", MEM_PAGE_AUG, 1ul << 47, T, LEAF_PAGE, 0,
      OPERAND_INVALID | RCX },
    { "GPA beyond 48 bits", MEM_PAGE_AUG, 1ul << 48, T, LEAF_PAGE, 0,
      OPERAND_INVALID | RCX },
    { "reserved bits of RCX", MEM_PAGE_AUG, GPA | 8, T, LEAF_PAGE, 0,
      OPERAND_INVALID | RCX },
    { "GPA not aligned to its level", MEM_PAGE_AUG, GPA | LEVEL_2M, T, BIG(99),
      0, OPERAND_INVALID | RCX },
    { "AUG of 1G", MEM_PAGE_AUG, LEVEL_1G, T, BIG(0), 0,
      OPERAND_INVALID | RCX },
    { "ADD of 2M", MEM_PAGE_ADD, GPA_2M | LEVEL_2M, T, BIG(99), SOURCE,
      OPERAND_INVALID | RCX },
    { "SEPT.ADD of 4K", MEM_SEPT_ADD, GPA, T, LEAF_PAGE, 0,
      OPERAND_INVALID | RCX },
    { "SEPT.ADD above the root", MEM_SEPT_ADD, 4, T, LEAF_PAGE, 0,
      OPERAND_INVALID | RCX },
    { "BLOCK above the root", MEM_RANGE_BLOCK, 4, T, 0, 0,
      OPERAND_INVALID | RCX },
    { "AUG, page not aligned", MEM_PAGE_AUG, GPA, T, LEAF_PAGE + 8, 0,
      OPERAND_INVALID | R8 },
    { "AUG of 2M, page not aligned", MEM_PAGE_AUG, GPA_2M | LEVEL_2M, T,
      LEAF_PAGE, 0, OPERAND_INVALID | R8 },
    { "ADD, source not aligned", MEM_PAGE_ADD, GPA, T, LEAF_PAGE, SOURCE + 8,
      OPERAND_INVALID | R9 },
    { "ADD, source of no memory", MEM_PAGE_ADD, GPA, T, LEAF_PAGE, 16 * GB,
      OPERAND_INVALID | R9 },
    { "AUG, page of the TD itself", MEM_PAGE_AUG, GPA, T, TDCX(BUILD, 0), 0,
      METADATA_INCORRECT | R8 },
    { "AUG of 2M, with pages in it", MEM_PAGE_AUG, GPA_2M | LEVEL_2M, T,
      P(512), 0, METADATA_INCORRECT | R8 },
    { "AUG of 4K, in a page of 2M", MEM_PAGE_AUG, GPA, T, BIG(0) + PAGE, 0,
      METADATA_INCORRECT | R8 },
    { "no such level in the tree", MEM_PAGE_AUG, GB, T, LEAF_PAGE, 0,
      WALK_FAILED | RCX },
    { "EXTEND of what is not mapped", MR_EXTEND, GPA, T, 0, 0,
      ENTRY_NOT_PRESENT | RCX },
    { "EXTEND, not aligned", MR_EXTEND, GPA + 128, T, 0, 0,
      OPERAND_INVALID | RCX },
    { "EXTEND of a shared GPA", MR_EXTEND, 1ul << 47, T, 0, 0,
      OPERAND_INVALID | RCX },
};

static void test_walks(void)
{
    uint64_t gpa = new_gpa(BUILD, LEVEL_2M);

    make_entry(BUILD, gpa, LEVEL_2M, NL_BLOCKED);
    expect("below what is blocked",
           seamcall(MEM_PAGE_AUG, gpa, T, LEAF_PAGE, 0), WALK_FAILED | RCX);
    expect("where the walk ended", reg[RDX], LEVEL_2M | NL_BLOCKED << 8);
    gpa = new_gpa(BUILD, LEVEL_2M);
    make_entry(BUILD, gpa, LEVEL_2M, PENDING);
    expect("below a page of 2M",
           seamcall(MEM_RANGE_BLOCK, gpa + PAGE, T, 0, 0), WALK_FAILED | RCX);
    expect("where the walk ended", reg[RDX], LEVEL_2M | PENDING << 8);
    must("RDMD within 2M", PAGE_RDMD, next_big - PAGE, 0, 0, 0);
    expect("RDMD within 2M: type", reg[RCX], 3);
    expect("RDMD within 2M: owner", reg[RDX], T);
    expect("RDMD within 2M: level", reg[R8], LEVEL_2M);
}

/* Epochs: TRACK is what lets a page be removed; no vCPU runs. */
static void test_tracking(void)
{
    uint64_t gpa = new_gpa(RUN_TD, LEVEL_4K), pa = new_page(LEVEL_4K), epoch;

    must("MNG.RD of the epoch", MNG_RD, TDR(RUN_TD), 0x9200000300000000, 0, 0);
    epoch = reg[R8];
    must("PAGE.AUG", MEM_PAGE_AUG, gpa, TDR(RUN_TD), pa, 0);
    block(RUN_TD, gpa, LEVEL_4K);
    must("RDMD", PAGE_RDMD, pa, 0, 0, 0);
    expect("epoch in which it was blocked", reg[R9], epoch);
    expect("REMOVE before TRACK",
           seamcall(MEM_PAGE_REMOVE, gpa, TDR(RUN_TD), 0, 0), TND);
    must("TRACK", MEM_TRACK, TDR(RUN_TD), 0, 0, 0);
    must("MNG.RD of the epoch", MNG_RD, TDR(RUN_TD), 0x9200000300000000, 0, 0);
    expect("the next epoch", reg[R8], epoch + 1);
    must("REMOVE after TRACK", MEM_PAGE_REMOVE, gpa, TDR(RUN_TD), 0, 0);
    expect("page that was removed", reg[RCX], pa);
}

/*
 * MRTD of one page and one of its parts: SHA-384 of "MEM.PAGE.ADD" with GPA
 * 0x3000, "MR.EXTEND" with 0x3100, each in 128 bytes, and 256 bytes of 0x5a.
 */
static const uint64_t mrtd[6] = {
    0xa60b38fea120b93e, 0xf10ff49ac6d03bc5, 0x55b43a31c254e6b5,
    0x5ad0e478ca7454c6, 0xb6f5854c10b31b61, 0x9a76d36e33569f86,
};

static void test_mrtd(void)
{
    make_td(MEASURED, INITIALIZED);
    make_tree(MEASURED, LEVEL_4K);
    must("PAGE.ADD", MEM_PAGE_ADD, 0x3000, TDR(MEASURED), new_page(LEVEL_4K),
         SOURCE);
    must("MR.EXTEND", MR_EXTEND, 0x3100, TDR(MEASURED), 0, 0);
    next_state(MEASURED, RUNNABLE);
    for (int i = 0; i < 6; i++) {
        must("MRTD", MNG_RD, TDR(MEASURED), 0x1300000300000000 + i, 0, 0);
        expect("MRTD", reg[R8], mrtd[i]);
    }
}

int main(void)
{
    for (int i = 0; i < PAGE; i++) {
        ((uint8_t *)SOURCE)[i] = 0x5a;
    }
    bring_up();
    make_td(BUILD, INITIALIZED);
    make_tree(BUILD, LEVEL_4K);
    test_rows(BUILD, build_rows, ARRAY_SIZE(build_rows));
    RUN(operands);
    test_walks();

    make_td(RUN_TD, INITIALIZED);
    make_tree(RUN_TD, LEVEL_4K);
    while (nr_mapped < 16) {
        mapped[nr_mapped] = new_gpa(RUN_TD, LEVEL_4K);
        add(RUN_TD, mapped[nr_mapped++]);
    }
    next_state(RUN_TD, RUNNABLE);
    test_rows(RUN_TD, run_rows, ARRAY_SIZE(run_rows));
    test_tracking();

    test_mrtd();
    return result();
}
