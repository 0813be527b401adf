/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: cryptography
 *
 * A thin layer over nettle and hogweed.  Numbers are little-endian, as in all
 * structures of the SEV API.  Nothing in here fails for want of resources.
 */
#ifndef HW_MISC_AMD_PSP_CRYPTO_H
#define HW_MISC_AMD_PSP_CRYPTO_H

#define PSP_KEY_SIZE        16  /* of AES-128, and of HMAC keys */
#define PSP_DIGEST_SIZE     32  /* SHA-256 */
#define PSP_EC_SIZE         48  /* P-384 */
#define PSP_EC_FIELD        72  /* what the API reserves for such a number */

/*
 * Bytes that follow from a secret and a label: SHA-256's HMAC of a counter.
 * With the same seed, a machine has the same keys and certificates.
 */
typedef struct PspStream {
    uint8_t key[PSP_DIGEST_SIZE];
    uint32_t counter;
} PspStream;

void psp_stream_init(PspStream *s, const void *secret, size_t len,
                     const char *label, uint32_t number);
void psp_stream_read(void *stream, size_t len, uint8_t *out);

/* A key on P-384.  @d is 0 if only the public part is known. */
typedef struct PspKey {
    uint8_t d[PSP_EC_SIZE];
    uint8_t x[PSP_EC_SIZE];
    uint8_t y[PSP_EC_SIZE];
} PspKey;

typedef struct PspSignature {
    uint8_t r[PSP_EC_FIELD];
    uint8_t s[PSP_EC_FIELD];
} PspSignature;

void psp_key_generate(PspKey *key, PspStream *s);
bool psp_key_on_curve(const PspKey *key);
/* The x coordinate of own.d * peer, big-endian; false: @peer is no point. */
bool psp_key_agree(const PspKey *own, const PspKey *peer,
                   uint8_t shared[PSP_EC_SIZE]);
/* ECDSA with SHA-256, or SHA-384. */
void psp_key_sign(const PspKey *key, const void *data, size_t len,
                  bool sha384, PspSignature *sig);
bool psp_key_verify(const PspKey *key, const void *data, size_t len,
                    bool sha384, const PspSignature *sig);

void psp_hmac(const uint8_t key[PSP_KEY_SIZE], const struct iovec *iov,
              int iovcnt, uint8_t out[PSP_DIGEST_SIZE]);
/* NIST SP 800-108 in counter mode, PSP_DIGEST_SIZE bytes at most. */
void psp_kdf(const void *secret, size_t secret_len, const char *label,
             const void *context, size_t context_len, uint8_t *out,
             size_t out_len);
/* AES-128 in counter mode: the same in both directions. */
void psp_aes_ctr(const uint8_t key[PSP_KEY_SIZE],
                 const uint8_t iv[PSP_KEY_SIZE],
                 const void *in, void *out, size_t len);

#endif
