#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# kmake.sh DIR ARGUMENT...: make, with one compiler cache for every checkout.
#
# ccache keys by content and checks what it returns.  Paths are made relative to
# DIR, the folder that holds tree and objects, and -fmacro-prefix-map=, which makes
# __FILE__ the same everywhere, is no content.
set -eu

here=$(dirname "$(readlink -f "$0")")
export CCACHE_DIR="${XDG_CACHE_HOME:-$HOME/.cache}/kvm-coco/ccache"
export CCACHE_BASEDIR="$1" CCACHE_IGNOREOPTIONS="-fmacro-prefix-map=*"
export CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=4G
export CCACHE_DEPEND=1
# KERNEL_CONFIG: the .config of what is built.  By autoconf.h another option anywhere is a miss
# everywhere.  The series' own options only choose files in Makefiles, so the cache looks at
# the others: the base's kernel has most objects in common with the series'.
if [ -n "${KERNEL_CONFIG:-}" ]; then
	sed -n 's/^\(CONFIG_[A-Z0-9_]*\)=.*/\1/p' "$here/../../configs/series.config" >"$KERNEL_CONFIG-series"
	grep -v -w -F -f "$KERNEL_CONFIG-series" "$KERNEL_CONFIG" >"$KERNEL_CONFIG-shared"
	export CCACHE_EXTRAFILES="$KERNEL_CONFIG-shared" CCACHE_IGNOREHEADERS=include/generated/autoconf.h
fi
shift
cc="CC=$here/cc.sh"
[ -z "${LLVM:-}" ] || cc= # LLVM= reaches make through the environment
# V= is progress.py's: the kernel's V=1 would only be noise here.
# The version of pahole, which only BTF needs, is part of the configuration: all objects
# would be new whenever somebody installs it.
exec make ${cc:+"$cc"} PAHOLE="${PAHOLE:-none}" -j"$(nproc)" V=0 "$@"
