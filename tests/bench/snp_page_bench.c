// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count the instructions of one SNP-safe page allocation in the running KVM.
 *
 * For an emulator that runs one instruction per TSC tick (QEMU -icount shift=0).
 * The module calls the very function of the kvm_amd that is loaded, so that one
 * binary measures the unpatched base and the series alike.  force=1 makes the
 * kernel believe that it is an SNP host, which takes rodata=off.
 */
#include <linux/cc_platform.h>
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/mm.h>
#include <asm/coco.h>
#include <asm/tsc.h>

#include "lookup.h"

/* The first round fills the per-CPU lists and is not counted. */
#define ROUNDS	6
#define ALLOCS	2048

static bool force;
module_param(force, bool, 0444);
static char *label = "";
module_param(label, charp, 0444);

static struct page *pages[ALLOCS];

static int pretend_snp_host(void)
{
	enum cc_vendor *vendor = (void *)lookup("cc_vendor");
	u64 *flags = (void *)lookup("cc_flags");

	if (!vendor || !flags)
		return -ENOENT;
	*vendor = CC_VENDOR_AMD;
	*flags = 1;
	return cc_platform_has(CC_ATTR_HOST_SEV_SNP) ? 0 : -EINVAL;
}

static int measure(void)
{
	struct page *(*alloc)(int node, gfp_t gfp) = (void *)lookup("snp_safe_alloc_page_node");
	u64 empty, total;
	int round, i, unsafe = 0;

	if (!alloc)
		return -ENOENT;

	empty = rdtsc_ordered();
	empty = rdtsc_ordered() - empty;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0, total = 0; i < ALLOCS; i++) {
			u64 start = rdtsc_ordered();

			pages[i] = alloc(numa_node_id(), GFP_KERNEL_ACCOUNT);
			total += rdtsc_ordered() - start - empty;
			if (!pages[i])
				return -ENOMEM;
			unsafe += IS_ALIGNED(page_to_pfn(pages[i]), PTRS_PER_PMD);
		}
		while (i)
			__free_page(pages[--i]);
		if (round)
			pr_info("bench: snp_page_%s %llu\n", label, total / ALLOCS);
		cond_resched();
	}
	pr_info("bench: %d of %d pages were 2MB-aligned\n", unsafe, ROUNDS * ALLOCS);
	return 0;
}

static int __init snp_page_bench_init(void)
{
	int ret = find_lookup();

	if (ret)
		return ret;
	return force ? pretend_snp_host() : measure();
}
module_init(snp_page_bench_init);

static void __exit snp_page_bench_exit(void)
{
}
module_exit(snp_page_bench_exit);

MODULE_DESCRIPTION("Instruction counts of KVM's SNP-safe page allocation");
MODULE_LICENSE("GPL");
