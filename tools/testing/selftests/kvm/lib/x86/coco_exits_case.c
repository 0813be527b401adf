// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cases for x86/coco_exits_fuzz: the text and the grammar of what coco_exits_case.h has.
 */
#include <errno.h>
#include <linux/kernel.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coco_exits_case.h"
#include "coco_exits_model.h"
#include "test_util.h"

#define MIN_STEPS		40

const struct fuzz_step_name fuzz_step_names[NR_STEPS] = {
	[STEP_MAP] = { "map", 3 },	[STEP_TD] = { "td", 4 },
	[STEP_HC] = { "hc", 1 },	[STEP_WR] = { "wr", 1 },
	[STEP_RD] = { "rd", 0 },	[STEP_ANS] = { "ans", 2 },
	[STEP_RUN] = { "run", 0 },	[STEP_IMM] = { "imm", 2 },
	[STEP_SIG] = { "sig", 2 },	[STEP_THR] = { "thr", 2 },
	[STEP_RACE] = { "race", 2 },	[STEP_SCR] = { "scr", 1 },
	[STEP_REGS] = { "regs", 1 },	[STEP_MOVE] = { "move", 0 },
	[STEP_NMI] = { "nmi", 0 },	[STEP_CAP] = { "cap", 3 },
	[STEP_MSR] = { "msr", 1 },	[STEP_CLOSE] = { "close", 0 },
	[STEP_NEW] = { "new", 0 },	[STEP_SWAP] = { "swap", 0 },
	[STEP_CHAOS] = { "chaos", 2 },
};

const char * const fuzz_vm_names[NR_FUZZ_VMS] = { "default", "td" };
const u32 fuzz_vm_types[NR_FUZZ_VMS] = { KVM_X86_DEFAULT_VM, KVM_X86_TDX_VM };

/* A TD with GPAW 48 */
const u64 fuzz_shared_bits[NR_FUZZ_VMS] = { 0, BIT_ULL(47) };

const char * const fuzzer_names[NR_FUZZERS] = { "guest", "user" };

/* Numbers: the seed decides about all of them. */

static u64 rng_state;

u64 fuzz_mix(u64 value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return value ^ value >> 31;
}

static u64 rnd(void)
{
	rng_state += 0x9e3779b97f4a7c15ull;
	return fuzz_mix(rng_state);
}

static u64 below(u64 limit)
{
	return rnd() % limit;
}

static bool one_in(u64 n)
{
	return !below(n);
}

static u64 one_of(const u64 *values, size_t nr)
{
	return values[below(nr)];
}

/* Text */

void fuzz_print_case(const struct fuzz_case *c, char *text)
{
	int i, k, len;

	len = snprintf(text, MAX_TEXT, "%s,%llx,%llx,%llx", fuzz_vm_names[c->vm_type],
		       (unsigned long long)c->has_hypercall_exits,
		       (unsigned long long)c->has_msr, (unsigned long long)c->maxphyaddr);
	for (i = 0; i < c->nr_steps && len < MAX_TEXT - 100; i++) {
		len += snprintf(text + len, MAX_TEXT - len, "/%s",
				fuzz_step_names[c->steps[i].type].name);
		for (k = 0; k < fuzz_step_names[c->steps[i].type].nr_args; k++)
			len += snprintf(text + len, MAX_TEXT - len, ",%llx",
					(unsigned long long)c->steps[i].args[k]);
	}
}

static int read_numbers(char *text, u64 *numbers, int nr)
{
	char *end;
	int i;

	for (i = 0; text && *text; i++) {
		if (i == nr)
			return -1;
		numbers[i] = strtoull(text, &end, 16);
		if (end == text || (*end && *end != ','))
			return -1;
		text = *end ? end + 1 : end;
	}
	return i;
}

int fuzz_find_name(const char *name, const char * const *names, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

bool fuzz_read_case(char *text, struct fuzz_case *c)
{
	char *word = strsep(&text, "/"), *name = strsep(&word, ",");
	u64 numbers[3];
	int i;

	memset(c, 0, sizeof(*c));
	i = fuzz_find_name(name, fuzz_vm_names, ARRAY_SIZE(fuzz_vm_names));
	if (i < 0 || read_numbers(word, numbers, 3) != 3)
		return false;
	c->vm_type = i;
	c->has_hypercall_exits = numbers[0];
	c->has_msr = numbers[1];
	c->maxphyaddr = numbers[2];

	while ((word = strsep(&text, "/"))) {
		struct step *step = &c->steps[c->nr_steps];

		name = strsep(&word, ",");
		for (i = 0; i < NR_STEPS && strcmp(name, fuzz_step_names[i].name); i++)
			;
		if (i == NR_STEPS || c->nr_steps == MAX_STEPS ||
		    read_numbers(word, step->args, fuzz_step_names[i].nr_args) < 0)
			return false;
		step->type = i;
		c->nr_steps++;
	}
	return true;
}

/* Grammar */

static u64 random_u64(void)
{
	return rnd() >> below(64);
}

/* An address or a size: what it is about is on either side of a limit. */
static u64 edge(u64 limit)
{
	const u64 edges[] = {
		0, 0x1000, 0x200000, 0x40000000, BIT_ULL(32), limit / 2, limit, 2 * limit,
		BIT_ULL(47), BIT_ULL(51), BIT_ULL(52), BIT_ULL(63),
	};
	static const u64 offsets[] = {
		0, 0, 0, 0x1000, -0x1000ull, 1, -1ull, 0x200000, -0x200000ull,
	};

	if (one_in(20))
		return random_u64();
	return one_of(edges, ARRAY_SIZE(edges)) + one_of(offsets, ARRAY_SIZE(offsets));
}

static void random_range(u64 limit, bool wild, u64 *gpa, u64 *size)
{
	static const u64 pages[] = { 1, 2, 3, 16, 511, 512, 513, 1200, 0x40000 };
	static const u64 offsets[] = { 0, 0, 0x1000, -0x1000ull, 1, -1ull };

	*gpa = one_in(4) ? below(limit / 0x1000) * 0x1000 : below(0x2000) * 0x1000;
	*size = one_of(pages, ARRAY_SIZE(pages)) * 0x1000;
	if (!wild) {
		if (*size > limit - *gpa)
			*size = limit - *gpa;
		return;
	}
	if (one_in(2))
		*gpa = edge(limit);
	if (one_in(2))
		*size = edge(limit);
	else if (one_in(2))
		*size = (one_in(2) ? limit - *gpa : -*gpa) + one_of(offsets, ARRAY_SIZE(offsets));
}

static u64 random_attrs(bool wild)
{
	u64 attrs = below(3) | (rnd() & KVM_MAP_GPA_RANGE_ENCRYPTED);

	if (wild && one_in(2))
		attrs ^= one_in(2) ? below(16) : BIT_ULL(below(64));
	return attrs;
}

/* What the last range was, for answers to it */
static u64 last_size;

static struct step guest_step(const struct fuzz_case *c, bool wild)
{
	static const u64 types[] = {
		STEP_MAP, STEP_MAP, STEP_WR, STEP_WR, STEP_RD, STEP_HC, STEP_TD, STEP_TD, STEP_TD,
	};
	u64 shared_bit = fuzz_shared_bits[c->vm_type];
	/* The last three are for TDs. */
	struct step step = { .type = one_of(types, ARRAY_SIZE(types) - (shared_bit ? 0 : 3)) };
	u64 limit = BIT_ULL(c->maxphyaddr);
	u64 gpa, size;

	if (shared_bit && limit > shared_bit)
		limit = shared_bit;

	random_range(one_in(8) ? BIT_ULL(c->maxphyaddr) : limit, wild, &gpa, &size);
	switch (step.type) {
	case STEP_MAP:
		last_size = size;
		step.args[0] = gpa;
		step.args[1] = size / 0x1000;
		step.args[2] = random_attrs(wild);
		/* Pages wrap elsewhere than bytes do. */
		if (wild && one_in(4))
			step.args[1] = one_in(2) ? edge(BIT_ULL(52)) :
				       below(3) - 1 - gpa / 0x1000;
		break;
	case STEP_TD:
		last_size = size;
		step.args[0] = MODEL_GET_TD_VM_CALL_INFO + below(wild ? 6 : 5);
		step.args[1] = gpa | (one_in(4) ? 0 : shared_bit);
		step.args[2] = size;
		if (step.args[0] == MODEL_GET_TD_VM_CALL_INFO)
			step.args[1] = below(3);
		if (step.args[0] == MODEL_SETUP_EVENT_NOTIFY)
			step.args[1] = wild && one_in(4) ? random_u64() : below(300);
		if (step.args[0] == MODEL_REPORT_FATAL_ERROR) {
			step.args[2] = step.args[1];
			step.args[1] = rnd();
		}
		if (wild && one_in(16))
			step.args[0] = random_u64();
		if (wild && one_in(16))
			step.args[3] = random_u64();
		break;
	case STEP_HC:
		/* KVM knows, or has known, numbers below. */
		step.args[0] = 16 + (one_in(2) ? random_u64() / 2 : below(2000));
		break;
	default:
		step.args[0] = below(2);
		if (wild && one_in(2))
			step.args[0] ^= one_in(4) ? random_u64() : BIT_ULL(below(64));
	}
	return step;
}

static u64 random_ret(bool wild)
{
	static const u64 good[] = { 0, 0, 0, 0, 0, EAGAIN, EINVAL, EOPNOTSUPP };
	static const u64 bad[] = {
		1, 2, ENOMEM, 4095, BIT_ULL(31), BIT_ULL(32), BIT_ULL(32) | EAGAIN, BIT_ULL(63),
		-1ull, -EINVAL, -EPERM, -EAGAIN, -4095ull, -4096ull, 0xffffffff,
	};

	return wild && one_in(3) ? one_of(bad, ARRAY_SIZE(bad)) : one_of(good, ARRAY_SIZE(good));
}

static u64 random_done(bool wild)
{
	u64 pages = last_size / 0x1000;
	static const u64 bad[] = {
		0, 1, 0xfff, 0x1001, BIT_ULL(32), BIT_ULL(63), -1ull, -0x1000ull, 0x200000,
	};

	if (wild && one_in(4))
		return one_of(bad, ARRAY_SIZE(bad)) + (one_in(2) ? last_size : 0);
	return one_in(2) || !pages ? last_size : below(pages + 1) * 0x1000;
}

static struct step user_step(bool wild)
{
	static const u64 plain[] = { STEP_ANS, STEP_ANS, STEP_ANS, STEP_RUN, STEP_NMI };
	static const u64 any[] = {
		STEP_ANS, STEP_ANS, STEP_ANS, STEP_ANS, STEP_ANS, STEP_ANS, STEP_RUN, STEP_IMM,
		STEP_IMM, STEP_SIG, STEP_THR, STEP_RACE, STEP_RACE, STEP_SCR, STEP_SCR, STEP_REGS,
		STEP_MOVE, STEP_NMI, STEP_NMI, STEP_CAP, STEP_MSR,
	};
	struct step step = {};

	step.type = wild ? one_of(any, ARRAY_SIZE(any)) : one_of(plain, ARRAY_SIZE(plain));
	switch (step.type) {
	case STEP_SCR:
		step.args[0] = rnd();
		break;
	case STEP_REGS:
		step.args[0] = one_in(2) ? 0 : rnd() >> 32;
		break;
	case STEP_MSR:
		step.args[0] = one_in(2) ? below(2) : BIT_ULL(below(64));
		break;
	case STEP_CAP:
		step.args[0] = one_in(2) ? below(32) : BIT_ULL(below(64));
		break;
	case STEP_ANS:
	case STEP_IMM:
	case STEP_SIG:
	case STEP_THR:
	case STEP_RACE:
		step.args[0] = random_ret(wild);
		step.args[1] = random_done(wild);
		break;
	default:
		break;
	}
	return step;
}

/* What to do with a VM: how it begins, and how it may end. */
static struct step vm_step(bool is_first)
{
	static const u64 types[] = {
		STEP_NEW, STEP_SWAP, STEP_SWAP, STEP_CLOSE, STEP_CHAOS, STEP_CHAOS,
	};
	struct step step = { .type = is_first ? STEP_CAP : one_of(types, ARRAY_SIZE(types)) };

	if (is_first)
		step.args[0] = one_in(2) ? 31 : one_in(4) ? 0 : below(32);
	if (step.type == STEP_CHAOS) {
		step.args[0] = BIT(below(3));
		step.args[1] = rnd() >> 48;
	}
	return step;
}

/* What a type of VM supports, half of the time: the rest is refused. */
static void limit_bitmap(struct step *step, u32 vm_type)
{
	if (vm_type == KVM_X86_DEFAULT_VM)
		step->args[0] &= MODEL_ANY_EXITS;
	if (vm_type == KVM_X86_TDX_VM)
		step->args[0] &= ~(u64)KVM_COCO_EXIT_MIGRATION_CONTROL;
}

void fuzz_make_case(struct fuzz_case *c, u64 seed, enum fuzzer fuzzer, int vm_type, u64 nr)
{
	static const u64 maxphyaddrs[] = { 36, 39, 46, 46, 48, 52 };
	bool wild = fuzzer == FUZZ_GUEST;
	int i = 0;

	rng_state = fuzz_mix(fuzz_mix(seed + fuzzer * 16 + vm_type) + nr);
	memset(c, 0, sizeof(*c));
	c->vm_type = vm_type;
	c->has_hypercall_exits = one_in(2);
	c->has_msr = !one_in(6);
	c->maxphyaddr = one_of(maxphyaddrs, ARRAY_SIZE(maxphyaddrs));
	last_size = 0x1000;

	/* The bitmap has bits that this type of VM does not support: that is refused. */
	c->nr_steps = MIN_STEPS + below(MAX_STEPS - MIN_STEPS);
	for (; i < 4; i++) {
		c->steps[i] = vm_step(true);
		if (i)
			limit_bitmap(&c->steps[i], fuzz_vm_types[vm_type]);
		if (i < 3 && one_in(3))
			c->steps[i].args[below(3)] ^= BIT_ULL(below(32));
	}
	while (i < c->nr_steps) {
		if (one_in(120)) {
			c->steps[i++] = vm_step(false);
			if (i < c->nr_steps) {
				c->steps[i] = vm_step(true);
				limit_bitmap(&c->steps[i++], fuzz_vm_types[vm_type]);
			}
			continue;
		}
		c->steps[i++] = guest_step(c, wild ? !one_in(3) : one_in(8));
		while (i < c->nr_steps && !one_in(wild ? 2 : 5))
			c->steps[i++] = user_step(fuzzer == FUZZ_USER || one_in(6));
	}
}
