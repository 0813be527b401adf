# SPDX-License-Identifier: GPL-2.0-only
"""The cover letter: the text of patches/TOPIC/cover-letter and patches/cover-end, and what is generated for it."""
import re
import textwrap

from scripts.results import records
from scripts.common import Failed, git
from scripts.series.topics import PATCHES


def summary(own):
    """Subjects under their prefixes, with the number of the mail."""
    lines, last = [], None
    for number, (_, subject) in enumerate(own, 1):
        prefix, _, rest = subject.rpartition(": ")
        if prefix != last:
            lines.append(f"{prefix}:")
            last = prefix
        lines.append(textwrap.fill(rest, 72, initial_indent=f"  {number:>3} ",
                                   subsequent_indent=" " * 6))
    return "\n".join(lines)


def diffstat(tree, own):
    return git(tree, "diff", "--stat=72", "--summary", f"{own[0][0]}^", own[-1][0]).rstrip("\n")


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


def generated(out, state, own, version):
    """(mark -> what stands there in the letter, what is missing)."""
    problems, now = [], records.state(out)
    told = (f"Linux {state.state['version']} ({state.state['origin']}) with the series, "
            f"tree {now[:12]}:")
    return {"tests": textwrap.fill(told, 76, break_on_hyphens=False) + "\n\n" +
                     record(problems, records.tests, out, now),
            "bench": record(problems, records.bench, out, now), "changes": changes(version),
            "patches": summary(own) + "\n\n" + diffstat(state.path, own)}, problems


def fill(path, topic, fills, commit, local):
    """Fill in git's cover letter: our text, and upstream's commit for the local one."""
    text = topic.text.rstrip("\n") + "\n\n" + (PATCHES / "cover-end").read_text()
    if topic.needs:
        text = f"This needs the topics {', '.join(topic.needs)} of the series.\n\n{text}"
    for mark, filling in fills.items():
        if text.count(f"@{mark}@\n") != 1 and mark != "bench":
            raise Failed(f"patches/cover-end needs the line @{mark}@, once")
        text = text.replace(f"@{mark}@\n", filling + "\n")
    text = re.sub(r"\n{3,}", "\n\n", text).strip("\n")
    if not (topic.subject + text).isascii():
        raise Failed(f"patches/{topic.name}/cover-letter: ASCII only, other characters get lost in "
                     "mails")
    head, _, rest = path.read_text().partition("*** BLURB HERE ***")
    # --base only takes a commit that the repository has, so git was told the import,
    # and wrote its trailers with that.
    trailers = rest[rest.index(f"\nbase-commit: {local}"):].replace(local, commit, 1)
    path.write_text(head.replace("*** SUBJECT HERE ***", topic.subject) + text + "\n" + trailers)
