//! Random policies and random packets: the books balance, and the size of bursts does not
//! matter. What the books are is told in `weir_tests::switch`.

use proptest::prelude::*;
use weir_packet::{VecFrame, text};
use weir_tables::cache::{MegaflowSettings, TrajectorySettings};
use weir_tests::switch::{Caches, Switch};

/// What a rule may match, and what is then known of the packet.
const MATCHES: &[&str] = &[
    "",
    "ip",
    "ipv6",
    "arp",
    "udp",
    "tcp",
    "icmp",
    "icmp6",
    "sctp",
    "udp6",
    "tcp6",
    "in_port=1",
    "in_port=2,ip",
    "dl_vlan=5",
    "dl_vlan=6,ip",
    "vlan_tci=0",
    "vlan_tci=0x1000/0x1000",
    "udp,tp_dst=53",
    "udp,tp_src=0x10/0xfff0",
    "tcp,tcp_flags=+syn-ack",
    "ip,nw_dst=10.0.0.0/30",
    "ip,nw_src=10.0.0.1",
    "ip,nw_ttl=64",
    "ip,nw_tos=0",
    "ip,nw_frag=no",
    "ip,nw_frag=later",
    "ipv6,ipv6_dst=::2",
    "reg0=0",
    "reg0=1/1",
    "metadata=0x1",
    "ct_state=-trk,ip",
    "ct_state=+new+trk,ip",
    "ct_state=+est+trk,ip",
    "ct_state=+inv+trk",
    "ct_state=+rpl+est",
    "ct_mark=7",
    "ct_zone=1,ip",
    "dl_dst=02:00:00:00:00:02",
    "dl_src=01:00:00:00:00:00/01:00:00:00:00:00",
    "arp,arp_op=1",
    "ip,ct_state=+trk-inv,ct_nw_src=10.0.0.1",
    "conj_id=1",
    "conj_id=2,ip",
];

/// Groups that rules may send to.
const GROUPS: &str = "\
    group_id=1,type=all,bucket=actions=output:2,bucket=actions=set_field:1->reg0,resubmit(,3)
    group_id=2,type=select,bucket=actions=dec_ttl,output:3,bucket=weight=3,actions=ct(commit,table=2)
    group_id=3,type=ff,bucket=watch_port=9,actions=output:9,bucket=watch_port=2,actions=group:1
    group_id=4,type=all,bucket=actions=push_vlan:0x8100,IN_PORT,bucket=actions=NORMAL,\
    bucket=actions=resubmit(2,1),bucket=actions=ct(commit,nat(src=198.51.100.9),table=3)
    group_id=5,type=select,selection_method=hash,fields(nw_ttl,nw_tos,tcp_flags),\
    bucket=actions=mod_dl_dst:02:00:00:00:00:01,output:2,bucket=actions=output:3";

/// Actions that are possible on every packet.
const ANY: &[&str] = &[
    "group:1",
    "group:2",
    "group:3",
    "group:4",
    "group:5",
    "output:1",
    "output:2",
    "output:3",
    "output:9",
    "IN_PORT",
    "NORMAL",
    "FLOOD",
    "mod_dl_src:02:00:00:00:00:07",
    "mod_dl_dst:02:00:00:00:00:01",
    "set_field:1->reg0",
    "load:0x2->NXM_NX_REG0[0..3]",
    "move:NXM_NX_REG0[0..15]->NXM_NX_REG1[16..31]",
    "load:0x1->OXM_OF_METADATA[]",
    "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
    "move:NXM_OF_IN_PORT[]->NXM_NX_REG2[0..15]",
    "output:NXM_NX_REG2[]",
    "push_vlan:0x8100",
    "push_vlan:0x8100,set_field:4101->vlan_vid",
    "mod_vlan_vid:6",
    "load:0x1005->NXM_OF_VLAN_TCI[]",
    "load:0->NXM_OF_VLAN_TCI[]",
    "load:0->NXM_OF_IN_PORT[]",
    "resubmit(,1)",
    "resubmit(,2)",
    "resubmit(2,3)",
    "ct_clear",
    "exit",
];

/// Actions that need the match to name a protocol, with the protocols.
const NEEDING: &[(&[&str], &str)] = &[
    (&["ip", "udp", "tcp", "icmp", "sctp"], "mod_nw_src:10.0.0.1"),
    (
        &["ip", "udp", "tcp", "icmp", "sctp"],
        "mod_nw_dst:255.255.255.255",
    ),
    (
        &["ip", "udp", "tcp", "icmp", "sctp"],
        "load:3->NXM_OF_IP_DST[0..7]",
    ),
    (&["ip", "udp", "tcp", "icmp", "sctp"], "mod_nw_tos:252"),
    (&["ip", "udp", "tcp", "icmp", "sctp"], "mod_nw_ecn:3"),
    (
        &["ip", "udp", "tcp", "icmp", "sctp", "ipv6", "udp6", "tcp6"],
        "dec_ttl",
    ),
    (
        &["ip", "udp", "tcp", "icmp", "sctp", "ipv6", "udp6", "tcp6"],
        "mod_nw_ttl:2",
    ),
    (
        &["ip", "udp", "tcp", "icmp", "sctp", "ipv6", "udp6"],
        "ct(commit)",
    ),
    (
        &["ip", "udp", "tcp", "icmp", "sctp", "ipv6", "udp6"],
        "ct(table=3)",
    ),
    (
        &["ip", "udp", "tcp", "icmp", "sctp", "ipv6", "udp6"],
        "ct(commit,zone=1,table=2)",
    ),
    (
        &["ip", "udp", "tcp", "icmp", "sctp", "ipv6", "udp6"],
        "ct(commit,force,exec(set_field:7->ct_mark,set_field:0x70->ct_label))",
    ),
    (
        &["ip", "udp", "tcp", "ipv6"],
        "ct(zone=NXM_NX_REG0[0..15],table=1)",
    ),
    (
        &["ipv6", "udp6", "tcp6", "icmp6"],
        "set_field:::7->ipv6_src",
    ),
    (
        &["ipv6", "udp6", "tcp6", "icmp6"],
        "set_field:2001:db8::/ffff:ffff::->ipv6_dst",
    ),
    (
        &["ipv6", "udp6", "tcp6", "icmp6"],
        "set_field:0xfffff->ipv6_label",
    ),
    (
        &["ip", "udp", "tcp", "icmp", "sctp"],
        "ct(commit,nat(src=198.51.100.7-198.51.100.8))",
    ),
    (
        &["ip", "udp", "tcp", "icmp", "sctp"],
        "ct(commit,nat(src=10.0.0.1:16-17),table=2)",
    ),
    (
        &["ip", "udp", "tcp"],
        "ct(commit,nat(dst=10.0.0.1:80),table=3,zone=1)",
    ),
    (&["ip", "udp", "tcp", "icmp", "sctp"], "ct(nat,table=1)"),
    (&["ipv6", "udp6"], "ct(commit,nat(src=2001:db8::7),table=1)"),
    (&["udp", "tcp", "sctp", "udp6", "tcp6"], "mod_tp_src:1"),
    (&["udp", "tcp", "sctp", "udp6", "tcp6"], "mod_tp_dst:65535"),
    (&["icmp"], "set_field:0->icmp_type"),
    (&["icmp6"], "set_field:3->icmpv6_code"),
    (&["arp"], "set_field:2->arp_op"),
    (&["arp"], "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[]"),
    (&["arp"], "set_field:02:00:00:00:00:07->arp_sha"),
    (&["vlan_tci=0x1000/0x1000", "dl_vlan=5"], "pop_vlan"),
    (&["vlan_tci=0x1000/0x1000", "dl_vlan=5"], "mod_vlan_pcp:3"),
];

const PACKETS: &[&str] = &[
    "udp 10.0.0.1:16 > 10.0.0.2:53 len=9",
    "udp 10.0.0.2:53 > 10.0.0.1:16 len=30",
    "udp 10.0.0.1:17 > 10.0.0.2:53 no-csum",
    "udp 10.0.0.1:17 > 10.0.0.2:53 bad-csum len=3",
    "udp 10.0.0.1:0 > 10.0.0.2:53",
    "udp 10.0.0.1:16 > 10.0.0.2:53 ttl=1 tos=0xff",
    "udp 10.0.0.1:16 > 10.0.0.2:53 ipopt=94040000 pad=9",
    "udp 10.0.0.1:16 > 10.0.0.2:53 frag id=7 off=0 mf len=16",
    "ip proto=17 10.0.0.1 > 10.0.0.2 frag id=7 off=24 len=16",
    "ip proto=47 10.0.0.1 > 10.0.0.2 data=00000800",
    "tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq=100 mss=1460 wscale=7",
    "tcp 10.0.0.2:80 > 10.0.0.1:1000 SA seq=500 ack=101",
    "tcp 10.0.0.1:1000 > 10.0.0.2:80 A seq=101 ack=501",
    "tcp 10.0.0.1:1000 > 10.0.0.2:80 FA seq=101 ack=501 len=100",
    "tcp 10.0.0.2:80 > 10.0.0.1:1000 RA seq=501 ack=202",
    "tcp 10.0.0.1:1000 > 10.0.0.2:80 SF",
    "tcp [::1]:1000 > [::2]:80 S seq=100",
    "tcp [::2]:80 > [::1]:1000 SA seq=100 ack=101 label=0x5",
    "udp [::1]:1000 > [::2]:53 ext=60:010400000000 len=5",
    "udp [::1]:1000 > [::2]:53 frag id=9 off=0 mf len=8",
    "sctp 10.0.0.1:1 > 10.0.0.2:2 init=0x1",
    "icmp 10.0.0.1 > 10.0.0.2 echo-request id=7 seq=1 len=56",
    "icmp 10.0.0.2 > 10.0.0.1 echo-reply id=7 seq=1 len=56",
    "icmp 10.0.0.9 > 10.0.0.1 unreachable code=3 { udp 10.0.0.1:16 > 10.0.0.2:53 len=9 }",
    "icmp6 ::1 > ::2 echo-request id=7 seq=1",
    "icmp6 fe80::1 > ff02::1:ff00:2 neighbor-solicit target=fe80::2 sll=02:00:00:00:00:01",
    "eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff arp request 10.0.0.1 > 10.0.0.2 pad=18",
    "eth 02:00:00:00:00:02 > 02:00:00:00:00:01 arp reply 10.0.0.2 > 10.0.0.1",
    "eth 01:00:00:00:00:02 > 01:80:c2:00:00:02 ether type=0x88cc len=46",
    "vlan 5 udp 10.0.0.1:16 > 10.0.0.2:53 len=9",
    "vlan 6 pcp 3 tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq=100",
    "vlan 5 vlan 6 udp 10.0.0.1:16 > 10.0.0.2:53 len=9",
    "vlan 0 pcp 5 icmp 10.0.0.1 > 10.0.0.2 echo-request id=7 seq=1",
    "udp 10.0.0.1:16 > 10.0.0.2:53 len=1473",
    "udp 10.0.0.1:16 > 10.0.0.2:53 udp-len=99 len=9",
    "hex 0011",
];

/// A rule as text.
fn rule() -> impl Strategy<Value = String> {
    let action = prop_oneof![
        3 => (0..ANY.len()).prop_map(Choice::Any),
        3 => (0..NEEDING.len()).prop_map(Choice::Needing),
    ];
    (
        0..4_u8,
        0..4_usize,
        0..MATCHES.len(),
        prop::collection::vec(action, 0..6),
        prop::option::weighted(0.2, 1..3_u8),
    )
        .prop_map(|(table, level, number, actions, goto)| {
            let matches = MATCHES[number];
            // Between rules of one priority that both match, OpenFlow leaves the choice open.
            let priority = level * MATCHES.len() + number;
            let actions: Vec<&str> = actions
                .iter()
                .filter_map(|choice| choice.action(matches))
                .collect();
            let mut actions = actions.join(",");
            if let Some(further) = goto {
                let separator = if actions.is_empty() { "" } else { "," };
                actions += &format!(
                    "{separator}write_metadata:0x1/0x3,goto_table:{}",
                    table + further
                );
            }
            if actions.is_empty() {
                actions = "drop".to_owned();
            }
            format!("table={table},priority={priority},{matches} actions={actions}")
        })
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    Any(usize),
    Needing(usize),
}

impl Choice {
    /// The action, if it is possible on what `matches` lets through.
    fn action(self, matches: &str) -> Option<&'static str> {
        match self {
            Self::Any(at) => Some(ANY[at]),
            Self::Needing(at) => {
                let (protocols, action) = NEEDING[at];
                let whole = protocols.contains(&matches);
                let named = matches.split(',').any(|term| protocols.contains(&term));
                (whole || named).then_some(action)
            }
        }
    }
}

/// A clause of a conjunction; those of one conjunction have one priority.
fn clause() -> impl Strategy<Value = String> {
    let clause = (0..4_u8, 1..3_u8, 1..3_u8, prop::sample::select(MATCHES));
    clause.prop_map(|(table, id, clause, matches)| {
        let priority = 50 * u16::from(id);
        format!("table={table},priority={priority},{matches} actions=conjunction({id},{clause}/2)")
    })
}

fn policy() -> impl Strategy<Value = String> {
    let line = prop_oneof![5 => rule(), 1 => clause()];
    prop::collection::vec(line, 1..24).prop_map(|rules| rules.join("\n"))
}

/// A packet, and where it comes in.
#[derive(Clone)]
struct Arrival {
    port: u32,
    frame: VecFrame,
}

impl std::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.port, text::describe(self.frame.bytes()))
    }
}

/// A packet, perhaps damaged.
fn arrival() -> impl Strategy<Value = Arrival> {
    let damage = prop::option::weighted(0.15, (any::<prop::sample::Index>(), any::<u8>()));
    let cut = prop::option::weighted(0.05, any::<prop::sample::Index>());
    (1..=3_u32, prop::sample::select(PACKETS), damage, cut).prop_map(|(port, line, damage, cut)| {
        let mut bytes = text::parse(line).expect("a packet");
        if let Some((at, value)) = damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let frame = VecFrame::from(bytes);
        Arrival { port, frame }
    })
}

/// Caches that forget, refuse, or hold everything.
fn caches() -> impl Strategy<Value = Caches> {
    let sizes = prop::sample::select(&[(1, 1), (8, 3), (256, 64)][..]);
    (sizes, prop::sample::select(&[1, 256][..])).prop_map(
        |((entries, masks_per_port), trajectories)| Caches {
            megaflows: MegaflowSettings {
                entries,
                masks_per_port,
            },
            trajectories: TrajectorySettings {
                entries: trajectories,
            },
        },
    )
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// Packets, and how often they come.
    Burst(Vec<Arrival>, usize),
    Flow(String),
    /// A change of a group that stays.
    Group(&'static str),
    /// A link comes or goes.
    Link(u32, bool),
    Wait(u64),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let delete = prop::sample::select(
        &[
            "delete udp",
            "delete table=1",
            "delete ip,nw_dst=10.0.0.2",
            "delete_strict priority=3",
            "delete out_port=2",
            "modify ip actions=output:3",
            "modify table=2 actions=ct_clear,output:2",
        ][..],
    );
    let group = prop::sample::select(
        &[
            "modify group_id=1,type=all,bucket=actions=output:3",
            "modify group_id=1,type=all,bucket=actions=output:2,bucket=actions=resubmit(,2)",
            "insert_bucket group_id=2,command_bucket_id=last,bucket=actions=output:1",
            "remove_bucket group_id=2,command_bucket_id=first",
            "remove_bucket group_id=5,command_bucket_id=last",
            "modify group_id=3,type=ff,bucket=watch_port=1,actions=output:1",
        ][..],
    );
    prop_oneof![
        1 => group.prop_map(Step::Group),
        1 => (1..=3_u32, any::<bool>()).prop_map(|(port, up)| Step::Link(port, up)),
        6 => (prop::collection::vec(arrival(), 1..6), 1..4_usize)
            .prop_map(|(arrivals, times)| Step::Burst(arrivals, times)),
        3 => rule().prop_map(Step::Flow),
        1 => delete.prop_map(|flow| Step::Flow(flow.to_owned())),
        1 => (0..200_u64).prop_map(Step::Wait),
        1 => Just(Step::Flush),
    ]
}

/// The switch with this policy. A combination that the reader finds impossible (a write behind
/// a change that removed its prerequisite) is left out, rule by rule.
fn switch(policy: &str, caches: Caches) -> Switch {
    let mut switch = Switch::builder()
        .ports(3)
        .access(3, 5)
        .max_connections(4)
        .caches(caches)
        .empty();
    switch.ignore_what_is_sent();
    switch.change_groups(GROUPS).expect("they are right");
    for rule in policy.lines() {
        change(&mut switch, rule);
    }
    switch
}

fn change(switch: &mut Switch, rule: &str) {
    if let Err(error) = switch.change_flows(rule) {
        let impossible = ["needs", "inv", "at most two VLAN tags"];
        assert!(
            impossible.iter().any(|why| error.contains(why)),
            "{rule}: {error}"
        );
    }
}

/// Everything that can be seen of a switch.
fn everything(switch: &mut Switch) -> (Vec<String>, Vec<String>, Vec<String>, Vec<String>, String) {
    (
        switch.sent_anywhere(),
        switch.flows(),
        switch.conntrack(),
        switch.macs(),
        switch.state(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every check of the books is in `inject_frames`.
    #[test]
    fn the_books_balance(
        policy in policy(),
        caches in caches(),
        arrivals in prop::collection::vec((arrival(), 1..5_usize, 0..20_u64), 1..40),
    ) {
        let mut sw = switch(&policy, caches);
        for (Arrival { port, frame }, times, wait) in arrivals {
            sw.advance(wait);
            for frame in std::iter::repeat_n(frame, times) {
                sw.inject_frames(port, vec![frame]);
            }
        }
        sw.state();
    }

    /// The lcore without caches reads the new tables for every packet.
    #[test]
    fn a_change_of_policy_is_obeyed_at_once(
        policy in policy(),
        caches in caches(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut sw = switch(&policy, caches);
        for step in steps {
            match step {
                Step::Burst(arrivals, times) => {
                    for Arrival { port, frame } in std::iter::repeat_n(arrivals, times).flatten() {
                        sw.inject_frames(port, vec![frame]);
                    }
                }
                Step::Flow(flow) => change(&mut sw, &flow),
                Step::Group(group) => sw.change_groups(group).expect("the group is there"),
                Step::Link(port, up) => sw.link(port, up),
                Step::Wait(seconds) => sw.advance(seconds),
                Step::Flush => {
                    sw.flush_conntrack(&[]);
                }
            }
        }
        sw.state();
    }

    #[test]
    fn bursts_of_any_size_give_the_same(
        policy in policy(),
        caches in caches(),
        arrivals in prop::collection::vec(arrival(), 1..40),
        sizes in prop::collection::vec(1..9_usize, 1..8),
    ) {
        // A burst comes from one port: neighbours from different ports are in different bursts.
        let mut apart = switch(&policy, caches);
        for Arrival { port, frame } in &arrivals {
            apart.inject_frames(*port, vec![frame.clone()]);
        }
        let mut together = switch(&policy, caches);
        let mut sizes = sizes.iter().cycle();
        let mut rest = &arrivals[..];
        while let Some(Arrival { port, .. }) = rest.first() {
            let size = *sizes.next().expect("endless");
            let same = rest.iter().take(size).take_while(|other| other.port == *port).count();
            let (burst, behind) = rest.split_at(same);
            together.inject_frames(*port, burst.iter().map(|arrival| arrival.frame.clone()).collect());
            rest = behind;
        }
        prop_assert_eq!(everything(&mut apart), everything(&mut together));
    }

    #[test]
    fn the_secret_of_the_hashes_is_not_seen(
        policy in policy(),
        arrivals in prop::collection::vec(arrival(), 1..40),
        secret in any::<u64>(),
    ) {
        let run = |secret| {
            let mut sw = Switch::builder().ports(3).secret(secret).empty();
            sw.ignore_what_is_sent();
            sw.change_groups(GROUPS).expect("they are right");
            // Which address and port of a range is taken is the secret's choice.
            let translates = |rule: &&str| rule.contains("nat(") || rule.contains("group:4");
            for rule in policy.lines().filter(|rule| !translates(rule)) {
                change(&mut sw, rule);
            }
            for Arrival { port, frame } in &arrivals {
                sw.inject_frames(*port, vec![frame.clone()]);
            }
            everything(&mut sw)
        };
        prop_assert_eq!(run(secret), run(0));
    }
}
