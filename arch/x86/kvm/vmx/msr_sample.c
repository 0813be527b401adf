// SPDX-License-Identifier: GPL-2.0-only
/*
 * Samples of the VMX capabilities of a CPU.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/smp.h>
#include <linux/string.h>

#include <asm/msr.h>
#include <asm/vmx.h>

#include "msr_sample.h"

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
