// SPDX-License-Identifier: GPL-2.0-only
/*
 * An SEV guest that checks its memory, see linux_guest_sev_stress.h.
 */
#include "kvm_util.h"
#include "linux_guest_virtio.h"
#include "processor.h"
#include "linux_guest_sev_stress.h"

#define DISK_SIZE	SZ_1M

/* The guest never writes as little as that during a round. */
#define MAX_ROUNDS	4
#define FEW_PAGES	8

/* mem_encrypt_stress writes where a word is, and a number of its own above. */
#define PATTERN_ADDR	GENMASK_ULL(47, 0)
#define MAX_BUFFER_SIZE	(PAGE_SIZE << 5)

/* Behind the state of the disk. */
struct stress_state {
	u64 nr_rounds;
	u64 spoiled[SEV_STRESS_SPOILED];
};

static struct sev_stress_guest *stress_of(struct linux_guest *guest)
{
	struct linux_guest_sev *sev = guest->private;

	return sev->private;
}

/* Called under the lock of the console. */
static void watch_line(struct linux_guest *guest, const char *line)
{
	struct sev_stress_guest *stress = stress_of(guest);
	const char *report = strstr(line, SEV_STRESS ": ");
	u64 rounds;
	int errors;

	if (stress->pause_at_wait && (strstr(line, "guest_init: step wait") ||
				      strstr(line, "guest_init: step busy")))
		linux_guest_stop(guest, LINUX_GUEST_PAUSED);
	if (!report)
		return;

	report += strlen(SEV_STRESS ": ");
	if (sscanf(report, "%lu rounds, %d errors", &rounds, &errors) != 2 &&
	    sscanf(report, "stopped after %lu rounds, %d errors", &rounds, &errors) != 2) {
		/* It says which word is wrong. */
		stress->wrong = true;
	} else {
		stress->wrong |= errors || rounds < stress->nr_rounds;
		stress->nr_reports += rounds > stress->nr_rounds;
		stress->nr_rounds = rounds;
	}
	if (stress->wanted_reports &&
	    (stress->wrong || stress->nr_reports >= stress->wanted_reports))
		linux_guest_stop(guest, LINUX_GUEST_PAUSED);
}

static bool watch_exit(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	struct sev_stress_guest *stress = stress_of(guest);

	if (!linux_guest_sev_exit(guest, vcpu))
		return false;
	if (stress->pause_at_withdrawal && stress->sev->m.state == MIGRATION_WITHDRAWN)
		linux_guest_stop(guest, LINUX_GUEST_PAUSED);
	return true;
}

static __printf(2, 3) bool say(struct sev_stress_guest *stress, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(stress->error, sizeof(stress->error), fmt, ap);
	va_end(ap);
	linux_guest_print_console(stress->sev->guest, 40);
	return false;
}

bool sev_stress_run_to_pause(struct sev_stress_guest *stress)
{
	struct linux_guest *guest = stress->sev->guest;
	enum linux_guest_end end = linux_guest_run(guest, stress->seconds);
	const char *splat = linux_guest_splat(guest);

	if (end != LINUX_GUEST_PAUSED)
		return say(stress, "the guest ended by %s %s", linux_guest_end_str(end),
			   guest->error);
	if (stress->wrong)
		return say(stress, "the guest found wrong memory");
	if (splat)
		return say(stress, "the guest's kernel says: %s", splat);
	return true;
}

bool sev_stress_run_on(struct sev_stress_guest *stress)
{
	bool ok;

	stress->nr_reports = 0;
	stress->wanted_reports = 2;
	ok = sev_stress_run_to_pause(stress);
	stress->wanted_reports = 0;
	return ok;
}

bool sev_stress_run_to_error(struct sev_stress_guest *stress)
{
	struct linux_guest *guest = stress->sev->guest;
	enum linux_guest_end end;

	stress->wanted_reports = INT_MAX;
	end = linux_guest_run(guest, stress->seconds);
	stress->wanted_reports = 0;
	if (end == LINUX_GUEST_PAUSED && stress->wrong)
		return true;
	return say(stress, "the guest found nothing wrong in page 0x%lx but ended by %s %s",
		   stress->spoiled[0], linux_guest_end_str(end), guest->error);
}

bool sev_stress_boot(struct sev_stress_guest *stress)
{
	bool ok;

	stress->pause_at_wait = true;
	ok = sev_stress_run_to_pause(stress);
	stress->pause_at_wait = false;
	return ok && sev_stress_run_on(stress);
}

/* If the guest writes to that page what it can recognize. */
static bool is_checked(struct linux_guest *guest, u64 gpa, bool private)
{
	u64 first[2], last[2];

	linux_guest_read(guest, gpa, first, sizeof(first), private);
	if ((first[0] & PATTERN_ADDR) != gpa)
		return false;
	linux_guest_read(guest, gpa + PAGE_SIZE - sizeof(last), last, sizeof(last), private);
	return (last[1] & PATTERN_ADDR) == gpa + PAGE_SIZE - 8;
}

/*
 * Of a few pages that the guest checks, the list says what is not true.  A thread of the
 * module that is converting a buffer has looked at it for the last time, and fills it next:
 * a page in another buffer for each thread, and one more, are enough.
 */
static int spoil_list(struct sev_stress_guest *stress, struct linux_guest *guest,
		      struct linux_guest_migration *m)
{
	bool private, wanted = stress->spoil == SPOIL_PRIVATE_PAGES;
	int err, nr = 0;
	u64 gpa;

	for (gpa = SZ_1M; gpa < guest->mem_size && nr < SEV_STRESS_SPOILED; gpa += PAGE_SIZE) {
		private = !shared_ranges_test(&m->shared, gpa);
		if (private != wanted ||
		    !is_checked(guest, gpa, private && stress->vm_type != KVM_X86_DEFAULT_VM))
			continue;
		err = wanted ? shared_ranges_add(&m->shared, gpa, PAGE_SIZE) :
			       shared_ranges_remove(&m->shared, gpa, PAGE_SIZE);
		if (err)
			return err;
		stress->spoiled[nr++] = gpa;
		gpa += MAX_BUFFER_SIZE;
	}
	return nr == SEV_STRESS_SPOILED ? 0 : -ENOENT;
}

/* The guest is paused, and its list is to be sent after this. */
static int save_devices(struct linux_guest *guest, struct linux_guest_migration *m, FILE *stream)
{
	struct sev_stress_guest *stress = stress_of(guest);
	size_t size = linux_guest_disk_saved_size(guest->disk);
	struct stress_state state;
	int err = 0;
	void *data;

	if (stress->spoil)
		err = spoil_list(stress, guest, m);
	if (err)
		return err;
	data = malloc(size);
	if (!data)
		return -ENOMEM;
	state.nr_rounds = stress->nr_rounds;
	memcpy(state.spoiled, stress->spoiled, sizeof(state.spoiled));
	linux_guest_disk_save(guest->disk, data);
	if (fwrite(data, size, 1, stream) != 1 || fwrite(&state, sizeof(state), 1, stream) != 1)
		err = -EIO;
	free(data);
	return err;
}

static int load_devices(struct linux_guest *guest, struct linux_guest_migration *m,
			const void *data, size_t size)
{
	size_t disk_size = linux_guest_disk_saved_size(guest->disk);
	struct sev_stress_guest *stress = stress_of(guest);
	struct stress_state state;

	if (size != disk_size + sizeof(state) ||
	    !linux_guest_disk_load(guest->disk, data, disk_size))
		return -EINVAL;
	memcpy(&state, data + disk_size, sizeof(state));
	stress->nr_rounds = state.nr_rounds;
	memcpy(stress->spoiled, state.spoiled, sizeof(state.spoiled));
	return 0;
}

void sev_stress_create(struct sev_stress_guest *stress, bool empty)
{
	struct linux_guest_file files[3];
	char init[PATH_MAX], cmdline[256];
	struct linux_guest_params params = {
		.kernel = stress->kernel,
		.cmdline = cmdline,
		.files = files,
		.nr_vcpus = SEV_STRESS_VCPUS,
		.vm_type = stress->vm_type,
		.sev_policy = stress->sev_policy,
	};
	struct linux_guest_sev *sev;

	/* See guest_migration_ready_test.c for nox2apic. */
	snprintf(cmdline, sizeof(cmdline),
		 "retain_initrd nox2apic swiotlb=force " LINUX_GUEST_DISK_CMDLINE
		 "-- " SEV_STRESS ".ko,conversions=1,nr_buffers=64 %s", stress->steps);
	linux_guest_program(init, sizeof(init), "guest_init");
	files[params.nr_files++] = (struct linux_guest_file){ "init", init, .mode = 0755 };
	files[params.nr_files++] =
		(struct linux_guest_file){ "kernel", stress->kernel, .mode = 0644 };
	files[params.nr_files++] = (struct linux_guest_file){
		"modules/" SEV_STRESS ".ko", stress->module, .mode = 0644 };

	sev = empty ? linux_guest_sev_create_empty(&params) : linux_guest_sev_create(&params);
	sev->private = stress;
	sev->guest->line = watch_line;
	sev->guest->exit = watch_exit;
	sev->guest->wait = true;
	sev->m.key = 0x7365762067756573ull;
	sev->m.max_rounds = MAX_ROUNDS;
	sev->m.few_pages = FEW_PAGES;
	sev->m.save_devices = save_devices;
	sev->m.load_devices = load_devices;
	linux_guest_add_disk(sev->guest, DISK_SIZE);
	sev->guest->disk->may_access = linux_guest_is_shared;
	sev->guest->disk->wrote = linux_guest_written;

	stress->sev = sev;
	stress->nr_rounds = 0;
	stress->wrong = false;
}

void sev_stress_free(struct sev_stress_guest *stress)
{
	if (stress->sev)
		linux_guest_sev_free(stress->sev);
	stress->sev = NULL;
}
