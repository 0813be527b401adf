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
	if (map->source != KVM_MAP_GPA_TDVMCALL)
		return map->end;

	return min(map->end, ALIGN_DOWN(map->gfn, PHYS_PFN(SZ_2M)) + PHYS_PFN(SZ_2M));
}

/* @ret is what the guest gets if userspace does not answer. */
static int ask_userspace(struct kvm_vcpu *vcpu, u64 ret)
{
	struct kvm_map_gpa *map = &vcpu->arch.map_gpa;
	struct kvm_run *run = vcpu->run;

	vcpu->arch.complete_userspace_io = complete_map_gpa;
	run->exit_reason = KVM_EXIT_HYPERCALL;
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	run->hypercall.ret = ret;
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

/* Whether the guest understands that it has to ask again for what is left. */
static bool can_retry(struct kvm_map_gpa *map)
{
	return map->source == KVM_MAP_GPA_TDVMCALL || map->source == KVM_MAP_GPA_SNP_GHCB;
}

static u32 range_flags(struct kvm_map_gpa *map)
{
	u32 flags = 0;

	if (map->attrs & KVM_MAP_GPA_RANGE_ENCRYPTED)
		flags |= KVM_COCO_MAP_GPA_RANGE_PRIVATE;
	if (can_retry(map))
		flags |= KVM_COCO_MAP_GPA_RANGE_CAN_RETRY;
	return flags;
}

static int show_range(struct kvm_vcpu *vcpu)
{
	struct kvm_map_gpa *map = &vcpu->arch.map_gpa;

	vcpu->arch.complete_userspace_io = complete_range;
	vcpu->run->exit_reason = KVM_EXIT_COCO_MAP_GPA_RANGE;
	vcpu->run->coco_map_gpa_range = (struct kvm_coco_map_gpa_range) {
		.ret = EOPNOTSUPP,
		.flags = range_flags(map),
		.gpa = gfn_to_gpa(map->gfn),
		.size = gfn_to_gpa(map->end - map->gfn),
		.page_shift = PAGE_SHIFT + 9 * (map->attrs & PAGE_SIZE_ATTRS),
	};
	return 0;
}

/*
 * For TDX, those interrupts count that have been posted, not those that the guest
 * blocks, i.e. that are in RVI already: see tdx_protected_apic_has_interrupt().
 */
static bool has_interrupt(struct kvm_vcpu *vcpu)
{
	/* An expired timer is no event before it is in the APIC. */
	if (kvm_cpu_has_pending_timer(vcpu))
		kvm_inject_pending_timer_irqs(vcpu);

	return kvm_vcpu_has_events(vcpu);
}

/* Success gets the guest further, anything else is about what is left. */
static bool is_valid_answer(u32 ret, u64 done, u64 size)
{
	if (!PAGE_ALIGNED(done))
		return false;

	switch (ret) {
	case 0:
		return done && done <= size;
	case EAGAIN:
	case EINVAL:
	case EOPNOTSUPP:
		return done < size;
	default:
		return false;
	}
}

static int complete_range(struct kvm_vcpu *vcpu)
{
	struct kvm_coco_map_gpa_range *exit = &vcpu->run->coco_map_gpa_range;
	struct kvm_map_gpa *map = &vcpu->arch.map_gpa;
	u64 done = READ_ONCE(exit->done);
	u32 ret = READ_ONCE(exit->ret);

	if (kvm_is_exit_stale(vcpu))
		return 1;

	if (READ_ONCE(exit->flags) != range_flags(map) || READ_ONCE(exit->reserved) ||
	    !is_valid_answer(ret, done, gfn_to_gpa(map->end - map->gfn))) {
		/* Ask again: KVM_RUN has cleared complete_userspace_io. */
		show_range(vcpu);
		return -EINVAL;
	}

	map->gfn += gpa_to_gfn(done);
	if (ret == EAGAIN ? can_retry(map) : ret || map->gfn == map->end)
		return map->finish(vcpu, ret);

	/*
	 * Ask for what is left.  Only TDX guests take their interrupts before: some
	 * firmware for SNP guests looks at neither cur_entry nor an error, and would
	 * take a request that was stopped for one that is done.
	 */
	if (map->source == KVM_MAP_GPA_TDVMCALL && has_interrupt(vcpu))
		return map->finish(vcpu, EAGAIN);

	return show_range(vcpu);
}

static int complete_map_gpa(struct kvm_vcpu *vcpu)
{
	struct kvm_map_gpa *map = &vcpu->arch.map_gpa;
	u64 ret = READ_ONCE(vcpu->run->hypercall.ret);

	/* A hypercall's result is between userspace and the guest. */
	if (map->source != KVM_MAP_GPA_HYPERCALL && !kvm_is_valid_map_gpa_range_ret(ret)) {
		/* Ask again: KVM_RUN has cleared complete_userspace_io. */
		ask_userspace(vcpu, EINVAL);
		return -EINVAL;
	}
	if (ret)
		return map->finish(vcpu, ret);

	map->gfn = part_end(map);
	if (map->gfn == map->end)
		return map->finish(vcpu, 0);

	if (has_interrupt(vcpu))
		return map->finish(vcpu, EAGAIN);

	return ask_userspace(vcpu, 0);
}

/*
 * With its own exit, KVM checks what the guest asks for.  Without, userspace gets
 * whatever isn't malformed.  @gfn + @npages doesn't wrap.
 */
bool kvm_is_valid_map_gpa(struct kvm_vcpu *vcpu, gfn_t gfn, u64 npages, u64 attrs)
{
	gfn_t shared_bit, end;

	if (!has_own_exit(vcpu))
		return true;

	/*
	 * MAXPHYADDR is userspace's: any from 0 to 255.  No guest can have more than
	 * 52 bits, and the size in bytes of any range has to fit in 64.
	 */
	end = gpa_to_gfn(~rsvd_bits(min(cpuid_maxphyaddr(vcpu), 52), 63)) + 1;
	/* Hypercalls have attributes instead of the bit that makes an address shared. */
	shared_bit = kvm_gfn_direct_bits(vcpu->kvm);
	if (shared_bit)
		end = min(end, shared_bit);

	return gfn < end && npages <= end - gfn &&
	       (attrs & PAGE_SIZE_ATTRS) <= MAX_PAGE_SIZE_ATTR;
}

/*
 * Have userspace change @npages pages at @gfn to what @attrs, the attributes of
 * KVM_HC_MAP_GPA_RANGE, say.  @finish tells the guest: @ret is 0, EINVAL, EAGAIN,
 * EOPNOTSUPP, or, for hypercalls without an exit of their own, whatever userspace
 * says.  vcpu->arch.map_gpa.gfn is then the first page that has not been changed.
 * Returns what a VM-Exit's handler does.
 */
int kvm_map_gpa(struct kvm_vcpu *vcpu, gfn_t gfn, u64 npages, u64 attrs,
		enum kvm_map_gpa_source source,
		int (*finish)(struct kvm_vcpu *vcpu, u64 ret))
{
	struct kvm_map_gpa *map = &vcpu->arch.map_gpa;

	map->gfn = gfn;
	map->end = gfn + npages;
	map->attrs = attrs;
	map->source = source;
	/* The handler of hypercalls has set it.  All else comes from 64-bit code. */
	if (source != KVM_MAP_GPA_HYPERCALL)
		map->is_64_bit = true;
	map->finish = finish;

	/* Hypercalls are checked before they have anything to finish. */
	if (source != KVM_MAP_GPA_HYPERCALL &&
	    !kvm_is_valid_map_gpa(vcpu, gfn, npages, attrs))
		return finish(vcpu, EINVAL);

	if (has_own_exit(vcpu))
		return show_range(vcpu);

	/*
	 * In principle this should have been -KVM_ENOSYS, but userspace (QEMU <=9.2)
	 * assumed that vcpu->run->hypercall.ret is never changed by KVM and thus that
	 * it was always zero on KVM_EXIT_HYPERCALL.  Since KVM is now overwriting
	 * vcpu->run->hypercall.ret, ensuring that it is zero to not break QEMU.
	 */
	return ask_userspace(vcpu, 0);
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_map_gpa);
