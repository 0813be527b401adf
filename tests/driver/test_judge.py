# SPDX-License-Identifier: GPL-2.0-only
"""What is made of a machine's results, and of the records in tests/expected."""
import re
import tempfile
import unittest
import unittest.mock
from pathlib import Path

from scripts.machine.again import second_plan
from scripts.machine.engines import ENGINES
from scripts.machine.initrd import GUEST_KERNEL, source, target
from scripts.machine.judge import judge, reasons
from scripts.machine.ktap import faults, parse
from scripts.machine.plan import EXPECTED, SETS, Test, read_expected


def report(lines, end=True):
    """LINES, a result among them, as PID 1 would have them."""
    count = len(re.findall(rb"^(?:not )?ok ", lines, re.M))
    return b"KTAP version 1\n1..%d\n%s%s" % (count, lines, b"# end of plan\n" if end else b"")


CLOCK = b"[ 0.0] tsc: Detected 2000.000 MHz processor\n"


class Verdicts(unittest.TestCase):
    """What makes a run fail."""

    def judged(self, lines, expect="pass", console=b"", end=True, clock=CLOCK):
        with (tempfile.TemporaryDirectory() as temp,
              unittest.mock.patch("scripts.machine.judge.tsc_khz", lambda _: 2000000)):
            (Path(temp) / "console").write_bytes(clock + console)

            class Machine:
                run_dir = Path(temp)

                @staticmethod
                def results():
                    return report(lines, end)

                @staticmethod
                def elapsed():
                    return 1.0

            plan = ["module kvm-amd", Test("quick", "x86/a_test", 10, expect)]
            rows = judge("amd", plan, Machine, {})
            return [row.verdict for row in rows], "\n".join(reasons("amd", rows))

    def test_pass_skip_and_known_failure(self):
        ok = b"# seconds 1.5\nok 1 selftests: kvm: x86/a_test\n"
        skip = b"# 1..0 # SKIP - no such CPU\nok 1 selftests: kvm: x86/a_test # SKIP\n"
        bad = b"not ok 1 selftests: kvm: x86/a_test # exit=254\n"
        self.assertEqual(self.judged(ok)[0], ["pass"])
        self.assertEqual(self.judged(ok, "fail")[0], ["better"])
        self.assertEqual(self.judged(skip, "skip")[0], ["skip"])
        self.assertEqual(self.judged(bad, "fail")[0], ["known"])
        self.assertEqual(self.judged(bad)[0], ["FAILED"])
        self.assertEqual(self.judged(bad, "skip")[0], ["FAILED"])

    def test_what_gets_a_second_run(self):
        first, ours, last = (Test(s, f"x86/{s}_test", 10, "pass")
                             for s in ("quick", "own", "full"))
        plan = ["module kvm-amd", first, ours, "unload kvm_amd", last, "module kvm-amd"]

        def second(*words, end=b"# end of plan\n"):
            return second_plan(plan, b"".join(
                b"%s 1 selftests: kvm: %s\n" % (word, test.name.encode())
                for word, test in zip(words, (first, ours, last))) + end)

        self.assertEqual(second(b"ok", b"ok", b"ok"), [])
        self.assertEqual(second(b"ok", b"not ok", b"ok"), [])
        self.assertEqual(second(b"not ok", b"not ok", b"ok"), plan[:2])
        self.assertEqual(second(b"ok", b"ok", b"not ok"), [plan[0], plan[3], last])
        self.assertEqual(second(b"not ok", end=b""), [])

    def test_an_unexpected_skip_fails_and_says_why(self):
        skip = b"# 1..0 # SKIP - no such CPU\nok 1 selftests: kvm: x86/a_test # SKIP\n"
        verdicts, why = self.judged(skip)
        self.assertEqual(verdicts, ["FAILED"])
        self.assertIn("no such CPU", why)

    def test_a_failure_says_what_the_test_said(self):
        why = self.judged(b"# selftests: kvm: x86/a_test\n# TAP version 13\n# 1..2\n"
                          b"# # seed 7\n# ok 1 one\n# # 3: not refused\n# not ok 2 two\n"
                          b"# seconds 0.1\nnot ok 1 selftests: kvm: x86/a_test # exit=1\n")[1]
        self.assertTrue(why.endswith("the base: pass\n    # seed 7\n    # 3: not refused\n"
                                     "    not ok 2 two"), why)

    def test_no_result_no_end_and_the_last_console_lines(self):
        console = b"".join(b"line %d\n" % n for n in range(100))
        verdicts, why = self.judged(b"", console=console, end=False)
        self.assertEqual(verdicts, ["FAILED", "FAILED"])
        self.assertIn("line 99", why)
        self.assertIn("line 60", why)
        self.assertNotIn("line 59\n", why)

    def test_a_step_of_the_plan_that_failed(self):
        ok = b"ok 2 selftests: kvm: x86/a_test\n"
        step = b"not ok 1 plan: unload kvm_amd # Resource busy\n"
        verdicts, why = self.judged(step + ok)
        self.assertEqual(verdicts, ["pass", "FAILED"])
        self.assertIn("unload kvm_amd: Resource busy", why)
        self.assertEqual(self.judged(step.replace(b"not ", b"") + ok)[0], ["pass"])

    def test_a_splat_fails(self):
        ok = b"ok 1 selftests: kvm: x86/a_test\n"
        for line in (b"[ 1.0] WARNING: CPU: 0 PID: 1 at arch/x86/kvm/x86.c:1 x+0x1/0x2",
                     b"[ 1.0] BUG: KASAN: use-after-free in y", b"[ 1.0] BUG: sleeping function",
                     b"[ 1.0] Kernel panic - not syncing", b"[ 1.0] UBSAN: shift-out-of-bounds",
                     b"[ 1.0] WARNING: possible circular locking dependency detected"):
            self.assertIn("FAILED", self.judged(ok, console=line + b"\n")[0], line)

    def test_a_clock_that_is_measured_or_wrong_fails(self):
        ok = b"ok 1 selftests: kvm: x86/a_test\n"
        guest = b"# # guest clock: [ 0.0] tsc: Detected 1999.999 MHz processor\n"
        for lines, clock, words in ((ok, CLOCK.replace(b"2000", b"1999"), "clock: [ 0.0] tsc: Det"),
                                    (ok, CLOCK + b"Refined TSC calibration\n", "clock: Refined"),
                                    (ok, b"", "does not say the TSC's rate"),
                                    (guest + ok, CLOCK, "clock: a guest: ")):
            verdicts, why = self.judged(lines, clock=clock)
            self.assertEqual(verdicts, ["pass", "FAILED"])
            self.assertIn(words, why)
        # Of a machine that ended early, it may be too early.
        self.assertEqual(self.judged(ok, clock=b"", end=False)[0], ["pass", "FAILED"])


class Reports(unittest.TestCase):
    """What is no valid KTAP, or not all of it."""

    def test_a_report_is_whole(self):
        good = report(b"# seconds 0.1\nok 1 plan: module kvm\n# 1..3\n# ok 7 x\n"
                      b"not ok 2 selftests: kvm: a # exit=1\n")
        self.assertEqual(faults(good), [])
        self.assertEqual(faults(good.replace(b"\n", b"\r\n")), [])
        for old, new, words in ((b"KTAP version 1\n", b"TAP version 13\n", "does not start"),
                                (b"1..2\n", b"", "does not start"),
                                (b"1..2\n", b"1..3\n", "3 results were announced, 2 came"),
                                (b"not ok 2", b"not ok 3", "numbered 1 3"),
                                (b"# end of plan\n", b"", "no end")):
            self.assertIn(old, good)
            self.assertIn(words, " ".join(faults(good.replace(old, new, 1))), words)
        self.assertTrue(faults(b""))

    def test_a_line_that_is_half_written_is_none(self):
        whole = b"KTAP version 1\n1..1\n# seconds 1.5\nok 1 selftests: kvm: x86/a_test\n"
        for end in range(len(whole)):
            faults(whole[:end])
            self.assertEqual(parse(whole[:end]), {})
        self.assertEqual(parse(whole), {"x86/a_test": [("pass", "", 1.5)]})

    def test_results_inside_of_another_runner(self):
        results = parse(b"    ok 1 selftests: kvm: a_test # SKIP\n"
                        b"    not ok 2 selftests: kvm: b_test # exit=1\n"
                        b"#     ok 3 selftests: kvm: c_test\n")
        self.assertEqual({name: runs[0][0] for name, runs in results.items()},
                         {"a_test": "skip", "b_test": "fail"})


class Plans(unittest.TestCase):
    def test_the_records_can_be_read(self):
        for engine in ENGINES:
            plan = read_expected(engine, set().union(*SETS.values()))
            tests = [item for item in plan if isinstance(item, Test)]
            few = engine in ("amd-sev", "tdx", "intel-smp")
            self.assertGreater(len(tests), 0 if few else 20, engine)
            for test in tests:
                if test.expect != "pass":
                    self.assertTrue(test.reason, f"{engine}: {test.name} gives no reason")
                for file in test.files:
                    if "/" not in file and file not in GUEST_KERNEL:
                        self.assertTrue((EXPECTED / file).is_file(), file)

    def test_where_the_files_of_a_test_come_from_and_go_to(self):
        build, base, guest = Path("/build"), Path("/base"), Path("/guest")
        with unittest.mock.patch("scripts.machine.initrd.kernel_release", lambda _: "7.3.4"):
            for file, there, here in (("bzImage", "/guest/bzImage", "boot/vmlinuz-7.3.4"),
                                      ("base/bzImage", "/base/bzImage", "boot/base/bzImage"),
                                      ("x86/a_test", "/build/selftests/x86/a_test", "tests/x86/a_test"),
                                      ("tdx_exits", f"{EXPECTED}/tdx_exits", "tests/tdx_exits")):
                self.assertEqual(source(file, build, base, guest), Path(there))
                self.assertEqual(target(file, build), here)
