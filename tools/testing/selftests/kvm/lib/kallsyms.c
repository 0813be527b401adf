// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the running kernel has a function, see kallsyms.h.
 */
#include <stdio.h>
#include <string.h>

#include "kallsyms.h"
#include "test_util.h"

bool kallsyms_range(const char *symbol, unsigned long *start, unsigned long *end)
{
	unsigned long address;
	char line[256], name[128];
	FILE *symbols;
	int i;

	*start = 0;
	*end = -1ul;
	/* Modules' symbols are in no order: only once @start is known can @end be found. */
	for (i = 0; i < 2; i++) {
		symbols = fopen("/proc/kallsyms", "r");
		TEST_ASSERT(symbols, "cannot read /proc/kallsyms");
		while (fgets(line, sizeof(line), symbols)) {
			if (sscanf(line, "%lx %*c %127s", &address, name) != 2)
				continue;
			if (!i && !strcmp(name, symbol))
				*start = address;
			else if (i && address > *start && address < *end)
				*end = address;
		}
		fclose(symbols);
	}
	return *start;
}
