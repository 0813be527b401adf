/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TDs on TCG: what the parts of the processor have in common
 */
#ifndef I386_TCG_TDX_H
#define I386_TCG_TDX_H

#include "hw/i386/tdx-module.h"

/* VM-exit interruption information (SDM, table of that name) */
#define TDX_INTR_VALID          (1u << 31)
#define TDX_INTR_TYPE_EXTERNAL  0
#define TDX_INTR_TYPE_NMI       2
#define TDX_INTR_TYPE_HW_EXCEPTION 3

static inline uint32_t tdx_intr_info(unsigned type, uint8_t vector)
{
    return TDX_INTR_VALID | type << 8 | vector;
}

/* tdx_switch.c: the TD exits, with RIP at the instruction whose @ra it is. */
G_NORETURN void tdx_exit(CPUX86State *env, const TdxEvent *event, uintptr_t ra);

/* tdx_helper.c */
G_NORETURN void tdx_raise_ve(CPUX86State *env, const TdxEvent *event,
                             uintptr_t ra);

/* tdx_apic.c: after a change of what the TD's interrupts depend on */
void tdx_evaluate_interrupts(CPUX86State *env);
/* MSRs that are the virtual APIC's; false: it is none. */
bool tdx_apic_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *val);
TdxAction tdx_apic_wrmsr(CPUX86State *env, uint32_t msr, uint64_t val);

#endif
