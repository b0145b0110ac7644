//! Which MAC addresses the next hops of tunnels have.
//!
//! ```text
//! (nobody) -- asked --> waiting -- answer --> known -- REACHABLE later --> doubtful
//!                          ^                    ^--------- answer ------------/  |
//!                          \----------- MAX_PROBES without an answer ------------/
//! ```
//!
//! As in Open vSwitch, a packet for a hop that is not known is dropped, and asks for it.
//! A doubtful hop is used on, while it is asked whether it is still there (RFC 4861 7.3); one
//! that nobody sends to is not asked. Who is configured is in [`super::Tunnels`], not here.
//!
//! Only who was asked for is learned, so no stranger fills the table.
//!
//! Invariant: a [`NeighbourPlace`] that stands names the MAC address that it named when it was
//! made.
//!
//! Threads: each lcore has its own, and tells the others what it hears.
//! Cost: a look at one set. Nothing is done when nobody sends.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use foldhash::fast::SeedableRandomState;
use weir_packet::Tick;

use crate::classifier::HashSecret;
use crate::port::PortIndex;

#[cfg(test)]
mod tests;

/// How long an answer is believed (RFC 4861 10, `REACHABLE_TIME`).
const REACHABLE: Duration = Duration::from_secs(30);
/// How long a doubtful hop is remembered to which nothing is sent (Open vSwitch's
/// `NEIGH_ENTRY_DEFAULT_IDLE_TIME_MS`).
const IDLE: Duration = Duration::from_secs(15 * 60);
/// Time between two questions (RFC 4861 10, `RETRANS_TIMER`).
const PATIENCE: Duration = Duration::from_secs(1);
/// Questions without an answer after which somebody is gone (RFC 4861 10 has 3).
const MAX_PROBES: u8 = 5;

/// What is said that waits to be told.
const NEWS: usize = 64;
/// Places in all.
const CAPACITY: usize = 1_024;
/// Places that an address can lie in.
const WAYS: usize = 8;

/// A next hop, and which version of its place that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NeighbourPlace {
    at: u16,
    version: u32,
}

/// What is known of a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextHop {
    /// Its address.
    Known {
        mac: [u8; 6],
        place: NeighbourPlace,
        /// Whether it is to be asked if it is still there.
        ask: bool,
    },
    /// Nothing yet.
    Unknown {
        /// Whether it is to be asked for.
        ask: bool,
    },
}

/// A next hop, for those who want to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourEntry {
    /// The underlay port.
    pub over: PortIndex,
    /// Its address.
    pub ip: IpAddr,
    /// Its MAC address; `None`: it was asked for and has not answered.
    pub mac: Option<[u8; 6]>,
    /// Time since it answered last; `None`: it is configured, or has not answered.
    pub age: Option<Duration>,
}

/// In the order in which they make room for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Nobody,
    Waiting,
    Known,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    over: PortIndex,
    ip: IpAddr,
    state: State,
    mac: [u8; 6],
    /// Changes with everything above.
    version: u32,
    /// When it answered last.
    confirmed: Tick,
    /// From when on a packet is to ask.
    ask_at: Tick,
    /// Questions since the last answer.
    probes: u8,
}

/// The next hops of one lcore, and our own addresses.
#[derive(Clone, Debug)]
pub(crate) struct Neighbours {
    hasher: SeedableRandomState,
    /// Empty where there are no tunnels.
    places: Box<[Place]>,
    /// Our MAC addresses, by port.
    macs: Vec<[u8; 6]>,
    /// With several lcores: what the others are to be told.
    news: Option<VecDeque<NeighbourNews>>,
}

/// What was said to one lcore, and may answer another one's question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NeighbourNews {
    over: PortIndex,
    claim: Claim,
}

/// What somebody says of himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) ip: IpAddr,
    pub(crate) mac: [u8; 6],
    /// Whether it answers a question, so that he hears us.
    pub(crate) is_answer: bool,
    /// Whether it goes before what was known.
    pub(crate) overrides: bool,
}

impl NeighbourPlace {
    /// That of a hop which is configured.
    pub(crate) const STATIC: Self = Self {
        at: u16::MAX,
        version: 0,
    };
}

impl Neighbours {
    /// Nobody is known. No memory is taken unless there are tunnels.
    pub(crate) fn new(secret: HashSecret, has_tunnels: bool) -> Self {
        let shared = foldhash::SharedSeed::global_fixed();
        let capacity = if has_tunnels { CAPACITY } else { 0 };
        Self {
            hasher: SeedableRandomState::with_seed(secret.0, shared),
            places: vec![Place::EMPTY; capacity].into(),
            macs: Vec::new(),
            news: None,
        }
    }

    /// From now on the other lcores are told what is said to this one: each asks for itself, and
    /// which one hears the answer is chance. What there is no room for is asked for again.
    pub(crate) fn tell_others(&mut self) {
        self.news = Some(VecDeque::with_capacity(NEWS));
    }

    /// Something that the others are to be told.
    pub(crate) fn take_news(&mut self) -> Option<NeighbourNews> {
        self.news.as_mut()?.pop_front()
    }

    /// Something was said to another lcore.
    pub(crate) fn hear(&mut self, news: &NeighbourNews, now: Tick) {
        self.believe(news.over, news.claim, now);
    }

    /// From now on these are our MAC addresses, by port.
    pub(crate) fn set_macs(&mut self, macs: Vec<[u8; 6]>) {
        self.macs = macs;
    }

    /// Our MAC address at a port: the device's, or one made of the port's place where there is
    /// no device.
    #[inline]
    pub(crate) fn own_mac(&self, port: PortIndex) -> [u8; 6] {
        let [high, low] = port.0.to_be_bytes();
        let made_up = [0x02, 0x77, 0x65, 0x69, high, low];
        let mac = self.macs.get(usize::from(port.0));
        mac.copied().unwrap_or(made_up)
    }

    /// The MAC address of `ip` behind `over`, to which something is to be sent now. Who is told
    /// to ask does.
    pub(crate) fn next_hop(&mut self, over: PortIndex, ip: IpAddr, now: Tick) -> NextHop {
        let known = self.position(over, ip);
        let at = known.unwrap_or_else(|| self.place_for(over, ip));
        let Some(place) = self.places.get_mut(at) else {
            return NextHop::Unknown { ask: false };
        };
        if known.is_none() {
            place.become_other(over, ip, State::Waiting);
            place.ask_at = now;
        }
        let is_due = place.ask_at <= now;
        let is_idle = now.since(place.ask_at) >= IDLE;
        if place.state == State::Known && is_due && (is_idle || place.probes == MAX_PROBES) {
            place.become_other(over, ip, State::Waiting);
        }
        if is_due {
            place.ask_at = now + PATIENCE;
        }
        match place.state {
            State::Nobody | State::Waiting => NextHop::Unknown { ask: is_due },
            State::Known => {
                place.probes += u8::from(is_due);
                let version = place.version;
                let (mac, at) = (place.mac, at as u16);
                NextHop::Known {
                    mac,
                    place: NeighbourPlace { at, version },
                    ask: is_due,
                }
            }
        }
    }

    /// Whether a hop is what it was, and need not be asked: then nothing is to be done before
    /// something is sent there.
    #[inline]
    pub(crate) fn stands(&self, place: NeighbourPlace, now: Tick) -> bool {
        if place == NeighbourPlace::STATIC {
            return true;
        }
        let there = self.places.get(usize::from(place.at));
        there.is_some_and(|there| there.version == place.version && now < there.ask_at)
    }

    /// Somebody says what MAC address he has. He is believed if he is known or was asked for.
    pub(crate) fn learn(&mut self, over: PortIndex, claim: Claim, now: Tick) {
        if let Some(news) = &mut self.news
            && news.len() < NEWS
        {
            news.push_back(NeighbourNews { over, claim });
        }
        self.believe(over, claim, now);
    }

    fn believe(&mut self, over: PortIndex, claim: Claim, now: Tick) {
        let is_group = claim.mac[0] & 1 != 0;
        let Some(at) = self.position(over, claim.ip).filter(|_| !is_group) else {
            return;
        };
        let place = &mut self.places[at];
        let is_news = match place.state {
            State::Nobody => return,
            State::Waiting => true,
            // That he sends says nothing of whether he hears us (RFC 4861 7.3.1).
            State::Known if place.mac == claim.mac && !claim.is_answer => return,
            State::Known if place.mac == claim.mac => false,
            State::Known if claim.overrides => true,
            State::Known => return,
        };
        if is_news {
            place.become_other(over, claim.ip, State::Known);
            place.mac = claim.mac;
        }
        place.confirmed = now;
        place.ask_at = now + REACHABLE;
        place.probes = 0;
    }

    /// All that are known or asked for.
    pub(crate) fn entries(&self, now: Tick) -> impl Iterator<Item = NeighbourEntry> {
        let is_kept = move |place: &&Place| match place.state {
            State::Nobody => false,
            State::Waiting => now.since(place.ask_at) < REACHABLE,
            State::Known => now.since(place.ask_at) < IDLE,
        };
        let places = self.places.iter().filter(is_kept);
        places.map(move |place| {
            let is_known = place.state == State::Known;
            NeighbourEntry {
                over: place.over,
                ip: place.ip,
                mac: is_known.then_some(place.mac),
                age: is_known.then(|| now.since(place.confirmed)),
            }
        })
    }

    /// Where the set of an address begins.
    fn set_of(&self, over: PortIndex, ip: IpAddr) -> usize {
        let hash = self.hasher.hash_one((over, ip)) as usize;
        hash % (CAPACITY / WAYS) * WAYS
    }

    fn position(&self, over: PortIndex, ip: IpAddr) -> Option<usize> {
        let first = self.set_of(over, ip);
        let set = self.places.get(first..first + WAYS)?;
        let is_it =
            |place: &Place| place.state != State::Nobody && place.over == over && place.ip == ip;
        set.iter().position(is_it).map(|at| first + at)
    }

    /// An empty place, or that which was not asked or sent to for the longest time.
    fn place_for(&self, over: PortIndex, ip: IpAddr) -> usize {
        let first = self.set_of(over, ip);
        let set = self.places.get(first..first + WAYS).unwrap_or_default();
        let oldest = set
            .iter()
            .enumerate()
            .min_by_key(|(_, place)| (place.state, place.ask_at));
        first + oldest.map_or(0, |(at, _)| at)
    }
}

impl Place {
    const EMPTY: Self = Self {
        over: PortIndex(0),
        ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        state: State::Nobody,
        mac: [0; 6],
        version: 0,
        confirmed: Tick::ZERO,
        ask_at: Tick::ZERO,
        probes: 0,
    };

    fn become_other(&mut self, over: PortIndex, ip: IpAddr, state: State) {
        *self = Self {
            over,
            ip,
            state,
            version: self.version.wrapping_add(1),
            ask_at: self.ask_at,
            ..Self::EMPTY
        };
    }
}
