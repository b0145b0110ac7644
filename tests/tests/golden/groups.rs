//! Groups.

use weir_tests::switch::Switch;

const DNS: &str = "udp 10.0.0.5:4000 > 192.0.2.9:53";

/// A switch with these groups, and flows that may send to them.
fn switch(groups: &str, flows: &str) -> Switch {
    let mut sw = Switch::builder().empty();
    sw.change_groups(groups).unwrap();
    sw.change_flows(flows).unwrap();
    sw
}

/// A packet of connection `number`.
fn connection(number: u16) -> String {
    format!("udp 10.0.0.5:{number} > 192.0.2.9:53")
}

#[test]
fn all_runs_each_bucket_on_a_copy_and_the_list_goes_on_with_the_packet_as_it_was() {
    let mut sw = switch(
        "group_id=1,type=all,bucket=actions=set_field:192.0.2.1->ip_dst,output:2,\
         bucket=actions=dec_ttl,push_vlan:0x8100,output:3,bucket=actions=output:4",
        "udp actions=mod_nw_src:10.0.0.7,group:1,output:4,mod_tp_dst:9,IN_PORT",
    );
    for _ in 0..2 {
        sw.inject(1, &format!("{DNS} ttl=9"));
        assert_eq!(
            sw.sent_anywhere(),
            [
                "1: udp 10.0.0.7:4000 > 192.0.2.9:9 ttl=9",
                "2: udp 10.0.0.7:4000 > 192.0.2.1:53 ttl=9",
                "3: vlan 0 udp 10.0.0.7:4000 > 192.0.2.9:53 ttl=8",
                "4: udp 10.0.0.7:4000 > 192.0.2.9:53 ttl=9",
                "4: udp 10.0.0.7:4000 > 192.0.2.9:53 ttl=9",
            ]
        );
    }
    assert_eq!(sw.group_packets(1), (2, vec![2, 2, 2]));
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_bucket_is_a_set() {
    let mut sw = switch(
        "group_id=1,type=indirect,bucket=actions=output:2,set_field:9->udp_dst,output:3,dec_ttl
         group_id=2,type=indirect,bucket=actions=dec_ttl",
        "udp actions=group:1
         tcp actions=group:2",
    );
    sw.inject(1, DNS);
    assert_eq!(
        sw.sent_anywhere(),
        ["3: udp 10.0.0.5:4000 > 192.0.2.9:9 ttl=63"]
    );
    sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:80 S");
    assert_eq!(sw.group_packets(2), (1, vec![1]));
    sw.assert_state("ct: none; drops: action_drop=1");
}

#[test]
fn a_bucket_resubmits_and_what_its_tables_do_stays_with_the_copy() {
    let mut sw = switch(
        "group_id=1,type=all,bucket=actions=set_field:1->reg0,resubmit(,5),\
         bucket=actions=set_field:2->reg0,resubmit(,5),bucket=actions=resubmit(3,6)",
        "ip actions=group:1,resubmit(,5)
         table=5,ip,reg0=1 actions=mod_nw_dst:192.0.2.1,output:2,resubmit(,6)
         table=5,ip,reg0=2 actions=mod_nw_dst:192.0.2.2,exit
         table=5,ip actions=output:4
         table=6,ip,in_port=3 actions=IN_PORT
         table=6,ip actions=output:3",
    );
    for _ in 0..3 {
        sw.inject_burst(1, &[DNS, DNS]);
        let to = |port, address| {
            let packet = format!("{port}: udp 10.0.0.5:4000 > 192.0.2.{address}:53");
            [packet.clone(), packet]
        };
        assert_eq!(
            sw.sent_anywhere(),
            [to(1, 9), to(2, 1), to(3, 1), to(4, 9)].concat()
        );
    }
    // The packets of the first burst were looked for before there was an entry.
    assert_eq!(sw.trajectory_stats().hits, 4);
    sw.change_flows("modify_strict table=6,ip actions=drop")
        .unwrap();
    sw.inject(1, DNS);
    assert_eq!(sw.sent_anywhere().len(), 3);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn fast_failover_takes_the_first_bucket_that_is_live() {
    let mut sw = switch(
        "group_id=1,type=ff,bucket=watch_port:2,actions=output:2,bucket=watch_group:2,actions=group:2
         group_id=2,type=ff,bucket=watch_port:9,actions=output:9,bucket=watch_port:3,actions=output:3",
        "ip actions=group:1",
    );
    let mut goes_to = |change: Option<(u32, bool)>, port: Option<u32>| {
        if let Some((port, up)) = change {
            sw.link(port, up);
        }
        sw.inject_burst(1, &[DNS, DNS]);
        let sent = sw.sent_anywhere();
        let expected = port.map(|port| format!("{port}: {DNS}"));
        assert_eq!(
            sent,
            expected
                .iter()
                .chain(&expected)
                .cloned()
                .collect::<Vec<_>>()
        );
    };
    goes_to(None, Some(2));
    goes_to(Some((2, false)), Some(3));
    goes_to(Some((3, false)), None);
    goes_to(Some((2, true)), Some(2));
    goes_to(Some((2, false)), None);
    goes_to(Some((3, true)), Some(3));
    assert_eq!(sw.group_packets(1), (8, vec![4, 4]));
    assert_eq!(sw.group_packets(2), (4, vec![0, 4]));
    sw.assert_state("ct: none; drops: no_bucket=4");
}

#[test]
fn a_link_that_no_group_watches_lets_entries_go_on() {
    let mut sw = switch(
        "group_id=1,type=ff,bucket=watch_port:2,actions=output:2,bucket=watch_port:3,actions=output:3",
        "ip actions=group:1",
    );
    sw.inject(1, DNS);
    sw.inject(1, DNS);
    sw.link(4, false);
    sw.inject(1, DNS);
    assert_eq!(sw.trajectory_stats().stale, 0);
    assert_eq!(sw.trajectory_stats().hits, 2);
    sw.link(3, false);
    sw.inject(1, DNS);
    assert_eq!(sw.trajectory_stats().stale, 1);
    assert_eq!(sw.sent(2).len(), 4);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn select_sends_both_directions_of_a_connection_through_one_bucket() {
    let mut sw = switch(
        "group_id=1,type=select,bucket=actions=output:2,bucket=actions=output:3,bucket=actions=output:4",
        "actions=group:1",
    );
    let mut used = [false; 5];
    for number in 1..=60 {
        let mut ports = Vec::new();
        for packet in [
            connection(number),
            format!("udp 192.0.2.9:53 > 10.0.0.5:{number} ttl=7"),
            connection(number),
            format!(
                "eth 02:00:00:00:00:07 > 02:00:00:00:00:09 udp 10.0.0.5:{number} > 192.0.2.9:53"
            ),
        ] {
            sw.inject(1, &packet);
            let sent = sw.sent_anywhere();
            assert_eq!(sent.len(), 1);
            ports.push(sent[0].as_bytes()[0] - b'0');
        }
        assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
        used[usize::from(ports[0])] = true;
    }
    assert_eq!(used, [false, false, true, true, true]);
    let (all, buckets) = sw.group_packets(1);
    assert_eq!((all, buckets.iter().sum::<u64>()), (240, 240));
    sw.assert_state("ct: none; drops: none");
}

/// What is hashed need not be in a trajectory's key unless a group says so.
#[test]
fn select_by_fields_looks_at_these_alone() {
    let mut sw = switch(
        "group_id=1,type=select,selection_method=hash,fields(ip_dst,nw_tos),\
         bucket=actions=output:2,bucket=actions=output:3",
        "actions=group:1",
    );
    let mut of_tos = Vec::new();
    for tos in (0..256).step_by(4) {
        let mut ports = Vec::new();
        for number in 1..=4 {
            sw.inject(1, &format!("{} tos={tos}", connection(number)));
            ports.push(sw.sent_anywhere()[0].as_bytes()[0] - b'0');
        }
        assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
        of_tos.push(ports[0]);
    }
    let second = of_tos.iter().filter(|port| **port == 2).count();
    assert!((20..=44).contains(&second), "{of_tos:?}");
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_changed_group_is_obeyed_by_the_next_packet() {
    let mut sw = switch(
        "group_id=1,type=all,bucket=actions=output:2",
        "ip actions=group:1,output:4",
    );
    let mut goes_to = |change: &str, ports: &[u32]| {
        if !change.is_empty() {
            sw.change_groups(change).unwrap();
        }
        sw.inject_burst(1, &[DNS]);
        sw.inject_burst(1, &[DNS]);
        let sent = sw.sent_anywhere();
        let expected: Vec<String> = ports
            .iter()
            .flat_map(|port| [format!("{port}: {DNS}"), format!("{port}: {DNS}")])
            .collect();
        assert_eq!(sent, expected, "{change}");
    };
    goes_to("", &[2, 4]);
    goes_to(
        "modify group_id=1,type=all,bucket=actions=output:3",
        &[3, 4],
    );
    goes_to(
        "insert_bucket group_id=1,command_bucket_id=first,bucket=actions=output:2",
        &[2, 3, 4],
    );
    goes_to("remove_bucket group_id=1,command_bucket_id=0", &[2, 4]);
    goes_to("remove_bucket group_id=1,command_bucket_id=all", &[4]);
    goes_to("add group_id=2,type=all,bucket=actions=output:3", &[4]);
    goes_to(
        "insert_bucket group_id=1,command_bucket_id=last,bucket=actions=group:2",
        &[3, 4],
    );
    goes_to("delete group_id=2", &[4]);
    goes_to("add group_id=2,type=all,bucket=actions=output:2", &[2, 4]);
    goes_to("delete", &[]);
    assert_eq!(sw.flows(), [""; 0]);
    sw.assert_state("ct: none; drops: table_miss=2");
}

#[test]
fn a_flow_needs_its_group_and_goes_with_it() {
    let mut sw = switch(
        "group_id=1,type=all,bucket=actions=output:2
         group_id=2,type=all,bucket=actions=output:3",
        "udp actions=group:1
         tcp actions=output:2,group:2
         arp actions=drop",
    );
    let refused = |sw: &mut Switch, flow: &str| sw.change_flows(flow).unwrap_err();
    let error = "flow 1: there is no group 7 (OFPBAC_BAD_OUT_GROUP)";
    assert_eq!(refused(&mut sw, "ip actions=group:7"), error);
    assert_eq!(refused(&mut sw, "modify udp actions=group:7"), error);
    sw.change_groups("delete group_id=2").unwrap();
    assert_eq!(sw.flows().len(), 2);
    sw.change_groups("delete group_id=2").unwrap();
    sw.change_groups("delete group_id=1").unwrap();
    assert_eq!(
        sw.flows(),
        ["table=0, n_packets=0, n_bytes=0, idle_age=0, arp actions=drop"]
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_bundle_is_done_as_a_whole_or_not_at_all() {
    let mut sw = switch(
        "group_id=1,type=all,bucket=actions=output:2",
        "udp actions=group:1",
    );
    let before = (sw.groups(), sw.flows());
    let error = sw
        .bundle(
            "flow delete
             group modify group_id=1,type=all,bucket=actions=output:3
             group group_id=2,type=select,bucket=actions=output:3
             flow ip actions=group:2
             group delete group_id=1
             flow add arp actions=group:1",
        )
        .unwrap_err();
    assert_eq!(error, "line 6: there is no group 1 (OFPBAC_BAD_OUT_GROUP)");
    assert_eq!((sw.groups(), sw.flows()), before);
    sw.inject(1, DNS);
    assert_eq!(sw.sent_anywhere(), [format!("2: {DNS}")]);
    sw.bundle(
        "group add group_id=2,type=select,bucket=actions=output:3
         flow modify udp actions=group:2
         group delete group_id=1",
    )
    .unwrap();
    assert_eq!(
        sw.groups(),
        ["group_id=2,type=select,bucket=actions=output:3"]
    );
    sw.inject(1, DNS);
    assert_eq!(sw.sent_anywhere(), [format!("3: {DNS}")]);
    let error = sw
        .bundle("group add group_id=1,type=all\nflow actions=foo")
        .unwrap_err();
    assert!(
        error.starts_with("bundle:2:14: unknown action foo"),
        "{error}"
    );
    assert_eq!(sw.groups().len(), 1);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn groups_that_would_come_back_to_themselves_are_refused() {
    let mut sw = switch(
        "group_id=1,type=all,bucket=actions=group:2
         group_id=2,type=ff,bucket=watch_group:3,actions=output:2",
        "ip actions=group:1",
    );
    for (change, group) in [
        ("add group_id=9,type=all,bucket=actions=group:9", 9),
        ("add group_id=3,type=all,bucket=actions=group:1", 3),
        (
            "add group_id=3,type=ff,bucket=watch_port:1,watch_group:2,actions=output:1",
            3,
        ),
        (
            "modify group_id=2,type=all,bucket=actions=output:1,bucket=actions=group:1",
            2,
        ),
        (
            "insert_bucket group_id=2,command_bucket_id=last,bucket=actions=group:1",
            2,
        ),
    ] {
        assert_eq!(
            sw.change_groups(change).unwrap_err(),
            format!("line 1: group {group} would send to itself or watch itself (OFPGMFC_LOOP)"),
            "{change}"
        );
    }
    // A bundle is held against what it comes to.
    sw.bundle(
        "group add group_id=7,type=all,bucket=actions=group:8
         group add group_id=8,type=all,bucket=actions=group:7
         group modify group_id=7,type=all,bucket=actions=output:2",
    )
    .unwrap();
    // Through tables it is found when a packet comes.
    sw.bundle(
        "group modify group_id=1,type=all,bucket=actions=output:4,bucket=actions=resubmit(,0)",
    )
    .unwrap();
    sw.inject(1, DNS);
    assert!(sw.sent(4).len() > 30);
    sw.assert_state("ct: none; drops: recursion_limit=2");
}

#[test]
fn many_buckets_that_resubmit_end_at_a_limit() {
    let mut sw = switch(
        "group_id=1,type=all,bucket=actions=resubmit(,0),bucket=actions=resubmit(,0)",
        "ip actions=group:1",
    );
    sw.ignore_what_is_sent();
    sw.inject(1, DNS);
    let state = sw.state();
    assert!(state.contains("resubmit_limit="), "{state}");
}

#[test]
fn a_server_behind_select_is_kept_for_the_connection() {
    let mut sw = switch(
        "group_id=1,type=select,bucket=actions=ct(commit,zone=1,nat(dst=10.0.0.1),table=2),\
         bucket=actions=ct(commit,zone=1,nat(dst=10.0.0.2),table=2)",
        "ip,in_port=1,nw_dst=192.0.2.9 actions=ct(table=1,zone=1,nat)
         table=1,ip,ct_state=+new actions=group:1
         table=1,ip,ct_state=+est actions=resubmit(,2)
         table=2,ip actions=output:2
         ip,in_port=2 actions=ct(table=3,zone=1,nat)
         table=3,ip actions=output:1",
    );
    let mut servers = [0, 0];
    for number in 1000..1040 {
        let mut server = None;
        for _ in 0..3 {
            sw.inject(1, &connection(number));
            let sent = sw.sent(2);
            let at = usize::from(sent[0].contains("> 10.0.0.2:53"));
            assert!(server.is_none_or(|before| before == at));
            server = Some(at);
            sw.inject(2, &format!("udp 10.0.0.{}:53 > 10.0.0.5:{number}", at + 1));
            assert_eq!(
                sw.sent(1),
                [format!("udp 192.0.2.9:53 > 10.0.0.5:{number}")]
            );
        }
        servers[server.unwrap()] += 1;
    }
    assert_eq!(servers[0] + servers[1], 40);
    assert!(servers[0] > 8 && servers[1] > 8, "{servers:?}");
    // Who is established goes on whatever becomes of the group.
    assert_eq!(sw.group_packets(1).0, 40);
    sw.assert_state("ct: replied=40; drops: none");
}

/// A copy that a bucket translated leaves the packet as it was.
#[test]
fn what_follows_a_group_with_nat_is_not_translated() {
    let mut sw = switch(
        "group_id=1,type=indirect,bucket=actions=ct(commit,nat(src=198.51.100.7),table=1)",
        "ip,in_port=1 actions=group:1,output:3
         table=1,ip actions=output:2",
    );
    for _ in 0..2 {
        sw.inject(1, DNS);
        assert_eq!(sw.sent(3), [DNS]);
        assert_eq!(sw.sent(2), ["udp 198.51.100.7:4000 > 192.0.2.9:53"]);
    }
    sw.assert_state("ct: new=1; drops: none");
}

/// What a bucket writes is not known of the packet in the tables behind it.
#[test]
fn a_rule_for_what_a_bucket_wrote_is_obeyed_at_once() {
    for rule in [
        "table=3,reg0=1/1 actions=output:2",
        "table=3,in_port=1,reg0=1,udp actions=output:2",
    ] {
        let mut sw = switch(
            "group_id=1,type=all,bucket=actions=set_field:1->reg0,resubmit(,3)",
            "actions=group:1",
        );
        for _ in 0..4 {
            sw.inject(1, DNS);
        }
        sw.change_flows(rule).expect("a rule");
        sw.inject(1, DNS);
        assert_eq!(sw.sent(2), [DNS], "{rule}");
        sw.assert_state("ct: none; drops: table_miss=4");
    }
}
