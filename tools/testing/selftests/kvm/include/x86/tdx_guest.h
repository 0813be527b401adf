/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lib/x86/tdx.c and the guest in lib/x86/tdx_guest.S have to agree about.
 * Plain numbers, because the assembler sees them as well.
 */
#ifndef SELFTEST_KVM_TDX_GUEST_H
#define SELFTEST_KVM_TDX_GUEST_H

/* Initial private memory, the last of which ends with the reset vector. */
#define TD_PML4_GPA		0xffffc000
#define TD_PDPT_GPA		0xffffd000
#define TD_PD_GPA		0xffffe000
#define TD_CODE_GPA		0xfffff000
#define TD_IMAGE_GPA		TD_PML4_GPA
#define TD_IMAGE_PAGES		4

/* Shared memory.  Private and shared memory have 2MiB of virtual addresses each. */
#define TD_SHARED_GPA		0xffc00000
#define TD_PRIVATE_GPA		0xffe00000

/* struct td_call */
#define TD_CALL_RIP		128
#define TD_CALL_RFLAGS		136
#define TD_CALL_OUT		144

/* struct td_area */
#define TD_AREA_IDT		0x1000
#define TD_AREA_EVENTS		0x2000
#define TD_AREA_VECTOR		0x2008
#define TD_AREA_ERROR		0x2010
#define TD_AREA_RIP		0x2018
#define TD_AREA_GDTR		0x2020
#define TD_AREA_IDTR		0x2030
#define TD_AREA_SIZE		0x3000

#define TD_CS			0x08
#define TD_TSS			0x10

#define TD_NR_VECTORS		128
#define TD_STUB_SIZE		16

/* Where the guest says that it wants another list, or that it has had an exception. */
#define TD_PORT_READY		0xf4
#define TD_PORT_EXCEPTION	0xf5

#endif /* SELFTEST_KVM_TDX_GUEST_H */
