# SPDX-License-Identifier: GPL-2.0-only
"""The series against the unpatched base, in one run: bench.txt and bench.svg.

Both kernels have the same configuration and run the same measuring programs
(tests/bench).  Under QEMU -icount a TSC tick is an instruction, so that the noise of
the machine is out; all machines of a kernel run at once.  kvm-intel runs under Bochs,
which counts instructions as well.  Wall time is for the boots at the end alone: none of
these runs beside them, and the machines take turns.  The counts are the same on a busy
machine.

On a machine with /dev/kvm and svm or vmx in /proc/cpuinfo, the machines of that
vendor run under QEMU -accel kvm -cpu host instead, with the same plan: the TSC's
cycles are counted, guests are nested ones, and the boots run there too.  That takes
the module parameter nested.  The rest stays emulated: kvm-intel's loading on AMD,
kvm-amd's and SNP-safe pages on Intel, TDs, guests that take their VM for an SEV VM.  Goals remain: they are
ratios.  Nobody has tried this yet: there was no such machine.
"""
import shutil
import sys
import time
from pathlib import Path

from scripts.bench import picture, rows
from scripts.bench.build import PROGRAMS, Kernel, build, sizes
from scripts.bench.machines import hardware
from scripts.bench.measure import boots, count
from scripts.common import BASE, run_main
from scripts.results import records


def bench(out):
    started = time.monotonic()
    tree, plain = out / f"linux-{BASE}", out / "plain"
    build(out / f"base/linux-{BASE}", out / "base")
    build(tree, plain, PROGRAMS)
    shutil.rmtree(out / "bench", ignore_errors=True)
    base = Kernel("base", out / "base/image", out / "base/bench")
    ours = Kernel("ours", plain / "image", plain / "bench")
    tests = Kernel("tests", out / "image", plain / "bench")
    real = hardware()
    print(f"bench: {f'{real} is this machine itself' if real else 'both engines are emulated'}; "
          f"built after {time.monotonic() - started:.0f} s", flush=True)
    numbers = {**sizes(base), **sizes(ours)}
    numbers |= count(out, base, ours, real)
    print(f"bench: counted after {time.monotonic() - started:.0f} s", flush=True)
    numbers |= boots(out, base, ours, tests, real)
    unit = f"TSC cycles ({real})" if real else "instructions"
    groups = rows.results(numbers)
    text = rows.table(groups, unit)
    (out / "bench.txt").write_text(text)
    (out / "bench.svg").write_text(picture.svg(groups, unit))
    (out / "bench.state").write_text(records.state(out) + "\n")
    print(text + f"kept in {out}/bench.txt and bench.svg, {time.monotonic() - started:.0f} s")
    for title, here in groups:
        for found in here:
            if found.missed or found.busy:
                print(f"bench: {title}: {found.row.what}: {rows.verdict(found)}")
    return int(any(found.missed for _, here in groups for found in here))


if __name__ == "__main__":
    run_main("bench", lambda: bench(Path(sys.argv[1]).resolve()))
