//! Whether an entry would answer for a packet, and if not, why: what a hit checks, in the same order,
//! without writing anything.

use weir_packet::{Frame, Layout};

use super::{EntryId, Key, Trajectories, is_concerned};
use crate::port::PortIndex;
use crate::snapshot::Snapshot;

impl Trajectories {
    /// Whether the input port is all that counts, and that is known.
    pub(crate) fn is_wired(&self, port: PortIndex, generation: u64) -> bool {
        let wire = self.wires.get(usize::from(port.0));
        wire.is_some_and(|wire| wire.holds(generation))
    }

    /// Whether a wire is for this frame.
    pub(crate) fn wire_admits<F: Frame>(&self, port: PortIndex, frame: &F) -> bool {
        let wire = self.wires.get(usize::from(port.0));
        wire.is_some_and(|wire| wire.admits(frame))
    }

    /// The entry for a frame with this key, but for the connections, addresses and next hops that
    /// it names.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn explain<F: Frame>(
        &self,
        key: &Key,
        frame: &F,
        layout: &Layout,
        snapshot: &Snapshot,
    ) -> Result<EntryId, String> {
        let hashed = self.hash(key);
        let likely = self.likely(hashed);
        let found = likely.and_then(|likely| self.find(likely, hashed, key));
        let Some(id) = found else {
            return Err("no entry has its key".to_owned());
        };
        let entry = &self.entries[id.0 as usize];
        let program = self.programs.get(entry.program);
        if frame.len() > program.longest as usize {
            let longest = program.longest;
            return Err(format!(
                "the entry is for frames of at most {longest} bytes"
            ));
        }
        if program.is_guarded && !program.guards(frame.head(), layout) {
            return Err("its TTL or its length are not such as the entry is for".to_owned());
        }
        let generation = entry.generation();
        if let Some(first) = program.would_check(generation, snapshot) {
            let plan = &program.plan;
            let mut recent = self.recent.clone();
            recent.follow(snapshot);
            if !recent.spares(first, plan, &program.unwritten, key)
                && is_concerned(plan, key, first, snapshot)
            {
                return Err(format!(
                    "stale: a change of policy since generation {generation} may concern the entry"
                ));
            }
        }
        Ok(id)
    }

    /// The program of an entry, and how many connections it names.
    pub(crate) fn named(&self, id: EntryId) -> (super::ProgramId, usize) {
        let entry = &self.entries[id.0 as usize];
        (entry.program, entry.connections())
    }
}
