/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX: VMX operation, VMCSs, and entries that fail
 */
#include <stdbool.h>
#include <minilib.h>
#include "traps.h"

#define MSR_FEATURE_CONTROL     0x3a
#define MSR_VMX_BASIC           0x480
#define MSR_VMX_PROCBASED       0x482
#define MSR_VMX_CTLS2           0x48b
#define MSR_VMX_EPT_VPID        0x48c
#define MSR_VMX_TRUE_PIN        0x48d
#define MSR_VMX_TRUE_PROC       0x48e
#define MSR_VMX_TRUE_EXIT       0x48f
#define MSR_VMX_TRUE_ENTRY      0x490
#define MSR_EFER                0xc0000080

#define CR0_NE                  (1 << 5)
#define CR4_VMXE                (1 << 13)

#define FAIL_INVALID            0x100
#define BAD_ADDRESS             (1ull << 52)

/* What became of an instruction: 0, an error, FAIL_INVALID, or -trap */
#define VMX(insn, a, c) ({                                              \
        uint64_t flags_ = 0;                                            \
        int trap_;                                                      \
                                                                        \
        trap_ = TRY(insn "\npushf\npop %%rdi\nmov %%rdi, vmx_flags(%%rip)", \
                    a, c, 0, 0);                                        \
        flags_ = vmx_flags;                                             \
        trap_ != NO_TRAP ? -trap_ : flags_ & 1 ? FAIL_INVALID :         \
            flags_ & 0x40 ? (int)vmread(0x4400) : 0;                    \
    })

uint64_t vmx_flags;
static uint32_t regions[4][1024] __attribute__((aligned(4096)));

static uint64_t vmread(uint64_t field)
{
    uint64_t val = 0x123;

    asm volatile("vmread %1, %0" : "+r" (val) : "r" (field) : "cc");
    return val;
}

static int try_vmread(uint64_t field)
{
    return VMX("vmread %%rax, %%rcx", field, 0);
}

static int try_vmwrite(uint64_t field, uint64_t val)
{
    return VMX("vmwrite %%rcx, %%rax", field, val);
}

static int vmxon(uint64_t pa)
{
    return VMX("vmxon (%%rax)", (uint64_t)&pa, 0);
}

static int vmptrld(uint64_t pa)
{
    return VMX("vmptrld (%%rax)", (uint64_t)&pa, 0);
}

static int vmclear(uint64_t pa)
{
    return VMX("vmclear (%%rax)", (uint64_t)&pa, 0);
}

static int invept(uint64_t type, uint64_t eptp, uint64_t reserved)
{
    uint64_t desc[2] = { eptp, reserved };

    return VMX("invept (%%rax), %%rcx", (uint64_t)desc, type);
}

static int invvpid(uint64_t type, uint64_t vpid, uint64_t addr)
{
    uint64_t desc[2] = { vpid, addr };

    return VMX("invvpid (%%rax), %%rcx", (uint64_t)desc, type);
}

static uint64_t vmptrst(void)
{
    uint64_t pa = 1;

    asm volatile("vmptrst %0" : "+m" (pa) : : "cc");
    return pa;
}

static uint64_t read_cr(int nr)
{
    uint64_t val;

    if (nr == 0) {
        asm volatile("mov %%cr0, %0" : "=r" (val));
    } else if (nr == 3) {
        asm volatile("mov %%cr3, %0" : "=r" (val));
    } else {
        asm volatile("mov %%cr4, %0" : "=r" (val));
    }
    return val;
}

static int write_cr0(uint64_t val)
{
    return TRY("mov %%rax, %%cr0", val, 0, 0, 0);
}

static int write_cr4(uint64_t val)
{
    return TRY("mov %%rax, %%cr4", val, 0, 0, 0);
}

static void test_before_vmxon(void)
{
    uint64_t control = rdmsr(MSR_FEATURE_CONTROL);

    if (!(control & 1)) {
        CHECK_EQ(try_wrmsr(MSR_FEATURE_CONTROL, 1 << 1), TRAP_GP);
        CHECK_EQ(vmxon((uint64_t)regions[0]), -TRAP_UD);
        wrmsr(MSR_FEATURE_CONTROL, 5);
    }
    CHECK_EQ(rdmsr(MSR_FEATURE_CONTROL), 5);
    CHECK_EQ(try_wrmsr(MSR_FEATURE_CONTROL, 5), TRAP_GP);
    CHECK_EQ(try_wrmsr(MSR_VMX_BASIC, 0), TRAP_GP);

    CHECK_EQ(vmxon((uint64_t)regions[0]), -TRAP_UD);
    CHECK_EQ(write_cr4(read_cr(4) | CR4_VMXE), NO_TRAP);
    CHECK_EQ(write_cr0(read_cr(0) & ~CR0_NE), NO_TRAP);
    CHECK_EQ(vmxon((uint64_t)regions[0]), -TRAP_GP);
    CHECK_EQ(write_cr0(read_cr(0) | CR0_NE), NO_TRAP);

    CHECK_EQ(VMX("vmxoff", 0, 0), -TRAP_UD);
    CHECK_EQ(VMX("vmlaunch", 0, 0), -TRAP_UD);
    CHECK_EQ(VMX("vmcall", 0, 0), -TRAP_UD);
    CHECK_EQ(VMX("vmread %%rax, %%rcx", 0, 0), -TRAP_UD);
    CHECK_EQ(VMX(".byte 0x66, 0x0f, 0x01, 0xcf", 0, 0), -TRAP_UD);
    CHECK_EQ(VMX(".byte 0x66, 0x0f, 0x01, 0xcc", 0, 0), -TRAP_UD);

    CHECK_EQ(vmxon((uint64_t)regions[0] + 8), FAIL_INVALID);
    CHECK_EQ(vmxon(BAD_ADDRESS), FAIL_INVALID);
    CHECK_EQ(vmxon((uint64_t)regions[0]), FAIL_INVALID);    /* no revision */
}

static void test_pointers(void)
{
    uint32_t revision = rdmsr(MSR_VMX_BASIC);
    uint64_t on = (uint64_t)regions[0], a = (uint64_t)regions[1];
    uint64_t b = (uint64_t)regions[2];

    regions[0][0] = regions[1][0] = regions[2][0] = revision;
    regions[3][0] = revision | 1u << 31;
    CHECK_EQ(vmxon(on), 0);
    CHECK_EQ(vmptrst(), -1ull);
    CHECK_EQ(vmxon(on), FAIL_INVALID);
    CHECK_EQ(try_vmread(0x4400), FAIL_INVALID);
    CHECK_EQ(try_vmwrite(0x4000, 0), FAIL_INVALID);
    CHECK_EQ(VMX("vmlaunch", 0, 0), FAIL_INVALID);
    CHECK_EQ(write_cr4(read_cr(4) & ~CR4_VMXE), TRAP_GP);
    CHECK_EQ(write_cr0(read_cr(0) & ~CR0_NE), TRAP_GP);

    CHECK_EQ(vmclear(a), 0);
    CHECK_EQ(vmptrld(a), 0);
    CHECK_EQ(vmptrst(), a);
    CHECK_EQ(vmxon(on), 15);
    CHECK_EQ(vmclear(a + 1), 2);
    CHECK_EQ(vmclear(BAD_ADDRESS), 2);
    CHECK_EQ(vmclear(on), 3);
    CHECK_EQ(vmptrld(a + 1), 9);
    CHECK_EQ(vmptrld(BAD_ADDRESS), 9);
    CHECK_EQ(vmptrld(on), 10);
    CHECK_EQ(vmptrld((uint64_t)regions[3]), 11);
    CHECK_EQ(vmptrst(), a);
    CHECK_EQ(VMX("vmcall", 0, 0), 1);

    /* Each has its own fields. */
    CHECK_EQ(try_vmwrite(0x681e, 0x1111), 0);
    CHECK_EQ(vmclear(b), 0);
    CHECK_EQ(vmptrld(b), 0);
    CHECK_EQ(try_vmwrite(0x681e, 0x2222), 0);
    CHECK_EQ(vmptrld(a), 0);
    CHECK_EQ(vmread(0x681e), 0x1111);
    CHECK_EQ(vmclear(b), 0);
    CHECK_EQ(vmptrst(), a);
    CHECK_EQ(vmclear(a), 0);
    CHECK_EQ(vmptrst(), -1ull);
    CHECK_EQ(vmptrld(a), 0);
}

/* A field of each kind, the last one, and the first that is none */
static void test_fields(void)
{
    static const struct {
        uint16_t first, last;
        uint8_t bits;
    } kinds[] = {
        { 0x0000, 0x0004, 16 }, { 0x0800, 0x0812, 16 }, { 0x0c00, 0x0c0c, 16 },
        { 0x2000, 0x2032, 64 }, { 0x2400, 0x2400, 64 }, { 0x2800, 0x2814, 64 },
        { 0x2c00, 0x2c04, 64 }, { 0x4000, 0x4022, 32 }, { 0x4400, 0x440e, 32 },
        { 0x4800, 0x482a, 32 }, { 0x4c00, 0x4c00, 32 }, { 0x6000, 0x600e, 64 },
        { 0x6400, 0x640a, 64 }, { 0x6800, 0x6826, 64 }, { 0x6c00, 0x6c16, 64 },
    };
    static const uint64_t none[] = {
        0x0400, 0x1000, 0x3000, 0x5000, 0x7000, 0x8000, 0x4001, 0x6001, 0x0001,
        0x10000, 1ull << 32, -1ull,
    };
    const uint64_t pattern = 0x8877665544332211;

    for (int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        uint64_t mask = kinds[i].bits == 64 ? -1ull :
                        (1ull << kinds[i].bits) - 1;

        for (unsigned f = kinds[i].first; f <= kinds[i].last; f += 2) {
            CHECK_EQ(try_vmwrite(f, pattern + f), 0);
        }
        for (unsigned f = kinds[i].first; f <= kinds[i].last; f += 2) {
            CHECK_EQ(vmread(f), (pattern + f) & mask);
        }
        CHECK_EQ(try_vmread(kinds[i].last + 2), 12);
        CHECK_EQ(try_vmwrite(kinds[i].last + 2, 0), 12);
    }
    for (int i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        CHECK_EQ(try_vmread(none[i]), 12);
    }
    /* The destination of a VMREAD that fails remains. */
    CHECK_EQ(vmread(0x0400), 0x123);
    /* The upper half of a field of 64 bits */
    CHECK_EQ(try_vmwrite(0x2000, pattern), 0);
    CHECK_EQ(vmread(0x2001), pattern >> 32);
    CHECK_EQ(try_vmwrite(0x2001, 0xabcd), 0);
    CHECK_EQ(vmread(0x2000), 0xabcd00000000 | (uint32_t)pattern);
}

static void test_invalidations(void)
{
    CHECK_EQ(invept(2, 0, 0), 0);
    CHECK_EQ(invept(1, 0x1000, 0), 0);
    CHECK_EQ(invept(0, 0, 0), 28);
    CHECK_EQ(invept(3, 0, 0), 28);
    CHECK_EQ(invept(2, 0, 1), 28);
    CHECK_EQ(invept(1ull << 32 | 2, 0, 0), 28);
    CHECK_EQ(invvpid(2, 0, 0), 0);
    CHECK_EQ(invvpid(1, 1, 0), 0);
    CHECK_EQ(invvpid(1, 0, 0), 28);
    CHECK_EQ(invvpid(1, 1 << 16, 0), 28);
    CHECK_EQ(invvpid(0, 1, 1ull << 62), 28);
    CHECK_EQ(invvpid(4, 1, 0), 28);
}

/* The controls that must be set, and no others */
static void write_controls(void)
{
    CHECK_EQ(try_vmwrite(0x4000, (uint32_t)rdmsr(MSR_VMX_TRUE_PIN)), 0);
    CHECK_EQ(try_vmwrite(0x4002, (uint32_t)rdmsr(MSR_VMX_TRUE_PROC)), 0);
    CHECK_EQ(try_vmwrite(0x400c, (uint32_t)rdmsr(MSR_VMX_TRUE_EXIT) | 1 << 9),
             0);
    CHECK_EQ(try_vmwrite(0x4012, (uint32_t)rdmsr(MSR_VMX_TRUE_ENTRY)), 0);
    CHECK_EQ(try_vmwrite(0x4010, 0), 0);
}

static void write_host_state(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) gdtr, idtr;

    asm volatile("sgdt %0" : "=m" (gdtr));
    asm volatile("sidt %0" : "=m" (idtr));
    for (unsigned f = 0x0c00; f <= 0x0c0c; f += 2) {
        CHECK_EQ(try_vmwrite(f, 0x10), 0);
    }
    CHECK_EQ(try_vmwrite(0x0c02, 8), 0);
    CHECK_EQ(try_vmwrite(0x4c00, 0x7777), 0);
    CHECK_EQ(try_vmwrite(0x6c00, read_cr(0)), 0);
    CHECK_EQ(try_vmwrite(0x6c02, read_cr(3)), 0);
    CHECK_EQ(try_vmwrite(0x6c04, read_cr(4)), 0);
    for (unsigned f = 0x6c06; f <= 0x6c0a; f += 2) {
        CHECK_EQ(try_vmwrite(f, 0), 0);
    }
    CHECK_EQ(try_vmwrite(0x6c0c, gdtr.base), 0);
    CHECK_EQ(try_vmwrite(0x6c0e, idtr.base), 0);
    CHECK_EQ(try_vmwrite(0x6c10, 0), 0);
    CHECK_EQ(try_vmwrite(0x6c12, 0), 0);
}

/* Whether the CPU went on at the host's RIP */
static bool launch(void)
{
    uint64_t exited = 0;

    asm volatile("mov $0x6c14, %%ecx\n"
                 "vmwrite %%rsp, %%rcx\n"
                 "lea 1f(%%rip), %%rax\n"
                 "mov $0x6c16, %%ecx\n"
                 "vmwrite %%rax, %%rcx\n"
                 "vmlaunch\n"
                 "jmp 2f\n"
                 "1: mov $1, %0\n"
                 "2:"
                 : "+r" (exited) : : "rax", "rcx", "memory", "cc");
    return exited;
}

static int vmlaunch(void)
{
    return VMX("vmlaunch", 0, 0);
}

static void test_launch(void)
{
    static const struct {
        uint16_t field;
        uint64_t val;
        uint8_t error;
    } cases[] = {
        { 0x4000, 0, 7 }, { 0x4002, 0, 7 }, { 0x400c, 0, 7 }, { 0x4012, 0, 7 },
        { 0x4000, 0xffffffff, 7 }, { 0x4010, 1, 7 },
        { 0x0c02, 0, 8 }, { 0x0c0c, 0, 8 }, { 0x0c04, 3, 8 }, { 0x0c06, 4, 8 },
        { 0x6c00, 0, 8 }, { 0x6c04, 0, 8 }, { 0x6c02, BAD_ADDRESS, 8 },
        { 0x6c06, 1ull << 62, 8 }, { 0x6c0c, 1ull << 62, 8 },
        { 0x6c16, 1ull << 62, 8 },
    };

    for (int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_controls();
        write_host_state();
        CHECK_EQ(try_vmwrite(cases[i].field, cases[i].val), 0);
        CHECK_EQ(vmlaunch(), cases[i].error);
    }
    write_controls();
    write_host_state();
    CHECK_EQ(VMX("vmresume", 0, 0), 5);
    CHECK_EQ(try_vmwrite(0x4402, 0), 0);
    CHECK_EQ(launch(), true);
    CHECK_EQ(vmread(0x4402), 0x80000021);
    CHECK_EQ(vmread(0x6400), 0);
    CHECK_EQ(rdmsr(0x174), 0x7777);
    /* It remains one that has not been launched. */
    CHECK_EQ(VMX("vmresume", 0, 0), 5);
    CHECK_EQ(launch(), true);
    init_traps();
}

int main(void)
{
    init_traps();
    test_before_vmxon();
    test_pointers();
    test_fields();
    test_invalidations();
    test_launch();
    CHECK_EQ(VMX("vmxoff", 0, 0), 0);
    CHECK_EQ(VMX("vmptrst (%%rax)", (uint64_t)regions, 0), -TRAP_UD);
    CHECK_EQ(write_cr4(read_cr(4) & ~CR4_VMXE), NO_TRAP);
    ml_printf("%s: %d failures\n", "vmx", failures);
    return failures != 0;
}
