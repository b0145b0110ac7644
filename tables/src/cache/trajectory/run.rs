//! A run: packets one behind the other whose entries have one program, which sends each to one
//! port, changed in place or not.
//!
//! What the program says is read once for all of them, what they count is added up, and the port
//! gets them together.

use weir_ct::Recall;
use weir_nat::TupleChange;
use weir_packet::{Frame, Layout};

use super::entry::{Entry, EntryId};
use super::key::Key;
use super::program::{Change, ProgramId, Quick};
use super::{MOST_HEAT, Trajectories, advance, apply};
use crate::port::PortIndex;
use crate::snapshot::Snapshot;

/// What packets of a run have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    program: ProgramId,
    quick: Quick,
    /// The longest frame, in bytes.
    longest: usize,
    least_ttl: u8,
    /// An entry with a lesser state has to catch up first.
    least_state: u64,
    /// Whether entries are expected that have to.
    late: bool,
}

/// What a packet of a run needs of its entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// The connection that it meets.
    pub(crate) connection: Option<Recall>,
    state: u64,
}

impl Run {
    /// Where its packets go.
    pub(crate) const fn port(&self) -> PortIndex {
        self.quick.port
    }

    /// Whether entries are expected that have to catch up.
    pub(crate) const fn is_late(&self) -> bool {
        self.late
    }

    /// No frame of it has more bytes.
    pub(crate) const fn longest(&self) -> usize {
        self.longest
    }
}

impl Trajectories {
    /// Begins a run with the program of an entry, if that is one for runs.
    #[inline]
    pub(crate) fn run_of(&mut self, id: EntryId, snapshot: &Snapshot) -> Option<Run> {
        let id = self.entries.get(id.0 as usize)?.program;
        let program = self.programs.current(id, snapshot);
        let late = program.late > 0;
        program.late -= u16::from(late);
        Some(Run {
            program: id,
            quick: program.quick?,
            longest: program.longest as usize,
            least_ttl: program.least_ttl,
            least_state: program.clean_since << Entry::GENERATION,
            late,
        })
    }

    /// What a packet of the entry, which is that of its key, needs of it; `None` if it is not for
    /// the run: it has another program, names more than a connection, has to catch up, or the
    /// packet is too long or at the end of its life.
    #[inline(always)]
    pub(crate) fn member(&self, run: &Run, id: EntryId, len: usize, ttl: u8) -> Option<Member> {
        let entry = self.entries.get(id.0 as usize)?;
        let state = entry.state;
        let fits = entry.program == run.program
            && state & Entry::MORE == 0
            && state >= run.least_state
            && len <= run.longest
            && ttl >= run.least_ttl;
        let connection = (state & Entry::ONE != 0).then(|| entry.first());
        fits.then_some(Member { connection, state })
    }

    /// Lets entries of the run's program, each with its key, catch up, up to the first of another program.
    #[cold]
    pub(crate) fn catch_up_all<'a>(
        &mut self,
        run: &Run,
        entries: impl Iterator<Item = (EntryId, &'a Key)>,
        snapshot: &Snapshot,
    ) {
        self.recent.follow(snapshot);
        let program = self.programs.get(run.program);
        for (id, key) in entries {
            let Some(entry) = self.entries.get_mut(id.0 as usize) else {
                return;
            };
            if entry.program != run.program {
                return;
            }
            // What a change concerns goes the long way.
            if entry.state < run.least_state {
                advance(entry, program, &self.recent, key, snapshot);
            }
        }
    }

    /// Does to a plain packet what the run does, and notes that the entry was hit.
    #[inline(always)]
    pub(crate) fn change<F: Frame>(
        &mut self,
        run: &Run,
        id: EntryId,
        member: Member,
        frame: &mut F,
        (protocol, end): (u8, u32),
    ) {
        if member.state & Entry::HEAT < u64::from(MOST_HEAT) {
            self.entries[id.0 as usize].state += 1;
        }
        match run.quick.change {
            Change::Nothing => {}
            Change::Tuple => {
                let words = self.behind[id.0 as usize].rest;
                let layout = Layout::plain(protocol, end);
                TupleChange::from_words(words).apply(frame.head_mut(), &layout);
            }
            Change::Other => {
                let layout = Layout::plain(protocol, end);
                self.change_otherwise(run, id, frame.head_mut(), &layout);
            }
        }
    }

    #[inline(never)]
    fn change_otherwise(&self, run: &Run, id: EntryId, head: &mut [u8], layout: &Layout) {
        let rest = &self.behind[id.0 as usize].rest;
        if let Some((_, before)) = self.programs.get(run.program).ops.split_last() {
            for op in before {
                apply::in_place(op, rest, head, layout);
            }
        }
    }

    /// Counts the packets of a run, `bytes` in all.
    #[inline]
    pub(crate) fn end_run(&mut self, run: &Run, packets: usize, bytes: usize) {
        self.programs.count(run.program, packets, bytes);
    }
}
