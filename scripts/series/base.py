#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Get the base kernel and keep it as a git repository in the cache.

From, in this order: KERNEL_SRC= (a directory, a git tree, a tarball, or a
linux-source package), the cache, the distribution's source package, the
kernel.org tarball.  The cache entry is checked against its own sums each time it is used.
"""
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from scripts.common import (BASE, CACHE, Failed, ROOT, bases, committer, git, run_main)
from scripts.series.version import check_version, kernel_version

NEED_BYTES = 5 << 30
KERNEL_ORG = os.environ.get("KERNEL_ORG", "https://cdn.kernel.org/pub/linux/kernel")


def say(text):
    print(f"base: {text}", file=sys.stderr, flush=True)


def facts(which=BASE):
    """name -> [values] of bases/v7.3, or another."""
    found = {}
    for line in (ROOT / f"bases/v{which}").read_text().splitlines():
        if line and not line.startswith("#"):
            name, value = line.split(None, 1)
            found.setdefault(name, []).append(value)
    return found


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def room(path, need=NEED_BYTES):
    path.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path).free
    if free < need:
        raise Failed(f"{path}: {free >> 20} MiB free, {need >> 20} MiB needed: make room, or "
                     "set XDG_CACHE_HOME= or O= to a larger disk")


# --- the cache: one directory per base, a bare repository and its sums

def sums_of(entry):
    files = sorted(p for p in (entry / "git").rglob("*")
                   if p.is_file() and p.suffix in (".pack", ".idx") or p.name == "packed-refs")
    return "".join(f"{sha256(p)}  {p.relative_to(entry)}\n" for p in files)


def usable(entry):
    try:
        good = (entry / "SHA256SUMS").read_text() == sums_of(entry)
    except OSError:
        good = False
    if not good:
        say(f"the cache entry {entry.name} is damaged: taking it out")
        shutil.rmtree(entry, ignore_errors=True)
    return good


def newest_cached():
    """The highest cached BASE.y that came from an archive, not from KERNEL_SRC."""
    entries = [e for e in CACHE.glob(f"base/{BASE}.*") if (e / "archive").exists()]
    entries.sort(key=lambda e: int(e.name.split("-")[0].split(".")[2]), reverse=True)
    return next((e for e in entries if usable(e)), None)


def import_tree(source, name, origin, archive):
    """Commit the unpacked kernel SOURCE and keep it as cache entry NAME."""
    entry = CACHE / "base" / name
    if entry.exists() and usable(entry):
        return entry
    version = ".".join(map(str, kernel_version(source)))
    say(f"importing {version} into git (about a minute)")
    started = time.monotonic()
    ignore = source / ".gitignore"
    if ignore.exists():
        # Debian's ignores everything: work in the tree would be invisible to git.
        lines = ignore.read_text().splitlines(keepends=True)
        ignore.write_text("".join(x for x in lines if x.strip() not in ("/*", "!/debian/")))
    part = entry.with_name(f"{name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    repo = f"--git-dir={part}/git"
    git(source, repo, "init", "--quiet", "--initial-branch=base")
    # Every file is "big": git then writes one pack instead of 96,000 files.
    git(source, repo, f"--work-tree={source}", "-c", "core.looseCompression=1",
        "-c", "core.bigFileThreshold=1", "-c", "core.autocrlf=false", "-c", "core.bare=false",
        "add", "-f", "-A")
    when = "2000-01-01T00:00:00Z"
    git(source, repo, f"--work-tree={source}", "commit", "--quiet", "--no-verify", "-m",
        f"Linux {version}\n\n{origin}", env={
            **committer(source), "GIT_AUTHOR_NAME": "kvm-coco base",
            "GIT_AUTHOR_EMAIL": "base@localhost", "GIT_COMMITTER_NAME": "kvm-coco base",
            "GIT_COMMITTER_EMAIL": "base@localhost", "GIT_AUTHOR_DATE": when,
            "GIT_COMMITTER_DATE": when})
    git(source, repo, "config", "core.bare", "true")
    git(source, repo, "pack-refs", "--all")
    git(source, repo, "-c", "pack.window=0", "repack", "-d", "-q")
    (part / "git/index").unlink()
    (part / "origin").write_text(origin + "\n")
    if archive:
        (part / "archive").touch()
    (part / "SHA256SUMS").write_text(sums_of(part))
    part.rename(entry)
    say(f"imported in {time.monotonic() - started:.0f} s")
    return entry


def import_tarball(tar, origin, archive, digest=None):
    """TAR is a file, or a command whose standard output is a tar stream."""
    room(CACHE)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="unpack-") as temp:
        say(f"unpacking {origin}")
        if isinstance(tar, list):
            with subprocess.Popen(tar, stdout=subprocess.PIPE) as feed:
                done = subprocess.run(["tar", "-xJ", "-C", temp], stdin=feed.stdout,
                                      capture_output=True, text=True, check=False)
            bad = done.returncode or feed.returncode
        else:
            done = subprocess.run(["tar", "-xf", tar, "-C", temp], capture_output=True,
                                  text=True, check=False)
            bad = done.returncode
        if bad:
            raise Failed(f"{origin} cannot be unpacked (cut short, or the disk is full?): "
                         f"{done.stderr.strip()[-300:]}")
        tops = [p for p in Path(temp).iterdir() if p.is_dir()]
        if len(tops) != 1:
            raise Failed(f"{origin} is no kernel source: it holds {len(tops)} directories")
        version = check_version(kernel_version(tops[0]), origin)
        digest = digest or sha256(tar)
        return import_tree(tops[0], f"{version}-{digest[:12]}", origin, archive)


def import_package(deb, origin, archive, digest=None):
    """DEB is a linux-source package, which holds a tarball of its own name."""
    package = deb.name.partition("_")[0]
    # pathname without a leading ./ would match nothing
    stream = ["sh", "-c", f"dpkg-deb --fsys-tarfile '{deb}' | "
              f"tar -xO ./usr/src/{package}.tar.xz"]
    return import_tarball(stream, origin, archive, digest or sha256(deb))


# --- KERNEL_SRC=

def from_kernel_src(given):
    path = Path(given).expanduser().resolve()
    if path.parent == (CACHE / "base").resolve() and usable(path):
        return path
    if path.suffix == ".deb" and path.is_file():
        return import_package(path, f"{path.name}, sha256 {sha256(path)}", archive=False)
    if path.is_file():
        return import_tarball(path, f"{path.name}, sha256 {sha256(path)}", archive=False)
    if not path.is_dir():
        raise Failed(f"KERNEL_SRC={given}: no such file or directory")
    version = check_version(kernel_version(path), f"KERNEL_SRC={given}")
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
    entry = CACHE / "base" / f"{version}-{tree[:12]}"
    if entry.exists() and usable(entry):
        return entry
    room(CACHE)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="unpack-") as temp:
        subprocess.run(f"set -o pipefail; {copy} | tar -x -C '{temp}'", shell=True, check=True,
                       executable="/bin/bash")
        return import_tree(Path(temp), entry.name, origin, archive=False)


# --- the distribution's source package

def mirrors():
    """Addresses of the archive, as apt already knows them."""
    lines = subprocess.run(["apt-get", "indextargets", "--format",
                            "$(ORIGIN)|$(LABEL)|$(SITE)", "Created-By: Packages"],
                           capture_output=True, text=True, check=False).stdout.splitlines()
    named = [line.split("|") for line in lines]
    sites = [s for o, label, s in named if (o, label) == ("Debian", "Debian")]
    # Before the first "apt-get update" apt knows addresses but no labels.
    sites += [s for o, _, s in named if not o and "security" not in s]
    return list(dict.fromkeys(sites))


class Apt:
    """apt-get with a sources list, state and cache of its own."""

    def __init__(self, where, site, suite):
        self.where = where
        for name in ("lists/partial", "cache/archives/partial"):
            (where / name).mkdir(parents=True, exist_ok=True)
        (where / "sources.list").write_text(f"deb {site} {suite} main\ndeb-src {site} {suite} main\n")
        self.options = [f"-oDir::Etc::SourceList={where}/sources.list",
                        "-oDir::Etc::SourceParts=/dev/null", f"-oDir::State::Lists={where}/lists",
                        f"-oDir::Cache={where}/cache", "-oAPT::Sandbox::User=root",
                        "-oAcquire::Retries=2"]

    def run(self, tool, *args):
        return subprocess.run([tool, *self.options, *args], cwd=self.where, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def kernels(self):
        """[(linux-source-X.Y, version, suite)] of what the archive offers now."""
        names = self.run("apt-cache", "pkgnames", "linux-source-").stdout.split()
        names = sorted(name for name in names if re.fullmatch(r"linux-source-\d+\.\d+", name))
        rows = self.run("apt-cache", "madison", *names).stdout if names else ""
        return re.findall(r"^ *(\S+) \| +(\S+) \| \S+ ([^/ ]+)/.* Packages$", rows, re.M)


def check_sum(path, origin):
    """A file that bases/v7.3 lists must have the sum it lists."""
    digest = sha256(path)
    listed = dict(line.split() for line in facts().get("sha256", [])).get(path.name)
    if listed and listed != digest:
        raise Failed(f"{path.name} has sha256 {digest}, bases/v{BASE} says {listed}: {origin}")
    if not listed:
        say(f"{path.name} is not listed in bases/v{BASE}; {origin}")
    say(f"{path.name}: sha256 {digest}")
    return digest


def from_package(temp):
    """The source package of the distribution, or why it cannot be had."""
    want = facts()
    package, source = want["package"][0], want["source"][0]
    trouble, offered = [], []
    for site in mirrors():
        for suite in want["suite"]:
            apt = Apt(temp, site, suite)
            update = apt.run("apt-get", "update")
            if update.returncode or "Err:" in update.stdout:
                trouble.append(f"{suite}: {(update.stderr.strip().splitlines() or ['?'])[-1]}")
                continue
            say(f"asking Debian's {suite} for {package}")
            offered += apt.kernels()
            got = apt.run("apt-get", "download", package)
            debs = list(temp.glob(f"{package}_*.deb"))
            if not got.returncode and debs:
                digest = check_sum(debs[0], "apt checked it against the signed index")
                return import_package(debs[0], f"Debian {suite}, {debs[0].name}", True, digest)
            trouble.append(f"{suite}: {got.stderr.strip()[-200:] or 'no ' + package}")
            listing = apt.run("apt-cache", "showsrc", source).stdout
            versions = re.findall(rf"^Version: ({re.escape(BASE)}\.\S+)$", listing, re.M)
            if versions:
                got = apt.run("apt-get", "source", "--download-only", "--tar-only",
                              f"{source}={versions[-1]}")
                tars = list(temp.glob(f"{source}_*.orig.tar.xz"))
                if not got.returncode and tars:
                    digest = check_sum(tars[0], "apt checked it against the signed index")
                    return import_tarball(tars[0], f"Debian {suite}, {tars[0].name}", True, digest)
                trouble.append(f"{suite}: {got.stderr.strip()[-200:]}")
    if not trouble:
        raise Failed("this system has no Debian archive configured")
    listed = ", ".join(f"{name} {version} ({suite})" for name, version, suite in offered)
    raise Failed(f"{'; '.join(trouble)}; what can be had: {listed or 'no linux-source at all'}; "
                 f"BASE= takes one of {' '.join(bases())}")


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


def ensure(kernel_src=None):
    """The cache entry of the base: a directory with git/ and origin in it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "base.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kernel_src:
            return from_kernel_src(kernel_src)
        entry = newest_cached()
        if entry:
            return entry
        room(CACHE)
        reasons = []
        for get in (from_package, from_kernel_org):
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="download-") as temp:
                try:
                    return get(Path(temp))
                except Failed as error:
                    reasons.append(str(error))
        raise Failed(f"no v{BASE} source: {'; '.join(reasons)}; connect to the network, or give "
                     "KERNEL_SRC= a kernel directory, git tree or tarball")


if __name__ == "__main__":
    run_main("base", lambda: print(ensure(os.environ.get("KERNEL_SRC"))))
