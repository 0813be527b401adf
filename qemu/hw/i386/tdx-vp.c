/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX, for TCG: life of a vCPU of a TD (TDH.VP)
 */
#include "qemu/osdep.h"
#include "qemu/memalign.h"
#include "hw/core/cpu.h"
#include "tdx-internal.h"

/* TDH.VP.ENTER: the flags are for what there is not: L2 VMs, trap-like exits */
#define ENTER_FLAGS         0xfff0000000000fffULL

/* Pin-based controls: interrupts and NMIs exit, NMIs are virtual */
#define PIN_CTLS            0x3f

#define VECTOR_MC           18
#define INTR_INFO_VECTOR    0xff
#define INTR_INFO_TYPE      0x700
#define INTR_TYPE_EXCEPTION 0x300

/* What of an EPT violation's qualification the host does not see */
#define EPT_QUAL_HIDDEN     0x1f80

void tdx_vp_free(TdxVp *vp)
{
    qemu_vfree(vp);
}

/* The TD that a page belongs to; the caller has locked the page. */
static uint64_t owner_get(TdxCall *call, const TdxPage *page, bool exclusive,
                          TdxTd **td)
{
    TdxPage *tdr = tdx_page_entry(page->owner, TDX_4K);

    if (!tdx_hold(&call->holds, &tdr->lock, exclusive)) {
        return TDX_OPERAND_BUSY | TDX_OP_TDR;
    }
    *td = tdr->object;
    return TDX_SUCCESS;
}

static uint64_t tdvpr_get(TdxCall *call, hwaddr tdvpr, unsigned operand,
                          bool exclusive, bool td_exclusive, TdxVp **vp)
{
    TdxPage *page;
    TdxTd *td;
    uint64_t status = tdx_page_get(call, tdvpr, operand, TDX_4K, TDX_PT_TDVPR,
                                   exclusive, &page);

    if (!status) {
        status = owner_get(call, page, td_exclusive, &td);
    }
    if (!status) {
        *vp = page->object;
    }
    return status;
}

uint64_t tdx_vp_get(TdxCall *call, hwaddr tdvpr, unsigned operand,
                    bool exclusive, bool td_exclusive, TdxVp **vp)
{
    uint64_t status = tdvpr_get(call, tdvpr, operand, exclusive, td_exclusive,
                                vp);

    if (!status) {
        status = tdx_td_check(call, (*vp)->td, true);
    }
    if (!status && (*vp)->nr_pages < TDX_TDVPS_PAGES) {
        status = TDX_TDCX_NUM_INCORRECT;
    }
    return status;
}

/* The state of a vCPU may be cached by one CPU at a time. */
uint64_t tdx_vp_associate(TdxCall *call, TdxVp *vp, bool allow_disabled)
{
    int lp = CPU(call->cpu)->cpu_index, old;

    if (vp->state != TDX_VP_READY && vp->state != TDX_VP_ACTIVE &&
        !(allow_disabled && vp->state == TDX_VP_DISABLED)) {
        return TDX_VCPU_STATE_INCORRECT | vp->state;
    }
    old = qatomic_cmpxchg(&vp->assoc_lp, TDX_NO_LP, lp);
    if (old == TDX_NO_LP) {
        qatomic_inc(&vp->td->num_assoc_vcpus);
    } else if (old != lp) {
        return TDX_VCPU_ASSOCIATED;
    }
    return TDX_SUCCESS;
}

uint64_t tdh_vp_create(TdxCall *call)
{
    hwaddr tdvpr = call->regs[R_ECX];
    TdxPage *page;
    TdxTd *td;
    TdxVp *vp;
    uint64_t status = tdx_td_get(call, call->regs[R_EDX], TDX_OP_RDX, false,
                                 &td);

    if (!status) {
        status = tdx_td_check(call, td, true);
    }
    if (!status) {
        status = tdx_page_get(call, tdvpr, TDX_OP_RCX, TDX_4K, TDX_PT_NDA,
                              true, &page);
    }
    if (status) {
        return status;
    }
    /* It has vectors, which must be aligned. */
    vp = qemu_memalign(64, sizeof(*vp));
    memset(vp, 0, sizeof(*vp));
    vp->tdvpr = tdvpr;
    vp->td = td;
    vp->assoc_lp = TDX_NO_LP;
    vp->page_pa[vp->nr_pages++] = tdvpr;
    tdx_page_assign(page, tdvpr, TDX_4K, TDX_PT_TDVPR, td, td->hkid, vp);
    return TDX_SUCCESS;
}

uint64_t tdh_vp_addcx(TdxCall *call)
{
    hwaddr pa = call->regs[R_ECX];
    TdxPage *page;
    TdxVp *vp;
    uint64_t status = tdvpr_get(call, call->regs[R_EDX], TDX_OP_RDX, true,
                                false, &vp);

    if (!status) {
        status = tdx_td_check(call, vp->td, true);
    }
    if (status) {
        return status;
    }
    if (vp->state != TDX_VP_UNINITIALIZED) {
        return TDX_VCPU_STATE_INCORRECT | vp->state;
    }
    if (vp->nr_pages == TDX_TDVPS_PAGES) {
        return TDX_TDCX_NUM_INCORRECT;
    }
    status = tdx_page_get(call, pa, TDX_OP_RCX, TDX_4K, TDX_PT_NDA, true,
                          &page);
    if (status) {
        return status;
    }
    tdx_page_assign(page, pa, TDX_4K, TDX_PT_TDCX, vp->td, vp->td->hkid, NULL);
    vp->page_pa[vp->nr_pages++] = pa;
    return TDX_SUCCESS;
}

/* Give the vCPU an x2APIC id that no other has.  The TD is locked. */
static uint64_t set_x2apic_id(TdxTd *td, uint32_t index, uint64_t id)
{
    if (id > UINT32_MAX) {
        return TDX_OPERAND_INVALID | TDX_OP_R8;
    }
    for (uint32_t i = 0; i < index; i++) {
        if (td->x2apic_ids[i] == id) {
            return TDX_X2APIC_ID_NOT_UNIQUE | id;
        }
    }
    td->x2apic_ids[index] = id;
    return TDX_SUCCESS;
}

static void init_vcpu(TdxCall *call, TdxVp *vp, uint64_t rcx)
{
    const TdxCpuidValue *cpuid_1 = tdx_cpuid_find(vp->td, 1, 0, false);
    TdxTd *td = vp->td;

    vp->vcpu.shared_bit = td->gpaw ? 51 : 47;
    vp->vcpu.ept_levels = ((td->eptp >> 3) & 7) + 1;
    vp->vcpu.hkid = td->hkid;
    vp->vcpu.xfam = td->xfam;
    vp->vcpu.attributes = td->attributes;
    vp->vcpu.tsc_offset = td->tsc_offset;
    vp->vcpu.tsc_multiplier = td->tsc_multiplier;
    vp->vcpu.pin_ctls = PIN_CTLS;
    vp->x2apic_id = td->x2apic_ids[vp->index];
    tdx_vcpu_init(&vp->vcpu, rcx, vp->index, cpuid_1->regs[0]);
}

/* Version 0 has no operand for the x2APIC id. */
uint64_t tdh_vp_init(TdxCall *call)
{
    CPUX86State *env = &call->cpu->env;
    uint64_t rcx = call->regs[R_EDX], id = call->regs[8];
    uint32_t index;
    TdxVp *vp;
    uint64_t status = tdx_vp_get(call, call->regs[R_ECX], TDX_OP_RCX, true,
                                 call->version > 0, &vp);

    if (status) {
        return status;
    }
    if (vp->state != TDX_VP_UNINITIALIZED) {
        return TDX_VCPU_STATE_INCORRECT | vp->state;
    }
    index = qatomic_fetch_inc(&vp->td->num_vcpus);
    if (index >= vp->td->max_vcpus) {
        status = TDX_MAX_VCPUS_EXCEEDED;
    } else if (call->version) {
        status = set_x2apic_id(vp->td, index, id);
    } else {
        vp->td->x2apic_ids[index] = index;
        qatomic_set(&vp->td->topology_enum_configured, false);
    }
    if (status) {
        qatomic_dec(&vp->td->num_vcpus);
        return status;
    }
    vp->index = index;
    vp->last_exit_tsc = cpu_get_tsc(env) + env->tsc_offset;
    init_vcpu(call, vp, rcx);
    vp->state = TDX_VP_READY;
    return tdx_vp_associate(call, vp, false);
}

uint64_t tdh_vp_flush(TdxCall *call)
{
    TdxVp *vp;
    uint64_t status = tdvpr_get(call, call->regs[R_ECX], TDX_OP_RCX, true,
                                false, &vp);

    if (status) {
        return status;
    }
    if (vp->td->lifecycle != TDX_TD_KEYS_CONFIGURED) {
        return TDX_TD_KEYS_NOT_CONFIGURED;
    }
    if (vp->nr_pages < TDX_TDVPS_PAGES) {
        return TDX_TDCX_NUM_INCORRECT;
    }
    if (vp->assoc_lp != CPU(call->cpu)->cpu_index) {
        return TDX_VCPU_NOT_ASSOCIATED;
    }
    vp->assoc_lp = TDX_NO_LP;
    qatomic_dec(&vp->td->num_assoc_vcpus);
    return TDX_SUCCESS;
}

/* TD entry */

/*
 * The vCPU runs in the epoch of now.  It has no translations of an older one:
 * the CPU's TLB is empty after a TD entry.
 */
static uint64_t enter_epoch(TdxCall *call, TdxVp *vp)
{
    TdxTd *td = vp->td;

    if (!tdx_hold(&call->holds, &td->epoch_lock, false)) {
        return TDX_OPERAND_BUSY | TDX_OP_TD_EPOCH;
    }
    vp->epoch = td->td_epoch;
    qatomic_inc(&td->refcount[vp->epoch & 1]);
    tdx_unhold(&call->holds, &td->epoch_lock);
    return TDX_SUCCESS;
}

/* The registers that the TD has asked for by TDG.VP.VMCALL: a bit for each */
static uint32_t take_vmcall_results(TdxCall *call, TdxVp *vp)
{
    uint64_t *regs = vp->vcpu.state.regs;
    uint64_t control = regs[R_ECX];

    for (int i = R_EDX; i < CPU_NB_REGS; i++) {
        if (control & 1 << i) {
            regs[i] = call->regs[i];
        }
    }
    regs[R_EAX] = TDX_SUCCESS;
    return (control >> 16) & 0xffff;
}

uint64_t tdh_vp_enter(TdxCall *call)
{
    CPUX86State *env = &call->cpu->env;
    hwaddr tdvpr = call->regs[R_ECX];
    uint32_t xmm = 0;
    TdxVp *vp;
    uint64_t status;

    if (tdvpr & ENTER_FLAGS) {
        return TDX_OPERAND_INVALID | TDX_OP_RCX;
    }
    status = tdx_vp_get(call, tdvpr, TDX_OP_RCX, false, false, &vp);
    if (!status) {
        status = tdx_vp_associate(call, vp, false);
    }
    if (status) {
        return status;
    }
    if ((int64_t)(cpu_get_tsc(env) + env->tsc_offset - vp->last_exit_tsc) < 0) {
        return TDX_TSC_ROLLBACK;
    }
    status = enter_epoch(call, vp);
    if (status) {
        return status;
    }
    if (vp->last_exit_tdvmcall) {
        xmm = take_vmcall_results(call, vp);
    }
    tdx_unhold(&call->holds, &vp->td->op_state_lock);
    vp->holds = call->holds;
    vp->state = TDX_VP_ACTIVE;
    call->entered = true;
    tdx_cpu_enter(call->cpu, &vp->vcpu, xmm);
    return TDX_SUCCESS;
}

/* TD exit */

static bool is_machine_check(const TdxEvent *event)
{
    return event->reason == TDX_REASON_EXCEPTION_NMI &&
           (event->intr_info & INTR_INFO_TYPE) == INTR_TYPE_EXCEPTION &&
           (event->intr_info & INTR_INFO_VECTOR) == VECTOR_MC;
}

/*
 * A machine check in a TD is memory that has lost its integrity: the TD never
 * runs again.  Nor does a vCPU after a triple fault.
 */
static uint64_t exit_status(TdxVp *vp, const TdxEvent *event)
{
    if (is_machine_check(event) || qatomic_read(&vp->td->fatal)) {
        qatomic_set(&vp->td->fatal, true);
        vp->state = TDX_VP_DISABLED;
        return TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE;
    }
    if (event->reason == TDX_REASON_TRIPLE_FAULT) {
        vp->state = TDX_VP_DISABLED;
        return TDX_NON_RECOVERABLE_VCPU;
    }
    vp->state = TDX_VP_READY;
    return TDX_SUCCESS;
}

static bool is_ept_event(const TdxEvent *event)
{
    return event->reason == TDX_REASON_EPT_VIOLATION ||
           event->reason == TDX_REASON_EPT_MISCONFIG;
}

/* TDG.VP.VMCALL: the registers that the TD hands over, and no other */
static void pass_vmcall(TdxVp *vp, target_ulong *regs)
{
    const uint64_t *guest = vp->vcpu.state.regs;
    uint64_t control = guest[R_ECX];

    for (int i = R_EDX; i < CPU_NB_REGS; i++) {
        if (control & 1 << i) {
            regs[i] = guest[i];
        }
    }
    regs[R_ECX] = control;
}

static void pass_event(const TdxEvent *event, target_ulong *regs)
{
    regs[R_ECX] = event->qualification;
    regs[R_EDX] = event->ext_qualification;
    regs[8] = event->gpa;
    regs[9] = event->intr_info;
    if (is_ept_event(event)) {
        regs[R_ECX] &= ~EPT_QUAL_HIDDEN;
        regs[8] &= -TDX_PAGE;
    }
}

void tdx_vcpu_exited(X86CPU *cpu, TdxVcpu *vcpu, const TdxEvent *event,
                     target_ulong regs[CPU_NB_REGS])
{
    TdxVp *vp = tdx_vp(vcpu);
    TdxHolds holds = vp->holds;

    for (int i = 0; i < CPU_NB_REGS; i++) {
        if (i != R_ESP && !(i == R_EBP && vp->td->config_flags &
                            TDX_CONFIG_NO_RBP_MOD)) {
            regs[i] = 0;
        }
    }
    vp->last_exit_tdvmcall = event->reason == TDX_REASON_TDCALL;
    if (vp->last_exit_tdvmcall) {
        pass_vmcall(vp, regs);
    } else {
        pass_event(event, regs);
    }
    regs[R_EAX] = exit_status(vp, event) | event->reason;
    vp->last_exit_tsc = cpu_get_tsc(&cpu->env) + cpu->env.tsc_offset;
    qatomic_dec(&vp->td->refcount[vp->epoch & 1]);
    /* From here on, another CPU may have the vCPU. */
    vp->holds.nr = 0;
    tdx_release_holds(&holds);
}
