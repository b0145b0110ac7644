//! Packets for the controller, and packets from it.

use weir_packet::{Frame, Layout};

use super::packet::Packet;
use super::witness::Event;
use super::{Flow, Journey, Output, Witness};
use crate::action::{PacketInReason, TableId};
use crate::cache::Refusal;
use crate::key::FlowKey;
use crate::packet_in::About;
use crate::port::PortNo;
use crate::program::PacketInOp;
use crate::rule::Rule;

impl<'a, O, W: Witness> Journey<'a, O, W> {
    /// `controller(...)`: a copy of the packet as it is now goes to the management thread.
    pub(super) fn controller<F>(
        &mut self,
        packet: &mut Packet<F>,
        rule: Option<&Rule>,
        op: &PacketInOp,
        table: TableId,
        depth: u32,
    ) -> Flow
    where
        F: Frame,
        O: Output<F>,
    {
        if !self.settle(packet, depth) {
            return Flow::Lost;
        }
        let about = About {
            reason: match rule {
                None if op.reason == PacketInReason::Action => PacketInReason::Group,
                _ => op.reason,
            },
            table: rule.map_or(table, |rule| rule.table),
            cookie: cookie_of(rule),
            controller: op.controller,
            userdata: &op.userdata,
        };
        if let Some(trace) = &mut self.trace {
            trace.refuse(Refusal::PacketIn);
        }
        self.packet_in(packet, about);
        self.effects += 1;
        Flow::Continue
    }

    /// The TTL has run out: the controllers that want to know hear of it.
    pub(super) fn ttl_expired<F: Frame>(
        &mut self,
        packet: &Packet<F>,
        rule: Option<&Rule>,
        table: TableId,
        controllers: &[u16],
    ) {
        for &controller in controllers {
            let about = About {
                reason: PacketInReason::InvalidTtl,
                table: rule.map_or(table, |rule| rule.table),
                cookie: cookie_of(rule),
                controller,
                userdata: &[],
            };
            self.packet_in(packet, about);
        }
    }

    /// Hands a packet-in over. What cannot be is counted.
    fn packet_in<F: Frame>(&mut self, packet: &Packet<F>, about: About<'_>) {
        if W::WATCHES {
            let About {
                reason, controller, ..
            } = about;
            self.witness.saw(Event::PacketIn { reason, controller });
        }
        let Some(sender) = &mut self.packet_ins else {
            // Nobody ever reads any.
            return;
        };
        let why = about.reason;
        let sent = sender.send(self.in_port, &packet.frame, packet.key(), about, self.now);
        match sent {
            Ok(()) => self.counters.packet_ins[why as usize].add(1),
            Err(reason) => self.counters.drop(reason),
        }
    }

    /// Does the actions of `rule`, which is in no table, to a frame that says that it came from
    /// `in_port`. `metadata`: what else the tables see of it.
    pub(crate) fn packet_out<F>(
        &mut self,
        frame: F,
        layout: Layout,
        in_port: PortNo,
        metadata: &FlowKey,
        rule: &'a Rule,
    ) where
        F: Frame,
        O: Output<F>,
    {
        self.tracker.begin_packet();
        let mut packet = Packet::new(frame, layout, in_port, None, None);
        packet.set_metadata(metadata);
        let all = 0..rule.program.applied;
        match self.run_ops(&mut packet, rule, all, TableId(0), 0) {
            Flow::Lost => {}
            // The rule is in no table, where what is left could be found.
            Flow::Held => self.holding.refuse(),
            _ => self.run_set(&mut packet, TableId(0), 0),
        }
        self.forget_carried();
        let egress = self.finish(&mut packet, 0);
        self.conclude(packet, egress);
        self.counters.lookups.add(u64::from(self.lookups));
    }
}

/// The cookie of a rule that is in a table.
fn cookie_of(rule: Option<&Rule>) -> Option<u64> {
    let rule = rule.filter(|rule| rule.id.is_counted());
    rule.map(|rule| rule.cookie)
}
