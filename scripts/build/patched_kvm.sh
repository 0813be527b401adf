#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# patched_kvm.sh OUT PATCH WORK: another KVM, that of OUT's tree with PATCH.
#
# Makes WORK anew.  WORK/image becomes OUT/image with these modules.
set -eu

here=$(dirname "$(readlink -f "$0")")
out=$1 patch=$2 work=$3
copy=$work/tree

rm -rf "$work"
mkdir -p "$copy/arch/x86" "$copy/virt"
cp -r "$out/linux-$BASE/arch/x86/kvm" "$copy/arch/x86"
cp -r "$out/linux-$BASE/virt/kvm" "$copy/virt"
patch -s -p1 -d "$copy" <"$patch"
"$here/kvm_modules.sh" "$out" "$out/linux-$BASE" "$copy/arch/x86/kvm" "$work/image"
