#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# check.sh OUT: without KVM_CAP_COCO_EXITS, TDVMCALLs exit as in mainline.
#
# The commit that lets software-protected VMs make TDVMCALLs adds nothing to what
# mainline makes of them.  Builds the KVM modules of that commit, and compares its
# exits with the record that make kselftest compares those of the series with.
set -eu

root=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
out=$(readlink -f "$1")
tree=$out/linux-$BASE
work=$out/transport
subject='KVM: x86: Let software-protected VMs make TDVMCALLs'

commit=$(git -C "$tree" log --format='%H %s' base..HEAD | sed -n "s/ $subject\$//p")
[ -n "$commit" ] || { echo "transport: no commit '$subject' in $tree" >&2; exit 1; }
rm -rf "$work"
mkdir -p "$work"
git -C "$tree" worktree prune
git -C "$tree" worktree add -q --detach "$work/tree" "$commit"
"$root/scripts/build/kvm_modules.sh" "$out" "$work/tree" "$work/tree/arch/x86/kvm" "$work/image"
git -C "$tree" worktree remove --force "$work/tree"
PYTHONPATH="$root" python3 -m scripts.machine.run --set transport --engine "amd intel" --build "$work/image" \
	--init "$out/image/init" --run-dir "$work/run"
