# SPDX-License-Identifier: GPL-2.0-only
"""check.py OUT SELFTESTS: the packages of make deb in OUT, installed and booted.

Installs the kernel package in a Debian system, boots what it has installed, by the
initramfs that its hooks made, on engine amd, and runs there some of the tests of the
tarball of make kselftest-install, as its runner runs them.
"""
import sys
import time
from pathlib import Path

from scripts.machine.clock import clock_faults
from scripts.machine.engines import tsc_khz
from scripts.machine.ktap import faults, parse, tests_done
from scripts.machine.machine import CMDLINE, Machine, need
from scripts.machine.qemu import AMD_SEV, qemu
from scripts.machine.splats import splats
from scripts.results.total import print_total
from scripts.common import Failed, ROOT, run_main
from tests.deb.root import make_disk, say

LIMIT = 900
# As a user would load them.
MODULES = ["kvm_amd", "snp_page_test", "snp_psc_test"]
TESTS = ["svm_snp_page_test", "map_gpa_test", "tdvmcall_test", "migration_control_exit_test",
         "guest_boot_test"]


def boot(work):
    """The running machine, until it has powered off; and what is wrong with that."""
    cmdline = f"{CMDLINE} root=/dev/vda rw init=/sbin/test-init"
    machine = Machine(work, qemu(work, work / "vmlinuz", work / "initrd", cmdline, cpu=AMD_SEV, extra=[
        "-drive", f"file={work}/disk,format=raw,if=virtio,cache=unsafe"]))
    shown = 0
    try:
        while machine.process.poll() is None and not machine.is_over(LIMIT):
            time.sleep(0.2)
            if machine.elapsed() - shown >= 30:
                shown = machine.elapsed()
                say(f"{tests_done(machine.results())}/{len(MODULES) + len(TESTS) + 1} results, "
                    f"{shown:.0f} s")
        ended = machine.process.poll() is not None
    finally:
        machine.kill()
    say(f"machine: {machine.elapsed():.0f} s")
    return machine, [] if ended else [f"no power-off within {LIMIT} s"]


def main(out, selftests):
    for program, package in (("mmdebstrap", "mmdebstrap"), ("mke2fs", "e2fsprogs"),
                             ("unshare", "util-linux")):
        need(program, package)
    images = list(out.glob("linux-image-*.deb"))
    if len(images) != 1:
        raise Failed(f"{out} has {len(images)} packages linux-image-*.deb, not one")
    work = out / "run"
    work.mkdir(parents=True, exist_ok=True)
    release = make_disk(work, images[0], selftests, {
        "sbin/test-init": ((ROOT / "tests/deb/init").read_text(), 0o755),
        "modules": ("".join(f"{m}\n" for m in MODULES), 0o644),
        "tests": ("".join(f"{t}\n" for t in TESTS), 0o644)})
    machine, wrong = boot(work)
    results = parse(machine.results())
    passed = failed = skipped = 0
    for name in [f"modprobe-{m.split()[0]}" for m in MODULES] + TESTS + ["run_kselftest"]:
        outcome, detail, _ = (results.pop(name, None) or [("fail", "no result", 0)])[0]
        print(f"{name:<48}{outcome} {detail}".rstrip())
        passed += outcome == "pass"
        failed += outcome == "fail"
        skipped += outcome == "skip"
    wrong += [f"result of an unknown test: {name}" for name in results]
    if f"# kernel {release}".encode() not in machine.results().replace(b"\r", b"").split(b"\n"):
        wrong.append(f"the kernel that booted is not {release}")
    wrong += faults(machine.results())
    console = (work / "console").read_bytes()
    wrong += splats(console, "amd") + clock_faults(console, machine.results(), tsc_khz("amd"))
    for line in wrong:
        print(f"deb-boot: {line}")
    failed += len(wrong)
    print(f"console and KTAP: {work}/console, results; installation: {work}/root.log")
    return print_total(passed, failed, skipped)


if __name__ == "__main__":
    run_main("deb-boot", lambda: main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()))
