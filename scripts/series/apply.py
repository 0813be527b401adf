#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Put the series' commits, or those of TOPIC= and what it needs, on a tree of the user's (KDIR=)."""
import sys
from pathlib import Path

from scripts.common import Failed, committer, git, run_main
from scripts.series import patches as series, topics
from scripts.series.commit import apply_patches
from scripts.series.version import check_version, source_version


def apply(kdir, topic):
    if not kdir:
        raise Failed("say on which tree: make apply KDIR=~/linux")
    tree = Path(kdir).expanduser().resolve()
    if not tree.is_dir():
        raise Failed(f"KDIR={kdir}: no such directory")
    names = topics.selected(topics.read(), topic)
    patches = series.of_topics(series.load(), names)
    version = check_version(source_version(tree), f"KDIR={kdir}")
    if not (tree / ".git").exists():
        print(f"apply: {tree} is not under git: importing it first, as one commit", flush=True)
        git(tree, "init", "--quiet", "--initial-branch=base")
        git(tree, "-c", "core.bigFileThreshold=1", "add", "-f", "-A")
        git(tree, "commit", "--quiet", "--no-verify", "-m", f"Linux {version}",
            env={**committer(tree), **author(tree)})
    dirty = git(tree, "status", "--porcelain", "--untracked-files=no").splitlines()
    if dirty:
        raise Failed(f"{tree} has uncommitted changes ({dirty[0].strip()}): commit or stash them")
    branch = f"kvm-coco-{topic}" if topic else "kvm-coco"
    if git(tree, "rev-parse", "--verify", "--quiet", branch, check=False).returncode == 0:
        raise Failed(f"{tree} has a branch {branch} already: rename or delete it first")
    start = git(tree, "rev-parse", "HEAD").strip()
    commits, error = apply_patches(tree, start, patches, version)
    if error:
        raise Failed(f"{error}; {tree} is as it was")
    git(tree, "checkout", "--quiet", "-b", branch, commits[-1])
    print(f"apply: {len(patches)} commits of {' '.join(names)} on {version}, branch {branch} of "
          f"{tree}; git log {start[:12]}..{branch}")
    return 0


def author(tree):
    who = committer(tree)
    return {key.replace("COMMITTER", "AUTHOR"): value for key, value in who.items()}


if __name__ == "__main__":
    run_main("apply", lambda: apply(*(sys.argv[1:] + ["", ""])[:2]))
