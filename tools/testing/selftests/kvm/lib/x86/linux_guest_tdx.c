// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linux as a TD, see linux_guest_tdx.h.
 */
#include <linux/kvm_para.h>
#include <linux/stringify.h>

#include "linux_guest_quote.h"
#include "linux_guest_tdx.h"
#include "processor.h"
#include "tdx.h"

/* The assembler sees these as well. */
#define MAILBOX_GPA		0x98000
#define CODE_GPA		0x99000
#define INFO_GPA		0x99800
#define PML4_GPA		0x9a000
#define PDPT_GPA		0x9b000
#define PD_GPA			0x9c000
#define BOOT_CS			0x10		/* where Linux wants them */
#define BOOT_DS			0x18
#define MAILBOX_WAKEUP		1

kvm_static_assert(MAILBOX_GPA == LINUX_GUEST_TDX_MAILBOX);
kvm_static_assert(CODE_GPA == LINUX_GUEST_TDX_CODE);

/* How long it takes to make a quote. */
#define QUOTE_USECS		100000

#define RESET_PAGE_GPA		0xfffff000ul
#define RESET_OFFSET		0xff0

#define PTES_PER_TABLE		512
#define PTE_TABLE		0x03ull		/* present, writable */
#define PTE_2MB_PAGE		0xe3ull		/* and accessed, dirty, large */

/* Of CPUID, where KVM tells what it has for its guests. */
#define KVM_CPUID_FEATURES_LEAF	(KVM_CPUID_SIGNATURE + 1)

#define MAX_RANGES		32

/* What is in front of Linux reads it. */
struct boot_info {
	u64 entry;
	u64 boot_params;
	struct linux_guest_range ranges[MAX_RANGES];
};

kvm_static_assert(offsetof(struct boot_info, ranges) == 16);
kvm_static_assert(sizeof(struct boot_info) <= CODE_GPA + SZ_4K - INFO_GPA);

#define TDCALL		"	.byte 0x66, 0x0f, 0x01, 0xcc\n"
#define ADDRESS(symbol)	__stringify(CODE_GPA) " + " #symbol " - tdx_boot_start"

/*
 * vCPUs start in protected mode with flat segments and EFER.LME set.  Linux gives back a
 * CPU that it has stopped at tdx_boot_reset, in 64-bit mode, with page tables that map
 * this page: the reset vector of the MADT's mailbox structure.
 *
 * R9 is the number of the vCPU, by TDG.VP.INFO (1).  A page that the first one cannot
 * accept, by TDG.MEM.PAGE.ACCEPT (6), is a fatal error with the status of that.
 */
asm(".pushsection .rodata\n"
	"tdx_boot_start:\n"
	".code32\n"
	"	cli\n"
	"	mov $" __stringify(PML4_GPA) ", %eax\n"
	"	mov %eax, %cr3\n"
	"	mov %cr4, %eax\n"
	"	or $0x20, %eax\n"				/* PAE */
	"	mov %eax, %cr4\n"
	"	lgdtl " ADDRESS(tdx_boot_gdtr) "\n"
	"	mov %cr0, %eax\n"
	"	or $0x80000000, %eax\n"				/* PG */
	"	mov %eax, %cr0\n"
	"	ljmpl $" __stringify(BOOT_CS) ", $(" ADDRESS(1f) ")\n"
	".code64\n"
	"1:	mov $" __stringify(BOOT_DS) ", %eax\n"
	"	mov %eax, %ds\n"
	"	mov %eax, %es\n"
	"	mov %eax, %ss\n"
	"	mov $1, %eax\n"
	TDCALL
	"	test %r9d, %r9d\n"
	"	jz tdx_boot_first\n"
	"tdx_boot_reset:\n"
	"	mov $" __stringify(PML4_GPA) ", %eax\n"
	"	mov %rax, %cr3\n"
	"	mov $1, %eax\n"
	TDCALL
	"	mov $" __stringify(MAILBOX_GPA) ", %ebx\n"
	"2:	pause\n"
	"	movzwl (%rbx), %eax\n"
	"	test %eax, %eax\n"
	"	jz 2b\n"
	"	cmp 4(%rbx), %r9d\n"				/* APIC ID */
	"	jne 2b\n"
	"	mov 8(%rbx), %rdx\n"				/* where it is to begin */
	"	movw $0, (%rbx)\n"
	"	cmp $" __stringify(MAILBOX_WAKEUP) ", %eax\n"
	"	jne 2b\n"
	"	jmp *%rdx\n"
	"tdx_boot_first:\n"
	"	mov $" __stringify(INFO_GPA) ", %ebx\n"
	"	lea 16(%rbx), %rbp\n"
	"3:	mov (%rbp), %rsi\n"
	"	mov 8(%rbp), %rdi\n"
	"	cmp %rdi, %rsi\n"
	"	jae 5f\n"
	"4:	mov %rsi, %rcx\n"
	"	mov $6, %eax\n"
	TDCALL
	"	test %rax, %rax\n"
	"	jnz 6f\n"
	"	add $0x1000, %rsi\n"
	"	cmp %rdi, %rsi\n"
	"	jb 4b\n"
	"	add $16, %rbp\n"
	"	jmp 3b\n"
	"5:	mov 8(%rbx), %rsi\n"
	"	jmp *(%rbx)\n"
	/* TDG.VP.VMCALL with R10 to R15: ReportFatalError */
	"6:	mov %rax, %r12\n"
	"	xor %eax, %eax\n"
	"	mov $0xfc00, %ecx\n"
	"	xor %r10d, %r10d\n"
	"	mov $0x10003, %r11d\n"
	"	xor %r14d, %r14d\n"
	"	xor %r15d, %r15d\n"
	TDCALL
	"	jmp 6b\n"
	".balign 8\n"
	"tdx_boot_gdt:\n"
	"	.quad 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff\n"
	"tdx_boot_gdtr:\n"
	"	.word . - tdx_boot_gdt - 1\n"
	"	.long " ADDRESS(tdx_boot_gdt) "\n"
	"tdx_boot_end:\n"
	".popsection\n");

gpa_t linux_guest_tdx_reset_vector(void)
{
	return CODE_GPA + (tdx_boot_reset - tdx_boot_start);
}

/*
 * Of what KVM has for its guests a TD can have what needs no MSR but that of POLL_CONTROL.
 * Linux expects kvmclock's MSRs to be there if it is told of them.
 */
void linux_guest_init_tdx_vcpu(struct kvm_vcpu *vcpu)
{
	const struct kvm_cpuid2 *supported = kvm_get_supported_cpuid();
	struct kvm_cpuid_entry2 more[2] = {
		*get_cpuid_entry(supported, KVM_CPUID_SIGNATURE, 0),
		*get_cpuid_entry(supported, KVM_CPUID_FEATURES_LEAF, 0),
	};

	more[0].eax = KVM_CPUID_FEATURES_LEAF;
	more[1].eax &= BIT(KVM_FEATURE_NOP_IO_DELAY) | BIT(KVM_FEATURE_POLL_CONTROL);
	vcpu_tdx_init(vcpu, more, ARRAY_SIZE(more), 0);
}

/* An identity map of the first GiB, which Linux does not touch, for vCPUs that wait. */
static void map_identity(struct kvm_vm *vm)
{
	u64 *pml4 = addr_gpa2hva(vm, PML4_GPA), *pdpt = addr_gpa2hva(vm, PDPT_GPA);
	u64 *pd = addr_gpa2hva(vm, PD_GPA);
	int i;

	pml4[0] = PDPT_GPA | PTE_TABLE;
	pdpt[0] = PD_GPA | PTE_TABLE;
	for (i = 0; i < PTES_PER_TABLE; i++)
		pd[i] = (u64)i * SZ_2M | PTE_2MB_PAGE;
}

void linux_guest_load_tdx_boot(struct linux_guest *guest, gpa_t entry, gpa_t boot_params)
{
	struct boot_info *info = addr_gpa2hva(guest->vm, INFO_GPA);
	u8 *reset;

	TEST_ASSERT(tdx_boot_end - tdx_boot_start <= INFO_GPA - CODE_GPA,
		    "The code in front of Linux is too long");
	memcpy(addr_gpa2hva(guest->vm, CODE_GPA), tdx_boot_start, tdx_boot_end - tdx_boot_start);
	info->entry = entry;
	info->boot_params = boot_params;
	map_identity(guest->vm);

	vm_mem_add(guest->vm, VM_MEM_SRC_ANONYMOUS, RESET_PAGE_GPA, LINUX_GUEST_TDX_MEMSLOT, 1,
		   KVM_MEM_GUEST_MEMFD, -1, 0);
	vm_mem_set_private(guest->vm, RESET_PAGE_GPA, SZ_4K);
	/* MOV to EAX, and JMP to what is in it */
	reset = addr_gpa2hva(guest->vm, RESET_PAGE_GPA + RESET_OFFSET);
	reset[0] = 0xb8;
	*(u32 *)(reset + 1) = CODE_GPA;
	reset[5] = 0xff;
	reset[6] = 0xe0;
}

static void add_memory(struct linux_guest *guest, gpa_t gpa, u64 size)
{
	struct kvm_tdx_init_mem_region region = {
		.source_addr = (u64)addr_gpa2hva(guest->vm, gpa),
		.gpa = gpa,
		.nr_pages = size / SZ_4K,
	};

	vcpu_tdx_ioctl(guest->vcpus[0], KVM_TDX_INIT_MEM_REGION, &region);
}

/* What is not there when the guest accepts it, KVM adds page by page, at an exit for each. */
static void add_pending_memory(struct linux_guest *guest, const struct linux_guest_range *ranges)
{
	for (; ranges->end; ranges++) {
		struct kvm_pre_fault_memory pre_fault = {
			.gpa = ranges->start,
			.size = ranges->end - ranges->start,
		};

		while (pre_fault.size)
			vcpu_ioctl(guest->vcpus[0], KVM_PRE_FAULT_MEMORY, &pre_fault);
	}
}

static void launch(struct linux_guest *guest)
{
	struct boot_info *info = addr_gpa2hva(guest->vm, INFO_GPA);
	struct linux_guest_range ranges[MAX_RANGES];
	gpa_t block;

	linux_guest_find_empty(guest, ranges, MAX_RANGES);
	memcpy(info->ranges, ranges, sizeof(ranges));
	for (block = 0; block < guest->mem_size; block += LINUX_GUEST_BLOCK_SIZE) {
		if (!linux_guest_is_empty(guest, block, LINUX_GUEST_BLOCK_SIZE))
			add_memory(guest, block, LINUX_GUEST_BLOCK_SIZE);
	}
	add_memory(guest, RESET_PAGE_GPA, SZ_4K);
	vm_tdx_ioctl(guest->vm, KVM_TDX_FINALIZE_VM, NULL);
	linux_guest_discard(guest, 0, guest->mem_size);
	add_pending_memory(guest, ranges);
}

/* A quote takes its time, and the guest has to do without the interrupt that tells of it. */
static void *make_quote(void *arg)
{
	struct linux_guest_tdx *td = arg;

	usleep(QUOTE_USECS);
	linux_guest_write_quote(addr_gpa2hva(td->guest->vm, td->quote_gpa), td->quote_size);
	pthread_mutex_lock(&td->lock);
	td->nr_quotes++;
	pthread_mutex_unlock(&td->lock);
	return NULL;
}

/* The guest must not have it unless it shares the buffer; KVM has looked already. */
static void take_get_quote(struct linux_guest_tdx *td, struct kvm_vcpu *vcpu)
{
	struct kvm_coco_get_quote *request = (void *)vcpu->run->padding;
	struct linux_guest_quote_buffer *buffer;

	request->ret = EINVAL;
	if (!linux_guest_is_shared(td->guest, request->gpa, request->size))
		return;
	/* One at a time, as Linux does it. */
	if (td->quote_size)
		pthread_join(td->quote_thread, NULL);
	td->quote_gpa = request->gpa;
	td->quote_size = request->size;
	buffer = addr_gpa2hva(td->guest->vm, request->gpa);
	WRITE_ONCE(buffer->status, LINUX_GUEST_QUOTE_IN_FLIGHT);
	TEST_ASSERT(!pthread_create(&td->quote_thread, NULL, make_quote, td),
		    "No thread for a quote");
	request->ret = 0;
}

static void take_fatal_error(struct linux_guest_tdx *td, struct kvm_vcpu *vcpu)
{
	struct kvm_coco_fatal_error *error = (void *)vcpu->run->padding;

	pthread_mutex_lock(&td->lock);
	if (!td->has_failed) {
		td->has_failed = true;
		td->error_code = error->error_code;
		memcpy(td->message, error->message, sizeof(error->message));
	}
	pthread_mutex_unlock(&td->lock);
	linux_guest_fail(td->guest, "vCPU %u: fatal error 0x%lx: %s", vcpu->id, td->error_code,
			 td->message);
}

static bool handle_exit(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	struct linux_guest_tdx *td = guest->private;

	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_COCO_GET_QUOTE:
		take_get_quote(td, vcpu);
		return true;
	case KVM_EXIT_COCO_FATAL_ERROR:
		take_fatal_error(td, vcpu);
		return true;
	}
	return linux_guest_shared_exit(guest, vcpu);
}

struct linux_guest_tdx *linux_guest_tdx_create(struct linux_guest_params *params)
{
	struct linux_guest_tdx *td = calloc(1, sizeof(*td));

	TEST_ASSERT(td, "No memory for a guest");
	params->vm_type = KVM_X86_TDX_VM;
	params->coco_exits = KVM_COCO_EXIT_MAP_GPA_RANGE | KVM_COCO_EXIT_FATAL_ERROR |
			     KVM_COCO_EXIT_GET_QUOTE | KVM_COCO_EXIT_SETUP_EVENT_NOTIFY;
	td->guest = linux_guest_create(params);
	td->guest->private = td;
	td->guest->exit = handle_exit;
	pthread_mutex_init(&td->lock, NULL);
	shared_ranges_init(&td->shared, LINUX_GUEST_MAX_SHARED_RANGES);
	linux_guest_init_shared(td->guest, &td->lock, &td->shared);
	launch(td->guest);
	return td;
}

void linux_guest_tdx_free(struct linux_guest_tdx *td)
{
	if (td->quote_size)
		pthread_join(td->quote_thread, NULL);
	linux_guest_free(td->guest);
	shared_ranges_clear(&td->shared);
	free(td);
}
