// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count the TSC ticks of a hypercall, in a guest and its host together.
 *
 * For an emulator that runs one instruction per tick (QEMU -icount shift=0), or
 * cycles of a real TSC, in a guest of the KVM that runs there.
 *
 *  patched	kvm_hypercall0(), once alternatives have been applied
 *  early	what it does before in the series: it tests two bits of boot_cpu_data
 *  bare	the right instruction: what the base has for SEV guests before they are
 *  fixup	the other vendor's instruction: what the base has for all other guests
 *		of AMD hosts before they are.  KVM takes the #UD and writes the right
 *		one over it, once for every call site.
 */
#include <linux/kvm_para.h>
#include <linux/module.h>
#include <linux/sort.h>
#include <asm/tsc.h>

#define CALLS	512

static const u8 vmcall[] = { 0x0f, 0x01, 0xc1, 0xc3 };
static const u8 vmmcall[] = { 0x0f, 0x01, 0xd9, 0xc3 };

static u64 counts[CALLS], empty = ~0ull;

static int compare(const void *a, const void *b)
{
	return *(const u64 *)a < *(const u64 *)b ? -1 : 1;
}

/* The median: timer interrupts are in some of the calls. */
static void report(const char *what)
{
	sort(counts, CALLS, sizeof(counts[0]), compare, NULL);
	pr_info("bench: hypercall_%s %llu\n", what, counts[CALLS / 2] - empty);
}

/*
 * Call @function, with @code written over its beginning before each call.
 *
 * @function is part of the kernel, as KVM may walk the guest's page tables to skip
 * or to fix the instruction.
 */
static void measure(const char *what, void *function, const u8 *code)
{
	u8 saved[sizeof(vmcall)];
	u64 start;
	int i;

	memcpy(saved, function, sizeof(saved));
	for (i = 0; i < CALLS; i++) {
		long nr = KVM_HC_VAPIC_POLL_IRQ;

		memcpy(function, code, sizeof(saved));
		start = rdtsc_ordered();
		asm volatile("call *%[function]"
			     : "+a"(nr), ASM_CALL_CONSTRAINT
			     : [function] "r"(function)
			     : "memory");
		counts[i] = rdtsc_ordered() - start;
		if (nr)
			pr_err("hypercall_%s: %ld\n", what, nr);
	}
	memcpy(function, saved, sizeof(saved));
	report(what);
}

static long early_hypercall0(unsigned int nr)
{
	long ret = -KVM_ENOSYS;

	if (boot_cpu_has(X86_FEATURE_TDX_GUEST))
		return ret;
	if (boot_cpu_has(X86_FEATURE_VMMCALL))
		asm volatile("vmmcall" : "=a"(ret) : "a"(nr) : "memory");
	else
		asm volatile("vmcall" : "=a"(ret) : "a"(nr) : "memory");
	return ret;
}

static int __init hypercall_bench_init(void)
{
	bool amd = boot_cpu_has(X86_FEATURE_VMMCALL);
	u64 start;
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
	report("patched");

	for (i = 0; i < CALLS; i++) {
		start = rdtsc_ordered();
		early_hypercall0(KVM_HC_VAPIC_POLL_IRQ);
		counts[i] = rdtsc_ordered() - start;
	}
	report("early");

	/* Nobody else calls it meanwhile, and rodata=off makes it writable. */
	measure("bare", dump_stack, amd ? vmmcall : vmcall);
	measure("fixup", dump_stack, amd ? vmcall : vmmcall);
	return 0;
}
module_init(hypercall_bench_init);

static void __exit hypercall_bench_exit(void)
{
}
module_exit(hypercall_bench_exit);

MODULE_DESCRIPTION("Ticks of hypercalls");
MODULE_LICENSE("GPL");
