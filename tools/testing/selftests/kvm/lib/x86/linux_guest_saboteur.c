// SPDX-License-Identifier: GPL-2.0-only
/*
 * A thread between sender and receiver that does something to what it passes on, see
 * linux_guest_saboteur.h.
 */
#include <endian.h>
#include <sys/socket.h>

#include "kvm_util.h"
#include "linux_guest_saboteur.h"

struct proxy {
	const struct linux_guest_saboteur *saboteur;
	struct linux_guest_stream_key key;
	int from, to;
	bool done;
};

/* A record and what is in it, in one piece. */
struct piece {
	struct linux_guest_migration_record *record;
	size_t size;
};

/* Of the stream before. */
static struct linux_guest_migration_header old_header;

static bool pass_on(struct proxy *p, const void *data, size_t size)
{
	ssize_t len;

	for (; size; data += len, size -= len) {
		len = send(p->to, data, size, MSG_NOSIGNAL);
		if (len <= 0)
			return false;
	}
	return true;
}

static void seal_header(struct proxy *p, struct linux_guest_migration_header *header)
{
	header->mac = htole64(linux_guest_stream_mac(&p->key, header,
						     offsetof(typeof(*header), mac), "", 0));
}

static bool pass_header(struct proxy *p)
{
	const struct linux_guest_saboteur *saboteur = p->saboteur;
	struct linux_guest_migration_header header, original;
	size_t size = sizeof(header);

	if (recv(p->from, &header, sizeof(header), MSG_WAITALL) != sizeof(header))
		return false;
	original = header;
	if (!saboteur->type) {
		switch (saboteur->sabotage) {
		case SABOTAGE_CORRUPT:
			((u8 *)&header)[saboteur->offset] ^= saboteur->flip;
			seal_header(p, &header);
			break;
		case SABOTAGE_CHANGE:
			((u8 *)&header)[saboteur->offset] ^= saboteur->flip;
			break;
		case SABOTAGE_CUT:
			size = saboteur->offset;
			break;
		case SABOTAGE_OLD:
			header = old_header;
			break;
		default:
			break;
		}
	}
	old_header = original;
	return pass_on(p, &header, size) && size == sizeof(header);
}

static bool take(struct proxy *p, struct piece *piece)
{
	struct linux_guest_migration_record record;
	size_t size;

	if (recv(p->from, &record, sizeof(record), MSG_WAITALL) != sizeof(record))
		return false;
	size = le64toh(record.size);
	piece->size = sizeof(record) + size;
	piece->record = malloc(piece->size);
	TEST_ASSERT(piece->record, "No memory for a record");
	*piece->record = record;
	return !size || recv(p->from, piece->record + 1, size, MSG_WAITALL) == size;
}

static bool is_wanted(struct proxy *p, const struct piece *piece)
{
	return !p->done && le32toh(piece->record->type) == p->saboteur->type &&
	       le32toh(piece->record->index) == p->saboteur->index;
}

static void grow(struct piece *piece, size_t size)
{
	piece->record = realloc(piece->record, piece->size + size);
	TEST_ASSERT(piece->record, "No memory for a record");
	memset((u8 *)piece->record + piece->size, 0, size);
	piece->size += size;
	piece->record->size = htole64(piece->size - sizeof(*piece->record));
}

static bool sabotage(struct proxy *p, struct piece *piece)
{
	const struct linux_guest_saboteur *saboteur = p->saboteur;
	struct piece next;
	u64 real_size;
	bool ok;

	TEST_ASSERT(saboteur->offset < piece->size || saboteur->sabotage == SABOTAGE_GROW,
		    "A record of %zu bytes has no byte %u", piece->size, saboteur->offset);
	/* A sender that is wrong is so each time. */
	p->done = saboteur->sabotage != SABOTAGE_CORRUPT;
	switch (saboteur->sabotage) {
	case SABOTAGE_CORRUPT:
		real_size = piece->record->size;
		((u8 *)piece->record)[saboteur->offset] ^= saboteur->flip;
		/* If it is the size that is wrong, nothing else is looked at. */
		if (piece->record->size == real_size)
			linux_guest_stream_seal(&p->key, piece->record,
						le64toh(piece->record->number), piece->record + 1);
		return pass_on(p, piece->record, piece->size);
	case SABOTAGE_GROW:
		grow(piece, saboteur->offset);
		linux_guest_stream_seal(&p->key, piece->record, le64toh(piece->record->number),
					piece->record + 1);
		return pass_on(p, piece->record, piece->size);
	case SABOTAGE_CHANGE:
		((u8 *)piece->record)[saboteur->offset] ^= saboteur->flip;
		return pass_on(p, piece->record, piece->size);
	case SABOTAGE_CUT:
		pass_on(p, piece->record, saboteur->offset);
		return false;
	case SABOTAGE_DROP:
		return true;
	case SABOTAGE_REPEAT:
		return pass_on(p, piece->record, piece->size) &&
		       pass_on(p, piece->record, piece->size);
	case SABOTAGE_SWAP:
		if (!take(p, &next))
			return false;
		ok = pass_on(p, next.record, next.size) &&
		     pass_on(p, piece->record, piece->size);
		free(next.record);
		return ok;
	default:
		return pass_on(p, piece->record, piece->size);
	}
}

static void *pass_stream(void *arg)
{
	struct proxy *p = arg;
	struct piece piece;
	bool ok;

	for (ok = pass_header(p); ok; free(piece.record)) {
		ok = take(p, &piece);
		if (!ok)
			break;
		ok = is_wanted(p, &piece) ? sabotage(p, &piece) :
					    pass_on(p, piece.record, piece.size);
	}
	/* What has come back stays readable. */
	shutdown(p->to, SHUT_WR);
	shutdown(p->from, SHUT_RD);
	return NULL;
}

/* The sender says nothing before it has the hello, and so the other thread has the key. */
static void *pass_answers(void *arg)
{
	struct linux_guest_migration_hello hello;
	struct proxy *p = arg;
	const struct linux_guest_saboteur *saboteur = p->saboteur;
	u64 offset = sizeof(hello);
	u8 data[512];
	ssize_t len;

	if (recv(p->to, &hello, sizeof(hello), MSG_WAITALL) == sizeof(hello)) {
		p->key.nonce = le64toh(hello.nonce);
		send(p->from, &hello, sizeof(hello), MSG_NOSIGNAL);
		while ((len = recv(p->to, data, sizeof(data), 0)) > 0) {
			if (saboteur->sabotage == SABOTAGE_HELLO && saboteur->offset >= offset &&
			    saboteur->offset < offset + len)
				data[saboteur->offset - offset] ^= saboteur->flip;
			send(p->from, data, len, MSG_NOSIGNAL);
			offset += len;
		}
	}
	shutdown(p->from, SHUT_WR);
	return NULL;
}

int linux_guest_send_sabotaged(struct linux_guest *guest, struct linux_guest_migration *m,
			       int fd, unsigned int seconds,
			       const struct linux_guest_saboteur *saboteur)
{
	struct proxy p = { .saboteur = saboteur, .key.secret = m->key, .to = fd };
	pthread_t threads[2];
	int pair[2], err;

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair(), errno %d", errno);
	p.from = pair[1];
	TEST_ASSERT(!pthread_create(&threads[0], NULL, pass_stream, &p) &&
		    !pthread_create(&threads[1], NULL, pass_answers, &p), "No thread");
	err = linux_guest_send(guest, m, pair[0], seconds);
	shutdown(pair[0], SHUT_RDWR);
	pthread_join(threads[0], NULL);
	/* The receiver may wait for more than it got. */
	shutdown(fd, SHUT_WR);
	pthread_join(threads[1], NULL);
	close(pair[0]);
	close(pair[1]);
	return err;
}
