use super::Case;
use crate::differential::expectation::Side;
use crate::differential::outcome::{Outcome, SentFrame};

const CASE: &str = "\
title: a tagged frame
about: something
  that goes on

[ports]
1
2 tag=10

[flows]
in_port=1,actions=2

[packets]
# the first
@0ms 1: udp 10.0.0.1:1 > 10.0.0.2:2
@1s 2: ether type=0x88cc len=46
";

fn sent(port: &str, frame: &[u8]) -> SentFrame {
    SentFrame {
        port: port.to_owned(),
        frame: frame.to_vec(),
    }
}

#[test]
fn a_case_is_read() {
    let case = Case::parse("x.case", CASE).expect("a case");
    assert_eq!(case.about, ["something that goes on"]);
    assert_eq!(
        case.ports[1].settings,
        [("tag".to_owned(), "10".to_owned())]
    );
    assert_eq!(case.packets[1].time_ms, 1_000);
    assert_eq!(
        case.flow_file(Side::Ovs),
        "cookie=0x1,in_port=1,actions=2\n"
    );
}

#[test]
fn answers_are_written_into_the_case_and_read_back() {
    let case = Case::parse("x.case", CASE).expect("a case");
    let frame = case.packets[0].frame.clone();
    let ovs = Outcome {
        sent: vec![
            vec![sent("2", &frame), sent("1", b"other bytes....")],
            vec![],
        ],
        conntrack: vec!["udp,orig=()".to_owned()],
        hits: vec![2],
        flows: vec![],
        buckets: Vec::new(),
        answers: Vec::new(),
    };
    let ovs = ovs.with_groups(
        "OFPST_GROUP reply (OF1.3) (xid=0x2):
 group_id=12,duration=1s,ref_count=0,packet_count=0,byte_count=0
 group_id=3,duration=1.5s,ref_count=1,packet_count=5,byte_count=50,\
bucket0:packet_count=2,byte_count=20,bucket1:packet_count=3,byte_count=30"
            .lines(),
    );
    assert_eq!(ovs.buckets, ["5 of 3: 2 3", "0 of 12:"]);
    let weir = Outcome {
        sent: vec![vec![sent("2", &frame)], vec![]],
        ..ovs.clone()
    };
    let text = case
        .with_answers(&ovs, Some(&weir))
        .replace("\n\n[ports]", "\ndiffers: so\n\n[ports]");
    let again = Case::parse("x.case", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert!(again.is_split() && !case.is_split());
    assert_eq!(ovs.differences(&again, Side::Ovs), "");
    assert_eq!(weir.differences(&again, Side::Weir), "");
    assert!(ovs.differences(&again, Side::Weir).starts_with("@0ms 1: "));
    assert!(text.contains("# the first\n@0ms 1: udp"), "{text}");
    // Only Open vSwitch is asked: what weir is to do stays.
    assert_eq!(again.with_answers(&ovs, None), text);
}

#[test]
fn what_is_asked_stands_among_the_packets() {
    let text = CASE.replace("about: something", "covers: 1.2 new\nabout: something");
    let text = text.replace(
        "@1s 2:",
        "# why\n@5ms $ dump-conntrack -m\n@6ms $ ct-bkts\n@1s 2:",
    );
    let text = text + "@2s $ flush-conntrack zone=1\n";
    let case = Case::parse("x.case", &text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(case.covers, ["1.2 new"]);
    let asked: Vec<_> = case
        .questions
        .iter()
        .map(|asked| (asked.time_ms, asked.packets, asked.words.join(" ")))
        .collect();
    let words = |words: &str| words.to_owned();
    assert_eq!(
        asked,
        [
            (5, 1, words("dump-conntrack -m")),
            (6, 1, words("ct-bkts")),
            (2_000, 2, words("flush-conntrack zone=1"))
        ]
    );
    let outcome = Outcome {
        sent: vec![vec![], vec![]],
        hits: vec![2],
        ..Outcome::default()
    };
    let answers = |dump: &str| vec![Some(dump.to_owned()), None, Some(String::new())];
    let ovs = outcome.clone().with_answers(answers("b\na\n"));
    let weir = outcome.with_answers(answers("a\n"));
    let text = case
        .with_answers(&ovs, Some(&weir))
        .replace("\n\n[ports]", "\ndiffers: so\n\n[ports]");
    assert!(
        text.contains("# why\n@5ms $ dump-conntrack -m\n    < a\n    ovs < b\n"),
        "{text}"
    );
    assert!(text.contains("@6ms $ ct-bkts\n    < refused\n"), "{text}");
    let again = Case::parse("x.case", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert!(again.is_split() && !case.is_split());
    assert_eq!(ovs.differences(&again, Side::Ovs), "");
    assert_eq!(weir.differences(&again, Side::Weir), "");
    assert!(
        weir.differences(&again, Side::Ovs)
            .contains("@5ms $ dump-conntrack -m")
    );
}

#[test]
fn errors_point_at_the_text() {
    let error = |old: &str, new: &str| {
        let text = CASE.replace(old, new);
        Case::parse("x.case", &text).expect_err(new).to_string()
    };
    assert!(error("[flows]", "[flow]").contains("x.case:9:1: unknown section"));
    assert!(error("[flows]", "[flow]").contains("did you mean `flows`?"));
    assert!(error("@1s", "@0s").contains("x.case:15:1: comes no later than the one before"));
    let late = |line: &str| error("@1s 2", &format!("{line}\n@1s 2"));
    assert!(late("@2ms 1 udp").contains("expected `@TIME PORT: PACKET` or `@TIME $ COMMAND`"));
    assert!(late("    < a").contains("x.case:15:5: answers no question"));
    assert!(error("@1s 2", "@1s 3").contains("port 3 is not in [ports]"));
    assert!(error("tag=10", "tag").contains("x.case:7:3: expected KEY=VALUE"));
    assert!(error("udp 10.0.0.1:1 >", "udp 10.0.0.1 >").contains("x.case:14:"));
}
