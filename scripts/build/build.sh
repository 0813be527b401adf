#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# build.sh TREE OUT FRAGMENT...: kernel, modules, selftests and PID 1.
#
# KERNEL_ARGS: more arguments for make, of the kernel alone.  TEST_LIBS: more to link to
# selftests.  ONLY=kernel, ONLY=selftests: OUT has all of it, and in TREE nothing else has
# changed, nor any Kconfig file or header for both.
# What boots ends up in OUT/image: bzImage, System.map, modules/, selftests/, init.
set -eu

here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$(dirname "$here")")
tree=$(readlink -f "$1")
mkdir -p "$2"
out=$(readlink -f "$2")
shift 2

# The same source makes the same image.
export ARCH=x86_64 KBUILD_BUILD_USER=kvm-coco KBUILD_BUILD_HOST=localhost
export KBUILD_BUILD_VERSION=1 KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 2026'

# progress_make WHAT LOG ARGUMENT...
progress_make() {
	what=$1 log=$2
	shift 2
	PYTHONPATH="$root" python3 -m scripts.build.progress "$what" "$log" "$here/kmake.sh" "$(dirname "$tree")" "$@"
}

image=$out/image
mkdir -p "$image/modules" "$image/selftests/x86"
if [ "${ONLY:-kernel}" = kernel ]; then
	[ -n "${ONLY:-}" ] || PYTHONPATH="$root" python3 -m scripts.build.config "$tree" "$out/kernel" "$@"
	export KERNEL_CONFIG="$out/kernel/.config"
	# shellcheck disable=SC2086 # words
	progress_make "build kernel" "$out/log/kernel.log" \
		-C "$tree" O="$out/kernel" ${KERNEL_ARGS:-} bzImage modules
	if grep -n 'warning:' "$out/log/kernel.log"; then
		echo "build: the kernel built with warnings: $out/log/kernel.log" >&2
		exit 1
	fi
	cp "$out/kernel/arch/x86/boot/bzImage" "$out/kernel/System.map" "$image"
	find "$image/modules" -name '*.ko' -delete
	# Not every .ko that is there: an earlier configuration may have left some.
	sed 's/\.o$/.ko/' "$out/kernel/modules.order" |
		(cd "$out/kernel" && xargs cp -t "$image/modules")
fi
[ "${ONLY:-}" != kernel ] || exit 0
unset KERNEL_CONFIG

[ -n "${ONLY:-}" ] || progress_make "build headers" "$out/log/headers.log" \
		-C "$tree" O="$out/kernel" headers

# Static: the machines have no libraries.
mkdir -p "$out/selftests"
progress_make "build selftests" "$out/log/selftests.log" \
	-C "$tree/tools/testing/selftests/kvm" OUTPUT="$out/selftests" ARCH=x86 \
	KHDR_INCLUDES="-isystem $out/kernel/usr/include" \
	LDLIBS="-static -ldl -luuid ${TEST_LIBS:-}"

find "$image/selftests" -type f -delete
for dir in . x86; do
	find "$out/selftests/$dir" -maxdepth 1 -type f -executable ! -name '*.*' |
	while read -r program; do
		strip -o "$image/selftests/$dir/$(basename "$program")" "$program"
	done
done
gcc -Wall -Wextra -O2 -static -o "$image/init" "$root"/scripts/machine/boot/*.c
