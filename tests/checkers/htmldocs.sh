#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# htmldocs.sh TREE OUT FILE...: what the kernel's tools say of the documentation in TREE.
#
# Builds the pages that have to do with these files, checks their kernel-doc comments,
# and each reference to a file below Documentation/.  A finding is printed as a compiler
# would print it, for checkers.py to compare.
set -eu

tree=$(readlink -f "$1")
mkdir -p "$2"
out=$(readlink -f "$2")
here=$(dirname "$(readlink -f "$0")")
cd "$tree"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

shift 2
printf '%s\n' "$@" >"$work/files"

# Pages, and those that take their text from one of the files.
sed -n '/^Documentation\/.*\.rst$/p' "$work/files" >"$work/pages"
git grep -nE '^\.\. +(kernel-doc|c:autodoc|kernel-include|literalinclude|include)::' \
	-- 'Documentation/*.rst' | grep -F -f "$work/files" | cut -d: -f1 >>"$work/pages" || :

# The uppermost folder: a reference that leaves what is built goes unchecked.
while read -r page; do
	dir=${page#Documentation/}
	dir=${dir%%/*}
	[ -f "Documentation/$dir/index.rst" ] || dir=.
	echo "$dir"
done <"$work/pages" | sort -u >"$work/dirs"
if [ ! -s "$work/dirs" ]; then
	echo "htmldocs: nothing to build, no page of $tree has to do with the files given" >&2
	exit 1
fi

# From scratch: Sphinx says nothing of pages that it has built before.
rm -rf "$out/Documentation"
"$here/../../scripts/build/kmake.sh" "$(dirname "$tree")" -C "$tree" O="$out" \
	SPHINXDIRS="$(tr '\n' ' ' <"$work/dirs")" htmldocs 2>&1

grep '\.[chS]$' "$work/files" | xargs tools/docs/kernel-doc -none >"$work/kernel-doc" 2>&1 || {
	cat "$work/kernel-doc"
	exit 1
}
sed -n 's/^\(Warning\|Error\): \(\S*:[0-9]*\) /\2: \1: /p' "$work/kernel-doc" | sort -u

# It searches with git, and fails for no reference.
tools/docs/documentation-file-ref-check >"$work/references" 2>&1 || {
	cat "$work/references"
	exit 1
}
sed -n 's/^\(\S*\): \(.*\)$/\1:1: warning: reference to \2, which does not exist/p' \
	"$work/references"
