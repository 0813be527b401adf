// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page state changes that SNP guests ask for: what to tell userspace, and what
 * to make of its answer.  Knows neither vCPUs nor exits.
 */

#include <linux/kvm_host.h>

#include "snp_psc.h"
#include "x86.h"

static int snp_psc_finish(struct snp_psc *psc, u64 result)
{
	psc->batch_size = 0;
	psc->result = result;
	return 0;
}

/*
 * Everything in-flight has been processed successfully.  Update the entries in
 * the guest's buffer.
 */
static void snp_psc_done(struct snp_psc *psc)
{
	struct psc_buffer *buffer = psc->buffer;
	u16 idx;

	for (idx = psc->cur_idx; psc->batch_size; psc->batch_size--, idx++) {
		struct psc_entry entry = READ_ONCE(buffer->entries[idx]);

		buffer->entries[idx].cur_page = entry.pagesize ? 512 : 1;
	}

	psc->cur_idx = idx;
	buffer->hdr.cur_entry = idx;
}

static int snp_psc_next(struct snp_psc *psc)
{
	struct psc_buffer *buffer = psc->buffer;
	struct psc_entry entry_start;
	int npages;
	bool huge;
	u64 gfn;
	u16 idx;

next_range:
	/* There should be no other PSCs in-flight at this point. */
	if (WARN_ON_ONCE(psc->batch_size))
		return snp_psc_finish(psc, VMGEXIT_PSC_ERROR_GENERIC);

	/* Find the start of the next range which needs processing. */
	for (idx = psc->cur_idx; idx <= psc->end_idx; idx++) {
		entry_start = READ_ONCE(buffer->entries[idx]);

		gfn = entry_start.gfn;
		huge = entry_start.pagesize;
		npages = huge ? 512 : 1;

		if (entry_start.cur_page > npages || !IS_ALIGNED(gfn, npages))
			return snp_psc_finish(psc, VMGEXIT_PSC_ERROR_INVALID_ENTRY);

		if (entry_start.cur_page) {
			/*
			 * If this is a partially-completed 2M range, force 4K handling
			 * for the remaining pages since they're effectively split at
			 * this point. Subsequent code should ensure this doesn't get
			 * combined with adjacent PSC entries where 2M handling is still
			 * possible.
			 */
			npages -= entry_start.cur_page;
			gfn += entry_start.cur_page;
			huge = false;
		}

		if (npages)
			break;

		/*
		 * Increment the guest-visible index to communicate the current
		 * entry back to the guest, e.g. in case of failure.  No need
		 * for READ_ONCE() as KVM doesn't consume the field, i.e. a
		 * misbehaving guest can only break itself.
		 */
		buffer->hdr.cur_entry++;
	}

	if (idx > psc->end_idx) {
		/* Nothing more to process. */
		return snp_psc_finish(psc, 0);
	}

	psc->cur_idx = idx;
	psc->batch_size = 1;

	/*
	 * Find all subsequent PSC entries that contain adjacent GPA
	 * ranges/operations and can be combined into a single
	 * KVM_HC_MAP_GPA_RANGE exit.
	 */
	while (++idx <= psc->end_idx) {
		struct psc_entry entry = READ_ONCE(buffer->entries[idx]);

		if (entry.operation != entry_start.operation ||
		    entry.gfn != entry_start.gfn + npages ||
		    entry.cur_page || !!entry.pagesize != huge)
			break;

		psc->batch_size++;
		npages += huge ? 512 : 1;
	}

	switch (entry_start.operation) {
	case VMGEXIT_PSC_OP_PRIVATE:
	case VMGEXIT_PSC_OP_SHARED:
		psc->range.gfn = gfn;
		psc->range.npages = npages;
		psc->range.private = entry_start.operation == VMGEXIT_PSC_OP_PRIVATE;
		psc->range.huge = entry_start.pagesize;
		return 1;
	default:
		/*
		 * Only shared/private PSC operations are currently supported, so if the
		 * entire range consists of unsupported operations (e.g. SMASH/UNSMASH),
		 * then consider the entire range completed and avoid exiting to
		 * userspace.
		 */
		snp_psc_done(psc);
		goto next_range;
	}
}

int snp_psc_begin(struct snp_psc *psc, struct psc_buffer *buffer, unsigned int nr_entries)
{
	/*
	 * The PSC descriptor buffer can be modified by a misbehaved guest after
	 * validation, so take care to only use validated copies of values used
	 * for things like array indexing.
	 */
	psc->buffer = buffer;
	psc->cur_idx = READ_ONCE(buffer->hdr.cur_entry);
	psc->end_idx = READ_ONCE(buffer->hdr.end_entry);

	if (psc->end_idx >= nr_entries)
		return snp_psc_finish(psc, VMGEXIT_PSC_ERROR_INVALID_HDR);

	return snp_psc_next(psc);
}

int snp_psc_begin_msr(struct snp_psc *psc, u64 ghcb_msr)
{
	u8 op = GHCB_MSR_PSC_REQ_TO_OP(ghcb_msr);

	psc->buffer = NULL;

	if (op != SNP_PAGE_STATE_PRIVATE && op != SNP_PAGE_STATE_SHARED)
		return snp_psc_finish(psc, GHCB_MSR_PSC_RESP_ERROR);

	psc->range.gfn = GHCB_MSR_PSC_REQ_TO_GFN(ghcb_msr);
	psc->range.npages = 1;
	psc->range.private = op == SNP_PAGE_STATE_PRIVATE;
	psc->range.huge = false;
	return 1;
}

int snp_psc_answer(struct snp_psc *psc, u64 ret)
{
	if (!kvm_is_valid_map_gpa_range_ret(ret))
		return -EINVAL;

	if (!psc->buffer)
		return snp_psc_finish(psc, ret ? GHCB_MSR_PSC_RESP_ERROR : GHCB_MSR_PSC_RESP);

	if (ret)
		return snp_psc_finish(psc, VMGEXIT_PSC_ERROR_GENERIC);

	snp_psc_done(psc);

	/* Handle the next range (if any). */
	return snp_psc_next(psc);
}
