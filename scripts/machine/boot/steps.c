// SPDX-License-Identifier: GPL-2.0-only
/*
 * The steps of a plan that are no tests.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

int load_module(const char *name, const char *params)
{
	char path[256];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/modules/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (syscall(SYS_finit_module, fd, params, 0))
		err = errno;
	close(fd);
	return err;
}

int unload_module(const char *name)
{
	int tries;

	/* The last reference may still be on its way, e.g. from an RCU callback. */
	for (tries = 0; tries < 50; tries++) {
		if (!syscall(SYS_delete_module, name, O_NONBLOCK))
			return 0;
		if (errno != EBUSY && errno != EAGAIN)
			break;
		usleep(100000);
	}
	return errno;
}

int write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return errno;
	if (write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		err = errno ?: EIO;
	close(fd);
	return err;
}

/*
 * The host's RMP segments, of SEV-SNP: the kernel's pointers to them are in a page of the
 * page allocator, where kmemleak does not look.
 */
#define NO_LEAK		"alloc_rmp_segment_desc+"

/* kmemleak reports an object only once a second scan has not found it either. */
void check_leaks(void)
{
	const char *path = "/sys/kernel/debug/kmemleak";
	int scan, err = 0, nr_leaks = 0;
	FILE *report = NULL;
	double start = now();
	char line[512];

	for (scan = 0; scan < 2 && !err; scan++) {
		sleep(5);
		err = write_file(path, "scan");
	}
	if (!err) {
		report = fopen(path, "re");
		if (!report)
			err = errno;
	}
	if (err)
		return test_result(false, "kmemleak", start, " # %s", strerror(err));
	while (fgets(line, sizeof(line), report)) {
		fprintf(out, "# %s", line);
		nr_leaks += strstr(line, "unreferenced object") != NULL;
		nr_leaks -= strstr(line, NO_LEAK) != NULL;
	}
	fclose(report);
	test_result(!nr_leaks, "kmemleak", start, "%s", "");
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

int print_coverage(void)
{
	return nftw("/sys/kernel/debug/gcov", print_counts, 8, FTW_PHYS) ? errno : 0;
}
