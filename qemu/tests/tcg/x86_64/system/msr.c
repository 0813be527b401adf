/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What WRMSR refuses: addresses that are not canonical, and commands that the
 * processor does not have.  What it cuts: SYSENTER's addresses on AMD.
 */
#include <stdbool.h>
#include <minilib.h>
#include "traps.h"

#define MSR_PRED_CMD        0x49
#define MSR_SYSENTER_ESP    0x175
#define MSR_SYSENTER_EIP    0x176
#define MSR_LSTAR           0xc0000082
#define MSR_CSTAR           0xc0000083
#define MSR_FS_BASE         0xc0000100
#define MSR_GS_BASE         0xc0000101
#define MSR_KERNEL_GS_BASE  0xc0000102

#define PRED_CMD_IBPB       (1u << 0)
#define PRED_CMD_SBPB       (1u << 7)

enum Register { EAX, EBX, ECX, EDX };

static bool has_bit(uint32_t leaf, enum Register reg, int bit)
{
    uint32_t regs[4];

    asm volatile("cpuid" : "=a" (regs[EAX]), "=b" (regs[EBX]),
                 "=c" (regs[ECX]), "=d" (regs[EDX])
                 : "a" (leaf & 0xf0000000), "c" (0));
    if (regs[EAX] < leaf) {
        return false;
    }
    asm volatile("cpuid" : "=a" (regs[EAX]), "=b" (regs[EBX]),
                 "=c" (regs[ECX]), "=d" (regs[EDX])
                 : "a" (leaf), "c" (0));
    return regs[reg] & 1u << bit;
}

static void test_addresses(void)
{
    static const uint32_t msrs[] = {
        MSR_LSTAR, MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
    };
    const uint64_t half = 1ull << (has_bit(7, ECX, 16) ? 56 : 47);
    const uint64_t bad[] = {
        half, half + 1, 1ull << 57, 1ull << 63, -half - 1, ~(1ull << 62),
    };
    const uint64_t good[] = { half - 1, -half, -1, 0 };

    for (int i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
        uint64_t before = rdmsr(msrs[i]);

        for (int k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
            CHECK_EQ(try_wrmsr(msrs[i], bad[k]), TRAP_GP);
            CHECK_EQ(rdmsr(msrs[i]), before);
        }
        for (int k = 0; k < sizeof(good) / sizeof(good[0]); k++) {
            CHECK_EQ(try_wrmsr(msrs[i], good[k]), NO_TRAP);
            CHECK_EQ(rdmsr(msrs[i]), good[k]);
        }
        wrmsr(msrs[i], before);
    }
}

static void test_sysenter(void)
{
    wrmsr(MSR_SYSENTER_ESP, 0xffff888012345678);
    CHECK_EQ(rdmsr(MSR_SYSENTER_ESP), 0x12345678);
    wrmsr(MSR_SYSENTER_EIP, 0xffffffff81234567);
    CHECK_EQ(rdmsr(MSR_SYSENTER_EIP), 0x81234567);
}

static void test_commands(void)
{
    uint64_t commands = 0;

    if (has_bit(7, EDX, 26) || has_bit(0x80000008, EBX, 12)) {
        commands |= PRED_CMD_IBPB;
    }
    if (has_bit(0x80000021, EAX, 27)) {
        commands |= PRED_CMD_SBPB;
    }
    CHECK_EQ(try_wrmsr(MSR_PRED_CMD, 0), NO_TRAP);
    CHECK_EQ(try_wrmsr(MSR_PRED_CMD, commands), NO_TRAP);
    for (int bit = 0; bit < 64; bit++) {
        CHECK_EQ(try_wrmsr(MSR_PRED_CMD, 1ull << bit),
                 commands & 1ull << bit ? NO_TRAP : TRAP_GP);
    }
    CHECK_EQ(try_rdmsr(MSR_PRED_CMD), TRAP_GP);
}

int main(void)
{
    init_traps();

    test_addresses();
    test_sysenter();
    test_commands();

    ml_printf("%s\n", failures ? "FAIL" : "PASS");
    return failures != 0;
}
