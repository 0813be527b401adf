/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests with SEV-ES: the state of the processor in an encrypted page
 *
 * VMRUN loads all of the guest's registers from the VMSA, a page that is
 * encrypted with the guest's key, and #VMEXIT saves them there.  The host gets
 * its own back from the host save area: VMRUN has saved some of them, the host
 * itself had to save the others before, and those of the FPU are gone.  An
 * exit that the host could not handle without the guest's registers does not
 * happen: the guest takes #VC instead, and calls the host by VMGEXIT.
 *
 * Source: APM volume 2, 15.35 and appendix B, table B-4.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "cpu.h"
#include "exec/helper-proto.h"
#include "hw/i386/amd-mem-enc.h"
#include "tcg/helper-tcg.h"

static const struct {
    int reg;
    size_t offset;
} vmsa_gprs[] = {
    { R_ECX, offsetof(struct vmsa, rcx) },
    { R_EDX, offsetof(struct vmsa, rdx) },
    { R_EBX, offsetof(struct vmsa, rbx) },
    { R_EBP, offsetof(struct vmsa, rbp) },
    { R_ESI, offsetof(struct vmsa, rsi) },
    { R_EDI, offsetof(struct vmsa, rdi) },
#ifdef TARGET_X86_64
    { R_R8, offsetof(struct vmsa, r8_15[0]) },
    { R_R9, offsetof(struct vmsa, r8_15[1]) },
    { R_R10, offsetof(struct vmsa, r8_15[2]) },
    { R_R11, offsetof(struct vmsa, r8_15[3]) },
    { R_R12, offsetof(struct vmsa, r8_15[4]) },
    { R_R13, offsetof(struct vmsa, r8_15[5]) },
    { R_R14, offsetof(struct vmsa, r8_15[6]) },
    { R_R15, offsetof(struct vmsa, r8_15[7]) },
#endif
};

/*
 * Type B: what VMRUN loads for the guest beside the VMCB's save area, and
 * #VMEXIT for the host.
 */
static void load_type_b(CPUX86State *env, const struct vmsa *vmsa)
{
    const struct vmcb_save_area *sa = &vmsa->save;

    for (int i = 0; i < ARRAY_SIZE(vmsa_gprs); i++) {
        env->regs[vmsa_gprs[i].reg] =
            ldq_le_p((const uint8_t *)vmsa + vmsa_gprs[i].offset);
    }

    svm_get_seg_cache(env, &sa->fs, R_FS);
    svm_get_seg_cache(env, &sa->gs, R_GS);
    svm_get_seg(env, &sa->tr, &env->tr);
    svm_get_seg(env, &sa->ldtr, &env->ldt);

    env->star = le64_to_cpu(sa->star);
#ifdef TARGET_X86_64
    env->lstar = le64_to_cpu(sa->lstar);
    env->cstar = le64_to_cpu(sa->cstar);
    env->fmask = le64_to_cpu(sa->sfmask);
    env->kernelgsbase = le64_to_cpu(sa->kernel_gs_base);
    svm_canonicalization(env, &env->kernelgsbase);
#endif
    env->sysenter_cs = le64_to_cpu(sa->sysenter_cs);
    env->sysenter_esp = (uint32_t)le64_to_cpu(sa->sysenter_esp);
    env->sysenter_eip = (uint32_t)le64_to_cpu(sa->sysenter_eip);

    env->xcr0 = le64_to_cpu(vmsa->xcr0);
    env->xss = le64_to_cpu(sa->xss);
    env->pkru = le32_to_cpu(vmsa->pkru);
    cpu_sync_bndcs_hflags(env);
    cpu_sync_avx_hflag(env);
}

static void save_type_b(CPUX86State *env, struct vmsa *vmsa)
{
    struct vmcb_save_area *sa = &vmsa->save;

    for (int i = 0; i < ARRAY_SIZE(vmsa_gprs); i++) {
        stq_le_p((uint8_t *)vmsa + vmsa_gprs[i].offset,
                 env->regs[vmsa_gprs[i].reg]);
    }

    svm_put_seg(&sa->fs, &env->segs[R_FS]);
    svm_put_seg(&sa->gs, &env->segs[R_GS]);
    svm_put_seg(&sa->tr, &env->tr);
    svm_put_seg(&sa->ldtr, &env->ldt);

    sa->star = cpu_to_le64(env->star);
#ifdef TARGET_X86_64
    sa->lstar = cpu_to_le64(env->lstar);
    sa->cstar = cpu_to_le64(env->cstar);
    sa->sfmask = cpu_to_le64(env->fmask);
    sa->kernel_gs_base = cpu_to_le64(env->kernelgsbase);
#endif
    sa->sysenter_cs = cpu_to_le64(env->sysenter_cs);
    sa->sysenter_esp = cpu_to_le64(env->sysenter_esp);
    sa->sysenter_eip = cpu_to_le64(env->sysenter_eip);

    vmsa->xcr0 = cpu_to_le64(env->xcr0);
    sa->xss = cpu_to_le64(env->xss);
    vmsa->pkru = cpu_to_le32(env->pkru);
}

/* Type C: loaded for the guest; #VMEXIT leaves the initial state. */
static void load_type_c(CPUX86State *env, const struct vmsa *vmsa)
{
    cpu_set_fpuc(env, le16_to_cpu(vmsa->x87_fcw));
    cpu_set_fpus(env, le16_to_cpu(vmsa->x87_fsw));
    for (int i = 0; i < 8; i++) {
        int reg = (env->fpstt + i) & 7;

        /* One bit per register, as FXSAVE has them. */
        env->fptags[i] = !(le16_to_cpu(vmsa->x87_ftw) & (1 << i));
        env->fpregs[reg].d =
            make_floatx80(le16_to_cpu(vmsa->x87_sign_exponent[i]),
                          le64_to_cpu(vmsa->x87_significand[i]));
    }
    for (int i = 0; i < (TARGET_LONG_BITS == 64 ? 16 : 8); i++) {
        env->xmm_regs[i].ZMM_Q(0) = ldq_le_p(vmsa->xmm[i]);
        env->xmm_regs[i].ZMM_Q(1) = ldq_le_p(vmsa->xmm[i] + 8);
        env->xmm_regs[i].ZMM_Q(2) = ldq_le_p(vmsa->ymm_hi[i]);
        env->xmm_regs[i].ZMM_Q(3) = ldq_le_p(vmsa->ymm_hi[i] + 8);
    }
    cpu_set_mxcsr(env, le32_to_cpu(vmsa->mxcsr) & 0xffff);
}

static void save_type_c(CPUX86State *env, struct vmsa *vmsa)
{
    uint16_t ftw = 0;

    vmsa->x87_fcw = cpu_to_le16(env->fpuc);
    vmsa->x87_fsw = cpu_to_le16((env->fpus & ~0x3800) | env->fpstt << 11);
    for (int i = 0; i < 8; i++) {
        floatx80 value = env->fpregs[(env->fpstt + i) & 7].d;

        ftw |= !env->fptags[i] << i;
        vmsa->x87_significand[i] = cpu_to_le64(value.low);
        vmsa->x87_sign_exponent[i] = cpu_to_le16(value.high);
    }
    vmsa->x87_ftw = cpu_to_le16(ftw);
    for (int i = 0; i < (TARGET_LONG_BITS == 64 ? 16 : 8); i++) {
        stq_le_p(vmsa->xmm[i], env->xmm_regs[i].ZMM_Q(0));
        stq_le_p(vmsa->xmm[i] + 8, env->xmm_regs[i].ZMM_Q(1));
        stq_le_p(vmsa->ymm_hi[i], env->xmm_regs[i].ZMM_Q(2));
        stq_le_p(vmsa->ymm_hi[i] + 8, env->xmm_regs[i].ZMM_Q(3));
    }
    vmsa->mxcsr = cpu_to_le32(env->mxcsr);
}

static void init_type_c(CPUX86State *env)
{
    helper_fninit(env);
    memset(env->xmm_regs, 0, sizeof(env->xmm_regs));
    cpu_set_mxcsr(env, 0x1f80);
}

bool sev_es_read_vmsa(CPUX86State *env, hwaddr pa, uint32_t asid,
                      struct vmsa *vmsa)
{
    uint64_t xcr0, all, features;

    if ((pa & ~TARGET_PAGE_MASK) ||
        !amd_mem_enc_read(pa, asid, vmsa, sizeof(*vmsa))) {
        return false;
    }
    features = le64_to_cpu(vmsa->sev_features);
    /* The page of an SNP guest needs no checksum: snp_enter() checks it. */
    if (!(features & VMSA_SNP_ACTIVE) &&
        !amd_mem_enc_is_sealed(pa, vmsa, sizeof(*vmsa))) {
        return false;
    }
    xcr0 = le64_to_cpu(vmsa->xcr0);
    all = (uint64_t)env->features[FEAT_XSAVE_XCR0_HI] << 32 |
          env->features[FEAT_XSAVE_XCR0_LO];
    /* No other feature is there that a bit of SEV_FEATURES could enable. */
    return !(features & ~VMSA_SNP_ACTIVE) && (xcr0 & XSTATE_FP_MASK) &&
           !(xcr0 & ~all) && !vmsa->save.xss;
}

void sev_es_enter(CPUX86State *env, hwaddr pa, const struct vmsa *vmsa)
{
    load_type_b(env, vmsa);
    load_type_c(env, vmsa);
    env->sev_vmsa = pa;
    env->sev_status |= SEV_STATUS_SEV_ES;
}

void sev_es_save(CPUX86State *env, const struct vmcb_save_area *sa)
{
    struct vmsa vmsa;

    amd_mem_enc_read(env->sev_vmsa, env->sev_asid, &vmsa, sizeof(vmsa));
    vmsa.save = *sa;
    vmsa.save.vmpl = env->snp_vmpl;
    save_type_b(env, &vmsa);
    save_type_c(env, &vmsa);
    amd_mem_enc_write(env->sev_vmsa, env->sev_asid, &vmsa, sizeof(vmsa));
    if (!(le64_to_cpu(vmsa.sev_features) & VMSA_SNP_ACTIVE)) {
        amd_mem_enc_seal(env->sev_vmsa, &vmsa, sizeof(vmsa));
    }
}

void sev_es_leave(CPUX86State *env, const struct vmsa *host)
{
    load_type_b(env, host);
    init_type_c(env);
    env->sev_vmsa = 0;
}

/* The others make the guest take #VC. */
static bool is_automatic_exit(uint64_t exit_code, uint64_t exit_info_1)
{
    switch (exit_code) {
    case SVM_EXIT_EXCP_BASE + EXCP12_MCHK:
    case SVM_EXIT_INTR ... SVM_EXIT_VINTR:
    case SVM_EXIT_PAUSE:
    case SVM_EXIT_HLT:
    case SVM_EXIT_SHUTDOWN:
    case SVM_EXIT_EFER_WRITE_TRAP ... SVM_EXIT_CR15_WRITE_TRAP:
    case SVM_EXIT_VMGEXIT:
    case (uint64_t)SVM_EXIT_ERR:
    case (uint64_t)SVM_EXIT_BUSY:
        return true;
    case SVM_EXIT_NPF:
        /* A reserved bit is how hypervisors mark what they emulate. */
        return !(exit_info_1 & PG_ERROR_RSVD_MASK);
    default:
        return false;
    }
}

/* With the state of the processor restored. */
void sev_es_check_exit(CPUX86State *env, uint64_t exit_code,
                       uint64_t exit_info_1)
{
    if (!(env->sev_status & SEV_STATUS_SEV_ES)) {
        return;
    }
    if (!is_automatic_exit(exit_code, exit_info_1)) {
        raise_exception_err(env, EXCP1D_VC, exit_code);
    }
    if (exit_code == SVM_EXIT_HLT || exit_code == SVM_EXIT_PAUSE) {
        /* Nobody else could. */
        do_complete_instruction(env, 0);
    }
}

void helper_vmgexit(CPUX86State *env)
{
    if (!(env->sev_status & SEV_STATUS_SEV_ES)) {
        helper_vmmcall(env);
        return;
    }
    do_complete_instruction(env, GETPC());
    cpu_vmexit(env, SVM_EXIT_VMGEXIT, 0, 0);
}
