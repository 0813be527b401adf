#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run the listed selftests on the emulated machines and judge the outcome.

tests/expected/ENGINE is both the list of tests and the record of what each
does on the unpatched base; see the head of those files.  The exit status is
true only if every test did at least as well and the kernel's log is clean.
No timing may decide a test, but some of mainline's let one: those that fail run
three times more, in machine ENGINE-again, which has nothing to run beside and
decides: they have to pass once.
With --base, machine ENGINE-base runs the tests of set "both" on the base.
"""
import argparse
import fnmatch
import functools
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from scripts.machine.engines import END_MARKER, ENGINES, Machine, pack
from scripts.common import BASE, Failed, MAIN, ROOT, run_main

EXPECTED = ROOT / "tests/expected"
# The sets of the tests that are not ours.
MAINLINE = {"quick", "full"}
TRIES_AGAIN = 3
# Those of ours that take minutes at most, on a kernel without checkers.
OWN = {"own", "boots", "nodebug"}
SETS = {"quick": {"all", "quick", "both", "transport"} | OWN,
        "full": {"all", "quick", "full", "both", "transport", "deep"} | OWN,
        "debug": {"all", "own", "debug"},
        "debug-full": {"all", "quick", "own", "boots", "faults", "debug"},
        "kcsan": {"all", "own", "boots"},
        "base": {"all", "both"},
        "fuzz": {"all", "fuzz"},
        "soak": {"all", "soak"},
        "transport": {"all", "transport"},
        "pinning": {"all", "pinning"}}
OUTCOMES = ("pass", "skip", "fail")
# What a kernel prints when something is wrong with it.
SPLAT = re.compile(r"WARNING: |BUG: |BUG at|Oops|KASAN|KCSAN:|UBSAN|INFO: (possible|task|rcu)"
                   r"|self-detected stall|detected stalls|general protection fault"
                   r"|unable to handle|Kernel panic|cut here|leaked|refcount_t")
# Files of the build, or of tests/expected, that a test looks for in the machine,
# besides its own program.  Those that are the kernel of a guest may be of another build,
# see --guest.
GUEST_KERNEL = {"bzImage", "System.map"}
NEEDS = {"x86/coco_exits_fuzz": {EXPECTED / "coco_exits.corpus": "tests/coco_exits.corpus"},
         "x86/coco_soak_test": {"bzImage": "boot/vmlinuz-{release}",
                                "System.map": "boot/System.map-{release}",
                                **{f"selftests/x86/{name}": f"tests/x86/{name}" for name in
                                   ("guest_init", "sev_guest_test", "guest_live_migration_test",
                                    "map_gpa_test", "coco_exits_fuzz")}},
         "x86/guest_boot_test": {"bzImage": "boot/vmlinuz-{release}",
                                 "System.map": "boot/System.map-{release}",
                                 "selftests/x86/guest_init": "tests/x86/guest_init"},
         "x86/guest_live_migration_test": {"bzImage": "boot/vmlinuz-{release}",
                                           "selftests/x86/guest_init": "tests/x86/guest_init"},
         "x86/guest_migration_test": {"bzImage": "boot/vmlinuz-{release}",
                                      "selftests/x86/guest_init": "tests/x86/guest_init"},
         "x86/sev_guest_migration_test": {"bzImage": "boot/vmlinuz-{release}",
                                          "selftests/x86/guest_init": "tests/x86/guest_init"},
         "x86/sev_guest_test": {"bzImage": "boot/vmlinuz-{release}",
                                "System.map": "boot/System.map-{release}",
                                     "selftests/x86/guest_init": "tests/x86/guest_init"},
         "x86/guest_virtio_test": {"bzImage": "boot/vmlinuz-{release}",
                                   "selftests/x86/guest_init": "tests/x86/guest_init"},
         "x86/tdvmcall_test": {EXPECTED / "tdx_exits": "tests/tdx_exits"},
         "x86/vmx_feature_msrs_test": {EXPECTED / "intel.msrs": "tests/intel.msrs"}}
RESULT = re.compile(rb"^(ok|not ok) (\d+) selftests: kvm: (\S+)(?: # (.*))?$")


class Test:
    def __init__(self, set_name, name, limit, expect, args, reason):
        self.set_name, self.name, self.limit, self.expect = set_name, name, limit, expect
        self.args, self.reason = args, reason


def read_expected(engine, wanted_sets, seed="1", seconds="1800"):
    """The plan of one engine: Test objects and verbatim lines for PID 1.

    The arguments SEED and SECONDS stand for those of this run."""
    path = EXPECTED / engine
    plan = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        body, _, reason = line.partition("#")
        words = body.split()
        if not words:
            continue
        try:
            if words[1] == "plan":
                item = " ".join(words[2:])
            else:
                if words[2] not in OUTCOMES:
                    raise ValueError(words[2])
                args = [{"SEED": seed, "SECONDS": seconds}.get(word, word) for word in words[4:]]
                item = Test(words[0], words[3], float(words[1]), words[2], args, reason.strip())
        except (IndexError, ValueError) as error:
            raise Failed(f"{path}:{number}: cannot read '{line}' ({error})") from error
        if words[0] in wanted_sets:
            plan.append(item)
    return plan


def select(plans, patterns):
    """Keep the tests that TESTS= names, whatever set they are in."""
    if not patterns:
        return
    for pattern in patterns:
        if not any(isinstance(item, Test) and matches(item.name, [pattern])
                   for plan in plans.values() for item in plan):
            known = sorted({item.name for plan in plans.values()
                            for item in plan if isinstance(item, Test)})
            raise Failed(f"TESTS={pattern}: no such test; known: {' '.join(known)}")
    for engine, plan in plans.items():
        kept = [item for item in plan if isinstance(item, str) or matches(item.name, patterns)]
        while kept and isinstance(kept[-1], str):
            kept.pop()
        plans[engine] = kept


def matches(name, patterns):
    return any(fnmatch.fnmatch(name, p) or fnmatch.fnmatch(Path(name).name, p)
               for p in patterns)


def load_order(modules, name, loaded):
    """The modules that NAME needs and NAME itself, without those already loaded."""
    path = modules / f"{name}.ko"
    if not path.is_file():
        raise Failed(f"module {name} is in tests/expected but was not built: {path}")
    depends = subprocess.run(["modinfo", "-F", "depends", path], capture_output=True,
                             text=True, check=True).stdout.strip()
    order = []
    for other in filter(None, depends.split(",")):
        file = other if (modules / f"{other}.ko").is_file() else other.replace("_", "-")
        order += load_order(modules, file, loaded)
    if name not in loaded:
        loaded.add(name)
        order.append(name)
    return order


@functools.cache
def kernel_release(build):
    """What uname -r will say: the modules have it in plain text."""
    module = next((build / "modules").glob("*.ko"))
    return subprocess.run(["modinfo", "-F", "vermagic", module], capture_output=True,
                          text=True, check=True).stdout.split()[0]


def link(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        same = source.stat().st_dev == target.parent.stat().st_dev
        (os.link if same else shutil.copy)(source, target)


def make_initrd(run_dir, plan, kernel, build, init, base, guest=None):
    """PID 1, the plan, KERNEL's modules and only those tests that the plan runs."""
    root = run_dir / "root"
    for name in ("dev", "proc", "sys", "tmp", "tests", "modules", "bin"):
        (root / name).mkdir(parents=True)
    shutil.copy(init, root / "init")
    for module in (kernel / "modules").iterdir():
        os.link(module, root / "modules" / module.name)
    lines, loaded = [], set()
    for item in plan:
        if isinstance(item, str):
            verb, name = (item.split() + [""])[:2]
            if verb == "unload":
                loaded.discard(name.replace("_", "-"))
            if verb == "module":
                lines += [f"module {m}" for m in load_order(kernel / "modules", name, loaded)[:-1]]
            lines.append(item)
            continue
        binary = build / "selftests" / item.name
        if not binary.is_file():
            raise Failed(f"{item.name} is listed in tests/expected but was not built: {binary}")
        link(binary, root / "tests" / item.name)
        for source, name in NEEDS.get(item.name, {}).items():
            link((guest or build if source in GUEST_KERNEL else build) / source,
                 root / name.format(release=kernel_release(build)))
        lines.append(" ".join(["test", f"{item.limit:g}", item.name, *item.args]))
    for name in ("bzImage", "System.map") if base else ():
        link(base / name, root / "boot/base" / name)
    (root / "plan").write_text("\n".join(lines) + "\n")
    pack(root, run_dir / "initrd")
    shutil.rmtree(root)
    return run_dir / "initrd"


def parse(raw):
    """name -> [(outcome, detail, seconds)], in the order of the run."""
    results, seconds, note = {}, 0.0, ""
    for line in raw.split(b"\n"):
        line = line.rstrip(b"\r")
        found = RESULT.match(line)
        if found:
            name, detail = found[3].decode(), (found[4] or b"").decode()
            outcome = "pass" if found[1] == b"ok" else "fail"
            if detail.startswith("SKIP"):
                outcome, detail = "skip", note
            results.setdefault(name, []).append((outcome, detail, seconds))
            note = ""
        elif line.startswith(b"# seconds "):
            seconds = float(line.split()[2])
        elif b"# SKIP" in line:
            note = line.decode(errors="replace").split("# SKIP")[-1].strip(" -")
    return results


def splats(console, engine):
    allowed = []
    exceptions = EXPECTED / f"{engine.split('-')[0]}.dmesg"
    if exceptions.exists():
        allowed = [re.compile(line) for line in exceptions.read_text().splitlines()
                   if line and not line.startswith("#")]
    bad = []
    lines = console.decode(errors="replace").splitlines()
    for index, line in enumerate(lines):
        if not SPLAT.search(line):
            continue
        # "cut here" says nothing itself: judge it by the line that follows.
        if "cut here" in line and index + 1 < len(lines):
            line = lines[index + 1]
        if not any(pattern.search(line) for pattern in allowed):
            bad.append(line.strip())
    return bad


def boot(name, plan, args):
    run_dir = args.run_dir / name
    shutil.rmtree(run_dir, ignore_errors=True)
    run_dir.mkdir(parents=True)
    engine = name.removesuffix("-base").removesuffix("-again")
    kernel = args.base if name.endswith("-base") else args.build
    initrd = make_initrd(run_dir, plan, kernel, args.build, args.init, args.base, args.guest)
    return Machine(run_dir, ENGINES[engine](run_dir, kernel / "bzImage", initrd))


def run_all(plans, args, machines):
    """Boot MACHINES, as many at once as there are CPUs, and watch them.

    Returns name -> why it was stopped early."""
    stopped, last, started = {}, 0.0, time.monotonic()
    totals = {e: sum(isinstance(i, Test) for i in p) for e, p in plans.items()}
    waiting, running = list(plans), {}
    while waiting or running:
        while waiting and len(running) < max(2, os.cpu_count() or 2):
            name = waiting.pop(0)
            running[name] = machines[name] = boot(name, plans[name], args)
        time.sleep(0.2)
        for engine, machine in list(running.items()):
            if machine.ended():
                machine.kill()
                del running[engine]
            elif machine.elapsed() > args.limit:
                stopped[engine] = f"no end of plan after {args.limit:.0f} s"
                machine.kill()
                del running[engine]
        state = "  ".join(f"{e} {len(re.findall(rb'^(?:not )?ok ', m.results(), re.M))}"
                          f"/{totals[e]}" for e, m in machines.items() if e in plans)
        elapsed = time.monotonic() - started
        if sys.stdout.isatty():
            print(f"\r  {state}  {elapsed:.0f} s ", end="", flush=True)
        elif elapsed - last >= 30 or not (waiting or running):
            last = elapsed
            print(f"  {state}  {elapsed:.0f} s", flush=True)
    if sys.stdout.isatty():
        print()
    return stopped


def outcomes(plan, results, tries=1):
    """Each test of PLAN and its outcome, detail and seconds, taken out of RESULTS.

    Of its TRIES the first that passed counts, or else the first."""
    for item in plan:
        if isinstance(item, Test):
            runs = results.get(item.name, [])
            tried = runs[:tries] or [("fail", "no result", 0.0)]
            del runs[:tries]
            yield item, *max(tried, key=lambda run: run[0] == "pass")


def second_plan(plan, raw):
    """Mainline's tests that did not pass and what PLAN does before them.

    Nothing if PLAN did not end, which fails whatever they would do."""
    if END_MARKER not in raw:
        return []
    again = [item for item, outcome, _, _ in outcomes(plan, parse(raw))
             if item.set_name in MAINLINE and item.expect == "pass" and outcome != "pass"]
    last = plan.index(again[-1]) + 1 if again else 0
    return [item for item in plan[:last] if isinstance(item, str) or item in again]


def repeated(plan):
    """PLAN with each test as often as it is tried in a second machine."""
    return [item for step in plan
            for item in ([step] if isinstance(step, str) else [step] * TRIES_AGAIN)]


def judge(engine, plan, machine, stopped, again=()):
    """Rows for the table: (test, verdict, seconds), and lines that explain.

    The tests AGAIN have run again, in another machine."""
    rows, why = [], []
    raw = machine.results()
    results = parse(raw)
    tries = TRIES_AGAIN if engine.endswith("-again") else 1
    for item, outcome, detail, seconds in outcomes(plan, results, tries):
        if outcome == "skip" and item.expect == "skip":
            verdict = "skip"
        elif outcome == "pass":
            verdict = "pass" if item.expect == "pass" else "PASS"
        elif item.expect == "fail":
            verdict = "known"
        elif item in again:
            verdict = "2nd"
            why.append(f"{engine}: {item.name}: {outcome} {detail}, see {machine.run_dir}/results;"
                       f" what counts is {engine}-again")
        else:
            verdict = "FAIL"
            why.append(f"{engine}: {item.name}: {outcome} {detail}, the base: {item.expect}")
        rows.append((item.name, verdict, seconds))
    for name, runs in results.items():
        for outcome, detail, seconds in runs:
            verdict = "pass" if outcome == "pass" else "FAIL"
            rows.append((name, verdict, seconds))
            if verdict == "FAIL":
                why.append(f"{engine}: {name}: {detail}")
    console = (machine.run_dir / "console").read_bytes()
    for line in splats(console, engine):
        rows.append(("kernel log", "FAIL", 0.0))
        why.append(f"{engine}: the kernel's log: {line}")
    if END_MARKER not in raw:
        reason = stopped.get(engine, "the engine ended before the plan did")
        rows.append(("end of plan", "FAIL", machine.elapsed()))
        why.append(f"{engine}: {reason}; the last lines of its console:")
        why += ["    " + line for line in
                console.decode(errors="replace").splitlines()[-40:]]
    return rows, why


def print_table(engines, verdicts):
    names = list(dict.fromkeys(n for rows in verdicts.values() for n, _, _ in rows))
    width = {e: max(8, len(e) + 2) for e in engines}
    print(f"{'test':<48}" + "".join(f"{e:>{width[e]}}{'s':>8}" for e in engines))
    for name in names:
        cells = ""
        for engine in engines:
            hits = [(v, s) for n, v, s in verdicts[engine] if n == name]
            if not hits:
                cells += f"{'-':>{width[engine]}}{'':>8}"
                continue
            worst = next((v for v, _ in hits if v == "FAIL"), hits[0][0])
            cells += f"{worst:>{width[engine]}}{sum(s for _, s in hits):>8.1f}"
        print(f"{name:<48}{cells}".rstrip())


def count(rows):
    """How many passed, failed and were skipped; a first run of two counts nowhere."""
    every = [v for _, v, _ in rows if v != "2nd"]
    failed = every.count("FAIL")
    passed = sum(v.lower() == "pass" for v in every)
    return passed, failed, len(every) - passed - failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, help="bzImage, modules/, selftests/")
    parser.add_argument("--init", type=Path, help="PID 1")
    parser.add_argument("--base", type=Path, help="the same of the unpatched base")
    parser.add_argument("--guest", type=Path, help="bzImage and System.map of guests (default: --build)")
    parser.add_argument("--run-dir", type=Path, help="where the logs go")
    parser.add_argument("--check-options", action="store_true",
                        help="only check the options, before the kernel is built")
    parser.add_argument("--set", choices=[s for s in SETS if s != "base"], default="quick")
    parser.add_argument("--engine", default="", help="amd, intel, intel-smp (default: all)")
    parser.add_argument("--tests", default="", help="names or globs")
    parser.add_argument("--seed", help="for tests of the plan whose argument is SEED")
    parser.add_argument("--seconds", default="", help="for tests of the plan whose argument is SECONDS")
    parser.add_argument("--base-only", action="store_true", help="leave out the series' tests")
    parser.add_argument("--limit", type=float, default=1500, help="seconds per engine")
    parser.add_argument("--patience", type=float, default=1,
                        help="all limits times this, for a kernel that is slow")
    args = parser.parse_args()

    engines = args.engine.replace(",", " ").split() or list(ENGINES)
    unknown = [e for e in engines if e not in ENGINES]
    if unknown:
        raise Failed(f"ENGINE={unknown[0]}: no such engine; there are: {' '.join(ENGINES)}")
    sets = SETS["full"] | SETS[args.set] if args.tests else set(SETS[args.set])
    if args.base_only:
        sets -= OWN | {"both", "transport"}
    if not args.base:
        sets.discard("deep")
    if BASE != MAIN and not args.tests and not args.base_only:
        sets -= MAINLINE
        print(f"run: BASE={BASE}: the series' own tests; what mainline's do is recorded for {MAIN}")
    seed = args.seed or str(int(time.time()))
    if sets & {"fuzz", "soak"}:
        print(f"SEED={seed}", flush=True)
    plans = {e: read_expected(e, sets, seed, args.seconds or "1800") for e in engines}
    if args.base:
        plans |= {f"{e}-base": read_expected(e, SETS["base"]) for e in engines}
    select(plans, args.tests.replace(",", " ").split())
    plans = {e: p for e, p in plans.items() if any(isinstance(i, Test) for i in p)}
    args.limit *= args.patience
    for item in itertools.chain(*plans.values()):
        if isinstance(item, Test):
            item.limit *= args.patience
    if args.check_options:
        return 0
    if BASE != MAIN:
        plans = {e: [i for i in p if isinstance(i, str) or i.set_name not in MAINLINE
                     or (args.build / "selftests" / i.name).is_file()] for e, p in plans.items()}

    machines, again = {}, {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        stopped = run_all(plans, args, machines)
        for engine, plan in list(plans.items()):
            again[engine] = second_plan(plan, machines[engine].results())
            if again[engine]:
                plans[f"{engine}-again"] = again[engine]
                stopped |= run_all({f"{engine}-again": repeated(again[engine])}, args, machines)
    finally:
        for machine in machines.values():
            machine.kill()

    verdicts, reasons = {}, []
    for engine, plan in plans.items():
        verdicts[engine], why = judge(engine, plan, machines[engine], stopped,
                                      again.get(engine, ()))
        reasons += why
    print_table(list(plans), verdicts)
    for line in reasons:
        print(line)
    print(f"consoles and KTAP: {args.run_dir}/ENGINE/console, results")
    # For the cover letter: make mail reads these lines.
    for engine, rows in verdicts.items():
        print("machine {}: {} pass, {} fail, {} skip".format(engine, *count(rows)))
    passed, failed, skipped = count([row for rows in verdicts.values() for row in rows])
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    run_main("run", main)
