/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: the root of trust
 *
 * AMD's root key (ARK) signs a signing key (ASK), which signs the key of each
 * chip (CEK).  These are not AMD's, but an own test root: both private keys are
 * below, so that any machine trusts any other, and nobody should trust either.
 *
 * Numbers are little-endian.  Signatures are RSA-PSS with SHA-384 and a salt of
 * the digest's length, as in the certificates of AMD's second and third
 * generation; the salt is 0, so that they are always the same.  The same two
 * keys, in certificates as of X.509, are the root for SNP.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include <gmp.h>
#include <nettle/rsa.h>
#include <nettle/sha2.h>
#include "amd-psp-cert.h"

typedef struct RootKey {
    uint32_t usage;
    const char *id;
    const char *p, *q;
} RootKey;

static const RootKey ark = {
    .usage = PSP_USAGE_ARK,
    .id = "QEMU test ARK",
    .p =
        "e3e856a0c2d5c3b734a19b535f5b67bcdc9a0fff6764173e7cc879a889b5efa7"
        "90b3ae43c5553390e993aa1732bbb8b4ed97832772a8dfadced2c47ef458d086"
        "47fca2872f4e856b8ebe8f797bfe8eabf447a3002e8323296626901bb0b003fc"
        "006e610ef0839bca515f39faa0300a46cc3b78f636c0b2a875028024c30f24cf"
        "506cfaaed8281989c70b0ecbe313216367a26fc77c17e061a280f5fae2326113"
        "1743ffeaf7f8169addc5539527372403b9e2f8c5310948f13e1b424dc817c6df"
        "c6cae6d8eb37318bb9035c158ff6d65730549dfa2373e4685373ed00ee7c59a8"
        "b7bd873174c734cbe4ae6a60fd89a3c3c196b2b54b4d8a00547dc57a4ded416f",
    .q =
        "c743f257ad40ebd5964acb2b65480506b630b2bc1e93a433d7cd2b1455ef72fb"
        "b9507527eec558c2d1532e64228df7b4e14d2c599cc08efd59c38a7a1fae5d30"
        "a6db2341278d374f4b79b228fed39fb6b74ba504046f5339372c8fdf8f2f88d0"
        "da8874d8a8f4984c9f090f00b4199ed2f3be42e6131c35584a7774bc4611d3c8"
        "fd5880945695dda9bcb6b99c005680cef9c80c0b50bdee15fd005dea888dd738"
        "6ea5f509565fec58ae67bbff24c85fa729e39bb175faba89b37d9aff973a127a"
        "a50c73349ffc6c406bc250873f19557a8b87747581a4c462352a676ae905d8ee"
        "fbeddaacd797d233d7a295ef084efecd7e82c4e5f78baae3902b66b9240b00e1",
};

static const RootKey ask = {
    .usage = PSP_USAGE_ASK,
    .id = "QEMU test ASK",
    .p =
        "ebfcb762669fa3df3b2101c95481617df0a71821fa22b819c4d6b914704e9c08"
        "f05d2c4fcc67660e97f650a3059b5c6b2244b7f33307bc6bd87b449d100b1a11"
        "929eeafe98f76f3c47ff8b3e2935bd4e51cda5fa5b5624f0e03477a75cc0714f"
        "a0c2a4280181c3ea5632401fcdfa1cb766c16991c14cfe145028fccd3bdb2f79"
        "def4871ece3be868a3c0fcad52dc85f908d7785e815f8e6ab5d7c77139c15f18"
        "808d1018432088bac0a4491b419f7d4b94725609ed71a643d0fbba4237772d7b"
        "f059c04186bf7514d88547c1da1a8ba6e8f271b0c731b6e8a7fc4aca536e392a"
        "d9266887a4af227cefd167ae9d97a41fbf2600ef34b01db6fc71a7321defbaad",
    .q =
        "c560bcdf2884c7760f80d9395ee2f5ebadfb31bd337d38f4250ac8ced492e432"
        "685cad80a38898268a2a92e65c162900a741da9885f29e88ad2241f524db4bda"
        "538d703b882a8e816962ef076ec5b5709f6614cd25180a56389f2f2301c968dd"
        "67c5615981a0884533393edb56529a191667d4a5f2e8a1dbd036790e170c2f92"
        "241167a899d47f70bd9c10f99e2860d5be04146fd27bd7d6ee389cf6324cf36e"
        "c5ba607179012fad73d62ca56212c51451e284f49b447472d58b4f5cfc5c2180"
        "3d4271da8ed892fd1f1713b32aefd24a26e6475bb4f3c3bf398627e379ba0b4e"
        "306266c27372730e4ddb3d711f4056d1b8e7f5f744731e3e75193142026c29a1",
};

static void init_key(const RootKey *root, struct rsa_public_key *pub,
                     struct rsa_private_key *key)
{
    mpz_t p1;

    rsa_public_key_init(pub);
    rsa_private_key_init(key);
    mpz_init(p1);
    mpz_set_str(key->p, root->p, 16);
    mpz_set_str(key->q, root->q, 16);
    mpz_set_ui(pub->e, PSP_ROOT_EXPONENT);
    mpz_mul(pub->n, key->p, key->q);
    mpz_sub_ui(p1, key->p, 1);
    mpz_invert(key->a, pub->e, p1);
    mpz_sub_ui(p1, key->q, 1);
    mpz_invert(key->b, pub->e, p1);
    mpz_invert(key->c, key->q, key->p);
    mpz_clear(p1);
    if (!rsa_public_key_prepare(pub) || !rsa_private_key_prepare(key)) {
        g_assert_not_reached();
    }
}

static void hash(const void *body, size_t len,
                 uint8_t digest[SHA384_DIGEST_SIZE])
{
    struct sha512_ctx sha;

    sha384_init(&sha);
    sha384_update(&sha, len, body);
    sha384_digest(&sha, SHA384_DIGEST_SIZE, digest);
}

static void sign(const RootKey *root, const void *body, size_t len,
                 uint8_t sig[PSP_RSA_SIZE])
{
    static const uint8_t salt[SHA384_DIGEST_SIZE];
    uint8_t digest[SHA384_DIGEST_SIZE];
    struct rsa_public_key pub;
    struct rsa_private_key key;
    PspStream blinding;
    mpz_t s;

    hash(body, len, digest);
    psp_stream_init(&blinding, digest, sizeof(digest), "blinding", 0);

    init_key(root, &pub, &key);
    mpz_init(s);
    if (!rsa_pss_sha384_sign_digest_tr(&pub, &key, &blinding, psp_stream_read,
                                       sizeof(salt), salt, digest, s)) {
        g_assert_not_reached();
    }
    memset(sig, 0, PSP_RSA_SIZE);
    mpz_export(sig, NULL, -1, 1, 0, 0, s);
    mpz_clear(s);
    rsa_private_key_clear(&key);
    rsa_public_key_clear(&pub);
}

static void make_cert(const RootKey *root, const RootKey *signer,
                      PspAmdCert *cert)
{
    struct rsa_public_key pub;
    struct rsa_private_key key;

    memset(cert, 0, sizeof(*cert));
    stl_le_p(&cert->version, 1);
    memcpy(cert->key_id, root->id, strlen(root->id));
    memcpy(cert->certifying_id, signer->id, strlen(signer->id));
    stl_le_p(&cert->usage, root->usage);
    stl_le_p(&cert->exponent_bits, PSP_RSA_SIZE * 8);
    stl_le_p(&cert->modulus_bits, PSP_RSA_SIZE * 8);
    stl_le_p(cert->exponent, PSP_ROOT_EXPONENT);
    init_key(root, &pub, &key);
    mpz_export(cert->modulus, NULL, -1, 1, 0, 0, pub.n);
    rsa_private_key_clear(&key);
    rsa_public_key_clear(&pub);
    sign(signer, cert, offsetof(PspAmdCert, signature), cert->signature);
}

static const RootKey *root_key(uint32_t usage)
{
    return usage == PSP_USAGE_ARK ? &ark : &ask;
}

void psp_root_modulus(uint32_t usage, uint8_t modulus[PSP_RSA_SIZE])
{
    struct rsa_public_key pub;
    struct rsa_private_key key;

    init_key(root_key(usage), &pub, &key);
    mpz_export(modulus, NULL, 1, 1, 0, 0, pub.n);
    rsa_private_key_clear(&key);
    rsa_public_key_clear(&pub);
}

void psp_root_sign(uint32_t usage, const void *body, size_t len,
                   uint8_t sig[PSP_RSA_SIZE])
{
    sign(root_key(usage), body, len, sig);
}

void psp_root_certs(PspAmdCerts *certs)
{
    make_cert(&ask, &ark, &certs->ask);
    make_cert(&ark, &ark, &certs->ark);
}

void psp_root_sign_chip(PspCert *cek)
{
    stl_le_p(&cek->sig[0].usage, PSP_USAGE_ASK);
    stl_le_p(&cek->sig[0].algo, PSP_ALGO_RSA_SHA384);
    sign(&ask, cek, PSP_CERT_BODY, cek->sig[0].rsa);
}

/* Whether @cert's key has signed @body. */
static bool verify(const PspAmdCert *cert, const void *body, size_t len,
                   const uint8_t sig[PSP_RSA_SIZE])
{
    uint8_t digest[SHA384_DIGEST_SIZE];
    struct rsa_public_key pub;
    mpz_t s;
    bool ok;

    hash(body, len, digest);
    rsa_public_key_init(&pub);
    mpz_init(s);
    mpz_import(pub.n, PSP_RSA_SIZE, -1, 1, 0, 0, cert->modulus);
    mpz_import(pub.e, PSP_RSA_SIZE, -1, 1, 0, 0, cert->exponent);
    mpz_import(s, PSP_RSA_SIZE, -1, 1, 0, 0, sig);
    ok = rsa_public_key_prepare(&pub) && mpz_cmp(s, pub.n) < 0 &&
         rsa_pss_sha384_verify_digest(&pub, SHA384_DIGEST_SIZE, digest, s);
    mpz_clear(s);
    rsa_public_key_clear(&pub);
    return ok;
}

/*
 * The firmware knows the ARK.  Nothing of the ASK's certificate is looked at
 * before the ARK's signature has been.
 */
int psp_root_verify_chip(const PspAmdCerts *certs, const PspCert *cek)
{
    const PspCertSig *sig = psp_cert_sig(cek, PSP_USAGE_ASK);
    const size_t len = offsetof(PspAmdCert, signature);
    PspAmdCert root;

    make_cert(&ark, &ark, &root);
    if (memcmp(&root, &certs->ark, len)) {
        return INVALID_CERTIFICATE;
    }
    if (!verify(&root, &certs->ark, len, certs->ark.signature) ||
        !verify(&root, &certs->ask, len, certs->ask.signature)) {
        return BAD_SIGNATURE;
    }
    if (ldl_le_p(&certs->ask.version) != 1 ||
        ldl_le_p(&certs->ask.usage) != PSP_USAGE_ASK ||
        memcmp(certs->ask.certifying_id, root.key_id, sizeof(root.key_id)) ||
        certs->ask.exponent_bits != root.exponent_bits ||
        certs->ask.modulus_bits != root.modulus_bits ||
        !(certs->ask.modulus[PSP_RSA_SIZE - 1] & 0x80) ||
        !sig || ldl_le_p(&sig->algo) != PSP_ALGO_RSA_SHA384) {
        return INVALID_CERTIFICATE;
    }
    return verify(&certs->ask, cek, PSP_CERT_BODY, sig->rsa) ?
           SUCCESS : BAD_SIGNATURE;
}
