# SPDX-License-Identifier: GPL-2.0-only
"""Engine amd: AMD SVM under QEMU's TCG."""
from scripts.machine.clock import options
from scripts.machine.machine import BEATS, CMDLINE, need
from scripts.machine.tsc import host_khz

# QEMU's TCG with SVM.  CPU 0 runs no VM: whenever a CPU restores x87 state, QEMU reads and
# writes CPU 0's hflags2 (cpu_clear_ignne()), without a lock.  If CPU 0 is in VMRUN or
# #VMEXIT at that moment, it goes on with nested paging on or off by mistake, and a guest
# of KVM ends by a triple fault.  Debian's 7.2 and 10.0 both do it.
TCG = ["-accel", "tcg,thread=multi", "-smp", "3"]
FIRST_TEST_CPU = "first_test_cpu=1"
# Software SEV VMs need 48 bits of physical addresses.
AMD = ["-cpu", "EPYC,+svm,+npt,phys-bits=48", "-m", "3G"]
# For -accel kvm: this machine's own CPU
HOST = ["-cpu", "host", "-m", "3G"]


def qemu(run_dir, kernel, initrd, cmdline=CMDLINE, accel=TCG, cpu=AMD, extra=()):
    """AMD SVM under QEMU's TCG, unless ACCEL and CPU say otherwise."""
    need("qemu-system-x86_64", "qemu-system-x86")
    if accel is TCG:
        cmdline += f" {FIRST_TEST_CPU} {BEATS} {options(host_khz())}"
    return ["qemu-system-x86_64", "-nodefaults", "-no-user-config",
            "-display", "none", "-monitor", "none", "-no-reboot",
            *accel, *cpu, "-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline,
            "-serial", f"file:{run_dir}/console",
            "-serial", "stdio", *extra]
