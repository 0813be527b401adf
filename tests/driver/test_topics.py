# SPDX-License-Identifier: GPL-2.0-only
"""The topics: their order, what they need, and which patches they have."""
from tests.driver.sandbox import Sandbox


class ThreeTopics(Sandbox):
    """fixes has two commits, feature one, which needs those, more one, which needs none."""

    def setUp(self):
        super().setUp()
        self.make_series()
        self.write_topics(fixes="none", feature="fixes", more="none")
        self.commit("KVM: fourth", {"arch/x86/kvm/svm.c": lambda t: t + "int fourth;\n",
                                    "arch/x86/kvm/fourth.c": "int fourth;\n"})
        self.good(self.refresh())

    def letter(self, topic, text):
        (self.repo / f"patches/{topic}/cover-letter").write_text(text)

    def needs(self, **needs):
        for topic, need in needs.items():
            self.letter(topic, f"KVM: The {topic}\nNeeds: {need}\n\nText.\n")


class Topics(ThreeTopics):
    def refused(self, *words):
        before, refs = self.contents(), self.git("show-ref", "--head")
        for done in (self.compose(), self.refresh()):
            self.bad(done, *words)
        self.assertEqual(self.contents(), before)
        self.assertEqual(self.git("show-ref", "--head"), refs)

    def test_a_new_topic_at_the_end_takes_the_commits_on_top(self):
        self.assertEqual(self.patches()[-1], "more/0001-KVM-fourth.patch")
        self.assertEqual(len(self.patches()), 4)

    def test_the_list_of_topics_says_their_order(self):
        tree = self.git("rev-parse", "HEAD^{tree}")
        self.write_topics(more="none", fixes="none", feature="fixes")
        self.good(self.compose())
        self.assertEqual(self.subjects(), ["KVM: fourth", "KVM: first", "KVM: second", "KVM: third"])
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}"), tree)
        for topic, subject in (("more", "fourth"), ("fixes", "second"), ("feature", "third")):
            self.assertEqual(self.git("log", "-1", "--format=%s", f"topic/{topic}"), f"KVM: {subject}")
        self.assertIn(", 0 files changed", self.good(self.refresh()))

    def test_a_need_that_is_no_topic(self):
        self.needs(feature="fixes fixe")
        self.refused("patches/feature/cover-letter: it needs fixe, which is no topic; there are: "
                     "fixes feature more")

    def test_needs_in_a_circle(self):
        for needs in ({"fixes": "more", "more": "feature"}, {"more": "more"},
                      {"fixes": "feature", "more": "none"}):
            self.needs(**needs)
            self.refused("one of the two comes first")

    def test_a_need_that_comes_later(self):
        self.needs(fixes="more")
        self.refused("patches/topics has fixes before more, which it needs")
        self.needs(fixes="none")
        self.write_topics(feature="fixes", fixes="none", more="none")
        self.refused("patches/topics has feature before fixes, which it needs")

    def test_a_cover_letter_that_does_not_say_what_it_needs(self):
        for text in ("KVM: Fix\n\nText.\n", "KVM: Fix\nNeeds: none\nText.\n",
                     "KVM: Fix\nNeeds:\n\nText.\n", "\nNeeds: none\n\nText.\n",
                     "Needs: none\nKVM: Fix\n\nText.\n", "KVM: Fix\nNeeds: a, b\n\nText.\n", ""):
            self.letter("fixes", text)
            self.refused("patches/fixes/cover-letter: its first line says what", "'Needs: none'")

    def test_a_topic_without_a_cover_letter(self):
        (self.repo / "patches/more/cover-letter").unlink()
        self.refused("patches/topics names more, which has no patches/more/cover-letter")

    def test_a_patch_outside_of_the_topics(self):
        text = (self.repo / "patches/fixes/0001-KVM-first.patch").read_text()
        for name in ("0009-stray.patch", "others/0001-stray.patch", "fixes/old/0001-stray.patch",
                     "v7.2/0001-stray.patch", "v7.2/fixes/0001-stray.patch"):
            stray = self.repo / "patches" / name
            stray.parent.mkdir(parents=True, exist_ok=True)
            stray.write_text(text)
            self.bad(self.compose(), f"patches/{name} is of no topic")
            stray.unlink()
        self.write_topics(fixes="none", feature="fixes")
        self.bad(self.compose(), "patches/more/0001-KVM-fourth.patch is of no topic")

    def test_a_patch_without_number_and_two_with_one(self):
        patch = self.repo / "patches/fixes/0002-KVM-second.patch"
        other = patch.with_name("0001-KVM-second.patch")
        patch.rename(other)
        self.bad(self.compose(), "patches/fixes has two patches of number 0001",
                 "which of them comes first?")
        other.rename(patch.with_name("KVM-second.patch"))
        self.bad(self.compose(), "patches/fixes/KVM-second.patch: the name of a patch begins with")

    def test_an_empty_topic_is_refused(self):
        self.git("reset", "-q", "--hard", "HEAD~1")
        before = self.contents()
        self.bad(self.refresh(), "topic more ends before it begins", "patches/topics")
        self.write_topics(fixes="none", new="none", feature="fixes", more="none")
        self.bad(self.refresh(), "no commit is of topic new: git branch topic/new COMMIT")
        self.write_topics(fixes="none", feature="fixes", more="none")
        (self.repo / "patches/new/cover-letter").unlink()
        self.assertEqual(self.contents(), before)
