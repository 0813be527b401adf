// SPDX-License-Identifier: GPL-2.0-only
/*
 * Samples of the VMX capabilities of a CPU.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/array_size.h>
#include <linux/build_bug.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <linux/stddef.h>
#include <linux/string.h>

#include <asm/cpuid/api.h>
#include <asm/msr.h>
#include <asm/vmx.h>

#include "msr_sample.h"

/*
 * There is no X86_FEATURE for SGX yet, but anyway CPUID needs to be queried
 * directly instead of going through cpu_has(), to ensure KVM is trapping
 * ENCLS whenever it's supported in hardware.  It does not matter whether
 * the host OS supports or has enabled SGX.
 */
static bool cpu_has_sgx(void)
{
	return cpuid_eax(0) >= 0x12 && (cpuid_eax(0x12) & BIT(0));
}

/* The high half of the MSR has the controls that may be set. */
static bool may_set(u64 ctls, u32 control)
{
	return (ctls >> 32) & control;
}

/* Take a sample of the CPU that this runs on, in any context. */
void vmx_msr_sample_take(struct vmx_msr_sample *sample)
{
	memset(sample, 0, sizeof(*sample));

	/*
	 * Disable preemption, not just migration.  Nothing below sleeps, and
	 * while a task is pinned but preempted, a CPU that goes offline has to
	 * wait for it.
	 */
	sample->cpu = get_cpu();

	sample->signature = cpuid_eax(1);
	sample->sgx = cpu_has_sgx();

	/* Every CPU with VMX has these. */
	rdmsrq(MSR_IA32_VMX_BASIC, sample->basic);
	rdmsrq(MSR_IA32_VMX_PINBASED_CTLS, sample->pinbased_ctls);
	rdmsrq(MSR_IA32_VMX_PROCBASED_CTLS, sample->procbased_ctls);
	rdmsrq(MSR_IA32_VMX_EXIT_CTLS, sample->exit_ctls);
	rdmsrq(MSR_IA32_VMX_ENTRY_CTLS, sample->entry_ctls);
	rdmsrq(MSR_IA32_VMX_MISC, sample->misc);
	rdmsrq(MSR_IA32_VMX_CR0_FIXED0, sample->cr0_fixed0);
	rdmsrq(MSR_IA32_VMX_CR0_FIXED1, sample->cr0_fixed1);
	rdmsrq(MSR_IA32_VMX_CR4_FIXED0, sample->cr4_fixed0);
	rdmsrq(MSR_IA32_VMX_CR4_FIXED1, sample->cr4_fixed1);

	/* The others exist only if a control says so, and are 0 otherwise. */
	if (may_set(sample->procbased_ctls, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS))
		rdmsrq(MSR_IA32_VMX_PROCBASED_CTLS2, sample->procbased_ctls2);
	if (may_set(sample->procbased_ctls, CPU_BASED_ACTIVATE_TERTIARY_CONTROLS))
		rdmsrq(MSR_IA32_VMX_PROCBASED_CTLS3, sample->procbased_ctls3);
	if (may_set(sample->procbased_ctls2, SECONDARY_EXEC_ENABLE_VMFUNC))
		rdmsrq_safe(MSR_IA32_VMX_VMFUNC, &sample->vmfunc);

	/*
	 * Do not trust the controls here, that they agree with the MSR is what
	 * KVM checks.
	 */
	rdmsrq_safe(MSR_IA32_VMX_EPT_VPID_CAP, &sample->ept_vpid_cap);

	put_cpu();
}

/*
 * Print all differences, whether or not KVM cares.  Each line stands on its
 * own, others may get in between.
 */
void vmx_msr_sample_report(const struct vmx_msr_sample *reference,
			   const struct vmx_msr_sample *sample)
{
	const struct {
		const char *name;
		u64 reference, value;
	} sampled[] = {
		{ "CPUID.1:EAX", reference->signature, sample->signature },
		{ "CPUID.12H:EAX[0]", reference->sgx, sample->sgx },
		{ "IA32_VMX_BASIC", reference->basic, sample->basic },
		{ "IA32_VMX_PINBASED_CTLS", reference->pinbased_ctls, sample->pinbased_ctls },
		{ "IA32_VMX_PROCBASED_CTLS", reference->procbased_ctls, sample->procbased_ctls },
		{ "IA32_VMX_PROCBASED_CTLS2", reference->procbased_ctls2, sample->procbased_ctls2 },
		{ "IA32_VMX_PROCBASED_CTLS3", reference->procbased_ctls3, sample->procbased_ctls3 },
		{ "IA32_VMX_EXIT_CTLS", reference->exit_ctls, sample->exit_ctls },
		{ "IA32_VMX_ENTRY_CTLS", reference->entry_ctls, sample->entry_ctls },
		{ "IA32_VMX_MISC", reference->misc, sample->misc },
		{ "IA32_VMX_CR0_FIXED0", reference->cr0_fixed0, sample->cr0_fixed0 },
		{ "IA32_VMX_CR0_FIXED1", reference->cr0_fixed1, sample->cr0_fixed1 },
		{ "IA32_VMX_CR4_FIXED0", reference->cr4_fixed0, sample->cr4_fixed0 },
		{ "IA32_VMX_CR4_FIXED1", reference->cr4_fixed1, sample->cr4_fixed1 },
		{ "IA32_VMX_EPT_VPID_CAP", reference->ept_vpid_cap, sample->ept_vpid_cap },
		{ "IA32_VMX_VMFUNC", reference->vmfunc, sample->vmfunc },
	};
	int i;

	/* A field without a name would be compared by nobody. */
	static_assert(ARRAY_SIZE(sampled) * sizeof(u64) ==
		      sizeof(*sample) - offsetof(struct vmx_msr_sample, signature));

	for (i = 0; i < ARRAY_SIZE(sampled); i++) {
		if (sampled[i].reference == sampled[i].value)
			continue;

		pr_err("CPU %d: %s = 0x%llx, on reference CPU %d = 0x%llx, mismatch = 0x%llx\n",
		       sample->cpu, sampled[i].name, sampled[i].value, reference->cpu,
		       sampled[i].reference, sampled[i].reference ^ sampled[i].value);
	}
}
