/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Linux as an SEV guest that checks its memory all the time, private and shared, on all
 * CPUs, and converts it (mem_encrypt_stress.ko).  It has a disk.  What it has found goes
 * along when it is migrated.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_SEV_STRESS_H
#define SELFTEST_KVM_LINUX_GUEST_SEV_STRESS_H

#include "linux_guest_sev.h"

#define SEV_STRESS		"mem_encrypt_stress"
#define SEV_STRESS_VCPUS	2
#define SEV_STRESS_SPOILED	(SEV_STRESS_VCPUS + 1)

/* About whose status the list is made wrong when the guest is sent. */
enum sev_stress_spoil {
	SPOIL_NOTHING,
	SPOIL_SHARED_PAGES,
	SPOIL_PRIVATE_PAGES,
};

struct sev_stress_guest {
	/* To be set before the guest is created. */
	const char *kernel;
	const char *module;		/* mem_encrypt_stress.ko */
	const char *steps;		/* of guest_init, one of them is "wait" or "busy" */
	unsigned long vm_type;
	u32 sev_policy;
	unsigned int seconds;		/* the most that anything may take */

	struct linux_guest_sev *sev;

	/* When to pause. */
	bool pause_at_wait;		/* when guest_init begins to wait */
	bool pause_at_withdrawal;	/* when the guest is about to start a kernel */
	int wanted_reports;		/* of the module */

	int nr_reports;
	u64 nr_rounds;			/* that the module has reported; sent along */
	bool wrong;			/* it has found a wrong word */

	enum sev_stress_spoil spoil;
	u64 spoiled[SEV_STRESS_SPOILED];	/* the pages; sent along */

	/* Why a function has returned false. */
	char error[256];
};

/* @empty: for a guest that comes from elsewhere. */
void sev_stress_create(struct sev_stress_guest *stress, bool empty);
void sev_stress_free(struct sev_stress_guest *stress);

/* Run the guest until it waits, ready to be migrated, and is at work. */
bool sev_stress_boot(struct sev_stress_guest *stress);

/* Run it until it is paused, with nothing wrong. */
bool sev_stress_run_to_pause(struct sev_stress_guest *stress);

/* Run it until it has checked a lot more of its memory, with nothing wrong. */
bool sev_stress_run_on(struct sev_stress_guest *stress);

/* Run it until it finds what is wrong. */
bool sev_stress_run_to_error(struct sev_stress_guest *stress);

#endif /* SELFTEST_KVM_LINUX_GUEST_SEV_STRESS_H */
