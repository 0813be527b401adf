/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The private memory of an SEV guest on its way to another host: packets that the
 * security processor (PSP) of one makes, and that of the other takes.
 *
 * The PSP of the receiver is known by its PDH, a public key.  With it the sender's
 * makes keys that only the two PSPs have, and a session that tells them to the other.
 * A packet is encrypted, and refused if it was changed.  But whoever has the packets
 * can leave out some, or have them in another order or in another place: that is up
 * to what carries them.
 *
 * Functions return 0 or a negative errno, and say in linux_guest::error which command
 * has failed and how:
 *
 * -EACCES        the guest's policy forbids it (POLICY_FAILURE)
 * -EKEYREJECTED  a certificate or a session is not right, or not for this PSP
 * -EBADMSG       a packet is not as it was made
 * -EOPNOTSUPP    the PSP does not do that with such a guest
 * -EIO           all else
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_PSP_H
#define SELFTEST_KVM_LINUX_GUEST_PSP_H

#include "linux_guest.h"

/* Of the policy of a guest without encrypted registers; see also sev.h. */
#define SEV_POLICY_NOSEND	BIT(3)
#define SEV_POLICY_DOMAIN	BIT(4)
#define SEV_POLICY_SEV		BIT(5)
/* The least that a host has to have. */
#define SEV_POLICY_API(major, minor)	((major) << 16 | (u32)(minor) << 24)

#define PSP_CERT_SIZE		0x824
#define PSP_CERT_API		0x4		/* in that of the PEK: major, minor */
#define PSP_CHAIN_SIZE		(3 * PSP_CERT_SIZE)
#define PSP_AMD_CERTS_SIZE	0x2000
#define PSP_SESSION_SIZE	0x80
#define PSP_HEADER_SIZE		0x34

/* A host, as who sends to it has to know it. */
struct psp_platform {
	u8 pdh[PSP_CERT_SIZE];
	u8 chain[PSP_CHAIN_SIZE];		/* PEK, OCA, CEK: who has signed the PDH */

	/* ASK and ARK: who has signed the CEK.  For guests with SEV_POLICY_SEV. */
	__le32 amd_certs_size;
	u8 amd_certs[PSP_AMD_CERTS_SIZE];
};

/* What the receiver begins with. */
struct psp_session {
	__le32 policy;
	u8 pdh[PSP_CERT_SIZE];			/* the sender's */
	u8 session[PSP_SESSION_SIZE];
};

/* A page. */
struct psp_packet {
	u8 header[PSP_HEADER_SIZE];
	u8 data[SZ_4K];
};

/* A PSP's command, and what it has answered. */
const char *psp_status_name(u32 status);
int psp_command(struct linux_guest *guest, const char *name, u32 id, void *data);

int psp_read_platform(struct linux_guest *guest, struct psp_platform *platform);

/* Of this host's PSP. */
int psp_api_version(struct linux_guest *guest, u8 *major, u8 *minor);

/* AMD's, if QEMU has them for an emulated PSP; real ones are from AMD's web site. */
bool psp_read_amd_certs(struct psp_platform *platform);

/*
 * From here on packets can be made, while the guest runs on.  After psp_send_cancel()
 * that has to begin anew, and after psp_send_finish() the guest is no more.
 */
int psp_send_start(struct linux_guest *guest, const struct psp_platform *to,
		   struct psp_session *session);
int psp_send_page(struct linux_guest *guest, u64 gpa, struct psp_packet *packet);
int psp_send_finish(struct linux_guest *guest);
int psp_send_cancel(struct linux_guest *guest);

/*
 * Into a guest of linux_guest_create_empty(), with the policy that it has to have, or
 * else -EINVAL.
 */
int psp_receive_start(struct linux_guest *guest, const struct psp_session *session);
int psp_receive_page(struct linux_guest *guest, u64 gpa, const struct psp_packet *packet);
int psp_receive_finish(struct linux_guest *guest);

#endif /* SELFTEST_KVM_LINUX_GUEST_PSP_H */
