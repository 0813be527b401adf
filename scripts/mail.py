#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Write the series as mails to OUT/mail, check them, and send nothing.

The mails are git format-patch's, from and signed off by whoever runs this.  Their
recipients are MAINTAINERS' alone, their numbers those of the last make check and
make bench of the same tree.
"""
import argparse
import os
import re
import shutil
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from email.utils import formataddr, parseaddr
from pathlib import Path

import base
import mail_check
import records
from compose import Tree
from series import BASE, Failed, PATCHES, ROOT, git, run_main

# Who takes what, by the subject's prefix: the tip tree, KVM, KVM's selftests.
GROUPS = {"guest": re.compile("x86/"), "selftests": re.compile("KVM: selftests: "),
          "host": re.compile("KVM: |Documentation: KVM: |MAINTAINERS: ")}
# Top-level domains that no mail reaches (RFC 2606, RFC 6762, and what is used in homes).
LOCAL = {"localhost", "localdomain", "local", "lan", "home", "internal", "invalid", "test",
         "example"}


def sender():
    """(name, address) of whoever signs off; git must not guess them from the host."""
    done = git(ROOT, "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT", check=False)
    how = "set git config user.name and user.email, or GIT_AUTHOR_NAME= and GIT_AUTHOR_EMAIL="
    if done.returncode:
        raise Failed(f"there is nobody to sign the mails off: {how}")
    name, address = re.fullmatch(r"(.*) <(.*)> \d+ \S+\n", done.stdout).groups()
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
    tag = base.facts()["tag"][0]
    commit = given or base.facts().get("commit", [""])[0]
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
        raise Failed(f"BASE_COMMIT={commit} is of {tree}, which nobody else has: give upstream's")
    if clone:
        if git(clone, "cat-file", "-e", f"{commit}^{{commit}}", check=False).returncode:
            raise Failed(f"KERNEL_SRC={clone} has no commit {commit}")
        if not git(clone, "for-each-ref", "--count=1", "--contains", commit, "refs/tags/v[0-9]*"):
            raise Failed(f"no tag v* of KERNEL_SRC={clone} contains {commit}: it is not upstream's")
        paths = git(tree, "diff", "--name-only", "-z", "base", "HEAD").split("\0")[:-1]
        ours, theirs = (set(git(repo, "ls-tree", "-z", name, "--", *paths).split("\0")[:-1])
                        for repo, name in ((tree, "base"), (clone, commit)))
        if other := sorted({line.split("\t")[1] for line in ours ^ theirs}):
            print(f"*** {len(other)} files that the series changes differ between {commit[:12]} "
                  f"and the base, the first: {other[0]}; it may take git am -3 there ***",
                  flush=True)
    return commit


def signed_off(tree, who):
    """The series once more, as commits of WHO's, on no branch; (commit, subject) each."""
    parent, found = git(tree, "rev-parse", "base").strip(), []
    for line in git(tree, "log", "--reverse", "--format=%H %aI %s", "base..HEAD").splitlines():
        commit, date, subject = line.split(" ", 2)
        parent = git(tree, "commit-tree", f"{commit}^{{tree}}", "-p", parent, stdin=git(
            tree, "log", "-1", "--format=%B", commit).rstrip("\n") + "\n", env={
                **who, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}).strip()
        found.append((parent, subject))
    return found


def group_of(subject):
    for group, prefix in GROUPS.items():
        if prefix.match(subject):
            return group
    raise Failed(f"'{subject}' is of no group: scripts/mail.py names their prefixes")


def recipients(tree, mail, env):
    """(to, cc) of one patch, from MAINTAINERS alone."""
    to, cc = [], []
    for line in mail_check.run(tree, env, "scripts/get_maintainer.pl", "--no-git", "--roles",
                               "--no-git-fallback", "--no-moderated", mail).splitlines():
        address, role = re.fullmatch(r"(.*?) \(([^()]*)[:)].*", line).groups()
        (cc if "list" in role or role == "reviewer" else to).append(
            formataddr(parseaddr(address)))
    return to, cc


def summary(patches, mine):
    """Subjects under their prefixes, with the number of the mail."""
    lines, last = [], None
    for number, (_, subject) in enumerate(mine, 1):
        prefix, _, rest = subject.rpartition(": ")
        if prefix != last:
            lines.append(f"{prefix}:")
            last = prefix
        lines.append(textwrap.fill(rest, 72, initial_indent=f"  {number:>3} ",
                                   subsequent_indent=" " * 6))
    if len(mine) < len(patches):
        lines.insert(0, f"{len(mine)} of the {len(patches)} patches of the series:\n")
    return "\n".join(lines)


def diffstat(tree, mine, whole):
    if whole:
        return git(tree, "diff", "--stat=72", "--summary", "base", mine[-1][0]).rstrip("\n")
    lines = {}
    for commit, _ in mine:
        for line in git(tree, "diff-tree", "-r", "--numstat", f"{commit}^", commit).splitlines():
            added, removed, path = line.split("\t")
            before = lines.get(path, (0, 0))
            lines[path] = before[0] + int(added), before[1] + int(removed)
    return "\n".join(f" {path} | +{a} -{r}" for path, (a, r) in sorted(lines.items()))


def changes(version):
    """What patches/changes says of this version and of those before it."""
    text = re.sub("^#.*\n", "", (PATCHES / "changes").read_text(), flags=re.M)
    parts = re.split(r"^v(\d+):\n", text, flags=re.M)[1:]
    sections = {int(n): part.strip("\n") for n, part in zip(parts[::2], parts[1::2])}
    if version > 1 and not sections.get(version, "").strip():
        raise Failed(f"patches/changes has no section 'v{version}:': say there what changed "
                     f"since v{version - 1}")
    return "\n\n".join(f"Changes since v{n - 1}:\n{sections[n]}"
                       for n in range(version, 1, -1) if n in sections)


def cover(path, fills, commit, local):
    """Fill in git's cover letter: our text, and upstream's commit for the local one."""
    subject, _, text = (PATCHES / "cover-letter").read_text().partition("\n\n")
    for mark, filling in fills.items():
        if text.count(f"@{mark}@\n") != 1:
            raise Failed(f"patches/cover-letter needs the line @{mark}@, once")
        text = text.replace(f"@{mark}@\n", filling + "\n")
    text = re.sub(r"\n{3,}", "\n\n", text).strip("\n")
    if not (subject + text).isascii():
        raise Failed("patches/cover-letter: ASCII only, other characters get lost in mails")
    head, _, rest = path.read_text().partition("*** BLURB HERE ***")
    # --base only takes a commit that the repository has, so git was told the import,
    # and wrote its trailers with that.
    trailers = rest[rest.index(f"\nbase-commit: {local}"):].replace(local, commit, 1)
    path.write_text(head.replace("*** SUBJECT HERE ***", subject) + text + "\n" + trailers)


def add_recipients(tree, mails, env):
    """To: and Cc: into each mail: those whom the patch concerns.  The cover: all of them."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(mails[1:], pool.map(lambda m: recipients(tree, m, env), mails[1:])))
    to, cc = (list(dict.fromkeys(a for pair in found.values() for a in pair[i])) for i in (0, 1))
    cc = [a for a in cc if a not in to]
    for mail, whom in {mails[0]: (to, cc), **found}.items():
        head, _, body = mail.read_text().partition("\n\n")
        lines = [f"{name}: " + ",\n\t".join(who) for name, who in zip(("To", "Cc"), whom) if who]
        mail.write_text("\n".join([head, *lines]) + "\n\n" + body)
    return to, cc


def record(problems, read, *args):
    """A record for the cover letter, or there, loudly, that there is none."""
    try:
        return textwrap.indent(read(*args), "    ")
    except Failed as error:
        problems.append(str(error))
        return f"*** NOT IN THIS STATE: {error} ***"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--version", default="", help="of the series, from 1")
    parser.add_argument("--group", default="", help=f"all, {', '.join(GROUPS)}")
    parser.add_argument("--base-commit", default="", help="an upstream commit")
    args = parser.parse_args()
    out, group, mail = args.out.resolve(), args.group or "all", args.out.resolve() / "mail"
    if not re.fullmatch("[1-9][0-9]?", args.version or "1"):
        raise Failed(f"VERSION={args.version}: it takes a number from 1")
    version = int(args.version or 1)
    if group not in ("all", *GROUPS):
        raise Failed(f"GROUP={group}: no such group; there are: all {' '.join(GROUPS)}")
    name, address = sender()
    state = Tree(out)
    tree = state.path
    if work := state.unsaved():
        raise Failed(f"{tree} has {work}: make refresh first, mails are made of patches/")
    commit = upstream(tree, args.base_commit, os.environ.get("KERNEL_SRC"))
    news = changes(version)

    # None of the user's settings may change the mails or where they go.
    env = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
           "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": name,
           "GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": address,
           **{f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
              for what, value in (("NAME", name), ("EMAIL", address))}}
    patches = signed_off(tree, env)
    mine = [p for p in patches if group in ("all", group_of(p[1]))]
    if not mine:
        raise Failed(f"GROUP={group}: the series has no such patch")
    shutil.rmtree(mail, ignore_errors=True)
    mail.mkdir(parents=True)
    # Newest first, as from a walk; git turns them round and names those that are left out
    # as prerequisites.  Without their count, a single commit would mean all after it.
    git(tree, "format-patch", "-q", "-o", str(mail), "--cover-letter", "--thread", "--signoff",
        "--base=base", "--abbrev=12", "--subject-prefix=PATCH",
        *([f"-v{version}"] if version > 1 else []), "--no-walk=unsorted",
        f"-{len(mine)}", *[c for c, _ in reversed(mine)], env=env)
    mail_check.say(f"git format-patch: {len(mine)} of {len(patches)} patches; asking "
                   "get_maintainer.pl about each")
    problems, now = [], records.state(out)
    told = (f"Linux {state.state['version']} ({state.state['origin']}) with the series, "
            f"tree {now[:12]}:")
    fills = {"tests": textwrap.fill(told, 76) + "\n\n" + record(problems, records.tests, out, now),
             "bench": record(problems, records.bench, out, now), "changes": news,
             "patches": summary(patches, mine) + "\n\n" + diffstat(tree, mine, group == "all")}
    mails = sorted(mail.glob("*.patch"))
    cover(mails[0], fills, commit, git(tree, "rev-parse", "base").strip())
    to, cc = add_recipients(tree, mails, env)
    mail_check.say(f"get_maintainer.pl: {len(to)} people and lists to, {len(cc)} for a copy")
    mail_check.check(tree, mail, mails, [c for c, _ in patches], [c for c, _ in mine], env)

    print(f"mail: {len(mails)} mails in {mail}, from {name} <{address}>, base-commit {commit}")
    print("\n".join([f"  To: {a}" for a in to] + [f"  Cc: {a}" for a in cc]))
    for problem in problems:
        print(f"*** not ready: {problem}; the cover letter says so instead of numbers ***")
    if problems:
        return 1
    print("nothing was sent. The sign-off is yours: it says what "
          "Documentation/process/submitting-patches.rst, section 11, says. To send:\n"
          f"  git send-email --confirm=always --no-thread --suppress-cc=self {mail}/*.patch")
    return 0


if __name__ == "__main__":
    run_main("mail", main)
