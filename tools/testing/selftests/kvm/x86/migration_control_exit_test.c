// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSR_KVM_MIGRATION_CONTROL, with and without KVM_EXIT_COCO_MIGRATION_CONTROL, with MSR
 * filters, and from one VM to another.
 */
#include <asm/kvm_para.h>

#include "expect.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "ucall_common.h"

#define FEP_PATH	"/sys/module/kvm/parameters/force_emulation_prefix"

#define NR_VCPUS	2
#define MAX_SECONDS	120
#define WRMSR_SIZE	2

/* What the guest does next, and what came of it. */
struct msr_access {
	u64 value;
	bool write;
	bool emulated;
	u64 vector;
};

static struct msr_access todo;

static void guest_code(void)
{
	u32 low, high;
	u64 error_code;

	for (;;) {
		GUEST_SYNC(0);
		low = todo.value;
		high = todo.value >> 32;
		if (!todo.write)
			todo.vector = rdmsr_safe(MSR_KVM_MIGRATION_CONTROL, &todo.value);
		else if (todo.emulated)
			todo.vector = kvm_asm_safe_ec_fep("wrmsr", error_code,
							  "a" (low), "d" (high),
							  "c" (MSR_KVM_MIGRATION_CONTROL));
		else
			todo.vector = wrmsr_safe(MSR_KVM_MIGRATION_CONTROL, todo.value);
	}
}

struct guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	struct msr_access *access;
};

static struct guest create_guest(u64 exits, bool has_feature)
{
	struct guest guest = { .vm = vm_create(NR_VCPUS) };
	int i;

	if (exits)
		vm_enable_cap(guest.vm, KVM_CAP_COCO_EXITS, exits);
	for (i = 0; i < NR_VCPUS; i++) {
		guest.vcpus[i] = vm_vcpu_add(guest.vm, i, guest_code);
		if (has_feature)
			vcpu_set_cpuid_feature(guest.vcpus[i], X86_FEATURE_KVM_MIGRATION_CONTROL);
		else
			vcpu_clear_cpuid_feature(guest.vcpus[i],
						 X86_FEATURE_KVM_MIGRATION_CONTROL);
		vcpu_run(guest.vcpus[i]);
		TEST_ASSERT_KVM_EXIT_REASON(guest.vcpus[i], KVM_EXIT_IO);
	}
	guest.access = addr_gva2hva(guest.vm, (gva_t)&todo);
	return guest;
}

/* The exit reason, or a negative errno. */
static int run(struct kvm_vcpu *vcpu)
{
	return __vcpu_run(vcpu) ? -errno : vcpu->run->exit_reason;
}

static int run_immediately(struct kvm_vcpu *vcpu)
{
	int ret;

	vcpu->run->immediate_exit = 1;
	ret = run(vcpu);
	vcpu->run->immediate_exit = 0;
	return ret;
}

static int start_access(struct guest *guest, int vcpu, bool write, u64 value)
{
	guest->access->write = write;
	guest->access->value = value;
	guest->access->vector = -1ull;
	return run(guest->vcpus[vcpu]);
}

static void expect_end(struct guest *guest, int ret, u64 vector)
{
	if (expect(ret == KVM_EXIT_IO, "the access did not end, but %d", ret))
		expect(guest->access->vector == vector, "vector %lld, not %llu",
		       (long long)guest->access->vector, (unsigned long long)vector);
}

static void expect_write(struct guest *guest, int vcpu, u64 value, u64 vector)
{
	expect_end(guest, start_access(guest, vcpu, true, value), vector);
}

static void expect_read(struct guest *guest, int vcpu, u64 vector, u64 value)
{
	expect_end(guest, start_access(guest, vcpu, false, 0), vector);
	if (!vector)
		expect(guest->access->value == value, "0x%llx, not 0x%llx",
		       (unsigned long long)guest->access->value, (unsigned long long)value);
}

/* All vCPUs have the same. */
static void expect_msr(struct guest *guest, u64 value)
{
	u64 msr;
	int i;

	for (i = 0; i < NR_VCPUS; i++) {
		msr = vcpu_get_msr(guest->vcpus[i], MSR_KVM_MIGRATION_CONTROL);
		expect(msr == value, "vCPU %d has 0x%llx, not 0x%llx", i,
		       (unsigned long long)msr, (unsigned long long)value);
	}
}

/* What /dev/kvm supports is what VMs of any type do. */
static void test_check_extension(void)
{
	u32 exits = kvm_check_cap(KVM_CAP_COCO_EXITS), of_types = 0;
	u32 types = kvm_check_cap(KVM_CAP_VM_TYPES);
	struct kvm_vm *vm;
	int type;

	for (type = 0; types >> type; type++) {
		if (!(types & BIT(type)))
			continue;
		vm = vm_create_barebones_type(type);
		of_types |= vm_check_cap(vm, KVM_CAP_COCO_EXITS);
		kvm_vm_free(vm);
	}
	about("VM types 0x%x", types);
	expect(exits == of_types, "/dev/kvm has 0x%x, VMs have 0x%x", exits, of_types);
}

/* A VM whose memory is not encrypted is ready from the start. */
static void test_initial_value(void)
{
	u32 types = kvm_check_cap(KVM_CAP_VM_TYPES) &
		    (BIT(KVM_X86_DEFAULT_VM) | BIT(KVM_X86_SW_PROTECTED_VM));
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int type, exits;
	u64 want, msr;

	for (type = 0; types >> type; type++) {
		if (!(types & BIT(type)))
			continue;
		for (exits = 0; exits < 2; exits++) {
			vm = vm_create_barebones_type(type);
			if (exits)
				vm_enable_cap(vm, KVM_CAP_COCO_EXITS,
					      KVM_COCO_EXIT_MIGRATION_CONTROL);
			vcpu = __vm_vcpu_add(vm, 0);
			want = exits && type == KVM_X86_DEFAULT_VM ? KVM_MIGRATION_READY : 0;
			msr = vcpu_get_msr(vcpu, MSR_KVM_MIGRATION_CONTROL);
			about("VM type %d, exits %d", type, exits);
			expect(msr == want, "0x%llx, not 0x%llx", (unsigned long long)msr,
			       (unsigned long long)want);
			kvm_vm_free(vm);
		}
	}
}

/* Whatever encrypts the memory of a VM: only its guest can say that it can be migrated. */
static void test_encrypted(void)
{
	static const u32 caps[] = {
		KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
		KVM_CAP_VM_COPY_ENC_CONTEXT_FROM,
	};
	struct kvm_vm *source, *vm;
	struct kvm_vcpu *vcpu;
	u64 msr;
	int i;

	for (i = 0; i <= ARRAY_SIZE(caps); i++) {
		vm = vm_create_barebones();
		vm_enable_cap(vm, KVM_CAP_COCO_EXITS, KVM_COCO_EXIT_MIGRATION_CONTROL);
		if (i == ARRAY_SIZE(caps)) {
			about("KVM_SEV_INIT");
			sev_vm_init(vm);
		} else {
			about("capability %u", caps[i]);
			source = vm_create_barebones();
			sev_vm_init(source);
			vm_enable_cap(vm, caps[i], source->fd);
			kvm_vm_free(source);
		}
		vcpu = __vm_vcpu_add(vm, 0);
		msr = vcpu_get_msr(vcpu, MSR_KVM_MIGRATION_CONTROL);
		expect(!msr, "0x%llx, not 0", (unsigned long long)msr);
		kvm_vm_free(vm);
	}
}

static void test_host(void)
{
	struct guest guest;
	int i, feature;

	about("KVM_GET_MSR_INDEX_LIST");
	expect(kvm_msr_is_in_save_restore_list(MSR_KVM_MIGRATION_CONTROL), "not listed");

	for (feature = 0; feature < 2; feature++) {
		guest = create_guest(KVM_COCO_EXIT_MIGRATION_CONTROL, feature);
		about("host, CPUID bit %d", feature);
		expect_msr(&guest, KVM_MIGRATION_READY);
		vcpu_set_msr(guest.vcpus[0], MSR_KVM_MIGRATION_CONTROL, 0);
		expect_msr(&guest, 0);
		vcpu_set_msr(guest.vcpus[0], MSR_KVM_MIGRATION_CONTROL, KVM_MIGRATION_READY);
		expect_msr(&guest, KVM_MIGRATION_READY);
		for (i = 1; i < 64; i++) {
			about("host, bit %d", i);
			expect(_vcpu_set_msr(guest.vcpus[1], MSR_KVM_MIGRATION_CONTROL,
					     BIT_ULL(i)) == 0, "accepted");
		}
		expect_msr(&guest, KVM_MIGRATION_READY);
		kvm_vm_free(guest.vm);
	}
}

/* Without the exit, KVM does not know it, and userspace may restore 0 only. */
static void test_not_enabled(void)
{
	struct guest guest = create_guest(0, true);

	about("not enabled");
	expect_write(&guest, 0, KVM_MIGRATION_READY, GP_VECTOR);
	expect_write(&guest, 0, 0, GP_VECTOR);
	expect_read(&guest, 0, GP_VECTOR, 0);
	expect_msr(&guest, 0);
	expect(!_vcpu_set_msr(guest.vcpus[0], MSR_KVM_MIGRATION_CONTROL, KVM_MIGRATION_READY),
	       "KVM_SET_MSRS took it");
	expect_msr(&guest, 0);
	kvm_vm_free(guest.vm);
}

static void test_no_feature(void)
{
	u64 exits;

	for (exits = 0; exits <= KVM_COCO_EXIT_MIGRATION_CONTROL;
	     exits += KVM_COCO_EXIT_MIGRATION_CONTROL) {
		struct guest guest = create_guest(exits, false);

		about("no CPUID bit, exits 0x%llx", (unsigned long long)exits);
		expect_write(&guest, 0, KVM_MIGRATION_READY, GP_VECTOR);
		expect_write(&guest, 0, 0, GP_VECTOR);
		expect_read(&guest, 0, GP_VECTOR, 0);
		expect_msr(&guest, exits ? KVM_MIGRATION_READY : 0);
		kvm_vm_free(guest.vm);
	}
}

static bool expect_exit(struct guest *guest, int ret, u64 value)
{
	struct kvm_coco_migration_control *got = &guest->vcpus[0]->run->coco_migration_control;

	return expect(ret == KVM_EXIT_COCO_MIGRATION_CONTROL, "no exit, but %d", ret) &&
	       expect(got->ret == EOPNOTSUPP && !got->flags && got->value == value,
		      "ret %u, flags 0x%x, value 0x%llx", got->ret, got->flags, got->value);
}

static int answer(struct guest *guest, u32 err)
{
	/* Only the answer is read back, and what has to stay 0. */
	memset(guest->vcpus[0]->run->padding, 0xa5, sizeof(guest->vcpus[0]->run->padding));
	guest->vcpus[0]->run->coco_migration_control.flags = 0;
	guest->vcpus[0]->run->coco_migration_control.ret = err;
	return run(guest->vcpus[0]);
}

static void test_exit(bool emulated)
{
	struct guest guest = create_guest(KVM_COCO_EXIT_MIGRATION_CONTROL, true);
	struct kvm_regs regs;
	int err, ret;

	guest.access->emulated = emulated;
	about("host");
	vcpu_set_msr(guest.vcpus[1], MSR_KVM_MIGRATION_CONTROL, KVM_MIGRATION_READY);
	expect_msr(&guest, KVM_MIGRATION_READY);
	vcpu_set_msr(guest.vcpus[1], MSR_KVM_MIGRATION_CONTROL, 0);

	about("exit");
	expect_msr(&guest, 0);
	if (expect_exit(&guest, start_access(&guest, 0, true, KVM_MIGRATION_READY),
			KVM_MIGRATION_READY)) {
		expect_msr(&guest, 0);
		expect_end(&guest, answer(&guest, 0), 0);
		expect_msr(&guest, KVM_MIGRATION_READY);
	}
	if (expect_exit(&guest, start_access(&guest, 0, true, 0), 0)) {
		expect_end(&guest, answer(&guest, EINVAL), GP_VECTOR);
		expect_msr(&guest, KVM_MIGRATION_READY);
	}
	about("no answer");
	if (expect_exit(&guest, start_access(&guest, 0, true, 0), 0))
		expect_end(&guest, run(guest.vcpus[0]), GP_VECTOR);
	expect_msr(&guest, KVM_MIGRATION_READY);

	about("RIP changed");
	if (expect_exit(&guest, start_access(&guest, 0, true, 0), 0)) {
		vcpu_regs_get(guest.vcpus[0], &regs);
		regs.rip += WRMSR_SIZE;
		vcpu_regs_set(guest.vcpus[0], &regs);
		expect_end(&guest, answer(&guest, 0), 0);
		expect_msr(&guest, KVM_MIGRATION_READY);
	}

	/* Who resets a vCPU has nothing to answer, so no answer is wrong. */
	about("RIP changed, and a wrong answer");
	if (expect_exit(&guest, start_access(&guest, 0, true, 0), 0)) {
		vcpu_regs_get(guest.vcpus[0], &regs);
		regs.rip += WRMSR_SIZE;
		vcpu_regs_set(guest.vcpus[0], &regs);
		expect_end(&guest, answer(&guest, EPERM), 0);
		expect_msr(&guest, KVM_MIGRATION_READY);
	}

	about("immediate_exit");
	if (expect_exit(&guest, start_access(&guest, 0, true, 0), 0)) {
		guest.vcpus[0]->run->coco_migration_control.ret = 0;
		ret = run_immediately(guest.vcpus[0]);
		expect(ret == -EINTR, "not interrupted, but %d", ret);
		expect_msr(&guest, 0);
		expect_end(&guest, run(guest.vcpus[0]), 0);
	}

	for (err = 1; err < 200; err++) {
		if (err == EINVAL || err == EOPNOTSUPP)
			continue;
		about("errno %d", err);
		if (!expect_exit(&guest, start_access(&guest, 0, true, KVM_MIGRATION_READY),
				 KVM_MIGRATION_READY))
			continue;
		ret = answer(&guest, err);
		expect(ret == -EINVAL, "not refused, but %d", ret);
		expect_msr(&guest, 0);
		expect_exit(&guest, guest.vcpus[0]->run->exit_reason, KVM_MIGRATION_READY);
		expect_end(&guest, answer(&guest, EOPNOTSUPP), GP_VECTOR);
	}

	for (err = 0; err < 32; err++) {
		about("bit %d of flags", err);
		if (!expect_exit(&guest, start_access(&guest, 0, true, KVM_MIGRATION_READY),
				 KVM_MIGRATION_READY))
			continue;
		guest.vcpus[0]->run->coco_migration_control.flags = 1u << err;
		guest.vcpus[0]->run->coco_migration_control.ret = 0;
		ret = run(guest.vcpus[0]);
		expect(ret == -EINVAL, "not refused, but %d", ret);
		expect_exit(&guest, guest.vcpus[0]->run->exit_reason, KVM_MIGRATION_READY);
		expect_end(&guest, answer(&guest, EOPNOTSUPP), GP_VECTOR);
	}

	about("reserved bits");
	expect_write(&guest, 0, 2, GP_VECTOR);
	expect_write(&guest, 0, -1ull, GP_VECTOR);
	about("read");
	expect_read(&guest, 0, 0, 0);

	about("VM destroyed");
	expect_exit(&guest, start_access(&guest, 0, true, 0), 0);
	kvm_vm_free(guest.vm);
}

static void test_exit_wrmsr(void)
{
	test_exit(false);
}

static int set_fep(const char *value)
{
	FILE *file = fopen(FEP_PATH, "w");

	return file && fputs(value, file) >= 0 && !fclose(file) ? 0 : -1;
}

static void test_exit_emulated(void)
{
	about(FEP_PATH);
	if (!expect(!set_fep("1"), "cannot be set"))
		return;
	test_exit(true);
	expect(!set_fep("0"), "cannot be cleared");
}

static void expect_msr_exit(struct guest *guest, bool write, u64 reason)
{
	struct kvm_run *kvm_run = guest->vcpus[0]->run;
	int wanted = write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR;
	int ret = start_access(guest, 0, write, KVM_MIGRATION_READY);

	if (expect(ret == wanted, "no exit, but %d", ret))
		expect(kvm_run->msr.index == MSR_KVM_MIGRATION_CONTROL &&
		       kvm_run->msr.reason == reason, "MSR 0x%x, reason %u",
		       kvm_run->msr.index, kvm_run->msr.reason);
	kvm_run->msr.error = 0;
	expect_end(guest, run(guest->vcpus[0]), 0);
}

/* What a VMM of today does: its filter counts, whatever else is enabled. */
static void test_filter(void)
{
	u8 denied = 0;
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges[0] = {
			.flags = KVM_MSR_FILTER_WRITE,
			.base = MSR_KVM_MIGRATION_CONTROL,
			.nmsrs = 1,
			.bitmap = &denied,
		},
	};
	u64 exits;

	for (exits = 0; exits <= KVM_COCO_EXIT_MIGRATION_CONTROL;
	     exits += KVM_COCO_EXIT_MIGRATION_CONTROL) {
		struct guest guest = create_guest(exits, true);

		about("filter, exits 0x%llx", (unsigned long long)exits);
		vm_enable_cap(guest.vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER);
		vm_ioctl(guest.vm, KVM_X86_SET_MSR_FILTER, &filter);
		expect_msr_exit(&guest, true, KVM_MSR_EXIT_REASON_FILTER);
		kvm_vm_free(guest.vm);
	}
}

/* Another VMM of today gets all that KVM does not know. */
static void test_unknown(void)
{
	struct guest guest = create_guest(0, true);

	about("unknown MSRs");
	vm_enable_cap(guest.vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN);
	expect_msr_exit(&guest, true, KVM_MSR_EXIT_REASON_UNKNOWN);
	expect_msr_exit(&guest, false, KVM_MSR_EXIT_REASON_UNKNOWN);
	kvm_vm_free(guest.vm);

	guest = create_guest(KVM_COCO_EXIT_MIGRATION_CONTROL, true);
	about("unknown MSRs, own exit");
	vm_enable_cap(guest.vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN);
	expect_exit(&guest, start_access(&guest, 0, true, KVM_MIGRATION_READY),
		    KVM_MIGRATION_READY);
	kvm_vm_free(guest.vm);
}

static void test_migration(void)
{
	struct guest from = create_guest(KVM_COCO_EXIT_MIGRATION_CONTROL, true);
	struct guest to = create_guest(KVM_COCO_EXIT_MIGRATION_CONTROL, true);
	struct kvm_x86_state *state;
	u64 value;

	for (value = 0; value <= KVM_MIGRATION_READY; value++) {
		about("%llu to another VM", (unsigned long long)value);
		if (!expect_exit(&from, start_access(&from, 0, true, value), value))
			break;
		expect_end(&from, answer(&from, 0), 0);
		vcpu_set_msr(to.vcpus[0], MSR_KVM_MIGRATION_CONTROL, !value);
		state = vcpu_save_state(from.vcpus[0]);
		vcpu_load_state(to.vcpus[0], state);
		kvm_x86_state_cleanup(state);
		expect_msr(&to, value);
	}
	kvm_vm_free(from.vm);
	kvm_vm_free(to.vm);
}

/* It stays with the one that it was given to before the first vCPU. */
static void test_owner(void)
{
	struct guest guest = create_guest(KVM_COCO_EXIT_MIGRATION_CONTROL, true);

	about("unknown MSRs go to userspace later");
	if (expect_exit(&guest, start_access(&guest, 0, true, KVM_MIGRATION_READY),
			KVM_MIGRATION_READY))
		expect_end(&guest, answer(&guest, 0), 0);
	vm_enable_cap(guest.vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN);
	if (expect_exit(&guest, start_access(&guest, 0, true, 0), 0))
		expect_end(&guest, answer(&guest, 0), 0);
	expect_msr(&guest, 0);
	kvm_vm_free(guest.vm);
}

static const struct {
	const char *name;
	void (*run)(void);
	bool needs_sev;
} tests[] = {
	{ "KVM_CHECK_EXTENSION", test_check_extension },
	{ "initial value", test_initial_value },
	{ "encrypted memory", test_encrypted, .needs_sev = true },
	{ "host", test_host },
	{ "not enabled", test_not_enabled },
	{ "no CPUID bit", test_no_feature },
	{ "exit", test_exit_wrmsr },
	{ "exit, WRMSR emulated", test_exit_emulated },
	{ "filter", test_filter },
	{ "unknown MSRs", test_unknown },
	{ "to another VM", test_migration },
	{ "one owner", test_owner },
};

int main(void)
{
	bool has_sev = kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SEV_VM);
	int i;

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_COCO_EXITS) & KVM_COCO_EXIT_MIGRATION_CONTROL);
	alarm(MAX_SECONDS);
	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(tests));
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (tests[i].needs_sev && !has_sev) {
			ksft_test_result_skip("%s: KVM has no SEV VMs\n", tests[i].name);
			continue;
		}
		nr_checks = 0;
		nr_failed = 0;
		tests[i].run();
		ksft_test_result(nr_checks && !nr_failed, "%s\n", tests[i].name);
	}
	ksft_finished();
}
