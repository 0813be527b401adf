/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _X86_KERNEL_KVM_MIGRATION_TEST_H
#define _X86_KERNEL_KVM_MIGRATION_TEST_H

#include <linux/efi.h>
#include <linux/kconfig.h>
#include <linux/types.h>

#if IS_ENABLED(CONFIG_KUNIT)
/* kvm.c */
extern bool kvm_migration_ready;
bool kvm_write_migration_control(u64 value);
void kvm_allow_migration(void);
void kvm_forbid_migration(void);
void kvm_restore_migration_control(void);
bool kvm_firmware_allows_migration(efi_get_variable_t *get_variable);
#endif

#endif /* _X86_KERNEL_KVM_MIGRATION_TEST_H */
