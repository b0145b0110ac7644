//! Cases worth a name.

use std::time::Duration;

use weir_tables::action::{Action, Instructions, TableId};
use weir_tables::field::Field;
use weir_tables::flow_mod::{Command, FlowMod};
use weir_tables::matching::Match;
use weir_tables::port::PortNo;

use crate::text::{
    Options, Strictness, flow_text, instructions_text, match_text, parse_actions, parse_filter,
    parse_flow, parse_flow_file, parse_match,
};

fn flow(text: &str) -> FlowMod {
    parse_flow(text, &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn file(text: &str) -> Vec<FlowMod> {
    let options = Options {
        name: "test.flows",
        ..Options::default()
    };
    let flows = parse_flow_file(text, &options).unwrap_or_else(|errors| panic!("{errors:?}"));
    flows.into_iter().map(|flow| flow.value).collect()
}

#[test]
fn a_file_may_hold_a_dump_comments_and_empty_lines() {
    let flows = file(
        "# a policy\n\
         OFPST_FLOW reply (OF1.3) (xid=0x2):\n\
         \x20cookie=0x0, duration=1.5s, table=1, n_packets=2, n_bytes=3, ip actions=drop\n\
         \r\n\
         NXST_FLOW reply (xid=0x4):\n\
         \t priority=5 arp actions=NORMAL # not for long\n",
    );
    let printed: Vec<_> = flows
        .iter()
        .map(|flow| flow_text(flow).to_string())
        .collect();
    assert_eq!(
        printed,
        ["table=1, ip actions=drop", "priority=5,arp actions=NORMAL"]
    );
}

#[test]
fn a_quoted_number_sign_begins_no_comment() {
    let ports = |name: &str| (name == "a#1").then_some(PortNo(7));
    let options = Options {
        ports: &ports,
        ..Options::default()
    };
    let flows = parse_flow_file("in_port=\"a#1\",actions=output:\"a#1\"#x", &options);
    let flows = flows.expect("the port is known");
    assert_eq!(
        flow_text(&flows[0].value).to_string(),
        "in_port=7 actions=output:7"
    );
}

#[test]
fn a_line_may_begin_with_a_command_or_the_beginning_of_one() {
    use Command::{Add, Delete, DeleteStrict, Modify, ModifyStrict};
    let words = [
        ("add ip,actions=drop", Add),
        ("a,ip,actions=drop", Add),
        ("ip,actions=drop", Add),
        ("arp,actions=drop", Add),
        ("modify ip,actions=drop", Modify),
        ("m ip,actions=drop", Modify),
        ("modify_s ip,actions=drop", ModifyStrict),
        ("delete ip", Delete),
        ("del ip", Delete),
        ("d", Delete),
        ("delete_strict ip,priority=5", DeleteStrict),
        ("delete_ ip", DeleteStrict),
    ];
    for (line, command) in words {
        assert_eq!(file(line)[0].command, command, "{line}");
    }
}

#[test]
fn an_error_in_a_file_names_its_line_and_the_others_are_told_too() {
    let text = "ip,actions=drop\n# x\nprioritty=1,actions=drop\r\narp,actions=nomral\n";
    let options = Options {
        name: "policy.flows",
        ..Options::default()
    };
    let errors = parse_flow_file(text, &options).expect_err("two lines are wrong");
    let shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "policy.flows:3:1: unknown keyword prioritty\n  prioritty=1,actions=drop\n  \
             ^^^^^^^^^ did you mean priority?",
            "policy.flows:4:13: unknown action nomral\n  arp,actions=nomral\n              \
             ^^^^^^ did you mean normal?",
        ]
    );
}

#[test]
fn errors_of_a_hopeless_file_are_bounded() {
    let text = "rubbish\n".repeat(10_000);
    let errors = parse_flow_file(&text, &Options::default()).expect_err("nothing is right");
    assert_eq!(errors.len(), 50);
}

#[test]
fn a_later_stage_can_point_at_the_line() {
    let options = Options {
        name: "policy.flows",
        ..Options::default()
    };
    let flows = parse_flow_file("\n  mpls,actions=drop\n", &options).expect("it parses");
    assert_eq!(
        flows[0].error("mpls is not supported yet").to_string(),
        "policy.flows:2:3: mpls is not supported yet\n    mpls,actions=drop\n    \
         ^^^^^^^^^^^^^^^^^"
    );
}

#[test]
fn what_is_not_said_of_a_flow_to_add_is_zero() {
    let added = flow("actions=drop");
    assert_eq!((added.table, added.new_cookie), (Some(TableId(0)), Some(0)));
    let modified = file("modify actions=drop").remove(0);
    assert_eq!((modified.table, modified.new_cookie), (None, None));
    assert_eq!(flow("table=255,actions=drop").table, Some(TableId(0)));
}

#[test]
fn cookies_set_or_select() {
    let modified = file("modify cookie=1/-1,cookie=2,actions=drop").remove(0);
    assert_eq!(modified.cookie_filter, Some((1, u64::MAX)));
    assert_eq!(modified.new_cookie, Some(2));
    let filter = parse_filter("cookie=0xff/0x0f", Strictness::Loose, &Options::default());
    assert_eq!(
        filter.expect("a mask is there").cookie_filter,
        Some((0x0f, 0x0f))
    );
}

#[test]
fn filters_take_what_commands_of_ovs_ofctl_take() {
    let options = Options::default();
    let loose = parse_filter(
        "table=5,ip,out_port=LOCAL,out_group=7",
        Strictness::Loose,
        &options,
    )
    .expect("all of it is allowed");
    assert_eq!(loose.table, Some(TableId(5)));
    assert_eq!(
        (loose.out_port, loose.out_group),
        (Some(PortNo::LOCAL), Some(7))
    );
    assert_eq!(
        parse_filter("", Strictness::Loose, &options).map(|all| all.table),
        Ok(None)
    );
    let strict = parse_filter("priority=5,ip", Strictness::Strict, &options);
    assert_eq!(strict.map(|one| one.priority), Ok(5));
}

#[test]
fn quoted_names_may_hold_separators_and_escapes() {
    let ports = |name: &str| (name == "a,b \"c\"\u{e9}").then_some(PortNo(3));
    let options = Options {
        ports: &ports,
        ..Options::default()
    };
    let text = r#"in_port="a,b \"c\"\u00e9",actions="a,b \"c\"\u00e9",output:"a,b \"c\"\u00e9""#;
    let flow = parse_flow(text, &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        flow_text(&flow).to_string(),
        "in_port=3 actions=output:3,output:3"
    );
}

#[test]
fn reserved_ports_have_one_number_whatever_their_spelling() {
    let spellings = ["LOCAL", "local", "65534", "4294967294"];
    for spelling in spellings {
        let flow = flow(&format!("in_port={spelling},actions={spelling}"));
        let local = u128::from(PortNo::LOCAL.0);
        assert_eq!(
            flow.matches.term(Field::IN_PORT_OXM),
            (local, 0xffff_ffff),
            "{spelling}"
        );
        assert_eq!(
            flow.instructions.apply,
            [Action::Output(PortNo::LOCAL)],
            "{spelling}"
        );
    }
}

#[test]
fn parts_of_a_flow_print_alone() {
    let matches =
        |text| parse_match(text, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let tcp = matches("tcp,nw_dst=10.0.0.1,reg0=1/3");
    assert_eq!(
        match_text(&tcp).to_string(),
        "tcp,reg0=0x1/0x3,nw_dst=10.0.0.1"
    );
    assert_eq!(match_text(&Match::ANY).to_string(), "");
    let values = [
        "dl_src=02:00:00:00:00:01",
        "ct_state=-new+trk",
        "ipv6,ipv6_dst=fe80::/10",
    ];
    for text in values {
        assert_eq!(match_text(&matches(text)).to_string(), text);
    }
    let actions = |text| {
        let apply = parse_actions(text, &tcp, &Options::default());
        let apply = apply.unwrap_or_else(|error| panic!("{error}"));
        instructions_text(&Instructions {
            apply,
            ..Instructions::default()
        })
        .to_string()
    };
    assert_eq!(
        actions("mod_tp_dst:5,output:1"),
        "set_field:5->tcp_dst,output:1"
    );
    assert_eq!(actions("drop"), "drop");
}

/// Nothing about a line may take longer than a moment, whatever it holds.
#[test]
fn long_lines_are_read_in_bounded_time() {
    let lines = [
        "(".repeat(100_000),
        format!("actions={}", "ct(".repeat(30_000)),
        format!("actions={}", "output:1,".repeat(30_000)),
        format!("actions=note:{}", "ab.".repeat(60_000)),
        format!("ct_state={}", "+trk".repeat(30_000)),
        format!("actions=ct(exec({}))", "ct(exec(".repeat(10_000)),
        "reg0=1,".repeat(30_000),
        "\"".repeat(100_000),
        format!("{}actions=drop", "1".repeat(100_000)),
    ];
    for line in lines {
        let start = std::time::Instant::now();
        let _ = parse_flow(&line, &Options::default()).map_err(|error| error.to_string());
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{}...",
            &line[..20]
        );
    }
}
