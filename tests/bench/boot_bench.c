// SPDX-License-Identifier: GPL-2.0-only
/*
 * boot_bench ROUNDS {plain|sev}:LABEL:KERNEL[:MODULE]...: how long guests boot.
 *
 * Boots the guests in turn, again and again, and prints the ns from a guest's first
 * instruction to its PID 1, as LABEL_boot.  The clock of QEMU -icount goes on by one
 * ns per instruction.  A guest may load a module that measures something in it; what
 * such a module prints is printed with LABEL in front.
 *
 * rodata=off, so that a module, and KVM, can write the guest's hypercalls.
 */
#include <time.h>

#include "kvm_util.h"
#include "linux_guest.h"
#include "linux_guest_sev.h"
#include "test_util.h"

#define MAX_SECONDS	270

static struct timespec userspace_at;

static void note_userspace(struct linux_guest *guest, const char *line)
{
	if (strstr(line, "CPUs online"))
		clock_gettime(CLOCK_MONOTONIC, &userspace_at);
}

static void print_results(struct linux_guest *guest, const char *label)
{
	const char *line = NULL, *result;
	unsigned long ticks;
	char what[64];

	while ((line = linux_guest_next_line(guest, line))) {
		result = strstr(line, "bench: ");
		if (result && sscanf(result, "bench: %63s %lu", what, &ticks) == 2)
			printf("bench: %s_%s %lu\n", label, what, ticks);
	}
}

static void boot(bool is_sev, const char *label, const char *kernel, const char *module)
{
	struct linux_guest_file files[] = {
		{ "init", .mode = 0755 },
		{ "modules/bench.ko", module, .mode = 0644 },
	};
	struct linux_guest_params params = {
		.kernel = kernel,
		.cmdline = module ? "rodata=off -- bench.ko" : "--",
		.files = files,
		.nr_files = module ? 2 : 1,
		.nr_vcpus = 1,
	};
	struct linux_guest_sev *sev = NULL;
	struct linux_guest *guest;
	enum linux_guest_end end;
	struct timespec start;
	char init[PATH_MAX];

	linux_guest_program(init, sizeof(init), "guest_init");
	files[0].host_path = init;
	if (is_sev)
		sev = linux_guest_sev_create(&params);
	guest = is_sev ? sev->guest : linux_guest_create(&params);
	guest->line = note_userspace;
	userspace_at = (struct timespec) {};
	clock_gettime(CLOCK_MONOTONIC, &start);
	end = linux_guest_run(guest, MAX_SECONDS);
	if (end != LINUX_GUEST_RESET || !userspace_at.tv_sec ||
	    (module && !linux_guest_find(guest, "1 modules loaded"))) {
		linux_guest_print_console(guest, 60);
		TEST_FAIL("%s ended by %s %s", label, linux_guest_end_str(end), guest->error);
	}
	printf("bench: %s_boot %lu\n", label,
	       (unsigned long)timespec_to_ns(timespec_sub(userspace_at, start)));
	print_results(guest, label);
	fflush(stdout);
	if (is_sev)
		linux_guest_sev_free(sev);
	else
		linux_guest_free(guest);
}

int main(int argc, char *argv[])
{
	int round, i, rounds;
	char what[PATH_MAX];

	TEST_ASSERT(argc > 2, "usage: %s ROUNDS {plain|sev}:LABEL:KERNEL[:MODULE]...", argv[0]);
	rounds = atoi_positive("Rounds", argv[1]);
	for (round = 0; round < rounds; round++) {
		for (i = 2; i < argc; i++) {
			char *type, *label, *kernel, *rest = what;

			snprintf(what, sizeof(what), "%s", argv[i]);
			type = strsep(&rest, ":");
			label = strsep(&rest, ":");
			kernel = strsep(&rest, ":");
			TEST_ASSERT(kernel, "%s: no kernel", argv[i]);
			boot(!strcmp(type, "sev"), label, kernel, rest);
		}
	}
	return 0;
}
