#!/usr/bin/env bash
# Each verb of ./dev leaves namespaces, links, processes, hugepages and DPDK's folders as it found them.
# Runs in a sandbox of its own (network, processes, mounts), so that nobody else's work shows up in the comparison.
# --all: also the verbs that take minutes (./dev soak).
# timeout: 300
set -uo pipefail
# shellcheck disable=SC2317  # the functions that leave something are called by name
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1

if [[ ${1:-} != --inside ]]; then
  [[ $EUID -eq 0 ]] || { echo "not ok sandbox # needs root"; exit 1; }
  exec unshare --net --mount --pid --fork --kill-child --mount-proc "$0" --inside "$@"
fi
shift

trap 'exit 1' TERM  # the first process of a sandbox has no default for it; all others end with it

# /run, hugetlbfs, shared memory, temporary files and sysfs of the sandbox alone; ip netns keeps its names under /run.
mount --make-rprivate /
mount -t sysfs sysfs /sys
for folder in /run /var/tmp /dev/shm; do mount -t tmpfs tmpfs "$folder"; done
mkdir -p /dev/hugepages
mount -t hugetlbfs -o pagesize=2M none /dev/hugepages
ip link set lo up
mkdir /run/dpdk  # as the first program on a machine makes it
ip netns add first && ip netns del first
mark=$(mktemp -d)
export TMPDIR=/var/tmp

# state FILE: what must not change. Processes are listed by builtins only, so that the list does not name its own makers.
state() {
  local process name
  for process in /proc/[0-9]*; do
    IFS= read -rd '' name 2>/dev/null <"$process/cmdline" && echo "process ${process#/proc/} $name"
  done >"$1"
  {
    ip -o netns list | sed 's/^/namespace /'
    ip -o link | sed -E 's/^[0-9]+: ([^:]+):.*/link \1/'
    sed -n 's/^HugePages_Total: */hugepages /p' /proc/meminfo
    find /dev/hugepages /run /var/tmp /dev/shm -mindepth 1 | sed 's/^/file /' | sort
  } >>"$1"
}

failed=0
# check NAME COMMAND...: what the command answers is not the question here, but that it ran is.
check() {
  local name=$1 code
  shift
  state "$mark/before"
  "$@" >"$mark/output" 2>&1 </dev/null
  code=$?
  # The kernel takes down what a namespace held in its own time. What is left for ever is left after so many tries too.
  for ((tries = patience; tries > 0; --tries)); do
    sleep 0.2
    state "$mark/after"
    if cmp -s "$mark/before" "$mark/after"; then break; fi
  done
  if cmp -s "$mark/before" "$mark/after" && ((code != 126 && code != 127)); then
    echo "ok $name leaves nothing"
  else
    failed=1
    diff "$mark/before" "$mark/after"
    tail -n 20 "$mark/output"
    echo "not ok $name leaves nothing # exit code $code"
  fi
}

# The comparison itself: what is left is seen.
patience=3
leaves_a_link() { ip link add sluice-left type veth peer name sluice-left1; }
leaves_a_namespace() { ip netns add sluice-left; }
leaves_a_process() { sleep 100 & }
leaves_a_hugepage_file() { : >/dev/hugepages/sluicemap_0; }
leaves_a_runtime_folder() { mkdir -p /run/dpdk/sluice; }
for what in link namespace process hugepage_file runtime_folder; do
  if answer=$(check "$what" "leaves_a_$what" 2>&1; [[ $what != process ]] || kill %1 2>/dev/null) && [[ $answer == *"not ok"* ]]; then
    echo "ok sees a $what that is left"
  else
    failed=1
    echo "not ok sees a $what that is left"
  fi
  ip link del sluice-left 2>/dev/null
  ip netns del sluice-left 2>/dev/null
  rm -rf /dev/hugepages/sluicemap_0 /run/dpdk/sluice
done

patience=50
tree_has() { compgen -G "$1" >/dev/null; }
check help ./dev help
check setup ./dev setup
check fmt ./dev fmt --check
check bless env CI=true ./dev bless
check build ./dev build --test
check tidy ./dev tidy names
if tree_has 'tests/golden/*.cc'; then check golden ./dev golden; fi
if tree_has 'tests/sim/*.cc'; then check sim ./dev sim --seeds 2 --first 1; fi
bench=${SLUICE_BUILD:-}/perf/sluice-bench
if [[ -x $bench ]]; then check "an interrupted benchmark" timeout -s TERM 4 "$bench" http --smoke; fi
if [[ ${1:-} == --all ]]; then
  check test ./dev test
  if tree_has 'tests/fuzz/fuzz_*.cc'; then check fuzz ./dev fuzz --seconds 2; fi
  if tree_has 'tests/e2e/[0-9][0-9]_*'; then check e2e ./dev e2e; fi
  if [[ -x tests/e2e/demo ]]; then check demo ./dev demo; fi
  if [[ -n ${SLUICE_BUILD:-} && -x $SLUICE_BUILD/perf/sluice-bench ]]; then
    for scenario in $("$SLUICE_BUILD/perf/sluice-bench" list); do check "bench $scenario" ./dev bench "$scenario" --quick; done
  fi
fi
rm -rf "$mark"
exit "$failed"
