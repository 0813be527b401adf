# SPDX-License-Identifier: GPL-2.0-only
"""The series as patches and mirror files.

One patch file is one commit: mail header, changelog, "---", "Adds: PATH" lines
for the new files that the commit carries, and the diff of files that exist by then.
The new files are at their kernel path in the repository's root, as the whole series
leaves them; derive.py tells what of them a commit carries.

The series is written for MAIN.  On another base, BASE=7.2, a patch that differs
there is replaced by patches/v7.2/TOPIC/ and its own file name.  Such an override may
also have hunks for the new files that its commit Adds; they are applied to the
copies.  Its line "Replaces: SHA256" names the patch that it was made for.
"""
import hashlib
import re

from scripts.common import BASE, Failed, HOME, MAIN, SERIES
from scripts.series import topics
from scripts.series.derive import derive
from scripts.series.topics import PATCHES

MIRRORED = {"linux": ("arch", "include", "Documentation", "tools"),
            "qemu": ("accel", "docs", "hw", "include", "linux-headers", "system", "target",
                     "tests")}.get(SERIES, ())


class Patch:
    def __init__(self, name, override=False):
        """The patch NAME, TOPIC/FILE, of the series, or what BASE has in its place."""
        self.name = name
        self.topic = name.partition("/")[0]
        self.path = PATCHES / name
        original = self.path.read_bytes()
        self.override = override and (PATCHES / on_base(name)).is_file()
        if self.override:
            self.name = on_base(name)
            self.path = PATCHES / self.name
        self.text = self.path.read_bytes()
        head, mark, rest = self.text.partition(b"\n---\n")
        if not mark or b"\ndiff --git " not in rest:
            raise Failed(f"patches/{name} changes no existing file: every commit needs a hook")
        notes = rest.partition(b"\ndiff --git ")[0]
        self.adds = re.findall(r"^Adds: (\S+)$", notes.decode(), re.M)
        self.files = {}
        self.head = head
        self.replaces = hashlib.sha256(original).hexdigest()
        if self.override and f"\nReplaces: {self.replaces}\n".encode() not in mark + notes:
            raise Failed(f"patches/{self.name} was made for another patches/{name}: carry over what "
                         f"changed there (git log -p), and write Replaces: {self.replaces}")

    def key(self):
        """Changes when anything of this commit changes."""
        digest = hashlib.sha256(self.text)
        for path, (content, mode) in self.files.items():
            digest.update(f"{path} {mode == '100755'}".encode())
            digest.update(content)
        return digest.hexdigest()


def mirror_files():
    return sorted(str(path.relative_to(HOME)) for top in MIRRORED
                  for path in (HOME / top).rglob("*") if path.is_file())


def on_base(name):
    """What the override of the patch NAME is called on BASE."""
    return f"v{BASE}/{name}"


def order():
    """The names of MAIN's patches."""
    return [f"{topic.name}/{path.name}" for topic in topics.read().values()
            for path in topic.files()]


def check_strays(names):
    """Each patch file is of a topic, each override of a patch."""
    for path in sorted(PATCHES.rglob("*.patch")):
        name = str(path.relative_to(PATCHES))
        if name not in names and re.sub(r"^v[\d.]+/", "", name) not in names:
            raise Failed(f"patches/{name} is of no topic that patches/topics lists, or replaces no "
                         "patch of one: move it, rename it, or delete it")


def originals():
    """MAIN's patches in order, each with the files that its commit carries."""
    names = order()
    check_strays(names)
    patches = [Patch(name) for name in names]
    owner = {}
    for patch in patches:
        for path in patch.adds:
            if path in owner:
                raise Failed(f"{path} is added by patches/{owner[path]} and by "
                             f"patches/{patch.name}: a new file belongs to one commit")
            if not (HOME / path).is_file():
                raise Failed(f"patches/{patch.name} Adds {path}, which does not exist")
            owner[path] = patch.name
    for path in mirror_files():
        if path not in owner:
            raise Failed(f"no patch Adds {path}: name it below the --- of the patch that needs it")
    found = derive(patches)
    for patch in patches:
        patch.files = found[patch.name]
    return patches


def load():
    """The patches of BASE in order; refuses a series whose parts do not fit together."""
    patches = originals()
    if BASE == MAIN:
        return patches
    replaced = []
    for patch in patches:
        replaced.append(Patch(patch.name, override=True))
        replaced[-1].files = {path: patch.files[path] for path in replaced[-1].adds}
    return replaced


def of_topics(patches, names):
    return [patch for patch in patches if patch.topic in names]
