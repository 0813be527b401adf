/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MOVDIRI and MOVDIR64B
 */
#include <minilib.h>
#include "traps.h"


static uint64_t source[16] __attribute__((aligned(64)));
static uint64_t dest[16] __attribute__((aligned(64)));

static int movdir64b(void *to, void *from)
{
    return TRY(".byte 0x66, 0x0f, 0x38, 0xf8, 0x01", (uint64_t)to,
               (uint64_t)from, 0, 0);
}

static void fill(void)
{
    for (int i = 0; i < 16; i++) {
        source[i] = 0x1111111111111111 * i;
        dest[i] = ~0ull;
    }
}

static void check_dest(int first, int last, uint64_t *from)
{
    for (int i = 0; i < 16; i++) {
        CHECK_EQ(dest[i], i < first || i >= last ? ~0ull : from[i - first]);
    }
}

static void test_movdir64b(void)
{
    fill();
    CHECK_EQ(movdir64b(dest, source), NO_TRAP);
    check_dest(0, 8, source);
    /* The source need not be aligned, the destination must be. */
    fill();
    CHECK_EQ(movdir64b(dest + 8, source + 3), NO_TRAP);
    check_dest(8, 16, source + 3);
    fill();
    CHECK_EQ(movdir64b(dest + 1, source), TRAP_GP);
    CHECK_EQ(movdir64b((char *)dest + 32, source), TRAP_GP);
    check_dest(0, 0, source);
    /* With addresses of 32 bits, upper halves do not matter. */
    CHECK_EQ(TRY(".byte 0x67, 0x66, 0x0f, 0x38, 0xf8, 0x01",
                 (uint64_t)dest | 1ull << 60, (uint64_t)source | 1ull << 60,
                 0, 0), NO_TRAP);
    check_dest(0, 8, source);
    /* It has no form with a register as its source, and needs its prefix. */
    CHECK_EQ(TRY(".byte 0x66, 0x0f, 0x38, 0xf8, 0xc1", (uint64_t)dest, 0, 0, 0),
             TRAP_UD);
    CHECK_EQ(TRY(".byte 0x0f, 0x38, 0xf8, 0x01", (uint64_t)dest,
                 (uint64_t)source, 0, 0), TRAP_UD);
}

static void test_movdiri(void)
{
    fill();
    CHECK_EQ(TRY(".byte 0x0f, 0x38, 0xf9, 0x08", (uint64_t)dest,
                 0x8877665544332211, 0, 0), NO_TRAP);
    CHECK_EQ(dest[0], 0xffffffff44332211);
    CHECK_EQ(TRY(".byte 0x48, 0x0f, 0x38, 0xf9, 0x08", (uint64_t)dest,
                 0x8877665544332211, 0, 0), NO_TRAP);
    CHECK_EQ(dest[0], 0x8877665544332211);
    CHECK_EQ(TRY(".byte 0x0f, 0x38, 0xf9, 0xc1", 0, 0, 0, 0), TRAP_UD);
}

int main(void)
{
    init_traps();
    test_movdir64b();
    test_movdiri();
    ml_printf("movdir: %d failures\n", failures);
    return failures != 0;
}
