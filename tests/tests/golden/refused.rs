//! What weir reads and does not execute yet is refused when it is loaded, by name.

use weir_tests::switch::Switch;

fn refusal(flow: &str) -> String {
    let mut sw = Switch::builder().empty();
    let error = sw.change_flows(flow).expect_err(flow);
    assert_eq!(sw.flows(), [""; 0], "{flow}");
    error
}

#[test]
fn unsupported_actions_are_named() {
    for (flow, what) in [
        ("actions=CONTROLLER:65535", "CONTROLLER"),
        ("actions=clear_actions", "clear_actions"),
        ("actions=write_actions(output:1)", "write_actions"),
        ("tcp actions=ct(commit,alg=ftp),output:1", "ct(alg=...)"),
        (
            "ip,ct_state=+trk-inv actions=resubmit(,1,ct)",
            "resubmit(...,ct)",
        ),
    ] {
        let expected = format!("flow 1: {what} is not supported yet");
        assert_eq!(refusal(flow), expected, "{flow}");
    }
}

#[test]
fn unsupported_matches_are_named() {
    for (flow, what) in [
        ("mpls,mpls_label=3 actions=drop", "field mpls_label"),
        ("idle_timeout=5 actions=drop", "idle_timeout"),
        ("hard_timeout=5 actions=drop", "hard_timeout"),
        ("send_flow_rem actions=drop", "send_flow_rem"),
    ] {
        let expected = format!("flow 1: {what} is not supported yet");
        assert_eq!(refusal(flow), expected, "{flow}");
    }
}

#[test]
fn the_flow_that_is_refused_is_told_and_none_is_added() {
    let error = refusal("udp actions=output:1\ntcp actions=LOCAL\nip actions=drop");
    assert_eq!(error, "flow 2: output to LOCAL is not supported yet");
}

#[test]
fn wrong_text_is_refused_at_its_place() {
    let error = refusal("udp actions=output:1\ntcp,tp_dst=70000 actions=drop");
    assert!(error.starts_with("flows:2:12: "), "{error}");
}
