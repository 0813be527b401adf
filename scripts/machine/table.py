# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts as a table for people, and counted."""


def print_table(engines, verdicts):
    names = list(dict.fromkeys(n for rows in verdicts.values() for n, _, _ in rows))
    width = {e: max(8, len(e) + 2) for e in engines}
    print(f"{'test':<48}" + "".join(f"{e:>{width[e]}}{'s':>8}" for e in engines))
    for name in names:
        cells = ""
        for engine in engines:
            hits = [(v, s) for n, v, s in verdicts[engine] if n == name]
            if not hits:
                cells += f"{'-':>{width[engine]}}{'':>8}"
                continue
            worst = next((v for v, _ in hits if v == "FAIL"), hits[0][0])
            cells += f"{worst:>{width[engine]}}{sum(s for _, s in hits):>8.1f}"
        print(f"{name:<48}{cells}".rstrip())


def count(rows):
    """How many passed, failed and were skipped; a first run of two counts nowhere."""
    every = [v for _, v, _ in rows if v != "2nd"]
    failed = every.count("FAIL")
    passed = sum(v.lower() == "pass" for v in every)
    return passed, failed, len(every) - passed - failed
