/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fuzzer of memory encryption: random instructions of hypervisor and guest,
 * commands of the security processor, and world switches
 *
 * The machine must survive all of it, and some of what it says is checked.  A
 * step depends on the seed, the CPU and the number of the step only, so that it
 * can be made again; what other CPUs and timers do meanwhile cannot.  After a
 * reset of the machine the next step follows.  Options, on QEMU's command line
 * by -append: seed=N steps=N trace=1.
 */
#include "sev-fuzz.h"
#include "ap.h"

/*
 * Memory of guests, 4 MiB each, of which the second 2 MiB are one page.  Those
 * in the last slot have no encryption.
 */
#define NR_SLOTS        3
#define PLAIN_SLOT      2
#define SLOT(slot)      ((64 + 4 * (slot)) * MB)
#define SLOTS_END       SLOT(NR_SLOTS)
#define P2M             (2 * MB)
#define MEMORY          (512 * MB)

/* The slots once more, mapped by 4 KiB */
#define SMALL           (1024 * MB)

/* Pages of a guest, as addresses of it */
#define VMSA_GPA        0x6000ul
#define GCTX_GPA        0x9000ul        /* not of the guest, but its context */
#define BUFFER_GPA      0xa000ul
#define P               0x10000ul
#define TABLES_GPA      0x101000ul      /* four tables */
#define IDT_GPA         0x105000ul
#define STACK_GPA       0x106000ul

static const uint64_t guest_pages[] = {
    0, 0x5000, 0x7000, BUFFER_GPA, P, 0x11000, P2M, P2M + PAGE, P2M + 0x1ff000,
    0x1ff000, VMSA_GPA, SHARED_GPA, GCTX_GPA, CODE, TABLES_GPA, 0x102000,
    0x103000, 0x104000, IDT_GPA, STACK_GPA,
};

/* Of the first ones, much can change, and the guest runs all the same. */
#define NR_SPARE_PAGES  9

/* The host's own */
#define HOST            (80 * MB)
#define VMCB(n)         (HOST + (n) * PAGE)             /* four */
#define HSAVE(cpu)      (HOST + (4 + (cpu)) * PAGE)
#define ARGS(cpu)       (HOST + (6 + (cpu)) * PAGE)
#define LIST            (HOST + 8 * PAGE)
#define BITMAP_0        (HOST + 16 * PAGE)              /* four of zeroes */
#define BITMAP_1        (HOST + 20 * PAGE)
#define PLAIN_PML4      (HOST + 24 * PAGE)              /* and three more */
#define BITMAP_PORTS    (HOST + 28 * PAGE)              /* four */
#define NPT(slot)       (HOST + (32 + 8 * (slot)) * PAGE)
#define SMALL_TABLES    (HOST + 56 * PAGE)
#define HOST_TABLE      (HOST + 62 * PAGE)
#define NR_HOST_PAGES   64

/* What a reset leaves alone */
#define KEPT            (48 * MB)
#define MAGIC           0x5e5fa77eul
#define NR_EXITS        64

static struct {
    uint64_t magic, seed, steps, trace, resets;
    uint64_t step[NR_CPUS], done[NR_CPUS];
    uint64_t traps[32], exits[NR_EXITS][2], rmp[4][8];
    uint8_t statuses[256][64];
} *const kept = (void *)KEPT;

/*
 * A step may overwrite that all the same.  The same steps would do it again, so
 * that the next start takes the next seed.
 */
static struct {
    uint64_t magic, lost, wrong;
} *const starts = (void *)(KEPT + 8 * MB);

static unsigned cpus;
static bool has_snp, has_es, has_iommu;
static uint64_t psp_bar, rmp_base, rmp_end;
static uint64_t random_state[NR_CPUS];

static unsigned this_cpu(void)
{
    uint64_t sp = (uint64_t)__builtin_frame_address(0);

    return (sp - (uint64_t)stacks - 1) / STACK_SIZE;
}

static uint64_t rnd64(void)
{
    uint64_t z = random_state[this_cpu()] += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint64_t rnd(uint64_t below)
{
    return rnd64() % below;
}

static bool one_in(unsigned n)
{
    return !rnd(n);
}

#define CHOOSE(array)   ((array)[rnd(ARRAY_SIZE(array))])

static void wrong(const char *what, uint64_t a, uint64_t b)
{
    if (starts->wrong++ < 20) {
        ml_printf("WRONG: %s: %lx, %lx; CPU %d, step %ld\n", what, a, b,
                  this_cpu(), kept->step[this_cpu()]);
    }
}

/* Values */

static uint64_t any_page(void)
{
    const uint64_t special[] = {
        0, 0x9f000, 0xa0000, 0xf0000, psp_bar, psp_bar + 0x10000, IOMMU, APIC,
        0xfffff000, rmp_base, rmp_base - PAGE, rmp_end + 1, rmp_base + 0x4000,
        MEMORY - PAGE, MEMORY, 4096 * MB, 1ul << 40, 1ul << 47,
        (1ul << 48) - PAGE, 1ul << 51, (1ul << 52) - PAGE, -PAGE, 1ul << 63,
    };

    switch (rnd(64)) {
    case 0 ... 2:
        return CHOOSE(special);
    case 3 ... 4:
        return (rnd64() >> rnd(64)) & -PAGE;
    case 5:
        return HOST + rnd(NR_HOST_PAGES) * PAGE;
    case 6 ... 9:
        return SLOT(0) + rnd((SLOTS_END - SLOT(0)) / PAGE) * PAGE;
    case 10 ... 12:
        return SLOT(0) + rnd(2 * NR_SLOTS) * 2 * MB;
    case 13:
        return SLOT(rnd(NR_SLOTS)) + CHOOSE(guest_pages);
    default:
        return SLOT(rnd(PLAIN_SLOT)) + guest_pages[rnd(NR_SPARE_PAGES)];
    }
}

/* This program and what it has kept are to last: other memory is as good. */
static bool is_program(uint64_t pa)
{
    return pa >= MB && pa < SLOT(0);
}

static uint64_t rnd_page(void)
{
    uint64_t pa;

    do {
        pa = any_page();
    } while (is_program(pa));
    return pa;
}

static uint64_t rnd_pa(void)
{
    uint64_t pa = rnd_page();

    return one_in(8) ? pa + (rnd(PAGE) & (one_in(2) ? -16 : -1)) : pa;
}

static uint64_t rnd_value(void)
{
    switch (rnd(6)) {
    case 0:
        return rnd64();
    case 1:
        return 1ul << rnd(64);
    case 2:
        return -(1ul << rnd(64));
    case 3:
        return rnd(256);
    case 4:
        return rnd_pa();
    default:
        return 0;
    }
}

static uint32_t rnd_asid(void)
{
    static const uint32_t asids[] = {
        1, 2, 1, 2, 1, 2, 40, 41, 0, 31, 32, 63, 64, 65, 0xfff, 0x1000, -1,
    };

    return CHOOSE(asids);
}

static uint32_t rnd_len(void)
{
    static const uint32_t lens[] = {
        0, 16, 32, 48, 64, 96, 512, PAGE, PAGE, PAGE, 2 * PAGE, 0x824, 3, 17,
        0x1000, 0x10000, 0x8000, 2 * MB,
    };

    return one_in(64) ? rnd64() : one_in(16) ? rnd(MB) : CHOOSE(lens);
}

/* Memory, as the host sees it */

static void host_store(uint64_t pa, uint64_t val)
{
    bool small = pa >= SLOT(0) && pa < SLOTS_END && !one_in(4);

    MEM64(small ? pa + SMALL : pa) = val;
}

static void copy_to(uint64_t pa, const void *from, unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        MEM8(pa + SMALL + i) = ((const uint8_t *)from)[i];
    }
}

static void clear_small(uint64_t pa)
{
    clear_page(pa + SMALL);
}

static void put_small(uint64_t pa, uint64_t val)
{
    MEM64(pa + SMALL) = val;
}

static bool snp_enabled(void)
{
    return has_snp && (rdmsr(MSR_SYSCFG) & SYSCFG_SNP) == SYSCFG_SNP;
}

/* The RMP */

struct rmp_state {
    uint64_t gpa;
    uint8_t assigned, size, immutable, reserved;
    uint32_t asid;
};

static uint64_t count_rmp(int insn, uint64_t pa, uint64_t result)
{
    static const uint8_t allowed[] = { 0x5f, 0x8b, 0x03 };

    if (result > 7 || !(allowed[insn] >> result & 1)) {
        wrong("result of RMP instruction", insn, result);
    } else {
        __sync_fetch_and_add(&kept->rmp[insn][result], 1);
    }
    return result;
}

static uint64_t rmpupdate(uint64_t pa, const struct rmp_state *state)
{
    uint64_t ret = pa;

    asm volatile(".byte 0xf2, 0x0f, 0x01, 0xfe" : "+a" (ret) : "c" (state)
                 : "memory", "cc");
    return count_rmp(0, pa, ret);
}

static uint64_t psmash(uint64_t pa)
{
    uint64_t ret = pa;

    asm volatile(".byte 0xf3, 0x0f, 0x01, 0xff" : "+a" (ret) :: "memory", "cc");
    return count_rmp(1, pa, ret);
}

static uint64_t rmpread(uint64_t pa, struct rmp_state *state)
{
    uint64_t ret = pa;

    asm volatile(".byte 0xf2, 0x0f, 0x01, 0xfd" : "+a" (ret) : "c" (state)
                 : "memory", "cc");
    return count_rmp(2, pa, ret);
}

/* What was written is what is read, if nobody else can have changed it. */
static void check_update(uint64_t pa, const struct rmp_state *state)
{
    struct rmp_state now = { };

    if (cpus > 1) {
        return;
    }
    if (rmpread(pa, &now) || now.assigned != (state->assigned & 1) ||
        now.immutable != (state->immutable & 1) || now.asid != state->asid ||
        (state->assigned && (now.size ^ state->size) & 1)) {
        wrong("RMPREAD after RMPUPDATE", pa, now.asid);
    }
}

static void step_rmpupdate(void)
{
    uint64_t pa = rnd_pa();
    struct rmp_state state = {
        .gpa = one_in(2) ? pa & (4 * MB - 1) : rnd_pa(),
        .assigned = !one_in(4),
        .size = one_in(4),
        .immutable = one_in(4),
        .asid = one_in(3) ? 0 : rnd_asid(),
    };

    if (!state.assigned && !one_in(4)) {
        state.immutable = state.asid = 0;
    }
    if (one_in(32)) {
        *(uint64_t *)&state.assigned = rnd64();
    }
    if (one_in(64)) {
        rmpupdate(pa, (void *)rnd_pa());
    } else if (!rmpupdate(pa, &state)) {
        check_update(pa, &state);
    }
}

static void step_psmash(void)
{
    psmash(one_in(4) ? rnd_pa() : SLOT(0) + rnd(2 * NR_SLOTS) * 2 * MB);
}

static void step_rmpread(void)
{
    struct rmp_state state;

    rmpread(rnd_pa(), one_in(16) ? (void *)rnd_pa() : &state);
}

/* Who has written to a page, by 4 KiB, has written to one of the host's. */
static void step_access(void)
{
    uint64_t pa = SLOT(rnd(NR_SLOTS)) + CHOOSE(guest_pages) + rnd(512) * 8;
    struct rmp_state state = { };

    switch (rnd(4)) {
    case 0:
        (void)MEM64(pa);
        break;
    case 1:
        (void)MEM64(pa + SMALL);
        break;
    case 2:
        MEM64(pa) = rnd64();
        break;
    case 3:
        MEM64(pa + SMALL) = rnd64();
        if (cpus == 1 && snp_enabled() && !rmpread(pa, &state) &&
            state.assigned) {
            wrong("store to an assigned page", pa, state.asid);
        }
        break;
    }
}

/* The security processor */

static uint32_t last_handle;    /* of a guest with SEV */

static uint32_t psp(unsigned cmd, uint64_t pa)
{
    uint32_t status = 0;

    if (!psp_bar) {
        return 0;
    }
    MEM32(psp_bar + 0x109e0) = pa;
    MEM32(psp_bar + 0x109e4) = pa >> 32;
    MEM32(psp_bar + 0x10980) = cmd << 16;
    /* With two CPUs, it may be the other one's command. */
    for (int i = 0; i < 1000 && !(status & 1u << 31); i++) {
        status = MEM32(psp_bar + 0x10980);
    }
    status = status & 1u << 31 ? status & 0xffff : 0xffff;
    if (cpus == 1 && status >= 0x40) {
        wrong("status of a command", cmd, status);
    } else if (cmd < 256 && status < 64) {
        kept->statuses[cmd][status] = 1;
    }
    return status;
}

/*
 * Buffers of commands, one letter for a field: h: handle, a: address, g: page
 * with a guest's context, l: length, s: ASID, p: policy of SEV, P: policy of
 * SNP, f: flags, z: 0, r: random, o: length, mostly 0, t: TMR and its length,
 * N: length of keys, x: page and size, m: address of 2 MiB, n and a digit: 4
 * times that.
 */
static const struct {
    uint8_t cmd;
    const char *fields;
} commands[] = {
    { 0x01, "fzt" }, { 0x02, "" }, { 0x03, "" }, { 0x04, "rrr" }, { 0x05, "" },
    { 0x06, "al" }, { 0x07, "alzal" }, { 0x08, "alzal" }, { 0x09, "" },
    { 0x0a, "" }, { 0x0b, "al" }, { 0x0c, "al" }, { 0x0d, "n9ftzaN" },
    { 0x20, "h" }, { 0x21, "hs" }, { 0x22, "h" }, { 0x23, "hrrr" },
    { 0x30, "hpaozao" }, { 0x31, "hzal" }, { 0x32, "hzal" }, { 0x33, "hzal" },
    { 0x34, "hzalzalzal" }, { 0x35, "h" }, { 0x36, "hzarrrrl" },
    { 0x40, "hpalzalzalzal" }, { 0x41, "hzalzalzal" }, { 0x43, "h" },
    { 0x44, "h" }, { 0x50, "hpalzal" }, { 0x51, "hzalzalzal" }, { 0x53, "h" },
    { 0x60, "hzaal" }, { 0x61, "hzaal" },
    { 0x81, "" }, { 0x82, "" }, { 0x83, "a" }, { 0x84, "" },
    { 0x85, "fzazzzzzzzzzzzz" }, { 0x86, "n2f" }, { 0x90, "g" },
    { 0x91, "gs" }, { 0x92, "ga" }, { 0x93, "g" }, { 0x94, "gaa" },
    { 0x95, "n8zgsz" }, { 0xa0, "gPgzrrrrr" }, { 0xa1, "gfzafz" },
    { 0xa2, "gaafzrrrrrrrr" }, { 0xb0, "gaa" }, { 0xb1, "gaa" }, { 0xc0, "g" },
    { 0xc6, "n4za" }, { 0xc7, "x" }, { 0xc8, "m" },
    { 0xc9, "rrfzzzzzzzzzzzzz" }, { 0xca, "aaa" }, { 0xcb, "n1" },
    { 0xcd, "aa" }, { 0xce, "n4fa" },
};

static uint64_t fill_field(uint64_t at, const char *field)
{
    uint64_t val = 0;
    unsigned len = 4;

    switch (*field) {
    case 'h':
        val = one_in(4) ? rnd(8) : last_handle;
        break;
    case 'a':
        val = rnd_pa();
        len = 8;
        break;
    case 'g':
        val = one_in(8) ? rnd_pa() : SLOT(rnd(NR_SLOTS)) + GCTX_GPA;
        len = 8;
        break;
    case 'l':
        val = rnd_len();
        break;
    case 'o':
        val = one_in(8) ? rnd_len() : 0;
        break;
    case 's':
        val = rnd_asid();
        break;
    case 'p':
        val = rnd(64);
        break;
    case 'P':
        val = 0x30000 | rnd(2) << 19 | (one_in(8) ? rnd64() & 0x1fffff : 0);
        len = 8;
        break;
    case 'f':
        val = one_in(8) ? rnd64() : rnd(32);
        break;
    case 't':
        MEM64(at) = SLOT(0);
        at += 8;
        val = MB;
        break;
    case 'N':
        val = 32768;
        break;
    case 'x':
        val = rnd_page() | one_in(4);
        len = 8;
        break;
    case 'm':
        val = SLOT(rnd(NR_SLOTS)) + (one_in(2) ? P2M : 0);
        len = 8;
        break;
    case 'n':
        val = 4 * (field[1] - '0');
        break;
    case 'r':
        val = rnd64();
        break;
    }
    if (one_in(64)) {
        val = rnd_value();
    }
    if (len == 8) {
        MEM64(at) = val;
    } else {
        MEM32(at) = val;
    }
    return at + len;
}

static void make_list(uint64_t at)
{
    uint32_t nr = one_in(8) ? rnd(512) : rnd(4);

    MEM64(at) = one_in(16) ? rnd64() : nr;
    for (uint32_t i = 0; i < nr && i < 255; i++) {
        MEM64(at + 8 + 16 * i) = one_in(8) ? rnd_pa() : rnd_page();
        MEM64(at + 16 + 16 * i) = one_in(8) ? rnd64() : rnd(16);
    }
}

static void step_psp(void)
{
    unsigned i = rnd(ARRAY_SIZE(commands));
    uint64_t args = ARGS(this_cpu()) + (one_in(8) ? rnd(64) * 16 : 0);
    uint64_t at = args;

    if (one_in(8)) {
        make_list(LIST);
    }
    for (const char *field = commands[i].fields; *field; field++) {
        at = fill_field(at, field);
        field += *field == 'n';
    }
    if (one_in(32)) {
        args = rnd_pa();
    }
    psp(one_in(64) ? rnd(0x800) : commands[i].cmd, args);
    if (commands[i].cmd == 0x30) {
        last_handle = MEM32(args);
    }
}

static void put_arg(int i, uint64_t val)
{
    MEM64(ARGS(this_cpu()) + 8 * i) = val;
}

static uint32_t psp_args(unsigned cmd, uint64_t a, uint64_t b, uint64_t c,
                         uint64_t d)
{
    put_arg(0, a);
    put_arg(1, b);
    put_arg(2, c);
    put_arg(3, d);
    return psp(cmd, ARGS(this_cpu()));
}

static void flush_asids(void)
{
    asm volatile("wbinvd" : : : "memory");
    psp(has_snp ? 0x84 : 0x0a, 0);
}

static void step_init(void)
{
    if (one_in(4)) {
        flush_asids();
    }
    for (int i = 0; i < 8; i++) {
        put_arg(i, 0);
    }
    switch (rnd(8)) {
    case 0:
        psp(0x02, 0);
        break;
    case 1:
        psp_args(0x01, 1, SLOT(0), MB, 0);
        break;
    case 2:
        make_list(LIST);
        psp_args(0x85, 3, LIST, 0, 0);
        break;
    case 3:
        psp_args(0x86, 8 | rnd(4) << 32, 0, 0, 0);
        break;
    default:
        psp_args(0x85, one_in(8) ? 0 : 1, 0, 0, 0);
        if (one_in(2)) {
            psp_args(0x01, 1, SLOT(0), MB, 0);
        }
        break;
    }
}

/* Guests */

static void put_seg(uint64_t at, uint16_t sel, uint16_t attrib, uint32_t limit,
                    uint64_t base)
{
    MEM64(at) = sel | (uint64_t)attrib << 16 | (uint64_t)limit << 32;
    MEM64(at + 8) = base;
}

/* The state of a guest whose address 0 is at BASE */
static void make_state(uint64_t at, uint64_t base, uint64_t cr3)
{
    for (int i = 0; i < 6; i++) {
        put_seg(at + i * 16, i == 1 ? 8 : 16, i == 1 ? 0xa9b : 0xc93, -1, 0);
    }
    put_seg(at + 0x60, 0, 0, 0x17, base + IDT_GPA + 0x800);
    put_seg(at + 0x70, 0, 0x82, 0, 0);
    put_seg(at + 0x80, 0, 0, 0x7ff, base + IDT_GPA);
    put_seg(at + 0x90, 0, 0x8b, 0xffff, 0);
    MEM64(at + 0xd0) = 0x1500;
    MEM64(at + 0x148) = 0x660;
    MEM64(at + 0x150) = cr3;
    MEM64(at + 0x158) = 0x80010033;
    MEM64(at + 0x160) = 0x400;
    MEM64(at + 0x168) = 0xffff0ff0;
    MEM64(at + 0x170) = 2;
    MEM64(at + 0x178) = base + CODE;
    MEM64(at + 0x1d8) = base + STACK_TOP;
    MEM64(at + 0x268) = 0x0007040600070406;
    MEM64(at + 0x3e8) = 1;
    MEM64(at + 0x408) = 0x1f80;
    MEM64(at + 0x410) = 0x37f;
}

static void mutate(uint64_t at, unsigned len, unsigned nr)
{
    while (nr--) {
        MEM64(at + rnd(len / 8) * 8) = rnd_value();
    }
}

static void mutate_bits(uint64_t at, unsigned len, unsigned nr)
{
    while (nr--) {
        MEM64(at + rnd(len / 8) * 8) ^= 1ul << rnd(64);
    }
}

static void make_vmsa(uint64_t at, bool snp)
{
    clear_page(at);
    make_state(at, 0, TABLES_GPA | CBIT);
    MEM64(at + 0x3b0) = snp;
    MEM8(at + 0xca) = snp ? rnd(4) & rnd(4) : 0;
    if (one_in(4)) {
        mutate(at, 0x670, 1 + rnd(3));
    }
    if (one_in(4)) {
        mutate_bits(at, 0x670, 1 + rnd(3));
    }
}

/* Code, page tables and gates of a guest; some tables have no C-bit. */
static void make_image(uint64_t slot, uint64_t base, uint64_t cbit)
{
    uint64_t tables = slot + TABLES_GPA, gpa = TABLES_GPA, offset;

    for (uint64_t page = CODE; page <= STACK_GPA; page += PAGE) {
        clear_small(slot + page);
    }
    copy_to(slot + CODE, guest, guest_end - guest);
    put_small(tables, (gpa + PAGE) | cbit | 3);
    put_small(tables + PAGE, (gpa + 2 * PAGE) | cbit | 3);
    put_small(tables + 2 * PAGE, (gpa + 3 * PAGE) | cbit | 3);
    put_small(tables + 2 * PAGE + 8, P2M | cbit | 0x83);
    for (int i = 0; i < 512; i++) {
        put_small(tables + 3 * PAGE + 8 * i, i * PAGE | cbit | 7);
    }
    put_small(tables + 3 * PAGE + 8 * (SHARED_GPA / PAGE), SHARED_GPA | 3);
    /* The same pages once more, without C-bit */
    for (int i = 0; i < ARRAY_SIZE(guest_pages); i++) {
        put_small(tables + 3 * PAGE + 8 * (0x1c0 + i), guest_pages[i] | 3);
    }
    for (int vector = 0; vector < 32; vector++) {
        offset = slot + SMALL + IDT_GPA + 16 * vector;
        put_gate(offset, base + CODE);
    }
    put_small(slot + IDT_GPA + 0x808, 0x00af9b000000ffff);
    put_small(slot + IDT_GPA + 0x810, 0x00cf93000000ffff);
}

/* A guest's gpa 0 is where its slot is. */
static void make_npt(uint64_t npt, uint64_t slot)
{
    MEM64(npt) = (npt + PAGE) | 7;
    MEM64(npt + PAGE) = (npt + 2 * PAGE) | 7;
    MEM64(npt + 2 * PAGE) = (npt + 3 * PAGE) | 7;
    MEM64(npt + 2 * PAGE + 8) = one_in(4) ? (npt + 4 * PAGE) | 7 :
                                            (slot + P2M) | 0x87;
    for (int i = 0; i < 512; i++) {
        MEM64(npt + 3 * PAGE + 8 * i) = (slot + i * PAGE) | 7;
        MEM64(npt + 4 * PAGE + 8 * i) = (slot + P2M + i * PAGE) | 7;
    }
    while (one_in(4)) {
        MEM64(npt + 3 * PAGE + 8 * rnd(512)) = rnd_value();
    }
}

static void make_plain_tables(void)
{
    uint64_t at = PLAIN_PML4;

    clear_page(at);
    clear_page(at + PAGE);
    clear_page(at + 2 * PAGE);
    MEM64(at) = (at + PAGE) | 7;
    MEM64(at + PAGE) = (at + 2 * PAGE) | 7;
    for (int i = 0; i < 2 * NR_SLOTS; i++) {
        MEM64(at + 2 * PAGE + 8 * (SLOT(0) / (2 * MB) + i)) =
            (SLOT(0) + i * 2 * MB) | 0x87;
    }
}

/* Have a page back, whoever has it. */
static void take_page(uint64_t pa)
{
    const struct rmp_state none = { };
    struct rmp_state now = { };

    if (!snp_enabled() || rmpread(pa, &now) || !now.assigned) {
        return;
    }
    if (rmpupdate(pa, &none) == 2) {
        psp_args(0xc7, pa, 0, 0, 0);
        rmpupdate(pa, &none);
    }
}

static void take_back_host(void)
{
    for (int i = 0; i < NR_HOST_PAGES; i++) {
        take_page(HOST + i * PAGE);
    }
}

static void take_back(uint64_t slot)
{
    const struct rmp_state none_2m = { .size = 1 };

    if (!snp_enabled()) {
        return;
    }
    for (uint64_t half = slot; half < slot + 4 * MB; half += 2 * MB) {
        psp_args(0xc7, half | 1, 0, 0, 0);
        rmpupdate(half, &none_2m);
    }
    for (int i = 0; i < ARRAY_SIZE(guest_pages); i++) {
        take_page(slot + guest_pages[i]);
    }
}

static void assign(uint64_t slot, uint64_t gpa, bool immutable, uint32_t asid)
{
    struct rmp_state state = { gpa, 1, 0, immutable, 0, asid };

    if (!one_in(64)) {
        rmpupdate(slot + gpa, &state);
    }
}

static void update(uint64_t slot, uint64_t gpa, int type, uint32_t asid)
{
    assign(slot, gpa, true, asid);
    psp_args(0xa1, slot + GCTX_GPA, type << 1, slot + gpa,
             rnd64() & 0xffffff00);
}

enum { PLAIN, NESTED, SEV, ES, SNP };

static void run_slot(int kind, unsigned n, bool spoil);

/* A guest with SNP, from the start; each step of it may be left out. */
static void step_launch_snp(void)
{
    unsigned n = rnd(PLAIN_SLOT);
    uint64_t slot = SLOT(n), gctx = slot + GCTX_GPA;
    uint32_t asid = 1 + n;

    psp_args(0x90, gctx, 0, 0, 0);
    take_back(slot);
    make_npt(NPT(n), slot);
    make_image(slot, 0, CBIT);
    make_vmsa(slot + SMALL + VMSA_GPA, true);
    assign(slot, GCTX_GPA, true, 0);
    struct rmp_state context = { 0, 1, 0, 1, 0, 0 };
    rmpupdate(gctx, &context);
    psp_args(0x93, gctx, 0, 0, 0);
    psp_args(0xa0, gctx, 0xb0000, 0, 0);
    flush_asids();
    psp_args(0x91, gctx, asid, 0, 0);
    for (uint64_t gpa = CODE; gpa <= STACK_GPA; gpa += PAGE) {
        update(slot, gpa, 1, asid);
    }
    update(slot, VMSA_GPA, 2, asid);
    update(slot, P, 1 + rnd(6), asid);
    if (one_in(4)) {
        update(slot, 0x7000, 5, asid);
    }
    if (one_in(2)) {
        struct rmp_state large = { P2M, 1, 1, 0, 0, asid };
        rmpupdate(slot + P2M, &large);
    }
    for (int i = 0; i < 8; i++) {
        put_arg(i, 0);
    }
    psp_args(0xa2, gctx, 0, 0, 0);
    run_slot(SNP, n, one_in(4));
}

/* A guest with SEV, or with SEV-ES */
static void step_launch_sev(void)
{
    unsigned n = rnd(PLAIN_SLOT);
    bool es = has_es && one_in(2);
    uint64_t slot = SLOT(n), args = ARGS(this_cpu());
    uint32_t handle, asid = es ? 1 + n : 40 + n;

    take_back(slot);
    make_npt(NPT(n), slot);
    make_image(slot, 0, CBIT);
    make_vmsa(slot + SMALL + VMSA_GPA, false);
    if (one_in(2)) {
        psp_args(0x01, es, es ? SLOT(0) : 0, es ? MB : 0, 0);
    }
    for (int i = 0; i < 8; i++) {
        put_arg(i, 0);
    }
    MEM32(args + 4) = es ? 4 : 0;
    if (psp(0x30, args)) {
        return;
    }
    handle = last_handle = MEM32(args);
    flush_asids();
    if (!one_in(16)) {
        psp_args(0x21, handle | (uint64_t)asid << 32, 0, 0, 0);
    }
    psp_args(0x31, handle, slot + CODE, STACK_TOP - CODE, 0);
    if (es) {
        psp_args(0x32, handle, slot + VMSA_GPA, PAGE, 0);
    }
    if (one_in(2)) {
        psp_args(0x33, handle, LIST, 48, 0);
        psp_args(0x35, handle, 0, 0, 0);
    }
    run_slot(es ? ES : SEV, n, one_in(4));
}

/* VMRUN */

static uint32_t rnd_msr(void)
{
    static const uint32_t msrs[] = {
        MSR_EFER, MSR_SYSCFG, MSR_HSAVE, MSR_RMP_BASE, MSR_RMP_END, 0xc0010130,
        0xc0010131, 0xc0010114, 0xc0010115, 0xc0010015, 0xc0000081, 0xc0000082,
        0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0x10, 0x48,
        0x174, 0x175, 0x176, 0x1d9, 0x1db, 0x200, 0x201, 0x250, 0x277, 0x2ff,
        0xda0, 0x6e1, 0x17a, 0xc0000104, 0xc001011f,
    };

    return one_in(16) ? rnd64() >> rnd(32) : CHOOSE(msrs);
}

static uint64_t rnd_gva(uint64_t base)
{
    if (one_in(8)) {
        return rnd_pa();
    }
    if (one_in(4)) {
        return base + (0x1c0 + rnd(ARRAY_SIZE(guest_pages))) * PAGE;
    }
    return base + CHOOSE(guest_pages) + (one_in(4) ? rnd(PAGE) : 0);
}

/*
 * What guests may reach, with 4 bytes each.  Not the CMOS: it tells firmware
 * how many CPUs to wait for, and where to go on after a reset; nor the ports
 * that end QEMU.
 */
static const uint16_t ports[] = { 0x80, 0x61, 0x40, 0x3f8, 0x511 };

static void make_port_bitmap(void)
{
    for (int i = 0; i < 4 * 512; i++) {
        MEM64(BITMAP_PORTS + 8 * i) = -1;
    }
    for (int i = 0; i < ARRAY_SIZE(ports); i++) {
        for (uint16_t port = ports[i]; port < ports[i] + 4; port++) {
            MEM8(BITMAP_PORTS + port / 8) &= ~(1 << port % 8);
        }
    }
}

static void make_guest_list(uint64_t at, uint64_t base)
{
    unsigned nr = 1 + rnd(MAX_LIST);

    for (unsigned i = 0; i < nr; i++) {
        uint64_t op = rnd(NR_GUEST_OPS), rcx, rdx;
        uint64_t entry = at + 16 + 32 * i;

        rcx = one_in(4) ? rnd_value() : rnd(2);
        rdx = one_in(4) ? rnd_value() : rnd(4) | rnd(16) << 8 | rnd(2) << 16;
        switch (op) {
        case 6: case 7:
            rdx = CHOOSE(ports);
            break;
        case 8: case 9:
            rcx = rnd_msr();
            break;
        case 10: case 12:
            rcx = rnd_gva(base);
            break;
        case 17:
            rdx = 0x80010033 ^ (one_in(2) ? 1ul << rnd(32) : 0);
            break;
        case 18:
            rdx = one_in(4) ? rnd_value() : TABLES_GPA | CBIT;
            break;
        case 19:
            rdx = 0x660 ^ 1ul << rnd(32);
            break;
        }
        host_store(entry, op);
        host_store(entry + 8, rnd_gva(base));
        host_store(entry + 16, rcx);
        host_store(entry + 24, rdx);
    }
    host_store(at, nr);
}

static void make_vmcb(uint64_t at, int kind, unsigned n)
{
    static const uint32_t asids[] = { 50, 51, 40, 1, 1 };
    uint64_t slot = SLOT(n);

    clear_page(at);
    MEM32(at) = one_in(2) ? 0 : rnd64();
    MEM32(at + 4) = one_in(2) ? 0 : rnd64();
    MEM32(at + 8) = one_in(2) ? 0 : rnd64();
    MEM32(at + 0xc) = (one_in(2) ? 1u << 18 : rnd64()) | 1u << 31 | 1u << 27 |
                      1u << 24 | 3;
    MEM32(at + 0x10) = (one_in(2) ? 0 : rnd64()) | 0x23;
    MEM64(at + 0x40) = one_in(2) ? BITMAP_PORTS : BITMAP_1;
    MEM64(at + 0x48) = one_in(2) ? BITMAP_0 : BITMAP_1;
    MEM64(at + 0x58) = (asids[kind] + (kind == PLAIN ? 0 : n)) |
                       (uint64_t)CHOOSE(((uint8_t[]){ 0, 1, 3, 7 })) << 32;
    MEM64(at + 0x60) = one_in(4) ? rnd64() & 0xffffffffff : 1 << 24;
    MEM64(at + 0x90) = kind == PLAIN ? 0 : kind == NESTED ? 1 :
                       kind == SEV ? 3 : 7;
    MEM64(at + 0xb0) = NPT(n);
    MEM64(at + 0xb8) = (kind >= ES || one_in(4)) | one_in(2) << 1;
    MEM64(at + 0x108) = slot + VMSA_GPA;
    if (one_in(8)) {
        MEM64(at + 0xa8) = 1u << 31 | rnd(8) << 8 | rnd(2) << 11 | rnd(64);
    }
    make_state(at + 0x400, kind == PLAIN ? slot : 0,
               kind == PLAIN ? PLAIN_PML4 :
               kind == NESTED ? TABLES_GPA : TABLES_GPA | CBIT);
    if (kind >= ES) {
        mutate(at + 0x400, 0x298, rnd(4));
    }
    if (one_in(8)) {
        mutate(at, 0x110, 1 + rnd(2));
    }
    if (one_in(8)) {
        mutate_bits(at, 0x110, 1 + rnd(2));
    }
    if (one_in(6)) {
        mutate(at + 0x400, 0x298, 1 + rnd(2));
    }
    if (one_in(6)) {
        mutate_bits(at + 0x400, 0x298, 1 + rnd(2));
    }
}

static void count_exit(uint64_t code)
{
    for (int i = 0; i < NR_EXITS; i++) {
        if (kept->exits[i][1] && kept->exits[i][0] != code) {
            continue;
        }
        kept->exits[i][0] = code;
        kept->exits[i][1]++;
        return;
    }
}

/* A guest has run, so that its VMSA was one. */
static void check_vmsa(uint64_t vmcb, uint64_t vmsa, uint32_t asid)
{
    struct rmp_state state = { };

    if (cpus > 1 || !snp_enabled() || MEM64(vmcb + 0x70) >= -2ul ||
        rmpread(vmsa, &state)) {
        return;
    }
    if (state.assigned && (state.asid != asid || state.immutable ||
                           (state.size & 1))) {
        wrong("VMSA of others", vmsa, state.asid);
    }
}

/* Change a VMSA so that VMRUN has to refuse it; false: it is none. */
static bool spoil_vmsa(uint64_t vmsa, int kind)
{
    struct rmp_state state = { };

    if (kind == ES) {
        MEM64(vmsa + SMALL + rnd(0x670 / 8) * 8) ^= 1ul << rnd(64);
        return true;
    }
    if (!snp_enabled() || rmpread(vmsa, &state) || !state.assigned ||
        (state.size & 1)) {
        return false;
    }
    state.immutable = 1;
    rmpupdate(vmsa, &state);
    return true;
}

/* Run a guest of slot N, @spoil: after its VMSA was changed. */
static void run_slot(int kind, unsigned n, bool spoil)
{
    unsigned cpu = this_cpu();
    uint64_t slot = SLOT(n), vmcb = VMCB(cpu), hsave = HSAVE(cpu);
    uint64_t vmsa, nested_ctl;
    bool spoilt = false;
    uint32_t asid;

    if (!one_in(16)) {
        take_page(slot + SHARED_GPA);
    }
    if (one_in(16)) {
        take_back_host();
    }
    if (kind < SEV) {
        if (one_in(8)) {
            take_back(slot);
        }
        make_npt(NPT(n), slot);
        make_image(slot, kind == PLAIN ? slot : 0, 0);
    } else if (one_in(8)) {
        make_npt(NPT(n), slot);
    }
    make_vmcb(vmcb, kind, n);
    make_guest_list(slot + SHARED_GPA, kind == PLAIN ? slot : 0);
    if (kind >= ES && spoil) {
        spoilt = spoil_vmsa(slot + VMSA_GPA, kind);
    }
    vmsa = MEM64(vmcb + 0x108);
    nested_ctl = MEM64(vmcb + 0x90);
    asid = MEM32(vmcb + 0x58);
    MEM64(HSAVE(cpu) + 0x400 + 0x3e8) = 1;
    if (one_in(512)) {
        hsave = rnd_page();
    }
    wrmsr(MSR_HSAVE, hsave);
    if (one_in(64)) {
        vmcb = rnd_pa();
    }
    start_timer(GUEST_NS);
    run_guest(vmcb, HSAVE(cpu));
    start_timer(0);
    wrmsr(MSR_HSAVE, 0);
    if (vmcb == VMCB(cpu)) {
        count_exit(MEM64(vmcb + 0x70));
        if ((nested_ctl & 6) == 6) {
            check_vmsa(vmcb, vmsa, asid);
            if (spoilt && cpus == 1 && vmsa == slot + VMSA_GPA &&
                MEM64(vmcb + 0x70) < -2ul) {
                wrong("VMSA that was changed", vmsa, MEM64(vmcb + 0x70));
            }
        }
    }
}

static void step_vmrun(void)
{
    int kind = CHOOSE(((uint8_t[]){ PLAIN, NESTED, SEV, ES, ES, SNP, SNP }));

    if (kind == SNP && !has_snp) {
        kind = ES;
    }
    run_slot(kind, kind < SEV ? PLAIN_SLOT : rnd(PLAIN_SLOT), one_in(32));
}

static void step_svm(void)
{
    uint64_t pa = rnd_pa();

    switch (rnd(6)) {
    case 0:
        asm volatile("vmload" :: "a" (VMCB(this_cpu())) : "memory");
        break;
    case 1:
        asm volatile("vmsave" :: "a" (pa) : "memory");
        break;
    case 2:
        asm volatile("clgi\n stgi");
        break;
    case 3:
        asm volatile("invlpga" :: "a" (pa), "c" (rnd_asid()));
        break;
    case 4:
        asm volatile(".byte 0xf2, 0x0f, 0x01, 0xff"         /* PVALIDATE */
                     :: "a" (pa), "c" (0), "d" (1) : "memory", "cc");
        break;
    case 5:
        asm volatile(".byte 0xf3, 0x0f, 0x01, 0xfe"         /* RMPADJUST */
                     : "+a" (pa) : "c" (0), "d" (1) : "memory", "cc");
        break;
    }
}

static void step_msr(void)
{
    uint32_t msr = rnd_msr();
    uint64_t val;

    if (one_in(2)) {
        rdmsr(msr);
        return;
    }
    val = one_in(2) ? rnd_value() : rdmsr(msr) ^ 1ul << rnd(64);
    /* Nothing that would move or stop the timer, or have the RMP down here */
    if (msr != 0x1b && (msr != MSR_RMP_BASE || val >= SLOT(0))) {
        wrmsr(msr, val);
    }
}

/* Registers of devices; not the commands of the processor, see step_psp(). */
static void step_mmio(void)
{
    static const uint32_t regs[] = {
        0x10690, 0x10694, 0x109e0, 0x109e4, 0x109ec, 0x109fc, 0,
    };
    uint64_t at = psp_bar + CHOOSE(regs);

    if (has_iommu && one_in(4)) {
        MEM64(IOMMU + 0x18) = one_in(4) ? rnd64() & 0xfff : 1;
    } else if (one_in(2)) {
        (void)MEM32(at);
    } else {
        MEM32(at) = rnd64();
    }
}

static void step_take_back(void)
{
    uint64_t slot = SLOT(rnd(NR_SLOTS));

    psp_args(0x90, slot + GCTX_GPA, 0, 0, 0);
    take_back(slot);
}

static const struct {
    void (*run)(void);
    unsigned weight;
    bool snp;
} steps[] = {
    { step_rmpupdate, 200, true },
    { step_psmash, 50, true },
    { step_rmpread, 30, true },
    { step_access, 60, false },
    { step_psp, 250, false },
    { step_init, 20, false },
    { step_launch_snp, 12, true },
    { step_launch_sev, 20, false },
    { step_vmrun, 260, false },
    { step_svm, 30, false },
    { step_msr, 40, false },
    { step_mmio, 15, false },
    { step_take_back, 10, true },
};

/* Once it is enabled, RMP_BASE and RMP_END cannot be written. */
static void enable_snp(void)
{
    uint64_t pa;

    if (snp_enabled()) {
        return;
    }
    wrmsr(MSR_RMP_BASE, rmp_base);
    wrmsr(MSR_RMP_END, rmp_end);
    pa = rnd_pa() & ((1ul << 52) - 1);
    if (one_in(32) && pa >= SLOT(0)) {
        wrmsr(one_in(2) ? MSR_RMP_BASE : MSR_RMP_END, pa);
    }
    wrmsr(MSR_SYSCFG, rdmsr(MSR_SYSCFG) | SYSCFG_SNP);
}

static void do_step(void)
{
    unsigned sum = 0, n;

    for (int i = 0; i < ARRAY_SIZE(steps); i++) {
        sum += steps[i].weight;
    }
    if (has_snp && one_in(64)) {
        enable_snp();
    }
    n = rnd(sum);
    for (int i = 0; i < ARRAY_SIZE(steps); i++) {
        if (n < steps[i].weight) {
            if (kept->trace) {
                ml_printf("%d/%ld: %d\n", this_cpu(), kept->step[this_cpu()],
                          i);
            }
            if (!steps[i].snp || has_snp) {
                steps[i].run();
            }
            break;
        }
        n -= steps[i].weight;
    }
    if (one_in(20000)) {
        reset_machine();
    }
}

/* What a step or a guest may have changed, and the next one needs */
static void restore(void)
{
    wrmsr(MSR_EFER, EFER_HOST);
    asm volatile("stgi");
    wrmsr(MSR_HSAVE, 0);
    asm volatile("mov %0, %%dr7" :: "r" (0x400ul));
    start_timer(0);
    kick_watchdog(this_cpu(), cpus);
}

static void fuzz(void)
{
    unsigned cpu = this_cpu();

    for (;;) {
        restore();
        if (kept->step[cpu] >= kept->steps) {
            return;
        }
        kept->step[cpu]++;
        random_state[cpu] = kept->seed + (kept->step[cpu] << 8 | cpu) *
                            0x2545f4914f6cdd1d;
        do_step();
    }
}

static int finish(void);

static bool finishing;

static void run(void)
{
    unsigned cpu = this_cpu();
    int code;

    fuzz();
    kept->done[cpu] = 1;
    if (cpu) {
        for (;;) {
            kick_watchdog(cpu, cpus);
        }
    }
    while (cpus > 1 && !MEM64(&kept->done[1])) {
        kick_watchdog(cpu, cpus);
    }
    /* An exception here: a step has changed this program.  Load it anew. */
    if (finishing) {
        reset_machine();
    }
    finishing = true;
    code = finish();
    /* As boot.S does, which main() does not return to */
    if (code) {
        asm volatile("outw %w0, %w1" :: "a" (code), "d" (0xf4));
    }
    asm volatile("outw %w0, %w1" :: "a" (0x2000), "d" (0x604));
    for (;;) {
        asm volatile("hlt");
    }
}

void trapped(uint64_t vector, uint64_t *frame)
{
    __sync_fetch_and_add(&kept->traps[vector & 31], 1);
    if (kept->trace) {
        ml_printf("trap %ld: %lx %lx %lx\n", vector, frame[0], frame[1],
                  frame[2]);
    }
    run();
}

/* Half of the machine's starts are as a hypervisor would have them. */
static void configure(void)
{
    random_state[this_cpu()] = kept->seed + kept->resets;
    if (has_iommu && !one_in(16)) {
        MEM64(IOMMU + 0x18) = 1;
    }
    if (has_snp && !one_in(16)) {
        enable_snp();
    }
}

static void enable_sse(void)
{
    asm volatile("mov %%cr4, %%rax\n or $0x600, %%eax\n mov %%rax, %%cr4"
                 : : : "rax");
}

static void enable_wp(void)
{
    asm volatile("mov %%cr0, %%rax\n or $0x10000, %%eax\n mov %%rax, %%cr0"
                 : : : "rax");
}

void ap_main(void)
{
    load_idt();
    enable_sse();
    configure();
    run();
}

static void map_2m(uint64_t *pd, uint64_t va, uint64_t pa, uint64_t table)
{
    for (int i = 0; i < 512; i++) {
        MEM64(table + 8 * i) = (pa + i * PAGE) | 3;
    }
    pd[va / (2 * MB)] = table | 3;
}

static void map_small(void)
{
    uint64_t *pd = (uint64_t *)(*(uint64_t *)(*(uint64_t *)read_cr3() & -PAGE) &
                                -PAGE);

    for (int i = 0; i < 2 * NR_SLOTS; i++) {
        uint64_t base = SLOT(0) + i * 2 * MB;

        map_2m(pd, SMALL + base, base, SMALL_TABLES + i * PAGE);
    }
    map_2m(pd, HOST, HOST, HOST_TABLE);
    /* The supervisor's: CR4.SMEP is to change nothing. */
    for (int i = 0; i < 4 * 512; i++) {
        pd[i] &= ~4ul;
    }
    asm volatile("mov %0, %%cr3" :: "r" (read_cr3()) : "memory");
}

static void find_features(void)
{
    uint32_t features = cpuid_eax(0x8000001f);

    has_es = features & 1 << 3;
    has_snp = features & 1 << 4;
    has_iommu = has_snp;        /* which needs one */
    psp_bar = find_psp();
    cpus = nr_cpus();
    if (has_snp) {
        rmp_base = rdmsr(MSR_RMP_BASE);
        rmp_end = rdmsr(MSR_RMP_END);
    }
}

static void first_start(void)
{
    uint32_t low, high;

    for (unsigned i = 0; i < sizeof(*kept); i++) {
        MEM8(KEPT + i) = 0;
    }
    if (starts->magic == MAGIC) {
        starts->lost++;
    } else {
        starts->lost = starts->wrong = 0;
        starts->magic = MAGIC;
    }
    asm volatile("rdtsc" : "=a" (low), "=d" (high));
    kept->seed = option("seed", low) + starts->lost;
    kept->steps = option("steps", 2000) / cpus;
    kept->trace = option("trace", 0);
    kept->magic = MAGIC;
    ml_printf("seed=%ld, %ld steps on %d CPUs\n", kept->seed, kept->steps,
              cpus);
}

static unsigned count_statuses(unsigned cmd)
{
    unsigned nr = 0;

    for (int i = 0; i < 64; i++) {
        nr += kept->statuses[cmd][i];
    }
    return nr;
}

static int finish(void)
{
    static const char *const names[] = { "RMPUPDATE", "PSMASH", "RMPREAD" };
    unsigned accepted = 0, nr = 0;

    for (int i = 0; i < ARRAY_SIZE(commands); i++) {
        accepted += kept->statuses[commands[i].cmd][0];
        nr += count_statuses(commands[i].cmd);
    }
    ml_printf("%ld resets; commands: %d of %d accepted, %d results\n",
              kept->resets, accepted, ARRAY_SIZE(commands), nr);
    for (int i = 0; i < ARRAY_SIZE(names); i++) {
        ml_printf("%s:", names[i]);
        for (int j = 0; j < 8; j++) {
            ml_printf(" %ld", kept->rmp[i][j]);
        }
        ml_printf("\n");
    }
    ml_printf("exceptions:");
    for (int i = 0; i < 32; i++) {
        if (kept->traps[i]) {
            ml_printf(" %d: %ld", i, kept->traps[i]);
        }
    }
    ml_printf("\nexits:");
    for (int i = 0; i < NR_EXITS; i++) {
        if (kept->exits[i][1]) {
            ml_printf(" %lx: %ld", kept->exits[i][0], kept->exits[i][1]);
        }
    }
    ml_printf("\n%ld wrong\n", starts->wrong);
    kept->magic = starts->magic = 0;
    return starts->wrong ? 1 : 0;
}

int main(void)
{
    mask_pic();
    make_idt();
    load_idt();
    enable_sse();
    enable_wp();
    map_small();
    /* Nobody else clears the memory behind the program. */
    alive = 0;
    finishing = false;
    find_features();
    if (kept->magic == MAGIC) {
        kept->resets++;
    } else {
        first_start();
    }
    make_plain_tables();
    make_port_bitmap();
    for (int i = 0; i < 4; i++) {
        clear_page(BITMAP_0 + i * PAGE);
        for (int j = 0; j < 512; j++) {
            MEM64(BITMAP_1 + i * PAGE + 8 * j) = -1;
        }
    }
    configure();
    if (cpus > 1) {
        boot_ap(stacks[1] + STACK_SIZE);
    }
    /* On the stack that exceptions take the CPU from */
    asm volatile("lea 65536(%0), %%rsp\n call *%1"
                 :: "r" (stacks[0]), "r" (run));
    return 1;
}
