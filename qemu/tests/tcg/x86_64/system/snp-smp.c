/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD Secure Nested Paging: what one CPU does while another one accesses memory
 *
 * Options of QEMU: as for snp.c, and -smp 2 and snp-2m-erratum=on for the CPU.
 */
#include "snp.h"
#include "ap.h"
#include "snp-smp.h"

#define VMCB            R3                      /* aligned to 2 MiB */
#define OTHER_VMCB      (R3 + 0x1000)
#define HSAVE           (R3 + 0x2000)
#define SHARED          (R1 + 0x3000)           /* both CPUs access it */

#define APIC            0xfee00000ul

struct mailbox mailbox;
static struct mailbox *const ap = &mailbox;
static uint8_t ap_stack[4096] __attribute__((aligned(16)));

#define AP_TRY(insn, ...)                                       \
    asm volatile("xor %%r14d, %%r14d\n lea 9f(%%rip), %%r15\n"  \
                 insn "\n9: mov %%r14, mailbox+24(%%rip)"        \
                 __VA_ARGS__)

static struct {
    uint16_t low, sel, type, mid;
    uint32_t high, zero;
} ap_idt[32];

static const struct rmp_state none, assigned = { .assigned = 1, .asid = 1 };

void ap_main(void)
{
    struct { uint16_t limit; uint64_t base; } __attribute__((packed)) idtr = {
        sizeof(ap_idt) - 1, (uint64_t)ap_idt
    };
    uint64_t count = 0;

    asm volatile("lidt %0" : : "m" (idtr));
    asm volatile("rdmsr\n or %0, %%eax\n wrmsr"
                 : : "r" ((uint32_t)SYSCFG_SNP), "c" (MSR_SYSCFG)
                 : "rax", "rdx");
    MEM64(&ap->ready) = 1;
    for (;;) {
        uint64_t op = MEM64(&ap->op), addr = MEM64(&ap->addr), result = addr;

        switch (MEM64(&ap->go) ? op : AP_IDLE) {
        case AP_IDLE:
            continue;
        case AP_STORE:
            AP_TRY("movb $1, (%0)", : : "r" (addr) : "r14", "r15", "memory");
            break;
        case AP_RMPUPDATE:
            AP_TRY(".byte 0xf2, 0x0f, 0x01, 0xfe", : "+a" (result)
                   : "c" (&assigned) : "r14", "r15", "memory", "cc");
            MEM64(&ap->result) = result;
            break;
        case AP_COUNT:
            count++;
            AP_TRY("mov %1, (%0)", : : "r" (addr), "r" (count)
                   : "r14", "r15", "memory");
            MEM64(&ap->faults) += !!MEM64(&ap->error);
            continue;
        }
        MEM64(&ap->op) = AP_IDLE;
    }
}

static void wait(void)
{
    for (int i = 0; i < 1000; i++) {
        asm volatile("pause");
    }
}

static void start_ap(void)
{
    uint64_t handler = (uint64_t)ap_handler_14;

    ap_idt[14].low = handler;
    ap_idt[14].sel = 8;
    ap_idt[14].type = 0x8e00;
    ap_idt[14].mid = handler >> 16;
    MEM32(APIC + 0xf0) = 0x1ff;
    boot_ap(ap_stack + sizeof(ap_stack));
    while (!MEM64(&ap->ready)) {
        wait();
    }
}

static void put_seg(uint64_t at, uint32_t sel_attr)
{
    MEM32(at) = sel_attr;
    MEM32(at + 4) = -1;
    MEM64(at + 8) = 0;
}

/* A guest with this program's page tables, which runs until the AP is idle */
static void make_vmcb(uint64_t at)
{
    uint64_t cr3;

    asm("mov %%cr3, %0" : "=r" (cr3));
    for (int i = 0; i < 4096; i += 8) {
        MEM64(at + i) = 0;
    }
    MEM32(at + 0x10) = 3;                       /* VMRUN, VMMCALL */
    MEM32(at + 0x58) = 40;
    for (int i = 0; i < 4; i++) {
        put_seg(at + 0x400 + 16 * i, i == 1 ? 8 | 0xa9b << 16 :
                                              16 | 0xc93 << 16);
    }
    MEM64(at + 0x4d0) = 0x1500;
    MEM64(at + 0x548) = 0x620;
    MEM64(at + 0x550) = cr3;
    MEM64(at + 0x558) = 0x80010011;
    MEM64(at + 0x560) = 0x400;
    MEM64(at + 0x568) = 0xffff0ff0;
    MEM64(at + 0x570) = 2;
    MEM64(at + 0x578) = (uint64_t)spinning_guest;
}

/* Have the AP do something while the VMCB is in use, unless it is 0. */
static void ap_do(int op, uint64_t addr, uint64_t vmcb)
{
    if (vmcb) {
        make_vmcb(vmcb);
    }
    MEM64(&ap->go) = !vmcb;
    MEM64(&ap->addr) = addr;
    MEM64(&ap->op) = op;
    if (vmcb) {
        asm volatile("push %%rbx\n push %%rbp\n vmrun\n pop %%rbp\n pop %%rbx"
                     : : "a" (vmcb)
                     : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
                       "r12", "r13", "r14", "r15", "memory", "cc");
        expect("exit", MEM64(vmcb + 0x70), 0x81);
    }
    while (MEM64(&ap->op)) {
        wait();
    }
}

static const struct {
    const char *what;
    uint64_t vmcb, addr, error;
} stores[] = {
    { "large, none in use", 0, R3 + 0x5000, 0 },
    { "large, first page in use", VMCB, R3 + 0x5000, RMP | 3 },
    { "small, first page in use", VMCB, SMALL + R3 + 0x5000, 0 },
    { "small, in use itself", VMCB, SMALL + VMCB, RMP | 3 },
    { "large, others", VMCB, R2 + 0x5000, 0 },
    { "large, other page in use", OTHER_VMCB, R3 + 0x5000, 0 },
    { "small, in use", OTHER_VMCB, SMALL + OTHER_VMCB, RMP | 3 },
    { "large, in use no more", 0, R3 + 0x5000, 0 },
    { "small, in use no more", 0, SMALL + OTHER_VMCB, 0 },
};

static void test_in_use(void)
{
    for (int i = 0; i < ARRAY_SIZE(stores); i++) {
        ap_do(AP_STORE, stores[i].addr, stores[i].vmcb);
        expect(stores[i].what, MEM64(&ap->error), stores[i].error);
    }
    ap_do(AP_RMPUPDATE, VMCB, VMCB);
    expect("RMPUPDATE, in use", MEM64(&ap->result), 3);
    ap_do(AP_RMPUPDATE, VMCB, 0);
    expect("RMPUPDATE, in use no more", MEM64(&ap->result), 0);
    expect("back", rmpupdate(VMCB, (struct rmp_state *)&none), 0);
}

/* Once RMPUPDATE has returned, no store that was under way changes the page. */
static void test_race(void)
{
    uint64_t changed = 0, stuck = 0, val;

    MEM64(&ap->addr) = SMALL + SHARED;
    MEM64(&ap->go) = 1;
    MEM64(&ap->op) = AP_COUNT;
    for (int round = 0; round < 2000; round++) {
        rmpupdate(SHARED, (struct rmp_state *)&assigned);
        val = MEM64(SHARED);
        wait();
        changed += MEM64(SHARED) != val;
        rmpupdate(SHARED, (struct rmp_state *)&none);
        val = MEM64(SHARED);
        for (int i = 0; i < 100000 && MEM64(SHARED) == val; i++) {
            wait();
        }
        stuck += MEM64(SHARED) == val;
    }
    MEM64(&ap->op) = AP_IDLE;
    expect("changed after RMPUPDATE", changed, 0);
    expect("not changed any more", stuck, 0);
    check(MEM64(&ap->faults), "faults", MEM64(&ap->faults), 1);
}

int main(void)
{
    setup();
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | (1 << 12));
    wrmsr(MSR_HSAVE, HSAVE);
    wrmsr(MSR_SYSCFG, rdmsr(MSR_SYSCFG) | SYSCFG_SNP);
    start_ap();
    test_in_use();
    test_race();
    return result();
}
