/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD Secure Nested Paging: ID blocks, signed reports, derived keys
 *
 * The owner of the guests and who verifies their reports are here as well; both
 * have cryptography of their own.  Options of QEMU: as for snp.c.
 *
 * At the end a report is printed, and the certificate to verify it with.
 */
#include "snp.h"
#include "snp-message.h"
#include "snp-ecdsa.h"
#include "snp-fw-cfg.h"

#define BLOCK           R3
#define AUTH            (R3 + 0x1000)
#define CHIP_ID         (R3 + 0x2000)
#define NOWHERE         0xd0000000ul
#define LAST_BYTES      (1024 * MB - 0x800)

#define CONTEXT(guest)  (R2 + (guest) * 0x2000ul)
#define SECRETS(guest)  (CONTEXT(guest) + 0x1000)
#define FIRST_ASID      2
#define GPA             0x5000

#define ID_BLOCK        1
#define AUTHOR          2
#define NO_VCEK         4

#define TCB             0xd315000000000004ul
#define OLD_TCB         0x7f14000000000003ul

/* In a report */
#define FLAGS           0x48
#define VMPL            0x30
#define SIGNED          0x2a0

/* Guests, and in what they differ from the first one of their kind */
enum { PLAIN, PLAIN_2, PLAIN_GPA, PLAIN_POLICY, PLAIN_HOST, PLAIN_NO_VCEK,
       OWNED, OWNED_2, OWNED_FAMILY, OWNED_IMAGE, OWNED_AUTHOR, OWNED_OTHER,
       OWNED_ALONE, NR_GUESTS };

static const struct {
    uint64_t gpa, policy, host_data;
    int flags;                      /* of LAUNCH_FINISH */
    uint8_t family, image;          /* of the ID block */
    uint8_t owner, author;          /* which */
} guests[NR_GUESTS] = {
    [PLAIN] = { GPA, POLICY },
    [PLAIN_2] = { GPA, POLICY },
    [PLAIN_GPA] = { GPA + 0x1000, POLICY },
    [PLAIN_POLICY] = { GPA, POLICY | 1 },
    [PLAIN_HOST] = { GPA, POLICY, 1 },
    [PLAIN_NO_VCEK] = { GPA, POLICY, .flags = NO_VCEK },
    [OWNED] = { GPA, POLICY, 0, ID_BLOCK | AUTHOR, 0x11, 0x22, 1, 8 },
    [OWNED_2] = { GPA, POLICY, 0, ID_BLOCK | AUTHOR, 0x11, 0x22, 1, 8 },
    [OWNED_FAMILY] = { GPA, POLICY, 0, ID_BLOCK | AUTHOR, 0x12, 0x22, 1, 8 },
    [OWNED_IMAGE] = { GPA, POLICY, 0, ID_BLOCK | AUTHOR, 0x11, 0x23, 1, 8 },
    [OWNED_AUTHOR] = { GPA, POLICY, 0, ID_BLOCK | AUTHOR, 0x11, 0x22, 1, 9 },
    [OWNED_OTHER] = { GPA, POLICY, 0, ID_BLOCK, 0x11, 0x22, 2 },
    [OWNED_ALONE] = { GPA, POLICY, 0, ID_BLOCK, 0x11, 0x22, 1 },
};

#define SVN             7

static struct {
    uint8_t keys[4][32];
    uint64_t seqno[4];
    uint8_t digest[48];
} state[NR_GUESTS];

static void copy(void *to, const void *from, int len)
{
    for (int i = 0; i < len; i++) {
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    }
}

static void fill(void *to, uint8_t byte, int len)
{
    for (int i = 0; i < len; i++) {
        ((uint8_t *)to)[i] = byte;
    }
}

static bool same(const void *a, const void *b, int len)
{
    for (int i = 0; i < len; i++) {
        if (((const uint8_t *)a)[i] != ((const uint8_t *)b)[i]) {
            return false;
        }
    }
    return true;
}

static uint32_t psp4(uint32_t cmd, uint64_t a, uint64_t b, uint64_t c,
                     uint64_t d)
{
    fill(&arg[4], 0, 4 * 8);
    arg[3] = d;
    return psp3(cmd, a, b, c);
}

static uint32_t config(uint64_t tcb, uint64_t masks)
{
    return psp4(0xc9, tcb, masks, 0, 0);
}

/* Launch */

/* What the launch of a guest with nothing but a page of secrets is */
static void get_digest(uint64_t gpa, uint8_t digest[48])
{
    uint8_t info[0x70] = { [0x60] = 0x70, [0x62] = 5 };

    copy(info + 0x68, &gpa, 8);
    sha384(info, sizeof(info), digest);
}

static void start_guest(int guest)
{
    gctx = CONTEXT(guest);
    make(gctx, 0, 0, 1, 0);
    expect("context", psp1(0x93, gctx), 0);
    arg[4] = arg[5] = 0;
    arg[3] = 0;
    expect("LAUNCH_START", psp3(0xa0, gctx, guests[guest].policy, 0), 0);
    expect("ACTIVATE", psp3(0x91, gctx, FIRST_ASID + guest, 0), 0);
    make(SECRETS(guest), guests[guest].gpa, 0, 1, FIRST_ASID + guest);
    expect("secrets", launch_update(gctx, 5 << 1, SECRETS(guest)), 0);
    get_digest(guests[guest].gpa, state[guest].digest);
}

static uint32_t finish_guest(int guest, uint64_t flags, uint64_t block,
                             uint64_t auth)
{
    arg[3] = flags;
    fill(&arg[4], 0, 4 * 8);
    arg[4] = guests[guest].host_data;
    return psp3(0xa2, CONTEXT(guest), block, auth);
}

static void put_key(uint64_t at, const EcKey *key)
{
    fill((void *)at, 0, 0x404);
    MEM32(at) = 2;
    ec_write_le(key->x, (uint8_t *)at + 4);
    ec_write_le(key->y, (uint8_t *)at + 4 + 72);
}

static void put_signature(uint64_t at, const EcKey *key, uint64_t data, int len)
{
    EcNum r, s;

    ecdsa_sign(key, (void *)data, len, &r, &s);
    fill((void *)at, 0, 0x200);
    ec_write_le(r, (uint8_t *)at);
    ec_write_le(s, (uint8_t *)at + 72);
}

/* A guest's ID block, signed by its owner, whose key the author has signed */
static void put_id(int guest)
{
    EcKey owner, author;

    ec_make_key(&owner, &guests[guest].owner, 1);
    ec_make_key(&author, &guests[guest].author, 1);
    copy((void *)BLOCK, state[guest].digest, 48);
    fill((void *)(BLOCK + 0x30), guests[guest].family, 16);
    fill((void *)(BLOCK + 0x40), guests[guest].image, 16);
    MEM32(BLOCK + 0x50) = 1;
    MEM32(BLOCK + 0x54) = SVN;
    MEM64(BLOCK + 0x58) = guests[guest].policy;

    fill((void *)AUTH, 0, 4096);
    MEM32(AUTH) = 1;
    put_key(AUTH + 0x240, &owner);
    put_signature(AUTH + 0x40, &owner, BLOCK, 0x60);
    MEM32(AUTH + 4) = 1;
    put_key(AUTH + 0x880, &author);
    put_signature(AUTH + 0x680, &author, AUTH + 0x240, 0x404);
}

/* A bit that is wrong, and what LAUNCH_FINISH says to it */
static const struct {
    const char *what;
    int flags;
    uint64_t bit;       /* its byte, in one of the two pages */
    uint32_t status;
} wrong_ids[] = {
    { "launch digest", ID_BLOCK, BLOCK, 0x0b },
    { "launch digest's end", ID_BLOCK, BLOCK + 0x2f, 0x0b },
    { "policy", ID_BLOCK, BLOCK + 0x5f, 0x07 },
    { "block's version", ID_BLOCK, BLOCK + 0x51, 0x16 },
    { "ID key's algorithm", ID_BLOCK, AUTH, 0x16 },
    { "reserved", ID_BLOCK, AUTH + 8, 0x16 },
    { "reserved, before the signature", ID_BLOCK, AUTH + 0x3f, 0x16 },
    { "reserved, after the key", ID_BLOCK, AUTH + 0x644, 0x16 },
    { "reserved, at the end", ID_BLOCK, AUTH + 0xfff, 0x16 },
    { "family", ID_BLOCK, BLOCK + 0x30, 0x0a },
    { "image", ID_BLOCK, BLOCK + 0x40, 0x0a },
    { "SVN", ID_BLOCK, BLOCK + 0x54, 0x0a },
    { "block's R", ID_BLOCK, AUTH + 0x40, 0x0a },
    { "block's R, too long", ID_BLOCK, AUTH + 0x40 + 48, 0x0a },
    { "block's S", ID_BLOCK, AUTH + 0x40 + 72, 0x0a },
    { "block's S, too long", ID_BLOCK, AUTH + 0x40 + 143, 0x0a },
    { "ID key's curve", ID_BLOCK, AUTH + 0x240, 0x0a },
    { "ID key's X", ID_BLOCK, AUTH + 0x244, 0x0a },
    { "ID key's X, too long", ID_BLOCK, AUTH + 0x244 + 48, 0x0a },
    { "ID key's Y", ID_BLOCK, AUTH + 0x28c, 0x0a },
    { "ID key's Y, too long", ID_BLOCK, AUTH + 0x28c + 71, 0x0a },
    { "author's algorithm", ID_BLOCK | AUTHOR, AUTH + 4, 0x16 },
    { "ID key, not what was signed", ID_BLOCK | AUTHOR, AUTH + 0x643, 0x0a },
    { "ID key's R", ID_BLOCK | AUTHOR, AUTH + 0x680, 0x0a },
    { "ID key's S", ID_BLOCK | AUTHOR, AUTH + 0x680 + 72, 0x0a },
    { "author's curve", ID_BLOCK | AUTHOR, AUTH + 0x880, 0x0a },
    { "author's X", ID_BLOCK | AUTHOR, AUTH + 0x884, 0x0a },
    { "author's X, too long", ID_BLOCK | AUTHOR, AUTH + 0x884 + 71, 0x0a },
    { "author's Y, too long", ID_BLOCK | AUTHOR, AUTH + 0x8cc + 48, 0x0a },
};

static void test_ids(void)
{
    start_guest(OWNED);
    put_id(OWNED);
    for (int i = 0; i < ARRAY_SIZE(wrong_ids); i++) {
        uint8_t *byte = (uint8_t *)wrong_ids[i].bit;

        *byte ^= 2;
        expect(wrong_ids[i].what,
               finish_guest(OWNED, wrong_ids[i].flags, BLOCK, AUTH),
               wrong_ids[i].status);
        *byte ^= 2;
    }
    expect("ID block nowhere", finish_guest(OWNED, ID_BLOCK, NOWHERE, AUTH), 9);
    expect("keys nowhere", finish_guest(OWNED, ID_BLOCK, BLOCK, NOWHERE), 9);
    expect("keys beyond RAM", finish_guest(OWNED, ID_BLOCK, BLOCK, LAST_BYTES),
           9);
    expect("ID block that wraps", finish_guest(OWNED, ID_BLOCK, -0x50ul, AUTH),
           9);
    expect("reserved flag", finish_guest(OWNED, 8 | ID_BLOCK, BLOCK, AUTH),
           0x16);
    expect("LAUNCH_FINISH",
           finish_guest(OWNED, ID_BLOCK | AUTHOR, BLOCK, AUTH), 0);
}

static void launch_guest(int guest)
{
    start_guest(guest);
    put_id(guest);
    if (!(guests[guest].flags & AUTHOR)) {
        /* It is nobody's business then. */
        fill((void *)(AUTH + 4), 0xff, 4);
        fill((void *)(AUTH + 0x680), 0xff, 0x604);
    }
    if (!(guests[guest].flags & ID_BLOCK)) {
        fill((void *)BLOCK, 0xff, 0x60);
    }
    expect("LAUNCH_FINISH",
           finish_guest(guest, guests[guest].flags, BLOCK, AUTH), 0);
}

static void launch_guests(void)
{
    make(RESPONSE, 0, 0, 1, 0);
    make(CLEAR, 0, 0, 1, 0);
    wbinvd();
    expect("DF_FLUSH", psp(0x84, 0), 0);
    expect("PLATFORM_STATUS", psp1(0x83, CLEAR), 0);
    expect("current TCB", MEM64(CLEAR + 16), TCB);
    expect("reported TCB, set before INIT", MEM64(CLEAR + 24), OLD_TCB);
    expect("COMMIT, length", psp1(0xcb, 3), 0x16);
    expect("COMMIT", psp1(0xcb, 4), 0);
    expect("PLATFORM_STATUS", psp1(0x83, CLEAR), 0);
    expect("reported TCB, after COMMIT", MEM64(CLEAR + 24), TCB);
    test_ids();
    for (int i = 0; i < NR_GUESTS; i++) {
        if (i != OWNED) {
            launch_guest(i);
        }
        gctx = CONTEXT(i);
        read_keys(SECRETS(i));
        copy(state[i].keys, keys, sizeof(keys));
    }
}

/* Messages */

/* The status in the answer to what is in the payload */
static uint32_t ask(int guest, int vmpck, int type, int len, int answer_len)
{
    uint64_t *seqno = &state[guest].seqno[vmpck];

    gctx = CONTEXT(guest);
    copy(keys, state[guest].keys, sizeof(keys));
    seal(type, len, vmpck, *seqno + 1);
    expect("request", send(), 0);
    *seqno += 2;
    receive(type, answer_len, vmpck, *seqno);
    return payload32(0);
}

static uint8_t *const report = reply.payload + 0x20;

static uint32_t report32(int at)
{
    return *(uint32_t *)(report + at);
}

static uint64_t report64(int at)
{
    return *(uint64_t *)(report + at);
}

static uint32_t get_report(int guest, uint32_t key_sel)
{
    clear_request();
    fill(request->payload, 0x5a, 64);
    *(uint32_t *)(request->payload + 64) = 1;
    *(uint32_t *)(request->payload + 68) = key_sel;
    return ask(guest, 0, TYPE_REPORT, 96, 0x4c0);
}

static bool report_is_signed(const EcKey *vcek)
{
    return ecdsa_verify(vcek, ec_read_le(report + SIGNED),
                        ec_read_le(report + SIGNED + 72), report, SIGNED);
}

static bool is_zero(const uint8_t *bytes, int len)
{
    for (int i = 0; i < len; i++) {
        if (bytes[i]) {
            return false;
        }
    }
    return true;
}

/* The certificate as the machine offers it now, and the key in it */
static uint8_t vcek_pem[2048], vcek_der[2048];
static int vcek_len;

static void get_vcek(EcKey *vcek)
{
    static const uint8_t head[] = { 0x03, 0x62, 0x00, 0x04 };

    fill(vcek_pem, 0, sizeof(vcek_pem));
    expect("certificate", fw_cfg_read("etc/amd-psp/vcek.pem", vcek_pem,
                                      sizeof(vcek_pem)), sizeof(vcek_pem));
    vcek_len = pem_decode(vcek_pem, sizeof(vcek_pem), vcek_der);
    for (int i = 0; i + 100 <= vcek_len; i++) {
        if (same(vcek_der + i, head, sizeof(head))) {
            vcek->x = ec_read_be(vcek_der + i + 4);
            vcek->y = ec_read_be(vcek_der + i + 4 + 48);
            return;
        }
    }
    expect("key in the certificate", 0, 1);
}

/* Whether the value of AMD's extension 1.3.6.1.4.1.3704.1.@last is @value */
static bool vcek_has(const void *last, int last_len, const void *value, int len)
{
    uint8_t part[128] = { 0x06, 8 + last_len, 0x2b, 0x06, 0x01, 0x04, 0x01,
                          0x9c, 0x78, 0x01 };
    int at = 10;

    copy(part + at, last, last_len);
    at += last_len;
    part[at++] = 0x04;
    part[at++] = len;
    copy(part + at, value, len);
    at += len;
    for (int i = 0; i + at <= vcek_len; i++) {
        if (same(vcek_der + i, part, at)) {
            return true;
        }
    }
    return false;
}

static void test_report(void)
{
    EcKey vcek = { };
    uint8_t digest[48], bytes[16];

    put_id(OWNED);
    get_vcek(&vcek);
    expect("report", get_report(OWNED, 0), 0);
    expect("SVN", report32(4), SVN);
    expect("policy", report64(8), POLICY);
    fill(bytes, 0x11, 16);
    expect("family", same(report + 0x10, bytes, 16), true);
    fill(bytes, 0x22, 16);
    expect("image", same(report + 0x20, bytes, 16), true);
    expect("algorithm", report32(0x34), 1);
    expect("current TCB", report64(0x38), TCB);
    expect("flags", report32(FLAGS), 1);
    expect("data", report32(0x50), 0x5a5a5a5a);
    expect("measurement", same(report + 0x90, state[OWNED].digest, 48), true);
    sha384((void *)(AUTH + 0x240), 0x404, digest);
    expect("digest of the ID key", same(report + 0xe0, digest, 48), true);
    sha384((void *)(AUTH + 0x880), 0x404, digest);
    expect("digest of the author's", same(report + 0x110, digest, 48), true);
    expect("reported TCB", report64(0x180), TCB);
    expect("chip", same(report + 0x1a0, (void *)CHIP_ID, 64), true);
    expect("R is small", is_zero(report + SIGNED + 48, 24), true);
    expect("S is small", is_zero(report + SIGNED + 120, 24), true);
    expect("end", is_zero(report + SIGNED + 144, 512 - 144), true);
    expect("signature", report_is_signed(&vcek), true);
    report[VMPL] ^= 1;
    expect("signature of another report", report_is_signed(&vcek), false);
    expect("chip's extension", vcek_has("\4", 1, (void *)CHIP_ID, 64), true);

    expect("report by VCEK", get_report(OWNED, 1), 0);
    expect("signature, VCEK", report_is_signed(&vcek), true);
    expect("report by VLEK", get_report(OWNED, 2), 0x27);
    expect("report by no key", get_report(OWNED, 3), 0x27);
    expect("report, reserved bit", get_report(OWNED, 4), 0x16);

    expect("report, no author", get_report(OWNED_ALONE, 0), 0);
    expect("flags, no author", report32(FLAGS), 0);
    expect("ID key, no author", is_zero(report + 0xe0, 48), false);
    expect("author's key, no author", is_zero(report + 0x110, 48), true);
    expect("report, plain", get_report(PLAIN, 0), 0);
    expect("flags, plain", report32(FLAGS), 0);
    expect("SVN, plain", report32(4), 0);
    expect("family, image, plain", is_zero(report + 0x10, 32), true);
    expect("ID key, plain", is_zero(report + 0xe0, 96), true);
    expect("signature, plain", report_is_signed(&vcek), true);
    expect("report, no VCEK", get_report(PLAIN_NO_VCEK, 0), 0x27);
    expect("report, no VCEK, by VCEK", get_report(PLAIN_NO_VCEK, 1), 0x27);
}

/* Another version of the TCB has another key, and another certificate. */
static void test_config(void)
{
    EcKey vcek = { }, old = { };

    get_vcek(&vcek);
    expect("microcode", vcek_has("\3\10", 2, "\2\2\0\xd3", 4), true);
    expect("TCB of the future", config(TCB + 1, 0), 0x16);
    expect("TCB, reserved", config(TCB | 1 << 16, 0), 0x16);
    expect("masks, reserved", config(TCB, 4), 0x16);
    expect("old TCB", config(OLD_TCB, 0), 0);
    get_vcek(&old);
    expect("boot loader, old", vcek_has("\3\1", 2, "\2\1\3", 3), true);
    expect("TEE, old", vcek_has("\3\2", 2, "\2\1\0", 3), true);
    expect("SNP, old", vcek_has("\3\3", 2, "\2\1\24", 3), true);
    expect("microcode, old", vcek_has("\3\10", 2, "\2\1\x7f", 3), true);
    expect("report, old", get_report(OWNED, 0), 0);
    expect("current TCB", report64(0x38), TCB);
    expect("reported TCB, old", report64(0x180), OLD_TCB);
    expect("signature, old", report_is_signed(&old), true);
    expect("signature by a newer key", report_is_signed(&vcek), false);

    expect("mask of the chip", config(0, 1), 0);
    expect("report, masked chip", get_report(OWNED, 0), 0);
    expect("masked chip", is_zero(report + 0x1a0, 64), true);
    expect("flags, masked chip", report32(FLAGS), 1);
    expect("signature, masked chip", report_is_signed(&vcek), true);
    expect("mask of the key", config(0, 2), 0);
    expect("report, masked key", get_report(OWNED, 0), 0);
    expect("flags, masked key", report32(FLAGS), 1 | 1 << 1 | 7 << 2);
    expect("signature, masked key", is_zero(report + SIGNED, 512), true);
    expect("chip, masked key", same(report + 0x1a0, (void *)CHIP_ID, 64), true);
    expect("no mask", config(0, 0), 0);
    expect("report, no mask", get_report(OWNED, 0), 0);
    expect("signature, no mask", report_is_signed(&vcek), true);
}

/* Derived keys */

#define VMRK            1
#define SEL(key)        ((key) << 1)

#define F_POLICY        1ul
#define F_IMAGE         2ul
#define F_FAMILY        4ul
#define F_MEASUREMENT   8ul
#define F_SVN           16ul
#define F_TCB           32ul

struct key {
    int guest;
    uint32_t root;
    uint64_t fields;
    uint32_t vmpl, svn;
    uint64_t tcb;
};

static uint32_t get_key(const struct key *key, int vmpck, uint32_t reserved,
                        uint8_t out[32])
{
    uint32_t status;

    clear_request();
    *(uint32_t *)request->payload = key->root;
    *(uint32_t *)(request->payload + 4) = reserved;
    *(uint64_t *)(request->payload + 8) = key->fields;
    *(uint32_t *)(request->payload + 16) = key->vmpl;
    *(uint32_t *)(request->payload + 20) = key->svn;
    *(uint64_t *)(request->payload + 24) = key->tcb;
    status = ask(key->guest, vmpck, TYPE_KEY, 32, 64);
    copy(out, reply.payload + 0x20, 32);
    return status;
}

static const struct {
    const char *what;
    struct key key;
    int vmpck;
    uint32_t reserved, status;
} key_statuses[] = {
    { "key", { OWNED } },
    { "key, reserved bit", { OWNED, 8 }, 0, 0, 0x16 },
    { "key, reserved bit, VMRK", { OWNED, VMRK | 1u << 31 }, 0, 0, 0x16 },
    { "key, reserved field", { OWNED }, 0, 1, 0x16 },
    { "key by VCEK", { OWNED, SEL(1) } },
    { "key by VLEK", { OWNED, SEL(2) }, 0, 0, 0x27 },
    { "key by no key", { OWNED, SEL(3) }, 0, 0, 0x27 },
    { "key by VMRK", { OWNED, VMRK } },
    { "key by VMRK, for which no key is selected", { OWNED, VMRK | SEL(3) } },
    { "key, no VCEK", { PLAIN_NO_VCEK }, 0, 0, 0x27 },
    { "key, no VCEK, by VCEK", { PLAIN_NO_VCEK, SEL(1) }, 0, 0, 0x27 },
    { "key, no VCEK, by VMRK", { PLAIN_NO_VCEK, VMRK } },
    { "key of a higher VMPL", { OWNED, .vmpl = 1 }, 2, 0, 0x16 },
    { "key of one's own VMPL", { OWNED, .vmpl = 2 }, 2 },
    { "key of a lower VMPL", { OWNED, .vmpl = 3 }, 2 },
    { "key of VMPL4", { OWNED, .vmpl = 4 }, 2, 0, 0x16 },
    { "key, no such field", { OWNED, 0, 64 }, 0, 0, 0x16 },
    { "key, no such field, high", { OWNED, 0, 1ul << 63 }, 0, 0, 0x16 },
    { "key, SVN", { OWNED, 0, F_SVN, 0, SVN } },
    { "key, SVN too high", { OWNED, 0, F_SVN, 0, SVN + 1 }, 0, 0, 0x16 },
    { "key, SVN too high, ignored", { OWNED, 0, 0, 0, SVN + 1 } },
    { "key, SVN of none", { PLAIN, 0, F_SVN, 0, 1 }, 0, 0, 0x16 },
    { "key, TCB", { OWNED, 0, F_TCB, 0, 0, TCB } },
    { "key, newer boot loader", { OWNED, 0, F_TCB, 0, 0, 5 }, 0, 0, 0x16 },
    { "key, newer microcode", { OWNED, 0, F_TCB, 0, 0, 0xd4ul << 56 }, 0, 0,
      0x16 },
    { "key, reserved SVN", { OWNED, 0, F_TCB, 0, 0, 1 << 24 }, 0, 0, 0x16 },
    { "key, newer TCB, VMRK", { OWNED, VMRK, F_TCB, 0, 0, 5 }, 0, 0, 0x16 },
    { "key, newer TCB, ignored", { OWNED, 0, 0, 0, 0, 5 } },
};

static const struct {
    const char *what;
    struct key keys[2];
    bool equal;
} key_pairs[] = {
    { "the same key", { { OWNED }, { OWNED } }, true },
    { "VCEK is what there is", { { OWNED }, { OWNED, SEL(1) } }, true },
    { "VMRK's key", { { OWNED, VMRK }, { OWNED, VMRK } }, true },
    { "VMRK and VCEK", { { OWNED, VMRK }, { OWNED } } },
    { "VMRK of another", { { PLAIN, VMRK }, { PLAIN_2, VMRK } } },
    { "the same guest", { { PLAIN, 0, 63 }, { PLAIN_2, 0, 63 } }, true },
    { "other fields", { { OWNED }, { OWNED, 0, F_POLICY } } },
    { "field that is 0", { { PLAIN }, { PLAIN, 0, F_FAMILY } } },
    { "other VMPL", { { OWNED }, { OWNED, .vmpl = 1 } } },
    { "other SVN", { { OWNED, 0, F_SVN, 0, 7 }, { OWNED, 0, F_SVN, 0, 6 } } },
    { "other SVN, ignored", { { OWNED }, { OWNED, .svn = 6 } }, true },
    { "other TCB", { { OWNED, 0, F_TCB, 0, 0, TCB },
                     { OWNED, 0, F_TCB, 0, 0, OLD_TCB } } },
    { "other TCB, VMRK", { { OWNED, VMRK, F_TCB, 0, 0, TCB },
                           { OWNED, VMRK, F_TCB, 0, 0, OLD_TCB } } },
    { "other TCB, ignored", { { OWNED }, { OWNED, .tcb = OLD_TCB } }, true },
    { "other measurement", { { PLAIN, 0, F_MEASUREMENT },
                             { PLAIN_GPA, 0, F_MEASUREMENT } } },
    { "other measurement, ignored", { { PLAIN, 0, 63 & ~F_MEASUREMENT },
                                      { PLAIN_GPA, 0, 63 & ~F_MEASUREMENT } },
      true },
    { "other policy", { { PLAIN, 0, F_POLICY }, { PLAIN_POLICY, 0, F_POLICY } }
    },
    { "other policy, ignored", { { PLAIN, 0, 63 & ~F_POLICY },
                                 { PLAIN_POLICY, 0, 63 & ~F_POLICY } }, true },
    { "other host's data", { { PLAIN }, { PLAIN_HOST } } },
    { "the same owner", { { OWNED, 0, 63 }, { OWNED_2, 0, 63 } }, true },
    { "other owner", { { OWNED_ALONE }, { OWNED_OTHER } } },
    { "other author", { { OWNED }, { OWNED_AUTHOR } } },
    { "no author", { { OWNED }, { OWNED_ALONE } } },
    { "no owner", { { OWNED_ALONE }, { PLAIN } } },
    { "other family", { { OWNED, 0, F_FAMILY }, { OWNED_FAMILY, 0, F_FAMILY } }
    },
    { "other family, ignored", { { OWNED, 0, 63 & ~F_FAMILY },
                                 { OWNED_FAMILY, 0, 63 & ~F_FAMILY } }, true },
    { "other image", { { OWNED, 0, F_IMAGE }, { OWNED_IMAGE, 0, F_IMAGE } } },
    { "other image, ignored", { { OWNED, 0, 63 & ~F_IMAGE },
                                { OWNED_IMAGE, 0, 63 & ~F_IMAGE } }, true },
};

static void test_keys(void)
{
    static const struct key now = { OWNED }, old = { OWNED, 0, F_TCB, 0, 0,
                                                     OLD_TCB };
    static const struct key vmrk = { OWNED, VMRK };
    uint8_t a[32], b[32], c[32];

    for (int i = 0; i < ARRAY_SIZE(key_statuses); i++) {
        expect(key_statuses[i].what,
               get_key(&key_statuses[i].key, key_statuses[i].vmpck,
                       key_statuses[i].reserved, a), key_statuses[i].status);
        expect(key_statuses[i].what, is_zero(a, 32),
               key_statuses[i].status != 0);
    }
    for (int i = 0; i < ARRAY_SIZE(key_pairs); i++) {
        expect(key_pairs[i].what, get_key(&key_pairs[i].keys[0], 0, 0, a), 0);
        expect(key_pairs[i].what, get_key(&key_pairs[i].keys[1], 0, 0, b), 0);
        expect(key_pairs[i].what, same(a, b, 32), key_pairs[i].equal);
    }

    /* The root is of the version that reports give. */
    get_key(&now, 0, 0, a);
    get_key(&old, 0, 0, b);
    expect("old TCB", config(OLD_TCB, 0), 0);
    get_key(&now, 0, 0, c);
    expect("key of another root", same(a, c, 32), false);
    get_key(&old, 0, 0, c);
    expect("key of an old TCB", same(b, c, 32), true);
    expect("mask of the key", config(0, 2), 0);
    expect("key, masked", get_key(&now, 0, 0, a), 0x27);
    expect("key by VMRK, masked", get_key(&vmrk, 0, 0, a), 0);
    expect("no mask", config(0, 0), 0);
}

static void get_chip_id(void)
{
    arg[1] = 64;
    expect("GET_ID", psp1(0x0c, CHIP_ID), 0);
}

/* There is no server of AMD's that has wrapped a VLEK. */
static void test_vlek(void)
{
    expect("FEATURE_INFO", psp3(0xce, 16, CLEAR, 0), 0);
    expect("features: no VLEK", *(uint32_t *)(CLEAR + 8) & 1, 0);
    expect("FEATURE_INFO 1", psp3(0xce, 16 | 1ul << 32, CLEAR, 0), 0);
    expect("messages", *(uint32_t *)CLEAR, 0x107);
    expect("VLEK_LOAD", psp3(0xcd, 16, AUTH, 0), 0x15);
}

static void print_report(void)
{
    expect("report to print", get_report(OWNED, 0), 0);
    ml_printf("report: ");
    for (int i = 0; i < 0x4a0; i++) {
        ml_printf("%x%x", report[i] >> 4, report[i] & 15);
    }
    ml_printf("\n");
    for (int i = 0; i < sizeof(vcek_pem); i++) {
        ml_printf("%c", vcek_pem[i]);
    }
    ml_printf("\n");
}

int main(void)
{
    EcKey vcek;

    setup();
    ec_init();
    get_chip_id();
    wrmsr(MSR_SYSCFG, rdmsr(MSR_SYSCFG) | SYSCFG_SNP);
    MEM64(IOMMU + 0x18) = 1;
    expect("TCB before INIT", config(OLD_TCB, 0), 0);
    expect("INIT", init_ex(1), 0);
    launch_guests();
    test_report();
    test_config();
    test_keys();
    test_vlek();
    get_vcek(&vcek);
    print_report();
    return result();
}
