use weir_packet::text::describe;

use super::*;

fn one(line: &str) -> Template {
    let mut templates = read("t", line, 2).unwrap_or_else(|errors| panic!("{errors:?}"));
    templates.remove(0)
}

fn turns(line: &str, count: usize) -> Vec<String> {
    let mut template = one(line);
    (0..count)
        .map(|_| {
            let text = describe(template.frame());
            template.advance();
            text
        })
        .collect()
}

/// `describe` names a checksum that is wrong, so equal texts prove right ones, too.
#[test]
fn fields_count_and_checksums_follow() {
    let line =
        "1: udp 10.0.0.1:1 > 10.0.9.9:53 len=18 | sport=65534..65535 src=10.0.0.255..10.0.1.1";
    let expected = [
        "10.0.0.255:65534",
        "10.0.0.255:65535",
        "10.0.1.0:65534",
        "10.0.1.0:65535",
        "10.0.1.1:65534",
        "10.0.1.1:65535",
        "10.0.0.255:65534",
    ];
    let expected = expected.map(|src| format!("udp {src} > 10.0.9.9:53 len=18"));
    assert_eq!(turns(line, 7), expected);
}

#[test]
fn fields_joined_by_a_comma_move_together() {
    let line =
        "2: tcp 10.0.0.1:1 > 10.0.0.2:80 S seq=5 | sport=1..2,seq=0..10/7 dst=10.0.0.2..10.0.0.3";
    let texts = turns(line, 3);
    assert_eq!(
        texts,
        [
            "tcp 10.0.0.1:1 > 10.0.0.2:80 S",
            "tcp 10.0.0.1:2 > 10.0.0.2:80 S seq=7",
            "tcp 10.0.0.1:1 > 10.0.0.3:80 S",
        ]
    );
    assert_eq!(one(line).port, 1);
}

#[test]
fn every_field_keeps_the_checksums() {
    let lines = [
        "1: vlan 5 udp 10.0.0.1:1 > 10.0.0.2:2 | vlan=5..9 tos=0..255 ttl=1..64 dport=1..3",
        "1: tcp [2001:db8::1]:1 > [2001:db8::2]:2 SA | src=2001:db8::1..2001:db8::5,ack=1..9,win=0..3,flags=2..24",
        "1: icmp 10.0.0.1 > 10.0.0.2 echo-request id=7 seq=1 | icmp_seq=0..65535/1000,icmp_id=1..5",
        "1: icmp6 2001:db8::1 > 2001:db8::2 echo-request id=7 seq=1 | icmp_seq=0..65535/1000",
        "1: udp 10.0.0.1:1 > 10.0.0.2:2 len=9 | u8@43=0..255,u32@20=0..4294967295/12345",
        "1: eth 02:00:00:00:00:09 > ff:ff:ff:ff:ff:ff arp request 10.0.0.1 > 10.0.0.2 | eth_src=02:00:00:00:00:09..02:00:00:00:01:00",
    ];
    for line in lines {
        for text in turns(line, 300) {
            assert!(!text.contains("csum"), "{line}: {text}");
        }
    }
}

#[test]
fn what_is_wrong_or_absent_stays_so() {
    let line = "1: udp 10.0.0.1:1 > 10.0.0.2:2 no-csum | sport=1..9";
    assert!(turns(line, 5).iter().all(|text| text.contains("no-csum")));
    let line = "1: udp 10.0.0.1:1 > 10.0.0.2:2 bad-csum | sport=1..9 dst=10.0.0.2..10.0.0.9";
    assert!(turns(line, 30).iter().all(|text| text.contains("bad-csum")));
}

#[test]
fn pieces_of_a_datagram_share_their_number() {
    let text = "\
# both pieces
1: udp 10.0.0.1:1 > 10.0.0.2:2 frag id=7 off=0 mf len=16 | id=7..9,sport=1..3

1: ip proto=17 10.0.0.1 > 10.0.0.2 frag id=7 off=24 len=8 | id=7..9
";
    let mut templates = read("t", text, 1).expect("templates");
    assert_eq!(templates.len(), 2);
    for template in &mut templates {
        template.advance();
        let text = describe(template.frame());
        assert!(text.contains("id=8"), "{text}");
    }
}

#[test]
fn errors_point_at_the_text() {
    for (line, column, message) in [
        ("3: udp 1.1.1.1:1 > 2.2.2.2:2", 1, "expected a port, 1 to 2"),
        ("1: udp 1.1.1.1:1 > 2.2.2.2:2 | x=1..2", 32, "x is no field"),
        (
            "1: udp 1.1.1.1:1 > 2.2.2.2:2 | seq=1..2",
            32,
            "the packet has no seq",
        ),
        (
            "1: udp 1.1.1.1:1 > 2.2.2.2:2 | sport=1",
            32,
            "expected FIELD=FROM..TO or",
        ),
        (
            "1: udp 1.1.1.1:1 > 2.2.2.2:2 | sport=1..65536",
            32,
            "expected values from 0 to 65535",
        ),
        (
            "1: udp 1.1.1.1:1 > 2.2.2.2:2 | sport=2..1",
            32,
            "expected values",
        ),
        (
            "1: udp 1.1.1.1:1 > 2.2.2.2:2 | u16@41=1..2 u16@99=1..2",
            32,
            "the frame has 42 bytes",
        ),
        ("nonsense", 1, "expected PORT: PACKET"),
    ] {
        let errors = read("t", &format!("\n{line}"), 2).expect_err(line);
        assert_eq!((errors[0].line, errors[0].column), (2, column), "{line}");
        assert!(errors[0].message.starts_with(message), "{:?}", errors[0]);
    }
    let errors = read("t", "1: udp nowhere", 2).expect_err("no packet");
    assert!(errors[0].column >= 4, "{errors:?}");
    assert_eq!(read("t", "# nothing\n", 1).expect_err("nothing")[0].line, 0);
}
