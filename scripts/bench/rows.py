# SPDX-License-Identifier: GPL-2.0-only
"""What make bench compares: one row for each pair of numbers, and its goal.

A number is MACHINE:LABEL.  The machines are in bench.py; the labels are what the
programs of tests/bench print.  "base" is the unpatched kernel and "ours" the series
with the same configuration.
"""
import statistics
from collections import namedtuple

from scripts.common import Failed

# A goal is the most that the ratio of ours to base may be.
Row = namedtuple("Row", "what base ours goal")

# Other load can only make a boot longer.  With a spread above BUSY there was so much that
# nothing can be said about a goal.
BUSY = 0.2
WALL = "the same in us of wall time, in turn; the quickest, not the median"
GROUPS = [
    ("hypercalls: the two kernels as guests of one host, which is the series", [
        Row("patched", "ours:base_hypercall_patched", "ours:ours_hypercall_patched", 1.005),
        # before alternatives are applied; the base has VMMCALL for these
        Row("early, SEV guest", "ours:base_hypercall_bare", "ours:ours_hypercall_early", 1.005),
        # the base: VMCALL, which raises #UD and has KVM replace it, at each call site once
        Row("early, plain guest of AMD", "ours:base_hypercall_fixup",
            "ours:ours_hypercall_early", 1)]),
    ("SNP-safe pages", [
        Row("host without SNP", "base-amd:plain_free", "ours-amd:plain_free", 1),
        Row("SNP, order-1 blocks free", "base-amd:snp_free", "ours-amd:snp_free", 0.6),
        # the worst case, see snp_page_bench.c: two aligned pages each time, then the base's way
        Row("SNP, 2048 in a row, lists empty", "base-amd:snp_burst", "ours-amd:snp_burst", 2.1),
        Row("SNP, scarce: one for two pages", "base-amd:snp_scarce", "ours-amd:snp_scarce", 0.1),
        Row("SNP, none", "base-amd:snp_none", "ours-amd:snp_none", 0.1),
        Row("refused of 1000, scarce", "base-amd:snp_scarce_refused",
            "ours-amd:snp_scarce_refused", 0),
        Row("refused of 1000, none", "base-amd:snp_none_refused",
            "ours-amd:snp_none_refused", 0)]),
    # What the TDX module does is not counted, i.e. all of a call is half of what other guests'
    # exits are, and the same few instructions are twice the part.
    ("MapGPA of TDX guests", [
        Row("exits per GiB, not opted in", "base-tdx:tdx_gib_exits", "ours-tdx:tdx_gib_exits", 1),
        Row("exits per GiB, opted in", "base-tdx:tdx_gib_exits",
            "ours-tdx:tdx_gib_own_exits", 0.002),
        Row("per GiB, opted in", "base-tdx:tdx_gib", "ours-tdx:tdx_gib_own", 0.01),
        Row("per exit, not opted in", "base-tdx:tdx_map", "ours-tdx:tdx_map", 1.04),
        Row("per exit, opted in", "base-tdx:tdx_map", "ours-tdx:tdx_map_own", 1.07),
        # what exits_bench.c says of the design that was rejected
        Row("per exit, against 16 one way", "base-tdx:tdx_map_fatal",
            "ours-tdx:tdx_map_own", 1.075)]),
    ("KVM_HC_MAP_GPA_RANGE of other guests", [
        Row("exits per GiB, not opted in", "base:hypercall_gib_exits",
            "ours:hypercall_gib_exits", 1),
        Row("exits per GiB, opted in", "base:hypercall_gib_exits",
            "ours:hypercall_gib_own_exits", 1),
        # the series remembers what was asked, to ask again, and checks the answer
        Row("per exit, not opted in", "base:hypercall_map", "ours:hypercall_map", 1.03),
        # 350 instructions
        Row("per exit, opted in", "base:hypercall_map", "ours:hypercall_map_own", 1.16),
        Row("per exit, against all registers", "base:hypercall_map_copy",
            "ours:hypercall_map_own", 1)]),
    ("other TDVMCALLs", [
        Row("GetQuote, not opted in", "base-tdx:tdx_quote", "ours-tdx:tdx_quote", 1.03),
        Row("GetQuote, opted in", "base-tdx:tdx_quote", "ours-tdx:tdx_quote_own", 1.035),
        # KVM answers both
        Row("GetTdVmCallInfo, leaf 0", "base-tdx:tdx_info0", "ours-tdx:tdx_info0_own", 1.07)]),
    ("modules", [
        Row("loading kvm-amd", "base-amd:load_kvm_amd", "ours-amd:load_kvm_amd", 1.035),
        Row("loading kvm-intel", "base-intel:load_kvm_intel", "ours-intel:load_kvm_intel", 1.02)]),
    ("boot of a plain guest to its PID 1, waiting included", [
        Row("the series as the host", "base:base_boot", "ours:base_boot", 1.01),
        Row("the series as the guest", "ours:base_boot", "ours:ours_boot", 1.01)]),
    (WALL, [
        Row("the series as the host", "boot-base:base_boot", "boot-ours:base_boot", 1.1),
        Row("the series as the guest", "boot-ours:base_boot", "boot-ours:ours_boot", 1.1),
        # base: a plain guest, of the same kernel and host
        Row("an SEV guest, against a plain one", "boot-tests:plain_boot", "boot-tests:sev_boot",
            1.3)]),
    ("bytes of text and data", [
        Row("vmlinux", "base:size_vmlinux", "ours:size_vmlinux", 1.001),
        Row("kvm.ko", "base:size_kvm", "ours:size_kvm", 1.03),
        Row("kvm-amd.ko", "base:size_kvm-amd", "ours:size_kvm-amd", 1.05),
        Row("kvm-intel.ko", "base:size_kvm-intel", "ours:size_kvm-intel", 1.05)]),
]
Result = namedtuple("Result", "row base ours ratio spread missed busy")


def spread(rounds):
    """The interquartile range, as a part of the median."""
    if len(rounds) < 2 or not statistics.median(rounds):
        return 0.0
    low, middle, high = statistics.quantiles(rounds, n=4, method="inclusive")
    return (high - low) / middle


def result(row, numbers, wall):
    """NUMBERS: MACHINE:LABEL -> what each round counted."""
    for name in row.base, row.ours:
        if not numbers.get(name):
            raise Failed(f"{name} was not measured, for '{row.what}'")
    both = numbers[row.base], numbers[row.ours]
    base, ours = (min(rounds) if wall else statistics.median(rounds) for rounds in both)
    ratio, wide = ours / base if base else float(ours > 0), max(map(spread, both))
    busy = wall and wide > BUSY
    return Result(row, base, ours, ratio, wide, ratio > row.goal and not busy, busy)


def results(numbers):
    return [(title, [result(row, numbers, title == WALL) for row in rows])
            for title, rows in GROUPS]


def verdict(found):
    return "missed" if found.missed else "too busy to tell" if found.busy else ""


def table(groups, unit):
    head = f"{unit}, medians"
    lines = [f"{head:<35}{'base':>10}{'ours':>10}{'ratio':>8}{'goal':>9}{'spread':>8}"]
    for title, found in groups:
        lines.append(title)
        lines += [f"  {r.row.what:<33}{r.base:>10.0f}{r.ours:>10.0f}{r.ratio:>8.4f}"
                  f"{f'<= {r.row.goal:g}':>9}{r.spread:>8.1%} {verdict(r)}".rstrip() for r in found]
    lines.append("spread: the larger interquartile range of the two, as a part of its median")
    return "\n".join(lines) + "\n"
