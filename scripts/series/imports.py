# SPDX-License-Identifier: GPL-2.0-only
"""The source of a kernel or of QEMU as a git repository in the cache."""
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from scripts.common import CACHE, SERIES, Failed, committer, git
from scripts.series.cache import BASES, room, say, sha256, sums_of, usable
from scripts.series.version import check_version, source_version


def tidy(source):
    """What the tarballs of Debian's packages need."""
    ignore = source / ".gitignore"
    if ignore.exists():
        # The kernel's ignores everything: work in the tree would be invisible to git.
        lines = ignore.read_text().splitlines(keepends=True)
        ignore.write_text("".join(x for x in lines if x.strip() not in ("/*", "!/debian/")))
    build = source / "meson.build"
    if build.exists() and not list(source.glob("pc-bios/edk2-*.fd.bz2")):
        # QEMU's lacks the firmware that it would unpack.
        text = build.read_text()
        build.write_text(text.replace("unpack_edk2_blobs = bzip2.found()",
                                      "unpack_edk2_blobs = false"))


def import_tree(source, name, origin, archive):
    """Commit the unpacked SOURCE and keep it as cache entry NAME."""
    entry = BASES / name
    if entry.exists() and usable(entry):
        return entry
    version = ".".join(map(str, source_version(source)))
    say(f"importing {SERIES} {version} into git")
    started = time.monotonic()
    tidy(source)
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
        f"{'Linux' if SERIES == 'linux' else 'QEMU'} {version}\n\n{origin}", env={
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
            raise Failed(f"{origin} is no source of {SERIES}: it holds {len(tops)} directories")
        version = check_version(source_version(tops[0]), origin)
        digest = digest or sha256(tar)
        return import_tree(tops[0], f"{version}-{digest[:12]}", origin, archive)


def import_package(deb, origin, archive, digest=None):
    """DEB is a linux-source package, which holds a tarball of its own name."""
    package = deb.name.partition("_")[0]
    # pathname without a leading ./ would match nothing
    stream = ["sh", "-c", f"dpkg-deb --fsys-tarfile '{deb}' | "
              f"tar -xO ./usr/src/{package}.tar.xz"]
    return import_tarball(stream, origin, archive, digest or sha256(deb))
