# SPDX-License-Identifier: GPL-2.0-only
"""The composed git tree and the record of what is in it."""
import json
import time
from pathlib import Path
from typing import Any

from scripts.common import TREE, Failed, git
from scripts.series.cache import room
from scripts.series.version import source_version

# What the record of a tree looks like; another one cannot be continued.
LAYOUT = 2


class Tree:
    def __init__(self, build):
        self.path = Path(build) / TREE
        self.record = self.path / ".git/kvm-coco.json"
        self.state: dict[str, Any] = {"layout": LAYOUT, "base": None, "version": None,
                                      "applied": []}
        if self.record.exists():
            self.state = json.loads(self.record.read_text())
        if self.state.get("layout") != LAYOUT:
            unsaved = self.unsaved()
            raise Failed(
                f"{self.path} was composed when the series was one row of patches, and cannot be "
                "continued. " + (f"It holds {unsaved}: keep that first, e.g. git -C {self.path} "
                                 "format-patch, or copy the folder; then " if unsaved else
                                 "It holds nothing that patches/ did not have: ") + "make clean")

    def save(self):
        part = self.record.with_suffix(".part")
        part.write_text(json.dumps(self.state, indent=1))
        part.rename(self.record)

    def composed_head(self):
        applied = self.state["applied"]
        return applied[-1]["commit"] if applied else self.state["base"]

    def half_way(self):
        return any((self.path / ".git" / name).exists() for name in ("rebase-merge", "rebase-apply"))

    def unsaved(self):
        """What compose would overwrite, in words; empty if nothing."""
        if git(self.path, "rev-parse", "HEAD").strip() != self.composed_head():
            return "commits that make refresh has not seen"
        if self.half_way():
            return "a rebase or git am in progress"
        dirty = git(self.path, "status", "--porcelain").splitlines()
        return f"uncommitted changes, the first: {dirty[0].strip()}" if dirty else ""

    def import_base(self, entry):
        started = time.monotonic()
        room(self.path.parent)
        repo = entry / "git"
        # Not shared: the tree survives the cache; on one disk it is hard links.
        git(self.path.parent, "clone", "--quiet", "--local", "--branch", "base", "--origin",
            "base-import", str(repo), self.path.name)
        git(self.path, "remote", "remove", "base-import")
        git(self.path, "checkout", "--quiet", "-b", "series")
        git(self.path, "config", "gc.auto", "0")
        # git rebase takes the branches of the topics along.
        git(self.path, "config", "rebase.updateRefs", "true")
        self.state = {"layout": LAYOUT, "base": git(self.path, "rev-parse", "base").strip(),
                      "entry": entry.name, "origin": (entry / "origin").read_text().strip(),
                      "version": ".".join(map(str, source_version(self.path))),
                      "applied": []}
        self.save()
        print(f"compose: base {self.state['version']} ({self.state['origin']}), "
              f"{time.monotonic() - started:.0f} s")

    def mark_topics(self, names):
        """Branch topic/NAME is the last commit of topic NAME; NAMES has one for each commit.

        A topic of which not all is applied has no branch."""
        applied = self.state["applied"]
        ends = {name: item["commit"] for name, item in zip(names, applied)
                if name not in names[len(applied):]}
        lines = [f"update refs/heads/topic/{name} {commit}" for name, commit in ends.items()]
        lines += [f"delete {ref}" for ref in self.topic_branches() if ref[17:] not in ends]
        git(self.path, "update-ref", "--stdin", stdin="".join(f"{line}\n" for line in lines))

    def topic_branches(self):
        return git(self.path, "for-each-ref", "--format=%(refname)", "refs/heads/topic/").split()
