/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: AES-256 in Galois/Counter Mode
 *
 * QEMU's own ciphers do not have this mode.
 *
 * Source: NIST SP 800-38D.
 */
#include "qemu/osdep.h"
#include <nettle/gcm.h>
#include "amd-psp-gcm.h"

static void start(const PspGcm *gcm, struct gcm_aes256_ctx *ctx)
{
    gcm_aes256_set_key(ctx, gcm->key);
    gcm_aes256_set_iv(ctx, PSP_GCM_IV_LEN, gcm->iv);
    gcm_aes256_update(ctx, gcm->aad_len, gcm->aad);
}

void psp_gcm_encrypt(const PspGcm *gcm, void *data, size_t len,
                     uint8_t tag[PSP_GCM_TAG_LEN])
{
    struct gcm_aes256_ctx ctx;

    start(gcm, &ctx);
    gcm_aes256_encrypt(&ctx, len, data, data);
    gcm_aes256_digest(&ctx, PSP_GCM_TAG_LEN, tag);
}

bool psp_gcm_decrypt(const PspGcm *gcm, void *data, size_t len,
                     const uint8_t tag[PSP_GCM_TAG_LEN])
{
    uint8_t right[PSP_GCM_TAG_LEN];
    struct gcm_aes256_ctx ctx;

    start(gcm, &ctx);
    gcm_aes256_decrypt(&ctx, len, data, data);
    gcm_aes256_digest(&ctx, sizeof(right), right);
    return !memcmp(tag, right, sizeof(right));
}
