#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Every script is clean, every file says its licence.
set -eu

cd "$(dirname "$0")/../.."
failed=0
git ls-files -co --exclude-standard '*.sh' .ci/run | xargs shellcheck -s sh || failed=1
for file in $(git ls-files -co --exclude-standard '*.py'); do
	python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$file" ||
		failed=1
done
for file in $(git ls-files -co --exclude-standard); do
	case $file in
	*.patch | patches/cover-letter) continue ;;
	esac
	head -n 5 "$file" | grep -q 'SPDX-License-Identifier: ' || {
		echo "lint: $file has no SPDX line"
		failed=1
	}
done
exit $failed
