# SPDX-License-Identifier: GPL-2.0-only
"""Parts of a series that do not fit together, and work that must not get lost."""
import json

from tests.driver.sandbox import Sandbox


class BadSeries(Sandbox):
    def setUp(self):
        super().setUp()
        self.make_series()

    def test_a_patch_that_does_not_apply_names_patch_file_and_line(self):
        self.edit("patches/fixes/0002-KVM-second.patch", "-int function_30;", "-int elsewhere;")
        self.bad(self.compose(), "patches/fixes/0002-KVM-second.patch does not apply to v7.3.99",
                 "arch/x86/kvm/svm.c:", "make refresh or KERNEL_SRC=")
        self.assertEqual(self.subjects(), ["KVM: first"])
        self.assertEqual(self.git("status", "--porcelain"), "")
        self.edit("patches/fixes/0002-KVM-second.patch", "-int elsewhere;", "-int function_30;")
        self.assertIn("2 applied now", self.good(self.compose()))

    def test_a_patch_that_is_repaired_in_the_tree_stays_in_its_topic(self):
        tree, before = self.git("rev-parse", "HEAD"), self.patches()
        self.edit("patches/fixes/0002-KVM-second.patch", "-int function_30;", "-int elsewhere;")
        self.bad(self.compose(), "0002-KVM-second.patch does not apply")
        self.git("cherry-pick", f"{tree}~1", tree)
        self.good(self.refresh())
        self.assertEqual(self.patches(), before)
        self.forget_tree()
        self.good(self.compose())

    def test_a_new_patch_that_is_applied_by_hand_stays_in_its_topic(self):
        text = (self.repo / "patches/fixes/0002-KVM-second.patch").read_text()
        (self.repo / "patches/fixes/0003-KVM-new.patch").write_text(
            text.replace("second", "new").replace("Subject: KVM: second", "Subject: KVM: new"))
        third = self.git("rev-parse", "HEAD")
        self.bad(self.compose(), "0003-KVM-new.patch does not apply")
        self.commit("KVM: new", {"arch/x86/kvm/svm.c": lambda t: t.replace("second", "new")})
        self.git("cherry-pick", third)
        self.good(self.refresh())
        self.assertEqual([name[:10] for name in self.patches()],
                         ["feature/00", "fixes/0001", "fixes/0002", "fixes/0003"])

    def test_a_mirror_file_that_no_patch_adds(self):
        (self.repo / "arch/x86/kvm/orphan.c").write_text("")
        self.bad(self.compose(), "no patch Adds arch/x86/kvm/orphan.c")

    def test_an_adds_that_does_not_exist(self):
        (self.repo / "arch/x86/kvm/first.c").unlink()
        self.bad(self.compose(), "fixes/0001-KVM-first.patch Adds arch/x86/kvm/first.c",
                 "does not exist")

    def test_an_adds_of_a_file_that_the_kernel_has(self):
        self.edit("patches/fixes/0002-KVM-second.patch", "\n---\n\ndiff",
                  "\n---\nAdds: arch/x86/kvm/spaced.c\n\ndiff")
        (self.repo / "arch/x86/kvm/spaced.c").write_text("int a;\nint third;\n\n\n\n\nint c;\n")
        self.bad(self.compose(), "0002-KVM-second.patch Adds arch/x86/kvm/spaced.c, which the kernel")
        self.assertEqual(self.subjects(), ["KVM: first"])
        self.assertEqual(self.git("status", "--porcelain"), "")

    def test_a_new_file_of_two_patches(self):
        self.edit("patches/feature/0001-KVM-third.patch", "Adds: tools",
                  "Adds: arch/x86/kvm/first.c\nAdds: tools")
        self.bad(self.compose(), "arch/x86/kvm/first.c is added by patches/fixes/0001-KVM-first.patch "
                 "and by patches/feature/0001-KVM-third.patch", "belongs to one commit")

    def test_a_patch_that_is_missing_leaves_its_files(self):
        (self.repo / "patches/feature/0001-KVM-third.patch").unlink()
        self.bad(self.compose(), "no patch Adds tools/third.sh")

    def test_a_commit_without_a_hook(self):
        self.commit("KVM: lonely", {"arch/x86/kvm/lonely.c": "int lonely;\n"})
        before = self.contents()
        self.bad(self.refresh(), "KVM: lonely", "hook")
        self.assertEqual(self.contents(), before)

    def test_a_new_file_outside_of_what_is_mirrored(self):
        self.commit("KVM: fourth", {"virt/fourth.c": "int fourth;\n", "MAINTAINERS": "fourth\n"})
        before = self.contents()
        self.bad(self.refresh(), "virt/fourth.c: new files live below arch, include")
        self.assertEqual(self.contents(), before)


class UnsavedWork(Sandbox):
    """What is only in the composed tree is never overwritten."""

    def setUp(self):
        super().setUp()
        self.make_series()

    def test_uncommitted_work_is_not_overwritten(self):
        (self.tree / "MAINTAINERS").write_text("my work\n")
        (self.repo / "tools/third.sh").write_text("echo changed\n")
        self.bad(self.compose(), "uncommitted changes", "MAINTAINERS", "make refresh", "reset")
        self.assertEqual((self.tree / "MAINTAINERS").read_text(), "my work\n")
        self.bad(self.refresh(), "uncommitted changes")

    def test_unrefreshed_commits_are_not_overwritten(self):
        self.commit("KVM: fourth", {"MAINTAINERS": "fourth\n"})
        self.assertIn("left as it is", self.good(self.compose()))
        (self.repo / "tools/third.sh").write_text("echo changed\n")
        self.bad(self.compose(), "make refresh has not seen")
        self.assertEqual(self.subjects()[-1], "KVM: fourth")

    def test_a_rebase_in_progress_is_not_overwritten(self):
        self.call("git", "rebase", "-q", "-i", "base", cwd=self.tree,
                  env={"GIT_SEQUENCE_EDITOR": "sed -i '1s/^pick/edit/'"})
        (self.repo / "tools/third.sh").write_text("echo changed\n")
        refs = self.git("show-ref", "--head")
        self.bad(self.compose(), "nothing was touched")
        self.bad(self.refresh(), "rebase", "--continue")
        self.assertEqual(self.git("show-ref", "--head"), refs)

    def old_layout(self):
        """A record as it was before there were topics."""
        record = self.tree / ".git/kvm-coco.json"
        state = json.loads(record.read_text())
        del state["layout"]
        record.write_text(json.dumps(state))

    def refused(self, words):
        before, refs = self.contents(), self.git("show-ref", "--head")
        status = self.git("status", "--porcelain")
        for done in (self.compose(), self.refresh()):
            self.bad(done, "was composed when the series was one row of patches", words, "make clean")
        self.assertEqual(self.contents(), before)
        self.assertEqual(self.git("show-ref", "--head"), refs)
        self.assertEqual(self.git("status", "--porcelain"), status)

    def test_a_record_of_another_layout_is_refused_and_nothing_is_lost(self):
        self.old_layout()
        self.refused("It holds nothing that patches/ did not have: make clean")
        self.forget_tree()
        self.good(self.compose())

    def test_a_record_of_another_layout_tells_what_would_be_lost(self):
        self.old_layout()
        (self.tree / "MAINTAINERS").write_text("my work\n")
        self.refused("It holds uncommitted changes, the first: M MAINTAINERS: keep that first")
        self.git("commit", "-q", "-a", "-m", "KVM: fourth")
        self.refused("It holds commits that make refresh has not seen: keep that first")
