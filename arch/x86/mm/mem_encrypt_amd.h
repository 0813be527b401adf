/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _X86_MM_MEM_ENCRYPT_AMD_H
#define _X86_MM_MEM_ENCRYPT_AMD_H

/*
 * What pages the host is told about when a range was encrypted or decrypted, apart
 * from page tables and host, so that KUnit can play them.
 */

#include <linux/align.h>
#include <linux/bug.h>
#include <linux/compiler.h>
#include <linux/minmax.h>
#include <linux/pgtable.h>

/* Any pfn is a valid answer, 0 included: say apart whether there is one. */
static inline bool pg_level_to_pfn(int level, pte_t *kpte, unsigned long *pfn,
				   pgprot_t *prot)
{
	switch (level) {
	case PG_LEVEL_4K:
		*pfn = pte_pfn(*kpte);
		*prot = pte_pgprot(*kpte);
		return true;
	case PG_LEVEL_2M:
		*pfn = pmd_pfn(*(pmd_t *)kpte);
		*prot = pmd_pgprot(*(pmd_t *)kpte);
		return true;
	case PG_LEVEL_1G:
		*pfn = pud_pfn(*(pud_t *)kpte);
		*prot = pud_pgprot(*(pud_t *)kpte);
		return true;
	default:
		WARN_ONCE(1, "Invalid level for kpte\n");
		return false;
	}
}

/* From 2 GiB on, more than an int holds. */
static inline unsigned long enc_dec_size(int npages)
{
	return (unsigned long)npages << PAGE_SHIFT;
}

/* Physically contiguous pages of one status, not reported yet. */
struct enc_run {
	unsigned long pfn;
	unsigned long len;
	bool enc;
	void (*notify)(unsigned long pfn, int npages, bool enc);
};

static __always_inline void enc_run_end(struct enc_run *run)
{
	if (run->len)
		run->notify(run->pfn, run->len >> PAGE_SHIFT, run->enc);
	run->len = 0;
}

static __always_inline void enc_run_add(struct enc_run *run, unsigned long pfn, unsigned long len)
{
	if (pfn != run->pfn + (run->len >> PAGE_SHIFT))
		enc_run_end(run);
	if (!run->len)
		run->pfn = pfn;
	run->len += len;
}

static __always_inline void enc_dec_report(unsigned long vaddr, unsigned long size, bool enc,
					   pte_t *(*lookup)(unsigned long vaddr,
							    unsigned int *level),
					   void (*notify)(unsigned long pfn, int npages,
							  bool enc))
{
	unsigned long vaddr_end = vaddr + size;
	struct enc_run run = { .enc = enc, .notify = notify };

	if (!size)
		return;

	vaddr &= PAGE_MASK;
	while (vaddr < vaddr_end) {
		unsigned long pfn, offset, len;
		unsigned int level;
		pgprot_t prot;
		pte_t *kpte;

		kpte = lookup(vaddr, &level);
		if (!kpte || pte_none(*kpte)) {
			WARN_ONCE(1, "kpte lookup for vaddr\n");
			break;
		}

		if (!pg_level_to_pfn(level, kpte, &pfn, &prot))
			break;

		/* The mapping may begin before the range, and end after it. */
		offset = vaddr & ~page_level_mask(level);
		len = min(page_level_size(level) - offset, PAGE_ALIGN(vaddr_end) - vaddr);
		enc_run_add(&run, pfn + (offset >> PAGE_SHIFT), len);
		vaddr += len;
	}
	enc_run_end(&run);
}

#endif /* _X86_MM_MEM_ENCRYPT_AMD_H */
