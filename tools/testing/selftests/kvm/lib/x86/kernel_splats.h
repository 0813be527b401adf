/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is in a kernel's log if something is wrong with it, as regular expressions.
 *
 * linux_guest_console.c, which reads the log of a test's Linux guest, defines SPLAT()
 * and includes this in an array.  Whoever runs the tests and looks at the log of the
 * host can have the same list: it is what is between the quotes in all lines that are
 * SPLAT("...") and nothing else.
 *
 * So each expression has a line of its own, and is both an extended one of POSIX and
 * one of Python, i.e. there are no backslashes, no look-ahead and no quotes in it.
 */
SPLAT("cut here")
SPLAT("WARNING:")
SPLAT("(^|[^A-Z])BUG:")
SPLAT("BUG at")
SPLAT("Oops")
SPLAT("Kernel panic")
SPLAT("PANIC: early exception")
SPLAT("general protection fault")
SPLAT("unable to handle")
SPLAT("KASAN")
SPLAT("KCSAN:")
SPLAT("UBSAN")
SPLAT("refcount_t")
SPLAT("leaked")
SPLAT("possible (circular|recursive) locking")
SPLAT("INFO: (possible|task|rcu)")
SPLAT("(self-detected stall|detected stalls)")
SPLAT("soft lockup")
SPLAT("hard LOCKUP")
