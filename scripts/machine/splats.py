# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel prints when something is wrong with it."""
import re

from scripts.common import ROOT
from scripts.machine.plan import EXPECTED

PATTERNS = ROOT / "tools/testing/selftests/kvm/lib/x86/kernel_splats.h"


def patterns():
    """The list that the selftests' guests are judged by as well."""
    return re.findall(r'^SPLAT\("(.*)"\)$', PATTERNS.read_text(), re.M)


def allowed(engine):
    """The complaints that are the engine's own."""
    exceptions = EXPECTED / f"{engine.split('-')[0]}.dmesg"
    if not exceptions.exists():
        return []
    return [re.compile(line) for line in exceptions.read_text().splitlines()
            if line and not line.startswith("#")]


def splats(console, engine):
    """The lines of CONSOLE that complain, but for those that ENGINE may have."""
    splat, exceptions, bad = re.compile("|".join(patterns())), allowed(engine), []
    lines = console.decode(errors="replace").splitlines()
    for index, line in enumerate(lines):
        if not splat.search(line):
            continue
        # "cut here" says nothing itself: judge it by the line that follows.
        if "cut here" in line and index + 1 < len(lines):
            line = lines[index + 1]
        if not any(pattern.search(line) for pattern in exceptions):
            bad.append(line.strip())
    return bad
