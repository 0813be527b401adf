# SPDX-License-Identifier: GPL-2.0-only
"""The last line of each step that counts its tests: tests/check.sh adds them up."""


def print_total(passed, failed, skipped=0):
    """Print it; the exit status.  A run in which nothing has passed is wrong as well."""
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0
