# SPDX-License-Identifier: GPL-2.0-only
"""host.py OUT: make host, a Debian system on an emulated confidential host.

The kernel of OUT/image, with KVM, on the machine of ENGINE=.  The environment has the options:
COMMAND is run in it, in the folder SHARE, for LIMIT seconds; without one, there is a shell.
The exit status is the command's, and is written to the file STATUS, if that is given.
"""
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from scripts.common import Failed, run_main
from scripts.host import disk
from scripts.host.kit import make_kit
from scripts.machine.clock import options
from scripts.machine.engines import tsc_khz
from scripts.machine.machine import CMDLINE, Machine, need
from scripts.machine.qemu import AMD, AMD_SEV, EMULATOR, FIRMWARE, TCG, TDX
from scripts.machine.splats import splats

# The machine, the module of KVM, and what the kernel is told.
ENGINES = {"amd": (AMD, "kvm-amd", ""), "amd-sev": (AMD_SEV, "kvm-amd", ""),
           "tdx": (TDX, "kvm-intel tdx=1", " nohibernate")}
# Not what a command returns, which can be any of 0 to 255.  STATUS is what we return then, as
# timeout(1) and container runtimes do.
OVER, DIED = -1, -2
STATUS = {OVER: 124, DIED: 125}
# What is said of a machine that has died.
LAST_LINES = 15


def say(text):
    print(f"host: {text}", file=sys.stderr, flush=True)


def settings():
    """Engine, folder, limit and command, if they make sense."""
    engine = os.environ.get("ENGINE") or "amd"
    if engine not in ENGINES:
        raise Failed(f"ENGINE={engine}: no such host; there are: {' '.join(ENGINES)}")
    share = Path(os.environ.get("SHARE") or ".").absolute()
    if not share.is_dir():
        raise Failed(f"SHARE={share}: no such folder")
    limit = os.environ.get("LIMIT") or "3600"
    if not limit.isdecimal() or not int(limit):
        raise Failed(f"LIMIT={limit}: that is no number of seconds")
    disk.packages(os.environ.get("PACKAGES", ""))
    return engine, share, int(limit), os.environ.get("COMMAND", "")


def folder(path, tag, *more):
    """PATH as a folder for the machine.  A comma in a value of QEMU's is written twice."""
    words = ["local", f"path={str(path).replace(',', ',,')}", f"mount_tag={tag}",
             "security_model=none", "multidevs=remap", *more]
    return ["-virtfs", ",".join(words)]


def command_line(engine, image, work, system, share):
    cpu, _, words = ENGINES[engine]
    return [EMULATOR, *FIRMWARE, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            *TCG, *cpu, "-kernel", str(image / "bzImage"), "-append",
            f"{CMDLINE} root=/dev/vda rw init=/sbin/first {options(tsc_khz(engine))}{words}",
            "-drive", f"file={str(system).replace(',', ',,')},format=raw,if=virtio,snapshot=on",
            *folder(work / "kit", "kit", "readonly=on"), *folder(share, "shared")]


def relay(machine, port, marker, limit, write):
    """What the command says, as it comes, until its status: that, or why there is none."""
    port.settimeout(0.2)
    held = b""
    while True:
        try:
            data = port.recv(1 << 16)
            if not data:
                write(held)
                return DIED
        except TimeoutError:
            data = b""
        text, found, status = (held + data).partition(marker)
        if b"\n" in status:
            write(text)
            return int(status.partition(b"\n")[0])
        # What may be the beginning of the marker is not written yet.
        end = 0 if found else max(n for n in range(len(marker)) if text.endswith(marker[:n]))
        held = found + status if found else marker[:end]
        write(text[:len(text) - end])
        if machine.is_over(limit):
            return OVER


def write(data):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def run(engine, work, argv, marker, limit):
    """The status of the command, whose output goes to stdout."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            machine = Machine(work, [*argv, "-serial", f"file:{work}/console",
                                     "-device", "virtio-serial", "-device", "virtserialport,chardev=out",
                                     "-chardev", f"socket,id=out,fd={theirs.fileno()}"],
                              pass_fds=[theirs.fileno()])
        try:
            status = relay(machine, ours, marker, limit, write)
        finally:
            machine.kill()
    console = (work / "console").read_bytes()
    for line in splats(console, engine):
        say(f"the machine's kernel: {line}")
    if status == OVER:
        say(f"no end within LIMIT={limit} s: killed")
    elif status == DIED:
        said = (work / "engine.log").read_text(errors="replace").splitlines()
        for line in [*console.decode(errors="replace").splitlines()[-LAST_LINES:],
                     *(line for line in said if ": warning: " not in line)]:
            say(f"  {line}")
        say(f"the machine ended before the command did; its console is {work}/console")
    return STATUS.get(status, status)


def main(out, check_options=False):
    engine, share, limit, command = settings()
    if check_options:
        return 0
    # Where the PATH of who is not root does not lead.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    need(EMULATOR, "make qemu")
    for program, package in (("mmdebstrap", "mmdebstrap"), ("mke2fs", "e2fsprogs"), ("depmod", "kmod")):
        need(program, package)
    # What is begun is cleared away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    out = out.resolve()
    work, image = out / "host", out / "image"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    system = disk.get(work / "disk.log", os.environ.get("PACKAGES", ""))
    marker = secrets.token_hex(16)
    terminal = shutil.get_terminal_size()
    make_kit(work / "kit", image, {
        "MODULE": ENGINES[engine][1], "MARKER": marker, "TERM": os.environ.get("TERM", "dumb"),
        "COLUMNS": terminal.columns, "ROWS": terminal.lines}, command)
    say(f"engine {engine}, {share} is /shared")
    argv = command_line(engine, image, work, system, share)
    if not command:
        return subprocess.call([*argv, "-serial", "mon:stdio"])
    status = run(engine, work, argv, marker.encode() + b" ", limit)
    if os.environ.get("STATUS"):
        Path(os.environ["STATUS"]).write_text(f"{status}\n")
    return status


if __name__ == "__main__":
    run_main("host", lambda: main(Path(sys.argv[1]), "--check-options" in sys.argv[2:]))
