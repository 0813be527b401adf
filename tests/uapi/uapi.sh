#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# uapi.sh TREE: the header for VMMs, with the other headers of this system; and the copy of
# it that our QEMU has.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
copy=qemu/linux-headers/linux/kvm_coco.h
if ! diff -u "$root/include/uapi/linux/kvm_coco.h" "$root/$copy"; then
	echo "uapi: $copy is not what the series has: copy it to build/qemu-10.0, in the commit" \
		"that adds it, and SERIES=qemu make refresh" >&2
	exit 1
fi
header=$(readlink -f "$1")/include/uapi/linux
cd "$(dirname "$0")"
for compiler in "gcc -std=c11" "gcc -std=c11 -m32" "g++ -x c++ -std=c++11" \
		"g++ -x c++ -std=c++11 -m32"; do
	# -m32 has no headers of its own, but linux/types.h is the same for both.
	# shellcheck disable=SC2086 # words
	$compiler -Wall -Wextra -Wpadded -Werror -fsyntax-only -iquote "$header" \
		-isystem "/usr/include/$(gcc -print-multiarch)" uapi.c
done
