#!/bin/sh
# Asks Open vSwitch what it makes of each flow on standard input, for flows.txt beside this file:
#
#     ./ask-ovs.sh < lines
#
# Starts a switch of its own with --enable-dummy in a temporary directory, and stops it.
set -eu
dir=$(mktemp -d)
export OVS_RUNDIR="$dir" OVS_DBDIR="$dir" OVS_LOGDIR="$dir" OVS_SYSCONFDIR="$dir"
stop() {
    ovs-appctl -t "$dir/ovs-vswitchd.ctl" exit || true
    ovs-appctl -t "$dir/ovsdb-server.ctl" exit || true
    rm -rf "$dir"
}
trap stop EXIT
{
    ovsdb-tool create "$dir/conf.db" /usr/share/openvswitch/vswitch.ovsschema
    ovsdb-server --detach --no-chdir --pidfile --log-file --unixctl="$dir/ovsdb-server.ctl" \
        --remote="punix:$dir/db.sock" "$dir/conf.db"
    ovs-vsctl --no-wait init
    ovs-vswitchd --enable-dummy --disable-system --detach --no-chdir --pidfile --log-file \
        --unixctl="$dir/ovs-vswitchd.ctl" "unix:$dir/db.sock"
    ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy fail-mode=secure \
        protocols=OpenFlow10,OpenFlow13,OpenFlow15 \
        -- add-port br0 p1 -- set interface p1 type=dummy ofport_request=1
    ofctl() { ovs-ofctl -O OpenFlow13 "$@"; }
    ofctl add-group br0 group_id=5,type=all,bucket=output:1
    ofctl add-group br0 group_id=16,type=all,bucket=output:1
    ofctl add-tlv-map br0 "{class=0xffff,type=0,len=4}->tun_metadata0,\
{class=0xffff,type=1,len=12}->tun_metadata1,{class=0xffff,type=2,len=124}->tun_metadata63"
} 2>/dev/null 1>&2

while IFS= read -r line; do
    [ -n "$line" ] || continue
    ofctl del-flows br0 2>/dev/null
    printf 'in   %s\n' "$line"
    if error=$(ofctl add-flow br0 "$line" 2>&1); then
        ofctl dump-flows --no-stats br0 | sed 's/^ /ovs  /'
    else
        # Without time stamps and hex dumps: the reason only.
        printf '%s\n' "$error" | grep -v '^0000\|^....-..-..T' | head -n 1 |
            sed 's/^ovs-ofctl: //; s/^OFPT_ERROR (OF1.3) (xid=0x[0-9a-f]*): //; s/^/ovs  ! /'
    fi
done
