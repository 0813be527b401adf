// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count the instructions of a hypercall, in a guest and its host together.
 *
 * For an emulator that runs one instruction per TSC tick (QEMU -icount shift=0),
 * in a guest of the KVM that the emulated machine runs.
 */
#include <linux/kprobes.h>
#include <linux/kvm_para.h>
#include <linux/module.h>
#include <linux/sort.h>
#include <asm/tsc.h>

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

/* What a call site is before alternatives are applied; the base has none. */
static void *find_early_hypercall(void)
{
	struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };
	unsigned long (*lookup)(const char *name);

	if (register_kprobe(&probe))
		return NULL;
	lookup = (void *)probe.addr;
	unregister_kprobe(&probe);
	return (void *)lookup("kvm_early_hypercall");
}

static int __init hypercall_bench_init(void)
{
	void *early = find_early_hypercall();
	u64 start, empty = ~0ull;
	int i;

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

	for (i = 0; early && i < CALLS; i++) {
		long nr = KVM_HC_VAPIC_POLL_IRQ;

		start = rdtsc_ordered();
		asm volatile("call *%[early]" : "+a"(nr), ASM_CALL_CONSTRAINT
			     : [early] "r"(early) : "memory");
		counts[i] = rdtsc_ordered() - start;
	}
	if (early)
		report("early", empty);
	return 0;
}
module_init(hypercall_bench_init);

static void __exit hypercall_bench_exit(void)
{
}
module_exit(hypercall_bench_exit);

MODULE_DESCRIPTION("Instruction counts of hypercalls");
MODULE_LICENSE("GPL");
