# SPDX-License-Identifier: GPL-2.0-only
"""coccicheck.py TREE OUT FILE...: the kernel's semantic patches on these files of TREE.

The kernel's scripts/coccicheck knows folders only: with arch/x86/kernel, which has
400 files, and with git grep, which .cocciconfig asks for and which searches all of
the kernel for each file that is named, it takes hours.  So this runs spatch with the
options that coccicheck would give it, once for each semantic patch, and bounds it.

What spatch says goes to standard output, findings as a compiler would print them.  A
semantic patch, or a file, that does not come to an end is a finding as well; one that
fails ends the run.
"""
import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from scripts.common import Failed, run_main

# Seconds for one semantic patch and all files; the most seen was 150, on a busy machine.
# For one file, .cocciconfig says 200.
PATCH_LIMIT = 600
INCLUDE = ["arch/x86/include", "include", "arch/x86/include/uapi", "include/uapi"]
UNDONE = "error: not checked"  # checkers.py knows it


def option(text, name):
    found = re.search(rf"^//#? *{name}:(.*)$", text, re.M)
    return found[1] if found else ""


def numbers(version):
    return [int(n) for n in re.findall(r"\d+", version)]


def runnable(patches, version):
    """(path, its options) of those that report, and that this spatch is new enough for."""
    found = []
    for path in patches:
        text = path.read_text()
        needs = option(text, "Requires")
        if not re.search(r"^virtual\b.*\breport\b", text, re.M):
            print(f"coccicheck: {path.name} has no mode report: left out", file=sys.stderr)
        elif numbers(needs) > version:
            print(f"coccicheck: {path.name} needs spatch{needs}: left out", file=sys.stderr)
        else:
            found.append((path, shlex.split(option(text, "Options"))))
    return found


def run(tree, groups, path, options):
    """(status, seconds, what it said); a status of None: no end."""
    command = ["spatch", "-D", "report", "--no-show-diff", "--very-quiet", "--cocci-file", path,
               *options, *[w for d in INCLUDE for w in ("-I", d)],
               "--include", "include/linux/kconfig.h",
               # Of options that contradict each other the last one counts.
               "--use-coccigrep", "--file-groups", groups]
    started = time.monotonic()
    try:
        done = subprocess.run(command, cwd=tree, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                              timeout=PATCH_LIMIT, check=False)
        status, said = done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        status, said = None, (error.stdout or b"").decode(errors="replace")
    return status, time.monotonic() - started, said


def readable(path, status, said):
    for line in said.splitlines():
        finding = re.match(r"(\S+:\d+:\d+-\d+): (.*)$", line)
        lost = re.match(r"EXN: *(\S+).* in (\S+)$", line)
        if finding:
            yield f"{finding[1]}: warning: {finding[2]} ({path})"
        elif lost:
            yield f"{lost[2]}:1: {UNDONE} by {path}: {lost[1]}"
        elif not line.endswith(" files match"):
            yield line
    if status is None:
        yield f"{path}:1: {UNDONE}: no end after {PATCH_LIMIT} s"


def run_all(todo, tree, groups, what):
    started = shown = time.monotonic()
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        jobs = {pool.submit(run, tree, groups, *item): item[0] for item in todo}
        for count, job in enumerate(as_completed(jobs), 1):
            path = jobs[job].relative_to(tree)
            status, seconds, said = job.result()
            print(f"== {path}: {seconds:.1f} s", *readable(path, status, said), sep="\n")
            if status:
                raise Failed(f"{path}: spatch failed with status {status}: {said.strip()[-400:]}")
            now = time.monotonic()
            if now - shown > 30 or count == len(jobs):
                shown = now
                print(f"coccicheck: {count} of {len(jobs)} semantic patches on {what}, "
                      f"{now - started:.0f} s", file=sys.stderr, flush=True)
    finally:
        pool.shutdown(cancel_futures=True)


def main(tree, out, files):
    version = subprocess.run(["spatch", "--version"], capture_output=True, text=True, check=True)
    todo = runnable(sorted((tree / "scripts/coccinelle").rglob("*.cocci")),
                    numbers(version.stdout.split()[2]))
    files = [file for file in files if file.endswith((".c", ".h"))]
    if not todo or not files:
        raise Failed(f"{tree} has no semantic patch that can be used, or no file to check")
    out.mkdir(parents=True, exist_ok=True)
    groups = out / "groups"
    groups.write_text("".join(f"{file}\n\n" for file in files))
    run_all(todo, tree, groups, f"{len(files)} files")
    return 0


if __name__ == "__main__":
    run_main("coccicheck", lambda: main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(),
                                        sys.argv[3:]))
