use proptest::prelude::*;

use super::*;
use crate::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use crate::{layout, strategy};

/// Lines as [`describe`] prints them.
const CANONICAL: &[&str] = &[
    "udp 10.0.0.5:4000 > 192.0.2.9:53",
    "udp [2001:db8::5]:4000 > [2001:db8::9]:53 len=12",
    "udp 10.0.0.5:4000 > 192.0.2.9:53 no-csum len=3 from=200",
    "udp 10.0.0.5:4000 > 192.0.2.9:53 bad-csum data=00ff",
    "udp 10.0.0.5:4000 > 192.0.2.9:53 csum=0x1234",
    "udp 10.0.0.5:4000 > 192.0.2.9:53 udp-len=9 len=20",
    "tcp 10.0.0.1:1 > 10.0.0.2:2 S seq=100 win=1000 mss=1460 sack-ok ts=1:0 wscale=7",
    "tcp 10.0.0.1:1 > 10.0.0.2:2 SA seq=1 ack=101 wscale=14 len=100",
    "tcp 10.0.0.1:1 > 10.0.0.2:2 PAU urg=3 opt=01010101",
    "tcp 10.0.0.1:1 > 10.0.0.2:2 FSRPAUECN",
    "tcp 10.0.0.1:1 > 10.0.0.2:2",
    "tcp [::1]:1 > [::2]:2 RA bad-csum ttl=1 tos=0x2e label=0x12345 ext=0:010400000000",
    "icmp 10.0.0.1 > 10.0.0.2 echo-request id=7 seq=1 ttl=255 len=56",
    "icmp 10.0.0.2 > 10.0.0.1 echo-reply id=7 seq=1",
    "icmp 10.0.0.9 > 10.0.0.1 unreachable code=3 { udp 10.0.0.1:4 > 10.0.0.2:5 }",
    "icmp 10.0.0.9 > 10.0.0.1 unreachable code=4 mtu=1400 \
     { tcp 10.0.0.1:4 > 10.0.0.2:5 len=1400 } cut=28",
    "icmp 10.0.0.9 > 10.0.0.1 time-exceeded { tcp 10.0.0.1:4 > 10.0.0.2:5 seq=7 ttl=1 } cut=28",
    "icmp 10.0.0.9 > 10.0.0.1 type=200 code=1 rest=0x50000 data=0000",
    "icmp6 ::1 > ::2 echo-request id=7 seq=1 len=56",
    "icmp6 ::9 > ::1 too-big mtu=1280 { udp [::1]:4 > [::2]:5 len=1400 } cut=1000",
    "icmp6 ::9 > ::1 unreachable { ip proto=47 ::1 > ::2 data=0000 }",
    "icmp6 fe80::1 > ff02::1:ff00:2 neighbor-solicit target=fe80::2 sll=02:00:00:00:00:01",
    "icmp6 fe80::2 > fe80::1 neighbor-advert flags=SO target=fe80::2 tll=02:00:00:00:00:02",
    "icmp6 fe80::2 > fe80::1 neighbor-advert ttl=64 target=fe80::2",
    "icmp6 fe80::2 > ff02::2 router-solicit",
    "arp request 10.0.0.1 > 10.0.0.2",
    "arp reply 10.0.0.2 > 10.0.0.1",
    "eth 02:00:00:00:00:09 > ff:ff:ff:ff:ff:ff arp request 10.0.0.1 > 10.0.0.2 pad=18",
    "arp op=9 10.0.0.2 > 10.0.0.1 sha=aa:bb:cc:dd:ee:ff tha=00:00:00:00:00:00",
    "rarp op=3 10.0.0.2 > 10.0.0.1",
    "sctp 10.0.0.1:1 > 10.0.0.2:2 vtag=0x5 chunk=data:3:0011223344 chunk=cookie-ack",
    "sctp [::1]:1 > [::2]:2 bad-csum chunk=99:1 pad=3",
    "sctp 10.0.0.1:1 > 10.0.0.2:2 init=0xa1b2c3d4",
    "sctp 10.0.0.1:1 > 10.0.0.2:2 vtag=0x1 init-ack=0x2 chunk=init:1:00000007000100000001000100000001",
    "icmp 10.0.0.1 > 10.0.0.2 mask-request id=7 seq=1 data=00000000",
    "ip proto=47 10.0.0.1 > 10.0.0.2 data=00000800",
    "ip proto=58 10.0.0.1 > 10.0.0.2 len=8",
    "ip proto=17 10.0.0.1 > 10.0.0.2 frag id=7 off=1480 len=200",
    "ip proto=17 ::1 > ::2 frag id=70000 off=1480 mf len=200",
    "udp 10.0.0.1:1 > 10.0.0.2:2 frag id=7 off=0 mf len=1472",
    "udp [::1]:1 > [::2]:2 ext=60:010400000000 frag id=7 off=0 mf len=1400",
    "udp [::1]:1 > [::2]:2 frag id=7 off=0",
    "udp 10.0.0.1:1 > 10.0.0.2:2 ip-id=9 df ipopt=94040000 bad-ip-csum",
    "udp 10.0.0.1:1 > 10.0.0.2:2 ip-csum=0x0000",
    "vlan 5 udp 10.0.0.1:1 > 10.0.0.2:2",
    "vlan 5 pcp 3 dei tpid 0x88a8 vlan 6 udp 10.0.0.1:1 > 10.0.0.2:2",
    "vlan 1 vlan 2 ether type=0x8100 data=00030800",
    "ether type=0x88cc len=46",
    "hex 0011",
];

#[test]
fn canonical_lines_print_as_they_are() {
    for line in CANONICAL {
        let bytes = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(describe(&bytes), *line);
    }
}

#[test]
fn words_may_stand_in_front_and_numbers_be_hexadecimal() {
    let line =
        "ttl=0x1 vlan 5  bad-csum eth 2:0:0:0:0:9>02:00:00:00:00:02 udp 10.0.0.1:1>10.0.0.2:2";
    let canonical = "eth 02:00:00:00:00:09 > 02:00:00:00:00:02 \
                     vlan 5 udp 10.0.0.1:1 > 10.0.0.2:2 bad-csum ttl=1";
    assert_eq!(describe(&parse(line).unwrap()), canonical);
}

#[test]
fn a_frame_made_by_hand() {
    // Checksums computed by hand: RFC 1071 over ten and four words.
    let ping = "hex 0200000000020200000000010800 \
                4500001c00010000400166de0a0000010a000002 0800f7fd00010001";
    let line = "icmp 10.0.0.1 > 10.0.0.2 echo-request id=1 seq=1 ip-id=1";
    assert_eq!(describe(&parse(ping).unwrap()), line);
    assert_eq!(parse(line), parse(ping));
}

#[test]
fn checksums_are_right_unless_said_otherwise() {
    for line in CANONICAL {
        let frame = frame(line);
        let layout = layout::parse(frame.bytes(), frame.bytes().len());
        let Ok(layout) = layout else { continue };
        let ip_wrong = line.contains("ip-csum");
        assert_eq!(
            ipv4_header_checksum_ok(frame.bytes(), &layout),
            !ip_wrong,
            "{line}"
        );
        let l4_wrong = line.contains("bad-csum") || line.contains(" csum=");
        assert_eq!(l4_checksum_ok(&frame, &layout), !l4_wrong, "{line}");
    }
}

#[test]
fn errors_say_where() {
    for (line, wanted) in [
        ("", "column 1: the line ends, expected tcp, udp"),
        ("udp 10.0.0.1:1", "column 15: the line ends, expected `>`"),
        (
            "udp 10.0.0.1:1 > 10.0.0.256:1",
            "column 18: `10.0.0.256:1`: expected ADDRESS:PORT",
        ),
        (
            "udp 10.0.0.1:1 > [::1]:1",
            "column 18: `[::1]:1`: expected an address of the source's",
        ),
        (
            "udp 10.0.0.1:1 > 10.0.0.2:2 ttl=256",
            "column 33: `256`: expected a number from 0 to 255",
        ),
        (
            "udp 10.0.0.1:1 > 10.0.0.2:2 ttl=+1",
            "column 33: `+1`: expected a number",
        ),
        (
            "udp 10.0.0.1:1 > 10.0.0.2:2 ttl=",
            "column 33: `ttl=` without a value",
        ),
        (
            "udp 10.0.0.1:1 > 10.0.0.2:2 wscale=1",
            "column 29: `wscale=1`: expected the end",
        ),
        (
            "udp 10.0.0.1:1 > 10.0.0.2:2 data=abc",
            "column 34: `abc`: expected an even number",
        ),
        (
            "udp 10.0.0.1:1 > 10.0.0.2:2 frag off=8",
            "column 1: `udp`: a later fragment has no",
        ),
        (
            "udp 10.0.0.1:1 > 10.0.0.2:2 frag off=7",
            "column 38: `7`: expected a multiple of 8",
        ),
        (
            "udp 10.0.0.1:1 > 10.0.0.2:2 label=1",
            "column 1: `udp`: `label=` and `ext=` are IPv6's",
        ),
        (
            "udp 10.0.0.1:1 > 10.0.0.2:2 len=65535",
            "column 1: a UDP packet has at most",
        ),
        (
            "icmp ::1 > ::2 echo-request",
            "column 1: `icmp`: addresses of the other family",
        ),
        (
            "icmp 10.0.0.1 > 10.0.0.2 ping",
            "column 26: `ping`: expected a number or echo-reply,",
        ),
        (
            "eth 02:00:00:00:00 > 02:00:00:00:00:01",
            "column 5: `02:00:00:00:00`: expected an Eth",
        ),
        ("größe", "column 1: `größe`: expected tcp"),
    ] {
        let error = parse(line).unwrap_err().to_string();
        assert!(error.starts_with(wanted), "{line}: {error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_described_exactly(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        prop_assert_eq!(parse(&describe(&bytes)), Ok(bytes));
    }

    #[test]
    fn mutated_packets_are_described_exactly(
        line in prop::sample::select(CANONICAL),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = parse(line).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let described = describe(&bytes);
        prop_assert_eq!(parse(&described), Ok(bytes), "{}", described);
    }

    /// What the strategies make is never beyond the syntax, and its description means the same.
    #[test]
    fn well_formed_packets_are_described_in_words(line in strategy::line()) {
        let bytes = parse(&line).unwrap();
        let described = describe(&bytes);
        prop_assert!(!described.starts_with("hex"), "{}", described);
        prop_assert_eq!(parse(&described), Ok(bytes), "{}", described);
    }

    #[test]
    fn any_line_is_read_or_refused(line in "[ a-z0-9=:.>{}\\[\\]]{0,60}|\\PC{0,40}") {
        if let Ok(bytes) = parse(&line) {
            prop_assert_eq!(parse(&describe(&bytes)), Ok(bytes));
        }
    }
}
