//! A switch of one lcore for tests that read like traffic: packets and flows as text, a clock
//! that a test moves, and books that are kept of every packet.
//!
//! ```no_run
//! use weir_tests::switch::Switch;
//!
//! let mut sw = Switch::with_flows(
//!     "in_port=1,ip actions=ct(commit),output:2
//!      in_port=2,ip actions=ct(table=1)
//!      table=1,ct_state=+est,ip actions=output:1",
//! );
//! sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53");
//! assert_eq!(sw.sent(2), ["udp 10.0.0.5:4000 > 192.0.2.9:53"]);
//! sw.assert_state("ct: new=1; drops: none");
//! ```
//!
//! Invariants, checked after every burst (`account`) and at the end
//!   1. Every packet received is counted, and is sent or dropped by name.
//!   2. Every packet hits a rule of table 0 or is a miss there.
//!   3. Nobody makes a wrong checksum of a right one.
//!   4. A test has looked at every packet that was sent.
//!   5. Caches are not seen: lcores without any, and with each kind alone, which get the same
//!      packets, send the same and count the same.
//!
//! It runs [`Lcore`], the code of the poll loop; only devices and threads are missing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use weir_config::show::{FlowRow, PacketInRow, Statistics};
use weir_config::text::{
    GroupOptions, Options, Strictness, group_text, match_text, parse_bundle_file, parse_filter,
    parse_flow_file, parse_group_file, parse_packet_out, parse_tlv_map,
};
use weir_ct::{Cursor, DumpStyle, Entry, Filter, Settings};
use weir_packet::reassembly::Bounds;
use weir_packet::{Tick, VecFrame, text};
use weir_tables::cache::{CacheStats, MaskStats};
use weir_tables::classifier::HashSecret;
use weir_tables::counters::{LcoreCounters, RuleCount};
use weir_tables::flow_mod::{Command, FlowMod};
use weir_tables::flow_tables::{Applied, FlowRemoved, FlowTables};
use weir_tables::fragments::{Fragments, Gathering};
use weir_tables::group::Group;
use weir_tables::group_mod::BundleStep;
use weir_tables::lcore::{Lcore, LcoreAnswer, LcoreRequest};
use weir_tables::mac_table::MacEntry;
use weir_tables::packet_in::{self, PacketIn, PacketInSettings, PacketIns};
use weir_tables::packet_out::PacketOut;
use weir_tables::pipeline::Output;
use weir_tables::port::{PortConfig, PortFlags, PortIndex, PortNo, PortTable, VlanMode};
use weir_tables::rule::{Rule, RuleId};
use weir_tables::tunnel::NeighbourEntry;

mod account;
mod builder;
mod config;
mod foretold;

pub(crate) use builder::Tunnel;
pub use builder::{Builder, Caches};
pub use config::example;

/// Keys the hash of pieces that wait.
const FRAGMENT_SECRET: u64 = 7;
/// When each switch begins. Not zero: a time that was never set must not look like now.
const START: Tick = Tick::from_millis(1_000_000);

/// One lcore, its flow tables, its ports and its clock.
pub struct Switch {
    tables: FlowTables,
    ports: Arc<PortTable>,
    /// The lcore that tests see, with all caches.
    lcore: Twin,
    /// The same with other caches, in the order of [`Self::OTHERS`].
    others: Vec<Twin>,
    /// Ports without a link.
    down: BTreeSet<u32>,
    now: Tick,
    /// What was sent to a controller, and not yet looked at.
    packet_ins: Vec<PacketIn>,
    /// What was told of rules that are gone, and not yet looked at.
    removed: Vec<FlowRemoved>,
    /// Frames sent and not yet looked at, by port index.
    sent: Vec<Vec<VecFrame>>,
    /// Whether [`Switch::sent`] was promised to be called for every packet sent.
    every_packet_is_looked_at: bool,
}

/// An lcore and what it tells.
struct Twin {
    /// The caches that it has.
    name: &'static str,
    /// Its place in the flow tables' counters.
    index: usize,
    lcore: Lcore,
    fragments: Fragments<VecFrame>,
    counters: Arc<LcoreCounters>,
    /// What the last burst sent, in order.
    burst: Burst,
    packet_ins: PacketIns,
    /// What the last burst sent to a controller, in order.
    controller: Vec<PacketIn>,
}

#[derive(Default)]
struct Burst(Vec<(PortIndex, VecFrame)>);

impl Output<VecFrame> for Burst {
    fn send(&mut self, port: PortIndex, frame: VecFrame) {
        self.0.push((port, frame));
    }
}

impl Twin {
    fn new(name: &'static str, index: usize, lcore: Lcore) -> Self {
        let counters = lcore.counters();
        let (sender, packet_ins) = packet_in::channel(PacketInSettings::default());
        Self {
            name,
            index,
            lcore: lcore.with_packet_ins(sender),
            fragments: Fragments::new(Bounds::default(), FRAGMENT_SECRET),
            counters,
            burst: Burst::default(),
            packet_ins,
            controller: Vec::new(),
        }
    }

    fn process(&mut self, in_port: PortIndex, frames: Vec<VecFrame>, now: Tick) {
        self.burst.0.clear();
        let mut out = Gathering {
            out: &mut self.burst,
            fragments: &mut self.fragments,
        };
        self.lcore
            .process(in_port, frames.into_iter(), now, &mut out);
        self.hear();
    }

    fn packet_out(&mut self, frame: VecFrame, order: &PacketOut, now: Tick) {
        self.burst.0.clear();
        let mut out = Gathering {
            out: &mut self.burst,
            fragments: &mut self.fragments,
        };
        self.lcore.packet_out(frame, order, now, &mut out);
        self.hear();
    }

    /// Takes what was sent to a controller.
    fn hear(&mut self) {
        let controller = &mut self.controller;
        controller.clear();
        self.packet_ins
            .drain(|event| controller.push(event.clone()));
    }

    /// What `rule` counted here.
    fn count(&self, rule: &Rule) -> RuleCount {
        self.count_at(rule.id.slot)
    }

    /// What was counted here at a slot.
    fn count_at(&self, slot: u32) -> RuleCount {
        self.lcore.snapshot().counters[self.index].read(slot)
    }

    fn connections(&mut self, now: Tick) -> Vec<Entry> {
        let filter = Filter::default();
        let (mut all, mut cursor) = (Vec::new(), Cursor::default());
        loop {
            let request = LcoreRequest::DumpConnections {
                cursor,
                budget: 1024,
                filter,
                room: Vec::new(),
            };
            let LcoreAnswer::Connections { entries, next } = self.lcore.answer(request, now) else {
                panic!("a dump is answered with connections");
            };
            all.extend(entries);
            match next {
                Some(next) => cursor = next,
                None => return all,
            }
        }
    }

    fn expected(&mut self, now: Tick) -> Vec<String> {
        let (mut lines, mut cursor) = (Vec::new(), Some(0));
        while let Some(at) = cursor {
            let request = LcoreRequest::DumpExpected {
                cursor: at,
                budget: 1024,
                zone: None,
            };
            let LcoreAnswer::Expected { entries, next } = self.lcore.answer(request, now) else {
                panic!("what is expected is answered with expectations");
            };
            lines.extend(entries.iter().map(ToString::to_string));
            cursor = next;
        }
        lines.sort();
        lines
    }

    fn flush(&mut self, filter: Filter, now: Tick) -> u64 {
        let (mut flushed, mut cursor) = (0, Cursor::default());
        loop {
            let request = LcoreRequest::FlushConnections {
                cursor,
                budget: 1024,
                filter,
            };
            let LcoreAnswer::Flushed { connections, next } = self.lcore.answer(request, now) else {
                panic!("a flush is answered with a number");
            };
            flushed += connections;
            match next {
                Some(next) => cursor = next,
                None => return flushed,
            }
        }
    }

    fn neighbours(&mut self, now: Tick) -> Vec<NeighbourEntry> {
        match self.lcore.answer(LcoreRequest::ShowNeighbours, now) {
            LcoreAnswer::Neighbours(entries) => entries,
            other => panic!("a question for next hops is answered with {other:?}"),
        }
    }

    fn macs(&mut self, now: Tick) -> Vec<MacEntry> {
        match self.lcore.answer(LcoreRequest::ShowMacs, now) {
            LcoreAnswer::Macs(entries) => entries,
            other => panic!("a question for MAC addresses is answered with {other:?}"),
        }
    }
}

impl Switch {
    /// The caches of the other lcores.
    const OTHERS: [&str; 3] = ["no cache", "megaflows", "trajectories"];
    /// Which of them has no cache.
    const PLAIN: usize = 0;
    /// Which of them has megaflows only.
    const MEGAFLOWS: usize = 1;

    /// A switch with ports 1 to 4, trunks for every VLAN with an MTU of 1500, and these flows.
    ///
    /// # Panics
    /// With the message of the first error, if a flow is wrong or cannot be executed.
    pub fn with_flows(flows: &str) -> Self {
        Self::builder().flows(flows)
    }

    /// Another kind of switch.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn new(ports: Arc<PortTable>, settings: &Settings, caches: Caches, secret: u64) -> Self {
        let tables = FlowTables::new(4, HashSecret(secret));
        Self::with_tables(tables, ports, settings, caches, secret)
    }

    /// A switch whose tables are filled.
    fn with_tables(
        mut tables: FlowTables,
        ports: Arc<PortTable>,
        settings: &Settings,
        caches: Caches,
        secret: u64,
    ) -> Self {
        let snapshot = Arc::new(tables.snapshot(&ports));
        let lcore = |index| Lcore::new(index, Arc::clone(&snapshot), settings, secret);
        let Caches {
            megaflows,
            trajectories,
        } = caches;
        let all = lcore(0)
            .with_megaflows(megaflows)
            .with_trajectories(trajectories);
        let others = [
            lcore(1),
            lcore(2).with_megaflows(megaflows),
            lcore(3).with_trajectories(trajectories),
        ];
        Self {
            tables,
            lcore: Twin::new("all caches", 0, all),
            others: (1..)
                .zip(Self::OTHERS)
                .zip(others)
                .map(|((index, name), lcore)| Twin::new(name, index, lcore))
                .collect(),
            sent: ports.iter().map(|_| Vec::new()).collect(),
            ports,
            down: BTreeSet::new(),
            packet_ins: Vec::new(),
            removed: Vec::new(),
            now: START,
            every_packet_is_looked_at: true,
        }
    }

    /// One packet comes in at `port`: a burst of its own.
    ///
    /// # Panics
    /// If `packet` is not one ([`weir_packet::text`]), or an invariant breaks.
    #[track_caller]
    pub fn inject(&mut self, port: u32, packet: &str) {
        self.inject_burst(port, &[packet]);
    }

    /// Packets come in at `port` in one burst.
    ///
    /// # Panics
    /// As [`Switch::inject`].
    #[track_caller]
    pub fn inject_burst(&mut self, port: u32, packets: &[&str]) {
        let frames = packets.iter().map(|line| text::frame(line)).collect();
        self.inject_frames(port, frames);
    }

    /// Frames come in at `port` in one burst.
    ///
    /// # Panics
    /// As [`Switch::inject`].
    #[track_caller]
    pub fn inject_frames(&mut self, port: u32, frames: Vec<VecFrame>) {
        let in_port = self.index(port);
        if let [frame] = &frames[..] {
            return self.inject_foretold(in_port, frame.clone());
        }
        self.inject_all(in_port, frames);
    }

    /// One frame, of which two lcores, one with all caches and one without, have told before what
    /// they will do; telling changes nothing.
    fn inject_foretold(&mut self, in_port: PortIndex, frame: VecFrame) {
        let now = self.now;
        let no = self.ports.port(in_port).no;
        let told = [&mut self.lcore, &mut self.others[Self::PLAIN]]
            .map(|twin| twin.trace(no, &frame, now));
        self.inject_burst_of(in_port, vec![frame]);
        let twins = [&self.lcore, &self.others[Self::PLAIN]];
        for (twin, told) in twins.into_iter().zip(told) {
            twin.did_as(told, &self.ports);
        }
        self.take_burst();
    }

    fn inject_all(&mut self, in_port: PortIndex, frames: Vec<VecFrame>) {
        self.inject_burst_of(in_port, frames);
        self.take_burst();
    }

    fn inject_burst_of(&mut self, in_port: PortIndex, frames: Vec<VecFrame>) {
        let before = self.balance(&self.lcore);
        let received = account::Received::of(&frames);
        for twin in &mut self.others {
            twin.process(in_port, frames.clone(), self.now);
        }
        self.lcore.process(in_port, frames, self.now);
        let after = self.balance(&self.lcore);
        self.check_burst(&received, &before, &after);
        self.check_caches(&after);
    }

    /// Keeps what the last burst sent, to be looked at.
    fn take_burst(&mut self) {
        self.packet_ins.append(&mut self.lcore.controller);
        for (port, frame) in self.lcore.burst.0.drain(..) {
            self.sent[usize::from(port.0)].push(frame);
        }
    }

    /// The controller sends `packet`, as `ovs-ofctl packet-out` has it: `in_port=P` and other fields,
    /// then `actions=`.
    ///
    /// # Panics
    /// If the order or the packet is none, or caches are seen.
    #[track_caller]
    pub fn packet_out(&mut self, order: &str, packet: &str) {
        let (fields, actions) = order.split_once("actions=").expect("actions=");
        let frame = text::frame(packet);
        let hex: String = frame
            .bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let options = Options {
            name: "packet-out",
            ..Options::default()
        };
        let text = format!("{fields}packet={hex},actions={actions}");
        let read = parse_packet_out(&text, &options).unwrap_or_else(|error| panic!("{error}"));
        let options = self.tables.options();
        let order = PacketOut::new(read.in_port, read.metadata, read.actions, options)
            .unwrap_or_else(|error| panic!("{error}"));
        let now = self.now;
        for twin in self.twins() {
            twin.packet_out(frame.clone(), &order, now);
        }
        let after = self.balance(&self.lcore);
        self.check_caches(&after);
        self.take_burst();
    }

    /// The packets that left at `port` since the last look, in order.
    pub fn sent(&mut self, port: u32) -> Vec<String> {
        let frames = self.sent_frames(port);
        frames
            .iter()
            .map(|frame| text::describe(frame.bytes()))
            .collect()
    }

    /// As [`Switch::sent`], as frames.
    pub fn sent_frames(&mut self, port: u32) -> Vec<VecFrame> {
        let index = self.index(port);
        std::mem::take(&mut self.sent[usize::from(index.0)])
    }

    /// What was sent to controllers since the last look: `TABLE COOKIE REASON CONTROLLER
    /// METADATA: PACKET`.
    pub fn packet_ins(&mut self) -> Vec<String> {
        let line = |event: PacketIn| {
            let row = PacketInRow::of(&event, self.tables.options());
            let PacketInRow {
                table,
                cookie,
                reason,
                controller,
                metadata,
                ..
            } = row;
            let cookie = cookie.unwrap_or_default();
            let packet = text::describe(&event.data);
            format!("{table} {cookie:#x} {reason} {controller} {metadata}: {packet}")
        };
        std::mem::take(&mut self.packet_ins)
            .into_iter()
            .map(line)
            .collect()
    }

    /// Everything sent since the last look, as `PORT: PACKET`, by port and then in order.
    pub fn sent_anywhere(&mut self) -> Vec<String> {
        let numbers: Vec<u32> = self.ports.iter().map(|(_, port)| port.no.0).collect();
        numbers
            .into_iter()
            .flat_map(|port| {
                let packets = self.sent(port);
                packets
                    .into_iter()
                    .map(move |packet| format!("{port}: {packet}"))
            })
            .collect()
    }

    /// Lets packets be sent that nobody looks at; for tests of something else.
    pub fn ignore_what_is_sent(&mut self) {
        self.every_packet_is_looked_at = false;
    }

    /// Lets time pass, and the lcore do its housekeeping.
    pub fn advance(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.housekeep();
    }

    /// Lets time pass, in which the lcore has no leisure for housekeeping.
    pub fn stall(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    /// What the lcore does between bursts, with as much budget as it takes.
    fn housekeep(&mut self) {
        let now = self.now;
        for twin in self.twins() {
            twin.lcore.housekeep(now, usize::MAX);
            twin.fragments.expire(now, usize::MAX, &twin.counters);
        }
        // What the first lcore counts is what all count.
        if self.tables.expire(now) > 0 {
            self.publish();
        }
    }

    /// Changes flows: one per line, all of them or none; a line may begin with `delete` and the
    /// like. The lcore obeys at once.
    ///
    /// # Errors
    /// The first error's text; then nothing was changed.
    pub fn change_flows(&mut self, flows: &str) -> Result<Applied, String> {
        let options = Options {
            name: "flows",
            ..Options::default()
        };
        let read = parse_flow_file(flows, &options)
            .map_err(|errors| errors.first().map(ToString::to_string).unwrap_or_default())?;
        let mods: Vec<FlowMod> = read.into_iter().map(|flow| flow.value).collect();
        self.apply(&mods)
    }

    /// Lets fields stand for Geneve options, as `add-tlv-map` does. The lcore obeys at once.
    ///
    /// # Errors
    /// Why they cannot; then nothing was changed.
    pub fn add_tlv_map(&mut self, map: &str) -> Result<(), String> {
        let mappings = parse_tlv_map("map", map).map_err(|error| error.to_string())?;
        let added = self.tables.add_options(&mappings);
        added.map_err(|error| error.to_string())?;
        self.publish();
        Ok(())
    }

    /// Lets these fields stand for no option any more. The lcore obeys at once.
    ///
    /// # Errors
    /// Why that cannot be; then nothing was changed.
    pub fn del_tlv_map(&mut self, fields: &[u8]) -> Result<(), String> {
        let removed = self.tables.remove_options(fields);
        removed.map_err(|error| error.to_string())?;
        self.publish();
        Ok(())
    }

    /// Changes groups: one per line, all of them or none; a line may begin with `modify` and the
    /// like. The lcore obeys at once.
    ///
    /// # Errors
    /// The first error's text; then nothing was changed.
    pub fn change_groups(&mut self, groups: &str) -> Result<(), String> {
        let options = GroupOptions {
            name: "groups",
            ..GroupOptions::default()
        };
        let read = parse_group_file(groups, &options)
            .map_err(|errors| errors.first().map(ToString::to_string).unwrap_or_default())?;
        let steps: Vec<_> = read
            .into_iter()
            .map(|group| BundleStep::Group(group.value))
            .collect();
        self.apply_bundle(&steps)
    }

    /// Executes a bundle of flow and group lines, all of them or none.
    ///
    /// # Errors
    /// The first error's text; then nothing was changed.
    pub fn bundle(&mut self, text: &str) -> Result<(), String> {
        let read = parse_bundle_file("bundle", text, &())
            .map_err(|errors| errors.first().map(ToString::to_string).unwrap_or_default())?;
        let steps: Vec<_> = read.into_iter().map(|step| step.value).collect();
        self.apply_bundle(&steps)
    }

    fn apply_bundle(&mut self, steps: &[BundleStep]) -> Result<(), String> {
        self.tables
            .apply_bundle(steps, self.now)
            .map_err(|(at, error)| format!("line {}: {error}", at + 1))?;
        self.publish();
        Ok(())
    }

    /// The link of port `no` comes or goes.
    pub fn link(&mut self, no: u32, up: bool) {
        if up {
            self.down.remove(&no);
        } else {
            self.down.insert(no);
        }
        let ports = self.ports.with_links(|port| !self.down.contains(&port.0));
        self.ports = Arc::new(ports);
        self.tables.links_changed(&[PortNo(no)]);
        self.publish();
    }

    /// Switches things off at port `no`.
    ///
    /// # Panics
    /// If there is no such port.
    pub fn port_flags(&mut self, no: u32, flags: PortFlags) {
        let index = self.ports.index_of(PortNo(no));
        let index = index.unwrap_or_else(|| panic!("there is no port {no}"));
        self.ports = Arc::new(self.ports.with_flags(index, flags));
        self.tables.ports_changed();
        self.publish();
    }

    /// Port `no` comes, a trunk as those at the start. There are eight places for ports.
    ///
    /// # Panics
    /// If it is there, or there is no place.
    pub fn port_comes(&mut self, no: u32) {
        const PLACES: usize = 8;
        let port = PortConfig {
            no: PortNo(no),
            name: format!("p{no}"),
            mtu: 1500,
            vlan: VlanMode::TrunkAll,
        };
        let (ports, index) = self.ports.with_port(port, PLACES).expect("a place is left");
        self.sent.resize_with(ports.len(), Vec::new);
        self.ports_are(ports, index, no);
    }

    /// Port `no` goes.
    ///
    /// # Panics
    /// If it is not there, or was sent something that nobody has looked at.
    pub fn port_goes(&mut self, no: u32) {
        let index = self.index(no);
        assert!(self.sent[usize::from(index.0)].is_empty());
        let ports = self.ports.without_port(index);
        self.ports_are(ports, index, no);
        let now = self.now;
        for twin in self.twins() {
            twin.lcore.answer(LcoreRequest::ForgetPort(index), now);
        }
    }

    /// Port `no` carries other VLANs.
    ///
    /// # Panics
    /// If it is not there.
    pub fn port_carries(&mut self, no: u32, vlan: VlanMode) {
        let index = self.index(no);
        let port = PortConfig {
            vlan,
            ..self.ports.port(index).clone()
        };
        let ports = self.ports.with_config(index, port);
        self.ports_are(ports, index, no);
    }

    /// What is at the place `index` of port `no` is new.
    fn ports_are(&mut self, ports: PortTable, index: PortIndex, no: u32) {
        self.ports = Arc::new(ports);
        self.tables.port_came_or_went(index);
        self.tables.links_changed(&[PortNo(no)]);
        self.publish();
    }

    /// The lines of `dump-groups`.
    pub fn groups(&self) -> Vec<String> {
        let groups = self.tables.groups();
        let text = |group: &Arc<Group>| group_text(&group.spec).to_string();
        groups.iter().map(text).collect()
    }

    /// What group `id` counted in packets: in all, and by bucket.
    ///
    /// # Panics
    /// If there is no such group.
    pub fn group_packets(&self, id: u32) -> (u64, Vec<u64>) {
        let group = self.tables.group(id);
        let group = group.unwrap_or_else(|| panic!("there is no group {id}"));
        let packets = |id: RuleId| self.lcore.count_at(id.slot).packets;
        let buckets = group.bucket_counters().map(packets).collect();
        (packets(group.counters), buckets)
    }

    /// As [`Switch::change_flows`], of flow-mods.
    ///
    /// # Errors
    /// As there.
    pub fn apply(&mut self, mods: &[FlowMod]) -> Result<Applied, String> {
        let applied = self
            .tables
            .apply(mods, self.now)
            .map_err(|(at, error)| format!("flow {}: {error}", at + 1))?;
        self.publish();
        Ok(applied)
    }

    fn publish(&mut self) {
        let snapshot = Arc::new(self.tables.snapshot(&self.ports));
        let generation = snapshot.generation;
        for twin in self.twins() {
            drop(twin.lcore.refresh(Arc::clone(&snapshot)));
        }
        self.removed.extend(self.tables.removed(generation));
        self.tables.reclaim(generation);
    }

    /// What was told of rules that are gone since the last look: `TABLE PRIORITY MATCH REASON
    /// PACKETS`.
    pub fn removed(&mut self) -> Vec<String> {
        let line = |gone: FlowRemoved| {
            let FlowRemoved {
                rule,
                reason,
                count,
                ..
            } = gone;
            let matches = match_text(&rule.matches()).to_string();
            let reason = reason.name();
            // Each lcore counted the same.
            let packets = count.packets / 4;
            format!(
                "table={} priority={},{matches} reason={reason} packets={packets}",
                rule.table.0, rule.priority
            )
        };
        std::mem::take(&mut self.removed)
            .into_iter()
            .map(line)
            .collect()
    }

    /// The lines of `dump-flows` without cookie and duration.
    pub fn flows(&self) -> Vec<String> {
        self.flows_matching("")
    }

    /// As [`Switch::flows`], of the flows that `filter` names.
    ///
    /// # Panics
    /// If `filter` is none.
    pub fn flows_matching(&self, filter: &str) -> Vec<String> {
        let query = parse_filter(filter, Strictness::Loose, &Options::default())
            .unwrap_or_else(|error| panic!("{error}"));
        let rules = self.tables.select(&query);
        rules.iter().map(|rule| self.flow_line(rule)).collect()
    }

    fn flow_line(&self, rule: &Rule) -> String {
        let count = self.lcore.count(rule);
        let line = FlowRow::of(rule, count, self.now).line(Statistics::Shown);
        let (head, rest) = line
            .split_once(", duration=")
            .expect("every line has a duration");
        let (_, rest) = rest.split_once(", ").expect("and more behind it");
        if head == "cookie=0x0" {
            rest.to_owned()
        } else {
            format!("{head}, {rest}")
        }
    }

    /// The lines of `dump-conntrack`, sorted.
    pub fn conntrack(&mut self) -> Vec<String> {
        self.conntrack_in(DumpStyle::default())
    }

    /// The lines of `dump-conntrack` in another style, sorted.
    pub fn conntrack_in(&mut self, style: DumpStyle) -> Vec<String> {
        let entries = self.connections();
        let mut lines: Vec<String> = entries
            .iter()
            .map(|entry| entry.display(style).to_string())
            .collect();
        lines.sort();
        lines
    }

    /// The lines of `dump-conntrack-exp`, sorted; all lcores expect the same.
    pub fn expected(&mut self) -> Vec<String> {
        let lines = self.lcore.expected(self.now);
        for twin in &mut self.others {
            assert_eq!(twin.expected(self.now), lines, "{}", twin.name);
        }
        lines
    }

    /// All connections.
    pub fn connections(&mut self) -> Vec<Entry> {
        self.lcore.connections(self.now)
    }

    /// Forgets the connections that `flush-conntrack ARGUMENTS` would; returns how many.
    ///
    /// # Panics
    /// If the arguments are wrong.
    pub fn flush_conntrack(&mut self, arguments: &[&str]) -> u64 {
        let filter = Filter::parse(arguments).unwrap_or_else(|error| panic!("{error}"));
        for twin in &mut self.others {
            twin.flush(filter, self.now);
        }
        self.lcore.flush(filter, self.now)
    }

    /// What NORMAL has learned: `PORT VLAN MAC AGE`, sorted.
    pub fn macs(&mut self) -> Vec<String> {
        let entries = self.lcore.macs(self.now);
        let mut lines: Vec<String> = entries
            .iter()
            .map(|entry| {
                let mac = entry.mac.map(|byte| format!("{byte:02x}")).join(":");
                let port = self.ports.port(entry.port).no;
                format!("{port} {} {mac} {}", entry.vlan, entry.age.as_secs())
            })
            .collect();
        lines.sort();
        lines
    }

    /// The next hops of tunnels: `PORT IP MAC AGE`, sorted.
    pub fn neighbours(&mut self) -> Vec<String> {
        let entries = self.lcore.neighbours(self.now);
        let mut lines: Vec<String> = entries
            .iter()
            .map(|entry| {
                let port = self.ports.port(entry.over).no;
                let mac = entry.mac.map_or_else(
                    || "waiting".to_owned(),
                    |mac| mac.map(|byte| format!("{byte:02x}")).join(":"),
                );
                let age = entry.age.map_or(0, |age| age.as_secs());
                format!("{port} {} {mac} {age}", entry.ip)
            })
            .collect();
        lines.sort();
        lines
    }

    /// Frames and bytes that a tunnel port received and sent.
    pub fn tunnel_counts(&self, port: u32) -> [u64; 4] {
        let index = usize::from(self.index(port).0);
        account::carried(&self.lcore.counters.tunnels[index])
    }

    /// What the megaflow cache counted where there is no other.
    pub fn megaflow_stats(&self) -> CacheStats {
        self.others[Self::MEGAFLOWS].lcore.megaflow_stats()
    }

    /// What the masks of that cache counted.
    pub fn mask_stats(&self) -> MaskStats {
        self.others[Self::MEGAFLOWS].lcore.mask_stats()
    }

    /// What the trajectory cache counted.
    pub fn trajectory_stats(&self) -> CacheStats {
        self.lcore.lcore.trajectory_stats()
    }

    fn twins(&mut self) -> impl Iterator<Item = &mut Twin> {
        std::iter::once(&mut self.lcore).chain(&mut self.others)
    }

    fn index(&self, port: u32) -> PortIndex {
        self.ports
            .index_of(PortNo(port))
            .unwrap_or_else(|| panic!("there is no port {port}"))
    }

    fn rules(&self) -> Vec<Arc<Rule>> {
        let all = FlowMod {
            command: Command::Delete,
            ..FlowMod::default()
        };
        self.tables.select(&all)
    }
}
