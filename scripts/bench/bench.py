# SPDX-License-Identifier: GPL-2.0-only
"""The series against the unpatched base, in one run: bench.txt and bench.svg.

Both kernels have the same configuration and run the same measuring programs
(tests/bench).  Under QEMU -icount a TSC tick is an instruction, so that the noise of
the machine is out; all machines of a kernel run at once.  kvm-intel runs under Bochs,
which counts instructions as well.  Wall time is for the boots at the end alone: none of
these runs beside them, and the machines take turns.  The counts are the same on a busy
machine.

On a machine with /dev/kvm and svm or vmx in /proc/cpuinfo, the machines of that
vendor run under QEMU -accel kvm -cpu host instead, with the same plan: the TSC's
cycles are counted, guests are nested ones, and the boots run there too.  That takes
the module parameter nested.  The rest stays emulated: kvm-intel's loading on AMD,
kvm-amd's and SNP-safe pages on Intel, software SEV guests.  Goals remain: they are
ratios.  Nobody has tried this yet: there was no such machine.
"""
import functools
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts.bench import picture as bench_picture
from scripts.bench import rows as bench_rows
from scripts.machine import bochs, qemu
from scripts.results import records
from scripts.machine.initrd import load_order
from scripts.machine.machine import CMDLINE, END_MARKER, Machine, pack
from scripts.common import BASE, Failed, git, ROOT, run_main

# With -icount a guest hangs once in a hundred boots or so: either kernel, on a host of
# either kernel, spins for a lock with interrupts off.  A machine that says nothing for so
# many seconds of CPU time is started again.
SILENCE, STARTS = 90, 4
ICOUNT = ["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=0,sleep=off"]
KVM = ["-accel", "kvm", "-smp"]
# A task's CPU time is measured in ns.
NS_PER_INSTRUCTION = {"amd": 1, "intel": 10**9 / bochs.IPS}
# Seconds that a machine of those may take whose wall time counts.
LIMIT = 600
# How often the machines whose wall time counts take turns, and their guests in each.
TURNS, BOOTS = 3, 3
TRANSPORT = "KVM: x86: Let software-protected VMs make TDVMCALLs"
LOAD = "test 200 module_load kvm-{engine}\n"
# rodata=off lets the module make the kernel believe that it is an SNP host.
SNP = """\
module kvm-amd
module snp_page_bench label=plain
unload snp_page_bench
unload kvm_amd
module snp_page_bench force=1
unload snp_page_bench
module kvm-amd
module snp_page_bench label=snp fragment=1
"""
GUEST = "plain:{0}:/boot/{0}:/boot/hypercall-{0}.ko"
PROGRAMS = ("exits_bench", "boot_bench")


def build(tree, out, programs=()):
    """tests/bench: external modules of the kernel in OUT, and programs."""
    work = out / "bench"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(ROOT / "tests/bench", work)
    run = {"capture_output": True, "text": True, "check": False,
           "env": {**os.environ, "ARCH": "x86_64", "V": "0"}}
    done = [subprocess.run(["make", "-s", "-C", tree, f"O={out}/kernel", f"M={work}", "modules"],
                           **run),
            subprocess.run(["gcc", "-Wall", "-O2", "-static", "-o", work / "module_load",
                            work / "module_load.c"], **run)]
    kvm, tools = tree / "tools/testing/selftests/kvm", tree / "tools"
    for name in programs:
        # As the selftests' Makefile does it, with the library that it has built.
        done.append(subprocess.run(
            ["gcc", "-std=gnu99", "-O2", "-Wall", "-D_GNU_SOURCE=", "-DCONFIG_64BIT",
             "-U_FORTIFY_SOURCE", "-fno-builtin-memcmp", "-fno-builtin-memcpy",
             "-fno-builtin-memset", "-fno-stack-protector", "-fno-PIE", "-no-pie",
             "-fno-strict-aliasing", "-march=x86-64-v2", "-static", "-pthread",
             *[f"-I{path}" for path in (kvm / "include", kvm / "include/x86", kvm.parent,
                                        tools / "include", tools / "arch/x86/include")],
             "-isystem", out / "kernel/usr/include", "-o", work / name, work / f"{name}.c",
             *sorted((out / "selftests/lib").rglob("*.o"))], **run))
    for each in done:
        if each.returncode:
            raise Failed(f"tests/bench does not build for {tree}: {each.stderr[-800:]}")


def transport(tree, out, plain):
    """The image of PLAN's kernel with the KVM of the commit TRANSPORT."""
    work = out / "bench-transport"
    found = re.search(f"^(\\S+) {re.escape(TRANSPORT)}$",
                      git(tree, "log", "--format=%H %s", "base..HEAD"), re.M)
    if not found:
        raise Failed(f"no commit '{TRANSPORT}' in {tree}")
    built_from = found[1] + git(tree, "rev-parse", "HEAD^{tree}")
    if not (work / "from").is_file() or (work / "from").read_text() != built_from:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        git(tree, "worktree", "prune")
        git(tree, "worktree", "add", "-q", "--detach", str(work / "tree"), found[1])
        subprocess.run([ROOT / "scripts/build/kvm_modules.sh", plain, work / "tree",
                        work / "tree/arch/x86/kvm", work / "image"], check=True)
        git(tree, "worktree", "remove", "--force", str(work / "tree"))
        (work / "from").write_text(built_from)
    return work / "image"


def hardware(cpuinfo=Path("/proc/cpuinfo"), device="/dev/kvm"):
    """The engine that this machine itself can be, or None."""
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo.read_text(), re.M)
    flags = flags[1].split() if flags and os.access(device, os.R_OK | os.W_OK) else []
    return "amd" if "svm" in flags else "intel" if "vmx" in flags else None


class Kernel:
    """What boots, and the modules and programs that measure it."""

    def __init__(self, name, image, work):
        self.name, self.image, self.work = name, image, work


def machine(run_dir, kernel, engine, plan, guests, argv):
    """Start KERNEL in RUN_DIR; ARGV makes the engine's command line of the files."""
    shutil.rmtree(run_dir, ignore_errors=True)
    root = run_dir / "root"
    for folder in ("dev", "proc", "sys", "tmp", "modules", "tests", "boot"):
        (root / folder).mkdir(parents=True)
    shutil.copy(kernel.image / "init", root / "init")
    for ko in [*(kernel.image / "modules").iterdir(), kernel.work / "snp_page_bench.ko"]:
        shutil.copy(ko, root / "modules" / ko.name)
    first = [f"module {m}\n" for m in load_order(root / "modules", f"kvm-{engine}", set())[:-1]]
    series = guests[-1]
    for program in (kernel.work / "module_load", *[series.work / name for name in PROGRAMS],
                    series.image / "selftests/x86/guest_init"):
        shutil.copy(program, root / "tests")
    for guest in guests if "boot_bench" in plan else ():
        shutil.copy(guest.image / "bzImage", root / "boot" / guest.name)
        shutil.copy(guest.work / "hypercall_bench.ko", root / f"boot/hypercall-{guest.name}.ko")
    (root / "plan").write_text("".join(first) + plan.format(engine=engine))
    pack(root, run_dir / "initrd")
    shutil.rmtree(root)
    return Machine(run_dir, argv(run_dir, kernel.image / "bzImage", run_dir / "initrd"))


def counting(engine, real):
    """The command line of an engine that counts."""
    if engine == real:
        return lambda *files: qemu.qemu(*files, f"{CMDLINE} rodata=off",
                                           [*KVM, "1"], qemu.HOST)
    if engine == "intel":
        return bochs.bochs
    return lambda *files: qemu.qemu(*files, f"{CMDLINE} rodata=off", ICOUNT)


def cpu_time(each):
    fields = Path(f"/proc/{each.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def together(starts):
    """Run machines at once, to their end; STARTS has what starts each."""
    machines, said, left = {}, {}, {name: STARTS - 1 for name in starts}
    try:
        for name, start in starts.items():
            machines[name] = start()
        while not all(each.ended() for each in machines.values()):
            time.sleep(0.5)
            for name, each in machines.items():
                if each.ended():
                    continue
                size = sum((each.run_dir / file).stat().st_size for file in ("console", "results"))
                if said.get(name, (None,))[0] != size:
                    said[name] = size, cpu_time(each)
                if cpu_time(each) - said[name][1] < SILENCE:
                    continue
                each.kill()
                if not left[name]:
                    raise Failed(f"{each.run_dir}: it hangs, {STARTS} times of {STARTS}")
                left[name] -= 1
                print(f"bench: {each.run_dir.name} hangs, once more", flush=True)
                machines[name] = starts[name]()
    finally:
        for each in machines.values():
            each.kill()
    return machines


def count(out, base, ours, mainline, real):
    """MACHINE:LABEL -> instructions, or cycles, in each round."""
    main, numbers = real or "amd", {}
    run, load = "module kvm-{engine}\n", "unload kvm_{engine}\n"
    plans = {(base, "amd"): [LOAD, SNP], (base, "intel"): [LOAD],
             (ours, "amd"): [LOAD, SNP], (ours, "intel"): [LOAD], (mainline, main): []}
    extra = {base: f"test 280 exits_bench\ntest 280 boot_bench 2 {GUEST.format('base')}\n",
             ours: "test 280 exits_bench tdx\ntest 280 boot_bench 2 "
                   f"{GUEST.format('base')} {GUEST.format('ours')}\n",
             mainline: "test 280 exits_bench tdx\n"}
    starts = {}
    for (kernel, engine), plan in plans.items():
        if engine == main:
            plan[1:1] = [run, extra[kernel], load]
        starts[kernel.name, engine] = functools.partial(
            machine, out / "bench/run" / f"{kernel.name}-{engine}", kernel, engine,
            "".join(plan), [base, ours], counting(engine, real))
    for (name, engine), each in together(starts).items():
        found = measured(each)
        for label in found:
            if label.startswith("load_") and engine != real:
                found[label] = [ns / NS_PER_INSTRUCTION[engine] for ns in found[label]]
        numbers |= {f"{name}-{engine}:{label}": rounds for label, rounds in found.items()}
        if engine == main:
            numbers |= {f"{name}:{label}": rounds for label, rounds in found.items()}
    return numbers


def boots(out, base, ours, tests, real):
    """The same for us of wall time."""
    numbers = {}
    plans = {base: "plain:base:/boot/base", ours: "plain:base:/boot/base plain:ours:/boot/ours",
             tests: "plain:plain:/boot/ours sev:sev:/boot/ours"}
    for turn in range(TURNS):
        for kernel, guests in plans.items():
            # Software SEV VMs are AMD's, and know the emulated CPU.
            own = real if kernel is not tests else None
            how = [CMDLINE, [*KVM, "3"], qemu.HOST] if own else []
            engine = own or "amd"
            each = machine(out / "bench/run" / f"boot-{kernel.name}-{turn}", kernel, engine,
                           f"module kvm-{engine}\ntest 560 boot_bench {BOOTS} {guests}\n",
                           [base, ours], lambda *files: qemu.qemu(*files, *how))
            try:
                while not each.ended() and each.elapsed() < LIMIT:
                    time.sleep(0.2)
            finally:
                each.kill()
            for label, rounds in measured(each).items():
                numbers.setdefault(f"boot-{kernel.name}:{label}", []).extend(
                    ns / 1000 for ns in rounds)
    return numbers


def measured(each):
    """label -> what each round counted, from the kernel's log and the programs' output."""
    results = each.results().decode(errors="replace")
    console = (each.run_dir / "console").read_text(errors="replace")
    if END_MARKER.decode() not in results or "not ok" in results:
        raise Failed(f"{each.run_dir.name}: {results.strip()[-800:] or 'no end of plan'}; "
                     f"see {each.run_dir}")
    found = {}
    for label, number in re.findall(r"bench: (\w+) (\d+)\s*$", f"{console}\n{results}", re.M):
        found.setdefault(label, []).append(int(number))
    return found


def sizes(kernel):
    """Text and data of vmlinux and of KVM's modules."""
    numbers = {}
    files = [kernel.image.parent / "kernel/vmlinux",
             *[kernel.image / f"modules/{name}.ko" for name in ("kvm", "kvm-amd", "kvm-intel")]]
    for path in files:
        words = subprocess.run(["size", path], capture_output=True, text=True,
                               check=True).stdout.splitlines()[1].split()
        numbers[f"{kernel.name}:size_{path.stem}"] = [int(words[0]) + int(words[1])]
    return numbers


def bench(out):
    started = time.monotonic()
    tree, plain = out / f"linux-{BASE}", out / "plain"
    build(out / f"base/linux-{BASE}", out / "base")
    build(tree, plain, PROGRAMS)
    shutil.rmtree(out / "bench", ignore_errors=True)
    base = Kernel("base", out / "base/image", out / "base/bench")
    ours = Kernel("ours", plain / "image", plain / "bench")
    mainline = Kernel("transport", transport(tree, out, plain), plain / "bench")
    tests = Kernel("tests", out / "image", plain / "bench")
    real = hardware()
    print(f"bench: {f'{real} is this machine itself' if real else 'both engines are emulated'}; "
          f"built after {time.monotonic() - started:.0f} s", flush=True)
    numbers = {**sizes(base), **sizes(ours)}
    numbers |= count(out, base, ours, mainline, real)
    print(f"bench: counted after {time.monotonic() - started:.0f} s", flush=True)
    numbers |= boots(out, base, ours, tests, real)
    unit = f"TSC cycles ({real})" if real else "instructions"
    groups = bench_rows.results(numbers)
    text = bench_rows.table(groups, unit)
    (out / "bench.txt").write_text(text)
    (out / "bench.svg").write_text(bench_picture.svg(groups, unit))
    (out / "bench.state").write_text(records.state(out) + "\n")
    print(text + f"kept in {out}/bench.txt and bench.svg, {time.monotonic() - started:.0f} s")
    for title, rows in groups:
        for found in rows:
            if found.missed or found.busy:
                print(f"bench: {title}: {found.row.what}: {bench_rows.verdict(found)}")
    return int(any(found.missed for _, rows in groups for found in rows))


if __name__ == "__main__":
    run_main("bench", lambda: bench(Path(sys.argv[1]).resolve()))
