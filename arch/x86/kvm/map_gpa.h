/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ARCH_X86_KVM_MAP_GPA_H
#define ARCH_X86_KVM_MAP_GPA_H

#include <linux/kvm_host.h>

enum kvm_map_gpa_source {
	KVM_MAP_GPA_HYPERCALL,
	KVM_MAP_GPA_TDVMCALL,
	KVM_MAP_GPA_SNP_MSR,
	KVM_MAP_GPA_SNP_GHCB,
};

int kvm_map_gpa(struct kvm_vcpu *vcpu, gfn_t gfn, u64 npages, u64 attrs,
		enum kvm_map_gpa_source source,
		int (*finish)(struct kvm_vcpu *vcpu, u64 ret));

#endif /* ARCH_X86_KVM_MAP_GPA_H */
