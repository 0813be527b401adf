/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a kernel prints when something is wrong with it: a pattern a line, read by the
 * selftests' guests (C includes it with its own SPLAT()) and by the driver, which takes
 * each line that starts with SPLAT.
 *
 * Extended regular expressions that regcomp() and Python's re take alike, so without
 * backslashes, double quotes, \b or lookahead.
 */
SPLAT("cut here")
SPLAT("WARNING:")
SPLAT("(^|[^A-Z])BUG:")
SPLAT("BUG at")
SPLAT("Oops")
SPLAT("PANIC: early exception")
SPLAT("Kernel panic")
SPLAT("general protection fault")
SPLAT("unable to handle")
SPLAT("KASAN")
SPLAT("KCSAN:")
SPLAT("UBSAN")
SPLAT("INFO: (possible|task|rcu)")
SPLAT("possible (circular|recursive) locking")
SPLAT("self-detected stall")
SPLAT("detected stalls")
SPLAT("soft lockup")
SPLAT("hard LOCKUP")
SPLAT("refcount_t")
SPLAT("leaked")
