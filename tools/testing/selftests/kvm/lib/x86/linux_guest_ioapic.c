// SPDX-License-Identifier: GPL-2.0-only
/*
 * The I/O APIC of a TD, see linux_guest_ioapic.h.
 *
 * Registers are those of the 82093AA.  An interrupt is a message to the local APICs, as
 * it is on a PC since there are MSIs.
 */
#include "linux_guest.h"
#include "linux_guest_ioapic.h"

#define REG_SELECT		0x00
#define REG_WINDOW		0x10

#define REG_ID			0x00
#define REG_VERSION		0x01
#define REG_ARBITRATION		0x02
#define REG_REDIRECTION		0x10

#define VERSION			0x11

#define REDIR_VECTOR		GENMASK_ULL(7, 0)
#define REDIR_DELIVERY_MODE	GENMASK_ULL(10, 8)
#define REDIR_LOGICAL		BIT_ULL(11)
#define REDIR_READ_ONLY		(BIT_ULL(12) | BIT_ULL(14))
#define REDIR_MASKED		BIT_ULL(16)

#define MSI_ADDRESS		0xfee00000u
#define MSI_LOGICAL		BIT(2)

void linux_guest_ioapic_init(struct linux_guest_ioapic *ioapic, struct kvm_vm *vm)
{
	int i;

	*ioapic = (struct linux_guest_ioapic) { .vm = vm };
	pthread_mutex_init(&ioapic->lock, NULL);
	for (i = 0; i < LINUX_GUEST_NR_IOAPIC_PINS; i++)
		ioapic->redirections[i] = REDIR_MASKED;
}

static void deliver(struct linux_guest_ioapic *ioapic, int pin)
{
	u64 redirection = ioapic->redirections[pin];
	struct kvm_msi msi = {
		.address_lo = MSI_ADDRESS | redirection >> 56 << 12 |
			      (redirection & REDIR_LOGICAL ? MSI_LOGICAL : 0),
		.data = redirection & (REDIR_VECTOR | REDIR_DELIVERY_MODE),
	};

	if (!(ioapic->pending & BIT(pin)) || (redirection & REDIR_MASKED))
		return;
	ioapic->pending &= ~BIT(pin);
	/* 0 is an interrupt that has merged with one before. */
	TEST_ASSERT(__vm_ioctl(ioapic->vm, KVM_SIGNAL_MSI, &msi) >= 0,
		    "KVM_SIGNAL_MSI, errno %d", errno);
}

void linux_guest_ioapic_set(struct linux_guest_ioapic *ioapic, int pin, bool level)
{
	pthread_mutex_lock(&ioapic->lock);
	if (level && !(ioapic->levels & BIT(pin)))
		ioapic->pending |= BIT(pin);
	ioapic->levels = level ? ioapic->levels | BIT(pin) : ioapic->levels & ~BIT(pin);
	deliver(ioapic, pin);
	pthread_mutex_unlock(&ioapic->lock);
}

static u32 read_register(struct linux_guest_ioapic *ioapic)
{
	u32 pin = (ioapic->reg - REG_REDIRECTION) / 2;

	switch (ioapic->reg) {
	case REG_ID:
	case REG_ARBITRATION:
		return ioapic->id;
	case REG_VERSION:
		return VERSION | (LINUX_GUEST_NR_IOAPIC_PINS - 1) << 16;
	}
	if (ioapic->reg < REG_REDIRECTION || pin >= LINUX_GUEST_NR_IOAPIC_PINS)
		return 0;
	return ioapic->redirections[pin] >> (ioapic->reg & 1 ? 32 : 0);
}

static void write_register(struct linux_guest_ioapic *ioapic, u32 value)
{
	u32 pin = (ioapic->reg - REG_REDIRECTION) / 2;
	u64 *redirection;

	if (ioapic->reg == REG_ID)
		ioapic->id = value & GENMASK(27, 24);
	if (ioapic->reg < REG_REDIRECTION || pin >= LINUX_GUEST_NR_IOAPIC_PINS)
		return;
	redirection = &ioapic->redirections[pin];
	if (ioapic->reg & 1)
		*redirection = (u32)*redirection | (u64)value << 32;
	else
		*redirection = (*redirection & ~(u64)~0u) | (value & ~(u32)REDIR_READ_ONLY);
	deliver(ioapic, pin);
}

bool linux_guest_ioapic_mmio(struct linux_guest_ioapic *ioapic, u64 gpa, void *data, u32 len,
			     bool is_write)
{
	u32 value = 0;

	if (gpa - LINUX_GUEST_IOAPIC_GPA >= SZ_4K)
		return false;

	pthread_mutex_lock(&ioapic->lock);
	memcpy(&value, data, min_t(u32, len, sizeof(value)));
	gpa -= LINUX_GUEST_IOAPIC_GPA;
	if (!is_write) {
		value = gpa == REG_SELECT ? ioapic->reg :
			gpa == REG_WINDOW ? read_register(ioapic) : 0;
		memset(data, 0, len);
		memcpy(data, &value, min_t(u32, len, sizeof(value)));
	} else if (gpa == REG_SELECT) {
		ioapic->reg = value;
	} else if (gpa == REG_WINDOW) {
		write_register(ioapic, value);
	}
	pthread_mutex_unlock(&ioapic->lock);
	return true;
}
