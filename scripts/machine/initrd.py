# SPDX-License-Identifier: GPL-2.0-only
"""What a machine boots with: PID 1, the plan, modules, and the tests with their files."""
import functools
import os
import shutil
import subprocess

from scripts.common import Failed
from scripts.machine.machine import pack
from scripts.machine.plan import EXPECTED

# Files of the build, or of tests/expected, that a test looks for in the machine,
# besides its own program.  Those that are the kernel of a guest may be of another build,
# see --guest.
GUEST_KERNEL = {"bzImage", "System.map"}
NEEDS = {"x86/coco_exits_fuzz": {EXPECTED / "coco_exits.corpus": "tests/coco_exits.corpus"},
         "x86/coco_soak_test": {"bzImage": "boot/vmlinuz-{release}",
                                "System.map": "boot/System.map-{release}",
                                **{f"selftests/x86/{name}": f"tests/x86/{name}" for name in
                                   ("guest_init", "sev_guest_test", "guest_live_migration_test",
                                    "map_gpa_test", "coco_exits_fuzz")}},
         "x86/guest_boot_test": {"bzImage": "boot/vmlinuz-{release}",
                                 "System.map": "boot/System.map-{release}",
                                 "selftests/x86/guest_init": "tests/x86/guest_init"},
         "x86/guest_live_migration_test": {"bzImage": "boot/vmlinuz-{release}",
                                           "selftests/x86/guest_init": "tests/x86/guest_init"},
         "x86/guest_migration_test": {"bzImage": "boot/vmlinuz-{release}",
                                      "selftests/x86/guest_init": "tests/x86/guest_init"},
         "x86/sev_guest_migration_test": {"bzImage": "boot/vmlinuz-{release}",
                                          "selftests/x86/guest_init": "tests/x86/guest_init"},
         "x86/sev_guest_test": {"bzImage": "boot/vmlinuz-{release}",
                                "System.map": "boot/System.map-{release}",
                                     "selftests/x86/guest_init": "tests/x86/guest_init"},
         "x86/guest_virtio_test": {"bzImage": "boot/vmlinuz-{release}",
                                   "selftests/x86/guest_init": "tests/x86/guest_init"},
         "x86/tdvmcall_test": {EXPECTED / "tdx_exits": "tests/tdx_exits"},
         "x86/vmx_feature_msrs_test": {EXPECTED / "intel.msrs": "tests/intel.msrs"}}


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
        same = source.stat().st_dev == target.parent.stat().st_dev
        (os.link if same else shutil.copy)(source, target)


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
        for source, name in NEEDS.get(item.name, {}).items():
            link((guest or build if source in GUEST_KERNEL else build) / source,
                 root / name.format(release=kernel_release(build)))
        lines.append(" ".join(["test", f"{item.limit:g}", item.name, *item.args]))
    for name in ("bzImage", "System.map") if base else ():
        link(base / name, root / "boot/base" / name)
    (root / "plan").write_text("\n".join(lines) + "\n")
    pack(root, run_dir / "initrd")
    shutil.rmtree(root)
    return run_dir / "initrd"
