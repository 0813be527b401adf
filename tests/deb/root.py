# SPDX-License-Identifier: GPL-2.0-only
"""A Debian system with a kernel package and the selftests, as a disk image."""
import hashlib
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

from scripts.common import CACHE, Failed

# What minbase lacks: the hook that makes an initramfs when a kernel is installed,
# modprobe, and poweroff.
PACKAGES = "initramfs-tools,kmod,busybox,zstd"
LIMIT = 1200


def say(text):
    print(f"deb-boot: {text}", flush=True)


def call(log, *command, **options):
    """COMMAND, in a mount namespace of its own: nothing stays mounted however it ends."""
    words = ["unshare", "--mount", *map(str, command)]
    with open(log, "a", encoding="utf-8") as out:
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=out, check=False,
                                  stderr=subprocess.STDOUT, timeout=LIMIT, **options)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{' '.join(words[2:])}: no end within {LIMIT} s: {log}") from error
    if done.returncode:
        tail = "".join(f"\n    {x}" for x in Path(log).read_text().splitlines()[-15:])
        raise Failed(f"{' '.join(words[2:])}: status {done.returncode}, {log}:{tail}")


def archive():
    """The suite of this system, a mirror, and a digest of the suite's packages."""
    words = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines()
                 if "=" in line)
    suite = words.get("VERSION_CODENAME", "").strip('"')
    indexes = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(FILENAME)",
                              "Created-By: Packages", "Label: Debian", f"Codename: {suite}"],
                             capture_output=True, text=True, check=True).stdout.split()
    if words.get("ID") != "debian" or not indexes:
        raise Failed("this is no Debian with an archive whose packages are known: "
                     "try apt-get update")
    return suite, indexes[0], "".join(sha256(name) for name in indexes[1::2])


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def base_system(log):
    """A tar of the suite's minimal system; from the cache, if that is good."""
    suite, site, index = archive()
    key = hashlib.sha256(f"{suite} {PACKAGES} {index}".encode()).hexdigest()[:12]
    folder = CACHE / "mmdebstrap"
    tar, check = folder / f"{suite}-{key}.tar", folder / f"{suite}-{key}.sha256"
    if tar.is_file() and check.is_file():
        if sha256(tar) == check.read_text().strip():
            say(f"{suite} from the cache: {tar}")
            return tar
        say(f"{tar} is damaged: making it again")
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    say(f"mmdebstrap {suite} (a minute or more)")
    for old in folder.glob(f"{suite}-*"):
        old.unlink()
    call(log, "mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", suite, tar, site)
    check.write_text(sha256(tar) + "\n")
    say(f"mmdebstrap: {tar.stat().st_size >> 20} MiB, {time.monotonic() - started:.0f} s")
    return tar


def make_disk(work, package, selftests, files):
    """work/disk, and the kernel and initramfs that are installed in it."""
    log = work / "root.log"
    log.write_text("")
    root = work / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    call(log, "tar", "-C", root, "--numeric-owner", "-xf", base_system(log))
    (root / "etc/fstab").write_text("/dev/vda / ext4 defaults 0 1\n")
    shutil.copy(package, root / "root")
    started = time.monotonic()
    # With a /proc and without daemons, as in an installer.
    call(log, "unshare", "--pid", "--fork", f"--mount-proc={root}/proc", "chroot", root,
         "dpkg", "-i", f"/root/{package.name}",
         env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"})
    kernels = list((root / "boot").glob("vmlinuz-*"))
    release = kernels[0].name.partition("-")[2] if len(kernels) == 1 else ""
    initrd = root / f"boot/initrd.img-{release}"
    for file in (initrd, root / f"boot/System.map-{release}",
                 root / f"lib/modules/{release}/modules.dep"):
        if not release or not file.is_file():
            raise Failed(f"{package.name} was installed, but there is no {file}, see {log}")
    say(f"{package.name} installed, with its initramfs, {time.monotonic() - started:.0f} s")
    target = root / "opt/kvm-selftests"
    target.mkdir(parents=True)
    with tarfile.open(selftests) as tar:
        tar.extractall(target)
    for name, (text, mode) in files.items():
        (root / name).write_text(text)
        (root / name).chmod(mode)
    shutil.copy(kernels[0], work / "vmlinuz")
    shutil.copy(initrd, work / "initrd")
    call(log, "mke2fs", "-q", "-F", "-t", "ext4", "-d", root, work / "disk", "2G")
    shutil.rmtree(root)
    return release
