# SPDX-License-Identifier: GPL-2.0-only
"""Debian's archive as this system has it, and programs that make Debian systems of it."""
import hashlib
import os
import subprocess
from pathlib import Path

from scripts.common import Failed

LIMIT = 1200


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def call(log, *command, **options):
    """COMMAND, whose words go to LOG.

    As root in a mount namespace of its own: nothing stays mounted however it ends."""
    words = ["unshare", "--mount"] * (os.getuid() == 0) + [str(word) for word in command]
    with open(log, "a", encoding="utf-8") as out:
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=out, check=False,
                                  stderr=subprocess.STDOUT, timeout=LIMIT, **options)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{command[0]}: no end within {LIMIT} s: {log}") from error
    if done.returncode:
        tail = "".join(f"\n    {x}" for x in Path(log).read_text().splitlines()[-15:])
        raise Failed(f"{' '.join(map(str, command))}: status {done.returncode}, {log}:{tail}")


def archive():
    """This system's suite, a mirror, and the files in which apt has the suite's packages."""
    words = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines()
                 if "=" in line)
    suite = words.get("VERSION_CODENAME", "").strip('"')
    indexes = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(FILENAME)",
                              "Created-By: Packages", "Label: Debian", f"Codename: {suite}"],
                             capture_output=True, text=True, check=True).stdout.split()
    if words.get("ID") != "debian" or not indexes:
        raise Failed("this is no Debian with an archive whose packages are known: "
                     "try apt-get update")
    return suite, indexes[0], indexes[1::2]


def keeps_old_archives():
    """What mmdebstrap needs to be told if this system takes an archive that has expired: its own
    apt asks no configuration but that."""
    said = subprocess.run(["apt-config", "shell", "VALUE", "Acquire::Check-Valid-Until"],
                          capture_output=True, text=True, check=True).stdout
    return ['--aptopt=Acquire::Check-Valid-Until "false"'] if "false" in said else []
