// SPDX-License-Identifier: GPL-2.0-only
/*
 * Send a running Linux guest to another process, and receive it there, see
 * linux_guest_migrate.h.
 */
#include <endian.h>
#include <linux/bitmap.h>
#include <poll.h>
#include <sys/socket.h>

#include "kvm_util.h"
#include "linux_guest_migrate.h"
#include "processor.h"

struct stream {
	int fd;
	u64 deadline_ms;
	u64 nr_bytes;
};

struct page_record {
	struct linux_guest_migration_record record;
	__le64 gpa;
	u8 pages[LINUX_GUEST_MIGRATION_MAX_PAGES * PAGE_SIZE];
} __aligned(8);

/* Bitmaps have a bit per page. */
struct sender {
	struct linux_guest *guest;
	struct linux_guest_migration *m;
	struct stream stream;
	u64 nr_pages;
	unsigned long *dirty;		/* to be sent */
	unsigned long *log;		/* for KVM_GET_DIRTY_LOG */
	unsigned long *private;		/* as far as known now */
	unsigned long *sent;
	unsigned long *sent_private;	/* what has been sent was transformed */
	struct page_record *buf;
	struct linux_guest_state_sink sink;
	u32 nr_states;
	FILE *state_stream;
	char *state;
	size_t state_size;
	u64 pause_us;
	bool paused;
	int err;
};

struct receiver {
	struct linux_guest *guest;
	struct linux_guest_migration *m;
	struct stream stream;
	u64 nr_pages;
	unsigned long *received;
	unsigned long *private;		/* by the newest list, as all that was received */
	bool has_list;
	struct linux_guest_state_source source;
	struct linux_guest_migration_record record;	/* the newest */
	u32 nr_states;
};

static u64 now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

static void stream_init(struct stream *stream, int fd, unsigned int seconds)
{
	*stream = (struct stream) { fd, now_us() / 1000 + seconds * 1000ull };
}

static int stream_wait(struct stream *stream, short events)
{
	struct pollfd pollfd = { .fd = stream->fd, .events = events };
	u64 now = now_us() / 1000;

	if (now >= stream->deadline_ms)
		return -ETIMEDOUT;
	if (poll(&pollfd, 1, stream->deadline_ms - now) < 0 && errno != EINTR)
		return -EPIPE;
	return 0;
}

static int stream_write(struct stream *stream, const void *data, size_t size)
{
	ssize_t len;
	int err;

	while (size) {
		len = send(stream->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (len < 0 && errno != EAGAIN && errno != EINTR)
			return -EPIPE;
		if (len < 0) {
			err = stream_wait(stream, POLLOUT);
			if (err)
				return err;
			continue;
		}
		data += len;
		size -= len;
		stream->nr_bytes += len;
	}
	return 0;
}

static int stream_read(struct stream *stream, void *data, size_t size)
{
	ssize_t len;
	int err;

	while (size) {
		len = recv(stream->fd, data, size, MSG_DONTWAIT);
		if (!len || (len < 0 && errno != EAGAIN && errno != EINTR))
			return -EPIPE;
		if (len < 0) {
			err = stream_wait(stream, POLLIN);
			if (err)
				return err;
			continue;
		}
		data += len;
		size -= len;
	}
	return 0;
}

static struct linux_guest_migration_record make_record(u32 type, u32 index, u64 size)
{
	return (struct linux_guest_migration_record) {
		htole32(type), htole32(index), htole64(size)
	};
}

static int write_record(struct stream *stream, u32 type, const void *data, size_t size)
{
	struct linux_guest_migration_record record = make_record(type, 0, size);

	return stream_write(stream, &record, sizeof(record)) ?: stream_write(stream, data, size);
}

/*
 * Its own inverse, and no cryptography: all that it has to do is to make garbage
 * of a page that is another one or has another status.
 */
static void transform(u64 *page, u64 key, u64 gpa)
{
	u64 x = (key ^ gpa) * 0x9e3779b97f4a7c15ull ?: 1;
	int i;

	for (i = 0; i < PAGE_SIZE / sizeof(*page); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		page[i] ^= x;
	}
}

static unsigned long *alloc_bitmap(u64 nr_pages)
{
	unsigned long *bitmap = bitmap_zalloc(nr_pages);

	TEST_ASSERT(bitmap, "No memory for a bit for each of %lu pages", nr_pages);
	return bitmap;
}

static void find_unshared(const struct shared_ranges *shared, unsigned long *pages, u64 nr_pages)
{
	const struct shared_range *range = shared_ranges_next(shared, 0);
	u64 page, end;

	for (page = 0; page < nr_pages; page++)
		__set_bit(page, pages);

	for (; range; range = shared_ranges_next(shared, range->end)) {
		end = range->end / PAGE_SIZE;
		for (page = range->start / PAGE_SIZE; page < end && page < nr_pages; page++)
			__clear_bit(page, pages);
	}
}

static void put_state(struct linux_guest_state_sink *sink, const void *data, size_t size)
{
	struct sender *s = container_of(sink, struct sender, sink);
	struct linux_guest_migration_record record =
		make_record(MIGRATION_RECORD_STATE, s->nr_states++, size);

	fwrite(&record, sizeof(record), 1, s->state_stream);
	fwrite(data, size, 1, s->state_stream);
}

static int save_state(struct sender *s)
{
	int err;

	s->sink.put = put_state;
	s->state_stream = open_memstream(&s->state, &s->state_size);
	TEST_ASSERT(s->state_stream, "No memory for the state");
	err = linux_guest_save_state(s->guest, s->m, &s->sink);
	TEST_ASSERT(!fclose(s->state_stream), "No memory for the state");
	return err;
}

/*
 * Pages that nobody has touched are zero on the other side as well, private or
 * not.  If there is no telling, all were touched.
 */
static void find_touched(struct sender *s)
{
	u64 first = (u64)addr_gpa2hva(s->guest->vm, 0) / PAGE_SIZE;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	u64 page, entry = ~0ull;

	for (page = 0; page < s->nr_pages; page++) {
		if (fd >= 0 && pread(fd, &entry, sizeof(entry),
				     (first + page) * sizeof(entry)) != sizeof(entry))
			entry = ~0ull;
		if (entry & (BIT_ULL(63) | BIT_ULL(62)))	/* present, swapped */
			__set_bit(page, s->dirty);
	}
	if (fd >= 0)
		close(fd);
}

static u64 collect_dirty(struct sender *s)
{
	u64 nr = 0;
	int i;

	kvm_vm_get_dirty_log(s->guest->vm, LINUX_GUEST_MEMSLOT, s->log);
	for (i = 0; i < BITS_TO_LONGS(s->nr_pages); i++) {
		s->dirty[i] |= s->log[i] |
			       __atomic_exchange_n(&s->guest->written[i], 0, __ATOMIC_ACQ_REL);
		nr += __builtin_popcountl(s->dirty[i]);
	}
	return nr;
}

/* What the receiver has under the other status is garbage there. */
static void collect_changed(struct sender *s)
{
	u64 nr_changed = 0;
	int i;

	for (i = 0; i < BITS_TO_LONGS(s->nr_pages); i++) {
		unsigned long changed = s->sent[i] & (s->sent_private[i] ^ s->private[i]);

		nr_changed += __builtin_popcountl(changed & ~s->dirty[i]);
		s->dirty[i] |= changed;
	}
	s->m->nr_changed_pages = nr_changed;
}

static int send_list(struct sender *s)
{
	struct linux_guest_migration *m = s->m;
	size_t size;
	void *data;
	int err;

	pthread_mutex_lock(&m->lock);
	size = shared_ranges_stream_size(&m->shared);
	data = malloc(size);
	TEST_ASSERT(data, "No memory for a list of %zu bytes", size);
	err = shared_ranges_save(&m->shared, m->state, data, size);
	find_unshared(&m->shared, s->private, s->nr_pages);
	pthread_mutex_unlock(&m->lock);

	TEST_ASSERT(!err, "The list can't be saved, errno %d", -err);
	err = write_record(&s->stream, MIGRATION_RECORD_SHARED, data, size);
	free(data);
	return err;
}

static int send_run(struct sender *s, u64 first, u64 nr)
{
	void *pages = addr_gpa2hva(s->guest->vm, first * PAGE_SIZE);
	u64 page;

	s->buf->record = make_record(MIGRATION_RECORD_PAGES, 0,
				     sizeof(s->buf->gpa) + nr * PAGE_SIZE);
	s->buf->gpa = htole64(first * PAGE_SIZE);
	memcpy(s->buf->pages, pages, nr * PAGE_SIZE);

	for (page = first; page < first + nr; page++) {
		__clear_bit(page, s->dirty);
		__set_bit(page, s->sent);
		__clear_bit(page, s->sent_private);
		if (!test_bit(page, s->private))
			continue;
		__set_bit(page, s->sent_private);
		transform((u64 *)(s->buf->pages + (page - first) * PAGE_SIZE), s->m->key,
			  page * PAGE_SIZE);
	}
	s->m->nr_pages += nr;
	return stream_write(&s->stream, s->buf, offsetof(struct page_record, pages) +
			    nr * PAGE_SIZE);
}

/* Ends early if the guest isn't running any more. */
static int send_dirty(struct sender *s, bool running)
{
	u64 first, nr;
	int err;

	for (first = 0; first < s->nr_pages; first += nr) {
		nr = 1;
		if (!test_bit(first, s->dirty))
			continue;
		while (nr < LINUX_GUEST_MIGRATION_MAX_PAGES && first + nr < s->nr_pages &&
		       test_bit(first + nr, s->dirty))
			nr++;

		if (running && READ_ONCE(s->paused))
			break;
		err = send_run(s, first, nr);
		if (err)
			return err;
	}
	return 0;
}

static int send_rounds(struct sender *s)
{
	struct linux_guest_migration *m = s->m;
	int max_rounds = m->max_rounds ?: LINUX_GUEST_MIGRATION_ROUNDS;
	u64 few_pages = m->few_pages ?: LINUX_GUEST_MIGRATION_FEW_PAGES;
	int err;

	while (!READ_ONCE(s->paused)) {
		if (m->round)
			m->round(s->guest, m, m->nr_rounds);
		/* By the list, until it is known what is true. */
		err = send_list(s) ?: send_dirty(s, true);
		if (err)
			return err;
		m->nr_rounds++;
		if (collect_dirty(s) <= few_pages || m->nr_rounds >= max_rounds)
			break;
	}
	return 0;
}

static void *send_thread(void *arg)
{
	struct sender *s = arg;

	s->err = send_rounds(s);
	s->pause_us = now_us();
	linux_guest_stop(s->guest, LINUX_GUEST_PAUSED);
	return NULL;
}

static int send_header(struct sender *s)
{
	struct linux_guest *guest = s->guest;
	struct linux_guest_migration_header header = {
		.magic = htole64(LINUX_GUEST_MIGRATION_MAGIC),
		.version = htole32(LINUX_GUEST_MIGRATION_VERSION),
		.nr_vcpus = htole32(guest->nr_vcpus),
		.mem_size = htole64(guest->mem_size),
		.vm_type = htole32(guest->vm->type),
		.tsc_khz = htole32(__vcpu_ioctl(guest->vcpus[0], KVM_GET_TSC_KHZ, NULL)),
	};

	return stream_write(&s->stream, &header, sizeof(header));
}

static int read_reply(struct sender *s)
{
	struct linux_guest_migration_reply reply;
	int err;

	err = stream_read(&s->stream, &reply, sizeof(reply));
	if (err)
		return err;
	if (le64toh(reply.magic) != LINUX_GUEST_MIGRATION_MAGIC || reply.reserved ||
	    le32toh(reply.error) > 4095)
		return -EPROTO;
	s->m->remote_error = le32toh(reply.error);
	return reply.error ? -EREMOTEIO : 0;
}

static bool is_allowed(struct linux_guest_migration *m)
{
	bool allowed;

	pthread_mutex_lock(&m->lock);
	allowed = migration_allowed(m->state);
	pthread_mutex_unlock(&m->lock);
	return allowed;
}

/* The guest is paused: now status and contents of all pages are final. */
static int send_rest(struct sender *s)
{
	u64 nr_pages = s->m->nr_pages;
	int err;

	if (!is_allowed(s->m))
		return -EPERM;

	/* First, as KVM may write to the guest's memory. */
	err = save_state(s);
	if (err)
		return err;

	err = send_list(s);
	if (err)
		return err;
	if (s->m->find_private) {
		memset(s->private, 0, BITS_TO_LONGS(s->nr_pages) * sizeof(long));
		s->m->find_private(s->guest, s->m, s->private);
	}
	collect_dirty(s);
	collect_changed(s);
	err = send_dirty(s, false);
	s->m->nr_paused_pages = s->m->nr_pages - nr_pages;

	return err ?: stream_write(&s->stream, s->state, s->state_size) ?:
	       read_reply(s) ?: write_record(&s->stream, MIGRATION_RECORD_GO, NULL, 0);
}

static int send_guest(struct sender *s, unsigned int seconds)
{
	struct linux_guest *guest = s->guest;
	enum linux_guest_end end;
	pthread_t thread;

	TEST_ASSERT(!pthread_create(&thread, NULL, send_thread, s), "No thread for a migration");
	end = linux_guest_run(guest, seconds);
	WRITE_ONCE(s->paused, true);
	pthread_join(thread, NULL);
	/* The thread's stop, if something else has ended the run. */
	guest->end = LINUX_GUEST_RUNNING;

	if (end == LINUX_GUEST_TIMEOUT)
		return -ETIMEDOUT;
	if (end != LINUX_GUEST_PAUSED) {
		s->m->end = end;
		return -ECANCELED;
	}
	return s->err ?: send_rest(s);
}

int linux_guest_send(struct linux_guest *guest, struct linux_guest_migration *m, int fd,
		     unsigned int seconds)
{
	u64 start_us = now_us(), nr_pages = guest->mem_size / PAGE_SIZE;
	struct sender s;
	int err;

	if (!is_allowed(m))
		return -EPERM;

	s = (struct sender) {
		.guest = guest,
		.m = m,
		.nr_pages = nr_pages,
		.dirty = alloc_bitmap(nr_pages),
		.log = alloc_bitmap(nr_pages),
		.private = alloc_bitmap(nr_pages),
		.sent = alloc_bitmap(nr_pages),
		.sent_private = alloc_bitmap(nr_pages),
		.buf = malloc(sizeof(*s.buf)),
	};
	TEST_ASSERT(s.buf, "No memory for %d pages", LINUX_GUEST_MIGRATION_MAX_PAGES);
	stream_init(&s.stream, fd, seconds);
	m->nr_rounds = 0;
	m->nr_pages = 0;
	m->nr_paused_pages = 0;
	m->nr_changed_pages = 0;
	m->remote_error = 0;

	memset(guest->written, 0, BITS_TO_LONGS(nr_pages) * sizeof(long));
	vm_mem_region_set_flags(guest->vm, LINUX_GUEST_MEMSLOT, KVM_MEM_LOG_DIRTY_PAGES);
	find_touched(&s);
	err = send_header(&s) ?: send_guest(&s, seconds);
	vm_mem_region_set_flags(guest->vm, LINUX_GUEST_MEMSLOT, 0);

	/* A receiver that refuses does not read on, and may have said why. */
	if (err == -EPIPE && read_reply(&s) == -EREMOTEIO)
		err = -EREMOTEIO;
	else if (err)
		write_record(&s.stream, MIGRATION_RECORD_ABORT, NULL, 0);

	m->nr_bytes = s.stream.nr_bytes;
	m->total_us = now_us() - start_us;
	m->downtime_us = s.pause_us ? now_us() - s.pause_us : 0;

	free(s.state);
	free(s.buf);
	free(s.sent_private);
	free(s.sent);
	free(s.private);
	free(s.log);
	free(s.dirty);
	return err;
}

static int receive_header(struct receiver *r)
{
	struct linux_guest_migration_header header;
	struct linux_guest *guest = r->guest;
	unsigned long tsc_khz;
	int i, err;

	err = stream_read(&r->stream, &header, sizeof(header));
	if (err)
		return err;
	if (le64toh(header.magic) != LINUX_GUEST_MIGRATION_MAGIC)
		return -EPROTO;
	if (le32toh(header.version) != LINUX_GUEST_MIGRATION_VERSION)
		return -EPROTONOSUPPORT;
	if (le32toh(header.nr_vcpus) != guest->nr_vcpus ||
	    le64toh(header.mem_size) != guest->mem_size ||
	    le32toh(header.vm_type) != guest->vm->type)
		return -EINVAL;

	tsc_khz = le32toh(header.tsc_khz);
	for (i = 0; i < guest->nr_vcpus; i++) {
		if (__vcpu_ioctl(guest->vcpus[i], KVM_SET_TSC_KHZ, (void *)tsc_khz)) {
			snprintf(guest->error, sizeof(guest->error), "TSC of %lu kHz, errno %d",
				 tsc_khz, errno);
			return -EIO;
		}
	}
	return 0;
}

static int receive_list(struct receiver *r, u64 size)
{
	struct linux_guest_migration *m = r->m;
	unsigned long *private;
	u64 page;
	void *data;
	int err;

	if (size < sizeof(struct shared_ranges_header))
		return -EBADMSG;
	if ((size - sizeof(struct shared_ranges_header)) / sizeof(struct shared_range) >
	    m->shared.max)
		return -ENOSPC;
	data = malloc(size);
	if (!data)
		return -ENOMEM;
	err = stream_read(&r->stream, data, size);
	if (!err) {
		err = shared_ranges_load(&m->shared, &m->state, data, size);
		if (err == -EINVAL)
			err = -EBADMSG;
	}
	free(data);
	if (err)
		return err;

	private = alloc_bitmap(r->nr_pages);
	find_unshared(&m->shared, private, r->nr_pages);
	for (page = 0; page < r->nr_pages; page++) {
		if (test_bit(page, r->received) &&
		    test_bit(page, private) != test_bit(page, r->private))
			transform(addr_gpa2hva(r->guest->vm, page * PAGE_SIZE), m->key,
				  page * PAGE_SIZE);
	}
	free(r->private);
	r->private = private;
	r->has_list = true;
	return 0;
}

static int receive_pages(struct receiver *r, u64 size)
{
	__le64 le_gpa;
	u64 gpa, page;
	int err;

	if (!r->has_list || size < sizeof(le_gpa) + PAGE_SIZE ||
	    size > sizeof(le_gpa) + LINUX_GUEST_MIGRATION_MAX_PAGES * PAGE_SIZE)
		return -EBADMSG;
	size -= sizeof(le_gpa);
	err = stream_read(&r->stream, &le_gpa, sizeof(le_gpa));
	if (err)
		return err;
	gpa = le64toh(le_gpa);
	if (size % PAGE_SIZE || gpa % PAGE_SIZE || gpa >= r->guest->mem_size ||
	    size > r->guest->mem_size - gpa)
		return -EBADMSG;

	err = stream_read(&r->stream, addr_gpa2hva(r->guest->vm, gpa), size);
	if (err)
		return err;
	for (page = gpa / PAGE_SIZE; page < (gpa + size) / PAGE_SIZE; page++) {
		__set_bit(page, r->received);
		if (test_bit(page, r->private))
			transform(addr_gpa2hva(r->guest->vm, page * PAGE_SIZE), r->m->key,
				  page * PAGE_SIZE);
	}
	return 0;
}

/* Returns once r->record is that of the first state. */
static int receive_memory(struct receiver *r)
{
	struct linux_guest_migration_record *record = &r->record;
	int err;

	for (;;) {
		err = stream_read(&r->stream, record, sizeof(*record));
		if (err)
			return err;
		switch (le32toh(record->type)) {
		case MIGRATION_RECORD_SHARED:
			err = receive_list(r, le64toh(record->size));
			break;
		case MIGRATION_RECORD_PAGES:
			err = receive_pages(r, le64toh(record->size));
			break;
		case MIGRATION_RECORD_STATE:
			if (!r->has_list)
				return -EBADMSG;
			return migration_allowed(r->m->state) ? 0 : -EPERM;
		case MIGRATION_RECORD_ABORT:
			return -ECANCELED;
		default:
			return -EBADMSG;
		}
		if (err)
			return err;
	}
}

static int get_state(struct linux_guest_state_source *source, void *data, size_t min_size,
		     size_t max_size, size_t *size)
{
	struct receiver *r = container_of(source, struct receiver, source);
	struct linux_guest_migration_record *record = &r->record;
	u64 record_size;
	int err;

	if (r->nr_states) {
		err = stream_read(&r->stream, record, sizeof(*record));
		if (err)
			return err;
	}
	if (le32toh(record->type) == MIGRATION_RECORD_ABORT)
		return -ECANCELED;
	record_size = le64toh(record->size);
	if (le32toh(record->type) != MIGRATION_RECORD_STATE ||
	    le32toh(record->index) != r->nr_states ||
	    record_size < min_size || record_size > max_size)
		return -EBADMSG;

	r->nr_states++;
	if (size)
		*size = record_size;
	return stream_read(&r->stream, data, record_size);
}

static int receive_guest(struct receiver *r)
{
	r->source.get = get_state;
	return receive_header(r) ?: receive_memory(r) ?:
	       linux_guest_load_state(r->guest, r->m, &r->source);
}

/* Two processes that run the same guest would be worse than none. */
static int wait_for_go(struct receiver *r)
{
	struct linux_guest_migration_record record;
	int err;

	err = stream_read(&r->stream, &record, sizeof(record));
	if (err)
		return err;
	if (le32toh(record.type) == MIGRATION_RECORD_ABORT)
		return -ECANCELED;
	return le32toh(record.type) == MIGRATION_RECORD_GO && !record.size ? 0 : -EBADMSG;
}

int linux_guest_receive(struct linux_guest *guest, struct linux_guest_migration *m, int fd,
			unsigned int seconds)
{
	u64 nr_pages = guest->mem_size / PAGE_SIZE;
	struct receiver r = {
		.guest = guest,
		.m = m,
		.nr_pages = nr_pages,
		.received = alloc_bitmap(nr_pages),
		.private = alloc_bitmap(nr_pages),
	};
	struct linux_guest_migration_reply reply = {
		.magic = htole64(LINUX_GUEST_MIGRATION_MAGIC),
	};
	int err;

	stream_init(&r.stream, fd, seconds);
	err = receive_guest(&r);
	reply.error = htole32(-err);
	if (err)
		stream_write(&r.stream, &reply, sizeof(reply));
	else
		err = stream_write(&r.stream, &reply, sizeof(reply)) ?: wait_for_go(&r);
	if (err)
		shutdown(fd, SHUT_RDWR);

	free(r.private);
	free(r.received);
	return err;
}

void linux_guest_migration_init(struct linux_guest_migration *m, u64 max_ranges)
{
	memset(m, 0, sizeof(*m));
	pthread_mutex_init(&m->lock, NULL);
	shared_ranges_init(&m->shared, max_ranges);
}

void linux_guest_migration_destroy(struct linux_guest_migration *m)
{
	shared_ranges_clear(&m->shared);
	pthread_mutex_destroy(&m->lock);
}

void linux_guest_written(struct linux_guest *guest, u64 gpa, u64 size)
{
	u64 page;

	TEST_ASSERT(size && gpa < guest->mem_size && size <= guest->mem_size - gpa,
		    "Nothing can be written to 0x%lx, %lu bytes", gpa, size);
	for (page = gpa / PAGE_SIZE; page <= (gpa + size - 1) / PAGE_SIZE; page++)
		__atomic_fetch_or(&guest->written[page / BITS_PER_LONG],
				  BIT(page % BITS_PER_LONG), __ATOMIC_ACQ_REL);
}
