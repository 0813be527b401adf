// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linux as an SEV guest, see linux_guest_sev.h.
 */
#include <linux/bitmap.h>
#include <linux/kvm_para.h>

#include "kvm_util.h"
#include "processor.h"
#include "linux_guest_sev.h"
#include "linux_guest_snp.h"
#include "sev.h"

#define KVM_CPUID_FEATURES_LEAF	(KVM_CPUID_SIGNATURE + 1)

#define ROOT_LEVEL		4
#define PTES_PER_TABLE		512
#define PTE_PRESENT		BIT_ULL(0)
#define PTE_HUGE		BIT_ULL(7)
#define PTE_ADDR		GENMASK_ULL(51, 12)

/* The highest that 4 levels of nested page tables reach, and any C-bit must be beyond memory. */
#define MAX_C_BIT		47
#define MIN_C_BIT		36

static int mock_c_bit(void)
{
	return min_t(int, this_cpu_property(X86_PROPERTY_MAX_PHY_ADDR) - 1, MAX_C_BIT);
}

bool linux_guest_sev_supported(u32 vm_type)
{
	if (vm_type != KVM_X86_DEFAULT_VM)
		return kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(vm_type);

	/* An SEV guest makes hypercalls by VMMCALL. */
	return !host_cpu_is_intel && mock_c_bit() >= MIN_C_BIT &&
	       kvm_has_cap(KVM_CAP_X86_MSR_FILTER) &&
	       kvm_has_cap(KVM_CAP_X86_USER_SPACE_MSR);
}

/* All that has been loaded, which is all of the memory, is the guest's from here on. */
static void launch(struct linux_guest *guest)
{
	struct kvm_sev_launch_start start = { .policy = guest->sev_policy };
	u8 measurement[256];

	if (is_sev_snp_vm(guest->vm)) {
		linux_guest_snp_launch(guest);
		return;
	}
	vm_sev_ioctl(guest->vm, KVM_SEV_LAUNCH_START, &start);
	sev_register_encrypted_memory(guest->vm,
				      memslot2region(guest->vm, LINUX_GUEST_MEMSLOT));
	sev_launch_update_data(guest->vm, 0, guest->mem_size);
	if (is_sev_es_vm(guest->vm))
		vm_sev_ioctl(guest->vm, KVM_SEV_LAUNCH_UPDATE_VMSA, NULL);
	sev_vm_launch_measure(guest->vm, measurement);
	sev_vm_launch_finish(guest->vm);
}

static u64 level_size(int level)
{
	return (u64)SZ_4K << 9 * (level - 1);
}

static void walk_table(struct linux_guest_sev *sev, u64 entry, int level, unsigned long *bitmap)
{
	u64 ptes[PTES_PER_TABLE], i, pte, gpa = entry & PTE_ADDR & ~sev->guest->c_bit;

	/* A table that is read without the C-bit is shared memory like any other. */
	if (!(entry & sev->guest->c_bit))
		linux_guest_mark_shared(sev->guest, bitmap, gpa, SZ_4K);
	if (gpa > sev->guest->mem_size - SZ_4K)
		return;

	/* Another vCPU may be changing it.  The processor encrypts all tables. */
	linux_guest_read(sev->guest, gpa, ptes, sizeof(ptes), true);
	for (i = 0; i < PTES_PER_TABLE; i++) {
		pte = ptes[i];
		if (!(pte & PTE_PRESENT))
			continue;
		if (level > 1 && !(pte & PTE_HUGE))
			walk_table(sev, pte, level - 1, bitmap);
		else if (!(pte & sev->guest->c_bit))
			linux_guest_mark_shared(sev->guest, bitmap,
						pte & PTE_ADDR & ~(level_size(level) - 1),
						level_size(level));
	}
}

/* Mark all pages that the vCPU can access without the C-bit. */
static void walk_vcpu(struct linux_guest_sev *sev, struct kvm_vcpu *vcpu, unsigned long *bitmap)
{
	struct kvm_sregs sregs;

	if (is_sev_snp_vm(sev->guest->vm)) {
		memcpy(bitmap, sev->guest->shared->told,
		       bitmap_size(sev->guest->mem_size / SZ_4K));
		return;
	}
	if (is_sev_es_vm(sev->guest->vm)) {
		if (sev->page_tables)
			walk_table(sev, sev->page_tables | sev->guest->c_bit, ROOT_LEVEL,
				   bitmap);
		return;
	}
	vcpu_sregs_get(vcpu, &sregs);
	walk_table(sev, sregs.cr3, ROOT_LEVEL, bitmap);
}

struct linux_guest_shared_diff linux_guest_sev_compare(struct linux_guest_sev *sev,
						       struct kvm_vcpu *vcpu, u64 gpa,
						       u64 size)
{
	bitmap_zero(sev->bitmap, sev->guest->mem_size / SZ_4K);
	walk_vcpu(sev, vcpu, sev->bitmap);
	return linux_guest_compare_shared(sev->guest, sev->bitmap, gpa, size);
}

u64 linux_guest_sev_nr_shared(struct linux_guest_sev *sev, struct kvm_vcpu *vcpu, u64 gpa,
			      u64 size)
{
	u64 page, nr_shared = 0, nr_pages = sev->guest->mem_size / SZ_4K;

	bitmap_zero(sev->bitmap, nr_pages);
	walk_vcpu(sev, vcpu, sev->bitmap);
	for (page = gpa / SZ_4K; page < nr_pages && page < (gpa + size) / SZ_4K; page++)
		nr_shared += test_bit(page, sev->bitmap);
	return nr_shared;
}

static void take_msr(struct linux_guest_sev *sev, struct kvm_vcpu *vcpu)
{
	struct kvm_coco_migration_control *control = (void *)vcpu->run->padding;
	int err;

	pthread_mutex_lock(&sev->m.lock);
	err = migration_wrmsr(&sev->m.state, control->value);
	if (control->value)
		sev->nr_ready++;
	else
		sev->nr_cleared++;
	pthread_mutex_unlock(&sev->m.lock);

	control->ret = err ? EINVAL : 0;
}

bool linux_guest_sev_exit(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	struct linux_guest_sev *sev = guest->private;

	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_X86_RDMSR:
		if (vcpu->run->msr.index != MSR_AMD64_SEV)
			return false;
		vcpu->run->msr.data = MSR_AMD64_SEV_ENABLED;
		vcpu->run->msr.error = 0;
		return true;
	case KVM_EXIT_COCO_MIGRATION_CONTROL:
		take_msr(sev, vcpu);
		return true;
	}
	return linux_guest_shared_exit(guest, vcpu);
}

/* What the guest accesses without the C-bit is shared, whatever else there is. */
static void find_private(struct linux_guest *guest, struct linux_guest_migration *m,
			 unsigned long *pages)
{
	struct linux_guest_sev *sev = guest->private;
	u64 page, nr_pages = guest->mem_size / SZ_4K;
	int i;

	bitmap_zero(pages, nr_pages);
	for (i = 0; i < guest->nr_vcpus; i++)
		walk_vcpu(sev, guest->vcpus[i], pages);
	for (page = 0; page < BITS_TO_LONGS(nr_pages); page++)
		pages[page] = ~pages[page];
}

static struct linux_guest_sev *create(struct linux_guest_params *params, bool empty)
{
	struct linux_guest_sev *sev = calloc(1, sizeof(*sev));
	struct kvm_cpuid_entry2 *features;
	struct linux_guest *guest;
	int i;

	TEST_ASSERT(sev, "No memory for a guest");
	if (params->vm_type == KVM_X86_DEFAULT_VM)
		params->c_bit = BIT_ULL(mock_c_bit());
	params->coco_exits = params->no_coco_exits ? 0 :
			     KVM_COCO_EXIT_MAP_GPA_RANGE | KVM_COCO_EXIT_MIGRATION_CONTROL;
	guest = empty ? linux_guest_create_empty(params) : linux_guest_create(params);
	/* Debugging is allowed. */
	guest->sev_policy = params->sev_policy | (is_sev_es_vm(guest->vm) ? SEV_POLICY_ES : 0);
	if (params->vm_type == KVM_X86_DEFAULT_VM)
		linux_guest_filter_msr(guest, MSR_AMD64_SEV, KVM_MSR_FILTER_READ);
	memcpy(guest->snp_host_data, params->snp_host_data, sizeof(guest->snp_host_data));
	guest->private = sev;
	guest->exit = linux_guest_sev_exit;
	sev->guest = guest;
	sev->bitmap = bitmap_zalloc(guest->mem_size / SZ_4K);
	TEST_ASSERT(sev->bitmap, "No memory for a bitmap");
	linux_guest_migration_init(&sev->m, LINUX_GUEST_MAX_SHARED_RANGES);
	linux_guest_init_shared(guest, &sev->m.lock, &sev->m.shared);
	sev->m.find_private = find_private;
	migration_event(&sev->m.state, MIGRATION_OFFER);

	if (params->no_coco_exits)
		vm_enable_cap(guest->vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));
	/* KVM must not repair the instruction of a hypercall: it cannot for real SEV guests. */
	vm_enable_cap(guest->vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_FIX_HYPERCALL_INSN);
	for (i = 0; i < guest->nr_vcpus; i++) {
		features = vcpu_get_cpuid_entry(guest->vcpus[i], KVM_CPUID_FEATURES_LEAF);
		features->eax |= BIT(KVM_FEATURE_HC_MAP_GPA_RANGE) |
				 BIT(KVM_FEATURE_MIGRATION_CONTROL);
		vcpu_set_cpuid(guest->vcpus[i]);
	}
	/* CPUID is a part of what an SNP guest is launched with. */
	if (is_sev_vm(guest->vm) && !empty)
		launch(guest);
	return sev;
}

struct linux_guest_sev *linux_guest_sev_create(struct linux_guest_params *params)
{
	return create(params, false);
}

struct linux_guest_sev *linux_guest_sev_create_empty(struct linux_guest_params *params)
{
	return create(params, true);
}

void linux_guest_sev_free(struct linux_guest_sev *sev)
{
	linux_guest_free(sev->guest);
	linux_guest_migration_destroy(&sev->m);
	free(sev->bitmap);
	free(sev);
}
