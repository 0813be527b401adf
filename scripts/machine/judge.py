# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts: what a machine has reported against what its plan says of the base."""
from scripts.machine.ktap import faults, parse
from scripts.machine.machine import END_MARKER
from scripts.machine.plan import Test, TRIES_AGAIN
from scripts.machine.splats import splats


def outcomes(plan, results, tries=1):
    """Each test of PLAN and its outcome, detail and seconds, taken out of RESULTS.

    Of its TRIES the first that passed counts, or else the first."""
    for item in plan:
        if isinstance(item, Test):
            runs = results.get(item.name, [])
            tried = runs[:tries] or [("fail", "no result", 0.0)]
            del runs[:tries]
            yield item, *max(tried, key=lambda run: run[0] == "pass")


def judge(engine, plan, machine, stopped, again=()):
    """Rows for the table: (test, verdict, seconds), and lines that explain.

    The tests AGAIN have run again, in another machine."""
    rows, why = [], []
    raw = machine.results()
    results = parse(raw)
    tries = TRIES_AGAIN if engine.endswith("-again") else 1
    for item, outcome, detail, seconds in outcomes(plan, results, tries):
        if outcome == "skip" and item.expect == "skip":
            verdict = "skip"
        elif outcome == "pass":
            verdict = "pass" if item.expect == "pass" else "PASS"
        elif item.expect == "fail":
            verdict = "known"
        elif item in again:
            verdict = "2nd"
            why.append(f"{engine}: {item.name}: {outcome} {detail}, see {machine.run_dir}/results;"
                       f" what counts is {engine}-again")
        else:
            verdict = "FAIL"
            why.append(f"{engine}: {item.name}: {outcome} {detail}, the base: {item.expect}")
        rows.append((item.name, verdict, seconds))
    for name, runs in results.items():
        for outcome, detail, seconds in runs:
            verdict = "pass" if outcome == "pass" else "FAIL"
            rows.append((name, verdict, seconds))
            if verdict == "FAIL":
                why.append(f"{engine}: {name}: {detail}")
    console = (machine.run_dir / "console").read_bytes()
    for line in splats(console, engine):
        rows.append(("kernel log", "FAIL", 0.0))
        why.append(f"{engine}: the kernel's log: {line}")
    for line in faults(raw) if END_MARKER in raw else ():
        rows.append(("KTAP", "FAIL", 0.0))
        why.append(f"{engine}: {machine.run_dir}/results: {line}")
    if END_MARKER not in raw:
        reason = stopped.get(engine, "the engine ended before the plan did")
        rows.append(("end of plan", "FAIL", machine.elapsed()))
        why.append(f"{engine}: {reason}; the last lines of its console:")
        why += ["    " + line for line in
                console.decode(errors="replace").splitlines()[-40:]]
    return rows, why
