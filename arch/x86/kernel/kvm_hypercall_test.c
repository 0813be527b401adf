// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of hypercalls, as a guest makes them: each arity, with results
 * that depend on its last argument, from ordinary and from noinstr code.
 */
#include <kunit/test.h>
#include <linux/kvm_para.h>
#include <linux/module.h>
#include <linux/topology.h>

#include <asm/apic.h>
#include <asm/cpuid/api.h>

/* A number that no hypercall has. */
#define KVM_HC_NONE	0x7fffffff

static int kvm_hypercall_test_init(struct kunit *test)
{
	if (!kvm_para_available())
		kunit_skip(test, "not a KVM guest");
	return 0;
}

/* kvm_para_has_feature() is not exported. */
static bool has_feature(unsigned int feature)
{
	return cpuid_eax(cpuid_base_hypervisor(KVM_SIGNATURE, 0) | KVM_CPUID_FEATURES) &
	       BIT(feature);
}

static void arity_test(struct kunit *test)
{
	u32 self = per_cpu(x86_cpu_to_apicid, raw_smp_processor_id());

	KUNIT_EXPECT_EQ(test, kvm_hypercall0(KVM_HC_VAPIC_POLL_IRQ), 0);
	KUNIT_EXPECT_EQ(test, kvm_hypercall0(KVM_HC_NONE), -KVM_ENOSYS);
	KUNIT_EXPECT_EQ(test, kvm_hypercall1(KVM_HC_NONE, 1), -KVM_ENOSYS);
	/* The second argument is the type of clock: there is none of that type. */
	KUNIT_EXPECT_EQ(test, kvm_hypercall2(KVM_HC_CLOCK_PAIRING, 0, ~0ul), -KVM_EOPNOTSUPP);

	if (has_feature(KVM_FEATURE_HC_MAP_GPA_RANGE)) {
		/* The first argument is unaligned, the second wraps around. */
		KUNIT_EXPECT_EQ(test, kvm_hypercall3(KVM_HC_MAP_GPA_RANGE, 0x1001, 1, 0),
				-KVM_EINVAL);
		KUNIT_EXPECT_EQ(test, kvm_hypercall3(KVM_HC_MAP_GPA_RANGE, 0x1000, ~0ul, 0),
				-KVM_EINVAL);
	}

	if (has_feature(KVM_FEATURE_PV_SEND_IPI)) {
		/* Nobody is addressed; then the fourth argument is malformed. */
		KUNIT_EXPECT_EQ(test, kvm_hypercall4(KVM_HC_SEND_IPI, 0, 0, self, APIC_DM_NMI), 0);
		KUNIT_EXPECT_EQ(test, kvm_hypercall4(KVM_HC_SEND_IPI, 0, 0, self,
						     APIC_DEST_LOGICAL), -KVM_EINVAL);
	} else {
		KUNIT_EXPECT_EQ(test, kvm_hypercall4(KVM_HC_SEND_IPI, 0, 0, 0, APIC_DM_NMI),
				-KVM_ENOSYS);
	}
}

/* When this is built in, objtool checks that noinstr code may call. */
static noinstr long noinstr_hypercalls(unsigned int nr)
{
	return kvm_hypercall0(nr) | kvm_hypercall1(nr, 1) |
	       kvm_hypercall2(nr, 1, 2) | kvm_hypercall3(nr, 1, 2, 3) |
	       kvm_hypercall4(nr, 1, 2, 3, 4);
}

static void noinstr_test(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, noinstr_hypercalls(KVM_HC_VAPIC_POLL_IRQ), 0);
}

static struct kunit_case kvm_hypercall_test_cases[] = {
	KUNIT_CASE(arity_test),
	KUNIT_CASE(noinstr_test),
	{}
};

static struct kunit_suite kvm_hypercall_test_suite = {
	.name = "kvm_hypercall",
	.init = kvm_hypercall_test_init,
	.test_cases = kvm_hypercall_test_cases,
};

kunit_test_suite(kvm_hypercall_test_suite);

MODULE_DESCRIPTION("KUnit tests of hypercalls of a KVM guest");
MODULE_LICENSE("GPL");
