/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ARCH_X86_KVM_MAP_GPA_H
#define ARCH_X86_KVM_MAP_GPA_H

#include <linux/kvm_coco.h>
#include <linux/kvm_host.h>

#include "x86.h"

enum kvm_map_gpa_source {
	KVM_MAP_GPA_HYPERCALL,
	KVM_MAP_GPA_TDVMCALL,
	KVM_MAP_GPA_SNP_MSR,
	KVM_MAP_GPA_SNP_GHCB,
};

/* Whether userspace wants to know of page status at all. */
static inline bool kvm_can_map_gpa(struct kvm *kvm)
{
	return user_exit_on_hypercall(kvm, KVM_HC_MAP_GPA_RANGE) ||
	       kvm->arch.coco_exits & KVM_COCO_EXIT_MAP_GPA_RANGE;
}

bool kvm_is_valid_map_gpa(struct kvm_vcpu *vcpu, gfn_t gfn, u64 npages, u64 attrs);
int kvm_map_gpa(struct kvm_vcpu *vcpu, gfn_t gfn, u64 npages, u64 attrs,
		enum kvm_map_gpa_source source,
		int (*finish)(struct kvm_vcpu *vcpu, u64 ret));

#endif /* ARCH_X86_KVM_MAP_GPA_H */
