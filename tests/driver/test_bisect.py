# SPDX-License-Identifier: GPL-2.0-only
"""What make bisect builds for a commit."""
import unittest

from tests.bisect.build import changed_part

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
