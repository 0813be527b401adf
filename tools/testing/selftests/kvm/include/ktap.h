/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Read results in KTAP, e.g. those of KUnit, from debugfs or a kernel's log; see
 * Documentation/dev-tools/ktap.rst.
 */
#ifndef SELFTEST_KVM_KTAP_H
#define SELFTEST_KVM_KTAP_H

#include <stdbool.h>

/* Spaces for each level of nesting. */
#define KTAP_INDENT	4

/* "ok 1 NAME", "not ok 1 NAME # SKIP why" */
struct ktap_result {
	int indent;		/* spaces in front */
	bool ok;
	bool skipped;
	const char *name;	/* within the line, i.e. it has no '\0' at its end */
	int name_len;
};

/* False if @line is no result; it may end in '\n'. */
bool ktap_parse_result(const char *line, struct ktap_result *result);

#endif /* SELFTEST_KVM_KTAP_H */
