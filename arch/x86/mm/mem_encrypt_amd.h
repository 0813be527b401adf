/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _X86_MM_MEM_ENCRYPT_AMD_H
#define _X86_MM_MEM_ENCRYPT_AMD_H

#include <linux/kconfig.h>
#include <asm/pgtable_types.h>

#if IS_ENABLED(CONFIG_KUNIT)
/* What a test calls, and what it puts its own page tables and host behind. */
void enc_dec_hypercall(unsigned long vaddr, unsigned long size, bool enc);
pte_t *enc_dec_lookup(unsigned long vaddr, unsigned int *level);
bool enc_dec_is_shared(pte_t pte);
void enc_dec_report_shared(unsigned long vaddr, unsigned long vaddr_end);
void enc_dec_notify(unsigned long pfn, int npages, bool enc);
int amd_enc_status_change_finish(unsigned long vaddr, int npages, bool enc);
#endif

#endif /* _X86_MM_MEM_ENCRYPT_AMD_H */
