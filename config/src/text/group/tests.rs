use proptest::prelude::*;

use super::*;
use crate::text::group_mod_text;
use crate::text::tests::generate::group_mods;

fn options(command: GroupCommand) -> GroupOptions<'static> {
    GroupOptions {
        command,
        ..GroupOptions::default()
    }
}

/// As `ovs-ofctl -O OpenFlow13 dump-groups` prints it, but for `bucket_id`, which that cannot
/// print.
#[test]
fn what_is_read_is_printed_as_open_vswitch_does_and_reads_as_the_same() {
    for (text, printed) in [
        (
            "group_id=1234,type=all,bucket=output:10",
            "group_id=1234,type=all,bucket=actions=output:10",
        ),
        ("group_id=1 type=all", "group_id=1,type=all"),
        (
            "group_id=7,type=select,bucket=weight=100,actions=1,bucket=weight:1,NORMAL,bucket=weight=0,output=3",
            "group_id=7,type=select,bucket=weight:100,actions=output:1,bucket=actions=NORMAL,\
             bucket=weight:0,actions=output:3",
        ),
        (
            "group_id=2,type=fast_failover,bucket=watch_port=3,watch_group:9,actions=output:1,output:2",
            "group_id=2,type=ff,bucket=watch_port:3,watch_group:9,actions=output:1,output:2",
        ),
        (
            "group_id=3,type=indirect,bucket=actions=ct(commit,table=2,nat(dst=10.0.0.1:80)),mod_nw_dst:1.2.3.4,dec_ttl",
            "group_id=3,type=indirect,bucket=actions=ct(commit,table=2,nat(dst=10.0.0.1:80)),\
             set_field:1.2.3.4->ip_dst,dec_ttl",
        ),
        (
            "group_id=4,type=select,selection_method=hash,fields(tcp_dst,ip_dst=255.255.255.0,eth_dst),bucket=1",
            "group_id=4,type=select,selection_method=hash,\
             fields(eth_dst,ip_dst=255.255.255.0,tcp_dst),bucket=actions=output:1",
        ),
        (
            "group_id=4,type=select,selection_method=hash,selection_method_param=0x10,fields=nw_src,bucket=1",
            "group_id=4,type=select,selection_method=hash,selection_method_param=16,\
             fields=ip_src,bucket=actions=output:1",
        ),
        (
            "group_id=5,type=select,selection_method=dp_hash,bucket=bucket_id=0,1,bucket=bucket_id=1,2",
            "group_id=5,type=select,selection_method=dp_hash,bucket=actions=output:1,\
             bucket=actions=output:2",
        ),
        (
            "group_id=6,type=all,bucket=bucket_id=7,actions=drop,bucket=actions=resubmit(,5)",
            "group_id=6,type=all,bucket=bucket_id:7,actions=drop,bucket=actions=resubmit(,5)",
        ),
    ] {
        let read = parse_group(text, &GroupOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(group_mod_text(&read).to_string(), printed, "{text}");
        // The places of buckets are their numbers, if none was given.
        let again = parse_group(printed, &GroupOptions::default()).unwrap();
        assert_eq!(group_mod_text(&again).to_string(), printed);
    }
}

#[test]
fn a_line_of_a_file_may_say_what_is_done() {
    let file = "\
        OFPST_GROUP_DESC reply (OF1.3) (xid=0x2):\n \
        group_id=1,type=all,bucket=actions=output:1\n\
        # a comment\n\
        add_or_mod group_id=2,type=all\n\
        mod group_id=2,type=indirect,bucket=1 # another\n\
        insert_bucket group_id=2,command_bucket_id=first,bucket=weight=5,2\n\
        insert group_id=2,command_bucket_id=0xff,bucket=bucket_id=9,2\n\
        remove_bucket group_id=2\n\
        remove group_id=2,command_bucket_id=last\n\
        delete group_id=1\n\
        delete group_id=all\n\
        del\n";
    let read = parse_group_file(file, &GroupOptions::default()).unwrap();
    let printed: Vec<String> = read
        .iter()
        .map(|group| group_mod_text(&group.value).to_string())
        .collect();
    assert_eq!(
        printed,
        [
            "group_id=1,type=all,bucket=actions=output:1",
            "add_or_mod group_id=2,type=all",
            "modify group_id=2,type=indirect,bucket=actions=output:1",
            "insert_bucket group_id=2,command_bucket_id=first,bucket=weight:5,actions=output:2",
            "insert_bucket group_id=2,command_bucket_id=255,bucket=bucket_id:9,actions=output:2",
            "remove_bucket group_id=2,command_bucket_id=all",
            "remove_bucket group_id=2,command_bucket_id=last",
            "delete group_id=1",
            "delete group_id=all",
            "delete group_id=all",
        ]
    );
    let again = parse_group_file(&printed.join("\n"), &GroupOptions::default()).unwrap();
    assert!(read.iter().zip(&again).all(|(a, b)| a.value == b.value));
    assert_eq!(read[1].line, 4);
}

#[test]
fn errors_point_at_the_text() {
    let add = GroupCommand::Add;
    for (command, text, message, found) in [
        (add, "type=all", "missing group_id", ""),
        (add, "group_id=1", "missing type", ""),
        (
            add,
            "group_id=4294967041,type=all",
            "group out of range",
            "4294967041",
        ),
        (add, "group_id=1,type=some", "unknown type some", "some"),
        (add, "group_id=1,tipe=all", "unknown keyword tipe", "tipe"),
        (
            add,
            "group_id=all,type=all",
            "all groups can only be deleted",
            "all",
        ),
        (
            add,
            "group_id=1,type=all,bucket=weight=1,2",
            "only buckets of a select group have a weight",
            "weight=1",
        ),
        (
            add,
            "group_id=1,type=all,bucket=",
            "a bucket needs actions",
            "",
        ),
        (
            add,
            "group_id=1,type=select,bucket=weight=5",
            "a bucket needs actions",
            "weight=5",
        ),
        (
            add,
            "group_id=1,type=select,bucket=weight=65536,1",
            "weight out of range",
            "65536",
        ),
        (
            add,
            "group_id=1,type=ff,bucket=actions=1",
            "a fast failover bucket watches something",
            "actions=1",
        ),
        (
            add,
            "group_id=1,type=ff,bucket=watch_port=LOCAL,1",
            "LOCAL cannot be watched",
            "LOCAL",
        ),
        (
            add,
            "group_id=1,type=indirect,bucket=1,bucket=2",
            "an indirect group has one bucket",
            "2",
        ),
        (
            add,
            "group_id=1,type=all,bucket=actions=foo",
            "unknown action foo",
            "foo",
        ),
        (
            add,
            "group_id=1,type=all,bucket=exit",
            "exit does nothing in a bucket",
            "exit",
        ),
        (
            add,
            "group_id=1,type=all,bucket=actions=goto_table:1",
            "goto_table is not an action",
            "goto_table:1",
        ),
        (
            add,
            "group_id=1,type=all,bucket=conjunction(1,1/2)",
            "conjunction does nothing in a bucket",
            "conjunction(1,1/2)",
        ),
        (
            add,
            "group_id=1,type=select,selection_method=crc,bucket=1",
            "unknown selection method crc",
            "crc",
        ),
        (
            add,
            "group_id=1,type=select,fields=ip_dst,bucket=1",
            "fields need selection_method=hash",
            "group_id=1,type=select,fields=ip_dst,bucket=1",
        ),
        (
            add,
            "group_id=1,type=select,selection_method_param=1",
            "selection_method_param needs a selection_method",
            "group_id=1,type=select,selection_method_param=1",
        ),
        (
            add,
            "group_id=1,type=select,selection_method=hash,fields(ip_dst,nw_dst)",
            "nw_dst is given twice",
            "nw_dst",
        ),
        (
            add,
            "group_id=1,type=select,selection_method=hash,fields(ip_dst=0.0.0.0)",
            "not a mask for ip_dst",
            "0.0.0.0",
        ),
        (
            add,
            "group_id=1,type=all,command_bucket_id=1",
            "command_bucket_id is not allowed here",
            "command_bucket_id=1",
        ),
        (
            GroupCommand::Delete,
            "group_id=1,bucket=1",
            "buckets are not allowed here",
            "1",
        ),
        (
            GroupCommand::RemoveBuckets,
            "group_id=1,type=all",
            "type is not allowed here",
            "type=all",
        ),
        (
            GroupCommand::InsertBuckets,
            "group_id=1,bucket=1",
            "missing command_bucket_id",
            "",
        ),
        (
            GroupCommand::InsertBuckets,
            "group_id=1,command_bucket_id=all,bucket=1",
            "not a place for buckets",
            "all",
        ),
        (
            GroupCommand::InsertBuckets,
            "group_id=1,command_bucket_id=0xffffff01,bucket=1",
            "bucket out of range",
            "0xffffff01",
        ),
    ] {
        let error = parse_group(text, &options(command)).expect_err(text);
        assert_eq!(error.message, message, "{text}");
        let column = error.column;
        assert_eq!(&text[column - 1..][..found.len()], found, "{text}");
    }
}

#[test]
fn a_bundle_has_flows_and_groups() {
    let steps = parse_bundle_file(
        "bundle",
        "group add group_id=1,type=all\nflow ip,actions=group:1\n\nflow delete\ngroup delete",
        &(),
    )
    .unwrap();
    let kinds: Vec<_> = steps
        .iter()
        .map(|step| (step.line, matches!(step.value, BundleStep::Flow(_))))
        .collect();
    assert_eq!(kinds, [(1, false), (2, true), (4, true), (5, false)]);
    for (text, message) in [
        (
            "packet-out in_port=1",
            "packet-out is not supported yet in a bundle",
        ),
        ("ip,actions=drop", "not a step of a bundle"),
        ("group group_id=1", "missing type"),
    ] {
        let errors = parse_bundle_file("bundle", text, &()).unwrap_err();
        assert_eq!(errors[0].message, message);
    }
}

#[test]
fn which_group_to_show() {
    for (text, id) in [("group_id=5", Some(5)), ("0x10", Some(16)), ("all", None)] {
        assert_eq!(parse_group_id(text), Ok(id));
    }
    assert!(parse_group_id("five").is_err());
}

proptest! {
    #[test]
    fn any_change_of_a_group_prints_and_reads_back(change in group_mods()) {
        let options = GroupOptions {
            command_word: true,
            ..GroupOptions::default()
        };
        let printed = group_mod_text(&change).to_string();
        prop_assert_eq!(parse_group(&printed, &options), Ok(change), "{}", printed);
    }

    #[test]
    fn no_text_panics(
        change in group_mods(),
        at in any::<prop::sample::Index>(),
        put in "[ -~\u{e9}\n]{0,6}",
        cut in 0..8_usize,
    ) {
        let options = GroupOptions {
            command_word: true,
            ..GroupOptions::default()
        };
        let mut letters: Vec<char> = group_mod_text(&change).to_string().chars().collect();
        let at = at.index(letters.len());
        let end = (at + cut).min(letters.len());
        letters.splice(at..end, put.chars());
        let text: String = letters.into_iter().collect();
        if let Ok(read) = parse_group(&text, &options) {
            let printed = group_mod_text(&read).to_string();
            prop_assert_eq!(parse_group(&printed, &options), Ok(read), "{}", text);
        }
        let _ = parse_bundle_file("b", &format!("group {text}"), &());
        let _ = parse_group_id(&text);
    }
}
