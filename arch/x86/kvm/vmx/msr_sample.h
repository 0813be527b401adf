/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __KVM_X86_VMX_MSR_SAMPLE_H
#define __KVM_X86_VMX_MSR_SAMPLE_H

#include <linux/cache.h>
#include <linux/types.h>

struct vmcs_config;
struct vmx_capability;

/*
 * The VMX capabilities of one CPU, all of them read on that CPU.  The VMCS
 * config and the nested VMX MSRs must not be computed from anything else that
 * can differ between CPUs: an MSR read elsewhere may be that of another CPU.
 */
struct vmx_msr_sample {
	int cpu;

	/* CPUID decides about a few controls, too, and differs as MSRs do. */
	u64 signature;
	u64 sgx;

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

extern struct vmx_msr_sample vmx_reference __ro_after_init;

void vmx_msr_sample_take(struct vmx_msr_sample *sample);
void vmx_msr_sample_report(const struct vmx_msr_sample *reference,
			   const struct vmx_msr_sample *sample);

#if IS_ENABLED(CONFIG_KUNIT)
extern bool error_on_inconsistent_vmcs_config;
int vmcs_config_from_sample(struct vmcs_config *vmcs_conf,
			    struct vmx_capability *vmx_cap,
			    const struct vmx_msr_sample *sample);
int setup_vmcs_config(struct vmcs_config *vmcs_conf,
		      struct vmx_capability *vmx_cap,
		      const struct vmx_msr_sample *sample);
int vmx_check_sample(const struct vmx_msr_sample *sample);
#endif

#endif /* __KVM_X86_VMX_MSR_SAMPLE_H */
