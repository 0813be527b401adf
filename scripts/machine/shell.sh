#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# shell.sh IMAGE: boot the amd engine into busybox, KVM loaded, tests in /tests.
set -eu

image=$(readlink -f "$1")
busybox=$(command -v busybox) || {
	echo "shell: busybox is missing: apt-get install busybox-static" >&2
	exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/bin" "$work/root/dev" "$work/root/proc" "$work/root/sys" "$work/root/tmp"
cp "$busybox" "$work/root/bin/busybox"
cp -r "$image/modules" "$image/selftests" "$work/root"
mv "$work/root/selftests" "$work/root/tests"
(cd "$(dirname "$0")/../.." && python3 -c 'import sys, pathlib
from scripts.machine.initrd import load_order
print("\n".join(load_order(pathlib.Path(sys.argv[1]), "kvm-amd", set())))' "$image/modules") \
	>"$work/root/load"
cat >"$work/root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/tests
mount -t devtmpfs none /dev; mount -t proc none /proc; mount -t sysfs none /sys
mount -t debugfs none /sys/kernel/debug; mount -t tracefs none /sys/kernel/tracing
while read -r module; do insmod "/modules/$module.ko"; done </load
cd /tests
setsid sh -c 'exec sh </dev/ttyS0 >/dev/ttyS0 2>&1'
poweroff -f
INIT
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio --quiet -o -H newc -R 0:0 | zstd -q -9) >"$work/initrd"
machine=$(cd "$(dirname "$0")/../.." && python3 -c 'from scripts.machine import qemu; print(qemu.EMULATOR, *qemu.FIRMWARE, *qemu.TCG, *qemu.AMD)')
clock=$(cd "$(dirname "$0")/../.." && python3 -c 'from scripts.machine import clock, tsc; print(clock.options(tsc.host_khz()))')
# shellcheck disable=SC2086 # a list of options
$machine -nodefaults -no-user-config -display none -no-reboot -serial mon:stdio \
	-kernel "$image/bzImage" -initrd "$work/initrd" -append "console=ttyS0,115200 panic=-1 $clock"
