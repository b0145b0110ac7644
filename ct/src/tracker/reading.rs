//! What the tracker knows of a packet from an earlier `ct()`, so that the next one need not find
//! it out again: a packet is read, verified and hashed once, however many zones it passes.
//!
//! Invariants
//!   1. What was read stands as long as the packet's headers do; whoever changes them forgets the
//!      [`Reading`].
//!   2. That no connection was found stands as long as none is made: connections that end, or
//!      whose time is over, cannot make one appear.

use weir_packet::{Frame, Layout};

use super::Tracker;
use crate::counters::Invalid;
use crate::extract::{self, Subject};
use crate::key::Key;

/// What a packet is to the tracker, and where it was looked for.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub(super) subject: Result<Subject, Invalid>,
    pub(super) sought: Option<Sought>,
}

/// Where a packet's connection was looked for last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought {
    pub(super) zone: u16,
    /// Of the packet's key in this zone.
    pub(super) hash: u64,
    /// There was none when so many connections had been made.
    pub(super) absent_at: Option<u64>,
}

impl Reading {
    /// Reads a packet; checksums are verified unless the device did.
    #[inline]
    pub fn of<F: Frame>(frame: &F, layout: &Layout) -> Self {
        Self {
            subject: extract::subject(frame, layout),
            sought: None,
        }
    }

    /// The hash of `key`, which is the packet's in `zone`.
    #[inline]
    pub(super) fn hash(&self, zone: u16, hash: impl FnOnce() -> u64) -> u64 {
        match self.sought {
            Some(sought) if sought.zone == zone => sought.hash,
            Some(_) | None => hash(),
        }
    }

    /// Whether it is known that there is no connection in `zone`, of `made` ever made.
    #[inline]
    pub(super) fn is_absent(&self, zone: u16, made: u64) -> bool {
        self.sought
            .is_some_and(|sought| sought.zone == zone && sought.absent_at == Some(made))
    }
}

impl Tracker {
    /// Asks for that part of memory in which the packet's connection is looked for in `zone`.
    #[inline]
    pub fn look_ahead(&self, reading: &mut Reading, zone: u16) {
        let Ok(Subject::Packet(tuple, _) | Subject::Error(tuple)) = &reading.subject else {
            return;
        };
        reading.sought = Some(Sought {
            zone,
            hash: self.table.prefetch_bucket(&Key::new(tuple, zone)),
            absent_at: None,
        });
    }

    /// Asks for the connection that is likely the packet's, of which [`Self::look_ahead`] asked
    /// where it is looked for.
    #[inline]
    pub fn look_closer(&self, reading: &Reading) {
        if let Some(sought) = &reading.sought {
            self.table.prefetch_likely(sought.hash);
        }
    }
}
