// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the allocator of SNP-safe pages, on a page source that keeps
 * books of what it gave out and what came back.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "snp_page.h"

/* One block of 2 MiB for each aligned page that a test may ask for. */
#define NR_BLOCKS	(SNP_PAGE_MAX_TRIES + 4)
#define MAX_GIVEN	(SNP_PAGE_MAX_TRIES + 4)
#define NEVER		-1

#define TEST_NODE	3
#define TEST_GFP	(GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

struct page_books {
	struct page *blocks[NR_BLOCKS];

	/* What the source is to do. */
	int nr_aligned;		/* so many single pages are 2 MiB aligned */
	bool pair_aligned;	/* the order-1 block starts 2 MiB aligned */
	int fail_at;		/* this call fails */

	/* What was asked of it. */
	int nr_calls;
	int nr_pairs;
	gfp_t gfp;		/* that every call must carry */

	/* What it gave out, and how often each page came back. */
	struct page *given[MAX_GIVEN];
	int nr_puts[MAX_GIVEN];
	int nr_given;
	int nr_early_puts;	/* pages that came back before the last call */
};

static u8 fill_byte(gfp_t gfp)
{
	return want_init_on_alloc(gfp) ? 0 : 0xaa;
}

static void give(struct page_books *books, struct page *page)
{
	memset(page_address(page), fill_byte(books->gfp), PAGE_SIZE);
	books->given[books->nr_given++] = page;
}

static int nr_puts(struct page_books *books)
{
	int i, sum = 0;

	for (i = 0; i < books->nr_given; i++)
		sum += books->nr_puts[i];
	return sum;
}

static struct page *fake_get(int node, gfp_t gfp, unsigned int order)
{
	struct kunit *test = kunit_get_current_test();
	struct page_books *books = test->priv;
	int call = books->nr_calls++;
	struct page *page;

	KUNIT_EXPECT_EQ(test, node, TEST_NODE);
	KUNIT_EXPECT_EQ(test, (__force u32)gfp, (__force u32)books->gfp);
	KUNIT_EXPECT_LE(test, order, 1);
	KUNIT_ASSERT_LT(test, books->nr_given + 1, MAX_GIVEN);

	books->nr_pairs += order;
	books->nr_early_puts = nr_puts(books);

	if (call == books->fail_at)
		return NULL;

	/* The first page of a block is aligned, the others are not. */
	if (order)
		page = books->blocks[NR_BLOCKS - 1] + (books->pair_aligned ? 0 : 2);
	else
		page = books->blocks[call] + (call < books->nr_aligned ? 0 : 1);

	give(books, page);
	if (order)
		give(books, page + 1);
	return page;
}

static void fake_put(struct page *page)
{
	struct kunit *test = kunit_get_current_test();
	struct page_books *books = test->priv;
	int i;

	for (i = 0; i < books->nr_given; i++) {
		if (books->given[i] == page) {
			books->nr_puts[i]++;
			return;
		}
	}
	KUNIT_FAIL(test, "freed a page that was not allocated, pfn 0x%lx", page_to_pfn(page));
}

static void start_books(struct kunit *test, int nr_aligned, bool pair_aligned, int fail_at)
{
	struct page_books *books = test->priv;

	memset_after(books, 0, blocks);
	books->nr_aligned = nr_aligned;
	books->pair_aligned = pair_aligned;
	books->fail_at = fail_at;
	books->gfp = TEST_GFP;
}

/* Everything but @page came back once, with nothing written to it. */
static void check_books(struct kunit *test, struct page *page)
{
	struct page_books *books = test->priv;
	int i;

	KUNIT_EXPECT_EQ(test, books->nr_early_puts, 0);

	for (i = 0; i < books->nr_given; i++) {
		void *data = page_address(books->given[i]);

		if (books->given[i] == page) {
			KUNIT_EXPECT_EQ(test, books->nr_puts[i], 0);
			KUNIT_EXPECT_NULL(test, memchr_inv(data, 0, PAGE_SIZE));
		} else {
			KUNIT_EXPECT_EQ(test, books->nr_puts[i], 1);
			KUNIT_EXPECT_NULL(test, memchr_inv(data, fill_byte(books->gfp), PAGE_SIZE));
		}
	}
}

static void snp_page_test_predicate(struct kunit *test)
{
	static const struct {
		unsigned long pfn;
		bool safe;
	} cases[] = {
		{ 0,				false },
		{ 1,				true },
		{ 2,				true },
		{ 256,				true },
		{ 510,				true },
		{ 511,				true },
		{ 512,				false },
		{ 513,				true },
		{ 1023,				true },
		{ 1024,				false },
		{ 1025,				true },
		{ (1ul << 18) - 1,		true },
		{ 1ul << 18,			false },	/* 1 GiB */
		{ (1ul << 18) + 1,		true },
		{ (1ul << 18) + 512,		false },
		{ (1ul << 20) - 1,		true },
		{ 1ul << 20,			false },	/* 4 GiB */
		{ (1ul << 40) - 512,		false },
		{ (1ul << 40) - 1,		true },		/* the last of 52 bits */
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		KUNIT_EXPECT_EQ_MSG(test, snp_page_is_safe(cases[i].pfn), cases[i].safe,
				    "pfn 0x%lx", cases[i].pfn);
}

/* Any number of aligned pages in a row, up to more than are ever looked at. */
static void snp_page_test_aligned_pages(struct kunit *test)
{
	struct page_books *books = test->priv;
	int nr_aligned, pair_aligned;

	for (nr_aligned = 0; nr_aligned <= SNP_PAGE_MAX_TRIES + 2; nr_aligned++) {
		for (pair_aligned = 0; pair_aligned <= 1; pair_aligned++) {
			bool fallback = nr_aligned >= SNP_PAGE_MAX_TRIES;
			struct page *page;

			start_books(test, nr_aligned, pair_aligned, NEVER);
			page = snp_page_alloc(TEST_NODE, TEST_GFP | __GFP_ZERO);

			KUNIT_ASSERT_NOT_NULL(test, page);
			KUNIT_EXPECT_TRUE(test, snp_page_is_safe(page_to_pfn(page)));
			KUNIT_EXPECT_EQ(test, books->nr_pairs, fallback);
			KUNIT_EXPECT_EQ(test, books->nr_calls,
					min(nr_aligned, SNP_PAGE_MAX_TRIES) + 1);
			check_books(test, page);
		}
	}
}

/* The half of the order-1 block that goes back is the aligned one. */
static void snp_page_test_fallback_half(struct kunit *test)
{
	struct page_books *books = test->priv;
	struct page *page;

	start_books(test, SNP_PAGE_MAX_TRIES, true, NEVER);
	page = snp_page_alloc(TEST_NODE, TEST_GFP);
	KUNIT_EXPECT_PTR_EQ(test, page, books->blocks[NR_BLOCKS - 1] + 1);
	check_books(test, page);

	start_books(test, SNP_PAGE_MAX_TRIES, false, NEVER);
	page = snp_page_alloc(TEST_NODE, TEST_GFP);
	KUNIT_EXPECT_PTR_EQ(test, page, books->blocks[NR_BLOCKS - 1] + 2);
	check_books(test, page);
}

/* Memory that runs out at any call: NULL, and everything went back. */
static void snp_page_test_exhaustion(struct kunit *test)
{
	struct page_books *books = test->priv;
	int fail_at;

	for (fail_at = 0; fail_at <= SNP_PAGE_MAX_TRIES; fail_at++) {
		start_books(test, SNP_PAGE_MAX_TRIES + 2, true, fail_at);
		KUNIT_EXPECT_NULL(test, snp_page_alloc(TEST_NODE, TEST_GFP));
		KUNIT_EXPECT_EQ(test, books->nr_calls, fail_at + 1);
		KUNIT_EXPECT_EQ(test, books->nr_given, fail_at);
		check_books(test, NULL);
	}
}

/* The real page allocator: zeroed pages, with SNP safe ones. */
static void snp_page_test_real_pages(struct kunit *test)
{
	struct page *page;
	int i;

	kunit_deactivate_static_stub(test, snp_page_get);
	kunit_deactivate_static_stub(test, snp_page_put);

	for (i = 0; i < 2 * PTRS_PER_PMD; i++) {
		page = snp_safe_alloc_page_node(numa_node_id(), GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, page);
		KUNIT_EXPECT_NULL(test, memchr_inv(page_address(page), 0, PAGE_SIZE));
		if (snp_page_workaround)
			KUNIT_EXPECT_TRUE(test, snp_page_is_safe(page_to_pfn(page)));

		/* The next page would be zeroed by luck otherwise. */
		memset(page_address(page), 0xaa, PAGE_SIZE);
		__free_page(page);
	}

	/* A pair comes as two pages, each with a reference of its own. */
	page = snp_page_get(numa_node_id(), GFP_KERNEL, 1);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_EQ(test, page_count(page), 1);
	KUNIT_EXPECT_EQ(test, page_count(page + 1), 1);
	snp_page_put(page);
	snp_page_put(page + 1);
}

static int snp_page_test_init(struct kunit *test)
{
	struct page_books *books = kunit_kzalloc(test, sizeof(*books), GFP_KERNEL);
	int i;

	if (!books)
		return -ENOMEM;
	test->priv = books;

	for (i = 0; i < NR_BLOCKS; i++) {
		books->blocks[i] = alloc_pages(GFP_KERNEL, PMD_SHIFT - PAGE_SHIFT);
		if (!books->blocks[i])
			return -ENOMEM;
	}

	kunit_activate_static_stub(test, snp_page_get, fake_get);
	kunit_activate_static_stub(test, snp_page_put, fake_put);
	return 0;
}

static void snp_page_test_exit(struct kunit *test)
{
	struct page_books *books = test->priv;
	int i;

	for (i = 0; books && i < NR_BLOCKS; i++) {
		if (books->blocks[i])
			__free_pages(books->blocks[i], PMD_SHIFT - PAGE_SHIFT);
	}
}

static struct kunit_case snp_page_test_cases[] = {
	KUNIT_CASE(snp_page_test_predicate),
	KUNIT_CASE(snp_page_test_aligned_pages),
	KUNIT_CASE(snp_page_test_fallback_half),
	KUNIT_CASE(snp_page_test_exhaustion),
	KUNIT_CASE(snp_page_test_real_pages),
	{}
};

static struct kunit_suite snp_page_test_suite = {
	.name		= "kvm_snp_page",
	.init		= snp_page_test_init,
	.exit		= snp_page_test_exit,
	.test_cases	= snp_page_test_cases,
};

kunit_test_suite(snp_page_test_suite);

MODULE_DESCRIPTION("KUnit tests of KVM's SNP-safe pages");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
