# SPDX-License-Identifier: GPL-2.0-only
"""The list of make mutants: how it is read, and what becomes of a tree."""
import tempfile
import unittest
from pathlib import Path

from scripts.common import Failed, ROOT
from scripts.series import patches
from tests.mutants import check

ONE = """# a comment
mutant some-topic: nothing is checked: at all
file dir/file.c
test amd x86/map_gpa_test -v td
-	if (wrong)
-		return -EINVAL;
+	;
-	last();
+
"""


class Mutants(unittest.TestCase):

    def apply(self, mutant, text):
        with tempfile.TemporaryDirectory() as temp:
            file = Path(temp) / mutant.file
            file.parent.mkdir()
            file.write_text(text)
            mutant.apply(Path(temp))
            return file.read_text()

    def test_a_mutant_is_read_and_applied(self):
        mutant, = check.read(ONE)
        self.assertEqual((mutant.topic, mutant.what, mutant.line),
                         ("some-topic", "nothing is checked: at all", 2))
        self.assertEqual((mutant.engine, mutant.test), ("amd", ["x86/map_gpa_test", "-v", "td"]))
        self.assertEqual(self.apply(mutant, "a\n\tif (wrong)\n\t\treturn -EINVAL;\nb\n\tlast();\n"),
                         "a\n\t;\nb\n\n")

    def test_what_it_changes_must_be_there_once(self):
        mutant, = check.read(ONE)
        for text in ("\tlast();\n", "\tif (wrong)\n\t\treturn -EINVAL;\n\tlast();\n\tlast();\n"):
            with self.assertRaises(Failed) as caught:
                self.apply(mutant, text)
            self.assertIn("mutants:2: dir/file.c has", str(caught.exception))

    def test_a_line_that_is_none(self):
        with self.assertRaises(Failed) as caught:
            check.read(ONE + "tset amd x86/map_gpa_test\n")
        self.assertIn("mutants:10: cannot read 'tset", str(caught.exception))

    def test_a_test_that_is_not_in_the_plan(self):
        mutant, = check.read(ONE.replace("-v td", "-v nothing"))
        with self.assertRaises(Failed) as caught:
            check.plan_of(mutant)
        self.assertIn("has no line 'x86/map_gpa_test -v nothing'", str(caught.exception))

    def test_every_mutant_names_a_topic_a_file_of_the_series_and_a_test(self):
        topics = {patch.topic for patch in patches.load()}
        for mutant in check.read(check.LIST.read_text()):
            self.assertIn(mutant.topic, topics)
            self.assertTrue(mutant.hunks, mutant.what)
            check.plan_of(mutant)
            for old, new in mutant.hunks:
                self.assertTrue(old and new and old != new, mutant.what)
        self.assertEqual(len({(m.topic, m.what) for m in check.read(check.LIST.read_text())}),
                         len(check.read(check.LIST.read_text())))

    def test_the_list_is_where_its_head_says(self):
        self.assertTrue((ROOT / "tests/mutants/mutants").is_file())
