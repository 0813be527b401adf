// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of migration control: which guests report, what the firmware's
 * variable is taken for, and when the MSR is written.
 */
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/module.h>

#include "kvm_migration.h"

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

static const struct variable consent = {
	.attributes = NV | BS | RT, .size = 1, .value = 1, .allows = true,
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

	KUNIT_EXPECT_EQ(test, !kvm_firmware_refuses_migration(get_variable), var->allows);
}

KUNIT_ARRAY_PARAM_DESC(variable, variables, desc);

static void started_how_test(struct kunit *test)
{
	test->param_value = &consent;
	KUNIT_EXPECT_NULL(test, kvm_migration_refused(true, false, get_variable));
	KUNIT_EXPECT_NULL(test, kvm_migration_refused(true, true, get_variable));
	KUNIT_EXPECT_NOT_NULL(test, kvm_migration_refused(true, false, NULL));
	KUNIT_EXPECT_NOT_NULL(test, kvm_migration_refused(true, true, NULL));
	KUNIT_EXPECT_NULL(test, kvm_migration_refused(false, false, NULL));
	KUNIT_EXPECT_NOT_NULL(test, kvm_migration_refused(false, true, NULL));
}

static void this_firmware_test(struct kunit *test)
{
	if (firmware_allows < 0)
		kunit_skip(test, "not asked for");
	if (!efi_rt_services_supported(EFI_RT_SUPPORTED_GET_VARIABLE))
		kunit_skip(test, "no EFI firmware that can be asked");
	KUNIT_EXPECT_EQ(test, !kvm_firmware_refuses_migration(efi.get_variable),
			firmware_allows);
}

/* The host, as the tests play it. */
struct host {
	struct kvm_migration m;
	bool refuses;
	int nr_writes;
	u64 value;
};

static bool write_migration_control(u64 value)
{
	struct kunit *test = kunit_get_current_test();
	struct host *host = test->priv;

	if (IS_ENABLED(CONFIG_SMP))
		KUNIT_EXPECT_TRUE_MSG(test, raw_spin_is_locked(&host->m.lock),
				      "a report may fail before the outcome is recorded");
	host->nr_writes++;
	host->value = value;
	return !host->refuses;
}

static struct kvm_migration *use_host(struct kunit *test, struct host *host)
{
	test->priv = host;
	raw_spin_lock_init(&host->m.lock);
	host->m.all_reported = true;
	host->m.write = write_migration_control;
	return &host->m;
}

static void allowed_test(struct kunit *test)
{
	struct host host = {};
	struct kvm_migration *m = use_host(test, &host);

	kvm_migration_allow(m);
	KUNIT_EXPECT_TRUE(test, m->ready);
	KUNIT_EXPECT_EQ(test, host.nr_writes, 1);
	KUNIT_EXPECT_EQ(test, host.value, KVM_MIGRATION_READY);
}

static void refused_test(struct kunit *test)
{
	struct host host = { .refuses = true };
	struct kvm_migration *m = use_host(test, &host);

	kvm_migration_allow(m);
	KUNIT_EXPECT_FALSE(test, m->ready);
	KUNIT_EXPECT_EQ(test, host.nr_writes, 1);
}

/* Whoever has set it, and nothing allows it again. */
static void forbidden_test(struct kunit *test)
{
	struct host host = { .value = KVM_MIGRATION_READY };
	struct kvm_migration *m = use_host(test, &host);

	kvm_migration_forbid(m);
	KUNIT_EXPECT_EQ(test, host.nr_writes, 1);
	KUNIT_EXPECT_EQ(test, host.value, 0);

	kvm_migration_allow(m);
	KUNIT_EXPECT_FALSE(test, m->ready);
	KUNIT_EXPECT_EQ(test, host.nr_writes, 1);
}

/* While the guest's kernel waits for the firmware, another CPU's report fails. */
static efi_status_t get_variable_slowly(efi_char16_t *name, efi_guid_t *vendor, u32 *attributes,
					unsigned long *size, void *data)
{
	struct kunit *test = kunit_get_current_test();
	struct host *host = test->priv;

	kvm_migration_forbid(&host->m);
	*size = consent.size;
	*attributes = consent.attributes;
	*(u8 *)data = consent.value;
	return EFI_SUCCESS;
}

static void report_fails_late_test(struct kunit *test)
{
	struct host host = {};
	struct kvm_migration *m = use_host(test, &host);

	KUNIT_EXPECT_NULL(test, kvm_firmware_refuses_migration(get_variable_slowly));
	kvm_migration_allow(m);
	KUNIT_EXPECT_FALSE(test, m->ready);
	KUNIT_EXPECT_EQ(test, host.nr_writes, 1);
	KUNIT_EXPECT_EQ(test, host.value, 0);
}

struct guest {
	const char *desc;
	bool sev;
	bool snp;
	u32 features;
	bool reports;
};

#define BOTH	(BIT(KVM_FEATURE_HC_MAP_GPA_RANGE) | BIT(KVM_FEATURE_MIGRATION_CONTROL))

static const struct guest guests[] = {
	{ "SEV", .sev = true, .features = BOTH, .reports = true },
	{ "SEV, other features", .sev = true, .features = ~0u, .reports = true },
	{ "SNP", .sev = true, .snp = true, .features = BOTH },
	{ "neither, e.g. TDX", .features = BOTH },
	{ "nothing offered", .sev = true },
	{ "no hypercall", .sev = true, .features = (u32)~BIT(KVM_FEATURE_HC_MAP_GPA_RANGE) },
	{ "no migration control", .sev = true,
	  .features = (u32)~BIT(KVM_FEATURE_MIGRATION_CONTROL) },
};

static void reports_test(struct kunit *test)
{
	const struct guest *guest = test->param_value;

	KUNIT_EXPECT_EQ(test, kvm_guest_reports(guest->sev, guest->snp, guest->features),
			guest->reports);
}

KUNIT_ARRAY_PARAM_DESC(guest, guests, desc);

static struct kunit_case kvm_migration_test_cases[] = {
	KUNIT_CASE_PARAM(reports_test, guest_gen_params),
	KUNIT_CASE_PARAM(firmware_test, variable_gen_params),
	KUNIT_CASE(started_how_test),
	KUNIT_CASE(this_firmware_test),
	KUNIT_CASE(allowed_test),
	KUNIT_CASE(refused_test),
	KUNIT_CASE(forbidden_test),
	KUNIT_CASE(report_fails_late_test),
	{}
};

static struct kunit_suite kvm_migration_test_suite = {
	.name = "kvm_migration",
	.test_cases = kvm_migration_test_cases,
};

kunit_test_suite(kvm_migration_test_suite);

MODULE_DESCRIPTION("KUnit tests of migration control of a KVM guest");
MODULE_LICENSE("GPL");
