// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that the CPU marks in-use in the RMP while a vCPU runs, i.e. VMCBs,
 * VMSAs, host save areas and AVIC backing pages.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/pgtable.h>

#include "svm.h"
#include "trace.h"

static bool snp_page_is_safe(unsigned long pfn)
{
	return !IS_ALIGNED(pfn, PTRS_PER_PMD);
}

/*
 * Allocate one extra page, choose a page which is not 2MB-aligned, and free the
 * other.
 */
static struct page *snp_safe_page_of_two(int node, gfp_t gfp)
{
	struct page *p;

	p = alloc_pages_node(node, gfp, 1);
	if (!p)
		return NULL;

	split_page(p, 1);

	if (!snp_page_is_safe(page_to_pfn(p)))
		__free_page(p++);
	else
		__free_page(p + 1);

	return p;
}

struct page *snp_safe_alloc_page_node(int node, gfp_t gfp)
{
	struct page *p, *aligned;
	unsigned int tries = 1;

	gfp |= __GFP_ZERO;
	p = alloc_pages_node(node, gfp, 0);

	/*
	 * Allocate an SNP-safe page to workaround the SNP erratum where
	 * the CPU will incorrectly signal an RMP violation #PF if a
	 * hugepage (2MB or 1GB) collides with the RMP entry of a
	 * 2MB-aligned VMCB, VMSA, or AVIC backing page.  Do so on all
	 * hosts, it costs next to nothing where there is no RMP.
	 *
	 * Hold an aligned page until there is another one.  If it were freed
	 * first, the page allocator would most likely return it again.
	 */
	if (p && !snp_page_is_safe(page_to_pfn(p))) {
		aligned = p;
		tries++;
		p = alloc_pages_node(node, gfp, 0);
		if (p && !snp_page_is_safe(page_to_pfn(p))) {
			tries++;
			__free_page(p);
			p = snp_safe_page_of_two(node, gfp);
		}
		__free_page(aligned);
	}

	if (p)
		trace_kvm_snp_page_alloc(p, tries);
	return p;
}
