//! `weir diff-flows`: the flows of files and of the switch, side by side.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use weir_tables::action::TableId;
use weir_tables::flow_mod::{Command, FlowMod};
use weir_tables::port::PortNo;

use super::VerbError;
use crate::cli::DiffFlows;
use crate::control::{self, FlowStyle, Frame, Request, Verb};
use crate::file::{NamedText, read_text};
use crate::policy::{FlowSet, flow_key};
use crate::show::Statistics;
use crate::text::{Options, PortNames, instructions_text, match_text, parse_flow_file};

/// Prints what only one of both has. Flows that agree in table, priority and match are compared
/// by cookie, timeouts, importance and actions, as Open vSwitch does.
pub(super) fn run(args: &DiffFlows, out: &mut dyn Write) -> Result<(), VerbError> {
    let sources = [&args.a, &args.b];
    let bridge = sources.into_iter().find(|source| !is_file(source));
    let names = match bridge {
        Some(bridge) => port_names(args, bridge)?,
        None => Vec::new(),
    };
    let by_name = |name: &str| {
        let found = names.iter().find(|(other, _)| other == name);
        found.map(|(_, port)| *port)
    };
    let read = |source: &String| -> Result<FlowSet, VerbError> {
        let text = if is_file(source) {
            read_text(Path::new(source))?
        } else {
            of_switch(args, source)?
        };
        flows(&text, &by_name)
    };
    let (left, right) = (read(&args.a)?, read(&args.b)?);
    let mut differ = false;
    let keys: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    for key in keys {
        let (left, right) = (left.get(key), right.get(key));
        if let (Some(left), Some(right)) = (left, right)
            && same(left, right)
        {
            continue;
        }
        differ = true;
        for (mark, flow) in [('-', left), ('+', right)] {
            if let Some(flow) = flow {
                writeln!(out, "{mark}{}", line(flow))?;
            }
        }
    }
    match differ {
        true => Err(VerbError::Differ),
        false => Ok(()),
    }
}

/// As Open vSwitch tells them apart, but that there is no remote switch.
fn is_file(source: &str) -> bool {
    source == "-" || source.starts_with(['/', '.']) || Path::new(source).exists()
}

fn ask(args: &DiffFlows, bridge: &str, verb: Verb) -> Result<control::Replies, VerbError> {
    let request = Request {
        bridge: Some(bridge.to_owned()),
        verb,
    };
    Ok(control::call(&args.switch.socket, request)?)
}

/// What the switch calls its ports.
fn port_names(args: &DiffFlows, bridge: &str) -> Result<Vec<(String, PortNo)>, VerbError> {
    let mut names = Vec::new();
    for frame in ask(args, bridge, Verb::Show)? {
        if let Frame::Switch(row) = frame? {
            let ports = row.ports.into_iter();
            names.extend(ports.map(|port| (port.name, PortNo(port.id))));
        }
    }
    Ok(names)
}

/// The flows of the switch, as a file.
fn of_switch(args: &DiffFlows, bridge: &str) -> Result<NamedText, VerbError> {
    let verb = Verb::DumpFlows {
        matching: None,
        style: FlowStyle::default(),
    };
    let mut text = String::new();
    for frame in ask(args, bridge, verb)? {
        if let Frame::Flows(rows) = frame? {
            for row in rows {
                text += &row.line(Statistics::Omitted);
                text.push('\n');
            }
        }
    }
    let name = bridge.to_owned();
    Ok(NamedText { name, text })
}

fn flows(file: &NamedText, names: &dyn PortNames) -> Result<FlowSet, VerbError> {
    let options = Options {
        name: &file.name,
        ports: names,
        ..Options::default()
    };
    let read = parse_flow_file(&file.text, &options).map_err(VerbError::Text)?;
    let mut set = FlowSet::new();
    for flow in read {
        if flow.value.command != Command::Add {
            let message = "flows to compare are flows to add";
            return Err(flow.error(message).into());
        }
        // A later flow takes the place of an earlier one, as when a file is loaded.
        set.insert(flow_key(&flow.value), flow.value);
    }
    Ok(set)
}

fn same(left: &FlowMod, right: &FlowMod) -> bool {
    let compared = |flow: &FlowMod| {
        (
            flow.new_cookie.unwrap_or_default(),
            flow.idle_timeout,
            flow.hard_timeout,
            flow.importance,
        )
    };
    compared(left) == compared(right) && left.instructions == right.instructions
}

/// A flow as `ovs-ofctl diff-flows` prints it.
fn line(flow: &FlowMod) -> String {
    let mut words = Vec::new();
    if let Some(TableId(table @ 1..)) = flow.table {
        words.push(format!("table={table}"));
    }
    let matches = match_text(&flow.matches).to_string();
    if flow.priority == FlowMod::DEFAULT_PRIORITY {
        words.push(matches);
    } else {
        let comma = if matches.is_empty() { "" } else { "," };
        words.push(format!("priority={}{comma}{matches}", flow.priority));
    }
    let numbers = [
        ("idle_timeout", flow.idle_timeout),
        ("hard_timeout", flow.hard_timeout),
        ("importance", flow.importance),
    ];
    if let Some(cookie @ 1..) = flow.new_cookie {
        words.push(format!("cookie={cookie:#x}"));
    }
    let given = numbers.into_iter().filter(|(_, value)| *value != 0);
    words.extend(given.map(|(name, value)| format!("{name}={value}")));
    words.push(format!("actions={}", instructions_text(&flow.instructions)));
    words.join(" ")
}
