/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _X86_KERNEL_KVM_HYPERCALL_TEST_H
#define _X86_KERNEL_KVM_HYPERCALL_TEST_H

#include <linux/kvm_para.h>
#include <linux/objtool.h>
#include <linux/types.h>

#include <asm/alternative.h>

/* A call site whose first byte and the byte after its last can be looked at. */
#define KVM_HYPERCALL_AT(name)						\
	#name "_start:\n\t" ANNOTATE_NOENDBR KVM_HYPERCALL "\n"	\
	#name "_end:\n\t" ANNOTATE_NOENDBR

struct hypercall_site {
	const char *name;
	long (*call)(unsigned int nr);
	const u8 *start;
	const u8 *end;
};

/* Labels, each within one file only. */
extern const u8 builtin_hypercall_start[], builtin_hypercall_end[];
extern const u8 noinstr_hypercall_start[], noinstr_hypercall_end[];
extern const u8 module_hypercall_start[], module_hypercall_end[];

/* A number that no hypercall has. */
#define KVM_HC_NONE	0x7fffffff

struct early_hypercall {
	const char *what;
	long ret;
	long expected;
};

/* What was done in kvm_init_platform(), before alternatives were applied. */
struct early_hypercalls {
	bool made;
	bool alternatives_patched;
	u32 features;		/* kvm_arch_para_features() is not exported */
	unsigned int nr;
	struct early_hypercall calls[24];
};

#if IS_ENABLED(CONFIG_KVM_GUEST_HYPERCALL_KUNIT_TEST)
/* kvm_hypercall_early.c */
extern struct early_hypercalls early_hypercalls;
extern const struct hypercall_site builtin_hypercall_sites[2];
long noinstr_hypercalls(unsigned int nr);
void __init kvm_make_early_hypercalls(void);
#else
static inline void kvm_make_early_hypercalls(void) {}
#endif

#if IS_ENABLED(CONFIG_KUNIT)
/* kvm.c */
bool __init kvm_is_sev_guest(void);
long kvm_map_gpa_range(u64 gpa, unsigned long npages, bool enc);
#endif

#endif /* _X86_KERNEL_KVM_HYPERCALL_TEST_H */
