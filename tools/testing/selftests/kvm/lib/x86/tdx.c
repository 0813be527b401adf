// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include <linux/bits.h>
#include <linux/sizes.h>

#include "tdx.h"

#define MAX_CPUID_ENTRIES		256

#define PTE_TABLE			0x03ull	/* present, writable */
#define PTE_2MB_PAGE			0xe3ull	/* and accessed, dirty, large */

#define GDT_CODE			0x00af9b000000ffffull
#define GDT_TSS				0x0000890000000000ull
#define GATE_INTERRUPT			0x8e00ull

/* In a TSS: where the first two stacks of interrupts are, and no I/O bitmap */
#define TSS_IST1			36
#define TSS_IST2			44
#define TSS_IOPB			102

#define NMI_STACK_SIZE			1024

#define SLOT_IMAGE			0
#define SLOT_SHARED			1

static const char * const cmd_names[] = {
	[KVM_TDX_CAPABILITIES] = "KVM_TDX_CAPABILITIES",
	[KVM_TDX_INIT_VM] = "KVM_TDX_INIT_VM",
	[KVM_TDX_INIT_VCPU] = "KVM_TDX_INIT_VCPU",
	[KVM_TDX_INIT_MEM_REGION] = "KVM_TDX_INIT_MEM_REGION",
	[KVM_TDX_FINALIZE_VM] = "KVM_TDX_FINALIZE_VM",
	[KVM_TDX_GET_CPUID] = "KVM_TDX_GET_CPUID",
};

int __tdx_ioctl(int fd, u32 cmd, void *data, u64 *hw_error)
{
	struct kvm_tdx_cmd tdx_cmd = { .id = cmd, .data = (u64)data };
	int ret = ioctl(fd, KVM_MEMORY_ENCRYPT_OP, &tdx_cmd);

	*hw_error = tdx_cmd.hw_error;
	return ret;
}

static void tdx_ioctl(int fd, u32 cmd, void *data)
{
	u64 hw_error;
	int ret = __tdx_ioctl(fd, cmd, data, &hw_error);

	TEST_ASSERT(!ret, "%s failed, errno %d (%s), hw_error 0x%lx", cmd_names[cmd],
		    errno, strerror(errno), (unsigned long)hw_error);
}

void vm_tdx_ioctl(struct kvm_vm *vm, u32 cmd, void *data)
{
	tdx_ioctl(vm->fd, cmd, data);
}

void vcpu_tdx_ioctl(struct kvm_vcpu *vcpu, u32 cmd, void *data)
{
	tdx_ioctl(vcpu->fd, cmd, data);
}

/*
 * Take what KVM supports for each entry that can be configured.  All other bits
 * are up to the TDX module.
 */
static void fill_cpuid(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid2 *configurable,
		       int gpaw)
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
			entry->eax = (entry->eax & ~GENMASK(23, 16)) | gpaw << 16;
	}
}

void vm_tdx_init(struct kvm_vm *vm, int gpaw, u64 attributes)
{
	struct kvm_tdx_capabilities *caps;
	struct kvm_tdx_init_vm *init;
	u64 hw_error;
	int ret;

	vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, 24);
	vm->arch.s_bit = BIT_ULL(gpaw - 1);

	caps = calloc(1, sizeof(*caps) + MAX_CPUID_ENTRIES * sizeof(caps->cpuid.entries[0]));
	init = calloc(1, sizeof(*init) + MAX_CPUID_ENTRIES * sizeof(init->cpuid.entries[0]));
	TEST_ASSERT(caps && init, "no memory");

	caps->cpuid.nent = MAX_CPUID_ENTRIES;
	vm_tdx_ioctl(vm, KVM_TDX_CAPABILITIES, caps);
	TEST_ASSERT(caps->cpuid.nent <= MAX_CPUID_ENTRIES, "%u CPUID entries",
		    caps->cpuid.nent);

	init->attributes = caps->supported_attrs & attributes;
	/* KVM adds those features that no TD can be without. */
	init->xfam = 0;
	fill_cpuid(&init->cpuid, &caps->cpuid, gpaw);

	ret = __tdx_ioctl(vm->fd, KVM_TDX_INIT_VM, init, &hw_error);
	__TEST_REQUIRE(!ret || errno != ENOSPC, "no TDX key ID is free");
	TEST_ASSERT(!ret, "KVM_TDX_INIT_VM failed, errno %d (%s), hw_error 0x%lx",
		    errno, strerror(errno), (unsigned long)hw_error);
	free(caps);
	free(init);
}

struct kvm_vm *vm_tdx_create_tsc(int gpaw, u32 tsc_khz)
{
	struct kvm_vm *vm = vm_create_barebones_type(KVM_X86_TDX_VM);

	if (tsc_khz)
		vm_ioctl(vm, KVM_SET_TSC_KHZ, (void *)(unsigned long)tsc_khz);
	/* Rather end than get a #VE, should the guest touch what it does not have. */
	vm_tdx_init(vm, gpaw, TD_ATTR_SEPT_VE_DISABLE);
	vm_mem_add(vm, VM_MEM_SRC_ANONYMOUS, TD_IMAGE_GPA, SLOT_IMAGE, TD_IMAGE_PAGES,
		   KVM_MEM_GUEST_MEMFD, -1, 0);
	vm_mem_set_private(vm, TD_IMAGE_GPA, TD_IMAGE_PAGES * PAGE_SIZE);
	vm_mem_add(vm, VM_MEM_SRC_ANONYMOUS, TD_SHARED_GPA, SLOT_SHARED,
		   TD_MAX_VCPUS * TD_AREA_SIZE / PAGE_SIZE, 0, -1, 0);
	return vm;
}

struct kvm_vm *vm_tdx_create(int gpaw)
{
	return vm_tdx_create_tsc(gpaw, 0);
}

static gpa_t area_gpa(u32 id)
{
	return TD_SHARED_GPA + id * TD_AREA_SIZE;
}

struct td_area *vcpu_tdx_area(struct kvm_vcpu *vcpu)
{
	return addr_gpa2hva(vcpu->vm, area_gpa(vcpu->id));
}

/* LGDT and LIDT */
static void fill_table_register(u8 *reg, u16 limit, u64 base)
{
	memcpy(reg, &limit, sizeof(limit));
	memcpy(reg + sizeof(limit), &base, sizeof(base));
}

/* The descriptor tables, which nobody needs to keep a secret. */
static void fill_area(struct td_area *area, gpa_t gpa)
{
	const u64 tss = gpa + offsetof(struct td_area, tss);
	const u64 nmi_stack = gpa + TD_AREA_SIZE, stack = nmi_stack - NMI_STACK_SIZE;
	const u16 iopb = sizeof(area->tss);
	u64 stub;
	int i;

	for (i = 0; i < TD_NR_VECTORS; i++) {
		stub = TD_CODE_GPA + (td_guest_stubs - td_guest_code) + i * TD_STUB_SIZE;
		area->idt[i][0] = (stub & 0xffff) | TD_CS << 16 |
				  (GATE_INTERRUPT | (i == NMI_VECTOR ? 2 : 1)) << 32 |
				  (stub & 0xffff0000) << 32;
	}

	area->gdt[TD_CS / 8] = GDT_CODE;
	area->gdt[TD_TSS / 8] = GDT_TSS | (sizeof(area->tss) - 1) | (tss & 0xffffff) << 16 |
				(tss & 0xff000000) << 32;
	memcpy(area->tss + TSS_IST1, &stack, sizeof(stack));
	memcpy(area->tss + TSS_IST2, &nmi_stack, sizeof(nmi_stack));
	memcpy(area->tss + TSS_IOPB, &iopb, sizeof(iopb));

	fill_table_register(area->gdtr, sizeof(area->gdt) - 1,
			    gpa + offsetof(struct td_area, gdt));
	fill_table_register(area->idtr, sizeof(area->idt) - 1,
			    gpa + offsetof(struct td_area, idt));
}

void vcpu_tdx_init(struct kvm_vcpu *vcpu, const struct kvm_cpuid_entry2 *more, u32 nr_more,
		   u64 rcx)
{
	struct kvm_cpuid2 *cpuid;

	/*
	 * Tell KVM the CPUID that the TDX module made of it.  This must come first: KVM
	 * wants to see x2APIC in it when it initializes the vCPU, and the GPAW when it
	 * adds memory.
	 */
	cpuid = calloc(1, kvm_cpuid2_size(MAX_CPUID_ENTRIES + nr_more));
	TEST_ASSERT(cpuid, "no memory");
	cpuid->nent = MAX_CPUID_ENTRIES;
	vcpu_tdx_ioctl(vcpu, KVM_TDX_GET_CPUID, cpuid);
	memcpy(cpuid->entries + cpuid->nent, more, nr_more * sizeof(*more));
	cpuid->nent += nr_more;
	vcpu_init_cpuid(vcpu, cpuid);
	free(cpuid);

	vcpu_tdx_ioctl(vcpu, KVM_TDX_INIT_VCPU, (void *)rcx);
}

struct kvm_vcpu *vm_tdx_vcpu_add(struct kvm_vm *vm, u32 id)
{
	struct kvm_vcpu *vcpu = __vm_vcpu_add(vm, id);

	TEST_ASSERT(id < TD_MAX_VCPUS, "vCPU %u of a TD", id);
	fill_area(vcpu_tdx_area(vcpu), area_gpa(id));
	vcpu_tdx_init(vcpu, NULL, 0, area_gpa(id));
	return vcpu;
}

void vm_tdx_finalize(struct kvm_vm *vm)
{
	struct kvm_tdx_init_mem_region region = {
		.gpa = TD_IMAGE_GPA,
		.nr_pages = TD_IMAGE_PAGES,
	};
	u8 *image = aligned_alloc(PAGE_SIZE, TD_IMAGE_PAGES * PAGE_SIZE);
	struct kvm_vcpu *vcpu = list_first_entry(&vm->vcpus, struct kvm_vcpu, list);
	u64 *pml4, *pdpt, *pd;

	TEST_ASSERT(image, "no memory");
	memset(image, 0, TD_IMAGE_PAGES * PAGE_SIZE);
	pml4 = (u64 *)(image + TD_PML4_GPA - TD_IMAGE_GPA);
	pdpt = (u64 *)(image + TD_PDPT_GPA - TD_IMAGE_GPA);
	pd = (u64 *)(image + TD_PD_GPA - TD_IMAGE_GPA);

	/* The last 4MiB below 4GiB: each address is its gpa, without the shared bit. */
	pml4[0] = TD_PDPT_GPA | PTE_TABLE;
	pdpt[TD_PRIVATE_GPA / SZ_1G] = TD_PD_GPA | PTE_TABLE;
	pd[TD_PRIVATE_GPA % SZ_1G / SZ_2M] = TD_PRIVATE_GPA | PTE_2MB_PAGE;
	pd[TD_SHARED_GPA % SZ_1G / SZ_2M] = TD_SHARED_GPA | PTE_2MB_PAGE | vm_tdx_shared_bit(vm);

	memcpy(image + TD_CODE_GPA - TD_IMAGE_GPA, td_guest_code, PAGE_SIZE);

	region.source_addr = (u64)image;
	vcpu_tdx_ioctl(vcpu, KVM_TDX_INIT_MEM_REGION, &region);
	free(image);

	vm_tdx_ioctl(vm, KVM_TDX_FINALIZE_VM, NULL);
}

static bool is_port(struct kvm_vcpu *vcpu, u16 port)
{
	struct kvm_run *run = vcpu->run;

	return run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT &&
	       run->io.port == port;
}

bool td_is_ready(struct kvm_vcpu *vcpu)
{
	return is_port(vcpu, TD_PORT_READY);
}

const char *td_outcome_str(struct kvm_vcpu *vcpu, int ret)
{
	static __thread char text[120];
	struct td_area *area = vcpu_tdx_area(vcpu);

	if (ret)
		return strerror(errno);
	if (!is_port(vcpu, TD_PORT_EXCEPTION))
		return exit_reason_str(vcpu->run->exit_reason);
	snprintf(text, sizeof(text), "the guest had exception %lu, error code 0x%lx, RIP 0x%lx",
		 (unsigned long)area->vector, (unsigned long)area->error_code,
		 (unsigned long)area->rip);
	return text;
}
