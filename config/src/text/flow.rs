//! Reads flows, filters and files of flows.

use weir_tables::action::Action;
use weir_tables::flow_mod::{Command, FlowMod};
use weir_tables::matching::Match;

use super::action::{ActionReader, Unexecuted, Within, group};
use super::context::Context;
use super::error::Fault;
use super::matches::MatchBuilder;
use super::names;
use super::number;
use super::port::{self, PortNames};
use super::scan::{Pair, Pairs, Tok, comment_start, is_separator};
use super::value;
use crate::diagnostic::Diagnostic;

/// How to read a flow.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// What errors call the text: a file's name, or what stands for one.
    pub name: &'a str,
    /// What the flow does, unless it begins with a word that says so.
    pub command: Command,
    /// Whether the flow may begin with `add`, `modify`, `modify_strict`, `delete` or
    /// `delete_strict`, or the beginning of one of them.
    pub command_word: bool,
    /// Knows the ports' names.
    pub ports: &'a dyn PortNames,
}

impl Default for Options<'_> {
    /// A flow to add, from the command line.
    fn default() -> Self {
        Self {
            name: "flow",
            command: Command::Add,
            command_word: false,
            ports: &(),
        }
    }
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("name", &self.name)
            .field("command", &self.command)
            .field("command_word", &self.command_word)
            .finish_non_exhaustive()
    }
}

/// Something read from a text, with its place there: a later stage can still point at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// What was read.
    pub value: T,
    /// The file, as errors call it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The line itself.
    pub source_line: String,
    /// What of it is not executed, and where that stands in the line.
    unexecuted: Vec<Unexecuted>,
}

impl<T> Spanned<T> {
    /// The same place, with something made of what was read.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned {
            value: make(self.value),
            file: self.file,
            line: self.line,
            source_line: self.source_line,
            unexecuted: self.unexecuted,
        }
    }

    /// Something that stands at a line of a file as a whole.
    pub const fn new(value: T, file: String, line: usize, source_line: String) -> Self {
        Self {
            value,
            file,
            line,
            source_line,
            unexecuted: Vec::new(),
        }
    }

    /// An error about the line as a whole, or about the part of it that is not executed, if
    /// that is what the message says.
    pub fn error(&self, message: impl Into<String>) -> Diagnostic {
        let text = &self.source_line;
        let message = message.into();
        if let Some(part) = self.unexecuted.iter().find(|part| part.message == message) {
            let shown = part.shown.clone();
            let mut error = Diagnostic::at(self.file.as_str(), text, part.start..part.end, shown);
            error.line = self.line;
            return error;
        }
        let start = text.len() - text.trim_start().len();
        let span = start..text.trim_end().len().max(start);
        let mut error = Diagnostic::at(self.file.as_str(), text, span, message);
        error.line = self.line;
        error
    }
}

/// Reads one flow.
///
/// # Errors
/// If the text is no flow that Open vSwitch would take, or weir cannot hold it.
pub fn parse_flow(text: &str, options: &Options<'_>) -> Result<FlowMod, Diagnostic> {
    flow(Tok::new(text), options)
        .map(|(flow, _)| flow)
        .map_err(|fault| fault.at(options.name, text))
}

/// As [`parse_flow`], with the place of what is read and not executed.
///
/// # Errors
/// As there.
pub fn parse_one_flow(text: &str, options: &Options<'_>) -> Result<Spanned<FlowMod>, Diagnostic> {
    let (value, unexecuted) =
        flow(Tok::new(text), options).map_err(|fault| fault.at(options.name, text))?;
    Ok(Spanned {
        value,
        file: options.name.to_owned(),
        line: 1,
        source_line: text.to_owned(),
        unexecuted,
    })
}

/// How exactly a filter names rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// All rules that the match covers; no priority.
    Loose,
    /// The rule with this match and priority.
    Strict,
}

/// Reads which flows to dump or delete: a match, `table`, `cookie=V/M`, `out_port`, `out_group`,
/// and, if strict, `priority`.
///
/// # Errors
/// If the text is no such filter.
pub fn parse_filter(
    text: &str,
    strictness: Strictness,
    options: &Options<'_>,
) -> Result<FlowMod, Diagnostic> {
    let command = match strictness {
        Strictness::Loose => Command::Delete,
        Strictness::Strict => Command::DeleteStrict,
    };
    parse_flow(
        text,
        &Options {
            command,
            command_word: false,
            ..*options
        },
    )
}

/// Reads a match and nothing else, such as the packet that `trace` follows.
///
/// # Errors
/// If the text holds anything else, or a field lacks its prerequisite.
pub fn parse_match(text: &str, options: &Options<'_>) -> Result<Match, Diagnostic> {
    let read = || {
        let mut builder = MatchBuilder::default();
        let mut pairs = Pairs::new(Tok::new(text));
        while let Some(pair) = pairs.next()? {
            if !builder.take(&pair, options.ports)? {
                return Err(names::unknown_keyword(pair.key));
            }
        }
        builder.finish()
    };
    read().map_err(|fault: Fault| fault.at(options.name, text))
}

/// Reads a list of actions for a packet that `matches` describes.
///
/// # Errors
/// If the text is no such list, holds an instruction, or an action lacks its prerequisite.
pub fn parse_actions(
    text: &str,
    matches: &Match,
    options: &Options<'_>,
) -> Result<Vec<Action>, Diagnostic> {
    ActionReader {
        ports: options.ports,
        context: Context::of(matches),
        table: None,
        unexecuted: Vec::new(),
    }
    .actions(Tok::new(text), Within::Apply)
    .map_err(|fault| fault.at(options.name, text))
}

/// Errors of one file beyond which the rest is not reported.
const ERRORS_MAX: usize = 50;

/// Reads a file of flows, one per line; a line may begin with a command word.
///
/// Empty lines, comments from `#` to the line's end, and the header line of a dump are skipped.
///
/// # Errors
/// All lines that are wrong, up to a bound.
pub fn parse_flow_file(
    text: &str,
    options: &Options<'_>,
) -> Result<Vec<Spanned<FlowMod>>, Vec<Diagnostic>> {
    let options = Options {
        command_word: true,
        ..*options
    };
    lines(text, options.name, is_dump_header, |line| {
        flow(line, &options)
    })
}

/// Reads each line of a file but those that are empty or that `is_header` knows.
///
/// # Errors
/// All lines that are wrong, up to a bound.
pub(super) fn lines<T>(
    text: &str,
    name: &str,
    is_header: impl Fn(&str) -> bool,
    mut read: impl FnMut(Tok<'_>) -> Result<(T, Vec<Unexecuted>), Fault>,
) -> Result<Vec<Spanned<T>>, Vec<Diagnostic>> {
    let mut values = Vec::new();
    let mut errors = Vec::new();
    let mut at = 0;
    for (number, full) in (1..).zip(text.split_inclusive('\n')) {
        let line = full.trim_end_matches(['\n', '\r']);
        let content = Tok {
            text: &line[..comment_start(line)],
            at,
        };
        at += full.len();
        if content.trim().is_empty() || is_header(content.trim().text) {
            continue;
        }
        match read(content) {
            Ok((value, mut unexecuted)) => {
                for part in &mut unexecuted {
                    part.start -= content.at;
                    part.end -= content.at;
                }
                values.push(Spanned {
                    value,
                    file: name.to_owned(),
                    line: number,
                    source_line: line.to_owned(),
                    unexecuted,
                });
            }
            Err(fault) => {
                // Places are found within the line: a large file would be read for each error.
                let start = content.at;
                let mut error = Fault {
                    start: fault.start.saturating_sub(start),
                    end: fault.end.saturating_sub(start),
                    ..fault
                }
                .at(name, line);
                error.line = number;
                errors.push(error);
                if errors.len() == ERRORS_MAX {
                    break;
                }
            }
        }
    }
    if errors.is_empty() {
        Ok(values)
    } else {
        Err(errors)
    }
}

/// `OFPST_FLOW reply (OF1.3) (xid=0x2):`
pub(super) fn is_dump_header(line: &str) -> bool {
    (line.starts_with("OFPST_FLOW reply") || line.starts_with("NXST_FLOW reply"))
        && line.ends_with(':')
}

pub(super) fn flow(
    text: Tok<'_>,
    options: &Options<'_>,
) -> Result<(FlowMod, Vec<Unexecuted>), Fault> {
    let (command, rest) = match options.command_word {
        true => command_word(text, options.command),
        false => (options.command, text),
    };
    let mut reader = FlowReader {
        flow: FlowMod {
            command,
            ..FlowMod::default()
        },
        matches: MatchBuilder::default(),
        ports: options.ports,
    };
    let mut pairs = Pairs::new(rest);
    loop {
        let before = pairs.rest();
        let Some(pair) = pairs.next()? else { break };
        if !matches!(pair.key.text, "actions" | "action") {
            reader.pair(&pair)?;
            continue;
        }
        if !reader.has_actions() {
            let fault = pair
                .key
                .fault("a flow to delete or to look for has no actions");
            return Err(fault);
        }
        let actions = actions_text(before, pair.key)?;
        return reader.finish(Some(actions), text);
    }
    reader.finish(None, text)
}

/// The actions behind `actions=`, in the text `from`, in which `key` lies.
pub(super) fn actions_text<'a>(from: Tok<'a>, key: Tok<'a>) -> Result<Tok<'a>, Fault> {
    let behind = from.from(key.at + key.text.len() - from.at);
    let trimmed = behind.text.trim_start();
    match trimmed.strip_prefix('=') {
        Some(actions) => Ok(behind.from(behind.text.len() - actions.len())),
        None => Err(key
            .fault("missing = behind actions")
            .hint("actions=ACTION,...")),
    }
}

/// The command that `text` begins with, and the rest.
fn command_word(text: Tok<'_>, default: Command) -> (Command, Tok<'_>) {
    const WORDS: [(&str, Command); 5] = [
        ("add", Command::Add),
        ("delete", Command::Delete),
        ("delete_strict", Command::DeleteStrict),
        ("modify", Command::Modify),
        ("modify_strict", Command::ModifyStrict),
    ];
    let start = text.text.len() - text.text.trim_start().len();
    let word_text = text.from(start);
    let len = word_text
        .text
        .find(is_separator)
        .unwrap_or(word_text.text.len());
    let word = &word_text.text[..len];
    match WORDS
        .iter()
        .find(|(name, _)| !word.is_empty() && name.starts_with(word))
    {
        Some(&(_, command)) => (command, word_text.from(len)),
        None => (default, text),
    }
}

struct FlowReader<'a, 'p> {
    flow: FlowMod,
    matches: MatchBuilder<'a>,
    ports: &'p dyn PortNames,
}

impl<'a> FlowReader<'a, '_> {
    fn has_actions(&self) -> bool {
        matches!(
            self.flow.command,
            Command::Add | Command::Modify | Command::ModifyStrict
        )
    }

    fn pair(&mut self, pair: &Pair<'a>) -> Result<(), Fault> {
        if self.flag(pair)? || self.matches.take(pair, self.ports)? {
            return Ok(());
        }
        let key = pair.key.text;
        let what = format!("{key}'s value");
        match key {
            "table" => {
                let tok = pair.required("a table")?;
                self.flow.table = match number::integer(tok) {
                    Ok(255) => None,
                    _ => Some(value::table(tok)?),
                };
            }
            "priority" => {
                self.only_in(pair, |command| command != Command::Delete)?;
                self.flow.priority = number::narrow(pair.required("a value")?, key)?;
            }
            "cookie" => self.cookie(pair.required("a value")?)?,
            "idle_timeout" => {
                self.only_in(pair, changes)?;
                self.flow.idle_timeout = number::narrow(pair.required("seconds")?, key)?;
            }
            "hard_timeout" => {
                self.only_in(pair, changes)?;
                self.flow.hard_timeout = number::narrow(pair.required("seconds")?, key)?;
            }
            "importance" => {
                self.only_in(pair, |command| command == Command::Add)?;
                self.flow.importance = number::narrow(pair.required("a value")?, key)?;
            }
            "out_port" => {
                self.only_in(pair, |command| !changes(command))?;
                self.flow.out_port = Some(port::port(pair.required("a port")?, self.ports)?);
            }
            "out_group" => {
                self.only_in(pair, |command| !changes(command))?;
                self.flow.out_group = Some(group(pair.required("a group")?)?);
            }
            // Statistics, so that a dump can be read back.
            "duration" | "n_packets" | "n_bytes" | "idle_age" | "hard_age" => {
                pair.required(&what).map(|_| ())?;
            }
            "no_readonly_table" | "allow_hidden_fields" => pair.bare()?,
            _ => return Err(names::unknown_keyword(pair.key)),
        }
        Ok(())
    }

    /// Takes `pair` if it is a flag.
    fn flag(&mut self, pair: &Pair<'_>) -> Result<bool, Fault> {
        let flags = &mut self.flow.flags;
        let flag = match pair.key.text {
            "send_flow_rem" => &mut flags.send_flow_rem,
            "check_overlap" => &mut flags.check_overlap,
            "reset_counts" => &mut flags.reset_counts,
            "no_packet_counts" => &mut flags.no_packet_counts,
            "no_byte_counts" => &mut flags.no_byte_counts,
            _ => return Ok(false),
        };
        pair.bare()?;
        *flag = true;
        self.only_in(pair, changes)?;
        Ok(true)
    }

    fn only_in(&self, pair: &Pair<'_>, allowed: fn(Command) -> bool) -> Result<(), Fault> {
        let command = self.flow.command;
        if allowed(command) {
            return Ok(());
        }
        let what = match command {
            Command::Add => "a flow to add",
            Command::Modify | Command::ModifyStrict => "a flow to modify",
            Command::Delete => "a flow to delete or to look for",
            Command::DeleteStrict => "a flow to delete or to look for strictly",
        };
        let fault = pair
            .whole
            .fault(format!("{} is not allowed in {what}", pair.key.text));
        Err(match pair.key.text {
            "priority" => fault.hint("it needs --strict or delete_strict"),
            _ => fault,
        })
    }

    /// `V` sets the cookie, `V/M` looks for one.
    fn cookie(&mut self, tok: Tok<'_>) -> Result<(), Fault> {
        let command = self.flow.command;
        let Some((value, mask)) = tok.split_once("/") else {
            if !changes(command) {
                let fault = tok.fault("a cookie to look for needs a mask");
                return Err(fault.hint(format!("cookie={}/-1", tok.text)));
            }
            self.flow.new_cookie = Some(number::narrow(tok, "cookie")?);
            return Ok(());
        };
        if command == Command::Add {
            let fault = tok.fault("a flow to add has a cookie without a mask");
            return Err(fault.hint(format!("cookie={}", value.text)));
        }
        let mask: u64 = number::narrow(mask, "cookie's mask")?;
        let value: u64 = number::narrow(value, "cookie")?;
        self.flow.cookie_filter = (mask != 0).then_some((value & mask, mask));
        Ok(())
    }

    fn finish(
        mut self,
        actions: Option<Tok<'a>>,
        text: Tok<'a>,
    ) -> Result<(FlowMod, Vec<Unexecuted>), Fault> {
        let mut unexecuted = self.matches.unexecuted();
        self.flow.matches = self.matches.finish()?;
        match actions {
            Some(actions) => {
                if self.flow.command == Command::Add {
                    // What is not said is 0; for other commands it is "any", or "as it is".
                    self.flow.table.get_or_insert_default();
                    self.flow.new_cookie.get_or_insert_default();
                }
                let mut reader = ActionReader {
                    ports: self.ports,
                    context: Context::of(&self.flow.matches),
                    table: self.flow.table,
                    unexecuted,
                };
                self.flow.instructions = reader.instructions(actions)?;
                unexecuted = reader.unexecuted;
            }
            None if changes(self.flow.command) => {
                let end = text.from(text.text.trim_end().len());
                return Err(end.fault("missing actions").hint("add actions=ACTION,..."));
            }
            None => {}
        }
        Ok((self.flow, unexecuted))
    }
}

/// Whether a command adds or changes flows.
const fn changes(command: Command) -> bool {
    matches!(
        command,
        Command::Add | Command::Modify | Command::ModifyStrict
    )
}
