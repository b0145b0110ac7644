use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn port(queues: usize) -> Wanted {
    Wanted {
        node: None,
        explicit: Vec::new(),
        now: vec![None; queues],
    }
}

fn on_node(node: u32, queues: usize) -> Wanted {
    Wanted {
        node: Some(node),
        ..port(queues)
    }
}

/// With a CPU for each.
fn assign(nodes: &[u32], ports: &[Wanted]) -> Vec<Vec<usize>> {
    let cpus: Vec<_> = (0..).take(nodes.len()).collect();
    super::assign(&cpus, nodes, ports)
}

#[test]
fn each_lcore_polls_a_queue_of_a_port_that_has_enough() {
    let ports = [port(3), port(3), port(4)];
    let expected: [&[usize]; 3] = [&[0, 1, 2], &[0, 1, 2], &[0, 1, 2, 0]];
    assert_eq!(assign(&[0; 3], &ports), expected);
}

#[test]
fn queues_of_ports_that_have_fewer_are_dealt_out_in_turn() {
    let ports = [port(1), port(2), port(3), port(1), port(1)];
    let expected: [&[usize]; 5] = [&[0], &[1, 2], &[0, 1, 2], &[0], &[1]];
    assert_eq!(assign(&[0; 3], &ports), expected);
}

#[test]
fn no_shard_of_an_lcore_that_is_given_queues_polls_others() {
    let given = Wanted {
        explicit: vec![(0, 0)],
        ..port(1)
    };
    let expected: [&[usize]; 2] = [&[0], &[1, 3, 1]];
    assert_eq!(
        super::assign(&[4, 5, 4, 5], &[0; 4], &[given, port(3)]),
        expected
    );
}

#[test]
fn one_lcore_polls_all() {
    let expected: [&[usize]; 2] = [&[0], &[0, 0, 0, 0]];
    assert_eq!(assign(&[0], &[port(1), port(4)]), expected);
}

#[test]
fn an_lcore_that_is_given_queues_polls_no_others() {
    let given = Wanted {
        explicit: vec![(1, 2)],
        ..port(2)
    };
    let expected: [&[usize]; 2] = [&[0, 2], &[1, 0]];
    assert_eq!(assign(&[0; 3], &[given.clone(), port(2)]), expected);
    // Unless there is no other.
    let ports = [
        Wanted {
            explicit: vec![(0, 0), (1, 1)],
            ..port(2)
        },
        port(3),
    ];
    let expected: [&[usize]; 2] = [&[0, 1], &[0, 1, 0]];
    assert_eq!(assign(&[0; 2], &ports), expected);
}

#[test]
fn queues_go_to_the_node_of_their_device() {
    let nodes = [0, 1, 0, 1];
    let ports = [on_node(1, 2), on_node(0, 2), on_node(1, 3), on_node(7, 4)];
    let expected: [&[usize]; 4] = [&[1, 3], &[0, 2], &[1, 3, 1], &[0, 2, 3, 1]];
    assert_eq!(assign(&nodes, &ports), expected);
}

/// Who polls what goes on to while others come and go.
#[test]
fn a_port_that_comes_moves_nobody_and_evens_out() {
    let now = |port: Wanted, now: &[usize]| Wanted {
        now: now.iter().copied().map(Some).collect(),
        ..port
    };
    let ports = [now(port(1), &[1]), now(port(1), &[1]), port(2), port(1)];
    let expected: [&[usize]; 4] = [&[1], &[1], &[0, 2], &[0]];
    assert_eq!(assign(&[0; 3], &ports), expected);
    // One that is given an lcore makes the others leave it.
    let given = Wanted {
        explicit: vec![(0, 1)],
        ..port(1)
    };
    let ports = [now(port(1), &[1]), now(port(1), &[2]), given];
    let expected: [&[usize]; 3] = [&[0], &[2], &[1]];
    assert_eq!(assign(&[0; 3], &ports), expected);
}

/// Nodes of lcores, and ports of which nobody polls anything yet.
fn switches() -> impl Strategy<Value = (Vec<u32>, Vec<Wanted>)> {
    (1..6_usize).prop_flat_map(|lcores| {
        let queues = 1..8_usize;
        let port = queues.prop_flat_map(move |queues| {
            let explicit = prop::collection::btree_map(0..queues as u16, 0..lcores, 0..queues);
            let now = prop::option::of(0..lcores);
            (
                prop::option::of(0..3_u32),
                prop_oneof![2 => Just(Vec::new()), 1 => explicit.prop_map(|all| all.into_iter().collect())],
                prop::collection::vec(now, queues),
            )
        });
        let wanted = port.prop_map(|(node, explicit, now)| Wanted {
            node,
            explicit,
            now,
        });
        (
            prop::collection::vec(0..2_u32, lcores),
            prop::collection::vec(wanted, 0..6),
        )
    })
}

proptest! {
    #[test]
    fn every_queue_has_one_lcore_and_the_configuration_is_obeyed((nodes, ports) in switches()) {
        let assigned = assign(&nodes, &ports);
        prop_assert_eq!(assigned.len(), ports.len());
        let isolated: BTreeSet<_> =
            ports.iter().flat_map(|port| &port.explicit).map(|(_, lcore)| *lcore).collect();
        let open: Vec<_> = (0..nodes.len()).filter(|lcore| !isolated.contains(lcore)).collect();
        for (port, pollers) in ports.iter().zip(&assigned) {
            prop_assert_eq!(pollers.len(), port.now.len());
            for (queue, &lcore) in pollers.iter().enumerate() {
                prop_assert!(lcore < nodes.len());
                if let Some((_, wanted)) =
                    port.explicit.iter().find(|(of, _)| usize::from(*of) == queue)
                {
                    prop_assert_eq!(lcore, *wanted);
                    continue;
                }
                prop_assert!(open.is_empty() || open.contains(&lcore));
                match port.now[queue].filter(|now| open.is_empty() || open.contains(now)) {
                    Some(now) => prop_assert_eq!(lcore, now, "it stays"),
                    None => {
                        let local = |at: usize| port.node.is_none_or(|node| nodes[at] == node);
                        let usable = |at: &usize| open.is_empty() || open.contains(at);
                        let any_local = (0..nodes.len()).filter(usable).any(local);
                        prop_assert!(local(lcore) || !any_local, "local first");
                    }
                }
            }
        }
        // What is assigned is right as it is.
        let again: Vec<_> = ports
            .iter()
            .zip(&assigned)
            .map(|(port, pollers)| Wanted {
                now: pollers.iter().copied().map(Some).collect(),
                ..port.clone()
            })
            .collect();
        prop_assert_eq!(assign(&nodes, &again), assigned);
    }

    /// From nothing, on one node, without a word of the configuration.
    #[test]
    fn nobody_polls_many_more_than_another(
        lcores in 1..6_usize,
        queues in prop::collection::vec(1..8_usize, 0..8),
    ) {
        let ports: Vec<_> = queues.iter().map(|queues| port(*queues)).collect();
        let assigned = assign(&vec![0; lcores], &ports);
        let even = |pollers: &mut dyn Iterator<Item = &usize>| {
            let mut load = vec![0_usize; lcores];
            pollers.for_each(|lcore| load[*lcore] += 1);
            load.iter().max().unwrap() - load.iter().min().unwrap() <= 1
        };
        prop_assert!(even(&mut assigned.iter().flatten()));
        for pollers in &assigned {
            prop_assert!(even(&mut pollers.iter()));
        }
    }
}

/// What comes to an entry is brought to its owner, and what has none there to any queue, evenly.
#[test]
fn entries_lead_to_their_owners() {
    let owners = |shards: usize| (0..8).map(move |entry| entry * shards / 8);
    assert_eq!(redirect(&[0, 1], owners(2)), [0, 0, 0, 0, 1, 1, 1, 1]);
    assert_eq!(redirect(&[1, 0], owners(2)), [1, 1, 1, 1, 0, 0, 0, 0]);
    assert_eq!(redirect(&[0, 1, 0, 1], owners(2)), [0, 2, 0, 2, 1, 3, 1, 3]);
    assert_eq!(redirect(&[1], owners(2)), [0; 8]);
    assert_eq!(redirect(&[0, 1], owners(4)), [0, 0, 1, 1, 0, 1, 0, 1]);
}
