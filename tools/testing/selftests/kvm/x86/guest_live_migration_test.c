// SPDX-License-Identifier: GPL-2.0-only
/*
 * Live migration of a Linux guest, there and back between two processes.
 *
 * The guest writes and checks memory on two CPUs and says so after each pass.
 * None of these lines may be missing or come twice, whichever process prints it.
 * It is a plain guest: some of its memory is private only in that both processes
 * agree on it, and what that is changes while it is sent.
 *
 * Streams that are corrupt are refused, for the reason that the header file
 * gives, and the guest runs on where it was.  A list that is wrong about a single
 * page isn't refused, but the guest has to notice.
 */
#include <linux/kvm_para.h>
#include <sys/wait.h>

#include "expect.h"
#include "kvm_util.h"
#include "linux_guest.h"
#include "linux_guest_migrate.h"
#include "linux_guest_options.h"
#include "linux_guest_saboteur.h"
#include "processor.h"
#include "test_util.h"

#define NR_VCPUS	2
#define MEM_SIZE	LINUX_GUEST_MEM_SIZE
#define MAX_MIGRATIONS	20
#define MAX_RANGES	4096
#define ROUNDS		4
#define KEY		0x6b65792066726f6dull

/* What is private and what not changes in blocks of this size. */
#define BLOCK_SIZE	SZ_2M
#define NR_BLOCKS	(MEM_SIZE / BLOCK_SIZE)

/* The first word of the pages that guest_init writes and checks. */
#define LOAD_MAGIC	0x6c6f616470616765ull

/* Of the states of vCPU 0. */
#define STATE_CPUID	0
#define STATE_SREGS	1

#define SIZEOF_RECORD	sizeof(struct linux_guest_migration_record)

enum guest_says {
	NOTHING,
	NOT_READY,
	WITHDRAW,
};

/* What the sender's guest does, or what is done to the stream. */
static const struct refusal {
	const char *name;
	int error;		/* the receiver's */
	struct linux_guest_saboteur saboteur;
	enum guest_says guest;
} refusals[] = {
	{ "guest is not ready", EPIPE, .guest = NOT_READY },
	{ "guest is not ready any more", ECANCELED, .guest = WITHDRAW },
	{ "list says that the guest is not ready", EPERM,
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_SHARED, 0,
	    SIZEOF_RECORD + offsetof(struct shared_ranges_header, state),
	    MIGRATION_READY ^ MIGRATION_WITHDRAWN } },
	{ "another kind of stream", EPROTO,
	  { SABOTAGE_CORRUPT, 0, 0, offsetof(struct linux_guest_migration_header, magic), 1 } },
	{ "another version", EPROTONOSUPPORT,
	  { SABOTAGE_CORRUPT, 0, 0, offsetof(struct linux_guest_migration_header, version), 1 } },
	{ "another number of vCPUs", EINVAL,
	  { SABOTAGE_CORRUPT, 0, 0, offsetof(struct linux_guest_migration_header, nr_vcpus), 1 } },
	{ "another size of memory", EINVAL,
	  { SABOTAGE_CORRUPT, 0, 0, offsetof(struct linux_guest_migration_header, mem_size) + 7,
	    0x80 } },
	{ "another type of VM", EINVAL,
	  { SABOTAGE_CORRUPT, 0, 0, offsetof(struct linux_guest_migration_header, vm_type), 1 } },
	{ "no list before the pages", EBADMSG,
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_SHARED, 0,
	    offsetof(struct linux_guest_migration_record, type),
	    MIGRATION_RECORD_SHARED ^ MIGRATION_RECORD_PAGES } },
	{ "list of too many ranges", ENOSPC,
	  { SABOTAGE_GROW, MIGRATION_RECORD_SHARED, 0, MAX_RANGES * sizeof(struct shared_range) } },
	{ "list of half a page", EBADMSG,
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_SHARED, 0,
	    SIZEOF_RECORD + sizeof(struct shared_ranges_header), 1 } },
	{ "record of no known type", EBADMSG,
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_PAGES, 0,
	    offsetof(struct linux_guest_migration_record, type), 0x80 } },
	{ "record that is larger than any", EBADMSG,
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_SHARED, 0,
	    offsetof(struct linux_guest_migration_record, size) + 7, 0x40 } },
	{ "pages behind the end of memory", EBADMSG,
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_PAGES, 0, SIZEOF_RECORD + 7, 0x80 } },
	{ "pages at half a page", EBADMSG,
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_PAGES, 0, SIZEOF_RECORD + 1, 0x8 } },
	{ "more than the most pages", EBADMSG,
	  { SABOTAGE_GROW, MIGRATION_RECORD_PAGES, 0,
	    LINUX_GUEST_MIGRATION_MAX_PAGES * PAGE_SIZE } },
	{ "state that is too large", EBADMSG,
	  { SABOTAGE_GROW, MIGRATION_RECORD_STATE, STATE_CPUID, SZ_1M } },
	{ "state with more than there is in it", EBADMSG,
	  { SABOTAGE_GROW, MIGRATION_RECORD_STATE, STATE_SREGS, 1 } },
	{ "more CPUID entries than there are", EBADMSG,
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_STATE, STATE_CPUID,
	    SIZEOF_RECORD + offsetof(struct kvm_cpuid2, nent), 0x80 } },
	{ "state of another kind", EBADMSG,
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_STATE, STATE_SREGS,
	    offsetof(struct linux_guest_migration_record, index), 0x4 } },
	{ "state that KVM refuses", EIO,
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_STATE, STATE_SREGS,
	    SIZEOF_RECORD + offsetof(struct kvm_sregs, efer) + 7, 0x80 } },
	{ "end within the header", EPIPE, { SABOTAGE_CUT, 0, 0, 12 } },
	{ "end within a list", EPIPE,
	  { SABOTAGE_CUT, MIGRATION_RECORD_SHARED, 0, SIZEOF_RECORD + 23 } },
	{ "end within a page", EPIPE,
	  { SABOTAGE_CUT, MIGRATION_RECORD_PAGES, 0, SIZEOF_RECORD + 1000 } },
	{ "end within a state", EPIPE, { SABOTAGE_CUT, MIGRATION_RECORD_STATE, STATE_SREGS, 8 } },
	{ "header that was changed on the way", EBADMSG,
	  { SABOTAGE_CHANGE, 0, 0, offsetof(struct linux_guest_migration_header, tsc_khz), 1 } },
	{ "header of an older stream", EBADMSG, { SABOTAGE_OLD } },
	{ "page that was changed on the way", EBADMSG,
	  { SABOTAGE_CHANGE, MIGRATION_RECORD_PAGES, 0, SIZEOF_RECORD + 1000, 1 } },
	{ "state that was changed on the way", EBADMSG,
	  { SABOTAGE_CHANGE, MIGRATION_RECORD_STATE, STATE_SREGS, SIZEOF_RECORD + 100, 1 } },
	{ "pages that are missing", EBADMSG, { SABOTAGE_DROP, MIGRATION_RECORD_PAGES } },
	{ "pages that come twice", EBADMSG, { SABOTAGE_REPEAT, MIGRATION_RECORD_PAGES } },
	{ "pages that come too late", EBADMSG, { SABOTAGE_SWAP, MIGRATION_RECORD_PAGES } },
};

static int nr_migrations = 10, nr_refusals = ARRAY_SIZE(refusals);

static const struct linux_guest_option own_options[] = {
	{ 'n', .number = &nr_migrations, .arg = "migrations",
	  .help = "how many, an even number up to " __stringify(MAX_MIGRATIONS) },
	{ 'r', .number = &nr_refusals, .may_be_0 = true, .arg = "refusals",
	  .help = "how many bad streams after them, at most all" },
};

static struct linux_guest_options options = {
	.own = own_options,
	.nr_own = ARRAY_SIZE(own_options),
	.seconds = 110,
};

#define MAX_STEPS	(MAX_MIGRATIONS + ARRAY_SIZE(refusals) + 1)

/* This process's: the guest is here, or it is not. */
static struct {
	int side;
	int sockets[MAX_STEPS];

	/* Blocks that are private in truth. */
	bool private[NR_BLOCKS];
	enum guest_says guest_says;
	int step;

	/* Of the lines of the guest. */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	u64 pass[NR_VCPUS];
	u64 nr_passes[NR_VCPUS];	/* since the guest is here */
	u64 wanted_passes;
	bool missed;
	bool wrong;
} here;

static void set_step(int step)
{
	here.step = step;
	about("process %d, step %d", here.side, step);
}

static void watch_line(struct linux_guest *guest, const char *line)
{
	const char *says = strstr(line, "guest_init: load ");
	bool enough = true;
	u64 pass;
	int i;

	if (!says || says[17] < '0' || says[17] >= '0' + NR_VCPUS)
		return;
	i = says[17] - '0';

	pthread_mutex_lock(&here.lock);
	if (sscanf(says + 18, ": pass %lu", &pass) == 1) {
		here.missed |= pass != here.pass[i] + 1;
		here.pass[i] = pass;
		here.nr_passes[i]++;
	} else {
		here.wrong = true;
	}
	for (i = 0; i < NR_VCPUS; i++)
		enough &= here.nr_passes[i] >= here.wanted_passes;
	if (here.wrong || (here.wanted_passes && enough))
		linux_guest_stop(guest, LINUX_GUEST_PAUSED);
	pthread_cond_signal(&here.cond);
	pthread_mutex_unlock(&here.lock);
}

/* The guest goes on, on all vCPUs, and nothing is amiss. */
static bool run_on(struct linux_guest *guest)
{
	enum linux_guest_end end;
	const char *splat;

	memset(here.nr_passes, 0, sizeof(here.nr_passes));
	here.wanted_passes = 2;
	end = linux_guest_run(guest, options.seconds);
	here.wanted_passes = 0;
	splat = linux_guest_splat(guest);

	if (expect(end == LINUX_GUEST_PAUSED, "the guest ended by %s %s", linux_guest_end_str(end),
		   guest->error) &&
	    expect(!here.wrong, "the guest found a page that is wrong") &&
	    expect(!here.missed, "lines of the guest are missing") &&
	    expect(!splat, "the guest says: %s", splat))
		return true;
	linux_guest_print_console(guest, 40);
	return false;
}

static void find_private(struct linux_guest *guest, struct linux_guest_migration *m,
			 unsigned long *pages)
{
	u64 page;

	for (page = 0; page < MEM_SIZE / PAGE_SIZE; page++) {
		if (here.private[page * PAGE_SIZE / BLOCK_SIZE])
			__set_bit(page, pages);
	}
}

static void set_private(struct linux_guest_migration *m, u64 block, bool private)
{
	int err;

	here.private[block] = private;
	pthread_mutex_lock(&m->lock);
	err = private ? shared_ranges_remove(&m->shared, block * BLOCK_SIZE, BLOCK_SIZE) :
			shared_ranges_add(&m->shared, block * BLOCK_SIZE, BLOCK_SIZE);
	pthread_mutex_unlock(&m->lock);
	TEST_ASSERT(!err, "The list does not take block %lu, errno %d", block, -err);
}

/* Another pass of the guest, or it has stopped and there will be none. */
static void wait_for_pass(struct linux_guest *guest)
{
	struct timespec deadline;
	u64 nr;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += options.seconds;
	pthread_mutex_lock(&here.lock);
	nr = here.nr_passes[0];
	while (here.nr_passes[0] == nr && !here.wrong &&
	       !pthread_cond_timedwait(&here.cond, &here.lock, &deadline))
		;
	pthread_mutex_unlock(&here.lock);
}

/* Each round has something to send, and pages of another status than before. */
static void begin_round(struct linux_guest *guest, struct linux_guest_migration *m, int round)
{
	u64 block = (here.step * 7 + round * 31) % NR_BLOCKS;

	if (round)
		wait_for_pass(guest);
	set_private(m, block, !here.private[block]);
	if (round == 1 && here.guest_says == WITHDRAW) {
		pthread_mutex_lock(&m->lock);
		migration_wrmsr(&m->state, 0);
		pthread_mutex_unlock(&m->lock);
	}
}

static int save_devices(struct linux_guest *guest, struct linux_guest_migration *m, FILE *stream)
{
	return fwrite(here.pass, sizeof(here.pass), 1, stream) == 1 ? 0 : -EIO;
}

static int load_devices(struct linux_guest *guest, struct linux_guest_migration *m,
			const void *data, size_t size)
{
	if (size != sizeof(here.pass))
		return -EINVAL;
	memcpy(here.pass, data, size);
	return 0;
}

static void init_migration(struct linux_guest_migration *m)
{
	linux_guest_migration_init(m, MAX_RANGES);
	m->key = KEY;
	m->find_private = find_private;
	m->round = begin_round;
	m->save_devices = save_devices;
	m->load_devices = load_devices;
	m->max_rounds = ROUNDS;
	m->few_pages = 1;
}

static void make_ready(struct linux_guest_migration *m)
{
	m->state = MIGRATION_READY;
}

static struct linux_guest *create_guest(bool empty)
{
	char init[PATH_MAX];
	struct linux_guest_file file = { "init", init, .mode = 0755 };
	struct linux_guest_params params = {
		.kernel = options.kernel,
		.cmdline = "-- load",
		.files = &file,
		.nr_files = 1,
		.nr_vcpus = NR_VCPUS,
		.mem_size = MEM_SIZE,
	};
	struct linux_guest *guest;

	linux_guest_program(init, sizeof(init), "guest_init");
	guest = empty ? linux_guest_create_empty(&params) : linux_guest_create(&params);
	guest->line = watch_line;
	return guest;
}

static void print_migration(const struct linux_guest_migration *m)
{
	ksft_print_msg("migration %d: %d rounds, %lu pages, %lu in the pause, %lu for status; "
		       "%lu MiB in %lu ms, down for %lu ms\n",
		       here.step + 1, m->nr_rounds, m->nr_pages, m->nr_paused_pages,
		       m->nr_changed_pages, m->nr_bytes >> 20, m->total_us / 1000,
		       m->downtime_us / 1000);
	fflush(stdout);
}

static void end_stream(void)
{
	close(here.sockets[here.step]);
	here.sockets[here.step] = -1;
}

static bool send_guest(struct linux_guest *guest, struct linux_guest_migration *m)
{
	int err = linux_guest_send(guest, m, here.sockets[here.step], options.seconds);

	end_stream();
	if (!expect(!err, "the guest was not sent: errno %d, there %d, it ended by %s %s", -err,
		    m->remote_error, linux_guest_end_str(m->end), guest->error)) {
		linux_guest_print_console(guest, 40);
		return false;
	}
	print_migration(m);
	linux_guest_free(guest);
	return true;
}

/* Returns NULL if there is no guest, as it should be if an error is expected. */
static struct linux_guest *receive_guest(struct linux_guest_migration *m, int error, bool *ok)
{
	struct linux_guest *guest = create_guest(true);
	int i, err;

	err = linux_guest_receive(guest, m, here.sockets[here.step], options.seconds);
	end_stream();
	*ok = expect(err == -error, "receiver's errno %d for %d %s", -err, error, guest->error);
	if (err) {
		linux_guest_free(guest);
		return NULL;
	}
	for (i = 0; i < NR_BLOCKS; i++)
		here.private[i] = !shared_ranges_test(&m->shared, i * BLOCK_SIZE);
	return guest;
}

/* Both processes take the same steps, one of them sends and the other receives. */
static bool there_and_back(struct linux_guest **guest, struct linux_guest_migration *m)
{
	bool ok;

	while (here.step < nr_migrations) {
		if (here.step % 2 == here.side) {
			ok = send_guest(*guest, m);
			if (ok)
				*guest = NULL;
		} else {
			*guest = receive_guest(m, 0, &ok);
			ok = ok && run_on(*guest);
		}
		if (!ok)
			return false;
		set_step(here.step + 1);
	}
	return true;
}

static bool refuse(struct linux_guest *guest, struct linux_guest_migration *m,
		   const struct refusal *refusal)
{
	int expected = refusal->guest ? -EPERM : -EREMOTEIO, err;

	here.guest_says = refusal->guest;
	if (refusal->guest == NOT_READY)
		m->state = MIGRATION_OFFERED;
	err = linux_guest_send_sabotaged(guest, m, here.sockets[here.step], options.seconds,
					 &refusal->saboteur);
	end_stream();
	make_ready(m);

	return expect(err == expected, "sender's errno %d for %d", -err, -expected) &&
	       expect(expected == -EPERM || m->remote_error == refusal->error,
		      "the other process refuses with errno %d for %d, %s", m->remote_error,
		      refusal->error, m->remote_what) &&
	       run_on(guest);
}

/* Of a single page that the guest checks, the list says what is not true. */
static bool send_wrong_list(struct linux_guest *guest, struct linux_guest_migration *m)
{
	u64 gpa;
	int err;

	for (gpa = 0; gpa < MEM_SIZE; gpa += PAGE_SIZE) {
		if (*(u64 *)addr_gpa2hva(guest->vm, gpa) == LOAD_MAGIC)
			break;
	}
	if (!expect(gpa < MEM_SIZE, "there is no page that the guest checks"))
		return false;

	/* The list must not change any more. */
	m->round = NULL;
	err = shared_ranges_test(&m->shared, gpa) ?
	      shared_ranges_remove(&m->shared, gpa, PAGE_SIZE) :
	      shared_ranges_add(&m->shared, gpa, PAGE_SIZE);
	TEST_ASSERT(!err, "The list does not take a page, errno %d", -err);
	return send_guest(guest, m);
}

static bool notice_wrong_list(struct linux_guest_migration *m)
{
	struct linux_guest *guest;
	enum linux_guest_end end;
	bool ok;

	guest = receive_guest(m, 0, &ok);
	if (!ok)
		return false;
	end = linux_guest_run(guest, options.seconds);
	ok = expect(end == LINUX_GUEST_PAUSED && here.wrong,
		    "the guest has not noticed a page of garbage but ended by %s %s",
		    linux_guest_end_str(end), guest->error);
	linux_guest_free(guest);
	return ok;
}

static int receiving_process(void)
{
	struct linux_guest *guest = NULL;
	struct linux_guest_migration m;
	bool ok;
	int i;

	init_migration(&m);
	ok = there_and_back(&guest, &m);
	for (i = 0; i < nr_refusals && ok; i++) {
		guest = receive_guest(&m, refusals[i].error, &ok);
		if (guest)
			linux_guest_free(guest);
		set_step(here.step + 1);
	}
	ok = ok && notice_wrong_list(&m);
	linux_guest_migration_destroy(&m);
	fflush(stdout);
	return ok ? 0 : 1;
}

static void sending_process(pid_t other)
{
	struct linux_guest *guest = create_guest(false);
	struct linux_guest_migration m;
	int i, status;
	bool ok;

	init_migration(&m);
	make_ready(&m);
	for (i = 0; i < NR_BLOCKS; i++)
		set_private(&m, i, i % 3);

	ok = run_on(guest) && there_and_back(&guest, &m);
	ksft_test_result(ok, "%d migrations there and back\n", nr_migrations);
	for (i = 0; i < nr_refusals; i++) {
		ok = ok && refuse(guest, &m, &refusals[i]);
		ksft_test_result(ok, "refused: %s\n", refusals[i].name);
		set_step(here.step + 1);
	}

	ok = ok && send_wrong_list(guest, &m);
	/* If something failed, the other process still waits. */
	for (i = 0; i < MAX_STEPS; i++)
		close(here.sockets[i]);
	waitpid(other, &status, 0);
	ksft_test_result(ok && !status, "list that is wrong about a page is noticed\n");
	linux_guest_migration_destroy(&m);
}

int main(int argc, char *argv[])
{
	pid_t other;

	linux_guest_parse_options(&options, argc, argv);
	if (nr_migrations % 2 || nr_migrations > MAX_MIGRATIONS ||
	    nr_refusals > ARRAY_SIZE(refusals))
		linux_guest_usage(&options);
	linux_guest_require_kernel(&options);

	ksft_print_header();
	ksft_set_plan(nr_refusals + 2);

	pthread_mutex_init(&here.lock, NULL);
	pthread_cond_init(&here.cond, NULL);
	other = linux_guest_fork(here.sockets, MAX_STEPS);
	here.side = !other;
	set_step(0);
	if (!other)
		_exit(receiving_process());
	sending_process(other);
	ksft_finished();
}
