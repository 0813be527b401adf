// SPDX-License-Identifier: GPL-2.0-only
/*
 * Boot Linux as a TD, and compare the pages that it has asked to share with those that it
 * maps as shared.  Nobody else can read its page tables, for which its kernel needs
 * /proc/kcore.
 */
#include <time.h>

#include "expect.h"
#include "kvm_util.h"
#include "linux_guest_options.h"
#include "linux_guest_tdx.h"
#include "linux_guest_virtio.h"
#include "processor.h"
#include "tdx.h"
#include "test_util.h"

/* For one kernel: a TD has to accept all memory, which takes most of its boot. */
#define GUEST_MEM_SIZE		SZ_128M
/* guest_init walks four levels of page tables. */
#define GUEST_CMDLINE		"swiotlb=4096 no5lvl "
#define DISK_SIZE		SZ_4M

/* Linux shares its swiotlb, what each driver needs, and nothing else. */
#define MAX_REQUESTS		30

/* How many requests are dropped. */
#define NR_DROPPED		120

#define STRESS			"mem_encrypt_stress.ko"

static bool quick;

static const struct linux_guest_option own_options[] = {
	{ 'q', &quick, .help = "only boot it" },
};

static struct linux_guest_options options = {
	.own = own_options,
	.nr_own = ARRAY_SIZE(own_options),
	.has_symbols = true,
	.max_modules = 1,
	.module_help = STRESS ", which stresses private and shared memory",
	.default_modules = { "arch/x86/mm/mem_encrypt_stress.ko" },
	.seconds = 110,
};

struct scenario {
	const char *name;
	int nr_vcpus;
	const char *cmdline;	/* what is behind "--" are the steps of guest_init */
	bool quick;
	int gpaw;
	bool stress;		/* needs the module */
	bool drop;
	bool host_stress;
	int nr_quotes;
	bool dies;		/* before PID 1 is done */
	bool sept_ve;
	const char *message;	/* of a fatal error */
	const char *says;
};

static const struct scenario scenarios[] = {
	{
		.name = "1 vCPU, quotes",
		.nr_vcpus = 1,
		.cmdline = "-- quote quote",
		.quick = true,
		.nr_quotes = 2,
	}, {
		.name = "2 vCPUs",
		.nr_vcpus = 2,
		.cmdline = "--",
		.quick = true,
	}, {
		.name = "52 bits of an address",
		.nr_vcpus = 1,
		.cmdline = "--",
		.gpaw = 52,
	}, {
		.name = "2 vCPUs, disk, CPU hotplug, memory pressure",
		.nr_vcpus = 2,
		.cmdline = "swiotlb=force " LINUX_GUEST_DISK_CMDLINE
			   "-- " STRESS " disk offline online pressure disk unload disk",
		.stress = true,
		.says = "mem_encrypt_stress: stopped after",
	}, {
		.name = "panic",
		.nr_vcpus = 2,
		.cmdline = "-- panic",
		.dies = true,
		.says = "Kernel panic - not syncing: Attempted to kill init!",
	}, {
		/* Linux ends before it can print. */
		.name = "fatal error",
		.nr_vcpus = 1,
		.cmdline = "--",
		.sept_ve = true,
		.message = "TD misconfiguration: SEPT #VE has to be disabled",
	}, {
		.name = "a request is dropped",
		.nr_vcpus = 1,
		.cmdline = "-- " STRESS ",conversions=1 wait unload",
		.stress = true,
		.drop = true,
		.says = "mem_encrypt_stress: stopped after",
	}, {
		.name = "conversions during changes of memslots",
		.nr_vcpus = 2,
		.cmdline = "-- " STRESS ",conversions=1 wait unload",
		.stress = true,
		.host_stress = true,
		.says = "mem_encrypt_stress: stopped after",
	},
};

struct watch {
	const struct scenario *scenario;
	struct linux_guest_tdx *td;
	struct timespec start;
	u64 nr_shared;
};

static void compare(struct watch *watch, const char *when)
{
	struct linux_guest *guest = watch->td->guest;
	struct linux_guest_shared_diff diff;

	diff = linux_guest_compare_shared(guest, guest->shared->told, 0, 0);
	expect(diff.nr_shared && !diff.nr_missing && !diff.nr_stale,
	       "%s: of %lu shared pages %lu weren't asked for, %lu are private by now, from 0x%lx",
	       when, diff.nr_shared, diff.nr_missing, diff.nr_stale, diff.first);
	watch->nr_shared = diff.nr_shared;
}

/* guest_init says what it is about to do: all that was before has been done. */
static void watch_line(struct linux_guest *guest, const char *line)
{
	struct linux_guest_shared *shared = guest->shared;
	struct linux_guest_tdx *td = guest->private;
	struct watch *watch = td->private;
	const struct scenario *scenario = watch->scenario;
	struct timespec elapsed;
	int nr_cpus;

	line = strstr(line, "guest_init: ");
	if (!line || linux_guest_told_shared(guest, line))
		return;

	/* Each thread has its own. */
	about("%s", scenario->name);
	pthread_mutex_lock(&td->lock);
	if (strstr(line, "CPUs online")) {
		elapsed = timespec_elapsed(watch->start);
		ksft_print_msg("%s: userspace after %ld.%ld s, %d requests\n", scenario->name,
			       elapsed.tv_sec, elapsed.tv_nsec / 100000000, shared->nr_requests);
		expect(sscanf(line, "guest_init: %d", &nr_cpus) == 1 &&
		       nr_cpus == guest->nr_vcpus, "%d vCPUs, but %s", guest->nr_vcpus, line);
		expect(shared->nr_requests <= MAX_REQUESTS, "%d requests", shared->nr_requests);
	}
	/* While the module converts memory the guest is not at rest. */
	if (shared->has_told &&
	    (!strstr(scenario->cmdline, "conversions") || strstr(line, "CPUs online") ||
	     strstr(line, "guest_init: done")))
		compare(watch, line);
	linux_guest_forget_shared(guest);
	if (strstr(line, "modules loaded"))
		guest->wait = scenario->drop || scenario->host_stress;
	/* The module accesses what it has converted, at once. */
	if (scenario->drop && strstr(line, "modules loaded"))
		shared->nr_to_drop = NR_DROPPED;
	pthread_mutex_unlock(&td->lock);
}

static void create_guest(struct watch *watch, const struct scenario *scenario)
{
	u64 page_tables = linux_guest_symbol(options.symbols, "init_top_pgt") -
			  linux_guest_symbol(options.symbols, "_text");
	int gpaw = scenario->gpaw ?: 48;
	struct linux_guest_file files[2];
	char init[PATH_MAX], cmdline[512];
	struct linux_guest_params params = {
		.kernel = options.kernel,
		.cmdline = cmdline,
		.files = files,
		.nr_vcpus = scenario->nr_vcpus,
		.mem_size = GUEST_MEM_SIZE,
		.gpaw = gpaw,
		.td_sept_ve = scenario->sept_ve,
	};
	struct linux_guest_disk *disk;

	snprintf(cmdline, sizeof(cmdline), GUEST_CMDLINE "%s page_tables=0x%lx shared_bit=%d",
		 scenario->cmdline, page_tables, gpaw - 1);
	linux_guest_program(init, sizeof(init), "guest_init");
	files[params.nr_files++] = (struct linux_guest_file){ "init", init, .mode = 0755 };
	if (scenario->stress)
		files[params.nr_files++] = (struct linux_guest_file){
			"modules/" STRESS, options.modules[0], .mode = 0644 };

	watch->td = linux_guest_tdx_create(&params);
	watch->td->private = watch;
	watch->td->guest->line = watch_line;
	if (strstr(scenario->cmdline, LINUX_GUEST_DISK_CMDLINE)) {
		disk = linux_guest_add_disk(watch->td->guest, DISK_SIZE);
		disk->may_access = linux_guest_is_shared;
	}
}

static void check_boot(struct watch *watch, enum linux_guest_end end)
{
	const struct scenario *scenario = watch->scenario;
	struct linux_guest_tdx *td = watch->td;
	struct linux_guest *guest = td->guest;
	struct linux_guest_shared *shared = guest->shared;
	const char *splat = linux_guest_splat(guest);
	char quote[128];

	if (scenario->message) {
		expect(td->has_failed && !td->error_code &&
		       !strcmp(td->message, scenario->message),
		       "the guest ended by %s %s, not by '%s'", linux_guest_end_str(end),
		       guest->error, scenario->message);
		return;
	}
	expect(end == LINUX_GUEST_RESET, "the guest ended by %s %s", linux_guest_end_str(end),
	       guest->error);
	expect(linux_guest_count(guest, "Memory Encryption Features active: Intel TDX") == 1,
	       "TDX isn't active");
	expect(scenario->dies || linux_guest_find(guest, "guest_init: done"),
	       "PID 1 of the guest did not end");
	expect(!linux_guest_count(guest, " failed, errno "), "a step failed");
	expect(!linux_guest_count(guest, "Failed to hand over CPU"), "a CPU was not given back");
	expect(!splat == !scenario->dies, "the guest's kernel says: %s", splat);
	expect(watch->nr_shared, "the guest does not tell what it shares");
	expect(!scenario->says ||
	       (linux_guest_count(guest, scenario->says) == 1 &&
		(!scenario->stress || linux_guest_find(guest, " rounds, 0 errors"))),
	       "not one line '%s'", scenario->says);
	snprintf(quote, sizeof(quote),
		 "quote: 636 bytes, attributes 0x%llx, xfam 0x3, a digest, from tdx_guest",
		 TD_ATTR_SEPT_VE_DISABLE);
	expect(td->nr_quotes == scenario->nr_quotes &&
	       linux_guest_count(guest, quote) == scenario->nr_quotes,
	       "%d quotes were made, and not %d lines '%s'", td->nr_quotes, scenario->nr_quotes,
	       quote);
	if (scenario->drop)
		expect(shared->nr_dropped == NR_DROPPED &&
		       shared->nr_noticed == shared->nr_dropped,
		       "of %d requests that were dropped, %d were noticed", shared->nr_dropped,
		       shared->nr_noticed);
}

static bool boot(const struct scenario *scenario)
{
	struct watch _watch = { .scenario = scenario }, *watch = &_watch;
	struct linux_guest_shared *shared;
	struct linux_guest *guest;
	enum linux_guest_end end;
	pthread_t thread;

	nr_failed = 0;
	about("%s", scenario->name);
	clock_gettime(CLOCK_MONOTONIC, &watch->start);
	create_guest(watch, scenario);
	guest = watch->td->guest;
	shared = guest->shared;
	if (scenario->host_stress)
		TEST_ASSERT(!pthread_create(&thread, NULL, linux_guest_stress_host, guest),
			    "No thread for the host's stress");
	end = linux_guest_run(guest, options.seconds);
	if (scenario->host_stress) {
		expect(guest->nr_host_rounds == LINUX_GUEST_HOST_ROUNDS, "the guest did not wait");
		/* It waits if the guest has died before. */
		guest->wait = true;
		pthread_join(thread, NULL);
	}
	check_boot(watch, end);

	ksft_print_msg("%s: %d steps, %d requests, %lu pages shared at the end",
		       scenario->name, linux_guest_count(guest, "guest_init: step"),
		       shared->nr_requests, watch->nr_shared);
	if (scenario->drop)
		printf(", %d of %d dropped ones noticed", shared->nr_noticed, shared->nr_dropped);
	printf("\n");
	if (nr_failed)
		linux_guest_print_console(guest, 60);
	linux_guest_tdx_free(watch->td);
	return !nr_failed;
}

static bool is_wanted(const struct scenario *scenario)
{
	return !quick || scenario->quick;
}

int main(int argc, char *argv[])
{
	int i, nr_tests = 0;

	linux_guest_parse_options(&options, argc, argv);
	linux_guest_require_kernel(&options);
	__TEST_REQUIRE(is_tdx_enabled(), "KVM has no TDs");
	linux_guest_require_symbols(&options);

	ksft_print_header();
	for (i = 0; i < ARRAY_SIZE(scenarios); i++)
		nr_tests += is_wanted(&scenarios[i]);
	ksft_set_plan(nr_tests);
	for (i = 0; i < ARRAY_SIZE(scenarios); i++) {
		if (!is_wanted(&scenarios[i]))
			continue;
		if (scenarios[i].stress && !options.nr_modules)
			ksft_test_result_skip("%s: no module\n", scenarios[i].name);
		else if (scenarios[i].gpaw && !is_gpaw_supported(scenarios[i].gpaw))
			ksft_test_result_skip("%s: no 5-level EPT\n", scenarios[i].name);
		else
			ksft_test_result(boot(&scenarios[i]), "%s\n", scenarios[i].name);
	}
	ksft_finished();
}
