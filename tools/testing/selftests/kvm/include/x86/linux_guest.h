/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Boot a real Linux kernel, a bzImage, as the guest of a selftest.
 *
 * This is as little of a VMM as Linux needs: memory, the in-kernel interrupt
 * controllers and PIT, an MP table and a serial port to print to.  The guest
 * tells its results in what it prints.  See guest_boot_test.c for an example.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_H
#define SELFTEST_KVM_LINUX_GUEST_H

#include <linux/sizes.h>
#include <pthread.h>
#include <sys/types.h>

#include "kvm_util.h"

#define LINUX_GUEST_MAX_VCPUS	16

/* The guest says that it is done by writing this byte to this port. */
#define LINUX_GUEST_EXIT_PORT	0xf4
#define LINUX_GUEST_EXIT_VALUE	0x2a

/* The guest, in step "wait" of guest_init, reads 0 here as long as it has to wait. */
#define LINUX_GUEST_WAIT_PORT	0xf5

/* Enough for Linux and a small initramfs. */
#define LINUX_GUEST_MEM_SIZE	SZ_256M

/* What is printed beyond it is lost. */
#define LINUX_GUEST_CONSOLE_SIZE	SZ_1M

/* Where the kernel's image is mapped, at its physical address, without KASLR. */
#define LINUX_GUEST_KERNEL_MAP	0xffffffff80000000ul

#define LINUX_GUEST_IOAPIC_GPA		0xfec00000
#define LINUX_GUEST_LOCAL_APIC_GPA	0xfee00000

/* All of the memory.  Memslots from LINUX_GUEST_FREE_MEMSLOT on are the test's. */
#define LINUX_GUEST_MEMSLOT	0

/* The same memory once more, if linux_guest_params::c_bit is not 0. */
#define LINUX_GUEST_C_BIT_MEMSLOT	1

#define LINUX_GUEST_FREE_MEMSLOT	2

#define LINUX_GUEST_HOST_ROUNDS		60

/* Why a run has ended. */
enum linux_guest_end {
	LINUX_GUEST_RUNNING,
	LINUX_GUEST_POWEROFF,		/* wrote to LINUX_GUEST_EXIT_PORT */
	LINUX_GUEST_RESET,		/* keyboard controller or port 0xcf9 */
	LINUX_GUEST_TRIPLE_FAULT,
	LINUX_GUEST_TIMEOUT,
	LINUX_GUEST_PAUSED,		/* the test wanted it */
	LINUX_GUEST_ERROR,		/* linux_guest::error tells */
};

/* A file or, if mode says so, a directory of the guest's initramfs. */
struct linux_guest_file {
	const char *path;		/* in the guest, without leading '/' */
	const char *host_path;		/* NULL: take the contents from data */
	const void *data;
	size_t size;
	mode_t mode;
};

struct linux_guest_params {
	const char *kernel;		/* path of a bzImage */
	/*
	 * Appended to what the library puts on the command line.  What follows
	 * a "--" becomes the arguments of the guest's /init.
	 */
	const char *cmdline;
	const struct linux_guest_file *files;
	int nr_files;
	int nr_vcpus;
	u64 mem_size;			/* 0: LINUX_GUEST_MEM_SIZE */
	unsigned long vm_type;		/* KVM_X86_* */
	u32 sev_policy;			/* of an SEV guest, besides what its type is */
	u64 coco_exits;			/* of KVM_CAP_COCO_EXITS */
	bool no_coco_exits;		/* an SNP guest with KVM_EXIT_HYPERCALL alone */
	/* Of an ordinary VM whose guest is to take it for an SEV VM, else 0. */
	u64 c_bit;
	u64 snp_host_data[4];		/* is to be in reports of the security processor */
	int gpaw;			/* of a TD, 0: 48 */
	bool td_sept_ve;		/* a TD that may get #VE for its own memory */
};

struct linux_guest_uart {
	u8 ier, fcr, lcr, mcr, scr, dll, dlm;
};

struct linux_guest_disk;
struct linux_guest_ioapic;
struct linux_guest_shared;

struct linux_guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[LINUX_GUEST_MAX_VCPUS];
	int nr_vcpus;
	u64 mem_size;
	u64 c_bit;			/* of an SEV guest's page table entries, or 0 */
	bool has_c_bit_memslot;
	u32 sev_policy;
	u64 snp_host_data[4];

	/* See linux_guest_virtio.h. */
	struct linux_guest_disk *disk;

	/* A TD's: KVM has none for it. */
	struct linux_guest_ioapic *ioapic;

	/* See linux_guest_shared.h. */
	struct linux_guest_shared *shared;

	/* May be changed while the guest runs. */
	bool wait;

	/* What linux_guest_stress_host() has done so far. */
	int nr_host_rounds;

	/*
	 * The test's, all optional, to be set before linux_guest_run().
	 *
	 * exit() is offered every exit to userspace before the library looks
	 * at it, on the vCPU's own thread, and returns true if it has dealt
	 * with it.  line() gets each line of the console once it is complete,
	 * under the lock of the console.  Both may call linux_guest_stop().
	 */
	bool (*exit)(struct linux_guest *guest, struct kvm_vcpu *vcpu);
	void (*line)(struct linux_guest *guest, const char *line);
	void *private;

	/* What the guest has printed: each line ends in '\0'. */
	char *console;
	size_t console_len;
	size_t console_lost;		/* bytes that found no room */

	/* With LINUX_GUEST_ERROR. */
	char error[128];

	/* The library's. */
	size_t line_start;
	unsigned long *written;		/* a bit per page, see linux_guest_written() */
	struct linux_guest_uart uart;
	pthread_mutex_t console_lock;
	pthread_mutex_t end_lock;
	pthread_cond_t end_cond;
	enum linux_guest_end end;
	bool has_exited;
	pthread_t threads[LINUX_GUEST_MAX_VCPUS];
	int nr_threads;
};

enum linux_guest_ktap_status {
	LINUX_GUEST_KTAP_MISSING,
	LINUX_GUEST_KTAP_FAILED,
	LINUX_GUEST_KTAP_PASSED,
};

struct linux_guest_ktap {
	enum linux_guest_ktap_status status;
	int nr_passed;
	int nr_failed;
	int nr_skipped;
};

/*
 * The machine alone, with nothing in its memory and vCPUs as after a reset, for
 * a guest that comes from elsewhere.  The params about Linux are not used.
 */
struct linux_guest *linux_guest_create_empty(const struct linux_guest_params *params);

/*
 * Everything up to the guest's first instruction.  The vCPUs' CPUID may still
 * be edited, with the usual helpers, until linux_guest_run().
 */
struct linux_guest *linux_guest_create(const struct linux_guest_params *params);

/* Another CPU: its vendor, and family and model as they are in EAX of leaf 1. */
void linux_guest_set_cpu(struct kvm_vcpu *vcpu, const char *vendor, u32 signature);

/*
 * Run all vCPUs until the guest ends, or for so many seconds of wall time;
 * no vCPU is running any more on return.  After LINUX_GUEST_TIMEOUT and
 * LINUX_GUEST_PAUSED the guest can be run on, and after the latter KVM has
 * completed all exits, so that the state of the vCPUs can be saved.
 */
enum linux_guest_end linux_guest_run(struct linux_guest *guest, unsigned int seconds);

/*
 * End the run, or the next one if there is none.  The first reason counts, but
 * what the guest does before the last vCPU has stopped counts more than a pause.
 */
void linux_guest_stop(struct linux_guest *guest, enum linux_guest_end end);

/* End it by LINUX_GUEST_ERROR. */
void __printf(2, 3) linux_guest_fail(struct linux_guest *guest, const char *fmt, ...);

void linux_guest_free(struct linux_guest *guest);

/* Reads and writes, KVM_MSR_FILTER_READ and KVM_MSR_FILTER_WRITE, become exits. */
void linux_guest_filter_msr(struct linux_guest *guest, u32 msr, u32 accesses);

/*
 * SNP guests and TDs: their private memory is elsewhere, in guest_memfd, and they look for
 * ACPI tables only.
 */
bool linux_guest_has_memfd(struct linux_guest *guest);

void linux_guest_log_dirty_pages(struct linux_guest *guest, bool enable);

/* What was written since the last time, through any address. */
void linux_guest_get_dirty_log(struct linux_guest *guest, unsigned long *bitmap);

/*
 * For pthread_create(), with the guest as argument: from when it is to wait, change
 * memslots and, if KVM can, log dirty pages, LINUX_GUEST_HOST_ROUNDS times; then let
 * it go on.
 */
void *linux_guest_stress_host(void *guest);

/* The path of a program that is built along with the test. */
void linux_guest_program(char *path, size_t size, const char *name);

/* The address of @symbol in the System.map @map, 0 if there is none. */
u64 linux_guest_symbol(const char *map, const char *symbol);

/*
 * Read guest memory, which is encrypted if it is @private and KVM can do that.  It is
 * decrypted by the security processor, for guests whose policy allows for debugging.
 */
void linux_guest_read(struct linux_guest *guest, u64 gpa, void *buf, u64 size, bool private);

/* Where the test finds a symbol of the kernel's image. */
void *linux_guest_kernel_hva(struct linux_guest *guest, u64 addr);

const char *linux_guest_end_str(enum linux_guest_end end);

/* The line after @line, or the first after NULL; NULL after the last. */
const char *linux_guest_next_line(struct linux_guest *guest, const char *line);

/* The first line that contains @text, or NULL. */
const char *linux_guest_find(struct linux_guest *guest, const char *text);

/* How many lines contain @text. */
int linux_guest_count(struct linux_guest *guest, const char *text);

/* The first line with which the guest's kernel complains, or NULL. */
const char *linux_guest_splat(struct linux_guest *guest);

/* What KUnit has printed about the suite @suite. */
struct linux_guest_ktap linux_guest_ktap(struct linux_guest *guest, const char *suite);

/* The last @nr_lines lines, as diagnostics of the test. */
void linux_guest_print_console(struct linux_guest *guest, int nr_lines);

/* The library's own: a pin of the I/O APIC. */
void linux_guest_irq_line(struct linux_guest *guest, int pin, bool level);

/* The library's own; the caller holds console_lock. */
void linux_guest_uart_write(struct linux_guest *guest, u16 reg, u8 value);
u8 linux_guest_uart_read(struct linux_guest *guest, u16 reg);

/* What the sum of all bytes lacks to be 0. */
u8 linux_guest_checksum(const void *data, size_t size);

#endif /* SELFTEST_KVM_LINUX_GUEST_H */
