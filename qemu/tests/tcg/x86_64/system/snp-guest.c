/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD Secure Nested Paging: what an SNP guest can do and what is done to it
 *
 * The guest is a page of code that executes what a shared page tells it to, and
 * writes there what has happened.  Each row of the tables below is a step: what
 * the hypervisor does to the page that is tested, what the guest does, and what
 * it or the hypervisor must see.  Options of QEMU: as for snp.c.
 */
#include "snp.h"
#include "snp-guest.h"

#define PAGE            4096ul
#define CBIT            (1ul << 51)

/* Pages of the guest are at G + gpa; its page of 2 MiB, at gpa 2 MiB, at L. */
#define G               (80 * MB)
#define L               (90 * MB)
/* Of the hypervisor: mapped by 2 MiB, and none of them is assigned. */
#define HOST            (100 * MB)
#define VMCB            (HOST + 0 * PAGE)
#define HSAVE           (HOST + 1 * PAGE)
#define NPT             (HOST + 2 * PAGE)      /* four tables, a fifth for L */
#define SHARED          (HOST + 8 * PAGE)
#define GCTX            (R2 + 2 * PAGE)

#define ASID            5

/* gpa, and gva by the guest's page tables */
#define P               0x10000ul
#define VMSA1_GPA       0x7000ul
#define SHARED_GPA      0x8000ul
#define CODE            0x100000ul
#define TABLES_GPA      0x101000ul              /* four tables */
#define IDT_GPA         0x105000ul
#define STACK_GPA       0x106000ul
#define ALIAS           0x1f0000ul              /* of P, without C-bit */
#define P2M             0x200000ul

#define VMSA0           (G + 0x6000)
#define VMSA1           (G + VMSA1_GPA)         /* VMPL1 */
#define VMSA2           (G + 0x5000)            /* busy */

static struct shared *const shared = (void *)SHARED;

static void put64(uint64_t at, uint64_t val)
{
    MEM64(at) = val;
}

static uint64_t get64(uint64_t at)
{
    return MEM64(at);
}

static void clear(uint64_t at)
{
    for (int i = 0; i < 512; i++) {
        put64(at + 8 * i, 0);
    }
}

/* Nested page tables: 4 KiB for the first 2 MiB, one page for the second */
static void make_npt(void)
{
    for (int i = 0; i < 5; i++) {
        clear(NPT + i * PAGE);
    }
    put64(NPT, (NPT + PAGE) | 7);
    put64(NPT + PAGE, (NPT + 2 * PAGE) | 7);
    put64(NPT + 2 * PAGE, (NPT + 3 * PAGE) | 7);
    put64(NPT + 2 * PAGE + 8, L | 0x87);
    for (int i = 0; i < 512; i++) {
        put64(NPT + 3 * PAGE + 8 * i, (G + i * PAGE) | 7);
        put64(NPT + 4 * PAGE + 8 * i, (L + i * PAGE) | 7);
    }
    put64(NPT + 3 * PAGE + 8 * (SHARED_GPA / PAGE), SHARED | 7);
}

static void guest_gate(int vector, char *handler)
{
    uint64_t at = CODE + (handler - guest), gate = G + IDT_GPA + 16 * vector;

    put64(gate, (at & 0xffff) | 8 << 16 | 0x8e00ul << 32 | at >> 16 << 48);
    put64(gate + 8, 0);
}

static void make_guest_pages(void)
{
    uint64_t tables = G + TABLES_GPA, gpa = TABLES_GPA;

    for (uint64_t page = G + CODE; page <= G + STACK_GPA; page += PAGE) {
        clear(page);
    }
    for (int i = 0; i < guest_end - guest; i++) {
        ((char *)G + CODE)[i] = guest[i];
    }
    put64(tables, (gpa + PAGE) | CBIT | 3);
    put64(tables + PAGE, (gpa + 2 * PAGE) | CBIT | 3);
    put64(tables + 2 * PAGE, (gpa + 3 * PAGE) | CBIT | 3);
    put64(tables + 2 * PAGE + 8, P2M | CBIT | 0x83);
    for (int i = 0; i < 512; i++) {
        put64(tables + 3 * PAGE + 8 * i, i * PAGE | CBIT | 3);
    }
    put64(tables + 3 * PAGE + 8 * (SHARED_GPA / PAGE), SHARED_GPA | 3);
    put64(tables + 3 * PAGE + 8 * (ALIAS / PAGE), P | 3);
    guest_gate(6, guest_handler_6);
    guest_gate(13, guest_handler_13);
    guest_gate(14, guest_handler_14);
    guest_gate(29, guest_handler_29);
    /* The GDT is behind the IDT. */
    put64(G + IDT_GPA + 0x808, 0x00af9b000000ffff);
    put64(G + IDT_GPA + 0x810, 0x00cf93000000ffff);
}

static void put_seg(uint64_t at, uint16_t sel, uint16_t attrib, uint32_t limit,
                    uint64_t base)
{
    put64(at, sel | (uint64_t)attrib << 16 | (uint64_t)limit << 32);
    put64(at + 8, base);
}

static void make_vmsa(uint64_t at, int vmpl, bool busy)
{
    clear(at);
    for (int i = 0; i < 6; i++) {
        put_seg(at + i * 16, i == 1 ? 8 : 16, i == 1 ? 0xa9b : 0xc93, -1, 0);
    }
    put_seg(at + 0x60, 0, 0, 0x17, IDT_GPA + 0x800);
    put_seg(at + 0x70, 0, 0x82, 0, 0);
    put_seg(at + 0x80, 0, 0, 0x7ff, IDT_GPA);
    put_seg(at + 0x90, 0, 0x8b, 0xffff, 0);
    *(uint8_t *)(at + 0xca) = vmpl;
    put64(at + 0xd0, 0x1500);
    put64(at + 0x148, 0x60);
    put64(at + 0x150, TABLES_GPA | CBIT);
    put64(at + 0x158, 0x80010033);
    put64(at + 0x160, 0x400);
    put64(at + 0x168, 0xffff0ff0);
    put64(at + 0x170, 2);
    put64(at + 0x178, CODE);
    put64(at + 0x1d8, STACK_GPA + PAGE);
    put64(at + 0x268, 0x0007040600070406);
    put64(at + 0x3b0, 1);
    put64(at + 0x3b8, busy ? 1ul << 63 : 0);
    put64(at + 0x3e8, 1);
    put64(at + 0x408, 0x1f80);
    put64(at + 0x410, 0x37f);
}

static void launch(uint64_t gpa, int type, uint32_t perms)
{
    make(G + gpa, gpa, 0, 1, ASID);
    arg[3] = perms << 8;
    expect("launch", psp3(0xa1, GCTX, type << 1, G + gpa), 0);
}

static void launch_guest(void)
{
    make_npt();
    make_guest_pages();
    make_vmsa(VMSA0, 0, false);
    make_vmsa(VMSA1, 1, false);
    make_vmsa(VMSA2, 0, true);
    make(GCTX, 0, 0, 1, 0);
    expect("context", psp1(0x93, GCTX), 0);
    arg[3] = 0;
    expect("start", psp3(0xa0, GCTX, 0x30000, 0), 0);
    wbinvd();
    expect("flush", psp(0x84, 0), 0);
    expect("activate", psp3(0x91, GCTX, ASID, 0), 0);
    for (uint64_t gpa = CODE; gpa <= STACK_GPA; gpa += PAGE) {
        launch(gpa, 1, 0xf);
    }
    for (uint64_t gpa = 0x5000; gpa <= 0x7000; gpa += PAGE) {
        launch(gpa, 2, 0);
    }
    for (int i = 0; i < 8; i++) {
        arg[i] = 0;
    }
    expect("finish", psp1(0xa2, GCTX), 0);
}

/* A world switch */

static void make_vmcb(void)
{
    clear(VMCB);
    put64(VMCB + 0x10, 1);                      /* intercept VMRUN */
    put64(VMCB + 0x58, ASID | 3ul << 32);
    put64(VMCB + 0x90, 7);                      /* NPT, SEV, SEV-ES */
    put64(VMCB + 0xb0, NPT);
    put64(VMCB + 0xb8, 1);
    put64(VMCB + 0x40, 0x200000);               /* bitmaps: any memory */
    put64(VMCB + 0x48, 0x200000);
}

static uint64_t run(uint64_t vmsa)
{
    put64(VMCB + 0x108, vmsa);
    put64(HSAVE + 0x400 + 0x3e8, 1);
    asm volatile("push %%rbx\n push %%rbp\n push %%r12\n push %%r13\n"
                 "push %%r14\n push %%r15\n"
                 "mov %1, %%rax\n vmsave\n"
                 "mov %0, %%rax\n vmrun\n"
                 "pop %%r15\n pop %%r14\n pop %%r13\n pop %%r12\n"
                 "pop %%rbp\n pop %%rbx\n"
                 :: "i" (VMCB), "i" (HSAVE)
                 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
                   "memory", "cc");
    return get64(VMCB + 0x70);
}

#define EXIT_NPF        0x400
#define EXIT_VMGEXIT    0x403

#define NPF_P           (1ul << 0)
#define NPF_W           (1ul << 1)
#define NPF_U           (1ul << 2)
#define NPF_I           (1ul << 4)
#define NPF_RMP         (1ul << 31)
#define NPF_GPA         (1ul << 32)
#define NPF_GPT         (1ul << 33)
#define NPF_ENC         (1ul << 34)
#define NPF_SIZEM       (1ul << 35)
#define NPF_VMPL        (1ul << 36)
#define NPF             (NPF_P | NPF_U | NPF_RMP | NPF_GPA)

/* What the hypervisor does to P or to the pages of 2 MiB before a step */
enum { NOTHING, NOT_ASSIGNED, OTHER_ASID, OTHER_GPA, ASSIGNED, IMMUTABLE,
       LARGE, SMASH, SMALL_NPT, ZERO, TABLE_AWAY, TABLE_BACK };

static void update(uint64_t pa, uint64_t gpa, int size, int immutable, int asid)
{
    struct rmp_state state = { gpa, 1, size, immutable, 0, asid };

    expect("update", rmpupdate(pa, &state), 0);
}

static void do_host(int what)
{
    struct rmp_state none = { };

    switch (what) {
    case NOT_ASSIGNED:
        expect("update", rmpupdate(G + P, &none), 0);
        break;
    case OTHER_ASID:
        update(G + P, P, 0, 0, ASID + 1);
        break;
    case OTHER_GPA:
        update(G + P, P + PAGE, 0, 0, ASID);
        break;
    case ASSIGNED:
        update(G + P, P, 0, 0, ASID);
        break;
    case IMMUTABLE:
        update(G + P, P, 0, 1, ASID);
        break;
    case LARGE:
        update(L, P2M, 1, 0, ASID);
        break;
    case SMASH:
        expect("smash", psmash(L), 0);
        break;
    case SMALL_NPT:
        put64(NPT + 2 * PAGE + 8, (NPT + 4 * PAGE) | 7);
        break;
    case ZERO:
        update(G, 0, 0, 0, ASID);
        break;
    case TABLE_AWAY:
        update(G + TABLES_GPA + 3 * PAGE, 0, 0, 0, ASID);
        break;
    case TABLE_BACK:
        update(G + TABLES_GPA + 3 * PAGE, TABLES_GPA + 3 * PAGE, 0, 0, ASID);
        break;
    }
}

/* Result of a step: a value, an exception of the guest, or a nested fault */
#define OK(value)       { 0, value }
#define EXC(vector)     { vector, 0 }
#define VC(code)        { 29, code }
#define FAULT(info)     { EXIT_NPF, info }
#define ANY             0xfeedul
#define CARRY           (1ul << 32)

typedef struct Step {
    const char *what;
    int host, op;
    uint64_t addr;
    struct { uint64_t kind, value; } want;
    uint64_t where;
    uint64_t rcx, rdx;
} Step;

static const Step vmpl0_steps[] = {
    { "hypervisor's page", NOT_ASSIGNED, LOAD, P, FAULT(NPF | NPF_ENC), P },
    { "other guest's page", OTHER_ASID, LOAD, P, FAULT(NPF | NPF_ENC), P },
    { "store to it", NOTHING, STORE, P, FAULT(NPF | NPF_ENC | NPF_W), P },
    { "fetch from it", NOTHING, EXEC, P, FAULT(NPF | NPF_ENC | NPF_I), P },
    { "validate it", NOTHING, PVALIDATE, P, FAULT(NPF | NPF_ENC), P, 0, 1 },
    { "page of other address", OTHER_GPA, LOAD, P, FAULT(NPF | NPF_ENC), P },
    { "not validated", ASSIGNED, LOAD, P, VC(0x404), P },
    { "not validated, store", NOTHING, STORE, P + 8, VC(0x404), P + 8 },
    { "adjust it", NOTHING, RMPADJUST, P, VC(0x404), P, 0, 0xf01 },
    { "validate", NOTHING, PVALIDATE, P, OK(0), 0, 0, 1 },
    { "validate again", NOTHING, PVALIDATE, P, OK(CARRY), 0, 0, 1 },
    { "load", NOTHING, LOAD, P, OK(ANY) },
    { "store", NOTHING, STORE, P, OK(ANY) },
    { "store RET", NOTHING, WRITE_RET, P, OK(ANY) },
    { "fetch", NOTHING, EXEC, P, OK(ANY) },
    { "the same update", ASSIGNED, LOAD, P, OK(ANY) },
    { "shared load", NOTHING, LOAD, ALIAS, OK(ANY) },
    { "shared store", NOTHING, STORE, ALIAS, FAULT(NPF | NPF_W), P },
    { "adjust VMPL0", NOTHING, RMPADJUST, P, OK(2), 0, 0, 0xf00 },
    { "adjust VMPL4", NOTHING, RMPADJUST, P, OK(1), 0, 0, 0xf04 },
    { "adjust VMPL1", NOTHING, RMPADJUST, P, OK(0), 0, 0, 0x001 },
    { "adjust, 2M", NOTHING, RMPADJUST, 0, FAULT(NPF | NPF_ENC), 0, 1, 1 },
    { "adjust, 2M of 4K", ZERO, RMPADJUST, 0, OK(6), 0, 1, 1 },
    { "validate, 2M of 4K", NOTHING, PVALIDATE, 0, OK(6), 0, 1, 1 },
    { "validate, not aligned", NOTHING, PVALIDATE, PAGE, OK(1), 0, 1, 1 },
    { "rescind", NOTHING, PVALIDATE, P, OK(0), 0, 0, 0 },
    { "rescind again", NOTHING, PVALIDATE, P, OK(CARRY), 0, 0, 0 },
    { "load what was rescinded", NOTHING, LOAD, P, VC(0x404), P },
    { "validate once more", NOTHING, PVALIDATE, P, OK(0), 0, 0, 1 },
    { "reassigned", OTHER_GPA, LOAD, P, FAULT(NPF | NPF_ENC), P },
    { "and back", ASSIGNED, LOAD, P, VC(0x404), P },
    { "validate for VMPL1", NOTHING, PVALIDATE, P, OK(0), 0, 0, 1 },
    { "one's own VMSA", NOTHING, LOAD, 0x6000, FAULT(NPF | NPF_ENC), 0x6000 },
    { "CPUID", NOTHING, CPUID, 0, VC(0x72) },
    { "IN", NOTHING, IN, 0, VC(0x7b) },
    { "SEV_STATUS", NOTHING, STATUS, 0, OK(7) },
    { "RMPUPDATE", NOTHING, RMPUPDATE, G + P, OK(2) },

    { "2M, not assigned", NOTHING, LOAD, P2M, FAULT(NPF | NPF_ENC), P2M },
    { "2M, not validated", LARGE, LOAD, P2M + 5 * PAGE, VC(0x404),
      P2M + 5 * PAGE },
    { "2M, validate 4K", NOTHING, PVALIDATE, P2M + PAGE,
      FAULT(NPF | NPF_ENC | NPF_SIZEM), P2M + PAGE, 0, 1 },
    { "2M, validate", NOTHING, PVALIDATE, P2M, OK(0), 0, 1, 1 },
    { "2M, load", NOTHING, LOAD, P2M + 5 * PAGE, OK(ANY) },
    { "2M, store", NOTHING, STORE, P2M + 5 * PAGE, OK(ANY) },
    { "smashed, mapped by 2M", SMASH, LOAD, P2M + PAGE, FAULT(NPF | NPF_ENC),
      P2M + PAGE },
    { "smashed, mapped by 4K", SMALL_NPT, LOAD, P2M + PAGE, OK(ANY) },
    { "smashed, rescind", NOTHING, PVALIDATE, P2M + PAGE, OK(0), 0, 0, 0 },
    { "smashed, load", NOTHING, LOAD, P2M + PAGE, VC(0x404), P2M + PAGE },
    { "smashed, beside", NOTHING, LOAD, P2M + 2 * PAGE, OK(ANY) },
};

/* P has been validated, and VMPL1 may do nothing to it. */
static const Step vmpl1_steps[] = {
    { "VMPL1, load", NOTHING, LOAD, P, FAULT(NPF | NPF_ENC | NPF_VMPL), P },
    { "VMPL1, validate", NOTHING, PVALIDATE, P, EXC(13), 0, 0, 1 },
    { "VMPL1, adjust VMPL1", NOTHING, RMPADJUST, P, OK(2), 0, 0, 0x101 },
    { "VMPL1, adjust VMPL2", NOTHING, RMPADJUST, P, OK(2), 0, 0, 0x102 },
    { "VMPL1, adjust VMPL2 to nothing", NOTHING, RMPADJUST, P, OK(0), 0, 0,
      0x002 },
};

static const Step allow_read[] = {
    { "allow to read", NOTHING, RMPADJUST, P, OK(0), 0, 0, 0x101 },
};

static const Step vmpl1_reads[] = {
    { "VMPL1, load again", NOTHING, LOAD, P, OK(ANY) },
    { "VMPL1, store", NOTHING, STORE, P,
      FAULT(NPF | NPF_ENC | NPF_VMPL | NPF_W), P },
    { "VMPL1, fetch", NOTHING, EXEC, P,
      FAULT(NPF | NPF_ENC | NPF_VMPL | NPF_I), P },
    { "VMPL1, VMPL2 may read", NOTHING, RMPADJUST, P, OK(0), 0, 0, 0x102 },
    { "VMPL1, VMPL2 may write", NOTHING, RMPADJUST, P, OK(2), 0, 0, 0x302 },
};

static const Step last_steps[] = {
    { "immutable", IMMUTABLE, LOAD, P, FAULT(NPF | NPF_ENC), P },
};

static void run_step(const Step *step, uint64_t vmsa)
{
    uint64_t exit, kind, value, where = 0;

    do_host(step->host);
    shared->op = step->op;
    shared->addr = step->addr;
    shared->rcx = step->rcx;
    shared->rdx = step->rdx;
    shared->vector = shared->error = shared->cr2 = 0;
    put64(VMCB + 0xa8, 0);
    exit = run(vmsa);
    if (exit == EXIT_NPF) {
        kind = EXIT_NPF;
        value = get64(VMCB + 0x78);
        where = get64(VMCB + 0x80);
        /* #GP, so that the guest does not try again. */
        put64(VMCB + 0xa8, 13 | 3 << 8 | 1 << 11 | 1ul << 31);
        exit = run(vmsa);
    } else {
        kind = shared->vector;
        value = kind ? shared->error : (uint32_t)shared->result;
        if (!kind && step->op == PVALIDATE && (shared->flags & 1)) {
            value |= CARRY;
        }
        if (kind == 29 && value == 0x404) {
            where = shared->cr2;
        }
    }
    expect(step->what, exit, EXIT_VMGEXIT);
    expect(step->what, kind, step->want.kind);
    if (step->want.value != ANY) {
        expect(step->what, value, step->want.value);
    }
    expect(step->what, where & ~(PAGE - 1), step->where & ~(PAGE - 1));
}

static void run_steps(const Step *steps, int nr, uint64_t vmsa)
{
    for (int i = 0; i < nr; i++) {
        run_step(&steps[i], vmsa);
    }
}

#define RUN(steps, vmsa)    run_steps(steps, ARRAY_SIZE(steps), vmsa)

/* VMSAs that VMRUN does not take; it changes none of them. */
static void test_refused(void)
{
    struct rmp_state none = { };

    expect("VMSA that is no page of VMSA", run(G + CODE), -1);
    expect("VMSA of the hypervisor", run(HOST + 9 * PAGE), -1);
    expect("VMSA that is not aligned", run(VMSA0 + 8), -1);
    expect("VMSA that is busy", run(VMSA2), -2);
    put64(VMCB + 0x58, (ASID + 1) | 3ul << 32);
    expect("VMSA of another ASID", run(VMSA0), -1);
    put64(VMCB + 0x58, ASID | 3ul << 32);
    expect("VMSA, taken away", rmpupdate(VMSA2, &none), 0);
    expect("VMSA that was taken away", run(VMSA2), -1);
}

/* A page table that is not the guest's: the guest cannot even take #VC. */
static void test_table(void)
{
    do_host(TABLE_AWAY);
    put64(VMCB + 0xa8, 0);
    expect("page table of other address", run(VMSA0), EXIT_NPF);
    expect("page table of other address", get64(VMCB + 0x78),
           NPF_P | NPF_U | NPF_W | NPF_RMP | NPF_ENC | NPF_GPT);
    do_host(TABLE_BACK);
    /* #VC for #VC, and so on */
    expect("page table, not validated", run(VMSA0), 0x7f);
}

int main(void)
{
    setup();
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | (1 << 12));
    wrmsr(MSR_HSAVE, 0);
    wrmsr(MSR_SYSCFG, rdmsr(MSR_SYSCFG) | SYSCFG_SNP);
    MEM64(IOMMU + 0x18) = 1;
    expect("INIT", init_ex(1), 0);
    wrmsr(MSR_HSAVE, HSAVE);
    expect("HSAVE", last_fault(), NO_FAULT);
    clear(HSAVE);
    launch_guest();
    make_vmcb();

    test_refused();
    RUN(vmpl0_steps, VMSA0);
    RUN(vmpl1_steps, VMSA1);
    RUN(allow_read, VMSA0);
    RUN(vmpl1_reads, VMSA1);
    RUN(last_steps, VMSA0);
    test_table();
    return result();
}
