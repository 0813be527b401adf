# SPDX-License-Identifier: GPL-2.0-only
"""What PID 1 has reported, as KTAP (boot/init.c)."""
import re

from scripts.machine.machine import END_MARKER

# A test, or a step of the plan.  What runs inside of another runner is indented.
RESULT = re.compile(rb"^ *(ok|not ok) (\d+) (selftests: kvm|plan): ([^#]+?)(?: # (.*))?$")
TOP = re.compile(rb"^(?:ok|not ok) (\d+) ")
COUNT = re.compile(rb"^1\.\.(\d+)$")


def read_lines(raw):
    """The lines that are complete: the machine may be at work on the last one."""
    return [line.rstrip(b"\r") for line in raw.split(b"\n")[:-1]]


def parse(raw):
    """name -> [(outcome, detail, seconds)], in the order of the run; steps if they failed."""
    results, seconds, note = {}, 0.0, ""
    for line in read_lines(raw):
        found = RESULT.match(line)
        if found:
            name, detail = found[4].decode(), (found[5] or b"").decode(errors="replace")
            outcome = "pass" if found[1] == b"ok" else "fail"
            if detail.startswith("SKIP"):
                outcome, detail = "skip", note
            if found[3] != b"plan" or outcome != "pass":
                results.setdefault(name, []).append((outcome, detail, seconds))
            seconds, note = 0.0, ""
        elif line.startswith(b"# seconds "):
            seconds = float(line.split()[2])
        elif b"# SKIP" in line:
            note = line.decode(errors="replace").split("# SKIP")[-1].strip(" -")
    return results


def last_words(raw, name, limit=20):
    """The last lines of the runs of NAME that failed, without what went well in them."""
    said, failed = [], []
    for line in read_lines(raw):
        if line == b"# selftests: kvm: " + name.encode():
            said = []
        elif (found := RESULT.match(line)):
            if found[1] == b"not ok" and found[4].decode() == name:
                failed += said
            said = []
        elif not re.match(rb"# (ok \d|TAP version|1\.\.|Random seed|seconds )", line):
            said.append(line.removeprefix(b"# ").decode(errors="replace"))
    return failed[-limit:]


def tests_done(raw):
    return sum(map(len, parse(raw).values()))


def faults(raw):
    """What makes a report that has ended no valid one."""
    lines = read_lines(raw)
    count = COUNT.match(lines[1]) if len(lines) > 1 else None
    if not count or lines[0] != b"KTAP version 1":
        return ["it does not start with 'KTAP version 1' and '1..N'"]
    numbers = [int(found[1]) for found in map(TOP.match, lines) if found]
    wrong = []
    if numbers != list(range(1, len(numbers) + 1)):
        wrong.append(f"the results are numbered {' '.join(map(str, numbers))}")
    if len(numbers) != int(count[1]):
        wrong.append(f"{int(count[1])} results were announced, {len(numbers)} came")
    if END_MARKER not in lines:
        wrong.append("it has no end")
    return wrong
