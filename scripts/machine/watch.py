# SPDX-License-Identifier: GPL-2.0-only
"""Boots machines, as many at once as there are CPUs, and watches them to their end."""
import argparse
import os
import shutil
import sys
import time

from scripts.machine.engines import command_line, together
from scripts.machine.initrd import make_initrd
from scripts.machine.ktap import tests_done
from scripts.machine.machine import Machine
from scripts.machine.plan import Test


def boot(name, plan, args):
    run_dir = args.run_dir / name
    shutil.rmtree(run_dir, ignore_errors=True)
    run_dir.mkdir(parents=True)
    kernel = args.base if name.endswith("-base") else args.build
    initrd = make_initrd(run_dir, plan, kernel, args.build, args.init, args.base, args.guest)
    return Machine(run_dir, command_line(name, run_dir, kernel / "bzImage", initrd))


def run_all(plans, args, machines):
    """Boot MACHINES, as many at once as there are CPUs, and watch them.

    Returns name -> why it was stopped early."""
    stopped, last, started = {}, 0.0, time.monotonic()
    # The search for leaks is reported like a test.
    totals = {e: sum(isinstance(i, Test) or i == "leaks" for i in p) for e, p in plans.items()}
    # The most tests first, so that no CPU waits for the last machine.
    waiting = sorted(together(plans), key=lambda names: -totals[names[0]])
    running: dict[str, Machine] = {}
    while waiting or running:
        while waiting and len(running) + len(waiting[0]) <= max(2, os.cpu_count() or 2):
            for name in waiting.pop(0):
                running[name] = machines[name] = boot(name, plans[name], args)
        time.sleep(0.2)
        for engine, machine in list(running.items()):
            if machine.ended():
                machine.kill()
                del running[engine]
            elif machine.is_over(args.limit):
                stopped[engine] = (f"no end of plan after {args.limit:.0f} s; "
                                   f"it got {machine.got():.0f} s of {machine.elapsed():.0f}")
                machine.kill()
                del running[engine]
        state = "  ".join(f"{e} {tests_done(m.results())}/{totals[e]}"
                          for e, m in machines.items() if e in plans)
        elapsed = time.monotonic() - started
        if sys.stdout.isatty():
            print(f"\r  {state}  {elapsed:.0f} s ", end="", flush=True)
        elif elapsed - last >= 30 or not (waiting or running):
            last = elapsed
            print(f"  {state}  {elapsed:.0f} s", flush=True)
    if sys.stdout.isatty():
        print()
    return stopped


def run_image(out, plans, limit):
    """The machines of OUT/image that have carried out PLANS, and why some were stopped."""
    args = argparse.Namespace(build=out / "image", init=out / "image/init", base=None, guest=None,
                              run_dir=out / "run", limit=limit)
    machines = {}
    try:
        stopped = run_all(plans, args, machines)
    finally:
        for machine in machines.values():
            machine.kill()
    return machines, stopped
