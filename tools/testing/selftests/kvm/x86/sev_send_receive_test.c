// SPDX-License-Identifier: GPL-2.0-only
/*
 * Send memory of an SEV VM to another VM of this host, and export what the other
 * host has to know: commands of the security processor (PSP) with buffers that the driver
 * has to give to it and to take back on an SNP host.
 *
 * With -f, on a machine on which RMPUPDATE fails at random: no failure may be the
 * last thing that the PSP's driver does, and none the host's.
 */
#include <fcntl.h>
#include <linux/sizes.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "test_util.h"

#define NR_PAGES	3

/* With -f: one command in ten or so fails. */
#define NR_LAUNCHED	100

/* Sizes by the SEV API, and the most that the driver takes. */
#define HEADER_SIZE	0x34
#define SESSION_SIZE	0x80
#define MAX_SIZE	SZ_16K

struct packet {
	u8 header[HEADER_SIZE];
	u8 data[PAGE_SIZE];
};

/* What a host tells of itself. */
struct platform {
	u8 pdh[MAX_SIZE];
	u8 chain[MAX_SIZE];
	u32 pdh_size;
	u32 chain_size;
};

struct session {
	u8 data[SESSION_SIZE];
	u32 policy;
};

static int sev_fd;

/* Returns an errno. */
static int issue(u32 id, void *data)
{
	struct sev_issue_cmd cmd = { .cmd = id, .data = (u64)data };

	return ioctl(sev_fd, SEV_ISSUE_CMD, &cmd) ? errno : 0;
}

/* Returns an errno; *@status is the PSP's. */
static int vm_command(struct kvm_vm *vm, u32 id, void *data, u32 *status)
{
	struct kvm_sev_cmd cmd = { .id = id, .data = (u64)data, .sev_fd = sev_fd };
	int err = ioctl(vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd) ? errno : 0;

	*status = cmd.error;
	return err;
}

static bool ok(const char *what, int err, u32 status)
{
	if (err)
		ksft_print_msg("%s: errno %d, the PSP says 0x%x\n", what, err, status);
	return !err;
}

/* A larger buffer has the same in it, and nothing behind. */
static bool same_id(u32 size)
{
	static u8 wanted[MAX_SIZE], id[MAX_SIZE];
	struct sev_user_data_get_id2 get = {};
	u32 id_size, i;
	int err;

	/* It says how long it is. */
	issue(SEV_GET_ID2, &get);
	id_size = get.length;
	get.address = (u64)wanted;
	if (!id_size || id_size > SZ_4K || !ok("GET_ID2", issue(SEV_GET_ID2, &get), 0))
		return false;

	memset(id, 0xaa, sizeof(id));
	get = (struct sev_user_data_get_id2) { .address = (u64)id, .length = size };
	err = issue(SEV_GET_ID2, &get);
	if (!ok("GET_ID2", err, 0))
		return false;
	for (i = 0; i < sizeof(id); i++) {
		if (id[i] != (i < id_size ? wanted[i] : 0xaa)) {
			ksft_print_msg("byte %u of the ID is 0x%x, with a buffer of %u bytes\n",
				       i, id[i], size);
			return false;
		}
	}
	return get.length == id_size;
}

static bool read_platform(struct platform *p, u32 pdh_size, u32 chain_size)
{
	struct sev_user_data_pdh_cert_export export = {
		.pdh_cert_address = (u64)p->pdh,
		.pdh_cert_len = pdh_size,
		.cert_chain_address = (u64)p->chain,
		.cert_chain_len = chain_size,
	};
	int err;

	memset(p, 0, sizeof(*p));
	err = issue(SEV_PDH_CERT_EXPORT, &export);
	p->pdh_size = export.pdh_cert_len;
	p->chain_size = export.cert_chain_len;
	return ok("PDH_CERT_EXPORT", err, 0);
}

static bool same_platform(const struct platform *wanted)
{
	static struct platform p;

	if (!read_platform(&p, MAX_SIZE, MAX_SIZE))
		return false;
	if (!memcmp(&p, wanted, sizeof(p)))
		return true;
	ksft_print_msg("the certificates are others with buffers of %u bytes\n", MAX_SIZE);
	return false;
}

static bool send_start(struct kvm_vm *vm, const struct platform *to, struct session *session)
{
	u8 none[1] = {};
	struct kvm_sev_send_start start = {
		.pdh_cert_uaddr = (u64)to->pdh,
		.pdh_cert_len = to->pdh_size,
		.plat_certs_uaddr = (u64)to->chain,
		.plat_certs_len = to->chain_size,
		/* KVM wants some, even if the PSP does not look at them. */
		.amd_certs_uaddr = (u64)none,
		.amd_certs_len = sizeof(none),
		.session_uaddr = (u64)session->data,
		.session_len = sizeof(session->data),
	};
	u32 status;
	int err;

	err = vm_command(vm, KVM_SEV_SEND_START, &start, &status);
	session->policy = start.policy;
	return ok("SEND_START", err, status);
}

static bool send_page(struct kvm_vm *vm, void *page, struct packet *packet)
{
	struct kvm_sev_send_update_data update = {
		.hdr_uaddr = (u64)packet->header,
		.hdr_len = sizeof(packet->header),
		.guest_uaddr = (u64)page,
		.guest_len = PAGE_SIZE,
		.trans_uaddr = (u64)packet->data,
		.trans_len = sizeof(packet->data),
	};
	u32 status;
	int err;

	err = vm_command(vm, KVM_SEV_SEND_UPDATE_DATA, &update, &status);
	return ok("SEND_UPDATE_DATA", err, status);
}

static bool receive_start(struct kvm_vm *vm, const struct platform *from,
			  const struct session *session)
{
	struct kvm_sev_receive_start start = {
		.policy = session->policy,
		.pdh_uaddr = (u64)from->pdh,
		.pdh_len = from->pdh_size,
		.session_uaddr = (u64)session->data,
		.session_len = sizeof(session->data),
	};
	u32 status;
	int err;

	err = vm_command(vm, KVM_SEV_RECEIVE_START, &start, &status);
	return ok("RECEIVE_START", err, status);
}

static int receive_page(struct kvm_vm *vm, void *page, const struct packet *packet, u32 *status)
{
	struct kvm_sev_receive_update_data update = {
		.hdr_uaddr = (u64)packet->header,
		.hdr_len = sizeof(packet->header),
		.guest_uaddr = (u64)page,
		.guest_len = PAGE_SIZE,
		.trans_uaddr = (u64)packet->data,
		.trans_len = sizeof(packet->data),
	};

	return vm_command(vm, KVM_SEV_RECEIVE_UPDATE_DATA, &update, status);
}

static bool received(struct kvm_vm *vm, void *page, const struct packet *packet)
{
	u32 status;
	int err = receive_page(vm, page, packet, &status);

	return ok("RECEIVE_UPDATE_DATA", err, status);
}

/* The one of another page, or whose MAC is wrong. */
static bool refused(struct kvm_vm *vm, void *page, const struct packet *packet)
{
	u32 status;
	int err = receive_page(vm, page, packet, &status);

	if (err == EIO && status == SEV_RET_BAD_MEASUREMENT)
		return true;
	ksft_print_msg("RECEIVE_UPDATE_DATA: errno %d, the PSP says 0x%x\n", err, status);
	return false;
}

static bool has(struct kvm_vm *vm, void *page, u8 byte)
{
	u8 plain[PAGE_SIZE];
	int i;

	sev_decrypt_memory(vm, plain, page, sizeof(plain));
	for (i = 0; i < sizeof(plain); i++) {
		if (plain[i] != byte) {
			ksft_print_msg("byte %d is 0x%x, not 0x%x\n", i, plain[i], byte);
			return false;
		}
	}
	return true;
}

static u8 byte_of(int page)
{
	return 0x11 * (page + 1);
}

static void send_and_receive(const struct platform *host)
{
	static u8 pages[NR_PAGES][PAGE_SIZE] __aligned(PAGE_SIZE);
	static struct packet packets[NR_PAGES];
	struct session session;
	struct kvm_vm *from, *to;
	struct kvm_vcpu *vcpu;
	bool good;
	u8 *data;
	int i;

	from = vm_sev_create_with_one_vcpu(KVM_X86_SEV_VM, NULL, &vcpu);
	data = addr_gva2hva(from, vm_alloc(from, sizeof(pages), KVM_UTIL_MIN_VADDR));
	for (i = 0; i < NR_PAGES; i++)
		memset(data + i * PAGE_SIZE, byte_of(i), PAGE_SIZE);
	vm_sev_launch(from, 0, NULL);
	to = vm_create_barebones_type(KVM_X86_SEV_VM);
	sev_vm_init(to);

	good = send_start(from, host, &session) && receive_start(to, host, &session);
	for (i = 0; i < NR_PAGES && good; i++)
		good = send_page(from, data + i * PAGE_SIZE, &packets[i]);
	for (i = 0; i < NR_PAGES && good; i++)
		good = received(to, pages[i], &packets[i]);
	for (i = 0; i < NR_PAGES && good; i++)
		good = has(to, pages[i], byte_of(i));
	ksft_test_result(good, "pages arrive in another VM\n");

	/* It does not say which page it is, so that is up to whoever carries it. */
	good = good && received(to, pages[0], &packets[1]) && has(to, pages[0], byte_of(1)) &&
	       received(to, pages[1], &packets[0]) && has(to, pages[1], byte_of(0));
	ksft_test_result(good, "taken: a packet in the place of another\n");
	good = good && received(to, pages[0], &packets[0]) && has(to, pages[0], byte_of(0));
	ksft_test_result(good, "taken: a packet that comes again\n");

	packets[1].data[100] ^= 1;
	good = good && refused(to, pages[1], &packets[1]);
	packets[1].data[100] ^= 1;
	memcpy(packets[2].header, packets[1].header, sizeof(packets[2].header));
	good = good && refused(to, pages[2], &packets[2]) &&
	       /* They have done nothing. */
	       has(to, pages[1], byte_of(0)) && has(to, pages[2], byte_of(2));
	ksft_test_result(good, "refused: a packet that was changed\n");

	kvm_vm_free(to);
	kvm_vm_free(from);
}

/* How often the kernel's log has @words. */
static int count_log(const char *words)
{
	int nr = 0, log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	char line[8192];
	ssize_t size;

	TEST_ASSERT(log >= 0, "/dev/kmsg: errno %d", errno);
	while ((size = read(log, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		line[max_t(ssize_t, size, 0)] = '\0';
		nr += !!strstr(line, words);
	}
	close(log);
	return nr;
}

static int launch_page(struct kvm_vm *vm)
{
	struct kvm_sev_launch_update_data update = { .len = PAGE_SIZE };
	void *page = kvm_mmap(PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	u32 status;
	int err;

	memset(page, 1, PAGE_SIZE);
	update.uaddr = (u64)page;
	err = vm_command(vm, KVM_SEV_LAUNCH_UPDATE_DATA, &update, &status);
	kvm_munmap(page, PAGE_SIZE);
	return err;
}

/* Whoever is given a page that is not the host's dies of it. */
static void write_all_memory(void)
{
	size_t i, size = sysconf(_SC_AVPHYS_PAGES) * PAGE_SIZE / 100 * 85;
	u8 *memory;

	memory = kvm_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (i = 0; i < size; i += PAGE_SIZE)
		memory[i] = 1;
	kvm_munmap(memory, size);
}

static void get_over_failures(void)
{
	struct kvm_sev_launch_start start = {};
	int i, nr_unprepared, err = 0;
	struct kvm_vm *vm;
	u32 status;

	vm = vm_create_barebones_type(KVM_X86_SEV_VM);
	sev_vm_init(vm);
	for (i = 0; i < 10; i++) {
		err = vm_command(vm, KVM_SEV_LAUNCH_START, &start, &status);
		if (!err)
			break;
	}
	TEST_ASSERT(!err, "No VM, errno %d", err);

	for (i = 0; i < NR_LAUNCHED && err != EBUSY; i++)
		err = launch_page(vm);
	nr_unprepared = count_log("failed to prepare buffer for legacy command");
	ksft_print_msg("page %d: errno %d; %d commands could not be prepared\n", i, err,
		       nr_unprepared);
	ksft_test_result(nr_unprepared > 2 && err != EBUSY,
			 "commands after those that could not be prepared\n");
	kvm_vm_free(vm);
	write_all_memory();
	ksft_test_result_pass("the memory that is left is the host's\n");
}

int main(int argc, char *argv[])
{
	static struct platform host;
	bool faults = argc == 2 && !strcmp(argv[1], "-f");

	if (argc > 1 && !faults) {
		fprintf(stderr, "usage: %s [-f]\n", argv[0]);
		return KSFT_FAIL;
	}
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SEV_VM));
	sev_fd = open_sev_dev_path_or_exit();

	ksft_print_header();
	ksft_set_plan(faults ? 2 : 6);
	if (faults) {
		get_over_failures();
		ksft_finished();
	}
	ksft_test_result(same_id(SZ_4K) && same_id(SZ_8K) && same_id(MAX_SIZE),
			 "an ID in larger buffers\n");
	ksft_test_result(read_platform(&host, SZ_4K, SZ_8K) && same_platform(&host),
			 "certificates in larger buffers\n");
	send_and_receive(&host);
	ksft_finished();
}
