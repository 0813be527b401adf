# SPDX-License-Identifier: GPL-2.0-only
"""make bench: the table and the picture."""
import tempfile
import unittest
import unittest.mock
import xml.etree.ElementTree
from pathlib import Path

from scripts.bench import machines
from scripts.bench import picture as bench_picture
from scripts.bench import rows as bench_rows
from scripts.common import Failed
from scripts.machine.bochs import bochs


class Bench(unittest.TestCase):
    def setUp(self):
        self.numbers = {name: [1000.0] * 5 for _, rows in bench_rows.GROUPS
                        for row in rows for name in (row.base, row.ours)}

    def found(self, what):
        return next(found for _, rows in bench_rows.results(self.numbers) for found in rows
                    if found.row.what == what)

    def test_one_slow_round_changes_nothing(self):
        self.numbers["ours-tdx:tdx_map"] = [1000.0] * 9 + [50000.0]
        found = self.found("per exit, not opted in")
        self.assertEqual((found.ratio, found.spread, found.missed), (1, 0, False))

    def test_what_is_slower_is_named_in_table_and_picture(self):
        self.numbers["ours-tdx:tdx_quote_own"] = [1100.0] * 5
        self.assertTrue(self.found("GetQuote, opted in").missed)
        groups = bench_rows.results(self.numbers)
        table = bench_rows.table(groups, "instructions")
        self.assertRegex(table, "GetQuote, opted in +1000 +1100  1.1000.* missed\n")
        self.assertTrue(table.isascii())
        picture = xml.etree.ElementTree.fromstring(bench_picture.svg(groups, "instructions"))
        texts = "\n".join(picture.itertext())
        self.assertIn("1.1000, goal 1.035, missed", texts)
        for _, rows in groups:
            for found in rows:
                self.assertIn(found.row.what, texts)

    def test_load_does_not_decide_about_wall_time(self):
        self.numbers["boot-base:base_boot"] = [100.0] * 9 + [900.0]
        for others, missed, busy in (([105.0] * 9 + [945.0], False, False),
                                     ([120.0] * 10, True, False),
                                     ([500.0, 120.0, 400.0], False, True)):
            self.numbers["boot-ours:base_boot"] = others
            found = next(found for title, rows in bench_rows.results(self.numbers)
                         if title == bench_rows.WALL for found in rows)
            self.assertEqual((found.ours, found.missed, found.busy),
                             (min(others), missed, busy))

    def test_what_was_not_measured_is_no_number(self):
        del self.numbers["ours-tdx:tdx_map"]
        with self.assertRaisesRegex(Failed, "ours-tdx:tdx_map was not measured"):
            bench_rows.results(self.numbers)

    def test_hardware_takes_the_place_of_its_engine(self):
        with tempfile.TemporaryDirectory() as name:
            cpuinfo, device = Path(name) / "cpuinfo", Path(name) / "kvm"
            cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu svm npt\n")
            self.assertIsNone(machines.hardware(cpuinfo, device))
            device.write_text("")
            self.assertEqual(machines.hardware(cpuinfo, device), "amd")
            cpuinfo.write_text("flags\t: fpu vmx\nvmx flags\t: vnmi\n")
            self.assertEqual(machines.hardware(cpuinfo, device), "intel")
            cpuinfo.write_text("flags\t: fpu nosvm\n")
            self.assertIsNone(machines.hardware(cpuinfo, device))
        files = Path("/run_dir"), Path("/bzImage"), Path("/initrd")
        with unittest.mock.patch("scripts.machine.qemu.need"):
            for engine in ("amd", "intel"):
                line = " ".join(machines.counting(engine, engine)(*files))
                self.assertIn("-accel kvm -smp 1 -cpu host", line)
                self.assertNotIn("icount", line)
            line = " ".join(machines.counting("amd", "intel")(*files))
            self.assertIn("-icount shift=0,sleep=off -cpu EPYC", line)
        self.assertIs(machines.counting("intel", "amd"), bochs)
