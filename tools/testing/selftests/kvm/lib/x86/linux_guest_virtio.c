// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk for a Linux guest, see linux_guest_virtio.h.
 */
#include <asm/barrier.h>
#include <linux/align.h>
#include <linux/log2.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "kvm_util.h"
#include "linux_guest_virtio.h"

#define MMIO_MAGIC	0x74726976	/* "virt" */
#define MMIO_VERSION	2
#define SECTOR_SIZE	512

#define NEEDED_FEATURES	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_ACCESS_PLATFORM))
#define FEATURES	(NEEDED_FEATURES | BIT_ULL(VIRTIO_BLK_F_SEG_MAX))

#define DRIVER_STATUS	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |		\
			 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK |	\
			 VIRTIO_CONFIG_S_FAILED)
#define INTERRUPTS	(VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG)

struct segment {
	u64 gpa;
	u32 len;
};

/* What the device may read comes first, then what it may write. */
struct request {
	struct segment segments[LINUX_GUEST_DISK_QUEUE_MAX];
	u32 nr_readable;
	u64 readable, writable;		/* bytes */
};

static void set_interrupt(struct linux_guest_disk *disk, u32 interrupt)
{
	disk->state.interrupt = interrupt;
	linux_guest_irq_line(disk->guest, LINUX_GUEST_DISK_IRQ, !!interrupt);
}

/* The driver has broken the rules: no more requests until it resets the device. */
static bool break_disk(struct linux_guest_disk *disk, const char *why)
{
	disk->broken = why;
	disk->state.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (disk->state.status & VIRTIO_CONFIG_S_DRIVER_OK)
		set_interrupt(disk, disk->state.interrupt | VIRTIO_MMIO_INT_CONFIG);
	return false;
}

static void reset(struct linux_guest_disk *disk)
{
	disk->state = (struct linux_guest_disk_state) { .size = disk->state.size };
	disk->broken = NULL;
	set_interrupt(disk, 0);
}

static bool is_in_memory(struct linux_guest_disk *disk, u64 gpa, u64 size)
{
	return gpa < disk->guest->mem_size && size <= disk->guest->mem_size - gpa;
}

static void *guest_memory(struct linux_guest_disk *disk, u64 gpa, u64 size)
{
	if (!is_in_memory(disk, gpa, size)) {
		break_disk(disk, "address out of range");
		return NULL;
	}
	if (disk->may_access && !disk->may_access(disk->guest, gpa, size)) {
		break_disk(disk, "access refused");
		linux_guest_fail(disk->guest,
				 "The disk must not access gpa 0x%lx, size 0x%lx", gpa, size);
		return NULL;
	}
	return addr_gpa2hva(disk->guest->vm, gpa);
}

static void tell_written(struct linux_guest_disk *disk, u64 gpa, u64 size)
{
	if (disk->wrote)
		disk->wrote(disk->guest, gpa, size);
}

/* The barrier keeps the compiler from reading again what was checked. */
static bool read_guest(struct linux_guest_disk *disk, u64 gpa, void *data, u64 size)
{
	void *memory = guest_memory(disk, gpa, size);

	if (!memory)
		return false;
	memcpy(data, memory, size);
	barrier();
	return true;
}

static bool write_guest(struct linux_guest_disk *disk, u64 gpa, const void *data, u64 size)
{
	void *memory = guest_memory(disk, gpa, size);

	if (!memory)
		return false;
	memcpy(memory, data, size);
	tell_written(disk, gpa, size);
	return true;
}

static bool read_guest_u16(struct linux_guest_disk *disk, u64 gpa, u16 *value)
{
	u16 *memory = guest_memory(disk, gpa, sizeof(*memory));

	if (memory)
		*value = READ_ONCE(*memory);
	return memory;
}

static bool write_guest_u16(struct linux_guest_disk *disk, u64 gpa, u16 value)
{
	u16 *memory = guest_memory(disk, gpa, sizeof(*memory));

	if (!memory)
		return false;
	WRITE_ONCE(*memory, value);
	tell_written(disk, gpa, sizeof(*memory));
	return true;
}

static bool is_queue_valid(struct linux_guest_disk *disk,
			   const struct linux_guest_disk_state *state)
{
	u32 num = state->queue_num;

	return is_power_of_2(num) && num <= LINUX_GUEST_DISK_QUEUE_MAX &&
	       IS_ALIGNED(state->desc, VRING_DESC_ALIGN_SIZE) &&
	       IS_ALIGNED(state->avail, VRING_AVAIL_ALIGN_SIZE) &&
	       IS_ALIGNED(state->used, VRING_USED_ALIGN_SIZE) &&
	       is_in_memory(disk, state->desc, num * sizeof(struct vring_desc)) &&
	       is_in_memory(disk, state->avail, offsetof(struct vring_avail, ring[num])) &&
	       is_in_memory(disk, state->used, offsetof(struct vring_used, ring[num]));
}

static bool read_request(struct linux_guest_disk *disk, u16 index, struct request *request)
{
	struct linux_guest_disk_state *state = &disk->state;
	struct vring_desc desc;
	u32 nr = 0;

	*request = (struct request) {};
	do {
		if (index >= state->queue_num)
			return break_disk(disk, "descriptor out of range");
		if (nr == state->queue_num)
			return break_disk(disk, "descriptors in a loop");
		if (!read_guest(disk, state->desc + index * sizeof(desc), &desc, sizeof(desc)))
			return false;
		if (desc.flags & ~(VRING_DESC_F_NEXT | VRING_DESC_F_WRITE))
			return break_disk(disk, "flags of a descriptor");
		if (!desc.len)
			return break_disk(disk, "empty descriptor");
		if (!is_in_memory(disk, desc.addr, desc.len))
			return break_disk(disk, "buffer out of range");

		if (!(desc.flags & VRING_DESC_F_WRITE) && request->writable)
			return break_disk(disk, "descriptors out of order");

		if (desc.flags & VRING_DESC_F_WRITE) {
			request->writable += desc.len;
		} else {
			request->nr_readable++;
			request->readable += desc.len;
		}
		request->segments[nr++] = (struct segment) { desc.addr, desc.len };
		index = desc.next;
	} while (desc.flags & VRING_DESC_F_NEXT);

	return true;
}

/* There must be so much in the segments. */
static bool copy(struct linux_guest_disk *disk, const struct segment *segment, u64 skip,
		 void *data, u64 len, bool to_guest)
{
	u64 part;

	for (; len; segment++) {
		u64 gpa = segment->gpa + skip;

		if (skip >= segment->len) {
			skip -= segment->len;
			continue;
		}
		part = min_t(u64, len, segment->len - skip);
		if (to_guest ? !write_guest(disk, gpa, data, part) :
			       !read_guest(disk, gpa, data, part))
			return false;
		data += part;
		len -= part;
		skip = 0;
	}
	return true;
}

static bool copy_in(struct linux_guest_disk *disk, const struct request *request, u64 skip,
		    void *data, u64 len)
{
	return copy(disk, request->segments, skip, data, len, false);
}

static bool copy_out(struct linux_guest_disk *disk, const struct request *request, u64 skip,
		     void *data, u64 len)
{
	return copy(disk, request->segments + request->nr_readable, skip, data, len, true);
}

static void *sectors(struct linux_guest_disk *disk, u64 sector, u64 len)
{
	u64 capacity = disk->state.size / SECTOR_SIZE;

	if (len % SECTOR_SIZE || sector > capacity || len / SECTOR_SIZE > capacity - sector)
		return NULL;
	return disk->data + sector * SECTOR_SIZE;
}

/* A header and what is to be written, then room for what is read and a status. */
static bool carry_out(struct linux_guest_disk *disk, const struct request *request)
{
	u8 status = VIRTIO_BLK_S_IOERR;
	struct virtio_blk_outhdr header;
	u64 to_write, to_read;
	void *data;

	if (request->readable < sizeof(header) || request->writable < sizeof(status))
		return break_disk(disk, "no header or no status");
	to_write = request->readable - sizeof(header);
	to_read = request->writable - sizeof(status);

	if (!copy_in(disk, request, 0, &header, sizeof(header)))
		return false;

	switch (header.type) {
	case VIRTIO_BLK_T_IN:
		data = sectors(disk, header.sector, to_read);
		if (!data)
			break;
		if (!copy_out(disk, request, 0, data, to_read))
			return false;
		status = VIRTIO_BLK_S_OK;
		break;
	case VIRTIO_BLK_T_OUT:
		data = sectors(disk, header.sector, to_write);
		if (!data)
			break;
		if (!copy_in(disk, request, sizeof(header), data, to_write))
			return false;
		status = VIRTIO_BLK_S_OK;
		break;
	default:
		status = VIRTIO_BLK_S_UNSUPP;
	}
	return copy_out(disk, request, to_read, &status, sizeof(status));
}

static bool put_used(struct linux_guest_disk *disk, u16 head, u32 len)
{
	struct linux_guest_disk_state *state = &disk->state;
	struct vring_used_elem elem = { .id = head, .len = len };
	u32 slot = state->next_used % state->queue_num;

	if (!write_guest(disk, state->used + offsetof(struct vring_used, ring[slot]), &elem,
			 sizeof(elem)))
		return false;
	/* Nobody may see the index before the element. */
	smp_wmb();
	return write_guest_u16(disk, state->used + offsetof(struct vring_used, idx),
			       ++state->next_used);
}

static bool next_request(struct linux_guest_disk *disk)
{
	struct linux_guest_disk_state *state = &disk->state;
	u32 slot = state->next_avail % state->queue_num;
	struct request request;
	u16 head;

	if (!read_guest_u16(disk, state->avail + offsetof(struct vring_avail, ring[slot]), &head) ||
	    !read_request(disk, head, &request) || !carry_out(disk, &request))
		return false;
	state->next_avail++;
	return put_used(disk, head, request.writable);
}

/* What the driver adds from now on comes with a notification of its own. */
static void serve_queue(struct linux_guest_disk *disk)
{
	struct linux_guest_disk_state *state = &disk->state;
	u16 idx, flags;

	if (!(state->status & VIRTIO_CONFIG_S_DRIVER_OK) || !state->queue_ready ||
	    (state->status & VIRTIO_CONFIG_S_NEEDS_RESET))
		return;
	if (!read_guest_u16(disk, state->avail + offsetof(struct vring_avail, idx), &idx))
		return;
	/* What it tells of is there: pairs with the barrier before the driver's write. */
	smp_rmb();
	if ((u16)(idx - state->next_avail) > state->queue_num) {
		break_disk(disk, "more requests than descriptors");
		return;
	}
	if (idx == state->next_avail)
		return;
	while (idx != state->next_avail) {
		if (!next_request(disk))
			return;
	}
	/* The driver clears the flag before it looks at the index. */
	smp_mb();
	if (read_guest_u16(disk, state->avail + offsetof(struct vring_avail, flags), &flags) &&
	    !(flags & VRING_AVAIL_F_NO_INTERRUPT))
		set_interrupt(disk, state->interrupt | VIRTIO_MMIO_INT_VRING);
}

static void set_half(u64 *value, u32 half, bool is_high)
{
	*value = is_high ? (u32)*value | (u64)half << 32 : (*value & ~0xffffffffull) | half;
}

static bool are_features_valid(u64 features)
{
	return !(features & ~FEATURES) && (features & NEEDED_FEATURES) == NEEDED_FEATURES;
}

/* Bits can only be added, other than by a reset. */
static void write_status(struct linux_guest_disk *disk, u32 value)
{
	struct linux_guest_disk_state *state = &disk->state;

	if (!value) {
		reset(disk);
		return;
	}
	value &= DRIVER_STATUS;
	if (!are_features_valid(state->driver_features))
		value &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!((state->status | value) & VIRTIO_CONFIG_S_FEATURES_OK))
		value &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	state->status |= value;
}

static void write_queue_ready(struct linux_guest_disk *disk, u32 value)
{
	struct linux_guest_disk_state *state = &disk->state;

	if (!(state->status & VIRTIO_CONFIG_S_FEATURES_OK) || state->queue_ready == value)
		return;
	if (value == 1 && !is_queue_valid(disk, state)) {
		break_disk(disk, "size or addresses of the queue");
		return;
	}
	state->queue_ready = value == 1;
	state->next_avail = 0;
	state->next_used = 0;
}

/* None of them can be changed while the device may look at the queue. */
static void write_queue_register(struct linux_guest_disk *disk, u32 reg, u32 value)
{
	struct linux_guest_disk_state *state = &disk->state;

	if (state->queue_sel || (state->queue_ready && reg != VIRTIO_MMIO_QUEUE_READY))
		return;

	switch (reg) {
	case VIRTIO_MMIO_QUEUE_NUM:
		state->queue_num = value;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		write_queue_ready(disk, value);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&state->desc, value, reg == VIRTIO_MMIO_QUEUE_DESC_HIGH);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&state->avail, value, reg == VIRTIO_MMIO_QUEUE_AVAIL_HIGH);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&state->used, value, reg == VIRTIO_MMIO_QUEUE_USED_HIGH);
		break;
	}
}

static void write_register(struct linux_guest_disk *disk, u32 reg, u32 value)
{
	struct linux_guest_disk_state *state = &disk->state;

	switch (reg) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		state->device_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		state->driver_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		if (state->driver_features_sel <= 1 &&
		    !(state->status & VIRTIO_CONFIG_S_FEATURES_OK))
			set_half(&state->driver_features, value, state->driver_features_sel);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		state->queue_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		if (!value)
			serve_queue(disk);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		set_interrupt(disk, state->interrupt & ~value);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(disk, value);
		break;
	default:
		write_queue_register(disk, reg, value);
	}
}

static u32 read_register(struct linux_guest_disk *disk, u32 reg)
{
	struct linux_guest_disk_state *state = &disk->state;

	switch (reg) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return MMIO_VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return VIRTIO_ID_BLOCK;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return state->device_features_sel > 1 ? 0 :
		       FEATURES >> (32 * state->device_features_sel);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return state->queue_sel ? 0 : LINUX_GUEST_DISK_QUEUE_MAX;
	case VIRTIO_MMIO_QUEUE_READY:
		return state->queue_sel ? 0 : state->queue_ready;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return state->interrupt;
	case VIRTIO_MMIO_STATUS:
		return state->status;
	default:
		return 0;
	}
}

static void read_config(struct linux_guest_disk *disk, u32 offset, void *data, u32 len)
{
	struct virtio_blk_config config = {
		.capacity = disk->state.size / SECTOR_SIZE,
		/* Two more are the header and the status. */
		.seg_max = LINUX_GUEST_DISK_QUEUE_MAX - 2,
	};

	if (offset < sizeof(config) && len <= sizeof(config) - offset)
		memcpy(data, (void *)&config + offset, len);
}

bool linux_guest_disk_mmio(struct linux_guest_disk *disk, u64 gpa, void *data, u32 len,
			   bool is_write)
{
	u32 reg = gpa - LINUX_GUEST_DISK_GPA, value;

	if (gpa < LINUX_GUEST_DISK_GPA ||
	    gpa >= LINUX_GUEST_DISK_GPA + LINUX_GUEST_DISK_MMIO_SIZE)
		return false;

	if (!is_write)
		memset(data, 0, len);

	pthread_mutex_lock(&disk->lock);
	if (reg >= VIRTIO_MMIO_CONFIG) {
		if (!is_write)
			read_config(disk, reg - VIRTIO_MMIO_CONFIG, data, len);
	} else if (len == sizeof(value)) {
		if (is_write) {
			memcpy(&value, data, sizeof(value));
			write_register(disk, reg, value);
		} else {
			value = read_register(disk, reg);
			memcpy(data, &value, sizeof(value));
		}
	}
	pthread_mutex_unlock(&disk->lock);
	return true;
}

size_t linux_guest_disk_saved_size(const struct linux_guest_disk *disk)
{
	return sizeof(disk->state) + disk->state.size;
}

void linux_guest_disk_save(struct linux_guest_disk *disk, void *buf)
{
	pthread_mutex_lock(&disk->lock);
	memcpy(buf, &disk->state, sizeof(disk->state));
	memcpy(buf + sizeof(disk->state), disk->data, disk->state.size);
	pthread_mutex_unlock(&disk->lock);
}

/* The selectors can have any value, and so can a queue that is not ready. */
static bool is_state_valid(struct linux_guest_disk *disk,
			   const struct linux_guest_disk_state *state)
{
	u32 status = state->status;

	if (state->size != disk->state.size || state->queue_ready > 1 ||
	    (state->interrupt & ~INTERRUPTS) ||
	    (status & ~(DRIVER_STATUS | VIRTIO_CONFIG_S_NEEDS_RESET)))
		return false;
	if (status & VIRTIO_CONFIG_S_FEATURES_OK) {
		if (!are_features_valid(state->driver_features))
			return false;
	} else if ((status & VIRTIO_CONFIG_S_DRIVER_OK) || state->queue_ready) {
		return false;
	}
	if (state->queue_ready)
		return is_queue_valid(disk, state);
	return !state->next_avail && !state->next_used;
}

bool linux_guest_disk_load(struct linux_guest_disk *disk, const void *buf, size_t size)
{
	struct linux_guest_disk_state state;
	bool ok = size == linux_guest_disk_saved_size(disk);

	pthread_mutex_lock(&disk->lock);
	reset(disk);
	if (ok) {
		memcpy(&state, buf, sizeof(state));
		ok = is_state_valid(disk, &state);
	}
	if (ok) {
		disk->state = state;
		memcpy(disk->data, buf + sizeof(state), state.size);
		set_interrupt(disk, state.interrupt);
	}
	pthread_mutex_unlock(&disk->lock);
	return ok;
}

struct linux_guest_disk *linux_guest_add_disk(struct linux_guest *guest, size_t size)
{
	struct linux_guest_disk *disk = calloc(1, sizeof(*disk));

	TEST_ASSERT(!(size % SECTOR_SIZE), "No disk has %zu bytes", size);
	TEST_ASSERT(disk, "No memory for a disk");
	disk->guest = guest;
	disk->state.size = size;
	disk->data = calloc(1, size);
	TEST_ASSERT(disk->data, "No memory for a disk of %zu bytes", size);
	pthread_mutex_init(&disk->lock, NULL);
	guest->disk = disk;
	return disk;
}

void linux_guest_free_disk(struct linux_guest_disk *disk)
{
	if (!disk)
		return;
	pthread_mutex_destroy(&disk->lock);
	free(disk->data);
	free(disk);
}
