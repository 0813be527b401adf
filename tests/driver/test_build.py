# SPDX-License-Identifier: GPL-2.0-only
"""Building: what is refused, what is shown, images that are kept."""
import shutil
import subprocess
import threading

from scripts.build import config
from scripts.build.progress import first_error
from scripts.common import ROOT
from tests.driver.sandbox import Sandbox


class Build(Sandbox):
    """The scripts around a build, but for its configuration and images."""

    def test_two_runs_at_once(self):
        first = subprocess.Popen(["scripts/build/locked.sh", str(self.build), "sleep", "30"],
                                 cwd=self.repo)
        try:
            for _ in range(100):
                if (self.build / ".lock.pid").exists():
                    break
                threading.Event().wait(0.05)
            self.bad(self.call("scripts/build/locked.sh", self.build, "true"), "another run", "O=")
        finally:
            first.kill()
            first.wait()

    def test_missing_packages_without_root(self):
        for name, text in (("dpkg-query", "exit 1"), ("id", "echo 1000"), ("apt-get", "exit 1")):
            self.fake(name, text)
        done = self.call("scripts/packages/deps.sh", env={"PATH": self.path})
        self.bad(done, "sudo apt-get install", "ninja-build", "bochs")

    def test_an_option_that_does_not_take_names_what_is_unmet(self):
        self.write_kernel(self.kernel, {"arch/Kconfig":
                          "if NET\nconfig WANTED\n\tbool \"x\"\n\tdepends on PCI && !SMALL\nendif\n"})
        words = config.explain(self.kernel, "WANTED", {"CONFIG_NET": "y"})
        self.assertIn("PCI && !SMALL", words)
        self.assertIn("PCI is not set", words)
        self.assertNotIn("SMALL is", words)
        words = config.explain(self.kernel, "WANTED", {"CONFIG_NET": "y", "CONFIG_PCI": "y",
                                                       "CONFIG_SMALL": "y"})
        self.assertIn("SMALL is set", words)
        self.assertIn("no Kconfig file", config.explain(self.kernel, "ABSENT", {}))

    def test_an_added_file_that_was_not_built(self):
        self.make_series()
        out = self.temp / "out"
        for name in ("kernel/arch/x86/kvm", "selftests"):
            (out / name).mkdir(parents=True)
        self.bad(self.script("scripts.build.added_objects", self.tree, out), "first.c was composed but not built")
        (out / "kernel/arch/x86/kvm/first.o").write_text("")
        self.good(self.script("scripts.build.added_objects", self.tree, out))


class Progress(Sandbox):
    """What is shown of a build that fails."""

    KERNEL = ["  CC      lib/str_error_r.o", "\tCC      tools/lib/str_error_r.o",
              "  LD      drivers/error.o"]

    def test_the_line_that_says_why(self):
        for lines, why in (
                (["a.c:3:5: error: 'x' undeclared", "make[2]: *** [a.o] Error 1"], 0),
                (["a.c:9:1: warning: unused", "make[2]: *** [b.o] Error 1",
                  "ld: undefined reference to `y'"], 2),
                (["a.S:3: Error: no such instruction", "a.c:1: error: late"], 0),
                (["ERROR: modpost: \"z\" [x.ko] undefined!"], 0),
                (["a.c:9:1: warning: unused [-Werror]", "make: *** [a.o] Error 1"], 0),
                (["cp: No space left on device", "make: *** [a.o] Error 1"], 0),
                (["make[1]: *** No rule to make target 'q'.  Stop."], 0)):
            self.assertEqual(first_error(self.KERNEL + lines), len(self.KERNEL) + why, lines)
        self.assertIsNone(first_error(self.KERNEL))

    def test_a_failed_build_shows_it_and_its_status(self):
        text = "\\n".join([*self.KERNEL, *["  CC a.o"] * 30, "a.c:3:5: error: bad",
                           *["  CC b.o"] * 60])
        done = self.script("scripts.build.progress", "build x", self.temp / "log", "sh", "-c",
                           f"printf '{text}\\n'; exit 3")
        self.assertEqual(done.returncode, 3)
        self.assertIn("a.c:3:5: error: bad", done.stdout)
        self.assertNotIn("str_error_r.o", done.stdout)
        self.assertIn("failed with status 3; all of it is in", done.stdout)


class OnlyOnce(Sandbox):
    """Images that are kept in the cache."""

    def setUp(self):
        super().setUp()
        self.make_series()
        # It builds what makes it.
        build = self.repo / "scripts/build/build.sh"
        build.write_text('#!/bin/sh\necho "really builds"\nmkdir -p "$2/image"\n'
                         'cat "$1/arch/x86/kvm/svm.c" "$3" >"$2/image/file"\n'
                         'mkdir -p "$2/kernel/arch/x86/kvm"\n'
                         '[ -f "$2/unbuilt" ] || : >"$2/kernel/arch/x86/kvm/first.o"\n')
        (self.temp / "fragment").write_text("CONFIG_A=y\n")

    def image(self):
        shutil.rmtree(self.build / "debug", ignore_errors=True)
        said = self.good(self.call("scripts/build/cached_image.sh", self.tree, self.build / "debug",
                                   self.temp / "fragment"))
        return "really builds" in said, (self.build / "debug/image/file").read_text()

    def test_an_image_is_built_once_for_each_content(self):
        built, first = self.image()
        self.assertTrue(built)
        self.assertEqual(self.image(), (False, first))
        (self.temp / "fragment").write_text("CONFIG_B=y\n")
        built, second = self.image()
        self.assertTrue(built and second != first)
        (self.temp / "fragment").write_text("CONFIG_A=y\n")
        self.assertEqual(self.image(), (False, first))
        self.commit("KVM: fourth", {"arch/x86/kvm/svm.c": lambda t: t + "int fourth;\n"})
        built, third = self.image()
        self.assertTrue(built and "fourth" in third)

    def test_no_image_without_an_added_file_is_kept(self):
        self.write_kernel(self.build, {"debug/unbuilt": ""})
        self.bad(self.call("scripts/build/cached_image.sh", self.tree, self.build / "debug",
                           self.temp / "fragment"), "first.c was composed but not built")
        self.assertTrue(self.image()[0])

    def test_no_image_of_uncommitted_work_is_kept(self):
        file = self.tree / "arch/x86/kvm/svm.c"
        for text in ("int a;\n", "int b;\n", "int a;\n"):
            file.write_text(text)
            self.assertEqual(self.image(), (True, text + "CONFIG_A=y\n"))

    def test_a_damaged_image_is_built_anew(self):
        good = self.image()
        for cut in (0, 10, -4):
            kept = next((self.temp / "cache/kvm-coco/images").iterdir())
            kept.write_bytes(kept.read_bytes()[:cut])
            self.assertEqual(self.image(), good)

    def test_half_an_image_is_not_kept(self):
        self.fake("tar", "echo 'tar: no space' >&2\nexit 2")
        self.bad(self.call("scripts/build/cached_image.sh", self.tree, self.build / "debug",
                           self.temp / "fragment",
                           env={"PATH": self.path}), "no space")
        self.assertEqual(list((self.temp / "cache/kvm-coco/images").glob("*.tar.gz")), [])

    def test_an_object_with_other_data_is_no_old_one(self):
        self.write_kernel(self.temp / "objects", {
            "Makefile": "all:; cp $(DATA) data\n"
                        "\tfor f in piggy.S kernel/configs.c; do "
                        "$(CC) -Wp,-MMD,$$f.d -c -o $$f.o $$f || exit; done\n",
            "piggy.S": '.incbin "data"\n', "kernel/configs.c": 'asm(".incbin \\"data\\"");\n',
            "first": "a kernel\n", "second": "another\n"})
        for data in ("first", "second", "first"):
            self.good(self.call("scripts/build/kmake.sh", self.temp, "-C", self.temp / "objects",
                                f"DATA={data}"))
            for name in ("piggy.S.o", "kernel/configs.c.o"):
                self.assertIn((self.temp / "objects" / data).read_bytes(),
                              (self.temp / "objects" / name).read_bytes())

    def test_another_option_makes_other_objects_but_one_of_the_series_does_not(self):
        objects = self.temp / "objects"
        shutil.copytree(ROOT / "configs", self.repo / "configs")
        self.write_kernel(objects, {
            "Makefile": "all:; $(CC) -Iinclude -Wp,-MMD,a.d -c -o a.o a.c\n",
            "a.c": "#include <generated/autoconf.h>\nint a = CONFIG_A;\n"})
        self.fake("gcc", f'case "$*" in *"-o a.o"*) echo >>{self.temp}/compiled;; esac\nexec /usr/bin/gcc "$@"')
        series = next(name for name in config.options(self.repo / "configs/series.config"))
        made = {}
        for value, more, compiled in ((1, "", 1), (2, "", 2), (1, f"{series}=m\n", 2),
                                      (2, f"# {series} is not set\n", 2), (2, "CONFIG_B=y\n", 3)):
            self.write_kernel(objects, {
                ".config": f"CONFIG_A={value}\n{more}",
                "include/generated/autoconf.h": f"#define CONFIG_A {value}\n/* {more} */\n"})
            self.good(self.call("scripts/build/kmake.sh", self.temp, "-C", objects,
                                env={"PATH": self.path, "KERNEL_CONFIG": str(objects / ".config")}))
            made.setdefault(value, (objects / "a.o").read_bytes())
            self.assertEqual((objects / "a.o").read_bytes(), made[value])
            self.assertEqual(len((self.temp / "compiled").read_text()), compiled)
        self.assertNotEqual(made[1], made[2])
