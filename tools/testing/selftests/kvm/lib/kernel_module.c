// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unload modules of the running kernel, see kernel_module.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel_module.h"

int kernel_module_unload(const char *name)
{
	int i;

	/* Whoever watches for new devices may have /dev/kvm open for a moment. */
	for (i = 0; i < 100; i++) {
		if (!syscall(__NR_delete_module, name, O_NONBLOCK))
			return 0;
		if (errno != EAGAIN)
			break;
		usleep(50 * 1000);
	}
	return errno;
}
