//! VLAN tags are pushed and popped on the frame at once: what lies behind a tag shows only
//! when it is gone.

use weir_packet::Frame;

use super::witness::Event;
use super::{Flow, Journey, Output, Packet, Witness, tag};
use crate::drops::DropReason;
use crate::extract::PacketWords;
use crate::field::Field;

/// Tags that weir handles.
const MAX_TAGS: u8 = 2;
/// The TPID of a tag that nobody named one for (IEEE 802.1Q).
pub(super) const TPID_8021Q: u16 = 0x8100;

impl<O, W: Witness> Journey<'_, O, W> {
    /// `push_vlan`: a new outer tag with VID and PCP 0. A packet that cannot have one is lost:
    /// without the tag it belongs somewhere else.
    pub(super) fn push_vlan<F>(&mut self, packet: &mut Packet<F>, tpid: u16, depth: u32) -> Flow
    where
        F: Frame,
        O: Output<F>,
    {
        if !self.settle(packet, depth) {
            return Flow::Lost;
        }
        if let Err(reason) = packet.push_tag(tpid, 0) {
            self.drop(reason);
            return Flow::Lost;
        }
        if W::WATCHES {
            self.witness.saw(Event::Tagged { tci: 0 });
        }
        Flow::Continue
    }

    /// `pop_vlan`: removes the outer tag, if there is one.
    pub(super) fn pop_vlan<F>(&mut self, packet: &mut Packet<F>, depth: u32) -> Flow
    where
        F: Frame,
        O: Output<F>,
    {
        if !self.settle(packet, depth) {
            return Flow::Lost;
        }
        if W::WATCHES && packet.layout.vlan_tags > 0 {
            self.witness.saw(Event::Untagged);
        }
        packet.pop_tag();
        Flow::Continue
    }
}

impl<F: Frame> Packet<F> {
    /// Puts a tag in front of all others.
    pub(super) fn push_tag(&mut self, tpid: u16, tci: u16) -> Result<(), DropReason> {
        if self.layout.vlan_tags >= MAX_TAGS {
            return Err(DropReason::TooManyTags);
        }
        tag::push(&mut self.frame, tpid, tci)?;
        self.reparse();
        Ok(())
    }

    /// Removes the outer tag, if there is one.
    pub(super) fn pop_tag(&mut self) {
        if self.layout.vlan_tags == 0 {
            return;
        }
        tag::pop(&mut self.frame);
        self.reparse();
    }

    /// Writes the TCI of the outer tag. There must be one.
    pub(super) fn write_tci(&mut self, tci: u16) {
        tag::write_tci(&mut self.frame, tci);
    }

    /// The TCI with bit 12 set, or 0 without a tag, as the tables see it now.
    pub(super) fn tci(&self) -> u16 {
        self.key().field(Field::VLAN_TCI) as u16
    }

    fn reparse(&mut self) {
        self.reading = None;
        let head = self.frame.head();
        self.layout = weir_packet::parse(head, self.frame.len())
            .expect("a frame does not become shorter than an Ethernet header by its tags");
        let read = PacketWords::read(head, &self.layout);
        if self.translated {
            // The tables have not been told of the translation yet.
            self.wire.copy_link(&read);
        } else {
            self.wire = read;
        }
        let wire = self.wire;
        wire.copy_to(self.key_mut());
    }
}
