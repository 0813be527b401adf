/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD Secure Nested Paging: what its tests share
 */
#include "check.h"

#define KB              1024ul
#define MB              (1024 * KB)

/* Pages of 2 MiB that the tests use */
#define R0              (64 * MB)
#define R1              (66 * MB)
#define R2              (68 * MB)
#define R3              (70 * MB)

#define MSR_SYSCFG      0xc0010010
#define MSR_HSAVE       0xc0010117
#define MSR_RMP_BASE    0xc0010132
#define MSR_RMP_END     0xc0010133
#define MSR_MTRR_FIX    0x250
#define MSR_EFER        0xc0000080

#define SYSCFG_SNP      ((1ul << 24) | (1ul << 25) | (1ul << 19))

/* Exceptions: what happened to the last access that was tried */

static struct {
    uint64_t vector, error, cr2;
} fault;

uint64_t fixup, seen_vector, seen_error, seen_cr2;

asm(".pushsection .text\n"
    ".macro handler vector has_error\n"
    "handler_\\vector:\n"
    "  .if !\\has_error\n push $0\n .endif\n"
    "  push %rax\n"
    "  movq $\\vector, seen_vector(%rip)\n"
    "  mov 8(%rsp), %rax\n mov %rax, seen_error(%rip)\n"
    "  mov %cr2, %rax\n mov %rax, seen_cr2(%rip)\n"
    "  mov fixup(%rip), %rax\n mov %rax, 16(%rsp)\n"
    "  pop %rax\n add $8, %rsp\n iretq\n"
    ".endm\n"
    "handler 6 0\n handler 13 1\n handler 14 1\n"
    ".popsection\n");
extern char handler_6[], handler_13[], handler_14[];

static struct {
    uint16_t low, sel, type, mid;
    uint32_t high, zero;
} idt[32] __attribute__((aligned(16)));

static void set_handler(int vector, char *handler)
{
    uint64_t at = (uint64_t)handler;

    idt[vector].low = at;
    idt[vector].sel = 8;
    idt[vector].type = 0x8e00;
    idt[vector].mid = at >> 16;
    idt[vector].high = at >> 32;
}

#define TRY(insn, ...) do {                                             \
    fault.vector = seen_vector = 0;                                     \
    seen_error = seen_cr2 = 0;                                          \
    asm volatile("lea 9f(%%rip), %%r15\n mov %%r15, fixup(%%rip)\n"     \
                 insn "\n9:" __VA_ARGS__);                              \
    fault.vector = seen_vector;                                         \
    fault.error = seen_error;                                           \
    fault.cr2 = seen_cr2;                                               \
} while (0)

/* A fault as one number: vector, and the error code above it */
#define NO_FAULT        0
#define UD              6
#define GP              13
#define PF(error)       (14 | (uint64_t)(error) << 8)
#define RMP             0x80000000u

static uint64_t last_fault(void)
{
    return fault.vector | fault.error << 8;
}

/* Instructions */

struct rmp_state {
    uint64_t gpa;
    uint8_t assigned, size, immutable, reserved;
    uint32_t asid;
};

static uint64_t rmpupdate(uint64_t pa, struct rmp_state *state)
{
    uint64_t ret = pa;

    TRY(".byte 0xf2, 0x0f, 0x01, 0xfe", : "+a" (ret) : "c" (state)
        : "memory", "cc", "r15");
    return ret;
}

static uint64_t psmash(uint64_t pa)
{
    uint64_t ret = pa;

    TRY(".byte 0xf3, 0x0f, 0x01, 0xff", : "+a" (ret) :: "memory", "cc", "r15");
    return ret;
}

static uint64_t rmpread(uint64_t pa, struct rmp_state *state)
{
    uint64_t ret = pa;

    TRY(".byte 0xf2, 0x0f, 0x01, 0xfd", : "+a" (ret) : "c" (state)
        : "memory", "cc", "r15");
    return ret;
}

static void wrmsr(uint32_t msr, uint64_t val)
{
    TRY("wrmsr", :: "c" (msr), "a" ((uint32_t)val), "d" (val >> 32)
        : "memory", "r15");
}

static uint64_t rdmsr(uint32_t msr)
{
    uint32_t low = 0, high = 0;

    TRY("rdmsr", : "+a" (low), "+d" (high) : "c" (msr) : "r15");
    return low | (uint64_t)high << 32;
}

static void wbinvd(void)
{
    asm volatile("wbinvd" : : : "memory");
}

static void store(uint64_t va)
{
    TRY("movb $1, (%0)", :: "r" (va) : "memory", "r15");
}

static void load(uint64_t va)
{
    TRY("movb (%0), %%al", :: "r" (va) : "rax", "memory", "r15");
}

/* Memory: R0 to R3 at their addresses by 2 MiB, and 1 GiB higher by 4 KiB */

#define SMALL           (1024 * MB)

/* Not where the stack is: a page of it is to be a guest's. */
#define TABLES          (72 * MB)

static void map_small(void)
{
    uint64_t (*pt)[512] = (void *)TABLES;
    uint64_t cr3, *pd;

    asm("mov %%cr3, %0" : "=r" (cr3));
    pd = (uint64_t *)(*(uint64_t *)(*(uint64_t *)cr3 & -4096) & -4096);
    for (int i = 0; i < 4; i++) {
        uint64_t base = R0 + i * 2 * MB;

        for (int j = 0; j < 512; j++) {
            pt[i][j] = (base + j * 4096) | 3;
        }
        pd[(SMALL + base) / (2 * MB)] = (uint64_t)pt[i] | 3;
    }
    asm volatile("mov %0, %%cr3" :: "r" (cr3) : "memory");
}

/* The security processor */

static void outl(uint16_t port, uint32_t val)
{
    asm volatile("outl %0, %1" :: "a" (val), "Nd" (port));
}

#define PSP_SLOT        4
#define PSP_BAR         0xfe000000ul
#define IOMMU           0xfed80000ul

static void pci_write(int slot, int reg, uint32_t val)
{
    outl(0xcf8, 0x80000000u | slot << 11 | reg);
    outl(0xcfc, val);
}

static uint32_t psp(uint32_t cmd, const void *buf)
{
    MEM32(PSP_BAR + 0x109e0) = (uint64_t)buf;
    MEM32(PSP_BAR + 0x109e4) = 0;
    MEM32(PSP_BAR + 0x10980) = cmd << 16;
    return MEM32(PSP_BAR + 0x10980) & 0xffff;
}

static uint64_t arg[8];

static uint32_t psp1(uint32_t cmd, uint64_t a)
{
    arg[0] = a;
    return psp(cmd, arg);
}

static uint32_t psp3(uint32_t cmd, uint64_t a, uint64_t b, uint64_t c)
{
    arg[1] = b;
    arg[2] = c;
    return psp1(cmd, a);
}

static uint32_t launch_update(uint64_t gctx, uint32_t flags, uint64_t pa)
{
    arg[3] = 0;
    return psp3(0xa1, gctx, flags, pa);
}

static uint32_t init_ex(uint64_t flags)
{
    for (int i = 0; i < 8; i++) {
        arg[i] = 0;
    }
    return psp1(0x85, flags);
}

static void make(uint64_t pa, uint64_t gpa, int size, int immutable, int asid)
{
    struct rmp_state state = { gpa, 1, size, immutable, 0, asid };

    expect("RMPUPDATE", rmpupdate(pa, &state), 0);
}

static void setup(void)
{
    struct { uint16_t limit; uint64_t base; } __attribute__((packed)) idtr = {
        sizeof(idt) - 1, (uint64_t)idt
    };
    uint64_t cr0;

    set_handler(6, handler_6);
    set_handler(13, handler_13);
    set_handler(14, handler_14);
    asm volatile("lidt %0" :: "m" (idtr));
    asm volatile("mov %%cr0, %0" : "=r" (cr0));
    asm volatile("mov %0, %%cr0" :: "r" (cr0 | 1 << 16));
    map_small();
    pci_write(PSP_SLOT, 0x18, PSP_BAR);
    pci_write(PSP_SLOT, 0x04, 2);
}
