//! Pieces of datagrams: ct() puts them together, outputs cut them again.
//!
//! As in Linux's datapath, what follows the ct() that was given the last missing piece is the way
//! of the whole datagram, with the metadata and registers of that piece; the others' ways end
//! there. With several lcores the datagram goes on at that of its connection.

use weir_ct::Quest;
use weir_packet::reassembly::{cut, forbids_cutting};
use weir_packet::{Frame, Layout, parse};

use super::packet::Packet;
use super::tunnel::Egress;
use super::witness::Event;
use super::{Flow, Journey, Output, UNCUT, Witness};
use crate::drops::DropReason;
use crate::tunnel::options::RawOptions;

impl<O, W: Witness> Journey<'_, O, W> {
    /// Gives a piece to those that wait in `zone`. If the packet goes on, it is as the whole
    /// datagram; if it is [held](Flow::Held), that goes on elsewhere, or behind others.
    #[cold]
    pub(super) fn gather<F>(&mut self, packet: &mut Packet<F>, zone: u16) -> Flow
    where
        F: Frame,
        O: Output<F>,
    {
        if W::WATCHES {
            // Those that wait are not asked: they are frames of another kind.
            self.witness.saw(Event::Gathered { zone });
            self.effects += 1;
            return Flow::Lost;
        }
        let Some(fragments) = self.out.fragments() else {
            return Flow::Continue;
        };
        // The frame may be needed by whoever ran this ct() on a copy of it; a piece is small.
        let Some(piece) = packet.frame.duplicate() else {
            self.drop(DropReason::NoBuffer);
            return Flow::Lost;
        };
        let gathered = fragments.gather(piece, &packet.layout, zone, self.now, self.counters);
        match gathered {
            // Its headers do not say where it belongs.
            Err(_) => Flow::Continue,
            Ok(None) => {
                self.effects += 1;
                Flow::Lost
            }
            Ok(Some(datagram)) => {
                let head = datagram.frame.head();
                let Ok(layout) = parse(head, datagram.frame.len()) else {
                    self.drop(DropReason::Runt);
                    return Flow::Lost;
                };
                if let Some(malformed) = layout.malformed {
                    self.counters.malformed[malformed as usize].add(1);
                }
                packet.become_whole(datagram, layout);
                let head = packet.frame.head();
                if self.out.keeps_whole(self.tracker, head, &layout) {
                    return Flow::Continue;
                }
                self.stop(None, Quest::default())
            }
        }
    }

    /// Sends a datagram that came in pieces: in pieces, none of which is larger than the largest
    /// was, nor than the port allows.
    ///
    /// The pieces that go through a tunnel are cut as if there were none, as in Linux: what its
    /// headers make too large for the port below is lost there.
    #[cold]
    #[inline(never)]
    pub(super) fn transmit_pieces<F>(
        &mut self,
        frame: &F,
        layout: &Layout,
        egress: &Egress,
        options: Option<&RawOptions>,
    ) where
        F: Frame,
        O: Output<F>,
    {
        let once = Egress {
            largest_piece: 0,
            ..*egress
        };
        let most = egress.max_len as usize;
        if frame.len() > most {
            // What is left of a datagram that is cut off is no datagram.
            let Some(part) = frame.copy_part(0, most) else {
                return self.drop(DropReason::NoBuffer);
            };
            return self.transmit(part, layout, &once, options);
        }
        let ports = &self.snapshot.ports;
        let size = match ports.tunnels().of(egress.port) {
            Some(_) => egress.largest_piece,
            None => egress.largest_piece.min(ports.port(egress.port).mtu),
        };
        if size < egress.largest_piece && forbids_cutting(frame, layout) {
            return self.drop(DropReason::MtuExceeded);
        }
        let Some(pieces) = cut(frame, layout, size.into()) else {
            return self.drop(DropReason::MtuExceeded);
        };
        let once = Egress {
            max_len: UNCUT,
            ..once
        };
        self.counters.fragments.cuts.add(1);
        for piece in pieces {
            self.counters.fragments.pieces.add(1);
            let parsed = piece.and_then(|piece| {
                let layout = parse(piece.head(), piece.len()).ok()?;
                Some((piece, layout))
            });
            match parsed {
                Some((piece, layout)) => self.transmit(piece, &layout, &once, options),
                None => self.drop(DropReason::NoBuffer),
            }
        }
    }
}
