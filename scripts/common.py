# SPDX-License-Identifier: GPL-2.0-only
"""What every room of the driver uses: errors for people, git, and where things are."""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# There are two series of patches: the kernel's, and that of the emulator, in qemu/.
SERIES = os.environ.get("SERIES") or "linux"
MAIN = {"linux": "7.3", "qemu": "10.0"}.get(SERIES, "")
BASE = SERIES == "linux" and os.environ.get("BASE") or MAIN
# Where its new files and its patches/ are.
HOME = ROOT if SERIES == "linux" else ROOT / SERIES
TREE = f"{SERIES}-{BASE}"
SOURCE = "KERNEL_SRC" if SERIES == "linux" else "QEMU_SRC"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kvm-coco"


class Failed(Exception):
    """Something the user can act on: what failed, on which input, what to do."""


def run_main(name, main):
    """Run MAIN; a Failed ends the program with one clear message."""
    try:
        check_base()
        sys.exit(main())
    except Failed as error:
        sys.exit(f"{name}: {error}")
    except OSError as error:
        sys.exit(f"{name}: {error.filename or ''}: {error.strerror}; nothing was lost, "
                 "repair that and run it again")
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted; run it again to go on")


def bases():
    return sorted(path.name[1:] for path in (ROOT / "bases").glob("v*"))


def base_file(which=BASE):
    return f"bases/v{which}" if SERIES == "linux" else f"bases/{SERIES}-{which}"


def check_base():
    if SERIES not in ("linux", "qemu"):
        raise Failed(f"SERIES={SERIES}: no such series; there are: linux qemu")
    if SERIES != "linux":
        return
    if BASE not in bases():
        raise Failed(f"BASE={BASE}: no such base; there are: {' '.join(bases())}")


def git(tree, *args, check=True, env=None, stdin=None):
    """Run git in TREE and return its output; a failure carries git's own words."""
    ran = subprocess.run(["git", "-C", str(tree), *args], check=False, capture_output=True,
                         input=None if stdin is None else stdin.encode(errors="surrogateescape"),
                         env={**os.environ, **(env or {})})
    # Not text=True, which takes the carriage returns out of files.
    out, err = (text.decode(errors="surrogateescape") for text in (ran.stdout, ran.stderr))
    if check and ran.returncode:
        raise Failed(f"git {args[0]} in {tree}: {(err or out).strip()[-800:]}")
    return out if check else subprocess.CompletedProcess(args, ran.returncode, out, err)


def worktree(composed, work):
    """WORK/linux-BASE, a second work tree of COMPOSED, in a folder to build it in."""
    tree = work / TREE
    (work / "log").mkdir(parents=True, exist_ok=True)
    git(composed, "worktree", "prune")
    if not tree.exists():
        git(composed, "worktree", "add", "-q", "--detach", str(tree), "base")
    return tree


def committer(tree):
    """An identity for git where the user has none; authors are in the patches."""
    if git(tree, "var", "GIT_COMMITTER_IDENT", check=False).returncode == 0:
        return {}
    return {"GIT_COMMITTER_NAME": "kvm-coco compose", "GIT_COMMITTER_EMAIL": "compose@localhost"}
