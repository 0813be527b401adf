/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A disk for a Linux guest: virtio-blk over MMIO, in memory of the test.
 *
 * Requests are carried out on the thread of the vCPU that notifies the device,
 * so that none is under way while no vCPU runs.  As nothing that the guest puts
 * into its memory is trusted, this is also an example of such a device.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_VIRTIO_H
#define SELFTEST_KVM_LINUX_GUEST_VIRTIO_H

#include <pthread.h>

#include "linux_guest.h"

/* Above what a guest can have of memory; the pin is an ISA interrupt, by edge. */
#define LINUX_GUEST_DISK_GPA		0xd0000000
#define LINUX_GUEST_DISK_MMIO_SIZE	0x1000
#define LINUX_GUEST_DISK_IRQ		5
#define LINUX_GUEST_DISK_CMDLINE	"virtio_mmio.device=4K@0xd0000000:5 "

#define LINUX_GUEST_DISK_QUEUE_MAX	128

/* All that the guest can see or change but the contents. */
struct linux_guest_disk_state {
	u64 size;
	u64 driver_features;
	u64 desc;
	u64 avail;
	u64 used;
	u32 device_features_sel;
	u32 driver_features_sel;
	u32 status;
	u32 interrupt;
	u32 queue_sel;
	u32 queue_num;
	u32 queue_ready;
	u16 next_avail;
	u16 next_used;
};

struct linux_guest_disk {
	struct linux_guest *guest;
	u8 *data;
	struct linux_guest_disk_state state;
	pthread_mutex_t lock;

	/* Why the device needs a reset, or NULL. */
	const char *broken;

	/*
	 * The test's, both optional, called under the lock.  may_access() is
	 * asked before each access to the guest's memory, and the guest is
	 * stopped if the answer is no.  wrote() is told of each write, which
	 * KVM's dirty log does not see.
	 */
	bool (*may_access)(struct linux_guest *guest, u64 gpa, u64 size);
	void (*wrote)(struct linux_guest *guest, u64 gpa, u64 size);
};

/*
 * To be called before linux_guest_run(), for a guest whose command line has
 * LINUX_GUEST_DISK_CMDLINE.  @size is in bytes, a multiple of 512.
 */
struct linux_guest_disk *linux_guest_add_disk(struct linux_guest *guest, size_t size);

/*
 * The device and its contents as bytes, while no vCPU runs.  The pending MMIO
 * of a vCPU must have been completed before.  On the other side, load after
 * KVM_SET_IRQCHIP; false, and a disk as after a reset, if the bytes are not
 * what a disk of this size can have saved.
 */
size_t linux_guest_disk_saved_size(const struct linux_guest_disk *disk);
void linux_guest_disk_save(struct linux_guest_disk *disk, void *buf);
bool linux_guest_disk_load(struct linux_guest_disk *disk, const void *buf, size_t size);

/* The library's own: true if the access was to this device. */
bool linux_guest_disk_mmio(struct linux_guest_disk *disk, u64 gpa, void *data, u32 len,
			   bool is_write);
void linux_guest_free_disk(struct linux_guest_disk *disk);

#endif /* SELFTEST_KVM_LINUX_GUEST_VIRTIO_H */
