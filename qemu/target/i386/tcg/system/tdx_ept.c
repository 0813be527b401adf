/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Translation of what TDs access
 *
 * A GPA whose shared bit is clear is translated by the secure EPT, which is
 * the module's, and one whose shared bit is set by the host's EPT.
 *
 * Source: SDM volume 3, chapter "VMX Support for Address Translation"; Intel
 * TDX CPU Architectural Extensions, "Guest Physical Address Translation".
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "exec/page-protection.h"
#include "hw/i386/amd-mem-enc.h"
#include "hw/i386/tdx-module.h"
#include "tcg/helper-tcg.h"
#include "tdx.h"
#include "target/i386/trace.h"

#define EPT_READ            (1ULL << 0)
#define EPT_WRITE           (1ULL << 1)
#define EPT_EXEC            (1ULL << 2)
#define EPT_RWX             (EPT_READ | EPT_WRITE | EPT_EXEC)
#define EPT_PAGE            (1ULL << 7)     /* of 2 MiB or of 1 GiB */
#define EPT_SUPPRESS_VE     (1ULL << 63)
#define EPT_MEM_TYPE_SHIFT  3
#define EPT_ADDRESS         0x000ffffffffff000ULL

/* Qualification: what the entries allow */
#define EPT_QUAL_ALLOWED_SHIFT  3

bool tdx_gpa_is_shared(CPUX86State *env, uint64_t gpa)
{
    return gpa >> env->tdx_vcpu->shared_bit & 1;
}

static uint64_t ept_entry(CPUX86State *env, uint64_t pa)
{
    amd_mem_enc_view(pa, 0);
    return x86_ldq_phys(env_cpu(env), pa);
}

/* Key ids are the module's to use, so that an address must have none. */
static bool ept_entry_is_valid(uint64_t entry, int level)
{
    unsigned mem_type = extract64(entry, EPT_MEM_TYPE_SHIFT, 3);
    uint64_t size_mask = (1ULL << (12 + 9 * (level - 1))) - 1;
    bool leaf = level == 1 || (entry & EPT_PAGE);

    if ((entry & (EPT_READ | EPT_WRITE)) == EPT_WRITE ||
        (entry & EPT_ADDRESS) >> TDX_KEYID_SHIFT) {
        return false;
    }
    if (!leaf) {
        return !extract64(entry, EPT_MEM_TYPE_SHIFT, 4);
    }
    return level <= 3 && mem_type != 2 && mem_type != 3 && mem_type != 7 &&
           !(entry & EPT_ADDRESS & size_mask);
}

static TdxAction translate_shared(CPUX86State *env, uint64_t gpa, int need,
                                  TdxTranslation *out, TdxEvent *event)
{
    const TdxVcpu *vcpu = env->tdx_vcpu;
    uint64_t table = vcpu->shared_eptp & EPT_ADDRESS;
    uint64_t allowed = EPT_RWX, entry;
    int level = vcpu->ept_levels;

    event->reason = TDX_REASON_EPT_VIOLATION;
    for (;; level--) {
        int shift = 12 + 9 * (level - 1);

        entry = ept_entry(env, table + extract64(gpa, shift, 9) * 8);
        allowed &= entry;
        if (!(entry & EPT_RWX)) {
            break;
        }
        if (!ept_entry_is_valid(entry, level)) {
            event->reason = TDX_REASON_EPT_MISCONFIG;
            return TDX_EXIT;
        }
        if (level > 1 && !(entry & EPT_PAGE)) {
            table = entry & EPT_ADDRESS;
            continue;
        }
        if (!(need & ~allowed)) {
            out->page_size = 1ULL << shift;
            out->pa = (entry & EPT_ADDRESS) | (gpa & (out->page_size - 1));
            out->prot = allowed;
            return TDX_DONE;
        }
        break;
    }
    event->qualification = allowed << EPT_QUAL_ALLOWED_SHIFT;
    return entry & EPT_SUPPRESS_VE ? TDX_EXIT : TDX_VE;
}

static TdxAction translate(CPUX86State *env, uint64_t gpa, int need,
                           TdxTranslation *out, TdxEvent *event)
{
    TdxVcpu *vcpu = env->tdx_vcpu;

    QEMU_BUILD_BUG_ON(EPT_READ != PAGE_READ || EPT_WRITE != PAGE_WRITE ||
                      EPT_EXEC != PAGE_EXEC);
    if (gpa >> (vcpu->shared_bit + 1)) {
        event->reason = TDX_REASON_EPT_VIOLATION;
        return TDX_EXIT;
    }
    if (tdx_gpa_is_shared(env, gpa)) {
        return translate_shared(env, gpa, need, out, event);
    }
    return tdx_translate_private(vcpu, gpa, need, out, event);
}

bool tdx_translate(CPUX86State *env, uint64_t gpa, MMUAccessType type,
                   hwaddr *pa, int *prot, int *page_size)
{
    TdxVcpu *vcpu = env->tdx_vcpu;
    TdxTranslation out;

    vcpu->fault = (TdxEvent) { };
    vcpu->fault_action = translate(env, gpa, 1 << type, &out, &vcpu->fault);
    if (vcpu->fault_action != TDX_DONE) {
        return false;
    }
    *pa = out.pa;
    *prot = out.prot;
    *page_size = MIN(out.page_size, 1 << 30);
    return true;
}

G_NORETURN void tdx_raise_ept_violation(CPUX86State *env,
                                        const TdxAccess *access, uintptr_t ra)
{
    TdxVcpu *vcpu = env->tdx_vcpu;
    TdxEvent *event = &vcpu->fault;

    event->gpa = access->gpa;
    if (event->reason == TDX_REASON_EPT_VIOLATION) {
        /* EPT has no A/D bits, so that a walk only reads. */
        event->qualification |= TDX_EPT_GLA_VALID |
            (access->gla_translated ? TDX_EPT_GLA_TRANSLATED |
                                      1u << access->type : TDX_EPT_READ);
        event->gla = access->gla;
    }
    if (vcpu->fault_action == TDX_VE) {
        tdx_raise_ve(env, event, ra);
    }
    tdx_exit(env, event, ra);
}

/*
 * A machine check for this CPU, which consumes poison, and, as Intel's CPUs
 * do without local machine checks, for all others (SDM, "Architecturally
 * Defined SRAR Errors").
 */
#define MCE_BANK            1
#define MCACOD_DATA_LOAD    0x134
#define MCACOD_INSN_FETCH   0x150
#define MCI_MISC_LSB        TARGET_PAGE_BITS
#define MCI_MISC_PHYS       (2 << 6)

static void raise_machine_check(CPUState *cs, run_on_cpu_data data)
{
    BQL_LOCK_GUARD();
    cpu_env(cs)->mcg_status |= MCG_STATUS_MCIP | MCG_STATUS_RIPV;
    cpu_interrupt(cs, CPU_INTERRUPT_MCE);
}

void tdx_check_host_access(CPUX86State *env, hwaddr pa, MMUAccessType type)
{
    uint64_t *bank = env->mce_banks + 4 * MCE_BANK;
    CPUState *cs = env_cpu(env), *other;

    if (likely(!tdx_memory_owner(pa)) || (env->mcg_cap & 0xff) <= MCE_BANK ||
        (env->mcg_status & MCG_STATUS_MCIP)) {
        return;
    }
    trace_tdx_host_access(cs->cpu_index, env->eip, pa);
    bank[1] = MCI_STATUS_VAL | MCI_STATUS_UC | MCI_STATUS_EN |
              MCI_STATUS_MISCV | MCI_STATUS_ADDRV | MCI_STATUS_S |
              MCI_STATUS_AR | (type == MMU_INST_FETCH ? MCACOD_INSN_FETCH :
                                                        MCACOD_DATA_LOAD);
    bank[2] = pa;
    bank[3] = MCI_MISC_PHYS | MCI_MISC_LSB;
    env->mcg_status = MCG_STATUS_MCIP | MCG_STATUS_EIPV;
    CPU_FOREACH(other) {
        if (other != cs) {
            async_run_on_cpu(other, raise_machine_check, RUN_ON_CPU_NULL);
        }
    }
    BQL_LOCK_GUARD();
    cpu_interrupt(cs, CPU_INTERRUPT_MCE);
}
