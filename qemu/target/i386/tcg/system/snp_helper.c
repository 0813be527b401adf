/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD Secure Nested Paging: its registers, instructions and checks
 *
 * Source: APM volume 2, 15.36, and volume 3, pages of the instructions.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/host-utils.h"
#include "cpu.h"
#include "exec/cpu_ldst.h"
#include "exec/cputlb.h"
#include "exec/helper-proto.h"
#include "hw/i386/amd-fail.h"
#include "hw/i386/amd-mem-enc.h"
#include "hw/i386/amd-rmp.h"
#include "tcg/helper-tcg.h"

/* What the instructions return in EAX */
enum {
    SUCCESS = 0,
    FAIL_INPUT = 1,
    FAIL_PERMISSION = 2,
    FAIL_INUSE = 3,
    FAIL_OVERLAP = 4,
    FAIL_SIZEMISMATCH = 6,
    /* PSMASH: there is no page of 2 MiB to be smashed */
    FAIL_NO_2M_PAGE = 7,
};

static AmdRmpEntry *rmp_entry(CPUX86State *env, hwaddr pa)
{
    return amd_rmp_entry(env->rmp_base, env->rmp_end, pa);
}

/* MSRs */

/* Until the next reset, what enables Secure Nested Paging is read-only. */
void snp_write_syscfg(CPUX86State *env, uint64_t val)
{
    if (env->amd_syscfg & SYSCFG_SNP) {
        return;
    }
    if (!(env->features[FEAT_8000_001F_EAX] & CPUID_8000_001F_EAX_SNP)) {
        val &= ~(SYSCFG_SNP | SYSCFG_VMPL);
    }
    /* Memory encryption cannot be disabled until reset. */
    val &= ~SYSCFG_MEM_ENCRYPT;
    val |= env->amd_syscfg & SYSCFG_MEM_ENCRYPT;
    env->amd_syscfg = val;
    if (val & SYSCFG_SNP) {
        tlb_flush(env_cpu(env));
    }
}

/* false: #GP */
bool snp_write_rmp_msr(CPUX86State *env, uint32_t msr, uint64_t val)
{
    uint64_t low = 8 * 1024 - 1;

    if (!(env->features[FEAT_8000_001F_EAX] & CPUID_8000_001F_EAX_SNP) ||
        (env->amd_syscfg & SYSCFG_SNP) || extract64(val, 52, 12)) {
        return false;
    }
    if (msr == MSR_AMD64_RMP_BASE) {
        env->rmp_base = val & ~low;
    } else {
        env->rmp_end = val | low;
    }
    return true;
}

/* Checks of pages */

/* A page that hardware is to write to, for which there is no page size */
bool snp_hypervisor_owned(CPUX86State *env, hwaddr pa)
{
    return !(env->amd_syscfg & SYSCFG_SNP) ||
           amd_rmp_hypervisor_owned(env->rmp_base, env->rmp_end, pa, false);
}

/*
 * A page that software writes to: it must be the hypervisor's and not in use,
 * and if the mapping is of 2 MiB or more, @large, all of them.
 */
bool snp_may_write(CPUX86State *env, hwaddr pa, bool large)
{
    AmdRmpEntry *entry = rmp_entry(env, pa);

    if (!amd_rmp_hypervisor_owned(env->rmp_base, env->rmp_end, pa, large)) {
        return false;
    }
    if (entry && (qatomic_read(&entry->state) & RMP_IN_USE) &&
        !(env->features[FEAT_8000_001F_EAX] &
          CPUID_8000_001F_EAX_HV_INUSE_WR)) {
        return false;
    }
    if (large && env_archcpu(env)->snp_2m_erratum) {
        entry = rmp_entry(env, pa & -AMD_RMP_2M_PAGE);
        return !entry || !(qatomic_read(&entry->state) & RMP_IN_USE);
    }
    return true;
}

static int allowed_prot(uint8_t perms, bool user)
{
    int prot = 0;

    /* A page that can be written but not read is neither. */
    if (perms & RMP_PERM_READ) {
        prot |= PAGE_READ;
        if (perms & RMP_PERM_WRITE) {
            prot |= PAGE_WRITE;
        }
    }
    if (perms & (user ? RMP_PERM_EXEC_USER : RMP_PERM_EXEC_SUPER)) {
        prot |= PAGE_EXEC;
    }
    return prot;
}

/* What all accesses of an SNP guest to its pages need, and its instructions */
static bool is_guests_page(CPUX86State *env, uint64_t state, hwaddr gpa)
{
    return (state & RMP_ASSIGNED) && rmp_asid(state) == env->sev_asid &&
           (state & RMP_GPA) == (gpa & RMP_GPA) &&
           !(state & (RMP_IMMUTABLE | RMP_IN_USE));
}

SnpResult snp_check_private(CPUX86State *env, const SnpAccess *access,
                            int *prot)
{
    uint64_t mask = access->large ? -AMD_RMP_2M_PAGE : -AMD_RMP_PAGE;
    AmdRmpEntry *entry = rmp_entry(env, access->pa & mask);
    uint64_t state = entry ? qatomic_read(&entry->state) : 0;

    if (!is_guests_page(env, state, access->gpa & mask) ||
        access->large != !!(state & RMP_2M)) {
        return SNP_RMP_FAULT;
    }
    if (!(state & RMP_VALIDATED)) {
        return SNP_NOT_VALIDATED;
    }
    *prot &= allowed_prot(qatomic_read(&entry->perms) >> (8 * env->snp_vmpl),
                          access->user);
    return access->need & ~*prot ? SNP_VMPL_FAULT : SNP_OK;
}

/* Pages that VMRUN uses */

enum { VMCB_PAGE, VMSA_PAGE };

static void flush_tlb(CPUState *cs, run_on_cpu_data data)
{
    tlb_flush(cs);
}

/* Have the page in use until #VMEXIT; false if somebody else has. */
static bool take_page(CPUX86State *env, int which, hwaddr pa)
{
    AmdRmpEntry *entry = rmp_entry(env, pa);
    CPUState *cs;

    if (!entry) {
        return true;
    }
    if (!amd_rmp_take(entry)) {
        return false;
    }
    env->snp_in_use[which] = entry;
    if (pa % AMD_RMP_2M_PAGE == 0 && env_archcpu(env)->snp_2m_erratum) {
        /* The others are to see what the erratum does to them. */
        CPU_FOREACH(cs) {
            if (cs != env_cpu(env)) {
                async_run_on_cpu(cs, flush_tlb, RUN_ON_CPU_NULL);
            }
        }
    }
    return true;
}

/*
 * Neither the VMCB nor the page for the host's state may be a guest's, since
 * #VMEXIT writes to them.
 */
bool snp_take_vmcb(CPUX86State *env, hwaddr pa)
{
    if (!(env->amd_syscfg & SYSCFG_SNP)) {
        return true;
    }
    return env->vm_hsave && snp_hypervisor_owned(env, env->vm_hsave) &&
           snp_hypervisor_owned(env, pa) && take_page(env, VMCB_PAGE, pa);
}

/*
 * The VMSA of an SNP guest is a page that the guest, or the firmware for it,
 * has declared to be one; any other is the hypervisor's.
 */
uint64_t snp_enter(CPUX86State *env, hwaddr pa, uint32_t asid,
                   struct vmsa *vmsa)
{
    bool active = le64_to_cpu(vmsa->sev_features) & VMSA_SNP_ACTIVE;
    AmdRmpEntry *entry = rmp_entry(env, pa);
    uint64_t state = entry ? qatomic_read(&entry->state) : 0;
    uint8_t vmpl = vmsa->save.vmpl;

    if (!(env->amd_syscfg & SYSCFG_SNP)) {
        return active ? SVM_EXIT_ERR : 0;
    }
    if (!active) {
        return (state & RMP_ASSIGNED) || !take_page(env, VMSA_PAGE, pa) ?
               SVM_EXIT_ERR : 0;
    }
    if (!(state & RMP_ASSIGNED) || rmp_asid(state) != asid ||
        (state & (RMP_IMMUTABLE | RMP_2M)) || !(state & RMP_VMSA) ||
        vmpl >= AMD_SNP_NR_VMPLS ||
        (vmpl && !(env->amd_syscfg & SYSCFG_VMPL))) {
        return SVM_EXIT_ERR;
    }
    if (le64_to_cpu(vmsa->vintr_ctrl) & VMSA_BUSY) {
        return SVM_EXIT_BUSY;
    }
    if (!take_page(env, VMSA_PAGE, pa)) {
        return SVM_EXIT_ERR;
    }
    /* What was read before may have been of another page; now it cannot be. */
    if (!sev_es_read_vmsa(env, pa, asid, vmsa) ||
        !(le64_to_cpu(vmsa->sev_features) & VMSA_SNP_ACTIVE) ||
        vmsa->save.vmpl != vmpl) {
        return SVM_EXIT_ERR;
    }
    env->snp_vmpl = vmpl;
    env->sev_status |= SEV_STATUS_SNP;
    return 0;
}

bool snp_always_intercepts(CPUX86State *env, uint32_t type)
{
    return (env->sev_status & SEV_STATUS_SNP) &&
           (type == SVM_EXIT_IOIO || type == SVM_EXIT_CPUID ||
            type == SVM_EXIT_VMSAVE);
}

void snp_drop_pages(CPUX86State *env)
{
    for (int i = 0; i < ARRAY_SIZE(env->snp_in_use); i++) {
        if (env->snp_in_use[i]) {
            amd_rmp_drop(env->snp_in_use[i]);
            env->snp_in_use[i] = NULL;
        }
    }
}

/* Does not return if VMSAVE may not write to the page. */
void snp_check_vmsave(CPUX86State *env, target_ulong addr, int mmu_idx,
                      uintptr_t retaddr)
{
    CPUTLBEntryFull *full;
    void *host;
    int flags;

    if (!(env->amd_syscfg & SYSCFG_SNP)) {
        return;
    }
    if (mmu_idx != MMU_NESTED_IDX) {
        if (!snp_hypervisor_owned(env, addr)) {
            raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
        }
        return;
    }
    flags = probe_access_full_mmu(env, addr, 0, MMU_DATA_STORE, mmu_idx, &host,
                                  &full);
    /* If it is not mapped, VMSAVE itself will exit. */
    if (!(flags & TLB_INVALID_MASK) &&
        !snp_hypervisor_owned(env, full->phys_addr)) {
        cpu_restore_state(env_cpu(env), retaddr);
        x86_stq_phys(env_cpu(env), env->vm_vmcb +
                     offsetof(struct vmcb, control.exit_info_2), addr);
        cpu_vmexit(env, SVM_EXIT_NPF,
                   PG_ERROR_P_MASK | PG_ERROR_W_MASK | PG_ERROR_U_MASK |
                   PG_ERROR_RMP_MASK | SVM_NPTEXIT_GPA, 0);
    }
}

/* Instructions of the hypervisor */

static void check_instruction(CPUX86State *env, uintptr_t ra)
{
    if (!(env->amd_syscfg & SYSCFG_SNP)) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
    if (env->hflags & HF_CPL_MASK) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
}

static void set_result(CPUX86State *env, uint32_t result, bool carry)
{
    env->regs[R_EAX] = result;
    CC_SRC = (result ? 0 : CC_Z) | (ctpop8(result) & 1 ? 0 : CC_P) |
             (carry ? CC_C : 0);
    CC_OP = CC_OP_EFLAGS;
}

/*
 * What can happen though the hypervisor has made no mistake: another processor
 * has the entry, or one that is among the same 2 MiB.
 */
static uint32_t fail_at_random(CPUX86State *env, uint32_t other)
{
    X86CPU *cpu = env_archcpu(env);
    uint32_t choice;

    if (!amd_fail(cpu->rmp_fail_rate, &cpu->rmp_fail_seed,
                  CPU(cpu)->cpu_index, &choice)) {
        return SUCCESS;
    }
    return choice % 2 ? FAIL_INUSE : other;
}

static uint32_t check_2m(AmdRmpEntry *entry)
{
    if (!(entry->state & RMP_2M) && amd_rmp_any_assigned(entry)) {
        return FAIL_OVERLAP;
    }
    for (int i = 1; i < AMD_RMP_2M_PAGE / AMD_RMP_PAGE; i++) {
        if (entry[i].state & RMP_IMMUTABLE) {
            return FAIL_PERMISSION;
        }
        if (entry[i].state & RMP_IN_USE) {
            return FAIL_INUSE;
        }
    }
    return SUCCESS;
}

/* With all other CPUs stopped.  @flags is the second half of the operand. */
static uint32_t rmpupdate(CPUX86State *env, hwaddr pa, uint64_t gpa,
                          uint64_t flags)
{
    AmdRmpEntry *entry = rmp_entry(env, pa);
    bool assigned = extract64(flags, 0, 1);
    bool large = extract64(flags, 8, 1);
    bool immutable = extract64(flags, 16, 1);
    uint32_t asid = extract64(flags, 32, 32), perms = RMP_PERM_ALL, result;
    uint64_t state, same;

    if ((large && pa % AMD_RMP_2M_PAGE) ||
        (!assigned && (immutable || asid)) || asid > AMD_MEM_ENC_NR_ASIDS ||
        !entry || (large && !rmp_entry(env, pa + AMD_RMP_2M_PAGE - 1))) {
        return FAIL_INPUT;
    }
    if (entry->state & RMP_IMMUTABLE) {
        return FAIL_PERMISSION;
    }
    if (entry->state & RMP_IN_USE) {
        return FAIL_INUSE;
    }
    if (large) {
        result = check_2m(entry);
        if (result) {
            return result;
        }
    } else if (amd_rmp_2m_entry(env->rmp_base, env->rmp_end, pa)) {
        return FAIL_OVERLAP;
    }
    if (!assigned) {
        amd_rmp_set(entry, 0, 0);
        return SUCCESS;
    }
    state = RMP_ASSIGNED | (large ? RMP_2M : 0) | (gpa & RMP_GPA) |
            (uint64_t)asid << RMP_ASID_SHIFT;
    same = entry->state & ~(RMP_VALIDATED | RMP_VMSA);
    if (state == same) {
        /* Not another page of the guest: what it has said of it remains. */
        state = entry->state;
        perms = entry->perms;
    }
    amd_rmp_set(entry, state | (immutable ? RMP_IMMUTABLE : 0), perms);
    return SUCCESS;
}

static uint32_t psmash(CPUX86State *env, hwaddr pa)
{
    AmdRmpEntry *entry = rmp_entry(env, pa);

    if (pa % AMD_RMP_2M_PAGE || !entry) {
        return FAIL_INPUT;
    }
    if (entry->state & RMP_IN_USE) {
        return FAIL_INUSE;
    }
    if (!(entry->state & RMP_2M) || (entry->state & RMP_IMMUTABLE)) {
        return FAIL_NO_2M_PAGE;
    }
    amd_rmp_smash(entry);
    return SUCCESS;
}

void helper_rmpupdate(CPUX86State *env, target_ulong operand)
{
    hwaddr pa = env->regs[R_EAX] & -AMD_RMP_PAGE;
    AmdStoppedCpus stopped;
    uint64_t gpa, flags;
    uint32_t result;

    check_instruction(env, GETPC());
    if (env->hflags & HF_GUEST_MASK) {
        set_result(env, FAIL_PERMISSION, false);
        return;
    }
    gpa = cpu_ldq_data_ra(env, operand, GETPC());
    flags = cpu_ldq_data_ra(env, operand + 8, GETPC());

    result = fail_at_random(env, FAIL_OVERLAP);
    if (result == SUCCESS) {
        amd_stop_cpus(&stopped);
        result = rmpupdate(env, pa, gpa, flags);
        if (result == SUCCESS) {
            amd_flush_tlbs();
        }
        amd_resume_cpus(&stopped);
    }
    set_result(env, result, false);
}

void helper_psmash(CPUX86State *env)
{
    AmdStoppedCpus stopped;
    uint32_t result;

    check_instruction(env, GETPC());
    if (env->hflags & HF_GUEST_MASK) {
        set_result(env, FAIL_PERMISSION, false);
        return;
    }
    result = fail_at_random(env, FAIL_INUSE);
    if (result == SUCCESS) {
        amd_stop_cpus(&stopped);
        result = psmash(env, env->regs[R_EAX]);
        if (result == SUCCESS) {
            amd_flush_tlbs();
        }
        amd_resume_cpus(&stopped);
    }
    set_result(env, result, false);
}

void helper_rmpread(CPUX86State *env, target_ulong operand)
{
    hwaddr pa = env->regs[R_EAX] & -AMD_RMP_PAGE;
    AmdRmpEntry *entry = rmp_entry(env, pa);
    uint64_t state, flags;

    if (!(env->features[FEAT_8000_001F_EAX] & CPUID_8000_001F_EAX_RMPREAD)) {
        raise_exception_ra(env, EXCP06_ILLOP, GETPC());
    }
    check_instruction(env, GETPC());
    if (env->hflags & HF_GUEST_MASK) {
        set_result(env, FAIL_PERMISSION, false);
        return;
    }
    if (!entry) {
        set_result(env, FAIL_INPUT, false);
        return;
    }
    state = qatomic_read(&entry->state);
    flags = (state & RMP_ASSIGNED ? 1 : 0) | (state & RMP_2M ? 1 << 8 : 0) |
            (state & RMP_IMMUTABLE ? 1 << 16 : 0) |
            (uint64_t)rmp_asid(state) << 32;
    if (pa % AMD_RMP_2M_PAGE == 0 && amd_rmp_any_assigned(entry)) {
        flags |= 1 << 9;
    }
    cpu_stq_data_ra(env, operand, state & RMP_GPA, GETPC());
    cpu_stq_data_ra(env, operand + 8, flags, GETPC());
    set_result(env, SUCCESS, false);
}

/* Instructions of SNP guests */

/* RDX of RMPADJUST */
#define ADJUST_VMPL(rdx)    extract64(rdx, 0, 8)
#define ADJUST_PERMS(rdx)   extract64(rdx, 8, 8)
#define ADJUST_VMSA(rdx)    extract64(rdx, 16, 1)

static void check_guest_instruction(CPUX86State *env, uintptr_t ra)
{
    if (!(env->sev_status & SEV_STATUS_SNP)) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
    if (env->hflags & HF_CPL_MASK) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
}

/*
 * The entry of the guest's page at @addr, if its size is the one that the guest
 * believes; else NULL, if only the guest is wrong.  Until the CPU leaves its
 * execution loop, nobody else but VMRUN and these instructions changes it.
 */
static AmdRmpEntry *guest_entry(CPUX86State *env, target_ulong addr, bool large,
                                uintptr_t ra)
{
    SnpAccess access;
    AmdRmpEntry *entry;
    uint64_t state;

    snp_translate(env, addr, &access, ra);
    access.pa &= -AMD_RMP_PAGE;
    entry = rmp_entry(env, access.pa);
    if (!large && amd_rmp_2m_entry(env->rmp_base, env->rmp_end, access.pa)) {
        /* The hypervisor is to smash it. */
        snp_raise_npf(env, &access, SVM_NPTEXIT_SIZEM, ra);
    }
    state = entry ? qatomic_read(&entry->state) : 0;
    if (!is_guests_page(env, state, access.gpa)) {
        snp_raise_npf(env, &access, 0, ra);
    }
    return large == !!(state & RMP_2M) ? entry : NULL;
}

/* RCX says whether the page is of 2 MiB, RDX whether it is to be valid. */
void helper_pvalidate(CPUX86State *env, target_ulong addr)
{
    bool large = env->regs[R_ECX] & 1, valid = env->regs[R_EDX] & 1;
    AmdStoppedCpus stopped;
    AmdRmpEntry *entry;
    uint64_t old;

    check_guest_instruction(env, GETPC());
    if (env->snp_vmpl) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, GETPC());
    }
    if (large && addr % AMD_RMP_2M_PAGE) {
        set_result(env, FAIL_INPUT, false);
        return;
    }
    entry = guest_entry(env, addr, large, GETPC());
    if (!entry) {
        set_result(env, FAIL_SIZEMISMATCH, false);
        return;
    }
    if (valid) {
        old = qatomic_fetch_or(&entry->state, RMP_VALIDATED);
        set_result(env, SUCCESS, old & RMP_VALIDATED);
        return;
    }
    old = qatomic_fetch_and(&entry->state, ~RMP_VALIDATED);
    amd_stop_cpus(&stopped);
    amd_flush_tlbs();
    amd_resume_cpus(&stopped);
    set_result(env, SUCCESS, !(old & RMP_VALIDATED));
}

static uint32_t rmpadjust(CPUX86State *env, AmdRmpEntry *entry, uint64_t rdx)
{
    unsigned vmpl = ADJUST_VMPL(rdx), shift = 8 * vmpl;
    uint32_t perms = ADJUST_PERMS(rdx);

    if (perms & ~(entry->perms >> (8 * env->snp_vmpl)) & 0xff) {
        return FAIL_PERMISSION;
    }
    /* Other CPUs can change what is of other VMPLs only. */
    qatomic_and(&entry->perms, ~(0xffu << shift));
    qatomic_or(&entry->perms, perms << shift);
    if (env->snp_vmpl == 0) {
        if (ADJUST_VMSA(rdx)) {
            qatomic_or(&entry->state, RMP_VMSA);
        } else {
            qatomic_and(&entry->state, ~RMP_VMSA);
        }
    }
    return SUCCESS;
}

void helper_rmpadjust(CPUX86State *env, target_ulong addr)
{
    uint64_t rcx = env->regs[R_ECX], rdx = env->regs[R_EDX];
    bool large = rcx & 1;
    AmdStoppedCpus stopped;
    AmdRmpEntry *entry;
    uint32_t result;

    check_guest_instruction(env, GETPC());
    if ((large && (addr % AMD_RMP_2M_PAGE || ADJUST_VMSA(rdx))) ||
        ADJUST_VMPL(rdx) >= AMD_SNP_NR_VMPLS) {
        set_result(env, FAIL_INPUT, false);
        return;
    }
    if (ADJUST_VMPL(rdx) <= env->snp_vmpl) {
        set_result(env, FAIL_PERMISSION, false);
        return;
    }
    entry = guest_entry(env, addr, large, GETPC());
    if (!entry) {
        set_result(env, FAIL_SIZEMISMATCH, false);
        return;
    }
    if (!(qatomic_read(&entry->state) & RMP_VALIDATED)) {
        snp_raise_vc(env, addr, GETPC());
    }
    result = rmpadjust(env, entry, rdx);
    if (result == SUCCESS) {
        amd_stop_cpus(&stopped);
        amd_flush_tlbs();
        amd_resume_cpus(&stopped);
    }
    set_result(env, result, false);
}
