# SPDX-License-Identifier: GPL-2.0-only
"""Engines amd, amd-sev and tdx: AMD SVM or Intel TDX under the TCG of our QEMU (make qemu)."""
import os

from scripts.machine.clock import options
from scripts.machine.machine import BEATS, CMDLINE, need
from scripts.machine.tsc import TDX_KHZ, host_khz

EMULATOR = os.environ.get("EMULATOR") or "qemu-system-x86_64"
# Debian's packages seabios and qemu-system-data.
FIRMWARE = ["-L", "/usr/share/seabios", "-L", "/usr/share/qemu"]
# make kicks: a race of the emulator that is seen once in many hours is seen in minutes.
KICK = f",kick-us={os.environ['KICK_US']}" if os.environ.get("KICK_US") else ""
# make rmp-faults: what the kernel has for errors is executed.
RMP_FAULTS = (f",x-rmp-fail-rate={os.environ['RMP_FAULTS']}" if os.environ.get("RMP_FAULTS")
              else "")
# make tdx-faults: leaves of the TDX module fail as they do for a while on hardware.
TDX_FAULTS = (f",tdx-fault-seed={os.environ['TDX_FAULTS']}" if os.environ.get("TDX_FAULTS")
              else "")
# make debug-full: Linux's identify_cpu() forgets for a moment that paging has five levels.  After
# an interrupt in it KASAN complains about a good address, and says nothing more from then on.
PAGING = " no5lvl" if os.environ.get("NO5LVL") else ""
TCG = ["-accel", f"tcg,thread=multi{KICK}", "-smp", "2"]
# The C-bit is the topmost of 52 bits of physical addresses.
MODEL = ("EPYC-Milan,+svm,+npt,+nrip-save,+decodeassists,+flushbyasid,+lbrv,+tsc-scale,"
         "+v-vmsave-vmload,+sev,+sev-es,+sme-coherent,phys-bits=52")
# What KVM and QEMU offer to guests on any processor, and the security processor allows in an
# SNP guest's CPUID only if this one has it.
OFFERED = ("+x2apic,+svme-addr-chk,+vmcb-clean,+overflow-recov,+succor,"
           "+null-sel-clr-base,+lfence-always-serializing")
BOARD = ["-machine", "q35", "-device", "amd-psp", "-m", "3G"]
# Linux wants RMPREAD of CPUs of this family, no hypervisor below, and that the IOMMU checks
# the Reverse Map Table as well.
AMD = ["-cpu", f"{MODEL},{OFFERED},+sev-snp,+rmpread,-hypervisor,+snp-2m-erratum{RMP_FAULTS}", *BOARD,
       "-device", "amd-iommu"]
AMD_SEV = ["-cpu", MODEL, *BOARD]
# With 52 bits of physical addresses, a TD can have either GPAW.  Linux's TDX code needs
# movdir64b and ss.
TDX = ["-cpu", "SapphireRapids,+vmx,+tdx,+ss,+movdir64b,+movdiri,phys-bits=52",
       "-machine", f"q35{TDX_FAULTS}", "-m", "3G"]
# What two machines have in common: enough for lib/x86/linux_guest_link.c of the selftests.
LINE_SIZE = "64M"
# For -accel kvm: this machine's own CPU
HOST = ["-cpu", "host", "-m", "3G"]


def qemu(run_dir, kernel, initrd, cmdline=CMDLINE, accel=TCG, cpu=AMD, extra=(), khz=None):
    """AMD SVM under QEMU's TCG, unless ACCEL and CPU say otherwise.  KHZ is the TSC's rate, if
    it is not the host's."""
    need(EMULATOR, "make qemu")
    if accel is TCG:
        cmdline += f" {BEATS} {options(khz or host_khz())}"
    return [EMULATOR, *FIRMWARE, "-nodefaults", "-no-user-config",
            "-display", "none", "-monitor", "none", "-no-reboot",
            *accel, *cpu, "-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline,
            "-serial", f"file:{run_dir}/console",
            "-serial", "stdio", *extra]


def tdx(run_dir, kernel, initrd):
    """Intel TDX.  Linux does not use it if it could hibernate."""
    return qemu(run_dir, kernel, initrd, f"{CMDLINE} nohibernate{PAGING}", cpu=TDX, khz=TDX_KHZ)


def peer(run_dir, kernel, initrd, side):
    """One of two machines, each with a security processor of its own, and a line between them."""
    line = run_dir.parent / "line"
    if side == 0:
        line.unlink(missing_ok=True)
    # Another chip, and the second has an older version.
    psp = f"amd-psp,seed=host-{side},api-minor={55 - side}"
    cpu = [psp if word == "amd-psp" else word for word in AMD_SEV]
    return qemu(run_dir, kernel, initrd, cpu=cpu, extra=[
        "-object", f"memory-backend-file,id=line,share=on,mem-path={line},size={LINE_SIZE}",
        "-device", "ivshmem-plain,memdev=line"])
