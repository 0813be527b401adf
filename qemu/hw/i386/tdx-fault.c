/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX, for TCG: faults that are injected
 *
 * Hosts must be able to do with a leaf that fails for now: an object is taken,
 * there is no entropy, an interrupt came.  Here that happens seldom.  With the
 * machine's property tdx-fault-seed it happens often, and in the same way each
 * time.
 *
 * A leaf that was made to fail succeeds when the same CPU calls it the next
 * time: hosts rely on progress.
 */
#include "qemu/osdep.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "tdx-internal.h"

/* One call in so many fails. */
#define RATE            4

static const struct {
    unsigned leaf;
    uint64_t status;
} faults[] = {
    { 0, TDX_OPERAND_BUSY | TDX_OP_TD_EPOCH },      /* VP.ENTER */
    { 0, TDX_OPERAND_BUSY | TDX_OP_SEPT_TREE },
    { 1, TDX_RND_NO_ENTROPY },                      /* MNG.ADDCX */
    { 2, TDX_OPERAND_BUSY | TDX_OP_RCX },           /* MEM.PAGE.ADD */
    { 3, TDX_OPERAND_BUSY | TDX_OP_SEPT_TREE },     /* MEM.SEPT.ADD */
    { 6, TDX_OPERAND_BUSY | TDX_OP_RCX },           /* MEM.PAGE.AUG */
    { 6, TDX_OPERAND_BUSY | TDX_OP_SEPT_TREE },
    { 7, TDX_OPERAND_BUSY | TDX_OP_SEPT_TREE },     /* MEM.RANGE.BLOCK */
    { 9, TDX_RND_NO_ENTROPY },                      /* MNG.CREATE */
    { 29, TDX_OPERAND_BUSY | TDX_OP_RCX },          /* MEM.PAGE.REMOVE */
    { 38, TDX_OPERAND_BUSY | TDX_OP_TD_EPOCH },     /* MEM.TRACK */
    { 40, TDX_INTERRUPTED_RESUMABLE },              /* PHYMEM.CACHE.WB */
    { 69, TDX_INTERRUPTED_RESUMABLE },              /* SYS.DISABLE */
};

uint64_t tdx_fault_seed;
static uint64_t state;

void tdx_fault_reset(void)
{
    state = tdx_fault_seed;
    memset(tdx_module.fault_injected, 0,
           MACHINE(tdx_module.x86ms)->smp.max_cpus *
           sizeof(*tdx_module.fault_injected));
}

/* SplitMix64 (Steele, Lea, Flood) of a counter that all CPUs share */
static uint64_t next_random(void)
{
    uint64_t z = qatomic_fetch_add(&state, 0x9e3779b97f4a7c15ULL);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

bool tdx_fault(TdxCall *call, uint64_t *status)
{
    unsigned which, nr = 0, lp = CPU(call->cpu)->cpu_index;
    bool *failed = tdx_module.fault_injected[lp];
    uint64_t random;

    if (!tdx_fault_seed) {
        return false;
    }
    for (int i = 0; i < ARRAY_SIZE(faults); i++) {
        nr += faults[i].leaf == call->leaf;
    }
    if (!nr) {
        return false;
    }
    random = next_random();
    if (failed[call->leaf] || random % RATE) {
        failed[call->leaf] = false;
        return false;
    }
    which = random / RATE % nr;
    for (int i = 0; i < ARRAY_SIZE(faults); i++) {
        if (faults[i].leaf == call->leaf && !which--) {
            *status = faults[i].status;
        }
    }
    failed[call->leaf] = true;
    return true;
}
