#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# checkpatch.sh TREE: checkpatch --strict on every commit of the series.
#
# MISSING_SIGN_OFF: whoever mails the series signs it off, not its makers.
# FILE_PATH_CHANGES: asks for a MAINTAINERS entry in each patch that adds a file;
# the series has one entry, in its last patch.
set -eu

cd "$1"
[ -n "$(git rev-list base..HEAD)" ] || { echo "checkpatch: the series is empty"; exit 1; }
exec ./scripts/checkpatch.pl --strict --codespell --quiet --no-summary \
	--ignore MISSING_SIGN_OFF,FILE_PATH_CHANGES --git base..HEAD
