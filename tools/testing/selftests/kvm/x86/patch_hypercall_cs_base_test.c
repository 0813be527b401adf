// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM replaces a hypercall instruction of the wrong vendor with the one of the
 * host CPU, and lets the guest execute it again.  The instruction is at CS base
 * plus IP.  For each mode in which CS can have a base, check that KVM replaces
 * the instruction there, and that nothing is written to IP taken as a linear
 * address.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <asm/kvm_para.h>
#include <linux/kvm_para.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"

#define INSN_SIZE	3
#define DONE_PORT	0xf0

/* KVM_RUN ends within microseconds, or never. */
#define TIMEOUT_S	10

static const u8 vmcall[INSN_SIZE]	= { 0x0f, 0x01, 0xc1 };
static const u8 vmmcall[INSN_SIZE]	= { 0x0f, 0x01, 0xd9 };
static const u8 out_done[]		= { 0xe6, DONE_PORT };
static const u8 other_memory[INSN_SIZE]	= { 0xcc, 0xcc, 0xcc };

static const struct test_case {
	const char *name;
	bool protected;
	bool db;
	u8 cpl;
	u16 cs;
	u32 base;
	u32 ip;
} test_cases[] = {
	{ "real mode",			false, false, 0, 0x80, 0x800,	   0x800 },
	{ "16-bit protected mode",	true,  false, 0, 0x08, 0x10000,	   0x2000 },
	{ "32-bit",			true,  true,  0, 0x08, 0x400,	   0x2000 },
	{ "32-bit, base + IP >= 4G",	true,  true,  0, 0x08, 0xfffff000, 0x3000 },
	{ "32-bit, CPL 3",		true,  true,  3, 0x0b, 0x400,	   0x2000 },
};

static void set_segment(struct kvm_segment *seg, const struct test_case *t,
			u16 selector, u32 base, u8 type)
{
	*seg = (struct kvm_segment) {
		.selector = selector,
		.base = base,
		.limit = t->db ? 0xffffffff : 0xffff,
		.type = type,
		.present = 1,
		.dpl = t->cpl,
		.db = t->db,
		.s = 1,
		.g = t->db,
	};
}

/* Paging is off, i.e. linear addresses are physical ones. */
static void set_mode(struct kvm_vcpu *vcpu, const struct test_case *t)
{
	u16 data = t->protected ? 0x10 | t->cpl : 0;
	struct kvm_sregs sregs;
	struct kvm_regs regs = {
		.rax = KVM_HC_VAPIC_POLL_IRQ,
		.rip = t->ip,
		.rflags = X86_EFLAGS_FIXED | 3 * X86_EFLAGS_IOPL,
	};

	vcpu_sregs_get(vcpu, &sregs);
	sregs.cr0 = X86_CR0_ET | X86_CR0_NE | (t->protected ? X86_CR0_PE : 0);
	sregs.cr4 = 0;
	sregs.efer = 0;
	/* An exception shuts the guest down. */
	sregs.idt.limit = 0;
	set_segment(&sregs.cs, t, t->cs, t->base, 0xb);
	set_segment(&sregs.ss, t, data, 0, 0x3);
	set_segment(&sregs.ds, t, data, 0, 0x3);
	sregs.es = sregs.ds;
	sregs.fs = sregs.ds;
	sregs.gs = sregs.ds;
	vcpu_sregs_set(vcpu, &sregs);
	vcpu_regs_set(vcpu, &regs);
}

static void test_mode(const struct test_case *t)
{
	const u8 *native = host_cpu_is_intel ? vmcall : vmmcall;
	const u8 *other = host_cpu_is_intel ? vmmcall : vmcall;
	struct kvm_vcpu *vcpu;
	struct kvm_regs regs;
	struct kvm_vm *vm;
	u8 *insn, *ip;
	int r;

	vm = vm_create_with_one_vcpu(&vcpu, NULL);
	insn = addr_gpa2hva(vm, (u32)(t->base + t->ip));
	ip = addr_gpa2hva(vm, t->ip);

	memcpy(ip, other_memory, INSN_SIZE);
	memcpy(insn, other, INSN_SIZE);
	memcpy(insn + INSN_SIZE, out_done, sizeof(out_done));
	set_mode(vcpu, t);

	alarm(TIMEOUT_S);
	r = __vcpu_run(vcpu);
	alarm(0);

	TEST_ASSERT(!memcmp(ip, other_memory, INSN_SIZE),
		    "%s: KVM wrote %02x %02x %02x to linear address 0x%x, the instruction is at 0x%x",
		    t->name, ip[0], ip[1], ip[2], t->ip, t->base + t->ip);
	TEST_ASSERT(!r, "%s: KVM_RUN failed, errno: %i (%s)", t->name, errno, strerror(errno));

	/*
	 * KVM emulates the other vendor's instruction like that vendor's CPU
	 * outside of a guest: VMCALL is a #GP at CPL > 0, and VMMCALL a #UD in
	 * real mode.  Nothing is replaced then.
	 */
	if (host_cpu_is_intel ? !t->protected : t->cpl) {
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_SHUTDOWN);
		TEST_ASSERT(!memcmp(insn, other, INSN_SIZE), "%s: was replaced", t->name);
	} else {
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
		TEST_ASSERT_EQ(vcpu->run->io.port, DONE_PORT);
		TEST_ASSERT(!memcmp(insn, native, INSN_SIZE), "%s: was not replaced", t->name);

		vcpu_regs_get(vcpu, &regs);
		TEST_ASSERT_EQ((s32)regs.rax, t->cpl ? -KVM_EPERM : 0);
	}

	kvm_vm_free(vm);
	ksft_test_result_pass("%s\n", t->name);
}

/* Only interrupts KVM_RUN. */
static void sigalrm_handler(int sig)
{
}

int main(void)
{
	int i;

	TEST_REQUIRE(host_cpu_is_intel || host_cpu_is_amd_compatible);

	signal(SIGALRM, sigalrm_handler);

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(test_cases));
	for (i = 0; i < ARRAY_SIZE(test_cases); i++)
		test_mode(&test_cases[i]);
	ksft_finished();
}
