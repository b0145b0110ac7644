//! A story as rows: what JSON has, and what text is printed of.

use serde::{Deserialize, Serialize};
use weir_ct::{CtState, REHEARSAL_ROOM};
use weir_nat::Translation;
use weir_tables::action::{Action, Instructions};
use weir_tables::field::Field;
use weir_tables::key::FlowKey;
use weir_tables::matching::Match;
use weir_tables::port::{PortIndex, PortNo, PortTable};
use weir_tables::trace::{
    Arrival, Bridging, CacheStory, CtStory, MegaflowStory, Node, Note, RuleStory, Section, Story,
    Told, WrapStory,
};

use crate::text::{instructions_text, match_text};

mod effects;

/// What would become of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceReport {
    /// The bridge.
    pub bridge: String,
    /// What happened before any table.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub arrival: Option<String>,
    /// Its passes.
    pub sections: Vec<SectionRow>,
    /// The frames that would leave.
    pub sent: Vec<SentRow>,
    /// Why it, or copies of it, would be lost.
    pub drops: Vec<DroppedRow>,
    /// Which controllers would hear of it.
    pub packet_ins: Vec<PacketInNote>,
    /// What the caches know of it.
    pub caches: CacheRow,
    /// How many states of `--ct-next` no recirculation asked for.
    pub unused_ct_next: usize,
}

/// A pass that begins with the packet or with a recirculation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionRow {
    /// 0: the packet came in.
    pub recirc_id: usize,
    /// Where it begins.
    pub table: u8,
    /// `ct_state` at its beginning.
    pub ct_state: String,
    /// Whether `--ct-next` said so.
    pub forced: bool,
    /// What the tables see at first.
    pub flow: String,
    /// What happens.
    pub steps: Vec<StepRow>,
    /// What they see at the end; `None`: the same.
    pub final_flow: Option<String>,
    /// Which packets have the same fate in this pass.
    pub megaflow: String,
    /// What is done to the frame.
    pub datapath_actions: String,
}

/// Something that happens, and what it causes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRow {
    /// What it is: `table`, `action`, `bucket`, `action-set` or `note`.
    pub kind: String,
    /// In words.
    pub text: String,
    /// The table, if it is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub table: Option<u8>,
    /// The cookie of the rule that matched there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cookie: Option<u64>,
    /// What it causes.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub steps: Vec<Self>,
}

/// A frame that would leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentRow {
    /// The port's number.
    pub port: u32,
    /// The port's name.
    pub name: String,
    /// The frame in hexadecimal.
    pub frame: String,
    /// The frame in words.
    pub packet: String,
}

/// A packet, or a copy, that would be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedRow {
    /// Why, as `dump-drops` names it.
    pub reason: String,
    /// The same in a sentence.
    pub sentence: String,
}

/// A packet-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketInNote {
    /// Why.
    pub reason: String,
    /// Which controller.
    pub controller: u16,
}

/// What the caches know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRow {
    /// Of the whole journey.
    pub trajectory: LevelRow,
    /// Of each pass.
    pub megaflows: Vec<LevelRow>,
}

/// What one cache knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelRow {
    /// Of which pass; empty for a trajectory.
    pub pass: String,
    /// `hit`, `miss`, or `off` if there is no such cache.
    pub answer: String,
    /// Why it misses; empty if it does not.
    pub because: String,
}

/// The rows of a story.
pub(crate) fn report(story: &Story, bridge: &str, ports: &PortTable) -> TraceReport {
    let teller = Rows { ports };
    let mut megaflows = Vec::new();
    for section in &story.sections {
        for told in &section.megaflows {
            let table = told.table.0;
            let pass = match section.resumed {
                None => format!("table {table}"),
                Some(resumed) => format!("recirc({:#x}) table {table}", resumed.id),
            };
            megaflows.push(level(pass, &told.cache));
        }
    }
    TraceReport {
        bridge: bridge.to_owned(),
        arrival: story.arrival.map(|arrival| match arrival {
            Arrival::Decapsulated(port) => {
                format!("the outer headers are taken off; it goes on from port {port}")
            }
            Arrival::Answered => "it is for the switch itself, which answers".to_owned(),
            Arrival::Dropped(reason) => {
                format!("dropped: {} ({})", reason.name(), reason.sentence())
            }
        }),
        sections: story
            .sections
            .iter()
            .map(|row| teller.section(row))
            .collect(),
        sent: story
            .sent
            .iter()
            .map(|(port, frame)| SentRow {
                port: port.0,
                name: ports
                    .index_of(*port)
                    .map_or_else(String::new, |port| ports.port(port).name.clone()),
                frame: frame.iter().map(|byte| format!("{byte:02x}")).collect(),
                packet: weir_packet::text::describe(frame),
            })
            .collect(),
        drops: story
            .drops
            .iter()
            .map(|reason| DroppedRow {
                reason: reason.name().to_owned(),
                sentence: reason.sentence().to_owned(),
            })
            .collect(),
        packet_ins: story
            .packet_ins
            .iter()
            .map(|told| PacketInNote {
                reason: told.reason.name().to_owned(),
                controller: told.controller,
            })
            .collect(),
        caches: CacheRow {
            trajectory: level(String::new(), &story.trajectory),
            megaflows,
        },
        unused_ct_next: story.unused_states,
    }
}

fn level(pass: String, cache: &CacheStory) -> LevelRow {
    let (answer, because) = match cache {
        CacheStory::Absent => ("off", ""),
        CacheStory::Hit => ("hit", ""),
        CacheStory::Miss(why) => ("miss", why.as_str()),
    };
    LevelRow {
        pass,
        answer: answer.to_owned(),
        because: because.to_owned(),
    }
}

/// Makes rows.
struct Rows<'a> {
    ports: &'a PortTable,
}

impl Rows<'_> {
    fn section(&self, section: &Section) -> SectionRow {
        let recirc_id = section.resumed.map_or(0, |resumed| resumed.id);
        let flow = flow_text_of(&section.start, recirc_id);
        let end = flow_text_of(&section.end, recirc_id);
        let state = CtState(section.start.field(Field::CT_STATE) as u8);
        SectionRow {
            recirc_id,
            table: section.resumed.map_or(0, |resumed| resumed.table.0),
            ct_state: state.to_string(),
            forced: section.resumed.is_some_and(|resumed| resumed.forced),
            steps: section.nodes.iter().map(|node| self.step(node)).collect(),
            final_flow: (end != flow).then_some(end),
            flow,
            megaflow: section
                .megaflows
                .last()
                .map_or_else(String::new, |told| megaflow_text(told, recirc_id)),
            datapath_actions: effects::text(&section.effects, &section.start),
        }
    }

    fn step(&self, node: &Node) -> StepRow {
        let (kind, text) = match &node.told {
            Told::Table { rule, .. } => ("table", rule_text(rule.as_ref())),
            Told::Action(action) => ("action", action_text(action)),
            Told::ClearActions => ("action", "clear_actions".to_owned()),
            Told::WriteActions(actions) => {
                let instructions = Instructions {
                    write_actions: actions.clone(),
                    ..Instructions::default()
                };
                ("action", instructions_text(&instructions).to_string())
            }
            Told::WriteMetadata(value, mask) => {
                let instructions = Instructions {
                    write_metadata: Some((*value, *mask)),
                    ..Instructions::default()
                };
                ("action", instructions_text(&instructions).to_string())
            }
            Told::Goto(table) => ("action", format!("goto_table:{}", table.0)),
            Told::Drop => ("action", "drop".to_owned()),
            Told::ActionSet => ("action-set", "Executing action set:".to_owned()),
            Told::Bucket(number) => ("bucket", format!("bucket {number}")),
            Told::Note(note) => ("note", self.note(note)),
        };
        let (table, cookie) = match &node.told {
            Told::Table { table, rule } => (Some(table.0), rule.as_ref().map(|rule| rule.cookie)),
            _ => (None, None),
        };
        StepRow {
            kind: kind.to_owned(),
            text,
            table,
            cookie,
            steps: node.nodes.iter().map(|node| self.step(node)).collect(),
        }
    }

    fn note(&self, note: &Note) -> String {
        match note {
            Note::ActionSetIs(actions) => {
                let texts: Vec<_> = actions.iter().map(action_text).collect();
                match texts.is_empty() {
                    true => "action set is empty".to_owned(),
                    false => format!("action set is: {}", texts.join(",")),
                }
            }
            Note::Clause {
                id,
                clauses,
                of,
                rule,
            } => {
                let clauses: Vec<_> = clauses
                    .iter()
                    .map(|clause| format!("{clause}/{of}"))
                    .collect();
                let clauses = clauses.join(" and ");
                format!(
                    "conj_id={id}: clause {clauses} by {}",
                    rule_text(Some(rule))
                )
            }
            Note::Chosen(Some(number)) => format!("using bucket {number}"),
            Note::Chosen(None) => "no live bucket".to_owned(),
            Note::SeenAt(port) => format!("the look-up sees in_port={port}"),
            Note::SeenAsOriginal => "the look-up sees the connection's original tuple".to_owned(),
            Note::Ct(story) => ct_text(story),
            Note::Gathered { zone } => format!(
                "zone {zone}: a piece of a datagram waits here for the others; the last one to come \
                 goes on as the whole datagram, with ip_frag=no"
            ),
            Note::Recirculates { id, table } => format!(
                "A clone of the packet is forked to recirculate as recirc({id:#x}). The forked \
                 pipeline will be resumed at table {}.",
                table.0
            ),
            Note::Untracked => "Sets the packet to an untracked state, and clears all the \
                                conntrack fields."
                .to_owned(),
            Note::Learns { mac, vlan, port } => format!(
                "would learn that {} is on port {} in VLAN {vlan}",
                mac_text(*mac),
                self.port(*port)
            ),
            Note::Bridges { vlan, found, how } => match (found, how) {
                (None, _) => format!("no learned MAC for destination in VLAN {vlan}, flooding"),
                (Some(port), Bridging::Floods) => {
                    format!(
                        "port {} carries VLAN {vlan} no longer, flooding",
                        self.port(*port)
                    )
                }
                (Some(_), Bridging::Drops) => "learned port is input port, dropping".to_owned(),
                (Some(port), Bridging::Forwards) => {
                    format!("forwarding to learned port {}", self.port(*port))
                }
            },
            Note::Wrapped(story) => self.wrap(story),
            Note::UnknownHop { over, ip, ask } => format!(
                "the MAC address of {ip} on port {} is not known{}",
                self.port(*over),
                if *ask { "; it would be asked for" } else { "" }
            ),
            Note::PacketIn(told) => format!(
                "controller {} would be told ({})",
                told.controller,
                told.reason.name()
            ),
            Note::Nowhere(reason) => format!("{}: {}", reason.name(), reason.sentence()),
            Note::Dropped(reason) => {
                format!("dropped: {} ({})", reason.name(), reason.sentence())
            }
        }
    }

    fn port(&self, port: PortIndex) -> PortNo {
        self.ports.port(port).no
    }

    fn wrap(&self, story: &WrapStory) -> String {
        let WrapStory {
            tunnel,
            over,
            kind,
            key,
            macs: [mac_dst, mac_src],
            ips: [ip_dst, ip_src],
            size,
        } = story;
        let key = key.map_or_else(String::new, |key| format!(",key={key:#x}"));
        format!(
            "tunnel {} over port {}: {}(eth_src={},eth_dst={},src={ip_src},dst={ip_dst}{key}), \
             {size} bytes of outer headers",
            self.port(*tunnel),
            self.port(*over),
            kind.name(),
            mac_text(*mac_src),
            mac_text(*mac_dst),
        )
    }
}

fn ct_text(story: &CtStory) -> String {
    let mut text = match story.state {
        Ok(state) => format!("zone {}: ct_state={state}", story.zone),
        Err(_) => format!("zone {}: refused", story.zone),
    };
    if story.mark != 0 {
        text += &format!(",ct_mark={:#x}", story.mark);
    }
    if story.label != 0 {
        text += &format!(",ct_label={:#x}", story.label);
    }
    text += &match (&story.before, &story.after) {
        (None, None) => "; no connection".to_owned(),
        (None, Some(after)) => format!("; would make {after}"),
        (Some(before), None) => format!("; connection {before}"),
        (Some(before), Some(after)) => {
            let [before, after] = [before, after].map(ToString::to_string);
            if before == after {
                format!("; connection {before}")
            } else {
                format!("; connection {before} would become {after}")
            }
        }
    };
    match &story.translation {
        None => {}
        Some(Translation::Packet(tuple)) => {
            text += &format!("; translated to {}", tuple_text(tuple));
        }
        Some(Translation::Error { quoted, .. }) => {
            text += &format!("; translated, and quotes {}", tuple_text(quoted));
        }
    }
    if !story.counted.is_empty() {
        text += &format!("; counts as {}", story.counted.join(", "));
    }
    if story.beyond {
        text += &format!(
            "; more than the {REHEARSAL_ROOM} connections that a trace can follow: this may be wrong"
        );
    }
    text
}

fn tuple_text(tuple: &weir_packet::Tuple) -> String {
    let weir_packet::Tuple {
        src_port, dst_port, ..
    } = tuple;
    let (src, dst) = (tuple.src(), tuple.dst());
    if tuple.is_icmp() {
        return format!("{src} > {dst} id={src_port}");
    }
    match (src.is_ipv6(), *src_port, *dst_port) {
        (_, 0, 0) => format!("{src} > {dst}"),
        (false, ..) => format!("{src}:{src_port} > {dst}:{dst_port}"),
        (true, ..) => format!("[{src}]:{src_port} > [{dst}]:{dst_port}"),
    }
}

fn mac_text(mac: [u8; 6]) -> String {
    let parts: Vec<_> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    parts.join(":")
}

/// The heading of a look-up.
fn rule_text(rule: Option<&RuleStory>) -> String {
    let Some(RuleStory {
        matches,
        priority,
        cookie,
    }) = rule
    else {
        return "No match.".to_owned();
    };
    let matches = match_text(matches).to_string();
    let comma = if matches.is_empty() { "" } else { ", " };
    let cookie = match cookie {
        0 => String::new(),
        cookie => format!(", cookie {cookie:#x}"),
    };
    format!("{matches}{comma}priority {priority}{cookie}")
}

fn action_text(action: &Action) -> String {
    let instructions = Instructions {
        apply: vec![action.clone()],
        ..Instructions::default()
    };
    instructions_text(&instructions).to_string()
}

fn recirculated(recirc_id: usize, text: String) -> String {
    match recirc_id {
        0 => text,
        id => format!("recirc_id={id:#x},{text}"),
    }
}

/// A packet as flow text: all of its headers, and of the rest what is not zero.
fn flow_text_of(key: &FlowKey, recirc_id: usize) -> String {
    let mut matches = Match::ANY;
    let nonzero = [
        Field::PKT_MARK,
        Field::CT_STATE,
        Field::CT_ZONE,
        Field::CT_MARK,
        Field::CT_LABEL,
        Field::CT_NW_PROTO,
        Field::CT_TP_SRC,
        Field::CT_TP_DST,
        Field::CT_NW_SRC,
        Field::CT_NW_DST,
        Field::CT_IPV6_SRC,
        Field::CT_IPV6_DST,
        Field::TUN_ID,
        Field::TUN_SRC,
        Field::TUN_DST,
        Field::TUN_IPV6_SRC,
        Field::TUN_IPV6_DST,
        Field::TUN_GBP_ID,
        Field::TUN_GBP_FLAGS,
        Field::TUN_TOS,
        Field::TUN_TTL,
        Field::TUN_FLAGS,
        Field::METADATA,
    ];
    let registers = (0..32).map(Field::reg);
    for field in nonzero.into_iter().chain(registers) {
        let value = key.field(field);
        if value != 0 {
            matches.set_exact(field, value);
        }
    }
    for &field in headers(key) {
        matches.set_exact(field, key.field(field));
    }
    recirculated(recirc_id, match_text(&matches).to_string())
}

/// The fields that the headers of a packet have.
fn headers(key: &FlowKey) -> &'static [Field] {
    const LINK: [Field; 5] = [
        Field::IN_PORT_OXM,
        Field::VLAN_TCI,
        Field::ETH_SRC,
        Field::ETH_DST,
        Field::ETH_TYPE,
    ];
    macro_rules! list {
        ($($field:ident),*) => {
            &[LINK[0], LINK[1], LINK[2], LINK[3], LINK[4], $(Field::$field),*]
        };
    }
    let protocol = key.field(Field::NW_PROTO);
    let is_later = key.field(Field::IP_FRAG) & 2 != 0;
    match (key.field(Field::ETH_TYPE), protocol) {
        (0x0800, _) if is_later => {
            list![IP_SRC, IP_DST, NW_PROTO, NW_TOS, NW_TTL, IP_FRAG]
        }
        (0x86dd, _) if is_later => {
            list![
                IPV6_SRC, IPV6_DST, IPV6_LABEL, NW_PROTO, NW_TOS, NW_TTL, IP_FRAG
            ]
        }
        (0x0800, 6) => {
            list![
                IP_SRC, IP_DST, NW_PROTO, NW_TOS, NW_TTL, IP_FRAG, TCP_SRC, TCP_DST, TCP_FLAGS
            ]
        }
        (0x0800, 1 | 17 | 132) => {
            list![
                IP_SRC, IP_DST, NW_PROTO, NW_TOS, NW_TTL, IP_FRAG, TCP_SRC, TCP_DST
            ]
        }
        (0x0800, _) => list![IP_SRC, IP_DST, NW_PROTO, NW_TOS, NW_TTL, IP_FRAG],
        (0x86dd, 6) => list![
            IPV6_SRC, IPV6_DST, IPV6_LABEL, NW_PROTO, NW_TOS, NW_TTL, IP_FRAG, TCP_SRC, TCP_DST,
            TCP_FLAGS
        ],
        (0x86dd, 58) if matches!(key.field(Field::ICMPV6_TYPE), 135 | 136) => list![
            IPV6_SRC,
            IPV6_DST,
            IPV6_LABEL,
            NW_PROTO,
            NW_TOS,
            NW_TTL,
            IP_FRAG,
            ICMPV6_TYPE,
            ICMPV6_CODE,
            ND_TARGET,
            ND_SLL,
            ND_TLL
        ],
        (0x86dd, 17 | 58 | 132) => list![
            IPV6_SRC, IPV6_DST, IPV6_LABEL, NW_PROTO, NW_TOS, NW_TTL, IP_FRAG, TCP_SRC, TCP_DST
        ],
        (0x86dd, _) => list![
            IPV6_SRC, IPV6_DST, IPV6_LABEL, NW_PROTO, NW_TOS, NW_TTL, IP_FRAG
        ],
        (0x0806 | 0x8035, _) => list![ARP_SPA, ARP_TPA, ARP_OP, ARP_SHA, ARP_THA],
        _ => list![],
    }
}

/// The packets that have the same fate in a pass.
fn megaflow_text(told: &MegaflowStory, recirc_id: usize) -> String {
    let mut mask = told.consulted;
    // Each port has entries of its own.
    mask.set_field(Field::IN_PORT_OXM, u128::from(u32::MAX));
    let matches = Match::of_key(&told.start, &mask);
    recirculated(recirc_id, match_text(&matches).to_string())
}
