#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# checkpatch.sh TREE [MAIL...]: checkpatch --strict on every commit of the series, or on mails.
#
# Left out, with the reason:
# MISSING_SIGN_OFF, but in mails: whoever mails the series signs it off, not its makers.
# FILE_PATH_CHANGES: asks for MAINTAINERS in each patch that adds a file; the
# series has one entry, in its last patch.
# In KVM's trace.h: TRACE_EVENT() is laid out as everywhere in the kernel.
# INOUT: the kernel has named a bit VMX_BASIC_INOUT.
set -u

cd "$1" || exit 1
shift
ignore=FILE_PATH_CHANGES kind=
if [ $# = 0 ]; then
	[ -n "$(git rev-list base..HEAD)" ] || { echo "checkpatch: the series is empty"; exit 1; }
	ignore=$ignore,MISSING_SIGN_OFF kind=--git
	# shellcheck disable=SC2046 # commits
	set -- $(git rev-list base..HEAD)
fi
# The distribution's python has the modules of spdxcheck.py.
# shellcheck disable=SC2086 # an option or none
printf '%s\n' "$@" |
	PATH=/usr/bin:/bin xargs -d '\n' -n 4 -P "$(nproc)" ./scripts/checkpatch.pl --strict --codespell \
		--terse --show-types --showfile --no-summary \
		--ignore $ignore $kind 2>&1 |
	grep -vE '^arch/x86/kvm/trace\.h:[0-9]+: CHECK:(PARENTHESIS_ALIGNMENT|OPEN_ENDED_LINE):' |
	grep -vF "'INOUT' may be misspelled" |
	grep -vE '^total: |has no obvious style problems' | grep -E ': (ERROR|WARNING|CHECK):|Traceback|open failed'
# grep found nothing: that is what should be
[ $? = 1 ]
