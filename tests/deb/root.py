# SPDX-License-Identifier: GPL-2.0-only
"""A Debian system with a kernel package and the selftests, as a disk image."""
import hashlib
import shutil
import tarfile
import time

from scripts.common import CACHE, Failed
from scripts.packages.debian import archive, call, sha256

# What minbase lacks: the hook that makes an initramfs when a kernel is installed,
# modprobe, and poweroff.
PACKAGES = "initramfs-tools,kmod,busybox,zstd"


def say(text):
    print(f"deb-boot: {text}", flush=True)


def base_system(log):
    """A tar of the suite's minimal system; from the cache, if that is good."""
    suite, site, indexes = archive()
    index = "".join(map(sha256, indexes))
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
