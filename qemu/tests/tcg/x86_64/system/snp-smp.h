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

/* The other CPU's handler of page faults goes on at R15; R14 is the error. */
asm(".pushsection .text\n"
    "ap_handler_14:\n"
    "  pop %r14\n  mov %r15, (%rsp)\n  iretq\n"
    "spinning_guest:\n"
    "  movq $1, mailbox+32(%rip)\n"
    "1: cmpq $0, mailbox(%rip)\n  jne 1b\n  vmmcall\n"
    ".popsection\n");
extern char ap_handler_14[], spinning_guest[];
