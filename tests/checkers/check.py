# SPDX-License-Identifier: GPL-2.0-only
"""check.py CHECK OUT: what a checker says of the series and not of the base.

It looks at both trees in the same way: compilers at arch/x86/kvm and at every other
file that the series touches, the others at these files alone.  tests/checkers/allowed
lists what may be new, with reasons.  A checker that isn't there, that fails by itself,
or that leaves out a part, is a failure.
"""
import collections
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts.build.touched import objects, touched
from scripts.common import BASE, Failed, run_main, ROOT

CLANG = "-19"
# check -> (program, package, folder of its objects, arguments of make).  With C=2 only
# sparse runs again; other options, or another compiler, need objects of their own.
CHECKS = {
    "w1": ("gcc", "gcc", "kernel-w1", ["W=1", "KCFLAGS=-Wno-error"]),
    # Released sparse doesn't know __typeof_unqual__, and then the kernel leaves it out.
    "sparse": ("sparse", "sparse", "kernel",
               ["C=2", "CF=-D__CHECK_ENDIAN__",
                "CHECK=sparse -D__typeof_unqual__=__typeof__"]),
    "clang": (f"clang{CLANG}", f"clang{CLANG}", "kernel-clang", ["W=1", f"LLVM={CLANG}",
                                                         "KCFLAGS=-Wno-error"]),
    "coccicheck": ("spatch", "coccinelle", "coccicheck", ["python3", "-m", "tests.checkers.coccicheck"]),
    "htmldocs": ("sphinx-build", "python3-sphinx", "htmldocs", ["tests/checkers/htmldocs.sh"]),
}
SCRIPTS = ("coccicheck", "htmldocs")  # programs of our own, not arguments of make
FRAGMENTS = {"base": ["configs/kvm.config"],
             "series": ["configs/kvm.config", "configs/series.config"]}
FINDING = re.compile(r"^(?:\./)?(\S+?:\d+(?::\d+(?:-\d+)?)?|\S+\.rst): "
                     r"((?:warning|error).*)$", re.I)
NOT_CHECKED = "error: not checked"


def findings(text, tree):
    """Each finding without lines, which any change above them moves."""
    found = collections.Counter()
    for line in text.splitlines():
        line = re.sub(rf"^(?:{re.escape(str(tree))}|\.\./{tree.name})/", "", line.strip())
        match = FINDING.match(line)
        if match:
            words = re.sub(r"\bline \d+", "line", match[2])
            found[f"{match[1].partition(':')[0]}: {words}"] += 1
    return found


def run(log, command, **options):
    done = subprocess.run(command, env={**os.environ, "ARCH": "x86_64"}, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, errors="replace",
                          check=False, **options)
    text = done.stdout + (done.stderr or "")
    log.write_text(text)
    return done.returncode, text


def check(name, side, tree, files, log):
    _, _, folder, args = CHECKS[name]
    out = tree.parent / folder
    started = time.monotonic()
    if name in SCRIPTS:
        # Their standard error is for the user: how far they are, or why they fail.
        status, text = run(log, [*args, tree, out, *[f for f in files if (tree / f).is_file()]],
                           cwd=ROOT)
    else:
        subprocess.run([sys.executable, "-m", "scripts.build.config", tree, out,
                        *[ROOT / f for f in FRAGMENTS[side]]], check=True)
        here = [o for o in objects(files) if o.endswith("/") or (tree / f"{o[:-2]}.c").exists()]
        status, text = run(log, [ROOT / "scripts/build/kmake.sh", tree.parent, "-k", "-C", tree,
                                 f"O={out}", *args, *here], stderr=subprocess.PIPE)
    if status or "is not available or not up to date" in text:
        raise Failed(f"{name} of {side} failed, which is more than a warning: see {log}")
    found = findings(text, tree)
    print(f"{name}: {side}: {sum(found.values())} findings, {time.monotonic() - started:.0f} s, "
          f"log {log}", flush=True)
    return found


def new_findings(base, series, rules):
    """What the series has more often, and what was not checked in either tree."""
    new = series - base
    new |= collections.Counter({line: count for line, count in (base | series).items()
                                if NOT_CHECKED in line})
    return [(line, count) for line, count in sorted(new.items())
            if not any(rule.search(line) for rule in rules)]


def allowed(name):
    rules = []
    for line in (ROOT / "tests/checkers/allowed").read_text().splitlines():
        if line and not line.startswith("#"):
            which, _, pattern = line.partition(" ")
            if which == name:
                rules.append(re.compile(pattern))
    return rules


def main(name, out):
    if name not in CHECKS:
        raise Failed(f"{name}: no such check; there are: {' '.join(CHECKS)}")
    program, package, _, _ = CHECKS[name]
    if not shutil.which(program):
        raise Failed(f"{program} is missing: apt-get install {package}")
    trees = {"base": out / f"base/linux-{BASE}", "series": out / f"linux-{BASE}"}
    files = touched(trees["series"])
    logs = out / "log"
    logs.mkdir(exist_ok=True)
    found = {side: check(name, side, tree, files, logs / f"{name}-{side}.log")
             for side, tree in trees.items()}
    new = new_findings(found["base"], found["series"], allowed(name))
    for line, count in new:
        print(f"{name}: new: {line}" + (f" ({count} times)" if count > 1 else ""))
    print(f"{name}: {len(new)} findings that the base does not have")
    return 1 if new else 0


if __name__ == "__main__":
    run_main("checkers", lambda: main(sys.argv[1], Path(sys.argv[2]).resolve()))
