/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: state that the host keeps for it
 *
 * INIT_EX names memory that has what the host had in a file.  There is no
 * secret in it, only what the chip makes its keys from, and the owner's
 * signature.  Its MAC lets nobody but the chip write it, but an older file is
 * as good as a new one.  How it looks is the chip's own affair.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "amd-psp.h"
#include "amd-psp-snp.h"

typedef struct QEMU_PACKED PspNv {
    uint8_t mac[PSP_DIGEST_SIZE];
    uint32_t last;
    uint32_t owned;
    uint32_t oca_number, pek_number, pdh_number;
    PspCert oca_cert;
    PspCertSig sig;
} PspNv;

static void nv_mac(AmdPsp *s, const PspNv *nv, uint8_t out[PSP_DIGEST_SIZE])
{
    struct iovec iov = { (void *)&nv->last, sizeof(*nv) - sizeof(nv->mac) };
    uint8_t key[PSP_KEY_SIZE];

    psp_kdf(s->secret, sizeof(s->secret), "nv", "", 0, key, sizeof(key));
    psp_hmac(key, &iov, 1, out);
}

void psp_nv_save(AmdPsp *s)
{
    PspKeys *keys = &s->keys;
    PspNv nv = { 0 };

    if (!s->nv_addr ||
        snp_check_writable(s->snp, s->nv_addr, sizeof(nv)) != SUCCESS) {
        return;
    }
    if (keys->exist) {
        stl_le_p(&nv.last, keys->last);
        stl_le_p(&nv.owned, keys->owned);
        stl_le_p(&nv.oca_number, keys->oca_number);
        stl_le_p(&nv.pek_number, keys->pek_number);
        stl_le_p(&nv.pdh_number, keys->pdh_number);
        nv.oca_cert = keys->oca_cert;
        nv.sig = keys->pek_cert.sig[0];
        nv_mac(s, &nv, nv.mac);
    }
    amd_mem_enc_write(s->nv_addr, 0, &nv, sizeof(nv));
}

int psp_nv_load(AmdPsp *s)
{
    PspKeys *keys = &s->keys;
    uint8_t expected[PSP_DIGEST_SIZE];
    bool owned;
    PspNv nv;

    if (!amd_mem_enc_read(s->nv_addr, 0, &nv, sizeof(nv))) {
        return INVALID_ADDRESS;
    }
    keys->exist = keys->owned = false;
    if (buffer_is_zero(&nv, sizeof(nv))) {
        return SUCCESS;
    }
    nv_mac(s, &nv, expected);
    if (memcmp(expected, nv.mac, sizeof(expected))) {
        /* The host is expected to try again: let that one begin anew. */
        psp_nv_save(s);
        return SECURE_DATA_INVALID;
    }
    keys->last = MAX(keys->last, ldl_le_p(&nv.last));
    keys->oca_number = ldl_le_p(&nv.oca_number);
    keys->pek_number = ldl_le_p(&nv.pek_number);
    keys->pdh_number = ldl_le_p(&nv.pdh_number);
    owned = ldl_le_p(&nv.owned);
    psp_keys_restore(s, owned ? &nv.oca_cert : NULL, &nv.sig);
    return SUCCESS;
}
