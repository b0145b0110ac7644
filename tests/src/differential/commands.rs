//! Sequences of commands about flows, without packets:
//!
//! ```text
//! title: A cookie may be looked for
//! about: 3.1 Cookie
//!
//! $ add-flows
//! > cookie=1,ip actions=drop
//! < cookie=0x1, ip actions=drop
//! $ del-flows
//! > cookie=1
//! < refused
//! ```
//!
//! `$` is a command of `ovs-ofctl`, the lines behind `>` are its input: a file of `add-flows`, one
//! argument of the others. The lines behind `<` are the answer: `refused`, or the flows that there
//! are then (those that `dump-flows` names), sorted, without statistics. A line behind `ovs <` or
//! `weir <` is expected of that switch alone, and then `differs:` says why. The ports 1 to 3 are
//! called p1 to p3. `mod-flows` speaks OpenFlow 1.0, as `ovs-ofctl` does unless told otherwise: in
//! later versions it neither adds a flow nor changes a cookie.

use std::fs;
use std::path::{Path, PathBuf};

use weir_config::policy::{apply, read_flow_text};
use weir_config::show::{FlowRow, Statistics};
use weir_config::text::{Options, Strictness, parse_filter, parse_one_flow};
use weir_packet::Tick;
use weir_tables::classifier::HashSecret;
use weir_tables::counters::RuleCount;
use weir_tables::flow_mod::{Command, FlowMod};
use weir_tables::flow_tables::FlowTables;
use weir_tables::port::PortNo;

use super::expectation::{Expected, Side};

/// What a switch answers that takes no command.
pub(super) const REFUSED: &str = "refused";

/// One sequence.
#[derive(Clone, Debug, Default)]
pub struct CommandCase {
    /// The file's name without its ending.
    pub name: String,
    /// Where it was read from.
    pub path: PathBuf,
    /// Rows of Open vSwitch's language that it shows.
    pub about: Vec<String>,
    /// Rows of `differential/rows` that it shows.
    pub covers: Vec<String>,
    /// Why weir answers differently, if it does.
    pub differs: String,
    /// The commands, in order.
    pub steps: Vec<CommandStep>,
    /// What stands before the first command.
    head: String,
}

/// One command.
#[derive(Clone, Debug, Default)]
pub struct CommandStep {
    /// The verb and its options.
    pub verb: Vec<String>,
    /// Its input.
    pub input: Vec<String>,
    /// The answer.
    pub expected: Expected<String>,
}

impl CommandStep {
    /// What is asked of the flows behind the command: a match for `dump-flows`, else all.
    pub fn shown(&self) -> Option<&str> {
        let dumps = self.verb.first().is_some_and(|verb| verb == "dump-flows");
        self.input.first().map(String::as_str).filter(|_| dumps)
    }

    /// Whether it only asks.
    pub fn only_asks(&self) -> bool {
        self.verb.first().is_some_and(|verb| verb == "dump-flows")
    }
}

impl CommandCase {
    /// Reads all sequences (`*.commands`) of a folder, by name.
    ///
    /// # Errors
    /// If the folder or one of them cannot be read.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>, String> {
        let unreadable = |error: std::io::Error| format!("{}: {error}", folder.display());
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|ending| ending == "commands") {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut case = Self {
            name: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into(),
            path: path.to_owned(),
            ..Self::default()
        };
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = |what: &str| format!("{}:{number}: {what}", path.display());
            let (side, rest) = Side::split(line);
            if let Some(verb) = line.strip_prefix("$ ") {
                case.steps.push(CommandStep {
                    verb: verb.split_whitespace().map(str::to_owned).collect(),
                    ..CommandStep::default()
                });
            } else if let Some(step) = case.steps.last_mut() {
                match (line.strip_prefix("> "), rest.strip_prefix("< ")) {
                    (Some(input), _) => step.input.push(input.to_owned()),
                    (_, Some(answer)) => step.expected.0.push((side, answer.to_owned())),
                    (None, None) if line.trim().is_empty() => {}
                    (None, None) => return Err(wrong("expected `$ `, `> ` or `< `")),
                }
            } else {
                case.head = format!("{}{line}\n", case.head);
                match line.split_once(": ") {
                    Some(("title", _)) => {}
                    Some(("about", row)) => case.about.push(row.to_owned()),
                    Some(("covers", row)) => case.covers.push(row.to_owned()),
                    Some(("differs", why)) => case.differs = why.to_owned(),
                    _ if line.is_empty() || line.starts_with('#') => {}
                    _ => {
                        return Err(wrong(
                            "expected `title:`, `about:`, `covers:` or `differs:`",
                        ));
                    }
                }
            }
        }
        Ok(case)
    }

    /// Whether the switches are expected to answer differently.
    pub fn is_split(&self) -> bool {
        self.steps.iter().any(|step| step.expected.is_split())
    }

    /// The text of the case with these answers.
    pub fn with_answers(&self, ovs: &[Vec<String>], weir: &[Vec<String>]) -> String {
        let mut text = self.head.clone();
        for ((step, ovs), weir) in self.steps.iter().zip(ovs).zip(weir) {
            text += &format!("$ {}\n", step.verb.join(" "));
            for line in &step.input {
                text += &format!("> {line}\n");
            }
            let sides: &[(&str, &Vec<String>)] = match ovs == weir {
                true => &[("", ovs)],
                false => &[("ovs ", ovs), ("weir ", weir)],
            };
            for (side, lines) in sides {
                for line in *lines {
                    text += &format!("{side}< {line}\n");
                }
            }
        }
        text
    }

    /// What weir answers to each command.
    pub fn run_weir(&self) -> Vec<Vec<String>> {
        let mut tables = FlowTables::new(0, HashSecret(0));
        let answer = |step: &CommandStep| match obey(&mut tables, step) {
            Ok(()) => flows(&tables, step.shown()).unwrap_or_else(refused),
            Err(error) => refused(error),
        };
        self.steps.iter().map(answer).collect()
    }
}

fn refused(_why: String) -> Vec<String> {
    vec![REFUSED.to_owned()]
}

fn ports(name: &str) -> Option<PortNo> {
    let number = name.strip_prefix('p')?.parse().ok()?;
    (1..=3).contains(&number).then_some(PortNo(number))
}

fn obey(tables: &mut FlowTables, step: &CommandStep) -> Result<(), String> {
    let verb: Vec<&str> = step.verb.iter().map(String::as_str).collect();
    let text = step.input.join("\n");
    let options = |command| Options {
        command,
        ports: &ports,
        ..Options::default()
    };
    let filter = |strictness| {
        let read = parse_filter(&text, strictness, &options(Command::Add));
        read.map_err(|error| error.to_string())
    };
    let change = match verb[..] {
        ["dump-flows"] => return Ok(()),
        ["add-flows"] => {
            let read = read_flow_text("flows", &text, &ports);
            let flows = read.map_err(|errors| errors[0].to_string())?;
            let done = apply(tables, &flows, Tick::ZERO);
            return done.map(|_| ()).map_err(|error| error.to_string());
        }
        ["del-flows"] => filter(Strictness::Loose)?,
        ["--strict", "del-flows"] => filter(Strictness::Strict)?,
        ["add-flow"] => one(&text, &options(Command::Add))?,
        ["mod-flows"] => one(&text, &options(Command::Modify))?,
        ["--strict", "mod-flows"] => one(&text, &options(Command::ModifyStrict))?,
        _ => panic!("unknown command {verb:?}"),
    };
    let done = tables.apply(&[change], Tick::ZERO);
    done.map(|_| ()).map_err(|(_, error)| error.to_string())
}

fn one(text: &str, options: &Options<'_>) -> Result<FlowMod, String> {
    let read = parse_one_flow(text, options);
    read.map(|flow| flow.value)
        .map_err(|error| error.to_string())
}

fn flows(tables: &FlowTables, shown: Option<&str>) -> Result<Vec<String>, String> {
    let options = Options {
        ports: &ports,
        ..Options::default()
    };
    let query = parse_filter(shown.unwrap_or_default(), Strictness::Loose, &options);
    let query = query.map_err(|error| error.to_string())?;
    let rules = tables.select(&query);
    let line = |rule| FlowRow::of(rule, RuleCount::default(), Tick::ZERO).line(Statistics::Omitted);
    let mut lines: Vec<String> = rules.iter().map(|rule| line(rule)).collect();
    lines.sort();
    Ok(lines)
}
