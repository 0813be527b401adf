// SPDX-License-Identifier: GPL-2.0-only
/*
 * Live migrations of SEV guests that must not succeed: because of the guest's policy or
 * its kernel, because a security processor (PSP) does not know who it is about, because
 * of a stream that is not as it was sent, or because KVM cannot do it.
 *
 * Whoever refuses says what it is, and the guest lives on where it is and finds its
 * memory right.  In the end nothing of all that keeps it from being migrated.
 */
#include <sys/wait.h>

#include "expect.h"
#include "kvm_util.h"
#include "linux_guest_options.h"
#include "linux_guest_psp.h"
#include "linux_guest_saboteur.h"
#include "sev.h"
#include "linux_guest_sev_stress.h"
#include "test_util.h"

#define RECORD		sizeof(struct linux_guest_migration_record)
#define HELLO		sizeof(struct linux_guest_migration_hello)

/* In a record of packets, the first of them. */
#define PACKET		(RECORD + sizeof(__le64))

/* In a certificate: version, API, usage and algorithm of the key are before. */
#define CERT_KEY	0x10

/* Of the guests that do not run. */
#define SMALL_MEM_SIZE	SZ_128M

enum special {
	NOTHING,
	WITHDRAW,		/* the sender's guest, while it is sent */
	OTHER_POLICY,		/* the receiver wants another one */
};

/* @error is the receiver's if the sender's is EREMOTEIO; who says so says also @what. */
static const struct refusal {
	const char *name;
	int sender_error;
	int error;
	const char *what;
	struct linux_guest_saboteur saboteur;
	enum special special;
} refusals[] = {
	{ "PDH of the receiver that is none", EKEYREJECTED, 0, "SEND_START",
	  { SABOTAGE_HELLO, 0, 0, HELLO + offsetof(struct psp_platform, pdh) + CERT_KEY + 8, 1 } },
	{ "session for another receiver", EREMOTEIO, EKEYREJECTED, "RECEIVE_START",
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_SESSION, 0,
	    RECORD + offsetof(struct psp_session, session), 1 } },
	{ "session with other keys", EREMOTEIO, EKEYREJECTED, "RECEIVE_START",
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_SESSION, 0,
	    RECORD + offsetof(struct psp_session, session) + 16, 1 } },
	{ "session of another sender", EREMOTEIO, EKEYREJECTED, "RECEIVE_START",
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_SESSION, 0,
	    RECORD + offsetof(struct psp_session, pdh) + CERT_KEY + 8, 1 } },
	{ "session with another policy", EREMOTEIO, EKEYREJECTED, "RECEIVE_START",
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_SESSION, 0,
	    RECORD + offsetof(struct psp_session, policy), SEV_POLICY_NO_DBG } },
	{ "policy that the receiver does not want", EREMOTEIO, EINVAL, "policy",
	  .special = OTHER_POLICY },
	{ "no session before the list", EREMOTEIO, EBADMSG, "record 0",
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_SESSION, 0,
	    offsetof(struct linux_guest_migration_record, type),
	    MIGRATION_RECORD_SESSION ^ MIGRATION_RECORD_SHARED } },
	{ "packet with another ciphertext", EREMOTEIO, EBADMSG, "RECEIVE_UPDATE_DATA",
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_PACKETS, 0,
	    PACKET + offsetof(struct psp_packet, data) + 1000, 1 } },
	{ "packet with another IV", EREMOTEIO, EBADMSG, "RECEIVE_UPDATE_DATA",
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_PACKETS, 0,
	    PACKET + offsetof(struct psp_packet, header) + 4, 1 } },
	{ "packets in place of pages", EREMOTEIO, EBADMSG, "record ",
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_PAGES, 0,
	    offsetof(struct linux_guest_migration_record, type),
	    MIGRATION_RECORD_PAGES ^ MIGRATION_RECORD_PACKETS } },
	{ "packets behind the end of memory", EREMOTEIO, EBADMSG, "record ",
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_PACKETS, 0, RECORD + 7, 0x80 } },
	{ "packets for shared pages", EREMOTEIO, EBADMSG, "by the list",
	  { SABOTAGE_CORRUPT, MIGRATION_RECORD_SHARED, 0,
	    RECORD + sizeof(struct shared_ranges_header) + sizeof(__le64) + 1, 0x10 } },
	{ "packet that was changed on the way", EREMOTEIO, EBADMSG, "is not as it was sent",
	  { SABOTAGE_CHANGE, MIGRATION_RECORD_PACKETS, 0, PACKET + 1000, 1 } },
	/* A packet does not say which page it is. */
	{ "packets for other pages", EREMOTEIO, EBADMSG, "is not as it was sent",
	  { SABOTAGE_CHANGE, MIGRATION_RECORD_PACKETS, 0, RECORD + 2, 0x10 } },
	{ "packets that come twice", EREMOTEIO, EBADMSG, "in place of",
	  { SABOTAGE_REPEAT, MIGRATION_RECORD_PACKETS } },
	{ "packets that come too late", EREMOTEIO, EBADMSG, "in place of",
	  { SABOTAGE_SWAP, MIGRATION_RECORD_PACKETS } },
	{ "packets that are missing", EREMOTEIO, EBADMSG, "in place of",
	  { SABOTAGE_DROP, MIGRATION_RECORD_PACKETS } },
	{ "end within a packet", EREMOTEIO, EPIPE, "",
	  { SABOTAGE_CUT, MIGRATION_RECORD_PACKETS, 0, PACKET + 1000 } },
	{ "a stream once more", EREMOTEIO, EBADMSG, "the header", { SABOTAGE_OLD } },
	{ "guest that is not ready any more", EPERM, 0, "", .special = WITHDRAW },
};

static int nr_refusals = ARRAY_SIZE(refusals);

static const struct linux_guest_option own_options[] = {
	{ 'r', .number = &nr_refusals, .may_be_0 = true, .arg = "refusals",
	  .help = "how many of those of a guest that runs, at most all" },
};

static struct linux_guest_options options = {
	.own = own_options,
	.nr_own = ARRAY_SIZE(own_options),
	.max_modules = 1,
	.module_help = SEV_STRESS ".ko, which checks private and shared memory",
	.default_modules = { "arch/x86/mm/mem_encrypt_stress.ko" },
	.seconds = 110,
};

/* This process's: both take the same steps. */
static struct {
	int sockets[ARRAY_SIZE(refusals) + 1];
	int step;
	struct sev_stress_guest stress;
} here;

static struct sev_stress_guest *stress = &here.stress;

static bool check(bool ok)
{
	return expect(ok, "%s", stress->error);
}

static void end_stream(int step)
{
	if (here.sockets[step] >= 0)
		close(here.sockets[step]);
	here.sockets[step] = -1;
}

static void set_step(const char *who, int step)
{
	here.step = step;
	about("%s, step %d", who, step);
}

static void withdraw(struct linux_guest *guest, struct linux_guest_migration *m, int round)
{
	pthread_mutex_lock(&m->lock);
	migration_wrmsr(&m->state, 0);
	pthread_mutex_unlock(&m->lock);
}

/* For the PSP it was never sent. */
static bool is_running(struct linux_guest *guest)
{
	struct kvm_sev_guest_status status;

	return expect(!psp_command(guest, "GUEST_STATUS", KVM_SEV_GUEST_STATUS, &status),
		      "%s", guest->error) &&
	       expect(status.state == SEV_GUEST_STATE_RUNNING, "the guest's state is %u",
		      status.state);
}

/* @lives: the guest is here, and can be run. */
static bool refuse(const struct refusal *r, bool *lives)
{
	struct linux_guest *guest = stress->sev->guest;
	struct linux_guest_migration *m = &stress->sev->m;
	const char *what = r->sender_error == EREMOTEIO ? m->remote_what : guest->error;
	int err, fd = here.sockets[here.step];

	guest->error[0] = '\0';
	m->round = r->special == WITHDRAW ? withdraw : NULL;
	m->max_rounds = r->special == WITHDRAW ? 1 : 0;
	err = linux_guest_send_sabotaged(guest, m, fd, options.seconds, &r->saboteur);
	end_stream(here.step);
	m->state = MIGRATION_READY;

	ksft_print_msg("%s: errno %d, there %d: %s\n", r->name, -err, m->remote_error, what);
	*lives = err && is_running(guest) && check(sev_stress_run_on(stress));
	return *lives &&
	       expect(err == -r->sender_error, "sender's errno %d for %d", -err,
		      r->sender_error) &&
	       expect(m->remote_error == r->error, "receiver's errno %d for %d",
		      m->remote_error, r->error) &&
	       expect(strstr(what, r->what), "'%s' does not say '%s'", what, r->what);
}

static bool send_guest(void)
{
	struct linux_guest *guest = stress->sev->guest;
	struct linux_guest_migration *m = &stress->sev->m;
	int err, fd = here.sockets[here.step];

	m->round = NULL;
	m->max_rounds = 0;
	err = linux_guest_send(guest, m, fd, options.seconds);
	end_stream(here.step);
	return expect(!err, "the guest was not sent: errno %d %s, there %d %s", -err,
		      guest->error, m->remote_error, m->remote_what);
}

/* Returns whether there is a guest. */
static bool receive_guest(u32 policy)
{
	int err;

	stress->sev_policy = policy;
	sev_stress_create(stress, true);
	err = linux_guest_receive(stress->sev->guest, &stress->sev->m, here.sockets[here.step],
				  (here.step + 3) * options.seconds);
	end_stream(here.step);
	return !err;
}

static bool receiving_process(void)
{
	int i;

	for (i = 0; i < nr_refusals; i++) {
		set_step("receiver", i);
		receive_guest(refusals[i].special == OTHER_POLICY ? SEV_POLICY_NO_DBG : 0);
		sev_stress_free(stress);
	}
	set_step("receiver", nr_refusals);
	return receive_guest(0) && check(sev_stress_run_on(stress));
}

/* A guest that was launched, and that nobody runs. */
static struct linux_guest_sev *create_idle(u32 vm_type, u32 policy)
{
	struct linux_guest_params params = {
		.kernel = options.kernel,
		.nr_vcpus = 1,
		.mem_size = SMALL_MEM_SIZE,
		.vm_type = vm_type,
		.sev_policy = policy,
		.cmdline = "",
	};

	return linux_guest_sev_create(&params);
}

/* To this very host. */
static bool refuse_send_start(u32 vm_type, u32 policy, int error, const char *what)
{
	struct linux_guest_sev *sev = create_idle(vm_type, policy);
	struct psp_platform platform;
	struct psp_session session;
	int err;
	bool ok;

	err = psp_read_platform(sev->guest, &platform);
	ok = expect(!err, "%s", sev->guest->error);
	err = psp_send_start(sev->guest, &platform, &session);
	ok &= expect(err == -error, "errno %d for %d, %s", -err, error, sev->guest->error) &&
	      expect(!error || strstr(sev->guest->error, what), "'%s' does not say '%s'",
		     sev->guest->error, what);
	if (!err)
		ok &= expect(!psp_send_cancel(sev->guest), "%s", sev->guest->error);
	linux_guest_sev_free(sev);
	return ok;
}

/* KVM knows no command for the state of a vCPU. */
static bool refuse_es(void)
{
	struct linux_guest_sev *sev = create_idle(KVM_X86_SEV_ES_VM, 0);
	static const u32 ids[] = { KVM_SEV_SEND_UPDATE_VMSA, KVM_SEV_RECEIVE_UPDATE_VMSA };
	u8 data[64] = {};
	bool ok = true;
	int i, err;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		struct kvm_sev_cmd cmd = {
			.id = ids[i],
			.data = (u64)data,
			.sev_fd = sev->guest->vm->arch.sev_fd,
		};

		err = ioctl(sev->guest->vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd) ? errno : 0;
		ok &= expect(err == EINVAL && !cmd.error, "command %u: errno %d, PSP's 0x%x",
			     ids[i], err, cmd.error);
	}
	linux_guest_sev_free(sev);
	return ok && refuse_send_start(KVM_X86_SEV_ES_VM, 0, EOPNOTSUPP, "UNSUPPORTED");
}

/* KVM knows only those commands for an SNP guest that have SNP in their names. */
static bool refuse_snp(void)
{
	struct kvm_vm *vm = vm_create_barebones_type(KVM_X86_SNP_VM);
	struct kvm_sev_cmd cmd = { .sev_fd = vm->arch.sev_fd };
	bool ok = true;

	snp_vm_init(vm);
	for (cmd.id = KVM_SEV_SEND_START; cmd.id <= KVM_SEV_RECEIVE_FINISH; cmd.id++)
		ok &= expect(ioctl(vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd) && errno == EPERM,
			     "command %u: errno %d", cmd.id, errno);
	kvm_vm_free(vm);
	return ok;
}

static void test_policies(void)
{
	about("policy");
	ksft_test_result(refuse_send_start(KVM_X86_SEV_VM, SEV_POLICY_NOSEND, EACCES,
					   "SEND_START: the PSP says 0x7, POLICY_FAILURE"),
			 "refused: policy NOSEND\n");
	ksft_test_result(refuse_send_start(KVM_X86_SEV_VM, SEV_POLICY_SEV, EIO,
					   "INVALID_LENGTH"),
			 "refused: policy SEV, and no certificates of AMD's\n");
	ksft_test_result(refuse_send_start(KVM_X86_SEV_VM, SEV_POLICY_DOMAIN, 0, NULL),
			 "policy DOMAIN, to a host of the same owner\n");
	if (linux_guest_sev_supported(KVM_X86_SEV_ES_VM))
		ksft_test_result(refuse_es(), "refused: SEV-ES\n");
	else
		ksft_test_result_skip("refused: SEV-ES\n");
	if (linux_guest_sev_supported(KVM_X86_SNP_VM))
		ksft_test_result(refuse_snp(), "refused: SEV-SNP\n");
	else
		ksft_test_result_skip("refused: SEV-SNP\n");
}

static void sending_process(pid_t other)
{
	bool ok, lives;
	int i, status;

	test_policies();
	set_step("sender", 0);
	sev_stress_create(stress, false);
	lives = check(sev_stress_boot(stress));
	for (i = 0; i < nr_refusals; i++) {
		set_step("sender", i);
		ok = lives && refuse(&refusals[i], &lives);
		ksft_test_result(ok, "refused: %s\n", refusals[i].name);
	}
	set_step("sender", nr_refusals);
	ok = lives && send_guest();
	/* If something failed, the other process still waits. */
	for (i = 0; i <= nr_refusals; i++)
		end_stream(i);
	ok &= waitpid(other, &status, 0) == other && !status;
	ksft_test_result(ok, "the guest is migrated after all\n");
	sev_stress_free(stress);
}

int main(int argc, char *argv[])
{
	pid_t other;
	bool ok;

	linux_guest_parse_options(&options, argc, argv);
	if (nr_refusals > ARRAY_SIZE(refusals))
		linux_guest_usage(&options);
	__TEST_REQUIRE(options.nr_modules, "no module for the guest, see -m");
	linux_guest_require_kernel(&options);
	__TEST_REQUIRE(linux_guest_sev_supported(KVM_X86_SEV_VM), "KVM has no SEV VMs");

	*stress = (struct sev_stress_guest) {
		.kernel = options.kernel,
		.module = options.modules[0],
		.steps = "wait",
		.vm_type = KVM_X86_SEV_VM,
		.seconds = options.seconds,
	};
	ksft_print_header();
	ksft_set_plan(nr_refusals + 6);

	other = linux_guest_fork(here.sockets, ARRAY_SIZE(here.sockets));
	if (!other) {
		ok = receiving_process();
		fflush(stdout);
		_exit(!ok);
	}
	sending_process(other);
	ksft_finished();
}
