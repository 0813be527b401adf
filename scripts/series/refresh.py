#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The inverse of compose: commits in the composed tree back to patches and files.

With BASE=7.2 only patches/v7.2/ is written: the overrides of those patches that
make something else of this base than the commit is.
"""
import os
import re
import sys
import tempfile
from pathlib import Path

from scripts.series import patches as series
from scripts.series.compose import Tree
from scripts.common import BASE, Failed, MAIN, ROOT, git, run_main
from scripts.series.patches import PATCHES

FORMAT = ("--patch", "--full-index", "--no-renames", "--no-color", "--no-ext-diff",
          "--src-prefix=a/", "--dst-prefix=b/")


def new_files(tree, commit):
    return git(tree, "diff-tree", "-r", "--no-renames", "--diff-filter=A", "--name-only",
               "-z", f"{commit}^", commit).split("\0")[:-1]


def as_patch(tree, commit, adds):
    """The text of the patch file, but for the number in its name."""
    subject = git(tree, "log", "-1", "--format=%s", commit).strip()
    text = git(tree, "format-patch", "--stdout", "--keep-subject", "--no-signature",
               "--zero-commit", "--no-numbered", "--no-base", *FORMAT,
               f"{commit}^..{commit}", "--", ".", *[f":(exclude){path}" for path in adds])
    if "\ndiff --git " not in text:
        raise Failed(f"commit '{subject}' changes no file that the kernel already has: add a "
                     "hook (a Makefile, Kconfig, index.rst or MAINTAINERS line)")
    head, _, diff = text.partition("\ndiff --git ")
    head = head.rstrip("\n")
    if head.endswith("\n---"):
        head = head[:-4].rstrip("\n")
    notes = "".join(f"Adds: {path}\n" for path in adds)
    return f"{head}\n---\n{notes}\ndiff --git {diff.rstrip(chr(10))}\n"


def file_name(tree, number, commit):
    slug = git(tree, "log", "-1", "--format=%f", commit).strip()[:52].rstrip("-.")
    return f"v{MAIN}/{number:04d}-{slug}.patch"


def hook_tree(tree, start, patch_text):
    """The tree that PATCH_TEXT makes of START; None if it does not apply."""
    with tempfile.TemporaryDirectory() as temp:
        env = {"GIT_INDEX_FILE": f"{temp}/index"}
        git(tree, "read-tree", start, env=env)
        done = git(tree, "apply", "--cached", "-", check=False, env=env, stdin=patch_text)
        return None if done.returncode else git(tree, "write-tree", env=env)


def same_commit(tree, start, old, new):
    """True if OLD says the same as NEW and only line numbers or blob ids moved."""
    def split(text):
        return text.partition("\ndiff --git ")

    return (split(old)[0] == split(new)[0] and
            hook_tree(tree, start, old) == hook_tree(tree, start, new) is not None)


def write(path, text, mode=None):
    """Write only what differs; returns True if it did."""
    data = text.encode(errors="surrogateescape")
    if path.exists() and path.read_bytes() == data and (
            mode is None or os.access(path, os.X_OK) == mode):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    if mode is not None:
        path.chmod(0o755 if mode else 0o644)
    return True


def write_patch(tree, start, name, text):
    """Write patches/NAME, which is a commit on START; returns True if that changed it."""
    path = PATCHES / name
    if path.exists():
        old = path.read_bytes().decode(errors="surrogateescape")
        if old != text and same_commit(tree, start, old, text):
            text = old
    if not write(path, text):
        return False
    if hook_tree(tree, start, text) is None:
        raise Failed(f"patches/{name} does not apply to where it comes from: a bug in "
                     "refresh; the commit itself is unharmed")
    return True


def finished_commits(tree):
    if not tree.record.exists():
        raise Failed(f"there is no {tree.path}: make compose first")
    if git(tree.path, "status", "--porcelain"):
        raise Failed(f"{tree.path} has uncommitted changes: commit them first, e.g. git commit "
                     "--fixup=COMMIT and git rebase -i --autosquash base")
    commits = git(tree.path, "rev-list", "--reverse", "base..HEAD").split()
    if git(tree.path, "rev-list", "--merges", "base..HEAD"):
        raise Failed("the branch holds a merge: the series is linear, rebase it on base")
    for commit in commits:
        subject = git(tree.path, "log", "-1", "--format=%s", commit).strip()
        if re.match(r"(fixup|squash|amend)! ", subject):
            raise Failed(f"commit '{subject}' waits for git rebase -i --autosquash base")
    return commits


def refresh(tree, commits):
    changed, names, owner, applied = [], [], {}, []
    for number, commit in enumerate(commits, 1):
        adds = new_files(tree.path, commit)
        name = file_name(tree.path, number, commit)
        text = as_patch(tree.path, commit, adds)
        if write_patch(tree.path, f"{commit}^", name, text):
            changed.append(f"patches/{name}")
        for file in adds:
            if not file.startswith(tuple(f"{top}/" for top in series.MIRRORED)):
                raise Failed(f"{file}: new files live below {', '.join(series.MIRRORED)}")
            if file in owner:
                raise Failed(f"{file} is added by two commits")
            owner[file] = commit
            listed = git(tree.path, "ls-tree", commit, "--", file)
            content = git(tree.path, "show", f"{commit}:{file}")
            if write(ROOT / file, content, listed.startswith("100755")):
                changed.append(file)
        names.append(name)
        applied.append({"patch": name, "commit": commit})

    for path in series.mirror_files():
        if path not in owner:
            (ROOT / path).unlink()
            changed.append(f"{path} (deleted)")
    for path in sorted(PATCHES.glob("v*/*.patch")):
        again = [Path(name).name for name in names if name[len(f"v{MAIN}/0001"):] == path.name[4:]]
        if path.name not in again and path.parent.name == f"v{MAIN}":
            path.unlink()
            changed.append(f"patches/v{MAIN}/{path.name} (deleted)")
        elif path.name not in again and len(again) == 1:
            path.rename(path.with_name(again[0]))
            changed.append(f"patches/{path.parent.name}/{again[0]} (was {path.name})")
    header = "# SPDX-License-Identifier: GPL-2.0-only\n# The order of the series; one file is one commit.\n"
    if write(PATCHES / "series", header + "".join(f"{name}\n" for name in names)):
        changed.append("patches/series")
    return changed, applied


def with_mirror_files(tree, commit, adds):
    """The tree of COMMIT's parent and, as this repository has them, the files ADDS."""
    with tempfile.TemporaryDirectory() as temp:
        env = {"GIT_INDEX_FILE": f"{temp}/index"}
        git(tree, "read-tree", f"{commit}^", env=env)
        for path in adds:
            blob = git(tree, "hash-object", "-w", "--no-filters", str(ROOT / path)).strip()
            mode = "100755" if os.access(ROOT / path, os.X_OK) else "100644"
            git(tree, "update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}", env=env)
        return git(tree, "write-tree", env=env).strip()


def refresh_overrides(tree, commits):
    """What of COMMITS another patch than MAIN's makes on this base."""
    patches = [series.Patch(name) for name in series.order()]
    changed, applied = [], []
    if len(commits) != len(patches):
        raise Failed(f"{tree.path} has {len(commits)} commits, the series {len(patches)}: commits "
                     f"are added and dropped in the tree of {MAIN} only (make refresh, without "
                     f"BASE=); fold those of {BASE} alone into others")
    for number, (commit, patch) in enumerate(zip(commits, patches), 1):
        found = file_name(tree.path, number, commit)
        if found != patch.name:
            raise Failed(f"commit {number} would be {found}, but is patches/{patch.name}: order and "
                         f"subjects are those of {MAIN}; change them there")
        added = set(new_files(tree.path, commit)) ^ set(patch.adds)
        if added:
            raise Failed(f"{min(added)}: patches/{patch.name} and its commit on {BASE} do not add "
                         "the same files; an override may change them, but not their list")
        start = with_mirror_files(tree.path, commit, patch.adds)
        head, _, rest = as_patch(tree.path, commit, patch.adds).partition("\n---\n")
        original = patch.text.decode(errors="surrogateescape")
        name = series.on_base(patch.name)
        if (original.partition("\n---\n")[0] == head and hook_tree(tree.path, start, original) ==
                git(tree.path, "rev-parse", f"{commit}^{{tree}}")):
            if (PATCHES / name).exists():
                (PATCHES / name).unlink()
                changed.append(f"patches/{name} (deleted, {MAIN}'s does the same)")
            name = patch.name
        else:
            notes = rest.partition("\ndiff --git ")[0]
            text = (f"{head}\n---\n{notes}Replaces: {patch.replaces}\n\n" +
                    git(tree.path, "diff-tree", "-r", *FORMAT, start, commit))
            if write_patch(tree.path, start, name, text):
                changed.append(f"patches/{name}")
        applied.append({"patch": name, "commit": commit})
    return changed, applied


def main(build):
    tree = Tree(build)
    commits = finished_commits(tree)
    changed, applied = (refresh if BASE == MAIN else refresh_overrides)(tree, commits)
    for item, patch in zip(applied, series.load()):
        item["key"] = patch.key()
    tree.state["applied"] = applied
    tree.save()
    print(f"refresh: {len(commits)} commits, {len(changed)} files changed")
    for path in changed:
        print(f"  {path}")
    return 0


if __name__ == "__main__":
    run_main("refresh", lambda: main(sys.argv[1]))
