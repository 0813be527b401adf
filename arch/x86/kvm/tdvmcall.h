/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ARCH_X86_KVM_TDVMCALL_H
#define ARCH_X86_KVM_TDVMCALL_H

#include <linux/kvm_host.h>

int kvm_tdvmcall(struct kvm_vcpu *vcpu, struct tdx_module_args *args,
		 unsigned long rax, int (*finish)(struct kvm_vcpu *vcpu));

#ifdef CONFIG_X86_64
gpa_t kvm_tdvmcall_shared_bit(struct kvm *kvm);
bool kvm_is_sw_tdvmcall(struct kvm_vcpu *vcpu);
int kvm_sw_tdvmcall(struct kvm_vcpu *vcpu);
#else
static inline gpa_t kvm_tdvmcall_shared_bit(struct kvm *kvm)
{
	return 0;
}

static inline bool kvm_is_sw_tdvmcall(struct kvm_vcpu *vcpu)
{
	return false;
}

static inline int kvm_sw_tdvmcall(struct kvm_vcpu *vcpu)
{
	return 1;
}
#endif

#endif /* ARCH_X86_KVM_TDVMCALL_H */
