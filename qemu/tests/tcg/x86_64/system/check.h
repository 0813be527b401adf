/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests without an operating system: what is compared, and how many were right
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <minilib.h>

/* Each access to memory or a device is to be made, by one instruction. */
#define MEM32(at)       (*(volatile uint32_t *)(at)) /* see above */
#define MEM64(at)       (*(volatile uint64_t *)(at)) /* see above */

#define ARRAY_SIZE(a)   (sizeof(a) / sizeof((a)[0]))

static int passed, failed;

static void check(bool ok, const char *what, uint64_t got, uint64_t expected)
{
    if (ok) {
        passed++;
    } else {
        failed++;
        ml_printf("FAIL: %s: got %lx, expected %lx\n", what, got, expected);
    }
}

static void expect(const char *what, uint64_t got, uint64_t expected)
{
    check(got == expected, what, got, expected);
}

static int result(void)
{
    ml_printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}

#endif
