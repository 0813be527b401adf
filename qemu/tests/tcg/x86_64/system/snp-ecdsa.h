/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ECDSA on P-384 with SHA-384, the slow and simple way
 *
 * Source: FIPS 180-4, FIPS 186-5, SEC 1.
 */
#include <stdbool.h>
#include <stdint.h>

static const uint64_t sha512_k[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f,
    0xe9b5dba58189dbbc, 0x3956c25bf348b538, 0x59f111f1b605d019,
    0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242,
    0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3,
    0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65, 0x2de92c6f592b0275,
    0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f,
    0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc,
    0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6,
    0x92722c851482353b, 0xa2bfe8a14cf10364, 0xa81a664bbc423001,
    0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99,
    0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb,
    0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc,
    0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915,
    0xc67178f2e372532b, 0xca273eceea26619c, 0xd186b8c721c0c207,
    0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba,
    0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a,
    0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

static uint64_t sha512_rotate(uint64_t x, int n)
{
    return x >> n | x << (64 - n);
}

static void sha512_block(uint64_t h[8], const uint8_t *block)
{
    uint64_t w[80], v[8];

    for (int i = 0; i < 80; i++) {
        if (i < 16) {
            w[i] = 0;
            for (int j = 0; j < 8; j++) {
                w[i] = w[i] << 8 | block[8 * i + j];
            }
        } else {
            uint64_t a = w[i - 15], b = w[i - 2];

            w[i] = w[i - 16] + w[i - 7] +
                   (sha512_rotate(a, 1) ^ sha512_rotate(a, 8) ^ a >> 7) +
                   (sha512_rotate(b, 19) ^ sha512_rotate(b, 61) ^ b >> 6);
        }
    }
    for (int i = 0; i < 8; i++) {
        v[i] = h[i];
    }
    for (int i = 0; i < 80; i++) {
        uint64_t a = v[0], e = v[4];
        uint64_t s1 = sha512_rotate(e, 14) ^ sha512_rotate(e, 18) ^
                      sha512_rotate(e, 41);
        uint64_t s0 = sha512_rotate(a, 28) ^ sha512_rotate(a, 34) ^
                      sha512_rotate(a, 39);
        uint64_t t1 = v[7] + s1 + ((e & v[5]) ^ (~e & v[6])) + sha512_k[i] +
                      w[i];
        uint64_t t2 = s0 + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));

        for (int j = 7; j > 0; j--) {
            v[j] = v[j - 1];
        }
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) {
        h[i] += v[i];
    }
}

static void sha384(const void *data, unsigned len, uint8_t digest[48])
{
    uint64_t h[8] = {
        0xcbbb9d5dc1059ed8, 0x629a292a367cd507, 0x9159015a3070dd17,
        0x152fecd8f70e5939, 0x67332667ffc00b31, 0x8eb44a8768581511,
        0xdb0c2e0d64f98fa7, 0x47b5481dbefa4fa4,
    };
    const uint8_t *bytes = data;
    unsigned end = (len + 17 + 127) / 128 * 128;
    uint64_t bits = (uint64_t)len * 8;
    uint8_t block[128];

    for (unsigned at = 0; at < end; at++) {
        block[at % 128] = at < len ? bytes[at] : at == len ? 0x80 :
                          at >= end - 8 ? bits >> 8 * (end - 1 - at) : 0;
        if (at % 128 == 127) {
            sha512_block(h, block);
        }
    }
    for (int i = 0; i < 48; i++) {
        digest[i] = h[i / 8] >> 8 * (7 - i % 8);
    }
}

/* Numbers of 384 bits, the least significant word first */
#define EC_WORDS    12

typedef struct {
    uint32_t w[EC_WORDS];
} EcNum;

/* Arithmetic modulo an odd number, with numbers times 2^384 (Montgomery's) */
typedef struct {
    EcNum m, rr;            /* the modulus, and 2^768 modulo it */
    uint32_t inverse;       /* -1 / m modulo 2^32 */
} EcField;

static uint32_t ec_add_words(EcNum *a, const EcNum *b)
{
    uint64_t carry = 0;

    for (int i = 0; i < EC_WORDS; i++) {
        carry += (uint64_t)a->w[i] + b->w[i];
        a->w[i] = carry;
        carry >>= 32;
    }
    return carry;
}

static uint32_t ec_sub_words(EcNum *a, const EcNum *b)
{
    uint64_t borrow = 0;

    for (int i = 0; i < EC_WORDS; i++) {
        borrow = (uint64_t)a->w[i] - b->w[i] - borrow;
        a->w[i] = borrow;
        borrow = borrow >> 63;
    }
    return borrow;
}

static bool ec_is_less(const EcNum *a, const EcNum *b)
{
    EcNum difference = *a;

    return ec_sub_words(&difference, b);
}

static bool ec_is_equal(const EcNum *a, const EcNum *b)
{
    uint32_t different = 0;

    for (int i = 0; i < EC_WORDS; i++) {
        different |= a->w[i] ^ b->w[i];
    }
    return !different;
}

static bool ec_is_zero(const EcNum *a)
{
    static const EcNum zero;

    return ec_is_equal(a, &zero);
}

static EcNum ec_add(const EcField *f, EcNum a, EcNum b)
{
    if (ec_add_words(&a, &b) || !ec_is_less(&a, &f->m)) {
        ec_sub_words(&a, &f->m);
    }
    return a;
}

static EcNum ec_sub(const EcField *f, EcNum a, EcNum b)
{
    if (ec_sub_words(&a, &b)) {
        ec_add_words(&a, &f->m);
    }
    return a;
}

static EcNum ec_mul(const EcField *f, EcNum a, EcNum b)
{
    uint32_t t[EC_WORDS + 2] = { 0 };
    EcNum result;

    for (int i = 0; i < EC_WORDS; i++) {
        uint64_t carry = 0;
        uint32_t q;

        for (int j = 0; j < EC_WORDS; j++) {
            carry += (uint64_t)a.w[i] * b.w[j] + t[j];
            t[j] = carry;
            carry >>= 32;
        }
        carry += t[EC_WORDS];
        t[EC_WORDS] = carry;
        t[EC_WORDS + 1] = carry >> 32;

        q = t[0] * f->inverse;
        carry = ((uint64_t)q * f->m.w[0] + t[0]) >> 32;
        for (int j = 1; j < EC_WORDS; j++) {
            carry += (uint64_t)q * f->m.w[j] + t[j];
            t[j - 1] = carry;
            carry >>= 32;
        }
        carry += t[EC_WORDS];
        t[EC_WORDS - 1] = carry;
        t[EC_WORDS] = t[EC_WORDS + 1] + (carry >> 32);
    }
    for (int i = 0; i < EC_WORDS; i++) {
        result.w[i] = t[i];
    }
    if (t[EC_WORDS] || !ec_is_less(&result, &f->m)) {
        ec_sub_words(&result, &f->m);
    }
    return result;
}

static void ec_field_init(EcField *f, EcNum m)
{
    EcNum x = { { 1 } };

    f->m = m;
    f->inverse = 1;
    for (int i = 0; i < 5; i++) {
        f->inverse *= 2 - m.w[0] * f->inverse;
    }
    f->inverse = -f->inverse;
    for (int i = 0; i < 768; i++) {
        x = ec_add(f, x, x);
    }
    f->rr = x;
}

static EcNum ec_to(const EcField *f, EcNum a)
{
    return ec_mul(f, a, f->rr);
}

static EcNum ec_from(const EcField *f, EcNum a)
{
    static const EcNum one = { { 1 } };

    return ec_mul(f, a, one);
}

/* 1 / a, as a ^ (m - 2), for a prime modulus */
static EcNum ec_invert(const EcField *f, EcNum a)
{
    static const EcNum one = { { 1 } }, two = { { 2 } };
    EcNum exponent = f->m, result = ec_to(f, one);

    ec_sub_words(&exponent, &two);
    for (int i = 383; i >= 0; i--) {
        result = ec_mul(f, result, result);
        if (exponent.w[i / 32] >> i % 32 & 1) {
            result = ec_mul(f, result, a);
        }
    }
    return result;
}

static EcNum ec_read_le(const uint8_t *bytes)
{
    EcNum a = { };

    for (int i = 0; i < 48; i++) {
        a.w[i / 4] |= (uint32_t)bytes[i] << 8 * (i % 4);
    }
    return a;
}

static void ec_write_le(EcNum a, uint8_t *bytes)
{
    for (int i = 0; i < 48; i++) {
        bytes[i] = a.w[i / 4] >> 8 * (i % 4);
    }
}

static EcNum ec_read_be(const uint8_t *bytes)
{
    uint8_t le[48];

    for (int i = 0; i < 48; i++) {
        le[i] = bytes[47 - i];
    }
    return ec_read_le(le);
}

/* Points: x / z^2, y / z^3, at infinity if z is 0 */
typedef struct {
    EcNum x, y, z;
} EcPoint;

static const EcNum ec_p = { {
    0xffffffff, 0x00000000, 0x00000000, 0xffffffff, 0xfffffffe, 0xffffffff,
    0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff,
} };
static const EcNum ec_n = { {
    0xccc52973, 0xecec196a, 0x48b0a77a, 0x581a0db2, 0xf4372ddf, 0xc7634d81,
    0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff,
} };
static const EcNum ec_gx = { {
    0x72760ab7, 0x3a545e38, 0xbf55296c, 0x5502f25d, 0x82542a38, 0x59f741e0,
    0x8ba79b98, 0x6e1d3b62, 0xf320ad74, 0x8eb1c71e, 0xbe8b0537, 0xaa87ca22,
} };
static const EcNum ec_gy = { {
    0x90ea0e5f, 0x7a431d7c, 0x1d7e819d, 0x0a60b1ce, 0xb5f0b8c0, 0xe9da3113,
    0x289a147c, 0xf8f41dbd, 0x9292dc29, 0x5d9e98bf, 0x96262c6f, 0x3617de4a,
} };

static EcPoint ec_double(const EcField *f, const EcPoint *a)
{
    EcNum zz = ec_mul(f, a->z, a->z), yy = ec_mul(f, a->y, a->y);
    EcNum s = ec_mul(f, a->x, yy), slope, t;
    EcPoint result;

    s = ec_add(f, s, s);
    s = ec_add(f, s, s);                /* 4 x y^2 */
    t = ec_mul(f, ec_sub(f, a->x, zz), ec_add(f, a->x, zz));
    slope = ec_add(f, t, ec_add(f, t, t));  /* 3 (x^2 - z^4), as a is -3 */
    result.x = ec_sub(f, ec_mul(f, slope, slope), ec_add(f, s, s));
    t = ec_mul(f, yy, yy);
    t = ec_add(f, t, t);
    t = ec_add(f, t, t);
    t = ec_add(f, t, t);                /* 8 y^4 */
    result.y = ec_sub(f, ec_mul(f, slope, ec_sub(f, s, result.x)), t);
    t = ec_mul(f, a->y, a->z);
    result.z = ec_add(f, t, t);
    return result;
}

static EcPoint ec_sum(const EcField *f, const EcPoint *a, const EcPoint *b)
{
    EcNum azz, bzz, u, v, h, hh, hhh, r, t;
    EcPoint result;

    if (ec_is_zero(&a->z)) {
        return *b;
    }
    if (ec_is_zero(&b->z)) {
        return *a;
    }
    azz = ec_mul(f, a->z, a->z);
    bzz = ec_mul(f, b->z, b->z);
    u = ec_mul(f, a->x, bzz);
    h = ec_sub(f, ec_mul(f, b->x, azz), u);
    v = ec_mul(f, a->y, ec_mul(f, bzz, b->z));
    r = ec_sub(f, ec_mul(f, b->y, ec_mul(f, azz, a->z)), v);
    if (ec_is_zero(&h) && ec_is_zero(&r)) {
        return ec_double(f, a);
    }
    hh = ec_mul(f, h, h);
    hhh = ec_mul(f, hh, h);
    t = ec_mul(f, u, hh);
    result.x = ec_sub(f, ec_sub(f, ec_mul(f, r, r), hhh), ec_add(f, t, t));
    result.y = ec_sub(f, ec_mul(f, r, ec_sub(f, t, result.x)),
                      ec_mul(f, v, hhh));
    result.z = ec_mul(f, h, ec_mul(f, a->z, b->z));
    return result;
}

static EcField ec_mod_p, ec_mod_n;

static void ec_init(void)
{
    ec_field_init(&ec_mod_p, ec_p);
    ec_field_init(&ec_mod_n, ec_n);
}

/* A key, or a part of it: @d is 0 if it is not known. */
typedef struct {
    EcNum d, x, y;
} EcKey;

/* a times the base, plus b times @point; false: that is at infinity. */
static bool ec_combine(EcNum a, EcNum b, const EcKey *point, EcNum *x, EcNum *y)
{
    static const EcNum one = { { 1 } };
    const EcField *p = &ec_mod_p;
    EcPoint sum = { }, table[4];
    EcNum z, zz;

    table[1] = (EcPoint) { ec_to(p, ec_gx), ec_to(p, ec_gy), ec_to(p, one) };
    table[2] = (EcPoint) { ec_to(p, point->x), ec_to(p, point->y),
                           ec_to(p, one) };
    table[3] = ec_sum(p, &table[1], &table[2]);
    for (int i = 383; i >= 0; i--) {
        int bits = (a.w[i / 32] >> i % 32 & 1) |
                   (b.w[i / 32] >> i % 32 & 1) << 1;

        sum = ec_double(p, &sum);
        if (bits) {
            sum = ec_sum(p, &sum, &table[bits]);
        }
    }
    z = ec_invert(p, sum.z);
    zz = ec_mul(p, z, z);
    *x = ec_from(p, ec_mul(p, sum.x, zz));
    *y = ec_from(p, ec_mul(p, sum.y, ec_mul(p, zz, z)));
    return !ec_is_zero(&sum.z);
}

static EcNum ec_hash(const void *data, unsigned len)
{
    uint8_t digest[48];

    sha384(data, len, digest);
    return ec_read_be(digest);
}

static EcNum ec_modulo_n(EcNum a)
{
    if (!ec_is_less(&a, &ec_n)) {
        ec_sub_words(&a, &ec_n);
    }
    return a;
}

/* A key that follows from a text; it is for tests only. */
static void ec_make_key(EcKey *key, const void *text, unsigned len)
{
    static const EcNum zero;
    static const EcKey base = { .x = { { 0 } } };

    key->d = ec_modulo_n(ec_hash(text, len));
    ec_combine(key->d, zero, &base, &key->x, &key->y);
}

static void ecdsa_sign(const EcKey *key, const void *data, unsigned len,
                       EcNum *r, EcNum *s)
{
    const EcField *n = &ec_mod_n;
    EcNum hash = ec_modulo_n(ec_hash(data, len));
    EcKey nonce;

    ec_make_key(&nonce, &hash, sizeof(hash));
    *r = ec_modulo_n(nonce.x);
    *s = ec_add(n, hash, ec_mul(n, *r, ec_to(n, key->d)));
    *s = ec_mul(n, *s, ec_invert(n, ec_to(n, nonce.d)));
}

/* Whether (r, s) is the signature of @data by who has the key */
static bool ecdsa_verify(const EcKey *key, EcNum r, EcNum s, const void *data,
                         unsigned len)
{
    const EcField *n = &ec_mod_n;
    EcNum x, y, inverse;

    if (ec_is_zero(&r) || ec_is_zero(&s) || !ec_is_less(&r, &ec_n) ||
        !ec_is_less(&s, &ec_n)) {
        return false;
    }
    inverse = ec_invert(n, ec_to(n, s));
    if (!ec_combine(ec_mul(n, ec_modulo_n(ec_hash(data, len)), inverse),
                    ec_mul(n, r, inverse), key, &x, &y)) {
        return false;
    }
    x = ec_modulo_n(x);
    return ec_is_equal(&x, &r);
}
