// SPDX-License-Identifier: GPL-2.0-only
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/compiler.h>
#include <linux/kernel.h>

#include "shared_ranges.h"

__weak void *shared_ranges_alloc(size_t size)
{
	return malloc(size);
}

__weak void shared_ranges_free(void *ptr)
{
	free(ptr);
}

/*
 * One node per range would be the simpler tree, but in a list of a million
 * ranges, each step down is a cache and TLB miss.  Hence few nodes, with an
 * array of ranges in each, the nodes sorted by the first range in them.
 */
#ifndef LEAF_RANGES	/* a test takes less, to have more leaves */
#define LEAF_RANGES	252
#endif

struct leaf {
	struct rb_node node;
	unsigned int nr;	/* never 0 */
	struct shared_range ranges[LEAF_RANGES];
};

/* Neighbours with less than this in sum become one. */
#define LEAF_JOIN	(LEAF_RANGES * 5 / 8)

struct position {
	struct leaf *leaf;
	unsigned int index;
};

static struct leaf *to_leaf(struct rb_node *node)
{
	return rb_entry_safe(node, struct leaf, node);
}

static struct leaf *next_leaf(struct leaf *leaf)
{
	return to_leaf(rb_next(&leaf->node));
}

/* The last leaf that doesn't start above "addr", or else the first leaf. */
static struct leaf *find_leaf(const struct shared_ranges *list, u64 addr,
			      u64 *visited)
{
	struct rb_node *node = list->leaves.rb_node;
	struct leaf *leaf = NULL, *found = NULL;

	while (node) {
		(*visited)++;
		leaf = to_leaf(node);
		if (leaf->ranges[0].start <= addr) {
			found = leaf;
			node = node->rb_right;
		} else {
			node = node->rb_left;
		}
	}

	return found ?: leaf;
}

/* The number of ranges in the leaf that don't end above "addr". */
static unsigned int find_index(const struct leaf *leaf, u64 addr, u64 *visited)
{
	unsigned int low = 0, high = leaf->nr;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		(*visited)++;
		if (leaf->ranges[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}

	return low;
}

/* NULL at the end of the list, where a range can still be inserted. */
static struct shared_range *range_at(struct position *pos)
{
	struct leaf *next;

	if (!pos->leaf)
		return NULL;

	if (pos->index == pos->leaf->nr) {
		next = next_leaf(pos->leaf);
		if (!next)
			return NULL;
		*pos = (struct position) { next, 0 };
	}

	return &pos->leaf->ranges[pos->index];
}

/* The first range that ends above "addr". */
static struct shared_range *find(const struct shared_ranges *list, u64 addr,
				 struct position *pos, u64 *visited)
{
	pos->leaf = find_leaf(list, addr, visited);
	pos->index = pos->leaf ? find_index(pos->leaf, addr, visited) : 0;
	return range_at(pos);
}

/* A new leaf, with the upper half of "full", if there is one. */
static struct leaf *add_leaf(struct shared_ranges *list, struct leaf *full)
{
	struct leaf *leaf = shared_ranges_alloc(sizeof(*leaf));
	struct rb_node **link = &list->leaves.rb_node, *parent = NULL;

	if (!leaf)
		return NULL;

	leaf->nr = 0;
	if (full) {
		leaf->nr = full->nr / 2;
		full->nr -= leaf->nr;
		memcpy(leaf->ranges, &full->ranges[full->nr],
		       leaf->nr * sizeof(leaf->ranges[0]));

		/* Right behind it in the tree. */
		parent = &full->node;
		link = &parent->rb_right;
		while (*link) {
			parent = *link;
			link = &parent->rb_left;
		}
	}

	rb_link_node(&leaf->node, parent, link);
	rb_insert_color(&leaf->node, &list->leaves);
	return leaf;
}

static void delete_leaf(struct shared_ranges *list, struct leaf *leaf)
{
	rb_erase(&leaf->node, &list->leaves);
	shared_ranges_free(leaf);
}

static bool join_leaves(struct shared_ranges *list, struct leaf *leaf,
			struct leaf *next)
{
	if (!leaf || !next || leaf->nr + next->nr >= LEAF_JOIN)
		return false;

	memcpy(&leaf->ranges[leaf->nr], next->ranges,
	       next->nr * sizeof(next->ranges[0]));
	leaf->nr += next->nr;
	delete_leaf(list, next);
	return true;
}

/* A range that touches no other, before the one at the position. */
static int insert(struct shared_ranges *list, struct position pos, u64 start,
		  u64 end)
{
	struct leaf *leaf = pos.leaf, *new;
	struct shared_range *range;

	if (list->nr >= list->max)
		return -ENOSPC;

	if (!leaf || leaf->nr == LEAF_RANGES) {
		new = add_leaf(list, leaf);
		if (!new)
			return -ENOMEM;

		if (!leaf) {
			leaf = new;
		} else if (pos.index > leaf->nr) {
			pos.index -= leaf->nr;
			leaf = new;
		}
	}

	range = &leaf->ranges[pos.index];
	memmove(range + 1, range, (leaf->nr - pos.index) * sizeof(*range));
	*range = (struct shared_range) { start, end };
	leaf->nr++;
	list->nr++;
	list->size += end - start;
	return 0;
}

/* This may move other ranges. */
static void erase(struct shared_ranges *list, struct position *pos)
{
	struct leaf *leaf = pos->leaf;
	struct shared_range *range = &leaf->ranges[pos->index];

	list->nr--;
	list->size -= range->end - range->start;
	leaf->nr--;
	memmove(range, range + 1, (leaf->nr - pos->index) * sizeof(*range));

	if (!leaf->nr)
		delete_leaf(list, leaf);
	else if (leaf->nr < LEAF_JOIN &&
		 !join_leaves(list, leaf, next_leaf(leaf)))
		join_leaves(list, to_leaf(rb_prev(&leaf->node)), leaf);
}

/* Never past a neighbour, the order stays. */
static void resize(struct shared_ranges *list, struct shared_range *range,
		   u64 start, u64 end)
{
	list->size -= range->end - range->start;
	list->size += end - start;
	range->start = start;
	range->end = end;
}

static bool is_valid(u64 start, u64 end)
{
	return start < end && !((start | end) & (SHARED_RANGES_PAGE_SIZE - 1));
}

void shared_ranges_init(struct shared_ranges *list, u64 max)
{
	*list = (struct shared_ranges) { .max = max };
}

void shared_ranges_clear(struct shared_ranges *list)
{
	struct leaf *leaf, *next;

	rbtree_postorder_for_each_entry_safe(leaf, next, &list->leaves, node)
		shared_ranges_free(leaf);
	shared_ranges_init(list, list->max);
}

int shared_ranges_add(struct shared_ranges *list, u64 gpa, u64 size)
{
	u64 start = gpa, end = gpa + size;
	struct position pos, next_pos;
	struct shared_range *range, *next;
	u64 addr;

	if (!is_valid(start, end))
		return -EINVAL;

	/* Merge with a range that ends at "start", too. */
	addr = start ? start - 1 : 0;
	range = find(list, addr, &pos, &list->visited);
	if (!range || range->start > end)
		return insert(list, pos, start, end);

	for (;;) {
		next_pos = (struct position) { pos.leaf, pos.index + 1 };
		next = range_at(&next_pos);
		if (!next || next->start > end)
			break;

		end = max(end, next->end);
		erase(list, &next_pos);
		range = find(list, addr, &pos, &list->visited);
	}

	resize(list, range, min(start, range->start), max(end, range->end));
	return 0;
}

int shared_ranges_remove(struct shared_ranges *list, u64 gpa, u64 size)
{
	u64 start = gpa, end = gpa + size, old_start, old_end;
	struct shared_range *range;
	struct position pos;
	int ret;

	if (!is_valid(start, end))
		return -EINVAL;

	do {
		range = find(list, start, &pos, &list->visited);
		if (!range || range->start >= end)
			break;

		old_start = range->start;
		old_end = range->end;
		if (old_start >= start && old_end <= end) {
			erase(list, &pos);
		} else if (old_start >= start) {
			resize(list, range, end, old_end);
		} else {
			resize(list, range, old_start, start);
			if (old_end <= end)
				continue;

			pos.index++;
			ret = insert(list, pos, end, old_end);
			if (ret)
				resize(list, range, old_start, old_end);
			return ret;
		}
	} while (old_end < end);

	return 0;
}

const struct shared_range *shared_ranges_next(const struct shared_ranges *list,
					      u64 gpa)
{
	struct position pos;
	u64 visited = 0;

	return find(list, gpa, &pos, &visited);
}

bool shared_ranges_test(const struct shared_ranges *list, u64 gpa)
{
	const struct shared_range *range = shared_ranges_next(list, gpa);

	return range && range->start <= gpa;
}

size_t shared_ranges_stream_size(const struct shared_ranges *list)
{
	/* No overflow: in the list, they take at least as much. */
	return sizeof(struct shared_ranges_header) +
	       list->nr * 2 * sizeof(__le64);
}

int shared_ranges_save(const struct shared_ranges *list,
		       enum migration_state state, void *buf, size_t size)
{
	struct shared_ranges_header header = {
		.magic = htole64(SHARED_RANGES_MAGIC),
		.version = htole32(SHARED_RANGES_VERSION),
		.state = htole32(state),
		.nr = htole64(list->nr),
	};
	struct rb_node *node;
	unsigned int i;

	if ((unsigned int)state >= NR_MIGRATION_STATES)
		return -EINVAL;

	if (size < shared_ranges_stream_size(list))
		return -ENOSPC;

	memcpy(buf, &header, sizeof(header));
	buf += sizeof(header);
	for (node = rb_first(&list->leaves); node; node = rb_next(node)) {
		const struct leaf *leaf = to_leaf(node);

		for (i = 0; i < leaf->nr; i++) {
			__le64 pair[] = { htole64(leaf->ranges[i].start),
					  htole64(leaf->ranges[i].end) };

			memcpy(buf, pair, sizeof(pair));
			buf += sizeof(pair);
		}
	}
	return 0;
}

int shared_ranges_load(struct shared_ranges *list, enum migration_state *state,
		       const void *buf, size_t size)
{
	struct shared_ranges_header header;
	struct shared_ranges new;
	u64 nr, last_end = 0;
	__le64 pair[2];
	int ret;

	if (size < sizeof(header))
		return -EINVAL;

	memcpy(&header, buf, sizeof(header));
	buf += sizeof(header);
	size -= sizeof(header);
	nr = le64toh(header.nr);
	if (le64toh(header.magic) != SHARED_RANGES_MAGIC ||
	    le32toh(header.version) != SHARED_RANGES_VERSION ||
	    le32toh(header.state) >= NR_MIGRATION_STATES ||
	    size % sizeof(pair) || size / sizeof(pair) != nr)
		return -EINVAL;

	shared_ranges_init(&new, list->max);
	for (; nr--; buf += sizeof(pair)) {
		u64 start, end;

		memcpy(pair, buf, sizeof(pair));
		start = le64toh(pair[0]);
		end = le64toh(pair[1]);

		/* Ranges that touch would be one range. */
		ret = -EINVAL;
		if (new.nr && start <= last_end)
			goto err;

		ret = shared_ranges_add(&new, start, end - start);
		if (ret)
			goto err;

		last_end = end;
	}

	shared_ranges_clear(list);
	*list = new;
	*state = le32toh(header.state);
	return 0;

err:
	shared_ranges_clear(&new);
	return ret;
}
