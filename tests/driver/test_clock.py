# SPDX-License-Identifier: GPL-2.0-only
"""The clocks of machines, and the time that limits count.

Each file of clocks/ is a console and what tests say of their guests' clocks.  A line that
starts with "!" has to be found; "# khz: N" is the rate that it should be.
"""
import re
import subprocess
import tempfile
import unittest
import unittest.mock
from pathlib import Path

from scripts.common import ROOT
from scripts.machine import clock
from scripts.machine.engines import ENGINES, tsc_khz
from scripts.machine.machine import BEATS_MARKER, Machine
from scripts.machine.share import LAST_RESORT, Share
from scripts.machine.tsc import host_khz

CASES = sorted(Path(__file__).with_name("clocks").glob("*.dmesg"))


def read(case):
    """(kHz, [(is it a fault, line)])"""
    text = case.read_text()
    khz = re.search(r"^# khz: (\d+)$", text, re.M)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return int(khz[1]) if khz else 2100000, [(line[0] == "!", line[2:]) for line in lines]


class Clocks(unittest.TestCase):
    def test_each_case(self):
        self.assertGreater(len(CASES), 3)
        for case in CASES:
            khz, lines = read(case)
            console, results = ("\r\n".join(line for _, line in lines if (line[0] == "#") == said)
                                for said in (False, True))
            found = clock.clock_faults(console.encode(), results.encode(), khz)
            want = [line.rpartition("guest clock: ")[2] for is_fault, line in lines if is_fault]
            for line in want:
                self.assertTrue(any(line in fault for fault in found), (case.name, line, found))
            self.assertEqual(len(found), len(want), (case.name, found))

    def test_every_pattern_has_a_case(self):
        lines = [line for case in CASES for _, line in read(case)[1]]
        looked_for = [pattern.pattern for pattern in (clock.ADJUSTED, clock.RATE, clock.GUEST)]
        for pattern in (*clock.MEASURED, *clock.HARMLESS, *looked_for):
            self.assertTrue(any(re.search(pattern, line) for line in lines), pattern)

    def test_the_rate_of_each_engine(self):
        self.assertEqual(tsc_khz("intel-base"), 200000)
        self.assertEqual(tsc_khz("tdx-base"), 2500000)
        for engine in ENGINES:
            self.assertEqual(tsc_khz(f"{engine}-again"), tsc_khz(engine))

    def test_the_rate_of_the_host(self):
        khz = host_khz()
        self.assertEqual(khz % 4, 0)
        self.assertTrue(400_000 < khz < 8_000_000, khz)
        # Another measurement says the same, to some parts in 10,000.
        self.assertLess(abs(host_khz.__wrapped__(0.1) - khz), khz / 2000)

    def test_the_kernels_are_configured_for_what_is_given(self):
        config = (ROOT / "configs/kvm.config").read_text()
        self.assertIn(f"\nCONFIG_HZ_{clock.HZ}=y\n", config)
        self.assertIn("tsc_early_khz=2000000 ", clock.options(2000000))
        self.assertIn(" lpj=8000000", clock.options(2000000))


class Limits(unittest.TestCase):
    """The time that a process got, by what the host says of its threads."""

    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.proc, self.now = Path(temp.name), 100.0
        self.share = Share(7, self.proc, lambda: self.now)

    def after(self, seconds, **waited):
        """SECONDS go by; thread tN has waited for so long in all.  What it got then."""
        self.now += seconds
        for name, total in waited.items():
            path = self.proc / "7/task" / name / "schedstat"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"123456789 {total * 1e9:.0f} 42\n")
        return self.share.got()

    def test_the_thread_that_waited_longest_counts(self):
        self.assertAlmostEqual(self.after(1, t1=0.25, t2=0.5), 0.5)
        self.assertAlmostEqual(self.after(1, t1=1.0, t2=0.5), 0.75)
        # It starts anew; who sleeps has not waited.
        self.assertAlmostEqual(self.after(2, t1=1.0, t2=0.5, t3=1.5), 1.25)
        self.assertAlmostEqual(self.after(5), 6.25)

    def test_no_more_is_lost_than_went_by(self):
        self.assertAlmostEqual(self.after(1, t1=30), 0)
        self.assertAlmostEqual(self.after(1, t1=30), 1)

    def test_a_host_that_does_not_say(self):
        self.assertAlmostEqual(self.after(3), 3)
        path = self.proc / "7/task/t1/schedstat"
        path.parent.mkdir(parents=True)
        path.write_text("")
        self.assertAlmostEqual(self.after(3), 6)

    def test_a_machine_that_ends_while_it_is_looked_at(self):
        with unittest.mock.patch.object(Path, "glob", side_effect=FileNotFoundError):
            self.assertAlmostEqual(self.after(3), 3)

    def test_a_limit_and_the_last_resort(self):
        self.after(19, t1=10)
        self.assertFalse(self.share.is_over(10))
        self.after(2)
        self.assertTrue(self.share.is_over(10))
        for second in range(1, 10 * LAST_RESORT - 21):
            self.after(1, t1=10 + second)
        self.assertFalse(self.share.is_over(12))
        self.assertAlmostEqual(self.share.got(), 11)
        self.after(30, t1=10 * LAST_RESORT + 10)
        self.assertTrue(self.share.is_over(12))

    def test_the_engine_is_told_the_seconds_once_it_asks(self):
        with tempfile.TemporaryDirectory() as temp:
            script = f"sleep 1.5; echo '{BEATS_MARKER.decode()}'; exec timeout 3 cat"
            machine = Machine(temp, ["sh", "-c", script, "-serial", "stdio"])
            try:
                machine.process.wait(20)
            except subprocess.TimeoutExpired:
                self.fail("it did not end")
            finally:
                machine.kill()
            marker, _, told = machine.results().partition(b"\n")
            self.assertEqual(marker, BEATS_MARKER)
            self.assertIn(told, (b"." * count for count in range(1, 4)))
