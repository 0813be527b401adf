# SPDX-License-Identifier: GPL-2.0-only
"""A second run of those of mainline's tests that failed.

No timing may decide a test, but some of mainline's let one.  Those that fail run again,
in machine ENGINE-again, which has nothing to run beside and decides: of TRIES_AGAIN
they have to pass once.
"""
from scripts.machine.judge import outcomes
from scripts.machine.ktap import parse
from scripts.machine.machine import END_MARKER
from scripts.machine.plan import MAINLINE, TRIES_AGAIN


def second_plan(plan, raw):
    """Mainline's tests that did not pass and what PLAN does before them.

    Nothing if PLAN did not end, which fails whatever they would do."""
    if END_MARKER not in raw:
        return []
    again = [item for item, outcome, _, _ in outcomes(plan, parse(raw))
             if item.set_name in MAINLINE and item.expect == "pass" and outcome != "pass"]
    last = plan.index(again[-1]) + 1 if again else 0
    return [item for item in plan[:last] if isinstance(item, str) or item in again]


def repeated(plan):
    """PLAN with each test as often as it is tried in a second machine."""
    return [item for step in plan
            for item in ([step] if isinstance(step, str) else [step] * TRIES_AGAIN)]
