/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Reverse Map Table (RMP) of AMD's processors, for TCG
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "e820_memory_layout.h"
#include "hw/boards.h"
#include "hw/i386/amd-rmp.h"
#include "system/reset.h"

#define ENTRIES_2M  (AMD_RMP_2M_PAGE / AMD_RMP_PAGE)

static struct {
    hwaddr reserved_base, reserved_end;
    size_t nr_entries;      /* a multiple of ENTRIES_2M */
    AmdRmpEntry *entries;
    /* For each 2 MiB, how many of its pages are assigned */
    uint16_t *nr_assigned;
    /* For each ASID, how many pages are assigned to it */
    uint32_t nr_pages[1 << (64 - RMP_ASID_SHIFT)];
    /* What the IOMMU is, and the table that it looks at */
    AmdRmpIommuPages *iommu_pages;
    void *iommu;
    hwaddr iommu_base, iommu_end;
} rmp;

bool amd_rmp_present(void)
{
    return rmp.entries;
}

hwaddr amd_rmp_reserved_base(void)
{
    return rmp.reserved_base;
}

hwaddr amd_rmp_reserved_end(void)
{
    return rmp.reserved_end;
}

AmdRmpEntry *amd_rmp_entry(hwaddr base, hwaddr end, hwaddr pa)
{
    uint64_t index = pa / AMD_RMP_PAGE;

    if (index >= rmp.nr_entries || end < base ||
        end - base < AMD_RMP_BOOKKEEPING ||
        index >= (end + 1 - base - AMD_RMP_BOOKKEEPING) / AMD_RMP_ENTRY_SIZE) {
        return NULL;
    }
    return &rmp.entries[index];
}

AmdRmpEntry *amd_rmp_2m_entry(hwaddr base, hwaddr end, hwaddr pa)
{
    AmdRmpEntry *entry = amd_rmp_entry(base, end, pa & -AMD_RMP_2M_PAGE);

    return entry && (qatomic_read(&entry->state) & RMP_2M) ? entry : NULL;
}

static uint16_t *region(const AmdRmpEntry *entry)
{
    return &rmp.nr_assigned[(entry - rmp.entries) / ENTRIES_2M];
}

bool amd_rmp_any_assigned(const AmdRmpEntry *entry)
{
    return qatomic_read(region(entry));
}

bool amd_rmp_hypervisor_owned(hwaddr base, hwaddr end, hwaddr pa, bool large)
{
    AmdRmpEntry *entry = amd_rmp_entry(base, end, pa);

    if (large) {
        entry = amd_rmp_entry(base, end, pa & -AMD_RMP_2M_PAGE);
        return !entry || !amd_rmp_any_assigned(entry);
    }
    return !entry || !(qatomic_read(&entry->state) & RMP_ASSIGNED);
}

static void write_entry(AmdRmpEntry *entry, uint64_t state, uint32_t perms)
{
    uint64_t old = entry->state;
    int assigned = !!(state & RMP_ASSIGNED) - !!(old & RMP_ASSIGNED);

    *region(entry) += assigned;
    if (old & RMP_ASSIGNED) {
        rmp.nr_pages[rmp_asid(old)]--;
    }
    if (state & RMP_ASSIGNED) {
        rmp.nr_pages[rmp_asid(state)]++;
    }
    entry->state = state;
    entry->perms = perms;
}

/*
 * All pages of 2 MiB are assigned, to nobody but the first, whose entry is the
 * one that counts.
 */
void amd_rmp_set(AmdRmpEntry *entry, uint64_t state, uint32_t perms)
{
    if ((entry->state | state) & RMP_2M) {
        for (int i = 1; i < ENTRIES_2M; i++) {
            write_entry(&entry[i], state & RMP_ASSIGNED, 0);
        }
    }
    write_entry(entry, state, perms);
}

void amd_rmp_smash(AmdRmpEntry *entry)
{
    uint64_t state = entry->state & ~RMP_2M;

    for (int i = 0; i < ENTRIES_2M; i++) {
        write_entry(&entry[i], state + i * AMD_RMP_PAGE, entry->perms);
    }
}

void amd_rmp_unsmash(AmdRmpEntry *entry)
{
    amd_rmp_set(entry, entry->state | RMP_2M, entry->perms);
}

bool amd_rmp_asid_has_pages(unsigned asid)
{
    return rmp.nr_pages[asid];
}

void amd_rmp_clear(void)
{
    memset(rmp.entries, 0, rmp.nr_entries * sizeof(*rmp.entries));
    memset(rmp.nr_assigned, 0,
           rmp.nr_entries / ENTRIES_2M * sizeof(*rmp.nr_assigned));
    memset(rmp.nr_pages, 0, sizeof(rmp.nr_pages));
}

bool amd_rmp_take(AmdRmpEntry *entry)
{
    return !(qatomic_fetch_or(&entry->state, RMP_IN_USE) & RMP_IN_USE);
}

void amd_rmp_drop(AmdRmpEntry *entry)
{
    qatomic_and(&entry->state, ~RMP_IN_USE);
}

void amd_rmp_set_iommu(AmdRmpIommuPages *pages, void *iommu)
{
    rmp.iommu_pages = pages;
    rmp.iommu = iommu;
}

bool amd_rmp_iommu_pages(void (*add)(void *opaque, hwaddr pa, hwaddr len),
                         void *opaque)
{
    return rmp.iommu_pages && rmp.iommu_pages(rmp.iommu, add, opaque);
}

void amd_rmp_enforce_iommu(hwaddr base, hwaddr end)
{
    rmp.iommu_base = base;
    qatomic_set(&rmp.iommu_end, end);
}

bool amd_rmp_iommu_enforced(void)
{
    return qatomic_read(&rmp.iommu_end);
}

bool amd_rmp_device_may_write(hwaddr pa)
{
    return !amd_rmp_iommu_enforced() ||
           amd_rmp_hypervisor_owned(rmp.iommu_base, rmp.iommu_end, pa, false);
}

bool amd_rmp_iommu_may_write(hwaddr pa)
{
    AmdRmpEntry *entry = amd_rmp_entry(rmp.iommu_base, rmp.iommu_end, pa);

    return !amd_rmp_iommu_enforced() || !entry ||
           (qatomic_read(&entry->state) & RMP_IOMMU);
}

static void amd_rmp_reset(void *opaque)
{
    amd_rmp_clear();
    amd_rmp_enforce_iommu(0, 0);
}

/*
 * In the middle of low memory: a kernel is loaded to its start, an initrd to
 * its end.  All of it is as the firmware of the security processor wants it,
 * and whole pages of 2 MiB besides, so that nobody has to split one.
 */
void amd_rmp_init(X86MachineState *x86ms)
{
    hwaddr low = x86ms->below_4g_mem_size;
    hwaddr top = x86ms->above_4g_mem_size ?
                 x86ms->above_4g_mem_start + x86ms->above_4g_mem_size : low;
    hwaddr size, base;

    rmp.nr_entries = ROUND_UP(top, AMD_RMP_2M_PAGE) / AMD_RMP_PAGE;
    size = ROUND_UP(AMD_RMP_BOOKKEEPING + rmp.nr_entries * AMD_RMP_ENTRY_SIZE,
                    AMD_RMP_2M_PAGE);
    base = ROUND_DOWN(low / 2, AMD_RMP_2M_PAGE);
    if (size > low / 8 || base < 128 * MiB) {
        error_report("sev-snp needs more memory below 4 GiB: for its table "
                     "alone %" PRIu64 " MiB", size / MiB);
        exit(EXIT_FAILURE);
    }
    rmp.reserved_base = base;
    rmp.reserved_end = base + size - 1;
    rmp.entries = g_new0(AmdRmpEntry, rmp.nr_entries);
    rmp.nr_assigned = g_new0(uint16_t, rmp.nr_entries / ENTRIES_2M);

    e820_add_entry(0, base, E820_RAM);
    e820_add_entry(base, size, E820_RESERVED);
    e820_add_entry(base + size, low - base - size, E820_RAM);
    qemu_register_reset(amd_rmp_reset, NULL);
}
