/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The other side of AMD's Platform Security Processor, for its tests
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include <gmp.h>
#include <nettle/aes.h>
#include <nettle/ctr.h>
#include <nettle/dsa.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecdsa.h>
#include <nettle/hmac.h>
#include <nettle/rsa.h>
#include <nettle/sha2.h>
#include "amd-psp-owner.h"

static void random_bytes(void *ctx, size_t len, uint8_t *out)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = g_test_rand_int();
    }
}

static void get_le(mpz_t z, const uint8_t *bytes, size_t len)
{
    mpz_import(z, len, -1, 1, 0, 0, bytes);
}

static void put_le(const mpz_t z, uint8_t *bytes)
{
    memset(bytes, 0, 72);
    mpz_export(bytes, NULL, -1, 1, 0, 0, z);
}

static void point_of(const uint8_t cert[CERT_LEN], struct ecc_point *point)
{
    mpz_t x, y;

    mpz_inits(x, y, NULL);
    get_le(x, cert + CERT_QX, 72);
    get_le(y, cert + CERT_QY, 72);
    ecc_point_init(point, nettle_get_secp_384r1());
    g_assert(ecc_point_set(point, x, y));
    mpz_clears(x, y, NULL);
}

void sha256(const void *data, size_t len, uint8_t out[32])
{
    struct sha256_ctx sha;

    sha256_init(&sha);
    sha256_update(&sha, len, data);
    sha256_digest(&sha, 32, out);
}

/* HMAC of a list of address and length that ends with NULL */
static void hmac(const uint8_t *key, size_t key_len, uint8_t out[32], ...)
{
    struct hmac_sha256_ctx ctx;
    const void *data;
    va_list ap;

    hmac_sha256_set_key(&ctx, key_len, key);
    va_start(ap, out);
    while ((data = va_arg(ap, const void *))) {
        size_t len = va_arg(ap, size_t);

        hmac_sha256_update(&ctx, len, data);
    }
    va_end(ap);
    hmac_sha256_digest(&ctx, 32, out);
}

static void kdf(const uint8_t *key, size_t key_len, const char *label,
                const uint8_t *context, size_t context_len, uint8_t out[16])
{
    static const uint8_t one[4] = { 1 }, bits[4] = { 128 };
    uint8_t full[32];

    hmac(key, key_len, full, one, sizeof(one), label, strlen(label) + 1,
         context, context_len, bits, sizeof(bits), NULL);
    memcpy(out, full, 16);
}

static void aes_ctr(const uint8_t key[16], const uint8_t iv[16],
                    const uint8_t *in, uint8_t *out, size_t len)
{
    struct aes128_ctx aes;
    uint8_t counter[16];

    memcpy(counter, iv, 16);
    aes128_set_encrypt_key(&aes, key);
    ctr_crypt(&aes, (nettle_cipher_func *)aes128_encrypt, 16, counter, len,
              out, in);
}

void owner_init(Owner *o)
{
    ecc_point_init(&o->point, nettle_get_secp_384r1());
    ecc_scalar_init(&o->scalar, nettle_get_secp_384r1());
    ecdsa_generate_keypair(&o->point, &o->scalar, NULL, random_bytes);
}

void owner_clear(Owner *o)
{
    ecc_point_clear(&o->point);
    ecc_scalar_clear(&o->scalar);
}

void owner_cert(const Owner *o, uint32_t usage, uint32_t algo,
                uint8_t cert[CERT_LEN])
{
    mpz_t x, y;

    mpz_inits(x, y, NULL);
    ecc_point_get(&o->point, x, y);
    memset(cert, 0, CERT_LEN);
    cert[0] = 1;
    stl_le_p(cert + CERT_USAGE, usage);
    stl_le_p(cert + CERT_ALGO, algo);
    cert[CERT_CURVE] = 2;
    put_le(x, cert + CERT_QX);
    put_le(y, cert + CERT_QY);
    mpz_clears(x, y, NULL);
    stl_le_p(cert + CERT_SIG(0), 0x1000);
    stl_le_p(cert + CERT_SIG(1), 0x1000);
}

void owner_sign(const Owner *o, uint32_t usage, int slot,
                uint8_t cert[CERT_LEN])
{
    struct dsa_signature sig;
    uint8_t digest[32];

    sha256(cert, CERT_SIG(0), digest);
    dsa_signature_init(&sig);
    ecdsa_sign(&o->scalar, NULL, random_bytes, 32, digest, &sig);
    memset(cert + CERT_SIG(slot), 0, 0x208);
    stl_le_p(cert + CERT_SIG(slot), usage);
    stl_le_p(cert + CERT_SIG(slot) + 4, ECDSA_SHA256);
    put_le(sig.r, cert + CERT_SIG(slot) + 8);
    put_le(sig.s, cert + CERT_SIG(slot) + 8 + 72);
    dsa_signature_clear(&sig);
}

static void shared_keys(const Owner *o, const uint8_t cert[CERT_LEN],
                        const uint8_t *nonce, uint8_t kek[16], uint8_t kik[16])
{
    struct ecc_point peer, product;
    uint8_t le[72], be[48], master[16];
    mpz_t x, y;

    mpz_inits(x, y, NULL);
    point_of(cert, &peer);
    ecc_point_init(&product, nettle_get_secp_384r1());
    ecc_point_mul(&product, &o->scalar, &peer);
    ecc_point_get(&product, x, y);
    put_le(x, le);
    for (int i = 0; i < 48; i++) {
        be[i] = le[47 - i];
    }
    ecc_point_clear(&product);
    ecc_point_clear(&peer);
    mpz_clears(x, y, NULL);
    kdf(be, 48, "sev-master-secret", nonce, 16, master);
    kdf(master, 16, "sev-kek", nonce, 0, kek);
    kdf(master, 16, "sev-kik", nonce, 0, kik);
}

void owner_session(Owner *o, const uint8_t cert[CERT_LEN], uint32_t policy,
                   uint8_t session[SESSION_LEN])
{
    uint8_t kek[16], kik[16], tk[32], le[4];

    random_bytes(NULL, 16, session + SESSION_NONCE);
    random_bytes(NULL, 16, session + SESSION_IV);
    random_bytes(NULL, 32, tk);
    memcpy(o->tek, tk, 16);
    memcpy(o->tik, tk + 16, 16);
    shared_keys(o, cert, session + SESSION_NONCE, kek, kik);
    aes_ctr(kek, session + SESSION_IV, tk, session + SESSION_KEYS, 32);
    hmac(kik, 16, session + SESSION_MAC, session + SESSION_KEYS, (size_t)32,
         NULL);
    stl_le_p(le, policy);
    hmac(o->tik, 16, session + SESSION_POLICY_MAC, le, sizeof(le), NULL);
}

bool owner_join(Owner *o, const uint8_t cert[CERT_LEN], uint32_t policy,
                const uint8_t session[SESSION_LEN])
{
    uint8_t kek[16], kik[16], tk[32], le[4], keys_mac[32], policy_mac[32];

    shared_keys(o, cert, session + SESSION_NONCE, kek, kik);
    aes_ctr(kek, session + SESSION_IV, session + SESSION_KEYS, tk, 32);
    memcpy(o->tek, tk, 16);
    memcpy(o->tik, tk + 16, 16);
    hmac(kik, 16, keys_mac, session + SESSION_KEYS, (size_t)32, NULL);
    stl_le_p(le, policy);
    hmac(o->tik, 16, policy_mac, le, sizeof(le), NULL);
    return !memcmp(keys_mac, session + SESSION_MAC, 32) &&
           !memcmp(policy_mac, session + SESSION_POLICY_MAC, 32);
}

static void packet_mac(const Owner *o, int kind, const uint8_t *data,
                       uint32_t len, const void *tail, size_t tail_len,
                       const uint8_t header[HEADER_LEN], uint8_t out[32])
{
    uint8_t kind_byte = kind, lengths[8];

    stl_le_p(lengths, len);
    stl_le_p(lengths + 4, len);
    hmac(o->tik, 16, out, &kind_byte, (size_t)1, header, (size_t)20,
         lengths, sizeof(lengths), data, (size_t)len, tail, tail_len, NULL);
}

void owner_seal(const Owner *o, int kind, uint32_t flags, uint8_t *data,
                uint32_t len, const void *tail, size_t tail_len,
                uint8_t header[HEADER_LEN])
{
    stl_le_p(header, flags);
    random_bytes(NULL, 16, header + 4);
    aes_ctr(o->tek, header + 4, data, data, len);
    packet_mac(o, kind, data, len, tail, tail_len, header, header + 20);
}

bool owner_open(const Owner *o, int kind, uint8_t *data, uint32_t len,
                const uint8_t header[HEADER_LEN])
{
    uint8_t mac[32];

    packet_mac(o, kind, data, len, NULL, 0, header, mac);
    aes_ctr(o->tek, header + 4, data, data, len);
    return !memcmp(mac, header + 20, sizeof(mac));
}

void owner_measure(const Owner *o, const uint8_t api[3], uint32_t policy,
                   const uint8_t digest[32], const uint8_t nonce[16],
                   uint8_t out[32])
{
    uint8_t kind = MEASURE, le[4];

    stl_le_p(le, policy);
    hmac(o->tik, 16, out, &kind, (size_t)1, api, (size_t)3, le, sizeof(le),
         digest, (size_t)32, nonce, (size_t)16, NULL);
}

bool signed_by(const uint8_t parent[CERT_LEN], const void *body, size_t len,
               const uint8_t *rs)
{
    struct dsa_signature sig;
    struct ecc_point point;
    uint8_t digest[32];
    bool ok;

    sha256(body, len, digest);
    point_of(parent, &point);
    dsa_signature_init(&sig);
    get_le(sig.r, rs, 72);
    get_le(sig.s, rs + 72, 72);
    ok = ecdsa_verify(&point, 32, digest, &sig);
    dsa_signature_clear(&sig);
    ecc_point_clear(&point);
    return ok;
}

bool cert_signed_by(const uint8_t parent[CERT_LEN], uint32_t usage, int slot,
                    const uint8_t cert[CERT_LEN])
{
    const uint8_t *sig = cert + CERT_SIG(slot);

    return ldl_le_p(parent + CERT_USAGE) == usage && ldl_le_p(sig) == usage &&
           ldl_le_p(sig + 4) == ECDSA_SHA256 &&
           signed_by(parent, cert, CERT_SIG(0), sig + 8);
}

bool rsa_signed_by(const uint8_t parent[AMD_CERT_LEN], const void *body,
                   size_t len, const uint8_t sig[512])
{
    struct rsa_public_key key;
    struct sha512_ctx sha;
    uint8_t digest[48];
    mpz_t s;
    bool ok;

    sha384_init(&sha);
    sha384_update(&sha, len, body);
    sha384_digest(&sha, sizeof(digest), digest);
    rsa_public_key_init(&key);
    mpz_init(s);
    get_le(key.e, parent + 64, 512);
    get_le(key.n, parent + 64 + 512, 512);
    get_le(s, sig, 512);
    ok = rsa_public_key_prepare(&key) &&
         rsa_pss_sha384_verify_digest(&key, 48, digest, s);
    mpz_clear(s);
    rsa_public_key_clear(&key);
    return ok;
}
