# SPDX-License-Identifier: GPL-2.0-only
"""The series as patches and mirror files, and how it becomes commits.

One patch file is one commit: mail header, changelog, "---", "Adds: PATH" lines
for the new files that the commit carries, and the diff of existing files.  The
new files themselves are kept at their kernel path in the repository's root.

The series is written for MAIN.  On another base, BASE=7.2, a patch that differs
there is replaced by patches/v7.2/ and its own file name.  Such an override may
also have hunks for the new files that its commit Adds; they are applied to the
copies.  Its line "Replaces: SHA256" names the patch that it was made for.
"""
import hashlib
import os
import re
import shutil
from pathlib import Path

from scripts.common import BASE, Failed, MAIN, ROOT, committer, git

PATCHES = ROOT / "patches"
MIRRORED = ("arch", "include", "Documentation", "tools")


class Patch:
    def __init__(self, name, override=False):
        """The patch NAME of the series, or what BASE has in its place."""
        self.name = name
        self.path = PATCHES / name
        if not self.path.is_file():
            raise Failed(f"patches/series names {name}, which does not exist")
        original = self.path.read_bytes()
        self.override = override and (PATCHES / on_base(name)).is_file()
        if self.override:
            self.name = on_base(name)
            self.path = PATCHES / self.name
        self.text = self.path.read_bytes()
        head, mark, rest = self.text.partition(b"\n---\n")
        if not mark or b"\ndiff --git " not in rest:
            raise Failed(f"patches/{name} changes no existing file: every commit needs a hook")
        notes = rest.partition(b"\ndiff --git ")[0]
        self.adds = re.findall(r"^Adds: (\S+)$", notes.decode(), re.M)
        self.head = head
        self.replaces = hashlib.sha256(original).hexdigest()
        if self.override and f"\nReplaces: {self.replaces}\n".encode() not in mark + notes:
            raise Failed(f"patches/{self.name} was made for another patches/{name}: carry over what "
                         f"changed there (git log -p), and write Replaces: {self.replaces}")

    def key(self):
        """Changes when anything of this commit changes."""
        digest = hashlib.sha256(self.text)
        for path in self.adds:
            digest.update(f"{path} {os.access(ROOT / path, os.X_OK)}".encode())
            digest.update((ROOT / path).read_bytes())
        return digest.hexdigest()


def mirror_files():
    return sorted(str(path.relative_to(ROOT)) for top in MIRRORED
                  for path in (ROOT / top).rglob("*") if path.is_file())


def on_base(name):
    """What the override of the patch NAME is called on BASE."""
    return f"v{BASE}/{Path(name).name}"


def order():
    """The names of MAIN's patches."""
    lines = (PATCHES / "series").read_text().splitlines()
    return [name for line in lines if (name := line.split("#")[0].strip())]


def load():
    """The patches in order; refuses a series whose parts do not fit together."""
    names = order()
    for path in sorted(PATCHES.glob("v*/*.patch")):
        if f"v{MAIN}/{path.name}" not in names:
            raise Failed(f"patches/{path.relative_to(PATCHES)} is not in patches/series: add "
                         f"v{MAIN}/{path.name} there, rename the file, or delete it")
    patches = [Patch(name, override=BASE != MAIN) for name in names]
    owner = {}
    for patch in patches:
        for path in patch.adds:
            if path in owner:
                raise Failed(f"{path} is added by patches/{owner[path]} and by "
                             f"patches/{patch.name}: a new file belongs to one commit")
            if not (ROOT / path).is_file():
                raise Failed(f"patches/{patch.name} Adds {path}, which does not exist")
            owner[path] = patch.name
    for path in mirror_files():
        if path not in owner:
            raise Failed(f"no patch Adds {path}: name it below the --- of the patch that needs it")
    return patches


def where_it_fails(tree, patch):
    """FILE:LINE of the first hunk that git cannot place."""
    words = git(tree, "apply", "--check", str(patch.path), check=False).stderr
    found = re.search(r"patch failed: (\S+:\d+)", words) or re.search(r"error: (.*)", words)
    return found[1] if found else words.strip()[-200:]


def apply_patch(tree, patch, version):
    """One patch and the files it Adds as one commit; returns the commit."""
    who = committer(tree)
    options = ["-c", "commit.gpgsign=false", "-c", "core.autocrlf=false",
               "-c", "advice.mergeConflict=false"]
    done = git(tree, *options, "am", "-3", "--quiet", "--keep-non-patch",
               "--committer-date-is-author-date", *[f"--exclude={path}" for path in patch.adds],
               str(patch.path), check=False, env=who)
    if done.returncode:
        git(tree, "am", "--abort", check=False, env=who)
        raise Failed(f"patches/{patch.name} does not apply to v{version}: "
                     f"{where_it_fails(tree, patch)}; {tree} is left at the last good commit; " +
                     ("try make refresh or KERNEL_SRC=" if BASE == MAIN else
                      f"for an override, cherry-pick the rest of the commits there from the tree of "
                      f"{MAIN} (git fetch), and make refresh BASE={BASE}"))
    for path in patch.adds:
        target = Path(tree) / path
        if target.exists():
            git(tree, "reset", "-q", "--hard", "HEAD~1")
            raise Failed(f"patches/{patch.name} Adds {path}, which the kernel already has")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, target)
    if patch.override and patch.adds:
        done = git(tree, "apply", *[f"--include={path}" for path in patch.adds],
                   str(patch.path), check=False)
        if done.returncode:
            git(tree, "reset", "-q", "--hard", "HEAD~1")
            git(tree, "clean", "-qf", "--", *patch.adds)
            raise Failed(f"patches/{patch.name} does not apply to a file that it Adds: "
                         f"{done.stderr.strip()[-300:]}")
    if patch.adds:
        date = git(tree, "log", "-1", "--format=%aI").strip()
        git(tree, "add", "-f", "--", *patch.adds)
        git(tree, *options, "commit", "--quiet", "--amend", "--no-edit", "--no-verify",
            "--allow-empty-message", env={**who, "GIT_COMMITTER_DATE": date})
    return git(tree, "rev-parse", "HEAD").strip()
