# SPDX-License-Identifier: GPL-2.0-only
"""The emulator's series: composed and refreshed as the kernel's, in a folder of its own."""
from tests.driver.sandbox import Sandbox

QEMU = {
    "VERSION": "10.0.99\n",
    "target/i386/cpu.c": "".join(f"int line_{n};\n" for n in range(30)),
    "hw/misc/meson.build": "files('a.c')\n",
    "meson.build": "    unpack_edk2_blobs = bzip2.found()\n",
}


class Qemu(Sandbox):
    def setUp(self):
        super().setUp()
        self.source = self.temp / "qemu"
        self.write_kernel(self.source, QEMU)
        self.tree = self.build / "qemu-10.0"
        letter = self.repo / "qemu/patches/fixes/cover-letter"
        letter.parent.mkdir(parents=True)
        letter.write_text("target/i386: The fixes\nNeeds: none\n\nWhat they are for.\n")
        (self.repo / "qemu/patches/topics").write_text("fixes\n")
        self.env |= {"SERIES": "qemu", "QEMU_SRC": str(self.source)}

    def test_a_series_there_and_back(self):
        self.good(self.compose())
        self.assertIn("= false", (self.tree / "meson.build").read_text())
        self.commit("hw/misc: A device", {"hw/misc/device.c": "int device;\n",
                                          "hw/misc/meson.build": "files('a.c', 'device.c')\n"})
        self.assertIn("1 commits, 2 files", self.good(self.refresh()))
        self.assertEqual((self.repo / "qemu/hw/misc/device.c").read_text(), "int device;\n")
        (self.repo / "qemu/hw/misc/device.c").write_text("int better;\n")
        self.assertIn("1 applied now", self.good(self.compose()))
        self.assertEqual(self.git("show", "HEAD:hw/misc/device.c"), "int better;")
        self.assertFalse((self.build / "linux-7.3").exists())

    def test_what_is_no_qemu_10_0(self):
        self.bad(self.compose(QEMU_SRC=str(self.kernel)), "is no QEMU source")
        self.write_kernel(self.source, {"VERSION": "9.2.4\n"})
        self.bad(self.compose(), "is 9.2.4: qemu 10.0.y is needed", "QEMU_SRC=")
        self.bad(self.compose(QEMU_SRC="/nowhere"), "QEMU_SRC=/nowhere: no such file")
        self.bad(self.compose(SERIES="bochs"), "SERIES=bochs: no such series; there are: linux qemu")

    def test_no_network_and_what_the_archive_has(self):
        self.fake("apt-get", "case \"$*\" in\n"
                  "indextargets*) echo 'Debian|Debian|http://127.0.0.1:9/x' ;;\nesac")
        self.fake("apt-cache", "case \"$*\" in\n*showsrc*) echo 'Version: 1:11.0.1+ds-1' ;;\n"
                  "*madison*) echo 'qemu | 1:11.0.1+ds-1 | http://127.0.0.1:9/x trixie/main Sources' "
                  ";;\nesac")
        self.bad(self.compose(QEMU_SRC="", PATH=self.path), "trixie: no qemu 10.0.y",
                 "can be had: qemu 1:11.0.1+ds-1 (trixie)", "QEMU_SRC=")

    def test_a_patch_that_does_not_apply(self):
        self.good(self.compose())
        self.commit("target/i386: Change", {"target/i386/cpu.c":
                                            lambda t: t.replace("line_9;", "changed;")})
        self.good(self.refresh())
        self.write_kernel(self.source, {"target/i386/cpu.c": "int other;\n"})
        self.git("reset", "-q", "--hard", "HEAD")
        self.bad(self.compose(), "patches/fixes/0001-target-i386-Change.patch does not apply",
                 "QEMU_SRC=")
