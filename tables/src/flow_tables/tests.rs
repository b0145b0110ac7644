use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::field::Field;
use crate::flow_mod::FlowFlags;

fn tables() -> FlowTables {
    FlowTables::new(1, HashSecret(3))
}

fn flow(command: Command, priority: u16, port: Option<u128>, output: u32) -> FlowMod {
    let mut matches = Match::ANY;
    if let Some(port) = port {
        matches.set_exact(Field::IN_PORT_OXM, port);
    }
    let apply = vec![Action::Output(PortNo(output))];
    let instructions = Instructions {
        apply,
        ..Instructions::default()
    };
    FlowMod {
        command,
        table: None,
        priority,
        matches,
        instructions,
        ..FlowMod::default()
    }
}

fn snapshot(tables: &mut FlowTables) -> Snapshot {
    tables.snapshot(&Arc::default())
}

/// Priority, port and output of every rule.
fn listing(tables: &FlowTables) -> Vec<(u16, u128, Action)> {
    let all = FlowMod {
        command: Command::Delete,
        ..FlowMod::default()
    };
    let rules = tables.select(&all);
    let row = |rule: &Arc<Rule>| {
        let port = rule.matches().term(Field::IN_PORT_OXM).0;
        (rule.priority, port, rule.instructions.apply[0].clone())
    };
    rules.iter().map(row).collect()
}

#[test]
fn a_refused_bundle_changes_nothing() {
    let mut tables = tables();
    let first = [
        flow(Command::Add, 1, Some(1), 2),
        flow(Command::Add, 2, Some(1), 3),
    ];
    tables.apply(&first, Tick::ZERO).unwrap();
    let before = listing(&tables);
    let mut refused = flow(Command::Add, 9, None, 9);
    refused.instructions.apply = vec![Action::Unexecuted {
        name: "learn",
        text: "learn(table=1)".into(),
        in_set: false,
    }];
    let bundle = [
        flow(Command::Delete, 0, None, 0),
        flow(Command::Add, 1, Some(1), 7),
        flow(Command::Modify, 0, Some(1), 8),
        refused,
    ];
    let error = tables.apply(&bundle, Tick::ZERO).unwrap_err();
    assert_eq!(
        error,
        (3, FlowModError::Unsupported(Unsupported("learn".into())))
    );
    assert_eq!(listing(&tables), before);
}

#[test]
fn modify_keeps_counters_unless_told_to_reset_them() {
    let mut tables = tables();
    tables
        .apply(&[flow(Command::Add, 1, Some(1), 2)], Tick::ZERO)
        .unwrap();
    let id = tables.ids()[0];
    snapshot(&mut tables).counters[0].count(id.slot, 60, Tick::from_millis(5));
    tables
        .apply(&[flow(Command::Modify, 0, None, 4)], Tick::ZERO)
        .unwrap();
    let all = FlowMod {
        command: Command::Delete,
        ..FlowMod::default()
    };
    let count = tables.count(&tables.select(&all)[0]);
    assert_eq!((count.packets, count.bytes), (1, 60));
    assert_eq!(count.last_used, Some(Tick::from_millis(5)));
    let mut reset = flow(Command::Modify, 0, None, 5);
    reset.flags = FlowFlags {
        reset_counts: true,
        ..FlowFlags::default()
    };
    tables.apply(&[reset], Tick::ZERO).unwrap();
    snapshot(&mut tables);
    assert_eq!(tables.count(&tables.select(&all)[0]), RuleCount::default());
}

#[test]
fn a_slot_is_used_again_only_after_every_lcore_moved_on() {
    let mut tables = tables();
    tables
        .apply(&[flow(Command::Add, 1, Some(1), 2)], Tick::ZERO)
        .unwrap();
    let old = tables.ids()[0];
    let held = snapshot(&mut tables);
    tables
        .apply(&[flow(Command::Delete, 0, None, 0)], Tick::ZERO)
        .unwrap();
    tables
        .apply(&[flow(Command::Add, 1, Some(2), 2)], Tick::ZERO)
        .unwrap();
    let next = snapshot(&mut tables);
    assert_ne!(tables.ids()[0].slot, old.slot);
    // An lcore still obeys `held`, and counts for the rule that is gone.
    held.counters[0].count(old.slot, 1, Tick::ZERO);
    tables.reclaim(held.generation);
    tables
        .apply(&[flow(Command::Add, 1, Some(3), 2)], Tick::ZERO)
        .unwrap();
    assert!(tables.ids().iter().all(|id| id.slot != old.slot));
    tables.reclaim(next.generation);
    tables
        .apply(&[flow(Command::Add, 1, Some(4), 2)], Tick::ZERO)
        .unwrap();
    let new = *tables
        .ids()
        .iter()
        .find(|id| id.slot == old.slot)
        .expect("the slot is free");
    assert_eq!(new.generation, old.generation + 1);
    let all = FlowMod {
        command: Command::Delete,
        ..FlowMod::default()
    };
    assert!(
        tables
            .select(&all)
            .iter()
            .all(|rule| tables.count(rule).packets == 0)
    );
}

#[test]
fn check_overlap_refuses_a_rule_that_could_match_the_same_packet() {
    let mut tables = tables();
    tables
        .apply(&[flow(Command::Add, 5, Some(1), 2)], Tick::ZERO)
        .unwrap();
    let overlap = |priority, port| {
        let mut change = flow(Command::Add, priority, port, 3);
        change.flags.check_overlap = true;
        change
    };
    assert_eq!(
        tables.apply(&[overlap(5, None)], Tick::ZERO),
        Err((0, FlowModError::Overlap))
    );
    assert!(tables.apply(&[overlap(6, None)], Tick::ZERO).is_ok());
    assert!(tables.apply(&[overlap(5, Some(2))], Tick::ZERO).is_ok());
}

#[test]
fn what_is_parsed_but_not_executed_is_refused_by_name() {
    let refused = |change: FlowMod| FlowTables::check(&change).unwrap_err().to_string();
    let mut label = flow(Command::Add, 1, None, 1);
    label.matches.set_exact(Field::MPLS_LABEL, 5);
    assert_eq!(refused(label), "field mpls_label is not supported yet");
    let mut arp = flow(Command::Add, 1, None, 1);
    arp.matches.set_exact(Field::ARP_SHA, 5);
    assert_eq!(FlowTables::check(&arp), Ok(()));
}

/// The model: rules in a list, as OpenFlow's text describes the commands.
#[derive(Default)]
struct Model(Vec<(u16, Option<u128>, u32)>);

impl Model {
    fn apply(&mut self, command: Command, priority: u16, port: Option<u128>, output: u32) {
        let covered = |rule: &(u16, Option<u128>, u32)| port.is_none() || rule.1 == port;
        let same = |rule: &(u16, Option<u128>, u32)| rule.0 == priority && rule.1 == port;
        let strict = matches!(command, Command::ModifyStrict | Command::DeleteStrict);
        let named = |rule: &(u16, Option<u128>, u32)| {
            if strict { same(rule) } else { covered(rule) }
        };
        match command {
            Command::Delete | Command::DeleteStrict => self.0.retain(|rule| !named(rule)),
            Command::Modify | Command::ModifyStrict if self.0.iter().any(named) => {
                for rule in self.0.iter_mut().filter(|rule| named(rule)) {
                    rule.2 = output;
                }
            }
            Command::Add | Command::Modify | Command::ModifyStrict => {
                self.0.retain(|rule| !same(rule));
                self.0.push((priority, port, output));
            }
        }
    }
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        5 => Just(Command::Add),
        1 => Just(Command::Modify),
        1 => Just(Command::ModifyStrict),
        1 => Just(Command::Delete),
        2 => Just(Command::DeleteStrict),
    ]
}

proptest! {
    #[test]
    fn flow_mods_do_what_the_model_does(
        changes in prop::collection::vec(
            (command(), 0..4u16, prop::option::of(0..4u128), 1..9u32, any::<bool>()), 0..60),
    ) {
        let mut tables = tables();
        let mut model = Model::default();
        for (command, priority, port, output, publish) in changes {
            tables.apply(&[flow(command, priority, port, output)], Tick::ZERO).unwrap();
            model.apply(command, priority, port, output);
            if publish {
                let generation = snapshot(&mut tables).generation;
                tables.reclaim(generation);
            }
            let mut want: Vec<_> = model.0.iter()
                .map(|(priority, port, output)| {
                    (*priority, port.unwrap_or(0), Action::Output(PortNo(*output)))
                })
                .collect();
            let mut have = listing(&tables);
            let order = |row: &(u16, u128, Action)| (row.0, row.1, format!("{:?}", row.2));
            want.sort_by_key(order);
            have.sort_by_key(order);
            prop_assert_eq!(have, want);
            let ids = tables.ids();
            let slots: HashSet<_> = ids.iter().map(|id| id.slot).collect();
            prop_assert_eq!(slots.len(), ids.len());
        }
    }
}
