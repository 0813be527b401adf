# SPDX-License-Identifier: GPL-2.0-only
"""What is made of a machine's results, and of the records in tests/expected."""
import tempfile
import unittest
import unittest.mock
from pathlib import Path

from scripts.machine.again import second_plan
from scripts.machine.engines import ENGINES
from scripts.machine.initrd import GUEST_KERNEL, source, target
from scripts.machine.judge import judge
from scripts.machine.plan import EXPECTED, SETS, Test, read_expected


class Verdicts(unittest.TestCase):
    """What makes a run fail."""

    def judged(self, lines, expect="pass", console=b"", end=True):
        with tempfile.TemporaryDirectory() as temp:
            (Path(temp) / "console").write_bytes(console)

            class Machine:
                run_dir = Path(temp)

                @staticmethod
                def results():
                    return lines + (b"# end of plan\n" if end else b"")

                @staticmethod
                def elapsed():
                    return 1.0

            plan = ["module kvm-amd", Test("quick", "x86/a_test", 10, expect)]
            rows, why = judge("amd", plan, Machine, {})
            return [verdict for _, verdict, _ in rows], "\n".join(why)

    def test_pass_skip_and_known_failure(self):
        ok = b"# seconds 1.5\nok 1 selftests: kvm: x86/a_test\n"
        skip = b"# 1..0 # SKIP - no such CPU\nok 1 selftests: kvm: x86/a_test # SKIP\n"
        bad = b"not ok 1 selftests: kvm: x86/a_test # exit=254\n"
        self.assertEqual(self.judged(ok)[0], ["pass"])
        self.assertEqual(self.judged(ok, "fail")[0], ["PASS"])
        self.assertEqual(self.judged(skip, "skip")[0], ["skip"])
        self.assertEqual(self.judged(bad, "fail")[0], ["known"])
        self.assertEqual(self.judged(bad)[0], ["FAIL"])
        self.assertEqual(self.judged(bad, "skip")[0], ["FAIL"])

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
        self.assertEqual(verdicts, ["FAIL"])
        self.assertIn("no such CPU", why)

    def test_no_result_no_end_and_the_last_console_lines(self):
        console = b"".join(b"line %d\n" % n for n in range(100))
        verdicts, why = self.judged(b"", console=console, end=False)
        self.assertEqual(verdicts, ["FAIL", "FAIL"])
        self.assertIn("line 99", why)
        self.assertIn("line 60", why)
        self.assertNotIn("line 59\n", why)

    def test_a_step_of_the_plan_that_failed(self):
        ok = b"ok 1 selftests: kvm: x86/a_test\n"
        verdicts, _ = self.judged(b"not ok 1 selftests: kvm: unload # Resource busy\n" + ok)
        self.assertIn("FAIL", verdicts)

    def test_a_splat_fails(self):
        ok = b"ok 1 selftests: kvm: x86/a_test\n"
        for line in (b"[ 1.0] WARNING: CPU: 0 PID: 1 at arch/x86/kvm/x86.c:1 x+0x1/0x2",
                     b"[ 1.0] BUG: KASAN: use-after-free in y", b"[ 1.0] BUG: sleeping function",
                     b"[ 1.0] Kernel panic - not syncing", b"[ 1.0] UBSAN: shift-out-of-bounds",
                     b"[ 1.0] WARNING: possible circular locking dependency detected"):
            self.assertIn("FAIL", self.judged(ok, console=line + b"\n")[0], line)


class Plans(unittest.TestCase):
    def test_the_records_can_be_read(self):
        for engine in ENGINES:
            plan = read_expected(engine, set().union(*SETS.values()))
            tests = [item for item in plan if isinstance(item, Test)]
            self.assertGreater(len(tests), 0 if engine == "intel-smp" else 20, engine)
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
                                      ("tdx_exits", EXPECTED / "tdx_exits", "tests/tdx_exits")):
                self.assertEqual(source(file, build, base, guest), Path(there))
                self.assertEqual(target(file, build), here)
