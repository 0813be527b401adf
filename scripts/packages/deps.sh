#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# deps.sh [LIST]: install what scripts/packages/deps.list, or LIST, names and the system lacks.
set -eu

list=$(dirname "$0")/${1:-deps.list}
missing=$(grep -v '^#' "$list" | while read -r package _; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=no
	[ "$status" = installed ] || printf ' %s' "$package"
done)
[ -n "$missing" ] || exit 0

install="apt-get install --no-install-recommends -y$missing"
if ! command -v apt-get >/dev/null; then
	echo "deps: this is no Debian; install the equivalents of:$missing" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "deps: packages are missing and this is not root; run:" >&2
	echo "  sudo $install" >&2
	exit 1
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# shellcheck disable=SC2086 # a list of packages
if ! { apt-get update && $install; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	rm -f "$log"
	echo "deps: that did not work (no network?); run: $install" >&2
	exit 1
fi
rm -f "$log"
