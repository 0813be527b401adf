# SPDX-License-Identifier: GPL-2.0-only
"""Are the mails what somebody needs who gets them?  Without the network."""
import os
import re
import subprocess
import tempfile
import time

from scripts.common import Failed, ROOT, git
from scripts.series.small import Small

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


def say(text):
    print(f"mail: {text}, {time.monotonic() - STARTED:.0f} s", flush=True)


def check(tree, mail, mails, own, env):
    """Threading and completeness by b4, the tree by git am, the form by checkpatch.

    OWN are the commits that the mails were made of."""
    with open(mail / "series.mbox", "wb") as mbox:
        for path in mails:
            mbox.write(path.read_bytes())
    names = git(tree, "diff", "--name-only", "-z", f"{own[0]}^", own[-1]).split("\0")[:-1]
    with Small(tree, f"{own[0]}^", names) as small:
        mbox = received(small.path, mail, len(own), env)
        say(f"b4 am: {len(own)} of {len(own)} patches, one thread")
        git(small.path, "am", "--quiet", str(mbox), env=env)
        got = git(tree, "rev-parse", f"{small.commits()[-1]}^{{tree}}").strip()
    want = git(tree, "rev-parse", f"{own[-1]}^{{tree}}").strip()
    if got != want:
        raise Failed(f"the mails in {mail} give tree {got}, not {want}: they are not the topic")
    say(f"git am: they give tree {got[:12]}, which is the topic's")
    for done in range(1, len(mails), 20):
        run(ROOT, env, "python3", "-m", "tests.checkpatch.check", tree, *mails[done:done + 20])
        say(f"checkpatch: {min(done + 19, len(own))} of {len(own)} mails, sign-off included")
