#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Make build/linux-7.3 (another BASE, or build/qemu-10.0): the base and on it the series, one commit per patch.

Incremental: an unchanged series costs nothing, a changed patch N is applied
again from N on.  Work that is only in the tree is never overwritten.
"""
import os
import shutil
import subprocess
import sys
import time

from scripts.common import SERIES, SOURCE, Failed, git, run_main
from scripts.series import base, mirror, patches as series
from scripts.series.commit import apply_patches
from scripts.series.commits import FORMAT, NO_SETTINGS
from scripts.series.tree import Tree


def fresh_tree(tree, given):
    """Import the base if there is no tree, or one of another base; whether it did."""
    if tree.path.exists() and not tree.record.exists():
        raise Failed(f"{tree.path} is no tree that compose made: move it away")
    fresh = not tree.path.exists()
    entry = base.ensure(given) if fresh or given else None
    if not fresh and entry and entry.name != tree.state["entry"]:
        if tree.unsaved():
            raise Failed(f"{tree.path} holds {tree.unsaved()} on another base: keep it first "
                         "(make refresh, or move the directory away)")
        aside = tree.path.with_name(f"{tree.path.name}.old")
        shutil.rmtree(aside, ignore_errors=True)
        tree.path.rename(aside)
        fresh = True
    if fresh:
        tree.import_base(entry)
    return fresh


def write_mbox(tree, path):
    """The series as one mailbox, for who has only git am."""
    part = path.with_suffix(".part")
    with open(part, "wb") as out:
        subprocess.run(["git", "-C", tree.path, "format-patch", "--stdout", "--no-signature",
                        *FORMAT, "base..HEAD"], stdout=out, check=True,
                       env={**os.environ, **NO_SETTINGS})
    part.rename(path)


def compose(build, given):
    started = time.monotonic()
    patches = series.load()
    tree = Tree(build)
    tree.path.parent.mkdir(parents=True, exist_ok=True)
    fresh = fresh_tree(tree, given)

    keys = [patch.key() for patch in patches]
    applied = tree.state["applied"]
    same = 0
    while same < min(len(keys), len(applied)) and keys[same] == applied[same]["key"]:
        same += 1
    unsaved = "" if fresh else tree.unsaved()
    if unsaved and same == len(keys) == len(applied):
        print(f"compose: {tree.path} has {unsaved}; the series itself is unchanged, "
              "so the tree is left as it is (make refresh takes the work over)")
        return 0
    if unsaved:
        raise Failed(
            f"{tree.path} holds {unsaved}, and the series has changed too; nothing was touched. "
            f"To keep the work: commit it there and make refresh. To throw it away: "
            f"git -C {tree.path} reset --hard {tree.composed_head()[:12]} && "
            f"git -C {tree.path} clean -fd")

    tree.state["applied"] = applied[:same]
    commits, error = apply_patches(tree.path, tree.composed_head(), patches[same:],
                                   tree.state["version"])
    tree.state["applied"] += [{"patch": patch.name, "key": patch.key(), "commit": commit}
                              for patch, commit in zip(patches[same:], commits)]
    if commits or same < len(applied):
        git(tree.path, "reset", "--quiet", "--hard", tree.composed_head())
        tree.save()
    names = [patch.topic for patch in patches]
    tree.mark_topics(names)
    if error:
        raise Failed(f"{error}; {tree.path} has the patches before it")
    write_mbox(tree, tree.path.with_name("series.mbox" if SERIES == "linux" else f"{SERIES}.mbox"))
    mirror.check_files(tree.path)
    print(f"compose: {len(patches)} commits on {tree.state['version']} in {tree.path}, "
          f"{len(patches) - same} applied now, tree "
          f"{git(tree.path, 'rev-parse', 'HEAD^{tree}')[:12]}, "
          f"{time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    run_main("compose", lambda: compose(sys.argv[1], os.environ.get(SOURCE)))
