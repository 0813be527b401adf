# SPDX-License-Identifier: GPL-2.0-only
"""config.py TREE O [KCONFIG]: the configuration of the kernel of make deb.

KCONFIG, or the configuration of the running kernel, with deb.config on top.
All that differs from what was given is said, or listed in a file if it is much.
"""
import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

from scripts.build import config
from scripts.common import Failed, run_main

FRAGMENT = Path(__file__).with_name("deb.config")
# Files that only the distribution has, and what to say instead of their names.
FILES = {"CONFIG_SYSTEM_TRUSTED_KEYS": "", "CONFIG_SYSTEM_REVOCATION_KEYS": "",
         "CONFIG_SYSTEM_BLACKLIST_HASH_LIST": "",
         # The default: the build makes a key of its own.
         "CONFIG_MODULE_SIG_KEY": "certs/signing_key.pem"}


def say(text):
    print(f"deb: {text}", flush=True)


def given(kconfig):
    """The text of a configuration, and where it is from."""
    places = [Path(f"/boot/config-{os.uname().release}"), Path("/proc/config.gz")]
    if kconfig:
        places = [Path(kconfig).expanduser()]
    path = next((p for p in places if p.is_file()), None)
    if not path and kconfig:
        raise Failed(f"KCONFIG={kconfig}: no such file")
    if not path:
        raise Failed("the running kernel's configuration is neither "
                     f"{' nor '.join(map(str, places))}: give one, make deb KCONFIG=FILE")
    data = path.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise Failed(f"{path}: {error}; give another, KCONFIG=FILE") from error
    text = data.decode(errors="replace")
    if not re.search(r"^CONFIG_\w+=", text, re.M):
        raise Failed(f"{path} is no kernel configuration: no line of it sets CONFIG_...")
    machine = re.search(r"^# Linux/(\S+) ", text, re.M)
    if machine and machine[1] not in ("x86", "x86_64"):
        raise Failed(f"{path} is a configuration for {machine[1]}: the series is for x86_64")
    return text, path


def without_foreign_files(tree, options):
    """What to set so that the build does not need files that are not here."""
    found = {}
    for name, instead in FILES.items():
        file = options.get(name, '""').strip('"')
        if file not in ("", instead) and ":" not in file and not (tree / file).exists():
            say(f"{name}={file} is not here: it is now \"{instead}\"")
            found[name] = f'"{instead}"'
    return found


def symbols(tree):
    """Every symbol that a Kconfig file of the kernel defines."""
    lines = subprocess.run(["grep", "-rhE", "--include=Kconfig*", r"^\s*(menu)?config ", "."],
                           cwd=tree, capture_output=True, text=True, check=True).stdout
    return {"CONFIG_" + line.split()[-1] for line in lines.splitlines()}


def report(tree, user, wanted, have, lost):
    """What is not as it was given: of FRAGMENT all of it, of the rest a list in LOST."""
    for name, value in wanted.items():
        symbol, result = name.removeprefix("CONFIG_"), have.get(name, "n")
        if result != value:
            say(f"*** {name}={value} cannot be set, it is {result}: "
                f"{config.explain(tree, symbol, have)} ***")
        elif result != user.get(name, "n"):
            say(f"{name}={result}, it was {user.get(name, 'n')}")
    btf = "CONFIG_DEBUG_INFO_BTF"
    if user.get(btf) == "y" and have.get(btf) != "y":
        say(f"*** {btf}=y cannot be set, so there is no BTF: pahole is missing or too old? "
            f"(package dwarves; {config.explain(tree, 'DEBUG_INFO_BTF', have)}) ***")
    known, off, other, gone = symbols(tree), [], [], []
    for name, value in user.items():
        now = have.get(name, "n")
        if name not in wanted and value not in ("n", now):
            kind = gone if name not in known else off if now == "n" else other
            kind.append(f"{name}={value}: {now}\n")
    lost.parent.mkdir(parents=True, exist_ok=True)
    lost.write_text("".join(["# off, since what they depend on has changed\n", *off,
                             "# different\n", *other, "# unknown to this kernel\n", *gone]))
    say(f"of the other options, {len(off)} are off now, {len(other)} are different, {len(gone)} "
        f"no longer exist: {lost}")


def check(tree, have):
    missing = [s for s in ("KVM", "KVM_AMD", "KVM_INTEL") if have.get(f"CONFIG_{s}", "n") == "n"]
    if "KVM" in missing or len(missing) == 2:
        raise Failed("no KVM with this configuration: " + "; ".join(
            f"{s} is not set: {config.explain(tree, s, have)}" for s in missing))
    if have.get("CONFIG_MODULE_SIG_FORCE") == "y" and have.get("CONFIG_MODULE_SIG_ALL") != "y":
        raise Failed("CONFIG_MODULE_SIG_FORCE=y without CONFIG_MODULE_SIG_ALL=y: no module of "
                     "this build could be loaded; set both or none in KCONFIG=")


def configure(tree, out, kconfig):
    text, origin = given(kconfig)
    out.mkdir(parents=True, exist_ok=True)
    target = out / ".config"
    target.write_text(text)
    user = config.options(target)
    wanted = config.options(FRAGMENT)
    for name, value in wanted.items():
        if (value, user.get(name)) == ("m", "y"):
            wanted[name] = "y"
    say(f"{origin}, {len(user)} options, and {FRAGMENT.name} on top")
    changed = {**wanted, **without_foreign_files(tree, user)}
    text += "".join(f"{name}={value}\n" for name, value in changed.items())
    target.write_text(text)
    warnings = config.run(tree, "make", "-s", f"O={out}", "olddefconfig")
    # What used to be a module and no longer can be would be lost, with all that needs it.
    built_in = re.findall(r"symbol value 'm' invalid for (\w+)", warnings)
    if built_in:
        target.write_text(text + "".join(f"CONFIG_{name}=y\n" for name in built_in))
        config.run(tree, "make", "-s", f"O={out}", "olddefconfig")
    have = config.options(target)
    report(tree, user, wanted, have, out.parent / "log/options-lost")
    check(tree, have)
    say("VM types that protect nothing are in this kernel, for the tests: whoever may open "
        "/dev/kvm can make them")
    return 0


if __name__ == "__main__":
    run_main("deb", lambda: configure(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(),
                                      (sys.argv[3:] or [""])[0]))
