//! `group:ID`: buckets run on copies of the packet, and what follows in the list goes on with the
//! packet as it was.
//!
//! The last bucket stays pending, as an output does: where the group action is the last that
//! needs the frame, nothing is copied.
//!
//! What a group does is not part of the pass that sends to it: it chooses anew whenever that pass
//! is done again, so a change of the group needs nothing forgotten there. A bucket that resubmits
//! begins a pass of its own, which the megaflow cache may know. What is remembered of a whole
//! journey names the groups that it passed.

use weir_packet::Frame;

use super::held::Rung;
use super::packet::PendingBucket;
use super::witness::Event;
use super::{Flow, Journey, MAX_DEPTH, MAX_LOOKUPS, Output, Packet, Witness};
use crate::action::TableId;
use crate::cache::Lookup;
use crate::drops::DropReason;
use crate::group::GroupType;
use crate::program::Op;
use crate::rule::RuleId;

impl<O, W: Witness> Journey<'_, O, W> {
    /// Runs a group, for an action in `table`.
    pub(super) fn group<F>(&mut self, packet: &mut Packet<F>, id: u32, table: TableId, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        let snapshot = self.snapshot;
        let (groups, ports) = (&snapshot.groups, &*snapshot.ports);
        self.reason = DropReason::NoBucket;
        if let Some(trace) = &mut self.trace {
            trace.passed_group(id);
        }
        let Some(group) = groups.get(id) else {
            return;
        };
        let chosen = match group.spec.kind {
            GroupType::All | GroupType::Indirect => {
                return self.all_buckets(packet, id, table, depth);
            }
            GroupType::FastFailover => group.first_live(groups, ports),
            GroupType::Select => {
                if let Some(trace) = &mut self.trace {
                    trace.read_packet();
                }
                group.choose(packet.key(), groups, ports)
            }
        };
        if W::WATCHES {
            self.witness.saw(Event::Chosen { group, at: chosen });
        }
        if let Some(at) = chosen {
            self.count(packet, group.counters);
            self.count(packet, group.parts[at].counters);
            self.flush(packet, depth);
            packet.bucket_later(id, at, table);
        }
    }

    fn all_buckets<F>(&mut self, packet: &mut Packet<F>, id: u32, table: TableId, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        let Some(group) = self.snapshot.groups.get(id) else {
            return;
        };
        self.count(packet, group.counters);
        for (at, part) in group.parts.iter().enumerate() {
            self.count(packet, part.counters);
            if W::WATCHES {
                self.witness.saw(Event::Chosen {
                    group,
                    at: Some(at),
                });
            }
            // The bucket before this one runs on a copy.
            self.flush(packet, depth);
            packet.bucket_later(id, at, table);
        }
    }

    /// Runs a bucket on the packet, which is then nobody else's; what it leaves pending is the
    /// caller's to do.
    pub(super) fn bucket<F>(&mut self, packet: &mut Packet<F>, bucket: PendingBucket, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        let PendingBucket {
            group, at, table, ..
        } = bucket;
        if depth > MAX_DEPTH {
            return self.drop(DropReason::RecursionLimit);
        }
        self.buckets += 1;
        if self.buckets > MAX_LOOKUPS {
            return self.drop(DropReason::ResubmitLimit);
        }
        packet.begin_bucket(&bucket);
        self.reason = DropReason::ActionDrop;
        let group = self.snapshot.groups.get(group);
        let Some((group, part)) = group.and_then(|group| Some((group, group.parts.get(at)?)))
        else {
            return;
        };
        if let Some(trace) = &mut self.trace {
            trace.wrote(&part.written);
        }
        // It is no part of the pass under way.
        let outer = self.records.suspend();
        let here = self.witness.place();
        if W::WATCHES {
            self.witness.saw(Event::BucketBegins { group, at });
        }
        self.bucket_ops(
            packet,
            &part.program.ops,
            0,
            (bucket.group, at),
            table,
            depth,
        );
        self.witness.return_to(here);
        self.records.resume(outer);
    }

    /// What is left of a bucket from operation number `next` on.
    pub(super) fn bucket_from<F>(
        &mut self,
        packet: &mut Packet<F>,
        group: u32,
        at: usize,
        next: usize,
        table: TableId,
        depth: u32,
    ) where
        F: Frame,
        O: Output<F>,
    {
        let found = self.snapshot.groups.get(group);
        if let Some(part) = found.and_then(|group| group.parts.get(at)) {
            self.bucket_ops(packet, &part.program.ops, next, (group, at), table, depth);
        }
    }

    /// Runs the operations of bucket number `at` of a group, from number `first` on.
    fn bucket_ops<F>(
        &mut self,
        packet: &mut Packet<F>,
        ops: &[Op],
        first: usize,
        (group, at): (u32, usize),
        table: TableId,
        depth: u32,
    ) where
        F: Frame,
        O: Output<F>,
    {
        for (number, op) in ops.iter().enumerate().skip(first) {
            if W::WATCHES {
                self.witness.saw(Event::BucketOp { number });
            }
            let flow = match op {
                Op::Resubmit {
                    port,
                    table: next,
                    ct,
                } => {
                    let next = next.unwrap_or(table);
                    let deeper = depth + u32::from(next <= table);
                    let first = Lookup {
                        port: *port,
                        ct: *ct,
                    };
                    self.pass_as(packet, next, first, deeper);
                    Flow::Continue
                }
                op => self.step(packet, op, None, table, depth),
            };
            if self.holding.is_active() {
                // A ct() of the bucket itself is left; of what it resubmitted, the rest.
                let next = number + usize::from(flow == Flow::Continue);
                match (u16::try_from(at), u16::try_from(next)) {
                    (Ok(at), Ok(next)) => self.holding.leave(Rung::Bucket {
                        group,
                        at,
                        next,
                        table,
                        depth,
                    }),
                    _ => self.holding.refuse(),
                }
            }
            // Whatever ends a bucket ends nothing else.
            if flow != Flow::Continue || self.holding.is_active() {
                break;
            }
        }
    }

    /// Counts a packet at a slot.
    fn count<F: Frame>(&mut self, packet: &Packet<F>, id: RuleId) {
        let len = packet.frame.len();
        if let Some(trace) = &mut self.trace {
            trace.matched(id.slot, len);
        }
        self.rule_counters.count(id.slot, len, self.now);
    }
}
