# SPDX-License-Identifier: GPL-2.0-only
"""What the machine of make host gets of the checkout: PID 1, modules, our QEMU, the command."""
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from scripts.machine.initrd import kernel_release, link
from scripts.machine.qemu import EMULATOR

HERE = Path(__file__).parent
# Not its own libraries' system: the loader is named, so that it takes these.
WRAPPER = """#!/bin/sh
here=/opt/kvm-coco/qemu
exec $here/{loader} --library-path $here $here/qemu -L /usr/share/seabios -L /usr/share/qemu "$@"
"""


def libraries(program):
    """The shared libraries of PROGRAM, its loader among them, as the linker finds them."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", said)]


def add_qemu(kit):
    """Our QEMU as qemu-coco, with the libraries of the system that has built it."""
    (kit / "qemu").mkdir()
    (kit / "bin").mkdir()
    program = shutil.which(EMULATOR) or EMULATOR
    shutil.copy(program, kit / "qemu/qemu")
    loader = ""
    for library in libraries(program):
        shutil.copy(library, kit / "qemu")
        if library.name.startswith("ld-linux"):
            loader = library.name
    wrapper = kit / "bin/qemu-coco"
    wrapper.write_text(WRAPPER.format(loader=loader))
    wrapper.chmod(0o755)


def add_modules(kit, image):
    modules = kit / "lib/modules" / kernel_release(image)
    for module in (image / "modules").glob("*.ko"):
        link(module, modules / "kernel" / module.name)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        (modules / name).write_text("")
    subprocess.run(["depmod", "-b", kit, modules.name], check=True)


def make_kit(kit, image, settings, command):
    """The folder KIT: IMAGE's modules and kernel, SETTINGS for PID 1, and COMMAND if there is one."""
    shutil.rmtree(kit, ignore_errors=True)
    kit.mkdir(parents=True)
    shutil.copy(HERE / "init", kit)
    (kit / "init").chmod(0o755)
    add_modules(kit, image)
    add_qemu(kit)
    shutil.copy(HERE / "coco-guest", kit / "bin")
    (kit / "bin/coco-guest").chmod(0o755)
    link(image / "bzImage", kit / "bzImage")
    (kit / "settings").write_text("".join(f"{name}={shlex.quote(str(value))}\n"
                                          for name, value in settings.items()))
    if command:
        (kit / "command").write_text(command + "\n")
