// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of the Linux guests that tests boot with linux_guest_create().
 *
 * Loads the modules that are its arguments, in that order, from /modules, takes
 * the steps that are, says on the console what it did, and reboots, which ends
 * the guest.  A module's parameters follow its name, with commas.
 *
 *	offline, online		stop and start CPU 1
 *	hibernate		up to where the last CPU is suspended, and resume
 *	kexec, crash		start this kernel once more, without any steps
 *	disk			overwrite the disk, /dev/vda, and read it back; a
 *				disk that this step has written is read first
 *	pressure		use up nearly all memory, for a moment
 *	plug			plug in the 128 MiB at 128 MiB, a block of memory that
 *				the command line keeps from the kernel
 *	wait			until the VMM lets the guest go on: port 0xf5 of the
 *				VMM reads as 0 as long as it does not
 *	busy			the same, and meanwhile what the step disk does, over
 *				and over
 *	unload			unload the modules, the last one first
 *	report			have the security processor report on an SNP guest, if
 *				the kernel can ask for that
 *	quote			have the host sign what the TDX module reports on a TD
 *	panic			end PID 1, of which the kernel dies
 *
 * With the argument page_tables=OFFSET it says, before each step and at the end, which
 * pages the kernel maps without the C-bit.  That is where the kernel's page tables
 * are, relative to its first byte.  A TD has shared_bit=NUMBER as well: it says which
 * pages are mapped with that bit.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <linux/sev-guest.h>
#include <linux/sysinfo.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE_SIZE	4096
#define MAX_MODULES	16

#define PTE_PRESENT	1ul
#define PTE_HUGE	0x80ul
#define PTE_ADDRESS	0x000ffffffffff000ul

/* The most memory that a guest has. */
#define MAX_MEMORY	(3ul << 30)

/* A multiple of the sectors of any disk. */
#define DISK_BLOCK_SIZE	(16 * PAGE_SIZE)

/* Of each process of step "load". */
#define LOAD_PAGES	1024
#define PAGE_WORDS	(PAGE_SIZE / sizeof(long))

/* What the kernel keeps while memory is scarce. */
#define SPARE_MEMORY	(8 << 20)

/* See linux_guest.h. */
#define WAIT_PORT	0xf5

static int kmsg = -1;

/* Physical addresses, 0: not known, and nobody wants to know of shared pages. */
static unsigned long kernel, page_tables;

static const char *loaded[MAX_MODULES];
static int nr_loaded;

/* A bit for each page. */
static uint8_t shared[MAX_MEMORY / PAGE_SIZE / 8];
static uint64_t c_bit, shared_bit;

/* One write is one line of the kernel's log. */
static void say(const char *fmt, ...)
{
	char line[256];
	va_list ap;
	int fd, len;

	len = snprintf(line, sizeof(line), "<5>guest_init: ");
	va_start(ap, fmt);
	vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	va_end(ap);
	write(kmsg, line, strlen(line));

	/*
	 * A CPU that is printing something else may print it, later.  Whoever has the
	 * console's lock prints all that is left, and reading this file takes it.
	 */
	fd = open("/sys/class/tty/console/active", O_RDONLY);
	if (fd < 0)
		return;
	read(fd, line, sizeof(line));
	close(fd);
}

/* A kernel may lack some of them, and a guest that boots needs /dev only. */
static void mount_all(void)
{
	static const char * const types[][2] = {
		{ "devtmpfs",	"/dev" },
		{ "proc",	"/proc" },
		{ "sysfs",	"/sys" },
		{ "debugfs",	"/sys/kernel/debug" },
		{ "configfs",	"/sys/kernel/config" },
		{}
	};
	int i;

	for (i = 0; types[i][0]; i++) {
		mkdir(types[i][1], 0755);
		mount(types[i][0], types[i][1], types[i][0], 0, NULL);
	}
}

static int load_module(const char *name)
{
	char path[256], *params, *c;
	int fd, err = 0;

	snprintf(path, sizeof(path), "/modules/%s", name);
	params = strchr(path, ',');
	if (params)
		*params++ = '\0';
	for (c = params; c && *c; c++)
		*c = *c == ',' ? ' ' : *c;

	fd = open(path, O_RDONLY);
	if (fd < 0 || syscall(__NR_finit_module, fd, params ?: "", 0))
		err = errno;
	if (fd >= 0)
		close(fd);
	return err;
}

/* Linux also passes on what it does not know, e.g. "nokaslr" without KASLR. */
static int is_module(const char *name)
{
	const char *comma = strchr(name, ',');
	size_t len = comma ? (size_t)(comma - name) : strlen(name);

	return len > 3 && !strncmp(name + len - 3, ".ko", 3);
}

static void load_modules(char **names)
{
	int err;

	for (; *names; names++) {
		if (!is_module(*names))
			continue;
		err = nr_loaded < MAX_MODULES ? load_module(*names) : ENOSPC;
		if (err)
			say("%s failed to load, errno %d\n", *names, err);
		else
			loaded[nr_loaded++] = *names;
	}
	say("%d modules loaded\n", nr_loaded);
}

/* Not even root can have a process run on a CPU that is not online. */
static int nr_online_cpus(void)
{
	unsigned long mask[16] = {};
	int i, nr = 0;

	syscall(__NR_sched_getaffinity, 0, sizeof(mask), mask);
	for (i = 0; i < (int)(8 * sizeof(mask)); i++)
		nr += mask[i / 64] >> (i % 64) & 1;
	return nr;
}

static int write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);
	int err = 0;

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		err = errno;
	if (fd >= 0)
		close(fd);
	return err;
}

static int stop_cpu1(void)
{
	return write_file("/sys/devices/system/cpu/cpu1/online", "0");
}

static int start_cpu1(void)
{
	return write_file("/sys/devices/system/cpu/cpu1/online", "1");
}

/* Without an image: far enough that the last CPU is suspended and resumes. */
static int hibernate_without_image(void)
{
	write_file("/sys/module/hibernate/parameters/pm_test_delay", "0");
	return write_file("/sys/power/pm_test", "core") ?: write_file("/sys/power/state", "disk");
}

/* The command line of this kernel, for one whose PID 1 takes no steps. */
static int read_cmdline(char *cmdline, size_t size, const char *extra)
{
	int fd = open("/proc/cmdline", O_RDONLY);
	ssize_t len = fd < 0 ? -1 : read(fd, cmdline, size - strlen(extra) - 1);
	char *end;

	close(fd);
	if (len < 0)
		return errno;
	cmdline[len] = '\0';
	end = strstr(cmdline, " -- ");
	strcpy(end ?: cmdline + len, extra);
	return 0;
}

/* This kernel and its initramfs, which "retain_initrd" has kept. */
static int load_kernel(unsigned long flags, const char *extra)
{
	int kernel = open("/kernel", O_RDONLY), initrd = open("/sys/firmware/initrd", O_RDONLY);
	static char cmdline[4096];
	size_t size;
	int err;

	err = read_cmdline(cmdline, sizeof(cmdline), extra);
	/* No call of a function may be among the arguments of nolibc's syscall(). */
	size = strlen(cmdline) + 1;
	if (!err && syscall(__NR_kexec_file_load, kernel, initrd, size, cmdline, flags))
		err = errno;
	return err;
}

static int start_kernel(void)
{
	return load_kernel(0, " --") ?: reboot(LINUX_REBOOT_CMD_KEXEC);
}

/* PID 1 must not end: the kernel panics. */
static int crash_into_kernel(void)
{
	unsigned long cpu0 = 1;
	int err = load_kernel(KEXEC_FILE_ON_CRASH, " nr_cpus=1 --");

	if (err)
		return err;
	syscall(__NR_sched_setaffinity, 0, sizeof(cpu0), &cpu0);
	exit(1);
}

/* SNP ABI specification, 7.3: ATTESTATION_REPORT, behind what MSG_REPORT_RSP begins with */
struct snp_report {
	uint32_t status;
	uint32_t size;
	uint8_t reserved[24];
	uint32_t version;
	uint32_t guest_svn;
	uint64_t policy;
	uint8_t ids[32];
	uint32_t vmpl;
	uint8_t other[28];
	uint8_t data[64];
	uint8_t measurement[48];
	uint64_t host_data[4];
};

/* Whatever is asked for has to be in the report, so that nobody can repeat an old one. */
static int get_report(void)
{
	static struct snp_report_resp response;
	struct snp_report *report = (void *)response.data;
	static struct snp_report_req request;
	struct snp_guest_request_ioctl ioc = {
		.msg_version = 1,
		.req_data = (uintptr_t)&request,
		.resp_data = (uintptr_t)&response,
	};
	size_t i, nr_set = 0;
	int fd, err = 0;

	fd = open("/dev/sev-guest", O_RDWR);
	if (fd < 0) {
		say("report: no /dev/sev-guest\n");
		return 0;
	}
	for (i = 0; i < sizeof(request.user_data); i++)
		request.user_data[i] = 3 * i + 1;
	if (ioctl(fd, SNP_GET_REPORT, &ioc))
		err = errno;
	close(fd);
	if (err)
		return err;
	for (i = 0; i < sizeof(report->measurement); i++)
		nr_set += !!report->measurement[i];
	/* A digest has a byte of 0 now and then. */
	if (report->status || nr_set < sizeof(report->measurement) / 2 ||
	    memcmp(report->data, request.user_data, sizeof(report->data)))
		err = EIO;
	say("report: policy 0x%lx, VMPL %u, host data 0x%lx 0x%lx 0x%lx 0x%lx\n", report->policy,
	    report->vmpl, report->host_data[0], report->host_data[1], report->host_data[2],
	    report->host_data[3]);
	return err;
}

#define QUOTES		"/sys/kernel/config/tsm/report/"
#define MEASUREMENTS	"/sys/devices/virtual/misc/tdx_guest/measurements/"

/* Intel's quotes, version 4: what the signature is for, behind the header */
struct td_quote {
	uint8_t header[48];
	uint8_t tcb[120];
	uint64_t attributes;
	uint64_t xfam;
	uint8_t mrtd[48];
	uint8_t other[336];
	uint8_t data[64];
};

static int read_file(const char *path, void *data, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t len = 1;
	size_t done = 0;

	if (fd < 0)
		return -1;
	while (len > 0 && done < size) {
		len = read(fd, data + done, size - done);
		done += len > 0 ? len : 0;
	}
	close(fd);
	return len < 0 ? -1 : (int)done;
}

/* The data is in the quote, so that nobody can repeat an old one, and the TD's digest. */
static int get_quote(void)
{
	static uint8_t quote[8192], data[64], mrtd[48];
	struct td_quote *signed_part = (void *)quote;
	static char provider[32];
	int i, fd, len;
	bool is_right;

	for (i = 0; i < (int)sizeof(data); i++)
		data[i] = 5 * i + 2;
	if (mkdir(QUOTES "init", 0755))
		return errno;
	if (read_file(QUOTES "init/provider", provider, sizeof(provider) - 1) < 0)
		return errno;
	fd = open(QUOTES "init/inblob", O_WRONLY);
	if (fd < 0 || write(fd, data, sizeof(data)) != sizeof(data))
		return errno ?: EIO;
	close(fd);
	len = read_file(QUOTES "init/outblob", quote, sizeof(quote));
	if (len < 0)
		return errno;
	rmdir(QUOTES "init");
	if (read_file(MEASUREMENTS "mrtd:sha384", mrtd, sizeof(mrtd)) != sizeof(mrtd))
		return errno ?: EIO;
	is_right = len >= (int)sizeof(*signed_part) &&
		   !memcmp(signed_part->data, data, sizeof(data)) &&
		   !memcmp(signed_part->mrtd, mrtd, sizeof(mrtd));
	for (i = 0; i < (int)sizeof(mrtd) && !mrtd[i]; i++)
		;
	say("quote: %d bytes, attributes 0x%lx, xfam 0x%lx, %s digest, from %s", len,
	    signed_part->attributes, signed_part->xfam, i < (int)sizeof(mrtd) ? "a" : "no",
	    provider);
	return is_right ? 0 : EIO;
}

static int die(void)
{
	exit(1);
}

static int unload_modules(void)
{
	char name[64], *c;

	while (nr_loaded) {
		snprintf(name, sizeof(name), "%s", loaded[nr_loaded - 1]);
		*strstr(name, ".ko") = '\0';
		for (c = name; *c; c++)
			*c = *c == '-' ? '_' : *c;
		if (syscall(__NR_delete_module, name, O_NONBLOCK))
			return errno;
		nr_loaded--;
	}
	return 0;
}

static uint64_t *map_memory(size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* Every word differs from all others and from those of another pass. */
static void fill(uint64_t *words, size_t size, uint64_t first, uint64_t pass)
{
	size_t i;

	for (i = 0; i < size / 8; i++)
		words[i] = (first + i) | pass << 48;
}

static bool compare(const char *what, const uint64_t *words, size_t size, uint64_t first,
		    uint64_t pass)
{
	uint64_t expected;
	size_t i;

	for (i = 0; i < size / 8; i++) {
		expected = (first + i) | pass << 48;
		if (words[i] == expected)
			continue;
		say("%s: word %lu is 0x%lx instead of 0x%lx\n", what, first + i, words[i],
		    expected);
		return false;
	}
	return true;
}

static int use_up_memory(void)
{
	struct sysinfo info;
	uint64_t *words;
	size_t size, used = 0;
	int err = 0;

	syscall(__NR_sysinfo, &info);
	size = info.totalram * info.mem_unit;
	words = map_memory(size);
	if (words == MAP_FAILED)
		return errno;

	while (used < size && info.freeram * info.mem_unit > SPARE_MEMORY) {
		fill(words + used / 8, PAGE_SIZE, used / 8, 0);
		used += PAGE_SIZE;
		if (used % (64 * PAGE_SIZE) == 0)
			syscall(__NR_sysinfo, &info);
	}
	if (!compare("pressure", words, used, 0, 0))
		err = EIO;
	munmap(words, size);
	if (!err)
		say("pressure: %lu MiB used\n", used >> 20);
	return err;
}

static int read_disk(int fd, uint64_t *words, uint64_t nr_blocks, uint64_t pass)
{
	uint64_t i;

	lseek(fd, 0, SEEK_SET);
	for (i = 0; i < nr_blocks; i++) {
		if (read(fd, words, DISK_BLOCK_SIZE) != DISK_BLOCK_SIZE ||
		    !compare("disk", words, DISK_BLOCK_SIZE, i * DISK_BLOCK_SIZE / 8, pass))
			return errno ?: EIO;
	}
	return 0;
}

static int write_disk(int fd, uint64_t *words, uint64_t nr_blocks, uint64_t pass)
{
	uint64_t i;

	lseek(fd, 0, SEEK_SET);
	for (i = 0; i < nr_blocks; i++) {
		fill(words, DISK_BLOCK_SIZE, i * DISK_BLOCK_SIZE / 8, pass);
		if (write(fd, words, DISK_BLOCK_SIZE) != DISK_BLOCK_SIZE)
			return errno ?: EIO;
	}
	return 0;
}

static int plug_memory(void)
{
	return write_file("/sys/devices/system/memory/probe", "0x8000000") ?:
	       write_file("/sys/devices/system/memory/memory1/state", "online");
}

/* Past the page cache. */
static int overwrite_disk(uint64_t *nr)
{
	static uint64_t pass;
	int err = 0, fd = open("/dev/vda", O_RDWR | O_DIRECT);
	uint64_t nr_blocks, *words = map_memory(DISK_BLOCK_SIZE);

	if (fd < 0 || words == MAP_FAILED)
		return errno;

	/* What a short read or a wrong word leaves as it is. */
	errno = 0;
	nr_blocks = lseek(fd, 0, SEEK_END) / DISK_BLOCK_SIZE;
	if (pass)
		err = read_disk(fd, words, nr_blocks, pass);
	pass++;
	err = err ?: write_disk(fd, words, nr_blocks, pass);
	err = err ?: read_disk(fd, words, nr_blocks, pass);
	*nr = nr_blocks;

	munmap(words, DISK_BLOCK_SIZE);
	close(fd);
	return err;
}

static int use_disk(void)
{
	uint64_t nr_blocks;
	int err = overwrite_disk(&nr_blocks);

	if (!err)
		say("disk: %lu blocks ok\n", nr_blocks);
	return err;
}

static int wait_and(int (*do_something)(void))
{
	int err = 0, fd = open("/dev/port", O_RDONLY);
	uint8_t go_on = 0;

	if (fd < 0)
		return errno;
	while (!go_on && !err) {
		usleep(20000);
		if (do_something)
			err = do_something();
		if (lseek(fd, WAIT_PORT, SEEK_SET) < 0 || read(fd, &go_on, 1) != 1)
			err = errno ?: EIO;
	}
	close(fd);
	return err;
}

static int wait_for_vmm(void)
{
	return wait_and(NULL);
}

static int keep_disk_busy(void)
{
	uint64_t nr_blocks;

	return overwrite_disk(&nr_blocks);
}

static int be_busy(void)
{
	return wait_and(keep_disk_busy);
}

/* The first word says that it is such a page, see guest_live_migration_test.c. */
static unsigned long load_word(int cpu, unsigned long pass, int page, size_t word)
{
	if (!word)
		return 0x6c6f616470616765;
	return (((pass << 1 | cpu) << 32) + page * PAGE_WORDS + word) * 0x9e3779b97f4a7c15;
}

/* Whatever has been written last has to be there. */
static int load_cpu(int cpu)
{
	unsigned long pass, mask = 1ul << cpu, *words;
	size_t word;
	int page;

	syscall(__NR_sched_setaffinity, 0, sizeof(mask), &mask);
	words = mmap(NULL, LOAD_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (words == MAP_FAILED)
		return errno;

	for (pass = 1; ; pass++) {
		for (page = 0; page < LOAD_PAGES; page++) {
			unsigned long *p = words + page * PAGE_WORDS;

			for (word = 0; word < PAGE_WORDS; word++) {
				if (pass > 1 && p[word] != load_word(cpu, pass - 1, page, word)) {
					say("load %d: page %d is wrong\n", cpu, page);
					for (;;)
						sleep(1);
				}
				p[word] = load_word(cpu, pass, page, word);
			}
		}
		say("load %d: pass %lu\n", cpu, pass);
		/* A timer has to expire for the next one. */
		usleep(1000);
	}
}

/* On two CPUs, until the host has seen enough or a page is wrong. */
static int load(void)
{
	return load_cpu(!fork());
}

static const struct {
	const char *name;
	int (*take)(void);
} steps[] = {
	{ "load",	load },
	{ "offline",	stop_cpu1 },
	{ "online",	start_cpu1 },
	{ "hibernate",	hibernate_without_image },
	{ "kexec",	start_kernel },
	{ "crash",	crash_into_kernel },
	{ "disk",	use_disk },
	{ "pressure",	use_up_memory },
	{ "plug",	plug_memory },
	{ "wait",	wait_for_vmm },
	{ "busy",	be_busy },
	{ "unload",	unload_modules },
	{ "report",	get_report },
	{ "quote",	get_quote },
	{ "panic",	die },
	{}
};

/* System V ABI, "Object Files": an ELF64 file of segments */
struct elf_header {
	uint8_t other[32];
	uint64_t segments;		/* where they are in the file */
	uint8_t other2[16];
	uint16_t nr_segments;
	uint8_t other3[6];
};

struct elf_segment {
	uint32_t type;
	uint32_t flags;
	uint64_t offset;
	uint64_t va;
	uint64_t pa;
	uint64_t file_size;
	uint64_t memory_size;
	uint64_t alignment;
};

#define ELF_LOAD	1

static int read_core(int core, uint64_t offset, void *data, size_t size)
{
	return lseek(core, offset, SEEK_SET) < 0 || read(core, data, size) != (ssize_t)size;
}

/* Read what is at a physical address: /proc/kcore has all RAM, as segments. */
static bool read_memory(int core, uint64_t pa, void *data, size_t size)
{
	static struct elf_segment segments[64];
	static int nr_segments;
	struct elf_header header;
	int i;

	if (!nr_segments) {
		if (read_core(core, 0, &header, sizeof(header)) || header.nr_segments > 64 ||
		    read_core(core, header.segments, segments,
			      header.nr_segments * sizeof(segments[0])))
			return false;
		nr_segments = header.nr_segments;
	}
	for (i = 0; i < nr_segments; i++) {
		if (segments[i].type == ELF_LOAD && pa >= segments[i].pa &&
		    pa - segments[i].pa < segments[i].memory_size)
			return !read_core(core, segments[i].offset + pa - segments[i].pa, data,
					  size);
	}
	return false;
}

static void mark_shared(uint64_t pa, uint64_t size)
{
	uint64_t page;

	for (page = pa / PAGE_SIZE; page < (pa + size) / PAGE_SIZE; page++) {
		if (page < 8 * sizeof(shared))
			shared[page / 8] |= 1 << page % 8;
	}
}

static bool is_shared(uint64_t entry)
{
	return shared_bit ? entry & shared_bit : !(entry & c_bit);
}

/* A table that is read without the C-bit is shared memory like any other. */
static bool walk_table(int core, uint64_t entry, int level)
{
	static uint64_t tables[4][PAGE_WORDS];
	uint64_t *table = tables[level - 1], size = (uint64_t)PAGE_SIZE << 9 * (level - 1), i;
	uint64_t address = PTE_ADDRESS & ~(c_bit | shared_bit);
	bool ok = true;

	if (is_shared(entry))
		mark_shared(entry & address, PAGE_SIZE);
	if (!read_memory(core, entry & address, table, PAGE_SIZE))
		return false;
	for (i = 0; i < PAGE_WORDS; i++) {
		if (!(table[i] & PTE_PRESENT))
			continue;
		if (level > 1 && !(table[i] & PTE_HUGE))
			ok &= walk_table(core, table[i], level - 1);
		else if (is_shared(table[i]))
			mark_shared(table[i] & address & ~(size - 1), size);
	}
	return ok;
}

static uint64_t read_c_bit(void)
{
	uint32_t eax = 0x8000001f, ebx, ecx = 0, edx;

	__asm__ ("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return 1ul << (ebx & 0x3f);
}

/* One line for each range. */
static void say_what_is_shared(void)
{
	int core = page_tables ? open("/proc/kcore", O_RDONLY) : -1;
	uint64_t page, start;

	if (!page_tables)
		return;
	if (!shared_bit)
		c_bit = read_c_bit();
	memset(shared, 0, sizeof(shared));
	if (core < 0 || !walk_table(core, page_tables | c_bit, 4))
		say("reading page tables failed, errno %d\n", errno);
	close(core);

	for (page = 0; page < 8 * sizeof(shared); page++) {
		for (start = page; page < 8 * sizeof(shared) &&
		     shared[page / 8] & 1 << page % 8; page++)
			;
		if (page > start)
			say("shared 0x%lx 0x%lx\n", start * PAGE_SIZE, page * PAGE_SIZE);
	}
}

static void take_steps(char **names)
{
	int i, err;

	for (; *names; names++) {
		for (i = 0; steps[i].name; i++) {
			if (strcmp(*names, steps[i].name))
				continue;
			say_what_is_shared();
			say("step %s\n", steps[i].name);
			err = steps[i].take();
			if (err)
				say("%s failed, errno %d\n", steps[i].name, err);
		}
	}
}

/* A kernel that kexec has started is not where it was linked for. */
static void find_kernel(void)
{
	FILE *iomem = fopen("/proc/iomem", "r");
	char line[128];

	while (iomem && fgets(line, sizeof(line), iomem)) {
		if (strstr(line, "Kernel code"))
			kernel = strtoul(line, NULL, 16);
	}
	if (iomem)
		fclose(iomem);
	say("kernel at 0x%lx\n", kernel);
}

static void find_page_tables(char **args)
{
	for (; *args; args++) {
		if (!strncmp(*args, "page_tables=", 12))
			page_tables = kernel + strtoul(*args + 12, NULL, 16);
		if (!strncmp(*args, "shared_bit=", 11))
			shared_bit = 1ul << strtoul(*args + 11, NULL, 10);
	}
}

int main(int argc, char **argv)
{
	mount_all();
	kmsg = open("/dev/kmsg", O_WRONLY);

	find_kernel();
	find_page_tables(argv + 1);
	say_what_is_shared();
	say("%d CPUs online\n", nr_online_cpus());
	load_modules(argv + 1);
	take_steps(argv + 1);
	say_what_is_shared();
	say("done\n");

	reboot(RB_AUTOBOOT);
	return 1;
}
