//! Pieces of datagrams that ct() has met and that wait for the others.
//!
//! Whoever drives an lcore has one of these beside it and hands it in with the output
//! ([`Gathering`]): an lcore itself knows no kind of frame. Zones keep their pieces apart, as they
//! keep their connections.
//!
//! Invariants
//!   1. Each piece that is given here is held, has become part of a datagram, or is counted as
//!      dropped, by the reason of [`Refused`]: [`LcoreCounters::fragments`] and the drops are its
//!      books.
//!
//! Threads: owned by one lcore.
//! Cost: that of [`Reassembly`]; nothing for what is no piece.

use weir_packet::reassembly::{Bounds, Datagram, Gathered, Reassembly, Refused};
use weir_packet::{Frame, Layout, Tick};

use crate::counters::LcoreCounters;
use crate::drops::DropReason;
use crate::pipeline::Output;
use crate::port::PortIndex;

/// Pieces that wait, on one lcore.
#[derive(Debug)]
pub struct Fragments<F> {
    pieces: Reassembly<F>,
    /// What was counted as dropped, by reason.
    counted: [u64; Refused::ALL.len()],
}

/// An output, and the pieces that wait beside it.
#[derive(Debug)]
pub struct Gathering<'a, F, O> {
    /// Where frames go.
    pub out: &'a mut O,
    /// Where pieces wait.
    pub fragments: &'a mut Fragments<F>,
}

impl<F: Frame> Fragments<F> {
    /// For so many. All memory is taken here but that of the frames; `secret` keys the hash.
    pub fn new(bounds: Bounds, secret: u64) -> Self {
        Self {
            pieces: Reassembly::new(bounds, secret),
            counted: [0; Refused::ALL.len()],
        }
    }

    /// Takes a piece that ct() has met in `zone`, and counts what is lost by that. Returns the
    /// datagram if that was the last that was missing; `Err`: the frame is no piece.
    pub(crate) fn gather(
        &mut self,
        frame: F,
        layout: &Layout,
        zone: u16,
        now: Tick,
        counters: &LcoreCounters,
    ) -> Result<Option<Datagram<F>>, F> {
        let whole = match self.pieces.gather(frame, layout, zone.into(), now)? {
            Gathered::Whole(datagram) => {
                let ours = &counters.fragments;
                ours.joined.add(datagram.pieces.into());
                ours.datagrams.add(1);
                Some(datagram)
            }
            Gathered::Waiting | Gathered::Refused(_) => None,
        };
        self.count(counters);
        Ok(whole)
    }

    /// Lets go of at most `budget` datagrams whose time is over.
    pub fn expire(&mut self, now: Tick, budget: usize, counters: &LcoreCounters) {
        if self.pieces.expire(now, budget) > 0 {
            self.count(counters);
        }
    }

    /// Publishes how many wait and what was dropped.
    fn count(&mut self, counters: &LcoreCounters) {
        counters.fragments.held.set(self.pieces.held().into());
        counters
            .fragments
            .held_bytes
            .set(self.pieces.held_bytes() as u64);
        for (reason, counted) in Refused::ALL.into_iter().zip(&mut self.counted) {
            let refused = self.pieces.refused(reason);
            counters.drop_many(reason.into(), (refused - *counted) as usize);
            *counted = refused;
        }
    }
}

impl<F: Frame, O: Output<F>> Output<F> for Gathering<'_, F, O> {
    #[inline(always)]
    fn send(&mut self, port: PortIndex, frame: F) {
        self.out.send(port, frame);
    }

    #[inline(always)]
    fn send_all(&mut self, port: PortIndex, frames: &mut [Option<F>], longest: usize) {
        self.out.send_all(port, frames, longest);
    }

    fn fragments(&mut self) -> Option<&mut Fragments<F>> {
        Some(self.fragments)
    }
}

impl From<Refused> for DropReason {
    fn from(reason: Refused) -> Self {
        match reason {
            Refused::Overlap => Self::FragmentOverlap,
            Refused::Duplicate => Self::FragmentDuplicate,
            Refused::Tiny => Self::FragmentTiny,
            Refused::Misaligned => Self::FragmentMisaligned,
            Refused::Oversize => Self::FragmentOversize,
            Refused::TooMany => Self::FragmentTooMany,
            Refused::Ecn => Self::FragmentEcn,
            Refused::Expired => Self::FragmentExpired,
            Refused::Evicted => Self::FragmentEvicted,
        }
    }
}
