# SPDX-License-Identifier: GPL-2.0-only
"""BASE=7.2: the patches of 7.3, and instead of some their overrides."""
import shutil

from scripts.common import ROOT
from tests.driver.sandbox import FIRST, KERNEL, Sandbox

FILE = "arch/x86/kvm/first.c"


class OtherBase(Sandbox):
    def setUp(self):
        super().setUp()
        self.make_series()
        self.older, self.kernel72 = self.build / "linux-7.2", self.temp / "kernel72"
        self.write_kernel(self.kernel72, {
            **KERNEL, "Makefile": KERNEL["Makefile"].replace("PATCHLEVEL = 3", "PATCHLEVEL = 2"),
            "arch/x86/kvm/svm.c": KERNEL["arch/x86/kvm/svm.c"].replace("function_28", "older_28")})
        self.env72 = {"BASE": "7.2", "KERNEL_SRC": str(self.kernel72)}

    def old(self, *args):
        return self.git(*args, cwd=self.older)

    def refresh72(self):
        return self.refresh(BASE="7.2")

    def port(self, old="int first;", new="int first_of_7_2;"):
        """What a developer does: cherry-pick the commits, change what differs."""
        self.bad(self.compose(**self.env72), "fixes/0002-KVM-second.patch does not apply to v7.2.99")
        commits = self.git("rev-list", "--reverse", "base..series").split()
        self.old("fetch", "-q", str(self.tree), "series")
        self.old("reset", "-q", "--hard", "base")
        self.old("cherry-pick", commits[0])
        file = self.older / FILE
        file.write_text(file.read_text().replace(old, new))
        self.old("commit", "-q", "-a", "--amend", "--no-edit")
        self.old("cherry-pick", *commits[1:])
        self.good(self.refresh72())

    def again(self):
        """Both bases composed anew give what is there."""
        want = self.old("rev-parse", "HEAD^{tree}"), self.git("rev-parse", "HEAD^{tree}")
        shutil.rmtree(self.older)
        self.forget_tree()
        self.good(self.compose(**self.env72))
        self.good(self.compose())
        self.assertEqual((self.old("rev-parse", "HEAD^{tree}"), self.git("rev-parse", "HEAD^{tree}")),
                         want)

    def test_refresh_writes_overrides_and_nothing_else(self):
        before = self.contents()
        self.port()
        after = self.contents()
        self.assertEqual({name: after[name] for name in before}, before)
        self.assertEqual(sorted(set(after) - set(before)), ["patches/v7.2/fixes/0001-KVM-first.patch",
                                                            "patches/v7.2/fixes/0002-KVM-second.patch"])
        self.again()
        self.assertIn(", 0 files changed", self.good(self.refresh72()))

    def test_a_file_that_an_override_and_then_a_patch_of_the_main_base_change(self):
        self.port()
        self.again()
        mine = FIRST.replace("int first;", "int first_of_7_2;")
        last = mine.replace("int last;", "int last_by_third;")
        for commit, text in (("HEAD~2", mine), ("HEAD~1", mine), ("HEAD", last)):
            self.assertEqual(self.old("show", f"{commit}:{FILE}") + "\n", text)
        # The root and the main base know nothing of it.
        for text in ((self.repo / FILE).read_text(), self.git("show", f"HEAD:{FILE}") + "\n"):
            self.assertEqual(text, FIRST.replace("int last;", "int last_by_third;"))
        self.assertEqual(self.old("log", "-1", "--format=%s", "topic/fixes"), "KVM: second")

    def test_an_override_that_moves_a_later_patch_of_the_main_base(self):
        self.port("int more_2;\n", "int one;\nint two;\nint three;\n")
        self.assertNotIn("v7.2/feature/0001-KVM-third.patch", self.patches())
        self.again()
        self.assertIn("int three;\n", (self.older / FILE).read_text())
        self.assertIn("int last_by_third;\n", (self.older / FILE).read_text())

    def test_an_override_of_a_later_patch_that_changes_a_new_file(self):
        self.port("int more_7;", "int more_of_7_2;")
        self.assertIn("v7.2/feature/0001-KVM-third.patch", self.patches())
        self.again()
        self.assertEqual((self.older / FILE).read_text(), FIRST.replace(
            "int last;", "int last_by_third;").replace("int more_7;", "int more_of_7_2;"))

    def test_an_edit_in_the_root_reaches_both_bases(self):
        self.port()
        self.edit(FILE, "int more_4;", "long more_4;")
        self.good(self.compose())
        self.good(self.compose(**self.env72))
        self.assertIn("long more_4;", self.old("show", f"HEAD~2:{FILE}"))
        self.assertIn("int first_of_7_2;", self.old("show", f"HEAD~2:{FILE}"))

    def test_an_override_that_has_become_needless_goes(self):
        self.port()
        self.old("fetch", "-q", str(self.tree), "series")
        commits = self.git("rev-list", "--reverse", "base..series").split()
        self.old("reset", "-q", "--hard", "base")
        self.old("cherry-pick", *commits)
        self.assertIn("v7.2/fixes/0001-KVM-first.patch (deleted", self.good(self.refresh72()))
        self.assertEqual([name for name in self.patches() if name.startswith("v")],
                         ["v7.2/fixes/0002-KVM-second.patch"])

    def rebase(self, edit):
        self.good(self.call("git", "rebase", "-q", "-i", "base", cwd=self.tree,
                            env={"GIT_SEQUENCE_EDITOR": f"sed -i '{edit}'"}))
        return self.good(self.refresh())

    def test_a_renumbered_patch_takes_its_override_along(self):
        self.port()
        self.rebase("1i exec echo x >>.gitignore && git commit -q -a -m new")
        self.assertEqual([name for name in self.patches() if "feature" not in name],
                         ["fixes/0001-new.patch", "fixes/0002-KVM-first.patch",
                          "fixes/0003-KVM-second.patch", "v7.2/fixes/0002-KVM-first.patch",
                          "v7.2/fixes/0003-KVM-second.patch"])
        self.good(self.compose(**self.env72))
        self.assertIn("first_of_7_2", (self.older / FILE).read_text())

    def test_a_patch_that_goes_to_another_topic_takes_its_override_along(self):
        self.port()
        self.assertIn("v7.2/feature/0001-KVM-second.patch (was v7.2/fixes/0002-KVM-second.patch)",
                      self.rebase("/^pick .* second$/{h;d};/topic.fixes/{G}"))
        self.assertEqual([name for name in self.patches() if "second" in name],
                         ["feature/0001-KVM-second.patch", "v7.2/feature/0001-KVM-second.patch"])
        self.good(self.compose(**self.env72))

    def test_an_override_of_nothing_and_one_of_an_older_patch(self):
        self.port()
        self.edit("patches/fixes/0002-KVM-second.patch", "Because", "Just because")
        self.bad(self.compose(**self.env72), "v7.2/fixes/0002-KVM-second.patch was made for another",
                 "Replaces: ")
        self.good(self.compose())
        override = self.repo / "patches/v7.2/fixes/0002-KVM-second.patch"
        override.rename(override.with_name("0002-KVM-other.patch"))
        self.bad(self.compose(), "patches/v7.2/fixes/0002-KVM-other.patch is of no topic",
                 "or replaces no patch of one")

    def test_commits_are_added_and_renamed_on_the_main_base_only(self):
        self.port()
        before = self.contents()
        self.old("commit", "-q", "--amend", "-m", "KVM: another")
        self.bad(self.refresh72(), "order and subjects")
        self.old("reset", "-q", "--hard", "HEAD~1")
        self.bad(self.refresh72(), "2 commits, the series 3")
        self.assertEqual(self.contents(), before)

    def test_an_unknown_base(self):
        self.bad(self.compose(BASE="9.9"), "BASE=9.9: no such base; there are: 7.2 7.3")
        self.bad(self.call("make", "-f", ROOT / "Makefile", "compose", "BASE=9.9"),
                 "BASE=9.9: no such base; there are: 7.2 7.3")
