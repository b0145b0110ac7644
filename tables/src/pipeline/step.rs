//! One operation of a rule or of a bucket.

use weir_packet::{Frame, L3};

use super::packet::Packet;
use super::{Flow, Journey, Output, UNCUT, Witness};
use crate::action::TableId;
use crate::cache::{Lookup, Refusal};
use crate::drops::DropReason;
use crate::field::{Field, Prerequisite};
use crate::port::PortNo;
use crate::program::{Bits, Op};
use crate::rule::Rule;

/// An Ethernet header's size in bytes.
const ETHERNET: u32 = 14;

impl<'a, O, W: Witness> Journey<'a, O, W> {
    /// Runs an operation of `rule`, or of a bucket, which is no rule.
    pub(super) fn step<F>(
        &mut self,
        packet: &mut Packet<F>,
        op: &Op,
        rule: Option<&'a Rule>,
        table: TableId,
        depth: u32,
    ) -> Flow
    where
        F: Frame,
        O: Output<F>,
    {
        if let (Some(trace), true) = (&mut self.trace, op.reads_packet()) {
            trace.read_packet();
        }
        match op {
            Op::Output(port) => self.output_to(packet, *port, UNCUT, depth),
            Op::OutputCut {
                port: PortNo::IN_PORT,
                max_len,
            } => self.output_to_in_port(packet, *max_len, depth),
            Op::OutputCut { port, max_len } => self.output_to(packet, *port, *max_len, depth),
            Op::OutputField(bits) => {
                let value = packet.key().read_bits(bits);
                self.output_to_value(packet, value, depth);
            }
            Op::Group(id) => self.group(packet, *id, table, depth),
            Op::Normal => self.normal(packet, depth),
            Op::Flood => self.flood(packet, PortNo::FLOOD, depth),
            Op::All => self.flood(packet, PortNo::ALL, depth),
            Op::InPort => self.output_to_in_port(packet, UNCUT, depth),
            Op::Set { dst, value, mask } => {
                packet.key_mut().write_bits(dst, *value, *mask);
                self.wrote(packet, dst, *mask);
            }
            Op::Words(writes) => packet.key_mut().write_words(writes),
            Op::Move { src, dst } => {
                if packet.key().satisfies(src.prerequisite) {
                    packet.key_mut().move_bits(src, dst);
                    self.wrote(packet, dst, dst.ones());
                    if let Some(trace) = &mut self.trace {
                        trace.moved(Some(src), dst);
                    }
                }
            }
            Op::PushVlan(ether_type) => return self.push_vlan(packet, *ether_type, depth),
            Op::PopVlan => return self.pop_vlan(packet, depth),
            Op::DecTtl(controllers) => return self.dec_ttl(packet, rule, table, controllers),
            Op::Controller(controller) => {
                return self.controller(packet, rule, controller, table, depth);
            }
            Op::Resubmit {
                port,
                table: next,
                ct,
            } => {
                let lookup = Lookup {
                    port: *port,
                    ct: *ct,
                };
                return self.resubmit(packet, next.unwrap_or(table), table, lookup, depth);
            }
            Op::Ct(ct) => return self.ct(packet, ct, depth),
            Op::CtClear => {
                packet.clear_ct();
                packet.forget_seen();
            }
            Op::Exit => return Flow::Exit,
            Op::Push(src) => {
                if packet.key().satisfies(src.prerequisite) {
                    let key = packet.key();
                    return match src.width {
                        ..=128 => self.push(key.read_bits(src)),
                        _ => self.push_wide(&key.read_wide(src)),
                    };
                }
            }
            Op::Pop(dst) => {
                if let Some(value) = self.pop() {
                    packet.key_mut().write_wide(dst, &value);
                    self.wrote(packet, dst, dst.ones());
                    if let Some(trace) = &mut self.trace {
                        trace.moved(None, dst);
                    }
                }
            }
            Op::CheckLarger { size, dst } => self.check_larger(packet, *size, dst),
            Op::FinTimeout => self.fin_timeout(packet, rule),
            Op::ClearSet => self.clear_set(packet),
            Op::WriteSet => {
                let rule = rule.expect("a bucket writes no action set");
                return self.write_set(packet, rule);
            }
            Op::Clone { .. } | Op::EndClone => {
                unreachable!("whoever runs operations looks after copies")
            }
        }
        Flow::Continue
    }

    /// `check_pkt_larger`: neither VLAN tags nor padding count.
    fn check_larger<F: Frame>(&mut self, packet: &mut Packet<F>, size: u16, dst: &Bits) {
        let tags = 4 * u32::from(packet.layout.vlan_tags);
        let len = match (packet.largest_piece, packet.layout.l3) {
            // What is sent of it is no larger than what came.
            (largest @ 1.., _) => ETHERNET + tags + u32::from(largest),
            (0, L3::Ipv4 | L3::Ipv6) if packet.layout.malformed.is_none() => packet.layout.l3_end,
            (0, _) => packet.frame.len() as u32,
        };
        let is_larger = len - tags > u32::from(size);
        packet
            .key_mut()
            .write_bits(dst, is_larger.into(), dst.ones());
        self.wrote(packet, dst, dst.ones());
        if let Some(record) = self.records.current() {
            // The key does not say how long the packet is.
            record.complete = false;
        }
        if let Some(trace) = &mut self.trace {
            trace.measured(size, is_larger);
        }
    }

    /// `fin_timeout`: the keeper of the rule's time hears of the end of a connection.
    fn fin_timeout<F>(&mut self, packet: &Packet<F>, rule: Option<&Rule>) {
        const FIN_OR_RST: u128 = 0x001 | 0x004;
        let is_tcp = packet.key().satisfies(Prerequisite::Tcp);
        let ends = is_tcp && packet.key().field(Field::TCP_FLAGS) & FIN_OR_RST != 0;
        if let Some(rule) = rule.filter(|rule| ends && rule.id.is_counted()) {
            self.rule_counters.end(rule.id.slot);
            if let Some(trace) = &mut self.trace {
                trace.refuse(Refusal::FinTimeout);
            }
        }
    }

    fn dec_ttl<F: Frame>(
        &mut self,
        packet: &mut Packet<F>,
        rule: Option<&Rule>,
        table: TableId,
        controllers: &[u16],
    ) -> Flow {
        let slot = Field::NW_TTL.info().slot.expect("nw_ttl is in the key");
        if !packet.key().satisfies(Field::NW_TTL.info().prerequisite) {
            return Flow::Continue;
        }
        let ttl = packet.key().read(slot);
        if ttl <= 1 {
            self.nowhere(DropReason::TtlExpired);
            if let Some(trace) = &mut self.trace {
                trace.refuse(Refusal::Lost);
            }
            self.ttl_expired(packet, rule, table, controllers);
            return Flow::EndList;
        }
        packet.key_mut().write(slot, ttl - 1);
        if let Some(trace) = &mut self.trace {
            packet.changes.decrement_ttl();
            trace.decremented_ttl(packet.changes);
        }
        Flow::Continue
    }

    /// Notes that an action wrote those of `bits` that are set in `mask`.
    pub(super) fn wrote<F>(&self, packet: &mut Packet<F>, bits: &Bits, mask: u128) {
        if self.trace.is_some() && packet.key().satisfies(bits.prerequisite) {
            packet.changes.write(bits, mask);
        }
    }
}
