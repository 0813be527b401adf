#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# check.sh OUT: without SNP-safe pages, a host with the SNP erratum has to die.
#
# Builds the KVM modules of OUT's tree a second time, from a copy with aligned.patch, and
# boots them on engine amd.  The same test has to pass there with OUT's own modules.
set -eu

here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$(dirname "$here")")
out=$(readlink -f "$1")
work=$out/erratum

"$root/scripts/build/patched_kvm.sh" "$out" "$here/aligned.patch" "$work"

# run IMAGE: its exit status says nothing, a host that dies is what is looked for
run() {
	PYTHONPATH="$root" python3 -m scripts.machine.run --engine amd --set erratum \
		--build "$1" --init "$out/image/init" --run-dir "$work/run-$2" >"$work/run-$2.out" 2>&1
}

if ! run "$out/image" safe; then
	echo "erratum: the test fails with SNP-safe pages as well, see $work/run-safe.out" >&2
	exit 1
fi
echo "with SNP-safe pages: $(tail -n 1 "$work/run-safe.out")"
if run "$work/image" aligned; then
	echo "erratum: the host survives with aligned.patch, see $work/run-aligned.out" >&2
	exit 1
fi
for words in "RMP violation" "Kernel panic"; do
	if ! grep -aq "$words" "$work/run-aligned/amd/console"; then
		echo "erratum: no '$words' in $work/run-aligned/amd/console" >&2
		exit 1
	fi
	echo "with aligned.patch: $(grep -am 1 "$words" "$work/run-aligned/amd/console" | tr -d '\r')"
done
echo "the modules and what they did are in $work"
