# SPDX-License-Identifier: GPL-2.0-only
"""check.py OUT [FIRST-LAST] [TOPIC]: every commit of the series builds, boots and passes.

A commit is built without a warning and booted on engine amd, where the series' tests
run that exist by then, and on engine tdx once there are tests of TDs.  Those that take
minutes run with the last commit of a topic and with the commits that touch their program.
What has passed is kept in the cache, by content: a commit whose tree has passed is
skipped, and of the others only those tests run that have not passed with the same kernel
and program.  So an interrupted run goes on where it was.
"""
import re
import sys
import time
from pathlib import Path

from scripts.machine.initrd import source
from scripts.machine.judge import judge, reasons
from scripts.machine.plan import OWN, read_expected
from scripts.machine.watch import run_image
from scripts.results.passed import PASSED, digest, has_passed, remember
from scripts.results.total import print_total
from scripts.common import BASE, Failed, git, run_main, ROOT, worktree
from scripts.series import patches, topics
from tests.bisect.build import FRAGMENTS, build, fragments

# Those that run with every commit.
EACH = ({"all", "short"} | OWN) - {"boots", "long"}
# The engines, and what each never loads.
ENGINES = {"amd": "kvm-intel.ko", "tdx": "kvm-amd.ko"}


def wanted(engine, ends_topic, touched):
    """The plan of a commit that changes the files TOUCHED."""
    if ends_topic:
        return read_expected(engine, {"all"} | OWN)
    return [item for item in read_expected(engine, EACH | OWN)
            if isinstance(item, str) or item.set_name in EACH
            or f"tools/testing/selftests/kvm/{item.name}.c" in touched]


def knows_options(item, tests):
    """Whether ITEM's program, of the selftests in TESTS, has all options of the line by now."""
    source = tests / f"{item.name}.c"
    if not source.is_file() or "struct linux_guest_option " not in source.read_text():
        return True
    text = source.read_text() + (tests / "lib/x86/linux_guest_options.c").read_text()
    return all(f"'{arg[1]}'" in text for arg in item.args if re.fullmatch("-[a-zA-Z]", arg))


def without_modules(args, names, tests, program):
    """ARGS with those options -m only that PROGRAM can take: modules of NAMES, and so many."""
    text = tests / f"{program}.c"
    most = re.search(r"\.max_modules = (\d+),", text.read_text() if text.is_file() else "")
    kept = []
    for before, arg in zip(["", *args], args):
        if before == "-m" and (Path(arg).stem not in names or
                               most and kept.count("-m") > int(most[1])):
            kept.pop()
        else:
            kept.append(arg)
    return kept


def available(plan, image, tests):
    """PLAN without the programs, options and modules that come with later commits."""
    modules = {file.stem: file for file in (image / "modules").iterdir()}
    # "kvm_hypercall", say, stands in other modules too.
    suites = b"".join(file.read_bytes() for name, file in modules.items()
                      if name.endswith("_test"))
    kept = []
    for item in plan:
        words = (item.split() if isinstance(item, str) else [])
        if words and words[0] in ("module", "unload"):
            if words[1].replace("_", "-") in {name.replace("_", "-") for name in modules}:
                kept.append(item)
        elif words:
            kept.append(item)
        elif (image / "selftests" / item.name).is_file() and knows_options(item, tests):
            if item.name == "x86/kvm_kunit_test":
                item.args = [a for a in item.args if a.encode() in suites]
            item.args = without_modules(item.args, modules, tests, item.name)
            if item.args or item.name != "x86/kvm_kunit_test":
                kept.append(item)
    return kept


def unknown(out, engine, items):
    """(plan, {key: test}, key of the boot, how many tests are left out as they have passed)"""
    image = out / "image"
    modules = [f for f in sorted((image / "modules").iterdir()) if f.name != ENGINES[engine]]
    kernel = digest(*[f.read_bytes() for f in [image / "bzImage", *modules]])
    plan, keys, known = [], {}, 0
    tests = out / f"linux-{BASE}/tools/testing/selftests/kvm"
    for item in available(items, image, tests):
        if not isinstance(item, str):
            needs = [source(file, image) for file in item.files]
            key = digest("test", kernel, " ".join(item.args), (image / "init").read_bytes(),
                         *[f.read_bytes() for f in [image / "selftests" / item.name, *needs]])
            if has_passed(key):
                known += 1
                continue
            keys[key] = item.name
        plan.append(item)
    return plan, keys, digest("boot", kernel), known


def test(out, commit, items):
    """(how many tests ran, how many had passed before, what failed); ITEMS: engine -> plan"""
    plans, keys, boots, all_known = {}, {}, {}, 0
    for engine in items:
        plan, keys[engine], boots[engine], known = unknown(out, engine, items[engine])
        all_known += known
        if keys[engine] or engine == "amd" and not has_passed(boots[engine]):
            plans[engine] = plan
    machines, stopped = run_image(out, plans, 1800) if plans else ({}, {})
    why = []
    for engine, plan in plans.items():
        rows = judge(engine, plan, machines[engine], stopped)
        failed = [row.name for row in rows if row.verdict == "FAILED"]
        # These belong to no test: nothing is known to have passed.
        if not {"kernel log", "clock", "end of plan", "KTAP"} & set(failed):
            for key, name in keys[engine].items():
                if name not in failed:
                    remember(key, [name, commit])
        if not failed:
            remember(boots[engine], commit)
        why += reasons(engine, rows)
    return sum(len(keys[engine]) for engine in plans), all_known, why


def chosen(which, topic, last):
    """The first and the last of LAST commits that COMMITS= and TOPIC= leave."""
    first = 1
    if topic:
        known = topics.read()
        topics.check_name(known, topic)
        of_topic = [patch.topic for patch in patches.load()]
        first = of_topic.index(topic) + 1
        last = first + of_topic.count(topic) - 1
    if not which:
        return first, last
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", which)
    if not found or not first <= int(found[1]) <= int(found[2] or found[1]) <= last:
        raise Failed(f"COMMITS={which}: give N or FIRST-LAST, of {first}-{last}")
    return int(found[1]), int(found[2] or found[1])


def main(out, which="", topic=""):
    series = out / f"linux-{BASE}"
    commits = git(series, "rev-list", "--reverse", "base..series").split()
    first, last = chosen(which, topic, len(commits))
    names = [patch.topic for patch in patches.load()]
    ends = {i for i in range(1, len(names) + 1) if names[i - 1] not in names[i:]}
    work = out / "bisect"
    tree = worktree(series, work)
    rules = [f.read_bytes() for f in (*FRAGMENTS,
                                      *[ROOT / "tests/expected" / engine for engine in ENGINES],
                                      *sorted((ROOT / "scripts/machine/boot").iterdir()), *(
        ROOT / "scripts/build" / name for name in ("build.sh", "config.py", "kmake.sh", "cc.sh")))]
    bad, started = 0, time.monotonic()
    for number, commit in enumerate(commits[first - 1:last], first):
        begun = time.monotonic()
        subject = git(series, "log", "-1", "--format=%s", commit).strip()
        key = digest("commit", git(series, "rev-parse", f"{commit}^{{tree}}"), *rules)
        if has_passed(key):
            said = "passed before"
        else:
            git(tree, "checkout", "-q", "--detach", commit)
            said, why = build(tree, work, fragments(tree, work)), []
            if said:
                said, why = f"DOES NOT BUILD: {said}", [said]
            else:
                touched = git(series, "diff", "--name-only", f"{commit}~1", commit).split()
                ran, known, why = test(work, commit, {
                    engine: wanted(engine, number in ends, touched) for engine in ENGINES})
                said = f"{ran} tests, {known} known" + (f", FAILED: {why[0]}" if why else "")
            bad += bool(why)
            if not why:
                remember(key, [subject, said])
        print(f"bisect: [{number}/{len(commits)}] {subject}: {said}, "
              f"{time.monotonic() - begun:.0f} s, {time.monotonic() - started:.0f} s in all",
              flush=True)
    print(f"bisect: logs in {work}/log, {work}/run; what has passed is in {PASSED}")
    return print_total(last - first + 1 - bad, bad)


if __name__ == "__main__":
    run_main("bisect", lambda: main(Path(sys.argv[1]).resolve(), *sys.argv[2:]))
