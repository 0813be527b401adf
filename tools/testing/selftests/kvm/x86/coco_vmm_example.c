// SPDX-License-Identifier: GPL-2.0-only
/*
 * An example of a VMM that handles the exits of KVM_CAP_COCO_EXITS, with nothing
 * but ioctls, see 7.48 in Documentation/virt/kvm/api.rst, and a test of them.
 *
 * The guest makes the TDVMCALLs of a list, and keeps in the list what it got.
 * After each one it writes EAX to an I/O port, and the VMM compares the registers
 * in the list with the documentation.
 */
#include <assert.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/kvm_coco.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest.h"

/* Guest memory: one memslot, all of it is shared, identity-mapped. */
#define MEM_SIZE	0x200000
#define PML4_GPA	0x1000
#define PDPT_GPA	0x2000
#define PD_GPA		0x3000
#define CODE_GPA	0x4000
#define LIST_GPA	0x5000
#define QUOTE_GPA	0x6000
#define QUOTE_SIZE	0x2000
#define INFO_GPA	0x8000

/* GHCI specification: leaves and status codes of TDG.VP.VMCALL */
#define GET_TD_VM_CALL_INFO	0x10000
#define GET_QUOTE		0x10002
#define REPORT_FATAL_ERROR	0x10003
#define SETUP_EVENT_NOTIFY	0x10004
#define UNKNOWN_LEAF		0x1ffff

#define SUCCESS			0ULL
#define RETRY			1ULL
#define SUBFUNC_UNSUPPORTED	0x8000000000000003ULL

/* GHCI specification: the buffer of GetQuote */
struct quote_buffer {
	__u64 version;
	__u64 status;
	__u32 in_len;
	__u32 out_len;
	__u8 data[];
};

/* What the guest passes. */
#define SHARED		((__u64)1 << KVM_SW_TDVMCALL_SHARED_BIT)
#define VECTOR		0x51
#define ERROR_CODE	0x1234567800000042ULL
#define HAS_INFO_GPA	((__u64)1 << 63)

/* 64 bytes, i.e. there is no room for a NUL, and not all are printable. */
static const char message[] = "example: \x1b[31mfatal\x1b[0m error\r\n"
			      "with all of the sixty-four bytes!";
static_assert(sizeof(message) - 1 == 64, "not all registers are used");

static const char quote[] = "a quote";

/* In the order in which the guest pops them; WATCHED is an address in RBP. */
enum { WATCHED, RAX, R10, R11, R12, R13, R14, R15, RBX, RDX, RSI, RDI, R8, R9, NR_REGS };

static const char * const reg_names[NR_REGS] = {
	"*RBP", "RAX", "R10", "R11", "R12", "R13", "R14", "R15",
	"RBX", "RDX", "RSI", "RDI", "R8", "R9",
};

enum { INFO, QUOTE, QUOTE_AGAIN, EVENT_NOTIFY, UNKNOWN, FATAL, NR_CALLS };

static const struct {
	const char *name;
	__u64 in[NR_REGS];
	__u32 exit_reason;	/* 0 if KVM answers itself */
	__u64 status;
} calls[NR_CALLS] = {
	[INFO] = { "GetTdVmCallInfo, leaf 1",
		   { [R11] = GET_TD_VM_CALL_INFO, [R12] = 1 },
		   KVM_EXIT_TDX, SUCCESS },
	[QUOTE] = { "GetQuote",
		    { [R11] = GET_QUOTE, [R12] = SHARED | QUOTE_GPA, [R13] = QUOTE_SIZE },
		    KVM_EXIT_COCO_GET_QUOTE, SUCCESS },
	[QUOTE_AGAIN] = { "GetQuote, asked to try again",
			  { [R11] = GET_QUOTE, [R12] = SHARED | QUOTE_GPA, [R13] = QUOTE_SIZE },
			  KVM_EXIT_COCO_GET_QUOTE, RETRY },
	[EVENT_NOTIFY] = { "SetupEventNotifyInterrupt",
			   { [R11] = SETUP_EVENT_NOTIFY, [R12] = VECTOR },
			   KVM_EXIT_COCO_SETUP_EVENT_NOTIFY, SUCCESS },
	[UNKNOWN] = { "a leaf that KVM does not know",
		      { [R11] = UNKNOWN_LEAF },
		      0, SUBFUNC_UNSUPPORTED },
	[FATAL] = { "ReportFatalError",
		    { [R11] = REPORT_FATAL_ERROR, [R12] = HAS_INFO_GPA | ERROR_CODE,
		      [R13] = SHARED | INFO_GPA },
		    KVM_EXIT_COCO_FATAL_ERROR },
};

/* Where the message is, see ReportFatalError. */
static const int message_regs[] = { R14, R15, RBX, RDI, RSI, R8, R9, RDX };

/*
 * RSP points to the registers of a call.  The pushes put all of them back where
 * they came from, and in place of the address in RBP what it points to.  Nothing
 * else uses the stack: there are no interrupts, and any exception is a shutdown.
 */
#define PORT	0xe9
extern const char guest_start[], guest_vmcall[], guest_end[];
asm(".pushsection .rodata\n"
	"guest_start:\n"
	"	pop %rbp; pop %rax; pop %r10; pop %r11; pop %r12; pop %r13; pop %r14\n"
	"	pop %r15; pop %rbx; pop %rdx; pop %rsi; pop %rdi; pop %r8; pop %r9\n"
	"guest_vmcall:\n"
	"	vmcall\n"
	"	push %r9; push %r8; push %rdi; push %rsi; push %rdx; push %rbx; push %r15\n"
	"	push %r14; push %r13; push %r12; push %r11; push %r10; push %rax\n"
	"	pushq (%rbp)\n"
	"	outl %eax, $0xe9\n"
	"	add $14 * 8, %rsp\n"
	"	jmp guest_start\n"
	"guest_end:\n"
	".popsection\n");
static_assert(NR_REGS == 14 && PORT == 0xe9, "numbers in guest code");

static __u8 *mem;
static struct kvm_run *run;
static int vm_fd, vcpu_fd;

/* The vector that the guest has asked for, once it has. */
static __u32 event_vector;
static int nr_quotes;

/* Whether what the guest asked for in this call is what the list says. */
static bool args_ok;

static int do_ioctl(int fd, unsigned long nr, void *arg, const char *name)
{
	int r = ioctl(fd, nr, arg);

	if (r < 0)
		ksft_exit_fail_perror(name);
	return r;
}

#define DO_IOCTL(fd, nr, arg) do_ioctl(fd, nr, (void *)(arg), #nr)

/* Registers that do not matter are not 0 either, so that a change is seen. */
static __u64 guest_input(int call, int reg)
{
	if (reg == WATCHED)
		return QUOTE_GPA + offsetof(struct quote_buffer, data);
	if (reg == RAX)
		return KVM_HC_SW_TDVMCALL;
	if (reg == R10)
		return 0;
	return calls[call].in[reg] ?: 0x5a5a5a5a00000000ULL + call * NR_REGS + reg;
}

static void setup_guest_memory(bool is_amd)
{
	static const char vmmcall[] = { 0x0f, 0x01, 0xd9 };
	struct kvm_userspace_memory_region slot = { .memory_size = MEM_SIZE };
	__u64 (*list)[NR_REGS];
	int i, r;

	mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		ksft_exit_fail_perror("mmap of guest memory");
	slot.userspace_addr = (unsigned long)mem;
	DO_IOCTL(vm_fd, KVM_SET_USER_MEMORY_REGION, &slot);

	/* One 2MiB page.  Only addresses in TDVMCALLs have the shared bit. */
	*(__u64 *)(mem + PML4_GPA) = PDPT_GPA | 0x3;	/* present, writable */
	*(__u64 *)(mem + PDPT_GPA) = PD_GPA | 0x3;
	*(__u64 *)(mem + PD_GPA) = 0x0 | 0x83;		/* 2MiB, present, writable */

	memcpy(mem + CODE_GPA, guest_start, guest_end - guest_start);
	if (is_amd)
		memcpy(mem + CODE_GPA + (guest_vmcall - guest_start), vmmcall, sizeof(vmmcall));

	list = (void *)(mem + LIST_GPA);
	for (i = 0; i < NR_CALLS; i++)
		for (r = 0; r < NR_REGS; r++)
			list[i][r] = guest_input(i, r);
	for (i = 0; i < ARRAY_SIZE(message_regs); i++)
		memcpy(&list[FATAL][message_regs[i]], message + i * 8, 8);
}

/* Start in 64-bit mode, with flat segments. */
static void setup_registers(void)
{
	struct kvm_segment code = {
		.selector = 0x8, .limit = ~0U, .type = 0xb, .present = 1, .s = 1, .l = 1, .g = 1,
	};
	struct kvm_segment data = {
		.selector = 0x10, .limit = ~0U, .type = 0x3, .present = 1, .s = 1, .db = 1, .g = 1,
	};
	struct kvm_regs regs = { .rip = CODE_GPA, .rsp = LIST_GPA, .rflags = 0x2 };
	struct kvm_sregs sregs;

	DO_IOCTL(vcpu_fd, KVM_GET_SREGS, &sregs);
	sregs.cs = code;
	sregs.ss = data;
	sregs.ds = data;
	sregs.es = data;
	sregs.idt.limit = 0;
	sregs.cr3 = PML4_GPA;
	sregs.cr0 = 0x80000031;		/* PG, NE, ET, PE */
	sregs.cr4 = 0x20;		/* PAE */
	sregs.efer = 0x500;		/* LMA, LME */
	DO_IOCTL(vcpu_fd, KVM_SET_SREGS, &sregs);
	DO_IOCTL(vcpu_fd, KVM_SET_REGS, &regs);
}

/* Returns whether the guest has a CPU of AMD or Hygon, i.e. with VMMCALL. */
static bool get_cpuid(int kvm_fd, struct kvm_cpuid2 *cpuid)
{
	int i;

	DO_IOCTL(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid);
	for (i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function)
			continue;
		return !memcmp(&cpuid->entries[i].ebx, "Auth", 4) ||
		       !memcmp(&cpuid->entries[i].ebx, "Hygo", 4);
	}
	ksft_exit_fail_msg("KVM_GET_SUPPORTED_CPUID has no vendor\n");
}

static void setup(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_COCO_EXITS };
	struct kvm_cpuid2 *cpuid;
	int kvm_fd, ops, size;
	bool is_amd;

	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0)
		ksft_exit_skip("/dev/kvm: %s\n", strerror(errno));
	ops = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);
	if (ops < 0 || !(ops & (1 << KVM_X86_SW_PROTECTED_VM)))
		ksft_exit_skip("no VMs of type KVM_X86_SW_PROTECTED_VM\n");

	vm_fd = DO_IOCTL(kvm_fd, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	ops = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_COCO_EXITS);
	if (ops <= 0)
		ksft_exit_skip("no KVM_CAP_COCO_EXITS\n");

	/* Enable what this VMM handles.  A VM of this type supports all of it. */
	cap.args[0] = KVM_COCO_EXIT_GET_QUOTE | KVM_COCO_EXIT_SETUP_EVENT_NOTIFY |
		      KVM_COCO_EXIT_FATAL_ERROR;
	if (cap.args[0] & ~ops)
		ksft_exit_fail_msg("KVM_CAP_COCO_EXITS lacks operations: 0x%x\n", ops);
	DO_IOCTL(vm_fd, KVM_ENABLE_CAP, &cap);

	cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));
	if (!cpuid)
		ksft_exit_fail_perror("calloc");
	cpuid->nent = 256;
	is_amd = get_cpuid(kvm_fd, cpuid);
	setup_guest_memory(is_amd);

	/* The capability cannot be enabled after this. */
	vcpu_fd = DO_IOCTL(vm_fd, KVM_CREATE_VCPU, 0);
	DO_IOCTL(vcpu_fd, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	setup_registers();

	size = DO_IOCTL(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
	if (run == MAP_FAILED)
		ksft_exit_fail_perror("mmap of struct kvm_run");
}

static void handle_get_quote(struct kvm_coco_get_quote *req)
{
	struct quote_buffer *buffer;

	args_ok = req->ret == EOPNOTSUPP && !req->flags &&
		  req->gpa == QUOTE_GPA && req->size == QUOTE_SIZE;

	if (req->size > MEM_SIZE || req->gpa > MEM_SIZE - req->size) {
		/* There need not be memory, this is for the VMM to check. */
		req->ret = EINVAL;
	} else if (nr_quotes++) {
		req->ret = EAGAIN;
	} else {
		/* Others have a thread for that, which sends event_vector at the end. */
		buffer = (void *)(mem + req->gpa);
		memcpy(buffer->data, quote, sizeof(quote));
		buffer->out_len = sizeof(quote);
		buffer->status = 0;
		req->ret = 0;
	}
}

static void handle_event_notify(struct kvm_coco_setup_event_notify *req)
{
	args_ok = req->ret == EOPNOTSUPP && !req->flags && !req->reserved &&
		  req->vector == VECTOR;
	event_vector = req->vector;
	req->ret = 0;
}

static void handle_fatal_error(struct kvm_coco_fatal_error *req)
{
	char text[4 * KVM_COCO_FATAL_ERROR_MESSAGE_SIZE + 1];
	int i, len = 0;

	args_ok = req->flags == KVM_COCO_FATAL_ERROR_GPA_VALID && !req->reserved &&
		  req->error_code == ERROR_CODE && req->gpa == INFO_GPA &&
		  !memcmp(req->message, message, 64);
	for (i = 64; i < KVM_COCO_FATAL_ERROR_MESSAGE_SIZE; i++)
		args_ok &= !req->message[i];

	/* Printable ASCII is all that gets to the terminal, and no backslash. */
	for (i = 0; i < KVM_COCO_FATAL_ERROR_MESSAGE_SIZE && req->message[i]; i++) {
		__u8 c = req->message[i];

		len += sprintf(text + len, c < ' ' || c > '~' || c == '\\' ? "\\x%02x" : "%c", c);
	}
	text[len] = 0;
	ksft_print_msg("fatal error, event vector 0x%x, code 0x%x, extended code 0x%x: %s\n",
		       event_vector, (__u32)req->error_code, (__u32)(req->error_code >> 32), text);
}

/* The guest says that a call has returned: are the registers as documented? */
static bool results_ok(int call)
{
	__u64 *out = (__u64 *)(mem + LIST_GPA) + call * NR_REGS;
	__u64 want[NR_REGS];
	bool ok = true;
	int r;

	for (r = 0; r < NR_REGS; r++)
		want[r] = guest_input(call, r);
	want[RAX] = 0;
	want[R10] = calls[call].status;
	if (call == INFO) {
		want[R11] = 0x3;	/* GetQuote and SetupEventNotifyInterrupt */
		want[R12] = 0;
		want[R13] = 0;
		want[R14] = 0;
	}
	want[WATCHED] = 0;
	if (call >= QUOTE)
		memcpy(&want[WATCHED], quote, sizeof(quote));

	for (r = 0; r < NR_REGS; r++) {
		if (out[r] == want[r])
			continue;
		ksft_print_msg("%s: %s is 0x%llx, not 0x%llx\n", calls[call].name,
			       reg_names[r], out[r], want[r]);
		ok = false;
	}
	return ok;
}

int main(void)
{
	/* Two for each call, and as many again in case of signals. */
	int call = 0, runs_left = 4 * NR_CALLS;
	__u32 exit_reason = 0;
	bool answered = false;

	ksft_print_header();
	alarm(30);
	setup();
	ksft_set_plan(NR_CALLS);

	args_ok = true;
	while (call < NR_CALLS) {
		if (!runs_left--)
			ksft_exit_fail_msg("%s: the guest does not come to an end\n",
					   calls[call].name);

		if (ioctl(vcpu_fd, KVM_RUN, 0) < 0) {
			if (errno != EINTR && (errno != EINVAL || !answered))
				ksft_exit_fail_perror("KVM_RUN");
			/* EINVAL is a bug of this VMM.  KVM has preset a valid answer. */
			args_ok &= errno == EINTR;
			answered = false;
			continue;
		}

		answered = true;
		switch (run->exit_reason) {
		case KVM_EXIT_COCO_GET_QUOTE:
			handle_get_quote(&run->coco_get_quote);
			break;
		case KVM_EXIT_COCO_SETUP_EVENT_NOTIFY:
			handle_event_notify(&run->coco_setup_event_notify);
			break;
		case KVM_EXIT_TDX:
			/*
			 * A call without an exit of its own: KVM has preset what says
			 * that this VMM has nothing to add, and adds the calls that it
			 * has exits for.
			 */
			break;
		case KVM_EXIT_COCO_FATAL_ERROR:
			/* The guest does not run again, i.e. there is no answer. */
			handle_fatal_error(&run->coco_fatal_error);
			ksft_test_result(args_ok && !exit_reason && call == FATAL, "%s\n",
					 calls[call].name);
			ksft_finished();
		case KVM_EXIT_IO:
			if (run->io.port != PORT)
				ksft_exit_fail_msg("port 0x%x\n", run->io.port);
			answered = false;
			ksft_test_result(results_ok(call) && args_ok &&
					 exit_reason == calls[call].exit_reason, "%s\n",
					 calls[call].name);
			call++;
			args_ok = true;
			exit_reason = 0;
			continue;
		default:
			ksft_exit_fail_msg("%s: unexpected exit reason %u\n", calls[call].name,
					   run->exit_reason);
		}

		/* No call has two exits. */
		args_ok &= !exit_reason;
		exit_reason = run->exit_reason;
	}
	ksft_finished();
}
