# SPDX-License-Identifier: GPL-2.0-only
"""One emulated machine: how it is started, watched and ended.

Every engine shows the kernel's console on the first serial port and PID 1's KTAP on the
second, each in a file of its own.  An engine that has the second on "stdio" is told there
how the time goes, if PID 1 asks.  Nothing here knows what a test is.
"""
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from scripts.common import Failed
from scripts.machine.share import Share

# panic=-1: a panic ends the machine at once, the console says why.
CMDLINE = "console=ttyS0,115200 panic=-1 oops=panic printk.devkmsg=on"

END_MARKER = b"# end of plan"
# Has PID 1 ask for a byte per second that the machine got, and how it asks (boot/limit.c).
BEATS, BEATS_MARKER = "beats=1", b"# limits: tell the seconds"


def need(program, how):
    """HOW is a package, or "make TARGET"."""
    if not shutil.which(program):
        raise Failed(f"{program} is missing: " + (
            how if how.startswith("make ") else f"apt-get install {how} (or make deps)"))


def pack(root, initrd):
    """The directory ROOT as an initramfs."""
    names = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
    archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=root,
                             input=names, capture_output=True, check=True).stdout
    with open(initrd, "wb") as out:
        # Bochs reads it slowly, and programs are alike: a window that holds many of them.
        subprocess.run(["zstd", "-q", "-9"], input=archive, stdout=out, check=True)


class Machine:
    """One running engine; what it wrote is in run_dir/console and results."""

    def __init__(self, run_dir, argv, pass_fds=()):
        self.run_dir = Path(run_dir)
        for name in ("console", "results"):
            (self.run_dir / name).write_bytes(b"")
        with (open(self.run_dir / "engine.log", "wb") as log,
              open(self.run_dir / "results", "ab") as results):
            stdio = (subprocess.PIPE, results) if "stdio" in argv else (subprocess.DEVNULL, log)
            # pdeathsig: whatever becomes of the driver, no engine outlives it.
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv],
                                            stdin=stdio[0], stdout=stdio[1], stderr=log,
                                            bufsize=0, pass_fds=pass_fds,
                                            start_new_session=True)
        self.started = time.monotonic()
        self.share = Share(self.process.pid)
        if self.process.stdin:
            os.set_blocking(self.process.stdin.fileno(), False)
            threading.Thread(target=self.beat, args=[self.process.stdin], daemon=True).start()

    def beat(self, port):
        """Tell PID 1 of each second that the machine got, once it has asked."""
        told, asked = 0, False
        while self.process.poll() is None:
            time.sleep(0.2)
            asked = asked or BEATS_MARKER in self.results()
            seconds = int(self.got())
            try:
                if asked and seconds > told:
                    port.write(b"." * (seconds - told))
            except OSError:                     # it has ended, or does not read
                pass
            told = seconds
        port.close()

    def got(self):
        """Seconds since its start, less those for which it waited for a CPU of the host."""
        return self.share.got()

    def is_over(self, limit):
        return self.share.is_over(limit)

    def elapsed(self):
        return time.monotonic() - self.started

    def results(self):
        return (self.run_dir / "results").read_bytes()

    def ended(self):
        """True when PID 1 has carried out the plan or the engine is gone."""
        # The whole line: what is written of it after the machine is killed is lost.
        end = self.results().partition(END_MARKER)[2]
        return b"\n" in end or self.process.poll() is not None

    def kill(self):
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
