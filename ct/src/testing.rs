//! What several tests share.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use weir_packet::{IpPair, Tuple};

/// Any tuple at all.
pub(crate) fn any_tuple() -> impl Strategy<Value = Tuple> {
    let v4 = any::<(u32, u32)>().prop_map(|(src, dst)| IpPair::V4 {
        src: Ipv4Addr::from_bits(src),
        dst: Ipv4Addr::from_bits(dst),
    });
    let v6 = any::<(u128, u128)>().prop_map(|(src, dst)| IpPair::V6 {
        src: Ipv6Addr::from_bits(src),
        dst: Ipv6Addr::from_bits(dst),
    });
    // Those with ports or identifiers among them.
    let protocol = prop_oneof![
        any::<u8>(),
        proptest::sample::select(&[1, 6, 17, 58, 132][..])
    ];
    (prop_oneof![v4, v6], protocol, any::<(u16, u16)>()).prop_map(
        |(ip, protocol, (src_port, dst_port))| Tuple {
            ip,
            protocol,
            src_port,
            dst_port,
        },
    )
}
