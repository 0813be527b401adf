# SPDX-License-Identifier: GPL-2.0-only
"""Patches and the files that they Add as commits on a kernel tree, one each."""
import re
from pathlib import Path

from scripts.common import BASE, SERIES, SOURCE, Failed, MAIN, committer, git
from scripts.series.derive import touched
from scripts.series.small import Small


def where_it_fails(tree, patch):
    """FILE:LINE of the first hunk that git cannot place."""
    words = git(tree, "apply", "--check", str(patch.path), check=False).stderr
    found = re.search(r"patch failed: (\S+:\d+)", words) or re.search(r"error: (.*)", words)
    return found[1] if found else words.strip()[-200:]


def apply_patches(tree, start, patches, version, three_way=True):
    """PATCHES as commits after START of TREE, on no branch: (those that apply, why no more).

    Without THREE_WAY as git am does by itself."""
    if not patches:
        return [], None
    names = [name for patch in patches for name in (*patch.adds, *touched(patch))]
    error = None
    with Small(tree, start, names) as small:
        for number, patch in enumerate(patches, 1):
            try:
                commit(small.path, patch, version, three_way)
            except Failed as failed:
                error = failed
                break
            if number in (1, len(patches)) or number % 10 == 0:
                print(f"{SERIES} patch [{number}/{len(patches)}] {patch.name}", flush=True)
        return small.commits(), error


def commit(tree, patch, version, three_way):
    """Commit PATCH in TREE."""
    who = committer(tree)
    options = ["-c", "commit.gpgsign=false", "-c", "core.autocrlf=false",
               "-c", "advice.mergeConflict=false"]
    done = git(tree, *options, "am", *(["-3"] if three_way else []), "--quiet",
               "--keep-non-patch", "--committer-date-is-author-date",
               *[f"--exclude={path}" for path in patch.adds],
               str(patch.path), check=False, env=who)
    if done.returncode:
        git(tree, "am", "--abort", check=False, env=who)
        raise Failed(f"patches/{patch.name} does not apply to v{version}: "
                     f"{where_it_fails(tree, patch)}; " +
                     (f"try make refresh or {SOURCE}=" if BASE == MAIN else
                      f"for an override, cherry-pick the rest of the commits there from the tree of "
                      f"{MAIN} (git fetch), and make refresh BASE={BASE}"))
    for path, (content, mode) in patch.files.items():
        target = Path(tree) / path
        if target.exists():
            git(tree, "reset", "-q", "--hard", "HEAD~1")
            raise Failed(f"patches/{patch.name} Adds {path}, which the kernel already has")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(int(mode[-3:], 8))
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
