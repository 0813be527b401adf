// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that tell the host which of their memory is encrypted, i.e. private,
 * and which is not.  Userspace decides what becomes of it.
 */
#include <linux/errno.h>
#include <linux/kvm_host.h>
#include <linux/sizes.h>

#include "map_gpa.h"
#include "x86.h"

/*
 * KVM previously used a u32 field in kvm_run to indicate the hypercall was
 * initiated from long mode. KVM now sets bit 0 to indicate long mode, but the
 * remaining 31 lower bits must be 0 to preserve ABI.
 */
#define KVM_EXIT_HYPERCALL_MBZ		GENMASK_ULL(31, 1)
static_assert(!(KVM_EXIT_HYPERCALL_LONG_MODE & KVM_EXIT_HYPERCALL_MBZ));

static int complete_map_gpa(struct kvm_vcpu *vcpu);

/*
 * The end of what is asked for at once.  A MapGPA is cut where huge pages end,
 * so that none is split in two, to let the guest take interrupts in between.
 */
static gfn_t part_end(struct kvm_map_gpa *map)
{
	if (map->source != KVM_MAP_GPA_TDVMCALL)
		return map->end;

	return min(map->end, ALIGN_DOWN(map->gfn, PHYS_PFN(SZ_2M)) + PHYS_PFN(SZ_2M));
}

static int ask_userspace(struct kvm_vcpu *vcpu)
{
	struct kvm_map_gpa *map = &vcpu->arch.map_gpa;
	struct kvm_run *run = vcpu->run;

	vcpu->arch.complete_userspace_io = complete_map_gpa;
	run->exit_reason = KVM_EXIT_HYPERCALL;
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	/*
	 * In principle this should have been -KVM_ENOSYS, but userspace (QEMU <=9.2)
	 * assumed that vcpu->run->hypercall.ret is never changed by KVM and thus that
	 * it was always zero on KVM_EXIT_HYPERCALL.  Since KVM is now overwriting
	 * vcpu->run->hypercall.ret, ensuring that it is zero to not break QEMU.
	 */
	run->hypercall.ret = 0;
	run->hypercall.args[0] = gfn_to_gpa(map->gfn);
	run->hypercall.args[1] = part_end(map) - map->gfn;
	run->hypercall.args[2] = map->attrs;
	run->hypercall.flags = map->is_64_bit ? KVM_EXIT_HYPERCALL_LONG_MODE : 0;
	return 0;
}

static bool is_allowed(struct kvm_map_gpa *map, u64 ret)
{
	/* Guests know negative errnos, some userspace passes these on. */
	return kvm_is_valid_map_gpa_range_ret(ret) ||
	       (map->source == KVM_MAP_GPA_HYPERCALL && ret >= (u64)-MAX_ERRNO);
}

static int complete_map_gpa(struct kvm_vcpu *vcpu)
{
	struct kvm_map_gpa *map = &vcpu->arch.map_gpa;
	u64 ret = READ_ONCE(vcpu->run->hypercall.ret);

	if (!is_allowed(map, ret)) {
		/* KVM_RUN has forgotten the request, the guest has not. */
		ask_userspace(vcpu);
		return -EINVAL;
	}
	if (ret)
		return map->finish(vcpu, ret);

	map->gfn = part_end(map);
	if (map->gfn == map->end)
		return map->finish(vcpu, 0);

	/*
	 * Let the guest have its interrupts.  For TDX, posted ones do not count,
	 * see tdx_protected_apic_has_interrupt().
	 */
	if (kvm_vcpu_has_events(vcpu))
		return map->finish(vcpu, EAGAIN);

	return ask_userspace(vcpu);
}

/*
 * Have userspace change @npages pages at @gfn to what @attrs, the attributes of
 * KVM_HC_MAP_GPA_RANGE, say.  @finish tells the guest: @ret is 0, EINVAL, EAGAIN,
 * or, for hypercalls only, a negative errno.  vcpu->arch.map_gpa.gfn is then the
 * first page that has not been changed.  Returns what a VM-Exit's handler does.
 */
int kvm_map_gpa(struct kvm_vcpu *vcpu, gfn_t gfn, u64 npages, u64 attrs,
		enum kvm_map_gpa_source source,
		int (*finish)(struct kvm_vcpu *vcpu, u64 ret))
{
	vcpu->arch.map_gpa = (struct kvm_map_gpa) {
		.gfn = gfn,
		.end = gfn + npages,
		.attrs = attrs,
		.source = source,
		.is_64_bit = is_64_bit_hypercall(vcpu),
		.finish = finish,
	};

	return ask_userspace(vcpu);
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_map_gpa);
