# SPDX-License-Identifier: GPL-2.0-only
"""Which files the series touches, and what make builds of them."""
from scripts.common import git


def touched(tree):
    return git(tree, "diff", "--name-only", "base", "series").split()


def objects(files):
    """Folders and objects for make: arch/x86/kvm/, and single files elsewhere."""
    return ["arch/x86/kvm/", *sorted(f[:-2] + ".o" for f in files if f.endswith(".c")
                                     and not f.startswith(("tools/", "arch/x86/kvm/"))
                                     # Is included by asm-offsets.c.
                                     and not f.endswith("/asm-offsets_64.c"))]
