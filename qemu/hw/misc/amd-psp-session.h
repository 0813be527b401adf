/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: sessions with an owner or another platform
 */
#ifndef HW_MISC_AMD_PSP_SESSION_H
#define HW_MISC_AMD_PSP_SESSION_H

#include "qemu/units.h"
#include "amd-psp.h"

#define PACKET_MAX      (16 * KiB)

typedef struct QEMU_PACKED PspSession {
    uint8_t nonce[16];
    uint8_t wrap_tk[2 * PSP_KEY_SIZE];  /* TEK and TIK */
    uint8_t wrap_iv[16];
    uint8_t wrap_mac[PSP_DIGEST_SIZE];
    uint8_t policy_mac[PSP_DIGEST_SIZE];
} PspSession;

typedef struct QEMU_PACKED PspPacketHeader {
    uint32_t flags;
    uint8_t iv[16];
    uint8_t mac[PSP_DIGEST_SIZE];
} PspPacketHeader;

QEMU_BUILD_BUG_ON(sizeof(PspSession) != 128);
QEMU_BUILD_BUG_ON(sizeof(PspPacketHeader) != 52);

/* What a packet is, the first byte of what its MAC is of */
enum {
    PACKET_SECRET = 0x01,
    PACKET_DATA = 0x02,
};

/* A packet in a command's buffer */
typedef struct PspPacket {
    hwaddr header, guest, transport;
    uint32_t header_len, guest_len, transport_len;
} PspPacket;

void psp_packet_parse(const uint8_t *buf, PspPacket *packet);
/* Whether length and address of the guest's memory are any that can be. */
int psp_packet_check_guest(const PspPacket *packet);
/*
 * Seal @data, which @packet says the length of, with the guest's TEK and TIK,
 * in place.  Or read, check and decrypt what the host has in @packet.  @tail is
 * what the MAC is of beside that.
 */
void psp_packet_seal(const Guest *guest, int kind, const PspPacket *packet,
                     PspPacketHeader *header, uint8_t *data);
int psp_packet_open(const Guest *guest, int kind, const PspPacket *packet,
                    const void *tail, size_t tail_len, uint8_t *data);

/* New TEK and TIK for @guest, and what @peer needs to have them too. */
void psp_session_make(AmdPsp *s, Guest *guest, const PspKey *peer,
                      PspSession *session);

#endif
