# SPDX-License-Identifier: GPL-2.0-only
"""The steps of make check, and what is not repeated."""
import shutil

from scripts.common import ROOT
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
        self.assertEqual(self.check("nothing"), (0, "140 passed, 0 failed, 70 skipped"))

    def test_any_step_that_fails_fails_the_check(self):
        for step in ("lint", "driver-tests", "build", "checkpatch", "uapi", "shared-ranges",
                     "base-image", "full", "transport", "debug-image", "debug"):
            status, last = self.check(step)
            self.assertEqual(status, 1, step)
            self.assertIn(" 1 failed, ", last, step)

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
        # A selftest is nothing to the compilers of the kernel.
        for name, undone in (("tests/bisect/new", "bisect"), ("patches/v7.3/new", "bases"),
                             ("tests/expected/amd", "bisect kcsan deb"),
                             ("new.sh", "bisect bases sparse kcsan deb")):
            file = self.repo / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("new\n")
            self.check("nothing")
            for step in ("bisect", "bases", "sparse", "kcsan", "deb"):
                state = "not yet passed" if step in undone else "passed 20"
                self.assertIn(f"left to make check-full: {step}, {state}", self.said, name)
            file.unlink()
        self.commit("KVM: a selftest", {"tools/testing/fourth.sh": "echo fourth\n"})
        self.check("nothing")
        for step, state in (("sparse", "passed 20"), ("bisect", "not yet passed")):
            self.assertIn(f"left to make check-full: {step}, {state}", self.said)
