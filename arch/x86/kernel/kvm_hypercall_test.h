/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _X86_KERNEL_KVM_HYPERCALL_TEST_H
#define _X86_KERNEL_KVM_HYPERCALL_TEST_H

#include <linux/kvm_para.h>
#include <linux/types.h>

#include <asm/alternative.h>

/*
 * A function that consists of a hypercall without arguments, with the address
 * of its call site known: name_site and name_site_end.
 */
#define DEFINE_HYPERCALL_SITE(attrs, name)				\
attrs noinline __noclone long name(unsigned int nr)			\
{									\
	long ret;							\
									\
	asm volatile(".globl " #name "_site, " #name "_site_end\n"	\
		     #name "_site:\n\t"					\
		     KVM_HYPERCALL "\n"					\
		     #name "_site_end:\n\t"				\
		     : "=a"(ret), ASM_CALL_CONSTRAINT			\
		     : "a"(nr)						\
		     : "memory");					\
	return ret;							\
}

#define DECLARE_HYPERCALL_SITE(name)					\
long name(unsigned int nr);						\
extern u8 name##_site[], name##_site_end[]

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
DECLARE_HYPERCALL_SITE(builtin_hypercall);
DECLARE_HYPERCALL_SITE(builtin_noinstr_hypercall);
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
