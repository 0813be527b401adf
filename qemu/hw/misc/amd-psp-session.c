/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: sessions with an owner or another platform
 *
 * Who knows a platform's PDH and has one too shares a secret with it.  Two keys
 * that follow from it wrap two more: transport encryption (TEK) and transport
 * integrity (TIK).  A packet is encrypted with the first, AES-128 in counter
 * mode, and has a MAC of all of it made with the second, HMAC-SHA-256.
 *
 * What the MAC covers is the kind of packet, flags, IV, lengths and ciphertext,
 * and of a secret also the launch's measurement, which no other launch has.  So
 * nothing of a packet can be changed, and none be taken for one of another kind
 * or session.  Not protected are the order of packets, whether all of them
 * arrive, how often, and where in the guest they are put: that is up to the
 * host.
 *
 * Source: SEV API, chapters 2 and 6.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/guest-random.h"
#include "qemu/units.h"
#include "amd-psp-session.h"

#define FLAG_COMPRESSED (1u << 0)

static bool derive_keys(const PspKey *own, const PspKey *peer,
                        const uint8_t nonce[16], uint8_t kek[PSP_KEY_SIZE],
                        uint8_t kik[PSP_KEY_SIZE])
{
    uint8_t shared[PSP_EC_SIZE], master[PSP_KEY_SIZE];

    if (!psp_key_agree(own, peer, shared)) {
        return false;
    }
    psp_kdf(shared, sizeof(shared), "sev-master-secret", nonce, 16, master,
            sizeof(master));
    psp_kdf(master, sizeof(master), "sev-kek", "", 0, kek, PSP_KEY_SIZE);
    psp_kdf(master, sizeof(master), "sev-kik", "", 0, kik, PSP_KEY_SIZE);
    return true;
}

static void mac(const uint8_t key[PSP_KEY_SIZE], const void *data, size_t len,
                uint8_t out[PSP_DIGEST_SIZE])
{
    struct iovec iov = { (void *)data, len };

    psp_hmac(key, &iov, 1, out);
}

static void policy_mac(const Guest *guest, uint8_t out[PSP_DIGEST_SIZE])
{
    uint8_t policy[4];

    stl_le_p(policy, guest->policy);
    mac(guest->tik, policy, sizeof(policy), out);
}

void psp_session_make(AmdPsp *s, Guest *guest, const PspKey *peer,
                      PspSession *session)
{
    uint8_t kek[PSP_KEY_SIZE], kik[PSP_KEY_SIZE], tk[2 * PSP_KEY_SIZE];

    qemu_guest_getrandom_nofail(session->nonce, sizeof(session->nonce));
    qemu_guest_getrandom_nofail(session->wrap_iv, sizeof(session->wrap_iv));
    qemu_guest_getrandom_nofail(guest->tek, sizeof(guest->tek));
    qemu_guest_getrandom_nofail(guest->tik, sizeof(guest->tik));
    if (!derive_keys(&s->keys.pdh, peer, session->nonce, kek, kik)) {
        g_assert_not_reached();     /* Its certificate has been looked at. */
    }
    memcpy(tk, guest->tek, PSP_KEY_SIZE);
    memcpy(tk + PSP_KEY_SIZE, guest->tik, PSP_KEY_SIZE);
    psp_aes_ctr(kek, session->wrap_iv, tk, session->wrap_tk, sizeof(tk));
    mac(kik, session->wrap_tk, sizeof(session->wrap_tk), session->wrap_mac);
    policy_mac(guest, session->policy_mac);
}

/*
 * LAUNCH_START and RECEIVE_START: certificate and session, address and length
 * of each.  Who signs the certificate does not matter: an owner is whom the
 * platform proves itself to, not the other way round.
 */
int psp_session_open(AmdPsp *s, Guest *guest, const uint8_t *buf)
{
    uint8_t kek[PSP_KEY_SIZE], kik[PSP_KEY_SIZE], tk[2 * PSP_KEY_SIZE];
    uint8_t expected[PSP_DIGEST_SIZE];
    PspSession session;
    PspCert cert;
    PspKey peer;
    int status;

    status = psp_input(ldq_le_p(buf), ldl_le_p(buf + 8), &cert, sizeof(cert));
    if (!status) {
        status = psp_input(ldq_le_p(buf + 16), ldl_le_p(buf + 24), &session,
                           sizeof(session));
    }
    if (!status) {
        status = psp_cert_key(&cert, PSP_USAGE_PDH, &peer);
    }
    if (status) {
        return status;
    }
    if (!derive_keys(&s->keys.pdh, &peer, session.nonce, kek, kik)) {
        return INVALID_CERTIFICATE;
    }
    mac(kik, session.wrap_tk, sizeof(session.wrap_tk), expected);
    if (memcmp(expected, session.wrap_mac, sizeof(expected))) {
        return BAD_MEASUREMENT;
    }
    psp_aes_ctr(kek, session.wrap_iv, session.wrap_tk, tk, sizeof(tk));
    memcpy(guest->tek, tk, PSP_KEY_SIZE);
    memcpy(guest->tik, tk + PSP_KEY_SIZE, PSP_KEY_SIZE);
    policy_mac(guest, expected);
    if (memcmp(expected, session.policy_mac, sizeof(expected))) {
        return BAD_MEASUREMENT;
    }
    return SUCCESS;
}

void psp_packet_parse(const uint8_t *buf, PspPacket *packet)
{
    packet->header = ldq_le_p(buf + 8);
    packet->header_len = ldl_le_p(buf + 16);
    packet->guest = ldq_le_p(buf + 24);
    packet->guest_len = ldl_le_p(buf + 32);
    packet->transport = ldq_le_p(buf + 40);
    packet->transport_len = ldl_le_p(buf + 48);
}

int psp_packet_check_guest(const PspPacket *packet)
{
    if (!packet->guest_len || packet->guest_len % 16 ||
        packet->guest_len > PACKET_MAX) {
        return INVALID_LENGTH;
    }
    if (packet->guest % 16 ||
        !amd_mem_enc_is_ram(packet->guest, packet->guest_len)) {
        return INVALID_ADDRESS;
    }
    return SUCCESS;
}

static void packet_mac(const Guest *guest, int kind, const PspPacket *packet,
                       const PspPacketHeader *header, const void *data,
                       const void *tail, size_t tail_len,
                       uint8_t out[PSP_DIGEST_SIZE])
{
    uint8_t kind_byte = kind, lengths[8];
    struct iovec iov[] = {
        { &kind_byte, 1 },
        { (void *)header, offsetof(PspPacketHeader, mac) },
        { lengths, sizeof(lengths) },
        { (void *)data, packet->guest_len },
        { (void *)tail, tail_len },
    };

    stl_le_p(lengths, packet->guest_len);
    stl_le_p(lengths + 4, packet->transport_len);
    psp_hmac(guest->tik, iov, ARRAY_SIZE(iov), out);
}

void psp_packet_seal(const Guest *guest, int kind, const PspPacket *packet,
                     PspPacketHeader *header, uint8_t *data)
{
    memset(header, 0, sizeof(*header));
    qemu_guest_getrandom_nofail(header->iv, sizeof(header->iv));
    psp_aes_ctr(guest->tek, header->iv, data, data, packet->guest_len);
    packet_mac(guest, kind, packet, header, data, "", 0, header->mac);
}

int psp_packet_open(const Guest *guest, int kind, const PspPacket *packet,
                    const void *tail, size_t tail_len, uint8_t *data)
{
    uint8_t expected[PSP_DIGEST_SIZE];
    PspPacketHeader header;
    int status;

    status = psp_input(packet->header, packet->header_len, &header,
                       sizeof(header));
    if (!status) {
        status = psp_input(packet->transport, packet->transport_len, data,
                           packet->guest_len);
    }
    if (status) {
        return status;
    }
    packet_mac(guest, kind, packet, &header, data, tail, tail_len, expected);
    if (memcmp(expected, header.mac, sizeof(expected))) {
        return BAD_MEASUREMENT;
    }
    if (header.flags) {
        return ldl_le_p(&header.flags) & FLAG_COMPRESSED ? UNSUPPORTED :
                                                           INVALID_PARAM;
    }
    psp_aes_ctr(guest->tek, header.iv, data, data, packet->guest_len);
    return SUCCESS;
}

/* Put what its owner has sent into the guest's memory. */
int psp_cmd_launch_secret(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    uint8_t data[PACKET_MAX];
    PspPacket packet;
    int status;

    if (guest->state != LSECRET) {
        return INVALID_GUEST_STATE;
    }
    if (!guest->asid) {
        return INACTIVE;
    }
    psp_packet_parse(buf, &packet);
    /* The C-bit may be set or not. */
    packet.guest &= ~BIT_ULL(AMD_MEM_ENC_CBIT);
    status = psp_packet_check_guest(&packet);
    if (!status) {
        status = psp_packet_open(guest, PACKET_SECRET, &packet, guest->measure,
                                 sizeof(guest->measure), data);
    }
    if (!status) {
        amd_mem_enc_write(packet.guest, guest->asid, data, packet.guest_len);
    }
    return status;
}

/* What was launched here, signed by the platform */
int psp_cmd_attestation_report(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    struct QEMU_PACKED {
        uint8_t nonce[16];
        uint8_t digest[PSP_DIGEST_SIZE];
        uint32_t policy;
        uint32_t usage;
        uint32_t algo;
        uint32_t reserved;
        PspSignature sig;
    } report = { 0 };

    QEMU_BUILD_BUG_ON(sizeof(report) != 0xd0);
    if (guest->state == LUPDATE || guest->state == RUPDATE) {
        return INVALID_GUEST_STATE;
    }
    memcpy(report.nonce, buf + 16, sizeof(report.nonce));
    memcpy(report.digest, guest->digest, sizeof(report.digest));
    stl_le_p(&report.policy, guest->policy);
    stl_le_p(&report.usage, PSP_USAGE_PEK);
    stl_le_p(&report.algo, PSP_ALGO_ECDSA_SHA256);
    psp_key_sign(&s->keys.pek, &report, 52, false, &report.sig);
    return psp_output(ldq_le_p(buf + 8), buf + 32, &report, sizeof(report));
}
