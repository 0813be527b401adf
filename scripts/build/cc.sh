#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# cc.sh ARGUMENT...: gcc through ccache, for kmake.sh.
#
# In depend mode ccache asks gcc which files it has read, and gcc does not name those
# of .incbin: it would return an arch/x86/boot/compressed/piggy.o with another kernel in
# it, if only the two have the same size.  So what may have an .incbin is always compiled.
case "$*" in
*.S | *kernel/configs.c | *kernel/kheaders.c)
	export CCACHE_RECACHE=1
	;;
esac
exec ccache gcc "$@"
