// SPDX-License-Identifier: GPL-2.0-only
/*
 * Quotes for TDs, see linux_guest_quote.h.
 *
 * Structures are those of the TDX module's specification, TDREPORT_STRUCT, and of
 * Intel's DCAP quotes, version 4.
 */
#include <stddef.h>
#include <string.h>

#include <linux/sizes.h>

#include "kvm_util.h"
#include "linux_guest_quote.h"

#define BUFFER_VERSION		1

#define REPORT_TYPE_TDX		0x81

#define QUOTE_VERSION		4
#define QUOTE_KEY_ECDSA_P256	2

struct td_report {
	u8 type;
	u8 type_other[15];
	u8 cpu_svn[16];
	u8 hashes[96];
	u8 data[64];
	u8 other[32];
	u8 mac[32];
	/* TEE_TCB_INFO */
	u64 tcb_valid;
	u8 tcb_svn[16];
	u8 seam[48 + 48 + 8];			/* MRSEAM, MRSIGNERSEAM, attributes */
	u8 tcb_other[128];
	/* TDINFO_STRUCT */
	u8 td[8 + 8 + 4 * 48 + 4 * 48];		/* up to RTMRs */
	u8 td_other[112];
} __packed;

kvm_static_assert(sizeof(struct td_report) == SZ_1K);
kvm_static_assert(offsetof(struct td_report, data) == 128);
kvm_static_assert(offsetof(struct td_report, tcb_valid) == 256);
kvm_static_assert(offsetof(struct td_report, td) == 512);

struct quote {
	u16 version;
	u16 key_type;
	u32 tee_type;
	u8 other[40];
	u8 tcb_svn[16];
	u8 seam[48 + 48 + 8];
	u8 td[8 + 8 + 4 * 48 + 4 * 48];
	u8 data[64];
	u32 signature_size;
} __packed;

kvm_static_assert(offsetof(struct quote, data) + 64 == 48 + 584);

void linux_guest_write_quote(struct linux_guest_quote_buffer *buffer, u64 size)
{
	struct td_report report;
	struct quote quote = {
		.version = QUOTE_VERSION,
		.key_type = QUOTE_KEY_ECDSA_P256,
		.tee_type = REPORT_TYPE_TDX,
	};

	memcpy(&report, buffer->data, sizeof(report));
	if (buffer->version != BUFFER_VERSION || buffer->in_size != sizeof(report) ||
	    size < sizeof(*buffer) + sizeof(report) || report.type != REPORT_TYPE_TDX) {
		__atomic_store_n(&buffer->status, LINUX_GUEST_QUOTE_ERROR, __ATOMIC_RELEASE);
		return;
	}
	memcpy(quote.tcb_svn, report.tcb_svn, sizeof(quote.tcb_svn));
	memcpy(quote.seam, report.seam, sizeof(quote.seam));
	memcpy(quote.td, report.td, sizeof(quote.td));
	memcpy(quote.data, report.data, sizeof(quote.data));
	memcpy(buffer->data, &quote, sizeof(quote));
	buffer->out_size = sizeof(quote);
	__atomic_store_n(&buffer->status, LINUX_GUEST_QUOTE_SUCCESS, __ATOMIC_RELEASE);
}
