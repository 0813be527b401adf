/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which pages a Linux guest shares with its host, see linux_guest.h: what it has asked
 * for, and what its page tables say.  And the memory of guests whose private pages are
 * elsewhere, in guest_memfd.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_SHARED_H
#define SELFTEST_KVM_LINUX_GUEST_SHARED_H

#include "linux_guest.h"
#include "shared_ranges.h"

/* More than any guest has: only a broken one needs that many. */
#define LINUX_GUEST_MAX_SHARED_RANGES	65536

/* What a guest has asked for: linux_guest::shared. */
struct linux_guest_shared {
	/* The vCPUs' threads take the lock. */
	pthread_mutex_t *lock;
	struct shared_ranges *list;
	int nr_requests;

	/* The test's: so many requests from now on are not taken, and the guest is told. */
	int nr_refused;

	/*
	 * The test's: so many requests from now on are dropped, while the guest waits.  It
	 * is told that they were taken.  KVM must refuse its first access, before there is
	 * another request; either way the request is taken then, as if it had been late.
	 * Only for guests with guest_memfd: no other needs what it has asked for.
	 */
	int nr_to_drop;
	int nr_dropped;			/* so far: the test counts those of other guests */
	int nr_noticed;

	/* The test's, optional: sees a request before it is taken, under the lock. */
	void (*request)(struct linux_guest *guest, struct kvm_vcpu *vcpu, u64 gpa, u64 size,
			bool private);

	/* Where its page tables are not private, as it has told: a bit for each page. */
	unsigned long *told;
	bool has_told;

	/* The library's: the request that was dropped last, until it is taken. */
	u64 dropped_gpa, dropped_size;
	bool dropped_private;
};

/* How the list and the guest's page tables differ. */
struct linux_guest_shared_diff {
	u64 nr_shared;		/* pages that the guest maps as shared */
	u64 nr_missing;		/* of them, not in the list */
	u64 nr_stale;		/* in the list, but the guest has only private mappings */
	u64 first;		/* gpa of the first page of the latter two */
};

/* Lock and list are the caller's.  linux_guest_free() frees the rest. */
void linux_guest_init_shared(struct linux_guest *guest, pthread_mutex_t *lock,
			     struct shared_ranges *list);
void linux_guest_free_shared(struct linux_guest_shared *shared);

/*
 * For linux_guest::exit: take the guest's requests, and the one that was dropped if KVM
 * has noticed.  False for all other exits.
 */
bool linux_guest_shared_exit(struct linux_guest *guest, struct kvm_vcpu *vcpu);

/* For linux_guest_disk::may_access: a device can't read what is private. */
bool linux_guest_is_shared(struct linux_guest *guest, u64 gpa, u64 size);

/*
 * Nobody else can read the page tables of a guest with guest_memfd: it tells, on its
 * console, what it maps as shared.  The first of these is for its lines, and true if one
 * tells that; the second if what it has told counts no more.
 */
bool linux_guest_told_shared(struct linux_guest *guest, const char *line);
void linux_guest_forget_shared(struct linux_guest *guest);

/* What isn't memory is a device, which is in no bitmap. */
void linux_guest_mark_shared(struct linux_guest *guest, unsigned long *bitmap, u64 gpa,
			     u64 size);

/*
 * Compare the list with the pages of @bitmap, but for those of [@gpa, @gpa + @size).  The
 * caller has the lock.
 */
struct linux_guest_shared_diff
linux_guest_compare_shared(struct linux_guest *guest, const unsigned long *bitmap, u64 gpa,
			   u64 size);

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

#endif /* SELFTEST_KVM_LINUX_GUEST_SHARED_H */
