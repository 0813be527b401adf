# SPDX-License-Identifier: GPL-2.0-only
"""Run the listed selftests on the emulated machines and judge the outcome.

tests/expected/ENGINE is both the list of tests and the record of what each
does on the unpatched base.  The exit status is true only if every test did at
least as well and the kernel's log is clean.
With --base, machine ENGINE-base runs the tests of set "both" on the base.
"""
import argparse
import itertools
import signal
import sys
import time
from pathlib import Path

from scripts.common import BASE, Failed, MAIN, run_main
from scripts.machine import junit
from scripts.machine.again import repeated, second_plan
from scripts.machine.engines import ENGINES, PAIRS
from scripts.machine.judge import judge, reasons
from scripts.machine.plan import MAINLINE, OWN, SETS, Test, read_expected, select
from scripts.machine.table import count, print_table
from scripts.machine.watch import run_all
from scripts.results.total import print_total


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, help="bzImage, modules/, selftests/")
    parser.add_argument("--init", type=Path, help="PID 1")
    parser.add_argument("--base", type=Path, help="the same of the unpatched base")
    parser.add_argument("--guest", type=Path, help="bzImage and System.map of guests (default: --build)")
    parser.add_argument("--run-dir", type=Path, help="where the logs go")
    parser.add_argument("--check-options", action="store_true",
                        help="only check the options, before the kernel is built")
    parser.add_argument("--set", choices=[s for s in SETS if s not in ("base", "pair")], default="quick")
    parser.add_argument("--engine", default="", help="amd, amd-sev, tdx, intel, intel-smp (default: all)")
    parser.add_argument("--tests", default="", help="names or globs")
    parser.add_argument("--seed", help="for tests of the plan whose argument is SEED")
    parser.add_argument("--seconds", default="", help="for tests of the plan whose argument is SECONDS")
    parser.add_argument("--base-only", action="store_true", help="leave out the series' tests")
    parser.add_argument("--limit", type=float, default=1500, help="seconds per engine")
    parser.add_argument("--patience", type=float, default=1,
                        help="all limits times this, for a kernel that is slow")
    args = parser.parse_args()
    args.limit *= args.patience
    return args


def wanted_sets(args):
    sets = SETS["full"] | SETS[args.set] - {"short"} if args.tests else set(SETS[args.set])
    if args.base_only:
        sets -= OWN | {"short", "both"}
    if not args.base:
        sets.discard("deep")
    if BASE != MAIN and not args.tests and not args.base_only:
        sets -= MAINLINE
        print(f"run: BASE={BASE}: the series' own tests; what mainline's do is recorded for {MAIN}")
    return sets


def make_plans(args):
    """Machine -> plan."""
    engines = args.engine.replace(",", " ").split() or list(ENGINES)
    unknown = [e for e in engines if e not in ENGINES]
    if unknown:
        raise Failed(f"ENGINE={unknown[0]}: no such engine; there are: {' '.join(ENGINES)}")
    sets = wanted_sets(args)
    seed = args.seed or str(int(time.time()))
    if sets & {"fuzz", "soak"}:
        print(f"SEED={seed}", flush=True)
    plans = {e: read_expected(e, sets, seed, args.seconds or "1800") for e in engines}
    if args.base:
        plans |= {f"{e}-base": read_expected(e, SETS["base"]) for e in engines}
    # For two machines, when there are those for one.
    if "long" in sets:
        plans |= {machine: read_expected(e, SETS["pair"], side=side)
                  for e in engines for side, machine in enumerate(PAIRS.get(e, ()))}
    select(plans, args.tests.replace(",", " ").split())
    plans = {e: p for e, p in plans.items() if any(isinstance(i, Test) for i in p)}
    for item in itertools.chain(*plans.values()):
        if isinstance(item, Test):
            item.limit *= args.patience
    return plans


def run(plans, args):
    """The machines that have run PLANS, why some were stopped, and what ran again."""
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
    return machines, stopped, again


def main():
    args = options()
    plans = make_plans(args)
    if args.check_options:
        return 0
    if BASE != MAIN:
        plans = {e: [i for i in p if isinstance(i, str) or i.set_name not in MAINLINE
                     or (args.build / "selftests" / i.name).is_file()] for e, p in plans.items()}
    machines, stopped, again = run(plans, args)
    verdicts = {engine: judge(engine, plan, machines[engine], stopped, again.get(engine, ()))
                for engine, plan in plans.items()}
    print_table(list(plans), verdicts)
    for engine, rows in verdicts.items():
        for line in reasons(engine, rows):
            print(line)
    junit.write(args.run_dir / "junit.xml", verdicts)
    print(f"consoles and KTAP: {args.run_dir}/ENGINE/console, results; JUnit: "
          f"{args.run_dir}/junit.xml")
    # For the cover letter: make mail reads these lines.
    for engine, rows in verdicts.items():
        print("machine {}: {} pass, {} fail, {} skip".format(engine, *count(rows)))
    return print_total(*count([row for rows in verdicts.values() for row in rows]))


if __name__ == "__main__":
    run_main("run", main)
