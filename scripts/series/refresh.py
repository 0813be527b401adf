#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The inverse of compose: commits in the composed tree back to patches and files.

New files are written as HEAD has them.  With BASE=7.2 only patches/v7.2/ is written:
the overrides of those patches that make something else of this base than the commit is.
"""
import re
import sys
from pathlib import Path

from scripts.common import BASE, Failed, HOME, MAIN, git, run_main
from scripts.series import commits as made, patches as series, topics
from scripts.series.overrides import refresh_overrides
from scripts.series.topics import PATCHES
from scripts.series.tree import Tree


def write_mirror(tree, adds):
    """The files that the series adds, as HEAD has them, and no others."""
    changed = []
    for path in adds:
        listed = git(tree, "ls-tree", "HEAD", "--", path)
        if not listed:
            raise Failed(f"{path} is added by one commit and removed by another: drop both")
        if made.write(HOME / path, git(tree, "show", f"HEAD:{path}"),
                      listed.startswith("100755")):
            changed.append(path)
    for path in series.mirror_files():
        if path not in adds:
            (HOME / path).unlink()
            changed.append(f"{path} (deleted)")
    return changed


def slug(name):
    return re.sub(r"^\d{4}-", "", Path(name).name)


def drop_others(names):
    """Patches that are no more go; an override goes where its patch went."""
    changed = []
    for path in sorted(PATCHES.rglob("*.patch")):
        name = str(path.relative_to(PATCHES))
        base, plain = re.findall(r"^(v[\d.]+/)?(.*)", name)[0]
        again = [other for other in names if slug(other) == slug(plain)]
        if plain in names:
            continue
        target = PATCHES / (base + again[0]) if base and len(again) == 1 else path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
            changed.append(f"patches/{base}{again[0]} (was {name})")
        elif not base:
            path.unlink()
            changed.append(f"patches/{name} (deleted)")
    return changed


def refresh(tree, commits):
    known = topics.read()
    of_topic = made.topics_of(tree.path, commits, known)
    changed, names, owner, applied, numbers = [], [], {}, [], dict.fromkeys(known, 0)
    for topic, commit in zip(of_topic, commits):
        adds = made.new_files(tree.path, commit)
        numbers[topic] += 1
        name = made.file_name(tree.path, topic, numbers[topic], commit)
        text = made.as_patch(tree.path, commit, adds)
        for path in adds:
            made.check_mirrored(path)
            if path in owner:
                raise Failed(f"{path} is added by two commits")
            owner[path] = commit
        if made.write_patch(tree.path, f"{commit}^", name, text):
            changed.append(f"patches/{name}")
        names.append(name)
        applied.append({"patch": name, "commit": commit})
    return changed + write_mirror(tree.path, owner) + drop_others(names), applied


def check_derived(tree, patches, applied):
    """What compose will derive is what the commits add."""
    for patch, item in zip(patches, applied):
        for path, (content, _) in patch.files.items():
            if BASE == MAIN and git(tree, "show", f"{item['commit']}:{path}") != content.decode(
                    errors="surrogateescape"):
                raise Failed(f"{path} as patches/{patch.name} adds it cannot be derived from the "
                             "last one: delete the patches that change it later, and make refresh "
                             "again; the commits are unharmed")


def main(build):
    tree = Tree(build)
    commits = made.finished(tree)
    changed, applied = (refresh if BASE == MAIN else refresh_overrides)(tree, commits)
    patches = series.load()
    check_derived(tree.path, patches, applied)
    for item, patch in zip(applied, patches):
        item["key"] = patch.key()
    tree.state["applied"] = applied
    tree.save()
    tree.mark_topics([patch.topic for patch in patches])
    print(f"refresh: {len(commits)} commits, {len(changed)} files changed")
    for path in changed:
        print(f"  {path}")
    return 0


if __name__ == "__main__":
    run_main("refresh", lambda: main(sys.argv[1]))
