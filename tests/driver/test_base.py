# SPDX-License-Identifier: GPL-2.0-only
"""Where the base comes from, and what is refused as one."""
import http.server
import os
import sys
import threading

from tests.driver.sandbox import KERNEL, Sandbox


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
        self.bad(done, "no source of linux 7.3", "cannot connect", "kernel.org", "KERNEL_SRC=")
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
        self.bad(self.compose(), "is 7.2.99", "7.3.y is needed")
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
        self.assertEqual(self.git("fsck", "--no-dangling"), "")

    def test_another_base_replaces_a_clean_tree_only(self):
        self.make_series()
        self.write_kernel(self.kernel, {"MAINTAINERS": KERNEL["MAINTAINERS"] + "more\n"})
        (self.tree / "Makefile").write_text("my work\n")
        self.bad(self.compose(), "uncommitted changes", "another base")
        self.git("checkout", "-q", "Makefile")
        self.good(self.compose())
        self.assertIn("more", (self.tree / "MAINTAINERS").read_text())
