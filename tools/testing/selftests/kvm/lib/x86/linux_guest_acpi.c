// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ACPI tables of a Linux guest, see linux_guest_acpi.h.
 *
 * The fields are those of the ACPI specification, 5.2.
 */
#include "linux_guest_acpi.h"
#include "linux_guest_tdx.h"
#include "processor.h"
#include "tdx.h"

/* Of the tables in the page.  The FACS has to be aligned to 64 bytes. */
#define RSDP_OFFSET		0x0
#define XSDT_OFFSET		0x40
#define FADT_OFFSET		0x80
#define FACS_OFFSET		0x180
#define DSDT_OFFSET		0x1c0
#define MADT_OFFSET		0x200

/* Nobody answers at the first two: there is no event, and no state but S0. */
#define PM1_EVENT_PORT		0x600
#define PM1_EVENT_LENGTH	4
#define PM1_CONTROL_PORT	0x604
#define PM1_CONTROL_LENGTH	2
#define PM_TIMER_LENGTH		4
#define PM_TIMER_HZ		3579545
#define SCI_IRQ			9

#define FADT_WBINVD		BIT(0)
#define FADT_C1			BIT(2)
#define FADT_NO_FIXED_POWER	BIT(4)
#define FADT_NO_FIXED_SLEEP	BIT(5)
#define FADT_NO_FIXED_RTC	BIT(6)
#define FADT_32_BIT_TIMER	BIT(8)

#define BOOT_LEGACY_DEVICES	BIT(0)
#define BOOT_8042		BIT(1)
#define BOOT_NO_VGA		BIT(2)

#define MADT_PCAT_COMPAT	BIT(0)
#define MADT_ENABLED		BIT(0)

struct acpi_rsdp {
	char signature[8];
	u8 checksum;
	char oem[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 extended_checksum;
	u8 reserved[3];
} __packed;

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	char oem[6];
	char oem_table[8];
	u32 oem_revision;
	char creator[4];
	u32 creator_revision;
} __packed;

struct acpi_xsdt {
	struct acpi_header header;
	u64 tables[2];
} __packed;

/* Revision 4 */
struct acpi_fadt {
	struct acpi_header header;
	u32 facs;
	u32 dsdt;
	u8 reserved0;
	u8 pm_profile;
	u16 sci_irq;
	u8 smi[8];
	u32 pm1a_event;
	u32 pm1b_event;
	u32 pm1a_control;
	u32 pm1b_control;
	u32 pm2_control;
	u32 pm_timer;
	u32 gpe[2];
	u8 pm1_event_length;
	u8 pm1_control_length;
	u8 pm2_control_length;
	u8 pm_timer_length;
	u8 other[17];
	u16 boot_arch;
	u8 reserved1;
	u32 flags;
	u8 reset[16];
	u64 x_facs;
	u64 x_dsdt;
	u8 x_blocks[96];
} __packed;

struct acpi_facs {
	char signature[4];
	u32 length;
	u8 other[56];
} __packed;

struct acpi_madt {
	struct acpi_header header;
	u32 local_apic;
	u32 flags;
} __packed;

enum madt_entry_type {
	MADT_LOCAL_APIC,
	MADT_IOAPIC,
	MADT_WAKEUP = 16,
};

struct madt_local_apic {
	u8 type;
	u8 length;
	u8 processor;
	u8 apic_id;
	u32 flags;
} __packed;

struct madt_ioapic {
	u8 type;
	u8 length;
	u8 id;
	u8 reserved;
	u32 gpa;
	u32 first_irq;
} __packed;

/* Version 1: CPUs can be given back. */
struct madt_wakeup {
	u8 type;
	u8 length;
	u16 version;
	u32 reserved;
	u64 mailbox;
	u64 reset_vector;
} __packed;

kvm_static_assert(sizeof(struct acpi_rsdp) == 36);
kvm_static_assert(sizeof(struct acpi_header) == 36);
kvm_static_assert(sizeof(struct acpi_fadt) == 244);
kvm_static_assert(offsetof(struct acpi_fadt, x_facs) == 132);

/* It wraps around, about every 20 minutes. */
u32 linux_guest_pm_timer(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * PM_TIMER_HZ + (u64)now.tv_nsec * PM_TIMER_HZ / NSEC_PER_SEC;
}

static void finish_table(struct acpi_header *header, const char *signature, u8 revision,
			 size_t length)
{
	memcpy(header->signature, signature, 4);
	header->length = length;
	header->revision = revision;
	memcpy(header->oem, "KVM   ", 6);
	memcpy(header->oem_table, "SELFTEST", 8);
	memcpy(header->creator, "TEST", 4);
	header->checksum = linux_guest_checksum(header, length);
}

static void write_rsdp(struct acpi_rsdp *rsdp, gpa_t xsdt)
{
	memcpy(rsdp->signature, "RSD PTR ", 8);
	memcpy(rsdp->oem, "KVM   ", 6);
	rsdp->revision = 2;
	rsdp->length = sizeof(*rsdp);
	rsdp->xsdt = xsdt;
	rsdp->checksum = linux_guest_checksum(rsdp, offsetof(struct acpi_rsdp, length));
	rsdp->extended_checksum = linux_guest_checksum(rsdp, sizeof(*rsdp));
}

static void write_fadt(struct acpi_fadt *fadt, gpa_t facs, gpa_t dsdt)
{
	fadt->x_facs = facs;
	fadt->x_dsdt = dsdt;
	fadt->sci_irq = SCI_IRQ;
	fadt->pm1a_event = PM1_EVENT_PORT;
	fadt->pm1_event_length = PM1_EVENT_LENGTH;
	fadt->pm1a_control = PM1_CONTROL_PORT;
	fadt->pm1_control_length = PM1_CONTROL_LENGTH;
	fadt->pm_timer = LINUX_GUEST_PM_TIMER_PORT;
	fadt->pm_timer_length = PM_TIMER_LENGTH;
	fadt->boot_arch = BOOT_LEGACY_DEVICES | BOOT_8042 | BOOT_NO_VGA;
	fadt->flags = FADT_WBINVD | FADT_C1 | FADT_NO_FIXED_POWER | FADT_NO_FIXED_SLEEP |
		      FADT_NO_FIXED_RTC | FADT_32_BIT_TIMER;
	finish_table(&fadt->header, "FACP", 4, sizeof(*fadt));
}

static void write_madt(struct linux_guest *guest, struct acpi_madt *madt)
{
	void *entry = madt + 1;
	int i;

	madt->local_apic = LINUX_GUEST_LOCAL_APIC_GPA;
	madt->flags = MADT_PCAT_COMPAT;
	for (i = 0; i < guest->nr_vcpus; i++) {
		struct madt_local_apic *apic = entry;

		*apic = (struct madt_local_apic) {
			MADT_LOCAL_APIC, sizeof(*apic), i, i, MADT_ENABLED
		};
		entry = apic + 1;
	}
	/* Interrupt 0 is the PIT's, as KVM routes it. */
	*(struct madt_ioapic *)entry = (struct madt_ioapic) {
		MADT_IOAPIC, sizeof(struct madt_ioapic), guest->nr_vcpus, 0,
		LINUX_GUEST_IOAPIC_GPA, 0
	};
	entry += sizeof(struct madt_ioapic);
	/* Nobody can send INIT and SIPI to a TD's vCPU. */
	if (is_tdx_vm(guest->vm)) {
		*(struct madt_wakeup *)entry = (struct madt_wakeup) {
			MADT_WAKEUP, sizeof(struct madt_wakeup), 1, 0,
			LINUX_GUEST_TDX_MAILBOX, linux_guest_tdx_reset_vector()
		};
		entry += sizeof(struct madt_wakeup);
	}
	finish_table(&madt->header, "APIC", 4, entry - (void *)madt);
}

void linux_guest_write_acpi(struct linux_guest *guest, gpa_t gpa)
{
	void *page = addr_gpa2hva(guest->vm, gpa);
	struct acpi_xsdt *xsdt = page + XSDT_OFFSET;
	struct acpi_facs *facs = page + FACS_OFFSET;

	kvm_static_assert(MADT_OFFSET + sizeof(struct acpi_madt) +
			  LINUX_GUEST_MAX_VCPUS * sizeof(struct madt_local_apic) +
			  sizeof(struct madt_ioapic) + sizeof(struct madt_wakeup) <= PAGE_SIZE);

	write_rsdp(page + RSDP_OFFSET, gpa + XSDT_OFFSET);
	xsdt->tables[0] = gpa + FADT_OFFSET;
	xsdt->tables[1] = gpa + MADT_OFFSET;
	finish_table(&xsdt->header, "XSDT", 1, sizeof(*xsdt));
	write_fadt(page + FADT_OFFSET, gpa + FACS_OFFSET, gpa + DSDT_OFFSET);
	memcpy(facs->signature, "FACS", 4);
	facs->length = sizeof(*facs);
	finish_table(page + DSDT_OFFSET, "DSDT", 2, sizeof(struct acpi_header));
	write_madt(guest, page + MADT_OFFSET);
}
