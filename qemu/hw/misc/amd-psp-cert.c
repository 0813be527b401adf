/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: certificates of platforms and owners
 *
 * Not modelled: keys on P-256, and owners whose key is RSA.  They are invalid.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "amd-psp-cert.h"

void psp_cert_init(PspCert *cert, uint32_t usage, const PspKey *key)
{
    memset(cert, 0, sizeof(*cert));
    stl_le_p(&cert->version, 1);
    stl_le_p(&cert->usage, usage);
    stl_le_p(&cert->algo, usage == PSP_USAGE_PDH ? PSP_ALGO_ECDH_SHA256 :
                                                   PSP_ALGO_ECDSA_SHA256);
    stl_le_p(&cert->curve, PSP_CURVE_P384);
    memcpy(cert->qx, key->x, sizeof(key->x));
    memcpy(cert->qy, key->y, sizeof(key->y));
    for (int i = 0; i < ARRAY_SIZE(cert->sig); i++) {
        stl_le_p(&cert->sig[i].usage, PSP_USAGE_INVALID);
        stl_le_p(&cert->sig[i].algo, PSP_ALGO_INVALID);
    }
}

void psp_cert_sign(PspCert *cert, int slot, uint32_t usage, const PspKey *key)
{
    PspCertSig *sig = &cert->sig[slot];

    memset(sig, 0, sizeof(*sig));
    stl_le_p(&sig->usage, usage);
    stl_le_p(&sig->algo, PSP_ALGO_ECDSA_SHA256);
    psp_key_sign(key, cert, PSP_CERT_BODY, false, &sig->ec);
}

const PspCertSig *psp_cert_sig(const PspCert *cert, uint32_t usage)
{
    for (int i = 0; i < ARRAY_SIZE(cert->sig); i++) {
        if (ldl_le_p(&cert->sig[i].usage) == usage) {
            return &cert->sig[i];
        }
    }
    return NULL;
}

int psp_cert_key(const PspCert *cert, uint32_t usage, PspKey *key)
{
    uint32_t algo = ldl_le_p(&cert->algo);
    bool dh = usage == PSP_USAGE_PDH;

    if (ldl_le_p(&cert->version) != 1 ||
        ldl_le_p(&cert->usage) != usage ||
        ldl_le_p(&cert->curve) != PSP_CURVE_P384 ||
        (algo != (dh ? PSP_ALGO_ECDH_SHA256 : PSP_ALGO_ECDSA_SHA256) &&
         algo != (dh ? PSP_ALGO_ECDH_SHA384 : PSP_ALGO_ECDSA_SHA384)) ||
        !buffer_is_zero(cert->qx + PSP_EC_SIZE, PSP_EC_FIELD - PSP_EC_SIZE) ||
        !buffer_is_zero(cert->qy + PSP_EC_SIZE, PSP_EC_FIELD - PSP_EC_SIZE) ||
        !buffer_is_zero(cert->unused, sizeof(cert->unused))) {
        return INVALID_CERTIFICATE;
    }
    memset(key->d, 0, sizeof(key->d));
    memcpy(key->x, cert->qx, sizeof(key->x));
    memcpy(key->y, cert->qy, sizeof(key->y));
    return psp_key_on_curve(key) ? SUCCESS : INVALID_CERTIFICATE;
}

int psp_cert_verify(const PspCert *cert, uint32_t usage, const PspKey *parent)
{
    const PspCertSig *sig = psp_cert_sig(cert, usage);
    uint32_t algo = sig ? ldl_le_p(&sig->algo) : PSP_ALGO_INVALID;

    if (algo != PSP_ALGO_ECDSA_SHA256 && algo != PSP_ALGO_ECDSA_SHA384) {
        return INVALID_CERTIFICATE;
    }
    return psp_key_verify(parent, cert, PSP_CERT_BODY,
                          algo == PSP_ALGO_ECDSA_SHA384, &sig->ec) ?
           SUCCESS : BAD_SIGNATURE;
}
