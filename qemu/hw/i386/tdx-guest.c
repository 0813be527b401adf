/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX, for TCG: leaves of TDs (TDG)
 */
#include "qemu/osdep.h"
#include "exec/page-protection.h"
#include "tdx-internal.h"

/* TDG.VP.VMCALL, RCX: no RAX, RCX, RSP, and no RBP if that is to be kept */
#define VMCALL_FORBIDDEN    0xffffffff00000013ULL
#define VMCALL_RBP          (1 << R_EBP)

#define REPORT_SIZE         1024
#define REPORTDATA_SIZE     64
#define RTMR_DATA_ALIGN     64

/* A leaf that is being executed, and what becomes of it */
typedef struct GuestCall {
    TdxCall call;
    TdxVp *vp;
    TdxEvent *event;
    TdxAction action;
} GuestCall;

/* Memory of the TD */

/*
 * Where a private GPA is.  A page that is not there is a TD exit or a #VE, as
 * for an access by the TD itself, and the leaf is executed again.
 */
static bool translate(GuestCall *g, uint64_t gpa, int need, hwaddr *pa)
{
    TdxTranslation t;

    g->action = tdx_translate_private(&g->vp->vcpu, gpa, need, &t, g->event);
    if (g->action != TDX_DONE) {
        g->event->qualification |= need & PAGE_WRITE ? TDX_EPT_WRITE :
                                                       TDX_EPT_READ;
        return false;
    }
    *pa = t.pa;
    return true;
}

static bool gpa_valid(const GuestCall *g, uint64_t gpa, uint64_t align)
{
    return !(gpa & (align - 1)) && tdx_gpa_private(g->vp->td, gpa);
}

/* TDG.VP */

static uint64_t tdg_vp_vmcall(GuestCall *g)
{
    uint64_t control = g->call.regs[R_ECX];

    if (control & VMCALL_FORBIDDEN ||
        (control & VMCALL_RBP &&
         g->vp->td->config_flags & TDX_CONFIG_NO_RBP_MOD)) {
        return TDX_OPERAND_INVALID | TDX_OP_RCX;
    }
    g->event->reason = TDX_REASON_TDCALL;
    tdx_cpu_pass_xmm(g->call.cpu, (control >> 16) & 0xffff);
    g->action = TDX_EXIT_AFTER;
    return TDX_SUCCESS;
}

static uint64_t tdg_vp_info(GuestCall *g)
{
    target_ulong *regs = g->call.regs;
    TdxTd *td = g->vp->td;

    regs[R_ECX] = td->gpaw ? 52 : 48;
    regs[R_EDX] = td->attributes;
    regs[8] = qatomic_read(&td->num_vcpus) | (uint64_t)td->max_vcpus << 32;
    regs[9] = g->vp->index;
    regs[10] = 1;               /* TDG.SYS.RD is there */
    regs[11] = 0;
    return TDX_SUCCESS;
}

static uint64_t tdg_vp_veinfo_get(GuestCall *g)
{
    target_ulong *regs = g->call.regs;
    TdxVeInfo *ve = &g->vp->vcpu.ve;

    regs[R_ECX] = regs[R_EDX] = regs[8] = regs[9] = regs[10] = 0;
    if (!ve->valid) {
        return TDX_NO_VALID_VE_INFO;
    }
    regs[R_ECX] = ve->reason;
    regs[R_EDX] = ve->qualification;
    regs[8] = ve->gla;
    regs[9] = ve->gpa;
    regs[10] = ve->insn_len | (uint64_t)ve->insn_info << 32;
    ve->valid = false;
    return TDX_SUCCESS;
}

static uint64_t tdg_vp_cpuidve_set(GuestCall *g)
{
    uint64_t control = g->call.regs[R_ECX];

    if (control & ~3ULL) {
        return TDX_OPERAND_INVALID | TDX_OP_RCX;
    }
    g->vp->cpuid_supervisor_ve = control & 1;
    g->vp->cpuid_user_ve = control & 2;
    return TDX_SUCCESS;
}

/* TDG.VM, TDG.VP, TDG.SYS: fields */

static uint64_t tdg_field_vm_rd(GuestCall *g)
{
    return tdg_vm_rd(&g->call, g->vp);
}

static uint64_t tdg_field_vm_wr(GuestCall *g)
{
    return tdg_vm_wr(&g->call, g->vp);
}

static uint64_t tdg_field_vp_rd(GuestCall *g)
{
    return tdg_vp_rd(&g->call, g->vp);
}

static uint64_t tdg_field_vp_wr(GuestCall *g)
{
    return tdg_vp_wr(&g->call, g->vp);
}

static uint64_t tdg_field_sys_rd(GuestCall *g)
{
    return tdg_sys_rd(&g->call);
}

/* TDG.MEM */

static uint64_t tdg_mem_page_accept(GuestCall *g)
{
    uint64_t rcx = g->call.regs[R_ECX], gpa = rcx & -TDX_PAGE;
    unsigned level = rcx & 7;
    uint64_t status = TDX_SUCCESS;

    if (rcx & 0xff8 || level > TDX_2M ||
        !gpa_valid(g, gpa, tdx_level_size(level))) {
        return TDX_OPERAND_INVALID | TDX_OP_RCX;
    }
    g->action = tdx_sept_accept(g->vp->td, gpa, level, &status, g->event);
    return status;
}

/* TDG.MR */

static uint64_t tdg_mr_report(GuestCall *g)
{
    uint64_t report_gpa = g->call.regs[R_ECX], data_gpa = g->call.regs[R_EDX];
    uint8_t data[REPORTDATA_SIZE], report[REPORT_SIZE];
    unsigned hkid = g->vp->td->hkid;
    hwaddr pa;

    if (!gpa_valid(g, report_gpa, REPORT_SIZE)) {
        return TDX_OPERAND_INVALID | TDX_OP_RCX;
    }
    if (!gpa_valid(g, data_gpa, REPORTDATA_SIZE)) {
        return TDX_OPERAND_INVALID | TDX_OP_RDX;
    }
    if (!translate(g, data_gpa, PAGE_READ, &pa)) {
        return TDX_SUCCESS;
    }
    tdx_memory_read(pa, hkid, data, sizeof(data));
    if (g->call.regs[8]) {
        return TDX_OPERAND_INVALID | TDX_OP_R8;
    }
    if (!translate(g, report_gpa, PAGE_WRITE, &pa)) {
        return TDX_SUCCESS;
    }
    if (!tdx_hold(&g->call.holds, &g->vp->td->rtmr_lock, false)) {
        return TDX_OPERAND_BUSY | TDX_OP_RTMR;
    }
    tdx_report(g->vp->td, data, report);
    tdx_unhold(&g->call.holds, &g->vp->td->rtmr_lock);
    tdx_memory_write(pa, hkid, report, sizeof(report));
    return TDX_SUCCESS;
}

static uint64_t tdg_mr_rtmr_extend(GuestCall *g)
{
    uint64_t gpa = g->call.regs[R_ECX], index = g->call.regs[R_EDX];
    uint8_t data[TDX_HASH_SIZE];
    hwaddr pa;

    if (!gpa_valid(g, gpa, RTMR_DATA_ALIGN)) {
        return TDX_OPERAND_INVALID | TDX_OP_RCX;
    }
    if (!translate(g, gpa, PAGE_READ, &pa)) {
        return TDX_SUCCESS;
    }
    if (index >= TDX_NR_RTMRS) {
        return TDX_OPERAND_INVALID | TDX_OP_RDX;
    }
    tdx_memory_read(pa, g->vp->td->hkid, data, sizeof(data));
    if (!tdx_hold(&g->call.holds, &g->vp->td->rtmr_lock, true)) {
        return TDX_OPERAND_BUSY | TDX_OP_RTMR;
    }
    tdx_rtmr_extend(g->vp->td, index, data);
    return TDX_SUCCESS;
}

/* Leaves */

static uint64_t (*const leaves[])(GuestCall *g) = {
    [0] = tdg_vp_vmcall,
    [1] = tdg_vp_info,
    [2] = tdg_mr_rtmr_extend,
    [3] = tdg_vp_veinfo_get,
    [4] = tdg_mr_report,
    [5] = tdg_vp_cpuidve_set,
    [6] = tdg_mem_page_accept,
    [7] = tdg_field_vm_rd,
    [8] = tdg_field_vm_wr,
    [9] = tdg_field_vp_rd,
    [10] = tdg_field_vp_wr,
    [11] = tdg_field_sys_rd,
};

TdxAction tdx_tdcall(X86CPU *cpu, TdxVcpu *vcpu, TdxEvent *event)
{
    CPUX86State *env = &cpu->env;
    uint64_t leaf = env->regs[R_EAX], status;
    GuestCall g = {
        .call = { .cpu = cpu, .regs = env->regs },
        .vp = tdx_vp(vcpu),
        .event = event,
        .action = TDX_DONE,
    };

    if (!(env->hflags & HF_CS64_MASK)) {
        return TDX_GP;
    }
    /* All of them are of version 0. */
    if (leaf >= ARRAY_SIZE(leaves)) {
        status = TDX_OPERAND_INVALID | TDX_OP_RAX;
    } else {
        status = leaves[leaf](&g);
    }
    tdx_release_holds(&g.call.holds);
    /* An instruction that is executed again has not changed anything. */
    if (g.action == TDX_DONE) {
        env->regs[R_EAX] = status;
    }
    return g.action;
}
