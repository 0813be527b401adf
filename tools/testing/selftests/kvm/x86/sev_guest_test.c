// SPDX-License-Identifier: GPL-2.0-only
/*
 * Boot Linux as an SEV guest, with or without SEV, and compare the pages that it
 * says it shares with the pages that it does share, by its own page tables.  An SNP
 * guest has to read these itself, for which its kernel needs /proc/kcore.
 */
#include <linux/kvm_para.h>
#include <time.h>

#include "expect.h"
#include "kvm_util.h"
#include "linux_guest_options.h"
#include "linux_guest_sev.h"
#include "linux_guest_virtio.h"
#include "processor.h"
#include "sev.h"
#include "test_util.h"

/* For two kernels and a swiotlb. */
#define GUEST_MEM_SIZE		(SZ_256M + SZ_128M)
/* For one kernel: an SNP guest has to accept all memory, which takes most of its boot. */
#define SNP_GUEST_MEM_SIZE	SZ_128M
#define SNP_GUEST_CMDLINE	"swiotlb=4096 "
#define DISK_SIZE		SZ_4M

#define MAX_REQUESTS_PER_BOOT	60
/* Without GHCB, Linux shares the 2 MiB of .bss..decrypted page by page. */
#define MAX_SNP_REQUESTS_PER_BOOT	(MAX_REQUESTS_PER_BOOT + 512)

/* How many requests are dropped. */
#define NR_DROPPED		120

/* In the memory of guest_init's step "plug". */
#define PLUGGED_GPA		(SZ_128M + SZ_1M)

/* How often the host is busy before it takes a request. */
#define NR_BUSY			5

/* Linux gives up a request after so many repetitions. */
#define NR_RETRIES		10000

/* GHCB specification, Termination Request: Linux's reason for a page state change */
#define TERMINATED_BY_PSC	(GHCB_MSR_TERM_REQ | 1 << 12 | 1 << 16)

#define STRESS			"mem_encrypt_stress.ko"
#define HYPERCALLS		"kvm_hypercall_test.ko"

static bool defective, real, es, snp, quick;

static const struct linux_guest_option own_options[] = {
	{ 'd', &defective,
	  .help = "the kernel reports page by page, and what it shares as private; only boot it" },
	{ 'r', &real, .help = "an SEV guest with encrypted memory" },
	{ 'e', &es, .help = "the same, whose registers are encrypted as well (SEV-ES)" },
	{ 'n', &snp, .help = "the same, whose memory nobody else can change (SEV-SNP)" },
	{ 'q', &quick, .help = "only what takes seconds: boot with one vCPU and with two" },
};

static struct linux_guest_options options = {
	.own = own_options,
	.nr_own = ARRAY_SIZE(own_options),
	.has_symbols = true,
	.max_modules = 2,
	.module_help = STRESS ", which stresses private and shared memory, or " HYPERCALLS
		       ", KUnit's suite of hypercalls",
	.default_modules = { "arch/x86/mm/mem_encrypt_stress.ko",
			     "arch/x86/kernel/kvm_hypercall_test.ko" },
	.seconds = 110,
};

struct scenario {
	const char *name;
	int nr_vcpus;
	const char *cmdline;	/* what is behind "--" are the steps of guest_init */
	int nr_kernels;
	bool quick;		/* by -q too */
	const char *module;	/* that it needs */
	bool drop;
	bool host_stress;
	bool busy;
	bool always_busy;
	bool plugged;		/* memory of which a page is listed as shared */
	int nr_kept;		/* kernels that do not allow the migration */
	int nr_cleared;		/* by other steps than the start and the end of a kernel */
	bool no_es;		/* not with encrypted registers */
	bool no_snp;
	u64 snp_mem_size;	/* if it is more than usual */
	bool snp;		/* only an SNP guest */
	bool no_coco_exits;	/* the exits that KVM has without KVM_CAP_COCO_EXITS */
	bool no_exits;		/* nor these */
	bool exits_end;		/* with the first request for more than a page */
	bool dies;		/* before PID 1 is done */
	bool reports;		/* what the security processor says about it */
	bool intel;		/* in CPUID, which the VMM chooses */
	const char *says;
};

static const struct scenario scenarios[] = {
	{
		.name = "1 vCPU",
		.quick = true,
		.nr_vcpus = 1,
		.cmdline = "--",
		.nr_kernels = 1,
	}, {
		.name = "KVM_EXIT_HYPERCALL",
		.nr_vcpus = 2,
		.cmdline = "-- " STRESS ",conversions=1 offline online unload",
		.nr_kernels = 1,
		.module = STRESS,
		.snp = true,
		.no_coco_exits = true,
		.says = "mem_encrypt_stress: stopped after",
	}, {
		.name = "attestation report",
		.quick = true,
		.nr_vcpus = 1,
		.cmdline = "-- report",
		.nr_kernels = 1,
		.snp = true,
		.reports = true,
	}, {
		.name = "panic",
		.nr_vcpus = 2,
		.cmdline = "-- panic",
		.nr_kernels = 1,
		.snp = true,
		.dies = true,
		.says = "Kernel panic - not syncing: Attempted to kill init!",
	}, {
		.name = "hypercalls",
		.nr_vcpus = 2,
		.cmdline = "-- " HYPERCALLS,
		.nr_kernels = 1,
		.module = HYPERCALLS,
	}, {
		.name = "Intel in CPUID",
		.nr_vcpus = 1,
		.cmdline = "--",
		.nr_kernels = 1,
		.intel = true,
		/* Linux reads an MSR of Intel's before it can handle #VC for that. */
		.no_es = true,
	}, {
		.name = "2 vCPUs, disk, CPU hotplug, memory pressure",
		.quick = true,
		.nr_vcpus = 2,
		.cmdline = "swiotlb=force " LINUX_GUEST_DISK_CMDLINE
			   "-- " STRESS " disk offline online pressure disk unload disk",
		.nr_kernels = 1,
		.module = STRESS,
		.says = "mem_encrypt_stress: stopped after",
	}, {
		/* See guest_migration_ready_test.c for nox2apic. */
		.name = "kexec",
		.nr_vcpus = 2,
		.cmdline = "swiotlb=force retain_initrd nox2apic " LINUX_GUEST_DISK_CMDLINE
			   "-- disk kexec",
		.nr_kernels = 2,
		/* Only EFI firmware tells the second kernel where the page of CPUID is. */
		.no_snp = true,
		/* The second one cannot know that there is no EFI firmware. */
		.nr_kept = 1,
		.says = "no live migration: kexec has not passed on",
	}, {
		.name = "hibernation, without an image",
		.nr_vcpus = 2,
		.cmdline = "-- offline online hibernate",
		.nr_kernels = 1,
		.nr_cleared = 1,
	}, {
		/* The low memory that the library makes ends within a page as well. */
		.name = "memory that does not end with a page",
		.nr_vcpus = 1,
		.cmdline = "memmap=1K$0xc000200 --",
		.nr_kernels = 1,
		.snp_mem_size = SZ_256M,
	}, {
		.name = "memory that is plugged in",
		.nr_vcpus = 1,
		.cmdline = "memmap=128M%0x8000000-1 -- plug pressure",
		.nr_kernels = 1,
		.plugged = true,
		.snp_mem_size = SZ_256M,
	}, {
		.name = "nopat",
		.nr_vcpus = 1,
		.cmdline = "nopat --",
		.nr_kernels = 1,
		.says = "nopat is ignored, SEV guests need PAT",
	}, {
		.name = "a busy host",
		.nr_vcpus = 1,
		.cmdline = "--",
		.nr_kernels = 1,
		.busy = true,
	}, {
		.name = "a busy host, KVM_EXIT_HYPERCALL",
		.nr_vcpus = 1,
		.cmdline = "--",
		.nr_kernels = 1,
		.snp = true,
		.no_coco_exits = true,
		.busy = true,
	}, {
		.name = "no exits",
		.nr_vcpus = 1,
		.cmdline = "--",
		.snp = true,
		.no_coco_exits = true,
		.no_exits = true,
	}, {
		.name = "no exits any more",
		.nr_vcpus = 1,
		.cmdline = "--",
		.snp = true,
		.no_coco_exits = true,
		.exits_end = true,
	}, {
		.name = "a host that is always busy",
		.nr_vcpus = 1,
		.cmdline = "--",
		.nr_kernels = 1,
		.busy = true,
		.always_busy = true,
		/* KVM does not tell the guest, and nobody else can set RAX. */
		.no_es = true,
		.nr_kept = 1,
		.nr_cleared = 1,
		.says = "host does not take the encryption status of pages",
	}, {
		.name = "a request is dropped",
		.nr_vcpus = 1,
		.cmdline = "-- " STRESS ",conversions=1 wait unload",
		.nr_kernels = 1,
		.module = STRESS,
		.drop = true,
		.says = "mem_encrypt_stress: stopped after",
	}, {
		.name = "conversions during dirty logging and changes of memslots",
		.nr_vcpus = 2,
		.cmdline = "-- " STRESS ",conversions=1 wait unload",
		.nr_kernels = 1,
		.module = STRESS,
		.host_stress = true,
		.says = "mem_encrypt_stress: stopped after",
	},
};

struct watch {
	const struct scenario *scenario;
	struct linux_guest_sev *sev;
	struct timespec start;
	u64 patched_gva;
	u64 page_tables;		/* relative to the kernel's first byte */
	int nr_kernels;
	int nr_early;			/* requests before alternatives were applied */
	int nr_requests;		/* until userspace of the last kernel */
	u64 nr_shared;

	int nr_busy;

	int nr_too_ready;		/* requests while an earlier kernel's consent stands */
	u64 nr_lost;			/* pages in use as shared, reported as private */
};

/* The vCPU whose exit this thread handles. */
static __thread struct kvm_vcpu *this_vcpu;

static void compare(struct watch *watch, const char *when)
{
	struct linux_guest_shared_diff diff;

	if (watch->scenario->always_busy || (es && !snp && !watch->sev->page_tables))
		return;
	if (snp && !watch->sev->guest->shared->has_told)
		return;
	diff = linux_guest_sev_compare(watch->sev, this_vcpu, 0, 0);
	expect(diff.nr_shared && !diff.nr_missing && !diff.nr_stale,
	       "%s: of %lu shared pages %lu weren't reported, %lu are private by now, from 0x%lx",
	       when, diff.nr_shared, diff.nr_missing, diff.nr_stale, diff.first);
	watch->nr_shared = diff.nr_shared;
}

/* guest_init says what it is about to do: all that was before has been done. */
static void watch_line(struct linux_guest *guest, const char *line)
{
	struct linux_guest_shared *shared = guest->shared;
	struct linux_guest_sev *sev = guest->private;
	struct watch *watch = sev->private;
	const struct scenario *scenario = watch->scenario;
	struct timespec elapsed;
	unsigned long start;
	int nr_cpus, max;

	line = strstr(line, "guest_init: ");
	if (!line || linux_guest_told_shared(guest, line))
		return;
	if (sscanf(line, "guest_init: kernel at 0x%lx", &start) == 1) {
		sev->page_tables = start + watch->page_tables;
		return;
	}

	/* Each thread has its own. */
	about("%s", scenario->name);
	pthread_mutex_lock(&sev->m.lock);
	if (strstr(line, "CPUs online")) {
		elapsed = timespec_elapsed(watch->start);
		watch->nr_kernels++;
		if (watch->nr_kernels == 1) {
			ksft_print_msg("%s: userspace after %ld.%ld s, %d requests\n",
				       scenario->name, elapsed.tv_sec,
				       elapsed.tv_nsec / 100000000, shared->nr_requests);
			expect(sscanf(line, "guest_init: %d", &nr_cpus) == 1 &&
			       nr_cpus == guest->nr_vcpus, "%d vCPUs, but %s",
			       guest->nr_vcpus, line);
		}
		max = snp ? MAX_SNP_REQUESTS_PER_BOOT : MAX_REQUESTS_PER_BOOT;
		expect(defective == (shared->nr_requests - watch->nr_requests >= max),
		       "%d requests", shared->nr_requests - watch->nr_requests);
	}
	watch->nr_requests = shared->nr_requests;

	/* While the module converts memory the guest is not at rest. */
	if (!strstr(scenario->cmdline, "conversions") || strstr(line, "CPUs online") ||
	    strstr(line, "guest_init: done"))
		compare(watch, line);
	linux_guest_forget_shared(guest);
	/* The next kernel has others. */
	if (strstr(line, "step kexec"))
		sev->page_tables = 0;
	/* What an earlier kernel may have left. */
	if (scenario->plugged && !snp && strstr(line, "step plug"))
		TEST_ASSERT(!shared_ranges_add(&sev->m.shared, PLUGGED_GPA, SZ_4K),
			    "The list of shared ranges takes no page");
	if (strstr(line, "modules loaded"))
		guest->wait = scenario->drop || scenario->host_stress;
	/* The module accesses what it has converted, at once. */
	if (snp && scenario->drop && strstr(line, "modules loaded"))
		shared->nr_to_drop = NR_DROPPED;
	pthread_mutex_unlock(&sev->m.lock);
}

static bool changes_list(struct linux_guest_sev *sev, u64 gpa, u64 size, bool private)
{
	const struct shared_range *range = shared_ranges_next(&sev->m.shared, gpa);

	if (private)
		return range && range->start < gpa + size;
	return !range || range->start > gpa || range->end < gpa + size;
}

/* The list without what the guest asks for must differ by just that. */
static void drop_request(struct watch *watch, u64 gpa, u64 size, bool private)
{
	struct linux_guest_sev *sev = watch->sev;
	struct linux_guest_shared *shared = sev->guest->shared;
	struct linux_guest_shared_diff without = linux_guest_sev_compare(sev, this_vcpu, 0, 0);
	struct linux_guest_shared_diff others = linux_guest_sev_compare(sev, this_vcpu, gpa, size);

	about("%s", watch->scenario->name);
	shared->nr_dropped++;
	shared->nr_noticed += (private ? without.nr_stale : without.nr_missing) > 0 &&
			      without.first >= gpa && without.first - gpa < size;
	expect(!others.nr_missing && !others.nr_stale,
	       "pages out of 0x%lx, 0x%lx bytes, differ, from 0x%lx", gpa, size, others.first);
	if (shared->nr_dropped == NR_DROPPED)
		WRITE_ONCE(sev->guest->wait, false);
}

static void watch_request(struct linux_guest *guest, struct kvm_vcpu *vcpu, u64 gpa, u64 size,
			  bool private)
{
	struct linux_guest_sev *sev = guest->private;
	struct watch *watch = sev->private;
	int patched;

	/* Linux prints when it has applied no alternatives yet. */
	if (snp) {
		watch->nr_early += !guest->console_len;
		return;
	}
	linux_guest_read(guest, watch->patched_gva - LINUX_GUEST_KERNEL_MAP, &patched,
			 sizeof(patched), true);
	watch->nr_early += !patched;
	if (!sev->nr_ready && vcpu_get_msr(vcpu, MSR_KVM_MIGRATION_CONTROL))
		watch->nr_too_ready++;
	if (private)
		watch->nr_lost += linux_guest_sev_nr_shared(sev, vcpu, gpa, size);
	if (watch->scenario->drop && changes_list(sev, gpa, size, private))
		drop_request(watch, gpa, size, private);
}

/* An answer that there is not: KVM_RUN must fail, and the exit be as it was. */
static void answer_wrongly(struct watch *watch, struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_coco_map_gpa_range *map = (void *)run->padding, asked = *map;
	u64 gpa = run->hypercall.args[0], npages = run->hypercall.args[1];
	bool same;
	int r;

	if (run->exit_reason == KVM_EXIT_HYPERCALL)
		run->hypercall.ret = EPERM;
	else
		map->ret = EPERM;
	r = __vcpu_run(vcpu);
	if (run->exit_reason == KVM_EXIT_HYPERCALL)
		/* Not 0 this time, in case that nobody has looked at the error. */
		same = run->hypercall.args[0] == gpa && run->hypercall.args[1] == npages &&
		       run->hypercall.ret == EINVAL;
	else
		same = run->exit_reason == KVM_EXIT_COCO_MAP_GPA_RANGE &&
		       !memcmp(map, &asked, sizeof(asked));
	about("%s", watch->scenario->name);
	expect(r == -1 && errno == EINVAL && same,
	       "a wrong answer: KVM_RUN returned %d, errno %d, %s exit", r, errno,
	       same ? "the same" : "another");
}

/*
 * What an SEV-ES guest sees that KVM cannot have repeat the hypercall: -EAGAIN, or
 * EAGAIN as a VMM answers it, which KVM may pass on as it is.
 */
static void answer_busy(struct watch *watch, struct kvm_vcpu *vcpu)
{
	struct kvm_coco_map_gpa_range *map = (void *)vcpu->run->padding;
	struct kvm_regs regs;

	if (!watch->scenario->always_busy && !(watch->nr_busy % NR_BUSY))
		answer_wrongly(watch, vcpu);
	watch->nr_busy++;
	if (vcpu->run->exit_reason == KVM_EXIT_HYPERCALL) {
		vcpu->run->hypercall.ret = EAGAIN;
		return;
	}
	if (es) {
		map->ret = EAGAIN;
		map->done = 0;
		return;
	}
	map->ret = 0;
	map->done = map->size;
	vcpu_run_complete_io(vcpu);
	vcpu_regs_get(vcpu, &regs);
	regs.rax = watch->nr_busy & 1 ? -EAGAIN : EAGAIN;
	vcpu_regs_set(vcpu, &regs);
}

static bool watch_exit(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	struct linux_guest_sev *sev = guest->private;
	struct watch *watch = sev->private;
	int nr_ready = sev->nr_ready;

	this_vcpu = vcpu;
	if (watch->scenario->busy &&
	    (vcpu->run->exit_reason == KVM_EXIT_COCO_MAP_GPA_RANGE ||
	     vcpu->run->exit_reason == KVM_EXIT_HYPERCALL) &&
	    (watch->scenario->always_busy ||
	     watch->nr_busy < NR_BUSY * (guest->shared->nr_requests + 1))) {
		answer_busy(watch, vcpu);
		return true;
	}
	if (watch->scenario->exits_end && vcpu->run->exit_reason == KVM_EXIT_HYPERCALL &&
	    vcpu->run->hypercall.args[1] > 1)
		vm_enable_cap(guest->vm, KVM_CAP_EXIT_HYPERCALL, 0);
	if (!linux_guest_sev_exit(guest, vcpu))
		return false;

	/* The guest must not say that it is ready before it has reported all. */
	if (vcpu->run->exit_reason == KVM_EXIT_COCO_MIGRATION_CONTROL && sev->nr_ready > nr_ready) {
		about("%s", watch->scenario->name);
		pthread_mutex_lock(&sev->m.lock);
		compare(watch, "when the guest allows its migration");
		pthread_mutex_unlock(&sev->m.lock);
	}
	return true;
}

static unsigned long vm_type(void)
{
	if (snp)
		return KVM_X86_SNP_VM;
	return es ? KVM_X86_SEV_ES_VM : real ? KVM_X86_SEV_VM : KVM_X86_DEFAULT_VM;
}

/* Where this module is, as -m says, or NULL. */
static const char *module_path(const char *name)
{
	const char *path, *slash;
	int i;

	for (i = 0; i < options.nr_modules; i++) {
		path = options.modules[i];
		slash = strrchr(path, '/');
		if (!strcmp(slash ? slash + 1 : path, name))
			return path;
	}
	return NULL;
}

static void create_guest(struct watch *watch, const struct scenario *scenario)
{
	struct linux_guest_file files[3];
	struct linux_guest_params params = {
		.kernel = options.kernel,
		.cmdline = scenario->cmdline,
		.files = files,
		/* After kexec, KVM does not start another vCPU with encrypted registers. */
		.nr_vcpus = es && scenario->nr_kernels > 1 ? 1 : scenario->nr_vcpus,
		.mem_size = GUEST_MEM_SIZE,
		.vm_type = vm_type(),
		.no_coco_exits = scenario->no_coco_exits,
		.snp_host_data = { 0xfedcba9876543210, 1, ~0ull, 0x0123456789abcdef },
	};
	struct linux_guest_disk *disk;
	char init[PATH_MAX], cmdline[512], module[128];

	if (snp) {
		snprintf(cmdline, sizeof(cmdline), SNP_GUEST_CMDLINE "%s page_tables=0x%lx",
			 scenario->cmdline, watch->page_tables);
		params.cmdline = cmdline;
		params.mem_size = scenario->snp_mem_size ?: SNP_GUEST_MEM_SIZE;
	}
	linux_guest_program(init, sizeof(init), "guest_init");
	files[params.nr_files++] = (struct linux_guest_file){ "init", init, .mode = 0755 };
	if (scenario->nr_kernels > 1)
		files[params.nr_files++] =
			(struct linux_guest_file){ "kernel", options.kernel, .mode = 0644 };
	if (scenario->module) {
		snprintf(module, sizeof(module), "modules/%s", scenario->module);
		files[params.nr_files++] = (struct linux_guest_file){
			module, module_path(scenario->module), .mode = 0644 };
	}

	watch->sev = linux_guest_sev_create(&params);
	watch->sev->private = watch;
	watch->sev->guest->shared->request = watch_request;
	/* As if another kernel had run before, and ended without telling the host. */
	if (!snp)
		vcpu_set_msr(watch->sev->guest->vcpus[0], MSR_KVM_MIGRATION_CONTROL,
			     KVM_MIGRATION_READY);
	watch->sev->guest->exit = watch_exit;
	watch->sev->guest->line = watch_line;
	if (scenario->no_exits)
		vm_enable_cap(watch->sev->guest->vm, KVM_CAP_EXIT_HYPERCALL, 0);
	if (scenario->intel)
		/* Family 6, model 15 */
		linux_guest_set_cpu(watch->sev->guest->vcpus[0], "GenuineIntel", 0x6f0);
	if (strstr(scenario->cmdline, LINUX_GUEST_DISK_CMDLINE)) {
		disk = linux_guest_add_disk(watch->sev->guest, DISK_SIZE);
		disk->may_access = linux_guest_is_shared;
	}
}

/* What the guest prints of its report, if its kernel has a driver for that. */
static void check_report(struct linux_guest *guest)
{
	u64 *data = guest->snp_host_data;
	char line[256];

	if (linux_guest_find(guest, "report: no /dev/sev-guest")) {
		ksft_print_msg("the guest's kernel cannot ask for a report\n");
		return;
	}
	snprintf(line, sizeof(line),
		 "report: policy 0x%lx, VMPL 0, host data 0x%lx 0x%lx 0x%lx 0x%lx",
		 (u64)snp_default_policy(), data[0], data[1], data[2], data[3]);
	expect(linux_guest_count(guest, line) == 1, "not one line '%s'", line);
}

/* A hypercall without its arguments would have another result. */
static void check_hypercalls(struct linux_guest *guest)
{
	struct linux_guest_ktap ktap = linux_guest_ktap(guest, "kvm_hypercall");

	expect(ktap.status == LINUX_GUEST_KTAP_PASSED && ktap.nr_passed && !ktap.nr_skipped,
	       "suite kvm_hypercall: status %d, %d passed, %d failed, %d skipped", ktap.status,
	       ktap.nr_passed, ktap.nr_failed, ktap.nr_skipped);
}

/* If KVM cannot ask userspace, a page's state does not change, and the guest gives up. */
static void check_termination(struct linux_guest *guest, enum linux_guest_end end,
			      const struct scenario *scenario)
{
	char error[128];

	snprintf(error, sizeof(error), "vCPU 0: system event %u, 0x%x", KVM_SYSTEM_EVENT_SEV_TERM,
		 TERMINATED_BY_PSC);
	expect(end == LINUX_GUEST_ERROR && !strcmp(guest->error, error),
	       "the guest ended by %s '%s', not by '%s'", linux_guest_end_str(end), guest->error,
	       error);
	expect(!guest->shared->nr_requests == scenario->no_exits, "%d requests",
	       guest->shared->nr_requests);
	ksft_print_msg("%s: %d requests\n", scenario->name, guest->shared->nr_requests);
}

static bool boot(const struct scenario *scenario)
{
	bool is_stress = scenario->module && !strcmp(scenario->module, STRESS);
	struct watch _watch = { .scenario = scenario }, *watch = &_watch;
	struct linux_guest_sev *sev;
	struct linux_guest_shared *shared;
	struct linux_guest *guest;
	enum linux_guest_end end;
	const char *splat;
	int nr_steps, nr_cleared;
	u64 text;
	bool busy_enough;
	pthread_t thread;

	nr_failed = 0;
	about("%s", scenario->name);
	watch->patched_gva = linux_guest_symbol(options.symbols, "alternatives_patched");
	text = linux_guest_symbol(options.symbols, "_text");
	watch->page_tables = linux_guest_symbol(options.symbols, "init_top_pgt") - text;
	create_guest(watch, scenario);
	watch->sev->page_tables = text - LINUX_GUEST_KERNEL_MAP + watch->page_tables;
	sev = watch->sev;
	guest = sev->guest;
	shared = guest->shared;
	clock_gettime(CLOCK_MONOTONIC, &watch->start);
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
	if (scenario->no_exits || scenario->exits_end) {
		check_termination(guest, end, scenario);
		goto out;
	}
	splat = linux_guest_splat(guest);
	nr_steps = linux_guest_count(guest, "guest_init: step");

	expect(end == LINUX_GUEST_RESET, "the guest ended by %s %s", linux_guest_end_str(end),
	       guest->error);
	expect(linux_guest_count(guest, snp ? "Features active: AMD SEV SEV-ES SEV-SNP" :
				 "Memory Encryption Features active: AMD SEV") ==
	       scenario->nr_kernels, "SEV isn't active");
	expect(watch->nr_kernels == scenario->nr_kernels, "%d kernels were started",
	       watch->nr_kernels);
	expect(scenario->dies || linux_guest_find(guest, "guest_init: done"),
	       "PID 1 of the guest did not end");
	expect(!linux_guest_count(guest, " failed, errno "), "a step failed");
	expect(!splat == !scenario->dies, "the guest's kernel says: %s", splat);
	expect(!snp || watch->nr_shared, "the guest does not tell what it shares");
	expect(!scenario->intel || linux_guest_find(guest, "CPU0: Intel"), "the CPU isn't Intel");
	expect(!scenario->says ||
	       (linux_guest_count(guest, scenario->says) == 1 &&
		(!is_stress || linux_guest_find(guest, " rounds, 0 errors"))),
	       "not one line '%s'", scenario->says);
	if (scenario->module && !is_stress)
		check_hypercalls(guest);

	expect(watch->nr_early || scenario->always_busy,
	       "no request before alternatives were applied");
	expect(!watch->nr_too_ready == !defective,
	       "%d requests while the migration is allowed by an earlier kernel",
	       watch->nr_too_ready);
	if (scenario->reports)
		check_report(guest);
	/* A host that discards what becomes private loses them. */
	expect(!watch->nr_lost == !defective, "%lu shared pages were reported as private",
	       watch->nr_lost);
	nr_cleared = (defective ? 1 : 2) * scenario->nr_kernels + scenario->nr_cleared;
	/* Nothing that an SNP guest could do allows for it. */
	if (snp)
		expect(!sev->nr_ready, "migration was allowed %d times", sev->nr_ready);
	else
		expect(sev->nr_ready == scenario->nr_kernels - scenario->nr_kept &&
		       sev->nr_cleared == nr_cleared && sev->m.state != MIGRATION_READY,
		       "migration was allowed %d times and withdrawn %d times, for %d",
		       sev->nr_ready, sev->nr_cleared, nr_cleared);
	busy_enough = scenario->always_busy ?
		      watch->nr_busy > NR_RETRIES && watch->nr_busy < NR_RETRIES + 60 :
		      watch->nr_busy == NR_BUSY * shared->nr_requests;
	if (scenario->busy)
		expect(busy_enough, "the host was busy %d times for %d requests", watch->nr_busy,
		       shared->nr_requests);
	if (scenario->drop)
		expect(shared->nr_dropped >= NR_DROPPED &&
		       shared->nr_noticed == shared->nr_dropped,
		       "of %d requests that were dropped, %d were noticed", shared->nr_dropped,
		       shared->nr_noticed);

	ksft_print_msg("%s: %d steps, %d requests, %d early, %lu pages shared at the end",
		       scenario->name, nr_steps, shared->nr_requests, watch->nr_early,
		       watch->nr_shared);
	if (scenario->drop)
		printf(", %d of %d dropped ones noticed", shared->nr_noticed, shared->nr_dropped);
	printf("\n");
out:
	if (nr_failed)
		linux_guest_print_console(guest, 60);
	linux_guest_sev_free(sev);
	return !nr_failed;
}

static bool is_wanted(const struct scenario *scenario)
{
	if (quick && !scenario->quick)
		return false;
	return (!es || !scenario->no_es) && (snp ? !scenario->no_snp : !scenario->snp);
}

int main(int argc, char *argv[])
{
	int i, nr_tests = 0;

	linux_guest_parse_options(&options, argc, argv);
	/* Its registers are encrypted as well. */
	es |= snp;
	linux_guest_require_kernel(&options);
	__TEST_REQUIRE(linux_guest_sev_supported(vm_type()), "%s",
		       snp ? "KVM has no SNP VMs" : es ? "KVM has no SEV-ES VMs" :
		       real ? "KVM has no SEV VMs" : "No VM here can look like an SEV VM");
	linux_guest_require_symbols(&options);

	ksft_print_header();
	for (i = 0; i < ARRAY_SIZE(scenarios); i++)
		nr_tests += is_wanted(&scenarios[i]);
	if (defective)
		nr_tests = 1;
	ksft_set_plan(nr_tests);
	for (i = 0; nr_tests; i++) {
		if (!is_wanted(&scenarios[i]))
			continue;
		nr_tests--;
		if (scenarios[i].module && !module_path(scenarios[i].module))
			ksft_test_result_skip("%s: no %s\n", scenarios[i].name,
					      scenarios[i].module);
		else
			ksft_test_result(boot(&scenarios[i]), "%s\n", scenarios[i].name);
	}
	ksft_finished();
}
