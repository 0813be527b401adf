/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __KVM_X86_SVM_SNP_PSC_H
#define __KVM_X86_SVM_SNP_PSC_H

#include <linux/types.h>

#include <asm/sev-common.h>

/* Memory of the guest, which may change it at any time. */
struct psc_buffer {
	struct psc_hdr hdr;
	struct psc_entry entries[];
} __packed;

/* The pages whose state userspace is to change. */
struct snp_psc_range {
	u64 gfn;
	u32 npages;
	bool private;
	bool huge;
};

/* An SNP guest's request to change the state of pages. */
struct snp_psc {
	struct snp_psc_range range;

	/* What the guest gets, in SW_EXITINFO2 or in the GHCB MSR. */
	u64 result;

	/* NULL for requests that are made with the GHCB MSR protocol. */
	struct psc_buffer *buffer;
	u16 cur_idx;		/* the first entry that is not done */
	u16 end_idx;
	u32 cur_page;		/* pages of this entry that are done */
	u32 cur_npages;		/* pages that this entry has */
};

/*
 * Each of these returns 1 if userspace is to change the state of psc->range,
 * and 0 if the request is over, with psc->result.
 *
 * snp_psc_answer() takes what userspace says about the range, and how many of
 * its pages, from its start, have changed.  It returns -EINVAL if userspace
 * must not say that, with the range as it was.
 */
int snp_psc_begin(struct snp_psc *psc, struct psc_buffer *buffer, unsigned int nr_entries);
int snp_psc_begin_msr(struct snp_psc *psc, u64 ghcb_msr);
int snp_psc_answer(struct snp_psc *psc, u64 ret, u64 npages);

#endif /* __KVM_X86_SVM_SNP_PSC_H */
