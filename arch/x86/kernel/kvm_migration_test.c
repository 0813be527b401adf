// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of migration control: what the firmware's variable is taken for,
 * and when the MSR is written.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/kvm_para.h>
#include <linux/module.h>

#include <asm/cpuid/api.h>

#include "kvm_migration_test.h"

static bool declare_ready;
module_param(declare_ready, bool, 0);
MODULE_PARM_DESC(declare_ready, "Allow the migration of this very guest, and leave it so");

static int firmware_allows = -1;
module_param(firmware_allows, int, 0);
MODULE_PARM_DESC(firmware_allows, "What this machine's own firmware must say: 0 or 1");

#define BS	EFI_VARIABLE_BOOTSERVICE_ACCESS
#define RT	EFI_VARIABLE_RUNTIME_ACCESS
#define NV	EFI_VARIABLE_NON_VOLATILE

struct variable {
	const char *desc;
	bool absent;
	efi_status_t status;
	u32 attributes;
	unsigned long size;
	u8 value;
	bool allows;
};

static const struct variable variables[] = {
	{ "what OVMF stores", .attributes = NV | BS | RT, .size = 1, .value = 1, .allows = true },
	{ "volatile", .attributes = BS | RT, .size = 1, .value = 1, .allows = true },
	{ "absent", .absent = true },
	{ "0", .attributes = NV | BS | RT, .size = 1, .value = 0 },
	{ "2", .attributes = NV | BS | RT, .size = 1, .value = 2 },
	{ "255", .attributes = NV | BS | RT, .size = 1, .value = 255 },
	{ "no byte", .attributes = NV | BS | RT, .size = 0, .value = 1 },
	{ "2 bytes", .attributes = NV | BS | RT, .size = 2, .value = 1 },
	{ "4 bytes", .attributes = NV | BS | RT, .size = 4, .value = 1 },
	{ "no attributes", .size = 1, .value = 1 },
	{ "not for boot", .attributes = NV | RT, .size = 1, .value = 1 },
	{ "not for run time", .attributes = NV | BS, .size = 1, .value = 1 },
	{ "a hardware error", .size = 1, .value = 1,
	  .attributes = NV | BS | RT | EFI_VARIABLE_HARDWARE_ERROR_RECORD },
	{ "authenticated", .size = 1, .value = 1,
	  .attributes = NV | BS | RT | EFI_VARIABLE_AUTHENTICATED_WRITE_ACCESS },
	{ "authenticated by time", .size = 1, .value = 1,
	  .attributes = NV | BS | RT | EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS },
	{ "unknown attribute", .attributes = NV | BS | RT | BIT(31), .size = 1, .value = 1 },
	{ "device error", .status = EFI_DEVICE_ERROR,
	  .attributes = NV | BS | RT, .size = 1, .value = 1 },
	{ "unsupported", .status = EFI_UNSUPPORTED,
	  .attributes = NV | BS | RT, .size = 1, .value = 1 },
	{ "aborted", .status = EFI_ABORTED,
	  .attributes = NV | BS | RT, .size = 1, .value = 1 },
};

/* As the UEFI specification has it, but there is a value in any case. */
static efi_status_t get_variable(efi_char16_t *name, efi_guid_t *vendor, u32 *attributes,
				 unsigned long *size, void *data)
{
	struct kunit *test = kunit_get_current_test();
	const struct variable *var = test->param_value;
	efi_guid_t guid = AMD_SEV_MEM_ENCRYPT_GUID;
	unsigned long room = *size;

	KUNIT_EXPECT_MEMEQ(test, name, L"SevLiveMigrationEnabled",
			   sizeof(L"SevLiveMigrationEnabled"));
	KUNIT_EXPECT_MEMEQ(test, vendor, &guid, sizeof(guid));

	if (var->absent)
		return EFI_NOT_FOUND;

	*size = var->size;
	*attributes = var->attributes;
	memset(data, var->value, room);
	return var->size > room ? EFI_BUFFER_TOO_SMALL : var->status;
}

static void firmware_test(struct kunit *test)
{
	const struct variable *var = test->param_value;

	KUNIT_EXPECT_EQ(test, kvm_firmware_allows_migration(get_variable), var->allows);
}

KUNIT_ARRAY_PARAM_DESC(variable, variables, desc);

static void this_firmware_test(struct kunit *test)
{
	if (firmware_allows < 0)
		kunit_skip(test, "not asked for");
	if (!efi_enabled(EFI_RUNTIME_SERVICES))
		kunit_skip(test, "no EFI firmware that can be asked");
	KUNIT_EXPECT_EQ(test, kvm_firmware_allows_migration(efi.get_variable), firmware_allows);
}

/* The host, as the tests play it. */
struct host {
	bool refuses;
	int nr_writes;
	u64 value;
	bool was_ready;
};

static bool write_migration_control(u64 value)
{
	struct host *host = kunit_get_current_test()->priv;

	host->nr_writes++;
	host->value = value;
	return !host->refuses;
}

static void use_host(struct kunit *test, struct host *host)
{
	test->priv = host;
	host->was_ready = kvm_migration_ready;
	kunit_activate_static_stub(test, kvm_write_migration_control, write_migration_control);
}

static void leave_host(struct kunit *test)
{
	struct host *host = test->priv;

	kunit_deactivate_static_stub(test, kvm_write_migration_control);
	kvm_migration_ready = host->was_ready;
}

static void allowed_and_restored_test(struct kunit *test)
{
	struct host host = {};

	use_host(test, &host);
	kvm_allow_migration();
	KUNIT_EXPECT_TRUE(test, kvm_migration_ready);
	KUNIT_EXPECT_EQ(test, host.nr_writes, 1);
	KUNIT_EXPECT_EQ(test, host.value, KVM_MIGRATION_READY);

	host.value = 0;
	kvm_restore_migration_control();
	KUNIT_EXPECT_TRUE(test, kvm_migration_ready);
	KUNIT_EXPECT_EQ(test, host.nr_writes, 2);
	KUNIT_EXPECT_EQ(test, host.value, KVM_MIGRATION_READY);
	leave_host(test);
}

/* A host that refuses is not asked again. */
static void refused_test(struct kunit *test)
{
	struct host host = { .refuses = true };

	use_host(test, &host);
	kvm_allow_migration();
	KUNIT_EXPECT_FALSE(test, kvm_migration_ready);
	KUNIT_EXPECT_EQ(test, host.nr_writes, 1);

	kvm_restore_migration_control();
	KUNIT_EXPECT_EQ(test, host.nr_writes, 1);
	leave_host(test);
}

/* kvm_arch_para_features() is not exported. */
static bool is_offered(void)
{
	u32 base = cpuid_base_hypervisor(KVM_SIGNATURE, 0);

	return cpuid_eax(base | KVM_CPUID_FEATURES) & BIT(KVM_FEATURE_MIGRATION_CONTROL);
}

/* Cleared even if it was not this kernel that set it, and not restored. */
static void forbidden_test(struct kunit *test)
{
	struct host host = { .value = KVM_MIGRATION_READY };
	int expected;

	if (!kvm_para_available())
		kunit_skip(test, "not a KVM guest");

	expected = is_offered();
	use_host(test, &host);
	kvm_migration_ready = false;
	kvm_forbid_migration();
	KUNIT_EXPECT_EQ(test, host.nr_writes, expected);
	KUNIT_EXPECT_EQ(test, host.value, expected ? 0 : KVM_MIGRATION_READY);

	kvm_migration_ready = true;
	kvm_forbid_migration();
	KUNIT_EXPECT_FALSE(test, kvm_migration_ready);
	KUNIT_EXPECT_EQ(test, host.nr_writes, 2 * expected);

	kvm_restore_migration_control();
	KUNIT_EXPECT_EQ(test, host.nr_writes, 2 * expected);
	leave_host(test);
}

/* For a test that watches from outside what a guest does which is ready. */
static void declare_ready_test(struct kunit *test)
{
	if (!declare_ready)
		kunit_skip(test, "not asked for");
	kvm_allow_migration();
	KUNIT_EXPECT_TRUE(test, kvm_migration_ready);
}

static struct kunit_case kvm_migration_test_cases[] = {
	KUNIT_CASE_PARAM(firmware_test, variable_gen_params),
	KUNIT_CASE(this_firmware_test),
	KUNIT_CASE(allowed_and_restored_test),
	KUNIT_CASE(refused_test),
	KUNIT_CASE(forbidden_test),
	KUNIT_CASE(declare_ready_test),
	{}
};

static struct kunit_suite kvm_migration_test_suite = {
	.name = "kvm_migration",
	.test_cases = kvm_migration_test_cases,
};

kunit_test_suite(kvm_migration_test_suite);

MODULE_DESCRIPTION("KUnit tests of migration control of a KVM guest");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_LICENSE("GPL");
