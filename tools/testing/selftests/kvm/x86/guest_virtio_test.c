// SPDX-License-Identifier: GPL-2.0-only
/*
 * The disk that the tests' Linux guests have, see linux_guest_virtio.h, and
 * what those guests do with it.
 *
 * First the test takes the place of the guest's driver, and of drivers that
 * break the rules: the device must refuse each of these for the right reason.
 * Then Linux writes and reads the disk through bounce buffers, under memory
 * pressure and while mem_encrypt_stress runs, and is given another disk halfway,
 * which goes on from what the first has saved.  In the end, mem_encrypt_stress
 * has to notice damage.
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "expect.h"
#include "kvm_util.h"
#include "linux_guest.h"
#include "linux_guest_options.h"
#include "linux_guest_virtio.h"
#include "processor.h"
#include "test_util.h"

#define NR_VCPUS	2
#define DISK_SIZE	SZ_1M
#define SECTOR_SIZE	512

/* What guest_init says about a disk of this size. */
#define DISK_OK		"guest_init: disk: 16 blocks ok"

#define STEPS		"disk pressure wait disk wait unload"

static struct linux_guest_options options = {
	.max_modules = 1,
	.module_help = "mem_encrypt_stress.ko; without it, no guest is started",
	.default_modules = { "arch/x86/mm/mem_encrypt_stress.ko" },
	.seconds = 110,
};

/* The texts alone would not tell one check of a test from another. */
#define check(condition, fmt, ...)						\
	expect(condition, "line %d: " fmt, __LINE__, ##__VA_ARGS__)

/* The memory of the guest that the test plays, and where it has put what. */
#define MEM_SIZE	SZ_256K
#define QUEUE_NUM	16
#define DESC_GPA	0x1000
#define AVAIL_GPA	0x2000
#define USED_GPA	0x3000
#define HEADER_GPA	0x4000
#define STATUS_GPA	0x4800
#define DATA_GPA	0x5000

#define FEATURES	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_ACCESS_PLATFORM))
#define DRIVER		(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define DRIVER_OK	(DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)

static struct linux_guest *guest;
static struct linux_guest_disk *disk;
static struct vring_desc *descs;
static struct vring_avail *avail;
static struct vring_used *used;
static struct virtio_blk_outhdr *header;
static u8 *status;
static u8 *data;

static void create_bare_guest(void)
{
	guest = calloc(1, sizeof(*guest));
	TEST_ASSERT(guest, "No memory for a guest");
	pthread_mutex_init(&guest->console_lock, NULL);
	pthread_mutex_init(&guest->end_lock, NULL);
	pthread_cond_init(&guest->end_cond, NULL);
	guest->mem_size = MEM_SIZE;
	guest->vm = vm_create_barebones();
	vm_create_irqchip(guest->vm);
	vm_userspace_mem_region_add(guest->vm, VM_MEM_SRC_ANONYMOUS, 0, LINUX_GUEST_MEMSLOT,
				    MEM_SIZE >> guest->vm->page_shift, 0);
	disk = linux_guest_add_disk(guest, DISK_SIZE);

	descs = addr_gpa2hva(guest->vm, DESC_GPA);
	avail = addr_gpa2hva(guest->vm, AVAIL_GPA);
	used = addr_gpa2hva(guest->vm, USED_GPA);
	header = addr_gpa2hva(guest->vm, HEADER_GPA);
	status = addr_gpa2hva(guest->vm, STATUS_GPA);
	data = addr_gpa2hva(guest->vm, DATA_GPA);
}

static void write_reg(u32 reg, u32 value)
{
	linux_guest_disk_mmio(disk, LINUX_GUEST_DISK_GPA + reg, &value, sizeof(value), true);
}

static u32 read_reg(u32 reg)
{
	u32 value;

	linux_guest_disk_mmio(disk, LINUX_GUEST_DISK_GPA + reg, &value, sizeof(value), false);
	return value;
}

static void write_features(u64 features)
{
	write_reg(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	write_reg(VIRTIO_MMIO_DRIVER_FEATURES, features >> 32);
	write_reg(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	write_reg(VIRTIO_MMIO_DRIVER_FEATURES, features);
}

static void write_queue(u32 num, u64 desc, u64 avail, u64 used)
{
	write_reg(VIRTIO_MMIO_QUEUE_SEL, 0);
	write_reg(VIRTIO_MMIO_QUEUE_NUM, num);
	write_reg(VIRTIO_MMIO_QUEUE_DESC_LOW, desc);
	write_reg(VIRTIO_MMIO_QUEUE_DESC_HIGH, desc >> 32);
	write_reg(VIRTIO_MMIO_QUEUE_AVAIL_LOW, avail);
	write_reg(VIRTIO_MMIO_QUEUE_AVAIL_HIGH, avail >> 32);
	write_reg(VIRTIO_MMIO_QUEUE_USED_LOW, used);
	write_reg(VIRTIO_MMIO_QUEUE_USED_HIGH, used >> 32);
}

static void start_driver(void)
{
	memset(descs, 0, DATA_GPA + SZ_4K - DESC_GPA);
	write_reg(VIRTIO_MMIO_STATUS, 0);
	write_reg(VIRTIO_MMIO_STATUS, DRIVER);
	write_features(FEATURES);
	write_reg(VIRTIO_MMIO_STATUS, DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
}

static void start_queue(void)
{
	write_queue(QUEUE_NUM, DESC_GPA, AVAIL_GPA, USED_GPA);
	write_reg(VIRTIO_MMIO_QUEUE_READY, 1);
	write_reg(VIRTIO_MMIO_STATUS, DRIVER_OK);
}

static void start(void)
{
	start_driver();
	start_queue();
}

static void set_desc(int i, u64 addr, u32 len, u16 flags)
{
	descs[i] = (struct vring_desc) { addr, len, flags, i + 1 };
}

/* One sector, as Linux would do it: descriptors 0 to 2. */
static void put_request(u32 type, u64 sector)
{
	u16 write = type == VIRTIO_BLK_T_IN ? VRING_DESC_F_WRITE : 0;

	*header = (struct virtio_blk_outhdr) { .type = type, .sector = sector };
	*status = 0xff;
	set_desc(0, HEADER_GPA, sizeof(*header), VRING_DESC_F_NEXT);
	set_desc(1, DATA_GPA, SECTOR_SIZE, VRING_DESC_F_NEXT | write);
	set_desc(2, STATUS_GPA, 1, VRING_DESC_F_WRITE);
}

static void make_available(void)
{
	avail->ring[avail->idx % QUEUE_NUM] = 0;
	avail->idx++;
}

static void send_request(void)
{
	make_available();
	write_reg(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	/* Nobody may look at it again. */
	avail->ring[(u16)(avail->idx - 1) % QUEUE_NUM] = 0xffff;
}

static u8 do_request(u32 type, u64 sector)
{
	put_request(type, sector);
	send_request();
	return *status;
}

static void fill(u8 seed)
{
	int i;

	for (i = 0; i < SECTOR_SIZE; i++)
		data[i] = seed + i * 7;
}

static void test_requests(void)
{
	static const u64 sectors[] = { 0, 1, DISK_SIZE / SECTOR_SIZE - 1 };
	u8 copy[SECTOR_SIZE];
	int i;

	start();
	for (i = 0; i < ARRAY_SIZE(sectors); i++) {
		fill(i);
		check(do_request(VIRTIO_BLK_T_OUT, sectors[i]) == VIRTIO_BLK_S_OK, "write %d", i);
		check(!memcmp(disk->data + sectors[i] * SECTOR_SIZE, data, SECTOR_SIZE),
		      "contents of sector 0x%lx", sectors[i]);
	}
	for (i = 0; i < ARRAY_SIZE(sectors); i++) {
		fill(i);
		memcpy(copy, data, SECTOR_SIZE);
		memset(data, 0, SECTOR_SIZE);
		check(do_request(VIRTIO_BLK_T_IN, sectors[i]) == VIRTIO_BLK_S_OK, "read %d", i);
		check(!memcmp(copy, data, SECTOR_SIZE), "contents of sector 0x%lx", sectors[i]);
		check(used->idx == 4 + i && !used->ring[3 + i].id &&
		      used->ring[3 + i].len == SECTOR_SIZE + 1, "used ring: idx %d, len %d",
		      used->idx, used->ring[3 + i].len);
	}
	check(!disk->broken, "%s", disk->broken);
}

/* Only the order of bytes counts, not how they are spread over descriptors. */
static void test_layouts(void)
{
	u8 copy[SECTOR_SIZE];

	start();
	fill(3);
	memcpy(copy, data, SECTOR_SIZE);
	put_request(VIRTIO_BLK_T_OUT, 5);
	/* A header in two pieces, the second of which goes on with data. */
	memcpy(data - 6, (void *)header + 10, 6);
	set_desc(0, HEADER_GPA, 10, VRING_DESC_F_NEXT);
	set_desc(1, DATA_GPA - 6, 6 + 100, VRING_DESC_F_NEXT);
	set_desc(2, DATA_GPA + 100, SECTOR_SIZE - 100, VRING_DESC_F_NEXT);
	set_desc(3, STATUS_GPA, 1, VRING_DESC_F_WRITE);
	send_request();
	check(*status == VIRTIO_BLK_S_OK, "status %d", *status);
	check(!memcmp(disk->data + 5 * SECTOR_SIZE, copy, SECTOR_SIZE), "contents");

	put_request(VIRTIO_BLK_T_IN, 5);
	memset(data, 0xff, SECTOR_SIZE + 1);
	set_desc(1, DATA_GPA, 511, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
	set_desc(2, DATA_GPA + 511, 2, VRING_DESC_F_WRITE);
	send_request();
	check(data[SECTOR_SIZE] == VIRTIO_BLK_S_OK, "status %d", data[SECTOR_SIZE]);
	check(!memcmp(data, copy, SECTOR_SIZE), "contents");
	check(!disk->broken, "%s", disk->broken);
}

/* Wrap-around of the rings' indices. */
static void test_many_requests(void)
{
	int i, nr = 65536 + QUEUE_NUM;

	start();
	avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	for (i = 0; i < nr; i++) {
		if (do_request(VIRTIO_BLK_T_IN, i % 8))
			break;
	}
	check(i == nr && !disk->broken, "request %d: %s", i, disk->broken);
	check(used->idx == avail->idx, "used %d, available %d", used->idx, avail->idx);

	/* All at once. */
	for (i = 0; i < QUEUE_NUM; i++)
		make_available();
	write_reg(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	check(used->idx == avail->idx && !disk->broken, "used %d, available %d: %s", used->idx,
	      avail->idx, disk->broken);
}

/* The device goes on after them. */
static void test_failing_requests(void)
{
	static const u64 sectors[] = {
		DISK_SIZE / SECTOR_SIZE, ~0ull, 1ull << 55, 1ull << 63, ~0ull / SECTOR_SIZE,
	};
	static const u32 lens[] = { 1, 511, 513, 1023 };
	int i, type;

	start();
	for (type = VIRTIO_BLK_T_IN; type <= VIRTIO_BLK_T_OUT; type++) {
		for (i = 0; i < ARRAY_SIZE(sectors); i++)
			check(do_request(type, sectors[i]) == VIRTIO_BLK_S_IOERR,
			      "type %d, sector 0x%lx: status %d", type, sectors[i], *status);
		for (i = 0; i < ARRAY_SIZE(lens); i++) {
			put_request(type, 0);
			descs[1].len = lens[i];
			send_request();
			check(*status == VIRTIO_BLK_S_IOERR, "type %d, %d bytes: status %d", type,
			      lens[i], *status);
		}
		/* The last sector and one more. */
		put_request(type, DISK_SIZE / SECTOR_SIZE - 1);
		descs[1].len = 2 * SECTOR_SIZE;
		send_request();
		check(*status == VIRTIO_BLK_S_IOERR, "beyond the end: status %d", *status);
	}
	for (type = 2; type < 16; type++)
		check(do_request(type, 0) == VIRTIO_BLK_S_UNSUPP, "type %d: status %d", type,
		      *status);
	check(do_request(VIRTIO_BLK_T_IN, 0) == VIRTIO_BLK_S_OK, "status %d", *status);
	check(!disk->broken, "%s", disk->broken);
}

#define NEXT	VRING_DESC_F_NEXT
#define WRITE	VRING_DESC_F_WRITE

/* A good request to write a sector but for one descriptor, where it starts, or the index. */
static const struct {
	const char *name;
	const char *broken;
	u16 head;
	u16 idx;
	int nr;
	const struct vring_desc *desc;
} bad_requests[] = {
	{ "head out of range", "descriptor out of range", .head = QUEUE_NUM },
	{ "head 65535", "descriptor out of range", .head = 0xffff },
	{ "next out of range", "descriptor out of range", .nr = 0,
	  .desc = &(struct vring_desc) { HEADER_GPA, 16, NEXT, QUEUE_NUM } },
	{ "loop of one", "descriptors in a loop", .nr = 0,
	  .desc = &(struct vring_desc) { HEADER_GPA, 16, NEXT, 0 } },
	{ "loop of two", "descriptors in a loop", .nr = 1,
	  .desc = &(struct vring_desc) { DATA_GPA, SECTOR_SIZE, NEXT, 0 } },
	{ "loop at the end", "descriptors in a loop", .nr = 2,
	  .desc = &(struct vring_desc) { STATUS_GPA, 1, NEXT | WRITE, 2 } },
	{ "indirect", "flags of a descriptor", .nr = 0,
	  .desc = &(struct vring_desc) { DESC_GPA, 48, VRING_DESC_F_INDIRECT, 0 } },
	{ "reserved flag", "flags of a descriptor", .nr = 1,
	  .desc = &(struct vring_desc) { DATA_GPA, SECTOR_SIZE, NEXT | 0x8000, 2 } },
	{ "empty", "empty descriptor", .nr = 1,
	  .desc = &(struct vring_desc) { DATA_GPA, 0, NEXT, 2 } },
	{ "beyond memory", "buffer out of range", .nr = 1,
	  .desc = &(struct vring_desc) { MEM_SIZE, SECTOR_SIZE, NEXT, 2 } },
	{ "across the end of memory", "buffer out of range", .nr = 1,
	  .desc = &(struct vring_desc) { MEM_SIZE - SECTOR_SIZE + 1, SECTOR_SIZE, NEXT, 2 } },
	{ "address wraps", "buffer out of range", .nr = 1,
	  .desc = &(struct vring_desc) { ~0ull - 15, SECTOR_SIZE, NEXT, 2 } },
	{ "too long", "buffer out of range", .nr = 1,
	  .desc = &(struct vring_desc) { DATA_GPA, ~0u, NEXT, 2 } },
	{ "sign bit", "buffer out of range", .nr = 1,
	  .desc = &(struct vring_desc) { DATA_GPA | 1ull << 63, SECTOR_SIZE, NEXT, 2 } },
	{ "C-bit", "buffer out of range", .nr = 1,
	  .desc = &(struct vring_desc) { DATA_GPA | 1ull << 47, SECTOR_SIZE, NEXT, 2 } },
	{ "status first", "descriptors out of order", .nr = 0,
	  .desc = &(struct vring_desc) { HEADER_GPA, 16, NEXT | WRITE, 1 } },
	{ "no status", "no header or no status", .nr = 2,
	  .desc = &(struct vring_desc) { STATUS_GPA, 1, 0, 0 } },
	{ "no header", "no header or no status", .head = 2 },
	{ "short header", "no header or no status", .nr = 0,
	  .desc = &(struct vring_desc) { HEADER_GPA, 15, NEXT, 2 } },
	{ "index too far", "more requests than descriptors", .idx = QUEUE_NUM + 1 },
	{ "index backwards", "more requests than descriptors", .idx = 0xffff },
};

/* Nothing is written to disk or memory, and nothing works before a reset. */
static void test_bad_requests(void)
{
	static u8 before[DISK_SIZE];
	u32 interrupt;
	int i;

	for (i = 0; i < ARRAY_SIZE(bad_requests); i++) {
		start();
		fill(9);
		put_request(VIRTIO_BLK_T_OUT, 0);
		make_available();
		if (bad_requests[i].desc)
			descs[bad_requests[i].nr] = *bad_requests[i].desc;
		avail->ring[0] = bad_requests[i].head;
		avail->idx = bad_requests[i].idx ?: 1;
		memset(disk->data, 0x55, SECTOR_SIZE);
		memcpy(before, disk->data, DISK_SIZE);
		write_reg(VIRTIO_MMIO_QUEUE_NOTIFY, 0);

		check(disk->broken && !strcmp(disk->broken, bad_requests[i].broken), "%s: %s",
		      bad_requests[i].name, disk->broken ?: "taken");
		check(read_reg(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET,
		      "%s: needs no reset", bad_requests[i].name);
		interrupt = read_reg(VIRTIO_MMIO_INTERRUPT_STATUS);
		check(interrupt == VIRTIO_MMIO_INT_CONFIG, "%s: interrupt 0x%x",
		      bad_requests[i].name, interrupt);
		check(*status == 0xff && !used->idx && !memcmp(before, disk->data, DISK_SIZE),
		      "%s: has changed something", bad_requests[i].name);

		avail->idx = 0;
		check(do_request(VIRTIO_BLK_T_IN, 0) == 0xff, "%s: goes on without a reset",
		      bad_requests[i].name);
	}
	start();
	check(do_request(VIRTIO_BLK_T_IN, 0) == VIRTIO_BLK_S_OK, "status %d after a reset",
	      *status);
}

static const struct {
	const char *name;
	u32 num;
	u64 desc, avail, used;
} bad_queues[] = {
	{ "no descriptors", 0, DESC_GPA, AVAIL_GPA, USED_GPA },
	{ "no power of 2", 3, DESC_GPA, AVAIL_GPA, USED_GPA },
	{ "too many descriptors", 256, DESC_GPA, AVAIL_GPA, USED_GPA },
	{ "2^31 descriptors", 1u << 31, DESC_GPA, AVAIL_GPA, USED_GPA },
	{ "descriptors misaligned", 16, DESC_GPA + 8, AVAIL_GPA, USED_GPA },
	{ "available ring misaligned", 16, DESC_GPA, AVAIL_GPA + 1, USED_GPA },
	{ "used ring misaligned", 16, DESC_GPA, AVAIL_GPA, USED_GPA + 2 },
	{ "descriptors beyond memory", 16, MEM_SIZE, AVAIL_GPA, USED_GPA },
	{ "descriptors across the end", 16, MEM_SIZE - 240, AVAIL_GPA, USED_GPA },
	{ "available ring across the end", 16, DESC_GPA, MEM_SIZE - 34, USED_GPA },
	{ "used ring across the end", 16, DESC_GPA, AVAIL_GPA, MEM_SIZE - 128 },
	{ "descriptors wrap", 16, ~0ull - 15, AVAIL_GPA, USED_GPA },
	{ "available ring wraps", 16, DESC_GPA, ~0ull - 1, USED_GPA },
	{ "used ring wraps", 16, DESC_GPA, AVAIL_GPA, ~0ull - 3 },
	{ "high half", 16, DESC_GPA | 1ull << 32, AVAIL_GPA, USED_GPA },
};

static void test_bad_queues(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(bad_queues); i++) {
		start_driver();
		write_queue(bad_queues[i].num, bad_queues[i].desc, bad_queues[i].avail,
			    bad_queues[i].used);
		write_reg(VIRTIO_MMIO_QUEUE_READY, 1);
		check(!read_reg(VIRTIO_MMIO_QUEUE_READY), "%s: ready", bad_queues[i].name);
		check(read_reg(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET,
		      "%s: needs no reset", bad_queues[i].name);
	}

	/* The rings stay where they are as long as the device may look at them. */
	start();
	write_queue(3, ~0ull, ~0ull, ~0ull);
	check(do_request(VIRTIO_BLK_T_IN, 0) == VIRTIO_BLK_S_OK, "the queue has moved");
	write_reg(VIRTIO_MMIO_QUEUE_SEL, 1);
	check(!read_reg(VIRTIO_MMIO_QUEUE_NUM_MAX), "there is a queue 1");
	write_reg(VIRTIO_MMIO_QUEUE_READY, 0);
	write_reg(VIRTIO_MMIO_QUEUE_SEL, 0);
	check(read_reg(VIRTIO_MMIO_QUEUE_READY), "queue 1 is queue 0");

	/* Not ready: no requests, and the indices start over. */
	write_reg(VIRTIO_MMIO_QUEUE_READY, 0);
	check(do_request(VIRTIO_BLK_T_IN, 0) == 0xff, "a queue that is not ready works");
	memset(avail, 0, sizeof(*avail));
	memset(used, 0, sizeof(*used));
	start_queue();
	check(do_request(VIRTIO_BLK_T_IN, 0) == VIRTIO_BLK_S_OK && used->idx == 1,
	      "the queue does not start over");
}

static void test_negotiation(void)
{
	static const u64 refused[] = {
		0, BIT_ULL(VIRTIO_F_VERSION_1), BIT_ULL(VIRTIO_F_ACCESS_PLATFORM),
		FEATURES | BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC),
		FEATURES | BIT_ULL(VIRTIO_RING_F_EVENT_IDX),
		FEATURES | BIT_ULL(VIRTIO_F_RING_PACKED), FEATURES | 1ull << 63, ~0ull,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		write_reg(VIRTIO_MMIO_STATUS, 0);
		write_reg(VIRTIO_MMIO_STATUS, DRIVER);
		write_features(refused[i]);
		write_reg(VIRTIO_MMIO_STATUS, DRIVER_OK);
		check(read_reg(VIRTIO_MMIO_STATUS) == DRIVER, "features 0x%lx: status 0x%x",
		      refused[i], read_reg(VIRTIO_MMIO_STATUS));
		write_queue(QUEUE_NUM, DESC_GPA, AVAIL_GPA, USED_GPA);
		write_reg(VIRTIO_MMIO_QUEUE_READY, 1);
		check(!read_reg(VIRTIO_MMIO_QUEUE_READY), "a queue without features");
	}

	start_driver();
	write_queue(QUEUE_NUM, DESC_GPA, AVAIL_GPA, USED_GPA);
	write_reg(VIRTIO_MMIO_QUEUE_READY, 1);
	check(do_request(VIRTIO_BLK_T_IN, 0) == 0xff, "a request before the driver is ready");

	/* What was agreed on stays. */
	start();
	write_features(0);
	check(disk->state.driver_features == FEATURES, "features 0x%lx",
	      disk->state.driver_features);
	write_reg(VIRTIO_MMIO_STATUS, DRIVER);
	check(read_reg(VIRTIO_MMIO_STATUS) == DRIVER_OK, "status 0x%x",
	      read_reg(VIRTIO_MMIO_STATUS));
	write_reg(VIRTIO_MMIO_STATUS, ~0u);
	check(read_reg(VIRTIO_MMIO_STATUS) == (DRIVER_OK | VIRTIO_CONFIG_S_FAILED),
	      "status 0x%x", read_reg(VIRTIO_MMIO_STATUS));
}

/* Whatever is no register of 4 bytes reads as 0 and cannot be written. */
static void test_mmio(void)
{
	struct linux_guest_disk_state before;
	u64 gpa, value;
	u32 len;

	start();
	before = disk->state;
	for (gpa = LINUX_GUEST_DISK_GPA - 16; gpa < LINUX_GUEST_DISK_GPA + SZ_4K + 16; gpa++) {
		bool is_ours = gpa >= LINUX_GUEST_DISK_GPA && gpa < LINUX_GUEST_DISK_GPA + SZ_4K;
		u32 reg = gpa - LINUX_GUEST_DISK_GPA;

		for (len = 1; len <= 8; len *= 2) {
			if (len == 4 && reg < VIRTIO_MMIO_CONFIG && !(reg % 4))
				continue;
			value = 0;
			check(linux_guest_disk_mmio(disk, gpa, &value, len, true) == is_ours,
			      "write to 0x%lx", gpa);
			value = ~0ull;
			check(linux_guest_disk_mmio(disk, gpa, &value, len, false) == is_ours,
			      "read of 0x%lx", gpa);
			check(!is_ours || reg >= VIRTIO_MMIO_CONFIG ||
			      value << (64 - 8 * len) == 0, "0x%x reads as 0x%lx", reg, value);
		}
	}
	check(!memcmp(&before, &disk->state, sizeof(before)), "the device has changed");

	check(read_reg(VIRTIO_MMIO_CONFIG) == DISK_SIZE / SECTOR_SIZE, "capacity %u",
	      read_reg(VIRTIO_MMIO_CONFIG));
	check(!read_reg(VIRTIO_MMIO_CONFIG + sizeof(struct virtio_blk_config) - 2),
	      "configuration beyond its end");
}

static bool is_pending(void)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	vm_ioctl(guest->vm, KVM_GET_IRQCHIP, &chip);
	return chip.chip.ioapic.irr & BIT(LINUX_GUEST_DISK_IRQ);
}

static void test_interrupts(void)
{
	start();
	check(!is_pending(), "interrupt after a reset");
	do_request(VIRTIO_BLK_T_IN, 0);
	check(is_pending() && read_reg(VIRTIO_MMIO_INTERRUPT_STATUS) == VIRTIO_MMIO_INT_VRING,
	      "no interrupt");
	write_reg(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	check(is_pending(), "another interrupt's acknowledgment taken");
	write_reg(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	check(!is_pending() && !read_reg(VIRTIO_MMIO_INTERRUPT_STATUS), "not acknowledged");

	avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	do_request(VIRTIO_BLK_T_IN, 0);
	check(!is_pending(), "interrupt though none was wanted");
	avail->flags = 0;
	write_reg(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	check(!is_pending(), "interrupt without a request");
	write_reg(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	check(!disk->broken, "%s", disk->broken);
}

/* What the hooks see, and from where on access is refused. */
static u64 refused_gpa;
static u64 nr_accesses;
static u64 nr_written;

static bool may_access(struct linux_guest *guest, u64 gpa, u64 size)
{
	nr_accesses++;
	return gpa > refused_gpa || size <= refused_gpa - gpa;
}

static void count_written(struct linux_guest *guest, u64 gpa, u64 size)
{
	nr_written += size;
}

static void test_refused_accesses(void)
{
	static const u64 gpas[] = {
		AVAIL_GPA + offsetof(struct vring_avail, idx), AVAIL_GPA + 4, DESC_GPA,
		DESC_GPA + 2 * sizeof(struct vring_desc), HEADER_GPA, DATA_GPA,
		DATA_GPA + SECTOR_SIZE - 1, STATUS_GPA, USED_GPA + 4,
		USED_GPA + offsetof(struct vring_used, idx), AVAIL_GPA,
	};
	u64 sum, gpa, size;
	int i;

	disk->may_access = may_access;
	disk->wrote = count_written;
	refused_gpa = ~0ull;
	nr_written = 0;
	start();
	do_request(VIRTIO_BLK_T_IN, 0);
	/* The sector, its status, an element of the used ring and the index. */
	sum = SECTOR_SIZE + 1 + sizeof(struct vring_used_elem) + 2;
	check(nr_written == sum, "%lu bytes written", nr_written);

	for (i = 0; i < ARRAY_SIZE(gpas); i++) {
		guest->end = LINUX_GUEST_RUNNING;
		guest->error[0] = '\0';
		refused_gpa = gpas[i];
		start();
		do_request(VIRTIO_BLK_T_IN, 0);
		check(guest->end == LINUX_GUEST_ERROR, "0x%lx: the guest goes on", gpas[i]);
		check(sscanf(guest->error, "The disk must not access gpa 0x%lx, size 0x%lx", &gpa,
			     &size) == 2 && gpas[i] >= gpa && gpas[i] - gpa < size,
		      "0x%lx: error '%s'", gpas[i], guest->error);
		check(disk->broken && !strcmp(disk->broken, "access refused"), "0x%lx: %s",
		      gpas[i], disk->broken);
	}
	disk->may_access = NULL;
	disk->wrote = NULL;
	guest->end = LINUX_GUEST_RUNNING;
}

static void test_save_and_load(void)
{
	static const struct {
		const char *name;
		u32 offset;
		u64 value;
		u32 size;
	} bad[] = {
#define BAD32(name, field, value)	\
		{ name, offsetof(struct linux_guest_disk_state, field), value, sizeof(u32) }
#define BAD64(name, field, value)	\
		{ name, offsetof(struct linux_guest_disk_state, field), value, sizeof(u64) }
		BAD64("size", size, DISK_SIZE - SECTOR_SIZE),
		BAD64("no features", driver_features, 0),
		BAD64("unknown features", driver_features, ~0ull),
		BAD64("descriptors beyond memory", desc, MEM_SIZE),
		BAD64("available ring wraps", avail, ~0ull - 1),
		BAD64("used ring misaligned", used, USED_GPA + 1),
		BAD32("status without features", status, DRIVER),
		BAD32("unknown status", status, DRIVER_OK | 0x20),
		BAD32("interrupt", interrupt, 4),
		BAD32("no descriptors", queue_num, 0),
		BAD32("too many descriptors", queue_num, 256),
		BAD32("ready", queue_ready, 2),
		BAD32("index of a queue that is not ready", queue_ready, 0),
#undef BAD32
#undef BAD64
	};
	size_t size = linux_guest_disk_saved_size(disk);
	void *saved = malloc(size), *spoilt = malloc(size);
	struct linux_guest_disk_state before;
	int i;

	TEST_ASSERT(saved && spoilt, "No memory for a saved disk");
	start();
	fill(42);
	do_request(VIRTIO_BLK_T_OUT, 7);
	before = disk->state;
	linux_guest_disk_save(disk, saved);

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		memcpy(spoilt, saved, size);
		memcpy(spoilt + bad[i].offset, &bad[i].value, bad[i].size);
		check(!linux_guest_disk_load(disk, spoilt, size), "%s: loaded", bad[i].name);
		check(!read_reg(VIRTIO_MMIO_STATUS) && !is_pending(), "%s: not reset",
		      bad[i].name);
	}
	check(!linux_guest_disk_load(disk, saved, size - 1), "too short: loaded");
	check(!linux_guest_disk_load(disk, saved, size + 1), "too long: loaded");

	memset(disk->data, 0, DISK_SIZE);
	check(linux_guest_disk_load(disk, saved, size), "not loaded");
	check(!memcmp(&before, &disk->state, sizeof(before)), "another state");
	check(!memcmp(disk->data + 7 * SECTOR_SIZE, data, SECTOR_SIZE), "other contents");
	check(is_pending(), "the interrupt is lost");
	memset(data, 0, SECTOR_SIZE);
	check(do_request(VIRTIO_BLK_T_IN, 7) == VIRTIO_BLK_S_OK && used->idx == 2,
	      "does not go on");
	check(data[1] == (u8)(42 + 7), "reads something else");
	free(saved);
	free(spoilt);
}

static bool is_in_bounds(struct linux_guest *guest, u64 gpa, u64 size)
{
	nr_accesses++;
	if (gpa >= MEM_SIZE || size > MEM_SIZE - gpa)
		check(false, "access to 0x%lx, size 0x%lx", gpa, size);
	return true;
}

/* Always the same numbers. */
static u32 random_u32(void)
{
	static u64 state = 0x2545f4914f6cdd1d;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 16;
}

/* A good request, one descriptor or word of which is not; the device must stay in bounds. */
static void test_random_requests(void)
{
	u64 nr_broken = 0, nr_done = 0;
	int i, nr;

	disk->may_access = is_in_bounds;
	nr_accesses = 0;
	for (i = 0; i < 5000; i++) {
		start();
		put_request(random_u32() % 2, random_u32() % (DISK_SIZE / SECTOR_SIZE));
		for (nr = random_u32() % 3; nr; nr--) {
			u8 *byte = (u8 *)descs + random_u32() % (3 * sizeof(*descs));

			*byte = random_u32() % 4 ? *byte ^ BIT(random_u32() % 8) : random_u32();
		}
		if (random_u32() % 8 == 0)
			header->sector = (u64)random_u32() << (random_u32() % 40);
		if (random_u32() % 8 == 0)
			avail->ring[0] = random_u32();
		avail->idx = random_u32() % 8 ? 1 : random_u32();
		write_reg(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		nr_broken += !!disk->broken;
		nr_done += used->idx;
	}
	/* Neither would say much if it were all. */
	check(nr_broken > 500 && nr_done > 500, "%lu refused, %lu carried out", nr_broken,
	      nr_done);

	for (i = 0; i < 20000; i++)
		write_reg(random_u32() % 0x30 * 4, random_u32() % 4 ? random_u32() % 32 :
						   random_u32());
	disk->may_access = NULL;
	start();
	check(do_request(VIRTIO_BLK_T_IN, 0) == VIRTIO_BLK_S_OK, "status %d after a reset",
	      *status);
}

static const struct {
	const char *name;
	void (*test)(void);
} unit_tests[] = {
	{ "requests", test_requests },
	{ "layouts of a request", test_layouts },
	{ "many requests", test_many_requests },
	{ "requests that fail", test_failing_requests },
	{ "bad descriptors and indices", test_bad_requests },
	{ "bad queues", test_bad_queues },
	{ "negotiation of features", test_negotiation },
	{ "accesses that are no register", test_mmio },
	{ "interrupts", test_interrupts },
	{ "accesses that are refused", test_refused_accesses },
	{ "save and load", test_save_and_load },
	{ "random requests", test_random_requests },
};

/* What Linux does.  The lines come under the console's lock, the accesses under the disk's. */
struct watch {
	int nr_waits;
	int nr_reports;			/* of mem_encrypt_stress, since the guest waits */
	u64 first, last;		/* of all data that the disk was given */
};

/*
 * The run ends each time the guest waits.  Run again, it goes on once two seconds
 * have passed without an error and once there is one, respectively.
 */
static void watch_line(struct linux_guest *guest, const char *line)
{
	struct watch *watch = guest->private;

	if (strstr(line, "guest_init: step wait")) {
		watch->nr_waits++;
		watch->nr_reports = 0;
		WRITE_ONCE(guest->wait, true);
		linux_guest_stop(guest, LINUX_GUEST_TIMEOUT);
	}
	watch->nr_reports += !!strstr(line, " rounds, 0 errors");
	if (watch->nr_waits == 1 ? watch->nr_reports == 2 : !!strstr(line, " instead of "))
		WRITE_ONCE(guest->wait, false);
}

/* Data are in bounce buffers, all else is smaller. */
static bool watch_access(struct linux_guest *guest, u64 gpa, u64 size)
{
	struct watch *watch = guest->private;

	if (size >= SECTOR_SIZE) {
		watch->first = min(watch->first, gpa);
		watch->last = max(watch->last, gpa + size - 1);
	}
	return true;
}

static void check_bounced(struct linux_guest *guest, const struct watch *watch)
{
	const char *line = linux_guest_find(guest, "software IO TLB: mapped [mem ");
	u64 first, last;

	if (!line || sscanf(strstr(line, "[mem "), "[mem 0x%lx-0x%lx]", &first, &last) != 2) {
		check(false, "no bounce buffers");
		return;
	}
	check(watch->first >= first && watch->last <= last,
	      "data in 0x%lx-0x%lx, bounce buffers in 0x%lx-0x%lx", watch->first, watch->last,
	      first, last);
}

/* Another device in the place of the first. */
static void replace_disk(struct linux_guest *guest)
{
	size_t size = linux_guest_disk_saved_size(guest->disk);
	void *saved = malloc(size);

	TEST_ASSERT(saved, "No memory for a saved disk");
	linux_guest_disk_save(guest->disk, saved);
	linux_guest_free_disk(guest->disk);
	linux_guest_add_disk(guest, DISK_SIZE)->may_access = watch_access;
	check(linux_guest_disk_load(guest->disk, saved, size), "not loaded");
	free(saved);
}

/*
 * Change a byte of each word of mem_encrypt_stress, which contains its address.
 * All of them, because the next thing that happens to some is to be overwritten.
 */
static int damage_memory(struct linux_guest *guest)
{
	u64 gpa, *word = addr_gpa2hva(guest->vm, 0);
	int nr = 0;

	for (gpa = 0; gpa < guest->mem_size; gpa += sizeof(*word), word++) {
		if ((*word & GENMASK_ULL(47, 0)) == gpa && *word >> 48) {
			*word ^= 0x100;
			nr++;
		}
	}
	return nr;
}

static bool run_until_wait(struct linux_guest *guest, int nr_waits)
{
	struct watch *watch = guest->private;
	enum linux_guest_end end = linux_guest_run(guest, options.seconds);

	check(end == LINUX_GUEST_TIMEOUT && watch->nr_waits == nr_waits,
	      "the guest does not wait: %s %s", linux_guest_end_str(end), guest->error);
	return !nr_failed;
}

static void run_linux(struct linux_guest *guest)
{
	enum linux_guest_end end;
	const char *line;

	if (!run_until_wait(guest, 1))
		return;
	replace_disk(guest);
	if (!run_until_wait(guest, 2))
		return;
	line = linux_guest_find(guest, " instead of ");
	check(!line, "%s", line);

	check(damage_memory(guest), "no memory to damage");
	end = linux_guest_run(guest, options.seconds);
	check(end == LINUX_GUEST_RESET, "the guest ended by %s %s", linux_guest_end_str(end),
	      guest->error);
	check(linux_guest_find(guest, "guest_init: done"), "PID 1 did not end");
}

static void test_linux(void)
{
	static const char module[] = "modules/mem_encrypt_stress.ko";
	struct watch watch = { .first = ~0ull };
	struct linux_guest_file files[2];
	struct linux_guest_params params = {
		.kernel = options.kernel,
		.cmdline = "iommu=soft swiotlb=4096,force " LINUX_GUEST_DISK_CMDLINE
			   "-- mem_encrypt_stress.ko,conversions=1 " STEPS,
		.files = files,
		.nr_vcpus = NR_VCPUS,
	};
	unsigned long nr_rounds = 0;
	int nr_errors = 0;
	char init[PATH_MAX];
	const char *line;

	linux_guest_program(init, sizeof(init), "guest_init");
	files[params.nr_files++] = (struct linux_guest_file){ "init", init, .mode = 0755 };
	files[params.nr_files++] =
		(struct linux_guest_file){ module, options.modules[0], .mode = 0644 };

	guest = linux_guest_create(&params);
	guest->private = &watch;
	guest->line = watch_line;
	linux_guest_add_disk(guest, DISK_SIZE)->may_access = watch_access;
	run_linux(guest);

	line = linux_guest_splat(guest);
	check(!line, "the guest's kernel says: %s", line);
	line = linux_guest_find(guest, " failed, errno ");
	check(!line, "%s", line);
	check(linux_guest_find(guest, "guest_init: 1 modules loaded"), "no module loaded");
	check(linux_guest_count(guest, DISK_OK) == 2, "not two lines '%s'", DISK_OK);
	check(linux_guest_find(guest, "guest_init: pressure: "), "no memory pressure");
	line = linux_guest_find(guest, ": stopped after ");
	check(line && sscanf(strstr(line, "stopped"), "stopped after %lu rounds, %d errors",
			     &nr_rounds, &nr_errors) == 2 && nr_rounds && nr_errors,
	      "mem_encrypt_stress: %s", line);
	check(!guest->disk->broken, "disk: %s", guest->disk->broken);
	check_bounced(guest, &watch);
	if (nr_failed)
		linux_guest_print_console(guest, 60);
	linux_guest_free(guest);
}

int main(int argc, char *argv[])
{
	int i;

	linux_guest_parse_options(&options, argc, argv);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(unit_tests) + 1);

	create_bare_guest();
	for (i = 0; i < ARRAY_SIZE(unit_tests); i++) {
		nr_failed = 0;
		about("%s", unit_tests[i].name);
		unit_tests[i].test();
		ksft_test_result(!nr_failed, "%s\n", unit_tests[i].name);
	}
	linux_guest_free(guest);

	if (options.nr_modules && !access(options.kernel, R_OK)) {
		nr_failed = 0;
		about("Linux uses the disk");
		test_linux();
		ksft_test_result(!nr_failed, "Linux uses the disk\n");
	} else {
		ksft_test_result_skip("Linux uses the disk: no module or no kernel\n");
	}
	ksft_finished();
}
