/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ACPI tables for Linux guests that do not look for an MP table, see linux_guest.h:
 * as much as tells Linux of its CPUs and interrupt controllers, and of a timer that
 * is right on busy hosts as well.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_ACPI_H
#define SELFTEST_KVM_LINUX_GUEST_ACPI_H

#include "linux_guest.h"

/* Reading four bytes of it returns linux_guest_pm_timer(). */
#define LINUX_GUEST_PM_TIMER_PORT	0x608

u32 linux_guest_pm_timer(void);

/* Fills the page at @gpa, which begins with the root pointer. */
void linux_guest_write_acpi(struct linux_guest *guest, gpa_t gpa);

#endif /* SELFTEST_KVM_LINUX_GUEST_ACPI_H */
