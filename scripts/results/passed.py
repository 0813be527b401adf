# SPDX-License-Identifier: GPL-2.0-only
"""What has passed, by content, in the cache: what is slow need not be done twice.

A key is the digest of all that decides about the outcome, so an entry never goes
stale; the file of that name says what passed, and when.
"""
import hashlib
import json
import re
import sys
import time
from pathlib import Path

from scripts.common import BASE, CACHE, git, ROOT, run_main

PASSED = CACHE / "passed"


def digest(*parts):
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes) else str(part).encode())
        found.update(b"\0")
    return found.hexdigest()


def has_passed(key):
    """What remember() was told, and "when"; nothing if it has not passed."""
    try:
        return json.loads((PASSED / key).read_text())
    except (OSError, ValueError):
        return None


def remember(key, what):
    PASSED.mkdir(parents=True, exist_ok=True)
    part = PASSED / f"{key}.part"
    part.write_text(json.dumps({"what": what, "when": time.strftime("%F %T")}) + "\n")
    part.rename(PASSED / key)


# Compilers that look at neither the selftests nor the documentation.
KERNEL = ("w1", "sparse", "clang", "configs")
MACHINES = ("pinning", "firmware", "debug-full", "kcsan", "coverage", "fuzz", "soak", "deb", "bisect")
# Which steps of make check-full read a file; the first pattern that matches decides, and
# what none matches, all of them read.  The series counts as what it composes to.
READ_BY = [(r"(patches/[^c]|arch|include|Documentation|tools)|scripts/bases", ("bases",)),
           (r"tests/(checkers|coccicheck|htmldocs)", (*KERNEL, "coccicheck", "htmldocs")),
           (r"tests/config", ("configs",)),
           (r"tests/bisect", ("bisect",)),
           (r"tests/firmware", ("firmware",)),
           (r"tests/(vendor_module|kvm_modules)", ("pinning",)),
           (r"(tests|configs)/(deb/|deb\.)|scripts/(deb\.|deb_|install)", ("deb",)),
           (r"tests/(coverage|expected/uncovered)|configs/coverage", ("coverage",)),
           (r"configs/kcsan", ("kcsan",)),
           (r"configs/debug", ("debug-full", "soak")),
           (r"scripts/cached_image", ("debug-full", "soak", "kcsan")),
           (r"scripts/passed", ("configs", "bisect")),
           (r"tests/expected|scripts/(run|engines|boot)", MACHINES),
           # All but coccicheck and bases use them.
           (r"scripts/(kmake|cc\.)", (*KERNEL, "htmldocs", *MACHINES)),
           # make check's own, and messages for people
           (r"tests/(bench|check\.sh|checkpatch|lint|shared_ranges|syzkaller|test_driver|transport|uapi)|"
            r"scripts/(bench|deps|mail|refresh|apply|records|shell)|"
            r"patches/c|README|COPYING|\.ci", ())]


def kernel(tree):
    """The composed tree by content, without selftests and documentation."""
    top = git(tree, "ls-tree", "series").splitlines() + git(tree, "ls-tree", "series:tools").splitlines()
    return digest(*(line for line in top if line.split("\t")[1] not in
                    ("Documentation", "tools", "testing", "MAINTAINERS")))


def reads(step, name):
    """Whether STEP depends on file NAME of the checkout."""
    return step in next((steps for pattern, steps in READ_BY if re.match(pattern, name)), (step,))


def content(out, step):
    """What decides about STEP: of the checkout what it reads, and the composed tree."""
    tree = Path(out) / f"linux-{BASE}"
    files = git(ROOT, "ls-files", "-co", "--exclude-standard", "-z").split("\0")[:-1]
    if step in KERNEL:
        parts = [kernel(tree)]
    elif step == "bisect":
        parts = [git(tree, "log", "--format=%T", "base..series")]
    else:
        parts = [git(tree, "rev-parse", "series^{tree}")]
    for name in sorted(set(files)):
        if (ROOT / name).is_file() and reads(step, name):
            parts += [name, (ROOT / name).read_bytes()]
    return digest(*parts)


def main(out, verb, *step):
    """passed.py OUT has|remember NAME COMMAND...: what make check-full needs of it."""
    key = digest("step", content(out, step[0]), *step)
    if verb == "remember":
        remember(key, step)
        return 0
    found = has_passed(key)
    print(found["when"] if found else "")
    return 0 if found else 1


if __name__ == "__main__":
    run_main("passed", lambda: main(*sys.argv[1:]))
