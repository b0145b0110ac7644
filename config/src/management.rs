//! The management thread: it alone owns the authoritative tables, and answers the control
//! socket's requests in their order.
//!
//! It reads counters where lcores write them, and asks lcores for what only they know in
//! slices that are answered between bursts. A long dump goes on between other requests, as
//! fast as its client reads.
//!
//! Threads: one. Nothing here is waited for by an lcore.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use weir_ct::credits::Lender;
use weir_ct::{Cursor, DumpStyle, Event, Filter};
use weir_tables::action::Action;
use weir_tables::datapath::{Datapath, LcoreGone};
use weir_tables::flow_mod::FlowMod;
use weir_tables::flow_tables::FlowTables;
use weir_tables::group_mod::{BundleStep, GroupMod};
use weir_tables::lcore::{LcoreAnswer, LcoreRequest};
use weir_tables::packet_out::PacketOut;
use weir_tables::port::PortNo;

use crate::control::{Asker, Failure, Frame, Incoming, ReplySender, Verb};
use crate::diagnostic::Diagnostic;
use crate::file::{Config, NamedText};
use crate::metrics::{CounterRow, Exporter, Sample, TableRow};
use crate::policy::{self, Difference, Policy, flow_set, group_set};
use crate::show::ExpectedRow;
use crate::text::{Options, Spanned, Strictness, parse_packet_out};
use crate::trace::{self, Asked};

mod connections;
mod devices;
mod flows;
mod groups;
mod limits;
mod links;
mod loads;
mod monitors;
mod nat;
mod options;
mod ports;
mod reload;
pub(crate) mod rows;
#[cfg(test)]
mod tests;
mod zones;

use connections::{ConnectionDump, epoch_ms};
use devices::Devices;
use links::Links;
use loads::Loads;
use monitors::{Monitor, Wants};
use nat::{Exhausted, Named};
use reload::{Manner, Unconfirmed};

pub(crate) use loads::LONGEST_S;

/// How many slots of the connection table an lcore looks at between two bursts.
const SLICE: usize = 256;
/// How often the thread looks after itself when nobody asks.
const IDLE: Duration = Duration::from_millis(100);
/// The same with several lcores, of which one may want credits.
const LENDING: Duration = Duration::from_millis(10);
/// The same while a dump goes on.
const DUMPING: Duration = Duration::from_millis(1);
/// The same while somebody wants to hear of events.
const MONITORING: Duration = Duration::from_millis(10);

/// What the management thread owns.
#[derive(Debug)]
pub struct Management<D> {
    config: Config,
    /// The file that the configuration came from; `None`: the embedded one.
    file: Option<std::path::PathBuf>,
    policy: Policy,
    datapath: D,
    dumps: Vec<ConnectionDump>,
    links: Links,
    loads: Loads,
    devices: Devices,
    monitors: Vec<Monitor>,
    /// What [`rows::packet_ins_refused`] said last.
    packet_ins_refused: [u64; 2],
    /// By lcore: room for what happens to connections, while somebody wants to hear of it.
    event_rooms: Vec<Vec<Event>>,
    /// What was said of ranges of translations that refused.
    exhausted: Exhausted,
    /// Which ranges of translations have series of their own.
    named: Named,
    /// Lends what limits of connections allow to several lcores.
    lender: Lender,
    /// The Unix time at which the clock of connections began, in milliseconds.
    epoch_ms: u64,
    /// What was loaded and waits to be confirmed.
    unconfirmed: Option<Unconfirmed>,
    /// Whether DPDK was told to look for PCI devices.
    finds_pci: bool,
    /// The lcores that run.
    running_on: Vec<u16>,
    /// Whom an exporter of metrics asks.
    asker: Option<Asker>,
    exporter: Option<Exporter>,
}

impl<D: Datapath> Management<D> {
    /// Takes over a datapath that obeys a snapshot of `policy`.
    pub fn new(
        config: Config,
        file: Option<std::path::PathBuf>,
        policy: Policy,
        datapath: D,
    ) -> Self {
        Self {
            epoch_ms: epoch_ms(datapath.now()),
            lender: Lender::new(&policy.conntrack, datapath.counters().len() as u16),
            unconfirmed: None,
            finds_pci: config.uses_pci(),
            running_on: config.eal.lcores.clone(),
            asker: None,
            exporter: None,
            config,
            file,
            policy,
            datapath,
            dumps: Vec::new(),
            links: Links::default(),
            loads: Loads::default(),
            devices: Devices::default(),
            monitors: Vec::new(),
            packet_ins_refused: [0; 2],
            event_rooms: Vec::new(),
            exhausted: Exhausted::default(),
            named: Named::default(),
        }
    }

    /// The same, which serves metrics where the configuration says; `asker` asks it.
    ///
    /// # Errors
    /// Those of [`Exporter::start`].
    pub fn with_metrics(mut self, asker: Asker) -> std::io::Result<Self> {
        let listen = self.config.metrics;
        let start = |listen| Exporter::start(listen, asker.clone());
        self.exporter = listen.map(start).transpose()?;
        self.asker = Some(asker);
        Ok(self)
    }

    /// The datapath.
    pub const fn datapath(&self) -> &D {
        &self.datapath
    }

    /// Answers requests until `stopped` says so or nobody can ask any more.
    pub fn run(&mut self, requests: &Receiver<Incoming>, stopped: impl Fn() -> bool) {
        while !stopped() {
            let patience = match (self.dumps.is_empty(), self.monitors.is_empty()) {
                (true, true) if self.lender.is_needed() => LENDING,
                (true, true) => IDLE,
                (true, false) => MONITORING,
                (false, _) => DUMPING,
            };
            match requests.recv_timeout(patience) {
                Ok((request, reply)) => match request.for_bridge(&self.config.bridge.name) {
                    Ok(verb) => self.answer(verb, reply),
                    Err(failure) => reply.fail(failure),
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look_after();
        }
    }

    /// Goes on with dumps, frees what no lcore looks at any more, and sees which links are up.
    pub fn look_after(&mut self) {
        self.roll_back_in_time();
        self.look_at_links();
        self.loads.look(&self.datapath);
        self.lend();
        for warning in self.exhausted_ranges() {
            tracing::warn!("{warning}");
        }
        let datapath = &mut self.datapath;
        self.dumps.retain_mut(|dump| dump.go_on(datapath));
        let now = self.datapath.now();
        if self.policy.tables.expire(now) > 0 {
            self.publish();
        }
        let oldest = self.datapath.oldest_generation();
        let monitors = &mut self.monitors;
        for gone in self.policy.tables.removed(oldest) {
            monitors.iter_mut().for_each(|to| to.flow_removed(&gone));
        }
        self.policy.tables.reclaim(oldest);
        let options = self.policy.tables.options();
        self.datapath.packet_ins(&mut |event| {
            monitors
                .iter_mut()
                .for_each(|to| to.packet_in(event, options));
        });
        self.hear_of_connections();
        let refused = rows::packet_ins_refused(&self.datapath.counters());
        let before = std::mem::replace(&mut self.packet_ins_refused, refused);
        let [over_rate, no_slot] = [0, 1].map(|at| refused[at].saturating_sub(before[at]));
        let monitors = &mut self.monitors;
        monitors
            .iter_mut()
            .for_each(|to| to.refused(over_rate, no_slot));
        monitors.retain_mut(|monitor| monitor.go_on(now));
    }

    /// Answers one request.
    pub fn answer(&mut self, verb: Verb, reply: ReplySender) {
        if let Err(failure) = self.check_confirmed(&verb) {
            return reply.fail(failure);
        }
        let answered = match verb {
            Verb::DumpFlows { matching, style } => {
                return match self.flows(matching.as_deref(), &style) {
                    Ok(frames) => reply.stream(frames),
                    Err(failure) => reply.fail(failure),
                };
            }
            Verb::DumpConntrack {
                more,
                statistics,
                json,
                filter,
            } => {
                return match parse_connections(&filter) {
                    Ok(filter) => {
                        let style = DumpStyle {
                            statistics,
                            more,
                            lcore: None,
                            epoch_ms: Some(self.epoch_ms),
                        };
                        let lcores = self.lcore_numbers();
                        self.dumps
                            .push(ConnectionDump::new(reply, filter, style, json, lcores));
                    }
                    Err(failure) => reply.fail(failure),
                };
            }
            Verb::DumpConntrackExp { json, filter } => self.expected(&filter, json).map(Some),
            Verb::Monitor { invalid_ttl } => {
                let now = self.datapath.now();
                let wants = Wants::OpenFlow { invalid_ttl };
                self.monitors.push(Monitor::new(reply, wants, now));
                return;
            }
            Verb::MonitorConntrack { json, filter } => {
                return match parse_connections(&filter) {
                    Ok(filter) => {
                        let (now, epoch_ms) = (self.datapath.now(), self.epoch_ms);
                        let wants = Wants::Connections {
                            filter,
                            json,
                            epoch_ms,
                        };
                        self.monitors.push(Monitor::new(reply, wants, now));
                        // What happens from here on is heard.
                        self.hear_of_connections();
                    }
                    Err(failure) => reply.fail(failure),
                };
            }
            Verb::PacketOut { packets } => self.packet_out(&packets),
            Verb::AddFlow { flow } => self.add_flow(&flow),
            Verb::AddFlows { file } => self.add_flows(&file),
            Verb::AddGroups { file } => self.add_groups(&file),
            Verb::Bundle { file } => self.bundle(&file),
            Verb::ChangeFlows { command, file } => self.change_flows(command, &file),
            Verb::ChangeGroup { command, group } => {
                self.change_group(command, group.as_deref().unwrap_or_default())
            }
            Verb::DumpGroups { group } => self.groups(group.as_deref()).map(Some),
            Verb::DumpGroupStats { group } => self.group_stats(group.as_deref()).map(Some),
            Verb::DelFlows { strict, matching } => {
                self.delete_flows(strict, matching.as_deref().unwrap_or_default())
            }
            Verb::ReplaceFlows { file } => self.replace_flows(&file),
            Verb::Reload {
                files,
                dry_run,
                exact,
                confirm,
            } => {
                let manner = Manner {
                    dry_run,
                    exact,
                    confirm,
                };
                self.reload(files, manner).map(Some)
            }
            Verb::Confirm => self.confirm(),
            Verb::Rollback => self.roll_back(),
            Verb::AddTlvMap { map } => self.add_tlv_map(&map),
            Verb::DelTlvMap { map } => self.delete_tlv_map(map.as_deref()),
            Verb::DumpTlvMap => Ok(Some(self.tlv_map())),
            Verb::FlushConntrack { filter } => self.flush_connections(&filter),
            Verb::CtStatsShow { more, json, filter } => {
                self.ct_stats(more, json, &filter).map(Some)
            }
            Verb::CtGetLimits { limits } => self.limits(&limits).map(Some),
            Verb::CtSetLimits { limits } => self.set_limits(&limits),
            Verb::CtDelLimits { limits } => self.delete_limits(&limits),
            Verb::DumpAggregate { matching } => self.aggregate(matching.as_deref()).map(Some),
            Verb::DumpTables => Ok(Some(self.tables())),
            Verb::FdbFlush => self.flush_macs().map(Some),
            Verb::FdbShow => self.macs().map(Some),
            Verb::ModFlows { strict, flow } => self.modify_flows(strict, &flow),
            Verb::ModPort { port, change } => self.change_port(&port, change),
            Verb::NatShow => self.nat().map(Some),
            Verb::NeighShow => self.neighbours().map(Some),
            Verb::DumpPorts { port } => self.ports(port.as_deref()).map(Some),
            Verb::DumpDrops => Ok(Some(Frame::Drops(rows::drops(&self.datapath.counters())))),
            Verb::Metrics => Ok(Some(Frame::Sample(Box::new(self.sample())))),
            Verb::PmdRxqShow { lcore, seconds } => self.polled(lcore, seconds).map(Some),
            Verb::PmdStatsShow => Ok(Some(Frame::Lcores(self.lcores()))),
            Verb::Trace {
                flow,
                packet,
                ct_next,
            } => self.trace(Asked {
                flow: &flow,
                packet: packet.as_deref(),
                ct_next: &ct_next,
            }),
            Verb::Show => Ok(Some(Frame::Switch(Box::new(self.switch())))),
        };
        match answered {
            Ok(Some(frame)) => reply.one(frame),
            Ok(None) => reply.done(),
            Err(failure) => reply.fail(failure),
        }
    }

    fn add_flow(&mut self, text: &str) -> Result<Option<Frame>, Failure> {
        let file = NamedText {
            name: "flow".to_owned(),
            text: text.to_owned(),
        };
        self.add_flows(&file)
    }

    fn read(&self, file: &NamedText) -> Result<Vec<Spanned<FlowMod>>, Failure> {
        let names = policy::port_numbers(&self.config.ports);
        policy::read_flow_text(&file.name, &file.text, &names).map_err(|errors| all_of(&errors))
    }

    fn add_flows(&mut self, file: &NamedText) -> Result<Option<Frame>, Failure> {
        let flows = self.read(file)?;
        self.execute_flows(&flows)
    }

    fn execute_flows(&mut self, flows: &[Spanned<FlowMod>]) -> Result<Option<Frame>, Failure> {
        let now = self.datapath.now();
        policy::apply(&mut self.policy.tables, flows, now).map_err(Failure::input)?;
        self.publish();
        Ok(None)
    }

    fn delete_flows(&mut self, strict: bool, text: &str) -> Result<Option<Frame>, Failure> {
        let strictness = if strict {
            Strictness::Strict
        } else {
            Strictness::Loose
        };
        let filter = self.filter(text, strictness)?;
        self.apply(&[filter])?;
        Ok(None)
    }

    fn replace_flows(&mut self, file: &NamedText) -> Result<Option<Frame>, Failure> {
        let flows = self.read(file)?;
        // The groups stay.
        let groups = group_set(&self.policy.tables).into_values();
        let groups: Vec<_> = groups.map(GroupMod::Add).map(BundleStep::Group).collect();
        let mut tables = self.other_tables();
        let now = self.datapath.now();
        let added = tables.apply_bundle(&groups, now);
        added.map_err(|(_, error)| Failure::input(error))?;
        policy::apply(&mut tables, &flows, now).map_err(Failure::input)?;
        let wanted = flow_set(&tables);
        let current = flow_set(&self.policy.tables);
        self.apply(&Difference::exact(&current, &wanted).bundle(&current))?;
        Ok(None)
    }

    /// Tables to try something out, empty but for the options' fields.
    fn other_tables(&self) -> FlowTables {
        let mut tables = FlowTables::new(0, self.policy.tables.secret());
        let options: Vec<_> = self.policy.tables.options().iter().copied().collect();
        tables
            .add_options(&options)
            .expect("the switch has this very map");
        tables
    }

    fn apply(&mut self, bundle: &[FlowMod]) -> Result<(), Failure> {
        let now = self.datapath.now();
        let applied = self.policy.tables.apply(bundle, now);
        applied.map_err(|(_, error)| Failure::input(error))?;
        self.publish();
        Ok(())
    }

    fn apply_bundle(&mut self, bundle: &[BundleStep]) -> Result<(), Failure> {
        let now = self.datapath.now();
        let applied = self.policy.tables.apply_bundle(bundle, now);
        applied.map_err(|(_, error)| Failure::input(error))?;
        self.publish();
        Ok(())
    }

    fn publish(&mut self) {
        let snapshot = self.policy.tables.snapshot(&self.policy.ports);
        self.datapath.publish(Arc::new(snapshot));
    }

    /// Refuses actions that send to a group which is not there.
    fn check_groups(&self, actions: &[Action]) -> Result<(), Failure> {
        let groups = self.policy.tables.groups();
        for action in actions {
            match action {
                Action::Group(id) if !groups.iter().any(|group| group.spec.id == *id) => {
                    let message = format!("there is no group {id} (OFPBAC_BAD_OUT_GROUP)");
                    return Err(Failure::input(message));
                }
                Action::Clone(inner) => self.check_groups(inner)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends packets as text says; all of them or, if one is wrong, none.
    fn packet_out(&mut self, packets: &[String]) -> Result<Option<Frame>, Failure> {
        let names = policy::port_numbers(&self.config.ports);
        let mut orders = Vec::new();
        for text in packets {
            let options = Options {
                name: "packet-out",
                ports: &names,
                ..Options::default()
            };
            let read = parse_packet_out(text, &options).map_err(Failure::input)?;
            self.check_groups(&read.actions)?;
            let order = PacketOut::new(
                read.in_port,
                read.metadata,
                read.actions,
                self.policy.tables.options(),
            );
            orders.push((read.frame, order.map_err(Failure::input)?));
        }
        for (frame, order) in orders {
            let order = Box::new(order);
            let request = LcoreRequest::PacketOut { frame, order };
            match self.datapath.ask_owner(&request) {
                Ok(LcoreAnswer::PacketSent(Ok(()))) => {}
                Ok(LcoreAnswer::PacketSent(Err(message))) => return Err(Failure::input(message)),
                Ok(other) => unreachable!("an lcore answers what it was asked, not {other:?}"),
                Err(error) => return Err(gone(error)),
            }
        }
        Ok(None)
    }

    /// Asks the lcore what would become of a packet.
    fn trace(&mut self, asked: Asked<'_>) -> Result<Option<Frame>, Failure> {
        let ports = &self.policy.ports;
        let question = trace::question(asked, &self.config, ports).map_err(Failure::input)?;
        let request = LcoreRequest::Trace(Box::new(question));
        match self.datapath.ask_owner(&request).map_err(gone)? {
            LcoreAnswer::Traced(story) => {
                let report = trace::report(&story, &self.config.bridge.name, &self.policy.ports);
                Ok(Some(Frame::Trace(Box::new(report))))
            }
            other => unreachable!("an lcore answers what it was asked, not {other:?}"),
        }
    }

    fn flush_connections(&mut self, words: &[String]) -> Result<Option<Frame>, Failure> {
        let filter = parse_connections(words)?;
        for lcore in 0..self.datapath.counters().len() {
            let mut cursor = Some(Cursor::default());
            while let Some(at) = cursor {
                let request = LcoreRequest::FlushConnections {
                    cursor: at,
                    budget: SLICE,
                    filter,
                };
                cursor = match self.datapath.ask(lcore, request).map_err(gone)? {
                    LcoreAnswer::Flushed { next, .. } => next,
                    other => unreachable!("an lcore answers what it was asked, not {other:?}"),
                };
            }
        }
        Ok(None)
    }

    fn expected(&mut self, words: &[String], json: bool) -> Result<Frame, Failure> {
        let filter = parse_connections(words)?;
        let zone = filter.zone;
        let all = Filter {
            zone,
            ..Filter::default()
        };
        if filter != all {
            return Err(Failure::input("expected zone=N and nothing else"));
        }
        let mut expected = Vec::new();
        for lcore in 0..self.datapath.counters().len() {
            let mut cursor = Some(0);
            while let Some(at) = cursor {
                let request = LcoreRequest::DumpExpected {
                    cursor: at,
                    budget: SLICE,
                    zone,
                };
                cursor = match self.datapath.ask(lcore, request).map_err(gone)? {
                    LcoreAnswer::Expected { entries, next } => {
                        expected.extend(entries);
                        next
                    }
                    other => unreachable!("an lcore answers what it was asked, not {other:?}"),
                };
            }
        }
        Ok(if json {
            Frame::Expected(expected.iter().map(ExpectedRow::from).collect())
        } else {
            Frame::Lines(expected.iter().map(ToString::to_string).collect())
        })
    }

    fn macs(&mut self) -> Result<Frame, Failure> {
        let mut macs = Vec::new();
        for lcore in 0..self.datapath.counters().len() {
            match self
                .datapath
                .ask(lcore, LcoreRequest::ShowMacs)
                .map_err(gone)?
            {
                LcoreAnswer::Macs(entries) => macs.extend(entries),
                other => unreachable!("an lcore answers what it was asked, not {other:?}"),
            }
        }
        Ok(Frame::Fdb(rows::macs(&macs, &self.policy.ports)))
    }

    fn neighbours(&mut self) -> Result<Frame, Failure> {
        let mut learned = Vec::new();
        for lcore in 0..self.datapath.counters().len() {
            match self
                .datapath
                .ask(lcore, LcoreRequest::ShowNeighbours)
                .map_err(gone)?
            {
                LcoreAnswer::Neighbours(entries) => learned.extend(entries),
                other => unreachable!("an lcore answers what it was asked, not {other:?}"),
            }
        }
        let rows = rows::neighbours(&learned, &self.policy.ports);
        Ok(Frame::Neighbours(rows))
    }

    fn ports(&self, wanted: Option<&str>) -> Result<Frame, Failure> {
        let mut rows = self.port_rows();
        if let Some(wanted) = wanted {
            rows.retain(|row| row.name == wanted || PortNo(row.id).to_string() == wanted);
            if rows.is_empty() {
                return Err(Failure::input(format!("there is no port {wanted}")));
            }
        }
        Ok(Frame::Ports(rows))
    }

    fn port_rows(&self) -> Vec<crate::show::PortRow> {
        rows::ports(
            &self.config,
            &self.datapath,
            &|no| self.port_flags(no),
            &self.devices,
        )
    }

    fn lcores(&self) -> Vec<crate::show::LcoreRow> {
        let counters = self.datapath.counters();
        let polls = self.datapath.poll_stats();
        let shards = counters.iter().zip(polls);
        crate::show::by_lcore(shards.map(|(counters, polls)| rows::lcore(counters, polls)))
    }

    fn sample(&mut self) -> Sample {
        // An lcore that does not answer has nothing to say of its zones and ranges.
        let zones = self.zone_counts().unwrap_or_default();
        let nat = self.nat_sample().unwrap_or_default();
        let counters = self.datapath.counters();
        let sizes = self.policy.tables.table_sizes();
        Sample {
            at_ms: self.datapath.now().as_millis(),
            ports: self.port_rows(),
            drops: rows::drops(&counters),
            malformed: rows::malformed(&counters),
            tables: sizes
                .map(|(table, flows, masks)| TableRow {
                    table: table.0,
                    flows: flows as u64,
                    masks: masks as u64,
                })
                .collect(),
            connections: counters.iter().map(|lcore| lcore.connections.read()).sum(),
            max_connections: self.policy.conntrack.max_connections.into(),
            conntrack: rows::conntrack(&counters),
            zones,
            nat,
            packet_ins: rows::packet_ins(&counters),
            packet_ins_refused: ["rate", "slots"]
                .into_iter()
                .zip(rows::packet_ins_refused(&counters))
                .map(|(name, value)| CounterRow {
                    name: name.to_owned(),
                    value,
                    sentence: String::new(),
                })
                .collect(),
            groups: self.all_group_stats(),
            publications: (&self.datapath.publications()).into(),
            pools: rows::pools(&self.datapath.pools()),
            lcores: self.lcores(),
            rx_queues: self.all_rx_queues(),
        }
    }

    fn switch(&self) -> crate::show::SwitchRow {
        crate::show::SwitchRow {
            bridge: self.config.bridge.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hugepages: self.config.eal.hugepages,
            ports: self.port_rows(),
            publications: (&self.datapath.publications()).into(),
        }
    }
}

/// Which connections the words of a command line name.
fn parse_connections(words: &[String]) -> Result<Filter, Failure> {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    Filter::parse(&words).map_err(|error| {
        let word = words.get(error.argument).copied().unwrap_or_default();
        Failure::input(Diagnostic::at(
            "filter",
            word,
            error.span.clone(),
            error.message,
        ))
    })
}

fn all_of(errors: &[Diagnostic]) -> Failure {
    Failure::input(Diagnostic::list(errors))
}

fn gone(error: LcoreGone) -> Failure {
    Failure::unreachable(error)
}
