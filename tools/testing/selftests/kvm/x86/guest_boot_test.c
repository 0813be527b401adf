// SPDX-License-Identifier: GPL-2.0-only
/*
 * Boot Linux as a guest of KVM and watch its hypercalls.
 *
 * KVM is told not to rescue a guest that executes the wrong vendor's hypercall
 * instruction (KVM_X86_QUIRK_FIX_HYPERCALL_INSN), as it cannot rescue encrypted
 * guests either: one wrong instruction kills the guest.
 *
 * A plain guest makes no hypercall before it has applied alternatives.  So it is
 * stopped when it prints its first character, and made to call the function by
 * which SEV guests report pages, with the arguments of a C function.  What arrives
 * is compared with them; then the guest boots on.
 */
#include <linux/kvm_para.h>

#include "expect.h"
#include "kvm_util.h"
#include "linux_guest.h"
#include "linux_guest_options.h"
#include "processor.h"
#include "test_util.h"

#define MAX_CALLS	32

#define LINUX_KERNEL_CS		0x10

#define KVM_CPUID_FEATURES_LEAF	(KVM_CPUID_SIGNATURE + 1)

#define SEV_LEAF		0x8000001f
#define SEV_LEAF_EAX		(BIT(X86_FEATURE_SEV.bit) | BIT(X86_FEATURE_SEV_ES.bit) | \
				 BIT(X86_FEATURE_SEV_SNP.bit))

/* enum cc_vendor in arch/x86/include/asm/coco.h */
#define CC_VENDOR_INTEL		2

/* How late CPU 0 of a guest is: longer than the interval of the watchdog of its clocks. */
#define LATE_US		600000
#define LATE_JIFFIES	1000

/* What kvm_send_ipi_mask() is to send, to CPU 0. */
#define IPI_VECTOR		0xf0

/* What the guest is made to report, in this order. */
static const struct {
	u64 gpa;
	u64 npages;
	u64 attrs;
} early_ranges[] = {
	{ 0x1000,		1,		KVM_MAP_GPA_RANGE_ENCRYPTED },
	{ 0x200000,		0x200,		KVM_MAP_GPA_RANGE_DECRYPTED },
	{ 0x40000000,		0x40000,	KVM_MAP_GPA_RANGE_ENCRYPTED },
	{ 0x123456789000,	INT_MAX,	KVM_MAP_GPA_RANGE_DECRYPTED },
};

static bool quick, dies;
static const char *show;

static const struct linux_guest_option own_options[] = {
	{ 'q', &quick, .help = "only boot with one and two vCPUs, on a host as it should be" },
	{ 'd', &dies, .help = "only send an IPI early, by VMCALL, and the guest must die of it" },
	{ 'b', .text = &show, .arg = "TEXT",
	  .help = "only boot and print the lines of the console with TEXT" },
};

static struct linux_guest_options options = {
	.own = own_options,
	.nr_own = ARRAY_SIZE(own_options),
	.has_symbols = true,
	.max_modules = LINUX_GUEST_MAX_MODULES,
	.module_help = "modules to load in the guest, in this order",
	.default_modules = { "arch/x86/mm/mem_encrypt_amd_test.ko",
			     "arch/x86/kernel/kvm_hypercall_test.ko" },
	.seconds = 110,
};

struct call {
	u64 nr;
	u64 args[3];
	u64 flags;
};

/* A function of the guest's kernel and its arguments. */
struct early_call {
	u64 function;
	u64 args[3];
};

/* What a scenario's guest did, and what it is made to do. */
struct watch {
	struct call calls[MAX_CALLS];
	int nr_calls;

	/* Functions to be called before alternatives are applied. */
	struct early_call early[ARRAY_SIZE(early_ranges)];
	int nr_early, nr_started, nr_returned;
	int alternatives_patched;

	/* The guest when it first printed, where, and its stack after a call. */
	bool has_printed;
	struct kvm_regs regs;
	u64 out;
	u64 rsp;

	/* To be written to the guest's cc_vendor then, or 0. */
	u32 cc_vendor;

	/* How often CPU 0 was late in multi_cpu_stop(). */
	int nr_late;
};

/* There is no KVM to be found. */
static void hide_kvm(struct kvm_vcpu *vcpu)
{
	struct kvm_cpuid_entry2 *entry = vcpu_get_cpuid_entry(vcpu, KVM_CPUID_SIGNATURE);

	entry->ebx = 0;
	entry->ecx = 0;
	entry->edx = 0;
	vcpu_set_cpuid(vcpu);
}

/* All that SEV guests look at before they report pages. */
static void offer_exit(struct kvm_vcpu *vcpu)
{
	vcpu_get_cpuid_entry(vcpu, KVM_CPUID_FEATURES_LEAF)->eax |=
		BIT(KVM_FEATURE_HC_MAP_GPA_RANGE) | BIT(KVM_FEATURE_MIGRATION_CONTROL);
	vcpu_set_cpuid(vcpu);
}

/* There is a KVM, but it offers nothing and does what it says. */
static void hide_features(struct kvm_vcpu *vcpu)
{
	vcpu_get_cpuid_entry(vcpu, KVM_CPUID_FEATURES_LEAF)->eax = 0;
	vcpu_set_cpuid(vcpu);
	vcpu_enable_cap(vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1);
}

static void be_hygon(struct kvm_vcpu *vcpu)
{
	linux_guest_set_cpu(vcpu, "HygonGenuine", 0x900f00);
}

static void be_zhaoxin(struct kvm_vcpu *vcpu)
{
	linux_guest_set_cpu(vcpu, "  Shanghai  ", 0x700);
}

static void be_centaur(struct kvm_vcpu *vcpu)
{
	linux_guest_set_cpu(vcpu, "CentaurHauls", 0x700);
}

/* What KVM says that it supports of SEV; returns what it has said before. */
static u32 set_supported_sev(u32 eax)
{
	struct kvm_cpuid_entry2 *entry;
	u32 old;

	entry = (void *)get_cpuid_entry(kvm_get_supported_cpuid(), SEV_LEAF, 0);
	old = entry->eax;
	entry->eax = eax;
	return old;
}

struct scenario {
	const char *name;
	int nr_vcpus;
	bool is_amd, is_intel;	/* hosts that it is for */
	void (*edit_cpuid)(struct kvm_vcpu *vcpu);
	const char *says;	/* a line that must be there */
	bool no_kvm;
	bool offers_exit;	/* in CPUID */
	bool has_exit;
	bool lies;		/* so that the guest's own tests must fail */
	bool sev_host;		/* KVM lists SEV for all guests */
	bool like_tdx;		/* the guest believes to be a TDX guest */
	bool late;		/* CPU 0, when all CPUs of the guest are to stop */
	bool quick;		/* also run with -q */
};

static const struct scenario scenarios[] = {
	{ "1 vCPU", 1, true, true, .offers_exit = true, .has_exit = true, .quick = true },
	{ "2 vCPUs", 2, true, true, .offers_exit = true, .has_exit = true, .quick = true },
	{ "2 vCPUs, one of them late in stop_machine()", 2, true, true, .late = true,
	  .offers_exit = true, .has_exit = true },
	{ "no KVM in CPUID", 1, true, true, hide_kvm, .no_kvm = true, .has_exit = true },
	{ "no features, enforced", 1, true, true, hide_features },
	{ "an exit that is offered but absent", 1, true, true, .offers_exit = true, .lies = true },
	{ "a host with SEV", 1, true, false, .sev_host = true,
	  .offers_exit = true, .has_exit = true },
	{ "memory encryption like TDX", 1, true, true, NULL,
	  "Memory Encryption Features active: Intel TDX", .like_tdx = true,
	  .offers_exit = true, .has_exit = true },
	{ "Hygon", 1, true, false, be_hygon, "CPU0: Hygon",
	  .offers_exit = true, .has_exit = true },
	{ "Zhaoxin", 1, false, true, be_zhaoxin, "CPU0: zhaoxin",
	  .offers_exit = true, .has_exit = true },
	{ "Centaur", 1, false, true, be_centaur, "CPU0: Centaur",
	  .offers_exit = true, .has_exit = true },
};

static u64 find_symbol(const char *symbol)
{
	return linux_guest_symbol(options.symbols, symbol);
}

/* At the first character: alternatives are not applied yet, interrupts are off. */
static bool begins_to_print(const struct watch *watch, const struct kvm_run *run)
{
	return !watch->has_printed && run->io.port == 0x3f8 &&
	       run->io.direction == KVM_EXIT_IO_OUT;
}

/* The function that was called has returned to the OUT instruction. */
static bool has_returned(const struct watch *watch, const struct kvm_regs *regs)
{
	return watch->nr_returned < watch->nr_started && regs->rip == watch->out &&
	       regs->rsp == watch->rsp;
}

static void begin_early_calls(struct linux_guest *guest, struct kvm_vcpu *vcpu,
			      const struct kvm_regs *regs)
{
	u64 patched = find_symbol("alternatives_patched");
	u64 vendor = find_symbol("cc_vendor");
	struct watch *watch = guest->private;

	memcpy(&watch->alternatives_patched, linux_guest_kernel_hva(guest, patched), sizeof(int));
	if (watch->cc_vendor)
		memcpy(linux_guest_kernel_hva(guest, vendor), &watch->cc_vendor, sizeof(u32));
	watch->has_printed = true;
	watch->out = regs->rip;
	watch->rsp = regs->rsp & ~0xful;
	vcpu_regs_get(vcpu, &watch->regs);
}

/*
 * Have the guest call functions of its kernel: the registers are set as if the OUT
 * instruction that prints a character had called them.  When they return there,
 * which makes another exit, all registers are set as they were.
 */
static bool make_early_calls(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	struct watch *watch = guest->private;
	const struct early_call *call;
	struct kvm_regs regs;

	vcpu_regs_get(vcpu, &regs);
	if (!begins_to_print(watch, vcpu->run) && !has_returned(watch, &regs))
		return false;

	/* KVM is still to complete the instruction; its character is lost. */
	vcpu_run_complete_io(vcpu);
	if (!watch->has_printed)
		begin_early_calls(guest, vcpu, &regs);
	watch->nr_returned = watch->nr_started;

	regs = watch->regs;
	if (watch->nr_started < watch->nr_early) {
		call = &watch->early[watch->nr_started++];
		regs.rsp = watch->rsp - sizeof(watch->out);
		memcpy(linux_guest_kernel_hva(guest, regs.rsp), &watch->out, sizeof(watch->out));
		regs.rip = call->function;
		regs.rdi = call->args[0];
		regs.rsi = call->args[1];
		regs.rdx = call->args[2];
	}
	vcpu_regs_set(vcpu, &regs);
	return true;
}

/* Have a CPU of the guest stop where it waits for others in multi_cpu_stop(), or not any more. */
static void break_in_stop_machine(struct kvm_vcpu *vcpu, bool on)
{
	struct kvm_guest_debug debug = {};

	if (on) {
		debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
		debug.arch.debugreg[0] = find_symbol("stop_machine_yield");
		debug.arch.debugreg[7] = 0x401;
		TEST_ASSERT(debug.arch.debugreg[0], "%s has no stop_machine_yield()",
			    options.kernel);
	}
	vcpu_guest_debug_set(vcpu, &debug);
}

/*
 * CPU 0 waits in multi_cpu_stop(), and is preempted there: when it goes on, a timer of the
 * guest has expired. At the second time CPU 0 has said that it is there, so that the other
 * CPU disables its interrupts meanwhile; CPU 0 is about to do so. Of the ticks that CPU 0
 * has missed, KVM delivers one: the others are added to what it has counted.
 */
static bool be_late(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	u64 symbol = find_symbol("jiffies_64"), jiffies;
	struct watch *watch = guest->private;
	struct kvm_regs regs;

	TEST_ASSERT(symbol, "%s has no jiffies_64", options.kernel);
	usleep(LATE_US);
	memcpy(&jiffies, linux_guest_kernel_hva(guest, symbol), sizeof(jiffies));
	jiffies += LATE_JIFFIES;
	memcpy(linux_guest_kernel_hva(guest, symbol), &jiffies, sizeof(jiffies));

	if (++watch->nr_late == 2) {
		break_in_stop_machine(vcpu, false);
	} else {
		vcpu_regs_get(vcpu, &regs);
		regs.rflags |= X86_EFLAGS_RF;
		vcpu_regs_set(vcpu, &regs);
	}
	return true;
}

static bool handle_exit(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	struct watch *watch = guest->private;
	struct kvm_run *run = vcpu->run;
	struct call *call;

	if (run->exit_reason == KVM_EXIT_DEBUG)
		return be_late(guest, vcpu);
	if (run->exit_reason == KVM_EXIT_IO)
		return make_early_calls(guest, vcpu);
	if (run->exit_reason != KVM_EXIT_HYPERCALL)
		return false;

	if (watch->nr_calls < MAX_CALLS) {
		call = &watch->calls[watch->nr_calls];
		call->nr = run->hypercall.nr;
		memcpy(call->args, run->hypercall.args, sizeof(call->args));
		call->flags = run->hypercall.flags;
	}
	watch->nr_calls++;
	run->hypercall.ret = 0;
	return true;
}

static struct linux_guest *create_guest(struct watch *watch, const struct scenario *scenario)
{
	char cmdline[1024] = "--", names[LINUX_GUEST_MAX_MODULES][64], init[PATH_MAX];
	struct linux_guest_file files[LINUX_GUEST_MAX_MODULES + 1];
	struct linux_guest_params params = {
		.kernel = options.kernel,
		.cmdline = cmdline,
		.files = files,
		.nr_vcpus = scenario->nr_vcpus,
	};
	struct linux_guest *guest;
	struct kvm_vcpu *vcpu;
	u32 sev = 0;
	int i;

	linux_guest_program(init, sizeof(init), "guest_init");
	files[params.nr_files++] = (struct linux_guest_file){ "init", init, .mode = 0755 };
	for (i = 0; i < options.nr_modules; i++) {
		const char *name = strrchr(options.modules[i], '/');

		name = name ? name + 1 : options.modules[i];
		snprintf(names[i], sizeof(names[i]), "modules/%s", name);
		strncat(cmdline, " ", sizeof(cmdline) - strlen(cmdline) - 1);
		strncat(cmdline, name, sizeof(cmdline) - strlen(cmdline) - 1);
		files[params.nr_files++] =
			(struct linux_guest_file){ names[i], options.modules[i], .mode = 0644 };
	}

	if (scenario->sev_host)
		sev = set_supported_sev(SEV_LEAF_EAX);
	guest = linux_guest_create(&params);
	if (scenario->sev_host)
		set_supported_sev(sev);
	guest->private = watch;
	guest->exit = handle_exit;
	vm_enable_cap(guest->vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_FIX_HYPERCALL_INSN);
	if (scenario->has_exit)
		vm_enable_cap(guest->vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));

	for (i = 0; i < guest->nr_vcpus; i++) {
		vcpu = guest->vcpus[i];
		if (scenario->offers_exit)
			offer_exit(vcpu);
		if (scenario->edit_cpuid)
			scenario->edit_cpuid(vcpu);
	}
	if (scenario->late)
		break_in_stop_machine(guest->vcpus[0], true);
	return guest;
}

static bool is_early_range(const struct call *call, int i)
{
	return call->nr == KVM_HC_MAP_GPA_RANGE &&
	       call->flags == KVM_EXIT_HYPERCALL_LONG_MODE &&
	       call->args[0] == early_ranges[i].gpa &&
	       call->args[1] == early_ranges[i].npages &&
	       call->args[2] == early_ranges[i].attrs;
}

/* The function of SEV guests, whose argument is the number of a page. */
static void report_early_ranges(struct watch *watch)
{
	u64 function = find_symbol("kvm_sev_hc_page_enc_status");
	int i;

	TEST_ASSERT(function, "%s cannot report pages", options.kernel);
	for (i = 0; i < ARRAY_SIZE(early_ranges); i++)
		watch->early[i] = (struct early_call) {
			function,
			{ early_ranges[i].gpa >> PAGE_SHIFT, early_ranges[i].npages,
			  early_ranges[i].attrs == KVM_MAP_GPA_RANGE_ENCRYPTED }
		};
	watch->nr_early = ARRAY_SIZE(early_ranges);
}

static void check_calls(const struct scenario *scenario, struct watch *watch)
{
	int i, expected = scenario->has_exit ? watch->nr_early : 0;

	expect(watch->has_printed && !watch->alternatives_patched,
	       "alternatives were applied already, or nothing was printed");
	expect(watch->nr_returned == watch->nr_early, "%d of %d early calls returned",
	       watch->nr_returned, watch->nr_early);
	expect(watch->nr_calls == expected, "%d hypercalls arrived", watch->nr_calls);
	for (i = 0; i < min(watch->nr_calls, expected); i++) {
		struct call *call = &watch->calls[i];

		expect(is_early_range(call, i),
		       "hypercall %d is %lu(0x%lx, 0x%lx, 0x%lx), flags 0x%lx", i, call->nr,
		       call->args[0], call->args[1], call->args[2], call->flags);
	}
}

/* Whether the guest has loaded this module, as -m says. */
static bool has_module(const char *file)
{
	int i;

	for (i = 0; i < options.nr_modules; i++) {
		const char *name = strrchr(options.modules[i], '/');

		if (!strcmp(name ? name + 1 : options.modules[i], file))
			return true;
	}
	return false;
}

static void check_suites(const struct scenario *scenario, struct linux_guest *guest)
{
	struct linux_guest_ktap ktap = linux_guest_ktap(guest, "sev_enc_dec");

	if (has_module("mem_encrypt_amd_test.ko"))
		expect(ktap.status == LINUX_GUEST_KTAP_PASSED && ktap.nr_passed && !ktap.nr_skipped,
		       "suite sev_enc_dec: status %d, %d passed, %d failed, %d skipped",
		       ktap.status, ktap.nr_passed, ktap.nr_failed, ktap.nr_skipped);
	if (!has_module("kvm_hypercall_test.ko"))
		return;

	ktap = linux_guest_ktap(guest, "kvm_hypercall");
	if (scenario->lies)
		expect(ktap.status == LINUX_GUEST_KTAP_FAILED && ktap.nr_failed == 1 &&
		       ktap.nr_passed == 1, "nothing failed in suite kvm_hypercall");
	else
		expect(ktap.status == LINUX_GUEST_KTAP_PASSED &&
		       ktap.nr_passed + ktap.nr_skipped == 2 &&
		       ktap.nr_skipped == (scenario->no_kvm ? 2 : 0),
		       "suite kvm_hypercall: status %d, %d passed, %d failed, %d skipped",
		       ktap.status, ktap.nr_passed, ktap.nr_failed, ktap.nr_skipped);
}

static bool boot(const struct scenario *scenario)
{
	struct watch watch = { .cc_vendor = scenario->like_tdx ? CC_VENDOR_INTEL : 0 };
	struct linux_guest *guest = create_guest(&watch, scenario);
	char modules[64], cpus[64];
	enum linux_guest_end end;
	const char *splat;
	bool refused;

	nr_failed = 0;
	about("%s", scenario->name);
	/* Nobody reports pages without KVM, or in a TDX guest. */
	if (!scenario->no_kvm && !scenario->like_tdx)
		report_early_ranges(&watch);
	refused = watch.nr_early && !scenario->has_exit;
	end = linux_guest_run(guest, options.seconds);
	splat = linux_guest_splat(guest);

	snprintf(modules, sizeof(modules), "guest_init: %d modules loaded", options.nr_modules);
	snprintf(cpus, sizeof(cpus), "guest_init: %d CPUs online", scenario->nr_vcpus);
	expect(end == LINUX_GUEST_RESET, "the guest ended by %s %s", linux_guest_end_str(end),
	       guest->error);
	expect(linux_guest_find(guest, "guest_init: done"), "PID 1 of the guest did not end");
	expect(linux_guest_find(guest, modules), "no line '%s'", modules);
	expect(linux_guest_find(guest, cpus), "no line '%s'", cpus);
	expect(!scenario->says || linux_guest_find(guest, scenario->says), "no line '%s'",
	       scenario->says);
	expect(!splat, "the guest's kernel says: %s", splat);

	expect(!scenario->late || watch.nr_late == 2, "CPU 0 was not late");
	check_calls(scenario, &watch);
	check_suites(scenario, guest);
	expect(linux_guest_count(guest, "host does not take the encryption status") == refused,
	       "the guest must %s that the host refuses a hypercall",
	       refused ? "say once" : "not say");
	if (nr_failed)
		linux_guest_print_console(guest, 60);
	linux_guest_free(guest);
	return !nr_failed;
}

/*
 * Early in its boot Linux halts for good after an exception that it cannot fix.
 * On its stack is then what the CPU pushed: RIP and CS of the instruction.
 */
static bool died_of_vmcall(struct linux_guest *guest)
{
	static const u8 vmcall[] = { 0x0f, 0x01, 0xc1 };
	struct kvm_vcpu *vcpu = guest->vcpus[0];
	struct kvm_mp_state state;
	struct kvm_regs regs;
	u64 *stack;
	int i;

	vcpu_mp_state_get(vcpu, &state);
	vcpu_regs_get(vcpu, &regs);
	if (state.mp_state != KVM_MP_STATE_HALTED || (regs.rflags & X86_EFLAGS_IF) ||
	    regs.rsp < LINUX_GUEST_KERNEL_MAP)
		return false;

	stack = linux_guest_kernel_hva(guest, regs.rsp);
	for (i = 0; i < PAGE_SIZE / sizeof(*stack) - 1; i++) {
		if (stack[i] >= LINUX_GUEST_KERNEL_MAP && stack[i + 1] == LINUX_KERNEL_CS &&
		    !memcmp(linux_guest_kernel_hva(guest, stack[i]), vmcall, sizeof(vmcall)))
			return true;
	}
	return false;
}

/* A kernel without the series, whose hypercalls are VMCALL until they are patched. */
static bool boot_and_die(void)
{
	static const struct scenario scenario = { "early VMCALL", 1 };
	struct watch watch = { .nr_early = 1 };
	struct linux_guest *guest = create_guest(&watch, &scenario);
	enum linux_guest_end end;

	nr_failed = 0;
	about("%s", scenario.name);
	watch.early[0] = (struct early_call) {
		find_symbol("kvm_send_ipi_mask"),
		{ find_symbol("__cpu_possible_mask"), IPI_VECTOR }
	};
	TEST_ASSERT(watch.early[0].function, "%s cannot send IPIs", options.kernel);
	end = linux_guest_run(guest, 20);
	expect(watch.has_printed && !watch.alternatives_patched,
	       "alternatives were applied already, or nothing was printed");
	expect(end == LINUX_GUEST_TIMEOUT && died_of_vmcall(guest),
	       "the guest did not die of VMCALL but ended by %s %s", linux_guest_end_str(end),
	       guest->error);
	linux_guest_free(guest);
	return !nr_failed;
}

/* For measurements: boot, load the modules, print the lines that are wanted. */
static bool boot_and_show(void)
{
	static const struct scenario scenario = { "show", 1 };
	struct watch watch = {};
	struct linux_guest *guest = create_guest(&watch, &scenario);
	enum linux_guest_end end = linux_guest_run(guest, options.seconds);
	const char *line = NULL;

	nr_failed = 0;
	about("%s", scenario.name);
	while ((line = linux_guest_next_line(guest, line))) {
		if (strstr(line, show))
			ksft_print_msg("%s\n", line);
	}
	expect(end == LINUX_GUEST_RESET, "the guest ended by %s", linux_guest_end_str(end));
	expect(linux_guest_find(guest, show), "no line with '%s'", show);
	if (nr_failed)
		linux_guest_print_console(guest, 60);
	linux_guest_free(guest);
	return !nr_failed;
}

static bool is_wanted(const struct scenario *scenario)
{
	if (quick && !scenario->quick)
		return false;
	if (scenario->sev_host && kvm_cpu_property(X86_PROPERTY_MAX_EXT_LEAF) < SEV_LEAF)
		return false;
	return host_cpu_is_intel ? scenario->is_intel : scenario->is_amd;
}

int main(int argc, char *argv[])
{
	int i, nr_tests = 0;

	linux_guest_parse_options(&options, argc, argv);
	linux_guest_require_kernel(&options);
	if (!show)
		linux_guest_require_symbols(&options);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_EXIT_HYPERCALL));
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_DISABLE_QUIRKS2) & KVM_X86_QUIRK_FIX_HYPERCALL_INSN);

	for (i = 0; i < ARRAY_SIZE(scenarios); i++)
		nr_tests += is_wanted(&scenarios[i]);

	ksft_print_header();
	ksft_set_plan(show || dies ? 1 : nr_tests);
	if (show) {
		ksft_test_result(boot_and_show(), "boot\n");
		ksft_finished();
	}

	if (dies) {
		ksft_test_result(boot_and_die(), "VMCALL kills the guest\n");
		ksft_finished();
	}

	for (i = 0; i < ARRAY_SIZE(scenarios); i++) {
		if (is_wanted(&scenarios[i]))
			ksft_test_result(boot(&scenarios[i]), "boot: %s\n", scenarios[i].name);
	}
	ksft_finished();
}
