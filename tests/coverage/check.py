# SPDX-License-Identifier: GPL-2.0-only
"""check.py OUT: which lines that the series adds its own tests execute.

A kernel whose added files, and some that it changes, are compiled for gcov runs the series' tests on every engine;
PID 1 prints the counts at the end, that of a Linux guest, too (guest.c, uart.c).  gcov
and not KCOV: it counts what any task, interrupt or early boot executes, and branches,
where KCOV traces the one task that asks for it.
A line that is not executed has to match tests/coverage/uncovered, which says why.
"""
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts.machine.engines import ENGINES
from scripts.machine.judge import judge, reasons
from scripts.machine.plan import OWN, read_expected
from scripts.machine.watch import run_image
from scripts.common import BASE, Failed, git, run_main, ROOT
from tests.coverage.counts import report, write_counts

CONFIG = [ROOT / "configs/kvm.config", ROOT / "configs/series.config",
          Path(__file__).with_name("coverage.config")]
EXCUSES = ROOT / "tests/coverage/uncovered"
GOAL = 0.95
# Files of the base of which the lines count that the series has changed.
CHANGED = ("arch/x86/kvm/svm/sev.c", "arch/x86/kvm/vmx/tdx.c")


def added(tree):
    """The kernel's C files that come with the series; gcov knows nothing of assembly."""
    names = git(tree, "diff", "--name-only", "--diff-filter=A", "base", "series").split()
    return sorted(name for name in names if name.endswith(".c") and not name.startswith("tools/"))


def changed_lines(tree, file):
    """The numbers of the lines of FILE that the series has changed."""
    hunks = re.findall(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@",
                       git(tree, "diff", "-U0", "base", "series", "--", file), re.M)
    return {number for start, count in hunks
            for number in range(int(start), int(start) + int(count or 1))}


def compile_c(*args):
    done = subprocess.run(["gcc", "-Wall", "-O2", "-D_GNU_SOURCE", "-static", *args], check=False,
                          capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{args[-1]}: {done.stderr.strip()[-500:]}")


def build(tree, out, files):
    # As its Makefile calls it, which may be one of a folder above.  Others have a sev.o, too,
    # the decompressor for one, for which there is no gcov.
    names = [Path(file).with_suffix(".o") for file in files]
    objects = [f"GCOV_PROFILE_{'/'.join(name.parts[-n:])}=y" for file, name in zip(files, names)
               for n in ((2,) if file in CHANGED else (1, 2))]
    out.mkdir(exist_ok=True)
    # A build that was interrupted may have left gcc's notes of another object.
    for name in names:
        (out / "kernel" / name).unlink(missing_ok=True)
    for source in ("guest", "uart"):
        compile_c("-c", "-o", out / f"{source}.o", Path(__file__).with_name(f"{source}.c"))
    done = subprocess.run([ROOT / "scripts/build/build.sh", tree, out,
                           *CONFIG], check=False,
                          env={**os.environ, "KERNEL_ARGS": " ".join(objects), "TEST_LIBS":
                               f"{out}/uart.o -Wl,--wrap=linux_guest_uart_write"})
    if done.returncode:
        raise Failed(f"the kernel for coverage does not build, see {out}/log")
    # With a C library, unlike the selftest itself: gcov's files are in many folders.
    compile_c("-w", "-o", out / "image/selftests/x86/guest_init", out / "guest.o",
              "-Wl,--wrap=reboot", tree / "tools/testing/selftests/kvm/x86/guest_init.c")


def run_tests(out):
    """Machines that have ended, and what failed in them."""
    plans = {name: read_expected(name, {"all"} | OWN) + ["gcov"] for name in ENGINES}
    machines, stopped = run_image(out, plans, 3600)
    why = []
    for name, plan in plans.items():
        why += reasons(name, judge(name, plan, machines[name], stopped))
    return machines, why


def excuses():
    """[(path, pattern of a line, why)]"""
    found = []
    for number, line in enumerate(EXCUSES.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            body, _, why = line.rpartition(" # ")
            path, _, pattern = body.partition(" ")
            if not pattern.strip() or not why.strip():
                raise Failed(f"{EXCUSES}:{number}: not 'PATH PATTERN # REASON'")
            found.append((path, re.compile(pattern.strip()), why.strip()))
    return found


def judge_lines(tree, files, counts):
    """The table, and what is wrong with it."""
    rules, used, wrong = excuses(), set(), []
    print(f"{'executed':<46}{'lines':>12}{'':>8}{'branches':>12}{'':>8}")
    sums = [0, 0, 0, 0]
    for file in files:
        if file not in counts:
            raise Failed(f"{file}: no machine has counted anything; is it built and loaded?")
        source = (tree / file).read_text().splitlines()
        lines = counts[file]
        if file in CHANGED:
            ours = changed_lines(tree, file)
            lines = {number: line for number, line in lines.items() if number in ours}
        branches = [count for _, found in lines.values() for count in found]
        row = [sum(count > 0 for count, _ in lines.values()), len(lines),
               sum(count > 0 for count in branches), len(branches)]
        sums = [a + b for a, b in zip(sums, row)]
        print(f"{file:<46}" + "".join(f"{a:>6}/{b:<5}{a / b if b else 1:>8.1%}"
                                      for a, b in (row[:2], row[2:])))
        for number, (count, _) in sorted(lines.items()):
            if count:
                continue
            text = source[number - 1].strip()
            # Of a file of the base, each excuse is for one line: others may look the same.
            rule = next((r for r in rules if r[0] == file and r[1].search(text)
                         and not (file in CHANGED and r in used)), None)
            print(f"    {number}: {text}    # {rule[2] if rule else 'NOT EXPLAINED'}")
            if rule:
                used.add(rule)
            else:
                wrong.append(f"{file}:{number}: {text}")
    print(f"{'all':<46}" + "".join(f"{a:>6}/{b:<5}{a / b:>8.1%}" for a, b in (sums[:2], sums[2:])))
    if sums[0] / sums[1] < GOAL:
        wrong.append(f"{sums[0] / sums[1]:.1%} of all lines, the goal is {GOAL:.0%}")
    for path, pattern, _ in set(rules) - used:
        print(f"coverage: {EXCUSES.name}: {path} {pattern.pattern}: executed, or gone")
    return wrong


def main(out):
    tree, work, started = out / f"linux-{BASE}", out / "coverage", time.monotonic()
    files = added(tree) + list(CHANGED)
    build(tree, work, files)
    machines, why = run_tests(work)
    for name in ("counts", "html"):
        shutil.rmtree(work / name, ignore_errors=True)
        (work / name).mkdir()
    write_counts(work / "kernel", work / "counts", [m.results() for m in machines.values()])
    counts = report(tree, work / "kernel", work / "counts", files, work / "html")
    why += judge_lines(tree, files, counts)
    for line in why:
        print(f"coverage: {line}")
    print(f"coverage: {work}/html/index.html; counts in {work}/run/ENGINE/results, "
          f"{time.monotonic() - started:.0f} s")
    return 1 if why else 0


if __name__ == "__main__":
    run_main("coverage", lambda: main(Path(sys.argv[1]).resolve()))
