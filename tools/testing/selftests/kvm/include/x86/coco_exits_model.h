/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What KVM has to do about the requests of a confidential guest and about userspace's
 * answers: a model of one VM with one vCPU, after Documentation/virt/kvm/api.rst and
 * not after KVM's code.  It makes no system call and has no state but its own, i.e.
 * a copy can be asked what would be.
 */
#ifndef SELFTEST_KVM_COCO_EXITS_MODEL_H
#define SELFTEST_KVM_COCO_EXITS_MODEL_H

#include <linux/bits.h>
#include <linux/kvm.h>
#include <linux/kvm_coco.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#define MODEL_GET_TD_VM_CALL_INFO	0x10000
#define MODEL_MAP_GPA			0x10001
#define MODEL_GET_QUOTE			0x10002
#define MODEL_REPORT_FATAL_ERROR	0x10003
#define MODEL_SETUP_EVENT_NOTIFY	0x10004

/* Leaves of a TD that stand for an instruction */
#define MODEL_TD_RDMSR			31
#define MODEL_TD_WRMSR			32

/* VMCALL, VMMCALL */
#define MODEL_INSN_SIZE			3

#define MODEL_ANY_EXITS		(KVM_COCO_EXIT_MAP_GPA_RANGE | KVM_COCO_EXIT_MIGRATION_CONTROL)

#define MODEL_MAX_FIELDS		20

enum model_op {
	MODEL_HYPERCALL,
	MODEL_WRMSR,
	MODEL_RDMSR,
};

enum model_state {
	/* The guest waits for what it is to do next. */
	MODEL_READY,
	/* It has asked, and userspace has not answered yet. */
	MODEL_ASKS,
	/* It goes on as soon as it is entered. */
	MODEL_RUNS,
};

/* A part of struct kvm_run that KVM has written. */
struct model_field {
	size_t offset;
	size_t size;
	u64 value;
};

struct model {
	/* As userspace has created it. */
	u32 vm_type;
	/* of a TD's addresses, or 0 */
	u64 shared_bit;
	int maxphyaddr;
	bool has_hypercall_exits;
	bool has_msr;
	bool has_vcpu;
	u64 exits;

	u64 msr;
	enum model_state state;
	enum model_op op;
	/* In MODEL_RUNS: what it does first is ask (again). */
	bool asks_first;
	bool nmi_pending;
	u64 nr_nmis;

	/* As KVM_GET_REGS has them, but RSP. */
	struct kvm_regs regs;
	/* The same when it asked. */
	struct kvm_regs args;
	/* Userspace has moved RIP since. */
	bool is_moved;
	/* Operand and result of WRMSR or RDMSR */
	u64 value;
	u8 vector;

	/* What is left of the last range, and who asked. */
	u64 gfn, end;
	u64 attrs;
	bool is_tdvmcall;

	/* The exit; "ret" if userspace answers nothing. */
	u32 reason;
	u64 preset;
	int nr_fields;
	struct model_field fields[MODEL_MAX_FIELDS];
};

/* KVM_ENABLE_CAP; EINVAL is its only errno. */
bool model_enable_exits(struct model *m, u64 bitmap, u64 other_args, u64 flags);

/* KVM_SET_MSRS: the number of MSRs that were set.  KVM_GET_MSRS. */
int model_set_msr(struct model *m, u64 value);
u64 model_get_msr(const struct model *m);

/* What the guest does next, the first time that it is entered: *regs, or @value. */
void model_start(struct model *m, enum model_op op, const struct kvm_regs *regs, u64 value);

/*
 * KVM_RUN, not in MODEL_READY.  @ret and @done are userspace's answer in MODEL_ASKS,
 * @stop says that KVM must not enter the guest.  Returns the exit reason or a
 * negative errno; KVM_EXIT_IO is the guest that is ready.
 */
int model_run(struct model *m, u64 ret, u64 done, bool stop);

#endif /* SELFTEST_KVM_COCO_EXITS_MODEL_H */
