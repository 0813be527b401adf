# SPDX-License-Identifier: GPL-2.0-only
"""The series as patches and mirror files, and how it becomes commits.

One patch file is one commit: mail header, changelog, "---", "Adds: PATH" lines
for the new files that the commit carries, and the diff of existing files.  The
new files themselves are kept at their kernel path in the repository's root.
"""
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASE = "7.3"
PATCHES = ROOT / "patches"
MIRRORED = ("arch", "include", "Documentation", "tools")


class Failed(Exception):
    """Something the user can act on: what failed, on which input, what to do."""


def run_main(name, main):
    """Run MAIN; a Failed ends the program with one clear message."""
    try:
        sys.exit(main())
    except Failed as error:
        sys.exit(f"{name}: {error}")
    except OSError as error:
        sys.exit(f"{name}: {error.filename or ''}: {error.strerror}; nothing was lost, "
                 "repair that and run it again")
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted; run it again to go on")


def git(tree, *args, check=True, env=None, stdin=None):
    """Run git in TREE and return its output; a failure carries git's own words."""
    done = subprocess.run(["git", "-C", str(tree), *args], check=False, input=stdin,
                          capture_output=True, text=True, errors="surrogateescape",
                          env={**os.environ, **(env or {})})
    if check and done.returncode:
        raise Failed(f"git {args[0]} in {tree}: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout if check else done


def committer(tree):
    """An identity for git where the user has none; authors are in the patches."""
    if git(tree, "var", "GIT_COMMITTER_IDENT", check=False).returncode == 0:
        return {}
    return {"GIT_COMMITTER_NAME": "kvm-coco compose", "GIT_COMMITTER_EMAIL": "compose@localhost"}


class Patch:
    def __init__(self, name):
        self.name = name
        self.path = PATCHES / name
        if not self.path.is_file():
            raise Failed(f"patches/series names {name}, which does not exist")
        self.text = self.path.read_bytes()
        head, mark, rest = self.text.partition(b"\n---\n")
        if not mark or b"\ndiff --git " not in rest:
            raise Failed(f"patches/{name} changes no existing file: every commit needs a hook")
        notes = rest.partition(b"\ndiff --git ")[0]
        self.adds = re.findall(r"^Adds: (\S+)$", notes.decode(), re.M)
        self.head = head

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


def load():
    """The patches in order; refuses a series whose parts do not fit together."""
    names = [line.split("#")[0].strip() for line in (PATCHES / "series").read_text().splitlines()]
    names = [name for name in names if name]
    on_disk = {str(p.relative_to(PATCHES)) for p in (PATCHES / f"v{BASE}").glob("*.patch")}
    for name in sorted(on_disk - set(names)):
        raise Failed(f"patches/{name} is not in patches/series: add it there or delete it")
    patches = [Patch(name) for name in names]
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
               "--committer-date-is-author-date", str(patch.path), check=False, env=who)
    if done.returncode:
        git(tree, "am", "--abort", check=False, env=who)
        raise Failed(f"patches/{patch.name} does not apply to v{version}: "
                     f"{where_it_fails(tree, patch)}; {tree} is left at the last good commit; "
                     "try make refresh or KERNEL_SRC=")
    for path in patch.adds:
        target = Path(tree) / path
        if target.exists():
            git(tree, "reset", "-q", "--hard", "HEAD~1")
            raise Failed(f"patches/{patch.name} Adds {path}, which the kernel already has")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, target)
    if patch.adds:
        date = git(tree, "log", "-1", "--format=%aI").strip()
        git(tree, "add", "-f", "--", *patch.adds)
        git(tree, *options, "commit", "--quiet", "--amend", "--no-edit", "--no-verify",
            "--allow-empty-message", env={**who, "GIT_COMMITTER_DATE": date})
    return git(tree, "rev-parse", "HEAD").strip()


def kernel_version(tree):
    """(7, 3, 4) from the tree's own Makefile."""
    makefile = Path(tree) / "Makefile"
    if not makefile.is_file() or not (Path(tree) / "arch/x86/kvm").is_dir():
        raise Failed(f"{tree} is no kernel tree: it has no Makefile or no arch/x86/kvm")
    head = makefile.read_text(errors="replace")[:2000]
    numbers = [re.search(rf"^{key} = *(\d+)$", head, re.M)
               for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    if not all(numbers):
        raise Failed(f"{makefile} does not tell the kernel's version")
    return tuple(int(n[1]) for n in numbers)


def check_version(found, what):
    """7.3.y is the base; an older kernel is refused, a later one tried loudly."""
    text = ".".join(map(str, found))
    wanted = tuple(map(int, BASE.split(".")))
    if found[:2] < wanted:
        raise Failed(f"{what} is {text}: the series needs {BASE}.y; give KERNEL_SRC= another")
    if found[:2] > wanted:
        print(f"*** {what} is {text}, not {BASE}.y: trying it all the same with git am -3 ***",
              file=sys.stderr, flush=True)
    return text
