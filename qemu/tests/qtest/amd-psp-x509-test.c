/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: certificates for SNP, in fw_cfg
 *
 * Reports that are signed with the chip's key are in
 * tests/tcg/x86_64/system/snp-attest.c.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "libqos/fw_cfg.h"
#include "amd-psp-host.h"

#define VCEK_LEN        2048
#define RSA_LEN         512
#define P384_LEN        97      /* of a point */

/* A part of a certificate */
typedef struct Der {
    const uint8_t *bytes;
    size_t len;
} Der;

typedef struct Cert {
    uint8_t *bytes;
    Der signed_part, algorithm, issuer, subject, key_algorithm, key, extensions;
    int serial;
    uint8_t signature[RSA_LEN];     /* little-endian */
} Cert;

/* RFC 4055: RSA-PSS, SHA-384, MGF1 with SHA-384, 48 bytes of salt */
static const uint8_t rsa_pss[] = {
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30,
    0x34, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65,
    0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09,
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06,
    0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00,
    0xa2, 0x03, 0x02, 0x01, 0x30,
};
static const uint8_t rsa_key[] = {
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
    0x00,
};
static const uint8_t p384_key[] = {
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22,
};

static bool der_is(Der der, const void *bytes, size_t len)
{
    return der.len == len && !memcmp(der.bytes, bytes, len);
}

/* The tag of what comes next, 0: nothing */
static int der_tag(const Der *from)
{
    return from->len ? from->bytes[0] : 0;
}

/* What comes next, whose length is to be as short as it can be */
static Der der_next(Der *from, int tag)
{
    Der der = { };
    size_t head = 2;

    g_assert_cmpuint(from->len, >=, 2);
    g_assert_cmphex(from->bytes[0], ==, tag);
    der.len = from->bytes[1];
    if (der.len == 0x81) {
        der.len = from->bytes[2];
        g_assert_cmpuint(der.len, >=, 0x80);
        head = 3;
    } else if (der.len >= 0x80) {
        g_assert_cmphex(der.len, ==, 0x82);
        der.len = lduw_be_p(from->bytes + 2);
        g_assert_cmpuint(der.len, >=, 0x100);
        head = 4;
    }
    der.bytes = from->bytes + head;
    g_assert_cmpuint(head + der.len, <=, from->len);
    from->bytes += head + der.len;
    from->len -= head + der.len;
    return der;
}

static Der der_bits(Der *from)
{
    Der bits = der_next(from, 0x03);

    g_assert_cmpuint(bits.len, >, 0);
    g_assert_cmphex(bits.bytes[0], ==, 0);
    return (Der) { bits.bytes + 1, bits.len - 1 };
}

static int der_small(Der *from)
{
    Der integer = der_next(from, 0x02);
    int value = 0;

    g_assert_cmpuint(integer.len, <=, 3);
    g_assert_cmphex(integer.bytes[0] & 0x80, ==, 0);
    for (size_t i = 0; i < integer.len; i++) {
        value = value << 8 | integer.bytes[i];
    }
    return value;
}

/* The first certificate in a text; what comes after it */
static const char *parse(const char *pem, Cert *cert)
{
    const char *begin = strchr(pem, '\n'), *end = strstr(pem, "-----END");
    g_autofree char *text = NULL;
    Der der, all, body, tag, key;
    Der signature;
    gsize len;

    g_assert(g_str_has_prefix(pem, "-----BEGIN CERTIFICATE-----\n"));
    g_assert(end);
    text = g_strndup(begin, end - begin);
    cert->bytes = g_base64_decode(text, &len);
    der = (Der) { cert->bytes, len };
    all = der_next(&der, 0x30);
    g_assert_cmpuint(der.len, ==, 0);

    cert->signed_part.bytes = all.bytes;
    body = der_next(&all, 0x30);
    cert->signed_part.len = all.bytes - cert->signed_part.bytes;
    cert->algorithm = der_next(&all, 0x30);
    signature = der_bits(&all);
    g_assert_cmpuint(signature.len, ==, RSA_LEN);
    for (int i = 0; i < RSA_LEN; i++) {
        cert->signature[i] = signature.bytes[RSA_LEN - 1 - i];
    }
    g_assert_cmpuint(all.len, ==, 0);

    tag = der_next(&body, 0xa0);
    g_assert_cmpint(der_small(&tag), ==, 2);
    cert->serial = der_small(&body);
    tag = der_next(&body, 0x30);
    g_assert(der_is(tag, cert->algorithm.bytes, cert->algorithm.len));
    cert->issuer = der_next(&body, 0x30);
    tag = der_next(&body, 0x30);
    g_assert(der_is(der_next(&tag, 0x17), "700101000000Z", 13));
    g_assert(der_is(der_next(&tag, 0x18), "99991231235959Z", 15));
    cert->subject = der_next(&body, 0x30);
    key = der_next(&body, 0x30);
    cert->key_algorithm = der_next(&key, 0x30);
    cert->key = der_bits(&key);
    tag = der_next(&body, 0xa3);
    cert->extensions = der_next(&tag, 0x30);
    g_assert_cmpuint(body.len, ==, 0);
    return end + strlen("-----END CERTIFICATE-----\n");
}

/* The value of an extension */
static Der extension(const Cert *cert, const char *oid, size_t oid_len,
                     bool critical)
{
    Der list = cert->extensions;

    while (list.len) {
        Der one = der_next(&list, 0x30);

        if (der_is(der_next(&one, 0x06), oid, oid_len)) {
            g_assert_cmpint(der_tag(&one) == 0x01, ==, critical);
            if (critical) {
                g_assert(der_is(der_next(&one, 0x01), "\xff", 1));
            }
            return der_next(&one, 0x04);
        }
    }
    g_assert_not_reached();
}

#define EXTENSION(cert, oid, critical) \
    extension(cert, oid, sizeof(oid) - 1, critical)
#define AMD_OID     "\x2b\x06\x01\x04\x01\x9c\x78\x01"
#define AMD_VALUE(cert, last)   EXTENSION(cert, AMD_OID last, false)

/* Whether @cert is of the same key as AMD's own form of it */
static void check_rsa_key(const Cert *cert, const uint8_t amd[AMD_CERT_LEN])
{
    Der key = cert->key, all = der_next(&key, 0x30);
    Der modulus = der_next(&all, 0x02);

    g_assert(der_is(cert->key_algorithm, rsa_key, sizeof(rsa_key)));
    g_assert_cmpuint(modulus.len, ==, RSA_LEN + 1);
    g_assert_cmphex(modulus.bytes[0], ==, 0);
    for (int i = 0; i < RSA_LEN; i++) {
        g_assert_cmphex(modulus.bytes[RSA_LEN - i], ==, amd[64 + 512 + i]);
    }
    g_assert_cmpint(der_small(&all), ==, 65537);
}

static void check_signed(const Cert *cert, const Cert *issuer,
                         const uint8_t amd[AMD_CERT_LEN])
{
    g_assert(der_is(cert->algorithm, rsa_pss, sizeof(rsa_pss)));
    g_assert(der_is(cert->issuer, issuer->subject.bytes, issuer->subject.len));
    g_assert(rsa_signed_by(amd, cert->signed_part.bytes, cert->signed_part.len,
                           cert->signature));
}

static void check_name(Der name, const char *expected)
{
    Der last = name;

    while (name.len) {
        last = der_next(&name, 0x31);
    }
    last = der_next(&last, 0x30);
    g_assert(der_is(der_next(&last, 0x06), "\x55\x04\x03", 3));
    g_assert(der_is(der_next(&last, 0x0c), expected, strlen(expected)));
}

static char *read_file(Machine *m, const char *name, size_t max, size_t *len)
{
    QFWCFG *fw_cfg = pc_fw_cfg_init(m->qts);
    char *text = g_malloc0(max + 1);

    *len = qfw_cfg_get_file(fw_cfg, name, text, max);
    pc_fw_cfg_uninit(fw_cfg);
    return text;
}

static void read_vcek(Machine *m, Cert *vcek)
{
    g_autofree char *text = NULL;
    const char *rest;
    size_t len;

    text = read_file(m, "etc/amd-psp/vcek.pem", VCEK_LEN, &len);
    g_assert_cmpuint(len, ==, VCEK_LEN);
    rest = parse(text, vcek);
    g_assert_cmpuint(strspn(rest, "\n"), ==, strlen(rest));
    g_assert_cmpuint(strlen(text), ==, VCEK_LEN);
}

static void test_x509(void)
{
    Machine *m = machine_new("one"), *same = machine_new("one");
    Machine *other = machine_new("two");
    uint8_t root[2 * AMD_CERT_LEN], *amd_ask = root;
    uint8_t *amd_ark = root + AMD_CERT_LEN, buf[12] = { 0 }, id[64];
    static const uint8_t svns[][2] = {
        { 1, 4 }, { 2, 0 }, { 3, 21 }, { 4, 0 }, { 5, 0 }, { 6, 0 }, { 7, 0 },
        { 8, 211 },
    };
    Cert ask, ark, vcek, vcek_same, vcek_other;
    g_autofree char *chain = NULL;
    const char *rest;
    size_t len;

    read_root(m, root);
    chain = read_file(m, "etc/amd-psp/cert_chain.pem", 16 * KiB, &len);
    g_assert_cmpuint(strlen(chain), ==, len);
    rest = parse(chain, &ask);
    rest = parse(rest, &ark);
    g_assert_cmpstr(rest, ==, "");
    read_vcek(m, &vcek);

    check_name(ark.subject, "ARK-Milan");
    check_name(ask.subject, "SEV-Milan");
    check_name(vcek.subject, "SEV-VCEK");
    check_rsa_key(&ark, amd_ark);
    check_rsa_key(&ask, amd_ask);
    check_signed(&ark, &ark, amd_ark);
    check_signed(&ask, &ark, amd_ark);
    check_signed(&vcek, &ask, amd_ask);
    g_assert_cmpint(ark.serial, !=, ask.serial);
    g_assert(der_is(EXTENSION(&ark, "\x55\x1d\x13", true),
                    "\x30\x03\x01\x01\xff", 5));
    g_assert(der_is(EXTENSION(&ask, "\x55\x1d\x13", true),
                    "\x30\x06\x01\x01\xff\x02\x01\x00", 8));
    g_assert(der_is(EXTENSION(&ark, "\x55\x1d\x0f", true),
                    "\x03\x02\x01\x06", 4));
    g_assert(der_is(EXTENSION(&ask, "\x55\x1d\x0f", true),
                    "\x03\x02\x01\x06", 4));

    g_assert(der_is(vcek.key_algorithm, p384_key, sizeof(p384_key)));
    g_assert_cmpuint(vcek.key.len, ==, P384_LEN);
    g_assert_cmphex(vcek.key.bytes[0], ==, 4);
    g_assert(der_is(AMD_VALUE(&vcek, "\x01"), "\x02\x01\x00", 3));
    g_assert(der_is(AMD_VALUE(&vcek, "\x02"), "\x16\x08Milan-B0", 10));
    for (int i = 0; i < ARRAY_SIZE(svns); i++) {
        char oid[] = AMD_OID "\x03?";
        Der value;

        oid[sizeof(oid) - 2] = svns[i][0];
        value = EXTENSION(&vcek, oid, false);
        g_assert_cmpint(der_small(&value), ==, svns[i][1]);
    }
    stq_le_p(buf, OUT);
    stl_le_p(buf + 8, sizeof(id));
    g_assert_cmphex(psp(m, CMD_GET_ID, buf, sizeof(buf)), ==, SUCCESS);
    qtest_memread(m->qts, OUT, id, sizeof(id));
    g_assert(der_is(AMD_VALUE(&vcek, "\x04"), id, sizeof(id)));

    read_vcek(same, &vcek_same);
    g_assert(der_is(vcek.signed_part, vcek_same.signed_part.bytes,
                    vcek_same.signed_part.len));
    g_assert(!memcmp(vcek.signature, vcek_same.signature, RSA_LEN));
    read_vcek(other, &vcek_other);
    g_assert(!der_is(vcek.key, vcek_other.key.bytes, vcek_other.key.len));
    check_signed(&vcek_other, &ask, amd_ask);

    g_free(ask.bytes);
    g_free(ark.bytes);
    g_free(vcek.bytes);
    g_free(vcek_same.bytes);
    g_free(vcek_other.bytes);
    machine_free(other);
    machine_free(same);
    machine_free(m);
}

void add_x509_tests(void)
{
    qtest_add_func("/amd-psp/x509", test_x509);
}
