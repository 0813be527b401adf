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

# beside OUT NAME ENGINE LIMIT SHARE COMMAND: a machine that is kept in OUT, so that there
# can be another one at the same time
beside() {
	(cd "$root" && ENGINE=$3 LIMIT=$4 SHARE=$5 PACKAGES='' COMMAND=$6 \
		python3 -m scripts.host.host "$1" >"$work/$2" 2>&1)
}

# second FOLDER: for a second machine, of the same kernel
second() {
	rm -rf "$1"
	mkdir -p "$1"
	ln -s "$out/image" "$1/image"
}

# guests STATUS ENGINE: what those on ENGINE have said
guests() {
	result "$1" "guests on $2" "$work/$2"
	grep -a -E '^(ok|not ok|# )' "$work/$2"
}

total() {
	echo "what each has said is in $work"
	echo "$passed passed, $failed failed, 0 skipped"
	[ $failed = 0 ]
	exit
}

if [ "${2:-}" = quick ]; then
	# Each machine has one guest at a time, i.e. makes use of one CPU for most of it.
	second "$work/second"
	host amd amd 2400 "./guests sev-es snp" &
	for words in "amd-sev sev" "tdx td"; do
		beside "$work/second" "${words% *}" "${words% *}" 2400 "$root/tests/host" \
			"./guests ${words#* }"
		guests $? "${words% *}"
	done
	wait $!
	guests $? amd
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
	host "$engine" "$engine" 2400 "./guests $engine"
	guests $? "$engine"
done
# A guest goes from one host to another.  They have security processors of their own, and share
# a folder.
second "$work/second"
rm -rf "$work/shared"
mkdir "$work/shared"
cp "$root/tests/host/migration.py" "$work/shared"
two() {
	beside "$1" "$2" amd-sev 1800 "$work/shared" "python3 migration.py $2"
}
two "$work/second" receive &
two "$out" send
result $? "an SEV guest is sent to another host" "$work/send"
wait $!
result $? "which receives it" "$work/receive"
rm -rf "$work/shared"
grep -a -h -E '^(ok|not ok|# )' "$work/send" "$work/receive"
total
