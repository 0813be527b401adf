/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TD entry and exit
 *
 * Source: Intel TDX Module Base Architecture Specification, "TD Entry and TD
 * Exit" and "Initial State of a VCPU"; ABI Specification, TDH.VP.ENTER.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "exec/helper-proto.h"
#include "hw/i386/tdx-module.h"
#include "tcg/helper-tcg.h"
#include "tdx.h"
#include "target/i386/trace.h"

#define PAT_RESET           0x0007040600070406ULL
#define MXCSR_RESET         0x1f80
#define FPUC_RESET          0x37f
/* What MSR_FMASK is after a TD exit */
#define FMASK_AFTER_EXIT    0x20200

/* Registers that are copied as they are */
#define TDX_COPIED(x) \
    x(star) x(lstar) x(cstar) x(fmask) x(kernelgsbase) \
    x(sysenter_cs) x(sysenter_esp) x(sysenter_eip) \
    x(pat) x(tsc_aux) x(debugctl) x(spec_ctrl) x(xss) x(xcr0) \
    x(pkru) x(pkrs) x(fpstt) x(fpus) x(fpop) x(fpcs) x(fpds) x(fpip) x(fpdp)

static void tdx_save_state(CPUX86State *env, TdxCpuState *s)
{
    memcpy(s->regs, env->regs, sizeof(s->regs));
    s->rip = env->eip;
    s->rflags = cpu_compute_eflags(env);
    s->hflags = env->hflags & HF_INHIBIT_IRQ_MASK;
    s->hflags2 = env->hflags2 & HF2_NMI_MASK;
    memcpy(s->segs, env->segs, sizeof(s->segs));
    s->ldt = env->ldt;
    s->tr = env->tr;
    s->gdt = env->gdt;
    s->idt = env->idt;
    s->cr0 = env->cr[0];
    s->cr2 = env->cr[2];
    s->cr3 = env->cr[3];
    s->cr4 = env->cr[4];
    s->efer = env->efer;
    memcpy(s->dr, env->dr, sizeof(s->dr));
#define COPY(field) s->field = env->field;
    TDX_COPIED(COPY)
#undef COPY
    s->fpuc = env->fpuc;
    s->mxcsr = env->mxcsr;
    memcpy(s->fptags, env->fptags, sizeof(s->fptags));
    memcpy(s->fpregs, env->fpregs, sizeof(s->fpregs));
    memcpy(s->xmm, env->xmm_regs, sizeof(s->xmm));
    memcpy(s->opmask, env->opmask_regs, sizeof(s->opmask));
}

static void tdx_load_extended(CPUX86State *env, const TdxCpuState *s)
{
    cpu_set_fpuc(env, s->fpuc);
    cpu_set_mxcsr(env, s->mxcsr);
    memcpy(env->fptags, s->fptags, sizeof(s->fptags));
    memcpy(env->fpregs, s->fpregs, sizeof(s->fpregs));
    memcpy(env->xmm_regs, s->xmm, sizeof(s->xmm));
    memcpy(env->opmask_regs, s->opmask, sizeof(s->opmask));
}

/* HF_GUEST_MASK and env->tdx_vcpu are those of the state already. */
static void tdx_load_state(CPUX86State *env, const TdxCpuState *s)
{
    /* CR0.PG does not change EFER.LMA: EFER has the right one. */
    env->efer = 0;
    cpu_x86_update_cr0(env, s->cr0);
    cpu_x86_update_cr4(env, s->cr4);
    cpu_x86_update_cr3(env, s->cr3);
    env->cr[2] = s->cr2;
    cpu_load_efer(env, s->efer);
    env->eflags = 0;
    cpu_load_eflags(env, s->rflags, ~(CC_O | CC_S | CC_Z | CC_A | CC_P | CC_C |
                                      DF_MASK));
    for (int i = 0; i < ARRAY_SIZE(s->segs); i++) {
        cpu_x86_load_seg_cache(env, i, s->segs[i].selector, s->segs[i].base,
                               s->segs[i].limit, s->segs[i].flags);
    }
    env->ldt = s->ldt;
    env->tr = s->tr;
    env->gdt = s->gdt;
    env->idt = s->idt;
    memcpy(env->regs, s->regs, sizeof(s->regs));
    env->eip = s->rip;

    cpu_x86_update_dr7(env, DR7_FIXED_1);
    memcpy(env->dr, s->dr, sizeof(s->dr[0]) * 4);
    env->dr[6] = s->dr[6];
    cpu_x86_update_dr7(env, s->dr[7]);
#define COPY(field) env->field = s->field;
    TDX_COPIED(COPY)
#undef COPY
    tdx_load_extended(env, s);
    cpu_sync_avx_hflag(env);

    env->hflags &= ~HF_INHIBIT_IRQ_MASK;
    env->hflags |= s->hflags;
    env->hflags2 &= ~HF2_NMI_MASK;
    env->hflags2 |= s->hflags2;
    env->old_exception = -1;
    tlb_flush(env_cpu(env));
}

static void tdx_init_extended(TdxCpuState *s)
{
    s->fpstt = 0;
    s->fpus = 0;
    s->fpuc = FPUC_RESET;
    s->fpop = s->fpcs = s->fpds = 0;
    s->fpip = s->fpdp = 0;
    s->mxcsr = MXCSR_RESET;
    memset(s->fptags, 1, sizeof(s->fptags));
    memset(s->fpregs, 0, sizeof(s->fpregs));
    memset(s->xmm, 0, sizeof(s->xmm));
    memset(s->opmask, 0, sizeof(s->opmask));
}

void tdx_vcpu_init(TdxVcpu *vcpu, uint64_t rcx, uint32_t index,
                   uint32_t cpuid_1_eax)
{
    const uint32_t flat = DESC_G_MASK | DESC_B_MASK | DESC_P_MASK |
                          DESC_S_MASK | DESC_W_MASK | DESC_A_MASK;
    TdxCpuState *s = &vcpu->state;

    *s = (TdxCpuState) {
        .rip = 0xfffffff0,
        .rflags = 0x2,
        .cr0 = CR0_PE_MASK | CR0_ET_MASK | CR0_NE_MASK,
        .cr4 = CR4_MCE_MASK,
        .efer = MSR_EFER_SCE | MSR_EFER_LME | MSR_EFER_NXE,
        .dr = { [6] = DR6_FIXED_1, [7] = DR7_FIXED_1 },
        .gdt.limit = 0xffff,
        .idt.limit = 0xffff,
        .ldt.flags = DESC_P_MASK | 2 << DESC_TYPE_SHIFT,
        .tr.limit = 0xffff,
        .tr.flags = DESC_P_MASK | 11 << DESC_TYPE_SHIFT,
        .pat = PAT_RESET,
        .xcr0 = XSTATE_FP_MASK,
    };
    for (int i = 0; i < ARRAY_SIZE(s->segs); i++) {
        s->segs[i].limit = UINT32_MAX;
        s->segs[i].flags = flat | (i == R_CS ? DESC_CS_MASK : 0);
    }
    s->regs[R_EBX] = vcpu->shared_bit + 1;
    s->regs[R_ECX] = rcx;
    s->regs[R_EDX] = cpuid_1_eax;
    s->regs[R_ESI] = index;
    s->regs[8] = rcx;
    tdx_init_extended(s);
    memset(vcpu->vapic, 0, sizeof(vcpu->vapic));
    vcpu->ve.valid = false;
    vcpu->pending.valid = false;
}

static void tdx_copy_xmm(TdxCpuState *to, const TdxCpuState *from,
                         uint32_t xmm)
{
    for (int i = 0; i < 16; i++) {
        if (xmm & (1u << i)) {
            to->xmm[i].ZMM_Q(0) = from->xmm[i].ZMM_Q(0);
            to->xmm[i].ZMM_Q(1) = from->xmm[i].ZMM_Q(1);
        }
    }
}

/* Events that wait: one that an exit has interrupted comes first. */
static void tdx_inject_pending(CPUX86State *env)
{
    TdxVcpu *vcpu = env->tdx_vcpu;
    CPUState *cs = env_cpu(env);

    if (vcpu->pending.valid) {
        vcpu->pending.valid = false;
        if (vcpu->pending.is_hw) {
            do_interrupt_x86_hardirq(env, vcpu->pending.vector, 1);
            return;
        }
        cs->exception_index = vcpu->pending.vector;
        env->error_code = vcpu->pending.error_code;
        env->exception_is_int = 0;
        env->exception_next_eip = -1;
        cpu_loop_exit(cs);
    }
    if (vcpu->pend_nmi && !(env->hflags2 & HF2_NMI_MASK)) {
        vcpu->pend_nmi = false;
        env->hflags2 |= HF2_NMI_MASK;
        do_interrupt_x86_hardirq(env, EXCP02_NMI, 1);
    }
}

void tdx_cpu_enter(X86CPU *cpu, TdxVcpu *vcpu, uint32_t xmm)
{
    CPUX86State *env = &cpu->env;

    tdx_save_state(env, &vcpu->host);
    tdx_copy_xmm(&vcpu->state, &vcpu->host, xmm);
    vcpu->exit_xmm = 0;
    env->tdx_vcpu = vcpu;
    env->sev_asid = vcpu->hkid;
    env->hflags |= HF_GUEST_MASK;
    /* Interrupts of the host come whatever RFLAGS.IF is, in both worlds. */
    env->hflags2 |= HF2_NPT_MASK | HF2_VINTR_MASK | HF2_HIF_MASK |
                    HF2_VGIF_MASK;
    tdx_load_state(env, &vcpu->state);
    trace_tdx_enter(CPU(cpu)->cpu_index, env->eip);
    tdx_evaluate_interrupts(env);
    tdx_inject_pending(env);
}

void tdx_cpu_pass_xmm(X86CPU *cpu, uint32_t xmm)
{
    cpu->env.tdx_vcpu->exit_xmm = xmm & 0xffff;
}

/* What the host finds in registers that TD exit does not give back */
static void tdx_scrub_host_state(TdxVcpu *vcpu)
{
    TdxCpuState *host = &vcpu->host;

    tdx_init_extended(host);
    tdx_copy_xmm(host, &vcpu->state, vcpu->exit_xmm);
    host->xcr0 = vcpu->xfam & CPUID_XSTATE_XCR0_MASK;
    host->xss = vcpu->xfam & ~CPUID_XSTATE_XCR0_MASK;
    host->pkru = 0;
    host->star = 0;
    host->lstar = 0;
    host->fmask = FMASK_AFTER_EXIT;
    host->kernelgsbase = 0;
    host->tsc_aux = 0;
    memset(host->dr, 0, sizeof(host->dr));
    host->dr[6] = DR6_FIXED_1;
    host->dr[7] = DR7_FIXED_1;
    host->rflags &= ~(CC_O | CC_S | CC_Z | CC_A | CC_P | CC_C);
}

static void tdx_leave(CPUX86State *env)
{
    TdxVcpu *vcpu = env->tdx_vcpu;

    tdx_save_state(env, &vcpu->state);
    tdx_scrub_host_state(vcpu);
    if (vcpu->exit.reason == TDX_REASON_EXCEPTION_NMI &&
        extract32(vcpu->exit.intr_info, 8, 3) == TDX_INTR_TYPE_NMI) {
        vcpu->host.hflags2 |= HF2_NMI_MASK;
    }
    env->tdx_vcpu = NULL;
    env->sev_asid = 0;
    env->hflags &= ~HF_GUEST_MASK;
    env->hflags2 &= ~(HF2_NPT_MASK | HF2_VINTR_MASK | HF2_HIF_MASK |
                      HF2_VGIF_MASK);
    tdx_load_state(env, &vcpu->host);
}

void tdx_do_exit(CPUX86State *env)
{
    X86CPU *cpu = env_archcpu(env);
    TdxVcpu *vcpu = env->tdx_vcpu;

    trace_tdx_exit(CPU(cpu)->cpu_index, env->eip, vcpu->exit.reason,
                   vcpu->exit.qualification, vcpu->exit.gpa,
                   vcpu->exit.intr_info);
    cpu_reset_interrupt(CPU(cpu), CPU_INTERRUPT_VIRQ);
    tdx_leave(env);
    tdx_vcpu_exited(cpu, vcpu, &vcpu->exit, env->regs);
}

void tdx_cpu_reset(X86CPU *cpu)
{
    TdxVcpu *vcpu = cpu->env.tdx_vcpu;
    const TdxEvent event = { .reason = TDX_REASON_INIT };
    target_ulong regs[CPU_NB_REGS] = { };

    if (vcpu) {
        cpu->env.tdx_vcpu = NULL;
        tdx_vcpu_exited(cpu, vcpu, &event, regs);
    }
}

G_NORETURN void tdx_exit(CPUX86State *env, const TdxEvent *event, uintptr_t ra)
{
    CPUState *cs = env_cpu(env);

    cpu_restore_state(cs, ra);
    env->tdx_vcpu->exit = *event;
    cs->exception_index = EXCP_VMEXIT;
    env->old_exception = -1;
    cpu_loop_exit(cs);
}

/*
 * Software interrupts are executed again.  An exception is not: #VE cannot be
 * raised twice, and #DB as a trap would be lost.
 */
void tdx_begin_event(CPUX86State *env, int intno, int is_int, int error_code,
                     int is_hw)
{
    TdxVcpu *vcpu = env->tdx_vcpu;

    vcpu->pending.valid = !is_int;
    vcpu->pending.is_hw = is_hw;
    vcpu->pending.vector = intno;
    vcpu->pending.error_code = error_code;
}

void tdx_end_event(CPUX86State *env)
{
    env->tdx_vcpu->pending.valid = false;
}
