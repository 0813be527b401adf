#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Write each topic of the series, or TOPIC=, as mails to OUT/mail/TOPIC, check them, send nothing.

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

from scripts.common import Failed, git, run_main
from scripts.mail import check as mail_check
from scripts.mail import cover, topic as mail_topic
from scripts.mail import input as mail_input
from scripts.series import topics
from scripts.series.tree import Tree


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


def identity(name, address):
    """None of the user's settings may change the mails or where they go."""
    return {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": name,
            "GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": address,
            **{f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
               for what, value in (("NAME", name), ("EMAIL", address))}}


def write_topic(state, topic, mail, version, commit, env):
    """The mails of one TOPIC, checked; what is missing to send them."""
    tree = state.path
    shutil.rmtree(mail, ignore_errors=True)
    mail.mkdir(parents=True)
    before, own = mail_topic.commits(state, topic.name)
    before, own = mail_topic.signed_off(tree, before, own, env)
    # What is between the base and the first of them, git names as prerequisites.
    git(tree, "format-patch", "-q", "-o", str(mail), "--cover-letter", "--thread", "--signoff",
        "--base=base", "--abbrev=12", "--subject-prefix=PATCH",
        *([f"-v{version}"] if version > 1 else []), f"-{len(own)}", own[-1][0], env=env)
    mail_check.say(f"{topic.name}: {len(own)} patches on {len(before)} of other topics; asking "
                   "get_maintainer.pl about each")
    fills, problems = cover.generated(mail.parent.parent, state, own, version)
    mails = sorted(mail.glob("*.patch"))
    cover.fill(mails[0], topic, fills, commit, git(tree, "rev-parse", "base").strip())
    to, cc = add_recipients(tree, mails, env)
    mail_check.check(tree, mail, mails, [c for c, _ in own], env)
    print("\n".join([f"mail: {len(mails)} mails in {mail}"] + [f"  To: {a}" for a in to] +
                    [f"  Cc: {a}" for a in cc]))
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--version", default="", help="of the series, from 1")
    parser.add_argument("--topic", default="", help="one of patches/topics (default: each)")
    parser.add_argument("--base-commit", default="", help="an upstream commit")
    args = parser.parse_args()
    out = args.out.resolve()
    if not re.fullmatch("[1-9][0-9]?", args.version or "1"):
        raise Failed(f"VERSION={args.version}: it takes a number from 1")
    version = int(args.version or 1)
    known = topics.read()
    topics.check_name(known, args.topic)
    name, address = mail_input.sender()
    state = Tree(out)
    if work := state.unsaved():
        raise Failed(f"{state.path} has {work}: make refresh first, mails are made of patches/")
    commit = mail_input.upstream(state.path, args.base_commit, os.environ.get("KERNEL_SRC"))
    cover.changes(version)
    problems = []
    for topic in [known[args.topic]] if args.topic else known.values():
        problems += write_topic(state, topic, out / "mail" / topic.name, version, commit,
                                identity(name, address))
    print(f"mail: all from {name} <{address}>, base-commit {commit}")
    for problem in dict.fromkeys(problems):
        print(f"*** not ready: {problem}; the cover letter says so instead of numbers ***")
    if problems:
        return 1
    print("nothing was sent. The sign-off is yours: it says what "
          "Documentation/process/submitting-patches.rst, section 11, says. To send a topic:\n"
          f"  git send-email --from={quote(formataddr((name, address)))} --suppress-cc=self "
          f"--no-thread --confirm=always {quote(str(out / 'mail'))}/{args.topic or 'TOPIC'}/*.patch")
    return 0


if __name__ == "__main__":
    run_main("mail", main)
