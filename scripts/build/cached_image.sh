#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# cached_image.sh TREE OUT FRAGMENT...: OUT/image as build.sh makes it, or from the cache.
#
# For kernels of which nothing but the image is needed.  The key is all that decides
# about the image; a tree with uncommitted changes has none.  gzip checks what it unpacks.
set -eu

here=$(dirname "$(readlink -f "$0")")
tree=$1 out=$2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kvm-coco/images
keep=8
shift 2

if [ -n "$(git -C "$tree" status --porcelain)" ]; then
	exec "$here/build.sh" "$tree" "$out" "$@"
fi
key=$({
	git -C "$tree" rev-parse 'HEAD^{tree}'
	cat "$here/cached_image.sh" "$here/build.sh" "$here/config.py" "$here/kmake.sh" \
		"$here/cc.sh" "$here"/../machine/boot/* "$@"
	gcc --version
	ld --version
	ldd --version
	echo "${LLVM:-}"
} | sha256sum | cut -d ' ' -f 1)
file=$cache/$key.tar.gz
mkdir -p "$cache" "$out"
if [ -f "$file" ]; then
	rm -rf "$out/image" "$out/image.part"
	mkdir "$out/image.part"
	if tar -xzf "$file" -C "$out/image.part"; then
		mv "$out/image.part" "$out/image"
		touch "$file"
		echo "build: $out/image, the same as built before, from $file"
		exit 0
	fi
	echo "build: $file is damaged, building anew" >&2
fi
"$here/build.sh" "$tree" "$out" "$@"
(cd "$here/../.." && python3 -m scripts.build.added_objects "$tree" "$out")
# No pipe: its status would be gzip's, and half an image a good one.
tar -C "$out/image" -I 'gzip -1' -cf "$cache/$key.part.$$" .
mv "$cache/$key.part.$$" "$file"
find "$cache" -name '*.part.*' -mmin +60 -delete
# shellcheck disable=SC2012 # names without spaces
ls -t "$cache"/*.tar.gz | tail -n +$((keep + 1)) | xargs -r rm --
