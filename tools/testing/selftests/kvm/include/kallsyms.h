/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the running kernel has a function, e.g. to inject faults into what it calls.
 */
#ifndef SELFTEST_KVM_KALLSYMS_H
#define SELFTEST_KVM_KALLSYMS_H

#include <stdbool.h>

/*
 * The address of @symbol and that of the symbol that follows it, or -1 if none does.
 * If there is no such symbol, or no permission to read addresses: false, and 0.
 */
bool kallsyms_range(const char *symbol, unsigned long *start, unsigned long *end);

#endif /* SELFTEST_KVM_KALLSYMS_H */
