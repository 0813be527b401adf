/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: cryptography
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include <gmp.h>
#include <nettle/aes.h>
#include <nettle/ctr.h>
#include <nettle/dsa.h>
#include <nettle/ecc.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecdsa.h>
#include <nettle/hmac.h>
#include <nettle/sha2.h>
#include "amd-psp-crypto.h"

static void import_number(mpz_t z, const uint8_t *bytes, size_t len)
{
    mpz_import(z, len, -1, 1, 0, 0, bytes);
}

static void export_number(const mpz_t z, uint8_t *bytes, size_t len)
{
    assert(mpz_sizeinbase(z, 2) <= len * 8);
    memset(bytes, 0, len);
    mpz_export(bytes, NULL, -1, 1, 0, 0, z);
}

void psp_stream_init(PspStream *s, const void *secret, size_t len,
                     const char *label, uint32_t number)
{
    struct hmac_sha256_ctx hmac;
    uint8_t bytes[4];

    stl_le_p(bytes, number);
    hmac_sha256_set_key(&hmac, len, secret);
    hmac_sha256_update(&hmac, strlen(label) + 1, (const uint8_t *)label);
    hmac_sha256_update(&hmac, sizeof(bytes), bytes);
    hmac_sha256_digest(&hmac, sizeof(s->key), s->key);
    s->counter = 0;
}

void psp_stream_read(void *stream, size_t len, uint8_t *out)
{
    PspStream *s = stream;
    struct hmac_sha256_ctx hmac;
    uint8_t bytes[4];

    hmac_sha256_set_key(&hmac, sizeof(s->key), s->key);
    while (len) {
        size_t n = MIN(len, PSP_DIGEST_SIZE);

        stl_le_p(bytes, s->counter++);
        hmac_sha256_update(&hmac, sizeof(bytes), bytes);
        hmac_sha256_digest(&hmac, n, out);
        out += n;
        len -= n;
    }
}

static bool get_point(const PspKey *key, struct ecc_point *point)
{
    mpz_t x, y;
    bool ok;

    mpz_inits(x, y, NULL);
    import_number(x, key->x, PSP_EC_SIZE);
    import_number(y, key->y, PSP_EC_SIZE);
    ok = ecc_point_set(point, x, y);
    mpz_clears(x, y, NULL);
    return ok;
}

static void get_scalar(const PspKey *key, struct ecc_scalar *scalar)
{
    mpz_t d;

    mpz_init(d);
    import_number(d, key->d, PSP_EC_SIZE);
    if (!ecc_scalar_set(scalar, d)) {
        g_assert_not_reached();     /* Only ever generated. */
    }
    mpz_clear(d);
}

void psp_key_generate(PspKey *key, PspStream *s)
{
    struct ecc_scalar scalar;
    struct ecc_point point;
    mpz_t d, x, y;

    mpz_inits(d, x, y, NULL);
    ecc_scalar_init(&scalar, nettle_get_secp_384r1());
    ecc_point_init(&point, nettle_get_secp_384r1());
    ecdsa_generate_keypair(&point, &scalar, s, psp_stream_read);
    ecc_scalar_get(&scalar, d);
    ecc_point_get(&point, x, y);
    export_number(d, key->d, PSP_EC_SIZE);
    export_number(x, key->x, PSP_EC_SIZE);
    export_number(y, key->y, PSP_EC_SIZE);
    ecc_point_clear(&point);
    ecc_scalar_clear(&scalar);
    mpz_clears(d, x, y, NULL);
}

bool psp_key_on_curve(const PspKey *key)
{
    struct ecc_point point;
    bool ok;

    ecc_point_init(&point, nettle_get_secp_384r1());
    ok = get_point(key, &point);
    ecc_point_clear(&point);
    return ok;
}

bool psp_key_agree(const PspKey *own, const PspKey *peer,
                   uint8_t shared[PSP_EC_SIZE])
{
    struct ecc_scalar scalar;
    struct ecc_point point, product;
    mpz_t x, y;
    bool ok;

    mpz_inits(x, y, NULL);
    ecc_scalar_init(&scalar, nettle_get_secp_384r1());
    ecc_point_init(&point, nettle_get_secp_384r1());
    ecc_point_init(&product, nettle_get_secp_384r1());
    ok = get_point(peer, &point);
    if (ok) {
        get_scalar(own, &scalar);
        ecc_point_mul(&product, &scalar, &point);
        ecc_point_get(&product, x, y);
        export_number(x, shared, PSP_EC_SIZE);
        for (int i = 0; i < PSP_EC_SIZE / 2; i++) {
            uint8_t low = shared[i];

            shared[i] = shared[PSP_EC_SIZE - 1 - i];
            shared[PSP_EC_SIZE - 1 - i] = low;
        }
    }
    ecc_point_clear(&product);
    ecc_point_clear(&point);
    ecc_scalar_clear(&scalar);
    mpz_clears(x, y, NULL);
    return ok;
}

static size_t digest(bool sha384, const void *data, size_t len,
                     uint8_t out[SHA384_DIGEST_SIZE])
{
    struct sha256_ctx sha256;
    struct sha512_ctx sha512;

    if (sha384) {
        sha384_init(&sha512);
        sha384_update(&sha512, len, data);
        sha384_digest(&sha512, SHA384_DIGEST_SIZE, out);
        return SHA384_DIGEST_SIZE;
    }
    sha256_init(&sha256);
    sha256_update(&sha256, len, data);
    sha256_digest(&sha256, SHA256_DIGEST_SIZE, out);
    return SHA256_DIGEST_SIZE;
}

/* The signature's nonce follows from key and data: it never repeats. */
void psp_key_sign(const PspKey *key, const void *data, size_t len,
                  bool sha384, PspSignature *sig)
{
    uint8_t secret[PSP_EC_SIZE + SHA384_DIGEST_SIZE];
    uint8_t *hash = secret + PSP_EC_SIZE;
    size_t hash_len = digest(sha384, data, len, hash);
    struct ecc_scalar scalar;
    struct dsa_signature dsa;
    PspStream nonces;

    memcpy(secret, key->d, PSP_EC_SIZE);
    psp_stream_init(&nonces, secret, PSP_EC_SIZE + hash_len, "nonce", 0);
    ecc_scalar_init(&scalar, nettle_get_secp_384r1());
    dsa_signature_init(&dsa);
    get_scalar(key, &scalar);
    ecdsa_sign(&scalar, &nonces, psp_stream_read, hash_len, hash, &dsa);
    export_number(dsa.r, sig->r, sizeof(sig->r));
    export_number(dsa.s, sig->s, sizeof(sig->s));
    dsa_signature_clear(&dsa);
    ecc_scalar_clear(&scalar);
}

bool psp_key_verify(const PspKey *key, const void *data, size_t len,
                    bool sha384, const PspSignature *sig)
{
    uint8_t hash[SHA384_DIGEST_SIZE];
    size_t hash_len = digest(sha384, data, len, hash);
    struct ecc_point point;
    struct dsa_signature dsa;
    bool ok;

    ecc_point_init(&point, nettle_get_secp_384r1());
    dsa_signature_init(&dsa);
    import_number(dsa.r, sig->r, sizeof(sig->r));
    import_number(dsa.s, sig->s, sizeof(sig->s));
    ok = get_point(key, &point) && ecdsa_verify(&point, hash_len, hash, &dsa);
    dsa_signature_clear(&dsa);
    ecc_point_clear(&point);
    return ok;
}

void psp_hmac(const uint8_t key[PSP_KEY_SIZE], const struct iovec *iov,
              int iovcnt, uint8_t out[PSP_DIGEST_SIZE])
{
    struct hmac_sha256_ctx hmac;

    hmac_sha256_set_key(&hmac, PSP_KEY_SIZE, key);
    for (int i = 0; i < iovcnt; i++) {
        hmac_sha256_update(&hmac, iov[i].iov_len, iov[i].iov_base);
    }
    hmac_sha256_digest(&hmac, PSP_DIGEST_SIZE, out);
}

void psp_kdf(const void *secret, size_t secret_len, const char *label,
             const void *context, size_t context_len, uint8_t *out,
             size_t out_len)
{
    struct hmac_sha256_ctx hmac;
    uint8_t counter[4], bits[4];

    assert(out_len <= PSP_DIGEST_SIZE);
    stl_le_p(counter, 1);
    stl_le_p(bits, out_len * 8);
    hmac_sha256_set_key(&hmac, secret_len, secret);
    hmac_sha256_update(&hmac, sizeof(counter), counter);
    /* The label's terminating 0 is part of what is derived from. */
    hmac_sha256_update(&hmac, strlen(label) + 1, (const uint8_t *)label);
    hmac_sha256_update(&hmac, context_len, context);
    hmac_sha256_update(&hmac, sizeof(bits), bits);
    hmac_sha256_digest(&hmac, out_len, out);
}

void psp_aes_ctr(const uint8_t key[PSP_KEY_SIZE],
                 const uint8_t iv[PSP_KEY_SIZE],
                 const void *in, void *out, size_t len)
{
    struct aes128_ctx aes;
    uint8_t counter[PSP_KEY_SIZE];

    memcpy(counter, iv, sizeof(counter));
    aes128_set_encrypt_key(&aes, key);
    ctr_crypt(&aes, (nettle_cipher_func *)aes128_encrypt, AES_BLOCK_SIZE,
              counter, len, out, in);
}
