# SPDX-License-Identifier: GPL-2.0-only
"""What a machine has to do: the tests of tests/expected/ENGINE, and which of them.

The head of those files says what their lines mean.  A plan is a list of Test objects
and of lines for PID 1 (boot/init.c).
"""
import dataclasses
import fnmatch
from pathlib import Path

from scripts.common import Failed, ROOT

EXPECTED = ROOT / "tests/expected"
# The sets of the tests that are not ours.
MAINLINE = {"quick", "full"}
# How often one of those runs in a second machine, if it failed in the first.
TRIES_AGAIN = 3
# Those of ours that take minutes at most, on a kernel without checkers.
OWN = {"own", "boots", "nodebug", "long", "slow"}
SETS = {"quick": {"all", "quick", "both", "own", "nodebug", "short"},
        "full": {"all", "quick", "full", "both", "deep"} | OWN,
        "debug": {"all", "own", "slow", "debug"},
        "debug-full": {"all", "quick", "own", "slow", "boots", "faults", "debug"},
        "kcsan": {"all", "own", "slow", "boots"},
        "base": {"all", "both"},
        "fuzz": {"all", "fuzz"},
        "soak": {"all", "soak"},
        "pinning": {"all", "pinning"},
        "erratum": {"all", "erratum"},
        "kicks": {"all", "kicks"},
        "rmp-faults": {"all", "rmp-faults"},
        "pair": {"all", "pair"}}
OUTCOMES = ("pass", "skip", "fail")


@dataclasses.dataclass(eq=False)
class Test:
    """A line of tests/expected: what runs, and what it does on the base."""
    set_name: str
    name: str
    limit: float
    expect: str
    args: list = dataclasses.field(default_factory=list)
    files: list = dataclasses.field(default_factory=list)
    reason: str = ""


def read_expected(engine, wanted_sets, seed="1", seconds="1800", side=0):
    """The plan of one engine: Test objects and verbatim lines for PID 1.

    The arguments SEED and SECONDS stand for those of this run, SIDE for which of two
    machines it is."""
    path = EXPECTED / engine
    plan = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        body, _, reason = line.partition("#")
        body, _, files = body.partition("<")
        words = body.split()
        if not words:
            continue
        try:
            item: Test | str = " ".join(words[2:])
            if words[1] != "plan":
                if words[2] not in OUTCOMES:
                    raise ValueError(words[2])
                given = {"SEED": seed, "SECONDS": seconds, "SIDE": str(side)}
                args = [given.get(word, word) for word in words[4:]]
                item = Test(words[0], words[3], float(words[1]), words[2], args, files.split(),
                            reason.strip())
        except (IndexError, ValueError) as error:
            raise Failed(f"{path}:{number}: cannot read '{line}' ({error})") from error
        if words[0] in wanted_sets:
            plan.append(item)
    return plan


def select(plans, patterns):
    """Keep the tests that TESTS= names, whatever set they are in."""
    if not patterns:
        return
    for pattern in patterns:
        if not any(isinstance(item, Test) and matches(item.name, [pattern])
                   for plan in plans.values() for item in plan):
            known = sorted({item.name for plan in plans.values()
                            for item in plan if isinstance(item, Test)})
            raise Failed(f"TESTS={pattern}: no such test; known: {' '.join(known)}")
    for engine, plan in plans.items():
        kept = [item for item in plan if isinstance(item, str) or matches(item.name, patterns)]
        while kept and isinstance(kept[-1], str):
            kept.pop()
        plans[engine] = kept


def matches(name, patterns):
    return any(fnmatch.fnmatch(name, p) or fnmatch.fnmatch(Path(name).name, p)
               for p in patterns)
