#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Get the base, a kernel or QEMU, and keep it as a git repository in the cache.

From, in this order: KERNEL_SRC= or QEMU_SRC= (a directory, a git tree, a tarball, or a
linux-source package), the cache, the distribution's source package, and for a kernel
the kernel.org tarball.
"""
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from scripts.common import BASE, CACHE, SERIES, SOURCE, Failed, git, run_main
from scripts.series.archive import from_package
from scripts.series.cache import BASES, newest_cached, room, say, sha256, usable
from scripts.series.imports import import_package, import_tarball, import_tree
from scripts.series.version import check_version, source_version

KERNEL_ORG = os.environ.get("KERNEL_ORG", "https://cdn.kernel.org/pub/linux/kernel")


def from_given(given):
    path = Path(given).expanduser().resolve()
    if path.parent == BASES.resolve() and usable(path):
        return path
    if path.suffix == ".deb" and path.is_file():
        return import_package(path, f"{path.name}, sha256 {sha256(path)}", archive=False)
    if path.is_file():
        return import_tarball(path, f"{path.name}, sha256 {sha256(path)}", archive=False)
    if not path.is_dir():
        raise Failed(f"{SOURCE}={given}: no such file or directory")
    version = check_version(source_version(path), f"{SOURCE}={given}")
    if (path / ".git").exists():
        tree = git(path, "rev-parse", "HEAD^{tree}").strip()
        origin = f"git tree at {git(path, 'rev-parse', 'HEAD').strip()}"
        copy = f"git -C '{path}' archive HEAD"
    else:
        # Names, sizes and times tell whether it is the directory of last time.
        listing = subprocess.run(["find", ".", "-type", "f", "-printf", "%P %s %T@\\n"],
                                 cwd=path, capture_output=True, check=True).stdout
        tree = hashlib.sha256(b"\n".join(sorted(listing.split(b"\n")))).hexdigest()
        origin = "a directory without git"
        copy = f"tar -C '{path}' -c ."
    entry = BASES / f"{version}-{tree[:12]}"
    if entry.exists() and usable(entry):
        return entry
    room(CACHE)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="unpack-") as temp:
        subprocess.run(f"set -o pipefail; {copy} | tar -x -C '{temp}'", shell=True, check=True,
                       executable="/bin/bash")
        return import_tree(Path(temp), entry.name, origin, archive=False)


def from_kernel_org(temp):
    base = f"{KERNEL_ORG}/v{BASE.split('.', maxsplit=1)[0]}.x"
    try:
        with urllib.request.urlopen(f"{base}/sha256sums.asc", timeout=30) as answer:
            sums = answer.read().decode()
        listed = re.findall(rf"^(\w{{64}})  (linux-{re.escape(BASE)}(?:\.(\d+))?\.tar\.xz)$",
                            sums, re.M)
        if not listed:
            raise Failed(f"{base}/sha256sums.asc lists no linux-{BASE}.y.tar.xz")
        digest, name, _ = max(listed, key=lambda row: int(row[2] or 0))
        say(f"downloading {name}")
        with urllib.request.urlopen(f"{base}/{name}", timeout=60) as answer, \
                open(temp / name, "wb") as out:
            shutil.copyfileobj(answer, out)
    except (OSError, ValueError) as error:
        raise Failed(f"kernel.org: {error}") from error
    if sha256(temp / name) != digest:
        raise Failed(f"{name} from kernel.org: the sha256 is not {digest}: cut short?")
    return import_tarball(temp / name, f"kernel.org, {name}", True, digest)


def ensure(given=None):
    """The cache entry of the base: a directory with git/ and origin in it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(BASES.with_suffix(".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if given:
            return from_given(given)
        entry = newest_cached()
        if entry:
            return entry
        room(CACHE)
        reasons = []
        for get in (from_package, *([from_kernel_org] if SERIES == "linux" else [])):
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="download-") as temp:
                try:
                    return get(Path(temp))
                except Failed as error:
                    reasons.append(str(error))
        raise Failed(f"no source of {SERIES} {BASE}: {'; '.join(reasons)}; connect to the network, or "
                     f"give {SOURCE}= a directory, git tree or tarball of it")


if __name__ == "__main__":
    run_main("base", lambda: print(ensure(os.environ.get(SOURCE))))
