# SPDX-License-Identifier: GPL-2.0-only
"""make apply: the series, or a topic of it, on a tree of the user's."""
import os
import subprocess

from scripts.common import ROOT
from tests.driver.test_topics import ThreeTopics


class Apply(ThreeTopics):
    def setUp(self):
        super().setUp()
        self.plain = self.temp / "plain"
        self.write_kernel(self.plain)
        (self.plain / ".gitignore").write_text("*.o\n")

    def apply(self, topic=""):
        return self.script("scripts.series.apply", self.plain, topic)

    def applied(self):
        return self.git("log", "--reverse", "--format=%s", cwd=self.plain).split("\n")[1:]

    def test_apply_to_a_git_tree_and_to_a_plain_directory(self):
        want = self.git("rev-parse", "HEAD^{tree}")
        self.good(self.apply())
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}", cwd=self.plain), want)
        self.assertEqual(self.applied(), self.subjects())
        clone = self.temp / "clone"
        self.git("clone", "-q", "-b", "base", str(self.plain), str(clone), cwd=self.temp)
        self.good(self.script("scripts.series.apply", clone))
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}", cwd=clone), want)
        self.bad(self.script("scripts.series.apply", clone), "branch kvm-coco already")
        self.bad(self.script("scripts.series.apply", ""), "KDIR=")
        self.bad(self.script("scripts.series.apply", self.temp / "none"), "no such directory")

    def test_a_topic_comes_with_what_it_needs_and_nothing_else(self):
        self.assertIn("3 commits of fixes feature on 7.3.99, branch kvm-coco-feature",
                      self.good(self.apply("feature")))
        self.assertEqual(self.applied(), ["KVM: first", "KVM: second", "KVM: third"])
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}", cwd=self.plain),
                         self.git("rev-parse", "topic/feature^{tree}"))

    def test_a_topic_that_needs_none_comes_alone(self):
        self.assertIn("1 commits of more on", self.good(self.apply("more")))
        self.assertEqual(self.applied(), ["KVM: fourth"])
        self.git("checkout", "-q", "base", cwd=self.plain)
        self.good(self.apply("fixes"))
        self.assertEqual(self.applied(), ["KVM: first", "KVM: second"])
        self.assertNotIn("by_third", (self.plain / "arch/x86/kvm/first.c").read_text())

    def test_a_need_of_a_need_comes_along_in_order(self):
        self.needs(more="feature")
        self.good(self.apply("more"))
        self.assertEqual(self.applied(), self.subjects())

    def test_a_topic_that_is_misspelt_lists_those_that_there_are(self):
        self.bad(self.apply("fix"), "TOPIC=fix: no such topic; there are: fixes feature more")
        self.assertFalse((self.plain / ".git").exists())

    def test_it_does_not_wait_for_a_run_that_has_the_build_directory(self):
        env = {key: value for key, value in os.environ.items()
               if key not in ("KVM_COCO_LOCKED", "MAKEFLAGS", "MFLAGS")}
        for target, has_lock in (("apply", False), ("compose", True)):
            said = subprocess.run(["make", "-n", target, "KDIR=x", f"O={self.temp}/o"], cwd=ROOT,
                                  env=env, capture_output=True, text=True, check=True).stdout
            self.assertEqual("locked.sh" in said, has_lock, said)
