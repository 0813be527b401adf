/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests without an operating system: the second CPU, from real mode to
 * ap_main() in 64-bit mode
 */
#ifndef AP_H
#define AP_H

#include <stdint.h>

/* Each access to memory or a device is to be made, by one instruction. */
#define AP_ICR      (*(volatile uint32_t *)0xfee00300ul) /* see above */

/* Where it starts, in a copy of ap_start: memory that nobody else uses */
#define SIPI_PAGE   0x8000ul

asm(".pushsection .text\n"
    ".code16\n"
    "ap_start:\n"
    "  cli\n"
    "  lgdtl %cs:(ap_gdtr - ap_start)\n"
    "  mov $0x620, %eax\n  mov %eax, %cr4\n"
    "  mov %cs:(ap_cr3 - ap_start), %eax\n  mov %eax, %cr3\n"
    "  mov $0xc0000080, %ecx\n  rdmsr\n  bts $8, %eax\n  wrmsr\n"
    "  mov $0x80010011, %eax\n  mov %eax, %cr0\n"
    "  ljmpl $8, $ap_64\n"
    ".balign 8\n"
    "ap_gdt: .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff\n"
    "ap_gdtr: .short 23\n  .long ap_gdt\n"
    "ap_cr3: .long 0\n"
    "ap_end:\n"
    ".code64\n"
    "ap_64:\n"
    "  mov $0x10, %eax\n  mov %eax, %ds\n  mov %eax, %es\n  mov %eax, %ss\n"
    "  mov ap_rsp(%rip), %rsp\n"
    "  call ap_main\n"
    ".popsection\n");
extern char ap_start[], ap_end[];
extern uint32_t ap_cr3;
void ap_main(void);
uint64_t ap_rsp;

/* With this CPU's page tables, and a stack that ends there */
static void boot_ap(void *stack_end)
{
    uint64_t cr3;

    asm("mov %%cr3, %0" : "=r" (cr3));
    ap_cr3 = cr3;
    ap_rsp = (uint64_t)stack_end;
    for (int i = 0; i < ap_end - ap_start; i++) {
        ((volatile char *)SIPI_PAGE)[i] = ap_start[i]; /* for the other CPU */
    }
    AP_ICR = 0xc4500;
    for (int i = 0; i < 100000; i++) {
        asm volatile("pause");
    }
    AP_ICR = 0xc4600 | SIPI_PAGE >> 12;
}

#endif
