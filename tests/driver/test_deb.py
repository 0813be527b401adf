# SPDX-License-Identifier: GPL-2.0-only
"""make deb: its configuration."""
import shutil

from scripts.common import ROOT
from tests.driver.sandbox import Sandbox


class DebConfig(Sandbox):
    """The configuration of make deb, with a kconfig that takes whatever it is given."""

    def setUp(self):
        super().setUp()
        shutil.copytree(ROOT / "configs", self.repo / "configs")
        (self.kernel / "Kconfig").write_text("config KVM\n\tbool\nconfig OTHER\n\tbool\n")
        (self.kernel / "Makefile").write_text("olddefconfig: ;@$(CHANGE)\n")

    def deb_config(self, text, change=":"):
        given = self.temp / "given"
        given.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.script("scripts.deb.config", self.kernel, self.temp / "out/kernel", given,
                           CHANGE=change)

    def test_what_is_no_configuration(self):
        self.bad(self.script("scripts.deb.config", self.kernel, self.temp / "out", "/none"),
                 "KCONFIG=/none: no such file")
        self.bad(self.deb_config("# nothing\n"), "given is no kernel configuration")
        self.bad(self.deb_config(b"\x1f\x8bx"), "given: ", "give another, KCONFIG=FILE")
        self.bad(self.deb_config("# Linux/arm64 7.3.0 Kernel Configuration\nCONFIG_ARM64=y\n"),
                 "given is a configuration for arm64")

    def test_what_could_not_be_used(self):
        self.bad(self.deb_config("CONFIG_PCI=y\n", "sed -i /_KVM/d $(O)/.config"),
                 "no KVM with this configuration", "KVM is not set")
        self.bad(self.deb_config("CONFIG_PCI=y\n", "sed -i '/_KVM_[AI]/d' $(O)/.config"),
                 "KVM_AMD is not set", "KVM_INTEL is not set")
        self.bad(self.deb_config("CONFIG_MODULE_SIG_FORCE=y\n"), "no module of this build")

    def test_changes_are_said_and_the_rest_is_kept(self):
        out = self.good(self.deb_config(
            'CONFIG_KVM=y\nCONFIG_OTHER=y\nCONFIG_GONE=y\nCONFIG_HZ=100\n'
            'CONFIG_SYSTEM_TRUSTED_KEYS="debian/certs/x.pem"\n',
            "sed -i '/_OTHER/d; /_GONE/d; /_SEV=/d' $(O)/.config"))
        config_file = (self.temp / "out/kernel/.config").read_text()
        self.assertNotIn("CONFIG_KVM=m", config_file)
        self.assertIn("CONFIG_HZ=100\n", config_file)
        self.assertIn('CONFIG_SYSTEM_TRUSTED_KEYS=""\n', config_file)
        for words in ("CONFIG_KVM_AMD=m, it was n", "*** CONFIG_KVM_AMD_SEV=y cannot be set",
                      "debian/certs/x.pem is not here"):
            self.assertIn(words, out)
        lost = (self.temp / "out/log/options-lost").read_text()
        self.assertIn("CONFIG_OTHER=y: n\n", lost)
        self.assertIn("# unknown to this kernel\nCONFIG_GONE=y: n\n", lost)
