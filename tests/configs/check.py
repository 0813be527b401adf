# SPDX-License-Identifier: GPL-2.0-only
"""check.py OUT: the series builds, without a warning, in each of tests/configs/configurations.

All kernels share one folder of objects per architecture, so that what an option does
not touch is not built again.  A configuration that has passed with this content is not
repeated.  If one fails, the base tells whether it is the series that fails.
"""
import itertools
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from scripts.build import config
from scripts.build.touched import objects, touched
from scripts.results.passed import digest, has_passed, kernel, remember
from scripts.common import BASE, Failed, run_main, ROOT

TABLE = ROOT / "tests/configs/configurations"
FRAGMENT = ROOT / "configs/kvm.config"
OWN = ROOT / "configs/series.config"


class Column:
    def __init__(self, words):
        self.name = words[0]
        on, _, off = " ".join(words[1:]).partition("|")
        self.on = [w if "=" in w else w.replace("?", "") + "=y" + "?" * w.endswith("?")
                   for w in on.split()]
        self.off = off.split() or [re.sub("=.*", "=n", w) for w in self.on]


class Row:
    """NAME, ARCH, TARGETS ("kernel" or "objects") and OPTION=VALUE for one build."""

    def __init__(self, name, arch, targets, options):
        self.name, self.arch, self.targets, self.options = name, arch, targets, options

    def text(self):
        return " ".join([self.name, self.arch, self.targets, *self.options])


def uncovered(columns, needs, letters):
    """The pairs of values that no row has though they are possible."""
    missing = []
    for (i, a), (j, b) in itertools.combinations(enumerate(columns), 2):
        for x, y in itertools.product("yn", repeat=2):
            if (x == "y" and y == "n" and b.name in needs.get(a.name, ())) or \
               (y == "y" and x == "n" and a.name in needs.get(b.name, ())):
                continue
            if not any(row[i] == x and row[j] == y for row in letters):
                missing.append(f"{a.name}={x} {b.name}={y}")
    return missing


def read_table(path=TABLE):
    columns, needs, letters, rows = [], {}, [], []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "column":
            columns.append(Column(words[1:]))
        elif words[0] == "needs":
            needs.setdefault(words[1], set()).add(words[2])
        elif words[0] == "pairs" and len(words) - 1 == len(columns) and set(words[1:]) <= set("yn"):
            letters.append(words[1:])
            options = [o for c, w in zip(columns, words[1:]) for o in (c.on if w == "y" else c.off)]
            rows.append(Row(f"pairs {len(letters)}", "x86_64", "kernel", options))
        elif words[0] == "alone" and len(words) > 4 and words[3] in ("kernel", "objects"):
            rows.append(Row(words[1], words[2], words[3], words[4:]))
        else:
            raise Failed(f"{path}:{number}: cannot read '{line}'")
    missing = uncovered(columns, needs, letters)
    if missing:
        raise Failed(f"{path}: no row has {', '.join(missing)}: add or change one")
    named = {re.sub("[=?].*", "", o) for c in columns for o in c.on}
    for symbol in config.options(OWN):
        if symbol.removeprefix("CONFIG_") not in named:
            raise Failed(f"{path}: {symbol} of {OWN.name} is in no column")
    return rows


def configure(tree, out, row):
    """Make the configuration of ROW: what it names has to take, but for "?"."""
    out.mkdir(parents=True, exist_ok=True)
    config.ENV["ARCH"] = row.arch
    if row.options == ["allmodconfig"]:
        config.run(tree, "make", "-s", f"O={out}", "allmodconfig")
        return
    lines = [f"CONFIG_{o.rstrip('?')}" for o in row.options]
    lines = [f"# {x[:-2]} is not set" if x.endswith("=n") else x for x in lines]
    extra = out / "row.config"
    extra.write_text("\n".join(lines) + "\n")
    config.run(tree, "make", "-s", f"O={out}", "tinyconfig")
    config.run(tree, "scripts/kconfig/merge_config.sh", "-O", out, out / ".config", FRAGMENT, extra)
    have = config.options(out / ".config")
    for option in row.options:
        name, value = option.split("=")
        if not value.endswith("?") and have.get(f"CONFIG_{name}", "n") != value:
            raise Failed(f"{name}={value} did not take, it is {have.get(f'CONFIG_{name}', 'n')}: "
                         + config.explain(tree, name, have))


def build(tree, out, row, log):
    """What is wrong with it, or nothing."""
    targets = ["vmlinux", "modules"] if row.targets == "kernel" else objects(touched(tree))
    done = subprocess.run([ROOT / "scripts/build/kmake.sh", tree.parent, "-k", "-C", tree, f"O={out}",
                           *targets], env={**os.environ, "ARCH": row.arch},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    log.write_text(done.stdout)
    bad = [line for line in done.stdout.splitlines()
           if re.search(r"error:|ERROR:|warning:|WARNING:|undefined reference", line)]
    if bad:
        return bad[0]
    return f"make failed, see {log}" if done.returncode else ""


def as_base(row, tree):
    """ROW without the options that the series adds."""
    known = [o for o in row.options if o == "allmodconfig"
             or config.depends_on(tree, o.split("=")[0]) is not None]
    return Row(row.name, row.arch, row.targets, known)


def one(out, row):
    trees = {"series": out / f"linux-{BASE}", "base": out / f"base/linux-{BASE}"}
    for side, tree in trees.items():
        here = as_base(row, tree) if side == "base" else row
        log = out / "log" / f"configs-{side}-{row.name.replace(' ', '-')}.log"
        log.parent.mkdir(exist_ok=True)
        kind = row.arch + ("-allmod" if row.options == ["allmodconfig"] else "")
        folder = tree.parent / f"configs-{kind}"
        try:
            configure(tree, folder, here)
            why = build(tree, folder, here, log)
        except Failed as error:
            why = str(error)
        if side == "series":
            ours = why
            if not why:
                return "passed", ""
    if why:
        return "skipped", f"the base fails as well: {why}"
    return "failed", ours


def main(out):
    rows = read_table()
    tree = kernel(out / f"linux-{BASE}")
    compiler = subprocess.run(["gcc", "--version"], capture_output=True, check=True).stdout
    counts, started = {"passed": 0, "failed": 0, "skipped": 0}, time.monotonic()
    for number, row in enumerate(rows, 1):
        begun = time.monotonic()
        key = digest("configs", tree, compiler, FRAGMENT.read_bytes(), row.text())
        verdict, why = "passed", "before"
        if not has_passed(key):
            verdict, why = one(out, row)
            if verdict == "passed":
                remember(key, f"configs: {row.name}")
        counts[verdict] += 1
        now = time.monotonic()
        print(f"configs: [{number}/{len(rows)}] {row.name}: {' '.join([verdict, why]).strip()}, "
              f"{now - begun:.0f} s, {now - started:.0f} s in all", flush=True)
    print(f"configs: logs are {out}/log/configs-*.log")
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    run_main("configs", lambda: main(Path(sys.argv[1]).resolve()))
