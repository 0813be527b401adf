/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Move a running Linux guest to another process, through a socket.
 *
 * Memory is copied while the guest runs, in rounds, each of them what the guest
 * has written during the one before.  Then the guest is paused, the rest of its
 * memory and its state follow, and the receiver takes over once it has said that
 * it could.
 *
 * What hosts with encrypted guests can get wrong is which pages are private.
 * As hardware does, a page that the guest has as private is sent transformed by
 * the guest's key and the page's gpa.  The stream doesn't tell which pages these
 * are: the receiver takes back the transformation of the pages that aren't in
 * the list of shared ranges, which is part of the stream.  A page about which
 * list and guest disagree arrives as garbage.
 *
 * The private pages of a real SEV guest go through the security processors of both
 * hosts, see linux_guest_psp.h.  Which pages these are says the list, on both sides.
 *
 * Both sides return 0 or a negative errno:
 *
 * -EPERM            the guest does not allow its migration, or no longer
 * -ECANCELED        the guest has ended while it was sent; to the receiver:
 *                   the sender has given up
 * -EPIPE            the other side is gone
 * -ETIMEDOUT
 * -EREMOTEIO        the receiver has failed, remote_error is its errno
 * -EPROTO           this is no such stream, or no such answer
 * -EACCES, -EKEYREJECTED, -EOPNOTSUPP, -EIO
 *                   a security processor refuses, see linux_guest_psp.h
 *
 * and what only the receiver finds:
 *
 * -EPROTONOSUPPORT  it is one of another version
 * -EINVAL           the guest is another machine: vCPUs, memory, type of VM
 * -EBADMSG          a record that is malformed, out of place or not as it was sent
 * -ENOSPC           more shared ranges than the list may have
 * -ENOMEM
 * -EIO              KVM or a device does not take the state, see guest->error
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_MIGRATE_H
#define SELFTEST_KVM_LINUX_GUEST_MIGRATE_H

#include <pthread.h>
#include <stdio.h>

#include "linux_guest.h"
#include "linux_guest_stream.h"
#include "migration_handshake.h"
#include "shared_ranges.h"

#define LINUX_GUEST_MIGRATION_MAGIC	0x3447494d4d56534bull	/* "KSVMMIG4" */
#define LINUX_GUEST_MIGRATION_VERSION	2

/* All of it is little-endian.  First the receiver says, for SEV with a struct psp_platform: */
struct linux_guest_migration_hello {
	__le64 magic;
	__le32 version;
	__le32 reserved;
	__le64 nonce;			/* for all MACs, see linux_guest_stream.h */
};

/* Then the stream begins with: */
struct linux_guest_migration_header {
	__le64 magic;
	__le32 version;
	__le32 nr_vcpus;
	__le64 mem_size;
	__le32 vm_type;
	__le32 tsc_khz;
	__le64 mac;
};

/* What follows are records. */
enum linux_guest_migration_record_type {
	MIGRATION_RECORD_SHARED = 1,	/* the list, before any page; again when it changed */
	MIGRATION_RECORD_PAGES,		/* __le64 gpa, then pages */
	MIGRATION_RECORD_STATE,		/* index: counts them, they have one order */
	MIGRATION_RECORD_ABORT,		/* nothing follows */
	MIGRATION_RECORD_GO,		/* the receiver may run the guest */
	MIGRATION_RECORD_SESSION,	/* of an SEV guest, before the list: struct psp_session */
	MIGRATION_RECORD_PACKETS,	/* __le64 gpa, then a struct psp_packet for each page */
};

/* What the receiver says once it has all states, or as soon as it fails. */
struct linux_guest_migration_reply {
	__le64 magic;
	__le32 error;			/* errno or 0 */
	__le32 reserved;
	char what[128];			/* its guest->error, which says more */
};

/* Most pages in a record. */
#define LINUX_GUEST_MIGRATION_MAX_PAGES	64

#define LINUX_GUEST_MIGRATION_ROUNDS	8
#define LINUX_GUEST_MIGRATION_FEW_PAGES	512

struct linux_guest_migration {
	/*
	 * What the guest has told its host.  The lock is for whoever handles
	 * the guest's exits; it is not taken while the guest is paused.
	 */
	pthread_mutex_t lock;
	struct shared_ranges shared;
	enum migration_state state;

	/* Both sides have to know it. */
	u64 key;

	/* The rest is optional, and up to the sender if nothing else is said. */
	void *private;

	/*
	 * Sets the bits of all pages that are private in truth, i.e. by the
	 * guest's page tables.  The guest is paused.  Without, the list is true.
	 */
	void (*find_private)(struct linux_guest *guest, struct linux_guest_migration *m,
			     unsigned long *pages);

	/* Before each round, while the guest runs, from a thread of its own. */
	void (*round)(struct linux_guest *guest, struct linux_guest_migration *m, int round);

	/*
	 * The state of devices; 0 or a negative errno, which becomes -EIO.
	 * What is loaded is whatever the sender says.
	 */
	int (*save_devices)(struct linux_guest *guest, struct linux_guest_migration *m,
			    FILE *stream);
	int (*load_devices)(struct linux_guest *guest, struct linux_guest_migration *m,
			    const void *data, size_t size);

	/* Pause after so many rounds, or if a round would have no more pages. */
	int max_rounds;			/* 0: LINUX_GUEST_MIGRATION_ROUNDS */
	u64 few_pages;			/* 0: LINUX_GUEST_MIGRATION_FEW_PAGES */

	/* What the sender has done. */
	int nr_rounds;			/* while the guest ran */
	u64 nr_pages;			/* in all of them, and later */
	u64 nr_paused_pages;		/* sent while the guest was paused, */
	u64 nr_changed_pages;		/* of these only because their status changed */
	u64 nr_bytes;
	u64 total_us;
	u64 downtime_us;		/* from the request to pause to RECORD_GO */
	enum linux_guest_end end;	/* with -ECANCELED: of the guest */
	int remote_error;		/* with -EREMOTEIO: an errno, */
	char remote_what[128];		/* and what it is about, if there is more to say */
};

/* @max_ranges: most ranges in the list.  Nothing is shared. */
void linux_guest_migration_init(struct linux_guest_migration *m, u64 max_ranges);
void linux_guest_migration_destroy(struct linux_guest_migration *m);

/*
 * Send a guest that is paused or was never run; it runs while it is sent, by the
 * calling thread and as many more as it has vCPUs.  On return it does not run.
 *
 * 0: the guest lives on the other side, here there is only linux_guest_free().
 * Otherwise it is still here and can be run on, but for -ECANCELED: it has ended.
 * The socket is of no more use in any case.
 */
int linux_guest_send(struct linux_guest *guest, struct linux_guest_migration *m, int fd,
		     unsigned int seconds);

/*
 * Receive into a guest of linux_guest_create_empty().  Capabilities, filters and
 * hooks are not part of the stream: the guest must have those of the sender's.
 *
 * 0: the guest can be run.  Otherwise there is only linux_guest_free(), and list
 * and state are whatever has arrived.
 */
int linux_guest_receive(struct linux_guest *guest, struct linux_guest_migration *m, int fd,
			unsigned int seconds);

/*
 * fork() for a test that is both sides: each process has one end of all @nr sockets, for
 * as many migrations.
 */
pid_t linux_guest_fork(int *sockets, int nr);

/*
 * The dirty log is about what vCPUs and KVM write.  A device that has written to
 * the guest's memory has to say so, after it did.
 */
void linux_guest_written(struct linux_guest *guest, u64 gpa, u64 size);

/*
 * The library's own.  All that a paused guest consists of besides its memory is a
 * sequence of states, saved and loaded in one order, by linux_guest_state.c, which
 * doesn't know where they go and where they come from.
 */
struct linux_guest_state_sink {
	void (*put)(struct linux_guest_state_sink *sink, const void *data, size_t size);
};

struct linux_guest_state_source {
	/*
	 * The next state, whose size goes to *@size unless that is NULL; 0 or a
	 * negative errno, e.g. -EBADMSG if it is smaller or larger than it may be.
	 */
	int (*get)(struct linux_guest_state_source *source, void *data, size_t min_size,
		   size_t max_size, size_t *size);
};

/* 0, or -EIO if a device could not be saved. */
int linux_guest_save_state(struct linux_guest *guest, struct linux_guest_migration *m,
			   struct linux_guest_state_sink *sink);

/* 0, what @source returns, or -EBADMSG, -ENOMEM or -EIO as above. */
int linux_guest_load_state(struct linux_guest *guest, struct linux_guest_migration *m,
			   struct linux_guest_state_source *source);

#endif /* SELFTEST_KVM_LINUX_GUEST_MIGRATE_H */
