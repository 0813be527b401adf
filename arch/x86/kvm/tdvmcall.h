/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ARCH_X86_KVM_TDVMCALL_H
#define ARCH_X86_KVM_TDVMCALL_H

#include <linux/kvm_host.h>

int kvm_tdvmcall(struct kvm_vcpu *vcpu, struct tdx_module_args *args, u64 rax);

#endif /* ARCH_X86_KVM_TDVMCALL_H */
