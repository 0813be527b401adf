# SPDX-License-Identifier: GPL-2.0-only
"""The machines that count, and their start and end."""
import functools
import os
import re
import shutil
import time
from pathlib import Path

from scripts.bench.build import PROGRAMS
from scripts.common import Failed
from scripts.machine import bochs, qemu
from scripts.machine.clock import options
from scripts.machine.initrd import load_order
from scripts.machine.machine import CMDLINE, END_MARKER, Machine, pack

# With -icount a guest hangs once in a hundred boots or so: either kernel, on a host of
# either kernel, spins for a lock with interrupts off.  A machine that says nothing for so
# many seconds of CPU time is started again.
SILENCE, STARTS = 90, 4
ICOUNT = ["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=0,sleep=off"]
KVM = ["-accel", "kvm", "-smp"]
VENDOR = {"amd": "kvm-amd", "intel": "kvm-intel", "tdx": "kvm-intel"}
# A tick of the TSC is an instruction, and Linux is told: KVM gives TDs that rate.
TDX_KHZ = 1_000_000


def hardware(cpuinfo=Path("/proc/cpuinfo"), device="/dev/kvm"):
    """The engine that this machine itself can be, or None."""
    found = re.search(r"^flags\s*:(.*)$", cpuinfo.read_text(), re.M)
    flags = found[1].split() if found and os.access(device, os.R_OK | os.W_OK) else []
    return "amd" if "svm" in flags else "intel" if "vmx" in flags else None


def machine(run_dir, kernel, engine, plan, guests, argv):
    """Start KERNEL in RUN_DIR; ARGV makes the engine's command line of the files."""
    shutil.rmtree(run_dir, ignore_errors=True)
    root = run_dir / "root"
    for folder in ("dev", "proc", "sys", "tmp", "modules", "tests", "boot"):
        (root / folder).mkdir(parents=True)
    shutil.copy(kernel.image / "init", root / "init")
    for ko in [*(kernel.image / "modules").iterdir(), kernel.work / "snp_page_bench.ko"]:
        shutil.copy(ko, root / "modules" / ko.name)
    first = [f"module {m}\n" for m in load_order(root / "modules", VENDOR[engine], set())[:-1]]
    series = guests[-1]
    for program in (kernel.work / "module_load", *[series.work / name for name in PROGRAMS],
                    series.image / "selftests/x86/guest_init"):
        shutil.copy(program, root / "tests")
    for guest in guests if "boot_bench" in plan else ():
        shutil.copy(guest.image / "bzImage", root / "boot" / guest.name)
        shutil.copy(guest.work / "hypercall_bench.ko", root / f"boot/hypercall-{guest.name}.ko")
    (root / "plan").write_text("".join(first) + plan.format(engine=engine))
    pack(root, run_dir / "initrd")
    shutil.rmtree(root)
    return Machine(run_dir, argv(run_dir, kernel.image / "bzImage", run_dir / "initrd"))


def counting(engine, real):
    """The command line of an engine that counts."""
    cmdline = f"{CMDLINE} rodata=off"
    if engine == real:
        return functools.partial(qemu.qemu, cmdline=cmdline, accel=[*KVM, "1"], cpu=qemu.HOST)
    if engine == "intel":
        return bochs.bochs
    if engine == "tdx":
        cpu = [word + f",tsc-frequency={TDX_KHZ}000" if "tdx" in word else word
               for word in qemu.TDX]
        return functools.partial(qemu.qemu, accel=ICOUNT, cpu=cpu, cmdline=
                                 f"{cmdline} nohibernate {options(TDX_KHZ)}")
    return functools.partial(qemu.qemu, cmdline=cmdline, accel=ICOUNT, cpu=qemu.AMD_SEV)


def cpu_time(each):
    fields = Path(f"/proc/{each.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def together(starts):
    """Run machines at once, to their end; STARTS has what starts each."""
    machines, said, left = {}, {}, {name: STARTS - 1 for name in starts}
    try:
        for name, start in starts.items():
            machines[name] = start()
        while not all(each.ended() for each in machines.values()):
            time.sleep(0.5)
            for name, each in machines.items():
                if each.ended():
                    continue
                size = sum((each.run_dir / file).stat().st_size for file in ("console", "results"))
                if said.get(name, (None,))[0] != size:
                    said[name] = size, cpu_time(each)
                if cpu_time(each) - said[name][1] < SILENCE:
                    continue
                each.kill()
                if not left[name]:
                    raise Failed(f"{each.run_dir}: it hangs, {STARTS} times of {STARTS}")
                left[name] -= 1
                print(f"bench: {each.run_dir.name} hangs, once more", flush=True)
                machines[name] = starts[name]()
    finally:
        for each in machines.values():
            each.kill()
    return machines


def measured(each):
    """label -> what each round counted, from the kernel's log and the programs' output."""
    results = each.results().decode(errors="replace")
    console = (each.run_dir / "console").read_text(errors="replace")
    if END_MARKER.decode() not in results or "not ok" in results:
        raise Failed(f"{each.run_dir.name}: {results.strip()[-800:] or 'no end of plan'}; "
                     f"see {each.run_dir}")
    found = {}
    for label, number in re.findall(r"bench: (\w+) (\d+)\s*$", f"{console}\n{results}", re.M):
        found.setdefault(label, []).append(int(number))
    return found
