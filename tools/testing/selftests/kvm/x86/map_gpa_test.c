// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that change the encryption status of their memory: KVM_HC_MAP_GPA_RANGE of
 * default VMs and TDG.VP.VMCALL<MapGPA> of TDs, as KVM_EXIT_HYPERCALL and as
 * KVM_EXIT_COCO_MAP_GPA_RANGE.
 */
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "hypercall_guest.h"
#include "apic.h"
#include "shared_ranges.h"

#define MAP_GPA			0x10001

#define STATUS_SUCCESS		0ull
#define STATUS_RETRY		1ull
#define STATUS_INVALID_OPERAND	0x8000000000000000ull
#define STATUS_ALIGN_ERROR	0x8000000000000002ull
#define STATUS_UNSUPPORTED	0x8000000000000003ull

#define SIZE_4K			0x1000ull
#define SIZE_2M			0x200000ull
#define SIZE_1G			0x40000000ull
#define SIZE_1T			0x10000000000ull

#define ATTR_PRIVATE		KVM_MAP_GPA_RANGE_ENCRYPTED

/* Room for 1TiB, and more than the guest has memory. */
#define MAXPHYADDR		46
#define LIMIT			BIT_ULL(MAXPHYADDR)

#define RFLAGS_IF		BIT_ULL(9)
#define TIMER_VECTOR		0x40

/* Timers of TDs count with 25 MHz.  Long enough for a guest that is to ask meanwhile. */
#define TD_TIMER_MS		100
#define TD_TIMER_TICKS		(TD_TIMER_MS * 25000)

/* Instruction.WRMSR */
#define VMCALL_WRMSR		32

#define NR_RANDOM_REQUESTS	400
#define NR_VCPU_REQUESTS	150
/* Pages of which the random tests change the status, at 4GiB */
#define NR_PAGES		2048
#define FIRST_GPA		(4 * SIZE_1G)

#define MAX_SECONDS		600

/* The two ways in which a guest can ask. */
enum producer {
	HYPERCALL,
	TDVMCALL,
	NR_PRODUCERS,
};

static const char * const producer_names[] = { "hypercall", "TDVMCALL" };

static u32 vm_type_of(enum producer producer)
{
	return producer == TDVMCALL ? KVM_X86_TDX_VM : VM_TYPE_DEFAULT;
}

/* What userspace wants to get. */
enum exits {
	NONE,
	LEGACY,
	OWN,
	BOTH,
};

struct request {
	enum producer producer;
	u64 gpa;
	u64 size;
	bool private;
	/* of hypercalls */
	u64 attrs;
};

static u64 nr_events;

static void count_event(struct ex_regs *regs)
{
	WRITE_ONCE(nr_events, READ_ONCE(nr_events) + 1);
}

static struct kvm_vm *create_map_vm(enum producer producer, enum exits exits)
{
	struct kvm_vm *vm = create_vm(vm_type_of(producer),
				      exits >= OWN ? KVM_COCO_EXIT_MAP_GPA_RANGE : 0);

	if (exits == LEGACY || exits == BOTH)
		vm_enable_cap(vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));
	/* A TD counts them by itself. */
	if (is_tdx_vm(vm))
		return vm;
	vm_install_exception_handler(vm, NMI_VECTOR, count_event);
	vm_install_exception_handler(vm, TIMER_VECTOR, count_event);
	return vm;
}

static struct guest create_guest(enum producer producer, enum exits exits)
{
	struct kvm_vm *vm = create_map_vm(producer, exits);

	return add_vcpu(vm, MAXPHYADDR);
}

static struct kvm_regs regs_of(const struct request *request)
{
	struct kvm_regs regs = new_regs(MAP_GPA);

	if (request->producer == TDVMCALL) {
		regs.r12 = request->gpa | (request->private ? 0 : SHARED);
		regs.r13 = request->size;
	} else {
		regs.rax = KVM_HC_MAP_GPA_RANGE;
		regs.rbx = request->gpa;
		regs.rcx = request->size / SIZE_4K;
		regs.rdx = request->attrs | (request->private ? ATTR_PRIVATE : 0);
	}
	return regs;
}

/* The registers with which the guest goes on; @next is where it is to go on. */
static bool expect_result(struct guest *guest, int ret, const struct request *request,
			  int err, u64 status, u64 next)
{
	struct kvm_regs regs = regs_of(request);

	regs.rflags = guest->call->in.rflags;
	if (request->producer == HYPERCALL) {
		regs.rax = -(u64)err;
	} else {
		regs.rax = 0;
		regs.r10 = status;
		if (status)
			regs.r11 = next | (regs.r12 & SHARED);
	}
	return expect_back(guest, ret, &regs);
}

static bool expect_success(struct guest *guest, int ret, const struct request *request)
{
	return expect_result(guest, ret, request, 0, STATUS_SUCCESS, 0);
}

static u32 flags_of(const struct request *request)
{
	return (request->private ? KVM_COCO_MAP_GPA_RANGE_PRIVATE : 0) |
	       (request->producer == TDVMCALL ? KVM_COCO_MAP_GPA_RANGE_CAN_RETRY : 0);
}

/* All of the exit, for what is left of @request after @done bytes. */
static bool expect_range(struct guest *guest, int ret, const struct request *request,
			 u64 done)
{
	struct kvm_coco_map_gpa_range *got = &guest->vcpu->run->coco_map_gpa_range;
	struct kvm_coco_map_gpa_range want = {
		.ret = EOPNOTSUPP,
		.flags = flags_of(request),
		.gpa = request->gpa + done,
		.size = request->size - done,
		.page_shift = 12,
	};

	if (request->producer == HYPERCALL)
		want.page_shift += 9 * (request->attrs & 3);
	if (!expect(ret == KVM_EXIT_COCO_MAP_GPA_RANGE, "no exit, but %d (%s)", ret,
		    outcome_str(ret))) {
		recover(guest, ret);
		return false;
	}
	return expect(!memcmp(got, &want, sizeof(want)),
		      "exit: ret %u, flags 0x%x, 0x%llx + 0x%llx, done 0x%llx, shift %u, reserved %u",
		      got->ret, got->flags, got->gpa, got->size, got->done, got->page_shift,
		      got->reserved);
}

/* @preset is what the guest gets if userspace does not answer. */
static bool expect_hypercall_preset(struct guest *guest, int ret, const struct request *request,
				    u64 gpa, u64 size, u64 preset)
{
	struct kvm_run *run = guest->vcpu->run;
	u64 attrs = request->private ? ATTR_PRIVATE : 0;

	if (request->producer == HYPERCALL)
		attrs |= request->attrs;
	if (!expect(ret == KVM_EXIT_HYPERCALL, "no exit, but %d (%s)", ret, outcome_str(ret))) {
		recover(guest, ret);
		return false;
	}
	return expect(run->hypercall.nr == KVM_HC_MAP_GPA_RANGE &&
		      run->hypercall.ret == preset &&
		      run->hypercall.flags == KVM_EXIT_HYPERCALL_LONG_MODE &&
		      run->hypercall.args[0] == gpa && run->hypercall.args[1] == size / SIZE_4K &&
		      run->hypercall.args[2] == attrs,
		      "exit: nr %llu, ret %llu, flags 0x%llx, 0x%llx + %llu pages, 0x%llx",
		      run->hypercall.nr, run->hypercall.ret, run->hypercall.flags,
		      run->hypercall.args[0], run->hypercall.args[1], run->hypercall.args[2]);
}

static bool expect_hypercall(struct guest *guest, int ret, const struct request *request,
			     u64 gpa, u64 size)
{
	return expect_hypercall_preset(guest, ret, request, gpa, size, 0);
}

static int ask(struct guest *guest, const struct request *request)
{
	struct kvm_regs regs = regs_of(request);

	return start(guest, &regs);
}

static void set_answer(struct guest *guest, u32 err, u64 done)
{
	guest->vcpu->run->coco_map_gpa_range.ret = err;
	guest->vcpu->run->coco_map_gpa_range.done = done;
}

static int answer(struct guest *guest, u32 err, u64 done)
{
	set_answer(guest, err, done);
	return enter(guest);
}

static int answer_hypercall(struct guest *guest, u64 err)
{
	guest->vcpu->run->hypercall.ret = err;
	return enter(guest);
}

static void about_request(const struct request *request)
{
	about("%s, 0x%llx + 0x%llx, %s, attributes 0x%llx", producer_names[request->producer],
	      (unsigned long long)request->gpa, (unsigned long long)request->size,
	      request->private ? "private" : "shared", (unsigned long long)request->attrs);
}

static u64 random_below(u64 limit)
{
	return ((u64)random() << 31 ^ random()) % limit;
}

static void test_capability(enum producer producer)
{
	u64 bits = KVM_COCO_EXIT_MAP_GPA_RANGE | KVM_COCO_EXIT_MIGRATION_CONTROL;
	struct kvm_vm *vm = create_vm(vm_type_of(producer), 0);
	int caps = vm_check_cap(vm, KVM_CAP_COCO_EXITS), ret;

	about("VM type %u", vm_type_of(producer));
	/* A TD is not migrated by what it says in an MSR. */
	if (is_tdx_vm(vm)) {
		ret = __vm_enable_cap(vm, KVM_CAP_COCO_EXITS, bits);
		expect(ret && errno == EINVAL, "migration control of a TD: %d", ret);
		bits = KVM_COCO_EXIT_MAP_GPA_RANGE;
	}
	expect((caps & bits) == bits, "KVM_CHECK_EXTENSION: 0x%x", caps);
	ret = __vm_enable_cap(vm, KVM_CAP_COCO_EXITS, bits);
	expect(!ret, "errno %d", errno);
	ret = __vm_enable_cap(vm, KVM_CAP_COCO_EXITS, bits | KVM_COCO_EXIT_GET_QUOTE);
	expect(!ret == (producer == TDVMCALL), "with GetQuote: %d", ret);
	kvm_vm_free(vm);
}

static void test_disabled(enum producer producer)
{
	struct request request = { producer, FIRST_GPA, SIZE_4K, true };
	struct guest guest = create_guest(producer, NONE);

	about("neither capability");
	expect_result(&guest, ask(&guest, &request), &request, KVM_ENOSYS,
		      STATUS_UNSUPPORTED, request.gpa);
	free_guest(&guest);
}

static void test_valid(enum producer producer)
{
	static const struct { u64 gpa, size; } ranges[] = {
		{ 0, SIZE_4K },
		{ FIRST_GPA, SIZE_4K },
		{ FIRST_GPA, 511 * SIZE_4K },
		{ FIRST_GPA, 512 * SIZE_4K },
		{ FIRST_GPA, 513 * SIZE_4K },
		{ FIRST_GPA - SIZE_4K, 513 * SIZE_4K },
		{ FIRST_GPA, SIZE_1G },
		{ FIRST_GPA + SIZE_4K, SIZE_1G },
		{ FIRST_GPA, SIZE_1T },
		{ LIMIT - SIZE_4K, SIZE_4K },
		{ 0, LIMIT },
	};
	struct guest guest = create_guest(producer, OWN);
	int i, private, attrs;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (private = 0; private < 2; private++) {
			for (attrs = 0; attrs < (producer == HYPERCALL ? 3 : 1); attrs++) {
				struct request request = {
					producer, ranges[i].gpa, ranges[i].size, private, attrs,
				};

				about_request(&request);
				if (expect_range(&guest, ask(&guest, &request), &request, 0))
					expect_success(&guest, answer(&guest, 0, request.size),
						       &request);
			}
		}
	}
	free_guest(&guest);
}

/* Userspace gets to see none of these. */
static void test_invalid(enum producer producer)
{
	static const struct { u64 gpa, size; } ranges[] = {
		{ FIRST_GPA, 0 },
		{ LIMIT, SIZE_4K },
		{ LIMIT - SIZE_4K, 2 * SIZE_4K },
		{ 0, LIMIT + SIZE_4K },
		{ SIZE_4K, LIMIT },
		{ BIT_ULL(50), SIZE_4K },
		{ FIRST_GPA, BIT_ULL(63) },
		{ FIRST_GPA, -SIZE_4K },
		{ FIRST_GPA, -FIRST_GPA },
		{ FIRST_GPA, -FIRST_GPA + SIZE_4K },
	};
	static const u64 odd[] = { 1, 0x10, 0x800, 0xfff };
	struct guest guest = create_guest(producer, OWN);
	struct kvm_regs regs, want;
	struct request request;
	int i;

	for (i = 0; i < ARRAY_SIZE(ranges) * 2; i++) {
		request = (struct request) {
			producer, ranges[i / 2].gpa, ranges[i / 2].size, i & 1,
		};
		about_request(&request);
		expect_result(&guest, ask(&guest, &request), &request, EINVAL,
			      STATUS_INVALID_OPERAND, request.gpa);
	}

	for (i = 0; i < ARRAY_SIZE(odd); i++) {
		request = (struct request) { producer, FIRST_GPA + odd[i], SIZE_4K };
		about_request(&request);
		expect_result(&guest, ask(&guest, &request), &request, EINVAL,
			      STATUS_ALIGN_ERROR, request.gpa);
		if (producer == HYPERCALL)
			continue;
		request = (struct request) { producer, FIRST_GPA, SIZE_4K + odd[i] };
		about_request(&request);
		expect_result(&guest, ask(&guest, &request), &request, EINVAL,
			      STATUS_ALIGN_ERROR, request.gpa);
	}

	if (producer == HYPERCALL) {
		/* As bytes, these are small numbers. */
		for (i = 52; i < 64; i++) {
			request = (struct request) { producer, FIRST_GPA, SIZE_4K };
			regs = regs_of(&request);
			regs.rcx = BIT_ULL(i) + 1;
			want = regs;
			want.rax = -KVM_EINVAL;
			about("2^%d + 1 pages", i);
			expect_back(&guest, start(&guest, &regs), &want);
		}
		for (i = 3; i < 16; i++) {
			request = (struct request) { producer, FIRST_GPA, SIZE_4K, i & 1, i };
			about_request(&request);
			expect_result(&guest, ask(&guest, &request), &request, EINVAL, 0, 0);
		}
		for (i = 5; i < 64; i++) {
			request = (struct request) {
				producer, FIRST_GPA, SIZE_4K, i & 1, BIT_ULL(i)
			};
			about_request(&request);
			expect_result(&guest, ask(&guest, &request), &request, EINVAL, 0, 0);
		}
	}
	free_guest(&guest);
}

/* KVM takes them all, whatever CPUs have; 76 - PAGE_SHIFT is no shift of 64 bits. */
static void test_maxphyaddr(enum producer producer)
{
	static const u8 bits[] = { 52, 63, 64, 65, 76, 128, 255 };
	struct request request = { producer, FIRST_GPA, SIZE_4K, true };
	/* No guest can have more, and 2^64 bytes are 0. */
	struct request most = { producer, 0, producer == TDVMCALL ? SHARED : BIT_ULL(52), true };
	struct request all = { HYPERCALL, 0, 0, true };
	struct kvm_regs regs, want;
	struct guest guest;
	int i;

	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		guest = add_vcpu(create_map_vm(producer, OWN), bits[i]);
		about("MAXPHYADDR %u", bits[i]);
		if (expect_range(&guest, ask(&guest, &request), &request, 0))
			expect_success(&guest, answer(&guest, 0, request.size), &request);
		if (expect_range(&guest, ask(&guest, &most), &most, 0))
			expect_success(&guest, answer(&guest, 0, most.size), &most);
		if (producer == HYPERCALL) {
			about("MAXPHYADDR %u, 2^52 pages", bits[i]);
			regs = regs_of(&all);
			regs.rcx = BIT_ULL(52);
			want = regs;
			want.rax = -KVM_EINVAL;
			expect_back(&guest, start(&guest, &regs), &want);
		}
		free_guest(&guest);
	}
}

/* All addresses that there are, so that nothing else is wrong. */
static void test_straddling(enum producer producer)
{
	const struct request requests[] = {
		{ TDVMCALL, SHARED - SIZE_4K, 2 * SIZE_4K, true },
		{ TDVMCALL, 0, 2 * SHARED, true },
		{ TDVMCALL, SIZE_4K, SHARED, true },
	};
	enum exits exits;
	int i;

	for (exits = LEGACY; exits <= OWN; exits++) {
		struct guest guest = add_vcpu(create_map_vm(producer, exits), 52);

		for (i = 0; i < ARRAY_SIZE(requests); i++) {
			about_request(&requests[i]);
			expect_result(&guest, ask(&guest, &requests[i]), &requests[i], 0,
				      STATUS_INVALID_OPERAND, requests[i].gpa);
		}
		free_guest(&guest);
	}
}

static bool expect_refused(struct guest *guest, const struct request *request, int ret)
{
	if (!expect(ret == -EINVAL, "not refused, but %d (%s)", ret, outcome_str(ret))) {
		recover(guest, ret);
		return false;
	}
	return expect_range(guest, guest->vcpu->run->exit_reason, request, 0);
}

/* All but what has to stay as it is. */
static void scribble(struct guest *guest)
{
	struct kvm_coco_map_gpa_range *exit = &guest->vcpu->run->coco_map_gpa_range;
	u32 flags = exit->flags;
	int i;

	for (i = 0; i < sizeof(guest->vcpu->run->padding); i++)
		guest->vcpu->run->padding[i] = random();
	exit->flags = flags;
	exit->reserved = 0;
}

static void test_answers(enum producer producer)
{
	struct request request = { producer, FIRST_GPA, 16 * SIZE_4K, true };
	static const struct {
		u32 err;
		u64 done;
	} wrong[] = {
		{ 0, 0 },
		{ 0, 1 },
		{ 0, SIZE_4K - 1 },
		{ 0, SIZE_4K + 8 },
		{ 0, 17 * SIZE_4K },
		{ 0, BIT_ULL(63) },
		{ 0, -SIZE_4K },
		{ EAGAIN, 1 },
		{ EAGAIN, 16 * SIZE_4K },
		{ EAGAIN, -SIZE_4K },
		{ EINVAL, 0xfff },
		{ EINVAL, 16 * SIZE_4K },
		{ EOPNOTSUPP, 17 * SIZE_4K },
	};
	struct guest guest = create_guest(producer, OWN);
	u32 err;
	int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		about("errno %u, 0x%llx done", wrong[i].err, (unsigned long long)wrong[i].done);
		if (!expect_range(&guest, ask(&guest, &request), &request, 0))
			continue;
		scribble(&guest);
		if (!expect_refused(&guest, &request, answer(&guest, wrong[i].err, wrong[i].done)))
			continue;
		set_answer(&guest, wrong[i].err, wrong[i].done);
		if (expect_refused(&guest, &request, enter_immediately(&guest)))
			expect_success(&guest, answer(&guest, 0, request.size), &request);
	}

	for (i = 0; i < 4200; i++) {
		/* all errnos, and what is none */
		err = i < 4100 ? i : (u32)random() << 1;
		if (!err || err == EAGAIN || err == EINVAL || err == EOPNOTSUPP)
			continue;
		about("errno %u", err);
		if (!expect_range(&guest, ask(&guest, &request), &request, 0))
			continue;
		if (expect_refused(&guest, &request, answer(&guest, err, 0)))
			expect_success(&guest, answer(&guest, 0, request.size), &request);
	}

	for (i = 0; i < 64; i++) {
		about("bit %d of flags and reserved", i);
		if (!expect_range(&guest, ask(&guest, &request), &request, 0))
			continue;
		if (i < 32)
			guest.vcpu->run->coco_map_gpa_range.flags ^= 1u << i;
		else
			guest.vcpu->run->coco_map_gpa_range.reserved = 1u << (i - 32);
		if (expect_refused(&guest, &request, answer(&guest, 0, request.size)))
			expect_success(&guest, answer(&guest, 0, request.size), &request);
	}

	about("no answer");
	if (expect_range(&guest, ask(&guest, &request), &request, 0))
		expect_result(&guest, enter(&guest), &request, EOPNOTSUPP,
			      STATUS_UNSUPPORTED, request.gpa);
	for (i = 0; i < 16; i += 5) {
		about("EINVAL after %d pages", i);
		if (expect_range(&guest, ask(&guest, &request), &request, 0))
			expect_result(&guest, answer(&guest, EINVAL, i * SIZE_4K), &request, EINVAL,
				      STATUS_INVALID_OPERAND, request.gpa + i * SIZE_4K);
		about("EOPNOTSUPP after %d pages", i);
		if (expect_range(&guest, ask(&guest, &request), &request, 0))
			expect_result(&guest, answer(&guest, EOPNOTSUPP, i * SIZE_4K), &request,
				      EOPNOTSUPP, STATUS_UNSUPPORTED,
				      request.gpa + i * SIZE_4K);
		about("EAGAIN after %d pages", i);
		if (!expect_range(&guest, ask(&guest, &request), &request, 0))
			continue;
		if (producer == TDVMCALL)
			expect_result(&guest, answer(&guest, EAGAIN, i * SIZE_4K), &request, 0,
				      STATUS_RETRY, request.gpa + i * SIZE_4K);
		/* The guest cannot ask again, KVM asks for what is left. */
		else if (expect_range(&guest, answer(&guest, EAGAIN, i * SIZE_4K), &request,
				      i * SIZE_4K))
			expect_success(&guest, answer(&guest, 0, request.size - i * SIZE_4K),
				       &request);
	}

	about("EAGAIN, for long");
	if (producer == HYPERCALL && expect_range(&guest, ask(&guest, &request), &request, 0)) {
		for (i = 0; i < 300; i++)
			if (!expect_range(&guest, answer(&guest, EAGAIN, 0), &request, 0))
				break;
		expect_success(&guest, answer(&guest, 0, request.size), &request);
	}
	free_guest(&guest);
}

/* Every part asks for exactly what is left. */
static void test_parts(enum producer producer)
{
	struct request request = { producer, FIRST_GPA + SIZE_4K, 0, false };
	struct guest guest = create_guest(producer, OWN);
	u64 done, part;
	int i, ret;

	for (i = 0; i < 100; i++) {
		request.size = SIZE_4K * (1 + random_below(2000));
		request.private = i & 1;
		about_request(&request);
		ret = ask(&guest, &request);
		for (done = 0; done < request.size; done += part) {
			if (!expect_range(&guest, ret, &request, done))
				break;
			part = SIZE_4K * (1 + random_below((request.size - done) / SIZE_4K));
			scribble(&guest);
			ret = answer(&guest, 0, part);
		}
		if (done == request.size)
			expect_success(&guest, ret, &request);
	}
	free_guest(&guest);
}

static u64 events_of(struct guest *guest)
{
	u64 *counter;

	if (is_tdx_vm(guest->vm))
		counter = &vcpu_tdx_area(guest->vcpu)->nr_events;
	else
		counter = addr_gva2hva(guest->vm, (gva_t)&nr_events);
	return READ_ONCE(*counter);
}

static void inject_nmi(struct guest *guest)
{
	vcpu_ioctl(guest->vcpu, KVM_NMI, NULL);
}

static struct kvm_regs wrmsr_call(u32 msr, u64 value)
{
	struct kvm_regs regs = new_regs(VMCALL_WRMSR);

	regs.r12 = msr;
	regs.r13 = value;
	return regs;
}

/* Userspace cannot write the APIC of a TD, so the guest does it before it asks. */
static void arm_timer(struct guest *guest)
{
	struct td_call *calls;
	int i, ret;

	if (!is_tdx_vm(guest->vm))
		return;
	calls = vcpu_tdx_area(guest->vcpu)->calls;
	calls[1].in = wrmsr_call(APIC_BASE_MSR + (APIC_SPIV >> 4), APIC_SPIV_APIC_ENABLED | 0xff);
	calls[2].in = wrmsr_call(APIC_BASE_MSR + (APIC_TDCR >> 4), 0xb);
	calls[3].in = wrmsr_call(APIC_BASE_MSR + (APIC_LVTT >> 4), TIMER_VECTOR);
	calls[4].in = wrmsr_call(APIC_BASE_MSR + (APIC_TMICT >> 4), TD_TIMER_TICKS);
	calls[0].in = calls[1].in;
	ret = enter(guest);
	expect(ret == KVM_EXIT_IO, "the timer is not armed, but %d (%s)", ret, outcome_str(ret));
	for (i = 0; i <= 4; i++) {
		expect(!calls[i].out.r10, "call %d to arm the timer: 0x%llx", i, calls[i].out.r10);
		calls[i].in.rip = 0;
	}
}

/*
 * Have the timer expire before userspace answers.  It was started on this CPU, where what
 * expires later than it, as a nanosleep() does, wakes up later.
 */
static void expire_timer(struct guest *guest)
{
	struct timespec td_timer = { .tv_nsec = 2 * TD_TIMER_MS * 1000 * 1000 };
	struct timespec ms = { .tv_nsec = 1000 * 1000 };
	struct kvm_lapic_state lapic;
	u32 *regs = (u32 *)lapic.regs;

	if (is_tdx_vm(guest->vm)) {
		nanosleep(&td_timer, NULL);
		return;
	}
	vcpu_ioctl(guest->vcpu, KVM_GET_LAPIC, &lapic);
	/* The guest does not end interrupts. */
	memset(&regs[APIC_ISR / 4], 0, 0x80);
	regs[APIC_SPIV / 4] |= APIC_SPIV_APIC_ENABLED;
	regs[APIC_LVTT / 4] = TIMER_VECTOR;
	regs[APIC_TDCR / 4] = 0xb;
	/* in ns */
	regs[APIC_TMICT / 4] = 100;
	regs[APIC_TMCCT / 4] = 100;
	vcpu_ioctl(guest->vcpu, KVM_SET_LAPIC, &lapic);
	nanosleep(&ms, NULL);
}

static void no_preparation(struct guest *guest)
{
}

static const struct event {
	const char *name;
	/* before the guest asks, and while userspace has not answered */
	void (*prepare)(struct guest *guest);
	void (*inject)(struct guest *guest);
} events[] = {
	{ "NMI", no_preparation, inject_nmi },
	{ "timer", arm_timer, expire_timer },
};

/*
 * Ask with an event on its way, which the guest must not have had yet.  On a machine that
 * is busy, a TD's timer may expire before the TD asks.  Then let it be over, and try again.
 */
static int ask_with_event(struct guest *guest, const struct event *event,
			  const struct kvm_regs *regs, u64 *before)
{
	struct timespec start_time;
	int ret;

	for (;;) {
		*before = events_of(guest);
		clock_gettime(CLOCK_MONOTONIC, &start_time);
		event->prepare(guest);
		ret = start(guest, regs);
		if (!is_tdx_vm(guest->vm) || guest->lost ||
		    timespec_to_ns(timespec_elapsed(start_time)) < TD_TIMER_MS * 1000000)
			break;
		expire_timer(guest);
		recover(guest, ret);
	}
	expect(events_of(guest) == *before, "early");
	return ret;
}

/* What has to be done for expire_timer(). */
static void stay_on_this_cpu(cpu_set_t *before)
{
	int err = pthread_getaffinity_np(pthread_self(), sizeof(*before), before);

	TEST_ASSERT(!err, "pthread_getaffinity_np: %s", strerror(err));
	pin_self_to_any_cpu();
}

static void leave_this_cpu(const cpu_set_t *before)
{
	int err = pthread_setaffinity_np(pthread_self(), sizeof(*before), before);

	TEST_ASSERT(!err, "pthread_setaffinity_np: %s", strerror(err));
}

/* A TDX guest takes its interrupts before the rest of the range, others after it. */
static void test_events(enum producer producer)
{
	struct request request = { producer, FIRST_GPA, 16 * SIZE_4K, false };
	struct guest guest = create_guest(producer, OWN);
	struct kvm_regs regs;
	cpu_set_t cpus;
	u64 before;
	int i, ret;

	stay_on_this_cpu(&cpus);
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		regs = regs_of(&request);
		regs.rflags |= RFLAGS_IF;

		about("%s", events[i].name);
		ret = ask_with_event(&guest, &events[i], &regs, &before);
		if (!expect_range(&guest, ret, &request, 0))
			continue;
		events[i].inject(&guest);
		expect(events_of(&guest) == before, "early");
		ret = answer(&guest, 0, 4 * SIZE_4K);
		if (producer == TDVMCALL) {
			expect(events_of(&guest) == before + 1, "%llu instead of 1",
			       (unsigned long long)(events_of(&guest) - before));
			expect_result(&guest, ret, &request, 0, STATUS_RETRY,
				      request.gpa + 4 * SIZE_4K);
			continue;
		}

		expect(events_of(&guest) == before, "before the end of the range");
		if (!expect_range(&guest, ret, &request, 4 * SIZE_4K))
			continue;
		about("%s, EAGAIN", events[i].name);
		if (!expect_range(&guest, answer(&guest, EAGAIN, SIZE_4K), &request, 5 * SIZE_4K))
			continue;
		expect(events_of(&guest) == before, "before the end of the range");
		about("%s, all that is left", events[i].name);
		expect_success(&guest, answer(&guest, 0, 11 * SIZE_4K), &request);
		expect(events_of(&guest) == before + 1, "%llu instead of 1",
		       (unsigned long long)(events_of(&guest) - before));
	}

	about("interrupts off");
	regs = regs_of(&request);
	ret = ask_with_event(&guest, &events[1], &regs, &before);
	if (expect_range(&guest, ret, &request, 0)) {
		expire_timer(&guest);
		ret = answer(&guest, 0, 8 * SIZE_4K);
		expect(events_of(&guest) == before, "taken");
		/* KVM does not see that a TD blocks interrupts: the first one stops it. */
		if (producer == TDVMCALL) {
			expect_result(&guest, ret, &request, 0, STATUS_RETRY,
				      request.gpa + 8 * SIZE_4K);
			ret = ask(&guest, &request);
			if (expect_range(&guest, ret, &request, 0))
				ret = answer(&guest, 0, 8 * SIZE_4K);
			expect(events_of(&guest) == before, "taken");
		}
		if (expect_range(&guest, ret, &request, 8 * SIZE_4K))
			expect_success(&guest, answer(&guest, 0, 8 * SIZE_4K), &request);
	}
	leave_this_cpu(&cpus);
	free_guest(&guest);
}

/* Userspace resets the vCPU, or something like that: no answer brings the request back. */
static void test_moved(enum producer producer)
{
	static const struct {
		u32 err;
		u64 done;
	} answers[] = {
		{ 0, 16 * SIZE_4K },
		{ EINVAL, 0 },
		{ EAGAIN, 0 },
		/* a part, and a wrong answer */
		{ 0, SIZE_4K },
		{ EPERM, SIZE_4K },
	};
	struct request request = { producer, FIRST_GPA, 16 * SIZE_4K, true };
	struct guest guest = create_guest(producer, OWN);
	struct kvm_regs regs, want;
	int i;

	for (i = 0; i < ARRAY_SIZE(answers); i++) {
		about("RIP changed, errno %u, 0x%llx done", answers[i].err,
		      (unsigned long long)answers[i].done);
		if (!expect_range(&guest, ask(&guest, &request), &request, 0))
			continue;
		vcpu_regs_get(guest.vcpu, &regs);
		regs.rip += INSN_SIZE;
		vcpu_regs_set(guest.vcpu, &regs);
		want = regs_of(&request);
		expect_back(&guest, answer(&guest, answers[i].err, answers[i].done), &want);
	}
	free_guest(&guest);
}

static void test_immediate_exit(enum producer producer)
{
	struct request request = { producer, FIRST_GPA, 16 * SIZE_4K, true };
	struct guest guest = create_guest(producer, OWN);
	u64 done;
	int ret;

	about("parts");
	ret = ask(&guest, &request);
	for (done = 0; done < request.size - SIZE_4K; done += SIZE_4K) {
		if (!expect_range(&guest, ret, &request, done))
			goto out;
		set_answer(&guest, 0, SIZE_4K);
		ret = enter_immediately(&guest);
	}
	expect_range(&guest, ret, &request, done);
	set_answer(&guest, 0, SIZE_4K);
	ret = enter_immediately(&guest);
	expect(ret == -EINTR, "not interrupted, but %d (%s)", ret, outcome_str(ret));
	expect_success(&guest, enter(&guest), &request);

	about("EAGAIN");
	if (!expect_range(&guest, ask(&guest, &request), &request, 0))
		goto out;
	set_answer(&guest, EAGAIN, SIZE_4K);
	ret = enter_immediately(&guest);
	if (producer == TDVMCALL) {
		expect(ret == -EINTR, "not interrupted, but %d (%s)", ret, outcome_str(ret));
		expect_result(&guest, enter(&guest), &request, 0, STATUS_RETRY,
			      request.gpa + SIZE_4K);
	} else {
		expect_range(&guest, ret, &request, SIZE_4K);
		expect_success(&guest, answer(&guest, 0, request.size - SIZE_4K), &request);
	}
out:
	free_guest(&guest);
}

/* A signal that is pending all the time, but blocked except in KVM_RUN. */
static void test_signal(enum producer producer)
{
	struct request request = { producer, FIRST_GPA, 8 * SIZE_4K, false };
	struct guest guest = create_guest(producer, OWN);
	struct {
		struct kvm_signal_mask mask;
		u64 sigset;
	} __packed in_kvm = { .mask.len = sizeof(in_kvm.sigset) };
	struct timespec now = {};
	sigset_t signals, before;
	u64 done;
	int ret;

	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, &before);
	vcpu_ioctl(guest.vcpu, KVM_SET_SIGNAL_MASK, &in_kvm.mask);

	about("a signal");
	ret = ask(&guest, &request);
	pthread_kill(pthread_self(), SIGUSR1);
	for (done = 0; done < request.size; done += SIZE_4K) {
		if (!expect_range(&guest, ret, &request, done))
			break;
		set_answer(&guest, 0, SIZE_4K);
		ret = __vcpu_run(guest.vcpu) ? -errno : guest.vcpu->run->exit_reason;
	}
	expect(ret == -EINTR, "not interrupted, but %d (%s)", ret, outcome_str(ret));
	expect(sigtimedwait(&signals, NULL, &now) == SIGUSR1, "no signal");
	expect_success(&guest, enter(&guest), &request);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	free_guest(&guest);
}

/* A VMM, and what the guest wants of it, page by page. */
static struct shared_ranges list;
static bool shared[NR_PAGES];

static void start_vmm(void)
{
	shared_ranges_init(&list, NR_PAGES);
	memset(shared, 0, sizeof(shared));
}

static void apply(const struct kvm_coco_map_gpa_range *range, u64 bytes)
{
	int err;

	if (!bytes)
		return;
	if (range->flags & KVM_COCO_MAP_GPA_RANGE_PRIVATE)
		err = shared_ranges_remove(&list, range->gpa, bytes);
	else
		err = shared_ranges_add(&list, range->gpa, bytes);
	expect(!err, "the list: %d", err);
}

static void expect_list(void)
{
	int i;

	for (i = 0; i < NR_PAGES; i++)
		if (!expect(shared_ranges_test(&list, FIRST_GPA + i * SIZE_4K) == shared[i],
			    "page %d is not %s", i, shared[i] ? "shared" : "private"))
			return;
}

static struct request random_request(enum producer producer)
{
	u64 first = random_below(NR_PAGES), last = first + random_below(NR_PAGES - first);
	struct request request = {
		producer, FIRST_GPA + first * SIZE_4K, (last + 1 - first) * SIZE_4K, random() & 1,
	};

	for (; first <= last; first++)
		shared[first] = !request.private;
	return request;
}

/*
 * All that can happen, in any order: parts, wrong answers, retries, interrupts,
 * immediate_exit.  A guest that is told to retry does so.
 */
static void test_random(enum producer producer)
{
	struct guest guest = create_guest(producer, OWN);
	struct kvm_coco_map_gpa_range range;
	struct request request;
	u64 pages, next;
	u32 err;
	int i, ret;

	start_vmm();
	for (i = 0; i < NR_RANDOM_REQUESTS && !guest.lost; i++) {
		request = random_request(producer);
		about_request(&request);
again:
		ret = ask(&guest, &request);
		while (ret == KVM_EXIT_COCO_MAP_GPA_RANGE || ret == -EINVAL || ret == -EINTR) {
			if (ret == -EINTR) {
				ret = enter(&guest);
				continue;
			}
			range = guest.vcpu->run->coco_map_gpa_range;
			if (!(random() % 5))
				inject_nmi(&guest);
			err = 0;
			pages = 1 + random_below(range.size / SIZE_4K);
			switch (random() % 8) {
			case 0:
				err = EAGAIN;
				pages--;
				break;
			case 1:
				err = ENOMEM;
				pages = 0;
				break;
			case 2:
				pages = range.size / SIZE_4K;
			}
			apply(&range, pages * SIZE_4K);
			scribble(&guest);
			set_answer(&guest, err, pages * SIZE_4K);
			ret = random() % 4 ? enter(&guest) : enter_immediately(&guest);
		}
		next = guest.call->out.r11 & ~SHARED;
		if (ret == KVM_EXIT_IO && producer == TDVMCALL &&
		    guest.call->out.r10 == STATUS_RETRY) {
			if (!expect(next >= request.gpa && next < request.gpa + request.size,
				    "retry from 0x%llx", (unsigned long long)next))
				break;
			request.size -= next - request.gpa;
			request.gpa = next;
			goto again;
		}
		if (!expect_success(&guest, ret, &request))
			break;
	}
	expect_list();
	expect(events_of(&guest) > NR_RANDOM_REQUESTS / 10, "only %llu interrupts",
	       (unsigned long long)events_of(&guest));
	shared_ranges_clear(&list);
	free_guest(&guest);
}

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;

struct thread {
	pthread_t thread;
	enum producer producer;
	struct guest guest;
	int nr;
};

/* Both have all pages private at the end, and every other one in between. */
static void *convert(void *arg)
{
	struct thread *thread = arg;
	struct guest *guest = &thread->guest;
	struct kvm_coco_map_gpa_range range;
	struct request request;
	int i, ret;

	for (i = 0; i < NR_VCPU_REQUESTS; i++) {
		request = (struct request) {
			thread->producer, FIRST_GPA, NR_PAGES * SIZE_4K, i & 1,
		};
		if (i < NR_VCPU_REQUESTS - 2) {
			request.gpa += (i + thread->nr) % 64 * 8 * SIZE_4K;
			request.size = 100 * SIZE_4K;
		}
		about("vCPU %d, request %d", thread->nr, i);
		if (i >= NR_VCPU_REQUESTS - 2)
			pthread_barrier_wait(&barrier);
		ret = ask(guest, &request);
		while (ret == KVM_EXIT_COCO_MAP_GPA_RANGE) {
			range = guest->vcpu->run->coco_map_gpa_range;
			expect(range.gpa + range.size == request.gpa + request.size &&
			       range.gpa >= request.gpa, "0x%llx + 0x%llx", range.gpa, range.size);
			range.size = min(range.size, 37 * SIZE_4K * (1 + thread->nr));
			pthread_mutex_lock(&list_lock);
			apply(&range, range.size);
			pthread_mutex_unlock(&list_lock);
			ret = answer(guest, 0, range.size);
		}
		expect_success(guest, ret, &request);
	}
	return NULL;
}

static void test_two_vcpus(enum producer producer)
{
	struct kvm_vm *vm = create_map_vm(producer, OWN);
	struct thread threads[2];
	struct guest guests[2];
	int i;

	start_vmm();
	add_vcpus(vm, guests, ARRAY_SIZE(guests), MAXPHYADDR);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		threads[i] = (struct thread) {
			.producer = producer, .nr = i, .guest = guests[i],
		};
	pthread_barrier_init(&barrier, NULL, ARRAY_SIZE(threads));
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		kvm_pthread_create(&threads[i].thread, NULL, convert, &threads[i]);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		kvm_pthread_join(threads[i].thread, NULL);
	pthread_barrier_destroy(&barrier);

	about("the list");
	memset(shared, !((NR_VCPU_REQUESTS - 1) & 1), sizeof(shared));
	expect_list();
	shared_ranges_clear(&list);
	kvm_vm_free(vm);
}

/* KVM_EXIT_HYPERCALL: TDVMCALLs come in parts that end where huge pages do. */
static void test_legacy_parts(enum producer producer)
{
	static const struct { u64 gpa, size; } ranges[] = {
		{ FIRST_GPA, SIZE_4K },
		{ FIRST_GPA, SIZE_2M },
		{ FIRST_GPA, SIZE_2M + SIZE_4K },
		{ FIRST_GPA, 16 * SIZE_2M },
		{ FIRST_GPA + SIZE_4K, SIZE_4K },
		{ FIRST_GPA + SIZE_4K, SIZE_2M - SIZE_4K },
		{ FIRST_GPA + SIZE_4K, SIZE_2M },
		{ FIRST_GPA + SIZE_4K, 8 * SIZE_2M },
		{ FIRST_GPA - SIZE_4K, 8 * SIZE_2M + 2 * SIZE_4K },
		{ FIRST_GPA + SIZE_2M / 2, SIZE_1G },
	};
	struct guest guest = create_guest(producer, LEGACY);
	u64 gpa, end, part;
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(ranges) * 2; i++) {
		struct request request = {
			producer, ranges[i / 2].gpa, ranges[i / 2].size, i & 1,
		};

		about_request(&request);
		end = request.gpa + request.size;
		ret = ask(&guest, &request);
		for (gpa = request.gpa; gpa < end; gpa += part) {
			part = end - gpa;
			if (producer == TDVMCALL)
				part = min(part, (u64)(SIZE_2M - gpa % SIZE_2M));
			if (!expect_hypercall(&guest, ret, &request, gpa, part))
				break;
			ret = answer_hypercall(&guest, 0);
		}
		if (gpa == end)
			expect_success(&guest, ret, &request);
	}
	free_guest(&guest);
}

static void test_legacy_answers(enum producer producer)
{
	static const u64 wrong[] = {
		1, EPERM, EOPNOTSUPP, 4096, BIT_ULL(32), (u32)-EPERM, BIT_ULL(63), -4096ull,
	};
	struct request request = { producer, FIRST_GPA, SIZE_4K, true };
	struct guest guest = create_guest(producer, LEGACY);
	struct kvm_regs regs;
	u64 before;
	int i, k, ret;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		about("answer 0x%llx", (unsigned long long)wrong[i]);
		ret = ask(&guest, &request);
		if (!expect_hypercall(&guest, ret, &request, request.gpa, SIZE_4K))
			continue;
		scribble(&guest);
		ret = answer_hypercall(&guest, wrong[i]);
		/* What a hypercall returns is between userspace and the guest. */
		if (producer == HYPERCALL) {
			regs = regs_of(&request);
			regs.rax = wrong[i];
			expect_back(&guest, ret, &regs);
			continue;
		}
		for (k = 0; k < 2; k++) {
			if (!expect(ret == -EINVAL, "not refused, but %d (%s)", ret,
				    outcome_str(ret))) {
				recover(&guest, ret);
				break;
			}
			/* Without another answer, the guest gets an error. */
			if (!expect_hypercall_preset(&guest, guest.vcpu->run->exit_reason,
						     &request, request.gpa, SIZE_4K, EINVAL))
				break;
			if (!k)
				ret = answer_hypercall(&guest, wrong[i]);
			else if (i & 1)
				expect_success(&guest, answer_hypercall(&guest, 0), &request);
			else
				expect_result(&guest, enter(&guest), &request, 0,
					      STATUS_INVALID_OPERAND, request.gpa);
		}
	}

	about("EINVAL");
	if (expect_hypercall(&guest, ask(&guest, &request), &request, request.gpa, SIZE_4K))
		expect_result(&guest, answer_hypercall(&guest, EINVAL), &request, -EINVAL,
			      STATUS_INVALID_OPERAND, request.gpa);
	about("EAGAIN");
	if (expect_hypercall(&guest, ask(&guest, &request), &request, request.gpa, SIZE_4K)) {
		before = events_of(&guest);
		inject_nmi(&guest);
		ret = answer_hypercall(&guest, EAGAIN);
		expect(events_of(&guest) == before + 1, "no interrupt");
		if (producer == TDVMCALL)
			expect_result(&guest, ret, &request, 0, STATUS_RETRY, request.gpa);
		else if (expect_hypercall(&guest, ret, &request, request.gpa, SIZE_4K))
			expect_success(&guest, answer_hypercall(&guest, 0), &request);
	}
	about("-EPERM");
	if (producer == HYPERCALL &&
	    expect_hypercall(&guest, ask(&guest, &request), &request, request.gpa, SIZE_4K))
		expect_result(&guest, answer_hypercall(&guest, -EPERM), &request, EPERM, 0, 0);
	free_guest(&guest);
}

/* Interrupts between the parts of a TDVMCALL, that of a timer among them */
static void test_legacy_events(enum producer producer)
{
	struct request request = { producer, FIRST_GPA + SIZE_4K, 2 * SIZE_2M, true };
	struct guest guest = create_guest(producer, LEGACY);
	struct kvm_regs regs;
	cpu_set_t cpus;
	u64 before;
	int i, ret;

	stay_on_this_cpu(&cpus);
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		regs = regs_of(&request);
		regs.rflags |= RFLAGS_IF;
		about("%s", events[i].name);
		ret = ask_with_event(&guest, &events[i], &regs, &before);
		if (!expect_hypercall(&guest, ret, &request, request.gpa, SIZE_2M - SIZE_4K))
			continue;
		events[i].inject(&guest);
		expect_result(&guest, answer_hypercall(&guest, 0), &request, 0, STATUS_RETRY,
			      FIRST_GPA + SIZE_2M);
		expect(events_of(&guest) == before + 1, "%llu instead of 1",
		       (unsigned long long)(events_of(&guest) - before));
	}
	leave_this_cpu(&cpus);
	free_guest(&guest);
}

/* Userspace gets any page size, as ever, but no reserved bit. */
static void test_legacy_attributes(enum producer producer)
{
	struct guest guest = create_guest(producer, LEGACY);
	int i;

	for (i = 0; i < 16; i++) {
		struct request request = { producer, FIRST_GPA, SIZE_4K, false, i };

		about_request(&request);
		if (expect_hypercall(&guest, ask(&guest, &request), &request, FIRST_GPA, SIZE_4K))
			expect_success(&guest, answer_hypercall(&guest, 0), &request);
	}
	for (i = 5; i < 64; i++) {
		struct request request = { producer, FIRST_GPA, SIZE_4K, false, BIT_ULL(i) };

		about_request(&request);
		expect_result(&guest, ask(&guest, &request), &request, EINVAL, 0, 0);
	}
	free_guest(&guest);
}

static void test_both(enum producer producer)
{
	struct request request = { producer, FIRST_GPA, SIZE_1G, true };
	struct guest guest = create_guest(producer, BOTH);

	about_request(&request);
	if (expect_range(&guest, ask(&guest, &request), &request, 0))
		expect_success(&guest, answer(&guest, 0, SIZE_1G), &request);
	free_guest(&guest);
}

static void test_destroyed(enum producer producer)
{
	struct request request = { producer, FIRST_GPA, SIZE_1G, true };
	enum exits exits;

	for (exits = LEGACY; exits <= OWN; exits++) {
		struct guest guest = create_guest(producer, exits);

		about("exits %d", exits);
		if (exits == OWN)
			expect_range(&guest, ask(&guest, &request), &request, 0);
		else
			expect(ask(&guest, &request) == KVM_EXIT_HYPERCALL, "no exit");
		free_guest(&guest);
	}
}

static const struct test {
	const char *name;
	void (*run)(enum producer producer);
	/* the only one, if not all */
	int producer;
} tests[] = {
	{ "capability", test_capability, NR_PRODUCERS },
	{ "without capability", test_disabled, NR_PRODUCERS },
	{ "valid ranges", test_valid, NR_PRODUCERS },
	{ "invalid ranges", test_invalid, NR_PRODUCERS },
	{ "any MAXPHYADDR", test_maxphyaddr, NR_PRODUCERS },
	{ "from private to shared", test_straddling, TDVMCALL },
	{ "answers", test_answers, NR_PRODUCERS },
	{ "parts", test_parts, NR_PRODUCERS },
	{ "interrupts", test_events, NR_PRODUCERS },
	/* Userspace has no registers of a TD to write. */
	{ "RIP changed", test_moved, HYPERCALL },
	{ "immediate_exit", test_immediate_exit, NR_PRODUCERS },
	{ "signal", test_signal, NR_PRODUCERS },
	{ "anything at random", test_random, NR_PRODUCERS },
	{ "two vCPUs at once", test_two_vcpus, NR_PRODUCERS },
	{ "both exits enabled", test_both, NR_PRODUCERS },
	{ "VM destroyed", test_destroyed, NR_PRODUCERS },
	{ "KVM_EXIT_HYPERCALL, parts", test_legacy_parts, NR_PRODUCERS },
	{ "KVM_EXIT_HYPERCALL, answers", test_legacy_answers, NR_PRODUCERS },
	{ "KVM_EXIT_HYPERCALL, interrupts", test_legacy_events, TDVMCALL },
	{ "KVM_EXIT_HYPERCALL, attributes", test_legacy_attributes, HYPERCALL },
};

static bool is_wanted(const struct test *test, enum producer producer)
{
	return test->producer == NR_PRODUCERS || test->producer == producer;
}

/* Returns how many tests there are, and runs them unless @is_dry. */
static int run_tests(enum producer producer, bool is_dry)
{
	const char *name = producer == HYPERCALL ? producer_names[producer] : td->name;
	int i, nr = 0;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!is_wanted(&tests[i], producer))
			continue;
		nr++;
		if (is_dry)
			continue;
		nr_checks = 0;
		nr_failed = 0;
		tests[i].run(producer);
		if (nr_failed)
			ksft_print_msg("%d of %d checks failed\n", nr_failed, nr_checks);
		ksft_test_result(nr_checks && !nr_failed, "%s: %s\n", name, tests[i].name);
	}
	return nr;
}

/* All types of VM, or the one of this name. */
static int run_vms(const char *name, bool is_dry)
{
	int i, nr = 0;

	td = NULL;
	if (!name || !strcmp(name, "default"))
		nr += run_tests(HYPERCALL, is_dry);
	for (i = 0; i < ARRAY_SIZE(td_kinds); i++) {
		td = &td_kinds[i];
		if (is_td_kind(td, name))
			nr += run_tests(TDVMCALL, is_dry);
	}
	return nr;
}

static void help(const char *name)
{
	printf("usage: %s [-h] [-v VM] [-s seed]\n", name);
	printf(" -v: one type of VM only: default, td (both that follow), td48 or td52\n");
	printf(" -s: seed of what is random (default: the time)\n");
	exit(0);
}

int main(int argc, char *argv[])
{
	unsigned int seed = time(NULL);
	const char *name = NULL;
	int opt, nr_tests;

	while ((opt = getopt(argc, argv, "hv:s:")) != -1) {
		switch (opt) {
		case 'v':
			name = optarg;
			break;
		case 's':
			seed = strtoul(optarg, NULL, 0);
			break;
		default:
			help(argv[0]);
		}
	}

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_COCO_EXITS) & KVM_COCO_EXIT_MAP_GPA_RANGE);
	nr_tests = run_vms(name, true);
	__TEST_REQUIRE(nr_tests, "KVM has no %s VMs", name);
	alarm(MAX_SECONDS);

	ksft_print_header();
	ksft_set_plan(nr_tests);
	ksft_print_msg("seed %u\n", seed);
	srandom(seed);
	run_vms(name, false);
	ksft_finished();
}
