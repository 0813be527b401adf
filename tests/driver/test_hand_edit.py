# SPDX-License-Identifier: GPL-2.0-only
"""New files that are edited in the root."""
from tests.driver.sandbox import FIRST, Sandbox

FILE = "arch/x86/kvm/first.c"


class HandEdit(Sandbox):
    """The first commit adds first.c, the third changes its line 12; 9 to 11 are its context."""

    def setUp(self):
        super().setUp()
        self.make_series()

    def version(self, commit):
        return self.git("show", f"{commit}:{FILE}") + "\n"

    def refused(self, file, *words, patch="patches/feature/0001-KVM-third.patch"):
        """Whatever reads the series names the patch, and changes nothing anywhere."""
        before, refs = self.contents(), self.git("show-ref", "--head")
        for done in (self.compose(), self.compose(BASE="7.2"),
                     self.script("scripts.series.apply", self.kernel)):
            self.bad(done, f" {file} cannot be edited here", patch, *words, "build/", "make refresh")
            self.assertEqual(self.contents(), before)
        self.assertEqual(self.git("show-ref", "--head"), refs)
        self.assertEqual(self.git("status", "--porcelain"), "")

    def test_an_edit_of_the_adding_commits_own_line_lands_in_it(self):
        self.edit(FILE, "int first;", "long first;\nlong more;")
        files = self.contents()
        self.assertIn("3 applied now", self.good(self.compose()))
        mine = FIRST.replace("int first;", "long first;\nlong more;")
        last = mine.replace("int last;", "int last_by_third;")
        for commit, text in (("HEAD~2", mine), ("HEAD~1", mine), ("HEAD", last)):
            self.assertEqual(self.version(commit), text)
        self.assertEqual((self.tree / "tools/third.sh").read_text(), "echo third\n")
        self.good(self.refresh())
        after = self.contents()
        self.assertEqual([name for name in after if after[name] != files[name]], [])

    def test_an_edit_of_a_line_of_a_later_patch_is_refused(self):
        self.edit(FILE, "int last_by_third;", "int last_by_hand;")
        self.refused(f"{FILE}:12", "after patches/fixes/0001-KVM-first.patch has added it")
        self.edit(FILE, "int last_by_hand;", "int last_by_third;")
        self.assertIn("0 applied now", self.good(self.compose()))

    def test_the_line_is_named_where_other_edits_have_moved_it(self):
        self.edit(FILE, "int first;", "long first;\nint one;\nint two;\nint three;\nint four;")
        self.edit(FILE, "int last_by_third;", "int last_by_hand;")
        self.refused(f"{FILE}:16", "after patches/fixes/0001-KVM-first.patch has added it")

    def test_an_edit_beside_the_lines_of_a_later_patch_is_refused(self):
        self.edit(FILE, "int more_8;", "long more_8;")
        self.refused(f"{FILE}:10")

    def test_an_edit_that_takes_lines_of_a_later_patch_away_is_refused(self):
        (self.repo / FILE).write_text(FIRST.partition("int more_9;")[0])
        self.refused(f"{FILE}:11")

    def test_of_two_later_patches_the_one_whose_line_it_is_is_named(self):
        self.commit("KVM: fourth", {FILE: lambda t: t.replace("int first;", "int first_by_fourth;"),
                                    "MAINTAINERS": lambda t: t + "more\n"})
        self.good(self.refresh())
        self.edit(FILE, "int last_by_third;", "int last_by_hand;")
        self.refused(f"{FILE}:12")
        self.edit(FILE, "int last_by_hand;", "int last_by_third;")
        self.edit(FILE, "int first_by_fourth;", "int first_by_hand;")
        self.refused(f"{FILE}:1", patch="patches/feature/0002-KVM-fourth.patch")
        # The lines between belong to the first commit alone.
        self.edit(FILE, "int first_by_hand;", "int first_by_fourth;")
        self.edit(FILE, "int more_5;", "long more_5;")
        self.good(self.compose())
        self.assertIn("long more_5;", self.version("HEAD~3"))

    def test_an_edit_that_makes_a_later_patch_fit_elsewhere_is_refused(self):
        block = "{\n\tnop();\n}\n"
        file = "arch/x86/kvm/blocks.c"
        self.commit("KVM: blocks", {file: block * 18, "MAINTAINERS": lambda t: t + "more\n"})
        self.commit("KVM: more", {file: block * 9 + "\tnop();\n" + block * 9})
        self.good(self.refresh())
        # One block more, and the place of the hunk is one that it fits, too.
        (self.repo / file).write_text(block * 10 + "\tnop();\n" + block * 9)
        self.refused(file, "fit at another place", patch="patches/feature/0003-KVM-more.patch")
        (self.repo / file).write_text(block * 9 + "\tnop();\n" + block * 10)
        self.good(self.compose())
        self.assertEqual((self.tree / file).read_text(), (self.repo / file).read_text())
