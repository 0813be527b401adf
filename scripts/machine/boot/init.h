/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INIT_H
#define INIT_H

#include <stdbool.h>
#include <stdio.h>

/* The second serial port: KTAP. */
extern FILE *out;

double now(void);
void log_to_console(const char *what);
void __attribute__((noreturn)) bail_out(const char *what, int err);

/* What a limit counts from. */
struct moment {
	double clock, got;
};

void ask_for_seconds(void);
struct moment this_moment(void);
bool is_over(const struct moment *since, double limit);

/* One of these for each line of the plan. */
void test_result(bool ok, const char *name, double start, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void step_result(const char *verb, const char *name, int err);

/* Steps return 0 or an error number. */
int load_module(const char *name, const char *params);
int unload_module(const char *name);
int write_file(const char *path, const char *value);
int print_coverage(void);
void check_leaks(void);

void run_test(double limit, const char *name, char **argv);

#endif
