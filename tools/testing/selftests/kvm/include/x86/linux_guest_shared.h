/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which pages a Linux guest shares with its host, see linux_guest.h: what it has asked
 * for, and what its page tables say.  And the memory of guests whose private pages are
 * elsewhere, in guest_memfd: SNP guests and TDs.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_SHARED_H
#define SELFTEST_KVM_LINUX_GUEST_SHARED_H

#include "linux_guest.h"
#include "shared_ranges.h"

/* More than any guest has: only a broken one needs that many. */
#define LINUX_GUEST_MAX_SHARED_RANGES	65536

/* How the list and the guest's page tables differ. */
struct linux_guest_shared_diff {
	u64 nr_shared;		/* pages that the guest maps as shared */
	u64 nr_missing;		/* of them, not in the list */
	u64 nr_stale;		/* in the list, but the guest has only private mappings */
	u64 first;		/* gpa of the first page of the latter two */
};

/* What isn't memory is a device, which is in no bitmap. */
void linux_guest_mark_shared(struct linux_guest *guest, unsigned long *bitmap, u64 gpa,
			     u64 size);

/* Compare the list with the pages of @bitmap, but for those of [@gpa, @gpa + @size). */
struct linux_guest_shared_diff
linux_guest_compare_shared(struct linux_guest *guest, const struct shared_ranges *list,
			   const unsigned long *bitmap, u64 gpa, u64 size);

/* Memory in which something is loaded is the guest's from the start in blocks of this size. */
#define LINUX_GUEST_BLOCK_SIZE		SZ_2M

/* Memory that the guest has to accept. */
struct linux_guest_range {
	u64 start;
	u64 end;
};

bool linux_guest_is_empty(struct linux_guest *guest, gpa_t gpa, u64 size);

/* The blocks in which nothing is loaded.  There is an empty range behind the last one. */
void linux_guest_find_empty(struct linux_guest *guest, struct linux_guest_range *ranges,
			    int max);

/* Whatever has been loaded is lost, what is private has memory of its own. */
void linux_guest_discard(struct linux_guest *guest, gpa_t gpa, u64 size);

/* What is in the pages is lost. */
void linux_guest_convert(struct linux_guest *guest, gpa_t gpa, u64 size, bool private);

#endif /* SELFTEST_KVM_LINUX_GUEST_SHARED_H */
