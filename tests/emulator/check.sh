#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# check.sh TREE EMULATOR OUT [LIMIT]: QEMU's own test programs for x86, each of them all that
# runs on a machine, and tests that drive devices: the emulated security processor, and the
# chipset.  Those of the series are in qemu/tests.  FUZZ_SEED= and FUZZ_STEPS= are for the
# fuzzers of memory encryption, EXTRA_CFLAGS= is for all programs.  LIMIT is in seconds, for
# each of them.
set -eu

tree=$(readlink -f "$1") emulator=$(readlink -f "$2") out=$3 limit=${4:-120}
programs=$(cd "$tree/tests/tcg" && basename -s .c multiarch/system/*.c x86_64/system/*.c)
# The fuzzer once more, with two CPUs, and on a machine without SEV-SNP.
programs="$programs sev-fuzz-smp sev-fuzz-es"

rm -rf "$out"
mkdir -p "$out/programs"
out=$(readlink -f "$out")
echo "SRC_PATH=$tree" >"$out/config-host.mak"
# The tests know nothing of where Debian's firmware is.
qemu=$out/qemu-system-x86_64
printf '#!/bin/sh\nexec %s -L /usr/share/seabios -L /usr/share/qemu -nodefaults "$@"\n' "$emulator" >"$qemu"
chmod +x "$qemu"
cat >"$out/programs/config-target.mak" <<CONFIG
TARGET=x86_64-softmmu
TARGET_NAME=x86_64
CC=gcc
CCAS=gcc
QEMU=$qemu -display none
CONFIG
# For a QEMU with sanitizers: what it has not freed at its end is no defect.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1
passed=0 failed=0
for program in $programs; do
	if timeout "$limit" make -s -C "$out/programs" -f "$tree/tests/tcg/Makefile.target" \
			${FUZZ_SEED:+"FUZZ_SEED=$FUZZ_SEED"} ${FUZZ_STEPS:+"FUZZ_STEPS=$FUZZ_STEPS"} \
			"TIMEOUT=$limit" "run-$program" >"$out/$program.log" 2>&1; then
		echo "ok - $program"
		passed=$((passed + 1))
	else
		echo "not ok - $program, see $out/$program.log:"
		tail -n 20 "$out/$program.log" "$out/programs/$program.out" 2>/dev/null || :
		failed=$((failed + 1))
	fi
done
for program in amd-psp-test q35-test; do
	log=$out/$program.log
	if QTEST_QEMU_BINARY=$qemu timeout $((limit + 60)) "$(dirname "$emulator")/$program" \
			>"$log" 2>&1; then
		grep "^ok" "$log"
	else
		tail -n 20 "$log"
		failed=$((failed + 1))
	fi
	# grep fails if there is none, which must not hide the last line.
	passed=$((passed + $(grep -c "^ok" "$log" || :)))
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
