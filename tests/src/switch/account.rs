//! The books: what came in, what went out, what the counters say of it.

use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use weir_packet::{Malformed, VecFrame, parse};
use weir_tables::action::{Action, TableId};
use weir_tables::counters::{Counter, FragmentCounters, RuleCount, TunnelCounters};
use weir_tables::drops::DropReason;
use weir_tables::port::PortNo;

use super::{PacketInRow, Switch, Twin};
use crate::routed::has_routing_header;

/// The kinds of malformed packets, as the counters have them.
const MALFORMED: [(Malformed, &str); Malformed::COUNT] = [
    (Malformed::Runt, "runt"),
    (Malformed::Vlan, "vlan"),
    (Malformed::Arp, "arp"),
    (Malformed::Ipv4, "ipv4"),
    (Malformed::Ipv6, "ipv6"),
    (Malformed::Ipv6Extension, "ipv6_extension"),
    (Malformed::L4, "l4"),
];

/// What is known of a burst before it is processed.
pub(super) struct Received {
    packets: u64,
    bytes: u64,
    runts: u64,
    runt_bytes: u64,
    checksums_right: bool,
}

/// What the counters said at one time.
#[derive(Debug, PartialEq)]
pub(super) struct Balance {
    packets: u64,
    bytes: u64,
    lookups: u64,
    passes: u64,
    packet_ins: u64,
    drops: Vec<u64>,
    malformed: Vec<u64>,
    fragments: Pieces,
    /// What each rule counted.
    rules: Vec<RuleCount>,
    /// Packets and bytes of the rules of table 0.
    table0: (u64, u64),
    /// Packets of all rules.
    hits: u64,
    /// What each tunnel port carried.
    tunnels: Vec<[u64; 4]>,
}

/// What became of pieces of datagrams.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pieces {
    held: u64,
    held_bytes: u64,
    joined: u64,
    datagrams: u64,
    cuts: u64,
    pieces: u64,
}

impl Pieces {
    fn read(counters: &FragmentCounters) -> Self {
        Self {
            held: counters.held.read(),
            held_bytes: counters.held_bytes.read(),
            joined: counters.joined.read(),
            datagrams: counters.datagrams.read(),
            cuts: counters.cuts.read(),
            pieces: counters.pieces.read(),
        }
    }

    /// Frames that came and neither went nor were dropped: those held, and those that became one
    /// with others.
    fn kept(&self) -> u64 {
        self.held + self.joined - self.datagrams
    }

    /// Frames that went and never came.
    fn made(&self) -> u64 {
        self.pieces - self.cuts
    }
}

impl Received {
    pub(super) fn of(frames: &[VecFrame]) -> Self {
        let size = |frame: &VecFrame| frame.bytes().len() as u64;
        let is_runt = |frame: &&VecFrame| parse(frame.bytes(), frame.bytes().len()).is_err();
        Self {
            packets: frames.len() as u64,
            bytes: frames.iter().map(size).sum(),
            runts: frames.iter().filter(is_runt).count() as u64,
            runt_bytes: frames.iter().filter(is_runt).map(size).sum(),
            checksums_right: frames.iter().all(checksums_right),
        }
    }
}

/// Whether every checksum that the frame has is right, as far as it can be told.
fn checksums_right(frame: &VecFrame) -> bool {
    match parse(frame.bytes(), frame.bytes().len()) {
        Err(_) => true,
        Ok(layout) => {
            ipv4_header_checksum_ok(frame.bytes(), &layout)
                && (has_routing_header(frame.bytes(), &layout) || l4_checksum_ok(frame, &layout))
        }
    }
}

impl Switch {
    pub(super) fn balance(&self, twin: &Twin) -> Balance {
        let mut table0 = (0, 0);
        let mut hits = 0;
        let mut rules = Vec::new();
        for rule in self.rules() {
            let count = twin.count(&rule);
            rules.push(count);
            hits += count.packets;
            if rule.table == TableId(0) {
                table0.0 += count.packets;
                table0.1 += count.bytes;
            }
        }
        for group in self.tables.groups() {
            let slots = std::iter::once(group.counters).chain(group.bucket_counters());
            rules.extend(slots.map(|id| twin.count_at(id.slot)));
        }
        let counters = &twin.counters;
        Balance {
            packets: counters.packets.read(),
            bytes: counters.bytes.read(),
            lookups: counters.lookups.read(),
            passes: counters.passes.read(),
            packet_ins: counters.all_packet_ins(),
            drops: counters.drops.iter().map(Counter::read).collect(),
            malformed: counters.malformed.iter().map(Counter::read).collect(),
            fragments: Pieces::read(&counters.fragments),
            rules,
            table0,
            hits,
            tunnels: counters.tunnels.iter().map(carried).collect(),
        }
    }

    /// Whether a packet can come to table 0 again.
    fn reenters_table0(&self) -> bool {
        self.some_action(&|own, action| match action {
            Action::Resubmit { table, .. } => table.unwrap_or(own) == TableId(0),
            Action::Output(PortNo::TABLE) => true,
            Action::Ct(ct) => ct.table == Some(TableId(0)),
            _ => false,
        })
    }

    /// Whether some packets are cut, which makes their checksums wrong.
    fn cuts(&self) -> bool {
        self.some_action(&|_, action| matches!(action, Action::OutputCut { .. }))
    }

    /// Whether `wanted` is true of some action of some rule or bucket.
    fn some_action(&self, wanted: &dyn Fn(TableId, &Action) -> bool) -> bool {
        fn any(own: TableId, list: &[Action], wanted: &dyn Fn(TableId, &Action) -> bool) -> bool {
            list.iter().any(|action| {
                wanted(own, action)
                    || matches!(action, Action::Clone(inner) if any(own, inner, wanted))
            })
        }
        let by_rule = self.rules().iter().any(|rule| {
            let instructions = &rule.instructions;
            any(rule.table, &instructions.apply, wanted)
                || any(rule.table, &instructions.write_actions, wanted)
        });
        // A bucket's own table is that of whoever sends to its group.
        let by_group = self.tables.groups().iter().any(|group| {
            let mut buckets = group.spec.buckets.iter();
            buckets.any(|bucket| any(TableId(0), &bucket.actions, wanted))
        });
        by_rule || by_group
    }

    /// Holds the counters against what happened during one burst.
    #[track_caller]
    pub(super) fn check_burst(&self, received: &Received, before: &Balance, after: &Balance) {
        let sent = &self.lcore.burst.0;
        let drops: Vec<u64> = before
            .drops
            .iter()
            .zip(&after.drops)
            .map(|(before, after)| after - before)
            .collect();
        let of = |reason: DropReason| drops[reason as usize];
        let dropped: u64 = drops.iter().sum();
        let journeys = received.packets - received.runts;

        assert_eq!(after.packets - before.packets, received.packets, "packets");
        assert_eq!(after.bytes - before.bytes, received.bytes, "bytes");
        if of(DropReason::PortNoReceive) == received.packets {
            // Nobody looked at any of them.
            assert_eq!((dropped, sent.len()), (received.packets, 0));
            return;
        }
        // What comes out of a tunnel may be one.
        let has_tunnels = !self.ports.tunnels().is_empty();
        let runts = of(DropReason::Runt);
        assert!(
            runts == received.runts || has_tunnels && runts > received.runts,
            "runts"
        );
        let packet_ins = after.packet_ins - before.packet_ins;
        assert_eq!(packet_ins, self.lcore.controller.len() as u64, "packet-ins");
        let (kept, made) = (
            after.fragments.kept().cast_signed() - before.fragments.kept().cast_signed(),
            after.fragments.made() - before.fragments.made(),
        );
        assert!(
            (sent.len() as u64 + dropped + packet_ins).cast_signed() + kept
                >= (received.packets + made).cast_signed(),
            "{} packets came, {} went, {dropped} were dropped, {kept} are held or joined, {made} \
             were made by cutting",
            received.packets,
            sent.len(),
        );
        assert!(
            has_tunnels || after.passes - before.passes >= journeys,
            "a journey has a pass"
        );
        let lookups = after.lookups - before.lookups;
        let hits = after.hits - before.hits;
        assert!(
            hits <= lookups,
            "{hits} packets counted by rules, {lookups} look-ups"
        );
        if !has_tunnels && !self.reenters_table0() {
            let (packets, bytes) = (
                after.table0.0 - before.table0.0,
                after.table0.1 - before.table0.1,
            );
            let missed = journeys
                .checked_sub(packets)
                .expect("table 0 counts a packet once");
            assert!(
                missed <= of(DropReason::TableMiss),
                "{missed} missed table 0"
            );
            if missed == 0 {
                assert_eq!(
                    bytes,
                    received.bytes - received.runt_bytes,
                    "bytes in table 0"
                );
            }
        }
        if received.checksums_right && !self.cuts() {
            // What comes out of a tunnel is as right as it was within.
            let tunnels = self.ports.tunnels();
            let counts = |port| tunnels.is_empty() || tunnels.ride_on(port);
            for (port, frame) in sent.iter().filter(|(port, _)| counts(*port)) {
                let port = self.ports.port(*port).no;
                assert!(
                    checksums_right(frame),
                    "a checksum was made wrong, port {port}: {}",
                    weir_packet::text::describe(frame.bytes())
                );
            }
        }
    }

    /// Holds the lcore with all caches, whose counters are `cached`, against the others.
    #[track_caller]
    pub(super) fn check_caches(&self, cached: &Balance) {
        for other in &self.others {
            if self.lcore.burst.0 != other.burst.0 {
                assert_eq!(
                    self.described(&self.lcore),
                    self.described(other),
                    "what was sent, with {} and with {}",
                    self.lcore.name,
                    other.name
                );
                panic!("sent bytes with {} and {}", self.lcore.name, other.name);
            }
            let events = |twin: &Twin| -> Vec<_> {
                let row = |event| PacketInRow::of(event, self.tables.options());
                twin.controller.iter().map(row).collect()
            };
            assert_eq!(
                events(&self.lcore),
                events(other),
                "packet-ins with {} and with {}",
                self.lcore.name,
                other.name
            );
            let mut theirs = self.balance(other);
            // Where the input port is all that counts, a packet need not be looked into.
            let counted = cached.malformed.iter().zip(&theirs.malformed);
            assert!(
                counted.into_iter().all(|(here, there)| here <= there),
                "malformed packets, with {}",
                other.name
            );
            theirs.malformed.clone_from(&cached.malformed);
            assert_eq!(
                *cached, theirs,
                "the counters, with {} and with {}",
                self.lcore.name, other.name
            );
        }
    }

    /// What the last burst sent.
    fn described(&self, twin: &Twin) -> Vec<String> {
        let sent = twin.burst.0.iter();
        sent.map(|(port, frame)| {
            let port = self.ports.port(*port).no;
            format!("{port}: {}", weir_packet::text::describe(frame.bytes()))
        })
        .collect()
    }

    /// The whole state: connections, what the tracker counted, drops, and malformed packets if
    /// there were any.
    ///
    /// * `ct: new=1 replied=2 expired=1`: connections without and with a reply, then the
    ///   tracker's counters; `created` is left out where it says no more than the first two.
    /// * `fragments: held=1 joined=2 datagrams=1 cuts=1 pieces=2`, if there were any.
    /// * `drops: table_miss=1`; `malformed: l4=1`. What is zero is not named; `none` if all is.
    pub fn state(&mut self) -> String {
        self.housekeep();
        let connections = self.connections();
        let (now, macs) = (self.now, self.lcore.macs(self.now));
        let neighbours = self.lcore.neighbours(now);
        for other in &mut self.others {
            let name = other.name;
            assert_eq!(connections, other.connections(now), "with {name}");
            assert_eq!(macs, other.macs(now), "with {name}");
            assert_eq!(neighbours, other.neighbours(now), "with {name}");
            let conntrack = &other.counters.conntrack;
            let same = self.lcore.counters.conntrack.iter().zip(conntrack.iter());
            for ((cell, other), (counter, ..)) in same.zip(weir_ct::Counters::default().iter()) {
                assert_eq!(cell.read(), other.read(), "{counter}, with {name}");
            }
        }
        let replied = connections.iter().filter(|entry| entry.replied).count() as u64;
        let new = connections.len() as u64 - replied;
        let names = weir_ct::Counters::default();
        let counted = names
            .iter()
            .zip(self.lcore.counters.conntrack.iter())
            .map(|((name, ..), cell)| (name, cell.read()))
            .filter(|(name, value)| *name != "created" || *value != new + replied);
        let ct: Vec<_> = [("new", new), ("replied", replied)]
            .into_iter()
            .chain(counted)
            .collect();
        let drops: Vec<_> = DropReason::ALL
            .iter()
            .map(|reason| {
                (
                    reason.name(),
                    self.lcore.counters.drops[*reason as usize].read(),
                )
            })
            .collect();
        let malformed: Vec<_> = MALFORMED
            .iter()
            .map(|(kind, name)| {
                let looked_into = &self.others[Self::PLAIN].counters.malformed;
                (*name, looked_into[*kind as usize].read())
            })
            .collect();
        let mut state = format!("ct: {}; drops: {}", list(&ct), list(&drops));
        let ours = Pieces::read(&self.lcore.counters.fragments);
        let pieces = [
            ("held", ours.held),
            ("joined", ours.joined),
            ("datagrams", ours.datagrams),
            ("cuts", ours.cuts),
            ("pieces", ours.pieces),
        ];
        if pieces.iter().any(|(_, value)| *value != 0) {
            state += &format!("; fragments: {}", list(&pieces));
        }
        if malformed.iter().any(|(_, value)| *value != 0) {
            state += &format!("; malformed: {}", list(&malformed));
        }
        state
    }

    /// Asserts that [`Switch::state`] is `expected`, and that the test has looked at every
    /// packet sent.
    #[track_caller]
    pub fn assert_state(&mut self, expected: &str) {
        let expected = expected.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(self.state(), expected);
        self.check_all_was_looked_at();
    }

    /// What was sent and not looked at.
    #[track_caller]
    fn check_all_was_looked_at(&mut self) {
        if self.every_packet_is_looked_at {
            let unseen = self.sent_anywhere();
            assert!(unseen.is_empty(), "nobody looked at {unseen:#?}");
        }
    }
}

/// What a tunnel port carried.
pub(super) fn carried(cells: &TunnelCounters) -> [u64; 4] {
    let cells = [
        &cells.rx_packets,
        &cells.rx_bytes,
        &cells.tx_packets,
        &cells.tx_bytes,
    ];
    cells.map(Counter::read)
}

/// `a=1 b=2`, without zeros; `none` if there is nothing else.
fn list(values: &[(&str, u64)]) -> String {
    let parts: Vec<String> = values
        .iter()
        .filter(|(_, value)| *value != 0)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(" ")
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check_all_was_looked_at();
        }
    }
}
