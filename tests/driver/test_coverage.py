# SPDX-License-Identifier: GPL-2.0-only
"""make coverage: what is made of the counts."""
import subprocess
import tempfile
import unittest
from pathlib import Path

from scripts.common import Failed
from tests.coverage.counts import report, write_counts


class Coverage(unittest.TestCase):
    """Counts that come as hex on a serial port, with gcc's own as the example."""

    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.temp = Path(temp.name)
        self.tree, self.kernel = self.temp / "tree", self.temp / "kernel"
        for where in (self.tree, self.kernel):
            (where / "arch/x86").mkdir(parents=True)
        (self.tree / "arch/x86/a.c").write_text(
            "int a(int x)\n{\n\tif (x > 3)\n\t\treturn 1;\n\treturn 2;\n}\n")
        (self.temp / "main.c").write_text("int a(int);\nint main(int c, char **v) { return a(c); }\n")
        self.build("-O0")

    def build(self, option):
        for command in (("gcc", option, "--coverage", "-c", "-o", "arch/x86/a.o",
                         self.tree / "arch/x86/a.c"),
                        ("gcc", "-o", "a", self.temp / "main.c", "arch/x86/a.o", "--coverage")):
            subprocess.run(command, cwd=self.kernel, check=True)

    def counts(self, *args):
        """What a run with ARGS has counted, in hex."""
        file = self.kernel / "arch/x86/a.gcda"
        file.unlink(missing_ok=True)
        subprocess.run([self.kernel / "a", *args], check=False)
        return file.read_bytes().hex()

    def report(self, *results):
        (self.kernel / "arch/x86/a.gcda").unlink(missing_ok=True)
        folder = self.temp / "counts"
        folder.mkdir()
        write_counts(self.kernel, folder, [text.encode() for text in results])
        return report(self.tree, self.kernel, folder, ["arch/x86/a.c"], folder)["arch/x86/a.c"]

    def test_machines_and_guests_are_added_up(self):
        few, many = self.counts(), self.counts("1", "2", "3")
        size, half = len(many) // 2, len(many) // 4
        name = "/sys/kernel/debug/gcov/kernel/arch/x86/a.gcda"
        lines = self.report(f"# gcov {name} {few}\r\n",
                            f"# gcov 77 {name} 0 {size} {many[:half * 2]}\n"
                            f"# [1.0] gcov 77 {name} {half} {size} {many[half * 2:]}\n"
                            f"# gcov 88 {name} 0 {size} {many[:half * 2]}\n")
        self.assertEqual({number: count for number, (count, _) in lines.items()},
                         {1: 2, 3: 2, 4: 1, 5: 1})
        self.assertEqual(lines[3][1], [1, 1])
        self.assertTrue((self.temp / "counts/index.html").is_file())

    def test_counts_of_another_build(self):
        counts = self.counts()
        self.build("-O2")
        with self.assertRaisesRegex(Failed, "another build"):
            self.report(f"# gcov /x/arch/x86/a.gcda {counts}\n")
