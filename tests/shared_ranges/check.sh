#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# check.sh TREE [-b]: the selftests' list of shared ranges, on the host.
#
# Ten million random changes, with sanitizers, and once more with leaves so small
# that most changes split or join some.  -b: measure, with a million ranges.
set -eu

tree=$(readlink -f "$1")
kvm=$tree/tools/testing/selftests/kvm
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

build() { # OUTPUT COMPILER [FLAG...]
	output=$1
	shift
	"$@" -std=gnu99 -O2 -g -Wall -Wextra -Werror -I"$kvm/include" \
		-isystem "$tree/tools/include" -isystem "$tree/tools/testing/selftests" \
		"$kvm/shared_ranges_test.c" "$kvm/lib/shared_ranges.c" \
		"$kvm/lib/migration_handshake.c" \
		-Wno-unused-parameter "$tree/tools/lib/rbtree.c" -o "$out/$output"
}

if [ "${2:-}" = -b ]; then
	build bench gcc
	timeout 120 "$out/bench" -b -n 0
	exit
fi

for leaf in 252 8; do
	build test-$leaf gcc -DLEAF_RANGES=$leaf -fsanitize=address,undefined \
		-fno-sanitize-recover=all
	timeout 300 "$out/test-$leaf" -n 10000000
done
