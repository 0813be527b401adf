#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""bases.py OUT: compose the series on every base that can be had now.

Those are the linux-source packages of the suites in bases/ whose version has a
file there, and the pristine tarball of each.  Every one gets a tree of its own,
which is removed if the series composes.  A release candidate may fail.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.series import archive
from scripts.common import CACHE, Failed, ROOT, bases, run_main

LIMIT = 3600


def wanted(name):
    """The base that package NAME is for, if the series has it."""
    version = name.removeprefix("linux-source-")
    return version if version in bases() else None


def cached(deb):
    """The cache entry that was made of the package file DEB."""
    for entry in sorted((CACHE / "base").glob("*/origin")):
        if deb in re.split(r"[ ,\n]+", entry.read_text()):
            return entry.parent
    return None


def compose(which, source, out):
    """(whether it composes, the tree or why not)"""
    try:
        done = subprocess.run([sys.executable, "-m", "scripts.series.compose", out], cwd=ROOT, check=False,
                              env={**os.environ, "BASE": which, "KERNEL_SRC": str(source)},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return False, f"no end after {LIMIT} s"
    last = (done.stdout.strip().splitlines() or ["no output"])[-1]
    found = re.search(r"(\d+) commits on .* tree (\w+)", last)
    if done.returncode or not found:
        return False, last
    shutil.rmtree(out)
    return True, f"{found[1]} commits, tree {found[2]}"


def package(apt, temp, name, version):
    """(where package NAME is now, from where)"""
    deb = f"{name}_{version}_all.deb"
    entry = cached(deb)
    if entry:
        return entry, "cache"
    got = apt.run("apt-get", "download", f"{name}={version}")
    if got.returncode or not (temp / deb).is_file():
        raise Failed(got.stderr.strip().splitlines()[0] if got.stderr.strip() else f"no {deb}")
    return temp / deb, "archive"


def pristine(apt, temp, upstream, version):
    """The tarball that VERSION was made of."""
    name = f"linux_{upstream}.orig.tar.xz"
    got = apt.run("apt-get", "source", "--download-only", "--tar-only", f"linux={version}")
    if got.returncode or not (temp / name).is_file():
        lines = got.stderr.strip().splitlines() or [f"no {name}"]
        raise Failed(re.sub(r"E: Failed to fetch \S+/", "", lines[0]))
    return temp / name, "archive"


def main(out):
    CACHE.mkdir(parents=True, exist_ok=True)
    started, rows, seen, failed = time.monotonic(), [], set(), 0
    suites = dict.fromkeys(suite for name in bases() for key in ("suite", "look")
                           for suite in archive.facts(name).get(key, []))

    def try_one(name, version, which, suite, get, *args):
        nonlocal failed
        origin, composes = f"{name} {version}, {suite}", "-"
        print(f"bases: [{len(rows) + 1}] {origin}, {time.monotonic() - started:.0f} s", flush=True)
        try:
            source, where = get(*args)
            good, said = compose(which, source, out / f"{name}-{version}")
            composes = "yes" if good else "no"
            failed += not good and "~rc" not in version
            if source.parent == temp:
                source.unlink()
        except (Failed, OSError) as error:
            where, said = "cannot be had", str(error)
        rows.append((which, origin, where, composes, said))
        print(f"bases:     {where}, composes: {composes}, {said}", flush=True)

    with tempfile.TemporaryDirectory(dir=CACHE, prefix="bases-") as name:
        temp = Path(name)
        for site in archive.mirrors():
            for suite in suites:
                apt = archive.Apt(temp, site, suite)
                update = apt.run("apt-get", "update")
                if update.returncode or "Err:" in update.stdout:
                    rows.append(("?", suite, "cannot be had", "-",
                                 (update.stderr.strip().splitlines() or ["?"])[-1]))
                    continue
                for source, version, _ in apt.offers():
                    which, upstream = wanted(source), version.rpartition("-")[0]
                    if not which or (source, version) in seen:
                        continue
                    seen.add((source, version))
                    try_one(source, version, which, suite, package, apt, temp, source, version)
                    if upstream not in seen:
                        seen.add(upstream)
                        try_one("pristine linux", version, which, suite, pristine, apt, temp,
                                upstream, version)
    table = [("BASE", "base", "from", "composes", "tree, or why not"), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(4)]
    for row in table:
        print(" | ".join([*(f"{row[i]:<{widths[i]}}" for i in range(4)), row[4]]))
    composed = sum(row[3] == "yes" for row in rows)
    print(f"bases: {composed} compose, {failed} should and do not, {time.monotonic() - started:.0f}"
          f" s; trees of those in {out}, sources in {CACHE}/base")
    return 1 if failed or not composed else 0


if __name__ == "__main__":
    run_main("bases", lambda: main(Path(sys.argv[1]).resolve() / "bases"))
