#!/usr/bin/env bash
# A node that cannot start says so in one clear line and by its exit code: second instance, busy metrics port, full disk, too
# few hugepages; sluicectl without a node. Ports are rings in memory: no link is touched.
# timeout: 120
set -u
sluiced=$SLUICE_BUILD/mgmt/sluiced sluicectl=$SLUICE_BUILD/mgmt/sluicectl
folder=$(mktemp -d) prefix=ops-start-$$ pids=()
finish() {
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
  mountpoint -q "$folder/full" && umount "$folder/full"
  rm -rf "$folder"
}
trap finish EXIT

node() {  # node PREFIX STATE METRICS MEMORY HUGEPAGES: a node file on standard output
  cat <<END
[node]
prefix = "$1"
memory_mib = $4
hugepages = "$5"
[[port]]
name = "p"
device = "net_ring0"
addresses = ["192.0.2.1/24"]
[control]
socket = "$folder/$1.sock"
state_directory = "$2"
[metrics]
listen = "$3"
END
}

# fails NAME WANTED_CODE PATTERN FILE
fails() {
  local output code
  output=$(timeout 30 "$sluiced" --config "$4" 2>&1 >/dev/null) && code=0 || code=$?
  local ours
  ours=$(grep -c '^sluiced: ' <<<"$output")
  if [ "$code" = "$2" ] && [ "$ours" = 1 ] && grep -q "$3" <<<"$output"; then echo "ok $1"
  else echo "not ok $1 # exit $code (wanted $2), said: $(tr '\n' ' ' <<<"$output")"; fi
}

"$sluicectl" --socket "$folder/none.sock" status 2>"$folder/said"
code=$?
if [ $code = 3 ] && [ "$(wc -l <"$folder/said")" = 1 ]; then echo "ok sluicectl-without-a-node"
else echo "not ok sluicectl-without-a-node # exit $code: $(cat "$folder/said")"; fi

node "$prefix" "$folder/state" 127.0.0.1:9397 256 automatic >"$folder/first.toml"
"$sluiced" --config "$folder/first.toml" 2>"$folder/first.log" &
pids+=($!)
for _ in $(seq 100); do "$sluicectl" --socket "$folder/$prefix.sock" status >/dev/null 2>&1 && break; sleep 0.1; done
if "$sluicectl" --socket "$folder/$prefix.sock" status >/dev/null 2>&1; then echo "ok first-instance-runs"
else echo "not ok first-instance-runs # $(cat "$folder/first.log")"; fi

fails second-instance 6 "another instance" "$folder/first.toml"
node "$prefix-b" "$folder/state-b" 127.0.0.1:9397 256 automatic >"$folder/busy.toml"
fails busy-metrics-port 6 "127.0.0.1:9397: Address already in use" "$folder/busy.toml"
node "$prefix-c" "$folder/state-c" "" 1000000 required >"$folder/huge.toml"
fails too-few-hugepages 4 "hugepages" "$folder/huge.toml"
mkdir "$folder/full" && mount -t tmpfs -o size=4k,nr_inodes=4 tmpfs "$folder/full"
dd if=/dev/zero of="$folder/full/fill" bs=4k count=2 2>/dev/null
node "$prefix-d" "$folder/full/state" "" 256 automatic >"$folder/disk.toml"
fails full-disk 7 "No space left" "$folder/disk.toml"
echo 'nonsense = 1' >"$folder/wrong.toml"
fails unknown-key 2 "wrong.toml:1" "$folder/wrong.toml"
