# SPDX-License-Identifier: GPL-2.0-only
"""Make O/.config: tinyconfig and the given fragments, all of it or nothing.

merge_config.sh only warns about an option that did not take.  Here that stops
the build, and says which symbol the option depends on that is not set.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

from scripts.common import Failed, run_main

# PAHOLE: see kmake.sh.
ENV = {**os.environ, "ARCH": "x86_64", "MAKEFLAGS":
       f"{os.environ.get('MAKEFLAGS', '')} PAHOLE={os.environ.get('PAHOLE', 'none')}"}


def run(tree, *command):
    """Run COMMAND in TREE and return its warnings."""
    done = subprocess.run(command, cwd=tree, env=ENV, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command[:4]))}: {done.stderr.strip()[-800:]}")
    return done.stderr


def options(path):
    found = {}
    for line in Path(path).read_text().splitlines():
        set_to = re.match(r"(CONFIG_\w+)=(.*)", line)
        off = re.match(r"# (CONFIG_\w+) is not set", line)
        if set_to:
            found[set_to[1]] = set_to[2]
        elif off:
            found[off[1]] = "n"
    return found


def depends_on(tree, symbol):
    """The "depends on" and "if" lines of SYMBOL's definitions; None without any."""
    files = subprocess.run(["grep", "-rlE", "--include=Kconfig*", f"^\\s*(menu)?config {symbol}$",
                            "."], cwd=tree, capture_output=True, text=True, check=False).stdout
    found = []
    for file in files.split():
        enclosing, inside = [], False
        text = (Path(tree) / file).read_text(errors="replace").replace("\\\n", " ")
        for line in text.splitlines():
            words = line.strip()
            if re.match(r"if ", line):
                enclosing.append(words[3:])
            elif re.match(r"endif", line) and enclosing:
                enclosing.pop()
            if re.match(r"\s*(menu)?config ", line):
                inside = words.split()[-1] == symbol
                found += enclosing if inside else []
            elif inside and words.startswith("depends on "):
                found.append(words[len("depends on "):])
            elif inside and re.match(r"(bool|tristate|def_bool|def_tristate|prompt) .*\bif ", words):
                found.append(words.rsplit(" if ", 1)[1])
    return found if files else None


def explain(tree, symbol, config):
    """Which symbols of SYMBOL's dependencies are not set."""
    rules = depends_on(tree, symbol)
    if rules is None:
        return "no Kconfig file defines it"
    if not rules:
        return "it depends on nothing, so another option selects it"
    text = "; ".join(" ".join(rule.split()) for rule in rules)
    unmet = []
    for negated, name in dict.fromkeys(re.findall(r"(!?)\b([A-Z][A-Z0-9_]{2,})\b", text)):
        is_set = config.get(f"CONFIG_{name}", "n") != "n"
        if is_set and negated:
            unmet.append(f"{name} is set")
        if not is_set and not negated:
            unmet.append(f"{name} is not set")
    return f"it depends on {text}: {', '.join(unmet) or 'all met, so it is only selected'}"


def configure(tree, out, fragments):
    out.mkdir(parents=True, exist_ok=True)
    wanted = {}
    for fragment in fragments:
        wanted.update(options(fragment))
    stamp = out / ".config-from"
    text = "".join(Path(f).read_text() for f in fragments)
    config = out / ".config"
    # Kconfig files may have changed: olddefconfig is cheap, starting over is not.
    if config.exists() and stamp.exists() and stamp.read_text() == text:
        run(tree, "make", "-s", f"O={out}", "olddefconfig")
    else:
        run(tree, "make", "-s", f"O={out}", "tinyconfig")
        run(tree, "scripts/kconfig/merge_config.sh", "-O", out, config, *fragments)
        stamp.write_text(text)
    have = options(config)
    lost = [name for name, value in wanted.items() if have.get(name, "n") != value]
    for name in lost:
        symbol = name.removeprefix("CONFIG_")
        print(f"config: {name}={wanted[name]} did not take, it is "
              f"{have.get(name, 'n')}: {explain(tree, symbol, have)}", file=sys.stderr)
    if lost:
        stamp.unlink()
        raise Failed(f"{len(lost)} options of {', '.join(map(str, fragments))} did not take")
    return 0


if __name__ == "__main__":
    run_main("config", lambda: configure(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(),
                                         [Path(f).resolve() for f in sys.argv[3:]]))
