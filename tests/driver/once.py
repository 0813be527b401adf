# SPDX-License-Identifier: GPL-2.0-only
"""What many tests begin with is made once in a process, and unpacked for the others."""
import subprocess

MADE = {}


def once(temp, made_of, result, make):
    """Run MAKE, which makes of the files below MADE_OF those below RESULT, folders in TEMP."""
    key = tuple((str(path.relative_to(temp)), path.read_bytes())
                for name in made_of for path in sorted((temp / name).rglob("*")) if path.is_file())
    if key in MADE:
        subprocess.run(["tar", "-C", temp, "-x"], input=MADE[key], check=True)
        return
    make()
    # With times to the nanosecond: of a kernel without git, they are what tells it from another.
    MADE[key] = subprocess.run(["tar", "-C", temp, "--format=posix", "-c", *result],
                               check=True, stdout=subprocess.PIPE).stdout
