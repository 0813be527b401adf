// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run KVM's KUnit suites, so that one command tests all of KVM.
 *
 * A suite is run through debugfs, i.e. its module is loaded already; each of
 * its cases becomes a result of this test.  Suites that are named on the
 * command line have to be there; without names, all that begin with "kvm_" run.
 */
#include <dirent.h>

#include "kselftest.h"
#include "ktap.h"
#include "test_util.h"

#define KUNIT		"/sys/kernel/debug/kunit"
#define MAX_SUITES	32

/* One line of a suite's results that reports a case, not the suite itself. */
static bool parse_case(const char *line, struct ktap_result *result)
{
	return ktap_parse_result(line, result) && result->indent == KTAP_INDENT;
}

static void run_suite(const char *suite)
{
	struct ktap_result result;
	char path[256], line[512];
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
		if (!parse_case(line, &result))
			continue;
		nr_cases++;
		if (result.skipped)
			ksft_test_result_skip("%s.%.*s\n", suite, result.name_len, result.name);
		else
			ksft_test_result(result.ok, "%s.%.*s\n", suite, result.name_len,
					 result.name);
	}
	fclose(file);
	ksft_test_result(nr_cases, "%s ran %d cases\n", suite, nr_cases);
}

/* The number of results must be announced before the first of them. */
static int count_results(const char *suite)
{
	struct ktap_result result;
	char path[256], line[512];
	int nr_results = 1;
	FILE *file;

	snprintf(path, sizeof(path), KUNIT "/%s/results", suite);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		nr_results += parse_case(line, &result);
	if (file)
		fclose(file);
	return nr_results;
}

static int is_kvm_suite(const struct dirent *entry)
{
	return !strncmp(entry->d_name, "kvm_", strlen("kvm_"));
}

int main(int argc, char *argv[])
{
	const char *suites[MAX_SUITES];
	int i, n, nr_results = 0;
	struct dirent **found;
	char path[256];

	if (argc > 1) {
		n = argc - 1;
		TEST_ASSERT(n <= MAX_SUITES, "%d suites, at most %d", n, MAX_SUITES);
		for (i = 0; i < n; i++)
			suites[i] = argv[i + 1];
	} else {
		n = scandir(KUNIT, &found, is_kvm_suite, alphasort);
		__TEST_REQUIRE(n > 0, "no module with a suite kvm_* is loaded, or no debugfs");
		TEST_ASSERT(n <= MAX_SUITES, "%d suites, at most %d", n, MAX_SUITES);
		for (i = 0; i < n; i++)
			suites[i] = found[i]->d_name;
	}

	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), KUNIT "/%s/run", suites[i]);
		__TEST_REQUIRE(!access(path, F_OK),
			       "suite %s is not there: its module is not loaded, or no debugfs",
			       suites[i]);
		nr_results += count_results(suites[i]);
	}

	ksft_print_header();
	ksft_set_plan(nr_results);
	for (i = 0; i < n; i++)
		run_suite(suites[i]);
	ksft_finished();
}
