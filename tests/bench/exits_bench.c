// SPDX-License-Identifier: GPL-2.0-only
/*
 * exits_bench [tdx]: TSC ticks from a confidential guest's request to its next
 * instruction, and exits to userspace per request.
 *
 * An ordinary VM makes hypercalls, or, with "tdx", a TD makes TDVMCALLs.  The guest of
 * the first counts, so that entry, exit, KVM and the VMM are in it, and nothing else.  A
 * TD has a TSC of its own, so there the VMM counts, what CALLS requests take in one go,
 * less what none takes.  QEMU -icount has one tick per instruction; on hardware they are
 * cycles of the TSC.  Ordinary VMs take turns, round by round; of each round, that is of
 * CALLS requests, the median is printed, or the mean of a TD's.
 *
 * What this KVM has no exits for is left out.
 *
 * "copy" is the design that was rejected, in which KVM decodes nothing: all
 * registers go to userspace, which decodes and checks them, and come back with the
 * answer in them.  KVM_CAP_SYNC_REGS is what makes every exit such an exit on any
 * KVM; without it, the VMM would need two more system calls for the same.  The exit
 * that is underneath is mainline's of the same request, not opted in.
 *
 * "fatal" is the same of a TD, and a lower bound of that design: mainline's exit for
 * ReportFatalError, where KVM decodes nothing either, copies 16 registers to struct
 * kvm_run, and takes none back.
 */
#include <asm/kvm_para.h>
#include <sys/ioctl.h>

#include "kvm_util.h"
#include "processor.h"
#include "tdx.h"
#include "ucall_common.h"

#define GPAW			48
#define SHARED			BIT_ULL(GPAW - 1)
#define SIZE_4K			0x1000ull
#define SIZE_1G			0x40000000ull
/* More than the guests have memory: nobody but the VMM looks at it. */
#define GPA			(4 * SIZE_1G)

/* Leaves of the GHCI specification */
#define GET_TD_VM_CALL_INFO	0x10000
#define MAP_GPA			0x10001
#define GET_QUOTE		0x10002
#define REPORT_FATAL_ERROR	0x10003

/* The first round fills caches and is not counted. */
#define ROUNDS			12
#define CALLS			TD_MAX_CALLS

struct call_regs {
	u64 rax, rbx, rcx, rdx;
};

struct shared {
	struct call_regs regs;
	bool amd;
	int nr_calls;
	u64 ticks[CALLS];
};

static void call(const struct call_regs *in, bool amd)
{
	u64 rax = in->rax, rbx = in->rbx, rcx = in->rcx, rdx = in->rdx;

	if (amd)
		asm volatile("vmmcall" : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx) : : "memory");
	else
		asm volatile("vmcall" : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx) : : "memory");
	GUEST_ASSERT_EQ(rax, 0);
}

static void guest_code(struct shared *shared)
{
	u64 start;
	int i;

	for (;;) {
		for (i = 0; i < shared->nr_calls; i++) {
			start = rdtsc();
			call(&shared->regs, shared->amd);
			shared->ticks[i] = rdtsc() - start;
		}
		GUEST_SYNC(0);
	}
}

/* What a VMM would do now; every variant's has to tell it the same. */
static volatile struct {
	u64 gpa, size;
	bool private;
} converted;

static void convert(u64 gpa, u64 size, bool private)
{
	converted.gpa = gpa;
	converted.size = size;
	converted.private = private;
}

static void answer_hypercall(struct kvm_run *run)
{
	convert(run->hypercall.args[0], run->hypercall.args[1] * SIZE_4K,
		run->hypercall.args[2] & KVM_MAP_GPA_RANGE_ENCRYPTED);
	run->hypercall.ret = 0;
}

static void answer_map(struct kvm_run *run)
{
	struct kvm_coco_map_gpa_range *map = &run->coco_map_gpa_range;

	convert(map->gpa, map->size, map->flags & KVM_COCO_MAP_GPA_RANGE_PRIVATE);
	map->done = map->size;
	map->ret = 0;
}

/* All that KVM checks if it is KVM that decodes. */
static bool is_valid(u64 gpa, u64 size)
{
	return size && !((gpa | size) & (SIZE_4K - 1)) && gpa + size > gpa &&
	       gpa + size <= BIT_ULL(GPAW - 1);
}

static void answer_copied_hypercall(struct kvm_run *run)
{
	struct kvm_regs *regs = &run->s.regs.regs;

	if (regs->rax == KVM_HC_MAP_GPA_RANGE && regs->rcx < BIT_ULL(52) &&
	    is_valid(regs->rbx, regs->rcx * SIZE_4K)) {
		convert(regs->rbx, regs->rcx * SIZE_4K, regs->rdx & KVM_MAP_GPA_RANGE_ENCRYPTED);
		regs->rax = 0;
	}
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	run->hypercall.ret = 0;
}

static void answer_tdx(struct kvm_run *run)
{
	run->tdx.unknown.ret = 0;
}

static void answer_coco(struct kvm_run *run)
{
	run->coco_get_quote.ret = 0;
}

/* The range is data[R12] and data[R13]; R10, the answer, remains the guest's 0. */
static void answer_fatal(struct kvm_run *run)
{
	u64 gpa = run->system_event.data[12] & ~SHARED, size = run->system_event.data[13];

	if (is_valid(gpa, size))
		convert(gpa, size, !(run->system_event.data[12] & SHARED));
}

static void answer_nothing(struct kvm_run *run)
{
	TEST_FAIL("Exit %u (%s) of a request that KVM answers", run->exit_reason,
		  exit_reason_str(run->exit_reason));
}

#define HYPERCALL(size) \
	{ KVM_HC_MAP_GPA_RANGE, GPA, (size) / SIZE_4K }
#define TDVMCALL(leaf, a, b)	.r11 = (leaf), .r12 = (a), .r13 = (b)
#define TDX_EXITS	(KVM_COCO_EXIT_GET_QUOTE | KVM_COCO_EXIT_MAP_GPA_RANGE)

static struct variant {
	const char *name;
	struct call_regs regs;
	u32 reason;
	void (*answer)(struct kvm_run *run);
	/* A bitmap of KVM_CAP_COCO_EXITS, i.e. opted in, or none. */
	u64 exits;
	bool copy;
	bool count_exits;

	/* While it runs */
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct shared *shared;
} variants[] = {
	{ "hypercall_map", HYPERCALL(SIZE_4K), KVM_EXIT_HYPERCALL, answer_hypercall },
	{ "hypercall_map_own", HYPERCALL(SIZE_4K), KVM_EXIT_COCO_MAP_GPA_RANGE, answer_map,
	  KVM_COCO_EXIT_MAP_GPA_RANGE },
	{ "hypercall_map_copy", HYPERCALL(SIZE_4K), KVM_EXIT_HYPERCALL,
	  answer_copied_hypercall, .copy = true },
	{ "hypercall_gib", HYPERCALL(SIZE_1G), KVM_EXIT_HYPERCALL, answer_hypercall,
	  .count_exits = true },
	{ "hypercall_gib_own", HYPERCALL(SIZE_1G), KVM_EXIT_COCO_MAP_GPA_RANGE, answer_map,
	  KVM_COCO_EXIT_MAP_GPA_RANGE, .count_exits = true },
};

/* The same of TDs */
static struct td_variant {
	const char *name;
	u64 r11, r12, r13;
	u32 reason;
	void (*answer)(struct kvm_run *run);
	u64 exits;
	bool count_exits;

	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
} td_variants[] = {
	{ "tdx_map", TDVMCALL(MAP_GPA, SHARED | GPA, SIZE_4K), KVM_EXIT_HYPERCALL,
	  answer_hypercall },
	{ "tdx_map_own", TDVMCALL(MAP_GPA, SHARED | GPA, SIZE_4K), KVM_EXIT_COCO_MAP_GPA_RANGE,
	  answer_map, TDX_EXITS },
	{ "tdx_map_fatal", TDVMCALL(REPORT_FATAL_ERROR, SHARED | GPA, SIZE_4K),
	  KVM_EXIT_SYSTEM_EVENT, answer_fatal },
	{ "tdx_gib", TDVMCALL(MAP_GPA, SHARED | GPA, SIZE_1G), KVM_EXIT_HYPERCALL,
	  answer_hypercall, .count_exits = true },
	{ "tdx_gib_own", TDVMCALL(MAP_GPA, SHARED | GPA, SIZE_1G), KVM_EXIT_COCO_MAP_GPA_RANGE,
	  answer_map, TDX_EXITS, .count_exits = true },
	{ "tdx_quote", TDVMCALL(GET_QUOTE, SHARED | GPA, SIZE_4K), KVM_EXIT_TDX, answer_tdx },
	{ "tdx_quote_own", TDVMCALL(GET_QUOTE, SHARED | GPA, SIZE_4K),
	  KVM_EXIT_COCO_GET_QUOTE, answer_coco, TDX_EXITS },
	{ "tdx_info0", TDVMCALL(GET_TD_VM_CALL_INFO, 0, 0), 0, answer_nothing },
	{ "tdx_info0_own", TDVMCALL(GET_TD_VM_CALL_INFO, 0, 0), 0, answer_nothing, TDX_EXITS },
};

static void enable_exits(struct kvm_vm *vm, u64 exits)
{
	if (exits)
		vm_enable_cap(vm, KVM_CAP_COCO_EXITS, exits);
	else
		vm_enable_cap(vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));
}

static void create(struct variant *variant)
{
	gva_t gva;

	variant->vm = vm_create(1);
	enable_exits(variant->vm, variant->exits);
	variant->vcpu = vm_vcpu_add(variant->vm, 0, guest_code);
	gva = vm_alloc_page(variant->vm);
	variant->shared = addr_gva2hva(variant->vm, gva);
	variant->shared->regs = variant->regs;
	variant->shared->amd = host_cpu_is_amd_compatible;
	variant->shared->nr_calls = variant->count_exits ? 1 : CALLS;
	vcpu_args_set(variant->vcpu, 1, gva);
}

static u64 run(struct variant *variant)
{
	struct kvm_run *run = variant->vcpu->run;
	int fd = variant->vcpu->fd, ret;
	u64 nr_exits = 0;
	struct ucall uc;

	if (variant->copy)
		run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	for (;;) {
		ret = ioctl(fd, KVM_RUN, NULL);
		if (ret || run->exit_reason != variant->reason)
			break;
		nr_exits++;
		variant->answer(run);
	}
	TEST_ASSERT(!ret && run->exit_reason == KVM_EXIT_IO,
		    "%s: KVM_RUN: %d, errno %d, exit %u (%s)", variant->name, ret, errno,
		    run->exit_reason, exit_reason_str(run->exit_reason));
	ret = get_ucall(variant->vcpu, &uc);
	if (ret == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(ret == UCALL_SYNC, "%s: ucall %d", variant->name, ret);
	TEST_ASSERT(nr_exits || !variant->reason, "%s: no exit", variant->name);
	return nr_exits;
}

static int compare(const void *a, const void *b)
{
	return *(const u64 *)a < *(const u64 *)b ? -1 : 1;
}

static void measure(struct variant *variant, bool print)
{
	u64 nr_exits = run(variant);
	struct shared *shared = variant->shared;

	qsort(shared->ticks, shared->nr_calls, sizeof(shared->ticks[0]), compare);
	if (!print)
		return;
	printf("bench: %s %lu\n", variant->name, (unsigned long)shared->ticks[shared->nr_calls / 2]);
	if (variant->count_exits)
		printf("bench: %s_exits %lu\n", variant->name, (unsigned long)nr_exits);
}

static void create_td(struct td_variant *variant)
{
	variant->vm = vm_tdx_create(GPAW);
	enable_exits(variant->vm, variant->exits);
	variant->vcpu = vm_tdx_vcpu_add(variant->vm, 0);
	vm_tdx_finalize(variant->vm);
	TEST_ASSERT(!__vcpu_run(variant->vcpu) && td_is_ready(variant->vcpu),
		    "%s: the TD did not start", variant->name);
}

/* TSC ticks of @nr_calls requests and of what comes before and after them. */
static u64 run_td(struct td_variant *variant, int nr_calls, u64 *nr_exits)
{
	struct td_call *calls = vcpu_tdx_area(variant->vcpu)->calls;
	struct kvm_run *run = variant->vcpu->run;
	int fd = variant->vcpu->fd, i, ret;
	u64 start;

	*nr_exits = 0;
	for (i = 0; i <= CALLS; i++)
		calls[i].in = (struct kvm_regs) {
			.rax = TDG_VP_VMCALL, .rcx = TD_EXPOSED_REGS, .r11 = variant->r11,
			.r12 = variant->r12, .r13 = variant->r13, .rip = i < nr_calls,
			.rflags = X86_EFLAGS_FIXED,
		};
	start = rdtsc();
	for (;;) {
		ret = ioctl(fd, KVM_RUN, NULL);
		if (ret || run->exit_reason != variant->reason)
			break;
		++*nr_exits;
		variant->answer(run);
	}
	start = rdtsc() - start;
	TEST_ASSERT(!ret && td_is_ready(variant->vcpu), "%s: %s", variant->name,
		    td_outcome_str(variant->vcpu, ret));
	for (i = 0; i < nr_calls; i++)
		TEST_ASSERT(!calls[i].out.rax && !calls[i].out.r10, "%s: R10 0x%llx",
			    variant->name, calls[i].out.r10);
	TEST_ASSERT(!nr_calls || *nr_exits || !variant->reason, "%s: no exit", variant->name);
	return start;
}

static void measure_td(struct td_variant *variant, bool print)
{
	int nr_calls = variant->count_exits ? 1 : CALLS;
	u64 nr_exits, none = run_td(variant, 0, &nr_exits);
	u64 ticks = run_td(variant, nr_calls, &nr_exits) - none;

	if (!print)
		return;
	printf("bench: %s %lu\n", variant->name, (unsigned long)ticks / nr_calls);
	if (variant->count_exits)
		printf("bench: %s_exits %lu\n", variant->name, (unsigned long)nr_exits);
}

static void measure_tds(u64 exits)
{
	int round, i;

	/* Not all at once: each needs a key. */
	for (i = 0; i < ARRAY_SIZE(td_variants); i++) {
		if (td_variants[i].exits & ~exits)
			continue;
		create_td(&td_variants[i]);
		for (round = 0; round < ROUNDS; round++)
			measure_td(&td_variants[i], round);
		kvm_vm_free(td_variants[i].vm);
	}
}

int main(int argc, char *argv[])
{
	u64 exits = kvm_has_cap(KVM_CAP_COCO_EXITS) ? TDX_EXITS : 0;
	int round, i;

	if (argc > 1 && !strcmp(argv[1], "tdx")) {
		measure_tds(exits);
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(variants); i++)
		if (!(variants[i].exits & ~exits))
			create(&variants[i]);
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; i < ARRAY_SIZE(variants); i++)
			if (variants[i].vm)
				measure(&variants[i], round);
	return 0;
}
