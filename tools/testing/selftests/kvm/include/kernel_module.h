/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SELFTEST_KVM_KERNEL_MODULE_H
#define SELFTEST_KVM_KERNEL_MODULE_H

/*
 * Unload a module of the running kernel; 0 or an errno.  What has it in use for a
 * moment only is waited for, up to 5 seconds.
 */
int kernel_module_unload(const char *name);

#endif /* SELFTEST_KVM_KERNEL_MODULE_H */
