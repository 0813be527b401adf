# SPDX-License-Identifier: GPL-2.0-only
"""Debian's archive: what it has now, and the source package of the base."""
import re
import subprocess

from scripts.common import BASE, SERIES, Failed, ROOT, base_file, bases
from scripts.series.cache import say, sha256
from scripts.series.imports import import_package, import_tarball


def facts(which=BASE):
    """name -> [values] of bases/v7.3, bases/qemu-10.0, or another."""
    found = {}
    for line in (ROOT / base_file(which)).read_text().splitlines():
        if line and not line.startswith("#"):
            name, value = line.split(None, 1)
            found.setdefault(name, []).append(value)
    return found


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

    def offers(self):
        """[(linux-source-X.Y or qemu, version, suite)] of what the archive has now."""
        if SERIES != "linux":
            rows = self.run("apt-cache", "madison", SERIES).stdout
            return re.findall(r"^ *(\S+) \| +(\S+) \| \S+ ([^/ ]+)/.* Sources$", rows, re.M)
        names = self.run("apt-cache", "pkgnames", "linux-source-").stdout.split()
        names = sorted(name for name in names if re.fullmatch(r"linux-source-\d+\.\d+", name))
        rows = self.run("apt-cache", "madison", *names).stdout if names else ""
        return re.findall(r"^ *(\S+) \| +(\S+) \| \S+ ([^/ ]+)/.* Packages$", rows, re.M)


def check_sum(path, origin):
    """A file that bases/v7.3 lists must have the sum it lists."""
    digest = sha256(path)
    listed = dict(line.split() for line in facts().get("sha256", [])).get(path.name)
    if listed and listed != digest:
        raise Failed(f"{path.name} has sha256 {digest}, {base_file()} says {listed}: {origin}")
    if not listed:
        say(f"{path.name} is not listed in {base_file()}; {origin}")
    say(f"{path.name}: sha256 {digest}")
    return digest


def from_package(temp):
    """The source package of the distribution, or why it cannot be had."""
    want = facts()
    package, source = want.get("package", [""])[0], want["source"][0]
    trouble, offered = [], []
    for site in mirrors():
        for suite in want["suite"]:
            apt = Apt(temp, site, suite)
            update = apt.run("apt-get", "update")
            if update.returncode or "Err:" in update.stdout:
                trouble.append(f"{suite}: {(update.stderr.strip().splitlines() or ['?'])[-1]}")
                continue
            say(f"asking Debian's {suite} for {package or source}")
            offered += apt.offers()
            if package:
                got = apt.run("apt-get", "download", package)
                debs = list(temp.glob(f"{package}_*.deb"))
                if not got.returncode and debs:
                    digest = check_sum(debs[0], "apt checked it against the signed index")
                    return import_package(debs[0], f"Debian {suite}, {debs[0].name}", True, digest)
                trouble.append(f"{suite}: {got.stderr.strip()[-200:] or 'no ' + package}")
            listing = apt.run("apt-cache", "showsrc", source).stdout
            versions = re.findall(rf"^Version: ((?:\d+:)?{re.escape(BASE)}\.\S+)$", listing, re.M)
            if not versions and not package:
                trouble.append(f"{suite}: no {source} {BASE}.y")
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
    raise Failed(f"{'; '.join(trouble)}; what can be had: {listed or f'no {SERIES} source at all'}" + (
        f"; BASE= takes one of {' '.join(bases())}" if SERIES == "linux" else ""))
