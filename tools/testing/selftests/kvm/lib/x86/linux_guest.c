// SPDX-License-Identifier: GPL-2.0-only
/*
 * Boot a real Linux kernel as the guest of a selftest, see linux_guest.h.
 */
#include <asm/bootparam.h>
#include <libgen.h>
#include <limits.h>
#include <linux/bitmap.h>
#include <linux/serial_reg.h>
#include <linux/sizes.h>
#include <signal.h>
#include <sys/stat.h>

#include "kvm_util.h"
#include "linux_guest.h"
#include "linux_guest_acpi.h"
#include "linux_guest_ioapic.h"
#include "linux_guest_sev_es.h"
#include "linux_guest_shared.h"
#include "linux_guest_snp.h"
#include "linux_guest_tdx.h"
#include "linux_guest_virtio.h"
#include "processor.h"
#include "sev.h"
#include "tdx.h"

/*
 * No PCI, as there is none, nor ACPI for most guests.  Without console= Linux would pick
 * ttyS0 and print every line twice, as the early console is kept.  KTAP needs
 * lines without a time.  io_delay=0x80 would be one more exit per delay.
 */
#define BASE_CMDLINE	"earlycon=uart8250,io,0x3f8 keep_bootcon console=null "	\
			"loglevel=7 printk.time=0 printk.devkmsg=on "		\
			"pci=off nokaslr io_delay=none "			\
			"reboot=k panic=-1 oops=panic "

/* Below 640 KiB, in memory that Linux does not use before it is done with it. */
#define GDT_GPA			0x6000
#define BOOT_PARAMS_GPA		0x7000
#define PAGE_TABLES_GPA		0x9000
#define CMDLINE_GPA		0x20000
#define SEV_ES_GPA		0x9c000
#define MP_TABLE_GPA		0x9fc00
#define LOW_MEM_END		0xa0000
#define ACPI_GPA		0xe0000
#define ACPI_END		(ACPI_GPA + PAGE_SIZE)
#define BIOS_GPA		0xf0000
#define HIGH_MEM_GPA		0x100000

/* Everything is in one piece, below what PCs use for devices. */
#define MAX_MEM_SIZE		(3ul * SZ_1G)
#define NR_PAGE_DIRECTORIES	4

#define PTES_PER_TABLE		512
#define TABLE_FLAGS		(BIT(0) | BIT(1))		/* present, writable */
#define HUGE_PAGE_FLAGS		(TABLE_FLAGS | BIT(7))

/* Three pages of KVM's own and one more, where nothing else is (VMX only). */
#define IDENTITY_MAP_GPA	0xfffbc000ul
#define TSS_GPA			0xfffbd000ul

/* Where there is memory for a while, see linux_guest_stress_host(). */
#define SPARE_GPA		(4ul * SZ_1G)

#define SEV_LEAF		0x8000001f

#define BZIMAGE_MAGIC		0x53726448	/* "HdrS" */
#define SETUP_HEADER_OFFSET	0x1f1
#define ENTRY_64_OFFSET		0x200
#define LOADER_TYPE_UNDEFINED	0xff
#define BOOT_CS			0x10
#define BOOT_DS			0x18
#define E820_RAM		1
#define E820_RESERVED		2
#define E820_ACPI		3
#define E820_NVS		4

#define UART_PORT		0x3f8
#define I8042_COMMAND		0x64
#define I8042_PULSE_RESET	0xfe
#define RESET_CONTROL		0xcf9
#define RESET_CPU		BIT(2)

#define NR_ISA_IRQS		16

/* Interrupts KVM_RUN; that the handler runs is all that it is for. */
#define SIGKICK			SIGUSR1

/*
 * Features that are hidden from the guest, always: XSAVE and all that needs it.
 * QEMU's TCG (7.2) mixes up the XSAVE state of nested guests, and a Linux guest
 * that uses XSAVE dies in prepare_creds().  Linux does not need it.
 *
 * And SEV, which KVM lists for all guests if the host has it: Linux then reads
 * MSR_AMD64_SEV, before it can handle the #GP of a guest that is not one of SEV.
 */
static const struct {
	u32 function;
	u32 index;
	u32 hidden[4];
} hidden_features[] = {
	{ 0x1, 0, {					/* FMA, XSAVE, OSXSAVE, AVX, F16C */
		[KVM_CPUID_ECX] = BIT(12) | GENMASK(29, 26) } },
	{ 0x7, 0, {					/* AVX2, MPX, AVX512* */
		[KVM_CPUID_EBX] = BIT(5) | BIT(14) | BIT(16) | BIT(17) | BIT(21) |
				  GENMASK(28, 26) | BIT(30) | BIT(31),
							/* AVX512*, PKU, SHSTK, VAES, VPCLMULQDQ */
		[KVM_CPUID_ECX] = BIT(1) | BIT(3) | BIT(6) | BIT(7) | GENMASK(12, 9) |
				  BIT(14),
							/* AVX512*, IBT, AMX */
		[KVM_CPUID_EDX] = GENMASK(3, 2) | BIT(8) | BIT(20) | GENMASK(25, 22) } },
	{ 0x7, 1, { ~0u, ~0u, ~0u, ~0u } },
	{ 0xd, 0, { ~0u, ~0u, ~0u, ~0u } },
	{ 0xd, 1, { ~0u, ~0u, ~0u, ~0u } },
	{ 0x1d, 0, { ~0u, ~0u, ~0u, ~0u } },
	{ 0x1e, 0, { ~0u, ~0u, ~0u, ~0u } },
	{ 0x24, 0, { ~0u, ~0u, ~0u, ~0u } },
	{ 0x80000001, 0, {				/* XOP, LWP, FMA4 */
		[KVM_CPUID_ECX] = BIT(11) | BIT(15) | BIT(16) } },
	{ SEV_LEAF, 0, { ~0u, ~0u, ~0u, ~0u } },
};

struct mp_floating_pointer {
	char signature[4];
	u32 table;
	u8 length;
	u8 revision;
	u8 checksum;
	u8 features[5];
} __packed;

struct mp_table {
	char signature[4];
	u16 length;
	u8 revision;
	u8 checksum;
	char oem[8];
	char product[12];
	u32 oem_table;
	u16 oem_size;
	u16 nr_entries;
	u32 local_apic;
	u32 reserved;
} __packed;

enum mp_entry_type {
	MP_CPU,
	MP_BUS,
	MP_IOAPIC,
	MP_IRQ,
	MP_LOCAL_IRQ,
};

struct mp_cpu {
	u8 type;
	u8 apic_id;
	u8 apic_version;
	u8 flags;
	u32 signature;
	u32 features;
	u32 reserved[2];
} __packed;

#define MP_CPU_ENABLED		BIT(0)
#define MP_CPU_BOOT		BIT(1)

struct mp_bus {
	u8 type;
	u8 id;
	char name[6];
} __packed;

struct mp_ioapic {
	u8 type;
	u8 id;
	u8 version;
	u8 flags;
	u32 gpa;
} __packed;

#define MP_IOAPIC_ENABLED	BIT(0)

struct mp_irq {
	u8 type;
	u8 irq_type;
	u16 flags;
	u8 bus;
	u8 bus_irq;
	u8 apic_id;
	u8 pin;
} __packed;

enum mp_irq_type {
	MP_IRQ_INT,
	MP_IRQ_NMI,
	MP_IRQ_SMI,
	MP_IRQ_EXTINT,
};

#define MP_ALL_APICS		0xff
#define APIC_VERSION		0x14

u8 linux_guest_checksum(const void *data, size_t size)
{
	const u8 *byte = data;
	u8 sum = 0;

	while (size--)
		sum += *byte++;
	return -sum;
}

/* Without ACPI, Linux learns of a second CPU from an MP table only. */
static void write_mp_table(struct linux_guest *guest)
{
	struct mp_floating_pointer *pointer = addr_gpa2hva(guest->vm, MP_TABLE_GPA);
	struct mp_table *table = (void *)(pointer + 1);
	struct mp_ioapic *ioapic;
	void *entry = table + 1;
	struct mp_cpu *cpu;
	struct mp_irq *irq;
	int i;

	for (i = 0; i < guest->nr_vcpus; i++, table->nr_entries++) {
		cpu = entry;
		*cpu = (struct mp_cpu) {
			.type = MP_CPU,
			.apic_id = i,
			.apic_version = APIC_VERSION,
			.flags = MP_CPU_ENABLED | (i ? 0 : MP_CPU_BOOT),
		};
		entry = cpu + 1;
	}

	*(struct mp_bus *)entry = (struct mp_bus) { MP_BUS, 0, "ISA   " };
	entry += sizeof(struct mp_bus);

	ioapic = entry;
	*ioapic = (struct mp_ioapic) {
		MP_IOAPIC, guest->nr_vcpus, 0x11, MP_IOAPIC_ENABLED,
		LINUX_GUEST_IOAPIC_GPA
	};
	entry = ioapic + 1;
	table->nr_entries += 2;

	/* KVM's own routing, which has the PIT at pin 0. */
	for (i = 0; i < NR_ISA_IRQS; i++, table->nr_entries++) {
		irq = entry;
		*irq = (struct mp_irq) { MP_IRQ, MP_IRQ_INT, 0, 0, i, ioapic->id, i };
		entry = irq + 1;
	}
	for (i = 0; i < 2; i++, table->nr_entries++) {
		irq = entry;
		*irq = (struct mp_irq) {
			MP_LOCAL_IRQ, i ? MP_IRQ_NMI : MP_IRQ_EXTINT, 0, 0, 0, MP_ALL_APICS, i
		};
		entry = irq + 1;
	}

	memcpy(table->signature, "PCMP", 4);
	memcpy(table->oem, "KVM     ", 8);
	memcpy(table->product, "SELFTEST    ", 12);
	table->revision = 4;
	table->local_apic = LINUX_GUEST_LOCAL_APIC_GPA;
	table->length = entry - (void *)table;
	table->checksum = linux_guest_checksum(table, table->length);
	TEST_ASSERT(MP_TABLE_GPA + sizeof(*pointer) + table->length <= LOW_MEM_END,
		    "The MP table of %d vCPUs is too large", guest->nr_vcpus);

	memcpy(pointer->signature, "_MP_", 4);
	pointer->table = MP_TABLE_GPA + sizeof(*pointer);
	pointer->length = sizeof(*pointer) / 16;
	pointer->revision = table->revision;
	pointer->checksum = linux_guest_checksum(pointer, sizeof(*pointer));
}

static void *read_file(const char *path, size_t *size)
{
	struct stat st;
	void *data;
	int fd;

	fd = open(path, O_RDONLY);
	TEST_ASSERT(fd >= 0 && !fstat(fd, &st), "Cannot open %s", path);
	data = malloc(st.st_size + 1);
	TEST_ASSERT(data, "No memory for the %lu bytes of %s", st.st_size, path);
	TEST_ASSERT(read(fd, data, st.st_size) == st.st_size,
		    "Cannot read %s", path);
	close(fd);

	*size = st.st_size;
	return data;
}

/* One entry of a newc archive: header, name and contents, each padded to 4. */
static void add_to_initramfs(FILE *cpio, const char *name, mode_t mode,
			     unsigned int rdev_major, unsigned int rdev_minor,
			     const void *data, size_t size)
{
	static const char zeroes[4];
	size_t name_size = strlen(name) + 1;

	fprintf(cpio, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
		0, mode, 0, 0, 1, 0, size, 0, 0, rdev_major, rdev_minor, name_size, 0);
	fwrite(name, name_size, 1, cpio);
	fwrite(zeroes, -ftell(cpio) & 3, 1, cpio);
	fwrite(data, size, 1, cpio);
	fwrite(zeroes, -ftell(cpio) & 3, 1, cpio);
}

/* For Linux it is no error that a directory is there already. */
static void add_parents(FILE *cpio, const char *path)
{
	const char *slash = path;
	char dir[256];

	while ((slash = strchr(slash, '/'))) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash++ - path), path);
		add_to_initramfs(cpio, dir, S_IFDIR | 0755, 0, 0, NULL, 0);
	}
}

static char *make_initramfs(const struct linux_guest_params *params, size_t *size)
{
	const struct linux_guest_file *file;
	size_t file_size;
	void *contents;
	char *data;
	FILE *cpio;

	cpio = open_memstream(&data, size);
	TEST_ASSERT(cpio, "No memory for an initramfs");

	add_parents(cpio, "dev/console");
	add_to_initramfs(cpio, "dev/console", S_IFCHR | 0600, 5, 1, NULL, 0);

	for (file = params->files; file < params->files + params->nr_files; file++) {
		mode_t mode = file->mode & S_IFMT ? file->mode : file->mode | S_IFREG;

		add_parents(cpio, file->path);
		if (file->host_path) {
			contents = read_file(file->host_path, &file_size);
			add_to_initramfs(cpio, file->path, mode, 0, 0, contents, file_size);
			free(contents);
		} else {
			add_to_initramfs(cpio, file->path, mode, 0, 0, file->data, file->size);
		}
	}
	add_to_initramfs(cpio, "TRAILER!!!", 0, 0, 0, NULL, 0);
	TEST_ASSERT(!fclose(cpio), "No memory for an initramfs");
	return data;
}

static void load_initramfs(struct linux_guest *guest, struct boot_params *boot,
			   const struct linux_guest_params *params, gpa_t kernel_end)
{
	size_t size;
	char *data = make_initramfs(params, &size);
	gpa_t gpa = (guest->mem_size - size) & PAGE_MASK;

	TEST_ASSERT(size < guest->mem_size && gpa >= kernel_end &&
		    gpa + size - 1 <= boot->hdr.initrd_addr_max,
		    "No room for an initramfs of %zu bytes", size);
	memcpy(addr_gpa2hva(guest->vm, gpa), data, size);
	boot->hdr.ramdisk_image = gpa;
	boot->hdr.ramdisk_size = size;
	free(data);
}

static void add_e820(struct boot_params *boot, gpa_t start, gpa_t end, u32 type)
{
	boot->e820_table[boot->e820_entries++] = (struct boot_e820_entry) {
		.addr = start,
		.size = end - start,
		.type = type,
	};
}

/* What is behind it, up to LOW_MEM_END, is the library's. */
static gpa_t low_ram_end(struct linux_guest *guest)
{
	if (is_tdx_vm(guest->vm))
		return LINUX_GUEST_TDX_GPA;
	if (is_sev_snp_vm(guest->vm))
		return LINUX_GUEST_SNP_GPA;
	return is_sev_es_vm(guest->vm) ? SEV_ES_GPA : MP_TABLE_GPA;
}

/* Returns the guest's first instruction. */
static gpa_t load_linux(struct linux_guest *guest, const struct linux_guest_params *params)
{
	struct boot_params *boot = addr_gpa2hva(guest->vm, BOOT_PARAMS_GPA);
	size_t size, header_size, setup_size;
	struct setup_header *hdr = &boot->hdr;
	gpa_t reserved = low_ram_end(guest);
	char *cmdline;
	int len, tsc_khz;
	u8 *image;

	image = read_file(params->kernel, &size);
	TEST_ASSERT(size > SETUP_HEADER_OFFSET + sizeof(*hdr),
		    "%s is too short for a bzImage", params->kernel);

	/* The jump instruction in front of the magic tells where the header ends. */
	memcpy(hdr, image + SETUP_HEADER_OFFSET, sizeof(*hdr));
	TEST_ASSERT(hdr->boot_flag == 0xaa55 && hdr->header == BZIMAGE_MAGIC,
		    "%s is no bzImage", params->kernel);
	TEST_ASSERT(hdr->version >= 0x20c && (hdr->xloadflags & XLF_KERNEL_64),
		    "%s has no 64-bit entry point", params->kernel);
	header_size = 0x202 + (hdr->jump >> 8) - SETUP_HEADER_OFFSET;
	if (header_size < sizeof(*hdr))
		memset((void *)hdr + header_size, 0, sizeof(*hdr) - header_size);

	setup_size = ((hdr->setup_sects ?: 4) + 1) * 512;
	TEST_ASSERT(size > setup_size &&
		    hdr->pref_address >= HIGH_MEM_GPA && hdr->pref_address < guest->mem_size &&
		    max_t(u64, hdr->init_size, size - setup_size) <=
		    guest->mem_size - hdr->pref_address,
		    "%s does not fit into %lu bytes of memory", params->kernel, guest->mem_size);
	memcpy(addr_gpa2hva(guest->vm, hdr->pref_address), image + setup_size,
	       size - setup_size);
	free(image);

	cmdline = addr_gpa2hva(guest->vm, CMDLINE_GPA);
	/* A guest without kvmclock would measure it, and be wrong if the host is busy. */
	tsc_khz = __vcpu_ioctl(guest->vcpus[0], KVM_GET_TSC_KHZ, NULL);
	TEST_ASSERT(tsc_khz > 0, KVM_IOCTL_ERROR(KVM_GET_TSC_KHZ, tsc_khz));
	len = snprintf(cmdline, hdr->cmdline_size + 1, BASE_CMDLINE "%stsc_early_khz=%d %s",
		       linux_guest_has_memfd(guest) ? "" : "acpi=off ", tsc_khz,
		       params->cmdline ?: "");
	TEST_ASSERT(len <= hdr->cmdline_size, "The command line is too long: %s",
		    params->cmdline);
	hdr->cmd_line_ptr = CMDLINE_GPA;
	hdr->type_of_loader = LOADER_TYPE_UNDEFINED;
	hdr->code32_start = hdr->pref_address;

	add_e820(boot, 0, reserved, E820_RAM);
	add_e820(boot, reserved, LOW_MEM_END, is_tdx_vm(guest->vm) ? E820_NVS : E820_RESERVED);
	if (linux_guest_has_memfd(guest)) {
		add_e820(boot, ACPI_GPA, ACPI_END, E820_ACPI);
		boot->acpi_rsdp_addr = ACPI_GPA;
	}
	if (is_sev_snp_vm(guest->vm))
		hdr->setup_data = LINUX_GUEST_SNP_SETUP_DATA;
	add_e820(boot, BIOS_GPA, HIGH_MEM_GPA, E820_RESERVED);
	add_e820(boot, HIGH_MEM_GPA, guest->mem_size, E820_RAM);

	load_initramfs(guest, boot, params, hdr->pref_address + hdr->init_size);
	return hdr->pref_address + ENTRY_64_OFFSET;
}

static void map_identity(struct linux_guest *guest)
{
	u64 *pml4 = addr_gpa2hva(guest->vm, PAGE_TABLES_GPA);
	u64 *pdpt = pml4 + PTES_PER_TABLE, *pd = pdpt + PTES_PER_TABLE;
	int i;

	pml4[0] = (PAGE_TABLES_GPA + PAGE_SIZE) | guest->c_bit | TABLE_FLAGS;
	for (i = 0; i < NR_PAGE_DIRECTORIES; i++)
		pdpt[i] = (PAGE_TABLES_GPA + (2 + i) * PAGE_SIZE) | guest->c_bit | TABLE_FLAGS;
	for (i = 0; i < NR_PAGE_DIRECTORIES * PTES_PER_TABLE; i++)
		pd[i] = i * PG_SIZE_2M | guest->c_bit | HUGE_PAGE_FLAGS;

	/* The first memory once more, as shared, at LINUX_GUEST_SHARED_MAP. */
	pdpt[NR_PAGE_DIRECTORIES] = (PAGE_TABLES_GPA + (2 + NR_PAGE_DIRECTORIES) * PAGE_SIZE) |
				    guest->c_bit | TABLE_FLAGS;
	pd[NR_PAGE_DIRECTORIES * PTES_PER_TABLE] = HUGE_PAGE_FLAGS;
}

/* As the 64-bit boot protocol wants it, see Documentation/arch/x86/boot.rst. */
static void set_boot_state(struct linux_guest *guest, gpa_t entry)
{
	struct kvm_segment code = {
		.selector = BOOT_CS, .limit = ~0u, .type = 0xb, .s = 1, .present = 1,
		.g = 1, .l = 1,
	};
	struct kvm_segment data = {
		.selector = BOOT_DS, .limit = ~0u, .type = 0x3, .s = 1, .present = 1,
		.g = 1, .db = 1,
	};
	struct kvm_regs regs = {
		.rip = entry,
		.rsi = BOOT_PARAMS_GPA,
		.rflags = X86_EFLAGS_FIXED,
	};
	u64 *gdt = addr_gpa2hva(guest->vm, GDT_GPA);
	struct kvm_vcpu *vcpu = guest->vcpus[0];
	struct kvm_sregs sregs;

	gdt[BOOT_CS / 8] = 0x00af9b000000ffff;
	gdt[BOOT_DS / 8] = 0x00cf93000000ffff;
	map_identity(guest);

	vcpu_sregs_get(vcpu, &sregs);
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.fs = data;
	sregs.gs = data;
	sregs.ss = data;
	sregs.gdt.base = GDT_GPA;
	sregs.gdt.limit = BOOT_DS + 7;
	sregs.idt.limit = 0;
	sregs.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_PG;
	sregs.cr3 = PAGE_TABLES_GPA | guest->c_bit;
	sregs.cr4 = X86_CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	if (is_sev_snp_vm(guest->vm))
		linux_guest_load_snp_boot(guest, &regs);
	else if (is_sev_es_vm(guest->vm))
		linux_guest_load_sev_es_boot(guest, SEV_ES_GPA, &regs);
	vcpu_sregs_set(vcpu, &sregs);
	vcpu_regs_set(vcpu, &regs);
}

/* One package of single-threaded cores, in the older leaves of both vendors. */
static void set_topology(struct kvm_cpuid_entry2 *entry, u32 apic_id, u32 nr_vcpus)
{
	u32 id_bits = fls(nr_vcpus - 1);

	switch (entry->function) {
	case 0x1:
		entry->ebx = (entry->ebx & 0xffff) | BIT(id_bits) << 16 | apic_id << 24;
		entry->edx &= ~BIT(28);
		entry->edx |= nr_vcpus > 1 ? BIT(28) : 0;
		break;
	case 0x4:
		if (entry->eax & 0x1f)
			entry->eax = (entry->eax & 0x3fff) | (BIT(id_bits) - 1) << 26;
		break;
	case 0xb:
	case 0x1f:
		entry->eax = 0;
		entry->ebx = 0;
		entry->ecx = 0;
		entry->edx = apic_id;
		break;
	case 0x80000008:
		entry->ecx = (entry->ecx & ~0xf0ffu) | id_bits << 12 | (nr_vcpus - 1);
		break;
	case 0x8000001e:
		entry->eax = apic_id;
		entry->ebx = apic_id;
		entry->ecx = 0;
		break;
	}
}

/*
 * An SEV guest also has leaf 0x8000001f.  Linux takes the bits of a physical
 * address from leaf 0x80000008 less those that are reserved for the C-bit.
 */
static struct kvm_cpuid2 *add_sev_leaf(struct linux_guest *guest,
				       const struct kvm_cpuid2 *supported)
{
	struct kvm_cpuid2 *cpuid = allocate_kvm_cpuid2(supported->nent + 1);
	struct kvm_cpuid_entry2 *entry;
	int i;

	cpuid->nent = 0;
	for (i = 0; i < supported->nent; i++) {
		entry = &cpuid->entries[cpuid->nent];
		*entry = supported->entries[i];
		if (entry->function == SEV_LEAF)
			continue;
		if (entry->function == 0x80000000)
			entry->eax = max_t(u32, entry->eax, SEV_LEAF);
		cpuid->nent++;
	}
	cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2) {
		.function = SEV_LEAF,
		.eax = BIT(X86_FEATURE_SEV.bit) |
		       (is_sev_es_vm(guest->vm) ? BIT(X86_FEATURE_SEV_ES.bit) : 0) |
		       (is_sev_snp_vm(guest->vm) ? BIT(X86_FEATURE_SEV_SNP.bit) : 0),
		.ebx = 1 << 6 | __builtin_ctzll(guest->c_bit),
	};
	return cpuid;
}

static void init_cpuid(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	const struct kvm_cpuid2 *supported = kvm_get_supported_cpuid();
	struct kvm_cpuid_entry2 *entry;
	struct kvm_cpuid2 *cpuid;
	int i;

	if (guest->c_bit) {
		cpuid = add_sev_leaf(guest, supported);
		vcpu_init_cpuid(vcpu, cpuid);
		free(cpuid);
	} else {
		vcpu_init_cpuid(vcpu, supported);
	}

	for (entry = vcpu->cpuid->entries;
	     entry < vcpu->cpuid->entries + vcpu->cpuid->nent; entry++) {
		u32 *regs[] = {
			[KVM_CPUID_EAX] = &entry->eax, [KVM_CPUID_EBX] = &entry->ebx,
			[KVM_CPUID_ECX] = &entry->ecx, [KVM_CPUID_EDX] = &entry->edx,
		};

		/* What add_sev_leaf() has made. */
		if (guest->c_bit && entry->function == SEV_LEAF)
			continue;
		set_topology(entry, vcpu->id, guest->nr_vcpus);
		for (i = 0; i < ARRAY_SIZE(hidden_features) * ARRAY_SIZE(regs); i++) {
			typeof(hidden_features[0]) *f = &hidden_features[i / ARRAY_SIZE(regs)];
			int reg = i % ARRAY_SIZE(regs);

			if (entry->function == f->function && entry->index == f->index)
				*regs[reg] &= ~f->hidden[reg];
		}
	}
	if (is_sev_snp_vm(guest->vm))
		linux_guest_limit_snp_cpuid(vcpu);
	vcpu_set_cpuid(vcpu);
}

void linux_guest_set_cpu(struct kvm_vcpu *vcpu, const char *vendor, u32 signature)
{
	static const u32 leaves[] = { 0, 0x80000000 };
	struct kvm_cpuid_entry2 *entry;
	int i;

	for (i = 0; i < ARRAY_SIZE(leaves); i++) {
		entry = vcpu_get_cpuid_entry(vcpu, leaves[i]);
		memcpy(&entry->ebx, vendor, 4);
		memcpy(&entry->edx, vendor + 4, 4);
		memcpy(&entry->ecx, vendor + 8, 4);
		vcpu_set_cpuid(vcpu);
	}
	vcpu_get_cpuid_entry(vcpu, 1)->eax = signature;
	vcpu_set_cpuid(vcpu);
}

bool linux_guest_has_memfd(struct linux_guest *guest)
{
	return is_sev_snp_vm(guest->vm) || is_tdx_vm(guest->vm);
}

/* KVM has no C-bit to ignore: give it the memory at the other address as well. */
static void set_c_bit_memslot(struct linux_guest *guest, u32 flags)
{
	struct userspace_mem_region *region = memslot2region(guest->vm, LINUX_GUEST_MEMSLOT);

	vm_set_user_memory_region(guest->vm, LINUX_GUEST_C_BIT_MEMSLOT, flags, guest->c_bit,
				  guest->mem_size, region->host_mem);
}

void linux_guest_log_dirty_pages(struct linux_guest *guest, bool enable)
{
	u32 flags = enable ? KVM_MEM_LOG_DIRTY_PAGES : 0;

	vm_mem_region_set_flags(guest->vm, LINUX_GUEST_MEMSLOT, flags);
	if (guest->has_c_bit_memslot)
		set_c_bit_memslot(guest, flags);
}

void linux_guest_get_dirty_log(struct linux_guest *guest, unsigned long *bitmap)
{
	u64 i, nr_pages = guest->mem_size / PAGE_SIZE;
	unsigned long *log;

	kvm_vm_get_dirty_log(guest->vm, LINUX_GUEST_MEMSLOT, bitmap);
	if (!guest->has_c_bit_memslot)
		return;

	log = bitmap_zalloc(nr_pages);
	TEST_ASSERT(log, "No memory for a bit per page");
	kvm_vm_get_dirty_log(guest->vm, LINUX_GUEST_C_BIT_MEMSLOT, log);
	for (i = 0; i < BITS_TO_LONGS(nr_pages); i++)
		bitmap[i] |= log[i];
	free(log);
}

void *linux_guest_stress_host(void *arg)
{
	struct linux_guest *guest = arg;
	unsigned long *dirty = bitmap_zalloc(guest->mem_size / PAGE_SIZE);
	/* It is not for guest_memfd. */
	bool log = !linux_guest_has_memfd(guest);

	TEST_ASSERT(dirty, "No memory for a bit per page");
	while (!READ_ONCE(guest->wait))
		usleep(10000);

	while (guest->nr_host_rounds < LINUX_GUEST_HOST_ROUNDS) {
		if (log)
			linux_guest_log_dirty_pages(guest, true);
		vm_userspace_mem_region_add(guest->vm, VM_MEM_SRC_ANONYMOUS, SPARE_GPA,
					    LINUX_GUEST_FREE_MEMSLOT, 16, 0);
		usleep(20000);
		if (log)
			linux_guest_get_dirty_log(guest, dirty);
		vm_mem_region_delete(guest->vm, LINUX_GUEST_FREE_MEMSLOT);
		usleep(20000);
		if (log)
			linux_guest_log_dirty_pages(guest, false);
		guest->nr_host_rounds++;
	}
	WRITE_ONCE(guest->wait, false);
	free(dirty);
	return NULL;
}

static void create_irqchip(struct kvm_vm *vm)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	u64 identity_map_gpa = IDENTITY_MAP_GPA;

	if (host_cpu_is_intel) {
		vm_ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map_gpa);
		vm_ioctl(vm, KVM_SET_TSS_ADDR, (void *)TSS_GPA);
	}
	vm_create_irqchip(vm);
	vm_ioctl(vm, KVM_CREATE_PIT2, &pit);
}

struct linux_guest *linux_guest_create_empty(const struct linux_guest_params *params)
{
	pthread_condattr_t monotonic;
	struct linux_guest *guest;
	struct kvm_vm *vm;
	int i;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_PIT2));

	guest = calloc(1, sizeof(*guest));
	TEST_ASSERT(guest, "No memory for a guest");
	guest->nr_vcpus = params->nr_vcpus ?: 1;
	guest->mem_size = params->mem_size ?: LINUX_GUEST_MEM_SIZE;
	guest->c_bit = params->c_bit;
	guest->has_c_bit_memslot = params->c_bit;
	if (params->vm_type != KVM_X86_DEFAULT_VM && params->vm_type != KVM_X86_TDX_VM)
		guest->c_bit = BIT_ULL(this_cpu_property(X86_PROPERTY_SEV_C_BIT));
	TEST_ASSERT(guest->nr_vcpus <= LINUX_GUEST_MAX_VCPUS, "%d vCPUs are too many",
		    guest->nr_vcpus);
	TEST_ASSERT(guest->mem_size <= MAX_MEM_SIZE, "%lu bytes of memory are too much",
		    guest->mem_size);
	guest->console = calloc(1, LINUX_GUEST_CONSOLE_SIZE);
	TEST_ASSERT(guest->console, "No memory for the console");
	guest->written = bitmap_zalloc(guest->mem_size / PAGE_SIZE);
	TEST_ASSERT(guest->written, "No memory for a bit per page");
	pthread_mutex_init(&guest->console_lock, NULL);
	pthread_mutex_init(&guest->end_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&guest->end_cond, &monotonic);

	/* All of the memory is the guest's: none of the library's own tables. */
	vm = vm_create_barebones_type(params->vm_type);
	guest->vm = vm;
	/*
	 * The host's rate as of now: KVM's default may be from before the host
	 * has refined it.  Without TSC scaling KVM_CREATE_VCPU then fails, in
	 * silence, to set up the guest's TSC, and timers fire much too late.
	 */
	vm_ioctl(vm, KVM_SET_TSC_KHZ, NULL);
	if (is_sev_snp_vm(vm))
		snp_vm_init(vm);
	else if (is_sev_es_vm(vm))
		sev_es_vm_init(vm);
	else if (is_sev_vm(vm))
		sev_vm_init(vm);
	if (params->coco_exits)
		vm_enable_cap(vm, KVM_CAP_COCO_EXITS, params->coco_exits);
	if (is_tdx_vm(vm)) {
		vm_tdx_init(vm, params->gpaw ?: 48,
			    params->td_sept_ve ? 0 : TD_ATTR_SEPT_VE_DISABLE);
		guest->ioapic = malloc(sizeof(*guest->ioapic));
		TEST_ASSERT(guest->ioapic, "No memory for an I/O APIC");
		linux_guest_ioapic_init(guest->ioapic, vm);
	} else {
		create_irqchip(vm);
	}
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS_THP, 0, LINUX_GUEST_MEMSLOT,
				    guest->mem_size >> vm->page_shift,
				    linux_guest_has_memfd(guest) ? KVM_MEM_GUEST_MEMFD : 0);
	if (linux_guest_has_memfd(guest))
		vm_mem_set_private(vm, 0, guest->mem_size);
	if (guest->has_c_bit_memslot)
		set_c_bit_memslot(guest, 0);

	for (i = 0; i < guest->nr_vcpus; i++) {
		guest->vcpus[i] = __vm_vcpu_add(vm, i);
		if (is_tdx_vm(vm))
			linux_guest_init_tdx_vcpu(guest->vcpus[i]);
		else
			init_cpuid(guest, guest->vcpus[i]);
	}
	return guest;
}

struct linux_guest *linux_guest_create(const struct linux_guest_params *params)
{
	struct linux_guest *guest = linux_guest_create_empty(params);
	gpa_t entry = load_linux(guest, params);

	if (linux_guest_has_memfd(guest))
		linux_guest_write_acpi(guest, ACPI_GPA);
	else
		write_mp_table(guest);
	if (is_tdx_vm(guest->vm))
		linux_guest_load_tdx_boot(guest, entry, BOOT_PARAMS_GPA);
	else
		set_boot_state(guest, entry);
	return guest;
}

/* Whoever runs the test compares it with the host's. */
static void print_clock(struct linux_guest *guest)
{
	const char *line = NULL;

	while ((line = linux_guest_next_line(guest, line))) {
		if (strstr(line, "tsc: Detected") || strcasestr(line, "calibrat"))
			ksft_print_msg("guest clock: %s\n", line);
	}
}

void linux_guest_free(struct linux_guest *guest)
{
	print_clock(guest);
	linux_guest_free_disk(guest->disk);
	free(guest->ioapic);
	linux_guest_free_shared(guest->shared);
	kvm_vm_free(guest->vm);
	pthread_cond_destroy(&guest->end_cond);
	pthread_mutex_destroy(&guest->end_lock);
	pthread_mutex_destroy(&guest->console_lock);
	free(guest->written);
	free(guest->console);
	free(guest);
}

static void port_write(struct linux_guest *guest, u16 port, u8 value)
{
	if (port >= UART_PORT && port <= UART_PORT + UART_SCR) {
		pthread_mutex_lock(&guest->console_lock);
		linux_guest_uart_write(guest, port - UART_PORT, value);
		pthread_mutex_unlock(&guest->console_lock);
	} else if (port == LINUX_GUEST_EXIT_PORT && value == LINUX_GUEST_EXIT_VALUE) {
		linux_guest_stop(guest, LINUX_GUEST_POWEROFF);
	} else if ((port == I8042_COMMAND && value == I8042_PULSE_RESET) ||
		   (port == RESET_CONTROL && (value & RESET_CPU))) {
		linux_guest_stop(guest, LINUX_GUEST_RESET);
	}
}

static u8 port_read(struct linux_guest *guest, u16 port)
{
	u8 value;

	/* Linux waits for the keyboard controller's input to be empty. */
	if (port == I8042_COMMAND)
		return 0;
	if (port == LINUX_GUEST_WAIT_PORT)
		return !READ_ONCE(guest->wait);
	if (port < UART_PORT || port > UART_PORT + UART_SCR)
		return 0xff;

	pthread_mutex_lock(&guest->console_lock);
	value = linux_guest_uart_read(guest, port - UART_PORT);
	pthread_mutex_unlock(&guest->console_lock);
	return value;
}

static void handle_io(struct linux_guest *guest, struct kvm_run *run)
{
	u8 *data = (u8 *)run + run->io.data_offset;
	u32 i, size = run->io.size, timer;

	/* Nobody may see bytes of two values. */
	if (run->io.direction == KVM_EXIT_IO_IN && run->io.port == LINUX_GUEST_PM_TIMER_PORT &&
	    size == sizeof(timer)) {
		for (i = 0; i < run->io.count; i++) {
			timer = linux_guest_pm_timer();
			memcpy(data + i * size, &timer, size);
		}
		return;
	}
	/* A string instruction comes with several values for the same port. */
	for (i = 0; i < size * run->io.count; i++) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			port_write(guest, run->io.port + i % size, data[i]);
		else
			data[i] = port_read(guest, run->io.port + i % size);
	}
}

void linux_guest_irq_line(struct linux_guest *guest, int pin, bool level)
{
	if (guest->ioapic)
		linux_guest_ioapic_set(guest->ioapic, pin, level);
	else
		kvm_irq_line(guest->vm, pin, level);
}

void linux_guest_fail(struct linux_guest *guest, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&guest->end_lock);
	if (guest->end == LINUX_GUEST_RUNNING || guest->end == LINUX_GUEST_PAUSED) {
		va_start(ap, fmt);
		vsnprintf(guest->error, sizeof(guest->error), fmt, ap);
		va_end(ap);
	}
	pthread_mutex_unlock(&guest->end_lock);
	linux_guest_stop(guest, LINUX_GUEST_ERROR);
}

static void stop_on_error(struct linux_guest *guest, struct kvm_vcpu *vcpu, int err)
{
	struct kvm_regs regs = {};

	/* An SEV-ES guest ends itself for a reason, in the GHCB MSR. */
	if (!err && vcpu->run->exit_reason == KVM_EXIT_SYSTEM_EVENT) {
		linux_guest_fail(guest, "vCPU %u: system event %u, 0x%llx", vcpu->id,
				 vcpu->run->system_event.type, vcpu->run->system_event.data[0]);
		return;
	}
	if (vcpu->run->exit_reason == KVM_EXIT_MEMORY_FAULT) {
		linux_guest_fail(guest, "vCPU %u: %s access to gpa 0x%llx", vcpu->id,
				 vcpu->run->memory_fault.flags &
				 KVM_MEMORY_EXIT_FLAG_PRIVATE ? "private" : "shared",
				 vcpu->run->memory_fault.gpa);
		return;
	}
	__vcpu_ioctl(vcpu, KVM_GET_REGS, &regs);
	linux_guest_fail(guest, "vCPU %u: errno %d, exit reason %u (%s), rip 0x%llx", vcpu->id,
			 err, vcpu->run->exit_reason, exit_reason_str(vcpu->run->exit_reason),
			 regs.rip);
}

static void handle_exit(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	WRITE_ONCE(guest->has_exited, true);
	if (guest->exit && guest->exit(guest, vcpu))
		return;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		handle_io(guest, run);
		break;
	case KVM_EXIT_MMIO:
		if (guest->disk &&
		    linux_guest_disk_mmio(guest->disk, run->mmio.phys_addr, run->mmio.data,
					  run->mmio.len, run->mmio.is_write))
			break;
		if (guest->ioapic &&
		    linux_guest_ioapic_mmio(guest->ioapic, run->mmio.phys_addr, run->mmio.data,
					    run->mmio.len, run->mmio.is_write))
			break;
		if (!run->mmio.is_write)
			memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		break;
	case KVM_EXIT_SHUTDOWN:
		linux_guest_stop(guest, LINUX_GUEST_TRIPLE_FAULT);
		break;
	default:
		stop_on_error(guest, vcpu, 0);
	}
}

/* KVM_RUN fails as well if the guest's accesses don't match the attributes of memory. */
static bool has_exited(struct kvm_vcpu *vcpu)
{
	return !__vcpu_run(vcpu) ||
	       (errno == EFAULT && vcpu->run->exit_reason == KVM_EXIT_MEMORY_FAULT);
}

/* What an exit was for, KVM does at the next KVM_RUN, and that may exit again. */
static void complete_exits(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	while (has_exited(vcpu))
		handle_exit(guest, vcpu);
	if (errno != EINTR)
		stop_on_error(guest, vcpu, errno);
}

/*
 * All vCPUs of a TD start at once, and the others would only look into their mailbox, as
 * often as they can, while the first one accepts memory and does not exit.
 */
static void wait_for_first(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	while (is_tdx_vm(guest->vm) && vcpu != guest->vcpus[0] &&
	       !READ_ONCE(guest->has_exited) && READ_ONCE(guest->end) == LINUX_GUEST_RUNNING)
		usleep(1000);
}

static void run_vcpu(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	wait_for_first(guest, vcpu);
	while (READ_ONCE(guest->end) == LINUX_GUEST_RUNNING) {
		/* EAGAIN: INIT or SIPI has changed what an AP waits for. */
		if (has_exited(vcpu))
			handle_exit(guest, vcpu);
		else if (errno != EINTR && errno != EAGAIN)
			stop_on_error(guest, vcpu, errno);
	}

	if (READ_ONCE(guest->end) == LINUX_GUEST_PAUSED)
		complete_exits(guest, vcpu);
}

struct vcpu_thread {
	struct linux_guest *guest;
	struct kvm_vcpu *vcpu;
};

static void *vcpu_thread(void *arg)
{
	struct vcpu_thread *thread = arg;

	run_vcpu(thread->guest, thread->vcpu);
	return NULL;
}

struct watchdog {
	struct linux_guest *guest;
	struct timespec deadline;
};

static void *watchdog_thread(void *arg)
{
	struct watchdog *watchdog = arg;
	struct linux_guest *guest = watchdog->guest;
	int err = 0;

	pthread_mutex_lock(&guest->end_lock);
	while (guest->end == LINUX_GUEST_RUNNING && !err)
		err = pthread_cond_timedwait(&guest->end_cond, &guest->end_lock,
					     &watchdog->deadline);
	pthread_mutex_unlock(&guest->end_lock);

	linux_guest_stop(guest, LINUX_GUEST_TIMEOUT);
	return NULL;
}

static void ignore_kick(int sig)
{
}

void linux_guest_stop(struct linux_guest *guest, enum linux_guest_end end)
{
	int i;

	pthread_mutex_lock(&guest->end_lock);
	if (guest->end == LINUX_GUEST_RUNNING) {
		WRITE_ONCE(guest->end, end);
		/* The flag is for a vCPU that the signal meets before KVM_RUN. */
		for (i = 0; i < guest->nr_threads; i++) {
			WRITE_ONCE(guest->vcpus[i]->run->immediate_exit, 1);
			pthread_kill(guest->threads[i], SIGKICK);
		}
		pthread_cond_signal(&guest->end_cond);
	} else if (guest->end == LINUX_GUEST_PAUSED && end != LINUX_GUEST_TIMEOUT) {
		WRITE_ONCE(guest->end, end);
	}
	pthread_mutex_unlock(&guest->end_lock);
}

enum linux_guest_end linux_guest_run(struct linux_guest *guest, unsigned int seconds)
{
	struct sigaction kick = { .sa_handler = ignore_kick };
	struct vcpu_thread threads[LINUX_GUEST_MAX_VCPUS];
	struct watchdog watchdog = { .guest = guest };
	enum linux_guest_end end;
	pthread_t watchdog_id;
	int i;

	TEST_ASSERT(!sigaction(SIGKICK, &kick, NULL), "sigaction() failed");
	clock_gettime(CLOCK_MONOTONIC, &watchdog.deadline);
	watchdog.deadline.tv_sec += seconds;

	/* Nobody may stop the guest before all are there to be stopped. */
	pthread_mutex_lock(&guest->end_lock);
	guest->nr_threads = guest->nr_vcpus;
	guest->threads[0] = pthread_self();
	for (i = 0; i < guest->nr_vcpus; i++) {
		guest->vcpus[i]->run->immediate_exit = 0;
		threads[i] = (struct vcpu_thread) { guest, guest->vcpus[i] };
		if (i)
			TEST_ASSERT(!pthread_create(&guest->threads[i], NULL, vcpu_thread,
						    &threads[i]), "No thread for vCPU %d", i);
	}
	TEST_ASSERT(!pthread_create(&watchdog_id, NULL, watchdog_thread, &watchdog),
		    "No thread for the watchdog");
	pthread_mutex_unlock(&guest->end_lock);

	run_vcpu(guest, guest->vcpus[0]);

	for (i = 1; i < guest->nr_vcpus; i++)
		pthread_join(guest->threads[i], NULL);
	pthread_join(watchdog_id, NULL);

	pthread_mutex_lock(&guest->end_lock);
	end = guest->end;
	guest->end = LINUX_GUEST_RUNNING;
	guest->nr_threads = 0;
	pthread_mutex_unlock(&guest->end_lock);
	return end;
}

const char *linux_guest_end_str(enum linux_guest_end end)
{
	static const char * const names[] = {
		[LINUX_GUEST_RUNNING]		= "still running",
		[LINUX_GUEST_POWEROFF]		= "power-off",
		[LINUX_GUEST_RESET]		= "reset",
		[LINUX_GUEST_TRIPLE_FAULT]	= "triple fault",
		[LINUX_GUEST_TIMEOUT]		= "timeout",
		[LINUX_GUEST_PAUSED]		= "pause",
		[LINUX_GUEST_ERROR]		= "error",
	};

	return names[end];
}

void linux_guest_filter_msr(struct linux_guest *guest, u32 msr, u32 accesses)
{
	u8 denied[sizeof(u64)] = {};
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges[0] = {
			.flags = accesses,
			.base = msr,
			.nmsrs = 1,
			.bitmap = denied,
		},
	};

	vm_enable_cap(guest->vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER);
	vm_ioctl(guest->vm, KVM_X86_SET_MSR_FILTER, &filter);
}

void linux_guest_program(char *path, size_t size, const char *name)
{
	char self[PATH_MAX] = "";

	TEST_ASSERT(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0,
		    "readlink(/proc/self/exe), errno %d", errno);
	TEST_ASSERT(snprintf(path, size, "%s/%s", dirname(self), name) < size,
		    "The path of %s is too long", name);
}

/* A compiler may have appended to the name of a static function. */
static bool is_symbol(const char *name, const char *symbol)
{
	size_t len = strlen(symbol);

	return !strncmp(name, symbol, len) && (!name[len] || name[len] == '.');
}

u64 linux_guest_symbol(const char *map, const char *symbol)
{
	FILE *file = fopen(map, "r");
	char name[256], type;
	u64 addr, found = 0;

	TEST_ASSERT(file, "Cannot open %s, errno %d", map, errno);
	while (!found && fscanf(file, "%lx %c %255s", &addr, &type, name) == 3) {
		if (is_symbol(name, symbol))
			found = addr;
	}
	fclose(file);
	return found;
}

void linux_guest_read(struct linux_guest *guest, u64 gpa, void *buf, u64 size, bool private)
{
	struct kvm_sev_dbg dbg = {
		.src_uaddr = (u64)addr_gpa2hva(guest->vm, gpa),
		.dst_uaddr = (u64)buf,
		.len = size,
	};

	if (private && is_sev_vm(guest->vm))
		vm_sev_ioctl(guest->vm, KVM_SEV_DBG_DECRYPT, &dbg);
	else
		memcpy(buf, addr_gpa2hva(guest->vm, gpa), size);
}

void *linux_guest_kernel_hva(struct linux_guest *guest, u64 addr)
{
	return addr_gpa2hva(guest->vm, addr - LINUX_GUEST_KERNEL_MAP);
}
