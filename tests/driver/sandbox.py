# SPDX-License-Identifier: GPL-2.0-only
"""A repository of its own on a make-believe kernel: no network, a moment's time."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from scripts.common import ROOT
from tests.driver.once import once

KERNEL = {
    "Makefile": "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 99\n",
    "MAINTAINERS": "".join(f"line {n}\n" for n in range(40)),
    "arch/x86/kvm/Kconfig": "config KVM\n\tbool\n",
    "arch/x86/kvm/Makefile": "".join(f"obj-y += part{n}.o\n" for n in range(30)),
    "arch/x86/kvm/svm.c": "".join(f"int function_{n};\n" for n in range(60)),
    "arch/x86/kvm/spaced.c": "int a;\nint b;\n\n\n\n\nint c;\n",
    ".gitignore": "*.o\n/*\n!/debian/\n",
}
# A new file of the first commit; the third changes its last line.
FIRST = "int first;\n" + "".join(f"int more_{n};\n" for n in range(10)) + "int last;\n"


class Sandbox(unittest.TestCase):
    """A repository on the make-believe kernel; two topics, of which feature needs fixes."""

    def setUp(self):
        self.temp = Path(tempfile.mkdtemp(prefix="kvm-coco-test-"))
        self.addCleanup(shutil.rmtree, self.temp, ignore_errors=True)
        self.repo, self.kernel = self.temp / "repo", self.temp / "kernel"
        self.build = self.repo / "build"
        self.tree = self.build / "linux-7.3"
        for name in ("scripts", "tests"):
            shutil.copytree(ROOT / name, self.repo / name,
                            ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "bases", self.repo / "bases")
        self.write_topics(fixes="none", feature="fixes")
        (self.repo / "Kconfig").write_text("# Names and sources nothing.\n")
        (self.repo / "MAINTAINERS").write_text("# The entry.\n\nX\n")
        self.write_kernel(self.kernel)
        self.env = {**os.environ, "XDG_CACHE_HOME": str(self.temp / "cache"),
                    "KERNEL_ORG": "http://127.0.0.1:9", "PYTHONDONTWRITEBYTECODE": "1",
                    "KERNEL_SRC": str(self.kernel), "BASE": "", "SERIES": "", "EMULATOR": "",
                    "GIT_CONFIG_GLOBAL": "/dev/null",
                    "GIT_AUTHOR_NAME": "tester", "GIT_AUTHOR_EMAIL": "tester@localhost",
                    "GIT_COMMITTER_NAME": "tester", "GIT_COMMITTER_EMAIL": "tester@localhost"}

    @staticmethod
    def write_kernel(where, files=None):
        for name, text in (files or KERNEL).items():
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            (where / name).write_text(text)

    def write_topics(self, **needs):
        """patches/topics, with cover letters for those that have none."""
        for name, need in needs.items():
            letter = self.repo / f"patches/{name}/cover-letter"
            if not letter.exists():
                letter.parent.mkdir(parents=True, exist_ok=True)
                letter.write_text(f"KVM: The {name}\nNeeds: {need}\n\nWhat they are for.\n")
        (self.repo / "patches/topics").write_text("# In order.\n" + "\n".join(needs) + "\n")

    def call(self, *command, env=None, cwd=None):
        return subprocess.run([str(c) for c in command], cwd=cwd or self.repo, check=False,
                              env={**self.env, **(env or {})}, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)

    def script(self, name, *args, **env):
        """Run module NAME of the copied scripts or tests."""
        return self.call(sys.executable, "-m", name, *args, env=env)

    def fake(self, name, text):
        """A program NAME that comes before the system's, see self.path."""
        program = self.temp / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)

    @property
    def path(self):
        return f"{self.temp}/bin:{os.environ['PATH']}"

    def compose(self, **env):
        return self.script("scripts.series.compose", self.build, **env)

    def refresh(self, **env):
        return self.script("scripts.series.refresh", self.build, **env)

    def good(self, done):
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotIn("Traceback", done.stdout)
        return done.stdout

    def bad(self, done, *words):
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertNotIn("Traceback", done.stdout)
        for word in words:
            self.assertIn(word, done.stdout)

    def git(self, *args, cwd=None):
        return self.good(self.call("git", *args, cwd=cwd or self.tree)).strip()

    def commit(self, subject, changes):
        for name, edit in changes.items():
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(edit(path.read_text()) if callable(edit) else edit)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject, "-m", f"Because of {subject}.")

    def make_series(self):
        """Two commits of topic fixes and one of feature, which changes a file of the first."""
        once(self.temp, ["kernel", "repo/patches"],
             ["kernel", "cache", *[f"repo/{name}" for name in ("build", "patches", "arch", "tools")]],
             self.really_make_series)

    def really_make_series(self):
        self.good(self.compose())
        self.commit("KVM: first", {"arch/x86/kvm/first.c": FIRST,
                                   "arch/x86/kvm/Makefile": lambda t: t + "obj-y += first.o\n"})
        self.commit("KVM: second", {"arch/x86/kvm/svm.c":
                                    lambda t: t.replace("int function_30;", "int second;")})
        self.git("branch", "-f", "topic/fixes")
        # The last line of context of the hunk of spaced.c is empty.
        self.commit("KVM: third", {"tools/third.sh": "echo third\n",
                                   "arch/x86/kvm/first.c":
                                   lambda t: t.replace("int last;", "int last_by_third;"),
                                   "arch/x86/kvm/spaced.c": lambda t: t.replace("b;", "third;"),
                                   "MAINTAINERS": lambda t: t.replace("line 20\n", "line 20\nX\n")})
        self.good(self.refresh())

    def subjects(self):
        """Of the series, the first commit first."""
        return self.git("log", "--reverse", "--format=%s", "base..HEAD").split("\n")

    def patches(self):
        """The names of all patches and overrides."""
        return sorted(name[8:] for name in self.contents() if name.endswith(".patch"))

    def edit(self, name, old, new):
        """Replace OLD, which is there once, in a file of the repository."""
        path = self.repo / name
        text = path.read_text()
        self.assertEqual(text.count(old), 1, f"{name}: {old}")
        path.write_text(text.replace(old, new))

    def contents(self):
        return {str(p.relative_to(self.repo)): p.read_bytes()
                for top in ("patches", "arch", "tools") for p in (self.repo / top).rglob("*")
                if p.is_file()}

    def forget_tree(self):
        shutil.rmtree(self.tree)
