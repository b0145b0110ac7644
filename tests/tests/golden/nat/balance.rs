//! A select group whose buckets translate the destination: connections are spread, and who has a
//! back end keeps it, whatever becomes of the group.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use weir_tests::switch::Switch;

/// The flows of a service at 192.0.2.9 and 2001:db8::9; clients are at port 1, back ends at 2.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Policy {
    /// The group is asked about new connections only.
    NewOnly,
    /// Each packet goes through the group.
    Each,
}

impl Policy {
    const ALL: [Self; 2] = [Self::NewOnly, Self::Each];

    fn switch(self) -> Switch {
        let mut sw = Switch::builder().max_connections(4_000).empty();
        sw.change_groups(&format!(
            "{}\n{}",
            group(&[1, 2, 3], 4),
            group(&[1, 2, 3], 6)
        ))
        .expect("groups");
        let service = match self {
            Self::NewOnly => {
                "in_port=1,ip,nw_dst=192.0.2.9 actions=ct(table=1,zone=1,nat)
                 in_port=1,ipv6,ipv6_dst=2001:db8::9 actions=ct(table=1,zone=1,nat)
                 table=1,ip,ct_state=+new actions=group:4
                 table=1,ipv6,ct_state=+new actions=group:6
                 table=1,ct_state=+est,ip actions=resubmit(,2)
                 table=1,ct_state=+est,ipv6 actions=resubmit(,2)"
            }
            Self::Each => {
                "in_port=1,ip,nw_dst=192.0.2.9 actions=group:4
                 in_port=1,ipv6,ipv6_dst=2001:db8::9 actions=group:6"
            }
        };
        sw.change_flows(&format!(
            "{service}
             table=2 actions=output:2
             in_port=2,ip actions=ct(table=3,zone=1,nat)
             in_port=2,ipv6 actions=ct(table=3,zone=1,nat)
             table=3,ct_state=+rpl,ip actions=output:1
             table=3,ct_state=+rpl,ipv6 actions=output:1"
        ))
        .expect("flows");
        sw
    }
}

/// The group for IPv4 or IPv6 (4 or 6) with these back ends; a number from 100 on has three times
/// the weight.
fn group(back_ends: &[u8], version: u8) -> String {
    let mut text = format!("group_id={version},type=select");
    for back_end in back_ends {
        text += &format!(",{}", bucket(*back_end, version));
    }
    text
}

fn bucket(back_end: u8, version: u8) -> String {
    let (server, weight) = (back_end % 100, if back_end < 100 { 1 } else { 3 });
    let address = match version {
        4 => format!("10.0.0.{server}"),
        _ => format!("fc00::{server}"),
    };
    format!(
        "bucket=bucket_id:{server},weight:{weight},actions=ct(commit,zone=1,nat(dst={address}),table=2)"
    )
}

/// A client's connection: which port, and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Client(u16);

impl Client {
    fn is_v6(self) -> bool {
        self.0.is_multiple_of(3)
    }

    fn tuple(self, from: &str, to: &str) -> String {
        if self.0.is_multiple_of(2) {
            format!("tcp {from} > {to} A seq=100 ack=100 len=9")
        } else {
            format!("udp {from} > {to} len=9")
        }
    }

    fn service(self) -> &'static str {
        if self.is_v6() {
            "[2001:db8::9]:80"
        } else {
            "192.0.2.9:80"
        }
    }

    fn own(self) -> String {
        let address = if self.is_v6() {
            "[2001:db8:1::5]"
        } else {
            "203.0.113.5"
        };
        format!("{address}:{}", self.0)
    }

    fn server(self, number: u8) -> String {
        if self.is_v6() {
            format!("[fc00::{number}]:80")
        } else {
            format!("10.0.0.{number}:80")
        }
    }

    /// Sends a packet; returns the back end that gets it.
    fn send(self, sw: &mut Switch) -> Option<u8> {
        sw.inject(1, &self.tuple(&self.own(), self.service()));
        let sent = sw.sent(2).pop()?;
        let number = (1..=9).find(|number| sent == self.tuple(&self.own(), &self.server(*number)));
        Some(number.unwrap_or_else(|| panic!("{sent}")))
    }

    /// The back end answers; the client hears the service.
    fn hear(self, sw: &mut Switch, back_end: u8) {
        sw.inject(2, &self.tuple(&self.server(back_end), &self.own()));
        assert_eq!(sw.sent(1), [self.tuple(self.service(), &self.own())]);
    }
}

/// The line that changes the group for a version.
type Change = fn(u8) -> String;

/// Changes of a group, in turn: a back end comes, another goes, weights change, all but a new one
/// go, and nobody is left.
#[test]
fn living_connections_keep_their_back_end_when_buckets_change() {
    for policy in Policy::ALL {
        let mut sw = policy.switch();
        let clients = |from: u16| (from..from + 48).map(Client);
        let mut living: BTreeMap<Client, u8> = BTreeMap::new();
        for client in clients(1000) {
            let back_end = client.send(&mut sw).expect("a back end");
            client.hear(&mut sw, back_end);
            living.insert(client, back_end);
        }
        for number in 1..=3 {
            let has = living
                .values()
                .filter(|&&back_end| back_end == number)
                .count();
            assert!(has > 5, "{number} has {has} of 48");
        }
        let changes: [(Change, &[u8]); 6] = [
            (
                |v| {
                    format!(
                        "insert_bucket group_id={v},command_bucket_id=last,{}",
                        bucket(4, v)
                    )
                },
                &[1, 2, 3, 4],
            ),
            (
                |v| format!("remove_bucket group_id={v},command_bucket_id=2"),
                &[1, 3, 4],
            ),
            (|v| format!("modify {}", group(&[101, 3, 4], v)), &[1, 3, 4]),
            (|v| format!("modify {}", group(&[5], v)), &[5]),
            (
                |v| format!("remove_bucket group_id={v},command_bucket_id=all"),
                &[],
            ),
            (|v| format!("modify {}", group(&[1, 2, 3], v)), &[1, 2, 3]),
        ];
        for (turn, (change, back_ends)) in (1u16..).zip(changes) {
            sw.change_groups(&format!("{}\n{}", change(4), change(6)))
                .expect("groups");
            // A group without buckets gets no packet to them.
            let through = policy == Policy::NewOnly || !back_ends.is_empty();
            for (client, back_end) in &living {
                for _ in 0..2 {
                    let sent = client.send(&mut sw);
                    assert_eq!(sent, through.then_some(*back_end), "{policy:?} {turn}");
                }
                client.hear(&mut sw, *back_end);
            }
            for client in clients(1000 + turn * 100) {
                match client.send(&mut sw) {
                    None => assert_eq!(back_ends, [0; 0]),
                    Some(back_end) => {
                        assert!(back_ends.contains(&back_end), "{policy:?} {turn}");
                        client.hear(&mut sw, back_end);
                        living.insert(client, back_end);
                    }
                }
            }
        }
        sw.ignore_what_is_sent();
        sw.state();
    }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// So many packets of this client.
    Send(u16, u8),
    /// The answer to it.
    Hear(u16),
    /// The groups have these back ends.
    Group(Vec<u8>),
    Forget(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let back_end = prop::sample::select(&[1u8, 2, 3, 4, 5, 101, 102, 103][..]);
    let back_ends = prop::collection::vec(back_end, 0..5).prop_map(|mut back_ends| {
        let mut seen = [false; 10];
        back_ends.retain(|number| !std::mem::replace(&mut seen[usize::from(number % 100)], true));
        back_ends
    });
    prop_oneof![
        6 => (1000..1012u16, 1..4u8).prop_map(|(client, times)| Step::Send(client, times)),
        3 => (1000..1012u16).prop_map(Step::Hear),
        2 => back_ends.prop_map(Step::Group),
        1 => (1000..1012u16).prop_map(Step::Forget),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against a list of who has which back end. Four lcores with and without caches do the same.
    #[test]
    fn whatever_changes_between_packets(
        steps in prop::collection::vec(step(), 1..60),
        new_only: bool,
    ) {
        let policy = if new_only { Policy::NewOnly } else { Policy::Each };
        let mut sw = policy.switch();
        let mut living: BTreeMap<Client, u8> = BTreeMap::new();
        let mut answered: BTreeSet<Client> = BTreeSet::new();
        let mut group_of = vec![1, 2, 3];
        for step in steps {
            match step {
                Step::Send(client, times) => {
                    for _ in 0..times {
                        let client = Client(client);
                        let sent = client.send(&mut sw);
                        let through = !group_of.is_empty()
                            || policy == Policy::NewOnly && answered.contains(&client);
                        match living.get(&client) {
                            Some(back_end) => {
                                prop_assert!(sent.is_none_or(|sent| sent == *back_end));
                                prop_assert!(sent.is_some() || !through);
                            }
                            None => {
                                let is_one = |back_end: u8| {
                                    group_of.iter().any(|number| number % 100 == back_end)
                                };
                                prop_assert_eq!(sent.is_some(), !group_of.is_empty());
                                prop_assert!(sent.is_none_or(is_one), "{:?} of {:?}", sent, group_of);
                                living.extend(sent.map(|back_end| (client, back_end)));
                            }
                        }
                    }
                }
                Step::Hear(client) => {
                    if let Some(back_end) = living.get(&Client(client)) {
                        Client(client).hear(&mut sw, *back_end);
                        answered.insert(Client(client));
                    }
                }
                Step::Group(back_ends) => {
                    let [v4, v6] = [4, 6].map(|version| group(&back_ends, version));
                    sw.change_groups(&format!("modify {v4}\nmodify {v6}")).expect("groups");
                    group_of = back_ends;
                }
                Step::Forget(client) => {
                    let protocol = if client.is_multiple_of(2) { 6 } else { 17 };
                    sw.flush_conntrack(&[&format!("ct_nw_proto={protocol},ct_tp_src={client}")]);
                    living.remove(&Client(client));
                    answered.remove(&Client(client));
                }
            }
        }
        sw.ignore_what_is_sent();
        sw.state();
    }
}
