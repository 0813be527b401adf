// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that tell the host which of their memory is encrypted, i.e. private,
 * and which is not.  Userspace decides what becomes of it.
 */
#include <linux/errno.h>
#include <linux/kvm_host.h>
#include <linux/sizes.h>

#include "cpuid.h"
#include "irq.h"
#include "map_gpa.h"
#include "mmu.h"
#include "tdvmcall.h"
#include "x86.h"

/*
 * KVM previously used a u32 field in kvm_run to indicate the hypercall was
 * initiated from long mode. KVM now sets bit 0 to indicate long mode, but the
 * remaining 31 lower bits must be 0 to preserve ABI.
 */
#define KVM_EXIT_HYPERCALL_MBZ		GENMASK_ULL(31, 1)
static_assert(!(KVM_EXIT_HYPERCALL_LONG_MODE & KVM_EXIT_HYPERCALL_MBZ));

/* The page size that the guest prefers is 4KiB * 512 ^ n. */
#define PAGE_SIZE_ATTRS		GENMASK_ULL(3, 0)
#define MAX_PAGE_SIZE_ATTR	KVM_MAP_GPA_RANGE_PAGE_SZ_1G

static int complete_map_gpa(struct kvm_vcpu *vcpu);
static int complete_range(struct kvm_vcpu *vcpu);

/*
 * The end of what is asked for at once.  A MapGPA is cut where huge pages end,
 * so that none is split in two, to let the guest take interrupts in between.
 */
static gfn_t part_end(struct kvm_map_gpa *map)
{
	if (map->source != KVM_COCO_SOURCE_TDVMCALL)
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

/* With KVM_COCO_EXIT_MAP_GPA_RANGE, userspace gets all, and does what it can. */
static bool has_own_exit(struct kvm_vcpu *vcpu)
{
	return vcpu->kvm->arch.coco_exits & KVM_COCO_EXIT_MAP_GPA_RANGE;
}

static_assert(sizeof(struct kvm_coco_map_gpa_range) == 40);
static_assert(!offsetof(struct kvm_coco_map_gpa_range, ret));

static int show_range(struct kvm_vcpu *vcpu)
{
	struct kvm_map_gpa *map = &vcpu->arch.map_gpa;

	vcpu->arch.complete_userspace_io = complete_range;
	vcpu->run->exit_reason = KVM_EXIT_MAP_GPA_RANGE;
	vcpu->run->coco_map_gpa_range = (struct kvm_coco_map_gpa_range) {
		.ret = EOPNOTSUPP,
		.flags = map->attrs & KVM_MAP_GPA_RANGE_ENCRYPTED ?
			 KVM_COCO_MAP_GPA_RANGE_PRIVATE : 0,
		.gpa = gfn_to_gpa(map->gfn),
		.size = gfn_to_gpa(map->end - map->gfn),
		.page_shift = PAGE_SHIFT + 9 * (map->attrs & PAGE_SIZE_ATTRS),
		.source = map->source,
	};
	return 0;
}

/* For TDX, posted ones do not count, see tdx_protected_apic_has_interrupt(). */
static bool has_interrupt(struct kvm_vcpu *vcpu)
{
	/* An expired timer is no event before it is in the APIC. */
	if (kvm_cpu_has_pending_timer(vcpu))
		kvm_inject_pending_timer_irqs(vcpu);

	return kvm_vcpu_has_events(vcpu);
}

/*
 * Whether the guest can take its interrupts before the rest of the range.  A
 * hypercall then starts over, as all registers but RAX have to stay as they are,
 * so let it get further each time.  One of a guest whose state is protected has
 * no instruction to go back to.
 */
static bool can_stop(struct kvm_vcpu *vcpu)
{
	struct kvm_map_gpa *map = &vcpu->arch.map_gpa;

	if (map->source != KVM_COCO_SOURCE_HYPERCALL)
		return true;

	return !vcpu->arch.guest_state_protected && map->gfn > map->stopped;
}

static int complete_range(struct kvm_vcpu *vcpu)
{
	struct kvm_coco_map_gpa_range *exit = &vcpu->run->coco_map_gpa_range;
	struct kvm_map_gpa *map = &vcpu->arch.map_gpa;
	u64 size = gfn_to_gpa(map->end - map->gfn);
	u64 done = READ_ONCE(exit->done);
	u32 ret = READ_ONCE(exit->ret);

	/* Success gets the guest further, anything else is about what is left. */
	if (!PAGE_ALIGNED(done) || (ret ? done >= size : !done || done > size))
		goto refuse;
	if (ret && ret != EAGAIN && ret != EINVAL && ret != EOPNOTSUPP)
		goto refuse;

	map->gfn += gpa_to_gfn(done);
	if (!ret && map->gfn < map->end) {
		if (!can_stop(vcpu) || !has_interrupt(vcpu))
			return show_range(vcpu);

		map->stopped = map->gfn;
		return map->finish(vcpu, EAGAIN);
	}

	map->stopped = 0;
	return map->finish(vcpu, ret);

refuse:
	/* KVM_RUN has forgotten the request, the guest has not. */
	show_range(vcpu);
	return -EINVAL;
}

static bool is_allowed(struct kvm_map_gpa *map, u64 ret)
{
	/* Guests know negative errnos, some userspace passes these on. */
	return kvm_is_valid_map_gpa_range_ret(ret) ||
	       (map->source == KVM_COCO_SOURCE_HYPERCALL && ret >= (u64)-MAX_ERRNO);
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

	if (has_interrupt(vcpu))
		return map->finish(vcpu, EAGAIN);

	return ask_userspace(vcpu);
}

/*
 * With its own exit, KVM checks what the guest asks for.  Without, userspace gets
 * whatever isn't malformed.  @gfn + @npages doesn't wrap.
 */
bool kvm_is_valid_map_gpa(struct kvm_vcpu *vcpu, gfn_t gfn, u64 npages, u64 attrs)
{
	gpa_t shared_bit;
	gfn_t end;

	if (!has_own_exit(vcpu))
		return true;

	/* MAXPHYADDR is userspace's: any from 0 to 255. */
	end = gpa_to_gfn(~rsvd_bits(cpuid_maxphyaddr(vcpu), 63)) + 1;
	/* Hypercalls have attributes instead of that bit. */
	shared_bit = kvm_tdvmcall_shared_bit(vcpu->kvm);
	if (shared_bit)
		end = min(end, gpa_to_gfn(shared_bit));
	if (kvm_gfn_alias_bits(vcpu->kvm))
		end = min(end, kvm_gfn_alias_bits(vcpu->kvm));

	return gfn < end && npages <= end - gfn &&
	       (attrs & PAGE_SIZE_ATTRS) <= MAX_PAGE_SIZE_ATTR;
}

/*
 * Have userspace change @npages pages at @gfn to what @attrs, the attributes of
 * KVM_HC_MAP_GPA_RANGE, say.  @finish tells the guest: @ret is 0, EINVAL, EAGAIN,
 * EOPNOTSUPP, or, for hypercalls only, a negative errno.  vcpu->arch.map_gpa.gfn is
 * then the first page that has not been changed.  Returns what a VM-Exit's handler
 * does.
 */
int kvm_map_gpa(struct kvm_vcpu *vcpu, gfn_t gfn, u64 npages, u64 attrs,
		u32 source, int (*finish)(struct kvm_vcpu *vcpu, u64 ret))
{
	struct kvm_map_gpa *map = &vcpu->arch.map_gpa;

	/* Only if it starts over has it been stopped. */
	if (map->start != gfn || map->end != gfn + npages || map->attrs != attrs ||
	    map->source != source)
		map->stopped = 0;

	map->start = gfn;
	map->gfn = gfn;
	map->end = gfn + npages;
	map->attrs = attrs;
	map->source = source;
	/* Who makes a hypercall has found out, all others are. */
	if (source != KVM_COCO_SOURCE_HYPERCALL)
		map->is_64_bit = true;
	map->finish = finish;

	/* Hypercalls are checked before they have anything to finish. */
	if (source != KVM_COCO_SOURCE_HYPERCALL &&
	    !kvm_is_valid_map_gpa(vcpu, gfn, npages, attrs))
		return finish(vcpu, EINVAL);

	return has_own_exit(vcpu) ? show_range(vcpu) : ask_userspace(vcpu);
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_map_gpa);
