# SPDX-License-Identifier: GPL-2.0-only
"""compose and refresh are the inverse of each other."""
from tests.driver.sandbox import FIRST, Sandbox

FILE = "arch/x86/kvm/first.c"


class RoundTrip(Sandbox):
    def both_ways(self):
        """Compose, refresh, compose: the same tree, the same commits and the same files."""
        tree, files = self.git("rev-parse", "HEAD^{tree}"), self.contents()
        self.forget_tree()
        self.good(self.compose())
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}"), tree)
        commits = self.git("rev-list", "base..HEAD")
        self.assertIn(", 0 files changed", self.good(self.refresh()))
        self.assertEqual(self.contents(), files)
        self.forget_tree()
        self.good(self.compose())
        self.assertEqual(self.git("rev-list", "base..HEAD"), commits)

    def test_compose_refresh_compose_gives_the_same_tree(self):
        self.make_series()
        self.both_ways()
        self.assertEqual(self.subjects(), ["KVM: first", "KVM: second", "KVM: third"])
        self.assertEqual(self.patches(), ["feature/0001-KVM-third.patch", "fixes/0001-KVM-first.patch",
                                          "fixes/0002-KVM-second.patch"])

    def test_the_root_has_the_last_version_and_each_commit_its_own(self):
        self.make_series()
        last = FIRST.replace("int last;", "int last_by_third;")
        self.assertEqual((self.repo / FILE).read_text(), last)
        self.forget_tree()
        self.good(self.compose())
        for commit, text in (("HEAD~2", FIRST), ("HEAD~1", FIRST), ("HEAD", last)):
            self.assertEqual(self.git("show", f"{commit}:{FILE}") + "\n", text)

    def test_a_file_that_several_commits_change_has_all_its_versions(self):
        self.make_series()
        steps = (("int more_3;\n", "int fourth;\nint fifth;\n"), ("int fifth;\n", ""),
                 ("int fourth;\n", "int more_3;\n"))
        for number, (old, new) in enumerate(steps):
            self.commit(f"KVM: step {number}", {FILE: lambda t, o=old, n=new: t.replace(o, n),
                                                "MAINTAINERS": lambda t: t + "more\n"})
        versions = [self.git("show", f"HEAD~{n}:{FILE}") for n in range(6)]
        self.good(self.refresh())
        self.both_ways()
        self.assertEqual([self.git("show", f"HEAD~{n}:{FILE}") for n in range(6)], versions)

    def test_hunks_that_fit_at_other_places_too_are_unapplied_where_they_were(self):
        self.make_series()
        block = "{\n\tnop();\n}\n"
        self.commit("KVM: blocks", {"arch/x86/kvm/blocks.c": block * 9 + "int gone;\n" + block * 9,
                                    "MAINTAINERS": lambda t: t + "more\n"})
        self.commit("KVM: fewer", {"arch/x86/kvm/blocks.c": block * 18})
        self.commit("KVM: more", {"arch/x86/kvm/blocks.c": block * 5 + "\tnop();\n" + block * 13})
        versions = [self.git("rev-parse", f"HEAD~{n}:arch/x86/kvm/blocks.c") for n in range(3)]
        self.good(self.refresh())
        self.both_ways()
        self.assertEqual([self.git("rev-parse", f"HEAD~{n}:arch/x86/kvm/blocks.c")
                          for n in range(3)], versions)

    def test_line_ends_and_modes_are_kept(self):
        self.make_series()
        for number, text in enumerate(("one\r\ntwo\rtwo\n\n\n", "no end of line", "\xa0caf\xe9\n", "")):
            self.commit(f"KVM: odd {number}", {"MAINTAINERS": lambda t: t + "more\n"})
            path = self.tree / f"tools/odd{number}"
            path.write_bytes(text.encode("latin-1"))
            path.chmod(0o755 if number == 1 else 0o644)
            self.git("add", ".")
            self.git("commit", "-q", "--amend", "--no-edit")
        self.good(self.refresh())
        self.both_ways()

    def test_a_file_that_becomes_a_program_later(self):
        self.make_series()
        (self.tree / "tools/third.sh").chmod(0o755)
        self.commit("KVM: fourth", {"MAINTAINERS": lambda t: t + "more\n"})
        self.good(self.refresh())
        self.both_ways()
        modes = [self.git("ls-tree", commit, "tools/third.sh")[:6] for commit in ("HEAD~1", "HEAD")]
        self.assertEqual(modes, ["100644", "100755"])

    def test_new_work_in_the_tree_is_visible_to_git(self):
        self.good(self.compose())
        (self.tree / "new.c").write_text("int x;\n")
        self.assertIn("new.c", self.git("status", "--porcelain"))

    def test_fixup_of_a_hook_and_a_mirror_file_changes_exactly_those(self):
        self.make_series()
        before = self.contents()
        for name, old, new in (("arch/x86/kvm/Makefile", "first.o\n", "first.o # why\n"),
                               (FILE, "int first;", "long first;")):
            path = self.tree / name
            path.write_text(path.read_text().replace(old, new))
        self.git("commit", "-q", "-a", "--fixup", "HEAD~2")
        self.bad(self.refresh(), "autosquash")
        self.good(self.call("git", "rebase", "-q", "-i", "--autosquash", "base", cwd=self.tree,
                            env={"GIT_SEQUENCE_EDITOR": "true"}))
        self.good(self.refresh())
        after = self.contents()
        changed = sorted(name for name in after if after[name] != before.get(name))
        self.assertEqual(changed, [FILE, "patches/fixes/0001-KVM-first.patch"])
        self.assertEqual(set(before), set(after))

    def test_a_dropped_commit_takes_its_files_along(self):
        self.make_series()
        before = self.contents()
        self.commit("KVM: fourth", {"tools/fourth.sh": "echo fourth\n", "MAINTAINERS": "fourth\n"})
        self.good(self.refresh())
        self.assertTrue((self.repo / "tools/fourth.sh").exists())
        self.git("reset", "-q", "--hard", "HEAD~1")
        self.good(self.refresh())
        self.assertEqual(self.contents(), before)

    def test_unchanged_is_left_alone_and_a_change_applies_from_there(self):
        self.make_series()
        commits = self.git("rev-list", "--reverse", "base..HEAD").split()
        self.assertIn("0 applied now", self.good(self.compose()))
        (self.repo / "tools/third.sh").write_text("echo changed\n")
        self.assertIn("1 applied now", self.good(self.compose()))
        self.assertEqual(self.git("rev-list", "--reverse", "base..HEAD").split()[:2], commits[:2])
        self.assertEqual((self.tree / "tools/third.sh").read_text(), "echo changed\n")
