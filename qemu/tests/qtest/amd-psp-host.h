/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor, for its tests: the host
 *
 * It fills buffers and rings the mailbox, from outside of the machine.  The
 * machine's CPU does nothing but write back its cache, all the time: without,
 * DF_FLUSH may fail.
 */
#ifndef TESTS_AMD_PSP_HOST_H
#define TESTS_AMD_PSP_HOST_H

#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/pci.h"
#include "hw/misc/amd-psp-status.h"
#include "amd-psp-owner.h"

enum {
    CMD_INIT = 0x01,
    CMD_SHUTDOWN = 0x02,
    CMD_PLATFORM_RESET = 0x03,
    CMD_PLATFORM_STATUS = 0x04,
    CMD_PEK_GEN = 0x05,
    CMD_PEK_CSR = 0x06,
    CMD_PEK_CERT_IMPORT = 0x07,
    CMD_PDH_CERT_EXPORT = 0x08,
    CMD_PDH_GEN = 0x09,
    CMD_DF_FLUSH = 0x0a,
    CMD_GET_ID = 0x0c,
    CMD_INIT_EX = 0x0d,
    CMD_DECOMMISSION = 0x20,
    CMD_ACTIVATE = 0x21,
    CMD_DEACTIVATE = 0x22,
    CMD_GUEST_STATUS = 0x23,
    CMD_LAUNCH_START = 0x30,
    CMD_LAUNCH_UPDATE = 0x31,
    CMD_LAUNCH_MEASURE = 0x33,
    CMD_LAUNCH_SECRET = 0x34,
    CMD_LAUNCH_FINISH = 0x35,
    CMD_ATTESTATION = 0x36,
    CMD_SEND_START = 0x40,
    CMD_SEND_UPDATE = 0x41,
    CMD_SEND_FINISH = 0x43,
    CMD_SEND_CANCEL = 0x44,
    CMD_RECEIVE_START = 0x50,
    CMD_RECEIVE_UPDATE = 0x51,
    CMD_RECEIVE_FINISH = 0x53,
    CMD_DBG_DECRYPT = 0x60,
};

enum { LUPDATE = 1, LSECRET, RUNNING, SUPDATE, RUPDATE, SENT };

#define NOKS        (1u << 1)
#define ES          (1u << 2)
#define NOSEND      (1u << 3)
#define DOMAIN      (1u << 4)
#define SEV         (1u << 5)
#define API(major, minor)   ((major) << 16 | (unsigned)(minor) << 24)

/* Where things are in RAM, which is 64 MiB */
#define BUFFER      0x100000
#define CERT        0x110000
#define CHAIN       0x120000
#define AMD         0x130000
#define SESSION     0x140000
#define HEADER      0x150000
#define TRANSPORT   0x160000
#define OUT         0x170000
#define NV          0x180000
#define GUEST       0x200000
#define NOWHERE     0xd0000000
#define LAST_BYTES  0x03fffff0
#define WRAPS       0xfffffffffffffff0ull
#define CBIT        (1ull << 51)
#define LAST_ASID   63

#define PAGE        4096
#define NV_LEN      (32 * KiB)
#define PACKET_MAX  (16 * KiB)

typedef struct Machine {
    QTestState *qts;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar bar;
    uint32_t asid;      /* the next one: none is used twice */
} Machine;

typedef struct Platform {
    uint8_t pdh[CERT_LEN];
    uint8_t pek[CERT_LEN], oca[CERT_LEN], cek[CERT_LEN];
} Platform;

/* What the CPU executes, in a file */
void firmware_create(void);
void firmware_remove(void);

/* A machine whose chip is made from SEED, NULL: any. */
Machine *machine_new(const char *seed);
void machine_free(Machine *m);

/* Status of command CMD, whose buffer is BUF. */
int psp(Machine *m, int cmd, void *buf, size_t len);
/* A command whose buffer is a handle, or none at all */
int psp_simple(Machine *m, int cmd, uint32_t handle);

/* What a command that succeeds must not survive; a table ends with { }. */
typedef struct Case {
    const char *what;
    int status;
    /* A byte in RAM that is changed, 0: none */
    uint64_t byte;
    /* A field of the buffer, its size, 0: none, and what it is set to */
    int field, size;
    uint64_t value;
} Case;

/* Change a bit in RAM. */
void flip(Machine *m, uint64_t addr);
void check_cases(Machine *m, int cmd, const uint8_t *good, size_t len,
                 const Case *cases);

void init(Machine *m);
/* Bit 0: whether somebody else owns the platform. */
int platform_owner(Machine *m);
int guest_state(Machine *m, uint32_t handle);
void export_certs(Machine *m, Platform *p);
void read_root(Machine *m, uint8_t certs[2 * AMD_CERT_LEN]);
/* CSR, signed by OWNER, and OWNER's own, where PEK_CERT_IMPORT expects them. */
void sign_csr(Machine *m, const Owner *owner, uint8_t buf[28]);
/* What SEND_START expects of the platform to send to */
void write_target(Machine *m, const Platform *p,
                  const uint8_t root[2 * AMD_CERT_LEN]);

/* Buffers of commands, with all that is in RAM where the names above say */
void start_buffer(uint8_t buf[36], uint32_t policy);
void packet_buffer(uint8_t buf[52], uint32_t handle, uint64_t guest,
                   uint32_t len);
void send_buffer(uint8_t buf[68], uint32_t handle);

/* A guest of OWNER, NULL: of nobody, in state LUPDATE. */
uint32_t launch(Machine *m, Owner *owner, uint32_t policy);
void activate(Machine *m, uint32_t handle);
/* Encrypt a page of DATA at ADDR. */
void update(Machine *m, uint32_t handle, uint64_t addr, const uint8_t *data);
void measure(Machine *m, uint32_t handle, uint8_t out[MEASURE_LEN]);
/* A guest that runs, with a page of DATA. */
uint32_t run(Machine *m, uint32_t policy, const uint8_t *data);
/* What the guest sees at ADDR. */
void read_guest(Machine *m, uint32_t handle, uint64_t addr, uint8_t *data,
                uint32_t len);
/* Random bytes */
void fill(uint8_t *data, size_t len);

/* amd-psp-guest-test.c */
void add_guest_tests(void);

/* amd-psp-x509-test.c */
void add_x509_tests(void);

#endif
