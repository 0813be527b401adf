/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Reverse Map Table (RMP) of AMD's processors, for TCG
 *
 * Secure Nested Paging keeps, for each page of memory, whom it is assigned to
 * and at which address of the guest, so that a hypervisor can neither write to
 * a guest's page nor map another one in its place.
 *
 * On hardware the table is in memory that the firmware has reserved, and only
 * the processor can write to it.  Here it is beside that memory.  A page of RAM
 * is ciphertext while someone sees it with a key (see amd-mem-enc.h), and the
 * table must never be.  That memory is protected all the same; what is in it is
 * not defined by the architecture, and always 0 here.
 *
 * An entry changes while all CPUs are stopped, and their TLBs are flushed
 * before they go on.  There are two exceptions, each one atomic operation: the
 * bit that says that an entry is in use, and what allows more than before.
 *
 * Source: APM volume 2, 15.36.3 to 15.36.11.
 */
#ifndef HW_I386_AMD_RMP_H
#define HW_I386_AMD_RMP_H

#include "exec/hwaddr.h"
#include "hw/i386/x86.h"

#define AMD_RMP_PAGE        4096ULL
#define AMD_RMP_2M_SHIFT    21
#define AMD_RMP_2M_PAGE     (1ULL << AMD_RMP_2M_SHIFT)
#define AMD_RMP_BOOKKEEPING 0x4000
#define AMD_RMP_ENTRY_SIZE  16

/* What is below bit 12 of an entry's state; above is the guest's address. */
#define RMP_ASSIGNED        (1ULL << 0)
#define RMP_2M              (1ULL << 1)
#define RMP_IMMUTABLE       (1ULL << 2)
#define RMP_VALIDATED       (1ULL << 3)
#define RMP_VMSA            (1ULL << 4)
/* VMRUN has it. */
#define RMP_IN_USE          (1ULL << 5)
/* It belongs to the IOMMU, which the firmware has given it to. */
#define RMP_IOMMU           (1ULL << 6)
#define RMP_GPA             0x000ffffffffff000ULL
#define RMP_ASID_SHIFT      52

/* A byte of permissions for each VMPL */
#define RMP_PERM_READ       (1 << 0)
#define RMP_PERM_WRITE      (1 << 1)
#define RMP_PERM_EXEC_USER  (1 << 2)
#define RMP_PERM_EXEC_SUPER (1 << 3)
#define RMP_PERM_ALL        0x0f

typedef struct AmdRmpEntry {
    uint64_t state;
    uint32_t perms;
} AmdRmpEntry;

static inline unsigned rmp_asid(uint64_t state)
{
    return state >> RMP_ASID_SHIFT;
}

/*
 * Reserve memory for a table that covers all RAM: call before any RAM is in the
 * e820 table.  What is left of low memory is added to it here.
 */
void amd_rmp_init(X86MachineState *x86ms);
bool amd_rmp_present(void);

/* What the firmware has set RMP_BASE and RMP_END to. */
hwaddr amd_rmp_reserved_base(void);
hwaddr amd_rmp_reserved_end(void);

/*
 * The entry of the page at @pa in the table from @base to @end; NULL: it has
 * none, so that it is the hypervisor's for ever.
 */
AmdRmpEntry *amd_rmp_entry(hwaddr base, hwaddr end, hwaddr pa);

/* Whether it is part of a page of 2 MiB: then the first entry decides. */
AmdRmpEntry *amd_rmp_2m_entry(hwaddr base, hwaddr end, hwaddr pa);

/* Whether the page is the hypervisor's; @large: and the 2 MiB around it. */
bool amd_rmp_hypervisor_owned(hwaddr base, hwaddr end, hwaddr pa, bool large);

/*
 * Write an entry, and if it is of 2 MiB or was, the 511 after it.  Call with
 * all CPUs stopped.
 */
void amd_rmp_set(AmdRmpEntry *entry, uint64_t state, uint32_t perms);

/* A 2 MiB page becomes 512 pages, and the reverse. */
void amd_rmp_smash(AmdRmpEntry *entry);
void amd_rmp_unsmash(AmdRmpEntry *entry);

/* Whether any page of these 2 MiB is assigned, of whatever size. */
bool amd_rmp_any_assigned(const AmdRmpEntry *entry);

/* Whether pages are assigned to ASID. */
bool amd_rmp_asid_has_pages(unsigned asid);

/* Nothing is assigned any more. */
void amd_rmp_clear(void);

/*
 * The IOMMU that knows the RMP, if there is one.  @pages calls @add for each
 * range of pages that it writes to by itself; false: it is not enabled.
 */
typedef bool AmdRmpIommuPages(void *iommu,
                              void (*add)(void *opaque, hwaddr pa, hwaddr len),
                              void *opaque);

void amd_rmp_set_iommu(AmdRmpIommuPages *pages, void *iommu);
bool amd_rmp_iommu_pages(void (*add)(void *opaque, hwaddr pa, hwaddr len),
                         void *opaque);

/* From now on, it looks at the table from @base to @end; 0, 0: at none. */
void amd_rmp_enforce_iommu(hwaddr base, hwaddr end);

/* Whether a device may write to the page, and whether the IOMMU itself may */
bool amd_rmp_device_may_write(hwaddr pa);
bool amd_rmp_iommu_may_write(hwaddr pa);
bool amd_rmp_iommu_enforced(void);

/* Mark an entry that is not marked yet, and the reverse. */
bool amd_rmp_take(AmdRmpEntry *entry);
void amd_rmp_drop(AmdRmpEntry *entry);

#endif
