/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an SEV-ES guest needs from its firmware, without firmware, see linux_guest.h.
 *
 * Linux starts the other vCPUs of an SEV-ES guest by a jump table, whose address
 * the firmware has told the host.  The test cannot do that in the guest's place:
 * the host takes it from a GHCB only, and sets no register of a vCPU that runs.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_SEV_ES_H
#define SELFTEST_KVM_LINUX_GUEST_SEV_ES_H

#include "linux_guest.h"

/* Where the page tables that Linux begins with map the first memory as shared. */
#define LINUX_GUEST_SHARED_MAP	SZ_4G

/*
 * Load it to @gpa, three pages below 1 MiB.  @regs are those with which the first vCPU
 * would begin to execute Linux; they become those with which it begins there.  Sets the
 * registers of the other vCPUs.
 */
void linux_guest_load_sev_es_boot(struct linux_guest *guest, gpa_t gpa,
				  struct kvm_regs *regs);

/* The library's own: code that the guest executes, in assembly. */
extern const char sev_es_boot_start[], sev_es_boot_ap[], sev_es_boot_end[];

#endif /* SELFTEST_KVM_LINUX_GUEST_SEV_ES_H */
