// SPDX-License-Identifier: GPL-2.0-only
/*
 * Live migration of an SEV guest, there and back between two processes.
 *
 * The guest checks private and shared memory on two CPUs and converts it all the
 * time, and uses its disk.  Which pages it has as private says the list of what it
 * has reported as shared: if that is wrong about a page, the guest finds garbage.
 *
 * Without SEV it is because what is private by the guest's page tables is
 * sent transformed.  With -r the guest is a real one, whose private pages go through
 * the security processor (PSP), which knows no page tables.
 *
 * With -l there are two machines that run the test, in place of two processes.
 */
#include <endian.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "expect.h"
#include "kvm_util.h"
#include "linux_guest_options.h"
#include "linux_guest_psp.h"
#include "linux_guest_link.h"
#include "sev.h"
#include "linux_guest_sev_stress.h"
#include "linux_guest_virtio.h"
#include "test_util.h"

#define MAX_MIGRATIONS	40

/* In a certificate, where a byte of the key is. */
#define CERT_KEY	0x20

/*
 * And one that is withdrawn, two with a wrong list, one for certificates, and one in which
 * the sides end.
 */
#define MAX_STEPS	(MAX_MIGRATIONS + 5)

static int nr_migrations;
static const char *link_side;
static bool real;

static const struct linux_guest_option own_options[] = {
	{ 'r', &real, .help = "an SEV guest with encrypted memory" },
	{ 'l', .text = &link_side, .arg = "side",
	  .help = "0: boot the guest and send it to another machine, which has 1" },
	{ 'n', .number = &nr_migrations, .arg = "migrations",
	  .help = "how many, an even number up to " __stringify(MAX_MIGRATIONS)
		  " (default: 20, with -r 4)", .may_be_0 = true },
};

static struct linux_guest_options options = {
	.own = own_options,
	.nr_own = ARRAY_SIZE(own_options),
	.max_modules = 1,
	.module_help = SEV_STRESS ".ko, which checks private and shared memory",
	.default_modules = { "arch/x86/mm/mem_encrypt_stress.ko" },
	.seconds = 110,
};

/* This process's: the guest is here, or it is not. */
static struct {
	int side;
	int sockets[MAX_STEPS];		/* if the other side is a process */
	int step;
	struct sev_stress_guest stress;
} here;

static struct sev_stress_guest *stress = &here.stress;

static bool check(bool ok)
{
	return expect(ok, "%s", stress->error);
}

static int connect_to_other(void)
{
	int fd;

	if (link_side)
		return linux_guest_link_connect(here.side, here.step);
	fd = here.sockets[here.step];
	here.sockets[here.step] = -1;
	return fd;
}

static void set_step(int step)
{
	here.step = step;
	about("process %d, step %d", here.side, step);
}

static bool send_guest(void)
{
	struct linux_guest *guest = stress->sev->guest;
	struct linux_guest_migration *m = &stress->sev->m;
	int fd = connect_to_other();
	u16 requests = guest->disk->state.next_used;
	int err = linux_guest_send(guest, m, fd, options.seconds);

	close(fd);
	if (!expect(!err, "the guest was not sent: errno %d %s, there %d %s, it ended by %s", -err,
		    guest->error, m->remote_error, m->remote_what,
		    linux_guest_end_str(m->end))) {
		linux_guest_print_console(guest, 40);
		return false;
	}

	requests = guest->disk->state.next_used - requests;
	ksft_print_msg("migration %d: %d rounds, %lu pages, %lu in the pause, %lu for status; "
		       "%lu ranges shared; %u requests to the disk; "
		       "%lu MiB in %lu ms, down for %lu ms\n",
		       here.step + 1, m->nr_rounds, m->nr_pages, m->nr_paused_pages,
		       m->nr_changed_pages, m->shared.nr, requests, m->nr_bytes >> 20,
		       m->total_us / 1000, m->downtime_us / 1000);
	fflush(stdout);
	sev_stress_free(stress);
	return expect(requests, "the disk was not in use");
}

static bool receive_guest(void)
{
	struct linux_guest *guest;
	int fd, err;

	sev_stress_create(stress, true);
	guest = stress->sev->guest;
	fd = connect_to_other();
	/* The other side may have a guest to boot before it sends it. */
	err = linux_guest_receive(guest, &stress->sev->m, fd, 3 * options.seconds);
	close(fd);
	if (expect(!err, "the guest was not received: errno %d %s", -err, guest->error))
		return true;
	sev_stress_free(stress);
	return false;
}

/* Both sides take the same steps, one of them sends and the other receives. */
static bool there_and_back(void)
{
	bool ok;

	for (; here.step < nr_migrations; set_step(here.step + 1)) {
		if (here.step % 2 == here.side)
			ok = send_guest();
		else
			ok = receive_guest() && check(sev_stress_run_on(stress));
		if (!ok)
			return false;
	}
	return true;
}

/* Nobody is there to receive it, and nobody has to be. */
static bool refuse(void)
{
	struct linux_guest_sev *sev = stress->sev;
	int err, pair[2];

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair(), errno %d", errno);
	err = linux_guest_send(sev->guest, &sev->m, pair[0], options.seconds);
	close(pair[0]);
	close(pair[1]);
	return expect(err == -EPERM, "sender's errno %d for %d", -err, EPERM);
}

/* The host has told the guest that it does not take a report. */
static bool refuse_without_report(void)
{
	bool ok;

	sev_stress_create(stress, false);
	stress->sev->guest->shared->nr_refused = 1;
	stress->pause_at_wait = true;
	ok = check(sev_stress_run_to_pause(stress)) &&
	     expect(!stress->sev->guest->shared->nr_refused && !stress->sev->nr_ready,
		    "the guest allowed its migration %d times", stress->sev->nr_ready) &&
	     refuse();
	stress->pause_at_wait = false;
	sev_stress_free(stress);
	return ok;
}

/* The guest is let go, and the second round begins when it is about to start a kernel. */
static void let_go(struct linux_guest *guest, struct linux_guest_migration *m, int round)
{
	enum migration_state state = MIGRATION_READY;
	int i;

	WRITE_ONCE(guest->wait, false);
	for (i = 0; round && state == MIGRATION_READY && i < 10 * options.seconds; i++) {
		usleep(100000);
		pthread_mutex_lock(&m->lock);
		state = m->state;
		pthread_mutex_unlock(&m->lock);
	}
}

static bool withdraw_while_sent(void)
{
	struct linux_guest_migration *m = &stress->sev->m;
	int err, fd = connect_to_other();

	stress->pause_at_withdrawal = true;
	m->round = let_go;
	err = linux_guest_send(stress->sev->guest, m, fd, 2 * options.seconds);
	m->round = NULL;
	stress->pause_at_withdrawal = false;
	close(fd);
	set_step(here.step + 1);
	return expect(err == -EPERM && m->state == MIGRATION_WITHDRAWN,
		      "sender's errno %d for %d, in state %d; %s", -err, EPERM, m->state,
		      stress->sev->guest->error) &&
	       /* It does not begin either. */
	       refuse();
}

static bool receive_withdrawn(void)
{
	int err, fd;

	sev_stress_create(stress, true);
	fd = connect_to_other();
	err = linux_guest_receive(stress->sev->guest, &stress->sev->m, fd, 5 * options.seconds);
	close(fd);
	sev_stress_free(stress);
	set_step(here.step + 1);
	return expect(err == -ECANCELED, "receiver's errno %d for %d", -err, ECANCELED);
}

/* It goes on as if nobody had wanted to migrate it. */
static bool start_other_kernel(void)
{
	struct linux_guest_sev *sev = stress->sev;
	struct linux_guest *guest = sev->guest;
	enum linux_guest_end end = linux_guest_run(guest, options.seconds);

	if (expect(end == LINUX_GUEST_RESET, "the guest ended by %s %s",
		   linux_guest_end_str(end), guest->error) &&
	    expect(linux_guest_count(guest, "disk: 16 blocks ok") == 1,
		   "the disk is not as it was") &&
	    expect(linux_guest_find(guest, SEV_STRESS ": stopped after") && !stress->wrong,
		   "the guest found wrong memory") &&
	    expect(linux_guest_find(guest, "guest_init: done") &&
		   !linux_guest_count(guest, " failed, errno "),
		   "the guest did not get to its end") &&
	    /* The second kernel cannot know that there is no EFI firmware. */
	    expect(!sev->nr_ready && sev->nr_cleared == 3,
		   "the guest allowed its migration %d times, and withdrew %d times",
		   sev->nr_ready, sev->nr_cleared))
		return true;
	linux_guest_print_console(guest, 60);
	return false;
}

/* Shared pages, then private ones, about which the list was wrong. */
static bool notice_wrong_lists(void)
{
	bool ok = true;

	for (; ok && here.step < nr_migrations + 3; set_step(here.step + 1)) {
		ok = receive_guest() && check(sev_stress_run_to_error(stress));
		sev_stress_free(stress);
	}
	return ok;
}

static bool send_wrong_lists(void)
{
	bool ok = true;

	for (stress->spoil = SPOIL_SHARED_PAGES; ok && stress->spoil <= SPOIL_PRIVATE_PAGES;
	     stress->spoil++) {
		sev_stress_create(stress, false);
		ok = check(sev_stress_boot(stress)) && send_guest();
		set_step(here.step + 1);
		sev_stress_free(stress);
	}
	return ok;
}

static bool receiving_side(void)
{
	bool ok = there_and_back();

	sev_stress_free(stress);
	return ok && receive_withdrawn() && notice_wrong_lists();
}

/* A guest that was launched, or is to come from elsewhere, and that nobody runs. */
static struct linux_guest_sev *create_idle(u32 policy, bool empty)
{
	struct linux_guest_params params = {
		.kernel = options.kernel,
		.cmdline = "",
		.nr_vcpus = 1,
		.mem_size = SZ_128M,
		.vm_type = KVM_X86_SEV_VM,
		.sev_policy = policy,
	};

	return empty ? linux_guest_sev_create_empty(&params) : linux_guest_sev_create(&params);
}

static bool can_go_to(const struct psp_platform *platform, u32 policy, int error)
{
	struct linux_guest_sev *sev = create_idle(policy, false);
	struct psp_session session;
	int err = psp_send_start(sev->guest, platform, &session);
	bool ok;

	ok = expect(err == -error, "policy 0x%x: errno %d for %d, %s", policy, -err, error,
		    sev->guest->error);
	linux_guest_sev_free(sev);
	return ok;
}

/*
 * A policy wants the API of this host, and the other has an older one.  Without a chain of
 * certificates that this PSP has to look at, it is only found there.
 */
static bool check_versions(const struct psp_platform *platform, int fd)
{
	struct linux_guest_sev *sev;
	struct psp_session session;
	u32 policy, older;
	__le32 error = 0;
	u8 major, minor;
	int err;

	sev = create_idle(0, true);
	err = psp_api_version(sev->guest, &major, &minor);
	if (!expect(!err, "%s", sev->guest->error))
		return false;
	linux_guest_sev_free(sev);
	policy = SEV_POLICY_API(major, minor);
	older = SEV_POLICY_API(platform->chain[PSP_CERT_API], platform->chain[PSP_CERT_API + 1]);
	ksft_print_msg("API %u.%u here, %u.%u there\n", major, minor,
		       platform->chain[PSP_CERT_API], platform->chain[PSP_CERT_API + 1]);
	if (!expect(older < policy, "the other host should have an older API") ||
	    !can_go_to(platform, SEV_POLICY_SEV | older, 0) ||
	    !can_go_to(platform, SEV_POLICY_SEV | policy, EACCES))
		return false;

	sev = create_idle(policy, false);
	err = psp_send_start(sev->guest, platform, &session);
	if (expect(!err, "%s", sev->guest->error) &&
	    (send(fd, &session, sizeof(session), 0) != sizeof(session) ||
	     recv(fd, &error, sizeof(error), MSG_WAITALL) != sizeof(error)))
		err = -EPIPE;
	linux_guest_sev_free(sev);
	return expect(!err && le32toh(error) == EACCES, "errno %d, there %u for %d", -err,
		      le32toh(error), EACCES);
}

/* What a guest's policy says about the host that it is sent to, which is another one. */
static bool check_policies(const struct psp_platform *other)
{
	struct psp_platform platform = *other, without = platform;

	without.amd_certs_size = 0;
	if (!can_go_to(&platform, 0, 0) ||
	    /* Each host has an owner of its own, which is nobody. */
	    !can_go_to(&platform, SEV_POLICY_DOMAIN, EACCES) ||
	    /* For that the PSP reads AMD's certificates, and there are none. */
	    !can_go_to(&without, SEV_POLICY_SEV, EIO))
		return false;
	if (!platform.amd_certs_size) {
		ksft_print_msg("policy SEV is left out: no certificates of AMD's\n");
		return true;
	}
	if (!can_go_to(&platform, SEV_POLICY_SEV, 0) ||
	    !can_go_to(&platform, SEV_POLICY_SEV | SEV_POLICY_DOMAIN, EACCES))
		return false;
	/* The chip's key is another one then, which AMD has not signed. */
	platform.chain[2 * PSP_CERT_SIZE + CERT_KEY] ^= 1;
	return can_go_to(&platform, 0, 0) && can_go_to(&platform, SEV_POLICY_SEV, EKEYREJECTED);
}

static void check_other(void)
{
	struct psp_platform platform;
	int fd, nr;

	set_step(nr_migrations + 3);
	fd = connect_to_other();
	nr = recv(fd, &platform, sizeof(platform), MSG_WAITALL);
	ksft_test_result(expect(nr == sizeof(platform), "%d bytes of certificates came", nr) &&
			 check_policies(&platform),
			 "hosts that a policy allows, and does not\n");
	ksft_test_result(nr == sizeof(platform) && check_versions(&platform, fd),
			 "refused: a host with an older PSP than the policy wants\n");
	close(fd);
}

/* Then somebody may be sent who does not want to be here. */
static void send_certificates(void)
{
	struct linux_guest_sev *sev = create_idle(0, false);
	struct psp_platform platform;
	struct psp_session session;
	__le32 error;
	int fd, err;

	set_step(nr_migrations + 3);
	fd = connect_to_other();
	err = psp_read_platform(sev->guest, &platform);
	psp_read_amd_certs(&platform);
	if (expect(!err, "%s", sev->guest->error))
		expect(send(fd, &platform, sizeof(platform), 0) == sizeof(platform),
		       "certificates can't be sent, errno %d", errno);
	linux_guest_sev_free(sev);
	if (recv(fd, &session, sizeof(session), MSG_WAITALL) == sizeof(session)) {
		sev = create_idle(le32toh(session.policy), true);
		error = htole32(-psp_receive_start(sev->guest, &session));
		ksft_print_msg("policy 0x%x: %s\n", le32toh(session.policy), sev->guest->error);
		expect(send(fd, &error, sizeof(error), 0) == sizeof(error),
		       "an error can't be sent, errno %d", errno);
		linux_guest_sev_free(sev);
	}
	shutdown(fd, SHUT_WR);
}

/* Of another machine's there is no exit status. */
static void receiving_machine(void)
{
	char ok, there;
	int fd;

	send_certificates();
	set_step(0);
	ok = receiving_side();
	here.step = nr_migrations + 4;
	fd = connect_to_other();
	/* The line is gone with this process: wait until the other has read it. */
	ok &= write(fd, &ok, 1) == 1 && !read(fd, &there, 1);
	ksft_test_result(ok, "%d migrations there and back, and wrong lists noticed\n",
			 nr_migrations);
}

static bool other_is_ok(pid_t other)
{
	int fd, status;
	char ok = 0;

	if (!link_side)
		return waitpid(other, &status, 0) == other && !status;
	here.step = nr_migrations + 4;
	fd = connect_to_other();
	if (read(fd, &ok, 1) != 1)
		ok = 0;
	close(fd);
	/* For the threads of the line. */
	usleep(100000);
	return ok;
}

static void sending_side(pid_t other)
{
	bool ok;

	if (link_side)
		check_other();
	set_step(0);
	ksft_test_result(refuse_without_report(), "refused: a report was not taken\n");
	sev_stress_create(stress, false);
	ksft_test_result(refuse(), "refused: the guest is not ready\n");
	ok = check(sev_stress_boot(stress)) && there_and_back();
	ksft_test_result(ok, "%d migrations there and back\n", nr_migrations);
	ok = ok && withdraw_while_sent();
	ksft_test_result(ok, "refused: the guest starts another kernel while it is sent\n");
	ok = ok && start_other_kernel();
	ksft_test_result(ok, "the guest lives on\n");
	sev_stress_free(stress);

	ok = ok && send_wrong_lists();
	/* It sees the end of the stream if it waits for more. */
	for (; here.step < nr_migrations + 3; here.step++)
		close(connect_to_other());
	ok &= other_is_ok(other);
	ksft_test_result(ok, "lists that are wrong about shared or private pages are noticed\n");
}

int main(int argc, char *argv[])
{
	pid_t other = 0;
	bool ok = true;
	u32 vm_type;

	linux_guest_parse_options(&options, argc, argv);
	if (!nr_migrations)
		nr_migrations = real ? 4 : 20;
	vm_type = real ? KVM_X86_SEV_VM : KVM_X86_DEFAULT_VM;
	if (nr_migrations % 2 || nr_migrations > MAX_MIGRATIONS ||
	    (link_side && strcmp(link_side, "0") && strcmp(link_side, "1")))
		linux_guest_usage(&options);
	__TEST_REQUIRE(options.nr_modules, "no module for the guest, see -m");
	linux_guest_require_kernel(&options);
	__TEST_REQUIRE(linux_guest_sev_supported(vm_type), "KVM has no VMs of type %u", vm_type);
	__TEST_REQUIRE(!link_side || linux_guest_link_exists(),
		       "there is no line to another machine");

	if (link_side)
		here.side = *link_side - '0';
	*stress = (struct sev_stress_guest) {
		.kernel = options.kernel,
		.module = options.modules[0],
		.steps = "disk busy disk unload kexec",
		.vm_type = vm_type,
		.seconds = options.seconds,
	};
	ksft_print_header();
	ksft_set_plan(!link_side ? 6 : here.side ? 1 : 8);

	if (!link_side) {
		other = linux_guest_fork(here.sockets, nr_migrations + 3);
		here.side = !other;
	}
	if (!here.side) {
		sending_side(other);
	} else if (link_side) {
		receiving_machine();
	} else {
		set_step(0);
		ok = receiving_side();
		fflush(stdout);
		_exit(!ok);
	}
	ksft_finished();
}
