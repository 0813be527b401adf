// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the allocation of SNP-safe pages, with a page allocator that
 * records which pages it returned and which were freed.
 */
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "svm.h"
#include "trace.h"

#define MAX_SINGLE_PAGES	2
#define MAX_CALLS		(MAX_SINGLE_PAGES + 1)
#define MAX_GIVEN		(MAX_CALLS + 1)
#define NEVER			-1

#define TEST_NODE	3
#define TEST_GFP	(GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

struct page_books {
	/* One 2MB block for each call. */
	struct page *blocks[MAX_CALLS];

	/* What the allocator is to do. */
	int nr_aligned;		/* so many single pages are 2MB-aligned */
	bool pair_aligned;	/* the order-1 block is 2MB-aligned */
	int fail_at;		/* this call fails */

	/* What was asked of it. */
	int nr_calls;
	int nr_pairs;
	int nr_splits;

	/* What it returned, and how often each page was freed. */
	struct page *given[MAX_GIVEN];
	int nr_frees[MAX_GIVEN];
	int nr_given;
	bool first_freed_early;
};

static struct page *fake_alloc(int node, gfp_t gfp, unsigned int order)
{
	struct kunit *test = kunit_get_current_test();
	struct page_books *books = test->priv;
	int call = books->nr_calls++;
	struct page *page;

	KUNIT_EXPECT_EQ(test, node, TEST_NODE);
	KUNIT_EXPECT_EQ(test, (__force u32)gfp, (__force u32)(TEST_GFP | __GFP_ZERO));
	KUNIT_EXPECT_EQ(test, order, call == MAX_SINGLE_PAGES);
	KUNIT_ASSERT_LT(test, call, MAX_CALLS);

	books->nr_pairs += order;
	books->first_freed_early |= books->nr_frees[0];

	if (call == books->fail_at)
		return NULL;

	/* The first page of a block is aligned, the others are not. */
	page = books->blocks[call];
	if (order) {
		if (!books->pair_aligned)
			page += 2;
		books->given[books->nr_given++] = page;
		books->given[books->nr_given++] = page + 1;
	} else {
		if (call >= books->nr_aligned)
			page += 1;
		books->given[books->nr_given++] = page;
	}
	return page;
}

static void fake_split(struct page *page, unsigned int order)
{
	struct kunit *test = kunit_get_current_test();
	struct page_books *books = test->priv;

	KUNIT_EXPECT_EQ(test, order, 1);
	KUNIT_EXPECT_EQ(test, books->nr_pairs, 1);
	KUNIT_EXPECT_PTR_EQ(test, page, books->given[books->nr_given - 2]);
	books->nr_splits++;
}

static void fake_free(struct page *page)
{
	struct kunit *test = kunit_get_current_test();
	struct page_books *books = test->priv;
	int i;

	for (i = 0; i < books->nr_given; i++) {
		if (books->given[i] == page) {
			books->nr_frees[i]++;
			return;
		}
	}
	KUNIT_FAIL(test, "freed a page that was not allocated, pfn 0x%lx", page_to_pfn(page));
}

/* Build the code under test with this allocator, and under another name. */
struct page *snp_page_test_alloc(int node, gfp_t gfp);

#undef alloc_pages_node
#define alloc_pages_node		fake_alloc
#define split_page			fake_split
#undef __free_page
#define __free_page			fake_free
#define snp_safe_alloc_page_node	snp_page_test_alloc
#include "snp_page.c"
#undef alloc_pages_node
#undef split_page
#undef __free_page
#undef snp_safe_alloc_page_node

static void start_books(struct kunit *test, int nr_aligned, bool pair_aligned, int fail_at)
{
	struct page_books *books = test->priv;

	memset_after(books, 0, blocks);
	books->nr_aligned = nr_aligned;
	books->pair_aligned = pair_aligned;
	books->fail_at = fail_at;
}

/* Everything but @page was freed once, and the first page not too early. */
static void check_books(struct kunit *test, struct page *page)
{
	struct page_books *books = test->priv;
	int i;

	KUNIT_EXPECT_FALSE(test, books->first_freed_early);

	for (i = 0; i < books->nr_given; i++)
		KUNIT_EXPECT_EQ(test, books->nr_frees[i], books->given[i] != page);
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

/* Order 1 is asked for only after two aligned pages. */
static void snp_page_test_aligned_pages(struct kunit *test)
{
	struct page_books *books = test->priv;
	int nr_aligned, pair_aligned;

	for (nr_aligned = 0; nr_aligned <= MAX_SINGLE_PAGES; nr_aligned++) {
		for (pair_aligned = 0; pair_aligned <= 1; pair_aligned++) {
			struct page *page;

			start_books(test, nr_aligned, pair_aligned, NEVER);
			page = snp_page_test_alloc(TEST_NODE, TEST_GFP);

			KUNIT_ASSERT_NOT_NULL(test, page);
			KUNIT_EXPECT_TRUE(test, snp_page_is_safe(page_to_pfn(page)));
			KUNIT_EXPECT_EQ(test, books->nr_calls, nr_aligned + 1);
			KUNIT_EXPECT_EQ(test, books->nr_pairs, nr_aligned == MAX_SINGLE_PAGES);
			KUNIT_EXPECT_EQ(test, books->nr_splits, books->nr_pairs);
			check_books(test, page);
		}
	}
}

/* The half of the order-1 block that is freed is the aligned one. */
static void snp_page_test_pair(struct kunit *test)
{
	struct page_books *books = test->priv;
	struct page *page;

	start_books(test, MAX_SINGLE_PAGES, true, NEVER);
	page = snp_page_test_alloc(TEST_NODE, TEST_GFP);
	KUNIT_EXPECT_PTR_EQ(test, page, books->blocks[MAX_SINGLE_PAGES] + 1);

	start_books(test, MAX_SINGLE_PAGES, false, NEVER);
	page = snp_page_test_alloc(TEST_NODE, TEST_GFP);
	KUNIT_EXPECT_PTR_EQ(test, page, books->blocks[MAX_SINGLE_PAGES] + 2);
}

/* No memory at any call: NULL, and everything is freed. */
static void snp_page_test_exhaustion(struct kunit *test)
{
	struct page_books *books = test->priv;
	int fail_at;

	for (fail_at = 0; fail_at < MAX_CALLS; fail_at++) {
		start_books(test, MAX_SINGLE_PAGES, true, fail_at);
		KUNIT_EXPECT_NULL(test, snp_page_test_alloc(TEST_NODE, TEST_GFP));
		KUNIT_EXPECT_EQ(test, books->nr_calls, fail_at + 1);
		KUNIT_EXPECT_EQ(test, books->nr_given, fail_at);
		check_books(test, NULL);
	}
}

static int snp_page_test_init(struct kunit *test)
{
	struct page_books *books = kunit_kzalloc(test, sizeof(*books), GFP_KERNEL);
	int i;

	if (!books)
		return -ENOMEM;
	test->priv = books;

	for (i = 0; i < ARRAY_SIZE(books->blocks); i++) {
		books->blocks[i] = alloc_pages(GFP_KERNEL, PMD_SHIFT - PAGE_SHIFT);
		if (!books->blocks[i])
			return -ENOMEM;
	}
	return 0;
}

static void snp_page_test_exit(struct kunit *test)
{
	struct page_books *books = test->priv;
	int i;

	for (i = 0; books && i < ARRAY_SIZE(books->blocks); i++) {
		if (books->blocks[i])
			__free_pages(books->blocks[i], PMD_SHIFT - PAGE_SHIFT);
	}
}

static struct kunit_case snp_page_test_cases[] = {
	KUNIT_CASE(snp_page_test_predicate),
	KUNIT_CASE(snp_page_test_aligned_pages),
	KUNIT_CASE(snp_page_test_pair),
	KUNIT_CASE(snp_page_test_exhaustion),
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
