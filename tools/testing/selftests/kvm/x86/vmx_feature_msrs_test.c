// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMX MSRs that KVM supports, as KVM_GET_MSRS on /dev/kvm reports them: the
 * same whichever CPU asks, and with -r, the same as in a record, e.g. of another
 * kernel on the same host.  The lines that this test prints are such a record.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"

#define FIRST_MSR	MSR_IA32_VMX_BASIC
#define NR_MSRS		20

/* What does not exist and what is in no record look different from any value. */
#define NO_MSR		"-"
#define NO_RECORD	"?"

struct value {
	char text[24];
};

static struct value get_feature_msr(int kvm_fd, u32 index)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} buffer = { .header.nmsrs = 1, .entry.index = index };
	struct value value = { NO_MSR };

	if (__kvm_ioctl(kvm_fd, KVM_GET_MSRS, &buffer.header) == 1)
		snprintf(value.text, sizeof(value.text), "0x%016llx", buffer.entry.data);
	return value;
}

/* The lines of the record have a value of "nested", an MSR and its value. */
static void read_record(const char *path, bool nested, struct value *values)
{
	char line[128], has_nested, text[20];
	unsigned int index;
	FILE *file;

	file = fopen(path, "r");
	TEST_ASSERT(file, "cannot open %s, errno %d", path, errno);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "nested=%c 0x%x %19s", &has_nested, &index, text) == 3 &&
		    has_nested == (nested ? 'Y' : 'N') && index - FIRST_MSR < NR_MSRS)
			strcpy(values[index - FIRST_MSR].text, text);
	}
	fclose(file);
}

/* A CPU on which @index has another value, or -1. */
static int find_other_value(int kvm_fd, u32 index, const struct value *value)
{
	int cpu, other = -1, nr_cpus = sysconf(_SC_NPROCESSORS_CONF);
	cpu_set_t before;

	kvm_sched_getaffinity(0, sizeof(before), &before);
	for (cpu = 0; cpu < nr_cpus && other < 0; cpu++) {
		if (__pin_task_to_cpu(pthread_self(), cpu))
			continue;
		if (strcmp(get_feature_msr(kvm_fd, index).text, value->text))
			other = cpu;
	}
	kvm_sched_setaffinity(0, sizeof(before), &before);
	return other;
}

int main(int argc, char *argv[])
{
	struct value recorded[NR_MSRS], value;
	const char *record = NULL;
	int opt, i, cpu, kvm_fd;
	bool nested;

	while ((opt = getopt(argc, argv, "hr:")) != -1) {
		switch (opt) {
		case 'r':
			record = optarg;
			break;
		default:
			printf("usage: %s [-h] [-r record]\n", argv[0]);
			return 0;
		}
	}

	__TEST_REQUIRE(!access("/sys/module/kvm_intel", F_OK), "kvm_intel is not loaded");
	kvm_fd = open_kvm_dev_path_or_exit();
	nested = get_kvm_intel_param_bool("nested");

	for (i = 0; i < NR_MSRS; i++)
		strcpy(recorded[i].text, NO_RECORD);
	if (record)
		read_record(record, nested, recorded);

	ksft_print_header();
	ksft_set_plan(NR_MSRS);
	for (i = 0; i < NR_MSRS; i++) {
		value = get_feature_msr(kvm_fd, FIRST_MSR + i);
		printf("nested=%c 0x%x %s\n", nested ? 'Y' : 'N', FIRST_MSR + i, value.text);

		cpu = find_other_value(kvm_fd, FIRST_MSR + i, &value);
		if (cpu >= 0)
			ksft_print_msg("CPU %d has another value\n", cpu);
		ksft_test_result(cpu < 0 && (!record || !strcmp(value.text, recorded[i].text)),
				 "0x%x is %s, recorded: %s\n", FIRST_MSR + i, value.text,
				 recorded[i].text);
	}
	close(kvm_fd);
	ksft_finished();
}
