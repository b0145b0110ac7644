//! What an lcore tells of a packet before it comes ([`Lcore::trace`]) is what happens, and telling
//! it changes nothing.

use weir_packet::{Tick, VecFrame};
use weir_tables::counters::Counter;
use weir_tables::drops::DropReason;
use weir_tables::field::Field;
use weir_tables::key::FlowKey;
use weir_tables::port::{PortNo, PortTable};
use weir_tables::trace::{Arrival, CacheStory, Question, Story};

use super::Twin;

/// What was told, and what was counted then.
pub(super) struct Foretold {
    story: Story,
    drops: Vec<u64>,
    /// Hits of the trajectory cache.
    hits: u64,
    /// Connections evicted.
    evicted: u64,
}

impl Twin {
    /// Tells what would become of a frame.
    ///
    /// # Panics
    /// If anything changes.
    pub(super) fn trace(&mut self, in_port: PortNo, frame: &VecFrame, now: Tick) -> Foretold {
        let before = self.all(now);
        let story = self.lcore.trace(
            Question {
                in_port,
                frame: frame.bytes().to_vec(),
                metadata: FlowKey::ZERO,
                states: Vec::new(),
            },
            now,
        );
        assert_eq!(
            before,
            self.all(now),
            "{}: a trace changes nothing",
            self.name
        );
        Foretold {
            story,
            drops: self.drops(),
            hits: self.lcore.trajectory_stats().hits,
            evicted: self.evicted(),
        }
    }

    fn evicted(&self) -> u64 {
        self.lcore.connection_counters().evicted
    }

    fn drops(&self) -> Vec<u64> {
        self.counters.drops.iter().map(Counter::read).collect()
    }

    /// All that anybody could see of the lcore.
    pub(super) fn all(&mut self, now: Tick) -> String {
        let connections = self.connections(now);
        let (macs, neighbours) = (self.macs(now), self.neighbours(now));
        let caches = [self.lcore.trajectory_stats(), self.lcore.megaflow_stats()];
        let counters = &*self.counters;
        let rules = self.lcore.snapshot().counters[self.index].clone();
        let rules: Vec<_> = (0..64).filter_map(|slot| rules.try_read(slot)).collect();
        format!("{connections:?} {macs:?} {neighbours:?} {caches:?} {counters:?} {rules:?}")
    }

    /// The last burst was one frame, of which `told` was told.
    ///
    /// # Panics
    /// If something else happened.
    pub(super) fn did_as(&self, told: Foretold, ports: &PortTable) {
        let Foretold {
            story,
            drops,
            hits,
            evicted,
        } = told;
        // Of what a packet itself has made, it is not foretold which is evicted; nor of a piece of a
        // datagram, whether it is the last.
        let is_known = story.arrival != Some(Arrival::Answered) && !story.is_gathered;
        if !is_known || self.evicted() != evicted {
            return;
        }
        let name = self.name;
        let sent: Vec<_> = self
            .burst
            .0
            .iter()
            .map(|(port, frame)| {
                (
                    ports.port(*port).no,
                    weir_packet::text::describe(frame.bytes()),
                )
            })
            .collect();
        let promised: Vec<_> = story
            .sent
            .iter()
            .map(|(port, frame)| (*port, weir_packet::text::describe(frame)))
            .collect();
        assert_eq!(promised, sent, "{name}: what is sent was told: {story:#?}");
        let after = self.drops();
        let mut lost = Vec::new();
        for (reason, (after, before)) in DropReason::ALL.iter().zip(after.iter().zip(&drops)) {
            // Whether somebody takes packets for controllers out is not foreseen.
            let is_of_controllers = matches!(
                reason,
                DropReason::PacketInFull | DropReason::PacketInLimited
            );
            for _ in *before..*after {
                if !is_of_controllers {
                    lost.push(*reason as u8);
                }
            }
        }
        let mut promised: Vec<_> = story.drops.iter().map(|reason| *reason as u8).collect();
        promised.sort_unstable();
        assert_eq!(promised, lost, "{name}: what is lost was told: {story:#?}");
        let answered = self.lcore.trajectory_stats().hits > hits;
        let foreseen = story.trajectory == CacheStory::Hit;
        assert_eq!(
            foreseen, answered,
            "{name}: the trajectory cache answers as told: {story:#?}"
        );
        let states = story
            .sections
            .iter()
            .map(|section| section.start.field(Field::CT_STATE));
        assert!(
            states.skip(1).all(|state| state != 0),
            "{name}: ct() says something"
        );
    }
}
