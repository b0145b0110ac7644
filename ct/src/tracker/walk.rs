//! Dump and flush: in slices, so that packets go on in between.
//!
//! A connection made or ended between two slices may be met or missed; one that lives all the
//! while is met once. Cost: one slot after the other, up to the budget.

use weir_packet::Tick;

use crate::entry::{Entry, ProtocolInfo, TcpInfo};
use crate::filter::Filter;
use crate::record::{Direction, Protocol};
use crate::table::Keyed;
use crate::tcp::{End, Tcp};
use crate::tracker::Tracker;

impl Tracker {
    /// Copies the connections that match `filter` to the end of `out`, looking at `budget`
    /// slots from `cursor` on (0 to begin with). Returns where to go on, or `None` at the end.
    ///
    /// `out` grows only if it has no room for `budget` more.
    pub fn dump(
        &self,
        cursor: u32,
        budget: usize,
        filter: &Filter,
        now: Tick,
        out: &mut Vec<Entry>,
    ) -> Option<u32> {
        let (slots, next) = self.slice(cursor, budget);
        for slot in slots {
            let hot = self.table.hot(slot);
            if !hot.is_live() || hot.is_expired(now) || !self.matches(slot, filter) {
                continue;
            }
            out.push(self.entry(slot, now));
        }
        next
    }

    /// Removes the connections that match `filter`, looking at `budget` slots from `cursor` on
    /// (0 to begin with), and adds their number to `flushed`. Returns where to go on, or `None`
    /// at the end.
    ///
    /// A filter that is one whole original tuple is looked up in its zone, by default zone 0,
    /// as Open vSwitch does; it then also finds the connection whose replies have that tuple.
    pub fn flush(
        &mut self,
        cursor: u32,
        budget: usize,
        filter: &Filter,
        flushed: &mut u64,
    ) -> Option<u32> {
        if let Some(tuple) = filter.exact() {
            let key = Keyed::new(&self.table, &tuple, filter.zone.unwrap_or(0));
            if let Some(place) = self.table.find(&key) {
                self.end(place.slot, flushed);
            }
            return None;
        }
        let (slots, next) = self.slice(cursor, budget);
        for slot in slots {
            if self.table.hot(slot).is_live() && self.matches(slot, filter) {
                self.end(slot, flushed);
            }
        }
        next
    }

    /// The live connection in `slot` as a dump shows it.
    pub(super) fn entry(&self, slot: u32, now: Tick) -> Entry {
        let (hot, cold) = (self.table.hot(slot), self.table.cold(slot));
        Entry {
            id: hot.id,
            zone: hot.zone,
            original: cold.key(Direction::Original).tuple(),
            reply: cold.key(Direction::Reply).tuple(),
            mark: hot.mark,
            label: cold.label,
            protocol: info(&hot.protocol),
            replied: hot.replied,
            timeout_left: hot.deadline.since(now),
        }
    }

    fn slice(&self, cursor: u32, budget: usize) -> (std::ops::Range<u32>, Option<u32>) {
        let touched = self.table.touched();
        // A budget of 0 would never come to an end.
        let budget = u32::try_from(budget.max(1)).unwrap_or(u32::MAX);
        let end = cursor.saturating_add(budget).min(touched);
        (cursor..end, (end < touched).then_some(end))
    }

    fn matches(&self, slot: u32, filter: &Filter) -> bool {
        let (hot, cold) = (self.table.hot(slot), self.table.cold(slot));
        filter.zone.is_none_or(|zone| zone == hot.zone)
            && filter
                .mark
                .is_none_or(|(value, mask)| (hot.mark ^ value) & mask == 0)
            && filter
                .label
                .is_none_or(|(value, mask)| (cold.label ^ value) & mask == 0)
            && filter
                .original
                .matches(&cold.key(Direction::Original).tuple())
            && filter.reply.matches(&cold.key(Direction::Reply).tuple())
    }

    fn end(&mut self, slot: u32, flushed: &mut u64) {
        self.table.remove(slot);
        self.counters.flushed += 1;
        *flushed += 1;
    }
}

fn info(protocol: &Protocol) -> ProtocolInfo {
    match protocol {
        Protocol::Tcp(tcp) => {
            let [original, reply] = halves(tcp);
            ProtocolInfo::Tcp { original, reply }
        }
        Protocol::Query(_) | Protocol::Datagram(_) => ProtocolInfo::Stateless,
    }
}

fn halves(tcp: &Tcp) -> [TcpInfo; 2] {
    [Direction::Original, Direction::Reply].map(|direction| {
        let End { state, scale, .. } = *tcp.end(direction);
        TcpInfo {
            state,
            window_scale: scale.shift(),
            scaling: scale.is_offered(),
            liberal: scale.is_unknown(),
        }
    })
}
