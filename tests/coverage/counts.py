# SPDX-License-Identifier: GPL-2.0-only
"""From what PID 1 and guests have printed to what gcovr makes of it.

gcovr merges counts and makes the HTML.  By hand is what it does not know: that the
files of counts come in hex on a serial port, those of a guest in parts.
"""
import json
import re
import subprocess

from scripts.common import Failed

# Of the machine, and in parts of a guest: when it ended, which part of how much
COUNTS = re.compile(rb"^# gcov \S*?/(arch/\S+)\.gcda ([0-9a-f]*)\r?$", re.M)
PARTS = re.compile(rb"gcov (\d+) \S*?/(arch/\S+)\.gcda (\d+) (\d+) ([0-9a-f]+)\r?$", re.M)


def counted(results):
    """Each file of counts, without suffix, and what is in it: one for each kernel that ended."""
    yield from ((name.decode(), bytes.fromhex(data.decode()))
                for name, data in COUNTS.findall(results))
    parts = {}
    for when, name, at, size, data in PARTS.findall(results):
        have = parts.setdefault((when, name), bytearray())
        if len(have) == int(at):
            have += bytes.fromhex(data.decode())
        if len(have) == int(size):
            yield name.decode(), bytes(parts.pop((when, name)))


def write_counts(kernel, folder, results):
    """Counts as gcc would have left them: a folder per kernel that ran, with gcc's notes."""
    number = 0
    for machine in results:
        for stem, data in counted(machine):
            notes = kernel / f"{stem}.gcno"
            # The stamp of the object, which gcovr does not look at.
            if data[8:12] != notes.read_bytes()[8:12]:
                raise Failed(f"{stem}.c was counted by another build than that in {kernel}")
            place = folder / str(number) / stem
            place.parent.mkdir(parents=True)
            place.with_suffix(".gcda").write_bytes(data)
            place.with_suffix(".gcno").symlink_to(notes)
            number += 1


def report(tree, kernel, folder, files, html):
    """file -> line -> (count, [count of each branch]), of all; and the same as HTML."""
    filters = [word for file in files for word in ("--filter", f"{re.escape(f'{tree}/{file}')}$")]
    done = subprocess.run(["gcovr", "-r", tree, "--object-directory", kernel, *filters, "-j",
                           "--json", folder / "counts.json", "--html-details",
                           html / "index.html", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"gcovr: {done.stderr.strip()[-500:]}")
    return {source["file"]: {line["line_number"]: (line["count"], [branch["count"] for branch
                                                                   in line["branches"]])
                             for line in source["lines"] if not line["gcovr/noncode"]}
            for source in json.loads((folder / "counts.json").read_text())["files"]}
