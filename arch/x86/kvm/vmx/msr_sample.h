/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __KVM_X86_VMX_MSR_SAMPLE_H
#define __KVM_X86_VMX_MSR_SAMPLE_H

#include <linux/types.h>

/*
 * The VMX capabilities of one CPU, all of them read on that CPU.  KVM derives
 * what it knows about VMX from samples, and from nothing else that can differ
 * between CPUs: an MSR read elsewhere may be that of another CPU.
 */
struct vmx_msr_sample {
	int cpu;

	u64 basic;
	u64 pinbased_ctls;
	u64 procbased_ctls;
	u64 procbased_ctls2;
	u64 procbased_ctls3;
	u64 exit_ctls;
	u64 entry_ctls;
	u64 misc;
	u64 cr0_fixed0;
	u64 cr0_fixed1;
	u64 cr4_fixed0;
	u64 cr4_fixed1;
	u64 ept_vpid_cap;
	u64 vmfunc;
};

void vmx_msr_sample_take(struct vmx_msr_sample *sample);

#endif /* __KVM_X86_VMX_MSR_SAMPLE_H */
