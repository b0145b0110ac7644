//! Policies as OpenFlow text, and what each rule means for a proof.

use std::fmt::Write;

use crate::captures::Family;

/// What it means that a rule was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The packet was lost.
    Drops,
    /// The packet is on its way out: one of these is hit once by each packet that is sent
    /// without opening anything.
    Forwards,
    /// The packet belongs to no known connection.
    Opens,
    /// The packet passed a table.
    Passes,
}

/// Rules for port 1, where the clients are, and port 2, where the servers are.
#[derive(Debug)]
pub struct Policy {
    /// Its name.
    pub name: &'static str,
    /// Whether connections are tracked.
    pub tracks: bool,
    /// Whether the clients' addresses are translated.
    pub translates: bool,
    /// Each rule with its role. `IP` stands for `ip` or `ipv6`.
    rules: &'static [(Role, &'static str)],
}

impl Policy {
    /// The rules as OpenFlow text. The cookie of each is its number, from 1.
    pub fn flows(&self, family: Family) -> String {
        let ip = match family {
            Family::V4 => "ip",
            Family::V6 => "ipv6",
        };
        let mut text = String::new();
        for (number, (_, rule)) in (1..).zip(self.rules) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "cookie={number},{}", rule.replace("IP", ip));
        }
        text
    }

    /// The role of the rule with this cookie.
    pub fn role(&self, cookie: u64) -> Option<Role> {
        let index = usize::try_from(cookie).ok()?.checked_sub(1)?;
        self.rules.get(index).map(|&(role, _)| role)
    }

    /// How many rules there are.
    pub const fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are no rules.
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// What comes in at one port goes out at the other.
pub const PORT_TO_PORT: Policy = Policy {
    name: "port-to-port",
    tracks: false,
    translates: false,
    rules: &[
        (Role::Forwards, "in_port=1,actions=output:2"),
        (Role::Forwards, "in_port=2,actions=output:1"),
    ],
};

/// The same with a new destination address.
pub const L2_REWRITE: Policy = Policy {
    name: "l2-rewrite",
    tracks: false,
    translates: false,
    rules: &[
        (
            Role::Forwards,
            "in_port=1,actions=mod_dl_dst:02:00:00:00:01:02,output:2",
        ),
        (
            Role::Forwards,
            "in_port=2,actions=mod_dl_dst:02:00:00:00:01:01,output:1",
        ),
    ],
};

/// Port 1 may open connections to port 2, not the other way round.
pub const FIREWALL: Policy = Policy {
    name: "firewall",
    tracks: true,
    translates: false,
    rules: &[
        (Role::Passes, "priority=100,IP,actions=ct(table=1)"),
        (Role::Passes, "priority=10,arp,actions=NORMAL"),
        (Role::Drops, "priority=1,actions=drop"),
        (
            Role::Opens,
            "table=1,IP,in_port=1,ct_state=+trk+new,actions=ct(commit),output:2",
        ),
        (
            Role::Forwards,
            "table=1,IP,in_port=1,ct_state=+trk+est,actions=output:2",
        ),
        (
            Role::Drops,
            "table=1,IP,in_port=2,ct_state=+trk+new,actions=drop",
        ),
        (
            Role::Forwards,
            "table=1,IP,in_port=2,ct_state=+trk+est,actions=output:1",
        ),
    ],
};

/// The firewall, and all clients share one address.
pub const SNAT: Policy = Policy {
    name: "snat",
    tracks: true,
    translates: true,
    rules: &[
        (Role::Passes, "priority=100,IP,actions=ct(table=1,nat)"),
        (Role::Passes, "priority=10,arp,actions=NORMAL"),
        (Role::Drops, "priority=1,actions=drop"),
        (
            Role::Opens,
            "table=1,IP,in_port=1,ct_state=+trk+new,actions=ct(commit,nat(src=203.0.113.1)),output:2",
        ),
        (
            Role::Forwards,
            "table=1,IP,in_port=1,ct_state=+trk+est,actions=output:2",
        ),
        (
            Role::Drops,
            "table=1,IP,in_port=2,ct_state=+trk+new,actions=drop",
        ),
        (
            Role::Forwards,
            "table=1,IP,in_port=2,ct_state=+trk+est,actions=output:1",
        ),
    ],
};

/// A cloud's pipeline between two machines on one host: port security, connection tracking on
/// the way out of the sender and into the receiver, security groups, L2 look-up.
pub const NINE_TABLES: Policy = Policy {
    name: "nine-tables",
    tracks: true,
    translates: false,
    rules: &[
        (
            Role::Passes,
            "priority=100,in_port=1,actions=set_field:0x1->reg6,write_metadata:0x1/0xffffffff,goto_table:5",
        ),
        (
            Role::Passes,
            "priority=100,in_port=2,actions=set_field:0x2->reg6,write_metadata:0x1/0xffffffff,goto_table:5",
        ),
        (
            Role::Passes,
            "table=5,priority=100,IP,in_port=1,dl_src=02:00:00:00:00:01,actions=goto_table:10",
        ),
        (
            Role::Passes,
            "table=5,priority=100,IP,in_port=2,dl_src=02:00:00:00:00:02,actions=goto_table:10",
        ),
        (
            Role::Passes,
            "table=10,priority=100,IP,reg6=0x1,actions=ct(table=15,zone=OXM_OF_METADATA[0..15])",
        ),
        (
            Role::Passes,
            "table=10,priority=100,IP,reg6=0x2,actions=ct(table=15,zone=OXM_OF_METADATA[0..15])",
        ),
        (Role::Passes, "table=10,priority=50,actions=goto_table:20"),
        (
            Role::Passes,
            "table=15,priority=2000,ct_state=-new+est-rel-inv+trk,actions=goto_table:20",
        ),
        (
            Role::Passes,
            "table=15,priority=2000,ct_state=-new+rel-inv+trk,actions=goto_table:20",
        ),
        (
            Role::Drops,
            "table=15,priority=2000,ct_state=+inv+trk,actions=drop",
        ),
        (
            Role::Opens,
            "table=15,priority=1000,ct_state=+new-est-rel-inv+trk,IP,reg6=0x1,actions=ct(commit,table=20,zone=NXM_NX_CT_ZONE[])",
        ),
        (
            Role::Opens,
            "table=15,priority=1000,ct_state=+new-est-rel-inv+trk,IP,reg6=0x2,actions=ct(commit,table=20,zone=NXM_NX_CT_ZONE[])",
        ),
        (Role::Drops, "table=15,priority=1,actions=drop"),
        (
            Role::Passes,
            "table=20,priority=100,arp,actions=goto_table:40",
        ),
        (Role::Passes, "table=20,priority=50,actions=goto_table:40"),
        (Role::Passes, "table=40,priority=0,actions=goto_table:45"),
        (
            Role::Passes,
            "table=45,priority=100,metadata=0x1,dl_dst=02:00:00:00:00:01,actions=set_field:0x1->reg7,goto_table:50",
        ),
        (
            Role::Passes,
            "table=45,priority=100,metadata=0x1,dl_dst=02:00:00:00:00:02,actions=set_field:0x2->reg7,goto_table:50",
        ),
        (
            Role::Passes,
            "table=50,priority=100,IP,reg7=0x1,actions=ct(table=55,zone=OXM_OF_METADATA[0..15])",
        ),
        (
            Role::Passes,
            "table=50,priority=100,IP,reg7=0x2,actions=ct(table=55,zone=OXM_OF_METADATA[0..15])",
        ),
        (Role::Passes, "table=50,priority=50,actions=goto_table:60"),
        (
            Role::Passes,
            "table=55,priority=2000,ct_state=-new+est-rel-inv+trk,actions=goto_table:60",
        ),
        (
            Role::Passes,
            "table=55,priority=2000,ct_state=-new+rel-inv+trk,actions=goto_table:60",
        ),
        (
            Role::Drops,
            "table=55,priority=2000,ct_state=+inv+trk,actions=drop",
        ),
        (
            Role::Opens,
            "table=55,priority=1000,ct_state=+new-est-rel-inv+trk,IP,reg7=0x1,actions=ct(commit,table=60,zone=NXM_NX_CT_ZONE[])",
        ),
        (
            Role::Opens,
            "table=55,priority=1000,ct_state=+new-est-rel-inv+trk,IP,reg7=0x2,actions=ct(commit,table=60,zone=NXM_NX_CT_ZONE[])",
        ),
        (Role::Drops, "table=55,priority=1,actions=drop"),
        (
            Role::Forwards,
            "table=60,priority=100,reg7=0x1,metadata=0x1,actions=output:NXM_NX_REG7[]",
        ),
        (
            Role::Forwards,
            "table=60,priority=100,reg7=0x2,metadata=0x1,actions=output:NXM_NX_REG7[]",
        ),
    ],
};
