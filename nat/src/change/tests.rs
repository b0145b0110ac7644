//! Against the rewriting of one field after the other.

use proptest::prelude::*;
use weir_packet::{Frame, IpPair, Tuple, VecFrame, parse, text};

use super::TupleChange;
use crate::rewrite;

fn lines() -> impl Strategy<Value = String> {
    let kind = proptest::sample::select(vec![
        "udp 10.0.0.1:4000 > 192.0.2.1:53 len=",
        "tcp 10.0.0.1:4000 > 192.0.2.1:80 A seq=5 ack=6 len=",
        "icmp 10.0.0.1 > 192.0.2.1 echo-request id=7 len=",
        "vlan 5 udp 10.0.0.1:4000 > 192.0.2.1:53 len=",
    ]);
    (kind, 0..64_usize).prop_map(|(kind, len)| format!("{kind}{len}"))
}

proptest! {
    #[test]
    fn is_what_rewriting_field_by_field_comes_to(
        line in lines(),
        addresses: [Option<u32>; 2],
        numbers: [Option<u16>; 2],
        damage in prop_oneof![Just(0_u8), any::<u8>()],
        zero_checksum: bool,
    ) {
        let mut frame = text::frame(&line);
        let layout = parse(frame.head(), frame.len()).expect("no runt");
        let end = frame.len();
        frame.head_mut()[end - 1] ^= damage;
        if zero_checksum && line.contains("udp") {
            let at = usize::from(layout.l4_offset) + 6;
            frame.head_mut()[at..at + 2].fill(0);
        }
        let from = Tuple::of(frame.head(), &layout).expect("it has one");
        let IpPair::V4 { src, dst } = from.ip else { unreachable!("all lines are IPv4") };
        let to = Tuple {
            ip: IpPair::V4 {
                src: addresses[0].map_or(src, Into::into),
                dst: addresses[1].map_or(dst, Into::into),
            },
            src_port: numbers[0].unwrap_or(from.src_port),
            dst_port: match from.is_icmp() {
                true => from.dst_port,
                false => numbers[1].unwrap_or(from.dst_port),
            },
            ..from
        };
        let mut wanted: VecFrame = frame.clone();
        rewrite::set_tuple(wanted.head_mut(), &layout, &to);
        let change = TupleChange::new(&from, &to, layout.l4).expect("it can be said");
        let change = TupleChange::from_words(change.to_words());
        change.apply(frame.head_mut(), &layout);
        prop_assert_eq!(frame.bytes(), wanted.bytes());
    }
}
