//! One direction of a control connection, read line by line as its segments come.
//!
//! Of a line that has no end yet at most [`LINE`] bytes are remembered, and nothing else: segments
//! are not put in order. One that comes before its time, or again, is not read; then what follows
//! is read from the next line on. So a command is overlooked at worst, as in Linux, and never
//! read where none was sent.
//!
//! Invariants
//!   1. What [`Stream::read`] calls a line begins at the first octet that was heard or behind a
//!      newline, and no octet of it is missing.

use super::numbers::is_at_or_after;

/// The most bytes of a line that are remembered: a command has 60, and servers put the numbers
/// of a reply near its beginning.
pub(crate) const LINE: usize = 128;

/// What is known of a direction.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    /// The number of the octet that comes next, once anything was heard.
    next: Option<u32>,
    /// Whether what was heard of the line is all of it, and in `line`.
    whole: bool,
    line: [u8; LINE],
    len: u8,
    /// The code of a reply of several lines (RFC 959 4.2), until the last of them.
    reply: Option<[u8; 3]>,
    /// The number of the first octet of the line that was not let go on.
    held: Option<u32>,
    /// How often it was held.
    times: u8,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            next: None,
            whole: true,
            line: [0; LINE],
            len: 0,
            reply: None,
            held: None,
            times: 0,
        }
    }
}

/// A line that came to its end.
pub(crate) struct Line<'a> {
    pub(crate) bytes: &'a [u8],
    /// The number of its first octet.
    pub(crate) start: u32,
}

impl Stream {
    /// Reads the data of a segment that begins with the number `start`; calls `visit` with each
    /// line that ends in it.
    pub(crate) fn read<'a>(
        &mut self,
        start: u32,
        data: impl Iterator<Item = &'a [u8]>,
        mut visit: impl FnMut(Line<'_>),
    ) {
        let next = *self.next.get_or_insert(start);
        // What comes again was read.
        let mut known = next.wrapping_sub(start) as usize;
        if !is_at_or_after(next, start) {
            self.lose(start);
            known = 0;
        }
        for piece in data {
            let new = piece.get(known..).unwrap_or_default();
            known = known.saturating_sub(piece.len());
            for byte in new {
                self.octet(*byte, &mut visit);
            }
        }
    }

    /// The line that has no end yet, as far as it is known.
    pub(crate) fn begun(&self) -> Option<&[u8]> {
        (self.whole && self.len > 0).then(|| &self.line[..self.len.into()])
    }

    /// The number of the octet that comes next.
    pub(crate) const fn next(&self) -> Option<u32> {
        self.next
    }

    /// What was held of the line that has no end yet, and the number of its first octet.
    pub(crate) fn held(&self) -> Option<(u32, &[u8])> {
        let (held, next) = (self.held?, self.next?);
        let size = next.wrapping_sub(held) as usize;
        let start = usize::from(self.len).checked_sub(size)?;
        Some((held, &self.line[start..self.len.into()]))
    }

    /// Holds what is known of the line from the number `from` on, and what was held before; `grew`:
    /// there was something new. Returns false, and gives the line up, if it was held too often or
    /// there is too much of it.
    pub(crate) fn hold(&mut self, from: u32, grew: bool) -> bool {
        let from = self.held.unwrap_or(from);
        self.times += u8::from(!grew);
        let size = self.next.map_or(u32::MAX, |next| next.wrapping_sub(from));
        if self.times > MOST_TIMES || size > MOST_HELD {
            self.whole = false;
            self.held = None;
            return false;
        }
        self.held = Some(from);
        true
    }

    /// What was held of the line is let go on, and the line given up.
    pub(crate) const fn release(&mut self) {
        if self.held.is_some() {
            self.held = None;
            self.whole = false;
        }
    }

    /// Something between `next` and `start` was not heard.
    const fn lose(&mut self, start: u32) {
        self.next = Some(start);
        self.whole = false;
        self.held = None;
        self.reply = None;
    }

    fn octet(&mut self, byte: u8, visit: &mut impl FnMut(Line<'_>)) {
        let Some(next) = self.next else {
            return;
        };
        self.next = Some(next.wrapping_add(1));
        match self.line.get_mut(usize::from(self.len)) {
            Some(place) if self.whole => {
                *place = byte;
                self.len += 1;
            }
            Some(_) | None => (self.whole, self.held) = (false, None),
        }
        if byte != b'\n' {
            return;
        }
        if self.whole {
            let bytes = &self.line[..self.len.into()];
            let start = next.wrapping_add(1).wrapping_sub(self.len.into());
            let within = in_reply(&mut self.reply, bytes);
            if !within {
                visit(Line { bytes, start });
            }
        }
        (self.whole, self.len, self.held, self.times) = (true, 0, None, 0);
    }
}

/// Whether a line is within a reply of several lines and not the last of it; notes where one
/// begins and ends. Commands do not begin with digits.
fn in_reply(reply: &mut Option<[u8; 3]>, line: &[u8]) -> bool {
    let code = line
        .split_first_chunk::<3>()
        .filter(|(code, _)| code.iter().all(u8::is_ascii_digit));
    let separator = code.and_then(|(code, rest)| Some((*code, *rest.first()?)));
    match (*reply, separator) {
        (None, Some((code, b'-'))) => {
            *reply = Some(code);
            true
        }
        (None, _) => false,
        (Some(open), Some((code, b' '))) if code == open => {
            *reply = None;
            false
        }
        (Some(_), _) => true,
    }
}

/// How often a line is held of which nothing new comes. A sender that waits for its acknowledgment
/// repeats what was held and nothing else, and is not to wait for ever.
const MOST_TIMES: u8 = 2;
/// The most octets that are held: they are to fit in front of a frame together with the headers
/// of a tunnel.
pub(crate) const MOST_HELD: u32 = 56;

#[cfg(test)]
mod tests;
