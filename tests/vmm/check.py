# SPDX-License-Identifier: GPL-2.0-only
"""check.py OUT: our QEMU as a VMM, and what it does with the exits.

The QEMU that emulates the machine runs in it once more, with KVM, and boots the composed
kernel as a guest without encryption.  tests/vmm/vmm has what is expected.
"""
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts.common import Failed, ROOT, run_main
from scripts.host.kit import libraries
from scripts.machine import clock
from scripts.machine.engines import ENGINES, tsc_khz
from scripts.machine.initrd import load_order
from scripts.machine.ktap import faults, parse
from scripts.machine.machine import Machine, pack
from scripts.machine.qemu import EMULATOR
from scripts.machine.splats import splats
from scripts.results.total import print_total

HERE = ROOT / "tests/vmm"
BUSYBOX = Path("/bin/busybox")
# Debian's packages seabios and qemu-system-data.
FIRMWARE = ["/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/linuxboot_dma.bin",
            "/usr/share/qemu/kvmvapic.bin"]
ENGINE = "amd-sev"
LIMIT = 300


def busybox_root(root, init):
    """A system whose PID 1 is INIT, of which the shell and all commands are busybox."""
    for name in ("dev", "proc", "sys", "tmp", "bin"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    commands = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    for command in commands.stdout.split():
        if command != "busybox":
            (root / "bin" / command).symlink_to("busybox")
    shutil.copy(init, root / "init")
    (root / "init").chmod(0o755)


def add_qemu(root):
    """QEMU with its libraries.  The loader has to be where it is here."""
    vmm = root / "vmm"
    (vmm / "lib").mkdir(parents=True)
    shutil.copy(EMULATOR, vmm / "qemu")
    for library in libraries(EMULATOR):
        if library.name.startswith("ld-linux"):
            (root / library.parent.relative_to("/")).mkdir(parents=True, exist_ok=True)
            shutil.copy(library, root / library.relative_to("/"))
        else:
            shutil.copy(library, vmm / "lib")
    for file in FIRMWARE:
        shutil.copy(file, vmm)


def make_initrd(run_dir, image):
    guest = run_dir / "guest"
    busybox_root(guest, HERE / "guest-init")
    root = run_dir / "root"
    busybox_root(root, image / "init")
    (root / "modules").mkdir()
    (root / "tests").mkdir()
    modules = load_order(image / "modules", "kvm-amd", set())
    for name in modules:
        shutil.copy(image / "modules" / f"{name}.ko", root / "modules")
    add_qemu(root)
    pack(guest, root / "vmm/guest.initrd")
    shutil.copy(image / "bzImage", root / "vmm")
    script = (HERE / "vmm").read_text().replace("$CLOCK", clock.options(tsc_khz(ENGINE)))
    (root / "tests/vmm").write_text(script)
    (root / "tests/vmm").chmod(0o755)
    plan = [*(f"module {name}" for name in modules), f"test {LIMIT} vmm"]
    (root / "plan").write_text("\n".join(plan) + "\n")
    pack(root, run_dir / "initrd")
    shutil.rmtree(root)
    shutil.rmtree(guest)
    return run_dir / "initrd"


def boot(run_dir, image):
    """The machine after the test, and whether it ended."""
    machine = Machine(run_dir, ENGINES[ENGINE](run_dir, image / "bzImage", make_initrd(run_dir, image)))
    try:
        while not machine.ended() and not machine.is_over(60 + LIMIT):
            time.sleep(0.2)
        return machine, machine.ended()
    finally:
        machine.kill()


def main(out):
    for file in [*map(Path, FIRMWARE), BUSYBOX]:
        if not file.is_file():
            raise Failed(f"{file} is missing: make deps")
    out = out.resolve()
    run_dir = out / "vmm"
    shutil.rmtree(run_dir, ignore_errors=True)
    run_dir.mkdir(parents=True)
    machine, ended = boot(run_dir, out / "image")
    report = machine.results()
    for line in report.decode(errors="replace").splitlines():
        if re.match(r"# +[\d.]+ (ok|not ok) - ", line):
            print(line[2:])
    outcomes = [run[0] for runs in parse(report).values() for run in runs]
    wrong = faults(report) + splats((run_dir / "console").read_bytes(), ENGINE)
    if not ended:
        wrong.append("the machine did not end in time")
    for line in wrong:
        print(f"vmm: {line}")
    passed = outcomes.count("pass")
    print(f"console and KTAP: {run_dir}/console, results")
    return print_total(passed, len(outcomes) - passed + len(wrong))


if __name__ == "__main__":
    run_main("vmm", lambda: main(Path(sys.argv[1])))
