# SPDX-License-Identifier: GPL-2.0-only
"""The checkers: what is new, what is allowed, and tools that fail."""
import tempfile
import unittest
from pathlib import Path

from scripts.common import ROOT
from tests.checkers import check as checkers
from tests.configs import check as configs
from tests.driver.sandbox import Sandbox


class Configurations(unittest.TestCase):
    """The table of make configs."""

    def table(self, *changes):
        text = (ROOT / "tests/configs/configurations").read_text()
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        with tempfile.TemporaryDirectory() as temp:
            (Path(temp) / "table").write_text(text)
            return configs.read_table(Path(temp) / "table")

    def refused(self, words, *changes):
        with self.assertRaises(configs.Failed) as caught:
            self.table(*changes)
        self.assertIn(words, str(caught.exception))

    def test_every_row_sets_every_column(self):
        rows = self.table()
        pairs = [row for row in rows if row.name.startswith("pairs")]
        self.assertTrue(all(any(o.startswith("KVM_SMM=") for o in row.options) for row in pairs))
        self.assertEqual({row.arch for row in rows}, {"x86_64", "i386"})

    def test_a_pair_an_option_or_a_row_that_is_missing(self):
        last = (ROOT / "tests/configs/configurations").read_text().split("pairs ")[-1].split("\n")[0]
        self.refused("no row has ", (f"pairs {last}\n", ""))
        self.refused("CONFIG_X86_MEM_ENCRYPT_STRESS_TEST of series.config is in no column",
                     ("  X86_MEM_ENCRYPT_STRESS_TEST=m?", "  KVM_OTHER"))
        self.refused("cannot read", (f"pairs {last}", f"pairs {last} y"))
        self.refused("cannot read", ("alone no-amd     x86_64 kernel", "alone no-amd x86_64 all"))


class Findings(unittest.TestCase):
    """What make sparse and its like make of the words of a checker."""

    TREE = Path("/somewhere/linux-7.3")

    def found(self, *lines):
        return checkers.findings("\n".join(lines), self.TREE)

    def test_findings_have_no_lines(self):
        self.assertEqual(self.found("arch/x86/kvm/a.c:12:3: warning: bad",
                                    "/somewhere/linux-7.3/arch/x86/kvm/a.c:99:1-7: warning: bad",
                                    "../linux-7.3/./b.h:1: error: lock on line 17",
                                    "/somewhere/linux-7.3/Documentation/x.rst: WARNING: no title",
                                    "make[1]: warning: jobserver unavailable",
                                    "arch/x86/kvm/a.c:12:3: note: it is here"),
                         {"arch/x86/kvm/a.c: warning: bad": 2, "b.h: error: lock on line": 1,
                          "Documentation/x.rst: WARNING: no title": 1})

    def test_only_what_the_base_does_not_have_is_new(self):
        old = self.found("a.c:1: warning: old", "b.c:1: warning: twice")
        new = self.found("b.c:5: warning: twice", "b.c:6: warning: twice", "a.c:7: warning: old",
                         "a.c:8: warning: new", "a.c:9: warning: fine")
        rules = [checkers.re.compile("^a.c: warning: fine$")]
        self.assertEqual(checkers.new_findings(old, new, rules),
                         [("a.c: warning: new", 1), ("b.c: warning: twice", 1)])

    def test_what_is_not_checked_counts_in_either_tree(self):
        lost = self.found("a.c:1: error: not checked by x.cocci: Timeout")
        for base, series in ((lost, {}), ({}, lost), (lost, lost)):
            base, series = checkers.collections.Counter(base), checkers.collections.Counter(series)
            self.assertEqual(checkers.new_findings(base, series, []), [(*lost, 1)])
            self.assertEqual(checkers.new_findings(base, series,
                                                   [checkers.re.compile("^a.c: .*x.cocci")]), [])

    def test_rules_name_a_check(self):
        for line in (ROOT / "tests/checkers/allowed").read_text().splitlines():
            if line and not line.startswith("#"):
                self.assertIn(line.split()[0], checkers.CHECKS)
                self.assertTrue(checkers.allowed(line.split()[0]))
        self.assertEqual(checkers.allowed("no such check"), [])


class Coccicheck(Sandbox):
    """make coccicheck around a spatch that is a shell script."""

    def setUp(self):
        super().setUp()
        self.make_series()
        self.git("worktree", "add", "-q", "--detach", str(self.build / "base/linux-7.3"), "base")
        for tree in (self.tree, self.build / "base/linux-7.3"):
            self.write_kernel(tree, {"scripts/coccinelle/free/one.cocci": "// Options: --opt\n"
                                     "virtual report\n",
                                     "scripts/coccinelle/new.cocci": "// Requires: 2.0\n"
                                     "virtual report\n",
                                     "scripts/coccinelle/old.cocci": "virtual patch\n"})

    def spatch(self, text):
        """The environment with a spatch that does TEXT."""
        self.fake("spatch", f'[ "$1" != --version ] || exec echo spatch version 1.1.1\n{text}')
        return {"PATH": self.path}

    def check(self, spatch):
        return self.script("tests.checkers.check", "coccicheck", self.build, **self.spatch(spatch))

    def test_a_missing_tool_and_a_wrong_name(self):
        for name, words in (("coccicheck", ("spatch is missing", "apt-get install coccinelle")),
                            ("htmldocs", ("apt-get install python3-sphinx",)),
                            ("lint", ("no such check", "coccicheck", "htmldocs"))):
            self.bad(self.script("tests.checkers.check", name, self.build, PATH="/nonexistent"),
                     *words)

    def test_a_new_finding_and_none(self):
        grep = ("grep -n second arch/x86/kvm/svm.c | cut -d: -f1 | "
                "while read -r n; do echo arch/x86/kvm/svm.c:$n:1-2: bad; done; "
                "echo arch/x86/kvm/svm.c:3:1-2: as ever")
        out = self.check(grep)
        self.bad(out, "new: arch/x86/kvm/svm.c: warning: bad (scripts/coccinelle/free/one.cocci)",
                 "new.cocci needs spatch 2.0", "old.cocci has no mode report", "1 findings that")
        self.assertNotIn("new: arch/x86/kvm/svm.c: warning: as ever", out.stdout)
        self.good(self.check("case \"$*\" in *--opt*) ;; *) exit 1 ;; esac"))

    def test_a_file_that_takes_too_long_is_named(self):
        self.bad(self.check("echo EXN: Coccinelle_modules.Common.Timeout in arch/x86/kvm/svm.c"),
                 "new: arch/x86/kvm/svm.c: error: not checked by scripts/coccinelle/free/one.coc")

    def test_a_semantic_patch_without_end_is_ended_and_named(self):
        fast = self.repo / "tests/checkers/coccicheck.py"
        text = fast.read_text()
        self.assertIn("PATCH_LIMIT = 600", text)
        fast.write_text(text.replace("PATCH_LIMIT = 600", "PATCH_LIMIT = 1"))
        out = self.good(self.script("tests.checkers.coccicheck", self.tree, self.temp / "out",
                                    "MAINTAINERS", "arch/x86/kvm/svm.c",
                                    **self.spatch("exec sleep 60")))
        self.assertIn("free/one.cocci:1: error: not checked: no end after 1 s", out)

    def test_a_checker_that_crashes(self):
        self.bad(self.check("echo Fatal error: exception Stack_overflow >&2; exit 2"),
                 "one.cocci: spatch failed with status 2", "Stack_overflow",
                 "coccicheck of base failed", "coccicheck-base.log")


class Checkpatch(Sandbox):
    """Commits that have passed are not checked again."""

    def setUp(self):
        super().setUp()
        self.write_kernel(self.kernel, {
            "scripts/checkpatch.pl": "#!/bin/sh\necho called >>calls\nfor commit; do\n"
                                     "\tgit show -s --format=%s $commit -- 2>&1 | grep -q second &&\n"
                                     "\t\techo 'a.c:1: ERROR: bad'\ndone\nexit 1\n"})
        (self.kernel / "scripts/checkpatch.pl").chmod(0o755)
        self.make_series()
        # The same commits, of which its own checkpatch finds another one bad.
        self.qemu = self.tree.parent / "qemu"
        self.git("clone", "-q", self.tree, self.qemu)
        self.git("branch", "-q", "-f", "base", self.git("rev-parse", "base"), cwd=self.qemu)
        self.qemu_checkpatch("git show -s --format=%s $last | grep third && exit 1; echo warning; exit 0")

    def qemu_checkpatch(self, end):
        (self.qemu / "scripts/checkpatch.pl").write_text(f"#!/bin/sh\nfor last; do :; done\n{end}\n")

    def check(self, topic=""):
        return self.script("tests.checkpatch.check", self.tree, f"QEMU={self.qemu}", f"TOPIC={topic}")

    def test_checkpatch_repeats_only_what_has_not_passed(self):
        for known in (0, 4):
            done = self.check()
            self.bad(done, "a.c:1: ERROR: bad", "KVM: third",
                     f"6 commits, {known} of them had passed before, 2 bad")
        # All three at once, then one by one; then the one that had not passed, twice.
        self.assertEqual((self.tree / "calls").read_text().count("called"), 4 + 2)
        self.commit("KVM: fourth", {"arch/x86/kvm/svm.c": lambda t: t + "int fourth;\n"})
        self.bad(self.check(), "7 commits, 4 of them")

    def test_a_checkpatch_that_crashes_fails(self):
        (self.tree / "scripts/checkpatch.pl").write_text("#!/bin/sh\nkill -9 $$\n")
        self.qemu_checkpatch("kill -9 $$")
        self.bad(self.check(), "status -9", "QEMU's checkpatch.pl ended with status -9", "6 bad")
