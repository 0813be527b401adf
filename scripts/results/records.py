# SPDX-License-Identifier: GPL-2.0-only
"""What the last make check and make bench left, and which series they belong to.

records.py OUT prints the state of the composed tree.  make check and make bench
keep it beside their results; make mail takes no number of another state.
"""
import re
import sys
from pathlib import Path

from scripts.common import BASE, Failed, git, run_main


def state(out):
    """The composed tree by content, the base included."""
    tree = Path(out) / f"linux-{BASE}"
    dirty = git(tree, "status", "--porcelain").splitlines()
    if dirty:
        return f"{tree} with uncommitted changes, the first: {dirty[0].strip()}"
    return git(tree, "rev-parse", "HEAD^{tree}").strip()


def belongs(path, now, target):
    """Raise Failed unless the record whose state is in PATH is one of state NOW."""
    try:
        then = path.read_text().strip()
    except OSError:
        raise Failed(f"{target} has left no record") from None
    if then != now:
        raise Failed(f"the record of {target} is of another state, {then[:12]}")


def tests(out, now):
    """The test matrix: a row per machine of the steps that boot some, and per other step."""
    log = Path(out) / "log"
    belongs(log / "check.state", now, "make check")
    rows, bad = [], []
    for status in sorted(log.glob("*.status"), key=lambda path: path.stat().st_mtime):
        step, text = status.stem, status.with_suffix(".out").read_text(errors="replace")
        machines = re.findall(r"^machine (\S+): (\d+) pass, (\d+) fail, (\d+) skip$", text, re.M)
        counted = re.findall(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", text, re.M)
        if machines:
            rows += [(f"make {step}, {name}", *numbers) for name, *numbers in machines]
        elif counted:
            rows.append((f"make {step}", *counted[-1]))
        else:
            rows.append((f"make {step}", *(("", "failed") if status.read_text().strip() != "0"
                                           else ("passed", "")), ""))
        if status.read_text().strip() != "0":
            bad.append(step)
    if bad:
        raise Failed(f"make check failed in this state: {' '.join(bad)}")
    if not any("," in row[0] for row in rows):
        raise Failed(f"make check stopped before it booted a machine: {log}")
    lines = [f"{'':<36}{'passed':>8}{'failed':>8}{'skipped':>9}"]
    return "\n".join(lines + [f"{a:<36}{b:>8}{c:>8}{d:>9}".rstrip() for a, b, c, d in rows])


def bench(out, now):
    belongs(Path(out) / "bench.state", now, "make bench")
    return (Path(out) / "bench.txt").read_text().rstrip("\n")


if __name__ == "__main__":
    run_main("records", lambda: print(state(sys.argv[1])))
