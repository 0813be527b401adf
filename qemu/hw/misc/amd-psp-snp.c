/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: commands of SNP, for platform and pages
 *
 * They are those of the SEV Secure Nested Paging Firmware ABI, AMD publication
 * 56860, chapter 8.  Each is executed while all CPUs are stopped, so that what
 * it has checked is still so when it changes the RMP.
 *
 * Not modelled: other firmware, and pages that are moved or swapped:
 * DOWNLOAD_FIRMWARE, PAGE_MOVE and the like are UNSUPPORTED.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "hw/boards.h"
#include "amd-psp-snp.h"

#define MAX_SNP_BUFFER      64

#define INIT_EX_RMP         (1u << 0)
#define INIT_EX_LIST        (1u << 1)

#define SHUTDOWN_EX_LEN     8
#define SHUTDOWN_IOMMU      (1u << 0)
#define SHUTDOWN_X86        (1u << 1)

#define STATUS_LEN          32
#define STATUS_MASK_CHIP_ID     (1u << 0)
#define STATUS_MASK_CHIP_KEY    (1u << 1)
#define STATUS_FEATURE_INFO     (1u << 3)

#define FEATURE_INFO_LEN    16
#define FEATURE_EBX_SEV             (1u << 0)
#define FEATURE_ECX_X86_SHUTDOWN    (1u << 1)
/* Guest messages that are answered */
#define FEATURE_1_EAX_CPUID         (1u << 0)
#define FEATURE_1_EAX_KEY           (1u << 1)
#define FEATURE_1_EAX_REPORT        (1u << 2)
#define FEATURE_1_EAX_TSC_INFO      (1u << 8)

#define RANGE_LIST_HEADER   8
#define RANGE_LEN           16
#define MAX_RANGES          255

static bool in_rmp(AmdPspSnp *snp, hwaddr pa)
{
    return pa >= snp->rmp_base && pa <= snp->rmp_end;
}

static PageState entry_state(uint64_t state)
{
    uint64_t gpa = state & RMP_GPA;

    if (!(state & RMP_ASSIGNED)) {
        return state & RMP_IMMUTABLE ? PAGE_HV_FIXED : PAGE_HYPERVISOR;
    }
    if (rmp_asid(state)) {
        if (state & RMP_IMMUTABLE) {
            return state & RMP_VALIDATED ? PAGE_PRE_SWAP : PAGE_PRE_GUEST;
        }
        return state & RMP_VALIDATED ? PAGE_GUEST_VALID : PAGE_GUEST_INVALID;
    }
    if (!(state & RMP_IMMUTABLE)) {
        return PAGE_RECLAIM;
    }
    if (state & RMP_IOMMU) {
        return PAGE_IOMMU;
    }
    if (gpa) {
        return PAGE_INVALID;
    }
    return state & RMP_VMSA ? PAGE_CONTEXT : PAGE_FIRMWARE;
}

int snp_page_state(AmdPspSnp *snp, hwaddr pa, AmdRmpEntry **entry,
                   PageState *state)
{
    if (!snp->initialized) {
        return INVALID_PLATFORM_STATE;
    }
    if (in_rmp(snp, pa)) {
        return INVALID_PARAM;
    }
    *entry = amd_rmp_entry(snp->rmp_base, snp->rmp_end, pa);
    *state = *entry ? entry_state((*entry)->state) : PAGE_DEFAULT;
    return SUCCESS;
}

void snp_set_page(AmdPspSnp *snp, AmdRmpEntry *entry, uint64_t state,
                  uint32_t perms)
{
    amd_rmp_set(entry, state, perms);
    snp->changed = true;
}

int snp_check_writable(AmdPspSnp *snp, hwaddr pa, uint64_t len)
{
    hwaddr page = pa & -AMD_RMP_PAGE;
    AmdRmpEntry *entry;
    PageState state;
    int status;

    if (!len || !amd_mem_enc_is_ram(pa, len)) {
        return INVALID_ADDRESS;
    }
    if (!snp->initialized) {
        return SUCCESS;
    }
    while (page < pa + len) {
        status = snp_page_state(snp, page, &entry, &state);
        if (status) {
            return status;
        }
        if (state != PAGE_FIRMWARE && state != PAGE_DEFAULT) {
            return INVALID_PAGE_STATE;
        }
        page += entry && (entry->state & RMP_2M) ? AMD_RMP_2M_PAGE :
                                                   AMD_RMP_PAGE;
    }
    return SUCCESS;
}

/* A small buffer that has to be in one page */
static int write_in_page(AmdPspSnp *snp, hwaddr pa, const void *buf, size_t len)
{
    int status = snp_check_writable(snp, pa, len);

    if (!status) {
        amd_mem_enc_write(pa, 0, buf, len);
    }
    return status;
}

/* INIT and SHUTDOWN */

static bool same_on_all_cpus(AmdPspSnp *snp)
{
    const uint64_t enabled = SYSCFG_MEM_ENCRYPT | SYSCFG_SNP | SYSCFG_VMPL |
                             SYSCFG_MTRR_FIX_DRAM_MOD;
    CPUX86State *first = &X86_CPU(first_cpu)->env;
    CPUState *cs;

    CPU_FOREACH(cs) {
        CPUX86State *env = &X86_CPU(cs)->env;

        if ((env->amd_syscfg & enabled) != enabled ||
            env->rmp_base != first->rmp_base ||
            env->rmp_end != first->rmp_end) {
            return false;
        }
    }
    snp->rmp_base = first->rmp_base;
    snp->rmp_end = first->rmp_end;
    return true;
}

static bool no_hsave_pa(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (X86_CPU(cs)->env.vm_hsave) {
            return false;
        }
    }
    return true;
}

/* The RMP has to be in RAM, aligned to 1 MiB, and to cover itself. */
static bool rmp_is_usable(AmdPspSnp *snp)
{
    hwaddr len = snp->rmp_end - snp->rmp_base + 1;

    return snp->rmp_base < snp->rmp_end && snp->rmp_base % MiB == 0 &&
           len % MiB == 0 && amd_mem_enc_is_ram(snp->rmp_base, len) &&
           amd_rmp_entry(snp->rmp_base, snp->rmp_end, snp->rmp_end);
}

static void set_range(AmdPspSnp *snp, hwaddr base, uint64_t nr_pages,
                      uint64_t state)
{
    AmdRmpEntry *entry;

    for (; nr_pages; nr_pages--, base += AMD_RMP_PAGE) {
        entry = amd_rmp_entry(snp->rmp_base, snp->rmp_end, base);
        if (!entry) {
            break;
        }
        if (!in_rmp(snp, base)) {
            snp_set_page(snp, entry, state, 0);
        }
    }
}

/* A list of ranges, which has to be in one page */
static int read_ranges(hwaddr pa, uint8_t list[AMD_RMP_PAGE], uint32_t *nr)
{
    size_t left = AMD_RMP_PAGE - pa % AMD_RMP_PAGE;

    if (left < RANGE_LIST_HEADER || !amd_mem_enc_read(pa, 0, list, left)) {
        return INVALID_ADDRESS;
    }
    *nr = ldl_le_p(list);
    if (ldl_le_p(list + 4) || *nr > MAX_RANGES ||
        RANGE_LIST_HEADER + *nr * RANGE_LEN > left) {
        return INVALID_PARAM;
    }
    for (uint32_t i = 0; i < *nr; i++) {
        const uint8_t *range = list + RANGE_LIST_HEADER + i * RANGE_LEN;

        if (ldq_le_p(range) % AMD_RMP_PAGE || ldl_le_p(range + 12)) {
            return INVALID_PARAM;
        }
    }
    return SUCCESS;
}

/* The IOMMU's own pages are for nobody else to write to. */
static void add_iommu_pages(void *opaque, hwaddr pa, hwaddr len)
{
    hwaddr first = pa & -AMD_RMP_PAGE;

    set_range(opaque, first, DIV_ROUND_UP(pa + len - first, AMD_RMP_PAGE),
              RMP_ASSIGNED | RMP_IMMUTABLE | RMP_IOMMU);
}

static void ignore_iommu_pages(void *opaque, hwaddr pa, hwaddr len)
{
}

/* They are to be reclaimed, as other pages of the firmware's are. */
static void drop_iommu_pages(AmdPspSnp *snp)
{
    AmdRmpEntry *entry;

    for (hwaddr pa = 0; ; pa += AMD_RMP_PAGE) {
        entry = amd_rmp_entry(snp->rmp_base, snp->rmp_end, pa);
        if (!entry) {
            break;
        }
        if (entry->state & RMP_IOMMU) {
            snp_set_page(snp, entry, RMP_ASSIGNED, 0);
        }
    }
}

/* What is no RAM cannot be anybody's but the hypervisor's. */
static void configure_rmp(AmdPspSnp *snp, const uint8_t *list, uint32_t nr)
{
    AmdRmpEntry *entry;

    amd_rmp_clear();
    for (hwaddr pa = 0; ; pa += AMD_RMP_PAGE) {
        entry = amd_rmp_entry(snp->rmp_base, snp->rmp_end, pa);
        if (!entry) {
            break;
        }
        if (in_rmp(snp, pa)) {
            snp_set_page(snp, entry, RMP_ASSIGNED | RMP_IMMUTABLE, 0);
        } else if (!amd_mem_enc_is_ram(pa, AMD_RMP_PAGE)) {
            snp_set_page(snp, entry, RMP_IMMUTABLE, 0);
        }
    }
    for (uint32_t i = 0; i < nr; i++) {
        const uint8_t *range = list + RANGE_LIST_HEADER + i * RANGE_LEN;

        set_range(snp, ldq_le_p(range), ldl_le_p(range + 8), RMP_IMMUTABLE);
    }
}

static int init(AmdPspSnp *snp, bool init_rmp, bool has_list, hwaddr list_pa)
{
    g_autofree uint8_t *list = g_malloc(AMD_RMP_PAGE);
    uint32_t nr = 0;
    int status;

    if (snp->initialized || snp->sev->initialized) {
        return INVALID_PLATFORM_STATE;
    }
    if (!init_rmp && !snp->rmp_initialized) {
        return RMP_INIT_REQUIRED;
    }
    if (!init_rmp && has_list) {
        return INVALID_PARAM;
    }
    if (!same_on_all_cpus(snp) || !rmp_is_usable(snp) ||
        !amd_rmp_iommu_pages(ignore_iommu_pages, NULL)) {
        return INVALID_CONFIG;
    }
    if (init_rmp) {
        if (!no_hsave_pa()) {
            return INVALID_CONFIG;
        }
        status = has_list ? read_ranges(list_pa, list, &nr) : SUCCESS;
        if (status) {
            return status;
        }
        configure_rmp(snp, list, nr);
        amd_rmp_iommu_pages(add_iommu_pages, snp);
        amd_rmp_enforce_iommu(snp->rmp_base, snp->rmp_end);
        snp->rmp_initialized = true;
    }
    memset(snp->sev->dirty, true, AMD_MEM_ENC_NR_ASIDS + 1);
    snp->initialized = true;
    return SUCCESS;
}

static int cmd_init(AmdPspSnp *snp, uint8_t *buf)
{
    return init(snp, true, false, 0);
}

/* flags, reserved, list of ranges */
static int cmd_init_ex(AmdPspSnp *snp, uint8_t *buf)
{
    uint32_t flags = ldl_le_p(buf);

    if ((flags & ~(INIT_EX_RMP | INIT_EX_LIST)) || ldl_le_p(buf + 4) ||
        !buffer_is_zero(buf + 16, MAX_SNP_BUFFER - 16)) {
        return INVALID_PARAM;
    }
    return init(snp, flags & INIT_EX_RMP, flags & INIT_EX_LIST,
                ldq_le_p(buf + 8));
}

static bool any_asid_in_use(AmdPspSnp *snp)
{
    for (int asid = 1; asid <= AMD_MEM_ENC_NR_ASIDS; asid++) {
        if (snp->sev->dirty[asid] || amd_psp_snp_owns_asid(snp, asid)) {
            return true;
        }
    }
    return false;
}

/* Secure Nested Paging ends on all CPUs, and with it what the RMP says. */
static void disable_snp(AmdPspSnp *snp)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        X86_CPU(cs)->env.amd_syscfg &= ~SYSCFG_SNP;
    }
    amd_rmp_clear();
    snp->changed = true;
}

static int do_shutdown(AmdPspSnp *snp, const uint8_t *buf)
{
    uint32_t flags = buf ? ldl_le_p(buf + 4) : 0;

    if (snp->sev->initialized) {
        return INVALID_PLATFORM_STATE;
    }
    if (!snp->initialized) {
        return SUCCESS;
    }
    if (any_asid_in_use(snp)) {
        return DF_FLUSH_REQUIRED;
    }
    if (buf && (ldl_le_p(buf) != SHUTDOWN_EX_LEN ||
                (flags & ~(SHUTDOWN_IOMMU | SHUTDOWN_X86)) ||
                ((flags & SHUTDOWN_X86) && !(flags & SHUTDOWN_IOMMU)))) {
        return INVALID_PARAM;
    }
    snp_forget_guests(snp);
    snp->initialized = false;
    if (flags & SHUTDOWN_IOMMU) {
        snp->rmp_initialized = false;
        amd_rmp_enforce_iommu(0, 0);
        drop_iommu_pages(snp);
    }
    if (flags & SHUTDOWN_X86) {
        disable_snp(snp);
    }
    return SUCCESS;
}

static int cmd_shutdown(AmdPspSnp *snp, uint8_t *buf)
{
    return do_shutdown(snp, NULL);
}

static int cmd_shutdown_ex(AmdPspSnp *snp, uint8_t *buf)
{
    return do_shutdown(snp, buf);
}

/* The platform */

static int cmd_platform_status(AmdPspSnp *snp, uint8_t *buf)
{
    uint8_t out[STATUS_LEN] = { API_MAJOR, API_MINOR, snp->initialized,
                                snp->rmp_initialized };
    hwaddr pa = ldq_le_p(buf);

    if (pa % AMD_RMP_PAGE + STATUS_LEN > AMD_RMP_PAGE) {
        return INVALID_PARAM;
    }
    stl_le_p(out + 4, API_BUILD);
    stl_le_p(out + 8, STATUS_FEATURE_INFO |
             (snp->mask_chip_id ? STATUS_MASK_CHIP_ID : 0) |
             (snp->mask_chip_key ? STATUS_MASK_CHIP_KEY : 0));
    stl_le_p(out + 12, snp_nr_guests(snp));
    stq_le_p(out + 16, SNP_TCB);
    stq_le_p(out + 24, snp_reported_tcb(snp));
    return write_in_page(snp, pa, out, sizeof(out));
}

static int cmd_df_flush(AmdPspSnp *snp, uint8_t *buf)
{
    if (amd_mem_enc_needs_wbinvd()) {
        return WBINVD_REQUIRED;
    }
    memset(snp->sev->dirty, false, AMD_MEM_ENC_NR_ASIDS + 1);
    return SUCCESS;
}

/* length, subfunction, where to write what there is */
static int cmd_feature_info(AmdPspSnp *snp, uint8_t *buf)
{
    uint8_t out[FEATURE_INFO_LEN] = { 0 };
    hwaddr pa = ldq_le_p(buf + 8);

    if (ldl_le_p(buf) != 16 || ldl_le_p(buf + 4) > 1) {
        return INVALID_PARAM;
    }
    if (pa % 4 || pa % AMD_RMP_PAGE + FEATURE_INFO_LEN > AMD_RMP_PAGE) {
        return INVALID_ADDRESS;
    }
    if (ldl_le_p(buf + 4) == 0) {
        stl_le_p(out, 1);
        stl_le_p(out + 4, FEATURE_EBX_SEV);
        stl_le_p(out + 8, FEATURE_ECX_X86_SHUTDOWN);
    } else {
        stl_le_p(out, FEATURE_1_EAX_CPUID | FEATURE_1_EAX_KEY |
                 FEATURE_1_EAX_REPORT | FEATURE_1_EAX_TSC_INFO);
    }
    return write_in_page(snp, pa, out, sizeof(out));
}

/* What reports are to give: version of the TCB, 0: that of now; masks */
static int cmd_config(AmdPspSnp *snp, uint8_t *buf)
{
    uint64_t tcb = ldq_le_p(buf);
    uint32_t flags = ldl_le_p(buf + 8);

    if ((flags & ~3) || !buffer_is_zero(buf + 12, MAX_SNP_BUFFER - 12) ||
        !snp_tcb_has_been(tcb)) {
        return INVALID_PARAM;
    }
    snp->reported_tcb = tcb;
    snp->mask_chip_id = flags & 1;
    snp->mask_chip_key = flags & 2;
    return SUCCESS;
}

/*
 * There is no other firmware that this one could replace for good, but what
 * SNP_CONFIG has set ends.
 */
static int cmd_commit(AmdPspSnp *snp, uint8_t *buf)
{
    if (ldl_le_p(buf) != 4) {
        return INVALID_PARAM;
    }
    snp->reported_tcb = 0;
    return SUCCESS;
}

static int cmd_unsupported(AmdPspSnp *snp, uint8_t *buf)
{
    return UNSUPPORTED;
}

/* Pages */

/* Pages of the firmware's become the hypervisor's, for ever. */
static int cmd_page_set_state(AmdPspSnp *snp, uint8_t *buf)
{
    g_autofree uint8_t *list = g_malloc(AMD_RMP_PAGE);
    uint32_t nr = 0;
    int status;

    if (ldl_le_p(buf) != 16) {
        return INVALID_LENGTH;
    }
    if (ldl_le_p(buf + 4) || ldq_le_p(buf + 8) % AMD_RMP_PAGE) {
        return INVALID_PARAM;
    }
    if (!snp->initialized) {
        return INVALID_PLATFORM_STATE;
    }
    status = read_ranges(ldq_le_p(buf + 8), list, &nr);
    for (uint32_t i = 0; i < nr && !status; i++) {
        const uint8_t *range = list + RANGE_LIST_HEADER + i * RANGE_LEN;
        hwaddr pa = ldq_le_p(range);

        for (uint32_t page = 0; page < ldl_le_p(range + 8); page++) {
            AmdRmpEntry *entry;
            PageState state;

            status = snp_page_state(snp, pa, &entry, &state);
            if (status) {
                return INVALID_ADDRESS;
            }
            if (state != PAGE_FIRMWARE || (entry->state & RMP_2M)) {
                return INVALID_PAGE_STATE;
            }
            pa += AMD_RMP_PAGE;
        }
    }
    for (uint32_t i = 0; i < nr && !status; i++) {
        const uint8_t *range = list + RANGE_LIST_HEADER + i * RANGE_LEN;

        set_range(snp, ldq_le_p(range), ldl_le_p(range + 8), RMP_IMMUTABLE);
    }
    return status;
}

/* An address, whose bit 0 says that the page is of 2 MiB */
static int cmd_page_reclaim(AmdPspSnp *snp, uint8_t *buf)
{
    uint64_t arg = ldq_le_p(buf);
    hwaddr pa = arg & -AMD_RMP_PAGE;
    bool large = arg & 1;
    AmdRmpEntry *entry;
    PageState state;
    int status;

    if (arg & 0xffe) {
        return INVALID_PARAM;
    }
    if (!snp->initialized) {
        return INVALID_PLATFORM_STATE;
    }
    if (!amd_mem_enc_is_ram(pa, large ? AMD_RMP_2M_PAGE : AMD_RMP_PAGE)) {
        return INVALID_ADDRESS;
    }
    status = snp_page_state(snp, pa, &entry, &state);
    if (status) {
        return status;
    }
    if (!entry) {
        return INVALID_PAGE_STATE;
    }
    if (large != !!(entry->state & RMP_2M)) {
        return INVALID_PAGE_SIZE;
    }
    if (!(entry->state & RMP_IMMUTABLE)) {
        return SUCCESS;
    }
    switch (state) {
    case PAGE_FIRMWARE:
    case PAGE_PRE_GUEST:
    case PAGE_PRE_SWAP:
        snp_set_page(snp, entry, entry->state & ~RMP_IMMUTABLE, entry->perms);
        return SUCCESS;
    default:
        return INVALID_PAGE_STATE;
    }
}

/* 512 pages that are one in all but name */
static bool can_unsmash(const AmdRmpEntry *entry)
{
    uint64_t first = entry->state;

    if ((first & (RMP_IN_USE | RMP_2M | RMP_VMSA)) ||
        !(first & RMP_IMMUTABLE) || !rmp_asid(first) ||
        (first & RMP_GPA) % AMD_RMP_2M_PAGE) {
        return false;
    }
    for (int i = 1; i < AMD_RMP_2M_PAGE / AMD_RMP_PAGE; i++) {
        if (entry[i].state != first + i * AMD_RMP_PAGE ||
            entry[i].perms != entry->perms) {
            return false;
        }
    }
    return true;
}

static int cmd_page_unsmash(AmdPspSnp *snp, uint8_t *buf)
{
    hwaddr pa = ldq_le_p(buf);
    AmdRmpEntry *entry, *last;
    PageState state;
    int status;

    if (pa % AMD_RMP_2M_PAGE) {
        return INVALID_PARAM;
    }
    status = snp_page_state(snp, pa, &entry, &state);
    if (status) {
        return status;
    }
    if (pa < snp->rmp_base && pa + AMD_RMP_2M_PAGE > snp->rmp_base) {
        return INVALID_ADDRESS;
    }
    last = amd_rmp_entry(snp->rmp_base, snp->rmp_end,
                         pa + AMD_RMP_2M_PAGE - 1);
    if (!entry || !last || !can_unsmash(entry)) {
        return INVALID_PAGE_STATE;
    }
    amd_rmp_unsmash(entry);
    snp->changed = true;
    return SUCCESS;
}

static const struct {
    int cmd;
    size_t len;     /* of its buffer, which is only read */
    SnpCommand *run;
} commands[] = {
    { 0x081, 0,  cmd_init },
    { 0x082, 0,  cmd_shutdown },
    { 0x083, 8,  cmd_platform_status },
    { 0x084, 0,  cmd_df_flush },
    { 0x085, 64, cmd_init_ex },
    { 0x086, 8,  cmd_shutdown_ex },
    { 0x090, 8,  snp_cmd_decommission },
    { 0x091, 12, snp_cmd_activate },
    { 0x092, 16, snp_cmd_guest_status },
    { 0x093, 8,  snp_cmd_gctx_create },
    { 0x094, 24, snp_cmd_guest_request },
    { 0x095, 32, snp_cmd_activate_ex },
    { 0x0a0, 48, snp_cmd_launch_start },
    { 0x0a1, 32, snp_cmd_launch_update },
    { 0x0a2, 64, snp_cmd_launch_finish },
    { 0x0b0, 24, snp_cmd_dbg_decrypt },
    { 0x0b1, 24, snp_cmd_dbg_encrypt },
    { 0x0c0, 8,  cmd_unsupported },     /* PAGE_SWAP_OUT */
    { 0x0c1, 8,  cmd_unsupported },     /* PAGE_SWAP_IN */
    { 0x0c2, 8,  cmd_unsupported },     /* PAGE_MOVE */
    { 0x0c3, 8,  cmd_unsupported },     /* PAGE_MD_INIT */
    { 0x0c6, 16, cmd_page_set_state },
    { 0x0c7, 8,  cmd_page_reclaim },
    { 0x0c8, 8,  cmd_page_unsmash },
    { 0x0c9, 64, cmd_config },
    { 0x0ca, 24, cmd_unsupported },     /* DOWNLOAD_FIRMWARE_EX */
    { 0x0cb, 4,  cmd_commit },
    { 0x0cd, 16, cmd_unsupported },     /* VLEK_LOAD */
    { 0x0ce, 16, cmd_feature_info },
};

int amd_psp_snp_execute(AmdPspSnp *snp, const AmdPspSev *sev, int cmd,
                        hwaddr addr)
{
    uint8_t buf[MAX_SNP_BUFFER] = { 0 };
    int i = 0, status;

    while (i < ARRAY_SIZE(commands) && commands[i].cmd != cmd) {
        i++;
    }
    if (i == ARRAY_SIZE(commands) || !amd_rmp_present()) {
        return INVALID_COMMAND;
    }
    if (sev->failure) {
        return sev->failure;
    }
    snp->sev = sev;
    snp->changed = false;
    if (!commands[i].len || amd_mem_enc_read(addr, 0, buf, commands[i].len)) {
        status = commands[i].run(snp, buf);
    } else {
        status = INVALID_ADDRESS;
    }
    if (snp->changed) {
        amd_flush_tlbs();
    }
    snp->sev = NULL;
    return status;
}

/* Commands of SEV */

/* Where in its buffer a command says what it is to write to, and how much */
static const struct {
    int cmd;
    int addr, len;
} outputs[] = {
    { 0x001, 8, 16 },                   /* INIT: memory that is trusted */
    { 0x006, 0, 8 },                    /* PEK_CSR */
    { 0x008, 0, 8 }, { 0x008, 16, 24 }, /* PDH_CERT_EXPORT */
    { 0x00c, 0, 8 },                    /* GET_ID */
    { 0x00d, 8, 16 }, { 0x00d, 24, 32 }, /* INIT_EX: the same, and keys */
    { 0x031, 8, 16 },                   /* LAUNCH_UPDATE_DATA */
    { 0x032, 8, 16 },                   /* LAUNCH_UPDATE_VMSA */
    { 0x033, 8, 16 },                   /* LAUNCH_MEASURE */
    { 0x034, 24, 32 },                  /* LAUNCH_SECRET */
    { 0x036, 8, 32 },                   /* ATTESTATION */
    { 0x040, 56, 64 },                  /* SEND_START */
    { 0x041, 8, 16 }, { 0x041, 40, 48 }, /* SEND_UPDATE_DATA */
    { 0x042, 8, 16 }, { 0x042, 40, 48 }, /* SEND_UPDATE_VMSA */
    { 0x051, 24, 32 },                  /* RECEIVE_UPDATE_DATA */
    { 0x052, 24, 32 },                  /* RECEIVE_UPDATE_VMSA */
    { 0x060, 16, 24 },                  /* DBG_DECRYPT */
    { 0x061, 16, 24 },                  /* DBG_ENCRYPT */
};

/* Whether a command's result is in its buffer */
static bool writes_buffer(int cmd)
{
    switch (cmd) {
    case 0x004:             /* PLATFORM_STATUS */
    case 0x006:             /* PEK_CSR */
    case 0x008:             /* PDH_CERT_EXPORT */
    case 0x00c:             /* GET_ID */
    case 0x023:             /* GUEST_STATUS */
    case 0x030:             /* LAUNCH_START */
    case 0x033:             /* LAUNCH_MEASURE */
    case 0x036:             /* ATTESTATION */
    case 0x040 ... 0x042:   /* SEND_START, _UPDATE_DATA, _UPDATE_VMSA */
    case 0x050:             /* RECEIVE_START */
        return true;
    default:
        return false;
    }
}

int amd_psp_snp_check_legacy(AmdPspSnp *snp, int cmd, hwaddr addr,
                             const uint8_t *buf, size_t len)
{
    hwaddr output;
    int status = SUCCESS;

    if (!snp->initialized) {
        return SUCCESS;
    }
    if (writes_buffer(cmd)) {
        status = snp_check_writable(snp, addr, len);
    }
    for (int i = 0; i < ARRAY_SIZE(outputs) && !status; i++) {
        if (outputs[i].cmd == cmd && ldl_le_p(buf + outputs[i].len)) {
            /* A guest's memory may be named with its C-bit. */
            output = ldq_le_p(buf + outputs[i].addr) &
                     ~BIT_ULL(AMD_MEM_ENC_CBIT);
            status = snp_check_writable(snp, output,
                                        ldl_le_p(buf + outputs[i].len));
        }
    }
    return status;
}

void amd_psp_snp_end_legacy(AmdPspSnp *snp, int cmd, hwaddr addr)
{
    AmdRmpEntry *entry;
    PageState state;

    if (writes_buffer(cmd) &&
        snp_page_state(snp, addr, &entry, &state) == SUCCESS &&
        state == PAGE_FIRMWARE) {
        amd_rmp_set(entry, entry->state & ~RMP_IMMUTABLE, entry->perms);
        amd_flush_tlbs();
    }
}

AmdPspSnp *amd_psp_snp_new(const uint8_t *secret, const uint8_t *id)
{
    AmdPspSnp *snp = g_new0(AmdPspSnp, 1);

    snp->chip_secret = secret;
    snp->chip_id = id;
    snp->guests = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
                                        g_free);
    return snp;
}

void amd_psp_snp_reset(AmdPspSnp *snp)
{
    snp_forget_guests(snp);
    snp->initialized = snp->rmp_initialized = false;
    snp->rmp_base = snp->rmp_end = 0;
    snp->mask_chip_id = snp->mask_chip_key = false;
    snp->reported_tcb = 0;
}
