// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page state changes that SNP guests ask for: what to tell userspace, and what
 * to make of its answer.  Knows neither vCPUs nor exits.
 */

#include <kunit/visibility.h>
#include <linux/kvm_host.h>

#include "snp_psc.h"
#include "x86.h"

static int snp_psc_finish(struct snp_psc *psc, u64 result)
{
	psc->result = result;
	return 0;
}

static void snp_psc_next_entry(struct snp_psc *psc)
{
	psc->cur_page = 0;
	psc->cur_idx++;
	psc->buffer->hdr.cur_entry = psc->cur_idx;
}

/*
 * The first @npages pages of the range have been processed successfully.
 * Update the entries in the guest's buffer.
 */
static void snp_psc_done(struct snp_psc *psc, u32 npages)
{
	while (npages) {
		u32 n = min(npages, psc->cur_npages - psc->cur_page);

		npages -= n;
		psc->cur_page += n;
		psc->buffer->entries[psc->cur_idx].cur_page = psc->cur_page;

		if (psc->cur_page == psc->cur_npages) {
			snp_psc_next_entry(psc);
			psc->cur_npages = psc->range.huge ? 512 : 1;
		}
	}
}

static int snp_psc_next(struct snp_psc *psc)
{
	struct psc_buffer *buffer = psc->buffer;
	struct psc_entry start, entry;
	u32 npages, cur_page;
	bool huge;
	u64 gfn;
	u16 idx;

next_range:
	/* Find the start of the next range which needs processing. */
	for (; psc->cur_idx <= psc->end_idx; snp_psc_next_entry(psc)) {
		start = READ_ONCE(buffer->entries[psc->cur_idx]);
		gfn = start.gfn;
		npages = start.pagesize ? 512 : 1;

		/* Trust the guest with what was done in an earlier request only. */
		cur_page = psc->cur_page ?: start.cur_page;

		if (cur_page > npages || !IS_ALIGNED(gfn, npages))
			return snp_psc_finish(psc, VMGEXIT_PSC_ERROR_INVALID_ENTRY);

		if (cur_page < npages)
			break;
	}

	if (psc->cur_idx > psc->end_idx) {
		/* Nothing more to process. */
		return snp_psc_finish(psc, 0);
	}

	psc->cur_page = cur_page;
	psc->cur_npages = npages;

	/*
	 * If this is a partially-completed 2M range, force 4K handling for the
	 * remaining pages since they're effectively split at this point, i.e.
	 * don't combine them with entries where 2M handling is still possible.
	 */
	huge = start.pagesize && !cur_page;
	gfn += cur_page;
	npages -= cur_page;

	/*
	 * Find all subsequent PSC entries that contain adjacent GPA
	 * ranges/operations and can be combined into a single
	 * KVM_HC_MAP_GPA_RANGE exit.
	 */
	for (idx = psc->cur_idx + 1; idx <= psc->end_idx; idx++) {
		entry = READ_ONCE(buffer->entries[idx]);

		if (entry.operation != start.operation ||
		    entry.gfn != gfn + npages ||
		    entry.cur_page || entry.pagesize != huge)
			break;

		npages += huge ? 512 : 1;
	}

	psc->range.gfn = gfn;
	psc->range.npages = npages;
	psc->range.private = start.operation == VMGEXIT_PSC_OP_PRIVATE;
	psc->range.huge = huge;

	switch (start.operation) {
	case VMGEXIT_PSC_OP_PRIVATE:
	case VMGEXIT_PSC_OP_SHARED:
		return 1;
	default:
		/*
		 * Only shared/private PSC operations are currently supported, so if the
		 * entire range consists of unsupported operations (e.g. SMASH/UNSMASH),
		 * then consider the entire range completed and avoid exiting to
		 * userspace.
		 */
		snp_psc_done(psc, npages);
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
	psc->cur_page = 0;
	psc->end_idx = READ_ONCE(buffer->hdr.end_entry);

	if (psc->end_idx >= nr_entries)
		return snp_psc_finish(psc, VMGEXIT_PSC_ERROR_INVALID_HDR);

	return snp_psc_next(psc);
}
EXPORT_SYMBOL_IF_KUNIT(snp_psc_begin);

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
EXPORT_SYMBOL_IF_KUNIT(snp_psc_begin_msr);

static int snp_psc_answer_msr(struct snp_psc *psc, u64 ret, u64 npages)
{
	if (ret == EINVAL)
		return snp_psc_finish(psc, GHCB_MSR_PSC_RESP_ERROR);

	if (npages)
		return snp_psc_finish(psc, GHCB_MSR_PSC_RESP);

	/* There is no response that makes the guest try again, ask userspace. */
	return 1;
}

int snp_psc_answer(struct snp_psc *psc, u64 ret, u64 npages)
{
	if (!kvm_is_valid_map_gpa_range_ret(ret) || npages > psc->range.npages)
		return -EINVAL;

	if (!psc->buffer)
		return snp_psc_answer_msr(psc, ret, npages);

	snp_psc_done(psc, npages);

	if (ret == EINVAL)
		return snp_psc_finish(psc, VMGEXIT_PSC_ERROR_GENERIC);

	/* The guest sees by cur_entry that there is more to do, and asks again. */
	if (ret || !npages)
		return snp_psc_finish(psc, 0);

	/* Handle the rest of the range or the next one (if any). */
	return snp_psc_next(psc);
}
EXPORT_SYMBOL_IF_KUNIT(snp_psc_answer);
