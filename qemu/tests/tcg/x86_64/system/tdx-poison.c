/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX: the host touches pages that are a TD's, or the module's
 */
#include "tdx.h"

#define MSR_MCG_STATUS          0x17a
#define MSR_MC1_STATUS          0x405
#define MSR_MC1_ADDR            0x406
#define MSR_MC1_MISC            0x407

#define TRAP_MC                 18
#define CR4_MCE                 (1 << 6)
#define MCG_EIPV_MCIP           6

/* Uncorrected, enabled; with MISC and ADDR; signaled, action required */
#define STATUS_DATA             0xbd80000000000134
#define STATUS_FETCH            0xbd80000000000150

/* The machine check comes between instructions, at the latest at a jump. */
#define THEN_JUMP               "\n jmp 3f\n 3: nop"

static int load(uint64_t pa)
{
    return TRY("mov (%%rax), %%rcx" THEN_JUMP, pa, 0, 0, 0);
}

static int store(uint64_t pa)
{
    return TRY("mov %%rcx, (%%rax)" THEN_JUMP, pa, 0x5555, 0, 0);
}

static int fetch(uint64_t pa)
{
    return TRY("jmp *%%rax" THEN_JUMP, pa, 0, 0, 0);
}

/* Whether there was a machine check for PA, which has ended since */
static void machine_check(const char *what, int trap, uint64_t pa,
                          uint64_t status)
{
    expect(what, trap, TRAP_MC);
    expect("MCG_STATUS", rdmsr(MSR_MCG_STATUS), MCG_EIPV_MCIP);
    expect("MC1_STATUS", rdmsr(MSR_MC1_STATUS), status);
    expect("MC1_ADDR", rdmsr(MSR_MC1_ADDR) & ~(PAGE - 1), pa);
    expect("MC1_MISC, address mode", rdmsr(MSR_MC1_MISC) >> 6 & 7, 2);
    wrmsr(MSR_MC1_STATUS, 0);
    wrmsr(MSR_MCG_STATUS, 0);
}

static void no_machine_check(const char *what, int trap)
{
    expect(what, trap, NO_TRAP);
    expect("MC1_STATUS", rdmsr(MSR_MC1_STATUS), 0);
}

int main(void)
{
    static uint64_t source[512] __attribute__((aligned(4096)));
    static const struct step add[] = {
        { "TDH.MEM.PAGE.ADD", MEM_PAGE_ADD, 0, TDR(0), PRIVATE(0, 0),
          (uint64_t)source },
    };
    uint64_t cr4, page = PRIVATE(0, 0);

    asm volatile("mov %%cr4, %0" : "=r" (cr4));
    asm volatile("mov %0, %%cr4" : : "r" (cr4 | CR4_MCE));
    bring_up();
    wrmsr(MSR_MC1_STATUS, 0);
    source[0] = 0x1234567;
    make_td(0, INITIALIZED);
    make_tree(0, LEVEL_4K);
    no_machine_check("a page that may become a TD's", store(page));
    RUN(add);

    machine_check("load from a TD's page", load(page), page, STATUS_DATA);
    expect("it is no plaintext", MEM64(page) != source[0], true);
    no_machine_check("the source of the page", load((uint64_t)source));
    machine_check("load from a TDR", load(TDR(0)), TDR(0), STATUS_DATA);
    machine_check("load from the secure EPT", load(SEPT(0, 0)), SEPT(0, 0),
                  STATUS_DATA);
    machine_check("store to a TDVPR", store(TDVPR(0)), TDVPR(0), STATUS_DATA);
    machine_check("store to a TDCX", store(TDCX(0, 1)), TDCX(0, 1),
                  STATUS_DATA);
    machine_check("fetch from a TDVPX", fetch(TDVPX(0, 1)), TDVPX(0, 1),
                  STATUS_FETCH);
    return result();
}
