use proptest::prelude::*;

use super::{Diagnostic, nearest};

#[test]
fn points_at_the_text() {
    let text = "# flows\n\ntable=0,tcp,tp_dst=70000,actions=output:2\n";
    let start = text.find("70000").expect("it is there");
    let error = Diagnostic::at("flows.txt", text, start..start + 5, "port out of range")
        .with_hint("expected 0 to 65535, or value/mask");
    assert_eq!(
        error.to_string(),
        "flows.txt:3:20: port out of range\n  \
           table=0,tcp,tp_dst=70000,actions=output:2\n                     \
           ^^^^^ expected 0 to 65535, or value/mask"
    );
}

#[test]
fn points_behind_the_last_character() {
    let error = Diagnostic::at("a", "x = ", 4..4, "no value");
    assert_eq!(error.to_string(), "a:1:5: no value\n  x = \n      ^");
}

#[test]
fn a_whole_file_has_no_line() {
    let error = Diagnostic::file("a.toml", "no such file");
    assert_eq!(error.to_string(), "a.toml: no such file");
}

#[test]
fn a_hostile_line_cannot_move_the_cursor() {
    let error = Diagnostic::at("a", "\t\u{1b}[2Jx\r\n", 1..2, "control character");
    assert_eq!(
        error.to_string(),
        "a:1:2: control character\n  \t\u{fffd}[2Jx\n  \t^"
    );
}

#[test]
fn nearest_is_near() {
    assert_eq!(nearest("mtuu", ["mtu", "tag"]), Some("mtu"));
    assert_eq!(
        nearest("tcp_lose", ["max_connections", "tcp_loose"]),
        Some("tcp_loose")
    );
    assert_eq!(nearest("colour", ["mtu", "tag"]), None);
}

proptest! {
    #[test]
    fn any_span_of_any_text_prints(text in "\\PC*|(\\PC|[\n\r\t])*", start in 0_usize..80, len in 0_usize..80) {
        let error = Diagnostic::at("f", &text, start..start + len, "m");
        prop_assert!(error.line >= 1 && error.column >= 1 && error.width >= 1);
        prop_assert_eq!(error.to_string().lines().count(), 3);
    }
}
