# SPDX-License-Identifier: GPL-2.0-only
"""The disk of make host: a Debian system, in the cache by what it is made of.

It is made once: to have newer packages, remove it.  No machine writes to it.
"""
import fcntl
import hashlib
import os
import re
import shlex
import shutil
import time
from pathlib import Path

from scripts.common import CACHE, Failed
from scripts.packages.debian import archive, call, keeps_old_archives
from scripts.series.cache import room

HERE = Path(__file__).parent
SUITE = "trixie"
# Has what SUITE lacks of packages.list, all of it for any architecture.
NEWER = "forky"
SUITES = (SUITE, f"{SUITE}-backports", NEWER)
# QEMU knows TDs since 10.1.  Of one source, all packages have to be of one version.
PINS = {"src:qemu src:seabios": (SUITES[1], 600), "src:edk2": (NEWER, 600), "*": (NEWER, 100)}
# Of packages, what nobody reads in a machine.
LEFT_OUT = ("doc", "man", "locale", "info")
# What a machine may write, on top of what is there.
FREE = 4 << 30
NEED = 4 << 30
KEEP = 3
DISKS = CACHE / "host"


def say(text):
    print(f"host: {text}", flush=True)


def packages(more=""):
    """Those of packages.list, and MORE, of PACKAGES=."""
    lines = (HERE / "packages.list").read_text().splitlines()
    names = [line.split()[0] for line in lines if line and not line.startswith("#")]
    for name in more.replace(",", " ").split():
        # With a suite or a version, if that is given
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+(/[a-z-]+|=[\w.+~:-]+)?", name):
            raise Failed(f"PACKAGES={name}: that is no name of a package")
        names.append(name)
    return names


def make(disk, names, log):
    """DISK, anew."""
    site = archive()[1]
    work = disk.with_suffix(f".{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    room(work, NEED)
    say(f"mmdebstrap {SUITE} with {len(names)} packages (some minutes, once)")
    pins = "\n".join(f"Package: {package}\nPin: release n={suite}\nPin-Priority: {priority}\n"
                     for package, (suite, priority) in PINS.items())
    hooks = [f"--setup-hook=echo {shlex.quote(pins)} >\"$1/etc/apt/preferences.d/newer\"",
             "--customize-hook=mkdir \"$1/opt/kvm-coco\" \"$1/shared\"",
             "--customize-hook=echo kvm-coco >\"$1/etc/hostname\"; "
             "echo 127.0.0.1 localhost kvm-coco >\"$1/etc/hosts\"",
             f"--customize-hook=upload {shlex.quote(str(HERE / 'first'))} /sbin/first",
             "--customize-hook=chmod 755 \"$1/sbin/first\"",
             # Backups; one of them has mode 0, which fakeroot's root cannot read.
             "--customize-hook=rm -f \"$1/etc/\"*-"]
    tar = work / "system.tar"
    try:
        call(log, "mmdebstrap", "--variant=minbase", f"--include={','.join(names)}", *hooks,
             *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT),
             *keeps_old_archives(), SUITE, tar, *(f"deb {site} {suite} main" for suite in SUITES))
        # As root, or as somebody who takes himself for root: the disk's files are root's.
        size = (tar.stat().st_size + FREE) >> 10
        call(log, *["fakeroot"] * (os.getuid() != 0), "sh", "-e", "-c",
             "mkdir root; tar -C root --numeric-owner -xf system.tar; rm system.tar; "
             # Without a journal: no machine goes on with a disk of another.
             f"mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=0 -m 0 -d root disk {size}k",
             cwd=work)
        (work / "disk").rename(disk)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def digest(path):
    """Of what is in the file; most of it are holes, which are passed over.  Where there are holes
    may change: a block of zeros counts as one."""
    found, block = hashlib.sha256(), 1 << 20
    with open(path, "rb") as file:
        at = 0
        while at < os.path.getsize(path):
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA) // block * block
            except OSError:             # only a hole is left
                break
            data = os.pread(file.fileno(), block, at)
            if data.strip(b"\0"):
                found.update(b"%d " % at + data)
            at += block
    return found.hexdigest()


def get(log, more=""):
    """The disk, from the cache if that is good.  Two machines may ask for it at once."""
    DISKS.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "host.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return ensure(log, packages(more))


def ensure(log, names):
    key = hashlib.sha256(b"\0".join([(HERE / "first").read_bytes(), Path(__file__).read_bytes(),
                                     " ".join(names).encode()])).hexdigest()[:12]
    disk, check = DISKS / f"{SUITE}-{key}", DISKS / f"{SUITE}-{key}.sha256"
    if disk.is_file() and check.is_file():
        if digest(disk) == check.read_text().strip():
            os.utime(disk)
            return disk
        say(f"{disk} is damaged: making it again")
    started = time.monotonic()
    log.write_text("")
    make(disk, names, log)
    check.write_text(digest(disk) + "\n")
    say(f"{disk}: {disk.stat().st_blocks >> 11} MiB, {time.monotonic() - started:.0f} s")
    disks = sorted(DISKS.glob("*.sha256"), key=lambda path: -path.with_suffix("").stat().st_mtime)
    for old in disks[KEEP:]:
        old.with_suffix("").unlink()
        old.unlink()
    return disk
