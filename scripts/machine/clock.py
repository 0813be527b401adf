# SPDX-License-Identifier: GPL-2.0-only
"""A machine's clock: its rate is given to the kernel, which must not measure it.

On a busy host whatever the kernel measures the TSC with is late, and the kernel would
take the TSC for the one that is wrong.  So every console, and every guest of a test, has
to say the one rate, and nothing of a measurement.
"""
import re

# CONFIG_HZ of the kernels, see configs/kvm.config.
HZ = 250

# What a kernel says of a measurement; whatever the case of its letters.
MEASURED = (
    r"calibrat",                                # of the TSC, the APIC's timer or udelay()
    r"TSC freq ",                               # measured once more, by another timer
    r"delta adjusted to PM",                    # what the APIC's timer has counted is replaced
    r"verification failure", r"APIC frequency too slow",    # the APIC's timer is not used
    r"Marking TSC unstable", r"TSC warp", r"TSC synchronization",   # the TSC is looked at
    r"clocksource: .*(unstable|skew)",          # a clock looked at by another
    r"PM-Timer (running|had|failed)",           # the PM timer looked at by the PIT
    r"timer doesn't work")                      # no interrupt of the PIT has come in time
HARMLESS = (
    r"Calibrating delay loop \(skipped\)",      # udelay() takes what it is given
    r"Fast TSC calibration (failed|using PIT)",     # of the CPU's rate; the TSC's is given
    # Measured by the PM timer as well, which is as late as the APIC's: see ADJUSTED.
    r"APIC calibration not consistent with PM-Timer")
RATE = re.compile(r"tsc: Detected (\d+\.\d{3}) MHz (processor|TSC)")
# The APIC's timer by the PM timer: right however late both were read, so it is looked at.
ADJUSTED = re.compile(r"APIC delta adjusted to PM-Timer: (\d+) ")
# QEMU's: 1 GHz by 16, in the 100 ms of the measurement
APIC_DELTA = 6_250_000

GUEST = re.compile(r"guest clock: (.*)")


def options(khz):
    """For the kernel's command line: it neither measures the TSC nor refines its rate, nor
    does it wait for interrupts that have to come in time."""
    return (f"tsc=reliable tsc_early_khz={khz} setcpuid=tsc_known_freq no_timer_check "
            f"lpj={khz * 1000 // HZ}")


def rates(lines):
    """(rate, line) for each kernel; the TSC's comes after the processor's, if it differs."""
    found = []
    for line in lines:
        rate = RATE.search(line)
        if rate and rate[2] == "TSC" and found:
            found.pop()
        if rate:
            found.append((rate[1], line))
    return found


def is_fault(line):
    adjusted = ADJUSTED.search(line)
    if adjusted:
        return abs(int(adjusted[1]) - APIC_DELTA) > APIC_DELTA / 100
    return bool(re.search("|".join(MEASURED), line, re.I)
                and not re.search("|".join(HARMLESS), line))


def faults(lines, khz):
    wanted = f"{khz // 1000}.{khz % 1000:03}"
    return ([line.strip() for line in lines if is_fault(line)] +
            [f"{line.strip()}, not {wanted}" for rate, line in rates(lines) if rate != wanted])


def clock_faults(console, results, khz):
    """The lines of CONSOLE, and of the tests' guests in RESULTS, that are not of a clock of KHZ."""
    lines = console.decode(errors="replace").splitlines()
    guests = GUEST.findall(results.decode(errors="replace").replace("\r", ""))
    return faults(lines, khz) + [f"a guest: {line}" for line in faults(guests, khz)]
