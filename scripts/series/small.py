# SPDX-License-Identifier: GPL-2.0-only
"""Commits on a tree, made beside it where there are only the files that they touch.

git am looks at every file of a tree, 96,000 of a kernel, again for each patch.  So it works
in a small worktree; git fast-import then makes the same commits on the tree's own history,
with the same authors, dates and messages.
"""
import tempfile

from scripts.common import git

NOBODY = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
          for what, value in (("NAME", "kvm-coco"), ("EMAIL", "compose@localhost"))}
IMPORTED = "refs/kvm-coco/imported"


class Small:
    """A worktree of TREE with the files NAMES as commit START has them, and no others."""

    def __init__(self, tree, start, names):
        self.tree, self.names = tree, sorted(set(names))
        self.start = git(tree, "rev-parse", f"{start}^{{commit}}").strip()
        self.first = ""
        self.temp = tempfile.TemporaryDirectory(prefix="kvm-coco-")
        self.path = f"{self.temp.name}/tree"

    def __enter__(self):
        index = {"GIT_INDEX_FILE": f"{self.temp.name}/index"}
        git(self.tree, "update-index", "-z", "--index-info", env=index, stdin=git(
            self.tree, "--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", self.start, "--",
            *self.names))
        self.first = git(self.tree, "commit-tree", "-m", "The files that are changed",
                         git(self.tree, "write-tree", env=index).strip(), env=NOBODY).strip()
        git(self.tree, "worktree", "add", "-q", "--detach", self.path, self.first)
        return self

    def commits(self):
        """What has been committed in it, as commits after START; on no branch."""
        stream = git(self.path, "fast-export", "--no-data", "--reencode=no", "--signed-tags=strip",
                     "--reference-excluded-parents", f"--refspec=HEAD:{IMPORTED}",
                     f"{self.first}..HEAD")
        if "\ncommit " not in f"\n{stream}":
            return []
        git(self.tree, "fast-import", "--quiet", "--force",
            stdin=stream.replace(f"\nfrom {self.first}\n", f"\nfrom {self.start}\n"))
        made = git(self.tree, "rev-list", "--reverse", f"{self.start}..{IMPORTED}").split()
        git(self.tree, "update-ref", "-d", IMPORTED)
        return made

    def __exit__(self, *_):
        git(self.tree, "worktree", "remove", "--force", self.path, check=False)
        self.temp.cleanup()
        git(self.tree, "worktree", "prune")
