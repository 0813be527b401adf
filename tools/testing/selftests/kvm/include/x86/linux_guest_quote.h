/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What becomes of a TD's request for a quote: a report of the TDX module, which the TD
 * has put in memory that it shares, is replaced by a quote.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_QUOTE_H
#define SELFTEST_KVM_LINUX_GUEST_QUOTE_H

#include <linux/types.h>

/* GHCI specification, TDG.VP.VMCALL<GetQuote>: status in the TD's buffer */
#define LINUX_GUEST_QUOTE_SUCCESS	0ull
#define LINUX_GUEST_QUOTE_IN_FLIGHT	~0ull
#define LINUX_GUEST_QUOTE_ERROR		0x8000000000000000ull

/* Such a buffer.  What is in it may change at any time. */
struct linux_guest_quote_buffer {
	u64 version;
	u64 status;
	u32 in_size;
	u32 out_size;
	u8 data[];
};

/*
 * Take the report out of it, and put a quote of version 4 into it: the same content, but
 * nobody has signed it.  @size is all of the buffer's.
 */
void linux_guest_write_quote(struct linux_guest_quote_buffer *buffer, u64 size);

#endif /* SELFTEST_KVM_LINUX_GUEST_QUOTE_H */
