/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Send a Linux guest through a stream with which something is wrong.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_SABOTEUR_H
#define SELFTEST_KVM_LINUX_GUEST_SABOTEUR_H

#include "linux_guest_migrate.h"

/* Of a record, or of the header. */
enum linux_guest_sabotage {
	SABOTAGE_NONE,
	SABOTAGE_CORRUPT,	/* as if the sender had sent that */
	SABOTAGE_GROW,		/* the same, and it is not a byte but what follows the record */
	SABOTAGE_CHANGE,	/* on the way: the MAC is as before */
	SABOTAGE_CUT,		/* the stream ends there */
	SABOTAGE_DROP,
	SABOTAGE_REPEAT,
	SABOTAGE_SWAP,		/* it comes after the next one */
	SABOTAGE_OLD,		/* the one of the stream before */
	SABOTAGE_HELLO,		/* a byte of what the receiver begins with */
};

/*
 * It is done to the header of the stream (type 0), or to the first record of a type
 * with an index, SABOTAGE_CORRUPT to all of them.  A byte is changed, or the first that
 * is missing, at @offset from the beginning of the header or record; SABOTAGE_GROW appends
 * @offset bytes of 0 to a record.
 */
struct linux_guest_saboteur {
	enum linux_guest_sabotage sabotage;
	u32 type;
	u32 index;
	u32 offset;
	u8 flip;
};

/* As linux_guest_send() through @fd. */
int linux_guest_send_sabotaged(struct linux_guest *guest, struct linux_guest_migration *m,
			       int fd, unsigned int seconds,
			       const struct linux_guest_saboteur *saboteur);

#endif /* SELFTEST_KVM_LINUX_GUEST_SABOTEUR_H */
