/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX: what the TDs of the tests execute
 *
 * It does what the host asks for, one operation after another: it hands over
 * R8 to R15, RBX, RDX, RSI and RDI by TDG.VP.VMCALL, and takes from there what
 * to do next.  R10 is the operation, R11 and R12 are RAX and RCX for it and of
 * it.  R15 is the vector of the exception that it raised, or 0.
 */
#include "tdx.h"

enum op {
    DO_TDCALL, DO_CPUID, DO_RDMSR, DO_WRMSR, DO_LOAD, DO_STORE, DO_HLT, DO_IN,
    DO_VMCALL, DO_WBINVD, DO_XSETBV, DO_MOV_CR4, DO_SPIN, DO_NO_IDT, NR_OPS,
};

/* Registers that are handed over */
#define VMCALL_MASK     0xffcc

/* Where in the TD: the page that it starts in is the last one below 4 GiB. */
#define TD_PML4         0xffffb000ul
#define TD_PDPT         0xffffc000ul
#define TD_DATA         0xffffd000ul
#define TD_CODE         0xfffff000ul
#define TD_TOP_2M       0xffe00000ul
#define TD_TOP_1G       0xc0000000ul
/* All of the first 4 GiB is at its address, and above that it is shared. */
#define TD_SHARED       (4 * GB)
#define SHARED_BIT      (1ul << 47)

#define TD_STR2(x)      #x
#define TD_STR(x)       TD_STR2(x)

#define TDCALL          ".byte 0x66, 0x0f, 0x01, 0xcc\n"
#define AT_TD(label)    "0xfffff000 + " label " - td_code"

asm(".pushsection .rodata\n"
    ".balign 4096\n"
    "td_code:\n"
    ".code32\n"
    "  mov $0xffffb000, %eax\n  mov %eax, %cr3\n"
    "  mov %cr4, %eax\n  or $0x20, %eax\n  mov %eax, %cr4\n"
    "  lgdtl " AT_TD("td_gdtr") "\n"
    "  mov %cr0, %eax\n  or $0x80000000, %eax\n  mov %eax, %cr0\n"
    "  ljmpl $8, $" AT_TD("td_64") "\n"
    ".code64\n"
    "td_64:\n"
    "  mov $0x10, %eax\n  mov %eax, %ds\n  mov %eax, %es\n  mov %eax, %ss\n"
    "  lidt td_idtr(%rip)\n"
    "  xor %r15d, %r15d\n"
    "td_done:\n"
    "  mov $0xffffe000, %esp\n"
    "  xor %eax, %eax\n  mov $" TD_STR(VMCALL_MASK) ", %ecx\n"
    "  " TDCALL
    "  xor %r15d, %r15d\n"
    "  cmp $" TD_STR(14) ", %r10\n  jae td_done\n"
    "  lea td_ops(%rip), %rax\n  movzwl (%rax, %r10, 2), %ecx\n"
    "  lea td_code(%rip), %r14\n  add %rcx, %r14\n"
    "  mov %r11, %rax\n  mov %r12, %rcx\n"
    "  jmp *%r14\n"
    "td_op_0: " TDCALL "  jmp td_results\n"
    "td_op_1: cpuid\n  jmp td_results\n"
    "td_op_2: rdmsr\n  shl $32, %rdx\n  or %rdx, %rax\n  jmp td_results\n"
    "td_op_3: mov %rax, %rdx\n  shr $32, %rdx\n  wrmsr\n  jmp td_results\n"
    "td_op_4: mov (%rcx), %rax\n  jmp td_results\n"
    "td_op_5: mov %rax, (%rcx)\n  jmp td_results\n"
    "td_op_6: hlt\n  jmp td_results\n"
    "td_op_7: mov $0x70, %edx\n  in %dx, %al\n  jmp td_results\n"
    "td_op_8: vmcall\n  jmp td_results\n"
    "td_op_9: wbinvd\n  jmp td_results\n"
    "td_op_10: mov %rax, %rdx\n  shr $32, %rdx\n  xsetbv\n  jmp td_results\n"
    "td_op_11: mov %cr4, %rdx\n  or %rdx, %rax\n  mov %rax, %cr4\n"
    "  jmp td_results\n"
    "td_op_12: cmpq $0, (%rcx)\n  je td_op_12\n  jmp td_results\n"
    "td_op_13: lidt td_no_idtr(%rip)\n  ud2\n"
    "td_results:\n"
    "  mov %rax, %r11\n  mov %rcx, %r12\n  jmp td_done\n"
    /* 8 bytes for each vector: it becomes the result, whatever the stack has */
    ".balign 8\n"
    "td_vectors:\n"
    ".set nr, 0\n"
    ".rept 32\n"
    "  .balign 8\n"
    "  push $nr\n  jmp td_exception\n"
    "  .set nr, nr + 1\n"
    ".endr\n"
    "td_exception: pop %r15\n  jmp td_done\n"
    ".balign 2\n"
    "td_ops:\n"
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13\n"
    "  .short td_op_\\n - td_code\n"
    ".endr\n"
    ".balign 8\n"
    "td_gdt: .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff\n"
    "td_gdtr: .short 23\n  .long " AT_TD("td_gdt") "\n"
    "td_idtr: .short 511\n  .quad 0xffffd000\n"
    "td_no_idtr: .short 0\n  .quad 0\n"
    ".org td_code + 0xff0\n"
    ".code32\n"
    "  .byte 0xe9\n  .long td_code - . - 4\n"
    ".org td_code + 0x1000\n"
    ".code64\n"
    ".popsection\n");
extern const uint8_t td_code[4096], td_vectors[];

/* Tables of the TD, to be added to it */
static uint64_t td_page[512] __attribute__((aligned(4096)));

static void add_td_page(int td, uint64_t gpa, const void *page, int nr)
{
    must("TDH.MEM.PAGE.ADD", MEM_PAGE_ADD, gpa, TDR(td), PRIVATE(td, nr),
         (uint64_t)page);
}

static void clear_td_page(void)
{
    for (int i = 0; i < 512; i++) {
        td_page[i] = 0;
    }
}

/* A TD that is initialized becomes one that can execute the code. */
static void load_td(int td)
{
    uint64_t vectors = TD_CODE + (td_vectors - td_code);

    make_tree(td, LEVEL_4K);
    must("TDH.MEM.SEPT.ADD", MEM_SEPT_ADD, TD_TOP_1G | LEVEL_1G, TDR(td),
         SEPT(td, 4), 0);
    must("TDH.MEM.SEPT.ADD", MEM_SEPT_ADD, TD_TOP_2M | LEVEL_2M, TDR(td),
         SEPT(td, 5), 0);
    clear_td_page();
    td_page[0] = TD_PDPT | 7;
    add_td_page(td, TD_PML4, td_page, 0);
    for (int i = 0; i < 4; i++) {
        td_page[i] = i * GB | 0x83;
        td_page[4 + i] = i * GB | SHARED_BIT | 0x83;
    }
    add_td_page(td, TD_PDPT, td_page, 1);
    clear_td_page();
    for (int i = 0; i < 32; i++) {
        uint64_t at = vectors + 8 * i;

        td_page[2 * i] = (at & 0xffff) | 8 << 16 | 0x8e00ul << 32 |
                         (at >> 16 & 0xffff) << 48;
        td_page[2 * i + 1] = at >> 32;
    }
    add_td_page(td, TD_DATA, td_page, 2);
    add_td_page(td, TD_CODE, td_code, 3);
}

/* TD entry: what the TD is to do.  The result is what TDH.VP.ENTER says. */

#define EXIT_VMCALL     77ul

static uint64_t enter(int td)
{
    reg[RAX] = VP_ENTER;
    reg[RCX] = TDVPR(td);
    do_seamcall(reg);
    return reg[RAX];
}

static uint64_t td_op(int td, enum op op, uint64_t rax, uint64_t rcx,
                      uint64_t rdx, uint64_t r8, uint64_t r9)
{
    reg[R10] = op;
    reg[R11] = rax;
    reg[R12] = rcx;
    reg[RDX] = rdx;
    reg[R8] = r8;
    reg[R9] = r9;
    return enter(td);
}
