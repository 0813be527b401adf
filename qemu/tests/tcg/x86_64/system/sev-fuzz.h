/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fuzzer of memory encryption: its machine
 *
 * What is not random in sev-fuzz.c: entry of both CPUs, exceptions, page
 * tables, VMRUN, and the code of the guests.
 */
#include <stdbool.h>
#include <stdint.h>
#include <minilib.h>

/* Each access to memory or a device is to be made, by one instruction. */
#define MEM8(at)        (*(volatile uint8_t *)(at)) /* see above */
#define MEM32(at)       (*(volatile uint32_t *)(at)) /* see above */
#define MEM64(at)       (*(volatile uint64_t *)(at)) /* see above */

#define ARRAY_SIZE(a)   (sizeof(a) / sizeof((a)[0]))
#define PAGE            4096ul
#define MB              (1024 * 1024ul)
#define CBIT            (1ul << 51)
#define NR_CPUS         2
#define STACK_SIZE      65536

#define APIC            0xfee00000ul
#define IOMMU           0xfed80000ul
#define FW_CFG          0x510
#define FW_CFG_CPUS     0x05
#define FW_CFG_CMDLINE  0x15
#define WATCHDOG        0x443
#define RESET           0xcf9

#define MSR_EFER        0xc0000080
#define MSR_SYSCFG      0xc0010010
#define MSR_HSAVE       0xc0010117
#define MSR_RMP_BASE    0xc0010132
#define MSR_RMP_END     0xc0010133
#define SYSCFG_SNP      ((1ul << 24) | (1ul << 25) | (1ul << 19))
#define EFER_HOST       0x1d01ul            /* SVME, NXE, LMA, LME, SCE */

/*
 * An exception ends the step: its handler begins the next one, on an empty
 * stack.  An NMI, and what other interrupts there may be, change nothing.
 */
asm(".pushsection .text\n"
    "trap_stubs:\n"
    ".set nr, 0\n"
    ".rept 32\n"
    "  .balign 16\n"
    "  .if nr == 2\n  iretq\n  .endif\n"
    "  mov $nr, %edi\n  jmp trap_common\n"
    "  .set nr, nr + 1\n"
    ".endr\n"
    "ignore_interrupt:\n"
    "  iretq\n"
    "trap_common:\n"
    "  mov %rsp, %rsi\n"
    "  mov %rsp, %rax\n  and $-65536, %rax\n"
    "  lea stacks(%rip), %rcx\n  sub %rcx, %rax\n"
    "  cmp $65536, %rax\n  ja 1f\n"
    "  lea 65536(%rcx, %rax), %rsp\n"
    "  call trapped\n"
    "1: mov $6, %al\n  mov $0xcf9, %edx\n  out %al, %dx\n"
    "  jmp 1b\n"

    /* RDI: VMCB, RSI: where the host's state is saved */
    "run_guest:\n"
    "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n"
    "  push %r14\n  push %r15\n"
    "  mov %rsi, %rax\n  vmsave\n"
    "  mov %rdi, %rax\n  vmrun\n"
    "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n"
    "  pop %rbp\n  pop %rbx\n"
    "  stgi\n  ret\n"
    ".popsection\n");
extern char trap_stubs[], ignore_interrupt[];
void run_guest(uint64_t vmcb, uint64_t hsave);

/*
 * The code of the guests, which is copied to CODE: it does what the list in the
 * shared page says, from its end, and then exits.  An exception ends an
 * operation.
 */
#define SHARED_GPA      0x8000ul
#define CODE            0x100000ul
#define STACK_TOP       0x107000ul
#define NR_GUEST_OPS    32
#define MAX_LIST        8

struct guest_list {
    uint64_t nr, unused;
    struct guest_op {
        uint64_t op, addr, rcx, rdx;
    } ops[MAX_LIST];
};

asm(".pushsection .text\n"
    ".macro guest_insn text:vararg\n"
    "  .balign 16\n  \\text\n  ret\n"
    ".endm\n"
    ".balign 4096\n"
    "guest:\n"
    "  lea guest(%rip), %rdi\n  and $-0x200000, %rdi\n"
    "  lea 0x107000(%rdi), %rsp\n  add $0x8000, %rdi\n"
    "  mov (%rdi), %eax\n"
    "  test %eax, %eax\n  jz 1f\n"
    "  cmp $8, %eax\n  ja 1f\n"
    "  decl (%rdi)\n"
    "  dec %eax\n  shl $5, %eax\n  lea 16(%rdi, %rax), %rbp\n"
    "  mov (%rbp), %ebx\n  mov 8(%rbp), %rsi\n"
    "  mov 16(%rbp), %rcx\n  mov 24(%rbp), %rdx\n"
    "  mov %rsi, %rax\n"
    "  and $31, %ebx\n  shl $4, %ebx\n  lea guest_ops(%rip), %r8\n"
    "  add %rbx, %r8\n  call *%r8\n"
    "  jmp guest\n"
    "1: rep; vmmcall\n  vmmcall\n  hlt\n  jmp guest\n"
    "guest_ops:\n"
    "guest_insn mov (%rsi), %rax\n"
    "guest_insn mov %rdx, (%rsi)\n"
    "guest_insn call *%rsi\n"
    "guest_insn .byte 0xf2, 0x0f, 0x01, 0xff\n"     /* PVALIDATE */
    "guest_insn .byte 0xf3, 0x0f, 0x01, 0xfe\n"     /* RMPADJUST */
    "guest_insn cpuid\n"
    "guest_insn in (%dx), %eax\n"
    "guest_insn out %eax, (%dx)\n"
    "guest_insn rdmsr\n"
    "guest_insn wrmsr\n"
    "guest_insn .byte 0xf2, 0x0f, 0x01, 0xfe\n"     /* RMPUPDATE */
    "guest_insn .byte 0xf3, 0x0f, 0x01, 0xff\n"     /* PSMASH */
    "guest_insn .byte 0xf2, 0x0f, 0x01, 0xfd\n"     /* RMPREAD */
    "guest_insn .byte 0xf3, 0x0f, 0x01, 0xd9\n"     /* VMGEXIT */
    "guest_insn vmmcall\n"
    "guest_insn hlt\n"
    "guest_insn pause\n"
    "guest_insn mov %rdx, %cr0\n"
    "guest_insn mov %rdx, %cr3\n"
    "guest_insn mov %rdx, %cr4\n"
    "guest_insn mov %rdx, %dr7\n"
    "guest_insn invlpg (%rsi)\n"
    "guest_insn vmrun\n"
    "guest_insn vmload\n"
    "guest_insn vmsave\n"
    "guest_insn xsetbv\n"
    "guest_insn wbinvd\n"
    "  .balign 16\n  sti\n  nop\n  cli\n  ret\n"
    "  .balign 16\n  clgi\n  stgi\n  ret\n"
    "guest_insn lock addq $1, -1(%rsi)\n"
    "  .balign 16\n  mov %rcx, (%rsi)\n  mov %rdx, 8(%rsi)\n  call *%rsi\n  ret\n"
    "guest_insn xrstor (%rsi)\n"
    "guest_end:\n"
    ".popsection\n");
extern char guest[], guest_end[];

static uint8_t stacks[NR_CPUS][STACK_SIZE] __attribute__((aligned(STACK_SIZE)));
static uint64_t idt[256][2] __attribute__((aligned(16)));

static inline void outb(uint16_t port, uint8_t val)
{
    asm volatile("outb %0, %1" :: "a" (val), "Nd" (port));
}

static inline void outl(uint16_t port, uint32_t val)
{
    asm volatile("outl %0, %1" :: "a" (val), "Nd" (port));
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t val;

    asm volatile("inl %1, %0" : "=a" (val) : "Nd" (port));
    return val;
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t val;

    asm volatile("inb %1, %0" : "=a" (val) : "Nd" (port));
    return val;
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;

    asm volatile("rdmsr" : "=a" (low), "=d" (high) : "c" (msr));
    return low | (uint64_t)high << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t val)
{
    asm volatile("wrmsr" :: "c" (msr), "a" ((uint32_t)val), "d" (val >> 32)
                 : "memory");
}

static inline uint32_t cpuid_eax(uint32_t leaf)
{
    uint32_t eax = leaf, ebx, ecx = 0, edx;

    asm volatile("cpuid" : "+a" (eax), "=b" (ebx), "+c" (ecx), "=d" (edx));
    return eax;
}

static inline uint64_t read_cr3(void)
{
    uint64_t cr3;

    asm volatile("mov %%cr3, %0" : "=r" (cr3));
    return cr3;
}

static void clear_page(uint64_t at)
{
    for (int i = 0; i < 512; i++) {
        MEM64(at + 8 * i) = 0;
    }
}

static void put_gate(uint64_t gate, uint64_t at)
{
    MEM64(gate) = (at & 0xffff) | 8 << 16 | 0x8e00ul << 32 | at >> 16 << 48;
    MEM64(gate + 8) = at >> 32;
}

static void load_idt(void)
{
    struct { uint16_t limit; uint64_t base; } __attribute__((packed)) idtr = {
        sizeof(idt) - 1, (uint64_t)idt
    };

    asm volatile("lidt %0" :: "m" (idtr));
}

static void make_idt(void)
{
    for (int i = 0; i < 256; i++) {
        put_gate((uint64_t)idt[i], (uint64_t)(i < 32 ? trap_stubs + 16 * i :
                                              ignore_interrupt));
    }
}

/* The firmware's timer is for nobody. */
static void mask_pic(void)
{
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

/*
 * An NMI ends what a guest does.  It is intercepted, and the host ignores it.
 * A guest that disables it is ended by the watchdog, and all others with it.
 */
#define GUEST_NS        2000000

static void start_timer(uint32_t ns)
{
    MEM32(APIC + 0xf0) = 0x1ff;
    MEM32(APIC + 0x3e0) = 0xb;
    MEM32(APIC + 0x320) = 0x400;
    MEM32(APIC + 0x380) = ns;
}

/* A bit for each CPU that has been here since the last time */
static uint32_t alive;

static void kick_watchdog(unsigned cpu, unsigned cpus)
{
    /* All CPUs must be alive, not only the one that says so. */
    if (__sync_or_and_fetch(&alive, 1u << cpu) == (1u << cpus) - 1) {
        alive = 0;
        outb(WATCHDOG, 0xd);    /* 4 seconds */
    }
}

static void reset_machine(void)
{
    outb(RESET, 6);
    for (;;) {
        asm volatile("hlt");
    }
}

/* What follows NAME= in the command line, or DEF */
static uint64_t option(const char *name, uint64_t def)
{
    uint64_t val = 0;
    bool found = false;
    char c;

    asm volatile("outw %w0, %w1" :: "a" (FW_CFG_CMDLINE), "d" (FW_CFG));
    do {
        const char *at = name;

        c = inb(FW_CFG + 1);
        while (*at && c == *at) {
            at++;
            c = inb(FW_CFG + 1);
        }
        if (!*at && c == '=') {
            found = true;
            for (c = inb(FW_CFG + 1); c >= '0' && c <= '9';
                 c = inb(FW_CFG + 1)) {
                val = val * 10 + c - '0';
            }
        }
        while (c && c != ' ') {
            c = inb(FW_CFG + 1);
        }
    } while (c);
    return found ? val : def;
}

static unsigned nr_cpus(void)
{
    asm volatile("outw %w0, %w1" :: "a" (FW_CFG_CPUS), "d" (FW_CFG));
    return inb(FW_CFG + 1) >= NR_CPUS ? NR_CPUS : 1;
}

/* The BAR of the security processor; 0: there is none */
static uint64_t find_psp(void)
{
    for (unsigned slot = 0; slot < 32; slot++) {
        uint32_t config = 1u << 31 | slot << 11;

        outl(0xcf8, config);
        if (inl(0xcfc) == 0x14ca1022) {
            outl(0xcf8, config | 4);
            outl(0xcfc, 2);
            outl(0xcf8, config | 0x18);
            return inl(0xcfc) & ~0xf;
        }
    }
    return 0;
}
