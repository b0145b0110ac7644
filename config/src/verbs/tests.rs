use std::path::PathBuf;

use clap::Parser;

use super::{Call, Exit, Layout, VerbError, print};
use crate::cli::Cli;
use crate::control::{ClientError, Failure, FlowStyle, Frame, PortChange, SortBy, Verb};
use crate::file::Config;
use crate::show::{AggregateRow, DropRow, FlowRow, FlowTableRow, Statistics};

fn call(line: &str) -> Call {
    let cli = Cli::try_parse_from(line.split(' ')).expect("a command line");
    Call::new(cli.command).expect("a request")
}

fn printed(layout: Layout, frames: Vec<Frame>) -> String {
    let mut out = Vec::new();
    print(layout, frames.into_iter().map(Ok), &mut out).expect("printed");
    String::from_utf8(out).expect("text")
}

fn flow(table: u8) -> FlowRow {
    FlowRow {
        table,
        priority: 1,
        actions: "drop".to_owned(),
        ..FlowRow::default()
    }
}

#[test]
fn one_argument_is_left_to_the_switch() {
    let request = call("weir dump-flows tcp").request;
    assert_eq!(request.bridge, None);
    assert_eq!(
        request.verb,
        Verb::DumpFlows {
            matching: Some("tcp".to_owned()),
            style: FlowStyle::default(),
        }
    );
    let request = call("weir del-flows --strict br0 tcp").request;
    assert_eq!(request.bridge.as_deref(), Some("br0"));
    assert_eq!(
        request.verb,
        Verb::DelFlows {
            strict: true,
            matching: Some("tcp".to_owned())
        }
    );
}

#[test]
fn the_socket_is_an_option() {
    assert_eq!(
        call("weir show --socket /x/y.sock").socket,
        PathBuf::from("/x/y.sock")
    );
}

#[test]
fn the_client_reads_the_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(at("a.flows"), "actions=drop\n").expect("written");
    let toml = "[[port]]\nname = \"a\"\nid = 1\n[bridge]\nflows = [\"a.flows\"]\n";
    std::fs::write(at("a.toml"), toml).expect("written");
    let Verb::AddFlows { file } = call(&format!("weir add-flows {}", at("a.flows")))
        .request
        .verb
    else {
        panic!("another verb")
    };
    assert_eq!(
        (file.name, file.text),
        (at("a.flows"), "actions=drop\n".to_owned())
    );
    let Verb::Reload {
        files: Some(files),
        dry_run: true,
        exact: false,
        confirm: None,
    } = call(&format!("weir reload --dry-run {}", at("a.toml")))
        .request
        .verb
    else {
        panic!("another verb")
    };
    assert_eq!(files.config.name, at("a.toml"));
    assert_eq!(files.flows[0].text, "actions=drop\n");
}

#[test]
fn flows_print_under_one_heading() {
    let layout = call("weir dump-flows").layout;
    let frames = vec![Frame::Flows(vec![flow(0)]), Frame::Flows(vec![flow(1)])];
    assert_eq!(
        printed(layout, frames),
        "\
OFPST_FLOW reply (OF1.3) (xid=0x2):
 cookie=0x0, duration=0s, table=0, n_packets=0, n_bytes=0, idle_age=0, priority=1 actions=drop
 cookie=0x0, duration=0s, table=1, n_packets=0, n_bytes=0, idle_age=0, priority=1 actions=drop
"
    );
    assert_eq!(
        printed(layout, vec![]),
        "OFPST_FLOW reply (OF1.3) (xid=0x2):\n"
    );
    let layout = call("weir dump-flows --no-stats").layout;
    assert_eq!(
        printed(layout, vec![Frame::Flows(vec![flow(1)])]),
        " table=1, priority=1 actions=drop\n"
    );
}

#[test]
fn json_is_one_array_however_many_frames() {
    let layout = call("weir dump-flows --json").layout;
    let text = printed(
        layout,
        vec![
            Frame::Flows(vec![flow(0), flow(1)]),
            Frame::Flows(vec![flow(2)]),
        ],
    );
    let rows: Vec<FlowRow> = serde_json::from_str(&text).expect("an array");
    assert_eq!(rows, [flow(0), flow(1), flow(2)]);
    assert_eq!(printed(layout, vec![]), "[]\n");
}

#[test]
fn a_refused_request_prints_nothing() {
    let mut out = Vec::new();
    let replies = [Err(ClientError::Failed(Failure::input("argument:1:1: no")))];
    let error = print(call("weir dump-flows x").layout, replies, &mut out).expect_err("refused");
    assert_eq!(
        (error.exit(), error.to_string().as_str()),
        (Exit::Input, "argument:1:1: no")
    );
    assert!(out.is_empty());
}

#[test]
fn an_answer_to_another_question_is_an_error() {
    let row = DropRow {
        reason: String::new(),
        packets: 0,
        sentence: String::new(),
    };
    let replies = [Ok(Frame::Drops(vec![row]))];
    let error = print(Layout::JsonObject, replies, &mut Vec::new()).expect_err("no object");
    assert!(matches!(error, VerbError::Output(_)));
}

#[test]
fn exit_codes_are_those_of_the_manual() {
    let unreachable = Failure::unreachable("the switch is stopping");
    let error = VerbError::from(ClientError::Failed(unreachable));
    assert_eq!(error.exit(), Exit::Unreachable);
    let cli = Cli::try_parse_from(["weir", "show", "--socket", "/nonexistent/x"]).expect("valid");
    assert_eq!(super::execute(cli.command), Exit::Unreachable);
    let cli = Cli::try_parse_from(["weir", "add-flows", "/nonexistent/x"]).expect("valid");
    assert_eq!(super::execute(cli.command), Exit::Input);
}

#[test]
fn flows_are_read_from_the_statistics_choice() {
    assert_eq!(
        call("weir dump-flows --no-stats").layout,
        Layout::Text {
            heading: "",
            statistics: Statistics::Omitted
        }
    );
}

fn output(line: &str) -> Result<String, VerbError> {
    let cli = Cli::try_parse_from(line.split(' ')).expect("a command line");
    let mut out = Vec::new();
    super::attempt(cli.command, &mut out)?;
    Ok(String::from_utf8(out).expect("text"))
}

#[test]
fn every_example_checks_and_what_is_printed_is_a_configuration() {
    for (name, first) in [
        ("complete", 3),
        ("dual-stack-firewall", 8),
        ("firewall-over-tunnel", 3),
        ("floating-ips", 14),
        ("load-balancer", 15),
        ("masquerade", 8),
        ("overlay", 4),
        ("stateful-firewall", 3),
        ("vpc-computeA", 8),
    ] {
        let text = output(&format!("weir check ../examples/{name}.toml")).expect("it is right");
        let config = Config::parse("printed.toml", &text).expect("it reads back");
        config.require_devices().expect("all have one");
        let flows = format!("\n# table 0: {first} flows with ");
        assert!(text.contains(&flows), "{text}");
    }
}

#[test]
fn the_policies_of_compute_hosts_check_with_their_supplements() {
    for (name, table0) in [("vpc-compute1", 6), ("vpc-compute2", 5)] {
        let text = output(&format!("weir check ../examples/{name}.toml")).expect("it is right");
        let config = Config::parse("printed.toml", &text).expect("it reads back");
        config.require_devices().expect("each port has one");
        assert!(text.contains("\n# 1 groups\n"), "{text}");
        let expected = format!("\n# table 0: {table0} flows with ");
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
fn a_wrong_flow_file_fails_the_check() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let toml =
        "[[port]]\nname = \"a\"\nid = 1\nvdev = \"net_null0\"\n[bridge]\nflows = [\"a.flows\"]\n";
    std::fs::write(at("a.toml"), toml).expect("written");
    std::fs::write(
        at("a.flows"),
        "actions=drop\nactions=output:b\narp actions=group:7\n",
    )
    .expect("written");
    let error = output(&format!("weir check {}", at("a.toml"))).expect_err("wrong");
    assert_eq!(error.exit(), Exit::Input);
    assert!(
        error
            .to_string()
            .starts_with(&format!("{}:2:16: ", at("a.flows"))),
        "{error}"
    );
}

/// What a file says of Geneve options is known to its flows and its groups, and is printed.
#[test]
fn a_check_knows_the_options_of_its_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let flows = "in_port=1,tun_metadata0=0x5/0xff actions=set_field:1->tun_metadata63,group:1\n";
    let groups = "group_id=1,type=select,selection_method=hash,fields=tun_metadata0,bucket=1\n";
    std::fs::write(at("a.flows"), flows).expect("written");
    std::fs::write(at("a.groups"), groups).expect("written");
    let policy = "[[port]]\nname = \"a\"\nid = 1\nvdev = \"net_tap0\"\n\
        [bridge]\nflows = [\"a.flows\"]\ngroups = [\"a.groups\"]\n";
    let option = |field: &str, len: u8| {
        format!(
            "[[geneve_option]]\nclass = 0x102\ntype = {len}\nlen = {len}\nfield = \"{field}\"\n"
        )
    };
    let check = |options: &str| {
        std::fs::write(at("a.toml"), format!("{policy}{options}")).expect("written");
        output(&format!("weir check {}", at("a.toml")))
    };
    let both = option("tun_metadata0", 4) + &option("tun_metadata63", 124);
    let printed = check(&both).expect("it is right");
    let config = Config::parse("printed.toml", &printed).expect("it reads back");
    assert_eq!(config.options.len(), 2);
    assert!(printed.contains("\n# table 0: 1 flows with "), "{printed}");

    // The first that is missing is the group's.
    for (options, place) in [
        (String::new(), "a.groups:1:"),
        (option("tun_metadata0", 4), "a.flows:1:"),
        (option("tun_metadata63", 124), "a.groups:1:"),
    ] {
        let error = check(&options).expect_err("a field stands for nothing");
        let error = error.to_string();
        let place = at("").to_owned() + place;
        assert!(error.contains(&place), "{options}: {error}");
        assert!(error.contains("NXFMFC_INVALID_TLV_FIELD"), "{error}");
    }
    let room = check(&(both + &option("tun_metadata7", 124) + &option("tun_metadata8", 8)));
    let room = room.expect_err("256 bytes are all").to_string();
    assert!(room.contains("NXTTMFC_"), "{room}");
}

#[test]
fn a_port_without_device_fails_the_check() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.toml").display().to_string();
    std::fs::write(&path, "[[port]]\nname = \"a\"\nid = 1\n").expect("written");
    let error = output(&format!("weir check {path}")).expect_err("wrong");
    assert!(
        error
            .to_string()
            .starts_with(&format!("{path}:1:1: port a has no device\n"))
    );
}

#[test]
fn parsed_flows_print_canonically() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.flows").display().to_string();
    std::fs::write(&path, "# all\n priority=5 arp action=normal\n").expect("written");
    let text = output(&format!("weir parse-flows {path}")).expect("right");
    assert_eq!(text, "priority=5,arp actions=NORMAL\n");
    std::fs::write(&path, "actions=drop\nactions=fly\nactions=swim\n").expect("written");
    let error = output(&format!("weir parse-flows {path}"))
        .expect_err("wrong")
        .to_string();
    assert!(error.starts_with(&format!("{path}:2:9: ")), "{error}");
    assert!(error.contains(&format!("\n{path}:3:9: ")), "{error}");
}

#[test]
fn a_trace_is_for_a_file_or_for_a_switch() {
    let args = |words: &[&str]| match Cli::try_parse_from([&["weir", "trace"], words].concat()) {
        Ok(Cli {
            command: crate::cli::Command::Trace(args),
        }) => args,
        other => panic!("{other:?}"),
    };
    let file = args(&["x.toml", "in_port=1,tcp"]);
    let path = std::path::Path::new("x.toml");
    assert_eq!(file.file(), Some((path, Some("in_port=1,tcp"))));
    assert_eq!(args(&["x.toml"]).file(), Some((path, None)));
    let bridge = args(&[
        "br0",
        "in_port=1",
        "--ct-next",
        "trk,est",
        "--ct-next",
        "trk,new",
    ]);
    assert_eq!(bridge.file(), None);
    let call = Call::new(crate::cli::Command::Trace(bridge)).expect("a request");
    assert_eq!(call.request.bridge.as_deref(), Some("br0"));
    assert_eq!(
        call.request.verb,
        Verb::Trace {
            flow: "in_port=1".to_owned(),
            packet: None,
            ct_next: vec!["trk,est".to_owned(), "trk,new".to_owned()],
        }
    );
    let alone = Call::new(crate::cli::Command::Trace(args(&["in_port=1", "--json"])));
    let alone = alone.expect("a request");
    assert_eq!(
        (alone.request.bridge, alone.layout),
        (None, Layout::JsonObject)
    );
}

#[test]
fn exit_codes_of_a_trace_say_whose_fault_it_is() {
    let run = |words: &[&str]| {
        let words = [&["weir", "trace", "--socket", "/nowhere/weir.sock"], words].concat();
        super::execute(Cli::try_parse_from(words).expect("a command line").command)
    };
    assert_eq!(run(&["in_port=1"]), Exit::Unreachable);
    assert_eq!(run(&["/nowhere/x.toml", "in_port=1"]), Exit::Input);
    assert_eq!(run(&["/nowhere/x.toml"]), Exit::Input);
}

#[test]
fn only_the_plain_dump_has_a_heading() {
    for (line, heading) in [
        ("weir dump-flows --no-names", crate::show::FLOWS_HEADER),
        ("weir dump-flows --names", ""),
        ("weir dump-flows --sort", ""),
        ("weir dump-flows --rsort=tp_dst br0 tcp", ""),
    ] {
        let statistics = Statistics::Shown;
        assert_eq!(
            call(line).layout,
            Layout::Text {
                heading,
                statistics
            },
            "{line}"
        );
    }
    let style = |line: &str| match call(line).request.verb {
        Verb::DumpFlows { style, .. } => style,
        other => panic!("{other:?}"),
    };
    let by = |field: &str, descending| SortBy {
        field: field.to_owned(),
        descending,
    };
    let sorted = style("weir dump-flows --rsort --sort=tp_dst --rsort=in_port --names br0 tcp");
    assert!(sorted.names);
    assert_eq!(
        sorted.sort,
        [
            by("priority", true),
            by("tp_dst", false),
            by("in_port", true)
        ]
    );
    assert_eq!(
        style("weir dump-flows --sort=in_port").sort,
        [by("in_port", false)]
    );
}

#[test]
fn a_port_is_changed_by_the_words_of_open_vswitch() {
    let request = call("weir mod-port br0 weir0 no-flood").request;
    assert_eq!(request.bridge.as_deref(), Some("br0"));
    let change = PortChange::NoFlood;
    let port = "weir0".to_owned();
    assert_eq!(request.verb, Verb::ModPort { port, change });
    assert_eq!(call("weir mod-port 3 up").request.bridge, None);
    for (line, message) in [
        (
            "weir mod-port 3 dawn",
            "mod-port: unknown action dawn: did you mean down?",
        ),
        (
            "weir mod-port 3 no-packet-in",
            "mod-port: no-packet-in is not supported: a packet that no flow matches is never sent \
             to a controller",
        ),
        (
            "weir mod-port 3 stp",
            "mod-port: stp is not supported: there is no spanning tree",
        ),
    ] {
        let cli = Cli::try_parse_from(line.split(' ')).expect("a command line");
        let error = Call::new(cli.command).expect_err("no such action");
        assert_eq!(
            (error.exit().code(), error.to_string().as_str()),
            (2, message)
        );
    }
}

#[test]
fn sums_and_tables_print_as_open_vswitch_does() {
    let layout = call("weir dump-aggregate").layout;
    let row = AggregateRow {
        packet_count: 5,
        byte_count: 490,
        flow_count: 2,
    };
    assert_eq!(
        printed(layout, vec![Frame::Aggregate(row)]),
        "OFPST_AGGREGATE reply (OF1.3) (xid=0x2): packet_count=5 byte_count=490 flow_count=2\n"
    );
    let layout = call("weir dump-tables").layout;
    let row = |table, active, matched| FlowTableRow {
        table,
        active,
        matched,
    };
    let rows = vec![row(0, 1, 5), row(3, 1, 0), row(4, 1, 0)];
    assert_eq!(
        printed(layout, vec![Frame::Tables(rows)]),
        "\
OFPST_TABLE reply (OF1.3) (xid=0x2):
  table 0:
    active=1, lookup=?, matched=5

  table 1:
    active=0, lookup=?, matched=0

  table 2: ditto

  table 3:
    active=1, lookup=?, matched=0

  table 4: ditto

  table 5:
    active=0, lookup=?, matched=0

  tables 6...253: ditto
"
    );
}

fn diff(left: &str, right: &str) -> (String, Result<(), VerbError>) {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(at("a"), left).expect("written");
    std::fs::write(at("b"), right).expect("written");
    let line = ["weir", "diff-flows", &at("a"), &at("b")];
    let cli = Cli::try_parse_from(line).expect("a command line");
    let mut out = Vec::new();
    let done = super::attempt(cli.command, &mut out);
    (String::from_utf8(out).expect("text"), done)
}

#[test]
fn files_that_say_the_same_do_not_differ() {
    let (text, done) = diff(
        "OFPST_FLOW reply (OF1.3) (xid=0x2):\n cookie=0x0, n_packets=5, ip,nw_proto=6 actions=drop\n",
        "tcp actions=drop # the same\n",
    );
    done.expect("no difference");
    assert_eq!(text, "");
}

#[test]
fn files_that_differ_are_shown_as_open_vswitch_shows_them() {
    let (text, done) = diff(
        "ip actions=drop\ntable=3,priority=7,in_port=1,tcp actions=output:2,resubmit(1,4)\nactions=drop\n",
        "ip actions=drop\ntable=3,priority=7,in_port=1,tcp,cookie=5,idle_timeout=5 actions=output:2\n\
         arp actions=1,2\n",
    );
    let error = done.expect_err("a difference");
    assert_eq!((error.exit(), error.exit().code()), (Exit::Differ, 2));
    assert_eq!(
        text,
        "\
- actions=drop
+arp actions=output:1,output:2
-table=3 priority=7,tcp,in_port=1 actions=output:2,resubmit(1,4)
+table=3 priority=7,tcp,in_port=1 cookie=0x5 idle_timeout=5 actions=output:2
"
    );
    let (_, done) = diff("delete tcp\n", "arp actions=drop\n");
    let error = done.expect_err("not flows");
    assert_eq!(error.exit(), Exit::Input);
    assert!(
        error
            .to_string()
            .contains("a:1:1: flows to compare are flows to add"),
        "{error}"
    );
}

#[test]
fn queues_are_asked_for_of_all_lcores_over_a_minute_unless_said_otherwise() {
    let asked = |lcore, seconds| Verb::PmdRxqShow { lcore, seconds };
    for (line, bridge, verb) in [
        ("weir pmd-rxq-show", None, asked(None, 60)),
        ("weir pmd-rxq-show br0 --json", Some("br0"), asked(None, 60)),
        (
            "weir pmd-rxq-show --secs 5 --pmd 3 br0",
            Some("br0"),
            asked(Some(3), 5),
        ),
    ] {
        let request = call(line).request;
        assert_eq!((request.bridge.as_deref(), request.verb), (bridge, verb));
    }
    for line in ["--pmd x", "--secs 0", "--secs 61"] {
        let words = "weir pmd-rxq-show".split(' ').chain(line.split(' '));
        assert_eq!(Cli::try_parse_from(words).expect_err(line).exit_code(), 2);
    }
}
