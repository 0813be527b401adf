// SPDX-License-Identifier: GPL-2.0-only
/*
 * Live migration of an SEV guest, on software SEV VMs, there and back between two
 * processes.
 *
 * The guest checks private and shared memory on two CPUs and converts it all the
 * time.  What it has as private, by its page tables, is sent transformed, and the
 * receiver only has the list of what the guest has reported as shared to tell what
 * to take back: if the two differ about a page, the guest finds garbage.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include "expect.h"
#include "kvm_util.h"
#include "linux_guest_options.h"
#include "linux_guest_sev.h"
#include "linux_guest_virtio.h"
#include "processor.h"
#include "test_util.h"

#define NR_VCPUS	2
#define DISK_SIZE	SZ_1M
#define MAX_MIGRATIONS	40
#define KEY		0x7365762067756573ull

/* The guest never writes as little as that during a round. */
#define MAX_ROUNDS	4
#define FEW_PAGES	8

#define STRESS		"mem_encrypt_stress"
#define STEPS		"disk wait disk unload kexec"

/* mem_encrypt_stress writes where a word is, and a number of its own above. */
#define PATTERN_ADDR	GENMASK_ULL(47, 0)

static int nr_migrations = 20;

static const struct linux_guest_option own_options[] = {
	{ 'n', .number = &nr_migrations, .arg = "migrations",
	  .help = "how many, an even number up to " __stringify(MAX_MIGRATIONS) },
};

static struct linux_guest_options options = {
	.own = own_options,
	.nr_own = ARRAY_SIZE(own_options),
	.max_modules = 1,
	.module_help = STRESS ".ko, which checks private and shared memory",
	.seconds = 110,
};

/* This process's: the guest is here, or it is not. */
static struct {
	int side;
	int sockets[MAX_MIGRATIONS + 1];
	int step;

	bool pause_at_wait;		/* when guest_init begins to wait */
	bool pause_at_withdrawal;	/* when the guest is about to start a kernel */
	int wanted_reports;		/* of the stress module */
	int nr_reports;
	u64 nr_rounds;			/* that it has reported; sent along */
	bool wrong;
	bool spoil_list;
} here;

static void set_step(int step)
{
	here.step = step;
	about("process %d, step %d", here.side, step);
}

/* Called under the lock of the console. */
static void watch_line(struct linux_guest *guest, const char *line)
{
	const char *report = strstr(line, STRESS ": ");
	u64 rounds;
	int errors;

	if (here.pause_at_wait && strstr(line, "guest_init: step wait"))
		linux_guest_stop(guest, LINUX_GUEST_PAUSED);
	if (!report)
		return;

	report += strlen(STRESS ": ");
	if (sscanf(report, "%lu rounds, %d errors", &rounds, &errors) != 2 &&
	    sscanf(report, "stopped after %lu rounds, %d errors", &rounds, &errors) != 2) {
		/* It says which word is wrong. */
		here.wrong = true;
	} else {
		here.wrong |= errors || rounds < here.nr_rounds;
		here.nr_reports += rounds > here.nr_rounds;
		here.nr_rounds = rounds;
	}
	if (here.wanted_reports && (here.wrong || here.nr_reports >= here.wanted_reports))
		linux_guest_stop(guest, LINUX_GUEST_PAUSED);
}

static bool watch_exit(struct linux_guest *guest, struct kvm_vcpu *vcpu)
{
	struct linux_guest_sev *sev = guest->private;

	if (!linux_guest_sev_exit(guest, vcpu))
		return false;
	if (here.pause_at_withdrawal && sev->m.state == MIGRATION_WITHDRAWN)
		linux_guest_stop(guest, LINUX_GUEST_PAUSED);
	return true;
}

static bool runs_to_pause(struct linux_guest_sev *sev)
{
	enum linux_guest_end end = linux_guest_run(sev->guest, options.seconds);
	const char *splat = linux_guest_splat(sev->guest);

	if (expect(end == LINUX_GUEST_PAUSED, "the guest ended by %s %s",
		   linux_guest_end_str(end), sev->guest->error) &&
	    expect(!here.wrong, "the guest found wrong memory") &&
	    expect(!splat, "the guest's kernel says: %s", splat))
		return true;
	linux_guest_print_console(sev->guest, 40);
	return false;
}

/* It goes on, and what it has checked is right. */
static bool run_on(struct linux_guest_sev *sev)
{
	bool ok;

	here.nr_reports = 0;
	here.wanted_reports = 2;
	ok = runs_to_pause(sev);
	here.wanted_reports = 0;
	return ok;
}

/* Of a single page that the guest checks, the list says what is not true. */
static int spoil_list(struct linux_guest *guest, struct linux_guest_migration *m)
{
	u64 gpa, *words;

	for (gpa = SZ_1M; gpa < guest->mem_size; gpa += PAGE_SIZE) {
		words = addr_gpa2hva(guest->vm, gpa);
		if ((words[0] & PATTERN_ADDR) == gpa && (words[511] & PATTERN_ADDR) == gpa + 4088)
			break;
	}
	if (!expect(gpa < guest->mem_size, "there is no page that the guest checks"))
		return -ENOENT;
	return shared_ranges_test(&m->shared, gpa) ?
	       shared_ranges_remove(&m->shared, gpa, PAGE_SIZE) :
	       shared_ranges_add(&m->shared, gpa, PAGE_SIZE);
}

/* The guest is paused, and its list is to be sent after this. */
static int save_devices(struct linux_guest *guest, struct linux_guest_migration *m, FILE *stream)
{
	size_t size = linux_guest_disk_saved_size(guest->disk);
	void *data = malloc(size);
	int err = -ENOMEM;

	if (data) {
		linux_guest_disk_save(guest->disk, data);
		err = fwrite(data, size, 1, stream) == 1 &&
		      fwrite(&here.nr_rounds, sizeof(here.nr_rounds), 1, stream) == 1 ? 0 : -EIO;
	}
	free(data);
	return err ?: here.spoil_list ? spoil_list(guest, m) : 0;
}

static int load_devices(struct linux_guest *guest, struct linux_guest_migration *m,
			const void *data, size_t size)
{
	size_t disk_size = linux_guest_disk_saved_size(guest->disk);

	if (size != disk_size + sizeof(here.nr_rounds) ||
	    !linux_guest_disk_load(guest->disk, data, disk_size))
		return -EINVAL;
	memcpy(&here.nr_rounds, data + disk_size, sizeof(here.nr_rounds));
	return 0;
}

static struct linux_guest_sev *create_guest(bool empty)
{
	struct linux_guest_file files[3];
	struct linux_guest_params params = {
		.kernel = options.kernel,
		/* See guest_migration_ready_test.c for nox2apic. */
		.cmdline = "retain_initrd nox2apic swiotlb=force " LINUX_GUEST_DISK_CMDLINE
			   "-- " STRESS ".ko,conversions=1,nr_buffers=64 " STEPS,
		.files = files,
		.nr_vcpus = NR_VCPUS,
	};
	struct linux_guest_sev *sev;
	char init[PATH_MAX];

	linux_guest_program(init, sizeof(init), "guest_init");
	files[params.nr_files++] = (struct linux_guest_file){ "init", init, .mode = 0755 };
	files[params.nr_files++] =
		(struct linux_guest_file){ "kernel", options.kernel, .mode = 0644 };
	files[params.nr_files++] = (struct linux_guest_file){
		"modules/" STRESS ".ko", options.modules[0], .mode = 0644 };

	sev = empty ? linux_guest_sev_create_empty(&params) : linux_guest_sev_create(&params);
	sev->guest->line = watch_line;
	sev->guest->exit = watch_exit;
	sev->guest->wait = true;
	sev->m.key = KEY;
	sev->m.max_rounds = MAX_ROUNDS;
	sev->m.few_pages = FEW_PAGES;
	sev->m.save_devices = save_devices;
	sev->m.load_devices = load_devices;
	linux_guest_add_disk(sev->guest, DISK_SIZE);
	sev->guest->disk->may_access = linux_guest_sev_is_shared;
	sev->guest->disk->wrote = linux_guest_written;
	return sev;
}

static bool send_guest(struct linux_guest_sev *sev)
{
	struct linux_guest_migration *m = &sev->m;
	int err = linux_guest_send(sev->guest, m, here.sockets[here.step], options.seconds);

	close(here.sockets[here.step]);
	if (!expect(!err, "the guest was not sent: errno %d, there %d, it ended by %s %s", -err,
		    m->remote_error, linux_guest_end_str(m->end), sev->guest->error)) {
		linux_guest_print_console(sev->guest, 40);
		return false;
	}

	ksft_print_msg("migration %d: %d rounds, %lu pages, %lu in the pause, %lu for status; "
		       "%lu ranges shared; %lu MiB in %lu ms, down for %lu ms\n",
		       here.step + 1, m->nr_rounds, m->nr_pages, m->nr_paused_pages,
		       m->nr_changed_pages, m->shared.nr, m->nr_bytes >> 20, m->total_us / 1000,
		       m->downtime_us / 1000);
	fflush(stdout);
	linux_guest_sev_free(sev);
	return true;
}

static struct linux_guest_sev *receive_guest(void)
{
	struct linux_guest_sev *sev = create_guest(true);
	int err;

	err = linux_guest_receive(sev->guest, &sev->m, here.sockets[here.step], options.seconds);
	close(here.sockets[here.step]);
	if (expect(!err, "the guest was not received: errno %d %s", -err, sev->guest->error))
		return sev;
	linux_guest_sev_free(sev);
	return NULL;
}

/* Both processes take the same steps, one of them sends and the other receives. */
static struct linux_guest_sev *there_and_back(struct linux_guest_sev *sev)
{
	while (here.step < nr_migrations) {
		if (here.step % 2 == here.side) {
			if (!send_guest(sev))
				return NULL;
			sev = NULL;
		} else {
			sev = receive_guest();
			if (!sev || !run_on(sev))
				return NULL;
		}
		set_step(here.step + 1);
	}
	return sev;
}

static int try_to_send(struct linux_guest_sev *sev)
{
	int err, pair[2];

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair(), errno %d", errno);
	err = linux_guest_send(sev->guest, &sev->m, pair[0], options.seconds);
	close(pair[0]);
	close(pair[1]);
	return err;
}

static bool refuse(struct linux_guest_sev *sev)
{
	int err = try_to_send(sev);

	return expect(err == -EPERM, "sender's errno %d for %d", -err, EPERM);
}

/* The guest is let go, and stopped when it withdraws its consent, for kexec. */
static bool refuse_after_kexec(struct linux_guest_sev *sev)
{
	enum linux_guest_end end;

	here.pause_at_withdrawal = true;
	WRITE_ONCE(sev->guest->wait, false);
	if (!runs_to_pause(sev) || !refuse(sev))
		return false;

	here.pause_at_withdrawal = false;
	end = linux_guest_run(sev->guest, options.seconds);
	if (expect(end == LINUX_GUEST_RESET, "the guest ended by %s %s",
		   linux_guest_end_str(end), sev->guest->error) &&
	    expect(linux_guest_count(sev->guest, "disk: 16 blocks ok") == 1,
		   "the disk is not as it was") &&
	    expect(linux_guest_find(sev->guest, STRESS ": stopped after") && !here.wrong,
		   "the guest found wrong memory") &&
	    expect(linux_guest_find(sev->guest, "guest_init: done") &&
		   !linux_guest_count(sev->guest, " failed, errno "),
		   "the guest did not get to its end") &&
	    /* The second kernel cannot know that there is no EFI firmware. */
	    expect(!sev->nr_ready && sev->nr_cleared == 3,
		   "the guest allowed its migration %d times, and withdrew %d times",
		   sev->nr_ready, sev->nr_cleared))
		return true;
	linux_guest_print_console(sev->guest, 60);
	return false;
}

static bool boot(struct linux_guest_sev *sev)
{
	bool ok;

	here.nr_rounds = 0;
	here.pause_at_wait = true;
	ok = runs_to_pause(sev);
	here.pause_at_wait = false;
	return ok && run_on(sev);
}

static bool notice_wrong_list(void)
{
	struct linux_guest_sev *sev = receive_guest();
	enum linux_guest_end end;
	bool ok;

	if (!sev)
		return false;
	here.wanted_reports = INT_MAX;
	end = linux_guest_run(sev->guest, options.seconds);
	ok = expect(end == LINUX_GUEST_PAUSED && here.wrong,
		    "the guest has not noticed a page of garbage but ended by %s %s",
		    linux_guest_end_str(end), sev->guest->error);
	if (!ok)
		linux_guest_print_console(sev->guest, 40);
	linux_guest_sev_free(sev);
	return ok;
}

static int receiving_process(void)
{
	bool ok = true;

	there_and_back(NULL);
	ok = here.step == nr_migrations && notice_wrong_list();
	fflush(stdout);
	return ok ? 0 : 1;
}

static void sending_process(pid_t other)
{
	struct linux_guest_sev *sev = create_guest(false);
	int i, status;
	bool ok;

	ksft_test_result(refuse(sev), "refused: the guest is not ready\n");
	ok = boot(sev);
	sev = ok ? there_and_back(sev) : NULL;
	ksft_test_result(sev, "%d migrations there and back\n", nr_migrations);
	ok = sev && refuse_after_kexec(sev);
	ksft_test_result(ok, "refused: the guest starts another kernel\n");
	if (sev)
		linux_guest_sev_free(sev);

	if (ok) {
		sev = create_guest(false);
		here.spoil_list = true;
		ok = boot(sev) && send_guest(sev);
	}
	/* It sees the end of the stream if it waits for more. */
	for (i = here.step; i <= nr_migrations; i++)
		close(here.sockets[i]);
	waitpid(other, &status, 0);
	ksft_test_result(ok && !status, "a list that is wrong about a page is noticed\n");
}

int main(int argc, char *argv[])
{
	int i, pairs[MAX_MIGRATIONS + 1][2];
	pid_t other;

	linux_guest_parse_options(&options, argc, argv);
	if (nr_migrations % 2 || nr_migrations > MAX_MIGRATIONS)
		linux_guest_usage(&options);
	__TEST_REQUIRE(options.nr_modules, "no module for the guest, see -m");
	linux_guest_require_kernel(&options);
	__TEST_REQUIRE(linux_guest_sev_supported(KVM_X86_SW_SEV_VM),
		       "KVM has no software SEV VMs");

	ksft_print_header();
	ksft_set_plan(4);
	fflush(stdout);

	for (i = 0; i <= nr_migrations; i++)
		TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]),
			    "socketpair(), errno %d", errno);
	other = fork();
	TEST_ASSERT(other >= 0, "fork(), errno %d", errno);
	here.side = !other;
	set_step(0);
	for (i = 0; i <= nr_migrations; i++) {
		here.sockets[i] = pairs[i][here.side];
		close(pairs[i][!here.side]);
	}
	if (!other)
		_exit(receiving_process());
	sending_process(other);
	ksft_finished();
}
