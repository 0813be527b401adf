# SPDX-License-Identifier: GPL-2.0-only
"""Bases in the cache: one directory each, a bare repository and its sums.

An entry is checked against its own sums each time it is used.
"""
import hashlib
import shutil
import sys

from scripts.common import BASE, CACHE, SERIES, Failed

NEED_BYTES = 5 << 30
BASES = CACHE / ("base" if SERIES == "linux" else f"{SERIES}-base")


def say(text):
    print(f"base: {text}", file=sys.stderr, flush=True)


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
    """The highest cached BASE.y that came from an archive, not from KERNEL_SRC or QEMU_SRC."""
    entries = [e for e in BASES.glob(f"{BASE}.*") if (e / "archive").exists()]
    entries.sort(key=lambda e: int(e.name.split("-")[0].split(".")[2]), reverse=True)
    return next((e for e in entries if usable(e)), None)
