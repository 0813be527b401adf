/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: guests that leave, and that arrive
 *
 * SEND_START asks for the certificate of the platform to send to, and checks
 * what the guest's policy says about it, before it makes a session with it.
 * Each SEND_UPDATE_DATA turns memory that is encrypted with the guest's key
 * into a packet, and RECEIVE_UPDATE_DATA on the other side turns it back.
 * Source: SEV API, chapter 6.
 *
 * Not modelled: the state of CPUs, i.e. guests with SEV-ES.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "amd-psp-session.h"

/* The certificates of another platform, from a command's buffer */
typedef struct Target {
    PspCert pdh;
    PspCertChain chain;
    PspAmdCerts amd;
} Target;

/* A platform of the same owner: its PEK is signed by the OCA of this one. */
static int check_domain(AmdPsp *s, const PspCertChain *chain)
{
    PspKey oca;
    int status = psp_cert_key(&chain->oca, PSP_USAGE_OCA, &oca);

    if (status) {
        return status;
    }
    if (memcmp(oca.x, s->keys.oca.x, sizeof(oca.x)) ||
        memcmp(oca.y, s->keys.oca.y, sizeof(oca.y))) {
        return POLICY_FAILURE;
    }
    return psp_cert_verify(&chain->pek, PSP_USAGE_OCA, &s->keys.oca);
}

/* A platform with SEV: a chip has signed its PEK, and the root the chip. */
static int check_chip(const PspCertChain *chain, const PspAmdCerts *amd)
{
    PspKey cek;
    int status = psp_root_verify_chip(amd, &chain->cek);

    if (!status) {
        status = psp_cert_key(&chain->cek, PSP_USAGE_CEK, &cek);
    }
    if (!status) {
        status = psp_cert_verify(&chain->pek, PSP_USAGE_CEK, &cek);
    }
    return status;
}

/* Whether the policy lets the guest go there, and the key to speak with */
static int check_target(AmdPsp *s, Guest *guest, const uint8_t *buf,
                        PspKey *pdh)
{
    g_autofree Target *target = g_new(Target, 1);
    unsigned major = extract32(guest->policy, 16, 8);
    unsigned minor = extract32(guest->policy, 24, 8);
    const PspCert *pek = &target->chain.pek;
    PspKey pek_key;
    int status;

    status = psp_input(ldq_le_p(buf + 8), ldl_le_p(buf + 16), &target->pdh,
                       sizeof(target->pdh));
    if (!status) {
        status = psp_cert_key(&target->pdh, PSP_USAGE_PDH, pdh);
    }
    /* Without any of these policies, whoever has the PDH may be no platform. */
    if (status || !(guest->policy & (POLICY_DOMAIN | POLICY_SEV))) {
        return status;
    }
    status = psp_input(ldq_le_p(buf + 24), ldl_le_p(buf + 32), &target->chain,
                       sizeof(target->chain));
    if (!status && (guest->policy & POLICY_SEV)) {
        status = psp_input(ldq_le_p(buf + 40), ldl_le_p(buf + 48), &target->amd,
                           sizeof(target->amd));
    }
    if (!status && (guest->policy & POLICY_SEV)) {
        status = check_chip(&target->chain, &target->amd);
    }
    if (!status && (guest->policy & POLICY_DOMAIN)) {
        status = check_domain(s, &target->chain);
    }
    if (!status) {
        status = psp_cert_key(pek, PSP_USAGE_PEK, &pek_key);
    }
    if (!status) {
        status = psp_cert_verify(&target->pdh, PSP_USAGE_PEK, &pek_key);
    }
    if (!status && (pek->api_major < major ||
                    (pek->api_major == major && pek->api_minor < minor))) {
        status = POLICY_FAILURE;
    }
    return status;
}

/*
 * handle, policy, and address and length of: PDH, its chain, AMD's keys, and
 * the session that is the result
 */
int psp_cmd_send_start(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    hwaddr addr = ldq_le_p(buf + 56);
    uint32_t len = ldl_le_p(buf + 64);
    PspSession session;
    PspKey peer;
    int status;

    if (guest->state != RUNNING) {
        return INVALID_GUEST_STATE;
    }
    if (guest->policy & POLICY_NOSEND) {
        return POLICY_FAILURE;
    }
    if (guest->policy & POLICY_ES) {
        return UNSUPPORTED;
    }
    stl_le_p(buf + 4, guest->policy);
    stl_le_p(buf + 64, sizeof(session));
    if (len < sizeof(session)) {
        return INVALID_LENGTH;
    }
    if (!amd_mem_enc_is_ram(addr, sizeof(session))) {
        return INVALID_ADDRESS;
    }
    status = check_target(s, guest, buf, &peer);
    if (status) {
        return status;
    }
    psp_session_make(s, guest, &peer, &session);
    amd_mem_enc_write(addr, 0, &session, sizeof(session));
    guest->state = SUPDATE;
    return SUCCESS;
}

/* Where the guest's memory is must be said with its C-bit. */
static int check_encrypted(PspPacket *packet)
{
    if (!(packet->guest & BIT_ULL(AMD_MEM_ENC_CBIT))) {
        return INVALID_ADDRESS;
    }
    packet->guest &= ~BIT_ULL(AMD_MEM_ENC_CBIT);
    return psp_packet_check_guest(packet);
}

int psp_cmd_send_update_data(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    uint8_t data[PACKET_MAX];
    PspPacketHeader header;
    PspPacket packet;
    uint32_t needed;
    int status;

    if (guest->state != SUPDATE) {
        return INVALID_GUEST_STATE;
    }
    if (!guest->asid) {
        return INACTIVE;
    }
    psp_packet_parse(buf, &packet);
    needed = packet.guest_len ? packet.guest_len : PACKET_MAX;
    stl_le_p(buf + 16, sizeof(header));
    stl_le_p(buf + 48, needed);
    if (packet.header_len < sizeof(header) || packet.transport_len < needed) {
        return INVALID_LENGTH;
    }
    status = check_encrypted(&packet);
    if (status) {
        return status;
    }
    /* A larger buffer has what its lengths now say, and so has the MAC. */
    packet.transport_len = packet.guest_len;
    if (!amd_mem_enc_is_ram(packet.header, sizeof(header)) ||
        !amd_mem_enc_is_ram(packet.transport, packet.transport_len)) {
        return INVALID_ADDRESS;
    }
    amd_mem_enc_read(packet.guest, guest->asid, data, packet.guest_len);
    psp_packet_seal(guest, PACKET_DATA, &packet, &header, data);
    amd_mem_enc_write(packet.transport, 0, data, packet.guest_len);
    amd_mem_enc_write(packet.header, 0, &header, sizeof(header));
    return SUCCESS;
}

static int end_send(Guest *guest, int state)
{
    if (guest->state != SUPDATE) {
        return INVALID_GUEST_STATE;
    }
    memset(guest->tek, 0, sizeof(guest->tek));
    memset(guest->tik, 0, sizeof(guest->tik));
    guest->state = state;
    return SUCCESS;
}

int psp_cmd_send_finish(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    return end_send(guest, SENT);
}

/* It may start anew, with another platform: with another session then. */
int psp_cmd_send_cancel(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    return end_send(guest, RUNNING);
}

int psp_cmd_receive_update_data(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    uint8_t data[PACKET_MAX];
    PspPacket packet;
    int status;

    if (guest->state != RUPDATE) {
        return INVALID_GUEST_STATE;
    }
    if (!guest->asid) {
        return INACTIVE;
    }
    psp_packet_parse(buf, &packet);
    status = check_encrypted(&packet);
    if (!status) {
        status = psp_packet_open(guest, PACKET_DATA, &packet, "", 0, data);
    }
    if (!status) {
        amd_mem_enc_write(packet.guest, guest->asid, data, packet.guest_len);
    }
    return status;
}

int psp_cmd_receive_finish(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    if (guest->state != RUPDATE) {
        return INVALID_GUEST_STATE;
    }
    guest->state = RUNNING;
    return SUCCESS;
}
