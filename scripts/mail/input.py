# SPDX-License-Identifier: GPL-2.0-only
"""What make mail has to be told: who sends, and on which upstream commit."""
import re
from pathlib import Path

from scripts.common import BASE, Failed, ROOT, git
from scripts.series.archive import facts

# Top-level domains that no mail reaches (RFC 2606, RFC 6762, and what is used in homes).
LOCAL = {"localhost", "localdomain", "local", "lan", "home", "internal", "invalid", "test",
         "example"}


def sender():
    """(name, address) of whoever signs off; git must not guess them from the host."""
    done = git(ROOT, "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT", check=False)
    how = "set git config user.name and user.email, or GIT_AUTHOR_NAME= and GIT_AUTHOR_EMAIL="
    if done.returncode:
        raise Failed(f"there is nobody to sign the mails off: {how}")
    name, address = re.findall(r"^(.*) <(.*)> \d+ \S+$", done.stdout)[0]
    user, _, host = address.rpartition("@")
    if not re.fullmatch(r"[^@\s]+@([\w-]+\.)+[a-zA-Z]{2,}", address) or user == "root" or \
            host.rpartition(".")[2].lower() in LOCAL or "noreply" in address:
        raise Failed(f"{name} <{address}> cannot be answered, so the mails cannot be from there: "
                     f"{how}")
    return name, address


def upstream(tree, given, kernel_src):
    """The commit that the mails name as their base: others have it, the import nobody."""
    source = Path(kernel_src).expanduser() if kernel_src else None
    clone = source if source and (source / ".git").exists() else None
    tag = facts()["tag"][0]
    commit = given or facts().get("commit", [""])[0]
    if not commit and clone:
        commit = git(clone, "rev-parse", "-q", "--verify", f"{tag}^{{commit}}",
                     check=False).stdout.strip()
    if not commit:
        raise Failed(f"bases/v{BASE} names no upstream commit: give BASE_COMMIT=, what git "
                     f"rev-parse {tag}^{{commit}} says in a clone of the upstream tree, or "
                     f"KERNEL_SRC=, such a clone with tag {tag}")
    if not re.fullmatch("(?!0{40})[0-9a-f]{40}", commit):
        raise Failed(f"BASE_COMMIT={commit} is no commit id: it takes 40 hexadecimal digits")
    if git(tree, "cat-file", "-e", commit, check=False).returncode == 0:
        raise Failed(f"BASE_COMMIT={commit} is of {tree}, and nobody else's: give upstream's")
    if clone:
        if git(clone, "cat-file", "-e", f"{commit}^{{commit}}", check=False).returncode:
            raise Failed(f"KERNEL_SRC={clone} has no commit {commit}")
        if not git(clone, "for-each-ref", "--count=1", "--contains", commit, "refs/tags/v[0-9]*"):
            raise Failed(f"no tag v* of KERNEL_SRC={clone} has {commit}: it is not upstream's")
        paths = git(tree, "diff", "--name-only", "-z", "base", "HEAD").split("\0")[:-1]
        ours, theirs = (set(git(repo, "ls-tree", "-z", name, "--", *paths).split("\0")[:-1])
                        for repo, name in ((tree, "base"), (clone, commit)))
        if other := sorted({line.split("\t")[1] for line in ours ^ theirs}):
            print(f"*** {len(other)} files that the series changes differ between {commit[:12]} "
                  f"and the base, the first: {other[0]}; it may take git am -3 ***", flush=True)
    return commit
