# SPDX-License-Identifier: GPL-2.0-only
"""Build a commit of the series with the options and programs that exist by then."""
import os
import re
import subprocess
from pathlib import Path

from scripts.build import config
from scripts.build.progress import first_error
from scripts.common import ROOT, git

FRAGMENTS = [ROOT / "configs/kvm.config", ROOT / "configs/series.config"]


def fragments(tree, out):
    """The configuration, without the options that come with later commits."""
    kept = []
    for line in FRAGMENTS[1].read_text().splitlines():
        symbol = re.match(r"CONFIG_(\w+)=", line)
        if not symbol or config.depends_on(tree, symbol[1]) is not None:
            kept.append(line)
    own = out / "series.config"
    own.write_text("\n".join(kept) + "\n")
    return [FRAGMENTS[0], own]


def drop_later_programs(tree, out):
    """A run that was interrupted may have left programs of later commits."""
    for directory in (".", "x86"):
        sources = tree / "tools/testing/selftests/kvm" / directory
        for file in (out / "selftests" / directory).glob("*"):
            if file.is_file() and not file.suffix and not (sources / f"{file.name}.c").is_file():
                file.unlink()


def changed_part(files):
    """What scripts/build/build.sh has to build if FILES have changed, or nothing for all."""
    files = [name for name in files if not name.startswith(("Documentation/", "MAINTAINERS"))]
    tests = [name.startswith("tools/testing/selftests/kvm/") for name in files]
    if all(tests):
        return "selftests"
    # Selftests include headers of the kernel.
    both = [name for name in files if name.startswith("tools/") or name.endswith(".h")
            or "Kconfig" in name]
    return "" if both else "kernel"


def run_build(tree, out, configuration, only=""):
    """The status of scripts/build/build.sh and what it says, which OUT/log has as well."""
    done = subprocess.run([ROOT / "scripts/build/build.sh", tree, out, *configuration],
                          env={**os.environ, "ONLY": only}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace", check=False)
    said = done.stdout + done.stderr
    (out / "log/build.log").write_text(said)
    return done.returncode, said


def build(tree, out, configuration):
    """Why it does not build with the fragments CONFIGURATION, or nothing."""
    commit = git(tree, "rev-parse", "HEAD").strip()
    # Of which commit and configuration all is there that build.sh makes.
    done_before, only = out / "built", ""
    settings = "".join(f.read_text() for f in (
        *configuration, *sorted((ROOT / "scripts/machine/boot").iterdir())))
    if done_before.exists():
        before, _, with_settings = done_before.read_text().partition("\n")
        if with_settings == settings:
            only = changed_part(git(tree, "diff", "--name-only", before, commit).split())
        done_before.unlink()
    drop_later_programs(tree, out)
    status, said = run_build(tree, out, configuration, only)
    if status:
        log = re.search(r"all of it is in (.+)", said)
        lines = (said + (Path(log[1]).read_text(errors="replace") if log else "")).splitlines()
        number = first_error(lines)
        return f"see {out}/log/build.log" if number is None else lines[number].strip()
    # Mainline's own programs may warn; those of the series must not.
    ours = set(git(tree, "diff", "--name-only", "base", "HEAD").split())
    for line in (out / "log/selftests.log").read_text(errors="replace").splitlines():
        file = re.match(r"(?:\S*tools/testing/selftests/kvm/)?(\S+\.[ch]):\d+.* warning: ", line)
        if file and f"tools/testing/selftests/kvm/{file[1]}" in ours:
            return line.strip()
    done_before.write_text(f"{commit}\n{settings}")
    return ""
