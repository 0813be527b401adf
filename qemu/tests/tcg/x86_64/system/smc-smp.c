/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The second CPU executes code that the first one changes meanwhile, and sees
 * the new code after a serializing instruction
 */
#include <minilib.h>
#include "ap.h"

#define ROUNDS  20000

/* mov $0, %eax; ret.  Nothing else is in the page, the operand is aligned. */
static uint8_t page[4096] __attribute__((aligned(4096))) = {
    [3] = 0xb8, [8] = 0xc3
};
#define OPERAND (*(volatile uint32_t *)&page[4]) /* executed elsewhere */

/* Each CPU waits for the other one by these. */
static volatile uint32_t written, executed, stale;

static void pause_for(int n)
{
    while (n--) {
        asm volatile("pause");
    }
}

void ap_main(void)
{
    uint32_t (*code)(void) = (uint32_t (*)(void))&page[3];

    for (;;) {
        uint32_t least = written, found, eax = 0, ecx = 0;

        asm volatile("cpuid" : "+a" (eax), "+c" (ecx) : : "rbx", "rdx");
        found = code();
        if (found < least) {
            stale = least;
        }
        executed = least;
    }
}

int main(void)
{
    static uint8_t stack[4096] __attribute__((aligned(16)));
    uint32_t value = 0;

    boot_ap(stack + sizeof(stack));
    for (int i = 0; i < ROUNDS && !stale; i++) {
        /*
         * After the first write, the other CPU has to translate the code anew.
         * The second one comes before that, meanwhile, or after it.
         */
        OPERAND = ++value;
        pause_for(i % 128);
        OPERAND = ++value;
        written = value;
        while (executed != value) {
            asm volatile("pause");
        }
    }
    if (stale) {
        ml_printf("code of before the last write, %d of %d\n", stale, 2 * ROUNDS);
        return 1;
    }
    return 0;
}
