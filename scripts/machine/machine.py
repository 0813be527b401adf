# SPDX-License-Identifier: GPL-2.0-only
"""One emulated machine: how it is started, watched and ended.

Every engine shows the kernel's console on the first serial port and PID 1's KTAP on the
second, each in a file of its own.  Nothing here knows what a test is.
"""
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from scripts.common import Failed

# panic=-1: a panic ends the machine at once, the console says why.
CMDLINE = "console=ttyS0,115200 panic=-1 oops=panic printk.devkmsg=on"

END_MARKER = b"# end of plan"


def need(program, package):
    if not shutil.which(program):
        raise Failed(f"{program} is missing: apt-get install {package} (or make deps)")


def pack(root, initrd):
    """The directory ROOT as an initramfs."""
    names = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
    archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=root,
                             input=names, capture_output=True, check=True).stdout
    with open(initrd, "wb") as out:
        subprocess.run(["gzip", "-1"], input=archive, stdout=out, check=True)


class Machine:
    """One running engine; what it wrote is in run_dir/console and results."""

    def __init__(self, run_dir, argv):
        self.run_dir = Path(run_dir)
        for name in ("console", "results"):
            (self.run_dir / name).write_bytes(b"")
        with open(self.run_dir / "engine.log", "wb") as log:
            # pdeathsig: whatever becomes of the driver, no engine outlives it.
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        self.started = time.monotonic()

    def elapsed(self):
        return time.monotonic() - self.started

    def results(self):
        return (self.run_dir / "results").read_bytes()

    def ended(self):
        """True when PID 1 has carried out the plan or the engine is gone."""
        return END_MARKER in self.results() or self.process.poll() is not None

    def kill(self):
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
