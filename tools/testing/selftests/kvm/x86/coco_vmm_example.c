// SPDX-License-Identifier: GPL-2.0-only
/*
 * An example of a VMM that handles the exits of KVM_CAP_COCO_EXITS, with nothing but
 * ioctls, see Documentation/virt/kvm/x86/coco-exits.rst, and a test of them.
 *
 * The guest is a TD if KVM can have one (create_td()), otherwise an ordinary VM
 * (create_vm()).  What follows from handle_exit() on is the same for both.
 */
#include <asm/kvm_para.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/kvm_coco.h>
#include <linux/kvm_para.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest.h"

#define PAGE		0x1000ULL
#define MAX_CPUID	256

/* What the guest shares and takes back, and where the quote goes: no private memory */
#define MEM_SIZE	0x200000ULL
/* How much of it the VMM changes at once */
#define AT_ONCE		(MEM_SIZE / 2)

/* The guest: code of a VM, the last pages below 4GiB of a TD.  Plain numbers for asm. */
#define VM_CODE		0x1000
#define TD_PML4		0xffffc000
#define TD_PDPT		0xffffd000
#define TD_PD		0xffffe000
#define TD_CODE		0xfffff000
#define TD_IMAGE	TD_PML4
#define TD_IMAGE_SIZE	(4 * PAGE)

#define STR_(x)		#x
#define STR(x)		STR_(x)

/*
 * In real mode: share MEM_SIZE at 0, take it back, allow migration.  EAX is 0 at the
 * end.  KVM replaces VMCALL by VMMCALL on AMD's CPUs.
 */
#define VM_PORT		0xe9
extern const char vm_guest[], vm_guest_end[];
asm(".pushsection .rodata\n"
	".code16\n"
	"vm_guest:\n"
	"	movl $" STR(KVM_HC_MAP_GPA_RANGE) ", %eax\n"
	"	xorl %ebx, %ebx\n"
	"	movl $0x200, %ecx\n"		/* pages */
	"	xorl %edx, %edx\n"		/* KVM_MAP_GPA_RANGE_DECRYPTED */
	"	vmcall\n"
	"	testl %eax, %eax\n"
	"	jnz 1f\n"
	"	movl $" STR(KVM_HC_MAP_GPA_RANGE) ", %eax\n"
	"	movl $0x10, %edx\n"		/* KVM_MAP_GPA_RANGE_ENCRYPTED */
	"	vmcall\n"
	"	testl %eax, %eax\n"
	"	jnz 1f\n"
	"	movl $" STR(MSR_KVM_MIGRATION_CONTROL) ", %ecx\n"
	"	movl $1, %eax\n"		/* KVM_MIGRATION_READY */
	"	xorl %edx, %edx\n"
	"	wrmsr\n"
	"	xorl %eax, %eax\n"
	"1:	outl %eax, $" STR(VM_PORT) "\n"
	"vm_guest_end:\n"
	".code64\n"
	".popsection\n");
static_assert(KVM_MAP_GPA_RANGE_ENCRYPTED == 0x10 && MEM_SIZE / PAGE == 0x200, "in asm");

/*
 * A TD starts at the end of its page, in protected mode with EFER.LME set.  It makes a
 * list of TDVMCALLs (R11, R12, R13, and the registers of a message), until one fails.
 * Bit 47 makes an address shared, if GPAW is 48.
 */
#define TD_GPAW		48
extern const char td_guest[];
#define SHARED		"0x800000000000"
#define ADDRESS(label)	STR(TD_CODE) " + " label " - td_guest"
#define NO_MESSAGE	"0, 0, 0, 0, 0, 0, 0, 0"
asm(".pushsection .rodata\n"
	".code32\n"
	"td_guest:\n"
	"	movl $" STR(TD_PML4) ", %eax\n"
	"	movl %eax, %cr3\n"
	"	movl %cr4, %eax\n"
	"	orl $0x20, %eax\n"		/* PAE */
	"	movl %eax, %cr4\n"
	"	lgdtl " ADDRESS("td_gdtr") "\n"
	"	movl %cr0, %eax\n"
	"	orl $0x80000000, %eax\n"	/* PG */
	"	movl %eax, %cr0\n"
	"	ljmpl $8, $(" ADDRESS("td_64bit") ")\n"
	".code64\n"
	"td_64bit:\n"
	"	movl $(" ADDRESS("td_calls") "), %esp\n"
	"1:	pop %r11; pop %r12; pop %r13; pop %r14; pop %r15; pop %rbx; pop %rdi\n"
	"	pop %rsi; pop %r8; pop %r9; pop %rdx\n"
	"	xorl %eax, %eax\n"		/* TDG.VP.VMCALL */
	"	movl $0xffcc, %ecx\n"		/* of all registers but RAX, RCX, RSP, RBP */
	"	xorl %r10d, %r10d\n"
	"	.byte 0x66, 0x0f, 0x01, 0xcc\n"	/* TDCALL */
	"	or %r10, %rax\n"
	"	jz 1b\n"
	"	ud2\n"
	"	.balign 8\n"
	"td_calls:\n"
	"	.quad 0x10000, 1, 0, " NO_MESSAGE "\n"	/* GetTdVmCallInfo */
	"	.quad 0x10001, " SHARED ", 0x200000, " NO_MESSAGE "\n"	/* MapGPA, shared */
	"	.quad 0x10002, " SHARED " + 0x6000, 0x2000, " NO_MESSAGE "\n"	/* GetQuote */
	"	.quad 0x10004, 0x51, 0, " NO_MESSAGE "\n"	/* SetupEventNotifyInterrupt */
	"	.quad 0x10001, 0, 0x200000, " NO_MESSAGE "\n"	/* MapGPA, private */
	"	.quad 0x10003, 0x42, 0\n"	/* ReportFatalError */
	"	.ascii \"example: \\33[31mfatal\\33[0m error\\r\\n"
			"with all of the sixty-four bytes!\"\n"
	"td_gdt:\n"
	"	.quad 0, 0x00af9b000000ffff\n"	/* 64-bit code */
	"td_gdtr:\n"
	"	.word . - td_gdt - 1\n"
	"	.long " ADDRESS("td_gdt") "\n"
	"	.org td_guest + 0xff0, 0xcc\n"
	".code32\n"
	"	.byte 0xe9\n"			/* JMP */
	"	.long td_guest - . - 4\n"
	"	.org td_guest + 0x1000, 0xcc\n"
	".code64\n"
	".popsection\n");

/* What comes of that: requests for MEM_SIZE are done in two parts. */
static const __u32 vm_exits[] = {
	KVM_EXIT_COCO_MAP_GPA_RANGE, KVM_EXIT_COCO_MAP_GPA_RANGE,
	KVM_EXIT_COCO_MAP_GPA_RANGE, KVM_EXIT_COCO_MAP_GPA_RANGE,
	KVM_EXIT_COCO_MIGRATION_CONTROL, KVM_EXIT_IO,
};

static const __u32 td_exits[] = {
	KVM_EXIT_TDX,
	KVM_EXIT_COCO_MAP_GPA_RANGE, KVM_EXIT_COCO_MAP_GPA_RANGE,
	KVM_EXIT_COCO_GET_QUOTE, KVM_EXIT_COCO_SETUP_EVENT_NOTIFY,
	KVM_EXIT_COCO_MAP_GPA_RANGE, KVM_EXIT_COCO_MAP_GPA_RANGE,
	KVM_EXIT_COCO_FATAL_ERROR,
};

/* The VMM */
static int kvm_fd, vm_fd, vcpu_fd;
static struct kvm_run *run;
static bool is_td;
static __u8 *mem;

/* What the guest has said, and what a VMM that migrates it would take along. */
static bool is_shared[MEM_SIZE / PAGE];
static __u64 changed;
static __u32 event_vector;
static bool migration_ready;

static int do_ioctl(int fd, unsigned long nr, void *arg, const char *name)
{
	int r = ioctl(fd, nr, arg);

	if (r < 0)
		ksft_exit_fail_perror(name);
	return r;
}

#define DO_IOCTL(fd, nr, arg) do_ioctl(fd, nr, (void *)(arg), #nr)

static void *allocate(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		ksft_exit_fail_perror("mmap");
	return p;
}

static struct kvm_cpuid2 *supported_cpuid(void)
{
	struct kvm_cpuid2 *cpuid = allocate(sizeof(*cpuid) + MAX_CPUID * sizeof(*cpuid->entries));

	cpuid->nent = MAX_CPUID;
	DO_IOCTL(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid);
	return cpuid;
}

/* Before the first vCPU: all that this VMM handles, and that a VM of this type can have */
static void enable_exits(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_COCO_EXITS };
	int supported = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_COCO_EXITS);

	if (supported <= 0)
		ksft_exit_skip("no KVM_CAP_COCO_EXITS\n");
	cap.args[0] = supported & (KVM_COCO_EXIT_GET_QUOTE | KVM_COCO_EXIT_SETUP_EVENT_NOTIFY |
				   KVM_COCO_EXIT_FATAL_ERROR | KVM_COCO_EXIT_MAP_GPA_RANGE |
				   KVM_COCO_EXIT_MIGRATION_CONTROL);
	DO_IOCTL(vm_fd, KVM_ENABLE_CAP, &cap);
}

static void create_vcpu(void)
{
	vcpu_fd = DO_IOCTL(vm_fd, KVM_CREATE_VCPU, 0);
	run = mmap(NULL, DO_IOCTL(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
		   MAP_SHARED, vcpu_fd, 0);
	if (run == MAP_FAILED)
		ksft_exit_fail_perror("mmap of struct kvm_run");
}

static void add_memory(__u32 slot, __u64 gpa, __u64 size, void *hva, bool can_be_private)
{
	struct kvm_create_guest_memfd memfd = { .size = size };
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (unsigned long)hva,
	};

	if (can_be_private) {
		region.flags = KVM_MEM_GUEST_MEMFD;
		region.guest_memfd = DO_IOCTL(vm_fd, KVM_CREATE_GUEST_MEMFD, &memfd);
	}
	DO_IOCTL(vm_fd, KVM_SET_USER_MEMORY_REGION2, &region);
}

static int set_private(__u64 gpa, __u64 size, bool private)
{
	struct kvm_memory_attributes attributes = {
		.address = gpa,
		.size = size,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return ioctl(vm_fd, KVM_SET_MEMORY_ATTRIBUTES, &attributes) ? errno : 0;
}

static void create_vm(void)
{
	struct kvm_cpuid2 *cpuid = supported_cpuid();
	struct kvm_regs regs = { .rip = VM_CODE, .rflags = 0x2 };
	struct kvm_sregs sregs;
	int i;

	vm_fd = DO_IOCTL(kvm_fd, KVM_CREATE_VM, 0);
	enable_exits();
	mem = allocate(MEM_SIZE);
	memcpy(mem + VM_CODE, vm_guest, vm_guest_end - vm_guest);
	add_memory(0, 0, MEM_SIZE, mem, false);
	create_vcpu();

	/* What the guest looks for before it asks. */
	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == KVM_CPUID_FEATURES)
			cpuid->entries[i].eax |= 1 << KVM_FEATURE_HC_MAP_GPA_RANGE |
						 1 << KVM_FEATURE_MIGRATION_CONTROL;
	DO_IOCTL(vcpu_fd, KVM_SET_CPUID2, cpuid);

	DO_IOCTL(vcpu_fd, KVM_GET_SREGS, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	DO_IOCTL(vcpu_fd, KVM_SET_SREGS, &sregs);
	DO_IOCTL(vcpu_fd, KVM_SET_REGS, &regs);
}

static void tdx(int fd, __u32 id, void *data, const char *name)
{
	struct kvm_tdx_cmd cmd = { .id = id, .data = (unsigned long)data };

	if (!ioctl(fd, KVM_MEMORY_ENCRYPT_OP, &cmd))
		return;
	if (id == KVM_TDX_INIT_VM && errno == ENOSPC)
		ksft_exit_skip("no TDX key ID is free\n");
	ksft_exit_fail_msg("%s: %s, hw_error 0x%llx\n", name, strerror(errno), cmd.hw_error);
}

#define TDX(fd, id, data) tdx(fd, id, (void *)(data), #id)

/* CPUID of a TD: what KVM supports of that which can be chosen, and the GPAW */
static void choose_cpuid(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid2 *choice)
{
	const struct kvm_cpuid2 *supported = supported_cpuid();
	int i, k;

	for (i = 0; i < choice->nent; i++) {
		const struct kvm_cpuid_entry2 *mask = &choice->entries[i];

		for (k = 0; k < supported->nent; k++) {
			const struct kvm_cpuid_entry2 *from = &supported->entries[k];
			struct kvm_cpuid_entry2 *to = &cpuid->entries[cpuid->nent];

			if (from->function != mask->function || from->index != mask->index)
				continue;
			*to = *mask;
			to->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
			to->eax &= from->eax;
			to->ebx &= from->ebx;
			to->ecx &= from->ecx;
			to->edx &= from->edx;
			if (to->function == 0x80000008)
				to->eax = (to->eax & ~0xff0000U) | TD_GPAW << 16;
			cpuid->nent++;
			break;
		}
	}
}

static void create_td(void)
{
	struct kvm_enable_cap irqchip = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = 24 };
	struct kvm_tdx_init_mem_region region = {
		.gpa = TD_IMAGE, .nr_pages = TD_IMAGE_SIZE / PAGE,
	};
	struct kvm_cpuid2 *cpuid = supported_cpuid();
	struct kvm_tdx_capabilities *caps;
	struct kvm_tdx_init_vm *init;
	__u8 *image = allocate(TD_IMAGE_SIZE);
	int err;

	vm_fd = DO_IOCTL(kvm_fd, KVM_CREATE_VM, KVM_X86_TDX_VM);
	DO_IOCTL(vm_fd, KVM_ENABLE_CAP, &irqchip);
	enable_exits();

	caps = allocate(sizeof(*caps) + MAX_CPUID * sizeof(*cpuid->entries));
	init = allocate(sizeof(*init) + MAX_CPUID * sizeof(*cpuid->entries));
	caps->cpuid.nent = MAX_CPUID;
	TDX(vm_fd, KVM_TDX_CAPABILITIES, caps);
	choose_cpuid(&init->cpuid, &caps->cpuid);
	TDX(vm_fd, KVM_TDX_INIT_VM, init);

	create_vcpu();
	cpuid->nent = MAX_CPUID;
	TDX(vcpu_fd, KVM_TDX_GET_CPUID, cpuid);
	DO_IOCTL(vcpu_fd, KVM_SET_CPUID2, cpuid);
	TDX(vcpu_fd, KVM_TDX_INIT_VCPU, NULL);

	/* The guest's addresses are those of its memory, with one page of 2MiB. */
	*(__u64 *)(image + TD_PML4 - TD_IMAGE) = TD_PDPT | 0x3;		/* present, writable */
	*(__u64 *)(image + TD_PDPT - TD_IMAGE + 3 * 8) = TD_PD | 0x3;
	*(__u64 *)(image + TD_PD - TD_IMAGE + 511 * 8) = 0xffe00000 | 0xe3;	/* and 2MiB */
	memcpy(image + TD_CODE - TD_IMAGE, td_guest, PAGE);
	region.source_addr = (unsigned long)image;
	add_memory(1, TD_IMAGE, TD_IMAGE_SIZE, image, true);
	err = set_private(TD_IMAGE, TD_IMAGE_SIZE, true);
	if (err)
		ksft_exit_fail_msg("KVM_SET_MEMORY_ATTRIBUTES: %s\n", strerror(err));
	TDX(vcpu_fd, KVM_TDX_INIT_MEM_REGION, &region);
	TDX(vm_fd, KVM_TDX_FINALIZE_VM, NULL);

	mem = allocate(MEM_SIZE);
	add_memory(0, 0, MEM_SIZE, mem, true);
}

static bool is_memory(__u64 gpa, __u64 size)
{
	return size <= MEM_SIZE && gpa <= MEM_SIZE - size;
}

static void map_gpa_range(struct kvm_coco_map_gpa_range *request)
{
	bool private = request->flags & KVM_COCO_MAP_GPA_RANGE_PRIVATE;
	__u64 size = request->size < AT_ONCE ? request->size : AT_ONCE, i;

	/* There need not be memory, this is for the VMM to check. */
	if (!is_memory(request->gpa, request->size)) {
		request->ret = EINVAL;
		return;
	}
	/* An ordinary VM has no private memory that KVM would have to know. */
	request->ret = is_td ? set_private(request->gpa, size, private) : 0;
	if (request->ret) {
		request->ret = EAGAIN;
		return;
	}
	/* This much is done, for the rest KVM exits again. */
	request->done = size;
	for (i = 0; i < size / PAGE; i++)
		is_shared[request->gpa / PAGE + i] = !private;
	changed += size;
}

/* GHCI specification: the buffer of GetQuote */
struct quote_buffer {
	__u64 version;
	__u64 status;
	__u32 in_len;
	__u32 out_len;
	__u8 data[];
};

static void get_quote(struct kvm_coco_get_quote *request)
{
	struct quote_buffer *buffer;

	if (!is_memory(request->gpa, request->size)) {
		request->ret = EINVAL;
		return;
	}
	/* Others have a thread for that, which sends event_vector at the end. */
	buffer = (void *)(mem + request->gpa);
	memcpy(buffer->data, "a quote", 8);
	buffer->out_len = 8;
	buffer->status = 0;
	request->ret = 0;
}

static void setup_event_notify(struct kvm_coco_setup_event_notify *request)
{
	event_vector = request->vector;
	request->ret = 0;
}

static void migration_control(struct kvm_coco_migration_control *request)
{
	migration_ready = request->value & KVM_MIGRATION_READY;
	request->ret = 0;
}

static void fatal_error(struct kvm_coco_fatal_error *error)
{
	char text[4 * KVM_COCO_FATAL_ERROR_MESSAGE_SIZE + 1] = "";
	int i, len = 0;

	/* Printable ASCII is all that gets to the terminal, and no backslash. */
	for (i = 0; i < KVM_COCO_FATAL_ERROR_MESSAGE_SIZE && error->message[i]; i++) {
		__u8 c = error->message[i];

		len += sprintf(text + len, c < ' ' || c > '~' || c == '\\' ? "\\x%02x" : "%c", c);
	}
	ksft_print_msg("fatal error 0x%llx: %s\n", error->error_code, text);
}

/* Returns false if the guest is not to run any more. */
static bool handle_exit(void)
{
	switch (run->exit_reason) {
	case KVM_EXIT_COCO_GET_QUOTE:
		get_quote(&run->coco_get_quote);
		return true;
	case KVM_EXIT_COCO_SETUP_EVENT_NOTIFY:
		setup_event_notify(&run->coco_setup_event_notify);
		return true;
	case KVM_EXIT_COCO_MAP_GPA_RANGE:
		map_gpa_range(&run->coco_map_gpa_range);
		return true;
	case KVM_EXIT_COCO_MIGRATION_CONTROL:
		migration_control(&run->coco_migration_control);
		return true;
	case KVM_EXIT_TDX:
		/* A call without an exit of its own.  This VMM has nothing to add. */
		return true;
	case KVM_EXIT_COCO_FATAL_ERROR:
		fatal_error(&run->coco_fatal_error);
		return false;
	default:
		return false;
	}
}

/* Returns 0 for an exit, or an errno. */
static int run_vcpu(void)
{
	static bool answered;

	while (ioctl(vcpu_fd, KVM_RUN, 0) < 0) {
		if (errno == EINTR)
			continue;
		/* EINVAL is a bug of this VMM.  KVM has preset an answer that refuses. */
		if (errno != EINVAL || !answered)
			return errno;
		ksft_print_msg("KVM does not take the answer to exit %u\n", run->exit_reason);
		answered = false;
	}
	answered = true;
	return 0;
}

int main(void)
{
	int i, err, types, nr_exits;
	bool go_on = true;

	ksft_print_header();
	alarm(30);
	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0)
		ksft_exit_skip("/dev/kvm: %s\n", strerror(errno));
	types = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);
	is_td = types > 0 && types & 1 << KVM_X86_TDX_VM;
	if (is_td)
		create_td();
	else
		create_vm();

	nr_exits = is_td ? ARRAY_SIZE(td_exits) : ARRAY_SIZE(vm_exits);
	ksft_set_plan(nr_exits + 1);
	for (i = 0; i < nr_exits; i++) {
		err = go_on ? run_vcpu() : ESRCH;
		if (err)
			ksft_exit_fail_msg("KVM_RUN: %s\n", strerror(err));
		ksft_test_result(run->exit_reason == (is_td ? td_exits : vm_exits)[i],
				 "exit reason %u\n", run->exit_reason);
		go_on = handle_exit();
	}

	/* The guest goes on as long as it finds that its requests were granted. */
	ksft_print_msg("0x%llx bytes shared or taken back, vector 0x%x, ready %d\n", changed,
		       event_vector, migration_ready);
	if (is_td)
		err = event_vector != 0x51 || run->coco_fatal_error.error_code != 0x42;
	else
		err = !migration_ready || run->io.port != VM_PORT ||
		      *(__u32 *)((__u8 *)run + run->io.data_offset);
	ksft_test_result(!err && !go_on && changed == 2 * MEM_SIZE, "what the guest has said\n");
	ksft_finished();
}
