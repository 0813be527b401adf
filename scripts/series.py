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
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAIN = "7.3"
BASE = os.environ.get("BASE") or MAIN
PATCHES = ROOT / "patches"
MIRRORED = ("arch", "include", "Documentation", "tools")


class Failed(Exception):
    """Something the user can act on: what failed, on which input, what to do."""


def run_main(name, main):
    """Run MAIN; a Failed ends the program with one clear message."""
    try:
        check_base()
        sys.exit(main())
    except Failed as error:
        sys.exit(f"{name}: {error}")
    except OSError as error:
        sys.exit(f"{name}: {error.filename or ''}: {error.strerror}; nothing was lost, "
                 "repair that and run it again")
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted; run it again to go on")


def bases():
    return sorted(path.name[1:] for path in (ROOT / "bases").glob("v*"))


def check_base():
    if BASE not in bases():
        raise Failed(f"BASE={BASE}: no such base; there are: {' '.join(bases())}")


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
    """BASE.y is wanted; an older kernel is refused, a later one tried loudly."""
    text = ".".join(map(str, found))
    wanted = tuple(map(int, BASE.split(".")))
    if found[:2] < wanted:
        raise Failed(f"{what} is {text}: BASE={BASE} needs {BASE}.y; give KERNEL_SRC= or KDIR= "
                     f"another, or BASE= one of {' '.join(bases())}")
    if found[:2] > wanted:
        print(f"*** {what} is {text}, not {BASE}.y: trying it all the same with git am -3 ***",
              file=sys.stderr, flush=True)
    return text
