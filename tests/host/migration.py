#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""migration.py [send|receive|VARIABLES]: in make host's system, an SEV guest migrates to another QEMU.

Which is on the same host, so that one security processor sends and receives.  With "send" and
"receive" it is on another host, and the folder that both share has certificates and stream.
With a file of UEFI variables the guest's kernel has to find there that it may allow migration.
PID 1 of the guest does what it is told on its console.  One line of KTAP for each thing that
must be so.
"""
import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

LIMIT = 600
AMD_CERTS = Path("/sys/firmware/qemu_fw_cfg/by_name/etc/amd-psp/ask_ark.cert/raw")
WORK = Path("/tmp/migration")
SHARED = Path("/shared")
FIRMWARE = "/usr/share/ovmf/OVMF.amdsev.fd"
FLASH = "/usr/share/OVMF/OVMF_CODE_4M.fd"
# The properties of sev-guest that say where the guest goes
PDH, CHAIN, AMD = "peer-pdh-file", "peer-cert-chain-file", "peer-amd-cert-file"
INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t tmpfs none /tmp
exec </dev/ttyS0 >/dev/ttyS0 2>&1
stty -echo
dmesg | grep "Memory Encryption Features"
echo "guest: up"
number=0
while read -r command; do
	number=$((number + 1))
	case "$command" in
	msr*)	# MSR_KVM_MIGRATION_CONTROL
		printf '\'"${command#msr }"'\0\0\0\0\0\0\0' |
			dd of=/dev/cpu/0/msr bs=8 seek=$((0x4b564d08 / 8)) conv=notrunc 2>/dev/null
		echo "guest: $number: $command: $?" ;;
	stress)
		insmod /mem_encrypt_stress.ko conversions=1
		echo "guest: $number: stress: $?" ;;
	check)
		rmmod mem_encrypt_stress
		echo "guest: $number: $(dmesg | grep "stopped after" | tail -n 1)" ;;
	esac
done
"""
number = failed = 0


def result(name, wrong=""):
    """A line of KTAP; nothing is wrong if WRONG is empty."""
    global number, failed
    number += 1
    failed += bool(wrong)
    print(f"not ok {number} - {name}: {wrong}" if wrong else f"ok {number} - {name}", flush=True)


def connect(path):
    deadline = time.monotonic() + LIMIT
    while True:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(str(path))
            link.settimeout(LIMIT)
            return link
        except OSError:
            link.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def firmware(name, variables):
    """QEMU's options, one of them of sev-guest."""
    if not variables:
        return "kernel-hashes=on", ["-bios", FIRMWARE]
    own = shutil.copy(variables, WORK / f"{name}.variables")
    flash = "if=pflash,format=raw,unit"
    return "kernel-hashes=off", ["-drive", f"{flash}=0,readonly=on,file={FLASH}",
                                 "-drive", f"{flash}=1,file={own}"]


class Qemu:
    """One QEMU with its monitor and the guest's console.

    Which has what PID 1 says, and no message of the kernel in the middle of it.
    """

    def __init__(self, name, *options, policy=1, variables=None):
        self.name = name
        hashes, flash = firmware(name, variables)
        self.log = WORK / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([
                "qemu-coco", "-accel", "kvm", "-machine", "q35,confidential-guest-support=c",
                "-object", f"sev-guest,id=c,cbitpos=51,reduced-phys-bits=1,{hashes},policy={policy}",
                "-cpu", "host,+kvm-hc-map-gpa-range,+kvm-migration-control",
                *flash, "-m", "256M", "-smp", "2", "-nodefaults", "-no-user-config",
                "-display", "none", "-no-reboot",
                "-qmp", f"unix:{WORK}/{name}.qmp,server=on,wait=off",
                "-serial", f"unix:{WORK}/{name}.tty,server=on,wait=off",
                "-trace", "kvm_sev_change_state",
                "-kernel", "/opt/kvm-coco/bzImage", "-initrd", str(WORK / "initrd"),
                "-append", "console=ttyS0 panic=-1 quiet", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.monitor = connect(WORK / f"{name}.qmp").makefile("rw")
        self.tty = connect(WORK / f"{name}.tty")
        self.seen = ""
        self.monitor.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        """What QEMU answers, or its error as a string."""
        print(json.dumps({"execute": command, "arguments": arguments}), file=self.monitor, flush=True)
        while True:
            answer = json.loads(self.monitor.readline() or '{"error": {"desc": "QEMU has ended"}}')
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                return answer["error"]["desc"]

    def until(self, pattern):
        """The first line of the guest's with PATTERN that was not returned before."""
        while True:
            found = re.search(rf"[^\r\n]*{pattern}[^\r\n]*\r?\n", self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found[0].strip()
            more = self.tty.recv(4096)
            if not more:
                raise EOFError(f"{self.name}: the console has ended: {self.seen[-600:]}"
                               f"{self.log.read_text()[-600:]}")
            self.seen += more.decode(errors="replace")

    def tell(self, command, answer):
        self.tty.sendall(f"{command}\n".encode())
        return self.until(answer)

    def blocked(self):
        return self.ask("query-migrate").get("blocked-reasons", [])

    def migrate(self, to):
        """How a migration ends, or why it does not begin."""
        refused = self.ask("migrate", uri=to)
        if refused:
            return {"status": "refused", "error-desc": refused}
        while True:
            status = self.ask("query-migrate")
            if status["status"] in ("completed", "failed", "cancelled"):
                return status
            time.sleep(0.5)

    def end(self):
        self.process.kill()
        self.process.wait()


def make_initrd():
    root = WORK / "root"
    for name in ("bin", "dev", "proc", "tmp"):
        (root / name).mkdir(parents=True)
    subprocess.run(["cp", "/bin/busybox", root / "bin"], check=True)
    module = next(Path("/lib/modules", os.uname().release).rglob("mem_encrypt_stress.ko"))
    (root / module.name).write_bytes(module.read_bytes())
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    subprocess.run("find . | cpio --quiet -o -H newc >../initrd", shell=True, cwd=root, check=True)


def write_certificates(target, folder):
    """Those of TARGET's security processor."""
    capabilities = target.ask("query-sev-capabilities")
    (folder / PDH).write_text(capabilities["pdh"])
    (folder / CHAIN).write_text(capabilities["cert-chain"])
    (folder / AMD).write_text(base64.b64encode(AMD_CERTS.read_bytes()).decode())


def set_peer(source, folder):
    for name in (PDH, CHAIN, AMD):
        source.ask("qom-set", path="/objects/c", property=name, value=str(folder / name))


def migrated(source, address, name):
    status = source.migrate(address)
    print(f"# {json.dumps(status)}")
    result(name, "" if status["status"] == "completed" else f"{status}")


def checked(qemu, name):
    """What the guest's stress test has found, which ends with that."""
    # What is written to its console before it is there is lost.
    while qemu.ask("query-status")["status"] == "inmigrate":
        time.sleep(0.2)
    answer = qemu.tell("check", "guest: .*stopped after")
    result(f"{name}: {answer}", "" if ", 0 errors" in answer else "errors")


def start(name, variables=None):
    """A guest that has come up, and its migration allowed."""
    source = Qemu(name, variables=variables)
    print(f"# {source.until('Memory Encryption Features')}")
    print(f"# {source.until('guest: up')}")
    reasons = source.blocked()
    if variables:
        result("the guest's kernel allows its migration", f"{reasons or ''}")
    else:
        result("the guest's kernel does not allow its migration",
               "" if reasons == ["The guest does not allow its migration"] else f"{reasons}")
        source.tell("msr 1", "msr 1: 0")
        result("the guest's administrator does", f"{source.blocked() or ''}")
    source.tell("stress", "stress: 0")
    return source


def wait_for(file):
    deadline = time.monotonic() + LIMIT
    while not file.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {file}")
        time.sleep(0.5)


def send():
    source = start("source")
    wait_for(SHARED / "ready")
    set_peer(source, SHARED)
    migrated(source, f"file:{SHARED}/stream", "it is sent to the other host")
    (SHARED / "sent").touch()


def receive():
    target = Qemu("target", "-incoming", "defer")
    write_certificates(target, SHARED)
    (SHARED / "ready").touch()
    wait_for(SHARED / "sent")
    result("it is received", f"{target.ask('migrate-incoming', uri=f'file:{SHARED}/stream') or ''}")
    checked(target, "it goes on here, and nothing of it has changed")


def on_one_host(variables=None):
    source = start("source", variables)
    address = f"unix:{WORK}/link"
    nowhere = f"file:{WORK}/nowhere"
    status = source.migrate(nowhere)
    result("without a peer's certificates nothing is sent",
           "" if "peer-pdh-file" in status.get("error-desc", "") else f"{status}")
    other = Qemu("other", "-incoming", address, policy=3, variables=variables)
    write_certificates(other, WORK)
    set_peer(source, WORK)
    source.ask("migrate-set-capabilities", capabilities=[{"capability": "xbzrle", "state": True}])
    status = source.migrate(nowhere)
    source.ask("migrate-set-capabilities", capabilities=[{"capability": "xbzrle", "state": False}])
    result("nor with xbzrle", "" if "with xbzrle" in status.get("error-desc", "") else f"{status}")
    status = source.migrate(address)
    other.process.wait(LIMIT)
    said = other.log.read_text()
    result("a receiver that expects another policy refuses",
           "" if status["status"] == "failed" and "policy is 0x1, not 0x3" in said
           else f"{status}, {said}")
    checked(source, "nothing of the guest has changed, which goes on")

    target = Qemu("target", "-incoming", address, variables=variables)
    source.tell("stress", "stress: 0")
    migrated(source, address, "it migrates while two CPUs convert and check their memory")
    checked(target, "nothing of it has changed")
    result("the other QEMU knows that it may migrate", f"{target.blocked() or ''}")
    source.end()

    back = Qemu("back", "-incoming", address, variables=variables)
    set_peer(target, WORK)
    target.tell("stress", "stress: 0")
    migrated(target, address, "it migrates once more")
    checked(back, "nothing of it has changed then")
    back.tell("msr 0", "msr 0: 0")
    result("it does not allow it any more", "" if back.blocked() else "not blocked")
    # That it boots again is the firmware's work, which is encrypted memory of no RAM.
    back.ask("set-action", reboot="reset")
    back.ask("system_reset")
    back.until("guest: up")
    result("it boots again after a reset")


def main(word=None):
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    make_initrd()
    subprocess.run(["modprobe", "qemu_fw_cfg"], check=True)
    print("KTAP version 1")
    if word in ("send", "receive"):
        {"send": send, "receive": receive}[word]()
    else:
        on_one_host(word)
    print(f"1..{number}")
    for file in WORK.glob("*.log") if failed else []:
        print(f"# {file.name}: {file.read_text()[-1500:]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
