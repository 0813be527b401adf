# SPDX-License-Identifier: GPL-2.0-only
"""How fast the host's TSC runs, which is the TSC of a machine under TCG as well."""
import ctypes
import functools
import mmap
import time

# The machine with TDX has a TSC of its own, as TDs need one of a multiple of 25 MHz.
TDX_KHZ = 2_500_000

# rdtsc; shl $32, %rdx; or %rdx, %rax; ret
RDTSC = bytes.fromhex("0f31 48c1e220 4809d0 c3")


def _moment(rdtsc, tries=2000):
    """The TSC and CLOCK_MONOTONIC at one moment: of TRIES the one that took the least time.

    One that nothing interrupts is enough, however busy the host is."""
    def one():
        before, ns, after = rdtsc(), time.monotonic_ns(), rdtsc()
        return after - before, (before + after) // 2, ns
    return min(one() for _ in range(tries))[1:]


@functools.cache
def host_khz(seconds=0.2):
    """Measured, for the host's kernel does not say it."""
    with mmap.mmap(-1, mmap.PAGESIZE,
                   prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(RDTSC)
        byte = ctypes.c_char.from_buffer(page)
        rdtsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(byte))
        tsc, ns = _moment(rdtsc)
        time.sleep(seconds)
        tsc2, ns2 = _moment(rdtsc)
        # The page cannot be closed before.
        del byte
    khz = (tsc2 - tsc) * 1e6 / (ns2 - ns)
    # kvmclock has 32 bits for the rate: of what is no multiple of 4 a guest may see 1 kHz less.
    return round(khz / 4) * 4
