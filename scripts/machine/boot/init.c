// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of the test machines: carry out /plan, report KTAP, power off.
 *
 * The console (ttyS0) belongs to the kernel alone, so that a message of the
 * kernel can neither split a result nor hide in a test's output.  Everything
 * this program says goes over the second serial port.  A line of /plan is
 *
 *	module NAME [PARAM=VALUE ...]	load /modules/NAME.ko
 *	unload NAME			unload it
 *	write FILE VALUE		write VALUE to FILE, e.g. a sysctl
 *	leaks				fail if kmemleak reports anything
 *	gcov				print what gcov has counted, in hex
 *	test LIMIT NAME [ARG ...]	run /tests/NAME, at most LIMIT seconds
 *
 * Each is one result, of "selftests: kvm: NAME" for a test and for leaks, of
 * "plan: STEP" for another step.  What a test prints is a comment.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "init.h"

#define MAX_ARGS	32

static void carry_out(char *line)
{
	char *argv[MAX_ARGS + 1] = {};
	char *verb = strsep(&line, " ");
	int argc = 1, err = EINVAL;
	char *name;

	if (!strcmp(verb, "leaks"))
		return check_leaks();
	if (!strcmp(verb, "test")) {
		double limit = atof(strsep(&line, " ") ?: "");

		name = strsep(&line, " ") ?: "";
		while (line && argc < MAX_ARGS)
			argv[argc++] = strsep(&line, " ");
		return run_test(limit, name, argv);
	}

	name = strsep(&line, " ") ?: "";
	if (!strcmp(verb, "module"))
		err = load_module(name, line ?: "");
	else if (!strcmp(verb, "unload"))
		err = unload_module(name);
	else if (!strcmp(verb, "write"))
		err = write_file(name, line ?: "");
	else if (!strcmp(verb, "gcov"))
		err = print_coverage();
	step_result(verb, name, err);
}

/* The next line that says what to do, or NULL. */
static char *next_line(FILE *plan)
{
	static char line[1024];

	while (fgets(line, sizeof(line), plan)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] && line[0] != '#')
			return line;
	}
	return NULL;
}

static void carry_out_plan(void)
{
	FILE *plan = fopen("/plan", "re");
	int nr = 0;
	char *line;

	if (!plan)
		bail_out("/plan", errno);
	while (next_line(plan))
		nr++;
	rewind(plan);
	fprintf(out, "KTAP version 1\n1..%d\n", nr);
	ask_for_seconds();
	while ((line = next_line(plan)))
		carry_out(line);
	fprintf(out, "# end of plan\n");
	fflush(out);
	tcdrain(fileno(out));
}

/*
 * A kernel that is not told the TSC's rate has tsc-early as its clock source for the first
 * seconds, until it knows better.  A test of clocks that starts before skips, or sees the rate
 * change.
 */
static void wait_for_clock(void)
{
	static const char path[] =
		"/sys/devices/system/clocksource/clocksource0/current_clocksource";
	char name[32];
	int tries;

	for (tries = 0; tries < 200; tries++) {
		FILE *file = fopen(path, "re");
		bool early = file && fgets(name, sizeof(name), file) && !strcmp(name, "tsc-early\n");

		if (file)
			fclose(file);
		if (!early)
			return;
		usleep(50000);
	}
}

static void open_result_port(void)
{
	int fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios tio;

	if (fd < 0)
		bail_out("/dev/ttyS1", errno);
	tcgetattr(fd, &tio);
	cfmakeraw(&tio);
	/* read() does not wait. */
	tio.c_cc[VMIN] = 0;
	cfsetspeed(&tio, B115200);
	tcsetattr(fd, TCSANOW, &tio);
	out = fdopen(fd, "w");
}

int main(void)
{
	static const struct { const char *type, *dir; } mounts[] = {
		{ "devtmpfs",	"/dev" },
		{ "proc",	"/proc" },
		{ "sysfs",	"/sys" },
		{ "debugfs",	"/sys/kernel/debug" },
		{ "tracefs",	"/sys/kernel/tracing" },
		{ "tmpfs",	"/tmp" },
		{ "tmpfs",	"/dev/shm" },
	};
	struct rlimit nofile = { 1 << 20, 1 << 20 };
	size_t i;

	for (i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].dir, 0755);
		/* tracefs is absent from a kernel without tracing: tests tell. */
		mount(mounts[i].type, mounts[i].dir, mounts[i].type, 0, NULL);
	}
	open_result_port();
	setrlimit(RLIMIT_NOFILE, &nofile);
	setenv("PATH", "/bin:/tests", 1);
	setenv("HOME", "/tmp", 1);

	wait_for_clock();
	carry_out_plan();
	reboot(RB_POWER_OFF);
	return 1;
}
