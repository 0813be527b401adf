// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pages that a Linux guest shares with its host, see linux_guest_shared.h.
 */
#include <linux/bitmap.h>
#include <linux/kvm_coco.h>
#include <linux/kvm_para.h>
#include <sys/mman.h>

#include "linux_guest_shared.h"

void linux_guest_init_shared(struct linux_guest *guest, pthread_mutex_t *lock,
			     struct shared_ranges *list)
{
	guest->shared = calloc(1, sizeof(*guest->shared));
	TEST_ASSERT(guest->shared, "No memory for what a guest shares");
	guest->shared->lock = lock;
	guest->shared->list = list;
	guest->shared->told = bitmap_zalloc(guest->mem_size / SZ_4K);
	TEST_ASSERT(guest->shared->told, "No memory for a bitmap");
}

void linux_guest_free_shared(struct linux_guest_shared *shared)
{
	if (shared)
		free(shared->told);
	free(shared);
}

/* What is in the pages is lost. */
static void convert(struct linux_guest *guest, gpa_t gpa, u64 size, bool private)
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

static int take(struct linux_guest *guest, u64 gpa, u64 size, bool private)
{
	struct shared_ranges *list = guest->shared->list;
	int err = private ? shared_ranges_remove(list, gpa, size) :
			    shared_ranges_add(list, gpa, size);

	if (!err && linux_guest_has_memfd(guest))
		convert(guest, gpa, size, private);
	return err;
}

/* The guest gets what it has asked for before. */
static void take_dropped(struct linux_guest *guest)
{
	struct linux_guest_shared *shared = guest->shared;

	if (!shared->dropped_size)
		return;
	TEST_ASSERT(!take(guest, shared->dropped_gpa, shared->dropped_size,
			  shared->dropped_private),
		    "The list of shared ranges does not take what was dropped");
	shared->dropped_size = 0;
}

static bool drop(struct linux_guest *guest, u64 gpa, u64 size, bool private)
{
	struct linux_guest_shared *shared = guest->shared;

	if (!shared->nr_to_drop)
		return false;
	shared->dropped_gpa = gpa;
	shared->dropped_size = size;
	shared->dropped_private = private;
	shared->nr_dropped++;
	if (!--shared->nr_to_drop)
		WRITE_ONCE(guest->wait, false);
	return true;
}

static bool notice_dropped(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	u64 gpa = vcpu->run->memory_fault.gpa, flags = vcpu->run->memory_fault.flags;
	struct linux_guest_shared *shared = guest->shared;
	bool noticed;

	pthread_mutex_lock(shared->lock);
	noticed = gpa - shared->dropped_gpa < shared->dropped_size &&
		  shared->dropped_private == !!(flags & KVM_MEMORY_EXIT_FLAG_PRIVATE);
	shared->nr_noticed += noticed;
	if (noticed)
		take_dropped(guest);
	pthread_mutex_unlock(shared->lock);
	return noticed;
}

/* 0 or a negative errno. */
static int take_request(struct linux_guest *guest, struct kvm_vcpu *vcpu, u64 gpa, u64 size,
			bool private)
{
	struct linux_guest_shared *shared = guest->shared;
	int err = 0;

	pthread_mutex_lock(shared->lock);
	shared->nr_requests++;
	take_dropped(guest);
	if (shared->nr_refused) {
		shared->nr_refused--;
		err = -ENOSPC;
	} else {
		if (shared->request)
			shared->request(guest, vcpu, gpa, size, private);
		if (!drop(guest, gpa, size, private))
			err = take(guest, gpa, size, private);
	}
	pthread_mutex_unlock(shared->lock);
	return err;
}

static void take_map_gpa_range(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	struct kvm_coco_map_gpa_range *map = (void *)vcpu->run->padding;
	int err;

	err = take_request(guest, vcpu, map->gpa, map->size,
			   map->flags & KVM_COCO_MAP_GPA_RANGE_PRIVATE);
	map->ret = err ? EINVAL : 0;
	map->done = err ? 0 : map->size;
}

/* With KVM_CAP_EXIT_HYPERCALL, which is enabled for no other hypercall. */
static void take_hypercall(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	__u64 *args = vcpu->run->hypercall.args;
	int err;

	TEST_ASSERT_EQ(vcpu->run->hypercall.nr, KVM_HC_MAP_GPA_RANGE);
	TEST_ASSERT_EQ(vcpu->run->hypercall.flags, KVM_EXIT_HYPERCALL_LONG_MODE);
	err = take_request(guest, vcpu, args[0], args[1] * SZ_4K,
			   args[2] & KVM_MAP_GPA_RANGE_ENCRYPTED);
	vcpu->run->hypercall.ret = err ? EINVAL : 0;
}

bool linux_guest_shared_exit(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_COCO_MAP_GPA_RANGE:
		take_map_gpa_range(guest, vcpu);
		return true;
	case KVM_EXIT_HYPERCALL:
		take_hypercall(guest, vcpu);
		return true;
	case KVM_EXIT_MEMORY_FAULT:
		return notice_dropped(guest, vcpu);
	}
	return false;
}

bool linux_guest_is_shared(struct linux_guest *guest, u64 gpa, u64 size)
{
	struct linux_guest_shared *shared = guest->shared;
	const struct shared_range *range;
	bool is_shared;

	pthread_mutex_lock(shared->lock);
	range = shared_ranges_next(shared->list, gpa);
	is_shared = range && range->start <= gpa && range->end - gpa >= size;
	pthread_mutex_unlock(shared->lock);
	return is_shared;
}

void linux_guest_mark_shared(struct linux_guest *guest, unsigned long *bitmap, u64 gpa,
			     u64 size)
{
	u64 page;

	for (page = gpa / SZ_4K; page < (gpa + size) / SZ_4K; page++) {
		if (page < guest->mem_size / SZ_4K)
			__set_bit(page, bitmap);
	}
}

bool linux_guest_told_shared(struct linux_guest *guest, const char *line)
{
	u64 start, end;

	if (sscanf(line, "guest_init: shared 0x%lx 0x%lx", &start, &end) != 2)
		return false;
	linux_guest_mark_shared(guest, guest->shared->told, start, end - start);
	guest->shared->has_told = true;
	return true;
}

void linux_guest_forget_shared(struct linux_guest *guest)
{
	bitmap_zero(guest->shared->told, guest->mem_size / SZ_4K);
	guest->shared->has_told = false;
}

struct linux_guest_shared_diff
linux_guest_compare_shared(struct linux_guest *guest, const unsigned long *bitmap, u64 gpa,
			   u64 size)
{
	const struct shared_ranges *list = guest->shared->list;
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
