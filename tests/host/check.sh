#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# check.sh OUT [quick]: make host, with commands that go wrong, and guests of every type in it.
# quick: one guest of each type, which is what make check has the time for.
#
# tests/host/guests has the guests, and what they have to say.
set -u

root=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
out=$(readlink -f "$1")
work=$out/host-tests
mkdir -p "$work"
passed=0 failed=0

result() {
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
		echo "ok - $2"
	else
		failed=$((failed + 1))
		echo "not ok - $2, see $3"
	fi
}

# host NAME ENGINE LIMIT COMMAND: its status; what it says is in $work/NAME
host() {
	ENGINE=$2 LIMIT=$3 SHARE="$root/tests/host" O="$out" PACKAGES='' \
		"$root/scripts/host/host.sh" "$4" >"$work/$1" 2>&1
}

# ends NAME STATUS WORDS LIMIT COMMAND
ends() {
	host "$1" amd "$4" "$5"
	status=$?
	[ $status = "$2" ] && grep -aq -e "$3" "$work/$1"
	result $? "a command that $1: status $status" "$work/$1"
}

# guests ENGINE WORDS: tests/host/guests WORDS on ENGINE
guests() {
	host "$1" "$1" 2400 "./guests $2"
	result $? "guests on $1" "$work/$1"
	grep -a -E '^(ok|not ok|# )' "$work/$1"
}

total() {
	echo "what each has said is in $work"
	echo "$passed passed, $failed failed, 0 skipped"
	[ $failed = 0 ]
	exit
}

if [ "${2:-}" = quick ]; then
	guests amd "sev-es snp"
	guests amd-sev sev
	guests tdx td
	total
fi

ends fails 125 "^said before" 600 "echo said before; exit 125"
! grep -aq "the machine ended" "$work/fails"
result $? "125 is the command's status, not the machine's end" "$work/fails"
ends hangs 124 "no end within LIMIT=60 s: killed" 60 "sleep infinity"
ends panics 125 "Kernel panic" 600 "echo c >/proc/sysrq-trigger"
host prints amd 600 "yes 'a line of it' | head -n 4000000" &&
	[ "$(grep -c '^a line of it$' "$work/prints")" = 4000000 ]
result $? "a command that prints 56 MB" "$work/prints"
rm -f "$work/prints"
for engine in amd amd-sev tdx; do
	guests "$engine" "$engine"
done
# A guest goes from one host to another.  They have security processors of their own, and share
# a folder.
rm -rf "$work/two"
mkdir -p "$work/two/other"
cp "$root/tests/host/migration.py" "$work/two"
ln -s "$out/image" "$work/two/other/image"
two() {
	(cd "$root" && ENGINE=amd-sev LIMIT=1800 SHARE="$work/two" PACKAGES='' \
		COMMAND="python3 migration.py $1" python3 -m scripts.host.host "$2" >"$work/$1" 2>&1)
}
two receive "$work/two/other" &
two send "$out"
result $? "an SEV guest is sent to another host" "$work/send"
wait $!
result $? "which receives it" "$work/receive"
rm -rf "$work/two"
grep -a -h -E '^(ok|not ok|# )' "$work/send" "$work/receive"
total
