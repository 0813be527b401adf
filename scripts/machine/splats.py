# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel prints when something is wrong with it."""
import re

from scripts.machine.plan import EXPECTED

SPLAT = re.compile(r"WARNING: |BUG: |BUG at|Oops|KASAN|KCSAN:|UBSAN|INFO: (possible|task|rcu)"
                   r"|self-detected stall|detected stalls|general protection fault"
                   r"|unable to handle|Kernel panic|cut here|leaked|refcount_t")


def splats(console, engine):
    allowed = []
    exceptions = EXPECTED / f"{engine.split('-')[0]}.dmesg"
    if exceptions.exists():
        allowed = [re.compile(line) for line in exceptions.read_text().splitlines()
                   if line and not line.startswith("#")]
    bad = []
    lines = console.decode(errors="replace").splitlines()
    for index, line in enumerate(lines):
        if not SPLAT.search(line):
            continue
        # "cut here" says nothing itself: judge it by the line that follows.
        if "cut here" in line and index + 1 < len(lines):
            line = lines[index + 1]
        if not any(pattern.search(line) for pattern in allowed):
            bad.append(line.strip())
    return bad
