# SPDX-License-Identifier: GPL-2.0-only
"""The engines by name; each makes the command line of (run_dir, kernel, initrd)."""
import functools
from typing import Callable

from scripts.machine.bochs import TSC_KHZ, bochs
from scripts.machine.qemu import AMD_SEV, peer, qemu, tdx
from scripts.machine.tsc import TDX_KHZ, host_khz

# Bochs runs its CPUs in turn, in one thread: two cost twice the time and more.
ENGINES: dict[str, Callable] = {"amd": qemu, "amd-sev": functools.partial(qemu, cpu=AMD_SEV),
                                "tdx": tdx,
                                "intel": bochs,
                                "intel-smp": functools.partial(bochs, cpus=2)}
# Two machines with a line between them, for tests that need two hosts.
PAIRS = {"amd-sev": {f"amd-sev-{side}": functools.partial(peer, side=side) for side in (0, 1)}}


def command_line(machine, run_dir, kernel, initrd):
    """That of MACHINE, say intel-base or amd-sev-0."""
    for pair in PAIRS.values():
        if machine in pair:
            return pair[machine](run_dir, kernel, initrd)
    engine = machine.removesuffix("-base").removesuffix("-again")
    return ENGINES[engine](run_dir, kernel, initrd)


def together(machines):
    """MACHINES as lists of those that only can run at the same time."""
    lists = []
    for machine in machines:
        pair = next((p for p in PAIRS.values() if machine in p), ())
        if lists and lists[-1][0] in pair:
            lists[-1].append(machine)
        else:
            lists.append([machine])
    return lists


def tsc_khz(machine):
    """The rate of the TSC of MACHINE, say intel-base, in kHz."""
    if machine.startswith("tdx"):
        return TDX_KHZ
    return host_khz() if machine.startswith("amd") else TSC_KHZ
