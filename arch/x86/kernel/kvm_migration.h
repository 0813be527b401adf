/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _X86_KERNEL_KVM_MIGRATION_H
#define _X86_KERNEL_KVM_MIGRATION_H

/*
 * What decides whether an SEV guest may be migrated, apart from the machine that
 * it decides about, so that KUnit can play that.
 */

#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/efi.h>
#include <linux/kvm_para.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/*
 * SNP guests change page states by requests that the host cannot miss, TDX guests
 * by TDVMCALLs.  A hypercall that declares all RAM private would have the host
 * discard GHCBs that are in use.
 */
static inline bool kvm_guest_reports(bool is_sev, bool is_snp, u32 features)
{
	const u32 needed = BIT(KVM_FEATURE_HC_MAP_GPA_RANGE) |
			   BIT(KVM_FEATURE_MIGRATION_CONTROL);

	return is_sev && !is_snp && (features & needed) == needed;
}

/* @lock is for all that changes after boot, and for the MSR. */
struct kvm_migration {
	raw_spinlock_t lock;
	bool all_reported;	/* The host knows the encryption status of all pages. */
	bool ready;		/* The host has been told that it may migrate. */
	bool (*write)(u64 value);
};

/* Unless a report has failed meanwhile. */
static inline void kvm_migration_allow(struct kvm_migration *m)
{
	guard(raw_spinlock_irqsave)(&m->lock);
	if (m->all_reported)
		m->ready = m->write(KVM_MIGRATION_READY);
}

/* For good: nothing reports once more what was not reported. */
static inline void kvm_migration_forbid(struct kvm_migration *m)
{
	guard(raw_spinlock_irqsave)(&m->lock);
	m->all_reported = false;
	m->ready = false;
	m->write(0);
}

/*
 * OVMF stores one byte, 1, and has it kept.  A firmware that stores it anew at
 * every boot need not.  Returns NULL if the firmware allows it, else the reason.
 */
static inline const char *kvm_firmware_refuses_migration(efi_get_variable_t *get_variable)
{
	const u32 access = EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS;
	efi_char16_t name[] = L"SevLiveMigrationEnabled";
	efi_guid_t guid = AMD_SEV_MEM_ENCRYPT_GUID;
	unsigned long size = 1;
	efi_status_t status;
	u32 attributes = 0;
	u8 value = 0;

	status = get_variable(name, &guid, &attributes, &size, &value);
	if (status == EFI_NOT_FOUND)
		return "the firmware does not mention it";
	if (status != EFI_SUCCESS)
		return "the firmware's variable cannot be read";
	if (size != 1 || value > 1)
		return "the firmware's variable has a wrong size or value";
	if ((attributes & ~EFI_VARIABLE_NON_VOLATILE) != access)
		return "the firmware's variable has wrong attributes";
	if (!value)
		return "the firmware forbids it";
	return NULL;
}

/*
 * Returns NULL if migration is allowed, else the reason.  @get_variable is NULL if
 * the firmware cannot be asked.  A kernel without EFI runtime services does not
 * pass EFI on to the one that it starts by kexec, which cannot tell then whether
 * there is a firmware that would have to consent.
 */
static inline const char *kvm_migration_refused(bool efi_boot, bool kexec,
						efi_get_variable_t *get_variable)
{
	if (!efi_boot)
		return kexec ? "kexec has not passed on whether there is EFI firmware" : NULL;
	if (!get_variable)
		return "the firmware cannot be asked";
	return kvm_firmware_refuses_migration(get_variable);
}

#endif /* _X86_KERNEL_KVM_MIGRATION_H */
