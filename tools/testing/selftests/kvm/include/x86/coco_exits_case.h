/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cases for x86/coco_exits_fuzz: a VM and a list of steps that its guest and userspace
 * take, out of a seed or a line of text:
 *
 *	VM,HYPERCALL,MSR,MAXPHYADDR/STEP,ARGUMENT,.../STEP,...
 *
 * VM is the type (default, td), HYPERCALL says if KVM_CAP_EXIT_HYPERCALL is
 * enabled, MSR if the guest's CPUID has KVM_FEATURE_MIGRATION_CONTROL.  All numbers
 * are hexadecimal.
 */
#ifndef SELFTEST_KVM_COCO_EXITS_CASE_H
#define SELFTEST_KVM_COCO_EXITS_CASE_H

#include <linux/types.h>
#include <stdbool.h>

#define MAX_STEPS		1000
#define MAX_TEXT		65536
#define MAX_ARGS		4

enum step_type {
	/* The guest: RBX, RCX and RDX of KVM_HC_MAP_GPA_RANGE */
	STEP_MAP,
	/* R11, R12, R13, R10 of a TDVMCALL */
	STEP_TD,
	/* RAX of any hypercall */
	STEP_HC,
	/* The value that is written to MSR_KVM_MIGRATION_CONTROL */
	STEP_WR,
	STEP_RD,
	NR_GUEST_STEPS,

	/* KVM_RUN, with ret and done as the answer */
	STEP_ANS = NR_GUEST_STEPS,
	/* ... without writing an answer */
	STEP_RUN,
	/* ... with immediate_exit, a signal, in another thread */
	STEP_IMM,
	STEP_SIG,
	STEP_THR,
	/* ... while another thread writes the answer */
	STEP_RACE,
	/* Overwrite all of kvm_run but the answer; with what */
	STEP_SCR,
	/* KVM_GET_REGS, and KVM_SET_REGS with other values, unless 0 */
	STEP_REGS,
	/* Move RIP */
	STEP_MOVE,
	STEP_NMI,
	/* KVM_ENABLE_CAP: args[0], args[1], flags */
	STEP_CAP,
	/* KVM_GET_MSRS, KVM_SET_MSRS */
	STEP_MSR,
	/* Close the VM, but not the vCPU; begin with a new VM; go on with the other VM */
	STEP_CLOSE,
	STEP_NEW,
	STEP_SWAP,
	/* Anything goes: which of CHAOS_*, how often KVM_RUN */
	STEP_CHAOS,
	NR_STEPS,
};

struct fuzz_step_name {
	const char *name;
	int nr_args;
};

extern const struct fuzz_step_name fuzz_step_names[NR_STEPS];

#define CHAOS_SCRIBBLE		1
#define CHAOS_CLOSE_VM		2
#define CHAOS_CLOSE_VCPU	4

#define NR_FUZZ_VMS		2

extern const char * const fuzz_vm_names[NR_FUZZ_VMS];
extern const u32 fuzz_vm_types[NR_FUZZ_VMS];
/* The bit of an address that makes it shared, or 0 */
extern const u64 fuzz_shared_bits[NR_FUZZ_VMS];

struct step {
	enum step_type type;
	u64 args[MAX_ARGS];
};

struct fuzz_case {
	/* Index in fuzz_vm_names and fuzz_vm_types */
	u64 vm_type;
	u64 has_hypercall_exits;
	u64 has_msr;
	u64 maxphyaddr;
	int nr_steps;
	struct step steps[MAX_STEPS];
};

enum fuzzer {
	FUZZ_GUEST,
	FUZZ_USER,
	NR_FUZZERS,
};

extern const char * const fuzzer_names[NR_FUZZERS];

/* A number without any pattern, always the same for the same @value. */
u64 fuzz_mix(u64 value);

/* Make the case with the number @nr of those that have this seed. */
void fuzz_make_case(struct fuzz_case *c, u64 seed, enum fuzzer fuzzer, int vm_type, u64 nr);

/* @text has MAX_TEXT bytes. */
void fuzz_print_case(const struct fuzz_case *c, char *text);

/* False if it cannot be read.  @text is changed. */
bool fuzz_read_case(char *text, struct fuzz_case *c);

/* -1 if it is none of the names. */
int fuzz_find_name(const char *name, const char * const *names, int nr);

#endif /* SELFTEST_KVM_COCO_EXITS_CASE_H */
