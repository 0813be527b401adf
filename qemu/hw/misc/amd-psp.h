/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: what its files share
 */
#ifndef HW_MISC_AMD_PSP_H
#define HW_MISC_AMD_PSP_H

#include "qemu/units.h"
#include "crypto/hash.h"
#include "hw/i386/amd-mem-enc.h"
#include "hw/pci/pci_device.h"
#include "amd-psp-cert.h"
#include "amd-psp-status.h"

#define TYPE_AMD_PSP "amd-psp"
OBJECT_DECLARE_SIMPLE_TYPE(AmdPsp, AMD_PSP)

/* Of the platform */
enum { UNINIT, INIT, WORKING };

/* Of a guest */
enum { LUPDATE = 1, LSECRET, RUNNING, SUPDATE, RUPDATE, SENT };

#define POLICY_NODBG    (1u << 0)
#define POLICY_NOKS     (1u << 1)
#define POLICY_ES       (1u << 2)
#define POLICY_NOSEND   (1u << 3)
#define POLICY_DOMAIN   (1u << 4)
#define POLICY_SEV      (1u << 5)

#define NR_GUESTS       256
#define ID_LEN          64

typedef struct Guest {
    uint32_t handle;        /* 0: unused */
    uint32_t policy;
    uint32_t asid;          /* 0: not active */
    int state;
    uint8_t vek[AMD_MEM_ENC_KEY_SIZE];
    /* Transport: what its owner or another platform is spoken to with */
    uint8_t tek[PSP_KEY_SIZE];
    uint8_t tik[PSP_KEY_SIZE];
    QCryptoHash *launch;    /* of all that LAUNCH_UPDATE has encrypted */
    uint8_t digest[PSP_DIGEST_SIZE];    /* the same, when it is final */
    uint8_t measure[PSP_DIGEST_SIZE];   /* that its owner was told */
} Guest;

/* All but the chip's own are kept until PLATFORM_RESET. */
typedef struct PspKeys {
    PspKey cek;             /* of the chip */
    PspCert cek_cert;
    uint32_t last;          /* number of the last key that was made */

    bool exist;
    bool owned;             /* by who has signed the PEK's certificate */
    uint32_t oca_number, pek_number, pdh_number;
    PspKey oca, pek, pdh;
    PspCert oca_cert, pek_cert, pdh_cert;
} PspKeys;

struct AmdPsp {
    PCIDevice parent_obj;
    MemoryRegion mmio;

    uint32_t inten, intsts, cmdresp, addr_lo, addr_hi;
    bool busy;              /* executing a command */

    bool initialized;
    bool es;                /* INIT has enabled guests with SEV-ES */
    uint32_t last_handle;
    Guest guests[NR_GUESTS];
    /* ASIDs that have been in use since the last DF_FLUSH */
    bool dirty[AMD_MEM_ENC_NR_ASIDS + 1];

    char *seed;
    uint8_t api_minor;      /* of the API's version */
    uint8_t secret[PSP_DIGEST_SIZE];    /* of the chip */
    uint8_t id[ID_LEN];
    PspKeys keys;
    hwaddr nv_addr;         /* where the host keeps them, 0: nowhere */
    struct AmdPspSnp *snp;

    /* One command of so many fails, 0: none */
    uint32_t fail_rate;
    uint64_t fail_seed;
};

static inline int nr_guests(AmdPsp *s)
{
    int nr = 0;

    for (int i = 0; i < NR_GUESTS; i++) {
        nr += !!s->guests[i].handle;
    }
    return nr;
}

static inline int platform_state(AmdPsp *s)
{
    return !s->initialized ? UNINIT : nr_guests(s) ? WORKING : INIT;
}

/*
 * Write @data to @addr if the length that the host has given, at @len, is
 * enough.  In any case it is told how much it is.
 */
int psp_output(hwaddr addr, uint8_t *len, const void *data, uint32_t size);
/* Read what the host gives as that, and nothing else. */
int psp_input(hwaddr addr, uint32_t len, void *data, uint32_t size);

/* What a command is to fail with, though it need not: mostly SUCCESS */
int psp_fail(AmdPsp *s, int cmd);

/* Keys of the platform: of its chip at realize, all others at INIT. */
void psp_keys_realize(AmdPsp *s);
void psp_keys_load(AmdPsp *s);
/* Make all of them once more, from their numbers and an owner's certificate. */
void psp_keys_restore(AmdPsp *s, const PspCert *oca, const PspCertSig *sig);
/* What the host keeps of them, if it does. */
#define PSP_NV_LEN      (32 * KiB)
void psp_nv_save(AmdPsp *s);
int psp_nv_load(AmdPsp *s);
int psp_cmd_platform_reset(AmdPsp *s, uint8_t *buf);
int psp_cmd_pek_gen(AmdPsp *s, uint8_t *buf);
int psp_cmd_pek_csr(AmdPsp *s, uint8_t *buf);
int psp_cmd_pek_cert_import(AmdPsp *s, uint8_t *buf);
int psp_cmd_pdh_cert_export(AmdPsp *s, uint8_t *buf);
int psp_cmd_pdh_gen(AmdPsp *s, uint8_t *buf);

/* Give @guest the TEK and TIK that certificate and session in @buf are for. */
int psp_session_open(AmdPsp *s, Guest *guest, const uint8_t *buf);
int psp_cmd_launch_secret(AmdPsp *s, Guest *guest, uint8_t *buf);
int psp_cmd_attestation_report(AmdPsp *s, Guest *guest, uint8_t *buf);

int psp_cmd_send_start(AmdPsp *s, Guest *guest, uint8_t *buf);
int psp_cmd_send_update_data(AmdPsp *s, Guest *guest, uint8_t *buf);
int psp_cmd_send_finish(AmdPsp *s, Guest *guest, uint8_t *buf);
int psp_cmd_send_cancel(AmdPsp *s, Guest *guest, uint8_t *buf);
int psp_cmd_receive_update_data(AmdPsp *s, Guest *guest, uint8_t *buf);
int psp_cmd_receive_finish(AmdPsp *s, Guest *guest, uint8_t *buf);

#endif
