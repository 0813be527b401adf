// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sockets between two machines, see linux_guest_link.h.
 *
 * A connection is two rings, one for each direction.  Threads copy between the rings
 * and a pair of sockets, so that whoever uses one notices no difference.  There is no
 * interrupt: they look now and then.
 */
#include <dirent.h>
#include <linux/sizes.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "kvm_util.h"
#include "linux_guest_link.h"

#define VENDOR			0x1af4
#define DEVICE			0x1110
#define DEVICES			"/sys/bus/pci/devices"

#define RING_SIZE		((u64)SZ_512K - SZ_4K)
#define LINK_SIZE		(LINUX_GUEST_LINK_CONNECTIONS * 2 * SZ_512K)

/* How long nothing happens before a thread looks again. */
#define MIN_SLEEP_US		50
#define MAX_SLEEP_US		1000

/* Counts of bytes; what a side writes is on a cache line of its own. */
struct ring {
	struct {
		u64 written;
		u64 is_closed;
	} __aligned(64) writer;
	struct {
		u64 read;
		u64 is_gone;
	} __aligned(64) reader;
	u8 data[RING_SIZE] __aligned(SZ_4K);
};

struct pump {
	struct ring *ring;
	int fd;
};

static u32 read_id(const char *device, const char *name)
{
	char path[PATH_MAX];
	u32 id = 0;
	FILE *file;

	snprintf(path, sizeof(path), DEVICES "/%s/%s", device, name);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%x", &id) != 1)
		id = 0;
	fclose(file);
	return id;
}

/* Into @name, which has room for any. */
static bool find_device(char *name)
{
	DIR *dir = opendir(DEVICES);
	bool found = false;
	struct dirent *entry;

	while (dir && !found && (entry = readdir(dir))) {
		found = read_id(entry->d_name, "vendor") == VENDOR &&
			read_id(entry->d_name, "device") == DEVICE;
		if (found)
			strcpy(name, entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

bool linux_guest_link_exists(void)
{
	char name[NAME_MAX + 1];

	return find_device(name);
}

static void *map_link(void)
{
	char name[NAME_MAX + 1], path[PATH_MAX];
	static void *mem;
	int fd;

	if (mem)
		return mem;
	TEST_ASSERT(find_device(name), "There is no line to another machine");
	snprintf(path, sizeof(path), DEVICES "/%s/enable", name);
	fd = open(path, O_WRONLY);
	TEST_ASSERT(fd >= 0 && write(fd, "1", 1) == 1, "%s, errno %d", path, errno);
	close(fd);
	snprintf(path, sizeof(path), DEVICES "/%s/resource2", name);
	fd = open(path, O_RDWR);
	TEST_ASSERT(fd >= 0, "%s, errno %d", path, errno);
	mem = kvm_mmap(LINK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	close(fd);
	return mem;
}

static u64 get(const u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void put(u64 *p, u64 value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static void look_later(unsigned int *sleep_us)
{
	usleep(*sleep_us);
	*sleep_us = min_t(unsigned int, *sleep_us * 2, MAX_SLEEP_US);
}

static void *pump_out(void *arg)
{
	struct pump *pump = arg;
	struct ring *ring = pump->ring;
	unsigned int sleep_us = MIN_SLEEP_US;
	u64 written = 0, room, offset;
	ssize_t len;

	while (!get(&ring->reader.is_gone)) {
		room = RING_SIZE - (written - get(&ring->reader.read));
		if (!room) {
			look_later(&sleep_us);
			continue;
		}
		offset = written % RING_SIZE;
		len = recv(pump->fd, ring->data + offset, min_t(u64, room, RING_SIZE - offset),
			   MSG_DONTWAIT);
		if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
			look_later(&sleep_us);
			continue;
		}
		if (len <= 0)
			break;
		sleep_us = MIN_SLEEP_US;
		written += len;
		put(&ring->writer.written, written);
	}
	put(&ring->writer.is_closed, true);
	/* For whoever writes what nobody will read. */
	shutdown(pump->fd, SHUT_RD);
	free(pump);
	return NULL;
}

static void *pump_in(void *arg)
{
	struct pump *pump = arg;
	struct ring *ring = pump->ring;
	unsigned int sleep_us = MIN_SLEEP_US;
	u64 read = 0, there, offset;
	bool closed;
	ssize_t len;

	for (;;) {
		/* In this order: what is written is written before it is closed. */
		closed = get(&ring->writer.is_closed);
		there = get(&ring->writer.written) - read;
		if (!there && closed)
			break;
		if (!there) {
			look_later(&sleep_us);
			continue;
		}
		TEST_ASSERT(there <= RING_SIZE, "The other machine wrote %lu bytes", there);
		offset = read % RING_SIZE;
		len = send(pump->fd, ring->data + offset, min_t(u64, there, RING_SIZE - offset),
			   MSG_NOSIGNAL);
		if (len <= 0)
			break;
		sleep_us = MIN_SLEEP_US;
		read += len;
		put(&ring->reader.read, read);
	}
	put(&ring->reader.is_gone, true);
	shutdown(pump->fd, SHUT_WR);
	free(pump);
	return NULL;
}

static void start(void *(*function)(void *), struct ring *ring, int fd)
{
	struct pump *pump = malloc(sizeof(*pump));
	pthread_t thread;

	TEST_ASSERT(pump, "No memory for a connection");
	*pump = (struct pump) { ring, fd };
	TEST_ASSERT(!pthread_create(&thread, NULL, function, pump), "No thread for a connection");
	pthread_detach(thread);
}

int linux_guest_link_connect(int side, int nr)
{
	struct ring (*rings)[2] = map_link();
	int pair[2];

	static_assert(sizeof(struct ring) == SZ_512K);
	static_assert(RING_SIZE % SZ_4K == 0);
	TEST_ASSERT(nr >= 0 && nr < LINUX_GUEST_LINK_CONNECTIONS, "There is no connection %d", nr);
	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair(), errno %d", errno);
	start(pump_out, &rings[nr][side], pair[1]);
	start(pump_in, &rings[nr][!side], pair[1]);
	return pair[0];
}
