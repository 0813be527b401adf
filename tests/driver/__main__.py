# SPDX-License-Identifier: GPL-2.0-only
"""python3 -m tests.driver [CLASS...]: the driver's own tests.

They run copies of the scripts on a small make-believe kernel, with a cache of
their own, no network and a moment's time; the real kernel is make check's job.
"""
import concurrent.futures
import importlib
import io
import os
import sys
import unittest
from pathlib import Path

# These wait the longest.
FIRST = ("Check", "Engine", "Mail", "OnlyOnce")


def classes():
    """MODULE.CLASS of all tests."""
    found = []
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"tests.driver.{file.stem}")
        found += [f"{module.__name__}.{name}" for name, what in vars(module).items()
                  if isinstance(what, type) and issubclass(what, unittest.TestCase)
                  and what.__module__ == module.__name__]
    return sorted(found, key=lambda name: name.rpartition(".")[2] not in FIRST)


def run_class(name):
    """(what it said, tests, failures, skipped)"""
    said = io.StringIO()
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    outcome = unittest.TextTestRunner(verbosity=2, stream=said).run(suite)
    return (said.getvalue(), outcome.testsRun, len(outcome.failures) + len(outcome.errors),
            len(outcome.skipped))


def main(wanted):
    """All classes, as many at once as there are CPUs."""
    names = [name for name in classes() if not wanted or name.rpartition(".")[2] in wanted]
    total = [0, 0, 0]
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        for said, *counts in pool.map(run_class, names):
            print(said, end="", flush=True)
            total = [a + b for a, b in zip(total, counts)]
    print(f"{total[0] - total[1] - total[2]} passed, {total[1]} failed, {total[2]} skipped")
    return 0 if total[0] and not total[1] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
