/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX: life of TDs, of their vCPUs and keys, and types of pages
 *
 * Run it with the options in tdx.h.
 */
#include "tdx.h"

/* TDs: the one that leaves are called for, and one that owns other pages */
#define TD              0
#define OTHER           1

#define PARAMS          ((uint64_t)td_params)
#define NOT_ALIGNED     1ul
#define KEYID1          (1ul << KEYID_SHIFT)

/*
 * Every leaf that is about a TD, in every state of a TD.  OK is for what would
 * succeed, or fail for the sake of another operand: it is not called.
 */
#define OK              0ul
#define LIFE            LIFECYCLE_INCORRECT
#define KEYS            KEYS_NOT_CONFIGURED
#define TDCS            TDCS_NOT_ALLOCATED
#define OPST            OP_STATE_INCORRECT
#define NPAGE           PRIVATE(TD, 31)
#define NEW_VP          PRIVATE(TD, 30)     /* has no other pages yet */

static const struct {
    const char *what;
    uint64_t leaf, rcx, rdx, r8, r9;
    uint64_t status[NR_TD_STATES];
} by_state[] = {
    { "KEY.CONFIG", MNG_KEY_CONFIG, TDR(TD), 0, 0, 0,
      { OK, LIFE, LIFE, LIFE, LIFE, LIFE, LIFE } },
    { "ADDCX", MNG_ADDCX, NPAGE, TDR(TD), 0, 0,
      { KEYS, OK, TDCX_NUM_INCORRECT, TDCX_NUM_INCORRECT, TDCX_NUM_INCORRECT,
        KEYS, KEYS } },
    { "MNG.INIT", MNG_INIT, TDR(TD), PARAMS, 0, 0,
      { KEYS, TDCS, OK, OPST, OPST, KEYS, KEYS } },
    { "MNG.RD", MNG_RD, TDR(TD), 0x9100000300000000, 0, 0,
      { KEYS, TDCS, OPST, OK, OK, KEYS, KEYS } },
    { "VP.CREATE", VP_CREATE, NPAGE, TDR(TD), 0, 0,
      { KEYS, TDCS, OPST, OK, OPST, KEYS, KEYS } },
    { "SEPT.ADD", MEM_SEPT_ADD, LEVEL_512G, TDR(TD), NPAGE, 0,
      { KEYS, TDCS, OPST, OK, OK, KEYS, KEYS } },
    { "PAGE.ADD", MEM_PAGE_ADD, LEVEL_4K, TDR(TD), NPAGE, PARAMS - 1024,
      { KEYS, TDCS, OPST, OK, OPST, KEYS, KEYS } },
    { "PAGE.AUG", MEM_PAGE_AUG, LEVEL_4K, TDR(TD), NPAGE, 0,
      { KEYS, TDCS, OPST, OK, OK, KEYS, KEYS } },
    { "RANGE.BLOCK", MEM_RANGE_BLOCK, LEVEL_4K, TDR(TD), 0, 0,
      { KEYS, TDCS, OPST, OK, OK, KEYS, KEYS } },
    { "TRACK", MEM_TRACK, TDR(TD), 0, 0, 0,
      { KEYS, TDCS, OPST, OK, OK, KEYS, KEYS } },
    { "PAGE.REMOVE", MEM_PAGE_REMOVE, LEVEL_4K, TDR(TD), 0, 0,
      { KEYS, TDCS, OPST, OK, OK, KEYS, KEYS } },
    { "MR.EXTEND", MR_EXTEND, 0, TDR(TD), 0, 0,
      { KEYS, TDCS, OPST, OK, OPST, KEYS, KEYS } },
    { "MR.FINALIZE", MR_FINALIZE, TDR(TD), 0, 0, 0,
      { KEYS, TDCS, OPST, OK, OPST, KEYS, KEYS } },
    { "KEY.FREEID", MNG_KEY_FREEID, TDR(TD), 0, 0, 0,
      { LIFE, LIFE, LIFE, LIFE, LIFE, OK, LIFE } },
    { "VPFLUSHDONE", MNG_VPFLUSHDONE, TDR(TD), 0, 0, 0,
      { OK, OK, OK, FLUSHVP_NOT_DONE, FLUSHVP_NOT_DONE, LIFE, LIFE } },
    { "RECLAIM TDR", PAGE_RECLAIM, TDR(TD), 0, 0, 0,
      { LIFE, LIFE, LIFE, LIFE, LIFE, LIFE, PAGES_EXIST } },
    { "WBINVD TDR", PAGE_WBINVD, TDR(TD), 0, 0, 0,
      { METADATA_INCORRECT | RCX, METADATA_INCORRECT | RCX,
        METADATA_INCORRECT | RCX, METADATA_INCORRECT | RCX,
        METADATA_INCORRECT | RCX, METADATA_INCORRECT | RCX,
        METADATA_INCORRECT | RCX } },
};

/* The same for leaves about a vCPU, which there is from INITIALIZED on */
static const struct {
    const char *what;
    uint64_t leaf, rcx, rdx, r8, r9;
    uint64_t status[NR_TD_STATES - INITIALIZED];
} vcpu_by_state[] = {
    { "VP.ADDCX", VP_ADDCX, NPAGE, TDVPR(TD), 0, 0,
      { VCPU_STATE_INCORRECT | 1, OPST, KEYS, KEYS } },
    { "VP.INIT", VP_INIT, TDVPR(TD), 0, 0, 0,
      { VCPU_STATE_INCORRECT | 1, OPST, KEYS, KEYS } },
    { "VP.RD", VP_RD, TDVPR(TD), 0xa000000200000002, 0, 0,
      { OK, OK, KEYS, KEYS } },
    { "VP.WR", VP_WR, TDVPR(TD), 0xa00000000000000b, 1, 1,
      { OK, OK, KEYS, KEYS } },
    { "VP.ENTER", VP_ENTER, TDVPR(TD), 0, 0, 0, { OPST, OK, KEYS, KEYS } },
    { "VP.FLUSH", VP_FLUSH, TDVPR(TD), 0, 0, 0, { OK, OK, KEYS, KEYS } },
    { "RECLAIM TDVPR", PAGE_RECLAIM, TDVPR(TD), 0, 0, 0,
      { LIFE, LIFE, LIFE, OK } },
    { "RECLAIM TDCX", PAGE_RECLAIM, TDCX(TD, 0), 0, 0, 0,
      { LIFE, LIFE, LIFE, OK } },
};

static void test_state(enum td_state state)
{
    for (int i = 0; i < ARRAY_SIZE(by_state); i++) {
        if (by_state[i].status[state]) {
            expect(by_state[i].what,
                   seamcall(by_state[i].leaf, by_state[i].rcx, by_state[i].rdx,
                            by_state[i].r8, by_state[i].r9),
                   by_state[i].status[state]);
        }
    }
    for (int i = 0; state >= INITIALIZED && i < ARRAY_SIZE(vcpu_by_state);
         i++) {
        uint64_t status = vcpu_by_state[i].status[state - INITIALIZED];

        if (status) {
            expect(vcpu_by_state[i].what,
                   seamcall(vcpu_by_state[i].leaf, vcpu_by_state[i].rcx,
                            vcpu_by_state[i].rdx, vcpu_by_state[i].r8,
                            vcpu_by_state[i].r9), status);
        }
    }
}

/* TD_PARAMS: one word is other than in tdx.h. */
static const struct {
    const char *what;
    int word;
    uint64_t value, status, rcx;
} params[] = {
    { "reserved attribute", 0, 2, OPERAND_INVALID | OP_ATTRIBUTES },
    { "attribute PERFMON", 0, 1ul << 63, OPERAND_INVALID | OP_ATTRIBUTES },
    { "no x87 and SSE", 1, 0, OPERAND_INVALID | OP_XFAM },
    { "no SSE", 1, 1, OPERAND_INVALID | OP_XFAM },
    { "XFAM that there is not", 1, 1ul << 62 | 3, OPERAND_INVALID | OP_XFAM },
    { "no vCPU", 2, 0, OPERAND_INVALID | OP_MAX_VCPUS },
    { "577 vCPUs", 2, 577, OPERAND_INVALID | OP_MAX_VCPUS },
    { "L2 VM", 2, 1 << 16 | 4, OPERAND_INVALID | OP_NUM_L2_VMS },
    { "reserved field", 2, 1ul << 32 | 4, OPERAND_INVALID | RDX },
    { "EPTP of 3 levels", 3, 0x16, OPERAND_INVALID | OP_EPTP },
    { "EPTP, uncached", 3, 0x18, OPERAND_INVALID | OP_EPTP },
    { "EPTP, with accessed flags", 3, 0x5e, OPERAND_INVALID | OP_EPTP },
    { "EPTP with an address", 3, 0x101e, OPERAND_INVALID | OP_EPTP },
    { "GPAW 52 with 4 levels", 4, 1, OPERAND_INVALID | OP_EPTP },
    { "reserved flag", 4, 8, OPERAND_INVALID | OP_CONFIG_FLAGS },
    { "TSC of 75 MHz", 5, 3, OPERAND_INVALID | OP_TSC },
    { "TSC of 10.025 GHz", 5, 401, OPERAND_INVALID | OP_TSC },
    { "reserved beside the TSC", 5, 1ul << 16 | 100, OPERAND_INVALID | RDX },
    { "reserved after MROWNERCONFIG", 28, 1, OPERAND_INVALID | RDX },
    { "CPUID 1.EAX of another CPU", 32, 0x12, OPERAND_INVALID | OP_CPUID, 1 },
    { "CPUID 1.ECX that is not to be configured", 33, 1,
      OPERAND_INVALID | OP_CPUID, 1 },
    { "CPUID of no leaf", 127, 1, OPERAND_INVALID | RDX },
};

static void test_params(void)
{
    for (int i = 0; i < ARRAY_SIZE(params); i++) {
        uint64_t old = td_params[params[i].word];

        td_params[params[i].word] = params[i].value;
        expect(params[i].what, seamcall(MNG_INIT, TDR(TD), PARAMS, 0, 0),
               params[i].status);
        if (params[i].rcx) {
            expect(params[i].what, reg[RCX] & 0xffffffff, params[i].rcx);
        }
        td_params[params[i].word] = old;
    }
    expect("TD_PARAMS not aligned",
           seamcall(MNG_INIT, TDR(TD), PARAMS + 512, 0, 0),
           OPERAND_INVALID | RDX);
    expect("TD_PARAMS with a key id",
           seamcall(MNG_INIT, TDR(TD), PARAMS | KEYID1, 0, 0),
           OPERAND_INVALID | RDX);
    expect("TD_PARAMS of no memory",
           seamcall(MNG_INIT, TDR(TD), 16 * GB, 0, 0), OPERAND_INVALID | RDX);
}

/*
 * Every leaf with an operand that is a page, for every type of page: pages of
 * OTHER have one of each.
 */
enum type { NDA = 0, RSVD = 1, REG = 3, T_TDR = 4, T_TDCX = 5, T_TDVPR = 6,
            T_EPT = 8 };

static const struct {
    const char *what;
    enum type type;
    uint64_t pa;
} pages[] = {
    { "free page", NDA, PRIVATE(OTHER, 30) },
    { "reserved page", RSVD, RESERVED_PAGE },
    { "private page", REG, PRIVATE(OTHER, 0) },
    { "TDR", T_TDR, TDR(OTHER) },
    { "TDCX of TD", T_TDCX, TDCX(OTHER, 1) },
    { "TDCX of vCPU", T_TDCX, TDVPX(OTHER, 2) },
    { "TDVPR", T_TDVPR, TDVPR(OTHER) },
    { "EPT page", T_EPT, SEPT(OTHER, LEVEL_2M) },
};

#define PAGE_OPERAND    0x7777ul

static const struct {
    const char *what;
    int operand;
    enum type type;
    uint64_t leaf, rcx, rdx, r8, r9;
} page_leaves[] = {
    { "CREATE", RCX, NDA, MNG_CREATE, PAGE_OPERAND, HKID(9), 0, 0 },
    { "KEY.CONFIG", RCX, T_TDR, MNG_KEY_CONFIG, PAGE_OPERAND, 0, 0, 0 },
    { "ADDCX to", RDX, T_TDR, MNG_ADDCX, NPAGE, PAGE_OPERAND, 0, 0 },
    { "MNG.INIT", RCX, T_TDR, MNG_INIT, PAGE_OPERAND, PARAMS, 0, 0 },
    { "MNG.RD", RCX, T_TDR, MNG_RD, PAGE_OPERAND, 0x9100000300000000, 0, 0 },
    { "VPFLUSHDONE", RCX, T_TDR, MNG_VPFLUSHDONE, PAGE_OPERAND, 0, 0, 0 },
    { "KEY.FREEID", RCX, T_TDR, MNG_KEY_FREEID, PAGE_OPERAND, 0, 0, 0 },
    { "VP.CREATE", RCX, NDA, VP_CREATE, PAGE_OPERAND, TDR(TD), 0, 0 },
    { "VP.CREATE of", RDX, T_TDR, VP_CREATE, NPAGE, PAGE_OPERAND, 0, 0 },
    { "VP.ADDCX", RCX, NDA, VP_ADDCX, PAGE_OPERAND, NEW_VP, 0, 0 },
    { "VP.ADDCX to", RDX, T_TDVPR, VP_ADDCX, NPAGE, PAGE_OPERAND, 0, 0 },
    { "VP.INIT", RCX, T_TDVPR, VP_INIT, PAGE_OPERAND, 0, 0, 0 },
    { "VP.RD", RCX, T_TDVPR, VP_RD, PAGE_OPERAND, 0xa000000200000002, 0, 0 },
    { "VP.WR", RCX, T_TDVPR, VP_WR, PAGE_OPERAND, 0xa00000000000000b, 1, 1 },
    { "VP.FLUSH", RCX, T_TDVPR, VP_FLUSH, PAGE_OPERAND, 0, 0, 0 },
    { "VP.ENTER", RCX, T_TDVPR, VP_ENTER, PAGE_OPERAND, 0, 0, 0 },
    { "SEPT.ADD", R8, NDA, MEM_SEPT_ADD, LEVEL_512G, TDR(TD), PAGE_OPERAND,
      0 },
    { "SEPT.ADD of", RDX, T_TDR, MEM_SEPT_ADD, LEVEL_512G, PAGE_OPERAND, NPAGE,
      0 },
    { "PAGE.ADD of", RDX, T_TDR, MEM_PAGE_ADD, 0, PAGE_OPERAND, NPAGE, 0 },
    { "PAGE.AUG of", RDX, T_TDR, MEM_PAGE_AUG, 0, PAGE_OPERAND, NPAGE, 0 },
    { "BLOCK of", RDX, T_TDR, MEM_RANGE_BLOCK, 0, PAGE_OPERAND, 0, 0 },
    { "TRACK", RCX, T_TDR, MEM_TRACK, PAGE_OPERAND, 0, 0, 0 },
    { "REMOVE of", RDX, T_TDR, MEM_PAGE_REMOVE, 0, PAGE_OPERAND, 0, 0 },
    { "MR.EXTEND of", RDX, T_TDR, MR_EXTEND, 0, PAGE_OPERAND, 0, 0 },
    { "MR.FINALIZE", RCX, T_TDR, MR_FINALIZE, PAGE_OPERAND, 0, 0, 0 },
    { "WBINVD", RCX, NDA, PAGE_WBINVD, PAGE_OPERAND, 0, 0, 0 },
};

static uint64_t call_with_page(int i, uint64_t pa)
{
    uint64_t arg[] = { page_leaves[i].rcx, page_leaves[i].rdx,
                       page_leaves[i].r8, page_leaves[i].r9 };

    for (int j = 0; j < ARRAY_SIZE(arg); j++) {
        if (arg[j] == PAGE_OPERAND) {
            arg[j] = pa;
        }
    }
    return seamcall(page_leaves[i].leaf, arg[0], arg[1], arg[2], arg[3]);
}

static void test_page_types(void)
{
    for (int i = 0; i < ARRAY_SIZE(page_leaves); i++) {
        const char *what = page_leaves[i].what;
        int operand = page_leaves[i].operand;

        for (int j = 0; j < ARRAY_SIZE(pages); j++) {
            if (pages[j].type != page_leaves[i].type) {
                expect(what, call_with_page(i, pages[j].pa),
                       METADATA_INCORRECT | operand);
            }
        }
        expect(what, call_with_page(i, 2 * GB), OPERAND_ADDR_RANGE | operand);
        expect(what, call_with_page(i, P(0) + NOT_ALIGNED),
               OPERAND_INVALID | operand);
        if (page_leaves[i].leaf != PAGE_WBINVD) {
            expect(what, call_with_page(i, P(0) | KEYID1),
                   OPERAND_INVALID | operand);
        }
    }
    /* Nothing has changed. */
    for (int j = 0; j < ARRAY_SIZE(pages); j++) {
        must(pages[j].what, PAGE_RDMD, pages[j].pa, 0, 0, 0);
        expect(pages[j].what, reg[RCX], pages[j].type);
        expect(pages[j].what, reg[RDX],
               pages[j].type <= RSVD || pages[j].type == T_TDR ? 0 :
               TDR(OTHER));
        expect(pages[j].what, reg[R8], LEVEL_4K);
    }
}

/* vCPUs: a second one of the TD, in the pages of PRIVATE */
#define VP1             PRIVATE(TD, 1)

static const struct step vcpu_steps[] = {
    { "second vCPU", VP_CREATE, VP1, TDR(TD), 0, 0, SUCCESS },
    { "INIT without pages", VP_INIT, VP1, 0, 0, 0, TDCX_NUM_INCORRECT },
    { "FLUSH without pages", VP_FLUSH, VP1, 0, 0, 0, TDCX_NUM_INCORRECT },
    { "RD without pages", VP_RD, VP1, 0xa000000200000002, 0, 0,
      TDCX_NUM_INCORRECT },
    { "page 1", VP_ADDCX, VP1 + PAGE, VP1, 0, 0, SUCCESS },
    { "page 1 again", VP_ADDCX, VP1 + PAGE, VP1, 0, 0,
      METADATA_INCORRECT | RCX },
    { "page 2", VP_ADDCX, VP1 + 2 * PAGE, VP1, 0, 0, SUCCESS },
    { "page 3", VP_ADDCX, VP1 + 3 * PAGE, VP1, 0, 0, SUCCESS },
    { "page 4", VP_ADDCX, VP1 + 4 * PAGE, VP1, 0, 0, SUCCESS },
    { "INIT without the last page", VP_INIT, VP1, 0, 0, 0,
      TDCX_NUM_INCORRECT },
    { "page 5", VP_ADDCX, VP1 + 5 * PAGE, VP1, 0, 0, SUCCESS },
    { "page 6", VP_ADDCX, VP1 + 6 * PAGE, VP1, 0, 0, TDCX_NUM_INCORRECT },
    { "FLUSH of what is not initialized", VP_FLUSH, VP1, 0, 0, 0,
      VCPU_NOT_ASSOCIATED },
    { "RD of what is not initialized", VP_RD, VP1, 0xa000000200000002, 0, 0,
      VCPU_STATE_INCORRECT },
    { "x2APIC id that another has", VP_INIT | VERSION(1), VP1, 0, 0, 0,
      X2APIC_ID_NOT_UNIQUE },
    { "x2APIC id of 33 bits", VP_INIT | VERSION(1), VP1, 0, 1ul << 32, 0,
      OPERAND_INVALID | R8 },
    { "INIT", VP_INIT | VERSION(1), VP1, 0, 5, 0, SUCCESS },
    { "INIT again", VP_INIT | VERSION(1), VP1, 0, 6, 0,
      VCPU_STATE_INCORRECT | 1 },
    { "its index", VP_RD, VP1, 0xa000000200000002, 0, 0, SUCCESS },
    { "flags that there are not", VP_ENTER, VP1 | 1ul << 52, 0, 0, 0,
      OPERAND_INVALID | RCX },
    { "FLUSH", VP_FLUSH, VP1, 0, 0, 0, SUCCESS },
    { "FLUSH again", VP_FLUSH, VP1, 0, 0, 0, VCPU_NOT_ASSOCIATED },
};

/* Key ids: what the host must do, in this order */
static const struct step key_steps[] = {
    { "nothing to write back", CACHE_WB, 0, 0, 0, 0, NO_HKID_READY },
    { "resume what has not begun", CACHE_WB, 1, 0, 0, 0,
      WBCACHE_RESUME_ERROR },
    { "reserved bit", CACHE_WB, 2, 0, 0, 0, OPERAND_INVALID | RCX },
    { "VPFLUSHDONE before FLUSH", MNG_VPFLUSHDONE, TDR(TD), 0, 0, 0,
      FLUSHVP_NOT_DONE },
    { "FLUSH", VP_FLUSH, TDVPR(TD), 0, 0, 0, SUCCESS },
    { "VPFLUSHDONE", MNG_VPFLUSHDONE, TDR(TD), 0, 0, 0, SUCCESS },
    { "FREEID before CACHE.WB", MNG_KEY_FREEID, TDR(TD), 0, 0, 0,
      WBCACHE_NOT_COMPLETE },
    { "key id that is blocked", MNG_CREATE, NPAGE, HKID(TD), 0, 0,
      HKID_NOT_FREE },
};

/* RECLAIM: every page of the TD, and the TDR last */
static void test_reclaim(int td)
{
    uint64_t pages = 0;

    for (uint64_t pa = P(64 * td) + PAGE; pa < P(64 * td + 64); pa += PAGE) {
        uint64_t type, status;

        must("RDMD", PAGE_RDMD, pa, 0, 0, 0);
        type = reg[RCX];
        status = seamcall(PAGE_RECLAIM, pa, 0, 0, 0);
        if (type == NDA) {
            expect("RECLAIM of free page", status, METADATA_INCORRECT | RCX);
        } else {
            expect("RECLAIM", status, SUCCESS);
            expect("RECLAIM: type", reg[RCX], type);
            expect("RECLAIM: owner", reg[RDX], TDR(td));
            pages++;
        }
    }
    check(pages > 10, "pages that were reclaimed", pages, 10);
    must("RECLAIM of TDR", PAGE_RECLAIM, TDR(td), 0, 0, 0);
    expect("RECLAIM: type", reg[RCX], T_TDR);
    expect("RECLAIM of TDR again", seamcall(PAGE_RECLAIM, TDR(td), 0, 0, 0),
           METADATA_INCORRECT | RCX);
    expect("leaf for what was a TDR", seamcall(MEM_TRACK, TDR(td), 0, 0, 0),
           METADATA_INCORRECT | RCX);
}

/* Fields of TDs and of vCPUs: R8 is the value that was there. */
static const struct {
    const char *what;
    uint64_t leaf, rcx, field, value, mask, status, result;
} fields[] = {
    { "ATTRIBUTES", MNG_RD, TDR(TD), 0x9100000300000000, 0, 0, SUCCESS, 0 },
    { "XFAM", MNG_RD, TDR(TD), 0x9100000300000001, 0, 0, SUCCESS, 3 },
    { "MAX_VCPUS", MNG_RD, TDR(TD), 0x9100000300000002, 0, 0, SUCCESS, 4 },
    { "TD_CTLS, not for the host", MNG_RD, TDR(TD), 0x9110000300000017, 0, 0,
      FIELD_NOT_READABLE, 0 },
    { "RTMR, not for the host", MNG_RD, TDR(TD), 0x1300000300000040, 0, 0,
      FIELD_NOT_READABLE, 0 },
    { "CPUID 0x21: \"IntelTDX    \"", MNG_RD, TDR(TD), 0x1400000300000000 |
      0x21 << 9 | 1 << 8 | 0x7f << 1, 0, 0, SUCCESS, 0x65746e4900000000 },
    { "CPUID of no leaf", MNG_RD, TDR(TD), 0x1400000300000000 | 0x22 << 9 |
      1 << 8 | 0x7f << 1, 0, 0, FIELD_NOT_READABLE, 0 },
    { "no such field", MNG_RD, TDR(TD), 0x1100000300000077, 0, 0,
      FIELD_ID_INCORRECT, 0 },
    { "vCPU index", VP_RD, TDVPR(TD), 0xa000000200000002, 0, 0, SUCCESS, 0 },
    { "vCPU index, of the second", VP_RD, VP1, 0xa000000200000002, 0, 0,
      SUCCESS, 1 },
    { "RIP, not for the host", VP_RD, TDVPR(TD), 0x1000000300000000, 0, 0,
      FIELD_NOT_READABLE, 0 },
    { "vCPU index, to write", VP_WR, TDVPR(TD), 0xa000000200000002, 1, -1,
      FIELD_NOT_WRITABLE, 0 },
    { "shared EPTP", VP_WR, TDVPR(TD), 0x200000030000203c, 64 * MB, -1,
      FIELD_ID_INCORRECT, 0 },
    { "shared EPTP", VP_WR, TDVPR(TD), 0x000000030000203c, 64 * MB, -1,
      SUCCESS, 0 },
    { "shared EPTP with a key id", VP_WR, TDVPR(TD), 0x000000030000203c,
      KEYID1, -1, FIELD_VALUE_NOT_VALID, 0 },
    { "shared EPTP, not aligned", VP_WR, TDVPR(TD), 0x000000030000203c,
      64 * MB + 8, -1, FIELD_VALUE_NOT_VALID, 0 },
    { "shared EPTP, of some bits", VP_WR, TDVPR(TD), 0x000000030000203c,
      -1, 1ul << 30, SUCCESS, 64 * MB },
    { "shared EPTP, to read", VP_RD, TDVPR(TD), 0x000000030000203c, 0, 0,
      SUCCESS, 64 * MB | 1ul << 30 },
    { "descriptor, not aligned", VP_WR, TDVPR(TD), 0x0000000300002016, 32, -1,
      FIELD_VALUE_NOT_VALID, 0 },
    { "vector of 9 bits", VP_WR, TDVPR(TD), 0x0000000100000002, 256, -1,
      FIELD_VALUE_NOT_VALID, 0 },
    { "pin controls, fixed bits", VP_WR, TDVPR(TD), 0x0000000200004000, 0, -1,
      FIELD_VALUE_NOT_VALID, 0 },
    { "pin controls", VP_WR, TDVPR(TD), 0x0000000200004000, 0x80, 0x80,
      SUCCESS, 0x3f },
    { "pin controls, no bit", VP_WR, TDVPR(TD), 0x0000000200004000, 0x80, 0,
      FIELD_NOT_WRITABLE, 0 },
};

static void test_fields(void)
{
    for (int i = 0; i < ARRAY_SIZE(fields); i++) {
        expect(fields[i].what,
               seamcall(fields[i].leaf, fields[i].rcx, fields[i].field,
                        fields[i].value, fields[i].mask), fields[i].status);
        expect(fields[i].what, reg[R8], fields[i].result);
    }
}

static void max_vcpus(void)
{
    for (int i = 1; i <= 4; i++) {
        uint64_t vp = P(64 * 3 + 8 * i);

        must("VP.CREATE", VP_CREATE, vp, TDR(OTHER), 0, 0);
        for (int j = 1; j < NR_TDVPX; j++) {
            must("VP.ADDCX", VP_ADDCX, vp + j * PAGE, vp, 0, 0);
        }
        expect("VP.INIT, as many as MAX_VCPUS", seamcall(VP_INIT, vp, 0, 0, 0),
               i < 4 ? SUCCESS : MAX_VCPUS_EXCEEDED);
    }
}

int main(void)
{
    bring_up();
    make_td(OTHER, INITIALIZED);
    make_tree(OTHER, LEVEL_4K);
    must("PAGE.ADD", MEM_PAGE_ADD, 0, TDR(OTHER), PRIVATE(OTHER, 0),
         RESERVED_PAGE);
    max_vcpus();
    for (enum td_state state = HKID_ASSIGNED; state <= RUNNABLE; state++) {
        next_state(TD, state);
        test_state(state);
        if (state == UNINITIALIZED) {
            test_params();
        }
        if (state == INITIALIZED) {
            must("VP.CREATE", VP_CREATE, NEW_VP, TDR(TD), 0, 0);
            test_page_types();
            RUN(vcpu_steps);
            test_fields();
            must("VP.FLUSH", VP_FLUSH, VP1, 0, 0, 0);
        }
    }
    RUN(key_steps);
    test_state(KEY_BLOCKED);
    next_state(TD, TEARDOWN);
    test_state(TEARDOWN);
    test_reclaim(TD);
    make_td(TD, RUNNABLE);
    return result();
}
