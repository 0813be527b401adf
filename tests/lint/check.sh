#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Every script is clean, every file says its licence.
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
exit $failed
