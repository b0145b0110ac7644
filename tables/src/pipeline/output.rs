//! Outputs: to which port, and when the frame is copied for it.

use weir_packet::{Frame, Layout};

use super::carried::Begin;
use super::tunnel::Egress;
use super::witness::Event;
use super::{Journey, Output, Packet, Pending, UNCUT, Witness};
use crate::cache::Refusal;
use crate::drops::DropReason;
use crate::port::{PortIndex, PortNo};
use crate::tunnel::options::RawOptions;

impl<O, W: Witness> Journey<'_, O, W> {
    /// Output to the port whose number lies in a field. It is a number of OpenFlow 1.0, in
    /// which reserved ports begin at 0xff00.
    pub(super) fn output_to_value<F>(&mut self, packet: &mut Packet<F>, value: u128, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        const RESERVED: u32 = 0xffff_0000;
        let Ok(port) = u16::try_from(value) else {
            self.nowhere(DropReason::UnknownPort);
            return;
        };
        match PortNo(RESERVED | u32::from(port)) {
            PortNo::IN_PORT => self.output_to_in_port(packet, UNCUT, depth),
            PortNo::NORMAL => self.normal(packet, depth),
            all @ (PortNo::FLOOD | PortNo::ALL) => self.flood(packet, all, depth),
            PortNo::LOCAL => self.output_to(packet, PortNo::LOCAL, UNCUT, depth),
            _ => self.output_to(packet, PortNo(port.into()), UNCUT, depth),
        }
    }

    /// Output of at most `max_len` bytes to a numbered port; to the packet's own it is skipped.
    pub(super) fn output_to<F>(
        &mut self,
        packet: &mut Packet<F>,
        port: PortNo,
        max_len: u32,
        depth: u32,
    ) where
        F: Frame,
        O: Output<F>,
    {
        if port == packet.in_port() {
            self.nowhere(DropReason::OutputToInPort);
            return;
        }
        match self.snapshot.ports.index_of(port) {
            None => self.no_port(),
            Some(port) => self.output_cut(packet, port, max_len, depth),
        }
    }

    pub(super) fn output_to_in_port<F>(&mut self, packet: &mut Packet<F>, max_len: u32, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        match self.ingress(packet) {
            None => self.no_port(),
            Some(port) => self.output_cut(packet, port, max_len, depth),
        }
    }

    /// The port that the packet came from, or says that it came from: actions may write
    /// in_port, so that a packet can leave where it came in.
    pub(super) fn ingress<F>(&self, packet: &Packet<F>) -> Option<PortIndex> {
        let ports = &self.snapshot.ports;
        let no = packet.in_port();
        if ports.port(self.in_port).no == no {
            Some(self.in_port)
        } else {
            ports.index_of(no)
        }
    }

    /// Sends the packet as it is now to `port`, or will do so when nothing else needs the frame.
    pub(super) fn output<F>(&mut self, packet: &mut Packet<F>, port: PortIndex, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        self.output_cut(packet, port, UNCUT, depth);
    }

    /// As [`Self::output`], of at most `max_len` bytes.
    fn output_cut<F>(&mut self, packet: &mut Packet<F>, port: PortIndex, max_len: u32, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        if self.snapshot.ports.blocks(port) {
            self.reason = DropReason::PortNoForward;
            return;
        }
        if self.settle(packet, depth) {
            if W::WATCHES {
                self.witness.saw(Event::Output { port, max_len });
            }
            packet.output_later(self.egress(packet, port, max_len));
        }
    }

    /// Sends to all ports but the packet's own, or to those of them that are not left out of
    /// FLOOD.
    pub(super) fn flood<F>(&mut self, packet: &mut Packet<F>, to: PortNo, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        let in_port = packet.in_port();
        self.note_ports();
        for (port, config) in self.snapshot.ports.iter() {
            let left_out = to == PortNo::FLOOD && self.snapshot.ports.flags(port).no_flood;
            if config.no != in_port && !left_out {
                self.output(packet, port, depth);
            }
        }
    }

    /// Does what is pending and brings the frame up to date. Returns false if the frame could
    /// not be changed; the drop is then counted.
    #[inline]
    pub(super) fn settle<F>(&mut self, packet: &mut Packet<F>, depth: u32) -> bool
    where
        F: Frame,
        O: Output<F>,
    {
        packet.is_settled() || self.settle_now(packet, depth)
    }

    fn settle_now<F>(&mut self, packet: &mut Packet<F>, depth: u32) -> bool
    where
        F: Frame,
        O: Output<F>,
    {
        self.flush(packet, depth);
        if packet.is_up_to_date() {
            return true;
        }
        if W::WATCHES {
            let (wire, key) = (&packet.wire, packet.key());
            self.witness.saw(Event::Written { wire, key });
        }
        match packet.write_back() {
            Ok(()) => true,
            Err(reason) => {
                self.drop(reason);
                false
            }
        }
    }

    /// Does what is pending, on a copy of the frame.
    pub(super) fn flush<F>(&mut self, packet: &mut Packet<F>, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        // What carries something is not left pending.
        self.flush_carrying(packet, Begin::Empty, depth);
    }

    /// As [`Self::flush`]; a recirculation begins with what `begin` says.
    pub(super) fn flush_carrying<F>(&mut self, packet: &mut Packet<F>, begin: Begin, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        match packet.take_pending() {
            None => {}
            Some(Pending::Output(egress)) => {
                let options = self.options_of(packet, &egress);
                match packet.frame.duplicate() {
                    Some(frame) => {
                        self.transmit(frame, &packet.layout, &egress, options.as_ref());
                    }
                    None => self.drop(DropReason::NoBuffer),
                }
            }
            Some(Pending::Recirculate {
                table,
                zone,
                changes,
            }) => match packet.fork() {
                Some(mut fork) => {
                    let Some(aside) = self.set_aside(begin) else {
                        return self.drop(DropReason::StackLimit);
                    };
                    let here = self.witness.place();
                    self.resume(&mut fork, table, zone, changes);
                    let egress = self.passes(&mut fork, table, depth + 1);
                    self.conclude(fork, egress);
                    self.witness.return_to(here);
                    self.rejoin(aside);
                }
                None => self.drop(DropReason::NoBuffer),
            },
            Some(Pending::Bucket(bucket)) => match packet.fork() {
                Some(mut fork) => {
                    let Some(aside) = self.set_aside(Begin::Empty) else {
                        return self.drop(DropReason::StackLimit);
                    };
                    self.bucket(&mut fork, bucket, depth + 1);
                    let egress = self.finish(&mut fork, depth + 1);
                    self.conclude(fork, egress);
                    self.rejoin(aside);
                }
                None => self.drop(DropReason::NoBuffer),
            },
        }
    }

    /// Hands the frame out, with `options` in the header of its tunnel.
    pub(super) fn transmit<F>(
        &mut self,
        mut frame: F,
        layout: &Layout,
        egress: &Egress,
        options: Option<&RawOptions>,
    ) where
        F: Frame,
        O: Output<F>,
    {
        let Egress {
            port,
            changes,
            max_len,
            largest_piece,
            ..
        } = *egress;
        if largest_piece > 0 {
            return self.transmit_pieces(&frame, layout, egress, options);
        }
        if let Some(config) = self.snapshot.ports.tunnels().of(port) {
            return self.encapsulate(frame, layout, egress, config, options);
        }
        let l2_bytes = 14 + 4 * usize::from(layout.vlan_tags);
        let mtu = self.snapshot.ports.port(port).mtu;
        let cut = max_len as usize;
        if frame.len().min(cut) > usize::from(mtu) + l2_bytes {
            return self.drop(DropReason::MtuExceeded);
        }
        if let Some(trace) = &mut self.trace {
            trace.sent(port, mtu, max_len, frame.head(), layout, changes);
        }
        if frame.len() > cut {
            frame.truncate(cut);
        }
        self.effects += 1;
        self.out.send(port, frame);
    }

    /// An action sends the packet nowhere; if nothing else happens, this is why it is lost.
    #[inline]
    pub(super) fn nowhere(&mut self, reason: DropReason) {
        self.reason = reason;
        if W::WATCHES {
            self.witness.saw(Event::Nowhere(reason));
        }
    }

    /// There is no port where the packet is to go.
    fn no_port(&mut self) {
        self.note_ports();
        self.nowhere(DropReason::UnknownPort);
    }

    /// What becomes of the packet depends on which ports there are.
    pub(super) fn note_ports(&mut self) {
        if let Some(trace) = &mut self.trace {
            trace.asked_for_ports();
        }
    }

    /// Counts the loss of the packet, or of one copy.
    pub(super) fn drop(&mut self, reason: DropReason) {
        self.effects += 1;
        self.counters.drop(reason);
        if let Some(trace) = &mut self.trace {
            trace.refuse(Refusal::Lost);
        }
        if W::WATCHES {
            self.witness.saw(Event::Dropped(reason));
        }
    }
}
