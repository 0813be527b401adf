#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# kvm_modules.sh OUT TREE KVM IMAGE: another KVM for OUT's kernel.
#
# Builds the modules of folder KVM, an arch/x86/kvm, with the headers of TREE.
# IMAGE becomes OUT/image with these modules; the compiler's output is IMAGE.log.
set -eu

root=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
out=$1 tree=$2 kvm=$3 image=$4

PYTHONPATH="$root" python3 -m scripts.build.progress "build KVM for $(basename "$image")" "$image.log" \
	"$root/scripts/build/kmake.sh" "$out" -C "$tree" O="$out/kernel" M="$kvm" ARCH=x86_64 modules
cp -al "$out/image" "$image"
# Its KUnit suites are built of the same source.
find "$kvm" -name '*.ko' -exec cp --remove-destination -t "$image/modules" {} +
