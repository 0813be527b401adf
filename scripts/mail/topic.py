# SPDX-License-Identifier: GPL-2.0-only
"""One topic as commits on the base, after those of the topics that it needs."""
from scripts.common import Failed, git
from scripts.series import patches as series, topics
from scripts.series.commit import apply_patch


class Worktree:
    """A worktree of TREE that holds only the files that are changed there."""

    def __init__(self, tree, path, start):
        self.tree, self.path, self.start = tree, path, start

    def __enter__(self):
        git(self.tree, "worktree", "prune")
        git(self.tree, "worktree", "add", "-q", "--detach", "--no-checkout", str(self.path),
            self.start)
        git(self.path, "sparse-checkout", "init")
        git(self.path, "checkout", "-q")
        return self.path

    def __exit__(self, *_):
        git(self.tree, "worktree", "remove", "--force", str(self.path))


def commits(state, name, where):
    """(commits of what NAME needs, its own), made in a worktree at WHERE."""
    needed = topics.selected(topics.read(), name)
    wanted = series.of_topics(series.load(), needed)
    before, own = [], []
    with Worktree(state.path, where, "base") as tree:
        for patch in wanted:
            try:
                commit = apply_patch(tree, patch, state.state["version"])
            except Failed as error:
                raise Failed(f"topic {name} does not apply to the base with what its cover letter "
                             f"says it needs: {error}") from None
            (own if patch.topic == name else before).append(commit)
    return before, own


def signed_off(tree, before, own, who):
    """The commits of BEFORE and OWN once more, as WHO's, on no branch; (commit, subject) each."""
    parent, found = git(tree, "rev-parse", "base").strip(), []
    for commit in before + own:
        date, subject = git(tree, "log", "-1", "--format=%aI%n%s", commit).split("\n")[:2]
        parent = git(tree, "commit-tree", f"{commit}^{{tree}}", "-p", parent, stdin=git(
            tree, "log", "-1", "--format=%B", commit).rstrip("\n") + "\n", env={
                **who, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}).strip()
        found.append((parent, subject))
    return found[:len(before)], found[len(before):]
