// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a Linux guest writes to MSR_KVM_MIGRATION_CONTROL, and when.
 *
 * The guest takes CPU 1 offline and online, hibernates up to where the last CPU
 * is suspended, starts another kernel by kexec, crashes, and reboots.  None but
 * the last four may clear the MSR, each once.
 *
 * Only an SEV guest sets it, see sev_guest_test.c.
 */
#include <linux/kvm_para.h>

#include "expect.h"
#include "kvm_util.h"
#include "linux_guest.h"
#include "linux_guest_options.h"
#include "processor.h"
#include "test_util.h"

#define MAX_WRITES	64
#define NR_VCPUS	2

#define KVM_CPUID_FEATURES_LEAF	(KVM_CPUID_SIGNATURE + 1)

/*
 * For two kernels at a time, one of them in memory that the other reserves, and
 * for a copy of what one uses: with KASAN, 768 MiB are 63 too little for that.
 */
#define GUEST_MEM_SIZE	SZ_1G
/*
 * kexec leaves the APIC enabled.  If it is an x2APIC and there is no ACPI, the
 * next kernel has no driver for it yet when the first asynchronous #PF arrives.
 */
#define CMDLINE		"retain_initrd crashkernel=192M nox2apic -- "

static bool defective;

static const struct linux_guest_option own_options[] = {
	{ 'd', &defective, .help = "the kernel takes the MSR for one of each CPU" },
};

static struct linux_guest_options options = {
	.own = own_options,
	.nr_own = ARRAY_SIZE(own_options),
	.seconds = 110,
};

struct write {
	char step[32];
	u64 value;
};

struct watch {
	bool refuse;
	/* Written by the guest's console, read by whichever vCPU exits. */
	pthread_mutex_t lock;
	char step[32];
	struct write writes[MAX_WRITES];
	int nr_writes;
};

/* How often 0 is written in one step. */
struct expected {
	const char *step;
	int cleared;
};

struct scenario {
	const char *name;
	const char *steps;
	bool absent;		/* in CPUID */
	bool refuse;
	bool crashes;
	const char *says;
	struct expected expected[8];
	/* What kernels do that take the MSR for one of each CPU. */
	struct expected defective[8];
};

static const struct scenario scenarios[] = {
	{
		.name = "never allowed",
		.steps = "offline online hibernate kexec",
		.expected = { { "hibernate", 1 }, { "kexec", 1 }, { "reboot", 1 } },
		.defective = { { "offline", 1 }, { "hibernate", 2 }, { "kexec", 2 },
			       { "reboot", 2 } },
	}, {
		.name = "crash",
		.steps = "crash",
		.crashes = true,
		.expected = { { "crash", 1 }, { "reboot", 1 } },
	}, {
		.name = "refused by the host",
		.steps = "offline online",
		.refuse = true,
		.says = "host refuses 0x0 in MSR_KVM_MIGRATION_CONTROL",
		.expected = { { "reboot", 1 } },
	}, {
		.name = "not offered in CPUID",
		.steps = "offline online",
		.absent = true,
	},
};

/* PID 1 says which step it takes before it does. */
static void watch_line(struct linux_guest *guest, const char *line)
{
	struct watch *watch = guest->private;
	const char *says = strstr(line, "guest_init: ");
	char step[32];

	if (!says)
		return;
	says += strlen("guest_init: ");
	if (!strncmp(says, "done", 4))
		strcpy(step, "reboot");
	else if (sscanf(says, "step %31s", step) != 1)
		return;

	pthread_mutex_lock(&watch->lock);
	strcpy(watch->step, step);
	pthread_mutex_unlock(&watch->lock);
}

static bool handle_exit(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	struct watch *watch = guest->private;
	struct kvm_run *run = vcpu->run;
	struct write *write;

	if (run->exit_reason != KVM_EXIT_X86_WRMSR ||
	    run->msr.index != MSR_KVM_MIGRATION_CONTROL)
		return false;

	pthread_mutex_lock(&watch->lock);
	if (watch->nr_writes < MAX_WRITES) {
		write = &watch->writes[watch->nr_writes++];
		strcpy(write->step, watch->step);
		write->value = run->msr.data;
	}
	pthread_mutex_unlock(&watch->lock);
	run->msr.error = watch->refuse;
	return true;
}

static struct linux_guest *create_guest(struct watch *watch, const struct scenario *scenario)
{
	char cmdline[512] = CMDLINE, init[PATH_MAX];
	struct linux_guest_file files[2];
	struct linux_guest_params params = {
		.kernel = options.kernel,
		.cmdline = cmdline,
		.files = files,
		.nr_vcpus = NR_VCPUS,
		.mem_size = GUEST_MEM_SIZE,
	};
	struct linux_guest *guest;
	int i;

	linux_guest_program(init, sizeof(init), "guest_init");
	files[params.nr_files++] = (struct linux_guest_file){ "init", init, .mode = 0755 };
	files[params.nr_files++] =
		(struct linux_guest_file){ "kernel", options.kernel, .mode = 0644 };
	strcat(cmdline, scenario->steps);

	guest = linux_guest_create(&params);
	guest->private = watch;
	guest->exit = handle_exit;
	guest->line = watch_line;
	linux_guest_filter_msr(guest, MSR_KVM_MIGRATION_CONTROL, KVM_MSR_FILTER_WRITE);
	for (i = 0; i < guest->nr_vcpus && !scenario->absent; i++) {
		vcpu_get_cpuid_entry(guest->vcpus[i], KVM_CPUID_FEATURES_LEAF)->eax |=
			BIT(KVM_FEATURE_MIGRATION_CONTROL);
		vcpu_set_cpuid(guest->vcpus[i]);
	}
	return guest;
}

static int count_writes(const struct watch *watch, const char *step, u64 value)
{
	int i, nr = 0;

	for (i = 0; i < watch->nr_writes; i++)
		nr += !strcmp(watch->writes[i].step, step) && watch->writes[i].value == value;
	return nr;
}

static void check_writes(const struct scenario *scenario, const struct watch *watch)
{
	const struct expected *expected = defective ? scenario->defective : scenario->expected;
	int i, nr_expected = 0;

	for (; expected->step; expected++) {
		int cleared = count_writes(watch, expected->step, 0);

		expect(cleared == expected->cleared, "%s: cleared %d times for %d",
		       expected->step, cleared, expected->cleared);
		nr_expected += expected->cleared;
	}
	expect(watch->nr_writes == nr_expected, "%d writes for %d", watch->nr_writes, nr_expected);
	for (i = 0; i < watch->nr_writes && nr_failed; i++)
		ksft_print_msg("  write of 0x%lx: %s\n", watch->writes[i].value,
			       watch->writes[i].step);
}

static bool boot(const struct scenario *scenario)
{
	bool restarts = scenario->crashes || strstr(scenario->steps, "kexec");
	struct watch watch = { .refuse = scenario->refuse, .step = "boot" };
	struct linux_guest *guest;
	enum linux_guest_end end;
	const char *splat;

	nr_failed = 0;
	about("%s", scenario->name);
	pthread_mutex_init(&watch.lock, NULL);
	guest = create_guest(&watch, scenario);
	end = linux_guest_run(guest, options.seconds);
	splat = linux_guest_splat(guest);

	expect(end == LINUX_GUEST_RESET, "the guest ended by %s %s", linux_guest_end_str(end),
	       guest->error);
	expect(linux_guest_find(guest, "guest_init: done"), "PID 1 of the guest did not end");
	expect(linux_guest_count(guest, "CPUs online") == 1 + restarts, "%d kernels were started",
	       linux_guest_count(guest, "CPUs online"));
	expect(!linux_guest_count(guest, " failed, errno "), "a step failed");
	expect(scenario->crashes || !splat, "the guest's kernel says: %s", splat);
	expect(!scenario->says || linux_guest_count(guest, scenario->says) == 1,
	       "not one line '%s'", scenario->says);
	check_writes(scenario, &watch);

	if (nr_failed)
		linux_guest_print_console(guest, 60);
	linux_guest_free(guest);
	return !nr_failed;
}

static bool is_wanted(const struct scenario *scenario)
{
	return !defective || scenario->defective[0].step;
}

int main(int argc, char *argv[])
{
	int i, nr_tests = 0;

	linux_guest_parse_options(&options, argc, argv);
	linux_guest_require_kernel(&options);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_USER_SPACE_MSR));
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_MSR_FILTER));

	for (i = 0; i < ARRAY_SIZE(scenarios); i++)
		nr_tests += is_wanted(&scenarios[i]);

	ksft_print_header();
	ksft_set_plan(nr_tests);
	for (i = 0; i < ARRAY_SIZE(scenarios); i++) {
		const struct scenario *scenario = &scenarios[i];

		if (is_wanted(scenario))
			ksft_test_result(boot(scenario), "%s\n", scenario->name);
	}
	ksft_finished();
}
