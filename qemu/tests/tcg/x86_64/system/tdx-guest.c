/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX: leaves of TDs, and what TDs execute
 *
 * Run it with the options in tdx.h.
 */
#include "tdx-td-code.h"

#define TD              0

/* Leaves of TDCALL */
enum {
    VP_VMCALL = 0, VP_INFO = 1, RTMR_EXTEND = 2, VEINFO_GET = 3, MR_REPORT = 4,
    CPUIDVE_SET = 5, PAGE_ACCEPT = 6, VM_RD = 7, VM_WR = 8, TDG_VP_RD = 9,
    TDG_VP_WR = 10, TDG_SYS_RD = 11,
};

#define VE              20
#define DF              8
#define GP              13
#define UD              6

/* Exit reasons */
#define EXIT_TRIPLE     2ul
#define EXIT_EPT        48ul

/* Private GPAs of 4 KiB: in the first 2 MiB; the data of leaves is in one */
#define DATA            0x1000ul
#define REPORT          0x2000ul
#define NEVER_MAPPED    0x3000ul
#define CELL(n)         ((16 + (n)) * PAGE)

static uint64_t next_page = P(64 * 8);

static uint64_t new_page(void)
{
    next_page += PAGE;
    return next_page - PAGE;
}

static uint64_t tdcall(uint64_t leaf, uint64_t rcx, uint64_t rdx, uint64_t r8,
                       uint64_t r9)
{
    expect("TD exit", td_op(TD, DO_TDCALL, leaf, rcx, rdx, r8, r9),
           EXIT_VMCALL);
    expect("exception of TDCALL", reg[R15], 0);
    return reg[R11];
}

/* An operation that the TD can do by itself; its vector */
static uint64_t op(enum op op, uint64_t rax, uint64_t rcx)
{
    expect("TD exit", td_op(TD, op, rax, rcx, 0, 0, 0), EXIT_VMCALL);
    return reg[R15];
}

static void store(uint64_t va, uint64_t value)
{
    expect("store", op(DO_STORE, value, va), 0);
}

static uint64_t load(uint64_t va)
{
    expect("load", op(DO_LOAD, 0, va), 0);
    return reg[R11];
}

/* One #VE, and what VEINFO.GET says of it */
static void expect_ve(const char *what, uint64_t vector, uint64_t reason,
                      uint64_t gpa)
{
    expect(what, vector, VE);
    expect(what, tdcall(VEINFO_GET, 0, 0, 0, 0), SUCCESS);
    expect(what, reg[R12], reason);
    expect(what, reg[R9], gpa);
    expect("VEINFO.GET again", tdcall(VEINFO_GET, 0, 0, 0, 0), NO_VE_INFO);
}

/* What the TD begins with: operands of INIT, and its vCPU's index */
static void test_start(void)
{
    expect("first TD exit", enter(TD), EXIT_VMCALL);
    expect("registers that are handed over", reg[RCX], VMCALL_MASK);
    expect("GPAW", reg[RBX], 48);
    expect("RCX of VP.INIT", reg[R8], 0x1234);
    expect("vCPU index", reg[RSI], 0);
    expect("RDI", reg[RDI], 0);
    expect("RBP, not handed over", reg[RBP], 0);
}

static const struct {
    const char *what;
    uint64_t leaf, rcx, rdx, r8, r9, status;
} calls[] = {
    { "no such leaf", 77, 0, 0, 0, 0, OPERAND_INVALID | RAX },
    { "leaf of version 1", VP_INFO | VERSION(1), 0, 0, 0, 0,
      OPERAND_INVALID | RAX },
    { "leaf of 33 bits", VP_INFO | 1ul << 32, 0, 0, 0, 0,
      OPERAND_INVALID | RAX },
    { "VMCALL with RAX", VP_VMCALL, 1 << 0, 0, 0, 0, OPERAND_INVALID | RCX },
    { "VMCALL with RCX", VP_VMCALL, 1 << 1, 0, 0, 0, OPERAND_INVALID | RCX },
    { "VMCALL with RSP", VP_VMCALL, 1 << 4, 0, 0, 0, OPERAND_INVALID | RCX },
    { "VMCALL, reserved bit", VP_VMCALL, 1ul << 32, 0, 0, 0,
      OPERAND_INVALID | RCX },
    { "VEINFO.GET without #VE", VEINFO_GET, 0, 0, 0, 0, NO_VE_INFO },
    { "CPUIDVE.SET, reserved bit", CPUIDVE_SET, 4, 0, 0, 0,
      OPERAND_INVALID | RCX },
    { "ACCEPT, reserved bits", PAGE_ACCEPT, 0x1008, 0, 0, 0,
      OPERAND_INVALID | RCX },
    { "ACCEPT of a shared GPA", PAGE_ACCEPT, SHARED_BIT, 0, 0, 0,
      OPERAND_INVALID | RCX },
    { "ACCEPT of 1G", PAGE_ACCEPT, LEVEL_1G, 0, 0, 0, OPERAND_INVALID | RCX },
    { "ACCEPT of 2M, not aligned", PAGE_ACCEPT, PAGE | LEVEL_2M, 0, 0, 0,
      OPERAND_INVALID | RCX },
    { "RTMR.EXTEND, not aligned", RTMR_EXTEND, DATA + 8, 0, 0, 0,
      OPERAND_INVALID | RCX },
    { "RTMR.EXTEND, shared", RTMR_EXTEND, DATA | SHARED_BIT, 0, 0, 0,
      OPERAND_INVALID | RCX },
    { "RTMR.EXTEND of RTMR 4", RTMR_EXTEND, DATA, 4, 0, 0,
      OPERAND_INVALID | RDX },
    { "REPORT, not aligned", MR_REPORT, REPORT + 512, DATA, 0, 0,
      OPERAND_INVALID | RCX },
    { "REPORT, data not aligned", MR_REPORT, REPORT, DATA + 8, 0, 0,
      OPERAND_INVALID | RDX },
    { "REPORT of subtype 1", MR_REPORT, REPORT, DATA, 1, 0,
      OPERAND_INVALID | R8 },
    { "VM.RD, of another TD", VM_RD, 1, 0x1110000300000000, 0, 0,
      OPERAND_INVALID | RCX },
    { "VM.RD, the key id", VM_RD, 0, 0x0100000100000001, 0, 0,
      FIELD_NOT_READABLE },
    { "VM.RD, no such field", VM_RD, 0, 0x1110000300000099, 0, 0,
      FIELD_ID_INCORRECT },
    { "VM.WR, XFAM", VM_WR, 0, 0x1110000300000001, -1, -1,
      FIELD_NOT_WRITABLE },
    { "VM.WR, REDUCE_VE", VM_WR, 0, 0x1110000300000017, 8, 8,
      FIELD_NOT_WRITABLE },
    { "VM.WR, PENDING_VE_DISABLE", VM_WR, 0, 0x1110000300000017, 1, 1,
      FIELD_VALUE_NOT_VALID },
    { "VM.WR, NOTIFY_ENABLES", VM_WR, 0, 0x9110000300000010, 1, 1, SUCCESS },
    { "VP.RD, its page", TDG_VP_RD, 0, 0xa020000300000010, 0, 0,
      FIELD_NOT_READABLE },
    { "VP.WR, its index", TDG_VP_WR, 0, 0xa020000200000002, 1, -1,
      FIELD_NOT_WRITABLE },
    { "SYS.RD, CMR", TDG_SYS_RD, 0, 0x9000000300000080, 0, 0,
      FIELD_NOT_READABLE },
};

static void test_calls(void)
{
    for (int i = 0; i < ARRAY_SIZE(calls); i++) {
        expect(calls[i].what,
               tdcall(calls[i].leaf, calls[i].rcx, calls[i].rdx, calls[i].r8,
                      calls[i].r9), calls[i].status);
    }
    expect("VP.INFO", tdcall(VP_INFO, 0, 0, 0, 0), SUCCESS);
    expect("VP.INFO: GPAW", reg[R12], 48);
    expect("VP.INFO: attributes", reg[RDX], 0);
    expect("VP.INFO: vCPUs", reg[R8], 4ul << 32 | 1);
    expect("VP.INFO: index", reg[R9], 0);
    expect("VM.RD: XFAM", tdcall(VM_RD, 0, 0x1110000300000001, 0, 0), SUCCESS);
    expect("VM.RD: XFAM", reg[R8], 3);
    expect("SYS.RD: MAJOR_VERSION", tdcall(TDG_SYS_RD, 0, 0x0800000100000004, 0,
                                           0), SUCCESS);
    expect("SYS.RD: MAJOR_VERSION", reg[R8], 1);
}

/* SHA-384 of 48 bytes of 0, a word, and 40 bytes of 0 */
#define RTMR_WORD       0x1122334455667788
static const uint64_t rtmr[6] = {
    0xc0fc6e3330df5c95, 0x1e9bebcb8eb2d2ed, 0x029a076a119948f1,
    0x43948fa91b2158b7, 0x5d2cd88eceed3417, 0xdd2cedbc1840fb25,
};

static void test_measurements(void)
{
    uint64_t mrtd[6];

    store(DATA, RTMR_WORD);
    expect("RTMR.EXTEND", tdcall(RTMR_EXTEND, DATA, 2, 0, 0), SUCCESS);
    for (int i = 0; i < 6; i++) {
        expect("VM.RD: RTMR", tdcall(VM_RD, 0, 0x1310000300000040 + 12 + i, 0,
                                     0), SUCCESS);
        expect("RTMR 2", reg[R8], rtmr[i]);
        must("MRTD", MNG_RD, TDR(TD), 0x1300000300000000 + i, 0, 0);
        mrtd[i] = reg[R8];
    }
    store(DATA, 0xfeedf00d);
    expect("REPORT", tdcall(MR_REPORT, REPORT, DATA, 0, 0), SUCCESS);
    expect("type of the report", load(REPORT), 0x81);
    expect("REPORTDATA", load(REPORT + 128), 0xfeedf00d);
    expect("attributes in the report", load(REPORT + 512), 0);
    expect("XFAM in the report", load(REPORT + 520), 3);
    for (int i = 0; i < 6; i++) {
        expect("MRTD in the report", load(REPORT + 528 + 8 * i), mrtd[i]);
        expect("RTMR 0 in the report", load(REPORT + 720 + 8 * i), 0);
        expect("RTMR 2 in the report", load(REPORT + 816 + 8 * i), rtmr[i]);
    }
    check(load(REPORT + 224) != 0, "MAC of the report", 0, 1);
}

/* CPUID: RAX and RCX, and which bits of which register are how */
static const struct {
    const char *what;
    uint64_t rax, rcx;
    int reg;
    uint64_t mask, value;
} cpuids[] = {
    { "highest leaf", 0, 0, R11, -1, 0x21 },
    { "x2APIC, hypervisor", 1, 0, R12, 1ul << 31 | 1 << 21,
      1ul << 31 | 1 << 21 },
    { "VMX, MONITOR", 1, 0, R12, 1 << 5 | 1 << 3, 0 },
    { "XFAM", 0xd, 0, R11, -1, 3 },
    { "AVX, without XFAM", 1, 0, R12, 1 << 28, 0 },
    { "TSC: crystal", 0x15, 0, R12, -1, 25000000 },
    { "TSC: numerator", 0x15, 0, RBX, -1, 100 },
    { "IntelTDX", 0x21, 0, RBX, -1, 0x65746e49 },
    { "IntelTDX", 0x21, 0, R12, -1, 0x20202020 },
    { "IntelTDX", 0x21, 0, RDX, -1, 0x5844546c },
    { "beyond the highest leaf", 0x30, 0, RBX, -1, 0x65746e49 },
    { "highest extended leaf", 0x80000000, 0, R11, -1, 0x80000008 },
    { "no performance counters", 0xa, 0, R11, -1, 0 },
};

static const struct {
    const char *what;
    uint64_t msr;
    enum op op;
    uint64_t vector, value;
} msrs[] = {
    { "IA32_MISC_ENABLE", 0x1a0, DO_RDMSR, 0, 0x1801 },
    { "IA32_PERF_CAPABILITIES", 0x345, DO_RDMSR, 0, 0 },
    { "IA32_APIC_BASE", 0x1b, DO_RDMSR, VE, 31 },
    { "IA32_APIC_BASE", 0x1b, DO_WRMSR, VE, 32 },
    { "an unknown MSR", 0x4b564d00, DO_RDMSR, VE, 31 },
    { "IA32_VMX_BASIC", 0x480, DO_RDMSR, GP, 0 },
    { "IA32_FEATURE_CONTROL", 0x3a, DO_RDMSR, VE, 31 },
    { "IA32_TSC, to write", 0x10, DO_WRMSR, VE, 32 },
    { "IA32_ARCH_CAPABILITIES, to write", 0x10a, DO_WRMSR, GP, 0 },
    { "IA32_STAR, to write", 0xc0000081, DO_WRMSR, 0, 0 },
    { "IA32_EFER without LME", 0xc0000080, DO_WRMSR, VE, 32 },
    { "IA32_PMC0", 0xc1, DO_RDMSR, GP, 0 },
    { "IA32_XFD", 0x1c4, DO_RDMSR, GP, 0 },
    { "x2APIC TMICT", 0x838, DO_WRMSR, VE, 32 },
    { "x2APIC, reserved", 0x804, DO_RDMSR, GP, 0 },
};

static void test_cpuid_and_msrs(void)
{
    for (int i = 0; i < ARRAY_SIZE(cpuids); i++) {
        expect(cpuids[i].what, op(DO_CPUID, cpuids[i].rax, cpuids[i].rcx), 0);
        expect(cpuids[i].what, reg[cpuids[i].reg] & 0xffffffff & cpuids[i].mask,
               cpuids[i].value);
    }
    expect_ve("CPUID of a hypervisor", op(DO_CPUID, 0x40000000, 0), 10, 0);
    expect_ve("CPUID 2", op(DO_CPUID, 2, 0), 10, 0);
    expect("CPUIDVE.SET", tdcall(CPUIDVE_SET, 1, 0, 0, 0), SUCCESS);
    expect_ve("CPUID 1 with CPUIDVE", op(DO_CPUID, 1, 0), 10, 0);
    expect("CPUIDVE.SET", tdcall(CPUIDVE_SET, 0, 0, 0, 0), SUCCESS);
    for (int i = 0; i < ARRAY_SIZE(msrs); i++) {
        uint64_t vector = op(msrs[i].op, 0, msrs[i].msr);

        if (msrs[i].vector == VE) {
            expect_ve(msrs[i].what, vector, msrs[i].value, 0);
            continue;
        }
        expect(msrs[i].what, vector, msrs[i].vector);
        if (!vector && msrs[i].op == DO_RDMSR) {
            expect(msrs[i].what, reg[R11], msrs[i].value);
        }
    }
    expect("XCR0 beyond XFAM", op(DO_XSETBV, 7, 0), GP);
    expect("CR4.VMXE", op(DO_MOV_CR4, 1 << 13, 0), GP);
    expect("CR4.OSXSAVE", op(DO_MOV_CR4, 1 << 18, 0), 0);
    expect("XCR0 of XFAM", op(DO_XSETBV, 3, 0), 0);
    expect_ve("HLT", op(DO_HLT, 0, 0), 12, 0);
    expect_ve("IN", op(DO_IN, 0, 0), 30, 0);
    expect_ve("VMCALL", op(DO_VMCALL, 0, 0), 18, 0);
    expect_ve("WBINVD", op(DO_WBINVD, 0, 0), 54, 0);
}

/* An exit for the sake of the EPT: no register but these has a value. */
static void expect_ept_exit(const char *what, uint64_t status, uint64_t gpa,
                            uint64_t ext_type)
{
    expect(what, status, EXIT_EPT);
    expect(what, reg[R8], gpa);
    expect(what, reg[RDX] & 15, ext_type);
    expect("registers of the TD", reg[RBX] | reg[RBP] | reg[RSI] | reg[RDI] |
           reg[R10] | reg[R11] | reg[R12] | reg[R13] | reg[R14] | reg[R15], 0);
}

static void must_mem(uint64_t leaf, uint64_t gpa_level, uint64_t page)
{
    must("TDH.MEM leaf", leaf, gpa_level, TDR(TD), page, 0);
}

/* The host takes a page away while the TD can run. */
static void take_away(uint64_t gpa_level)
{
    must_mem(MEM_RANGE_BLOCK, gpa_level, 0);
    must("TRACK", MEM_TRACK, TDR(TD), 0, 0, 0);
    must_mem(MEM_PAGE_REMOVE, gpa_level, 0);
}

/* The TD's accesses, and ACCEPT, in each state of an entry */
static void test_entries(void)
{
    uint64_t gpa = CELL(0), status;

    /* Free: the host must add a page, which is then pending. */
    status = td_op(TD, DO_LOAD, 0, gpa, 0, 0, 0);
    expect_ept_exit("load, free", status, gpa, 0);
    expect("qualification: a read", reg[RCX] & 7, 1);
    expect_ept_exit("load, still free", enter(TD), gpa, 0);
    must_mem(MEM_PAGE_AUG, gpa, new_page());
    expect("load, pending", enter(TD), EXIT_VMCALL);
    expect_ve("load, pending", reg[R15], EXIT_EPT, gpa);
    expect_ve("store, pending", op(DO_STORE, 1, gpa), EXIT_EPT, gpa);
    expect("ACCEPT, pending", tdcall(PAGE_ACCEPT, gpa, 0, 0, 0), SUCCESS);
    expect("page that was accepted", load(gpa), 0);
    expect("ACCEPT, mapped", tdcall(PAGE_ACCEPT, gpa, 0, 0, 0),
           ALREADY_ACCEPTED);
    store(gpa, 0x77);
    expect("page that was stored to", load(gpa), 0x77);

    /* Blocked, with a translation that must not be used any more */
    must_mem(MEM_RANGE_BLOCK, gpa, 0);
    status = td_op(TD, DO_LOAD, 0, gpa, 0, 0, 0);
    expect_ept_exit("load, blocked", status, gpa, 0);
    must("TRACK", MEM_TRACK, TDR(TD), 0, 0, 0);
    must_mem(MEM_PAGE_REMOVE, gpa, 0);
    must_mem(MEM_PAGE_AUG, gpa, new_page());
    expect("load, pending again", enter(TD), EXIT_VMCALL);
    expect_ve("load, pending again", reg[R15], EXIT_EPT, gpa);

    /* ACCEPT of what is free, blocked, pending and blocked */
    gpa = CELL(1);
    status = td_op(TD, DO_TDCALL, PAGE_ACCEPT, gpa, 0, 0, 0);
    expect_ept_exit("ACCEPT, free", status, gpa, 1);
    expect("ACCEPT, free: state", reg[RDX] >> 38 & 0xff, 0);
    must_mem(MEM_PAGE_AUG, gpa, new_page());
    must_mem(MEM_RANGE_BLOCK, gpa, 0);
    status = enter(TD);
    expect_ept_exit("ACCEPT, pending and blocked", status, gpa, 1);
    expect("ACCEPT, pending and blocked: state", reg[RDX] >> 38 & 0xff, 3);
    must("TRACK", MEM_TRACK, TDR(TD), 0, 0, 0);
    must_mem(MEM_PAGE_REMOVE, gpa, 0);
    must_mem(MEM_PAGE_AUG, gpa, new_page());
    expect("ACCEPT, pending again", enter(TD), EXIT_VMCALL);
    expect("ACCEPT, pending again", reg[R11], SUCCESS);
    must_mem(MEM_RANGE_BLOCK, gpa, 0);
    status = td_op(TD, DO_TDCALL, PAGE_ACCEPT, gpa, 0, 0, 0);
    expect_ept_exit("ACCEPT, blocked", status, gpa, 1);
    must("TRACK", MEM_TRACK, TDR(TD), 0, 0, 0);
    must_mem(MEM_PAGE_REMOVE, gpa, 0);
    must_mem(MEM_PAGE_AUG, gpa, new_page());
    expect("ACCEPT, pending once more", enter(TD), EXIT_VMCALL);

    /* Data of leaves that is not there */
    status = td_op(TD, DO_TDCALL, RTMR_EXTEND, NEVER_MAPPED, 0, 0, 0);
    expect_ept_exit("RTMR.EXTEND, free", status, NEVER_MAPPED, 0);
    must_mem(MEM_PAGE_AUG, NEVER_MAPPED, new_page());
    expect("RTMR.EXTEND, pending", enter(TD), EXIT_VMCALL);
    expect_ve("RTMR.EXTEND, pending", reg[R15], EXIT_EPT, NEVER_MAPPED);
}

static void test_entries_2m(void)
{
    uint64_t gpa = 4 * MB, status;

    must_mem(MEM_PAGE_AUG, gpa | LEVEL_2M, BIG(0));
    status = td_op(TD, DO_TDCALL, PAGE_ACCEPT, gpa + PAGE, 0, 0, 0);
    expect_ept_exit("ACCEPT of 4K, pending 2M", status, gpa + PAGE, 1);
    expect("ACCEPT of 4K, pending 2M: level", reg[RDX] >> 35 & 7, LEVEL_2M);
    expect("ACCEPT of 4K, pending 2M: state", reg[RDX] >> 38 & 0xff, 2);
    take_away(gpa | LEVEL_2M);
    must("SEPT.ADD", MEM_SEPT_ADD, gpa | LEVEL_2M, TDR(TD), new_page(), 0);
    must_mem(MEM_PAGE_AUG, gpa + PAGE, new_page());
    expect("ACCEPT of 4K", enter(TD), EXIT_VMCALL);
    expect("ACCEPT of 4K", reg[R11], SUCCESS);
    expect("ACCEPT of 2M, entries", tdcall(PAGE_ACCEPT, gpa | LEVEL_2M, 0, 0,
                                           0), SIZE_MISMATCH | LEVEL_2M);
    gpa = 6 * MB;
    must_mem(MEM_PAGE_AUG, gpa | LEVEL_2M, BIG(1));
    expect("ACCEPT of 2M", tdcall(PAGE_ACCEPT, gpa | LEVEL_2M, 0, 0, 0),
           SUCCESS);
    expect("ACCEPT of 2M again", tdcall(PAGE_ACCEPT, gpa | LEVEL_2M, 0, 0, 0),
           ALREADY_ACCEPTED | LEVEL_2M);
    store(gpa + 2 * MB - 8, 0x99);
    expect("end of 2M", load(gpa + 2 * MB - 8), 0x99);
    must_mem(MEM_RANGE_BLOCK, gpa | LEVEL_2M, 0);
    status = td_op(TD, DO_LOAD, 0, gpa + 5 * PAGE, 0, 0, 0);
    expect_ept_exit("load, blocked 2M", status, gpa + 5 * PAGE, 0);
    must("TRACK", MEM_TRACK, TDR(TD), 0, 0, 0);
    must_mem(MEM_PAGE_REMOVE, gpa | LEVEL_2M, 0);
    must_mem(MEM_PAGE_AUG, gpa | LEVEL_2M, BIG(2));
    expect("load, pending 2M", enter(TD), EXIT_VMCALL);
    expect_ve("load, pending 2M", reg[R15], EXIT_EPT, gpa + 5 * PAGE);
}

/* The host takes a machine check, at the latest at a jump; the TD goes on. */
static void test_host_access(void)
{
    expect("load by the host of a page of a TD",
           TRY("mov (%%rcx), %%rax\n jmp 3f\n 3: nop", 0, PRIVATE(TD, 4), 0,
               0), 18);
    expect("TD that goes on", load(DATA), 0xfeedf00d);
}

/* Ends of a vCPU: two #VE, and a triple fault */
static void test_end(void)
{
    expect("HLT", op(DO_HLT, 0, 0), VE);
    expect("HLT, with a #VE that was not read", op(DO_HLT, 0, 0), DF);
    expect_ve("VEINFO.GET of the first", VE, 12, 0);
    expect("triple fault", td_op(TD, DO_NO_IDT, 0, 0, 0, 0, 0),
           0x4000000100000000 | EXIT_TRIPLE);
    expect("vCPU that is disabled", enter(TD), VCPU_STATE_INCORRECT | 4);
    must("VP.RD of what is disabled", VP_RD, TDVPR(TD), 0xa000000200000002, 0,
         0);
}

int main(void)
{
    bring_up();
    make_td(TD, INITIALIZED);
    load_td(TD);
    clear_td_page();
    add_td_page(TD, DATA, td_page, 4);
    add_td_page(TD, REPORT, td_page, 5);
    next_state(TD, RUNNABLE);
    test_start();
    test_calls();
    test_measurements();
    test_cpuid_and_msrs();
    test_entries();
    test_entries_2m();
    test_host_access();
    test_end();
    return result();
}
