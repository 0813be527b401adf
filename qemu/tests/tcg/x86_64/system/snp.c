/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD Secure Nested Paging: the rules of the Reverse Map Table
 *
 * Each table below is a sequence: a row is a step, and what it must give.  Run
 * it with
 *   -M q35 -m 1G -cpu EPYC-Milan,+svm,+sev,+sev-es,+sev-snp,+rmpread,
 *   phys-bits=52 -device amd-psp,addr=4 -device amd-iommu
 *   -device edu,addr=5,dma_mask=0xffffffff
 */
#include "snp.h"

/* The instructions of the hypervisor */

enum { UPDATE, SMASH };

static const struct {
    const char *what;
    int op;
    uint64_t pa;
    struct rmp_state state;
    int result;
} updates[] = {
    { "2M that is not aligned", UPDATE, R0 + 4096, { 0, 1, 1, 0, 0, 1 }, 1 },
    { "not assigned, with ASID", UPDATE, R0, { 0, 0, 0, 0, 0, 1 }, 1 },
    { "not assigned, immutable", UPDATE, R0, { 0, 0, 0, 1, 0, 0 }, 1 },
    { "an ASID that there is not", UPDATE, R0, { 0, 1, 0, 0, 0, 64 }, 1 },
    { "not covered", UPDATE, 1ul << 40, { 0, 1, 0, 0, 0, 1 }, 1 },
    { "4K", UPDATE, R0 + 4096, { 0x7000, 1, 0, 0, 0, 1 }, 0 },
    { "2M over 4K", UPDATE, R0, { 0x200000, 1, 1, 0, 0, 1 }, 4 },
    { "2M to the hypervisor over 4K", UPDATE, R0, { 0, 0, 1, 0, 0, 0 }, 4 },
    { "4K, another guest's", UPDATE, R0 + 4096, { 0x9000, 1, 0, 0, 0, 2 }, 0 },
    { "back", UPDATE, R0 + 4096, { }, 0 },
    { "2M", UPDATE, R0, { 0x200000, 1, 1, 0, 0, 1 }, 0 },
    { "4K in 2M", UPDATE, R0 + 4096, { 0x7000, 1, 0, 0, 0, 1 }, 4 },
    { "4K, first of 2M", UPDATE, R0, { }, 4 },
    { "2M again", UPDATE, R0, { 0x400000, 1, 1, 0, 0, 1 }, 0 },
    { "smash what is not aligned", SMASH, R0 + 4096, { }, 1 },
    { "smash 4K", SMASH, R1, { }, 7 },
    { "smash what is not covered", SMASH, 1ul << 40, { }, 1 },
    { "smash", SMASH, R0, { }, 0 },
    { "smash again", SMASH, R0, { }, 7 },
    { "4K of what was smashed", UPDATE, R0 + 4096, { }, 0 },
    { "immutable", UPDATE, R1, { 0, 1, 0, 1, 0, 0 }, 0 },
    { "what is immutable", UPDATE, R1, { }, 2 },
    { "2M over immutable", UPDATE, R1, { 0, 1, 1, 0, 0, 1 }, 2 },
    { "2M, immutable", UPDATE, R2, { 0x200000, 1, 1, 1, 0, 1 }, 0 },
    { "smash immutable", SMASH, R2, { }, 7 },
};

static void test_updates(void)
{
    for (int i = 0; i < ARRAY_SIZE(updates); i++) {
        struct rmp_state state = updates[i].state;
        uint64_t got = updates[i].op == UPDATE ?
                       rmpupdate(updates[i].pa, &state) : psmash(updates[i].pa);

        expect(updates[i].what, got, updates[i].result);
        expect(updates[i].what, last_fault(), NO_FAULT);
    }
}

/* What they have left */
static const struct {
    const char *what;
    uint64_t pa;
    int result;
    struct rmp_state state;
} reads[] = {
    { "read: first that was smashed", R0, 0, { 0x400000, 1, 2, 0, 0, 1 } },
    { "read: given back", R0 + 4096, 0, { } },
    { "read: third", R0 + 2 * 4096, 0, { 0x402000, 1, 0, 0, 0, 1 } },
    { "read: last", R0 + 511 * 4096, 0, { 0x5ff000, 1, 0, 0, 0, 1 } },
    { "read: the firmware's", R1, 0, { 0, 1, 2, 1, 0, 0 } },
    { "read: beside it", R1 + 4096, 0, { } },
    { "read: 2M", R2, 0, { 0x200000, 1, 3, 1, 0, 1 } },
    { "read: in 2M", R2 + 4096, 0, { 0, 1, 0, 0, 0, 0 } },
    { "read: never assigned", R3, 0, { } },
    { "read: not covered", 1ul << 40, 1, { } },
};

static void test_reads(void)
{
    for (int i = 0; i < ARRAY_SIZE(reads); i++) {
        struct rmp_state state = { };

        expect(reads[i].what, rmpread(reads[i].pa, &state), reads[i].result);
        expect(reads[i].what, state.gpa, reads[i].state.gpa);
        expect(reads[i].what, *(uint64_t *)&state.assigned,
               *(uint64_t *)&reads[i].state.assigned);
    }
}

/* Accesses of the host to what is so then */
static const struct {
    const char *what;
    uint64_t va;
    bool is_store;
    uint64_t fault;
} accesses[] = {
    { "load, guest's page", SMALL + R0, false, NO_FAULT },
    { "store, guest's page", SMALL + R0, true, PF(RMP | 3) },
    { "load again", SMALL + R0, false, NO_FAULT },
    { "store again", SMALL + R0, true, PF(RMP | 3) },
    { "store, page given back", SMALL + R0 + 4096, true, NO_FAULT },
    { "store, page given back, by 2M", R0 + 4096, true, PF(RMP | 3) },
    { "load by 2M", R0 + 4096, false, NO_FAULT },
    { "store, firmware's page", SMALL + R1, true, PF(RMP | 3) },
    { "store, beside it", SMALL + R1 + 4096, true, NO_FAULT },
    { "store, beside it, by 2M", R1 + 4096, true, PF(RMP | 3) },
    { "store, in guest's 2M", SMALL + R2 + 8192, true, PF(RMP | 3) },
    { "store, in guest's 2M, by 2M", R2 + 8192, true, PF(RMP | 3) },
    { "store, never assigned", SMALL + R3, true, NO_FAULT },
    { "store, never assigned, by 2M", R3 + 8192, true, NO_FAULT },
};

static void test_accesses(void)
{
    for (int i = 0; i < ARRAY_SIZE(accesses); i++) {
        if (accesses[i].is_store) {
            store(accesses[i].va);
        } else {
            load(accesses[i].va);
        }
        expect(accesses[i].what, last_fault(), accesses[i].fault);
        if (accesses[i].fault) {
            expect(accesses[i].what, fault.cr2, accesses[i].va);
        }
    }
}

/* A TLB entry that allows a store must not outlive an update. */
static void test_flush(void)
{
    struct rmp_state state = { .assigned = 1, .asid = 1 }, none = { };

    store(SMALL + R3);
    expect("store before", last_fault(), NO_FAULT);
    rmpupdate(R3, &state);
    store(SMALL + R3);
    expect("store after", last_fault(), PF(RMP | 3));
    store(R3 + 8192);
    expect("store after, by 2M", last_fault(), PF(RMP | 3));
    rmpupdate(R3, &none);
    store(R3 + 8192);
    expect("store once more", last_fault(), NO_FAULT);
}

/* The page table of R3's small pages becomes a guest's. */
static void test_page_table(void)
{
    struct rmp_state state = { .assigned = 1, .asid = 1 }, none = { };
    uint64_t va = SMALL + R3, table = TABLES + 3 * 4096;

    rmpupdate(table, &state);
    load(va);
    expect("walk of a guest's page table", last_fault(), PF(RMP | 1));
    expect("walk of a guest's page table", fault.cr2, va);
    rmpupdate(table, &none);
    load(va);
    expect("walk of one's own", last_fault(), NO_FAULT);
}

static void vmrun(uint64_t pa)
{
    TRY("vmrun", :: "a" (pa) : "memory", "r15");
}

static void vmsave(uint64_t pa)
{
    TRY("vmsave", :: "a" (pa) : "memory", "r15");
}

/* R0 is a guest's, R3 is not. */
static void test_svm(void)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | (1 << 12));
    wrmsr(MSR_HSAVE, 0);
    vmrun(R3);
    expect("VMRUN without page for the host", last_fault(), GP);
    wrmsr(MSR_HSAVE, R0);
    expect("a guest's page for the host", last_fault(), GP);
    wrmsr(MSR_HSAVE, R3 + 4096);
    expect("a page for the host", last_fault(), NO_FAULT);
    vmrun(R0);
    expect("VMRUN, guest's VMCB", last_fault(), GP);
    vmsave(R0);
    expect("VMSAVE to a guest", last_fault(), GP);
    vmsave(R3);
    expect("VMSAVE", last_fault(), NO_FAULT);
    vmsave(PSP_BAR);
    expect("VMSAVE to a device", last_fault(), NO_FAULT);
    wrmsr(MSR_HSAVE, 0);
}

static void test_disabled(void)
{
    struct rmp_state state = { };
    uint64_t base = rdmsr(MSR_RMP_BASE), end = rdmsr(MSR_RMP_END);

    check(base && end > base, "RMP_BASE and RMP_END", base, end);
    rmpupdate(R0, &state);
    expect("RMPUPDATE, disabled", last_fault(), UD);
    psmash(R0);
    expect("PSMASH, disabled", last_fault(), UD);
    rmpread(R0, &state);
    expect("RMPREAD, disabled", last_fault(), UD);
    wrmsr(MSR_RMP_BASE, base | 1ul << 52);
    expect("RMP_BASE of 53 bits", last_fault(), GP);
    wrmsr(MSR_RMP_BASE, base | 0x1fff);
    expect("RMP_BASE", last_fault(), NO_FAULT);
    expect("RMP_BASE is aligned", rdmsr(MSR_RMP_BASE), base);
    wrmsr(MSR_RMP_END, end & ~0x1ffful);
    expect("RMP_END is aligned", rdmsr(MSR_RMP_END), end);
}

static void test_enable(void)
{
    wrmsr(MSR_SYSCFG, rdmsr(MSR_SYSCFG) | SYSCFG_SNP);
    expect("SYSCFG", rdmsr(MSR_SYSCFG) & SYSCFG_SNP, SYSCFG_SNP);
    wrmsr(MSR_SYSCFG, 0);
    expect("SYSCFG cannot be written", last_fault(), NO_FAULT);
    expect("SYSCFG is as before", rdmsr(MSR_SYSCFG) & SYSCFG_SNP, SYSCFG_SNP);
    wrmsr(MSR_RMP_BASE, rdmsr(MSR_RMP_BASE));
    expect("RMP_BASE, enabled", last_fault(), GP);
    wrmsr(MSR_RMP_END, rdmsr(MSR_RMP_END));
    expect("RMP_END, enabled", last_fault(), GP);
    wrmsr(MSR_MTRR_FIX, 0);
    expect("fixed MTRR, enabled", last_fault(), GP);
}

/* DMA: a device behind the IOMMU copies between memory and its buffer. */

#define EDU_SLOT        5
#define EDU_BAR         0xfe100000ul
#define EDU_BUFFER      0x40000ul
#define DEVICE_TABLE    (TABLES + 64 * 1024)
#define DMA_LEN         64

static void dma(uint64_t from, uint64_t to, bool to_memory)
{
    MEM64(EDU_BAR + 0x80) = from;
    MEM64(EDU_BAR + 0x88) = to;
    MEM64(EDU_BAR + 0x90) = DMA_LEN;
    MEM64(EDU_BAR + 0x98) = 1 | to_memory << 1;
    while (MEM64(EDU_BAR + 0x98) & 1) {
        asm volatile("pause");
    }
}

/* A device copies from one page to another. */
static void dma_copy(uint64_t from, uint64_t to)
{
    dma(from, EDU_BUFFER, false);
    dma(EDU_BUFFER, to, true);
}

static bool is_same(uint64_t a, uint64_t b)
{
    for (int i = 0; i < DMA_LEN; i += 8) {
        if (MEM64(a + i) != MEM64(b + i)) {
            return false;
        }
    }
    return true;
}

/* No device is translated: all entries of its table are 0. */
static void setup_dma(void)
{
    for (int i = 0; i < 8192; i += 8) {
        MEM64(DEVICE_TABLE + i) = 0;
    }
    MEM64(IOMMU) = DEVICE_TABLE | 1;
    pci_write(EDU_SLOT, 0x10, EDU_BAR);
    pci_write(EDU_SLOT, 0x04, 6);
}

#define STATUS_PAGE     (R2 + 0x1000)
#define GCTX            (R2 + 0x2000)
#define GCTX2           (R2 + 0x3000)
#define GUEST           (R2 + 0x4000)
#define POLICY          0x30000ul
#define PATTERN         (R3 + 0x6000)
#define COPY            (R3 + 0x7000)

/* With pages of each kind, GUEST's and the one behind it encrypted */
static void test_dma(void)
{
    static const struct {
        const char *what;
        uint64_t pa;
        bool may_write;
    } writes[] = {
        { "DMA to a page of ours", R3 + 0x8000, true },
        { "DMA to a context", GCTX, false },
        { "DMA to a page of the firmware's", GCTX2, false },
        { "DMA to a guest", GUEST, false },
        { "DMA to a page of ours again", R3 + 0x8000, true },
    };
    struct rmp_state none = { };

    for (int i = 0; i < DMA_LEN; i += 8) {
        MEM64(PATTERN + i) = 0x0123456789abcdef * (i + 1);
    }
    for (int i = 0; i < ARRAY_SIZE(writes); i++) {
        dma_copy(PATTERN, writes[i].pa);
        expect(writes[i].what, is_same(writes[i].pa, PATTERN),
               writes[i].may_write);
    }
    dma_copy(PATTERN, rdmsr(MSR_RMP_BASE));
    expect("DMA to the RMP", is_same(rdmsr(MSR_RMP_BASE), PATTERN), 0);

    /* What devices see is what the host sees, whoever is first to look. */
    dma_copy(GUEST + 0x1000, COPY);
    expect("DMA from a guest: ciphertext", is_same(COPY, GUEST + 0x1000), 1);
    expect("give it back", rmpupdate(GUEST + 0x2000, &none), 0);
    dma_copy(PATTERN, GUEST + 0x2000);
    expect("DMA to what was a guest's", is_same(GUEST + 0x2000, PATTERN), 1);
}

static void test_init(void)
{
    expect("status, uninitialized", psp1(0x83, STATUS_PAGE), 0);
    expect("API", *(uint32_t *)STATUS_PAGE & 0xffff, 55 << 8 | 1);
    expect("a context, uninitialized", psp1(0x93, GCTX), 1);
    expect("INIT without RMP", init_ex(0), 0x20);
    expect("INIT, reserved flag", init_ex(0x81), 0x16);
    wrmsr(MSR_HSAVE, R3);
    expect("INIT with HSAVE", init_ex(1), 3);
    wrmsr(MSR_HSAVE, 0);
    expect("INIT without IOMMU", init_ex(1), 3);
    MEM64(IOMMU + 0x18) = 1;
    expect("INIT", init_ex(1), 0);
    expect("INIT again", init_ex(1), 1);
    store(rdmsr(MSR_RMP_BASE));
    expect("store to the RMP", last_fault(), PF(RMP | 3));
    store(SMALL + R0);
    expect("all pages are the hypervisor's", last_fault(), NO_FAULT);
}

static void test_launch(void)
{
    struct rmp_state none = { }, state;

    expect("context in a page of ours", psp1(0x93, GCTX), 0x1a);
    make(GCTX, 0, 0, 1, 0);
    make(GCTX2, 0, 0, 1, 0);
    expect("no context", psp3(0xa0, GCTX, POLICY, 0), 0x10);
    /* RECEIVE_UPDATE_DATA, before INIT of SEV */
    arg[4] = 4096;
    arg[3] = R3 | (1ul << 51);
    expect("receive in a page of ours", psp1(0x51, 1), 0x1a);
    arg[3] = GCTX2 | (1ul << 51);
    expect("receive in a page of the firmware's", psp1(0x51, 1), 1);
    arg[4] = 0;
    expect("context", psp1(0x93, GCTX), 0);
    expect("context twice", psp1(0x93, GCTX), 0x1a);
    expect("what is a context", rmpupdate(GCTX, &none), 2);
    expect("reclaim a context", psp1(0xc7, GCTX), 0x1a);
    arg[3] = 0;
    expect("policy without VMPL", psp3(0xa0, GCTX, 0x10000, 0), 7);
    expect("policy of API 1.56", psp3(0xa0, GCTX, POLICY | 0x138, 0), 7);
    expect("ACTIVATE too early", psp3(0x91, GCTX, 1, 0), 2);
    expect("LAUNCH_START", psp3(0xa0, GCTX, POLICY | 1 << 19, 0), 0);
    expect("LAUNCH_START again", psp3(0xa0, GCTX, POLICY, 0), 2);

    make(GUEST, 0x5000, 0, 1, 1);
    expect("update, inactive", launch_update(GCTX, 1 << 1, GUEST), 8);
    expect("ACTIVATE, ASID with pages", psp3(0x91, GCTX, 1, 0), 3);
    expect("ACTIVATE, ASID 0", psp3(0x91, GCTX, 0, 0), 0x0d);
    expect("ACTIVATE, ASID of SEV", psp3(0x91, GCTX, 40, 0), 0x0d);
    expect("ACTIVATE, not flushed", psp3(0x91, GCTX, 2, 0), 0x0f);
    wbinvd();
    expect("DF_FLUSH", psp(0x84, 0), 0);
    expect("ACTIVATE", psp3(0x91, GCTX, 2, 0), 0);
    expect("ACTIVATE again", psp3(0x91, GCTX, 3, 0), 0x12);
    expect("ACTIVATE, owned", psp3(0x91, GCTX, 2, 0), 0x0c);

    expect("update, another's", launch_update(GCTX, 1 << 1, GUEST), 0x1c);
    expect("reclaim, 2M", psp1(0xc7, (GUEST & -2 * MB) | 1), 0x19);
    expect("reclaim", psp1(0xc7, GUEST), 0);
    make(GUEST, 0x5000, 0, 0, 2);
    expect("update, mutable", launch_update(GCTX, 1 << 1, GUEST), 0x1a);
    make(GUEST, 0x5000, 0, 1, 2);
    expect("update, 2M", launch_update(GCTX, 1 << 1 | 1, GUEST), 0x19);
    expect("update, no type", launch_update(GCTX, 0, GUEST), 0x16);
    expect("update, type 7", launch_update(GCTX, 7 << 1, GUEST), 0x16);
    expect("update", launch_update(GCTX, 1 << 1, GUEST), 0);
    expect("updated: no pre-guest page", launch_update(GCTX, 2, GUEST), 0x1a);
    expect("read", rmpread(GUEST, &state), 0);
    expect("updated: not immutable", state.immutable, 0);
    store(SMALL + GUEST);
    expect("store to a guest", last_fault(), PF(RMP | 3));

    make(GUEST + 0x1000, 0x6000, 0, 1, 2);
    MEM32(SMALL + R3) = 0;
    expect("update, secrets", launch_update(GCTX, 5 << 1, GUEST + 0x1000), 0);
    make(GUEST + 0x2000, 0x7000, 0, 1, 2);
    expect("update, secrets", launch_update(GCTX, 5 << 1, GUEST + 0x2000), 0);
    test_dma();

    expect("decrypt to a page of ours", psp3(0xb0, GCTX, GUEST, R3), 0x1a);
    expect("decrypt", psp3(0xb0, GCTX, GUEST, GCTX2), 0);
    expect("decrypt, nobody's", psp3(0xb0, GCTX, R3, GCTX2), 0x1a);
    for (int i = 0; i < 8; i++) {
        arg[i] = 0;
    }
    expect("LAUNCH_FINISH", psp1(0xa2, GCTX), 0);
    expect("LAUNCH_FINISH again", psp1(0xa2, GCTX), 2);
    expect("SHUTDOWN, active", psp(0x82, 0), 0x0f);
    expect("DECOMMISSION", psp1(0x90, GCTX), 0);
    expect("DECOMMISSION again", psp1(0x90, GCTX), 0x10);
    expect("reclaim what was a context", psp1(0xc7, GCTX), 0);
    expect("give it back", rmpupdate(GCTX, &none), 0);
}

/* 512 pages to one */
static void test_unsmash(void)
{
    struct rmp_state none = { };

    for (int i = 0; i < 512; i++) {
        make(R1 + i * 4096, 0x600000 + i * 4096, 0, 0, 3);
    }
    expect("unsmash, mutable", psp1(0xc8, R1), 0x1a);
    for (int i = 0; i < 512; i++) {
        make(R1 + i * 4096, 0x600000 + i * 4096, 0, 1, 3);
    }
    expect("unsmash", psp1(0xc8, R1), 0);
    expect("reclaim 4K of 2M", psp1(0xc7, R1), 0x19);
    expect("reclaim 2M", psp1(0xc7, R1 | 1), 0);
    expect("in 2M", rmpupdate(R1 + 4096, &none), 4);
    expect("smash", psmash(R1), 0);
    expect("4K", rmpupdate(R1 + 4096, &none), 0);
}

static void test_shutdown(void)
{
    struct rmp_state state;

    expect("SHUTDOWN_EX, not flushed", psp1(0x86, 8 | 3ul << 32), 0x0f);
    expect("DF_FLUSH without WBINVD", psp(0x84, 0), 0x0e);
    wbinvd();
    expect("DF_FLUSH", psp(0x84, 0), 0);
    expect("SHUTDOWN_EX, x86 alone", psp1(0x86, 8 | 2ul << 32), 0x16);
    expect("SHUTDOWN_EX, length", psp1(0x86, 12 | 3ul << 32), 0x16);
    expect("SHUTDOWN_EX", psp1(0x86, 8 | 3ul << 32), 0);
    rmpread(R0, &state);
    expect("disabled", last_fault(), UD);
    store(rdmsr(MSR_RMP_BASE));
    expect("store to what was the RMP", last_fault(), NO_FAULT);
}

int main(void)
{
    setup();
    setup_dma();
    test_disabled();
    test_enable();
    test_updates();
    test_reads();
    test_accesses();
    test_flush();
    test_page_table();
    test_svm();
    test_init();
    test_launch();
    test_unsmash();
    test_shutdown();
    return result();
}
