/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: guests that are launched, that leave and
 * that arrive
 *
 * Each table is a command that succeeds, and what it must not survive: one byte
 * of what it reads changed, or one field of its buffer.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "amd-psp-host.h"

static const Case start_cases[] = {
    { "no certificate", INVALID_LENGTH, 0, 16, 4, 0 },
    { "certificate too short", INVALID_LENGTH, 0, 16, 4, CERT_LEN - 1 },
    { "no session", INVALID_LENGTH, 0, 32, 4, 0 },
    { "session too long", INVALID_LENGTH, 0, 32, 4, SESSION_LEN + 1 },
    { "certificate nowhere", INVALID_ADDRESS, 0, 8, 8, NOWHERE },
    { "certificate wraps", INVALID_ADDRESS, 0, 8, 8, WRAPS },
    { "session beyond RAM", INVALID_ADDRESS, 0, 24, 8, LAST_BYTES },
    { "certificate's version", INVALID_CERTIFICATE, CERT },
    { "certificate's usage", INVALID_CERTIFICATE, CERT + CERT_USAGE },
    { "certificate's algorithm", INVALID_CERTIFICATE, CERT + CERT_ALGO },
    { "certificate's curve", INVALID_CERTIFICATE, CERT + CERT_CURVE },
    { "no point of the curve", INVALID_CERTIFICATE, CERT + CERT_QY },
    { "nonce", BAD_MEASUREMENT, SESSION + SESSION_NONCE },
    { "TEK", BAD_MEASUREMENT, SESSION + SESSION_KEYS },
    { "TIK", BAD_MEASUREMENT, SESSION + SESSION_KEYS + 16 },
    { "IV of the keys", BAD_MEASUREMENT, SESSION + SESSION_IV },
    { "MAC of the keys", BAD_MEASUREMENT, SESSION + SESSION_MAC },
    { "MAC of the policy", BAD_MEASUREMENT, SESSION + SESSION_POLICY_MAC },
    { "another policy", BAD_MEASUREMENT, 0, 4, 4, SEV },
    { "policy of a newer API", POLICY_FAILURE, 0, 4, 4,
      API(API_MAJOR, API_MINOR + 1) },
    { "key of nobody", INVALID_GUEST, 0, 0, 4, 0x1234 },
    { }
};

static const Case secret_cases[] = {
    { "header too short", INVALID_LENGTH, 0, 16, 4, HEADER_LEN - 1 },
    { "nothing", INVALID_LENGTH, 0, 32, 4, 0 },
    { "half a block", INVALID_LENGTH, 0, 32, 4, 8 },
    { "longer than it is", INVALID_LENGTH, 0, 32, 4, 80 },
    { "too long", INVALID_LENGTH, 0, 32, 4, PACKET_MAX + 16 },
    { "shorter than it is", INVALID_LENGTH, 0, 48, 4, 48 },
    { "unaligned", INVALID_ADDRESS, 0, 24, 8, GUEST + 8 },
    { "guest nowhere", INVALID_ADDRESS, 0, 24, 8, NOWHERE },
    { "header beyond RAM", INVALID_ADDRESS, 0, 8, 8, LAST_BYTES },
    { "transport wraps", INVALID_ADDRESS, 0, 40, 8, WRAPS },
    { "flags", BAD_MEASUREMENT, HEADER },
    { "IV", BAD_MEASUREMENT, HEADER + 4 },
    { "MAC", BAD_MEASUREMENT, HEADER + HEADER_LEN - 1 },
    { "first byte", BAD_MEASUREMENT, TRANSPORT },
    { "last byte", BAD_MEASUREMENT, TRANSPORT + 63 },
    { "guest of nobody", INVALID_GUEST, 0, 0, 4, 0x1234 },
    { }
};

/* What becomes of a packet of that kind, with these flags. */
static int give(Machine *m, int cmd, const uint8_t good[52], const Owner *owner,
                int kind, uint32_t flags, const uint8_t *tail, size_t tail_len)
{
    uint8_t buf[52], header[HEADER_LEN], data[64] = "secret";

    owner_seal(owner, kind, flags, data, sizeof(data), tail, tail_len, header);
    qtest_memwrite(m->qts, HEADER, header, HEADER_LEN);
    qtest_memwrite(m->qts, TRANSPORT, data, sizeof(data));
    memcpy(buf, good, sizeof(buf));
    return psp(m, cmd, buf, sizeof(buf));
}

static void test_launch(void)
{
    static const uint8_t api[3] = { API_MAJOR, API_MINOR, 1 };
    Machine *m = machine_new(NULL);
    uint8_t page[PAGE], digest[32], expected[32];
    uint8_t out[MEASURE_LEN], second_out[MEASURE_LEN];
    uint8_t buf[80] = { 0 }, report[REPORT_LEN], seen[64];
    uint32_t handle, second;
    Owner owner;
    Platform p;

    owner_init(&owner);
    init(m);
    export_certs(m, &p);
    fill(page, sizeof(page));
    sha256(page, sizeof(page), digest);

    /* Once well, and then with what it has left in RAM */
    handle = launch(m, &owner, NOKS);
    start_buffer(buf, NOKS);
    check_cases(m, CMD_LAUNCH_START, buf, 36, start_cases);
    stl_le_p(buf + 4, NOKS | ES);
    g_assert_cmphex(psp(m, CMD_LAUNCH_START, buf, 36), ==, POLICY_FAILURE);

    update(m, handle, GUEST, page);
    measure(m, handle, out);
    owner_measure(&owner, api, NOKS, digest, out + 32, expected);
    g_assert(!memcmp(out, expected, sizeof(expected)));

    /* Only with keys and measurement of this launch is it a secret. */
    packet_buffer(buf, handle, GUEST, PACKET_MAX + 16);
    g_assert_cmphex(psp(m, CMD_LAUNCH_SECRET, buf, 52), ==, INVALID_LENGTH);
    packet_buffer(buf, handle, GUEST, 64);
    g_assert_cmphex(give(m, CMD_LAUNCH_SECRET, buf, &owner, DATA, 0, out, 32),
                    ==, BAD_MEASUREMENT);
    g_assert_cmphex(give(m, CMD_LAUNCH_SECRET, buf, &owner, SECRET, 0, digest,
                         32), ==, BAD_MEASUREMENT);
    g_assert_cmphex(give(m, CMD_LAUNCH_SECRET, buf, &owner, SECRET, 1, out, 32),
                    ==, UNSUPPORTED);
    g_assert_cmphex(give(m, CMD_LAUNCH_SECRET, buf, &owner, SECRET, 2, out, 32),
                    ==, INVALID_PARAM);
    read_guest(m, handle, GUEST, seen, sizeof(seen));
    g_assert(!memcmp(seen, page, sizeof(seen)));
    g_assert_cmphex(give(m, CMD_LAUNCH_SECRET, buf, &owner, SECRET, 0, out, 32),
                    ==, SUCCESS);
    check_cases(m, CMD_LAUNCH_SECRET, buf, 52, secret_cases);
    read_guest(m, handle, GUEST, seen, sizeof(seen));
    g_assert_cmpstr((char *)seen, ==, "secret");
    read_guest(m, handle, GUEST + 64, seen, sizeof(seen));
    g_assert(!memcmp(seen, page + 64, sizeof(seen)));

    /* Another launch of the same owner does not take it. */
    second = launch(m, &owner, NOKS);
    update(m, second, GUEST + PAGE, page);
    measure(m, second, second_out);
    packet_buffer(buf, second, GUEST + PAGE, 64);
    g_assert_cmphex(give(m, CMD_LAUNCH_SECRET, buf, &owner, SECRET, 0, out, 32),
                    ==, BAD_MEASUREMENT);
    g_assert_cmphex(psp_simple(m, CMD_DEACTIVATE, second), ==, SUCCESS);
    packet_buffer(buf, second, GUEST + PAGE, 64);
    g_assert_cmphex(psp(m, CMD_LAUNCH_SECRET, buf, 52), ==, INACTIVE);

    /* The platform vouches for what was launched. */
    memset(buf, 0, sizeof(buf));
    stl_le_p(buf, handle);
    stq_le_p(buf + 8, OUT);
    memset(buf + 16, 0x5a, 16);
    g_assert_cmphex(psp(m, CMD_ATTESTATION, buf, 36), ==, INVALID_LENGTH);
    g_assert_cmpuint(ldl_le_p(buf + 32), ==, REPORT_LEN);
    g_assert_cmphex(psp(m, CMD_ATTESTATION, buf, 36), ==, SUCCESS);
    qtest_memread(m->qts, OUT, report, REPORT_LEN);
    g_assert(!memcmp(report, buf + 16, 16));
    g_assert(!memcmp(report + 16, digest, 32));
    g_assert_cmphex(ldl_le_p(report + 48), ==, NOKS);
    g_assert_cmphex(ldl_le_p(report + 52), ==, PEK);
    g_assert_cmphex(ldl_le_p(report + 56), ==, ECDSA_SHA256);
    g_assert(signed_by(p.pek, report, 52, report + 64));
    report[16] ^= 1;
    g_assert(!signed_by(p.pek, report, 52, report + 64));
    stq_le_p(buf + 8, NOWHERE);
    g_assert_cmphex(psp(m, CMD_ATTESTATION, buf, 36), ==, INVALID_ADDRESS);

    /* With another PDH, the owner's session is nothing any more. */
    launch(m, &owner, 0);
    start_buffer(buf, 0);
    g_assert_cmphex(psp_simple(m, CMD_PDH_GEN, 0), ==, SUCCESS);
    g_assert_cmphex(psp(m, CMD_LAUNCH_START, buf, 36), ==, BAD_MEASUREMENT);

    owner_clear(&owner);
    machine_free(m);
}

static const Case send_start_cases[] = {
    { "session too short", INVALID_LENGTH, 0, 64, 4, SESSION_LEN - 1 },
    { "PDH too short", INVALID_LENGTH, 0, 16, 4, CERT_LEN - 1 },
    { "no chain", INVALID_LENGTH, 0, 32, 4, 0 },
    { "no keys of AMD", INVALID_LENGTH, 0, 48, 4, 0 },
    { "session nowhere", INVALID_ADDRESS, 0, 56, 8, NOWHERE },
    { "PDH wraps", INVALID_ADDRESS, 0, 8, 8, WRAPS },
    { "chain beyond RAM", INVALID_ADDRESS, 0, 24, 8, LAST_BYTES },
    { "keys of AMD nowhere", INVALID_ADDRESS, 0, 40, 8, NOWHERE },
    { "PDH's usage", INVALID_CERTIFICATE, CERT + CERT_USAGE },
    { "PDH's key", INVALID_CERTIFICATE, CERT + CERT_QX },
    { "PDH's API", BAD_SIGNATURE, CERT + 5 },
    { "PDH's signature", BAD_SIGNATURE, CERT + CERT_SIG(0) + 8 },
    { "PEK's key", BAD_SIGNATURE, CHAIN + CERT_QX },
    { "PEK's API", BAD_SIGNATURE, CHAIN + 5 },
    { "PEK's signature by CEK", BAD_SIGNATURE, CHAIN + CERT_SIG(1) + 8 },
    { "PEK not signed by CEK", INVALID_CERTIFICATE, CHAIN + CERT_SIG(1) },
    { "CEK's key", BAD_SIGNATURE, CHAIN + 2 * CERT_LEN + CERT_QX },
    { "CEK's signature", BAD_SIGNATURE,
      CHAIN + 2 * CERT_LEN + CERT_SIG(0) + 8 },
    { "CEK not signed by ASK", INVALID_CERTIFICATE,
      CHAIN + 2 * CERT_LEN + CERT_SIG(0) },
    { "ASK's usage", BAD_SIGNATURE, AMD + 36 },
    { "ASK's key", BAD_SIGNATURE, AMD + 64 + 512 },
    { "ASK's signature", BAD_SIGNATURE, AMD + 64 + 1024 },
    { "ARK's key", INVALID_CERTIFICATE, AMD + AMD_CERT_LEN + 64 + 512 },
    { "ARK's signature", BAD_SIGNATURE, AMD + AMD_CERT_LEN + 64 + 1024 },
    { "guest of nobody", INVALID_GUEST, 0, 0, 4, 0x1234 },
    { }
};

static const Case send_update_cases[] = {
    { "header too short", INVALID_LENGTH, 0, 16, 4, HEADER_LEN - 1 },
    { "transport too short", INVALID_LENGTH, 0, 48, 4, 1008 },
    { "half a block", INVALID_LENGTH, 0, 32, 4, 8 },
    { "without C-bit", INVALID_ADDRESS, 0, 24, 8, GUEST },
    { "unaligned", INVALID_ADDRESS, 0, 24, 8, (GUEST + 8) | CBIT },
    { "guest nowhere", INVALID_ADDRESS, 0, 24, 8, NOWHERE | CBIT },
    { "guest wraps", INVALID_ADDRESS, 0, 24, 8, WRAPS },
    { "header beyond RAM", INVALID_ADDRESS, 0, 8, 8, LAST_BYTES },
    { "transport nowhere", INVALID_ADDRESS, 0, 40, 8, NOWHERE },
    { "guest of nobody", INVALID_GUEST, 0, 0, 4, 0x1234 },
    { }
};

static const Case receive_update_cases[] = {
    { "header too long", INVALID_LENGTH, 0, 16, 4, HEADER_LEN + 1 },
    { "nothing", INVALID_LENGTH, 0, 32, 4, 0 },
    { "shorter than it is", INVALID_LENGTH, 0, 48, 4, 1008 },
    { "too long", INVALID_LENGTH, 0, 32, 4, PACKET_MAX + 16 },
    { "without C-bit", INVALID_ADDRESS, 0, 24, 8, GUEST },
    { "unaligned", INVALID_ADDRESS, 0, 24, 8, (GUEST + 8) | CBIT },
    { "guest beyond RAM", INVALID_ADDRESS, 0, 24, 8, LAST_BYTES | CBIT },
    { "header wraps", INVALID_ADDRESS, 0, 8, 8, WRAPS },
    { "transport nowhere", INVALID_ADDRESS, 0, 40, 8, NOWHERE },
    { "flags", BAD_MEASUREMENT, HEADER },
    { "IV", BAD_MEASUREMENT, HEADER + 19 },
    { "MAC", BAD_MEASUREMENT, HEADER + 20 },
    { "first byte", BAD_MEASUREMENT, TRANSPORT },
    { "last byte", BAD_MEASUREMENT, TRANSPORT + 1023 },
    { "guest of nobody", INVALID_GUEST, 0, 0, 4, 0x1234 },
    { }
};

/* From one machine to another, which have nothing in common but the root */
static void test_migration(void)
{
    Machine *a = machine_new("a"), *b = machine_new("b");
    uint8_t root[2 * AMD_CERT_LEN], page[PAGE], seen[PAGE];
    uint8_t session[SESSION_LEN], header[4][HEADER_LEN], data[4][1024];
    uint8_t buf[80], good[80], query[52] = { 0 };
    static const int order[] = { 3, 1, 0, 2, 1 };
    uint32_t handle, arrived;
    Platform from, to;

    init(a);
    init(b);
    export_certs(a, &from);
    export_certs(b, &to);
    read_root(b, root);
    fill(page, sizeof(page));
    handle = run(a, SEV | API(API_MAJOR, API_MINOR), page);

    write_target(a, &to, root);
    send_buffer(good, handle);
    check_cases(a, CMD_SEND_START, good, 68, send_start_cases);
    g_assert_cmpint(guest_state(a, handle), ==, RUNNING);
    memset(buf, 0, sizeof(buf));
    stl_le_p(buf, handle);
    g_assert_cmphex(psp(a, CMD_SEND_START, buf, 68), ==, INVALID_LENGTH);
    g_assert_cmpuint(ldl_le_p(buf + 64), ==, SESSION_LEN);
    memcpy(buf, good, sizeof(buf));
    g_assert_cmphex(psp(a, CMD_SEND_START, buf, 68), ==, SUCCESS);
    g_assert_cmphex(ldl_le_p(buf + 4), ==, SEV | API(API_MAJOR, API_MINOR));
    g_assert_cmpint(guest_state(a, handle), ==, SUPDATE);
    qtest_memread(a->qts, SESSION, session, SESSION_LEN);

    stl_le_p(query, handle);
    g_assert_cmphex(psp(a, CMD_SEND_UPDATE, query, 52), ==, INVALID_LENGTH);
    g_assert_cmpuint(ldl_le_p(query + 16), ==, HEADER_LEN);
    g_assert_cmpuint(ldl_le_p(query + 48), ==, PACKET_MAX);
    packet_buffer(good, handle, GUEST | CBIT, 1024);
    check_cases(a, CMD_SEND_UPDATE, good, 52, send_update_cases);
    for (int i = 0; i < 4; i++) {
        packet_buffer(buf, handle, (GUEST + 1024 * i) | CBIT, 1024);
        /* A buffer may be larger. */
        stl_le_p(buf + 48, PAGE);
        g_assert_cmphex(psp(a, CMD_SEND_UPDATE, buf, 52), ==, SUCCESS);
        g_assert_cmpuint(ldl_le_p(buf + 48), ==, 1024);
        qtest_memread(a->qts, HEADER, header[i], HEADER_LEN);
        qtest_memread(a->qts, TRANSPORT, data[i], 1024);
        g_assert(memcmp(data[i], page + 1024 * i, 16));
    }
    g_assert_cmphex(psp_simple(a, CMD_SEND_FINISH, handle), ==, SUCCESS);
    g_assert_cmpint(guest_state(a, handle), ==, SENT);

    /* Neither another platform, nor one with the wrong sender */
    qtest_memwrite(a->qts, CERT, from.pdh, CERT_LEN);
    qtest_memwrite(a->qts, SESSION, session, SESSION_LEN);
    start_buffer(good, SEV | API(API_MAJOR, API_MINOR));
    memcpy(buf, good, sizeof(buf));
    g_assert_cmphex(psp(a, CMD_RECEIVE_START, buf, 36), ==, BAD_MEASUREMENT);
    qtest_memwrite(b->qts, CERT, to.pdh, CERT_LEN);
    qtest_memwrite(b->qts, SESSION, session, SESSION_LEN);
    memcpy(buf, good, sizeof(buf));
    g_assert_cmphex(psp(b, CMD_RECEIVE_START, buf, 36), ==, BAD_MEASUREMENT);
    qtest_memwrite(b->qts, CERT, from.pdh, CERT_LEN);
    check_cases(b, CMD_RECEIVE_START, good, 36, start_cases);
    memset(buf, 0, sizeof(buf));
    memcpy(buf, good, 8);
    g_assert_cmphex(psp(b, CMD_RECEIVE_START, buf, 36), ==, INVALID_LENGTH);
    memcpy(buf, good, sizeof(buf));
    g_assert_cmphex(psp(b, CMD_RECEIVE_START, buf, 36), ==, SUCCESS);
    arrived = ldl_le_p(buf);
    g_assert_cmpint(guest_state(b, arrived), ==, RUPDATE);

    packet_buffer(good, arrived, GUEST | CBIT, 1024);
    memcpy(buf, good, sizeof(buf));
    g_assert_cmphex(psp(b, CMD_RECEIVE_UPDATE, buf, 52), ==, INACTIVE);
    activate(b, arrived);
    qtest_memwrite(b->qts, HEADER, header[0], HEADER_LEN);
    qtest_memwrite(b->qts, TRANSPORT, data[0], 1024);
    check_cases(b, CMD_RECEIVE_UPDATE, good, 52, receive_update_cases);
    /* One packet's header with another one's data */
    qtest_memwrite(b->qts, TRANSPORT, data[1], 1024);
    g_assert_cmphex(psp(b, CMD_RECEIVE_UPDATE, good, 52), ==, BAD_MEASUREMENT);

    /* Neither order nor number nor place of packets is protected by the API. */
    for (int i = 0; i < ARRAY_SIZE(order); i++) {
        int nr = order[i];

        qtest_memwrite(b->qts, HEADER, header[nr], HEADER_LEN);
        qtest_memwrite(b->qts, TRANSPORT, data[nr], 1024);
        packet_buffer(buf, arrived, (GUEST + 1024 * nr) | CBIT, 1024);
        g_assert_cmphex(psp(b, CMD_RECEIVE_UPDATE, buf, 52), ==, SUCCESS);
    }
    g_assert_cmphex(psp_simple(b, CMD_RECEIVE_FINISH, arrived), ==, SUCCESS);
    g_assert_cmpint(guest_state(b, arrived), ==, RUNNING);
    read_guest(b, arrived, GUEST, seen, PAGE);
    g_assert(!memcmp(seen, page, PAGE));
    /* Not with that key: nothing of it can be seen. */
    g_assert_cmphex(psp_simple(b, CMD_DEACTIVATE, arrived), ==, SUCCESS);
    qtest_memread(b->qts, GUEST, seen, PAGE);
    for (int i = 0; i < PAGE; i += 16) {
        g_assert(memcmp(seen + i, page + i, 16));
    }

    /* A session is for one PDH. */
    g_assert_cmphex(psp_simple(b, CMD_PDH_GEN, 0), ==, SUCCESS);
    qtest_memwrite(b->qts, CERT, from.pdh, CERT_LEN);
    start_buffer(buf, SEV | API(API_MAJOR, API_MINOR));
    g_assert_cmphex(psp(b, CMD_RECEIVE_START, buf, 36), ==, BAD_MEASUREMENT);

    machine_free(b);
    machine_free(a);
}

/* The test itself is where guests are sent to, and where they come from. */
static void test_transport(void)
{
    Machine *m = machine_new(NULL);
    uint8_t page[PAGE], data[PAGE], header[HEADER_LEN], old[HEADER_LEN];
    uint8_t cert[CERT_LEN], session[SESSION_LEN], buf[80], good[80];
    uint8_t old_tek[16] = { 0 }, old_tik[16] = { 0 };
    uint32_t handle, first;
    Owner owner;
    Platform p;

    owner_init(&owner);
    init(m);
    export_certs(m, &p);
    fill(page, sizeof(page));
    handle = run(m, 0, page);
    owner_cert(&owner, PDH, ECDH_SHA256, cert);
    qtest_memwrite(m->qts, CERT, cert, CERT_LEN);

    /* Twice: a session that was cancelled is not that of the next. */
    for (int i = 0; i < 2; i++) {
        send_buffer(buf, handle);
        stl_le_p(buf + 32, 0);
        stl_le_p(buf + 48, 0);
        g_assert_cmphex(psp(m, CMD_SEND_START, buf, 68), ==, SUCCESS);
        qtest_memread(m->qts, SESSION, session, SESSION_LEN);
        g_assert(!owner_join(&owner, p.pdh, SEV, session));
        g_assert(owner_join(&owner, p.pdh, 0, session));
        g_assert(memcmp(owner.tek, old_tek, 16));
        g_assert(memcmp(owner.tik, old_tik, 16));
        memcpy(old_tek, owner.tek, 16);
        memcpy(old_tik, owner.tik, 16);
        packet_buffer(buf, handle, GUEST | CBIT, PACKET_MAX + 16);
        g_assert_cmphex(psp(m, CMD_SEND_UPDATE, buf, 52), ==, INVALID_LENGTH);
        packet_buffer(buf, handle, GUEST | CBIT, PACKET_MAX);
        g_assert_cmphex(psp(m, CMD_SEND_UPDATE, buf, 52), ==, SUCCESS);
        packet_buffer(buf, handle, GUEST | CBIT, PAGE);
        g_assert_cmphex(psp(m, CMD_SEND_UPDATE, buf, 52), ==, SUCCESS);
        qtest_memread(m->qts, HEADER, header, HEADER_LEN);
        qtest_memread(m->qts, TRANSPORT, data, PAGE);
        if (i == 0) {
            memcpy(old, header, HEADER_LEN);
        } else {
            g_assert(memcmp(old, header, HEADER_LEN));
            g_assert(!owner_open(&owner, DATA, data, PAGE, old));
            qtest_memread(m->qts, TRANSPORT, data, PAGE);
        }
        g_assert(owner_open(&owner, DATA, data, PAGE, header));
        g_assert(!memcmp(data, page, PAGE));
        g_assert_cmphex(psp_simple(m, CMD_SEND_CANCEL, handle), ==, SUCCESS);
        g_assert_cmpint(guest_state(m, handle), ==, RUNNING);
    }

    owner_session(&owner, p.pdh, 0, session);
    qtest_memwrite(m->qts, SESSION, session, SESSION_LEN);
    start_buffer(buf, ES);
    g_assert_cmphex(psp(m, CMD_RECEIVE_START, buf, 36), ==, UNSUPPORTED);
    start_buffer(buf, 0);
    g_assert_cmphex(psp(m, CMD_RECEIVE_START, buf, 36), ==, SUCCESS);
    first = ldl_le_p(buf);
    activate(m, first);
    packet_buffer(buf, first, (GUEST + PAGE) | CBIT, PACKET_MAX + 16);
    g_assert_cmphex(psp(m, CMD_RECEIVE_UPDATE, buf, 52), ==, INVALID_LENGTH);
    packet_buffer(good, first, (GUEST + PAGE) | CBIT, 64);
    g_assert_cmphex(give(m, CMD_RECEIVE_UPDATE, good, &owner, DATA, 0, NULL, 0),
                    ==, SUCCESS);
    g_assert_cmphex(give(m, CMD_RECEIVE_UPDATE, good, &owner, DATA, 1, NULL, 0),
                    ==, UNSUPPORTED);
    g_assert_cmphex(give(m, CMD_RECEIVE_UPDATE, good, &owner, DATA, 2, NULL, 0),
                    ==, INVALID_PARAM);
    g_assert_cmphex(give(m, CMD_RECEIVE_UPDATE, good, &owner, SECRET, 0, NULL,
                         0), ==, BAD_MEASUREMENT);
    read_guest(m, first, GUEST + PAGE, data, 64);
    g_assert_cmpstr((char *)data, ==, "secret");

    /* A packet of one session is none of another one's. */
    give(m, CMD_RECEIVE_UPDATE, good, &owner, DATA, 0, NULL, 0);
    owner_session(&owner, p.pdh, 0, session);
    qtest_memwrite(m->qts, SESSION, session, SESSION_LEN);
    start_buffer(buf, 0);
    g_assert_cmphex(psp(m, CMD_RECEIVE_START, buf, 36), ==, SUCCESS);
    handle = ldl_le_p(buf);
    activate(m, handle);
    packet_buffer(buf, handle, (GUEST + 2 * PAGE) | CBIT, 64);
    g_assert_cmphex(psp(m, CMD_RECEIVE_UPDATE, buf, 52), ==, BAD_MEASUREMENT);

    owner_clear(&owner);
    machine_free(m);
}

/* A platform that is the test's: its PDH, and a PEK that OCA has signed. */
static void forge_platform(Machine *m, const Owner *oca, const Owner *pek,
                           uint8_t api_minor)
{
    Platform p = { 0 };

    owner_cert(oca, OCA, ECDSA_SHA256, p.oca);
    owner_sign(oca, OCA, 0, p.oca);
    owner_cert(pek, PEK, ECDSA_SHA256, p.pek);
    p.pek[4] = API_MAJOR;
    p.pek[5] = api_minor;
    owner_sign(oca, OCA, 0, p.pek);
    owner_cert(pek, PDH, ECDH_SHA256, p.pdh);
    owner_sign(pek, PEK, 0, p.pdh);
    qtest_memwrite(m->qts, CERT, p.pdh, CERT_LEN);
    qtest_memwrite(m->qts, CHAIN, p.pek, CHAIN_LEN);
}

static int send_start(Machine *m, uint32_t handle)
{
    uint8_t buf[68];

    send_buffer(buf, handle);
    return psp(m, CMD_SEND_START, buf, sizeof(buf));
}

static void test_policies(void)
{
    Machine *a = machine_new("a"), *b = machine_new("b");
    uint8_t root[2 * AMD_CERT_LEN], page[PAGE] = { 0 }, buf[28];
    uint32_t stays, domain, sev, newest;
    Owner oca, pek;
    Platform p;

    owner_init(&oca);
    owner_init(&pek);
    init(a);
    init(b);
    sign_csr(a, &oca, buf);
    g_assert_cmphex(psp(a, CMD_PEK_CERT_IMPORT, buf, 28), ==, SUCCESS);
    read_root(b, root);
    stays = run(a, NOSEND, page);
    domain = run(a, DOMAIN, page);
    sev = run(a, SEV, page);
    newest = run(a, DOMAIN | API(API_MAJOR, API_MINOR), page);

    /* A real platform with another owner */
    export_certs(b, &p);
    write_target(a, &p, root);
    g_assert_cmphex(send_start(a, stays), ==, POLICY_FAILURE);
    g_assert_cmphex(send_start(a, domain), ==, POLICY_FAILURE);
    g_assert_cmphex(send_start(a, sev), ==, SUCCESS);
    g_assert_cmphex(psp_simple(a, CMD_SEND_CANCEL, sev), ==, SUCCESS);

    /* The same with the right owner */
    sign_csr(b, &oca, buf);
    g_assert_cmphex(psp(b, CMD_PEK_CERT_IMPORT, buf, 28), ==, SUCCESS);
    export_certs(b, &p);
    write_target(a, &p, root);
    g_assert_cmphex(send_start(a, domain), ==, SUCCESS);
    g_assert_cmphex(psp_simple(a, CMD_SEND_CANCEL, domain), ==, SUCCESS);
    g_assert_cmphex(send_start(a, newest), ==, SUCCESS);
    g_assert_cmphex(psp_simple(a, CMD_SEND_CANCEL, newest), ==, SUCCESS);

    /* The OCA's certificate but not its signature, and no PDH of that PEK */
    flip(a, CHAIN + CERT_SIG(0) + 8);
    g_assert_cmphex(send_start(a, domain), ==, BAD_SIGNATURE);
    flip(a, CHAIN + CERT_SIG(0) + 8);
    flip(a, CERT + CERT_SIG(0) + 8);
    g_assert_cmphex(send_start(a, domain), ==, BAD_SIGNATURE);

    /* No chip, but of the domain; and one with an older API */
    forge_platform(a, &oca, &pek, API_MINOR);
    g_assert_cmphex(send_start(a, sev), ==, INVALID_CERTIFICATE);
    g_assert_cmphex(send_start(a, newest), ==, SUCCESS);
    g_assert_cmphex(psp_simple(a, CMD_SEND_CANCEL, newest), ==, SUCCESS);
    forge_platform(a, &oca, &pek, API_MINOR - 1);
    g_assert_cmphex(send_start(a, newest), ==, POLICY_FAILURE);
    g_assert_cmphex(send_start(a, domain), ==, SUCCESS);

    owner_clear(&pek);
    owner_clear(&oca);
    machine_free(b);
    machine_free(a);
}

/* A guest whose policy wants a newer API than the other platform has */
static void test_versions(void)
{
    Machine *a = machine_new("a"), *b = machine_new("b,api-minor=54");
    uint8_t root[2 * AMD_CERT_LEN], page[PAGE] = { 0 };
    uint8_t session[SESSION_LEN], buf[68];
    static const struct {
        uint32_t policy;
        int send, receive;
    } cases[] = {
        { SEV | API(API_MAJOR, 54), SUCCESS, SUCCESS },
        { SEV | API(API_MAJOR, 55), POLICY_FAILURE, 0 },
        { API(API_MAJOR, 54), SUCCESS, SUCCESS },
        /* Without chip or owner, nobody looks at the certificate of its PEK. */
        { API(API_MAJOR, 55), SUCCESS, POLICY_FAILURE },
    };
    Platform from, to;

    init(a);
    init(b);
    export_certs(a, &from);
    export_certs(b, &to);
    g_assert_cmphex(to.pek[5], ==, 54);
    memset(buf, 0, sizeof(buf));
    g_assert_cmphex(psp(b, CMD_PLATFORM_STATUS, buf, 12), ==, SUCCESS);
    g_assert_cmphex(buf[1], ==, 54);
    read_root(b, root);
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        write_target(a, &to, root);
        g_assert_cmphex(send_start(a, run(a, cases[i].policy, page)), ==,
                        cases[i].send);
        if (cases[i].send) {
            continue;
        }
        qtest_memread(a->qts, SESSION, session, SESSION_LEN);
        qtest_memwrite(b->qts, CERT, from.pdh, CERT_LEN);
        qtest_memwrite(b->qts, SESSION, session, SESSION_LEN);
        start_buffer(buf, cases[i].policy);
        g_assert_cmphex(psp(b, CMD_RECEIVE_START, buf, 36), ==,
                        cases[i].receive);
    }
    machine_free(b);
    machine_free(a);
}

/* What each state has no place for */
static void test_states(void)
{
    static const struct {
        int cmd, allowed;
    } commands[] = {
        { CMD_LAUNCH_UPDATE, 1 << LUPDATE },
        { CMD_LAUNCH_MEASURE, 1 << LUPDATE },
        { CMD_LAUNCH_SECRET, 1 << LSECRET },
        { CMD_LAUNCH_FINISH, 1 << LSECRET },
        { CMD_ATTESTATION, 1 << LSECRET | 1 << RUNNING | 1 << SUPDATE |
                           1 << SENT },
        { CMD_SEND_START, 1 << RUNNING },
        { CMD_SEND_UPDATE, 1 << SUPDATE },
        { CMD_SEND_FINISH, 1 << SUPDATE },
        { CMD_SEND_CANCEL, 1 << SUPDATE },
        { CMD_RECEIVE_UPDATE, 1 << RUPDATE },
        { CMD_RECEIVE_FINISH, 1 << RUPDATE },
    };
    Machine *m = machine_new(NULL);
    uint8_t page[PAGE] = { 0 }, out[MEASURE_LEN], cert[CERT_LEN];
    uint8_t session[SESSION_LEN], buf[80];
    uint32_t guests[SENT + 1];
    Owner owner;
    Platform p;

    owner_init(&owner);
    owner_cert(&owner, PDH, ECDH_SHA256, cert);
    for (int i = 0; i < ARRAY_SIZE(commands); i++) {
        g_assert_cmphex(psp_simple(m, commands[i].cmd, 1), ==,
                        INVALID_PLATFORM_STATE);
    }
    start_buffer(buf, 0);
    g_assert_cmphex(psp(m, CMD_RECEIVE_START, buf, 36), ==,
                    INVALID_PLATFORM_STATE);
    init(m);
    export_certs(m, &p);
    guests[LUPDATE] = launch(m, NULL, 0);
    guests[LSECRET] = launch(m, NULL, 0);
    measure(m, guests[LSECRET], out);
    guests[RUNNING] = run(m, 0, page);
    guests[SUPDATE] = run(m, 0, page);
    guests[SENT] = run(m, 0, page);
    qtest_memwrite(m->qts, CERT, cert, CERT_LEN);
    g_assert_cmphex(send_start(m, guests[SUPDATE]), ==, SUCCESS);
    g_assert_cmphex(send_start(m, guests[SENT]), ==, SUCCESS);
    g_assert_cmphex(psp_simple(m, CMD_SEND_FINISH, guests[SENT]), ==, SUCCESS);
    owner_session(&owner, p.pdh, 0, session);
    qtest_memwrite(m->qts, SESSION, session, SESSION_LEN);
    start_buffer(buf, 0);
    g_assert_cmphex(psp(m, CMD_RECEIVE_START, buf, 36), ==, SUCCESS);
    guests[RUPDATE] = ldl_le_p(buf);

    for (int state = LUPDATE; state <= SENT; state++) {
        for (int i = 0; i < ARRAY_SIZE(commands); i++) {
            int status;

            memset(buf, 0, sizeof(buf));
            stl_le_p(buf, guests[state]);
            if (commands[i].allowed & (1 << state)) {
                continue;
            }
            status = psp(m, commands[i].cmd, buf, sizeof(buf));
            if (status != INVALID_GUEST_STATE) {
                g_error("command 0x%02x in state %d: status 0x%02x",
                        commands[i].cmd, state, status);
            }
        }
        g_assert_cmpint(guest_state(m, guests[state]), ==, state);
    }

    /* Who has left does not come back. */
    g_assert_cmphex(psp_simple(m, CMD_DEACTIVATE, guests[SENT]), ==, SUCCESS);
    memset(buf, 0, sizeof(buf));
    stl_le_p(buf, guests[SENT]);
    buf[4] = 60;
    g_assert_cmphex(psp(m, CMD_ACTIVATE, buf, 8), ==, INVALID_GUEST_STATE);
    g_assert_cmphex(psp_simple(m, CMD_DECOMMISSION, guests[SENT]), ==, SUCCESS);

    owner_clear(&owner);
    machine_free(m);
}

void add_guest_tests(void)
{
    qtest_add_func("/amd-psp/launch", test_launch);
    qtest_add_func("/amd-psp/migration", test_migration);
    qtest_add_func("/amd-psp/transport", test_transport);
    qtest_add_func("/amd-psp/policies", test_policies);
    qtest_add_func("/amd-psp/versions", test_versions);
    qtest_add_func("/amd-psp/states", test_states);
}
