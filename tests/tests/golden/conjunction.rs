//! Conjunctive matches.

use weir_tests::switch::Switch;

/// Clients 10.0.0.1 and 10.0.0.2 may talk to servers 192.0.2.1 and 192.0.2.2 on ports 80 and
/// 443, client 10.0.0.3 to 192.0.2.2 on any.
const GROUPS: &str = "\
    priority=10,tcp,nw_src=10.0.0.1 actions=conjunction(1,1/3)
    priority=10,tcp,nw_src=10.0.0.2 actions=conjunction(1,1/3)
    priority=10,tcp,nw_src=10.0.0.3 actions=conjunction(2,1/2)
    priority=10,tcp,nw_dst=192.0.2.1 actions=conjunction(1,2/3)
    priority=10,tcp,nw_dst=192.0.2.2 actions=conjunction(2,2/2),conjunction(1,2/3)
    priority=10,tcp,tp_dst=80 actions=conjunction(1,3/3)
    priority=10,tcp,tp_dst=443 actions=note:77,conjunction(1,3/3)
    priority=20,conj_id=1,tcp actions=output:2
    conj_id=2,tcp actions=output:3
    priority=1 actions=output:4";

fn packet(client: u8, server: u8, port: u16) -> String {
    format!("tcp 10.0.0.{client}:4000 > 192.0.2.{server}:{port} S")
}

/// Packets that each flow counted, by its text from the priority on.
fn counts(sw: &Switch) -> Vec<(String, u64)> {
    let of = |line: &String| {
        let (_, behind) = line.split_once("n_packets=")?;
        let (packets, behind) = behind.split_once(',')?;
        let (_, text) = behind.split_once("idle_age=")?;
        Some((text.split_once(", ")?.1.to_owned(), packets.parse().ok()?))
    };
    sw.flows().iter().filter_map(of).collect()
}

#[test]
fn a_packet_that_matches_each_clause_hits_the_rule_of_the_conjunction() {
    let mut sw = Switch::with_flows(GROUPS);
    for client in 1..=4 {
        for server in 1..=3 {
            for port in [80, 443, 25] {
                let packet = packet(client, server, port);
                sw.inject(1, &packet);
                let first = client <= 2 && server <= 2 && port != 25;
                let second = client == 3 && server == 2;
                let to = if first {
                    2
                } else if second {
                    3
                } else {
                    4
                };
                assert_eq!(sw.sent_anywhere(), [format!("{to}: {packet}")]);
            }
        }
    }
    // Clauses are not counted.
    let counted: Vec<_> = counts(&sw).into_iter().filter(|(_, n)| *n > 0).collect();
    assert_eq!(
        counted,
        [
            ("conj_id=2,tcp actions=output:3".to_owned(), 3),
            ("priority=20,conj_id=1,tcp actions=output:2".to_owned(), 8),
            ("priority=1 actions=output:4".to_owned(), 25),
        ]
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_change_of_a_clause_holds_from_the_next_packet_on() {
    let mut sw = Switch::with_flows(GROUPS);
    let packet = packet(1, 1, 80);
    let mut goes_to = |change: &str, port: u32| {
        if !change.is_empty() {
            sw.change_flows(change).unwrap();
        }
        sw.inject_burst(1, &[&packet, &packet]);
        assert_eq!(sw.sent(port).len(), 2, "{change}");
    };
    goes_to("", 2);
    goes_to("delete_strict priority=10,tcp,nw_src=10.0.0.1", 4);
    goes_to(
        "priority=10,tcp,nw_src=10.0.0.1 actions=conjunction(1,1/3)",
        2,
    );
    // What another packet matches does not matter.
    goes_to("delete_strict priority=10,tcp,nw_src=10.0.0.2", 2);
    goes_to(
        "modify_strict priority=20,conj_id=1,tcp actions=output:3",
        3,
    );
    goes_to("delete_strict priority=20,conj_id=1,tcp", 4);
    goes_to("conj_id=1 actions=output:2", 2);
    goes_to("priority=40000,conj_id=1,tp_dst=80,tcp actions=output:3", 3);
    goes_to(
        "modify_strict priority=10,tcp,nw_dst=192.0.2.1 actions=conjunction(1,1/3)",
        4,
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn entries_that_a_clause_does_not_concern_go_on_answering() {
    let mut sw = Switch::with_flows(GROUPS);
    sw.inject(1, &packet(1, 1, 80));
    let stats = |sw: &Switch| (sw.trajectory_stats(), sw.megaflow_stats());
    let (trajectories, megaflows) = stats(&sw);
    sw.change_flows("priority=10,tcp,nw_src=10.0.0.9 actions=conjunction(1,1/3)")
        .unwrap();
    sw.change_flows("conj_id=9,udp actions=output:3").unwrap();
    sw.inject(1, &packet(1, 1, 80));
    let (after, megaflows_after) = stats(&sw);
    assert_eq!(after.hits, trajectories.hits + 1);
    assert_eq!(megaflows_after.hits, megaflows.hits + 1);
    sw.change_flows("conj_id=1,tcp actions=output:3").unwrap();
    sw.inject(1, &packet(1, 1, 80));
    let (after, megaflows_after) = stats(&sw);
    assert_eq!((after.stale, megaflows_after.stale), (1, 1));
    assert_eq!((sw.sent(2).len(), sw.sent(3).len()), (2, 1));
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn no_packet_brings_a_conj_id() {
    let mut sw = Switch::with_flows(
        "conj_id=0,udp actions=move:NXM_NX_CONJ_ID[]->NXM_NX_REG0[],resubmit(,1)
         tcp,tp_dst=80 actions=conjunction(7,1/2)
         tcp,nw_dst=192.0.2.1 actions=conjunction(7,2/2)
         conj_id=7 actions=move:NXM_NX_CONJ_ID[]->NXM_NX_REG0[],resubmit(,1)
         table=1,reg0=0 actions=output:2
         table=1,reg0=7 actions=output:3",
    );
    sw.inject(1, "udp 10.0.0.1:4000 > 192.0.2.1:53");
    sw.inject(1, &packet(1, 1, 80));
    // It tells the look-up alone.
    assert_eq!(sw.sent(2).len(), 2);
    sw.assert_state("ct: none; drops: none");
}
