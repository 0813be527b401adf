/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that does nothing but load all its registers from memory, execute one
 * hypercall and store all its registers, again and again.  The host chooses what
 * it loads, and checks what it has stored, or why KVM_RUN has returned.
 *
 * To be included by the one source file of a test.
 */
#ifndef SELFTEST_KVM_HYPERCALL_GUEST_H
#define SELFTEST_KVM_HYPERCALL_GUEST_H

#include <asm/kvm_para.h>

#include "expect.h"
#include "kvm_util.h"
#include "processor.h"
#include "tdx.h"
#include "ucall_common.h"

/* A kind of TD */
struct td_kind {
	const char *name;
	/* Bits of an address, of which the topmost makes it shared. */
	int gpaw;
};

static const struct td_kind td_kinds[] = {
	{ "td48", 48 },
	{ "td52", 52 },
};

/* What the guest is: NULL if it is none. */
static const struct td_kind *td;

#define SHARED		(td ? BIT_ULL(td->gpaw - 1) : 0)

static inline bool in_td(void)
{
	return td;
}

/* Whether KVM has such TDs.  @name is that of a kind, or "td" for all; NULL for any. */
static inline bool is_td_kind(const struct td_kind *kind, const char *name)
{
	return is_tdx_enabled() && is_gpaw_supported(kind->gpaw) &&
	       (!name || !strcmp(name, kind->name) || !strcmp(name, "td"));
}

#define INSN_SIZE	3

/* CF, the bit that is always set, PF, AF, ZF, SF, DF and OF; IF stays off. */
#define GUEST_RFLAGS	0xcd7

static const char * const reg_names[] = {
	"RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RSP", "RBP", "R8", "R9", "R10",
	"R11", "R12", "R13", "R14", "R15", "RIP", "RFLAGS",
};

kvm_static_assert(sizeof(struct kvm_regs) == sizeof(u64) * ARRAY_SIZE(reg_names));

/*
 * What the guest loads, except RSP and RIP, and what it stores.  out.rip is 0 if the
 * instruction after the hypercall has not been executed.
 */
struct call {
	struct kvm_regs in;
	struct kvm_regs out;
};

/* For make_hypercall(): registers are in the order of struct kvm_regs. */
kvm_static_assert(offsetof(struct kvm_regs, rdi) == 40);
kvm_static_assert(offsetof(struct kvm_regs, rsp) == 48);
kvm_static_assert(offsetof(struct kvm_regs, rbp) == 56);
kvm_static_assert(offsetof(struct kvm_regs, r8) == 64);
kvm_static_assert(offsetof(struct kvm_regs, rflags) == 136);
kvm_static_assert(offsetof(struct call, out) == 144);

/* A TD has a guest of its own, which finds the same where it looks for calls. */
kvm_static_assert(sizeof(struct call) == sizeof(struct td_call));
kvm_static_assert(offsetof(struct call, in) == offsetof(struct td_call, in));
kvm_static_assert(offsetof(struct call, out) == offsetof(struct td_call, out));

/*
 * The host replaces the INT3s with the hypercall instruction of the CPU.  MOV,
 * XCHG, PUSH and POP leave the flags alone.  Not static, because the compiler
 * would take the argument for unused.  The instruction that follows has the same
 * length, and writes to the stack: if KVM skips two, that is still 0.
 */
noinline __naked void make_hypercall(struct call *call)
{
	asm("push %rbx\n\t"
	    "push %rbp\n\t"
	    "push %r12\n\t"
	    "push %r13\n\t"
	    "push %r14\n\t"
	    "push %r15\n\t"
	    "pushfq\n\t"
	    "push %rdi\n\t"
	    "pushq $0\n\t"
	    "mov %rsp, 48(%rdi)\n\t"
	    "pushq 136(%rdi)\n\t"
	    "popfq\n\t"
	    "mov 0(%rdi), %rax\n\t"
	    "mov 8(%rdi), %rbx\n\t"
	    "mov 16(%rdi), %rcx\n\t"
	    "mov 24(%rdi), %rdx\n\t"
	    "mov 32(%rdi), %rsi\n\t"
	    "mov 56(%rdi), %rbp\n\t"
	    "mov 64(%rdi), %r8\n\t"
	    "mov 72(%rdi), %r9\n\t"
	    "mov 80(%rdi), %r10\n\t"
	    "mov 88(%rdi), %r11\n\t"
	    "mov 96(%rdi), %r12\n\t"
	    "mov 104(%rdi), %r13\n\t"
	    "mov 112(%rdi), %r14\n\t"
	    "mov 120(%rdi), %r15\n\t"
	    "mov 40(%rdi), %rdi\n\t"
	    ".balign 4\n"
	    "hypercall_insn:\n\t"
	    "int3\n\t"
	    "int3\n\t"
	    "int3\n\t"
	    "mov %esp, (%rsp)\n\t"
	    "xchg %rdi, 8(%rsp)\n\t"
	    "mov %rax, 144+0(%rdi)\n\t"
	    "mov %rbx, 144+8(%rdi)\n\t"
	    "mov %rcx, 144+16(%rdi)\n\t"
	    "mov %rdx, 144+24(%rdi)\n\t"
	    "mov %rsi, 144+32(%rdi)\n\t"
	    "mov %rsp, 144+48(%rdi)\n\t"
	    "mov %rbp, 144+56(%rdi)\n\t"
	    "mov %r8, 144+64(%rdi)\n\t"
	    "mov %r9, 144+72(%rdi)\n\t"
	    "mov %r10, 144+80(%rdi)\n\t"
	    "mov %r11, 144+88(%rdi)\n\t"
	    "mov %r12, 144+96(%rdi)\n\t"
	    "mov %r13, 144+104(%rdi)\n\t"
	    "mov %r14, 144+112(%rdi)\n\t"
	    "mov %r15, 144+120(%rdi)\n\t"
	    "pushfq\n\t"
	    "popq 144+136(%rdi)\n\t"
	    "popq 144+128(%rdi)\n\t"
	    "popq 144+40(%rdi)\n\t"
	    "popfq\n\t"
	    "pop %r15\n\t"
	    "pop %r14\n\t"
	    "pop %r13\n\t"
	    "pop %r12\n\t"
	    "pop %rbp\n\t"
	    "pop %rbx\n\t"
	    "ret");
}

/* Where the instruction of make_hypercall() is. */
static inline u64 insn_address(void)
{
	u64 address;

	asm("lea hypercall_insn(%%rip), %0" : "=r" (address));
	return address;
}

static inline void guest_code(struct call *call)
{
	for (;;) {
		GUEST_SYNC(0);
		make_hypercall(call);
	}
}

static const char *outcome_str(int ret)
{
	return ret < 0 ? strerror(-ret) : exit_reason_str(ret);
}

/* One vCPU, in make_hypercall() or about to call it. */
struct guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct call *call;
	/* First address that the guest cannot have. */
	u64 limit;
	int maxphyaddr;
	/* Nobody knows where it is, no use to go on. */
	bool lost;
};

/*
 * KVM_EXIT_IO if the guest has come back from make_hypercall(), otherwise the reason
 * of the exit, or the errno of KVM_RUN as a negative number.
 */
static inline int enter(struct guest *guest)
{
	struct kvm_run *run = guest->vcpu->run;
	struct ucall uc;

	if (_vcpu_run(guest->vcpu))
		return -errno;
	if (run->exit_reason != KVM_EXIT_IO)
		return run->exit_reason;
	if (is_tdx_vm(guest->vm)) {
		if (td_is_ready(guest->vcpu))
			return KVM_EXIT_IO;
		ksft_print_msg("%s\n", td_outcome_str(guest->vcpu, 0));
		return KVM_EXIT_UNKNOWN;
	}

	switch (get_ucall(guest->vcpu, &uc)) {
	case UCALL_SYNC:
		return KVM_EXIT_IO;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
	default:
		return KVM_EXIT_UNKNOWN;
	}
}

/* Like enter(), but KVM has to return before it enters the guest. */
static inline int enter_immediately(struct guest *guest)
{
	int ret;

	guest->vcpu->run->immediate_exit = 1;
	ret = __vcpu_run(guest->vcpu) ? -errno : guest->vcpu->run->exit_reason;
	guest->vcpu->run->immediate_exit = 0;
	return ret;
}

/* VMMCALL or VMCALL, which have the same length */
static inline void write_hypercall(struct kvm_vm *vm, gva_t gva)
{
	memcpy(addr_gva2hva(vm, gva), host_cpu_is_amd_compatible ? "\x0f\x01\xd9" :
								   "\x0f\x01\xc1", INSN_SIZE);
}

static inline struct kvm_vm *create_vm(u32 type, u64 operations)
{
	struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = type };
	struct kvm_vm *vm;

	if (type == KVM_X86_TDX_VM) {
		vm = vm_tdx_create(td->gpaw);
	} else {
		vm = __vm_create(shape, 2, 0);
		write_hypercall(vm, insn_address());
	}
	if (operations)
		vm_enable_cap(vm, KVM_CAP_COCO_EXITS, operations);
	return vm;
}

/* With memory for its calls */
static inline void create_guest_vcpu(struct guest *guest, u32 id)
{
	gva_t gva;

	if (is_tdx_vm(guest->vm)) {
		guest->vcpu = vm_tdx_vcpu_add(guest->vm, id);
		guest->call = (struct call *)vcpu_tdx_area(guest->vcpu)->calls;
		return;
	}
	guest->vcpu = vm_vcpu_add(guest->vm, id, guest_code);
	gva = vm_alloc_page(guest->vm);
	guest->call = addr_gva2hva(guest->vm, gva);
	vcpu_args_set(guest->vcpu, 1, gva);
}

/* All vCPUs of @vm, with MAXPHYADDR as KVM proposes it if @maxphyaddr is 0. */
static inline void add_vcpus(struct kvm_vm *vm, struct guest *guests, u32 nr, int maxphyaddr)
{
	struct guest *guest;
	int ret, bits;

	for (guest = guests; guest < guests + nr; guest++) {
		*guest = (struct guest) { .vm = vm };
		create_guest_vcpu(guest, guest - guests);
		if (maxphyaddr)
			vcpu_set_cpuid_property(guest->vcpu, X86_PROPERTY_MAX_PHY_ADDR,
						maxphyaddr);
		guest->maxphyaddr = kvm_cpuid_property(guest->vcpu->cpuid,
						       X86_PROPERTY_MAX_PHY_ADDR);
		bits = guest->maxphyaddr;
		if (in_td())
			bits = min(bits, td->gpaw - 1);
		guest->limit = 1ull << bits;
	}
	if (is_tdx_vm(vm))
		vm_tdx_finalize(vm);
	for (guest = guests; guest < guests + nr; guest++) {
		ret = enter(guest);
		TEST_ASSERT(ret == KVM_EXIT_IO, "The guest did not start, but %d (%s)",
			    ret, outcome_str(ret));
	}
}

static inline struct guest add_vcpu(struct kvm_vm *vm, int maxphyaddr)
{
	struct guest guest;

	add_vcpus(vm, &guest, 1, maxphyaddr);
	return guest;
}

static inline void free_guest(struct guest *guest)
{
	kvm_vm_free(guest->vm);
}

/* After something unexpected, so that the next check has a chance. */
static inline void recover(struct guest *guest, int ret)
{
	int i;

	if (guest->lost)
		return;
	for (i = 0; i < 3 && ret != KVM_EXIT_IO; i++) {
		/* Any answer that KVM takes will do. */
		if (guest->vcpu->run->exit_reason == KVM_EXIT_HYPERCALL)
			guest->vcpu->run->hypercall.ret = EINVAL;
		else
			guest->vcpu->run->coco_get_quote.ret = EINVAL;
		ret = enter(guest);
	}
	guest->lost = ret != KVM_EXIT_IO;
}

/* No two registers are the same, and none is what a hypercall might return. */
static inline struct kvm_regs new_regs(u64 leaf)
{
	struct kvm_regs regs;
	u64 *reg = (u64 *)&regs;
	int i;

	for (i = 0; i < ARRAY_SIZE(reg_names); i++)
		reg[i] = 0xa5c3000000000000ull + 0x0101010101ull * (i + 1);
	if (in_td()) {
		regs.rax = TDG_VP_VMCALL;
		regs.rcx = TD_EXPOSED_REGS;
	}
	regs.r10 = 0;
	regs.r11 = leaf;
	regs.rip = insn_address();
	regs.rflags = GUEST_RFLAGS;
	return regs;
}

/* Make the guest load @regs and call. */
static inline int start(struct guest *guest, const struct kvm_regs *regs)
{
	if (guest->lost)
		return -ESRCH;
	guest->call->in = *regs;
	memset(&guest->call->out, 0xcc, sizeof(guest->call->out));
	return enter(guest);
}

static inline bool expect_regs(const struct kvm_regs *regs, const struct kvm_regs *wanted)
{
	const u64 *reg = (const u64 *)regs, *want = (const u64 *)wanted;
	bool ok = true;
	int i;

	for (i = 0; i < ARRAY_SIZE(reg_names); i++)
		ok &= expect(reg[i] == want[i], "%s is 0x%lx, not 0x%lx", reg_names[i],
			     (unsigned long)reg[i], (unsigned long)want[i]);
	return ok;
}

/* Whether the guest went on right after the hypercall. */
static inline bool expect_next_insn(struct call *call)
{
	bool ok = expect(call->out.rip, "the instruction after the hypercall is skipped, too");

	call->out.rip = insn_address();
	return ok;
}

/* KVM has not returned to userspace, and the guest found @wanted after the call. */
static inline bool expect_back(struct guest *guest, int ret, const struct kvm_regs *wanted)
{
	struct kvm_regs want = *wanted;

	if (!expect(ret == KVM_EXIT_IO, "the call did not return, but %d (%s)", ret,
		    outcome_str(ret))) {
		recover(guest, ret);
		return false;
	}
	want.rsp = guest->call->in.rsp;
	want.rip = insn_address();
	return expect_next_insn(guest->call) && expect_regs(&guest->call->out, &want);
}

#endif /* SELFTEST_KVM_HYPERCALL_GUEST_H */
