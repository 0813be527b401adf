// SPDX-License-Identifier: GPL-2.0-only
/*
 * The firmware's part in the boot of an SEV-ES guest, see linux_guest_sev_es.h.
 */
#include <linux/stringify.h>

#include "linux_guest_sev_es.h"
#include "processor.h"

/* GHCB specification, 4.1, table 7 */
#define AP_JUMP_TABLE		0x80000005
#define SET_AP_JUMP_TABLE	0

#define CODE_OFFSET		SZ_4K
#define GHCB_OFFSET		(2 * SZ_4K)

/*
 * The first vCPU: RDI is the GHCB, RDX its gpa and RAX that of the jump table, RBP
 * is where Linux begins.  The fields are exit code, exit info 1 and 2, their bits in
 * the bitmap of valid fields, and the version of the protocol.  If KVM refuses it, the
 * other vCPUs do not start.
 *
 * The others: they jump to where Linux's jump table says, relative to CS.
 */
asm(".pushsection .rodata\n"
	"sev_es_boot_start:\n"
	".code64\n"
	"	mov %rdi, %rbx\n"
	"	mov %rax, %r8\n"
	"	xor %eax, %eax\n"
	"	mov $512, %ecx\n"
	"	rep stosq\n"
	"	movl $" __stringify(AP_JUMP_TABLE) ", 0x390(%rbx)\n"
	"	movq $" __stringify(SET_AP_JUMP_TABLE) ", 0x398(%rbx)\n"
	"	mov %r8, 0x3a0(%rbx)\n"
	"	movb $0x1c, 0x3fe(%rbx)\n"
	"	movw $1, 0xffa(%rbx)\n"
	"	mov $" __stringify(MSR_AMD64_SEV_ES_GHCB) ", %ecx\n"
	"	mov %edx, %eax\n"
	"	xor %edx, %edx\n"
	"	wrmsr\n"
	"	rep; vmmcall\n"
	"	jmp *%rbp\n"
	"sev_es_boot_ap:\n"
	".code16\n"
	"	ljmp *%cs:0\n"
	"sev_es_boot_end:\n"
	".code64\n"
	".popsection\n");

void linux_guest_load_sev_es_boot(struct linux_guest *guest, gpa_t gpa,
				  struct kvm_regs *regs)
{
	size_t size = sev_es_boot_end - sev_es_boot_start;
	struct kvm_sregs sregs;
	struct kvm_regs ap;
	int i;

	memcpy(addr_gpa2hva(guest->vm, gpa + CODE_OFFSET), sev_es_boot_start, size);
	regs->rbp = regs->rip;
	regs->rip = gpa + CODE_OFFSET;
	regs->rax = gpa;
	regs->rdx = gpa + GHCB_OFFSET;
	regs->rdi = regs->rdx + LINUX_GUEST_SHARED_MAP;

	for (i = 1; i < guest->nr_vcpus; i++) {
		vcpu_sregs_get(guest->vcpus[i], &sregs);
		sregs.cs.selector = gpa >> 4;
		sregs.cs.base = gpa;
		vcpu_sregs_set(guest->vcpus[i], &sregs);
		vcpu_regs_get(guest->vcpus[i], &ap);
		ap.rip = CODE_OFFSET + (sev_es_boot_ap - sev_es_boot_start);
		vcpu_regs_set(guest->vcpus[i], &ap);
	}
}
