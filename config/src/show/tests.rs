use std::sync::Arc;

use proptest::prelude::*;
use weir_packet::Tick;
use weir_tables::classifier::{HashSecret, MaskShape};
use weir_tables::counters::RuleCount;
use weir_tables::flow_mod::{Command, FlowMod};
use weir_tables::flow_tables::FlowTables;
use weir_tables::rule::{Rule, RuleId};

use super::events::packet_text;
use super::{
    CacheRow, DropRow, FDB_HEADER, FdbRow, FlowRow, FragmentsRow, LcoreRow, LinkState, MasksRow,
    MemoryRow, Milliseconds, NEIGHBOUR_HEADER, NeighbourRow, PortRow, PublicationsRow,
    ReloadReport, Statistics, SwitchRow, write_drops, write_fdb, write_lcores, write_neighbours,
    write_ports, write_reload, write_switch,
};
use crate::text::tests::generate::added_flows;
use crate::text::{Options, flow_text, parse_flow, parse_flow_file};

fn text(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("a vector takes everything");
    String::from_utf8(out).expect("text")
}

fn port() -> PortRow {
    PortRow {
        id: 2,
        name: "weir0".to_owned(),
        mac: "02:00:00:00:00:0a".to_owned(),
        config: Vec::new(),
        link: LinkState::Up,
        speed_mbps: 10_000,
        mtu: 1500,
        device: "net_tap0,iface=weir0".to_owned(),
        driver: "net_tap".to_owned(),
        present: true,
        device_losses: 0,
        duration_ms: 61_007,
        rx_packets: 1,
        rx_bytes: 60,
        rx_dropped: 2,
        rx_errors: 3,
        tx_packets: 4,
        tx_bytes: 240,
        tx_dropped: 5,
        tx_errors: 6,
        polls_put_off: 7,
        walks: 8,
    }
}

#[test]
fn ports_print_as_those_of_ovs() {
    let other = PortRow { id: 12, ..port() };
    assert_eq!(
        text(|out| write_ports(out, &[port(), other])),
        "\
OFPST_PORT reply (OF1.3) (xid=0x2): 2 ports
  port  2: rx pkts=1, bytes=60, drop=2, errs=3, frame=?, over=?, crc=?
           tx pkts=4, bytes=240, drop=5, errs=6, coll=?
           duration=61.007s
  port 12: rx pkts=1, bytes=60, drop=2, errs=3, frame=?, over=?, crc=?
           tx pkts=4, bytes=240, drop=5, errs=6, coll=?
           duration=61.007s
"
    );
}

#[test]
fn the_switch_prints_as_that_of_ovs() {
    let down = PortRow {
        id: 3,
        name: "b".to_owned(),
        link: LinkState::Down,
        mac: "00:00:00:00:00:01".to_owned(),
        ..port()
    };
    let switch = SwitchRow {
        bridge: "br0".to_owned(),
        version: "0.1.0".to_owned(),
        hugepages: false,
        ports: vec![port(), down],
        publications: PublicationsRow {
            published: 3,
            waiting: 1,
            grace: Vec::new(),
            grace_count: 2,
            grace_sum_ns: 8_400,
            grace_longest_ns: 7_000,
        },
    };
    assert_eq!(
        text(|out| write_switch(out, &switch)),
        "\
OFPT_FEATURES_REPLY (OF1.3) (xid=0x2): dpid:0000000000000001
n_tables:254, n_buffers:0
capabilities: FLOW_STATS TABLE_STATS PORT_STATS
OFPST_PORT_DESC reply (OF1.3) (xid=0x3):
 2(weir0): addr:02:00:00:00:00:0a
     config:     0
     state:      LIVE
     speed: 10000 Mbps now, 0 Mbps max
     mtu: 1500
     device: net_tap0,iface=weir0 (net_tap)
     tables asked for 8 passes, 7 polls put off
 3(b): addr:00:00:00:00:00:01
     config:     0
     state:      LINK_DOWN
     speed: 10000 Mbps now, 0 Mbps max
     mtu: 1500
     device: net_tap0,iface=weir0 (net_tap)
     tables asked for 8 passes, 7 polls put off
OFPT_GET_CONFIG_REPLY (OF1.3) (xid=0x4): frags=normal miss_send_len=0
weir 0.1.0: bridge br0, memory in ordinary pages
policy: 3 versions published, obeyed after 4.2 us (at most 7.0 us), 1 waiting to be freed
"
    );
}

#[test]
fn drops_print_with_their_sentences() {
    let row = |reason: &str, packets, sentence: &str| DropRow {
        reason: reason.to_owned(),
        packets,
        sentence: sentence.to_owned(),
    };
    let rows = [
        row("runt", 3, "Too short."),
        row("table_miss", 12, "No rule matched."),
    ];
    assert_eq!(
        text(|out| write_drops(out, &rows)),
        "\
runt                   3  Too short.
table_miss            12  No rule matched.
total                 15
"
    );
}

#[test]
fn learned_addresses_line_up_with_their_heading() {
    let row = FdbRow {
        port: "2".to_owned(),
        vlan: 10,
        mac: "02:00:00:00:00:0a".to_owned(),
        age_s: 7,
    };
    assert_eq!(
        format!("{FDB_HEADER}\n{}", text(|out| write_fdb(out, &[row]))),
        " Port  VLAN  MAC                Age\n    2    10  02:00:00:00:00:0a    7\n"
    );
}

#[test]
fn next_hops_line_up_with_their_heading() {
    let row = |ip: &str, mac: Option<&str>, age_s| NeighbourRow {
        port: "uplink".to_owned(),
        ip: ip.parse().expect("an address"),
        mac: mac.map(str::to_owned),
        age_s,
    };
    let rows = [
        row("192.0.2.7", Some("02:00:00:00:00:07"), Some(7)),
        row("192.0.2.8", Some("02:00:00:00:00:08"), None),
        row("2001:db8::9", None, None),
    ];
    assert_eq!(
        format!(
            "{NEIGHBOUR_HEADER}\n{}",
            text(|out| write_neighbours(out, &rows))
        ),
        "\
IP                                            MAC                 Port             Age
192.0.2.7                                     02:00:00:00:00:07   uplink           7
192.0.2.8                                     02:00:00:00:00:08   uplink           static
2001:db8::9                                   asked for           uplink           -
"
    );
}

#[test]
fn lcores_print_their_ratios() {
    let row = LcoreRow {
        lcore: 1,
        packets: 100,
        bytes: 6_400,
        busy_polls: 10,
        idle_polls: 90,
        passes: 150,
        lookups: 300,
        trajectories: CacheRow {
            hits: 75,
            misses: 20,
            stale: 3,
            refused: 4,
        },
        megaflows: CacheRow {
            hits: 30,
            misses: 10,
            stale: 5,
            refused: 6,
        },
        masks: MasksRow {
            masks: 7,
            visited: 100,
            refused: 8,
            replaced: 9,
        },
        memory: MemoryRow {
            connections: 64 << 20,
            index: 3 << 19,
            leases: 0,
            timers: 1 << 20,
            trajectories: 1 << 30,
            megaflows: 8 << 20,
        },
        fragments: FragmentsRow {
            waiting: 3,
            waiting_bytes: 4_000,
            joined: 12,
            datagrams: 4,
            cuts: 2,
            pieces: 6,
        },
        busy_cycles: 25_000,
        idle_cycles: 75_000,
        answer_cycles: 1_000,
    };
    assert_eq!(
        text(|out| write_lcores(out, &[row])),
        "\
pmd thread core_id 1:
  packets received: 100
  bytes received: 6400
  packets per busy poll: 10.00
  packet recirculations: 50
  avg. datapath passes per packet: 1.50
  avg. table lookups per packet: 3.00
  trajectory hits: 75 (78.95%)
  trajectory misses: 20
  trajectory stale: 3
  trajectory refused: 4
  megaflow hits: 30 (75.00%)
  megaflow misses: 10
  megaflow stale: 5
  megaflow refused: 6
  megaflow masks: 7 (2.50 looked through per pass)
  megaflow masks refused: 8
  megaflow masks replaced: 9
  fragments waiting: 3 (4000 bytes)
  fragments joined: 12 (4 datagrams)
  fragments made: 6 (2 datagrams cut)
  memory in MB: connections 64.0 index 1.5 leases 0.0 timers 1.0 trajectories 1024.0 megaflows 8.0
  idle cycles: 75000 (75.00%)
  processing cycles: 25000 (25.00%)
  answering cycles: 1000 (1.00%)
  avg cycles per packet: 1000.00 (100000/100)
  avg processing cycles per packet: 250.00 (25000/100)
"
    );
    assert_eq!(
        serde_json::to_string(&row).expect("rows are JSON"),
        concat!(
            r#"{"lcore":1,"packets":100,"bytes":6400,"busy_polls":10,"idle_polls":90,"#,
            r#""passes":150,"lookups":300,"#,
            r#""trajectories":{"hits":75,"misses":20,"stale":3,"refused":4},"#,
            r#""megaflows":{"hits":30,"misses":10,"stale":5,"refused":6},"#,
            r#""masks":{"masks":7,"visited":100,"refused":8,"replaced":9},"#,
            r#""memory":{"connections":67108864,"index":1572864,"leases":0,"timers":1048576,"#,
            r#""trajectories":1073741824,"megaflows":8388608},"#,
            r#""fragments":{"waiting":3,"waiting_bytes":4000,"joined":12,"datagrams":4,"cuts":2,"#,
            r#""pieces":6},"#,
            r#""busy_cycles":25000,"idle_cycles":75000,"answer_cycles":1000}"#,
        )
    );
    let idle = text(|out| write_lcores(out, &[LcoreRow::default()]));
    assert!(idle.contains("avg cycles per packet: ? (0/0)"), "{idle}");
}

#[test]
fn reload_marks_each_flow() {
    let report = ReloadReport {
        dry_run: true,
        added: vec!["arp actions=NORMAL".to_owned()],
        modified: vec![],
        deleted: vec!["ip actions=drop".to_owned()],
        kept: vec!["priority=1 actions=drop".to_owned()],
        confirm_s: Some(60),
    };
    assert_eq!(
        text(|out| write_reload(out, &report)),
        "\
-ip actions=drop
+arp actions=NORMAL
=priority=1 actions=drop
would be added 1, modified 0, deleted 1; kept as changed by hand 1
"
    );
}

#[test]
fn flows_print_as_those_of_ovs() {
    let row = FlowRow {
        duration_ms: 1_234,
        n_packets: 5,
        n_bytes: 490,
        idle_age_s: 1,
        hard_age_s: 1,
        priority: 32_768,
        matches: "ct_state=+trk,ip,in_port=LOCAL".to_owned(),
        actions: "ct(table=1,zone=1)".to_owned(),
        ..FlowRow::default()
    };
    assert_eq!(
        row.line(Statistics::Shown),
        "cookie=0x0, duration=1.234s, table=0, n_packets=5, n_bytes=490, idle_age=1, \
         ct_state=+trk,ip,in_port=LOCAL actions=ct(table=1,zone=1)"
    );
    assert_eq!(
        row.line(Statistics::Omitted),
        "ct_state=+trk,ip,in_port=LOCAL actions=ct(table=1,zone=1)"
    );
}

#[test]
fn a_flow_with_everything_prints_in_the_order_of_ovs() {
    let row = FlowRow {
        cookie: 0xbeef,
        duration_ms: 90_005,
        table: 7,
        n_packets: 1,
        n_bytes: 2,
        idle_timeout: 60,
        hard_timeout: 600,
        flags: vec!["send_flow_rem".to_owned(), "check_overlap".to_owned()],
        importance: 3,
        idle_age_s: 4,
        hard_age_s: 5,
        priority: 0,
        matches: String::new(),
        actions: "drop".to_owned(),
    };
    assert_eq!(
        row.line(Statistics::Shown),
        "cookie=0xbeef, duration=90.005s, table=7, n_packets=1, n_bytes=2, idle_timeout=60, \
         hard_timeout=600, send_flow_rem check_overlap importance=3, idle_age=4, hard_age=5, \
         priority=0 actions=drop"
    );
    assert_eq!(
        row.line(Statistics::Omitted),
        "cookie=0xbeef, table=7, idle_timeout=60, hard_timeout=600, send_flow_rem check_overlap \
         importance=3, priority=0 actions=drop"
    );
    let all = FlowRow {
        priority: 32_768,
        actions: "NORMAL".to_owned(),
        ..FlowRow::default()
    };
    assert_eq!(all.line(Statistics::Omitted), "actions=NORMAL");
}

proptest! {
    #[test]
    fn rows_travel_unchanged(cookie: u64, duration_ms: u64, n_packets: u64, matches in "\\PC*") {
        let row = FlowRow { cookie, duration_ms, n_packets, matches, ..FlowRow::default() };
        let json = serde_json::to_string(&row).expect("it is plain data");
        prop_assert_eq!(serde_json::from_str::<FlowRow>(&json).expect("it reads back"), row);
    }
}

/// The row that travels and the canonical text must not drift apart.
#[test]
fn rows_print_as_flow_text_does() {
    let text = "\
table=3,cookie=0xbeef,priority=7,importance=4,ip,nw_src=10.0.0.0/8 actions=drop
arp actions=NORMAL
priority=0 actions=output:2
table=1,check_overlap,no_packet_counts,no_byte_counts,ct_state=+new+trk,tcp actions=ct(commit)
";
    let flows = parse_flow_file(text, &Options::default()).expect("right flows");
    let mods: Vec<_> = flows.into_iter().map(|flow| flow.value).collect();
    let mut tables = FlowTables::new(1, HashSecret(1));
    tables
        .apply(&mods, Tick::ZERO)
        .expect("all can be executed");
    let rules = tables.select(&FlowMod {
        command: Command::Delete,
        ..FlowMod::default()
    });
    assert_eq!(rules.len(), 4);
    for rule in rules {
        let row = FlowRow::of(&rule, RuleCount::default(), Tick::from_millis(3_321));
        let text = flow_text(&rule.flow_mod()).to_string();
        assert_eq!(row.line(Statistics::Omitted), text);
    }
}

/// The rule that `flow` adds, whether or not lcores can run it.
fn rule(flow: &FlowMod, created: Tick, modified: Tick) -> Rule {
    let shape = MaskShape::new(&flow.matches.mask());
    Rule {
        fresh: Tick::ZERO,
        id: RuleId {
            slot: 0,
            generation: 0,
        },
        table: flow.table.unwrap_or_default(),
        priority: flow.priority,
        cookie: flow.new_cookie.unwrap_or_default(),
        values: shape.select(&flow.matches.key()),
        shape: Arc::new(shape),
        options: flow.matches.options().into(),
        instructions: Arc::new(flow.instructions.clone()),
        program: Arc::default(),
        idle_timeout: flow.idle_timeout,
        hard_timeout: flow.hard_timeout,
        importance: flow.importance,
        flags: flow.flags,
        created,
        modified,
        sequence: 0,
    }
}

#[test]
fn a_rule_prints_as_open_vswitch_prints_it() {
    let flow = "cookie=5,table=1,idle_timeout=60,hard_timeout=90,send_flow_rem,importance=1,\
         priority=100,ct_state=+trk+est,ct_zone=1,tcp,in_port=1,nw_src=10.0.0.0/8,tp_dst=80,\
         actions=ct(table=2,zone=1,nat),output:2";
    let flow = parse_flow(flow, &Options::default()).expect("a right flow");
    let created = Tick::from_millis(1_000);
    let changed = rule(&flow, created, Tick::from_millis(60_234));
    let count = RuleCount {
        ended: false,
        packets: 5,
        bytes: 490,
        last_used: Some(Tick::from_millis(60_235)),
    };
    let now = Tick::from_millis(62_234);
    assert_eq!(
        FlowRow::of(&changed, count, now).line(Statistics::Shown),
        "cookie=0x5, duration=61.234s, table=1, n_packets=5, n_bytes=490, idle_timeout=60, \
         hard_timeout=90, send_flow_rem importance=1, idle_age=1, hard_age=2, \
         priority=100,ct_state=+est+trk,ct_zone=1,tcp,in_port=1,nw_src=10.0.0.0/8,tp_dst=80 \
         actions=ct(table=2,zone=1,nat),output:2"
    );
    // Without packets it has been idle since it was added; unchanged, it has one age.
    let quiet = FlowRow::of(&rule(&flow, created, created), RuleCount::default(), now);
    let line = quiet.line(Statistics::Shown);
    assert!(line.contains(", idle_age=61, priority=100"), "{line}");
}

#[test]
fn durations_have_as_many_digits_as_they_need() {
    let text = |millis| Milliseconds(millis).to_string();
    assert_eq!(
        [text(0), text(7_000), text(7_050), text(7_001)],
        ["0s", "7s", "7.050s", "7.001s"]
    );
}

proptest! {
    /// Fields that are parsed and not executed have no place in a rule, so no flow here has one.
    #[test]
    fn dumped_rules_parse_to_what_adds_them(
        flow in added_flows().prop_filter("executed", |flow| flow.matches.unexecuted().is_empty()),
        packets: u64,
        created in 0_u64..1 << 40,
        until_modified in 0_u64..1 << 40,
        until_now in 0_u64..1 << 40,
    ) {
        let modified = created + until_modified;
        let now = Tick::from_millis(modified + until_now);
        let rule = rule(&flow, Tick::from_millis(created), Tick::from_millis(modified));
        let count = RuleCount { packets, ..RuleCount::default() };
        let row = FlowRow::of(&rule, count, now);
        for statistics in [Statistics::Shown, Statistics::Omitted] {
            let text = format!(" {}", row.line(statistics));
            let read = parse_flow(&text, &Options::default());
            prop_assert_eq!(read.as_ref(), Ok(&flow), "{}", text);
        }
    }
}

/// What `ovs-ofctl monitor` of Open vSwitch 3.1 shows of these packets.
#[test]
fn packets_are_shown_as_open_vswitch_shows_them() {
    for (packet, expected) in [
        (
            "eth 02:00:00:00:00:01 > 02:00:00:00:00:02 udp 10.0.0.1:1000 > 10.0.0.2:53 no-csum",
            "udp,vlan_tci=0x0000,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,\
             nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,\
             tp_src=1000,tp_dst=53 udp_csum:0",
        ),
        (
            "eth 02:00:00:00:00:01 > 02:00:00:00:00:02 vlan 5 tcp 10.0.0.1:1000 > 10.0.0.2:80 S \
             seq=0 win=0",
            "tcp,dl_vlan=5,dl_vlan_pcp=0,vlan_tci1=0x0000,dl_src=02:00:00:00:00:01,\
             dl_dst=02:00:00:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_tos=0,nw_ecn=0,\
             nw_ttl=64,nw_frag=no,tp_src=1000,tp_dst=80,tcp_flags=syn tcp_csum:97a8",
        ),
        (
            "eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff arp request 10.0.0.1 > 10.0.0.2",
            "arp,vlan_tci=0x0000,dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff,\
             arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_op=1,arp_sha=02:00:00:00:00:01,\
             arp_tha=00:00:00:00:00:00",
        ),
        (
            "eth 02:00:00:00:00:01 > 02:00:00:00:00:02 icmp6 ::1 > ::2 echo-request id=0 seq=0",
            "icmp6,vlan_tci=0x0000,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,\
             ipv6_src=::1,ipv6_dst=::2,ipv6_label=0x00000,nw_tos=0,nw_ecn=0,nw_ttl=64,\
             nw_frag=no,icmp_type=128,icmp_code=0 icmp6_csum:7fba",
        ),
    ] {
        let frame = weir_packet::text::frame(packet);
        assert_eq!(packet_text(frame.bytes()), expected);
    }
    assert_eq!(
        packet_text(&[0; 13]),
        "(a frame shorter than an Ethernet header)"
    );
}
