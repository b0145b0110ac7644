use super::*;
use crate::show::{NatRow, write_nat};

impl Management<OneLcore> {
    fn nat_rows(&mut self) -> Vec<NatRow> {
        let frames = self.ask(Verb::NatShow).expect("ranges");
        let [Frame::Nat(rows)] = &frames[..] else {
            panic!("one frame of ranges, not {frames:?}")
        };
        rows.clone()
    }
}

#[test]
fn ranges_are_shown_with_their_connections_and_refusals() {
    let mut management = management(
        "udp,in_port=2 actions=ct(commit,zone=3,nat(src=198.51.100.7:5000-5001,random)),output:3
         table=9,tcp actions=clone(ct(commit,nat(dst=10.0.0.1-10.0.0.4))),ct(commit,nat(src))",
    );
    for client in 1..=3 {
        let packet = format!("udp 10.0.0.{client}:5000 > 192.0.2.9:53");
        // Two ports towards one destination.
        assert_eq!(management.inject(0, &packet).len(), usize::from(client < 3));
    }
    management.inject(0, "udp 10.0.0.1:5000 > 192.0.2.10:53");
    let rows = management.nat_rows();
    let mut text = Vec::new();
    write_nat(&mut text, &rows).expect("a vector takes all");
    let longest = rows[2].zones[0].longest_probe;
    assert!(longest <= 4, "{longest}");
    let searched = rows[2].zones[0].searched;
    let text = String::from_utf8(text).expect("text");
    assert_eq!(
        text,
        format!(
            "nat(dst=10.0.0.1-10.0.0.4): addresses=4,connections=0\n\
             nat(src): connections=0\n\
             nat(src=198.51.100.7:5000-5001): addresses=1,ports=2,connections=3\n\
             \x20 zone=3,searched={searched},longest_probe={longest},exhausted=1,other_version=0\n"
        )
    );
    // What its range counted is there when its flow is not.
    management
        .ask(Verb::DelFlows {
            strict: false,
            matching: None,
        })
        .expect("deleted");
    let rows = management.nat_rows();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].connections, rows[0].zones[0].exhausted), (3, 1));
}
