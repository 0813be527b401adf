/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX, for TCG: metadata fields
 *
 * A field has a class and a code; several fields of the same kind have codes in
 * a row.  Who may read a field, and which of its bits who may write, is in a
 * table.
 *
 * Source: ABI specification, "Metadata (Non-Memory State) Definitions".
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "tdx-internal.h"

/* A field identifier: what must be 0 for a single element */
#define ID_CLASS(id)        (((id) >> 56) & 0x3f)
#define ID_CODE(id)         ((id) & 0xffffff)
#define ID_RESERVED         0x4083fffcff000000ULL

#define CLASS_SYS_CPUID     0x19
#define CLASS_TD_CPUID      0x14
#define CLASS_VP_STATE      0x11
#define VCPU_STATE_DETAILS  0x100
#define INTR_PENDING        (1 << 0)

#define MODULE_MAJOR        1
#define MODULE_MINOR        5
#define MODULE_UPDATE       16
#define VENDOR_INTEL        0x8086

#define FEATURE_PENDING_EPT_VIOLATION_V2 (1ULL << 16)
#define FEATURE_NO_RBP_MOD  (1ULL << 18)
#define FEATURE_TOPOLOGY_ENUM (1ULL << 20)

#define ATTRIBUTES_FIXED0   (TDX_ATTR_DEBUG | TDX_ATTR_SEPT_VE_DISABLE)

typedef enum Who {
    HOST = 1,
    DEBUG = 2,                  /* the host, of a TD with ATTRIBUTES.DEBUG */
    GUEST = 4,
} Who;

typedef struct Field {
    uint8_t class;
    uint32_t code;
    uint16_t nr;
    uint16_t size;              /* in the struct, in bytes */
    uint32_t offset;
    uint8_t readers;
    bool is_bytes;              /* of a hash, in the order of memory */
    uint64_t host_wr, debug_wr, guest_wr;
} Field;

#define SIZE_OF(type, member)   sizeof(((type *)0)->member)
#define FIELDS(type, class, code, nr, member, ...) \
    { class, code, nr, SIZE_OF(type, member), offsetof(type, member), \
      __VA_ARGS__ }
#define TD(class, code, member, ...) \
    FIELDS(TdxTd, class, code, 1, member, __VA_ARGS__)
#define TD_ARRAY(class, code, nr, member, ...) \
    FIELDS(TdxTd, class, code, nr, member[0], __VA_ARGS__)
#define TD_HASH(code, nr, member, readers) \
    { 0x13, code, 6 * (nr), 8, offsetof(TdxTd, member), readers, true }
#define VP(class, code, member, ...) \
    FIELDS(TdxVp, class, code, 1, member, __VA_ARGS__)
#define VP_ARRAY(class, code, nr, member, ...) \
    FIELDS(TdxVp, class, code, nr, member[0], __VA_ARGS__)

static const Field td_fields[] = {
    /* TDR */
    TD(0x00, 0x01, fatal, HOST),
    TD(0x00, 0x02, nr_tdcx, HOST),
    TD(0x00, 0x04, chldcnt, HOST),
    TD(0x00, 0x05, lifecycle, HOST),
    TD_ARRAY(0x00, 0x10, TDX_TDCS_PAGES, tdcx_pa, HOST),
    TD_ARRAY(0x00, 0x20, 4, uuid, HOST | GUEST),
    TD(0x01, 0x01, hkid, HOST),
    TD(0x01, 0x02, pkg_config_bitmap, HOST),
    /* TDCS */
    TD(0x10, 0x01, num_vcpus, HOST | GUEST),
    TD(0x10, 0x02, num_assoc_vcpus, HOST),
    TD(0x10, 0x04, op_state, HOST),
    TD(0x11, 0x00, attributes, HOST | GUEST),
    TD(0x11, 0x01, xfam, HOST | GUEST),
    TD(0x11, 0x02, max_vcpus, HOST | GUEST),
    TD(0x11, 0x03, gpaw, HOST | GUEST),
    TD(0x11, 0x04, eptp, HOST),
    TD(0x11, 0x0a, tsc_offset, HOST),
    TD(0x11, 0x0b, tsc_multiplier, HOST),
    TD(0x11, 0x0c, tsc_frequency, HOST | GUEST),
    TD(0x11, 0x0e, nr_cpuid, HOST),
    TD(0x11, 0x10, notify_enables, DEBUG | GUEST, false, 0, 1, 1),
    TD(0x11, 0x16, config_flags, HOST | GUEST),
    TD(0x11, 0x17, td_ctls, DEBUG | GUEST, false, 0, 0, TDX_CTLS_WRITABLE),
    TD(0x11, 0x19, topology_enum_configured, HOST | GUEST),
    TD(0x12, 0x00, td_epoch, HOST),
    TD_ARRAY(0x12, 0x01, 2, refcount, HOST),
    TD_HASH(0x00, 1, mrtd, HOST | GUEST),
    TD_HASH(0x10, 1, mrconfigid, HOST | GUEST),
    TD_HASH(0x18, 1, mrowner, HOST | GUEST),
    TD_HASH(0x20, 1, mrownerconfig, HOST | GUEST),
    TD_HASH(0x40, TDX_NR_RTMRS, rtmr, DEBUG | GUEST),
};

/* Class 0 is the VMCS: the code is the encoding of the field. */
static const Field vp_fields[] = {
    VP(0x00, 0x0002, vcpu.pi_vector, HOST, false, 0xffff, 0xffff),
    VP(0x00, 0x2016, vcpu.pi_desc, HOST, false, -1ULL, -1ULL),
    VP(0x00, 0x203c, vcpu.shared_eptp, HOST, false, -1ULL, -1ULL),
    VP(0x00, 0x4000, vcpu.pin_ctls, HOST, false, 0x80, 0x80),
    VP(0x00, 0x401e, secondary_ctls, HOST, false, 0xc0000000, 0xc0000000),
    VP(0x00, 0x4024, notify_window, HOST, false, 0xffffffff, 0xffffffff),
    VP_ARRAY(0x10, 0x00, 4, vcpu.state.regs, DEBUG, false, 0, -1ULL),
    FIELDS(TdxVp, 0x10, 0x05, 11, vcpu.state.regs[R_EBP], DEBUG, false, 0,
           -1ULL),
    VP(0x20, 0x00, state, DEBUG),
    VP(0x20, 0x02, index, HOST | GUEST),
    VP(0x20, 0x03, nr_pages, HOST),
    VP(0x20, 0x04, assoc_lp, HOST),
    VP(0x20, 0x06, epoch, HOST),
    VP(0x20, 0x07, cpuid_supervisor_ve, HOST | GUEST, false, 0, 0, 1),
    VP(0x20, 0x08, cpuid_user_ve, HOST | GUEST, false, 0, 0, 1),
    VP(0x20, 0x0a, last_exit_tsc, DEBUG),
    VP(0x20, 0x0b, vcpu.pend_nmi, HOST, false, 1, 1),
    VP(0x20, 0x0c, vcpu.xfam, HOST),
    VP_ARRAY(0x20, 0x10, TDX_TDVPS_PAGES, page_pa, HOST),
};

/* Access to the struct */

static const Field *find(const Field *fields, size_t nr, uint64_t id)
{
    for (size_t i = 0; i < nr; i++) {
        const Field *field = &fields[i];

        if (field->class == ID_CLASS(id) && ID_CODE(id) >= field->code &&
            ID_CODE(id) - field->code < field->nr) {
            return field;
        }
    }
    return NULL;
}

static void *element(const Field *field, void *object, uint64_t id)
{
    return (uint8_t *)object + field->offset +
           (ID_CODE(id) - field->code) * field->size;
}

static uint64_t get(const Field *field, void *object, uint64_t id)
{
    void *p = element(field, object, id);

    if (field->is_bytes) {
        return ldq_le_p(p);
    }
    switch (field->size) {
    case 1:
        return *(uint8_t *)p;
    case 2:
        return *(uint16_t *)p;
    case 4:
        return qatomic_read((uint32_t *)p);
    default:
        return qatomic_read((uint64_t *)p);
    }
}

static void set(const Field *field, void *object, uint64_t id, uint64_t val)
{
    void *p = element(field, object, id);

    switch (field->size) {
    case 1:
        *(uint8_t *)p = val;
        break;
    case 2:
        *(uint16_t *)p = val;
        break;
    case 4:
        qatomic_set((uint32_t *)p, val);
        break;
    default:
        qatomic_set((uint64_t *)p, val);
        break;
    }
}

/* The host may do more with a TD that can be debugged. */
static bool readable(const Field *field, const TdxTd *td, Who who)
{
    return field->readers & who ||
           (who == HOST && field->readers & DEBUG &&
            td->attributes & TDX_ATTR_DEBUG);
}

static uint64_t writable(const Field *field, const TdxTd *td, Who who)
{
    return who == GUEST ? field->guest_wr :
           td->attributes & TDX_ATTR_DEBUG ? field->debug_wr : field->host_wr;
}

static uint64_t read_field(const Field *field, TdxTd *td, void *object,
                           uint64_t id, Who who, uint64_t *val)
{
    if (!field) {
        return TDX_METADATA_FIELD_ID_INCORRECT;
    }
    if (!readable(field, td, who)) {
        return TDX_METADATA_FIELD_NOT_READABLE;
    }
    *val = get(field, object, id);
    return TDX_SUCCESS;
}

/*
 * Write the bits of @mask.  Those of them that cannot be written must be as
 * they are.  @val becomes what is to be written, @old what has been there.
 */
static uint64_t prepare_write(const Field *field, TdxTd *td, void *object,
                              uint64_t id, Who who, uint64_t mask,
                              uint64_t *val, uint64_t *old)
{
    uint64_t allowed;

    if (!field) {
        return TDX_METADATA_FIELD_ID_INCORRECT;
    }
    allowed = writable(field, td, who);
    if (!(allowed & mask)) {
        return TDX_METADATA_FIELD_NOT_WRITABLE;
    }
    *old = get(field, object, id);
    if ((*old ^ *val) & mask & ~allowed) {
        return TDX_METADATA_FIELD_VALUE_NOT_VALID;
    }
    *val = (*old & ~(mask & allowed)) | (*val & mask & allowed);
    return TDX_SUCCESS;
}

/* The module: class and code as above */

static bool sys_cpuid_config(uint32_t code, uint64_t *val)
{
    uint32_t leaf, subleaf, regs[4], i = (code - 0x500) / 2;

    if (code >= 0x400 && code < 0x500) {
        i = code - 0x400;
    }
    if (code < 0x400 || i >= tdx_nr_cpuid_configs()) {
        return false;
    }
    tdx_cpuid_config(i, &leaf, &subleaf, regs);
    if (code < 0x500) {
        *val = leaf | (uint64_t)subleaf << 32;
    } else if (code & 1) {
        *val = regs[2] | (uint64_t)regs[3] << 32;
    } else {
        *val = regs[0] | (uint64_t)regs[1] << 32;
    }
    return true;
}

/* What a TD may read as well */
static bool sys_public(uint32_t id, uint64_t *val)
{
    switch (id) {
    case 0x08000000:
        *val = VENDOR_INTEL;
        return true;
    case 0x08000003:
        *val = MODULE_MINOR;
        return true;
    case 0x08000004:
        *val = MODULE_MAJOR;
        return true;
    case 0x0a000000:            /* SYS_ATTRIBUTES */
        *val = 0;
        return true;
    case 0x0a000001:            /* NUM_TDX_FEATURES */
        *val = 1;
        return true;
    case 0x0a000008:            /* TDX_FEATURES0 */
        *val = FEATURE_PENDING_EPT_VIOLATION_V2 | FEATURE_NO_RBP_MOD |
               FEATURE_TOPOLOGY_ENUM;
        return true;
    default:
        return false;
    }
}

static bool sys_limits(TdxCall *call, uint32_t id, uint64_t *val)
{
    switch (id) {
    case 0x00000000:            /* NUM_PKGS */
        *val = tdx_nr_pkgs();
        return true;
    case 0x08000001:            /* BUILD_DATE, BUILD_NUM, INTERNAL_VERSION */
    case 0x08000002:
    case 0x08000006:
        *val = 0;
        return true;
    case 0x08000005:
        *val = MODULE_UPDATE;
        return true;
    case 0x09000000:            /* MODULE_HV: there is no update, nor handoff */
        *val = 1;
        return true;
    case 0x10000000:            /* NUM_CMRS */
        *val = tdx_module.nr_cmrs;
        return true;
    case 0x11000008:
        *val = TDX_MAX_TDMRS;
        return true;
    case 0x11000009:
        *val = TDX_MAX_RESERVED;
        return true;
    case 0x11000010:            /* of the PAMT: 4K, 2M, 1G */
    case 0x11000011:
    case 0x11000012:
        *val = TDX_PAMT_ENTRY_SIZE;
        return true;
    case 0x18000000:            /* TDR_BASE_SIZE */
        *val = TDX_PAGE;
        return true;
    case 0x18000100:            /* TDCS_BASE_SIZE */
        *val = TDX_TDCS_PAGES * TDX_PAGE;
        return true;
    case 0x18000200:            /* TDVPS_BASE_SIZE */
        *val = TDX_TDVPS_PAGES * TDX_PAGE;
        return true;
    case 0x18000101:            /* the same for each L2 VM */
    case 0x18000201:
        *val = 0;
        return true;
    case 0x19000000:
        *val = ATTRIBUTES_FIXED0;
        return true;
    case 0x19000001:            /* ATTRIBUTES_FIXED1 */
        *val = 0;
        return true;
    case 0x19000002:            /* XFAM_FIXED0 */
        *val = tdx_xfam_supported(call->cpu);
        return true;
    case 0x19000003:
        *val = TDX_XFAM_FIXED1;
        return true;
    case 0x19000004:            /* NUM_CPUID_CONFIG */
        *val = tdx_nr_cpuid_configs();
        return true;
    case 0x19000008:            /* MAX_VCPUS_PER_TD */
        *val = TDX_MAX_VCPUS;
        return true;
    default:
        return false;
    }
}

static bool sys_cmr(uint32_t id, uint64_t *val)
{
    uint32_t i = id & 0x7f;

    if ((id & ~0x1ffu) != 0x10000000 || id < 0x10000080 ||
        i >= ARRAY_SIZE(tdx_module.cmr)) {
        return false;
    }
    *val = id < 0x10000100 ? tdx_module.cmr[i].base : tdx_module.cmr[i].size;
    return true;
}

static uint64_t sys_read(TdxCall *call, uint64_t field, Who who, uint64_t *val)
{
    uint32_t id = ID_CLASS(field) << 24 | ID_CODE(field);

    if (field & ID_RESERVED) {
        return TDX_METADATA_FIELD_ID_INCORRECT;
    }
    if (sys_public(id, val)) {
        return TDX_SUCCESS;
    }
    if (!sys_limits(call, id, val) && !sys_cmr(id, val) &&
        !(ID_CLASS(field) == CLASS_SYS_CPUID &&
          sys_cpuid_config(ID_CODE(field), val))) {
        return TDX_METADATA_FIELD_ID_INCORRECT;
    }
    return who == HOST ? TDX_SUCCESS : TDX_METADATA_FIELD_NOT_READABLE;
}

/* A leaf that reads has the field in RDX, and the value in R8, 0 if it fails */
static uint64_t result(TdxCall *call, uint64_t status, uint64_t val)
{
    call->regs[8] = status ? 0 : val;
    return status;
}

uint64_t tdh_sys_rd(TdxCall *call)
{
    uint64_t val = 0;
    uint64_t status = sys_read(call, call->regs[R_EDX], HOST, &val);

    return result(call, status, val);
}

uint64_t tdg_sys_rd(TdxCall *call)
{
    uint64_t val = 0;
    uint64_t status = sys_read(call, call->regs[R_EDX], GUEST, &val);

    return result(call, status, val);
}

/* TDs */

/* The leaf and the sub-leaf are in the code; bit 0 says which half. */
static uint64_t read_cpuid(TdxTd *td, uint64_t id, uint64_t *val)
{
    uint32_t leaf = ((id >> 9) & 0x7f) | (id & (1 << 16) ? 0x80000000 : 0);
    uint32_t subleaf = (id >> 1) & 0x7f;
    const TdxCpuidValue *value;

    if (id & 0xfe0000 || (id & (1 << 8) && subleaf != 0x7f)) {
        return TDX_METADATA_FIELD_ID_INCORRECT;
    }
    value = tdx_cpuid_find(td, leaf, id & (1 << 8) ? TDX_NO_SUBLEAF : subleaf,
                           true);
    if (!value) {
        return TDX_METADATA_FIELD_NOT_READABLE;
    }
    *val = id & 1 ? value->regs[2] | (uint64_t)value->regs[3] << 32 :
                    value->regs[0] | (uint64_t)value->regs[1] << 32;
    return TDX_SUCCESS;
}

static uint64_t td_read(TdxTd *td, uint64_t id, Who who, uint64_t *val)
{
    if (id & ID_RESERVED) {
        return TDX_METADATA_FIELD_ID_INCORRECT;
    }
    if (ID_CLASS(id) == CLASS_TD_CPUID) {
        return read_cpuid(td, id, val);
    }
    return read_field(find(td_fields, ARRAY_SIZE(td_fields), id), td, td, id,
                      who, val);
}

uint64_t tdh_mng_rd(TdxCall *call)
{
    uint64_t val = 0, id = call->regs[R_EDX];
    TdxTd *td;
    uint64_t status = tdx_td_get(call, call->regs[R_ECX], TDX_OP_RCX, false,
                                 &td);

    if (!status) {
        status = tdx_td_check(call, td, true);
    }
    if (!status) {
        status = td_read(td, id, HOST, &val);
    }
    return result(call, status, val);
}

uint64_t tdg_vm_rd(TdxCall *call, TdxVp *vp)
{
    uint64_t val = 0, status;

    if (call->regs[R_ECX]) {
        return result(call, TDX_OPERAND_INVALID | TDX_OP_RCX, 0);
    }
    status = td_read(vp->td, call->regs[R_EDX], GUEST, &val);
    return result(call, status, val);
}

/* TD_CTLS: whether the TD may have it so */
static bool td_ctls_valid(const TdxTd *td, uint64_t old, uint64_t val)
{
    if ((old ^ val) & TDX_CTLS_PENDING_VE_DISABLE &&
        !(td->config_flags & TDX_CONFIG_FLEXIBLE_PENDING_VE)) {
        return false;
    }
    if (old & TDX_CTLS_LOCK && val != old) {
        return false;
    }
    return !(val & TDX_CTLS_ENUM_TOPOLOGY) || td->topology_enum_configured;
}

uint64_t tdg_vm_wr(TdxCall *call, TdxVp *vp)
{
    uint64_t id = call->regs[R_EDX], val = call->regs[8], mask = call->regs[9];
    const Field *field = find(td_fields, ARRAY_SIZE(td_fields), id);
    uint64_t old = 0, status;
    TdxTd *td = vp->td;

    if (call->regs[R_ECX]) {
        return result(call, TDX_OPERAND_INVALID | TDX_OP_RCX, 0);
    }
    if (id & ID_RESERVED) {
        return result(call, TDX_METADATA_FIELD_ID_INCORRECT, 0);
    }
    status = prepare_write(field, td, td, id, GUEST, mask, &val, &old);
    if (!status && field->offset == offsetof(TdxTd, td_ctls) &&
        !td_ctls_valid(td, old, val)) {
        status = TDX_METADATA_FIELD_VALUE_NOT_VALID;
    }
    if (!status) {
        set(field, td, id, val);
    }
    return result(call, status, old);
}

/* vCPUs */

static uint64_t vp_read(TdxVp *vp, uint64_t id, Who who, uint64_t *val)
{
    if (id & ID_RESERVED) {
        return TDX_METADATA_FIELD_ID_INCORRECT;
    }
    if (ID_CLASS(id) == CLASS_VP_STATE && ID_CODE(id) == VCPU_STATE_DETAILS) {
        *val = tdx_vcpu_intr_pending(&vp->vcpu) ? INTR_PENDING : 0;
        return who == HOST ? TDX_SUCCESS : TDX_METADATA_FIELD_NOT_READABLE;
    }
    return read_field(find(vp_fields, ARRAY_SIZE(vp_fields), id), vp->td, vp,
                      id, who, val);
}

/* Addresses are of the host's memory; controls are what the processor has. */
static bool vp_value_valid(TdxCall *call, const Field *field, uint64_t val)
{
    switch (field->offset) {
    case offsetof(TdxVp, vcpu.pi_desc):
        return tdx_shared_valid(val, 64);
    case offsetof(TdxVp, vcpu.shared_eptp):
        return tdx_shared_valid(val, TDX_PAGE);
    case offsetof(TdxVp, vcpu.pi_vector):
        return val <= 0xff;
    case offsetof(TdxVp, secondary_ctls):
        return !(val & ~(call->cpu->env.features[FEAT_VMX_SECONDARY_CTLS] |
                         call->cpu->env.features[FEAT_VMX_SECONDARY_CTLS] >>
                         32));
    default:
        return true;
    }
}

static uint64_t vp_write(TdxCall *call, TdxVp *vp, uint64_t id, Who who,
                         uint64_t mask, uint64_t val, uint64_t *old)
{
    const Field *field = find(vp_fields, ARRAY_SIZE(vp_fields), id);
    uint64_t status;

    if (id & ID_RESERVED) {
        return TDX_METADATA_FIELD_ID_INCORRECT;
    }
    status = prepare_write(field, vp->td, vp, id, who, mask, &val, old);
    if (!status && !vp_value_valid(call, field, val)) {
        status = TDX_METADATA_FIELD_VALUE_NOT_VALID;
    }
    if (!status) {
        set(field, vp, id, val);
    }
    return status;
}

static uint64_t vp_get(TdxCall *call, bool allow_disabled, TdxVp **vp)
{
    uint64_t status = tdx_vp_get(call, call->regs[R_ECX], TDX_OP_RCX, false,
                                 false, vp);

    return status ?: tdx_vp_associate(call, *vp, allow_disabled);
}

uint64_t tdh_vp_rd(TdxCall *call)
{
    uint64_t val = 0, status;
    TdxVp *vp;

    status = vp_get(call, true, &vp);
    if (!status) {
        status = vp_read(vp, call->regs[R_EDX], HOST, &val);
    }
    return result(call, status, val);
}

uint64_t tdh_vp_wr(TdxCall *call)
{
    uint64_t old = 0, status;
    TdxVp *vp;

    status = vp_get(call, false, &vp);
    if (!status) {
        status = vp_write(call, vp, call->regs[R_EDX], HOST, call->regs[9],
                          call->regs[8], &old);
    }
    return result(call, status, old);
}

uint64_t tdg_vp_rd(TdxCall *call, TdxVp *vp)
{
    uint64_t val = 0;
    uint64_t status = vp_read(vp, call->regs[R_EDX], GUEST, &val);

    return result(call, status, val);
}

uint64_t tdg_vp_wr(TdxCall *call, TdxVp *vp)
{
    uint64_t old = 0;
    uint64_t status = vp_write(call, vp, call->regs[R_EDX], GUEST,
                               call->regs[9], call->regs[8], &old);

    return result(call, status, old);
}
