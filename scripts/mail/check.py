# SPDX-License-Identifier: GPL-2.0-only
"""Are the mails what somebody needs who gets them?  Without the network."""
import os
import re
import subprocess
import tempfile
import time

from scripts.common import Failed, git, ROOT

LIMIT = "900"
STARTED = time.monotonic()


def run(cwd, env, *command, stdin=subprocess.DEVNULL):
    """The output of COMMAND, which finds a home and settings of nobody."""
    with tempfile.TemporaryDirectory() as home:
        homes = {"HOME": home, **{f"XDG_{n}_HOME": home for n in ("CONFIG", "CACHE", "DATA")}}
        # timeout(1) ends the children, too.
        done = subprocess.run(["timeout", "--kill-after=10", LIMIT, *map(str, command)], cwd=cwd,
                              check=False, env={**os.environ, **env, **homes}, stdin=stdin,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == 124:
        raise Failed(f"{command[0]} did not end within {LIMIT} s: is the machine that busy?")
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command[:3]))} ... ended with {done.returncode}: "
                     f"{done.stdout.strip()[-2000:]}")
    return done.stdout


def received(worktree, mail, count, env):
    """What b4 makes of the thread; it has to miss nothing."""
    (mail / "b4").mkdir()
    # From a file, b4 0.12 dies of the first subject that takes two lines.
    with open(mail / "series.mbox", "rb") as mbox:
        text = run(worktree, env, "b4", "--offline-mode", "--no-interactive", "am", "--no-cache",
                   "--use-local-mbox", "-", "--outdir", mail / "b4", "--mbox-name", "series",
                   stdin=mbox)
    (mail / "b4.log").write_text(text)
    total = re.search(r"^Total patches: (\d+)$", text, re.M)
    if not total or int(total[1]) != count or re.search(r"^(WARNING|ERROR|CRITICAL)", text, re.M):
        raise Failed(f"b4 am does not find {count} good patches; what it says: {mail}/b4.log")
    return mail / "b4/series.mbx"


def applied(worktree, mbox, patches, mine, env):
    """Apply the mails to the base, between the patches that they leave out."""
    if patches == mine:
        boxes = [mbox]
    else:
        parts = mbox.parent / "parts"
        parts.mkdir()
        git(worktree, "mailsplit", f"-o{parts}", str(mbox))
        ours = iter(sorted(parts.iterdir()))
        boxes = []
        for number, commit in enumerate(patches, 1):
            if commit in mine:
                boxes.append(next(ours))
                continue
            boxes.append(mbox.parent / f"other-{number:04}.patch")
            boxes[-1].write_bytes(subprocess.run(
                ["git", "-C", worktree, "format-patch", "-1", "--stdout", commit], check=True,
                capture_output=True, env={**os.environ, **env}).stdout)
    git(worktree, "am", "--quiet", *map(str, boxes), env=env)
    return git(worktree, "rev-parse", "HEAD^{tree}").strip()


def say(text):
    print(f"mail: {text}, {time.monotonic() - STARTED:.0f} s", flush=True)


def check(tree, mail, mails, patches, mine, env):
    """Threading and completeness by b4, the tree by git am, the form by checkpatch."""
    with open(mail / "series.mbox", "wb") as mbox:
        for path in mails:
            mbox.write(path.read_bytes())
    worktree = mail / "worktree"
    git(tree, "worktree", "prune")
    git(tree, "worktree", "add", "-q", "--detach", "--no-checkout", str(worktree), "base",
        env=env)
    try:
        # git am writes those files that it changes, none of the 96,000 others.
        git(worktree, "sparse-checkout", "init", env=env)
        git(worktree, "checkout", "-q", env=env)
        mbox = received(worktree, mail, len(mine), env)
        say(f"b4 am: {len(mine)} of {len(mine)} patches, one thread")
        got = applied(worktree, mbox, patches, mine, env)
    finally:
        git(tree, "worktree", "remove", "--force", str(worktree))
    want = git(tree, "rev-parse", f"{patches[-1]}^{{tree}}").strip()
    if got != want:
        raise Failed(f"the mails in {mail} give tree {got}, not {want}: they are not the series")
    say(f"git am: they give tree {got[:12]}, which is the series'")
    for done in range(1, len(mails), 20):
        run(ROOT, env, "python3", "-m", "tests.checkpatch.check", tree, *mails[done:done + 20])
        say(f"checkpatch: {min(done + 19, len(mine))} of {len(mine)} mails, sign-off included")
