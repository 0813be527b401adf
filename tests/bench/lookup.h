/* SPDX-License-Identifier: GPL-2.0-only */
/* Symbols of the running kernel that it does not export, by way of a kprobe. */
#include <linux/kprobes.h>

static unsigned long (*lookup)(const char *name);

static int find_lookup(void)
{
	struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };
	int ret = register_kprobe(&probe);

	if (ret)
		return ret;
	lookup = (void *)probe.addr;
	unregister_kprobe(&probe);
	return 0;
}
