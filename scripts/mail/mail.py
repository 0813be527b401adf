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
from concurrent.futures import ThreadPoolExecutor
from email.utils import formataddr, parseaddr
from pathlib import Path
from shlex import quote

from scripts.mail import check as mail_check
from scripts.mail import cover as mail_cover
from scripts.mail import input as mail_input
from scripts.series.compose import Tree
from scripts.common import Failed, git, run_main

# Who takes what, by the subject's prefix: the tip tree, KVM, KVM's selftests.
GROUPS = {"guest": re.compile("x86/"), "selftests": re.compile("KVM: selftests: "),
          "host": re.compile("KVM: |Documentation: KVM: |MAINTAINERS: ")}


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
    raise Failed(f"'{subject}' is of no group: scripts/mail/mail.py names their prefixes")


def recipients(tree, mail, env):
    """(to, cc) of one patch, from MAINTAINERS alone."""
    to, cc = [], []
    for line in mail_check.run(tree, env, "scripts/get_maintainer.pl", "--no-git", "--roles",
                               "--no-git-fallback", "--no-moderated", mail).splitlines():
        address, role = re.findall(r"^(.*?) \(([^:()]*)", line)[0]
        (cc if "list" in role or role == "reviewer" else to).append(
            formataddr(parseaddr(address)))
    return to, cc


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
    name, address = mail_input.sender()
    state = Tree(out)
    tree = state.path
    if work := state.unsaved():
        raise Failed(f"{tree} has {work}: make refresh first, mails are made of patches/")
    commit = mail_input.upstream(tree, args.base_commit, os.environ.get("KERNEL_SRC"))
    news = mail_cover.changes(version)

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
    # as prerequisites.  Without their count, a single commit would mean all after it; the
    # count has to come first, it would turn --no-walk off.
    git(tree, "format-patch", "-q", "-o", str(mail), "--cover-letter", "--thread", "--signoff",
        "--base=base", "--abbrev=12", "--subject-prefix=PATCH",
        *([f"-v{version}"] if version > 1 else []), f"-{len(mine)}", "--no-walk=unsorted",
        *[c for c, _ in reversed(mine)], env=env)
    mail_check.say(f"git format-patch: {len(mine)} of {len(patches)} patches; asking "
                   "get_maintainer.pl about each")
    fills, problems = mail_cover.generated(out, state, patches, mine, news)
    mails = sorted(mail.glob("*.patch"))
    mail_cover.fill(mails[0], fills, commit, git(tree, "rev-parse", "base").strip())
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
          f"  git send-email --from={quote(formataddr((name, address)))} --suppress-cc=self "
          f"--no-thread --confirm=always {quote(str(mail))}/*.patch")
    return 0


if __name__ == "__main__":
    run_main("mail", main)
