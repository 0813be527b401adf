// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of what KVM makes of samples of VMX capabilities: recorded ones
 * of real processors, and ones that differ from them in single bits.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <kunit/test.h>
#include <linux/array_size.h>
#include <linux/build_bug.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include <asm/cpuid/api.h>
#include <asm/msr-index.h>
#include <asm/msr-trace.h>
#include <asm/vmx.h>
#include <trace/events/printk.h>

#include "capabilities.h"
#include "nested.h"

/* What msr_sample.c prints, one line after the other. */
static struct {
	char text[4096];
	int len;
} printed;

static __printf(1, 2) void capture(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printed.len += vscnprintf(printed.text + printed.len,
				  sizeof(printed.text) - printed.len, fmt, ap);
	va_end(ap);
}

/* Build the functions under test here, under other names. */
#define vmx_msr_sample_take	test_sample_take
#define vmx_msr_sample_report	test_sample_report
#undef pr_err
#define pr_err			capture
#include "msr_sample.c"

/*
 * What processors report, and what KVM has to make of it.  Secondary controls
 * include EPT-violation #VE, which KVM uses only if it is built for it.
 *
 * Values of the Core i7-4770 of Bochs 2.7 were read there; they follow from
 * cpu/vmcs.cc, cpu/vmx.h and corei7_haswell_4770.cc of Bochs' source.
 *
 * Values of real processors are those that Oracle VirtualBox recorded in its
 * CPU database, src/VBox/VMM/VMMR3/cpus/Intel_<processor>.h.  Note, the Core
 * i7-6700K can intercept ENCLS, but was recorded with SGX disabled, and the
 * Xeon X5482 has neither EPT nor VPID, i.e. no EPT_VPID_CAP.
 */
static const struct recorded {
	const char *name;
	struct vmx_msr_sample sample;
	u32 pin, proc, proc2, exit, entry, ept, vpid;
} recorded[] = {
	{
		.name = "Core i7-4770 of Bochs 2.7",
		.sample = {
			.signature	 = 0x306c3,
			.basic		 = 0x00d810000000002bull,
			.pinbased_ctls	 = 0x0000007f00000016ull,
			.procbased_ctls	 = 0xf7f9fffe0401e172ull,
			.procbased_ctls2 = 0x00047fff00000000ull,
			.exit_ctls	 = 0x007fffff00036dffull,
			.entry_ctls	 = 0x0000ffff000011ffull,
			.misc		 = 0x200401e0,
			.cr0_fixed0	 = 0x80000021,
			.cr0_fixed1	 = 0xffffffff,
			.cr4_fixed0	 = 0x2000,
			.cr4_fixed1	 = 0x1727ff,
			.ept_vpid_cap	 = 0x00000f0106334141ull,
			.vmfunc		 = 0x1,
		},
		.pin	= 0x0000007f,
		.proc	= 0xf7f9fffe,
		.proc2	= 0x00047fff,
		.exit	= 0x007fffff,
		.entry	= 0x0000f3ff,
		.ept	= 0x06334141,
		.vpid	= 0x00000f01,
	}, {
		.name = "Xeon X5482 (Penryn)",
		.sample = {
			.signature	 = 0x10676,
			.basic		 = 0x005a08000000000dull,
			.pinbased_ctls	 = 0x0000003f00000016ull,
			.procbased_ctls	 = 0xf7f9fffe0401e172ull,
			.procbased_ctls2 = 0x0000004100000000ull,
			.exit_ctls	 = 0x0003ffff00036dffull,
			.entry_ctls	 = 0x00003fff000011ffull,
			.misc		 = 0x403c0,
			.cr0_fixed0	 = 0x80000021,
			.cr0_fixed1	 = 0xffffffff,
			.cr4_fixed0	 = 0x2000,
			.cr4_fixed1	 = 0x27ff,
		},
		.pin	= 0x0000003f,
		.proc	= 0xf7f9fffe,
		.proc2	= 0x00000041,
		.exit	= 0x0003ffff,
		.entry	= 0x000033ff,
	}, {
		.name = "Core i5-3570 (Ivy Bridge)",
		.sample = {
			.signature	 = 0x306a9,
			.basic		 = 0x00da040000000010ull,
			.pinbased_ctls	 = 0x0000007f00000016ull,
			.procbased_ctls	 = 0xfff9fffe0401e172ull,
			.procbased_ctls2 = 0x000008ff00000000ull,
			.exit_ctls	 = 0x007fffff00036dffull,
			.entry_ctls	 = 0x0000ffff000011ffull,
			.misc		 = 0x100401e5,
			.cr0_fixed0	 = 0x80000021,
			.cr0_fixed1	 = 0xffffffff,
			.cr4_fixed0	 = 0x2000,
			.cr4_fixed1	 = 0x1767ff,
			.ept_vpid_cap	 = 0x00000f0106114141ull,
		},
		.pin	= 0x0000007f,
		.proc	= 0xfff9fffe,
		.proc2	= 0x000008ff,
		.exit	= 0x007fffff,
		.entry	= 0x0000f3ff,
		.ept	= 0x06114141,
		.vpid	= 0x00000f01,
	}, {
		.name = "Core i7-6700K (Skylake)",
		.sample = {
			.signature	 = 0x506e3,
			.basic		 = 0x00da040000000004ull,
			.pinbased_ctls	 = 0x0000007f00000016ull,
			.procbased_ctls	 = 0xfff9fffe0401e172ull,
			.procbased_ctls2 = 0x001ffcff00000000ull,
			.exit_ctls	 = 0x01ffffff00036dffull,
			.entry_ctls	 = 0x0003ffff000011ffull,
			.misc		 = 0x7004c1e7,
			.cr0_fixed0	 = 0x80000021,
			.cr0_fixed1	 = 0xffffffff,
			.cr4_fixed0	 = 0x2000,
			.cr4_fixed1	 = 0x3727ff,
			.ept_vpid_cap	 = 0x00000f0106334141ull,
			.vmfunc		 = 0x1,
		},
		.pin	= 0x0000007f,
		.proc	= 0xfff9fffe,
		.proc2	= 0x001f7cff,
		.exit	= 0x01ffffff,
		.entry	= 0x0003f3ff,
		.ept	= 0x06334141,
		.vpid	= 0x00000f01,
	},
};

/* The start of constructed samples. */
#define IVY_BRIDGE	(&recorded[2].sample)

#define FIELD(field, msr, name) { offsetof(struct vmx_msr_sample, field), msr, name }
static const struct {
	size_t offset;
	u32 msr;
	const char *name;
} fields[] = {
	FIELD(signature, 0, "CPUID.1:EAX"),
	FIELD(sgx, 0, "CPUID.12H:EAX[0]"),
	FIELD(basic, MSR_IA32_VMX_BASIC, "IA32_VMX_BASIC"),
	FIELD(pinbased_ctls, MSR_IA32_VMX_PINBASED_CTLS, "IA32_VMX_PINBASED_CTLS"),
	FIELD(procbased_ctls, MSR_IA32_VMX_PROCBASED_CTLS, "IA32_VMX_PROCBASED_CTLS"),
	FIELD(procbased_ctls2, MSR_IA32_VMX_PROCBASED_CTLS2, "IA32_VMX_PROCBASED_CTLS2"),
	FIELD(procbased_ctls3, MSR_IA32_VMX_PROCBASED_CTLS3, "IA32_VMX_PROCBASED_CTLS3"),
	FIELD(exit_ctls, MSR_IA32_VMX_EXIT_CTLS, "IA32_VMX_EXIT_CTLS"),
	FIELD(entry_ctls, MSR_IA32_VMX_ENTRY_CTLS, "IA32_VMX_ENTRY_CTLS"),
	FIELD(misc, MSR_IA32_VMX_MISC, "IA32_VMX_MISC"),
	FIELD(cr0_fixed0, MSR_IA32_VMX_CR0_FIXED0, "IA32_VMX_CR0_FIXED0"),
	FIELD(cr0_fixed1, MSR_IA32_VMX_CR0_FIXED1, "IA32_VMX_CR0_FIXED1"),
	FIELD(cr4_fixed0, MSR_IA32_VMX_CR4_FIXED0, "IA32_VMX_CR4_FIXED0"),
	FIELD(cr4_fixed1, MSR_IA32_VMX_CR4_FIXED1, "IA32_VMX_CR4_FIXED1"),
	FIELD(ept_vpid_cap, MSR_IA32_VMX_EPT_VPID_CAP, "IA32_VMX_EPT_VPID_CAP"),
	FIELD(vmfunc, MSR_IA32_VMX_VMFUNC, "IA32_VMX_VMFUNC"),
};

static u64 *field(struct vmx_msr_sample *sample, size_t offset)
{
	return (void *)sample + offset;
}

/* A control that may be set has its bit in the high half. */
static u64 high(u32 control)
{
	return (u64)control << 32;
}

/* The same, also for a control that must be set. */
static u64 both(u32 control)
{
	return high(control) | control;
}

static void msr_sample_test_recorded(struct kunit *test)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(recorded); i++) {
		const struct recorded *cpu = &recorded[i];
		struct vmx_capability cap;
		struct vmcs_config conf;
		u32 proc2 = cpu->proc2;

		if (!IS_ENABLED(CONFIG_KVM_INTEL_PROVE_VE))
			proc2 &= ~SECONDARY_EXEC_EPT_VIOLATION_VE;

		KUNIT_ASSERT_EQ_MSG(test, 0, vmcs_config_from_sample(&conf, &cap, &cpu->sample),
				    "%s", cpu->name);
		KUNIT_EXPECT_EQ_MSG(test, conf.basic, cpu->sample.basic, "%s", cpu->name);
		KUNIT_EXPECT_EQ_MSG(test, conf.pin_based_exec_ctrl, cpu->pin, "%s", cpu->name);
		KUNIT_EXPECT_EQ_MSG(test, conf.cpu_based_exec_ctrl, cpu->proc, "%s", cpu->name);
		KUNIT_EXPECT_EQ_MSG(test, conf.cpu_based_2nd_exec_ctrl, proc2, "%s", cpu->name);
		KUNIT_EXPECT_EQ_MSG(test, conf.cpu_based_3rd_exec_ctrl, 0, "%s", cpu->name);
		KUNIT_EXPECT_EQ_MSG(test, conf.vmexit_ctrl, cpu->exit, "%s", cpu->name);
		KUNIT_EXPECT_EQ_MSG(test, conf.vmentry_ctrl, cpu->entry, "%s", cpu->name);
		KUNIT_EXPECT_EQ_MSG(test, conf.misc, cpu->sample.misc, "%s", cpu->name);
		KUNIT_EXPECT_EQ_MSG(test, cap.ept, cpu->ept, "%s", cpu->name);
		KUNIT_EXPECT_EQ_MSG(test, cap.vpid, cpu->vpid, "%s", cpu->name);
	}
}

/* Built in, kvm-intel is there on hosts without VMX as well. */
static void require_vmx(struct kunit *test)
{
	if (!vmcs_config.basic)
		kunit_skip(test, "no VMX");
}

/* The loaded module runs with what its reference sample says, and this CPU. */
static void msr_sample_test_reference(struct kunit *test)
{
	struct vmx_msr_sample sample;
	struct vmx_capability cap;
	struct vmcs_config conf;

	require_vmx(test);

	KUNIT_EXPECT_GE(test, vmx_reference.cpu, 0);
	KUNIT_ASSERT_EQ(test, 0, setup_vmcs_config(&conf, &cap, &vmx_reference));
	if (vmcs_config.nested.basic)
		nested_vmx_setup_ctls_msrs(&conf, cap.ept, &vmx_reference);
	KUNIT_EXPECT_MEMEQ(test, &conf, &vmcs_config, sizeof(conf));
	KUNIT_EXPECT_EQ(test, cap.ept, vmx_capability.ept);
	KUNIT_EXPECT_EQ(test, cap.vpid, vmx_capability.vpid);

	vmx_msr_sample_take(&sample);
	KUNIT_EXPECT_EQ(test, 0, vmx_check_sample(&sample));
}

/* What is in a sample is what the CPU says. */
static void msr_sample_test_take(struct kunit *test)
{
	struct vmx_msr_sample sample;
	u64 value;
	int i;

	require_vmx(test);
	guard(migrate)();

	memset(&sample, 0xff, sizeof(sample));
	vmx_msr_sample_take(&sample);
	KUNIT_EXPECT_EQ(test, sample.cpu, raw_smp_processor_id());
	KUNIT_EXPECT_EQ(test, sample.signature, cpuid_eax(1));

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		if (!fields[i].msr)
			continue;
		if (rdmsrq_safe(fields[i].msr, &value))
			value = 0;
		KUNIT_EXPECT_EQ_MSG(test, *field(&sample, fields[i].offset), value,
				    "%s", fields[i].name);
	}
}

/* Nested MSRs are those of the sample, not those of the reference. */
static void msr_sample_test_nested(struct kunit *test)
{
	int i;

	if (!vmcs_config.nested.basic)
		kunit_skip(test, "nested=0");

	for (i = 0; i < ARRAY_SIZE(recorded); i++) {
		const struct recorded *cpu = &recorded[i];
		struct nested_vmx_msrs *msrs;
		struct vmx_capability cap;
		struct vmcs_config conf;
		u64 umip = 0, vmfunc = 0;

		KUNIT_ASSERT_EQ(test, 0, vmcs_config_from_sample(&conf, &cap, &cpu->sample));
		nested_vmx_setup_ctls_msrs(&conf, cap.ept, &cpu->sample);
		msrs = &conf.nested;

		if (vmx_umip_emulated(&conf))
			umip = X86_CR4_UMIP;
		if (enable_ept && cpu->sample.vmfunc)
			vmfunc = VMX_VMFUNC_EPTP_SWITCHING;

		KUNIT_EXPECT_EQ_MSG(test, msrs->cr0_fixed1, cpu->sample.cr0_fixed1,
				    "%s", cpu->name);
		KUNIT_EXPECT_EQ_MSG(test, msrs->cr4_fixed1, cpu->sample.cr4_fixed1 | umip,
				    "%s", cpu->name);
		KUNIT_EXPECT_EQ_MSG(test, msrs->basic & VMX_BASIC_INOUT,
				    cpu->sample.basic & VMX_BASIC_INOUT, "%s", cpu->name);
		KUNIT_EXPECT_EQ_MSG(test, msrs->vmfunc_controls, vmfunc, "%s", cpu->name);
	}
}

static void expect_line(char *line, size_t size, const char *name, u64 reference, u64 value)
{
	scnprintf(line, size,
		  "CPU 1: %s = 0x%llx, on reference CPU 0 = 0x%llx, mismatch = 0x%llx\n",
		  name, value, reference, value ^ reference);
}

static const char *report_of(const struct vmx_msr_sample *reference,
			     const struct vmx_msr_sample *sample)
{
	printed.len = 0;
	printed.text[0] = 0;
	vmx_msr_sample_report(reference, sample);
	return printed.text;
}

/* Every single bit, used or not: one line, with the right name. */
static void msr_sample_test_every_bit(struct kunit *test)
{
	int i, j, bit;

	for (i = 0; i < ARRAY_SIZE(recorded); i++) {
		const struct vmx_msr_sample *reference = &recorded[i].sample;
		struct vmx_msr_sample sample = *reference;

		/* The number of the CPU is not one of its capabilities. */
		sample.cpu = 1;
		KUNIT_EXPECT_STREQ(test, report_of(reference, &sample), "");

		for (j = 0; j < ARRAY_SIZE(fields); j++) {
			u64 *value = field(&sample, fields[j].offset), orig = *value;
			char line[160];

			for (bit = 0; bit < 64; bit++) {
				*value = orig ^ BIT_ULL(bit);
				expect_line(line, sizeof(line), fields[j].name, orig, *value);
				KUNIT_EXPECT_STREQ(test, report_of(reference, &sample), line);
			}
			*value = orig;
		}
	}
}

/* If all differ, all are named, in the order of the table. */
static void msr_sample_test_all_differ(struct kunit *test)
{
	struct vmx_msr_sample reference = {}, sample;
	const char *report;
	char line[160];
	int i;

	memset(&sample, 0xff, sizeof(sample));
	sample.cpu = 1;
	report = report_of(&reference, &sample);

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		expect_line(line, sizeof(line), fields[i].name, 0, U64_MAX);
		KUNIT_ASSERT_TRUE_MSG(test, strstarts(report, line), "%s", fields[i].name);
		report += strlen(line);
	}
	KUNIT_EXPECT_STREQ(test, report, "");
}

struct console {
	const char *wanted;
	int nr;
};

static void watch_console(void *data, const char *text, size_t len)
{
	struct console *console = data;

	if (strnstr(text, console->wanted, len))
		console->nr++;
}

/* The config differs for another reason than an MSR: KVM shows its words. */
static void msr_sample_test_words(struct kunit *test)
{
	struct console console = { .wanted = "Offset " };

	if (!vmcs_config.nested.basic || !cpu_has_vmx_vpid())
		kunit_skip(test, "nested=0, or no VPID");
	if (register_trace_console(watch_console, &console))
		kunit_skip(test, "no tracepoints");

	KUNIT_EXPECT_EQ(test, vmx_check_sample(&vmx_reference), 0);
	KUNIT_EXPECT_EQ(test, console.nr, 0);

	/* L1 has VPID if KVM uses it. */
	enable_vpid = !enable_vpid;
	KUNIT_EXPECT_EQ(test, vmx_check_sample(&vmx_reference), -EIO);
	enable_vpid = !enable_vpid;
	KUNIT_EXPECT_GT(test, console.nr, 0);

	unregister_trace_console(watch_console, &console);
	tracepoint_synchronize_unregister();
}

/* The message names EPT, and what can be done. */
static void msr_sample_test_ept_message(struct kunit *test)
{
	struct console console = { .wanted = "kvm.enable_virt_at_load=0" };
	struct vmx_msr_sample sample = vmx_reference;

	if (!vmcs_config.basic || !enable_ept)
		kunit_skip(test, "no EPT");
	if (register_trace_console(watch_console, &console))
		kunit_skip(test, "no tracepoints");

	sample.ept_vpid_cap ^= VMX_EPT_1GB_PAGE_BIT;
	KUNIT_EXPECT_EQ(test, vmx_check_sample(&sample), -EIO);
	KUNIT_EXPECT_EQ(test, console.nr, 1);

	unregister_trace_console(watch_console, &console);
	tracepoint_synchronize_unregister();
}

enum verdict {
	ACCEPT,
	REFUSE,
	SECONDARY,	/* refuse if there are secondary controls */
	TERTIARY,
	EPT,		/* refuse if KVM uses it */
	EPT_AD,
	VPID,
	NESTED,
	NESTED_EPT,
};

#define CASE(field, bit, verdict) {					\
	#field " bit " #bit, offsetof(struct vmx_msr_sample, field),	\
	bit, verdict							\
}

/* What differs from the loaded module's reference, and what KVM thinks of it. */
static void msr_sample_test_verdicts(struct kunit *test)
{
	static const struct {
		const char *name;
		size_t offset;
		int bit;
		enum verdict verdict;
	} cases[] = {
		CASE(basic, 0, REFUSE),			/* revision of the VMCS */
		CASE(basic, 55, REFUSE),		/* TRUE controls */
		CASE(pinbased_ctls, 31, REFUSE),	/* unknown, must be 1 */
		CASE(pinbased_ctls, 37, REFUSE),	/* virtual NMIs */
		CASE(pinbased_ctls, 63, ACCEPT),	/* unknown, may be 1 */
		CASE(procbased_ctls, 32, ACCEPT),
		CASE(procbased_ctls, 60, REFUSE),	/* MSR bitmaps */
		CASE(procbased_ctls, 62, REFUSE),	/* PAUSE */
		CASE(procbased_ctls2, 38, SECONDARY),	/* WBINVD */
		CASE(procbased_ctls2, 42, SECONDARY),	/* PAUSE loops */
		CASE(procbased_ctls2, 60, ACCEPT),
		CASE(procbased_ctls3, 4, TERTIARY),	/* IPI virtualization */
		CASE(procbased_ctls3, 63, ACCEPT),
		CASE(exit_ctls, 50, REFUSE),		/* save PAT */
		CASE(exit_ctls, 58, ACCEPT),
		CASE(entry_ctls, 43, ACCEPT),
		CASE(entry_ctls, 49, REFUSE),		/* conceal VMX from PT */
		CASE(misc, 9, REFUSE),
		CASE(misc, 29, REFUSE),			/* VMWRITE to read-only fields */
		CASE(cr0_fixed0, 0, ACCEPT),
		CASE(cr0_fixed1, 1, NESTED),
		CASE(cr4_fixed0, 13, ACCEPT),
		CASE(cr4_fixed1, 20, NESTED),
		CASE(ept_vpid_cap, 0, NESTED_EPT),	/* execute-only */
		CASE(ept_vpid_cap, 6, EPT),		/* 4 levels */
		CASE(ept_vpid_cap, 7, EPT),		/* 5 levels */
		CASE(ept_vpid_cap, 8, ACCEPT),		/* UC */
		CASE(ept_vpid_cap, 14, EPT),		/* WB */
		CASE(ept_vpid_cap, 16, EPT),		/* 2MB */
		CASE(ept_vpid_cap, 17, EPT),		/* 1GB */
		CASE(ept_vpid_cap, 20, NESTED_EPT),	/* INVEPT */
		CASE(ept_vpid_cap, 21, EPT_AD),
		CASE(ept_vpid_cap, 23, ACCEPT),		/* shadow stacks */
		CASE(ept_vpid_cap, 25, EPT),		/* INVEPT variants */
		CASE(ept_vpid_cap, 26, EPT),
		CASE(ept_vpid_cap, 32, VPID),		/* INVVPID */
		CASE(ept_vpid_cap, 40, VPID),		/* its variants */
		CASE(ept_vpid_cap, 41, VPID),
		CASE(ept_vpid_cap, 42, VPID),
		CASE(ept_vpid_cap, 43, ACCEPT),		/* used by nobody */
		CASE(vmfunc, 0, ACCEPT),
	};
	bool use_nested = vmcs_config.nested.basic;
	int i;

	require_vmx(test);

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vmx_msr_sample sample = vmx_reference;
		bool refuse = false, has_control = true;

		/* Capabilities without the control are inconsistent anyway. */
		if (cases[i].offset == offsetof(struct vmx_msr_sample, ept_vpid_cap)) {
			if (cases[i].bit < 32)
				has_control = cpu_has_vmx_ept();
			else
				has_control = cpu_has_vmx_vpid();
		}
		if (!has_control)
			continue;

		switch (cases[i].verdict) {
		case ACCEPT:
			break;
		case REFUSE:
			refuse = true;
			break;
		case SECONDARY:
			refuse = cpu_has_secondary_exec_ctrls();
			break;
		case TERTIARY:
			refuse = cpu_has_tertiary_exec_ctrls();
			break;
		case EPT:
			refuse = enable_ept;
			break;
		case EPT_AD:
			refuse = enable_ept_ad_bits;
			break;
		case VPID:
			refuse = enable_vpid;
			break;
		case NESTED:
			refuse = use_nested;
			break;
		case NESTED_EPT:
			refuse = use_nested && enable_ept;
			break;
		}

		*field(&sample, cases[i].offset) ^= BIT_ULL(cases[i].bit);
		KUNIT_EXPECT_EQ_MSG(test, vmx_check_sample(&sample), refuse ? -EIO : 0,
				    "%s", cases[i].name);
	}
}

static int config_of(const struct vmx_msr_sample *sample)
{
	struct vmx_capability cap;
	struct vmcs_config conf;

	return vmcs_config_from_sample(&conf, &cap, sample);
}

/* Each control that KVM cannot do without is missed. */
static void msr_sample_test_required(struct kunit *test)
{
	static const struct {
		size_t offset;
		u32 required;
	} ctls[] = {
		{ offsetof(struct vmx_msr_sample, pinbased_ctls),
		  KVM_REQUIRED_VMX_PIN_BASED_VM_EXEC_CONTROL },
		{ offsetof(struct vmx_msr_sample, procbased_ctls),
		  KVM_REQUIRED_VMX_CPU_BASED_VM_EXEC_CONTROL },
		{ offsetof(struct vmx_msr_sample, exit_ctls),
		  KVM_REQUIRED_VMX_VM_EXIT_CONTROLS },
		{ offsetof(struct vmx_msr_sample, entry_ctls),
		  KVM_REQUIRED_VMX_VM_ENTRY_CONTROLS },
	};
	int i, bit, nr_required = 0;

	for (i = 0; i < ARRAY_SIZE(ctls); i++) {
		for (bit = 0; bit < 32; bit++) {
			struct vmx_msr_sample sample = *IVY_BRIDGE;

			if (!(ctls[i].required & BIT(bit)))
				continue;

			*field(&sample, ctls[i].offset) &= ~both(BIT(bit));
			KUNIT_EXPECT_EQ_MSG(test, config_of(&sample), -EIO,
					    "%d. MSR, bit %d", i + 1, bit);
			nr_required++;
		}
	}
	KUNIT_EXPECT_EQ(test, nr_required, 2 + 13 + 3 + 2);
}

static void msr_sample_test_basic(struct kunit *test)
{
	static const struct {
		u64 basic;
		int ret;
	} cases[] = {
		{ 0x00da040000000010ull, 0 },		/* 1024 bytes, WB */
		{ 0x00da100000000010ull, 0 },		/* 4096 bytes */
		{ 0x00da100100000010ull, -EIO },	/* 4097 bytes */
		{ 0x00db040000000010ull, -EIO },	/* only 32-bit addresses */
		{ 0x00c2040000000010ull, -EIO },	/* UC */
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vmx_msr_sample sample = *IVY_BRIDGE;

		sample.basic = cases[i].basic;
		KUNIT_EXPECT_EQ_MSG(test, config_of(&sample), cases[i].ret,
				    "0x%llx", cases[i].basic);
	}
}

/* EPT or VPID capabilities, but no control that enables EPT or VPID. */
static void msr_sample_test_inconsistent_caps(struct kunit *test)
{
	struct vmx_msr_sample no_ept = *IVY_BRIDGE, no_vpid = *IVY_BRIDGE;
	struct vmx_capability cap;
	struct vmcs_config conf;

	no_ept.procbased_ctls2 &= ~high(SECONDARY_EXEC_ENABLE_EPT);
	no_vpid.procbased_ctls2 &= ~high(SECONDARY_EXEC_ENABLE_VPID);

	error_on_inconsistent_vmcs_config = true;
	KUNIT_EXPECT_EQ(test, config_of(&no_ept), -EIO);
	KUNIT_EXPECT_EQ(test, config_of(&no_vpid), -EIO);

	error_on_inconsistent_vmcs_config = false;
	KUNIT_EXPECT_EQ(test, 0, vmcs_config_from_sample(&conf, &cap, &no_ept));
	KUNIT_EXPECT_EQ(test, cap.ept, 0);
	KUNIT_EXPECT_EQ(test, cap.vpid, 0xf01);
	KUNIT_EXPECT_EQ(test, 0, vmcs_config_from_sample(&conf, &cap, &no_vpid));
	KUNIT_EXPECT_EQ(test, cap.ept, 0x6114141);
	KUNIT_EXPECT_EQ(test, cap.vpid, 0);
}

/* A control that VM-Entry has, but not its counterpart of VM-Exit. */
static void msr_sample_test_inconsistent_pairs(struct kunit *test)
{
	static const struct {
		u32 entry, exit;
	} pairs[] = {
		{ VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL,	VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL },
		{ VM_ENTRY_LOAD_IA32_PAT,		VM_EXIT_LOAD_IA32_PAT },
		{ VM_ENTRY_LOAD_IA32_EFER,		VM_EXIT_LOAD_IA32_EFER },
		{ VM_ENTRY_LOAD_BNDCFGS,		VM_EXIT_CLEAR_BNDCFGS },
		{ VM_ENTRY_LOAD_IA32_RTIT_CTL,		VM_EXIT_CLEAR_IA32_RTIT_CTL },
		{ VM_ENTRY_LOAD_CET_STATE,		VM_EXIT_LOAD_CET_STATE },
	};
	struct vmx_msr_sample all = *IVY_BRIDGE;
	int i, side;

	all.entry_ctls |= high(U32_MAX);
	all.exit_ctls |= high(U32_MAX);

	for (i = 0; i < ARRAY_SIZE(pairs); i++) {
		for (side = 0; side < 2; side++) {
			struct vmx_msr_sample sample = all;
			struct vmcs_config conf, full;
			struct vmx_capability cap;

			if (side)
				sample.exit_ctls &= ~high(pairs[i].exit);
			else
				sample.entry_ctls &= ~high(pairs[i].entry);

			error_on_inconsistent_vmcs_config = true;
			KUNIT_EXPECT_EQ(test, 0, vmcs_config_from_sample(&full, &cap, &all));
			KUNIT_EXPECT_EQ(test, config_of(&sample), -EIO);

			error_on_inconsistent_vmcs_config = false;
			KUNIT_EXPECT_EQ(test, 0, vmcs_config_from_sample(&conf, &cap, &sample));
			KUNIT_EXPECT_EQ(test, conf.vmentry_ctrl,
					full.vmentry_ctrl & ~pairs[i].entry);
			KUNIT_EXPECT_EQ(test, conf.vmexit_ctrl,
					full.vmexit_ctrl & ~pairs[i].exit);
		}
	}
}

/* Controls that depend on another one, or on CPUID. */
static void msr_sample_test_dependencies(struct kunit *test)
{
	const u32 apicv = SECONDARY_EXEC_APIC_REGISTER_VIRT |
			  SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE |
			  SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY;
	struct vmx_msr_sample sample;
	struct vmx_capability cap;
	struct vmcs_config conf;

	/* Nothing is read from MSRs that do not exist. */
	sample = *IVY_BRIDGE;
	sample.procbased_ctls &= ~high(CPU_BASED_ACTIVATE_SECONDARY_CONTROLS);
	sample.ept_vpid_cap = 0;
	KUNIT_EXPECT_EQ(test, 0, vmcs_config_from_sample(&conf, &cap, &sample));
	KUNIT_EXPECT_EQ(test, conf.cpu_based_2nd_exec_ctrl, 0);

	sample = *IVY_BRIDGE;
	sample.procbased_ctls3 = U64_MAX;
	sample.procbased_ctls &= ~high(CPU_BASED_ACTIVATE_TERTIARY_CONTROLS);
	KUNIT_EXPECT_EQ(test, 0, vmcs_config_from_sample(&conf, &cap, &sample));
	KUNIT_EXPECT_EQ(test, conf.cpu_based_3rd_exec_ctrl, 0);

	sample.procbased_ctls |= high(CPU_BASED_ACTIVATE_TERTIARY_CONTROLS);
	KUNIT_EXPECT_EQ(test, 0, vmcs_config_from_sample(&conf, &cap, &sample));
	KUNIT_EXPECT_EQ(test, conf.cpu_based_3rd_exec_ctrl, TERTIARY_EXEC_IPI_VIRT);

	sample.procbased_ctls3 = 0;
	KUNIT_EXPECT_EQ(test, 0, vmcs_config_from_sample(&conf, &cap, &sample));
	KUNIT_EXPECT_EQ(test, conf.cpu_based_3rd_exec_ctrl, 0);

	/* Virtual interrupt delivery needs the TPR shadow, ... */
	sample = *IVY_BRIDGE;
	sample.procbased_ctls2 |= high(apicv);
	sample.pinbased_ctls |= high(PIN_BASED_POSTED_INTR);
	KUNIT_EXPECT_EQ(test, 0, vmcs_config_from_sample(&conf, &cap, &sample));
	KUNIT_EXPECT_EQ(test, conf.cpu_based_2nd_exec_ctrl & apicv, apicv);
	KUNIT_EXPECT_TRUE(test, conf.pin_based_exec_ctrl & PIN_BASED_POSTED_INTR);

	/* ... and posted interrupts need virtual interrupt delivery. */
	sample.procbased_ctls &= ~high(CPU_BASED_TPR_SHADOW);
	KUNIT_EXPECT_EQ(test, 0, vmcs_config_from_sample(&conf, &cap, &sample));
	KUNIT_EXPECT_EQ(test, conf.cpu_based_2nd_exec_ctrl & apicv, 0);
	KUNIT_EXPECT_FALSE(test, conf.pin_based_exec_ctrl & PIN_BASED_POSTED_INTR);

	/* ENCLS is intercepted if the CPU has SGX. */
	sample = *IVY_BRIDGE;
	sample.procbased_ctls2 |= high(SECONDARY_EXEC_ENCLS_EXITING);
	KUNIT_EXPECT_EQ(test, 0, vmcs_config_from_sample(&conf, &cap, &sample));
	KUNIT_EXPECT_FALSE(test, conf.cpu_based_2nd_exec_ctrl & SECONDARY_EXEC_ENCLS_EXITING);
	sample.sgx = 1;
	KUNIT_EXPECT_EQ(test, 0, vmcs_config_from_sample(&conf, &cap, &sample));
	KUNIT_EXPECT_TRUE(test, conf.cpu_based_2nd_exec_ctrl & SECONDARY_EXEC_ENCLS_EXITING);

	/* The timer is broken on Xeon E3-1220 V2, reserved bits ignored. */
	sample = *IVY_BRIDGE;
	sample.signature = 0x306a8 | 0xf000c000;
	KUNIT_EXPECT_EQ(test, 0, vmcs_config_from_sample(&conf, &cap, &sample));
	KUNIT_EXPECT_FALSE(test, conf.pin_based_exec_ctrl & PIN_BASED_VMX_PREEMPTION_TIMER);
}

/* Samples of a CPU that comes online. */
static void msr_sample_test_online(struct kunit *test)
{
	struct vmx_msr_sample sample = vmx_reference;

	require_vmx(test);

	KUNIT_EXPECT_EQ(test, vmx_check_sample(&sample), 0);

	/* Other than the reference, ... */
	sample.basic ^= 1;
	KUNIT_EXPECT_EQ(test, vmx_check_sample(&sample), -EIO);

	/* ... without a control that is required, ... */
	sample = vmx_reference;
	sample.pinbased_ctls &= ~both(PIN_BASED_NMI_EXITING);
	KUNIT_EXPECT_EQ(test, vmx_check_sample(&sample), -EIO);

	/* ... all MSRs read as 0, ... */
	memset(&sample, 0, sizeof(sample));
	KUNIT_EXPECT_EQ(test, vmx_check_sample(&sample), -EIO);

	/* ... and the other CPU again, as it should be. */
	sample = vmx_reference;
	KUNIT_EXPECT_EQ(test, vmx_check_sample(&sample), 0);
}

struct reads {
	struct task_struct *task;
	int nr;
};

/* Interrupts read MSRs in the context of the test, but not these. */
static void count_read(void *data, unsigned int msr, u64 val, int failed)
{
	struct reads *reads = data;

	if (current == reads->task &&
	    msr >= MSR_IA32_VMX_BASIC && msr <= MSR_IA32_VMX_PROCBASED_CTLS3)
		reads->nr++;
}

static void msr_sample_test_reads(struct kunit *test)
{
	struct reads reads = { .task = current };
	struct vmx_msr_sample sample;
	struct vmx_capability cap;
	struct vmcs_config conf;
	int nr_taken, i;

	require_vmx(test);
	if (register_trace_read_msr(count_read, &reads))
		kunit_skip(test, "no tracepoints");

	vmx_msr_sample_take(&sample);
	nr_taken = reads.nr;

	for (i = 0; i < ARRAY_SIZE(recorded); i++) {
		if (setup_vmcs_config(&conf, &cap, &recorded[i].sample))
			continue;
		nested_vmx_setup_ctls_msrs(&conf, cap.ept, &recorded[i].sample);
	}
	vmx_check_sample(&sample);

	unregister_trace_read_msr(count_read, &reads);
	tracepoint_synchronize_unregister();

	/* Those that always exist, and EPT_VPID_CAP. */
	KUNIT_EXPECT_GE(test, nr_taken, 11);
	KUNIT_EXPECT_EQ(test, reads.nr, nr_taken);
}

static bool saved_error_on_inconsistent;

static int msr_sample_test_init(struct kunit *test)
{
	saved_error_on_inconsistent = error_on_inconsistent_vmcs_config;
	return 0;
}

static void msr_sample_test_exit(struct kunit *test)
{
	error_on_inconsistent_vmcs_config = saved_error_on_inconsistent;
}

static struct kunit_case msr_sample_test_cases[] = {
	KUNIT_CASE(msr_sample_test_recorded),
	KUNIT_CASE(msr_sample_test_reference),
	KUNIT_CASE(msr_sample_test_take),
	KUNIT_CASE(msr_sample_test_nested),
	KUNIT_CASE(msr_sample_test_every_bit),
	KUNIT_CASE(msr_sample_test_all_differ),
	KUNIT_CASE(msr_sample_test_words),
	KUNIT_CASE(msr_sample_test_ept_message),
	KUNIT_CASE(msr_sample_test_verdicts),
	KUNIT_CASE(msr_sample_test_required),
	KUNIT_CASE(msr_sample_test_basic),
	KUNIT_CASE(msr_sample_test_inconsistent_caps),
	KUNIT_CASE(msr_sample_test_inconsistent_pairs),
	KUNIT_CASE(msr_sample_test_dependencies),
	KUNIT_CASE(msr_sample_test_online),
	KUNIT_CASE(msr_sample_test_reads),
	{}
};

static struct kunit_suite msr_sample_test_suite = {
	.name		= "kvm_vmx_msr_sample",
	.init		= msr_sample_test_init,
	.exit		= msr_sample_test_exit,
	.test_cases	= msr_sample_test_cases,
};

kunit_test_suite(msr_sample_test_suite);

MODULE_DESCRIPTION("KUnit tests of KVM's samples of VMX capabilities");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
