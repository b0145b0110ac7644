//! Policies as OpenFlow text, and what each rule means for a proof.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use crate::captures::Family;

mod vpc;

pub use vpc::{CLIENT as VPC_CLIENT, SERVER as VPC_SERVER};

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

/// Rules for a port where the clients are, and one where the servers are.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Whether connections are tracked.
    pub tracks: bool,
    /// What the clients' addresses are translated to, as `nat(src=...)` has it, if they are.
    pub translates_to: Option<&'static str>,
    /// The OpenFlow numbers of the clients' and of the servers' port.
    pub ports: [u32; 2],
    /// What the rules need of groups, as OpenFlow text.
    pub groups: &'static str,
    rules: Rules,
}

/// Each rule with its role. `IP,` stands for `ip,` or `ipv6,`, `SNAT` for what the clients are
/// translated to.
#[derive(Clone, Debug)]
enum Rules {
    Fixed(&'static [(Role, &'static str)]),
    Made(Arc<[(Role, String)]>),
}

impl Policy {
    /// The rules as OpenFlow text. The cookie of each is its number, from 1.
    pub fn flows(&self, family: Family) -> String {
        let ip = match family {
            Family::V4 => "ip",
            Family::V6 => "ipv6",
        };
        let mut text = String::new();
        for index in 0..self.len() {
            let (_, rule) = self.rule(index).expect("it is there");
            let rule = rule.replace("IP,", &format!("{ip},"));
            let rule = rule.replace("SNAT", self.translates_to.unwrap_or_default());
            // Writing to a String cannot fail.
            let _ = writeln!(text, "cookie={},{rule}", index + 1);
        }
        text
    }

    /// The role of the rule with this cookie.
    pub fn role(&self, cookie: u64) -> Option<Role> {
        let index = usize::try_from(cookie).ok()?.checked_sub(1)?;
        self.rule(index).map(|(role, _)| role)
    }

    /// How many rules a packet meets that opens a connection: tables with such rules, at least 1.
    pub fn commits(&self) -> u64 {
        let rules = (0..self.len()).filter_map(|index| self.rule(index));
        let opens = rules.filter(|(role, _)| *role == Role::Opens);
        let tables: BTreeSet<&str> = opens.map(|(_, rule)| table(rule)).collect();
        tables.len().max(1) as u64
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        match &self.rules {
            Rules::Fixed(rules) => rules.len(),
            Rules::Made(rules) => rules.len(),
        }
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The firewall, whose packets also pass a table of `rules` rules with `masks` masks: all
    /// but the last are for sources that never come, so that only looking at all masks tells
    /// where a packet belongs.
    ///
    /// # Panics
    /// If there are more than [`MOST_MASKS`] masks or none, or more masks than rules.
    pub fn access_list(rules: u32, masks: u32) -> Self {
        assert!((1..=MOST_MASKS).contains(&masks) && masks <= rules);
        let firewall = [
            (Role::Passes, "priority=100,IP,actions=ct(table=1)"),
            (Role::Drops, "priority=1,actions=drop"),
            (
                Role::Opens,
                "table=1,IP,in_port=1,ct_state=+trk+new,actions=ct(commit),output:2",
            ),
            (
                Role::Passes,
                "table=1,IP,ct_state=+trk+est,actions=goto_table:2",
            ),
            (
                Role::Drops,
                "table=1,IP,in_port=2,ct_state=+trk+new,actions=drop",
            ),
            (
                Role::Forwards,
                "table=2,priority=1,in_port=1,actions=output:2",
            ),
            (
                Role::Forwards,
                "table=2,priority=1,in_port=2,actions=output:1",
            ),
        ];
        let firewall = firewall.map(|(role, rule)| (role, rule.to_owned()));
        let listed = (0..rules).map(|number| (Role::Drops, listed(number, masks)));
        Self {
            name: format!("acl-{rules}x{masks}").into(),
            tracks: true,
            translates_to: None,
            ports: PORTS,
            groups: "",
            rules: Rules::Made(firewall.into_iter().chain(listed).collect()),
        }
    }

    fn rule(&self, index: usize) -> Option<(Role, &str)> {
        match &self.rules {
            Rules::Fixed(rules) => rules.get(index).copied(),
            Rules::Made(rules) => rules.get(index).map(|(role, rule)| (*role, rule.as_str())),
        }
    }
}

/// Clients are behind port 1, servers behind port 2.
const PORTS: [u32; 2] = [1, 2];

/// The part of a rule that says which table it is in.
fn table(rule: &str) -> &str {
    rule.split([',', ' '])
        .find(|part| part.starts_with("table="))
        .unwrap_or("table=0")
}

/// Kinds of rules that an access list has at most.
pub const MOST_MASKS: u32 = 30;

/// Rule `number` of an access list, of one of `masks` kinds: prefixes of 64.0.0.0/2 from /32 to
/// /18, then the same for one port.
fn listed(number: u32, masks: u32) -> String {
    const LENGTHS: u32 = 15;
    let (serial, kind) = (number / masks, number % masks);
    let length = 32 - kind % LENGTHS;
    let source = std::net::Ipv4Addr::from_bits(0x4000_0000 | (serial << (32 - length)));
    let port = if kind < LENGTHS { "" } else { ",tp_dst=53" };
    format!("table=2,priority=10,udp,nw_src={source}/{length}{port},actions=drop")
}

/// What comes in at one port goes out at the other.
pub const PORT_TO_PORT: Policy = Policy {
    name: Cow::Borrowed("port-to-port"),
    tracks: false,
    translates_to: None,
    ports: PORTS,
    groups: "",
    rules: Rules::Fixed(&[
        (Role::Forwards, "in_port=1,actions=output:2"),
        (Role::Forwards, "in_port=2,actions=output:1"),
    ]),
};

/// The same with a new destination address.
pub const L2_REWRITE: Policy = Policy {
    name: Cow::Borrowed("l2-rewrite"),
    tracks: false,
    translates_to: None,
    ports: PORTS,
    groups: "",
    rules: Rules::Fixed(&[
        (
            Role::Forwards,
            "in_port=1,actions=mod_dl_dst:02:00:00:00:01:02,output:2",
        ),
        (
            Role::Forwards,
            "in_port=2,actions=mod_dl_dst:02:00:00:00:01:01,output:1",
        ),
    ]),
};

/// Port 1 may open connections to port 2, not the other way round.
pub const FIREWALL: Policy = Policy {
    name: Cow::Borrowed("firewall"),
    tracks: true,
    translates_to: None,
    ports: PORTS,
    groups: "",
    rules: Rules::Fixed(FIREWALL_RULES),
};

const FIREWALL_RULES: &[(Role, &str)] = &[
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
];

/// The firewall with a third port, from which everything goes back where it came from, tracked.
pub const FLOODED: Policy = Policy {
    name: Cow::Borrowed("firewall"),
    tracks: true,
    translates_to: None,
    ports: PORTS,
    groups: "",
    rules: Rules::Fixed(&[
        FIREWALL_RULES[0],
        FIREWALL_RULES[1],
        FIREWALL_RULES[2],
        FIREWALL_RULES[3],
        FIREWALL_RULES[4],
        FIREWALL_RULES[5],
        FIREWALL_RULES[6],
        (
            Role::Passes,
            "table=1,IP,in_port=3,ct_state=+trk+new,actions=ct(commit),in_port",
        ),
        (
            Role::Passes,
            "table=1,IP,in_port=3,ct_state=+trk+est,actions=in_port",
        ),
    ]),
};

/// The firewall, and all clients share one address.
pub const SNAT: Policy = Policy {
    name: Cow::Borrowed("snat"),
    tracks: true,
    translates_to: Some("203.0.113.1"),
    ports: PORTS,
    groups: "",
    rules: Rules::Fixed(SNAT_RULES),
};

/// The same with a pool of 250 addresses.
pub const SNAT_POOL: Policy = Policy {
    name: Cow::Borrowed("snat"),
    tracks: true,
    translates_to: Some("203.0.113.1-203.0.113.250"),
    ports: PORTS,
    groups: "",
    rules: Rules::Fixed(SNAT_RULES),
};

const SNAT_RULES: &[(Role, &str)] = &[
    (Role::Passes, "priority=100,IP,actions=ct(table=1,nat)"),
    (Role::Passes, "priority=10,arp,actions=NORMAL"),
    (Role::Drops, "priority=1,actions=drop"),
    (
        Role::Opens,
        "table=1,IP,in_port=1,ct_state=+trk+new,actions=ct(commit,nat(src=SNAT)),output:2",
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
];

/// A cloud's pipeline between two machines on one host: port security, connection tracking on
/// the way out of the sender and into the receiver, security groups, L2 look-up.
pub const NINE_TABLES: Policy = Policy {
    name: Cow::Borrowed("nine-tables"),
    tracks: true,
    translates_to: None,
    ports: PORTS,
    groups: "",
    rules: Rules::Fixed(&[
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
    ]),
};
