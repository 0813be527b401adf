# SPDX-License-Identifier: GPL-2.0-only
"""check.py TREE QEMU=TREE TOPIC=[NAME], or check.py TREE MAIL...: what checkpatch says.

Of every commit of the series with --strict, and if no topic is named of QEMU's with its own; or
of mails.  A commit that has passed the same checkpatch, by content, is not checked again.
"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path

from scripts.results.passed import digest, has_passed, remember
from scripts.common import Failed, git, run_main
from scripts.series import patches, topics

# FILE_PATH_CHANGES asks for MAINTAINERS in each patch that adds a file; the series has
# one entry, in its last patch.
# UNKNOWN_COMMIT_ID looks for the commits of Fixes: in the composed tree, which has no history.
IGNORE = ["FILE_PATH_CHANGES", "UNKNOWN_COMMIT_ID"]
# Whoever mails the series signs it off, not its makers.
IGNORE_IN_COMMITS = ["MISSING_SIGN_OFF"]
ALLOWED = re.compile(
    # TRACE_EVENT() is laid out as everywhere in the kernel.
    r"^arch/x86/kvm/trace\.h:\d+: CHECK:(PARENTHESIS_ALIGNMENT|OPEN_ENDED_LINE):"
    # The kernel has named a bit VMX_BASIC_INOUT.
    r"|'INOUT' may be misspelled"
    r"|^total: |has no obvious style problems")


def checkpatch(tree, what, ignore):
    """What it says of WHAT, arguments, besides what is ALLOWED."""
    # The distribution's python has the modules of spdxcheck.py.
    done = subprocess.run(["./scripts/checkpatch.pl", "--strict", "--codespell", "--terse",
                           "--show-types", "--showfile", "--no-summary", "--ignore",
                           ",".join(ignore), *what], cwd=tree, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env={**os.environ, "PATH": "/usr/bin:/bin"})
    said = [line for line in done.stdout.splitlines() if line and not ALLOWED.search(line)]
    if done.returncode > 1 or done.returncode < 0:
        said.append(f"checkpatch.pl ended with status {done.returncode} on {what[-1]}")
    return said


def linux_says(tree, commits):
    return checkpatch(tree, ["--git", *commits], IGNORE + IGNORE_IN_COMMITS)


def qemu_says(tree, commits):
    said = []
    for commit in commits:
        done = subprocess.run(["./scripts/checkpatch.pl", "--quiet", "--no-signoff", "--branch",
                               f"{commit}~1..{commit}"], cwd=tree, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        # A status of 0 has warnings at most, which QEMU's maintainers let pass.
        if done.returncode:
            said += [*done.stdout.splitlines(), "QEMU's checkpatch.pl ended with status "
                     f"{done.returncode} on {commit}"]
    return said


def rules(tree):
    """All that decides about a commit besides the commit."""
    files = git(tree, "ls-tree", "base", "scripts/checkpatch.pl", "scripts/spelling.txt",
                "scripts/const_structs.checkpatch", "scripts/spdxcheck.py", "LICENSES")
    spelling = subprocess.run(["/usr/bin/codespell", "--version"], capture_output=True, check=False)
    return digest(files, Path(__file__).read_bytes(), spelling.stdout)


def key_of(tree, commit, decided, says):
    text = subprocess.run(["git", "-C", tree, "show", "--full-index", "--format=%an %ae%n%B",
                           commit],
                          capture_output=True, check=True).stdout
    return digest(says.__name__, decided, text)


def check_commits(tree, commits, decided, says):
    """(how many passed before, what is said of each that is bad).

    One process for all, as checkpatch.pl looks up the maintainers of every file that it meets,
    which takes a second, and remembers them; one for each where it has something to say.
    """
    keys = {commit: key_of(tree, commit, decided, says) for commit in commits}
    todo = [commit for commit in commits if not has_passed(keys[commit])]
    bad = {}
    if todo and says(tree, todo):
        bad = {commit: said for commit in todo if (said := says(tree, [commit]))}
    for commit in todo:
        if commit not in bad:
            remember(keys[commit], commit)
    return len(commits) - len(todo), list(bad.values())


def commits_of(tree):
    commits = git(tree, "rev-list", "--reverse", "base..HEAD").split()
    if not commits:
        raise Failed(f"the series in {tree} is empty")
    return commits


def by_topic(tree, wanted):
    """The commits of each topic of the series, or of the one that is WANTED."""
    if wanted:
        topics.check_name(topics.read(), wanted)
    of_topic = [patch.topic for patch in patches.load()]
    found = {}
    # A commit that was not refreshed yet has no topic.
    for commit, name in zip_longest(commits_of(tree), of_topic):
        if commit and wanted in ("", name):
            found.setdefault(name, []).append(commit)
    return found.values()


def check_mails(tree, mails):
    bad = checkpatch(tree, mails, IGNORE)
    print("\n".join(bad))
    return 1 if bad else 0


def check_series(tree, qemu, topic):
    decided = rules(tree)
    todo = [(tree, commits, decided, linux_says) for commits in by_topic(tree, topic)]
    if not topic:
        decided = rules(qemu)
        todo += [(qemu, [commit], decided, qemu_says) for commit in commits_of(qemu)]
    before = bad = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for known, of_bad in pool.map(lambda what: check_commits(*what), todo):
            before += known
            bad += len(of_bad)
            for said in of_bad:
                print("\n".join(said), flush=True)
    count = sum(len(commits) for _, commits, _, _ in todo)
    print(f"checkpatch: {count} commits, {before} of them had passed before, {bad} bad")
    return 1 if bad else 0


def main(tree, *words):
    options = dict(word.split("=", 1) for word in words if word.startswith(("QEMU=", "TOPIC=")))
    if options:
        return check_series(tree, options["QEMU"], options["TOPIC"])
    return check_mails(tree, words)


if __name__ == "__main__":
    run_main("checkpatch", lambda: main(*sys.argv[1:]))
