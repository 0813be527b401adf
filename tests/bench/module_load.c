// SPDX-License-Identifier: GPL-2.0-only
/*
 * module_load NAME: CPU time that loading /modules/NAME.ko takes, in ns, to the
 * kernel's log.  That is the time of this task alone: what it waits for, e.g.
 * RCU, does not count.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The first round fills caches and is not counted. */
#define ROUNDS	12

static long long cpu_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int main(int argc, char *argv[])
{
	FILE *log = fopen("/dev/kmsg", "w");
	char path[64], name[64];
	int i, fd;

	if (argc != 2 || !log)
		return 1;
	snprintf(path, sizeof(path), "/modules/%s.ko", argv[1]);
	snprintf(name, sizeof(name), "%s", argv[1]);
	*strchrnul(name, '-') = '_';
	fd = open(path, O_RDONLY);

	for (i = 0; i < ROUNDS; i++) {
		long long start = cpu_time();

		if (syscall(SYS_finit_module, fd, "", 0)) {
			perror(path);
			return 1;
		}
		start = cpu_time() - start;
		if (syscall(SYS_delete_module, name, O_NONBLOCK)) {
			perror(name);
			return 1;
		}
		if (i) {
			fprintf(log, "<5>bench: load_%s %lld\n", name, start);
			fflush(log);
		}
	}
	return 0;
}
