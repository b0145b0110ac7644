//! A tracker that is one of several.

use weir_nat::Offer;
use weir_packet::{Tick, Tuple};

use super::quest::Hunt;
use super::translate::SLICE;
use super::{Quest, Refusal, Tracker, Visit};
use crate::credits::{Order, Purses, Said, Scope};
use crate::directory::Holder;
use crate::owner::{Belongs, Owners, PairId, ShardId};
use crate::record::Protocol;
use crate::request::Commit;
use crate::settings::Settings;
use crate::shard::{Answer, Wish};
use crate::sharing::Sharing;
use crate::table::Keyed;

/// What passes between a `ct()` and whoever lets its packet wait.
#[derive(Default)]
pub(super) struct Asking {
    /// Of the `ct()` that is executed next.
    pub(super) resumed: Option<Quest>,
    /// Of the one that was executed last.
    pub(super) wish: Option<(Wish, Quest)>,
}

impl Tracker {
    /// As [`Tracker::new`], for the tracker of `me`, one of all [`Owners::shards`].
    ///
    /// # Panics
    /// As [`Tracker::new`].
    pub fn of_shard(settings: &Settings, secret: u64, owners: Owners, me: ShardId) -> Self {
        let shards = owners.shards();
        if shards == 1 {
            return Self::new(settings, secret);
        }
        let settings = share_of(settings, shards);
        let slots = settings.slots(shards);
        let own = Settings {
            max_connections: slots,
            ..settings.clone()
        };
        let mut tracker = Self::new(&own, secret);
        tracker.purses = Some(Purses::new(&settings, shards, me.0).into());
        tracker.table.share(Sharing::new(owners, me, slots));
        tracker.table.configure(&settings);
        tracker.settings = settings;
        tracker.count_credits();
        tracker
    }

    /// Obeys the orders of who lends, and reports of each limit that has few credits left or was
    /// told something. A tracker alone has nothing to report.
    ///
    /// Cost: in proportion to the number of limits spoken of; allocates, but not for packets.
    pub fn obey(&mut self, orders: &[(Scope, Order)]) -> Said {
        let Some(purses) = &mut self.purses else {
            return Said::default();
        };
        let said = purses.obey(orders, &self.table);
        self.count_credits();
        said
    }

    /// How often there was something to report by [`Tracker::obey`].
    pub fn words(&mut self) -> u64 {
        let live = self.table.live();
        let purses = self.purses.as_mut();
        purses.map_or(0, |purses| purses.words(live))
    }

    /// Limits that were changed by [`Tracker::reconfigure`] begin to hold, those of `kept` excepted, which
    /// are as they were left until the next orders.
    pub fn begin_limits(&mut self, kept: &[Scope]) {
        if let Some(purses) = &mut self.purses {
            purses.begin(&self.settings, kept);
        }
        self.count_credits();
    }

    /// Notes below how many connections there is room for one more.
    pub(super) fn count_credits(&mut self) {
        self.most = self.allowance(None);
    }

    /// How many connections there may be before one more is refused: of a zone with a limit, or in
    /// all.
    pub(super) fn allowance(&self, zone: Option<u16>) -> u32 {
        let scope = zone.map_or(Scope::All, Scope::Zone);
        match &self.purses {
            // Memory is for so many.
            Some(purses) => purses.allowance(scope).min(self.table.slots()),
            None => self.settings.limit(scope).unwrap_or(u32::MAX),
        }
    }

    /// What it knows of the others, if there are others.
    pub(crate) fn sharing(&self) -> Option<&Sharing> {
        self.table.sharing()
    }

    /// How packets are shared out, if there are others.
    pub fn owners(&self) -> Option<&Owners> {
        self.sharing().map(|sharing| &sharing.owners)
    }

    /// The shard to which packets with this wire tuple are to go, as far as is known here; `None`:
    /// they are dealt with here.
    #[inline]
    pub fn elsewhere(&self, wire: Belongs) -> Option<ShardId> {
        let sharing = self.sharing()?;
        let to = match wire {
            Belongs::Pair(pair) => sharing.route(pair),
            Belongs::Shard(shard) => shard,
            Belongs::Anywhere => return None,
        };
        (to != sharing.me).then_some(to)
    }

    /// Whether packets with this wire tuple may have to go elsewhere: whether [`Tracker::elsewhere`] is to be
    /// asked, and then what it looks at is on its way.
    #[inline]
    pub fn may_be_elsewhere(&self, wire: Belongs) -> bool {
        match (wire, self.sharing()) {
            (Belongs::Pair(pair), Some(sharing)) => sharing.may_be_elsewhere(pair),
            (Belongs::Shard(_), Some(_)) => true,
            (Belongs::Anywhere, _) | (_, None) => false,
        }
    }

    pub(crate) fn sharing_mut(&mut self) -> Option<&mut Sharing> {
        self.table.sharing_mut()
    }

    /// How many pairs of tuples are in use here, and how many are granted to other shards.
    pub fn pairs(&self) -> (usize, usize) {
        self.sharing().map_or((0, 0), |sharing| {
            let (all, granted) = sharing.directory.len();
            (all - granted, granted)
        })
    }

    /// A `ct()` that waited is executed next, with what was found out for it meanwhile.
    pub fn resume_quest(&mut self, quest: Quest) {
        if self.table.sharing().is_some() {
            self.asking.resumed = Some(quest);
        }
    }

    /// A packet waits no more that was to go on with `quest`: what is held for it is given up.
    pub fn abandon(&mut self, mut quest: Quest) {
        self.let_go(&mut quest.hunt, false);
    }

    /// Whether the `ct()` under way is one that was executed before its packet waited to be heard
    /// of.
    #[cold]
    pub(super) fn has_waited_to_be_heard(&self) -> bool {
        let resumed = self.asking.resumed.as_ref();
        resumed.is_some_and(|quest| quest.hears)
    }

    /// The `ct()` is over for which a quest was resumed, and it was not used.
    #[cold]
    pub(super) fn end_quest(&mut self) {
        if let Some(quest) = self.asking.resumed.take() {
            self.abandon(quest);
        }
    }

    /// If the `ct()` executed last was refused only because another lcore must be asked first, or
    /// was executed but others are to hear of it before its packet goes on (which is to be
    /// [mended](Tracker::mend) first): for what the packet is to wait, and what it is then to go on
    /// with, at the same `ct()`.
    pub const fn take_wish(&mut self) -> Option<(Wish, Quest)> {
        self.asking.wish.take()
    }

    /// As [`Tracker::create`], of a tracker that is one of several.
    #[inline]
    pub(super) fn create_with_others(
        &mut self,
        tuple: &Tuple,
        original: Keyed,
        protocol: Protocol,
        commit: Commit,
        visit: &mut Visit<'_>,
    ) -> Result<(), Refusal> {
        if self.asking.resumed.is_some() {
            return self.create_after_waiting(tuple, original, protocol, commit, visit);
        }
        self.asking.wish = None;
        // Nothing was held for it, and what succeeds holds nothing.
        self.create(tuple, original, protocol, commit, visit)
            .or_else(|refusal| self.ask_others(refusal, &original, visit))
    }

    /// The same for a packet that has waited for what others said.
    #[cold]
    fn create_after_waiting(
        &mut self,
        tuple: &Tuple,
        original: Keyed,
        protocol: Protocol,
        commit: Commit,
        visit: &mut Visit<'_>,
    ) -> Result<(), Refusal> {
        let resumed = self.asking.resumed.take().unwrap_or_default();
        *visit.quest = resumed.hunt;
        let whose = self.whose(&original.key, visit.now);
        if whose != resumed.whose {
            // What was found was for another translation.
            self.let_go(visit.quest, false);
            *visit.quest = Hunt::default();
        }
        self.asking.wish = None;
        match self.create(tuple, original, protocol, commit, visit) {
            Ok(()) => {
                self.let_go(visit.quest, false);
                Ok(())
            }
            Err(refusal) => self.ask_others(refusal, &original, visit),
        }
    }

    /// Why a connection was not made: if others are to be asked first, with what its packet is to
    /// wait.
    #[cold]
    fn ask_others(
        &mut self,
        refusal: Refusal,
        original: &Keyed,
        visit: &mut Visit<'_>,
    ) -> Result<(), Refusal> {
        let waits = matches!(refusal, Refusal::Ask { .. } | Refusal::Later);
        self.let_go(visit.quest, waits);
        self.asking.wish = waits.then(|| {
            let quest = Quest {
                hunt: *visit.quest,
                whose: self.whose(&original.key, visit.now),
                hears: false,
            };
            (Wish(refusal), quest)
        });
        Err(refusal)
    }

    /// Gives up what was held for a packet; of what it needs on if it `waits`, nothing.
    fn let_go(&mut self, hunt: &mut Hunt, waits: bool) {
        if let Some(sharing) = self.sharing_mut() {
            for pair in hunt.let_go(waits) {
                sharing.give_up(pair);
            }
        }
    }

    /// Takes back a pair that was granted to `from`.
    pub(crate) fn take_back(&mut self, pair: PairId, from: ShardId) {
        if let Some(sharing) = self.sharing_mut() {
            let there = sharing.directory.take_back(pair, from);
            debug_assert!(there, "{from:?} had {pair:?}");
        }
    }

    /// Gives `to` a tuple of an offer, from the candidate at `index` on: one that belongs here
    /// and that nobody has, in no zone.
    ///
    /// Cost: [`SLICE`] candidates are looked at; for others it is to be asked again. Whoever is asked for the
    /// first time is so again until it has noted what its connections use, in so many slots each time.
    pub(crate) fn give(&mut self, to: ShardId, offer: &Offer, index: u32, now: Tick) -> Answer {
        if !self.table.note_uses(NOTED_AT_ONCE) {
            return Answer::GoOn(index);
        }
        let Some(sharing) = self.table.sharing_mut() else {
            return Answer::Nothing;
        };
        let slice = index..index.saturating_add(SLICE);
        for index in slice.clone() {
            let Some(candidate) = offer.candidate(index) else {
                // Whoever has its time over has nothing, whether or not it was forgotten.
                return if self.forget_overdue(now) {
                    Answer::GoOn(0)
                } else {
                    Answer::Nothing
                };
            };
            let pair = sharing.owners.pair(&candidate);
            if sharing.owners.owner(pair) != sharing.me {
                continue;
            }
            match sharing.directory.holder(pair) {
                None if sharing.directory.grant(pair, to) => return Answer::Granted(candidate),
                None => return Answer::Nothing,
                Some(Holder::Granted(holder)) if holder == to && offer.only().is_some() => {
                    return Answer::Yours;
                }
                Some(Holder::Here(_) | Holder::Granted(_)) => {}
            }
        }
        Answer::GoOn(slice.end)
    }
}

/// In how many slots it is noted at once what connections use: some tens of microseconds' work.
const NOTED_AT_ONCE: u32 = 1024;

/// The settings of one of so many lcores: each counts the connections of a source address that
/// it has, so that the limit of an address is split.
pub(super) fn share_of(settings: &Settings, shards: u16) -> Settings {
    let mut settings = settings.clone();
    for zone in settings.zones.values_mut() {
        let limit = zone.source_limit;
        zone.source_limit = limit.map(|limit| limit.div_ceil(shards.into()));
    }
    settings
}

#[cfg(test)]
mod tests;
