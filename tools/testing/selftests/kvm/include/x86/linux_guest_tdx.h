/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Linux as a TD, i.e. a guest of Intel TDX, without firmware, see linux_guest.h.
 *
 * A few instructions do what Linux wants of its firmware: all vCPUs start in them, the
 * first one accepts the memory that was not loaded and begins to execute Linux, the
 * others wait until Linux wants them, at the mailbox that is in the ACPI tables.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_TDX_H
#define SELFTEST_KVM_LINUX_GUEST_TDX_H

#include <linux/kvm_coco.h>

#include "linux_guest.h"
#include "linux_guest_shared.h"

/* Below 1 MiB, for what is in front of Linux: a mailbox, code and page tables. */
#define LINUX_GUEST_TDX_GPA		0x98000

#define LINUX_GUEST_TDX_MAILBOX		LINUX_GUEST_TDX_GPA
#define LINUX_GUEST_TDX_CODE		(LINUX_GUEST_TDX_GPA + SZ_4K)

/* The page below 4 GiB, in which vCPUs start. */
#define LINUX_GUEST_TDX_MEMSLOT		1

struct linux_guest_tdx {
	struct linux_guest *guest;

	/* What the guest has asked to share.  The lock is for what follows as well. */
	pthread_mutex_t lock;
	struct shared_ranges shared;

	/* The message of the guest, which has ended by LINUX_GUEST_ERROR. */
	bool has_failed;
	u64 error_code;
	char message[KVM_COCO_FATAL_ERROR_MESSAGE_SIZE + 1];

	void *private;			/* the test's */

	int nr_quotes;

	/* The library's. */
	u64 quote_gpa, quote_size;
	pthread_t quote_thread;
};

/*
 * @params is that of linux_guest_create(), type and exits are filled in.
 * linux_guest_tdx_free() also frees the linux_guest.
 */
struct linux_guest_tdx *linux_guest_tdx_create(struct linux_guest_params *params);
void linux_guest_tdx_free(struct linux_guest_tdx *td);

/* The library's own. */
void linux_guest_init_tdx_vcpu(struct kvm_vcpu *vcpu);
void linux_guest_load_tdx_boot(struct linux_guest *guest, gpa_t entry, gpa_t boot_params);
gpa_t linux_guest_tdx_reset_vector(void);

/* Code that the guest executes, in assembly. */
extern const char tdx_boot_start[], tdx_boot_reset[], tdx_boot_end[];

#endif /* SELFTEST_KVM_LINUX_GUEST_TDX_H */
