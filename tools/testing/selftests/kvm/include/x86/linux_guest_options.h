/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The options of tests that run Linux guests: those that all of them have, and a
 * test's own.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_OPTIONS_H
#define SELFTEST_KVM_LINUX_GUEST_OPTIONS_H

#include <limits.h>
#include <stdbool.h>

#include "kselftest.h"

#define LINUX_GUEST_MAX_MODULES	8

/* One of a test's own options: one of flag, number and text says where it goes. */
struct linux_guest_option {
	char letter;
	bool *flag;		/* the option has no argument */
	int *number;		/* positive, its value so far is the default */
	bool may_be_0;
	const char **text;
	const char *arg;	/* the argument's name, for the usage */
	const char *help;
};

struct linux_guest_options {
	/* The test's, to be set before linux_guest_parse_options(). */
	const struct linux_guest_option *own;
	int nr_own;
	bool has_symbols;	/* -s */
	int max_modules;	/* 0: no -m */
	const char *module_help;
	/* Without -m and -k: those of these that /lib/modules/RELEASE/kernel has. */
	const char *default_modules[LINUX_GUEST_MAX_MODULES];
	int seconds;		/* -t: the most that a run or migration may take */

	/* What comes of it. */
	char kernel[PATH_MAX];	/* -k, default /boot/vmlinuz-RELEASE */
	char symbols[PATH_MAX];	/* default /boot/System.map-RELEASE */
	const char *modules[LINUX_GUEST_MAX_MODULES];
	int nr_modules;
	const char *program;
};

/* Does not return if there is an option that the test does not have. */
void linux_guest_parse_options(struct linux_guest_options *options, int argc, char *argv[]);

/* Say how it is used, and fail: for arguments that are wrong in a way of the test's. */
void __noreturn linux_guest_usage(const struct linux_guest_options *options);

/* Skip the test if there is no kernel for the guest, or are no symbols of it. */
void linux_guest_require_kernel(const struct linux_guest_options *options);
void linux_guest_require_symbols(const struct linux_guest_options *options);

#endif /* SELFTEST_KVM_LINUX_GUEST_OPTIONS_H */
