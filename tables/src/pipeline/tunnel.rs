//! Outputs to tunnel ports: the frame is wrapped and leaves through the port ridden on.

use weir_packet::{Frame, Layout, NoHeadroom};

use super::witness::Event;
use super::{Journey, Output, Packet, UNCUT, Witness};
use crate::cache::{Changes, Refusal};
use crate::drops::DropReason;
use crate::port::PortIndex;
use crate::tunnel::options::RawOptions;
use crate::tunnel::{Destination, NeighbourPlace, NextHop, Outer, TunnelConfig, solicit};

/// An output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Egress {
    pub(super) port: PortIndex,
    pub(super) changes: Changes,
    /// Bytes of the frame to send at most.
    pub(super) max_len: u32,
    /// IP size in bytes of the largest piece that a datagram came in; 0: it came whole.
    pub(super) largest_piece: u16,
    /// Where a packet goes that leaves through a tunnel port.
    pub(super) to: Option<Destination>,
}

impl Egress {
    /// Whether the packet has Geneve options that go with it.
    #[inline]
    pub(super) fn sends_options(&self) -> bool {
        self.to.is_some_and(|to| to.has_options)
    }
}

impl<O, W: Witness> Journey<'_, O, W> {
    /// The options that an output which is done now is to carry, if any.
    #[inline]
    pub(super) fn options_of<F>(
        &self,
        packet: &mut Packet<F>,
        egress: &Egress,
    ) -> Option<RawOptions> {
        if !egress.sends_options() {
            return None;
        }
        Some(self.options_of_key(packet))
    }

    /// By itself, so that a packet without options has nothing copied.
    #[cold]
    #[inline(never)]
    fn options_of_key<F>(&self, packet: &mut Packet<F>) -> RawOptions {
        let key = packet.take_key_of_output();
        RawOptions::of_key(&key, &self.snapshot.options)
    }

    /// An output of at most `max_len` bytes to `port` of the packet as it is now.
    pub(super) fn egress<F>(&self, packet: &Packet<F>, port: PortIndex, max_len: u32) -> Egress {
        let tunnel = self.snapshot.ports.tunnels().of(port);
        Egress {
            port,
            changes: packet.changes,
            max_len,
            largest_piece: packet.largest_piece,
            to: tunnel.and_then(|config| Destination::of(config, packet.key())),
        }
    }

    /// Wraps a frame and hands it to the underlay, with `options` in the tunnel's header.
    ///
    /// A packet for a next hop that is not known is dropped and asks for it, as in Open vSwitch.
    pub(super) fn encapsulate<F>(
        &mut self,
        mut frame: F,
        layout: &Layout,
        egress: &Egress,
        config: &TunnelConfig,
        options: Option<&RawOptions>,
    ) where
        F: Frame,
        O: Output<F>,
    {
        if let Some(trace) = &mut self.trace {
            trace.read_packet();
        }
        let Some(to) = &egress.to else {
            return self.drop(DropReason::TunnelNoRemote);
        };
        let tunnels = self.snapshot.ports.tunnels();
        let own_mac = self.neighbours.own_mac(config.over);
        let known = tunnels.neighbour(config.over, to.remote);
        let next_hop = match known {
            Some(mac) => NextHop::Known {
                mac,
                place: NeighbourPlace::STATIC,
                ask: false,
            },
            None => self.neighbours.next_hop(config.over, to.remote, self.now),
        };
        let (mac, place, ask) = match next_hop {
            NextHop::Known { mac, place, ask } => (mac, place, ask),
            NextHop::Unknown { ask } => {
                if W::WATCHES {
                    let (over, ip) = (config.over, to.remote);
                    self.witness.saw(Event::UnknownHop { over, ip, ask });
                }
                if ask && solicit(&mut frame, own_mac, config.local, to.remote, None) {
                    self.out.send(config.over, frame);
                }
                return self.drop(DropReason::TunnelNoNeighbour);
            }
        };
        let mut outer = Outer::new(egress.port, config, to, [mac, own_mac], place);
        if let Some(options) = options {
            outer.options = *options;
        }
        if frame.len() > egress.max_len as usize {
            frame.truncate(egress.max_len as usize);
        }
        if egress.max_len != UNCUT
            && let Some(trace) = &mut self.trace
        {
            // What is cut before it is wrapped is not remembered.
            trace.refuse(Refusal::CutTunnel);
        }
        let mtu = usize::from(self.snapshot.ports.port(config.over).mtu);
        let longest = (mtu + ETHERNET).saturating_sub(outer.size());
        if frame.len() > longest {
            return self.drop(DropReason::TunnelMtu);
        }
        if let Some(trace) = &mut self.trace {
            trace.wrapped(&outer, longest, frame.head(), layout, egress.changes);
        }
        if W::WATCHES {
            self.witness.saw(Event::Wrapped { outer: &outer });
        }
        if ask {
            self.ask_again(&frame, own_mac, config, to, mac);
        }
        let len = frame.len();
        match outer.wrap(&mut frame, layout) {
            Err(NoHeadroom) => self.drop(DropReason::NoHeadroom),
            Ok(()) => {
                self.effects += 1;
                self.counters.tunnel(egress.port).sent(len);
                self.out.send(config.over, frame);
            }
        }
    }

    /// Asks a next hop whether it is still there. The next packet need not.
    fn ask_again<F>(
        &mut self,
        frame: &F,
        own_mac: [u8; 6],
        config: &TunnelConfig,
        to: &Destination,
        mac: [u8; 6],
    ) where
        F: Frame,
        O: Output<F>,
    {
        if let Some(trace) = &mut self.trace {
            trace.refuse(Refusal::NextHop);
        }
        if let Some(mut question) = frame.duplicate()
            && solicit(&mut question, own_mac, config.local, to.remote, Some(mac))
        {
            self.out.send(config.over, question);
        }
    }
}

/// An Ethernet header's size, which an MTU does not count.
const ETHERNET: usize = 14;
