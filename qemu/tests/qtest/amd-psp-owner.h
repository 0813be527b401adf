/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The other side of AMD's Platform Security Processor, for its tests: what an
 * owner of a guest or of a platform computes.
 *
 * Written from the SEV API once more, with offsets instead of structures, and
 * without a line of the device's.
 */
#ifndef TESTS_AMD_PSP_OWNER_H
#define TESTS_AMD_PSP_OWNER_H

#include <nettle/ecc.h>

#define CERT_LEN        2084
#define CHAIN_LEN       (3 * CERT_LEN)
#define AMD_CERT_LEN    1600
#define SESSION_LEN     128
#define HEADER_LEN      52
#define MEASURE_LEN     48
#define REPORT_LEN      208

/* In a certificate */
#define CERT_USAGE      0x008
#define CERT_ALGO       0x00c
#define CERT_CURVE      0x010
#define CERT_QX         0x014
#define CERT_QY         0x05c
#define CERT_SIG(n)     (0x414 + (n) * 0x208)

/* In a session */
#define SESSION_NONCE       0
#define SESSION_KEYS        16
#define SESSION_IV          48
#define SESSION_MAC         64
#define SESSION_POLICY_MAC  96

enum { ASK = 0x13, OCA = 0x1001, PEK = 0x1002, PDH = 0x1003, CEK = 0x1004 };
enum { ECDSA_SHA256 = 0x002, ECDH_SHA256 = 0x003, RSA_SHA384 = 0x101 };
enum { SECRET = 1, DATA = 2, MEASURE = 4 };

typedef struct Owner {
    struct ecc_point point;
    struct ecc_scalar scalar;
    uint8_t tek[16], tik[16];
} Owner;

void owner_init(Owner *o);
void owner_clear(Owner *o);

/* A certificate of the owner's key, and a signature with it, in a place. */
void owner_cert(const Owner *o, uint32_t usage, uint32_t algo,
                uint8_t cert[CERT_LEN]);
void owner_sign(const Owner *o, uint32_t usage, int slot,
                uint8_t cert[CERT_LEN]);

/* New TEK and TIK, wrapped for who has the PDH in @cert. */
void owner_session(Owner *o, const uint8_t cert[CERT_LEN], uint32_t policy,
                   uint8_t session[SESSION_LEN]);
/* And those that a platform has wrapped for the owner; false: a bad MAC. */
bool owner_join(Owner *o, const uint8_t cert[CERT_LEN], uint32_t policy,
                const uint8_t session[SESSION_LEN]);

/* A packet's header; @data is encrypted in place. */
void owner_seal(const Owner *o, int kind, uint32_t flags, uint8_t *data,
                uint32_t len, const void *tail, size_t tail_len,
                uint8_t header[HEADER_LEN]);
/* The same packet back, with data in place; false: a bad MAC. */
bool owner_open(const Owner *o, int kind, uint8_t *data, uint32_t len,
                const uint8_t header[HEADER_LEN]);
/* What LAUNCH_MEASURE is to return, before its nonce. */
void owner_measure(const Owner *o, const uint8_t api[3], uint32_t policy,
                   const uint8_t digest[32], const uint8_t nonce[16],
                   uint8_t out[32]);
void sha256(const void *data, size_t len, uint8_t out[32]);

/* Whether @parent's key has signed: a body, a certificate in a place, AMD's. */
bool signed_by(const uint8_t parent[CERT_LEN], const void *body, size_t len,
               const uint8_t *rs);
bool cert_signed_by(const uint8_t parent[CERT_LEN], uint32_t usage, int slot,
                    const uint8_t cert[CERT_LEN]);
bool rsa_signed_by(const uint8_t parent[AMD_CERT_LEN], const void *body,
                   size_t len, const uint8_t sig[512]);

#endif
