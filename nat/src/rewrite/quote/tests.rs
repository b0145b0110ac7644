use proptest::prelude::*;
use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use weir_packet::{Frame, IpPair, VecFrame, parse, strategy, text};

use super::*;

/// An error's line with its quoted packet left out: `{ PACKET }` goes where `{}` is.
fn error(v6: bool) -> &'static str {
    if v6 {
        "icmp6 2001:db8::9 > 2001:db8::1 unreachable code=4 { {} }"
    } else {
        "icmp 192.0.2.9 > 10.0.0.1 unreachable code=3 { {} }"
    }
}

fn bytes(line: &str) -> VecFrame {
    text::frame(line)
}

fn rewritten(line: &str, tuple: &Tuple) -> VecFrame {
    let mut frame = bytes(line);
    let layout = parse(frame.head(), frame.len()).expect("no runt");
    set_quoted_tuple(frame.head_mut(), &layout, tuple);
    assert_eq!(parse(frame.head(), frame.len()), Ok(layout));
    frame
}

fn tuple_of(line: &str) -> Tuple {
    let frame = bytes(line);
    let layout = parse(frame.head(), frame.len()).expect("no runt");
    Tuple::of(frame.head(), &layout).expect("it has a tuple")
}

/// What a person would write down, at every length of the quote.
#[test]
fn a_quoted_packet_reads_as_it_should() {
    for (before, after, least) in [
        (
            "udp 198.51.100.7:1024 > 192.0.2.9:53 len=40",
            "udp 10.0.0.1:4000 > 192.0.2.9:53 len=40",
            28,
        ),
        (
            "tcp 198.51.100.7:1024 > 192.0.2.9:80 S seq=7",
            "tcp 10.0.0.1:4000 > 192.0.2.9:80 S seq=7",
            28,
        ),
        (
            "sctp 198.51.100.7:1 > 192.0.2.9:2 vtag=0x7 chunk=data:3:0011",
            "sctp 10.0.0.1:5 > 192.0.2.9:2 vtag=0x7 chunk=data:3:0011",
            28,
        ),
        (
            "icmp 198.51.100.7 > 192.0.2.9 echo-request id=9 seq=1 len=20",
            "icmp 10.0.0.1 > 192.0.2.9 echo-request id=4 seq=1 len=20",
            28,
        ),
        (
            "ip proto=47 198.51.100.7 > 192.0.2.9 data=00000800",
            "ip proto=47 10.0.0.1 > 192.0.2.9 data=00000800",
            20,
        ),
        (
            "udp 198.51.100.7:1024 > 192.0.2.9:53 no-csum ipopt=01010101",
            "udp 10.0.0.1:4000 > 192.0.2.9:53 no-csum ipopt=01010101",
            32,
        ),
        (
            "udp [2001:db8::7]:1024 > [2001:db8::9]:53 len=40",
            "udp [2001:db8::1]:4000 > [2001:db8::9]:53 len=40",
            48,
        ),
        (
            "tcp [2001:db8::7]:1024 > [2001:db8::9]:80 S",
            "tcp [2001:db8::1]:4000 > [2001:db8::9]:80 S",
            60,
        ),
        (
            "icmp6 2001:db8::7 > 2001:db8::9 echo-request id=9",
            "icmp6 2001:db8::1 > 2001:db8::9 echo-request id=4",
            48,
        ),
        (
            "udp [2001:db8::7]:1 > [2001:db8::9]:2 ext=60:010400000000",
            "udp [2001:db8::1]:5 > [2001:db8::9]:2 ext=60:010400000000",
            56,
        ),
    ] {
        let tuple = tuple_of(after);
        let v6 = matches!(tuple.ip, IpPair::V6 { .. });
        let full_size = bytes(before).len() - 14;
        for cut in least..=full_size {
            // Half of a checksum cannot be kept right.
            if before.starts_with("tcp") && cut == 37 {
                continue;
            }
            let cut_off =
                |inner: &str| format!("{} cut={cut} pad=7", error(v6).replace("{}", inner));
            let there = rewritten(&cut_off(before), &tuple);
            let wanted = bytes(&cut_off(after));
            assert_eq!(
                text::describe(there.bytes()),
                text::describe(wanted.bytes()),
                "{before}"
            );
        }
    }
}

#[test]
fn a_packet_that_quotes_nothing_stays() {
    let tuple = tuple_of("udp 198.51.100.7:1024 > 192.0.2.9:53");
    for line in [
        "udp 10.0.0.1:1 > 10.0.0.2:2",
        "icmp 10.0.0.1 > 10.0.0.2 unreachable pad=40",
        "icmp6 ::1 > ::2 unreachable pad=60",
        "ip proto=1 10.0.0.1 > 10.0.0.2 data=0300 pad=40",
    ] {
        assert_eq!(rewritten(line, &tuple), bytes(line));
    }
}

/// Some hosts count the quoted length down by the header they have already taken off.
#[test]
fn a_quoted_length_is_not_believed() {
    let line =
        "icmp 192.0.2.9 > 10.0.0.1 unreachable code=3 { udp 198.51.100.7:1 > 192.0.2.9:53 len=9 }";
    let mut frame = bytes(line);
    let layout = parse(frame.head(), frame.len()).expect("no runt");
    // The inner total length, here 37, and with it the outer checksum.
    frame.head_mut()[44..46].copy_from_slice(&[0, 17]);
    let at = usize::from(layout.l4_offset) + 2;
    apply(frame.head_mut(), &layout, at, Delta::of_u16(37, 17));
    set_quoted_tuple(
        frame.head_mut(),
        &layout,
        &tuple_of("udp 10.0.0.1:7 > 192.0.2.9:53"),
    );
    assert!(l4_checksum_ok(&frame, &layout));
    assert_eq!(frame.bytes()[62..64], [0, 7]);
}

proptest! {
    /// Any whole packet quoted, cut anywhere: the outer checksum stays right, and with the old
    /// tuple every byte is what it was.
    #[test]
    fn there_and_back(inner in strategy::whole_ip_line(), other in strategy::whole_ip_line(), cut in 20..200usize) {
        let (inner, other) = (bytes(&inner), bytes(&other));
        let Ok(layout) = parse(inner.head(), inner.len()) else { return Ok(()) };
        let tuple = Tuple::of(inner.head(), &layout);
        let wanted = parse(other.head(), other.len()).ok()
            .and_then(|layout| Tuple::of(other.head(), &layout));
        let (Some(tuple), Some(mut wanted)) = (tuple, wanted) else { return Ok(()) };
        if tuple.src().is_ipv4() != wanted.src().is_ipv4() {
            return Ok(());
        }
        wanted.protocol = tuple.protocol;
        let packet = &inner.bytes()[usize::from(layout.l3_offset)..layout.l3_end as usize];
        let quote: String = packet.iter().take(cut).map(|byte| format!("{byte:02x}")).collect();
        let outer = if tuple.src().is_ipv4() {
            format!("icmp 192.0.2.9 > 10.0.0.1 type=3 code=3 rest=0 data={quote}")
        } else {
            format!("icmp6 2001:db8::9 > 2001:db8::1 type=1 code=4 rest=0 data={quote}")
        };
        let Ok(outer) = text::parse(&outer) else { return Ok(()) };
        let mut frame = VecFrame::from(outer);
        let before = frame.clone();
        let layout = parse(frame.head(), frame.len()).expect("no runt");
        set_quoted_tuple(frame.head_mut(), &layout, &wanted);
        prop_assert!(ipv4_header_checksum_ok(frame.head(), &layout));
        prop_assert!(l4_checksum_ok(&frame, &layout));
        set_quoted_tuple(frame.head_mut(), &layout, &tuple);
        prop_assert_eq!(text::describe(frame.bytes()), text::describe(before.bytes()));
    }

    /// Whatever the bytes: no panic, and no byte behind the packet is written.
    #[test]
    fn any_packet_can_be_rewritten(bytes in strategy::broken(), other in strategy::whole_ip_line()) {
        let other = text::frame(&other);
        let wanted = parse(other.head(), other.len()).ok()
            .and_then(|layout| Tuple::of(other.head(), &layout));
        let (Ok(layout), Some(wanted)) = (parse(&bytes, bytes.len()), wanted) else {
            return Ok(());
        };
        let mut changed = bytes.clone();
        set_quoted_tuple(&mut changed, &layout, &wanted);
        prop_assert_eq!(changed.len(), bytes.len());
        let end = layout.l3_end as usize;
        prop_assert_eq!(&changed[end..], &bytes[end..]);
        prop_assert_eq!(parse(&changed, changed.len()), Ok(layout));
    }
}
