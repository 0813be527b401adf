# SPDX-License-Identifier: GPL-2.0-only
"""Which kernel, or which QEMU, a tree is, and whether the series is for it."""
import re
import sys
from pathlib import Path

from scripts.common import BASE, SERIES, SOURCE, Failed, bases


def source_version(tree):
    return (kernel_version if SERIES == "linux" else qemu_version)(tree)


def qemu_version(tree):
    """(10, 0, 13) from the file VERSION."""
    file = Path(tree) / "VERSION"
    if not file.is_file() or not (Path(tree) / "target/i386").is_dir():
        raise Failed(f"{tree} is no QEMU source: it has no VERSION or no target/i386")
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", file.read_text(errors="replace"))
    if not numbers:
        raise Failed(f"{file} does not tell QEMU's version")
    return tuple(map(int, numbers.groups()))


def kernel_version(tree):
    """(7, 3, 4) from the tree's own Makefile."""
    makefile = Path(tree) / "Makefile"
    if not makefile.is_file() or not (Path(tree) / "arch/x86/kvm").is_dir():
        raise Failed(f"{tree} is no kernel tree: it has no Makefile or no arch/x86/kvm")
    head = makefile.read_text(errors="replace")[:2000]
    numbers = [number for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL")
               for number in re.findall(rf"^{key} = *(\d+)$", head, re.M)[:1]]
    if len(numbers) != 3:
        raise Failed(f"{makefile} does not tell the kernel's version")
    return tuple(map(int, numbers))


def check_version(found, what):
    """BASE.y is wanted; an older one is refused, a later one tried loudly."""
    text = ".".join(map(str, found))
    wanted = tuple(map(int, BASE.split(".")))
    if found[:2] < wanted:
        other = (f" or KDIR= another, or BASE= one of {' '.join(bases())}" if SERIES == "linux"
                 else " another")
        raise Failed(f"{what} is {text}: {SERIES} {BASE}.y is needed; give {SOURCE}={other}")
    if found[:2] > wanted:
        print(f"*** {what} is {text}, not {BASE}.y: trying it all the same with git am -3 ***",
              file=sys.stderr, flush=True)
    return text
