// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count the TSC ticks of one SNP-safe page allocation in the running KVM.
 *
 * For an emulator that runs one instruction per tick (QEMU -icount shift=0), or
 * cycles of a real TSC.  The module calls the very function of the kvm_amd that is
 * loaded, so that one binary measures the unpatched base and the series alike.
 *
 * force=1 makes the kernel believe that it is an SNP host, which takes rodata=off.
 *
 * What KVM takes for a vCPU comes from lists of free pages that are warm ("free").
 * "burst" is as bad as it can get: ALLOCS pages in a row, with empty lists, so that
 * aligned pages that were held and freed come back for the next one.
 *
 * fragment=1 also measures without free order-1 blocks, and with half as many as
 * pages are asked for.  To get there the module takes all memory page by page and
 * frees those with an odd pfn: none of them can merge with a neighbour, and half of
 * all memory is free.  What the kernel itself frees later, it takes as well.
 */
#include <linux/cc_platform.h>
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <asm/coco.h>
#include <asm/tsc.h>

#include "lookup.h"

/* The first round warms the lists and is not counted. */
#define ROUNDS		12
#define ALLOCS		2048
/* In fragmented memory, where the base tries hard before it gives up. */
#define FEW_ALLOCS	256

static bool force;
module_param(force, bool, 0444);
static bool fragment;
module_param(fragment, bool, 0444);
static char *label = "";
module_param(label, charp, 0444);

static struct page *pages[ALLOCS];
static struct page *(*alloc)(int node, gfp_t gfp);
static void (*drain)(struct zone *zone);

/* All memory */
static struct page **hoard;
static unsigned long nr_hoard, max_hoard;

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

static unsigned long nr_free_blocks(void)
{
	unsigned long nr = 0;
	int zone, order;

	for (zone = 0; zone < MAX_NR_ZONES; zone++)
		for (order = 1; order < NR_PAGE_ORDERS; order++)
			nr += NODE_DATA(0)->node_zones[zone].free_area[order].nr_free;
	return nr;
}

/* Below the watermarks too, or some would be left there. */
static void take_all(unsigned int order)
{
	struct page *page;

	while (nr_hoard + 2 <= max_hoard &&
	       (page = alloc_pages(__GFP_MEMALLOC | __GFP_NOWARN, order))) {
		hoard[nr_hoard++] = page;
		if (!order)
			continue;
		split_page(page, 1);
		hoard[nr_hoard++] = page + 1;
	}
}

enum prepare {
	NOTHING,
	DRAIN,		/* the per-CPU lists, so that there is what the buddy has */
	TAKE_BLOCKS,	/* no block of order 1 and more is left */
};

static void measure(const char *state, int nr, gfp_t gfp, enum prepare prepare)
{
	int round, i, failed, unsafe = 0;
	u64 empty, total;

	empty = rdtsc_ordered();
	empty = rdtsc_ordered() - empty;

	for (round = 0; round < ROUNDS; round++) {
		if (prepare >= DRAIN)
			drain(NULL);
		if (prepare >= TAKE_BLOCKS)
			take_all(1);
		if (round == 1)
			pr_info("%lu free blocks of order 1 and more\n", nr_free_blocks());
		for (i = 0, total = 0, failed = 0; i < nr; i++) {
			u64 start = rdtsc_ordered();

			pages[i] = alloc(numa_node_id(), gfp);
			total += rdtsc_ordered() - start - empty;
			if (pages[i])
				unsafe += IS_ALIGNED(page_to_pfn(pages[i]), PTRS_PER_PMD);
			else
				failed++;
		}
		while (i--)
			if (pages[i])
				__free_page(pages[i]);
		if (round) {
			pr_info("bench: %s_%s %llu\n", label, state, total / nr);
			pr_info("bench: %s_%s_refused %d\n", label, state, failed * 1000 / nr);
		}
		cond_resched();
	}
	pr_info("%d of %d pages were 2MB-aligned\n", unsafe, ROUNDS * nr);
}

/* At most @nr of the pages whose pfn divided by @mod leaves @remainder. */
static void give_back(unsigned long nr, unsigned int mod, unsigned int remainder)
{
	unsigned long i;

	for (i = 0; i < nr_hoard && nr; i++) {
		if (!hoard[i] || page_to_pfn(hoard[i]) % mod != remainder)
			continue;
		__free_page(hoard[i]);
		hoard[i] = NULL;
		nr--;
	}
	drain(NULL);
}

/* With KVM's own GFP_KERNEL_ACCOUNT, the base would have processes killed for it. */
static int measure_fragmented(void)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN;

	max_hoard = 2 * totalram_pages();
	hoard = vmalloc_array(max_hoard, sizeof(*hoard));
	if (!hoard)
		return -ENOMEM;
	drain(NULL);
	take_all(0);
	give_back(ULONG_MAX, 2, 1);
	measure("none", FEW_ALLOCS, gfp, TAKE_BLOCKS);
	/* Blocks of order 1 that cannot merge in turn, either */
	give_back(FEW_ALLOCS / 2, 4, 0);
	measure("scarce", FEW_ALLOCS, gfp, DRAIN);
	give_back(ULONG_MAX, 1, 0);
	vfree(hoard);
	return 0;
}

static int __init snp_page_bench_init(void)
{
	int ret = find_lookup();

	if (ret)
		return ret;
	if (force)
		return pretend_snp_host();

	alloc = (void *)lookup("snp_safe_alloc_page_node");
	drain = (void *)lookup("drain_all_pages");
	if (!alloc || !drain)
		return -ENOENT;
	/* What KVM itself asks for */
	measure("free", ALLOCS, GFP_KERNEL_ACCOUNT, NOTHING);
	measure("burst", ALLOCS, GFP_KERNEL_ACCOUNT, DRAIN);
	return fragment ? measure_fragmented() : 0;
}
module_init(snp_page_bench_init);

static void __exit snp_page_bench_exit(void)
{
}
module_exit(snp_page_bench_exit);

MODULE_DESCRIPTION("Ticks of KVM's SNP-safe page allocation");
MODULE_LICENSE("GPL");
