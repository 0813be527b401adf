#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# install.sh TREE OUT: OUT/kvm-selftests.tar.gz for a host that was booted with
# the composed kernel; kselftest's own runner is inside.
set -eu

tree=$(readlink -f "$1")
out=$(readlink -f "$2")
export ARCH=x86_64
python3 -m scripts.build.progress "kselftest-install" "$out/log/install.log" \
	"$(dirname "$0")/../build/kmake.sh" "$(dirname "$tree")" -C "$tree/tools/testing/selftests" \
	O="$out/kselftest" TARGETS=kvm ARCH=x86 \
	KHDR_INCLUDES="-isystem $out/kernel/usr/include" LDLIBS="-static -ldl -luuid" \
	FORCE_TARGETS=1 INSTALL_PATH="$out/kselftest/install" install
# Programs, not scripts: more than half of what is in them is symbols.
find "$out/kselftest/install" -type f -perm -u+x | while read -r program; do
	if [ "$(head -c 4 "$program" | tail -c 3)" = ELF ]; then
		strip "$program"
	fi
done
tar -C "$out/kselftest/install" -czf "$out/kvm-selftests.tar.gz" .
echo "$out/kvm-selftests.tar.gz: unpack it there and run ./run_kselftest.sh as root"
