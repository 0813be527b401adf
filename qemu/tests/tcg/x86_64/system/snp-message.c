/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD Secure Nested Paging: messages between a guest and the firmware
 *
 * There is no guest that runs: its policy allows to debug it, so that the
 * hypervisor gets at the keys in the secrets page.  Options of QEMU: as for
 * snp.c.
 */
#include "snp.h"
#include "snp-gcm.h"

#define GCTX            R0
#define SECRETS         (R0 + 0x1000)
#define RESPONSE        (R0 + 0x2000)
#define CLEAR           (R0 + 0x3000)
#define REQUEST         R1

#define ASID            2
#define POLICY          ((1ul << 16) | (1ul << 17) | (1ul << 19))

#define HEADER          0x60
#define AAD             0x30

#define TYPE_CPUID      1
#define TYPE_KEY        3
#define TYPE_REPORT     5
#define TYPE_TSC        17

struct message {
    uint8_t tag[32];
    uint64_t seqno, reserved_1;
    uint8_t algo, hdr_version;
    uint16_t hdr_size;
    uint8_t type, version;
    uint16_t size;
    uint32_t reserved_2;
    uint8_t vmpck, reserved_3[35];
    uint8_t payload[4096 - HEADER];
};

_Static_assert(__builtin_offsetof(struct message, payload) == HEADER, "");

static struct message *const request = (void *)REQUEST;
static struct message *const response = (void *)RESPONSE;
static struct message reply;
static uint8_t keys[4][32];

static void clear_request(void)
{
    for (int i = 0; i < 4096; i++) {
        ((uint8_t *)request)[i] = 0;
    }
}

static void get_iv(uint8_t iv[12], uint64_t seqno)
{
    for (int i = 0; i < 12; i++) {
        iv[i] = i < 8 ? seqno >> 8 * i : 0;
    }
}

/* A message of that type, with what is in the payload */
static void seal(int type, int size, int vmpck, uint64_t seqno)
{
    uint8_t iv[12];

    request->algo = 1;
    request->hdr_version = 1;
    request->hdr_size = HEADER;
    request->type = type;
    request->version = 1;
    request->size = size;
    request->vmpck = vmpck;
    request->seqno = seqno;
    get_iv(iv, seqno);
    aes_set_key(keys[vmpck]);
    gcm_crypt(iv, request->payload, size);
    gcm_tag(request->tag, iv, (uint8_t *)request + AAD, HEADER - AAD,
            request->payload, size);
}

static uint32_t send(void)
{
    return psp3(0x94, GCTX, REQUEST, RESPONSE);
}

/* What the firmware has answered to a message of that type, decrypted */
static void receive(int type, int size, int vmpck, uint64_t seqno)
{
    uint8_t iv[12], tag[16];
    int wrong = 0;

    for (int i = 0; i < 4096; i++) {
        ((uint8_t *)&reply)[i] = ((uint8_t *)response)[i];
    }
    expect("type of the answer", reply.type, type + 1);
    expect("its size", reply.size, size);
    expect("its key", reply.vmpck, vmpck);
    expect("its number", reply.seqno, seqno);
    get_iv(iv, seqno);
    aes_set_key(keys[vmpck]);
    gcm_tag(tag, iv, (uint8_t *)&reply + AAD, HEADER - AAD, reply.payload,
            size);
    for (int i = 0; i < 16; i++) {
        wrong += tag[i] != reply.tag[i];
    }
    expect("bytes of its tag that are wrong", wrong, 0);
    gcm_crypt(iv, reply.payload, size);
}

static uint32_t payload32(int at)
{
    return MEM32(reply.payload + at);
}

static void launch(void)
{
    make(GCTX, 0, 0, 1, 0);
    make(RESPONSE, 0, 0, 1, 0);
    make(CLEAR, 0, 0, 1, 0);
    expect("context", psp1(0x93, GCTX), 0);
    arg[3] = arg[4] = arg[5] = 0;
    expect("LAUNCH_START", psp3(0xa0, GCTX, POLICY, 0), 0);
    wbinvd();
    expect("DF_FLUSH", psp(0x84, 0), 0);
    expect("ACTIVATE", psp3(0x91, GCTX, ASID, 0), 0);
    make(SECRETS, 0x5000, 0, 1, ASID);
    expect("secrets", launch_update(GCTX, 5 << 1, SECRETS), 0);
    expect("too early", send(), 2);
    for (int i = 3; i < 8; i++) {
        arg[i] = 0;
    }
    arg[4] = 0x1122334455667788;        /* of the host's data */
    expect("LAUNCH_FINISH", psp3(0xa2, GCTX, 0, 0), 0);
    expect("DBG_DECRYPT", psp3(0xb0, GCTX, SECRETS, CLEAR), 0);
    for (int i = 0; i < sizeof(keys); i++) {
        keys[0][i] = ((uint8_t *)CLEAR)[0x20 + i];
    }
}

/* What is wrong with the envelope */
static const struct {
    const char *what;
    int at, val;        /* a byte of the message, instead of what is right */
    int status;
} envelopes[] = {
    { "no algorithm", 0x30, 0, 0x16 },
    { "no such algorithm", 0x30, 2, 0x16 },
    { "version of the header", 0x31, 2, 0x16 },
    { "size of the header", 0x32, 0x40, 0x16 },
    { "no payload", 0x36, 0, 0x16 },
    { "not blocks", 0x36, 0x61, 0x16 },
    { "too large", 0x37, 0x10, 0x16 },
    { "VMPCK4", 0x3c, 4, 0x16 },
    { "another VMPCK", 0x3c, 1, 0x0b },
    { "another type", 0x34, TYPE_TSC, 0x0b },
    { "another number", 0x20, 3, 0x0b },
    { "tag", 0x05, 0x5a, 0x0b },
    { "payload", 0x70, 0x5a, 0x0b },
};

static void test_envelopes(void)
{
    for (int i = 0; i < ARRAY_SIZE(envelopes); i++) {
        clear_request();
        seal(TYPE_REPORT, 96, 0, 1);
        ((uint8_t *)request)[envelopes[i].at] = envelopes[i].val;
        expect(envelopes[i].what, send(), envelopes[i].status);
    }
    clear_request();
    seal(TYPE_REPORT, 96, 0, 1);
    expect("answer in a page of ours", psp3(0x94, GCTX, REQUEST, R2), 0x1a);
    expect("answer too large", psp3(0x94, GCTX, REQUEST, RESPONSE + 0xc00),
           0x16);
    expect("request over two pages",
           psp3(0x94, GCTX, REQUEST + 0xfc0, RESPONSE), 0x16);
    expect("no context", psp3(0x94, SECRETS, REQUEST, RESPONSE), 0x10);
}

static void test_reports(void)
{
    clear_request();
    for (int i = 0; i < 64; i++) {
        request->payload[i] = i;
    }
    request->payload[64] = 1;
    seal(TYPE_REPORT, 96, 0, 1);
    expect("report", send(), 0);
    expect("the same again", send(), 0x1d);
    receive(TYPE_REPORT, 0x4c0, 0, 2);
    expect("report, status", payload32(0), 0);
    expect("report, size", payload32(4), 0x4a0);
    expect("report, version", payload32(0x20), 2);
    expect("report, policy", payload32(0x28), POLICY);
    expect("report, VMPL", payload32(0x20 + 0x30), 1);
    expect("report, data", payload32(0x20 + 0x50), 0x03020100);
    expect("report, host's data", payload32(0x20 + 0xc0), 0x55667788);

    clear_request();
    request->payload[64] = 1;
    seal(TYPE_REPORT, 96, 2, 1);
    expect("report of a lower VMPL", send(), 0);
    receive(TYPE_REPORT, 0x4c0, 2, 2);
    expect("report of a lower VMPL, status", payload32(0), 0x16);
    expect("report of a lower VMPL, data", payload32(0x20), 0);

    clear_request();
    request->payload[64] = 3;
    request->payload[68] = 2;
    seal(TYPE_REPORT, 96, 2, 3);
    expect("report by VLEK", send(), 0);
    receive(TYPE_REPORT, 0x4c0, 2, 4);
    expect("report by VLEK, status", payload32(0), 0x27);
}

static void test_others(void)
{
    clear_request();
    seal(TYPE_KEY, 32, 0, 3);
    expect("key", send(), 0x16);
    clear_request();
    seal(TYPE_TSC, 128, 0, 3);
    expect("TSC", send(), 0);
    receive(TYPE_TSC, 128, 0, 4);
    expect("TSC, status", payload32(0), 0);
    clear_request();
    request->payload[0] = 65;
    seal(TYPE_CPUID, 64, 0, 5);
    expect("CPUID", send(), 0);
    receive(TYPE_CPUID, 64, 0, 6);
    expect("CPUID, status of too many", payload32(0), 0x16);
}

int main(void)
{
    setup();
    wrmsr(MSR_SYSCFG, rdmsr(MSR_SYSCFG) | SYSCFG_SNP);
    MEM64(IOMMU + 0x18) = 1;
    expect("INIT", init_ex(1), 0);
    launch();
    test_envelopes();
    test_reports();
    test_others();
    return result();
}
