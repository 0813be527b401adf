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
 * A step other than a test that fails is reported as a failed test, because
 * what follows it would test something else than planned.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define KSFT_SKIP	4
#define MAX_ARGS	32

static FILE *out;
static int nr_results;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void result(bool ok, const char *name, double start, const char *fmt, ...)
{
	va_list ap;

	fprintf(out, "# seconds %.1f\n", now() - start);
	fprintf(out, "%s %d selftests: kvm: %s", ok ? "ok" : "not ok", ++nr_results, name);
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	fputc('\n', out);
}

/* The kernel cuts a console line short where a test's name would help most. */
static void log_to_console(const char *what)
{
	FILE *kmsg = fopen("/dev/kmsg", "w");

	if (kmsg) {
		fprintf(kmsg, "<5>plan: %s", what);
		fclose(kmsg);
	}
}

static void step_failed(const char *step, int err)
{
	result(false, step, now(), " # %s", strerror(err));
}

static void load_module(char *name, char *params)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/modules/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, params, 0)) {
		snprintf(path, sizeof(path), "module %s", name);
		step_failed(path, errno);
	}
	if (fd >= 0)
		close(fd);
}

static void unload_module(const char *name)
{
	char step[256];
	int tries;

	/* The last reference may still be on its way, e.g. from an RCU callback. */
	for (tries = 0; tries < 50; tries++) {
		if (!syscall(SYS_delete_module, name, O_NONBLOCK))
			return;
		if (errno != EBUSY && errno != EAGAIN)
			break;
		usleep(100000);
	}
	snprintf(step, sizeof(step), "unload %s", name);
	step_failed(step, errno);
}

static void write_file(const char *path, const char *value)
{
	char step[256];
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value)) {
		snprintf(step, sizeof(step), "write %s", path);
		step_failed(step, errno);
	}
	if (fd >= 0)
		close(fd);
}

/* kmemleak reports an object only once a second scan has not found it either. */
static void check_leaks(void)
{
	const char *path = "/sys/kernel/debug/kmemleak";
	double start = now();
	char line[512];
	int nr_lines = 0;
	FILE *report;
	int scan;

	for (scan = 0; scan < 2; scan++) {
		sleep(5);
		write_file(path, "scan");
	}
	report = fopen(path, "r");
	if (!report)
		return step_failed("kmemleak", errno);
	while (fgets(line, sizeof(line), report)) {
		fprintf(out, "# %s", line);
		nr_lines++;
	}
	fclose(report);
	result(!nr_lines, "kmemleak", start, "%s", "");
}

static int print_counts(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *end = strrchr(path, '.');
	FILE *file;
	int c;

	(void)st;
	(void)ftw;
	if (type != FTW_F || !end || strcmp(end, ".gcda"))
		return 0;
	file = fopen(path, "re");
	if (!file)
		return -1;
	fprintf(out, "# gcov %s ", path);
	while ((c = fgetc(file)) != EOF)
		fprintf(out, "%02x", c);
	fputc('\n', out);
	fclose(file);
	return 0;
}

static void print_coverage(void)
{
	if (nftw("/sys/kernel/debug/gcov", print_counts, 8, FTW_PHYS))
		step_failed("gcov", errno);
}

/* Copy what arrives as lines that start with "# ". */
static void copy_output(int fd, bool *at_line_start)
{
	char buf[4096];
	ssize_t len = read(fd, buf, sizeof(buf));
	ssize_t i;

	for (i = 0; i < len; i++) {
		if (*at_line_start)
			fputs("# ", out);
		fputc(buf[i], out);
		*at_line_start = buf[i] == '\n';
	}
	fflush(out);
}

/* In which functions of the kernel all threads wait, the kernel's own among them. */
static void print_stacks(void)
{
	char line[512];
	glob_t found;
	FILE *stack;
	size_t i;

	if (glob("/proc/[0-9]*/task/*/stack", 0, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++) {
		/* It may have ended since. */
		stack = fopen(found.gl_pathv[i], "re");
		if (!stack)
			continue;
		fprintf(out, "# %s\n", found.gl_pathv[i]);
		while (fgets(line, sizeof(line), stack))
			fprintf(out, "#   %s", line);
		fclose(stack);
	}
	globfree(&found);
}

/*
 * End whatever a test has left behind; PID 1 is spared.  A task that hangs in
 * the kernel is not waited for: the results of this run are to be seen, and where
 * it hangs.
 */
static bool kill_the_rest(void)
{
	double start = now();
	pid_t pid;

	kill(-1, SIGKILL);
	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
		if (pid)
			continue;
		if (now() - start > 60) {
			print_stacks();
			return false;
		}
		usleep(10000);
	}
	return true;
}

static void run_test(double limit, const char *name, char **argv)
{
	bool at_line_start = true, timed_out = false, is_clean;
	double start = now();
	char path[256];
	int fds[2], status = 0;
	struct pollfd pfd;
	pid_t pid;

	snprintf(path, sizeof(path), "/tests/%s", name);
	argv[0] = path;
	log_to_console(name);
	fprintf(out, "# selftests: kvm: %s\n", name);
	fflush(out);

	if (pipe(fds) || (pid = fork()) < 0)
		return step_failed(name, errno);
	if (!pid) {
		setsid();
		dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		if (chdir("/tmp"))
			perror("chdir /tmp");
		execv(path, argv);
		perror(path);
		_exit(127);
	}
	close(fds[1]);

	pfd = (struct pollfd) { .fd = fds[0], .events = POLLIN };
	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (poll(&pfd, 1, 50) > 0) {
			if (pfd.revents & POLLIN)
				copy_output(fds[0], &at_line_start);
			else
				usleep(10000);
		}
		if (now() - start > limit) {
			timed_out = true;
			break;
		}
	}
	is_clean = kill_the_rest();
	while (poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLIN))
		copy_output(fds[0], &at_line_start);
	close(fds[0]);
	if (!at_line_start)
		fputc('\n', out);

	if (!is_clean)
		result(false, name, start, " # hangs in the kernel");
	else if (timed_out)
		result(false, name, start, " # TIMEOUT %.0f seconds", limit);
	else if (WIFSIGNALED(status))
		result(false, name, start, " # signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) == KSFT_SKIP)
		result(true, name, start, " # SKIP");
	else if (WEXITSTATUS(status))
		result(false, name, start, " # exit=%d", WEXITSTATUS(status));
	else
		result(true, name, start, "%s", "");
	fflush(out);
}

static void carry_out(char *line)
{
	char *argv[MAX_ARGS + 1] = {};
	char *verb = strsep(&line, " ");
	int argc = 1;

	if (!strcmp(verb, "module")) {
		char *name = strsep(&line, " ");

		load_module(name, line ?: "");
	} else if (!strcmp(verb, "unload")) {
		unload_module(line);
	} else if (!strcmp(verb, "write")) {
		char *path = strsep(&line, " ");

		write_file(path, line ?: "");
	} else if (!strcmp(verb, "leaks")) {
		check_leaks();
	} else if (!strcmp(verb, "gcov")) {
		print_coverage();
	} else if (!strcmp(verb, "test")) {
		double limit = atof(strsep(&line, " "));
		char *name = strsep(&line, " ");

		while (line && argc < MAX_ARGS)
			argv[argc++] = strsep(&line, " ");
		run_test(limit, name, argv);
	} else {
		step_failed(verb, EINVAL);
	}
	fflush(out);
}

/* A parameter of the kernel that the kernel does not know: no test on CPUs below. */
static void spare_cpus(void)
{
	const char *first = getenv("first_test_cpu");
	int cpu, nr = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t cpus;

	if (!first)
		return;
	CPU_ZERO(&cpus);
	for (cpu = atoi(first); cpu < nr; cpu++)
		CPU_SET(cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		step_failed("first_test_cpu", errno);
}

/*
 * For the first seconds the clock source is tsc-early, until the kernel knows the TSC's rate
 * better.  A test of clocks that starts before skips, or sees the rate change.
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

	if (fd < 0) {
		log_to_console("no second serial port\n");
		reboot(RB_POWER_OFF);
	}
	tcgetattr(fd, &tio);
	cfmakeraw(&tio);
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
	char line[1024];
	FILE *plan;
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

	fprintf(out, "TAP version 13\n");
	spare_cpus();
	wait_for_clock();
	plan = fopen("/plan", "re");
	if (!plan)
		step_failed("open /plan", errno);
	while (plan && fgets(line, sizeof(line), plan)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] && line[0] != '#')
			carry_out(line);
	}
	fprintf(out, "1..%d\n# end of plan\n", nr_results);
	fflush(out);
	tcdrain(fileno(out));
	reboot(RB_POWER_OFF);
	return 1;
}
