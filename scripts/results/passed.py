# SPDX-License-Identifier: GPL-2.0-only
"""What has passed, by content, in the cache: what is slow need not be done twice.

A key is the digest of all that decides about the outcome, so an entry never goes
stale; the file of that name says what passed, and when.
"""
import hashlib
import json
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


# What undoes a recorded pass of a step: another kernel, a change in its own folder of
# tests/, and one in what it shares with others, which is here.
BUILDS = ("Makefile", "configs/", "scripts/build/", "scripts/common.py")
BOOTS = (*BUILDS, "scripts/machine/", "tests/expected/", "qemu/")
SHARED = {
    "configs": BUILDS,
    **dict.fromkeys(("w1", "sparse", "clang", "coccicheck", "htmldocs"),
                    (*BUILDS, "tests/checkers/")),
    **dict.fromkeys(("pinning", "erratum", "firmware", "kcsan", "coverage", "fuzz", "bisect", "mitigations",
                     "mutants", "kicks", "rmp-faults", "tdx-faults"), BOOTS),
    "cfi": (*BOOTS, "tests/mitigations/"),
    "emulator-asan": (*BUILDS, "qemu/", "tests/emulator/"),
    **dict.fromkeys(("debug-full", "soak"), (*BOOTS, "tests/debug/")),
    "deb": (*BOOTS, "scripts/deb/", "scripts/packages/"),
    "host": (*BOOTS, "scripts/host/", "scripts/packages/"),
    "bases": ("Makefile", "scripts/common.py", "scripts/series/", "bases/", "patches/v")}
# These look at neither the selftests nor the documentation.
COMPILERS = ("w1", "sparse", "clang", "configs")


def kernel(tree):
    """The composed tree by content, without selftests and documentation."""
    top = git(tree, "ls-tree", "series").splitlines() + git(tree, "ls-tree", "series:tools").splitlines()
    return digest(*(line for line in top if line.split("\t")[1] not in
                    ("Documentation", "tools", "testing", "MAINTAINERS")))


def reads(step, name, own=True):
    """Whether STEP depends on file NAME of the checkout, its OWN folder's included."""
    return name.startswith(SHARED[step]) or own and name.startswith(f"tests/{step}/")


def content(out, step, own=True):
    """What decides about STEP: of the checkout what it reads, and the composed tree."""
    tree = Path(out) / f"linux-{BASE}"
    files = git(ROOT, "ls-files", "-co", "--exclude-standard", "-z").split("\0")[:-1]
    if step in COMPILERS:
        parts = [kernel(tree)]
    elif step == "bisect":
        parts = [git(tree, "log", "--format=%T", "base..series")]
    else:
        parts = [git(tree, "rev-parse", "series^{tree}")]
    for name in sorted(set(files)):
        if (ROOT / name).is_file() and reads(step, name, own):
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
