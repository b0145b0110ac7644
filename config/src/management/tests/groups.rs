//! Verbs about groups, reload of groups, and links.

use std::time::Duration;

use super::*;
use crate::control::{GroupVerb, PolicyFiles};

fn change(command: GroupVerb, group: &str) -> Verb {
    let group = (!group.is_empty()).then(|| group.to_owned());
    Verb::ChangeGroup { command, group }
}

fn lines(management: &mut Management<OneLcore>, group: Option<&str>) -> Vec<String> {
    let group = group.map(str::to_owned);
    let frames = management.ask(Verb::DumpGroups { group }).expect("a dump");
    let rows = frames.into_iter().flat_map(|frame| match frame {
        Frame::Groups(rows) => rows,
        other => panic!("not groups: {other:?}"),
    });
    rows.map(|row| row.group).collect()
}

fn stats(management: &mut Management<OneLcore>) -> Vec<String> {
    let frames = management.ask(Verb::DumpGroupStats { group: None });
    let rows = frames
        .expect("a dump")
        .into_iter()
        .flat_map(|frame| match frame {
            Frame::GroupStats(rows) => rows,
            other => panic!("not statistics: {other:?}"),
        });
    rows.map(|row| row.line()).collect()
}

/// In at port 2, which has index 0; ports are 2 and 3.
const A: &str = "udp 10.0.0.1:5 > 10.0.0.2:6 len=18";

#[test]
fn verbs_change_groups_and_dump_them() {
    let mut management = management("arp actions=drop");
    let weir = &mut management;
    weir.ask(change(
        GroupVerb::Add,
        "group_id=1,type=select,bucket=3,bucket=weight=0,2",
    ))
    .unwrap();
    weir.ask(change(GroupVerb::Add, "group_id=9,type=all"))
        .unwrap();
    weir.ask(add("ip actions=group:1\nipv6 actions=group:1"))
        .unwrap();
    assert_eq!(weir.inject(0, A), [1]);
    assert_eq!(
        stats(weir),
        [
            "group_id=1,duration=0s,ref_count=2,packet_count=1,byte_count=60,\
             bucket0:packet_count=1,byte_count=60,bucket1:packet_count=0,byte_count=0",
            "group_id=9,duration=0s,ref_count=0,packet_count=0,byte_count=0",
        ]
    );
    weir.ask(change(
        GroupVerb::InsertBuckets,
        "group_id=1,command_bucket_id=first,bucket=bucket_id=7,actions=drop",
    ))
    .unwrap();
    assert_eq!(
        lines(weir, Some("group_id=1")),
        ["group_id=1,type=select,bucket=bucket_id:7,actions=drop,\
             bucket=bucket_id:0,actions=output:3,bucket=bucket_id:1,weight:0,actions=output:2"]
    );
    assert!(stats(weir)[0].contains("packet_count=0,"));
    weir.ask(change(
        GroupVerb::RemoveBuckets,
        "group_id=1,command_bucket_id=7",
    ))
    .unwrap();
    let error = weir.ask(change(GroupVerb::Modify, "group_id=3,type=all"));
    assert_eq!(
        error.unwrap_err().message,
        "there is no group 3 (OFPGMFC_UNKNOWN_GROUP)"
    );
    weir.ask(change(GroupVerb::AddOrModify, "group_id=3,type=all"))
        .unwrap();
    let error = weir
        .ask(change(GroupVerb::Add, "group_id=3,tipe=all"))
        .unwrap_err();
    assert!(
        error
            .message
            .starts_with("group:1:12: unknown keyword tipe"),
        "{error:?}"
    );
    weir.ask(change(GroupVerb::Delete, "group_id=1")).unwrap();
    assert_eq!(weir.flow_lines(), ["arp actions=drop"]);
    assert_eq!(
        lines(weir, None),
        ["group_id=3,type=all", "group_id=9,type=all"]
    );
    weir.ask(change(GroupVerb::Delete, "")).unwrap();
    assert_eq!(lines(weir, Some("all")), [""; 0]);
}

#[test]
fn a_bundle_and_a_file_of_groups_are_executed_whole() {
    let mut management = management("arp actions=drop");
    let file = |text: &str| NamedText {
        name: "my.bundle".to_owned(),
        text: text.to_owned(),
    };
    let bundle = "group add group_id=1,type=all,bucket=3\nflow add ip,actions=group:1\n";
    management.ask(Verb::Bundle { file: file(bundle) }).unwrap();
    assert_eq!(management.inject(0, A), [1]);
    let wrong = "group delete\nflow add ip,actions=group:1\n";
    let error = management
        .ask(Verb::Bundle { file: file(wrong) })
        .unwrap_err();
    let expected = "my.bundle:2:1: there is no group 1 (OFPBAC_BAD_OUT_GROUP)";
    assert!(error.message.starts_with(expected), "{error:?}");
    let groups = "modify group_id=1,type=all,bucket=2,bucket=3\ngroup_id=2,type=all\n";
    let groups = Verb::AddGroups { file: file(groups) };
    management.ask(groups).unwrap();
    assert_eq!(lines(&mut management, None).len(), 2);
    // Flows that are replaced may send to groups that are there.
    let flows = Verb::ReplaceFlows {
        file: file("udp actions=group:2,group:1"),
    };
    management.ask(flows).unwrap();
    assert_eq!(management.flow_lines(), ["udp actions=group:2,group:1"]);
    assert_eq!(management.inject(0, A), [1]);
}

#[test]
fn reload_takes_groups_and_flows_from_files_together() {
    let mut management = management("arp actions=drop");
    let config = management.config.to_string();
    let config = NamedText {
        name: "new.toml".into(),
        text: config,
    };
    let named = |name: &str, text: &str| NamedText {
        name: name.into(),
        text: text.into(),
    };
    let reload = |groups: &str, flows: &str| Verb::Reload {
        files: Some(PolicyFiles {
            config: config.clone(),
            groups: vec![named("g", groups)],
            flows: vec![named("f", flows)],
        }),
        dry_run: false,
        exact: false,
        confirm: None,
    };
    let report = |frames: Vec<Frame>| match &frames[..] {
        [Frame::Reloaded(report)] => report.clone(),
        other => panic!("one report, not {other:?}"),
    };
    management
        .ask(reload(
            "group_id=1,type=all,bucket=3\ngroup_id=2,type=all,bucket=group:1",
            "ip actions=group:2",
        ))
        .unwrap();
    assert_eq!(management.inject(0, A), [1]);
    management
        .ask(change(GroupVerb::Add, "group_id=5,type=all"))
        .unwrap();
    // The other way round: neither is a loop, though it would be one in between.
    let second = management
        .ask(reload(
            "group_id=1,type=all,bucket=group:2\ngroup_id=2,type=all,bucket=3",
            "ip actions=group:1",
        ))
        .unwrap();
    let second = report(second);
    assert_eq!(second.modified.len(), 3);
    assert_eq!(second.kept, ["group_id=5,type=all"]);
    assert_eq!(management.inject(0, A), [1]);
    let third = report(management.ask(reload("", "ip actions=output:3")).unwrap());
    assert_eq!(third.deleted.len(), 2);
    assert_eq!(lines(&mut management, None), ["group_id=5,type=all"]);
    assert_eq!(management.flow_lines(), ["ip actions=output:3"]);
    let error = management.ask(reload("group_id=1,type=all,bucket=foo", "ip actions=bar"));
    let message = error.unwrap_err().message;
    assert!(
        message.contains("g:1:") && message.contains("f:1:"),
        "{message}"
    );
}

#[test]
fn a_link_that_goes_down_is_followed_within_its_interval() {
    let mut management = management("arp actions=drop");
    let groups = "group_id=1,type=ff,bucket=watch_port=3,actions=3,bucket=watch_port=2,IN_PORT";
    management.ask(change(GroupVerb::Add, groups)).unwrap();
    management.ask(add("ip actions=group:1")).unwrap();
    assert_eq!(management.inject(0, A), [1]);
    let mut becomes = |up: bool, at: u16| {
        management.datapath.links = vec![(PortNo(2), true), (PortNo(3), up)];
        let generation = management.datapath.oldest_generation();
        management.look_after();
        assert_eq!(management.datapath.oldest_generation(), generation);
        management.datapath.now = management.datapath.now + Duration::from_millis(100);
        management.look_after();
        assert_eq!(management.datapath.oldest_generation(), generation + 1);
        assert_eq!(management.inject(0, A), [at]);
    };
    becomes(false, 0);
    becomes(true, 1);
}
