# SPDX-License-Identifier: GPL-2.0-only
"""Build a commit of the series with the options and programs that exist by then."""
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


def build(tree, out, configuration):
    """Why it does not build with the fragments CONFIGURATION, or nothing."""
    drop_later_programs(tree, out)
    done = subprocess.run([ROOT / "scripts/build/build.sh", tree, out, *configuration],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", check=False)
    said = done.stdout + done.stderr
    (out / "log/build.log").write_text(said)
    if done.returncode:
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
    return ""
