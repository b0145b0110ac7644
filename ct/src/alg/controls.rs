//! What is known of a control connection of FTP.

use super::stream::MOST_HELD;
use super::{Numbers, Stream};
use crate::record::Direction;

/// By direction: what was read of it, and how its numbers have moved.
#[derive(Clone, Debug, Default)]
pub(crate) struct Control {
    streams: [Stream; 2],
    numbers: [Numbers; 2],
}

impl Control {
    pub(crate) const fn numbers(&self, direction: Direction) -> &Numbers {
        &self.numbers[direction as usize]
    }

    /// What the end that sends in `direction` said, and its numbers, to be written.
    pub(crate) const fn end_mut(&mut self, direction: Direction) -> (&mut Stream, &mut Numbers) {
        let at = direction as usize;
        (&mut self.streams[at], &mut self.numbers[at])
    }

    /// Whether nothing that either end says has moved.
    pub(crate) const fn is_unmoved(&self) -> bool {
        self.numbers[0].is_empty() && self.numbers[1].is_empty()
    }
}

/// What is to be done to the payload of a packet of a control connection, and to its numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mend {
    /// Of the connection.
    pub(crate) slot: u32,
    pub(crate) direction: Direction,
    /// The number that its payload begins with then.
    pub(crate) start: u32,
    /// What was held comes in front.
    prefix: [u8; MOST_HELD as usize],
    prefix_size: u8,
    /// How many octets at its end are held.
    pub(crate) cut: u32,
    /// Nothing at all is to be done.
    pub(crate) is_idle: bool,
}

impl Mend {
    /// Nothing, for a segment with this number.
    pub(crate) const fn new(slot: u32, direction: Direction, start: u32) -> Self {
        Self {
            slot,
            direction,
            start,
            prefix: [0; MOST_HELD as usize],
            prefix_size: 0,
            cut: 0,
            is_idle: false,
        }
    }

    /// What comes in front.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix[..self.prefix_size.into()]
    }

    /// At most [`MOST_HELD`] bytes come in front.
    pub(crate) fn put_in_front(&mut self, bytes: &[u8]) {
        if let Some(there) = self.prefix.get_mut(..bytes.len()) {
            there.copy_from_slice(bytes);
            self.prefix_size = bytes.len() as u8;
        }
    }
}
