//! Reads groups, files of groups and bundles.
//!
//! ```text
//! group_id=1,type=select,bucket=weight=2,actions=output:1,bucket=actions=output:2
//! ```
//!
//! What stands before the first `bucket=` is about the group; then come the buckets, up to the
//! next `bucket=` each. What is not a setting of a bucket is an action.

use weir_tables::action::Action;
use weir_tables::field::{Format, Masking};
use weir_tables::flow_mod::Command;
use weir_tables::group::{Bucket, GroupSpec, GroupType, MAX_ID, Selection, SelectionMethod};
use weir_tables::group_mod::{BundleStep, GroupMod, Place};
use weir_tables::matching::Term;
use weir_tables::port::PortNo;

use super::action::ActionReader;
use super::context::Context;
use super::error::Fault;
use super::flow::{Options, Spanned, flow, is_dump_header, lines};
use super::names;
use super::number;
use super::port::{self, PortNames};
use super::scan::{Form, Pair, Pairs, Tok, is_separator};
use super::value;
use crate::diagnostic::Diagnostic;

#[cfg(test)]
mod tests;

/// What a group-mod does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupCommand {
    /// `add-group`, `add`
    Add,
    /// `mod-group`, `modify`
    Modify,
    /// `mod-group --may-create`, `add_or_mod`
    AddOrModify,
    /// `del-groups`, `delete`
    Delete,
    /// `insert-buckets`, `insert_bucket`
    InsertBuckets,
    /// `remove-buckets`, `remove_bucket`
    RemoveBuckets,
}

/// How to read a group.
#[derive(Clone, Copy)]
pub struct GroupOptions<'a> {
    /// What errors call the text.
    pub name: &'a str,
    /// What is done, unless the text begins with a word that says so.
    pub command: GroupCommand,
    /// Whether it may begin with such a word, or the beginning of one.
    pub command_word: bool,
    /// Knows the ports' names.
    pub ports: &'a dyn PortNames,
}

impl Default for GroupOptions<'_> {
    /// A group to add, from the command line.
    fn default() -> Self {
        Self {
            name: "group",
            command: GroupCommand::Add,
            command_word: false,
            ports: &(),
        }
    }
}

impl std::fmt::Debug for GroupOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupOptions")
            .field("name", &self.name)
            .field("command", &self.command)
            .field("command_word", &self.command_word)
            .finish_non_exhaustive()
    }
}

/// Reads one group.
///
/// # Errors
/// If the text is no group that Open vSwitch would take, or weir cannot hold it.
pub fn parse_group(text: &str, options: &GroupOptions<'_>) -> Result<GroupMod, Diagnostic> {
    group_mod(Tok::new(text), options).map_err(|fault| fault.at(options.name, text))
}

/// Reads a file of groups, one per line; a line may begin with a command word.
///
/// Empty lines, comments from `#` to the line's end, and the header line of a dump are skipped.
///
/// # Errors
/// All lines that are wrong, up to a bound.
pub fn parse_group_file(
    text: &str,
    options: &GroupOptions<'_>,
) -> Result<Vec<Spanned<GroupMod>>, Vec<Diagnostic>> {
    let options = GroupOptions {
        command_word: true,
        ..*options
    };
    lines(text, options.name, is_group_header, |line| {
        Ok((group_mod(line, &options)?, Vec::new()))
    })
}

/// Reads a bundle: each line begins with `flow` or `group`, what follows is a line of a file of
/// flows or of groups.
///
/// # Errors
/// All lines that are wrong, up to a bound.
pub fn parse_bundle_file(
    name: &str,
    text: &str,
    ports: &dyn PortNames,
) -> Result<Vec<Spanned<BundleStep>>, Vec<Diagnostic>> {
    let flow_options = Options {
        name,
        command: Command::Add,
        command_word: true,
        ports,
    };
    let group_options = GroupOptions {
        name,
        command: GroupCommand::Add,
        command_word: true,
        ports,
    };
    let is_header = |line: &str| is_dump_header(line) || is_group_header(line);
    lines(text, name, is_header, |line| {
        let (word, rest) = first_word(line);
        match word.text {
            "flow" => flow(rest, &flow_options)
                .map(|(flow, unexecuted)| (BundleStep::Flow(Box::new(flow)), unexecuted)),
            "group" => Ok((
                BundleStep::Group(group_mod(rest, &group_options)?),
                Vec::new(),
            )),
            "packet-out" => Err(word.fault("packet-out is not supported yet in a bundle")),
            _ => Err(word
                .fault("not a step of a bundle")
                .hint("expected flow or group, and what is to be done")),
        }
    })
}

/// Reads which group to show: `group_id=N`, `N`, or `all` (`None`).
///
/// # Errors
/// If the text is something else.
pub fn parse_group_id(text: &str) -> Result<Option<u32>, Diagnostic> {
    let tok = Tok::new(text).trim();
    let id = match tok.text.strip_prefix("group_id=") {
        Some(_) => tok.from("group_id=".len()),
        None => tok,
    };
    any_id(id).map_err(|fault| fault.at("group", text))
}

/// `OFPST_GROUP_DESC reply (OF1.3) (xid=0x2):`
fn is_group_header(line: &str) -> bool {
    (line.starts_with("OFPST_GROUP_DESC reply") || line.starts_with("NXST_GROUP_DESC reply"))
        && line.ends_with(':')
}

/// The first word of `text`, and what stands behind it.
fn first_word(text: Tok<'_>) -> (Tok<'_>, Tok<'_>) {
    let start = text.text.len() - text.text.trim_start().len();
    let text = text.from(start);
    let len = text.text.find(is_separator).unwrap_or(text.text.len());
    (text.part(0, len), text.from(len))
}

/// The command that `text` begins with, and the rest.
fn command_word(text: Tok<'_>, default: GroupCommand) -> (GroupCommand, Tok<'_>) {
    const WORDS: [(&str, GroupCommand); 6] = [
        ("add", GroupCommand::Add),
        ("delete", GroupCommand::Delete),
        ("modify", GroupCommand::Modify),
        ("add_or_mod", GroupCommand::AddOrModify),
        ("insert_bucket", GroupCommand::InsertBuckets),
        ("remove_bucket", GroupCommand::RemoveBuckets),
    ];
    let (word, rest) = first_word(text);
    let known = |(name, _): &&(&str, _)| !word.is_empty() && name.starts_with(word.text);
    match WORDS.iter().find(known) {
        Some(&(_, command)) => (command, rest),
        None => (default, text),
    }
}

fn group_mod(text: Tok<'_>, options: &GroupOptions<'_>) -> Result<GroupMod, Fault> {
    let (command, rest) = match options.command_word {
        true => command_word(text, options.command),
        false => (options.command, text),
    };
    if command == GroupCommand::Delete && rest.trim().is_empty() {
        return Ok(GroupMod::Delete(None));
    }
    let (head, buckets) = split_buckets(rest);
    let mut reader = Reader {
        command,
        id: None,
        kind: None,
        selection: Selection::default(),
        place: None,
        ports: options.ports,
    };
    if let Some(bucket) = buckets.first()
        && !reader.takes_buckets()
    {
        return Err(bucket.fault("buckets are not allowed here"));
    }
    let mut pairs = Pairs::new(head);
    while let Some(pair) = pairs.next()? {
        reader.pair(&pair)?;
    }
    reader.finish(&buckets, rest)
}

/// What stands before the first `bucket=`, and behind each.
fn split_buckets(text: Tok<'_>) -> (Tok<'_>, Vec<Tok<'_>>) {
    const KEY: &str = "bucket=";
    let begins = |at: &usize| {
        text.text[..*at]
            .chars()
            .next_back()
            .is_none_or(is_separator)
    };
    let found = text.text.match_indices(KEY).map(|(at, _)| at);
    let starts: Vec<usize> = found.filter(begins).collect();
    let end = |next: Option<&usize>| next.copied().unwrap_or(text.text.len());
    let head = text.part(0, end(starts.first()));
    let buckets = (1..)
        .zip(&starts)
        .map(|(next, start)| text.part(start + KEY.len(), end(starts.get(next))))
        .collect();
    (head, buckets)
}

struct Reader<'a, 'p> {
    command: GroupCommand,
    /// `Some(None)`: all.
    id: Option<Option<u32>>,
    kind: Option<GroupType>,
    selection: Selection,
    /// `command_bucket_id`; `Some(None)`: all.
    place: Option<(Tok<'a>, Option<Place>)>,
    ports: &'p dyn PortNames,
}

impl<'a> Reader<'a, '_> {
    const fn takes_buckets(&self) -> bool {
        !matches!(
            self.command,
            GroupCommand::Delete | GroupCommand::RemoveBuckets
        )
    }

    /// Whether the whole group is given.
    const fn is_whole(&self) -> bool {
        matches!(
            self.command,
            GroupCommand::Add | GroupCommand::Modify | GroupCommand::AddOrModify
        )
    }

    fn pair(&mut self, pair: &Pair<'a>) -> Result<(), Fault> {
        let key = pair.key.text;
        match key {
            "group_id" => {
                let tok = pair.required("a number")?;
                self.id = Some(any_id(tok)?);
                if self.id == Some(None) && self.command != GroupCommand::Delete {
                    return Err(tok.fault("all groups can only be deleted"));
                }
            }
            "command_bucket_id" => {
                let bucket_command = matches!(
                    self.command,
                    GroupCommand::InsertBuckets | GroupCommand::RemoveBuckets
                );
                if !bucket_command {
                    return Err(pair.whole.fault("command_bucket_id is not allowed here"));
                }
                let tok = pair.required("first, last, all or a number")?;
                self.place = Some((tok, place(tok)?));
            }
            "type" | "selection_method" | "selection_method_param" | "fields"
                if !self.is_whole() =>
            {
                return Err(pair.whole.fault(format!("{key} is not allowed here")));
            }
            "type" => self.kind = Some(kind(pair.required("a type")?)?),
            "selection_method" => {
                self.selection.method = Some(method(pair.required("hash or dp_hash")?)?);
            }
            "selection_method_param" => {
                self.selection.param = number::narrow(pair.required("a number")?, key)?;
            }
            "fields" => self.fields(pair)?,
            _ => {
                let fault = pair.key.fault(format!("unknown keyword {key}"));
                return Err(match names::nearest(key, KEYS) {
                    Some(near) => fault.hint(format!("did you mean {near}?")),
                    None => fault,
                });
            }
        }
        Ok(())
    }

    /// `fields(ip_dst,tcp_dst=0xff00)`: which bits of which fields count.
    fn fields(&mut self, pair: &Pair<'_>) -> Result<(), Fault> {
        if pair.form == Form::Bare {
            return Err(pair.whole.fault("fields needs a list of fields"));
        }
        let mut pairs = Pairs::new(pair.value);
        while let Some(one) = pairs.next()? {
            let field = value::field(one.key)?;
            if self.selection.fields.iter().any(|term| term.field == field) {
                return Err(one.whole.fault(format!("{} is given twice", one.key.text)));
            }
            let mask = match one.form {
                Form::Bare => value::ones(field),
                Form::Assigned | Form::Parenthesised => {
                    let tok = one.required("a mask")?;
                    let info = field.info();
                    let plain = matches!(
                        info.format,
                        Format::Dec | Format::Hex | Format::Ethernet | Format::Ipv4 | Format::Ipv6
                    );
                    if !plain || info.masking == Masking::Exact {
                        let fault = format!("{} counts as a whole", one.key.text);
                        return Err(tok.fault(fault));
                    }
                    let (mask, bits) = value::masked(field, one.key.text, tok, self.ports)?;
                    if mask == 0 || bits & value::ones(field) != value::ones(field) {
                        let fault = tok.fault(format!("not a mask for {}", one.key.text));
                        return Err(fault.hint("the bits that count, at least one"));
                    }
                    mask
                }
            };
            self.selection.fields.push(Term {
                field,
                value: 0,
                mask,
            });
        }
        self.selection.fields.sort_by_key(|term| term.field);
        Ok(())
    }

    fn finish(self, buckets: &[Tok<'a>], text: Tok<'a>) -> Result<GroupMod, Fault> {
        let end = text.from(text.text.trim_end().len());
        let Some(id) = self.id else {
            return Err(end.fault("missing group_id").hint("add group_id=N"));
        };
        let kind = match self.kind {
            None if self.is_whole() => {
                let fault = end.fault("missing type");
                return Err(fault.hint("add type=all, select, indirect or ff"));
            }
            kind => kind,
        };
        let Selection { method, param, .. } = self.selection;
        if method != Some(SelectionMethod::Hash) && !self.selection.fields.is_empty() {
            let fault = text.trim().fault("fields need selection_method=hash");
            return Err(fault);
        }
        if method.is_none() && param != 0 {
            let fault = "selection_method_param needs a selection_method";
            return Err(text.trim().fault(fault));
        }
        let read = |text: &Tok<'a>| self.bucket(*text, kind);
        let read: Vec<Bucket> = buckets.iter().map(read).collect::<Result<_, _>>()?;
        if kind == Some(GroupType::Indirect) && read.len() > 1 {
            return Err(buckets[1].fault("an indirect group has one bucket"));
        }
        let (Some(group), place) = (id, self.place) else {
            return Ok(GroupMod::Delete(None));
        };
        let spec = |kind| GroupSpec {
            id: group,
            kind,
            selection: self.selection.clone(),
            buckets: read.clone(),
        };
        Ok(match (self.command, kind) {
            (GroupCommand::Add, Some(kind)) => GroupMod::Add(spec(kind)),
            (GroupCommand::Modify, Some(kind)) => GroupMod::Modify(spec(kind)),
            (GroupCommand::AddOrModify, Some(kind)) => GroupMod::AddOrModify(spec(kind)),
            (GroupCommand::InsertBuckets, _) => {
                let hint = "add command_bucket_id=first, last or a number";
                let (tok, place) =
                    place.ok_or_else(|| end.fault("missing command_bucket_id").hint(hint))?;
                GroupMod::InsertBuckets {
                    group,
                    place: place.ok_or_else(|| tok.fault("not a place for buckets").hint(hint))?,
                    buckets: read,
                }
            }
            (GroupCommand::RemoveBuckets, _) => GroupMod::RemoveBuckets {
                group,
                place: place.and_then(|(_, place)| place),
            },
            // A whole group has a type.
            (
                GroupCommand::Delete
                | GroupCommand::Add
                | GroupCommand::Modify
                | GroupCommand::AddOrModify,
                _,
            ) => GroupMod::Delete(Some(group)),
        })
    }

    /// A bucket of a group of type `kind`, if that is known.
    fn bucket(&self, text: Tok<'_>, kind: Option<GroupType>) -> Result<Bucket, Fault> {
        let mut bucket = Bucket {
            id: None,
            weight: None,
            watch_port: None,
            watch_group: None,
            actions: Vec::new(),
        };
        let mut actions = Vec::new();
        let mut has_actions = false;
        let mut pairs = Pairs::new(text);
        while let Some(pair) = pairs.next()? {
            match pair.key.text.to_ascii_lowercase().as_str() {
                "bucket_id" => {
                    bucket.id = Some(id(pair.required("a number")?, "bucket")?);
                }
                "weight" => {
                    let weight = number::narrow(pair.required("a number")?, "weight")?;
                    let default = u16::from(kind == Some(GroupType::Select));
                    let is_select = !matches!(
                        kind,
                        Some(GroupType::All | GroupType::Indirect | GroupType::FastFailover)
                    );
                    if !is_select && weight != 0 {
                        let fault = "only buckets of a select group have a weight";
                        return Err(pair.whole.fault(fault));
                    }
                    bucket.weight = (weight != default || kind.is_none()).then_some(weight);
                }
                "watch_port" => {
                    bucket.watch_port = self.watch_port(pair.required("a port")?)?;
                }
                "watch_group" => {
                    bucket.watch_group = Some(id(pair.required("a group")?, "group")?);
                }
                "action" | "actions" if pair.form == Form::Assigned => {
                    has_actions = true;
                    actions.push(pair.value);
                }
                _ => {
                    has_actions = true;
                    actions.push(pair.whole);
                }
            }
        }
        if !has_actions {
            let fault = text.trim().fault("a bucket needs actions");
            return Err(fault.hint("bucket=actions=ACTION,..."));
        }
        if kind == Some(GroupType::FastFailover) && !bucket.watches() {
            let fault = text
                .trim()
                .fault("a fast failover bucket watches something");
            return Err(fault.hint("add watch_port=PORT or watch_group=GROUP"));
        }
        bucket.actions = self.actions(&actions)?;
        Ok(bucket)
    }

    fn watch_port(&self, tok: Tok<'_>) -> Result<Option<PortNo>, Fault> {
        match port::port(tok, self.ports)? {
            PortNo::NONE => Ok(None),
            port if port <= PortNo::MAX => Ok(Some(port)),
            _ => Err(tok.fault(format!("{} cannot be watched", tok.text))),
        }
    }

    fn actions(&self, actions: &[Tok<'_>]) -> Result<Vec<Action>, Fault> {
        let mut reader = ActionReader {
            ports: self.ports,
            context: Context::anything(),
            table: None,
            unexecuted: Vec::new(),
        };
        reader.bucket(actions)
    }
}

/// Keys of a group.
const KEYS: [&str; 7] = [
    "group_id",
    "type",
    "selection_method",
    "selection_method_param",
    "fields",
    "command_bucket_id",
    "bucket",
];

fn id(tok: Tok<'_>, what: &str) -> Result<u32, Fault> {
    let id = number::ranged(tok, what, 0, MAX_ID.into())?;
    u32::try_from(id).map_err(|_| tok.fault(format!("{what} out of range")))
}

/// A group, or `all`.
fn any_id(tok: Tok<'_>) -> Result<Option<u32>, Fault> {
    match tok.text {
        "all" | "ALL" => Ok(None),
        _ => id(tok, "group").map(Some),
    }
}

fn place(tok: Tok<'_>) -> Result<Option<Place>, Fault> {
    Ok(match tok.text {
        "all" => None,
        "first" => Some(Place::First),
        "last" => Some(Place::Last),
        _ => Some(Place::Bucket(id(tok, "bucket")?)),
    })
}

fn kind(tok: Tok<'_>) -> Result<GroupType, Fault> {
    match tok.text {
        "all" => Ok(GroupType::All),
        "select" => Ok(GroupType::Select),
        "indirect" => Ok(GroupType::Indirect),
        "ff" | "fast_failover" => Ok(GroupType::FastFailover),
        _ => Err(tok
            .fault(format!("unknown type {}", tok.text))
            .hint("expected all, select, indirect or ff")),
    }
}

fn method(tok: Tok<'_>) -> Result<SelectionMethod, Fault> {
    match tok.text {
        "hash" => Ok(SelectionMethod::Hash),
        "dp_hash" => Ok(SelectionMethod::DpHash),
        _ => Err(tok
            .fault(format!("unknown selection method {}", tok.text))
            .hint("expected hash or dp_hash")),
    }
}
