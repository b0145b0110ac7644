//! What packets that share a trajectory have in common: all that anything on their way can read.
//!
//! Packets of a few classes have a key: IPv4 and IPv6 with TCP, UDP or an ICMP echo, at most one
//! VLAN tag, no fragment, no extension header, nothing malformed. The key holds the input port,
//! where the headers lie, both MAC addresses, the tag and the whole tuple; and of what differs
//! from packet to packet of one connection (TOS, TTL, flow label, TCP flags) the bits in which
//! some rule or action takes an [`Interest`].
//!
//! Cost: a dozen loads; two multiplications for the hash of most packets.

use weir_packet::{Fragment, L3, L4, Layout, ether_type, protocol};

use crate::classifier::HashSecret;
use crate::extract::VLAN_PRESENT;
use crate::field::Field;
use crate::group::Group;
use crate::key::{FlowKey, word};
use crate::port::{PortIndex, PortNo, PortTable};
use crate::program::{Op, Zone};
use crate::rule::Rule;
use crate::tunnel::{MAX_NUMBER, VARYING};

mod pattern;

pub(super) use pattern::{Pattern, Unwritten};

/// Words of a key; an IPv4 packet's ends before [`V4_WORDS`].
pub(super) const WORDS: usize = 8;
pub(super) const V4_WORDS: usize = 5;

/// The words of a key; addresses, ports and identifiers as they lie in the packet:
///
/// 0. IPv4: source and destination; IPv6: higher half of the source
/// 1. ports (ICMP: identifier, type, code) << 32 | input port << 16 | protocol << 8 | shape
/// 2. flow label << 44 | TOS << 36 | TTL << 28 | TCP flags << 16 | TCI as it lies in the tag
/// 3. and 4. destination MAC, source MAC, number of the tunnel's other end (24 bits; 0: none),
///    epoch of the interest (8 bits)
/// 5. to 7. IPv6 only: the rest of both addresses
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key(pub(super) [u64; WORDS]);

/// Shape: the address family.
const V6: u64 = 1;
/// Shape: a tag is there.
const TAGGED: u64 = 2;
/// Shape: the packet is larger than [`Interest`] asks for.
const LARGE: u64 = 8;
/// Shape: it is a service tag. No rule can tell, but what takes it off and puts another on can.
const SERVICE: u64 = 4;
/// Bits 4 to 7 of the shape: 32-bit words of the IPv4 header.
const IHL_SHIFT: u32 = 4;

const LABEL_SHIFT: u32 = 44;
const TOS_SHIFT: u32 = 36;
const TTL_SHIFT: u32 = 28;
const FLAGS_SHIFT: u32 = 16;
/// Where the number of a tunnel's other end lies in word 4.
const TUNNEL_SHIFT: u32 = 8;

/// Whether a key is of a packet that came through a tunnel.
pub(super) const fn names_tunnel(words: &[u64; V4_WORDS]) -> bool {
    words[4] >> TUNNEL_SHIFT & MAX_NUMBER as u64 != 0
}

/// The bits of the tag in word 2.
const TCI: u64 = 0xffff;

/// Which bits of what differs from packet to packet are part of keys. It is only ever widened,
/// which makes a new epoch: keys of another epoch are never equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    bits: u64,
    /// Of TOS and TTL of a tunnel's outer headers.
    tunnel: u64,
    /// There are fewer bits to be added than epochs.
    epoch: u8,
    /// Whether packets are larger than so many bytes, tags not counted; `u32::MAX`: nobody asks.
    /// Of several sizes that are asked for it is the first; others keep packets out of entries.
    size: u32,
}

impl Default for Interest {
    fn default() -> Self {
        Self {
            bits: TCI,
            tunnel: 0,
            epoch: 0,
            size: u32::MAX,
        }
    }
}

impl Interest {
    /// Adds what `rule` reads.
    pub(crate) fn widen(&mut self, rule: &Rule) {
        let mut read = FlowKey::ZERO;
        rule.shape.add_to(&mut read);
        add_sources(&rule.program.ops, &mut read);
        self.add(&read, &rule.program.ops);
    }

    /// Adds what `group` reads: to choose, and in its buckets.
    pub(crate) fn widen_by_group(&mut self, group: &Group) {
        let mut read = FlowKey::ZERO;
        for term in &group.spec.selection.fields {
            if let Some(slot) = term.field.info().slot {
                read.write_masked(slot, term.mask, term.mask);
            }
        }
        for part in &group.parts {
            add_sources(&part.program.ops, &mut read);
        }
        let ops = group.parts.iter().flat_map(|part| &part.program.ops);
        self.add(&read, ops);
    }

    fn add<'a>(&mut self, read: &FlowKey, ops: impl IntoIterator<Item = &'a Op>) {
        let wider = Self {
            bits: self.bits | bits_of(read),
            tunnel: self.tunnel | read.words()[usize::from(word::TUN_META)] & VARYING,
            size: match self.size {
                u32::MAX => size_asked_for(ops),
                size => size,
            },
            ..*self
        };
        if wider != *self {
            *self = wider;
            self.epoch += 1;
        }
    }

    /// Which bits of TOS and TTL of a tunnel's outer headers are part of keys.
    #[inline]
    pub(crate) const fn of_tunnels(self) -> u64 {
        self.tunnel
    }
}

/// The TCP flags that end a connection.
const FIN_OR_RST: u128 = 0x001 | 0x004;

/// Adds the bits that `ops` read to `read`.
fn add_sources(ops: &[Op], read: &mut FlowKey) {
    for op in ops {
        match op {
            Op::Move { src, .. } | Op::OutputField(src) | Op::Push(src) => {
                read.write_bits_anyway(src);
            }
            Op::FinTimeout => read.set_field(Field::TCP_FLAGS, FIN_OR_RST),
            Op::Ct(ct) => {
                if let Zone::Bits(bits) = &ct.zone {
                    read.write_bits_anyway(bits);
                }
                if let Some(commit) = &ct.commit {
                    add_sources(&commit.exec, read);
                }
            }
            _ => {}
        }
    }
}

/// The size that the first `check_pkt_larger` asks for; `u32::MAX`: there is none.
fn size_asked_for<'a>(ops: impl IntoIterator<Item = &'a Op>) -> u32 {
    let sizes = ops.into_iter().filter_map(|op| match op {
        Op::CheckLarger { size, .. } => Some(u32::from(*size)),
        _ => None,
    });
    sizes.min().unwrap_or(u32::MAX)
}

/// The bits of word 2 for a mask.
fn bits_of(mask: &FlowKey) -> u64 {
    let (ip, l4) = (
        mask.words()[usize::from(word::IP)],
        mask.words()[usize::from(word::L4)],
    );
    (ip >> 32 & 0xf_ffff) << LABEL_SHIFT
        | (ip >> 16 & 0xff) << TOS_SHIFT
        | (ip >> 8 & 0xff) << TTL_SHIFT
        | (l4 >> 16 & 0xfff) << FLAGS_SHIFT
}

impl Key {
    /// The key of a frame; `None` if it is of no class that has one.
    #[inline]
    pub(crate) fn of(
        head: &[u8],
        layout: &Layout,
        in_port: PortIndex,
        interest: Interest,
    ) -> Option<Self> {
        let link_size = 14 + 4 * u16::from(layout.vlan_tags);
        let plain = layout.vlan_tags < 2
            && layout.l3_offset == link_size
            && layout.fragment == Fragment::No
            && layout.malformed.is_none();
        if !plain {
            return None;
        }
        let (link, behind) = head.split_first_chunk::<14>()?;
        let (mut shape, mut varying) = (0, 0);
        let ip = if layout.vlan_tags == 0 {
            behind
        } else {
            let (&[p, v, ..], behind) = behind.split_first_chunk::<4>()?;
            shape |= TAGGED;
            if link[12..] == ether_type::QINQ.to_be_bytes() {
                shape |= SERVICE;
            }
            varying |= u64::from(u16::from_be_bytes([p, v]));
            behind
        };
        if layout.l3_end - 4 * u32::from(layout.vlan_tags) > interest.size {
            shape |= LARGE;
        }
        let mut words = [0; WORDS];
        let l4 = match layout.l3 {
            L3::Ipv4 => {
                let (header, _) = ip.split_first_chunk::<20>()?;
                let size = layout.l4_offset - link_size;
                shape |= u64::from(size / 4) << IHL_SHIFT;
                words[0] = raw64(header, 12);
                varying |= u64::from(header[1]) << TOS_SHIFT | u64::from(header[8]) << TTL_SHIFT;
                ip.get(usize::from(size)..)?
            }
            L3::Ipv6 => {
                let (header, l4) = ip.split_first_chunk::<40>()?;
                if layout.l4_offset != link_size + 40 {
                    return None;
                }
                shape |= V6;
                words[0] = raw64(header, 8);
                words[5] = raw64(header, 16);
                words[6] = raw64(header, 24);
                words[7] = raw64(header, 32);
                let start = u64::from(u32::from_be(raw32(header, 0)));
                varying |= (start & 0xf_ffff) << LABEL_SHIFT
                    | (start >> 20 & 0xff) << TOS_SHIFT
                    | u64::from(header[7]) << TTL_SHIFT;
                l4
            }
            L3::Other | L3::Arp => return None,
        };
        let ports = match layout.l4 {
            L4::Tcp => {
                let header = l4.first_chunk::<14>()?;
                let flags = u16::from_be_bytes([header[12], header[13]]) & 0x0fff;
                varying |= u64::from(flags) << FLAGS_SHIFT;
                raw32(header, 0)
            }
            L4::Udp => raw32(l4.first_chunk::<8>()?, 0),
            L4::Icmp | L4::Icmpv6 => {
                let header = l4.first_chunk::<8>()?;
                let &[kind, code, _, _, i0, i1, ..] = header;
                let echo = match layout.l4 {
                    L4::Icmp => {
                        matches!(
                            kind,
                            protocol::icmp::ECHO_REQUEST | protocol::icmp::ECHO_REPLY
                        )
                    }
                    _ => matches!(
                        kind,
                        protocol::icmpv6::ECHO_REQUEST | protocol::icmpv6::ECHO_REPLY
                    ),
                };
                if !echo || code != 0 {
                    return None;
                }
                u32::from_ne_bytes([i0, i1, kind, code])
            }
            L4::None | L4::Sctp => return None,
        };
        words[1] = u64::from(ports) << 32
            | u64::from(in_port.0) << 16
            | u64::from(layout.protocol) << 8
            | shape;
        words[2] = varying & interest.bits;
        words[3] = raw64(link, 0);
        words[4] = u64::from(raw32(link, 8)) << 32 | u64::from(interest.epoch);
        Some(Self(words))
    }

    /// Reads key and layout, as [`Key::of`] and [`weir_packet::parse`] do, of what most packets
    /// are: [plain](Layout::plain). Returns false if it is not such a packet; nothing is then
    /// read.
    #[inline(always)]
    pub(crate) fn read_plain(
        head: &[u8],
        len: usize,
        in_port: PortIndex,
        interest: Interest,
        layout: &mut Layout,
        key: &mut Self,
    ) -> bool {
        const LINK: usize = 14;
        const IP: usize = 20;
        const L4_AT: usize = LINK + IP;
        let Some(bytes) = head.first_chunk::<{ L4_AT + 8 }>() else {
            return false;
        };
        let total = usize::from(be16(bytes, 16));
        // Version and header length; the fragment's bits; both lengths.
        if bytes[12..14] != ether_type::IPV4.to_be_bytes()
            || bytes[14] != 0x45
            || be16(bytes, 20) & 0x3fff != 0
            || total < IP + 8
            || LINK + total > len
        {
            return false;
        }
        let number = bytes[23];
        let Some(flags) = flags_of_plain::<L4_AT, { L4_AT + 8 }, { L4_AT + 20 }>(
            head,
            bytes,
            number,
            LINK + total,
        ) else {
            return false;
        };
        *layout = Layout::plain(number, (LINK + total) as u32);
        let large = u64::from((LINK + total) as u32 > interest.size) * LARGE;
        let shape = (IP as u64 / 4) << IHL_SHIFT | large | u64::from(in_port.0) << 16;
        // The words behind are of no meaning to a packet of IPv4.
        let [first, second, third, fourth, fifth, ..] = &mut key.0;
        *first = raw64(bytes, 26);
        *second = u64::from(raw32(bytes, L4_AT)) << 32 | u64::from(number) << 8 | shape;
        *third = if interest.bits & !TCI == 0 {
            0
        } else {
            let varying = u64::from(bytes[15]) << TOS_SHIFT
                | u64::from(bytes[22]) << TTL_SHIFT
                | u64::from(flags & 0x0fff) << FLAGS_SHIFT;
            varying & interest.bits
        };
        *fourth = raw64(bytes, 0);
        *fifth = u64::from(raw32(bytes, 8)) << 32 | u64::from(interest.epoch);
        true
    }

    /// As [`Key::read_plain`] for IPv6: [`Layout::plain_v6`].
    #[inline(always)]
    pub(crate) fn read_plain_v6(
        head: &[u8],
        len: usize,
        in_port: PortIndex,
        interest: Interest,
        layout: &mut Layout,
        key: &mut Self,
    ) -> bool {
        const LINK: usize = 14;
        const L4_AT: usize = LINK + 40;
        let Some(bytes) = head.first_chunk::<{ L4_AT + 8 }>() else {
            return false;
        };
        let end = L4_AT + usize::from(be16(bytes, 18));
        if bytes[12..14] != ether_type::IPV6.to_be_bytes()
            || bytes[14] >> 4 != 6
            || end < L4_AT + 8
            || end > len
        {
            return false;
        }
        let number = bytes[20];
        let Some(flags) =
            flags_of_plain::<L4_AT, { L4_AT + 8 }, { L4_AT + 20 }>(head, bytes, number, end)
        else {
            return false;
        };
        *layout = Layout::plain_v6(number, end as u32);
        let large = u64::from(end as u32 > interest.size) * LARGE;
        let shape = V6 | large | u64::from(in_port.0) << 16;
        let start = u64::from(u32::from_be(raw32(bytes, 14)));
        let varying = (start & 0xf_ffff) << LABEL_SHIFT
            | (start >> 20 & 0xff) << TOS_SHIFT
            | u64::from(bytes[21]) << TTL_SHIFT
            | u64::from(flags & 0x0fff) << FLAGS_SHIFT;
        key.0 = [
            raw64(bytes, 22),
            u64::from(raw32(bytes, L4_AT)) << 32 | u64::from(number) << 8 | shape,
            varying & interest.bits,
            raw64(bytes, 0),
            u64::from(raw32(bytes, 8)) << 32 | u64::from(interest.epoch),
            raw64(bytes, 30),
            raw64(bytes, 38),
            raw64(bytes, 46),
        ];
        true
    }

    /// The protocol of its packets.
    #[inline]
    pub(crate) const fn protocol(&self) -> u8 {
        (self.0[1] >> 8) as u8
    }

    /// Source and destination of its packets, if they are plain ones of IPv4: the address, then the port
    /// (`address << 16 | port`).
    #[inline]
    pub(crate) const fn plain_ends(&self) -> [u64; 2] {
        let addresses = u64::from_be_bytes(self.0[0].to_ne_bytes());
        let ports = u32::from_be_bytes(((self.0[1] >> 32) as u32).to_ne_bytes()) as u64;
        [
            addresses >> 32 << 16 | ports >> 16,
            (addresses & 0xffff_ffff) << 16 | ports & 0xffff,
        ]
    }

    /// Adds what stands for the outer headers of a packet that came through a tunnel.
    #[inline]
    pub(crate) const fn set_tunnel(&mut self, number: u32) {
        self.0[4] |= (number as u64) << TUNNEL_SHIFT;
    }

    /// Whether it is an IPv6 packet's.
    #[inline]
    pub(super) const fn is_v6(&self) -> bool {
        self.0[1] & V6 != 0
    }

    /// Whether a key has these words, which for one of an IPv4 packet are all.
    #[inline]
    pub(super) fn same_v4(&self, words: &[u64; V4_WORDS]) -> bool {
        // Four as one array, so that the machine compares them in two steps.
        self.0.first_chunk::<4>() == words.first_chunk::<4>() && self.0[4] == words[4]
    }

    /// Whether another key has these words, and `rest` behind them if it is an IPv6 key.
    #[inline]
    pub(super) fn same<'a>(
        &self,
        words: &[u64; V4_WORDS],
        rest: impl FnOnce() -> &'a [u64; WORDS - V4_WORDS],
    ) -> bool {
        self.same_v4(words) && (!self.is_v6() || self.0[V4_WORDS..] == *rest())
    }

    /// The flow key with which a packet of this key begins its way, and which bits of it are
    /// known; what is not in the key is 0 in both.
    #[cfg(test)]
    pub(super) fn flow_key(&self, ports: &PortTable, interest: Interest) -> (FlowKey, FlowKey) {
        let (mut key, mut mask) = (FlowKey::ZERO, FlowKey::ZERO);
        for at in 0..key.words().len() {
            (key.words_mut()[at], mask.words_mut()[at]) = self.flow_word(at, ports, interest);
        }
        (key, mask)
    }

    /// Word `at` of that flow key, and its known bits.
    #[inline]
    pub(super) fn flow_word(&self, at: usize, ports: &PortTable, interest: Interest) -> (u64, u64) {
        let words = &self.0;
        let address = |at: usize| u64::from_be(words[at]);
        let Ok(at) = u8::try_from(at) else {
            return (0, 0);
        };
        match at {
            word::PORT => {
                let in_port = ports.port(PortIndex((words[1] >> 16) as u16)).no;
                (u64::from(in_port.0) << 32, u64::MAX)
            }
            word::CONJ => (u64::from(PortNo::UNSET.0) << 32, u64::MAX),
            // What the number of a tunnel's other end stands for is not kept.
            word::TUN_ID..word::CT_STATE => {
                match words[4] >> TUNNEL_SHIFT & u64::from(MAX_NUMBER) {
                    0 => (0, u64::MAX),
                    _ => (0, 0),
                }
            }
            // Metadata and conntrack: nothing yet.
            _ if at < word::ETH_DST => (0, u64::MAX),
            word::ETH_DST => {
                let ether_type = if self.is_v6() { 0x86dd } else { 0x0800 };
                (address(3) >> 16 << 16 | ether_type, u64::MAX)
            }
            word::ETH_SRC => {
                let end = u64::from(u32::from_be((words[4] >> 32) as u32));
                let mac = address(3) << 48 >> 16 | end;
                let tci = match words[1] & TAGGED {
                    0 => 0,
                    _ => words[2] & 0xffff | u64::from(VLAN_PRESENT),
                };
                (mac << 16 | tci, u64::MAX)
            }
            word::IPV4 if self.is_v6() => (0, u64::MAX),
            word::IPV4 => (address(0), u64::MAX),
            word::IPV6_SRC..word::IP if !self.is_v6() => (0, u64::MAX),
            word::IPV6_SRC..word::IP => {
                // Behind the first word of the source stands what an IPv4 packet has.
                let place = match at - word::IPV6_SRC {
                    0 => 0,
                    behind => usize::from(behind) + 4,
                };
                (address(place), u64::MAX)
            }
            word::IP => {
                let varying = |bits: u64| {
                    (bits >> LABEL_SHIFT) << 32
                        | (bits >> TOS_SHIFT & 0xff) << 16
                        | (bits >> TTL_SHIFT & 0xff) << 8
                };
                let number = words[1] >> 8 & 0xff;
                let known = varying(interest.bits) | 0xff << 24 | 0xff;
                (varying(words[2]) | number << 24, known)
            }
            word::L4 => {
                let numbers = u64::from(u32::from_be((words[1] >> 32) as u32));
                let icmp = match self.is_v6() {
                    false => protocol::ICMP,
                    true => protocol::ICMPV6,
                };
                let (src, dst) = if words[1] >> 8 & 0xff == u64::from(icmp) {
                    (numbers >> 8 & 0xff, numbers & 0xff)
                } else {
                    (numbers >> 16, numbers & 0xffff)
                };
                let flags = |bits: u64| (bits >> FLAGS_SHIFT & 0xfff) << 16;
                let known = 0xffff_ffff << 32 | 0xffff | flags(interest.bits);
                (src << 48 | dst << 32 | flags(words[2]), known)
            }
            _ => (0, 0),
        }
    }
}

/// Data offset and flags of a TCP header at `AT`, of UDP 0, if the header is whole and what it
/// says of its length is possible; `None` also if it is another protocol's. `bytes` are the first
/// of `head`, up to the eighth of the header (`UDP_END`); the packet ends at `end`.
#[inline(always)]
fn flags_of_plain<const AT: usize, const UDP_END: usize, const TCP_END: usize>(
    head: &[u8],
    bytes: &[u8; UDP_END],
    number: u8,
    end: usize,
) -> Option<u16> {
    let mut flags = 0;
    let right = if number == protocol::UDP {
        let (size, room) = (usize::from(be16(bytes, AT + 4)), end - AT);
        // Most datagrams end with their packet.
        size == room || (8..=room).contains(&size)
    } else if number == protocol::TCP
        && let Some(header) = head.first_chunk::<TCP_END>()
    {
        flags = be16(header, AT + 12);
        let size = usize::from(flags >> 12) * 4;
        let room = end.min(head.len()).saturating_sub(AT);
        (20..=room).contains(&size)
    } else {
        false
    };
    right.then_some(flags)
}

/// A keyed hash that no stranger can predict: products of secret numbers and the key's words.
#[derive(Debug)]
pub(super) struct KeyHash([u64; 7]);

impl KeyHash {
    pub(super) fn new(secret: HashSecret) -> Self {
        // SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators").
        let mut state = secret.0;
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut number = state;
            number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            number ^ number >> 31
        }))
    }

    /// What tells keys apart goes into a product with a secret, or is added to one. Both factors
    /// of the last depend on the key, so that no change of it has the same effect twice.
    #[inline]
    pub(super) fn of(&self, key: &Key) -> u64 {
        let (words, secrets) = (&key.0, &self.0);
        let mut more = 0;
        if key.is_v6() {
            more = fold(words[5] ^ secrets[5], words[6] ^ secrets[6]);
            more = fold(more ^ words[7], secrets[0] ^ secrets[6]);
        }
        self.with(more, key)
    }

    /// The same for a key of an IPv4 packet.
    #[inline(always)]
    pub(super) fn of_v4(&self, key: &Key) -> u64 {
        self.with(0, key)
    }

    #[inline(always)]
    fn with(&self, more: u64, key: &Key) -> u64 {
        let (words, secrets) = (&key.0, &self.0);
        let left = more ^ fold(words[0] ^ secrets[0], words[1] ^ secrets[1]);
        // The lower halves: the epoch, which all keys share, and what most packets lack.
        let mut right = words[4] ^ words[2] & LOW;
        if words[2] & !LOW != 0 {
            right ^= fold(words[2] ^ secrets[2], secrets[3]);
        }
        fold(left ^ words[3], right ^ secrets[4])
    }
}

/// The lower half of a word.
const LOW: u64 = 0xffff_ffff;

/// Both halves of the product.
#[inline]
const fn fold(left: u64, right: u64) -> u64 {
    let product = left as u128 * right as u128;
    product as u64 ^ (product >> 64) as u64
}

/// Eight bytes as they lie there.
#[inline]
fn raw64<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    u64::from_ne_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

/// Four bytes as they lie there.
#[inline]
fn raw32<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_ne_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

#[inline]
fn be16<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests;
