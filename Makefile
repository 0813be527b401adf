# SPDX-License-Identifier: GPL-2.0-only
# The driver.  Its targets are the table of contents: make help.

BASE      ?= 7.3
O         ?= build$(if $(filter-out 7.3,$(BASE)),/$(BASE))
ENGINE    ?=
TESTS     ?=
BASE_ONLY ?=
KDIR      ?=
COMMITS   ?=
# A topic of the series, patches/TOPIC
TOPIC     ?=
# Of make mail: the version of the series and the upstream base.
VERSION     ?=
BASE_COMMIT ?=
KCONFIG   ?=
SEED      ?=
# Of make soak: how long.
SECONDS   ?=
# Of make mutants: words in the names of those that are wanted.
MUTANTS   ?=
# Of make host: a command, its folder, its limit in seconds, more of Debian's packages.
RUN       ?=
SHARE     ?=
LIMIT     ?=
PACKAGES  ?=

ifneq ($(filter-out linux,$(SERIES)),)
ifneq ($(filter-out compose refresh,$(or $(MAKECMDGOALS),kselftest)),)
$(error SERIES=$(SERIES) is for make compose and make refresh)
endif
endif
ifeq ($(SEED)$(filter tdx-faults,$(MAKECMDGOALS)),0tdx-faults)
$(error SEED=0 is no seed: the emulator takes it for no faults)
endif
ifeq ($(wildcard bases/v$(BASE)),)
$(error BASE=$(BASE): no such base; there are: $(patsubst bases/v%,%,$(wildcard bases/v*)))
endif
override O := $(abspath $(O))
TREE      := $(O)/linux-$(BASE)
CONFIG    := configs/kvm.config configs/series.config
# The unpatched base is built and booted beside the series, never instead of it.
BASE_OUT  := $(O)/base
DEBUG_OUT := $(O)/debug
KCSAN_OUT := $(O)/kcsan
DEB_OUT   := $(O)/deb
MITIG_OUT := $(O)/mitigations
STUFF_OUT := $(O)/stuffing
CFI_OUT   := $(O)/cfi
# make deb-boot: a small kernel, beside the packages that make deb has built.
BOOT_OUT  := $(O)/deb-boot

MACHINES = python3 -m scripts.machine.run --engine "$(ENGINE)" --tests "$(TESTS)"
ON       = --build $(1)/image --init $(1)/image/init --run-dir $(1)/run

export V KERNEL_SRC QEMU_SRC LLVM BASE ALONE
# make compose and make refresh: linux, or qemu, the emulator of engine amd
export SERIES ?= linux
# The command as it was typed: make leaves its $ alone.
export COMMAND := $(value RUN)
export SHARE LIMIT PACKAGES ENGINE
export EMULATOR := $(O)/qemu/qemu-system-x86_64
MAKEFLAGS += --no-print-directory

# Every target but these takes the build directory for itself.
FREE    := help deps checkers lint apply
TARGETS := kselftest check check-full full fuzz soak kicks rmp-faults tdx-faults pinning erratum mitigations cfi firmware vmm host-guests host-tests shared-ranges qemu emulator-tests emulator-asan compose trees topics mirror bases refresh build image base-build base-image base-tree \
           debug-image debug debug-full mitigations-image cfi-image kcsan-image kcsan coverage boot shell host uapi checkpatch w1 sparse clang coccicheck htmldocs configs mutants bisect mail \
           kselftest-install deb deb-boot driver-tests plain-build bench clean

.PHONY: $(FREE) $(TARGETS) options host-options need-root deb-deps
.DEFAULT_GOAL := kselftest

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | \
		awk -F'|' '{ printf "  make %-18s %s\n", $$1, $$2 }'
	@echo 'Options: ENGINE=amd|amd-sev|tdx|intel|intel-smp  TESTS="name *glob*"  BASE_ONLY=1  TOPIC=name  COMMITS=FIRST-LAST  KCONFIG=file  SEED=n  SECONDS=n'
	@echo '         VERSION=N  BASE_COMMIT=ID  V=1  O=dir  BASE=7.2  KERNEL_SRC=...  RUN="command"  SHARE=folder  LIMIT=seconds  PACKAGES="name name"'

deps: ## install the packages of scripts/packages/deps.list that are missing
	@scripts/packages/deps.sh

checkers: deps
	@scripts/packages/deps.sh deps-checkers.list

lint: deps ## shellcheck, pyflakes, mypy, one SPDX line in every file
	@tests/lint/check.sh

apply: deps ## the series on a tree of yours: KDIR=~/linux (TOPIC=: that and what it needs)
	@python3 -m scripts.series.apply "$(KDIR)" "$(TOPIC)"

ifndef KVM_COCO_LOCKED
$(TARGETS):
	+@scripts/build/locked.sh $(O) $(MAKE) $@
else

kselftest: options $(if $(BASE_ONLY),base-image,image) ## fetch, compose, build, boot both engines, run the quick tests
	@$(MACHINES) --set quick $(if $(BASE_ONLY),--base-only $(call ON,$(BASE_OUT)),$(call ON,$(O)))

# A typing error must not cost a kernel build first.
options: deps
	@$(MACHINES) --check-options

check: deps ## everything that must pass; .ci/run calls it
	@tests/check.sh $(O)

check-full: deps ## and all that takes hours; goes on where it was stopped
	@tests/check.sh $(O) full

full: options base-image $(if $(BASE_ONLY),,image) ## every selftest of the record (part of check)
	@$(MACHINES) --set full --limit 2400 $(if $(BASE_ONLY),--base-only $(call ON,$(BASE_OUT)),\
		--base $(BASE_OUT)/image $(call ON,$(O)))

fuzz: image ## a million exits that nobody thought of (Intel: 100,000); SEED=, printed, repeats them
	@$(MACHINES) --set fuzz --limit 5400 --seed "$(SEED)" $(call ON,$(O))

# Guests are of the kernel without checkers, which would make a boot take minutes.
soak: debug-image image ## half an hour of all at once on the debug kernel, whose memory must not grow (SECONDS=, SEED=)
	@$(MACHINES) --engine amd --set soak --limit 7200 --seed "$(SEED)" --seconds "$(SECONDS)" \
		--guest $(O)/image $(call ON,$(DEBUG_OUT))

kicks: image ## guests, plain and encrypted, while each CPU is kicked every 200 us (KICK_US=)
	@KICK_US=$(or $(KICK_US),200) python3 -m scripts.machine.run --engine amd --set kicks \
		--limit 7200 $(call ON,$(O))

rmp-faults: image ## an SNP host on which one RMPUPDATE of RMP_FAULTS= fails
	@RMP_FAULTS=$(or $(RMP_FAULTS),12) python3 -m scripts.machine.run --engine amd --set rmp-faults \
		$(call ON,$(O))

tdx-faults: image ## TDs on a host on which one leaf of the TDX module in five fails for now (SEED=)
	@TDX_FAULTS=$(or $(SEED),1) $(MACHINES) --engine tdx --set quick $(call ON,$(O))

pinning: build ## vendor_module_test has to fail on a KVM that is set up by a pinned task
	@tests/pinning/check.sh $(O)

erratum: build ## without SNP-safe pages, a host with the SNP erratum dies
	@tests/erratum/check.sh $(O)

firmware: build ## the kernel and OVMF negotiate live migration, over two boots
	@python3 -m tests.firmware.check $(O)

vmm: image ## our QEMU as a VMM with KVM, in the machine: it serves the exits
	@python3 -m tests.vmm.check $(O)

host-guests: host-options image ## make host: a guest of each type by Debian's QEMU, OVMF and kernel, with a disk
	@tests/host/check.sh $(O) quick

host-tests: host-options image ## make host: commands that go wrong, and by QEMU and OVMF a guest of every type
	@tests/host/check.sh $(O)

uapi: compose ## the header for VMMs alone, as C and C++, for 32 and 64 bits
	@tests/uapi/uapi.sh $(TREE)

shared-ranges: compose ## the selftests' list of shared ranges on the host, with sanitizers
	@tests/shared_ranges/check.sh $(TREE)

qemu: deps ## the emulator of engine amd: qemu/ on Debian's source of QEMU, built (SERIES=qemu, QEMU_SRC=)
	@SERIES=qemu python3 -m scripts.series.compose $(O)
	@scripts/build/qemu.sh $(O)/qemu-10.0 $(O)/qemu

emulator-tests: qemu ## test programs for the emulator itself, without an operating system
	@tests/emulator/check.sh $(O)/qemu-10.0 $(EMULATOR) $(O)/emulator-tests

# 334 episodes of tdx-fuzz are a million leaves, which take half a minute.  Three runs of
# sev-fuzz make a million steps, some 500 a second (FUZZ_STEPS=).  With sanitizers gcc warns of
# what cannot be; meson forgets --disable-werror when it configures an old build again.
emulator-asan: qemu ## these on a QEMU with ASAN and UBSAN, the fuzzers with a million steps each
	@scripts/build/qemu.sh $(O)/qemu-10.0 $(O)/qemu-asan --enable-asan --enable-ubsan \
		--extra-cflags=-Wno-error
	@FUZZ_STEPS=$(or $(FUZZ_STEPS),334000) EXTRA_CFLAGS=-DEPISODES=334 tests/emulator/check.sh $(O)/qemu-10.0 \
		$(O)/qemu-asan/qemu-system-x86_64 $(O)/emulator-asan 36000

compose: deps ## base + series as a git branch in build/linux-7.3 (BASE=7.2: build/7.2/linux-7.2)
	@python3 -m scripts.series.compose $(O)

# Git and the downloads keep one CPU busy: both series at once.
trees: deps
	@$(MAKE) -j2 compose qemu

topics: base-image ## each topic applies to the base with what it needs; ALONE=1: alone, it builds
	@python3 -m tests.topics.check $(O)

mirror: trees ## the root's kernel files, Kconfig and MAINTAINERS are what the series makes; qemu/ too
	@SERIES=linux python3 -m scripts.series.mirror $(O)
	@SERIES=qemu python3 -m scripts.series.mirror $(O)

bases: deps ## compose the series on every base that can be had now (half an hour)
	@python3 -m scripts.series.bases $(O)

refresh: deps ## commits in build/linux-7.3 back to patches/ and mirror files (BASE=7.2: to patches/v7.2/)
	@python3 -m scripts.series.refresh $(O)

build: trees ## kernel, modules and selftests of the series
	@scripts/build/build.sh $(TREE) $(O) $(CONFIG)
	@python3 -m scripts.build.added_objects $(TREE) $(O)

# What boots of the series, and nothing else, if it has been built before.
image: trees
	@scripts/build/cached_image.sh $(TREE) $(O) $(CONFIG)

base-build: base-tree
	@scripts/build/build.sh $(BASE_OUT)/linux-$(BASE) $(BASE_OUT) configs/kvm.config

base-image: trees base-tree
	@scripts/build/cached_image.sh $(BASE_OUT)/linux-$(BASE) $(BASE_OUT) configs/kvm.config

base-tree: compose
	@[ -d $(BASE_OUT)/linux-$(BASE) ] || git -C $(TREE) worktree add -q --detach $(BASE_OUT)/linux-$(BASE) base
	@git -C $(BASE_OUT)/linux-$(BASE) checkout -q --detach base

debug-image: trees
	@scripts/build/cached_image.sh $(TREE) $(DEBUG_OUT) $(CONFIG) tests/debug/debug.config

debug: debug-image ## the series' own tests but guest_boot_test, on amd with KASAN, lockdep and kmemleak
	@$(MACHINES) --engine amd --set debug $(call ON,$(DEBUG_OUT))

debug-full: debug-image ## and that one, TDs, mainline's quick tests, and every allocation failing once
	@NO5LVL=1 $(MACHINES) --engine "amd tdx" --set debug-full --patience 5 $(call ON,$(DEBUG_OUT))

mitigations-image: trees
	@scripts/build/cached_image.sh $(TREE) $(MITIG_OUT) $(CONFIG) tests/mitigations/mitigations.config
	@scripts/build/cached_image.sh $(TREE) $(STUFF_OUT) $(CONFIG) tests/mitigations/mitigations.config tests/mitigations/stuffing.config

mitigations: mitigations-image ## hypercalls with retpolines, return and call thunks and IBT in host and guest
	@tests/mitigations/check.sh $(MITIG_OUT) amd \
		"Spectre V2 : Mitigation: Retpolines" "RETBleed: Mitigation: untrained return thunk"
	@tests/mitigations/check.sh $(STUFF_OUT) intel "RETBleed: Mitigation: Stuffing"

cfi-image: trees checkers
	@LLVM=$(or $(LLVM),-19) scripts/build/cached_image.sh $(TREE) $(CFI_OUT) $(CONFIG) tests/mitigations/cfi.config

cfi: cfi-image ## the same on a kernel that clang has built with kCFI
	@tests/mitigations/check.sh $(CFI_OUT) "amd intel" "retpoline kCFI"

kcsan-image: trees
	@scripts/build/cached_image.sh $(TREE) $(KCSAN_OUT) $(CONFIG) tests/kcsan/kcsan.config

kcsan: kcsan-image ## the series' own tests on amd with KCSAN
	@$(MACHINES) --engine amd --set kcsan --patience 5 $(call ON,$(KCSAN_OUT))

coverage: trees ## which lines and branches of the added files the tests execute
	@python3 -m tests.coverage.check $(O)

boot: options image ## boot one engine and run TESTS= on it
	@$(MACHINES) --set quick $(call ON,$(O))

shell: image ## an interactive shell on the amd engine (QEMU's console, Ctrl-A X ends it)
	@scripts/machine/shell.sh $(O)/image

host: host-options image ## a Debian system with KVM, QEMU and OVMF on amd, amd-sev or tdx: RUN="command" in SHARE=folder
	@python3 -m scripts.host.host $(O)

host-options: deps
	@scripts/packages/deps.sh deps-host.list
	@python3 -m scripts.host.host $(O) --check-options

checkpatch: trees ## checkpatch.pl --strict on every commit (TOPIC=); QEMU's own on those of qemu/
	@python3 -m tests.checkpatch.check $(TREE) "QEMU=$(O)/qemu-10.0" "TOPIC=$(TOPIC)"

w1: base-tree checkers ## W=1: warnings that the base does not have (also: sparse, clang, coccicheck)
	@python3 -m tests.checkers.check $@ $(O)

sparse: build base-build checkers ## C=2 with endian checks: findings that the base does not have
	@python3 -m tests.checkers.check $@ $(O)

clang: base-tree checkers ## a packaged clang: warnings that the base does not have
	@python3 -m tests.checkers.check $@ $(O)

coccicheck: base-tree checkers ## the kernel's semantic patches: findings that the base does not have
	@python3 -m tests.checkers.check $@ $(O)

configs: base-tree ## a table of configurations: each builds without a warning
	@python3 -m tests.configs.check $(O)

htmldocs: base-tree checkers ## the pages of the series as HTML: warnings that the base does not have
	@python3 -m tests.checkers.check $@ $(O)

mutants: trees ## the series with one thing made wrong, over and over: a test has to fail (TOPIC= MUTANTS=words)
	@python3 -m tests.mutants.check $(O) "$(TOPIC)" "$(MUTANTS)"

bisect: trees ## every commit builds, boots and passes its tests (hours; COMMITS=FIRST-LAST TOPIC=)
	@python3 -m tests.bisect.check $(O) "$(COMMITS)" "$(TOPIC)"

mail: compose ## each topic as checked mails in build/mail/TOPIC; sends nothing (TOPIC= VERSION=N BASE_COMMIT=)
	@scripts/packages/deps.sh deps-mail.list
	@python3 -m scripts.mail.mail $(O) --version "$(VERSION)" --topic "$(TOPIC)" --base-commit "$(BASE_COMMIT)"

kselftest-install: build ## a tarball of the selftests for a host that runs the composed kernel
	@scripts/deb/install.sh $(TREE) $(O)

deb: compose deb-deps ## kernel packages for a machine with the hardware, of its configuration or KCONFIG=
	@PAHOLE=pahole python3 -m scripts.deb.config $(TREE) $(DEB_OUT)/kernel "$(KCONFIG)"
	@scripts/deb/deb.sh $(TREE) $(DEB_OUT)

deb-boot: need-root deb-deps kselftest-install ## such a package in a Debian system, booted on amd, with selftests
	@python3 -m scripts.build.config $(TREE) $(BOOT_OUT)/small $(CONFIG)
	@PAHOLE=pahole python3 -m scripts.deb.config $(TREE) $(BOOT_OUT)/kernel $(BOOT_OUT)/small/.config
	@scripts/deb/deb.sh $(TREE) $(BOOT_OUT)
	@python3 -m tests.deb.check $(BOOT_OUT) $(O)/kvm-selftests.tar.gz

need-root:
	@[ "$$(id -u)" = 0 ] || { echo "make: chroot needs root" >&2; exit 1; }

deb-deps: deps
	@scripts/packages/deps.sh deps-deb.list

driver-tests: deps ## the driver's own tests: bad input, round trips
	@scripts/packages/deps.sh deps-mail.list
	@python3 -m tests.driver

# The series with the base's configuration, to be compared with it.
plain-build: compose
	@scripts/build/build.sh $(TREE) $(O)/plain configs/kvm.config

bench: build base-build plain-build ## the series against the unpatched base in one run: bench.txt, bench.svg
	@python3 -m scripts.bench.bench $(O)

clean: ## remove the build directory (the cache of bases and objects stays)
	rm -rf $(O)/*

endif
