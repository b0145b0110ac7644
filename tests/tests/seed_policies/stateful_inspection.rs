//! `stateful-inspection`: connections are opened from port 2 only; ARP is switched. What passes
//! is in `seeds.rs`; here is a whole connection, and what the seven lines do not say.

use weir_packet::text;
use weir_tests::switch::Switch;
use weir_tests::traffic::{End, tcp};

const POLICY: &str = include_str!("../../../config/tests/seeds/stateful-inspection.flows");
const INSIDE: (&str, &str) = ("02:00:00:00:00:02", "192.168.0.1");
const OUTSIDE: (&str, &str) = ("02:00:00:00:00:03", "192.168.0.2");

/// The switch, with both hosts known to NORMAL.
fn switch() -> Switch {
    let mut sw = Switch::with_flows(POLICY);
    let ask = format!(
        "eth {} > ff:ff:ff:ff:ff:ff arp request {} > {}",
        INSIDE.0, INSIDE.1, OUTSIDE.1
    );
    sw.inject(2, &ask);
    assert_eq!(
        sw.sent_anywhere(),
        [1, 3, 4].map(|port| format!("{port}: {ask}"))
    );
    let answer = format!(
        "eth {} > {} arp reply {} > {}",
        OUTSIDE.0, INSIDE.0, OUTSIDE.1, INSIDE.1
    );
    sw.inject(3, &answer);
    assert_eq!(sw.sent_anywhere(), [format!("2: {answer}")]);
    sw
}

#[test]
fn a_tcp_connection_from_inside_passes_to_its_end() {
    let mut sw = switch();
    let client = format!("{}:4000", INSIDE.1);
    for (end, line) in tcp(&client, &format!("{}:80", OUTSIDE.1)) {
        let (from, to, mac) = match end {
            End::Client => (2, 3, format!("eth {} > {}", INSIDE.0, OUTSIDE.0)),
            End::Server => (3, 2, format!("eth {} > {}", OUTSIDE.0, INSIDE.0)),
        };
        let packet = format!("{mac} {line}");
        sw.inject(from, &packet);
        assert_eq!(sw.sent_frames(to), [text::frame(&packet)]);
    }
    sw.assert_state("ct: replied=1; drops: none");
}

/// Related is neither new nor established: an error about a connection matches nothing.
#[test]
fn errors_are_dropped_whichever_way_they_go() {
    let mut sw = switch();
    let ask = format!("udp {}:4000 > {}:53", INSIDE.1, OUTSIDE.1);
    let out = format!("eth {} > {}", INSIDE.0, OUTSIDE.0);
    let back = format!("eth {} > {}", OUTSIDE.0, INSIDE.0);
    sw.inject(2, &format!("{out} {ask}"));
    assert_eq!(sw.sent(3), [format!("{out} {ask}")]);
    let (inside, outside) = (INSIDE.1, OUTSIDE.1);
    let error = format!("icmp {outside} > {inside} unreachable code=3 {{ {ask} }}");
    sw.inject(3, &format!("{back} {error}"));
    let answer = format!("udp {outside}:53 > {inside}:4000");
    sw.inject(3, &format!("{back} {answer}"));
    assert_eq!(sw.sent(2), [format!("{back} {answer}")]);
    let error = format!("icmp {inside} > {outside} unreachable code=3 {{ {answer} }}");
    sw.inject(2, &format!("{out} {error}"));
    sw.assert_state("ct: replied=1; drops: table_miss=2");
}
