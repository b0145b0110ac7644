//! The change from one IPv4 tuple to another, worked out once and applied to many packets.

use std::net::Ipv4Addr;

use weir_packet::checksum::{Checksum, Delta};
use weir_packet::{IpPair, L4, Layout, Tuple};

/// What [`rewrite::set_tuple`](crate::rewrite::set_tuple) does to TCP, UDP and ICMP query
/// packets of one tuple, in three words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TupleChange {
    addresses: u64,
    /// Source and destination, or an ICMP identifier.
    numbers: u32,
    header: Delta,
    l4: Delta,
}

impl TupleChange {
    /// The change of packets of `from`, whose L4 header is `l4`, to packets of `to`. `None` if
    /// it cannot be said: not IPv4, or another protocol.
    pub fn new(from: &Tuple, to: &Tuple, l4: L4) -> Option<Self> {
        let (
            IpPair::V4 { src, dst },
            IpPair::V4 {
                src: new_src,
                dst: new_dst,
            },
        ) = (from.ip, to.ip)
        else {
            return None;
        };
        let addresses = |src: Ipv4Addr, dst: Ipv4Addr| {
            u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits())
        };
        let header = Delta::of_u32(src.to_bits(), new_src.to_bits())
            .and(Delta::of_u32(dst.to_bits(), new_dst.to_bits()));
        let ports = |tuple: &Tuple| u32::from(tuple.src_port) << 16 | u32::from(tuple.dst_port);
        let (numbers, l4) = match l4 {
            L4::Tcp | L4::Udp => {
                let numbers = Delta::of_u32(ports(from), ports(to));
                (ports(to), header.and(numbers))
            }
            L4::Icmp => (
                to.src_port.into(),
                Delta::of_u16(from.src_port, to.src_port),
            ),
            L4::None | L4::Sctp | L4::Icmpv6 => return None,
        };
        Some(Self {
            addresses: addresses(new_src, new_dst),
            numbers,
            header,
            l4,
        })
    }

    /// To be kept somewhere.
    #[inline]
    pub const fn to_words(self) -> [u64; 3] {
        let deltas = (self.header.to_host() as u64) << 16 | self.l4.to_host() as u64;
        [self.addresses, self.numbers as u64, deltas]
    }

    /// What [`Self::to_words`] gave.
    #[inline]
    pub const fn from_words(words: [u64; 3]) -> Self {
        let [addresses, numbers, deltas] = words;
        Self {
            addresses,
            numbers: numbers as u32,
            header: Delta::from_host((deltas >> 16) as u16),
            l4: Delta::from_host(deltas as u16),
        }
    }

    /// Changes a packet, which is of the tuple and protocol that this is for; checksums stay as
    /// right as they were. `layout` stays true.
    #[inline(always)]
    pub fn apply(&self, head: &mut [u8], layout: &Layout) {
        let Some(ip) = bytes::<20>(head, layout.l3_offset) else {
            return;
        };
        ip[12..].copy_from_slice(&self.addresses.to_be_bytes());
        adjust(&mut ip[10..12], self.header);
        match layout.l4 {
            L4::Tcp => {
                if let Some(tcp) = bytes::<18>(head, layout.l4_offset) {
                    tcp[..4].copy_from_slice(&self.numbers.to_be_bytes());
                    adjust(&mut tcp[16..], self.l4);
                }
            }
            L4::Udp => {
                if let Some(udp) = bytes::<8>(head, layout.l4_offset) {
                    udp[..4].copy_from_slice(&self.numbers.to_be_bytes());
                    if udp[6..] != [0, 0] {
                        adjust(&mut udp[6..], self.l4);
                        // RFC 768: 0 says that there is no checksum.
                        if udp[6..] == [0, 0] {
                            udp[6..].fill(0xff);
                        }
                    }
                }
            }
            L4::Icmp => {
                if let Some(icmp) = bytes::<8>(head, layout.l4_offset) {
                    icmp[4..6].copy_from_slice(&(self.numbers as u16).to_be_bytes());
                    adjust(&mut icmp[2..4], self.l4);
                }
            }
            L4::None | L4::Sctp | L4::Icmpv6 => {}
        }
    }
}

#[inline]
fn bytes<const N: usize>(head: &mut [u8], at: u16) -> Option<&mut [u8; N]> {
    head.get_mut(usize::from(at)..)?.first_chunk_mut()
}

#[inline]
fn adjust(checksum: &mut [u8], delta: Delta) {
    if let [high, low] = checksum {
        [*high, *low] = Checksum::from_bytes([*high, *low]).apply(delta).to_bytes();
    }
}

#[cfg(test)]
mod tests;
