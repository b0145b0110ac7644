//! Makes a story of what it is told.
//!
//! A bucket or a recirculation runs later than the action that causes it, when nothing else needs
//! the frame; it is told where that action stands. Of those that wait the last is always the next:
//! a packet waits for one at most, and a copy is done with before its packet goes on.

use std::collections::VecDeque;

use weir_ct::CtState;

use super::{
    CacheStory, CtStory, Effect, MegaflowStory, Node, Note, PacketInStory, Resumed, RuleStory,
    Section, Story, Told, WrapStory,
};
use crate::action::{Action, TableId};
use crate::action_set::in_order;
use crate::cache::{Lookup, decisive};
use crate::extract::{PacketWords, VLAN_PRESENT};
use crate::field::Field;
use crate::group::{Group, GroupType};
use crate::key::FlowKey;
use crate::pipeline::witness::{Event, Witness};
use crate::port::{PortIndex, PortTable};
use crate::program::{Source, sources, sources_of_list};

/// Fields of headers that actions write.
const WRITTEN: &[Field] = &[
    Field::ETH_SRC,
    Field::ETH_DST,
    Field::IP_SRC,
    Field::IP_DST,
    Field::IPV6_SRC,
    Field::IPV6_DST,
    Field::IPV6_LABEL,
    Field::NW_TOS,
    Field::NW_TTL,
    Field::TCP_SRC,
    Field::TCP_DST,
    Field::ARP_OP,
    Field::ND_TARGET,
];

/// Hears of a journey and remembers it.
pub(crate) struct Teller<'a> {
    ports: &'a PortTable,
    states: VecDeque<CtState>,
    story: Story,
    /// Everything told, in the order in which it was; with where it belongs.
    nodes: Vec<(Told, Cursor)>,
    cursor: Cursor,
    /// Sections that have not begun, with where they begin.
    waiting: Vec<(usize, TableId)>,
    /// Buckets that have not begun: their groups, places, and where they are told.
    chosen: Vec<(u32, usize, Cursor)>,
    /// What operations of buckets stand for.
    buckets: Vec<Vec<Option<Action>>>,
    /// Whether the state of the section that begins was forced.
    forced: bool,
}

/// Where something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    section: usize,
    node: Option<usize>,
    bucket: Option<usize>,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(ports: &'a PortTable, states: Vec<CtState>) -> Self {
        Self {
            ports,
            states: states.into(),
            story: Story::default(),
            nodes: Vec::new(),
            cursor: Cursor {
                section: 0,
                node: None,
                bucket: None,
            },
            waiting: Vec::new(),
            chosen: Vec::new(),
            buckets: Vec::new(),
            forced: false,
        }
    }

    /// The story, now that the journey has ended.
    pub(crate) fn end(self) -> Story {
        let mut story = self.story;
        story.unused_states = self.states.len();
        // Children were told behind their parents.
        let mut made: Vec<Option<Node>> = Vec::new();
        let mut parents = Vec::new();
        for (told, cursor) in self.nodes {
            made.push(Some(Node {
                told,
                nodes: Vec::new(),
            }));
            parents.push(cursor);
        }
        for at in (0..made.len()).rev() {
            let Some(mut node) = made[at].take() else {
                continue;
            };
            node.nodes.reverse();
            match parents[at].node.and_then(|parent| made[parent].as_mut()) {
                Some(parent) => parent.nodes.push(node),
                None => story.sections[parents[at].section].nodes.push(node),
            }
        }
        for section in &mut story.sections {
            section.nodes.reverse();
        }
        story
    }

    fn tell(&mut self, told: Told) -> usize {
        self.nodes.push((told, self.cursor));
        self.nodes.len() - 1
    }

    fn note(&mut self, note: Note) {
        self.tell(Told::Note(note));
    }

    fn section(&mut self) -> &mut Section {
        &mut self.story.sections[self.cursor.section]
    }

    fn effect(&mut self, effect: Effect) {
        self.section().effects.push(effect);
    }

    fn begin(&mut self, resumed: Option<Resumed>, key: &FlowKey) {
        self.story.sections.push(Section {
            resumed,
            start: *key,
            end: *key,
            nodes: Vec::new(),
            megaflows: Vec::new(),
            effects: Vec::new(),
        });
    }

    fn looked(&mut self, table: TableId, lookup: Lookup, rule: Option<&crate::rule::Rule>) {
        if let Some(port) = lookup.port {
            self.note(Note::SeenAt(port));
        }
        if lookup.ct {
            self.note(Note::SeenAsOriginal);
        }
        let does_nothing = rule
            .is_none_or(|rule| rule.program.ops.is_empty() && rule.program.goto_table.is_none());
        let rule = rule.map(RuleStory::of);
        let node = self.tell(Told::Table { table, rule });
        self.cursor.node = Some(node);
        if does_nothing {
            self.tell(Told::Drop);
        }
    }

    fn chose(&mut self, group: &Group, at: Option<usize>) {
        let number = at.map(|at| number_of(group, at));
        // What all buckets of a group run on was not chosen.
        if matches!(group.spec.kind, GroupType::Select | GroupType::FastFailover) {
            self.note(Note::Chosen(number));
        }
        if let (Some(at), Some(number)) = (at, number) {
            let node = self.tell(Told::Bucket(number));
            let cursor = Cursor {
                node: Some(node),
                ..self.cursor
            };
            self.chosen.push((group.spec.id, at, cursor));
        }
    }

    fn written(&mut self, wire: &PacketWords, key: &FlowKey) {
        let changed = |field: &&Field| wire.field(**field) != key.field(**field);
        let values = WRITTEN.iter().filter(changed);
        let mut values: Vec<_> = values.map(|&field| (field, key.field(field))).collect();
        let present = u128::from(VLAN_PRESENT);
        let [before, after] = [wire.field(Field::VLAN_TCI), key.field(Field::VLAN_TCI)];
        if before != after {
            let tci = (after & !present) as u16;
            match (before & present != 0, after & present != 0) {
                (true, false) => self.effect(Effect::PopVlan),
                (false, _) => self.effect(Effect::PushVlan(tci)),
                // What was pushed just now gets its value.
                (true, true) => match self.section().effects.last_mut() {
                    Some(Effect::PushVlan(pushed)) => *pushed = tci,
                    _ => values.push((Field::VLAN_TCI, after)),
                },
            }
        }
        if !values.is_empty() {
            self.effect(Effect::Set(values));
        }
    }
}

/// The ID of a bucket, or else its place.
fn number_of(group: &Group, at: usize) -> u32 {
    group.spec.buckets[at].id.unwrap_or(at as u32)
}

/// A MAC address as it is written.
fn octets(mac: u64) -> [u8; 6] {
    let bytes = mac.to_be_bytes();
    std::array::from_fn(|at| bytes[at + 2])
}

impl Witness for Teller<'_> {
    const WATCHES: bool = true;
    type Place = Cursor;

    fn place(&self) -> Cursor {
        self.cursor
    }

    fn return_to(&mut self, place: Cursor) {
        self.cursor = place;
    }

    fn next_state(&mut self) -> Option<CtState> {
        let state = self.states.pop_front();
        self.forced = state.is_some();
        state
    }

    fn saw(&mut self, event: Event<'_>) {
        match event {
            Event::Began { key } => self.begin(None, key),
            Event::Resumed { table, key } => {
                let Some((section, _)) = self.waiting.pop() else {
                    return;
                };
                self.cursor = Cursor {
                    section,
                    node: None,
                    bucket: None,
                };
                let forced = std::mem::take(&mut self.forced);
                let section = self.section();
                (section.start, section.end) = (*key, *key);
                section.resumed = section.resumed.map(|resumed| Resumed {
                    forced,
                    table,
                    ..resumed
                });
            }
            Event::Passed {
                start,
                end,
                record,
                unfit,
            } => {
                let story = MegaflowStory {
                    table: record.table,
                    start: *start,
                    consulted: decisive(record),
                    unfit: match record.complete {
                        false => {
                            Some("something else than rules ended it, or asked for its length")
                        }
                        true => unfit,
                    },
                    cache: CacheStory::Absent,
                };
                let is_bucket = self.cursor.bucket.is_some();
                let section = self.section();
                if is_bucket {
                    section.megaflows.insert(0, story);
                } else {
                    section.megaflows.push(story);
                    section.end = *end;
                }
            }
            Event::Looked {
                table,
                lookup,
                rule,
                clauses,
            } => {
                self.looked(table, lookup, rule);
                let id = rule.map(|rule| rule.matches().term(Field::CONJ_ID).0 as u32);
                for (clause, rule) in clauses
                    .iter()
                    .flat_map(|rule| {
                        rule.program
                            .clauses
                            .iter()
                            .map(move |clause| (clause, rule))
                    })
                    .filter(|(clause, _)| Some(clause.id) == id)
                {
                    self.note(Note::Clause {
                        id: clause.id,
                        clauses: (1..=clause.clauses)
                            .filter(|number| clause.bits >> (number - 1) & 1 != 0)
                            .collect(),
                        of: clause.clauses,
                        rule: RuleStory::of(rule),
                    });
                }
            }
            Event::Op { rule, at } => {
                let told = match sources(&rule.instructions).get(at) {
                    Some(Source::Action(action)) => Told::Action((*action).clone()),
                    Some(Source::ClearActions) => Told::ClearActions,
                    Some(Source::WriteActions(actions)) => Told::WriteActions(actions.to_vec()),
                    Some(Source::WriteMetadata(value, mask)) => Told::WriteMetadata(*value, *mask),
                    Some(Source::EndOfCopy) | None => return,
                };
                self.tell(told);
            }
            Event::Goto(table) => {
                self.tell(Told::Goto(table));
            }
            Event::CopyBegins => self.effect(Effect::CopyBegins),
            Event::CopyEnds => self.effect(Effect::CopyEnds),
            Event::SetIs(rules) => {
                let actions = rules
                    .iter()
                    .flat_map(|rule| &rule.instructions.write_actions);
                let actions: Vec<_> = actions.cloned().collect();
                let ordered = in_order(&actions).into_iter().cloned().collect();
                self.note(Note::ActionSetIs(ordered));
            }
            Event::SetBegins => {
                let node = self.tell(Told::ActionSet);
                self.cursor.node = Some(node);
            }
            Event::Chosen { group, at } => self.chose(group, at),
            Event::BucketBegins { group, at } => {
                let is_it =
                    |&(id, place, _): &(u32, usize, Cursor)| id == group.spec.id && place == at;
                let Some(found) = self.chosen.iter().rposition(is_it) else {
                    return;
                };
                let (_, _, cursor) = self.chosen.remove(found);
                let actions = in_order(&group.spec.buckets[at].actions);
                let all = sources_of_list(&actions).into_iter();
                self.buckets
                    .push(all.map(Option::<&Action>::cloned).collect());
                self.cursor = Cursor {
                    bucket: Some(self.buckets.len() - 1),
                    ..cursor
                };
            }
            Event::BucketOp { number } => {
                let bucket = self.cursor.bucket.and_then(|at| self.buckets.get(at));
                if let Some(Some(action)) = bucket.and_then(|bucket| bucket.get(number)) {
                    let told = Told::Action(action.clone());
                    self.tell(told);
                }
            }
            Event::Written { wire, key } => self.written(wire, key),
            Event::Gathered { zone } => {
                self.story.is_gathered = true;
                self.effect(Effect::Ct {
                    zone,
                    commit: None,
                    nat: None,
                });
                self.note(Note::Gathered { zone });
            }
            Event::Tagged { tci } => self.effect(Effect::PushVlan(tci)),
            Event::Untagged => self.effect(Effect::PopVlan),
            Event::Output { port, max_len } => {
                let port = self.ports.port(port).no;
                let max_len = (max_len != u32::MAX).then_some(max_len);
                self.effect(Effect::Output { port, max_len });
            }
            Event::OutputTagged {
                port,
                before,
                wanted,
            } => {
                self.effect(Effect::CopyBegins);
                if before & VLAN_PRESENT != 0 {
                    self.effect(Effect::PopVlan);
                }
                if wanted & VLAN_PRESENT != 0 {
                    self.effect(Effect::PushVlan(wanted & !VLAN_PRESENT));
                }
                let port: PortIndex = port;
                let port = self.ports.port(port).no;
                self.effect(Effect::Output {
                    port,
                    max_len: None,
                });
                self.effect(Effect::CopyEnds);
            }
            Event::Wrapped { outer } => self.note(Note::Wrapped(WrapStory {
                tunnel: outer.tunnel,
                over: outer.over,
                kind: outer.kind,
                key: outer.key,
                macs: outer.macs,
                ips: [outer.remote, outer.local],
                size: outer.size(),
            })),
            Event::UnknownHop { over, ip, ask } => {
                self.note(Note::UnknownHop { over, ip, ask });
            }
            Event::Tracked {
                request,
                outcome,
                rehearsed,
                table,
            } => {
                self.effect(Effect::Ct {
                    zone: request.zone,
                    commit: request.commit,
                    nat: request.nat.copied(),
                });
                let is_lost = outcome.is_err();
                let said = outcome.ok();
                self.note(Note::Ct(Box::new(CtStory {
                    zone: request.zone,
                    state: outcome.map(|outcome| outcome.state),
                    mark: said.map_or(0, |outcome| outcome.mark),
                    label: said.map_or(0, |outcome| outcome.label),
                    before: rehearsed.before,
                    after: rehearsed.after,
                    counted: rehearsed.counted,
                    beyond: rehearsed.beyond,
                    translation: said.and_then(|outcome| outcome.translation),
                })));
                if let (Some(table), false) = (table, is_lost) {
                    let id = self.story.sections.len();
                    let resumed = Resumed {
                        id,
                        table,
                        forced: false,
                    };
                    self.begin(Some(resumed), &FlowKey::ZERO);
                    self.waiting.push((id, table));
                    self.effect(Effect::Recirculate(id));
                    self.note(Note::Recirculates { id, table });
                }
                if !is_lost {
                    self.note(Note::Untracked);
                }
            }
            Event::Learned { mac, vlan, port } => {
                let mac = octets(mac);
                self.note(Note::Learns { mac, vlan, port });
            }
            Event::Bridged { vlan, found, how } => self.note(Note::Bridges { vlan, found, how }),
            Event::PacketIn { reason, controller } => {
                let story = PacketInStory { reason, controller };
                self.story.packet_ins.push(story);
                self.effect(Effect::PacketIn(story));
                self.note(Note::PacketIn(story));
            }
            Event::Nowhere(reason) => self.note(Note::Nowhere(reason)),
            Event::Dropped(reason) => {
                self.story.drops.push(reason);
                self.note(Note::Dropped(reason));
            }
            Event::Lost(reason) => self.story.drops.push(reason),
        }
    }
}
