# SPDX-License-Identifier: GPL-2.0-only
"""The engines by name; each makes the command line of (run_dir, kernel, initrd)."""
import functools
from typing import Callable

from scripts.machine.bochs import bochs
from scripts.machine.qemu import qemu

# Bochs runs its CPUs in turn, in one thread: two cost twice the time and more.
ENGINES: dict[str, Callable] = {"amd": qemu, "intel": bochs,
                                "intel-smp": functools.partial(bochs, cpus=2)}
