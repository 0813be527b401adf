# SPDX-License-Identifier: GPL-2.0-only
"""progress.py LABEL LOG COMMAND...: run it, show how far it is, keep its output.

On a terminal one line that is written over, elsewhere a plain line every half
minute.  If the command fails, what it said about errors is shown.  V=1 shows all.
"""
import os
import re
import subprocess
import sys
import time
from pathlib import Path

# "  CC      lib/str_error_r.o", or of ninja "[1/2] Compiling ...": a file's name says nothing.
STEP = re.compile(r"\s+[A-Z]+ |\[\d+/\d+\] ")
# A compiler's or linker's own words before what make says of them: it goes on with other
# files after an error.
WHY = (r"(?i:error: )|undefined reference|No space left|did not take",
       r"warning: |\*\*\* |Stop\.")


def first_error(lines):
    """The number of the line that says why a build failed, or None."""
    for pattern in WHY:
        for number, line in enumerate(lines):
            if not STEP.match(line) and re.search(pattern, line):
                return number
    return None


def main():
    label, log_path, command = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    verbose = os.environ.get("V", "0") not in ("", "0")
    log_path.parent.mkdir(parents=True, exist_ok=True)
    started = shown = time.monotonic()
    count, lines = 0, []
    tty = sys.stdout.isatty()
    with open(log_path, "w", encoding="utf-8") as log, \
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             stdin=subprocess.DEVNULL, text=True, errors="replace") as job:
        for line in job.stdout or ():
            log.write(line)
            lines.append(line)
            count += bool(STEP.match(line))
            now = time.monotonic()
            if verbose:
                sys.stdout.write(line)
            elif now - shown >= (0.2 if tty else 30):
                shown = now
                print(f"\r{label}: {count} steps, {now - started:.0f} s" if tty else
                      f"{label}: {count} steps, {now - started:.0f} s",
                      end=" " if tty else "\n", flush=True)
    end = "\r" if tty and not verbose else ""
    print(f"{end}{label}: {count} steps, {time.monotonic() - started:.0f} s, log {log_path}")
    if job.returncode:
        bad = first_error(lines)
        first = max(len(lines) - 20 if bad is None else bad - 3, 0)
        sys.stdout.writelines(lines[first:first + 30])
        print(f"{label}: failed with status {job.returncode}; all of it is in {log_path}")
    return job.returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
