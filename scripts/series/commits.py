# SPDX-License-Identifier: GPL-2.0-only
"""The commits of a composed tree as patch files, and which topic each is of."""
import os
import re
import tempfile

from scripts.common import Failed, git
from scripts.series import patches as series
from scripts.series.topics import PATCHES

FORMAT = ("--patch", "--full-index", "--no-renames", "--no-color", "--no-ext-diff",
          "--src-prefix=a/", "--dst-prefix=b/")
# No setting of the user's changes what is written.
NO_SETTINGS = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


def finished(tree):
    """The commits of the series, if they are fit to be written."""
    if not tree.record.exists():
        raise Failed(f"there is no {tree.path}: make compose first")
    if tree.half_way():
        raise Failed(f"a rebase or git am is in progress in {tree.path}: git rebase --continue first")
    if git(tree.path, "status", "--porcelain"):
        raise Failed(f"{tree.path} has uncommitted changes: commit them first, e.g. git commit "
                     "--fixup=COMMIT and git rebase -i --autosquash base")
    commits = git(tree.path, "rev-list", "--reverse", "base..HEAD").split()
    if git(tree.path, "rev-list", "--merges", "base..HEAD"):
        raise Failed("the branch holds a merge: the series is linear, rebase it on base")
    for commit in commits:
        subject = subject_of(tree.path, commit)
        if re.match(r"(fixup|squash|amend)! ", subject):
            raise Failed(f"commit '{subject}' waits for git rebase -i --autosquash base")
    return commits


def subject_of(tree, commit):
    return git(tree, "log", "-1", "--format=%s", commit).strip()


def topics_of(tree, commits, topics):
    """The topic of each of COMMITS: those up to branch topic/NAME and after the one before.

    The last topic ends where HEAD is.  A branch that is not on the way to HEAD was left
    behind by a rebase: then the last commit with a subject of its patches counts."""
    subjects = [subject_of(tree, commit) for commit in commits]
    result, start = [], 0
    for name in topics:
        end = len(commits)
        if name != list(topics)[-1]:
            end = topic_end(tree, commits, subjects, topics[name])
        if end <= start:
            raise Failed(f"topic {name} ends before it begins: git branch -f topic/{name} COMMIT, its "
                         "last one; the topics are in the order of patches/topics")
        result += [name] * (end - start)
        start = end
    return result


def topic_end(tree, commits, subjects, topic):
    """How many commits the series has up to the end of TOPIC."""
    found = git(tree, "rev-parse", "-q", "--verify", f"refs/heads/topic/{topic.name}",
                check=False).stdout.strip()
    if found in commits:
        return commits.index(found) + 1
    known = set()
    for path in topic.files():
        head = re.search(r"^Subject: (.*(?:\n .*)*)", path.read_text(errors="replace"), re.M)
        known.add(head[1].replace("\n", "") if head else "")
    ends = [number for number, subject in enumerate(subjects, 1) if subject in known]
    if not ends:
        raise Failed(f"no commit is of topic {topic.name}: git branch topic/{topic.name} COMMIT says "
                     "which is its last, or take it out of patches/topics")
    return ends[-1]


def new_files(tree, commit):
    return git(tree, "diff-tree", "-r", "--no-renames", "--diff-filter=A", "--name-only",
               "-z", f"{commit}^", commit).split("\0")[:-1]


def as_patch(tree, commit, adds):
    """The text of the patch file, but for the number in its name."""
    subject = subject_of(tree, commit)
    text = git(tree, "format-patch", "--stdout", "--keep-subject", "--no-signature",
               "--zero-commit", "--no-numbered", "--no-base", *FORMAT,
               f"{commit}^..{commit}", "--", ".", *[f":(exclude){path}" for path in adds],
               env=NO_SETTINGS)
    if "\ndiff --git " not in text:
        raise Failed(f"commit '{subject}' changes no file that the kernel already has: add a "
                     "hook (a Makefile, Kconfig, index.rst or MAINTAINERS line)")
    head, _, diff = text.partition("\ndiff --git ")
    head = head.rstrip("\n")
    if head.endswith("\n---"):
        head = head[:-4].rstrip("\n")
    notes = "".join(f"Adds: {path}\n" for path in adds)
    return f"{head}\n---\n{notes}\ndiff --git {diff.rstrip(chr(10))}\n"


def file_name(tree, topic, number, commit):
    slug = git(tree, "log", "-1", "--format=%f", commit).strip()[:52].rstrip("-.")
    return f"{topic}/{number:04d}-{slug}.patch"


def hook_tree(tree, start, patch_text):
    """The tree that PATCH_TEXT makes of START; None if it does not apply."""
    with tempfile.TemporaryDirectory() as temp:
        env = {"GIT_INDEX_FILE": f"{temp}/index"}
        git(tree, "read-tree", start, env=env)
        done = git(tree, "apply", "--cached", "-", check=False, env=env, stdin=patch_text)
        return None if done.returncode else git(tree, "write-tree", env=env)


def same_commit(tree, start, old, new):
    """True if OLD says the same as NEW and only line numbers or blob ids moved."""
    def split(text):
        return text.partition("\ndiff --git ")

    return (split(old)[0] == split(new)[0] and
            hook_tree(tree, start, old) == hook_tree(tree, start, new) is not None)


def write(path, text, mode=None):
    """Write only what differs; returns True if it did."""
    data = text.encode(errors="surrogateescape")
    if path.exists() and path.read_bytes() == data and (
            mode is None or os.access(path, os.X_OK) == mode):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    if mode is not None:
        path.chmod(0o755 if mode else 0o644)
    return True


def write_patch(tree, start, name, text):
    """Write patches/NAME, which is a commit on START; returns True if that changed it."""
    path = PATCHES / name
    if path.exists():
        old = path.read_bytes().decode(errors="surrogateescape")
        if old != text and same_commit(tree, start, old, text):
            text = old
    if not write(path, text):
        return False
    if hook_tree(tree, start, text) is None:
        raise Failed(f"patches/{name} does not apply to where it comes from: a bug in "
                     "refresh; the commit itself is unharmed")
    return True


def check_mirrored(path):
    if not path.startswith(tuple(f"{top}/" for top in series.MIRRORED)):
        raise Failed(f"{path}: new files live below {', '.join(series.MIRRORED)}")
