/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _X86_KERNEL_KVM_MIGRATION_TEST_H
#define _X86_KERNEL_KVM_MIGRATION_TEST_H

#include <linux/efi.h>
#include <linux/kconfig.h>
#include <linux/types.h>

#if IS_ENABLED(CONFIG_KUNIT)
/* kvm.c */
bool kvm_firmware_allows_migration(efi_get_variable_t *get_variable);
#endif

#endif /* _X86_KERNEL_KVM_MIGRATION_TEST_H */
