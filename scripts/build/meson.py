# SPDX-License-Identifier: GPL-2.0-only
"""meson.py: a folder in the cache with a meson that is new enough for QEMU, and pycotap.

Debian 12's own meson is too old.  That of its backports is unpacked, not installed: the
system stays as it is.
"""
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from scripts.common import CACHE, Failed, run_main
from scripts.series.archive import Apt, mirrors

TOOLS = CACHE / "qemu-tools"
PACKAGES = ("meson", "python3-pycotap")


def suites():
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    name = re.search(r"^VERSION_CODENAME=(\w+)$", release, re.M)
    own = name[1] if name else "sid"
    return f"{own}-backports", own


def unpack(where, suite):
    """Why the packages of SUITE cannot be had, or nothing."""
    reasons = []
    for site in mirrors():
        apt = Apt(where, site, suite)
        apt.run("apt-get", "update")
        got = apt.run("apt-get", "download", *PACKAGES)
        debs = list(where.glob("*.deb"))
        if got.returncode or len(debs) != len(PACKAGES):
            reasons.append(f"{suite}: {got.stderr.strip()[-200:]}")
            continue
        for deb in debs:
            subprocess.run(["dpkg-deb", "-x", deb, where / "root"], check=True)
        return ""
    return "; ".join(reasons) or "this system has no Debian archive configured"


def main():
    if not TOOLS.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        reasons = []
        for suite in suites():
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="meson-") as temp:
                reason = unpack(Path(temp), suite)
                if not reason:
                    shutil.move(Path(temp) / "root/usr", TOOLS)
                    break
                reasons.append(reason)
        else:
            raise Failed(f"QEMU's build needs Debian's packages {' and '.join(PACKAGES)}: "
                         f"{'; '.join(reasons)}; connect to the network")
    print(TOOLS)
    return 0


if __name__ == "__main__":
    run_main("meson", main)
