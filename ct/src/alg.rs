//! Application-level gateways: connections that are opened because another one, their *master*,
//! says so in its payload.
//!
//! ```text
//! master: PORT 10,0,0,5,156,64 --Stream--> a line --ftp--> an announcement
//!           |                                                  | is it the speaker's address?
//!           | Numbers: the text, where its place               v
//!           | and sequence numbers have moved         an expectation (Expectations)
//!           v                                                  |
//! master: PORT 198,51,100,7,156,64          the first packet with its tuple: +new+rel
//! ```
//!
//! The parsers ([`ftp`], [`tftp`]) know no packets, and [`Stream`] and [`Numbers`] no addresses;
//! `Tracker::help` puts them together.
//!
//! Invariants
//!   1. An expectation ends when its time is over, when it is met by a commit, or with its master.
//!      A master has at most [`PER_MASTER`] of them.
//!   2. What a master says counts only about its own end: an address that is not the speaker's
//!      opens nothing (RFC 2577), nor does a port below 1024.
//!   3. All memory is taken in [`Alg::new`].
//!   4. With several lcores, all of them expect what one does: `foreign` says how.
//!
//! Threads: one lcore's.
//! Cost: a packet of a connection without a helper pays for one bit of its connection; one of no
//! connection for a look-up while there are expectations.

mod controls;
mod expectations;
mod foreign;
pub mod ftp;
mod numbers;
mod stream;
pub mod tftp;

use std::collections::HashMap;

use weir_nat::End;
use weir_packet::{Tick, Tuple};

use crate::key::Key;
use crate::owner::ShardId;
use crate::record::Direction;

pub(crate) use controls::{Control, Mend};
pub(crate) use expectations::{Expectation, Expectations, LIFETIME, Said};
pub(crate) use foreign::{Foreign, MOST_UNHEARD, Met, News, Others, Told};
pub(crate) use numbers::{Numbers, is_at_or_after};
pub(crate) use stream::Stream;

/// What looks into the payload of a connection (`alg=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Helper {
    /// Control connections of FTP (RFC 959, RFC 2428).
    Ftp,
    /// Requests of TFTP (RFC 1350).
    Tftp,
}

impl Helper {
    /// As flows and dumps name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ftp => "ftp",
            Self::Tftp => "tftp",
        }
    }
}

/// The bit of [`Hot::kin`](crate::record::Hot::kin) of a connection with a helper.
pub(crate) const HELPED: u8 = 1;
/// That of a connection that was expected.
pub(crate) const RELATED: u8 = 2;

/// How many expectations one master has; the oldest gives way to one more.
pub(crate) const PER_MASTER: usize = 4;

/// What a connection has to do with others.
#[derive(Clone, Debug)]
pub(crate) enum Kin {
    Master(Master),
    /// The original key of its master.
    Child(Key),
}

/// A connection with a helper.
#[derive(Clone, Debug)]
pub(crate) struct Master {
    pub(crate) helper: Helper,
    /// Its place among the controls, if it is one of FTP.
    pub(crate) control: Option<u32>,
    /// Its expectations, the oldest first.
    expected: [Option<u32>; PER_MASTER],
}

/// All that one lcore knows of such connections.
pub(crate) struct Alg {
    /// By slot of the connection.
    kin: HashMap<u32, Kin>,
    most_kin: usize,
    controls: Vec<Control>,
    free_controls: Vec<u32>,
    pub(crate) expectations: Expectations,
    /// With several lcores: what the others expect, and what they know of this one.
    pub(crate) others: Option<Box<Others>>,
    /// What is to be done to the packet that was looked at last.
    pub(crate) mend: Mend,
}

impl Alg {
    /// Takes memory, for a table of so many connections, which may be that of one of several lcores.
    pub(crate) fn new(slots: u32, lcore: Option<(ShardId, u16)>) -> Self {
        let slots = slots as usize;
        let (most_kin, controls) = (slots.min(MOST_KIN), slots.min(MOST_CONTROLS));
        let shards = lcore.map_or(1, |(_, shards)| shards);
        let expected = slots.min(MOST_EXPECTATIONS.div_ceil(shards.into()));
        Self {
            // With twice the room it never grows, however often something is put in and out.
            kin: HashMap::with_capacity(2 * most_kin),
            most_kin,
            controls: vec![Control::default(); controls],
            free_controls: (0..controls as u32).rev().collect(),
            expectations: Expectations::new(expected),
            others: lcore.map(|(me, shards)| Box::new(Others::new(me, shards, expected))),
            mend: Mend::new(0, Direction::Original, 0),
        }
    }

    /// What the connection in `slot` has to do with others.
    pub(crate) fn kin(&self, slot: u32) -> Option<&Kin> {
        self.kin.get(&slot)
    }

    /// The same of a connection with a helper.
    pub(crate) fn master(&self, slot: u32) -> Option<&Master> {
        match self.kin.get(&slot)? {
            Kin::Master(master) => Some(master),
            Kin::Child(_) => None,
        }
    }

    /// The tuple of the packet that opened the master of the connection in `slot`.
    pub(crate) fn parent(&self, slot: u32) -> Option<Tuple> {
        match self.kin.get(&slot)? {
            Kin::Master(_) => None,
            Kin::Child(parent) => Some(parent.tuple()),
        }
    }

    /// What is known of the control connection in `slot`.
    pub(crate) fn control(&self, slot: u32) -> Option<&Control> {
        let at = self.master(slot)?.control?;
        self.controls.get(at as usize)
    }

    /// The same, to be written.
    pub(crate) fn control_mut(&mut self, slot: u32) -> Option<&mut Control> {
        let at = self.master(slot)?.control?;
        self.controls.get_mut(at as usize)
    }

    /// Whether one more connection can be related, or have this helper.
    pub(crate) fn has_room(&self, helper: Option<Helper>) -> bool {
        let needs_control = helper == Some(Helper::Ftp);
        self.kin.len() < self.most_kin && !(needs_control && self.free_controls.is_empty())
    }

    /// The connection in `slot` gets a helper; there is room.
    pub(crate) fn begin_master(&mut self, slot: u32, helper: Helper) {
        let control = match helper {
            Helper::Ftp => self.free_controls.pop(),
            Helper::Tftp => None,
        };
        if let Some(control) = control {
            self.controls[control as usize] = Control::default();
        }
        let master = Master {
            helper,
            control,
            expected: [None; PER_MASTER],
        };
        self.kin.insert(slot, Kin::Master(master));
    }

    /// The connection in `slot` was expected by one with this original key; there is room.
    pub(crate) fn begin_child(&mut self, slot: u32, parent: Key) {
        self.kin.insert(slot, Kin::Child(parent));
    }

    /// The connection in `slot` is over, and with it what it expected.
    pub(crate) fn end(&mut self, slot: u32) {
        let Some(Kin::Master(master)) = self.kin.remove(&slot) else {
            return;
        };
        self.free_controls.extend(master.control);
        for at in master.expected.into_iter().flatten() {
            self.remove(at);
        }
    }

    /// Expects a connection, instead of the oldest that its master expects if there are too many;
    /// nobody may expect the same. Returns whether there was room.
    pub(crate) fn expect(&mut self, expectation: Expectation, now: Tick) -> bool {
        let slot = expectation.master;
        let Some(Kin::Master(master)) = self.kin.get_mut(&slot) else {
            return false;
        };
        if let [Some(oldest), .., Some(_)] = master.expected {
            master.expected.rotate_left(1);
            master.expected[PER_MASTER - 1] = None;
            self.remove(oldest);
        }
        let own = self.expectations.len();
        if self
            .others
            .as_ref()
            .is_some_and(|others| !others.has_room(own))
        {
            return false;
        }
        let mut gone = None;
        let at = self.expectations.insert(expectation, now, &mut gone);
        if let Some((at, over)) = gone {
            self.told_over(&over);
            self.forget(at, over.master);
        }
        let Some(at) = at else {
            return false;
        };
        if let Some(Kin::Master(master)) = self.kin.get_mut(&slot)
            && let Some(place) = master.expected.iter_mut().find(|at| at.is_none())
        {
            *place = Some(at);
        }
        if let (Some(others), Some(expectation)) = (&mut self.others, self.expectations.get_mut(at))
        {
            expectation.number = others.next_number();
            expectation.said.news = others.note(expectation.key, expectation.number);
        }
        true
    }

    /// What is expected at `at` is expected until `deadline`, and this is `said` of it to other
    /// lcores. Returns whether there was room to tell them.
    pub(crate) fn renew(&mut self, at: u32, deadline: Tick, said: Said) -> bool {
        let own = self.expectations.len();
        let Some(expectation) = self.expectations.get_mut(at) else {
            return false;
        };
        if let Some(others) = &mut self.others {
            if !others.has_room(own) {
                return false;
            }
            let news = others.note(expectation.key, expectation.number);
            expectation.said = Said { news, ..said };
        }
        expectation.deadline = deadline;
        true
    }

    /// Removes an expectation; its master knows.
    fn remove(&mut self, at: u32) -> Option<Expectation> {
        let expectation = self.expectations.remove(at)?;
        self.told_over(&expectation);
        Some(expectation)
    }

    /// What was expected is over: the others are to be told.
    fn told_over(&mut self, expectation: &Expectation) {
        if let Some(others) = &mut self.others {
            others.note(expectation.key, expectation.number);
        }
    }

    /// The expectation of a connection whose first packet has this key, and where it is.
    pub(crate) fn expected(&self, key: &Key, now: Tick) -> Option<(u32, &Expectation)> {
        let (at, expectation) = self.expectations.find(&key.without_number(End::Src))?;
        (now < expectation.deadline).then_some((at, expectation))
    }

    /// The expectation at `at` is met, or over.
    pub(crate) fn met(&mut self, at: u32) {
        if let Some(expectation) = self.remove(at) {
            self.forget(at, expectation.master);
        }
    }

    /// What of the news the packets of the connection in `slot` must wait for until all have heard
    /// it, if anything.
    pub(crate) fn unheard(&self, slot: u32) -> Option<u64> {
        let others = self.others.as_deref()?;
        let news = self
            .expected_by(slot)
            .map(|expectation| expectation.said.news);
        news.max().filter(|news| !others.is_heard(*news))
    }

    /// Where what the connection in `slot` expects is, the oldest first.
    pub(crate) fn places(&self, slot: u32) -> [Option<u32>; PER_MASTER] {
        let master = self.master(slot);
        master.map_or([None; PER_MASTER], |master| master.expected)
    }

    /// What the connection in `slot` expects, the oldest first.
    pub(crate) fn expected_by(&self, slot: u32) -> impl Iterator<Item = &Expectation> {
        self.places(slot)
            .into_iter()
            .flatten()
            .filter_map(|at| self.expectations.get(at))
    }

    /// Forgets expectations whose time is over, looking at `budget` of them; returns how many.
    pub(crate) fn expire(&mut self, now: Tick, budget: usize) -> usize {
        let mut forgotten = 0;
        for _ in 0..budget.min(self.expectations.len()) {
            let Some((at, expectation)) = self.expectations.next() else {
                continue;
            };
            if expectation.deadline <= now {
                self.met(at);
                forgotten += 1;
            }
        }
        forgotten
    }

    /// How many bytes it has.
    pub(crate) fn memory(&self) -> usize {
        self.kin.capacity() * size_of::<(u32, Kin)>()
            + size_of_val(&*self.controls)
            + self.expectations.memory()
            + self.others.as_ref().map_or(0, |others| others.memory())
    }

    /// A copy of what `other` knows of a connection of its own, here in `slot`.
    pub(crate) fn adopt(&mut self, slot: u32, other: &Self, theirs: u32, now: Tick) {
        match other.kin(theirs) {
            None => {}
            Some(Kin::Child(parent)) => self.begin_child(slot, *parent),
            Some(Kin::Master(master)) => {
                self.begin_master(slot, master.helper);
                if let (Some(own), Some(control)) = (self.control_mut(slot), other.control(theirs))
                {
                    own.clone_from(control);
                }
                for expectation in other.expected_by(theirs) {
                    let master = slot;
                    self.expect(
                        Expectation {
                            master,
                            ..*expectation
                        },
                        now,
                    );
                }
            }
        }
    }

    /// The master in `slot` does not expect what is at `at` any more.
    fn forget(&mut self, at: u32, slot: u32) {
        if let Some(Kin::Master(master)) = self.kin.get_mut(&slot)
            && let Some(place) = master.expected.iter().position(|there| *there == Some(at))
        {
            master.expected[place] = None;
            master.expected[place..].rotate_left(1);
        }
    }
}

/// Connections that have a helper or a master.
const MOST_KIN: usize = 32_768;
/// Control connections of FTP.
const MOST_CONTROLS: usize = 8_192;
/// Expectations.
const MOST_EXPECTATIONS: usize = 8_192;

#[cfg(test)]
mod tests;
