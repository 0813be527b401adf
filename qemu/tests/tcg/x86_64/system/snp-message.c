/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD Secure Nested Paging: envelopes of messages, and those about the machine
 *
 * Options of QEMU: as for snp.c.
 */
#include "snp.h"
#include "snp-message.h"

#define GCTX            R0
#define SECRETS         (R0 + 0x1000)

#define ASID            2

static void launch(void)
{
    gctx = GCTX;
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
    read_keys(SECRETS);
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
    seal(TYPE_KEY, 16, 0, 3);
    expect("short request for a key", send(), 0x16);
    clear_request();
    seal(TYPE_EXPORT, 32, 0, 3);
    expect("export", send(), 0x16);
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
