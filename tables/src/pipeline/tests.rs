//! Packets alone, without tables: what is written into a key arrives in the frame. Journeys are
//! tested by the whole switch.

use proptest::prelude::*;
use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use weir_packet::text;
use weir_packet::{Frame, VecFrame, parse};

use super::Packet;
use crate::action::Subfield;
use crate::drops::DropReason;
use crate::extract::{PacketWords, VLAN_PRESENT};
use crate::field::{Access, Field};
use crate::port::PortNo;
use crate::program::{Bits, BitsPlace};

const PACKETS: &[&str] = &[
    "udp 10.0.0.1:16 > 10.0.0.2:53 len=9",
    "udp 10.0.0.1:16 > 10.0.0.2:53 no-csum ipopt=94040000 pad=9",
    "tcp 10.0.0.1:1000 > 10.0.0.2:80 SA seq=1 ack=2 mss=1460 tos=0xff",
    "sctp 10.0.0.1:1 > 10.0.0.2:2 vtag=0x5 chunk=init:0:0011",
    "icmp 10.0.0.1 > 10.0.0.2 echo-request id=7 seq=1 len=56",
    "ip proto=47 10.0.0.1 > 10.0.0.2 data=00000800",
    "ip proto=17 10.0.0.1 > 10.0.0.2 frag id=7 off=24 len=16",
    "tcp [::1]:1000 > [::2]:80 S seq=100 label=0x12345",
    "udp [::1]:1000 > [::2]:53 ext=60:010400000000 len=5",
    "sctp [::1]:1 > [::2]:2 vtag=0x5 chunk=init:0:0011",
    "icmp6 ::1 > ::2 echo-request id=7 seq=1",
    "icmp6 fc00::1 > ff02::1:ff00:2 neighbor-solicit target=fc00::2 sll=02:00:00:00:00:01",
    "icmp6 fc00::2 > fc00::1 neighbor-advert target=fc00::2 flags=SO tll=02:00:00:00:00:02",
    "icmp6 fc00::2 > fc00::1 neighbor-advert target=fc00::2 flags=S",
    "arp request 10.0.0.1 > 10.0.0.2 pad=18",
    "rarp op=3 10.0.0.2 > 10.0.0.1",
    "ether type=0x88cc len=46",
    "vlan 5 pcp 3 udp 10.0.0.1:16 > 10.0.0.2:53 len=9",
    "vlan 5 vlan 6 tcp [::1]:1000 > [::2]:80 S",
];

impl Packet<VecFrame> {
    fn of(line: &str) -> Self {
        let frame = text::frame(line);
        let layout = parse(frame.head(), frame.len()).expect("no runt");
        Self::new(frame, layout, PortNo(0), None, None)
    }

    /// The packet as somebody outside sees it.
    fn told(&self) -> String {
        text::describe(self.frame.bytes())
    }

    /// The key, the frame and the layout agree.
    fn check(&self) {
        let layout = parse(self.frame.head(), self.frame.len()).expect("no runt");
        assert_eq!(self.layout, layout, "{}", self.told());
        let read = PacketWords::read(self.frame.head(), &layout);
        assert!(
            read.agrees(self.key()),
            "{}: {read:?} in the frame, {:?} in the key",
            self.told(),
            self.key()
        );
        assert_eq!(read, self.wire);
        assert!(ipv4_header_checksum_ok(self.frame.head(), &layout));
        assert!(l4_checksum_ok(&self.frame, &layout), "{}", self.told());
    }
}

fn bits(field: Field) -> Bits {
    let slot = field.info().slot.expect("it is executed");
    Bits {
        place: BitsPlace::Slot { slot, start: 0 },
        width: slot.width().into(),
        field,
        prerequisite: field.info().prerequisite,
    }
}

/// Fields of the headers that actions write, without those that say which headers there are.
fn written_fields() -> Vec<Field> {
    let vlan = |field: Field| {
        field.info().slot == Field::VLAN_TCI.info().slot || field.name().contains("vlan")
    };
    Field::all()
        .filter(|field| field.info().access == Access::ReadWrite)
        .filter(|field| {
            let slot = field.info().slot;
            slot.is_some_and(|slot| slot.word() >= usize::from(crate::key::word::ETH_DST))
        })
        .filter(|field| !vlan(*field))
        .collect()
}

#[test]
fn header_fields_are_many() {
    let names: Vec<_> = written_fields().iter().map(|field| field.name()).collect();
    for name in [
        "eth_src",
        "ip_src",
        "ipv6_dst",
        "nw_ttl",
        "arp_op",
        "sctp_dst",
        "icmpv6_code",
    ] {
        assert!(names.contains(&name), "{name}");
    }
}

proptest! {
    #[test]
    fn what_is_written_into_the_key_arrives_in_the_frame(
        line in prop::sample::select(PACKETS),
        writes in prop::collection::vec(
            (prop::sample::select(written_fields()), any::<u128>(), any::<u128>()),
            1..6,
        ),
    ) {
        let mut packet = Packet::of(line);
        for (field, value, mask) in writes {
            let dst = bits(field);
            // What would make another message of it, or is not in it.
            let elsewhere = match field {
                Field::ICMPV6_TYPE | Field::ICMPV6_CODE | Field::ND_OPTIONS_TYPE => {
                    line.contains("neighbor-")
                }
                Field::ND_SLL => !line.contains("sll="),
                Field::ND_TLL => !line.contains("tll="),
                _ => false,
            };
            if elsewhere {
                continue;
            }
            // ARP operations above 255 read as 0, as in Open vSwitch.
            let mask = if field == Field::ARP_OP { mask & 0xff } else { mask };
            packet.key_mut().write_bits(&dst, value & dst.ones(), mask & dst.ones());
        }
        packet.write_back().expect("no tag is written");
        packet.check();
    }

    #[test]
    fn a_tci_written_makes_changes_or_removes_the_tag(
        line in prop::sample::select(PACKETS),
        tci in any::<u16>(),
    ) {
        let mut packet = Packet::of(line);
        let tags = packet.layout.vlan_tags;
        packet.key_mut().set_field(Field::VLAN_TCI, tci.into());
        packet.write_back().expect("at most one tag is added");
        packet.check();
        let after = match (tags, tci & VLAN_PRESENT != 0) {
            (0, present) => u8::from(present),
            (tags, true) => tags,
            (tags, false) => tags - 1,
        };
        prop_assert_eq!(packet.layout.vlan_tags, after);
        if tci & VLAN_PRESENT != 0 {
            prop_assert_eq!(packet.tci(), tci);
        }
    }

    #[test]
    fn a_pushed_tag_pops_without_a_trace(
        line in prop::sample::select(PACKETS),
        tpid in prop::sample::select(&[0x8100_u16, 0x88a8][..]),
        tci in any::<u16>(),
    ) {
        let mut packet = Packet::of(line);
        let before = packet.frame.clone();
        match packet.push_tag(tpid, tci) {
            Err(reason) => {
                prop_assert_eq!(reason, DropReason::TooManyTags);
                prop_assert_eq!(packet.layout.vlan_tags, 2);
            }
            Ok(()) => {
                packet.check();
                prop_assert_eq!(packet.tci(), tci | VLAN_PRESENT);
                packet.pop_tag();
            }
        }
        packet.check();
        prop_assert_eq!(packet.frame, before);
    }
}

#[test]
fn a_field_that_the_packet_does_not_have_is_not_written() {
    for line in PACKETS {
        for field in written_fields() {
            let mut packet = Packet::of(line);
            let dst = bits(field);
            let has_it = packet.key().satisfies(dst.prerequisite);
            let before = *packet.key();
            packet
                .key_mut()
                .write_bits(&dst, !before.read_bits(&dst), dst.ones());
            assert_eq!(*packet.key() != before, has_it, "{line}: {field:?}");
        }
    }
}

#[test]
fn no_headroom_for_a_tag_is_a_drop() {
    let mut packet = Packet::of("udp 10.0.0.1:1 > 10.0.0.2:2");
    packet
        .frame
        .push_front(VecFrame::HEADROOM - 3)
        .expect("there is room");
    packet
        .frame
        .head_mut()
        .copy_within(VecFrame::HEADROOM - 3.., 0);
    let refused = packet.frame.clone().push_front(4);
    assert!(refused.is_err());
    packet.layout = parse(packet.frame.head(), packet.frame.len()).expect("no runt");
    assert_eq!(packet.push_tag(0x8100, 5), Err(DropReason::NoHeadroom));
}

#[test]
fn whole_subfields_reach_the_flag_of_the_tag() {
    assert_eq!(Subfield::whole(Field::VLAN_VID).width, 12);
    assert_eq!(bits(Field::VLAN_VID).width, 13);
}
