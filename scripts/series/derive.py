# SPDX-License-Identifier: GPL-2.0-only
"""What the commit that adds a file carries of it.

The root has each new file as the whole series leaves it.  From that, the hunks of all
later patches are un-applied, newest first: what is left is what the commit adds.
"""
import os
import re
import subprocess
import tempfile
from pathlib import Path

from scripts.common import Failed, ROOT

FILE = re.compile(rb"^diff --git a/(\S+) b/\S+$", re.M)


def touched(patch):
    return [name.decode() for name in FILE.findall(patch.text)]


def derive(patches):
    """patch name -> {path: content}; PATCHES are those of the main base, in order."""
    owner = {path: patch for patch in patches for path in patch.adds}
    found = {}
    with tempfile.TemporaryDirectory(prefix="kvm-coco-derive-") as name:
        work = Path(name)
        for path in owner:
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_bytes((ROOT / path).read_bytes())
        for patch in reversed(patches):
            found[patch.name] = {path: (work / path).read_bytes() for path in patch.adds}
            later = [path for path in touched(patch)
                     if path in owner and path not in patch.adds]
            if later:
                unapply(work, patch, later, owner)
    return found


def unapply(work, patch, paths, owner):
    done = subprocess.run(["git", "apply", "-R", *[f"--include={path}" for path in paths],
                           str(patch.path)], cwd=work, capture_output=True, text=True, check=False,
                          env={**os.environ, "GIT_CEILING_DIRECTORIES": str(work.parent)})
    if done.returncode == 0:
        return
    place = re.search(r"patch failed: (\S+):(\d+)", done.stderr)
    if not place:
        raise Failed(f"patches/{patch.name} cannot be un-applied: {done.stderr.strip()[-300:]}")
    path = place[1]
    raise Failed(f"{path}:{edited_line(work / path, patch, path, int(place[2]))} cannot be edited "
                 f"here: it is a line of patches/{patch.name}, which changes the file after "
                 f"patches/{owner[path].name} has added it. Take the edit back here, and make it in "
                 "build/, in the commit that it belongs to; then make refresh")


def edited_line(file, patch, path, start):
    """The first line, from START on, that the patch's hunk there did not leave like this."""
    text = patch.text.decode(errors="surrogateescape")
    part = text[text.index(f"\ndiff --git a/{path} "):].partition("\n@@ ")[2]
    now = file.read_text(errors="surrogateescape").split("\n")
    for hunk in part.split("\n@@ "):
        head, _, body = hunk.partition("\n")
        span = re.match(r"-\S+ \+(\d+)", head)
        if not span or int(span[1]) != start:
            continue
        left = [line[1:] for line in body.split("\n") if line[:1] in ("+", " ", "")]
        for number, line in enumerate(left, start):
            if number > len(now) or now[number - 1] != line:
                return number
    return start
