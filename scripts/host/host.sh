#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# host.sh COMMAND: make host RUN=COMMAND, with the command's own exit status, in this folder.
#
# make turns any status but 0 into 2.  ENGINE=, SHARE=, LIMIT=, PACKAGES= and O= are taken
# from the environment.
set -eu

STATUS=$(mktemp)
trap 'rm -f "$STATUS"' EXIT
SHARE=$(readlink -f "${SHARE:-.}")
RUN=$1
export STATUS SHARE RUN
make -C "$(dirname "$0")/../.." host || true
read -r code <"$STATUS" || code=2
exit "$code"
