/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD Secure Nested Paging: the code of the guest of snp-guest.c
 */
#include <stdint.h>

/* What it does for "op", and where it is told so */
enum { LOAD, STORE, EXEC, PVALIDATE, RMPADJUST, CPUID, IN, STATUS, RMPUPDATE,
       WRITE_RET };

struct shared {
    uint64_t op, addr, result, vector, error, cr2, rcx, rdx, flags;
};

/* Addresses here are those of the guest; it is copied to CODE. */
asm(".pushsection .text\n"
    ".balign 4096\n"
    "guest:\n"
    "  mov $0x8000, %edi\n"
    "  movq $0, 24(%rdi)\n"
    "  mov 48(%rdi), %rcx\n  mov 56(%rdi), %rdx\n  mov 8(%rdi), %rsi\n"
    "  mov (%rdi), %eax\n"
    "  cmp $0, %eax\n  je 10f\n  cmp $1, %eax\n  je 11f\n"
    "  cmp $2, %eax\n  je 12f\n  cmp $3, %eax\n  je 13f\n"
    "  cmp $4, %eax\n  je 14f\n  cmp $5, %eax\n  je 15f\n"
    "  cmp $6, %eax\n  je 16f\n  cmp $7, %eax\n  je 17f\n"
    "  cmp $8, %eax\n  je 18f\n"
    "  movb $0xc3, (%rsi)\n  jmp guest_done\n"
    "10: mov (%rsi), %rax\n  jmp guest_done\n"
    "11: movb $1, (%rsi)\n  jmp guest_done\n"
    "12: call *%rsi\n  jmp guest_done\n"
    "13: mov %rsi, %rax\n  .byte 0xf2, 0x0f, 0x01, 0xff\n  jmp guest_done\n"
    "14: mov %rsi, %rax\n  .byte 0xf3, 0x0f, 0x01, 0xfe\n  jmp guest_done\n"
    "15: xor %eax, %eax\n cpuid\n  mov $0x8000, %edi\n  jmp guest_done\n"
    "16: in $0x80, %al\n  jmp guest_done\n"
    "17: mov $0xc0010131, %ecx\n rdmsr\n  jmp guest_done\n"
    "18: mov %rsi, %rax\n  mov %rdi, %rcx\n  .byte 0xf2, 0x0f, 0x01, 0xfe\n"
    "guest_done:\n"
    "  mov $0x107000, %esp\n"
    "  pushf\n"
    "  mov $0x8000, %edi\n"
    "  mov %rax, 16(%rdi)\n"
    "  pop 64(%rdi)\n"
    "  rep; vmmcall\n"
    "  jmp guest\n"
    ".macro guest_handler vector has_error\n"
    "guest_handler_\\vector:\n"
    "  .if !\\has_error\n push $0\n .endif\n"
    "  mov $0x8000, %edi\n"
    "  movq $\\vector, 24(%rdi)\n"
    "  pop 32(%rdi)\n"
    "  mov %cr2, %rax\n  mov %rax, 40(%rdi)\n"
    "  jmp guest_done\n"
    ".endm\n"
    "guest_handler 6 0\n guest_handler 13 1\n guest_handler 14 1\n"
    "guest_handler 29 1\n"
    "guest_end:\n"
    ".popsection\n");
extern char guest[], guest_end[], guest_handler_6[], guest_handler_13[],
            guest_handler_14[], guest_handler_29[];
