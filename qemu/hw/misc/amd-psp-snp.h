/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: commands of SNP
 *
 * amd-psp.c is the device, with the commands of SEV.  Those of SNP are in
 * amd-psp-snp.c, for the platform and for pages, and in amd-psp-snp-*.c.
 */
#ifndef HW_MISC_AMD_PSP_SNP_H
#define HW_MISC_AMD_PSP_SNP_H

#include "cpu.h"
#include "exec/hwaddr.h"
#include "hw/i386/amd-mem-enc.h"
#include "hw/i386/amd-rmp.h"
#include "hw/nvram/fw_cfg.h"
#include "amd-psp-crypto.h"
#include "amd-psp-status.h"

/* What the device says of SEV for each command */
typedef struct AmdPspSev {
    bool initialized;
    uint64_t asids;         /* a bit for each ASID of an active guest */
    /* ASIDs that have been in use since the last DF_FLUSH */
    bool *dirty;
    int failure;            /* of this command, which is to do nothing then */
} AmdPspSev;

QEMU_BUILD_BUG_ON(AMD_MEM_ENC_NR_ASIDS > 63);

typedef struct AmdPspSnp AmdPspSnp;

/* @secret and @id are the chip's, and remain valid. */
AmdPspSnp *amd_psp_snp_new(const uint8_t *secret, const uint8_t *id);
/* Certificates, which hosts get from a server of AMD's */
void amd_psp_snp_add_files(AmdPspSnp *snp, FWCfgState *fw_cfg);
void amd_psp_snp_reset(AmdPspSnp *snp);
bool amd_psp_snp_owns_asid(const AmdPspSnp *snp, unsigned asid);

/* Commands from this one on are those of SNP. */
#define FIRST_SNP_COMMAND   0x80

/* With all CPUs stopped, as all of these: @addr is where the buffer is. */
int amd_psp_snp_execute(AmdPspSnp *snp, const AmdPspSev *sev, int cmd,
                        hwaddr addr);

/*
 * Once SNP is initialized, the firmware writes to none but its own pages, also
 * by commands of SEV: check those that it is to write to.  After the command,
 * its buffer is the firmware's no longer.
 */
int amd_psp_snp_check_legacy(AmdPspSnp *snp, int cmd, hwaddr addr,
                             const uint8_t *buf, size_t len);
void amd_psp_snp_end_legacy(AmdPspSnp *snp, int cmd, hwaddr addr);

/* For amd-psp-snp*.c */

/* SNP ABI, chapter 5: states of pages */
typedef enum PageState {
    PAGE_INVALID,           /* no state that firmware gives any page */
    PAGE_DEFAULT,           /* not covered by the RMP */
    PAGE_HYPERVISOR,
    PAGE_HV_FIXED,
    PAGE_FIRMWARE,
    PAGE_IOMMU,
    PAGE_RECLAIM,
    PAGE_CONTEXT,
    PAGE_PRE_GUEST,
    PAGE_PRE_SWAP,
    PAGE_GUEST_INVALID,
    PAGE_GUEST_VALID,
} PageState;

typedef enum SnpGuestState {
    SNP_GUEST_INIT,
    SNP_GUEST_LAUNCH,
    SNP_GUEST_RUNNING,
} SnpGuestState;

#define SNP_DIGEST_LEN  48
#define SNP_KEY_LEN     32
#define SNP_NR_VMPCKS   4

/* What an ID block calls a guest, as it is in memory; 0: it has none */
typedef struct QEMU_PACKED SnpGuestId {
    uint8_t family_id[16];
    uint8_t image_id[16];
    uint32_t version;
    uint32_t svn;
} SnpGuestId;

/* On hardware, it is in the page that the hypervisor has donated. */
typedef struct SnpGuest {
    int64_t gctx;           /* the address of that page */
    SnpGuestState state;
    uint64_t policy;
    uint32_t asid;          /* 0: not active */
    int64_t ma_gctx;        /* of the migration agent, -1: none */
    bool imi;
    bool vcek_disabled;
    uint32_t tsc_khz;
    uint8_t vek[AMD_MEM_ENC_KEY_SIZE];
    uint8_t vmpck[SNP_NR_VMPCKS][SNP_KEY_LEN];
    uint64_t msg_count[SNP_NR_VMPCKS];
    uint8_t vmrk[SNP_KEY_LEN];      /* to derive keys from */
    uint8_t digest[SNP_DIGEST_LEN];
    uint8_t imi_digest[SNP_DIGEST_LEN];
    uint8_t gosvw[16];
    uint8_t host_data[32];
    uint8_t report_id[32];
    uint8_t report_id_ma[32];
    bool has_id, has_author;
    SnpGuestId id;
    uint8_t id_key_digest[SNP_DIGEST_LEN];
    uint8_t author_key_digest[SNP_DIGEST_LEN];
} SnpGuest;

#define SNP_CHIP_ID_LEN 64
#define SNP_VCEK_FILE_LEN 2048

struct AmdPspSnp {
    const uint8_t *chip_secret, *chip_id;
    bool initialized;
    bool rmp_initialized;
    hwaddr rmp_base, rmp_end;
    uint64_t reported_tcb;  /* 0: SNP_TCB */
    bool mask_chip_id, mask_chip_key;
    GHashTable *guests;     /* by gctx */
    uint64_t vcek_file_tcb; /* what there is in the file, 0: nothing */
    char vcek_file[SNP_VCEK_FILE_LEN];
    const AmdPspSev *sev;   /* of the command that is executed */
    bool changed;           /* the RMP, by this command */
};

/* SVNs: boot loader, TEE, SNP, microcode */
#define SNP_TCB         0xd315000000000004ULL

/* The version that reports give, and whether there has been version @tcb */
uint64_t snp_reported_tcb(const AmdPspSnp *snp);
bool snp_tcb_has_been(uint64_t tcb);
/* The chip's key for version @tcb, and what else is derived from for it */
void snp_vcek(const AmdPspSnp *snp, uint64_t tcb, PspKey *key);
void snp_vcek_secret(const AmdPspSnp *snp, uint64_t tcb,
                     uint8_t secret[PSP_DIGEST_SIZE]);

/*
 * The state of a page, and its entry if it has one.  The RMP itself is none of
 * the hypervisor's business: INVALID_PARAM.
 */
int snp_page_state(AmdPspSnp *snp, hwaddr pa, AmdRmpEntry **entry,
                   PageState *state);
void snp_set_page(AmdPspSnp *snp, AmdRmpEntry *entry, uint64_t state,
                  uint32_t perms);
/* Whether the firmware may write there: SUCCESS or why not */
int snp_check_writable(AmdPspSnp *snp, hwaddr pa, uint64_t len);

typedef int SnpCommand(AmdPspSnp *snp, uint8_t *buf);

SnpCommand snp_cmd_decommission, snp_cmd_activate, snp_cmd_activate_ex,
           snp_cmd_guest_status, snp_cmd_gctx_create, snp_cmd_launch_start,
           snp_cmd_launch_update, snp_cmd_launch_finish, snp_cmd_dbg_decrypt,
           snp_cmd_dbg_encrypt, snp_cmd_guest_request;

/* The guest whose context is at @gctx: SUCCESS or why there is none */
int snp_find_guest(AmdPspSnp *snp, uint64_t gctx, SnpGuest **guest);
void snp_forget_guests(AmdPspSnp *snp);
unsigned snp_nr_guests(const AmdPspSnp *snp);

/* SHA-384; false: there are no resources for it. */
bool snp_digest(const void *data, size_t len, uint8_t digest[SNP_DIGEST_LEN]);

/* Give @guest the identity of an ID block, if it may have it. */
int snp_identify_guest(SnpGuest *guest, hwaddr block_pa, hwaddr auth_pa,
                       bool has_author);

/* Messages of guests */

/* Whether @guest may have the VCEK used for it if it selects that key */
bool snp_may_use_vcek(const SnpGuest *guest, uint32_t key_sel);
/* Who has not the key of a VMPL cannot speak for it. */
bool snp_may_speak_for(unsigned vmpck, uint32_t vmpl);
/* The length of the answer to a request for a key, which has 32 bytes */
#define SNP_KEY_REQUEST_LEN 32
size_t snp_answer_key(AmdPspSnp *snp, const SnpGuest *guest, unsigned vmpck,
                      const uint8_t *in, uint8_t *out);

/*
 * Whether a guest may have the functions in a CPUID page.  If it may not, what
 * it could have is put into the page.
 */
#define SNP_CPUID_PAGE_MAX  64
bool snp_check_cpuid_page(uint8_t page[AMD_RMP_PAGE]);

#endif
