// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs a test: its output as comments, its end, and nothing of it left behind.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

#define KSFT_SKIP	4

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
	struct moment start = this_moment();
	pid_t pid;

	kill(-1, SIGKILL);
	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
		if (pid)
			continue;
		if (is_over(&start, 60)) {
			print_stacks();
			return false;
		}
		usleep(10000);
	}
	return true;
}

void run_test(double limit, const char *name, char **argv)
{
	bool at_line_start = true, timed_out = false, is_clean;
	struct moment begun = this_moment();
	double start = begun.clock;
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
		return test_result(false, name, start, " # %s", strerror(errno));
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
		if (is_over(&begun, limit)) {
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
		test_result(false, name, start, " # hangs in the kernel");
	else if (timed_out)
		test_result(false, name, start, " # TIMEOUT %.0f seconds", limit);
	else if (WIFSIGNALED(status))
		test_result(false, name, start, " # signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) == KSFT_SKIP)
		test_result(true, name, start, " # SKIP");
	else if (WEXITSTATUS(status))
		test_result(false, name, start, " # exit=%d", WEXITSTATUS(status));
	else
		test_result(true, name, start, "%s", "");
}
