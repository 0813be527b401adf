# SPDX-License-Identifier: GPL-2.0-only
"""What PID 1 has reported."""
import re

RESULT = re.compile(rb"^(ok|not ok) (\d+) selftests: kvm: (\S+)(?: # (.*))?$")


def parse(raw):
    """name -> [(outcome, detail, seconds)], in the order of the run."""
    results, seconds, note = {}, 0.0, ""
    for line in raw.split(b"\n"):
        line = line.rstrip(b"\r")
        found = RESULT.match(line)
        if found:
            name, detail = found[3].decode(), (found[4] or b"").decode()
            outcome = "pass" if found[1] == b"ok" else "fail"
            if detail.startswith("SKIP"):
                outcome, detail = "skip", note
            results.setdefault(name, []).append((outcome, detail, seconds))
            note = ""
        elif line.startswith(b"# seconds "):
            seconds = float(line.split()[2])
        elif b"# SKIP" in line:
            note = line.decode(errors="replace").split("# SKIP")[-1].strip(" -")
    return results
