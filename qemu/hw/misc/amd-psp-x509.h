/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: X.509 certificates, for SNP
 *
 * As text (PEM), and the same each time.
 */
#ifndef HW_MISC_AMD_PSP_X509_H
#define HW_MISC_AMD_PSP_X509_H

#include "amd-psp-crypto.h"

/* Of the ASK, signed by the ARK, and of the ARK, signed by itself */
char *psp_x509_chain(void);
/* Of @key, for version @tcb of the TCB of the chip with that ID */
char *psp_x509_vcek(const PspKey *key, uint64_t tcb, const uint8_t *id,
                    size_t id_len);

#endif
