/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A line between the machine that runs the test and another that does: memory that
 * both have, which is a BAR of a PCI device (QEMU's ivshmem-plain).
 *
 * The memory begins as zeros and carries a number of connections, each once.  Both
 * machines have to use the same numbers, and different sides.
 */
#ifndef SELFTEST_KVM_LINUX_GUEST_LINK_H
#define SELFTEST_KVM_LINUX_GUEST_LINK_H

#include <stdbool.h>

#define LINUX_GUEST_LINK_CONNECTIONS	64

bool linux_guest_link_exists(void);

/*
 * Returns a socket whose other end is in the other machine, sooner or later: it does
 * not wait for it.  @side is 0 or 1.
 */
int linux_guest_link_connect(int side, int nr);

#endif /* SELFTEST_KVM_LINUX_GUEST_LINK_H */
