# SPDX-License-Identifier: GPL-2.0-only
"""The engines by name; each makes the command line of (run_dir, kernel, initrd)."""
import functools
from typing import Callable

from scripts.machine.bochs import TSC_KHZ, bochs
from scripts.machine.qemu import AMD_SNP, qemu
from scripts.machine.tsc import host_khz

# Bochs runs its CPUs in turn, in one thread: two cost twice the time and more.
ENGINES: dict[str, Callable] = {"amd": qemu, "amd-snp": functools.partial(qemu, cpu=AMD_SNP),
                                "intel": bochs,
                                "intel-smp": functools.partial(bochs, cpus=2)}


def tsc_khz(machine):
    """The rate of the TSC of MACHINE, say intel-base, in kHz."""
    return host_khz() if machine.startswith("amd") else TSC_KHZ
