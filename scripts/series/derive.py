# SPDX-License-Identifier: GPL-2.0-only
"""What the commit that adds a file carries of it.

The root has each new file as the whole series leaves it.  From that, the hunks of all
later patches are un-applied, newest first: what is left is what the commit adds.  Applied
again they must give the root's file: a hunk may fit at more places than one.
"""
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from scripts.common import Failed, HOME

INSTEAD = ("Take the edit back here, and make it in build/, in the commit that it belongs to; then "
           "make refresh")
FILE = re.compile(rb"^diff --git a/(\S+) b/\S+$", re.M)


def touched(patch):
    return [name.decode() for name in FILE.findall(patch.text)]


def derive(patches):
    """patch name -> {path: (content, mode)}; PATCHES are those of the main base, in order."""
    owner = {path: patch for patch in patches for path in patch.adds}
    found, steps = {}, []
    with tempfile.TemporaryDirectory(prefix="kvm-coco-derive-") as name:
        work = Path(name)
        for path in owner:
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HOME / path, work / path)
        for patch in reversed(patches):
            found[patch.name] = {path: content_and_mode(work / path) for path in patch.adds}
            later = [path for path in touched(patch)
                     if path in owner and path not in patch.adds]
            if later:
                steps.append((patch, {path: content_and_mode(work / path) for path in later}))
                unapply(work, patch, later, owner)
        for patch, want in reversed(steps):
            done = git_apply(work, patch, want)
            for path, there in want.items():
                if done.returncode or content_and_mode(work / path) != there:
                    raise Failed(f"{path} cannot be edited here like this: patches/{patch.name}, which "
                                 "changes it later, would then fit at another place. " + INSTEAD)
    return found


def content_and_mode(file):
    return file.read_bytes(), "100755" if os.access(file, os.X_OK) else "100644"


def git_apply(work, patch, paths, *options):
    return subprocess.run(["git", "apply", *options, *[f"--include={path}" for path in paths],
                           str(patch.path)], cwd=work, capture_output=True, text=True, check=False,
                          env={**os.environ, "GIT_CEILING_DIRECTORIES": str(work.parent)})


def unapply(work, patch, paths, owner):
    done = git_apply(work, patch, paths, "-R")
    if done.returncode == 0:
        return
    place = re.search(r"patch failed: (\S+):(\d+)", done.stderr)
    if not place:
        raise Failed(f"patches/{patch.name} cannot be un-applied: {done.stderr.strip()[-300:]}")
    path = place[1]
    raise Failed(f"{path}:{edited_line(work / path, patch, path, int(place[2]))} cannot be edited "
                 f"here: it is a line of patches/{patch.name}, which changes the file after "
                 f"patches/{owner[path].name} has added it. " + INSTEAD)


def edited_line(file, patch, path, start):
    """The first line that the patch's hunk at line START did not leave like this."""
    text = patch.text.decode(errors="surrogateescape")
    part = text[text.index(f"\ndiff --git a/{path} ") + 1:].partition("\ndiff --git ")[0]
    now = file.read_text(errors="surrogateescape").split("\n")
    for hunk in part.removesuffix("\n").split("\n@@ ")[1:]:
        head, *body = hunk.split("\n")
        if not re.match(rf"-\S+ \+{start}\b", head):
            continue
        left = [line[1:] for line in body if line[:1] in ("+", " ", "")]
        # Edits above may have moved the hunk: it is where most of its lines are.
        moved = max(range(len(now)),
                    key=lambda n: (sum(map(str.__eq__, left, now[n:])), -abs(n + 1 - start)))
        for number, line in enumerate(left, moved):
            if number >= len(now) or now[number] != line:
                return number + 1
    return start
