# SPDX-License-Identifier: GPL-2.0-only
"""The two emulated machines: what they are made of and how they are started.

Both show the kernel's console on the first serial port and PID 1's KTAP on the
second, each in a file of its own.  Nothing here knows what a test is.
"""
import functools
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from scripts.common import Failed

# panic=-1: a panic ends the machine at once, the console says why.
CMDLINE = "console=ttyS0,115200 panic=-1 oops=panic printk.devkmsg=on"

END_MARKER = b"# end of plan"

# QEMU's TCG with SVM.  CPU 0 runs no VM: whenever a CPU restores x87 state, QEMU reads and
# writes CPU 0's hflags2 (cpu_clear_ignne()), without a lock.  If CPU 0 is in VMRUN or
# #VMEXIT at that moment, it goes on with nested paging on or off by mistake, and a guest
# of KVM ends by a triple fault.  Debian's 7.2 and 10.0 both do it.
TCG = ["-accel", "tcg,thread=multi", "-smp", "3"]
FIRST_TEST_CPU = "first_test_cpu=1"
# The TSC is the host's clock.  What the kernel measures it with is late if the host is busy,
# and the kernel would take the TSC for the one that is wrong.
TSC = "tsc=reliable"
# Software SEV VMs need 48 bits of physical addresses.
AMD = ["-cpu", "EPYC,+svm,+npt,phys-bits=48", "-m", "3G"]
# For -accel kvm: this machine's own CPU
HOST = ["-cpu", "host", "-m", "3G"]

BOCHS_IPS = 200_000_000

BOCHS_RC = """\
# The newest model that boots an unmodified kernel; it has EPT.
# ips is virtual speed: seconds in the guest.
cpu: model=corei7_haswell_4770, count={cpus}, ips={ips}, ignore_bad_msrs=1
memory: guest=1024, host=1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
ata0-master: type=cdrom, path={dir}/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={dir}/console
com2: enabled=1, mode=file, dev={dir}/results
# There is no display to show: rfb without waiting for a viewer.
display_library: rfb, options="timeout=0"
# Without a sound card Bochs dies in the sound driver it would pick by itself.
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
# Bochs's own complaints are no finding about the kernel.
log: {dir}/bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
"""

GRUB_CFG = """\
set timeout=0
linux /bzImage {cmdline}
initrd /initrd
boot
"""


def need(program, package):
    if not shutil.which(program):
        raise Failed(f"{program} is missing: apt-get install {package} (or make deps)")


def pack(root, initrd):
    """The directory ROOT as an initramfs."""
    names = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
    archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=root,
                             input=names, capture_output=True, check=True).stdout
    with open(initrd, "wb") as out:
        subprocess.run(["gzip", "-1"], input=archive, stdout=out, check=True)


def qemu(run_dir, kernel, initrd, cmdline=CMDLINE, accel=TCG, cpu=AMD, extra=()):
    """AMD SVM under QEMU's TCG, unless ACCEL and CPU say otherwise."""
    need("qemu-system-x86_64", "qemu-system-x86")
    if accel is TCG:
        cmdline += f" {FIRST_TEST_CPU} {TSC}"
    return ["qemu-system-x86_64", "-nodefaults", "-no-user-config",
            "-display", "none", "-monitor", "none", "-no-reboot",
            *accel, *cpu, "-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline,
            "-serial", f"file:{run_dir}/console",
            "-serial", f"file:{run_dir}/results", *extra]


def bochs(run_dir, kernel, initrd, cmdline=CMDLINE, cpus=1):
    """Intel VMX under Bochs, from a GRUB ISO: Bochs cannot load a kernel."""
    need("bochs", "bochs")
    need("grub-mkrescue", "grub-common")
    need("xorriso", "xorriso")
    iso = run_dir / "iso"
    (iso / "boot/grub").mkdir(parents=True)
    os.link(kernel, iso / "bzImage")
    os.link(initrd, iso / "initrd")
    (iso / "boot/grub/grub.cfg").write_text(GRUB_CFG.format(cmdline=cmdline))
    made = subprocess.run(["grub-mkrescue", "-o", run_dir / "boot.iso", iso],
                          capture_output=True, text=True, check=False)
    if made.returncode:
        raise Failed(f"grub-mkrescue {run_dir}/boot.iso: {made.stderr[-500:]}")
    (run_dir / "bochsrc").write_text(BOCHS_RC.format(dir=run_dir, cpus=cpus, ips=BOCHS_IPS))
    # Debian builds Bochs with its debugger, which waits for "continue".
    (run_dir / "bochs.rc").write_text("c\n")
    return ["bochs", "-q", "-f", str(run_dir / "bochsrc"), "-rc", str(run_dir / "bochs.rc")]


# Bochs runs its CPUs in turn, in one thread: two cost twice the time and more.
ENGINES = {"amd": qemu, "intel": bochs, "intel-smp": functools.partial(bochs, cpus=2)}


class Machine:
    """One running engine; what it wrote is in run_dir/console and results."""

    def __init__(self, run_dir, argv):
        self.run_dir = Path(run_dir)
        for name in ("console", "results"):
            (self.run_dir / name).write_bytes(b"")
        with open(self.run_dir / "engine.log", "wb") as log:
            # pdeathsig: whatever becomes of the driver, no engine outlives it.
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        self.started = time.monotonic()

    def elapsed(self):
        return time.monotonic() - self.started

    def results(self):
        return (self.run_dir / "results").read_bytes()

    def ended(self):
        """True when PID 1 has carried out the plan or the engine is gone."""
        return END_MARKER in self.results() or self.process.poll() is not None

    def kill(self):
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
