/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/export.h>
#include <linux/linkage.h>
#include <linux/objtool.h>

#include <asm/asm.h>
#include <asm/asm-offsets.h>
#include <asm/cpufeatures.h>
#include <asm/frame.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>

#define CAP_BYTE(array, feature)	_ASM_RIP(array + ((feature) >> 3))
#define CAP_BIT(feature)		(1 << ((feature) & 7))

.section .noinstr.text, "ax"

/*
 * kvm_early_hypercall() - what KVM_HYPERCALL is until alternatives are applied
 *
 * Takes and returns the registers of a hypercall: RAX carries the number in and
 * the result out, everything else is the caller's and left alone.
 *
 * The instruction must be right at the first attempt.  The #UD that a wrong one
 * raises kills a guest that has no handler yet, and only some hypervisors turn
 * it into a hypercall; none can if the guest's memory is encrypted.
 */
SYM_FUNC_START(kvm_early_hypercall)
	ANNOTATE_NOENDBR
#ifdef CONFIG_AMD_MEM_ENCRYPT
	/* Known before C runs, long before any feature bit. */
	testb	$MSR_AMD64_SEV_ENABLED, sev_status(%rip)
	jnz	.Lsev
#endif
	testb	$CAP_BIT(X86_FEATURE_VMMCALL), \
		CAP_BYTE(boot_cpu_data + CPUINFO_x86_capability, X86_FEATURE_VMMCALL)
	jnz	.Lvmmcall
	/*
	 * The bits of the boot CPU are absent while it is identified anew,
	 * those that are forced are not.
	 */
	testb	$CAP_BIT(X86_FEATURE_VMMCALL), \
		CAP_BYTE(cpu_caps_set, X86_FEATURE_VMMCALL)
	jnz	.Lvmmcall
	vmcall
	RET

#ifdef CONFIG_AMD_MEM_ENCRYPT
.Lsev:
	/*
	 * VMMCALL raises #VC under SEV-ES, and the arguments reach the host
	 * only if the #VC handler has been told which registers they are in.
	 */
	testb	$MSR_AMD64_SEV_ES_ENABLED, sev_status(%rip)
	jz	.Lvmmcall
	cmpq	$0, (x86_platform + X86_PLATFORM_sev_es_hcall_prepare)(%rip)
	je	.Ltoo_early
#endif
.Lvmmcall:
	vmmcall
	RET

#ifdef CONFIG_AMD_MEM_ENCRYPT
.Ltoo_early:
	FRAME_BEGIN
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%rcx
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	movl	%eax, %edi
	movq	(8 * 8 + FRAME_OFFSET)(%rsp), %rsi	/* the call site */
	call	kvm_refuse_early_hypercall
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rcx
	popq	%rdx
	popq	%rsi
	popq	%rdi
	FRAME_END
	RET
#endif
SYM_FUNC_END(kvm_early_hypercall)
EXPORT_SYMBOL_GPL(kvm_early_hypercall)
