/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory encryption of AMD's and Intel's processors, for TCG
 *
 * The cipher is Speck128/128 in the mode that XTS is for AES: a tweak for each
 * page, multiplied for each of its blocks.  Hardware has AES.  What matters to
 * software is the same: ciphertext depends on key, address and all of a block
 * of 16 bytes.
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "exec/exec-all.h"
#include "exec/cputlb.h"
#include "exec/ram_addr.h"
#include "exec/ramblock.h"
#include "hw/core/cpu.h"
#include "system/cpus.h"
#include "system/reset.h"
#include "hw/i386/amd-mem-enc.h"

#define ROUNDS      32
#define PAGE_SHIFT  12
#define PAGE_BYTES  (1 << PAGE_SHIFT)

typedef struct Key {
    bool used;
    uint64_t data[ROUNDS];
    uint64_t tweak[ROUNDS];
} Key;

typedef struct Block {
    uint64_t x, y;
} Block;

bool amd_mem_enc_active;
unsigned amd_nr_tlb_flushes;

static struct {
    X86MachineState *x86ms;
    /* The ASID whose view each page is; changed with all CPUs stopped. */
    uint16_t *view;
    /* A bit for each CPU: WBINVD since a key was taken away */
    unsigned long *written_back;
    /* Held while a view changes, and while a device accesses RAM by it */
    QemuMutex lock;
    /* The checksum that each page has been sealed with; 0: none */
    uint64_t *seal;
    Key keys[AMD_MEM_ENC_NR_ASIDS + 1];
} mem_enc;

static void expand_key(uint64_t *round, uint64_t hi, uint64_t lo)
{
    for (int i = 0; i < ROUNDS; i++) {
        round[i] = lo;
        hi = (ror64(hi, 8) + lo) ^ i;
        lo = rol64(lo, 3) ^ hi;
    }
}

static Block encrypt(const uint64_t *round, Block b)
{
    for (int i = 0; i < ROUNDS; i++) {
        b.x = (ror64(b.x, 8) + b.y) ^ round[i];
        b.y = rol64(b.y, 3) ^ b.x;
    }
    return b;
}

static Block decrypt(const uint64_t *round, Block b)
{
    for (int i = ROUNDS - 1; i >= 0; i--) {
        b.y = ror64(b.y ^ b.x, 3);
        b.x = rol64((b.x ^ round[i]) - b.y, 8);
    }
    return b;
}

static uint8_t *page_in_ram(size_t page)
{
    uint8_t *ram = memory_region_get_ram_ptr(MACHINE(mem_enc.x86ms)->ram);

    return ram + (page << PAGE_SHIFT);
}

/*
 * At @words is what @page has in it, or is to have.  An ASID without a key has
 * one that is all zeroes.
 */
static void crypt_page(unsigned asid, size_t page, uint64_t *words,
                       bool encrypts)
{
    const Key *key = &mem_enc.keys[asid];
    Block tweak;

    if (!asid) {
        return;
    }
    tweak = encrypt(key->tweak, (Block) { page, 0 });
    for (int i = 0; i < PAGE_BYTES / 8; i += 2) {
        Block b = { words[i] ^ tweak.x, words[i + 1] ^ tweak.y };
        bool carry = tweak.y >> 63;

        b = encrypts ? encrypt(key->data, b) : decrypt(key->data, b);
        words[i] = b.x ^ tweak.x;
        words[i + 1] = b.y ^ tweak.y;
        tweak.y = tweak.y << 1 | tweak.x >> 63;
        tweak.x = tweak.x << 1 ^ (carry ? 0x87 : 0);
    }
}

ssize_t amd_mem_enc_ram_page(hwaddr pa)
{
    X86MachineState *x86ms = mem_enc.x86ms;

    if (pa < x86ms->below_4g_mem_size) {
        return pa >> PAGE_SHIFT;
    }
    if (pa >= x86ms->above_4g_mem_start &&
        pa - x86ms->above_4g_mem_start < x86ms->above_4g_mem_size) {
        return (pa - x86ms->above_4g_mem_start +
                x86ms->below_4g_mem_size) >> PAGE_SHIFT;
    }
    return -1;
}

static ram_addr_t ram_start(void)
{
    return memory_region_get_ram_addr(MACHINE(mem_enc.x86ms)->ram);
}

void amd_stop_cpus(AmdStoppedCpus *stopped)
{
    *stopped = (AmdStoppedCpus) { .locked = bql_locked() };
    if (!current_cpu) {
        /* At a reset, and if this is done again, they are stopped already. */
        stopped->paused = !first_cpu->stopped;
        if (stopped->paused) {
            pause_all_vcpus();
        }
        return;
    }
    stopped->running = current_cpu->running &&
                       !cpu_in_exclusive_context(current_cpu);
    if (stopped->locked) {
        bql_unlock();
    }
    if (stopped->running) {
        cpu_exec_end(current_cpu);
        start_exclusive();
    }
}

void amd_resume_cpus(const AmdStoppedCpus *stopped)
{
    if (stopped->paused) {
        resume_all_vcpus();
    }
    if (!current_cpu) {
        return;
    }
    if (stopped->running) {
        end_exclusive();
        cpu_exec_start(current_cpu);
    }
    if (stopped->locked) {
        bql_lock();
    }
}

/* With all other CPUs stopped. */
static void change_view(size_t page, unsigned asid)
{
    ram_addr_t start = ram_start() + ((ram_addr_t)page << PAGE_SHIFT);
    uint64_t *words = (uint64_t *)page_in_ram(page);

    tb_invalidate_phys_range(start, start + PAGE_BYTES - 1);
    QEMU_LOCK_GUARD(&mem_enc.lock);
    crypt_page(mem_enc.view[page], page, words, true);
    crypt_page(asid, page, words, false);
    qatomic_set(&mem_enc.view[page], asid);
}

static void flush_tlbs(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        tlb_flush(cs);
    }
}

void amd_flush_tlbs(void)
{
    qatomic_set(&amd_nr_tlb_flushes, amd_nr_tlb_flushes + 1);
    flush_tlbs();
}

void amd_mem_enc_view_slow(hwaddr pa, unsigned asid)
{
    ssize_t page = amd_mem_enc_ram_page(pa);
    AmdStoppedCpus stopped;

    if (page < 0) {
        return;
    }
    /*
     * Between end_exclusive() and cpu_exec_start(), another CPU may have its
     * turn: look again.
     */
    while (qatomic_read(&mem_enc.view[page]) != asid) {
        amd_stop_cpus(&stopped);
        if (mem_enc.view[page] != asid) {
            change_view(page, asid);
            flush_tlbs();
        }
        amd_resume_cpus(&stopped);
    }
}

/*
 * Devices have no key: they read ciphertext, and what they write is ciphertext
 * for whoever has the key.  The page remains the view of that one, which may be
 * executing.
 */
static void device_access_page(size_t page, size_t offset, uint8_t *buf,
                               size_t len, bool is_write)
{
    uint64_t words[PAGE_BYTES / 8];
    uint8_t *there = page_in_ram(page), *bytes = (uint8_t *)words;
    unsigned asid = mem_enc.view[page];
    size_t start = ROUND_DOWN(offset, sizeof(Block));
    size_t end = ROUND_UP(offset + len, sizeof(Block));

    if (asid) {
        memcpy(words, there, PAGE_BYTES);
        crypt_page(asid, page, words, true);
        there = bytes;
    }
    if (!is_write) {
        memcpy(buf, there + offset, len);
        return;
    }
    memmove(there + offset, buf, len);
    if (asid) {
        crypt_page(asid, page, words, false);
        memcpy(page_in_ram(page) + start, bytes + start, end - start);
    }
}

static void device_access(ram_addr_t addr, uint8_t *buf, ram_addr_t len,
                          bool is_write)
{
    QEMU_LOCK_GUARD(&mem_enc.lock);
    while (len) {
        size_t offset = addr & (PAGE_BYTES - 1);
        size_t n = MIN(len, PAGE_BYTES - offset);

        device_access_page(addr >> PAGE_SHIFT, offset, buf, n, is_write);
        addr += n;
        buf += n;
        len -= n;
    }
}

static void device_read(ram_addr_t addr, void *buf, ram_addr_t len)
{
    device_access(addr, buf, len, false);
}

static void device_write(ram_addr_t addr, const void *buf, ram_addr_t len)
{
    device_access(addr, (uint8_t *)buf, len, true);
}

static bool device_may_map(ram_addr_t addr, ram_addr_t len)
{
    QEMU_LOCK_GUARD(&mem_enc.lock);
    for (size_t page = addr >> PAGE_SHIFT;
         page <= (addr + len - 1) >> PAGE_SHIFT; page++) {
        if (mem_enc.view[page]) {
            return false;
        }
    }
    return true;
}

static const RAMBlockView device_view = {
    .read = device_read,
    .write = device_write,
    .is_direct = device_may_map,
};

void amd_mem_enc_set_key(unsigned asid,
                         const uint8_t bytes[AMD_MEM_ENC_KEY_SIZE])
{
    Key *key = &mem_enc.keys[asid];

    assert(asid && asid <= AMD_MEM_ENC_NR_ASIDS && !key->used);
    expand_key(key->data, ldq_le_p(bytes + 8), ldq_le_p(bytes));
    expand_key(key->tweak, ~ldq_le_p(bytes + 8), ~ldq_le_p(bytes));
    key->used = true;
    qatomic_set(&amd_mem_enc_active, true);
    MACHINE(mem_enc.x86ms)->ram->ram_block->view = &device_view;
}

void amd_mem_enc_drop_key(unsigned asid)
{
    size_t nr_pages = MACHINE(mem_enc.x86ms)->ram_size >> PAGE_SHIFT;
    AmdStoppedCpus stopped;

    amd_stop_cpus(&stopped);
    for (size_t page = 0; page < nr_pages; page++) {
        if (mem_enc.view[page] == asid) {
            change_view(page, 0);
        }
    }
    flush_tlbs();
    memset(&mem_enc.keys[asid], 0, sizeof(mem_enc.keys[asid]));
    bitmap_zero(mem_enc.written_back, MACHINE(mem_enc.x86ms)->smp.max_cpus);
    amd_resume_cpus(&stopped);
}

void amd_mem_enc_wbinvd(CPUState *cs)
{
    if (mem_enc.written_back) {
        set_bit_atomic(cs->cpu_index, mem_enc.written_back);
    }
}

bool amd_mem_enc_needs_wbinvd(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (!test_bit(cs->cpu_index, mem_enc.written_back)) {
            return true;
        }
    }
    return false;
}

bool amd_mem_enc_is_ram(hwaddr pa, size_t len)
{
    hwaddr last = pa + len - 1;
    ssize_t first_page = amd_mem_enc_ram_page(pa);
    ssize_t last_page = amd_mem_enc_ram_page(last);

    return len && last >= pa && first_page >= 0 && last_page >= 0 &&
           last_page - first_page == (last >> PAGE_SHIFT) - (pa >> PAGE_SHIFT);
}

static bool access_ram(hwaddr pa, unsigned asid, uint8_t *buf, size_t len,
                       bool is_write)
{
    uint8_t *ram = memory_region_get_ram_ptr(MACHINE(mem_enc.x86ms)->ram);

    if (!amd_mem_enc_is_ram(pa, len)) {
        return false;
    }
    while (len) {
        size_t offset = pa & (PAGE_BYTES - 1);
        size_t n = MIN(len, PAGE_BYTES - offset);
        ssize_t page = amd_mem_enc_ram_page(pa);
        uint8_t *there = ram + ((size_t)page << PAGE_SHIFT) + offset;

        amd_mem_enc_view(pa, asid);
        if (is_write) {
            ram_addr_t start = ram_start() + (there - ram);

            tb_invalidate_phys_range(start, start + n - 1);
            memcpy(there, buf, n);
        } else {
            memcpy(buf, there, n);
        }
        pa += n;
        buf += n;
        len -= n;
    }
    return true;
}

bool amd_mem_enc_read(hwaddr pa, unsigned asid, void *buf, size_t len)
{
    return access_ram(pa, asid, buf, len, false);
}

bool amd_mem_enc_write(hwaddr pa, unsigned asid, const void *buf, size_t len)
{
    return access_ram(pa, asid, (uint8_t *)buf, len, true);
}

static uint64_t checksum(const void *buf, size_t len)
{
    uint64_t sum = 0xcbf29ce484222325;

    for (size_t i = 0; i + 8 <= len; i += 8) {
        sum = (sum ^ ldq_le_p((const uint8_t *)buf + i)) * 0x100000001b3;
        sum ^= sum >> 32;
    }
    return sum ?: 1;
}

void amd_mem_enc_seal(hwaddr pa, const void *buf, size_t len)
{
    ssize_t page = amd_mem_enc_ram_page(pa);

    if (page >= 0) {
        qatomic_set(&mem_enc.seal[page], checksum(buf, len));
    }
}

bool amd_mem_enc_is_sealed(hwaddr pa, const void *buf, size_t len)
{
    ssize_t page = amd_mem_enc_ram_page(pa);

    return page >= 0 && qatomic_read(&mem_enc.seal[page]) == checksum(buf, len);
}

bool amd_mem_enc_present(void)
{
    return mem_enc.view;
}

/*
 * A reset takes all keys away, but leaves memory as it is: what was a guest's
 * is ciphertext.  Whoever loads something into memory after that must not write
 * it for a guest to see.
 */
static void amd_mem_enc_reset(void *opaque)
{
    size_t nr_pages = MACHINE(mem_enc.x86ms)->ram_size >> PAGE_SHIFT;

    for (size_t page = 0; page < nr_pages; page++) {
        if (mem_enc.view[page]) {
            change_view(page, 0);
        }
        mem_enc.seal[page] = 0;
    }
    memset(mem_enc.keys, 0, sizeof(mem_enc.keys));
    bitmap_zero(mem_enc.written_back, MACHINE(mem_enc.x86ms)->smp.max_cpus);
}

void amd_mem_enc_init(X86MachineState *x86ms)
{
    mem_enc.x86ms = x86ms;
    mem_enc.written_back = bitmap_new(MACHINE(x86ms)->smp.max_cpus);
    mem_enc.view = g_new0(uint16_t, MACHINE(x86ms)->ram_size >> PAGE_SHIFT);
    mem_enc.seal = g_new0(uint64_t, MACHINE(x86ms)->ram_size >> PAGE_SHIFT);
    qemu_mutex_init(&mem_enc.lock);
    qemu_register_reset(amd_mem_enc_reset, NULL);
}
