# SPDX-License-Identifier: GPL-2.0-only
"""Which topic refresh takes a commit for, whatever has been done to the branch."""
from tests.driver.sandbox import Sandbox


class TopicBranches(Sandbox):
    """first and second are of topic fixes, third and fourth of feature."""

    def setUp(self):
        super().setUp()
        self.make_series()
        self.commit("KVM: fourth", {"arch/x86/kvm/fourth.c": "int fourth;\n",
                                    "MAINTAINERS": lambda t: t + "fourth\n"})
        self.good(self.refresh())
        self.good(self.compose())

    def rebase(self, text, *options):
        """git rebase -i with TEXT, lines of python, as the editor of the lines of its todo list."""
        editor = self.temp / "editor.py"
        editor.write_text("import sys\n"
                          "lines = [line for line in open(sys.argv[1]).read().split('\\n')\n"
                          "         if line and line[0] != '#']\n"
                          "def where(what):\n"
                          "    return next(n for n, line in enumerate(lines) if what in line)\n"
                          f"{text}\nopen(sys.argv[1], 'w').write('\\n'.join(lines) + '\\n')\n")
        done = self.call("git", "rebase", "-i", *options, "base", cwd=self.tree,
                         env={"GIT_SEQUENCE_EDITOR": f"python3 {editor}"})
        self.good(done)

    def new_commit(self, subject):
        """The line of a todo list that makes a commit."""
        make = self.temp / "make.sh"
        make.write_text(f"mkdir -p tools && echo new >tools/new.sh && echo new >>.gitignore &&\n"
                        f"git add -f . && git commit -q -m '{subject}'\n")
        return f"exec sh {make}"

    def became(self, *names):
        """What refresh makes of it, and that a new tree is the same, its branches included."""
        self.good(self.refresh())
        self.assertEqual([f"{name[:-6]}" for name in self.patches()], sorted(names))
        tree, branches = self.git("rev-parse", "HEAD^{tree}"), self.ends()
        self.forget_tree()
        self.good(self.compose())
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}"), tree)
        self.assertEqual(self.ends(), branches)

    def ends(self):
        return self.git("for-each-ref", "--format=%(refname:lstrip=2) %(subject)", "refs/heads/topic/")

    def test_compose_marks_the_end_of_each_topic(self):
        self.assertEqual(self.ends(), "topic/feature KVM: fourth\ntopic/fixes KVM: second")
        self.forget_tree()
        self.good(self.compose())
        self.assertEqual(self.ends(), "topic/feature KVM: fourth\ntopic/fixes KVM: second")
        self.assertEqual(self.git("config", "rebase.updateRefs"), "true")

    def test_a_commit_added_in_the_middle_is_of_the_topic_there(self):
        new = self.new_commit("KVM: new")
        self.rebase(f"lines.insert(where('second') + 1, {new!r})")
        self.became("fixes/0001-KVM-first", "fixes/0002-KVM-second", "fixes/0003-KVM-new",
                    "feature/0001-KVM-third", "feature/0002-KVM-fourth")
        self.assertEqual(self.ends(), "topic/feature KVM: fourth\ntopic/fixes KVM: new")

    def test_a_commit_added_before_all_others_renumbers_its_topic_only(self):
        before = self.contents()
        new = self.new_commit("KVM: new")
        self.rebase(f"lines.insert(0, {new!r})")
        self.became("fixes/0001-KVM-new", "fixes/0002-KVM-first", "fixes/0003-KVM-second",
                    "feature/0001-KVM-third", "feature/0002-KVM-fourth")
        after = self.contents()
        for name in before:
            if not name.startswith("patches/fixes/0"):
                self.assertEqual(after[name], before[name])

    def test_a_commit_added_behind_the_end_of_a_topic_is_of_the_next_one(self):
        new = self.new_commit("KVM: new")
        self.rebase(f"lines.insert(where('topic/fixes') + 1, {new!r})")
        self.became("fixes/0001-KVM-first", "fixes/0002-KVM-second", "feature/0001-KVM-new",
                    "feature/0002-KVM-third", "feature/0003-KVM-fourth")

    def test_a_commit_moved_from_one_topic_to_the_other(self):
        self.rebase("lines.insert(where('second'), lines.pop(where('fourth')))")
        self.became("fixes/0001-KVM-first", "fixes/0002-KVM-fourth", "fixes/0003-KVM-second",
                    "feature/0001-KVM-third")
        self.rebase("lines.insert(where('third') + 1, lines.pop(where('second')))")
        self.became("fixes/0001-KVM-first", "fixes/0002-KVM-fourth", "feature/0001-KVM-third",
                    "feature/0002-KVM-second")

    def test_a_fixup_of_the_last_commit_of_a_topic_stays_in_it(self):
        self.commit("fixup! KVM: second", {"arch/x86/kvm/svm.c":
                                           lambda t: t.replace("int second;", "long second;")})
        self.bad(self.refresh(), "autosquash")
        self.rebase("", "--autosquash")
        self.became("fixes/0001-KVM-first", "fixes/0002-KVM-second", "feature/0001-KVM-third",
                    "feature/0002-KVM-fourth")
        self.assertIn("long second", self.git("show", "topic/fixes"))

    def test_a_branch_that_was_left_behind_gives_way_to_subjects(self):
        new = self.new_commit("KVM: new")
        self.rebase(f"lines.insert(where('second'), {new!r})", "--no-update-refs")
        self.became("fixes/0001-KVM-first", "fixes/0002-KVM-new", "fixes/0003-KVM-second",
                    "feature/0001-KVM-third", "feature/0002-KVM-fourth")
        self.git("branch", "-D", "topic/fixes", "topic/feature")
        self.became("fixes/0001-KVM-first", "fixes/0002-KVM-new", "fixes/0003-KVM-second",
                    "feature/0001-KVM-third", "feature/0002-KVM-fourth")

    def test_a_subject_of_two_lines_is_known_again(self):
        subject = "KVM: x86: Say " + "why this is one of the longer subjects " * 3
        self.rebase(f"lines.insert(where('second') + 1, {self.new_commit(subject.strip())!r})")
        self.good(self.refresh())
        before = self.patches()
        self.git("branch", "-D", "topic/fixes")
        self.became(*[name[:-6] for name in before])

    def test_without_branch_and_subject_the_user_is_asked(self):
        before = self.contents()
        self.rebase("lines[:] = [x.replace('pick', 'drop') if 'pick' in x and ('first' in x or "
                    "'second' in x or 'third' in x) else x for x in lines]", "--no-update-refs")
        self.bad(self.refresh(), "no commit is of topic fixes: git branch topic/fixes COMMIT")
        self.assertEqual(self.contents(), before)

    def test_two_commits_of_one_subject_are_two_patches(self):
        for number in (1, 2):
            self.commit("KVM: twin", {"MAINTAINERS": lambda t, n=number: t + f"twin {n}\n"})
        self.good(self.refresh())
        new = self.new_commit("KVM: new")
        self.rebase(f"lines.insert(where('third'), {new!r})")
        self.became("fixes/0001-KVM-first", "fixes/0002-KVM-second", "feature/0001-KVM-new",
                    "feature/0002-KVM-third", "feature/0003-KVM-fourth", "feature/0004-KVM-twin",
                    "feature/0005-KVM-twin")

    def test_a_topic_that_is_taken_out_takes_its_branch_along(self):
        self.write_topics(all="none")
        self.good(self.refresh())
        self.assertEqual(self.ends(), "topic/all KVM: fourth")
        self.became("all/0001-KVM-first", "all/0002-KVM-second", "all/0003-KVM-third",
                    "all/0004-KVM-fourth")
