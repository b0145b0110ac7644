//! All connections of a tracker: records, index, wheel and leased numbers, kept in step.
//!
//! Invariants
//!   1. A slot is live exactly if its `id` is not 0; then it waits in the wheel and is in the
//!      index under both of its keys (once if they are equal), and under nothing else.
//!   2. The wheel looks at a slot in the turn of its deadline or before.
//!   3. Slots at and above `touched` were never live.
//!   4. A number is leased exactly if a live connection says so of a key of its own
//!      (`Hot::leased`). So a lease ends with its connection, however that ends.
//!   5. What a connection expects ends with it in the same way.
//!
//! Cost: constant per operation; memory is taken once, in [`Table::new`].

use weir_nat::{End, Leases, NatKind, Pool, Whereabouts};
use weir_packet::hint::{prefetch_element, prefetch_read};
use weir_packet::{Tick, Tuple};

use crate::alg::Alg;
use crate::chains::Chains;
use crate::entry::{Entry, ProtocolInfo, SctpInfo, TcpInfo};
use crate::index::{Index, Place};
use crate::key::Key;
use crate::memory::Memory;
use crate::owner::PairId;
use crate::record::{Account, Cold, Direction, Ending, Hot, Protocol};
use crate::settings::{Settings, ZoneSettings};
use crate::sharing::Sharing;
use crate::sources::Sources;
use crate::tcp;
use crate::unreplied::Unreplied;
use crate::watch::{EventKind, Watch};
use crate::wheel::Wheel;
use crate::zones::Zones;

pub(crate) struct Table {
    hot: Box<[Hot]>,
    cold: Box<[Cold]>,
    /// What each carried; empty if nobody asked for that.
    accounts: Box<[Account]>,
    pub(crate) chains: Chains,
    pub(crate) unreplied: Unreplied,
    /// While somebody listens.
    pub(crate) watch: Option<Box<Watch>>,
    index: Index,
    wheel: Wheel,
    leases: Leases,
    pub(crate) zones: Zones,
    /// Once some zone has a limit for source addresses.
    sources: Option<Sources>,
    /// Once some connection may have a helper.
    pub(crate) alg: Option<Box<Alg>>,
    /// If other lcores have tables too.
    sharing: Option<Box<Sharing>>,
    /// Slots below `touched` that are free; the last one freed is used next.
    free: Vec<u32>,
    touched: u32,
    live: u32,
    last_id: u64,
    last_version: u64,
}

/// A key and its hash in the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed {
    pub(crate) key: Key,
    pub(crate) hash: u64,
}

impl Keyed {
    #[inline]
    pub(crate) fn new(table: &Table, tuple: &Tuple, zone: u16) -> Self {
        let key = Key::new(tuple, zone);
        let hash = table.index.hash(&key);
        Self { key, hash }
    }
}

/// The bit of [`Hot::leased`] that says that the connection counts among those of its source.
const COUNTED: u8 = 0x10;

/// A connection to be.
pub(crate) struct Birth {
    /// The zone; one of its keys may be in zone 0 instead.
    pub(crate) zone: u16,
    pub(crate) original: Keyed,
    pub(crate) reply: Keyed,
    /// What both belong to, if that is known; otherwise it is found out if anybody asks.
    pub(crate) pairs: Option<[PairId; 2]>,
    pub(crate) protocol: Protocol,
    pub(crate) mark: u32,
    pub(crate) label: u128,
    pub(crate) deadline: Tick,
    pub(crate) nat: Option<NatKind>,
    /// Bytes of the packet that opens it, from the IP header on.
    pub(crate) size: u32,
}

impl Table {
    /// Takes memory for `slots` connections.
    pub(crate) fn new(settings: &Settings, secret: u64) -> Self {
        let slots = settings.max_connections;
        let mut table = Self {
            hot: vec![Hot::FREE; slots as usize].into_boxed_slice(),
            cold: vec![Cold::FREE; slots as usize].into_boxed_slice(),
            accounts: match settings.accounting {
                true => vec![Account::default(); slots as usize].into_boxed_slice(),
                false => Box::default(),
            },
            chains: Chains::new(slots),
            unreplied: Unreplied::new(slots),
            watch: None,
            index: Index::new(slots, secret),
            wheel: Wheel::new(slots),
            leases: Leases::new(slots),
            zones: Zones::new(settings),
            sources: None,
            alg: None,
            sharing: None,
            free: Vec::with_capacity(slots as usize),
            touched: 0,
            live: 0,
            last_id: 0,
            last_version: 0,
        };
        table.configure(settings);
        table
    }

    /// Takes over changed settings; the number of slots stays. With the first limit for source
    /// addresses the memory to count them is taken.
    pub(crate) fn configure(&mut self, settings: &Settings) {
        self.zones.configure(settings, self.sharing.is_some());
        let limited = |zone: &ZoneSettings| zone.source_limit.is_some();
        if self.sources.is_none() && settings.zones.values().any(limited) {
            self.sources = Some(Sources::new(self.slots()));
        }
    }

    /// How much memory its parts have.
    pub(crate) fn memory(&self) -> Memory {
        let free = self.free.capacity() * size_of::<u32>();
        Memory {
            connections: size_of_val(&*self.hot)
                + size_of_val(&*self.cold)
                + size_of_val(&*self.accounts)
                + self.chains.memory()
                + self.unreplied.memory()
                + free,
            index: self.index.memory(),
            leases: self.leases.memory(),
            timers: self.wheel.memory(),
            helpers: self.alg.as_ref().map_or(0, |alg| alg.memory()),
            zones: self.zones.memory()
                + self.chains.zone_memory()
                + self.sources.as_ref().map_or(0, Sources::memory),
        }
    }

    /// Makes this, which is empty, one of several tables.
    pub(crate) fn share(&mut self, sharing: Sharing) {
        debug_assert!(self.live == 0, "nobody was told of what there is");
        self.sharing = Some(Box::new(sharing));
    }

    pub(crate) fn sharing(&self) -> Option<&Sharing> {
        self.sharing.as_deref()
    }

    pub(crate) fn sharing_mut(&mut self) -> Option<&mut Sharing> {
        self.sharing.as_deref_mut()
    }

    /// Notes whose tuples are in use, of connections in up to `most` more slots; returns whether that is
    /// known of all, so that others may be given what is not.
    pub(crate) fn note_uses(&mut self, most: u32) -> bool {
        let Some(sharing) = self.sharing.as_deref_mut().filter(|all| !all.can_grant()) else {
            return true;
        };
        let from = sharing.noted();
        let slots = most.min(self.touched - from);
        let are_last = from + slots == self.touched;
        let range = from as usize..(from + slots) as usize;
        let connections = self.hot[range.clone()].iter().zip(&self.cold[range]);
        let live = connections.filter(|(hot, _)| hot.id != 0);
        sharing.note(live.map(|(_, cold)| &cold.keys), (slots, are_last));
        are_last
    }

    /// How many connections there is memory for.
    pub(crate) fn slots(&self) -> u32 {
        self.hot.len() as u32
    }

    /// How many connections there are, expired ones that were not forgotten yet included.
    pub(crate) const fn live(&self) -> u32 {
        self.live
    }

    /// Slots from here on were never used.
    pub(crate) const fn touched(&self) -> u32 {
        self.touched
    }

    /// The connection `key` belongs to, which may be expired.
    #[inline]
    pub(crate) fn find(&self, key: &Keyed) -> Option<Place> {
        self.index.find_hashed(key.hash, &key.key, &self.cold)
    }

    /// The hash of `key` in the index.
    #[inline]
    pub(crate) fn hash(&self, key: &Key) -> u64 {
        self.index.hash(key)
    }

    /// How many connections were ever made.
    #[inline]
    pub(crate) const fn made(&self) -> u64 {
        self.last_id
    }

    /// Fetches that part of the index in which a key with this hash is looked for.
    #[inline]
    pub(crate) fn touch_bucket(&self, hash: u64) {
        self.index.touch(hash);
    }

    /// Asks for the connection that the key with this hash likely belongs to; returns whether
    /// there is one.
    #[inline]
    pub(crate) fn prefetch_likely(&self, hash: u64) -> bool {
        let likely = self.index.likely(hash);
        if let Some(place) = likely {
            self.prefetch_slot(place.slot);
        }
        likely.is_some()
    }

    /// Asks for the memory of the connection that is made next, after `before` others.
    #[inline]
    pub(crate) fn prefetch_unused(&self, before: u32) {
        let free = self.free.len();
        let slot = match free.checked_sub(before as usize + 1) {
            Some(at) => self.free[at],
            None => self.touched + (before - free as u32),
        };
        self.prefetch_slot(slot);
        self.wheel.prefetch(slot);
        self.chains.prefetch(slot);
    }

    /// Where it is noted that the number at `end` of `key` is leased, to be asked for.
    #[inline]
    pub(crate) fn lease_whereabouts(&self, key: &Key, end: End) -> Option<Whereabouts> {
        let number = key.number(end)?;
        let pool = self.pool(key, end);
        Some(self.leases.whereabouts(pool, number.into()))
    }

    /// Fetches what is noted of a lease there.
    #[inline]
    pub(crate) fn touch_lease(&self, whereabouts: Whereabouts) {
        self.leases.touch(whereabouts);
    }

    /// Asks for all of the connection in `slot`.
    #[inline]
    pub(crate) fn prefetch_slot(&self, slot: u32) {
        self.prefetch_hot(slot);
        self.prefetch_account(slot);
        if let Some(cold) = self.cold.get(slot as usize) {
            prefetch_read(&cold.keys);
            prefetch_read(&cold.label);
        }
    }

    /// Asks for what every packet of the connection in `slot` touches.
    #[inline]
    pub(crate) fn prefetch_hot(&self, slot: u32) {
        prefetch_element(&self.hot, slot as usize);
    }

    /// Whether connections count what they carry.
    #[inline]
    pub(crate) fn is_accounting(&self) -> bool {
        !self.accounts.is_empty()
    }

    /// Asks for what the connection in `slot` counts.
    #[inline]
    pub(crate) fn prefetch_account(&self, slot: u32) {
        prefetch_element(&self.accounts, slot as usize);
    }

    /// Counts a packet of the connection in `slot`, if that is asked for.
    #[inline(always)]
    pub(crate) fn count(&mut self, slot: u32, direction: Direction, size: u32) {
        if let Some(Account(carried)) = self.accounts.get_mut(slot as usize) {
            carried[direction as usize].count(size);
        }
    }

    /// Whether a connection of this zone is in `slot`.
    pub(crate) fn is_of_zone(&self, slot: u32, zone: u16) -> bool {
        let hot = self.hot.get(slot as usize);
        hot.is_some_and(|hot| hot.is_live() && hot.zone == zone)
    }

    /// The live connection in `slot` as a dump shows it.
    pub(crate) fn entry(&self, slot: u32, now: Tick) -> Entry {
        let (hot, cold) = (self.hot(slot), self.cold(slot));
        let start = self.chains.born(slot);
        let alg = self.alg.as_deref();
        let lifetimes = &self.zones.policy(hot.zone).lifetimes;
        let age = lifetimes.idle(&hot.protocol, hot.deadline, now);
        Entry {
            id: hot.id,
            zone: hot.zone,
            zone_dir: cold.zone_dir(hot.zone),
            original: cold.key(Direction::Original).tuple(),
            reply: cold.key(Direction::Reply).tuple(),
            mark: hot.mark,
            label: cold.label,
            protocol: info(&hot.protocol),
            replied: hot.replied,
            timeout_left: hot.deadline.since(now),
            start,
            last_seen: age.max(start),
            carried: self.accounts.get(slot as usize).map(|account| account.0),
            helper: alg
                .and_then(|alg| alg.master(slot))
                .map(|master| master.helper),
            parent: alg.and_then(|alg| alg.parent(slot)),
        }
    }

    /// Lets what happens now be at this time, if somebody listens.
    #[inline]
    pub(crate) fn at(&mut self, now: Tick) {
        if let Some(watch) = &mut self.watch {
            watch.now = now;
        }
    }

    /// Tells who listens.
    #[inline]
    fn note(&mut self, slot: u32, kind: EventKind) {
        if self.watch.is_some() {
            self.tell(slot, kind);
        }
    }

    #[cold]
    fn tell(&mut self, slot: u32, kind: EventKind) {
        if let Some(mut watch) = self.watch.take() {
            watch.note(kind, self.entry(slot, watch.now));
            self.watch = Some(watch);
        }
    }

    /// Who listens is to know of a new connection's helper or master, too, which it got behind its
    /// making.
    #[cold]
    pub(crate) fn tell_kin(&mut self, slot: u32) {
        if let Some(mut watch) = self.watch.take() {
            watch.complete(self.entry(slot, watch.now));
            self.watch = Some(watch);
        }
    }

    pub(crate) const fn hot(&self, slot: u32) -> &Hot {
        &self.hot[slot as usize]
    }

    /// The hot halves of all slots.
    pub(crate) const fn all_hot(&self) -> &[Hot] {
        &self.hot
    }

    pub(crate) const fn cold(&self, slot: u32) -> &Cold {
        &self.cold[slot as usize]
    }

    /// The slot's hot half, to be written, and what its zone goes by. Deadlines go through
    /// [`Table::set_deadline`].
    #[inline]
    pub(crate) fn hot_and_zones(&mut self, slot: u32) -> (Option<&mut Hot>, &Zones) {
        (self.hot.get_mut(slot as usize), &self.zones)
    }

    /// Makes a connection; neither of its keys may be in the table. `None` if it is full.
    #[inline(always)]
    pub(crate) fn insert(&mut self, birth: &Birth, now: Tick) -> Option<u32> {
        // If nothing is noted, the directory is empty.
        let noting = self.sharing.as_deref().filter(|all| all.notes());
        let notes = noting.is_some();
        if noting.is_some_and(|all| !all.directory.has_room()) {
            return None;
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.touched < self.slots() => {
                self.touched += 1;
                self.touched - 1
            }
            None => return None,
        };
        self.live += 1;
        self.last_id += 1;
        self.last_version += 1;
        let Birth {
            zone,
            original,
            reply,
            pairs,
            protocol,
            mark,
            label,
            deadline,
            nat,
            size,
        } = *birth;
        self.hot[slot as usize] = Hot {
            deadline,
            id: self.last_id,
            version: self.last_version,
            protocol,
            mark,
            zone,
            replied: false,
            nat,
            leased: 0,
            kin: 0,
        };
        self.cold[slot as usize] = Cold {
            keys: [original.key, reply.key],
            label,
        };
        let place = |direction| Place { slot, direction };
        self.index.insert(original.hash, place(Direction::Original));
        if !original.key.is(&reply.key) {
            self.index.insert(reply.hash, place(Direction::Reply));
        }
        if notes && let Some(sharing) = &mut self.sharing {
            let pairs = pairs.unwrap_or_else(|| sharing.pairs(&[original.key, reply.key]));
            sharing.begin(slot, pairs);
        }
        self.wheel.insert(slot, deadline, now);
        self.zones.began(zone);
        self.chains.insert(zone, slot, now);
        self.unreplied.insert(slot);
        if let Some(account) = self.accounts.get_mut(slot as usize) {
            *account = Account::default();
            account.0[Direction::Original as usize].count(size);
        }
        if self.zones.policy(zone).source_limit.is_some()
            && let Some(sources) = &mut self.sources
        {
            sources.begin(self.index.hash(&original.key.source(zone)));
            self.hot[slot as usize].leased |= COUNTED;
        }
        if nat == Some(NatKind::Src) {
            // Many clients are to have one address: the next may want this port.
            let direction = Direction::Reply;
            self.lease(Place { slot, direction }, End::Dst);
        }
        self.note(slot, EventKind::New);
        Some(slot)
    }

    /// Makes a connection like one of another table with the same secret, if there is room, but
    /// for its kin.
    pub(crate) fn adopt(&mut self, other: &Self, slot: u32, now: Tick) -> Option<u32> {
        let (hot, cold) = (other.hot(slot), other.cold(slot));
        let [original, reply] = cold.keys.map(|key| Keyed {
            key,
            hash: self.index.hash(&key),
        });
        let birth = Birth {
            zone: hot.zone,
            original,
            reply,
            pairs: None,
            protocol: hot.protocol,
            mark: hot.mark,
            label: cold.label,
            deadline: hot.deadline,
            nat: hot.nat,
            size: 0,
        };
        let (born, account) = (other.chains.born(slot), other.accounts.get(slot as usize));
        let slot = self.insert(&birth, now)?;
        self.chains.set_born(slot, born);
        if let (Some(to), Some(from)) = (self.accounts.get_mut(slot as usize), account) {
            *to = *from;
        }
        self.hot[slot as usize].replied = hot.replied;
        for direction in Direction::BOTH {
            for end in [End::Src, End::Dst] {
                if hot.leased & direction.lease_bit(end) != 0 {
                    self.lease(Place { slot, direction }, end);
                }
            }
        }
        Some(slot)
    }

    /// Notes that the number at `end` of this key of a live connection is taken, until the
    /// connection ends. If there is no room to note it, it stays to be found in the index.
    pub(crate) fn lease(&mut self, place: Place, end: End) {
        let Place { slot, direction } = place;
        let cold = &self.cold[slot as usize];
        // The index knows what is its own reply as the original direction only.
        let direction = if cold.is_its_own_reply() {
            Direction::Original
        } else {
            direction
        };
        let key = cold.key(direction);
        let bit = direction.lease_bit(end);
        if self.hot[slot as usize].leased & bit == 0
            && let Some(number) = key.number(end)
            && self
                .leases
                .lease(self.pool(key, end), number.into())
                .is_ok()
        {
            self.hot[slot as usize].leased |= bit;
        }
    }

    /// The first number from `from` to `to` that is not leased at `end` of `key`.
    pub(crate) fn next_free(&self, key: &Key, end: End, from: u16, to: u16) -> Option<u16> {
        let pool = self.pool(key, end);
        let free = self.leases.next_free(pool, from.into(), to.into());
        free.map(|number| number as u16)
    }

    /// What keys are in together that differ by the number at `end` only.
    fn pool(&self, key: &Key, end: End) -> Pool {
        let hash = self.index.hash(&key.without_number(end));
        Pool(match end {
            End::Src => hash,
            End::Dst => hash.rotate_left(32),
        })
    }

    /// Removes the live connection in `slot`.
    pub(crate) fn remove(&mut self, slot: u32, ending: Ending) {
        self.wheel.remove(slot);
        self.forget(slot, ending);
    }

    /// Sets the deadline of the live connection in `slot`.
    pub(crate) fn set_deadline(&mut self, slot: u32, deadline: Tick, now: Tick) {
        let hot = &mut self.hot[slot as usize];
        let nearer = deadline < hot.deadline;
        hot.deadline = deadline;
        if nearer {
            self.wheel.remove(slot);
            self.wheel.insert(slot, deadline, now);
        }
    }

    /// Notes that a rule could see a change in the connection in `slot`.
    pub(crate) fn touch(&mut self, slot: u32) {
        self.renew_version(slot);
        self.note(slot, EventKind::Updated);
    }

    const fn renew_version(&mut self, slot: u32) {
        self.last_version += 1;
        self.hot[slot as usize].version = self.last_version;
    }

    /// Notes what the connection in `slot` has to do with others.
    pub(crate) const fn set_kin(&mut self, slot: u32, kin: u8) {
        self.hot[slot as usize].kin = kin;
    }

    /// Writes mark and label.
    pub(crate) fn set_metadata(&mut self, slot: u32, mark: u32, label: u128) {
        let (hot, cold) = (&mut self.hot[slot as usize], &mut self.cold[slot as usize]);
        if (hot.mark, cold.label) != (mark, label) {
            hot.mark = mark;
            cold.label = label;
            self.touch(slot);
        }
    }

    /// Looks at one connection whose turn has come and forgets it if its time is over.
    pub(crate) fn turn(&mut self, now: Tick) -> Turn {
        let Some(slot) = self.wheel.pop(now) else {
            return Turn::Done;
        };
        let hot = &self.hot[slot as usize];
        if hot.is_expired(now) {
            self.forget(slot, Ending::Expired);
            Turn::Forgotten
        } else {
            self.wheel.insert(slot, hot.deadline, now);
            Turn::PutBack
        }
    }

    /// An expired connection whose turn has not come, among the first `limit` of that turn.
    pub(crate) fn overdue(&self, now: Tick, limit: usize) -> Option<u32> {
        self.wheel
            .almost_due(now, limit)
            .find(|&slot| self.hot[slot as usize].is_expired(now))
    }

    /// Up to `limit` slots of those whose turn has come, and as many of the turn after that: those
    /// that are expired.
    pub(crate) fn all_overdue(&self, now: Tick, limit: usize) -> impl Iterator<Item = u32> {
        let due = self.wheel.all_due(now, limit);
        due.chain(self.wheel.almost_due(now, limit))
            .filter(move |&slot| self.hot[slot as usize].is_expired(now))
    }

    /// Takes the connection in `slot`, which does not wait any more, out of the table.
    fn forget(&mut self, slot: u32, ending: Ending) {
        self.note(slot, EventKind::Destroyed(ending));
        for (hash, place) in self.places(slot) {
            let there = self.index.remove(hash, place);
            debug_assert!(there, "{place:?}");
        }
        if let Some(sharing) = &mut self.sharing {
            sharing.end(slot, &self.cold[slot as usize].keys);
        }
        self.give_back(slot);
        if self.hot[slot as usize].kin != 0
            && let Some(alg) = &mut self.alg
        {
            alg.end(slot);
        }
        let zone = self.hot[slot as usize].zone;
        self.zones.ended(zone, ending);
        self.chains.remove(zone, slot);
        self.hot[slot as usize].id = 0;
        self.renew_version(slot);
        self.free.push(slot);
        self.live -= 1;
    }

    /// Where the connection in `slot` is in the index, with the hashes of its keys; both places
    /// are on their way to the cache.
    fn places(&self, slot: u32) -> impl Iterator<Item = (u64, Place)> + use<> {
        let cold = &self.cold[slot as usize];
        let place = |direction| {
            let hash = self.index.hash(cold.key(direction));
            self.index.prefetch(hash);
            (hash, Place { slot, direction })
        };
        let [original, reply] = Direction::BOTH.map(place);
        let reply = (!cold.is_its_own_reply()).then_some(reply);
        std::iter::once(original).chain(reply)
    }

    /// How many connections the source of `key` opened in `zone` since it is counted.
    pub(crate) fn of_source(&self, key: &Key, zone: u16) -> u32 {
        let count = |sources: &Sources| sources.count(self.index.hash(&key.source(zone)));
        self.sources.as_ref().map_or(0, count)
    }

    /// Whether the connection in `slot` counts among those of the source of `key` in `zone`.
    pub(crate) fn counts_for(&self, slot: u32, key: &Key, zone: u16) -> bool {
        let hot = self.hot(slot);
        let own = self.cold(slot).key(Direction::Original).source(hot.zone);
        hot.leased & COUNTED != 0 && own.is(&key.source(zone))
    }

    /// Gives back every number that is leased to the connection in `slot`, and its place among
    /// those of its source.
    fn give_back(&mut self, slot: u32) {
        let mut leased = std::mem::take(&mut self.hot[slot as usize].leased);
        if leased & COUNTED != 0
            && let Some(sources) = &mut self.sources
        {
            let key = self.cold[slot as usize].key(Direction::Original);
            let zone = self.hot[slot as usize].zone;
            sources.end(self.index.hash(&key.source(zone)));
        }
        leased &= !COUNTED;
        if leased == 0 {
            return;
        }
        for direction in Direction::BOTH {
            for end in [End::Src, End::Dst] {
                let key = self.cold[slot as usize].key(direction);
                if leased & direction.lease_bit(end) != 0
                    && let Some(number) = key.number(end)
                {
                    self.leases.give_back(self.pool(key, end), number.into());
                }
            }
        }
    }

    #[cfg(test)]
    pub(crate) const fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Checks every invariant; no packet may be waiting.
    #[cfg(test)]
    pub(crate) fn check(&self, now: Tick) {
        use std::collections::HashSet;

        let live: HashSet<u32> = (0..self.slots())
            .filter(|&s| self.hot(s).is_live())
            .collect();
        assert_eq!(live.len(), self.live as usize);
        assert!(live.iter().all(|&slot| slot < self.touched));
        assert_eq!(self.free.len() + live.len(), self.touched as usize);

        let waiting = self.wheel.waiting();
        assert_eq!(waiting.len(), live.len(), "each live slot waits once");
        assert_eq!(waiting.iter().copied().collect::<HashSet<_>>(), live);
        for &slot in &waiting {
            let deadline = self.hot(slot).deadline.as_millis();
            let due = self.wheel.due(slot).as_millis();
            assert!(
                due < deadline + 64 || due <= now.as_millis(),
                "due {due}, deadline {deadline}"
            );
        }

        let mut listed = HashSet::new();
        for zone in live.iter().map(|&slot| self.hot(slot).zone) {
            let (mut next, mut before) = (self.chains.newest(zone), u64::MAX);
            while let Some(slot) = next {
                assert!(self.is_of_zone(slot, zone), "slot {slot} is of zone {zone}");
                assert!(self.hot(slot).id < before, "the newest is the first");
                (next, before) = (self.chains.older(slot), self.hot(slot).id);
                listed.insert(slot);
            }
        }
        assert_eq!(listed, live, "each is listed in its zone");

        let mut entries = 0;
        for place in self.index.places() {
            assert!(live.contains(&place.slot), "{place:?} dangles");
            let key = self.cold(place.slot).key(place.direction);
            let found = self.index.find(key, &self.cold);
            assert_eq!(found.map(|found| found.slot), Some(place.slot));
            entries += 1;
        }
        let keys = live
            .iter()
            .map(|&slot| 1 + usize::from(!self.cold(slot).is_its_own_reply()));
        assert_eq!(entries, keys.sum::<usize>());
        assert!(self.index.capacity() >= self.slots() as usize * 2);

        if let Some(sharing) = &self.sharing {
            sharing.check(live.iter().map(|&slot| (slot, &self.cold(slot).keys)));
        }

        let mut leases = 0;
        for &slot in &live {
            for direction in Direction::BOTH {
                for end in [End::Src, End::Dst] {
                    if self.hot(slot).leased & direction.lease_bit(end) != 0 {
                        let key = self.cold(slot).key(direction);
                        let number = key.number(end).expect("only a number is leased");
                        assert!(self.leases.is_leased(self.pool(key, end), number.into()));
                        leases += 1;
                    }
                }
            }
        }
        assert_eq!(self.leases.len(), leases);
    }
}

/// What a dump shows of a protocol's state.
pub(crate) fn info(protocol: &Protocol) -> ProtocolInfo {
    match protocol {
        Protocol::Tcp(tcp) => {
            let [original, reply] = Direction::BOTH.map(|direction| {
                let tcp::End { state, scale, .. } = *tcp.end(direction);
                TcpInfo {
                    state,
                    window_scale: scale.shift(),
                    scaling: scale.is_offered(),
                    liberal: scale.is_unknown(),
                }
            });
            ProtocolInfo::Tcp { original, reply }
        }
        Protocol::Sctp(sctp) => ProtocolInfo::Sctp(SctpInfo {
            state: sctp.state,
            tags: sctp.tags,
        }),
        Protocol::Query(_) | Protocol::Datagram(_) => ProtocolInfo::Stateless,
    }
}

/// What [`Table::turn`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// One connection is forgotten.
    Forgotten,
    /// One connection was prolonged since it was put there, and waits on.
    PutBack,
    /// No connection's turn has come.
    Done,
}
