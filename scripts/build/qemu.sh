#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# qemu.sh TREE OUT: OUT/qemu-system-x86_64, the emulator.
#
# Built with what engines amd and tdx need, and no more, or taken from the cache: the key
# is all that decides about it.  A tree with uncommitted changes has none.
set -eu

here=$(dirname "$(readlink -f "$0")")
root=$(cd "$here/../.." && pwd)
tree=$1 out=$2
home=${XDG_CACHE_HOME:-$HOME/.cache}/kvm-coco
cache=$home/qemu
keep=4
options="--target-list=x86_64-softmmu --without-default-features --enable-tcg --enable-kvm
	--enable-fdt=system --disable-docs --disable-download --disable-install-blobs"

key=
if [ -z "$(git -C "$tree" status --porcelain)" ]; then
	key=$({
		git -C "$tree" rev-parse 'HEAD^{tree}'
		cat "$here/qemu.sh"
		gcc --version
		ldd --version
		pkg-config --modversion glib-2.0
	} | sha256sum | cut -d ' ' -f 1)
fi
mkdir -p "$out" "$cache"
if [ -n "$key" ] && [ -f "$cache/$key.gz" ]; then
	if gzip -dc "$cache/$key.gz" >"$out/part"; then
		chmod +x "$out/part"
		mv "$out/part" "$out/qemu-system-x86_64"
		touch "$cache/$key.gz"
		exit 0
	fi
	echo "qemu: $cache/$key.gz is damaged, building anew" >&2
fi

tools=$(cd "$root" && python3 -m scripts.build.meson)
export PYTHONPATH="$tools/lib/python3/dist-packages"
export CCACHE_DIR="$home/ccache" CCACHE_BASEDIR="$out" CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=4G
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
progress "build qemu" build.log ninja qemu-system-x86_64
strip -o "$out/part" qemu-system-x86_64
mv "$out/part" "$out/qemu-system-x86_64"
[ -n "$key" ] || exit 0
gzip -1c "$out/qemu-system-x86_64" >"$cache/$key.part.$$"
mv "$cache/$key.part.$$" "$cache/$key.gz"
find "$cache" -name '*.part.*' -mmin +60 -delete
# shellcheck disable=SC2012 # names without spaces
ls -t "$cache"/*.gz | tail -n +$((keep + 1)) | xargs -r rm --
