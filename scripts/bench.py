#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Instruction counts of the series against the unpatched base, in one run.

Both kernels run the same measuring modules (tests/bench) under QEMU -icount,
where a TSC tick is an instruction, so that the noise of the machine is out.
"""
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import engines
import records
from run import Test, load_order, make_initrd
from series import BASE, Failed, ROOT, run_main

LIMIT = 300
ICOUNT = ["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=0,sleep=off"]
# A task's CPU time is measured in ns.
NS_PER_INSTRUCTION = {"load_kvm_amd": 1, "load_kvm_intel": 10**9 / engines.BOCHS_IPS}
PLAN = """\
test 200 module_load kvm-amd
module kvm-amd
module snp_page_bench label=plain
unload snp_page_bench
{guests}unload kvm_amd
module snp_page_bench force=1
unload snp_page_bench
module kvm-amd
module snp_page_bench label=snp
"""
PLAN_INTEL = "test 200 module_load kvm-intel\n"
# Both kernels as guests of the same host, which is the series.
GUEST = ("test 280 x86/guest_boot_test -t 270 -b bench: -k /boot/{0}/bzImage "
         "-m /boot/{0}/hypercall_bench.ko\n")
# label -> what it measures, and the most that ours may be of the base's
GOALS = {"snp_page_plain": ("page allocation, host without SNP", 1.0),
         "snp_page_snp": ("page allocation, SNP forced", 0.6),
         "hypercall_patched": ("hypercall, patched, guest and host", 1.005),
         # From the guest's instruction to userspace and back, less a call without exit;
         # "base" are mainline's exits, of the same kernel, which checks less.
         "tdvmcall": ("TDVMCALL to userspace and back", 1.005),
         # The same with KVM_EXIT_HYPERCALL, on both kernels: the series remembers what was
         # asked, to ask again, and checks the answer
         "map_gpa_hypercall": ("hypercall to userspace and back", 1.015),
         # "base" is KVM_EXIT_HYPERCALL, of the same kernel
         "map_gpa_exits": ("exits for a MapGPA of 1 GiB", 0.002),
         # "base" is a plain guest, of the same kernel and host; time, not instructions: with
         # -icount an SEV guest did not get to userspace in minutes
         "boot": ("us of a guest's boot, plain and SEV", 1.3),
         # More than half of it are the options of the tests, see configs/series.config.
         "load_kvm_amd": ("loading kvm-amd", 1.035),
         "load_kvm_intel": ("loading kvm-intel", 1.02),
         # A third of it is code of tests.
         "text": ("text of vmlinux, bytes", 1.001)}
EARLY_GOAL = 20
TDVMCALLS = "test 280 x86/tdvmcall_test -b\n"
MAP_GPA = "test 280 x86/map_gpa_test -b\n"


def build(tree, out):
    """tests/bench: external modules of the kernel in OUT, and a program."""
    work = out / "bench"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(ROOT / "tests/bench", work)
    done = subprocess.run(["make", "-s", "-C", tree, f"O={out}/kernel", f"M={work}", "modules"],
                          env={**os.environ, "ARCH": "x86_64", "V": "0"}, capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise Failed(f"tests/bench does not build for {tree}: {done.stderr[-800:]}")
    subprocess.run(["gcc", "-Wall", "-O2", "-static", "-o", work / "module_load",
                    work / "module_load.c"], check=True)


def start(name, kernels, engine):
    """Boot kernel NAME; the series on amd also gets both kernels to run as guests."""
    out = kernels[name][1]
    run_dir = out / "bench/run" / engine
    root = run_dir / "root"
    for folder in ("dev", "proc", "sys", "tmp", "modules", "tests/x86"):
        (root / folder).mkdir(parents=True)
    shutil.copy(out / "image/init", root / "init")
    shutil.copy(out / "bench/module_load", root / "tests")
    for ko in [*(out / "image/modules").iterdir(), out / "bench/snp_page_bench.ko"]:
        shutil.copy(ko, root / "modules" / ko.name)
    first = [f"module {m}\n" for m in load_order(root / "modules", f"kvm-{engine}", set())[:-1]]
    guests = []
    if engine == "amd":
        shutil.copy(kernels["series"][1] / "image/selftests/x86/map_gpa_test", root / "tests/x86")
        guests.append(MAP_GPA)
    if (name, engine) == ("series", "amd"):
        for program in ("x86/guest_boot_test", "x86/guest_init", "x86/tdvmcall_test"):
            shutil.copy(out / "image/selftests" / program, root / "tests" / program)
        for guest, (_, where) in kernels.items():
            (root / "boot" / guest).mkdir(parents=True)
            for file in (where / "image/bzImage", where / "bench/hypercall_bench.ko"):
                shutil.copy(file, root / "boot" / guest)
            guests.append(GUEST.format(guest))
        guests.append(TDVMCALLS)
    plan = PLAN.format(guests="".join(guests)) if engine == "amd" else PLAN_INTEL
    (root / "plan").write_text("".join(first) + plan)
    engines.pack(root, run_dir / "initrd")
    shutil.rmtree(root)
    files = run_dir, out / "image/bzImage", run_dir / "initrd"
    if engine == "amd":
        argv = engines.qemu(*files, f"{engines.CMDLINE} rodata=off", accel=ICOUNT)
    else:
        argv = engines.bochs(*files)
    return engines.Machine(run_dir, argv)


def boot_guests(out):
    """label -> ns of each boot of a guest, in turn, with nothing beside them."""
    image, run_dir = out / "image", out / "bench/run/boots"
    run_dir.mkdir()
    plan = ["module kvm-amd", Test("bench", "x86/sev_guest_test", 280, "pass", ["-b"], "")]
    initrd = make_initrd(run_dir, plan, image, image, image / "init", None)
    machine = engines.Machine(run_dir, engines.qemu(run_dir, image / "bzImage", initrd))
    try:
        while not machine.ended() and machine.elapsed() < LIMIT:
            time.sleep(0.5)
    finally:
        machine.kill()
    return next(found for found in measured("boots", machine)[1] if found)


def measured(name, machine):
    """label -> instructions in each round, from the kernel's log."""
    results = machine.results().decode(errors="replace")
    console = (machine.run_dir / "console").read_text(errors="replace")
    if engines.END_MARKER.decode() not in results or "not ok" in results:
        raise Failed(f"bench: {name}: {results.strip() or 'no end of plan'}; see {machine.run_dir}")
    return parse(console), [parse(text) for text in results.split("\nok ")]


def parse(text):
    found = {}
    for label, count in re.findall(r"bench: (\w+) (\d+)\s*$", text, re.M):
        found.setdefault(label, []).append(int(count))
    return found


def text_size(out):
    sections = subprocess.run(["size", "-A", out / "kernel/vmlinux"], capture_output=True,
                              text=True, check=True).stdout
    return sum(int(size) for size in re.findall(r"^\.(?:init\.)?text\s+(\d+)", sections, re.M))


def bench(out):
    kernels = {"base": (out / f"base/linux-{BASE}", out / "base"),
               "series": (out / f"linux-{BASE}", out)}
    machines, started = {}, time.monotonic()
    try:
        for tree, where in kernels.values():
            build(tree, where)
        for name in kernels:
            for engine in ("amd", "intel"):
                machines[name, engine] = start(name, kernels, engine)
        while not all(m.ended() for m in machines.values()):
            if time.monotonic() - started > LIMIT:
                raise Failed(f"no end after {LIMIT} s; see {out}/bench/run")
            time.sleep(0.5)
    finally:
        for machine in machines.values():
            machine.kill()
    numbers = {name: {"text": [text_size(where)]} for name, (_, where) in kernels.items()}
    for (name, _), machine in machines.items():
        found, tests = measured(name, machine)
        numbers[name].update(found)
        # This kernel's hypercalls, two guests and the TDVMCALLs, in this order.
        for kernel, found in zip([name, *kernels, "calls"], [found for found in tests if found]):
            numbers.setdefault(kernel, {}).update(found)
    boots = boot_guests(out)
    for name, guest in (("base", "plain"), ("series", "sev")):
        numbers[name]["boot"] = [ns / 1000 for ns in boots[f"boot_{guest}"]]
    for name, what in (("base", "mainline"), ("series", "coco")):
        calls, no_exit = (numbers["calls"][f"tdvmcall_{what}_{call}"] for call in ("quote", "info"))
        unknown = statistics.median(numbers[name]["map_gpa_unknown"])
        numbers[name]["map_gpa_hypercall"] = [ticks - unknown for ticks
                                              in numbers[name]["map_gpa_hypercall"]]
        numbers[name]["map_gpa_exits"] = numbers["series"][f"map_gpa_exits_{what}"]
        numbers[name]["tdvmcall"] = [ticks - statistics.median(no_exit) for ticks in calls]
    lines = [f"{'instructions each':<38}{'base':>8}{'series':>8}{'ratio':>8}{'goal':>11}  spread"]
    missed = []
    for label, (what, goal) in GOALS.items():
        base, ours = numbers["base"].get(label), numbers["series"].get(label)
        if not base or not ours:
            raise Failed(f"{label} was not measured; see {out}/bench/run/console")
        base, ours = ([count / NS_PER_INSTRUCTION.get(label, 1) for count in rounds]
                      for rounds in (base, ours))
        middle = [statistics.median(rounds) for rounds in (base, ours)]
        ratio = middle[1] / middle[0]
        spread = max((max(rounds) - min(rounds)) / min(rounds) for rounds in (base, ours))
        lines.append(f"{what:<38}{middle[0]:>8.0f}{middle[1]:>8.0f}{ratio:>8.4f}"
                     f"{f'<= {goal:.6g}':>11}  {spread:.1%}")
        if ratio > goal:
            missed.append(what)
    early = (statistics.median(numbers["series"]["hypercall_early"])
             - statistics.median(numbers["series"]["hypercall_bare"]))
    what = "hypercall, early, over the instruction"
    lines.append(f"{what:<46}{early:>8.0f}{'':>8}{'< ' + str(EARLY_GOAL):>11}")
    if early >= EARLY_GOAL:
        missed.append(what)
    text = "\n".join(lines) + "\n"
    (out / "bench.txt").write_text(text)
    (out / "bench.state").write_text(records.state(out) + "\n")
    print(text + f"kept in {out}/bench.txt, {time.monotonic() - started:.0f} s")
    for what in missed:
        print(f"bench: {what}: the goal is missed")
    return 1 if missed else 0


if __name__ == "__main__":
    run_main("bench", lambda: bench(Path(sys.argv[1]).resolve()))
