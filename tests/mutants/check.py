# SPDX-License-Identifier: GPL-2.0-only
"""check.py OUT [TOPIC] [WORDS]: a test notices each mutant of the file beside this one.

Each is built and booted with the lines of tests/expected that it names, one of which has
to fail.  Without a mutant, all of them pass: that is tried first.  WORDS choose mutants
that have them in their names.  What was noticed is kept in the cache, by content.
"""
import dataclasses
import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts.common import BASE, Failed, git, ROOT, run_main, worktree
from scripts.machine.judge import judge, reasons
from scripts.machine.plan import OWN, read_expected, Test
from scripts.machine.watch import run_image
from scripts.results import passed
from scripts.results.passed import digest, has_passed, remember
from scripts.results.total import print_total
from tests.bisect.build import FRAGMENTS, run_build

LIST = ROOT / "tests/mutants/mutants"
KVM = "arch/x86/kvm"
LIMIT = 1200


@dataclasses.dataclass
class Mutant:
    """Hunks are pairs of texts, what is there and what is there instead."""
    topic: str
    what: str
    line: int
    file: str = ""
    engine: str = ""
    test: list = dataclasses.field(default_factory=list)
    hunks: list = dataclasses.field(default_factory=list)

    def apply(self, tree):
        text = (tree / self.file).read_text()
        for old, new in self.hunks:
            if text.count(old) != 1:
                raise Failed(f"{LIST}:{self.line}: {self.file} has {text.count(old)} times:\n{old}"
                             "say what it has now, once")
            text = text.replace(old, new)
        (tree / self.file).write_text(text)


def read(text):
    """The mutants of TEXT."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        word, _, rest = line.partition(" ")
        if word == "mutant":
            topic, _, what = rest.partition(": ")
            found.append(Mutant(topic, what, number))
        elif word == "file":
            found[-1].file = rest
        elif word == "test":
            found[-1].engine, *found[-1].test = rest.split()
        elif line[:1] == "-":
            if not found[-1].hunks or found[-1].hunks[-1][1]:
                found[-1].hunks.append(["", ""])
            found[-1].hunks[-1][0] += line[1:] + "\n"
        elif line[:1] == "+":
            found[-1].hunks[-1][1] += line[1:] + "\n"
        elif line and line[0] != "#":
            raise Failed(f"{LIST}:{number}: cannot read '{line}'")
    return found


def plan_of(mutant):
    """The steps and tests of its engine that the mutant names."""
    name, *args = mutant.test
    plan = [item for item in read_expected(mutant.engine, {"all", "short"} | OWN)
            if isinstance(item, str) or item.name == name and set(args) <= set(item.args)]
    while plan and isinstance(plan[-1], str):
        plan.pop()
    if not any(isinstance(item, Test) for item in plan):
        raise Failed(f"{LIST}:{mutant.line}: tests/expected/{mutant.engine} has no line "
                     f"'{' '.join(mutant.test)}'")
    # A suite of its own is enough, and the others' modules would not be there.
    for item in plan:
        if isinstance(item, Test) and name.endswith("kvm_kunit_test") and args:
            item.args = args
    return plan


def failures(out, mutant):
    """What fails of MUTANT's plan on the machines of OUT/image."""
    plan = plan_of(mutant)
    machines, stopped = run_image(out, {mutant.engine: plan}, LIMIT)
    return reasons(mutant.engine, judge(mutant.engine, plan, machines[mutant.engine], stopped))


def without_mutants(tree, work, mutants, content):
    """What the mutants' tests do without them decides whether they can say anything."""
    print("mutants: the series, without any mutant", flush=True)
    if run_build(tree, work, FRAGMENTS)[0]:
        raise Failed(f"the series does not build, see {work}/log/build.log")
    for mutant in mutants:
        key = digest("control", content, mutant.engine, str(plan_of(mutant)))
        if has_passed(key):
            continue
        print(f"mutants: {' '.join(mutant.test)} has to pass without a mutant", flush=True)
        failed = failures(work, mutant)
        if failed:
            raise Failed(f"it fails: {failed[0]}")
        remember(key, [mutant.engine, *mutant.test])


def build(tree, work, mutant):
    """The folder of an image with MUTANT."""
    if not mutant.file.startswith(KVM):
        if run_build(tree, work, FRAGMENTS, "kernel")[0]:
            raise Failed(f"{LIST}:{mutant.line}: it does not build, see {work}/log/build.log")
        return work
    # As modules from outside, which takes seconds.
    out = work / "kvm"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    done = subprocess.run([ROOT / "scripts/build/kvm_modules.sh", work, tree, tree / KVM, out / "image"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise Failed(f"{LIST}:{mutant.line}: it does not build, see {out}/image.log")
    return out


def main(out, topic="", words=""):
    mutants = [m for m in read(LIST.read_text())
               if topic in ("", m.topic) and words in m.what]
    if not mutants:
        raise Failed(f"no mutant of topic '{topic}' with '{words}' in {LIST}")
    series = out / f"linux-{BASE}"
    work = out / "mutants"
    tree = worktree(series, work)
    git(tree, "checkout", "-q", "--force", "--detach", "series")
    # A mutant that is added leaves the others alone.
    content = passed.content(out, "mutants", own=False)
    keys = [digest("mutant", content, str(m), str(plan_of(m))) for m in mutants]
    unknown = [m for m, key in zip(mutants, keys) if not has_passed(key)]
    started = time.monotonic()
    if unknown:
        without_mutants(tree, work, unknown, content)
    missed = 0
    for number, (mutant, key) in enumerate(zip(mutants, keys), 1):
        begun = time.monotonic()
        if known := has_passed(key):
            said = f"noticed before: {known['what']}"
        else:
            mutant.apply(tree)
            failed = failures(build(tree, work, mutant), mutant)
            git(tree, "checkout", "-q", "--", mutant.file)
            said = failed[0].splitlines()[0] if failed else "NOT NOTICED"
            missed += not failed
            if failed:
                remember(key, said)
        print(f"mutants: [{number}/{len(mutants)}] {mutant.topic}: {mutant.what}: {said}, "
              f"{time.monotonic() - begun:.0f} s, {time.monotonic() - started:.0f} s in all",
              flush=True)
    print(f"mutants: logs in {work}/log, {work}/run and {work}/kvm")
    return print_total(len(mutants) - missed, missed)


if __name__ == "__main__":
    run_main("mutants", lambda: main(Path(sys.argv[1]).resolve(), *sys.argv[2:]))
