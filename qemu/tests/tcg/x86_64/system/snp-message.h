/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD Secure Nested Paging: messages between a guest and the firmware
 *
 * There is no guest that runs: its policy allows to debug it, so that the
 * hypervisor gets at the keys in the secrets page.
 */
#include "snp-gcm.h"

#define RESPONSE        (R0 + 0x2000)
#define CLEAR           (R0 + 0x3000)
#define REQUEST         R1

#define POLICY          ((1ul << 16) | (1ul << 17) | (1ul << 19))

#define HEADER          0x60
#define AAD             0x30

#define TYPE_CPUID      1
#define TYPE_KEY        3
#define TYPE_REPORT     5
#define TYPE_EXPORT     7
#define TYPE_TSC        17

struct message {
    uint8_t tag[32];
    uint64_t seqno, reserved_1;
    uint8_t algo, hdr_version;
    uint16_t hdr_size;
    uint8_t type, version;
    uint16_t size;
    uint32_t reserved_2;
    uint8_t vmpck, reserved_3[35];
    uint8_t payload[4096 - HEADER];
};

_Static_assert(__builtin_offsetof(struct message, payload) == HEADER, "");

static struct message *const request = (void *)REQUEST;
static struct message *const response = (void *)RESPONSE;
static struct message reply;
/* Of the guest that is spoken for */
static uint64_t gctx;
static uint8_t keys[4][32];

static void clear_request(void)
{
    for (int i = 0; i < 4096; i++) {
        ((uint8_t *)request)[i] = 0;
    }
}

static void get_iv(uint8_t iv[12], uint64_t seqno)
{
    for (int i = 0; i < 12; i++) {
        iv[i] = i < 8 ? seqno >> 8 * i : 0;
    }
}

/* A message of that type, with what is in the payload */
static void seal(int type, int size, int vmpck, uint64_t seqno)
{
    uint8_t iv[12];

    request->algo = 1;
    request->hdr_version = 1;
    request->hdr_size = HEADER;
    request->type = type;
    request->version = 1;
    request->size = size;
    request->vmpck = vmpck;
    request->seqno = seqno;
    get_iv(iv, seqno);
    aes_set_key(keys[vmpck]);
    gcm_crypt(iv, request->payload, size);
    gcm_tag(request->tag, iv, (uint8_t *)request + AAD, HEADER - AAD,
            request->payload, size);
}

static uint32_t send(void)
{
    return psp3(0x94, gctx, REQUEST, RESPONSE);
}

/* What the firmware has answered to a message of that type, decrypted */
static void receive(int type, int size, int vmpck, uint64_t seqno)
{
    uint8_t iv[12], tag[16];
    int wrong = 0;

    for (int i = 0; i < 4096; i++) {
        ((uint8_t *)&reply)[i] = ((uint8_t *)response)[i];
    }
    expect("type of the answer", reply.type, type + 1);
    expect("its size", reply.size, size);
    expect("its key", reply.vmpck, vmpck);
    expect("its number", reply.seqno, seqno);
    get_iv(iv, seqno);
    aes_set_key(keys[vmpck]);
    gcm_tag(tag, iv, (uint8_t *)&reply + AAD, HEADER - AAD, reply.payload,
            size);
    for (int i = 0; i < 16; i++) {
        wrong += tag[i] != reply.tag[i];
    }
    expect("bytes of its tag that are wrong", wrong, 0);
    gcm_crypt(iv, reply.payload, size);
}

static uint32_t payload32(int at)
{
    return MEM32(reply.payload + at);
}

/* The keys of a guest, from its secrets page */
static void read_keys(uint64_t secrets)
{
    expect("DBG_DECRYPT", psp3(0xb0, gctx, secrets, CLEAR), 0);
    for (int i = 0; i < sizeof(keys); i++) {
        ((uint8_t *)keys)[i] = ((uint8_t *)CLEAR)[0x20 + i];
    }
}
