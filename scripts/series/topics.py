# SPDX-License-Identifier: GPL-2.0-only
"""The topics of the series: patches/topics lists them, in order.

A topic is a folder patches/TOPIC/ with a cover letter and patches that are numbered
from 0001.  The first line of its cover letter says what it is for, the second,
"Needs: TOPIC TOPIC" or "Needs: none", which others it takes to apply and to work.
"""
import re
from dataclasses import dataclass
from pathlib import Path

from scripts.common import Failed, HOME

PATCHES = HOME / "patches"


@dataclass
class Topic:
    name: str
    subject: str
    needs: list[str]
    text: str

    @property
    def folder(self) -> Path:
        return PATCHES / self.name

    def files(self) -> list[Path]:
        """Its patches in order; a number that is there twice has none."""
        found = sorted(self.folder.glob("*.patch"))
        numbers = [path.name[:4] for path in found]
        for path in found:
            if not re.match(r"\d{4}-", path.name):
                raise Failed(f"patches/{self.name}/{path.name}: the name of a patch begins with its "
                             "number, as in 0001-")
            if numbers.count(path.name[:4]) > 1:
                raise Failed(f"patches/{self.name} has two patches of number {path.name[:4]}: "
                             "which of them comes first?")
        return found


def read_topic(name: str) -> Topic:
    letter = PATCHES / name / "cover-letter"
    try:
        head, _, text = letter.read_text().partition("\n\n")
    except OSError:
        raise Failed(f"patches/topics names {name}, which has no patches/{name}/cover-letter: write "
                     "it, or take the name out") from None
    lines = head.split("\n")
    needs = re.fullmatch(r"Needs: (none|[\w-]+(?: [\w-]+)*)", lines[1] if len(lines) == 2 else "")
    if not needs or not lines[0]:
        raise Failed(f"patches/{name}/cover-letter: its first line says what the topic is for, its "
                     "second 'Needs: none' or 'Needs: TOPIC ...', its third is empty")
    return Topic(name, lines[0], [] if needs[1] == "none" else needs[1].split(), text)


def listed() -> list[str]:
    lines = (PATCHES / "topics").read_text().splitlines()
    return [name for line in lines if (name := line.split("#")[0].strip())]


def read() -> dict[str, Topic]:
    """All topics, in order; refuses Needs that no order can meet."""
    topics = {name: read_topic(name) for name in listed()}
    for topic in topics.values():
        for need in topic.needs:
            if need not in topics:
                raise Failed(f"patches/{topic.name}/cover-letter: it needs {need}, which is no topic; "
                             f"there are: {' '.join(topics)}")
            if topic.name in [need, *closure(topics, need, [])]:
                raise Failed(f"patches/{topic.name}/cover-letter: it needs {need}, which needs "
                             f"{topic.name} itself: one of the two comes first")
    order = list(topics)
    for topic in topics.values():
        late = [need for need in topic.needs if order.index(need) > order.index(topic.name)]
        if late:
            raise Failed(f"patches/topics has {topic.name} before {late[0]}, which it needs")
    return topics


def closure(topics: dict[str, Topic], name: str, seen: list[str]) -> list[str]:
    """All that NAME needs, and what those need, SEEN included; without NAME itself."""
    for need in topics[name].needs if name in topics else ():
        if need not in seen:
            seen.append(need)
            closure(topics, need, seen)
    return seen


def selected(topics: dict[str, Topic], name: str) -> list[str]:
    """The topic NAME and all that it takes, in the order of the series; all, if NAME is empty."""
    check_name(topics, name)
    wanted = [name, *closure(topics, name, [])] if name else list(topics)
    return [topic for topic in topics if topic in wanted]


def check_name(topics: dict[str, Topic], name: str) -> None:
    if name and name not in topics:
        raise Failed(f"TOPIC={name}: no such topic; there are: {' '.join(topics)}")
