#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# kmake.sh DIR ARGUMENT...: make, with one compiler cache for every checkout.
#
# ccache keys by content and checks what it returns.  Paths are made relative to
# DIR, the folder that holds tree and objects, and -fmacro-prefix-map=, which makes
# __FILE__ the same everywhere, is no content.
set -eu

export CCACHE_DIR="${XDG_CACHE_HOME:-$HOME/.cache}/kvm-coco/ccache"
export CCACHE_BASEDIR="$1" CCACHE_IGNOREOPTIONS="-fmacro-prefix-map=*"
export CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=4G
# In depend mode another option anywhere is a miss everywhere.  Without, a miss costs the
# preprocessor on top of the compiler: that pays where the base is built after the series.
[ -n "${CCACHE_NODEPEND:-}" ] || export CCACHE_DEPEND=1
shift
cc="CC=$(dirname "$(readlink -f "$0")")/cc.sh"
[ -z "${LLVM:-}" ] || cc= # LLVM= reaches make through the environment
# V= is progress.py's: the kernel's V=1 would only be noise here.
# The version of pahole, which only BTF needs, is part of the configuration: all objects
# would be new whenever somebody installs it.
exec make ${cc:+"$cc"} PAHOLE="${PAHOLE:-none}" -j"$(nproc)" V=0 "$@"
