/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: AES-256 in Galois/Counter Mode
 */
#ifndef HW_MISC_AMD_PSP_GCM_H
#define HW_MISC_AMD_PSP_GCM_H

#define PSP_GCM_KEY_LEN     32
#define PSP_GCM_IV_LEN      12
#define PSP_GCM_TAG_LEN     16

typedef struct PspGcm {
    const uint8_t *key, *iv;
    const void *aad;
    size_t aad_len;
} PspGcm;

/* @data becomes ciphertext. */
void psp_gcm_encrypt(const PspGcm *gcm, void *data, size_t len,
                     uint8_t tag[PSP_GCM_TAG_LEN]);
/* @data becomes plaintext; false: @tag is not that of it, do not use it. */
bool psp_gcm_decrypt(const PspGcm *gcm, void *data, size_t len,
                     const uint8_t tag[PSP_GCM_TAG_LEN]);

#endif
