/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX, for TCG: dispatch of leaves, life of the module and of CPUs
 */
#include "qemu/osdep.h"
#include "qemu/units.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "hw/i386/topology.h"
#include "system/reset.h"
#include "tdx-internal.h"

TdxModule tdx_module;

/* Locks */

static bool try_lock(TdxLock *lock, bool exclusive)
{
    int old = qatomic_read(lock), seen;

    while (exclusive ? old == 0 : old >= 0) {
        seen = qatomic_cmpxchg(lock, old, exclusive ? -1 : old + 1);
        if (seen == old) {
            return true;
        }
        old = seen;
    }
    return false;
}

bool tdx_hold(TdxHolds *holds, TdxLock *lock, bool exclusive)
{
    assert(holds->nr < ARRAY_SIZE(holds->held));
    if (!try_lock(lock, exclusive)) {
        return false;
    }
    holds->held[holds->nr].lock = lock;
    holds->held[holds->nr++].exclusive = exclusive;
    return true;
}

void tdx_release_holds(TdxHolds *holds)
{
    while (holds->nr) {
        holds->nr--;
        if (holds->held[holds->nr].exclusive) {
            qatomic_store_release(holds->held[holds->nr].lock, 0);
        } else {
            qatomic_dec(holds->held[holds->nr].lock);
        }
    }
}

/* Give back one lock before the others. */
void tdx_unhold(TdxHolds *holds, TdxLock *lock)
{
    for (unsigned i = 0; i < holds->nr; i++) {
        if (holds->held[i].lock == lock) {
            TdxHolds one = { 1, { holds->held[i] } };

            holds->held[i] = holds->held[--holds->nr];
            tdx_release_holds(&one);
            return;
        }
    }
}

/* The machine */

unsigned tdx_nr_pkgs(void)
{
    return MIN(MACHINE(tdx_module.x86ms)->smp.sockets, TDX_MAX_PKGS);
}

/* A bit for each package */
static uint64_t all_pkgs(void)
{
    return -1ULL >> (64 - tdx_nr_pkgs());
}

unsigned tdx_cpu_pkg(X86CPU *cpu)
{
    X86CPUTopoIDs ids;

    x86_topo_ids_from_apicid(cpu->apic_id, &cpu->env.topo_info, &ids);
    return ids.pkg_id % tdx_nr_pkgs();
}

/* What makes a leaf that takes long return to the host */
bool tdx_interrupt_pending(X86CPU *cpu)
{
    return qatomic_read(&CPU(cpu)->interrupt_request) &
           (CPU_INTERRUPT_HARD | CPU_INTERRUPT_NMI | CPU_INTERRUPT_SMI);
}

/* An address of a page, without key id */
bool tdx_hpa_valid(hwaddr pa)
{
    return !(pa & (TDX_PAGE - 1)) && !(pa >> TDX_KEYID_SHIFT);
}

bool tdx_hkid_private(uint64_t hkid)
{
    return hkid >= TDX_FIRST_PRIVATE_KEYID && hkid <= TDX_LAST_KEYID;
}

bool tdx_shared_valid(hwaddr pa, uint64_t align)
{
    return !(pa & (align - 1)) && !(pa >> TDX_KEYID_SHIFT);
}

/*
 * Hardware would take a machine check for a page that is not the host's, and
 * nobody could use the module any more.  It is an invalid operand here.
 */
uint64_t tdx_read_shared(hwaddr pa, uint64_t align, unsigned operand,
                         void *buf, size_t len)
{
    if (!tdx_shared_valid(pa, align) || tdx_memory_owner(pa) ||
        !tdx_memory_read(pa, 0, buf, len)) {
        return TDX_OPERAND_INVALID | operand;
    }
    return TDX_SUCCESS;
}

/* TDH.SYS */

uint64_t tdh_sys_init(TdxCall *call)
{
    if (call->regs[R_ECX]) {
        return TDX_OPERAND_INVALID | TDX_OP_RCX;
    }
    if (tdx_module.state != TDX_SYS_STATE_INIT_PENDING) {
        return TDX_SYS_INIT_NOT_PENDING;
    }
    tdx_module.state = TDX_SYS_STATE_INIT_DONE;
    return TDX_SUCCESS;
}

uint64_t tdh_sys_lp_init(TdxCall *call)
{
    bool *initialized = &tdx_module.lp_initialized[CPU(call->cpu)->cpu_index];

    if (tdx_module.state == TDX_SYS_STATE_INIT_PENDING) {
        return TDX_SYS_LP_INIT_NOT_PENDING;
    }
    if (*initialized) {
        return TDX_SYS_LP_INIT_DONE;
    }
    *initialized = true;
    qatomic_inc(&tdx_module.nr_initialized_lps);
    return TDX_SUCCESS;
}

uint64_t tdh_sys_key_config(TdxCall *call)
{
    uint64_t pkg = 1ULL << tdx_cpu_pkg(call->cpu);

    if (tdx_module.state != TDX_SYS_STATE_CONFIG_DONE) {
        return TDX_SYS_KEY_CONFIG_NOT_PENDING;
    }
    if (tdx_module.pkg_config_bitmap & pkg) {
        return TDX_KEY_CONFIGURED;
    }
    if (!tdx_module.pkg_config_bitmap && !tdx_key_generate(tdx_module.hkid)) {
        return TDX_KEY_GENERATION_FAILED;
    }
    tdx_module.pkg_config_bitmap |= pkg;
    if (tdx_module.pkg_config_bitmap == all_pkgs()) {
        qatomic_store_release(&tdx_module.state, TDX_SYS_STATE_READY);
    }
    return TDX_SUCCESS;
}

/*
 * From the first call on, no other leaf is served.  All memory becomes the
 * host's again, in several calls.
 */
uint64_t tdh_sys_disable(TdxCall *call)
{
    qatomic_set(&tdx_module.state, TDX_SYS_STATE_SHUTDOWN);
    return tdx_tdmr_release() ? TDX_SUCCESS : TDX_INTERRUPTED_RESUMABLE;
}

/* Leaves */

#define SYS         (1 << 0)    /* before the module is ready, too */
#define EXCLUSIVE   (1 << 1)    /* with no other leaf beside it */
#define VERSION_1   (1 << 2)
#define FAULTS_INSIDE (1 << 3)  /* it may have done something before it fails */

static const struct {
    uint64_t (*function)(TdxCall *call);
    unsigned flags;
} leaves[TDX_NR_LEAVES] = {
    [0] = { tdh_vp_enter },
    [1] = { tdh_mng_addcx },
    [2] = { tdh_mem_page_add },
    [3] = { tdh_mem_sept_add },
    [4] = { tdh_vp_addcx },
    [6] = { tdh_mem_page_aug },
    [7] = { tdh_mem_range_block },
    [8] = { tdh_mng_key_config },
    [9] = { tdh_mng_create },
    [10] = { tdh_vp_create },
    [11] = { tdh_mng_rd },
    [16] = { tdh_mr_extend },
    [17] = { tdh_mr_finalize },
    [18] = { tdh_vp_flush },
    [19] = { tdh_mng_vpflushdone },
    [20] = { tdh_mng_key_freeid },
    [21] = { tdh_mng_init },
    [22] = { tdh_vp_init, VERSION_1 },
    [24] = { tdh_phymem_page_rdmd },
    [26] = { tdh_vp_rd },
    [28] = { tdh_phymem_page_reclaim },
    [29] = { tdh_mem_page_remove },
    [31] = { tdh_sys_key_config, SYS | EXCLUSIVE },
    [33] = { tdh_sys_init, SYS | EXCLUSIVE },
    [34] = { tdh_sys_rd, SYS },
    [35] = { tdh_sys_lp_init, SYS },
    [36] = { tdh_sys_tdmr_init },
    [38] = { tdh_mem_track },
    [40] = { tdh_phymem_cache_wb, FAULTS_INSIDE },
    [41] = { tdh_phymem_page_wbinvd },
    [43] = { tdh_vp_wr },
    [45] = { tdh_sys_config, SYS | EXCLUSIVE },
    [69] = { tdh_sys_disable, SYS | EXCLUSIVE },
};

static uint64_t dispatch(TdxCall *call, uint64_t rax)
{
    unsigned flags, leaf = rax & 0xffff, version = (rax >> 16) & 0xff;
    uint64_t status;

    if (rax >> 24 || leaf >= ARRAY_SIZE(leaves) || !leaves[leaf].function) {
        return TDX_OPERAND_INVALID | TDX_OP_RAX;
    }
    flags = leaves[leaf].flags;
    if (version > (flags & VERSION_1 ? 1 : 0)) {
        return TDX_OPERAND_INVALID | TDX_OP_RAX;
    }
    if (!tdx_hold(&call->holds, &tdx_module.lock, flags & EXCLUSIVE)) {
        return TDX_SYS_BUSY;
    }
    /* The leaf that has brought this about may be continued. */
    if (tdx_module.state == TDX_SYS_STATE_SHUTDOWN &&
        leaves[leaf].function != tdh_sys_disable) {
        return TDX_SYS_SHUTDOWN;
    }
    if (tdx_module.state != TDX_SYS_STATE_READY && !(flags & SYS)) {
        return TDX_SYS_NOT_READY;
    }
    call->leaf = leaf;
    call->version = version;
    if (!(flags & FAULTS_INSIDE) && tdx_fault(call, &status)) {
        return status;
    }
    return leaves[leaf].function(call);
}

void tdx_seamcall(X86CPU *cpu)
{
    TdxCall call = { .cpu = cpu, .regs = cpu->env.regs };
    uint64_t status = dispatch(&call, call.regs[R_EAX]);

    /* After a TD entry, the registers are the TD's. */
    if (!call.entered) {
        call.regs[R_EAX] = status;
        tdx_release_holds(&call.holds);
    }
}

/* The machine */

bool tdx_present(void)
{
    return tdx_module.x86ms;
}

void tdx_module_reset(void)
{
    unsigned nr_cpus = MACHINE(tdx_module.x86ms)->smp.max_cpus;

    tdx_tdmr_reset();
    tdx_keys_reset();
    tdx_report_reset();
    tdx_fault_reset();
    tdx_module.lock = 0;
    tdx_module.state = TDX_SYS_STATE_INIT_PENDING;
    tdx_module.nr_initialized_lps = 0;
    tdx_module.pkg_config_bitmap = 0;
    memset(tdx_module.lp_initialized, 0, nr_cpus * sizeof(bool));
}

/* What can become TDX memory: all RAM but the first MiB, as on hardware. */
static void find_cmrs(X86MachineState *x86ms)
{
    TdxCmr *cmr = tdx_module.cmr;

    cmr[0].base = MiB;
    cmr[0].size = x86ms->below_4g_mem_size - MiB;
    tdx_module.nr_cmrs = 1;
    if (x86ms->above_4g_mem_size) {
        cmr[1].base = x86ms->above_4g_mem_start;
        cmr[1].size = x86ms->above_4g_mem_size;
        tdx_module.nr_cmrs = 2;
    }
}

void tdx_module_init(X86MachineState *x86ms)
{
    unsigned nr_cpus = MACHINE(x86ms)->smp.max_cpus;

    tdx_module.x86ms = x86ms;
    tdx_module.lp_initialized = g_new0(bool, nr_cpus);
    tdx_module.fault_injected = g_malloc0_n(nr_cpus, TDX_NR_LEAVES);
    find_cmrs(x86ms);
    tdx_module_reset();
}
