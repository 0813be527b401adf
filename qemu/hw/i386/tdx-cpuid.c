/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX, for TCG: CPUID of TDs
 *
 * Each bit is one of these: what the processor has, always 1, what the host has
 * configured, or 0.  The values are computed once, by TDH.MNG.INIT; few of them
 * depend on the vCPU's state.  Whatever has no value raises #VE.
 *
 * Source: ABI specification, "CPU Virtualization Tables" (cpuid.json).
 */
#include "qemu/osdep.h"
#include "tdx-internal.h"

#define MAX_BASE_LEAF       0x21
#define MAX_EXT_LEAF        0x80000008
#define HYPERVISOR_FIRST    0x40000000
#define HYPERVISOR_LAST     0x4fffffff

#define FMS_MASK            0x0fff3fff  /* family, model, stepping */

#define NONE                TDX_NO_SUBLEAF
#define ALL                 { -1u, -1u, -1u, -1u }

typedef struct CpuidRule {
    uint32_t leaf, subleaf;
    uint32_t native[4];         /* what the processor has */
    uint32_t fixed1[4];
    uint32_t config[4];         /* what the host has configured */
} CpuidRule;

/* In the order of the leaves; leaf 0xd follows from XFAM. */
static const CpuidRule rules[] = {
    { 0x0, NONE, { 0, -1u, -1u, -1u }, { MAX_BASE_LEAF } },
    { 0x1, NONE, { 0, 0x0000ff00, 0x72da3203, 0x1f8bfbff },
      { 0, 0, CPUID_EXT_X2APIC | CPUID_EXT_XSAVE | CPUID_EXT_HYPERVISOR,
        CPUID_MCE | CPUID_MCA | CPUID_MTRR | CPUID_APIC | CPUID_TSC },
      { FMS_MASK, 0x00ff0000, CPUID_EXT_TSC_DEADLINE_TIMER } },
    { 0x2, NONE, { }, { 0x00feff01, 0xf0 } },
    { 0x3, NONE },
    { 0x4, 0, ALL },
    { 0x4, 1, ALL },
    { 0x4, 2, ALL },
    { 0x4, 3, ALL },
    { 0x4, 4 },
    { 0x5, NONE },
    { 0x7, 0, { 0, 0x219c07a9, 0x1841070c, 0x9c004410 },
      { 0, 0, 0, CPUID_7_0_EDX_ARCH_CAPABILITIES } },
    { 0x7, 1 },
    { 0x7, 2 },
    { 0x8, NONE },
    { 0xa, NONE },
    { 0xb, 0 },
    { 0xb, 1 },
    { 0xb, 2 },
    { 0xe, NONE },
    { 0x11, NONE },
    { 0x12, 0 },
    { 0x13, NONE },
    { 0x14, 0 },
    { 0x15, NONE, { }, { 1, 0, 25000000 } },
    { 0x18, NONE },
    { 0x19, NONE },
    { 0x1a, NONE },
    { 0x1c, NONE },
    { 0x1d, 0 },
    { 0x1e, 0 },
    { 0x1f, 0, { }, { }, { 0x1f, 0xffff, 0xff00 } },
    { 0x1f, 1, { }, { }, { 0x1f, 0xffff, 0xff00 } },
    { 0x1f, 2, { }, { }, { 0x1f, 0xffff, 0xff00 } },
    { 0x20, NONE },
    { 0x21, NONE, { }, { 0, 0x65746e49, 0x20202020, 0x5844546c } },
    { 0x80000000, NONE, { }, { MAX_EXT_LEAF } },
    { 0x80000001, NONE, { 0, 0, 0x121, 0x2c100800 } },
    { 0x80000006, NONE, ALL },
    { 0x80000007, NONE, { }, { 0, 0, 0, CPUID_APM_INVTSC } },
    { 0x80000008, NONE, { 0xff }, { }, { 0, CPUID_8000_0008_EBX_WBNOINVD } },
};

/* Features that are not there without a part of the extended state */
static const struct {
    uint32_t leaf, subleaf;
    int reg;                    /* EAX, EBX, ECX, EDX */
    uint32_t bits;
    uint64_t xfam;
} needs_xfam[] = {
    { 0x1, NONE, 2, CPUID_EXT_AVX | CPUID_EXT_FMA | CPUID_EXT_F16C,
      XSTATE_YMM_MASK },
    { 0x7, 0, 1, CPUID_7_0_EBX_AVX2, XSTATE_YMM_MASK },
    { 0x7, 0, 2, CPUID_7_0_ECX_VAES | CPUID_7_0_ECX_VPCLMULQDQ,
      XSTATE_YMM_MASK },
    { 0x7, 0, 2, CPUID_7_0_ECX_PKU, XSTATE_PKRU_MASK },
};

static void native_cpuid(X86CPU *cpu, uint32_t leaf, uint32_t subleaf,
                         uint32_t regs[4])
{
    cpu_x86_cpuid(&cpu->env, leaf, subleaf == NONE ? 0 : subleaf,
                  &regs[0], &regs[1], &regs[2], &regs[3]);
}

/* What the host can configure */

static bool is_configurable(const CpuidRule *rule)
{
    return rule->config[0] | rule->config[1] | rule->config[2] |
           rule->config[3];
}

static const CpuidRule *config_rule(unsigned n)
{
    for (int i = 0; i < ARRAY_SIZE(rules); i++) {
        if (is_configurable(&rules[i]) && !n--) {
            return &rules[i];
        }
    }
    return NULL;
}

unsigned tdx_nr_cpuid_configs(void)
{
    unsigned n = 0;

    while (config_rule(n)) {
        n++;
    }
    return n;
}

void tdx_cpuid_config(unsigned i, uint32_t *leaf, uint32_t *subleaf,
                      uint32_t regs[4])
{
    const CpuidRule *rule = config_rule(i);

    *leaf = rule->leaf;
    *subleaf = rule->subleaf;
    memcpy(regs, rule->config, sizeof(rule->config));
}

/* Extended state */

/* x87, SSE, AVX and protection keys are what TCG has. */
uint64_t tdx_xfam_supported(X86CPU *cpu)
{
    uint32_t regs[4];

    native_cpuid(cpu, 0xd, 0, regs);
    return regs[0] & (TDX_XFAM_FIXED1 | XSTATE_YMM_MASK | XSTATE_PKRU_MASK);
}

/* Where the standard format ends, with all that XFAM allows */
static uint32_t standard_xsave_size(X86CPU *cpu, uint64_t xfam)
{
    uint32_t size = sizeof(X86LegacyXSaveArea) + sizeof(X86XSaveHeader);
    uint32_t regs[4];

    for (int i = 2; i < 63; i++) {
        if (xfam & 1ULL << i) {
            native_cpuid(cpu, 0xd, i, regs);
            size = MAX(size, regs[1] + regs[0]);
        }
    }
    return size;
}

static void xsave_leaf(X86CPU *cpu, const TdxTd *td, uint32_t subleaf,
                       uint32_t regs[4])
{
    memset(regs, 0, 4 * sizeof(*regs));
    if (subleaf == 0) {
        regs[0] = td->xfam;
        regs[2] = standard_xsave_size(cpu, td->xfam);
        regs[3] = td->xfam >> 32;
    } else if (subleaf == 1) {
        native_cpuid(cpu, 0xd, 1, regs);
        regs[0] &= CPUID_XSAVE_XSAVEOPT | CPUID_XSAVE_XSAVEC |
                   CPUID_XSAVE_XGETBV1 | CPUID_XSAVE_XSAVES;
        regs[1] = regs[2] = regs[3] = 0;
    } else if (td->xfam & 1ULL << subleaf) {
        native_cpuid(cpu, 0xd, subleaf, regs);
    }
}

/* The values of a TD */

static TdxCpuidValue *add(TdxTd *td, uint32_t leaf, uint32_t subleaf)
{
    TdxCpuidValue *value = &td->cpuid[td->nr_cpuid++];

    assert(td->nr_cpuid <= ARRAY_SIZE(td->cpuid));
    memset(value, 0, sizeof(*value));
    value->leaf = leaf;
    value->subleaf = subleaf;
    return value;
}

static void drop_without_xfam(const TdxTd *td, TdxCpuidValue *value)
{
    for (int i = 0; i < ARRAY_SIZE(needs_xfam); i++) {
        if (needs_xfam[i].leaf == value->leaf &&
            needs_xfam[i].subleaf == value->subleaf &&
            !(td->xfam & needs_xfam[i].xfam)) {
            value->regs[needs_xfam[i].reg] &= ~needs_xfam[i].bits;
        }
    }
}

/* What a rule alone does not give; false: it is configured wrongly. */
static bool special(X86CPU *cpu, const TdxTd *td, TdxCpuidValue *value)
{
    uint32_t native[4];

    native_cpuid(cpu, value->leaf, value->subleaf, native);
    switch (value->leaf) {
    case 0x1:
        /* No other processor than this one, or 0 for it */
        if (!value->regs[0]) {
            value->regs[0] = native[0] & FMS_MASK;
        }
        return value->regs[0] == (native[0] & FMS_MASK);
    case 0x15:
        value->regs[1] = td->tsc_frequency;
        return true;
    case 0x80000008:
        value->regs[0] |= (native[0] & 0xff00) ?: 48 << 8;
        return true;
    default:
        return true;
    }
}

static bool add_rule(X86CPU *cpu, TdxTd *td, const CpuidRule *rule,
                     const uint32_t config[4])
{
    TdxCpuidValue *value = add(td, rule->leaf, rule->subleaf);
    uint32_t native[4];

    native_cpuid(cpu, rule->leaf, rule->subleaf, native);
    for (int i = 0; i < 4; i++) {
        uint32_t configured = config ? config[i] : 0;

        if (configured & ~rule->config[i]) {
            return false;
        }
        value->regs[i] = (native[i] & rule->native[i]) | rule->fixed1[i] |
                         configured;
    }
    drop_without_xfam(td, value);
    return special(cpu, td, value);
}

static TdxCpuidValue *find(TdxTd *td, uint32_t leaf, uint32_t subleaf)
{
    return (TdxCpuidValue *)tdx_cpuid_find(td, leaf, subleaf, true);
}

/* Levels of leaf 0x1f (SDM): types, and how many bits of an id are below */
#define TOPO_INVALID        0
#define TOPO_SMT            1
#define TOPO_CORE           2
#define TOPO_TYPE(ecx)      (((ecx) >> 8) & 0xff)

static void set_level(TdxCpuidValue *value, uint32_t shift, uint32_t nr,
                      uint32_t type)
{
    value->regs[0] = shift;
    value->regs[1] = nr;
    value->regs[2] = type << 8;
}

/*
 * Leaf 0x1f is configured, or all vCPUs are cores of one package.  Leaf 0xb is
 * the same as far as it goes.
 */
static bool set_topology(TdxTd *td)
{
    TdxCpuidValue *level[3], *old;
    uint32_t shift = 0;

    for (int i = 0; i < 3; i++) {
        level[i] = find(td, 0x1f, i);
    }
    if (!level[0]->regs[2] && !level[0]->regs[1] && !level[0]->regs[0]) {
        set_level(level[0], 0, 1, TOPO_SMT);
        set_level(level[1], 32 - clz32(td->max_vcpus - 1), td->max_vcpus,
                  TOPO_CORE);
    }
    for (int i = 0; i < 3; i++) {
        uint32_t type = TOPO_TYPE(level[i]->regs[2]);
        uint32_t last = i ? TOPO_TYPE(level[i - 1]->regs[2]) : TOPO_INVALID;

        /* Types only grow, from SMT on, and so do the numbers of bits. */
        if (type != TOPO_INVALID &&
            (type <= last || (i == 0 && type != TOPO_SMT) ||
             (i && last == TOPO_INVALID) || level[i]->regs[0] < shift)) {
            return false;
        }
        shift = level[i]->regs[0];
        level[i]->regs[2] |= i;
    }
    for (int i = 0; i < 3; i++) {
        old = find(td, 0xb, i);
        if (TOPO_TYPE(level[i]->regs[2]) <= TOPO_CORE) {
            memcpy(old->regs, level[i]->regs, sizeof(old->regs));
        }
        old->regs[2] = (old->regs[2] & 0xff00) | i;
    }
    return true;
}

bool tdx_cpuid_init(X86CPU *cpu, TdxTd *td, const uint32_t (*config)[4],
                    uint64_t *bad)
{
    td->nr_cpuid = 0;
    for (int i = 0; i < ARRAY_SIZE(rules); i++) {
        *bad = rules[i].leaf | (uint64_t)rules[i].subleaf << 32;
        if (!add_rule(cpu, td, &rules[i], is_configurable(&rules[i]) ?
                                          *config++ : NULL)) {
            return false;
        }
    }
    for (uint32_t i = 0; i <= 18; i++) {
        xsave_leaf(cpu, td, i, add(td, 0xd, i)->regs);
    }
    *bad = 0x1f;
    return set_topology(td);
}

/* @exact: the sub-leaf must be named as it is in the table. */
const TdxCpuidValue *tdx_cpuid_find(const TdxTd *td, uint32_t leaf,
                                    uint32_t subleaf, bool exact)
{
    for (unsigned i = 0; i < td->nr_cpuid; i++) {
        const TdxCpuidValue *value = &td->cpuid[i];

        if (value->leaf == leaf &&
            (value->subleaf == subleaf || (!exact && value->subleaf == NONE))) {
            return value;
        }
    }
    return NULL;
}

/* CPUID, executed by a TD */

/* What depends on the vCPU and its state */
static void set_dynamic(X86CPU *cpu, const TdxVp *vp, uint32_t leaf,
                        uint32_t subleaf, uint32_t regs[4])
{
    const CPUX86State *env = &cpu->env;
    bool enum_topology = vp->td->td_ctls & TDX_CTLS_ENUM_TOPOLOGY;
    uint32_t native[4];

    switch (leaf) {
    case 0x1:
        regs[1] |= (enum_topology ? vp->x2apic_id : vp->index) << 24;
        if (env->cr[4] & CR4_OSXSAVE_MASK) {
            regs[2] |= CPUID_EXT_OSXSAVE;
        }
        break;
    case 0x7:
        if (subleaf == 0 && env->cr[4] & CR4_PKE_MASK) {
            regs[2] |= CPUID_7_0_ECX_OSPKE;
        }
        break;
    case 0xb:
    case 0x1f:
        regs[3] = vp->x2apic_id;
        break;
    case 0xd:
        /* The size of what is enabled: XCR0 and XSS are the TD's now. */
        if (subleaf <= 1) {
            native_cpuid(cpu, 0xd, subleaf, native);
            regs[1] = native[1];
        }
        break;
    case 0x80000001:
        if (!(env->hflags & HF_CS64_MASK)) {
            regs[3] &= ~CPUID_EXT2_SYSCALL;
        }
        break;
    }
}

/* Leaves that have a value, but only if the TD wants it */
static bool raises_ve(const TdxVp *vp, uint32_t leaf)
{
    switch (leaf) {
    case 0x2:
        return !(vp->td->td_ctls & TDX_CTLS_VIRT_CPUID2);
    case 0xb:
    case 0x1f:
        return !(vp->td->td_ctls & TDX_CTLS_ENUM_TOPOLOGY);
    default:
        return false;
    }
}

TdxAction tdx_cpuid(X86CPU *cpu, TdxVcpu *vcpu, uint32_t leaf, uint32_t subleaf,
                    uint32_t regs[4])
{
    TdxVp *vp = tdx_vp(vcpu);
    bool user = (cpu->env.hflags & HF_CPL_MASK) != 0;
    const TdxCpuidValue *value;

    if (leaf >= HYPERVISOR_FIRST && leaf <= HYPERVISOR_LAST) {
        return TDX_VE;
    }
    if (user ? vp->cpuid_user_ve : vp->cpuid_supervisor_ve) {
        return TDX_VE;
    }
    if (leaf > MAX_EXT_LEAF || (leaf > MAX_BASE_LEAF && leaf < 0x80000000)) {
        leaf = MAX_BASE_LEAF;
    }
    value = tdx_cpuid_find(vp->td, leaf, subleaf, false);
    if (raises_ve(vp, leaf)) {
        return TDX_VE;
    }
    if (value) {
        memcpy(regs, value->regs, sizeof(value->regs));
    } else if (leaf == 0xb || leaf == 0x1f) {
        /* There is no such level. */
        memset(regs, 0, 4 * sizeof(*regs));
        regs[2] = subleaf & 0xff;
    } else {
        return TDX_VE;
    }
    set_dynamic(cpu, vp, leaf, subleaf, regs);
    return TDX_DONE;
}
