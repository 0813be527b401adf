/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX, for TCG: MSRs and control registers of TDs
 *
 * Source: ABI specification, "CPU Virtualization Tables" (msr_virtualization).
 */
#include "qemu/osdep.h"
#include "tdx-internal.h"

/* As TDX has no other platforms: not susceptible to old side channels */
#define ARCH_CAPABILITIES   (MSR_ARCH_CAP_RDCL_NO | MSR_ARCH_CAP_IBRS_ALL | \
                             MSR_ARCH_CAP_SKIP_L1DFL_VMENTRY | \
                             MSR_ARCH_CAP_MDS_NO | \
                             MSR_ARCH_CAP_PSCHANGE_MC_NO | MSR_ARCH_CAP_TAA_NO)

/* Fast strings; no branch trace store, no PEBS, no MONITOR */
#define MISC_ENABLE         0x1801

#define DEBUGCTL_RESERVED   0xffffffffffff003cULL
#define DEBUGCTL_TR         (1 << 6)
#define DEBUGCTL_BTS        (1 << 7)

#define XSS_MASK            0xfd00ULL   /* what of XFAM is for IA32_XSS */
#define XCR0_MASK           0x602ffULL

/* What reading or writing does; not to be in the table is VE. */
enum { VE, GP, NAT, SPECIAL };

static const struct {
    uint32_t first, last;
    uint8_t read, write;
} msrs[] = {
    { 0x10, 0x10, NAT, VE },            /* IA32_TIME_STAMP_COUNTER */
    { 0x48, 0x49, NAT, NAT },           /* IA32_SPEC_CTRL, IA32_PRED_CMD */
    { 0x8c, 0x8f, GP, GP },             /* IA32_SGXLEPUBKEYHASHn */
    { 0x98, 0x9b, GP, GP },             /* of SEAM and of SMM */
    { 0x9e, 0x9e, GP, GP },             /* IA32_SMBASE */
    { 0xbc, 0xbc, NAT, VE },            /* IA32_MISC_PACKAGE_CTLS */
    { 0xc1, 0xc8, GP, GP },             /* IA32_PMCn */
    { 0xe1, 0xe1, GP, GP },             /* IA32_UMWAIT_CONTROL */
    { 0x10a, 0x10a, SPECIAL, GP },      /* IA32_ARCH_CAPABILITIES */
    { 0x10b, 0x10b, NAT, NAT },         /* IA32_FLUSH_CMD */
    { 0x122, 0x122, GP, GP },           /* IA32_TSX_CTRL */
    { 0x174, 0x176, NAT, NAT },         /* IA32_SYSENTER_* */
    { 0x186, 0x18d, GP, GP },           /* IA32_PERFEVTSELn */
    { 0x195, 0x195, GP, GP },           /* IA32_OVERCLOCKING_STATUS */
    { 0x1a0, 0x1a0, SPECIAL, VE },      /* IA32_MISC_ENABLE */
    { 0x1a6, 0x1a7, GP, GP },           /* MSR_OFFCORE_RSPn */
    { 0x1c4, 0x1c5, GP, GP },           /* IA32_XFD, IA32_XFD_ERR */
    { 0x1d9, 0x1d9, NAT, SPECIAL },     /* IA32_DEBUGCTL */
    { 0x276, 0x276, GP, GP },           /* MSR_SLAM_ENABLE */
    { 0x277, 0x277, NAT, NAT },         /* IA32_PAT */
    { 0x309, 0x310, GP, GP },           /* IA32_FIXED_CTRn */
    { 0x329, 0x329, GP, GP },           /* IA32_PERF_METRICS */
    { 0x345, 0x345, SPECIAL, GP },      /* IA32_PERF_CAPABILITIES */
    { 0x38d, 0x392, GP, GP },           /* IA32_PERF_GLOBAL_* */
    { 0x3f1, 0x3f2, GP, GP },           /* PEBS */
    { 0x3f6, 0x3f7, GP, GP },
    { 0x480, 0x492, GP, GP },           /* IA32_VMX_* */
    { 0x4c1, 0x4c8, GP, GP },           /* IA32_A_PMCn */
    { 0x500, 0x500, GP, GP },           /* IA32_SGX_SVN_STATUS */
    { 0x560, 0x561, GP, GP },           /* IA32_RTIT_* */
    { 0x570, 0x572, GP, GP },
    { 0x580, 0x587, GP, GP },
    { 0x600, 0x600, NAT, NAT },         /* IA32_DS_AREA */
    { 0x6a0, 0x6a0, GP, GP },           /* CET */
    { 0x6a2, 0x6a2, GP, GP },
    { 0x6a4, 0x6a8, GP, GP },
    { 0x6e0, 0x6e0, SPECIAL, SPECIAL }, /* IA32_TSC_DEADLINE */
    { 0x6e1, 0x6e1, GP, GP },           /* IA32_PKRS */
    { 0x800, 0x801, GP, GP },           /* x2APIC: reserved */
    { 0x804, 0x807, GP, GP },
    { 0x829, 0x82e, GP, GP },
    { 0x831, 0x831, GP, GP },
    { 0x840, 0x8ff, GP, GP },
    { 0x985, 0x98a, GP, GP },           /* IA32_UINTR_* */
    { 0xc80, 0xc80, NAT, VE },          /* IA32_DEBUG_INTERFACE */
    { 0xd90, 0xd90, GP, GP },           /* IA32_BNDCFGS */
    { 0xd93, 0xd93, GP, GP },           /* IA32_PASID */
    { 0xda0, 0xda0, NAT, SPECIAL },     /* IA32_XSS */
    { 0x1200, 0x12ff, GP, GP },         /* IA32_LBR_* */
    { 0x14ce, 0x14cf, GP, GP },
    { 0x1500, 0x16ff, GP, GP },
    { 0x1b01, 0x1b01, NAT, NAT },       /* IA32_UARCH_MISC_CTL */
    { 0xc0000080, 0xc0000080, NAT, SPECIAL },   /* IA32_EFER */
    { 0xc0000081, 0xc0000082, NAT, NAT },       /* IA32_STAR, IA32_LSTAR */
    { 0xc0000084, 0xc0000084, NAT, NAT },       /* IA32_FMASK */
    { 0xc0000100, 0xc0000103, NAT, NAT },       /* bases, IA32_TSC_AUX */
};

static int policy(uint32_t msr, bool write)
{
    for (int i = 0; i < ARRAY_SIZE(msrs) && msr >= msrs[i].first; i++) {
        if (msr <= msrs[i].last) {
            return write ? msrs[i].write : msrs[i].read;
        }
    }
    return VE;
}

static TdxAction action(int policy)
{
    return policy == NAT ? TDX_NATIVE : policy == GP ? TDX_GP : TDX_VE;
}

/* The host emulates it if the TD is to know of it. */
static TdxAction tsc_deadline(const TdxVp *vp)
{
    return tdx_cpuid_find(vp->td, 1, 0, false)->regs[2] &
           CPUID_EXT_TSC_DEADLINE_TIMER ? TDX_VE : TDX_GP;
}

TdxAction tdx_rdmsr(X86CPU *cpu, TdxVcpu *vcpu, uint32_t msr, uint64_t *val)
{
    int what = policy(msr, false);

    if (what != SPECIAL) {
        return action(what);
    }
    switch (msr) {
    case MSR_IA32_ARCH_CAPABILITIES:
        *val = ARCH_CAPABILITIES;
        return TDX_DONE;
    case MSR_IA32_MISC_ENABLE:
        *val = MISC_ENABLE;
        return TDX_DONE;
    case MSR_IA32_PERF_CAPABILITIES:
        *val = 0;
        return TDX_DONE;
    default:
        return tsc_deadline(tdx_vp(vcpu));
    }
}

static TdxAction write_debugctl(uint64_t val)
{
    if (val & DEBUGCTL_RESERVED) {
        return TDX_GP;
    }
    return val & DEBUGCTL_TR && !(val & DEBUGCTL_BTS) ? TDX_VE : TDX_NATIVE;
}

/* SCE is the TD's; LMA is ignored.  All else stays as it is. */
static TdxAction write_efer(X86CPU *cpu, uint64_t val)
{
    uint64_t changed = (val ^ cpu->env.efer) & ~MSR_EFER_LMA;

    return changed & ~MSR_EFER_SCE ? TDX_VE : TDX_NATIVE;
}

TdxAction tdx_wrmsr(X86CPU *cpu, TdxVcpu *vcpu, uint32_t msr, uint64_t val)
{
    int what = policy(msr, true);

    if (what != SPECIAL) {
        return action(what);
    }
    switch (msr) {
    case MSR_IA32_DEBUGCTL:
        return write_debugctl(val);
    case MSR_IA32_XSS:
        return val & ~(vcpu->xfam & XSS_MASK) ? TDX_GP : TDX_NATIVE;
    case MSR_EFER:
        return write_efer(cpu, val);
    default:
        return tsc_deadline(tdx_vp(vcpu));
    }
}

/* Control registers */

bool tdx_xcr0_valid(const TdxVcpu *vcpu, uint64_t val)
{
    uint64_t xfam = vcpu->xfam & XCR0_MASK;

    if (val & ~xfam || !(val & XSTATE_FP_MASK)) {
        return false;
    }
    return !(val & XSTATE_YMM_MASK) || val & XSTATE_SSE_MASK;
}

/* Protected mode with caches, and errors of the FPU as exceptions */
bool tdx_cr0_valid(const TdxVcpu *vcpu, uint64_t val)
{
    uint64_t fixed1 = CR0_PE_MASK | CR0_NE_MASK;

    return (val & fixed1) == fixed1 && !(val & (CR0_CD_MASK | CR0_NW_MASK));
}

bool tdx_cr4_valid(const TdxVcpu *vcpu, uint64_t val)
{
    uint64_t fixed0 = CR4_VMXE_MASK | CR4_SMXE_MASK | CR4_PKS_MASK;

    if (!(vcpu->xfam & XSTATE_PKRU_MASK)) {
        fixed0 |= CR4_PKE_MASK;
    }
    return val & CR4_MCE_MASK && !(val & fixed0);
}
