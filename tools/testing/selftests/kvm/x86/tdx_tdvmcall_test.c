// SPDX-License-Identifier: GPL-2.0-only
/*
 * The exits of KVM_CAP_COCO_EXITS, with a real TD: its guest makes TDVMCALLs by
 * TDCALL, and reports what came back.
 *
 * Needs a CPU with TDX and its module, a kernel with CONFIG_KVM_INTEL_TDX and
 * kvm_intel.tdx=1, i.e. a KVM that has KVM_X86_TDX_VM in KVM_CAP_VM_TYPES, and
 * one unused TDX key ID.  It skips on all other hosts.
 */
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include <linux/bits.h>
#include <linux/kvm_coco.h>
#include <linux/sizes.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "tdx.h"
#include "test_util.h"

/* Leaves of TDG.VP.VMCALL and their status, see the GHCI specification. */
#define TDVMCALL_GET_INFO		0x10000
#define TDVMCALL_GET_QUOTE		0x10002
#define TDVMCALL_FATAL_ERROR		0x10003
#define TDVMCALL_EVENT_NOTIFY		0x10004
#define TDVMCALL_UNKNOWN		0x10040

#define STATUS_SUCCESS			0ull
#define STATUS_RETRY			1ull
#define STATUS_INVALID_OPERAND		0x8000000000000000ull
#define STATUS_UNSUPPORTED		0x8000000000000003ull

#define FATAL_ERROR_HAS_GPA		BIT_ULL(63)

/* A TD with GPAW 48 has this shared bit. */
#define GPAW				48
#define SHARED_BIT			BIT_ULL(47)

#define ALL_OPERATIONS			(KVM_COCO_EXIT_GET_QUOTE | \
					 KVM_COCO_EXIT_SETUP_EVENT_NOTIFY | \
					 KVM_COCO_EXIT_FATAL_ERROR)

/* Where the buffers of the guest would be.  There need not be a memslot. */
#define BUFFER_GPA			0x80000000ull
#define ERROR_PAGE_GPA			0x80001000ull

/* What registers have that must return 0. */
#define NOT_ZERO			0x5aull

/* A call needs one KVM_RUN for its exit and one for the guest to be ready. */
#define MAX_RUNS			8
#define MAX_SECONDS			60

static const char fatal_message[] =
	"A message of 64 bytes, which fill all registers: no NUL follows.";

static_assert(sizeof(fatal_message) == 64 + 1);

/* A TDVMCALL, and what must become of it. */
struct call {
	const char *name;
	u64 leaf;
	u64 r12;
	u64 r13;

	u32 exit;	/* 0: there must not be any */
	u32 bad_answer;	/* that KVM must refuse first, if not 0 */
	u32 answer;

	u64 status;
	u64 r11;	/* for GetTdVmCallInfo */
};

static const struct call calls[] = {
	{ "GetTdVmCallInfo, leaf 0", TDVMCALL_GET_INFO, 0, NOT_ZERO },
	{ "GetTdVmCallInfo, leaf 1", TDVMCALL_GET_INFO, 1, NOT_ZERO, .r11 = BIT(0) | BIT(1) },
	{ "GetTdVmCallInfo, leaf 2", TDVMCALL_GET_INFO, 2, NOT_ZERO,
	  .status = STATUS_INVALID_OPERAND },

	{ "GetQuote, accepted", TDVMCALL_GET_QUOTE, SHARED_BIT | BUFFER_GPA, SZ_4K,
	  KVM_EXIT_COCO_GET_QUOTE, .answer = 0 },
	{ "GetQuote, to be tried again", TDVMCALL_GET_QUOTE, SHARED_BIT | BUFFER_GPA, SZ_8K,
	  KVM_EXIT_COCO_GET_QUOTE, .answer = EAGAIN, .status = STATUS_RETRY },
	{ "GetQuote, unknown to userspace", TDVMCALL_GET_QUOTE, SHARED_BIT | BUFFER_GPA, SZ_4K,
	  KVM_EXIT_COCO_GET_QUOTE, .answer = EOPNOTSUPP, .status = STATUS_UNSUPPORTED },
	{ "GetQuote, after a wrong answer", TDVMCALL_GET_QUOTE, SHARED_BIT | BUFFER_GPA, SZ_4K,
	  KVM_EXIT_COCO_GET_QUOTE, .bad_answer = EIO, .answer = EINVAL,
	  .status = STATUS_INVALID_OPERAND },
	{ "GetQuote, private buffer", TDVMCALL_GET_QUOTE, BUFFER_GPA, SZ_4K,
	  .status = STATUS_INVALID_OPERAND },
	{ "GetQuote, unaligned buffer", TDVMCALL_GET_QUOTE, SHARED_BIT | (BUFFER_GPA + 8), SZ_4K,
	  .status = STATUS_INVALID_OPERAND },
	{ "GetQuote, size 0", TDVMCALL_GET_QUOTE, SHARED_BIT | BUFFER_GPA, 0,
	  .status = STATUS_INVALID_OPERAND },
	{ "GetQuote, unaligned size", TDVMCALL_GET_QUOTE, SHARED_BIT | BUFFER_GPA, SZ_4K + 1,
	  .status = STATUS_INVALID_OPERAND },
	{ "GetQuote, beyond all memory", TDVMCALL_GET_QUOTE, BIT_ULL(GPAW) - SZ_4K, SZ_8K,
	  .status = STATUS_INVALID_OPERAND },

	{ "SetupEventNotifyInterrupt, 31", TDVMCALL_EVENT_NOTIFY, 31,
	  .status = STATUS_INVALID_OPERAND },
	{ "SetupEventNotifyInterrupt, 32", TDVMCALL_EVENT_NOTIFY, 32, 0,
	  KVM_EXIT_COCO_SETUP_EVENT_NOTIFY, .answer = 0 },
	{ "SetupEventNotifyInterrupt, 256", TDVMCALL_EVENT_NOTIFY, 256,
	  .status = STATUS_INVALID_OPERAND },

	{ "unknown leaf", TDVMCALL_UNKNOWN, .status = STATUS_UNSUPPORTED },

	/* The last one: no guest expects to live on. */
	{ "ReportFatalError", TDVMCALL_FATAL_ERROR, FATAL_ERROR_HAS_GPA | 0x4200000017,
	  SHARED_BIT | ERROR_PAGE_GPA, KVM_EXIT_COCO_FATAL_ERROR },
};

/* What became of a call. */
struct outcome {
	struct kvm_regs regs;
	u32 exit;
	int nr_exits;
	bool wrong_request;
	bool took_bad_answer;
};

static void fill_call(struct kvm_regs *regs, const struct call *call)
{
	__u64 *message[] = {
		&regs->r14, &regs->r15, &regs->rbx, &regs->rdi,
		&regs->rsi, &regs->r8, &regs->r9, &regs->rdx,
	};
	int i;

	*regs = (struct kvm_regs) {
		.rax = TDG_VP_VMCALL,
		.rcx = TD_EXPOSED_REGS,
		.r11 = call->leaf,
		.r12 = call->r12,
		.r13 = call->r13,
		.r14 = NOT_ZERO,
		.rip = 1,
		.rflags = X86_EFLAGS_FIXED,
	};
	if (call->leaf != TDVMCALL_FATAL_ERROR)
		return;
	for (i = 0; i < ARRAY_SIZE(message); i++)
		memcpy(message[i], fatal_message + i * sizeof(u64), sizeof(u64));
}

static bool is_right_request(const struct kvm_run *run, const struct call *call)
{
	static const u8 nuls[KVM_COCO_FATAL_ERROR_MESSAGE_SIZE - 64];
	const struct kvm_coco_setup_event_notify *notify = &run->coco_setup_event_notify;
	const struct kvm_coco_fatal_error *fatal = &run->coco_fatal_error;
	const struct kvm_coco_get_quote *quote = &run->coco_get_quote;

	if (run->exit_reason != call->exit)
		return false;

	switch (run->exit_reason) {
	case KVM_EXIT_COCO_GET_QUOTE:
		return quote->ret == EOPNOTSUPP && !quote->flags &&
		       quote->gpa == (call->r12 & ~SHARED_BIT) && quote->size == call->r13;
	case KVM_EXIT_COCO_SETUP_EVENT_NOTIFY:
		return notify->ret == EOPNOTSUPP && !notify->flags &&
		       notify->vector == call->r12 && !notify->reserved;
	default:
		return fatal->flags == KVM_COCO_FATAL_ERROR_GPA_VALID &&
		       fatal->error_code == (call->r12 & ~FATAL_ERROR_HAS_GPA) &&
		       fatal->gpa == (call->r13 & ~SHARED_BIT) &&
		       !memcmp(fatal->message, fatal_message, 64) &&
		       !memcmp(fatal->message + 64, nuls, sizeof(nuls));
	}
}

/* All structures start with the answer, but a fatal error has none. */
static void set_answer(struct kvm_run *run, u32 answer)
{
	static_assert(!offsetof(struct kvm_coco_get_quote, ret));
	static_assert(!offsetof(struct kvm_coco_setup_event_notify, ret));

	if (run->exit_reason != KVM_EXIT_COCO_FATAL_ERROR)
		run->coco_get_quote.ret = answer;
}

static void answer_request(struct kvm_vcpu *vcpu, const struct call *call,
			   struct outcome *outcome)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_coco_get_quote before = run->coco_get_quote;
	u32 reason = run->exit_reason;
	int ret;

	outcome->exit = reason;
	outcome->nr_exits++;
	outcome->wrong_request |= !is_right_request(run, call);

	if (call->bad_answer) {
		set_answer(run, call->bad_answer);
		ret = __vcpu_run(vcpu);
		outcome->took_bad_answer = ret != -1 || errno != EINVAL ||
					   run->exit_reason != reason ||
					   memcmp(&run->coco_get_quote, &before, sizeof(before));
	}
	set_answer(run, call->answer);
}

/* Run the guest until it has made @call. */
static bool make_call(struct kvm_vcpu *vcpu, const struct call *call, struct outcome *outcome)
{
	struct td_area *area = vcpu_tdx_area(vcpu);
	struct kvm_run *run = vcpu->run;
	int runs, ret;

	memset(outcome, 0, sizeof(*outcome));
	fill_call(&area->calls[0].in, call);
	for (runs = 0; runs < MAX_RUNS; runs++) {
		ret = __vcpu_run(vcpu);
		if (ret && errno == EINTR)
			continue;
		if (!ret && td_is_ready(vcpu)) {
			outcome->regs = area->calls[0].out;
			return true;
		}
		switch (ret ? KVM_EXIT_UNKNOWN : run->exit_reason) {
		case KVM_EXIT_COCO_GET_QUOTE:
		case KVM_EXIT_COCO_SETUP_EVENT_NOTIFY:
		case KVM_EXIT_COCO_FATAL_ERROR:
			answer_request(vcpu, call, outcome);
			if (outcome->took_bad_answer) {
				ksft_print_msg("KVM took answer %u\n", call->bad_answer);
				return false;
			}
			break;
		case KVM_EXIT_TDX:
			/* KVM adds what it has exits for to what is preset, nothing. */
			if (run->tdx.nr != TDVMCALL_GET_INFO) {
				ksft_print_msg("KVM_EXIT_TDX for 0x%llx\n", run->tdx.nr);
				return false;
			}
			break;
		default:
			ksft_print_msg("unexpected: %s\n", td_outcome_str(vcpu, ret));
			return false;
		}
	}
	ksft_print_msg("not ready after %d KVM_RUNs\n", runs);
	return false;
}

static bool is_right_outcome(const struct call *call, const struct outcome *outcome)
{
	const struct kvm_regs *regs = &outcome->regs;

	if (outcome->nr_exits != !!call->exit || outcome->wrong_request)
		return false;
	if (regs->rax || regs->r10 != call->status)
		return false;
	if (call->leaf != TDVMCALL_GET_INFO || call->status != STATUS_SUCCESS)
		return true;
	return regs->r11 == call->r11 && !regs->r12 && !regs->r13 && !regs->r14;
}

static void test_call(struct kvm_vcpu *vcpu, const struct call *call)
{
	static bool is_lost;
	struct outcome outcome;

	if (is_lost) {
		ksft_test_result_fail("%s: the guest is lost\n", call->name);
		return;
	}
	is_lost = !make_call(vcpu, call, &outcome);
	if (!is_lost && outcome.wrong_request)
		ksft_print_msg("exit %u has other contents than the request\n", outcome.exit);
	ksft_test_result(!is_lost && is_right_outcome(call, &outcome),
			 "%s: %d exits, reason %u, RAX 0x%lx, status 0x%lx, R11 0x%lx\n",
			 call->name, outcome.nr_exits, outcome.exit,
			 (unsigned long)outcome.regs.rax,
			 (unsigned long)outcome.regs.r10,
			 (unsigned long)outcome.regs.r11);
}

int main(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int i, ret;

	__TEST_REQUIRE(is_tdx_enabled(),
		       "KVM has no TDX VMs: no such CPU, or kvm_intel.tdx=1 is missing");
	__TEST_REQUIRE(kvm_has_cap(KVM_CAP_COCO_EXITS), "KVM has no KVM_CAP_COCO_EXITS");

	/* There is no hanging on: the signal kills the test. */
	alarm(MAX_SECONDS);
	vm = vm_tdx_create(GPAW);

	ksft_print_header();
	ksft_set_plan(3 + ARRAY_SIZE(calls));

	ret = vm_check_cap(vm, KVM_CAP_COCO_EXITS);
	ksft_test_result((ret & ALL_OPERATIONS) == ALL_OPERATIONS, "operations of the VM: 0x%x\n",
			 ret);
	ret = __vm_enable_cap(vm, KVM_CAP_COCO_EXITS, ALL_OPERATIONS);
	ksft_test_result(!ret, "all enabled: returned %d\n", ret);

	vcpu = vm_tdx_vcpu_add(vm, 0);
	ret = __vm_enable_cap(vm, KVM_CAP_COCO_EXITS, 0);
	ksft_test_result(ret == -1 && errno == EINVAL,
			 "cannot be changed with a vCPU: returned %d, errno %d\n", ret, errno);

	vm_tdx_finalize(vm);
	ret = __vcpu_run(vcpu);
	TEST_ASSERT(!ret && td_is_ready(vcpu), "The guest did not start: %s",
		    td_outcome_str(vcpu, ret));

	for (i = 0; i < ARRAY_SIZE(calls); i++)
		test_call(vcpu, &calls[i]);

	kvm_vm_free(vm);
	ksft_finished();
}
