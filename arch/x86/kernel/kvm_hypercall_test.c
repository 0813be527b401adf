// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of hypercalls, as a guest makes them: the bytes of call sites
 * after alternatives were applied, what was recorded before, and what comes back
 * now.  All but the bytes need a KVM underneath.
 */
#include <kunit/test.h>
#include <linux/module.h>
#include <linux/topology.h>

#include <asm/apic.h>
#include <asm/cpufeature.h>

#include "kvm_hypercall_test.h"

#define NR_PATTERNED	13

DECLARE_HYPERCALL_SITE(module_hypercall);
DEFINE_HYPERCALL_SITE(, module_hypercall);

struct site {
	const char *name;
	const u8 *start;
	const u8 *end;
};

static const struct site sites[] = {
	{ "built-in", builtin_hypercall_site, builtin_hypercall_site_end },
	{ "built-in, noinstr", builtin_noinstr_hypercall_site, builtin_noinstr_hypercall_site_end },
	{ "module", module_hypercall_site, module_hypercall_site_end },
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
	const struct site *site = test->param_value;
	const u8 *expected = is_amd_or_hygon() ? vmmcall : vmcall;

	KUNIT_ASSERT_EQ(test, site->end - site->start, sizeof(vmcall));
	KUNIT_EXPECT_MEMEQ(test, site->start, expected, sizeof(vmcall));
}

KUNIT_ARRAY_PARAM_DESC(site, sites, name);

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

/* Every register but RAX and those that hold the stack, in a fixed order. */
#define FOR_EACH_PATTERNED(op, array)					\
	op(rbx, array, 0) op(rcx, array, 1) op(rdx, array, 2)		\
	op(rsi, array, 3) op(rdi, array, 4) op(r8, array, 5)		\
	op(r9, array, 6) op(r10, array, 7) op(r11, array, 8)		\
	op(r12, array, 9) op(r13, array, 10) op(r14, array, 11)		\
	op(r15, array, 12)
#define LOAD(reg, array, i)	"movq " #array "+8*" #i "(%%rax), %%" #reg "\n\t"
#define STORE(reg, array, i)	"movq %%" #reg ", " #array "+8*" #i "(%%rax)\n\t"

static noinline void make_patterned_call(struct patterned_call *call)
{
	/* RSP has not changed if what was pushed is found again. */
	asm volatile("pushq %%rax\n\t"
		     "pushq 8*26(%%rax)\n\t"
		     FOR_EACH_PATTERNED(LOAD, 0)
		     "popq %%rax\n\t"
		     "call kvm_early_hypercall\n\t"
		     "xchgq %%rax, (%%rsp)\n\t"
		     FOR_EACH_PATTERNED(STORE, 8*13)
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

	require_kvm(test);
	KUNIT_EXPECT_EQ(test, module_hypercall(KVM_HC_VAPIC_POLL_IRQ), 0);
	KUNIT_EXPECT_EQ(test, module_hypercall(KVM_HC_NONE), -KVM_ENOSYS);
	KUNIT_EXPECT_EQ(test, builtin_hypercall(KVM_HC_VAPIC_POLL_IRQ), 0);
	KUNIT_EXPECT_EQ(test, builtin_noinstr_hypercall(KVM_HC_NONE), -KVM_ENOSYS);
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
		KUNIT_EXPECT_EQ(test, kvm_hypercall4(KVM_HC_SEND_IPI, 0, 0, self, APIC_DEST_LOGICAL),
				-KVM_EINVAL);
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
