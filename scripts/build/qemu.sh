#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# qemu.sh TREE OUT [OPTION...]: OUT/qemu-system-x86_64, the emulator, and tests of it,
# OUT/amd-psp-test and OUT/q35-test.  OPTIONs are more of QEMU's configure.
#
# Built with what engines amd and tdx, make vmm and make host need (configs/qemu.mak has the
# devices), and no more, or taken from the cache: the key is all that decides about it.  A tree
# with uncommitted changes has none.
set -eu

here=$(dirname "$(readlink -f "$0")")
root=$(cd "$here/../.." && pwd)
tree=$1 out=$2
home=${XDG_CACHE_HOME:-$HOME/.cache}/kvm-coco
cache=$home/qemu
keep=4
options="--target-list=x86_64-softmmu --without-default-features --enable-tcg --enable-kvm
	--enable-fdt=system --enable-nettle --enable-attr --enable-virtfs --disable-docs
	--disable-debug-info --disable-download --disable-install-blobs"
# QEMU wants the name of a file in this folder of its own.
devices=$(realpath --relative-to="$tree/configs/devices/x86_64-softmmu" "$root/configs/qemu.mak")
options="$options --without-default-devices --with-devices-x86_64=${devices%.mak}"
shift 2
options="$options $*"

key=
if [ -z "$(git -C "$tree" status --porcelain)" ]; then
	key=$({
		git -C "$tree" rev-parse 'HEAD^{tree}'
		cat "$here/qemu.sh" "$root/configs/qemu.mak"
		echo "$*"
		gcc --version
		ldd --version
		pkg-config --modversion glib-2.0 nettle hogweed
	} | sha256sum | cut -d ' ' -f 1)
fi
mkdir -p "$out" "$cache"
programs="qemu-system-x86_64 amd-psp-test q35-test"
if [ -n "$key" ] && [ -f "$cache/$key.tar.gz" ]; then
	# shellcheck disable=SC2086 # a list of names
	if tar -C "$out" -xzf "$cache/$key.tar.gz" $programs; then
		touch "$cache/$key.tar.gz"
		exit 0
	fi
	echo "qemu: $cache/$key.tar.gz is damaged, building anew" >&2
fi

tools=$(cd "$root" && python3 -m scripts.build.meson)
export PYTHONPATH="$tools/lib/python3/dist-packages"
# Relative to the folder of tree and objects, so that another checkout has the same paths.
CCACHE_BASEDIR=$(dirname "$out")
export CCACHE_DIR="$home/ccache" CCACHE_BASEDIR CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=4G
# Ask gcc which files it has read; no second run of the preprocessor for each object.
export CCACHE_DEPEND=1
work=$out/objects
mkdir -p "$work" "$out/log"
progress() {
	label=$1 log=$out/log/$2
	shift 2
	PYTHONPATH="$root:$PYTHONPATH" python3 -m scripts.build.progress "$label" "$log" "$@"
}
cd "$work"
if [ ! -f build.ninja ] || [ "$(cat options 2>/dev/null)" != "$tree $options" ]; then
	# shellcheck disable=SC2086 # a list of options
	PATH="$tools/bin:$PATH" progress "configure qemu" configure.log "$tree/configure" \
		--python=/usr/bin/python3 --cc="ccache gcc" $options
	echo "$tree $options" >options
fi
progress "build qemu" build.log ninja qemu-system-x86_64 tests/qtest/amd-psp-test \
	tests/qtest/q35-test
for program in qemu-system-x86_64 tests/qtest/amd-psp-test tests/qtest/q35-test; do
	# Sanitizers, for which OPTIONs are, report names of functions.
	strip ${1:+-g} -o "$out/part" "$program"
	mv "$out/part" "$out/${program##*/}"
done
[ -n "$key" ] || exit 0
# shellcheck disable=SC2086 # a list of names
tar -C "$out" -czf "$cache/$key.part.$$" $programs
mv "$cache/$key.part.$$" "$cache/$key.tar.gz"
find "$cache" -name '*.part.*' -mmin +60 -delete
# shellcheck disable=SC2012 # names without spaces
ls -t "$cache"/*.tar.gz | tail -n +$((keep + 1)) | xargs -r rm --
