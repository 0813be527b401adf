// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run KVM's KUnit suites, so that one command tests all of KVM.
 *
 * A suite is run through debugfs, i.e. its module is loaded already; each of
 * its cases becomes a result of this test.
 */
#include "kselftest.h"
#include "test_util.h"

#define KUNIT		"/sys/kernel/debug/kunit"

static const struct {
	const char *name;
	const char *module;
} suites[] = {
	{ "kvm_snp_page", "snp_page_test" },
};

/* One line of a suite's results that reports a case, not the suite itself. */
static bool parse_case(const char *line, bool *ok, char *name, bool *skipped)
{
	int number;

	if (strncmp(line, "    ", 4) || line[4] == ' ')
		return false;
	line += 4;
	*ok = strncmp(line, "not ", 4);
	if (!*ok)
		line += 4;
	*skipped = strstr(line, "# SKIP");
	return sscanf(line, "ok %d %127s", &number, name) == 2;
}

static void run_suite(const char *suite)
{
	char path[256], line[512], name[128];
	bool ok, skipped;
	int nr_cases = 0;
	FILE *file;

	snprintf(path, sizeof(path), KUNIT "/%s/run", suite);
	file = fopen(path, "w");
	TEST_ASSERT(file && fputs("1", file) >= 0 && !fclose(file),
		    "cannot run KUnit suite %s through %s, errno %d", suite, path, errno);

	snprintf(path, sizeof(path), KUNIT "/%s/results", suite);
	file = fopen(path, "r");
	TEST_ASSERT(file, "cannot open %s, errno %d", path, errno);
	while (fgets(line, sizeof(line), file)) {
		ksft_print_msg("%s", line);
		if (!parse_case(line, &ok, name, &skipped))
			continue;
		nr_cases++;
		if (skipped)
			ksft_test_result_skip("%s.%s\n", suite, name);
		else
			ksft_test_result(ok, "%s.%s\n", suite, name);
	}
	fclose(file);
	ksft_test_result(nr_cases, "%s ran %d cases\n", suite, nr_cases);
}

/* The number of results must be announced before the first of them. */
static int count_results(const char *suite)
{
	char path[256], line[512], name[128];
	int nr_results = 1;
	bool ok, skipped;
	FILE *file;

	snprintf(path, sizeof(path), KUNIT "/%s/results", suite);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		nr_results += parse_case(line, &ok, name, &skipped);
	if (file)
		fclose(file);
	return nr_results;
}

/* Suites are named on the command line, and have to be there then. */
static bool is_wanted(const char *suite, int argc, char *argv[])
{
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], suite))
			return true;
	}
	return argc == 1;
}

int main(int argc, char *argv[])
{
	bool wanted[ARRAY_SIZE(suites)], loaded[ARRAY_SIZE(suites)];
	int i, nr_wanted = 0, nr_results = 0;
	char path[256];

	for (i = 0; i < ARRAY_SIZE(suites); i++) {
		wanted[i] = is_wanted(suites[i].name, argc, argv);
		if (!wanted[i])
			continue;
		snprintf(path, sizeof(path), KUNIT "/%s/run", suites[i].name);
		loaded[i] = !access(path, F_OK);
		__TEST_REQUIRE(loaded[i] || argc == 1, "module %s is not loaded, or no debugfs",
			       suites[i].module);
		nr_results += loaded[i] ? count_results(suites[i].name) : 1;
		nr_wanted++;
	}
	TEST_ASSERT(nr_wanted && (argc == 1 || nr_wanted == argc - 1),
		    "unknown suite; known: %s and so on, see the table", suites[0].name);

	ksft_print_header();
	ksft_set_plan(nr_results);
	for (i = 0; i < ARRAY_SIZE(suites); i++) {
		if (!wanted[i])
			continue;
		if (loaded[i])
			run_suite(suites[i].name);
		else
			ksft_test_result_skip("%s: module %s is not loaded, or no debugfs\n",
					      suites[i].name, suites[i].module);
	}
	ksft_finished();
}
