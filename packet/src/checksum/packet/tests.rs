use proptest::prelude::*;

use super::*;
use crate::frame::VecFrame;
use crate::layout::{Fragment, parse};
use crate::{strategy, text};

fn verdict(line: &str) -> (bool, bool) {
    let frame = text::frame(line);
    let layout = parse(frame.bytes(), frame.bytes().len()).unwrap();
    (
        ipv4_header_checksum_ok(frame.bytes(), &layout),
        l4_checksum_ok(&frame, &layout),
    )
}

#[test]
fn wrong_checksums_are_found() {
    for line in [
        "tcp 10.0.0.1:1 > 10.0.0.2:2 S bad-csum",
        "udp 10.0.0.1:1 > 10.0.0.2:2 bad-csum len=3",
        "icmp 10.0.0.1 > 10.0.0.2 echo-request bad-csum",
        "icmp6 ::1 > ::2 echo-request bad-csum",
        "sctp 10.0.0.1:1 > 10.0.0.2:2 bad-csum",
        // A pseudo header with both addresses swapped has the same sum; this one has not.
        "udp 10.0.0.1:1 > 10.0.0.2:2 csum=0x1",
    ] {
        assert_eq!(verdict(line), (true, false), "{line}");
    }
    assert_eq!(
        verdict("udp 10.0.0.1:1 > 10.0.0.2:2 bad-ip-csum"),
        (false, true)
    );
}

#[test]
fn udp_without_a_checksum_is_right_over_ipv4_only() {
    assert_eq!(
        verdict("udp 10.0.0.1:1 > 10.0.0.2:2 no-csum len=1"),
        (true, true)
    );
    assert_eq!(
        verdict("udp [::1]:1 > [::2]:2 no-csum len=1"),
        (true, false)
    );
}

#[test]
fn udp_ends_where_it_says() {
    // What lies behind a UDP packet inside of its IP packet belongs to neither.
    assert_eq!(
        verdict("udp 10.0.0.1:1 > 10.0.0.2:2 udp-len=11 len=20"),
        (true, true)
    );
    assert_eq!(
        verdict("udp 10.0.0.1:1 > 10.0.0.2:2 udp-len=29 len=20"),
        (true, false)
    );
    assert_eq!(
        verdict("udp 10.0.0.1:1 > 10.0.0.2:2 udp-len=7 len=20"),
        (true, false)
    );
}

#[test]
fn without_a_header_there_is_nothing_wrong() {
    for line in [
        "ip proto=47 10.0.0.1 > 10.0.0.2 len=9",
        "udp 10.0.0.1:1 > 10.0.0.2:2 bad-csum frag id=1 off=0 mf",
        "arp request 10.0.0.1 > 10.0.0.2",
    ] {
        assert_eq!(verdict(line), (true, true), "{line}");
    }
}

proptest! {
    #[test]
    fn described_packets_are_right_in_one_piece_or_many(
        frame in (strategy::whole_ip_line(), 0usize..20).prop_flat_map(|(line, pad)| {
            let mut bytes = strategy::bytes_of(&line);
            bytes.resize(bytes.len() + pad, 0xa5);
            strategy::segmented(bytes)
        }),
    ) {
        let layout = parse(frame.head(), frame.len()).unwrap();
        prop_assert!(ipv4_header_checksum_ok(frame.head(), &layout));
        prop_assert!(l4_checksum_ok(&frame, &layout));
        prop_assert!(l4_checksum_ok(&VecFrame::from(frame.to_vec()), &layout));
    }

    /// One changed bit behind the IP header is found by every checksum there is.
    #[test]
    fn a_flipped_bit_is_found(
        line in strategy::whole_ip_line(),
        at in any::<prop::sample::Index>(),
        bit in 0u32..8,
    ) {
        let mut frame = text::frame(&line);
        let layout = parse(frame.head(), frame.len()).unwrap();
        prop_assume!(layout.l4 != L4::None && !line.contains("no-csum"));
        let l4 = usize::from(layout.l4_offset)..layout.l3_end as usize;
        let at = l4.start + at.index(l4.len());
        frame.head_mut()[at] ^= 1 << bit;
        // A checksum of 0 would say "none".
        let checksum = [6, 7].map(|field| l4.start + field);
        prop_assume!(layout.l4 != L4::Udp || !checksum.contains(&at));
        prop_assert!(!l4_checksum_ok(&frame, &layout));
    }

    /// Writing a checksum makes right what was wrong and changes nothing else.
    #[test]
    fn a_written_checksum_is_the_right_one(
        line in strategy::whole_ip_line(),
        garbage in any::<[u8; 4]>(),
        segments in prop::collection::vec(0usize..300, 0..3),
    ) {
        let right = strategy::bytes_of(&line);
        let layout = parse(&right, right.len()).unwrap();
        prop_assume!(!line.contains("no-csum") && layout.fragment == Fragment::No);
        let mut wrong = right.clone();
        let l4 = usize::from(layout.l4_offset);
        match layout.l4 {
            L4::Tcp => wrong[l4 + 16..][..2].copy_from_slice(&garbage[..2]),
            L4::Udp => wrong[l4 + 6..][..2].copy_from_slice(&garbage[..2]),
            L4::Icmp | L4::Icmpv6 => wrong[l4 + 2..][..2].copy_from_slice(&garbage[..2]),
            L4::Sctp => wrong[l4 + 8..][..4].copy_from_slice(&garbage),
            L4::None => {}
        }
        if layout.l3 == L3::Ipv4 {
            wrong[usize::from(layout.l3_offset) + 10..][..2].copy_from_slice(&garbage[2..]);
        }
        let mut frame = crate::frame::SegmentedFrame::new(&wrong, l4 + 60, &segments);
        write_ipv4_header_checksum(frame.head_mut(), &layout);
        write_l4_checksum(&mut frame, &layout);
        prop_assert_eq!(frame.to_vec(), right);
    }
}
