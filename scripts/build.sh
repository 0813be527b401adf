#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# build.sh TREE OUT FRAGMENT...: kernel, modules, selftests and PID 1.
#
# What boots ends up in OUT/image: bzImage, System.map, modules/, selftests/, init.
set -eu

here=$(dirname "$(readlink -f "$0")")
tree=$(readlink -f "$1")
mkdir -p "$2"
out=$(readlink -f "$2")
shift 2

# One cache for every checkout: ccache keys by content and checks what it
# returns.  Paths are made relative to the folder that holds tree and objects,
# and -fmacro-prefix-map=, which makes __FILE__ the same everywhere, is no content.
export CCACHE_DIR="${XDG_CACHE_HOME:-$HOME/.cache}/kvm-coco/ccache"
CCACHE_BASEDIR=$(dirname "$tree")
export CCACHE_BASEDIR CCACHE_IGNOREOPTIONS="-fmacro-prefix-map=*"
# Depend mode: without it a miss costs the preprocessor on top of the compiler.
export CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1 CCACHE_MAXSIZE=4G
export ARCH=x86_64 KBUILD_BUILD_USER=kvm-coco KBUILD_BUILD_HOST=localhost
cc="CC=ccache gcc"
[ -z "${LLVM:-}" ] || cc= # LLVM= reaches make through the environment
jobs=$(nproc)
progress() {
	python3 "$here/progress.py" "$@"
}

python3 "$here/config.py" "$tree" "$out/kernel" "$@"
# V= is progress.py's: the kernel's V=1 would only be noise here.
progress "build kernel" "$out/log/kernel.log" \
	make -C "$tree" O="$out/kernel" ${cc:+"$cc"} -j"$jobs" V=0 bzImage modules
progress "build headers" "$out/log/headers.log" \
	make -C "$tree" O="$out/kernel" V=0 headers
if grep -n 'warning:' "$out/log/kernel.log"; then
	echo "build: the kernel built with warnings: $out/log/kernel.log" >&2
	exit 1
fi

# Static: the machines have no libraries.
mkdir -p "$out/selftests"
progress "build selftests" "$out/log/selftests.log" \
	make -C "$tree/tools/testing/selftests/kvm" OUTPUT="$out/selftests" ARCH=x86 \
	${cc:+"$cc"} -j"$jobs" V=0 KHDR_INCLUDES="-isystem $out/kernel/usr/include" \
	LDLIBS="-static -ldl -luuid"

image=$out/image
mkdir -p "$image/modules" "$image/selftests/x86"
cp "$out/kernel/arch/x86/boot/bzImage" "$out/kernel/System.map" "$image"
find "$image/modules" -name '*.ko' -delete
# Not every .ko that is there: an earlier configuration may have left some.
sed 's/\.o$/.ko/' "$out/kernel/modules.order" | (cd "$out/kernel" && xargs cp -t "$image/modules")
find "$image/selftests" -type f -delete
for dir in . x86; do
	find "$out/selftests/$dir" -maxdepth 1 -type f -executable ! -name '*.*' |
	while read -r program; do
		strip -o "$image/selftests/$dir/$(basename "$program")" "$program"
	done
done
ccache gcc -Wall -Wextra -O2 -static -o "$image/init" "$here/boot/init.c"
