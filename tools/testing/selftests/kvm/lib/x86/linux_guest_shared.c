// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pages that a Linux guest shares with its host, see linux_guest_shared.h.
 */
#include <linux/bitmap.h>
#include <sys/mman.h>

#include "linux_guest_shared.h"

void linux_guest_mark_shared(struct linux_guest *guest, unsigned long *bitmap, u64 gpa,
			     u64 size)
{
	u64 page;

	for (page = gpa / SZ_4K; page < (gpa + size) / SZ_4K; page++) {
		if (page < guest->mem_size / SZ_4K)
			__set_bit(page, bitmap);
	}
}

struct linux_guest_shared_diff
linux_guest_compare_shared(struct linux_guest *guest, const struct shared_ranges *list,
			   const unsigned long *bitmap, u64 gpa, u64 size)
{
	const struct shared_range *range = shared_ranges_next(list, 0);
	u64 page, nr_pages = guest->mem_size / SZ_4K;
	struct linux_guest_shared_diff diff = {};
	bool mapped, listed;

	for (page = 0; page < nr_pages; page++) {
		if (range && page * SZ_4K >= range->end)
			range = shared_ranges_next(list, range->end);
		if (page * SZ_4K - gpa < size)
			continue;

		mapped = test_bit(page, bitmap);
		listed = range && page * SZ_4K >= range->start;
		diff.nr_shared += mapped;
		if (mapped == listed)
			continue;
		if (!diff.nr_missing && !diff.nr_stale)
			diff.first = page * SZ_4K;
		diff.nr_missing += mapped;
		diff.nr_stale += listed;
	}
	return diff;
}

bool linux_guest_is_empty(struct linux_guest *guest, gpa_t gpa, u64 size)
{
	const u64 *word = addr_gpa2hva(guest->vm, gpa), *end = word + size / sizeof(*word);

	while (word < end && !*word)
		word++;
	return word == end;
}

void linux_guest_find_empty(struct linux_guest *guest, struct linux_guest_range *ranges,
			    int max)
{
	gpa_t gpa, end;
	int nr = 0;

	TEST_ASSERT(!(guest->mem_size % LINUX_GUEST_BLOCK_SIZE), "%lu bytes aren't whole blocks",
		    guest->mem_size);
	for (gpa = 0; gpa < guest->mem_size; gpa = end + LINUX_GUEST_BLOCK_SIZE) {
		for (end = gpa; end < guest->mem_size &&
		     linux_guest_is_empty(guest, end, LINUX_GUEST_BLOCK_SIZE);)
			end += LINUX_GUEST_BLOCK_SIZE;
		if (end == gpa)
			continue;
		TEST_ASSERT(nr < max - 1, "Memory is loaded to too many places");
		ranges[nr++] = (struct linux_guest_range) { gpa, end };
	}
	ranges[nr] = (struct linux_guest_range) {};
}

void linux_guest_discard(struct linux_guest *guest, gpa_t gpa, u64 size)
{
	TEST_ASSERT(!madvise(addr_gpa2hva(guest->vm, gpa), size, MADV_DONTNEED),
		    "madvise(), errno %d", errno);
}

void linux_guest_convert(struct linux_guest *guest, gpa_t gpa, u64 size, bool private)
{
	/* What isn't memory is a device. */
	if (gpa >= guest->mem_size)
		return;
	size = min_t(u64, size, guest->mem_size - gpa);

	vm_set_memory_attributes(guest->vm, gpa, size,
				 private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
	/* Nobody needs the other memory of these pages any more. */
	if (private)
		linux_guest_discard(guest, gpa, size);
	else
		vm_guest_mem_punch_hole(guest->vm, gpa, size);
}
