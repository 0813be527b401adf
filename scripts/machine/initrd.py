# SPDX-License-Identifier: GPL-2.0-only
"""What a machine boots with: PID 1, the plan, modules, and the tests with their files."""
import functools
import os
import shutil
import subprocess

from scripts.common import Failed
from scripts.machine.machine import pack
from scripts.machine.plan import EXPECTED

# Where a test finds the kernel of its guests.
GUEST_KERNEL = {"bzImage": "boot/vmlinuz-{}", "System.map": "boot/System.map-{}"}


def load_order(modules, name, loaded):
    """The modules that NAME needs and NAME itself, without those already loaded."""
    path = modules / f"{name}.ko"
    if not path.is_file():
        raise Failed(f"module {name} is in tests/expected but was not built: {path}")
    depends = subprocess.run(["modinfo", "-F", "depends", path], capture_output=True,
                             text=True, check=True).stdout.strip()
    order = []
    for other in filter(None, depends.split(",")):
        file = other if (modules / f"{other}.ko").is_file() else other.replace("_", "-")
        order += load_order(modules, file, loaded)
    if name not in loaded:
        loaded.add(name)
        order.append(name)
    return order


@functools.cache
def kernel_release(build):
    """What uname -r will say: the modules have it in plain text."""
    module = next((build / "modules").glob("*.ko"))
    return subprocess.run(["modinfo", "-F", "vermagic", module], capture_output=True,
                          text=True, check=True).stdout.split()[0]


def link(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        if source.stat().st_dev == target.parent.stat().st_dev:
            os.link(source, target)
        else:
            shutil.copy(source, target)


def source(file, build, base=None, guest=None):
    """Where a file is that a test needs.  The kernel of guests may be of another build."""
    if file in GUEST_KERNEL:
        return (guest or build) / file
    if file.startswith("base/"):
        return base / file.removeprefix("base/")
    return (build / "selftests" if "/" in file else EXPECTED) / file


def target(file, build):
    """Where the test looks for it."""
    if file in GUEST_KERNEL:
        return GUEST_KERNEL[file].format(kernel_release(build))
    return f"boot/{file}" if file.startswith("base/") else f"tests/{file}"


def make_initrd(run_dir, plan, kernel, build, init, base, guest=None):
    """PID 1, the plan, KERNEL's modules and only those tests that the plan runs."""
    root = run_dir / "root"
    for name in ("dev", "proc", "sys", "tmp", "tests", "modules", "bin"):
        (root / name).mkdir(parents=True)
    shutil.copy(init, root / "init")
    for module in (kernel / "modules").iterdir():
        os.link(module, root / "modules" / module.name)
    lines, loaded = [], set()
    for item in plan:
        if isinstance(item, str):
            verb, name = (item.split() + [""])[:2]
            if verb == "unload":
                loaded.discard(name.replace("_", "-"))
            if verb == "module":
                lines += [f"module {m}" for m in load_order(kernel / "modules", name, loaded)[:-1]]
            lines.append(item)
            continue
        binary = build / "selftests" / item.name
        if not binary.is_file():
            raise Failed(f"{item.name} is listed in tests/expected but was not built: {binary}")
        link(binary, root / "tests" / item.name)
        for file in item.files:
            link(source(file, build, base, guest), root / target(file, build))
        lines.append(" ".join(["test", f"{item.limit:g}", item.name, *item.args]))
    (root / "plan").write_text("\n".join(lines) + "\n")
    pack(root, run_dir / "initrd")
    shutil.rmtree(root)
    return run_dir / "initrd"
