# SPDX-License-Identifier: GPL-2.0-only
"""The driver's own tests: round trips of the series, and bad input.

They run copies of the scripts on a small make-believe kernel, with a cache of
their own, no network and a moment's time; the real kernel is make check's job.
"""
import concurrent.futures
import http.server
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
import unittest.mock
import xml.etree.ElementTree
from pathlib import Path

sys.dont_write_bytecode = True
from scripts.bench import bench
from scripts.bench import picture as bench_picture
from scripts.bench import rows as bench_rows
from tests.checkers import check as checkers
from scripts.build import config
from tests.configs import check as configs
from scripts.machine import run

KERNEL = {
    "Makefile": "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 99\n",
    "MAINTAINERS": "".join(f"line {n}\n" for n in range(40)),
    "arch/x86/kvm/Makefile": "".join(f"obj-y += part{n}.o\n" for n in range(30)),
    "arch/x86/kvm/svm.c": "".join(f"int function_{n};\n" for n in range(60)),
    "arch/x86/kvm/spaced.c": "int a;\nint b;\n\n\n\n\nint c;\n",
    ".gitignore": "*.o\n/*\n!/debian/\n",
}


class Sandbox(unittest.TestCase):
    """A repository with three commits on the make-believe kernel."""

    def setUp(self):
        self.temp = Path(tempfile.mkdtemp(prefix="kvm-coco-test-"))
        self.addCleanup(shutil.rmtree, self.temp, ignore_errors=True)
        self.repo, self.kernel = self.temp / "repo", self.temp / "kernel"
        self.build = self.repo / "build"
        self.tree = self.build / "linux-7.3"
        shutil.copytree(ROOT / "scripts", self.repo / "scripts",
                        ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "bases", self.repo / "bases")
        (self.repo / "patches/v7.3").mkdir(parents=True)
        (self.repo / "patches/series").write_text("")
        self.write_kernel(self.kernel)
        self.env = {**os.environ, "XDG_CACHE_HOME": str(self.temp / "cache"),
                    "KERNEL_ORG": "http://127.0.0.1:9", "PYTHONDONTWRITEBYTECODE": "1",
                    "KERNEL_SRC": str(self.kernel), "BASE": "", "GIT_CONFIG_GLOBAL": "/dev/null",
                    "GIT_AUTHOR_NAME": "tester", "GIT_AUTHOR_EMAIL": "tester@localhost",
                    "GIT_COMMITTER_NAME": "tester", "GIT_COMMITTER_EMAIL": "tester@localhost"}

    @staticmethod
    def write_kernel(where, files=None):
        for name, text in (files or KERNEL).items():
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            (where / name).write_text(text)

    def call(self, *command, env=None, cwd=None):
        return subprocess.run([str(c) for c in command], cwd=cwd or self.repo, check=False,
                              env={**self.env, **(env or {})}, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)

    def script(self, name, *args, **env):
        return self.call(sys.executable, f"scripts/{name}.py", *args, env=env)

    def compose(self, **env):
        return self.script("compose", self.build, **env)

    def refresh(self):
        return self.script("refresh", self.build)

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
        self.good(self.compose())
        self.commit("KVM: first", {"arch/x86/kvm/first.c": "int first;\n",
                                   "arch/x86/kvm/Makefile": lambda t: t + "obj-y += first.o\n"})
        self.commit("KVM: second", {"arch/x86/kvm/svm.c":
                                    lambda t: t.replace("int function_30;", "int second;")})
        # The last line of context of this hunk is empty.
        self.commit("KVM: third", {"tools/third.sh": "echo third\n",
                                   "arch/x86/kvm/spaced.c": lambda t: t.replace("b;", "third;"),
                                   "MAINTAINERS": lambda t: t.replace("line 20\n", "line 20\nX\n")})
        self.good(self.refresh())

    def contents(self):
        return {str(p.relative_to(self.repo)): p.read_bytes()
                for top in ("patches", "arch", "tools") for p in (self.repo / top).rglob("*")
                if p.is_file()}

    def forget_tree(self):
        shutil.rmtree(self.tree)


class RoundTrip(Sandbox):
    def test_compose_refresh_compose_gives_the_same_tree(self):
        self.make_series()
        before, files = self.git("rev-parse", "HEAD^{tree}"), self.contents()
        self.forget_tree()
        self.good(self.compose())
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}"), before)
        self.assertEqual(self.git("rev-list", "--count", "base..HEAD"), "3")
        self.good(self.refresh())
        self.assertEqual(self.contents(), files)
        self.forget_tree()
        self.good(self.compose())
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}"), before)

    def test_new_work_in_the_tree_is_visible_to_git(self):
        self.good(self.compose())
        (self.tree / "new.c").write_text("int x;\n")
        self.assertIn("new.c", self.git("status", "--porcelain"))

    def test_fixup_of_a_hook_and_a_mirror_file_changes_exactly_those(self):
        self.make_series()
        before = self.contents()
        for name, old, new in (("arch/x86/kvm/Makefile", "first.o\n", "first.o # why\n"),
                               ("arch/x86/kvm/first.c", "int first;", "long first;")):
            path = self.tree / name
            path.write_text(path.read_text().replace(old, new))
        self.git("commit", "-q", "-a", "--fixup", "HEAD~2")
        self.bad(self.refresh(), "autosquash")
        self.good(self.call("git", "rebase", "-q", "-i", "--autosquash", "base", cwd=self.tree,
                            env={"GIT_SEQUENCE_EDITOR": "true"}))
        self.good(self.refresh())
        after = self.contents()
        changed = sorted(name for name in after if after[name] != before.get(name))
        self.assertEqual(changed, ["arch/x86/kvm/first.c", "patches/v7.3/0001-KVM-first.patch"])
        self.assertEqual(set(before), set(after))

    def test_a_dropped_commit_takes_its_files_along(self):
        self.make_series()
        self.git("reset", "-q", "--hard", "HEAD~1")
        self.good(self.refresh())
        self.assertFalse((self.repo / "tools/third.sh").exists())
        self.assertNotIn("third", (self.repo / "patches/series").read_text())

    def test_unchanged_is_left_alone_and_a_change_applies_from_there(self):
        self.make_series()
        commits = self.git("rev-list", "--reverse", "base..HEAD").split()
        self.assertIn("0 applied now", self.good(self.compose()))
        (self.repo / "tools/third.sh").write_text("echo changed\n")
        self.assertIn("1 applied now", self.good(self.compose()))
        self.assertEqual(self.git("rev-list", "--reverse", "base..HEAD").split()[:2], commits[:2])
        self.assertEqual((self.tree / "tools/third.sh").read_text(), "echo changed\n")

    def test_apply_to_a_git_tree_and_to_a_plain_directory(self):
        self.make_series()
        want = self.git("rev-parse", "HEAD^{tree}")
        plain = self.temp / "plain"
        self.write_kernel(plain)
        (plain / ".gitignore").write_text("*.o\n")
        self.good(self.script("apply", plain))
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}", cwd=plain), want)
        self.assertEqual(self.git("log", "--format=%s", "-3", cwd=plain).split("\n"),
                         ["KVM: third", "KVM: second", "KVM: first"])
        clone = self.temp / "clone"
        self.git("clone", "-q", "-b", "base", str(plain), str(clone), cwd=self.temp)
        self.good(self.script("apply", clone))
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}", cwd=clone), want)
        self.bad(self.script("apply", clone), "branch kvm-coco already")
        self.bad(self.script("apply", ""), "KDIR=")
        self.bad(self.script("apply", self.temp / "none"), "no such directory")


class BadSeries(Sandbox):
    def setUp(self):
        super().setUp()
        self.make_series()

    def test_a_patch_that_does_not_apply_names_patch_file_and_line(self):
        patch = self.repo / "patches/v7.3/0002-KVM-second.patch"
        patch.write_text(patch.read_text().replace("int function_30;", "int elsewhere;"))
        self.bad(self.compose(), "0002-KVM-second.patch does not apply to v7.3.99",
                 "arch/x86/kvm/svm.c:", "make refresh or KERNEL_SRC=")
        self.assertEqual(self.git("log", "--format=%s", "base..HEAD"), "KVM: first")
        self.assertEqual(self.git("status", "--porcelain"), "")
        patch.write_text(patch.read_text().replace("int elsewhere;", "int function_30;"))
        self.assertIn("2 applied now", self.good(self.compose()))

    def test_a_mirror_file_that_no_patch_adds(self):
        (self.repo / "arch/x86/kvm/orphan.c").write_text("")
        self.bad(self.compose(), "no patch Adds arch/x86/kvm/orphan.c")

    def test_an_adds_that_does_not_exist(self):
        (self.repo / "arch/x86/kvm/first.c").unlink()
        self.bad(self.compose(), "0001-KVM-first.patch Adds arch/x86/kvm/first.c",
                 "does not exist")

    def test_two_owners_an_unlisted_patch_and_a_missing_one(self):
        patch = self.repo / "patches/v7.3/0003-KVM-third.patch"
        text = patch.read_text()
        patch.write_text(text.replace("Adds: tools", "Adds: arch/x86/kvm/first.c\nAdds: tools"))
        self.bad(self.compose(), "belongs to one commit")
        patch.write_text(text)
        stray = self.repo / "patches/v7.3/0009-stray.patch"
        stray.write_text(text)
        self.bad(self.compose(), "0009-stray.patch is not in patches/series")
        stray.unlink()
        patch.unlink()
        self.bad(self.compose(), "0003-KVM-third.patch, which does not exist")

    def test_a_commit_without_a_hook(self):
        self.commit("KVM: lonely", {"arch/x86/kvm/lonely.c": "int lonely;\n"})
        before = self.contents()
        self.bad(self.refresh(), "KVM: lonely", "hook")
        self.assertEqual(self.contents(), before)

    def test_uncommitted_work_is_not_overwritten(self):
        (self.tree / "MAINTAINERS").write_text("my work\n")
        (self.repo / "tools/third.sh").write_text("echo changed\n")
        self.bad(self.compose(), "uncommitted changes", "MAINTAINERS", "make refresh", "reset")
        self.assertEqual((self.tree / "MAINTAINERS").read_text(), "my work\n")
        self.bad(self.refresh(), "uncommitted changes")

    def test_unrefreshed_commits_are_not_overwritten(self):
        self.commit("KVM: fourth", {"MAINTAINERS": "fourth\n"})
        self.assertIn("left as it is", self.good(self.compose()))
        (self.repo / "tools/third.sh").write_text("echo changed\n")
        self.bad(self.compose(), "make refresh has not seen")
        self.assertEqual(self.git("log", "-1", "--format=%s"), "KVM: fourth")

    def test_an_added_file_that_was_not_built(self):
        out = self.temp / "out"
        for name in ("kernel/arch/x86/kvm", "selftests"):
            (out / name).mkdir(parents=True)
        self.bad(self.script("added_objects", out), "first.c was composed but not built")
        (out / "kernel/arch/x86/kvm/first.o").write_text("")
        self.good(self.script("added_objects", out))


class OtherBase(Sandbox):
    """BASE=7.2: the patches of 7.3, and instead of some their overrides."""

    def setUp(self):
        super().setUp()
        self.make_series()
        self.older, self.kernel72 = self.build / "linux-7.2", self.temp / "kernel72"
        self.write_kernel(self.kernel72, {
            **KERNEL, "Makefile": KERNEL["Makefile"].replace("PATCHLEVEL = 3", "PATCHLEVEL = 2"),
            "arch/x86/kvm/svm.c": KERNEL["arch/x86/kvm/svm.c"].replace("function_28", "older_28")})
        self.env72 = {"BASE": "7.2", "KERNEL_SRC": str(self.kernel72)}

    def port(self):
        """What a developer does: cherry-pick the commits, change what differs."""
        self.bad(self.compose(**self.env72), "0002-KVM-second.patch does not apply to v7.2.99")
        commits = self.git("rev-list", "--reverse", "base..series").split()
        self.git("fetch", "-q", str(self.tree), "series", cwd=self.older)
        self.git("reset", "-q", "--hard", "base", cwd=self.older)
        self.git("cherry-pick", commits[0], cwd=self.older)
        (self.older / "arch/x86/kvm/first.c").write_text("int first_of_7_2;\n")
        self.git("commit", "-q", "-a", "--amend", "--no-edit", cwd=self.older)
        self.git("cherry-pick", *commits[1:], cwd=self.older)
        self.good(self.script("refresh", self.build, BASE="7.2"))

    def test_overrides_are_for_their_base_only(self):
        before, tree = self.contents(), self.git("rev-parse", "HEAD^{tree}")
        self.port()
        after = self.contents()
        self.assertEqual({name: after[name] for name in before}, before)
        self.assertEqual(sorted(set(after) - set(before)),
                         ["patches/v7.2/0001-KVM-first.patch", "patches/v7.2/0002-KVM-second.patch"])
        older = self.git("rev-parse", "HEAD^{tree}", cwd=self.older)
        shutil.rmtree(self.older)
        self.good(self.compose(**self.env72))
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}", cwd=self.older), older)
        self.assertEqual((self.older / "arch/x86/kvm/first.c").read_text(), "int first_of_7_2;\n")
        self.forget_tree()
        self.good(self.compose())
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}"), tree)
        # An override that has become needless goes, a renamed patch takes its own along.
        self.git("fetch", "-q", str(self.tree), "series", cwd=self.older)
        commits = self.git("rev-list", "--reverse", "base..series").split()
        self.git("reset", "-q", "--hard", "base", cwd=self.older)
        self.git("cherry-pick", *commits, cwd=self.older)
        self.assertIn("0001-KVM-first.patch (deleted",
                      self.good(self.script("refresh", self.build, BASE="7.2")))
        self.git("rebase", "-q", "--onto", "base", "HEAD~2")
        self.assertIn("v7.2/0001-KVM-second.patch (was", self.good(self.refresh()))

    def test_an_override_of_nothing_and_one_of_an_older_patch(self):
        self.port()
        patch = self.repo / "patches/v7.3/0002-KVM-second.patch"
        patch.write_text(patch.read_text().replace("Because", "Just because"))
        self.bad(self.compose(**self.env72), "v7.2/0002-KVM-second.patch was made for another",
                 "Replaces: ")
        self.good(self.compose())
        override = self.repo / "patches/v7.2/0002-KVM-second.patch"
        override.rename(override.with_name("0002-KVM-other.patch"))
        self.bad(self.compose(), "patches/v7.2/0002-KVM-other.patch is not in patches/series")

    def test_commits_are_added_and_renamed_on_the_main_base_only(self):
        self.port()
        before = self.contents()
        self.git("commit", "-q", "--amend", "-m", "KVM: another", cwd=self.older)
        self.bad(self.script("refresh", self.build, BASE="7.2"), "order and subjects")
        self.git("reset", "-q", "--hard", "HEAD~1", cwd=self.older)
        self.bad(self.script("refresh", self.build, BASE="7.2"), "2 commits, the series 3")
        self.assertEqual(self.contents(), before)

    def test_an_unknown_base(self):
        self.bad(self.compose(BASE="9.9"), "BASE=9.9: no such base; there are: 7.2 7.3")
        self.bad(self.call("make", "-f", ROOT / "Makefile", "compose", "BASE=9.9"),
                 "BASE=9.9: no such base; there are: 7.2 7.3")


class BadBase(Sandbox):
    def test_a_package_that_vanished(self):
        bin_dir = self.temp / "bin"
        bin_dir.mkdir()
        for name, text in (("apt-get", "case \"$*\" in\n"
                            "indextargets*) echo 'Debian|Debian|http://127.0.0.1:9/x' ;;\n"
                            "*' download '*) echo 'E: Unable to locate package' >&2; exit 100 ;;\nesac"),
                           ("apt-cache", "case \"$*\" in\n*pkgnames*) echo linux-source-7.2 ;;\n"
                            "*madison*) echo 'linux-source-7.2 |   7.2.13-1 | http://127.0.0.1:9/x "
                            "sid/main amd64 Packages' ;;\nesac")):
            (bin_dir / name).write_text(f"#!/bin/sh\n{text}\n")
            (bin_dir / name).chmod(0o755)
        self.bad(self.compose(KERNEL_SRC="", PATH=f"{bin_dir}:{os.environ['PATH']}"),
                 "Unable to locate", "can be had: linux-source-7.2 7.2.13-1 (sid)",
                 "BASE= takes one of 7.2 7.3", "KERNEL_SRC=")

    def test_no_network_and_no_cache(self):
        bin_dir = self.temp / "bin"
        bin_dir.mkdir()
        (bin_dir / "apt-get").write_text(
            "#!/bin/sh\n[ \"$1\" = indextargets ] && echo 'Debian|Debian|http://127.0.0.1:9/x'\n"
            "echo 'E: cannot connect' >&2; exit 100\n")
        (bin_dir / "apt-get").chmod(0o755)
        done = self.compose(KERNEL_SRC="", PATH=f"{bin_dir}:{os.environ['PATH']}")
        self.bad(done, "no v7.3 source", "cannot connect", "kernel.org", "KERNEL_SRC=")
        self.assertFalse(self.tree.exists())

    def serve(self, files):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = files.get(self.path.rsplit("/", 1)[-1], b"")
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_address[1]}"

    def tarball(self):
        tar = self.temp / "linux-7.3.99.tar.xz"
        self.good(self.call("tar", "-C", self.temp, "-cJf", tar, "kernel"))
        return tar

    def test_kernel_org_and_a_download_cut_short(self):
        tar = self.tarball()
        digest = self.good(self.call("sha256sum", tar)).split()[0]
        sums = f"{digest}  linux-7.3.99.tar.xz\n".encode()
        no_apt = self.temp / "bin"
        no_apt.mkdir()
        (no_apt / "apt-get").write_text("#!/bin/sh\nexit 100\n")
        (no_apt / "apt-get").chmod(0o755)
        env = {"KERNEL_SRC": "", "PATH": f"{no_apt}:{os.environ['PATH']}"}
        short = self.serve({"sha256sums.asc": sums, tar.name: tar.read_bytes()[:-40]})
        self.bad(self.compose(**env, KERNEL_ORG=short), "sha256 is not", "cut short")
        whole = self.serve({"sha256sums.asc": sums, tar.name: tar.read_bytes()})
        self.assertIn("kernel.org", self.good(self.compose(**env, KERNEL_ORG=whole)))
        # The next checkout takes it from the cache, without any network.
        self.forget_tree()
        self.assertIn("0 commits on 7.3.99", self.good(self.compose(**env)))

    def test_a_tarball_and_a_tarball_cut_short(self):
        tar = self.tarball()
        self.good(self.compose(KERNEL_SRC=str(tar)))
        self.forget_tree()
        tar.write_bytes(tar.read_bytes()[:-100])
        self.bad(self.compose(KERNEL_SRC=str(tar)), tar.name, "cannot be unpacked")
        self.assertFalse(self.tree.exists())

    def test_a_git_tree_as_kernel_src(self):
        self.git("init", "-q", cwd=self.kernel)
        self.git("add", "-f", "-A", cwd=self.kernel)
        self.git("commit", "-q", "-m", "x", cwd=self.kernel)
        self.assertIn("git tree at", self.good(self.compose()))

    def test_kernel_src_that_is_no_kernel_or_another_version(self):
        self.bad(self.compose(KERNEL_SRC=str(self.temp)), "is no kernel tree")
        self.bad(self.compose(KERNEL_SRC="/nonexistent"), "no such file")
        makefile = self.kernel / "Makefile"
        makefile.write_text(KERNEL["Makefile"].replace("PATCHLEVEL = 3", "PATCHLEVEL = 2"))
        self.bad(self.compose(), "is 7.2.99", "needs 7.3.y")
        makefile.write_text(KERNEL["Makefile"].replace("PATCHLEVEL = 3", "PATCHLEVEL = 4"))
        self.assertIn("*** KERNEL_SRC", self.good(self.compose()))

    def test_no_disk_space(self):
        done = self.call(sys.executable, "-c", "import sys; sys.path.insert(0, 'scripts')\n"
                         "import base\nbase.NEED_BYTES = 1 << 60\n"
                         "base.room.__defaults__ = (1 << 60,)\n"
                         "base.run_main('base', lambda: base.ensure(sys.argv[1]))", self.kernel)
        self.bad(done, "MiB free", "make room")

    def test_a_damaged_cache_entry_is_taken_out(self):
        self.good(self.compose())
        pack = next((self.temp / "cache").rglob("*.pack"))
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[:-1] + b"?")
        self.forget_tree()
        self.assertIn("damaged", self.good(self.compose()))
        self.assertEqual(self.git("fsck"), "")

    def test_another_base_replaces_a_clean_tree_only(self):
        self.make_series()
        self.write_kernel(self.kernel, {"MAINTAINERS": KERNEL["MAINTAINERS"] + "more\n"})
        (self.tree / "Makefile").write_text("my work\n")
        self.bad(self.compose(), "uncommitted changes", "another base")
        self.git("checkout", "-q", "Makefile")
        self.good(self.compose())
        self.assertIn("more", (self.tree / "MAINTAINERS").read_text())


class Driver(Sandbox):
    def test_two_runs_at_once(self):
        first = subprocess.Popen(["scripts/locked.sh", str(self.build), "sleep", "30"],
                                 cwd=self.repo)
        try:
            for _ in range(100):
                if (self.build / ".lock.pid").exists():
                    break
                threading.Event().wait(0.05)
            self.bad(self.call("scripts/locked.sh", self.build, "true"), "another run", "O=")
        finally:
            first.kill()
            first.wait()

    def test_missing_packages_without_root(self):
        bin_dir = self.temp / "bin"
        bin_dir.mkdir()
        for name, text in (("dpkg-query", "exit 1"), ("id", "echo 1000"), ("apt-get", "exit 1")):
            (bin_dir / name).write_text(f"#!/bin/sh\n{text}\n")
            (bin_dir / name).chmod(0o755)
        done = self.call("scripts/deps.sh", env={"PATH": f"{bin_dir}:{os.environ['PATH']}"})
        self.bad(done, "sudo apt-get install", "qemu-system-x86", "bochs")

    def test_wrong_engine_wrong_test_and_a_missing_emulator(self):
        common = [sys.executable, ROOT / "scripts/run.py", "--build", self.temp, "--init",
                  self.temp / "init", "--run-dir", self.temp / "run"]
        self.bad(self.call(*common, "--engine", "arm"), "ENGINE=arm", "amd intel")
        self.bad(self.call(*common, "--tests", "no_such_test"), "TESTS=no_such_test",
                 "fix_hypercall_test")
        tests = self.temp / "selftests/x86"
        tests.mkdir(parents=True)
        (tests / "fix_hypercall_test").write_text("")
        (self.temp / "init").write_text("")
        (self.temp / "modules").mkdir()
        for name in ("kvm-amd", "kvm-intel"):
            (self.temp / f"modules/{name}.ko").write_text("")
        bin_dir = self.temp / "bin"
        bin_dir.mkdir()
        (bin_dir / "modinfo").write_text("#!/bin/sh\n")
        (bin_dir / "modinfo").chmod(0o755)
        for tool in ("find", "cpio", "gzip"):
            (bin_dir / tool).symlink_to(shutil.which(tool))
        for engine, word in (("amd", "qemu-system-x86"), ("intel", "bochs")):
            self.bad(self.call(*common, "--engine", engine, "--tests", "fix_hypercall_test",
                               env={"PATH": str(bin_dir)}), f"apt-get install {word}")

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


class DebConfig(Sandbox):
    """The configuration of make deb, with a kconfig that takes whatever it is given."""

    def setUp(self):
        super().setUp()
        shutil.copytree(ROOT / "configs", self.repo / "configs")
        (self.kernel / "Kconfig").write_text("config KVM\n\tbool\nconfig OTHER\n\tbool\n")
        (self.kernel / "Makefile").write_text("olddefconfig: ;@$(CHANGE)\n")

    def deb_config(self, text, change=":"):
        given = self.temp / "given"
        given.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.script("deb_config", self.kernel, self.temp / "out/kernel", given,
                           CHANGE=change)

    def test_what_is_no_configuration(self):
        self.bad(self.script("deb_config", self.kernel, self.temp / "out", "/none"),
                 "KCONFIG=/none: no such file")
        self.bad(self.deb_config("# nothing\n"), "given is no kernel configuration")
        self.bad(self.deb_config(b"\x1f\x8bx"), "given: ", "give another, KCONFIG=FILE")
        self.bad(self.deb_config("# Linux/arm64 7.3.0 Kernel Configuration\nCONFIG_ARM64=y\n"),
                 "given is a configuration for arm64")

    def test_what_could_not_be_used(self):
        self.bad(self.deb_config("CONFIG_PCI=y\n", "sed -i /_KVM/d $(O)/.config"),
                 "no KVM with this configuration", "KVM is not set")
        self.bad(self.deb_config("CONFIG_PCI=y\n", "sed -i '/_KVM_[AI]/d' $(O)/.config"),
                 "KVM_AMD is not set", "KVM_INTEL is not set")
        self.bad(self.deb_config("CONFIG_MODULE_SIG_FORCE=y\n"), "no module of this build")

    def test_changes_are_said_and_the_rest_is_kept(self):
        out = self.good(self.deb_config(
            'CONFIG_KVM=y\nCONFIG_OTHER=y\nCONFIG_GONE=y\nCONFIG_HZ=100\n'
            'CONFIG_SYSTEM_TRUSTED_KEYS="debian/certs/x.pem"\n',
            "sed -i '/_OTHER/d; /_GONE/d; /_SEV=/d' $(O)/.config"))
        config_file = (self.temp / "out/kernel/.config").read_text()
        self.assertNotIn("CONFIG_KVM=m", config_file)
        self.assertIn("CONFIG_HZ=100\n", config_file)
        self.assertIn('CONFIG_SYSTEM_TRUSTED_KEYS=""\n', config_file)
        for words in ("CONFIG_KVM_AMD=m, it was n", "*** CONFIG_KVM_AMD_SEV=y cannot be set",
                      "debian/certs/x.pem is not here"):
            self.assertIn(words, out)
        lost = (self.temp / "out/log/options-lost").read_text()
        self.assertIn("CONFIG_OTHER=y: n\n", lost)
        self.assertIn("# unknown to this kernel\nCONFIG_GONE=y: n\n", lost)


class Engine(Sandbox):
    """run.py around an engine that is a shell script."""

    def setUp(self):
        super().setUp()
        for name in ("selftests/x86", "modules", "bin"):
            (self.temp / name).mkdir(parents=True)
        for name in ("selftests/x86/fix_hypercall_test", "modules/kvm-amd.ko", "bzImage", "init"):
            (self.temp / name).write_text("")
        self.fake("modinfo", "")
        self.pid_file = self.temp / "pid"
        self.command = [sys.executable, ROOT / "scripts/run.py", "--build", self.temp, "--init",
                        self.temp / "init", "--run-dir", self.temp / "run", "--engine", "amd",
                        "--tests", "fix_hypercall_test"]
        self.env["PATH"] = f"{self.temp}/bin:{os.environ['PATH']}"

    def fake(self, name, text):
        (self.temp / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.temp / "bin" / name).chmod(0o755)

    def fake_qemu(self, text):
        run_dir = self.temp / "run/amd"
        self.fake("qemu-system-x86_64", f"cd {run_dir}; echo $$ >{self.pid_file}; {text}")

    def alive(self):
        return Path(f"/proc/{self.pid_file.read_text().strip()}/exe").exists()

    RESULT = "echo 'ok 1 selftests: kvm: x86/fix_hypercall_test' >results"

    def test_a_run_that_passes_ends_though_the_engine_does_not(self):
        self.fake_qemu(f"{self.RESULT}; echo '# end of plan' >>results; sleep 300")
        self.assertIn("1 passed, 0 failed, 0 skipped", self.good(self.call(*self.command)))
        self.assertFalse(self.alive())

    def test_a_hang_is_ended_and_shows_the_console(self):
        self.fake_qemu(f"{self.RESULT}; echo the last words >console; sleep 300")
        self.bad(self.call(*self.command, "--limit", "2"), "no end of plan after 2 s",
                 "the last words", "1 passed, 1 failed")
        self.assertFalse(self.alive())

    def test_a_panic_and_an_engine_that_dies(self):
        self.fake_qemu("echo 'Kernel panic - not syncing: VFS' >console")
        self.bad(self.call(*self.command), "Kernel panic", "ended before the plan",
                 "0 passed, 3 failed")

    def test_the_base_runs_what_both_kernels_pass(self):
        base = self.temp / "base"
        (base / "modules").mkdir(parents=True)
        for file, text in ((base / "modules/kvm-intel.ko", ""), (base / "bzImage", "of the base"),
                           (self.temp / "modules/kvm-intel.ko", ""), (self.temp / "bzImage", "ours"),
                           (self.temp / "selftests/x86/vmx_feature_msrs_test", "")):
            file.write_text(text)
        (base / "System.map").write_text("")
        self.fake("modinfo", '[ "$2" = depends ] || echo 7.3.4')
        self.fake("xorriso", "")
        self.fake("grub-mkrescue", 'cp "$3/bzImage" "$(dirname "$2")/booted"')
        result = "selftests: kvm: x86/vmx_feature_msrs_test"
        self.fake("bochs", f'cd "$(dirname "$3")"; echo "ok 1 {result}\nok 2 {result}" >results\n'
                           "echo '# end of plan' >>results")
        out = self.good(self.call(*self.command[:-4], "--engine", "intel", "--set", "full", "--base",
                                  base, "--tests", "vmx_feature_msrs_test"))
        self.assertIn("4 passed, 0 failed, 0 skipped", out)
        for name, kernel in (("intel", "ours"), ("intel-base", "of the base")):
            self.assertEqual((self.temp / "run" / name / "booted").read_text(), kernel)

    END = "echo '# end of plan' >>results"

    def second_run(self, first, second, test="fix_hypercall_test", then=END):
        """A run of TEST with result FIRST, in a second machine SECOND."""
        (self.temp / f"selftests/x86/{test}").write_text("")
        self.fake("qemu-system-x86_64", f"""
            for a; do case $a in file:*/results) cd "$(dirname "${{a#file:}}")" ;; esac; done
            case $PWD in *-again) r='{second}' ;; *) r='{first}' ;; esac
            echo "$r 1 selftests: kvm: x86/{test} # exit=254" >results; {then}""")
        return self.call(*self.command[:-1], test)

    def test_a_test_of_mainline_gets_a_second_run(self):
        out = self.good(self.second_run("not ok", "ok"))
        self.assertIn("1 passed, 0 failed, 0 skipped", out)
        self.assertRegex(out, r"x86/fix_hypercall_test +2nd +0.0 +pass ")
        self.assertIn(f"fail exit=254, see {self.temp}/run/amd/results", out)

    def test_a_second_failure_counts(self):
        self.bad(self.second_run("not ok", "not ok"), "0 passed, 1 failed, 0 skipped", "2nd",
                 "amd-again: x86/fix_hypercall_test: fail")

    def test_one_of_three_tries_has_to_pass(self):
        other = " 2 selftests: kvm: x86/fix_hypercall_test # exit=254"
        for tries, status in ((("ok", "not ok"), 0), (("not ok", "ok"), 0),
                              (("not ok", "not ok"), 1)):
            more = "".join(f"echo '{word}{other}' >>results; " for word in tries)
            done = self.second_run("not ok", "not ok",
                                   then=f"case $PWD in *-again) {more} ;; esac; {self.END}")
            self.assertEqual(done.returncode, status, done.stdout)
            self.assertIn(f"{1 - status} passed, {status} failed, 0 skipped", done.stdout)
        plan = subprocess.run("zcat run/amd-again/initrd | cpio -i --to-stdout plan", shell=True,
                              cwd=self.temp, capture_output=True, text=True, check=True).stdout
        self.assertEqual(plan.count("fix_hypercall_test"), 3, plan)

    def test_a_splat_of_either_machine_counts(self):
        for machine in ("amd", "amd-again"):
            out = self.second_run("not ok", "ok", then=f"case $PWD in */{machine}) "
                                  f"echo BUG: x >console ;; esac; {self.END}")
            self.bad(out, "1 passed, 1 failed", f"{machine}: the kernel's log: BUG: x")

    def test_interrupt_and_terminate_leave_nothing_running(self):
        self.fake_qemu("sleep 300")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            self.pid_file.unlink(missing_ok=True)
            # A shell's background job ignores SIGINT, and so would its children.
            run_py = subprocess.Popen(
                [str(c) for c in self.command], env=self.env, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
            self.wait_for(lambda: self.pid_file.exists() and self.pid_file.read_text())
            run_py.send_signal(number)
            self.assertNotEqual(run_py.wait(20), 0)
            self.wait_for(lambda: not self.alive())

    def wait_for(self, condition):
        for _ in range(200):
            if condition():
                return
            threading.Event().wait(0.05)
        self.fail("waited in vain for 10 s")


class Check(Sandbox):
    """The last line and the status of make check, around a make that pretends."""

    def check(self, fail_at, *options):
        bin_dir = self.temp / "bin"
        bin_dir.mkdir(exist_ok=True)
        (bin_dir / "make").write_text(
            '#!/bin/sh\n[ "$1" != full ] || echo "130 passed, 0 failed, 70 skipped"\n'
            f'[ "$1" != "{fail_at}" ]\n')
        (bin_dir / "make").chmod(0o755)
        done = self.call("sh", ROOT / "tests/check.sh", self.build, *options,
                         env={"PATH": f"{bin_dir}:{os.environ['PATH']}"})
        self.said = done.stdout
        return done.returncode, done.stdout.splitlines()[-1]

    def test_all_steps_are_added_up(self):
        self.assertEqual(self.check("nothing"), (0, "140 passed, 0 failed, 70 skipped"))

    def test_any_step_that_fails_fails_the_check(self):
        for step in ("lint", "driver-tests", "build", "checkpatch", "uapi", "shared-ranges",
                     "base-image", "full", "transport", "debug-image", "debug"):
            status, last = self.check(step)
            self.assertEqual(status, 1, step)
            self.assertIn(" 1 failed, ", last, step)

    def test_what_is_slow_is_left_out_or_done_once_for_this_content(self):
        self.make_series()
        self.git("init", "-q", ".", cwd=self.repo)
        shutil.copy(ROOT / ".gitignore", self.repo)
        self.check("nothing")
        self.assertIn("left to make check-full: bisect, not yet passed", self.said)
        status, last = self.check("bisect", "full")
        self.assertEqual(status, 1)
        self.assertIn(" 1 failed, ", last)
        self.assertEqual(self.check("nothing", "full")[0], 0)
        self.assertIn("sparse: passed 20", self.said)
        self.assertNotIn("bisect: passed 20", self.said)
        (self.repo / "README.md").write_text("new\n")
        self.check("nothing")
        self.assertIn("left to make check-full: bisect, passed 20", self.said)
        # A selftest is nothing to the compilers of the kernel.
        for name, undone in (("tests/bisect.py", "bisect"), ("patches/v7.3/new", "bases"),
                             ("tests/expected/amd", "bisect kcsan deb"),
                             ("new.sh", "bisect bases sparse kcsan deb")):
            file = self.repo / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("new\n")
            self.check("nothing")
            for step in ("bisect", "bases", "sparse", "kcsan", "deb"):
                state = "not yet passed" if step in undone else "passed 20"
                self.assertIn(f"left to make check-full: {step}, {state}", self.said, name)
            file.unlink()
        self.commit("KVM: a selftest", {"tools/testing/fourth.sh": "echo fourth\n"})
        self.check("nothing")
        for step, state in (("sparse", "passed 20"), ("bisect", "not yet passed")):
            self.assertIn(f"left to make check-full: {step}, {state}", self.said)


class OnlyOnce(Sandbox):
    """What is kept in the cache: images, and commits that checkpatch has passed."""

    def setUp(self):
        super().setUp()
        shutil.copytree(ROOT / "tests", self.repo / "tests")
        self.write_kernel(self.kernel, {
            "scripts/checkpatch.pl": "#!/bin/sh\nfor last; do :; done\n"
                                     "git show -s --format=%s $last | grep -q second &&\n"
                                     "\techo 'a.c:1: ERROR: bad'\nexit 1\n"})
        (self.kernel / "scripts/checkpatch.pl").chmod(0o755)
        self.make_series()
        # It builds what makes it.
        build = self.repo / "scripts/build.sh"
        build.write_text('#!/bin/sh\necho "really builds"\nmkdir -p "$2/image"\n'
                         'cat "$1/arch/x86/kvm/svm.c" "$3" >"$2/image/file"\n')
        (self.temp / "fragment").write_text("CONFIG_A=y\n")

    def image(self):
        shutil.rmtree(self.build / "debug", ignore_errors=True)
        said = self.good(self.call("scripts/cached_image.sh", self.tree, self.build / "debug",
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
        (self.temp / "bin").mkdir()
        tar = self.temp / "bin/tar"
        tar.write_text("#!/bin/sh\necho 'tar: no space' >&2\nexit 2\n")
        tar.chmod(0o755)
        self.bad(self.call("scripts/cached_image.sh", self.tree, self.build / "debug",
                           self.temp / "fragment",
                           env={"PATH": f"{self.temp}/bin:{os.environ['PATH']}"}), "no space")
        self.assertEqual(list((self.temp / "cache/kvm-coco/images").glob("*.tar.gz")), [])

    def test_an_object_with_other_data_is_no_old_one(self):
        self.write_kernel(self.temp / "objects", {
            "Makefile": "all:; cp $(DATA) data\n"
                        "\tfor f in piggy.S kernel/configs.c; do "
                        "$(CC) -Wp,-MMD,$$f.d -c -o $$f.o $$f || exit; done\n",
            "piggy.S": '.incbin "data"\n', "kernel/configs.c": 'asm(".incbin \\"data\\"");\n',
            "first": "a kernel\n", "second": "another\n"})
        for data in ("first", "second", "first"):
            self.good(self.call("scripts/kmake.sh", self.temp, "-C", self.temp / "objects",
                                f"DATA={data}"))
            for name in ("piggy.S.o", "kernel/configs.c.o"):
                self.assertIn((self.temp / "objects" / data).read_bytes(),
                              (self.temp / "objects" / name).read_bytes())

    def test_checkpatch_repeats_only_what_has_not_passed(self):
        for known in (0, 2):
            done = self.call(sys.executable, "tests/checkpatch.py", self.tree)
            self.bad(done, "a.c:1: ERROR: bad", f"3 commits, {known} of them had passed before, 1 bad")
        self.commit("KVM: fourth", {"arch/x86/kvm/svm.c": lambda t: t + "int fourth;\n"})
        self.bad(self.call(sys.executable, "tests/checkpatch.py", self.tree), "4 commits, 2 of them")

    def test_a_checkpatch_that_crashes_fails(self):
        (self.tree / "scripts/checkpatch.pl").write_text("#!/bin/sh\nkill -9 $$\n")
        self.bad(self.call(sys.executable, "tests/checkpatch.py", self.tree), "status -9", "3 bad")


class Configurations(unittest.TestCase):
    """The table of make configs."""

    def table(self, *changes):
        text = (ROOT / "tests/configurations").read_text()
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
        last = (ROOT / "tests/configurations").read_text().split("pairs ")[-1].split("\n")[0]
        self.refused("no row has ", (f"pairs {last}\n", ""))
        self.refused("CONFIG_KVM_SW_SEV_VM of series.config is in no column",
                     ("  KVM_SW_SEV_VM\n", "  KVM_OTHER\n"))
        self.refused("cannot read", (f"pairs {last}", f"pairs {last} y"))
        self.refused("cannot read", ("alone no-amd     x86_64 kernel", "alone no-amd x86_64 all"))


class Findings(unittest.TestCase):
    """What checkers.py makes of the words of a checker."""

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
        for line in (ROOT / "tests/checkers.allowed").read_text().splitlines():
            if line and not line.startswith("#"):
                self.assertIn(line.split()[0], checkers.CHECKS)
                self.assertTrue(checkers.allowed(line.split()[0]))
        self.assertEqual(checkers.allowed("no such check"), [])


class Coccicheck(Sandbox):
    """checkers.py coccicheck around a spatch that is a shell script."""

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
        program = self.temp / "bin/spatch"
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\n[ "$1" != --version ] || '
                           f"exec echo spatch version 1.1.1\n{text}\n")
        program.chmod(0o755)
        return {"PATH": f"{program.parent}:{os.environ['PATH']}"}

    def check(self, spatch):
        return self.call(sys.executable, ROOT / "tests/checkers.py", "coccicheck", self.build,
                         env=self.spatch(spatch))

    def test_a_missing_tool_and_a_wrong_name(self):
        for name, words in (("coccicheck", ("spatch is missing", "apt-get install coccinelle")),
                            ("htmldocs", ("apt-get install python3-sphinx",)),
                            ("lint", ("no such check", "coccicheck", "htmldocs"))):
            self.bad(self.call(sys.executable, ROOT / "tests/checkers.py", name, self.build,
                               env={"PATH": "/nonexistent"}), *words)

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
        # It finds scripts/ beside it.
        fast = self.repo / "tests/coccicheck.py"
        fast.parent.mkdir()
        text = (ROOT / "tests/coccicheck.py").read_text()
        self.assertIn("PATCH_LIMIT = 600", text)
        fast.write_text(text.replace("PATCH_LIMIT = 600", "PATCH_LIMIT = 1"))
        out = self.good(self.call(sys.executable, fast, self.tree, self.temp / "out",
                                  "MAINTAINERS", "arch/x86/kvm/svm.c",
                                  env=self.spatch("exec sleep 60")))
        self.assertIn("free/one.cocci:1: error: not checked: no end after 1 s", out)

    def test_a_checker_that_crashes(self):
        self.bad(self.check("echo Fatal error: exception Stack_overflow >&2; exit 2"),
                 "one.cocci: spatch failed with status 2", "Stack_overflow",
                 "coccicheck of base failed", "coccicheck-base.log")


class Verdicts(unittest.TestCase):
    """What makes a run fail."""

    def judge(self, lines, expect="pass", console=b"", end=True):
        with tempfile.TemporaryDirectory() as temp:
            (Path(temp) / "console").write_bytes(console)

            class Machine:
                run_dir = Path(temp)

                @staticmethod
                def results():
                    return lines + (b"# end of plan\n" if end else b"")

                @staticmethod
                def elapsed():
                    return 1.0

            plan = ["module kvm-amd", run.Test("quick", "x86/a_test", 10, expect, [], "")]
            rows, why = run.judge("amd", plan, Machine, {})
            return [verdict for _, verdict, _ in rows], "\n".join(why)

    def test_pass_skip_and_known_failure(self):
        ok = b"# seconds 1.5\nok 1 selftests: kvm: x86/a_test\n"
        skip = b"# 1..0 # SKIP - no such CPU\nok 1 selftests: kvm: x86/a_test # SKIP\n"
        bad = b"not ok 1 selftests: kvm: x86/a_test # exit=254\n"
        self.assertEqual(self.judge(ok)[0], ["pass"])
        self.assertEqual(self.judge(ok, "fail")[0], ["PASS"])
        self.assertEqual(self.judge(skip, "skip")[0], ["skip"])
        self.assertEqual(self.judge(bad, "fail")[0], ["known"])
        self.assertEqual(self.judge(bad)[0], ["FAIL"])
        self.assertEqual(self.judge(bad, "skip")[0], ["FAIL"])

    def test_what_gets_a_second_run(self):
        first, ours, last = (run.Test(s, f"x86/{s}_test", 10, "pass", [], "")
                             for s in ("quick", "own", "full"))
        plan = ["module kvm-amd", first, ours, "unload kvm_amd", last, "module kvm-amd"]

        def second(*words, end=b"# end of plan\n"):
            return run.second_plan(plan, b"".join(
                b"%s 1 selftests: kvm: %s\n" % (word, test.name.encode())
                for word, test in zip(words, (first, ours, last))) + end)

        self.assertEqual(second(b"ok", b"ok", b"ok"), [])
        self.assertEqual(second(b"ok", b"not ok", b"ok"), [])
        self.assertEqual(second(b"not ok", b"not ok", b"ok"), plan[:2])
        self.assertEqual(second(b"ok", b"ok", b"not ok"), [plan[0], plan[3], last])
        self.assertEqual(second(b"not ok", end=b""), [])

    def test_an_unexpected_skip_fails_and_says_why(self):
        skip = b"# 1..0 # SKIP - no such CPU\nok 1 selftests: kvm: x86/a_test # SKIP\n"
        verdicts, why = self.judge(skip)
        self.assertEqual(verdicts, ["FAIL"])
        self.assertIn("no such CPU", why)

    def test_no_result_no_end_and_the_last_console_lines(self):
        console = b"".join(b"line %d\n" % n for n in range(100))
        verdicts, why = self.judge(b"", console=console, end=False)
        self.assertEqual(verdicts, ["FAIL", "FAIL"])
        self.assertIn("line 99", why)
        self.assertIn("line 60", why)
        self.assertNotIn("line 59\n", why)

    def test_a_step_of_the_plan_that_failed(self):
        ok = b"ok 1 selftests: kvm: x86/a_test\n"
        verdicts, _ = self.judge(b"not ok 1 selftests: kvm: unload # Resource busy\n" + ok)
        self.assertIn("FAIL", verdicts)

    def test_splats_fail_but_for_the_listed(self):
        ok = b"ok 1 selftests: kvm: x86/a_test\n"
        for line in (b"[ 1.0] WARNING: CPU: 0 PID: 1 at arch/x86/kvm/x86.c:1 x+0x1/0x2",
                     b"[ 1.0] BUG: KASAN: use-after-free in y", b"[ 1.0] BUG: sleeping function",
                     b"[ 1.0] Kernel panic - not syncing", b"[ 1.0] UBSAN: shift-out-of-bounds",
                     b"[ 1.0] WARNING: possible circular locking dependency detected"):
            self.assertIn("FAIL", self.judge(ok, console=line + b"\n")[0], line)
        known = b"[ 0.0] WARNING: ../linux-7.3/arch/x86/kernel/cpu/topology_common.c:95 at parse_legacy+0xaf\n"
        self.assertEqual(run.splats(known, "intel"), [])
        self.assertNotEqual(run.splats(known, "amd"), [])


class Mail(Sandbox):
    """make mail: what it refuses, and that its mails are the series and go nowhere."""

    BASE = "0123456789abcdef0123456789abcdef01234567"

    def setUp(self):
        super().setUp()
        shutil.copytree(ROOT / "tests", self.repo / "tests")
        shutil.copy(ROOT / "patches/cover-letter", self.repo / "patches")
        (self.repo / "patches/changes").write_text("v1:\nFirst version.\nv2:\n- all of it\n")
        self.write_kernel(self.kernel, {
            "scripts/get_maintainer.pl": "#!/bin/sh\necho 'List <to@example.org> (maintainer:X)'\n"
                                         "printf '%s\\n' 'R <r@example.org> (reviewer:X:"
                                         "Keyword:\\b(?i:x|y)\\b)' "
                                         "'kvm@example.org (open list:X (y))'\n",
            "scripts/checkpatch.pl": "#!/bin/sh\nshift 8\nfor mail; do grep -q "
                                     "'^Signed-off-by: T T <tester@example.org>' \"$mail\" ||\n"
                                     "\techo \"$mail:1: ERROR: no sign-off\"; done\n"})
        for name in ("get_maintainer", "checkpatch"):
            (self.kernel / f"scripts/{name}.pl").chmod(0o755)
        self.make_series()
        state = self.script("records", self.build).stdout
        (self.build / "log").mkdir()
        for name, text in (("log/check.state", state), ("bench.state", state),
                           ("bench.txt", "bench numbers\n"), ("log/full.status", "0\n"),
                           ("log/full.out", "machine amd: 61 pass, 0 fail, 46 skip\n")):
            (self.build / name).write_text(text)
        # Whatever could send says so, and does nothing.
        self.sent, bin_dir = self.temp / "sent", self.temp / "bin"
        bin_dir.mkdir()
        for name in ("sendmail", "git-send-email", "msmtp", "curl", "ssh"):
            (bin_dir / name).write_text(f"#!/bin/sh\necho {name} >>{self.sent}\n")
            (bin_dir / name).chmod(0o755)
        (bin_dir / "sitecustomize.py").write_text(
            "import socket\ndef connect(*where):\n    open("
            f"{str(self.sent)!r}, 'a').write(str(where))\n    raise OSError('no network')\n"
            "socket.socket.connect = connect\n")
        self.env |= {"PATH": f"{bin_dir}:{os.environ['PATH']}", "PYTHONPATH": str(bin_dir),
                     "GIT_AUTHOR_NAME": "T T", "GIT_AUTHOR_EMAIL": "tester@example.org"}

    def mail(self, *args, **env):
        done = self.script("mail", self.build, f"--base-commit={self.BASE}", *args, **env)
        self.assertFalse(self.sent.exists(), "something was sent")
        return done

    def test_nobody_or_somebody_local_signs_off(self):
        for address in ("tester@localhost", "root@host", "root@example.org", "a@b.example", "a b"):
            self.bad(self.mail(GIT_AUTHOR_EMAIL=address), address, "user.email")
        del self.env["GIT_AUTHOR_NAME"], self.env["GIT_AUTHOR_EMAIL"]
        self.bad(self.mail(), "nobody to sign the mails off", "user.email")

    def test_bad_options(self):
        for version in ("0", "x", "-1", "1.5"):
            self.bad(self.mail(f"--version={version}"), f"VERSION={version}: it takes a number")
        self.bad(self.mail("--version=3"), "patches/changes has no section 'v3:'")
        self.bad(self.mail("--group=tip"), "GROUP=tip: no such group", "guest")
        self.bad(self.mail("--group=guest"), "GROUP=guest: the series has no such patch")
        self.bad(self.mail("--base-commit="), "names no upstream commit", "BASE_COMMIT=",
                 "KERNEL_SRC=")
        self.bad(self.mail("--base-commit=v7.3"), "BASE_COMMIT=v7.3 is no commit id")
        self.bad(self.mail(f"--base-commit={self.git('rev-parse', 'base')}"), "nobody else's")
        self.assertFalse((self.build / "mail").exists())

    def test_the_base_of_a_clone(self):
        def clone(*args):
            return self.git(*args, cwd=self.kernel)

        clone("init", "-q")
        clone("add", "-f", "-A")
        clone("commit", "-q", "-m", "upstream")
        self.bad(self.mail("--base-commit="), "names no upstream commit")
        self.bad(self.mail(), f"has no commit {self.BASE}")
        self.bad(self.mail(f"--base-commit={clone('rev-parse', 'HEAD')}"), "no tag v*")
        clone("tag", "v7.3")
        said = self.good(self.mail("--base-commit="))
        self.assertIn(f"base-commit {clone('rev-parse', 'HEAD')}", said)
        self.assertNotIn("differ", said)

    def test_the_mails_are_the_series(self):
        said = self.good(self.mail("--version=2"))
        self.assertIn("nothing was sent", said)
        self.assertIn("git send-email --from='T T <tester@example.org>' ", said)
        mails = sorted((self.build / "mail").glob("v2-*.patch"))
        self.assertEqual(len(mails), 4)
        texts = [mail.read_text() for mail in mails]
        for text in texts:
            self.assertIn("\nFrom: T T <tester@example.org>\n", text)
            self.assertIn("\nTo: List <to@example.org>\nCc: R <r@example.org>,"
                          "\n\tkvm@example.org\n\n", text)
            self.assertNotIn("localhost", text)
            self.assertNotIn("Adds:", text)
        for words in ("Subject: [PATCH v2 0/3] KVM: ", f"\nbase-commit: {self.BASE}\n", "bench numbers",
                      "make full, amd", "61       0       46", "Changes since v1:\n- all of it\n",
                      "KVM:\n    1 first\n", "6 files changed"):
            self.assertIn(words, texts[0])
        self.git("clone", "-q", "-b", "base", str(self.tree), str(self.temp / "other"))
        self.git("am", "-q", *map(str, mails[1:]), cwd=self.temp / "other")
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}", cwd=self.temp / "other"),
                         self.git("rev-parse", "HEAD^{tree}"))
        self.assertEqual(self.git("worktree", "list").count("\n"), 0)
        (self.build / "log/full.status").write_text("1\n")
        self.bad(self.mail(), "not ready: make check failed in this state: full")

    def test_a_group_goes_between_the_others(self):
        self.commit("x86/kvm: fourth", {"arch/x86/kvm/svm.c": lambda t: t + "int fourth;\n"})
        self.commit("KVM: fifth", {"arch/x86/kvm/svm.c": lambda t: t + "int fifth;\n"})
        self.commit("x86/sev: sixth", {"arch/x86/kvm/svm.c": lambda t: t + "int sixth;\n"})
        self.good(self.refresh())
        done = self.mail("--group=guest")
        self.bad(done, "not ready", "another state", "git am: they give tree")
        cover = (self.build / "mail/0000-cover-letter.patch").read_text()
        self.assertIn("2 of the 6 patches", cover)
        self.assertIn("NOT IN THIS STATE", cover)
        self.assertNotIn("bench numbers", cover)
        self.assertEqual(cover.count("\nprerequisite-patch-id: "), 4)


class Bench(unittest.TestCase):
    def setUp(self):
        self.numbers = {name: [1000.0] * 5 for _, rows in bench_rows.GROUPS
                        for row in rows for name in (row.base, row.ours)}

    def found(self, what):
        return next(found for _, rows in bench_rows.results(self.numbers) for found in rows
                    if found.row.what == what)

    def test_one_slow_round_changes_nothing(self):
        self.numbers["ours:tdx_map"] = [1000.0] * 9 + [50000.0]
        found = self.found("per exit, not opted in")
        self.assertEqual((found.ratio, found.spread, found.missed), (1, 0, False))

    def test_what_is_slower_is_named_in_table_and_picture(self):
        self.numbers["ours:tdx_quote_own"] = [1100.0] * 5
        self.assertTrue(self.found("GetQuote, opted in").missed)
        groups = bench_rows.results(self.numbers)
        table = bench_rows.table(groups, "instructions")
        self.assertRegex(table, "GetQuote, opted in +1000 +1100  1.1000.* missed\n")
        self.assertTrue(table.isascii())
        picture = xml.etree.ElementTree.fromstring(bench_picture.svg(groups, "instructions"))
        texts = "\n".join(picture.itertext())
        self.assertIn("1.1000, goal 1.03, missed", texts)
        for _, rows in groups:
            for found in rows:
                self.assertIn(found.row.what, texts)

    def test_load_does_not_decide_about_wall_time(self):
        self.numbers["boot-base:base_boot"] = [100.0] * 9 + [900.0]
        for others, missed, busy in (([105.0] * 9 + [945.0], False, False),
                                     ([120.0] * 10, True, False),
                                     ([500.0, 120.0, 400.0], False, True)):
            self.numbers["boot-ours:base_boot"] = others
            found = next(found for title, rows in bench_rows.results(self.numbers)
                         if title == bench_rows.WALL for found in rows)
            self.assertEqual((found.ours, found.missed, found.busy),
                             (min(others), missed, busy))

    def test_what_was_not_measured_is_no_number(self):
        del self.numbers["ours:tdx_map"]
        with self.assertRaisesRegex(run.Failed, "ours:tdx_map was not measured"):
            bench_rows.results(self.numbers)

    def test_hardware_takes_the_place_of_its_engine(self):
        with tempfile.TemporaryDirectory() as name:
            cpuinfo, device = Path(name) / "cpuinfo", Path(name) / "kvm"
            cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu svm npt\n")
            self.assertIsNone(bench.hardware(cpuinfo, device))
            device.write_text("")
            self.assertEqual(bench.hardware(cpuinfo, device), "amd")
            cpuinfo.write_text("flags\t: fpu vmx\nvmx flags\t: vnmi\n")
            self.assertEqual(bench.hardware(cpuinfo, device), "intel")
            cpuinfo.write_text("flags\t: fpu nosvm\n")
            self.assertIsNone(bench.hardware(cpuinfo, device))
        files = Path("/run_dir"), Path("/bzImage"), Path("/initrd")
        with unittest.mock.patch("engines.need"):
            for engine in ("amd", "intel"):
                line = " ".join(bench.counting(engine, engine)(*files))
                self.assertIn("-accel kvm -smp 1 -cpu host", line)
                self.assertNotIn("icount", line)
            line = " ".join(bench.counting("amd", "intel")(*files))
            self.assertIn("-icount shift=0,sleep=off -cpu EPYC", line)
        self.assertIs(bench.counting("intel", "amd"), bench.engines.bochs)


class Records(unittest.TestCase):
    def test_maintainers_is_what_the_last_patch_adds(self):
        name = [x for x in (ROOT / "patches/series").read_text().split() if "MAINTAINERS" in x][-1]
        text = (ROOT / "patches" / name).read_text()
        added = [line[1:] for line in text.splitlines() if re.match(r"\+(?!\+)", line)]
        entry = (ROOT / "MAINTAINERS").read_text().partition("\n\n")[2].splitlines()
        self.assertEqual([line for line in added if line], entry)

    def test_the_records_can_be_read(self):
        for engine in run.ENGINES:
            plan = run.read_expected(engine, set().union(*run.SETS.values()))
            tests = [item for item in plan if isinstance(item, run.Test)]
            self.assertGreater(len(tests), 0 if engine == "intel-smp" else 20, engine)
            for test in tests:
                if test.expect != "pass":
                    self.assertTrue(test.reason, f"{engine}: {test.name} gives no reason")


def run_class(name):
    """(what it said, tests, failures, skipped)"""
    said = io.StringIO()
    suite = unittest.defaultTestLoader.loadTestsFromName(name, sys.modules[__name__])
    outcome = unittest.TextTestRunner(verbosity=2, stream=said).run(suite)
    return (said.getvalue(), outcome.testsRun, len(outcome.failures) + len(outcome.errors),
            len(outcome.skipped))


def main():
    """All classes, as many at once as there are CPUs; those that wait longest first."""
    first = ["Engine", "Mail", "OnlyOnce"]
    names = first + [name for name, what in globals().items() if isinstance(what, type)
                     and issubclass(what, unittest.TestCase) and name not in first]
    total = [0, 0, 0]
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        for said, *counts in pool.map(run_class, names):
            print(said, end="", flush=True)
            total = [a + b for a, b in zip(total, counts)]
    print(f"{total[0] - total[1] - total[2]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
