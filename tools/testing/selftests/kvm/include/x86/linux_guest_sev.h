/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A real Linux kernel as an SEV guest, see linux_guest.h, with SEV or without: on an
 * ordinary VM that has the same memory with and without the C-bit in its addresses.
 *
 * Such a guest tells KVM which of its pages it shares with the host.  Nothing
 * breaks if it, or whoever keeps the list, is wrong: without SEV memory isn't
 * encrypted, and with it only a migration would notice.  So the list is compared
 * with what the guest's own page tables say.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_SEV_H
#define SELFTEST_KVM_LINUX_GUEST_SEV_H

#include "linux_guest.h"
#include "linux_guest_migrate.h"
#include "linux_guest_shared.h"

struct linux_guest_sev {
	struct linux_guest *guest;

	/*
	 * What the guest has reported, ready to be sent along with it.  The vCPUs'
	 * threads take its lock.
	 */
	struct linux_guest_migration m;

	int nr_ready;			/* KVM_MIGRATION_READY written */
	int nr_cleared;			/* 0 written */

	void *private;			/* the test's */

	/*
	 * The gpa of the kernel's page tables, if the vCPUs' CR3 cannot be read: the
	 * registers of an SEV-ES guest are encrypted.  0: not known, as if there were
	 * no shared page.
	 */
	u64 page_tables;

	/* The library's. */
	unsigned long *bitmap;
};

/*
 * If this KVM has KVM_X86_SEV_VM, KVM_X86_SEV_ES_VM or KVM_X86_SNP_VM, or, for
 * KVM_X86_DEFAULT_VM, if this host has a bit for the C-bit and takes the guest's
 * hypercalls.
 */
bool linux_guest_sev_supported(u32 vm_type);

/*
 * @params is that of linux_guest_create(), with one of these types.  The guest is
 * offered page status reports and migration control.  An SNP guest makes no such
 * reports, it changes the state of pages: what it shares is in the list as well.
 * linux_guest_sev_free() also frees the linux_guest.
 */
struct linux_guest_sev *linux_guest_sev_create(struct linux_guest_params *params);

/* Nothing in it, for a guest that comes from elsewhere. */
struct linux_guest_sev *linux_guest_sev_create_empty(struct linux_guest_params *params);

void linux_guest_sev_free(struct linux_guest_sev *sev);

/* For linux_guest::exit of a test with an own one. */
bool linux_guest_sev_exit(struct linux_guest *guest, struct kvm_vcpu *vcpu);

/*
 * Compare the list with the page tables that @vcpu can reach, or with what an SNP guest
 * has told, see linux_guest_shared.h, but for the pages of
 * [@gpa, @gpa + @size), which the guest may be in the middle of changing.  The caller
 * has the lock, and is the vCPU's thread unless the vCPU is stopped.
 */
struct linux_guest_shared_diff linux_guest_sev_compare(struct linux_guest_sev *sev,
						       struct kvm_vcpu *vcpu, u64 gpa,
						       u64 size);

/* How many pages of a range @vcpu can access without the C-bit.  As above. */
u64 linux_guest_sev_nr_shared(struct linux_guest_sev *sev, struct kvm_vcpu *vcpu, u64 gpa,
			      u64 size);

#endif /* SELFTEST_KVM_LINUX_GUEST_SEV_H */
