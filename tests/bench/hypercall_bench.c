// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count the instructions of a hypercall, in a guest and its host together.
 *
 * For an emulator that runs one instruction per TSC tick (QEMU -icount shift=0),
 * in a guest of the KVM that the emulated machine runs.
 */
#include <linux/kvm_para.h>
#include <linux/module.h>
#include <linux/sort.h>
#include <asm/tsc.h>

#include "lookup.h"

#define CALLS	512

static u64 counts[CALLS];

static int compare(const void *a, const void *b)
{
	return *(const u64 *)a < *(const u64 *)b ? -1 : 1;
}

/* The median: timer interrupts are in some of the calls. */
static void report(const char *what, u64 empty)
{
	sort(counts, CALLS, sizeof(counts[0]), compare, NULL);
	pr_info("bench: hypercall_%s %llu\n", what, counts[CALLS / 2] - empty);
}

/*
 * A function of the kernel that takes the number in RAX or EDI.  KVM walks the
 * guest's page tables to skip the instruction, so that what is compared must be
 * mapped alike: as kvm_early_hypercall() and noinstr_hypercall(), the patched
 * call site of the KUnit suite, are.  The base has neither.
 */
static void measure_function(const char *symbol, const char *what, u64 empty)
{
	void *function = (void *)lookup(symbol);
	u64 start;
	int i;

	for (i = 0; function && i < CALLS; i++) {
		long nr = KVM_HC_VAPIC_POLL_IRQ;

		start = rdtsc_ordered();
		asm volatile("call *%[function]"
			     : "+a"(nr), ASM_CALL_CONSTRAINT
			     : [function] "r"(function), "D"(nr)
			     : "memory");
		counts[i] = rdtsc_ordered() - start;
	}
	if (function)
		report(what, empty);
}

static int __init hypercall_bench_init(void)
{
	u64 start, empty = ~0ull;
	int i, ret = find_lookup();

	if (ret)
		return ret;
	if (!kvm_para_available())
		return -ENODEV;

	for (i = 0; i < CALLS; i++) {
		start = rdtsc_ordered();
		empty = min(empty, rdtsc_ordered() - start);
	}

	for (i = 0; i < CALLS; i++) {
		start = rdtsc_ordered();
		kvm_hypercall0(KVM_HC_VAPIC_POLL_IRQ);
		counts[i] = rdtsc_ordered() - start;
	}
	report("patched", empty);
	measure_function("noinstr_hypercall", "bare", empty);
	measure_function("kvm_early_hypercall", "early", empty);
	return 0;
}
module_init(hypercall_bench_init);

static void __exit hypercall_bench_exit(void)
{
}
module_exit(hypercall_bench_exit);

MODULE_DESCRIPTION("Instruction counts of hypercalls");
MODULE_LICENSE("GPL");
