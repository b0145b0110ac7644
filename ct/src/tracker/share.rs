//! A tracker that is one of several.

use weir_nat::Offer;
use weir_packet::Tick;

use super::Tracker;
use super::translate::SLICE;
use crate::directory::Holder;
use crate::owner::{Owners, ShardId};
use crate::settings::Settings;
use crate::shard::Answer;
use crate::sharing::Sharing;

impl Tracker {
    /// As [`Tracker::new`], for the tracker of `me`, one of all [`Owners::shards`].
    pub(crate) fn of_shard(settings: &Settings, secret: u64, owners: Owners, me: ShardId) -> Self {
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
