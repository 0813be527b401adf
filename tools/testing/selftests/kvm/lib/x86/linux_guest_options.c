// SPDX-License-Identifier: GPL-2.0-only
/*
 * The options of tests that run Linux guests, see linux_guest_options.h.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "linux_guest_options.h"
#include "test_util.h"

/* For getopt(): with an argument, an option has two characters. */
#define SHARED_LETTERS	"hk:t:s:m:"
#define MAX_OWN_OPTIONS	12

void linux_guest_usage(const struct linux_guest_options *options)
{
	const struct linux_guest_option *own;

	printf("Usage: %s [-k bzImage]", options->program);
	if (options->has_symbols)
		printf(" [-s System.map]");
	if (options->max_modules)
		printf(" [-m module.ko]%s", options->max_modules > 1 ? "..." : "");
	printf(" [-t seconds]");
	for (own = options->own; own < options->own + options->nr_own; own++)
		printf(" [-%c%s%s]", own->letter, own->arg ? " " : "", own->arg ?: "");
	printf("\n");

	printf(" -k: kernel of the guest, default /boot/vmlinuz-RELEASE\n");
	if (options->has_symbols)
		printf(" -s: its symbols, default /boot/System.map-RELEASE\n");
	if (options->max_modules)
		printf(" -m: %s%s\n", options->module_help,
		       options->default_modules[0] ? ", default in /lib/modules/RELEASE" : "");
	printf(" -t: the most that a run of the guest, or its migration, may take, default %d s\n",
	       options->seconds);
	for (own = options->own; own < options->own + options->nr_own; own++) {
		printf(" -%c: %s", own->letter, own->help);
		if (own->number)
			printf(", default %d", *own->number);
		printf("\n");
	}
	exit(KSFT_FAIL);
}

static void list_letters(const struct linux_guest_options *options, char *letters)
{
	const struct linux_guest_option *own;

	strcpy(letters, SHARED_LETTERS);
	letters += strlen(letters);
	for (own = options->own; own < options->own + options->nr_own; own++)
		letters += sprintf(letters, own->flag ? "%c" : "%c:", own->letter);
}

static void set_own(const struct linux_guest_options *options, int letter)
{
	const struct linux_guest_option *own = options->own;

	while (own < options->own + options->nr_own && own->letter != letter)
		own++;
	if (own == options->own + options->nr_own)
		linux_guest_usage(options);

	if (own->flag)
		*own->flag = true;
	else if (own->number)
		*own->number = own->may_be_0 ? atoi_non_negative(own->arg, optarg) :
					       atoi_positive(own->arg, optarg);
	else
		*own->text = optarg;
}

/* The modules of the running kernel, which is the guest's then as well. */
static void find_modules(struct linux_guest_options *options, const char *release)
{
	char *path;
	int i;

	for (i = 0; i < options->max_modules && options->default_modules[i]; i++) {
		TEST_ASSERT(asprintf(&path, "/lib/modules/%s/kernel/%s", release,
				     options->default_modules[i]) > 0, "No memory");
		if (!access(path, R_OK))
			options->modules[options->nr_modules++] = path;
		else
			free(path);
	}
}

void linux_guest_parse_options(struct linux_guest_options *options, int argc, char *argv[])
{
	char letters[sizeof(SHARED_LETTERS) + 2 * MAX_OWN_OPTIONS];
	bool has_kernel = false;
	struct utsname uts;
	int opt;

	TEST_ASSERT(options->nr_own <= MAX_OWN_OPTIONS &&
		    options->max_modules <= LINUX_GUEST_MAX_MODULES,
		    "%d options, %d modules", options->nr_own, options->max_modules);
	uname(&uts);
	snprintf(options->kernel, sizeof(options->kernel), "/boot/vmlinuz-%s", uts.release);
	snprintf(options->symbols, sizeof(options->symbols), "/boot/System.map-%s", uts.release);
	options->program = argv[0];
	list_letters(options, letters);

	while ((opt = getopt(argc, argv, letters)) != -1) {
		/* Not all tests have all that is shared. */
		if ((opt == 's' && !options->has_symbols) ||
		    (opt == 'm' && !options->max_modules))
			linux_guest_usage(options);
		switch (opt) {
		case 'k':
			has_kernel = true;
			snprintf(options->kernel, sizeof(options->kernel), "%s", optarg);
			break;
		case 's':
			snprintf(options->symbols, sizeof(options->symbols), "%s", optarg);
			break;
		case 'm':
			TEST_ASSERT(options->nr_modules < options->max_modules,
				    "More than %d modules", options->max_modules);
			options->modules[options->nr_modules++] = optarg;
			break;
		case 't':
			options->seconds = atoi_positive("Seconds", optarg);
			break;
		default:
			set_own(options, opt);
		}
	}
	if (!has_kernel && !options->nr_modules)
		find_modules(options, uts.release);
}

void linux_guest_require_kernel(const struct linux_guest_options *options)
{
	__TEST_REQUIRE(!access(options->kernel, R_OK), "no kernel for the guest: %s",
		       options->kernel);
}

void linux_guest_require_symbols(const struct linux_guest_options *options)
{
	__TEST_REQUIRE(!access(options->symbols, R_OK), "no symbols of the guest's kernel: %s",
		       options->symbols);
}
