#!/usr/bin/env python3
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

from base import CACHE
from series import BASE, ROOT, git, run_main

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


# What no step of make check-full executes or reads, besides messages for people.
APART = re.compile(r"README|patches/c|scripts/(bench|(deps-)?mail)|tests/(bench|check\.sh|syz|test_)")


def content(out):
    """The checkout, less what is APART, and the tree it composes to."""
    files = git(ROOT, "ls-files", "-co", "--exclude-standard", "-z").split("\0")[:-1]
    parts = [git(Path(out) / f"linux-{BASE}", "rev-parse", "series^{tree}")]
    for name in sorted(set(files)):
        if (ROOT / name).is_file() and not APART.match(name):
            parts += [name, (ROOT / name).read_bytes()]
    return digest(*parts)


def main(out, verb, *step):
    """passed.py OUT has|remember NAME COMMAND...: what make check-full needs of it."""
    key = digest("step", content(out), *step)
    if verb == "remember":
        remember(key, step)
        return 0
    found = has_passed(key)
    print(found["when"] if found else "")
    return 0 if found else 1


if __name__ == "__main__":
    run_main("passed", lambda: main(*sys.argv[1:]))
