# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts as a table for people, and counted."""


def print_table(engines, verdicts):
    names = list(dict.fromkeys(row.name for rows in verdicts.values() for row in rows))
    width = {e: max(8, len(e) + 2) for e in engines}
    print(f"{'test':<48}" + "".join(f"{e:>{width[e]}}{'s':>8}" for e in engines))
    for name in names:
        cells = ""
        for engine in engines:
            hits = [row for row in verdicts[engine] if row.name == name]
            if not hits:
                cells += f"{'-':>{width[engine]}}{'':>8}"
                continue
            verdicts_here = [row.verdict for row in hits]
            worst = "FAILED" if "FAILED" in verdicts_here else verdicts_here[0]
            cells += f"{worst:>{width[engine]}}{sum(row.seconds for row in hits):>8.1f}"
        print(f"{name:<48}{cells}".rstrip())


def count(rows):
    """How many passed, failed and were skipped; a first run of two counts nowhere."""
    every = [row.verdict for row in rows if row.verdict != "again"]
    failed = every.count("FAILED")
    passed = every.count("pass") + every.count("better")
    return passed, failed, len(every) - passed - failed
