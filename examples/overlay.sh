#!/usr/bin/env bash
# Runs one end of a VXLAN network as weir, the other as Linux:
#
#   switch: br0 192.168.77.1/24 -- LOCAL -- weir -- uplink, 10.10.59.1
#                                                     |
#   peer:   vx0 192.168.77.2/24 -- vxlan -- 10.10.59.233/24
#
# The switch's namespace is the host: it may open connections to the peer, which may only answer.
# Everything is taken away again on exit.
set -euo pipefail

weir=$(realpath "${1:?usage: $0 PATH-TO-WEIR}")
here=$(dirname "$(realpath "$0")")

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
  ip netns del weir-switch 2>/dev/null || true
  ip netns del weir-peer 2>/dev/null || true
  rm -rf "$runtime"
}
trap clean_up EXIT
trap 'exit 0' INT TERM

ip netns add weir-switch
ip netns add weir-peer
ip netns exec weir-switch "$weir" run "$here/overlay.toml" --socket "$WEIR_SOCKET" &
switch=$!
until [ -S "$WEIR_SOCKET" ]; do
  kill -0 "$switch" || exit 1
  sleep 0.1
done

ip -n weir-switch link set uplink netns weir-peer
ip -n weir-peer addr add 10.10.59.233/24 dev uplink
ip -n weir-peer link set uplink up
ip -n weir-peer link add vx0 type vxlan id 1 local 10.10.59.233 remote 10.10.59.1 dstport 4789
ip -n weir-peer link set vx0 mtu 1450 up
ip -n weir-peer addr add 192.168.77.2/24 dev vx0
ip -n weir-switch link set br0 mtu 1450 up
ip -n weir-switch addr add 192.168.77.1/24 dev br0

cat <<EOF

The host is the namespace 'weir-switch', the other end 'weir-peer'. In another terminal, as root, try:

  ip netns exec weir-switch ping -c 3 192.168.77.2
  ip netns exec weir-peer ping -c 3 10.10.59.1
  $weir neigh-show --socket $WEIR_SOCKET
  $weir dump-ports --socket $WEIR_SOCKET

The first goes through the tunnel, the second is answered by weir itself. What nobody lets in:

  ip netns exec weir-peer ping -c 3 -W 1 192.168.77.1

Ctrl-C stops it.
EOF
wait "$switch"
