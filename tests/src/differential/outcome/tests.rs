use super::Outcome;

#[test]
fn counts_and_flows_go_by_cookie() {
    let dump = "OFPST_FLOW reply (OF1.3) (xid=0x2):
 cookie=0x2, duration=1.5s, table=1, n_packets=7, n_bytes=99, priority=5,ip,in_port=1 actions=ct(commit),output:2
 cookie=0x1, duration=1.5s, table=0, n_packets=3, n_bytes=9, actions=drop";
    let outcome = Outcome::new(vec![], vec!["b".into(), "a".into()], dump.lines(), 2);
    let outcome = outcome.expect("a readable dump");
    assert_eq!(outcome.hits_text(), "3 7");
    assert_eq!(outcome.conntrack, ["a", "b"]);
    assert_eq!(
        outcome.flows,
        [
            "table=0 actions=drop",
            "table=1,priority=5,ip,in_port=1 actions=ct(commit),output:2"
        ]
    );
    assert!(Outcome::new(vec![], vec![], dump.lines(), 1).is_err());
}
