use std::sync::Arc;

use proptest::prelude::*;
use weir_packet::{Frame, Tick, VecFrame, parse, text};

use super::*;
use crate::cache::trajectory::is_concerned;
use crate::cache::trajectory::trace::Trace;
use crate::classifier::HashSecret;
use crate::field::Field;
use crate::flow_mod::{Command, FlowMod};
use crate::flow_tables::FlowTables;
use crate::group::{GroupSpec, GroupType};
use crate::group_mod::{BundleStep, GroupMod};
use crate::port::{PortConfig, PortNo, PortTable, VlanMode};

/// Ports 1 to 3.
fn ports() -> Arc<PortTable> {
    let port = |no| PortConfig {
        no: PortNo(no),
        name: format!("p{no}"),
        mtu: 1500,
        vlan: VlanMode::TrunkAll,
    };
    Arc::new(PortTable::new((1..=3).map(port).collect()))
}

fn key(packet: &str, snapshot: &Snapshot) -> Key {
    let frame: VecFrame = text::frame(packet);
    let layout = parse(frame.head(), frame.len()).expect("it is whole");
    Key::of(frame.head(), &layout, PortIndex(1), snapshot.interest).expect("it has a key")
}

/// The way of packets that pass table 1 and group 5, and whose source address is written.
fn plan() -> (Plan, Unwritten) {
    let mut plan = Trace::new().plan;
    plan.tables.insert(TableId(1));
    plan.groups.push(5);
    plan.written.set_field(Field::IP_SRC, u128::MAX);
    let unwritten = Unwritten::but(&plan.written);
    (plan, unwritten)
}

/// A rule of `table` for what is sent to 10.0.0.`host`, or from there.
fn flow(table: u8, field: Field, host: u8) -> FlowMod {
    let mut flow = FlowMod {
        table: Some(TableId(table)),
        ..FlowMod::default()
    };
    flow.matches.set_exact(Field::ETH_TYPE, 0x0800);
    flow.matches
        .set_exact(field, 0x0a00_0000 | u128::from(host));
    flow
}

#[test]
fn what_others_ask_for_is_told_without_a_closer_look() {
    let (mut tables, mut recent, ports) =
        (FlowTables::new(1, HashSecret(1)), Recent::new(), ports());
    let (plan, unwritten) = plan();
    let first = tables.snapshot(&ports).generation;
    for host in 16..56 {
        tables
            .apply(&[flow(1, Field::IP_DST, host)], Tick::ZERO)
            .unwrap();
        let snapshot = tables.snapshot(&ports);
        recent.follow(&snapshot);
        for destination in ["10.0.0.2", "10.0.1.20"] {
            let key = key(&format!("udp 10.0.0.1:1 > {destination}:2"), &snapshot);
            assert!(recent.spares(first, &plan, &unwritten, &key), "{host}");
        }
        let key = key(&format!("udp 10.0.0.1:1 > 10.0.0.{host}:2"), &snapshot);
        assert!(!recent.spares(first, &plan, &unwritten, &key));
        assert!(recent.spares(snapshot.generation, &plan, &unwritten, &key));
    }
    // What was written on the way tells nothing; other tables do not count.
    tables
        .apply(&[flow(2, Field::IP_SRC, 7)], Tick::ZERO)
        .unwrap();
    let apart = tables.snapshot(&ports);
    recent.follow(&apart);
    let key = key("udp 10.0.0.1:1 > 10.0.0.2:2", &apart);
    assert!(recent.spares(first, &plan, &unwritten, &key));
    tables
        .apply(&[flow(1, Field::IP_SRC, 7)], Tick::ZERO)
        .unwrap();
    recent.follow(&tables.snapshot(&ports));
    assert!(!recent.spares(first, &plan, &unwritten, &key));
}

#[test]
fn who_slept_through_more_than_is_remembered_is_not_spared() {
    let (mut tables, mut recent, ports) =
        (FlowTables::new(1, HashSecret(1)), Recent::new(), ports());
    let (plan, unwritten) = plan();
    let mut generations = Vec::new();
    for number in 0..2 * KEPT {
        let (table, host) = ((2 + number / 256) as u8, (number % 256) as u8);
        let change = flow(table, Field::IP_DST, host);
        tables.apply(&[change], Tick::ZERO).unwrap();
        let snapshot = tables.snapshot(&ports);
        recent.follow(&snapshot);
        generations.push(snapshot.generation);
    }
    let last = tables.snapshot(&ports);
    recent.follow(&last);
    let key = key("udp 10.0.0.1:1 > 10.0.0.2:2", &last);
    let spares = |generation: u64| recent.spares(generation, &plan, &unwritten, &key);
    assert!(!spares(generations[0]));
    // The change with which the first of them came need not be known.
    let spared = generations.iter().filter(|generation| spares(**generation));
    let known = spared.count() - 1;
    assert!((KEPT..=KEPT + BLOCK).contains(&known), "{known}");
}

/// Something that changes.
#[derive(Clone, Debug)]
enum Step {
    Add(FlowMod),
    Delete(FlowMod),
    Group(u32),
    Port(u32),
    All,
    /// Snapshots that the lcore did not see lie between.
    Unseen,
}

fn step() -> impl Strategy<Value = Step> {
    let fields = vec![Field::IP_DST, Field::IP_SRC, Field::IP_DST];
    let flow = (1..3_u8, prop::sample::select(fields), 0..20_u8, 0..4_u32).prop_map(
        |(table, field, host, port)| {
            let mut flow = flow(table, field, host);
            if port > 0 {
                flow.matches.set_exact(Field::IN_PORT_OXM, port.into());
            }
            flow
        },
    );
    prop_oneof![
        12 => flow.clone().prop_map(Step::Add),
        4 => flow.prop_map(Step::Delete),
        1 => (5..7_u32).prop_map(Step::Group),
        2 => (1..6_u32).prop_map(Step::Port),
        1 => Just(Step::All),
        8 => Just(Step::Unseen),
    ]
}

proptest! {
    /// Who is spared would be let go by the log, too, whenever it was checked.
    #[test]
    fn nothing_is_spared_that_a_change_may_concern(
        steps in prop::collection::vec(step(), 1..400),
    ) {
        let (mut tables, mut recent) = (FlowTables::new(1, HashSecret(1)), Recent::new());
        let mut ports = ports();
        let (plan, unwritten) = plan();
        let mut generations = vec![tables.snapshot(&ports).generation];
        for step in steps {
            let mut seen = true;
            match step {
                Step::Add(flow) => {
                    tables.apply(&[flow], Tick::ZERO).unwrap();
                }
                Step::Delete(flow) => {
                    let delete = FlowMod { command: Command::Delete, ..flow };
                    tables.apply(&[delete], Tick::ZERO).unwrap();
                }
                Step::Group(id) => {
                    let spec = GroupSpec {
                        id,
                        kind: GroupType::All,
                        selection: Default::default(),
                        buckets: Vec::new(),
                    };
                    let change = BundleStep::Group(GroupMod::AddOrModify(spec));
                    tables.apply_bundle([&change], Tick::ZERO).unwrap();
                }
                Step::All => tables.ports_changed(),
                Step::Unseen => seen = false,
                Step::Port(no) => {
                    // It goes, if it is there, and comes again, or another one in its place.
                    if let Some(index) = ports.index_of(PortNo(no)) {
                        ports = Arc::new(ports.without_port(index));
                    }
                    let port = PortConfig { name: format!("n{}", no % 2), no: PortNo(no), ..ports.port(PortIndex(0)).clone() };
                    if let Some((with, index)) = ports.with_port(port, 4) {
                        ports = Arc::new(with);
                        tables.port_came_or_went(index);
                    }
                }
            }
            let snapshot = tables.snapshot(&ports);
            if !seen {
                continue;
            }
            recent.follow(&snapshot);
            for host in [2, 5, 200] {
                let key = key(&format!("udp 10.0.0.1:1 > 10.0.0.{host}:2"), &snapshot);
                for &generation in generations.iter().rev().take(40) {
                    if recent.spares(generation, &plan, &unwritten, &key) {
                        prop_assert!(!is_concerned(&plan, &key, generation, &snapshot));
                    }
                }
            }
            generations.push(snapshot.generation);
        }
    }
}
