/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX, for TCG: measurements and reports (TDH.MR, TDG.MR)
 *
 * The MAC of a report is of a key that this machine has made up: nobody can
 * verify it but the machine itself.  MRSEAM and MRSIGNERSEAM are 0, there is no
 * image of the module to measure.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/guest-random.h"
#include "crypto/hmac.h"
#include "tdx-internal.h"

#define BLOCK_SIZE          128
#define EXTEND_SIZE         256

/* REPORTMACSTRUCT */
typedef struct QEMU_PACKED ReportMac {
    uint8_t type, subtype, version, reserved0;
    uint8_t reserved1[12];
    uint8_t cpusvn[16];
    uint8_t tee_tcb_info_hash[TDX_HASH_SIZE];
    uint8_t tee_info_hash[TDX_HASH_SIZE];
    uint8_t reportdata[64];
    uint8_t reserved2[32];
    uint8_t mac[32];
} ReportMac;

/* TEE_TCB_INFO */
typedef struct QEMU_PACKED TcbInfo {
    uint64_t valid;             /* a bit for each byte of the hash's fields */
    uint8_t tee_tcb_svn[16];
    uint8_t mrseam[TDX_HASH_SIZE];
    uint8_t mrsignerseam[TDX_HASH_SIZE];
    uint64_t attributes;
    uint8_t tee_tcb_svn2[16];
    uint8_t reserved[95];
} TcbInfo;

/* TDINFO_STRUCT */
typedef struct QEMU_PACKED TdInfo {
    uint64_t attributes, xfam;
    uint8_t mrtd[TDX_HASH_SIZE];
    uint8_t mrconfigid[TDX_HASH_SIZE];
    uint8_t mrowner[TDX_HASH_SIZE];
    uint8_t mrownerconfig[TDX_HASH_SIZE];
    uint8_t rtmr[TDX_NR_RTMRS][TDX_HASH_SIZE];
    uint8_t servtd_hash[TDX_HASH_SIZE];
    uint8_t reserved[64];
} TdInfo;

/* TDREPORT_STRUCT */
typedef struct QEMU_PACKED Report {
    ReportMac mac;
    TcbInfo tcb;
    uint8_t reserved[17];
    TdInfo td;
} Report;

QEMU_BUILD_BUG_ON(sizeof(ReportMac) != 256);
QEMU_BUILD_BUG_ON(sizeof(TcbInfo) != 239);
QEMU_BUILD_BUG_ON(sizeof(TdInfo) != 512);
QEMU_BUILD_BUG_ON(sizeof(Report) != 1024);

#define REPORT_TYPE_TDX     0x81
#define TCB_VALID           0x301ff

static uint8_t report_key[32];

void tdx_report_reset(void)
{
    qemu_guest_getrandom_nofail(report_key, sizeof(report_key));
}

static void sha384(const void *buf, size_t len, uint8_t hash[TDX_HASH_SIZE])
{
    size_t hash_len = TDX_HASH_SIZE;

    qcrypto_hash_bytes(QCRYPTO_HASH_ALGO_SHA384, buf, len, &hash, &hash_len,
                       &error_abort);
}

/* MRTD: all that was added to the TD before it was finalized */

void tdx_measure_init(TdxTd *td)
{
    td->mrtd_context = qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA384,
                                        &error_abort);
}

/* A leaf and a GPA are a block of what is measured. */
static void measure(TdxTd *td, const char *leaf, uint64_t gpa)
{
    char block[BLOCK_SIZE] = { };

    pstrcpy(block, 16, leaf);
    stq_le_p(block + 16, gpa);
    qcrypto_hash_update(td->mrtd_context, block, sizeof(block), &error_abort);
}

void tdx_measure_page_add(TdxTd *td, uint64_t gpa)
{
    measure(td, "MEM.PAGE.ADD", gpa);
}

uint64_t tdh_mr_extend(TdxCall *call)
{
    uint64_t gpa = call->regs[R_ECX], tdr = call->regs[R_EDX];
    char buf[EXTEND_SIZE];
    hwaddr pa;
    TdxTd *td;
    uint64_t status;

    call->regs[R_ECX] = call->regs[R_EDX] = 0;
    status = tdx_td_get(call, tdr, TDX_OP_RDX, true, &td);
    if (!status) {
        status = tdx_td_check(call, td, false);
    }
    if (status) {
        return status;
    }
    if (gpa & (EXTEND_SIZE - 1) || !tdx_gpa_private(td, gpa)) {
        return TDX_OPERAND_INVALID | TDX_OP_RCX;
    }
    if (!tdx_sept_lookup(td, gpa, &pa)) {
        return TDX_EPT_ENTRY_NOT_PRESENT | TDX_OP_RCX;
    }
    tdx_memory_read(pa, td->hkid, buf, sizeof(buf));
    measure(td, "MR.EXTEND", gpa);
    qcrypto_hash_update(td->mrtd_context, buf, sizeof(buf), &error_abort);
    return TDX_SUCCESS;
}

uint64_t tdh_mr_finalize(TdxCall *call)
{
    g_autofree uint8_t *hash = NULL;
    size_t len = 0;
    TdxTd *td;
    uint64_t status = tdx_td_get(call, call->regs[R_ECX], TDX_OP_RCX, true,
                                 &td);

    if (!status) {
        status = tdx_td_check(call, td, false);
    }
    if (status) {
        return status;
    }
    if (!td->num_vcpus) {
        return TDX_NO_VCPUS;
    }
    qcrypto_hash_finalize_bytes(td->mrtd_context, &hash, &len, &error_abort);
    assert(len == TDX_HASH_SIZE);
    memcpy(td->mrtd, hash, len);
    td->op_state = TDX_OP_RUNNABLE;
    return TDX_SUCCESS;
}

/* RTMRs: what the TD measures by itself.  The caller has locked them. */

void tdx_rtmr_extend(TdxTd *td, unsigned index,
                     const uint8_t data[TDX_HASH_SIZE])
{
    uint8_t both[2 * TDX_HASH_SIZE];

    memcpy(both, td->rtmr[index], TDX_HASH_SIZE);
    memcpy(both + TDX_HASH_SIZE, data, TDX_HASH_SIZE);
    sha384(both, sizeof(both), td->rtmr[index]);
}

/* Reports */

static void fill_td_info(const TdxTd *td, TdInfo *info)
{
    info->attributes = cpu_to_le64(td->attributes);
    info->xfam = cpu_to_le64(td->xfam);
    memcpy(info->mrtd, td->mrtd, TDX_HASH_SIZE);
    memcpy(info->mrconfigid, td->mrconfigid, TDX_HASH_SIZE);
    memcpy(info->mrowner, td->mrowner, TDX_HASH_SIZE);
    memcpy(info->mrownerconfig, td->mrownerconfig, TDX_HASH_SIZE);
    memcpy(info->rtmr, td->rtmr, sizeof(info->rtmr));
}

static void set_mac(ReportMac *report)
{
    g_autoptr(QCryptoHmac) hmac = qcrypto_hmac_new(QCRYPTO_HASH_ALGO_SHA256,
                                                   report_key,
                                                   sizeof(report_key),
                                                   &error_abort);
    uint8_t *mac = report->mac;
    size_t len = sizeof(report->mac);

    qcrypto_hmac_bytes(hmac, (const char *)report,
                       offsetof(ReportMac, mac), &mac, &len, &error_abort);
}

void tdx_report(TdxTd *td, const uint8_t reportdata[64], uint8_t report[1024])
{
    Report *r = (Report *)report;

    memset(r, 0, sizeof(*r));
    fill_td_info(td, &r->td);
    r->tcb.valid = cpu_to_le64(TCB_VALID);
    r->mac.type = REPORT_TYPE_TDX;
    sha384(&r->tcb, sizeof(r->tcb), r->mac.tee_tcb_info_hash);
    sha384(&r->td, sizeof(r->td), r->mac.tee_info_hash);
    memcpy(r->mac.reportdata, reportdata, sizeof(r->mac.reportdata));
    set_mac(&r->mac);
}
