// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of the Linux guests that tests boot with linux_guest_create().
 *
 * Loads the modules that are its arguments, in that order, from /modules, says
 * on the console what it did, and reboots, which ends the guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int kmsg = -1;

/* One write is one line of the kernel's log. */
static void say(const char *fmt, ...)
{
	char line[256];
	va_list ap;
	int fd, len;

	len = snprintf(line, sizeof(line), "<5>guest_init: ");
	va_start(ap, fmt);
	vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	va_end(ap);
	write(kmsg, line, strlen(line));

	/*
	 * A CPU that is printing something else may print it, later.  Whoever has the
	 * console's lock prints all that is left, and reading this file takes it.
	 */
	fd = open("/sys/class/tty/console/active", O_RDONLY);
	if (fd < 0)
		return;
	read(fd, line, sizeof(line));
	close(fd);
}

/* A kernel may lack some of them, and a guest that boots needs /dev only. */
static void mount_all(void)
{
	static const char * const types[][2] = {
		{ "devtmpfs",	"/dev" },
		{ "proc",	"/proc" },
		{ "sysfs",	"/sys" },
		{ "debugfs",	"/sys/kernel/debug" },
		{}
	};
	int i;

	for (i = 0; types[i][0]; i++) {
		mkdir(types[i][1], 0755);
		mount(types[i][0], types[i][1], types[i][0], 0, NULL);
	}
}

static int load_module(const char *name)
{
	char path[256];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/modules/%s", name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || syscall(__NR_finit_module, fd, "", 0))
		err = errno;
	if (fd >= 0)
		close(fd);
	return err;
}

/* Linux also passes on what it does not know, e.g. "nokaslr" without KASLR. */
static int is_module(const char *name)
{
	size_t len = strlen(name);

	return len > 3 && !strcmp(name + len - 3, ".ko");
}

static void load_modules(char **names)
{
	int err, nr_loaded = 0;

	for (; *names; names++) {
		if (!is_module(*names))
			continue;
		err = load_module(*names);
		if (err)
			say("%s failed to load, errno %d\n", *names, err);
		else
			nr_loaded++;
	}
	say("%d modules loaded\n", nr_loaded);
}

/* Not even root can have a process run on a CPU that is not online. */
static int nr_online_cpus(void)
{
	unsigned long mask[16] = {};
	int i, nr = 0;

	syscall(__NR_sched_getaffinity, 0, sizeof(mask), mask);
	for (i = 0; i < (int)(8 * sizeof(mask)); i++)
		nr += mask[i / 64] >> (i % 64) & 1;
	return nr;
}

int main(int argc, char **argv)
{
	mount_all();
	kmsg = open("/dev/kmsg", O_WRONLY);

	say("%d CPUs online\n", nr_online_cpus());
	load_modules(argv + 1);
	say("done\n");

	reboot(RB_AUTOBOOT);
	return 1;
}
