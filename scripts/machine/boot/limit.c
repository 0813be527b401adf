// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the limit of a test counts: the seconds that the machine got of its host.
 *
 * The driver says each by a byte on the second serial port, if beats=1, which the kernel
 * passes on, says that it can.  So a test has as long on a busy host as on an idle one.
 * Bochs does not: its clock follows the instructions.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "init.h"

/* However little the machine gets. */
#define LAST_RESORT	10

static bool is_told;

/* Not before the port is raw: it would echo what is told. */
void ask_for_seconds(void)
{
	is_told = getenv("beats");
	if (!is_told)
		return;
	fprintf(out, "# limits: tell the seconds\n");
	fflush(out);
}

static double seconds_got(void)
{
	static double seconds;
	char buf[64];
	ssize_t len;

	if (!is_told)
		return now();
	while ((len = read(fileno(out), buf, sizeof(buf))) > 0)
		seconds += len;
	return seconds;
}

struct moment this_moment(void)
{
	return (struct moment) { .clock = now(), .got = seconds_got() };
}

bool is_over(const struct moment *since, double limit)
{
	return seconds_got() - since->got > limit || now() - since->clock > LAST_RESORT * limit;
}
