# SPDX-License-Identifier: GPL-2.0-only
"""The part of refresh for a base other than MAIN: patches/v7.2/ from the tree there."""
import tempfile

from scripts.common import BASE, Failed, MAIN, git
from scripts.series import commits as made, patches as series
from scripts.series.topics import PATCHES


def with_added(tree, commit, patch):
    """The tree of COMMIT's parent and the files that PATCH adds on MAIN."""
    with tempfile.TemporaryDirectory() as temp:
        env = {"GIT_INDEX_FILE": f"{temp}/index"}
        git(tree, "read-tree", f"{commit}^", env=env)
        for path, (content, mode) in patch.files.items():
            blob = git(tree, "hash-object", "-w", "--no-filters", "--stdin",
                       stdin=content.decode(errors="surrogateescape")).strip()
            git(tree, "update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}", env=env)
        return git(tree, "write-tree", env=env).strip()


def refresh_overrides(tree, commits):
    """What of COMMITS another patch than MAIN's makes on this base."""
    patches = series.originals()
    changed, applied = [], []
    if len(commits) != len(patches):
        raise Failed(f"{tree.path} has {len(commits)} commits, the series {len(patches)}: commits "
                     f"are added and dropped in the tree of {MAIN} only (make refresh, without "
                     f"BASE=); fold those of {BASE} alone into others")
    for commit, patch in zip(commits, patches):
        number = int(patch.path.name[:4])
        found = made.file_name(tree.path, patch.topic, number, commit)
        if found != patch.name:
            raise Failed(f"a commit would be {found}, but is patches/{patch.name}: order and "
                         f"subjects are those of {MAIN}; change them there")
        added = set(made.new_files(tree.path, commit)) ^ set(patch.adds)
        if added:
            raise Failed(f"{min(added)}: patches/{patch.name} and its commit on {BASE} do not add "
                         "the same files; an override may change them, but not their list")
        start = with_added(tree.path, commit, patch)
        head, _, rest = made.as_patch(tree.path, commit, patch.adds).partition("\n---\n")
        original = patch.text.decode(errors="surrogateescape")
        name = series.on_base(patch.name)
        if (original.partition("\n---\n")[0] == head and
                made.hook_tree(tree.path, start, original) ==
                git(tree.path, "rev-parse", f"{commit}^{{tree}}")):
            if (PATCHES / name).exists():
                (PATCHES / name).unlink()
                changed.append(f"patches/{name} (deleted, {MAIN}'s does the same)")
            name = patch.name
        else:
            notes = rest.partition("\ndiff --git ")[0]
            text = (f"{head}\n---\n{notes}Replaces: {patch.replaces}\n\n" +
                    git(tree.path, "diff-tree", "-r", *made.FORMAT, start, commit))
            if made.write_patch(tree.path, start, name, text):
                changed.append(f"patches/{name}")
        applied.append({"patch": name, "commit": commit})
    return changed, applied
