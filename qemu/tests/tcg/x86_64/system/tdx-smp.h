/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX: how the second CPU of a test starts
 */
#include <stdint.h>

/* From real mode to ap_main() in 64-bit mode */
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
    "  lea ap_stack + 4096(%rip), %rsp\n"
    "  call ap_main\n"
    ".popsection\n"
    ".pushsection .bss\n"
    ".balign 16\n"
    "ap_stack: .skip 4096\n"
    ".popsection\n");
extern char ap_start[], ap_end[];
extern uint32_t ap_cr3;
void ap_main(void);
