//! NORMAL: a learning switch with VLANs, as in `ovs-vswitchd.conf.db(5)`, "VLAN Configuration".

use weir_packet::Frame;

use super::vlan::TPID_8021Q;
use super::witness::Event;
use super::{Journey, Output, Packet, UNCUT, Witness};
use crate::drops::DropReason;
use crate::extract::VLAN_PRESENT;
use crate::field::Field;
use crate::port::{PortConfig, PortIndex, VlanMode};
use crate::trace::Bridging;

/// The bits of a TCI that name the VLAN.
const VID_MASK: u16 = 0x0fff;
/// The bits of a TCI that hold the priority.
const PCP_MASK: u16 = 0xe000;
/// The bit that makes a MAC address a group's.
const GROUP_BIT: u64 = 1 << 40;
/// 01:80:c2:00:00:00 to 0f: not forwarded by a bridge (IEEE 802.1Q, table 8-1).
const RESERVED: u64 = 0x0180_c200_0000;

impl<O, W: Witness> Journey<'_, O, W> {
    pub(super) fn normal<F>(&mut self, packet: &mut Packet<F>, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        let snapshot = self.snapshot;
        let dst = packet.key().field(Field::ETH_DST) as u64;
        if dst & !0xf == RESERVED {
            return self.nowhere(DropReason::NormalReserved);
        }
        let tci = packet.tci();
        let Some(in_port) = self.ingress(packet) else {
            return self.nowhere(DropReason::NormalNoPort);
        };
        let Some(vlan) = ingress_vlan(snapshot.ports.port(in_port), tci) else {
            return self.nowhere(DropReason::NormalVlan);
        };
        let src = packet.key().field(Field::ETH_SRC) as u64;
        if src & GROUP_BIT == 0 {
            let known = self.macs.learn(src, vlan, in_port, self.now);
            if W::WATCHES && known.is_none() {
                self.witness.saw(Event::Learned {
                    mac: src,
                    vlan,
                    port: in_port,
                });
            }
            if let Some(trace) = &mut self.trace {
                trace.learned(known);
            }
        }
        self.reason = DropReason::NormalNoPort;
        let known = match dst & GROUP_BIT {
            0 => self.macs.find(dst, vlan, self.now),
            _ => None,
        };
        if let Some(trace) = &mut self.trace {
            trace.looked_for(known.map(|(_, place)| place));
        }
        if W::WATCHES {
            let found = known.map(|(port, _)| port);
            let how = match found {
                Some(port) if port == in_port => Bridging::Drops,
                Some(port) if snapshot.ports.port(port).vlan.carries(vlan) => Bridging::Forwards,
                Some(_) | None => Bridging::Floods,
            };
            self.witness.saw(Event::Bridged { vlan, found, how });
        }
        match known.map(|(port, _)| port) {
            Some(port) if port == in_port => {}
            Some(port) if snapshot.ports.port(port).vlan.carries(vlan) => {
                self.normal_output(packet, port, vlan, depth);
            }
            // A port that was taken out of the VLAN since the address was learned.
            Some(_) | None => {
                self.note_ports();
                for (port, config) in snapshot.ports.iter() {
                    let left_out = snapshot.ports.flags(port).no_flood;
                    if port != in_port && !left_out && config.vlan.carries(vlan) {
                        self.normal_output(packet, port, vlan, depth);
                    }
                }
            }
        }
    }

    /// Sends the packet to `port`, tagged as that port wants it; the packet itself keeps the
    /// tag it has.
    fn normal_output<F>(&mut self, packet: &mut Packet<F>, port: PortIndex, vlan: u16, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        let before = packet.tci();
        let wanted = match self.snapshot.ports.port(port).vlan {
            VlanMode::Access(_) => 0,
            VlanMode::TrunkAll | VlanMode::Trunk(_) if vlan == 0 => 0,
            VlanMode::TrunkAll | VlanMode::Trunk(_) => VLAN_PRESENT | before & PCP_MASK | vlan,
        };
        if wanted == before {
            return self.output(packet, port, depth);
        }
        if self.snapshot.ports.blocks(port) {
            self.reason = DropReason::PortNoForward;
            return;
        }
        // The tag differs: this port gets a copy of its own, made here and now.
        if !self.settle(packet, depth) {
            return;
        }
        let Some(mut copy) = packet.duplicate() else {
            return self.drop(DropReason::NoBuffer);
        };
        let changed = match (before & VLAN_PRESENT != 0, wanted & VLAN_PRESENT != 0) {
            (false, true) => copy.push_tag(TPID_8021Q, wanted),
            (true, true) => {
                copy.write_tci(wanted);
                Ok(())
            }
            (true, false) => {
                copy.pop_tag();
                Ok(())
            }
            (false, false) => Ok(()),
        };
        match changed {
            Ok(()) => {
                if W::WATCHES {
                    self.witness.saw(Event::OutputTagged {
                        port,
                        before,
                        wanted,
                    });
                }
                let egress = self.egress(&copy, port, UNCUT);
                let options = self.options_of(&mut copy, &egress);
                self.transmit(copy.frame, &copy.layout, &egress, options.as_ref());
            }
            Err(reason) => self.drop(reason),
        }
    }
}

/// The VLAN of a packet that came in with `tci`; `None` if the port does not carry it.
fn ingress_vlan(port: &PortConfig, tci: u16) -> Option<u16> {
    let vid = tci & VID_MASK;
    match &port.vlan {
        // A priority tag counts as none.
        VlanMode::Access(vlan) => (vid == 0).then_some(*vlan),
        trunk => trunk.carries(vid).then_some(vid),
    }
}
