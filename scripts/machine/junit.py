# SPDX-License-Identifier: GPL-2.0-only
"""The verdicts of a run as a JUnit file, for a CI to show.

junit.py FILE writes what it reads: machine -> rows, as JSON.  It is a program of its own
because the library is Debian's, and so is known to Debian's python3 alone.
"""
import json
import subprocess
import sys

from scripts.common import Failed, ROOT


def write(path, verdicts):
    """Have a program of Debian's python3 write VERDICTS, machine -> rows, to PATH."""
    rows = {machine: [vars(row) for row in rows] for machine, rows in verdicts.items()}
    done = subprocess.run(["/usr/bin/python3", "-m", "scripts.machine.junit", path.resolve()],
                          cwd=ROOT, input=json.dumps(rows), capture_output=True, text=True,
                          check=False)
    if done.returncode:
        raise Failed(f"no {path}: {done.stderr.strip()[-300:]}; make deps installs "
                     "python3-junitparser")


def main(path):
    # Not at the top: another python3 imports this file for write().
    import junitparser  # type: ignore[import]

    xml = junitparser.JUnitXml()
    for machine, rows in json.load(sys.stdin).items():
        suite = junitparser.TestSuite(machine)
        for row in rows:
            case = junitparser.TestCase(row["name"], machine, row["seconds"])
            if row["verdict"] == "FAILED":
                case.result = [junitparser.Failure(row["why"])]
            elif row["verdict"] not in ("pass", "better"):
                case.result = [junitparser.Skipped(f"{row['verdict']}: {row['why']}")]
            suite.add_testcase(case)
        xml.add_testsuite(suite)
    xml.write(path, pretty=True)


if __name__ == "__main__":
    main(sys.argv[1])
