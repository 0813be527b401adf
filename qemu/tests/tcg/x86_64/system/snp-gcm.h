/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AES-256 in Galois/Counter Mode, the slow and simple way
 *
 * Source: FIPS 197, NIST SP 800-38D.
 */
#include <stdint.h>

#define AES_ROUNDS  14

static uint8_t aes_round_keys[AES_ROUNDS + 1][16];

/* Multiply in the field of AES. */
static uint8_t aes_multiply(uint8_t a, uint8_t b)
{
    uint8_t product = 0;

    while (b) {
        if (b & 1) {
            product ^= a;
        }
        a = a << 1 ^ (a & 0x80 ? 0x1b : 0);
        b >>= 1;
    }
    return product;
}

static uint8_t aes_substitute(uint8_t a)
{
    uint8_t inverse = 1, result = 0x63;

    /* a ^ 254 */
    for (int i = 0; i < 254; i++) {
        inverse = aes_multiply(inverse, a);
    }
    for (int i = 0; i < 5; i++) {
        result ^= inverse << i | inverse >> (8 - i);
    }
    return result;
}

static uint8_t aes_box[256];

static void aes_set_key(const uint8_t key[32])
{
    uint8_t (*word)[4] = (uint8_t (*)[4])aes_round_keys, temp[4], rcon = 1;

    if (!aes_box[0]) {
        for (int i = 0; i < 256; i++) {
            aes_box[i] = aes_substitute(i);
        }
    }
    for (int i = 0; i < 4 * (AES_ROUNDS + 1); i++) {
        for (int j = 0; j < 4; j++) {
            temp[j] = i < 8 ? key[4 * i + j] :
                      i % 4 ? word[i - 1][j] :
                      aes_box[word[i - 1][(j + (i % 8 ? 0 : 1)) % 4]];
        }
        if (i >= 8 && i % 8 == 0) {
            temp[0] ^= rcon;
            rcon = aes_multiply(rcon, 2);
        }
        for (int j = 0; j < 4; j++) {
            word[i][j] = i < 8 ? temp[j] : word[i - 8][j] ^ temp[j];
        }
    }
}

static void aes_encrypt(const uint8_t in[16], uint8_t out[16])
{
    uint8_t state[16], next[16];

    for (int i = 0; i < 16; i++) {
        state[i] = in[i] ^ aes_round_keys[0][i];
    }
    for (int round = 1; round <= AES_ROUNDS; round++) {
        for (int i = 0; i < 16; i++) {
            next[i] = aes_box[state[(i + 4 * (i % 4)) % 16]];
        }
        for (int i = 0; i < 16; i++) {
            uint8_t *column = &next[i & ~3];

            state[i] = round == AES_ROUNDS ? next[i] :
                       aes_multiply(column[i % 4], 2) ^
                       aes_multiply(column[(i + 1) % 4], 3) ^
                       column[(i + 2) % 4] ^ column[(i + 3) % 4];
            state[i] ^= aes_round_keys[round][i];
        }
    }
    for (int i = 0; i < 16; i++) {
        out[i] = state[i];
    }
}

/* Multiply by @h in the field of GCM, whose first bit is bit 7 of byte 0. */
static void gcm_multiply(uint8_t x[16], const uint8_t h[16])
{
    uint8_t product[16] = { 0 }, v[16];

    for (int i = 0; i < 16; i++) {
        v[i] = h[i];
    }
    for (int bit = 0; bit < 128; bit++) {
        int carry = v[15] & 1;

        for (int i = 15; i >= 0; i--) {
            if (x[bit / 8] & (0x80 >> bit % 8)) {
                product[i] ^= v[i];
            }
            v[i] = v[i] >> 1 | (i ? v[i - 1] << 7 : 0);
        }
        if (carry) {
            v[0] ^= 0xe1;
        }
    }
    for (int i = 0; i < 16; i++) {
        x[i] = product[i];
    }
}

static void gcm_hash(uint8_t x[16], const uint8_t h[16], const uint8_t *data,
                     unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        x[i % 16] ^= data[i];
        if (i % 16 == 15 || i == len - 1) {
            gcm_multiply(x, h);
        }
    }
}

static void gcm_counter(uint8_t out[16], const uint8_t iv[12], unsigned counter)
{
    uint8_t block[16];

    for (int i = 0; i < 16; i++) {
        block[i] = i < 12 ? iv[i] : counter >> 8 * (15 - i);
    }
    aes_encrypt(block, out);
}

/* Encryption and decryption are the same. */
static void gcm_crypt(const uint8_t iv[12], uint8_t *data, unsigned len)
{
    uint8_t stream[16];

    for (unsigned i = 0; i < len; i++) {
        if (i % 16 == 0) {
            gcm_counter(stream, iv, 2 + i / 16);
        }
        data[i] ^= stream[i % 16];
    }
}

/* Of what is encrypted */
static void gcm_tag(uint8_t tag[16], const uint8_t iv[12], const uint8_t *aad,
                    unsigned aad_len, const uint8_t *data, unsigned len)
{
    uint8_t h[16] = { 0 }, lengths[16] = { 0 }, mask[16];

    aes_encrypt(h, h);
    for (int i = 0; i < 4; i++) {
        lengths[7 - i] = aad_len * 8 >> 8 * i;
        lengths[15 - i] = len * 8 >> 8 * i;
    }
    for (int i = 0; i < 16; i++) {
        tag[i] = 0;
    }
    gcm_hash(tag, h, aad, aad_len);
    gcm_hash(tag, h, data, len);
    gcm_hash(tag, h, lengths, sizeof(lengths));
    gcm_counter(mask, iv, 1);
    for (int i = 0; i < 16; i++) {
        tag[i] ^= mask[i];
    }
}
