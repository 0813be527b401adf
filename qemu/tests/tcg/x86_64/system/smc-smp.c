/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The second CPU executes code that the first one changes meanwhile, and sees
 * the new code after a serializing instruction
 */
#include <minilib.h>
#include "ap.h"

#define ROUNDS  20000

/*
 * Two functions: mov $0, %eax; ret.  Nothing else is in the page, the operands
 * are aligned.
 */
static uint8_t page[4096] __attribute__((aligned(4096))) = {
    [3] = 0xb8, [8] = 0xc3,
    [67] = 0xb8, [72] = 0xc3
};
#define OPERAND(n)  (*(volatile uint32_t *)&page[4 + 64 * (n)]) /* code */
#define CODE(n)     ((uint32_t (*)(void))&page[3 + 64 * (n)])

/* Each CPU waits for the other one by these. */
static volatile uint32_t written, executed = -1, stale;

static void pause_for(int n)
{
    while (n--) {
        asm volatile("pause");
    }
}

void ap_main(void)
{
    for (;;) {
        uint32_t least = written, eax = 0, ecx = 0;

        asm volatile("cpuid" : "+a" (eax), "+c" (ecx) : : "rbx", "rdx");
        for (int n = 1; n >= 0; n--) {
            if (CODE(n)() < least) {
                stale = least | n;
            }
        }
        executed = least;
    }
}

int main(void)
{
    static uint8_t stack[4096] __attribute__((aligned(16)));
    uint32_t value = 0;

    boot_ap(stack + sizeof(stack));
    while (executed != value) {
        asm volatile("pause");
    }
    for (int i = 0; i < ROUNDS && !stale; i++) {
        /*
         * Now the other CPU has to translate both functions anew.  The second
         * change of the first one comes before that, meanwhile, or after it.
         */
        OPERAND(1) = value + 2;
        OPERAND(0) = value + 1;
        pause_for(i % 128);
        asm volatile("invlpg %0" : : "m" (page[0]));
        OPERAND(0) = value + 2;
        value += 2;
        written = value;
        while (executed != value) {
            asm volatile("pause");
        }
    }
    if (stale) {
        ml_printf("function %d before its last change, %d of %d\n",
                  stale & 1, stale / 2, ROUNDS);
        return 1;
    }
    return 0;
}
