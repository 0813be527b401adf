# SPDX-License-Identifier: GPL-2.0-only
"""Engines intel and intel-smp: Intel VMX under Bochs."""
import os
import subprocess

from scripts.common import Failed
from scripts.machine.clock import options
from scripts.machine.machine import CMDLINE, need

IPS = 200_000_000
# Bochs counts the TSC up by one per instruction.
TSC_KHZ = IPS // 1000

RC = """\
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


def bochs(run_dir, kernel, initrd, cmdline=CMDLINE, cpus=1):
    """Intel VMX under Bochs, from a GRUB ISO: Bochs cannot load a kernel."""
    need("bochs", "bochs")
    need("grub-mkrescue", "grub-common")
    need("xorriso", "xorriso")
    cmdline += f" {options(TSC_KHZ)}"
    iso = run_dir / "iso"
    (iso / "boot/grub").mkdir(parents=True)
    os.link(kernel, iso / "bzImage")
    os.link(initrd, iso / "initrd")
    (iso / "boot/grub/grub.cfg").write_text(GRUB_CFG.format(cmdline=cmdline))
    made = subprocess.run(["grub-mkrescue", "-o", run_dir / "boot.iso", iso],
                          capture_output=True, text=True, check=False)
    if made.returncode:
        raise Failed(f"grub-mkrescue {run_dir}/boot.iso: {made.stderr[-500:]}")
    (run_dir / "bochsrc").write_text(RC.format(dir=run_dir, cpus=cpus, ips=IPS))
    # Debian builds Bochs with its debugger, which waits for "continue".
    (run_dir / "bochs.rc").write_text("c\n")
    return ["bochs", "-q", "-f", str(run_dir / "bochsrc"), "-rc", str(run_dir / "bochs.rc")]
