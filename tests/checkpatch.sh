#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# checkpatch.sh TREE: checkpatch --strict on every commit of the series.
#
# Left out, with the reason:
# MISSING_SIGN_OFF: whoever mails the series signs it off, not its makers.
# FILE_PATH_CHANGES: asks for MAINTAINERS in each patch that adds a file; the
# series has one entry, in its last patch.
# In KVM's trace.h: TRACE_EVENT() is laid out as everywhere in the kernel.
# INOUT: the kernel has named a bit VMX_BASIC_INOUT.
set -u

cd "$1" || exit 1
[ -n "$(git rev-list base..HEAD)" ] || { echo "checkpatch: the series is empty"; exit 1; }
# The distribution's python has the modules of spdxcheck.py.
git rev-list base..HEAD |
	PATH=/usr/bin:/bin xargs -n 4 -P "$(nproc)" ./scripts/checkpatch.pl --strict --codespell \
		--terse --show-types --showfile --no-summary \
		--ignore MISSING_SIGN_OFF,FILE_PATH_CHANGES --git 2>&1 |
	grep -vE '^arch/x86/kvm/trace\.h:[0-9]+: CHECK:(PARENTHESIS_ALIGNMENT|OPEN_ENDED_LINE):' |
	grep -vF "'INOUT' may be misspelled" |
	grep -vE '^total: |has no obvious style problems' | grep -E ': (ERROR|WARNING|CHECK):|Traceback'
# grep found nothing: that is what should be
[ $? = 1 ]
