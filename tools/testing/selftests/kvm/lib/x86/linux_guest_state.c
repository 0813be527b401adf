// SPDX-License-Identifier: GPL-2.0-only
/*
 * Save and load all that a paused Linux guest consists of besides its memory, see
 * linux_guest_migrate.h.
 */
#include <linux/sizes.h>

#include "kvm_util.h"
#include "linux_guest_migrate.h"
#include "processor.h"

/* Of a vCPU. */
#define MAX_STATE_SIZE		SZ_64K
#define MAX_DEVICES_SIZE	SZ_64M
#define MAX_LINE		1024
#define NR_IRQCHIPS		3

/* In the order in which they are loaded. */
static const unsigned long vcpu_states[] = {
	KVM_SET_CPUID2,			/* decides what of the others is valid */
	KVM_SET_SREGS,			/* has the mode of the APIC */
	KVM_SET_LAPIC,
	KVM_SET_XCRS,
	KVM_SET_XSAVE,
	KVM_SET_MSRS,			/* one of them arms the APIC's timer */
	KVM_SET_DEBUGREGS,
	KVM_SET_NESTED_STATE,
	KVM_SET_REGS,
	KVM_SET_VCPU_EVENTS,
	KVM_SET_MP_STATE,
};

/* What has been printed of a line that isn't complete is part of the console. */
struct console_state {
	struct linux_guest_uart uart;
	char line[MAX_LINE];
};

/* What a vCPU has of one of vcpu_states; the size may be in the data. */
static size_t state_size(struct kvm_vm *vm, unsigned long cmd, const void *data)
{
	size_t size = _IOC_SIZE(cmd);
	u32 nr;

	memcpy(&nr, data, sizeof(nr));
	switch (cmd) {
	case KVM_SET_CPUID2:
		return size + (u64)nr * sizeof(struct kvm_cpuid_entry2);
	case KVM_SET_MSRS:
		return size + (u64)nr * sizeof(struct kvm_msr_entry);
	case KVM_SET_NESTED_STATE:
		return ((const struct kvm_nested_state *)data)->size;
	case KVM_SET_XSAVE:
		return max_t(size_t, size, vm_check_cap(vm, KVM_CAP_XSAVE2));
	default:
		return size;
	}
}

static bool has_state(unsigned long cmd)
{
	switch (cmd) {
	case KVM_SET_XCRS:
		return kvm_has_cap(KVM_CAP_XCRS);
	case KVM_SET_NESTED_STATE:
		return kvm_has_cap(KVM_CAP_NESTED_STATE);
	default:
		return true;
	}
}

static void save_vcpu(struct kvm_vcpu *vcpu, struct linux_guest_state_sink *sink)
{
	struct kvm_x86_state *x86 = vcpu_save_state(vcpu);
	struct kvm_lapic_state lapic;
	const void *data;
	int i;

	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &lapic);
	vcpu_get_cpuid(vcpu);

	for (i = 0; i < ARRAY_SIZE(vcpu_states); i++) {
		switch (vcpu_states[i]) {
		case KVM_SET_CPUID2:
			data = vcpu->cpuid;
			break;
		case KVM_SET_SREGS:
			data = &x86->sregs;
			break;
		case KVM_SET_LAPIC:
			data = &lapic;
			break;
		case KVM_SET_XCRS:
			data = &x86->xcrs;
			break;
		case KVM_SET_XSAVE:
			data = x86->xsave;
			break;
		case KVM_SET_MSRS:
			data = &x86->msrs;
			break;
		case KVM_SET_DEBUGREGS:
			data = &x86->debugregs;
			break;
		case KVM_SET_NESTED_STATE:
			data = &x86->nested;
			break;
		case KVM_SET_REGS:
			data = &x86->regs;
			break;
		case KVM_SET_VCPU_EVENTS:
			data = &x86->events;
			break;
		default:
			data = &x86->mp_state;
			break;
		}
		if (has_state(vcpu_states[i]))
			sink->put(sink, data, state_size(vcpu->vm, vcpu_states[i], data));
	}
	kvm_x86_state_cleanup(x86);
}

static void save_vm(struct kvm_vm *vm, struct linux_guest_state_sink *sink)
{
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
	struct kvm_irqchip chip;
	u32 i;

	for (i = 0; i < NR_IRQCHIPS; i++) {
		chip = (struct kvm_irqchip) { .chip_id = i };
		vm_ioctl(vm, KVM_GET_IRQCHIP, &chip);
		sink->put(sink, &chip, sizeof(chip));
	}
	vm_ioctl(vm, KVM_GET_PIT2, &pit);
	sink->put(sink, &pit, sizeof(pit));

	/* The guest's clocks, of which the TSC is one, stand still while it does. */
	vm_ioctl(vm, KVM_GET_CLOCK, &clock);
	clock.flags = 0;
	sink->put(sink, &clock, sizeof(clock));
}

static void save_console(struct linux_guest *guest, struct linux_guest_state_sink *sink)
{
	struct console_state console = { .uart = guest->uart };

	memcpy(console.line, guest->console + guest->line_start,
	       min_t(size_t, guest->console_len - guest->line_start, MAX_LINE));
	sink->put(sink, &console, sizeof(console));
}

static int save_devices(struct linux_guest *guest, struct linux_guest_migration *m,
			struct linux_guest_state_sink *sink)
{
	size_t size = 0;
	FILE *devices;
	int err = 0;
	char *data;

	devices = open_memstream(&data, &size);
	TEST_ASSERT(devices, "No memory for the devices");
	if (m->save_devices)
		err = m->save_devices(guest, m, devices);
	TEST_ASSERT(!fclose(devices), "No memory for the devices");

	sink->put(sink, data, size);
	free(data);
	return err || size > MAX_DEVICES_SIZE ? -EIO : 0;
}

int linux_guest_save_state(struct linux_guest *guest, struct linux_guest_migration *m,
			   struct linux_guest_state_sink *sink)
{
	int i;

	for (i = 0; i < guest->nr_vcpus; i++)
		save_vcpu(guest->vcpus[i], sink);
	save_vm(guest->vm, sink);
	save_console(guest, sink);
	return save_devices(guest, m, sink);
}

static int load_state(struct linux_guest *guest, int fd, unsigned long cmd, void *data,
		      const char *whose, int ret_ok)
{
	int ret = ioctl(fd, cmd, data);

	if (ret == ret_ok)
		return 0;
	snprintf(guest->error, sizeof(guest->error), "%s: ioctl 0x%lx returns %d, errno %d",
		 whose, cmd, ret, errno);
	return -EIO;
}

/* @buf has room for MAX_STATE_SIZE. */
static int load_vcpu(struct linux_guest *guest, struct kvm_vcpu *vcpu,
		     struct linux_guest_state_source *source, u8 *buf)
{
	unsigned long cmd;
	char name[32];
	size_t size;
	int i, err;

	snprintf(name, sizeof(name), "vCPU %u", vcpu->id);
	for (i = 0; i < ARRAY_SIZE(vcpu_states); i++) {
		cmd = vcpu_states[i];
		if (!has_state(cmd))
			continue;

		memset(buf, 0, MAX_STATE_SIZE);
		err = source->get(source, buf, _IOC_SIZE(cmd), MAX_STATE_SIZE, &size);
		if (err)
			return err;
		if (size != state_size(vcpu->vm, cmd, buf))
			return -EBADMSG;
		/* KVM_SET_MSRS returns how many it has set. */
		err = load_state(guest, vcpu->fd, cmd, buf, name,
				 cmd == KVM_SET_MSRS ? ((struct kvm_msrs *)buf)->nmsrs : 0);
		if (err)
			return err;
		if (cmd == KVM_SET_CPUID2)
			vcpu_init_cpuid(vcpu, (struct kvm_cpuid2 *)buf);
	}

	/* Watchdogs of the guest.  It fails if the guest does not use this clock. */
	__vcpu_ioctl(vcpu, KVM_KVMCLOCK_CTRL, NULL);
	return 0;
}

/* After all vCPUs: an interrupt that is pending here goes to their APICs. */
static int load_vm(struct linux_guest *guest, struct linux_guest_state_source *source)
{
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
	struct kvm_irqchip chip;
	u32 i;
	int err;

	for (i = 0; i < NR_IRQCHIPS; i++) {
		err = source->get(source, &chip, sizeof(chip), sizeof(chip), NULL);
		if (!err && chip.chip_id != i)
			err = -EBADMSG;
		err = err ?: load_state(guest, guest->vm->fd, KVM_SET_IRQCHIP, &chip, "irqchip", 0);
		if (err)
			return err;
	}
	return source->get(source, &pit, sizeof(pit), sizeof(pit), NULL) ?:
	       load_state(guest, guest->vm->fd, KVM_SET_PIT2, &pit, "PIT", 0) ?:
	       source->get(source, &clock, sizeof(clock), sizeof(clock), NULL) ?:
	       load_state(guest, guest->vm->fd, KVM_SET_CLOCK, &clock, "clock", 0);
}

static int load_console(struct linux_guest *guest, struct linux_guest_state_source *source)
{
	struct console_state console;
	int i, err;

	err = source->get(source, &console, sizeof(console), sizeof(console), NULL);
	if (err)
		return err;
	for (i = 0; i < MAX_LINE && console.line[i]; i++)
		linux_guest_uart_write(guest, 0, console.line[i]);
	guest->uart = console.uart;
	return 0;
}

static int load_devices(struct linux_guest *guest, struct linux_guest_migration *m,
			struct linux_guest_state_source *source)
{
	size_t size;
	void *data;
	int err;

	/* Not more than is there, as it comes from the sender. */
	data = malloc(MAX_DEVICES_SIZE);
	if (!data)
		return -ENOMEM;
	err = source->get(source, data, 0, MAX_DEVICES_SIZE, &size);
	if (!err && !m->load_devices && size)
		err = -EBADMSG;
	if (!err && m->load_devices && m->load_devices(guest, m, data, size)) {
		snprintf(guest->error, sizeof(guest->error), "devices do not take their state");
		err = -EIO;
	}
	free(data);
	return err;
}

int linux_guest_load_state(struct linux_guest *guest, struct linux_guest_migration *m,
			   struct linux_guest_state_source *source)
{
	u8 *buf = malloc(MAX_STATE_SIZE);
	int i, err = 0;

	TEST_ASSERT(buf, "No memory for a state");
	for (i = 0; i < guest->nr_vcpus && !err; i++)
		err = load_vcpu(guest, guest->vcpus[i], source, buf);
	free(buf);
	return err ?: load_vm(guest, source) ?: load_console(guest, source) ?:
	       load_devices(guest, m, source);
}
