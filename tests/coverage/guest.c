// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linked into guest_init with --wrap=reboot: before a guest ends, it says in its log
 * what gcov has counted in it, which is what only guests execute.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A line of the kernel's log holds 1 KiB. */
#define CHUNK	300

int __real_reboot(int how);
int __wrap_reboot(int how);

static struct timespec started;

/* Whoever reads this file prints what is left of the log. */
static void flush_log(void)
{
	int fd = open("/sys/class/tty/console/active", O_RDONLY);
	char text[64];

	if (fd >= 0) {
		if (read(fd, text, sizeof(text)) < 0)
			perror("console");
		close(fd);
	}
}

static int print_counts(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	static unsigned char data[1 << 20];
	size_t size, at, i;
	FILE *file, *kmsg;

	(void)st;
	(void)ftw;
	if (type != FTW_F || strlen(path) < 5 || strcmp(path + strlen(path) - 5, ".gcda"))
		return 0;
	file = fopen(path, "re");
	if (!file)
		return 0;
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	for (at = 0; at < size; at += CHUNK) {
		kmsg = fopen("/dev/kmsg", "we");
		if (!kmsg)
			return -1;
		fprintf(kmsg, "<5>gcov %lld%09ld %s %zu %zu ", (long long)started.tv_sec,
			started.tv_nsec, path, at, size);
		for (i = at; i < size && i < at + CHUNK; i++)
			fprintf(kmsg, "%02x", data[i]);
		fclose(kmsg);
		flush_log();
	}
	return 0;
}

int __wrap_reboot(int how)
{
	int fd = open("/proc/sys/kernel/printk_devkmsg", O_WRONLY);

	if (fd >= 0) {
		if (write(fd, "on\n", 3) != 3)
			perror("printk_devkmsg");
		close(fd);
	}
	clock_gettime(CLOCK_BOOTTIME, &started);
	nftw("/sys/kernel/debug/gcov", print_counts, 8, FTW_PHYS);
	return __real_reboot(how);
}
