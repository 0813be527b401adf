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
 * Capability of a VM.  KVM_CHECK_EXTENSION returns the operations that the VM
 * supports, KVM_ENABLE_CAP takes those that are to be used in args[0].
 */
#define KVM_CAP_COCO_EXITS			1000

#define KVM_COCO_EXIT_GET_QUOTE			(1 << 0)
#define KVM_COCO_EXIT_SETUP_EVENT_NOTIFY	(1 << 1)
#define KVM_COCO_EXIT_FATAL_ERROR		(1 << 2)
#define KVM_COCO_EXIT_MAP_GPA_RANGE		(1 << 3)
#define KVM_COCO_EXIT_MIGRATION_CONTROL		(1 << 4)

/* Values of exit_reason in struct kvm_run, one for each operation. */
#define KVM_EXIT_COCO_GET_QUOTE			1000
#define KVM_EXIT_COCO_SETUP_EVENT_NOTIFY	1001
#define KVM_EXIT_COCO_FATAL_ERROR		1002
#define KVM_EXIT_COCO_MAP_GPA_RANGE		1003
#define KVM_EXIT_COCO_MIGRATION_CONTROL		1004

/*
 * Userspace answers in "ret", with 0 or a positive errno.  It is EOPNOTSUPP when
 * KVM exits, EINVAL is the other errno that every operation takes.  "flags" and
 * "reserved" have to stay as they are.
 */

/* KVM_EXIT_COCO_GET_QUOTE, also takes EAGAIN */
struct kvm_coco_get_quote {
	__u32 ret;
	__u32 flags;		/* 0 */
	__u64 gpa;		/* 4KiB-aligned, in shared memory, without shared bit */
	__u64 size;		/* bytes, a multiple of 4KiB, not 0 */
};

/* KVM_EXIT_COCO_SETUP_EVENT_NOTIFY */
struct kvm_coco_setup_event_notify {
	__u32 ret;
	__u32 flags;		/* 0 */
	__u32 vector;		/* 32 to 255 */
	__u32 reserved;		/* 0 */
};

#define KVM_COCO_FATAL_ERROR_GPA_VALID		(1 << 0)

/* The message is 64 bytes of the guest, as they are, and NULs. */
#define KVM_COCO_FATAL_ERROR_MESSAGE_SIZE	72

/* KVM_EXIT_COCO_FATAL_ERROR, which has no answer */
struct kvm_coco_fatal_error {
	__u32 flags;		/* KVM_COCO_FATAL_ERROR_GPA_VALID */
	__u32 reserved;		/* 0 */
	__u64 error_code;	/* bits 62:0 */
	__u64 gpa;		/* 4KiB-aligned, shared; 0 if not valid */
	__u8 message[KVM_COCO_FATAL_ERROR_MESSAGE_SIZE];
};

#define KVM_COCO_MAP_GPA_RANGE_PRIVATE		(1 << 0)
#define KVM_COCO_MAP_GPA_RANGE_CAN_RETRY	(1 << 1)

/*
 * KVM_EXIT_COCO_MAP_GPA_RANGE, also takes EAGAIN.  "done" is the part of the range, from
 * its start, that userspace has changed, in bytes.
 */
struct kvm_coco_map_gpa_range {
	__u32 ret;
	__u32 flags;		/* KVM_COCO_MAP_GPA_RANGE_* */
	__u64 gpa;		/* 4KiB-aligned, without shared bit */
	__u64 size;		/* bytes, a multiple of 4KiB, not 0 */
	__u64 done;		/* 0; answer: a multiple of 4KiB */
	__u32 page_shift;	/* of the page size that the guest prefers: 12, 21, 30 */
	__u32 reserved;		/* 0 */
};

/* KVM_EXIT_COCO_MIGRATION_CONTROL, an errno is a #GP for the guest */
struct kvm_coco_migration_control {
	__u32 ret;
	__u32 flags;		/* 0 */
	__u64 value;		/* of MSR_KVM_MIGRATION_CONTROL: 0 or 1, ready */
};

#endif /* __LINUX_KVM_COCO_H */
