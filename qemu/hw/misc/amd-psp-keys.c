/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: identity and keys of the platform
 *
 * The chip's key (CEK), which the root has signed, and its owner's (OCA) both
 * sign the platform's key (PEK), and that one signs the key for Diffie-Hellman
 * (PDH).  Source: SEV API, chapter 5.
 *
 * Each key follows from the chip's secret, a name and a number that is never
 * used again.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/guest-random.h"
#include "amd-psp.h"

static void make_key(AmdPsp *s, const char *name, uint32_t number, PspKey *key)
{
    PspStream stream;

    psp_stream_init(&stream, s->secret, sizeof(s->secret), name, number);
    psp_key_generate(key, &stream);
}

static void make_pdh(AmdPsp *s)
{
    PspKeys *keys = &s->keys;

    make_key(s, "PDH", keys->pdh_number, &keys->pdh);
    psp_cert_init(&keys->pdh_cert, PSP_USAGE_PDH, &keys->pdh);
    psp_cert_sign(&keys->pdh_cert, 0, PSP_USAGE_PEK, &keys->pek);
}

/* An own owner, and all that depends on it */
static void make_platform(AmdPsp *s)
{
    PspKeys *keys = &s->keys;

    make_key(s, "OCA", keys->oca_number, &keys->oca);
    psp_cert_init(&keys->oca_cert, PSP_USAGE_OCA, &keys->oca);
    psp_cert_sign(&keys->oca_cert, 0, PSP_USAGE_OCA, &keys->oca);

    make_key(s, "PEK", keys->pek_number, &keys->pek);
    psp_cert_init(&keys->pek_cert, PSP_USAGE_PEK, &keys->pek);
    keys->pek_cert.api_major = API_MAJOR;
    keys->pek_cert.api_minor = s->api_minor;
    psp_cert_sign(&keys->pek_cert, 0, PSP_USAGE_OCA, &keys->oca);
    psp_cert_sign(&keys->pek_cert, 1, PSP_USAGE_CEK, &keys->cek);

    make_pdh(s);
    keys->owned = false;
    keys->exist = true;
}

/* @oca has signed the PEK's certificate, which is @sig. */
static void set_owner(AmdPsp *s, const PspCert *oca, const PspCertSig *sig)
{
    PspKeys *keys = &s->keys;

    memset(&keys->oca, 0, sizeof(keys->oca));
    memcpy(keys->oca.x, oca->qx, PSP_EC_SIZE);
    memcpy(keys->oca.y, oca->qy, PSP_EC_SIZE);
    keys->oca_cert = *oca;
    keys->pek_cert.sig[0] = *sig;
    keys->owned = true;
}

static void new_platform(AmdPsp *s)
{
    s->keys.oca_number = ++s->keys.last;
    s->keys.pek_number = ++s->keys.last;
    s->keys.pdh_number = ++s->keys.last;
    make_platform(s);
    psp_nv_save(s);
}

static void new_pdh(AmdPsp *s)
{
    s->keys.pdh_number = ++s->keys.last;
    make_pdh(s);
    psp_nv_save(s);
}

void psp_keys_realize(AmdPsp *s)
{
    PspStream stream;

    if (s->seed) {
        psp_stream_init(&stream, s->seed, strlen(s->seed), "chip", 0);
        psp_stream_read(&stream, sizeof(s->secret), s->secret);
    } else {
        qemu_guest_getrandom_nofail(s->secret, sizeof(s->secret));
    }
    psp_stream_init(&stream, s->secret, sizeof(s->secret), "id", 0);
    psp_stream_read(&stream, sizeof(s->id), s->id);

    make_key(s, "CEK", 0, &s->keys.cek);
    psp_cert_init(&s->keys.cek_cert, PSP_USAGE_CEK, &s->keys.cek);
    psp_root_sign_chip(&s->keys.cek_cert);
}

void psp_keys_load(AmdPsp *s)
{
    if (!s->keys.exist) {
        new_platform(s);
    }
}

void psp_keys_restore(AmdPsp *s, const PspCert *oca, const PspCertSig *sig)
{
    make_platform(s);
    if (oca) {
        set_owner(s, oca, sig);
    }
}

int psp_cmd_platform_reset(AmdPsp *s, uint8_t *buf)
{
    if (platform_state(s) != UNINIT) {
        return INVALID_PLATFORM_STATE;
    }
    s->keys.exist = s->keys.owned = false;
    psp_nv_save(s);
    return SUCCESS;
}

int psp_cmd_pek_gen(AmdPsp *s, uint8_t *buf)
{
    if (platform_state(s) != INIT) {
        return INVALID_PLATFORM_STATE;
    }
    new_platform(s);
    return SUCCESS;
}

int psp_cmd_pdh_gen(AmdPsp *s, uint8_t *buf)
{
    if (platform_state(s) == UNINIT) {
        return INVALID_PLATFORM_STATE;
    }
    new_pdh(s);
    return SUCCESS;
}

/* The PEK's certificate, for an owner to sign */
int psp_cmd_pek_csr(AmdPsp *s, uint8_t *buf)
{
    PspCert csr;

    if (platform_state(s) != INIT) {
        return INVALID_PLATFORM_STATE;
    }
    psp_cert_init(&csr, PSP_USAGE_PEK, &s->keys.pek);
    csr.api_major = API_MAJOR;
    csr.api_minor = s->api_minor;
    return psp_output(ldq_le_p(buf), buf + 8, &csr, sizeof(csr));
}

/* Addresses and lengths of the certificate and of its owner's */
int psp_cmd_pek_cert_import(AmdPsp *s, uint8_t *buf)
{
    PspKeys *keys = &s->keys;
    PspCert pek, oca;
    PspKey owner;
    int status;

    if (platform_state(s) != INIT) {
        return INVALID_PLATFORM_STATE;
    }
    if (keys->owned) {
        return ALREADY_OWNED;
    }
    status = psp_input(ldq_le_p(buf), ldl_le_p(buf + 8), &pek, sizeof(pek));
    if (!status) {
        status = psp_input(ldq_le_p(buf + 16), ldl_le_p(buf + 24), &oca,
                           sizeof(oca));
    }
    if (!status) {
        status = psp_cert_key(&oca, PSP_USAGE_OCA, &owner);
    }
    if (!status) {
        status = psp_cert_verify(&oca, PSP_USAGE_OCA, &owner);
    }
    if (!status && memcmp(&pek, &keys->pek_cert, PSP_CERT_BODY)) {
        status = INVALID_CERTIFICATE;
    }
    if (!status) {
        status = psp_cert_verify(&pek, PSP_USAGE_OCA, &owner);
    }
    if (status) {
        return status;
    }
    set_owner(s, &oca, psp_cert_sig(&pek, PSP_USAGE_OCA));
    new_pdh(s);
    return SUCCESS;
}

/* Addresses and lengths of the PDH's certificate and of those above it */
int psp_cmd_pdh_cert_export(AmdPsp *s, uint8_t *buf)
{
    PspCertChain chain = {
        .pek = s->keys.pek_cert,
        .oca = s->keys.oca_cert,
        .cek = s->keys.cek_cert,
    };
    int status, chain_status;

    if (platform_state(s) == UNINIT) {
        return INVALID_PLATFORM_STATE;
    }
    /* Whatever is wrong with one of them, the other one's length is told. */
    status = psp_output(ldq_le_p(buf), buf + 8, &s->keys.pdh_cert,
                        sizeof(s->keys.pdh_cert));
    chain_status = psp_output(ldq_le_p(buf + 16), buf + 24, &chain,
                              sizeof(chain));
    return status ? status : chain_status;
}
