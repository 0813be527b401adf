# SPDX-License-Identifier: GPL-2.0-only
"""added_objects.py TREE OUT: every .c file that is new in TREE has become an object.

A hook that silently stopped applying is the classic failure of an out-of-tree
series: everything builds, and the new code is not in it.
"""
import sys
from pathlib import Path

from scripts.common import Failed, git, run_main

SELFTESTS = "tools/testing/selftests/kvm/"


def products(out, path):
    """What the build may make of the source file PATH; one of them must be there."""
    if path.startswith(SELFTESTS):
        program = out / "selftests" / Path(path[len(SELFTESTS):]).with_suffix("")
        return program.with_suffix(".o"), program
    return (out / "kernel" / Path(path).with_suffix(".o"),)


def check(tree, out):
    new = git(tree, "diff", "--no-renames", "--diff-filter=A", "--name-only", "-z", "base", "HEAD")
    added = [path for path in new.split("\0") if path.endswith((".c", ".S"))]
    for path in added:
        if not any(file.exists() for file in products(out, path)):
            raise Failed(f"{path} was composed but not built: {products(out, path)[0]} is missing; "
                         "its hook (Makefile, Kconfig) or configs/series.config does not enable it")
    print(f"build: all {len(added)} added source files are built")
    return 0


if __name__ == "__main__":
    run_main("build", lambda: check(*map(Path, sys.argv[1:])))
