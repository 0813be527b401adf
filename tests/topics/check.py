# SPDX-License-Identifier: GPL-2.0-only
"""check.py OUT: each topic applies to the base with what it needs, and with ALONE= it builds.

A maintainer takes one topic with git am, from mails, without git's three-way merge.  A
topic that needs no other is built there as well, without a warning, if ALONE= is not empty:
that takes ten minutes.  It is with the base's configuration, whose objects are in the
compiler's cache; make bisect builds each commit with the options of the series.  What has
passed is kept in the cache, by content.
"""
import os
import re
import sys
import time
from pathlib import Path

from scripts.common import BASE, ROOT, git, run_main, worktree
from scripts.results.passed import digest, has_passed, remember
from scripts.results.total import print_total
from scripts.series import patches as series, topics
from scripts.series.commit import apply_patches
from scripts.series.derive import touched
from scripts.series.version import kernel_version
from tests.bisect.build import build

CONFIG = [ROOT / "configs/kvm.config"]
RULES = [*CONFIG, *(ROOT / "scripts/build" / name
                       for name in ("build.sh", "config.py", "kmake.sh", "cc.sh"))]


def missing(tree, patches, of_topics):
    """A header of the series that a file of OF_TOPICS includes, and that no patch of theirs adds."""
    headers = {path for patch in patches for path in patch.adds if path.endswith(".h")}
    headers -= {path for patch in of_topics for path in patch.adds}
    for path in sorted({path for patch in of_topics for path in (*patch.adds, *touched(patch))}):
        text = (tree / path).read_text(errors="replace") if (tree / path).is_file() else ""
        # The kernel has headers of the same names as the selftests, and knows only its own.
        seen = [h for h in headers if path.startswith("tools/") or not h.startswith("tools/")]
        for name in re.findall(r'^#include [<"](\S+)[>"]', text, re.M):
            if any(header.endswith(f"/{name}") for header in seen):
                return f"{path} includes {name}, which a topic adds that it does not need"
    return ""


def check(topic, known, patches, tree, work, version):
    """(what is to be said, whether that is bad)"""
    names = topics.selected(known, topic.name)
    after = f"after {' '.join(names[:-1])}" if names[1:] else "alone"
    wanted = series.of_topics(patches, names)
    builds = bool(os.environ.get("ALONE")) and not topic.needs
    # A header of any other patch may be missing: what each adds decides, too.
    key = digest("topic", builds, git(tree, "rev-parse", "base^{tree}"), *[patch.key() for patch in wanted],
                 *[path for patch in patches for path in patch.adds],
                 *[path.read_bytes() for path in RULES])
    if has_passed(key):
        return f"applied {after} before", False
    commits, error = apply_patches(tree, "base", wanted, version, three_way=False)
    if error:
        return f"does not apply {after}: {error}", True
    git(tree, "checkout", "-q", "-f", "--detach", commits[-1])
    if lacks := missing(tree, patches, wanted):
        return f"does not build {after}: {lacks}", True
    if builds and (why := build(tree, work, CONFIG)):
        return f"DOES NOT BUILD alone: {why}", True
    remember(key, [topic.name, after])
    return f"applies {'and builds ' if builds else ''}{after}", False


def main(out):
    composed, work = out / f"linux-{BASE}", out / "topics"
    known, patches = topics.read(), series.load()
    tree = worktree(composed, work)
    version = ".".join(map(str, kernel_version(tree)))
    bad, started = 0, time.monotonic()
    for number, topic in enumerate(known.values(), 1):
        said, wrong = check(topic, known, patches, tree, work, version)
        bad += wrong
        print(f"topics: [{number}/{len(known)}] {topic.name} {said}, "
              f"{time.monotonic() - started:.0f} s", flush=True)
    return print_total(len(known) - bad, bad)


if __name__ == "__main__":
    run_main("topics", lambda: main(Path(sys.argv[1]).resolve()))
