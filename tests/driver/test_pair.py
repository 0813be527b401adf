# SPDX-License-Identifier: GPL-2.0-only
"""Two machines with a line between them."""
import os
import unittest
import unittest.mock
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.machine.engines import command_line, together
from scripts.machine.plan import SETS, Test, read_expected
from scripts.machine.watch import run_all


class Machine:
    """One of a pair ends when both have been started."""
    started: set = set()

    def __init__(self, name):
        self.name = name
        self.started.add(name)

    def ended(self):
        return self.name == "amd" or {"amd-sev-0", "amd-sev-1"} <= self.started

    def is_over(self, _):
        return True

    def got(self):
        return 0

    elapsed = got

    def kill(self):
        pass

    def results(self):
        return b""


class Pair(unittest.TestCase):
    def test_they_belong_together(self):
        self.assertEqual(together(["amd", "amd-sev-0", "amd-sev-1", "intel", "amd-again"]),
                         [["amd"], ["amd-sev-0", "amd-sev-1"], ["intel"], ["amd-again"]])
        self.assertEqual(together(["amd-sev-0"]), [["amd-sev-0"]])

    def test_neither_waits_for_another_machine(self):
        with (unittest.mock.patch("scripts.machine.watch.boot", lambda name, *_: Machine(name)),
              unittest.mock.patch("builtins.print"),
              unittest.mock.patch("scripts.machine.watch.time.sleep"),
              unittest.mock.patch.object(os, "cpu_count", lambda: 2)):
            stopped = run_all({"amd": [], "amd-sev-0": [], "amd-sev-1": []},
                              unittest.mock.Mock(limit=1), {})
        self.assertEqual(stopped, {})

    def test_each_knows_its_side(self):
        for side in ("0", "1"):
            tests = [item for item in read_expected("amd-sev", SETS["pair"], side=side)
                     if isinstance(item, Test)]
            self.assertTrue(tests)
            for test in tests:
                self.assertEqual(test.args[test.args.index("-l") + 1], side)

    def test_each_has_an_identity_and_both_one_line(self):
        with (TemporaryDirectory() as temp,
              unittest.mock.patch("scripts.machine.qemu.need"),
              unittest.mock.patch("scripts.machine.qemu.host_khz", lambda: 2000000)):
            line = Path(temp) / "line"
            line.write_text("of an earlier run")
            words = [command_line(f"amd-sev-{side}", Path(temp) / f"amd-sev-{side}", "bzImage", "initrd")
                     for side in (0, 1)]
            self.assertFalse(line.exists())
        for side in (0, 1):
            self.assertIn(f"amd-psp,seed=host-{side},api-minor={55 - side}", words[side])
            self.assertNotIn("amd-psp", words[side])
            self.assertTrue(any(f"mem-path={line}," in word for word in words[side]))
