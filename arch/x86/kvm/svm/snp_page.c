// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that the CPU marks in-use in the RMP while a vCPU runs, i.e. VMCBs,
 * VMSAs, host save areas and AVIC backing pages.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cc_platform.h>
#include <linux/highmem.h>
#include <linux/pgtable.h>

#include "snp_page.h"

static bool snp_page_workaround __ro_after_init;

/*
 * Sample the attribute once, it is settled before any initcall of KVM runs:
 * only early CPU setup sets it, only early CPU and IOMMU setup clear it.
 */
void __init snp_page_hardware_setup(void)
{
	snp_page_workaround = cc_platform_has(CC_ATTR_HOST_SEV_SNP);
}

static bool snp_page_is_safe(unsigned long pfn)
{
	return !IS_ALIGNED(pfn, PTRS_PER_PMD);
}

/* An order-1 block comes split, i.e. as two pages that are freed one by one. */
static struct page *snp_page_get(int node, gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages_node(node, gfp, order);

	if (page && order)
		split_page(page, order);
	return page;
}

static void snp_page_put(struct page *page)
{
	__free_page(page);
}

/*
 * Of two adjacent pages at most one is 2MB-aligned, and as blocks are naturally
 * aligned it can only be the first: one of the two is known to be safe.
 */
static struct page *snp_page_from_pair(int node, gfp_t gfp)
{
	struct page *page = snp_page_get(node, gfp, 1);

	if (!page)
		return NULL;

	if (snp_page_is_safe(page_to_pfn(page))) {
		snp_page_put(page + 1);
		return page;
	}

	snp_page_put(page);
	return page + 1;
}

/*
 * Allocate a zeroed page that works around the SNP erratum where the CPU
 * incorrectly signals an RMP violation #PF if a hugepage (2MB or 1GB) collides
 * with the RMP entry of a 2MB-aligned VMCB, VMSA, HSAVE or AVIC backing page.
 * A page that is not 2MB-aligned is safe, and 511 of 512 pages are not, so take
 * a single page and look at it.
 *
 * Hold on to an aligned page while taking the next: if it were freed at once,
 * it would be at the head of the per-CPU list, and come straight back.  Bound
 * how many are held, as nothing bounds how many aligned pages in a row a free
 * list has to offer, and then take an order-1 block, of which one page always
 * is safe.  Aligned pages are charged to the memcg, like any page allocated
 * with @gfp, but only for as long as they are held.
 *
 * Zero the page at the end, and only that one.  If the kernel initializes all
 * pages on allocation, it is zeroed already.
 */
static noinline struct page *snp_page_alloc(int node, gfp_t gfp)
{
	struct page *aligned[SNP_PAGE_MAX_TRIES];
	int nr_aligned = 0;
	struct page *page;

	gfp &= ~__GFP_ZERO;

	for (;;) {
		page = snp_page_get(node, gfp, 0);
		if (!page || snp_page_is_safe(page_to_pfn(page)))
			break;

		aligned[nr_aligned++] = page;
		if (nr_aligned == SNP_PAGE_MAX_TRIES) {
			page = snp_page_from_pair(node, gfp);
			break;
		}
	}

	while (nr_aligned)
		snp_page_put(aligned[--nr_aligned]);

	if (page && !want_init_on_alloc(gfp))
		clear_highpage(page);

	return page;
}

/*
 * Allocate a zeroed page for use as VMCB, VMSA, HSAVE or AVIC backing page, on
 * @node and with @gfp.  Freed with __free_page() or free_page().
 */
struct page *snp_safe_alloc_page_node(int node, gfp_t gfp)
{
	if (!snp_page_workaround)
		return alloc_pages_node(node, gfp | __GFP_ZERO, 0);

	return snp_page_alloc(node, gfp);
}
