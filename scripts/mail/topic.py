# SPDX-License-Identifier: GPL-2.0-only
"""One topic as commits on the base, after those of the topics that it needs."""
from scripts.common import Failed, git
from scripts.series import patches as series, topics
from scripts.series.commit import apply_patches


def commits(state, name):
    """(commits of what NAME needs, its own), on no branch."""
    wanted = series.of_topics(series.load(), topics.selected(topics.read(), name))
    made, error = apply_patches(state.path, "base", wanted, state.state["version"])
    if error:
        raise Failed(f"topic {name} does not apply to the base with what its cover letter "
                     f"says it needs: {error}")
    own = [patch.topic for patch in wanted].index(name)
    return made[:own], made[own:]


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
