// SPDX-License-Identifier: GPL-2.0-only
/*
 * TDVMCALLs, i.e. what a TDX guest asks of its hypervisor with TDG.VP.VMCALL.
 * See the Guest-Hypervisor Communication Interface (GHCI) specification.
 */
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/kvm_coco.h>
#include <linux/kvm_host.h>

#include <asm/shared/tdx.h>

#include "cpuid.h"
#include "map_gpa.h"
#include "mmu.h"
#include "tdvmcall.h"
#include "tdvmcall_status.h"
#include "trace.h"
#include "x86.h"

/* Leaf 1 of GetTdVmCallInfo, R11 */
#define TDVMCALLINFO_GET_QUOTE		BIT_ULL(0)
#define TDVMCALLINFO_SETUP_EVENT_NOTIFY	BIT_ULL(1)

/* The bit of R12 that says that a fatal error has an address in R13. */
#define FATAL_ERROR_GPA_VALID		BIT_ULL(63)

static int tdvmcall_finish(struct kvm_vcpu *vcpu, u64 status)
{
	vcpu->arch.tdvmcall_args->r10 = status;
	trace_kvm_tdvmcall_done(vcpu->vcpu_id, status, vcpu->arch.tdvmcall_args->r11);
	return 1;
}

/* Whether userspace may answer @err, and what the guest gets for it. */
static bool tdvmcall_status(u64 err, u64 *status)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(kvm_tdvmcall_statuses); i++) {
		if (kvm_tdvmcall_statuses[i].err == err) {
			*status = kvm_tdvmcall_statuses[i].status;
			return true;
		}
	}
	return false;
}

static bool is_event_vector(u64 vector)
{
	return vector >= 32 && vector <= 255;
}

/* Addresses of guests have a bit that says they are shared. */
static gpa_t tdvmcall_shared_bit(struct kvm *kvm)
{
	return gfn_to_gpa(kvm_gfn_direct_bits(kvm));
}

/* R11 tells the guest where to go on. */
static int stop_map_gpa(struct kvm_vcpu *vcpu, gpa_t gpa, u64 status)
{
	vcpu->arch.tdvmcall_args->r11 = gpa;
	return tdvmcall_finish(vcpu, status);
}

static int finish_map_gpa(struct kvm_vcpu *vcpu, u64 ret)
{
	gpa_t gpa = gfn_to_gpa(vcpu->arch.map_gpa.gfn) |
		    (vcpu->arch.tdvmcall_args->r12 & tdvmcall_shared_bit(vcpu->kvm));
	u64 status = TDVMCALL_STATUS_INVALID_OPERAND;

	if (!ret)
		return tdvmcall_finish(vcpu, TDVMCALL_STATUS_SUCCESS);

	tdvmcall_status(ret, &status);
	return stop_map_gpa(vcpu, gpa, status);
}

static int map_gpa(struct kvm_vcpu *vcpu)
{
	struct tdx_module_args *args = vcpu->arch.tdvmcall_args;
	gpa_t shared_bit = tdvmcall_shared_bit(vcpu->kvm);
	gpa_t gpa = args->r12, last = gpa + args->r13 - 1;

	/* Userspace has to ask for the exit, though the GHCI wants the call. */
	if (!kvm_can_map_gpa(vcpu->kvm))
		return stop_map_gpa(vcpu, gpa, TDVMCALL_STATUS_SUBFUNC_UNSUPPORTED);

	/* MAXPHYADDR is userspace's, and can be less than the shared bit. */
	if (last + 1 <= gpa || !kvm_vcpu_is_legal_gpa(vcpu, gpa & ~shared_bit) ||
	    !kvm_vcpu_is_legal_gpa(vcpu, last & ~shared_bit) ||
	    args->r13 > shared_bit || ((gpa ^ last) & shared_bit))
		return stop_map_gpa(vcpu, gpa, TDVMCALL_STATUS_INVALID_OPERAND);

	if (!PAGE_ALIGNED(gpa | args->r13))
		return stop_map_gpa(vcpu, gpa, TDVMCALL_STATUS_ALIGN_ERROR);

	return kvm_map_gpa(vcpu, gpa_to_gfn(gpa & ~shared_bit), PHYS_PFN(args->r13),
			   gpa & shared_bit ? KVM_MAP_GPA_RANGE_DECRYPTED :
					      KVM_MAP_GPA_RANGE_ENCRYPTED,
			   KVM_MAP_GPA_TDVMCALL, finish_map_gpa);
}

static int complete_simple(struct kvm_vcpu *vcpu)
{
	return tdvmcall_finish(vcpu, vcpu->run->tdx.unknown.ret);
}

static void prepare_tdx_exit(struct kvm_vcpu *vcpu, u64 nr)
{
	vcpu->run->exit_reason = KVM_EXIT_TDX;
	vcpu->run->tdx.flags = 0;
	vcpu->run->tdx.nr = nr;
	vcpu->arch.complete_userspace_io = complete_simple;
}

static int get_quote(struct kvm_vcpu *vcpu)
{
	struct tdx_module_args *args = vcpu->arch.tdvmcall_args;
	gpa_t shared_bit = tdvmcall_shared_bit(vcpu->kvm);

	/* The buffer has to be in shared memory. */
	if (!(args->r12 & shared_bit))
		return tdvmcall_finish(vcpu, TDVMCALL_STATUS_INVALID_OPERAND);

	prepare_tdx_exit(vcpu, TDVMCALL_GET_QUOTE);
	vcpu->run->tdx.get_quote.ret = TDVMCALL_STATUS_SUBFUNC_UNSUPPORTED;
	vcpu->run->tdx.get_quote.gpa = args->r12 & ~shared_bit;
	vcpu->run->tdx.get_quote.size = args->r13;
	return 0;
}

static int setup_event_notify(struct kvm_vcpu *vcpu)
{
	prepare_tdx_exit(vcpu, TDVMCALL_SETUP_EVENT_NOTIFY_INTERRUPT);
	vcpu->run->tdx.setup_event_notify.ret = TDVMCALL_STATUS_SUBFUNC_UNSUPPORTED;
	vcpu->run->tdx.setup_event_notify.vector = vcpu->arch.tdvmcall_args->r12;
	return 0;
}

static int report_fatal_error(struct kvm_vcpu *vcpu, u64 rax)
{
	struct tdx_module_args *args = vcpu->arch.tdvmcall_args;
	u64 *data = vcpu->run->system_event.data;

	vcpu->run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	vcpu->run->system_event.type = KVM_SYSTEM_EVENT_TDX_FATAL;
	vcpu->run->system_event.ndata = 16;

	data[VCPU_REGS_RAX] = rax;
	data[VCPU_REGS_RCX] = args->rcx;
	data[VCPU_REGS_RDX] = args->rdx;
	data[VCPU_REGS_RBX] = args->rbx;
	data[VCPU_REGS_RSP] = 0;
	data[VCPU_REGS_RBP] = 0;
	data[VCPU_REGS_RSI] = args->rsi;
	data[VCPU_REGS_RDI] = args->rdi;
	data[VCPU_REGS_R8] = args->r8;
	data[VCPU_REGS_R9] = args->r9;
	data[VCPU_REGS_R10] = args->r10;
	data[VCPU_REGS_R11] = args->r11;
	data[VCPU_REGS_R12] = args->r12;
	data[VCPU_REGS_R13] = args->r13;
	data[VCPU_REGS_R14] = args->r14;
	data[VCPU_REGS_R15] = args->r15;
	return 0;
}

/* What the guest can use because it has exits of KVM's own. */
static u64 own_exits_info(struct kvm_vcpu *vcpu)
{
	u32 exits = vcpu->kvm->arch.coco_exits;
	u64 info = 0;

	if (exits & KVM_COCO_EXIT_GET_QUOTE)
		info |= TDVMCALLINFO_GET_QUOTE;
	if (exits & KVM_COCO_EXIT_SETUP_EVENT_NOTIFY)
		info |= TDVMCALLINFO_SETUP_EVENT_NOTIFY;
	return info;
}

static int complete_get_info(struct kvm_vcpu *vcpu)
{
	struct tdx_module_args *args = vcpu->arch.tdvmcall_args;
	struct kvm_run *run = vcpu->run;

	args->r11 = run->tdx.get_tdvmcall_info.r11 | own_exits_info(vcpu);
	args->r12 = run->tdx.get_tdvmcall_info.r12;
	args->r13 = run->tdx.get_tdvmcall_info.r13;
	args->r14 = run->tdx.get_tdvmcall_info.r14;
	return tdvmcall_finish(vcpu, run->tdx.get_tdvmcall_info.ret);
}

static int get_info(struct kvm_vcpu *vcpu)
{
	struct tdx_module_args *args = vcpu->arch.tdvmcall_args;
	struct kvm_run *run = vcpu->run;

	switch (args->r12) {
	case 0:
		args->r11 = 0;
		args->r12 = 0;
		args->r13 = 0;
		args->r14 = 0;
		return tdvmcall_finish(vcpu, TDVMCALL_STATUS_SUCCESS);
	case 1:
		/* KVM itself has nothing beyond the base, see what userspace has. */
		prepare_tdx_exit(vcpu, TDVMCALL_GET_TD_VM_CALL_INFO);
		run->tdx.get_tdvmcall_info.ret = TDVMCALL_STATUS_SUCCESS;
		run->tdx.get_tdvmcall_info.leaf = args->r12;
		run->tdx.get_tdvmcall_info.r11 = 0;
		run->tdx.get_tdvmcall_info.r12 = 0;
		run->tdx.get_tdvmcall_info.r13 = 0;
		run->tdx.get_tdvmcall_info.r14 = 0;
		vcpu->arch.complete_userspace_io = complete_get_info;
		return 0;
	default:
		return tdvmcall_finish(vcpu, TDVMCALL_STATUS_INVALID_OPERAND);
	}
}

/*
 * From here on, calls that have an exit of their own.  Each is checked, then shown
 * to userspace, and what userspace has been shown is never read back, except for
 * its answer.
 */
static_assert(sizeof(struct kvm_coco_get_quote) == 24);
static_assert(sizeof(struct kvm_coco_setup_event_notify) == 16);
static_assert(sizeof(struct kvm_coco_fatal_error) == 96);
static_assert(!offsetof(struct kvm_coco_get_quote, ret));
static_assert(!offsetof(struct kvm_coco_setup_event_notify, ret));

/* @size bytes at @gpa are memory that is shared, and that a guest can have. */
static __always_inline bool is_shared_range(struct kvm_vcpu *vcpu, gpa_t gpa, u64 size)
{
	gpa_t shared_bit = tdvmcall_shared_bit(vcpu->kvm);
	/* MAXPHYADDR is userspace's: any from 0 to 255. */
	gpa_t last = min(shared_bit - 1, ~rsvd_bits(cpuid_maxphyaddr(vcpu), 63));

	/* Private addresses get the bit, and are beyond the end. */
	gpa ^= shared_bit;
	return PAGE_ALIGNED(gpa | size) && gpa <= last && size - 1 <= last - gpa;
}

/* @reserved is all that has to be 0 in an answer. */
static int complete_call(struct kvm_vcpu *vcpu, u32 err, u32 reserved,
			 int (*show)(struct kvm_vcpu *vcpu))
{
	u64 status;

	/* Only those that are told to try again know what it means. */
	if (reserved || !tdvmcall_status(err, &status) ||
	    (err == EAGAIN && vcpu->arch.tdvmcall_args->r11 != TDVMCALL_GET_QUOTE)) {
		/* Ask again: KVM_RUN has cleared complete_userspace_io. */
		show(vcpu);
		return -EINVAL;
	}

	return tdvmcall_finish(vcpu, status);
}

static int show_get_quote(struct kvm_vcpu *vcpu);

static int complete_get_quote(struct kvm_vcpu *vcpu)
{
	struct kvm_coco_get_quote *exit = &vcpu->run->coco_get_quote;

	return complete_call(vcpu, READ_ONCE(exit->ret), READ_ONCE(exit->flags),
			     show_get_quote);
}

static int show_get_quote(struct kvm_vcpu *vcpu)
{
	struct tdx_module_args *args = vcpu->arch.tdvmcall_args;

	vcpu->arch.complete_userspace_io = complete_get_quote;
	vcpu->run->exit_reason = KVM_EXIT_COCO_GET_QUOTE;
	vcpu->run->coco_get_quote = (struct kvm_coco_get_quote) {
		.ret = EOPNOTSUPP,
		.gpa = args->r12 & ~tdvmcall_shared_bit(vcpu->kvm),
		.size = args->r13,
	};
	return 0;
}

static int show_setup_event_notify(struct kvm_vcpu *vcpu);

static int complete_setup_event_notify(struct kvm_vcpu *vcpu)
{
	struct kvm_coco_setup_event_notify *exit = &vcpu->run->coco_setup_event_notify;

	return complete_call(vcpu, READ_ONCE(exit->ret),
			     READ_ONCE(exit->flags) | READ_ONCE(exit->reserved),
			     show_setup_event_notify);
}

static int show_setup_event_notify(struct kvm_vcpu *vcpu)
{
	vcpu->arch.complete_userspace_io = complete_setup_event_notify;
	vcpu->run->exit_reason = KVM_EXIT_COCO_SETUP_EVENT_NOTIFY;
	vcpu->run->coco_setup_event_notify = (struct kvm_coco_setup_event_notify) {
		.ret = EOPNOTSUPP,
		.vector = vcpu->arch.tdvmcall_args->r12,
	};
	return 0;
}

/* The GHCI specification has no way to refuse a fatal error. */
static int complete_fatal_error(struct kvm_vcpu *vcpu)
{
	return tdvmcall_finish(vcpu, TDVMCALL_STATUS_SUCCESS);
}

static int show_fatal_error(struct kvm_vcpu *vcpu)
{
	struct tdx_module_args *args = vcpu->arch.tdvmcall_args;
	const u64 message[] = {
		args->r14, args->r15, args->rbx, args->rdi,
		args->rsi, args->r8, args->r9, args->rdx,
	};
	struct kvm_coco_fatal_error *exit = &vcpu->run->coco_fatal_error;

	BUILD_BUG_ON(sizeof(message) >= sizeof(exit->message));

	vcpu->arch.complete_userspace_io = complete_fatal_error;
	vcpu->run->exit_reason = KVM_EXIT_COCO_FATAL_ERROR;
	*exit = (struct kvm_coco_fatal_error) {
		.error_code = args->r12 & ~FATAL_ERROR_GPA_VALID,
	};
	memcpy(exit->message, message, sizeof(message));

	/* A wrong address is no reason to lose the message. */
	if ((args->r12 & FATAL_ERROR_GPA_VALID) &&
	    is_shared_range(vcpu, args->r13, PAGE_SIZE)) {
		exit->flags = KVM_COCO_FATAL_ERROR_GPA_VALID;
		exit->gpa = args->r13 & ~tdvmcall_shared_bit(vcpu->kvm);
	}
	return 0;
}

/*
 * Handle the TDVMCALL in @args, of which @rax is no part, but is reported along
 * with a fatal error.  The guest gets R10 to R14 of @args when it is entered
 * again, which can be after an exit to userspace: @args have to stay until then.
 * Returns what the handler of a VM-Exit returns.
 */
int kvm_tdvmcall(struct kvm_vcpu *vcpu, struct tdx_module_args *args, u64 rax)
{
	u32 exits = vcpu->kvm->arch.coco_exits;

	vcpu->arch.tdvmcall_args = args;

	trace_kvm_tdvmcall(vcpu->vcpu_id, args->r11, args->r12, args->r13);

	switch (args->r11) {
	case TDVMCALL_GET_TD_VM_CALL_INFO:
		return get_info(vcpu);
	case TDVMCALL_GET_QUOTE:
		if (!(exits & KVM_COCO_EXIT_GET_QUOTE))
			return get_quote(vcpu);
		if (!is_shared_range(vcpu, args->r12, args->r13))
			return tdvmcall_finish(vcpu, TDVMCALL_STATUS_INVALID_OPERAND);
		return show_get_quote(vcpu);
	case TDVMCALL_MAP_GPA:
		return map_gpa(vcpu);
	case TDVMCALL_REPORT_FATAL_ERROR:
		if (!(exits & KVM_COCO_EXIT_FATAL_ERROR))
			return report_fatal_error(vcpu, rax);
		return show_fatal_error(vcpu);
	case TDVMCALL_SETUP_EVENT_NOTIFY_INTERRUPT:
		if (!is_event_vector(args->r12))
			return tdvmcall_finish(vcpu, TDVMCALL_STATUS_INVALID_OPERAND);
		if (!(exits & KVM_COCO_EXIT_SETUP_EVENT_NOTIFY))
			return setup_event_notify(vcpu);
		return show_setup_event_notify(vcpu);
	default:
		return tdvmcall_finish(vcpu, TDVMCALL_STATUS_SUBFUNC_UNSUPPORTED);
	}
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_tdvmcall);
