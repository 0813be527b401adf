// SPDX-License-Identifier: GPL-2.0-only
/*
 * What PID 1 says, as KTAP.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

FILE *out;
static int nr_results;

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* FMT is what follows the name, e.g. " # SKIP". */
void test_result(bool ok, const char *name, double start, const char *fmt, ...)
{
	va_list ap;

	fprintf(out, "# seconds %.1f\n%s %d selftests: kvm: %s", now() - start,
		ok ? "ok" : "not ok", ++nr_results, name);
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	fputc('\n', out);
	fflush(out);
}

/* A step that fails is a failure: what follows it tests something else than planned. */
void step_result(const char *verb, const char *name, int err)
{
	fprintf(out, "%s %d plan: %s%s%s", err ? "not ok" : "ok", ++nr_results, verb,
		*name ? " " : "", name);
	if (err)
		fprintf(out, " # %s", strerror(err));
	fputc('\n', out);
	fflush(out);
}

/* The kernel cuts a console line short where a test's name would help most. */
void log_to_console(const char *what)
{
	FILE *kmsg = fopen("/dev/kmsg", "w");

	if (kmsg) {
		fprintf(kmsg, "<5>plan: %s", what);
		fclose(kmsg);
	}
}

/* There will be no results: end the machine, and say why on both ports. */
void bail_out(const char *what, int err)
{
	char line[512];

	snprintf(line, sizeof(line), "%s: %s\n", what, strerror(err));
	log_to_console(line);
	if (out) {
		fprintf(out, "Bail out! %s", line);
		fflush(out);
		tcdrain(fileno(out));
	}
	reboot(RB_POWER_OFF);
	exit(1);
}
