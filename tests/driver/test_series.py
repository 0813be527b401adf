# SPDX-License-Identifier: GPL-2.0-only
"""The series: round trips, bad patches, bases."""
import http.server
import os
import shutil
import sys
import threading

from scripts.common import ROOT
from tests.driver.sandbox import KERNEL, Sandbox


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
        self.good(self.script("scripts.series.apply", plain))
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}", cwd=plain), want)
        self.assertEqual(self.git("log", "--format=%s", "-3", cwd=plain).split("\n"),
                         ["KVM: third", "KVM: second", "KVM: first"])
        clone = self.temp / "clone"
        self.git("clone", "-q", "-b", "base", str(plain), str(clone), cwd=self.temp)
        self.good(self.script("scripts.series.apply", clone))
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}", cwd=clone), want)
        self.bad(self.script("scripts.series.apply", clone), "branch kvm-coco already")
        self.bad(self.script("scripts.series.apply", ""), "KDIR=")
        self.bad(self.script("scripts.series.apply", self.temp / "none"), "no such directory")


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
        self.good(self.script("scripts.series.refresh", self.build, BASE="7.2"))

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
                      self.good(self.script("scripts.series.refresh", self.build, BASE="7.2")))
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
        self.bad(self.script("scripts.series.refresh", self.build, BASE="7.2"), "order and subjects")
        self.git("reset", "-q", "--hard", "HEAD~1", cwd=self.older)
        self.bad(self.script("scripts.series.refresh", self.build, BASE="7.2"), "2 commits, the series 3")
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
        done = self.call(sys.executable, "-c", "import sys\n"
                         "from scripts.series import base\nbase.NEED_BYTES = 1 << 60\n"
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
