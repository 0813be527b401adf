/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest of lib/x86/tdx.c: it executes the TDCALLs that it finds in its struct
 * td_area, says that it is ready for others, and begins again.  One page, which is
 * copied to where the guest has it: only addresses relative to it can be used.
 */
#include "tdx_guest.h"

#define ADDRESS(symbol)	TD_CODE_GPA + symbol - td_guest_code
#define TDCALL		.byte 0x66, 0x0f, 0x01, 0xcc

/* TDG.VP.VMCALL with R10 to R15, and Instruction.IO */
#define VMCALL_REGS	0xfc00
#define VMCALL_IO	30

/* Exceptions that have an error code: 8, 10 to 14, 17, 21, 29 and 30 */
#define ERROR_CODES	0x60227d00

	.section .rodata
	.balign 4096
	.globl td_guest_code
td_guest_code:
/*
 * All vCPUs of a TD start in protected mode with flat segments and EFER.LME set, and
 * with what KVM_TDX_INIT_VCPU says in RCX: the address of the struct td_area.
 */
	.code32
td_guest_start:
	cli
	movl	%ecx, %esp
	movl	$TD_PML4_GPA, %eax
	movl	%eax, %cr3
	movl	%cr4, %eax
	orl	$0x20, %eax			/* PAE */
	movl	%eax, %cr4
	lgdtl	ADDRESS(td_guest_gdtr)
	movl	%cr0, %eax
	orl	$0x80000000, %eax		/* PG */
	movl	%eax, %cr0
	ljmpl	$TD_CS, $(ADDRESS(td_guest_64bit))

	.code64
td_guest_64bit:
	movl	%esp, %esp
	lgdt	TD_AREA_GDTR(%rsp)
	lidt	TD_AREA_IDTR(%rsp)
	movl	$TD_TSS, %eax
	ltr	%ax
	xorl	%eax, %eax
	movl	%eax, %ss

td_guest_ready:
	movl	$TD_PORT_READY, %r14d
	xorl	%r15d, %r15d
	jmp	td_guest_report
td_guest_reported:
	/* The area is aligned to a page, and so are the calls in it. */
	andq	$-4096, %rsp

/* RSP is the next call, so that the guest can have all other registers. */
td_guest_next:
	cmpq	$0, TD_CALL_RIP(%rsp)
	je	td_guest_ready
	leaq	TD_CALL_RFLAGS(%rsp), %rsp
	popfq
	movq	%rsp, 48 - TD_CALL_OUT(%rsp)
	movq	0 - TD_CALL_OUT(%rsp), %rax
	movq	8 - TD_CALL_OUT(%rsp), %rbx
	movq	16 - TD_CALL_OUT(%rsp), %rcx
	movq	24 - TD_CALL_OUT(%rsp), %rdx
	movq	32 - TD_CALL_OUT(%rsp), %rsi
	movq	40 - TD_CALL_OUT(%rsp), %rdi
	movq	56 - TD_CALL_OUT(%rsp), %rbp
	movq	64 - TD_CALL_OUT(%rsp), %r8
	movq	72 - TD_CALL_OUT(%rsp), %r9
	movq	80 - TD_CALL_OUT(%rsp), %r10
	movq	88 - TD_CALL_OUT(%rsp), %r11
	movq	96 - TD_CALL_OUT(%rsp), %r12
	movq	104 - TD_CALL_OUT(%rsp), %r13
	movq	112 - TD_CALL_OUT(%rsp), %r14
	movq	120 - TD_CALL_OUT(%rsp), %r15
	TDCALL
td_guest_called:
	movq	%rax, 0(%rsp)
	movq	%rbx, 8(%rsp)
	movq	%rcx, 16(%rsp)
	movq	%rdx, 24(%rsp)
	movq	%rsi, 32(%rsp)
	movq	%rdi, 40(%rsp)
	movq	%rsp, 48(%rsp)
	movq	%rbp, 56(%rsp)
	movq	%r8, 64(%rsp)
	movq	%r9, 72(%rsp)
	movq	%r10, 80(%rsp)
	movq	%r11, 88(%rsp)
	movq	%r12, 96(%rsp)
	movq	%r13, 104(%rsp)
	movq	%r14, 112(%rsp)
	movq	%r15, 120(%rsp)
	leaq	td_guest_called(%rip), %rax
	movq	%rax, TD_CALL_RIP(%rsp)
	/* PUSHF stores below RSP, and neither MOV nor LEA changes flags. */
	leaq	TD_CALL_RFLAGS + 8(%rsp), %rsp
	pushfq
	cli
	leaq	8(%rsp), %rsp
	jmp	td_guest_next

/* Write R15 to port R14, then go to where that came from. */
td_guest_report:
	xorl	%eax, %eax
	movl	$VMCALL_REGS, %ecx
	xorl	%r10d, %r10d
	movl	$VMCALL_IO, %r11d
	movl	$1, %r12d			/* byte */
	movl	$1, %r13d			/* write */
	TDCALL
	orq	%r10, %rax
	jnz	td_guest_dead
	cmpl	$TD_PORT_READY, %r14d
	je	td_guest_reported
td_guest_dead:
	/* Nobody is there to handle that: a triple fault. */
	lidt	td_guest_no_idtr(%rip)
	ud2

/*
 * Interrupts and NMIs are counted, all other events are reported, and are the last that
 * the guest does.  The stack is in the last page of the area.
 */
td_guest_event:
	pushq	%rax
	movq	%rsp, %rax
	andq	$-4096, %rax
	cmpq	$2, 8(%rsp)
	je	1f
	cmpq	$32, 8(%rsp)
	jb	2f
	pushq	%rcx
	pushq	%rdx
	incq	TD_AREA_EVENTS - 0x2000(%rax)
	movl	$0x80b, %ecx			/* EOI of x2APIC */
	xorl	%eax, %eax
	xorl	%edx, %edx
	wrmsr
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq
1:
	incq	TD_AREA_EVENTS - 0x2000(%rax)
	popq	%rax
	addq	$16, %rsp
	iretq
2:
	movq	8(%rsp), %r15
	movq	%r15, TD_AREA_VECTOR - 0x2000(%rax)
	movq	16(%rsp), %r14
	movq	%r14, TD_AREA_ERROR - 0x2000(%rax)
	movq	24(%rsp), %r14
	movq	%r14, TD_AREA_RIP - 0x2000(%rax)
	movl	$TD_PORT_EXCEPTION, %r14d
	jmp	td_guest_report

	.balign 8
td_guest_gdt:
	.quad	0
	.quad	0x00af9b000000ffff		/* 64-bit code, accessed */
td_guest_gdtr:
	.word	. - td_guest_gdt - 1
	.long	ADDRESS(td_guest_gdt)
td_guest_no_idtr:
	.fill	10, 1, 0

	/* One stub for each vector */
	.balign TD_STUB_SIZE
	.globl td_guest_stubs
td_guest_stubs:
vector = 0
	.rept	TD_NR_VECTORS
	.balign TD_STUB_SIZE, 0xcc
	.if	!(ERROR_CODES & (1 << (vector & 31))) || vector > 31
	pushq	$0
	.endif
	pushq	$vector
	jmp	td_guest_event
vector = vector + 1
	.endr

	/* The reset vector, 0xfffffff0 */
	.org	td_guest_code + 0xff0, 0xcc
	.code32
	.byte	0xe9				/* JMP */
	.long	td_guest_start - . - 4
	.org	td_guest_code + 0x1000, 0xcc

	.section .note.GNU-stack, "", %progbits
