/*
 * Exits of KVM for requests of confidential guests: KVM_CAP_COCO_EXITS
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "standard-headers/asm-x86/kvm_para.h"

#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "exec/address-spaces.h"
#include "hw/boards.h"
#include "migration/blocker.h"
#include "migration/vmstate.h"
#include "system/kvm_int.h"
#include "system/reset.h"
#include "coco.h"
#include "trace.h"

/* Those that a VM without TDX can have. */
#define COCO_EXITS  (KVM_COCO_EXIT_MAP_GPA_RANGE | \
                     KVM_COCO_EXIT_MIGRATION_CONTROL)

/* How much is converted while the guest waits for the BQL and for the rest. */
#define MAP_GPA_RANGE_AT_ONCE   (64 * MiB)

/* The guest decides how many there are.  Linux has some fifty. */
#define MAX_SHARED_RANGES       (64 * KiB)

/* Frames of guest memory, END is not in it. */
typedef struct CocoRange {
    uint64_t start, end;
} CocoRange;

typedef struct CocoState {
    uint64_t exits;
    /*
     * What a guest without guest_memfd shares: in order, and apart.  To change
     * it takes the BQL and the lock, to read it one of them.
     */
    QemuMutex lock;
    CocoRange *shared;
    int32_t nr_shared;
    /* The VM's MSR_KVM_MIGRATION_CONTROL; whichever CPU is asked has it. */
    CPUState *cpu;
    uint64_t migration_control, initial_migration_control;
    Error *blocker;
} CocoState;

static CocoState coco;

int kvm_coco_init(void)
{
    int exits = kvm_vm_check_extension(kvm_state, KVM_CAP_COCO_EXITS);

    qemu_mutex_init(&coco.lock);
    if (exits <= 0) {
        return 0;
    }
    coco.exits = exits & COCO_EXITS;
    return kvm_vm_enable_cap(kvm_state, KVM_CAP_COCO_EXITS, 0, coco.exits);
}

uint32_t kvm_coco_cpuid_features(void)
{
    uint32_t features = 0;

    if (coco.exits & KVM_COCO_EXIT_MAP_GPA_RANGE) {
        features |= CPUID_KVM_HC_MAP_GPA_RANGE;
    }
    if (coco.exits & KVM_COCO_EXIT_MIGRATION_CONTROL) {
        features |= CPUID_KVM_MIGRATION_CONTROL;
    }
    return features;
}

/* Replace all ranges that touch the one from START to END by what is left. */
static int coco_set_shared(uint64_t start, uint64_t end, bool shared)
{
    int first = 0, last, rest, nr = 0;
    CocoRange left[2];

    while (first < coco.nr_shared && coco.shared[first].end < start) {
        first++;
    }
    last = first;
    while (last < coco.nr_shared && coco.shared[last].start <= end) {
        last++;
    }
    if (shared) {
        left[nr++] = (CocoRange) {
            last > first ? MIN(start, coco.shared[first].start) : start,
            last > first ? MAX(end, coco.shared[last - 1].end) : end,
        };
    } else if (last > first) {
        left[nr] = (CocoRange) { coco.shared[first].start, start };
        nr += left[nr].start < left[nr].end;
        left[nr] = (CocoRange) { end, coco.shared[last - 1].end };
        nr += left[nr].start < left[nr].end;
    }

    QEMU_LOCK_GUARD(&coco.lock);
    rest = coco.nr_shared - last;
    if (first + nr + rest > MAX_SHARED_RANGES) {
        return -ENOSPC;
    }
    coco.shared = g_renew(CocoRange, coco.shared,
                          MAX(coco.nr_shared, first + nr + rest));
    memmove(coco.shared + first + nr, coco.shared + last,
            rest * sizeof(CocoRange));
    memcpy(coco.shared + first, left, nr * sizeof(CocoRange));
    coco.nr_shared = first + nr + rest;
    return 0;
}

bool kvm_coco_is_shared(hwaddr gpa)
{
    uint64_t frame = gpa / TARGET_PAGE_SIZE;
    int first = 0, end;

    QEMU_LOCK_GUARD(&coco.lock);
    end = coco.nr_shared;
    while (first < end) {
        int middle = first + (end - first) / 2;

        if (frame >= coco.shared[middle].end) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first < coco.nr_shared && frame >= coco.shared[first].start;
}

/*
 * Whether all of it is memory.  What has been sent of memory that changes
 * sides is of no use any more: then it becomes dirty.
 */
static bool coco_walk_memory(hwaddr gpa, hwaddr size, bool set_dirty)
{
    bool is_memory = true;

    while (is_memory && size) {
        MemoryRegionSection section =
            memory_region_find(get_system_memory(), gpa, size);
        hwaddr len = int128_get64(section.size);

        is_memory = section.mr && section.offset_within_address_space == gpa &&
            (memory_region_is_ram(section.mr) ||
             memory_region_is_romd(section.mr));
        if (is_memory && set_dirty) {
            memory_region_set_dirty(section.mr, section.offset_within_region,
                                    len);
        }
        memory_region_unref(section.mr);
        gpa += len;
        size -= len;
    }
    return is_memory;
}

static void coco_map_gpa_range(struct kvm_coco_map_gpa_range *map)
{
    bool private = map->flags & KVM_COCO_MAP_GPA_RANGE_PRIVATE;
    uint64_t size = MIN(map->size, MAP_GPA_RANGE_AT_ONCE);
    int ret;

    if (machine_require_guest_memfd(current_machine)) {
        ret = kvm_convert_memory(map->gpa, size, private);
    } else if (!coco_walk_memory(map->gpa, map->size, false)) {
        ret = -EINVAL;
    } else {
        ret = coco_set_shared(map->gpa / TARGET_PAGE_SIZE,
                              (map->gpa + size) / TARGET_PAGE_SIZE, !private);
        if (!ret) {
            coco_walk_memory(map->gpa, size, true);
        }
    }
    trace_kvm_coco_map_gpa_range(map->gpa, map->size, private, ret,
                                 coco.nr_shared);
    map->ret = ret ? EINVAL : 0;
    map->done = ret ? 0 : size;
}

static void coco_set_ready(uint64_t value)
{
    coco.migration_control = value;
    if (value & KVM_MIGRATION_READY) {
        migrate_del_blocker(&coco.blocker);
    } else if (!coco.blocker) {
        error_setg(&coco.blocker, "The guest does not allow its migration");
        /* During a migration there can be no blocker: coco_pre_save() fails. */
        migrate_add_blocker(&coco.blocker, NULL);
    }
}

static void coco_migration_control(struct kvm_coco_migration_control *control)
{
    trace_kvm_coco_migration_control(control->value);
    coco_set_ready(control->value);
    control->ret = 0;
}

void kvm_coco_handle_exit(struct kvm_run *run)
{
    BQL_LOCK_GUARD();

    if (run->exit_reason == KVM_EXIT_COCO_MAP_GPA_RANGE) {
        coco_map_gpa_range(&run->coco_map_gpa_range);
    } else {
        coco_migration_control(&run->coco_migration_control);
    }
}

static int coco_msr(unsigned long op, uint64_t *value)
{
    struct {
        struct kvm_msrs info;
        struct kvm_msr_entry entry;
    } msrs = {
        .info.nmsrs = 1,
        .entry = { .index = MSR_KVM_MIGRATION_CONTROL, .data = *value },
    };
    int ret = kvm_vcpu_ioctl(coco.cpu, op, &msrs);

    *value = msrs.entry.data;
    return ret == 1 ? 0 : ret < 0 ? ret : -EINVAL;
}

static void coco_reset(void *opaque)
{
    uint64_t value = coco.initial_migration_control;

    WITH_QEMU_LOCK_GUARD(&coco.lock) {
        coco.nr_shared = 0;
    }
    coco_set_ready(value);
    if (coco_msr(KVM_SET_MSRS, &value)) {
        warn_report("KVM: cannot reset MSR_KVM_MIGRATION_CONTROL");
    }
}

static int coco_pre_save(void *opaque)
{
    if (coco.migration_control & KVM_MIGRATION_READY) {
        return 0;
    }
    error_report("The guest does not allow its migration any more");
    return -EPERM;
}

static int coco_pre_load(void *opaque)
{
    g_clear_pointer(&coco.shared, g_free);
    return 0;
}

static int coco_post_load(void *opaque, int version_id)
{
    int i;

    for (i = 0; i < coco.nr_shared; i++) {
        if (coco.shared[i].start >= coco.shared[i].end ||
            (i && coco.shared[i].start <= coco.shared[i - 1].end)) {
            error_report("Shared ranges of the guest are out of order");
            return -EINVAL;
        }
    }
    coco_set_ready(coco.migration_control);
    return coco_msr(KVM_SET_MSRS, &coco.migration_control);
}

static bool coco_nr_is_valid(void *opaque, int version_id)
{
    return coco.nr_shared >= 0 && coco.nr_shared <= MAX_SHARED_RANGES;
}

static const VMStateDescription vmstate_coco_range = {
    .name = "kvm-coco/range",
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(start, CocoRange),
        VMSTATE_UINT64(end, CocoRange),
        VMSTATE_END_OF_LIST()
    }
};

static const VMStateDescription vmstate_coco = {
    .name = "kvm-coco",
    .pre_save = coco_pre_save,
    .pre_load = coco_pre_load,
    .post_load = coco_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(migration_control, CocoState),
        VMSTATE_INT32(nr_shared, CocoState),
        VMSTATE_VALIDATE("number of shared ranges", coco_nr_is_valid),
        VMSTATE_STRUCT_VARRAY_ALLOC(shared, CocoState, nr_shared, 0,
                                    vmstate_coco_range, CocoRange),
        VMSTATE_END_OF_LIST()
    }
};

/* For the first CPU that offers migration control to the guest. */
int kvm_coco_init_vcpu(X86CPU *cpu, Error **errp)
{
    int ret;

    if (coco.cpu ||
        !(cpu->env.features[FEAT_KVM] & CPUID_KVM_MIGRATION_CONTROL)) {
        return 0;
    }
    coco.cpu = CPU(cpu);
    ret = coco_msr(KVM_GET_MSRS, &coco.initial_migration_control);
    if (ret) {
        error_setg_errno(errp, -ret, "cannot read MSR_KVM_MIGRATION_CONTROL");
        return ret;
    }
    coco_set_ready(coco.initial_migration_control);
    qemu_register_reset(coco_reset, NULL);
    vmstate_register(NULL, 0, &vmstate_coco, &coco);
    return 0;
}
