// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linux as an SEV-SNP guest, see linux_guest_snp.h.
 */
#include <asm/setup_data.h>
#include <linux/stringify.h>

#include "linux_guest_shared.h"
#include "linux_guest_snp.h"
#include "processor.h"
#include "sev.h"

#define CODE_GPA		LINUX_GUEST_SNP_GPA
#define RANGES_GPA		(CODE_GPA + SZ_2K)
#define CC_BLOB_GPA		(LINUX_GUEST_SNP_SETUP_DATA + SZ_2K)
#define SECRETS_GPA		(LINUX_GUEST_SNP_GPA + 2 * SZ_4K)
#define CPUID_GPA		(LINUX_GUEST_SNP_GPA + 3 * SZ_4K)

#define CC_BLOB_MAGIC		0x45444d41
#define CC_BLOB_VERSION		1

/* GHCB specification, MSR protocol, Termination Request: a set of reasons of our own */
#define TERMINATE		(GHCB_MSR_TERM_REQ | 0xf << 12)

/* Documentation/arch/x86/boot.rst leaves it to struct cc_blob_sev_info of Linux. */
struct cc_blob {
	u32 magic;
	u16 version;
	u16 reserved;
	u64 secrets;
	u32 secrets_size;
	u32 reserved1;
	u64 cpuid;
	u32 cpuid_size;
	u32 reserved2;
};

kvm_static_assert(sizeof(struct cc_blob) == 40);

/* SNP ABI specification, 7.1 */
#define MAX_CPUID_FUNCTIONS	64

#define XSAVE_LEAF		0xd

struct snp_cpuid_function {
	u32 eax_in;
	u32 ecx_in;
	u64 xcr0_in;
	u64 xss_in;
	u32 regs[4];
	u64 reserved;
};

struct snp_cpuid_page {
	u32 nr;
	u32 reserved;
	u64 reserved1;
	struct snp_cpuid_function functions[MAX_CPUID_FUNCTIONS];
};

kvm_static_assert(sizeof(struct snp_cpuid_page) == 16 + 48 * MAX_CPUID_FUNCTIONS);

#define MAX_RANGES		(SZ_2K / sizeof(struct linux_guest_range))

/*
 * RBX is the list of ranges, up to an empty one, and RBP where Linux begins.  Each
 * page must be one that has not been accepted before (carry): the host could have
 * exchanged it.
 */
asm(".pushsection .rodata\n"
	"snp_boot_start:\n"
	".code64\n"
	"1:	mov (%rbx), %rax\n"
	"	mov 8(%rbx), %r9\n"
	"	cmp %r9, %rax\n"
	"	jae 4f\n"
	"2:	mov %rax, %r8\n"
	"	xor %ecx, %ecx\n"
	"	mov $1, %edx\n"
	"	.byte 0xf2, 0x0f, 0x01, 0xff\n"		/* pvalidate */
	"	jc 3f\n"
	"	test %eax, %eax\n"
	"	jnz 3f\n"
	"	lea 0x1000(%r8), %rax\n"
	"	cmp %r9, %rax\n"
	"	jb 2b\n"
	"	add $16, %rbx\n"
	"	jmp 1b\n"
	"3:	mov $" __stringify(MSR_AMD64_SEV_ES_GHCB) ", %ecx\n"
	"	mov $" __stringify(TERMINATE) ", %eax\n"
	"	xor %edx, %edx\n"
	"	wrmsr\n"
	"	rep; vmmcall\n"
	"	jmp 3b\n"
	"4:	jmp *%rbp\n"
	"snp_boot_end:\n"
	".popsection\n");

/*
 * What the guest may have only if the processor has it.  KVM offers some of it to all
 * guests, as it can emulate that.
 */
static const struct {
	u32 function;
	u32 index;
	u32 checked[4];
} checked_functions[] = {
	{ 0x1, 0, {					/* but for OSXSAVE, hypervisor */
		[KVM_CPUID_ECX] = (u32)~(BIT(27) | BIT(31)), [KVM_CPUID_EDX] = ~0u } },
	{ 0x7, 0, {					/* but for OSPKE */
		[KVM_CPUID_EBX] = ~0u, [KVM_CPUID_ECX] = (u32)~BIT(4), [KVM_CPUID_EDX] = ~0u } },
	{ 0x80000001, 0, {
		[KVM_CPUID_ECX] = ~0u, [KVM_CPUID_EDX] = ~0u } },
	{ 0x80000007, 0, {
		[KVM_CPUID_EBX] = ~0u, [KVM_CPUID_EDX] = ~0u } },
	{ 0x80000008, 0, { [KVM_CPUID_EBX] = ~0u } },
	{ 0x8000000a, 0, { [KVM_CPUID_EDX] = ~0u } },
	{ 0x80000021, 0, { [KVM_CPUID_EAX] = ~0u } },
};

void linux_guest_limit_snp_cpuid(struct kvm_vcpu *vcpu)
{
	struct kvm_cpuid_entry2 *entry;
	u32 have[4];
	int i;

	for (entry = vcpu->cpuid->entries;
	     entry < vcpu->cpuid->entries + vcpu->cpuid->nent; entry++) {
		/* Linux as an SNP guest takes no leaf of XSAVE that is empty. */
		if (entry->function == 0)
			entry->eax = min_t(u32, entry->eax, XSAVE_LEAF - 1);
		for (i = 0; i < ARRAY_SIZE(checked_functions); i++) {
			typeof(checked_functions[0]) *f = &checked_functions[i];

			if (entry->function != f->function || entry->index != f->index)
				continue;
			__cpuid(entry->function, entry->index, &have[KVM_CPUID_EAX],
				&have[KVM_CPUID_EBX], &have[KVM_CPUID_ECX],
				&have[KVM_CPUID_EDX]);
			entry->eax &= have[KVM_CPUID_EAX] | ~f->checked[KVM_CPUID_EAX];
			entry->ebx &= have[KVM_CPUID_EBX] | ~f->checked[KVM_CPUID_EBX];
			entry->ecx &= have[KVM_CPUID_ECX] | ~f->checked[KVM_CPUID_ECX];
			entry->edx &= have[KVM_CPUID_EDX] | ~f->checked[KVM_CPUID_EDX];
		}
	}
}

void linux_guest_load_snp_boot(struct linux_guest *guest, struct kvm_regs *regs)
{
	struct setup_data *data = addr_gpa2hva(guest->vm, LINUX_GUEST_SNP_SETUP_DATA);
	struct cc_blob *blob = addr_gpa2hva(guest->vm, CC_BLOB_GPA);

	memcpy(addr_gpa2hva(guest->vm, CODE_GPA), snp_boot_start,
	       snp_boot_end - snp_boot_start);
	regs->rbp = regs->rip;
	regs->rip = CODE_GPA;
	regs->rbx = RANGES_GPA;

	data->type = SETUP_CC_BLOB;
	data->len = sizeof(u32);
	*(u32 *)data->data = CC_BLOB_GPA;
	*blob = (struct cc_blob) {
		.magic = CC_BLOB_MAGIC,
		.version = CC_BLOB_VERSION,
		.secrets = SECRETS_GPA,
		.secrets_size = SZ_4K,
		.cpuid = CPUID_GPA,
		.cpuid_size = SZ_4K,
	};
}

/* A function that is not there is one that returns zeros. */
static void write_cpuid_page(struct kvm_vcpu *vcpu, struct snp_cpuid_page *page)
{
	const struct kvm_cpuid_entry2 *entry;

	for (entry = vcpu->cpuid->entries;
	     entry < vcpu->cpuid->entries + vcpu->cpuid->nent; entry++) {
		/* KVM has put the size of an XSAVE area into it. */
		if (entry->function == XSAVE_LEAF)
			continue;
		if (!entry->eax && !entry->ebx && !entry->ecx && !entry->edx)
			continue;
		TEST_ASSERT(page->nr < MAX_CPUID_FUNCTIONS, "Too many functions of CPUID");
		page->functions[page->nr++] = (struct snp_cpuid_function) {
			.eax_in = entry->function,
			.ecx_in = entry->index,
			.regs = { entry->eax, entry->ebx, entry->ecx, entry->edx },
		};
	}
}

/* KVM may do it in parts, and says what is left. */
static int launch_pages(struct linux_guest *guest, gpa_t gpa, u64 size, u8 type)
{
	struct kvm_sev_snp_launch_update update = {
		.gfn_start = gpa / SZ_4K,
		.uaddr = (u64)addr_gpa2hva(guest->vm, gpa),
		.len = size,
		.type = type,
	};
	int err = 0;

	while (update.len && !err)
		err = __vm_sev_ioctl(guest->vm, KVM_SEV_SNP_LAUNCH_UPDATE, &update);
	return err;
}

/* What the security processor refuses, it replaces by what it would take. */
static void launch_cpuid_page(struct linux_guest *guest, gpa_t gpa)
{
	struct snp_cpuid_page *page = addr_gpa2hva(guest->vm, gpa), wanted;
	u32 i;

	write_cpuid_page(guest->vcpus[0], page);
	wanted = *page;
	if (!launch_pages(guest, gpa, SZ_4K, KVM_SEV_SNP_PAGE_TYPE_CPUID))
		return;
	for (i = 0; i < wanted.nr; i++) {
		const u32 *w = wanted.functions[i].regs, *p = page->functions[i].regs;

		TEST_ASSERT(!memcmp(w, p, sizeof(wanted.functions[i].regs)),
			    "CPUID 0x%x, 0x%x: 0x%x 0x%x 0x%x 0x%x is refused, it may be 0x%x 0x%x 0x%x 0x%x",
			    wanted.functions[i].eax_in, wanted.functions[i].ecx_in,
			    w[0], w[1], w[2], w[3], p[0], p[1], p[2], p[3]);
	}
	TEST_FAIL("The security processor does not take the page of CPUID");
}

static u8 page_type(struct linux_guest *guest, gpa_t gpa)
{
	if (gpa == SECRETS_GPA)
		return KVM_SEV_SNP_PAGE_TYPE_SECRETS;
	if (gpa == CPUID_GPA)
		return KVM_SEV_SNP_PAGE_TYPE_CPUID;
	return linux_guest_is_empty(guest, gpa, SZ_4K) ? KVM_SEV_SNP_PAGE_TYPE_ZERO :
							 KVM_SEV_SNP_PAGE_TYPE_NORMAL;
}

static void launch_block(struct linux_guest *guest, gpa_t gpa)
{
	gpa_t start = gpa, end = gpa + LINUX_GUEST_BLOCK_SIZE;
	u8 type;
	int err;

	for (; start < end; start = gpa) {
		type = page_type(guest, start);
		for (gpa = start + SZ_4K; gpa < end; gpa += SZ_4K) {
			if (page_type(guest, gpa) != type)
				break;
		}
		if (type == KVM_SEV_SNP_PAGE_TYPE_CPUID) {
			launch_cpuid_page(guest, start);
			continue;
		}
		err = launch_pages(guest, start, gpa - start, type);
		TEST_ASSERT(!err, KVM_IOCTL_ERROR(KVM_SEV_SNP_LAUNCH_UPDATE, err));
	}
}

void linux_guest_snp_launch(struct linux_guest *guest)
{
	struct kvm_sev_snp_launch_finish finish = {};
	gpa_t block;
	int i;

	kvm_static_assert(sizeof(finish.host_data) == sizeof(guest->snp_host_data));

	linux_guest_find_empty(guest, addr_gpa2hva(guest->vm, RANGES_GPA), MAX_RANGES);
	snp_vm_launch_start(guest->vm, snp_default_policy());
	for (block = 0; block < guest->mem_size; block += LINUX_GUEST_BLOCK_SIZE) {
		if (!linux_guest_is_empty(guest, block, LINUX_GUEST_BLOCK_SIZE))
			launch_block(guest, block);
	}
	memcpy(finish.host_data, guest->snp_host_data, sizeof(guest->snp_host_data));
	vm_sev_ioctl(guest->vm, KVM_SEV_SNP_LAUNCH_FINISH, &finish);

	linux_guest_discard(guest, 0, guest->mem_size);

	/* Linux creates them anew; nobody sends them INIT and SIPI. */
	for (i = 1; i < guest->nr_vcpus; i++)
		vcpu_mp_state_set(guest->vcpus[i], &(struct kvm_mp_state) {
					  KVM_MP_STATE_HALTED });
}
