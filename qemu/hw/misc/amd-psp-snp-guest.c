/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: commands of SNP, for guests
 *
 * On hardware, what the firmware knows of a guest is in its context page, as
 * ciphertext.  Here it is beside it; the page is the firmware's all the same.
 *
 * Not modelled: the frequency of a secure TSC.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/guest-random.h"
#include "crypto/hash.h"
#include "hw/boards.h"
#include "amd-psp-snp.h"

#define POLICY_ABI_MINOR    0x00ff
#define POLICY_ABI_MAJOR    0xff00
#define POLICY_SMT          (1ULL << 16)
#define POLICY_VMPL         (1ULL << 17)
#define POLICY_MIGRATE_MA   (1ULL << 18)
#define POLICY_DEBUG        (1ULL << 19)
#define POLICY_SOCKET       (1ULL << 20)
#define POLICY_KNOWN        0x1fffffULL

#define START_MA            (1u << 0)
#define START_IMI           (1u << 1)

#define NO_MA               (-1)

enum {
    PAGE_TYPE_NORMAL = 1,
    PAGE_TYPE_VMSA,
    PAGE_TYPE_ZERO,
    PAGE_TYPE_UNMEASURED,
    PAGE_TYPE_SECRETS,
    PAGE_TYPE_CPUID,
};

#define FINISH_ID_BLOCK     (1u << 0)
#define FINISH_AUTH_KEY     (1u << 1)
#define FINISH_VCEK_DIS     (1u << 2)

#define SECRETS_VERSION     3

/* ABI, 8.17.2: what the digest is extended by */
struct QEMU_PACKED page_info {
    uint8_t digest_cur[SNP_DIGEST_LEN];
    uint8_t contents[SNP_DIGEST_LEN];
    uint16_t length;
    uint8_t page_type;
    uint8_t imi_page;
    uint8_t reserved;
    uint8_t vmpl_perms[3];      /* of VMPL1 to VMPL3 */
    uint64_t gpa;
};

struct QEMU_PACKED secrets_page {
    uint32_t version;
    uint32_t imi;
    uint32_t fms;
    uint32_t reserved_1;
    uint8_t gosvw[16];
    uint8_t vmpck[SNP_NR_VMPCKS][SNP_KEY_LEN];
    uint8_t for_guest_os[96];
    uint8_t vmsa_tweak_bitmap[64];
    uint8_t reserved_2[32];
    uint32_t tsc_factor;
    uint8_t reserved_3[AMD_RMP_PAGE - 0x164];
};

QEMU_BUILD_BUG_ON(sizeof(struct page_info) != 0x70);
QEMU_BUILD_BUG_ON(sizeof(struct secrets_page) != AMD_RMP_PAGE);

/* Contexts */

unsigned snp_nr_guests(const AmdPspSnp *snp)
{
    GHashTableIter iter;
    gpointer guest;
    unsigned nr = 0;

    g_hash_table_iter_init(&iter, snp->guests);
    while (g_hash_table_iter_next(&iter, NULL, &guest)) {
        nr += ((SnpGuest *)guest)->state != SNP_GUEST_INIT;
    }
    return nr;
}

bool amd_psp_snp_owns_asid(const AmdPspSnp *snp, unsigned asid)
{
    GHashTableIter iter;
    gpointer guest;

    g_hash_table_iter_init(&iter, snp->guests);
    while (g_hash_table_iter_next(&iter, NULL, &guest)) {
        if (((SnpGuest *)guest)->asid == asid) {
            return true;
        }
    }
    return false;
}

void snp_forget_guests(AmdPspSnp *snp)
{
    GHashTableIter iter;
    gpointer guest;

    g_hash_table_iter_init(&iter, snp->guests);
    while (g_hash_table_iter_next(&iter, NULL, &guest)) {
        if (((SnpGuest *)guest)->asid) {
            amd_mem_enc_drop_key(((SnpGuest *)guest)->asid);
        }
    }
    g_hash_table_remove_all(snp->guests);
}

int snp_find_guest(AmdPspSnp *snp, uint64_t gctx, SnpGuest **guest)
{
    int64_t key = gctx;
    AmdRmpEntry *entry;
    PageState state;
    int status;

    if (gctx % AMD_RMP_PAGE) {
        return INVALID_PARAM;
    }
    status = snp_page_state(snp, gctx, &entry, &state);
    if (status) {
        return status;
    }
    *guest = g_hash_table_lookup(snp->guests, &key);
    return *guest && state == PAGE_CONTEXT ? SUCCESS : INVALID_GUEST;
}

int snp_cmd_gctx_create(AmdPspSnp *snp, uint8_t *buf)
{
    hwaddr pa = ldq_le_p(buf);
    AmdRmpEntry *entry;
    SnpGuest *guest;
    PageState state;
    int status;

    if (pa % AMD_RMP_PAGE) {
        return INVALID_PARAM;
    }
    status = snp_page_state(snp, pa, &entry, &state);
    if (status) {
        return status;
    }
    if (state != PAGE_FIRMWARE) {
        return INVALID_PAGE_STATE;
    }
    if (entry->state & RMP_2M) {
        return INVALID_PAGE_SIZE;
    }
    if (!amd_mem_enc_is_ram(pa, AMD_RMP_PAGE)) {
        return INVALID_CONFIG;
    }
    guest = g_new0(SnpGuest, 1);
    guest->gctx = pa;
    guest->ma_gctx = NO_MA;
    qemu_guest_getrandom_nofail(guest->vek, sizeof(guest->vek));
    g_hash_table_replace(snp->guests, &guest->gctx, guest);
    snp_set_page(snp, entry, entry->state | RMP_VMSA, entry->perms);
    return SUCCESS;
}

int snp_cmd_decommission(AmdPspSnp *snp, uint8_t *buf)
{
    AmdRmpEntry *entry;
    SnpGuest *guest;
    int status = snp_find_guest(snp, ldq_le_p(buf), &guest);

    if (status) {
        return status;
    }
    if (guest->asid) {
        amd_mem_enc_drop_key(guest->asid);
        snp->sev->dirty[guest->asid] = true;
    }
    entry = amd_rmp_entry(snp->rmp_base, snp->rmp_end, guest->gctx);
    snp_set_page(snp, entry, entry->state & ~RMP_VMSA, entry->perms);
    g_hash_table_remove(snp->guests, &guest->gctx);
    return SUCCESS;
}

/* Guests with SEV-ES have ASIDs of their own, and those with SNP are such. */
static bool asid_is_valid(uint32_t asid)
{
    uint32_t no_es = x86_min_sev_no_es_asid(&X86_CPU(first_cpu)->env);

    return asid && asid < no_es;
}

int snp_cmd_activate(AmdPspSnp *snp, uint8_t *buf)
{
    uint32_t asid = ldl_le_p(buf + 8);
    SnpGuest *guest;
    int status = snp_find_guest(snp, ldq_le_p(buf), &guest);

    if (status) {
        return status;
    }
    if (guest->state == SNP_GUEST_INIT) {
        return INVALID_GUEST_STATE;
    }
    if (!asid_is_valid(asid)) {
        return INVALID_ASID;
    }
    if (amd_rmp_asid_has_pages(asid)) {
        return INVALID_CONFIG;
    }
    if ((snp->sev->asids & (1ULL << asid)) ||
        amd_psp_snp_owns_asid(snp, asid)) {
        return ASID_OWNED;
    }
    if (guest->asid) {
        return ACTIVE;
    }
    if (snp->sev->dirty[asid]) {
        return DF_FLUSH_REQUIRED;
    }
    amd_mem_enc_set_key(asid, guest->vek);
    guest->asid = asid;
    return SUCCESS;
}

/* Firmware that does not know which APIC IDs there are cannot do it. */
int snp_cmd_activate_ex(AmdPspSnp *snp, uint8_t *buf)
{
    SnpGuest *guest;
    int status;

    if (ldl_le_p(buf) != 32 || ldl_le_p(buf + 4)) {
        return INVALID_PARAM;
    }
    status = snp_find_guest(snp, ldq_le_p(buf + 8), &guest);
    if (status) {
        return status;
    }
    if (guest->state == SNP_GUEST_INIT) {
        return INVALID_GUEST_STATE;
    }
    return asid_is_valid(ldl_le_p(buf + 16)) ? UNSUPPORTED : INVALID_ASID;
}

int snp_cmd_guest_status(AmdPspSnp *snp, uint8_t *buf)
{
    hwaddr pa = ldq_le_p(buf + 8);
    uint8_t out[32] = { 0 };
    SnpGuest *guest;
    int status;

    if (pa % AMD_RMP_PAGE + sizeof(out) > AMD_RMP_PAGE) {
        return INVALID_PARAM;
    }
    status = snp_find_guest(snp, ldq_le_p(buf), &guest);
    if (!status) {
        status = snp_check_writable(snp, pa, sizeof(out));
    }
    if (status) {
        return status;
    }
    stq_le_p(out, guest->policy);
    stl_le_p(out + 8, guest->asid);
    out[12] = guest->state;
    out[16] = guest->vcek_disabled;
    amd_mem_enc_write(pa, 0, out, sizeof(out));
    return SUCCESS;
}

/* Launch */

static bool policy_is_met(uint64_t policy)
{
    unsigned major = (policy & POLICY_ABI_MAJOR) >> 8;
    unsigned minor = policy & POLICY_ABI_MINOR;

    return !(policy & ~POLICY_KNOWN) && (policy & POLICY_VMPL) &&
           ((policy & POLICY_SMT) || current_machine->smp.threads == 1) &&
           (major < API_MAJOR || (major == API_MAJOR && minor <= API_MINOR));
}

/* gctx, policy, gctx of the migration agent, flags, TSC's kHz, GOSVW */
int snp_cmd_launch_start(AmdPspSnp *snp, uint8_t *buf)
{
    uint64_t policy = ldq_le_p(buf + 8), ma_gctx = ldq_le_p(buf + 16);
    uint32_t flags = ldl_le_p(buf + 24);
    SnpGuest *guest, *ma = NULL;
    int status;

    if ((flags & ~(START_MA | START_IMI)) || ma_gctx % AMD_RMP_PAGE) {
        return INVALID_PARAM;
    }
    status = snp_find_guest(snp, ldq_le_p(buf), &guest);
    if (status) {
        return status;
    }
    if (guest->state != SNP_GUEST_INIT) {
        return INVALID_GUEST_STATE;
    }
    if (flags & START_MA) {
        status = snp_find_guest(snp, ma_gctx, &ma);
        if (status) {
            return status;
        }
    }
    if (!policy_is_met(policy) ||
        (ma && (!(policy & POLICY_MIGRATE_MA) || ma->ma_gctx != NO_MA ||
                ((policy & POLICY_SOCKET) && !(ma->policy & POLICY_SOCKET))))) {
        return POLICY_FAILURE;
    }
    guest->policy = policy;
    guest->imi = flags & START_IMI;
    guest->tsc_khz = ldl_le_p(buf + 28);
    memcpy(guest->gosvw, buf + 32, sizeof(guest->gosvw));
    qemu_guest_getrandom_nofail(guest->vmpck, sizeof(guest->vmpck));
    qemu_guest_getrandom_nofail(guest->vmrk, sizeof(guest->vmrk));
    qemu_guest_getrandom_nofail(guest->report_id, sizeof(guest->report_id));
    memset(guest->report_id_ma, 0xff, sizeof(guest->report_id_ma));
    if (ma) {
        guest->ma_gctx = ma->gctx;
        memcpy(guest->report_id_ma, ma->report_id, sizeof(ma->report_id));
    }
    guest->state = SNP_GUEST_LAUNCH;
    return SUCCESS;
}

bool snp_digest(const void *data, size_t len, uint8_t digest[SNP_DIGEST_LEN])
{
    g_autofree uint8_t *result = NULL;
    size_t result_len = 0;

    if (qcrypto_hash_bytes(QCRYPTO_HASH_ALGO_SHA384, data, len, &result,
                           &result_len, NULL) || result_len != SNP_DIGEST_LEN) {
        return false;
    }
    memcpy(digest, result, SNP_DIGEST_LEN);
    return true;
}

/* The digest of what is measured; of a VMSA, not what the host says of TSCs */
static bool measure_contents(uint8_t page[AMD_RMP_PAGE], int type,
                             struct page_info *info)
{
    uint8_t tsc[16];
    bool ok;

    switch (type) {
    case PAGE_TYPE_NORMAL:
        return snp_digest(page, AMD_RMP_PAGE, info->contents);
    case PAGE_TYPE_VMSA:
        memcpy(tsc, page + 0x2f0, sizeof(tsc));
        memset(page + 0x2f0, 0, sizeof(tsc));
        ok = snp_digest(page, AMD_RMP_PAGE, info->contents);
        memcpy(page + 0x2f0, tsc, sizeof(tsc));
        return ok;
    default:
        return true;
    }
}

static void fill_secrets(SnpGuest *guest, uint8_t page[AMD_RMP_PAGE])
{
    struct secrets_page secrets = {
        .version = cpu_to_le32(SECRETS_VERSION),
        .imi = cpu_to_le32(guest->imi),
    };
    uint32_t eax, ebx, ecx, edx;

    cpu_x86_cpuid(&X86_CPU(first_cpu)->env, 1, 0, &eax, &ebx, &ecx, &edx);
    secrets.fms = cpu_to_le32(eax);
    memcpy(secrets.gosvw, guest->gosvw, sizeof(secrets.gosvw));
    memcpy(secrets.vmpck, guest->vmpck, sizeof(secrets.vmpck));
    memcpy(page, &secrets, sizeof(secrets));
}

/* One page of 4 KiB, after its checks */
static int launch_page(SnpGuest *guest, hwaddr pa, int type,
                       struct page_info *info)
{
    g_autofree uint8_t *page = g_malloc(AMD_RMP_PAGE);
    uint8_t digest[SNP_DIGEST_LEN], imi_digest[SNP_DIGEST_LEN];

    amd_mem_enc_read(pa, 0, page, AMD_RMP_PAGE);
    if (!measure_contents(page, type, info)) {
        return HWERROR_PLATFORM;
    }
    switch (type) {
    case PAGE_TYPE_ZERO:
        memset(page, 0, AMD_RMP_PAGE);
        break;
    case PAGE_TYPE_SECRETS:
        fill_secrets(guest, page);
        break;
    case PAGE_TYPE_CPUID:
        if (!snp_check_cpuid_page(page)) {
            amd_mem_enc_write(pa, 0, page, AMD_RMP_PAGE);
            return INVALID_PARAM;
        }
        break;
    }
    memcpy(info->digest_cur, guest->digest, SNP_DIGEST_LEN);
    if (!snp_digest(info, sizeof(*info), digest)) {
        return HWERROR_PLATFORM;
    }
    if (info->imi_page) {
        memcpy(info->digest_cur, guest->imi_digest, SNP_DIGEST_LEN);
        if (!snp_digest(info, sizeof(*info), imi_digest)) {
            return HWERROR_PLATFORM;
        }
        memcpy(guest->imi_digest, imi_digest, SNP_DIGEST_LEN);
    }
    memcpy(guest->digest, digest, SNP_DIGEST_LEN);
    amd_mem_enc_write(pa, guest->asid, page, AMD_RMP_PAGE);
    return SUCCESS;
}

/* gctx, flags, reserved, page, permissions of VMPL1 to VMPL3, reserved */
int snp_cmd_launch_update(AmdPspSnp *snp, uint8_t *buf)
{
    uint32_t flags = ldl_le_p(buf + 8), perms = ldl_le_p(buf + 24);
    bool large = extract32(flags, 0, 1), imi_page = extract32(flags, 4, 1);
    int type = extract32(flags, 1, 3);
    hwaddr pa = ldq_le_p(buf + 16), gpa;
    size_t nr = large ? AMD_RMP_2M_PAGE / AMD_RMP_PAGE : 1;
    struct page_info info = {
        .length = cpu_to_le16(sizeof(info)),
        .page_type = type,
        .imi_page = imi_page,
        .vmpl_perms = { perms >> 8, perms >> 16, perms >> 24 },
    };
    AmdRmpEntry *entry;
    SnpGuest *guest;
    PageState state;
    int status;

    if (pa % AMD_RMP_PAGE || (flags >> 5) || ldl_le_p(buf + 12) ||
        (perms & 0xff) || ldl_le_p(buf + 28)) {
        return INVALID_PARAM;
    }
    status = snp_find_guest(snp, ldq_le_p(buf), &guest);
    if (!status) {
        status = snp_page_state(snp, pa, &entry, &state);
    }
    if (status) {
        return status;
    }
    if (state != PAGE_PRE_GUEST) {
        return INVALID_PAGE_STATE;
    }
    if (large != !!(entry->state & RMP_2M)) {
        return INVALID_PAGE_SIZE;
    }
    if (type < PAGE_TYPE_NORMAL || type > PAGE_TYPE_CPUID) {
        return INVALID_PARAM;
    }
    if (large && (type == PAGE_TYPE_VMSA || type == PAGE_TYPE_SECRETS ||
                  type == PAGE_TYPE_CPUID)) {
        return INVALID_PAGE_SIZE;
    }
    if (guest->state != SNP_GUEST_LAUNCH) {
        return INVALID_GUEST_STATE;
    }
    if (!guest->asid) {
        return INACTIVE;
    }
    if (rmp_asid(entry->state) != guest->asid) {
        return INVALID_PAGE_OWNER;
    }
    if (guest->imi && !imi_page) {
        return INVALID_PARAM;
    }
    if (!amd_mem_enc_is_ram(pa, nr * AMD_RMP_PAGE)) {
        return INVALID_ADDRESS;
    }
    gpa = entry->state & RMP_GPA;
    for (size_t i = 0; i < nr; i++) {
        info.gpa = cpu_to_le64(gpa + i * AMD_RMP_PAGE);
        status = launch_page(guest, pa + i * AMD_RMP_PAGE, type, &info);
        if (status) {
            return status;
        }
    }
    snp_set_page(snp, entry, (entry->state & ~RMP_IMMUTABLE) | RMP_VALIDATED |
                 (type == PAGE_TYPE_VMSA ? RMP_VMSA : 0),
                 (entry->perms & 0xff) | (perms & ~0xff));
    return SUCCESS;
}

/* gctx, ID block, its authentication, flags, host data */
int snp_cmd_launch_finish(AmdPspSnp *snp, uint8_t *buf)
{
    uint64_t flags = ldq_le_p(buf + 24);
    SnpGuest *guest;
    int status;

    if (flags & ~(FINISH_ID_BLOCK | FINISH_AUTH_KEY | FINISH_VCEK_DIS)) {
        return INVALID_PARAM;
    }
    status = snp_find_guest(snp, ldq_le_p(buf), &guest);
    if (status) {
        return status;
    }
    if (guest->state != SNP_GUEST_LAUNCH || guest->imi) {
        return INVALID_GUEST_STATE;
    }
    if (!guest->asid) {
        return INACTIVE;
    }
    if (flags & FINISH_ID_BLOCK) {
        status = snp_identify_guest(guest, ldq_le_p(buf + 8),
                                    ldq_le_p(buf + 16),
                                    flags & FINISH_AUTH_KEY);
        if (status) {
            return status;
        }
    }
    guest->vcek_disabled = flags & FINISH_VCEK_DIS;
    memcpy(guest->host_data, buf + 32, sizeof(guest->host_data));
    guest->state = SNP_GUEST_RUNNING;
    return SUCCESS;
}

/* Debugging */

/* As snp_page_state(), but a page that is part of a large one has its state. */
static int part_state(AmdPspSnp *snp, hwaddr pa, AmdRmpEntry **entry,
                      PageState *state)
{
    if (amd_rmp_2m_entry(snp->rmp_base, snp->rmp_end, pa)) {
        pa &= -AMD_RMP_2M_PAGE;
    }
    return snp_page_state(snp, pa, entry, state);
}

static int debug(AmdPspSnp *snp, uint8_t *buf, bool encrypts)
{
    hwaddr src = ldq_le_p(buf + 8), dst = ldq_le_p(buf + 16);
    g_autofree uint8_t *page = g_malloc(AMD_RMP_PAGE);
    AmdRmpEntry *src_entry, *dst_entry;
    PageState src_state, dst_state;
    SnpGuest *guest;
    int status;

    if ((src | dst) % AMD_RMP_PAGE) {
        return INVALID_PARAM;
    }
    status = snp_find_guest(snp, ldq_le_p(buf), &guest);
    if (!status) {
        status = part_state(snp, src, &src_entry, &src_state);
    }
    if (!status) {
        status = part_state(snp, dst, &dst_entry, &dst_state);
    }
    if (status) {
        return status;
    }
    if (encrypts) {
        if (dst_state != PAGE_PRE_GUEST && dst_state != PAGE_PRE_SWAP) {
            return INVALID_PAGE_STATE;
        }
    } else {
        if (src_state < PAGE_PRE_GUEST || dst_state != PAGE_FIRMWARE) {
            return INVALID_PAGE_STATE;
        }
    }
    if (rmp_asid((encrypts ? dst_entry : src_entry)->state) != guest->asid) {
        return INVALID_PAGE_OWNER;
    }
    if (!(guest->policy & POLICY_DEBUG)) {
        return POLICY_FAILURE;
    }
    if (!guest->asid) {
        return INACTIVE;
    }
    if (!amd_mem_enc_read(src, encrypts ? 0 : guest->asid, page,
                          AMD_RMP_PAGE) ||
        !amd_mem_enc_write(dst, encrypts ? guest->asid : 0, page,
                           AMD_RMP_PAGE)) {
        return INVALID_ADDRESS;
    }
    return SUCCESS;
}

int snp_cmd_dbg_decrypt(AmdPspSnp *snp, uint8_t *buf)
{
    return debug(snp, buf, false);
}

int snp_cmd_dbg_encrypt(AmdPspSnp *snp, uint8_t *buf)
{
    return debug(snp, buf, true);
}
