// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the report that a range was encrypted or decrypted: a range of
 * made-up mappings goes in, the pages that the host is told about come out.
 */
#include <kunit/test-bug.h>
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "mem_encrypt_amd.h"

#define MAX_REPORTS	8
/* Each mapping is looked up once: whoever needs so many look-ups hangs. */
#define MAX_LOOKUPS	(2 * MAX_REPORTS)

struct mapping {
	unsigned long vaddr;
	unsigned long pfn;
	unsigned int level;
};

struct report {
	unsigned long pfn;
	int npages;
};

struct enc_dec_case {
	const char *name;
	unsigned long vaddr;
	unsigned long size;
	struct mapping mappings[MAX_REPORTS];
	struct report reports[MAX_REPORTS];
};

static const struct enc_dec_case cases[] = {
	{
		.name = "nothing",
		.vaddr = SZ_2M, .size = 0,
		.mappings = { { SZ_2M, 512, PG_LEVEL_2M } },
	}, {
		.name = "page frame 0",
		.vaddr = 0, .size = SZ_4K,
		.mappings = { { 0, 0, PG_LEVEL_4K } },
		.reports = { { 0, 1 } },
	}, {
		.name = "page frame 0 among others",
		.vaddr = SZ_1M, .size = 3 * SZ_4K,
		.mappings = {
			{ SZ_1M, 7, PG_LEVEL_4K },
			{ SZ_1M + SZ_4K, 0, PG_LEVEL_4K },
			{ SZ_1M + 2 * SZ_4K, 5, PG_LEVEL_4K },
		},
		.reports = { { 7, 1 }, { 0, 1 }, { 5, 1 } },
	}, {
		.name = "page frame 0 in a page of 2 MiB",
		.vaddr = SZ_2M, .size = SZ_2M + SZ_4K,
		.mappings = {
			{ SZ_2M, 0, PG_LEVEL_2M },
			{ SZ_4M, 512, PG_LEVEL_4K },
		},
		.reports = { { 0, 513 } },
	}, {
		.name = "page frame 0 in a page of 1 GiB",
		.vaddr = 0, .size = SZ_1G,
		.mappings = { { 0, 0, PG_LEVEL_1G } },
		.reports = { { 0, SZ_1G / SZ_4K } },
	}, {
		.name = "start and end within a page",
		.vaddr = SZ_1M + 0x10, .size = SZ_4K,
		.mappings = {
			{ SZ_1M, 9, PG_LEVEL_4K },
			{ SZ_1M + SZ_4K, 10, PG_LEVEL_4K },
		},
		.reports = { { 9, 2 } },
	}, {
		.name = "nothing within a page",
		.vaddr = SZ_1M + 0x10, .size = 0,
		.mappings = { { SZ_1M, 9, PG_LEVEL_4K } },
	}, {
		.name = "one page in a page of 2 MiB",
		.vaddr = SZ_2M + 3 * SZ_4K, .size = SZ_4K,
		.mappings = { { SZ_2M, 1024, PG_LEVEL_2M } },
		.reports = { { 1027, 1 } },
	}, {
		.name = "from the middle of a page of 2 MiB to that of another",
		.vaddr = SZ_4M - SZ_4K, .size = 3 * SZ_4K,
		.mappings = {
			{ SZ_2M, 1024, PG_LEVEL_2M },
			{ SZ_4M, 4096, PG_LEVEL_2M },
		},
		.reports = { { 1535, 1 }, { 4096, 2 } },
	}, {
		.name = "the end of a page of 1 GiB",
		.vaddr = SZ_1G - SZ_2M, .size = SZ_2M,
		.mappings = { { 0, SZ_1G / SZ_4K, PG_LEVEL_1G } },
		.reports = { { 2 * (SZ_1G / SZ_4K) - 512, 512 } },
	}, {
		.name = "a run, a gap of one page, a run",
		.vaddr = SZ_1M, .size = 5 * SZ_4K,
		.mappings = {
			{ SZ_1M, 20, PG_LEVEL_4K },
			{ SZ_1M + SZ_4K, 21, PG_LEVEL_4K },
			{ SZ_1M + 2 * SZ_4K, 23, PG_LEVEL_4K },
			{ SZ_1M + 3 * SZ_4K, 24, PG_LEVEL_4K },
			{ SZ_1M + 4 * SZ_4K, 25, PG_LEVEL_4K },
		},
		.reports = { { 20, 2 }, { 23, 3 } },
	}, {
		.name = "downwards is no run, nor is the same page again",
		.vaddr = SZ_1M, .size = 4 * SZ_4K,
		.mappings = {
			{ SZ_1M, 21, PG_LEVEL_4K },
			{ SZ_1M + SZ_4K, 20, PG_LEVEL_4K },
			{ SZ_1M + 2 * SZ_4K, 20, PG_LEVEL_4K },
			{ SZ_1M + 3 * SZ_4K, 0, PG_LEVEL_4K },
		},
		.reports = { { 21, 1 }, { 20, 1 }, { 20, 1 }, { 0, 1 } },
	}, {
		.name = "a run across all sizes, the last page of 2 MiB in part",
		.vaddr = SZ_1G - SZ_4K, .size = SZ_4K + SZ_1G + SZ_2M + SZ_4K + 1,
		.mappings = {
			{ SZ_1G - SZ_4K, SZ_1G / SZ_4K - 1, PG_LEVEL_4K },
			{ SZ_1G, SZ_1G / SZ_4K, PG_LEVEL_1G },
			{ SZ_2G, SZ_2G / SZ_4K, PG_LEVEL_2M },
			{ SZ_2G + SZ_2M, SZ_2G / SZ_4K + 512, PG_LEVEL_2M },
		},
		.reports = { { SZ_1G / SZ_4K - 1, 1 + SZ_1G / SZ_4K + 512 + 2 } },
	},
};

#define HIGH	0xffff888000000000ul

/* As many pages as do not fit into an int if they are counted in bytes. */
static const struct enc_dec_case many_pages = {
	.vaddr = HIGH, .size = SZ_2G,
	.mappings = {
		{ HIGH, 0, PG_LEVEL_1G },
		{ HIGH + SZ_1G, SZ_1G / SZ_4K, PG_LEVEL_1G },
	},
	.reports = { { 0, SZ_2G / SZ_4K } },
};

struct guest {
	const struct enc_dec_case *tc;
	pte_t kpte;
	int nr_lookups;
	struct report reports[MAX_REPORTS];
	int nr_reports;
	bool enc;
};

static pte_t *lookup(unsigned long vaddr, unsigned int *level)
{
	struct guest *guest = kunit_get_current_test()->priv;
	const struct mapping *map;

	if (++guest->nr_lookups > MAX_LOOKUPS)
		return NULL;

	for (map = guest->tc->mappings; map->level; map++) {
		if (vaddr - map->vaddr >= page_level_size(map->level))
			continue;
		*level = map->level;
		guest->kpte = pfn_pte(map->pfn, PAGE_KERNEL);
		if (map->level > PG_LEVEL_4K)
			guest->kpte = pte_mkhuge(guest->kpte);
		return &guest->kpte;
	}
	return NULL;
}

static void notify(unsigned long pfn, int npages, bool enc)
{
	struct guest *guest = kunit_get_current_test()->priv;

	if (guest->nr_reports < MAX_REPORTS)
		guest->reports[guest->nr_reports] = (struct report){ pfn, npages };
	guest->nr_reports++;
	guest->enc = enc;
}

static void report_range(struct kunit *test, const struct enc_dec_case *tc,
			 unsigned long size, bool enc)
{
	struct guest guest = { .tc = tc, .enc = enc };
	int i, expected = 0;

	while (tc->reports[expected].npages)
		expected++;

	test->priv = &guest;
	enc_dec_report(tc->vaddr, size, enc, lookup, notify);

	KUNIT_EXPECT_LE_MSG(test, guest.nr_lookups, MAX_LOOKUPS, "it does not end");
	KUNIT_EXPECT_EQ(test, guest.enc, enc);
	KUNIT_ASSERT_EQ(test, guest.nr_reports, expected);
	for (i = 0; i < expected; i++) {
		KUNIT_EXPECT_EQ(test, guest.reports[i].pfn, tc->reports[i].pfn);
		KUNIT_EXPECT_EQ(test, guest.reports[i].npages, tc->reports[i].npages);
	}
}

static void encrypted_range_test(struct kunit *test)
{
	const struct enc_dec_case *tc = test->param_value;

	report_range(test, tc, tc->size, true);
}

static void decrypted_range_test(struct kunit *test)
{
	const struct enc_dec_case *tc = test->param_value;

	report_range(test, tc, tc->size, false);
}

static void many_pages_test(struct kunit *test)
{
	report_range(test, &many_pages, enc_dec_size(many_pages.size / SZ_4K), false);
}

KUNIT_ARRAY_PARAM_DESC(enc_dec, cases, name);

static struct kunit_case enc_dec_test_cases[] = {
	KUNIT_CASE_PARAM(encrypted_range_test, enc_dec_gen_params),
	KUNIT_CASE_PARAM(decrypted_range_test, enc_dec_gen_params),
	KUNIT_CASE(many_pages_test),
	{}
};

static struct kunit_suite enc_dec_test_suite = {
	.name = "sev_enc_dec",
	.test_cases = enc_dec_test_cases,
};

kunit_test_suite(enc_dec_test_suite);

MODULE_DESCRIPTION("KUnit tests of SEV page encryption status");
MODULE_LICENSE("GPL");
