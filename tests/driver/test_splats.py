# SPDX-License-Identifier: GPL-2.0-only
"""What counts as a complaint of the kernel.

Each file of splats/ is a kernel's log.  A line that starts with "!" has to be found, as
often as it has of these; "# engine: NAME" says whose exceptions hold.
"""
import re
import subprocess
import unittest
from pathlib import Path

from scripts.machine.splats import patterns, splats

CASES = sorted(Path(__file__).with_name("splats").glob("*.dmesg"))


def read(case):
    """(engine, [(how often it is found, line)])"""
    text = case.read_text()
    engine = re.search(r"^# engine: (\S+)$", text, re.M)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return engine[1] if engine else "amd", [(line[:2].count("!"), line[2:]) for line in lines]


class Splats(unittest.TestCase):
    def test_each_case(self):
        self.assertGreater(len(CASES), 5)
        for case in CASES:
            engine, lines = read(case)
            want = [line for count, line in lines for _ in range(count)]
            found = splats("\n".join(line for _, line in lines).encode(), engine)
            self.assertEqual(found, want, case.name)

    def test_every_pattern_has_a_case(self):
        lines = [line for case in CASES for _, line in read(case)[1]]
        for pattern in patterns():
            self.assertTrue(any(re.search(pattern, line) for line in lines), pattern)

    def test_an_extended_regular_expression_means_the_same(self):
        lines = [line for case in CASES for _, line in read(case)[1]]
        for pattern in patterns():
            found = subprocess.run(["grep", "-E", "-e", pattern], input="\n".join(lines), text=True,
                                   stdout=subprocess.PIPE, check=True).stdout.splitlines()
            self.assertEqual(found, [line for line in lines if re.search(pattern, line)], pattern)
