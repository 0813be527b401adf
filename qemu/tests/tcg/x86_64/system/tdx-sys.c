/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX: bring-up of the module, and its end
 *
 * Each table below is a sequence.  Run it with the options in tdx.h.
 */
#include "tdx.h"

#define ARRAY           ((uint64_t)tdmr_array)
#define KEYID1          (1ul << KEYID_SHIFT)

static const struct step before_init[] = {
    { "no such leaf", 5, 0, 0, 0, 0, OPERAND_INVALID | RAX },
    { "leaf beyond all", 0xffff, 0, 0, 0, 0, OPERAND_INVALID | RAX },
    { "no such version", SYS_INIT | VERSION(1), 0, 0, 0, 0,
      OPERAND_INVALID | RAX },
    { "version 2", VP_INIT | VERSION(2), 0, 0, 0, 0, OPERAND_INVALID | RAX },
    { "reserved bit of RAX", SYS_INIT | 1ul << 24, 0, 0, 0, 0,
      OPERAND_INVALID | RAX },
    { "LP.INIT before SYS.INIT", SYS_LP_INIT, 0, 0, 0, 0, LP_INIT_NOT_PENDING },
    { "CONFIG before SYS.INIT", SYS_CONFIG, ARRAY, 2, 1, 0,
      CONFIG_NOT_PENDING },
    { "KEY.CONFIG before SYS.INIT", SYS_KEY_CONFIG, 0, 0, 0, 0,
      KEY_CONFIG_NOT_PENDING },
    { "TDMR.INIT before SYS.INIT", SYS_TDMR_INIT, 0, 0, 0, 0, SYS_NOT_READY },
    { "MNG.CREATE before SYS.INIT", MNG_CREATE, P(0), 2, 0, 0, SYS_NOT_READY },
    { "SYS.INIT with a flag", SYS_INIT, 1, 0, 0, 0, OPERAND_INVALID | RCX },
    { "SYS.INIT", SYS_INIT, 0, 0, 0, 0, SUCCESS },
    { "SYS.INIT again", SYS_INIT, 0, 0, 0, 0, SYS_INIT_NOT_PENDING },
    { "CONFIG before LP.INIT", SYS_CONFIG, ARRAY, 2, 1, 0, CONFIG_NOT_PENDING },
    { "LP.INIT", SYS_LP_INIT, 0, 0, 0, 0, SUCCESS },
    { "LP.INIT again", SYS_LP_INIT, 0, 0, 0, 0, SYS_LP_INIT_DONE },
    { "KEY.CONFIG before CONFIG", SYS_KEY_CONFIG, 0, 0, 0, 0,
      KEY_CONFIG_NOT_PENDING },
    { "MNG.CREATE before CONFIG", MNG_CREATE, P(0), 2, 0, 0, SYS_NOT_READY },
};

/* Global metadata that hosts rely on */
static const struct {
    const char *what;
    uint64_t field, status, value;
} fields[] = {
    { "MAX_TDMRS", 0x9100000100000008, SUCCESS, 64 },
    { "MAX_RESERVED_PER_TDMR", 0x9100000100000009, SUCCESS, 16 },
    { "PAMT_4K_ENTRY_SIZE", 0x9100000100000010, SUCCESS, 16 },
    { "PAMT_2M_ENTRY_SIZE", 0x9100000100000011, SUCCESS, 16 },
    { "PAMT_1G_ENTRY_SIZE", 0x9100000100000012, SUCCESS, 16 },
    { "NUM_CMRS", 0x9000000100000000, SUCCESS, 1 },
    { "CMR_BASE", 0x9000000300000080, SUCCESS, MB },
    { "CMR_SIZE", 0x9000000300000100, SUCCESS, 2 * GB - MB },
    { "TDR_BASE_SIZE", 0x9800000100000000, SUCCESS, PAGE },
    { "TDCS_BASE_SIZE", 0x9800000100000100, SUCCESS, NR_TDCX * PAGE },
    { "TDVPS_BASE_SIZE", 0x9800000100000200, SUCCESS, NR_TDVPX * PAGE },
    { "MINOR_VERSION", 0x0800000100000003, SUCCESS, 5 },
    { "MAJOR_VERSION", 0x0800000100000004, SUCCESS, 1 },
    { "XFAM_FIXED1", 0x1900000300000003, SUCCESS, 3 },
    { "no such code", 0x1900000300000777, FIELD_ID_INCORRECT, 0 },
    { "no such class", 0x2f00000300000000, FIELD_ID_INCORRECT, 0 },
    { "reserved bit of an identifier", 0x9100000101000008, FIELD_ID_INCORRECT,
      0 },
};

static void test_fields(void)
{
    for (int i = 0; i < ARRAY_SIZE(fields); i++) {
        expect(fields[i].what, seamcall(SYS_RD, 0, fields[i].field, -1, 0),
               fields[i].status);
        expect(fields[i].what, reg[R8], fields[i].value);
    }
    must("NUM_CPUID_CONFIG", SYS_RD, 0, 0x9900000100000004, 0, 0);
    expect("CPUID_CONFIG of as many",
           seamcall(SYS_RD, 0, 0x9900000300000400 + reg[R8] - 1, 0, 0),
           SUCCESS);
    must("NUM_CPUID_CONFIG", SYS_RD, 0, 0x9900000100000004, 0, 0);
    expect("CPUID_CONFIG of one more",
           seamcall(SYS_RD, 0, 0x9900000300000400 + reg[R8], 0, 0),
           FIELD_ID_INCORRECT);
}

static const struct step config_operands[] = {
    { "array not aligned", SYS_CONFIG, ARRAY + 8, 2, 1, 0,
      OPERAND_INVALID | RCX },
    { "array with a key id", SYS_CONFIG, ARRAY + KEYID1, 2, 1, 0,
      OPERAND_INVALID | RCX },
    { "array outside memory", SYS_CONFIG, 16 * GB, 2, 1, 0,
      OPERAND_INVALID | RCX },
    { "no TDMR", SYS_CONFIG, ARRAY, 0, 1, 0, OPERAND_INVALID | RDX },
    { "65 TDMRs", SYS_CONFIG, ARRAY, 65, 1, 0, OPERAND_INVALID | RDX },
    { "2^32 + 2 TDMRs", SYS_CONFIG, ARRAY, (1ul << 32) + 2, 1, 0,
      OPERAND_INVALID | RDX },
    { "the platform's key id", SYS_CONFIG, ARRAY, 2, 0, 0,
      OPERAND_INVALID | R8 },
    { "key id 64", SYS_CONFIG, ARRAY, 2, 64, 0, OPERAND_INVALID | R8 },
    { "a reserved option", SYS_CONFIG, ARRAY, 2, 1ul << 16 | 1, 0,
      OPERAND_INVALID | R8 },
};

/* One word of a TDMR_INFO is other than in tdx.h. */
#define AT(tdmr, pamt, other)   ((tdmr) | (pamt) << 8 | (other) << 16)

static const struct {
    const char *what;
    int tdmr, word;
    uint64_t value, status;
} configs[] = {
    { "TDMR not aligned", 0, 0, PAGE, INVALID_TDMR },
    { "TDMR of 0 bytes", 0, 1, 0, INVALID_TDMR },
    { "TDMR of 1.5 GiB", 1, 1, GB + GB / 2, INVALID_TDMR | 1 },
    { "TDMR with a key id", 1, 0, KEYID1, INVALID_TDMR | 1 },
    { "TDMR that wraps", 1, 0, -GB, INVALID_TDMR | 1 },
    { "TDMR below the one before", 1, 0, 0, NON_ORDERED_TDMR | 1 },
    { "reserved, not aligned", 0, 9, PAGE + 1, INVALID_RESERVED },
    { "reserved, beyond the end", 0, 11, GB, INVALID_RESERVED | AT(0, 1, 0) },
    { "reserved, wraps", 0, 10, -PAGE, INVALID_RESERVED | AT(0, 1, 0) },
    { "reserved, overlaps", 0, 10, 128 * MB,
      NON_ORDERED_RESERVED | AT(0, 1, 0) },
    { "reserved after none", 0, 9, 0, NON_ORDERED_RESERVED },
    { "no PAMT", 0, 3, 0, INVALID_PAMT | AT(0, 2, 0) },
    { "PAMT too small", 0, 7, 4 * MB - PAGE, INVALID_PAMT },
    { "PAMT not aligned", 1, 4, PAMT + 512, INVALID_PAMT | AT(1, 1, 0) },
    { "PAMT that wraps", 1, 6, -PAGE, INVALID_PAMT | AT(1, 0, 0) },
    { "PAMT in the other's", 1, 6, PAMT + 4 * MB, PAMT_OVERLAP | AT(1, 0, 0) },
    { "PAMT in its own", 0, 4, PAMT, PAMT_OVERLAP | AT(0, 1, 0) },
    { "PAMT in a TDMR before", 1, 6, 768 * MB, PAMT_OVERLAP | AT(1, 0, 0) },
    { "PAMT in a TDMR after", 0, 6, GB + 16 * MB, PAMT_OVERLAP | AT(0, 0, 1) },
    { "PAMT outside CMRs", 1, 2, 2 * GB, PAMT_OUTSIDE_CMRS | AT(1, 2, 0) },
    { "PAMT in the first MiB", 1, 2, 0x10000,
      PAMT_OUTSIDE_CMRS | AT(1, 2, 0) },
    { "TDMR outside CMRs", 1, 0, 2 * GB, TDMR_OUTSIDE_CMRS | 1 },
    { "TDMR with the first page", 0, 8, PAGE, TDMR_OUTSIDE_CMRS },
};

static void test_configs(void)
{
    for (int i = 0; i < ARRAY_SIZE(configs); i++) {
        uint64_t *word = &tdmr[configs[i].tdmr][configs[i].word];
        uint64_t old = *word;

        *word = configs[i].value;
        expect(configs[i].what, config(), configs[i].status);
        *word = old;
    }
    tdmr_array[1] += 8;
    expect("TDMR_INFO not aligned", config(), OPERAND_INVALID | RCX);
    tdmr_array[1] -= 8;
}

static const struct step to_ready[] = {
    { "CONFIG", SYS_CONFIG, ARRAY, 2, 1, 0, SUCCESS },
    { "CONFIG again", SYS_CONFIG, ARRAY, 2, 1, 0, CONFIG_NOT_PENDING },
    { "MNG.CREATE before KEY.CONFIG", MNG_CREATE, P(0), 2, 0, 0,
      SYS_NOT_READY },
    { "KEY.CONFIG", SYS_KEY_CONFIG, 0, 0, 0, 0, SUCCESS },
    { "KEY.CONFIG again", SYS_KEY_CONFIG, 0, 0, 0, 0, KEY_CONFIG_NOT_PENDING },
    { "TDMR.INIT of no TDMR", SYS_TDMR_INIT, 2 * GB, 0, 0, 0,
      OPERAND_INVALID | RCX },
    { "TDMR.INIT within a TDMR", SYS_TDMR_INIT, GB + PAGE, 0, 0, 0,
      OPERAND_INVALID | RCX },
    { "TDMR.INIT with a key id", SYS_TDMR_INIT, GB | KEYID1, 0, 0, 0,
      OPERAND_INVALID | RCX },
    { "page of no TDMR", MNG_CREATE, 2 * GB, 2, 0, 0,
      OPERAND_ADDR_RANGE | RCX },
    { "page of a TDMR that is not initialized", MNG_CREATE, P(0), 2, 0, 0,
      OPERAND_ADDR_RANGE | RCX },
    { "the same, RDMD", PAGE_RDMD, P(0), 0, 0, 0, OPERAND_ADDR_RANGE | RCX },
    { "TDMR.INIT, some of it", SYS_TDMR_INIT, GB, 0, 0, 0, SUCCESS },
    { "page of a TDMR that is initialized in part", MNG_CREATE, P(0), 2, 0, 0,
      OPERAND_ADDR_RANGE | RCX },
};

static const struct step ready[] = {
    { "TDMR.INIT of what is initialized", SYS_TDMR_INIT, GB, 0, 0, 0,
      TDMR_INITIALIZED },
    { "TDR: key id 0", MNG_CREATE, P(0), 0, 0, 0, OPERAND_INVALID | RDX },
    { "TDR: key id 64", MNG_CREATE, P(0), 64, 0, 0, OPERAND_INVALID | RDX },
    { "TDR: key id of the module", MNG_CREATE, P(0), MODULE_HKID, 0, 0,
      HKID_NOT_FREE },
    { "TDR: not aligned", MNG_CREATE, P(0) + 8, 2, 0, 0,
      OPERAND_INVALID | RCX },
    { "TDR: with key id", MNG_CREATE, P(0) | KEYID1, 2, 0, 0,
      OPERAND_INVALID | RCX },
    { "TDR: reserved", MNG_CREATE, RESERVED_PAGE, 2, 0, 0,
      METADATA_INCORRECT | RCX },
    { "TDR: a page of the PAMT", MNG_CREATE, PAMT, 2, 0, 0,
      METADATA_INCORRECT | RCX },
    { "TDR", MNG_CREATE, P(0), 2, 0, 0, SUCCESS },
    { "TDR again", MNG_CREATE, P(0), 3, 0, 0, METADATA_INCORRECT | RCX },
    { "key id again", MNG_CREATE, P(1), 2, 0, 0, HKID_NOT_FREE },
};

/* What TDH.PHYMEM.PAGE.RDMD says of pages */
static const struct {
    const char *what;
    uint64_t pa, status, type, owner;
} pages[] = {
    { "RDMD: free", P(1), SUCCESS, 0, 0 },
    { "RDMD: reserved", RESERVED_PAGE, SUCCESS, 1, 0 },
    { "RDMD: TDR", P(0), SUCCESS, 4, 0 },
    { "RDMD: no TDMR", 2 * GB, OPERAND_ADDR_RANGE | RCX, 0, 0 },
    { "RDMD: not aligned", P(1) + 1, OPERAND_INVALID | RCX, 0, 0 },
};

static void test_pages(void)
{
    for (int i = 0; i < ARRAY_SIZE(pages); i++) {
        expect(pages[i].what, seamcall(PAGE_RDMD, pages[i].pa, -1, -1, -1),
               pages[i].status);
        expect(pages[i].what, reg[RCX], pages[i].type);
        expect(pages[i].what, reg[RDX], pages[i].owner);
        expect(pages[i].what, reg[R8], 0);
    }
}

/* TDH.SYS.DISABLE: all memory is the host's again, whatever there was. */
static void test_disable(void)
{
    uint64_t status;
    int calls = 0;

    do {
        status = seamcall(SYS_DISABLE, 0, 0, 0, 0);
        if (!calls++) {
            expect("DISABLE: has parts", status, INTERRUPTED_RESUMABLE);
            expect("leaf after the first part",
                   seamcall(MNG_CREATE, P(1), 3, 0, 0), SYS_SHUTDOWN);
        }
    } while (status == INTERRUPTED_RESUMABLE);
    expect("DISABLE", status, SUCCESS);
    expect("leaf after DISABLE", seamcall(SYS_INIT, 0, 0, 0, 0), SYS_SHUTDOWN);
    MEM64(P(0)) = 0x5a5a;
    expect("what was a TDR", MEM64(P(0)), 0x5a5a);
    MEM64(PAMT) = 0xa5a5;
    expect("what was the PAMT", MEM64(PAMT), 0xa5a5);
}

int main(void)
{
    setup();
    RUN(before_init);
    test_fields();
    RUN(config_operands);
    test_configs();
    RUN(to_ready);
    tdmr_init(0);
    tdmr_init(GB);
    RUN(ready);
    test_pages();
    test_disable();
    return result();
}
