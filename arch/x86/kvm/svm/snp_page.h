/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __KVM_X86_SVM_SNP_PAGE_H
#define __KVM_X86_SVM_SNP_PAGE_H

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/topology.h>

#ifdef CONFIG_KVM_AMD_SEV
/* How many single pages are looked at before an order-1 block is taken. */
#define SNP_PAGE_MAX_TRIES	4

void __init snp_page_hardware_setup(void);
struct page *snp_safe_alloc_page_node(int node, gfp_t gfp);

#if IS_ENABLED(CONFIG_KUNIT)
extern bool snp_page_workaround;
bool snp_page_is_safe(unsigned long pfn);
struct page *snp_page_get(int node, gfp_t gfp, unsigned int order);
void snp_page_put(struct page *page);
struct page *snp_page_alloc(int node, gfp_t gfp);
#endif
#else
static inline void snp_page_hardware_setup(void) {}

static inline struct page *snp_safe_alloc_page_node(int node, gfp_t gfp)
{
	return alloc_pages_node(node, gfp | __GFP_ZERO, 0);
}
#endif

static inline struct page *snp_safe_alloc_page(void)
{
	return snp_safe_alloc_page_node(numa_node_id(), GFP_KERNEL_ACCOUNT);
}

#endif /* __KVM_X86_SVM_SNP_PAGE_H */
