/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether a guest with encrypted memory may be migrated, as its VMM sees it.
 *
 * Three parties have to agree, in this order: the host offers
 * KVM_FEATURE_MIGRATION_CONTROL in CPUID, firmware sets its UEFI variable, and
 * the guest's kernel writes KVM_MIGRATION_READY to MSR_KVM_MIGRATION_CONTROL,
 * once it has reported which of its pages are shared.
 *
 * A VMM sees firmware's part only if it owns the variable store.  Otherwise,
 * and if the guest has no UEFI, it doesn't report any firmware event, and the
 * guest's word is taken.
 */
#ifndef SELFTEST_KVM_MIGRATION_HANDSHAKE_H
#define SELFTEST_KVM_MIGRATION_HANDSHAKE_H

#include <stdbool.h>

#include <linux/types.h>

/* The values are part of the stream in shared_ranges.h: don't renumber. */
enum migration_state {
	MIGRATION_NOT_OFFERED,		/* CPUID doesn't have the bit */
	MIGRATION_OFFERED,		/* firmware's decision isn't known */
	MIGRATION_FIRMWARE_SET,
	MIGRATION_FIRMWARE_NOT_SET,
	MIGRATION_READY,
	MIGRATION_WITHDRAWN,		/* was ready, e.g. before a kexec */
	NR_MIGRATION_STATES,
};

enum migration_event {
	MIGRATION_OFFER,		/* the VMM sets the bit in CPUID */
	MIGRATION_FIRMWARE_SETS,	/* the VMM found the variable set */
	MIGRATION_FIRMWARE_DOES_NOT_SET,
	MIGRATION_GUEST_SETS_READY,
	MIGRATION_GUEST_CLEARS_READY,
	MIGRATION_RESET,		/* firmware runs again; not a kexec */
	NR_MIGRATION_EVENTS,
};

/*
 * An event that isn't possible leaves the state as it is:
 *
 * -EALREADY  the bit was offered before
 * -ENXIO     the bit isn't offered, i.e. there is neither variable nor MSR
 * -EACCES    the guest is ready, but firmware didn't set its variable
 * -EBUSY     firmware's variable changed after the guest had become ready
 * -EINVAL    no such state or event
 */
int migration_event(enum migration_state *state, enum migration_event event);

/*
 * The guest writes MSR_KVM_MIGRATION_CONTROL.  Errors as above, and -EINVAL
 * for reserved bits.  A VMM that handles the write injects #GP for each.
 */
int migration_wrmsr(enum migration_state *state, u64 data);

/*
 * To be asked before a migration starts, and again once the vCPUs are stopped
 * for good: the guest may have withdrawn in between.
 */
static inline bool migration_allowed(enum migration_state state)
{
	return state == MIGRATION_READY;
}

#endif /* SELFTEST_KVM_MIGRATION_HANDSHAKE_H */
