# SPDX-License-Identifier: GPL-2.0-only
"""What is measured with: the programs of tests/bench, and the images that boot."""
import os
import shutil
import subprocess

from scripts.common import Failed, ROOT

PROGRAMS = ("exits_bench", "boot_bench")


class Kernel:
    """What boots, and the modules and programs that measure it."""

    def __init__(self, name, image, work):
        self.name, self.image, self.work = name, image, work


def build(tree, out, programs=()):
    """tests/bench: external modules of the kernel in OUT, and programs."""
    work = out / "bench"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(ROOT / "tests/bench", work)
    commands = [["make", "-s", "-C", tree, f"O={out}/kernel", f"M={work}", "modules"],
                ["gcc", "-Wall", "-O2", "-static", "-o", work / "module_load",
                 work / "module_load.c"]]
    kvm, tools = tree / "tools/testing/selftests/kvm", tree / "tools"
    for name in programs:
        # As the selftests' Makefile does it, with the library that it has built.
        commands.append(
            ["gcc", "-std=gnu99", "-O2", "-Wall", "-D_GNU_SOURCE=", "-DCONFIG_64BIT",
             "-U_FORTIFY_SOURCE", "-fno-builtin-memcmp", "-fno-builtin-memcpy",
             "-fno-builtin-memset", "-fno-stack-protector", "-fno-PIE", "-no-pie",
             "-fno-strict-aliasing", "-march=x86-64-v2", "-static", "-pthread",
             *[f"-I{path}" for path in (kvm / "include", kvm / "include/x86", kvm.parent,
                                        tools / "include", tools / "arch/x86/include")],
             "-isystem", out / "kernel/usr/include", "-o", work / name, work / f"{name}.c",
             *sorted((out / "selftests/lib").rglob("*.o"))])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              env={**os.environ, "ARCH": "x86_64", "V": "0"})
        if done.returncode:
            raise Failed(f"tests/bench does not build for {tree}: {done.stderr[-800:]}")


def sizes(kernel):
    """Text and data of vmlinux and of KVM's modules."""
    numbers = {}
    files = [kernel.image.parent / "kernel/vmlinux",
             *[kernel.image / f"modules/{name}.ko" for name in ("kvm", "kvm-amd", "kvm-intel")]]
    for path in files:
        words = subprocess.run(["size", path], capture_output=True, text=True,
                               check=True).stdout.splitlines()[1].split()
        numbers[f"{kernel.name}:size_{path.stem}"] = [int(words[0]) + int(words[1])]
    return numbers
