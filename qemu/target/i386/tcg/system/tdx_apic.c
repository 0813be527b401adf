/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual APIC and posted interrupts of TDs
 *
 * Source: SDM volume 3, chapter "APIC Virtualization and Virtual Interrupts".
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "hw/i386/amd-mem-enc.h"
#include "hw/i386/apic.h"
#include "hw/i386/apic-msidef.h"
#include "hw/i386/tdx-module.h"
#include "tcg/helper-tcg.h"
#include "tdx.h"
#include "target/i386/trace.h"

#define VAPIC_TPR           0x080
#define VAPIC_ISR           0x100
#define VAPIC_IRR           0x200

#define X2APIC_TPR          0x808
#define X2APIC_PPR          0x80a
#define X2APIC_EOI          0x80b
#define X2APIC_ISR          0x810
#define X2APIC_IRR_LAST     0x827
#define X2APIC_SELF_IPI     0x83f

/* Pin-based VM-execution controls: process posted interrupts */
#define PIN_POSTED_INTERRUPTS   (1u << 7)

/* Posted-interrupt descriptor: 256 requests, then a bit that says so */
#define PI_DESC_SIZE        64
#define PI_DESC_REQUESTS    0
#define PI_DESC_CONTROL     4
#define PI_DESC_ON          1ULL

static uint32_t vapic_read(const TdxVcpu *vcpu, unsigned offset)
{
    return ldl_le_p(vcpu->vapic + offset);
}

static void vapic_write(TdxVcpu *vcpu, unsigned offset, uint32_t val)
{
    stl_le_p(vcpu->vapic + offset, val);
}

/* Of 256 bits, 32 of them each 16 bytes */
static unsigned vapic_word(unsigned base, uint8_t vector)
{
    return base + vector / 32 * 16;
}

static void vapic_set(TdxVcpu *vcpu, unsigned base, uint8_t vector)
{
    unsigned offset = vapic_word(base, vector);

    vapic_write(vcpu, offset,
                vapic_read(vcpu, offset) | 1u << vector % 32);
}

static void vapic_clear(TdxVcpu *vcpu, unsigned base, uint8_t vector)
{
    unsigned offset = vapic_word(base, vector);

    vapic_write(vcpu, offset,
                vapic_read(vcpu, offset) & ~(1u << vector % 32));
}

static int vapic_highest(const TdxVcpu *vcpu, unsigned base)
{
    for (int i = 7; i >= 0; i--) {
        uint32_t word = vapic_read(vcpu, base + i * 16);

        if (word) {
            return i * 32 + 31 - clz32(word);
        }
    }
    return -1;
}

static uint8_t vapic_ppr(const TdxVcpu *vcpu)
{
    uint8_t tpr = vapic_read(vcpu, VAPIC_TPR);
    int svi = vapic_highest(vcpu, VAPIC_ISR);

    return svi >= 0 && svi >> 4 > tpr >> 4 ? svi & 0xf0 : tpr;
}

bool tdx_vcpu_intr_pending(const TdxVcpu *vcpu)
{
    int rvi = vapic_highest(vcpu, VAPIC_IRR);

    return rvi >= 0 && rvi >> 4 > vapic_ppr(vcpu) >> 4;
}

void tdx_evaluate_interrupts(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    bool pending = tdx_vcpu_intr_pending(env->tdx_vcpu);

    if (pending == !!(qatomic_read(&cs->interrupt_request) &
                      CPU_INTERRUPT_VIRQ)) {
        return;
    }
    BQL_LOCK_GUARD();
    if (pending) {
        cpu_interrupt(cs, CPU_INTERRUPT_VIRQ);
    } else {
        cpu_reset_interrupt(cs, CPU_INTERRUPT_VIRQ);
    }
}

/* With the BQL: interrupts are enabled. */
void tdx_virtual_interrupt(CPUX86State *env)
{
    TdxVcpu *vcpu = env->tdx_vcpu;
    int vector = vapic_highest(vcpu, VAPIC_IRR);

    if (tdx_vcpu_intr_pending(vcpu)) {
        vapic_clear(vcpu, VAPIC_IRR, vector);
        vapic_set(vcpu, VAPIC_ISR, vector);
        trace_tdx_virtual_interrupt(env_cpu(env)->cpu_index, vector);
        tdx_evaluate_interrupts(env);
        do_interrupt_x86_hardirq(env, vector, 1);
    } else {
        cpu_reset_interrupt(env_cpu(env), CPU_INTERRUPT_VIRQ);
    }
}

/* What others have posted.  They write to the descriptor at any time. */
static void tdx_take_posted(CPUX86State *env)
{
    TdxVcpu *vcpu = env->tdx_vcpu;
    AddressSpace *as = &address_space_memory;
    hwaddr len = PI_DESC_SIZE;
    uint64_t *desc;

    if ((vcpu->pi_desc & (PI_DESC_SIZE - 1)) ||
        !tdx_memory_is_ram(vcpu->pi_desc, PI_DESC_SIZE)) {
        return;
    }
    amd_mem_enc_view(vcpu->pi_desc, 0);
    desc = address_space_map(as, vcpu->pi_desc, &len, true,
                             MEMTXATTRS_UNSPECIFIED);
    if (!desc) {
        return;
    }
    if (len == PI_DESC_SIZE) {
        qatomic_and(&desc[PI_DESC_CONTROL], cpu_to_le64(~PI_DESC_ON));
        for (int i = 0; i < 8; i++) {
            uint32_t *word = (uint32_t *)&desc[PI_DESC_REQUESTS] + i;
            unsigned offset = VAPIC_IRR + i * 16;

            vapic_write(vcpu, offset, vapic_read(vcpu, offset) |
                                      le32_to_cpu(qatomic_xchg(word, 0)));
        }
    }
    address_space_unmap(as, desc, len, true, len);
    trace_tdx_posted_interrupts(env_cpu(env)->cpu_index,
                                vapic_highest(vcpu, VAPIC_IRR));
    tdx_evaluate_interrupts(env);
}

/* With the BQL: the host's, unless it says that there are posted ones. */
void tdx_external_interrupt(CPUX86State *env)
{
    TdxVcpu *vcpu = env->tdx_vcpu;
    TdxEvent event = { .reason = TDX_REASON_EXTERNAL_INTERRUPT };
    int vector;

    env_cpu(env)->interrupt_request &= ~CPU_INTERRUPT_HARD;
    vector = cpu_get_pic_interrupt(env);
    if (vector < 0) {
        return;
    }
    if ((vcpu->pin_ctls & PIN_POSTED_INTERRUPTS) && vector == vcpu->pi_vector) {
        apic_end_of_interrupt(env_archcpu(env)->apic_state);
        tdx_take_posted(env);
        return;
    }
    event.intr_info = tdx_intr_info(TDX_INTR_TYPE_EXTERNAL, vector);
    tdx_exit(env, &event, 0);
}

uint8_t tdx_read_tpr(CPUX86State *env)
{
    return vapic_read(env->tdx_vcpu, VAPIC_TPR);
}

void tdx_write_tpr(CPUX86State *env, uint8_t tpr)
{
    vapic_write(env->tdx_vcpu, VAPIC_TPR, tpr);
    tdx_evaluate_interrupts(env);
}

bool tdx_apic_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *val)
{
    TdxVcpu *vcpu = env->tdx_vcpu;

    switch (msr) {
    case X2APIC_PPR:
        *val = vapic_ppr(vcpu);
        return true;
    case X2APIC_TPR:
    case X2APIC_ISR ... X2APIC_IRR_LAST:
        *val = vapic_read(vcpu, (msr & 0xff) << 4);
        return true;
    default:
        return false;
    }
}

TdxAction tdx_apic_wrmsr(CPUX86State *env, uint32_t msr, uint64_t val)
{
    TdxVcpu *vcpu = env->tdx_vcpu;
    int vector;

    switch (msr) {
    case X2APIC_TPR:
        if (val >> 8) {
            return TDX_GP;
        }
        tdx_write_tpr(env, val);
        return TDX_DONE;
    case X2APIC_EOI:
        if (val) {
            return TDX_GP;
        }
        vector = vapic_highest(vcpu, VAPIC_ISR);
        if (vector >= 0) {
            vapic_clear(vcpu, VAPIC_ISR, vector);
            tdx_evaluate_interrupts(env);
        }
        return TDX_DONE;
    case X2APIC_SELF_IPI:
        if (val >> 8) {
            return TDX_GP;
        }
        if (val >= 16) {
            vapic_set(vcpu, VAPIC_IRR, val);
            tdx_evaluate_interrupts(env);
        }
        return TDX_DONE;
    default:
        return TDX_NATIVE;
    }
}
