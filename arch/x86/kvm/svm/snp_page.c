// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that the CPU marks in-use in the RMP while a vCPU runs, i.e. VMCBs,
 * VMSAs, host save areas and AVIC backing pages.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/cc_platform.h>
#include <linux/highmem.h>
#include <linux/kvm_host.h>
#include <linux/moduleparam.h>
#include <linux/pgtable.h>

#include "snp_page.h"
#include "trace.h"

#ifdef CONFIG_KVM_AMD_SNP_PAGE_FORCE
static bool force_snp_safe_pages __ro_after_init;
module_param(force_snp_safe_pages, bool, 0444);
#else
#define force_snp_safe_pages false
#endif

VISIBLE_IF_KUNIT bool snp_page_workaround __ro_after_init;
EXPORT_SYMBOL_IF_KUNIT(snp_page_workaround);

/*
 * Sample the attribute once, it is settled before any initcall of KVM runs:
 * only early CPU setup sets it, only early CPU and IOMMU setup clear it.
 */
void __init snp_page_hardware_setup(void)
{
	snp_page_workaround = cc_platform_has(CC_ATTR_HOST_SEV_SNP) ||
			      force_snp_safe_pages;
}

VISIBLE_IF_KUNIT bool snp_page_is_safe(unsigned long pfn)
{
	return !IS_ALIGNED(pfn, PTRS_PER_PMD);
}
EXPORT_SYMBOL_IF_KUNIT(snp_page_is_safe);

/* An order-1 block comes split, i.e. as two pages that are freed one by one. */
VISIBLE_IF_KUNIT struct page *snp_page_get(int node, gfp_t gfp, unsigned int order)
{
	struct page *page;

	KUNIT_STATIC_STUB_REDIRECT(snp_page_get, node, gfp, order);

	page = alloc_pages_node(node, gfp, order);
	if (page && order)
		split_page(page, order);
	return page;
}
EXPORT_SYMBOL_IF_KUNIT(snp_page_get);

VISIBLE_IF_KUNIT void snp_page_put(struct page *page)
{
	KUNIT_STATIC_STUB_REDIRECT(snp_page_put, page);

	__free_page(page);
}
EXPORT_SYMBOL_IF_KUNIT(snp_page_put);

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
VISIBLE_IF_KUNIT noinline struct page *snp_page_alloc(int node, gfp_t gfp)
{
	struct page *aligned[SNP_PAGE_MAX_TRIES];
	int nr_aligned = 0, tries;
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

	tries = nr_aligned + 1;
	while (nr_aligned)
		snp_page_put(aligned[--nr_aligned]);

	if (!page)
		return NULL;

	if (!want_init_on_alloc(gfp))
		clear_highpage(page);

	trace_kvm_snp_page_alloc(page_to_pfn(page), node, tries,
				 tries > SNP_PAGE_MAX_TRIES);
	return page;
}
EXPORT_SYMBOL_IF_KUNIT(snp_page_alloc);

/*
 * Allocate a zeroed page for use as VMCB, VMSA, HSAVE or AVIC backing page, on
 * @node and with @gfp.  Freed with __free_page() or free_page().
 */
struct page *snp_safe_alloc_page_node(int node, gfp_t gfp)
{
	struct page *page;

	if (snp_page_workaround)
		return snp_page_alloc(node, gfp);

	page = alloc_pages_node(node, gfp | __GFP_ZERO, 0);
	if (page)
		trace_kvm_snp_page_alloc(page_to_pfn(page), node, 1, false);
	return page;
}
EXPORT_SYMBOL_IF_KUNIT(snp_safe_alloc_page_node);
