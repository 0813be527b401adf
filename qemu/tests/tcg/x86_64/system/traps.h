/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exceptions for tests without an operating system: an instruction is tried,
 * and what exception it raised is its result.
 */
#ifndef TRAPS_H
#define TRAPS_H

#include <stddef.h>
#include <stdint.h>

#define NO_TRAP     (-1)
#define TRAP_DB     1
#define TRAP_UD     6
#define TRAP_NM     7
#define TRAP_GP     13

typedef struct Gate {
    uint16_t offset_lo, selector, flags, offset_mid;
    uint32_t offset_hi, reserved;
} Gate;

extern char trap_stubs[];
Gate idt[32] __attribute__((aligned(16)));
int trap_nr;
uint64_t trap_fixup, trap_rsp;

/*
 * Stub N: the exception ends the instruction.  Go on at the fixup, which is
 * in the same function.
 */
asm(".pushsection .text\n"
    ".balign 16\n"
    "trap_stubs:\n"
    ".set nr, 0\n"
    ".rept 32\n"
    "    .balign 16\n"
    "    movl $nr, trap_nr(%rip)\n"
    "    jmp trap_common\n"
    "    .set nr, nr + 1\n"
    ".endr\n"
    "trap_common:\n"
    "    mov trap_rsp(%rip), %rsp\n"
    "    jmp *trap_fixup(%rip)\n"
    ".popsection");

/* RAX, RCX, RDX and RSI are for the operands. */
#define TRY(insn, a, c, d, si) ({                                       \
        uint64_t a_ = (a), c_ = (c), d_ = (d), si_ = (uint64_t)(si);    \
                                                                        \
        trap_nr = NO_TRAP;                                              \
        asm volatile("lea 1f(%%rip), %%rdi\n"                           \
                     "mov %%rdi, trap_fixup(%%rip)\n"                   \
                     "mov %%rsp, trap_rsp(%%rip)\n"                     \
                     insn "\n"                                          \
                     "1:"                                               \
                     : "+a" (a_), "+c" (c_), "+d" (d_), "+S" (si_)      \
                     : : "rdi", "memory", "cc");                        \
        trap_nr;                                                        \
    })

static inline void set_gate(int nr, uint64_t addr)
{
    idt[nr] = (Gate) {
        .offset_lo = addr,
        .selector = 8,
        .flags = 0x8e00,
        .offset_mid = addr >> 16,
        .offset_hi = addr >> 32,
    };
}

static inline void init_traps(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr = { sizeof(idt) - 1, (uint64_t)idt };

    for (int i = 0; i < 32; i++) {
        set_gate(i, (uint64_t)trap_stubs + i * 16);
    }
    asm volatile("lidt %0" : : "m" (idtr));
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;

    asm volatile("rdmsr" : "=a" (lo), "=d" (hi) : "c" (msr));
    return lo | (uint64_t)hi << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t val)
{
    asm volatile("wrmsr" : : "c" (msr), "a" ((uint32_t)val),
                 "d" ((uint32_t)(val >> 32)) : "memory");
}

static inline int try_wrmsr(uint32_t msr, uint64_t val)
{
    return TRY("wrmsr", (uint32_t)val, msr, val >> 32, 0);
}

static inline int try_rdmsr(uint32_t msr)
{
    return TRY("rdmsr", 0, msr, 0, 0);
}

#define CHECK_EQ(a, b) do {                                             \
        uint64_t a_ = (a), b_ = (b);                                    \
                                                                        \
        if (a_ != b_) {                                                 \
            ml_printf("%s:%d: %s is 0x%lx, not 0x%lx\n", __FILE__,      \
                      __LINE__, #a, a_, b_);                            \
            failures++;                                                 \
        }                                                               \
    } while (0)

static int failures;

#endif
