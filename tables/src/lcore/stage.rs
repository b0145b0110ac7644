//! What the stages of a burst know of one frame.

use weir_packet::{Layout, parse};

use crate::cache::{EntryId, Hashed, Interest, Key};
use crate::pipeline::Asks;
use crate::port::PortIndex;
use crate::tunnel::Meta;

/// What the stages know of one frame. Of a plain packet, only the first line is used and the
/// first words of the second.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Stage {
    pub(super) key: Key,
    pub(super) hashed: Hashed,
    /// The entry that is the key's or, at first, likely is; [`EntryId::NONE`].
    pub(super) entry: EntryId,
    /// Where the IP packet ends, if it is a [plain](Layout::plain) one; else 0.
    pub(super) plain_end: u32,
    /// If it is not.
    closer: Closer,
}

/// What a closer look at a frame says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Closer {
    /// There is no frame.
    Nothing,
    /// It is a runt.
    Runt,
    /// This is its layout.
    Layout(Layout),
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            key: Key::default(),
            hashed: Hashed::NONE,
            entry: EntryId::NONE,
            plain_end: 0,
            closer: Closer::Nothing,
        }
    }
}

impl Stage {
    /// Adds what is known of the tunnel that the packet came through, if it did, to its key. Returns
    /// false if nothing stands for that: the packet has no key then.
    #[inline(always)]
    pub(super) fn come_through(&mut self, tunnel: Option<&Meta>) -> bool {
        let Some(tunnel) = tunnel else {
            return true;
        };
        self.key.set_tunnel(tunnel.number);
        tunnel.number != 0
    }

    /// Parses a packet that is not a plain one; returns whether it has a key.
    #[cold]
    pub(super) fn look_closer(
        &mut self,
        head: &[u8],
        len: usize,
        in_port: PortIndex,
        interest: Interest,
    ) -> bool {
        let mut layout = Layout::default();
        if Key::read_plain_v6(head, len, in_port, interest, &mut layout, &mut self.key) {
            self.plain_end = 0;
            self.closer = Closer::Layout(layout);
            return true;
        }
        self.only_parse(head, len);
        let key = match &self.closer {
            Closer::Layout(layout) => Key::of(head, layout, in_port, interest),
            Closer::Nothing | Closer::Runt => None,
        };
        let has_key = key.is_some();
        self.key = key.unwrap_or(self.key);
        has_key
    }

    /// Parses a packet for which no entry is sought.
    pub(super) fn only_parse(&mut self, head: &[u8], len: usize) {
        self.leave_empty();
        self.closer = match parse(head, len) {
            Ok(layout) => Closer::Layout(layout),
            Err(_) => Closer::Runt,
        };
    }

    /// There is no frame.
    pub(super) fn leave_empty(&mut self) {
        self.hashed = Hashed::NONE;
        self.entry = EntryId::NONE;
        self.plain_end = 0;
        self.closer = Closer::Nothing;
    }

    /// Whether it is a plain packet.
    #[inline]
    pub(super) const fn is_plain(&self) -> bool {
        self.plain_end > 0
    }

    /// What is to be asked of a frame that is there before it is dealt with: whose it is, unless something
    /// is remembered of it.
    #[inline]
    pub(super) fn asks(&self) -> Asks {
        if self.entry != EntryId::NONE {
            return Asks::Nothing;
        }
        match &self.closer {
            _ if self.is_plain() => Asks::Ends(self.key.plain_ends(), self.key.protocol()),
            Closer::Layout(layout) => Asks::Parsed(*layout),
            Closer::Nothing | Closer::Runt => Asks::Whose,
        }
    }

    /// The layout of a frame that is there and no runt.
    pub(super) fn layout(&self) -> Result<Layout, Closer> {
        match (self.plain_end, self.closer) {
            (0, Closer::Layout(layout)) => Ok(layout),
            (0, other) => Err(other),
            (end, _) => Ok(Layout::plain(self.key.protocol(), end)),
        }
    }
}
