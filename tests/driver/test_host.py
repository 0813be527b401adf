# SPDX-License-Identifier: GPL-2.0-only
"""make host, around a machine that is a small program."""
import os
import shutil
import socket
import sys
import threading
import unittest

from scripts.common import ROOT
from scripts.host.host import DIED, OVER, relay, STATUS
from scripts.machine.splats import PATTERNS
from tests.driver.sandbox import Sandbox

MARKER = b"abcabd "
# Finds its end of the line and the marker as PID 1 does, and does what TEXT says.
QEMU = """
import os, re, socket, sys, time
line = " ".join(sys.argv)
out = socket.socket(fileno=int(re.search("socket,id=out,fd=([0-9]+)", line)[1]))
kit = re.search("path=([^,]*),mount_tag=kit", line)[1]
console = re.search("file:([^ ]*/console)", line)[1]
marker = re.search("MARKER=(.*)", open(kit + "/settings").read())[1].encode()
"""


class Watch:
    """A machine that gets its time."""

    def __init__(self, over=False):
        self.over = over

    def is_over(self, _limit):
        return self.over


class Relay(unittest.TestCase):
    """What is read of the machine."""

    def relay(self, pieces, close=True, over=False):
        ours, theirs = socket.socketpair()
        said = []
        with ours, theirs:
            def send():
                for piece in pieces:
                    theirs.sendall(piece)
                    # Else they would come in one piece.
                    threading.Event().wait(0.01)
                if close:
                    theirs.shutdown(socket.SHUT_RDWR)
            thread = threading.Thread(target=send)
            thread.start()
            status = relay(Watch(over), ours, MARKER, 1, said.append)
            thread.join()
        return status, b"".join(said), said

    def test_output_is_whole_and_the_status_is_the_command_s(self):
        text = bytes(range(256)) * 20000
        self.assertEqual(self.relay([text, MARKER + b"3\n"])[:2], (3, text))
        self.assertEqual(self.relay([MARKER + b"0\nmore"])[:2], (0, b""))

    def test_a_marker_in_pieces(self):
        whole = b"xabcabcabab" + MARKER + b"77\n"
        for cut in range(1, len(whole)):
            self.assertEqual(self.relay([whole[:cut], whole[cut:]])[:2], (77, b"xabcabcabab"), cut)

    def test_what_is_there_is_written_at_once(self):
        said = self.relay([b"one, no line", b" two", MARKER + b"1\n"])[2]
        self.assertEqual([piece for piece in said if piece], [b"one, no line", b" two"])

    def test_the_end_of_a_machine_and_of_its_time(self):
        self.assertEqual(self.relay([b"last words abc"])[:2], (DIED, b"last words abc"))
        self.assertEqual(self.relay([b"x"], close=False, over=True)[:2], (OVER, b"x"))


class Host(Sandbox):
    """host.py as make runs it."""

    def setUp(self):
        super().setUp()
        image = self.temp / "out/image"
        (image / "modules").mkdir(parents=True)
        (image / "bzImage").write_text("")
        (image / "modules/kvm-amd.ko").write_text("")
        patterns = self.repo / PATTERNS.relative_to(ROOT)
        patterns.parent.mkdir(parents=True)
        shutil.copy(PATTERNS, patterns)
        self.fake("modinfo", "echo 7.3.4")
        for name in ("depmod", "ldd"):
            self.fake(name, "")
        self.fake("apt-get", "echo http://127.0.0.1:9 /dev/null")
        self.fake("fakeroot", 'exec "$@"')
        self.fake("unshare", 'shift; exec "$@"')
        self.fake("mmdebstrap", f'echo $* >>{self.temp}/made\n'
                  'for a; do case $a in *.tar) tar -cf "$a" -T /dev/null ;; esac; done')
        self.fake("mke2fs", "echo a disk >disk")
        self.env["PATH"] = self.path
        self.env["ENGINE"] = self.env["SHARE"] = self.env["LIMIT"] = self.env["PACKAGES"] = ""

    def host(self, command, qemu="", **env):
        program = self.temp / "qemu.py"
        program.write_text(QEMU + qemu)
        self.fake("qemu-system-x86_64", f'exec {sys.executable} {program} "$@"')
        return self.script("scripts.host.host", self.temp / "out", COMMAND=command, **env)

    def made(self):
        file = self.temp / "made"
        return file.read_text().splitlines() if file.exists() else []

    END = "time.sleep(100)"

    def test_the_command_and_its_status(self):
        command = "echo \"$HOME\" 'a'\nfalse"
        done = self.host(command, 'out.sendall(b"hello\\n" + marker + b" 7\\n")\n' + self.END)
        self.assertEqual(done.returncode, 7, done.stdout)
        self.assertIn("hello\n", done.stdout)
        self.assertEqual((self.temp / "out/host/kit/command").read_text(), command + "\n")

    def test_statuses_that_are_also_ours(self):
        for status in STATUS.values():
            done = self.host("x", f'out.sendall(marker + b" {status}\\n")\n' + self.END)
            self.assertEqual(done.returncode, status, done.stdout)
            self.assertNotIn("killed", done.stdout)
            self.assertNotIn("the machine ended", done.stdout)

    def test_a_machine_that_panics(self):
        done = self.host("true", 'open(console, "w").write("Kernel panic - not syncing: no\\n")')
        self.assertEqual(done.returncode, STATUS[DIED])
        self.bad(done, "the machine's kernel: Kernel panic", "ended before the command did")

    def test_a_command_that_hangs(self):
        done = self.host("true", 'out.sendall(b"so far")\n' + self.END, LIMIT="1")
        self.assertEqual(done.returncode, STATUS[OVER])
        self.bad(done, "so far", "no end within LIMIT=1 s: killed")

    def test_what_cannot_be_meant(self):
        for env, words in (({"ENGINE": "intel"}, "ENGINE=intel: no such host; there are: amd"),
                           ({"SHARE": "/none"}, "SHARE=/none: no such folder"),
                           ({"LIMIT": "soon"}, "LIMIT=soon: that is no number"),
                           ({"LIMIT": "0"}, "LIMIT=0: that is no number"),
                           ({"PACKAGES": "a;b"}, "PACKAGES=a;b: that is no name")):
            self.bad(self.host("true", **env), words)
        self.assertEqual(self.made(), [])

    def test_the_disk_is_made_once_for_what_it_is_made_of(self):
        good = 'out.sendall(marker + b" 0\\n")\n' + self.END
        self.good(self.host("true", good))
        self.good(self.host("false", good))
        self.assertEqual(len(self.made()), 1)
        self.good(self.host("true", good, PACKAGES="hello"))
        self.assertEqual(len(self.made()), 2)
        self.assertIn(",hello", self.made()[1])
        newest = max((self.temp / "cache/kvm-coco/host").glob("*.sha256"), key=os.path.getmtime)
        newest.with_suffix("").write_text("half a disk")
        self.assertIn("is damaged", self.good(self.host("true", good, PACKAGES="hello")))
        self.assertEqual(len(self.made()), 3)

    def test_a_disk_that_cannot_be_made(self):
        self.fake("mmdebstrap", "echo E: no such package; exit 25")
        self.bad(self.host("true"), "mmdebstrap", "status 25", "E: no such package")
        self.assertEqual(os.listdir(self.temp / "cache/kvm-coco/host"), [])
