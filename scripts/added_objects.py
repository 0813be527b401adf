#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""After a build: every .c file that the series adds must have become an object.

A hook that silently stopped applying is the classic failure of an out-of-tree
series: everything builds, and the new code is not in it.
"""
import sys
from pathlib import Path

from series import Failed, load, run_main

SELFTESTS = "tools/testing/selftests/kvm/"


def product(out, path):
    """Where the build puts what it makes of the source file PATH."""
    if path.startswith(SELFTESTS):
        return out / "selftests" / Path(path[len(SELFTESTS):]).with_suffix(".o")
    return out / "kernel" / Path(path).with_suffix(".o")


def check(out):
    added = [path for patch in load() for path in patch.adds if path.endswith((".c", ".S"))]
    for path in added:
        if not product(out, path).exists():
            raise Failed(f"{path} was composed but not built: {product(out, path)} is missing; "
                         "its hook (Makefile, Kconfig) or configs/series.config does not enable it")
    print(f"build: all {len(added)} added source files have objects")
    return 0


if __name__ == "__main__":
    run_main("build", lambda: check(Path(sys.argv[1])))
