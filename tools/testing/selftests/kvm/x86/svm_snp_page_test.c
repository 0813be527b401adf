// SPDX-License-Identifier: GPL-2.0-only
/*
 * Look at every page that KVM allocates for a VM and that an SNP host may find
 * in-use in the RMP: VMCBs, nested VMCBs and APIC backing pages.
 *
 * Scenario: create VMs with hundreds of vCPUs in all while tracing page
 * allocation and freeing.  No page may be 2MB-aligned, there must be exactly as
 * many as KVM needs, and all must be free when the VMs are gone.  Then do it again
 * while the page allocator fails on request: without a page KVM_CREATE_VCPU returns
 * ENOMEM and leaks nothing, and without order-1 blocks vCPUs can still be created.
 */
#include <sys/stat.h>

#include "kallsyms.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sparsebit.h"

#define TRACING		"/sys/kernel/tracing"
#define INSTANCE	TRACING "/instances/svm_snp_page_test"
#define ALLOC_EVENT	INSTANCE "/events/kvm/kvm_snp_page_alloc"
#define FREE_EVENT	INSTANCE "/events/kmem/mm_page_free"
#define DEBUGFS		"/sys/kernel/debug"
#define INJECTOR	DEBUGFS "/fail_page_alloc"
#define ALLOCATOR	"snp_safe_alloc_page_node"

#define PAGES_PER_2M	512

#define NR_IRQCHIP_VCPUS	256
#define NR_NESTED_VCPUS		64
#define NR_PLAIN_VCPUS		128

/* VMs to create until KVM was offered a 2MB-aligned page, and what a pipe holds. */
#define MAX_MORE_VMS		16
#define PIPE_PAGES		1024

/* More than KVM makes for a vCPU, whatever pages it gets. */
#define MAX_REQUESTS	16

/* An allocation takes that many tries if the page is from an order-1 block. */
#define TRIES_ORDER_1		3

/* One APIC page and one VMCB. */
#define PAGES_PER_IRQCHIP_VCPU	2

/* What the trace says about the pages of this process. */
struct pages {
	struct sparsebit *live;
	int nr_allocs;
	int nr_live;
	int nr_aligned;
	int nr_retries;
	int nr_fallbacks;
	int nr_double;
};

static const struct {
	const char *knob;
	const char *on;
	const char *off;
} injector_knobs[] = {
	{ "interval",		"1",	"1" },
	{ "times",		"-1",	"1" },
	{ "space",		"0",	"0" },
	{ "verbose",		"0",	"2" },
	{ "task-filter",	"Y",	"N" },
	{ "ignore-gfp-wait",	"N",	"Y" },
	{ "ignore-gfp-highmem",	"N",	"Y" },
	{ "stacktrace-depth",	"32",	"32" },
};

/*
 * fail-nth counts what any injector could fail, and must not count what these could:
 * one that looks for a caller, but at none of the stack, has nothing to fail.
 */
static const struct {
	const char *knob;
	const char *on;
	const char *off;
} other_knobs[] = {
	{ "failslab/stacktrace-depth",		"0",	"32" },
	{ "failslab/require-start",		"1",	"0" },
	{ "fail_usercopy/stacktrace-depth",	"0",	"32" },
	{ "fail_usercopy/require-start",	"1",	"0" },
};

static void write_file(const char *path, const char *fmt, ...)
{
	char text[128];
	va_list ap;
	int fd, len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	fd = open(path, O_WRONLY | O_TRUNC);
	TEST_ASSERT(fd >= 0, "open(%s) failed, errno %d", path, errno);
	TEST_ASSERT(write(fd, text, len) == len, "writing '%s' to %s failed, errno %d",
		    text, path, errno);
	close(fd);
}

static void stop_tracing(void)
{
	rmdir(INSTANCE);
}

static void start_tracing(void)
{
	stop_tracing();
	TEST_ASSERT(!mkdir(INSTANCE, 0700), "mkdir(%s) failed, errno %d", INSTANCE, errno);
	atexit(stop_tracing);

	write_file(INSTANCE "/buffer_size_kb", "16384");
	/* The order of what happened on different CPUs matters. */
	write_file(INSTANCE "/trace_clock", "counter");
	write_file(ALLOC_EVENT "/filter", "common_pid == %d", getpid());
	write_file(ALLOC_EVENT "/enable", "1");
	write_file(FREE_EVENT "/enable", "1");
}

static void assert_nothing_lost(void)
{
	char path[128], line[128];
	long lost;
	int cpu;

	for (cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++) {
		FILE *stats;

		snprintf(path, sizeof(path), INSTANCE "/per_cpu/cpu%d/stats", cpu);
		stats = fopen(path, "r");
		while (stats && fgets(line, sizeof(line), stats)) {
			if (sscanf(line, "overrun: %ld", &lost) == 1 ||
			    sscanf(line, "dropped events: %ld", &lost) == 1)
				TEST_ASSERT(!lost, "CPU %d lost %ld events", cpu, lost);
		}
		if (stats)
			fclose(stats);
	}
}

/* Take over what happened since the last call, in order. */
static void read_trace(struct pages *pages)
{
	unsigned int tries;
	unsigned long pfn;
	char line[512];
	FILE *trace;
	char *event;
	int node;

	assert_nothing_lost();
	trace = fopen(INSTANCE "/trace", "r");
	TEST_ASSERT(trace, "cannot read the trace, errno %d", errno);

	while (fgets(line, sizeof(line), trace)) {
		event = strstr(line, "kvm_snp_page_alloc: ");
		if (event) {
			event = strstr(event, "pfn ");
			TEST_ASSERT(event && sscanf(event, "pfn 0x%lx node %d tries %u",
						    &pfn, &node, &tries) == 3,
				    "cannot parse '%s'", line);
			pages->nr_double += sparsebit_is_set(pages->live, pfn);
			sparsebit_set(pages->live, pfn);
			pages->nr_allocs++;
			pages->nr_live++;
			pages->nr_aligned += !(pfn % PAGES_PER_2M);
			pages->nr_retries += tries - 1;
			pages->nr_fallbacks += tries == TRIES_ORDER_1;
			continue;
		}

		event = strstr(line, "mm_page_free: ");
		if (event && sscanf(strstr(event, "pfn="), "pfn=0x%lx order=0", &pfn) == 1 &&
		    sparsebit_is_set(pages->live, pfn)) {
			sparsebit_clear(pages->live, pfn);
			pages->nr_live--;
		}
	}
	fclose(trace);
	write_file(INSTANCE "/trace", "");
}

static void forget(struct pages *pages)
{
	struct sparsebit *live = pages->live;

	*pages = (struct pages) { .live = live, .nr_live = pages->nr_live };
}

static struct kvm_vm *create_vm(bool irqchip, bool nested, int nr_vcpus)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct kvm_sregs sregs;
	struct kvm_vcpu *vcpu;
	int i;

	if (irqchip)
		vm_create_irqchip(vm);

	for (i = 0; i < nr_vcpus; i++) {
		vcpu = __vm_vcpu_add(vm, i);
		if (!nested)
			continue;

		/* KVM allocates the VMCB of L2 when the guest may run one. */
		vcpu_init_cpuid(vcpu, kvm_get_supported_cpuid());
		vcpu_sregs_get(vcpu, &sregs);
		sregs.efer |= EFER_SVME;
		vcpu_sregs_set(vcpu, &sregs);
	}
	return vm;
}

static void create_pipe(int *fds, int flags)
{
	TEST_ASSERT(!pipe2(fds, flags) &&
		    fcntl(fds[1], F_SETPIPE_SZ, PIPE_PAGES * PAGE_SIZE) >= 0,
		    "No pipe for %d pages, errno %d", PIPE_PAGES, errno);
}

/*
 * Fill pipes with pages, one page each in turn.
 *
 * The page allocator hands out a 2MB region from its start.  If that start goes to one
 * of the slabs that vCPUs need, the aligned page is part of a block of pages, and no
 * request for a single page ever gets it.  Pipes request single pages only.  Those that
 * a pipe frees remain single, as the other pipes hold the pages around them, and KVM
 * gets these first.
 */
static void fill_pipes(int (*pipes)[2])
{
	char page[PAGE_SIZE] = {};
	int i, j;

	for (i = 0; i < MAX_MORE_VMS; i++)
		create_pipe(pipes[i], 0);

	for (i = 0; i < PIPE_PAGES; i++)
		for (j = 0; j < MAX_MORE_VMS; j++)
			TEST_ASSERT(write(pipes[j][1], page, PAGE_SIZE) == PAGE_SIZE,
				    "Page %d of pipe %d not written, errno %d", i, j, errno);
}

static void close_pipe(int *pipe)
{
	close(pipe[0]);
	close(pipe[1]);
}

static void test_vms(struct pages *pages)
{
	int expected = PAGES_PER_IRQCHIP_VCPU * NR_IRQCHIP_VCPUS +
		       (PAGES_PER_IRQCHIP_VCPU + 1) * NR_NESTED_VCPUS + NR_PLAIN_VCPUS;
	struct kvm_vm *irqchip, *nested, *plain, *more[MAX_MORE_VMS];
	int pipes[MAX_MORE_VMS][2], nr_more = 0, i;

	/* vm_create() would do so, but not for VMs without memory. */
	kvm_set_files_rlimit(NR_IRQCHIP_VCPUS * (1 + MAX_MORE_VMS) +
			     NR_NESTED_VCPUS + NR_PLAIN_VCPUS);

	forget(pages);
	irqchip = create_vm(true, false, NR_IRQCHIP_VCPUS);
	nested = create_vm(true, true, NR_NESTED_VCPUS);
	plain = create_vm(false, false, NR_PLAIN_VCPUS);
	read_trace(pages);

	ksft_print_msg("%d pages, %d retries, %d from an order-1 block\n",
		       pages->nr_allocs, pages->nr_retries, pages->nr_fallbacks);
	ksft_test_result(pages->nr_allocs == expected && !pages->nr_double,
			 "%d pages allocated, %d expected, %d allocated twice\n",
			 pages->nr_allocs, expected, pages->nr_double);
	ksft_test_result(!pages->nr_aligned, "%d of %d pages are 2MB-aligned\n",
			 pages->nr_aligned, pages->nr_allocs);
	ksft_test_result(pages->nr_live == expected, "%d of %d pages in use with the VMs alive\n",
			 pages->nr_live, expected);

	/* Were KVM not offered any aligned page, nothing would be proved. */
	fill_pipes(pipes);
	while (!pages->nr_retries && nr_more < MAX_MORE_VMS) {
		close_pipe(pipes[nr_more]);
		more[nr_more++] = create_vm(true, false, NR_IRQCHIP_VCPUS);
		read_trace(pages);
	}
	for (i = nr_more; i < MAX_MORE_VMS; i++)
		close_pipe(pipes[i]);
	ksft_test_result(pages->nr_retries && !pages->nr_aligned,
			 "%d aligned pages rejected, %d taken, of %d\n",
			 pages->nr_retries, pages->nr_aligned, pages->nr_allocs);

	kvm_vm_free(irqchip);
	kvm_vm_free(nested);
	kvm_vm_free(plain);
	while (nr_more)
		kvm_vm_free(more[--nr_more]);
	read_trace(pages);
	ksft_test_result(!pages->nr_live, "%d pages in use with the VMs gone\n", pages->nr_live);
}

static void set_other_injectors(bool on)
{
	char path[128];
	int i;

	for (i = 0; i < ARRAY_SIZE(other_knobs); i++) {
		snprintf(path, sizeof(path), DEBUGFS "/%s", other_knobs[i].knob);
		if (!access(path, W_OK))
			write_file(path, "%s", on ? other_knobs[i].on : other_knobs[i].off);
	}
}

static void stop_failing(void)
{
	int i;

	write_file("/proc/self/make-it-fail", "0");
	write_file(INJECTOR "/probability", "0");
	write_file(INJECTOR "/min-order", "1");
	write_file(INJECTOR "/require-start", "0");
	write_file(INJECTOR "/require-end", "0x%lx", -1ul);
	for (i = 0; i < ARRAY_SIZE(injector_knobs); i++) {
		char path[128];

		snprintf(path, sizeof(path), INJECTOR "/%s", injector_knobs[i].knob);
		write_file(path, "%s", injector_knobs[i].off);
	}
	set_other_injectors(false);
}

/*
 * Prepare failing those allocations only that are made for ALLOCATOR: a vCPU
 * needs blocks of order 1 and above elsewhere, e.g. for its MSR permission map.
 */
static void prepare_failing(void)
{
	unsigned long start, end;
	char path[128];
	int i;

	TEST_ASSERT(kallsyms_range(ALLOCATOR, &start, &end),
		    "/proc/kallsyms shows no address of " ALLOCATOR);

	atexit(stop_failing);
	for (i = 0; i < ARRAY_SIZE(injector_knobs); i++) {
		snprintf(path, sizeof(path), INJECTOR "/%s", injector_knobs[i].knob);
		write_file(path, "%s", injector_knobs[i].on);
	}
	set_other_injectors(true);
	write_file(INJECTOR "/require-start", "0x%lx", start);
	write_file(INJECTOR "/require-end", "0x%lx", end);
}

/* Create one vCPU while the @nth page that it asks ALLOCATOR for fails. */
static int create_vcpu_failing(struct kvm_vm *vm, unsigned long id, int nth)
{
	int fd, saved;

	write_file("/proc/thread-self/fail-nth", "%d", nth);
	fd = __vm_ioctl(vm, KVM_CREATE_VCPU, (void *)id);
	saved = errno;
	write_file("/proc/thread-self/fail-nth", "0");
	errno = saved;
	return fd;
}

static void test_no_pages(struct pages *pages)
{
	struct kvm_vm *vm = create_vm(true, false, 0);
	int nth, fd, i, nr_failures = 0, nr_others = 0, nr_created = 0;
	const int nr_vcpus = 8;

	write_file(INJECTOR "/min-order", "0");
	forget(pages);

	/*
	 * Fail the first request, then the second, until KVM makes fewer.  It makes one
	 * more whenever the page that it gets is 2MB-aligned.
	 */
	for (i = 0; i < nr_vcpus; i++) {
		fd = -1;
		for (nth = 1; fd < 0 && nth <= MAX_REQUESTS; nth++) {
			fd = create_vcpu_failing(vm, i, nth);
			nr_failures += fd < 0 && errno == ENOMEM;
			nr_others += fd < 0 && errno != ENOMEM;
		}
		nr_created += fd >= 0;
		close(fd);
	}
	read_trace(pages);
	ksft_test_result(nr_failures >= PAGES_PER_IRQCHIP_VCPU * nr_vcpus && !nr_others,
			 "%d vCPUs that got no page failed with ENOMEM, %d otherwise, %d expected\n",
			 nr_failures, nr_others, PAGES_PER_IRQCHIP_VCPU * nr_vcpus);
	ksft_test_result(nr_created == nr_vcpus,
			 "%d of %d vCPUs created after that\n", nr_created, nr_vcpus);
	ksft_test_result(pages->nr_live == PAGES_PER_IRQCHIP_VCPU * nr_vcpus &&
			 pages->nr_allocs > pages->nr_live,
			 "%d pages allocated, %d in use by %d vCPUs\n",
			 pages->nr_allocs, pages->nr_live, nr_vcpus);

	kvm_vm_free(vm);
	read_trace(pages);
	ksft_test_result(!pages->nr_live, "%d pages in use with the VM gone\n", pages->nr_live);
}

/*
 * Create a vCPU.  If the page allocator has two 2MB-aligned pages in a row, KVM needs the
 * order-1 block that there is not.  Take pages out of its way then: the pipe keeps them.
 */
static int create_vcpu_patiently(struct kvm_vm *vm, unsigned long id, int pipe_fd)
{
	char page[PAGE_SIZE] = {};
	int fd;

	while ((fd = __vm_ioctl(vm, KVM_CREATE_VCPU, (void *)id)) < 0 && errno == ENOMEM &&
	       write(pipe_fd, page, PAGE_SIZE) == PAGE_SIZE)
		;
	return fd;
}

static void test_no_order_1_blocks(struct pages *pages)
{
	struct kvm_vm *vm = create_vm(true, false, 0);
	int i, nr_created = 0, fds[64], taken[2];
	const int nr_vcpus = ARRAY_SIZE(fds);

	/* Nobody reads from it: once it is full, there is no more patience. */
	create_pipe(taken, O_NONBLOCK);

	write_file(INJECTOR "/min-order", "1");
	write_file(INJECTOR "/probability", "100");
	write_file("/proc/self/make-it-fail", "1");
	forget(pages);

	for (i = 0; i < nr_vcpus; i++) {
		fds[i] = create_vcpu_patiently(vm, i, taken[1]);
		nr_created += fds[i] >= 0;
	}

	write_file("/proc/self/make-it-fail", "0");
	write_file(INJECTOR "/probability", "0");
	read_trace(pages);
	ksft_test_result(nr_created == nr_vcpus &&
			 pages->nr_live == PAGES_PER_IRQCHIP_VCPU * nr_vcpus &&
			 !pages->nr_aligned && !pages->nr_fallbacks,
			 "%d of %d vCPUs created without order-1 blocks, %d of %d pages are 2MB-aligned\n",
			 nr_created, nr_vcpus, pages->nr_aligned, pages->nr_allocs);

	for (i = 0; i < nr_vcpus; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	kvm_vm_free(vm);
	close_pipe(taken);
	read_trace(pages);
	ksft_test_result(!pages->nr_live, "%d pages in use with the VM gone\n", pages->nr_live);
}

int main(void)
{
	struct pages pages = { .live = sparsebit_alloc() };

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));
	__TEST_REQUIRE(!access(TRACING "/events/kvm/kvm_snp_page_alloc", F_OK),
		       "tracefs is not mounted at " TRACING ", or KVM has no kvm_snp_page_alloc");
	__TEST_REQUIRE(!access(INJECTOR "/require-start", F_OK),
		       "needs FAIL_PAGE_ALLOC and FAULT_INJECTION_STACKTRACE_FILTER");

	ksft_print_header();
	ksft_set_plan(5 + 4 + 2);

	start_tracing();
	test_vms(&pages);
	prepare_failing();
	test_no_pages(&pages);
	test_no_order_1_blocks(&pages);

	sparsebit_free(&pages.live);
	ksft_finished();
}
