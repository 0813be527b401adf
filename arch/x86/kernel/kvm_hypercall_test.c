// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of hypercalls, as a guest makes them: the bytes of call sites
 * after alternatives were applied, what was recorded before, and what comes back
 * now.  All but the bytes need a KVM underneath.
 */
#include <kunit/test.h>
#include <linux/cpufeature.h>
#include <linux/module.h>
#include <linux/topology.h>

#include <asm/apic.h>

#include "kvm_hypercall_test.h"

#define NR_PATTERNED	13

static noinline __noclone long module_hypercall(unsigned int nr)
{
	long ret;

	asm volatile(KVM_HYPERCALL_AT(module_hypercall)
		     : "=a"(ret), ASM_CALL_CONSTRAINT
		     : "a"(nr)
		     : "memory");
	return ret;
}

static const struct hypercall_site module_hypercall_site = {
	"module", module_hypercall, module_hypercall_start, module_hypercall_end
};

static const struct hypercall_site *sites[] = {
	&builtin_hypercall_sites[0],
	&builtin_hypercall_sites[1],
	&module_hypercall_site,
};

static bool is_amd_or_hygon(void)
{
	return boot_cpu_data.x86_vendor == X86_VENDOR_AMD ||
	       boot_cpu_data.x86_vendor == X86_VENDOR_HYGON;
}

/* The instruction, and one NOP up to the length of the CALL that it replaced. */
static void patched_site_test(struct kunit *test)
{
	static const u8 vmcall[] = { 0x0f, 0x01, 0xc1, 0x66, 0x90 };
	static const u8 vmmcall[] = { 0x0f, 0x01, 0xd9, 0x66, 0x90 };
	const struct hypercall_site *site = *(const struct hypercall_site **)test->param_value;
	const u8 *expected = is_amd_or_hygon() ? vmmcall : vmcall;

	KUNIT_ASSERT_EQ(test, site->end - site->start, sizeof(vmcall));
	KUNIT_EXPECT_MEMEQ(test, site->start, expected, sizeof(vmcall));
}

static void site_name(const struct hypercall_site **site, char *desc)
{
	strscpy(desc, (*site)->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(site, sites, site_name);

static void require_kvm(struct kunit *test)
{
	if (!kvm_para_available())
		kunit_skip(test, "not a KVM guest");
	if (cpu_feature_enabled(X86_FEATURE_TDX_GUEST))
		kunit_skip(test, "TDX guests make TDVMCALLs instead");
}

struct patterned_call {
	u64 in[NR_PATTERNED];
	u64 out[NR_PATTERNED];
	u64 rax;
};

static noinline void make_patterned_call(struct patterned_call *call)
{
	/*
	 * All registers but RAX, RBP and RSP, in the order of the clobber list.
	 * RSP has not changed if what was pushed is found again.
	 */
	asm volatile("pushq %%rax\n\t"
		     "pushq 8*26(%%rax)\n\t"
		     "movq 8*0(%%rax), %%rbx; movq 8*1(%%rax), %%rcx\n\t"
		     "movq 8*2(%%rax), %%rdx; movq 8*3(%%rax), %%rsi\n\t"
		     "movq 8*4(%%rax), %%rdi; movq 8*5(%%rax), %%r8\n\t"
		     "movq 8*6(%%rax), %%r9; movq 8*7(%%rax), %%r10\n\t"
		     "movq 8*8(%%rax), %%r11; movq 8*9(%%rax), %%r12\n\t"
		     "movq 8*10(%%rax), %%r13; movq 8*11(%%rax), %%r14\n\t"
		     "movq 8*12(%%rax), %%r15\n\t"
		     "popq %%rax\n\t"
		     "call kvm_early_hypercall\n\t"
		     "xchgq %%rax, (%%rsp)\n\t"
		     "movq %%rbx, 8*13(%%rax); movq %%rcx, 8*14(%%rax)\n\t"
		     "movq %%rdx, 8*15(%%rax); movq %%rsi, 8*16(%%rax)\n\t"
		     "movq %%rdi, 8*17(%%rax); movq %%r8, 8*18(%%rax)\n\t"
		     "movq %%r9, 8*19(%%rax); movq %%r10, 8*20(%%rax)\n\t"
		     "movq %%r11, 8*21(%%rax); movq %%r12, 8*22(%%rax)\n\t"
		     "movq %%r13, 8*23(%%rax); movq %%r14, 8*24(%%rax)\n\t"
		     "movq %%r15, 8*25(%%rax)\n\t"
		     "popq 8*26(%%rax)\n\t"
		     : "+a"(call), ASM_CALL_CONSTRAINT
		     :
		     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
		       "r12", "r13", "r14", "r15", "memory", "cc");
}

static void clobbers_rax_only_test(struct kunit *test)
{
	struct patterned_call call = { .rax = KVM_HC_NONE };
	int i;

	require_kvm(test);
	for (i = 0; i < NR_PATTERNED; i++)
		call.in[i] = 0x0123456789abcdef * (i + 1);
	make_patterned_call(&call);
	KUNIT_EXPECT_EQ(test, (long)call.rax, -KVM_ENOSYS);
	KUNIT_EXPECT_MEMEQ(test, call.out, call.in, sizeof(call.in));
}

static void early_hypercalls_test(struct kunit *test)
{
	const struct early_hypercalls *early = &early_hypercalls;
	int i;

	require_kvm(test);
	KUNIT_ASSERT_TRUE(test, early->made);
	KUNIT_EXPECT_FALSE(test, early->alternatives_patched);
	KUNIT_ASSERT_LE(test, early->nr, ARRAY_SIZE(early->calls));
	for (i = 0; i < early->nr; i++)
		KUNIT_EXPECT_EQ_MSG(test, early->calls[i].ret, early->calls[i].expected,
				    "%s", early->calls[i].what);
}

/* Results that depend on the last argument of each arity. */
static void late_hypercalls_test(struct kunit *test)
{
	u32 self;
	int i;

	require_kvm(test);
	for (i = 0; i < ARRAY_SIZE(sites); i++) {
		KUNIT_EXPECT_EQ(test, sites[i]->call(KVM_HC_VAPIC_POLL_IRQ), 0);
		KUNIT_EXPECT_EQ(test, sites[i]->call(KVM_HC_NONE), -KVM_ENOSYS);
	}
	KUNIT_EXPECT_EQ(test, noinstr_hypercalls(KVM_HC_VAPIC_POLL_IRQ), 0);

	KUNIT_EXPECT_EQ(test, kvm_hypercall0(KVM_HC_NONE), -KVM_ENOSYS);
	KUNIT_EXPECT_EQ(test, kvm_hypercall1(KVM_HC_NONE, 1), -KVM_ENOSYS);
	/* The second argument is the type of clock: there is none of that type. */
	KUNIT_EXPECT_EQ(test, kvm_hypercall2(KVM_HC_CLOCK_PAIRING, 0, ~0ul), -KVM_EOPNOTSUPP);

	if (early_hypercalls.features & BIT(KVM_FEATURE_HC_MAP_GPA_RANGE)) {
		/* The first argument is unaligned, the second wraps around. */
		KUNIT_EXPECT_EQ(test, kvm_hypercall3(KVM_HC_MAP_GPA_RANGE, 0x1001, 1, 0),
				-KVM_EINVAL);
		KUNIT_EXPECT_EQ(test, kvm_hypercall3(KVM_HC_MAP_GPA_RANGE, 0x1000, ~0ul, 0),
				-KVM_EINVAL);
	}

	if (early_hypercalls.features & BIT(KVM_FEATURE_PV_SEND_IPI)) {
		/* Nobody is addressed; then the fourth argument is malformed. */
		self = per_cpu(x86_cpu_to_apicid, raw_smp_processor_id());
		KUNIT_EXPECT_EQ(test, kvm_hypercall4(KVM_HC_SEND_IPI, 0, 0, self, APIC_DM_NMI), 0);
		KUNIT_EXPECT_EQ(test, kvm_hypercall4(KVM_HC_SEND_IPI, 0, 0, self,
						     APIC_DEST_LOGICAL), -KVM_EINVAL);
	} else {
		KUNIT_EXPECT_EQ(test, kvm_hypercall4(KVM_HC_SEND_IPI, 0, 0, 0, APIC_DM_NMI),
				-KVM_ENOSYS);
	}
}

static struct kunit_case kvm_hypercall_test_cases[] = {
	KUNIT_CASE_PARAM(patched_site_test, site_gen_params),
	KUNIT_CASE(clobbers_rax_only_test),
	KUNIT_CASE(early_hypercalls_test),
	KUNIT_CASE(late_hypercalls_test),
	{}
};

static struct kunit_suite kvm_hypercall_test_suite = {
	.name = "kvm_hypercall",
	.test_cases = kvm_hypercall_test_cases,
};

kunit_test_suite(kvm_hypercall_test_suite);

MODULE_DESCRIPTION("KUnit tests of hypercalls of a KVM guest");
MODULE_LICENSE("GPL");
