/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Exits of KVM for requests of confidential guests.
 *
 * A VMM can use a copy of this header with any version of <linux/kvm.h>: numbers
 * start at 1000, out of the way of those that KVM assigns, and the structures
 * are at the start of the union in struct kvm_run, i.e. where "padding" is.
 */
#ifndef __LINUX_KVM_COCO_H
#define __LINUX_KVM_COCO_H

#include <linux/types.h>

/*
 * How a guest of type KVM_X86_SW_PROTECTED_VM makes a TDVMCALL: this number in
 * RAX, the registers of TDG.VP.VMCALL, except RCX, as for TDX, and VMCALL or
 * VMMCALL.  Shared addresses have this bit set.
 */
#define KVM_HC_SW_TDVMCALL			1000
#define KVM_SW_TDVMCALL_SHARED_BIT		51

#endif /* __LINUX_KVM_COCO_H */
