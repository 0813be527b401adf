/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX, for TCG: TDMRs, PAMT and pages (TDH.SYS.TDMR, TDH.PHYMEM)
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "hw/boards.h"
#include "tdx-internal.h"

/* TDMR_INFO, as the host has it in memory */
typedef struct TdmrInfo {
    uint64_t base, size;
    struct {
        uint64_t base, size;
    } pamt[3];                  /* of 1 GiB, 2 MiB and 4 KiB */
    struct {
        uint64_t offset, size;
    } reserved[TDX_MAX_RESERVED];
} TdmrInfo;

#define TDMR_INFO_ALIGN     512

/* How much of a TDMR is initialized by one call */
#define INIT_STEP           (64 * MiB)
/* How many pages are given back by one call */
#define RELEASE_STEP        4096

/* The PAMT of 1 GiB */
typedef struct PamtBlock {
    bool ready;
    TdxPage p1g;
    TdxPage p2m[512];
    TdxPage p4k[512 * 512];
} PamtBlock;

typedef struct Tdmr {
    TdmrInfo info;
    TdxLock lock;
    hwaddr next;                /* what is to be initialized next */
    PamtBlock **blocks;         /* one for each GiB; NULL: not yet */
} Tdmr;

static struct {
    unsigned nr;
    Tdmr tdmr[TDX_MAX_TDMRS];
    /* How far giving back has come */
    unsigned release_tdmr;
    hwaddr release_next;
} tdmrs;

static const uint8_t pamt_level[3] = { TDX_1G_LEVEL, TDX_2M, TDX_4K };

/* TDH.SYS.CONFIG */

static bool overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a_size && b_size && a < b + b_size && b < a + a_size;
}

/* Whether it is an area that ends below the first key id's bit */
static bool valid_area(uint64_t base, uint64_t size)
{
    return size && base + size > base &&
           base + size <= 1ULL << TDX_KEYID_SHIFT;
}

/* CMRs do not touch each other. */
static bool in_cmr(uint64_t base, uint64_t end)
{
    for (unsigned i = 0; i < tdx_module.nr_cmrs; i++) {
        const TdxCmr *cmr = &tdx_module.cmr[i];

        if (base >= cmr->base && end <= cmr->base + cmr->size) {
            return true;
        }
    }
    return false;
}

/* Details of an error: which TDMR, and what of it */
static uint64_t tdmr_error(uint64_t status, unsigned i, unsigned j, unsigned k)
{
    return status | i | j << 8 | k << 16;
}

static uint64_t check_reserved(const TdmrInfo *info, unsigned i)
{
    uint64_t end = 0;

    for (unsigned j = 0; j < TDX_MAX_RESERVED; j++) {
        uint64_t offset = info->reserved[j].offset;
        uint64_t size = info->reserved[j].size;

        if (!size) {
            if (j + 1 < TDX_MAX_RESERVED && info->reserved[j + 1].size) {
                return tdmr_error(TDX_NON_ORDERED_RESERVED_IN_TDMR, i, j, 0);
            }
            continue;
        }
        if (offset + size < offset) {
            return tdmr_error(TDX_INVALID_RESERVED_IN_TDMR, i, j, 0);
        }
        if (offset < end) {
            return tdmr_error(TDX_NON_ORDERED_RESERVED_IN_TDMR, i, j, 0);
        }
        if ((offset | size) & (TDX_PAGE - 1) || offset + size > info->size) {
            return tdmr_error(TDX_INVALID_RESERVED_IN_TDMR, i, j, 0);
        }
        end = offset + size;
    }
    return TDX_SUCCESS;
}

/*
 * Call @check for each part of the TDMR that is not reserved, until it is
 * false for one.
 */
static bool each_available(const TdmrInfo *info, uint64_t base, uint64_t size,
                           bool (*check)(uint64_t start, uint64_t end,
                                         uint64_t base, uint64_t size))
{
    uint64_t start = info->base;

    for (unsigned j = 0; j < TDX_MAX_RESERVED; j++) {
        uint64_t reserved = info->base + info->reserved[j].offset;

        if (!info->reserved[j].size) {
            break;
        }
        if (reserved > start && !check(start, reserved, base, size)) {
            return false;
        }
        start = reserved + info->reserved[j].size;
    }
    return start == info->base + info->size ||
           check(start, info->base + info->size, base, size);
}

static bool available_in_cmr(uint64_t start, uint64_t end, uint64_t base,
                             uint64_t size)
{
    return in_cmr(start, end);
}

static bool available_beside(uint64_t start, uint64_t end, uint64_t base,
                             uint64_t size)
{
    return !overlaps(start, end - start, base, size);
}

static uint64_t check_pamt_areas(const TdmrInfo *info, unsigned i)
{
    for (int p = 0; p < 3; p++) {
        uint64_t base = info->pamt[p].base, size = info->pamt[p].size;
        unsigned level = pamt_level[p];

        if (!valid_area(base, size) || (base | size) & (TDX_PAGE - 1) ||
            size < info->size / tdx_level_size(level) * TDX_PAMT_ENTRY_SIZE) {
            return tdmr_error(TDX_INVALID_PAMT, i, level, 0);
        }
    }
    return TDX_SUCCESS;
}

/* With the PAMTs of TDMRs before it, and those of its own */
static uint64_t check_pamt_overlap(const TdmrInfo *info, unsigned i)
{
    for (unsigned j = 0; j <= i; j++) {
        const TdmrInfo *other = &tdmrs.tdmr[j].info;

        for (int p = 0; p < 3; p++) {
            for (int q = 0; q < (j < i ? 3 : p); q++) {
                if (overlaps(info->pamt[p].base, info->pamt[p].size,
                             other->pamt[q].base, other->pamt[q].size)) {
                    return tdmr_error(TDX_PAMT_OVERLAP, i, pamt_level[p], j);
                }
            }
        }
    }
    return TDX_SUCCESS;
}

/* A PAMT may be in a TDMR, but only where that is reserved. */
static uint64_t check_pamt_reserved(const TdmrInfo *info, unsigned i)
{
    for (unsigned j = 0; j <= i; j++) {
        const TdmrInfo *other = &tdmrs.tdmr[j].info;

        for (int p = 0; p < 3; p++) {
            if (!each_available(other, info->pamt[p].base, info->pamt[p].size,
                                available_beside)) {
                return tdmr_error(TDX_PAMT_OVERLAP, i, pamt_level[p], j);
            }
            if (!each_available(info, other->pamt[p].base, other->pamt[p].size,
                                available_beside)) {
                return tdmr_error(TDX_PAMT_OVERLAP, j, pamt_level[p], i);
            }
        }
    }
    return TDX_SUCCESS;
}

static uint64_t check_pamt_in_cmr(const TdmrInfo *info, unsigned i)
{
    for (int p = 0; p < 3; p++) {
        if (!in_cmr(info->pamt[p].base,
                    info->pamt[p].base + info->pamt[p].size)) {
            return tdmr_error(TDX_PAMT_OUTSIDE_CMRS, i, pamt_level[p], 0);
        }
    }
    return TDX_SUCCESS;
}

/* Check a TDMR; those before it have been checked. */
static uint64_t check_tdmr(unsigned i)
{
    const TdmrInfo *info = &tdmrs.tdmr[i].info;
    const TdmrInfo *prev = i ? &tdmrs.tdmr[i - 1].info : NULL;
    uint64_t status;

    if (!valid_area(info->base, info->size) ||
        (info->base | info->size) & (TDX_1G - 1)) {
        return tdmr_error(TDX_INVALID_TDMR, i, 0, 0);
    }
    if (prev && info->base < prev->base + prev->size) {
        return tdmr_error(TDX_NON_ORDERED_TDMR, i, 0, 0);
    }
    status = check_reserved(info, i);
    if (!status) {
        status = check_pamt_areas(info, i);
    }
    if (!status) {
        status = check_pamt_overlap(info, i);
    }
    if (!status) {
        status = check_pamt_reserved(info, i);
    }
    if (!status) {
        status = check_pamt_in_cmr(info, i);
    }
    if (!status && !each_available(info, 0, 0, available_in_cmr)) {
        status = tdmr_error(TDX_TDMR_OUTSIDE_CMRS, i, 0, 0);
    }
    return status;
}

static uint64_t read_tdmr_info(hwaddr pa, TdmrInfo *info)
{
    uint64_t words[sizeof(*info) / 8];
    uint64_t status = tdx_read_shared(pa, TDMR_INFO_ALIGN, TDX_OP_RCX, words,
                                      sizeof(words));

    QEMU_BUILD_BUG_ON(sizeof(TdmrInfo) != 64 + 16 * TDX_MAX_RESERVED);
    for (int i = 0; i < ARRAY_SIZE(words); i++) {
        ((uint64_t *)info)[i] = le64_to_cpu(words[i]);
    }
    return status;
}

uint64_t tdh_sys_config(TdxCall *call)
{
    hwaddr array = call->regs[R_ECX];
    uint64_t nr = call->regs[R_EDX], options = call->regs[8];
    uint64_t pa[TDX_MAX_TDMRS];
    uint64_t status = TDX_SUCCESS;

    if (tdx_module.state != TDX_SYS_STATE_INIT_DONE ||
        tdx_module.nr_initialized_lps !=
        MACHINE(tdx_module.x86ms)->smp.cpus) {
        return TDX_SYS_CONFIG_NOT_PENDING;
    }
    if (!tdx_shared_valid(array, TDMR_INFO_ALIGN)) {
        return TDX_OPERAND_INVALID | TDX_OP_RCX;
    }
    if (nr < 1 || nr > TDX_MAX_TDMRS) {
        return TDX_OPERAND_INVALID | TDX_OP_RDX;
    }
    if (!tdx_hkid_private(options)) {
        return TDX_OPERAND_INVALID | TDX_OP_R8;
    }
    status = tdx_read_shared(array, TDMR_INFO_ALIGN, TDX_OP_RCX, pa, nr * 8);
    if (status) {
        return status;
    }
    for (unsigned i = 0; i < nr && !status; i++) {
        status = read_tdmr_info(le64_to_cpu(pa[i]), &tdmrs.tdmr[i].info);
        if (!status) {
            status = check_tdmr(i);
        }
    }
    if (status) {
        return status;
    }
    for (unsigned i = 0; i < nr; i++) {
        Tdmr *tdmr = &tdmrs.tdmr[i];

        tdmr->lock = 0;
        tdmr->next = tdmr->info.base;
        tdmr->blocks = g_new0(PamtBlock *, tdmr->info.size / TDX_1G);
    }
    tdmrs.nr = nr;
    tdx_module.hkid = options;
    tdx_module.key[options].state = TDX_KEY_RESERVED;
    tdx_module.state = TDX_SYS_STATE_CONFIG_DONE;
    return TDX_SUCCESS;
}

/* TDH.SYS.TDMR.INIT */

static Tdmr *find_tdmr(hwaddr pa)
{
    for (unsigned i = 0; i < tdmrs.nr; i++) {
        Tdmr *tdmr = &tdmrs.tdmr[i];

        if (pa >= tdmr->info.base && pa - tdmr->info.base < tdmr->info.size) {
            return tdmr;
        }
    }
    return NULL;
}

static void mark_reserved(Tdmr *tdmr, PamtBlock *block, hwaddr start)
{
    hwaddr end = start + INIT_STEP;

    for (unsigned j = 0; j < TDX_MAX_RESERVED; j++) {
        hwaddr from = tdmr->info.base + tdmr->info.reserved[j].offset;
        hwaddr to = from + tdmr->info.reserved[j].size;

        for (hwaddr pa = MAX(from, start); pa < MIN(to, end); pa += TDX_PAGE) {
            block->p4k[(pa % TDX_1G) / TDX_PAGE].type = TDX_PT_RSVD;
        }
    }
}

/* The part of the PAMT that is about the memory from @start on is ours. */
static void take_pamt(Tdmr *tdmr, hwaddr start)
{
    for (int p = 0; p < 3; p++) {
        uint64_t size = tdx_level_size(pamt_level[p]);
        hwaddr base = tdmr->info.pamt[p].base;
        hwaddr pa = base + (start - tdmr->info.base) / size *
                    TDX_PAMT_ENTRY_SIZE;
        hwaddr end = pa + MAX(INIT_STEP / size, 1) * TDX_PAMT_ENTRY_SIZE;

        for (pa &= -TDX_PAGE; pa < end; pa += TDX_PAGE) {
            if (!tdx_memory_owner(pa)) {
                tdx_memory_take(pa, tdx_module.hkid);
            }
        }
    }
}

uint64_t tdh_sys_tdmr_init(TdxCall *call)
{
    hwaddr pa = call->regs[R_ECX];
    Tdmr *tdmr = tdx_hpa_valid(pa) ? find_tdmr(pa) : NULL;
    PamtBlock **block;
    hwaddr next;

    call->regs[R_EDX] = 0;
    if (!tdmr || pa != tdmr->info.base) {
        return TDX_OPERAND_INVALID | TDX_OP_RCX;
    }
    if (!tdx_hold(&call->holds, &tdmr->lock, true)) {
        return TDX_OPERAND_BUSY | TDX_OP_RCX;
    }
    next = tdmr->next;
    if (next == tdmr->info.base + tdmr->info.size) {
        return TDX_TDMR_ALREADY_INITIALIZED;
    }
    block = &tdmr->blocks[(next - tdmr->info.base) / TDX_1G];
    if (!*block) {
        PamtBlock *new = g_try_new0(PamtBlock, 1);

        if (!new) {
            return TDX_OPERAND_BUSY | TDX_OP_RCX;
        }
        qatomic_set(block, new);
    }
    mark_reserved(tdmr, *block, next);
    take_pamt(tdmr, next);
    tdmr->next = next + INIT_STEP;
    if (tdmr->next % TDX_1G == 0) {
        qatomic_store_release(&(*block)->ready, true);
    }
    call->regs[R_EDX] = tdmr->next & -TDX_1G;
    return TDX_SUCCESS;
}

/* Entries */

static PamtBlock *find_block(hwaddr pa)
{
    Tdmr *tdmr = find_tdmr(pa);
    PamtBlock *block;

    if (!tdmr) {
        return NULL;
    }
    block = qatomic_read(&tdmr->blocks[(pa - tdmr->info.base) / TDX_1G]);
    return block && qatomic_load_acquire(&block->ready) ? block : NULL;
}

static TdxPage *block_entry(PamtBlock *block, hwaddr pa, unsigned level)
{
    uint64_t index = (pa % TDX_1G) / tdx_level_size(level);

    return level == TDX_4K ? &block->p4k[index] :
           level == TDX_2M ? &block->p2m[index] : &block->p1g;
}

TdxPage *tdx_page_entry(hwaddr pa, unsigned level)
{
    PamtBlock *block = find_block(pa);

    return block ? block_entry(block, pa, level) : NULL;
}

/*
 * Lock the entry that is about the page, from the largest down to @level.  Each
 * on the way is shared.  A page that is larger than @level ends the walk.
 */
static uint64_t walk(TdxCall *call, hwaddr pa, unsigned operand,
                     unsigned *level, bool exclusive, TdxPage **page)
{
    PamtBlock *block = find_block(pa);

    if (!block) {
        return TDX_OPERAND_ADDR_RANGE_ERROR | operand;
    }
    for (unsigned at = TDX_1G_LEVEL; ; at--) {
        bool leaf;

        *page = block_entry(block, pa, at);
        /* How to lock it depends on what it is, which may change meanwhile. */
        leaf = at == *level || qatomic_read(&(*page)->type) != TDX_PT_NDA;
        if (!tdx_hold(&call->holds, &(*page)->lock, leaf && exclusive) ||
            leaf != (at == *level || (*page)->type != TDX_PT_NDA)) {
            return TDX_OPERAND_BUSY | operand;
        }
        if (leaf) {
            *level = at;
            return TDX_SUCCESS;
        }
    }
}

/* Whether none of the 512 pages of 4 KiB is assigned or reserved */
static bool all_free(const TdxPage *page, hwaddr pa)
{
    const TdxPage *small = tdx_page_entry(pa, TDX_4K);

    for (int i = 0; i < 512; i++) {
        if (small[i].type != TDX_PT_NDA) {
            return false;
        }
    }
    return page->type == TDX_PT_NDA;
}

uint64_t tdx_page_get(TdxCall *call, hwaddr pa, unsigned operand,
                      unsigned level, TdxPageType type, bool exclusive,
                      TdxPage **page)
{
    unsigned found = level;
    uint64_t status;

    if (!tdx_hpa_valid(pa) || pa & (tdx_level_size(level) - 1)) {
        return TDX_OPERAND_INVALID | operand;
    }
    status = walk(call, pa, operand, &found, exclusive, page);
    if (status) {
        return status;
    }
    if (found != level || (*page)->type != type ||
        (level == TDX_2M && type == TDX_PT_NDA && !all_free(*page, pa))) {
        return TDX_PAGE_METADATA_INCORRECT | operand;
    }
    return TDX_SUCCESS;
}

/* Make a page the TD's.  Its TDR does not count as one. */
void tdx_page_assign(TdxPage *page, hwaddr pa, unsigned level,
                     TdxPageType type, TdxTd *td, unsigned hkid, void *object)
{
    for (uint64_t i = 0; i < tdx_level_size(level); i += TDX_PAGE) {
        tdx_memory_take(pa + i, hkid);
    }
    page->owner = type == TDX_PT_TDR ? 0 : td->tdr;
    page->bepoch = 0;
    page->object = object;
    qatomic_set(&page->type, type);
    if (type != TDX_PT_TDR) {
        qatomic_add(&td->chldcnt, tdx_level_size(level) / TDX_PAGE);
    }
}

static void free_object(TdxPage *page)
{
    if (page->type == TDX_PT_TDR) {
        tdx_td_free(page->object);
    } else if (page->type == TDX_PT_TDVPR) {
        tdx_vp_free(page->object);
    } else if (page->type == TDX_PT_EPT) {
        g_free(page->object);
    }
    page->object = NULL;
}

/* The page becomes the host's.  @td: what it counts for, if that matters. */
void tdx_page_release(TdxPage *page, hwaddr pa, unsigned level, TdxTd *td)
{
    free_object(page);
    for (uint64_t i = 0; i < tdx_level_size(level); i += TDX_PAGE) {
        tdx_memory_release(pa + i);
    }
    page->owner = 0;
    qatomic_set(&page->type, TDX_PT_NDA);
    if (td) {
        qatomic_sub(&td->chldcnt, tdx_level_size(level) / TDX_PAGE);
    }
}

/* TDH.PHYMEM */

static uint64_t phymem_walk(TdxCall *call, hwaddr pa, bool exclusive,
                            unsigned *level, TdxPage **page)
{
    static const int outputs[] = { R_ECX, R_EDX, 8, 9, 10, 11 };

    for (int i = 0; i < ARRAY_SIZE(outputs); i++) {
        call->regs[outputs[i]] = 0;
    }
    if (!tdx_hpa_valid(pa)) {
        return TDX_OPERAND_INVALID | TDX_OP_RCX;
    }
    *level = TDX_4K;
    return walk(call, pa, TDX_OP_RCX, level, exclusive, page);
}

uint64_t tdh_phymem_page_rdmd(TdxCall *call)
{
    unsigned level;
    TdxPage *page;
    uint64_t status = phymem_walk(call, call->regs[R_ECX], false, &level,
                                  &page);

    if (status) {
        return status;
    }
    call->regs[R_ECX] = page->type;
    call->regs[R_EDX] = page->owner;
    call->regs[8] = level;
    if (page->type == TDX_PT_REG || page->type == TDX_PT_EPT) {
        call->regs[9] = qatomic_read(&page->bepoch);
    }
    return TDX_SUCCESS;
}

uint64_t tdh_phymem_page_reclaim(TdxCall *call)
{
    hwaddr pa = call->regs[R_ECX];
    TdxPage *page, *tdr;
    unsigned level;
    uint64_t status = phymem_walk(call, pa, true, &level, &page);
    TdxTd *td, *parent = NULL;

    if (status) {
        return status;
    }
    if (page->type == TDX_PT_NDA || page->type == TDX_PT_RSVD) {
        return TDX_PAGE_METADATA_INCORRECT | TDX_OP_RCX;
    }
    call->regs[R_ECX] = page->type;
    call->regs[R_EDX] = page->owner;
    call->regs[8] = level;
    if (pa & (tdx_level_size(level) - 1)) {
        return TDX_OPERAND_INVALID | TDX_OP_RCX;
    }
    if (page->type == TDX_PT_TDR) {
        td = page->object;
        if (td->lifecycle != TDX_TD_TEARDOWN) {
            return TDX_LIFECYCLE_STATE_INCORRECT;
        }
        if (td->chldcnt) {
            return TDX_TD_ASSOCIATED_PAGES_EXIST;
        }
    } else {
        tdr = tdx_page_entry(page->owner, TDX_4K);
        if (!tdx_hold(&call->holds, &tdr->lock, false)) {
            return TDX_OPERAND_BUSY | TDX_OP_TDR;
        }
        parent = tdr->object;
        if (parent->lifecycle != TDX_TD_TEARDOWN) {
            return TDX_LIFECYCLE_STATE_INCORRECT;
        }
    }
    tdx_page_release(page, pa, level, parent);
    return TDX_SUCCESS;
}

/* There is no cache here, but the page must be one that the host may write. */
uint64_t tdh_phymem_page_wbinvd(TdxCall *call)
{
    uint64_t pa = call->regs[R_ECX];
    TdxPage *page;

    return tdx_page_get(call, pa & ~TDX_KEYID_MASK, TDX_OP_RCX, TDX_4K,
                        TDX_PT_NDA, false, &page);
}

/* The end */

void tdx_tdmr_reset(void)
{
    for (unsigned i = 0; i < tdmrs.nr; i++) {
        Tdmr *tdmr = &tdmrs.tdmr[i];

        for (uint64_t b = 0; b < tdmr->info.size / TDX_1G; b++) {
            PamtBlock *block = tdmr->blocks[b];

            for (int j = 0; block && j < ARRAY_SIZE(block->p4k); j++) {
                free_object(&block->p4k[j]);
            }
            g_free(block);
        }
        g_free(tdmr->blocks);
    }
    memset(&tdmrs, 0, sizeof(tdmrs));
}

/* All pages of the TDMR's PAMT itself */
static void release_pamt(Tdmr *tdmr)
{
    for (int p = 0; p < 3; p++) {
        for (uint64_t i = 0; i < tdmr->info.pamt[p].size; i += TDX_PAGE) {
            hwaddr pa = tdmr->info.pamt[p].base + i;

            if (tdx_memory_owner(pa)) {
                tdx_memory_release(pa);
            }
        }
    }
}

/* A page of 4 KiB, or all of the larger one that it is in */
static void release_at(hwaddr pa)
{
    TdxPage *page;

    for (int level = TDX_2M; level >= TDX_4K; level--) {
        page = tdx_page_entry(pa, level);
        if (page && page->type != TDX_PT_NDA && page->type != TDX_PT_RSVD) {
            tdx_page_release(page, pa & -tdx_level_size(level), level,
                             NULL);
            return;
        }
    }
}

bool tdx_tdmr_release(void)
{
    for (unsigned n = 0; tdmrs.release_tdmr < tdmrs.nr; n++) {
        Tdmr *tdmr = &tdmrs.tdmr[tdmrs.release_tdmr];

        if (n == RELEASE_STEP) {
            return false;
        }
        if (tdmrs.release_next < tdmr->info.size) {
            release_at(tdmr->info.base + tdmrs.release_next);
            tdmrs.release_next += TDX_PAGE;
            continue;
        }
        release_pamt(tdmr);
        tdmrs.release_next = 0;
        tdmrs.release_tdmr++;
    }
    tdx_tdmr_reset();
    tdx_keys_drop();
    return true;
}
