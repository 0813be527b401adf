# SPDX-License-Identifier: GPL-2.0-only
"""The root is what the composed tree has, and so is the mailbox."""
from tests.driver.sandbox import Sandbox


class Mirror(Sandbox):
    """make mirror; the last commit adds a Kconfig file and options to two."""

    def setUp(self):
        super().setUp()
        self.make_series()
        self.commit("KVM: options", {"arch/x86/kvm/svm/Kconfig": "config KVM_NEW\n\tbool\n",
                                     "arch/x86/kvm/Kconfig":
                                     lambda t: t + 'config KVM_MORE\n\tbool\nsource "svm/Kconfig"\n'})
        self.good(self.refresh())
        (self.repo / "Kconfig").write_text('# Options.\nsource "arch/x86/kvm/svm/Kconfig"\n'
                                           "# In arch/x86/kvm/Kconfig:\n#   config KVM_MORE\n")

    def mirror(self):
        return self.script("scripts.series.mirror", self.build)

    def test_a_root_that_is_what_the_tree_has(self):
        self.assertIn("3 files, Kconfig and MAINTAINERS are what", self.good(self.mirror()))

    def test_a_file_that_differs_is_named(self):
        for name in ("tools/third.sh", "arch/x86/kvm/first.c"):
            path = self.repo / name
            text = path.read_text()
            path.write_text(text + "more\n")
            self.bad(self.mirror(), f"{name} is not the file that {self.tree} has at HEAD",
                     "make refresh")
            path.write_text(text)
        (self.repo / "tools/orphan.sh").write_text("")
        self.bad(self.mirror(), "tools/orphan.sh is not the file")

    def test_a_file_that_only_the_tree_has_is_named(self):
        (self.repo / "tools/third.sh").unlink()
        self.bad(self.mirror(), f"tools/third.sh is in {self.tree} at HEAD, but not here")

    def test_an_option_that_kconfig_does_not_name(self):
        self.edit("Kconfig", "config KVM_MORE", "config KVM_MOR")
        self.bad(self.mirror(), "Kconfig does not name KVM_MORE, which arch/x86/kvm/Kconfig gets")

    def test_an_option_that_only_kconfig_names(self):
        self.edit("Kconfig", "config KVM_MORE", "config KVM_MORE\n#   config KVM_NONE")
        self.bad(self.mirror(), "Kconfig names KVM_NONE, which the series does not add")

    def test_a_new_file_that_kconfig_does_not_source(self):
        self.edit("Kconfig", 'source "arch/x86/kvm/svm/Kconfig"\n', "")
        self.bad(self.mirror(), 'Kconfig does not have: source "arch/x86/kvm/svm/Kconfig"')

    def test_a_file_that_kconfig_sources_and_nobody_adds(self):
        self.edit("Kconfig", "# In", 'source "arch/x86/kvm/vmx/Kconfig"\n# In')
        self.bad(self.mirror(), "Kconfig sources arch/x86/kvm/vmx/Kconfig, which the series does not")

    def test_maintainers_that_differ(self):
        for text, odd in (("# The entry.\n\nX\nY\n", "Y"), ("# The entry.\n\n", "X")):
            (self.repo / "MAINTAINERS").write_text(text)
            self.bad(self.mirror(), "MAINTAINERS here is not what the series adds to the kernel's: "
                     f"{odd}")

    def test_lines_of_maintainers_in_another_order(self):
        self.commit("MAINTAINERS: more", {"MAINTAINERS": lambda t: t.replace("X\n", "X\nA\nB\n")})
        self.good(self.refresh())
        (self.repo / "MAINTAINERS").write_text("# The entry.\n\nX\nA\nB\n")
        self.good(self.mirror())
        (self.repo / "MAINTAINERS").write_text("# The entry.\n\nX\nB\nA\n")
        self.bad(self.mirror(), "the order of the lines")


class Mailbox(Sandbox):
    """build/series.mbox, for who has only git am."""

    def setUp(self):
        super().setUp()
        self.make_series()
        self.good(self.compose())

    def gives_the_tree(self):
        other = self.temp / "other"
        self.call("rm", "-rf", other)
        self.git("clone", "-q", "-b", "base", str(self.tree), str(other), cwd=self.temp)
        self.git("am", "-q", str(self.build / "series.mbox"), cwd=other)
        for what in ("HEAD^{tree}", "HEAD~1^{tree}"):
            self.assertEqual(self.git("rev-parse", what, cwd=other), self.git("rev-parse", what))

    def test_git_am_of_it_on_the_base_gives_the_tree(self):
        self.gives_the_tree()
        self.forget_tree()
        self.good(self.compose())
        self.gives_the_tree()

    def test_it_follows_the_series(self):
        self.commit("KVM: fourth", {"MAINTAINERS": "fourth\n"})
        self.good(self.refresh())
        self.good(self.compose())
        self.gives_the_tree()
        (self.repo / "patches/feature/0002-KVM-fourth.patch").unlink()
        self.good(self.compose())
        self.assertEqual(self.subjects()[-1], "KVM: third")
        self.gives_the_tree()

    def test_no_setting_of_the_users_changes_it_or_a_patch(self):
        mbox, patch = self.build / "series.mbox", self.repo / "patches/feature/0001-KVM-third.patch"
        before, files = mbox.read_bytes(), self.contents()
        (self.temp / "config").write_text(
            "[diff]\n\tnoprefix = true\n\tcontext = 1\n[color]\n\tui = always\n"
            "[format]\n\tsignOff = true\n\tsubjectPrefix = RFC\n\tattach\n\tcoverLetter = true\n"
            "\tto = x@example.org\n[core]\n\tabbrev = 4\n")
        self.env["GIT_CONFIG_GLOBAL"] = str(self.temp / "config")
        patch.unlink()
        self.good(self.refresh())
        self.assertEqual(self.contents(), files)
        self.good(self.compose())
        self.assertEqual(mbox.read_bytes(), before)
