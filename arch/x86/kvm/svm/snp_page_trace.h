/* SPDX-License-Identifier: GPL-2.0-only */
#if !defined(_TRACE_KVM_SNP_PAGE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_KVM_SNP_PAGE_H

#include <linux/tracepoint.h>

#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

/*
 * Tracepoint for every page that is allocated for use as VMCB, VMSA, HSAVE or
 * AVIC backing page, on any host.
 */
TRACE_EVENT(kvm_snp_page_alloc,
	TP_PROTO(unsigned long pfn, int node, unsigned int tries, bool fallback),
	TP_ARGS(pfn, node, tries, fallback),

	TP_STRUCT__entry(
		__field(unsigned long,	pfn)
		__field(int,		node)
		__field(unsigned int,	tries)
		__field(bool,		fallback)
	),

	TP_fast_assign(
		__entry->pfn		= pfn;
		__entry->node		= node;
		__entry->tries		= tries;
		__entry->fallback	= fallback;
	),

	TP_printk("pfn 0x%lx node %d tries %u fallback %d",
		  __entry->pfn, __entry->node, __entry->tries, __entry->fallback)
);

#endif /* _TRACE_KVM_SNP_PAGE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH svm
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE snp_page_trace

/* This part must be outside protection */
#include <trace/define_trace.h>
