/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX, for TCG: the module's own state
 *
 * On hardware the module keeps this in memory that it encrypts: PAMT, TDR,
 * TDCS, TDVPS and secure EPT pages.  Nobody but the module can read it, and its
 * format is not defined.  Here it is beside that memory, which is taken from
 * the host all the same (see tdx_memory_take()).
 *
 * Leaves of several CPUs run side by side.  What they change is guarded by
 * locks of the objects, as in the ABI specification ("Concurrency
 * Restrictions"): a lock that is not free is never waited for, the leaf says
 * OPERAND_BUSY.
 *
 * Source: Intel TDX Module ABI Specification (348551); what it leaves open is
 * as in Intel's published module.
 */
#ifndef HW_I386_TDX_INTERNAL_H
#define HW_I386_TDX_INTERNAL_H

#include "crypto/hash.h"
#include "hw/i386/tdx-module.h"
#include "tdx-status.h"

#define TDX_PAGE_SHIFT      12
#define TDX_PAGE            (1ULL << TDX_PAGE_SHIFT)
#define TDX_1G              (1ULL << 30)
#define TDX_KEYID_MASK \
    (((1ULL << TDX_KEYID_BITS) - 1) << TDX_KEYID_SHIFT)

#define TDX_MAX_TDMRS       64
#define TDX_MAX_RESERVED    16
#define TDX_PAMT_ENTRY_SIZE 16
#define TDX_TDCS_PAGES      4
#define TDX_TDVPS_PAGES     6
#define TDX_MAX_VCPUS       576
#define TDX_NR_RTMRS        4
#define TDX_HASH_SIZE       48
#define TDX_NR_CPUID        64      /* what a TD has of CPUID at most */

/* Locks: 0 is free, -1 exclusive, any other number shared by so many. */

typedef int TdxLock;

typedef struct TdxHolds {
    unsigned nr;
    struct TdxHeld {
        TdxLock *lock;
        bool exclusive;
    } held[16];
} TdxHolds;

/* A leaf that is being executed, and the locks that it has taken */
typedef struct TdxCall {
    X86CPU *cpu;
    target_ulong *regs;
    unsigned leaf, version;
    bool entered;               /* the CPU is in a TD now */
    TdxHolds holds;
} TdxCall;

bool tdx_hold(TdxHolds *holds, TdxLock *lock, bool exclusive);
void tdx_release_holds(TdxHolds *holds);
void tdx_unhold(TdxHolds *holds, TdxLock *lock);

/* Pages: an entry of the PAMT */

typedef enum TdxPageType {
    TDX_PT_NDA = 0,             /* not assigned: the host's */
    TDX_PT_RSVD = 1,            /* never to be assigned */
    TDX_PT_REG = 3,             /* private memory of a TD */
    TDX_PT_TDR = 4,
    TDX_PT_TDCX = 5,
    TDX_PT_TDVPR = 6,
    TDX_PT_EPT = 8,
} TdxPageType;

typedef struct TdxPage {
    TdxLock lock;
    TdxPageType type;
    hwaddr owner;               /* TDR of the TD that it belongs to */
    uint64_t bepoch;            /* epoch of the TD when it was blocked */
    void *object;               /* TdxTd, TdxVp or TdxSept */
} TdxPage;

typedef enum TdxLevel {
    TDX_4K = 0,
    TDX_2M = 1,
    TDX_1G_LEVEL = 2,
} TdxLevel;

static inline uint64_t tdx_level_size(unsigned level)
{
    return TDX_PAGE << (9 * level);
}

/* Secure EPT */

typedef struct TdxSept {
    uint64_t entry[512];
} TdxSept;

/* TD */

typedef enum TdxLifecycle {
    TDX_TD_HKID_ASSIGNED = 0,
    TDX_TD_KEYS_CONFIGURED = 1,
    TDX_TD_BLOCKED = 2,
    TDX_TD_TEARDOWN = 3,
} TdxLifecycle;

typedef enum TdxOpState {
    TDX_OP_UNINITIALIZED = 0,
    TDX_OP_INITIALIZED = 1,
    TDX_OP_RUNNABLE = 2,
} TdxOpState;

typedef struct TdxCpuidValue {
    uint32_t leaf, subleaf;     /* subleaf TDX_NO_SUBLEAF: it has none */
    uint32_t regs[4];
} TdxCpuidValue;

#define TDX_NO_SUBLEAF      UINT32_MAX

typedef struct TdxTd {
    hwaddr tdr;
    /* TDR */
    bool fatal;
    TdxLifecycle lifecycle;
    unsigned hkid;
    uint64_t pkg_config_bitmap;
    unsigned nr_tdcx;
    hwaddr tdcx_pa[TDX_TDCS_PAGES];
    uint64_t chldcnt;           /* pages of 4K that belong to it */
    uint64_t uuid[4];
    /* TDCS */
    TdxOpState op_state;
    TdxLock op_state_lock, sept_lock, epoch_lock, rtmr_lock;
    uint64_t attributes, xfam, config_flags, td_ctls, notify_enables;
    uint64_t eptp;
    uint32_t max_vcpus, num_vcpus, num_assoc_vcpus;
    bool gpaw;
    bool topology_enum_configured;
    uint16_t tsc_frequency;
    uint64_t tsc_offset, tsc_multiplier;
    uint64_t td_epoch;
    uint32_t refcount[2];       /* vCPUs that run: of even and odd epochs */
    uint32_t *x2apic_ids;
    TdxSept *sept_root;
    unsigned nr_cpuid;
    TdxCpuidValue cpuid[TDX_NR_CPUID];
    /* Measurements */
    QCryptoHash *mrtd_context;
    uint8_t mrtd[TDX_HASH_SIZE];
    uint8_t mrconfigid[TDX_HASH_SIZE];
    uint8_t mrowner[TDX_HASH_SIZE];
    uint8_t mrownerconfig[TDX_HASH_SIZE];
    uint8_t rtmr[TDX_NR_RTMRS][TDX_HASH_SIZE];
} TdxTd;

/* x87 and SSE are always there. */
#define TDX_XFAM_FIXED1             3

#define TDX_ATTR_DEBUG              (1ULL << 0)
#define TDX_ATTR_SEPT_VE_DISABLE    (1ULL << 28)
#define TDX_ATTR_PERFMON            (1ULL << 63)

#define TDX_CONFIG_GPAW             (1ULL << 0)
#define TDX_CONFIG_FLEXIBLE_PENDING_VE (1ULL << 1)
#define TDX_CONFIG_NO_RBP_MOD       (1ULL << 2)

#define TDX_CTLS_PENDING_VE_DISABLE (1ULL << 0)
#define TDX_CTLS_ENUM_TOPOLOGY      (1ULL << 1)
#define TDX_CTLS_VIRT_CPUID2        (1ULL << 2)
#define TDX_CTLS_LOCK               (1ULL << 63)
#define TDX_CTLS_WRITABLE           (TDX_CTLS_PENDING_VE_DISABLE | \
                                     TDX_CTLS_ENUM_TOPOLOGY | \
                                     TDX_CTLS_VIRT_CPUID2 | TDX_CTLS_LOCK)

/* vCPU */

typedef enum TdxVpState {
    TDX_VP_UNINITIALIZED = 0,
    TDX_VP_READY = 1,
    TDX_VP_ACTIVE = 2,
    TDX_VP_DISABLED = 4,
} TdxVpState;

#define TDX_NO_LP           (-1)

typedef struct TdxVp {
    TdxVcpu vcpu;
    hwaddr tdvpr;
    TdxTd *td;
    TdxVpState state;
    unsigned nr_pages;
    hwaddr page_pa[TDX_TDVPS_PAGES];
    uint32_t index, x2apic_id;
    int assoc_lp;               /* the CPU that may have cached its state */
    uint64_t epoch;             /* of the TD, when it was entered last */
    bool last_exit_tdvmcall;
    uint64_t last_exit_tsc;
    uint32_t secondary_ctls, notify_window;
    bool cpuid_supervisor_ve, cpuid_user_ve;
    TdxHolds holds;             /* from TD entry to TD exit */
} TdxVp;

static inline TdxVp *tdx_vp(TdxVcpu *vcpu)
{
    return container_of(vcpu, TdxVp, vcpu);
}

/* Key ids: the key ownership table */

typedef enum TdxKeyState {
    TDX_KEY_FREE = 0,
    TDX_KEY_ASSIGNED,
    TDX_KEY_FLUSHED,            /* blocked; not all caches are written back */
    TDX_KEY_RESERVED,           /* the module's own */
} TdxKeyState;

typedef struct TdxKey {
    TdxKeyState state;
    bool configured;
    uint64_t wbinvd_bitmap;     /* packages yet to write their caches back */
} TdxKey;

/* TDH.PHYMEM.CACHE.WB of a package */
typedef struct TdxWbcache {
    TdxLock lock;
    unsigned next;              /* part of the cache, 0: none is under way */
    uint64_t hkids;             /* the key ids that it is for */
} TdxWbcache;

/* The module */

typedef enum TdxSysState {
    TDX_SYS_STATE_INIT_PENDING = 0,
    TDX_SYS_STATE_INIT_DONE,
    TDX_SYS_STATE_CONFIG_DONE,
    TDX_SYS_STATE_READY,
    TDX_SYS_STATE_SHUTDOWN,
} TdxSysState;

typedef struct TdxCmr {
    hwaddr base, size;
} TdxCmr;

#define TDX_MAX_PKGS        64
#define TDX_NR_LEAVES       70

typedef struct TdxModule {
    X86MachineState *x86ms;
    TdxLock lock;
    TdxSysState state;
    unsigned nr_cmrs;
    TdxCmr cmr[2];
    bool *lp_initialized;       /* for each CPU */
    bool (*fault_injected)[TDX_NR_LEAVES];
    unsigned nr_initialized_lps;
    unsigned hkid;              /* that of the module itself */
    uint64_t pkg_config_bitmap;
    TdxLock kot_lock;
    TdxKey key[TDX_LAST_KEYID + 1];
    TdxWbcache wbcache[TDX_MAX_PKGS];
} TdxModule;

extern TdxModule tdx_module;

/* tdx-module.c */
unsigned tdx_cpu_pkg(X86CPU *cpu);
unsigned tdx_nr_pkgs(void);
bool tdx_interrupt_pending(X86CPU *cpu);
bool tdx_hpa_valid(hwaddr pa);
bool tdx_hkid_private(uint64_t hkid);
/* Whether it may be an address in the host's memory */
bool tdx_shared_valid(hwaddr pa, uint64_t align);
/* Copy an operand that is there. */
uint64_t tdx_read_shared(hwaddr pa, uint64_t align, unsigned operand,
                         void *buf, size_t len);
uint64_t tdh_sys_init(TdxCall *call);
uint64_t tdh_sys_lp_init(TdxCall *call);
uint64_t tdh_sys_key_config(TdxCall *call);
uint64_t tdh_sys_disable(TdxCall *call);

/* tdx-fault.c: faults that are injected */
void tdx_fault_reset(void);
bool tdx_fault(TdxCall *call, uint64_t *status);

/* tdx-tdmr.c */
void tdx_tdmr_reset(void);
/* Give all pages back; false if some are left for another call. */
bool tdx_tdmr_release(void);
/* Lock a page, which must be of this type and size. */
uint64_t tdx_page_get(TdxCall *call, hwaddr pa, unsigned operand,
                      unsigned level, TdxPageType type, bool exclusive,
                      TdxPage **page);
/* The entry of a page that is known to be there */
TdxPage *tdx_page_entry(hwaddr pa, unsigned level);
void tdx_page_assign(TdxPage *page, hwaddr pa, unsigned level,
                     TdxPageType type, TdxTd *td, unsigned hkid, void *object);
void tdx_page_release(TdxPage *page, hwaddr pa, unsigned level, TdxTd *td);
uint64_t tdh_sys_config(TdxCall *call);
uint64_t tdh_sys_tdmr_init(TdxCall *call);
uint64_t tdh_phymem_page_rdmd(TdxCall *call);
uint64_t tdh_phymem_page_reclaim(TdxCall *call);
uint64_t tdh_phymem_page_wbinvd(TdxCall *call);

/* tdx-td.c */
void tdx_keys_reset(void);
void tdx_keys_drop(void);
bool tdx_key_generate(unsigned hkid);
void tdx_td_free(TdxTd *td);
uint64_t tdx_td_get(TdxCall *call, hwaddr tdr, unsigned operand,
                    bool exclusive, TdxTd **td);
/* Whether the leaf may be called in the state that the TD is in */
uint64_t tdx_td_check(TdxCall *call, TdxTd *td, bool lock_op_state);
uint64_t tdh_mng_create(TdxCall *call);
uint64_t tdh_mng_key_config(TdxCall *call);
uint64_t tdh_mng_addcx(TdxCall *call);
uint64_t tdh_mng_init(TdxCall *call);
uint64_t tdh_mng_vpflushdone(TdxCall *call);
uint64_t tdh_mng_key_freeid(TdxCall *call);
uint64_t tdh_phymem_cache_wb(TdxCall *call);

/* tdx-vp.c */
void tdx_vp_free(TdxVp *vp);
uint64_t tdx_vp_associate(TdxCall *call, TdxVp *vp, bool allow_disabled);
/* Lock a vCPU and its TD, and check the TD's state. */
uint64_t tdx_vp_get(TdxCall *call, hwaddr tdvpr, unsigned operand,
                    bool exclusive, bool td_exclusive, TdxVp **vp);
uint64_t tdh_vp_create(TdxCall *call);
uint64_t tdh_vp_addcx(TdxCall *call);
uint64_t tdh_vp_init(TdxCall *call);
uint64_t tdh_vp_flush(TdxCall *call);
uint64_t tdh_vp_enter(TdxCall *call);

/* tdx-sept.c */
void tdx_sept_init(TdxSept *sept);
bool tdx_gpa_private(const TdxTd *td, uint64_t gpa);
/* What a private GPA is mapped to; false: it is not mapped. */
bool tdx_sept_lookup(TdxTd *td, uint64_t gpa, hwaddr *pa);
/* TDX_DONE with @status, or TDX_EXIT with @event */
TdxAction tdx_sept_accept(TdxTd *td, uint64_t gpa, unsigned level,
                          uint64_t *status, TdxEvent *event);
uint64_t tdh_mem_sept_add(TdxCall *call);
uint64_t tdh_mem_page_add(TdxCall *call);
uint64_t tdh_mem_page_aug(TdxCall *call);
uint64_t tdh_mem_range_block(TdxCall *call);
uint64_t tdh_mem_track(TdxCall *call);
uint64_t tdh_mem_page_remove(TdxCall *call);

/* tdx-cpuid.c */
uint64_t tdx_xfam_supported(X86CPU *cpu);
unsigned tdx_nr_cpuid_configs(void);
void tdx_cpuid_config(unsigned i, uint32_t *leaf, uint32_t *subleaf,
                      uint32_t regs[4]);
/* Set what the TD has of CPUID; false: @bad is configured wrongly. */
bool tdx_cpuid_init(X86CPU *cpu, TdxTd *td, const uint32_t (*config)[4],
                    uint64_t *bad);
const TdxCpuidValue *tdx_cpuid_find(const TdxTd *td, uint32_t leaf,
                                    uint32_t subleaf, bool exact);

/* tdx-metadata.c */
uint64_t tdh_sys_rd(TdxCall *call);
uint64_t tdh_mng_rd(TdxCall *call);
uint64_t tdh_vp_rd(TdxCall *call);
uint64_t tdh_vp_wr(TdxCall *call);
uint64_t tdg_vm_rd(TdxCall *call, TdxVp *vp);
uint64_t tdg_vm_wr(TdxCall *call, TdxVp *vp);
uint64_t tdg_vp_rd(TdxCall *call, TdxVp *vp);
uint64_t tdg_vp_wr(TdxCall *call, TdxVp *vp);
uint64_t tdg_sys_rd(TdxCall *call);

/* tdx-report.c */
void tdx_report_reset(void);
void tdx_measure_init(TdxTd *td);
void tdx_measure_page_add(TdxTd *td, uint64_t gpa);
uint64_t tdh_mr_extend(TdxCall *call);
uint64_t tdh_mr_finalize(TdxCall *call);
void tdx_report(TdxTd *td, const uint8_t reportdata[64], uint8_t report[1024]);
void tdx_rtmr_extend(TdxTd *td, unsigned index,
                     const uint8_t data[TDX_HASH_SIZE]);

#endif
