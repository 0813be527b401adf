# SPDX-License-Identifier: GPL-2.0-only
"""The machines, around engines that are shell scripts."""
import shutil
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree
from pathlib import Path

from scripts.common import ROOT
from scripts.machine.splats import PATTERNS
from tests.driver.sandbox import Sandbox


class Engine(Sandbox):
    """run.py around an engine that is a shell script."""

    def setUp(self):
        super().setUp()
        for name in ("selftests/x86", "modules", "bin"):
            (self.temp / name).mkdir(parents=True)
        for name in ("selftests/x86/fix_hypercall_test", "modules/kvm-amd.ko", "bzImage", "init"):
            (self.temp / name).write_text("")
        patterns = self.repo / PATTERNS.relative_to(ROOT)
        patterns.parent.mkdir(parents=True)
        shutil.copy(PATTERNS, patterns)
        self.fake("modinfo", "")
        self.pid_file = self.temp / "pid"
        self.command = [sys.executable, "-m", "scripts.machine.run", "--build", self.temp, "--init",
                        self.temp / "init", "--run-dir", self.temp / "run", "--engine", "amd",
                        "--tests", "fix_hypercall_test"]
        self.env["PATH"] = self.path

    # A kernel says the TSC's rate that it is given.
    CLOCK = ("a=$*; k=${a#*tsc_early_khz=}; k=${k%% *}; m=${k%???}\n"
             "echo tsc: Detected $m.${k#$m} MHz processor >console")

    def fake_qemu(self, text):
        run_dir = self.temp / "run/amd"
        self.fake("qemu-system-x86_64",
                  f"cd {run_dir}; echo $$ >{self.pid_file}; {self.CLOCK}; {text}")

    def alive(self):
        return Path(f"/proc/{self.pid_file.read_text().strip()}/exe").exists()

    RESULT = ("echo 'KTAP version 1\n1..2\nok 1 plan: module kvm-amd\n"
              "ok 2 selftests: kvm: x86/fix_hypercall_test' >results")

    def test_a_run_that_passes_ends_though_the_engine_does_not(self):
        self.fake_qemu(f"{self.RESULT}; echo '# end of plan' >>results; sleep 300")
        self.assertIn("1 passed, 0 failed, 0 skipped", self.good(self.call(*self.command)))
        self.assertFalse(self.alive())

    def test_a_hang_is_ended_and_shows_the_console(self):
        self.fake_qemu(f"{self.RESULT}; echo the last words >console; sleep 300")
        self.bad(self.call(*self.command, "--limit", "2"), "no end of plan after 2 s",
                 "the last words", "1 passed, 1 failed")
        self.assertFalse(self.alive())

    def test_a_panic_and_an_engine_that_dies(self):
        self.fake_qemu("echo 'Kernel panic - not syncing: VFS' >console")
        self.bad(self.call(*self.command), "Kernel panic", "ended before the plan",
                 "0 passed, 3 failed")

    def test_a_clock_that_is_not_what_it_was_given(self):
        for said, why in (("tsc: Detected 1.000 MHz TSC", "tsc: Detected 1.000 MHz TSC, not "),
                          ("", "the console does not say the TSC's rate")):
            self.fake_qemu(f"echo '{said}' >console; {self.RESULT}; {self.END}")
            self.bad(self.call(*self.command), f"amd: clock: {why}", "1 passed, 1 failed")

    def test_the_base_runs_what_both_kernels_pass(self):
        base = self.temp / "base"
        (base / "modules").mkdir(parents=True)
        for file, text in ((base / "modules/kvm-intel.ko", ""), (base / "bzImage", "of the base"),
                           (self.temp / "modules/kvm-intel.ko", ""), (self.temp / "bzImage", "ours"),
                           (self.temp / "selftests/x86/vmx_feature_msrs_test", "")):
            file.write_text(text)
        (base / "System.map").write_text("")
        self.fake("modinfo", '[ "$2" = depends ] || echo 7.3.4')
        self.fake("xorriso", "")
        self.fake("grub-mkrescue", 'cp "$3/bzImage" "$(dirname "$2")/booted"')
        result = "selftests: kvm: x86/vmx_feature_msrs_test"
        self.fake("bochs", f'cd "$(dirname "$3")"; '
                           "echo tsc: Detected 200.000 MHz TSC >console; "
                           f'echo "KTAP version 1\n1..2\nok 1 {result}\nok 2 {result}" >results\n'
                           "echo '# end of plan' >>results")
        out = self.good(self.call(*self.command[:-4], "--engine", "intel", "--set", "full", "--base",
                                  base, "--tests", "vmx_feature_msrs_test"))
        self.assertIn("4 passed, 0 failed, 0 skipped", out)
        for name, kernel in (("intel", "ours"), ("intel-base", "of the base")):
            self.assertEqual((self.temp / "run" / name / "booted").read_text(), kernel)

    END = "echo '# end of plan' >>results"

    def second_run(self, first, second, test="fix_hypercall_test", then=END, count=1):
        """A run of TEST with result FIRST, in a second machine SECOND, the first of COUNT."""
        (self.temp / f"selftests/x86/{test}").write_text("")
        self.fake("qemu-system-x86_64", f"""
            for a; do case $a in file:*/console) cd "$(dirname "${{a#file:}}")" ;; esac; done
            {self.CLOCK}
            case $PWD in *-again) r='{second}' n={count} ;; *) r='{first}' n=1 ;; esac
            echo "KTAP version 1\n1..$n\n$r 1 selftests: kvm: x86/{test} # exit=254" >results; {then}""")
        return self.call(*self.command[:-1], test)

    def test_a_test_of_mainline_gets_a_second_run(self):
        out = self.good(self.second_run("not ok", "ok"))
        self.assertIn("1 passed, 0 failed, 0 skipped", out)
        self.assertRegex(out, r"x86/fix_hypercall_test +again +0.0 +pass ")
        self.assertIn(f"fail exit=254, see {self.temp}/run/amd/results", out)
        suites = xml.etree.ElementTree.parse(self.temp / "run/junit.xml").findall("testsuite")
        self.assertEqual([(suite.get("name"), suite.get("skipped"), suite.get("failures"))
                          for suite in suites], [("amd", "1", "0"), ("amd-again", "0", "0")])
        self.bad(self.second_run("not ok", "not ok"))
        self.assertIn("exit=254, the base: pass", (self.temp / "run/junit.xml").read_text())

    def test_a_second_failure_counts(self):
        self.bad(self.second_run("not ok", "not ok"), "0 passed, 1 failed, 0 skipped", "again ",
                 "amd-again: x86/fix_hypercall_test: fail")

    def test_one_of_three_tries_has_to_pass(self):
        other = "selftests: kvm: x86/fix_hypercall_test # exit=254"
        for tries, status in ((("ok", "not ok"), 0), (("not ok", "ok"), 0),
                              (("not ok", "not ok"), 1)):
            more = "".join(f"echo '{word} {number} {other}' >>results; "
                           for number, word in enumerate(tries, 2))
            done = self.second_run("not ok", "not ok", count=3,
                                   then=f"case $PWD in *-again) {more} ;; esac; {self.END}")
            self.assertEqual(done.returncode, status, done.stdout)
            self.assertIn(f"{1 - status} passed, {status} failed, 0 skipped", done.stdout)
        plan = subprocess.run("zstdcat run/amd-again/initrd | cpio -i --to-stdout plan", shell=True,
                              cwd=self.temp, capture_output=True, text=True, check=True).stdout
        self.assertEqual(plan.count("fix_hypercall_test"), 3, plan)

    def test_a_splat_of_either_machine_counts(self):
        for machine in ("amd", "amd-again"):
            out = self.second_run("not ok", "ok", then=f"case $PWD in */{machine}) "
                                  f"echo BUG: x >>console ;; esac; {self.END}")
            self.bad(out, "1 passed, 1 failed", f"{machine}: kernel log: BUG: x")

    def test_interrupt_and_terminate_leave_nothing_running(self):
        self.fake_qemu("sleep 300")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            self.pid_file.unlink(missing_ok=True)
            # A shell's background job ignores SIGINT, and so would its children.
            run_py = subprocess.Popen(
                [str(c) for c in self.command], cwd=self.repo, env=self.env, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
            self.wait_for(lambda: self.pid_file.exists() and self.pid_file.read_text())
            run_py.send_signal(number)
            self.assertNotEqual(run_py.wait(20), 0)
            self.wait_for(lambda: not self.alive())

    def wait_for(self, condition):
        for _ in range(200):
            if condition():
                return
            threading.Event().wait(0.05)
        self.fail("waited in vain for 10 s")


class Options(Sandbox):
    """run.py, before anything is started."""

    def test_wrong_engine_wrong_test_and_a_missing_emulator(self):
        common = [sys.executable, "-m", "scripts.machine.run", "--build", self.temp, "--init",
                  self.temp / "init", "--run-dir", self.temp / "run"]
        self.bad(self.call(*common, "--engine", "arm"), "ENGINE=arm", "amd amd-sev tdx intel")
        self.bad(self.call(*common, "--tests", "no_such_test"), "TESTS=no_such_test",
                 "fix_hypercall_test")
        tests = self.temp / "selftests/x86"
        tests.mkdir(parents=True)
        (tests / "fix_hypercall_test").write_text("")
        (self.temp / "init").write_text("")
        (self.temp / "modules").mkdir()
        for name in ("kvm-amd", "kvm-intel"):
            (self.temp / f"modules/{name}.ko").write_text("")
        self.fake("modinfo", "")
        for tool in ("find", "cpio", "zstd", "setpriv"):
            (self.temp / "bin" / tool).symlink_to(shutil.which(tool) or tool)
        for engine, word in (("amd", "make qemu"), ("intel", "apt-get install bochs")):
            self.bad(self.call(*common, "--engine", engine, "--tests", "fix_hypercall_test",
                               env={"PATH": str(self.temp / "bin")}), word)
