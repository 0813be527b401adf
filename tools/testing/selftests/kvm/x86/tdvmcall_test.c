// SPDX-License-Identifier: GPL-2.0-only
/*
 * TDVMCALLs, i.e. requests of TDX guests, and the exits of KVM_CAP_COCO_EXITS for them.
 *
 * The guest does nothing but load all its registers from memory, execute one
 * TDCALL and store all its registers, again and again.  The host chooses what
 * it loads, and knows from the documentation either what it must have stored, or
 * why and with which arguments KVM_RUN must have returned.
 *
 * With -m or -r, it does nothing but show the exits that KVM has without the
 * capability, i.e. mainline's, and compares them with a record, e.g. of another
 * kernel.  The lines that it shows are such a record.
 */
#include <asm/kvm_para.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "hypercall_guest.h"

#include "../../../../../arch/x86/kvm/tdvmcall_status.h"

/* Leaves and status codes of the GHCI specification. */
#define GET_TD_VM_CALL_INFO	0x10000
#define MAP_GPA			0x10001
#define GET_QUOTE		0x10002
#define REPORT_FATAL_ERROR	0x10003
#define SETUP_EVENT_NOTIFY	0x10004

/* Table "VMX basic exit reasons" of the SDM */
#define EXIT_REASON_TDCALL	77

#define STATUS_SUCCESS		0ull
#define STATUS_RETRY		1ull
#define STATUS_INVALID_OPERAND	0x8000000000000000ull
#define STATUS_UNSUPPORTED	0x8000000000000003ull

/* Not the kernel's table, which is what is tested. */
static const struct {
	unsigned int err;
	unsigned long long status;
} statuses[] = {
	{ 0,		STATUS_SUCCESS },
	{ EAGAIN,	STATUS_RETRY },
	{ EINVAL,	STATUS_INVALID_OPERAND },
	{ EOPNOTSUPP,	STATUS_UNSUPPORTED },
};

#define ALL_OPERATIONS	(KVM_COCO_EXIT_GET_QUOTE | KVM_COCO_EXIT_SETUP_EVENT_NOTIFY | \
			 KVM_COCO_EXIT_FATAL_ERROR)

/* Bits up to it are for other tests. */
#define FIRST_UNKNOWN_BIT	16

#define GPA_VALID	BIT_ULL(63)
#define SIZE_4K		0x1000ull

#define MESSAGE_SIZE	64

/* Just to be sure that a broken KVM does not make the test hang for ever. */
#define MAX_SECONDS	900

static struct guest create_guest(u64 operations)
{
	return add_vcpu(create_vm(KVM_X86_TDX_VM, operations), 0);
}

static struct kvm_regs completed(const struct kvm_regs *regs, u64 status)
{
	struct kvm_regs want = *regs;

	want.rax = 0;
	want.r10 = status;
	return want;
}

static bool expect_completed(struct guest *guest, int ret, const struct kvm_regs *regs,
			     u64 status)
{
	struct kvm_regs want = completed(regs, status);

	return expect_back(guest, ret, &want);
}

/* A call that KVM answers. */
static bool expect_status(struct guest *guest, const struct kvm_regs *regs, u64 status)
{
	return expect_completed(guest, start(guest, regs), regs, status);
}

/* A call that userspace answers, and what KVM has to tell it. */
struct request {
	struct kvm_regs regs;
	u32 reason;
	size_t size;
	union {
		struct kvm_coco_get_quote quote;
		struct kvm_coco_setup_event_notify notify;
		struct kvm_coco_fatal_error fatal;
	} exit;
};

static struct request quote_request(u64 gpa, u64 size)
{
	struct request request = {
		.regs = new_regs(GET_QUOTE),
		.reason = KVM_EXIT_COCO_GET_QUOTE,
		.size = sizeof(request.exit.quote),
		.exit.quote = { .ret = EOPNOTSUPP, .gpa = gpa, .size = size },
	};

	request.regs.r12 = SHARED | gpa;
	request.regs.r13 = size;
	return request;
}

static struct request notify_request(u64 vector)
{
	struct request request = {
		.regs = new_regs(SETUP_EVENT_NOTIFY),
		.reason = KVM_EXIT_COCO_SETUP_EVENT_NOTIFY,
		.size = sizeof(request.exit.notify),
		.exit.notify = { .ret = EOPNOTSUPP, .vector = vector },
	};

	request.regs.r12 = vector;
	return request;
}

/* Without an address */
static struct request fatal_request(u64 error_code, const u8 *message)
{
	struct request request = {
		.regs = new_regs(REPORT_FATAL_ERROR),
		.reason = KVM_EXIT_COCO_FATAL_ERROR,
		.size = sizeof(request.exit.fatal),
		.exit.fatal = { .error_code = error_code },
	};
	struct kvm_regs *regs = &request.regs;
	__u64 *order[] = {
		&regs->r14, &regs->r15, &regs->rbx, &regs->rdi,
		&regs->rsi, &regs->r8, &regs->r9, &regs->rdx,
	};
	int i;

	memcpy(request.exit.fatal.message, message, MESSAGE_SIZE);
	for (i = 0; i < MESSAGE_SIZE; i++) {
		if (!(i % 8))
			*order[i / 8] = 0;
		*order[i / 8] |= (u64)message[i] << i % 8 * 8;
	}
	regs->r12 = error_code;
	return request;
}

static struct request fatal_request_with_gpa(u64 error_code, const u8 *message, u64 gpa)
{
	struct request request = fatal_request(error_code, message);

	request.regs.r12 |= GPA_VALID;
	request.regs.r13 = SHARED | gpa;
	request.exit.fatal.flags = KVM_COCO_FATAL_ERROR_GPA_VALID;
	request.exit.fatal.gpa = gpa;
	return request;
}

static const u8 sample_message[MESSAGE_SIZE] = "panic: this is not the end of the message";

static const struct operation {
	const char *name;
	u64 bit;
	u64 leaf;
} operations[] = {
	{ "GetQuote", KVM_COCO_EXIT_GET_QUOTE, GET_QUOTE },
	{ "SetupEventNotifyInterrupt", KVM_COCO_EXIT_SETUP_EVENT_NOTIFY, SETUP_EVENT_NOTIFY },
	{ "ReportFatalError", KVM_COCO_EXIT_FATAL_ERROR, REPORT_FATAL_ERROR },
};

static struct request sample_request(const struct operation *operation)
{
	switch (operation->leaf) {
	case GET_QUOTE:
		return quote_request(0x12345000, 0x8000);
	case SETUP_EVENT_NOTIFY:
		return notify_request(0x9b);
	default:
		return fatal_request_with_gpa(0x123456789abcdef, sample_message, 0x777000);
	}
}

/* Exit reason and structure, of an exit or of one that is pending still. */
static void expect_exit(struct guest *guest, const struct request *request)
{
	const u8 *data = (const u8 *)guest->vcpu->run->padding;
	const u8 *want = (const u8 *)&request->exit;
	u32 reason = guest->vcpu->run->exit_reason;
	int i;

	expect(reason == request->reason, "exit reason %u (%s)", reason,
	       exit_reason_str(reason));
	for (i = 0; i < request->size; i++) {
		if (!expect(data[i] == want[i], "byte %d of the structure is 0x%x, not 0x%x",
			    i, data[i], want[i]))
			break;
	}
}

/* Make the guest call, and KVM exit. */
static bool expect_pending(struct guest *guest, const struct request *request)
{
	int ret = start(guest, &request->regs);

	if (!expect(ret == request->reason, "no %s, but %d (%s)",
		    exit_reason_str(request->reason), ret, outcome_str(ret))) {
		recover(guest, ret);
		return false;
	}
	/* It is pending, even if the arguments are wrong. */
	expect_exit(guest, request);
	return true;
}

static int answer(struct guest *guest, u32 err)
{
	guest->vcpu->run->coco_get_quote.ret = err;
	return enter(guest);
}

static void expect_request(struct guest *guest, const struct request *request)
{
	if (expect_pending(guest, request))
		expect_completed(guest, answer(guest, 0), &request->regs, STATUS_SUCCESS);
}

/* KVM says that it looks at ret, and at what has to stay 0, but at nothing else. */
static void scribble(struct guest *guest, const struct request *request, u8 byte)
{
	struct kvm_run *run = guest->vcpu->run;

	memset(run->padding, byte, sizeof(run->padding));
	memset(&run->exit_reason, byte, sizeof(run->exit_reason));
	if (request->reason == KVM_EXIT_COCO_GET_QUOTE)
		run->coco_get_quote.flags = 0;
	if (request->reason == KVM_EXIT_COCO_SETUP_EVENT_NOTIFY) {
		run->coco_setup_event_notify.flags = 0;
		run->coco_setup_event_notify.reserved = 0;
	}
}

/* A fatal error cannot be refused. */
static bool has_answer(const struct request *request)
{
	return request->reason != KVM_EXIT_COCO_FATAL_ERROR;
}

static bool is_answer(const struct request *request, u32 err, u64 *status)
{
	int i;

	if (!has_answer(request)) {
		*status = STATUS_SUCCESS;
		return true;
	}
	for (i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (statuses[i].err != err)
			continue;
		*status = statuses[i].status;
		return err != EAGAIN || request->reason == KVM_EXIT_COCO_GET_QUOTE;
	}
	return false;
}

static int enable_cap(struct kvm_vm *vm, u64 bitmap)
{
	return __vm_enable_cap(vm, KVM_CAP_COCO_EXITS, bitmap) ? errno : 0;
}

static void test_status_table(int unused)
{
	int i;

	about("tdvmcall_status.h");
	if (!expect(ARRAY_SIZE(kvm_tdvmcall_statuses) == ARRAY_SIZE(statuses), "%ld answers",
		    ARRAY_SIZE(kvm_tdvmcall_statuses)))
		return;
	for (i = 0; i < ARRAY_SIZE(statuses); i++)
		expect(kvm_tdvmcall_statuses[i].err == statuses[i].err &&
		       kvm_tdvmcall_statuses[i].status == statuses[i].status,
		       "errno %u is 0x%llx", kvm_tdvmcall_statuses[i].err,
		       kvm_tdvmcall_statuses[i].status);
}

static void test_check_extension(int unused)
{
	struct kvm_vm *vm;
	int caps;

	about("/dev/kvm");
	caps = kvm_check_cap(KVM_CAP_COCO_EXITS);
	expect((caps & ALL_OPERATIONS) == ALL_OPERATIONS, "%d", caps);

	vm = create_vm(KVM_X86_TDX_VM, 0);
	about("TD");
	caps = vm_check_cap(vm, KVM_CAP_COCO_EXITS);
	expect((caps & ALL_OPERATIONS) == ALL_OPERATIONS, "%d", caps);
	/* It is about what is supported, not about what is in use. */
	expect(!enable_cap(vm, 1), "cannot be enabled, errno %d", errno);
	caps = vm_check_cap(vm, KVM_CAP_COCO_EXITS);
	expect((caps & ALL_OPERATIONS) == ALL_OPERATIONS, "%d when enabled", caps);
	kvm_vm_free(vm);

	vm = vm_create_barebones();
	about("default VM");
	caps = vm_check_cap(vm, KVM_CAP_COCO_EXITS);
	expect(!(caps & ALL_OPERATIONS), "%d", caps);
	kvm_vm_free(vm);
}

static void test_enable_cap(int unused)
{
	struct kvm_vm *vm = create_vm(KVM_X86_TDX_VM, 0);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_COCO_EXITS };
	int i, bit, err;

	for (i = 0; i <= ALL_OPERATIONS; i++) {
		about("bitmap %d", i);
		err = enable_cap(vm, i);
		expect(!err, "errno %d", err);
	}
	for (bit = FIRST_UNKNOWN_BIT; bit < 64; bit++) {
		for (i = 0; i <= ALL_OPERATIONS; i++) {
			about("bitmap %d and bit %d", i, bit);
			err = enable_cap(vm, i | 1ull << bit);
			expect(err == EINVAL, "errno %d", err);
		}
	}
	for (bit = 0; bit < 64; bit++) {
		for (i = 1; i < ARRAY_SIZE(cap.args); i++) {
			about("bit %d of args[%d]", bit, i);
			cap.args[0] = 1;
			cap.args[i] = 1ull << bit;
			err = __vm_ioctl(vm, KVM_ENABLE_CAP, &cap) ? errno : 0;
			expect(err == EINVAL, "errno %d", err);
			cap.args[i] = 0;
		}
	}
	for (bit = 0; bit < 32; bit++) {
		about("bit %d of flags", bit);
		cap.flags = 1u << bit;
		err = __vm_ioctl(vm, KVM_ENABLE_CAP, &cap) ? errno : 0;
		expect(err == EINVAL, "errno %d", err);
	}
	__vm_vcpu_add(vm, 0);
	for (i = 0; i <= ALL_OPERATIONS; i++) {
		about("bitmap %d with a vCPU", i);
		err = enable_cap(vm, i);
		expect(err == EINVAL, "errno %d", err);
	}
	kvm_vm_free(vm);

	vm = vm_create_barebones();
	for (i = 1; i <= ALL_OPERATIONS; i++) {
		about("bitmap %d in a default VM", i);
		err = enable_cap(vm, i);
		expect(err == EINVAL, "errno %d", err);
	}
	for (bit = FIRST_UNKNOWN_BIT; bit < 64; bit++) {
		about("bit %d in a default VM", bit);
		err = enable_cap(vm, 1ull << bit);
		expect(err == EINVAL, "errno %d", err);
	}
	kvm_vm_free(vm);
}

/* A call that is not in the bitmap, and what mainline makes of the answer. */
static void expect_tdx_exit(struct guest *guest, const struct kvm_regs *regs)
{
	struct kvm_run *run = guest->vcpu->run;
	int ret = start(guest, regs);

	if (!expect(ret == KVM_EXIT_TDX, "no KVM_EXIT_TDX, but %d (%s)", ret, outcome_str(ret))) {
		recover(guest, ret);
		return;
	}
	expect(run->tdx.nr == regs->r11, "nr is 0x%lx", (unsigned long)run->tdx.nr);
	run->tdx.unknown.ret = 0xabc;
	expect_completed(guest, enter(guest), regs, 0xabc);
}

static void test_last_bitmap(int unused)
{
	struct request quote = sample_request(&operations[0]);
	struct request notify = sample_request(&operations[1]);
	struct kvm_vm *vm = create_vm(KVM_X86_TDX_VM, ALL_OPERATIONS);
	struct guest guest;
	int err;

	about("after bitmaps 7, 0, 1, and one with an unknown bit");
	err = enable_cap(vm, 0);
	expect(!err, "errno %d", err);
	err = enable_cap(vm, KVM_COCO_EXIT_GET_QUOTE);
	expect(!err, "errno %d", err);
	err = enable_cap(vm, 2 | BIT(FIRST_UNKNOWN_BIT));
	expect(err == EINVAL, "errno %d", err);

	guest = add_vcpu(vm, 0);
	expect_request(&guest, &quote);
	expect_tdx_exit(&guest, &notify.regs);

	err = enable_cap(vm, ALL_OPERATIONS);
	expect(err == EINVAL, "errno %d with a vCPU", err);
	expect_request(&guest, &quote);
	expect_tdx_exit(&guest, &notify.regs);
	free_guest(&guest);
}

/* Bitmap 0, be it the default or the last one. */
static void test_disabled(int enabled_before)
{
	struct kvm_vm *vm = create_vm(KVM_X86_TDX_VM, enabled_before);
	struct kvm_regs regs = new_regs(GET_TD_VM_CALL_INFO);
	struct kvm_run *run;
	struct guest guest;
	int ret;

	about("GetTdVmCallInfo leaf 1 with bitmap 0");
	if (enabled_before)
		vm_enable_cap(vm, KVM_CAP_COCO_EXITS, 0);
	guest = add_vcpu(vm, 0);
	regs.r12 = 1;
	ret = start(&guest, &regs);
	run = guest.vcpu->run;
	if (expect(ret == KVM_EXIT_TDX, "%d (%s)", ret, outcome_str(ret))) {
		expect(run->tdx.nr == GET_TD_VM_CALL_INFO, "nr is 0x%lx",
		       (unsigned long)run->tdx.nr);
		expect(run->tdx.get_tdvmcall_info.leaf == 1, "leaf is 0x%lx",
		       (unsigned long)run->tdx.get_tdvmcall_info.leaf);
	}
	free_guest(&guest);
}

static void test_valid_quotes(int maxphyaddr)
{
	struct kvm_vm *vm = create_vm(KVM_X86_TDX_VM, ALL_OPERATIONS);
	struct guest guest = add_vcpu(vm, maxphyaddr);
	const u64 limit = guest.limit, half = limit / 2;
	const struct {
		u64 gpa;
		u64 size;
	} buffers[] = {
		{ 0,			SIZE_4K },
		{ SIZE_4K,		SIZE_4K },
		{ 0x100000,		SIZE_4K },
		{ 0x100000,		0x10000 },
		{ 0xfffff000,		0x2000 },
		/* Not in a memslot */
		{ half,			SIZE_4K },
		{ half - SIZE_4K,	2 * SIZE_4K },
		{ half,			half },
		{ 0,			1ull << 32 },
		{ limit - (1ull << 32),	1ull << 32 },
		{ limit - SIZE_4K,	SIZE_4K },
		{ SIZE_4K,		limit - SIZE_4K },
		{ 0,			limit },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(buffers); i++) {
		struct request request = quote_request(buffers[i].gpa, buffers[i].size);

		about("MAXPHYADDR %d: 0x%lx bytes at 0x%lx", guest.maxphyaddr,
		      (unsigned long)buffers[i].size, (unsigned long)buffers[i].gpa);
		expect_request(&guest, &request);

		about("MAXPHYADDR %d: 0x%lx bytes at 0x%lx, private", guest.maxphyaddr,
		      (unsigned long)buffers[i].size, (unsigned long)buffers[i].gpa);
		request.regs.r12 &= ~SHARED;
		expect_status(&guest, &request.regs, STATUS_INVALID_OPERAND);
	}
	free_guest(&guest);
}

static void expect_invalid_quote(struct guest *guest, u64 r12, u64 r13)
{
	struct kvm_regs regs = new_regs(GET_QUOTE);

	about("MAXPHYADDR %d: R12 0x%lx, R13 0x%lx", guest->maxphyaddr,
	      (unsigned long)r12, (unsigned long)r13);
	regs.r12 = r12;
	regs.r13 = r13;
	expect_status(guest, &regs, STATUS_INVALID_OPERAND);
}

static void test_invalid_quotes(int maxphyaddr)
{
	static const u64 offsets[] = { 1, 8, 0x800, 0xfff };
	static const u64 sizes[] = {
		0, 1, 0x800, 4095, 4097, 0x1800, 0x100000001, 0x8000000000000001,
	};
	struct kvm_vm *vm = create_vm(KVM_X86_TDX_VM, ALL_OPERATIONS);
	struct guest guest = add_vcpu(vm, maxphyaddr);
	const u64 limit = guest.limit, half = limit / 2, last = limit - SIZE_4K;
	const u64 gpas[] = { 0, SIZE_4K, 0x100000, half, last - SIZE_4K };
	const u64 firsts[] = { SIZE_4K, 0x10000, half, last };
	int i, k, bit;

	for (i = 0; i < ARRAY_SIZE(gpas); i++) {
		for (k = 0; k < ARRAY_SIZE(offsets); k++)
			expect_invalid_quote(&guest, SHARED | gpas[i] | offsets[k], SIZE_4K);
		for (k = 0; k < ARRAY_SIZE(sizes); k++)
			expect_invalid_quote(&guest, SHARED | gpas[i], sizes[k]);
	}

	/* One page too long, and then some */
	expect_invalid_quote(&guest, SHARED, limit + SIZE_4K);
	expect_invalid_quote(&guest, SHARED, 2 * limit);
	expect_invalid_quote(&guest, SHARED, 1ull << 63);
	expect_invalid_quote(&guest, SHARED, -SIZE_4K);
	for (i = 0; i < ARRAY_SIZE(firsts); i++) {
		u64 gpa = firsts[i];

		expect_invalid_quote(&guest, SHARED | gpa, limit - gpa + SIZE_4K);
		expect_invalid_quote(&guest, SHARED | gpa, limit);
		expect_invalid_quote(&guest, SHARED | gpa, 1ull << 63);

		/* The end is at 0, one page above, or a page below */
		expect_invalid_quote(&guest, SHARED | gpa, -gpa);
		expect_invalid_quote(&guest, SHARED | gpa, -gpa + SIZE_4K);
		expect_invalid_quote(&guest, SHARED | gpa, -gpa - SIZE_4K);
		expect_invalid_quote(&guest, SHARED | gpa, -SIZE_4K);

		/* The same if the shared bit were part of the address */
		expect_invalid_quote(&guest, SHARED | gpa, -(SHARED | gpa));
		expect_invalid_quote(&guest, SHARED | gpa, -(SHARED | gpa) + SIZE_4K);
	}

	/* Both of the bits that MAXPHYADDR rules out, and of those above */
	for (bit = guest.maxphyaddr; bit < 64; bit++) {
		if (bit == td->gpaw - 1)
			continue;
		expect_invalid_quote(&guest, SHARED | 1ull << bit, SIZE_4K);
		expect_invalid_quote(&guest, SHARED | 1ull << bit | 0x100000, SIZE_4K);
		/* Neither shared nor a valid private address */
		expect_invalid_quote(&guest, 1ull << bit | 0x100000, SIZE_4K);
	}
	free_guest(&guest);
}

static void expect_vector(struct guest *guest, u64 vector)
{
	struct request request = notify_request(vector);

	about("vector 0x%lx", (unsigned long)vector);
	if (vector >= 32 && vector <= 255)
		expect_request(guest, &request);
	else
		expect_status(guest, &request.regs, STATUS_INVALID_OPERAND);
}

static void test_vectors(int unused)
{
	struct guest guest = create_guest(ALL_OPERATIONS);
	int i;

	for (i = 0; i <= 300; i++)
		expect_vector(&guest, i);
	/* Those that are good if only some of the bits are looked at */
	for (i = 8; i < 64; i++)
		expect_vector(&guest, 1ull << i | 32);
	expect_vector(&guest, 1ull << 63);
	expect_vector(&guest, ~0ull);
	expect_vector(&guest, ~0ull << 8 | 32);
	free_guest(&guest);
}

static void test_messages(int unused)
{
	struct guest guest = create_guest(ALL_OPERATIONS);
	u8 message[MESSAGE_SIZE];
	struct request request;
	int i, end;

	/* At 64 there is no terminator, and what follows one is not cut off. */
	for (end = 0; end <= MESSAGE_SIZE; end++) {
		about("message with a NUL at %d", end);
		for (i = 0; i < MESSAGE_SIZE; i++)
			message[i] = i == end ? 0 : 0x80 + i;
		request = fatal_request(42, message);
		expect_request(&guest, &request);
	}
	for (i = 0; i < 256; i++) {
		about("message of bytes 0x%x", i);
		memset(message, i, sizeof(message));
		request = fatal_request(i, message);
		expect_request(&guest, &request);
	}
	about("everything is 0");
	memset(message, 0, sizeof(message));
	request = fatal_request(0, message);
	request.regs.r13 = 0;
	expect_request(&guest, &request);
	free_guest(&guest);
}

static void test_error_codes(int unused)
{
	static const u64 codes[] = {
		0, 1, 0x7fffffff, 0xffffffff, 1ull << 32, 0x7fffffff00000000,
		0x123456789abcdef0, ~GPA_VALID,
	};
	struct guest guest = create_guest(ALL_OPERATIONS);
	struct request request;
	int i;

	for (i = 0; i < ARRAY_SIZE(codes) + 63; i++) {
		u64 code = i < 63 ? 1ull << i : codes[i - 63];

		about("error code 0x%lx", (unsigned long)code);
		request = fatal_request(code, sample_message);
		expect_request(&guest, &request);

		/* That would be good if bit 63 of R12 were set. */
		request.regs.r13 = SHARED | 0x100000;
		expect_request(&guest, &request);

		about("error code 0x%lx and an address", (unsigned long)code);
		request = fatal_request_with_gpa(code, sample_message, 0x100000);
		expect_request(&guest, &request);
	}
	free_guest(&guest);
}

static void test_fatal_gpas(int maxphyaddr)
{
	static const u64 offsets[] = { 1, 8, 0x800, 0xfff };
	struct kvm_vm *vm = create_vm(KVM_X86_TDX_VM, ALL_OPERATIONS);
	struct guest guest = add_vcpu(vm, maxphyaddr);
	const u64 limit = guest.limit;
	const u64 gpas[] = { 0, SIZE_4K, 0x100000, limit / 2, limit - SIZE_4K };
	struct request request;
	int i, k, bit;

	for (i = 0; i < ARRAY_SIZE(gpas); i++) {
		about("MAXPHYADDR %d: gpa 0x%lx", guest.maxphyaddr, (unsigned long)gpas[i]);
		request = fatal_request_with_gpa(1, sample_message, gpas[i]);
		expect_request(&guest, &request);

		about("MAXPHYADDR %d: gpa 0x%lx, private", guest.maxphyaddr,
		      (unsigned long)gpas[i]);
		request.exit.fatal.flags = 0;
		request.exit.fatal.gpa = 0;
		request.regs.r13 = gpas[i];
		expect_request(&guest, &request);

		for (k = 0; k < ARRAY_SIZE(offsets); k++) {
			request.regs.r13 = SHARED | gpas[i] | offsets[k];
			about("MAXPHYADDR %d: R13 0x%lx, not aligned", guest.maxphyaddr,
			      (unsigned long)request.regs.r13);
			expect_request(&guest, &request);
		}
	}
	for (bit = guest.maxphyaddr; bit < 64; bit++) {
		if (bit == td->gpaw - 1)
			continue;
		request.regs.r13 = SHARED | 1ull << bit | 0x100000;
		about("MAXPHYADDR %d: R13 0x%lx, out of range", guest.maxphyaddr,
		      (unsigned long)request.regs.r13);
		expect_request(&guest, &request);
	}
	free_guest(&guest);
}

/* What userspace says of its own calls, and what KVM adds. */
static void expect_info(struct guest *guest, int bitmap, u64 info)
{
	struct kvm_regs regs = new_regs(GET_TD_VM_CALL_INFO), want;
	struct kvm_run *run = guest->vcpu->run;
	int ret;

	regs.r12 = 1;
	ret = start(guest, &regs);
	if (!expect(ret == KVM_EXIT_TDX, "no KVM_EXIT_TDX, but %d (%s)", ret, outcome_str(ret))) {
		recover(guest, ret);
		return;
	}
	expect(run->tdx.nr == GET_TD_VM_CALL_INFO && run->tdx.get_tdvmcall_info.leaf == 1 &&
	       !run->tdx.get_tdvmcall_info.ret && !run->tdx.get_tdvmcall_info.r11,
	       "nr 0x%lx, leaf %lu, ret 0x%lx, R11 0x%lx", (unsigned long)run->tdx.nr,
	       (unsigned long)run->tdx.get_tdvmcall_info.leaf,
	       (unsigned long)run->tdx.get_tdvmcall_info.ret,
	       (unsigned long)run->tdx.get_tdvmcall_info.r11);
	run->tdx.get_tdvmcall_info.r11 = info;
	want = completed(&regs, STATUS_SUCCESS);
	want.r11 = info;
	if (bitmap & KVM_COCO_EXIT_GET_QUOTE)
		want.r11 |= 1;
	if (bitmap & KVM_COCO_EXIT_SETUP_EVENT_NOTIFY)
		want.r11 |= 2;
	want.r12 = 0;
	want.r13 = 0;
	want.r14 = 0;
	expect_back(guest, enter(guest), &want);
}

static void test_info(int unused)
{
	static const u64 others[] = { 2, 3, 1ull << 32, 1ull << 32 | 1, 1ull << 63, ~0ull };
	static const u64 infos[] = { 0, 1, 2, 3, 1ull << 63 };
	int bitmap, i;

	for (bitmap = 0; bitmap <= ALL_OPERATIONS; bitmap++) {
		struct kvm_regs regs = new_regs(GET_TD_VM_CALL_INFO), want;
		struct guest guest = create_guest(bitmap);

		about("bitmap %d: leaf 0", bitmap);
		regs.r12 = 0;
		want = completed(&regs, STATUS_SUCCESS);
		want.r11 = 0;
		want.r13 = 0;
		want.r14 = 0;
		expect_back(&guest, start(&guest, &regs), &want);
		for (i = 0; i < ARRAY_SIZE(infos); i++) {
			about("bitmap %d: leaf 1, userspace says 0x%lx", bitmap,
			      (unsigned long)infos[i]);
			expect_info(&guest, bitmap, infos[i]);
		}
		for (i = 0; i < ARRAY_SIZE(others); i++) {
			about("bitmap %d: leaf 0x%lx", bitmap, (unsigned long)others[i]);
			regs.r12 = others[i];
			expect_status(&guest, &regs, STATUS_INVALID_OPERAND);
		}
		free_guest(&guest);
	}
}

/* Leaves that are still to be tried: the guest makes many calls in a row. */
static struct {
	u64 leaves[TD_MAX_CALLS];
	int nr;
} unknown;

/* None of them must end KVM_RUN. */
static void try_unknown(struct guest *guest, int bitmap)
{
	struct kvm_regs want;
	struct call *call;
	int i, ret;

	if (!unknown.nr)
		return;
	for (i = 0; i < unknown.nr; i++) {
		call = guest->call + i;
		call->in = new_regs(unknown.leaves[i]);
		memset(&call->out, 0xcc, sizeof(call->out));
	}
	ret = guest->lost ? -ESRCH : enter(guest);
	for (i = 0; i < unknown.nr; i++) {
		call = guest->call + i;
		about("bitmap %d: leaf 0x%lx", bitmap, (unsigned long)unknown.leaves[i]);
		if (expect(ret == KVM_EXIT_IO, "the call did not return, but %d (%s)", ret,
			   outcome_str(ret)) && expect_next_insn(call)) {
			want = completed(&call->in, STATUS_UNSUPPORTED);
			want.rsp = call->in.rsp;
			expect_regs(&call->out, &want);
		}
		/* No call follows the next one, if that is the only one. */
		if (i)
			call->in.rip = 0;
	}
	unknown.nr = 0;
	recover(guest, ret);
}

static void expect_unknown(struct guest *guest, int bitmap, u64 leaf)
{
	unknown.leaves[unknown.nr++] = leaf;
	if (unknown.nr == TD_MAX_CALLS)
		try_unknown(guest, bitmap);
}

static u64 random_u64(void)
{
	return (u64)random() << 42 ^ (u64)random() << 21 ^ random();
}

/*
 * Leaves that stand for an instruction: CPUID, HLT, I/O, RDMSR, WRMSR and MMIO.
 * They are KVM's own, and not for userspace.
 */
static bool is_instruction(u64 leaf)
{
	return leaf == 10 || leaf == 12 || (leaf >= 30 && leaf <= 32) || leaf == 48;
}

static void test_unknown_leaves(int bitmap)
{
	struct guest guest = create_guest(bitmap);
	u64 leaf;
	int i;

	for (i = 0; i < 64; i++)
		if (!is_instruction(i))
			expect_unknown(&guest, bitmap, i);
	for (i = SETUP_EVENT_NOTIFY + 1; i <= 0x10040; i++)
		expect_unknown(&guest, bitmap, i);
	for (i = 17; i < 64; i++)
		expect_unknown(&guest, bitmap, 1ull << i | GET_QUOTE);
	expect_unknown(&guest, bitmap, ~0ull);
	for (i = 0; i < 300; i++) {
		/* 64 bits, or so few that it is close to those that exist */
		leaf = i & 1 ? random_u64() : random_u64() & 0xfffff;
		if ((leaf < GET_TD_VM_CALL_INFO || leaf > SETUP_EVENT_NOTIFY) &&
		    !is_instruction(leaf))
			expect_unknown(&guest, bitmap, leaf);
	}
	try_unknown(&guest, bitmap);
	free_guest(&guest);
}

/* KVM_EXIT_SYSTEM_EVENT's registers: the TD's, and what TDH.VP.ENTER has left in RAX. */
static void expect_fatal_event(struct guest *guest, int ret, const struct kvm_regs *regs)
{
	const u64 want[] = {
		EXIT_REASON_TDCALL,
		regs->rcx, regs->rdx, regs->rbx, 0, 0, regs->rsi, regs->rdi,
		regs->r8, regs->r9, regs->r10, regs->r11,
		regs->r12, regs->r13, regs->r14, regs->r15,
	};
	const struct kvm_run *run = guest->vcpu->run;
	int i;

	if (!expect(ret == KVM_EXIT_SYSTEM_EVENT, "%d (%s)", ret, outcome_str(ret)))
		return;
	expect(run->system_event.type == KVM_SYSTEM_EVENT_TDX_FATAL, "event %u",
	       run->system_event.type);
	if (!expect(run->system_event.ndata == ARRAY_SIZE(want), "%u registers",
		    run->system_event.ndata))
		return;
	for (i = 0; i < ARRAY_SIZE(want); i++)
		expect(run->system_event.data[i] == want[i], "data[%d] is 0x%llx, not 0x%lx", i,
		       run->system_event.data[i], (unsigned long)want[i]);
}

/* Every operation in each VM, so that they are not mixed up. */
static void test_bitmaps(int unused)
{
	int bitmap, i;

	for (bitmap = 1; bitmap <= ALL_OPERATIONS; bitmap++) {
		struct guest guest = create_guest(bitmap);

		for (i = 0; i < ARRAY_SIZE(operations); i++) {
			struct request request = sample_request(&operations[i]);

			about("bitmap %d: %s", bitmap, operations[i].name);
			if (bitmap & operations[i].bit) {
				expect_request(&guest, &request);
			} else if (operations[i].leaf != REPORT_FATAL_ERROR) {
				expect_tdx_exit(&guest, &request.regs);
			} else {
				/* The last one: what the guest gets is not defined. */
				expect_fatal_event(&guest, start(&guest, &request.regs),
						   &request.regs);
			}
		}
		free_guest(&guest);
	}
}

/* Whether the request is pending, as it must be. */
static bool expect_refused(struct guest *guest, const struct request *request, int ret)
{
	if (!expect(ret == -EINVAL, "KVM_RUN did not fail with EINVAL, but %d (%s)", ret,
		    outcome_str(ret))) {
		recover(guest, ret);
		return false;
	}
	expect_exit(guest, request);
	return true;
}

static void test_answers(int nr)
{
	static const u32 large[] = {
		4096, 0x100, 0x100 | EINVAL, 0x10000, 0x10000 | EINVAL, 0x7fffffff,
		0x80000000, 0x80000000 | EINVAL, -EAGAIN, -EINVAL, -EOPNOTSUPP, -1,
	};
	struct request request = sample_request(&operations[nr]);
	struct guest guest = create_guest(ALL_OPERATIONS);
	bool pending = false;
	int i, nr_refused = 0;
	u64 status;
	u32 err;

	for (i = 0; i < 4096 + ARRAY_SIZE(large) && !guest.lost; i++) {
		err = i < 4096 ? i : large[i - 4096];
		about("%s answered with 0x%x", operations[nr].name, err);
		if (!pending) {
			if (!expect_pending(&guest, &request))
				continue;
			pending = true;
			nr_refused = 0;
		}
		/* Otherwise KVM could get away with leaving everything as it was. */
		scribble(&guest, &request, 0xff);
		if (is_answer(&request, err, &status)) {
			expect_completed(&guest, answer(&guest, err), &request.regs, status);
			pending = false;
		} else if (!expect_refused(&guest, &request, answer(&guest, err))) {
			pending = false;
		} else if (++nr_refused == 3) {
			expect_completed(&guest, answer(&guest, EINVAL), &request.regs,
					 STATUS_INVALID_OPERAND);
			pending = false;
		}
	}
	if (pending && !guest.lost)
		expect_completed(&guest, answer(&guest, 0), &request.regs, STATUS_SUCCESS);

	about("%s not answered", operations[nr].name);
	if (expect_pending(&guest, &request))
		expect_completed(&guest, enter(&guest), &request.regs, STATUS_UNSUPPORTED);

	about("%s not answered after a wrong answer", operations[nr].name);
	if (expect_pending(&guest, &request) &&
	    expect_refused(&guest, &request, answer(&guest, EPERM)))
		expect_completed(&guest, enter(&guest), &request.regs, STATUS_UNSUPPORTED);
	free_guest(&guest);
}

/* What has to stay 0, so that it can have a meaning one day. */
static void test_reserved(int nr)
{
	struct request request = sample_request(&operations[nr]);
	struct guest guest = create_guest(ALL_OPERATIONS);
	struct kvm_run *run = guest.vcpu->run;
	int bit;

	for (bit = 0; bit < 64; bit++) {
		if (bit >= 32 && request.reason != KVM_EXIT_COCO_SETUP_EVENT_NOTIFY)
			break;
		about("%s, bit %d", operations[nr].name, bit);
		if (!expect_pending(&guest, &request))
			continue;
		if (bit < 32)
			run->coco_get_quote.flags |= 1u << bit;
		else
			run->coco_setup_event_notify.reserved |= 1u << (bit - 32);
		if (expect_refused(&guest, &request, answer(&guest, 0)))
			expect_completed(&guest, answer(&guest, 0), &request.regs, STATUS_SUCCESS);
	}
	free_guest(&guest);
}

static void test_scribbled(int unused)
{
	static const u8 bytes[] = { 0, 0x5a, 0xff };
	struct guest guest = create_guest(ALL_OPERATIONS);
	int nr, i, k;
	u64 status;

	for (nr = 0; nr < ARRAY_SIZE(operations); nr++) {
		struct request request = sample_request(&operations[nr]);

		for (i = 0; i < ARRAY_SIZE(statuses); i++) {
			if (!is_answer(&request, statuses[i].err, &status))
				continue;
			for (k = 0; k < ARRAY_SIZE(bytes); k++) {
				about("%s, overwritten with 0x%x, answered with %u",
				      operations[nr].name, bytes[k], statuses[i].err);
				if (!expect_pending(&guest, &request))
					continue;
				scribble(&guest, &request, bytes[k]);
				expect_completed(&guest, answer(&guest, statuses[i].err),
						 &request.regs, status);
			}
		}
	}
	free_guest(&guest);
}

/* Nobody sees or sets registers of a TD. */
static void expect_no_regs(struct guest *guest)
{
	struct kvm_regs regs = {};
	int ret;

	ret = __vcpu_ioctl(guest->vcpu, KVM_GET_REGS, &regs) ? errno : 0;
	expect(ret == EINVAL, "KVM_GET_REGS of a TD: errno %d", ret);
	ret = __vcpu_ioctl(guest->vcpu, KVM_SET_REGS, &regs) ? errno : 0;
	expect(ret == EINVAL, "KVM_SET_REGS of a TD: errno %d", ret);
}

/* The first answer counts, and KVM takes it though it does not enter the guest. */
static void expect_answered_by(struct guest *guest, const struct request *request, int ret)
{
	u64 status = has_answer(request) ? STATUS_INVALID_OPERAND : STATUS_SUCCESS;
	struct kvm_regs want = completed(&request->regs, status);

	if (!expect(ret == -EINTR, "KVM_RUN did not fail with EINTR, but %d (%s)", ret,
		    outcome_str(ret))) {
		recover(guest, ret);
		return;
	}
	/* Were this an answer, it would be a wrong one. */
	expect_back(guest, answer(guest, EPERM), &want);
}

static void test_immediate_exit(int unused)
{
	struct guest guest = create_guest(ALL_OPERATIONS);
	int i;

	for (i = 0; i < ARRAY_SIZE(operations); i++) {
		struct request request = sample_request(&operations[i]);

		about("%s", operations[i].name);
		if (expect_pending(&guest, &request)) {
			guest.vcpu->run->coco_get_quote.ret = EINVAL;
			expect_answered_by(&guest, &request, enter_immediately(&guest));
		}

		about("%s, with a wrong answer first", operations[i].name);
		if (!has_answer(&request) || !expect_pending(&guest, &request))
			continue;
		guest.vcpu->run->coco_get_quote.ret = EPERM;
		if (!expect_refused(&guest, &request, enter_immediately(&guest)))
			continue;
		guest.vcpu->run->coco_get_quote.ret = EINVAL;
		expect_answered_by(&guest, &request, enter_immediately(&guest));
	}
	free_guest(&guest);
}

static void set_signal_mask(struct kvm_vcpu *vcpu, const sigset_t *set)
{
	/* The kernel's sigset_t is shorter than that of the C library. */
	struct {
		struct kvm_signal_mask mask;
		u64 sigset;
	} __packed arg = { .mask.len = sizeof(arg.sigset) };

	memcpy(&arg.sigset, set, sizeof(arg.sigset));
	vcpu_ioctl(vcpu, KVM_SET_SIGNAL_MASK, &arg.mask);
}

/* A signal that is pending all the time, but blocked except in KVM_RUN. */
static void test_signal(int unused)
{
	struct guest guest = create_guest(ALL_OPERATIONS);
	sigset_t signals, before, in_kvm;
	struct timespec now = {};
	int i, ret;

	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, &before);

	for (i = 0; i < ARRAY_SIZE(operations); i++) {
		struct request request = sample_request(&operations[i]);

		about("%s", operations[i].name);
		if (!expect_pending(&guest, &request))
			continue;
		in_kvm = before;
		sigdelset(&in_kvm, SIGUSR1);
		set_signal_mask(guest.vcpu, &in_kvm);
		pthread_kill(pthread_self(), SIGUSR1);

		guest.vcpu->run->coco_get_quote.ret = EINVAL;
		ret = __vcpu_run(guest.vcpu) ? -errno : guest.vcpu->run->exit_reason;

		expect(sigtimedwait(&signals, NULL, &now) == SIGUSR1, "no signal");
		set_signal_mask(guest.vcpu, &signals);
		expect_answered_by(&guest, &request, ret);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	free_guest(&guest);
}

/* What userspace cannot write does not end the request either. */
static void test_regs(int nr)
{
	struct request request = sample_request(&operations[nr]);
	struct guest guest = create_guest(ALL_OPERATIONS);

	about("%s", operations[nr].name);
	if (expect_pending(&guest, &request)) {
		expect_no_regs(&guest);
		expect_exit(&guest, &request);
		if (has_answer(&request))
			expect_refused(&guest, &request, answer(&guest, EPERM));
		expect_completed(&guest, answer(&guest, 0), &request.regs, STATUS_SUCCESS);
	}
	free_guest(&guest);
}

static void test_destroyed(int unused)
{
	int i;

	for (i = 0; i < 50; i++) {
		const struct operation *operation = &operations[i % ARRAY_SIZE(operations)];
		struct request request = sample_request(operation);
		struct guest guest = create_guest(ALL_OPERATIONS);

		about("%s in VM %d", operation->name, i);
		if (expect_pending(&guest, &request) && i & 1 && has_answer(&request))
			expect_refused(&guest, &request, answer(&guest, EPERM));
		free_guest(&guest);
	}
}

#define NR_THREADS		2
#define CALLS_PER_THREAD	200

struct thread {
	pthread_t thread;
	struct guest guest;
	int nr;
};

static pthread_barrier_t barrier;

static void *call_at_once(void *arg)
{
	struct thread *thread = arg;
	struct guest *guest = &thread->guest;
	int i, k;

	pthread_barrier_wait(&barrier);
	for (i = 0; i < CALLS_PER_THREAD; i++) {
		struct request request;
		u64 status;

		/* The other vCPU has neither this gpa and size, nor this vector. */
		k = i * NR_THREADS + thread->nr;
		if (i & 1)
			request = notify_request(32 + k % 224);
		else
			request = quote_request(k * SIZE_4K, (k + 1) * SIZE_4K);
		request.regs.r15 = k;

		about("vCPU %d, call %d", thread->nr, i);
		if (!expect_pending(guest, &request))
			continue;
		k %= ARRAY_SIZE(statuses);
		if (!is_answer(&request, statuses[k].err, &status))
			k = 0;
		expect_completed(guest, answer(guest, statuses[k].err), &request.regs,
				 statuses[k].status);
	}
	return NULL;
}

static void test_two_vcpus(int unused)
{
	struct kvm_vm *vm = create_vm(KVM_X86_TDX_VM, ALL_OPERATIONS);
	struct thread threads[NR_THREADS];
	struct guest guests[NR_THREADS];
	int i;

	add_vcpus(vm, guests, NR_THREADS, 0);
	for (i = 0; i < NR_THREADS; i++) {
		threads[i].nr = i;
		threads[i].guest = guests[i];
	}
	pthread_barrier_init(&barrier, NULL, NR_THREADS);
	for (i = 0; i < NR_THREADS; i++)
		kvm_pthread_create(&threads[i].thread, NULL, call_at_once, &threads[i]);
	for (i = 0; i < NR_THREADS; i++)
		kvm_pthread_join(threads[i].thread, NULL);
	pthread_barrier_destroy(&barrier);
	kvm_vm_free(vm);
}

/* R10 has the number of an ordinary hypercall then, and gets its result. */
static void expect_other_hypercall(struct guest *guest, const struct kvm_regs *regs)
{
	struct kvm_regs want = *regs;

	want.rax = 0;
	want.r10 = regs->r10 == KVM_HC_VAPIC_POLL_IRQ ? 0 : -KVM_ENOSYS;
	expect_back(guest, start(guest, regs), &want);
}

static void test_r10(int unused)
{
	struct guest guest = create_guest(ALL_OPERATIONS);
	int i, bit;

	for (i = 0; i < ARRAY_SIZE(operations); i++) {
		struct request request = sample_request(&operations[i]);

		for (bit = 0; bit < 64; bit++) {
			about("%s, bit %d of R10", operations[i].name, bit);
			request.regs.r10 = 1ull << bit;
			expect_other_hypercall(&guest, &request.regs);
		}
		about("%s, R10 ~0", operations[i].name);
		request.regs.r10 = ~0ull;
		expect_other_hypercall(&guest, &request.regs);
		about("%s, R10 0", operations[i].name);
		request.regs.r10 = 0;
		expect_request(&guest, &request);
	}
	free_guest(&guest);
}

static const struct test {
	const char *name;
	void (*run)(int arg);
	int arg;
} tests[] = {
	{ "status table of the kernel", test_status_table },
	{ "KVM_CHECK_EXTENSION", test_check_extension },
	{ "KVM_ENABLE_CAP", test_enable_cap },
	{ "the last bitmap counts", test_last_bitmap },
	{ "KVM_EXIT_TDX by default", test_disabled, 0 },
	{ "KVM_EXIT_TDX with bitmap 0 after 7", test_disabled, ALL_OPERATIONS },
	{ "GetQuote, valid", test_valid_quotes, 0 },
	{ "GetQuote, valid, MAXPHYADDR 36", test_valid_quotes, 36 },
	{ "GetQuote, valid, MAXPHYADDR 40", test_valid_quotes, 40 },
	{ "GetQuote, valid, MAXPHYADDR 51", test_valid_quotes, 51 },
	{ "GetQuote, valid, MAXPHYADDR 52", test_valid_quotes, 52 },
	{ "GetQuote, valid, MAXPHYADDR 64", test_valid_quotes, 64 },
	{ "GetQuote, invalid", test_invalid_quotes, 0 },
	{ "GetQuote, invalid, MAXPHYADDR 36", test_invalid_quotes, 36 },
	{ "GetQuote, invalid, MAXPHYADDR 40", test_invalid_quotes, 40 },
	{ "GetQuote, invalid, MAXPHYADDR 51", test_invalid_quotes, 51 },
	{ "GetQuote, invalid, MAXPHYADDR 52", test_invalid_quotes, 52 },
	{ "GetQuote, invalid, MAXPHYADDR 64", test_invalid_quotes, 64 },
	{ "SetupEventNotifyInterrupt", test_vectors },
	{ "ReportFatalError, messages", test_messages },
	{ "ReportFatalError, error codes", test_error_codes },
	{ "ReportFatalError, addresses", test_fatal_gpas, 0 },
	{ "ReportFatalError, addresses, MAXPHYADDR 36", test_fatal_gpas, 36 },
	{ "ReportFatalError, addresses, MAXPHYADDR 52", test_fatal_gpas, 52 },
	{ "GetTdVmCallInfo", test_info },
	{ "unknown leaves, bitmap 7", test_unknown_leaves, ALL_OPERATIONS },
	{ "unknown leaves, bitmap 4", test_unknown_leaves, KVM_COCO_EXIT_FATAL_ERROR },
	{ "operations with each bitmap", test_bitmaps },
	{ "answers to GetQuote", test_answers, 0 },
	{ "answers to SetupEventNotifyInterrupt", test_answers, 1 },
	{ "reserved fields of GetQuote", test_reserved, 0 },
	{ "reserved fields of SetupEventNotifyInterrupt", test_reserved, 1 },
	{ "struct kvm_run overwritten", test_scribbled },
	{ "immediate_exit", test_immediate_exit },
	{ "pending signal", test_signal },
	{ "no registers during GetQuote", test_regs, 0 },
	{ "no registers during SetupEventNotifyInterrupt", test_regs, 1 },
	{ "no registers during ReportFatalError", test_regs, 2 },
	{ "VM destroyed with a request pending", test_destroyed },
	{ "two vCPUs at once", test_two_vcpus },
	{ "R10 not 0", test_r10 },
};

#define NR_MAINLINE_CALLS	24

/* What mainline's exits are tried with, besides what new_regs() has. */
static struct kvm_regs mainline_call(int call)
{
	const struct {
		u64 leaf;
		u64 r12;
		u64 r13;
	} calls[] = {
		{ GET_TD_VM_CALL_INFO, 0, 0 },
		{ GET_TD_VM_CALL_INFO, 1, 0 },
		{ GET_TD_VM_CALL_INFO, 2, 0 },
		{ GET_TD_VM_CALL_INFO, -1ull, 0 },
		{ GET_QUOTE, SHARED | 0x5000, 0x1000 },
		{ GET_QUOTE, SHARED | 0x5001, 0 },
		{ GET_QUOTE, SHARED | 0x5000, -1ull },
		{ GET_QUOTE, -1ull, 0x123 },
		{ GET_QUOTE, 0x5000, 0x1000 },
		{ GET_QUOTE, ~SHARED, 0x1000 },
		{ SETUP_EVENT_NOTIFY, 0, 0 },
		{ SETUP_EVENT_NOTIFY, 31, 0 },
		{ SETUP_EVENT_NOTIFY, 32, 0 },
		{ SETUP_EVENT_NOTIFY, 255, 0 },
		{ SETUP_EVENT_NOTIFY, 256, 0 },
		{ SETUP_EVENT_NOTIFY, BIT_ULL(32) | 32, 0 },
		{ SETUP_EVENT_NOTIFY, -1ull, 0 },
		{ REPORT_FATAL_ERROR, 0, 0 },
		{ REPORT_FATAL_ERROR, GPA_VALID | 0x123456789, SHARED | 0x7000 },
		{ REPORT_FATAL_ERROR, -1ull, -1ull },
		{ MAP_GPA, SHARED, 0x1000 },
		{ 0, 0, 0 },
		{ 0x10005, 1, 2 },
		{ -1ull, -1ull, -1ull },
	};
	struct kvm_regs regs = new_regs(calls[call].leaf);

	static_assert(ARRAY_SIZE(calls) == NR_MAINLINE_CALLS);
	regs.r12 = calls[call].r12;
	regs.r13 = calls[call].r13;
	return regs;
}

/*
 * One line: the call, the exit with all of the union up to the last word that is
 * not 0, if there is one, and the registers that the guest has after an answer
 * that mainline passes on as it is.
 */
static void show_call(struct guest *guest, int call, char *line, size_t size)
{
	struct kvm_regs regs = mainline_call(call), *out;
	struct kvm_run *run = guest->vcpu->run;
	const u64 *words = (const u64 *)run->padding;
	int ret, i, len, nr_words = sizeof(run->padding) / sizeof(u64);

	memset(run->padding, 0, sizeof(run->padding));
	ret = start(guest, &regs);

	len = snprintf(line, size, "%llx(%llx,%llx)", (unsigned long long)regs.r11,
		       (unsigned long long)regs.r12, (unsigned long long)regs.r13);
	if (ret != KVM_EXIT_IO) {
		while (nr_words && !words[nr_words - 1])
			nr_words--;
		len += snprintf(line + len, size - len, " exit %d:", ret);
		for (i = 0; i < nr_words; i++)
			len += snprintf(line + len, size - len, "%lx,", (unsigned long)words[i]);

		/* R10 to R14 of GetTdVmCallInfo, R10 of all others */
		run->tdx.unknown.ret = 0xabc;
		for (i = 0; i < 4; i++)
			run->tdx.unknown.data[i + 1] = 0x1000 + i;
		ret = enter(guest);
	}
	out = &guest->call->out;
	snprintf(line + len, size - len, " back %d:%llx,%llx,%llx,%llx,%llx,%llx", ret,
		 (unsigned long long)out->rax, (unsigned long long)out->r10,
		 (unsigned long long)out->r11, (unsigned long long)out->r12,
		 (unsigned long long)out->r13, (unsigned long long)out->r14);
}

static void compare_with_record(const char *path)
{
	struct guest guest = create_guest(0);
	char line[1024], recorded[1024];
	FILE *record = NULL;
	bool same;
	int i;

	if (path) {
		record = fopen(path, "r");
		TEST_ASSERT(record, "Cannot open %s, errno %d", path, errno);
	}
	ksft_set_plan(NR_MAINLINE_CALLS);
	for (i = 0; i < NR_MAINLINE_CALLS; i++) {
		show_call(&guest, i, line, sizeof(line));
		printf("record: %s\n", line);

		recorded[0] = 0;
		while (record && fgets(recorded, sizeof(recorded), record) && recorded[0] == '#')
			;
		recorded[strcspn(recorded, "\n")] = 0;
		same = !record || !strcmp(line, recorded);
		if (!same)
			ksft_print_msg("recorded: %s\n", recorded);
		ksft_test_result(same, "call %d\n", i);
	}
	if (record)
		fclose(record);
	free_guest(&guest);
	ksft_finished();
}

static void help(const char *name)
{
	printf("usage: %s [-h] [-v VM] [-s seed] [-m] [-r record]\n", name);
	printf(" -v: one kind of TD only: td48 or td52\n");
	printf(" -s: seed of the random leaves (default: the time)\n");
	printf(" -m: show mainline's exits\n");
	printf(" -r: compare mainline's exits with those of a record\n");
	exit(0);
}

int main(int argc, char *argv[])
{
	unsigned int seed = time(NULL);
	const char *record = NULL, *name = NULL;
	bool mainline = false;
	int i, k, opt, nr_kinds = 0;

	while ((opt = getopt(argc, argv, "hv:s:mr:")) != -1) {
		switch (opt) {
		case 'v':
			name = optarg;
			break;
		case 's':
			seed = strtoul(optarg, NULL, 0);
			break;
		case 'r':
			record = optarg;
			mainline = true;
			break;
		case 'm':
			mainline = true;
			break;
		default:
			help(argv[0]);
		}
	}

	for (i = ARRAY_SIZE(td_kinds) - 1; i >= 0; i--) {
		if (!is_td_kind(&td_kinds[i], name))
			continue;
		td = &td_kinds[i];
		nr_kinds++;
	}
	__TEST_REQUIRE(td, "KVM has no TDX VMs, or none with GPAW %s", name ? name : "48");
	alarm(MAX_SECONDS);
	if (mainline) {
		ksft_print_header();
		compare_with_record(record);
	}
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_COCO_EXITS));

	ksft_print_header();
	ksft_set_plan(nr_kinds * ARRAY_SIZE(tests));
	ksft_print_msg("seed %u\n", seed);
	srandom(seed);

	for (i = 0; i < ARRAY_SIZE(td_kinds); i++) {
		if (!is_td_kind(&td_kinds[i], name))
			continue;
		td = &td_kinds[i];
		for (k = 0; k < ARRAY_SIZE(tests); k++) {
			nr_checks = 0;
			nr_failed = 0;
			tests[k].run(tests[k].arg);
			if (nr_failed)
				ksft_print_msg("%d of %d checks failed\n", nr_failed, nr_checks);
			ksft_test_result(nr_checks && !nr_failed, "%s: %s\n", td->name,
					 tests[k].name);
		}
	}
	ksft_finished();
}
