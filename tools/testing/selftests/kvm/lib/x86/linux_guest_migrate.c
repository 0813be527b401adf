// SPDX-License-Identifier: GPL-2.0-only
/*
 * Send a running Linux guest to another process, and receive it there, see
 * linux_guest_migrate.h.
 */
#include <endian.h>
#include <linux/bitmap.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "kvm_util.h"
#include "linux_guest_migrate.h"
#include "linux_guest_psp.h"
#include "processor.h"
#include "sev.h"

/* More than any state or list. */
#define MAX_RECORD_SIZE		SZ_128M

struct page_record {
	__le64 gpa;
	union {
		u8 pages[LINUX_GUEST_MIGRATION_MAX_PAGES * PAGE_SIZE];
		struct psp_packet packets[LINUX_GUEST_MIGRATION_MAX_PAGES];
	};
} __aligned(8);

/* Bitmaps have a bit per page. */
struct sender {
	struct linux_guest *guest;
	struct linux_guest_migration *m;
	struct linux_guest_stream stream;
	u64 nr_pages;
	unsigned long *dirty;		/* to be sent */
	unsigned long *log;		/* for KVM_GET_DIRTY_LOG */
	unsigned long *private;		/* as far as known now */
	unsigned long *sent;
	unsigned long *sent_private;	/* what has been sent was transformed */
	struct page_record *buf;
	struct linux_guest_state_sink sink;
	FILE *state_stream;
	char *state;
	size_t state_size;
	u64 pause_us;
	bool paused;
	struct psp_platform *platform;	/* the receiver's, if it has to have one */
	bool psp_started;
	int err;
};

struct receiver {
	struct linux_guest *guest;
	struct linux_guest_migration *m;
	struct linux_guest_stream stream;
	u64 nr_pages;
	unsigned long *received;
	unsigned long *private;		/* by the newest list, as all that was received */
	bool has_list;
	bool has_session;		/* with the security processor of the sender */
	struct linux_guest_state_source source;
	struct linux_guest_migration_record record;	/* the newest, */
	void *data;					/* and what is in it */
	u32 nr_states;
};

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

	fwrite(&size, sizeof(size), 1, s->state_stream);
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

static int send_state(struct sender *s)
{
	size_t offset, size;
	u32 index = 0;
	int err;

	for (offset = 0; offset < s->state_size; offset += size) {
		memcpy(&size, s->state + offset, sizeof(size));
		offset += sizeof(size);
		err = linux_guest_stream_write_record(&s->stream, MIGRATION_RECORD_STATE, index++,
						      s->state + offset, size);
		if (err)
			return err;
	}
	return 0;
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

	linux_guest_get_dirty_log(s->guest, s->log);
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
	err = linux_guest_stream_write_record(&s->stream, MIGRATION_RECORD_SHARED, 0, data,
					      size);
	free(data);
	return err;
}

static int send_packets(struct sender *s, u64 first, u64 nr)
{
	u64 i;
	int err;

	for (i = 0; i < nr; i++) {
		err = psp_send_page(s->guest, (first + i) * PAGE_SIZE, &s->buf->packets[i]);
		if (err)
			return err;
	}
	return linux_guest_stream_write_record(&s->stream, MIGRATION_RECORD_PACKETS, 0, s->buf,
					       offsetof(struct page_record, packets[nr]));
}

static int send_pages(struct sender *s, u64 first, u64 nr)
{
	u64 i;

	memcpy(s->buf->pages, addr_gpa2hva(s->guest->vm, first * PAGE_SIZE), nr * PAGE_SIZE);
	for (i = 0; i < nr && !s->platform; i++) {
		if (test_bit(first + i, s->private))
			transform((u64 *)(s->buf->pages + i * PAGE_SIZE), s->m->key,
				  (first + i) * PAGE_SIZE);
	}
	return linux_guest_stream_write_record(&s->stream, MIGRATION_RECORD_PAGES, 0, s->buf,
					       offsetof(struct page_record, pages) +
					       nr * PAGE_SIZE);
}

static int send_run(struct sender *s, u64 first, u64 nr)
{
	u64 page;

	for (page = first; page < first + nr; page++) {
		__clear_bit(page, s->dirty);
		__set_bit(page, s->sent);
		if (test_bit(page, s->private))
			__set_bit(page, s->sent_private);
		else
			__clear_bit(page, s->sent_private);
	}
	s->m->nr_pages += nr;
	s->buf->gpa = htole64(first * PAGE_SIZE);
	return s->platform && test_bit(first, s->private) ? send_packets(s, first, nr) :
							    send_pages(s, first, nr);
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
		       test_bit(first + nr, s->dirty) &&
		       (!s->platform ||
			test_bit(first + nr, s->private) == test_bit(first, s->private)))
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
	s->pause_us = linux_guest_now_us();
	linux_guest_stop(s->guest, LINUX_GUEST_PAUSED);
	return NULL;
}

static void seal_header(const struct linux_guest_stream_key *key,
			struct linux_guest_migration_header *header)
{
	header->mac = htole64(linux_guest_stream_mac(key, header, offsetof(typeof(*header), mac),
						     "", 0));
}

/* The receiver speaks first: nobody can have recorded what its nonce belongs to. */
static int read_hello(struct sender *s)
{
	struct linux_guest_migration_hello hello;
	int err;

	err = linux_guest_stream_read(&s->stream, &hello, sizeof(hello));
	if (err)
		return err;
	if (le64toh(hello.magic) != LINUX_GUEST_MIGRATION_MAGIC)
		return -EPROTO;
	if (le32toh(hello.version) != LINUX_GUEST_MIGRATION_VERSION)
		return -EPROTONOSUPPORT;
	s->stream.key = (struct linux_guest_stream_key) { s->m->key, le64toh(hello.nonce) };
	return s->platform ? linux_guest_stream_read(&s->stream, s->platform,
						     sizeof(*s->platform)) : 0;
}

/* Keys that the two security processors have, and nobody else. */
static int send_session(struct sender *s)
{
	struct psp_session session;
	int err;

	if (!s->platform)
		return 0;
	err = psp_send_start(s->guest, s->platform, &session);
	if (err)
		return err;
	s->psp_started = true;
	return linux_guest_stream_write_record(&s->stream, MIGRATION_RECORD_SESSION, 0, &session,
					       sizeof(session));
}

/* What has been sent is of no use to anyone, and the guest can be run on here. */
static int end_session(struct sender *s, int err)
{
	int cancel_err;

	if (!s->psp_started)
		return err;
	if (!err)
		return psp_send_finish(s->guest);
	cancel_err = psp_send_cancel(s->guest);
	TEST_ASSERT(!cancel_err, "The guest cannot be run on: %s", s->guest->error);
	return err;
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

	seal_header(&s->stream.key, &header);
	return linux_guest_stream_write(&s->stream, &header, sizeof(header));
}

static int read_reply(struct sender *s)
{
	struct linux_guest_migration_reply reply;
	int err;

	err = linux_guest_stream_read(&s->stream, &reply, sizeof(reply));
	if (err)
		return err;
	if (le64toh(reply.magic) != LINUX_GUEST_MIGRATION_MAGIC || reply.reserved ||
	    le32toh(reply.error) > 4095 || reply.what[sizeof(reply.what) - 1])
		return -EPROTO;
	s->m->remote_error = le32toh(reply.error);
	memcpy(s->m->remote_what, reply.what, sizeof(reply.what));
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
	/* What a security processor takes for private is true. */
	if (s->m->find_private && !s->platform) {
		memset(s->private, 0, BITS_TO_LONGS(s->nr_pages) * sizeof(long));
		s->m->find_private(s->guest, s->m, s->private);
	}
	collect_dirty(s);
	collect_changed(s);
	err = send_dirty(s, false);
	s->m->nr_paused_pages = s->m->nr_pages - nr_pages;

	return err ?: send_state(s) ?: read_reply(s) ?:
	       linux_guest_stream_write_record(&s->stream, MIGRATION_RECORD_GO, 0, NULL, 0);
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
	u64 start_us = linux_guest_now_us(), nr_pages = guest->mem_size / PAGE_SIZE;
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
	if (is_sev_vm(guest->vm)) {
		s.platform = malloc(sizeof(*s.platform));
		TEST_ASSERT(s.platform, "No memory for certificates");
	}
	linux_guest_stream_init(&s.stream, fd, seconds);
	m->nr_rounds = 0;
	m->nr_pages = 0;
	m->nr_paused_pages = 0;
	m->nr_changed_pages = 0;
	m->remote_error = 0;
	m->remote_what[0] = '\0';

	memset(guest->written, 0, BITS_TO_LONGS(nr_pages) * sizeof(long));
	linux_guest_log_dirty_pages(guest, true);
	find_touched(&s);
	err = read_hello(&s) ?: send_header(&s) ?: send_session(&s) ?: send_guest(&s, seconds);
	err = end_session(&s, err);
	linux_guest_log_dirty_pages(guest, false);

	/* A receiver that refuses does not read on, and may have said why. */
	if (err == -EPIPE && read_reply(&s) == -EREMOTEIO)
		err = -EREMOTEIO;
	else if (err)
		linux_guest_stream_write_record(&s.stream, MIGRATION_RECORD_ABORT, 0, NULL, 0);

	m->nr_bytes = s.stream.nr_bytes;
	m->total_us = linux_guest_now_us() - start_us;
	m->downtime_us = s.pause_us ? linux_guest_now_us() - s.pause_us : 0;

	free(s.platform);
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
	struct linux_guest_migration_header header, sealed;
	struct linux_guest *guest = r->guest;
	unsigned long tsc_khz;
	int i, err;

	err = linux_guest_stream_read(&r->stream, &header, sizeof(header));
	if (err)
		return err;
	if (le64toh(header.magic) != LINUX_GUEST_MIGRATION_MAGIC)
		return -EPROTO;
	if (le32toh(header.version) != LINUX_GUEST_MIGRATION_VERSION)
		return -EPROTONOSUPPORT;
	sealed = header;
	seal_header(&r->stream.key, &sealed);
	if (sealed.mac != header.mac) {
		snprintf(guest->error, sizeof(guest->error), "the header is not as it was sent");
		return -EBADMSG;
	}
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

static int read_record(struct receiver *r)
{
	int err;

	free(r->data);
	r->data = NULL;
	err = linux_guest_stream_read_record(&r->stream, &r->record, &r->data, MAX_RECORD_SIZE);
	if (err == -EBADMSG)
		snprintf(r->guest->error, sizeof(r->guest->error), "%s", r->stream.error);
	return err;
}

static int receive_list(struct receiver *r, u64 size)
{
	struct linux_guest_migration *m = r->m;
	unsigned long *private;
	u64 page;
	int err;

	if (size < sizeof(struct shared_ranges_header) ||
	    is_sev_vm(r->guest->vm) != r->has_session)
		return -EBADMSG;
	if ((size - sizeof(struct shared_ranges_header)) / sizeof(struct shared_range) >
	    m->shared.max)
		return -ENOSPC;
	err = shared_ranges_load(&m->shared, &m->state, r->data, size);
	if (err)
		return err == -EINVAL ? -EBADMSG : err;

	private = alloc_bitmap(r->nr_pages);
	find_unshared(&m->shared, private, r->nr_pages);
	for (page = 0; page < r->nr_pages && !r->has_session; page++) {
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

static int receive_session(struct receiver *r, u64 size)
{
	int err;

	if (!is_sev_vm(r->guest->vm) || r->has_session || r->has_list ||
	    size != sizeof(struct psp_session))
		return -EBADMSG;
	err = psp_receive_start(r->guest, r->data);
	r->has_session = !err;
	return err;
}

/* A page of the guest or a packet, and what becomes of it */
static int receive_page(struct receiver *r, u64 gpa, const void *data, bool packet)
{
	void *page = addr_gpa2hva(r->guest->vm, gpa);
	bool private = test_bit(gpa / PAGE_SIZE, r->private);

	if (r->has_session && private != packet) {
		snprintf(r->guest->error, sizeof(r->guest->error),
			 "page 0x%lx is %sa packet, and %sshared by the list", gpa,
			 packet ? "" : "not ", private ? "not " : "");
		return -EBADMSG;
	}
	__set_bit(gpa / PAGE_SIZE, r->received);
	if (packet)
		return psp_receive_page(r->guest, gpa, data);
	memcpy(page, data, PAGE_SIZE);
	if (private)
		transform(page, r->m->key, gpa);
	return 0;
}

static int receive_pages(struct receiver *r, u64 size, bool packets)
{
	u64 i, nr, gpa, unit = packets ? sizeof(struct psp_packet) : PAGE_SIZE;
	const struct page_record *record = r->data;
	int err;

	if (!r->has_list || packets > r->has_session || size < sizeof(record->gpa) + unit ||
	    size > sizeof(record->gpa) + LINUX_GUEST_MIGRATION_MAX_PAGES * unit)
		return -EBADMSG;
	size -= sizeof(record->gpa);
	nr = size / unit;
	gpa = le64toh(record->gpa);
	if (size % unit || gpa % PAGE_SIZE || gpa >= r->guest->mem_size ||
	    nr * PAGE_SIZE > r->guest->mem_size - gpa)
		return -EBADMSG;

	for (i = 0; i < nr; i++, gpa += PAGE_SIZE) {
		err = receive_page(r, gpa, record->pages + i * unit, packets);
		if (err)
			return err;
	}
	return 0;
}

/* Returns once r->record is that of the first state. */
static int receive_memory(struct receiver *r)
{
	u64 size;
	int err;

	for (;;) {
		err = read_record(r);
		if (err)
			return err;
		size = le64toh(r->record.size);
		switch (le32toh(r->record.type)) {
		case MIGRATION_RECORD_SESSION:
			err = receive_session(r, size);
			break;
		case MIGRATION_RECORD_SHARED:
			err = receive_list(r, size);
			break;
		case MIGRATION_RECORD_PAGES:
		case MIGRATION_RECORD_PACKETS:
			err = receive_pages(r, size, le32toh(r->record.type) ==
						     MIGRATION_RECORD_PACKETS);
			break;
		case MIGRATION_RECORD_STATE:
			if (!r->has_list)
				return -EBADMSG;
			if (!migration_allowed(r->m->state))
				return -EPERM;
			return r->has_session ? psp_receive_finish(r->guest) : 0;
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
	u64 record_size;
	int err;

	if (r->nr_states) {
		err = read_record(r);
		if (err)
			return err;
	}
	if (le32toh(r->record.type) == MIGRATION_RECORD_ABORT)
		return -ECANCELED;
	record_size = le64toh(r->record.size);
	if (le32toh(r->record.type) != MIGRATION_RECORD_STATE ||
	    le32toh(r->record.index) != r->nr_states ||
	    record_size < min_size || record_size > max_size)
		return -EBADMSG;

	r->nr_states++;
	if (size)
		*size = record_size;
	memcpy(data, r->data, record_size);
	return 0;
}

static int send_hello(struct receiver *r)
{
	struct linux_guest_migration_hello hello = {
		.magic = htole64(LINUX_GUEST_MIGRATION_MAGIC),
		.version = htole32(LINUX_GUEST_MIGRATION_VERSION),
	};
	struct psp_platform platform;
	int err;

	r->stream.key.secret = r->m->key;
	if (getrandom(&r->stream.key.nonce, sizeof(r->stream.key.nonce), 0) < 0)
		return -EIO;
	hello.nonce = htole64(r->stream.key.nonce);
	err = linux_guest_stream_write(&r->stream, &hello, sizeof(hello));
	if (err || !is_sev_vm(r->guest->vm))
		return err;
	return psp_read_platform(r->guest, &platform) ?:
	       linux_guest_stream_write(&r->stream, &platform, sizeof(platform));
}

static int receive_guest(struct receiver *r)
{
	r->source.get = get_state;
	return send_hello(r) ?: receive_header(r) ?: receive_memory(r) ?:
	       linux_guest_load_state(r->guest, r->m, &r->source);
}

/* Two processes that run the same guest would be worse than none. */
static int wait_for_go(struct receiver *r)
{
	int err;

	err = read_record(r);
	if (err)
		return err;
	if (le32toh(r->record.type) == MIGRATION_RECORD_ABORT)
		return -ECANCELED;
	return le32toh(r->record.type) == MIGRATION_RECORD_GO && !r->record.size ? 0 : -EBADMSG;
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

	linux_guest_stream_init(&r.stream, fd, seconds);
	err = receive_guest(&r);
	if (err == -EBADMSG && !guest->error[0])
		snprintf(guest->error, sizeof(guest->error), "what is in record %lu, of type %u",
			 r.stream.nr_records - 1, le32toh(r.record.type));
	reply.error = htole32(-err);
	if (err)
		snprintf(reply.what, sizeof(reply.what), "%s", guest->error);
	if (err)
		linux_guest_stream_write(&r.stream, &reply, sizeof(reply));
	else
		err = linux_guest_stream_write(&r.stream, &reply, sizeof(reply)) ?: wait_for_go(&r);
	if (err)
		shutdown(fd, SHUT_RDWR);

	free(r.data);
	free(r.private);
	free(r.received);
	return err;
}

pid_t linux_guest_fork(int *sockets, int nr)
{
	int i, (*pairs)[2] = calloc(nr, sizeof(*pairs));
	pid_t other;

	TEST_ASSERT(pairs, "No memory for sockets");
	for (i = 0; i < nr; i++)
		TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]),
			    "socketpair(), errno %d", errno);
	fflush(stdout);
	other = fork();
	TEST_ASSERT(other >= 0, "fork(), errno %d", errno);
	for (i = 0; i < nr; i++) {
		sockets[i] = pairs[i][!other];
		close(pairs[i][!!other]);
	}
	free(pairs);
	return other;
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
