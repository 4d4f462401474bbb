#!/usr/bin/env bash
# The operator's ground on the real programs: what keeps a node from starting is told in one clear line and by the exit
# code of docs/commands.md; a wrong file by every fault; --version and --check; the log level changes live; what is left
# of rights and sockets after the start; nothing stays behind. Ports are of DPDK's null driver, and one pair of veth in a
# namespace.
# timeout: 240
set -uo pipefail
sluiced=$SLUICE_BUILD/mgmt/sluiced sluicectl=$SLUICE_BUILD/mgmt/sluicectl
folder=$(mktemp -d) name=start$$ pids=() failed=0 metrics=127.0.0.1:$((20000 + $$ % 10000))
# shellcheck disable=SC2317  # called by the trap
finish() {
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
  ip netns del "$name" 2>/dev/null
  mountpoint -q "$folder/full" && umount "$folder/full"
  rm -rf "$folder"
}
trap finish EXIT
cd "$SLUICE_ROOT" || exit 1
trap 'exit 1' TERM

# node KEY=VALUE...: a node file on standard output.
node() {
  local prefix=$name state=$folder/state listen="" memory=128 hugepages=never socket="" port=net_null0,no-rx=1 "$@"
  cat <<END
[node]
prefix = "$prefix"
memory_mib = $memory
hugepages = "$hugepages"
[[port]]
name = "p"
device = "$port"
addresses = ["192.0.2.1/24"]
[control]
socket = "${socket:-$folder/$prefix.sock}"
state_directory = "$state"
[metrics]
listen = "$listen"
[log]
access = "none"
[limits]
connections = 1024
flows = 1024
tls_sessions = 256
END
}

# ok NAME COMMAND...: passes when the command does.
ok() {
  local label=$1
  if "${@:2}"; then echo "ok $label"; else
    failed=1
    echo "not ok $label # ${*:2}"
  fi
}

# ends NAME CODE LINES PATTERN COMMAND...: the exit code, and that standard error is so many lines, one of which matches.
ends() {
  local said code=0
  said=$(timeout 30 "${@:5}" 2>&1 >/dev/null) || code=$?
  if ((code == $2)) && [[ $(wc -l <<<"$said") == "$3" ]] && grep -q -- "$4" <<<"$said"; then echo "ok $1"; else
    failed=1
    echo "$said"
    echo "not ok $1 # exit code $code instead of $2, or not the $3 line(s) wanted: $4"
  fi
}

answers() { "$sluicectl" --socket "$1" status >/dev/null 2>&1; }
# start FILE SOCKET COMMAND...: in the background, until it answers.
start() {
  "${@:3}" "$sluiced" --config "$1" 2>"$1.log" &
  pids+=($!)
  for _ in {1..600}; do answers "$2" && return; sleep 0.1; done
  cat "$1.log"
  return 1
}

# Without a node.
ends "sluicectl without sluiced" 3 1 "^sluicectl: sluiced is not running" "$sluicectl" --socket "$folder/none.sock" status
ends "sluicectl without a command" 2 2 "subcommand is required" "$sluicectl"
version=$("$sluiced" --version)
for part in 'sluiced [0-9.]* ([0-9a-f]\{7,\}+\?)' 'DPDK [0-9]' 'IPsec-MB [0-9].*code path [A-Z]' 'Hyperscan [0-9]' 'OpenSSL [0-9]'; do
  ok "--version tells ${part%% *}" grep -q "^$part" <<<"$version"
done
ok "--help tells the exit codes" grep -q "^  7  the state folder" <<<"$("$sluiced" --help)"

# Files.
{ node && printf '[upstream]\nportz = "1-2"\n[log2]\n'; } >"$folder/wrong.toml"
line=$(grep -n portz "$folder/wrong.toml" | cut -d: -f1)
ends "unknown keys, each with its line" 2 2 "wrong.toml:$line: upstream.portz" "$sluiced" --config "$folder/wrong.toml"
ends "--check tells them too" 2 2 "wrong.toml:$((line + 1)): log2" "$sluiced" --check --config "$folder/wrong.toml"
ends "a node file that is not there" 2 1 "absent.toml: cannot be read" "$sluiced" --config "$folder/absent.toml"
ends "an unknown option" 2 2 "--nonsense" "$sluiced" --nonsense
node >"$folder/node.toml"
ok "--check prints the topology" grep -q "net_null0" <<<"$("$sluiced" --check --config "$folder/node.toml")"
ok "--check starts nothing" test ! -e "$folder/state"

# What the machine has not.
node hugepages=required memory=900000 >"$folder/huge.toml"
ends "too few hugepages" 4 1 "^sluiced: hugepages: [0-9]* MiB are free, 900000 MiB are needed" "$sluiced" --config "$folder/huge.toml"
node port=net_af_packet0,iface=none$$ >"$folder/absent-port.toml"
ends "a port that is not there" 5 1 "^sluiced: .*net_af_packet0" "$sluiced" --config "$folder/absent-port.toml"
mkdir "$folder/full" && mount -t tmpfs -o size=16k tmpfs "$folder/full"
dd if=/dev/zero of="$folder/full/fill" bs=4k count=5 2>/dev/null
node state="$folder/full/state" >"$folder/disk.toml"
ends "a full disk" 7 1 "^sluiced: .*$folder/full/state.*No space left" "$sluiced" --config "$folder/disk.toml"

# A second one.
node listen="$metrics" >"$folder/first.toml"
if start "$folder/first.toml" "$folder/$name.sock"; then echo "ok the first instance runs"; else echo "not ok the first instance runs" && exit 1; fi
first=${pids[-1]}
ends "a second instance" 6 1 "^sluiced: another instance named '$name' is running" "$sluiced" --config "$folder/first.toml"
node prefix="$name-b" socket="$folder/$name.sock" state="$folder/b" >"$folder/b.toml"
ends "a socket that is served" 6 1 "^sluiced: another sluiced serves $folder/$name.sock" "$sluiced" --config "$folder/b.toml"
ok "the first instance goes on" answers "$folder/$name.sock"
node prefix="$name-c" state="$folder/c" listen="$metrics" >"$folder/c.toml"
ends "a busy metrics port" 6 1 "^sluiced: metrics: .*$metrics.*in use" "$sluiced" --config "$folder/c.toml"
ip netns add "$name" && ip -n "$name" link add v0 type veth peer name v1 && ip -n "$name" link set v0 up && ip -n "$name" link set v1 up
node prefix="$name-d" state="$folder/d" port=net_af_xdp0,iface=v0 >"$folder/d.toml"
ok "a node on a veth" start "$folder/d.toml" "$folder/$name-d.sock" ip netns exec "$name"
node prefix="$name-e" state="$folder/e" port=net_af_xdp0,iface=v0 >"$folder/e.toml"
ends "a busy port" 5 1 "^sluiced: port p: net_af_xdp0,iface=v0: .*another process may have it" ip netns exec "$name" "$sluiced" --config "$folder/e.toml"

# Policies.
control() { "$sluicectl" --socket "$folder/$name.sock" "$@"; }
echo '{"listeners": [{"name": "web", "port": 80, "routes": "none"}], "clusters": [{"name": "a"}, {"name": "a"}]}' >"$folder/bad.json"
ends "a bad policy, every fault by its path" 1 3 "listeners\[0\].routes" "$sluicectl" --socket "$folder/$name.sock" apply "$folder/bad.json"
echo '{"listeners": [' >"$folder/torn.json"
ends "a torn policy file" 2 1 "torn.json" "$sluicectl" --socket "$folder/$name.sock" apply "$folder/torn.json"
ends "a policy file that is not there" 2 1 "absent.json" "$sluicectl" --socket "$folder/$name.sock" apply "$folder/absent.json"

cp examples/policy.json examples/make_certificates.sh "$folder/" && "$folder/make_certificates.sh"
ok "the worked example is a policy" control apply "$folder/policy.json" --dry-run
ok "the worked node file is one" "$sluiced" --check --config examples/node-af_xdp.toml

# A disk that fills up while the node runs: the policy is taken, and that it is not kept is told until it is.
rm "$folder/full/fill" && node prefix="$name-f" state="$folder/full/state" >"$folder/f.toml"
ok "a node on a small disk" start "$folder/f.toml" "$folder/$name-f.sock"
small() { "$sluicectl" --socket "$folder/$name-f.sock" "$@"; }
dd if=/dev/zero of="$folder/full/fill" bs=4k count=5 2>/dev/null
echo '{"clusters": [{"name": "a"}]}' >"$folder/good.json"
ok "a policy is taken though the disk is full, with a warning" grep -q "^warning: .*not kept on disk: .*No space left" \
  <<<"$(small apply "$folder/good.json")"
ok "status tells that it is not kept" grep -q "NOT KEPT ON DISK: .*No space left" <<<"$(small status)"
rm "$folder/full/fill"
small apply "$folder/good.json" >/dev/null
ok "the next one is kept" test "$(small status | grep -c 'NOT KEPT')" = 0

# The log level, told by SIGHUP's line at level info.
log=$folder/first.toml.log
# hang_up: how often the node has said that it got SIGHUP, when it has taken this one and answers what was asked afterwards.
hang_up() {
  kill -HUP "$first"
  for _ in {1..100}; do
    if grep -q '^ShdPnd:\s*0*$' "/proc/$first/status"; then break; fi
    sleep 0.1
  done
  control status >/dev/null && sleep 0.3 && grep -c "opened anew" "$log"
}
ok "info is logged" test "$(hang_up)" = 1
control log error >/dev/null
ok "and not any more at level error" test "$(hang_up)" = 1
control log info >/dev/null
ok "and again at level info" test "$(hang_up)" = 2

# What is left after the start.
ok "no capability without kernel ports" grep -q '^CapEff:\s*0000000000000000$' "/proc/$first/status"
ok "a seccomp filter" grep -q '^Seccomp:\s*2$' "/proc/$first/status"
ok "no listener but metrics" test "$(ss -Hlntup | grep "pid=$first," | awk '{print $5}')" = "$metrics"
kill -TERM "$first" && wait "$first"
ok "SIGTERM ends it with 0" test $? = 0
ok "socket and runtime folder are gone" test ! -e "$folder/$name.sock" -a ! -e "/var/run/dpdk/$name"
exit $failed
