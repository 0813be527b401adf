#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# deb.sh TREE OUT: packages of the kernel that is configured in OUT/kernel, in OUT.
set -eu

here=$(dirname "$(readlink -f "$0")")
tree=$(readlink -f "$1")
out=$(readlink -f "$2")

# The same source makes the same kernel; DEBFULLNAME and DEBEMAIL are the user's.
export ARCH=x86_64 KBUILD_BUILD_USER=kvm-coco KBUILD_BUILD_HOST=localhost
export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 2026'
export PAHOLE=pahole
# Beside the distribution's kernels, never instead of one.
export LOCALVERSION=-kvm-coco
# Or mkdebian counts builds, and each relinks the kernel.
KDEB_PKGVERSION=$(make -s -C "$tree" kernelversion)-1
# shellcheck disable=SC1091 # a file of the running system
KDEB_CHANGELOG_DIST=$(. /etc/os-release && echo "${VERSION_CODENAME:-unstable}")
# A gigabyte of symbols, if the configuration has DEBUG_INFO.
DEB_BUILD_PROFILES=pkg.linux-upstream.nokerneldbg
export KDEB_PKGVERSION KDEB_CHANGELOG_DIST DEB_BUILD_PROFILES

rm -f "$out"/*.deb "$out"/*.changes "$out"/*.buildinfo
PYTHONPATH="$here/../.." python3 -m scripts.build.progress "build packages" "$out/log/deb.log" \
	"$here/../build/kmake.sh" "$(dirname "$tree")" -C "$tree" O="$out/kernel" bindeb-pkg
for package in "$out"/*.deb; do
	echo "$package: $(($(stat -c %s "$package") >> 10)) KiB"
done
release=$(cat "$out/kernel/include/config/kernel.release")
echo "on the machine: dpkg -i linux-image-${release}_*.deb, boot it, and run what" \
	"make kselftest-install makes"
echo "linux-libc-dev is no part of that: it would replace the distribution's headers"
