//! Everything that an lcore does with frames, between two ports that are memory.

use std::sync::Arc;
use std::time::Duration;

use weir_config::diagnostic::Diagnostic;
use weir_config::policy::{apply_steps, read_flow_text, read_group_text, steps};
use weir_ct::{Cursor, Filter, Settings};
use weir_packet::reassembly::Bounds;
use weir_packet::{Tick, VecFrame};
use weir_tables::cache::{MegaflowSettings, TrajectorySettings};
use weir_tables::classifier::HashSecret;
use weir_tables::counters::Counter;
use weir_tables::flow_tables::FlowTables;
use weir_tables::fragments::{Fragments, Gathering};
use weir_tables::lcore::{Lcore, LcoreAnswer, LcoreRequest};
use weir_tables::pipeline::Output;
use weir_tables::port::{PortConfig, PortIndex, PortNo, PortTable, VlanMode};

use super::SECRET;
use super::store::{BURST, Store, load};
use crate::captures::Direction;
use crate::failure::Failure;
use crate::scenario::Scenario;

/// Bursts between two calls of housekeeping, and the budget of each: those of the poll loop.
const HOUSEKEEPING_BURSTS: u32 = 32;
const HOUSEKEEPING_BUDGET: usize = 64;
/// Bursts until the clock moves by a millisecond.
const BURSTS_PER_TICK: u32 = 512;

/// What stands between a packet and the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caches {
    /// The trajectory cache, and behind it the megaflow cache.
    Trajectories,
    /// The same, too small for most traffic.
    FewTrajectories,
    /// The megaflow cache.
    Megaflows,
    /// Nothing.
    None,
}

impl Caches {
    /// All that a switch is likely to have.
    pub const ALL: &[Self] = &[Self::Trajectories, Self::Megaflows, Self::None];

    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trajectories => "trajectories",
            Self::FewTrajectories => "few-trajectories",
            Self::Megaflows => "megaflows",
            Self::None => "tables",
        }
    }

    /// The choice that is called `name`.
    pub fn named(name: &str) -> Option<Self> {
        let all = Self::ALL.iter().chain(&[Self::FewTrajectories]);
        all.copied().find(|one| one.name() == name)
    }
}

/// An lcore with a policy, and the traffic that it gets.
pub struct Forwarder {
    driver: Driver,
    stores: [Store; 2],
}

/// An lcore and what drives it.
struct Driver {
    lcore: Lcore,
    /// None of the traffic is in pieces; it is here as it is in the poll loop.
    fragments: Fragments<VecFrame>,
    /// Buffers that are used again for each burst.
    burst: Vec<VecFrame>,
    frame_size: usize,
    sink: Sink,
    bursts: u32,
    now: Tick,
}

/// Takes frames that were sent, and keeps their memory.
struct Sink {
    frames: Vec<VecFrame>,
}

impl Output<VecFrame> for Sink {
    #[inline]
    fn send(&mut self, _port: PortIndex, frame: VecFrame) {
        self.frames.push(frame);
    }
}

impl Forwarder {
    /// An lcore that does what `scenario` says, with or without caches.
    ///
    /// # Errors
    /// If the policy cannot be loaded.
    pub fn new(scenario: &Scenario, caches: Caches) -> Result<Self, Failure> {
        let traffic = &scenario.traffic;
        let port = |number: u32| PortConfig {
            no: PortNo(number),
            name: format!("p{number}"),
            mtu: 1500,
            vlan: VlanMode::TrunkAll,
        };
        let ports = Arc::new(PortTable::new(scenario.policy.ports.map(port).to_vec()));
        let names = |_: &str| None::<PortNo>;
        let text = scenario.policy.flows(traffic.family);
        let failure = |errors: Vec<Diagnostic>| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Failure::Program(lines.join("\n"))
        };
        let flows = read_flow_text(&scenario.name, &text, &names).map_err(failure)?;
        let groups = scenario.policy.groups;
        let groups = read_group_text(&scenario.name, groups, &names).map_err(failure)?;
        let mut tables = FlowTables::new(1, HashSecret(SECRET));
        apply_steps(&mut tables, &steps(groups, flows), Tick::ZERO)
            .map_err(|error| failure(vec![error]))?;
        let settings = Settings {
            max_connections: traffic.connections * 2,
            ..Settings::default()
        };
        let snapshot = Arc::new(tables.snapshot(&ports));
        let stores = [Direction::Forward, Direction::Reply].map(|way| Store::new(traffic, way));
        let lcore = Lcore::new(0, snapshot, &settings, SECRET);
        let lcore = match caches {
            Caches::Trajectories => lcore
                .with_megaflows(MegaflowSettings::default())
                .with_trajectories(trajectories(traffic.connections)),
            Caches::FewTrajectories => lcore
                .with_megaflows(MegaflowSettings::default())
                .with_trajectories(TrajectorySettings { entries: FEW }),
            Caches::Megaflows => lcore.with_megaflows(MegaflowSettings::default()),
            Caches::None => lcore,
        };
        let driver = Driver {
            lcore,
            fragments: Fragments::new(Bounds::default(), SECRET),
            burst: stores[0].burst(),
            frame_size: stores[0].frame_size(),
            sink: Sink {
                frames: Vec::with_capacity(BURST),
            },
            bursts: 0,
            now: Tick::from_millis(1),
        };
        Ok(Self { driver, stores })
    }

    /// How many packets a turn has.
    pub fn packets_per_turn(&self) -> u64 {
        self.stores.iter().map(Store::len).sum()
    }

    /// Packets dropped so far.
    pub fn drops(&self) -> u64 {
        self.driver
            .lcore
            .counters()
            .drops
            .iter()
            .map(Counter::read)
            .sum()
    }

    /// Forgets the connections that `filter` names; caches stay as they are.
    pub fn forget_connections(&mut self, filter: Filter) {
        let Driver { lcore, now, .. } = &mut self.driver;
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            let request = LcoreRequest::FlushConnections {
                cursor: at,
                budget: usize::MAX,
                filter,
            };
            cursor = match lcore.answer(request, *now) {
                LcoreAnswer::Flushed { next, .. } => next,
                LcoreAnswer::Connections { .. }
                | LcoreAnswer::Tallied { .. }
                | LcoreAnswer::Expected { .. }
                | LcoreAnswer::Events { .. }
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
                | LcoreAnswer::PacketSent(_) => None,
            };
        }
    }

    /// Sends one turn of both captures through the lcore, burst by burst in turn; returns how
    /// many frames it sent.
    pub fn turn(&mut self) -> u64 {
        let Self {
            driver,
            stores: [forward, reply],
        } = self;
        let bursts = forward.chunks().zip(reply.chunks());
        let sent = bursts.map(|(forth, back)| {
            driver.burst(Direction::Forward, forth) + driver.burst(Direction::Reply, back)
        });
        sent.sum()
    }

    /// Sends one turn of one capture through the lcore; returns how many frames it sent.
    pub fn one_way(&mut self, direction: Direction) -> u64 {
        self.first(direction, usize::MAX)
    }

    /// Sends the first `frames` of one capture, or all there are; returns how many frames it
    /// sent.
    pub fn first(&mut self, direction: Direction, frames: usize) -> u64 {
        let Self {
            driver,
            stores: [forward, reply],
        } = self;
        let store = match direction {
            Direction::Forward => forward,
            Direction::Reply => reply,
        };
        store
            .first(frames)
            .map(|chunk| driver.burst(direction, chunk))
            .sum()
    }

    /// Sends the first `frames` of another capture, whose frames are as large, from the clients'
    /// side; returns how many frames it sent.
    pub fn other(&mut self, store: &Store, frames: usize) -> u64 {
        let bursts = store.first(frames);
        bursts
            .map(|chunk| self.driver.burst(Direction::Forward, chunk))
            .sum()
    }
}

/// Entries of a cache that is too small.
const FEW: usize = 16_384;

/// Room for both directions of so many connections and as many to spare.
fn trajectories(connections: u32) -> TrajectorySettings {
    let default = TrajectorySettings::default();
    TrajectorySettings {
        entries: default.entries.max(connections as usize * 4),
    }
}

impl Driver {
    /// One burst; returns how many frames were sent.
    fn burst(&mut self, direction: Direction, chunk: std::slice::ChunksExact<'_, u8>) -> u64 {
        let port = match direction {
            Direction::Forward => PortIndex(0),
            Direction::Reply => PortIndex(1),
        };
        let len = load(&mut self.burst, chunk);
        let mut out = Gathering {
            out: &mut self.sink,
            fragments: &mut self.fragments,
        };
        self.lcore
            .process(port, self.burst.drain(..len), self.now, &mut out);
        let sent = self.sink.frames.len() as u64;
        self.burst.append(&mut self.sink.frames);
        // Frames that were dropped are gone.
        while self.burst.len() < BURST {
            self.burst.push(VecFrame::from(vec![0; self.frame_size]));
        }
        self.bursts += 1;
        if self.bursts.is_multiple_of(HOUSEKEEPING_BURSTS) {
            self.lcore.housekeep(self.now, HOUSEKEEPING_BUDGET);
            let counters = self.lcore.counters();
            self.fragments
                .expire(self.now, HOUSEKEEPING_BUDGET, &counters);
        }
        if self.bursts.is_multiple_of(BURSTS_PER_TICK) {
            self.now = self.now + Duration::from_millis(1);
        }
        sent
    }
}
