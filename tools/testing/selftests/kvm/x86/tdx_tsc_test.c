// SPDX-License-Identifier: GPL-2.0-only
/*
 * The TSC of a TD: its frequency is a multiple of 25MHz, whatever userspace has asked
 * for, and KVM has to know it.
 */
#include <stdio.h>
#include <unistd.h>

#include "expect.h"
#include "kvm_util.h"
#include "processor.h"
#include "tdx.h"

#define GPAW			48
#define MAX_SECONDS		60

/* In kHz; 0 is what KVM has by default. */
static const u32 frequencies[] = { 0, 1000000, 1010000, 1024999, 1025000, 2000001 };

/* What the guest gets to see: CPUID is the TDX module's. */
static u64 guest_khz(struct kvm_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *entry = get_cpuid_entry(vcpu->cpuid, 0x15, 0);

	return (u64)entry->ecx / 1000 * entry->ebx / entry->eax;
}

/* KVM's multiplier, a number of @frac_bits binary places, or 0 if it cannot be read. */
static u64 read_debugfs(struct kvm_vcpu *vcpu, const char *name)
{
	char path[128];
	u64 value = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/vcpu%u/%s", getpid(),
		 vcpu->vm->fd, vcpu->id, name);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%lu", &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

static void test_frequency(u32 khz, u64 host_khz)
{
	struct kvm_vm *vm = vm_tdx_create_tsc(GPAW, khz);
	struct kvm_vcpu *vcpu = vm_tdx_vcpu_add(vm, 0);
	u64 guest = guest_khz(vcpu), ratio, want;
	int got = __vcpu_ioctl(vcpu, KVM_GET_TSC_KHZ, NULL);

	nr_checks = 0;
	nr_failed = 0;
	about("%u kHz asked for", khz);
	expect(guest && !(guest % 25000), "the guest has %lu kHz", (unsigned long)guest);
	expect(got == guest, "KVM_GET_TSC_KHZ of the vCPU: %d, the guest has %lu", got,
	       (unsigned long)guest);
	got = __vm_ioctl(vm, KVM_GET_TSC_KHZ, NULL);
	expect(got == guest, "KVM_GET_TSC_KHZ of the VM: %d, the guest has %lu", got,
	       (unsigned long)guest);

	ratio = read_debugfs(vcpu, "tsc-scaling-ratio");
	want = (guest << 32) / host_khz << (read_debugfs(vcpu, "tsc-scaling-ratio-frac-bits") - 32);
	/* 100 ppm, by which the host's kernel may have measured its TSC wrongly */
	if (ratio)
		expect(ratio > want - want / 10000 && ratio < want + want / 10000,
		       "KVM multiplies with 0x%lx, not 0x%lx", (unsigned long)ratio,
		       (unsigned long)want);
	else
		ksft_print_msg("debugfs is not mounted\n");

	ksft_test_result(!nr_failed, "%u kHz asked for, %lu kHz\n", khz, (unsigned long)guest);
	kvm_vm_free(vm);
}

int main(void)
{
	struct kvm_vm *vm;
	u64 host_khz;
	int i;

	__TEST_REQUIRE(is_tdx_enabled(), "KVM has no TDX VMs");
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_TSC_CONTROL));
	alarm(MAX_SECONDS);

	vm = vm_create_barebones();
	host_khz = __vm_ioctl(vm, KVM_GET_TSC_KHZ, NULL);
	kvm_vm_free(vm);

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(frequencies));
	for (i = 0; i < ARRAY_SIZE(frequencies); i++)
		test_frequency(frequencies[i], host_khz);
	ksft_finished();
}
