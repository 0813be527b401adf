/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX, as far as TDX and KVM need it
 *
 * A hypervisor can enter VMX operation, and it can fill in VMCSs.  Every entry
 * of a virtual machine fails as one whose guest state is invalid, so that a
 * hypervisor takes notice and goes on.
 *
 * Source: SDM volume 3, chapters 24 to 31 and appendices A and B.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cpu_ldst.h"
#include "exec/cputlb.h"
#include "exec/helper-proto.h"
#include "hw/i386/amd-mem-enc.h"
#include "hw/i386/tdx-module.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"

#define VMX_REVISION        1
#define VMCS_SIZE           0x1000ULL
#define VMX_NO_VMCS         (~0ULL)

/* A VMCS region; what follows the first 8 bytes is the processor's own. */
#define VMCS_OFFSET_REVISION    0
#define VMCS_OFFSET_LAUNCHED    8
#define VMCS_OFFSET_FIELDS      16

typedef enum VmxError {
    VMX_VMCALL_IN_ROOT = 1,
    VMX_VMCLEAR_ADDRESS = 2,
    VMX_VMCLEAR_VMXON_POINTER = 3,
    VMX_VMLAUNCH_NOT_CLEAR = 4,
    VMX_VMRESUME_NOT_LAUNCHED = 5,
    VMX_CONTROLS = 7,
    VMX_HOST_STATE = 8,
    VMX_VMPTRLD_ADDRESS = 9,
    VMX_VMPTRLD_VMXON_POINTER = 10,
    VMX_VMPTRLD_REVISION = 11,
    VMX_UNSUPPORTED_FIELD = 12,
    VMX_READ_ONLY_FIELD = 13,
    VMX_VMXON_IN_ROOT = 15,
    VMX_INV_OPERAND = 28,
} VmxError;

/*
 * Capability MSRs
 */

typedef struct VmxControl {
    uint32_t msr;           /* what may be set, and what must be */
    uint32_t true_msr;      /* the same for software that knows of it */
    FeatureWord word;
    uint32_t default1;      /* controls that are 1 for old software */
    uint32_t may_clear;     /* those of them that others may clear */
    uint32_t always;        /* controls that have no feature bit */
} VmxControl;

static const VmxControl vmx_controls[] = {
    {
        MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS,
        FEAT_VMX_PINBASED_CTLS, .default1 = 0x16,
    }, {
        MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
        FEAT_VMX_PROCBASED_CTLS, .default1 = 0x0401e172,
        .may_clear = VMX_CPU_BASED_CR3_LOAD_EXITING |
                     VMX_CPU_BASED_CR3_STORE_EXITING,
    }, {
        MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS,
        FEAT_VMX_EXIT_CTLS, .default1 = 0x00036dff,
        .may_clear = VMX_VM_EXIT_SAVE_DEBUG_CONTROLS,
        .always = VMX_VM_EXIT_HOST_ADDR_SPACE_SIZE,
    }, {
        MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS,
        FEAT_VMX_ENTRY_CTLS, .default1 = 0x000011ff,
        .may_clear = VMX_VM_ENTRY_LOAD_DEBUG_CONTROLS,
    }, {
        MSR_IA32_VMX_PROCBASED_CTLS2, 0, FEAT_VMX_SECONDARY_CTLS,
    },
};

static uint64_t vmx_control_value(CPUX86State *env, const VmxControl *c,
                                  bool is_true)
{
    uint32_t must = c->default1 & ~(is_true ? c->may_clear : 0);
    uint32_t may = c->default1 | c->always | env->features[c->word];

    return (uint64_t)may << 32 | must;
}

static uint64_t vmx_ept_vpid_caps(CPUX86State *env)
{
    uint64_t caps = env->features[FEAT_VMX_EPT_VPID_CAPS];

    return caps ? caps | MSR_VMX_EPT_UC | MSR_VMX_EPT_WB : 0;
}

/* 0 for those that this CPU has not, like other MSRs that TCG has not. */
static uint64_t vmx_capability(CPUX86State *env, uint32_t msr)
{
    if (!(env->features[FEAT_1_ECX] & CPUID_EXT_VMX)) {
        return 0;
    }
    for (int i = 0; i < ARRAY_SIZE(vmx_controls); i++) {
        const VmxControl *c = &vmx_controls[i];

        if (msr == c->msr || msr == c->true_msr) {
            return vmx_control_value(env, c, msr == c->true_msr);
        }
    }
    switch (msr) {
    case MSR_IA32_VMX_BASIC:
        return VMX_REVISION | VMCS_SIZE << 32 | VMX_BASIC_MEM_TYPE_WB |
               VMX_BASIC_NO_SEAMRET_INVD_VMCS | env->features[FEAT_VMX_BASIC];
    case MSR_IA32_VMX_MISC:
        return env->features[FEAT_VMX_MISC];
    case MSR_IA32_VMX_CR0_FIXED0:
        return VMX_CR0_FIXED0;
    case MSR_IA32_VMX_CR0_FIXED1:
        return UINT32_MAX;
    case MSR_IA32_VMX_CR4_FIXED0:
        return CR4_VMXE_MASK;
    case MSR_IA32_VMX_CR4_FIXED1:
        return ~cr4_reserved_bits(env);
    case MSR_IA32_VMX_VMCS_ENUM:
        return 0x32;    /* the highest index: the TSC multiplier's */
    case MSR_IA32_VMX_EPT_VPID_CAP:
        return vmx_ept_vpid_caps(env);
    default:
        return 0;
    }
}

/* What the firmware has locked: all key ids but 0 are TDX's. */
static uint64_t vmx_key_ids(CPUX86State *env, uint32_t msr)
{
    if (!env_archcpu(env)->tdx) {
        return 0;
    }
    switch (msr) {
    case MSR_IA32_MKTME_PARTITIONING:
        return (uint64_t)TDX_NR_PRIVATE_KEYIDS << 32;
    case MSR_IA32_TME_CAPABILITY:
        return TME_AES_XTS_128 | (uint64_t)TDX_KEYID_BITS << 32 |
               (uint64_t)TDX_NR_PRIVATE_KEYIDS << 36;
    default:
        return TME_ACTIVATE_LOCKED | TME_ACTIVATE_ENABLED |
               (uint64_t)TDX_KEYID_BITS << 32 | (uint64_t)TDX_KEYID_BITS << 36;
    }
}

uint64_t vmx_rdmsr(CPUX86State *env, uint32_t msr)
{
    switch (msr) {
    case MSR_IA32_FEATURE_CONTROL:
        return env->msr_ia32_feature_control;
    case MSR_IA32_VMX_BASIC ... MSR_IA32_VMX_VMFUNC:
        return vmx_capability(env, msr);
    default:
        return vmx_key_ids(env, msr);
    }
}

/* False: #GP.  Without VMX, these are like other MSRs that TCG has not. */
bool vmx_wrmsr(CPUX86State *env, uint32_t msr, uint64_t val)
{
    const uint64_t valid = FEATURE_CONTROL_LOCKED |
                           FEATURE_CONTROL_VMXON_ENABLED_OUTSIDE_SMX;

    if (!(env->features[FEAT_1_ECX] & CPUID_EXT_VMX)) {
        return true;
    }
    if (msr != MSR_IA32_FEATURE_CONTROL || (val & ~valid) ||
        (env->msr_ia32_feature_control & FEATURE_CONTROL_LOCKED)) {
        return false;
    }
    env->msr_ia32_feature_control = val;
    return true;
}

/*
 * VMX operation
 */

static void vmx_set_flags(CPUX86State *env, uint32_t flags)
{
    CC_SRC = flags;
    CC_OP = CC_OP_EFLAGS;
}

static void vmx_succeed(CPUX86State *env)
{
    vmx_set_flags(env, 0);
}

static uint64_t vmcs_ldq(CPUX86State *env, uint64_t offset)
{
    amd_mem_enc_view(env->vmcs_ptr, 0);
    return x86_ldq_phys(env_cpu(env), env->vmcs_ptr + offset);
}

static void vmcs_stq(CPUX86State *env, uint64_t offset, uint64_t val)
{
    amd_mem_enc_view(env->vmcs_ptr, 0);
    x86_stq_phys(env_cpu(env), env->vmcs_ptr + offset, val);
}

static uint32_t vmx_ldl(CPUX86State *env, uint64_t pa)
{
    amd_mem_enc_view(pa, 0);
    return x86_ldl_phys(env_cpu(env), pa);
}

/* How many fields each kind has; a kind is bits 14:10 of an encoding. */
static const uint8_t vmcs_nr_fields[VMCS_NR_KINDS] = {
    [VMCS_KIND(VMCS_16BIT, VMCS_CONTROL)] = 3,
    [VMCS_KIND(VMCS_16BIT, VMCS_GUEST)] = 10,
    [VMCS_KIND(VMCS_16BIT, VMCS_HOST)] = 7,
    [VMCS_KIND(VMCS_64BIT, VMCS_CONTROL)] = 26,
    [VMCS_KIND(VMCS_64BIT, VMCS_READ_ONLY)] = 1,
    [VMCS_KIND(VMCS_64BIT, VMCS_GUEST)] = 11,
    [VMCS_KIND(VMCS_64BIT, VMCS_HOST)] = 3,
    [VMCS_KIND(VMCS_32BIT, VMCS_CONTROL)] = 18,
    [VMCS_KIND(VMCS_32BIT, VMCS_READ_ONLY)] = 8,
    [VMCS_KIND(VMCS_32BIT, VMCS_GUEST)] = 22,
    [VMCS_KIND(VMCS_32BIT, VMCS_HOST)] = 1,
    [VMCS_KIND(VMCS_NATURAL, VMCS_CONTROL)] = 8,
    [VMCS_KIND(VMCS_NATURAL, VMCS_READ_ONLY)] = 6,
    [VMCS_KIND(VMCS_NATURAL, VMCS_GUEST)] = 20,
    [VMCS_KIND(VMCS_NATURAL, VMCS_HOST)] = 12,
};

/* Where the field is, or 0: there is none such. */
static uint64_t vmcs_offset(uint64_t encoding)
{
    unsigned kind = extract64(encoding, 10, 5);
    unsigned index = extract64(encoding, 1, 9);
    bool high = encoding & 1;
    uint64_t offset = VMCS_OFFSET_FIELDS;

    if (encoding >> 15 || extract64(encoding, 12, 1) ||
        index >= vmcs_nr_fields[kind] ||
        (high && VMCS_KIND_WIDTH(kind) != VMCS_64BIT)) {
        return 0;
    }
    for (int i = 0; i < kind; i++) {
        offset += vmcs_nr_fields[i] * sizeof(uint64_t);
    }
    return offset + index * sizeof(uint64_t);
}

static uint64_t vmcs_read(CPUX86State *env, uint32_t encoding)
{
    uint64_t val = vmcs_ldq(env, vmcs_offset(encoding));

    return encoding & 1 ? val >> 32 : val;
}

static void vmcs_write(CPUX86State *env, uint32_t encoding, uint64_t val)
{
    uint64_t offset = vmcs_offset(encoding);

    switch (VMCS_KIND_WIDTH(extract32(encoding, 10, 5))) {
    case VMCS_16BIT:
        val = (uint16_t)val;
        break;
    case VMCS_32BIT:
        val = (uint32_t)val;
        break;
    case VMCS_64BIT:
        if (encoding & 1) {
            val = deposit64(vmcs_ldq(env, offset), 32, 32, val);
        }
        break;
    }
    vmcs_stq(env, offset, val);
}

static void vmx_fail(CPUX86State *env, VmxError error)
{
    if (env->vmcs_ptr == VMX_NO_VMCS) {
        vmx_set_flags(env, CC_C);
    } else {
        vmcs_write(env, VMCS_INSTRUCTION_ERROR, error);
        vmx_set_flags(env, CC_Z);
    }
}

/* What all instructions of VMX check first */
static void vmx_check_mode(CPUX86State *env, uintptr_t ra)
{
    if (!(env->features[FEAT_1_ECX] & CPUID_EXT_VMX) ||
        env->tdx_vcpu || !(env->cr[0] & CR0_PE_MASK) ||
        (env->eflags & VM_MASK) ||
        ((env->hflags & HF_LMA_MASK) && !(env->hflags & HF_CS64_MASK))) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
}

void vmx_check_root(CPUX86State *env, uintptr_t ra)
{
    vmx_check_mode(env, ra);
    if (!env->vmx_on) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
    if (env->hflags & HF_CPL_MASK) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
}

static bool vmx_region_valid(CPUX86State *env, uint64_t pa)
{
    return !(pa & (VMCS_SIZE - 1)) && !(pa >> x86_phys_addr_bits(env));
}

/* CR0 and CR4 as VMX operation requires them */
static bool vmx_cr0_valid(uint64_t cr0)
{
    return (cr0 & VMX_CR0_FIXED0) == VMX_CR0_FIXED0 && !(cr0 >> 32);
}

static bool vmx_cr4_valid(CPUX86State *env, uint64_t cr4)
{
    return (cr4 & CR4_VMXE_MASK) && !(cr4 & cr4_reserved_bits(env));
}

/* A MOV to the register in VMX operation; #GP if false. */
bool vmx_allows_cr(CPUX86State *env, int reg, uint64_t val)
{
    if (!env->vmx_on || env->tdx_vcpu) {
        return true;
    }
    return reg == 0 ? (val & VMX_CR0_FIXED0) == VMX_CR0_FIXED0 :
           reg == 4 ? (val & CR4_VMXE_MASK) : true;
}

void helper_vmxon(CPUX86State *env, target_ulong addr)
{
    uintptr_t ra = GETPC();
    uint64_t pa, lock = FEATURE_CONTROL_LOCKED |
                        FEATURE_CONTROL_VMXON_ENABLED_OUTSIDE_SMX;

    vmx_check_mode(env, ra);
    if (!(env->cr[4] & CR4_VMXE_MASK)) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
    if (env->hflags & HF_CPL_MASK) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    if (env->vmx_on) {
        vmx_fail(env, VMX_VMXON_IN_ROOT);
        return;
    }
    if (!vmx_cr0_valid(env->cr[0]) || env->a20_mask != -1 ||
        (env->msr_ia32_feature_control & lock) != lock) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    pa = cpu_ldq_data_ra(env, addr, ra);
    if (!vmx_region_valid(env, pa) ||
        vmx_ldl(env, pa + VMCS_OFFSET_REVISION) != VMX_REVISION) {
        vmx_set_flags(env, CC_C);
        return;
    }
    env->vmx_on = true;
    env->vmxon_ptr = pa;
    env->vmcs_ptr = VMX_NO_VMCS;
    vmx_succeed(env);
}

void helper_vmxoff(CPUX86State *env)
{
    vmx_check_root(env, GETPC());
    env->vmx_on = false;
    env->vmcs_ptr = VMX_NO_VMCS;
    vmx_succeed(env);
}

/* A TD's is for the TDX module, any other is an error. */
void helper_vmcall(CPUX86State *env)
{
    uintptr_t ra = GETPC();

    if (env->tdx_vcpu) {
        tdx_vmcall(env, ra);
    }
    vmx_check_root(env, ra);
    vmx_fail(env, VMX_VMCALL_IN_ROOT);
}

void helper_vmclear(CPUX86State *env, target_ulong addr)
{
    uintptr_t ra = GETPC();
    uint64_t pa;

    vmx_check_root(env, ra);
    pa = cpu_ldq_data_ra(env, addr, ra);
    if (!vmx_region_valid(env, pa)) {
        vmx_fail(env, VMX_VMCLEAR_ADDRESS);
        return;
    }
    if (pa == env->vmxon_ptr) {
        vmx_fail(env, VMX_VMCLEAR_VMXON_POINTER);
        return;
    }
    amd_mem_enc_view(pa, 0);
    x86_stq_phys(env_cpu(env), pa + VMCS_OFFSET_LAUNCHED, false);
    if (pa == env->vmcs_ptr) {
        env->vmcs_ptr = VMX_NO_VMCS;
    }
    vmx_succeed(env);
}

void helper_vmptrld(CPUX86State *env, target_ulong addr)
{
    uintptr_t ra = GETPC();
    uint64_t pa;

    vmx_check_root(env, ra);
    pa = cpu_ldq_data_ra(env, addr, ra);
    if (!vmx_region_valid(env, pa)) {
        vmx_fail(env, VMX_VMPTRLD_ADDRESS);
    } else if (pa == env->vmxon_ptr) {
        vmx_fail(env, VMX_VMPTRLD_VMXON_POINTER);
    } else if (vmx_ldl(env, pa + VMCS_OFFSET_REVISION) != VMX_REVISION) {
        /* There are no shadow VMCSs either. */
        vmx_fail(env, VMX_VMPTRLD_REVISION);
    } else {
        env->vmcs_ptr = pa;
        vmx_succeed(env);
    }
}

void helper_vmptrst(CPUX86State *env, target_ulong addr)
{
    uintptr_t ra = GETPC();

    vmx_check_root(env, ra);
    cpu_stq_data_ra(env, addr, env->vmcs_ptr, ra);
    vmx_succeed(env);
}

/* The destination is written to if the flags then say success. */
target_ulong helper_vmread(CPUX86State *env, target_ulong encoding)
{
    vmx_check_root(env, GETPC());
    if (env->vmcs_ptr == VMX_NO_VMCS) {
        vmx_set_flags(env, CC_C);
        return 0;
    }
    if (!vmcs_offset(encoding)) {
        vmx_fail(env, VMX_UNSUPPORTED_FIELD);
        return 0;
    }
    vmx_succeed(env);
    return vmcs_read(env, encoding);
}

void helper_vmwrite(CPUX86State *env, target_ulong encoding, target_ulong val)
{
    vmx_check_root(env, GETPC());
    if (env->vmcs_ptr == VMX_NO_VMCS) {
        vmx_set_flags(env, CC_C);
    } else if (!vmcs_offset(encoding)) {
        vmx_fail(env, VMX_UNSUPPORTED_FIELD);
    } else if (VMCS_KIND_TYPE(extract64(encoding, 10, 5)) == VMCS_READ_ONLY &&
               !(env->features[FEAT_VMX_MISC] & MSR_VMX_MISC_VMWRITE_VMEXIT)) {
        vmx_fail(env, VMX_READ_ONLY_FIELD);
    } else {
        vmcs_write(env, encoding, val);
        vmx_succeed(env);
    }
}

/* Nothing that EPT or VPIDs have translated is ever cached. */
/* INVEPT and INVVPID, if the processor has them: two words are at @addr. */
static void vmx_read_descriptor(CPUX86State *env, uint64_t cap,
                                target_ulong addr, uint64_t *first,
                                uint64_t *second, uintptr_t ra)
{
    vmx_check_mode(env, ra);
    if (!(vmx_ept_vpid_caps(env) & cap)) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
    vmx_check_root(env, ra);
    *first = cpu_ldq_data_ra(env, addr, ra);
    *second = cpu_ldq_data_ra(env, addr + 8, ra);
}

void helper_invept(CPUX86State *env, target_ulong type, target_ulong addr)
{
    uint64_t caps = vmx_ept_vpid_caps(env);
    uint64_t eptp, reserved;

    vmx_read_descriptor(env, MSR_VMX_EPT_INVEPT, addr, &eptp, &reserved,
                        GETPC());
    if ((type != 1 && type != 2) || reserved ||
        (type == 1 && (!(caps & MSR_VMX_EPT_INVEPT_SINGLE_CONTEXT) ||
                       eptp >> x86_phys_addr_bits(env))) ||
        (type == 2 && !(caps & MSR_VMX_EPT_INVEPT_ALL_CONTEXT))) {
        vmx_fail(env, VMX_INV_OPERAND);
        return;
    }
    vmx_succeed(env);
}

void helper_invvpid(CPUX86State *env, target_ulong type, target_ulong addr)
{
    uint64_t caps = vmx_ept_vpid_caps(env);
    uint64_t vpid, linear;

    vmx_read_descriptor(env, MSR_VMX_EPT_INVVPID, addr, &vpid, &linear,
                        GETPC());
    if (type > 3 || !(caps & (MSR_VMX_EPT_INVVPID_SINGLE_ADDR << type)) ||
        vpid >> 16 || (!vpid && type != 2) ||
        (type == 0 && !x86_is_canonical(env, linear))) {
        vmx_fail(env, VMX_INV_OPERAND);
        return;
    }
    vmx_succeed(env);
}

/*
 * Entry of a virtual machine
 */

static bool vmx_control_valid(CPUX86State *env, const VmxControl *c,
                              uint32_t field)
{
    uint64_t msr = vmx_control_value(env, c, true);
    uint32_t val = vmcs_read(env, field);

    return !((uint32_t)msr & ~val) && !(val & ~(uint32_t)(msr >> 32));
}

static bool vmx_controls_valid(CPUX86State *env)
{
    static const uint32_t fields[] = {
        VMCS_PIN_BASED_CTLS, VMCS_PROC_BASED_CTLS, VMCS_EXIT_CTLS,
        VMCS_ENTRY_CTLS, VMCS_SECONDARY_CTLS,
    };

    QEMU_BUILD_BUG_ON(ARRAY_SIZE(fields) != ARRAY_SIZE(vmx_controls));
    for (int i = 0; i < ARRAY_SIZE(fields); i++) {
        if (fields[i] == VMCS_SECONDARY_CTLS &&
            !(vmcs_read(env, VMCS_PROC_BASED_CTLS) &
              VMX_CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)) {
            continue;
        }
        if (!vmx_control_valid(env, &vmx_controls[i], fields[i])) {
            return false;
        }
    }
    /* MSRs are not loaded from memory. */
    return !vmcs_read(env, VMCS_EXIT_MSR_LOAD_COUNT);
}

static bool vmx_host_state_valid(CPUX86State *env)
{
    static const uint32_t selectors[] = {
        VMCS_HOST_ES, VMCS_HOST_CS, VMCS_HOST_SS, VMCS_HOST_DS, VMCS_HOST_FS,
        VMCS_HOST_GS, VMCS_HOST_TR,
    };
    static const uint32_t addresses[] = {
        VMCS_HOST_FS_BASE, VMCS_HOST_GS_BASE, VMCS_HOST_TR_BASE,
        VMCS_HOST_GDTR_BASE, VMCS_HOST_IDTR_BASE, VMCS_HOST_SYSENTER_ESP,
        VMCS_HOST_SYSENTER_EIP, VMCS_HOST_RIP,
    };
    uint32_t exit_ctls = vmcs_read(env, VMCS_EXIT_CTLS);
    uint64_t efer = vmcs_read(env, VMCS_HOST_EFER);

    for (int i = 0; i < ARRAY_SIZE(selectors); i++) {
        if (vmcs_read(env, selectors[i]) & 7) {
            return false;
        }
    }
    for (int i = 0; i < ARRAY_SIZE(addresses); i++) {
        if (!x86_is_canonical(env, vmcs_read(env, addresses[i]))) {
            return false;
        }
    }
    if ((exit_ctls & VMX_VM_EXIT_LOAD_IA32_EFER) &&
        ((efer & MSR_EFER_VMX_RESERVED) ||
         !(efer & MSR_EFER_LMA) || !(efer & MSR_EFER_LME))) {
        return false;
    }
    /* A host in 64-bit mode stays there. */
    return vmcs_read(env, VMCS_HOST_CS) && vmcs_read(env, VMCS_HOST_TR) &&
           vmx_cr0_valid(vmcs_read(env, VMCS_HOST_CR0)) &&
           vmx_cr4_valid(env, vmcs_read(env, VMCS_HOST_CR4)) &&
           (vmcs_read(env, VMCS_HOST_CR4) & CR4_PAE_MASK) &&
           !(vmcs_read(env, VMCS_HOST_CR3) >> x86_phys_addr_bits(env)) &&
           (env->efer & MSR_EFER_LMA) &&
           (exit_ctls & VMX_VM_EXIT_HOST_ADDR_SPACE_SIZE);
}

/* SDM 28.5.2: selectors and bases are the host's, the rest has fixed values. */
static void vmx_load_host_segments(CPUX86State *env)
{
    static const struct {
        int reg;
        uint32_t selector, base;
    } data[] = {
        { R_ES, VMCS_HOST_ES }, { R_SS, VMCS_HOST_SS }, { R_DS, VMCS_HOST_DS },
        { R_FS, VMCS_HOST_FS, VMCS_HOST_FS_BASE },
        { R_GS, VMCS_HOST_GS, VMCS_HOST_GS_BASE },
    };
    const uint32_t flags = DESC_G_MASK | DESC_P_MASK | DESC_S_MASK |
                           DESC_A_MASK;

    cpu_x86_load_seg_cache(env, R_CS, vmcs_read(env, VMCS_HOST_CS), 0,
                           UINT32_MAX,
                           flags | DESC_CS_MASK | DESC_R_MASK | DESC_L_MASK);
    for (int i = 0; i < ARRAY_SIZE(data); i++) {
        uint16_t selector = vmcs_read(env, data[i].selector);
        uint64_t base = data[i].base ? vmcs_read(env, data[i].base) : 0;

        cpu_x86_load_seg_cache(env, data[i].reg, selector, base, UINT32_MAX,
                               selector || data[i].reg == R_SS ?
                               flags | DESC_B_MASK | DESC_W_MASK : 0);
    }
    env->tr = (SegmentCache) {
        .selector = vmcs_read(env, VMCS_HOST_TR),
        .base = vmcs_read(env, VMCS_HOST_TR_BASE),
        .limit = 0x67,
        .flags = DESC_P_MASK | 11 << DESC_TYPE_SHIFT,
    };
    env->ldt = (SegmentCache) { .flags = 0 };
    env->gdt = (SegmentCache) {
        .base = vmcs_read(env, VMCS_HOST_GDTR_BASE), .limit = 0xffff,
    };
    env->idt = (SegmentCache) {
        .base = vmcs_read(env, VMCS_HOST_IDTR_BASE), .limit = 0xffff,
    };
}

/* SDM 28.5: what a VM exit, or an entry that fails late, loads */
static void vmx_load_host_state(CPUX86State *env)
{
    uint32_t exit_ctls = vmcs_read(env, VMCS_EXIT_CTLS);

    cpu_x86_update_cr0(env, vmcs_read(env, VMCS_HOST_CR0));
    cpu_x86_update_cr4(env, vmcs_read(env, VMCS_HOST_CR4));
    cpu_x86_update_cr3(env, vmcs_read(env, VMCS_HOST_CR3));
    if (exit_ctls & VMX_VM_EXIT_LOAD_IA32_EFER) {
        cpu_load_efer(env, vmcs_read(env, VMCS_HOST_EFER));
    }
    if (exit_ctls & VMX_VM_EXIT_LOAD_IA32_PAT) {
        env->pat = vmcs_read(env, VMCS_HOST_PAT);
    }
    env->sysenter_cs = vmcs_read(env, VMCS_HOST_SYSENTER_CS);
    env->sysenter_esp = vmcs_read(env, VMCS_HOST_SYSENTER_ESP);
    env->sysenter_eip = vmcs_read(env, VMCS_HOST_SYSENTER_EIP);
    env->debugctl = 0;
    cpu_x86_update_dr7(env, DR7_FIXED_1);
    env->eflags = 0;
    cpu_load_eflags(env, 0x2, ~(CC_O | CC_S | CC_Z | CC_A | CC_P | CC_C |
                                DF_MASK));
    vmx_load_host_segments(env);
    env->eip = vmcs_read(env, VMCS_HOST_RIP);
    env->regs[R_ESP] = vmcs_read(env, VMCS_HOST_RSP);
}

static void vmx_enter(CPUX86State *env, bool resume)
{
    bool launched;

    if (env->vmcs_ptr == VMX_NO_VMCS) {
        vmx_set_flags(env, CC_C);
        return;
    }
    launched = vmcs_ldq(env, VMCS_OFFSET_LAUNCHED);
    if (launched != resume) {
        vmx_fail(env, resume ? VMX_VMRESUME_NOT_LAUNCHED :
                               VMX_VMLAUNCH_NOT_CLEAR);
        return;
    }
    if (!vmx_controls_valid(env)) {
        vmx_fail(env, VMX_CONTROLS);
        return;
    }
    if (!vmx_host_state_valid(env)) {
        vmx_fail(env, VMX_HOST_STATE);
        return;
    }
    /* SDM 27.8: the VMCS remains clear. */
    vmcs_write(env, VMCS_EXIT_REASON, VMX_EXIT_REASON_FAILED_ENTRY |
                                      VMX_EXIT_REASON_INVALID_GUEST_STATE);
    vmcs_write(env, VMCS_EXIT_QUALIFICATION, 0);
    vmx_load_host_state(env);
}

void helper_vmlaunch(CPUX86State *env, uint32_t resume, uint32_t insn_len)
{
    vmx_check_root(env, GETPC());
    env->eip += insn_len;
    do_end_instruction(env);
    vmx_enter(env, resume);
}
