/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: X.509 certificates, for SNP
 *
 * They have the form of those that AMD's server gives: signatures are RSA-PSS
 * with SHA-384, and the chip's has AMD's extensions.  AMD has not issued them,
 * and their names say so.
 *
 * Sources: Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface
 * Specification, AMD publication 57230; RFC 5280, RFC 4055, RFC 5480.
 */
#include "qemu/osdep.h"
#include "amd-psp-cert.h"
#include "amd-psp-der.h"
#include "amd-psp-x509.h"

#define OID_RSA             "1.2.840.113549.1.1.1"
#define OID_MGF1            "1.2.840.113549.1.1.8"
#define OID_RSA_PSS         "1.2.840.113549.1.1.10"
#define OID_SHA384          "2.16.840.1.101.3.4.2.2"
#define OID_EC_KEY          "1.2.840.10045.2.1"
#define OID_P384            "1.3.132.0.34"
#define OID_COMMON_NAME     "2.5.4.3"
#define OID_ORGANIZATION    "2.5.4.10"
#define OID_UNIT            "2.5.4.11"
#define OID_KEY_USAGE       "2.5.29.15"
#define OID_CONSTRAINTS     "2.5.29.19"
#define OID_AMD             "1.3.6.1.4.1.3704.1."

#define VERSION_3           2
#define SALT_LEN            48
#define USAGE_CERT_CRL      0x06    /* bits 5 and 6, from the left */

#define ARK_NAME            "ARK-Milan"
#define ASK_NAME            "SEV-Milan"
#define VCEK_NAME           "SEV-VCEK"
#define PRODUCT             "Milan-B0"

#define PEM_LINE            48      /* bytes of a line of 64 characters */

static void put_sha384(GByteArray *der)
{
    guint algorithm = der_begin(der, DER_SEQUENCE);

    der_oid(der, OID_SHA384);
    der_value(der, DER_NULL, NULL, 0);
    der_end(der, algorithm);
}

/* RSA-PSS: a hash, a mask made with it, and a salt of its length */
static void put_signature_algorithm(GByteArray *der)
{
    guint algorithm = der_begin(der, DER_SEQUENCE), params, param, mask;

    der_oid(der, OID_RSA_PSS);
    params = der_begin(der, DER_SEQUENCE);

    param = der_begin(der, DER_CONTEXT + 0);
    put_sha384(der);
    der_end(der, param);

    param = der_begin(der, DER_CONTEXT + 1);
    mask = der_begin(der, DER_SEQUENCE);
    der_oid(der, OID_MGF1);
    put_sha384(der);
    der_end(der, mask);
    der_end(der, param);

    param = der_begin(der, DER_CONTEXT + 2);
    der_small_integer(der, SALT_LEN);
    der_end(der, param);

    der_end(der, params);
    der_end(der, algorithm);
}

static void put_attribute(GByteArray *der, const char *oid, const char *text)
{
    guint set = der_begin(der, DER_SET);
    guint attribute = der_begin(der, DER_SEQUENCE);

    der_oid(der, oid);
    der_string(der, DER_UTF8_STRING, text);
    der_end(der, attribute);
    der_end(der, set);
}

static void put_name(GByteArray *der, const char *name)
{
    guint sequence = der_begin(der, DER_SEQUENCE);

    put_attribute(der, OID_UNIT, "Test root (private keys are public)");
    put_attribute(der, OID_ORGANIZATION, "QEMU");
    put_attribute(der, OID_COMMON_NAME, name);
    der_end(der, sequence);
}

/* All that comes before the key; a machine's clock can say anything. */
static void put_head(GByteArray *der, uint32_t serial, const char *issuer,
                     const char *subject)
{
    guint version = der_begin(der, DER_CONTEXT + 0), validity;

    der_small_integer(der, VERSION_3);
    der_end(der, version);
    der_small_integer(der, serial);
    put_signature_algorithm(der);
    put_name(der, issuer);
    validity = der_begin(der, DER_SEQUENCE);
    der_string(der, DER_UTC_TIME, "700101000000Z");
    der_string(der, DER_GENERALIZED_TIME, "99991231235959Z");
    der_end(der, validity);
    put_name(der, subject);
}

static void put_key(GByteArray *der, const char *algorithm_oid,
                    const char *curve_oid, const GByteArray *key)
{
    static const uint8_t no_unused_bits;
    guint info = der_begin(der, DER_SEQUENCE), algorithm, bits;

    algorithm = der_begin(der, DER_SEQUENCE);
    der_oid(der, algorithm_oid);
    if (curve_oid) {
        der_oid(der, curve_oid);
    } else {
        der_value(der, DER_NULL, NULL, 0);
    }
    der_end(der, algorithm);
    bits = der_begin(der, DER_BIT_STRING);
    g_byte_array_append(der, &no_unused_bits, 1);
    g_byte_array_append(der, key->data, key->len);
    der_end(der, bits);
    der_end(der, info);
}

static void put_rsa_key(GByteArray *der, uint32_t usage)
{
    g_autoptr(GByteArray) key = g_byte_array_new();
    guint sequence = der_begin(key, DER_SEQUENCE);
    uint8_t modulus[PSP_RSA_SIZE];

    psp_root_modulus(usage, modulus);
    der_integer(key, modulus, sizeof(modulus));
    der_small_integer(key, PSP_ROOT_EXPONENT);
    der_end(key, sequence);
    put_key(der, OID_RSA, NULL, key);
}

static void append_reversed(GByteArray *bytes, const uint8_t *number,
                            size_t len)
{
    while (len) {
        g_byte_array_append(bytes, &number[--len], 1);
    }
}

static void put_ec_key(GByteArray *der, const PspKey *ec)
{
    static const uint8_t uncompressed = 0x04;
    g_autoptr(GByteArray) key = g_byte_array_new();

    g_byte_array_append(key, &uncompressed, 1);
    append_reversed(key, ec->x, sizeof(ec->x));
    append_reversed(key, ec->y, sizeof(ec->y));
    put_key(der, OID_EC_KEY, OID_P384, key);
}

static void put_extension(GByteArray *der, const char *oid, bool critical,
                          const void *value, size_t len)
{
    static const uint8_t yes = 0xff;
    guint extension = der_begin(der, DER_SEQUENCE);

    der_oid(der, oid);
    if (critical) {
        der_value(der, DER_BOOLEAN, &yes, 1);
    }
    der_value(der, DER_OCTET_STRING, value, len);
    der_end(der, extension);
}

/* A key that signs certificates */
static void put_ca_extensions(GByteArray *der, bool root)
{
    static const uint8_t yes = 0xff, usage[] = { 1, USAGE_CERT_CRL };
    g_autoptr(GByteArray) value = g_byte_array_new();
    guint tag = der_begin(der, DER_CONTEXT + 3);
    guint extensions = der_begin(der, DER_SEQUENCE), sequence;

    sequence = der_begin(value, DER_SEQUENCE);
    der_value(value, DER_BOOLEAN, &yes, 1);
    if (!root) {
        der_small_integer(value, 0);    /* other keys below it */
    }
    der_end(value, sequence);
    put_extension(der, OID_CONSTRAINTS, true, value->data, value->len);

    g_byte_array_set_size(value, 0);
    der_value(value, DER_BIT_STRING, usage, sizeof(usage));
    put_extension(der, OID_KEY_USAGE, true, value->data, value->len);

    der_end(der, extensions);
    der_end(der, tag);
}

static void put_amd_integer(GByteArray *der, const char *oid, uint8_t value)
{
    g_autoptr(GByteArray) integer = g_byte_array_new();

    der_small_integer(integer, value);
    put_extension(der, oid, false, integer->data, integer->len);
}

/* The ID is there as it is, not as an octet string. */
static void put_vcek_extensions(GByteArray *der, uint64_t tcb,
                                const uint8_t *id, size_t id_len)
{
    static const struct {
        const char *oid;
        int byte;           /* of the version of the TCB */
    } svns[] = {
        { OID_AMD "3.1", 0 },   /* boot loader */
        { OID_AMD "3.2", 1 },   /* TEE */
        { OID_AMD "3.4", 2 },
        { OID_AMD "3.5", 3 },
        { OID_AMD "3.6", 4 },
        { OID_AMD "3.7", 5 },
        { OID_AMD "3.3", 6 },   /* SNP */
        { OID_AMD "3.8", 7 },   /* microcode */
    };
    g_autoptr(GByteArray) product = g_byte_array_new();
    guint tag = der_begin(der, DER_CONTEXT + 3);
    guint extensions = der_begin(der, DER_SEQUENCE);

    put_amd_integer(der, OID_AMD "1", 0);
    der_string(product, DER_IA5_STRING, PRODUCT);
    put_extension(der, OID_AMD "2", false, product->data, product->len);
    for (int i = 0; i < ARRAY_SIZE(svns); i++) {
        put_amd_integer(der, svns[i].oid, tcb >> svns[i].byte * 8);
    }
    put_extension(der, OID_AMD "4", false, id, id_len);
    der_end(der, extensions);
    der_end(der, tag);
}

/* @body, signed by the key that is used as @signer, is appended as text. */
static void sign_body(GString *pem, const GByteArray *body, uint32_t signer)
{
    static const uint8_t no_unused_bits;
    g_autoptr(GByteArray) tbs = g_byte_array_new();
    g_autoptr(GByteArray) cert = g_byte_array_new();
    uint8_t sig[PSP_RSA_SIZE];
    guint sequence, bits;

    der_value(tbs, DER_SEQUENCE, body->data, body->len);
    psp_root_sign(signer, tbs->data, tbs->len, sig);

    sequence = der_begin(cert, DER_SEQUENCE);
    g_byte_array_append(cert, tbs->data, tbs->len);
    put_signature_algorithm(cert);
    bits = der_begin(cert, DER_BIT_STRING);
    g_byte_array_append(cert, &no_unused_bits, 1);
    append_reversed(cert, sig, sizeof(sig));
    der_end(cert, bits);
    der_end(cert, sequence);

    g_string_append(pem, "-----BEGIN CERTIFICATE-----\n");
    for (guint i = 0; i < cert->len; i += PEM_LINE) {
        g_autofree char *line = g_base64_encode(cert->data + i,
                                                MIN(PEM_LINE, cert->len - i));

        g_string_append_printf(pem, "%s\n", line);
    }
    g_string_append(pem, "-----END CERTIFICATE-----\n");
}

char *psp_x509_chain(void)
{
    g_autoptr(GByteArray) ask = g_byte_array_new();
    g_autoptr(GByteArray) ark = g_byte_array_new();
    GString *pem = g_string_new(NULL);

    put_head(ask, 2, ARK_NAME, ASK_NAME);
    put_rsa_key(ask, PSP_USAGE_ASK);
    put_ca_extensions(ask, false);
    sign_body(pem, ask, PSP_USAGE_ARK);

    put_head(ark, 1, ARK_NAME, ARK_NAME);
    put_rsa_key(ark, PSP_USAGE_ARK);
    put_ca_extensions(ark, true);
    sign_body(pem, ark, PSP_USAGE_ARK);
    return g_string_free(pem, false);
}

char *psp_x509_vcek(const PspKey *key, uint64_t tcb, const uint8_t *id,
                    size_t id_len)
{
    g_autoptr(GByteArray) vcek = g_byte_array_new();
    GString *pem = g_string_new(NULL);

    put_head(vcek, 0, ASK_NAME, VCEK_NAME);
    put_ec_key(vcek, key);
    put_vcek_extensions(vcek, tcb, id, id_len);
    sign_body(pem, vcek, PSP_USAGE_ASK);
    return g_string_free(pem, false);
}
