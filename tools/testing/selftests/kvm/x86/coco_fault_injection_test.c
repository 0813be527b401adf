// SPDX-License-Identifier: GPL-2.0-only
/*
 * Make every allocation and every copy from or to userspace fail, one after another,
 * in what confidential guests and their VMMs make KVM do.
 *
 * An operation is repeated while its first, second, ... point of failure is made to
 * fail (fail-nth), until it has no more of them; one injector at a time, so that it
 * is known which errno has to come of it: ENOMEM if there was no memory, EFAULT if
 * userspace's could not be accessed.  An operation may also do without what it did
 * not get.  After it has failed, the same has to succeed, and a guest's request has
 * to have been seen and answered once.
 *
 * What was lost is for kmemleak to find, except for VMs: a reference to one shows.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/sizes.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "hypercall_guest.h"
#include "kallsyms.h"
#include "kernel_module.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define DEBUGFS		"/sys/kernel/debug"
#define TAINTED		"/proc/sys/kernel/tainted"
#define TAINT_WARN	BIT(9)
#define MODULE		"kvm_amd"

/* So late that it does not come, but leaves what can be counted. */
#define NEVER		((u32)BIT(30))

/* The number of points is not always the same: slabs and caches may have a page left. */
#define NR_CLEAN	2
/* With more points than that, only every second, third, ... fails. */
#define MAX_ATTEMPTS	1500
#define MAX_LOADS	40
/*
 * KVM_RUN needs the same for any request, until it comes, and each attempt takes a VM:
 * all points with one request on each type of VM, some of them with the others.
 */
#define MAX_SAMPLES	8

#define READY_PORT	0xf4
#define MAX_RUNS	8
#define MAX_VCPUS	256

/* GHCI specification */
#define TDVMCALL_MAP_GPA		0x10001
#define TDVMCALL_GET_QUOTE		0x10002
#define TDVMCALL_FATAL_ERROR		0x10003
#define TDVMCALL_SETUP_EVENT_NOTIFY	0x10004

#define GPA		SZ_4G
#define NR_PAGES	1200

enum injector {
	FAILSLAB,
	FAIL_PAGE_ALLOC,
	FAIL_USERCOPY,
	NR_INJECTORS,
};

static const struct {
	const char *name;
	int err;
} injectors[NR_INJECTORS] = {
	[FAILSLAB] = { "failslab", ENOMEM },
	[FAIL_PAGE_ALLOC] = { "fail_page_alloc", ENOMEM },
	[FAIL_USERCOPY] = { "fail_usercopy", EFAULT },
};

/* What is written to change how an injector fails; those it has not are skipped. */
static const struct {
	const char *name;
	const char *value;
} knobs[] = {
	{ "times",		NULL },
	{ "verbose",		"0" },
	{ "cache-filter",	"N" },
	{ "ignore-gfp-wait",	"N" },
	{ "ignore-gfp-highmem",	"N" },
	{ "min-order",		"0" },
	{ "reject-start",	NULL },
	{ "reject-end",		NULL },
	{ "stacktrace-depth",	NULL },
	{ "require-start",	NULL },
};

#define NR_KNOBS	ARRAY_SIZE(knobs)

static char saved[NR_INJECTORS][NR_KNOBS][32];

static int fail_nth_fd, kvm_fd, module_fd = -1;
static u64 seed;

/* Functions of the kernel whose allocations do not fail, or that it does not have. */
struct spared {
	const char *function;
	unsigned long start, end;
};

/*
 * kmemleak notes each allocation, which it would allocate memory for, and has a pool for
 * when it gets none.  That's half of all points, and not of KVM.
 */
static struct spared kmemleak = { "__alloc_object" };

/* Warns if a module's jump labels get no memory. */
static struct spared jump_labels = { "jump_label_module_notify" };

/* What became of the faults in an operation. */
static struct {
	u32 points;
	u32 attempts;
	u32 injected;
	u32 failed;
	u32 survived;
	u32 internal_errors;
} count;

/* What the guest is to do, and how often it has come back from that. */
struct todo {
	struct call call;
	u64 is_wrmsr;
	u64 vector;
	u64 nr_returns;
};

enum request_type { HYPERCALL, TDVMCALL, WRMSR };

struct request {
	const char *name;
	/* Bitmap of types of VMs */
	u32 vm_types;
	enum request_type type;
	u64 exits;
	u64 args[3];
	u32 exit_reason;
	/* Userspace answers as often, the last time for all that remains. */
	int nr_parts;
	/* All points fail, not only some. */
	bool all;
};

struct operation {
	const char *name;
	/* Bitmap of types of VMs */
	u32 vm_types;
	/* Returns less than 0, -errno, if it failed. */
	int (*run)(const struct operation *op);
	/* Before and after each attempt */
	void (*prepare)(const struct operation *op);
	void (*finish)(const struct operation *op, int ret, bool injected);
	/* Before and after all attempts */
	void (*begin)(const struct operation *op);
	void (*end)(const struct operation *op);
	u64 arg;
	u32 max_attempts;
	/* Instead of kmemleak: an injector spares one function. */
	const struct spared *spared;
	/* The kernel's log says which warning that may be. */
	bool may_warn;
};

/* What operations are about; one at a time. */
static u32 vm_type;
static const struct request *request;
static struct kvm_vm *vm;
static struct kvm_vcpu *vcpu;
static struct todo *todo;
/* A TD does nothing but calls. */
static struct todo td_todo;
static struct call *call;
static int memfd;
static unsigned long vcpu_id;
static char what[128];

/* Injectors */

static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	if (len < 0)
		return false;
	text[len] = 0;
	text[strcspn(text, "\n")] = 0;
	return true;
}

static void set_knob(enum injector i, const char *knob, const char *fmt, ...)
{
	char path[128], text[32];
	va_list ap;
	int fd, len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), DEBUGFS "/%s/%s", injectors[i].name, knob);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	TEST_ASSERT(fd >= 0, "open(%s) failed, errno %d", path, errno);
	TEST_ASSERT(write(fd, text, len) == len, "writing '%s' to %s failed, errno %d",
		    text, path, errno);
	close(fd);
}

static void restore_injectors(void)
{
	int i, k;

	for (i = 0; i < NR_INJECTORS; i++)
		for (k = 0; k < NR_KNOBS; k++)
			if (saved[i][k][0])
				set_knob(i, knobs[k].name, "%s", saved[i][k]);
}

/*
 * fail-nth counts what any injector could fail.  One that looks for a caller, but
 * at none of the stack, has nothing to fail.
 */
static void use_injector(enum injector wanted, const struct spared *spared)
{
	enum injector i;

	for (i = 0; i < NR_INJECTORS; i++) {
		set_knob(i, "stacktrace-depth", "0");
		set_knob(i, "require-start", "%d", i != wanted);
	}
	if (wanted == FAILSLAB && spared->start) {
		set_knob(wanted, "reject-start", "0x%lx", spared->start);
		set_knob(wanted, "reject-end", "0x%lx", spared->end);
		set_knob(wanted, "stacktrace-depth", "32");
	}
}

static void prepare_injectors(void)
{
	char path[128];
	int i, k;

	for (i = 0; i < NR_INJECTORS; i++)
		for (k = 0; k < NR_KNOBS; k++) {
			snprintf(path, sizeof(path), DEBUGFS "/%s/%s", injectors[i].name,
				 knobs[k].name);
			if (!read_text(path, saved[i][k], sizeof(saved[i][k])))
				saved[i][k][0] = 0;
		}
	atexit(restore_injectors);
	for (i = 0; i < NR_INJECTORS; i++)
		for (k = 0; k < NR_KNOBS; k++)
			if (saved[i][k][0] && knobs[k].value)
				set_knob(i, knobs[k].name, "%s", knobs[k].value);
	kallsyms_range(kmemleak.function, &kmemleak.start, &kmemleak.end);
	kallsyms_range(jump_labels.function, &jump_labels.start, &jump_labels.end);
}

static void arm(u32 nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	TEST_ASSERT(pwrite(fail_nth_fd, text, len, 0) == len, "writing to " FAIL_NTH
		    " failed, errno %d", errno);
}

/* Returns how far away the fault still is, 0 if it has come. */
static u32 disarm(void)
{
	char text[16] = {};
	ssize_t len = pread(fail_nth_fd, text, sizeof(text) - 1, 0);
	u32 left = len > 0 ? strtoul(text, NULL, 10) : 0;

	/* To read it and to write it copies, and then the fault may come as well. */
	if (len < 0) {
		TEST_ASSERT(errno == EFAULT, "reading " FAIL_NTH " failed, errno %d", errno);
		return 1;
	}
	if (left && pwrite(fail_nth_fd, "0", 1, 0) != 1)
		TEST_ASSERT(errno == EFAULT, "writing to " FAIL_NTH " failed, errno %d", errno);
	return left;
}

static unsigned long taint(void)
{
	char text[32];

	TEST_ASSERT(read_text(TAINTED, text, sizeof(text)), "cannot read " TAINTED);
	return strtoul(text, NULL, 10);
}

/* KVM has a directory for each VM as long as something refers to it. */
static int nr_vms(void)
{
	DIR *dir = opendir(DEBUGFS "/kvm");
	struct dirent *entry;
	int nr = 0;

	while (dir && (entry = readdir(dir)))
		nr += !!strchr(entry->d_name, '-');
	if (dir)
		closedir(dir);
	return nr;
}

/* A TD is not migrated by what it says in an MSR. */
static u64 supported_exits(u64 exits)
{
	return in_td() ? exits & ~(u64)KVM_COCO_EXIT_MIGRATION_CONTROL : exits;
}

/* Requests of guests */

static void guest_requests(struct todo *mine)
{
	for (;;) {
		if (mine->is_wrmsr)
			mine->vector = wrmsr_safe(MSR_KVM_MIGRATION_CONTROL, KVM_MIGRATION_READY);
		else
			make_hypercall(&mine->call);
		mine->nr_returns++;
		asm volatile("outb %%al, %0" : : "i" (READY_PORT), "a" (0) : "memory");
	}
}

static int enter_guest(const struct operation *op)
{
	return ioctl(vcpu->fd, KVM_RUN, NULL) ? -errno : vcpu->run->exit_reason;
}

static void create_plain_vcpu(void)
{
	gva_t gva;

	vcpu = vm_vcpu_add(vm, 0, guest_requests);
	vcpu_set_cpuid_feature(vcpu, X86_FEATURE_KVM_MIGRATION_CONTROL);
	gva = vm_alloc_page(vm);
	vcpu_args_set(vcpu, 1, gva);
	todo = addr_gva2hva(vm, gva);
	call = &todo->call;
}

/* All that a TD needs before it can ask is mainline's, and is not made to fail. */
static void create_td_vcpu(const struct operation *op)
{
	int ret;

	vcpu = vm_tdx_vcpu_add(vm, 0);
	vm_tdx_finalize(vm);
	ret = enter_guest(op);
	TEST_ASSERT(ret == KVM_EXIT_IO && td_is_ready(vcpu), "the TD does not start, but %d (%s)",
		    ret, outcome_str(ret));
	todo = &td_todo;
	call = (struct call *)vcpu_tdx_area(vcpu)->calls;
}

/* A TD makes hypercalls with other registers. */
static void make_regs(struct kvm_regs *regs)
{
	*regs = new_regs(request->args[0]);
	if (request->type == TDVMCALL) {
		regs->r12 = request->args[1];
		regs->r13 = request->args[2];
		if (request->args[0] == TDVMCALL_GET_QUOTE)
			regs->r12 |= SHARED;
	} else if (in_td()) {
		regs->r10 = KVM_HC_MAP_GPA_RANGE;
		regs->r12 = request->args[1];
		regs->r13 = request->args[2];
	} else {
		regs->rax = KVM_HC_MAP_GPA_RANGE;
		regs->rbx = request->args[0];
		regs->rcx = request->args[1];
		regs->rdx = request->args[2];
	}
}

/* A new VM, so that KVM has nothing allocated for its guest's memory. */
static void create_guest(const struct operation *op)
{
	vm = create_vm(vm_type, supported_exits(request->exits));
	if (!request->exits)
		vm_enable_cap(vm, KVM_CAP_EXIT_HYPERCALL, BIT_ULL(KVM_HC_MAP_GPA_RANGE));
	if (in_td())
		create_td_vcpu(op);
	else
		create_plain_vcpu();

	todo->is_wrmsr = request->type == WRMSR;
	todo->vector = -1ull;
	make_regs(&call->in);
}

/* Answer with success, and check what was asked for the @part time, from 0. */
static void answer(const struct operation *op, int part)
{
	struct kvm_coco_map_gpa_range *map = &vcpu->run->coco_map_gpa_range;
	u64 done = (u64)part * PAGE_SIZE;

	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_HYPERCALL:
		expect(vcpu->run->hypercall.args[0] == GPA, "gpa 0x%llx",
		       vcpu->run->hypercall.args[0]);
		vcpu->run->hypercall.ret = 0;
		break;
	case KVM_EXIT_COCO_MAP_GPA_RANGE:
		expect(map->gpa == GPA + done && map->size == NR_PAGES * PAGE_SIZE - done &&
		       map->ret == EOPNOTSUPP && !map->done, "gpa 0x%llx, size 0x%llx",
		       map->gpa, map->size);
		map->ret = 0;
		map->done = part + 1 == request->nr_parts ? map->size : PAGE_SIZE;
		break;
	case KVM_EXIT_TDX:
		vcpu->run->tdx.unknown.ret = 0;
		break;
	case KVM_EXIT_COCO_FATAL_ERROR:
		/* It has no answer. */
		break;
	default:
		expect(vcpu->run->coco_get_quote.ret == EOPNOTSUPP, "ret %u",
		       vcpu->run->coco_get_quote.ret);
		vcpu->run->coco_get_quote.ret = 0;
	}
}

static void create_guest_and_answer(const struct operation *op)
{
	int ret;

	create_guest(op);
	ret = enter_guest(op);
	TEST_ASSERT(ret == request->exit_reason, "no request, but %d (%s)", ret,
		    outcome_str(ret));
	answer(op, 0);
}

/* Go on until the guest has its answer, which it must once, and see which. */
static void finish_request(const struct operation *op, int ret, bool injected)
{
	struct kvm_regs want = call->in;
	int i, part = op->arg;

	for (i = 0; i < MAX_RUNS && ret != KVM_EXIT_IO; i++) {
		if (ret == request->exit_reason) {
			answer(op, part++);
		} else if (ret == KVM_EXIT_INTERNAL_ERROR && injected && !i) {
			/*
			 * KVM could not read the guest's instruction, to skip or to
			 * emulate it.  Userspace is told so, and VMMs end then.
			 */
			count.internal_errors++;
			goto out;
		} else if (ret >= 0 || i) {
			break;
		}
		ret = enter_guest(op);
	}

	if (!expect(ret == KVM_EXIT_IO && vcpu->run->io.port == READY_PORT,
		    "the guest did not come back, but %d (%s)", ret, outcome_str(ret)))
		goto out;
	expect(part == request->nr_parts, "%d exits, not %d", part, request->nr_parts);
	if (!in_td())
		expect(todo->nr_returns == 1, "%lu answers", (unsigned long)todo->nr_returns);
	if (request->type == WRMSR) {
		expect(!todo->vector, "vector %ld", (long)todo->vector);
		expect(vcpu_get_msr(vcpu, MSR_KVM_MIGRATION_CONTROL) == KVM_MIGRATION_READY,
		       "not ready");
		goto out;
	}
	want.rax = 0;
	if (request->type == TDVMCALL || in_td())
		want.r10 = 0;
	want.rsp = call->in.rsp;
	want.rip = insn_address();
	if (expect_next_insn(call))
		expect_regs(&call->out, &want);
out:
	kvm_vm_free(vm);
}

/* Other operations */

static int create_any_vm(const struct operation *op)
{
	int fd = ioctl(kvm_fd, KVM_CREATE_VM, (unsigned long)vm_type);

	return fd < 0 ? -errno : fd;
}

static void close_fd(const struct operation *op, int ret, bool injected)
{
	if (ret >= 0)
		close(ret);
}

static void begin_vm(const struct operation *op)
{
	struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = vm_type };

	vm = in_td() ? vm_tdx_create(td->gpaw) : ____vm_create(shape);
	vcpu_id = 0;
}

static void begin_vm_irqchip(const struct operation *op)
{
	begin_vm(op);
	vm_create_irqchip(vm);
}

static void end_vm(const struct operation *op)
{
	kvm_vm_free(vm);
}

static int create_vcpu(const struct operation *op)
{
	int fd = ioctl(vm->fd, KVM_CREATE_VCPU, vcpu_id);

	return fd < 0 ? -errno : fd;
}

/* An ID that could not be used remains free. */
static void close_vcpu(const struct operation *op, int ret, bool injected)
{
	if (ret < 0)
		return;
	close(ret);
	/* KVM counts those that were closed. */
	if (++vcpu_id < MAX_VCPUS)
		return;
	end_vm(op);
	begin_vm_irqchip(op);
}

static int enable_exits(const struct operation *op)
{
	return __vm_enable_cap(vm, KVM_CAP_COCO_EXITS, supported_exits(op->arg)) ? -errno : 0;
}

static int create_memfd(const struct operation *op)
{
	int fd = __vm_create_guest_memfd(vm, NR_PAGES * PAGE_SIZE, 0);

	return fd < 0 ? -errno : fd;
}

static void begin_memfd(const struct operation *op)
{
	begin_vm(op);
	memfd = vm_create_guest_memfd(vm, NR_PAGES * PAGE_SIZE, 0);
}

static int set_region(u64 size)
{
	static void *mem;
	struct kvm_userspace_memory_region2 region = {
		.slot = 1,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = GPA,
		.memory_size = size,
		.guest_memfd = memfd,
	};

	if (!mem) {
		mem = mmap(NULL, NR_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		TEST_ASSERT(mem != MAP_FAILED, "mmap() failed, errno %d", errno);
	}
	region.userspace_addr = (unsigned long)mem;
	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &region) ? -errno : 0;
}

static int add_region(const struct operation *op)
{
	return set_region(NR_PAGES * PAGE_SIZE);
}

static void delete_region(const struct operation *op, int ret, bool injected)
{
	if (ret >= 0)
		TEST_ASSERT(!set_region(0), "cannot delete the memslot, errno %d", errno);
}

static void begin_region(const struct operation *op)
{
	begin_memfd(op);
	TEST_ASSERT(!add_region(op), "cannot add a memslot, errno %d", errno);
}

static void end_memfd(const struct operation *op)
{
	close(memfd);
	kvm_vm_free(vm);
}

static int set_attributes(u64 attributes)
{
	struct kvm_memory_attributes attr = {
		.address = GPA,
		.size = NR_PAGES * PAGE_SIZE,
		.attributes = attributes,
	};

	return ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &attr) ? -errno : 0;
}

static int set_op_attributes(const struct operation *op)
{
	return set_attributes(op->arg);
}

static void set_other_attributes(const struct operation *op)
{
	u64 other = op->arg ^ KVM_MEMORY_ATTRIBUTE_PRIVATE;

	TEST_ASSERT(!set_attributes(other), "cannot set attributes, errno %d", errno);
}

static int allocate(const struct operation *op)
{
	return fallocate(memfd, FALLOC_FL_KEEP_SIZE, 0, 16 * PAGE_SIZE) ? -errno : 0;
}

static int punch_hole(const struct operation *op)
{
	return fallocate(memfd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0,
			 16 * PAGE_SIZE) ? -errno : 0;
}

static void prepare_allocate(const struct operation *op)
{
	TEST_ASSERT(!punch_hole(op), "cannot punch a hole, errno %d", errno);
}

static void prepare_punch_hole(const struct operation *op)
{
	TEST_ASSERT(!allocate(op), "cannot allocate, errno %d", errno);
}

static void begin_msr(const struct operation *op)
{
	vm = create_vm(vm_type, KVM_COCO_EXIT_MIGRATION_CONTROL);
	vcpu = vm_vcpu_add(vm, 0, guest_requests);
}

static struct {
	struct kvm_msrs header;
	struct kvm_msr_entry entry;
} msrs;

static void prepare_msr(const struct operation *op)
{
	vcpu_set_msr(vcpu, MSR_KVM_MIGRATION_CONTROL, op->arg ? 0 : KVM_MIGRATION_READY);
	msrs.header.nmsrs = 1;
	msrs.entry.index = MSR_KVM_MIGRATION_CONTROL;
	msrs.entry.data = op->arg;
}

static int set_msr(const struct operation *op)
{
	int ret = ioctl(vcpu->fd, KVM_SET_MSRS, &msrs);

	return ret < 0 ? -errno : ret == 1 ? 0 : -EIO;
}

static int get_msr(const struct operation *op)
{
	int ret = ioctl(vcpu->fd, KVM_GET_MSRS, &msrs);

	return ret < 0 ? -errno : ret == 1 ? 0 : -EIO;
}

static void finish_set_msr(const struct operation *op, int ret, bool injected)
{
	expect(vcpu_get_msr(vcpu, MSR_KVM_MIGRATION_CONTROL) == op->arg, "not %lu",
	       (unsigned long)op->arg);
}

static void finish_get_msr(const struct operation *op, int ret, bool injected)
{
	u64 want = op->arg ? 0 : KVM_MIGRATION_READY;

	expect(msrs.entry.data == want, "0x%llx, not 0x%lx", msrs.entry.data,
	       (unsigned long)want);
}

static int load_module(const struct operation *op)
{
	return syscall(__NR_finit_module, module_fd, "", 0) ? -errno : 0;
}

static void must_unload(const struct operation *op, int ret, bool injected)
{
	int err = kernel_module_unload(MODULE);

	TEST_ASSERT(!err, "cannot unload " MODULE ", errno %d", err);
}

static void begin_modules(const struct operation *op)
{
	close(kvm_fd);
	must_unload(op, 0, false);
}

static void end_modules(const struct operation *op)
{
	int ret = load_module(op);

	TEST_ASSERT(!ret, "cannot load " MODULE ", errno %d", -ret);
	kvm_fd = open_kvm_dev_path_or_exit();
}

#define SW		BIT(KVM_X86_SW_PROTECTED_VM)
#define TD		BIT(KVM_X86_TDX_VM)
#define NOT_TD		(BIT(KVM_X86_DEFAULT_VM) | SW)
#define ANY_VM		(NOT_TD | TD)
#define ANY_EXITS	(KVM_COCO_EXIT_MAP_GPA_RANGE | KVM_COCO_EXIT_MIGRATION_CONTROL)
#define TD_EXITS	(ANY_EXITS | KVM_COCO_EXIT_GET_QUOTE | \
			 KVM_COCO_EXIT_SETUP_EVENT_NOTIFY | KVM_COCO_EXIT_FATAL_ERROR)
#define PRIVATE		KVM_MEMORY_ATTRIBUTE_PRIVATE
#define SIZE		(NR_PAGES * PAGE_SIZE)

static const struct request requests[] = {
	{ "KVM_EXIT_HYPERCALL", ANY_VM, HYPERCALL, 0,
	  { GPA, NR_PAGES, KVM_MAP_GPA_RANGE_ENCRYPTED }, KVM_EXIT_HYPERCALL, 1 },
	{ "KVM_EXIT_COCO_MAP_GPA_RANGE", ANY_VM, HYPERCALL, ANY_EXITS,
	  { GPA, NR_PAGES, KVM_MAP_GPA_RANGE_ENCRYPTED }, KVM_EXIT_COCO_MAP_GPA_RANGE, 1, true },
	{ "KVM_EXIT_COCO_MAP_GPA_RANGE in two parts", ANY_VM, HYPERCALL, ANY_EXITS,
	  { GPA, NR_PAGES, KVM_MAP_GPA_RANGE_ENCRYPTED }, KVM_EXIT_COCO_MAP_GPA_RANGE, 2 },
	{ "KVM_EXIT_COCO_MIGRATION_CONTROL", NOT_TD, WRMSR, ANY_EXITS,
	  {}, KVM_EXIT_COCO_MIGRATION_CONTROL, 1 },
	{ "KVM_EXIT_TDX", TD, TDVMCALL, 0,
	  { TDVMCALL_GET_QUOTE, GPA, SIZE }, KVM_EXIT_TDX, 1 },
	{ "GetQuote", TD, TDVMCALL, TD_EXITS,
	  { TDVMCALL_GET_QUOTE, GPA, SIZE }, KVM_EXIT_COCO_GET_QUOTE, 1, true },
	{ "SetupEventNotifyInterrupt", TD, TDVMCALL, TD_EXITS,
	  { TDVMCALL_SETUP_EVENT_NOTIFY, 0x51 }, KVM_EXIT_COCO_SETUP_EVENT_NOTIFY, 1 },
	{ "ReportFatalError", TD, TDVMCALL, TD_EXITS,
	  { TDVMCALL_FATAL_ERROR, 1 }, KVM_EXIT_COCO_FATAL_ERROR, 1 },
	{ "MapGPA in two parts", TD, TDVMCALL, TD_EXITS,
	  { TDVMCALL_MAP_GPA, GPA, SIZE }, KVM_EXIT_COCO_MAP_GPA_RANGE, 2 },
};

/* Of each request */
static const struct operation asked = {
	.name = ", asked", .run = enter_guest,
	.prepare = create_guest, .finish = finish_request,
};

static const struct operation answered = {
	.name = ", answered", .run = enter_guest, .arg = 1,
	.prepare = create_guest_and_answer, .finish = finish_request,
};

/*
 * With PROVE_LOCKING and SEV, KVM warns (sev_guest() in svm/sev.c) when it undoes what
 * it has created of any VM, because it takes kvm->users_count, which is 1 then, for a
 * sign that others use the VM.  Do this last: the kernel is tainted only once.
 */
static const struct operation creation = {
	.name = "KVM_CREATE_VM", .vm_types = ANY_VM, .may_warn = true,
	.run = create_any_vm, .finish = close_fd,
};

static const struct operation loading = {
	.name = "finit_module()", .run = load_module, .finish = must_unload,
	.begin = begin_modules, .end = end_modules, .max_attempts = MAX_LOADS,
	.spared = &jump_labels,
};

static const struct operation operations[] = {
	{ .name = "KVM_CREATE_VCPU", .vm_types = NOT_TD,
	  .begin = begin_vm_irqchip, .run = create_vcpu, .finish = close_vcpu, .end = end_vm },
	{ .name = "KVM_CAP_COCO_EXITS", .vm_types = ANY_VM, .arg = ANY_EXITS,
	  .begin = begin_vm, .run = enable_exits, .end = end_vm },
	{ .name = "KVM_CAP_COCO_EXITS with TDVMCALLs", .vm_types = TD, .arg = TD_EXITS,
	  .begin = begin_vm, .run = enable_exits, .end = end_vm },
	{ .name = "KVM_SET_MSRS", .vm_types = NOT_TD, .arg = KVM_MIGRATION_READY,
	  .begin = begin_msr, .prepare = prepare_msr,
	  .run = set_msr, .finish = finish_set_msr, .end = end_vm },
	{ .name = "KVM_GET_MSRS", .vm_types = NOT_TD,
	  .begin = begin_msr, .prepare = prepare_msr,
	  .run = get_msr, .finish = finish_get_msr, .end = end_vm },
	{ .name = "KVM_CREATE_GUEST_MEMFD", .vm_types = SW,
	  .begin = begin_vm, .run = create_memfd, .finish = close_fd, .end = end_vm },
	{ .name = "KVM_SET_USER_MEMORY_REGION2", .vm_types = SW,
	  .begin = begin_memfd, .run = add_region, .finish = delete_region, .end = end_memfd },
	{ .name = "KVM_SET_MEMORY_ATTRIBUTES, private", .vm_types = SW, .arg = PRIVATE,
	  .begin = begin_region, .prepare = set_other_attributes,
	  .run = set_op_attributes, .end = end_memfd },
	{ .name = "KVM_SET_MEMORY_ATTRIBUTES, shared", .vm_types = SW,
	  .begin = begin_region, .prepare = set_other_attributes,
	  .run = set_op_attributes, .end = end_memfd },
	{ .name = "fallocate() of a guest_memfd", .vm_types = SW,
	  .begin = begin_region, .prepare = prepare_allocate,
	  .run = allocate, .end = end_memfd },
	{ .name = "hole in a guest_memfd", .vm_types = SW,
	  .begin = begin_region, .prepare = prepare_punch_hole,
	  .run = punch_hole, .end = end_memfd },
};

/* One attempt with a fault at the @nth point; returns what disarm() did. */
static u32 attempt(const struct operation *op, enum injector i, u32 nth)
{
	unsigned long tainted = taint();
	bool injected;
	u32 left;
	int ret;

	about("%s, %s %u", what, injectors[i].name, nth);
	if (op->prepare)
		op->prepare(op);
	arm(nth);
	ret = op->run(op);
	left = disarm();
	injected = !left;

	count.attempts++;
	count.injected += injected;
	if (ret < 0) {
		count.failed++;
		expect(injected, "errno %d without a fault", -ret);
		expect(ret == -injectors[i].err, "errno %d, not %d", -ret, injectors[i].err);
	} else {
		count.survived += injected;
	}
	/* What has failed is to be had if nothing fails. */
	if (ret < 0 && op->run != enter_guest) {
		ret = op->run(op);
		expect(ret >= 0, "errno %d when tried again", -ret);
	}
	if (op->finish)
		op->finish(op, ret, injected);
	if (!op->may_warn)
		expect(tainted & TAINT_WARN || !(taint() & TAINT_WARN), "the kernel warned");
	return left;
}

static void try_all(const struct operation *op, enum injector i)
{
	u32 max_attempts = request && !request->all ? MAX_SAMPLES : MAX_ATTEMPTS;
	u32 nth, left, stride, nr_clean = 0;
	int nr_vms_before = nr_vms();
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	memset(&count, 0, sizeof(count));
	nr_checks = 0;
	nr_failed = 0;
	if (op->begin)
		op->begin(op);
	use_injector(i, op->spared ?: &kmemleak);

	/* The first time is for what is allocated once. */
	attempt(op, i, NEVER);
	left = attempt(op, i, NEVER);
	count.points = NEVER - left;
	if (op->max_attempts)
		max_attempts = op->max_attempts;
	stride = count.points / max_attempts + 1;
	for (nth = 1 + seed % stride; nr_clean < NR_CLEAN; nth += stride)
		nr_clean = attempt(op, i, nth) ? nr_clean + 1 : 0;

	if (op->end)
		op->end(op);
	about("%s, %s", what, injectors[i].name);
	expect(nr_vms() == nr_vms_before, "%d VMs are left", nr_vms() - nr_vms_before);
	if (count.points && i != FAIL_PAGE_ALLOC)
		expect(count.injected, "%u points, and no fault", count.points);

	clock_gettime(CLOCK_MONOTONIC, &end);
	ksft_print_msg("%u points, every %u.: %u faults, %u failed, %u not, %u exits; %ld s\n",
		       count.points, stride, count.injected, count.failed,
		       count.survived - count.internal_errors, count.internal_errors,
		       (long)(end.tv_sec - start.tv_sec));
	ksft_test_result(nr_checks && !nr_failed, "%s, %s\n", what, injectors[i].name);
	fflush(stdout);
}

static const char * const vm_names[] = { "default", "protected", "td" };
static const u32 vm_types[] = {
	KVM_X86_DEFAULT_VM, KVM_X86_SW_PROTECTED_VM, KVM_X86_TDX_VM,
};

/* -v: only one of them */
static u32 wanted_types = -1u;

/* Only counted, and not tried, if @is_dry. */
static int try_operation(const struct operation *op, const char *only, bool is_dry)
{
	u32 wanted = request ? request->vm_types : op->vm_types;
	u32 supported = kvm_check_cap(KVM_CAP_VM_TYPES);
	int t, nr = 0;
	enum injector i;

	for (t = 0; t < ARRAY_SIZE(vm_types); t++) {
		vm_type = vm_types[t];
		td = vm_type == KVM_X86_TDX_VM ? &td_kinds[0] : NULL;
		if (!(wanted & wanted_types & supported & BIT(vm_type)))
			continue;
		snprintf(what, sizeof(what), "%s: %s%s", vm_names[t],
			 request ? request->name : "", op->name);
		if (!strstr(what, only))
			continue;
		for (i = 0; i < NR_INJECTORS; i++, nr++)
			if (!is_dry)
				try_all(op, i);
	}
	return nr;
}

static int try_operations(const char *only, bool is_dry)
{
	enum injector i;
	int k, nr = 0;

	if (module_fd >= 0 && strstr(loading.name, only)) {
		snprintf(what, sizeof(what), "%s", loading.name);
		for (i = 0; i < NR_INJECTORS; i++, nr++)
			if (!is_dry)
				try_all(&loading, i);
	}
	request = NULL;
	for (k = 0; k < ARRAY_SIZE(operations); k++)
		nr += try_operation(&operations[k], only, is_dry);
	for (k = 0; k < ARRAY_SIZE(requests); k++) {
		request = &requests[k];
		nr += try_operation(&asked, only, is_dry);
		nr += try_operation(&answered, only, is_dry);
	}
	request = NULL;
	return nr + try_operation(&creation, only, is_dry);
}

static void help(const char *name)
{
	printf("usage: %s [-h] [-v VM] [-m kvm-amd.ko] [-s seed] [-o text]\n", name);
	printf(" -v: one type of VM only: default, protected or td\n");
	printf(" -m: load this module as well, which is loaded now, with each fault\n");
	printf(" -s: seed of which points are tried if there are many (default: the time)\n");
	printf(" -o: only operations whose name has this text in it\n");
	exit(0);
}

int main(int argc, char *argv[])
{
	const char *only = "";
	int opt, i, nr_tests;
	enum injector k;
	char path[128];

	seed = time(NULL);
	while ((opt = getopt(argc, argv, "hv:m:s:o:")) != -1) {
		switch (opt) {
		case 'v':
			wanted_types = 0;
			for (i = 0; i < ARRAY_SIZE(vm_names); i++)
				if (!strcmp(optarg, vm_names[i]))
					wanted_types = BIT(vm_types[i]);
			break;
		case 'm':
			module_fd = open(optarg, O_RDONLY | O_CLOEXEC);
			TEST_ASSERT(module_fd >= 0, "open(%s) failed, errno %d", optarg, errno);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			only = optarg;
			break;
		default:
			help(argv[0]);
		}
	}

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_COCO_EXITS) & KVM_COCO_EXIT_MAP_GPA_RANGE);
	for (k = 0; k < NR_INJECTORS; k++) {
		snprintf(path, sizeof(path), DEBUGFS "/%s/require-start", injectors[k].name);
		__TEST_REQUIRE(!access(path, W_OK),
			       "no %s: the kernel lacks an injector, or STACKTRACE_FILTER", path);
	}
	fail_nth_fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	__TEST_REQUIRE(fail_nth_fd >= 0, "cannot open " FAIL_NTH ", errno %d", errno);
	kvm_fd = open_kvm_dev_path_or_exit();
	/* Faults of this program are no points of KVM's. */
	TEST_ASSERT(!mlockall(MCL_CURRENT | MCL_FUTURE), "mlockall() failed, errno %d", errno);

	nr_tests = try_operations(only, true);
	__TEST_REQUIRE(nr_tests, "nothing to do");

	ksft_print_header();
	ksft_set_plan(nr_tests);
	ksft_print_msg("seed %lu\n", (unsigned long)seed);
	prepare_injectors();
	try_operations(only, false);

	/* Something that was not released would be in use. */
	if (module_fd >= 0) {
		close(kvm_fd);
		must_unload(NULL, 0, false);
		TEST_ASSERT(!syscall(__NR_finit_module, module_fd, "", 0),
			    "cannot load " MODULE " again, errno %d", errno);
	}
	ksft_finished();
}
