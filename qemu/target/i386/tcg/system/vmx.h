/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX, as far as TDX and KVM need it (SDM volume 3, appendices A to C)
 */
#ifndef I386_TCG_VMX_H
#define I386_TCG_VMX_H

#define VMX_CR0_FIXED0  ((uint64_t)CR0_PE_MASK | CR0_NE_MASK | CR0_PG_MASK)

#define VMX_BASIC_MEM_TYPE_WB           (6ULL << 50)
/* SEAMCALL leaves the current VMCS what it was. */
#define VMX_BASIC_NO_SEAMRET_INVD_VMCS  (1ULL << 60)

#define MSR_EFER_VMX_RESERVED   (~(uint64_t)(MSR_EFER_SCE | MSR_EFER_LME | \
                                             MSR_EFER_LMA | MSR_EFER_NXE))

#define VMX_EXIT_REASON_FAILED_ENTRY            (1u << 31)
#define VMX_EXIT_REASON_INVALID_GUEST_STATE     33

/* The kind of a field: bits 14:13 and 11:10 of its encoding; bit 12 is 0. */
enum { VMCS_16BIT, VMCS_64BIT, VMCS_32BIT, VMCS_NATURAL };
enum { VMCS_CONTROL, VMCS_READ_ONLY, VMCS_GUEST, VMCS_HOST };

#define VMCS_KIND(width, type)  ((width) << 3 | (type))
#define VMCS_KIND_WIDTH(kind)   ((kind) >> 3)
#define VMCS_KIND_TYPE(kind)    ((kind) & 3)
#define VMCS_NR_KINDS           32

enum {
    VMCS_HOST_ES = 0x0c00,
    VMCS_HOST_CS = 0x0c02,
    VMCS_HOST_SS = 0x0c04,
    VMCS_HOST_DS = 0x0c06,
    VMCS_HOST_FS = 0x0c08,
    VMCS_HOST_GS = 0x0c0a,
    VMCS_HOST_TR = 0x0c0c,
    VMCS_HOST_PAT = 0x2c00,
    VMCS_HOST_EFER = 0x2c02,
    VMCS_PIN_BASED_CTLS = 0x4000,
    VMCS_PROC_BASED_CTLS = 0x4002,
    VMCS_EXIT_CTLS = 0x400c,
    VMCS_EXIT_MSR_LOAD_COUNT = 0x4010,
    VMCS_ENTRY_CTLS = 0x4012,
    VMCS_SECONDARY_CTLS = 0x401e,
    VMCS_INSTRUCTION_ERROR = 0x4400,
    VMCS_EXIT_REASON = 0x4402,
    VMCS_HOST_SYSENTER_CS = 0x4c00,
    VMCS_EXIT_QUALIFICATION = 0x6400,
    VMCS_HOST_CR0 = 0x6c00,
    VMCS_HOST_CR3 = 0x6c02,
    VMCS_HOST_CR4 = 0x6c04,
    VMCS_HOST_FS_BASE = 0x6c06,
    VMCS_HOST_GS_BASE = 0x6c08,
    VMCS_HOST_TR_BASE = 0x6c0a,
    VMCS_HOST_GDTR_BASE = 0x6c0c,
    VMCS_HOST_IDTR_BASE = 0x6c0e,
    VMCS_HOST_SYSENTER_ESP = 0x6c10,
    VMCS_HOST_SYSENTER_EIP = 0x6c12,
    VMCS_HOST_RSP = 0x6c14,
    VMCS_HOST_RIP = 0x6c16,
};

#endif
