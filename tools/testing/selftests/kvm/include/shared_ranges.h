/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ranges of guest physical addresses that a guest shares with its host,
 * sorted, and merged where they overlap or touch.
 *
 * A VMM keeps them to know which pages it may read to migrate the guest, and
 * sends them along.  Nothing here aborts the program, what the guest and the
 * sender of a stream say is checked: an error leaves the list as it was.
 *
 * A change takes O(log n), and again for each range that it removes.  There is
 * no lock.
 */
#ifndef SELFTEST_KVM_SHARED_RANGES_H
#define SELFTEST_KVM_SHARED_RANGES_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/rbtree.h>
#include <linux/types.h>

#include "migration_handshake.h"

#define SHARED_RANGES_PAGE_SIZE	4096ull

/* In bytes, "end" is the first byte behind. */
struct shared_range {
	u64 start;
	u64 end;
};

/* To be read by everyone, "max" also to be written. */
struct shared_ranges {
	struct rb_root leaves;
	u64 nr;			/* ranges */
	u64 max;		/* most ranges, bounds what a guest can use up */
	u64 size;		/* bytes in all ranges */
	u64 visited;		/* keys that changes have compared so far */
};

void shared_ranges_init(struct shared_ranges *list, u64 max);
void shared_ranges_clear(struct shared_ranges *list);

/*
 * -EINVAL: no or half a page, or the end isn't below 2^64.
 * -ENOSPC: there would be more than "max" ranges.
 * -ENOMEM
 *
 * To remove the middle of a range makes two of it, i.e. can fail as well.
 */
int shared_ranges_add(struct shared_ranges *list, u64 gpa, u64 size);
int shared_ranges_remove(struct shared_ranges *list, u64 gpa, u64 size);

bool shared_ranges_test(const struct shared_ranges *list, u64 gpa);

/*
 * The range with "gpa", or the first one above, or NULL; valid until the list
 * changes.  To see all ranges, go on with the end of the one before.
 */
const struct shared_range *shared_ranges_next(const struct shared_ranges *list,
					      u64 gpa);

/*
 * The stream, all of it little-endian: this header, then start and end of each
 * range, 64 bits each.  There is exactly one stream for a list and a state.
 */
#define SHARED_RANGES_MAGIC	0x474e523448534d56ull	/* "VMSH4RNG" */
#define SHARED_RANGES_VERSION	1

struct shared_ranges_header {
	__le64 magic;
	__le32 version;
	__le32 state;		/* enum migration_state */
	__le64 nr;
};

size_t shared_ranges_stream_size(const struct shared_ranges *list);

/* -EINVAL: no such state.  -ENOSPC: the buffer is smaller than the stream. */
int shared_ranges_save(const struct shared_ranges *list,
		       enum migration_state state, void *buf, size_t size);

/*
 * Replaces the list and the state.  -EINVAL if the stream, of exactly "size"
 * bytes, isn't what shared_ranges_save() would write, -ENOSPC if it has more
 * than "max" ranges, -ENOMEM.
 */
int shared_ranges_load(struct shared_ranges *list, enum migration_state *state,
		       const void *buf, size_t size);

/* malloc() and free(), weak so that a test can count them and let them fail. */
void *shared_ranges_alloc(size_t size);
void shared_ranges_free(void *ptr);

#endif /* SELFTEST_KVM_SHARED_RANGES_H */
