#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""mirror.py OUT: is what the root shows what the composed tree has?

Each new kernel file is the one of the last commit, the root's Kconfig names every file
and every option that the series adds, and MAINTAINERS is the entry that it adds.
"""
import re
import sys
from pathlib import Path

from scripts.common import BASE, Failed, HOME, MAIN, ROOT, SERIES, TREE, git, run_main
from scripts.series import patches as series


def check_files(tree):
    """On another base, an override may have made something else of a file."""
    paths = series.mirror_files()
    if BASE != MAIN or not paths:
        return
    for path in git(tree, "diff", "--no-renames", "--diff-filter=A", "--name-only", "-z", "base",
                    "HEAD").split("\0")[:-1]:
        if path not in paths:
            raise Failed(f"{path} is in {tree} at HEAD, but not here: make refresh writes it")
    listed = git(tree, "ls-tree", "-r", "-z", "HEAD", "--", *paths).split("\0")[:-1]
    want = {line.split("\t")[1]: line.split()[2] for line in listed}
    have = git(tree, "hash-object", "--no-filters", *[str(HOME / path) for path in paths]).split()
    for path, blob in zip(paths, have):
        if want.get(path) != blob:
            raise Failed(f"{path} is not the file that {tree} has at HEAD: make refresh writes it "
                         "from there, or, if the one here is right, take its change to the commit "
                         "there that it belongs to")


def check_kconfig(tree):
    diff = git(tree, "diff", "base", "HEAD", "--", "*Kconfig", "*Kconfig.*")
    said = (ROOT / "Kconfig").read_text()
    file = ""
    for line in diff.splitlines():
        if line.startswith("+++ b/"):
            file = line[6:]
            new = (ROOT / file).is_file()
            if new and f'\nsource "{file}"\n' not in said:
                raise Failed(f'the root\'s Kconfig does not have: source "{file}"')
        option = re.fullmatch(r"\+(?:menu)?config (\w+)", line)
        if option and not new and not re.search(rf"^#.*\b{option[1]}\b", said, re.M):
            raise Failed(f"the root's Kconfig does not name {option[1]}, which {file} gets")
    added = set(re.findall(r"^\+(?:menu)?config (\w+)", diff, re.M))
    for path in re.findall(r'^source "(.*)"$', said, re.M):
        if not (ROOT / path).is_file():
            raise Failed(f"the root's Kconfig sources {path}, which the series does not add")
    for name in re.findall(r"^#\s+config (\w+)", said, re.M):
        if name not in added:
            raise Failed(f"the root's Kconfig names {name}, which the series does not add")


def check_maintainers(tree):
    diff = git(tree, "diff", "base", "HEAD", "--", "MAINTAINERS").splitlines()
    added = [line[1:] for line in diff if re.match(r"\+(?!\+)", line) and line != "+"]
    entry = (ROOT / "MAINTAINERS").read_text().partition("\n\n")[2].splitlines()
    if added != entry:
        odd = sorted(set(added) ^ set(entry)) or ["the order of the lines"]
        raise Failed(f"MAINTAINERS here is not what the series adds to the kernel's: {odd[0]}")


def main(out):
    tree = Path(out) / TREE
    check_files(tree)
    if SERIES != "linux":
        print(f"mirror: {len(series.mirror_files())} files of {SERIES} are what {tree} has")
        return 0
    check_kconfig(tree)
    check_maintainers(tree)
    print(f"mirror: {len(series.mirror_files())} files, Kconfig and MAINTAINERS are what "
          f"{tree} has")
    return 0


if __name__ == "__main__":
    run_main("mirror", lambda: main(sys.argv[1]))
