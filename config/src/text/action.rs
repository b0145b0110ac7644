//! Reads actions and instructions, and checks them against the match.

use weir_tables::action::{Action, ControllerAction, Instructions, PacketInReason, TableId};
use weir_tables::action_set;
use weir_tables::field::Prerequisite;
use weir_tables::program::check_action;

use super::context::Context;
use super::error::Fault;
use super::names;
use super::number;
use super::port::PortNames;
use super::scan::{Pair, Pairs, Tok};
use super::value;

mod ct;
mod inert;
mod nested;
mod output;
mod unexecuted;
mod write;

pub(super) use output::group;

/// Reads the actions of one flow.
pub(super) struct ActionReader<'p> {
    pub(super) ports: &'p dyn PortNames,
    /// What is known of a packet at this point.
    pub(super) context: Context,
    /// The flow's table; `None`: it may be in any.
    pub(super) table: Option<TableId>,
    /// What cannot be executed, and where it stands.
    pub(super) unexecuted: Vec<Unexecuted>,
}

/// Something that is read but not executed, and its place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unexecuted {
    /// What whoever would execute it says.
    pub(super) message: String,
    /// What the user is told.
    pub(super) shown: String,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Unexecuted {
    pub(super) fn new(tok: Tok<'_>, message: String) -> Self {
        Self {
            shown: message.clone(),
            message,
            start: tok.at,
            end: tok.at + tok.text.len(),
        }
    }
}

/// Where actions stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// The apply list.
    Apply,
    /// `write_actions(...)`
    Set,
    /// `ct(exec(...))`
    CtExec,
    /// `clone(...)`
    Clone,
}

/// Instructions in the order in which they must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Apply,
    Clear,
    Write,
    Metadata,
    Goto,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Apply => "an action",
            Self::Clear => "clear_actions",
            Self::Write => "write_actions",
            Self::Metadata => "write_metadata",
            Self::Goto => "goto_table",
        }
    }
}

impl ActionReader<'_> {
    /// Actions and instructions.
    pub(super) fn instructions(&mut self, text: Tok<'_>) -> Result<Instructions, Fault> {
        let mut instructions = Instructions::default();
        let mut list = List::default();
        let mut stage = Stage::Apply;
        let mut pairs = Pairs::new(text);
        while let Some(pair) = pairs.next()? {
            let next = match pair.key.text.to_ascii_lowercase().as_str() {
                "clear_actions" => Stage::Clear,
                "write_actions" => Stage::Write,
                "write_metadata" => Stage::Metadata,
                "goto_table" => Stage::Goto,
                _ => Stage::Apply,
            };
            if next < stage {
                let message = format!("{} must stand before {}", next.name(), stage.name());
                return Err(pair.whole.fault(message));
            }
            if next == stage && next != Stage::Apply {
                return Err(pair.whole.fault(format!("{} is given twice", next.name())));
            }
            stage = next;
            match next {
                Stage::Apply => self.action(&pair, Within::Apply, &mut list)?,
                Stage::Clear => {
                    pair.bare()?;
                    instructions.clear_actions = true;
                }
                Stage::Write => instructions.write_actions = self.action_set(&pair)?,
                Stage::Metadata => {
                    let (value, mask) = number::masked_u64(pair.required("a value")?, "metadata")?;
                    instructions.write_metadata = Some((value & mask, mask));
                }
                Stage::Goto => instructions.goto_table = Some(self.goto_table(&pair)?),
            }
            if next != Stage::Apply {
                list.other.get_or_insert(pair.whole);
            }
        }
        instructions.apply = list.finish(Within::Apply)?;
        Ok(instructions)
    }

    /// A list of actions.
    pub(super) fn actions(&mut self, text: Tok<'_>, within: Within) -> Result<Vec<Action>, Fault> {
        let mut list = List::default();
        let mut pairs = Pairs::new(text);
        while let Some(pair) = pairs.next()? {
            if names::INSTRUCTIONS.contains(&pair.key.text.to_ascii_lowercase().as_str()) {
                return Err(pair
                    .whole
                    .fault(format!("{} is not an action", pair.key.text)));
            }
            self.action(&pair, within, &mut list)?;
        }
        list.finish(within)
    }

    /// The actions of a group's bucket: a set, given one by one.
    pub(super) fn bucket(&mut self, actions: &[Tok<'_>]) -> Result<Vec<Action>, Fault> {
        let mut list = List::default();
        for text in actions {
            let mut pairs = Pairs::new(*text);
            while let Some(pair) = pairs.next()? {
                let from = list.actions.len();
                if names::INSTRUCTIONS.contains(&pair.key.text.to_ascii_lowercase().as_str()) {
                    let fault = format!("{} is not an action", pair.key.text);
                    return Err(pair.whole.fault(fault));
                }
                self.parse(
                    &pair.key.text.to_ascii_lowercase(),
                    &pair,
                    Within::Set,
                    &mut list,
                )?;
                let fits = |action: &Action| {
                    action_set::has_place(action) || matches!(action, Action::Note(_))
                };
                if !list.actions[from..].iter().all(fits) {
                    let fault = format!("{} does nothing in a bucket", pair.key.text);
                    let fault = pair.whole.fault(fault);
                    return Err(fault.hint("its actions are a set, as those of write_actions"));
                }
                list.whole.resize(list.actions.len(), pair.whole);
            }
        }
        list.finish(Within::Set)
    }

    /// `write_actions(...)`: what an earlier action changes is unknown when the set is run, but
    /// the text is judged as if it were run at this point, as in Open vSwitch.
    fn action_set(&mut self, pair: &Pair<'_>) -> Result<Vec<Action>, Fault> {
        let mut inner = ActionReader {
            ports: self.ports,
            context: self.context.clone(),
            table: self.table,
            unexecuted: Vec::new(),
        };
        let actions = inner.actions(pair.value, Within::Set)?;
        self.unexecuted.append(&mut inner.unexecuted);
        Ok(actions)
    }

    fn goto_table(&self, pair: &Pair<'_>) -> Result<TableId, Fault> {
        let tok = pair.required("a table")?;
        let table = value::table(tok)?;
        match self.table {
            Some(own) if table <= own => Err(tok
                .fault("goto_table goes forward only")
                .hint(format!("expected a table above {}", own.0))),
            _ => Ok(table),
        }
    }

    fn action<'a>(
        &mut self,
        pair: &Pair<'a>,
        within: Within,
        list: &mut List<'a>,
    ) -> Result<(), Fault> {
        let key = pair.key.text.to_ascii_lowercase();
        let from = list.actions.len();
        if within == Within::CtExec && !matches!(key.as_str(), "set_field" | "load" | "move") {
            let known = names::ACTIONS.contains(&key.as_str());
            let fault = if known {
                pair.whole
                    .fault(format!("{key} is not allowed in ct(exec(...))"))
            } else {
                names::unknown_action(pair.key)
            };
            return Err(fault.hint("expected set_field, load or move to ct_mark or ct_label"));
        }
        self.parse(&key, pair, within, list)?;
        if within == Within::Set && !list.actions[from..].iter().all(fits_action_set) {
            return Err(pair
                .whole
                .fault(format!("{key} is not allowed in write_actions")));
        }
        list.whole.resize(list.actions.len(), pair.whole);
        let refused = list.actions[from..].iter().map(check_action);
        if let Some(error) = refused.filter_map(Result::err).next() {
            let mut part = Unexecuted::new(pair.whole, error.to_string());
            if key == "enqueue" {
                part.shown = part.message.replace("set_queue", "enqueue");
            }
            self.unexecuted.push(part);
        }
        Ok(())
    }

    fn parse<'a>(
        &mut self,
        key: &str,
        pair: &Pair<'a>,
        within: Within,
        list: &mut List<'a>,
    ) -> Result<(), Fault> {
        let out = &mut list.actions;
        match key {
            "drop" => {
                pair.bare()?;
                list.drop.get_or_insert(pair.whole);
            }
            "output" => out.push(self.output(pair)?),
            "controller" => out.push(output::controller(pair)?),
            "group" => out.push(Action::Group(group(pair.required("a number")?)?)),
            "resubmit" => out.push(self.resubmit(pair)?),
            "set_field" => self.set_field(pair, within, out)?,
            "load" => self.load(pair, within, out)?,
            "move" => out.push(self.move_bits(pair, within)?),
            "ct" => out.push(self.ct(pair)?),
            "ct_clear" => {
                pair.bare()?;
                out.push(Action::CtClear);
            }
            "conjunction" => out.push(inert::conjunction(pair)?),
            "note" => out.push(inert::note(pair)?),
            "exit" => {
                pair.bare()?;
                out.push(Action::Exit);
            }
            "clone" => out.push(self.clone_of(pair)?),
            "push" => out.push(self.push(pair)?),
            "pop" => out.push(self.pop(pair, within)?),
            "check_pkt_larger" => out.push(self.check_pkt_larger(pair, within)?),
            "delete_field" => out.push(self.delete_field(pair)?),
            "fin_timeout" => out.push(self.fin_timeout(pair)?),
            "apply_actions" => {
                let fault = pair.whole.fault("apply_actions is the default");
                return Err(fault.hint("write its actions without it"));
            }
            "nat" => return Err(pair.whole.fault("nat stands only inside ct(...)")),
            _ if self.header_action(key, pair, within, out)? => {}
            _ if self.unexecuted_action(key, pair, within, out)? => {}
            _ => out.push(self.bare_port(pair)?),
        }
        Ok(())
    }

    fn missing(&self, prerequisite: Prerequisite) -> Option<&'static str> {
        self.context.missing(prerequisite)
    }
}

/// A list of actions as it grows.
#[derive(Default)]
struct List<'a> {
    actions: Vec<Action>,
    /// The text of each.
    whole: Vec<Tok<'a>>,
    drop: Option<Tok<'a>>,
    /// The first instruction behind the actions.
    other: Option<Tok<'a>>,
}

impl List<'_> {
    fn finish(self, within: Within) -> Result<Vec<Action>, Fault> {
        if let Some(drop) = self.drop
            && (!self.actions.is_empty() || self.other.is_some())
        {
            let fault = drop.fault("drop stands alone");
            return Err(fault.hint("remove it, or all other actions"));
        }
        if within == Within::Apply
            && self
                .actions
                .iter()
                .any(|action| matches!(action, Action::Conjunction { .. }))
        {
            let beside =
                |action: &Action| matches!(action, Action::Conjunction { .. } | Action::Note(_));
            let wrong = self.actions.iter().position(|action| !beside(action));
            if let Some(tok) = wrong.map(|at| self.whole[at]).or(self.other) {
                let fault = tok.fault("not allowed beside conjunction");
                return Err(fault.hint("expected conjunction and note only"));
            }
        }
        Ok(self.actions)
    }
}

/// `tok` is called `name` and lacks what it needs.
pub(super) fn lacks(tok: Tok<'_>, name: &str, missing: &str) -> Fault {
    tok.fault(format!("{name} needs {missing}"))
        .hint("the match does not say that")
}

/// Whether an action may be in the action set.
fn fits_action_set(action: &Action) -> bool {
    match action {
        Action::Output(_)
        | Action::Group(_)
        | Action::SetField { .. }
        | Action::SetOption { .. }
        | Action::Load { .. }
        | Action::Move { .. }
        | Action::PushVlan(_)
        | Action::PopVlan
        | Action::DecTtl(_)
        | Action::Resubmit { .. }
        | Action::Ct(_)
        | Action::CtClear => true,
        // The short form only.
        Action::Controller(action) => {
            let ControllerAction {
                reason,
                id,
                userdata,
                pause,
                meter,
                ..
            } = &**action;
            matches!(reason, PacketInReason::Action)
                && *id == 0
                && userdata.is_empty()
                && !*pause
                && meter.is_none()
        }
        Action::Unexecuted { in_set, .. } => *in_set,
        Action::OutputCut { .. }
        | Action::OutputField(_)
        | Action::Conjunction { .. }
        | Action::Note(_)
        | Action::Exit
        | Action::Clone(_)
        | Action::Push(_)
        | Action::Pop(_)
        | Action::CheckPktLarger { .. }
        | Action::DeleteField(_)
        | Action::FinTimeout { .. } => false,
    }
}
