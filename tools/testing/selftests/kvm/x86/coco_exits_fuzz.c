// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random requests of guests and random answers of userspace, compared with what
 * include/x86/coco_exits_model.h says.
 *
 * There are two fuzzers: "guest" tries what a guest may ask, "user" what userspace may
 * do about it.  A case that fails is made smaller as long as it still fails, and
 * printed as a line of text, which is what -x and files for -c have; see
 * include/x86/coco_exits_case.h.
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "coco_exits_case.h"
#include "coco_exits_model.h"
#include "hypercall_guest.h"

/* One of the guest's; nothing of the VM is there. */
#define READY_PORT		0xf4

/* A case that takes as long hangs. */
#define CASE_SECONDS		120
/* No more attempts to make a case smaller than that. */
#define MAX_SHRINKS		600

#define NR_MACHINES		2
#define DEFAULT_EXITS		100000

/* What KVM_RUN may fail with if userspace does as it likes. */
static const int chaos_errnos[] = { EINVAL, EINTR, EAGAIN, EBADF, ENOTTY };

/* What the guest is to do, and what came of it; shared with the host. */
struct todo {
	u64 op;
	u64 value;
	u64 vector;
	struct call call;
};

struct machine {
	struct model model;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct todo *todo;
	/* A TD does nothing but calls. */
	struct todo td_todo;
	struct call *call;
	u64 *nr_nmis;
	bool vm_closed;
	bool vcpu_closed;
};

/* Memory that the process that runs cases shares with the one that reports them. */
static struct report {
	u64 nr_exits;
	u64 case_nr;
	int step;
	/* What the kernel says only once cannot be tried again. */
	bool is_taint;
	char what[240];
} *report;

static const struct fuzz_case *running;
static struct machine machines[NR_MACHINES], *machine;
static int null_fd, taint_fd;
static FILE *kmsg;

/* The guest */

static u64 nmi_count;

static void count_nmi(struct ex_regs *regs)
{
	WRITE_ONCE(nmi_count, READ_ONCE(nmi_count) + 1);
}

static void fuzz_guest_code(struct todo *todo)
{
	for (;;) {
		asm volatile("outb %%al, %0" : : "i" (READY_PORT), "a" (0) : "memory");
		switch (todo->op) {
		case MODEL_HYPERCALL:
			make_hypercall(&todo->call);
			break;
		case MODEL_WRMSR:
			todo->vector = wrmsr_safe(MSR_KVM_MIGRATION_CONTROL, todo->value);
			break;
		case MODEL_RDMSR:
			todo->vector = rdmsr_safe(MSR_KVM_MIGRATION_CONTROL, &todo->value);
			break;
		}
	}
}

static __printf(1, 2) bool fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(report->what, sizeof(report->what), fmt, ap);
	va_end(ap);
	return false;
}

/* The other thread */

enum job {
	JOB_RUN,
	JOB_ANSWER,
	JOB_SCRIBBLE,
	JOB_CLOSE,
};

static struct {
	pthread_t thread;
	sem_t start, end;
	enum job job;
	u64 ret, done;
	u64 seed;
	int result;
	bool stop;
} helper;

static int run_vcpu(void)
{
	u32 reason;

	__atomic_fetch_add(&report->nr_exits, 1, __ATOMIC_RELAXED);
	if (__vcpu_run(machine->vcpu))
		return -errno;
	reason = machine->vcpu->run->exit_reason;
	/* A TD has another port to say what went wrong. */
	if (reason == KVM_EXIT_IO && in_td() && !td_is_ready(machine->vcpu))
		return KVM_EXIT_EXCEPTION;
	return reason;
}

/* Whatever the exit is, these are where userspace answers. */
static void write_answer(u32 reason, u64 ret, u64 done)
{
	struct kvm_run *run = machine->vcpu->run;

	switch (reason) {
	case KVM_EXIT_HYPERCALL:
		WRITE_ONCE(run->hypercall.ret, ret);
		break;
	case KVM_EXIT_TDX:
		WRITE_ONCE(run->tdx.unknown.ret, ret);
		if (machine->model.args.r11 != MODEL_GET_TD_VM_CALL_INFO)
			break;
		run->tdx.get_tdvmcall_info.r11 = done;
		run->tdx.get_tdvmcall_info.r12 = done;
		run->tdx.get_tdvmcall_info.r13 = done;
		run->tdx.get_tdvmcall_info.r14 = done;
		break;
	case KVM_EXIT_SYSTEM_EVENT:
	case KVM_EXIT_COCO_FATAL_ERROR:
		break;
	case KVM_EXIT_COCO_MAP_GPA_RANGE:
		WRITE_ONCE(run->coco_map_gpa_range.done, done);
		fallthrough;
	default:
		WRITE_ONCE(run->coco_get_quote.ret, ret);
	}
}

/*
 * Neither immediate_exit nor what makes KVM load registers from kvm_run.  A TD has its
 * interrupt controllers split, so that KVM_RUN would return to ask for an interrupt.
 */
static void scribble(u64 seed)
{
	struct kvm_run *run = machine->vcpu->run;
	u8 immediate_exit = run->immediate_exit;
	size_t i;

	for (i = 0; i < sizeof(*run) / sizeof(u64); i++) {
		if (i == offsetof(struct kvm_run, kvm_valid_regs) / sizeof(u64) ||
		    i == offsetof(struct kvm_run, kvm_dirty_regs) / sizeof(u64))
			continue;
		seed += 0x9e3779b97f4a7c15ull;
		WRITE_ONCE(((u64 *)run)[i], fuzz_mix(seed));
		run->immediate_exit = immediate_exit;
		if (in_td())
			WRITE_ONCE(run->request_interrupt_window, 0);
	}
}

static void close_machine(bool vcpu)
{
	/* At once, in all threads, and the library has something to close. */
	if (vcpu)
		TEST_ASSERT(dup2(null_fd, machine->vcpu->fd) >= 0, "dup2");
	else
		TEST_ASSERT(dup2(null_fd, machine->vm->fd) >= 0, "dup2");
}

static void *help(void *unused)
{
	u64 delay;

	for (;;) {
		sem_wait(&helper.start);
		for (delay = helper.seed % 512; delay; delay--)
			cpu_relax();
		switch (helper.job) {
		case JOB_RUN:
			helper.result = run_vcpu();
			break;
		case JOB_ANSWER:
			write_answer(machine->model.reason, helper.ret, helper.done);
			break;
		case JOB_SCRIBBLE:
			while (!READ_ONCE(helper.stop)) {
				scribble(helper.seed++);
				machine->vcpu->run->immediate_exit = helper.seed & 1;
			}
			break;
		case JOB_CLOSE:
			close_machine(helper.seed & 1);
			break;
		}
		sem_post(&helper.end);
	}
	return NULL;
}

static void start_job(enum job job, u64 seed)
{
	if (!helper.thread) {
		sem_init(&helper.start, 0, 0);
		sem_init(&helper.end, 0, 0);
		kvm_pthread_create(&helper.thread, NULL, help, NULL);
	}
	helper.job = job;
	helper.seed = seed;
	helper.stop = false;
	sem_post(&helper.start);
}

static void end_job(void)
{
	WRITE_ONCE(helper.stop, true);
	sem_wait(&helper.end);
}

/* The machine */

static void init_model(struct model *m, const struct fuzz_case *c)
{
	*m = (struct model) {
		.vm_type = fuzz_vm_types[c->vm_type],
		.shared_bit = fuzz_shared_bits[c->vm_type],
		.maxphyaddr = c->maxphyaddr,
		.has_hypercall_exits = c->has_hypercall_exits,
		.has_msr = c->has_msr,
		/* Memory that is not encrypted can be migrated. */
		.msr = fuzz_vm_types[c->vm_type] == KVM_X86_DEFAULT_VM ? KVM_MIGRATION_READY : 0,
	};
}

static void use_machine(int i)
{
	machine = &machines[i];
	if (machine->vm)
		return;
	init_model(&machine->model, running);
	machine->vm = create_vm(machine->model.vm_type, 0);
	if (machine->model.has_hypercall_exits)
		vm_enable_cap(machine->vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));
	if (in_td())
		return;
	vm_install_exception_handler(machine->vm, NMI_VECTOR, count_nmi);
	machine->nr_nmis = addr_gva2hva(machine->vm, (gva_t)&nmi_count);
}

static struct kvm_vcpu *add_td_vcpu(void)
{
	struct kvm_vcpu *vcpu = vm_tdx_vcpu_add(machine->vm, 0);

	vcpu_set_cpuid_property(vcpu, X86_PROPERTY_MAX_PHY_ADDR, machine->model.maxphyaddr);
	vm_tdx_finalize(machine->vm);

	machine->todo = &machine->td_todo;
	machine->call = (struct call *)vcpu_tdx_area(vcpu)->calls;
	machine->nr_nmis = &vcpu_tdx_area(vcpu)->nr_events;
	return vcpu;
}

static struct kvm_vcpu *add_plain_vcpu(void)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(machine->vm, 0, fuzz_guest_code);
	gva_t gva = vm_alloc_page(machine->vm);

	vcpu_set_cpuid_property(vcpu, X86_PROPERTY_MAX_PHY_ADDR, machine->model.maxphyaddr);
	if (machine->model.has_msr)
		vcpu_set_cpuid_feature(vcpu, X86_FEATURE_KVM_MIGRATION_CONTROL);
	else
		vcpu_clear_cpuid_feature(vcpu, X86_FEATURE_KVM_MIGRATION_CONTROL);

	machine->todo = addr_gva2hva(machine->vm, gva);
	machine->call = &machine->todo->call;
	vcpu_args_set(vcpu, 1, gva);
	return vcpu;
}

static bool add_fuzz_vcpu(void)
{
	struct {
		struct kvm_signal_mask mask;
		u64 sigset;
	} __packed in_kvm = { .mask.len = sizeof(in_kvm.sigset) };
	int ret;

	if (machine->vcpu)
		return true;
	machine->vcpu = in_td() ? add_td_vcpu() : add_plain_vcpu();
	vcpu_ioctl(machine->vcpu, KVM_SET_SIGNAL_MASK, &in_kvm.mask);
	machine->model.has_vcpu = true;
	ret = run_vcpu();
	return ret == KVM_EXIT_IO || fail("the guest did not start, but %d", ret);
}

static void free_machine(struct machine *m)
{
	if (m->vm)
		kvm_vm_free(m->vm);
	*m = (struct machine) {};
}

/* Comparison with the model */

static bool is_answer(u32 reason, size_t offset)
{
	switch (reason) {
	case KVM_EXIT_HYPERCALL:
		return offset == offsetof(struct kvm_run, hypercall.ret);
	case KVM_EXIT_TDX:
		return offset >= offsetof(struct kvm_run, tdx.unknown);
	case KVM_EXIT_COCO_MAP_GPA_RANGE:
		return offset == offsetof(struct kvm_run, coco_map_gpa_range.ret) ||
		       offset == offsetof(struct kvm_run, coco_map_gpa_range.done);
	case KVM_EXIT_COCO_FATAL_ERROR:
		return false;
	default:
		return offset == offsetof(struct kvm_run, coco_get_quote.ret);
	}
}

static bool expect_exit(const struct model *m, bool with_answer)
{
	const u8 *run = (const u8 *)machine->vcpu->run;
	u32 reason = machine->vcpu->run->exit_reason;
	u64 got;
	int i;

	if (reason != m->reason)
		return fail("exit reason %u, not %u", reason, m->reason);
	for (i = 0; i < m->nr_fields; i++) {
		const struct model_field *field = &m->fields[i];

		if (!with_answer && is_answer(reason, field->offset))
			continue;
		got = 0;
		memcpy(&got, run + field->offset, field->size);
		if (got != field->value)
			return fail("exit %u: byte %zu of kvm_run has 0x%llx, not 0x%llx", reason,
				    field->offset, (unsigned long long)got,
				    (unsigned long long)field->value);
	}
	return true;
}

static bool expect_same_regs(const struct kvm_regs *got, const struct kvm_regs *want)
{
	const u64 *a = (const u64 *)got, *b = (const u64 *)want;
	int i;

	for (i = 0; i < ARRAY_SIZE(reg_names); i++)
		if (a[i] != b[i])
			return fail("%s is 0x%llx, not 0x%llx", reg_names[i],
				    (unsigned long long)a[i], (unsigned long long)b[i]);
	return true;
}

/* What the guest found after what it did last. */
static bool expect_results(const struct model *m)
{
	struct kvm_regs got = machine->call->out, want = m->regs;

	if (m->op != MODEL_HYPERCALL) {
		if (machine->todo->vector != m->vector)
			return fail("vector %llu, not %u",
				    (unsigned long long)machine->todo->vector, m->vector);
		if (m->op == MODEL_RDMSR && !m->vector && machine->todo->value != m->value)
			return fail("the MSR is 0x%llx, not 0x%llx",
				    (unsigned long long)machine->todo->value,
				    (unsigned long long)m->value);
		return true;
	}
	if (!got.rip)
		return fail("the instruction after the hypercall is skipped, too");
	want.rsp = machine->call->in.rsp;
	got.rip = want.rip;
	return expect_same_regs(&got, &want);
}

/* KVM_RUN has returned @got, the model says @want and has come to @m. */
static bool expect_outcome(const struct model *m, int got, int want, bool with_answer)
{
	if (got != want)
		return fail("KVM_RUN: %d, not %d", got, want);
	if (m->state == MODEL_ASKS && !expect_exit(m, with_answer))
		return false;
	if (m->state == MODEL_READY && !expect_results(m))
		return false;
	if (*machine->nr_nmis != m->nr_nmis)
		return fail("%llu NMIs, not %llu", (unsigned long long)*machine->nr_nmis,
			    (unsigned long long)m->nr_nmis);
	return true;
}

/* Steps */

static u64 preset(void)
{
	return machine->model.preset;
}

static bool run_and_compare(enum step_type how, u64 ret, u64 done)
{
	struct model *m = &machine->model;
	struct timespec now = {};
	sigset_t signals;
	int got, want;

	want = model_run(m, ret, done, how == STEP_IMM || how == STEP_SIG);

	switch (how) {
	case STEP_IMM:
		machine->vcpu->run->immediate_exit = 1;
		got = run_vcpu();
		machine->vcpu->run->immediate_exit = 0;
		break;
	case STEP_SIG:
		pthread_kill(pthread_self(), SIGUSR1);
		got = run_vcpu();
		sigemptyset(&signals);
		sigaddset(&signals, SIGUSR1);
		if (sigtimedwait(&signals, NULL, &now) != SIGUSR1)
			return fail("the signal was lost");
		break;
	case STEP_THR:
		start_job(JOB_RUN, 0);
		end_job();
		got = helper.result;
		break;
	default:
		got = run_vcpu();
	}
	return expect_outcome(m, got, want, true);
}

/*
 * A TD makes hypercalls with other registers, and writes and reads the MSR by TDVMCALLs.
 * Leaves that stand for an instruction and hypercalls that exist are not what this is
 * about, and become others.
 */
static enum model_op make_td_regs(const struct step *step, struct kvm_regs *regs)
{
	switch (step->type) {
	case STEP_MAP:
		regs->r10 = KVM_HC_MAP_GPA_RANGE;
		regs->r11 = step->args[0];
		regs->r12 = step->args[1];
		regs->r13 = step->args[2];
		break;
	case STEP_TD:
		if (regs->r11 < 64)
			regs->r11 += 64;
		regs->r12 = step->args[1];
		regs->r13 = step->args[2];
		regs->r10 = step->args[3];
		if (regs->r10 && regs->r10 < 16)
			regs->r10 += 16;
		break;
	case STEP_HC:
		regs->r10 = step->args[0];
		break;
	case STEP_WR:
		regs->r11 = MODEL_TD_WRMSR;
		regs->r12 = MSR_KVM_MIGRATION_CONTROL;
		regs->r13 = step->args[0];
		break;
	default:
		regs->r11 = MODEL_TD_RDMSR;
		regs->r12 = MSR_KVM_MIGRATION_CONTROL;
	}
	return MODEL_HYPERCALL;
}

static enum model_op make_regs(const struct step *step, struct kvm_regs *regs)
{
	*regs = new_regs(step->args[0]);
	if (in_td())
		return make_td_regs(step, regs);

	switch (step->type) {
	case STEP_MAP:
		regs->rax = KVM_HC_MAP_GPA_RANGE;
		regs->rbx = step->args[0];
		regs->rcx = step->args[1];
		regs->rdx = step->args[2];
		return MODEL_HYPERCALL;
	case STEP_HC:
		regs->rax = step->args[0];
		return MODEL_HYPERCALL;
	case STEP_WR:
		return MODEL_WRMSR;
	default:
		return MODEL_RDMSR;
	}
}

static bool do_guest_step(const struct step *step)
{
	struct todo *todo = machine->todo;
	struct kvm_regs regs;

	todo->op = make_regs(step, &regs);
	todo->value = step->args[0];
	todo->vector = -1ull;
	machine->call->in = regs;
	memset(&machine->call->out, 0xcc, sizeof(machine->call->out));
	model_start(&machine->model, todo->op, &regs, step->args[0]);
	return run_and_compare(STEP_RUN, 0, 0);
}

/* Have the guest get an answer, if there is one to get. */
static bool settle(void)
{
	struct model *m = &machine->model;
	int i;

	for (i = 0; i < 3 && m->state != MODEL_READY; i++)
		if (!run_and_compare(STEP_RUN, preset(), 0))
			return false;
	for (i = 0; i < 3 && m->state != MODEL_READY; i++) {
		write_answer(m->reason, EINVAL, 0);
		if (!run_and_compare(STEP_RUN, EINVAL, 0))
			return false;
	}
	return m->state == MODEL_READY || fail("the guest asks for ever");
}

static bool do_race(u64 ret, u64 done)
{
	const struct { u64 ret, done; } seen[] = {
		{ preset(), 0 }, { ret, done }, { preset(), done }, { ret, 0 },
	};
	struct model before = machine->model;
	int i, got, want;

	helper.ret = ret;
	helper.done = done;
	start_job(JOB_ANSWER, fuzz_mix(ret ^ done ^ report->nr_exits));
	got = run_vcpu();
	end_job();
	/* An answer that comes too late is written over the number of the port. */
	if (got == KVM_EXIT_EXCEPTION && machine->vcpu->run->exit_reason == KVM_EXIT_IO)
		got = KVM_EXIT_IO;
	for (i = 0; i < ARRAY_SIZE(seen); i++) {
		machine->model = before;
		want = model_run(&machine->model, seen[i].ret, seen[i].done, false);
		if (!expect_outcome(&machine->model, got, want, false))
			continue;
		/* The answer may have come too late, i.e. be one to what is asked now. */
		if (machine->model.state == MODEL_ASKS)
			write_answer(machine->model.reason, preset(), 0);
		report->what[0] = 0;
		return true;
	}
	return false;
}

/* What KVM looks at besides the answer: it has to stay as it is. */
static void keep_reserved(const struct kvm_run *before)
{
	struct kvm_run *run = machine->vcpu->run;

	switch (machine->model.reason) {
	case KVM_EXIT_COCO_SETUP_EVENT_NOTIFY:
		run->coco_setup_event_notify.reserved = before->coco_setup_event_notify.reserved;
		fallthrough;
	case KVM_EXIT_COCO_GET_QUOTE:
	case KVM_EXIT_COCO_MIGRATION_CONTROL:
		run->coco_get_quote.flags = before->coco_get_quote.flags;
		break;
	case KVM_EXIT_COCO_MAP_GPA_RANGE:
		run->coco_map_gpa_range.flags = before->coco_map_gpa_range.flags;
		run->coco_map_gpa_range.reserved = before->coco_map_gpa_range.reserved;
		break;
	}
}

static void do_scribble(u64 seed)
{
	struct kvm_run *run = machine->vcpu->run;
	struct kvm_run before = *run;

	scribble(seed);
	if (machine->model.state != MODEL_ASKS)
		return;
	if (machine->model.reason == KVM_EXIT_TDX)
		run->tdx = before.tdx;
	else if (machine->model.reason == KVM_EXIT_HYPERCALL)
		write_answer(KVM_EXIT_HYPERCALL, before.hypercall.ret, 0);
	else
		write_answer(machine->model.reason, before.coco_map_gpa_range.ret,
			     before.coco_map_gpa_range.done);
	keep_reserved(&before);
}

static bool do_regs(u64 seed)
{
	struct kvm_regs got, want = machine->model.regs;
	u64 *reg = (u64 *)&machine->model.regs;
	int i;

	vcpu_regs_get(machine->vcpu, &got);
	want.rsp = got.rsp;
	if (!expect_same_regs(&got, &want))
		return false;
	for (i = 0; i < ARRAY_SIZE(reg_names) && seed; i++) {
		if (i != offsetof(struct kvm_regs, rsp) / sizeof(u64) &&
		    fuzz_mix(seed + i) % 4 == 0)
			reg[i] = fuzz_mix(seed * 64 + i);
		if (i == offsetof(struct kvm_regs, r15) / sizeof(u64))
			break;
	}
	want = machine->model.regs;
	want.rsp = got.rsp;
	vcpu_regs_set(machine->vcpu, &want);
	return true;
}

static void do_move(void)
{
	struct kvm_regs regs;

	vcpu_regs_get(machine->vcpu, &regs);
	regs.rip += MODEL_INSN_SIZE;
	vcpu_regs_set(machine->vcpu, &regs);
	machine->model.regs.rip = regs.rip;
	machine->model.is_moved = true;
}

static bool do_cap(const struct step *step)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_COCO_EXITS,
		.flags = step->args[2],
		.args = { step->args[0], step->args[1] },
	};
	bool works = model_enable_exits(&machine->model, cap.args[0], cap.args[1], cap.flags);
	int want = works ? 0 : EINVAL;
	int got = __vm_ioctl(machine->vm, KVM_ENABLE_CAP, &cap) ? errno : 0;

	return got == want || fail("KVM_ENABLE_CAP: errno %d, not %d", got, want);
}

static bool do_msr(u64 value)
{
	u64 msr = vcpu_get_msr(machine->vcpu, MSR_KVM_MIGRATION_CONTROL);
	int got, want;

	if (msr != model_get_msr(&machine->model))
		return fail("KVM_GET_MSRS: 0x%llx, not 0x%llx", (unsigned long long)msr,
			    (unsigned long long)model_get_msr(&machine->model));
	want = model_set_msr(&machine->model, value);
	got = _vcpu_set_msr(machine->vcpu, MSR_KVM_MIGRATION_CONTROL, value);
	return got == want || fail("KVM_SET_MSRS: %d, not %d", got, want);
}

static void chaos_request(int i)
{
	/* A range that no other step has. */
	struct step step = { STEP_MAP, { 0x7777000, 0x333, 1 } };
	struct kvm_regs regs;

	if (!(i % 7))
		step = (struct step) { STEP_WR, { i / 7 & 1 } };
	else if (in_td() && !(i & 1))
		step = (struct step) {
			STEP_TD,
			{ MODEL_GET_TD_VM_CALL_INFO + i % 5, SHARED | 0x7777000, 0x333000 },
		};
	machine->todo->op = make_regs(&step, &regs);
	machine->todo->value = step.args[0];
	machine->call->in = regs;
}

/* Neither the guest nor userspace knows what it does: KVM has to survive it. */
static bool do_chaos(u64 flags, u64 nr_runs)
{
	struct model *m = &machine->model;
	bool closes = flags & (CHAOS_CLOSE_VM | CHAOS_CLOSE_VCPU), known;
	struct kvm_run *run = machine->vcpu->run;
	int i, k, ret;

	if (!settle())
		return false;
	if (closes)
		start_job(JOB_CLOSE, fuzz_mix(nr_runs) << 1 | !!(flags & CHAOS_CLOSE_VCPU));
	else
		start_job(JOB_SCRIBBLE, nr_runs * 0x100000);
	for (i = 0; i < nr_runs % 64 + 1; i++) {
		chaos_request(i);
		/* The exit reason may be anything. */
		report->nr_exits++;
		ret = __vcpu_run(machine->vcpu) ? errno : 0;
		for (k = 0, known = !ret; k < ARRAY_SIZE(chaos_errnos); k++)
			known |= ret == chaos_errnos[k];
		if (!known)
			fail("KVM_RUN in chaos: errno %d", ret);
	}
	end_job();
	run->immediate_exit = 0;
	if (report->what[0])
		return false;
	if (closes && (flags & CHAOS_CLOSE_VCPU)) {
		machine->vcpu_closed = true;
		return true;
	}
	machine->vm_closed |= closes;

	/* Back to where the model knows what comes next. */
	for (i = 0; i < 64; i++) {
		/* If that is refused, KVM puts all else right. */
		run->hypercall.ret = EINVAL;
		run->coco_get_quote.ret = EINVAL;
		chaos_request(1);
		ret = run_vcpu();
		if (ret == KVM_EXIT_IO)
			break;
		if (ret < 0 && ret != -EINVAL)
			return fail("KVM_RUN after chaos: %d", ret);
	}
	if (ret != KVM_EXIT_IO)
		return fail("the guest does not come back after chaos, but %d", ret);
	if (!in_td() && _vcpu_set_msr(machine->vcpu, MSR_KVM_MIGRATION_CONTROL, 0) != 1)
		return fail("KVM_SET_MSRS after chaos");
	m->nr_nmis += m->nmi_pending;
	m->nmi_pending = false;
	m->msr = 0;
	return true;
}

/*
 * Steps that have no sense where they are do nothing, so that any can be left out.  In a
 * TD, they are those that read or write what userspace has no access to, and elsewhere
 * TDVMCALLs.
 */
static bool do_step(const struct step *step)
{
	struct model *m = &machine->model;
	bool asks_hypercall;

	if (step->type == STEP_SWAP) {
		use_machine(machine == machines);
		return true;
	}
	if (step->type == STEP_NEW) {
		free_machine(machine);
		use_machine(machine - machines);
		return true;
	}
	if (step->type == STEP_CAP)
		return machine->vm_closed || do_cap(step);
	if (machine->vcpu_closed)
		return true;
	if (!add_fuzz_vcpu())
		return false;

	if (step->type < NR_GUEST_STEPS)
		return (step->type == STEP_TD && !in_td()) || (settle() && do_guest_step(step));

	asks_hypercall = m->state == MODEL_ASKS && m->op == MODEL_HYPERCALL;
	switch (step->type) {
	case STEP_ANS:
	case STEP_IMM:
	case STEP_SIG:
	case STEP_THR:
		/* If KVM has one already, it must not take another one. */
		write_answer(m->reason, step->args[0], step->args[1]);
		return m->state == MODEL_READY ||
		       run_and_compare(step->type, step->args[0], step->args[1]);
	case STEP_RUN:
		return m->state == MODEL_READY || run_and_compare(STEP_RUN, preset(), 0);
	case STEP_RACE:
		return m->state != MODEL_ASKS || do_race(step->args[0], step->args[1]);
	case STEP_SCR:
		do_scribble(step->args[0]);
		return true;
	case STEP_REGS:
		return !asks_hypercall || in_td() || do_regs(step->args[0]);
	case STEP_MOVE:
		/* KVM_EXIT_HYPERCALL of a hypercall has always ignored RIP. */
		if (asks_hypercall && !m->is_moved && !in_td() &&
		    m->reason != KVM_EXIT_HYPERCALL)
			do_move();
		return true;
	case STEP_NMI:
		if (!m->nmi_pending)
			vcpu_ioctl(machine->vcpu, KVM_NMI, NULL);
		m->nmi_pending = true;
		return true;
	case STEP_MSR:
		return in_td() || do_msr(step->args[0]);
	case STEP_CLOSE:
		if (!machine->vm_closed)
			close_machine(false);
		machine->vm_closed = true;
		return true;
	case STEP_CHAOS:
		return do_chaos(step->args[0], step->args[1]);
	default:
		return true;
	}
}

static u64 read_taint(void)
{
	char text[32] = {};

	return pread(taint_fd, text, sizeof(text) - 1, 0) > 0 ? strtoull(text, NULL, 10) : 0;
}

/* VMs are destroyed wherever the last step has left them. */
static bool run_case(const struct fuzz_case *c)
{
	u64 taint = read_taint();
	bool ok = true;
	int i;

	report->what[0] = 0;
	running = c;
	td = fuzz_vm_types[c->vm_type] == KVM_X86_TDX_VM ? &td_kinds[0] : NULL;
	use_machine(0);
	for (i = 0; i < c->nr_steps && ok; i++) {
		report->step = i;
		ok = do_step(&c->steps[i]);
	}
	for (i = 0; i < NR_MACHINES; i++)
		free_machine(&machines[i]);
	if (ok && read_taint() & ~taint) {
		report->is_taint = true;
		return fail("the kernel is tainted: 0x%llx, see its log",
			    (unsigned long long)(read_taint() & ~taint));
	}
	return ok;
}

/* Processes: one that a bug of KVM may end, and one that says so. */

static void die(void)
{
	_exit(1);
}

static bool survives(void (*run)(const void *arg), const void *arg)
{
	int status;
	pid_t pid;

	report->what[0] = 0;
	report->is_taint = false;
	fflush(NULL);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork");
	if (!pid) {
		sigset_t signals;

		sigemptyset(&signals);
		sigaddset(&signals, SIGUSR1);
		sigprocmask(SIG_BLOCK, &signals, NULL);
		alarm(CASE_SECONDS);
		run(arg);
		_exit(0);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return true;
	if (WIFSIGNALED(status))
		fail("signal %d", WTERMSIG(status));
	else if (!report->what[0])
		fail("exit status %d", WEXITSTATUS(status));
	return false;
}

static void run_one(const void *arg)
{
	if (!run_case(arg))
		die();
}

struct work {
	u64 seed;
	enum fuzzer fuzzer;
	int vm_type;
	u64 first, end;
	u64 nr_exits;
	time_t deadline;
};

static void run_many(const void *arg)
{
	const struct work *work = arg;
	static struct fuzz_case c;
	u64 nr;

	for (nr = work->first; nr < work->end; nr++) {
		if (report->nr_exits >= work->nr_exits ||
		    (work->deadline && time(NULL) >= work->deadline))
			return;
		alarm(CASE_SECONDS);
		report->case_nr = nr;
		fuzz_make_case(&c, work->seed, work->fuzzer, work->vm_type, nr);
		if (kmsg) {
			fprintf(kmsg, "coco_exits_fuzz: -s %llu -f %s -v %s -n %llu\n",
				(unsigned long long)work->seed, fuzzer_names[work->fuzzer],
				fuzz_vm_names[work->vm_type], (unsigned long long)nr);
			fflush(kmsg);
		}
		if (!run_case(&c))
			die();
	}
}

/* Leave out as many steps, and clear as many numbers, as can be. */
static void shrink(struct fuzz_case *c)
{
	static struct fuzz_case candidate;
	int nr_tries = 0, size, i, k;
	u64 *number;

	for (size = c->nr_steps / 2; size; size /= 2) {
		for (i = 0; i < c->nr_steps && nr_tries < MAX_SHRINKS;) {
			int nr = min(size, c->nr_steps - i);

			candidate = *c;
			memmove(&candidate.steps[i], &candidate.steps[i + nr],
				sizeof(struct step) * (c->nr_steps - i - nr));
			candidate.nr_steps -= nr;
			nr_tries++;
			if (survives(run_one, &candidate))
				i += nr;
			else
				*c = candidate;
		}
	}
	for (i = 0; i < c->nr_steps; i++) {
		for (k = 0; k < fuzz_step_names[c->steps[i].type].nr_args; k++) {
			candidate = *c;
			number = &candidate.steps[i].args[k];
			if (!*number || nr_tries++ >= MAX_SHRINKS)
				continue;
			*number = 0;
			if (!survives(run_one, &candidate))
				*c = candidate;
		}
	}
}

static void report_failure(struct fuzz_case *c, bool can_shrink)
{
	static char text[MAX_TEXT];

	ksft_print_msg("step %d (%s): %s\n", report->step,
		       fuzz_step_names[c->steps[report->step].type].name, report->what);
	if (report->is_taint || !can_shrink) {
		fuzz_print_case(c, text);
		ksft_print_msg("case: %s\n", text);
		return;
	}
	if (survives(run_one, c)) {
		fuzz_print_case(c, text);
		ksft_print_msg("does not fail by itself: %s\n", text);
		return;
	}
	shrink(c);
	fuzz_print_case(c, text);
	ksft_print_msg("smaller: %s\n", text);
	if (survives(run_one, c))
		ksft_print_msg("smaller: does not fail each time\n");
	else
		ksft_print_msg("smaller: step %d: %s\n", report->step, report->what);
}

static bool is_supported(int vm_type)
{
	return kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(fuzz_vm_types[vm_type]);
}

static void run_text(char *text, int line)
{
	static struct fuzz_case c;

	if (!fuzz_read_case(text, &c)) {
		ksft_test_result_fail("line %d cannot be read\n", line);
		return;
	}
	if (!is_supported(c.vm_type)) {
		ksft_test_result_skip("line %d: KVM has no such VMs\n", line);
		return;
	}
	if (survives(run_one, &c)) {
		ksft_test_result_pass("line %d\n", line);
		return;
	}
	report_failure(&c, false);
	ksft_test_result_fail("line %d\n", line);
}

/* Calls @run, if any, for each case, and returns how many there are. */
static int read_corpus(const char *path, void (*run)(char *text, int line))
{
	static char text[MAX_TEXT];
	FILE *file = fopen(path, "r");
	int nr = 0, line;

	TEST_ASSERT(file, "%s: %s", path, strerror(errno));
	for (line = 1; fgets(text, sizeof(text), file); line++) {
		text[strcspn(text, " #\n")] = 0;
		if (!text[0])
			continue;
		nr++;
		if (run)
			run(text, line);
	}
	fclose(file);
	return nr;
}

static void fuzz(struct work *work)
{
	static struct fuzz_case c;
	double seconds;
	struct timespec start;

	clock_gettime(CLOCK_MONOTONIC, &start);
	report->nr_exits = 0;
	report->case_nr = work->first;
	if (!survives(run_many, work)) {
		ksft_print_msg("fails: -s %llu -f %s -v %s -n %llu, after %llu exits\n",
			       (unsigned long long)work->seed, fuzzer_names[work->fuzzer],
			       fuzz_vm_names[work->vm_type], (unsigned long long)report->case_nr,
			       (unsigned long long)report->nr_exits);
		seconds = timespec_to_ns(timespec_elapsed(start)) / 1e9;
		ksft_print_msg("found in %.1f s\n", seconds);
		fuzz_make_case(&c, work->seed, work->fuzzer, work->vm_type, report->case_nr);
		report_failure(&c, true);
		ksft_test_result_fail("%s, %s\n", fuzzer_names[work->fuzzer],
				      fuzz_vm_names[work->vm_type]);
		return;
	}
	seconds = timespec_to_ns(timespec_elapsed(start)) / 1e9;
	ksft_print_msg("%s, %s: %llu cases, %llu exits, %.1f s, %.0f exits a second\n",
		       fuzzer_names[work->fuzzer], fuzz_vm_names[work->vm_type],
		       (unsigned long long)(report->case_nr + 1 - work->first),
		       (unsigned long long)report->nr_exits, seconds,
		       report->nr_exits / seconds);
	ksft_test_result_pass("%s, %s\n", fuzzer_names[work->fuzzer],
			      fuzz_vm_names[work->vm_type]);
}

static int option_name(const char *name, const char * const *names, int nr)
{
	int i = fuzz_find_name(name, names, nr);

	if (i < 0)
		ksft_exit_fail_msg("%s: no such fuzzer or VM\n", name);
	return i;
}

static void help_and_exit(const char *name)
{
	printf("usage: %s [-h] [-s seed] [-f fuzzer] [-v VM] [-n case] [-e exits] [-t seconds]\n"
	       "       [-c file] [-r] [-x case] [-k]\n", name);
	printf(" -s: seed (default: SEED of the environment, or the time)\n");
	printf(" -f: one fuzzer only, guest or user\n");
	printf(" -v: one type of VM only, default or td\n");
	printf(" -n: one case only, by its number\n");
	printf(" -e: end after that many exits in all (default: %d)\n", DEFAULT_EXITS);
	printf(" -t: end after that many seconds in all\n");
	printf(" -c: run the cases in file first, one in a line\n");
	printf(" -r: nothing but them\n");
	printf(" -x: run this case and nothing else\n");
	printf(" -k: name each case in the kernel's log, for bugs that end the machine\n");
	exit(0);
}

int main(int argc, char *argv[])
{
	const char *corpus = NULL, *env = getenv("SEED");
	int opt, i, nr_work = 0, nr_tests = 0, only_fuzzer = -1, only_type = -1;
	u64 seed = env && *env ? strtoull(env, NULL, 0) : time(NULL);
	u64 nr_exits = DEFAULT_EXITS, seconds = 0;
	struct work works[NR_FUZZERS * NR_FUZZ_VMS];
	bool corpus_only = false, has_nr = false;
	char *text = NULL;
	u64 nr = 0;

	while ((opt = getopt(argc, argv, "hs:f:v:n:e:t:c:rx:k")) != -1) {
		switch (opt) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'f':
			only_fuzzer = option_name(optarg, fuzzer_names, NR_FUZZERS);
			break;
		case 'v':
			only_type = option_name(optarg, fuzz_vm_names, ARRAY_SIZE(fuzz_vm_names));
			break;
		case 'n':
			nr = strtoull(optarg, NULL, 0);
			has_nr = true;
			break;
		case 'e':
			nr_exits = strtoull(optarg, NULL, 0);
			break;
		case 't':
			seconds = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			corpus = optarg;
			break;
		case 'r':
			corpus_only = true;
			break;
		case 'x':
			text = optarg;
			break;
		case 'k':
			kmsg = fopen("/dev/kmsg", "w");
			break;
		default:
			help_and_exit(argv[0]);
		}
	}

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_COCO_EXITS) & KVM_COCO_EXIT_MAP_GPA_RANGE);
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(report != MAP_FAILED, "mmap");
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	taint_fd = open("/proc/sys/kernel/tainted", O_RDONLY | O_CLOEXEC);

	ksft_print_header();
	if (text) {
		ksft_set_plan(1);
		run_text(text, 1);
		ksft_finished();
	}

	for (i = 0; i < ARRAY_SIZE(works) && !corpus_only; i++) {
		works[nr_work] = (struct work) {
			.seed = seed,
			.fuzzer = i % NR_FUZZERS,
			.vm_type = i / NR_FUZZERS,
			.first = nr,
			.end = has_nr ? nr + 1 : -1ull,
		};
		if ((only_fuzzer < 0 || only_fuzzer == works[nr_work].fuzzer) &&
		    (only_type < 0 || only_type == works[nr_work].vm_type) &&
		    is_supported(works[nr_work].vm_type))
			nr_work++;
	}
	if (corpus)
		nr_tests = read_corpus(corpus, NULL);
	TEST_REQUIRE(nr_tests + nr_work);
	ksft_set_plan(nr_tests + nr_work);
	ksft_print_msg("seed %llu\n", (unsigned long long)seed);
	if (corpus)
		read_corpus(corpus, run_text);
	for (i = 0; i < nr_work; i++) {
		works[i].nr_exits = nr_exits / nr_work + 1;
		if (seconds)
			works[i].deadline = time(NULL) + seconds / nr_work + 1;
		fuzz(&works[i]);
	}
	ksft_finished();
}
