// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test the list of shared ranges and the migration handshake of a VMM.
 *
 * Neither needs KVM.  What must come of a change is known from a table, or
 * from a model with a byte per page, never from the list itself.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kselftest.h"
#include "migration_handshake.h"
#include "shared_ranges.h"

#define PAGE	SHARED_RANGES_PAGE_SIZE
#define TOP	(-PAGE)		/* the highest possible end of a range */
#define MANY	0x100000000ull

#define expect(cond, fmt, ...)						\
do {									\
	if (!(cond))							\
		ksft_exit_fail_msg("line %d: %s: " fmt "\n", __LINE__,	\
				   #cond, ##__VA_ARGS__);		\
} while (0)

/* What the library has allocated, and how much more it will get. */
static u64 live, live_bytes, refused, allowance = -1ull;

void *shared_ranges_alloc(size_t size)
{
	size_t *block;

	if (!allowance) {
		refused++;
		return NULL;
	}

	block = malloc(2 * sizeof(*block) + size);
	if (!block)
		ksft_exit_fail_msg("no memory for the test\n");

	allowance--;
	live++;
	live_bytes += size;
	*block = size;
	return block + 2;
}

void shared_ranges_free(void *ptr)
{
	size_t *block = ptr;

	live--;
	live_bytes -= block[-2];
	free(block - 2);
}

static u64 random_state;

static u64 random64(void)
{
	u64 x = random_state += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static u64 below(u64 limit)
{
	return random64() % limit;
}

/* Ranges by hand */

enum operation {
	ADD,
	REMOVE,
};

#define NR_RANGES	4

struct edge {
	const char *name;
	u64 before[NR_RANGES][2];
	enum operation operation;
	struct {
		u64 gpa, size;
	} argument;
	int ret;
	u64 after[NR_RANGES][2];	/* of a change that succeeds */
};

#define P(first, end)	{ (first) * PAGE, (end) * PAGE }
#define A(first, nr)	{ (first) * PAGE, (nr) * PAGE }

static const struct edge edges[] = {
	{ "add, empty",		{ }, ADD, A(5, 2), 0, { P(5, 7) } },
	{ "add page 0",		{ }, ADD, A(0, 1), 0, { P(0, 1) } },
	{ "add all",		{ }, ADD, { 0, TOP }, 0, { { 0, TOP } } },
	{ "add highest",	{ }, ADD, { TOP - PAGE, PAGE }, 0,
				{ { TOP - PAGE, TOP } } },
	{ "add, ends at 2^64",	{ }, ADD, { TOP, PAGE }, -EINVAL, { } },
	{ "add all but page 0",	{ }, ADD, { PAGE, TOP }, -EINVAL, { } },
	{ "add, wraps",		{ P(3, 4) }, ADD, { TOP, 2 * PAGE }, -EINVAL, { } },
	{ "add, wraps far",	{ P(3, 4) }, ADD, { 8 * PAGE, TOP }, -EINVAL, { } },
	{ "add nothing",	{ P(3, 4) }, ADD, A(3, 0), -EINVAL, { } },
	{ "add nothing at 0",	{ }, ADD, A(0, 0), -EINVAL, { } },
	{ "add, unaligned gpa",	{ }, ADD, { PAGE + 1, PAGE }, -EINVAL, { } },
	{ "add, half pages",	{ }, ADD, { PAGE / 2, PAGE }, -EINVAL, { } },
	{ "add, half page",	{ }, ADD, { PAGE, PAGE / 2 }, -EINVAL, { } },
	{ "add, byte more",	{ }, ADD, { PAGE, PAGE + 1 }, -EINVAL, { } },
	{ "add, gap before",	{ P(3, 5) }, ADD, A(6, 1), 0,
				{ P(3, 5), P(6, 7) } },
	{ "add, gap behind",	{ P(3, 5) }, ADD, A(0, 2), 0,
				{ P(0, 2), P(3, 5) } },
	{ "add, touch before",	{ P(3, 5) }, ADD, A(5, 1), 0, { P(3, 6) } },
	{ "add, touch behind",	{ P(3, 5) }, ADD, A(1, 2), 0, { P(1, 5) } },
	{ "add, touch 0",	{ P(0, 1) }, ADD, A(1, 1), 0, { P(0, 2) } },
	{ "add 0, touch",	{ P(1, 2) }, ADD, A(0, 1), 0, { P(0, 2) } },
	{ "add 0 again",	{ P(0, 1) }, ADD, A(0, 1), 0, { P(0, 1) } },
	{ "add, touch both",	{ P(1, 3), P(5, 7) }, ADD, A(3, 2), 0,
				{ P(1, 7) } },
	{ "add, overlap both",	{ P(1, 4), P(5, 8) }, ADD, A(3, 3), 0,
				{ P(1, 8) } },
	{ "add, known",		{ P(1, 9) }, ADD, A(1, 8), 0, { P(1, 9) } },
	{ "add, inside",	{ P(1, 9) }, ADD, A(3, 2), 0, { P(1, 9) } },
	{ "add, around",	{ P(3, 5) }, ADD, A(1, 9), 0, { P(1, 10) } },
	{ "add, around three",	{ P(1, 2), P(4, 5), P(7, 8), P(11, 12) },
				ADD, A(0, 9), 0, { P(0, 9), P(11, 12) } },
	{ "add, around to end",	{ P(1, 2), P(4, 5), P(7, 8), P(11, 12) },
				ADD, A(3, 6), 0,
				{ P(1, 2), P(3, 9), P(11, 12) } },
	{ "add, all around",	{ P(1, 2), P(4, 5), { TOP - PAGE, TOP } },
				ADD, { 0, TOP }, 0, { { 0, TOP } } },
	{ "add to the top",	{ P(1, 2), { TOP - 2 * PAGE, TOP - PAGE } },
				ADD, { TOP - PAGE, PAGE }, 0,
				{ P(1, 2), { TOP - 2 * PAGE, TOP } } },
	{ "remove, empty",	{ }, REMOVE, A(3, 1), 0, { } },
	{ "remove all, empty",	{ }, REMOVE, { 0, TOP }, 0, { } },
	{ "remove, before",	{ P(3, 5) }, REMOVE, A(2, 1), 0,
				{ P(3, 5) } },
	{ "remove, behind",	{ P(3, 5) }, REMOVE, A(5, 1), 0,
				{ P(3, 5) } },
	{ "remove, between",	{ P(1, 2), P(5, 6) }, REMOVE, A(2, 3), 0,
				{ P(1, 2), P(5, 6) } },
	{ "remove, exactly",	{ P(3, 5) }, REMOVE, A(3, 2), 0, { } },
	{ "remove, front",	{ P(3, 9) }, REMOVE, A(3, 2), 0,
				{ P(5, 9) } },
	{ "remove, over front",	{ P(3, 9) }, REMOVE, A(1, 4), 0,
				{ P(5, 9) } },
	{ "remove, back",	{ P(3, 9) }, REMOVE, A(7, 2), 0,
				{ P(3, 7) } },
	{ "remove, over back",	{ P(3, 9) }, REMOVE, A(7, 9), 0,
				{ P(3, 7) } },
	{ "remove, middle",	{ P(3, 9) }, REMOVE, A(5, 1), 0,
				{ P(3, 5), P(6, 9) } },
	{ "remove page 0",	{ P(0, 2) }, REMOVE, A(0, 1), 0,
				{ P(1, 2) } },
	{ "remove page 1",	{ P(0, 3) }, REMOVE, A(1, 1), 0,
				{ P(0, 1), P(2, 3) } },
	{ "remove, of all",	{ { 0, TOP } }, REMOVE, { MANY, PAGE }, 0,
				{ { 0, MANY }, { MANY + PAGE, TOP } } },
	{ "remove, highest",	{ { 0, TOP } }, REMOVE, { TOP - PAGE, PAGE }, 0,
				{ { 0, TOP - PAGE } } },
	{ "remove three",	{ P(1, 3), P(4, 5), P(7, 9), P(11, 12) },
				REMOVE, A(2, 6), 0,
				{ P(1, 2), P(8, 9), P(11, 12) } },
	{ "remove all",		{ P(1, 3), P(4, 5), { TOP - PAGE, TOP } },
				REMOVE, { 0, TOP }, 0, { } },
	{ "remove, 2^64",	{ { 0, TOP } }, REMOVE, { TOP, PAGE }, -EINVAL,
				{ } },
	{ "remove, wraps",	{ P(0, 9) }, REMOVE, { TOP, 2 * PAGE }, -EINVAL,
				{ } },
	{ "remove nothing",	{ P(0, 9) }, REMOVE, A(3, 0), -EINVAL, { } },
	{ "remove, unaligned",	{ P(0, 9) }, REMOVE, { PAGE + 8, PAGE }, -EINVAL,
				{ } },
	{ "remove, half page",	{ P(0, 9) }, REMOVE, { PAGE, PAGE / 2 }, -EINVAL,
				{ } },
};

static int change(struct shared_ranges *list, enum operation operation,
		  u64 gpa, u64 size)
{
	return operation == ADD ? shared_ranges_add(list, gpa, size) :
				  shared_ranges_remove(list, gpa, size);
}

static void expect_ranges(const struct shared_ranges *list, const char *name,
			  const u64 (*ranges)[2])
{
	const struct shared_range *range = shared_ranges_next(list, 0);
	u64 nr = 0, size = 0;

	for (; nr < NR_RANGES && ranges[nr][1]; nr++) {
		u64 start = ranges[nr][0], end = ranges[nr][1];

		expect(range, "%s: %llu ranges", name, (ullong)nr);
		expect(range->start == start && range->end == end,
		       "%s: %#llx-%#llx", name, (ullong)range->start,
		       (ullong)range->end);
		expect(shared_ranges_test(list, start) &&
		       shared_ranges_test(list, end - 1) &&
		       !shared_ranges_test(list, end) &&
		       (!start || !shared_ranges_test(list, start - 1)),
		       "%s: %#llx-%#llx", name, (ullong)start, (ullong)end);
		expect(shared_ranges_next(list, start) == range &&
		       shared_ranges_next(list, end - 1) == range,
		       "%s: %#llx-%#llx", name, (ullong)start, (ullong)end);
		size += end - start;
		range = shared_ranges_next(list, end);
	}

	expect(!range, "%s", name);
	expect(list->nr == nr && list->size == size,
	       "%s: %llu, %#llx", name, (ullong)list->nr, (ullong)list->size);
	expect(!shared_ranges_test(list, -1ull), "%s", name);
}

static void test_edge(const struct edge *edge, u64 max)
{
	struct shared_ranges list;
	u64 before = 0, after = 0;
	int i, ret, expected = edge->ret;

	shared_ranges_init(&list, MANY);
	for (i = 0; i < NR_RANGES && edge->before[i][1]; i++, before++)
		shared_ranges_add(&list, edge->before[i][0],
				  edge->before[i][1] - edge->before[i][0]);
	expect_ranges(&list, edge->name, edge->before);

	for (i = 0; i < NR_RANGES && edge->after[i][1]; i++)
		after++;
	if (!expected && after > before && after > max)
		expected = -ENOSPC;

	list.max = max;
	ret = change(&list, edge->operation, edge->argument.gpa,
		     edge->argument.size);
	expect(ret == expected, "%s: %d, not %d", edge->name, ret, expected);
	expect_ranges(&list, edge->name, ret ? edge->before : edge->after);

	shared_ranges_clear(&list);
	expect(!list.nr && !list.size && list.max == max, "%s", edge->name);
	expect(!shared_ranges_next(&list, 0), "%s", edge->name);
	expect(!live, "%s: %llu leaves", edge->name, (ullong)live);
}

static void test_edges(void)
{
	struct shared_ranges list;
	u64 max;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(edges); i++) {
		for (max = 0; max <= NR_RANGES; max++)
			test_edge(&edges[i], max);
	}

	/* The first range needs memory, the next few don't. */
	shared_ranges_init(&list, MANY);
	allowance = 0;
	expect(shared_ranges_add(&list, 0, PAGE) == -ENOMEM, "no memory");
	expect_ranges(&list, "no memory", (const u64[NR_RANGES][2]) { });
	allowance = -1ull;
	expect(!live, "no memory");

	ksft_test_result_pass("%zu changes by hand\n", ARRAY_SIZE(edges));
}

/* Handshake */

struct transition {
	enum migration_state state;
	int results[NR_MIGRATION_EVENTS];	/* a state or an errno */
};

#define NOT_OFFERED	MIGRATION_NOT_OFFERED
#define OFFERED		MIGRATION_OFFERED
#define SET		MIGRATION_FIRMWARE_SET
#define NOT_SET		MIGRATION_FIRMWARE_NOT_SET
#define READY		MIGRATION_READY
#define WITHDRAWN	MIGRATION_WITHDRAWN

/* Host offers, firmware sets, does not set, guest ready, not ready, reset */
static const struct transition transitions[] = {
	{ NOT_OFFERED,
	  { OFFERED, -ENXIO, -ENXIO, -ENXIO, -ENXIO, NOT_OFFERED } },
	{ OFFERED,
	  { -EALREADY, SET, NOT_SET, READY, OFFERED, OFFERED } },
	{ SET,
	  { -EALREADY, SET, NOT_SET, READY, SET, OFFERED } },
	{ NOT_SET,
	  { -EALREADY, SET, NOT_SET, -EACCES, NOT_SET, OFFERED } },
	{ READY,
	  { -EALREADY, -EBUSY, -EBUSY, READY, WITHDRAWN, OFFERED } },
	{ WITHDRAWN,
	  { -EALREADY, -EBUSY, -EBUSY, READY, WITHDRAWN, OFFERED } },
};

struct story {
	enum migration_event event;
	int ret;
	bool allowed;
};

/* One VM, from its creation. */
static const struct story story[] = {
	{ MIGRATION_GUEST_SETS_READY, -ENXIO, false },
	{ MIGRATION_OFFER, 0, false },
	{ MIGRATION_GUEST_CLEARS_READY, 0, false },
	{ MIGRATION_FIRMWARE_SETS, 0, false },
	{ MIGRATION_GUEST_SETS_READY, 0, true },
	/* kexec: the next kernel is ready without another word of firmware. */
	{ MIGRATION_GUEST_CLEARS_READY, 0, false },
	{ MIGRATION_GUEST_CLEARS_READY, 0, false },
	{ MIGRATION_GUEST_SETS_READY, 0, true },
	{ MIGRATION_GUEST_SETS_READY, 0, true },
	{ MIGRATION_FIRMWARE_DOES_NOT_SET, -EBUSY, true },
	/* Reboot, without a word to the MSR, of firmware that has changed. */
	{ MIGRATION_RESET, 0, false },
	{ MIGRATION_OFFER, -EALREADY, false },
	{ MIGRATION_FIRMWARE_DOES_NOT_SET, 0, false },
	{ MIGRATION_GUEST_SETS_READY, -EACCES, false },
	/* Reboot of a VM whose variables nobody sees. */
	{ MIGRATION_RESET, 0, false },
	{ MIGRATION_GUEST_SETS_READY, 0, true },
};

static void test_handshake(void)
{
	static const u64 reserved[] = { 2, 3, 1ull << 32, 1ull << 63, -1ull };
	enum migration_state state, from;
	size_t i, event;
	int ret, result;

	expect(ARRAY_SIZE(transitions) == NR_MIGRATION_STATES, "table");
	for (i = 0; i < ARRAY_SIZE(transitions); i++) {
		from = transitions[i].state;
		for (event = 0; event < NR_MIGRATION_EVENTS; event++) {
			result = transitions[i].results[event];
			state = from;
			ret = migration_event(&state, event);
			expect(ret == (result < 0 ? result : 0) &&
			       (int)state == (result < 0 ? (int)from : result),
			       "state %d event %zu: %d, state %d", from, event,
			       ret, state);
		}

		state = from;
		expect(migration_event(&state, event) == -EINVAL &&
		       migration_event(&state, -1) == -EINVAL && state == from,
		       "state %d", from);
		expect(migration_allowed(state) == (state == READY),
		       "state %d", from);

		for (event = 0; event < ARRAY_SIZE(reserved); event++)
			expect(migration_wrmsr(&state, reserved[event]) ==
			       -EINVAL && state == from,
			       "state %d, %#llx", from, (ullong)reserved[event]);

		for (event = 0; event < 2; event++) {
			result = transitions[i].results[event ?
				 MIGRATION_GUEST_SETS_READY :
				 MIGRATION_GUEST_CLEARS_READY];
			state = from;
			ret = migration_wrmsr(&state, event);
			expect(ret == (result < 0 ? result : 0) &&
			       (int)state == (result < 0 ? (int)from : result),
			       "state %d write %zu: %d, state %d", from, event,
			       ret, state);
		}
	}

	for (i = 0; i < NR_MIGRATION_EVENTS; i++) {
		state = NR_MIGRATION_STATES;
		expect(migration_event(&state, i) == -EINVAL &&
		       !migration_allowed(state), "event %zu", i);
		state = -1;
		expect(migration_event(&state, i) == -EINVAL &&
		       !migration_allowed(state), "event %zu", i);
	}

	state = (enum migration_state) { 0 };
	for (i = 0; i < ARRAY_SIZE(story); i++) {
		ret = migration_event(&state, story[i].event);
		expect(ret == story[i].ret &&
		       migration_allowed(state) == story[i].allowed,
		       "step %zu: %d, state %d", i, ret, state);
	}

	ksft_test_result_pass("handshake\n");
}

/* Streams */

#define HEADER	24

static u64 get(const u8 *bytes, int nr)
{
	u64 value = 0;

	while (nr--)
		value = value << 8 | bytes[nr];
	return value;
}

static void put(u8 *bytes, u64 value)
{
	int i;

	for (i = 0; i < 8; i++, value >>= 8)
		bytes[i] = value;
}

/* The format once more, from its description. */
static bool stream_is_valid(const u8 *stream, size_t size)
{
	u64 nr, i, start, end, last = 0;

	if (size < HEADER || memcmp(stream, "VMSH4RNG\1\0\0\0", 12) ||
	    get(stream + 12, 4) >= NR_MIGRATION_STATES)
		return false;

	nr = get(stream + 16, 8);
	if (nr > size || size != HEADER + 16 * nr)
		return false;

	for (i = 0; i < nr; i++, last = end) {
		start = get(stream + HEADER + 16 * i, 8);
		end = get(stream + HEADER + 16 * i + 8, 8);
		if (start % PAGE || end % PAGE || end <= start ||
		    (i && start <= last))
			return false;
	}

	return true;
}

/* To be freed.  Of exactly that size, for a sanitizer to watch its end. */
static u8 *save(const struct shared_ranges *list, enum migration_state state,
		size_t *size)
{
	u8 *stream;

	*size = shared_ranges_stream_size(list);
	expect(*size == HEADER + 16 * list->nr, "%zu", *size);
	stream = malloc(*size);
	expect(stream, "no memory for the test");
	expect(!shared_ranges_save(list, state, stream, *size), "save");
	return stream;
}

static void expect_stream(const struct shared_ranges *list,
			  enum migration_state state, const u8 *expected,
			  size_t expected_size)
{
	size_t size;
	u8 *stream = save(list, state, &size);

	expect(size == expected_size && !memcmp(stream, expected, size),
	       "%zu bytes", size);
	free(stream);
}

/* Into a list that isn't empty, and must not change if that fails. */
static void test_load(const u8 *stream, size_t size, u64 max, int expected)
{
	enum migration_state state = MIGRATION_FIRMWARE_NOT_SET;
	struct shared_ranges list;
	u64 leaves;
	u8 *exact = malloc(size + 1);
	int ret;

	expect(exact, "no memory for the test");
	/* Not aligned, with nothing behind. */
	memcpy(exact + 1, stream, size);

	leaves = live;
	shared_ranges_init(&list, MANY);
	if (allowance)
		shared_ranges_add(&list, 7 * PAGE, 9 * PAGE);
	list.max = max;
	ret = shared_ranges_load(&list, &state, exact + 1, size);
	expect(ret == expected, "%d, not %d, of %zu bytes", ret, expected,
	       size);

	if (!ret) {
		expect_stream(&list, state, stream, size);
	} else {
		expect(state == MIGRATION_FIRMWARE_NOT_SET, "%d", state);
		expect(list.max == max && list.nr == (allowance ? 1 : 0),
		       "%llu", (ullong)list.nr);
		if (list.nr)
			expect_ranges(&list, "old",
				      (const u64[NR_RANGES][2]) { P(7, 16) });
	}
	shared_ranges_clear(&list);
	expect(live == leaves, "%llu leaves", (ullong)live);
	free(exact);
}

static void test_any(const u8 *stream, size_t size)
{
	test_load(stream, size, MANY, stream_is_valid(stream, size) ? 0 :
		  -EINVAL);
}

struct corruption {
	const char *name;
	size_t offset;
	u64 value;
};

/* Of a stream with ranges 2-4, 6-8, 10-12, ... */
static const struct corruption corruptions[] = {
	{ "magic",		0, 0 },
	{ "magic, swapped",	0, 0x564d534834524e47ull },
	{ "version 0",		8, 0 },
	{ "version 2",		8, 2 },
	{ "state",		8, 1 | (u64)NR_MIGRATION_STATES << 32 },
	{ "highest state",	8, 1 | 0xffffffffull << 32 },
	{ "no ranges",		16, 0 },
	{ "one range less",	16, 7 },
	{ "one range more",	16, 9 },
	{ "2^60 more ranges",	16, 8 | 1ull << 60 },
	{ "2^32 more ranges",	16, 8 | 1ull << 32 },
	{ "most ranges",	16, -1ull },
	{ "overlap",		HEADER + 16, 3 * PAGE },
	{ "touch",		HEADER + 16, 4 * PAGE },
	{ "same start",		HEADER + 16, 2 * PAGE },
	{ "not sorted",		HEADER + 16, PAGE },
	{ "start at 0",		HEADER + 16, 0 },
	{ "first is empty",	HEADER, 4 * PAGE },
	{ "first is negative",	HEADER, 5 * PAGE },
	{ "first wraps",	HEADER, TOP },
	{ "first to 0",		HEADER + 8, 0 },
	{ "first to the top",	HEADER + 8, TOP },
	{ "last is empty",	HEADER + 7 * 16 + 8, 30 * PAGE },
	{ "last to 0",		HEADER + 7 * 16 + 8, 0 },
	{ "last isn't aligned",	HEADER + 7 * 16 + 8, 32 * PAGE + 8 },
	{ "end isn't aligned",	HEADER + 8, 3 * PAGE + 1 },
	{ "start isn't",	HEADER, 3 * PAGE - 1 },
};

static void test_streams(void)
{
	static const u8 golden[] = {
		'V', 'M', 'S', 'H', '4', 'R', 'N', 'G', 1, 0, 0, 0, 4, 0, 0, 0,
		2, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0,
		0, 0x30, 0, 0, 1, 0, 0, 0, 0, 0xf0, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff,
	};
	struct shared_ranges list;
	enum migration_state state;
	u8 *stream, *copy, buf[sizeof(golden)];
	size_t size, i, k;

	shared_ranges_init(&list, MANY);
	shared_ranges_add(&list, MANY + 3 * PAGE, TOP - MANY - 3 * PAGE);
	shared_ranges_add(&list, 0, 2 * PAGE);
	expect_stream(&list, MIGRATION_READY, golden, sizeof(golden));
	test_load(golden, sizeof(golden), 2, 0);
	test_load(golden, sizeof(golden), 1, -ENOSPC);

	for (size = 0; size < sizeof(golden); size++) {
		memset(buf, 0xaa, sizeof(buf));
		expect(shared_ranges_save(&list, READY, buf, size) == -ENOSPC,
		       "%zu", size);
		for (i = 0; i < sizeof(buf); i++)
			expect(buf[i] == 0xaa, "%zu", i);
	}
	expect(shared_ranges_save(&list, NR_MIGRATION_STATES, buf, size) ==
	       -EINVAL, "state");
	expect(shared_ranges_save(&list, -1, buf, size) == -EINVAL, "state");

	/* Of all states, also of an empty list. */
	shared_ranges_clear(&list);
	for (state = 0; state < NR_MIGRATION_STATES; state++) {
		stream = save(&list, state, &size);
		expect(stream_is_valid(stream, size), "state %d", state);
		test_load(stream, size, 0, 0);
		free(stream);
	}

	for (i = 0; i < 8; i++)
		shared_ranges_add(&list, (2 + 4 * i) * PAGE, 2 * PAGE);
	stream = save(&list, MIGRATION_FIRMWARE_SET, &size);
	copy = malloc(size + 64);
	expect(copy, "no memory for the test");
	test_load(stream, size, 8, 0);
	test_load(stream, size, 7, -ENOSPC);

	memset(copy, 0, size + 64);
	memcpy(copy, stream, size);
	for (i = 0; i < size + 64; i++)
		test_load(copy, i, MANY, i == size ? 0 : -EINVAL);

	for (i = 0; i < ARRAY_SIZE(corruptions); i++) {
		memcpy(copy, stream, size);
		put(copy + corruptions[i].offset, corruptions[i].value);
		expect(!stream_is_valid(copy, size), "%s", corruptions[i].name);
		test_load(copy, size, MANY, -EINVAL);
	}

	for (i = 0; i < 8 * size; i++) {
		memcpy(copy, stream, size);
		copy[i / 8] ^= 1 << i % 8;
		test_any(copy, size);
	}

	/* Bits, bytes, and whole numbers in the wrong place. */
	for (i = 0; i < 20000; i++) {
		memcpy(copy, stream, size);
		for (k = below(4); k < 4; k++) {
			u8 *byte = &copy[below(size)];

			switch (below(3)) {
			case 0:
				*byte ^= 1 << below(8);
				break;
			case 1:
				*byte = random64();
				break;
			default:
				put(copy + HEADER + 8 * below(16),
				    below(36) * PAGE);
				break;
			}
		}
		test_any(copy, size);
	}

	free(copy);
	free(stream);
	shared_ranges_clear(&list);
	expect(!live, "%llu leaves", (ullong)live);
	ksft_test_result_pass("streams, %zu of them corrupted by hand\n",
			      ARRAY_SIZE(corruptions));
}

/* Whichever allocation fails, there is no list rather than a part of it. */
static void test_load_without_memory(void)
{
	struct shared_ranges list;
	u64 i, leaves;
	size_t size;
	u8 *stream;

	shared_ranges_init(&list, MANY);
	for (i = 0; i < 2000; i++)
		shared_ranges_add(&list, 2 * i * PAGE, PAGE);
	stream = save(&list, MIGRATION_READY, &size);
	leaves = live;
	shared_ranges_clear(&list);

	for (i = 0; i < leaves; i++) {
		enum migration_state state = MIGRATION_OFFERED;

		shared_ranges_add(&list, MANY, PAGE);
		allowance = i;
		expect(shared_ranges_load(&list, &state, stream, size) ==
		       -ENOMEM, "allocation %llu", (ullong)i);
		allowance = -1ull;
		expect(state == MIGRATION_OFFERED && list.nr == 1 &&
		       list.size == PAGE && live == 1 &&
		       shared_ranges_test(&list, MANY), "allocation %llu",
		       (ullong)i);
	}
	shared_ranges_clear(&list);

	allowance = 0;
	test_load(stream, size, MANY, -ENOMEM);
	allowance = -1ull;
	test_load(stream, size, MANY, 0);

	free(stream);
	expect(!live, "%llu leaves", (ullong)live);
	ksft_test_result_pass("loading with %llu allocations, each failing\n",
			      (ullong)leaves);
}

/* Cost */

/*
 * Limits for any machine: bytes in the list, and keys compared.  The first
 * bounds the second, for nothing that isn't logarithmic is below both.
 */
#define MAX_BYTES	64
#define MAX_VISITED	64

static void expect_cost(const struct shared_ranges *list, const char *what,
			u64 changes, clock_t ticks)
{
	double bytes = (double)live_bytes / list->nr;
	double visited = (double)list->visited / changes;

	ksft_print_msg("%s: %llu ranges, %.1f bytes each\n", what,
		       (ullong)list->nr, bytes);
	ksft_print_msg("%s: a change compares %.1f keys, takes %.0f ns\n",
		       what, visited,
		       ticks * (1e9 / CLOCKS_PER_SEC) / changes);
	expect(bytes < MAX_BYTES, "%s", what);
	expect(visited < MAX_VISITED, "%s", what);
}

static void test_cost(u64 nr)
{
	struct shared_ranges list;
	clock_t start, ticks, least = 0;
	u64 i, page, *pages;
	u8 *shared;
	int round;

	/* Every other page, as a guest would to be as expensive as possible. */
	shared_ranges_init(&list, MANY);
	start = clock();
	for (i = 0; i < nr; i++)
		expect(!shared_ranges_add(&list, 2 * i * PAGE, PAGE), "add");
	expect(list.nr == nr, "%llu", (ullong)list.nr);
	expect_cost(&list, "ascending", nr, clock() - start);

	shared_ranges_clear(&list);
	start = clock();
	for (i = nr; i--;)
		expect(!shared_ranges_add(&list, 2 * i * PAGE, PAGE), "add");
	expect(list.nr == nr, "%llu", (ullong)list.nr);
	expect_cost(&list, "descending", nr, clock() - start);

	/* Half of twice as many, from one random half to another. */
	shared_ranges_clear(&list);
	pages = malloc(nr * sizeof(*pages));
	shared = calloc(2 * nr, 1);
	expect(pages && shared, "no memory for the test");
	for (round = 0; round < 5; round++) {
		for (i = 0; i < nr; i++)
			pages[i] = below(2 * nr);
		list.visited = 0;
		start = clock();
		for (i = 0; i < nr; i++) {
			page = pages[i];
			shared[page] ^= 1;
			expect(!change(&list, shared[page] ? ADD : REMOVE,
				       2 * page * PAGE, PAGE), "change");
		}
		ticks = clock() - start;
		/* The first round has few ranges yet. */
		if (round <= 1 || ticks < least)
			least = ticks;
	}
	for (page = 0; page < 2 * nr; page++)
		expect(shared_ranges_test(&list, 2 * page * PAGE) ==
		       shared[page], "page %#llx", (ullong)page);
	expect_cost(&list, "random", nr, least);
	free(pages);
	free(shared);

	/* Split and merge again. */
	shared_ranges_clear(&list);
	expect(!shared_ranges_add(&list, 0, 2 * nr * PAGE), "add");
	for (i = 0; i < nr; i++)
		expect(!shared_ranges_remove(&list, (2 * i + 1) * PAGE, PAGE),
		       "remove");
	expect(list.nr == nr, "%llu", (ullong)list.nr);
	list.visited = 0;
	start = clock();
	for (i = 0; i < nr; i++) {
		page = 2 * below(nr - 1) + 1;
		expect(!shared_ranges_add(&list, page * PAGE, PAGE) &&
		       list.nr == nr - 1 &&
		       !shared_ranges_remove(&list, page * PAGE, PAGE) &&
		       list.nr == nr, "page %#llx", (ullong)page);
	}
	expect_cost(&list, "merge and split", 2 * nr, clock() - start);

	/* Most of it goes. */
	list.visited = 0;
	start = clock();
	for (i = 0; i < nr; i++) {
		if (i % 16)
			expect(!shared_ranges_remove(&list, 2 * i * PAGE, PAGE),
			       "remove");
	}
	expect(list.nr == (nr + 15) / 16, "%llu", (ullong)list.nr);
	expect_cost(&list, "fifteen of sixteen removed", nr, clock() - start);

	/* All in one change. */
	list.visited = 0;
	i = list.nr;
	expect(!shared_ranges_remove(&list, 0, TOP) && !list.nr, "remove");
	expect(list.visited / i < MAX_VISITED, "%llu", (ullong)list.visited);
	expect(!live, "%llu leaves", (ullong)live);

	ksft_test_result_pass("cost of %llu ranges\n", (ullong)nr);
}

/* The model: a byte per page, of windows that are far from each other. */

#define WINDOW	4096

static const u64 windows[] = {
	0, MANY - PAGE * WINDOW / 2, TOP - PAGE * WINDOW,
};

#define NR_WINDOWS	ARRAY_SIZE(windows)

struct model {
	u8 pages[NR_WINDOWS][1 + WINDOW + 1];	/* with one around, never 1 */
	u64 nr;
	u64 size;
};

/* Runs of shared pages that start in [first, first + nr). */
static u64 count_runs(const u8 *pages, u64 first, u64 nr)
{
	u64 page, runs = 0;

	for (page = first; page < first + nr; page++)
		runs += pages[page] > pages[page - 1];
	return runs;
}

/* Each run that has a page in [first, first + nr) is one range in the list. */
static void expect_model(const struct model *model,
			 const struct shared_ranges *list, unsigned int window,
			 u64 first, u64 nr, u64 step)
{
	const u8 *pages = model->pages[window], *run;
	const struct shared_range *range;
	u64 base = windows[window] - PAGE, start, end;
	u64 page = first;

	while (page < first + nr) {
		range = shared_ranges_next(list, base + page * PAGE);
		run = memchr(pages + page, 1, first + nr - page);
		if (!run) {
			expect(!range ||
			       range->start >= base + (first + nr) * PAGE,
			       "step %llu: %#llx-%#llx", (ullong)step,
			       (ullong)range->start, (ullong)range->end);
			return;
		}

		/* The page before the window isn't shared, nor the one behind. */
		start = run - pages;
		while (pages[start - 1])
			start--;
		run = memchr(run, 0, pages + WINDOW + 2 - run);
		end = run - pages;
		expect(range, "step %llu: page %#llx", (ullong)step,
		       (ullong)start);
		expect(range->start == base + start * PAGE &&
		       range->end == base + end * PAGE,
		       "step %llu: %#llx-%#llx", (ullong)step,
		       (ullong)range->start, (ullong)range->end);
		page = end;
	}
}

static void expect_whole_model(const struct model *model,
			       const struct shared_ranges *list, u64 step)
{
	const struct shared_range *range;
	unsigned int window;
	u64 nr = 0, end = 0;

	for (window = 0; window < NR_WINDOWS; window++)
		expect_model(model, list, window, 1, WINDOW, step);

	for (range = shared_ranges_next(list, 0); range;
	     range = shared_ranges_next(list, end)) {
		expect(!nr || range->start > end, "step %llu", (ullong)step);
		end = range->end;
		nr++;
	}
	expect(nr == model->nr, "step %llu: %llu", (ullong)step, (ullong)nr);
}

/* How the next changes are: of up to so many pages, so many of 16 add. */
struct phase {
	unsigned int max_pages;
	unsigned int adds;
};

static const struct phase phases[] = {
	{ 1, 8 }, { 1, 14 }, { 8, 8 }, { 1, 2 }, { 64, 8 }, { 2, 10 }, { 2, 4 },
	{ WINDOW, 8 },
};

static void random_change(struct model *model, struct shared_ranges *list,
			  const struct phase *phase, u64 step)
{
	enum operation operation = below(16) < phase->adds ? ADD : REMOVE;
	u64 first = 1 + below(WINDOW), nr = 1 + below(phase->max_pages);
	unsigned int window = below(NR_WINDOWS), dice = below(64);
	u8 *pages = model->pages[window];
	u64 i, runs, before = 0, gpa, size, old_refused = refused;
	bool one_more;
	int ret, expected = 0;

	if (nr > WINDOW + 1 - first)
		nr = WINDOW + 1 - first;
	gpa = windows[window] + (first - 1) * PAGE;

	/* A range of its own, or two of one. */
	one_more = !memchr(pages + first - 1, operation == REMOVE ? 0 : 1,
			   nr + 2);
	runs = count_runs(pages, first, nr + 1);
	for (i = first; i < first + nr; i++)
		before += pages[i];

	size = nr * PAGE;
	switch (dice) {
	case 0:
		gpa += 1 + below(PAGE - 1);
		expected = -EINVAL;
		break;
	case 1:
		size = nr * PAGE - 1 - below(PAGE - 1);
		expected = -EINVAL;
		break;
	case 2:
		/* Wraps, or is empty. */
		size = below(gpa / PAGE + 1) * PAGE - gpa;
		expected = -EINVAL;
		break;
	case 3:
		list->max = list->nr;
		expected = one_more ? -ENOSPC : 0;
		break;
	case 4 ... 31:
		allowance = 0;
		break;
	}

	ret = change(list, operation, gpa, size);
	list->max = MANY;
	allowance = -1ull;
	if (refused != old_refused && one_more)
		expected = -ENOMEM;
	expect(ret == expected, "step %llu: %s %#llx %#llx: %d, not %d",
	       (ullong)step, operation == ADD ? "add" : "remove", (ullong)gpa,
	       (ullong)size, ret, expected);

	if (!ret) {
		memset(pages + first, operation == ADD, nr);
		model->nr += count_runs(pages, first, nr + 1) - runs;
		model->size += ((operation == ADD ? nr : 0) - before) * PAGE;
	}

	expect(list->nr == model->nr, "step %llu: %llu", (ullong)step,
	       (ullong)list->nr);
	expect(list->size == model->size, "step %llu: %#llx", (ullong)step,
	       (ullong)list->size);
	if (first > 1) {
		first--;
		nr++;
	}
	expect_model(model, list, window, first, nr + 1, step);

	first = 1 + below(WINDOW);
	gpa = windows[window] + (first - 1) * PAGE + below(PAGE);
	expect(shared_ranges_test(list, gpa) == pages[first],
	       "step %llu: %#llx", (ullong)step, (ullong)gpa);
}

/* The list as it arrives elsewhere, and goes on there. */
static void migrate(struct shared_ranges *list, u64 step)
{
	enum migration_state state, sent = below(NR_MIGRATION_STATES);
	struct shared_ranges other;
	size_t size;
	u8 *stream = save(list, sent, &size);

	expect(stream_is_valid(stream, size), "step %llu", (ullong)step);
	shared_ranges_init(&other, MANY);
	expect(!shared_ranges_load(&other, &state, stream, size) &&
	       state == sent, "step %llu", (ullong)step);
	expect_stream(&other, state, stream, size);
	shared_ranges_clear(list);
	*list = other;
	free(stream);
}

static void test_random(u64 steps)
{
	static struct model model;
	struct shared_ranges list;
	const struct phase *phase = phases;
	u64 step, most = 0, old_refused = refused;

	shared_ranges_init(&list, MANY);
	for (step = 0; step < steps; step++) {
		if (!below(4096)) {
			expect_whole_model(&model, &list, step);
			phase = &phases[below(ARRAY_SIZE(phases))];
		}
		if (!below(8192))
			migrate(&list, step);
		if (!below(65536)) {
			/* With changes that go over all windows, and back. */
			if (below(2))
				expect(!shared_ranges_add(&list, 0, TOP) &&
				       list.nr == 1, "step %llu", (ullong)step);
			expect(!shared_ranges_remove(&list, 0, TOP),
			       "step %llu", (ullong)step);
			expect(!live, "step %llu: %llu leaves", (ullong)step,
			       (ullong)live);
			memset(&model, 0, sizeof(model));
		}
		random_change(&model, &list, phase, step);
		if (list.nr > most)
			most = list.nr;
	}

	expect_whole_model(&model, &list, step);
	shared_ranges_clear(&list);
	expect(!live, "%llu leaves", (ullong)live);
	ksft_test_result_pass("%llu changes at random\n", (ullong)steps);
	ksft_print_msg("up to %llu ranges, %llu allocations refused\n",
		       (ullong)most, (ullong)(refused - old_refused));
}

int main(int argc, char **argv)
{
	u64 steps = 200000, nr = 50000, seed = 6;
	int option;

	while ((option = getopt(argc, argv, "n:s:b")) != -1) {
		switch (option) {
		case 'n':
			steps = strtoull(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'b':
			nr = 1000000;
			break;
		default:
			fprintf(stderr,
				"Usage: %s [-n random changes] [-s seed] [-b]\n"
				"-b: measure with a million ranges\n", argv[0]);
			return KSFT_FAIL;
		}
	}

	ksft_print_header();
	ksft_set_plan(6);
	ksft_print_msg("seed %llu\n", (ullong)seed);
	random_state = seed;

	test_edges();
	test_handshake();
	test_streams();
	test_load_without_memory();
	test_cost(nr);
	test_random(steps);
	ksft_finished();
}
