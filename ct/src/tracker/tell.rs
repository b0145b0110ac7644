//! What one of several trackers tells the others of what is expected, and what it hears of them.

use weir_packet::Tick;

use super::{Quest, Refusal, Tracker};
use crate::alg::{Foreign, Met, News, Others, Said, Told};
use crate::owner::ShardId;
use crate::record::Direction;
use crate::request::{Outcome, Seen};
use crate::shard::Wish;
use crate::sharing::Sharing;

impl Tracker {
    /// A packet of the connection in `slot`, which has a helper, has been looked at: if not all
    /// others have heard what the connection expects, the packet is to wait once it is mended.
    #[cold]
    pub(super) fn tell_others(&mut self, slot: u32, outcome: &mut Outcome) {
        let now_said = self.said(slot);
        let Some(alg) = &mut self.table.alg else {
            return;
        };
        for at in alg.places(slot).into_iter().flatten() {
            let Some(expectation) = alg.expectations.get(at) else {
                continue;
            };
            let Said { mark, label, .. } = expectation.said;
            if (mark, label) != (now_said.mark, now_said.label) {
                // Without room they know it as it was.
                alg.renew(at, expectation.deadline, now_said);
            }
        }
        if let Some(news) = alg.unheard(slot) {
            alg.mend.is_idle = !outcome.mends;
            outcome.mends = true;
            let quest = Quest {
                hears: true,
                ..Quest::default()
            };
            self.asking.wish = Some((Wish(Refusal::Hear(news)), quest));
        }
    }

    /// What others are told of the connection in `slot`, which expects some.
    pub(super) fn said(&self, slot: u32) -> Said {
        Said {
            news: 0,
            mark: self.table.hot(slot).mark,
            label: self.table.cold(slot).label,
        }
    }

    /// Which tuples are whose, if there are other lcores; in a rehearsal as well.
    pub(super) fn homes(&self) -> Option<&Sharing> {
        match &self.under {
            None => self.table.sharing(),
            Some(under) => under.sharing(),
        }
    }

    /// Whether the connection that a packet met is still there.
    pub fn has_seen(&self, seen: &Seen, now: Tick) -> bool {
        let hot = self.table.hot(seen.slot);
        hot.id == seen.id && !hot.is_expired(now)
    }

    /// What it and the others know of what each expects.
    pub(crate) fn others(&self) -> Option<&Others> {
        self.table.alg.as_deref()?.others.as_deref()
    }

    /// The same, to be written.
    pub(crate) fn others_mut(&mut self) -> Option<&mut Others> {
        self.table.alg.as_deref_mut()?.others.as_deref_mut()
    }

    /// What each other lcore is to be told next, as it is now, if not too much is under way.
    pub(crate) fn next_told(&mut self) -> Option<Told> {
        let others = self.others_mut()?;
        let News { key, number } = others.next_news()?;
        let me = others.me;
        let own = self.table.alg.as_deref()?.expectations.find(&key);
        let Some((_, own)) = own.filter(|(_, own)| own.number == number) else {
            return Some(Told::Over { key, number });
        };
        let (hot, cold) = (self.table.hot(own.master), self.table.cold(own.master));
        Some(Told::Expected(Foreign {
            key,
            nat: own.nat,
            parent: *cold.key(Direction::Original),
            mark: hot.mark,
            label: cold.label,
            deadline: own.deadline,
            from: me,
            number,
        }))
    }

    /// Takes in what another lcore tells. With the first, the memory for helpers is taken.
    pub(crate) fn hear(&mut self, from: ShardId, told: &Told) {
        if self.table.alg.is_none() {
            self.provide_helpers();
        }
        if let Some(others) = self.others_mut() {
            others.hear(from, told);
        }
    }

    /// What is expected here was met at another lcore, unless that is another one now.
    pub(crate) fn met_elsewhere(&mut self, Met { key, number, .. }: Met) {
        if let Some(alg) = &mut self.table.alg
            && let Some((at, own)) = alg.expectations.find(&key)
            && own.number == number
        {
            alg.met(at);
        }
    }
}
