/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TDs, i.e. guests of Intel TDX, that do nothing but execute TDCALLs which the host
 * puts in memory that it shares with them:
 *
 *	vm = vm_tdx_create(48);
 *	(capabilities that have to be enabled before there is a vCPU)
 *	vcpu = vm_tdx_vcpu_add(vm, 0);
 *	vm_tdx_finalize(vm);
 *
 * From then on each KVM_RUN that ends with td_is_ready() is for the calls that are in
 * vcpu_tdx_area().  Neither code nor page tables of the test are in the guest, and no
 * more of the library's helpers can be used than those that do one ioctl.
 */
#ifndef SELFTEST_KVM_TDX_H
#define SELFTEST_KVM_TDX_H

#include <stddef.h>

#include "kvm_util.h"
#include "processor.h"
#include "tdx_guest.h"

#define TD_MAX_VCPUS		8
#define TD_MAX_CALLS		13

/* An attribute of a TD, see the specification of the TDX module. */
#define TD_ATTR_SEPT_VE_DISABLE	BIT_ULL(28)

/* Leaves of TDCALL */
#define TDG_VP_VMCALL		0

/* What goes to the host, and comes back, with TDG.VP.VMCALL: no RCX, RSP and RBP */
#define TD_EXPOSED_REGS		0xffcc

/*
 * All registers before and after a TDCALL.  The guest has RSP for itself and stores it in
 * both.  in.rip is 0 after the last call of a list, and has no other meaning.
 */
struct td_call {
	struct kvm_regs in;
	struct kvm_regs out;
};

/* What a vCPU and the host share. */
struct td_area {
	struct td_call calls[TD_MAX_CALLS + 1];
	u64 idt[TD_NR_VECTORS][2] __aligned(PAGE_SIZE);
	/* Interrupts and NMIs */
	u64 nr_events __aligned(PAGE_SIZE);
	/* Any other event */
	u64 vector;
	u64 error_code;
	u64 rip;
	u8 gdtr[16];
	u8 idtr[16];
	u64 gdt[4];
	u8 tss[104];
} __aligned(PAGE_SIZE);

kvm_static_assert(offsetof(struct td_call, in.rip) == TD_CALL_RIP);
kvm_static_assert(offsetof(struct td_call, in.rflags) == TD_CALL_RFLAGS);
kvm_static_assert(offsetof(struct td_call, out) == TD_CALL_OUT);
kvm_static_assert(offsetof(struct td_area, idt) == TD_AREA_IDT);
kvm_static_assert(offsetof(struct td_area, nr_events) == TD_AREA_EVENTS);
kvm_static_assert(offsetof(struct td_area, vector) == TD_AREA_VECTOR);
kvm_static_assert(offsetof(struct td_area, error_code) == TD_AREA_ERROR);
kvm_static_assert(offsetof(struct td_area, rip) == TD_AREA_RIP);
kvm_static_assert(offsetof(struct td_area, gdtr) == TD_AREA_GDTR);
kvm_static_assert(offsetof(struct td_area, idtr) == TD_AREA_IDTR);
kvm_static_assert(sizeof(struct td_area) == TD_AREA_SIZE);

/* The page of code, and where vector 0 goes */
extern const u8 td_guest_code[], td_guest_stubs[];

static inline bool is_tdx_enabled(void)
{
	return kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_TDX_VM);
}

static inline bool is_tdx_vm(struct kvm_vm *vm)
{
	return vm->type == KVM_X86_TDX_VM;
}

/* The bit of an address that makes it shared is the last one of GPAW 48 or 52. */
static inline u64 vm_tdx_shared_bit(struct kvm_vm *vm)
{
	return vm->arch.s_bit;
}

/* GPAW 52 needs 5-level EPT, which there is not without 5-level paging. */
static inline bool is_gpaw_supported(int gpaw)
{
	return gpaw == 48 || this_cpu_has(X86_FEATURE_LA57);
}

/* A command of KVM_MEMORY_ENCRYPT_OP, of a VM or of a vCPU: 0, or -1 and errno */
int __tdx_ioctl(int fd, u32 cmd, void *data, u64 *hw_error);

/* ... that must not fail. */
void vm_tdx_ioctl(struct kvm_vm *vm, u32 cmd, void *data);
void vcpu_tdx_ioctl(struct kvm_vcpu *vcpu, u32 cmd, void *data);

/*
 * Of a TD that does something else: make a new VM one, with as many of @attributes as the
 * TDX module supports; and a new vCPU one of it, which starts with @rcx in RCX.  @more is
 * what CPUID has besides what the TDX module makes of it, i.e. leaves that KVM answers.
 * The test is skipped if no key ID is free.
 */
void vm_tdx_init(struct kvm_vm *vm, int gpaw, u64 attributes);
void vcpu_tdx_init(struct kvm_vcpu *vcpu, const struct kvm_cpuid_entry2 *more, u32 nr_more,
		   u64 rcx);

/* A TD with neither vCPUs nor memory.  The test is skipped if no key ID is free. */
struct kvm_vm *vm_tdx_create(int gpaw);

/* The same with KVM_SET_TSC_KHZ, unless @tsc_khz is 0. */
struct kvm_vm *vm_tdx_create_tsc(int gpaw, u32 tsc_khz);

/* @id must be less than TD_MAX_VCPUS. */
struct kvm_vcpu *vm_tdx_vcpu_add(struct kvm_vm *vm, u32 id);

/* Add memory and let the vCPUs run, of which there must be one, and will be no more. */
void vm_tdx_finalize(struct kvm_vm *vm);

struct td_area *vcpu_tdx_area(struct kvm_vcpu *vcpu);

/* KVM_RUN has returned because the guest has made all calls, or has just started. */
bool td_is_ready(struct kvm_vcpu *vcpu);

/* Otherwise: why it has returned, in words.  @ret and errno are those of KVM_RUN. */
const char *td_outcome_str(struct kvm_vcpu *vcpu, int ret);

#endif /* SELFTEST_KVM_TDX_H */
