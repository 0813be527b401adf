# SPDX-License-Identifier: GPL-2.0-only
"""What is counted on which kernels, and what is timed."""
import functools
import time

from scripts.bench.machines import KVM, counting, machine, measured, together
from scripts.machine import bochs, qemu

# A task's CPU time is measured in ns.
NS_PER_INSTRUCTION = {"amd": 1, "intel": 10**9 / bochs.IPS}
# Seconds that a machine of those may take whose wall time counts.
LIMIT = 600
# How often the machines whose wall time counts take turns, and their guests in each.
TURNS, BOOTS = 3, 3
# Of both kernels: TDs are not what ordinary VMs are, and have a machine of their own.
TD = "module kvm-intel tdx=1\ntest 280 exits_bench tdx\n"
LOAD = "test 200 module_load kvm-{engine}\n"
# rodata=off lets the module make the kernel believe that it is an SNP host.  With sev=0, since
# the driver of the security processor would believe it, too, and clear an RMP that is not there.
SNP = """\
module kvm-amd
module snp_page_bench label=plain
unload snp_page_bench
unload kvm_amd
module snp_page_bench force=1
unload snp_page_bench
module kvm-amd sev=0
module snp_page_bench label=snp fragment=1
"""
GUEST = "plain:{0}:/boot/{0}:/boot/hypercall-{0}.ko"


def count(out, base, ours, real):
    """MACHINE:LABEL -> instructions, or cycles, in each round."""
    main, numbers = real or "amd", {}
    run, load = "module kvm-{engine}\n", "unload kvm_{engine}\n"
    plans: dict[tuple, list] = {
        (base, "amd"): [LOAD, SNP], (base, "intel"): [LOAD],
        (ours, "amd"): [LOAD, SNP], (ours, "intel"): [LOAD],
        (base, "tdx"): [TD], (ours, "tdx"): [TD]}
    extra = {base: f"test 280 exits_bench\ntest 280 boot_bench 2 {GUEST.format('base')}\n",
             ours: "test 280 exits_bench\ntest 280 boot_bench 2 "
                   f"{GUEST.format('base')} {GUEST.format('ours')}\n"}
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
            # What looks like an SEV VM is AMD's, and knows the emulated CPU.
            own = real if kernel is not tests else None
            how = {"accel": [*KVM, "3"], "cpu": qemu.HOST} if own else {"cpu": qemu.AMD_SEV}
            engine = own or "amd"
            each = machine(out / "bench/run" / f"boot-{kernel.name}-{turn}", kernel, engine,
                           f"module kvm-{engine}\ntest 560 boot_bench {BOOTS} {guests}\n",
                           [base, ours], functools.partial(qemu.qemu, **how))
            try:
                while not each.ended() and not each.is_over(LIMIT):
                    time.sleep(0.2)
            finally:
                each.kill()
            for label, rounds in measured(each).items():
                numbers.setdefault(f"boot-{kernel.name}:{label}", []).extend(
                    ns / 1000 for ns in rounds)
    return numbers
