#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Make build/linux-7.3 (or another BASE): the base and on it the series, one commit per patch.

Incremental: an unchanged series costs nothing, a changed patch N is applied
again from N on.  Work that is only in the tree is never overwritten.
"""
import json
import os
import shutil
import sys
import time
from pathlib import Path

from scripts.series import base
from scripts.series import patches as series
from scripts.common import BASE, Failed, git, run_main
from scripts.series.version import kernel_version


class Tree:
    """The composed git tree and the record of what is in it."""

    def __init__(self, build):
        self.path = Path(build) / f"linux-{BASE}"
        self.record = self.path / ".git/kvm-coco.json"
        self.state = {"base": None, "version": None, "applied": []}
        if self.record.exists():
            self.state = json.loads(self.record.read_text())

    def save(self):
        part = self.record.with_suffix(".part")
        part.write_text(json.dumps(self.state, indent=1))
        part.rename(self.record)

    def composed_head(self):
        applied = self.state["applied"]
        return applied[-1]["commit"] if applied else self.state["base"]

    def unsaved(self):
        """What compose would overwrite, in words; empty if nothing."""
        if git(self.path, "rev-parse", "HEAD").strip() != self.composed_head():
            return "commits that make refresh has not seen"
        if (self.path / ".git/rebase-merge").exists() or (self.path / ".git/rebase-apply").exists():
            return "a rebase or git am in progress"
        dirty = git(self.path, "status", "--porcelain").splitlines()
        return f"uncommitted changes, the first: {dirty[0].strip()}" if dirty else ""

    def import_base(self, entry):
        started = time.monotonic()
        base.room(self.path.parent)
        repo = entry / "git"
        # Not shared: the tree survives the cache; on one disk it is hard links.
        git(self.path.parent, "clone", "--quiet", "--local", "--branch", "base", "--origin",
            "base-import", str(repo), self.path.name)
        git(self.path, "remote", "remove", "base-import")
        git(self.path, "checkout", "--quiet", "-b", "series")
        git(self.path, "config", "gc.auto", "0")
        self.state = {"base": git(self.path, "rev-parse", "base").strip(),
                      "entry": entry.name, "origin": (entry / "origin").read_text().strip(),
                      "version": ".".join(map(str, kernel_version(self.path))),
                      "applied": []}
        self.save()
        print(f"compose: base {self.state['version']} ({self.state['origin']}), "
              f"{time.monotonic() - started:.0f} s")


def compose(build, kernel_src):
    started = time.monotonic()
    patches = series.load()
    tree = Tree(build)
    tree.path.parent.mkdir(parents=True, exist_ok=True)
    if tree.path.exists() and not tree.record.exists():
        raise Failed(f"{tree.path} is no tree that compose made: move it away")

    fresh = not tree.path.exists()
    entry = base.ensure(kernel_src) if fresh or kernel_src else None
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

    if same < len(applied):
        tree.state["applied"] = applied[:same]
        git(tree.path, "reset", "--quiet", "--hard", tree.composed_head())
        tree.save()
    for number, patch in enumerate(patches[same:], same + 1):
        commit = series.apply_patch(tree.path, patch, tree.state["version"])
        tree.state["applied"].append({"patch": patch.name, "key": keys[number - 1],
                                      "commit": commit})
        tree.save()
        print(f"compose: [{number}/{len(patches)}] {patch.name}", flush=True)
    print(f"compose: {len(patches)} commits on {tree.state['version']} in {tree.path}, "
          f"{len(patches) - same} applied now, tree "
          f"{git(tree.path, 'rev-parse', 'HEAD^{tree}')[:12]}, "
          f"{time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    run_main("compose", lambda: compose(sys.argv[1], os.environ.get("KERNEL_SRC")))
