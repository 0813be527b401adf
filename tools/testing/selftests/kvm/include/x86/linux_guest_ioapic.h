/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An I/O APIC for Linux guests whose KVM has none, i.e. TDs, see linux_guest.h: as much
 * as interrupts by edge need.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_IOAPIC_H
#define SELFTEST_KVM_LINUX_GUEST_IOAPIC_H

#include <pthread.h>

#include "kvm_util.h"

#define LINUX_GUEST_NR_IOAPIC_PINS	24

struct linux_guest_ioapic {
	struct kvm_vm *vm;
	pthread_mutex_t lock;
	u8 reg;
	u32 id;
	u64 redirections[LINUX_GUEST_NR_IOAPIC_PINS];
	u32 levels, pending;			/* a bit per pin */
};

void linux_guest_ioapic_init(struct linux_guest_ioapic *ioapic, struct kvm_vm *vm);
void linux_guest_ioapic_set(struct linux_guest_ioapic *ioapic, int pin, bool level);

/* True if the access was to it. */
bool linux_guest_ioapic_mmio(struct linux_guest_ioapic *ioapic, u64 gpa, void *data, u32 len,
			     bool is_write);

#endif /* SELFTEST_KVM_LINUX_GUEST_IOAPIC_H */
