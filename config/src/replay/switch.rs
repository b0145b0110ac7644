//! The lcore's own code, without an lcore.

use std::sync::Arc;

use weir_ct::{Cursor, DumpStyle, Filter};
use weir_packet::{Frame, Tick, VecFrame};
use weir_tables::classifier::HashSecret;
use weir_tables::flow_mod::{Command, FlowMod};
use weir_tables::fragments::{Fragments, Gathering};
use weir_tables::group::Group;
use weir_tables::lcore::{Lcore, LcoreAnswer, LcoreRequest};
use weir_tables::packet_in::{self, PacketIns};
use weir_tables::pipeline::Output;
use weir_tables::port::{PortIndex, PortNo, PortTable};
use weir_tables::trace::{Question, Story};

use super::ReplaySwitch;
use crate::diagnostic::Diagnostic;
use crate::file::Config;
use crate::management::rows;
use crate::policy::Policy;
use crate::show::{DropRow, FlowRow, GroupStatsRow};

/// A switch whose ports are the caller's functions and whose time is the caller's.
pub struct OfflineSwitch {
    policy: Policy,
    lcore: Lcore,
    fragments: Fragments<VecFrame>,
    /// Nobody reads what is sent to a controller.
    packet_ins: PacketIns,
}

impl OfflineSwitch {
    /// A switch that runs `config` from `now` on; `seed` feeds every random choice.
    ///
    /// # Errors
    /// All that is wrong with the flow files.
    pub fn new(config: &Config, seed: u64, now: Tick) -> Result<Self, Vec<Diagnostic>> {
        let mut policy = Policy::load(config, 1, HashSecret(seed), now)?;
        let snapshot = Arc::new(policy.tables.snapshot(&policy.ports));
        let (sender, packet_ins) = packet_in::channel(config.controller);
        let lcore = Lcore::new(0, snapshot, &policy.conntrack, seed)
            .with_caches(config.caches)
            .with_packet_ins(sender);
        Ok(Self {
            policy,
            lcore,
            fragments: Fragments::new(config.fragments, seed),
            packet_ins,
        })
    }

    /// The flows with what they counted, as `dump-flows` has them.
    pub fn flows(&self, now: Tick) -> Vec<FlowRow> {
        let all = FlowMod {
            command: Command::Delete,
            ..FlowMod::default()
        };
        let tables = &self.policy.tables;
        tables
            .select(&all)
            .iter()
            .map(|rule| FlowRow::of(rule, tables.count(rule), now))
            .collect()
    }

    /// The groups with what they counted, as `dump-group-stats` has them.
    pub fn groups(&self, now: Tick) -> Vec<GroupStatsRow> {
        let tables = &self.policy.tables;
        let row = |group: &Arc<Group>| GroupStatsRow::of(group, &tables.group_count(group), now);
        tables.groups().iter().map(row).collect()
    }

    /// The connections as `dump-conntrack` prints them, sorted, so that the order says nothing
    /// of hashes.
    pub fn connections(&mut self, style: DumpStyle, now: Tick) -> Vec<String> {
        let mut lines = Vec::new();
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            let filter = Filter::default();
            let request = LcoreRequest::DumpConnections {
                cursor: at,
                budget: 1 << 16,
                filter,
                room: Vec::new(),
            };
            cursor = match self.lcore.answer(request, now) {
                LcoreAnswer::Connections { entries, next } => {
                    lines.extend(entries.iter().map(|entry| entry.display(style).to_string()));
                    next
                }
                LcoreAnswer::Flushed { .. }
                | LcoreAnswer::Tallied { .. }
                | LcoreAnswer::Events { .. }
                | LcoreAnswer::Expected { .. }
                | LcoreAnswer::Macs(_)
                | LcoreAnswer::MacsFlushed
                | LcoreAnswer::Neighbours(_)
                | LcoreAnswer::Zones { .. }
                | LcoreAnswer::RangeCounts(_)
                | LcoreAnswer::InRanges { .. }
                | LcoreAnswer::Configured(_)
                | LcoreAnswer::LimitsBegun
                | LcoreAnswer::Lent(_)
                | LcoreAnswer::Traced(_)
                | LcoreAnswer::Elsewhere(_)
                | LcoreAnswer::PacketSent(_) => {
                    unreachable!("an lcore answers what it was asked")
                }
            };
        }
        lines.sort_unstable();
        lines
    }

    /// The ports.
    pub fn ports(&self) -> &PortTable {
        &self.policy.ports
    }

    /// What would become of a packet.
    ///
    /// # Panics
    /// If it comes in at no port that is there.
    pub fn trace(&mut self, question: Question, now: Tick) -> Story {
        self.lcore.trace(question, now)
    }

    /// How many pieces of datagrams wait for others or have become part of a datagram.
    pub fn gathered(&self) -> u64 {
        let counters = self.lcore.counters();
        counters.fragments.held.read() + counters.fragments.joined.read()
    }

    /// How many packets went to controllers, of which there are none.
    pub fn packet_ins(&self) -> u64 {
        self.lcore.counters().all_packet_ins()
    }

    /// Drops by reason, as `dump-drops` has them.
    pub fn drops(&self) -> Vec<DropRow> {
        rows::drops(&[self.lcore.counters()])
    }
}

impl ReplaySwitch for OfflineSwitch {
    fn advance(&mut self, now: Tick) {
        self.lcore.housekeep(now, usize::MAX);
        let counters = self.lcore.counters();
        self.fragments.expire(now, usize::MAX, &counters);
        let tables = &mut self.policy.tables;
        if tables.expire(now) > 0 {
            let snapshot = Arc::new(tables.snapshot(&self.policy.ports));
            let generation = snapshot.generation;
            drop(self.lcore.refresh(snapshot));
            self.policy.tables.removed(generation);
            self.policy.tables.reclaim(generation);
        }
    }

    fn inject(
        &mut self,
        port: PortNo,
        frame: &[u8],
        now: Tick,
        out: &mut dyn FnMut(PortNo, &[u8]),
    ) {
        let Some(index) = self.policy.ports.index_of(port) else {
            return;
        };
        let mut sent = Sent {
            ports: &self.policy.ports,
            out,
        };
        let mut out = Gathering {
            out: &mut sent,
            fragments: &mut self.fragments,
        };
        self.lcore
            .process(index, std::iter::once(VecFrame::new(frame)), now, &mut out);
        self.packet_ins.drain(|_| {});
    }
}

struct Sent<'a> {
    ports: &'a PortTable,
    out: &'a mut dyn FnMut(PortNo, &[u8]),
}

impl Output<VecFrame> for Sent<'_> {
    fn send(&mut self, port: PortIndex, frame: VecFrame) {
        (self.out)(self.ports.port(port).no, frame.head());
    }
}
