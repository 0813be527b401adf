/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX, for TCG: life of a TD and its keys (TDH.MNG, TDH.PHYMEM.CACHE)
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/guest-random.h"
#include "qemu/host-utils.h"
#include "qemu/timer.h"
#include "hw/core/cpu.h"
#include "system/cpu-timers.h"
#include "tdx-internal.h"

/* Which of the pages of TDCS is the root of the secure EPT */
#define SEPT_ROOT_PAGE      1

/* In how many parts a cache is written back */
#define CACHE_PARTS         4

#define ATTRIBUTES_VALID    (TDX_ATTR_DEBUG | TDX_ATTR_SEPT_VE_DISABLE)
#define CONFIG_FLAGS_VALID  (TDX_CONFIG_GPAW | TDX_CONFIG_NO_RBP_MOD | \
                             TDX_CONFIG_FLEXIBLE_PENDING_VE)

#define EPTP_WB             6
#define EPTP_LEVELS         0x38
#define EPTP_4_LEVELS       (3 << 3)
#define EPTP_5_LEVELS       (4 << 3)

#define TSC_UNIT_HZ         25000000ULL
#define TSC_UNITS_MIN       4
#define TSC_UNITS_MAX       400

QEMU_BUILD_BUG_ON(TDX_LAST_KEYID >= 64);

/* TD_PARAMS, as the host has it in memory */
typedef struct TdParams {
    uint64_t attributes, xfam;
    uint16_t max_vcpus;
    uint8_t num_l2_vms, msr_config_ctls, reserved0[4];
    uint64_t eptp_controls, config_flags;
    uint16_t tsc_frequency;
    uint8_t reserved1[38];
    uint8_t mrconfigid[TDX_HASH_SIZE];
    uint8_t mrowner[TDX_HASH_SIZE];
    uint8_t mrownerconfig[TDX_HASH_SIZE];
    uint64_t arch_capabilities;
    uint8_t reserved2[24];
    uint32_t cpuid[48][4];
} TdParams;

#define TD_PARAMS_ALIGN     1024

QEMU_BUILD_BUG_ON(sizeof(TdParams) != TD_PARAMS_ALIGN);

/* A TD, found and locked, and whether it can do this */

uint64_t tdx_td_get(TdxCall *call, hwaddr tdr, unsigned operand,
                    bool exclusive, TdxTd **td)
{
    TdxPage *page;
    uint64_t status = tdx_page_get(call, tdr, operand, TDX_4K, TDX_PT_TDR,
                                   exclusive, &page);

    if (!status) {
        *td = page->object;
    }
    return status;
}

#define UNINITIALIZED   (1 << TDX_OP_UNINITIALIZED)
#define INITIALIZED     (1 << TDX_OP_INITIALIZED)
#define RUNNABLE        (1 << TDX_OP_RUNNABLE)

/* In which states of a TD a leaf may be called (ABI, "OP_STATE") */
static const uint8_t op_states[] = {
    [0] = RUNNABLE,                         /* VP.ENTER */
    [1] = UNINITIALIZED,                    /* MNG.ADDCX */
    [2] = INITIALIZED,                      /* MEM.PAGE.ADD */
    [3] = INITIALIZED | RUNNABLE,           /* MEM.SEPT.ADD */
    [4] = INITIALIZED,                      /* VP.ADDCX */
    [6] = INITIALIZED | RUNNABLE,           /* MEM.PAGE.AUG */
    [7] = INITIALIZED | RUNNABLE,           /* MEM.RANGE.BLOCK */
    [10] = INITIALIZED,                     /* VP.CREATE */
    [11] = INITIALIZED | RUNNABLE,          /* MNG.RD */
    [16] = INITIALIZED,                     /* MR.EXTEND */
    [17] = INITIALIZED,                     /* MR.FINALIZE */
    [21] = UNINITIALIZED,                   /* MNG.INIT */
    [22] = INITIALIZED,                     /* VP.INIT */
    [26] = INITIALIZED | RUNNABLE,          /* VP.RD */
    [29] = INITIALIZED | RUNNABLE,          /* MEM.PAGE.REMOVE */
    [38] = INITIALIZED | RUNNABLE,          /* MEM.TRACK */
    [43] = INITIALIZED | RUNNABLE,          /* VP.WR */
};

uint64_t tdx_td_check(TdxCall *call, TdxTd *td, bool lock_op_state)
{
    if (qatomic_read(&td->fatal)) {
        return TDX_TD_FATAL;
    }
    if (td->lifecycle != TDX_TD_KEYS_CONFIGURED) {
        return TDX_TD_KEYS_NOT_CONFIGURED;
    }
    if (td->nr_tdcx < TDX_TDCS_PAGES) {
        return TDX_TDCS_NOT_ALLOCATED;
    }
    if (lock_op_state && !tdx_hold(&call->holds, &td->op_state_lock, false)) {
        return TDX_OPERAND_BUSY | TDX_OP_OP_STATE;
    }
    if (!(op_states[call->leaf] & (1 << td->op_state))) {
        return TDX_OP_STATE_INCORRECT;
    }
    return TDX_SUCCESS;
}

void tdx_td_free(TdxTd *td)
{
    if (!td) {
        return;
    }
    qcrypto_hash_free(td->mrtd_context);
    g_free(td->x2apic_ids);
    g_free(td->sept_root);
    g_free(td);
}

/* TDH.MNG */

static bool lock_kot(TdxCall *call, bool exclusive)
{
    return tdx_hold(&call->holds, &tdx_module.kot_lock, exclusive);
}

uint64_t tdh_mng_create(TdxCall *call)
{
    hwaddr tdr = call->regs[R_ECX];
    uint64_t hkid = call->regs[R_EDX];
    uint64_t uuid[4], status;
    TdxPage *page;
    TdxTd *td;

    if (!tdx_hkid_private(hkid)) {
        return TDX_OPERAND_INVALID | TDX_OP_RDX;
    }
    status = tdx_page_get(call, tdr, TDX_OP_RCX, TDX_4K, TDX_PT_NDA, true,
                          &page);
    if (status) {
        return status;
    }
    if (!lock_kot(call, true)) {
        return TDX_OPERAND_BUSY | TDX_OP_KOT;
    }
    if (tdx_module.key[hkid].state != TDX_KEY_FREE) {
        return TDX_HKID_NOT_FREE;
    }
    if (qemu_guest_getrandom(uuid, sizeof(uuid), NULL)) {
        return TDX_RND_NO_ENTROPY;
    }
    td = g_new0(TdxTd, 1);
    td->tdr = tdr;
    td->hkid = hkid;
    td->lifecycle = TDX_TD_HKID_ASSIGNED;
    memcpy(td->uuid, uuid, sizeof(uuid));
    tdx_module.key[hkid].state = TDX_KEY_ASSIGNED;
    tdx_page_assign(page, tdr, TDX_4K, TDX_PT_TDR, td, tdx_module.hkid, td);
    return TDX_SUCCESS;
}

uint64_t tdh_mng_key_config(TdxCall *call)
{
    uint64_t pkg = 1ULL << tdx_cpu_pkg(call->cpu);
    TdxTd *td;
    uint64_t status = tdx_td_get(call, call->regs[R_ECX], TDX_OP_RCX, true,
                                 &td);

    if (status) {
        return status;
    }
    if (td->fatal) {
        return TDX_TD_FATAL;
    }
    if (td->lifecycle != TDX_TD_HKID_ASSIGNED) {
        return TDX_LIFECYCLE_STATE_INCORRECT;
    }
    if (td->pkg_config_bitmap & pkg) {
        return TDX_KEY_CONFIGURED;
    }
    if (!td->pkg_config_bitmap) {
        if (!tdx_key_generate(td->hkid)) {
            return TDX_KEY_GENERATION_FAILED;
        }
    }
    td->pkg_config_bitmap |= pkg;
    if (td->pkg_config_bitmap == tdx_module.pkg_config_bitmap) {
        td->lifecycle = TDX_TD_KEYS_CONFIGURED;
    }
    return TDX_SUCCESS;
}

uint64_t tdh_mng_addcx(TdxCall *call)
{
    hwaddr pa = call->regs[R_ECX];
    TdxPage *page;
    TdxTd *td;
    uint64_t status = tdx_td_get(call, call->regs[R_EDX], TDX_OP_RDX, true,
                                 &td);

    if (status) {
        return status;
    }
    if (td->fatal) {
        return TDX_TD_FATAL;
    }
    if (td->lifecycle != TDX_TD_KEYS_CONFIGURED) {
        return TDX_TD_KEYS_NOT_CONFIGURED;
    }
    if (td->nr_tdcx == TDX_TDCS_PAGES) {
        return TDX_TDCX_NUM_INCORRECT;
    }
    status = tdx_page_get(call, pa, TDX_OP_RCX, TDX_4K, TDX_PT_NDA, true,
                          &page);
    if (status) {
        return status;
    }
    tdx_page_assign(page, pa, TDX_4K, TDX_PT_TDCX, td, td->hkid, NULL);
    td->tdcx_pa[td->nr_tdcx++] = pa;
    return TDX_SUCCESS;
}

/* 5 levels are for processors that can walk as many. */
static bool has_5_levels(X86CPU *cpu)
{
    const uint64_t *features = cpu->env.features;

    return features[FEAT_VMX_EPT_VPID_CAPS] & MSR_VMX_EPT_PAGE_WALK_LENGTH_5 &&
           features[FEAT_7_0_ECX] & CPUID_7_0_ECX_LA57;
}

static uint64_t set_eptp(TdxCall *call, TdxTd *td, uint64_t controls)
{
    uint64_t levels = controls & EPTP_LEVELS;

    if ((controls & ~EPTP_LEVELS) != EPTP_WB ||
        (levels != EPTP_4_LEVELS && levels != EPTP_5_LEVELS) ||
        (levels == EPTP_5_LEVELS && !has_5_levels(call->cpu)) ||
        (td->gpaw && levels != EPTP_5_LEVELS)) {
        return TDX_OPERAND_INVALID | TDX_OP_EPTP_CONTROLS;
    }
    td->eptp = td->tdcx_pa[SEPT_ROOT_PAGE] | controls;
    return TDX_SUCCESS;
}

/* a * b / c, at most what 64 bits have */
static uint64_t muldiv(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t low, high;

    mulu64(&low, &high, a, b);
    if (!c) {
        return UINT64_MAX;
    }
    divu128(&low, &high, c);
    return high ? UINT64_MAX : low;
}

/* The processor's own rate: what it is set to, or as it has been so far */
static uint64_t tsc_hz(const CPUX86State *env)
{
    if (env->tsc_khz) {
        return env->tsc_khz * 1000ULL;
    }
    return muldiv(cpus_get_elapsed_ticks(), NANOSECONDS_PER_SECOND,
                  qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
}

/* The TSC of the TD counts from 0, at its own frequency. */
static void set_tsc(TdxCall *call, TdxTd *td, uint16_t units)
{
    CPUX86State *env = &call->cpu->env;
    uint64_t high, low, now = cpu_get_tsc(env) + env->tsc_offset;
    uint64_t native = tsc_hz(env);

    td->tsc_frequency = units;
    td->tsc_multiplier = muldiv(units * TSC_UNIT_HZ, 1ULL << 48, native);
    mulu64(&low, &high, now, td->tsc_multiplier);
    td->tsc_offset = -(high << 16 | low >> 48);
}

/* Check TD_PARAMS in the order of their fields. */
static uint64_t set_params(TdxCall *call, TdxTd *td, const TdParams *params)
{
    uint64_t status, supported = tdx_xfam_supported(call->cpu);
    uint64_t flags = le64_to_cpu(params->config_flags);
    uint16_t units = le16_to_cpu(params->tsc_frequency);

    td->attributes = le64_to_cpu(params->attributes);
    if (td->attributes & ~ATTRIBUTES_VALID) {
        return TDX_OPERAND_INVALID | TDX_OP_ATTRIBUTES;
    }
    td->td_ctls = td->attributes & TDX_ATTR_SEPT_VE_DISABLE ?
                  TDX_CTLS_PENDING_VE_DISABLE : 0;
    td->xfam = le64_to_cpu(params->xfam);
    if (td->xfam & ~supported || (td->xfam & TDX_XFAM_FIXED1) !=
        TDX_XFAM_FIXED1) {
        return TDX_OPERAND_INVALID | TDX_OP_XFAM;
    }
    td->max_vcpus = le16_to_cpu(params->max_vcpus);
    if (!td->max_vcpus || td->max_vcpus > TDX_MAX_VCPUS) {
        return TDX_OPERAND_INVALID | TDX_OP_MAX_VCPUS;
    }
    if (params->num_l2_vms) {
        return TDX_OPERAND_INVALID | TDX_OP_NUM_L2_VMS;
    }
    if (params->msr_config_ctls || !buffer_is_zero(params->reserved0, 4)) {
        return TDX_OPERAND_INVALID | TDX_OP_RDX;
    }
    if (flags & ~CONFIG_FLAGS_VALID) {
        return TDX_OPERAND_INVALID | TDX_OP_EXEC_CONTROLS;
    }
    td->config_flags = flags;
    td->gpaw = flags & TDX_CONFIG_GPAW;
    status = set_eptp(call, td, le64_to_cpu(params->eptp_controls));
    if (status) {
        return status;
    }
    if (units < TSC_UNITS_MIN || units > TSC_UNITS_MAX) {
        return TDX_OPERAND_INVALID | TDX_OP_TSC_FREQUENCY;
    }
    set_tsc(call, td, units);
    if (!buffer_is_zero(params->reserved1, sizeof(params->reserved1)) ||
        params->arch_capabilities ||
        !buffer_is_zero(params->reserved2, sizeof(params->reserved2))) {
        return TDX_OPERAND_INVALID | TDX_OP_RDX;
    }
    memcpy(td->mrconfigid, params->mrconfigid, TDX_HASH_SIZE);
    memcpy(td->mrowner, params->mrowner, TDX_HASH_SIZE);
    memcpy(td->mrownerconfig, params->mrownerconfig, TDX_HASH_SIZE);
    return TDX_SUCCESS;
}

/* Each configurable leaf is at the index that TDH.SYS.RD gives it. */
static uint64_t set_cpuid(TdxCall *call, TdxTd *td, TdParams *params)
{
    unsigned nr = tdx_nr_cpuid_configs();
    uint64_t bad;

    for (int i = 0; i < ARRAY_SIZE(params->cpuid); i++) {
        for (int j = 0; j < 4; j++) {
            params->cpuid[i][j] = le32_to_cpu(params->cpuid[i][j]);
        }
    }
    if (!tdx_cpuid_init(call->cpu, td, params->cpuid, &bad)) {
        call->regs[R_ECX] = bad;
        return TDX_OPERAND_INVALID | TDX_OP_CPUID_CONFIG;
    }
    if (!buffer_is_zero(params->cpuid[nr],
                  (ARRAY_SIZE(params->cpuid) - nr) * sizeof(*params->cpuid))) {
        return TDX_OPERAND_INVALID | TDX_OP_RDX;
    }
    return TDX_SUCCESS;
}

uint64_t tdh_mng_init(TdxCall *call)
{
    hwaddr tdr = call->regs[R_ECX], params_pa = call->regs[R_EDX];
    TdParams params;
    uint64_t status;
    TdxTd *td;

    call->regs[R_ECX] = 0;
    status = tdx_td_get(call, tdr, TDX_OP_RCX, true, &td);
    if (!status) {
        status = tdx_td_check(call, td, false);
    }
    if (!status) {
        status = tdx_read_shared(params_pa, TD_PARAMS_ALIGN, TDX_OP_RDX,
                                 &params, sizeof(params));
    }
    if (!status) {
        status = set_params(call, td, &params);
    }
    if (!status) {
        status = set_cpuid(call, td, &params);
    }
    if (status) {
        return status;
    }
    td->td_epoch = 1;
    td->topology_enum_configured = true;
    td->x2apic_ids = g_new0(uint32_t, td->max_vcpus);
    td->sept_root = g_new(TdxSept, 1);
    tdx_sept_init(td->sept_root);
    tdx_measure_init(td);
    td->op_state = TDX_OP_INITIALIZED;
    return TDX_SUCCESS;
}

/* Keys: assigned, flushed (blocked), free */

/* Packages have the same memory here, so that one key does for all. */
bool tdx_key_generate(unsigned hkid)
{
    uint8_t key[16];

    if (qemu_guest_getrandom(key, sizeof(key), NULL)) {
        return false;
    }
    tdx_memory_set_key(hkid, key);
    tdx_module.key[hkid].configured = true;
    return true;
}

static void key_drop(unsigned hkid)
{
    if (tdx_module.key[hkid].configured) {
        tdx_memory_drop_key(hkid);
        tdx_module.key[hkid].configured = false;
    }
}

uint64_t tdh_mng_vpflushdone(TdxCall *call)
{
    TdxTd *td;
    TdxKey *key;
    uint64_t status = tdx_td_get(call, call->regs[R_ECX], TDX_OP_RCX, true,
                                 &td);

    if (status) {
        return status;
    }
    if (!lock_kot(call, true)) {
        return TDX_OPERAND_BUSY | TDX_OP_KOT;
    }
    if (td->lifecycle != TDX_TD_HKID_ASSIGNED &&
        td->lifecycle != TDX_TD_KEYS_CONFIGURED) {
        return TDX_LIFECYCLE_STATE_INCORRECT;
    }
    if (td->num_assoc_vcpus) {
        return TDX_FLUSHVP_NOT_DONE;
    }
    key = &tdx_module.key[td->hkid];
    key->wbinvd_bitmap = tdx_module.pkg_config_bitmap;
    key->state = TDX_KEY_FLUSHED;
    td->lifecycle = TDX_TD_BLOCKED;
    return TDX_SUCCESS;
}

/* The caches of all CPUs of a package are written back. */
static void pkg_wbinvd(unsigned pkg)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (tdx_cpu_pkg(X86_CPU(cs)) == pkg) {
            tdx_memory_wbinvd(X86_CPU(cs));
        }
    }
}

uint64_t tdh_phymem_cache_wb(TdxCall *call)
{
    uint64_t resume = call->regs[R_ECX];
    unsigned pkg = tdx_cpu_pkg(call->cpu);
    TdxWbcache *wb = &tdx_module.wbcache[pkg];
    uint64_t status;

    if (resume > 1) {
        return TDX_OPERAND_INVALID | TDX_OP_RCX;
    }
    if (!tdx_hold(&call->holds, &wb->lock, true)) {
        return TDX_OPERAND_BUSY | TDX_OP_WBCACHE;
    }
    if (!lock_kot(call, false)) {
        return TDX_OPERAND_BUSY | TDX_OP_KOT;
    }
    if (resume && !wb->next) {
        return TDX_WBCACHE_RESUME_ERROR;
    }
    if (!resume) {
        wb->next = 0;
        wb->hkids = 0;
        for (unsigned i = TDX_FIRST_PRIVATE_KEYID; i <= TDX_LAST_KEYID; i++) {
            if (tdx_module.key[i].state == TDX_KEY_FLUSHED) {
                wb->hkids |= 1ULL << i;
            }
        }
        if (!wb->hkids) {
            return TDX_NO_HKID_READY_TO_WBCACHE;
        }
    }
    while (++wb->next < CACHE_PARTS) {
        if (tdx_interrupt_pending(call->cpu) || tdx_fault(call, &status)) {
            return TDX_INTERRUPTED_RESUMABLE;
        }
    }
    wb->next = 0;
    pkg_wbinvd(pkg);
    for (unsigned i = TDX_FIRST_PRIVATE_KEYID; i <= TDX_LAST_KEYID; i++) {
        if (wb->hkids & 1ULL << i) {
            qatomic_and(&tdx_module.key[i].wbinvd_bitmap, ~(1ULL << pkg));
        }
    }
    return TDX_SUCCESS;
}

uint64_t tdh_mng_key_freeid(TdxCall *call)
{
    TdxTd *td;
    uint64_t status = tdx_td_get(call, call->regs[R_ECX], TDX_OP_RCX, true,
                                 &td);

    if (status) {
        return status;
    }
    if (td->lifecycle != TDX_TD_BLOCKED) {
        return TDX_LIFECYCLE_STATE_INCORRECT;
    }
    if (!lock_kot(call, true)) {
        return TDX_OPERAND_BUSY | TDX_OP_KOT;
    }
    if (tdx_module.key[td->hkid].wbinvd_bitmap) {
        return TDX_WBCACHE_NOT_COMPLETE;
    }
    key_drop(td->hkid);
    tdx_module.key[td->hkid].state = TDX_KEY_FREE;
    td->lifecycle = TDX_TD_TEARDOWN;
    return TDX_SUCCESS;
}

void tdx_keys_reset(void)
{
    tdx_module.kot_lock = 0;
    memset(tdx_module.key, 0, sizeof(tdx_module.key));
    memset(tdx_module.wbcache, 0, sizeof(tdx_module.wbcache));
}

/* The keys of TDs that nobody has torn down, and the module's own */
void tdx_keys_drop(void)
{
    for (unsigned i = TDX_FIRST_PRIVATE_KEYID; i <= TDX_LAST_KEYID; i++) {
        key_drop(i);
    }
    tdx_keys_reset();
}
