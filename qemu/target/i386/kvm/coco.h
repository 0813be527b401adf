/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TARGET_I386_KVM_COCO_H
#define TARGET_I386_KVM_COCO_H

#include "standard-headers/asm-x86/kvm_para.h"
#include "cpu.h"

/* The guest says which memory it shares, and whether it can be migrated */
#define CPUID_KVM_HC_MAP_GPA_RANGE  (1U << KVM_FEATURE_HC_MAP_GPA_RANGE)
#define CPUID_KVM_MIGRATION_CONTROL (1U << KVM_FEATURE_MIGRATION_CONTROL)

int kvm_coco_init(void);
uint32_t kvm_coco_cpuid_features(void);
int kvm_coco_init_vcpu(X86CPU *cpu, Error **errp);

/* Whether a guest without guest_memfd shares this page, without the BQL. */
bool kvm_coco_is_shared(hwaddr gpa);

/* Answers an exit of those that kvm_coco_init() has enabled. */
void kvm_coco_handle_exit(struct kvm_run *run);

#endif
