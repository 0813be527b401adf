/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX, for TCG: memory and keys of TDs
 *
 * Key ids encrypt as ASIDs of AMD's processors do, see amd-mem-enc.c.  Beyond
 * that, a TD owner bit on hardware makes each page that was last written with
 * a private key id unreadable for all others.
 */
#include "qemu/osdep.h"
#include "hw/i386/amd-mem-enc.h"
#include "hw/i386/tdx-module.h"
#include "migration/blocker.h"
#include "qapi/error.h"

QEMU_BUILD_BUG_ON(TDX_LAST_KEYID > AMD_MEM_ENC_NR_ASIDS);

static struct {
    /* The key id that each page of RAM is taken for */
    uint8_t *owner;
    size_t nr_pages;
    bool has_key[TDX_LAST_KEYID + 1];
} memory;

bool tdx_memory_is_ram(hwaddr pa, uint64_t len)
{
    return amd_mem_enc_is_ram(pa, len);
}

void tdx_memory_set_key(unsigned hkid, const uint8_t key[16])
{
    amd_mem_enc_set_key(hkid, key);
    memory.has_key[hkid] = true;
}

void tdx_memory_drop_key(unsigned hkid)
{
    amd_mem_enc_drop_key(hkid);
    memory.has_key[hkid] = false;
}

/*
 * To change whom a page is for, and who sees it, go together: no CPU has a
 * translation from before.
 */
void tdx_memory_take(hwaddr pa, unsigned hkid)
{
    ssize_t page = amd_mem_enc_ram_page(pa);

    if (page >= 0) {
        qatomic_set(&memory.owner[page], hkid);
        amd_mem_enc_view_slow(pa, hkid);
    }
}

void tdx_memory_release(hwaddr pa)
{
    ssize_t page = amd_mem_enc_ram_page(pa);

    if (page >= 0) {
        qatomic_set(&memory.owner[page], 0);
    }
}

unsigned tdx_memory_owner(hwaddr pa)
{
    ssize_t page = memory.owner ? amd_mem_enc_ram_page(pa) : -1;

    return page >= 0 ? qatomic_read(&memory.owner[page]) : 0;
}

bool tdx_memory_read(hwaddr pa, unsigned hkid, void *buf, size_t len)
{
    return amd_mem_enc_read(pa, hkid, buf, len);
}

bool tdx_memory_write(hwaddr pa, unsigned hkid, const void *buf, size_t len)
{
    return amd_mem_enc_write(pa, hkid, buf, len);
}

void tdx_memory_wbinvd(X86CPU *cpu)
{
    amd_mem_enc_wbinvd(CPU(cpu));
}

void tdx_memory_reset(void)
{
    memset(memory.owner, 0, memory.nr_pages);
    for (int hkid = TDX_FIRST_PRIVATE_KEYID; hkid <= TDX_LAST_KEYID; hkid++) {
        if (memory.has_key[hkid]) {
            tdx_memory_drop_key(hkid);
        }
    }
}

void tdx_memory_init(X86MachineState *x86ms)
{
    Error *blocker = NULL;

    error_setg(&blocker, "a machine with TDX cannot be migrated");
    migrate_add_blocker(&blocker, &error_fatal);
    amd_mem_enc_init(x86ms);
    memory.nr_pages = MACHINE(x86ms)->ram_size / 4096;
    memory.owner = g_new0(uint8_t, memory.nr_pages);
}
