//! What each stage of the packet path costs, without devices: cycles and allocations per packet.
//!
//! Frames are copied from a capture in memory into a burst of buffers that is used over and
//! over, as `net_pcap` does; the line "copy" is that alone, and each line says what it takes
//! above it.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::sync::Arc;

use weir_config::policy::{apply, read_flow_text};
use weir_ct::Filter;
use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use weir_packet::{Frame, Tick, Tuple, VecFrame, parse};
use weir_tables::classifier::{Classifier, HashSecret};
use weir_tables::field::Field;
use weir_tables::flow_tables::FlowTables;
use weir_tables::key::FlowKey;
use weir_tables::port::PortNo;

use crate::captures::{Direction, Order, Traffic};
use crate::failure::Failure;
use crate::scenario::Scenario;

mod conjunction;
mod crowded;
mod forwarder;
mod meter;
mod store;
mod tracking;

use conjunction::Groups;
pub use forwarder::{Caches, Forwarder};
pub use meter::{Cost, LEAST_SAMPLES, Meter};
pub use store::{BURST, Store, load};

/// One line of the results.
#[derive(Clone, Debug)]
pub struct Line {
    /// What was measured.
    pub what: String,
    /// How many connections or rules it was measured with.
    pub with: String,
    /// What it costs.
    pub cost: Cost,
    /// What of it is the copying, in cycles per packet; `None` if nothing is copied.
    pub copy: Option<f64>,
}

/// Where the hashes of what is measured begin.
const SECRET: u64 = 0x5eed;

/// What clients are translated to; for documentation (RFC 5737).
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// Sizes of the connection tables.
const CONNECTIONS: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// Policies whose pipeline is measured.
const POLICIES: [&str; 5] = [
    "port-to-port",
    "firewall",
    "snat",
    "nine-tables",
    "vpc-computeA",
];

/// Measures everything whose name contains `only`; tells `progress` about each line.
///
/// # Errors
/// If the pipeline does not do what its scenario says.
pub fn all(meter: &Meter, only: &str, progress: impl FnMut(&Line)) -> Result<Vec<Line>, Failure> {
    let mut sheet = Sheet {
        only,
        progress,
        lines: Vec::new(),
        with: String::new(),
        copy: None,
    };
    for connections in CONNECTIONS {
        let traffic = Traffic::udp(connections);
        sheet.with = format!("{connections} connections");
        let copy = copied(meter, &traffic, |_| {});
        sheet.copy = Some(copy.cycles.median);
        sheet.add("copy", || Ok(copy))?;
        if connections == CONNECTIONS[0] {
            parsing(meter, &traffic, &mut sheet)?;
        }
        sheet.add("parse, ct() established", || {
            tracking::established(meter, &traffic, None)
        })?;
        sheet.add("parse, ct(commit) new", || {
            Ok(tracking::new(meter, &traffic, None))
        })?;
        let translated = Traffic {
            translated_to: Some(OUTSIDE.into()),
            ..traffic
        };
        let snat = Some(tracking::source(OUTSIDE));
        sheet.add("parse, ct(nat) established, rewrite", || {
            tracking::established(meter, &translated, snat)
        })?;
        sheet.add("parse, ct(commit,nat) new, rewrite", || {
            Ok(tracking::new(meter, &translated, snat))
        })?;
        for policy in POLICIES {
            for &caches in Caches::ALL {
                sheet.pipeline(meter, caches, &format!("{policy}-{connections}"))?;
            }
        }
        for policy in ["firewall", "snat"] {
            sheet.opening(meter, &format!("{policy}-{connections}"))?;
        }
        if connections > CONNECTIONS[1] {
            // More than a small cache holds: what insertion and eviction cost.
            for caches in [Caches::Trajectories, Caches::FewTrajectories] {
                for order in ["", "-zipf"] {
                    if caches == Caches::FewTrajectories || !order.is_empty() {
                        sheet.pipeline(meter, caches, &format!("firewall-{connections}{order}"))?;
                    }
                }
            }
        }
    }
    sheet.copy = None;
    for percent in [0, 50, 90, 99] {
        sheet.with = format!("{percent} % of {} ports taken", tracking::POOL);
        sheet.add("parse, ct(commit,nat) new, rewrite", || {
            tracking::crowded(meter, percent)
        })?;
        sheet.add("pipeline, new connections: snat", || {
            crowded::opening(meter, percent)
        })?;
    }
    for (rules, masks) in [
        (1, 1),
        (100, 1),
        (10_000, 1),
        (100, 10),
        (10_000, 10),
        (10_000, 30),
    ] {
        sheet.with = format!("{rules} rules, {masks} masks");
        sheet.add("classify", || Ok(classify(meter, rules, masks)))?;
    }
    for groups in Groups::ALL {
        for clauses in [10, 100, 1_000, 10_000] {
            sheet.with = format!("{clauses} clauses");
            let what = format!("classify, conjunctions: {}", groups.name());
            sheet.add(&what, || Ok(conjunction::classify(meter, *groups, clauses)))?;
        }
    }
    Ok(sheet.lines)
}

/// The results so far, and what goes into the next lines.
struct Sheet<'a, P> {
    only: &'a str,
    progress: P,
    lines: Vec<Line>,
    with: String,
    copy: Option<f64>,
}

impl<P: FnMut(&Line)> Sheet<'_, P> {
    /// Adds a line, if it is wanted.
    fn add(
        &mut self,
        what: &str,
        cost: impl FnOnce() -> Result<Cost, Failure>,
    ) -> Result<(), Failure> {
        if !what.contains(self.only) {
            return Ok(());
        }
        let line = Line {
            what: what.to_owned(),
            with: self.with.clone(),
            cost: cost()?,
            copy: self.copy,
        };
        (self.progress)(&line);
        self.lines.push(line);
        Ok(())
    }

    fn pipeline(&mut self, meter: &Meter, caches: Caches, name: &str) -> Result<(), Failure> {
        let scenario = Scenario::named(name).expect("a scenario");
        let policy = &scenario.policy.name;
        let order = match scenario.traffic.order {
            Order::Shuffled => "",
            Order::Zipf { .. } => ", Zipf",
        };
        let what = format!("pipeline, {}: {policy}{order}", caches.name());
        self.add(&what, || pipeline(meter, &scenario, caches))
    }

    fn opening(&mut self, meter: &Meter, name: &str) -> Result<(), Failure> {
        let scenario = Scenario::named(name).expect("a scenario");
        let what = format!("pipeline, new connections: {}", scenario.policy.name);
        self.add(&what, || opening(meter, &scenario))
    }
}

/// What is read of each frame.
fn parsing<P: FnMut(&Line)>(
    meter: &Meter,
    traffic: &Traffic,
    sheet: &mut Sheet<'_, P>,
) -> Result<(), Failure> {
    sheet.add("parse", || {
        Ok(copied(meter, traffic, |frame| {
            let _ = std::hint::black_box(parse(frame.head(), frame.len()));
        }))
    })?;
    sheet.add("parse, tuple", || {
        Ok(copied(meter, traffic, |frame| {
            let layout = parse(frame.head(), frame.len()).unwrap_or_default();
            std::hint::black_box(Tuple::of(frame.head(), &layout));
        }))
    })?;
    sheet.add("parse, verify checksums", || {
        Ok(copied(meter, traffic, |frame| {
            let layout = parse(frame.head(), frame.len()).unwrap_or_default();
            let ip = ipv4_header_checksum_ok(frame.head(), &layout);
            std::hint::black_box(ip && l4_checksum_ok(frame, &layout));
        }))
    })
}

/// What `stage` costs on each frame of `traffic`, copied into a burst that is used again.
fn copied(meter: &Meter, traffic: &Traffic, mut stage: impl FnMut(&VecFrame)) -> Cost {
    let store = Store::new(traffic, Direction::Forward);
    let mut burst = store.burst();
    meter.measure(store.len(), || {
        for chunk in store.chunks() {
            let len = load(&mut burst, chunk);
            burst[..len].iter().for_each(&mut stage);
        }
    })
}

/// Both directions of `scenario` through everything that an lcore does with a frame.
///
/// # Errors
/// If not all frames are sent once the connections are open.
///
/// # Panics
/// If the frames are not all of one size.
pub fn pipeline(meter: &Meter, scenario: &Scenario, caches: Caches) -> Result<Cost, Failure> {
    let mut forwarder = Forwarder::new(scenario, caches)?;
    forwarder.one_way(Direction::Forward);
    forwarder.one_way(Direction::Reply);
    let mut sent = 0;
    let mut packets = 0;
    let dropped = forwarder.drops();
    let cost = meter.measure(forwarder.packets_per_turn(), || {
        sent += forwarder.turn();
        packets += forwarder.packets_per_turn();
    });
    if sent != packets || forwarder.drops() != dropped {
        let message = format!("{}: of {packets} frames {sent} were sent", scenario.name);
        return Err(Failure::Unproven(message));
    }
    Ok(cost)
}

/// The first packet of each connection of `scenario` through everything that an lcore does with
/// a frame, with all caches.
fn opening(meter: &Meter, scenario: &Scenario) -> Result<Cost, Failure> {
    let forwarder = RefCell::new(Forwarder::new(scenario, Caches::Trajectories)?);
    let frames = forwarder.borrow().packets_per_turn() / 2;
    let (mut sent, mut samples) = (0, 0);
    let cost = meter.measure_with(
        frames,
        // What was filled once and emptied has its memory.
        || forwarder.borrow_mut().forget_connections(Filter::default()),
        |()| {
            sent += forwarder.borrow_mut().one_way(Direction::Forward);
            samples += 1;
        },
    );
    if sent != samples * frames {
        let message = format!("{}: {sent} connections were opened", scenario.name);
        return Err(Failure::Unproven(message));
    }
    Ok(cost)
}

/// A look-up in one table; every key finds a rule.
fn classify(meter: &Meter, rules: u32, masks: u32) -> Cost {
    let text: String = (0..rules)
        .map(|number| format!("{}\n", classify_rule(number, masks)))
        .collect();
    let table = table(&text);
    assert_eq!(table.masks(), masks as usize);
    let mut draws = fastrand::Rng::with_seed(1);
    let keys: Vec<FlowKey> = (0..1_000)
        .map(|_| classify_key(draws.u32(..rules)))
        .collect();
    look_up(meter, &table, &keys)
}

/// Table 0 with the flows of `text`.
fn table(text: &str) -> Classifier {
    let mut tables = FlowTables::new(1, HashSecret(SECRET));
    let ports = |_: &str| None::<PortNo>;
    let flows = read_flow_text("rules", text, &ports).expect("it is right");
    apply(&mut tables, &flows, Tick::ZERO).expect("it can be executed");
    let snapshot = tables.snapshot(&Arc::default());
    let table = snapshot.table(weir_tables::action::TableId(0));
    table.expect("it has rules").clone()
}

/// What it costs to look up each of `keys`, which all find a rule.
fn look_up(meter: &Meter, table: &Classifier, keys: &[FlowKey]) -> Cost {
    assert!(keys.iter().all(|key| table.lookup(key).is_some()));
    meter.measure(keys.len() as u64, || {
        for key in keys {
            std::hint::black_box(table.lookup(key));
        }
    })
}

/// Rule `number` is the only one for its destination; which bits of the source it looks at, and
/// so its mask, is one of `masks` ways.
fn classify_rule(number: u32, masks: u32) -> String {
    let destination = Ipv4Addr::from_bits(0x0a00_0000 + number);
    let prefix = 1 + number % masks;
    format!("ip,nw_dst={destination},nw_src=128.0.0.0/{prefix},actions=output:1")
}

fn classify_key(number: u32) -> FlowKey {
    ip_key(0x8000_0000, 0x0a00_0000 + number)
}

/// The key of an IPv4 packet of which only the addresses matter.
fn ip_key(src: u32, dst: u32) -> FlowKey {
    let mut key = FlowKey::ZERO;
    for (name, value) in [("eth_type", 0x0800), ("ip_src", src), ("ip_dst", dst)] {
        let field = Field::by_name(name).expect("a field");
        key.set_field(field, value.into());
    }
    key
}
