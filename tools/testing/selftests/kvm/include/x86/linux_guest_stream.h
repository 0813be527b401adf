/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a Linux guest is sent through, see linux_guest_migrate.h: a socket with a
 * deadline, and records.
 *
 * Each record has a number and a MAC, so that one that is changed, missing, repeated
 * or out of place is found, whatever is in it.  The key of the MAC is made of the
 * secret of the two sides and of a nonce of the receiver's: a stream that was recorded
 * is of no use later.
 *
 * This takes the place of the secure channel that a VMM has to use, e.g. TLS.  It does
 * not protect a guest from the hosts, which have the secret.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_STREAM_H
#define SELFTEST_KVM_LINUX_GUEST_STREAM_H

#include <linux/types.h>
#include <stddef.h>

struct linux_guest_stream_key {
	u64 secret;
	u64 nonce;
};

/* In front of "size" bytes. */
struct linux_guest_migration_record {
	__le32 type;
	__le32 index;
	__le64 size;
	__le64 number;			/* of the record, from 0 */
	__le64 mac;			/* of all before, and of what follows */
};

struct linux_guest_stream {
	int fd;
	u64 deadline_ms;
	u64 nr_bytes;			/* written */
	u64 nr_records;			/* written or read */
	struct linux_guest_stream_key key;

	/* What is wrong with a record that is -EBADMSG. */
	char error[96];
};

u64 linux_guest_now_us(void);

void linux_guest_stream_init(struct linux_guest_stream *stream, int fd, unsigned int seconds);

/* 0, -EPIPE or -ETIMEDOUT */
int linux_guest_stream_write(struct linux_guest_stream *stream, const void *data, size_t size);
int linux_guest_stream_read(struct linux_guest_stream *stream, void *data, size_t size);

int linux_guest_stream_write_record(struct linux_guest_stream *stream, u32 type, u32 index,
				    const void *data, size_t size);

/*
 * Read a record into memory that the caller has to free, even if there is nothing in it.
 * Also -EBADMSG if it is not the next record as it was sent, or has more than @max_size
 * bytes, and -ENOMEM; nothing is to be freed then.
 */
int linux_guest_stream_read_record(struct linux_guest_stream *stream,
				   struct linux_guest_migration_record *record, void **data,
				   size_t max_size);

/* SipHash-2-4 of @head, whose size is a multiple of 8, and @data */
u64 linux_guest_stream_mac(const struct linux_guest_stream_key *key, const void *head,
			   size_t head_size, const void *data, size_t size);

/* Put number and MAC into a record that has all else. */
void linux_guest_stream_seal(const struct linux_guest_stream_key *key,
			     struct linux_guest_migration_record *record, u64 number,
			     const void *data);

#endif /* SELFTEST_KVM_LINUX_GUEST_STREAM_H */
