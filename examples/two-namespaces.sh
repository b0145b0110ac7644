#!/usr/bin/env bash
# Runs the switch with its embedded default between two network namespaces:
#
#   left 192.168.0.1/24 -- weir0 (port 2) -- weir -- weir1 (port 3) -- right 192.168.0.2/24
#
# The policy is a stateful firewall: left may open connections, right may only answer.
# Everything is taken away again on exit.
set -euo pipefail

weir=$(realpath "${1:?usage: $0 PATH-TO-WEIR}")

# TAP devices and namespaces are root's.
if [ "$(id -u)" -ne 0 ]; then
  echo "weir makes TAP devices and network namespaces, which needs root."
  exec sudo "$0" "$weir"
fi

runtime=$(mktemp -d /tmp/weir-run.XXXXXX)
export WEIR_SOCKET="$runtime/weir.sock"
switch=

clean_up() {
  trap - EXIT
  # A second Ctrl-C must not leave half of it behind.
  trap '' INT TERM
  if [ -n "$switch" ] && kill -0 "$switch" 2>/dev/null; then
    kill -TERM "$switch"
    wait "$switch" || true
  fi
  ip netns del left 2>/dev/null || true
  ip netns del right 2>/dev/null || true
  rm -rf "$runtime"
}

for name in left right; do
  if ip netns list | grep -qw "$name"; then
    echo "there is a network namespace '$name' already; 'ip netns del $name' removes it" >&2
    exit 1
  fi
done
trap clean_up EXIT
trap 'exit 0' INT TERM

ip netns add left
ip netns add right
"$weir" run --socket "$WEIR_SOCKET" &
switch=$!

for _ in $(seq 100); do
  [ -S "$WEIR_SOCKET" ] && break
  kill -0 "$switch" 2>/dev/null || { wait "$switch"; exit 1; }
  sleep 0.1
done
[ -S "$WEIR_SOCKET" ] || { echo "the switch did not start within 10 seconds" >&2; exit 1; }

place() { # device namespace address
  ip link set "$1" netns "$2"
  ip -n "$2" addr add "$3" dev "$1"
  ip -n "$2" link set "$1" up
  ip -n "$2" link set lo up
}
place weir0 left 192.168.0.1/24
place weir1 right 192.168.0.2/24

cat <<TRY

weir runs. In another terminal, as root, try:

  ip netns exec left ping -c 3 192.168.0.2
  $weir dump-flows --socket $WEIR_SOCKET
  $weir dump-conntrack --socket $WEIR_SOCKET

What nobody lets in:

  ip netns exec right ping -c 3 -W 1 192.168.0.1

Ctrl-C stops it.
TRY
wait "$switch"
