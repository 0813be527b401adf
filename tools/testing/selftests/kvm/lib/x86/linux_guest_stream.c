// SPDX-License-Identifier: GPL-2.0-only
/*
 * A socket with a deadline, and records, see linux_guest_stream.h.
 */
#include <endian.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "kvm_util.h"
#include "linux_guest_stream.h"

u64 linux_guest_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

void linux_guest_stream_init(struct linux_guest_stream *stream, int fd, unsigned int seconds)
{
	*stream = (struct linux_guest_stream) {
		.fd = fd,
		.deadline_ms = linux_guest_now_us() / 1000 + seconds * 1000ull,
	};
}

static int wait_for(struct linux_guest_stream *stream, short events)
{
	struct pollfd pollfd = { .fd = stream->fd, .events = events };
	u64 now = linux_guest_now_us() / 1000;

	if (now >= stream->deadline_ms)
		return -ETIMEDOUT;
	if (poll(&pollfd, 1, stream->deadline_ms - now) < 0 && errno != EINTR)
		return -EPIPE;
	return 0;
}

int linux_guest_stream_write(struct linux_guest_stream *stream, const void *data, size_t size)
{
	ssize_t len;
	int err;

	while (size) {
		len = send(stream->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (len < 0 && errno != EAGAIN && errno != EINTR)
			return -EPIPE;
		if (len < 0) {
			err = wait_for(stream, POLLOUT);
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

int linux_guest_stream_read(struct linux_guest_stream *stream, void *data, size_t size)
{
	ssize_t len;
	int err;

	while (size) {
		len = recv(stream->fd, data, size, MSG_DONTWAIT);
		if (!len || (len < 0 && errno != EAGAIN && errno != EINTR))
			return -EPIPE;
		if (len < 0) {
			err = wait_for(stream, POLLIN);
			if (err)
				return err;
			continue;
		}
		data += len;
		size -= len;
	}
	return 0;
}

static u64 rotate(u64 x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_rounds(u64 v[4], int nr)
{
	while (nr--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32) + v[3];
		v[2] += v[1];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

static void sip_words(u64 v[4], const void *data, size_t nr)
{
	__le64 word;
	size_t i;

	for (i = 0; i < nr; i++) {
		memcpy(&word, data + i * sizeof(word), sizeof(word));
		v[3] ^= le64toh(word);
		sip_rounds(v, 2);
		v[0] ^= le64toh(word);
	}
}

u64 linux_guest_stream_mac(const struct linux_guest_stream_key *key, const void *head,
			   size_t head_size, const void *data, size_t size)
{
	u64 v[] = {
		0x736f6d6570736575ull ^ key->secret,
		0x646f72616e646f6dull ^ key->nonce,
		0x6c7967656e657261ull ^ key->secret,
		0x7465646279746573ull ^ key->nonce,
	};
	u8 last[8] = {};

	memcpy(last, data + size / 8 * 8, size % 8);
	last[7] = head_size + size;

	sip_words(v, head, head_size / 8);
	sip_words(v, data, size / 8);
	sip_words(v, last, 1);
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void linux_guest_stream_seal(const struct linux_guest_stream_key *key,
			     struct linux_guest_migration_record *record, u64 number,
			     const void *data)
{
	record->number = htole64(number);
	record->mac = htole64(linux_guest_stream_mac(key, record, offsetof(typeof(*record), mac),
						     data, le64toh(record->size)));
}

int linux_guest_stream_write_record(struct linux_guest_stream *stream, u32 type, u32 index,
				    const void *data, size_t size)
{
	struct linux_guest_migration_record record = {
		.type = htole32(type),
		.index = htole32(index),
		.size = htole64(size),
	};

	linux_guest_stream_seal(&stream->key, &record, stream->nr_records++, data ?: "");
	return linux_guest_stream_write(stream, &record, sizeof(record)) ?:
	       linux_guest_stream_write(stream, data, size);
}

static int check_record(struct linux_guest_stream *stream,
			const struct linux_guest_migration_record *record, const void *data)
{
	struct linux_guest_migration_record sealed = *record;

	linux_guest_stream_seal(&stream->key, &sealed, le64toh(record->number), data);
	if (sealed.mac != record->mac) {
		snprintf(stream->error, sizeof(stream->error), "record %lu is not as it was sent",
			 stream->nr_records);
		return -EBADMSG;
	}
	if (le64toh(record->number) != stream->nr_records) {
		snprintf(stream->error, sizeof(stream->error), "record %llu in place of %lu",
			 (unsigned long long)le64toh(record->number), stream->nr_records);
		return -EBADMSG;
	}
	stream->nr_records++;
	return 0;
}

int linux_guest_stream_read_record(struct linux_guest_stream *stream,
				   struct linux_guest_migration_record *record, void **data,
				   size_t max_size)
{
	size_t size;
	int err;

	err = linux_guest_stream_read(stream, record, sizeof(*record));
	if (err)
		return err;
	if (le64toh(record->size) > max_size) {
		snprintf(stream->error, sizeof(stream->error), "record %lu is too large",
			 stream->nr_records);
		return -EBADMSG;
	}
	size = le64toh(record->size);
	*data = malloc(size ?: 1);
	if (!*data)
		return -ENOMEM;
	err = linux_guest_stream_read(stream, *data, size) ?: check_record(stream, record, *data);
	if (err) {
		free(*data);
		*data = NULL;
	}
	return err;
}
