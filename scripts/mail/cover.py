# SPDX-License-Identifier: GPL-2.0-only
"""The cover letter: the text of patches/cover-letter, and what is generated for it."""
import re
import textwrap

from scripts.results import records
from scripts.common import Failed, git
from scripts.series.patches import PATCHES


def summary(patches, mine):
    """Subjects under their prefixes, with the number of the mail."""
    lines, last = [], None
    for number, (_, subject) in enumerate(mine, 1):
        prefix, _, rest = subject.rpartition(": ")
        if prefix != last:
            lines.append(f"{prefix}:")
            last = prefix
        lines.append(textwrap.fill(rest, 72, initial_indent=f"  {number:>3} ",
                                   subsequent_indent=" " * 6))
    if len(mine) < len(patches):
        lines.insert(0, f"{len(mine)} of the {len(patches)} patches of the series:\n")
    return "\n".join(lines)


def diffstat(tree, mine, whole):
    if whole:
        return git(tree, "diff", "--stat=72", "--summary", "base", mine[-1][0]).rstrip("\n")
    lines = {}
    for commit, _ in mine:
        for line in git(tree, "diff-tree", "-r", "--numstat", f"{commit}^", commit).splitlines():
            added, removed, path = line.split("\t")
            before = lines.get(path, (0, 0))
            lines[path] = before[0] + int(added), before[1] + int(removed)
    return "\n".join(f" {path} | +{a} -{r}" for path, (a, r) in sorted(lines.items()))


def changes(version):
    """What patches/changes says of this version and of those before it."""
    text = re.sub("^#.*\n", "", (PATCHES / "changes").read_text(), flags=re.M)
    parts = re.split(r"^v(\d+):\n", text, flags=re.M)[1:]
    sections = {int(n): part.strip("\n") for n, part in zip(parts[::2], parts[1::2])}
    if version > 1 and not sections.get(version, "").strip():
        raise Failed(f"patches/changes has no section 'v{version}:': say there what changed "
                     f"since v{version - 1}")
    return "\n\n".join(f"Changes since v{n - 1}:\n{sections[n]}"
                       for n in range(version, 1, -1) if n in sections)


def record(problems, read, *args):
    """A record for the cover letter, or there, loudly, that there is none."""
    try:
        return textwrap.indent(read(*args), "    ")
    except Failed as error:
        problems.append(str(error))
        return f"*** NOT IN THIS STATE: {error} ***"


def generated(out, state, patches, mine, news):
    """(mark -> what stands there in the letter, what is missing)."""
    problems, now = [], records.state(out)
    told = (f"Linux {state.state['version']} ({state.state['origin']}) with the series, "
            f"tree {now[:12]}:")
    return {"tests": textwrap.fill(told, 76, break_on_hyphens=False) + "\n\n" +
                     record(problems, records.tests, out, now),
            "bench": record(problems, records.bench, out, now), "changes": news,
            "patches": summary(patches, mine) + "\n\n" +
                       diffstat(state.path, mine, len(mine) == len(patches))}, problems


def fill(path, fills, commit, local):
    """Fill in git's cover letter: our text, and upstream's commit for the local one."""
    subject, _, text = (PATCHES / "cover-letter").read_text().partition("\n\n")
    for mark, filling in fills.items():
        if text.count(f"@{mark}@\n") != 1:
            raise Failed(f"patches/cover-letter needs the line @{mark}@, once")
        text = text.replace(f"@{mark}@\n", filling + "\n")
    text = re.sub(r"\n{3,}", "\n\n", text).strip("\n")
    if not (subject + text).isascii():
        raise Failed("patches/cover-letter: ASCII only, other characters get lost in mails")
    head, _, rest = path.read_text().partition("*** BLURB HERE ***")
    # --base only takes a commit that the repository has, so git was told the import,
    # and wrote its trailers with that.
    trailers = rest[rest.index(f"\nbase-commit: {local}"):].replace(local, commit, 1)
    path.write_text(head.replace("*** SUBJECT HERE ***", subject) + text + "\n" + trailers)
