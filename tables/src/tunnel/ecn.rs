//! Explicit congestion notification across a tunnel (RFC 6040).

use weir_nat::rewrite;
use weir_packet::{L3, Layout};

/// The bits of a TOS or traffic class that are ECN.
pub(super) const MASK: u8 = 0x03;
/// Not ECN-capable.
const NOT_ECT: u8 = 0;
/// ECN-capable, the codepoint that newer experiments use.
const ECT_1: u8 = 1;
/// Congestion experienced.
const CE: u8 = 3;

/// What the inner packet says after decapsulation (RFC 6040 4.2, figure 4); `None`: it is to be
/// dropped, since its sender would not understand that there was congestion.
pub(super) const fn combined(inner: u8, outer: u8) -> Option<u8> {
    match (inner & MASK, outer & MASK) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(NOT_ECT),
        (CE, _) | (_, CE) => Some(CE),
        (_, ECT_1) => Some(ECT_1),
        (inner, _) => Some(inner),
    }
}

/// The TOS or traffic class of a packet; `None` if it is not IP.
#[inline]
pub(super) fn tos(head: &[u8], layout: &Layout) -> Option<u8> {
    let start = head.get(usize::from(layout.l3_offset)..)?;
    let &[first, second] = start.first_chunk()?;
    match layout.l3 {
        L3::Ipv4 => Some(second),
        L3::Ipv6 => Some(first << 4 | second >> 4),
        L3::Other | L3::Arp => None,
    }
}

/// Tells the inner packet what the outer one met. Returns false if it is to be dropped.
pub(super) fn carry_inwards(head: &mut [u8], layout: &Layout, outer: u8) -> bool {
    let Some(tos) = tos(head, layout) else {
        return true;
    };
    match combined(tos, outer) {
        None => false,
        Some(ecn) if ecn == tos & MASK => true,
        Some(ecn) => {
            let tos = tos & !MASK | ecn;
            match layout.l3 {
                L3::Ipv4 => rewrite::set_ipv4_tos(head, layout, tos),
                _ => rewrite::set_ipv6_traffic_class(head, layout, tos),
            }
            true
        }
    }
}

/// What the outer packet says (RFC 6040 4.1, normal mode: a copy).
#[inline]
pub(super) fn carried_outwards(head: &[u8], layout: &Layout) -> u8 {
    tos(head, layout).map_or(NOT_ECT, |tos| tos & MASK)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ECN-capable.
    const ECT_0: u8 = 2;

    /// RFC 6040, figure 4: rows Not-ECT, ECT(0), ECT(1), CE; columns the same of the outer.
    #[test]
    fn the_table_of_rfc_6040() {
        let columns = [NOT_ECT, ECT_0, ECT_1, CE];
        let rows = [
            (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
            (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
            (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
            (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
        ];
        for (inner, row) in rows {
            assert_eq!(columns.map(|outer| combined(inner, outer)), row, "{inner}");
        }
    }

    #[test]
    fn only_ecn_of_a_tos_counts() {
        assert_eq!(combined(0xfe, 0xb9), Some(ECT_1));
    }
}
