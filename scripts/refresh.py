#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The inverse of compose: commits in build/linux-7.3 back to patches and files."""
import os
import re
import sys
import tempfile
from pathlib import Path

import series
from compose import Tree
from series import BASE, Failed, PATCHES, ROOT, git


def new_files(tree, commit):
    return git(tree, "diff-tree", "-r", "--no-renames", "--diff-filter=A", "--name-only",
               "-z", f"{commit}^", commit).split("\0")[:-1]


def as_patch(tree, commit, adds):
    """The text of the patch file, but for the number in its name."""
    subject = git(tree, "log", "-1", "--format=%s", commit).strip()
    text = git(tree, "format-patch", "--stdout", "--patch", "--keep-subject", "--no-signature",
               "--full-index", "--zero-commit", "--no-renames", "--no-numbered", "--no-base",
               "--no-color", "--no-ext-diff", "--src-prefix=a/", "--dst-prefix=b/",
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
    return f"v{BASE}/{number:04d}-{slug}.patch"


def hook_tree(tree, commit, patch_text):
    """The tree that PATCH_TEXT makes of COMMIT's parent; None if it does not apply."""
    with tempfile.TemporaryDirectory() as temp:
        env = {"GIT_INDEX_FILE": f"{temp}/index"}
        git(tree, "read-tree", f"{commit}^", env=env)
        done = git(tree, "apply", "--cached", "-", check=False, env=env, stdin=patch_text)
        return None if done.returncode else git(tree, "write-tree", env=env)


def same_commit(tree, commit, old, new):
    """True if OLD says the same as NEW and only line numbers or blob ids moved."""
    def split(text):
        return text.partition("\ndiff --git ")

    return (split(old)[0] == split(new)[0] and
            hook_tree(tree, commit, old) == hook_tree(tree, commit, new) is not None)


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


def refresh(build):
    tree = Tree(build)
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

    changed, names, owner, applied = [], [], {}, []
    for number, commit in enumerate(commits, 1):
        adds = new_files(tree.path, commit)
        name = file_name(tree.path, number, commit)
        text = as_patch(tree.path, commit, adds)
        path = PATCHES / name
        if path.exists():
            old = path.read_bytes().decode(errors="surrogateescape")
            if old != text and same_commit(tree.path, commit, old, text):
                text = old
        if write(path, text):
            changed.append(f"patches/{name}")
            if hook_tree(tree.path, commit, text) is None:
                raise Failed(f"patches/{name} does not apply to where it comes from: a bug in "
                             "refresh; the commit itself is unharmed")
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
    for path in sorted((PATCHES / f"v{BASE}").glob("*.patch")):
        if str(path.relative_to(PATCHES)) not in names:
            path.unlink()
            changed.append(f"patches/v{BASE}/{path.name} (deleted)")
    header = "# SPDX-License-Identifier: GPL-2.0-only\n# The order of the series; one file is one commit.\n"
    if write(PATCHES / "series", header + "".join(f"{name}\n" for name in names)):
        changed.append("patches/series")

    for item, patch in zip(applied, series.load()):
        item["key"] = patch.key()
    tree.state["applied"] = applied
    tree.save()
    print(f"refresh: {len(commits)} commits, {len(changed)} files changed")
    for path in changed:
        print(f"  {path}")
    return 0


if __name__ == "__main__":
    series.run_main("refresh", lambda: refresh(sys.argv[1]))
