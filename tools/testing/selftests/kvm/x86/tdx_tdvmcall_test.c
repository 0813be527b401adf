// SPDX-License-Identifier: GPL-2.0-only
/*
 * The exits of KVM_CAP_COCO_EXITS, with a real TD: its guest makes TDVMCALLs by
 * TDCALL, and reports what came back.
 *
 * Needs a CPU with TDX and its module, a kernel with CONFIG_KVM_INTEL_TDX and
 * kvm_intel.tdx=1, i.e. a KVM that has KVM_X86_TDX_VM in KVM_CAP_VM_TYPES, and
 * one unused TDX key ID.  It skips on all other hosts.
 *
 * So far this has only been compiled.  It has never run on a host with TDX.
 *
 * The library knows nothing about TDX.  Of its helpers those are used that do no
 * more than one ioctl: others set registers, which a TD does not allow, and copy
 * page tables and code to memory that the host cannot write to.
 *
 * The guest is five pages below 4GiB, all of them initial private memory: page
 * tables, a list of calls and the code, which has the reset vector in its last
 * bytes.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/bits.h>
#include <linux/kvm_coco.h>
#include <linux/sizes.h>
#include <linux/stringify.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
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

/* RBX, RDX, RSI, RDI and R8 to R15 */
#define EXPOSED_REGS			0xffcc

/* A TD with GPAW 48 has this shared bit. */
#define GPAW				48
#define SHARED_BIT			BIT_ULL(47)

/* An attribute of a TD, see the specification of the TDX module. */
#define TD_ATTR_SEPT_VE_DISABLE		BIT_ULL(28)

#define ALL_OPERATIONS			(KVM_COCO_EXIT_GET_QUOTE | \
					 KVM_COCO_EXIT_SETUP_EVENT_NOTIFY | \
					 KVM_COCO_EXIT_FATAL_ERROR)

/* Plain numbers, because the assembler sees them as well. */
#define IMAGE_GPA			0xffffb000
#define PML4_GPA			0xffffb000
#define PDPT_GPA			0xffffc000
#define PD_GPA				0xffffd000
#define CALLS_GPA			0xffffe000
#define CODE_GPA			0xfffff000
#define IMAGE_PAGES			5

#define REPORT_PORT			0x1000
#define NR_WORDS			12
#define CALL_SIZE			152

#define PTE_TABLE			0x03	/* present, writable */
#define PTE_2MB_PAGE			0xe3	/* and accessed, dirty, large */

/* Where the buffers of the guest would be.  There need not be a memslot. */
#define BUFFER_GPA			0x80000000ull
#define ERROR_PAGE_GPA			0x80001000ull

/* What registers have that must return 0. */
#define NOT_ZERO			0x5aull

#define MAX_CPUID_ENTRIES		256
/* A call needs one KVM_RUN for its exit and one for each word of the report. */
#define MAX_RUNS			64
#define MAX_SECONDS			60

/* A call as the guest finds it, and leaves it. */
struct guest_call {
	u64 rcx;
	u64 rbx;
	u64 rdx;
	u64 rsi;
	u64 rdi;
	u64 r8;
	u64 r9;
	u64 r10;
	u64 r11;
	u64 r12;
	u64 r13;
	u64 r14;
	u64 r15;
	struct results {
		u64 rax;
		u64 r10;
		u64 r11;
		u64 r12;
		u64 r13;
		u64 r14;
	} results;
};

static_assert(sizeof(struct guest_call) == CALL_SIZE);
static_assert(offsetof(struct guest_call, r15) == 96);
static_assert(offsetof(struct guest_call, results) == 104);
static_assert(sizeof(struct results) == NR_WORDS * sizeof(u32));

/*
 * A TD starts in protected mode, with flat segments and EFER.LME set.  Nobody can
 * interrupt it, and it has neither a stack nor an IDT: what goes wrong ends in a
 * triple fault.  RBP and RBX are the guest's own, no call exposes RBP, and the
 * reports do not expose RBX.
 */
asm(".pushsection .rodata\n"
	".code32\n"
	"guest_code:\n"
	"	cli\n"
	"	movl	$" __stringify(PML4_GPA) ", %eax\n"
	"	movl	%eax, %cr3\n"
	"	movl	%cr4, %eax\n"
	"	orl	$0x20, %eax\n"			/* PAE */
	"	movl	%eax, %cr4\n"
	"	lgdtl	" __stringify(CODE_GPA) " + guest_gdtr - guest_code\n"
	"	movl	%cr0, %eax\n"
	"	orl	$0x80000000, %eax\n"		/* PG */
	"	movl	%eax, %cr0\n"
	"	ljmpl	$8, $(" __stringify(CODE_GPA) " + guest_64bit - guest_code)\n"

	".code64\n"
	"guest_64bit:\n"
	"	movl	$" __stringify(CALLS_GPA) ", %ebp\n"
	"guest_next:\n"
	"	movq	(%rbp), %rcx\n"
	"	testq	%rcx, %rcx\n"
	"	jz	guest_dead\n"
	"	movq	8(%rbp), %rbx\n"
	"	movq	16(%rbp), %rdx\n"
	"	movq	24(%rbp), %rsi\n"
	"	movq	32(%rbp), %rdi\n"
	"	movq	40(%rbp), %r8\n"
	"	movq	48(%rbp), %r9\n"
	"	movq	56(%rbp), %r10\n"
	"	movq	64(%rbp), %r11\n"
	"	movq	72(%rbp), %r12\n"
	"	movq	80(%rbp), %r13\n"
	"	movq	88(%rbp), %r14\n"
	"	movq	96(%rbp), %r15\n"
	"	xorl	%eax, %eax\n"			/* TDG.VP.VMCALL */
	"	.byte	0x66, 0x0f, 0x01, 0xcc\n"	/* TDCALL */
	"	movq	%rax, 104(%rbp)\n"
	"	movq	%r10, 112(%rbp)\n"
	"	movq	%r11, 120(%rbp)\n"
	"	movq	%r12, 128(%rbp)\n"
	"	movq	%r13, 136(%rbp)\n"
	"	movq	%r14, 144(%rbp)\n"

	/* Report the results, one word at a time. */
	"	xorl	%ebx, %ebx\n"
	"guest_report:\n"
	"	xorl	%r10d, %r10d\n"
	"	movl	$30, %r11d\n"			/* Instruction.IO */
	"	movl	$4, %r12d\n"			/* size */
	"	movl	$1, %r13d\n"			/* write */
	"	leal	" __stringify(REPORT_PORT) "(%rbx), %r14d\n"
	"	movl	104(%rbp, %rbx, 4), %r15d\n"
	"	movl	$0xfc00, %ecx\n"		/* R10 to R15 */
	"	xorl	%eax, %eax\n"
	"	.byte	0x66, 0x0f, 0x01, 0xcc\n"
	"	orq	%r10, %rax\n"
	"	jnz	guest_dead\n"
	"	incl	%ebx\n"
	"	cmpl	$" __stringify(NR_WORDS) ", %ebx\n"
	"	jb	guest_report\n"
	"	addq	$" __stringify(CALL_SIZE) ", %rbp\n"
	"	jmp	guest_next\n"
	"guest_dead:\n"
	"	ud2\n"

	"	.balign	8\n"
	"guest_gdt:\n"
	"	.quad	0\n"
	"	.quad	0x00af9b000000ffff\n"		/* 64-bit code, accessed */
	"guest_gdtr:\n"
	"	.word	. - guest_gdt - 1\n"
	"	.long	" __stringify(CODE_GPA) " + guest_gdt - guest_code\n"

	/* The reset vector, 0xfffffff0 */
	"	.org	guest_code + 0xff0, 0xcc\n"
	".code32\n"
	"	.byte	0xe9\n"				/* JMP */
	"	.long	guest_code - . - 4\n"
	"	.org	guest_code + 0x1000, 0xcc\n"
	".code64\n"
	".popsection\n");

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
	struct results results;
	u32 exit;
	int nr_exits;
	bool wrong_request;
	bool took_bad_answer;
};

static int __tdx_ioctl(int fd, u32 id, u64 data, u64 *hw_error)
{
	struct kvm_tdx_cmd cmd = { .id = id, .data = data };
	int ret = ioctl(fd, KVM_MEMORY_ENCRYPT_OP, &cmd);

	*hw_error = cmd.hw_error;
	return ret;
}

static void tdx_ioctl(int fd, u32 id, u64 data)
{
	u64 hw_error;
	int ret = __tdx_ioctl(fd, id, data, &hw_error);

	TEST_ASSERT(!ret, "TDX command %u failed, errno %d, hw_error 0x%lx",
		    id, errno, (unsigned long)hw_error);
}

/*
 * Take what KVM supports for each entry that can be configured.  All other bits
 * are up to the TDX module.
 */
static void fill_cpuid(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid2 *configurable)
{
	const struct kvm_cpuid2 *supported = kvm_get_supported_cpuid();
	const struct kvm_cpuid_entry2 *from, *mask;
	struct kvm_cpuid_entry2 *entry;
	u32 i, j;

	for (i = 0; i < configurable->nent; i++) {
		mask = &configurable->entries[i];
		for (j = 0; j < supported->nent; j++) {
			from = &supported->entries[j];
			if (from->function == mask->function && from->index == mask->index)
				break;
		}
		if (j == supported->nent)
			continue;

		/* With an index KVM cannot take one entry for another. */
		entry = &cpuid->entries[cpuid->nent++];
		entry->function = mask->function;
		entry->index = mask->index;
		entry->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		entry->eax = from->eax & mask->eax;
		entry->ebx = from->ebx & mask->ebx;
		entry->ecx = from->ecx & mask->ecx;
		entry->edx = from->edx & mask->edx;

		/* This is how KVM is told the GPAW. */
		if (entry->function == 0x80000008)
			entry->eax = (entry->eax & ~GENMASK(23, 16)) | GPAW << 16;
	}
}

static void init_td(struct kvm_vm *vm)
{
	struct kvm_tdx_capabilities *caps;
	struct kvm_tdx_init_vm *init;
	u64 hw_error;
	int ret;

	caps = calloc(1, sizeof(*caps) + MAX_CPUID_ENTRIES * sizeof(caps->cpuid.entries[0]));
	init = calloc(1, sizeof(*init) + MAX_CPUID_ENTRIES * sizeof(init->cpuid.entries[0]));
	TEST_ASSERT(caps && init, "no memory");

	caps->cpuid.nent = MAX_CPUID_ENTRIES;
	tdx_ioctl(vm->fd, KVM_TDX_CAPABILITIES, (u64)caps);
	TEST_ASSERT(caps->cpuid.nent <= MAX_CPUID_ENTRIES, "%u CPUID entries",
		    caps->cpuid.nent);

	/* Rather end than get a #VE, should the guest touch what it does not have. */
	init->attributes = caps->supported_attrs & TD_ATTR_SEPT_VE_DISABLE;
	/* KVM adds those features that no TD can be without. */
	init->xfam = 0;
	fill_cpuid(&init->cpuid, &caps->cpuid);

	ret = __tdx_ioctl(vm->fd, KVM_TDX_INIT_VM, (u64)init, &hw_error);
	__TEST_REQUIRE(!ret || errno != ENOSPC, "no TDX key ID is free");
	TEST_ASSERT(!ret, "KVM_TDX_INIT_VM failed, errno %d, hw_error 0x%lx",
		    errno, (unsigned long)hw_error);
	free(caps);
	free(init);
}

/*
 * Tell KVM the CPUID that the TDX module made of it.  This must come first: KVM
 * wants to see x2APIC in it when it initializes the vCPU, and the GPAW when it
 * adds memory.
 */
static void init_vcpu(struct kvm_vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid;
	u32 i;

	cpuid = calloc(1, kvm_cpuid2_size(MAX_CPUID_ENTRIES));
	TEST_ASSERT(cpuid, "no memory");
	cpuid->nent = MAX_CPUID_ENTRIES;
	tdx_ioctl(vcpu->fd, KVM_TDX_GET_CPUID, (u64)cpuid);

	for (i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function == 0x80000008)
			ksft_print_msg("CPUID 0x80000008 of the TD: EAX 0x%x\n",
				       cpuid->entries[i].eax);
	}
	vcpu_ioctl(vcpu, KVM_SET_CPUID2, cpuid);
	free(cpuid);

	tdx_ioctl(vcpu->fd, KVM_TDX_INIT_VCPU, 0);
}

static void fill_image(void *image)
{
	struct guest_call *guest = image + CALLS_GPA - IMAGE_GPA;
	u64 *message[] = {
		&guest[ARRAY_SIZE(calls) - 1].r14, &guest[ARRAY_SIZE(calls) - 1].r15,
		&guest[ARRAY_SIZE(calls) - 1].rbx, &guest[ARRAY_SIZE(calls) - 1].rdi,
		&guest[ARRAY_SIZE(calls) - 1].rsi, &guest[ARRAY_SIZE(calls) - 1].r8,
		&guest[ARRAY_SIZE(calls) - 1].r9, &guest[ARRAY_SIZE(calls) - 1].rdx,
	};
	u64 *pml4 = image + PML4_GPA - IMAGE_GPA;
	u64 *pdpt = image + PDPT_GPA - IMAGE_GPA;
	u64 *pd = image + PD_GPA - IMAGE_GPA;
	const void *code;
	int i;

	/* An identity mapping of the last 2MiB below 4GiB. */
	pml4[0] = PDPT_GPA | PTE_TABLE;
	pdpt[3] = PD_GPA | PTE_TABLE;
	pd[511] = 0xffe00000 | PTE_2MB_PAGE;

	/* An entry that is 0 follows the last one. */
	static_assert((ARRAY_SIZE(calls) + 1) * CALL_SIZE <= SZ_4K);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		guest[i].rcx = EXPOSED_REGS;
		guest[i].r11 = calls[i].leaf;
		guest[i].r12 = calls[i].r12;
		guest[i].r13 = calls[i].r13;
		guest[i].r14 = NOT_ZERO;
	}
	for (i = 0; i < ARRAY_SIZE(message); i++)
		memcpy(message[i], fatal_message + i * sizeof(u64), sizeof(u64));

	asm("leaq guest_code(%%rip), %0" : "=r" (code));
	memcpy(image + CODE_GPA - IMAGE_GPA, code, SZ_4K);
}

static void add_memory(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	struct kvm_tdx_init_mem_region region = {
		.gpa = IMAGE_GPA,
		.nr_pages = IMAGE_PAGES,
	};
	void *image = aligned_alloc(SZ_4K, IMAGE_PAGES * SZ_4K);

	TEST_ASSERT(image, "no memory");
	memset(image, 0, IMAGE_PAGES * SZ_4K);
	fill_image(image);

	vm_mem_add(vm, VM_MEM_SRC_ANONYMOUS, IMAGE_GPA, 0, IMAGE_PAGES,
		   KVM_MEM_GUEST_MEMFD, -1, 0);
	vm_mem_set_private(vm, IMAGE_GPA, IMAGE_PAGES * SZ_4K);

	region.source_addr = (u64)image;
	tdx_ioctl(vcpu->fd, KVM_TDX_INIT_MEM_REGION, (u64)&region);
	free(image);
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

static bool is_report(const struct kvm_run *run, int word)
{
	return run->io.direction == KVM_EXIT_IO_OUT && run->io.size == sizeof(u32) &&
	       run->io.count == 1 && run->io.port == REPORT_PORT + word;
}

/* Run the guest until it has reported the results of its next call. */
static bool make_call(struct kvm_vcpu *vcpu, const struct call *call, struct outcome *outcome)
{
	struct kvm_run *run = vcpu->run;
	u32 words[NR_WORDS];
	int runs, nr = 0;

	memset(outcome, 0, sizeof(*outcome));
	for (runs = 0; runs < MAX_RUNS && nr < NR_WORDS; runs++) {
		if (__vcpu_run(vcpu)) {
			if (errno == EINTR)
				continue;
			ksft_print_msg("KVM_RUN failed, errno %d\n", errno);
			return false;
		}

		switch (run->exit_reason) {
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
		case KVM_EXIT_IO:
			if (!is_report(run, nr)) {
				ksft_print_msg("unexpected I/O, port 0x%x\n", run->io.port);
				return false;
			}
			memcpy(&words[nr++], (void *)run + run->io.data_offset, sizeof(u32));
			break;
		default:
			ksft_print_msg("unexpected exit, reason %u (%s)\n", run->exit_reason,
				       exit_reason_str(run->exit_reason));
			return false;
		}
	}
	if (nr < NR_WORDS) {
		ksft_print_msg("no report after %d KVM_RUNs\n", runs);
		return false;
	}
	memcpy(&outcome->results, words, sizeof(words));
	return true;
}

static bool is_right_outcome(const struct call *call, const struct outcome *outcome)
{
	const struct results *results = &outcome->results;

	if (outcome->nr_exits != !!call->exit || outcome->wrong_request)
		return false;
	if (results->rax || results->r10 != call->status)
		return false;
	if (call->leaf != TDVMCALL_GET_INFO || call->status != STATUS_SUCCESS)
		return true;
	return results->r11 == call->r11 && !results->r12 && !results->r13 && !results->r14;
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
			 (unsigned long)outcome.results.rax,
			 (unsigned long)outcome.results.r10,
			 (unsigned long)outcome.results.r11);
}

int main(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int i, ret;

	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_TDX_VM),
		       "KVM has no TDX VMs: no such CPU, or kvm_intel.tdx=1 is missing");
	__TEST_REQUIRE(kvm_has_cap(KVM_CAP_COCO_EXITS), "KVM has no KVM_CAP_COCO_EXITS");

	/* There is no hanging on: the signal kills the test. */
	alarm(MAX_SECONDS);

	vm = vm_create_barebones_type(KVM_X86_TDX_VM);
	vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, 24);
	init_td(vm);

	ksft_print_header();
	ksft_set_plan(3 + ARRAY_SIZE(calls));

	ret = vm_check_cap(vm, KVM_CAP_COCO_EXITS);
	ksft_test_result((ret & ALL_OPERATIONS) == ALL_OPERATIONS, "operations of the VM: 0x%x\n",
			 ret);
	ret = __vm_enable_cap(vm, KVM_CAP_COCO_EXITS, ALL_OPERATIONS);
	ksft_test_result(!ret, "all enabled: returned %d\n", ret);

	vcpu = __vm_vcpu_add(vm, 0);
	ret = __vm_enable_cap(vm, KVM_CAP_COCO_EXITS, 0);
	ksft_test_result(ret == -1 && errno == EINVAL,
			 "cannot be changed with a vCPU: returned %d, errno %d\n", ret, errno);

	init_vcpu(vcpu);
	add_memory(vm, vcpu);
	tdx_ioctl(vm->fd, KVM_TDX_FINALIZE_VM, 0);

	for (i = 0; i < ARRAY_SIZE(calls); i++)
		test_call(vcpu, &calls[i]);

	kvm_vm_free(vm);
	ksft_finished();
}
