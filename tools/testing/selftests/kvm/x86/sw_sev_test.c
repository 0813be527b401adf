// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMs of type KVM_X86_SW_SEV_VM: the C-bit leads nowhere else, and it isn't
 * seen by userspace.
 *
 * A guest sets the C-bit in its CR3 and in all of its page table entries, but
 * for a window through which it sees the same pages with the C-bit clear.  What
 * depends on the type of the VM is tried with an ordinary VM as well.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <linux/kvm_coco.h>
#include <linux/sizes.h>
#include <asm/kvm_para.h>
#include <linux/kvm_para.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "ucall_common.h"

#ifndef MSR_AMD64_SEV
#define MSR_AMD64_SEV		0xc0010131
#endif

#define C_BIT			BIT_ULL(KVM_SW_SEV_C_BIT)

#define CPUID_SEV		BIT(1)
#define CPUID_SEV_ES		BIT(3)
#define CPUID_SEV_SNP		BIT(4)

#define NR_VCPUS		4
#define NR_REGIONS		4
#define REGION_PAGES		512
#define REGION_SIZE		((u64)REGION_PAGES * SZ_4K)
#define FIRST_SLOT		10
#define MAX_SECONDS		150

#define NR_ROUNDS		40
#define MIN_GUEST_ROUNDS	200

/* Where the guest sees its regions, 1 GiB for each of them. */
#define SHARED_GVA		SZ_1T
#define PRIVATE_GVA		(2 * SZ_1T)
#define SZ_1T			BIT_ULL(40)

/* Two in one root entry of the NPT, the last page below the C-bit. */
static const u64 region_gpas[NR_REGIONS] = {
	SZ_4G, SZ_4G + SZ_1G, 3 * BIT_ULL(39), C_BIT - REGION_SIZE,
};

enum guest_op {
	OP_READ,
	OP_WRITE,
	OP_COPY,
	OP_PUSH,
	OP_RACE,
	OP_RDMSR,
	OP_WRMSR,
	OP_VMCALL,
	OP_VMMCALL,
	OP_MAP_GPA,
};

/* What may have become of a value that the guest wrote. */
enum race_rule {
	RACE_KEPT,
	RACE_KEPT_OR_ZERO,
	RACE_ANY_EARLIER,
};

struct command {
	u64 op;
	u64 gva;
	u64 other;
	u64 value;
	u64 vector;
	u64 rule;
	u64 nr_wrong;
	u64 stop;
};

static struct command commands[NR_VCPUS];

struct region {
	u64 gpa;
	void *mem;
};

struct guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	struct region regions[NR_REGIONS];
	bool is_sw_sev;
};

static int nr_failed;
static char subject[80];

#define about(fmt...)	snprintf(subject, sizeof(subject), fmt)

static __printf(2, 3) bool expect(bool ok, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	if (ok)
		return true;

	__atomic_add_fetch(&nr_failed, 1, __ATOMIC_RELAXED);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ksft_print_msg("%s: %s\n", subject, text);
	return false;
}

static void expect_errno(int ret, int want)
{
	int got = ret < 0 ? errno : 0;

	expect(got == want, "errno %d, not %d", got, want);
}

static void guest_race(struct command *c, int cpu)
{
	u64 *ours, *theirs, i, offset, value;

	for (i = 1; i <= MIN_GUEST_ROUNDS || !READ_ONCE(c->stop); i++) {
		offset = i % REGION_PAGES * SZ_4K + cpu * sizeof(i);
		ours = (u64 *)((i & 1 ? c->gva : c->other) + offset);
		theirs = (u64 *)((i & 1 ? c->other : c->gva) + offset);
		WRITE_ONCE(*ours, i);
		value = READ_ONCE(*theirs);
		if (value == i || (c->rule == RACE_KEPT_OR_ZERO && !value) ||
		    (c->rule == RACE_ANY_EARLIER && value < i))
			continue;
		c->nr_wrong++;
	}
}

extern u8 guest_vmcall_insn[3], guest_vmmcall_insn[3];

static noinline u8 guest_vmcall(u64 nr)
{
	return kvm_asm_safe("guest_vmcall_insn: vmcall", "a" (nr));
}

static noinline u8 guest_vmmcall(u64 nr)
{
	return kvm_asm_safe("guest_vmmcall_insn: vmmcall", "a" (nr));
}

/* Report the page at @gpa as shared. */
static u64 guest_map_gpa(u64 gpa)
{
	u64 ret;

	asm volatile("vmmcall" : "=a" (ret) :
		     "a" (KVM_HC_MAP_GPA_RANGE), "b" (gpa), "c" (1), "d" (0) : "memory");
	return ret;
}

static void guest_code(int cpu)
{
	struct command *c = &commands[cpu];
	u64 from, to;

	for (;;) {
		GUEST_SYNC(0);
		switch (c->op) {
		case OP_READ:
			c->value = READ_ONCE(*(u64 *)c->gva);
			break;
		case OP_WRITE:
			WRITE_ONCE(*(u64 *)c->gva, c->value);
			break;
		case OP_COPY:
			from = c->gva;
			to = c->other;
			asm volatile("movsq" : "+S" (from), "+D" (to) :: "memory");
			break;
		case OP_PUSH:
			asm volatile("pushq (%1)\n\tpopq %0" : "=&r" (c->value) :
				     "r" (c->gva) : "memory");
			break;
		case OP_RACE:
			guest_race(c, cpu);
			break;
		case OP_RDMSR:
			c->vector = rdmsr_safe(c->gva, &c->value);
			break;
		case OP_WRMSR:
			c->vector = wrmsr_safe(c->gva, c->value);
			break;
		case OP_VMCALL:
			c->vector = guest_vmcall(c->value);
			break;
		case OP_VMMCALL:
			c->vector = guest_vmmcall(c->value);
			break;
		case OP_MAP_GPA:
			c->value = guest_map_gpa(c->gva);
			break;
		}
	}
}

static u64 gva_of(int region, bool c_bit)
{
	return (c_bit ? PRIVATE_GVA : SHARED_GVA) + (u64)region * SZ_1G;
}

/* Set the C-bit in a page table and below, but for the window. */
static void set_c_bits(struct kvm_vm *vm, u64 table, int level, u64 gva)
{
	u64 *ptes = addr_gpa2hva(vm, table);
	int i;

	for (i = 0; i < 512; i++, gva += BIT_ULL(PG_LEVEL_SHIFT(level))) {
		bool is_leaf = level == PG_LEVEL_4K || ptes[i] & PTE_HUGE_MASK(&vm->mmu);

		if (!(ptes[i] & PTE_PRESENT_MASK(&vm->mmu)))
			continue;
		if (!is_leaf)
			set_c_bits(vm, PTE_GET_PA(ptes[i]), level - 1, gva);
		if (!is_leaf || gva < SHARED_GVA || gva >= SHARED_GVA + SZ_1T)
			ptes[i] |= C_BIT;
	}
}

static void encrypt(struct guest *guest)
{
	if (guest->is_sw_sev)
		set_c_bits(guest->vm, guest->vm->mmu.pgd, guest->vm->mmu.pgtable_levels, 0);
}

/* What VMs enable, which is before they have vCPUs. */
static u64 coco_exits;

static struct guest create_guest(u32 type, int nr_vcpus)
{
	struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = type };
	struct guest guest = { .is_sw_sev = type == KVM_X86_SW_SEV_VM };
	struct kvm_sregs sregs;
	int i;

	guest.vm = __vm_create(shape, nr_vcpus, SZ_4M / SZ_4K);
	if (guest.is_sw_sev)
		guest.vm->gpa_tag_mask = C_BIT;
	if (coco_exits)
		vm_enable_cap(guest.vm, KVM_CAP_COCO_EXITS, coco_exits);
	for (i = 0; i < nr_vcpus; i++) {
		guest.vcpus[i] = vm_vcpu_add(guest.vm, i, guest_code);
		vcpu_args_set(guest.vcpus[i], 1, i);
		if (!guest.is_sw_sev)
			continue;
		vcpu_sregs_get(guest.vcpus[i], &sregs);
		sregs.cr3 |= C_BIT;
		vcpu_sregs_set(guest.vcpus[i], &sregs);
	}
	encrypt(&guest);
	return guest;
}

static void set_slot(struct guest *guest, int i, u32 flags, bool exists)
{
	struct region *region = &guest->regions[i];

	vm_set_user_memory_region(guest->vm, FIRST_SLOT + i, flags, region->gpa,
				  exists ? REGION_SIZE : 0, region->mem);
}

static void map_region(struct guest *guest, int i, u64 gpa, int level)
{
	bool c_bit;

	for (c_bit = false;; c_bit = true) {
		virt_map_level(guest->vm, gva_of(i, c_bit), gpa, REGION_SIZE, level);
		if (c_bit)
			break;
	}
	guest->regions[i].gpa = gpa;
}

/* Aligned such that a huge page can back it. */
static void add_region(struct guest *guest, int i, u64 gpa, bool huge, u32 flags)
{
	struct region *region = &guest->regions[i];
	void *mem;

	map_region(guest, i, gpa, huge ? PG_LEVEL_2M : PG_LEVEL_4K);
	mem = mmap(NULL, 2 * REGION_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(mem != MAP_FAILED, "mmap");
	region->mem = align_ptr_up(mem, REGION_SIZE);
	madvise(region->mem, REGION_SIZE, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	set_slot(guest, i, flags, true);
}

static void add_regions(struct guest *guest, bool huge)
{
	int i;

	for (i = 0; i < NR_REGIONS; i++)
		add_region(guest, i, region_gpas[i], huge, 0);
	encrypt(guest);
}

/* The memory of regions goes when the process does. */
static void free_guest(struct guest *guest)
{
	kvm_vm_free(guest->vm);
}

static struct command *command_of(struct guest *guest, int cpu)
{
	return (struct command *)addr_gva2hva(guest->vm, (u64)commands) + cpu;
}

static bool runs_to_sync(struct guest *guest, int cpu)
{
	struct kvm_vcpu *vcpu = guest->vcpus[cpu];
	struct ucall uc;

	vcpu_run(vcpu);
	if (vcpu->run->exit_reason == KVM_EXIT_MMIO)
		return false;

	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		return true;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
	default:
		TEST_FAIL("exit reason %u, ucall %lu", vcpu->run->exit_reason, uc.cmd);
	}
	return false;
}

static void prepare(struct guest *guest, int cpu, struct command todo)
{
	struct command *c = command_of(guest, cpu);
	static const struct command none;

	if (!memcmp(c, &none, sizeof(none)))
		TEST_ASSERT(runs_to_sync(guest, cpu), "MMIO of a guest without a command");
	*c = todo;
}

/* False if the guest has stopped at MMIO. */
static bool begin(struct guest *guest, int cpu, struct command todo)
{
	prepare(guest, cpu, todo);
	return runs_to_sync(guest, cpu);
}

static struct command *perform(struct guest *guest, int cpu, struct command todo)
{
	if (!begin(guest, cpu, todo))
		TEST_FAIL("%s: MMIO at 0x%llx", subject,
			  guest->vcpus[cpu]->run->mmio.phys_addr);
	return command_of(guest, cpu);
}

static u64 guest_read(struct guest *guest, int cpu, u64 gva)
{
	return perform(guest, cpu, (struct command){ .op = OP_READ, .gva = gva })->value;
}

static void guest_write(struct guest *guest, int cpu, u64 gva, u64 value)
{
	perform(guest, cpu, (struct command){ .op = OP_WRITE, .gva = gva, .value = value });
}

static void expect_mmio(struct guest *guest, enum guest_op op, u64 gva, u64 other, u64 gpa)
{
	struct command todo = { .op = op, .gva = gva, .other = other, .value = 0x11223344 };
	struct kvm_run *run = guest->vcpus[0]->run;
	u64 value = 0x5566778899aabbcc;

	if (!expect(!begin(guest, 0, todo), "no MMIO at 0x%lx", gva))
		return;
	expect(run->mmio.phys_addr == gpa, "MMIO at 0x%llx, not 0x%lx",
	       run->mmio.phys_addr, gpa);
	expect(run->mmio.is_write == (op == OP_WRITE) && run->mmio.len == sizeof(value),
	       "MMIO is_write %u, len %u", run->mmio.is_write, run->mmio.len);
	if (op != OP_WRITE)
		memcpy(run->mmio.data, &value, sizeof(value));
	else
		expect(*(u64 *)run->mmio.data == todo.value, "wrote 0x%lx",
		       *(u64 *)run->mmio.data);
	if (!expect(runs_to_sync(guest, 0), "MMIO again"))
		return;
	if (op == OP_READ || op == OP_PUSH)
		expect(command_of(guest, 0)->value == value, "read 0x%lx",
		       command_of(guest, 0)->value);
}

/* Test cases. */

static void expect_same_page(struct guest *guest, int i, u64 page, bool first, u64 value)
{
	u64 offset = page * SZ_4K + 8 * i;

	about("gpa 0x%lx, first touched with C=%u", guest->regions[i].gpa + offset, first);
	guest_write(guest, 0, gva_of(i, first) + offset, value);
	expect(*(u64 *)(guest->regions[i].mem + offset) == value, "not in memory");
	expect(guest_read(guest, 0, gva_of(i, !first) + offset) == value, "another page");
	guest_write(guest, 0, gva_of(i, !first) + offset, ~value);
	expect(guest_read(guest, 0, gva_of(i, first) + offset) == ~value, "not written back");
	expect(*(u64 *)(guest->regions[i].mem + offset) == ~value, "not back in memory");
}

static void same_page(bool huge)
{
	struct guest guest;
	u64 nr_4k, nr_2m;
	int first, i;

	for (first = 0; first < 2; first++) {
		guest = create_guest(KVM_X86_SW_SEV_VM, 1);
		add_regions(&guest, huge);
		for (i = 0; i < NR_REGIONS; i++) {
			expect_same_page(&guest, i, 0, first, 0x1000 + i);
			expect_same_page(&guest, i, REGION_PAGES - 1, !first, 0x2000 + i);
		}

		/* A page is mapped once, for both. */
		about("pages mapped, first touched with C=%u", first);
		nr_4k = vm_get_stat(guest.vm, pages_4k);
		nr_2m = vm_get_stat(guest.vm, pages_2m);
		if (huge)
			expect(nr_2m >= NR_REGIONS, "%lu huge pages", nr_2m);
		guest_read(&guest, 0, gva_of(0, first) + SZ_4K);
		guest_read(&guest, 0, gva_of(0, !first) + SZ_4K);
		nr_4k = vm_get_stat(guest.vm, pages_4k) - nr_4k;
		nr_2m = vm_get_stat(guest.vm, pages_2m) - nr_2m;
		expect(nr_4k == !huge && !nr_2m, "%lu small and %lu huge pages more",
		       nr_4k, nr_2m);
		free_guest(&guest);
	}
}

static void test_same_page(void)
{
	same_page(false);
}

static void test_same_huge_page(void)
{
	same_page(true);
}

/* A vCPU in a thread. */
struct runner {
	pthread_t thread;
	struct guest *guest;
	int cpu;
};

static void *run_one(void *data)
{
	struct runner *runner = data;
	struct kvm_run *run = runner->guest->vcpus[runner->cpu]->run;
	u64 nr_with_c_bit = 0;

	while (!runs_to_sync(runner->guest, runner->cpu)) {
		nr_with_c_bit += !!(run->mmio.phys_addr & C_BIT);
		memset(run->mmio.data, 0, sizeof(run->mmio.data));
	}
	expect(!nr_with_c_bit, "%lu MMIO exits with the C-bit", nr_with_c_bit);
	expect(!command_of(runner->guest, runner->cpu)->nr_wrong,
	       "vCPU %d read %lu wrong values", runner->cpu,
	       command_of(runner->guest, runner->cpu)->nr_wrong);
	return NULL;
}

static void start_race(struct runner *runner, struct guest *guest, int cpu, int region,
		       enum race_rule rule)
{
	*runner = (struct runner) { .guest = guest, .cpu = cpu };
	prepare(guest, cpu, (struct command) {
		.op = OP_RACE,
		.gva = gva_of(region, cpu & 1),
		.other = gva_of(region, !(cpu & 1)),
		.rule = rule,
	});
	TEST_ASSERT(!pthread_create(&runner->thread, NULL, run_one, runner), "pthread_create");
}

static void stop_races(struct runner *runners, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		WRITE_ONCE(command_of(runners[i].guest, runners[i].cpu)->stop, 1);
	for (i = 0; i < nr; i++)
		pthread_join(runners[i].thread, NULL);
}

/* All vCPUs fault at once, in the same and in other entries of the root. */
static void test_faults(void)
{
	struct runner runners[NR_VCPUS];
	struct guest guest;
	int round, cpu;

	for (round = 0; round < 2 * NR_REGIONS; round++) {
		about("round %d", round);
		guest = create_guest(KVM_X86_SW_SEV_VM, NR_VCPUS);
		add_regions(&guest, round & 1);
		for (cpu = 0; cpu < NR_VCPUS; cpu++)
			start_race(&runners[cpu], &guest, cpu,
				   round < NR_REGIONS ? round : cpu / 2 + round % 2,
				   RACE_KEPT);
		stop_races(runners, NR_VCPUS);
		free_guest(&guest);
	}
}

static void delete_and_add(struct guest *guest, int i, int round)
{
	set_slot(guest, i, 0, false);
	set_slot(guest, i, 0, true);
}

static void move_away_and_back(struct guest *guest, int i, int round)
{
	guest->regions[i].gpa = region_gpas[i] + 2 * REGION_SIZE;
	set_slot(guest, i, 0, true);
	guest->regions[i].gpa = region_gpas[i];
	set_slot(guest, i, 0, true);
}

static void drop_memory(struct guest *guest, int i, int round)
{
	madvise(guest->regions[i].mem, REGION_SIZE, MADV_DONTNEED);
}

static void log_dirty_pages(struct guest *guest, int i, int round)
{
	unsigned long bitmap[REGION_PAGES / BITS_PER_LONG];

	if (round & 1)
		kvm_vm_get_dirty_log(guest->vm, FIRST_SLOT + i, bitmap);
	set_slot(guest, i, round & 1 ? 0 : KVM_MEM_LOG_DIRTY_PAGES, true);
}

static const struct {
	const char *name;
	void (*disturb)(struct guest *guest, int i, int round);
	enum race_rule rule;
} races[] = {
	{ "delete", delete_and_add, RACE_ANY_EARLIER },
	{ "move", move_away_and_back, RACE_ANY_EARLIER },
	{ "MADV_DONTNEED", drop_memory, RACE_KEPT_OR_ZERO },
	{ "dirty log", log_dirty_pages, RACE_KEPT },
};

/*
 * Regions 1 and 2 are disturbed, region 0, in the same entry of the root as 1,
 * must not be.  One vCPU for each that is: of any VM, KVM warns if one vCPU has
 * mapped a page of a new memslot when another still takes it for MMIO.
 */
static void test_races(void)
{
	struct runner runners[NR_VCPUS];
	struct guest guest;
	int i, j, cpu, round, huge;

	for (i = 0; i < ARRAY_SIZE(races); i++) {
		for (huge = 0; huge < 2; huge++) {
			about("%s, huge %d", races[i].name, huge);
			guest = create_guest(KVM_X86_SW_SEV_VM, NR_VCPUS);
			add_regions(&guest, huge);
			for (cpu = 0; cpu < NR_VCPUS; cpu++)
				start_race(&runners[cpu], &guest, cpu, max(cpu - 1, 0),
					   cpu < 2 ? RACE_KEPT : races[i].rule);
			for (round = 0; round < NR_ROUNDS; round++) {
				for (j = 1; j < 3; j++)
					races[i].disturb(&guest, j, round);
			}
			stop_races(runners, NR_VCPUS);
			free_guest(&guest);
		}
	}
}

static void test_memslots(void)
{
	struct guest guest = create_guest(KVM_X86_SW_SEV_VM, 1);
	u64 gpa;
	int i, c;

	add_regions(&guest, false);
	for (i = 0; i < NR_REGIONS; i++) {
		gpa = region_gpas[i];
		for (c = 0; c < 2; c++)
			guest_write(&guest, 0, gva_of(i, c), 1);
		for (c = 0; c < 2; c++) {
			about("slot at 0x%lx deleted, C=%d", gpa, c);
			set_slot(&guest, i, 0, false);
			expect_mmio(&guest, OP_READ, gva_of(i, c), 1, gpa);
			expect_mmio(&guest, OP_WRITE, gva_of(i, !c), 1, gpa);
			about("slot at 0x%lx added, C=%d", gpa, c);
			set_slot(&guest, i, 0, true);
			expect(guest_read(&guest, 0, gva_of(i, c)) == 1, "not back");
			expect(guest_read(&guest, 0, gva_of(i, !c)) == 1, "other not back");
		}

		/* KVM_MEM_READONLY of a slot can't be changed. */
		set_slot(&guest, i, 0, false);
		set_slot(&guest, i, KVM_MEM_READONLY, true);
		for (c = 0; c < 2; c++) {
			about("slot at 0x%lx read-only, C=%d", gpa, c);
			expect(guest_read(&guest, 0, gva_of(i, c)) == 1, "not readable");
			expect_mmio(&guest, OP_WRITE, gva_of(i, c) + 8, 1, gpa + 8);
			expect(!guest_read(&guest, 0, gva_of(i, c) + 8), "written");
		}
		set_slot(&guest, i, 0, false);
		set_slot(&guest, i, 0, true);

		about("slot at 0x%lx, MADV_DONTNEED", gpa);
		for (c = 0; c < 2; c++) {
			guest_write(&guest, 0, gva_of(i, c), 2);
			madvise(guest.regions[i].mem, REGION_SIZE, MADV_DONTNEED);
			expect(!guest_read(&guest, 0, gva_of(i, c)), "not zero");
			expect(!guest_read(&guest, 0, gva_of(i, !c)), "other not zero");
		}
	}
	free_guest(&guest);
}

static void expect_dirty(struct guest *guest, unsigned long *want)
{
	unsigned long got[REGION_PAGES / BITS_PER_LONG];

	kvm_vm_get_dirty_log(guest->vm, FIRST_SLOT, got);
	expect(!memcmp(got, want, sizeof(got)), "dirty 0x%lx, not 0x%lx", got[0], want[0]);
}

static void dirty_log(bool manual, bool huge)
{
	struct guest guest = create_guest(KVM_X86_SW_SEV_VM, 1);
	unsigned long want[REGION_PAGES / BITS_PER_LONG] = {};
	int c;

	if (manual)
		vm_enable_cap(guest.vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			      KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	add_region(&guest, 0, region_gpas[2], huge, 0);
	encrypt(&guest);
	guest_write(&guest, 0, gva_of(0, true), 1);
	set_slot(&guest, 0, KVM_MEM_LOG_DIRTY_PAGES, true);

	for (c = 0; c < 2; c++) {
		about("manual %d, huge %d, C=%d", manual, huge, c);
		want[0] = 0;
		guest_read(&guest, 0, gva_of(0, c) + 2 * SZ_4K);
		guest_read(&guest, 0, gva_of(0, !c) + 2 * SZ_4K);
		expect_dirty(&guest, want);
		guest_write(&guest, 0, gva_of(0, c) + 3 * SZ_4K, 1);
		guest_write(&guest, 0, gva_of(0, !c) + 5 * SZ_4K, 1);
		want[0] = BIT(3) | BIT(5);
		expect_dirty(&guest, want);
		if (manual) {
			expect_dirty(&guest, want);
			kvm_vm_clear_dirty_log(guest.vm, FIRST_SLOT, want, 0, REGION_PAGES);
		}
		want[0] = 0;
		expect_dirty(&guest, want);

		/* Whichever dirtied a page, both are write-protected. */
		guest_write(&guest, 0, gva_of(0, !c) + 3 * SZ_4K, 2);
		guest_write(&guest, 0, gva_of(0, !c) + 5 * SZ_4K, 2);
		want[0] = BIT(3) | BIT(5);
		expect_dirty(&guest, want);
		if (manual)
			kvm_vm_clear_dirty_log(guest.vm, FIRST_SLOT, want, 0, REGION_PAGES);
		expect(guest_read(&guest, 0, gva_of(0, c) + 3 * SZ_4K) == 2, "lost");
		want[0] = 0;
		expect_dirty(&guest, want);
	}
	free_guest(&guest);
}

static u64 translate(struct guest *guest, u64 gva)
{
	struct kvm_translation tr = { .linear_address = gva };

	vcpu_ioctl(guest->vcpus[0], KVM_TRANSLATE, &tr);
	return tr.valid ? tr.physical_address : ~0ull;
}

/* When KVM sets the A bit in a page table, that is a write. */
static void dirty_page_table(void)
{
	struct guest guest = create_guest(KVM_X86_SW_SEV_VM, 1);
	struct userspace_mem_region *slot0 = memslot2region(guest.vm, 0);
	u64 nr_pages = slot0->region.memory_size / SZ_4K;
	u64 gfn = slot0->region.guest_phys_addr / SZ_4K;
	unsigned long *bitmap = calloc(BITS_TO_LONGS(nr_pages), sizeof(long));
	int level, c;

	add_region(&guest, 0, region_gpas[2], false, 0);
	encrypt(&guest);
	vm_mem_region_set_flags(guest.vm, 0, KVM_MEM_LOG_DIRTY_PAGES);
	for (c = 0; c < 2; c++) {
		u64 table = guest.vm->mmu.pgd, tables[5];

		for (level = 4; level; level--) {
			u64 *pte = addr_gpa2hva(guest.vm, PTE_GET_PA(table) & ~C_BIT);

			tables[level] = (PTE_GET_PA(table) & ~C_BIT) / SZ_4K - gfn;
			pte += gva_of(0, c) >> PG_LEVEL_SHIFT(level) & 511;
			expect(!(*pte & PTE_ACCESSED_MASK(&guest.vm->mmu)) || level > 3,
			       "accessed already");
			*pte &= ~PTE_ACCESSED_MASK(&guest.vm->mmu);
			table = *pte;
		}
		kvm_vm_get_dirty_log(guest.vm, 0, bitmap);
		expect(translate(&guest, gva_of(0, c)) == region_gpas[2], "translation");
		kvm_vm_get_dirty_log(guest.vm, 0, bitmap);
		for (level = 4; level; level--) {
			about("page table of level %d, C=%d", level, c);
			expect(tables[level] < nr_pages &&
			       bitmap[tables[level] / BITS_PER_LONG] &
			       BIT(tables[level] % BITS_PER_LONG), "clean");
		}
	}
	free(bitmap);
	free_guest(&guest);
}

static void test_dirty_log(void)
{
	int i;

	for (i = 0; i < 4; i++)
		dirty_log(i & 1, i & 2);
	dirty_page_table();
}

static void test_mmio(void)
{
	struct guest guest = create_guest(KVM_X86_SW_SEV_VM, 1);
	u64 gva, gpa, value;
	int i, c;

	add_region(&guest, 0, region_gpas[0], false, 0);
	for (i = 1; i < NR_REGIONS; i++)
		map_region(&guest, i, region_gpas[i], PG_LEVEL_4K);
	encrypt(&guest);

	for (i = 1; i < NR_REGIONS; i++) {
		/* Four times: KVM remembers what is MMIO. */
		for (c = 0; c < 4; c++) {
			gva = gva_of(i, c & 1) + 8 * i;
			gpa = region_gpas[i] + 8 * i;
			about("gpa 0x%lx, C=%d", gpa, c & 1);
			expect_mmio(&guest, OP_READ, gva, 1, gpa);
			expect_mmio(&guest, OP_WRITE, gva, 1, gpa);
			expect_mmio(&guest, OP_PUSH, gva, 1, gpa);
			expect_mmio(&guest, OP_COPY, gva, gva_of(0, c & 1) + 8 * c, gpa);
			expect_mmio(&guest, OP_COPY, gva, gva_of(0, !(c & 1)) + SZ_4K + 8 * c,
				    gpa);
			value = *(u64 *)(guest.regions[0].mem + 8 * c);
			expect(value == 0x5566778899aabbcc, "copied 0x%lx", value);
			value = *(u64 *)(guest.regions[0].mem + SZ_4K + 8 * c);
			expect(value == 0x5566778899aabbcc, "copied 0x%lx elsewhere", value);
			memset(guest.regions[0].mem, 0, 2 * SZ_4K);
			expect(translate(&guest, gva) == gpa, "KVM_TRANSLATE: 0x%lx",
			       translate(&guest, gva));
		}
	}
	for (c = 0; c < 2; c++)
		expect(translate(&guest, gva_of(0, c)) == region_gpas[0],
		       "KVM_TRANSLATE, C=%d: 0x%lx", c, translate(&guest, gva_of(0, c)));
	value = translate(&guest, (u64)guest_code);
	expect(value != ~0ull && !(value & C_BIT), "KVM_TRANSLATE of code: 0x%lx", value);
	free_guest(&guest);
}

/* KVM's CPUID with this SEV leaf, and this MAXPHYADDR; 0 for none of them. */
static int set_cpuid(struct kvm_vcpu *vcpu, u32 eax, u32 ebx, u32 maxphyaddr)
{
	const struct kvm_cpuid2 *kvm = kvm_get_supported_cpuid();
	struct kvm_cpuid2 *cpuid = allocate_kvm_cpuid2(kvm->nent + 1);
	int i, ret, nr = 0;

	for (i = 0; i < kvm->nent; i++) {
		struct kvm_cpuid_entry2 entry = kvm->entries[i];

		if (entry.function == 0x8000001f ||
		    (entry.function == 0x80000008 && !maxphyaddr))
			continue;
		if (entry.function == 0x80000008)
			entry.eax = (entry.eax & ~0xff) | maxphyaddr;
		cpuid->entries[nr++] = entry;
	}
	if (eax || ebx)
		cpuid->entries[nr++] = (struct kvm_cpuid_entry2) {
			.function = 0x8000001f, .eax = eax, .ebx = ebx,
		};
	cpuid->nent = nr;
	ret = __vcpu_ioctl(vcpu, KVM_SET_CPUID2, cpuid);
	i = errno;
	free(cpuid);
	errno = i;
	return ret;
}

static const struct {
	u32 eax;
	u32 ebx;
	u32 maxphyaddr;
	int err;
} cpuids[] = {
	{ CPUID_SEV, 47, 48, 0 },
	{ CPUID_SEV, 47 | 1 << 6, 48, 0 },
	{ CPUID_SEV, 47, 52, 0 },
	{ 0, 0, 48, 0 },
	{ 0, 0, 40, 0 },
	{ 0, 0, 0, 0 },
	{ 0, 51, 40, 0 },
	{ CPUID_SEV, 0, 48, EINVAL },
	{ CPUID_SEV, 46, 48, EINVAL },
	{ CPUID_SEV, 48, 48, EINVAL },
	{ CPUID_SEV, 51, 52, EINVAL },
	{ CPUID_SEV, 63, 48, EINVAL },
	{ CPUID_SEV, 47, 47, EINVAL },
	{ CPUID_SEV, 47, 40, EINVAL },
	{ CPUID_SEV, 47, 0, EINVAL },
	{ CPUID_SEV | CPUID_SEV_ES, 47, 48, EINVAL },
	{ CPUID_SEV | CPUID_SEV_SNP, 47, 48, EINVAL },
	{ CPUID_SEV | CPUID_SEV_ES | CPUID_SEV_SNP, 47, 48, EINVAL },
};

static void test_cpuid(void)
{
	struct guest sw_sev = create_guest(KVM_X86_SW_SEV_VM, 1);
	struct guest ordinary = create_guest(KVM_X86_DEFAULT_VM, 1);
	int i;

	for (i = 0; i < ARRAY_SIZE(cpuids); i++) {
		about("EAX 0x%x, EBX %u, MAXPHYADDR %u", cpuids[i].eax, cpuids[i].ebx,
		      cpuids[i].maxphyaddr);
		expect_errno(set_cpuid(sw_sev.vcpus[0], cpuids[i].eax, cpuids[i].ebx,
				       cpuids[i].maxphyaddr), cpuids[i].err);
		about("ordinary VM, EAX 0x%x, EBX %u, MAXPHYADDR %u", cpuids[i].eax,
		      cpuids[i].ebx, cpuids[i].maxphyaddr);
		expect_errno(set_cpuid(ordinary.vcpus[0], cpuids[i].eax, cpuids[i].ebx,
				       cpuids[i].maxphyaddr), 0);
	}
	free_guest(&sw_sev);
	free_guest(&ordinary);
}

static const struct {
	u32 type;
	u32 eax;
	u64 vector;
} sev_msrs[] = {
	{ KVM_X86_SW_SEV_VM, CPUID_SEV, 0 },
	{ KVM_X86_SW_SEV_VM, 0, GP_VECTOR },
	{ KVM_X86_DEFAULT_VM, CPUID_SEV, GP_VECTOR },
	{ KVM_X86_DEFAULT_VM, 0, GP_VECTOR },
};

static void test_msr(void)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msr;
	struct command todo, *c;
	struct guest guest;
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(sev_msrs); i++) {
		about("VM type %u, CPUID 0x%x", sev_msrs[i].type, sev_msrs[i].eax);
		guest = create_guest(sev_msrs[i].type, 1);
		expect_errno(set_cpuid(guest.vcpus[0], sev_msrs[i].eax, 47, 48), 0);
		todo = (struct command){ .op = OP_RDMSR, .gva = MSR_AMD64_SEV };
		c = perform(&guest, 0, todo);
		expect(c->vector == sev_msrs[i].vector, "RDMSR: vector %lu", c->vector);
		expect(c->vector || c->value == 1, "RDMSR: 0x%lx", c->value);
		for (todo.value = 0; todo.value < 2; todo.value++) {
			todo.op = OP_WRMSR;
			c = perform(&guest, 0, todo);
			expect(c->vector == GP_VECTOR, "WRMSR of %lu: vector %lu", todo.value,
			       c->vector);
		}

		memset(&msr, 0, sizeof(msr));
		msr.header.nmsrs = 1;
		msr.entry.index = MSR_AMD64_SEV;
		ret = __vcpu_ioctl(guest.vcpus[0], KVM_GET_MSRS, &msr.header);
		expect(ret == !sev_msrs[i].vector, "KVM_GET_MSRS: %d", ret);
		expect(!ret || msr.entry.data == 1, "KVM_GET_MSRS: 0x%llx", msr.entry.data);
		expect(!_vcpu_set_msr(guest.vcpus[0], MSR_AMD64_SEV, 1), "KVM_SET_MSRS");
		free_guest(&guest);
	}
}

static const struct {
	u64 gpa;
	u64 size;
	int err;
} slots[] = {
	{ C_BIT - SZ_4K, SZ_4K, 0 },
	{ C_BIT - SZ_2M, SZ_2M, 0 },
	{ C_BIT, SZ_4K, EINVAL },
	{ C_BIT - SZ_4K, 2 * SZ_4K, EINVAL },
	{ C_BIT + SZ_1G, SZ_2M, EINVAL },
	{ 2 * C_BIT - SZ_4K, SZ_4K, EINVAL },
};

static void test_alias_slots(void)
{
	struct kvm_vm *vms[] = {
		vm_create_barebones_type(KVM_X86_SW_SEV_VM),
		vm_create_barebones(),
	};
	void *mem = mmap(NULL, SZ_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i, j, ret;

	for (i = 0; i < ARRAY_SIZE(slots); i++) {
		for (j = 0; j < 2; j++) {
			about("VM type %lu, 0x%lx at 0x%lx", vms[j]->type, slots[i].size,
			      slots[i].gpa);
			ret = __vm_set_user_memory_region(vms[j], FIRST_SLOT, 0,
							  slots[i].gpa, slots[i].size, mem);
			expect_errno(ret, j ? 0 : slots[i].err);
			if (!ret)
				vm_set_user_memory_region(vms[j], FIRST_SLOT, 0,
							  slots[i].gpa, 0, mem);

			/* Nor may a slot be moved there. */
			about("VM type %lu, 0x%lx moved to 0x%lx", vms[j]->type,
			      slots[i].size, slots[i].gpa);
			vm_set_user_memory_region(vms[j], FIRST_SLOT, 0, SZ_4G,
						  slots[i].size, mem);
			ret = __vm_set_user_memory_region(vms[j], FIRST_SLOT, 0,
							  slots[i].gpa, slots[i].size, mem);
			expect_errno(ret, j ? 0 : slots[i].err);
			vm_set_user_memory_region(vms[j], FIRST_SLOT, 0, SZ_4G, 0, mem);
		}
	}
	munmap(mem, SZ_2M);
	kvm_vm_free(vms[0]);
	kvm_vm_free(vms[1]);
}

static void expect_hypercall(struct guest *guest, enum guest_op op, u64 vector, u8 *insn, u8 last)
{
	struct command todo = { .op = op, .value = KVM_HC_VAPIC_POLL_IRQ };
	struct command *c = perform(guest, 0, todo);
	u8 *bytes = addr_gva2hva(guest->vm, (u64)insn);

	expect(c->vector == vector, "vector %lu, not %lu", c->vector, vector);
	expect(bytes[0] == 0x0f && bytes[1] == 0x01 && bytes[2] == last,
	       "instruction is %02x%02x%02x", bytes[0], bytes[1], bytes[2]);
}

static void test_hypercall(void)
{
	struct guest guest;
	bool quirk;
	int i;

	for (i = 0; i < 4; i++) {
		quirk = i & 1;
		guest = create_guest(i & 2 ? KVM_X86_DEFAULT_VM : KVM_X86_SW_SEV_VM, 1);
		if (!quirk)
			vm_enable_cap(guest.vm, KVM_CAP_DISABLE_QUIRKS2,
				      KVM_X86_QUIRK_FIX_HYPERCALL_INSN);
		about("VM type %lu, quirk %d, VMMCALL", guest.vm->type, quirk);
		expect_hypercall(&guest, OP_VMMCALL, 0, guest_vmmcall_insn, 0xd9);
		about("VM type %lu, quirk %d, VMCALL", guest.vm->type, quirk);
		if (!guest.is_sw_sev && quirk)
			expect_hypercall(&guest, OP_VMCALL, 0, guest_vmcall_insn, 0xd9);
		else
			expect_hypercall(&guest, OP_VMCALL, UD_VECTOR, guest_vmcall_insn, 0xc1);
		free_guest(&guest);
	}
}

/* Guests have the C-bit in page tables, and no address that they tell has it. */
static void test_map_gpa(void)
{
	static const u64 gpas[] = { SZ_4G | C_BIT, C_BIT, SZ_4G, C_BIT - SZ_4K };
	struct kvm_coco_map_gpa_range *map;
	struct guest guest;
	struct command *c;
	bool is_exit;
	int i;

	coco_exits = KVM_COCO_EXIT_MAP_GPA_RANGE;
	guest = create_guest(KVM_X86_SW_SEV_VM, 1);
	coco_exits = 0;
	map = &guest.vcpus[0]->run->coco_map_gpa_range;
	c = command_of(&guest, 0);
	for (i = 0; i < ARRAY_SIZE(gpas); i++) {
		about("page status of 0x%lx", gpas[i]);
		prepare(&guest, 0, (struct command){ .op = OP_MAP_GPA, .gva = gpas[i] });
		vcpu_run(guest.vcpus[0]);
		is_exit = guest.vcpus[0]->run->exit_reason == KVM_EXIT_COCO_MAP_GPA_RANGE;
		expect(is_exit == !(gpas[i] & C_BIT), "exit %d", is_exit);
		if (is_exit) {
			expect(map->gpa == gpas[i], "gpa 0x%llx", map->gpa);
			map->done = map->size;
			map->ret = 0;
			TEST_ASSERT(runs_to_sync(&guest, 0), "MMIO after page status");
		}
		expect(c->value == (is_exit ? 0 : -KVM_EINVAL), "guest has 0x%lx", c->value);
	}
	free_guest(&guest);
}

static void test_nested(void)
{
	struct guest guest;
	struct command todo, *c;
	u64 efer;
	int i;

	about("KVM's CPUID");
	if (!kvm_cpu_has(X86_FEATURE_SVM)) {
		ksft_print_msg("no nested SVM\n");
		return;
	}

	for (i = 0; i < 2; i++) {
		guest = create_guest(i ? KVM_X86_DEFAULT_VM : KVM_X86_SW_SEV_VM, 1);
		about("VM type %lu", guest.vm->type);
		efer = vcpu_get_msr(guest.vcpus[0], MSR_EFER) | EFER_SVME;
		todo = (struct command){ .op = OP_WRMSR, .gva = MSR_EFER, .value = efer };
		c = perform(&guest, 0, todo);
		expect(c->vector == (i ? 0 : GP_VECTOR), "WRMSR: vector %lu", c->vector);
		expect(!(vcpu_get_msr(guest.vcpus[0], MSR_EFER) & EFER_SVME) == !i, "SVME");
		free_guest(&guest);
	}
}

/* KVM doesn't know of SEV without CONFIG_KVM_AMD_SEV, or if the CPU has none. */
static void expect_no_sev(int ret)
{
	expect(ret < 0 && (errno == ENOTTY || errno == EINVAL), "returned %d, errno %d", ret,
	       ret < 0 ? errno : 0);
}

static void test_ioctls(void)
{
	struct guest guest = create_guest(KVM_X86_SW_SEV_VM, 1);
	struct guest other = create_guest(KVM_X86_DEFAULT_VM, 1);
	struct kvm_enc_region enc = { .size = REGION_SIZE };
	struct kvm_sev_cmd cmd = { .id = KVM_SEV_INIT };
	struct kvm_sev_init init = {};
	struct kvm_pre_fault_memory range = {};
	u64 nr;

	add_region(&guest, 0, region_gpas[0], false, 0);
	encrypt(&guest);
	enc.addr = (u64)guest.regions[0].mem;

	about("KVM_SEV_INIT");
	expect_no_sev(ioctl(guest.vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd));
	about("KVM_SEV_INIT2");
	cmd.id = KVM_SEV_INIT2;
	cmd.data = (u64)&init;
	expect_no_sev(ioctl(guest.vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd));
	about("KVM_SEV_LAUNCH_START");
	cmd.id = KVM_SEV_LAUNCH_START;
	expect_no_sev(ioctl(guest.vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd));
	about("KVM_MEMORY_ENCRYPT_REG_REGION");
	expect_no_sev(__vm_ioctl(guest.vm, KVM_MEMORY_ENCRYPT_REG_REGION, &enc));
	about("KVM_MEMORY_ENCRYPT_UNREG_REGION");
	expect_no_sev(__vm_ioctl(guest.vm, KVM_MEMORY_ENCRYPT_UNREG_REGION, &enc));
	about("KVM_CAP_VM_COPY_ENC_CONTEXT_FROM");
	expect_errno(__vm_enable_cap(guest.vm, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, other.vm->fd),
		     EINVAL);
	expect_errno(__vm_enable_cap(other.vm, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, guest.vm->fd),
		     EINVAL);
	about("KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM");
	expect_errno(__vm_enable_cap(guest.vm, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, other.vm->fd),
		     EINVAL);
	expect_errno(__vm_enable_cap(other.vm, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, guest.vm->fd),
		     EINVAL);

	about("KVM_PRE_FAULT_MEMORY");
	nr = vm_get_stat(guest.vm, pages_4k);
	range.gpa = region_gpas[0] | C_BIT;
	range.size = 4 * SZ_4K;
	expect_errno(__vcpu_ioctl(guest.vcpus[0], KVM_PRE_FAULT_MEMORY, &range), EINVAL);
	expect(vm_get_stat(guest.vm, pages_4k) == nr, "mapped in spite of EINVAL");
	range.gpa = region_gpas[0];
	expect_errno(__vcpu_ioctl(guest.vcpus[0], KVM_PRE_FAULT_MEMORY, &range), 0);
	expect(!range.size, "0x%llx bytes left", range.size);
	nr = vm_get_stat(guest.vm, pages_4k) - nr;
	expect(nr == 4, "%lu pages mapped", nr);
	*(u64 *)guest.regions[0].mem = 3;
	expect(guest_read(&guest, 0, gva_of(0, true)) == 3, "not mapped with C=1");
	expect(guest_read(&guest, 0, gva_of(0, false)) == 3, "not mapped with C=0");
	free_guest(&guest);
	free_guest(&other);
}

/* Of both types at once; each goes while others run. */
static void test_many_vms(void)
{
	struct runner runners[4];
	struct guest guests[4];
	int round, i;

	for (round = 0; round < 3; round++) {
		about("round %d", round);
		for (i = 0; i < ARRAY_SIZE(guests); i++) {
			guests[i] = create_guest(i & 1 ? KVM_X86_DEFAULT_VM : KVM_X86_SW_SEV_VM,
						 1);
			add_regions(&guests[i], round & 1);
			start_race(&runners[i], &guests[i], 0, i, RACE_KEPT);
		}
		for (i = 0; i < ARRAY_SIZE(guests); i++) {
			stop_races(&runners[i], 1);
			free_guest(&guests[i]);
		}
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "same page", test_same_page },
	{ "same huge page", test_same_huge_page },
	{ "faults at once", test_faults },
	{ "memslots", test_memslots },
	{ "races with zapping", test_races },
	{ "dirty log", test_dirty_log },
	{ "MMIO and walks", test_mmio },
	{ "MSR_AMD64_SEV", test_msr },
	{ "CPUID", test_cpuid },
	{ "memslots with C-bit", test_alias_slots },
	{ "hypercall instructions", test_hypercall },
	{ "page status", test_map_gpa },
	{ "nested", test_nested },
	{ "ioctls", test_ioctls },
	{ "many VMs", test_many_vms },
};

/* What the type needs, except for CONFIG_KVM_SW_SEV_VM. */
static bool can_have_type(void)
{
	char line[4096];
	bool la57 = false;
	FILE *file;

	if (!host_cpu_is_amd || !get_kvm_amd_param_bool("npt") || !get_kvm_param_bool("tdp_mmu"))
		return false;

	/* NPT has as many levels as the host's page tables. */
	file = fopen("/proc/cpuinfo", "r");
	TEST_ASSERT(file, "/proc/cpuinfo");
	while (fgets(line, sizeof(line), file))
		la57 |= !!strstr(line, " la57");
	fclose(file);
	return !la57 && this_cpu_property(X86_PROPERTY_MAX_PHY_ADDR) > KVM_SW_SEV_C_BIT;
}

int main(void)
{
	bool offered = kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_SEV_VM);
	int i, fd, kvm_fd;

	alarm(MAX_SECONDS);
	setbuf(stdout, NULL);
	ksft_print_header();
	ksft_set_plan(offered ? ARRAY_SIZE(tests) : 1);

	if (!offered) {
		kvm_fd = open_kvm_dev_path_or_exit();
		fd = __kvm_ioctl(kvm_fd, KVM_CREATE_VM, (void *)KVM_X86_SW_SEV_VM);
		about("KVM_CREATE_VM of a type that isn't offered");
		expect_errno(fd, EINVAL);
		if (!nr_failed && can_have_type())
			ksft_test_result_skip("no CONFIG_KVM_SW_SEV_VM\n");
		else
			ksft_test_result(!nr_failed, "not offered, refused\n");
		ksft_finished();
	}

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		nr_failed = 0;
		if (!i) {
			about("offered");
			expect(can_have_type(), "on a CPU that can't have it");
		}
		tests[i].run();
		ksft_test_result(!nr_failed, "%s\n", tests[i].name);
	}
	ksft_finished();
}
