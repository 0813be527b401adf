/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XSAVEC, XSAVES and XRSTORS, the compacted format, and the checks of XRSTOR
 */
#include <stdbool.h>
#include <minilib.h>
#include "traps.h"

#define XSTATE_FP       (1u << 0)
#define XSTATE_SSE      (1u << 1)
#define XSTATE_AVX      (1u << 2)
#define XSTATE_BNDREGS  (1u << 3)
#define XSTATE_BNDCSR   (1u << 4)
#define XSTATE_PKRU     (1u << 9)
#define COMPACTED       (1ull << 63)

#define HEADER          512
#define EXTENDED        576

#define CR0_TS          (1u << 3)
#define CR4_OSFXSR      (1u << 9)
#define CR4_OSXSAVE     (1u << 18)
#define CR4_PKE         (1u << 22)

#define MSR_IA32_XSS    0xda0

#define XSAVE           "xsave64 (%%rsi)"
#define XRSTOR          "xrstor64 (%%rsi)"
#define XSAVEC          "xsavec64 (%%rsi)"
#define XSAVES          "xsaves64 (%%rsi)"
#define XRSTORS         "xrstors64 (%%rsi)"

/* An instruction for the components of MASK and the area AT */
#define DO(insn, mask, at) TRY(insn, mask, 0, 0, at)

static uint8_t area[4096] __attribute__((aligned(4096)));

static uint64_t word(unsigned offset)
{
    return *(uint64_t *)(area + offset);
}

static void set_word(unsigned offset, uint64_t val)
{
    *(uint64_t *)(area + offset) = val;
}

static void fill(int val)
{
    for (int i = 0; i < sizeof(area); i++) {
        area[i] = val;
    }
}

static bool is_filled(unsigned from, unsigned to, int val)
{
    for (unsigned i = from; i < to; i++) {
        if (area[i] != val) {
            return false;
        }
    }
    return true;
}

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t *regs)
{
    asm volatile("cpuid" : "=a" (regs[0]), "=b" (regs[1]), "=c" (regs[2]),
                 "=d" (regs[3]) : "a" (leaf), "c" (sub));
}

static void xsetbv(uint32_t val)
{
    asm volatile("xsetbv" : : "a" (val), "c" (0), "d" (0));
}

static void set_cr0(uint64_t set, uint64_t clear)
{
    uint64_t val;

    asm volatile("mov %%cr0, %0" : "=r" (val));
    asm volatile("mov %0, %%cr0" : : "r" ((val | set) & ~clear));
}

static void set_cr4(uint64_t set, uint64_t clear)
{
    uint64_t val;

    asm volatile("mov %%cr4, %0" : "=r" (val));
    asm volatile("mov %0, %%cr4" : : "r" ((val | set) & ~clear));
}

static uint32_t get_mxcsr(void)
{
    uint32_t val;

    asm volatile("stmxcsr %0" : "=m" (val));
    return val;
}

static void set_ymm0(uint64_t val)
{
    asm volatile("vmovq %0, %%xmm0\n"
                 "vpunpcklqdq %%xmm0, %%xmm0, %%xmm0\n"
                 "vinsertf128 $1, %%xmm0, %%ymm0, %%ymm0" : : "r" (val));
}

static void get_ymm0(uint64_t val[4])
{
    asm volatile("vmovdqu %%ymm0, (%0)" : : "r" (val) : "memory");
}

static void set_pkru(uint32_t val)
{
    asm volatile("wrpkru" : : "a" (val), "c" (0), "d" (0));
}

static uint32_t get_pkru(void)
{
    uint32_t val;

    asm volatile("rdpkru" : "=a" (val) : "c" (0) : "edx");
    return val;
}

static void test_cpuid(void)
{
    uint32_t regs[4];

    xsetbv(XSTATE_FP | XSTATE_SSE);
    cpuid(0xd, 1, regs);
    CHECK_EQ(regs[0] & 0xf, 0xf);
    CHECK_EQ(regs[1], EXTENDED);
    CHECK_EQ(regs[2], 0);
    CHECK_EQ(regs[3], 0);

    xsetbv(XSTATE_FP | XSTATE_SSE | XSTATE_AVX | XSTATE_BNDREGS |
           XSTATE_BNDCSR | XSTATE_PKRU);
    cpuid(0xd, 1, regs);
    CHECK_EQ(regs[1], EXTENDED + 256 + 64 + 64 + 8);

    CHECK_EQ(try_wrmsr(MSR_IA32_XSS, 0), NO_TRAP);
    CHECK_EQ(rdmsr(MSR_IA32_XSS), 0);
    CHECK_EQ(try_wrmsr(MSR_IA32_XSS, 1 << 8), TRAP_GP);
    CHECK_EQ(try_wrmsr(MSR_IA32_XSS, XSTATE_AVX), TRAP_GP);
}

static void test_traps(void)
{
    set_cr4(0, CR4_OSXSAVE);
    set_cr0(CR0_TS, 0);
    CHECK_EQ(DO(XSAVEC, 1, area + 8), TRAP_UD);
    CHECK_EQ(DO(XSAVES, 1, area + 8), TRAP_UD);
    CHECK_EQ(DO(XRSTORS, 1, area + 8), TRAP_UD);
    set_cr4(CR4_OSXSAVE, 0);
    CHECK_EQ(DO(XSAVE, 1, area + 8), TRAP_NM);
    CHECK_EQ(DO(XRSTOR, 1, area + 8), TRAP_NM);
    CHECK_EQ(DO(XSAVEC, 1, area + 8), TRAP_NM);
    CHECK_EQ(DO(XSAVES, 1, area + 8), TRAP_NM);
    CHECK_EQ(DO(XRSTORS, 1, area + 8), TRAP_NM);
    set_cr0(0, CR0_TS);
    CHECK_EQ(DO(XSAVEC, 1, area + 32), TRAP_GP);
    CHECK_EQ(DO(XSAVES, 1, area + 32), TRAP_GP);
    CHECK_EQ(DO(XRSTORS, 1, area + 32), TRAP_GP);
    CHECK_EQ(DO(".byte 0xf0\n" XSAVEC, 1, area), TRAP_UD);
    CHECK_EQ(DO(".byte 0x66\n" XSAVES, 1, area), TRAP_UD);
    CHECK_EQ(DO(".byte 0xf3\n" XRSTORS, 1, area), TRAP_UD);
}

static void test_save(void)
{
    set_ymm0(0x1122334455667788);
    set_pkru(0x5550);

    /* AVX alone: neither the legacy region nor the header's rest change. */
    fill(0xa5);
    CHECK_EQ(DO(XSAVEC, XSTATE_AVX, area), NO_TRAP);
    CHECK_EQ(word(HEADER), XSTATE_AVX);
    CHECK_EQ(word(HEADER + 8), XSTATE_AVX | COMPACTED);
    CHECK_EQ(word(EXTENDED), 0x1122334455667788);
    CHECK_EQ(is_filled(0, HEADER, 0xa5), true);
    CHECK_EQ(is_filled(HEADER + 16, EXTENDED, 0xa5), true);
    CHECK_EQ(is_filled(EXTENDED + 256, sizeof(area), 0xa5), true);

    /* PKRU is behind AVX if that is asked for. */
    fill(0xa5);
    CHECK_EQ(DO(XSAVES, XSTATE_SSE | XSTATE_AVX | XSTATE_PKRU, area), NO_TRAP);
    CHECK_EQ(word(HEADER), XSTATE_SSE | XSTATE_AVX | XSTATE_PKRU);
    CHECK_EQ(word(HEADER + 8),
             XSTATE_SSE | XSTATE_AVX | XSTATE_PKRU | COMPACTED);
    CHECK_EQ(word(160), 0x1122334455667788);
    CHECK_EQ(word(EXTENDED + 256), 0x5550);
    CHECK_EQ(is_filled(0, 24, 0xa5), true);

    /* BNDREGS are in their initial state: not written, but have their place. */
    fill(0xa5);
    CHECK_EQ(DO(XSAVEC, XSTATE_BNDREGS | XSTATE_PKRU, area), NO_TRAP);
    CHECK_EQ(word(HEADER), XSTATE_PKRU);
    CHECK_EQ(word(HEADER + 8), XSTATE_BNDREGS | XSTATE_PKRU | COMPACTED);
    CHECK_EQ(is_filled(EXTENDED, EXTENDED + 64, 0xa5), true);
    CHECK_EQ(word(EXTENDED + 64), 0x5550);

    /* What XCR0 does not have is not saved. */
    fill(0xa5);
    CHECK_EQ(DO(XSAVES, ~0, area), NO_TRAP);
    CHECK_EQ(word(HEADER + 8), COMPACTED | XSTATE_FP | XSTATE_SSE | XSTATE_AVX |
             XSTATE_BNDREGS | XSTATE_BNDCSR | XSTATE_PKRU);
}

static void test_restore(const char *name, int (*restore)(uint32_t))
{
    const uint32_t mask = XSTATE_SSE | XSTATE_AVX | XSTATE_PKRU;
    uint64_t val[4];
    uint32_t mxcsr = 0x1fc0;

    ml_printf("%s\n", name);
    set_ymm0(0x1122334455667788);
    set_pkru(0x5550);
    asm volatile("ldmxcsr %0" : : "m" (mxcsr));
    fill(0);
    CHECK_EQ(DO(XSAVEC, mask, area), NO_TRAP);

    set_ymm0(0);
    set_pkru(0);
    mxcsr = 0x1f80;
    asm volatile("ldmxcsr %0" : : "m" (mxcsr));
    CHECK_EQ(restore(mask), NO_TRAP);
    get_ymm0(val);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(val[i], 0x1122334455667788);
    }
    CHECK_EQ(get_pkru(), 0x5550);
    CHECK_EQ(get_mxcsr(), 0x1fc0);

    /* PKRU alone, with the place of AVX before it */
    set_ymm0(7);
    set_pkru(0);
    CHECK_EQ(restore(XSTATE_PKRU), NO_TRAP);
    get_ymm0(val);
    CHECK_EQ(val[2], 7);
    CHECK_EQ(get_pkru(), 0x5550);

    /* The initial state, MXCSR included */
    set_word(HEADER, XSTATE_PKRU);
    CHECK_EQ(restore(mask), NO_TRAP);
    get_ymm0(val);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(val[i], 0);
    }
    CHECK_EQ(get_mxcsr(), 0x1f80);
    CHECK_EQ(get_pkru(), 0x5550);

    /* Headers that are none */
    set_word(HEADER, mask | XSTATE_BNDREGS);
    CHECK_EQ(restore(mask), TRAP_GP);
    set_word(HEADER, mask | COMPACTED);
    CHECK_EQ(restore(mask), TRAP_GP);
    set_word(HEADER, mask);
    set_word(HEADER + 8, mask | 1 << 5 | COMPACTED);
    CHECK_EQ(restore(mask), TRAP_GP);
    set_word(HEADER + 8, mask | 1ull << 62 | COMPACTED);
    CHECK_EQ(restore(mask), TRAP_GP);
    set_word(HEADER + 8, mask);
    CHECK_EQ(restore(mask), TRAP_GP);
    set_word(HEADER + 8, mask | COMPACTED);
    for (int i = 16; i < 64; i++) {
        area[HEADER + i] = 1;
        CHECK_EQ(restore(mask), TRAP_GP);
        area[HEADER + i] = 0;
    }
    CHECK_EQ(restore(mask), NO_TRAP);
}

static int xrstor(uint32_t mask)
{
    return DO(XRSTOR, mask, area);
}

static int xrstors(uint32_t mask)
{
    return DO(XRSTORS, mask, area);
}

static void test_standard(void)
{
    /* Only XRSTOR knows the standard format: bytes 63:24 are ignored. */
    fill(0);
    CHECK_EQ(DO(XSAVE, XSTATE_SSE | XSTATE_AVX, area), NO_TRAP);
    set_word(HEADER + 24, ~0);
    CHECK_EQ(xrstor(XSTATE_SSE | XSTATE_AVX), NO_TRAP);
    CHECK_EQ(xrstors(XSTATE_SSE | XSTATE_AVX), TRAP_GP);
    set_word(HEADER + 16, 1);
    CHECK_EQ(xrstor(XSTATE_SSE | XSTATE_AVX), TRAP_GP);
}

/* User mode: segments, a TSS for the stack of exceptions, and a way back */
static uint64_t gdt[] = {
    0,
    0x00af9b000000ffff,     /* 08: code */
    0x00cf93000000ffff,     /* 10: data */
    0x00cff3000000ffff,     /* 18: data of user mode */
    0x00affb000000ffff,     /* 20: code of user mode */
    0, 0,                   /* 28: TSS */
};
static uint32_t tss[26];
static uint8_t stack[4096], user_stack[4096];

static void init_user(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) gdtr = { sizeof(gdt) - 1, (uint64_t)gdt };
    uint64_t base = (uint64_t)tss;

    tss[1] = (uint64_t)(stack + sizeof(stack));
    gdt[5] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 |
             0x89ull << 40 | (base >> 24) << 56;
    asm volatile("lgdt %0\n"
                 "ltr %w1" : : "m" (gdtr), "r" (0x28));
}

/* Enter user mode at the instruction, which UD2 follows. */
#define USER(insn)                                                      \
    "push $0x1b\n"                                                      \
    "push %%rcx\n"                                                      \
    "push $2\n"                                                         \
    "push $0x23\n"                                                      \
    "lea 2f(%%rip), %%rcx\n"                                            \
    "push %%rcx\n"                                                      \
    "iretq\n"                                                           \
    "2: " insn "\n"                                                     \
    "ud2"

#define DO_USER(insn, mask, at)                                         \
    TRY(USER(insn), mask, (uint64_t)(user_stack + sizeof(user_stack)), 0, at)

static void test_user(void)
{
    init_user();
    fill(0);
    CHECK_EQ(DO_USER(XSAVEC, XSTATE_AVX, area), TRAP_UD);
    CHECK_EQ(word(HEADER + 8), XSTATE_AVX | COMPACTED);
    CHECK_EQ(DO_USER(XRSTOR, XSTATE_AVX, area), TRAP_UD);
    CHECK_EQ(DO_USER(XRSTORS, XSTATE_AVX, area), TRAP_GP);
    fill(0);
    CHECK_EQ(DO_USER(XSAVES, XSTATE_AVX, area), TRAP_GP);
    CHECK_EQ(is_filled(0, sizeof(area), 0), true);
}

int main(void)
{
    init_traps();
    set_cr4(CR4_OSFXSR | CR4_OSXSAVE | CR4_PKE, 0);

    test_cpuid();
    test_traps();
    test_save();
    test_restore("XRSTOR", xrstor);
    test_restore("XRSTORS", xrstors);
    test_standard();
    test_user();

    ml_printf("%s\n", failures ? "FAIL" : "PASS");
    return failures != 0;
}
