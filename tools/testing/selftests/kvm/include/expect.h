/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checks after which a test goes on: those that fail are counted, and printed with
 * what was tried.
 *
 * To be included by the one source file of a test.
 */
#ifndef SELFTEST_KVM_EXPECT_H
#define SELFTEST_KVM_EXPECT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include <linux/compiler.h>

#include "kselftest.h"

/* No more failures than that are printed for each result. */
#define MAX_PRINTED	20

/* To be set to 0 before what leads to a result. */
static int nr_checks, nr_failed;
static __thread char subject[160];

#define about(fmt...)	snprintf(subject, sizeof(subject), fmt)

static inline __printf(2, 3) bool expect(bool ok, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	__atomic_fetch_add(&nr_checks, 1, __ATOMIC_RELAXED);
	if (ok)
		return true;

	if (__atomic_fetch_add(&nr_failed, 1, __ATOMIC_RELAXED) < MAX_PRINTED) {
		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		ksft_print_msg("%s: %s\n", subject, text);
	}
	return false;
}

#endif /* SELFTEST_KVM_EXPECT_H */
