// SPDX-License-Identifier: GPL-2.0-only
/*
 * TDVMCALLs, i.e. what a TDX guest asks of its hypervisor with TDG.VP.VMCALL.
 * See the Guest-Hypervisor Communication Interface (GHCI) specification.
 */
#include <linux/kvm_host.h>

#include "mmu.h"
#include "tdvmcall.h"

static struct tdx_module_args *tdvmcall_args(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.tdvmcall.args;
}

static int tdvmcall_finish(struct kvm_vcpu *vcpu, u64 status)
{
	tdvmcall_args(vcpu)->r10 = status;
	return vcpu->arch.tdvmcall.finish(vcpu);
}

/* Addresses of guests have a bit that says they are shared. */
static gpa_t tdvmcall_shared_bit(struct kvm *kvm)
{
	return gfn_to_gpa(kvm_gfn_direct_bits(kvm));
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
	struct tdx_module_args *args = tdvmcall_args(vcpu);
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
	u64 vector = tdvmcall_args(vcpu)->r12;

	if (vector < 32 || vector > 255)
		return tdvmcall_finish(vcpu, TDVMCALL_STATUS_INVALID_OPERAND);

	prepare_tdx_exit(vcpu, TDVMCALL_SETUP_EVENT_NOTIFY_INTERRUPT);
	vcpu->run->tdx.setup_event_notify.ret = TDVMCALL_STATUS_SUBFUNC_UNSUPPORTED;
	vcpu->run->tdx.setup_event_notify.vector = vector;
	return 0;
}

static int report_fatal_error(struct kvm_vcpu *vcpu)
{
	struct tdx_module_args *args = tdvmcall_args(vcpu);
	u64 *data = vcpu->run->system_event.data;

	vcpu->run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	vcpu->run->system_event.type = KVM_SYSTEM_EVENT_TDX_FATAL;
	vcpu->run->system_event.ndata = 16;

	data[VCPU_REGS_RAX] = vcpu->arch.tdvmcall.rax;
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

	/* Should userspace resume the guest, R10 is what the guest has passed. */
	vcpu->arch.complete_userspace_io = vcpu->arch.tdvmcall.finish;
	return 0;
}

static int complete_get_info(struct kvm_vcpu *vcpu)
{
	struct tdx_module_args *args = tdvmcall_args(vcpu);
	struct kvm_run *run = vcpu->run;

	args->r11 = run->tdx.get_tdvmcall_info.r11;
	args->r12 = run->tdx.get_tdvmcall_info.r12;
	args->r13 = run->tdx.get_tdvmcall_info.r13;
	args->r14 = run->tdx.get_tdvmcall_info.r14;
	return tdvmcall_finish(vcpu, run->tdx.get_tdvmcall_info.ret);
}

static int get_info(struct kvm_vcpu *vcpu)
{
	struct tdx_module_args *args = tdvmcall_args(vcpu);
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
 * Handle the TDVMCALL in @args, of which @rax is no part, but is reported along
 * with a fatal error.  @finish gives R10 to R14 of @args back to the guest, now
 * or after an exit to userspace, and returns what the handler of a VM-Exit
 * returns, like this function.  The registers in @args stay until then.
 */
int kvm_tdvmcall(struct kvm_vcpu *vcpu, struct tdx_module_args *args,
		 unsigned long rax, int (*finish)(struct kvm_vcpu *vcpu))
{
	vcpu->arch.tdvmcall.args = args;
	vcpu->arch.tdvmcall.rax = rax;
	vcpu->arch.tdvmcall.finish = finish;

	switch (args->r11) {
	case TDVMCALL_GET_TD_VM_CALL_INFO:
		return get_info(vcpu);
	case TDVMCALL_GET_QUOTE:
		return get_quote(vcpu);
	case TDVMCALL_REPORT_FATAL_ERROR:
		return report_fatal_error(vcpu);
	case TDVMCALL_SETUP_EVENT_NOTIFY_INTERRUPT:
		return setup_event_notify(vcpu);
	default:
		return tdvmcall_finish(vcpu, TDVMCALL_STATUS_SUBFUNC_UNSUPPORTED);
	}
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_tdvmcall);
