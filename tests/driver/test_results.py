# SPDX-License-Identifier: GPL-2.0-only
"""The steps of make check, and what is not repeated."""
import re
import shutil

from scripts.common import ROOT
from scripts.results import passed
from tests.driver.sandbox import Sandbox


class Check(Sandbox):
    """The last line and the status of make check, around a make that pretends."""

    def check(self, fail_at, *options):
        self.fake("make", '[ "$1" != full ] || echo "130 passed, 0 failed, 70 skipped"\n'
                          f'[ "$1" != "{fail_at}" ]')
        done = self.call("sh", "tests/check.sh", self.build, *options, env={"PATH": self.path})
        self.said = done.stdout
        return done.returncode, done.stdout.splitlines()[-1]

    def test_all_steps_are_added_up(self):
        self.assertEqual(self.check("nothing"), (0, "144 passed, 0 failed, 70 skipped"))

    def test_any_step_that_fails_fails_the_check(self):
        for step in ("lint", "driver-tests", "build", "mirror", "checkpatch", "uapi", "shared-ranges",
                     "emulator-tests", "base-image", "topics", "full", "vmm", "host-guests",
                     "debug-image", "debug"):
            status, last = self.check(step)
            self.assertEqual(status, 1, step)
            self.assertIn(" 1 failed, ", last, step)

    def test_every_slow_step_says_what_it_reads(self):
        steps = re.findall(r"^\s+slow (\S+) make", (ROOT / "tests/check.sh").read_text(), re.M)
        self.assertEqual(set(steps), set(passed.SHARED))

    def test_what_undoes_a_pass(self):
        boots = {"pinning", "firmware", "kcsan", "debug-full", "coverage", "fuzz", "soak", "deb",
                 "bisect", "erratum", "mitigations", "cfi", "kicks", "rmp-faults", "tdx-faults",
                 "mutants", "host"}
        checkers = {"w1", "sparse", "clang", "coccicheck", "htmldocs"}
        every = set(passed.SHARED)
        for name, undone in (("tests/bisect/check.py", {"bisect"}), ("patches/v7.2/x", {"bases"}),
                             ("tests/expected/amd", boots), ("scripts/machine/qemu.py", boots),
                             ("tests/debug/debug.config", {"debug-full", "soak"}),
                             ("tests/kcsan/kcsan.config", {"kcsan"}),
                             ("tests/checkers/allowed", checkers),
                             ("scripts/deb/deb.sh", {"deb"}), ("scripts/host/init", {"host"}),
                             ("configs/kvm.config", every - {"bases"}), ("Makefile", every),
                             ("README.md", set()), ("docs/x", set()), ("scripts/mail/x", set()),
                             ("scripts/bench/x", set()), ("scripts/packages/x", {"deb", "host"}),
                             ("patches/fixes/cover-letter", set()), ("tests/driver/x", set())):
            self.assertEqual({step for step in every if passed.reads(step, name)}, undone, name)

    def test_what_is_slow_is_left_out_or_done_once_for_this_content(self):
        self.make_series()
        self.git("init", "-q", ".", cwd=self.repo)
        shutil.copy(ROOT / ".gitignore", self.repo)
        self.check("nothing")
        self.assertIn("left to make check-full: bisect, not yet passed", self.said)
        status, last = self.check("bisect", "full")
        self.assertEqual(status, 1)
        self.assertIn(" 1 failed, ", last)
        self.assertEqual(self.check("nothing", "full")[0], 0)
        self.assertIn("sparse: passed 20", self.said)
        self.assertNotIn("bisect: passed 20", self.said)
        (self.repo / "README.md").write_text("new\n")
        self.check("nothing")
        self.assertIn("left to make check-full: bisect, passed 20", self.said)
        new = self.repo / "tests/bisect/new"
        new.write_text("new\n")
        self.check("nothing")
        for step, state in (("bisect", "not yet passed"), ("sparse", "passed 20")):
            self.assertIn(f"left to make check-full: {step}, {state}", self.said)
        new.unlink()
        # A selftest is nothing to the compilers of the kernel.
        self.commit("KVM: a selftest", {"tools/testing/fourth.sh": "echo fourth\n"})
        self.check("nothing")
        for step, state in (("sparse", "passed 20"), ("bisect", "not yet passed")):
            self.assertIn(f"left to make check-full: {step}, {state}", self.said)
