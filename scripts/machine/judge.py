# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts: what a machine has reported against what its plan says of the base."""
import dataclasses

from scripts.machine.clock import clock_faults, rates
from scripts.machine.engines import tsc_khz
from scripts.machine.ktap import faults, last_words, parse
from scripts.machine.machine import END_MARKER
from scripts.machine.plan import Test, TRIES_AGAIN
from scripts.machine.splats import splats


@dataclasses.dataclass
class Row:
    """VERDICT: pass and skip are what the base does too; known fails there as well;
    better does better than recorded; again: another machine decides; FAILED is the rest."""
    name: str
    verdict: str
    seconds: float = 0.0
    why: str = ""


def outcomes(plan, results, tries=1):
    """Each test of PLAN and its outcome, detail and seconds, taken out of RESULTS.

    Of its TRIES the first that passed counts, or else the first."""
    for item in plan:
        if isinstance(item, Test):
            runs = results.get(item.name, [])
            tried = runs[:tries] or [("fail", "no result", 0.0)]
            del runs[:tries]
            yield item, *max(tried, key=lambda run: run[0] == "pass")


def verdict_of(item, outcome, again):
    if outcome == "pass":
        return "pass" if item.expect == "pass" else "better"
    if item.expect == "fail":
        return "known"
    if outcome == item.expect:
        return "skip"
    return "again" if item in again else "FAILED"


def judge(engine, plan, machine, stopped, again=()):
    """A row for each test and for each other complaint.

    The tests AGAIN have run again, in another machine."""
    rows = []
    raw = machine.results()
    results = parse(raw)
    tries = TRIES_AGAIN if engine.endswith("-again") else 1
    for item, outcome, detail, seconds in outcomes(plan, results, tries):
        row = Row(item.name, verdict_of(item, outcome, again), seconds, item.reason)
        if row.verdict == "again":
            row.why = (f"{outcome} {detail}, see {machine.run_dir}/results; what counts is "
                       f"{engine}-again")
        elif row.verdict == "FAILED":
            row.why = "\n    ".join([f"{outcome} {detail}, the base: {item.expect}",
                                    *last_words(raw, item.name)])
        rows.append(row)
    for name, runs in results.items():
        rows += [Row(name, "pass" if outcome == "pass" else "FAILED", seconds, detail)
                 for outcome, detail, seconds in runs]
    console = (machine.run_dir / "console").read_bytes()
    rows += [Row("kernel log", "FAILED", why=line) for line in splats(console, engine)]
    rows += [Row("clock", "FAILED", why=line)
             for line in clock_faults(console, raw, tsc_khz(engine))]
    if END_MARKER in raw:
        rows += [Row("KTAP", "FAILED", why=f"{machine.run_dir}/results: {line}")
                 for line in faults(raw)]
        if not rates(console.decode(errors="replace").splitlines()):
            rows.append(Row("clock", "FAILED", why="the console does not say the TSC's rate"))
    else:
        reason = stopped.get(engine, "the engine ended before the plan did")
        last = console.decode(errors="replace").splitlines()[-40:]
        rows.append(Row("end of plan", "FAILED", machine.elapsed(), "\n    ".join(
            [f"{reason}; the last lines of its console:", *last])))
    return rows


def reasons(engine, rows):
    """What there is to say of rows that are not as they should be."""
    return [f"{engine}: {row.name}: {row.why}" for row in rows
            if row.verdict in ("FAILED", "again")]
