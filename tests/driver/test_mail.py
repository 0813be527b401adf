# SPDX-License-Identifier: GPL-2.0-only
"""make mail: what it refuses, and that its mails are the series and go nowhere."""
import os
import shutil

from scripts.common import ROOT
from tests.driver.sandbox import Sandbox


class Mail(Sandbox):
    """make mail: what it refuses, and that its mails are the series and go nowhere."""

    BASE = "0123456789abcdef0123456789abcdef01234567"

    def setUp(self):
        super().setUp()
        shutil.copy(ROOT / "patches/cover-end", self.repo / "patches")
        with open(self.repo / "patches/feature/cover-letter", "a", encoding="utf-8") as letter:
            letter.write("\n@bench@\n")
        (self.repo / "patches/changes").write_text("v1:\nFirst version.\nv2:\n- all of it\n")
        self.write_kernel(self.kernel, {
            "scripts/get_maintainer.pl": "#!/bin/sh\necho 'List <to@example.org> (maintainer:X)'\n"
                                         "printf '%s\\n' 'R <r@example.org> (reviewer:X:"
                                         "Keyword:\\b(?i:x|y)\\b)' "
                                         "'kvm@example.org (open list:X (y))'\n",
            "scripts/checkpatch.pl": "#!/bin/sh\nshift 8\nfor mail; do grep -q "
                                     "'^Signed-off-by: T T <tester@example.org>' \"$mail\" ||\n"
                                     "\techo \"$mail:1: ERROR: no sign-off\"; done\n"})
        for name in ("get_maintainer", "checkpatch"):
            (self.kernel / f"scripts/{name}.pl").chmod(0o755)
        self.make_series()
        state = self.script("scripts.results.records", self.build).stdout
        (self.build / "log").mkdir()
        for name, text in (("log/check.state", state), ("bench.state", state),
                           ("bench.txt", "bench numbers\n"), ("log/full.status", "0\n"),
                           ("log/full.out", "machine amd: 61 pass, 0 fail, 46 skip\n")):
            (self.build / name).write_text(text)
        # Whatever could send says so, and does nothing.
        self.sent, bin_dir = self.temp / "sent", self.temp / "bin"
        bin_dir.mkdir()
        for name in ("sendmail", "git-send-email", "msmtp", "curl", "ssh"):
            (bin_dir / name).write_text(f"#!/bin/sh\necho {name} >>{self.sent}\n")
            (bin_dir / name).chmod(0o755)
        (bin_dir / "sitecustomize.py").write_text(
            "import socket\ndef connect(*where):\n    open("
            f"{str(self.sent)!r}, 'a').write(str(where))\n    raise OSError('no network')\n"
            "socket.socket.connect = connect\n")
        self.env |= {"PATH": f"{bin_dir}:{os.environ['PATH']}", "PYTHONPATH": str(bin_dir),
                     "GIT_AUTHOR_NAME": "T T", "GIT_AUTHOR_EMAIL": "tester@example.org"}

    def mail(self, *args, **env):
        done = self.script("scripts.mail.mail", self.build, f"--base-commit={self.BASE}", *args, **env)
        self.assertFalse(self.sent.exists(), "something was sent")
        return done

    def test_nobody_or_somebody_local_signs_off(self):
        for address in ("tester@localhost", "root@host", "root@example.org", "a@b.example", "a b"):
            self.bad(self.mail(GIT_AUTHOR_EMAIL=address), address, "user.email")
        del self.env["GIT_AUTHOR_NAME"], self.env["GIT_AUTHOR_EMAIL"]
        self.bad(self.mail(), "nobody to sign the mails off", "user.email")

    def test_bad_options(self):
        for version in ("0", "x", "-1", "1.5"):
            self.bad(self.mail(f"--version={version}"), f"VERSION={version}: it takes a number")
        self.bad(self.mail("--version=3"), "patches/changes has no section 'v3:'")
        self.bad(self.mail("--topic=tip"), "TOPIC=tip: no such topic; there are: fixes feature")
        self.bad(self.mail("--base-commit="), "names no upstream commit", "BASE_COMMIT=",
                 "KERNEL_SRC=")
        self.bad(self.mail("--base-commit=v7.3"), "BASE_COMMIT=v7.3 is no commit id")
        self.bad(self.mail(f"--base-commit={self.git('rev-parse', 'base')}"), "nobody else's")
        self.assertFalse((self.build / "mail").exists())

    def test_the_base_of_a_clone(self):
        def clone(*args):
            return self.git(*args, cwd=self.kernel)

        clone("init", "-q")
        clone("add", "-f", "-A")
        clone("commit", "-q", "-m", "upstream")
        self.bad(self.mail("--base-commit="), "names no upstream commit")
        self.bad(self.mail(), f"has no commit {self.BASE}")
        self.bad(self.mail(f"--base-commit={clone('rev-parse', 'HEAD')}"), "no tag v*")
        clone("tag", "v7.3")
        said = self.good(self.mail("--base-commit="))
        self.assertIn(f"base-commit {clone('rev-parse', 'HEAD')}", said)
        self.assertNotIn("differ", said)

    def test_the_mails_of_all_topics_are_the_series(self):
        said = self.good(self.mail("--version=2"))
        self.assertIn("nothing was sent", said)
        self.assertIn("git send-email --from='T T <tester@example.org>' ", said)
        self.git("clone", "-q", "-b", "base", str(self.tree), str(self.temp / "other"))
        for topic, count in (("fixes", 2), ("feature", 1)):
            mails = sorted((self.build / "mail" / topic).glob("v2-*.patch"))
            self.assertEqual(len(mails), count + 1)
            for text in (mail.read_text() for mail in mails):
                self.assertIn("\nFrom: T T <tester@example.org>\n", text)
                self.assertIn("\nTo: List <to@example.org>\nCc: R <r@example.org>,"
                              "\n\tkvm@example.org\n\n", text)
                self.assertNotIn("localhost", text)
                self.assertNotIn("Adds:", text)
            for words in (f"Subject: [PATCH v2 0/{count}] KVM: The {topic}\n", "What they are for.",
                          f"\nbase-commit: {self.BASE}\n", "make full, amd",
                          "61       0       46", "Changes since v1:\n- all of it\n", "KVM:\n    1 "):
                self.assertIn(words, mails[0].read_text())
            self.git("am", "-q", *map(str, mails[1:]), cwd=self.temp / "other")
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}", cwd=self.temp / "other"),
                         self.git("rev-parse", "HEAD^{tree}"))
        self.assertEqual(self.git("worktree", "list").count("\n"), 0)
        (self.build / "log/full.status").write_text("1\n")
        self.bad(self.mail(), "not ready: make check failed in this state: full")

    def test_one_topic_names_what_it_needs(self):
        self.good(self.mail("--topic=feature"))
        self.assertFalse((self.build / "mail/fixes").exists())
        cover = (self.build / "mail/feature/0000-cover-letter.patch").read_text()
        self.assertIn("This needs the topics fixes of the series.", cover)
        self.assertIn("bench numbers", cover)
        self.assertEqual(cover.count("\nprerequisite-patch-id: "), 2)

    def test_a_topic_that_needs_more_than_it_says(self):
        letter = self.repo / "patches/feature/cover-letter"
        letter.write_text(letter.read_text().replace("Needs: fixes", "Needs: none"))
        self.bad(self.mail("--topic=feature"), "topic feature does not apply to the base",
                 "patches/feature/0001-")

    def test_numbers_of_another_state_are_none(self):
        self.commit("KVM: fourth", {"arch/x86/kvm/svm.c": lambda t: t + "int fourth;\n"})
        self.good(self.refresh())
        self.bad(self.mail("--topic=feature"), "not ready", "another state", "git am: they give tree")
        cover = (self.build / "mail/feature/0000-cover-letter.patch").read_text()
        self.assertIn("NOT IN THIS STATE", cover)
        self.assertNotIn("bench numbers", cover)

