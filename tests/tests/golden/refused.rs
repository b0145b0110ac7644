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
        ("actions=controller(pause)", "controller(pause)"),
        ("actions=controller(meter_id=3)", "controller(meter_id=...)"),
        ("actions=learn(table=1)", "learn"),
        ("actions=enqueue:1:2", "set_queue"),
        (
            "actions=clone(output:2,multipath(eth_src,0,hrw,1,0,reg0[]))",
            "multipath",
        ),
        ("actions=write_actions(set_queue:1,output:2)", "set_queue"),
    ] {
        let expected = format!("flow 1: {what} is not supported yet");
        assert_eq!(refusal(flow), expected, "{flow}");
    }
}

#[test]
fn unsupported_matches_are_named() {
    for (flow, what) in [
        ("dp_hash=1 actions=drop", "field dp_hash"),
        ("recirc_id=1 actions=drop", "field recirc_id"),
        ("skb_priority=1 actions=drop", "field skb_priority"),
        ("packet_type=(1,0x800) actions=drop", "field packet_type"),
        ("tun_gtpu_flags=1 actions=drop", "field tun_gtpu_flags"),
        ("tun_erspan_ver=1 actions=drop", "field tun_erspan_ver"),
        ("dl_type=0x894f,nsh_si=1 actions=drop", "field nsh_si"),
        ("mpls,mpls_label=3 actions=drop", "field mpls_label"),
    ] {
        let expected = format!("flow 1: {what} is not supported yet");
        assert_eq!(refusal(flow), expected, "{flow}");
    }
}

#[test]
fn the_flow_that_is_refused_is_told_and_none_is_added() {
    let error = refusal("udp actions=output:1\ntcp actions=learn(table=1)\nip actions=drop");
    assert_eq!(error, "flow 2: learn is not supported yet");
}

#[test]
fn wrong_text_is_refused_at_its_place() {
    let error = refusal("udp actions=output:1\ntcp,tp_dst=70000 actions=drop");
    assert!(error.starts_with("flows:2:12: "), "{error}");
}
