//! A tracker that is one of several.

use weir_nat::Offer;
use weir_packet::{Tick, Tuple};

use super::translate::SLICE;
use super::{Quest, Refusal, Tracker, Visit};
use crate::directory::Holder;
use crate::owner::{Owners, PairId, ShardId};
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
    wish: Option<(Wish, Quest)>,
}

impl Tracker {
    /// As [`Tracker::new`], for the tracker of `me`, one of all [`Owners::shards`].
    ///
    /// # Panics
    /// As [`Tracker::new`].
    pub fn of_shard(settings: &Settings, secret: u64, owners: Owners, me: ShardId) -> Self {
        let mut tracker = Self::new(&share_of(settings, owners.shards()), secret);
        if owners.shards() > 1 {
            let sharing = Sharing::new(owners, me, settings.max_connections);
            tracker.table.share(sharing);
        }
        tracker
    }

    /// What it knows of the others, if there are others.
    pub(crate) fn sharing(&self) -> Option<&Sharing> {
        self.table.sharing()
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
        self.let_go(&mut quest, false);
    }

    /// The `ct()` is over for which a quest was resumed, and it was not used.
    #[cold]
    pub(super) fn end_quest(&mut self) {
        if let Some(quest) = self.asking.resumed.take() {
            self.abandon(quest);
        }
    }

    /// If the `ct()` executed last was refused only because another lcore must be asked first:
    /// for what its packet is to wait, and what it is then to go on with.
    pub const fn take_wish(&mut self) -> Option<(Wish, Quest)> {
        self.asking.wish.take()
    }

    /// As [`Tracker::create`], of a tracker that is one of several.
    #[cold]
    pub(super) fn create_with_others(
        &mut self,
        tuple: &Tuple,
        original: Keyed,
        protocol: Protocol,
        commit: Commit,
        visit: &mut Visit<'_>,
    ) -> Result<(), Refusal> {
        *visit.quest = self.asking.resumed.take().unwrap_or_default();
        let result = self.create(tuple, original, protocol, commit, visit);
        let wish = match result {
            Err(wish @ (Refusal::Ask { .. } | Refusal::Later)) => Some(wish),
            Ok(()) | Err(Refusal::Drop(_)) => None,
        };
        self.let_go(visit.quest, wish.is_some());
        self.asking.wish = wish.map(|wish| (Wish(wish), *visit.quest));
        result
    }

    /// Gives up what was held for a packet; of what it needs on if it `waits`, nothing.
    pub(crate) fn let_go(&mut self, quest: &mut Quest, waits: bool) {
        if let Some(sharing) = self.sharing_mut() {
            for pair in quest.let_go(waits) {
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
    /// Cost: [`SLICE`] candidates are looked at; for others it is to be asked again.
    pub(crate) fn give(&mut self, to: ShardId, offer: &Offer, index: u32, now: Tick) -> Answer {
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
