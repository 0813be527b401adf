/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory encryption of AMD's processors, and Intel's, for TCG
 *
 * On hardware, memory holds ciphertext, and the memory controller encrypts and
 * decrypts each access with the key of an ASID, or not at all.  Here each page
 * of RAM holds what the users of one ASID's key see: its view.  An access with
 * another key first makes the page the view of that one.  So a page that is
 * read with the key that it was written with has its content, and with any
 * other key, or with none, it has something else.
 *
 * Intel's key ids do the same, for TDX: an ASID is a key id then.
 *
 * Source: APM volume 2, 7.10 and 15.34; Intel, Multi-Key Total Memory
 * Encryption (336907).
 */
#ifndef HW_I386_AMD_MEM_ENC_H
#define HW_I386_AMD_MEM_ENC_H

#include "exec/hwaddr.h"
#include "hw/i386/x86.h"
#include "cpu.h"

#define AMD_MEM_ENC_KEY_SIZE    16

/* Whether any page may be encrypted: set once, by the first key. */
extern bool amd_mem_enc_active;

/* A machine without has no encrypted memory. */
void amd_mem_enc_init(X86MachineState *x86ms);
bool amd_mem_enc_present(void);

/*
 * Give ASID its KEY, and take it away.  Pages that were written with it remain
 * ciphertext.  Called by a CPU or by the main loop, with the BQL, which is
 * dropped meanwhile.
 */
void amd_mem_enc_set_key(unsigned asid,
                         const uint8_t key[AMD_MEM_ENC_KEY_SIZE]);
void amd_mem_enc_drop_key(unsigned asid);

/*
 * Make the page at @pa what ASID's key sees, 0: what is in memory.  Called by a
 * CPU that executes.  It stays so for as long as that CPU does not leave its
 * execution loop: only then can another CPU change it.  Nothing that is not RAM
 * is ever encrypted.
 */
void amd_mem_enc_view_slow(hwaddr pa, unsigned asid);

static inline void amd_mem_enc_view(hwaddr pa, unsigned asid)
{
    if (unlikely(qatomic_read(&amd_mem_enc_active))) {
        amd_mem_enc_view_slow(pa, asid);
    }
}

/*
 * Before an ASID gets another key, each CPU must have written its cache back:
 * it may hold lines of the old one.
 */
void amd_mem_enc_wbinvd(CPUState *cs);
bool amd_mem_enc_needs_wbinvd(void);

bool amd_mem_enc_is_ram(hwaddr pa, size_t len);

/* The number of the page in RAM, or -1: it is none. */
ssize_t amd_mem_enc_ram_page(hwaddr pa);

/*
 * Stop all CPUs but this one, which may be executing or not.  The BQL is
 * dropped meanwhile.  If it is no CPU that asks but the main loop, e.g. for a
 * qtest, stop all of them.  It may be done again before they are resumed.
 */
typedef struct AmdStoppedCpus {
    bool locked, running, paused;
} AmdStoppedCpus;

void amd_stop_cpus(AmdStoppedCpus *stopped);
void amd_resume_cpus(const AmdStoppedCpus *stopped);

/* With all other CPUs stopped: what may be accessed has changed. */
void amd_flush_tlbs(void);

/*
 * How often that was done.  A CPU that leaves its execution loop, if only to
 * stop the others, may find its TLB flushed when it is back.  A change of a
 * page's view does not count: it changes no translation, and a CPU that walks
 * page tables makes two of them, again and again, if it accesses a page both
 * as a page table and without the guest's key.
 */
extern unsigned amd_nr_tlb_flushes;

static inline unsigned amd_tlb_flushes(void)
{
    return qatomic_read(&amd_nr_tlb_flushes);
}

/* Accesses of the firmware; false if not all of it is RAM. */
bool amd_mem_enc_read(hwaddr pa, unsigned asid, void *buf, size_t len);
bool amd_mem_enc_write(hwaddr pa, unsigned asid, const void *buf, size_t len);

/*
 * Remember @len bytes that a page begins with, and tell whether @buf has still
 * the same.  Hardware keeps a checksum of each VMSA in memory that only it can
 * write to, the one that INIT hands over for SEV-ES.
 */
void amd_mem_enc_seal(hwaddr pa, const void *buf, size_t len);
bool amd_mem_enc_is_sealed(hwaddr pa, const void *buf, size_t len);

#endif
