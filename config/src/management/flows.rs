//! Verbs about flows.

use std::cmp::Ordering;
use std::sync::Arc;

use weir_tables::action::TableId;
use weir_tables::datapath::Datapath;
use weir_tables::field::Field;
use weir_tables::flow_mod::{Command, FlowMod};
use weir_tables::port::PortNo;
use weir_tables::rule::Rule;

use super::{Management, all_of};
use crate::control::{Failure, FlowStyle, FlowVerb, Frame, SortBy};
use crate::diagnostic::{Diagnostic, nearest};
use crate::file::{NamedText, Port};
use crate::policy;
use crate::show::{AggregateRow, FlowRow, FlowTableRow};
use crate::text::{Options, PortLabels, Strictness, parse_filter, parse_one_flow};

/// Flows in one frame of an answer.
const FLOWS_PER_FRAME: usize = 256;

impl<D: Datapath> Management<D> {
    pub(super) fn filter(&self, text: &str, strictness: Strictness) -> Result<FlowMod, Failure> {
        let names = policy::port_numbers(&self.config.ports);
        let options = Options {
            name: "match",
            ports: &names,
            ..Options::default()
        };
        parse_filter(text, strictness, &options).map_err(Failure::input)
    }

    /// The frames of `dump-flows`; counts are read now, text is made where it is read.
    pub(super) fn flows(
        &self,
        matching: Option<&str>,
        style: &FlowStyle,
    ) -> Result<impl Iterator<Item = Frame> + Send + 'static, Failure> {
        let query = self.filter(matching.unwrap_or_default(), Strictness::Loose)?;
        let order = Order::parse(style)?;
        let labels = match style.names {
            true => port_labels(&self.config.ports),
            false => PortLabels::NUMBERS.clone(),
        };
        let now = self.datapath.now();
        let tables = &self.policy.tables;
        let mut rules = tables.select(&query);
        order.sort(&mut rules);
        let counted = |rule: Arc<Rule>| (tables.count(&rule), rule);
        let rules: Vec<_> = rules.into_iter().map(counted).collect();
        let mut rules = rules.into_iter();
        Ok(std::iter::from_fn(move || {
            let chunk = rules.by_ref().take(FLOWS_PER_FRAME);
            let rows: Vec<_> = chunk
                .map(|(count, rule)| FlowRow::labelled(&rule, count, now, &labels))
                .collect();
            (!rows.is_empty()).then_some(Frame::Flows(rows))
        }))
    }

    pub(super) fn aggregate(&self, matching: Option<&str>) -> Result<Frame, Failure> {
        let query = self.filter(matching.unwrap_or_default(), Strictness::Loose)?;
        let tables = &self.policy.tables;
        let mut sum = AggregateRow::default();
        for rule in tables.select(&query) {
            let count = tables.count(&rule);
            sum.packet_count += count.packets;
            sum.byte_count += count.bytes;
            sum.flow_count += 1;
        }
        Ok(Frame::Aggregate(sum))
    }

    pub(super) fn tables(&self) -> Frame {
        let tables = &self.policy.tables;
        let row = |(table, flows, _): (TableId, usize, usize)| {
            let of_table = FlowMod {
                command: Command::Delete,
                table: Some(table),
                ..FlowMod::default()
            };
            let rules = tables.select(&of_table);
            FlowTableRow {
                table: table.0,
                active: flows as u64,
                matched: rules.iter().map(|rule| tables.count(rule).packets).sum(),
            }
        };
        Frame::Tables(tables.table_sizes().map(row).collect())
    }

    pub(super) fn change_flows(
        &mut self,
        command: FlowVerb,
        file: &NamedText,
    ) -> Result<Option<Frame>, Failure> {
        let names = policy::port_numbers(&self.config.ports);
        let options = Options {
            name: &file.name,
            command: match command {
                FlowVerb::Modify => Command::Modify,
                FlowVerb::ModifyStrict => Command::ModifyStrict,
                FlowVerb::Delete => Command::Delete,
                FlowVerb::DeleteStrict => Command::DeleteStrict,
            },
            ports: &names,
            ..Options::default()
        };
        let flows = policy::read_flow_file(&file.text, &options);
        let flows = flows.map_err(|errors| all_of(&errors))?;
        self.execute_flows(&flows)
    }

    pub(super) fn modify_flows(
        &mut self,
        strict: bool,
        text: &str,
    ) -> Result<Option<Frame>, Failure> {
        let names = policy::port_numbers(&self.config.ports);
        let options = Options {
            command: match strict {
                true => Command::ModifyStrict,
                false => Command::Modify,
            },
            ports: &names,
            ..Options::default()
        };
        let flow = parse_one_flow(text, &options).map_err(Failure::input)?;
        let now = self.datapath.now();
        policy::apply(&mut self.policy.tables, &[flow], now).map_err(Failure::input)?;
        self.publish();
        Ok(None)
    }
}

/// Reserved ports keep their names.
fn port_labels(ports: &[Port]) -> PortLabels {
    let ordinary = ports.iter().filter(|port| port.id <= PortNo::MAX);
    ordinary.map(|port| (port.id, port.name.as_str())).collect()
}

/// What a dump is sorted by.
struct Order(Vec<Criterion>);

struct Criterion {
    by: By,
    descending: bool,
}

enum By {
    Priority,
    Field(Field),
}

impl Order {
    fn parse(style: &FlowStyle) -> Result<Self, Failure> {
        let by = |word: &String| match (word.as_str(), Field::by_name(word)) {
            ("priority", _) => Ok(By::Priority),
            (_, Some(field)) => Ok(By::Field(field)),
            (_, None) => {
                let error = Diagnostic::at("sort", word, 0..word.len(), "unknown field");
                let known = Field::all().flat_map(|field| {
                    let aliases = field.info().aliases.iter().copied();
                    std::iter::once(field.name()).chain(aliases)
                });
                Err(Failure::input(match nearest(word, known) {
                    Some(near) => error.with_hint(format!("did you mean {near}?")),
                    None => error.with_hint("expected priority or a match field"),
                }))
            }
        };
        let criterion = |SortBy { field, descending }: &SortBy| {
            Ok(Criterion {
                by: by(field)?,
                descending: *descending,
            })
        };
        let criteria = style.sort.iter().map(criterion).collect::<Result<_, _>>();
        criteria.map(Self)
    }

    /// As Open vSwitch: flows without a field come last, whichever end comes first; flows that
    /// agree in all criteria keep their order.
    fn sort(&self, rules: &mut [Arc<Rule>]) {
        if !self.0.is_empty() {
            rules.sort_by(|left, right| {
                let mut all = self.0.iter().map(|one| one.compare(left, right));
                all.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            });
        }
    }
}

impl Criterion {
    fn compare(&self, left: &Rule, right: &Rule) -> Ordering {
        let directed = |order: Ordering| match self.descending {
            true => order.reverse(),
            false => order,
        };
        match &self.by {
            By::Priority => directed(left.priority.cmp(&right.priority)),
            By::Field(field) => {
                let of = |rule: &Rule| {
                    let (value, mask) = rule.matches().term(*field);
                    (mask != 0).then_some(value)
                };
                match (of(left), of(right)) {
                    (Some(left), Some(right)) => directed(left.cmp(&right)),
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                    (None, None) => Ordering::Equal,
                }
            }
        }
    }
}
