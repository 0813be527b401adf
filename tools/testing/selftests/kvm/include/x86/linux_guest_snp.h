/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Linux as an SEV-SNP guest, without firmware, see linux_guest.h.
 *
 * What Linux wants of its firmware is there when it starts: a page of secrets and
 * one with the functions of CPUID, both from the security processor, a blob that
 * tells where they are, and ACPI tables.  All memory is private and accepted: what
 * has been loaded by the launch, the rest by a few instructions in front of Linux.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_SNP_H
#define SELFTEST_KVM_LINUX_GUEST_SNP_H

#include "linux_guest.h"

/* Four pages below 1 MiB, for what is in front of Linux. */
#define LINUX_GUEST_SNP_GPA	0x98000

/* Keep for the guest what the processor has, at most: the security processor checks it. */
void linux_guest_limit_snp_cpuid(struct kvm_vcpu *vcpu);

/* What tells Linux of the pages is behind the code. */
#define LINUX_GUEST_SNP_SETUP_DATA	(LINUX_GUEST_SNP_GPA + SZ_4K)

/*
 * Load it.  @regs are those with which the first vCPU would begin to execute Linux;
 * they become those with which it begins there.
 */
void linux_guest_load_snp_boot(struct linux_guest *guest, struct kvm_regs *regs);

/* Make all that has been loaded the guest's, with CPUID and registers as they are. */
void linux_guest_snp_launch(struct linux_guest *guest);

/* The library's own: code that the guest executes, in assembly. */
extern const char snp_boot_start[], snp_boot_end[];

#endif /* SELFTEST_KVM_LINUX_GUEST_SNP_H */
