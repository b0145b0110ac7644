//! How many connections there are of each kind.

use crate::entry::ProtocolInfo;
use crate::tcp::PeerState;

/// Numbers of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// By IP protocol.
    protocols: Box<[u64; 256]>,
    /// TCP connections by the state that a dump shows, in the order of [`PeerState`].
    tcp_states: [u64; 6],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            protocols: Box::new([0; 256]),
            tcp_states: [0; 6],
        }
    }
}

impl Tally {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.protocols.iter().sum()
    }

    /// Those of each IP protocol that has any.
    pub fn protocols(&self) -> impl Iterator<Item = (u8, u64)> {
        let all = (0..=u8::MAX).zip(self.protocols.iter().copied());
        all.filter(|(_, count)| *count > 0)
    }

    /// TCP connections in each state that any is in.
    pub fn tcp_states(&self) -> impl Iterator<Item = (PeerState, u64)> {
        let all = PeerState::ALL.into_iter().zip(self.tcp_states);
        all.filter(|(_, count)| *count > 0)
    }

    /// Counts one.
    pub(crate) fn count(&mut self, protocol: u8, info: &ProtocolInfo) {
        self.protocols[usize::from(protocol)] += 1;
        if let Some(state) = info.shown_state() {
            self.tcp_states[state as usize] += 1;
        }
    }

    /// Adds what another part of the table, or another lcore's, came to.
    pub fn add(&mut self, other: &Self) {
        let pairs = self.protocols.iter_mut().zip(other.protocols.iter());
        pairs.for_each(|(sum, count)| *sum += count);
        let pairs = self.tcp_states.iter_mut().zip(other.tcp_states);
        pairs.for_each(|(sum, count)| *sum += count);
    }
}
