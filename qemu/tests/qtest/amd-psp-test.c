/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: commands of the SEV API
 *
 * The test is the host, and it is the owner, of guests and of platforms, who
 * trusts neither.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "amd-psp-host.h"

static void test_certificates(void)
{
    Machine *m = machine_new("one"), *same = machine_new("one");
    Machine *other = machine_new("two");
    uint8_t root[2 * AMD_CERT_LEN], *ask = root, *ark = root + AMD_CERT_LEN;
    uint8_t buf[12] = { 0 }, id[64], other_id[64];
    Platform p, q;

    init(m);
    export_certs(m, &p);
    read_root(m, root);
    g_assert(rsa_signed_by(ark, ark, 64 + 1024, ark + 64 + 1024));
    g_assert(rsa_signed_by(ark, ask, 64 + 1024, ask + 64 + 1024));
    g_assert_cmphex(ldl_le_p(p.cek + CERT_USAGE), ==, CEK);
    g_assert_cmphex(ldl_le_p(p.cek + CERT_SIG(0)), ==, ASK);
    g_assert_cmphex(ldl_le_p(p.cek + CERT_SIG(0) + 4), ==, RSA_SHA384);
    g_assert(rsa_signed_by(ask, p.cek, CERT_SIG(0), p.cek + CERT_SIG(0) + 8));
    g_assert(cert_signed_by(p.oca, OCA, 0, p.oca));
    g_assert_cmphex(ldl_le_p(p.pek + CERT_USAGE), ==, PEK);
    g_assert_cmphex(p.pek[4], ==, API_MAJOR);
    g_assert_cmphex(p.pek[5], ==, API_MINOR);
    g_assert(cert_signed_by(p.oca, OCA, 0, p.pek));
    g_assert(cert_signed_by(p.cek, CEK, 1, p.pek));
    g_assert_cmphex(ldl_le_p(p.pdh + CERT_USAGE), ==, PDH);
    g_assert_cmphex(ldl_le_p(p.pdh + CERT_ALGO), ==, ECDH_SHA256);
    g_assert(cert_signed_by(p.pek, PEK, 0, p.pdh));

    stq_le_p(buf, OUT);
    g_assert_cmphex(psp(m, CMD_GET_ID, buf, sizeof(buf)), ==, INVALID_LENGTH);
    g_assert_cmpuint(ldl_le_p(buf + 8), ==, 64);
    g_assert_cmphex(psp(m, CMD_GET_ID, buf, sizeof(buf)), ==, SUCCESS);
    qtest_memread(m->qts, OUT, id, sizeof(id));
    g_assert_cmphex(psp(other, CMD_GET_ID, buf, sizeof(buf)), ==, SUCCESS);
    qtest_memread(other->qts, OUT, other_id, sizeof(id));
    g_assert(memcmp(id, other_id, sizeof(id)));

    init(same);
    export_certs(same, &q);
    g_assert(!memcmp(&p, &q, sizeof(p)));
    init(other);
    export_certs(other, &q);
    g_assert(memcmp(p.cek + CERT_QX, q.cek + CERT_QX, 48));
    g_assert(memcmp(p.pdh + CERT_QX, q.pdh + CERT_QX, 48));
    g_assert(rsa_signed_by(ask, q.cek, CERT_SIG(0), q.cek + CERT_SIG(0) + 8));

    machine_free(other);
    machine_free(same);
    machine_free(m);
}

static const Case export_cases[] = {
    { "PDH too short", INVALID_LENGTH, 0, 8, 4, CERT_LEN - 1 },
    { "chain too short", INVALID_LENGTH, 0, 24, 4, CHAIN_LEN - 1 },
    { "PDH nowhere", INVALID_ADDRESS, 0, 0, 8, NOWHERE },
    { "chain beyond RAM", INVALID_ADDRESS, 0, 16, 8, LAST_BYTES },
    { "chain wraps", INVALID_ADDRESS, 0, 16, 8, WRAPS },
    { }
};

static const Case import_cases[] = {
    { "PEK too short", INVALID_LENGTH, 0, 8, 4, CERT_LEN - 1 },
    { "PEK too long", INVALID_LENGTH, 0, 8, 4, CERT_LEN + 1 },
    { "OCA without length", INVALID_LENGTH, 0, 24, 4, 0 },
    { "PEK nowhere", INVALID_ADDRESS, 0, 0, 8, NOWHERE },
    { "OCA beyond RAM", INVALID_ADDRESS, 0, 16, 8, LAST_BYTES },
    { "OCA's version", INVALID_CERTIFICATE, CHAIN },
    { "OCA's usage", INVALID_CERTIFICATE, CHAIN + CERT_USAGE },
    { "OCA's algorithm", INVALID_CERTIFICATE, CHAIN + CERT_ALGO },
    { "OCA's curve", INVALID_CERTIFICATE, CHAIN + CERT_CURVE },
    { "OCA's key", INVALID_CERTIFICATE, CHAIN + CERT_QX },
    { "OCA's key too long", INVALID_CERTIFICATE, CHAIN + CERT_QX + 71 },
    { "OCA's reserved field", INVALID_CERTIFICATE, CHAIN + CERT_SIG(0) - 1 },
    { "OCA signs with another", INVALID_CERTIFICATE, CHAIN + CERT_SIG(0) },
    { "OCA's R", BAD_SIGNATURE, CHAIN + CERT_SIG(0) + 8 },
    { "OCA's S", BAD_SIGNATURE, CHAIN + CERT_SIG(0) + 8 + 72 },
    { "OCA's R too long", BAD_SIGNATURE, CHAIN + CERT_SIG(0) + 8 + 71 },
    { "PEK's key", INVALID_CERTIFICATE, CERT + CERT_QX },
    { "PEK's API", INVALID_CERTIFICATE, CERT + 5 },
    { "PEK's signer", INVALID_CERTIFICATE, CERT + CERT_SIG(0) },
    { "PEK's algorithm", INVALID_CERTIFICATE, CERT + CERT_SIG(0) + 4 },
    { "PEK's signature", BAD_SIGNATURE, CERT + CERT_SIG(0) + 8 },
    { }
};

static void test_ownership(void)
{
    Machine *m = machine_new(NULL);
    uint8_t buf[28] = { 0 }, good[28];
    Platform before, after, last;
    Owner owner;

    owner_init(&owner);
    g_assert_cmphex(psp_simple(m, CMD_PEK_GEN, 0), ==, INVALID_PLATFORM_STATE);
    g_assert_cmphex(psp_simple(m, CMD_PDH_GEN, 0), ==, INVALID_PLATFORM_STATE);
    g_assert_cmphex(psp(m, CMD_PEK_CSR, buf, 12), ==, INVALID_PLATFORM_STATE);
    g_assert_cmphex(psp(m, CMD_PDH_CERT_EXPORT, buf, 28), ==,
                    INVALID_PLATFORM_STATE);
    g_assert_cmphex(psp(m, CMD_PEK_CERT_IMPORT, buf, 28), ==,
                    INVALID_PLATFORM_STATE);
    init(m);
    g_assert_cmphex(psp_simple(m, CMD_PLATFORM_RESET, 0), ==,
                    INVALID_PLATFORM_STATE);
    export_certs(m, &before);

    g_assert_cmphex(psp(m, CMD_PDH_CERT_EXPORT, buf, 28), ==, INVALID_LENGTH);
    g_assert_cmpuint(ldl_le_p(buf + 8), ==, CERT_LEN);
    g_assert_cmpuint(ldl_le_p(buf + 24), ==, CHAIN_LEN);
    stq_le_p(buf, CERT);
    stq_le_p(buf + 16, CHAIN);
    check_cases(m, CMD_PDH_CERT_EXPORT, buf, sizeof(buf), export_cases);

    sign_csr(m, &owner, good);
    check_cases(m, CMD_PEK_CERT_IMPORT, good, sizeof(good), import_cases);
    g_assert_cmphex(platform_owner(m), ==, 0);
    memcpy(buf, good, sizeof(buf));
    g_assert_cmphex(psp(m, CMD_PEK_CERT_IMPORT, buf, 28), ==, SUCCESS);
    g_assert_cmphex(psp(m, CMD_PEK_CERT_IMPORT, buf, 28), ==, ALREADY_OWNED);
    g_assert_cmphex(platform_owner(m), ==, 1);

    /* The same PEK, another owner, and a new PDH */
    export_certs(m, &after);
    g_assert(!memcmp(before.pek, after.pek, CERT_SIG(0)));
    g_assert(memcmp(before.oca + CERT_QX, after.oca + CERT_QX, 48));
    g_assert(memcmp(before.pdh + CERT_QX, after.pdh + CERT_QX, 48));
    g_assert(cert_signed_by(after.oca, OCA, 0, after.oca));
    g_assert(cert_signed_by(after.oca, OCA, 0, after.pek));
    g_assert(cert_signed_by(after.cek, CEK, 1, after.pek));
    g_assert(cert_signed_by(after.pek, PEK, 0, after.pdh));

    /* SHUTDOWN keeps all of it, PLATFORM_RESET nothing but the chip's own. */
    g_assert_cmphex(psp_simple(m, CMD_SHUTDOWN, 0), ==, SUCCESS);
    init(m);
    export_certs(m, &last);
    g_assert(!memcmp(&after, &last, sizeof(last)));
    g_assert_cmphex(psp_simple(m, CMD_SHUTDOWN, 0), ==, SUCCESS);
    g_assert_cmphex(psp_simple(m, CMD_PLATFORM_RESET, 0), ==, SUCCESS);
    init(m);
    g_assert_cmphex(platform_owner(m), ==, 0);
    export_certs(m, &last);
    g_assert(!memcmp(before.cek, last.cek, CERT_LEN));
    g_assert(memcmp(before.oca + CERT_QX, last.oca + CERT_QX, 48));
    g_assert(memcmp(before.pek + CERT_QX, last.pek + CERT_QX, 48));
    g_assert(memcmp(before.pdh + CERT_QX, last.pdh + CERT_QX, 48));

    /* PEK_GEN takes the platform away from its owner, if there is no guest. */
    sign_csr(m, &owner, buf);
    g_assert_cmphex(psp(m, CMD_PEK_CERT_IMPORT, buf, 28), ==, SUCCESS);
    g_assert_cmphex(psp_simple(m, CMD_PEK_GEN, 0), ==, SUCCESS);
    g_assert_cmphex(platform_owner(m), ==, 0);
    launch(m, NULL, 0);
    g_assert_cmphex(psp_simple(m, CMD_PEK_GEN, 0), ==, INVALID_PLATFORM_STATE);
    g_assert_cmphex(psp(m, CMD_PEK_CERT_IMPORT, good, 28), ==,
                    INVALID_PLATFORM_STATE);
    export_certs(m, &before);
    g_assert_cmphex(psp_simple(m, CMD_PDH_GEN, 0), ==, SUCCESS);
    export_certs(m, &after);
    g_assert(!memcmp(before.pek, after.pek, CERT_LEN));
    g_assert(memcmp(before.pdh + CERT_QX, after.pdh + CERT_QX, 48));
    g_assert(cert_signed_by(after.pek, PEK, 0, after.pdh));

    owner_clear(&owner);
    machine_free(m);
}

static const Case init_ex_cases[] = {
    { "buffer's length", INVALID_LENGTH, 0, 0, 4, 32 },
    { "too short", INVALID_LENGTH, 0, 32, 4, NV_LEN - 1 },
    { "nowhere", INVALID_ADDRESS, 0, 24, 8, NOWHERE },
    { "address 0", INVALID_ADDRESS, 0, 24, 8, 0 },
    { "unaligned", INVALID_ADDRESS, 0, 24, 8, NV + 16 },
    { "wraps", INVALID_ADDRESS, 0, 24, 8, WRAPS & ~0xfffull },
    { "flags", INVALID_PARAM, 0, 4, 4, 2 },
    { }
};

static int init_ex(Machine *m, const uint8_t file[NV_LEN])
{
    uint8_t buf[36] = { 36 };

    qtest_memwrite(m->qts, NV, file, NV_LEN);
    stq_le_p(buf + 24, NV);
    stl_le_p(buf + 32, NV_LEN);
    return psp(m, CMD_INIT_EX, buf, sizeof(buf));
}

/* The host keeps the platform's keys in a file, and cannot change them. */
static void test_file(void)
{
    Machine *m = machine_new("one"), *same = machine_new("one");
    Machine *other = machine_new("two");
    g_autofree uint8_t *file = g_malloc0(NV_LEN);
    uint8_t buf[36] = { 36 };
    Platform p, q;
    Owner owner;

    owner_init(&owner);
    stq_le_p(buf + 24, NV);
    stl_le_p(buf + 32, NV_LEN);
    check_cases(m, CMD_INIT_EX, buf, sizeof(buf), init_ex_cases);
    g_assert_cmphex(init_ex(m, file), ==, SUCCESS);
    g_assert_cmphex(init_ex(m, file), ==, INVALID_PLATFORM_STATE);
    sign_csr(m, &owner, buf);
    g_assert_cmphex(psp(m, CMD_PEK_CERT_IMPORT, buf, 28), ==, SUCCESS);
    export_certs(m, &p);
    qtest_memread(m->qts, NV, file, NV_LEN);

    g_assert_cmphex(init_ex(same, file), ==, SUCCESS);
    g_assert_cmphex(platform_owner(same), ==, 1);
    export_certs(same, &q);
    g_assert(!memcmp(&p, &q, sizeof(p)));
    g_assert_cmphex(psp_simple(same, CMD_PDH_GEN, 0), ==, SUCCESS);
    export_certs(same, &q);
    g_assert(memcmp(p.pdh + CERT_QX, q.pdh + CERT_QX, 48));
    g_assert_cmphex(psp_simple(same, CMD_SHUTDOWN, 0), ==, SUCCESS);

    /* Of another chip, and changed: told once, and then begun anew */
    g_assert_cmphex(init_ex(other, file), ==, SECURE_DATA_INVALID);
    file[1000] ^= 1;
    g_assert_cmphex(init_ex(same, file), ==, SECURE_DATA_INVALID);
    qtest_memread(same->qts, NV, file, NV_LEN);
    g_assert_cmphex(init_ex(same, file), ==, SUCCESS);
    g_assert_cmphex(platform_owner(same), ==, 0);
    export_certs(same, &q);
    g_assert(memcmp(p.pek + CERT_QX, q.pek + CERT_QX, 48));

    owner_clear(&owner);
    machine_free(other);
    machine_free(same);
    machine_free(m);
}

/* Nothing that a host says makes QEMU stop. */
static void test_noise(void)
{
    static const int commands[] = {
        CMD_INIT, CMD_PLATFORM_RESET, CMD_PEK_GEN, CMD_PEK_CSR,
        CMD_PEK_CERT_IMPORT, CMD_PDH_CERT_EXPORT, CMD_PDH_GEN, CMD_DF_FLUSH,
        CMD_INIT_EX, CMD_DECOMMISSION, CMD_ACTIVATE, CMD_DEACTIVATE,
        CMD_LAUNCH_START, CMD_LAUNCH_UPDATE, CMD_LAUNCH_MEASURE,
        CMD_LAUNCH_SECRET, CMD_LAUNCH_FINISH, CMD_ATTESTATION, CMD_SEND_START,
        CMD_SEND_UPDATE, CMD_SEND_FINISH, CMD_SEND_CANCEL, CMD_RECEIVE_START,
        CMD_RECEIVE_UPDATE, CMD_RECEIVE_FINISH, CMD_DBG_DECRYPT,
    };
    static const uint64_t words[] = {
        0, 1, 2, 3, 4, 16, 36, HEADER_LEN, MEASURE_LEN, SESSION_LEN, PAGE,
        CERT_LEN, CHAIN_LEN, 2 * AMD_CERT_LEN, PACKET_MAX, PACKET_MAX + 16,
        NV_LEN, BUFFER, CERT, CHAIN, AMD, SESSION, HEADER, TRANSPORT, OUT, NV,
        GUEST, GUEST | CBIT, NOWHERE, LAST_BYTES, LAST_BYTES | CBIT, WRAPS,
        0x80000000, 0xfffffff0, 0xffffffff,
    };
    uint8_t root[2 * AMD_CERT_LEN], page[PAGE] = { 0 }, buf[80];
    Machine *m = NULL;
    Platform p;

    for (int i = 0; i < 4000; i++) {
        int cmd = commands[g_test_rand_int_range(0, ARRAY_SIZE(commands))];

        if (i % 200 == 0) {
            if (m) {
                machine_free(m);
            }
            m = machine_new(NULL);
            init(m);
            read_root(m, root);
            export_certs(m, &p);
            run(m, 0, page);
            run(m, SEV, page);
            write_target(m, &p, root);
        }
        for (int j = 0; j < sizeof(buf); j += 8) {
            uint64_t word = words[g_test_rand_int_range(0, ARRAY_SIZE(words))];

            if (g_test_rand_bit()) {
                stq_le_p(buf + j, word);
            } else {
                stl_le_p(buf + j, word);
                word = words[g_test_rand_int_range(0, ARRAY_SIZE(words))];
                stl_le_p(buf + j + 4, word);
            }
        }
        psp(m, g_test_rand_int_range(0, 50) ? cmd : cmd * 7, buf, sizeof(buf));
        if (i % 10 == 0) {
            flip(m, CERT + g_test_rand_int_range(0, CERT_LEN));
        }
    }
    qpci_io_writel(m->dev, m->bar, 0x109e0, NOWHERE);
    qpci_io_writel(m->dev, m->bar, 0x10980, CMD_PLATFORM_STATUS << 16);
    g_assert_cmphex(qpci_io_readl(m->dev, m->bar, 0x10980), ==,
                    1u << 31 | INVALID_ADDRESS);
    machine_free(m);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    if (!qtest_has_device("amd-psp") || !qtest_has_accel("tcg")) {
        return 0;
    }
    firmware_create();
    qtest_add_func("/amd-psp/certificates", test_certificates);
    qtest_add_func("/amd-psp/ownership", test_ownership);
    qtest_add_func("/amd-psp/file", test_file);
    add_x509_tests();
    add_guest_tests();
    qtest_add_func("/amd-psp/noise", test_noise);
    ret = g_test_run();
    firmware_remove();
    return ret;
}
