/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: certificates
 *
 * Two formats, from the SEV API's appendices B and C: AMD's own two keys, which
 * are RSA, and all others, which are ECDSA and ECDH here.  All numbers are
 * little-endian.
 */
#ifndef HW_MISC_AMD_PSP_CERT_H
#define HW_MISC_AMD_PSP_CERT_H

#include "amd-psp-crypto.h"
#include "amd-psp-status.h"

enum {
    PSP_USAGE_ARK = 0x0000,
    PSP_USAGE_ASK = 0x0013,
    PSP_USAGE_INVALID = 0x1000,
    PSP_USAGE_OCA = 0x1001,
    PSP_USAGE_PEK = 0x1002,
    PSP_USAGE_PDH = 0x1003,
    PSP_USAGE_CEK = 0x1004,
};

enum {
    PSP_ALGO_INVALID = 0x000,
    PSP_ALGO_ECDSA_SHA256 = 0x002,
    PSP_ALGO_ECDH_SHA256 = 0x003,
    PSP_ALGO_RSA_SHA384 = 0x101,
    PSP_ALGO_ECDSA_SHA384 = 0x102,
    PSP_ALGO_ECDH_SHA384 = 0x103,
};

#define PSP_CURVE_P384  2
#define PSP_RSA_SIZE    512     /* 4096 bits */

typedef struct QEMU_PACKED PspCertSig {
    uint32_t usage;     /* of the key that has signed */
    uint32_t algo;
    union {
        PspSignature ec;
        uint8_t rsa[PSP_RSA_SIZE];
    };
} PspCertSig;

typedef struct QEMU_PACKED PspCert {
    uint32_t version;
    uint8_t api_major;  /* only of a PEK */
    uint8_t api_minor;
    uint8_t reserved[2];
    uint32_t usage;
    uint32_t algo;
    uint32_t curve;
    uint8_t qx[PSP_EC_FIELD];
    uint8_t qy[PSP_EC_FIELD];
    uint8_t unused[880];
    PspCertSig sig[2];
} PspCert;

/* What is signed */
#define PSP_CERT_BODY   offsetof(PspCert, sig)

/* What a platform shows beside its PDH */
typedef struct PspCertChain {
    PspCert pek, oca, cek;
} PspCertChain;

typedef struct QEMU_PACKED PspAmdCert {
    uint32_t version;
    uint8_t key_id[16];
    uint8_t certifying_id[16];
    uint32_t usage;
    uint8_t reserved[16];
    uint32_t exponent_bits;
    uint32_t modulus_bits;
    uint8_t exponent[PSP_RSA_SIZE];
    uint8_t modulus[PSP_RSA_SIZE];
    uint8_t signature[PSP_RSA_SIZE];
} PspAmdCert;

typedef struct PspAmdCerts {
    PspAmdCert ask, ark;
} PspAmdCerts;

QEMU_BUILD_BUG_ON(sizeof(PspCert) != 0x824);
QEMU_BUILD_BUG_ON(sizeof(PspAmdCert) != 0x640);

/* A certificate of @key without signatures. */
void psp_cert_init(PspCert *cert, uint32_t usage, const PspKey *key);
/* Sign with a @key that is used as @usage, in place @slot. */
void psp_cert_sign(PspCert *cert, int slot, uint32_t usage, const PspKey *key);
/* The signature of a key that is used as @usage, or NULL. */
const PspCertSig *psp_cert_sig(const PspCert *cert, uint32_t usage);

/* These return a status. */

/* The key in a certificate from somewhere that is to be used as @usage. */
int psp_cert_key(const PspCert *cert, uint32_t usage, PspKey *key);
/* Whether @parent, the key of a certificate for @usage, has signed. */
int psp_cert_verify(const PspCert *cert, uint32_t usage, const PspKey *parent);

/* The root */
void psp_root_certs(PspAmdCerts *certs);
void psp_root_sign_chip(PspCert *cek);
int psp_root_verify_chip(const PspAmdCerts *certs, const PspCert *cek);

/* For certificates of another form: the key that is used as @usage */
#define PSP_ROOT_EXPONENT   65537
/* The modulus is big-endian, the signature is little-endian. */
void psp_root_modulus(uint32_t usage, uint8_t modulus[PSP_RSA_SIZE]);
void psp_root_sign(uint32_t usage, const void *body, size_t len,
                   uint8_t sig[PSP_RSA_SIZE]);

#endif
