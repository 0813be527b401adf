/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD Secure Nested Paging: the other CPU of snp-smp.c, and a guest
 */
#include <stdint.h>

/*
 * The other CPU executes an operation when "op" and "go" are set, the latter by
 * the guest if there is one, and clears the former.
 */
enum { AP_IDLE, AP_STORE, AP_RMPUPDATE, AP_COUNT };

struct mailbox {
    uint64_t op, addr, result, error, go, ready, faults;
};

/*
 * The other CPU starts in a copy of ap_start, at SIPI_PAGE.  Its handler of
 * page faults goes on at R15; R14 has the error code.
 */
asm(".pushsection .text\n"
    ".code16\n"
    "ap_start:\n"
    "  cli\n"
    "  lgdtl %cs:(ap_gdtr - ap_start)\n"
    "  mov $0x620, %eax\n  mov %eax, %cr4\n"
    "  mov %cs:(ap_low_cr3 - ap_start), %eax\n  mov %eax, %cr3\n"
    "  mov $0xc0000080, %ecx\n  rdmsr\n  bts $8, %eax\n  wrmsr\n"
    "  mov $0x80010011, %eax\n  mov %eax, %cr0\n"
    "  ljmpl $8, $ap_64\n"
    ".balign 8\n"
    "ap_gdt: .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff\n"
    "ap_gdtr: .short 23\n .long ap_gdt\n"
    "ap_low_cr3: .long 0\n"
    "ap_end:\n"
    ".code64\n"
    "ap_64:\n"
    "  mov $0x10, %eax\n  mov %eax, %ds\n  mov %eax, %es\n  mov %eax, %ss\n"
    "  lea ap_stack+4096(%rip), %rsp\n"
    "  call ap_main\n"
    "ap_handler_14:\n"
    "  pop %r14\n  mov %r15, (%rsp)\n  iretq\n"
    "spinning_guest:\n"
    "  movq $1, mailbox+32(%rip)\n"
    "1: cmpq $0, mailbox(%rip)\n  jne 1b\n  vmmcall\n"
    ".popsection\n"
    ".pushsection .bss\n"
    ".balign 16\n"
    "ap_stack: .skip 4096\n"
    ".popsection\n");
extern char ap_start[], ap_end[], ap_low_cr3[], ap_handler_14[],
            spinning_guest[];
void ap_main(void);
