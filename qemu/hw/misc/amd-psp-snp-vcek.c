/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: the chip's key for reports of SNP guests
 *
 * There is one such key (VCEK) for each version of the TCB: who breaks a
 * version has no key of a newer one.  On hardware, each is made from the chip's
 * secret by hashing; here it follows from that secret and the version.
 *
 * Source: SNP ABI, chapter 3.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "amd-psp-snp.h"
#include "amd-psp-x509.h"

#define CHAIN_FILE      "etc/amd-psp/cert_chain.pem"
#define VCEK_FILE       "etc/amd-psp/vcek.pem"

void snp_vcek_secret(const AmdPspSnp *snp, uint64_t tcb,
                     uint8_t secret[PSP_DIGEST_SIZE])
{
    uint8_t version[8];

    stq_le_p(version, tcb);
    psp_kdf(snp->chip_secret, PSP_DIGEST_SIZE, "VCEK", version,
            sizeof(version), secret, PSP_DIGEST_SIZE);
}

void snp_vcek(const AmdPspSnp *snp, uint64_t tcb, PspKey *key)
{
    uint8_t secret[PSP_DIGEST_SIZE];
    PspStream stream;

    snp_vcek_secret(snp, tcb, secret);
    psp_stream_init(&stream, secret, sizeof(secret), "VCEK", 0);
    psp_key_generate(key, &stream);
}

uint64_t snp_reported_tcb(const AmdPspSnp *snp)
{
    return snp->reported_tcb ?: SNP_TCB;
}

bool snp_tcb_has_been(uint64_t tcb)
{
    for (int i = 0; i < 64; i += 8) {
        if (extract64(tcb, i, 8) > extract64(SNP_TCB, i, 8)) {
            return false;
        }
    }
    return true;
}

/*
 * The certificate for the version that reports give now.  A file has always the
 * same length, and behind a certificate in PEM there may be empty lines.
 */
static void select_vcek(void *opaque)
{
    AmdPspSnp *snp = opaque;
    uint64_t tcb = snp_reported_tcb(snp);
    g_autofree char *pem = NULL;
    size_t len;
    PspKey key;

    if (tcb == snp->vcek_file_tcb) {
        return;
    }
    snp_vcek(snp, tcb, &key);
    pem = psp_x509_vcek(&key, tcb, snp->chip_id, SNP_CHIP_ID_LEN);
    len = strlen(pem);
    assert(len <= sizeof(snp->vcek_file));
    memset(snp->vcek_file, '\n', sizeof(snp->vcek_file));
    memcpy(snp->vcek_file, pem, len);
    snp->vcek_file_tcb = tcb;
}

void amd_psp_snp_add_files(AmdPspSnp *snp, FWCfgState *fw_cfg)
{
    char *chain = psp_x509_chain();

    fw_cfg_add_file(fw_cfg, CHAIN_FILE, chain, strlen(chain));
    fw_cfg_add_file_callback(fw_cfg, VCEK_FILE, select_vcek, NULL, snp,
                             snp->vcek_file, sizeof(snp->vcek_file), true);
}
