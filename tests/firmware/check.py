# SPDX-License-Identifier: GPL-2.0-only
"""check.py OUT: the firmware's part in the negotiation of live migration.

Boots the composed kernel twice under OVMF, with one variable store.  The first
boot finds no consent and stores it, the second finds it; what the kernel makes
of either is asked from its own function, by the KUnit suite kvm_migration.
"""
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts.machine.clock import clock_faults
from scripts.machine.engines import tsc_khz
from scripts.machine.initrd import load_order
from scripts.machine.ktap import faults, parse
from scripts.machine.machine import Machine, pack
from scripts.machine.qemu import AMD_SEV, qemu
from scripts.machine.splats import splats
from scripts.results.total import print_total
from scripts.common import Failed, run_main, ROOT

OVMF = Path("/usr/share/OVMF")
LIMIT = 180
SUITE = "test 60 x86/kvm_kunit_test kvm_migration"
MODULE = "module kvm_migration_test firmware_allows="
BOOTS = [
    [MODULE + "0", SUITE, "unload kvm_migration_test", "test 30 efivar store",
     MODULE + "1", SUITE],
    ["test 30 efivar check", MODULE + "1", SUITE],
]


def make_initrd(run_dir, image, plan):
    root = run_dir / "root"
    for name in ("dev", "proc", "sys", "tmp", "tests/x86", "modules"):
        (root / name).mkdir(parents=True)
    shutil.copy(image / "init", root / "init")
    # The selftests' library wants a KVM, whatever they test.
    modules = load_order(image / "modules", "kvm-amd", set())
    for name in [*modules, "kvm_migration_test"]:
        shutil.copy(image / "modules" / f"{name}.ko", root / "modules")
    shutil.copy(image / "selftests/x86/kvm_kunit_test", root / "tests/x86")
    subprocess.run(["gcc", "-Wall", "-Wextra", "-O2", "-static", "-o", root / "tests/efivar",
                    ROOT / "tests/firmware/efivar.c"], check=True)
    plan = [f"module {name}" for name in modules] + plan
    (root / "plan").write_text("\n".join(plan) + "\n")
    pack(root, run_dir / "initrd")
    return run_dir / "initrd"


def boot(run_dir, image, store, plan):
    """The results of PLAN as (name, outcome), and what is wrong with the log."""
    run_dir.mkdir()
    flash = "if=pflash,format=raw"
    machine = Machine(run_dir, qemu(
        run_dir, image / "bzImage", make_initrd(run_dir, image, plan), cpu=AMD_SEV,
        extra=["-machine", "q35",
               "-drive", f"{flash},unit=0,readonly=on,file={OVMF}/OVMF_CODE_4M.fd",
               "-drive", f"{flash},unit=1,file={store}"]))
    try:
        # Until power-off: the store is to be written to the last byte.
        while machine.process.poll() is None and not machine.is_over(LIMIT):
            time.sleep(0.2)
        ended = machine.process.poll() is not None
    finally:
        machine.kill()
    # The firmware has cleared the screen of that port, too.
    report = machine.results()[max(machine.results().find(b"KTAP version"), 0):]
    results = [(name, outcome) for name, runs in parse(report).items() for outcome, _, _ in runs]
    console = (run_dir / "console").read_bytes()
    wrong = splats(console, "amd") + clock_faults(console, report, tsc_khz("amd"))
    if not ended:
        wrong.append(f"no power-off within {LIMIT} s")
    if b"EFI v2" not in console:
        wrong.append("the kernel was not started by EFI")
    wrong += faults(report)
    return results, wrong


def main():
    out = Path(sys.argv[1]).resolve()
    if not (OVMF / "OVMF_CODE_4M.fd").is_file():
        raise Failed(f"{OVMF}/OVMF_CODE_4M.fd is missing: apt-get install ovmf (or make deps)")
    run_dir = out / "firmware"
    shutil.rmtree(run_dir, ignore_errors=True)
    run_dir.mkdir(parents=True)
    store = run_dir / "store.fd"
    shutil.copy(OVMF / "OVMF_VARS_4M.fd", store)
    os.chmod(store, 0o600)

    passed = failed = 0
    for number, plan in enumerate(BOOTS, 1):
        results, wrong = boot(run_dir / f"boot{number}", out / "image", store, plan)
        for name, outcome in results:
            print(f"boot {number}: {name}: {outcome}")
        for line in wrong:
            print(f"boot {number}: {line}")
        good = sum(outcome == "pass" for _, outcome in results)
        passed += good
        failed += len(results) - good + len(wrong)
    print(f"consoles and KTAP: {run_dir}/boot*/console, results")
    return print_total(passed, failed)


if __name__ == "__main__":
    run_main("firmware", main)
