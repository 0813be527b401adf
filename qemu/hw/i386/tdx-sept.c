/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX, for TCG: the secure EPT (TDH.MEM)
 *
 *                PAGE.ADD                    BLOCK
 *    FREE ------------------------> MAPPED --------> BLOCKED
 *      |                              ^
 *      | PAGE.AUG                     | ACCEPT (TD)
 *      +-------> PENDING -------------+
 *                   | BLOCK
 *                   +----> PENDING_BLOCKED
 *
 * PAGE.REMOVE makes any of them FREE, once no CPU can have a translation left:
 * while the TD may run, the page must be blocked, and the epoch in which it was
 * must have ended (TRACK), with no vCPU left in it.
 *
 * CPUs that execute the TD walk the tree without a lock.  An entry changes by
 * one store; a page of entries goes away when no vCPU can run any more.
 */
#include "qemu/osdep.h"
#include "exec/page-protection.h"
#include "tdx-internal.h"

/* An entry: as the EPT has it, and what the module knows of it */
#define ENTRY_RWX           7ULL
#define ENTRY_WB            (6ULL << 3)
#define ENTRY_IPAT          (1ULL << 6)
#define ENTRY_LEAF          (1ULL << 7)
#define ENTRY_HPA           0x00003ffffffff000ULL
#define ENTRY_STATE_SHIFT   52
#define ENTRY_STATE         (0xffULL << ENTRY_STATE_SHIFT)
#define ENTRY_LOCKED        (1ULL << 60)
#define ENTRY_SUPPRESS_VE   (1ULL << 63)
#define ENTRY_ARCH          (ENTRY_RWX | ENTRY_WB | ENTRY_IPAT | ENTRY_LEAF | \
                             ENTRY_HPA | ENTRY_SUPPRESS_VE)

/* States, as numbered by the ABI ("Secure EPT Entry State") */
typedef enum State {
    FREE = 0,
    BLOCKED = 1,
    PENDING = 2,
    PENDING_BLOCKED = 3,
    MAPPED = 4,
    NL_BLOCKED = 129,           /* an entry for a page of entries */
    NL_MAPPED = 132,
} State;

#define ANY_LEVEL           UINT_MAX

/* TDG.MEM.PAGE.ACCEPT: information in the extended exit qualification */
#define ACCEPT_REQ_LEVEL(x)     ((uint64_t)(x) << 32)
#define ACCEPT_ERR_LEVEL(x)     ((uint64_t)(x) << 35)
#define ACCEPT_ERR_STATE(x)     ((uint64_t)(x) << 38)
#define ACCEPT_ERR_LEAF         (1ULL << 46)

/* An entry that a leaf is about */
typedef struct Target {
    TdxTd *td;
    uint64_t gpa;
    unsigned level;
    uint64_t *entry;
    uint64_t value;             /* without ENTRY_LOCKED */
} Target;

static State state_of(uint64_t value)
{
    return (value & ENTRY_STATE) >> ENTRY_STATE_SHIFT;
}

static bool is_leaf(uint64_t value)
{
    return value & ENTRY_LEAF;
}

static uint64_t make_entry(State state, hwaddr pa)
{
    uint64_t value = (uint64_t)state << ENTRY_STATE_SHIFT | pa;

    if (state != NL_MAPPED && state != NL_BLOCKED && state != FREE) {
        value |= ENTRY_LEAF | ENTRY_WB | ENTRY_IPAT;
    }
    value |= state == MAPPED || state == NL_MAPPED ? ENTRY_RWX :
             ENTRY_SUPPRESS_VE;
    return value;
}

void tdx_sept_init(TdxSept *sept)
{
    for (int i = 0; i < ARRAY_SIZE(sept->entry); i++) {
        sept->entry[i] = make_entry(FREE, 0);
    }
}

/* The level of the entries in the root */
static unsigned top_level(const TdxTd *td)
{
    return (td->eptp >> 3) & 7;
}

/* Whether the GPA is one that the secure EPT can map */
bool tdx_gpa_private(const TdxTd *td, uint64_t gpa)
{
    return !(gpa >> (td->gpaw ? 51 : 47));
}

/*
 * Go down to the entry of @level; false: not so far.  @level becomes that of
 * the entry where the walk has ended.
 */
static bool walk(const TdxTd *td, uint64_t gpa, unsigned *level,
                 uint64_t **entry, uint64_t *value)
{
    TdxSept *sept = td->sept_root;

    for (unsigned at = top_level(td); ; at--) {
        *entry = &sept->entry[(gpa >> (TDX_PAGE_SHIFT + 9 * at)) & 511];
        *value = qatomic_load_acquire(*entry) & ~ENTRY_LOCKED;
        if (at == *level || state_of(*value) != NL_MAPPED) {
            bool found = at == *level;

            *level = at;
            return found;
        }
        sept = tdx_page_entry(*value & ENTRY_HPA, TDX_4K)->object;
    }
}

static bool lock_entry(uint64_t *entry, uint64_t *value)
{
    *value = qatomic_fetch_or(entry, ENTRY_LOCKED);
    return !(*value & ENTRY_LOCKED);
}

/* Write the entry, and unlock it. */
static void set_entry(uint64_t *entry, uint64_t value)
{
    qatomic_store_release(entry, value);
}

/* What the host learns of an entry that was not as it should be */
static void show_entry(TdxCall *call, const Target *t)
{
    call->regs[R_ECX] = t->value & ENTRY_ARCH;
    call->regs[R_EDX] = t->level | state_of(t->value) << 8;
}

static uint64_t wrong(TdxCall *call, const Target *t, uint64_t status)
{
    show_entry(call, t);
    set_entry(t->entry, t->value);
    return status;
}

/* A leaf ends without a change. */
static uint64_t unchanged(const Target *t, uint64_t status)
{
    set_entry(t->entry, t->value);
    return status;
}

/*
 * RCX has a GPA and a level, RDX a TD.  Lock the TD, the tree and the entry.
 */
static uint64_t find(TdxCall *call, bool td_exclusive, bool sept_exclusive,
                     unsigned min_level, unsigned max_level, Target *t)
{
    uint64_t rcx = call->regs[R_ECX], rdx = call->regs[R_EDX], status;

    call->regs[R_ECX] = call->regs[R_EDX] = 0;
    status = tdx_td_get(call, rdx, TDX_OP_RDX, td_exclusive, &t->td);
    if (!status) {
        status = tdx_td_check(call, t->td, !td_exclusive);
    }
    if (status) {
        return status;
    }
    t->level = rcx & 7;
    t->gpa = rcx & -TDX_PAGE;
    if (rcx & 0xff8 || t->level < min_level ||
        t->level > MIN(max_level, top_level(t->td)) ||
        t->gpa & (tdx_level_size(t->level) - 1) ||
        !tdx_gpa_private(t->td, t->gpa)) {
        return TDX_OPERAND_INVALID | TDX_OP_RCX;
    }
    if (!tdx_hold(&call->holds, &t->td->sept_lock, sept_exclusive)) {
        return TDX_OPERAND_BUSY | TDX_OP_SEPT_TREE;
    }
    if (!walk(t->td, t->gpa, &t->level, &t->entry, &t->value)) {
        show_entry(call, t);
        return TDX_EPT_WALK_FAILED | TDX_OP_RCX;
    }
    if (!lock_entry(t->entry, &t->value)) {
        t->value &= ~ENTRY_LOCKED;
        show_entry(call, t);
        return TDX_OPERAND_BUSY | TDX_OP_RCX;
    }
    return TDX_SUCCESS;
}

uint64_t tdh_mem_sept_add(TdxCall *call)
{
    hwaddr pa = call->regs[8];
    TdxPage *page;
    TdxSept *sept;
    Target t;
    uint64_t status = find(call, false, false, TDX_2M, ANY_LEVEL, &t);

    if (status) {
        return status;
    }
    if (state_of(t.value) != FREE) {
        return wrong(call, &t, TDX_EPT_ENTRY_STATE_INCORRECT | TDX_OP_RCX);
    }
    status = tdx_page_get(call, pa, TDX_OP_R8, TDX_4K, TDX_PT_NDA, true, &page);
    if (status) {
        return unchanged(&t, status);
    }
    sept = g_new(TdxSept, 1);
    tdx_sept_init(sept);
    tdx_page_assign(page, pa, TDX_4K, TDX_PT_EPT, t.td, t.td->hkid, sept);
    set_entry(t.entry, make_entry(NL_MAPPED, pa));
    return TDX_SUCCESS;
}

uint64_t tdh_mem_page_add(TdxCall *call)
{
    hwaddr pa = call->regs[8], source = call->regs[9];
    uint8_t buf[TDX_PAGE];
    TdxPage *page;
    Target t;
    uint64_t status = find(call, true, false, TDX_4K, TDX_4K, &t);

    if (status) {
        return status;
    }
    if (state_of(t.value) != FREE) {
        return wrong(call, &t, TDX_EPT_ENTRY_STATE_INCORRECT | TDX_OP_RCX);
    }
    status = tdx_read_shared(source, TDX_PAGE, TDX_OP_R9, buf, sizeof(buf));
    if (!status) {
        status = tdx_page_get(call, pa, TDX_OP_R8, TDX_4K, TDX_PT_NDA, true,
                              &page);
    }
    if (status) {
        return unchanged(&t, status);
    }
    tdx_page_assign(page, pa, TDX_4K, TDX_PT_REG, t.td, t.td->hkid, NULL);
    tdx_memory_write(pa, t.td->hkid, buf, sizeof(buf));
    tdx_measure_page_add(t.td, t.gpa);
    set_entry(t.entry, make_entry(MAPPED, pa));
    return TDX_SUCCESS;
}

uint64_t tdh_mem_page_aug(TdxCall *call)
{
    hwaddr pa = call->regs[8];
    TdxPage *page;
    Target t;
    uint64_t status = find(call, false, false, TDX_4K, TDX_2M, &t);

    if (status) {
        return status;
    }
    if (state_of(t.value) != FREE) {
        return wrong(call, &t, TDX_EPT_ENTRY_STATE_INCORRECT | TDX_OP_RCX);
    }
    status = tdx_page_get(call, pa, TDX_OP_R8, t.level, TDX_PT_NDA, true,
                          &page);
    if (status) {
        return unchanged(&t, status);
    }
    tdx_page_assign(page, pa, t.level, TDX_PT_REG, t.td, t.td->hkid, NULL);
    set_entry(t.entry, make_entry(PENDING, pa));
    return TDX_SUCCESS;
}

/* The state after TDH.MEM.RANGE.BLOCK; FREE: it cannot be blocked. */
static State blocked_state(State state)
{
    switch (state) {
    case MAPPED:
        return BLOCKED;
    case PENDING:
        return PENDING_BLOCKED;
    case NL_MAPPED:
        return NL_BLOCKED;
    default:
        return FREE;
    }
}

static bool is_blocked(State state)
{
    return state == BLOCKED || state == PENDING_BLOCKED || state == NL_BLOCKED;
}

uint64_t tdh_mem_range_block(TdxCall *call)
{
    Target t;
    State blocked;
    TdxPage *page;
    uint64_t status = find(call, false, true, TDX_4K, ANY_LEVEL, &t);

    if (status) {
        return status;
    }
    blocked = blocked_state(state_of(t.value));
    if (blocked == FREE) {
        return wrong(call, &t, TDX_OP_RCX |
                     (is_blocked(state_of(t.value)) ?
                      TDX_GPA_RANGE_ALREADY_BLOCKED :
                      TDX_EPT_ENTRY_STATE_INCORRECT));
    }
    set_entry(t.entry, make_entry(blocked, t.value & ENTRY_HPA));
    /* A TD entry that comes now is of this epoch, or of a later one. */
    smp_mb();
    page = tdx_page_entry(t.value & ENTRY_HPA,
                          is_leaf(t.value) ? t.level : TDX_4K);
    qatomic_set(&page->bepoch, qatomic_read(&t.td->td_epoch));
    return TDX_SUCCESS;
}

/* How many vCPUs run in the epoch before the one of now */
static uint32_t nr_in_previous_epoch(TdxTd *td)
{
    return qatomic_read(&td->refcount[!(td->td_epoch & 1)]);
}

uint64_t tdh_mem_track(TdxCall *call)
{
    TdxTd *td;
    uint64_t status = tdx_td_get(call, call->regs[R_ECX], TDX_OP_RCX, false,
                                 &td);

    if (!status) {
        status = tdx_td_check(call, td, true);
    }
    if (status) {
        return status;
    }
    if (!tdx_hold(&call->holds, &td->epoch_lock, true)) {
        return TDX_OPERAND_BUSY | TDX_OP_TD_EPOCH;
    }
    if (nr_in_previous_epoch(td)) {
        return TDX_PREVIOUS_TLB_EPOCH_BUSY;
    }
    qatomic_set(&td->td_epoch, td->td_epoch + 1);
    return TDX_SUCCESS;
}

/*
 * Whether no CPU can have a translation of what was blocked in @bepoch: that
 * epoch has ended, and so has the last vCPU that was entered in it.
 */
static bool is_tracked(TdxTd *td, uint64_t bepoch)
{
    uint64_t epoch = qatomic_read(&td->td_epoch);

    return epoch > bepoch + 1 ||
           (epoch == bepoch + 1 && !nr_in_previous_epoch(td));
}

uint64_t tdh_mem_page_remove(TdxCall *call)
{
    Target t;
    TdxPage *page;
    hwaddr pa;
    uint64_t status = find(call, false, false, TDX_4K, TDX_1G_LEVEL, &t);

    if (status) {
        return status;
    }
    if (!is_leaf(t.value)) {
        return wrong(call, &t, TDX_EPT_ENTRY_STATE_INCORRECT | TDX_OP_RCX);
    }
    pa = t.value & ENTRY_HPA;
    page = tdx_page_entry(pa, t.level);
    if (!tdx_hold(&call->holds, &page->lock, true)) {
        return unchanged(&t, TDX_OPERAND_BUSY | TDX_OP_RCX);
    }
    if (t.td->op_state == TDX_OP_RUNNABLE) {
        if (!is_blocked(state_of(t.value))) {
            return wrong(call, &t, TDX_GPA_RANGE_NOT_BLOCKED | TDX_OP_RCX);
        }
        if (!is_tracked(t.td, page->bepoch)) {
            return unchanged(&t, TDX_TLB_TRACKING_NOT_DONE | TDX_OP_RCX);
        }
    }
    set_entry(t.entry, make_entry(FREE, 0));
    tdx_page_release(page, pa, t.level, t.td);
    call->regs[R_ECX] = pa;
    return TDX_SUCCESS;
}

/* What the TD does */

static TdxAction violation(const TdxTd *td, uint64_t gpa, uint64_t value,
                           TdxEvent *event)
{
    event->reason = TDX_REASON_EPT_VIOLATION;
    event->qualification = (value & ENTRY_RWX) << 3;
    event->ext_qualification = TDX_EXT_QUAL_NONE;
    event->gpa = gpa;
    if (state_of(value) != PENDING) {
        return TDX_EXIT;
    }
    if (!(qatomic_read(&td->td_ctls) & TDX_CTLS_PENDING_VE_DISABLE)) {
        return TDX_VE;
    }
    event->ext_qualification = TDX_EXT_QUAL_PENDING_EPT_VIOLATION;
    return TDX_EXIT;
}

TdxAction tdx_translate_private(TdxVcpu *vcpu, uint64_t gpa, int need,
                                TdxTranslation *out, TdxEvent *event)
{
    const TdxTd *td = tdx_vp(vcpu)->td;
    unsigned level = TDX_4K;
    uint64_t *entry, value = make_entry(FREE, 0);

    if (!tdx_gpa_private(td, gpa)) {
        return violation(td, gpa, value, event);
    }
    walk(td, gpa, &level, &entry, &value);
    /* It is for reading, writing and executing, or for nothing. */
    if (state_of(value) != MAPPED) {
        return violation(td, gpa, value, event);
    }
    out->page_size = tdx_level_size(level);
    out->pa = (value & ENTRY_HPA) | (gpa & (out->page_size - 1));
    out->prot = PAGE_READ | PAGE_WRITE | PAGE_EXEC;
    return TDX_DONE;
}

bool tdx_sept_lookup(TdxTd *td, uint64_t gpa, hwaddr *pa)
{
    unsigned level = TDX_4K;
    uint64_t *entry, value;

    walk(td, gpa, &level, &entry, &value);
    *pa = (value & ENTRY_HPA) | (gpa & (tdx_level_size(level) - 1));
    return state_of(value) == MAPPED;
}

/* The host has to change the entry before the TD's page can be accepted. */
static TdxAction accept_violation(uint64_t gpa, unsigned req_level,
                                  unsigned level, uint64_t value,
                                  TdxEvent *event)
{
    event->reason = TDX_REASON_EPT_VIOLATION;
    event->qualification = TDX_EPT_WRITE | (value & ENTRY_RWX) << 3;
    event->ext_qualification = TDX_EXT_QUAL_ACCEPT |
                               ACCEPT_REQ_LEVEL(req_level) |
                               ACCEPT_ERR_LEVEL(level) |
                               ACCEPT_ERR_STATE(state_of(value)) |
                               (is_leaf(value) ? ACCEPT_ERR_LEAF : 0);
    event->gpa = gpa;
    return TDX_EXIT;
}

static void zero_page(const TdxTd *td, hwaddr pa, unsigned level)
{
    static const uint8_t zeroes[TDX_PAGE];

    for (uint64_t i = 0; i < tdx_level_size(level); i += TDX_PAGE) {
        tdx_memory_write(pa + i, td->hkid, zeroes, TDX_PAGE);
    }
}

TdxAction tdx_sept_accept(TdxTd *td, uint64_t gpa, unsigned req_level,
                          uint64_t *status, TdxEvent *event)
{
    unsigned level = req_level;
    uint64_t *entry, value;
    bool found = walk(td, gpa, &level, &entry, &value);

    if (found && !lock_entry(entry, &value)) {
        *status = TDX_OPERAND_BUSY | TDX_OP_RCX;
        return TDX_DONE;
    }
    if (state_of(value) == PENDING && found) {
        zero_page(td, value & ENTRY_HPA, level);
        set_entry(entry, make_entry(MAPPED, value & ENTRY_HPA));
        *status = TDX_SUCCESS;
        return TDX_DONE;
    }
    if (found) {
        set_entry(entry, value);
    }
    if (state_of(value) == MAPPED) {
        *status = TDX_PAGE_ALREADY_ACCEPTED | level;
        return TDX_DONE;
    }
    if (found && state_of(value) != FREE && !is_leaf(value)) {
        *status = TDX_PAGE_SIZE_MISMATCH | level;
        return TDX_DONE;
    }
    return accept_violation(gpa, req_level, level, value, event);
}
