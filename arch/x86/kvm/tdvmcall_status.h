/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ARCH_X86_KVM_TDVMCALL_STATUS_H
#define ARCH_X86_KVM_TDVMCALL_STATUS_H

/*
 * What userspace may answer, and the status that the guest gets for it, R10 in
 * the GHCI specification.  Plain C without other headers of the kernel, so that
 * tests outside of it can have the same table.
 */
static const struct {
	unsigned int err;
	unsigned long long status;
} kvm_tdvmcall_statuses[] = {
	{ 0,		0x0000000000000000ULL },	/* TDG.VP.VMCALL_SUCCESS */
	{ EAGAIN,	0x0000000000000001ULL },	/* TDG.VP.VMCALL_RETRY */
	{ EINVAL,	0x8000000000000000ULL },	/* TDG.VP.VMCALL_INVALID_OPERAND */
	{ EOPNOTSUPP,	0x8000000000000003ULL },	/* TDG.VP.VMCALL_SUBFUNC_UNSUPPORTED */
};

#endif /* ARCH_X86_KVM_TDVMCALL_STATUS_H */
