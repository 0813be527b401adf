#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Every script is clean, every file says its licence, and no code looks at an option of the series.
set -eu

cd "$(dirname "$0")/../.."
failed=0
git ls-files -co --exclude-standard '*.sh' .ci/run | xargs shellcheck -s sh || failed=1
git ls-files -co --exclude-standard '*.py' | xargs pyflakes3 || failed=1
mypy --config-file tests/lint/mypy.ini scripts tests || failed=1
for file in $(git ls-files -co --exclude-standard); do
	case $file in
	*.patch | */cover-letter | patches/cover-end) continue ;;
	esac
	head -n 5 "$file" | grep -q 'SPDX-License-Identifier: ' || {
		echo "lint: $file has no SPDX line"
		failed=1
	}
done
# The compiler's cache does not look at these options: scripts/build/kmake.sh.
options=$(sed -n 's/^\(CONFIG_[A-Z0-9_]*\)=.*/\1/p' configs/series.config)
seen=$(git grep -nwF "$options" -- '*.[chS]' '*.patch' |
	grep -v -e '[$](CONFIG_' -e '\.patch:[0-9]*:[^+]') || :
if [ -n "$seen" ]; then
	echo "lint: options of configs/series.config are for Makefiles; in code, the compiler's cache"
	echo "lint: would return objects of another configuration:"
	echo "$seen"
	failed=1
fi
exit $failed
