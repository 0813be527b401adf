// SPDX-License-Identifier: GPL-2.0-only
/*
 * INT3 and INT n in guests with SEV-ES and SEV-SNP, delivered to a stack that KVM has
 * yet to map.  The nested page fault comes while the CPU delivers the event, which
 * KVM cannot inject then.  The guest has to get each event once, with the address of the
 * next instruction.
 */
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "test_util.h"

#define SOFT_VECTOR	0x80

/* The guest says by the reason of its termination how many events were right. */
#define TERM(reason)	(GHCB_MSR_TERM_REQ | (u64)(reason) << 16)

/* One for each event. */
#define NR_STACKS	16
static u8 stacks[NR_STACKS][PAGE_SIZE] __aligned(PAGE_SIZE);

static int nr_events;
static u64 last_vector, last_rip;

static void handler(struct ex_regs *regs)
{
	nr_events++;
	last_vector = regs->vector;
	last_rip = regs->rip;
}

/* Execute @insn with the next stack, and end the guest if the event is not right. */
#define TEST_EVENT(insn, vector)						\
do {										\
	u64 next_rip;								\
										\
	asm volatile("lea 1f(%%rip), %0\n\t"					\
		     "mov %%rsp, %%rbx\n\t"					\
		     "mov %1, %%rsp\n\t"					\
		     insn "\n"							\
		     "1:\n\t"							\
		     "mov %%rbx, %%rsp"						\
		     : "=&r" (next_rip)						\
		     : "r" (&stacks[nr][PAGE_SIZE])				\
		     : "rbx", "memory");					\
	if (nr_events != nr + 1 || last_vector != (vector) ||			\
	    last_rip != next_rip)						\
		end_guest(nr);							\
	nr++;									\
} while (0)

static void end_guest(int nr_right)
{
	wrmsr(MSR_AMD64_SEV_ES_GHCB, TERM(nr_right));
	vmgexit();
}

static void guest_code(void)
{
	int nr = 0;

	while (nr < NR_STACKS) {
		TEST_EVENT("int3", BP_VECTOR);
		TEST_EVENT("int $" __stringify(SOFT_VECTOR), SOFT_VECTOR);
	}
	end_guest(nr);
}

static void test_guest(const char *name, int type, u64 policy)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct kvm_run *run;
	bool terminated;
	u64 faults;

	if (!(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(type))) {
		ksft_test_result_skip("%s: KVM has no such VMs\n", name);
		return;
	}

	vm = vm_sev_create_with_one_vcpu(type, guest_code, &vcpu);
	vm_install_exception_handler(vm, BP_VECTOR, handler);
	vm_install_exception_handler(vm, SOFT_VECTOR, handler);
	vm_sev_launch(vm, policy, NULL);

	run = vcpu->run;
	vcpu_run(vcpu);
	terminated = run->exit_reason == KVM_EXIT_SYSTEM_EVENT &&
		     run->system_event.type == KVM_SYSTEM_EVENT_SEV_TERM;
	if (terminated)
		ksft_print_msg("%s: %lld of %d events as they should be\n", name,
			       run->system_event.data[0] >> 16, NR_STACKS);
	else
		ksft_print_msg("%s: exit %s\n", name, exit_reason_str(run->exit_reason));

	/* With a stack that is mapped, there is nothing to see. */
	faults = vcpu_get_stat(vcpu, pf_fixed);
	ksft_test_result(terminated && run->system_event.data[0] == TERM(NR_STACKS) &&
			 faults >= NR_STACKS,
			 "%s: software events to stacks that are not mapped, %lu faults\n",
			 name, faults);
	kvm_vm_free(vm);
}

int main(void)
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV));
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) &
		     (BIT(KVM_X86_SEV_ES_VM) | BIT(KVM_X86_SNP_VM)));

	ksft_print_header();
	ksft_set_plan(2);
	test_guest("SEV-ES", KVM_X86_SEV_ES_VM, SEV_POLICY_ES);
	test_guest("SEV-SNP", KVM_X86_SNP_VM, snp_default_policy());
	ksft_finished();
}
