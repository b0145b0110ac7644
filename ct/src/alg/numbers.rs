//! How the sequence numbers of one end of a connection have moved, because the text that it sent
//! was replaced by text of another length.
//!
//! *Own* numbers are those of the sender, *sent* numbers those that the receiver sees. Between
//! two replaced texts the two differ by a constant.
//!
//! Invariants
//!   1. What was sent of a replaced text is sent again in the same way, as a whole, however the
//!      sender cuts what it repeats.
//!   2. No acknowledgment tells the sender of a part of a replaced text: it has all arrived, or
//!      nothing.
//!
//! The last [`EDITS`] texts are remembered, so that they can be repeated; of those before only how
//! far the numbers moved.

use super::ftp::Text;

/// How many replaced texts are remembered: an end waits for the answer to one before the next.
const EDITS: usize = 2;

/// One end's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    /// How far numbers before all edits have moved.
    base: u32,
    /// In the order of the numbers.
    edits: [Option<Edit>; EDITS],
}

/// A text that was replaced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edit {
    /// The own number of its first octet.
    pub(crate) start: u32,
    /// How many octets it had.
    pub(crate) size: u32,
    /// What stands there instead.
    pub(crate) text: Text,
    /// How far its start has moved.
    before: u32,
}

impl Edit {
    /// The own number behind it.
    pub(crate) const fn end(&self) -> u32 {
        self.start.wrapping_add(self.size)
    }

    /// How far what follows has moved.
    fn after(&self) -> u32 {
        let grown = self.text.bytes().len() as u32;
        self.before.wrapping_add(grown).wrapping_sub(self.size)
    }
}

impl Numbers {
    /// Whether no number has moved.
    pub(crate) const fn is_empty(&self) -> bool {
        self.base == 0 && self.edits[0].is_none()
    }

    /// The octets from `start` on, `size` of them, are replaced by `text`. They lie behind all that
    /// was replaced before.
    pub(crate) fn replace(&mut self, start: u32, size: u32, text: Text) {
        if let [Some(oldest), Some(_)] = self.edits {
            self.base = oldest.after();
            self.edits.rotate_left(1);
            self.edits[EDITS - 1] = None;
        }
        let before = self.end_delta();
        if let Some(place) = self.edits.iter_mut().find(|edit| edit.is_none()) {
            *place = Some(Edit {
                start,
                size,
                text,
                before,
            });
        }
    }

    /// The sent number for an own one. What lies within a replaced text is sent from its start on.
    pub(crate) fn sent(&self, own: u32) -> u32 {
        for edit in self.edits.iter().rev().flatten() {
            if is_at_or_after(own, edit.end()) {
                return own.wrapping_add(edit.after());
            }
            if is_at_or_after(own, edit.start) {
                return edit.start.wrapping_add(edit.before);
            }
        }
        own.wrapping_add(self.base)
    }

    /// The own number up to which all has arrived, if all before the number `sent` has.
    pub(crate) fn own(&self, sent: u32) -> u32 {
        self.own_or(sent, |edit| edit.start)
    }

    /// The own number of the first octet that has arrived, if that is `sent`.
    pub(crate) fn own_from(&self, sent: u32) -> u32 {
        self.own_or(sent, Edit::end)
    }

    /// Those of the replaced texts that lie between two own numbers at least in part, the last one
    /// first.
    pub(crate) fn within(&self, start: u32, end: u32) -> impl Iterator<Item = &Edit> {
        let lies = move |edit: &&Edit| {
            !is_at_or_after(start, edit.end()) && !is_at_or_after(edit.start, end)
        };
        self.edits.iter().rev().flatten().filter(lies)
    }

    /// Forgets texts that are so far behind `own` that numbers might come round to them.
    pub(crate) fn forget_far(&mut self, own: u32) {
        if let [Some(oldest), _] = self.edits
            && own.wrapping_sub(oldest.end()).wrapping_sub(FAR) < FAR
        {
            self.base = oldest.after();
            self.edits.rotate_left(1);
            self.edits[EDITS - 1] = None;
        }
    }

    fn own_or(&self, sent: u32, within: impl Fn(&Edit) -> u32) -> u32 {
        for edit in self.edits.iter().rev().flatten() {
            let own_behind = sent.wrapping_sub(edit.after());
            if is_at_or_after(own_behind, edit.end()) {
                return own_behind;
            }
            let own_before = sent.wrapping_sub(edit.before);
            if is_at_or_after(edit.start, own_before) {
                continue;
            }
            return within(edit);
        }
        sent.wrapping_sub(self.base)
    }

    /// How far what follows all edits has moved.
    fn end_delta(&self) -> u32 {
        let last = self.edits.iter().rev().flatten().next();
        last.map_or(self.base, Edit::after)
    }
}

/// A quarter of all numbers.
const FAR: u32 = 1 << 30;

/// Whether `a` is `b` or comes behind it (RFC 9293 3.4).
pub(crate) const fn is_at_or_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() >= 0
}

#[cfg(test)]
mod tests;
