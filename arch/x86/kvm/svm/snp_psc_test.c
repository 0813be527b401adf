// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of page state changes that SNP guests ask for, against a model
 * that goes page by page.
 */
#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/string.h>

#include "snp_psc.h"

#define NR_ENTRIES	VMGEXIT_PSC_MAX_COUNT
#define NR_BEYOND	2		/* must neither be read nor written */
#define OP_UNKNOWN	3

#define GFN_2M		0x12345600ull	/* a multiple of 512 */
#define GFN_MAX		((1ull << 40) - 1)

struct model_entry {
	u64 gfn;
	u32 size;
	u32 done;
	u8 op;
};

/* What a request is to come to. */
struct model {
	unsigned int cur;
	unsigned int end;
	u64 result;
	struct snp_psc_range range;
	struct model_entry entries[NR_ENTRIES + NR_BEYOND];
};

struct context {
	struct snp_psc psc;
	struct model model;
	struct psc_buffer *buffer;
	struct psc_entry original[NR_ENTRIES + NR_BEYOND];

	/* The answer that is something else than success, and when it is given. */
	const struct answer *answer;
	int at;
	int nr_exits;
};

enum done {
	NONE,
	ONE,
	ALL_BUT_ONE,
	ALL,
	ONE_TOO_MANY,
	WAY_TOO_MANY,
};

struct answer {
	u64 ret;
	enum done done;
};

static bool model_knows(u8 op)
{
	return op == VMGEXIT_PSC_OP_PRIVATE || op == VMGEXIT_PSC_OP_SHARED;
}

/* Which pages userspace is to change together, starting with entry @cur. */
static void model_range(struct model *m)
{
	const struct model_entry *e = &m->entries[m->cur];
	struct snp_psc_range *range = &m->range;
	const u8 op = e->op;
	const struct model_entry *end = &m->entries[m->end];
	u32 page = e->done;

	range->gfn = e->gfn + e->done;
	range->npages = 0;
	range->private = op == VMGEXIT_PSC_OP_PRIVATE;
	range->huge = e->size == 512 && !e->done;

	for (;;) {
		range->npages++;
		if (++page < e->size)
			continue;

		if (e++ == end || e->op != op || e->done ||
		    e->gfn != range->gfn + range->npages ||
		    e->size != (range->huge ? 512 : 1))
			return;
		page = 0;
	}
}

static int model_next(struct model *m)
{
	struct model_entry *e;

	for (; m->cur <= m->end; m->cur++) {
		e = &m->entries[m->cur];

		if (e->done > e->size || e->gfn % e->size) {
			m->result = VMGEXIT_PSC_ERROR_INVALID_ENTRY;
			return 0;
		}

		if (!model_knows(e->op))
			e->done = e->size;

		if (e->done < e->size) {
			model_range(m);
			return 1;
		}
	}

	m->result = 0;
	return 0;
}

static int model_answer(struct model *m, u64 ret, u64 npages)
{
	u64 i;

	if ((ret != 0 && ret != EAGAIN && ret != EINVAL) || npages > m->range.npages)
		return -EINVAL;

	for (i = 0; i < npages; i++) {
		m->entries[m->cur].done++;
		if (m->entries[m->cur].done == m->entries[m->cur].size)
			m->cur++;
	}

	if (!ret && npages)
		return model_next(m);

	m->result = ret == EINVAL ? VMGEXIT_PSC_ERROR_GENERIC : 0;
	return 0;
}

static void write_entry(struct context *ctx, int i, u8 op, bool huge, u64 gfn, u32 cur_page)
{
	ctx->buffer->entries[i] = (struct psc_entry) {
		.cur_page = cur_page,
		.gfn = gfn,
		.operation = op,
		.pagesize = huge,
	};
}

static u32 cur_page(struct context *ctx, int i)
{
	return ctx->buffer->entries[i].cur_page;
}

/* What a guest would do next, were the buffer longer by two entries. */
static void write_beyond(struct context *ctx, int i)
{
	struct psc_entry last = ctx->buffer->entries[i - 1];
	u64 gfn = last.gfn;

	gfn += last.pagesize ? 512 : 1;
	write_entry(ctx, i, last.operation, last.pagesize, gfn, 0);
	gfn += last.pagesize ? 512 : 1;
	write_entry(ctx, i + 1, last.operation, last.pagesize, gfn, 0);
}

static void start_model(struct context *ctx)
{
	struct model *m = &ctx->model;
	int i;

	m->cur = ctx->buffer->hdr.cur_entry;
	m->end = ctx->buffer->hdr.end_entry;

	for (i = 0; i <= m->end; i++) {
		struct psc_entry entry = ctx->buffer->entries[i];

		m->entries[i].gfn = entry.gfn;
		m->entries[i].size = entry.pagesize ? 512 : 1;
		m->entries[i].done = entry.cur_page;
		m->entries[i].op = entry.operation;
	}
	memcpy(ctx->original, ctx->buffer->entries, sizeof(ctx->original[0]) * (i + NR_BEYOND));
}

/* The guest's memory says how far KVM got, and is as it was otherwise. */
static bool buffer_is(struct context *ctx)
{
	struct psc_entry *entries = ctx->buffer->entries;
	struct model *m = &ctx->model;
	int i;

	for (i = 0; i <= m->end; i++)
		ctx->original[i].cur_page = m->entries[i].done;

	return ctx->buffer->hdr.cur_entry == m->cur &&
	       ctx->buffer->hdr.end_entry == m->end &&
	       !ctx->buffer->hdr.reserved &&
	       !memcmp(entries, ctx->original, sizeof(*entries) * (i + NR_BEYOND));
}

static bool is_same(const struct snp_psc_range *a, const struct snp_psc_range *b)
{
	return a->gfn == b->gfn && a->npages == b->npages &&
	       a->private == b->private && a->huge == b->huge;
}

static void show(struct kunit *test)
{
	struct context *ctx = test->priv;
	int i;

	kunit_info(test, "exit %d of answer (%llu, %d) at %d\n", ctx->nr_exits,
		   ctx->answer ? ctx->answer->ret : 0, ctx->answer ? ctx->answer->done : ALL,
		   ctx->at);
	kunit_info(test, "cur_entry %d, model %u, end_entry %d, result %llx, model %llx\n",
		   ctx->buffer->hdr.cur_entry, ctx->model.cur, ctx->buffer->hdr.end_entry,
		   ctx->psc.result, ctx->model.result);
	kunit_info(test, "range %llx %u %d %d, model %llx %u %d %d\n",
		   ctx->psc.range.gfn, ctx->psc.range.npages,
		   ctx->psc.range.private, ctx->psc.range.huge,
		   ctx->model.range.gfn, ctx->model.range.npages,
		   ctx->model.range.private, ctx->model.range.huge);

	for (i = 0; i <= ctx->model.end && i < 8; i++) {
		struct psc_entry entry = ctx->buffer->entries[i];

		kunit_info(test, "entry %d: gfn %llx op %d size %d cur_page %d, model %u\n", i,
			   (u64)entry.gfn, entry.operation, entry.pagesize, entry.cur_page,
			   ctx->model.entries[i].done);
	}
}

/* To be called often, i.e. cheaper than KUNIT_EXPECT_EQ(). */
static void check(struct kunit *test, bool condition, const char *text)
{
	if (condition)
		return;

	show(test);
	KUNIT_FAIL_AND_ABORT(test, "%s", text);
}

static u64 nr_pages(enum done done, u32 npages)
{
	switch (done) {
	case NONE:
		return 0;
	case ONE:
		return 1;
	case ALL_BUT_ONE:
		return npages - 1;
	case ALL:
		return npages;
	case ONE_TOO_MANY:
		return npages + 1;
	case WAY_TOO_MANY:
		return npages + BIT_ULL(32);
	}
	return 0;
}

static void compare(struct kunit *test, int r, int expected)
{
	struct context *ctx = test->priv;

	check(test, r == expected, "unexpected return value");
	if (r)
		check(test, is_same(&ctx->psc.range, &ctx->model.range), "wrong range");
	else
		check(test, ctx->psc.result == ctx->model.result, "wrong result");
	check(test, buffer_is(ctx), "wrong buffer");
}

/* One request, the buffer is filled. */
static void run_request(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct snp_psc *psc = &ctx->psc;
	struct model *m = &ctx->model;
	int r;

	start_model(ctx);
	r = snp_psc_begin(psc, ctx->buffer, m->end + 1);
	compare(test, r, model_next(m));

	while (r > 0) {
		u64 ret = 0, npages = m->range.npages;

		if (ctx->nr_exits++ == ctx->at) {
			ret = ctx->answer->ret;
			npages = nr_pages(ctx->answer->done, npages);
		}

		r = snp_psc_answer(psc, ret, npages);
		compare(test, r, model_answer(m, ret, npages));

		/* Userspace may think again. */
		if (r < 0)
			r = 1;
	}
}

/*
 * All requests that a guest makes for one buffer.  As userspace succeeds in the
 * end, it gets all that it has asked for, unless there is an error.
 */
static bool run_guest(struct kunit *test, const struct answer *answer, int at)
{
	struct context *ctx = test->priv;
	int nr_requests = 0;

	ctx->answer = answer;
	ctx->at = at;
	ctx->nr_exits = 0;

	do {
		run_request(test);
		check(test, nr_requests++ < 3, "too many requests");
	} while (!ctx->psc.result && ctx->model.cur <= ctx->model.end);

	/* The answer was given. */
	return ctx->nr_exits > at;
}

struct kind {
	u8 op;
	bool huge;
	u32 cur_page;
	bool unaligned;
};

/* Where an entry is with regard to the one before. */
enum place {
	ADJACENT,
	/* Adjacent if one forgets where the rest of the entry before starts. */
	INSIDE,
	APART,
	NR_PLACES,
};

static const u8 ops[] = { VMGEXIT_PSC_OP_PRIVATE, VMGEXIT_PSC_OP_SHARED, OP_UNKNOWN };

static int add_kinds(struct kind *kinds, const u32 *pages, int nr_pages, bool huge, bool unaligned)
{
	int i, op, nr = 0;

	for (op = 0; op < ARRAY_SIZE(ops); op++) {
		for (i = 0; i < nr_pages; i++)
			kinds[nr++] = (struct kind) { ops[op], huge, pages[i], unaligned };
	}
	return nr;
}

/* Entries to be done, to be done in part, and done. */
static int valid_kinds(struct kind *kinds)
{
	static const u32 pages_4k[] = { 0, 1 };
	static const u32 pages_2m[] = { 0, 200, 512 };
	int nr;

	nr = add_kinds(kinds, pages_4k, ARRAY_SIZE(pages_4k), false, false);
	return nr + add_kinds(kinds + nr, pages_2m, ARRAY_SIZE(pages_2m), true, false);
}

/* Also those at the edges, and those that are wrong. */
static int all_kinds(struct kind *kinds)
{
	static const u32 pages_4k[] = { 2, 4095 };
	static const u32 pages_2m[] = { 1, 511, 513, 4095 };
	static const u32 pages_unaligned[] = { 0, 200 };
	int nr = valid_kinds(kinds);

	nr += add_kinds(kinds + nr, pages_4k, ARRAY_SIZE(pages_4k), false, false);
	nr += add_kinds(kinds + nr, pages_2m, ARRAY_SIZE(pages_2m), true, false);
	return nr + add_kinds(kinds + nr, pages_unaligned, ARRAY_SIZE(pages_unaligned), true, true);
}

static void write_kind(struct context *ctx, int i, const struct kind *kind, u64 gfn)
{
	gfn += kind->unaligned;
	write_entry(ctx, i, kind->op, kind->huge, gfn, kind->cur_page);
}

/* Returns false if that place is the same as another. */
static bool write_kind_at(struct context *ctx, int i, const struct kind *kind, enum place place)
{
	struct psc_entry before = ctx->buffer->entries[i - 1];
	u32 size = before.pagesize ? 512 : 1;
	u64 gfn = before.gfn;

	if (place == INSIDE && !before.cur_page)
		return false;

	if (place == ADJACENT)
		gfn += size;
	else if (place == INSIDE)
		gfn += size - before.cur_page;
	else
		gfn += 0x10000;

	write_kind(ctx, i, kind, gfn);
	return true;
}

/* Returns how many exits there were to give @answer at. */
static int run_buffer(struct kunit *test, int cur_entry, int nr_entries,
		      const struct answer *answer)
{
	struct context *ctx = test->priv;
	struct psc_entry entries[3 + NR_BEYOND];
	bool given;
	int at = 0;

	write_beyond(ctx, nr_entries);
	memcpy(entries, ctx->buffer->entries, sizeof(entries));

	do {
		ctx->buffer->hdr.cur_entry = cur_entry;
		ctx->buffer->hdr.end_entry = nr_entries - 1;
		given = run_guest(test, answer, at++);
		memcpy(ctx->buffer->entries, entries, sizeof(entries));
	} while (given);

	return at - 1;
}

/* Buffers of one and two entries, with everything that can be wrong with them. */
static int run_short_buffers(struct kunit *test, const struct kind *first, u64 gfn,
			     const struct answer *answer)
{
	struct context *ctx = test->priv;
	struct kind kinds[40];
	int nr_kinds = all_kinds(kinds);
	enum place place;
	int i, nr;

	write_kind(ctx, 0, first, gfn);
	nr = run_buffer(test, 0, 1, answer);

	for (i = 0; i < nr_kinds; i++) {
		for (place = 0; place < NR_PLACES; place++) {
			if (write_kind_at(ctx, 1, &kinds[i], place))
				nr += run_buffer(test, 0, 2, answer);
		}
		nr += run_buffer(test, 1, 2, answer);
		nr += run_buffer(test, 2, 2, answer);
	}
	return nr;
}

/* Buffers of three entries that are well-formed. */
static int run_long_buffers(struct kunit *test, const struct kind *first, u64 gfn,
			    const struct answer *answer)
{
	struct context *ctx = test->priv;
	enum place place, last_place;
	struct kind kinds[40];
	int nr_kinds = valid_kinds(kinds);
	int i, j, nr = 0;

	write_kind(ctx, 0, first, gfn);

	for (i = 0; i < nr_kinds; i++) {
		for (place = 0; place < NR_PLACES; place++) {
			if (!write_kind_at(ctx, 1, &kinds[i], place))
				continue;

			for (j = 0; j < nr_kinds; j++) {
				for (last_place = 0; last_place < NR_PLACES; last_place++) {
					if (write_kind_at(ctx, 2, &kinds[j], last_place))
						nr += run_buffer(test, 0, 3, answer);
				}
			}
		}
	}
	return nr;
}

/* Every buffer of up to three entries, with @answer at every exit. */
static void run_buffers(struct kunit *test, const struct answer *answer)
{
	struct kind kinds[40];
	int nr_kinds, i, nr = 0;

	nr_kinds = all_kinds(kinds);
	for (i = 0; i < nr_kinds; i++) {
		nr += run_short_buffers(test, &kinds[i], GFN_2M, answer);
		/* The last page of a 2M page, so that another can follow. */
		if (!kinds[i].huge)
			nr += run_short_buffers(test, &kinds[i], GFN_2M - 1, answer);
		/* The last page that there is. */
		nr += run_short_buffers(test, &kinds[i],
					GFN_MAX + 1 - (kinds[i].huge ? 512 : 1), answer);
	}

	nr_kinds = valid_kinds(kinds);
	for (i = 0; i < nr_kinds; i++)
		nr += run_long_buffers(test, &kinds[i], GFN_2M - !kinds[i].huge, answer);

	kunit_info(test, "gave the answer %d times\n", nr);
	KUNIT_EXPECT_GT(test, nr, 10000);
}

static void snp_psc_test_success(struct kunit *test)
{
	run_buffers(test, &(struct answer) { 0, ALL });
}

static void snp_psc_test_retry(struct kunit *test)
{
	run_buffers(test, &(struct answer) { EAGAIN, NONE });
}

static void snp_psc_test_failure(struct kunit *test)
{
	run_buffers(test, &(struct answer) { EINVAL, NONE });
}

static void snp_psc_test_invalid(struct kunit *test)
{
	run_buffers(test, &(struct answer) { EPERM, ALL });
}

static void snp_psc_test_nothing(struct kunit *test)
{
	run_buffers(test, &(struct answer) { 0, NONE });
}

static void snp_psc_test_one_page(struct kunit *test)
{
	run_buffers(test, &(struct answer) { 0, ONE });
}

static void snp_psc_test_all_but_one_page(struct kunit *test)
{
	run_buffers(test, &(struct answer) { 0, ALL_BUT_ONE });
}

static void snp_psc_test_retry_rest(struct kunit *test)
{
	run_buffers(test, &(struct answer) { EAGAIN, ALL_BUT_ONE });
}

static void snp_psc_test_failure_after_one(struct kunit *test)
{
	run_buffers(test, &(struct answer) { EINVAL, ONE });
}

/* Any answer there is, to a buffer that has one entry. */
static void snp_psc_test_answers(struct kunit *test)
{
	static const u64 rets[] = {
		0, EINVAL, EAGAIN, BIT_ULL(32), BIT_ULL(32) | EINVAL, BIT_ULL(63) | EAGAIN,
		-EINVAL, -EAGAIN, -1000, 1000, S64_MAX, U64_MAX,
	};
	struct context *ctx = test->priv;
	struct answer answer;
	int i;

	write_entry(ctx, 0, VMGEXIT_PSC_OP_SHARED, true, GFN_2M, 0);

	for (answer.done = NONE; answer.done <= WAY_TOO_MANY; answer.done++) {
		for (i = 0; i < 256; i++) {
			answer.ret = i;
			KUNIT_EXPECT_EQ(test, run_buffer(test, 0, 1, &answer) > 0, true);
		}
		for (i = 0; i < ARRAY_SIZE(rets); i++) {
			answer.ret = rets[i];
			KUNIT_EXPECT_EQ(test, run_buffer(test, 0, 1, &answer) > 0, true);
		}
	}
}

/* The header, with every entry to be done. */
static void snp_psc_test_header(struct kunit *test)
{
	static const u16 indices[] = {
		0, 1, 2, 126, NR_ENTRIES - 2, NR_ENTRIES - 1, NR_ENTRIES, NR_ENTRIES + 1,
		255, 256, S16_MAX, U16_MAX - 1, U16_MAX,
	};
	struct context *ctx = test->priv;
	struct psc_buffer *buffer = ctx->buffer;
	struct snp_psc *psc = &ctx->psc;
	int cur, end, nr, i;

	for (i = 0; i < NR_ENTRIES + NR_BEYOND; i++)
		write_entry(ctx, i, VMGEXIT_PSC_OP_PRIVATE, false, GFN_2M + i, 0);

	for (cur = 0; cur < ARRAY_SIZE(indices); cur++) {
		for (end = 0; end < ARRAY_SIZE(indices); end++) {
			for (nr = 0; nr < ARRAY_SIZE(indices); nr++) {
				int r;

				if (indices[nr] > NR_ENTRIES)
					continue;

				buffer->hdr.cur_entry = indices[cur];
				buffer->hdr.end_entry = indices[end];
				r = snp_psc_begin(psc, buffer, indices[nr]);

				if (indices[end] >= indices[nr]) {
					KUNIT_EXPECT_EQ(test, r, 0);
					KUNIT_EXPECT_EQ(test, psc->result,
							VMGEXIT_PSC_ERROR_INVALID_HDR);
				} else if (indices[cur] > indices[end]) {
					KUNIT_EXPECT_EQ(test, r, 0);
					KUNIT_EXPECT_EQ(test, psc->result, 0);
				} else {
					KUNIT_EXPECT_EQ(test, r, 1);
					KUNIT_EXPECT_EQ(test, psc->range.gfn,
							GFN_2M + indices[cur]);
					KUNIT_EXPECT_EQ(test, psc->range.npages,
							indices[end] - indices[cur] + 1);
				}
				KUNIT_EXPECT_EQ(test, buffer->hdr.cur_entry, indices[cur]);
				KUNIT_EXPECT_EQ(test, buffer->hdr.end_entry, indices[end]);
			}
		}
	}
}

/* As many entries as there can be, in as many steps as there can be. */
static void snp_psc_test_full(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct psc_buffer *buffer = ctx->buffer;
	struct snp_psc *psc = &ctx->psc;
	int huge, step, i, r;

	for (huge = 0; huge <= 1; huge++) {
		u32 size = huge ? 512 : 1;

		for (step = 1; step <= 1000; step += 333) {
			u64 gfn = GFN_2M, end = GFN_2M + NR_ENTRIES * size;

			for (i = 0; i < NR_ENTRIES + NR_BEYOND; i++)
				write_entry(ctx, i, VMGEXIT_PSC_OP_SHARED, huge,
					    GFN_2M + i * size, 0);
			buffer->hdr = (struct psc_hdr) { .end_entry = NR_ENTRIES - 1 };

			r = snp_psc_begin(psc, buffer, NR_ENTRIES);
			while (r) {
				u32 n = min_t(u32, step, psc->range.npages);

				check(test, r == 1, "unexpected return value");
				check(test, psc->range.gfn == gfn, "wrong gfn");
				check(test, psc->range.huge == (huge && !(gfn % size)),
				      "wrong page size");
				check(test, psc->range.npages ==
				      (huge && gfn % size ? size - gfn % size : end - gfn),
				      "wrong number of pages");
				check(test, buffer->hdr.cur_entry == (gfn - GFN_2M) / size,
				      "wrong cur_entry");

				gfn += n;
				r = snp_psc_answer(psc, 0, n);
			}
			KUNIT_EXPECT_EQ(test, gfn, end);
			KUNIT_EXPECT_EQ(test, psc->result, 0);
			KUNIT_EXPECT_EQ(test, buffer->hdr.cur_entry, NR_ENTRIES);
			for (i = 0; i < NR_ENTRIES + NR_BEYOND; i++)
				KUNIT_EXPECT_EQ(test, cur_page(ctx, i),
						i < NR_ENTRIES ? size : 0);
		}
	}
}

/* Is there an entry that names this page, and the state it is to get? */
static bool is_named(const struct psc_entry *entries, int nr, u64 gfn, bool private)
{
	int i;

	for (i = 0; i < nr; i++) {
		struct psc_entry entry = entries[i];

		if (entry.operation == (private ? VMGEXIT_PSC_OP_PRIVATE : VMGEXIT_PSC_OP_SHARED) &&
		    gfn >= entry.gfn && gfn - entry.gfn < (entry.pagesize ? 512 : 1))
			return true;
	}
	return false;
}

/* KVM may change cur_entry, and cur_page of those of the @nr entries. */
static bool only_progress(struct psc_buffer *buffer, const struct psc_entry *before, int nr)
{
	int i;

	for (i = 0; i < NR_ENTRIES + NR_BEYOND; i++) {
		struct psc_entry entry = buffer->entries[i];

		if (i < nr)
			entry.cur_page = before[i].cur_page;
		if (memcmp(&entry, &before[i], sizeof(entry)))
			return false;
	}
	return true;
}

static void random_entry(struct context *ctx, int i, struct rnd_state *rnd)
{
	static const u32 pages[] = { 0, 0, 0, 0, 1, 1, 200, 511, 512, 513 };
	u32 r = prandom_u32_state(rnd);
	bool huge = r & 1;
	u64 gfn;

	/* Few pages, so that many are adjacent. */
	gfn = GFN_2M + (huge ? r / 16 % 8 * 512 : r / 16 % 4);
	if (r & 2 && i) {
		gfn = ctx->buffer->entries[i - 1].gfn;
		gfn += ctx->buffer->entries[i - 1].pagesize ? 512 : 1;
	}
	write_entry(ctx, i, r & 12 ? VMGEXIT_PSC_OP_SHARED : ops[r / 1024 % 3], huge, gfn,
		    r & 0x10000 ? 0 : pages[r / 4096 % ARRAY_SIZE(pages)]);
}

/*
 * A guest that changes the buffer whenever KVM isn't looking, i.e. whenever
 * userspace has the vCPU.
 */
static void snp_psc_test_changing_buffer(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct psc_buffer *buffer = ctx->buffer;
	struct snp_psc *psc = &ctx->psc;
	struct psc_entry *before = ctx->original;
	struct rnd_state rnd;
	int round, i;

	prandom_seed_state(&rnd, 0x5eed);

	for (round = 0; round < 3000; round++) {
		int nr = 1 + prandom_u32_state(&rnd) % 6, nr_steps = 0, r;
		u32 nr_pages = 0, page;
		u16 last_entry = 0;

		for (i = 0; i < NR_ENTRIES + NR_BEYOND; i++)
			random_entry(ctx, i, &rnd);
		buffer->hdr = (struct psc_hdr) { .end_entry = nr - 1 };

		memcpy(before, buffer->entries, sizeof(ctx->original));
		r = snp_psc_begin(psc, buffer, nr);

		while (r) {
			u32 todo = psc->range.npages, npages, what = prandom_u32_state(&rnd);
			struct snp_psc_range range = psc->range;

			check(test, r == 1, "unexpected return value");
			check(test, nr_steps++ < nr * 512, "too many steps");
			check(test, todo && todo <= nr * 512, "wrong number of pages");
			for (page = 0; page < todo; page++)
				check(test, is_named(buffer->entries, nr, range.gfn + page,
						     range.private), "nobody named this page");
			check(test, only_progress(buffer, before, nr), "KVM changed the buffer");
			check(test, psc->cur_idx < nr, "beyond the end");
			check(test, psc->cur_idx >= last_entry, "backwards");
			last_entry = psc->cur_idx;

			/* The guest's turn. */
			switch (what % 16) {
			case 0:
				buffer->hdr.cur_entry = prandom_u32_state(&rnd) % 8;
				break;
			case 1:
				buffer->hdr.end_entry = prandom_u32_state(&rnd) % 8;
				break;
			case 2:
				buffer->entries[psc->cur_idx].cur_page = 0;
				break;
			case 3:
				buffer->entries[psc->cur_idx].pagesize ^= 1;
				break;
			case 4:
				random_entry(ctx, psc->cur_idx, &rnd);
				break;
			case 5:
				random_entry(ctx, prandom_u32_state(&rnd) % nr, &rnd);
				break;
			case 6:
				for (i = 0; i < nr; i++)
					random_entry(ctx, i, &rnd);
				break;
			}
			memcpy(before, buffer->entries, sizeof(ctx->original));

			/* Userspace's turn. */
			npages = what & 256 ? todo : 1 + prandom_u32_state(&rnd) % todo;
			if (what % 7 == 0) {
				check(test, snp_psc_answer(psc, 0, todo + 1ull) == -EINVAL,
				      "too many pages");
				check(test, is_same(&range, &psc->range),
				      "a wrong answer changed the range");
				check(test, !memcmp(before, buffer->entries,
						    sizeof(ctx->original)),
				      "a wrong answer changed the buffer");
			}
			r = snp_psc_answer(psc, 0, npages);
			nr_pages += npages;
		}

		check(test, only_progress(buffer, before, nr), "KVM changed the buffer");
		if (psc->result) {
			check(test, psc->result == VMGEXIT_PSC_ERROR_INVALID_ENTRY, "wrong result");
			check(test, psc->cur_idx < nr, "beyond the end");
		} else {
			check(test, buffer->hdr.cur_entry == nr, "wrong cur_entry");
		}
		check(test, nr_pages <= nr * 512, "more pages than entries can have");
	}
}

/* The sizes of entries in flight are KVM's, whatever the guest writes there. */
static void snp_psc_test_changed_size(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct psc_buffer *buffer = ctx->buffer;
	struct snp_psc *psc = &ctx->psc;
	int huge, i;

	for (huge = 0; huge <= 1; huge++) {
		u32 size = huge ? 512 : 1;

		for (i = 0; i < 3; i++)
			write_entry(ctx, i, VMGEXIT_PSC_OP_SHARED, huge, GFN_2M + i * size, 0);
		buffer->hdr = (struct psc_hdr) { .end_entry = 2 };

		KUNIT_ASSERT_EQ(test, snp_psc_begin(psc, buffer, 3), 1);
		KUNIT_EXPECT_EQ(test, psc->range.npages, 3 * size);
		for (i = 0; i < 3; i++)
			buffer->entries[i].pagesize = !huge;

		KUNIT_EXPECT_EQ(test, snp_psc_answer(psc, 0, 3 * size), 0);
		KUNIT_EXPECT_EQ(test, psc->result, 0);
		KUNIT_EXPECT_EQ(test, buffer->hdr.cur_entry, 3);
		for (i = 0; i < 3; i++)
			KUNIT_EXPECT_EQ(test, cur_page(ctx, i), size);
	}
}

/* A guest that wants the same pages done over and over. */
static void snp_psc_test_reset_progress(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct psc_buffer *buffer = ctx->buffer;
	struct snp_psc *psc = &ctx->psc;
	int i;

	write_entry(ctx, 0, VMGEXIT_PSC_OP_PRIVATE, true, GFN_2M, 0);
	write_entry(ctx, 1, VMGEXIT_PSC_OP_SHARED, true, GFN_2M, 0);
	buffer->hdr = (struct psc_hdr) { .end_entry = 1 };
	KUNIT_ASSERT_EQ(test, snp_psc_begin(psc, buffer, 2), 1);

	for (i = 0; i < 1024; i++) {
		KUNIT_ASSERT_EQ(test, psc->range.gfn, GFN_2M + i % 512);
		KUNIT_ASSERT_EQ(test, psc->range.npages, 512 - i % 512);
		KUNIT_ASSERT_EQ(test, psc->range.private, i < 512);
		buffer->hdr.cur_entry = 0;
		buffer->entries[0].cur_page = 0;
		buffer->entries[1].cur_page = 0;
		KUNIT_ASSERT_EQ(test, snp_psc_answer(psc, 0, 1), i < 1023);
	}
	KUNIT_EXPECT_EQ(test, psc->result, 0);
	KUNIT_EXPECT_EQ(test, buffer->hdr.cur_entry, 2);
}

static u64 msr_request(u64 gfn, u8 op)
{
	return (u64)op << 52 | gfn << 12 | GHCB_MSR_PSC_REQ;
}

/* What a request by MSR is, and what it becomes with each answer. */
static void snp_psc_test_msr(struct kunit *test)
{
	static const u64 gfns[] = { 0, 1, 511, 512, GFN_2M, GFN_MAX - 1, GFN_MAX };
	struct context *ctx = test->priv;
	struct snp_psc *psc = &ctx->psc;
	int op, i;

	for (op = 0; op < 16; op++) {
		for (i = 0; i < ARRAY_SIZE(gfns); i++) {
			int r = snp_psc_begin_msr(psc, msr_request(gfns[i], op));

			if (op != SNP_PAGE_STATE_PRIVATE && op != SNP_PAGE_STATE_SHARED) {
				KUNIT_EXPECT_EQ(test, r, 0);
				KUNIT_EXPECT_EQ(test, psc->result, GHCB_MSR_PSC_RESP_ERROR);
				continue;
			}

			KUNIT_EXPECT_EQ(test, r, 1);
			KUNIT_EXPECT_EQ(test, psc->range.gfn, gfns[i]);
			KUNIT_EXPECT_EQ(test, psc->range.npages, 1);
			KUNIT_EXPECT_EQ(test, psc->range.private, op == SNP_PAGE_STATE_PRIVATE);
			KUNIT_EXPECT_FALSE(test, psc->range.huge);

			/* Not an answer, twice. */
			KUNIT_EXPECT_EQ(test, snp_psc_answer(psc, EPERM, 1), -EINVAL);
			KUNIT_EXPECT_EQ(test, snp_psc_answer(psc, U64_MAX, 0), -EINVAL);
			KUNIT_EXPECT_EQ(test, psc->range.gfn, gfns[i]);

			KUNIT_EXPECT_EQ(test, snp_psc_answer(psc, i & 1 ? EINVAL : 0, !(i & 1)), 0);
			KUNIT_EXPECT_EQ(test, psc->result,
					i & 1 ? GHCB_MSR_PSC_RESP_ERROR : GHCB_MSR_PSC_RESP);
		}
	}
}

/* The answers that userspace gives to a request by MSR, @nr times EAGAIN first. */
static void run_msr_retries(struct kunit *test, int nr, u64 ret, u64 result)
{
	struct context *ctx = test->priv;
	struct snp_psc *psc = &ctx->psc;
	u64 request = msr_request(GFN_2M, SNP_PAGE_STATE_SHARED);
	int i;

	KUNIT_ASSERT_EQ(test, snp_psc_begin_msr(psc, request), 1);
	for (i = 0; i < nr; i++) {
		KUNIT_ASSERT_EQ(test, snp_psc_answer(psc, EAGAIN, 0), 1);
		KUNIT_EXPECT_EQ(test, psc->range.gfn, GFN_2M);
		KUNIT_EXPECT_EQ(test, psc->range.npages, 1);
		KUNIT_EXPECT_FALSE(test, psc->range.private);
		KUNIT_EXPECT_FALSE(test, psc->range.huge);
	}
	KUNIT_EXPECT_EQ(test, snp_psc_answer(psc, ret, !ret), 0);
	KUNIT_EXPECT_EQ(test, psc->result, result);
}

static void snp_psc_test_msr_retry(struct kunit *test)
{
	/* More than any counter of 8 bits has. */
	static const int nr[] = { 0, 1, 2, 16, 17, 255, 256, 1000 };
	int i;

	for (i = 0; i < ARRAY_SIZE(nr); i++) {
		run_msr_retries(test, nr[i], 0, GHCB_MSR_PSC_RESP);
		run_msr_retries(test, nr[i], EINVAL, GHCB_MSR_PSC_RESP_ERROR);
	}
}

/* An answer that speaks of pages, to a request for one. */
static void snp_psc_test_msr_pages(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct snp_psc *psc = &ctx->psc;
	u64 request = msr_request(GFN_2M, SNP_PAGE_STATE_PRIVATE);

	KUNIT_ASSERT_EQ(test, snp_psc_begin_msr(psc, request), 1);
	KUNIT_EXPECT_EQ(test, snp_psc_answer(psc, 0, 2), -EINVAL);
	KUNIT_EXPECT_EQ(test, snp_psc_answer(psc, EAGAIN, BIT_ULL(32)), -EINVAL);
	KUNIT_EXPECT_EQ(test, snp_psc_answer(psc, 0, 0), 1);
	KUNIT_EXPECT_EQ(test, snp_psc_answer(psc, EAGAIN, 1), 0);
	KUNIT_EXPECT_EQ(test, psc->result, GHCB_MSR_PSC_RESP);

	KUNIT_ASSERT_EQ(test, snp_psc_begin_msr(psc, request), 1);
	KUNIT_EXPECT_EQ(test, snp_psc_answer(psc, EINVAL, 1), 0);
	KUNIT_EXPECT_EQ(test, psc->result, GHCB_MSR_PSC_RESP_ERROR);
}

/* Requests of both protocols in turns, on the state that the vCPU has. */
static void snp_psc_test_both(struct kunit *test)
{
	struct context *ctx = test->priv;
	int i;

	for (i = 0; i < 3; i++) {
		write_entry(ctx, 0, VMGEXIT_PSC_OP_PRIVATE, true, GFN_2M, 0);
		run_buffer(test, 0, 1, &(struct answer) { 0, ONE });
		run_msr_retries(test, i, 0, GHCB_MSR_PSC_RESP);
	}
}

static int snp_psc_test_init(struct kunit *test)
{
	struct context *ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);

	if (!ctx)
		return -ENOMEM;
	test->priv = ctx;

	ctx->buffer = kunit_kzalloc(test, struct_size(ctx->buffer, entries, NR_ENTRIES + NR_BEYOND),
				    GFP_KERNEL);
	return ctx->buffer ? 0 : -ENOMEM;
}

static struct kunit_case snp_psc_test_cases[] = {
	KUNIT_CASE(snp_psc_test_success),
	KUNIT_CASE(snp_psc_test_retry),
	KUNIT_CASE(snp_psc_test_failure),
	KUNIT_CASE(snp_psc_test_invalid),
	KUNIT_CASE(snp_psc_test_nothing),
	KUNIT_CASE(snp_psc_test_one_page),
	KUNIT_CASE(snp_psc_test_all_but_one_page),
	KUNIT_CASE(snp_psc_test_retry_rest),
	KUNIT_CASE(snp_psc_test_failure_after_one),
	KUNIT_CASE(snp_psc_test_answers),
	KUNIT_CASE(snp_psc_test_header),
	KUNIT_CASE(snp_psc_test_full),
	KUNIT_CASE(snp_psc_test_changing_buffer),
	KUNIT_CASE(snp_psc_test_changed_size),
	KUNIT_CASE(snp_psc_test_reset_progress),
	KUNIT_CASE(snp_psc_test_msr),
	KUNIT_CASE(snp_psc_test_msr_retry),
	KUNIT_CASE(snp_psc_test_msr_pages),
	KUNIT_CASE(snp_psc_test_both),
	{}
};

static struct kunit_suite snp_psc_test_suite = {
	.name		= "kvm_snp_psc",
	.init		= snp_psc_test_init,
	.test_cases	= snp_psc_test_cases,
};

kunit_test_suite(snp_psc_test_suite);

MODULE_DESCRIPTION("KUnit tests of KVM's page state changes for SNP guests");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
