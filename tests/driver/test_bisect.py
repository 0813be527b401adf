# SPDX-License-Identifier: GPL-2.0-only
"""What make bisect builds for a commit, and how it calls the tests."""
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bisect.build import changed_part
from tests.bisect.check import without_modules

TEST = "tools/testing/selftests/kvm/x86/map_gpa_test.c"


class ChangedPart(unittest.TestCase):

    def test_the_kernel_the_selftests_or_all(self):
        for files, part in (([], "selftests"), (["Documentation/virt/kvm/api.rst"], "selftests"),
                            ([TEST], "selftests"), ([TEST, "MAINTAINERS"], "selftests"),
                            (["arch/x86/kvm/x86.c", "Documentation/virt/kvm/api.rst"], "kernel"),
                            (["arch/x86/kvm/x86.c", TEST], ""), (["arch/x86/kvm/Kconfig"], ""),
                            (["include/uapi/linux/kvm.h"], ""), (["arch/x86/kvm/tdvmcall_status.h"], ""),
                            (["tools/include/linux/bits.h"], "")):
            self.assertEqual(changed_part(files), part, files)


class WithoutModules(unittest.TestCase):

    def test_those_that_are_there_and_as_many_as_the_program_takes(self):
        words = "-t 9 -m /modules/a.ko -m /modules/b.ko < bzImage".split()
        with TemporaryDirectory() as folder:
            Path(folder, "one.c").write_text("\t.max_modules = 1,\n")
            Path(folder, "many.c").write_text("\t.max_modules = LINUX_GUEST_MAX_MODULES,\n")
            for program, names, kept in (("one", "ab", "-t 9 -m /modules/a.ko < bzImage"),
                                         ("one", "b", "-t 9 -m /modules/b.ko < bzImage"),
                                         ("many", "ab", " ".join(words)),
                                         ("absent", "", "-t 9 < bzImage")):
                self.assertEqual(" ".join(without_modules(words, names, Path(folder), program)), kept)
