// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hypercalls made before alternatives are applied, for the KUnit suite in
 * kvm_hypercall_test.c to look at afterwards, and for a test VMM to watch.
 *
 * Nothing here is for use: it makes every boot as a KVM guest send requests that
 * mean nothing.
 */
#define pr_fmt(fmt) "kvm-guest: " fmt

#include <linux/cpufeature.h>
#include <linux/export.h>
#include <linux/irqflags.h>
#include <linux/mem_encrypt.h>
#include <linux/printk.h>

#include <asm/coco.h>
#include <asm/msr-index.h>
#include <asm/x86_init.h>

#include "kvm_hypercall_test.h"

struct early_hypercalls early_hypercalls __ro_after_init;
EXPORT_SYMBOL_GPL(early_hypercalls);

static noinline __noclone long builtin_hypercall(unsigned int nr)
{
	long ret;

	asm volatile(KVM_HYPERCALL_AT(builtin_hypercall)
		     : "=a"(ret), ASM_CALL_CONSTRAINT
		     : "a"(nr)
		     : "memory");
	return ret;
}

static noinstr __noclone long noinstr_hypercall(unsigned int nr)
{
	long ret;

	asm volatile(KVM_HYPERCALL_AT(noinstr_hypercall)
		     : "=a"(ret), ASM_CALL_CONSTRAINT
		     : "a"(nr)
		     : "memory");
	return ret;
}

const struct hypercall_site builtin_hypercall_sites[] = {
	{ "built-in", builtin_hypercall, builtin_hypercall_start, builtin_hypercall_end },
	{ "noinstr", noinstr_hypercall, noinstr_hypercall_start, noinstr_hypercall_end },
};
EXPORT_SYMBOL_GPL(builtin_hypercall_sites);

/* Every arity from a noinstr function, which objtool judges. */
noinstr long noinstr_hypercalls(unsigned int nr)
{
	return kvm_hypercall0(nr) | kvm_hypercall1(nr, 1) |
	       kvm_hypercall2(nr, 1, 2) | kvm_hypercall3(nr, 1, 2, 3) |
	       kvm_hypercall4(nr, 1, 2, 3, 4);
}
EXPORT_SYMBOL_GPL(noinstr_hypercalls);

static void __init record(const char *what, long ret, long expected)
{
	struct early_hypercalls *early = &early_hypercalls;

	if (early->nr < ARRAY_SIZE(early->calls))
		early->calls[early->nr] = (struct early_hypercall){ what, ret, expected };
	early->nr++;
}

/* The test VMM knows these requests and wants to see them in this order. */
struct gpa_range {
	const char *what;
	u64 gpa;
	u64 npages;
	bool private;
};

static const struct gpa_range ranges[] __initconst = {
	{ "1 page private",		0x1000,		1,		true },
	{ "2 MiB shared",		0x200000,	0x200,		false },
	{ "1 GiB private",		0x40000000,	0x40000,	true },
	{ "all 64 bits of a gpa",	0x123456789000,	0x100000001,	false },
};

static void __init map_gpa_ranges(void)
{
	bool offered = kvm_para_has_feature(KVM_FEATURE_HC_MAP_GPA_RANGE);
	int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		record(ranges[i].what,
		       kvm_map_gpa_range(ranges[i].gpa, ranges[i].npages, ranges[i].private),
		       offered ? 0 : -KVM_ENOSYS);
	record("an unaligned gpa", kvm_hypercall3(KVM_HC_MAP_GPA_RANGE, 0x1001, 1, 0),
	       offered ? -KVM_EINVAL : -KVM_ENOSYS);
}

/* As it is while identify_boot_cpu() builds the feature bits anew. */
static void __init call_without_features(void)
{
	bool vmmcall = boot_cpu_has(X86_FEATURE_VMMCALL);

	clear_cpu_cap(&boot_cpu_data, X86_FEATURE_VMMCALL);
	record("poll without feature bits", kvm_hypercall0(KVM_HC_VAPIC_POLL_IRQ), 0);
	if (vmmcall)
		set_cpu_cap(&boot_cpu_data, X86_FEATURE_VMMCALL);
}

#ifdef CONFIG_AMD_MEM_ENCRYPT
/* With SEV alone to tell which instruction it is; VMMCALL must not harm. */
static void __init call_as_sev_guest(void)
{
	unsigned long *forced = (unsigned long *)cpu_caps_set;
	u64 status = sev_status;

	if (!boot_cpu_has(X86_FEATURE_VMMCALL))
		return;

	clear_cpu_cap(&boot_cpu_data, X86_FEATURE_VMMCALL);
	clear_bit(X86_FEATURE_VMMCALL, forced);
	sev_status = MSR_AMD64_SEV_ENABLED;
	record("poll under SEV", kvm_hypercall0(KVM_HC_VAPIC_POLL_IRQ), 0);
	sev_status = MSR_AMD64_SEV_ENABLED | MSR_AMD64_SEV_ES_ENABLED;
	record("poll under SEV-ES", kvm_hypercall0(KVM_HC_VAPIC_POLL_IRQ), 0);
	sev_status = status;
	set_bit(X86_FEATURE_VMMCALL, forced);
	set_cpu_cap(&boot_cpu_data, X86_FEATURE_VMMCALL);
}

static void __init call_before_vc_handler(void)
{
	typeof(x86_platform.hyper.sev_es_hcall_prepare) prepare;
	u64 status = sev_status;

	prepare = x86_platform.hyper.sev_es_hcall_prepare;
	x86_platform.hyper.sev_es_hcall_prepare = NULL;
	sev_status = MSR_AMD64_SEV_ENABLED | MSR_AMD64_SEV_ES_ENABLED;
	record("map before the #VC handler is ready",
	       kvm_hypercall3(KVM_HC_MAP_GPA_RANGE, 0x3000, 1, 0), -KVM_ENOSYS);
	record("map before the #VC handler is ready, again",
	       kvm_hypercall3(KVM_HC_MAP_GPA_RANGE, 0x3000, 1, 0), -KVM_ENOSYS);
	sev_status = status;
	x86_platform.hyper.sev_es_hcall_prepare = prepare;
}

static void __init ask_for_sev_guest(void)
{
	enum cc_vendor vendor = cc_vendor;
	u64 status = sev_status;

	cc_vendor = CC_VENDOR_INTEL;
	record("a TDX guest is an SEV guest", kvm_is_sev_guest(), false);
	cc_vendor = CC_VENDOR_NONE;
	record("a plain guest is an SEV guest", kvm_is_sev_guest(), false);
	cc_vendor = CC_VENDOR_AMD;
	sev_status = 0;
	record("an SME host is an SEV guest", kvm_is_sev_guest(), false);
	sev_status = MSR_AMD64_SEV_ENABLED;
	record("an SEV guest is an SEV guest", kvm_is_sev_guest(), true);

	cc_vendor = vendor;
	sev_status = status;
}
#else
static void __init call_as_sev_guest(void) {}
static void __init call_before_vc_handler(void) {}
static void __init ask_for_sev_guest(void) {}
#endif

void __init kvm_make_early_hypercalls(void)
{
	unsigned long flags;

	/* The VMM of an SEV guest would believe them. */
	if (kvm_is_sev_guest())
		return;

	/* The tests below lie to the rest of the kernel for a moment. */
	local_irq_save(flags);
	early_hypercalls.alternatives_patched = alternatives_patched;
	early_hypercalls.features = kvm_arch_para_features();
	record("poll", kvm_hypercall0(KVM_HC_VAPIC_POLL_IRQ), 0);
	record("none", builtin_hypercall(KVM_HC_NONE), -KVM_ENOSYS);
	record("poll, noinstr", noinstr_hypercall(KVM_HC_VAPIC_POLL_IRQ), 0);
	record("poll, noinstr, every arity", noinstr_hypercalls(KVM_HC_VAPIC_POLL_IRQ), 0);
	map_gpa_ranges();
	call_without_features();
	call_as_sev_guest();
	call_before_vc_handler();
	ask_for_sev_guest();
	early_hypercalls.made = true;
	local_irq_restore(flags);
	pr_info("made %u early hypercalls\n", early_hypercalls.nr);
}
