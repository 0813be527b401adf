// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM has to do about the requests of a confidential guest, see
 * coco_exits_model.h.
 */
#include <asm/kvm_para.h>
#include <errno.h>
#include <linux/kvm_para.h>

#include "coco_exits_model.h"
#include "test_util.h"

#define MODEL_SUCCESS			0ull
#define MODEL_RETRY			1ull
#define MODEL_INVALID_OPERAND		0x8000000000000000ull
#define MODEL_ALIGN_ERROR		0x8000000000000002ull
#define MODEL_UNSUPPORTED		0x8000000000000003ull

#define MODEL_GPA_VALID			BIT_ULL(63)
#define MODEL_PAGE			0x1000ull
#define MODEL_PAGES_2M			512ull

#define MODEL_GP_VECTOR			13

#define MODEL_EXIT_REASON_TDCALL	77

#define MODEL_TDVMCALL_EXITS	(KVM_COCO_EXIT_GET_QUOTE | KVM_COCO_EXIT_SETUP_EVENT_NOTIFY | \
				 KVM_COCO_EXIT_FATAL_ERROR)

/* Only for where its fields are. */
static const struct kvm_run in_run;

static void model_show(struct model *m, const void *field, size_t size, u64 value)
{
	m->fields[m->nr_fields++] = (struct model_field) {
		.offset = (const u8 *)field - (const u8 *)&in_run,
		.size = size,
		.value = value,
	};
}

static void show32(struct model *m, const __u32 *field, u32 value)
{
	model_show(m, field, sizeof(*field), value);
}

static void show64(struct model *m, const __u64 *field, u64 value)
{
	model_show(m, field, sizeof(*field), value);
}

static void model_exit(struct model *m, u32 reason, u64 preset)
{
	m->state = MODEL_ASKS;
	m->reason = reason;
	m->preset = preset;
	m->nr_fields = 0;
}

static bool model_is_td(const struct model *m)
{
	return m->vm_type == KVM_X86_TDX_VM;
}

/* The first address that the guest cannot have. */
static u64 model_limit(const struct model *m)
{
	u64 limit = BIT_ULL(m->maxphyaddr);

	return model_is_td(m) && limit > m->shared_bit ? m->shared_bit : limit;
}

static bool model_fits(const struct model *m, u64 gpa, u64 size)
{
	u64 limit = model_limit(m);

	return size && gpa < limit && size <= limit - gpa;
}

static bool model_is_page_aligned(u64 value)
{
	return !(value % MODEL_PAGE);
}

bool model_enable_exits(struct model *m, u64 bitmap, u64 other_args, u64 flags)
{
	u64 supported = MODEL_ANY_EXITS;

	/* A TD has no such MSR. */
	if (model_is_td(m)) {
		supported |= MODEL_TDVMCALL_EXITS;
		supported &= ~(u64)KVM_COCO_EXIT_MIGRATION_CONTROL;
	}
	if ((bitmap & ~supported) || other_args || flags || m->has_vcpu)
		return false;
	m->exits = bitmap;
	return true;
}

static bool model_owns_msr(const struct model *m)
{
	return m->exits & KVM_COCO_EXIT_MIGRATION_CONTROL;
}

int model_set_msr(struct model *m, u64 value)
{
	/* What KVM does not know may be restored as 0. */
	if (!model_owns_msr(m))
		return !value;
	if (value & ~(u64)KVM_MIGRATION_READY)
		return 0;
	m->msr = value;
	return 1;
}

u64 model_get_msr(const struct model *m)
{
	return model_owns_msr(m) ? m->msr : 0;
}

/* TDVMCALLs */

static void model_return(struct model *m, u64 status, u64 r11, u64 r12, u64 r13, u64 r14)
{
	m->state = MODEL_RUNS;
	if (m->is_moved)
		return;
	m->regs.rax = 0;
	m->regs.r10 = status;
	m->regs.r11 = r11;
	m->regs.r12 = r12;
	m->regs.r13 = r13;
	m->regs.r14 = r14;
	m->regs.rip += MODEL_INSN_SIZE;
}

/* Where there is no result, the guest finds what it passed. */
static void model_end_tdvmcall(struct model *m, u64 status)
{
	model_return(m, status, m->args.r11, m->args.r12, m->args.r13, m->args.r14);
}

static void model_get_info(struct model *m)
{
	if (m->args.r12 > 1)
		return model_end_tdvmcall(m, MODEL_INVALID_OPERAND);
	if (!m->args.r12)
		return model_return(m, MODEL_SUCCESS, 0, 0, 0, 0);

	model_exit(m, KVM_EXIT_TDX, MODEL_SUCCESS);
	show64(m, &in_run.tdx.flags, 0);
	show64(m, &in_run.tdx.nr, m->args.r11);
	show64(m, &in_run.tdx.get_tdvmcall_info.ret, MODEL_SUCCESS);
	show64(m, &in_run.tdx.get_tdvmcall_info.leaf, 1);
	show64(m, &in_run.tdx.get_tdvmcall_info.r11, 0);
	show64(m, &in_run.tdx.get_tdvmcall_info.r12, 0);
	show64(m, &in_run.tdx.get_tdvmcall_info.r13, 0);
	show64(m, &in_run.tdx.get_tdvmcall_info.r14, 0);
}

/* The guest can use what userspace says, and what has an exit. */
static void model_answer_info(struct model *m, u64 ret, u64 data)
{
	u64 info = data;

	info |= m->exits & KVM_COCO_EXIT_GET_QUOTE ? BIT_ULL(0) : 0;
	info |= m->exits & KVM_COCO_EXIT_SETUP_EVENT_NOTIFY ? BIT_ULL(1) : 0;
	model_return(m, ret, info, data, data, data);
}

static bool model_is_shared(const struct model *m, u64 gpa, u64 size)
{
	return (gpa & m->shared_bit) && model_is_page_aligned(gpa | size) &&
	       model_fits(m, gpa & ~m->shared_bit, size);
}

static void model_get_quote(struct model *m)
{
	u64 gpa = m->args.r12, size = m->args.r13;

	if (!(m->exits & KVM_COCO_EXIT_GET_QUOTE)) {
		/* Userspace checks. */
		if (!(gpa & m->shared_bit))
			return model_end_tdvmcall(m, MODEL_INVALID_OPERAND);
		model_exit(m, KVM_EXIT_TDX, MODEL_UNSUPPORTED);
		show64(m, &in_run.tdx.flags, 0);
		show64(m, &in_run.tdx.nr, m->args.r11);
		show64(m, &in_run.tdx.get_quote.ret, MODEL_UNSUPPORTED);
		show64(m, &in_run.tdx.get_quote.gpa, gpa & ~m->shared_bit);
		show64(m, &in_run.tdx.get_quote.size, size);
		return;
	}

	if (!model_is_shared(m, gpa, size))
		return model_end_tdvmcall(m, MODEL_INVALID_OPERAND);
	model_exit(m, KVM_EXIT_COCO_GET_QUOTE, EOPNOTSUPP);
	show32(m, &in_run.coco_get_quote.ret, EOPNOTSUPP);
	show32(m, &in_run.coco_get_quote.flags, 0);
	show64(m, &in_run.coco_get_quote.gpa, gpa & ~m->shared_bit);
	show64(m, &in_run.coco_get_quote.size, size);
}

static void model_setup_event_notify(struct model *m)
{
	u64 vector = m->args.r12;

	if (vector < 32 || vector > 255)
		return model_end_tdvmcall(m, MODEL_INVALID_OPERAND);

	if (!(m->exits & KVM_COCO_EXIT_SETUP_EVENT_NOTIFY)) {
		model_exit(m, KVM_EXIT_TDX, MODEL_UNSUPPORTED);
		show64(m, &in_run.tdx.flags, 0);
		show64(m, &in_run.tdx.nr, m->args.r11);
		show64(m, &in_run.tdx.setup_event_notify.ret, MODEL_UNSUPPORTED);
		show64(m, &in_run.tdx.setup_event_notify.vector, vector);
		return;
	}
	model_exit(m, KVM_EXIT_COCO_SETUP_EVENT_NOTIFY, EOPNOTSUPP);
	show32(m, &in_run.coco_setup_event_notify.ret, EOPNOTSUPP);
	show32(m, &in_run.coco_setup_event_notify.flags, 0);
	show32(m, &in_run.coco_setup_event_notify.vector, vector);
	show32(m, &in_run.coco_setup_event_notify.reserved, 0);
}

static void model_report_fatal_error(struct model *m)
{
	const struct kvm_regs *args = &m->args;
	const u64 message[] = {
		args->r14, args->r15, args->rbx, args->rdi,
		args->rsi, args->r8, args->r9, args->rdx, 0,
	};
	const u64 data[] = {
		/* How TDH.VP.ENTER ended: a TDCALL */
		MODEL_EXIT_REASON_TDCALL,
		args->rcx, args->rdx, args->rbx, 0, 0, args->rsi, args->rdi,
		args->r8, args->r9, args->r10, args->r11, args->r12, args->r13, args->r14,
		args->r15,
	};
	bool has_gpa;
	int i;

	if (!(m->exits & KVM_COCO_EXIT_FATAL_ERROR)) {
		/* There is no answer: R10 is what it was, i.e. 0. */
		model_exit(m, KVM_EXIT_SYSTEM_EVENT, 0);
		show32(m, &in_run.system_event.type, KVM_SYSTEM_EVENT_TDX_FATAL);
		show32(m, &in_run.system_event.ndata, ARRAY_SIZE(data));
		for (i = 0; i < ARRAY_SIZE(data); i++)
			show64(m, &in_run.system_event.data[i], data[i]);
		return;
	}

	has_gpa = (args->r12 & MODEL_GPA_VALID) && model_is_shared(m, args->r13, MODEL_PAGE);
	model_exit(m, KVM_EXIT_COCO_FATAL_ERROR, 0);
	show32(m, &in_run.coco_fatal_error.reserved, 0);
	show32(m, &in_run.coco_fatal_error.flags, has_gpa ? KVM_COCO_FATAL_ERROR_GPA_VALID : 0);
	show64(m, &in_run.coco_fatal_error.error_code, args->r12 & ~MODEL_GPA_VALID);
	show64(m, &in_run.coco_fatal_error.gpa, has_gpa ? args->r13 & ~m->shared_bit : 0);
	for (i = 0; i < ARRAY_SIZE(message); i++)
		model_show(m, in_run.coco_fatal_error.message + i * sizeof(u64), sizeof(u64),
			   message[i]);
}

/* Page status */

static bool model_has_range_exit(const struct model *m)
{
	return m->exits & KVM_COCO_EXIT_MAP_GPA_RANGE;
}

static bool model_can_map(const struct model *m)
{
	return m->has_hypercall_exits || model_has_range_exit(m);
}

/* Without an exit of its own, a TDVMCALL comes in parts that end where huge pages do. */
static u64 model_part_end(const struct model *m)
{
	u64 end = (m->gfn / MODEL_PAGES_2M + 1) * MODEL_PAGES_2M;

	return m->is_tdvmcall && end < m->end ? end : m->end;
}

static void model_show_hypercall(struct model *m, u64 ret)
{
	model_exit(m, KVM_EXIT_HYPERCALL, ret);
	show64(m, &in_run.hypercall.nr, KVM_HC_MAP_GPA_RANGE);
	show64(m, &in_run.hypercall.args[0], m->gfn * MODEL_PAGE);
	show64(m, &in_run.hypercall.args[1], model_part_end(m) - m->gfn);
	show64(m, &in_run.hypercall.args[2], m->attrs);
	show64(m, &in_run.hypercall.ret, ret);
	show64(m, &in_run.hypercall.flags, KVM_EXIT_HYPERCALL_LONG_MODE);
}

static void model_show_range(struct model *m)
{
	u32 flags = 0;

	if (!model_has_range_exit(m))
		return model_show_hypercall(m, 0);

	if (m->attrs & KVM_MAP_GPA_RANGE_ENCRYPTED)
		flags |= KVM_COCO_MAP_GPA_RANGE_PRIVATE;
	if (m->is_tdvmcall)
		flags |= KVM_COCO_MAP_GPA_RANGE_CAN_RETRY;
	model_exit(m, KVM_EXIT_COCO_MAP_GPA_RANGE, EOPNOTSUPP);
	show32(m, &in_run.coco_map_gpa_range.ret, EOPNOTSUPP);
	show32(m, &in_run.coco_map_gpa_range.flags, flags);
	show64(m, &in_run.coco_map_gpa_range.gpa, m->gfn * MODEL_PAGE);
	show64(m, &in_run.coco_map_gpa_range.size, (m->end - m->gfn) * MODEL_PAGE);
	show64(m, &in_run.coco_map_gpa_range.done, 0);
	show32(m, &in_run.coco_map_gpa_range.page_shift, 12 + 9 * (m->attrs & 15));
	show32(m, &in_run.coco_map_gpa_range.reserved, 0);
}

static bool model_status(u64 err, u64 *status)
{
	switch (err) {
	case 0:
		*status = MODEL_SUCCESS;
		return true;
	case EAGAIN:
		*status = MODEL_RETRY;
		return true;
	case EINVAL:
		*status = MODEL_INVALID_OPERAND;
		return true;
	case EOPNOTSUPP:
		*status = MODEL_UNSUPPORTED;
		return true;
	default:
		return false;
	}
}

/* A MapGPA that fails, or is to be retried, says where. */
static void model_stop_tdvmcall(struct model *m, u64 gpa, u64 status)
{
	model_return(m, status, gpa, m->args.r12, m->args.r13, m->args.r14);
}

static void model_end_hypercall(struct model *m, u64 ret)
{
	if (model_is_td(m))
		m->regs.r10 = ret;
	else
		m->regs.rax = ret;
	m->regs.rip += MODEL_INSN_SIZE;
}

static void model_end_range(struct model *m, u64 err)
{
	u64 status = MODEL_SUCCESS;

	m->state = MODEL_RUNS;
	if (m->is_tdvmcall) {
		model_status(err, &status);
		if (!err)
			return model_end_tdvmcall(m, status);
		return model_stop_tdvmcall(m, m->gfn * MODEL_PAGE |
					   (m->args.r12 & m->shared_bit), status);
	}

	if (m->is_moved)
		return;
	/* A TDCALL is over, whatever comes of it. */
	if (err == EAGAIN && !model_is_td(m)) {
		m->asks_first = true;
		return;
	}
	model_end_hypercall(m, model_has_range_exit(m) ? -err : err);
}

/* @gfn and @npages do not wrap. */
static void model_range(struct model *m, u64 gfn, u64 npages, u64 attrs, bool is_tdvmcall)
{
	m->gfn = gfn;
	m->end = gfn + npages;
	m->attrs = attrs;
	m->is_tdvmcall = is_tdvmcall;

	if (model_has_range_exit(m) &&
	    (npages > model_limit(m) / MODEL_PAGE || (attrs & 15) > 2 ||
	     !model_fits(m, gfn * MODEL_PAGE, npages * MODEL_PAGE)))
		return model_end_range(m, EINVAL);

	model_show_range(m);
}

static void model_map_gpa(struct model *m)
{
	u64 gpa = m->args.r12 & ~m->shared_bit, size = m->args.r13;

	if (!model_can_map(m))
		return model_stop_tdvmcall(m, m->args.r12, MODEL_UNSUPPORTED);
	if (!model_fits(m, gpa, size))
		return model_stop_tdvmcall(m, m->args.r12, MODEL_INVALID_OPERAND);
	if (!model_is_page_aligned(gpa | size))
		return model_stop_tdvmcall(m, m->args.r12, MODEL_ALIGN_ERROR);

	model_range(m, gpa / MODEL_PAGE, size / MODEL_PAGE,
		    m->args.r12 & m->shared_bit ? 0 : KVM_MAP_GPA_RANGE_ENCRYPTED, true);
}

static void model_map_gpa_range(struct model *m, u64 gpa, u64 npages, u64 attrs)
{
	u64 gfn = gpa / MODEL_PAGE;

	if (!model_can_map(m))
		return model_end_hypercall(m, -KVM_ENOSYS);
	if (!model_is_page_aligned(gpa) || !npages || gfn + npages < gfn || attrs >> 5)
		return model_end_hypercall(m, -KVM_EINVAL);

	model_range(m, gfn, npages, attrs, false);
}

/* What the guest asks, and what it gets for it if userspace is not asked. */

static bool model_is_tdvmcall(const struct model *m)
{
	return model_is_td(m) && !m->args.r10;
}

static void model_hypercall(struct model *m)
{
	m->args = m->regs;
	m->is_moved = false;

	/* A TD has R10 to R13 where others have RAX, RBX, RCX and RDX. */
	if (model_is_td(m) && m->args.r10 == KVM_HC_MAP_GPA_RANGE)
		return model_map_gpa_range(m, m->args.r11, m->args.r12, m->args.r13);
	if (!model_is_td(m) && m->args.rax == KVM_HC_MAP_GPA_RANGE)
		return model_map_gpa_range(m, m->args.rbx, m->args.rcx, m->args.rdx);
	if (!model_is_tdvmcall(m))
		return model_end_hypercall(m, -KVM_ENOSYS);

	switch (m->args.r11) {
	case MODEL_GET_TD_VM_CALL_INFO:
		return model_get_info(m);
	case MODEL_MAP_GPA:
		return model_map_gpa(m);
	case MODEL_GET_QUOTE:
		return model_get_quote(m);
	case MODEL_REPORT_FATAL_ERROR:
		return model_report_fatal_error(m);
	case MODEL_SETUP_EVENT_NOTIFY:
		return model_setup_event_notify(m);
	case MODEL_TD_RDMSR:
	case MODEL_TD_WRMSR:
		/* Those that a TD has are not what this is about. */
		return model_end_tdvmcall(m, MODEL_INVALID_OPERAND);
	default:
		return model_end_tdvmcall(m, MODEL_UNSUPPORTED);
	}
}

static void model_show_wrmsr(struct model *m)
{
	model_exit(m, KVM_EXIT_COCO_MIGRATION_CONTROL, EOPNOTSUPP);
	show32(m, &in_run.coco_migration_control.ret, EOPNOTSUPP);
	show32(m, &in_run.coco_migration_control.flags, 0);
	show64(m, &in_run.coco_migration_control.value, m->value);
}

static void model_wrmsr(struct model *m)
{
	m->vector = 0;
	if (!m->has_msr || !model_owns_msr(m) || (m->value & ~(u64)KVM_MIGRATION_READY))
		m->vector = MODEL_GP_VECTOR;
	else
		model_show_wrmsr(m);
}

static void model_rdmsr(struct model *m)
{
	m->vector = m->has_msr && model_owns_msr(m) ? 0 : MODEL_GP_VECTOR;
	m->value = m->msr;
}

/* What userspace answers.  False if KVM refuses it, and asks again. */

static bool model_answer_range(struct model *m, u64 done, u32 err)
{
	u64 size = (m->end - m->gfn) * MODEL_PAGE, status;

	if (!model_is_page_aligned(done) || !model_status(err, &status))
		return false;
	if (err ? done >= size : !done || done > size)
		return false;

	m->gfn += done / MODEL_PAGE;
	if (err == EAGAIN ? m->is_tdvmcall : err || m->gfn == m->end)
		model_end_range(m, err);
	else if (m->is_tdvmcall && m->nmi_pending)
		model_end_range(m, EAGAIN);
	else
		model_show_range(m);
	return true;
}

static bool model_answer_hypercall(struct model *m, u64 ret)
{
	/* What a hypercall returns is between userspace and the guest. */
	if (m->is_tdvmcall && ret && ret != EAGAIN && ret != EINVAL) {
		model_show_hypercall(m, EINVAL);
		return false;
	}
	if (ret) {
		model_end_range(m, ret);
		return true;
	}
	m->gfn = model_part_end(m);
	if (m->gfn == m->end)
		model_end_range(m, 0);
	else if (m->nmi_pending)
		model_end_range(m, EAGAIN);
	else
		model_show_range(m);
	return true;
}

static bool model_answer_wrmsr(struct model *m, u32 err)
{
	if (err && err != EINVAL && err != EOPNOTSUPP)
		return false;
	m->state = MODEL_RUNS;
	if (err)
		m->vector = MODEL_GP_VECTOR;
	else
		m->msr = m->value;
	return true;
}

static bool model_answer(struct model *m, u64 ret, u64 done)
{
	u64 status;

	/* There is nothing to answer.  Mainline's exits are not that clear. */
	if (m->is_moved && m->op == MODEL_HYPERCALL && m->reason != KVM_EXIT_HYPERCALL) {
		m->state = MODEL_RUNS;
		return true;
	}

	switch (m->reason) {
	case KVM_EXIT_COCO_MAP_GPA_RANGE:
		return model_answer_range(m, done, ret);
	case KVM_EXIT_HYPERCALL:
		return model_answer_hypercall(m, ret);
	case KVM_EXIT_COCO_MIGRATION_CONTROL:
		return model_answer_wrmsr(m, ret);
	case KVM_EXIT_TDX:
		if (m->args.r11 == MODEL_GET_TD_VM_CALL_INFO)
			model_answer_info(m, ret, done);
		else
			model_end_tdvmcall(m, ret);
		return true;
	case KVM_EXIT_SYSTEM_EVENT:
	case KVM_EXIT_COCO_FATAL_ERROR:
		model_end_tdvmcall(m, MODEL_SUCCESS);
		return true;
	default:
		if (!model_status((u32)ret, &status) ||
		    (status == MODEL_RETRY && m->reason != KVM_EXIT_COCO_GET_QUOTE))
			return false;
		model_end_tdvmcall(m, status);
		return true;
	}
}

void model_start(struct model *m, enum model_op op, const struct kvm_regs *regs, u64 value)
{
	m->state = MODEL_RUNS;
	m->asks_first = true;
	m->op = op;
	m->regs = *regs;
	m->value = value;
}

int model_run(struct model *m, u64 ret, u64 done, bool stop)
{
	if (m->state == MODEL_ASKS) {
		if (!model_answer(m, ret, done))
			return -EINVAL;
		if (m->state == MODEL_ASKS)
			return m->reason;
	}
	if (stop)
		return -EINTR;

	do {
		m->nr_nmis += m->nmi_pending;
		m->nmi_pending = false;
		if (!m->asks_first) {
			m->state = MODEL_READY;
			return KVM_EXIT_IO;
		}
		m->asks_first = false;
		if (m->op == MODEL_HYPERCALL)
			model_hypercall(m);
		else if (m->op == MODEL_WRMSR)
			model_wrmsr(m);
		else
			model_rdmsr(m);
	} while (m->state != MODEL_ASKS);

	return m->reason;
}
