// SPDX-License-Identifier: GPL-2.0-only
/*
 * Boot Linux as a guest of KVM and watch its hypercalls.
 *
 * KVM is told not to rescue a guest that executes the wrong vendor's hypercall
 * instruction (KVM_X86_QUIRK_FIX_HYPERCALL_INSN), as it cannot rescue encrypted
 * guests either: one wrong instruction kills the guest.
 *
 * With CONFIG_KVM_GUEST_HYPERCALL_KUNIT_TEST the guest sends a known sequence of
 * requests before it has applied alternatives, to be compared with what arrives,
 * and its KUnit suites tell what it got back.  A guest of any other kernel is
 * made to call: it is stopped when it prints its first character and sent to a
 * call site (-s).
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

/* As in arch/x86/kernel/kvm_hypercall_early.c. */
static const struct {
	u64 gpa;
	u64 npages;
	u64 attrs;
} early_ranges[] = {
	{ 0x1000,		1,		KVM_MAP_GPA_RANGE_ENCRYPTED },
	{ 0x200000,		0x200,		KVM_MAP_GPA_RANGE_DECRYPTED },
	{ 0x40000000,		0x40000,	KVM_MAP_GPA_RANGE_ENCRYPTED },
	{ 0x123456789000,	0x100000001,	KVM_MAP_GPA_RANGE_DECRYPTED },
};

static bool quick, injected_only, dies;
static const char *show;

static const struct linux_guest_option own_options[] = {
	{ 'q', &quick, .help = "only boot with one and two vCPUs, on a host as it should be" },
	{ 'i', &injected_only, .help = "only execute the kernel's own call site early" },
	{ 'd', &dies, .help = "as -i, and the guest must die of it" },
	{ 'b', .text = &show, .arg = "TEXT",
	  .help = "only boot and print the lines of the console with TEXT" },
};

static struct linux_guest_options options = {
	.own = own_options,
	.nr_own = ARRAY_SIZE(own_options),
	.has_symbols = true,
	.max_modules = LINUX_GUEST_MAX_MODULES,
	.module_help = "modules to load in the guest, in this order",
	.seconds = 110,
};

struct call {
	u64 nr;
	u64 args[3];
	u64 flags;
};

/* What a scenario's guest did, and what it is made to do. */
struct watch {
	struct call calls[MAX_CALLS];
	int nr_calls;

	/* For a guest that is sent to a call site. */
	bool send;
	u64 site;
	int alternatives_patched;
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

static void offer_exit(struct kvm_vcpu *vcpu)
{
	vcpu_get_cpuid_entry(vcpu, KVM_CPUID_FEATURES_LEAF)->eax |=
		BIT(KVM_FEATURE_HC_MAP_GPA_RANGE);
	vcpu_set_cpuid(vcpu);
}

/* There is a KVM, but it offers nothing and does what it says. */
static void hide_features(struct kvm_vcpu *vcpu)
{
	vcpu_get_cpuid_entry(vcpu, KVM_CPUID_FEATURES_LEAF)->eax = 0;
	vcpu_set_cpuid(vcpu);
	vcpu_enable_cap(vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1);
}

static void set_vendor(struct kvm_vcpu *vcpu, const char *vendor, u32 family)
{
	static const u32 leaves[] = { 0, 0x80000000 };
	struct kvm_cpuid_entry2 *entry;
	int i;

	for (i = 0; i < ARRAY_SIZE(leaves); i++) {
		entry = vcpu_get_cpuid_entry(vcpu, leaves[i]);
		memcpy(&entry->ebx, vendor, 4);
		memcpy(&entry->edx, vendor + 4, 4);
		memcpy(&entry->ecx, vendor + 8, 4);
		vcpu_set_cpuid(vcpu);
	}
	entry = vcpu_get_cpuid_entry(vcpu, 1);
	entry->eax = family > 0xf ? (family - 0xf) << 20 | 0xf << 8 : family << 8;
	vcpu_set_cpuid(vcpu);
}

static void be_hygon(struct kvm_vcpu *vcpu)
{
	set_vendor(vcpu, "HygonGenuine", 0x18);
}

static void be_zhaoxin(struct kvm_vcpu *vcpu)
{
	set_vendor(vcpu, "  Shanghai  ", 7);
}

static void be_centaur(struct kvm_vcpu *vcpu)
{
	set_vendor(vcpu, "CentaurHauls", 7);
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
	bool quick;		/* also run with -q */
};

static const struct scenario scenarios[] = {
	{ "1 vCPU", 1, true, true, .offers_exit = true, .has_exit = true, .quick = true },
	{ "2 vCPUs", 2, true, true, .offers_exit = true, .has_exit = true, .quick = true },
	{ "no KVM in CPUID", 1, true, true, hide_kvm, .no_kvm = true, .has_exit = true },
	{ "no features, enforced", 1, true, true, hide_features },
	{ "an exit that is offered but absent", 1, true, true, .offers_exit = true, .lies = true },
	{ "Hygon", 1, true, false, be_hygon, "CPU0: Hygon",
	  .offers_exit = true, .has_exit = true },
	{ "Zhaoxin", 1, false, true, be_zhaoxin, "CPU0: zhaoxin",
	  .offers_exit = true, .has_exit = true },
	{ "Centaur", 1, false, true, be_centaur, "CPU0: Centaur",
	  .offers_exit = true, .has_exit = true },
};

/* In @function: what the kernel executes now if it makes a hypercall there. */
static u64 find_hypercall(struct linux_guest *guest, const char *function)
{
	u64 early = linux_guest_symbol(options.symbols, "kvm_early_hypercall", NULL);
	u64 end = 0, addr = linux_guest_symbol(options.symbols, function, &end);

	for (; addr && addr + 3 <= end; addr++) {
		const u8 *insn = linux_guest_kernel_hva(guest, addr);
		s32 offset;

		memcpy(&offset, insn + 1, sizeof(offset));
		if (early && insn[0] == 0xe8 && addr + 5 + offset == early)
			return addr;
		if (!early && insn[0] == 0x0f && insn[1] == 0x01 &&
		    (insn[2] == 0xc1 || insn[2] == 0xd9))
			return addr;
	}
	return 0;
}

/* The kernel sends IPIs by hypercall; an older one may not inline that. */
static u64 find_call_site(struct linux_guest *guest)
{
	u64 site = find_hypercall(guest, "__send_ipi_mask");

	site = site ?: find_hypercall(guest, "kvm_hypercall4");
	TEST_ASSERT(site, "There is no hypercall in __send_ipi_mask() of %s", options.kernel);
	return site;
}

/* The guest never gets back to what it was printing: one call is all we want. */
static void send_to_site(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	u64 patched = linux_guest_symbol(options.symbols, "alternatives_patched", NULL);
	struct watch *watch = guest->private;
	struct kvm_regs regs;

	memcpy(&watch->alternatives_patched, linux_guest_kernel_hva(guest, patched), sizeof(int));

	/* KVM is still to complete the instruction that made this exit. */
	vcpu_run_complete_io(vcpu);
	vcpu_regs_get(vcpu, &regs);
	regs.rip = find_call_site(guest);
	regs.rax = KVM_HC_MAP_GPA_RANGE;
	regs.rbx = early_ranges[0].gpa;
	regs.rcx = early_ranges[0].npages;
	regs.rdx = early_ranges[0].attrs;
	vcpu_regs_set(vcpu, &regs);
	watch->site = regs.rip;
}

static bool handle_exit(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	struct watch *watch = guest->private;
	struct kvm_run *run = vcpu->run;
	struct call *call;

	if (run->exit_reason == KVM_EXIT_IO && watch->send && !watch->site &&
	    run->io.port == 0x3f8 && run->io.direction == KVM_EXIT_IO_OUT) {
		send_to_site(guest, vcpu);
		return true;
	}
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
	if (watch->send)
		linux_guest_stop(guest, LINUX_GUEST_POWEROFF);
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

	guest = linux_guest_create(&params);
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

static void check_calls(const struct scenario *scenario, struct watch *watch)
{
	bool expected = scenario->has_exit && !scenario->no_kvm;
	int i;

	expect(watch->nr_calls == (expected ? ARRAY_SIZE(early_ranges) : 0),
	       "%d hypercalls arrived", watch->nr_calls);
	for (i = 0; i < min_t(int, watch->nr_calls, ARRAY_SIZE(early_ranges)); i++) {
		struct call *call = &watch->calls[i];

		expect(is_early_range(call, i),
		       "hypercall %d is %lu(0x%lx, 0x%lx, 0x%lx), flags 0x%lx", i, call->nr,
		       call->args[0], call->args[1], call->args[2], call->flags);
	}
}

/* Whether the guest has loaded one of these modules, as -m says. */
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

	ktap = linux_guest_ktap(guest, "kvm_hypercall");
	if (scenario->lies)
		expect(ktap.status == LINUX_GUEST_KTAP_FAILED && ktap.nr_failed == 2 &&
		       ktap.nr_passed == 2, "nothing failed in suite kvm_hypercall");
	else
		expect(ktap.status == LINUX_GUEST_KTAP_PASSED &&
		       ktap.nr_passed + ktap.nr_skipped == 4 &&
		       ktap.nr_skipped == (scenario->no_kvm ? 3 : 0),
		       "suite kvm_hypercall: status %d, %d passed, %d failed, %d skipped",
		       ktap.status, ktap.nr_passed, ktap.nr_failed, ktap.nr_skipped);
}

static bool boot(const struct scenario *scenario)
{
	struct watch watch = {};
	struct linux_guest *guest = create_guest(&watch, scenario);
	enum linux_guest_end end = linux_guest_run(guest, options.seconds);
	bool refused = !scenario->no_kvm && !scenario->has_exit;
	const char *splat = linux_guest_splat(guest);
	char modules[64], cpus[64];

	nr_failed = 0;
	about("%s", scenario->name);
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

	check_calls(scenario, &watch);
	check_suites(scenario, guest);
	expect(linux_guest_count(guest, "host does not take the encryption status") == refused,
	       "the guest must %s that the host refuses a hypercall",
	       refused ? "say once" : "not say");
	expect(linux_guest_count(guest, "too early for SEV-ES") == !scenario->no_kvm,
	       "the guest must say once that a hypercall was too early for SEV-ES");

	if (nr_failed)
		linux_guest_print_console(guest, 60);
	linux_guest_free(guest);
	return !nr_failed;
}

/*
 * Early in its boot Linux halts for good after an exception that it cannot fix.
 * On its stack is then what the CPU pushed: RIP and CS of the instruction.
 */
static bool died_of_exception_at(struct linux_guest *guest, u64 rip)
{
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
	for (i = 0; i < PAGE_SIZE / sizeof(*stack); i++) {
		if (stack[i] == rip && stack[i + 1] == LINUX_KERNEL_CS)
			return true;
	}
	return false;
}

/* The kernel's own call site, executed before alternatives are applied. */
static bool boot_and_send(void)
{
	static const struct scenario scenario = {
		"early call site", 1, .offers_exit = true, .has_exit = true
	};
	struct watch watch = { .send = true };
	struct linux_guest *guest = create_guest(&watch, &scenario);
	enum linux_guest_end end;

	nr_failed = 0;
	about("%s", scenario.name);
	end = linux_guest_run(guest, dies ? 20 : options.seconds);
	expect(watch.site, "the guest never printed anything, it ended by %s %s",
	       linux_guest_end_str(end), guest->error);
	expect(!watch.alternatives_patched, "alternatives were applied already");
	if (dies) {
		expect(!watch.nr_calls && end == LINUX_GUEST_TIMEOUT &&
		       died_of_exception_at(guest, watch.site),
		       "the guest did not die of an exception but ended by %s, %d hypercalls",
		       linux_guest_end_str(end), watch.nr_calls);
	} else {
		expect(watch.nr_calls == 1 && end == LINUX_GUEST_POWEROFF,
		       "%d hypercalls arrived from 0x%lx, the guest ended by %s%s", watch.nr_calls,
		       watch.site, linux_guest_end_str(end),
		       died_of_exception_at(guest, watch.site) ? ", dead of it" : "");
		expect(is_early_range(&watch.calls[0], 0), "its arguments are wrong");
	}
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
	return host_cpu_is_intel ? scenario->is_intel : scenario->is_amd;
}

int main(int argc, char *argv[])
{
	int i, nr_tests = 0;

	linux_guest_parse_options(&options, argc, argv);
	injected_only |= dies;
	linux_guest_require_kernel(&options);
	if (!show)
		linux_guest_require_symbols(&options);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_EXIT_HYPERCALL));
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_DISABLE_QUIRKS2) & KVM_X86_QUIRK_FIX_HYPERCALL_INSN);

	/* As of a distribution: its boots have nothing to tell of early requests. */
	if (!show && !injected_only &&
	    !linux_guest_symbol(options.symbols, "early_hypercalls", NULL)) {
		ksft_print_msg("%s is without CONFIG_KVM_GUEST_HYPERCALL_KUNIT_TEST: only -i\n",
			       options.kernel);
		injected_only = true;
	}

	for (i = 0; i < ARRAY_SIZE(scenarios); i++)
		nr_tests += is_wanted(&scenarios[i]);

	ksft_print_header();
	ksft_set_plan(show || injected_only ? 1 : nr_tests + 1);
	if (show) {
		ksft_test_result(boot_and_show(), "boot\n");
		ksft_finished();
	}

	ksft_test_result(boot_and_send(), "call site before alternatives are applied%s\n",
			 dies ? " kills the guest" : "");
	for (i = 0; i < ARRAY_SIZE(scenarios) && !injected_only; i++) {
		if (is_wanted(&scenarios[i]))
			ksft_test_result(boot(&scenarios[i]), "boot: %s\n", scenarios[i].name);
	}
	ksft_finished();
}
