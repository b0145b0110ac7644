//! Verbs about Geneve options, and what is shown of them.

use super::*;
use crate::control::GroupVerb;

const BOTH: &str =
    "{class=0x102,type=3,len=4}->tun_metadata0,{class=0x102,type=0x84,len=8}->tun_metadata5";

impl Management<OneLcore> {
    fn add_map(&mut self, map: &str) -> Result<Vec<Frame>, Failure> {
        self.ask(Verb::AddTlvMap {
            map: map.to_owned(),
        })
    }

    fn delete_map(&mut self, map: Option<&str>) -> Result<Vec<Frame>, Failure> {
        let map = map.map(str::to_owned);
        self.ask(Verb::DelTlvMap { map })
    }

    /// The lines below the heading of `dump-tlv-map`.
    fn map(&mut self) -> Vec<String> {
        let frames = self.ask(Verb::DumpTlvMap).expect("a dump");
        let [Frame::TlvMap(rows)] = &frames[..] else {
            panic!("not a map: {frames:?}");
        };
        let mut text = Vec::new();
        crate::show::write_tlv_map(&mut text, rows).expect("memory can be written");
        let text = String::from_utf8(text).expect("it is text");
        text.lines().skip(1).map(str::to_owned).collect()
    }
}

fn message(refused: Result<Vec<Frame>, Failure>) -> String {
    refused.expect_err("it is refused").message
}

#[test]
fn a_map_is_added_to_dumped_and_taken_away() {
    let mut management = management("arp actions=drop");
    let weir = &mut management;
    let heading = ["", " mapping table:", "  class  type  length  match field"];
    let heading = [&heading[..], &[" ------  ----  ------  --------------"]].concat();
    let shown = |taken: usize, rows: &[&str]| -> Vec<String> {
        let taken = format!(" allocated option space={taken}");
        let lines = [&[&*taken], &heading[..], rows].concat();
        lines.into_iter().map(str::to_owned).collect()
    };
    assert_eq!(weir.map(), shown(0, &[]));
    weir.add_map(BOTH).expect("there is room");
    let (first, second) = (
        "  0x102   0x3       4  tun_metadata0",
        "  0x102  0x84       8  tun_metadata5",
    );
    assert_eq!(weir.map(), shown(12, &[first, second]));
    // All of it or nothing.
    let again = "{class=7,type=0,len=4}->tun_metadata1,{class=1,type=1,len=4}->tun_metadata0";
    assert_eq!(
        message(weir.add_map(again)),
        "tun_metadata0 already stands for an option (NXTTMFC_ALREADY_MAPPED)"
    );
    let taken = "{class=0x102,type=3,len=8}->tun_metadata7";
    assert!(message(weir.add_map(taken)).contains("NXTTMFC_DUP_ENTRY"));
    let wrong = "{class=1,type=1,len=6}->tun_metadata9";
    assert!(message(weir.add_map(wrong)).starts_with("map:1:21: no option has 6 bytes"));
    assert_eq!(weir.map(), shown(12, &[first, second]));
    // Only the field counts, and one that stands for nothing may go, too.
    weir.delete_map(Some(
        "{class=9,type=9,len=4}->tun_metadata0,{class=9,type=9,len=4}->tun_metadata8",
    ))
    .expect("nobody uses it");
    assert_eq!(weir.map(), shown(8, &[second]));
    weir.delete_map(None).expect("nobody uses it");
    assert_eq!(weir.map(), shown(0, &[]));
}

#[test]
fn a_field_stays_as_long_as_something_uses_it() {
    let mut management = management("arp actions=drop");
    let weir = &mut management;
    let unmapped = message(weir.ask(add("tun_metadata0=1 actions=drop")));
    assert!(unmapped.contains("NXFMFC_INVALID_TLV_FIELD"), "{unmapped}");
    let select = "group_id=1,type=select,selection_method=hash,fields=tun_metadata5,bucket=3";
    let group = |command, group: &str| Verb::ChangeGroup {
        command,
        group: Some(group.to_owned()),
    };
    let unmapped = message(weir.ask(group(GroupVerb::Add, select)));
    assert!(unmapped.contains("NXFMFC_INVALID_TLV_FIELD"), "{unmapped}");

    weir.add_map(BOTH).expect("there is room");
    weir.ask(add("tun_metadata0=1 actions=drop"))
        .expect("mapped");
    weir.ask(group(GroupVerb::Add, select)).expect("mapped");
    let in_use = |field: u8| {
        format!("tun_metadata{field} is used by a flow or a group (NXTTMFC_INVALID_TLV_DEL)")
    };
    assert_eq!(message(weir.delete_map(None)), in_use(0));
    weir.ask(Verb::DelFlows {
        strict: false,
        matching: Some("tun_metadata0".to_owned()),
    })
    .expect("a flow");
    assert_eq!(message(weir.delete_map(None)), in_use(5));
    weir.ask(group(GroupVerb::Delete, "group_id=1"))
        .expect("a group");
    weir.delete_map(None).expect("nobody uses it");
}

/// As `ovs-ofctl monitor` of Open vSwitch 3.1 does.
#[test]
fn a_monitor_is_told_of_options() {
    let mut management = management("arp actions=drop");
    management.add_map(BOTH).expect("there is room");
    let flow = "udp actions=set_field:0x12345678->tun_metadata0,set_field:0xff->tun_metadata5,\
        set_field:5->tun_id,controller,delete_field:tun_metadata5,\
        set_field:0->tun_metadata0,controller";
    management.ask(add(flow)).expect("mapped");
    let (reply, mut frames) = control::test_channel();
    management.answer(Verb::Monitor { invalid_ttl: false }, reply);
    management.inject(0, A_TO_B);
    let heard = events(&mut management, &mut frames, 2);
    let metadata: Vec<&str> = heard
        .lines()
        .filter_map(|line| line.split_once("total_len=42 ")?.1.split_once(" (via"))
        .map(|(metadata, _)| metadata)
        .collect();
    assert_eq!(
        metadata,
        [
            "tun_id=0x5,tun_metadata0=0x12345678,tun_metadata5=0xff,in_port=2",
            "tun_id=0x5,tun_metadata0=0,in_port=2"
        ]
    );
}
