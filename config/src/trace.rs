//! `weir trace`: what would become of a packet, asked in flow text and told as `ofproto/trace`
//! does.
//!
//! ```text
//! FLOW, --packet, --ct-next -> question -> an lcore -> Story -> report -> text or JSON
//! ```
//!
//! A running switch is asked over its control socket, its management thread asks an lcore between
//! two bursts; without one, an lcore is made of the configuration and asked the same way.
//!
//! Threads: pure functions.

use weir_packet::Tick;
use weir_tables::field::Field;
use weir_tables::key::{FlowKey, word};
use weir_tables::matching::Match;
use weir_tables::port::{PortNo, PortTable};
use weir_tables::trace::Question;

use crate::diagnostic::Diagnostic;
use crate::file::Config;
use crate::policy;
use crate::replay::OfflineSwitch;
use crate::text::{Options, parse_match};

mod packet;
mod print;
mod report;
mod states;
#[cfg(test)]
mod tests;

pub use print::write_trace;
pub(crate) use report::report;
pub use report::{
    CacheRow, DroppedRow, LevelRow, PacketInNote, SectionRow, SentRow, StepRow, TraceReport,
};

/// A packet as a user names it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What `ofproto/trace` takes as a flow.
    pub flow: &'a str,
    /// `--packet`: the frame in hexadecimal.
    pub packet: Option<&'a str>,
    /// `--ct-next`, in order.
    pub ct_next: &'a [String],
}

/// Reads what is asked of a switch with these ports.
///
/// # Errors
/// What is wrong with the text, or names no port.
pub fn question(
    asked: Asked<'_>,
    config: &Config,
    ports: &PortTable,
) -> Result<Question, Diagnostic> {
    let names = policy::port_numbers(&config.ports);
    let options = Options {
        name: "flow",
        ports: &names,
        ..Options::default()
    };
    let matches = parse_match(asked.flow, &options)?;
    check(asked.flow, &matches)?;
    let states = asked.ct_next.iter().map(|text| states::parse(text));
    let states = states.collect::<Result<_, _>>()?;
    let in_port = in_port(asked.flow, &matches, ports)?;
    let frame = match asked.packet {
        None => packet::synthesize(&matches),
        Some(hex) => {
            only_metadata(asked.flow, &matches)?;
            packet::read(hex)?
        }
    };
    Ok(Question {
        in_port,
        frame,
        metadata: metadata(&matches),
        states,
    })
}

/// Traces a packet through a switch that does not run.
///
/// # Errors
/// As [`question`], and what is wrong with the policy.
pub fn offline(asked: Asked<'_>, config: &Config) -> Result<TraceReport, Vec<Diagnostic>> {
    // Not zero: what never happened must not look as if it had happened now.
    let now = Tick::from_millis(1_000_000);
    let mut switch = OfflineSwitch::new(config, 0, now)?;
    let question = question(asked, config, switch.ports()).map_err(|error| vec![error])?;
    let story = switch.trace(question, now);
    Ok(report(&story, &config.bridge.name, switch.ports()))
}

/// Refuses what no packet has: several values, and fields that weir does not know.
fn check(text: &str, matches: &Match) -> Result<(), Diagnostic> {
    if let Some(term) = matches.unexecuted().first() {
        let name = term.field.name();
        let span = span_of(text, name).unwrap_or(0..text.len());
        let message = format!("field {name} is not supported yet");
        return Err(Diagnostic::at("flow", text, span, message));
    }
    let mut at = 0;
    for part in text.split(',') {
        if let Some(slash) = part.find('/').filter(|_| part.contains('=')) {
            let span = at + slash..at + part.len();
            let error = Diagnostic::at("flow", text, span, "wildcards are not allowed here");
            return Err(error.with_hint("a packet has one value"));
        }
        at += part.len() + 1;
    }
    Ok(())
}

/// The port at which the packet comes in.
fn in_port(text: &str, matches: &Match, ports: &PortTable) -> Result<PortNo, Diagnostic> {
    let (number, mask) = matches.term(Field::IN_PORT_OXM);
    if mask == 0 {
        let end = text.trim_end().len();
        let error = Diagnostic::at("flow", text, end..end, "missing in_port");
        return Err(error.with_hint("add in_port=PORT"));
    }
    let no = PortNo(number as u32);
    if ports.index_of(no).is_none() {
        let span = span_of(text, "in_port").unwrap_or(0..text.len());
        let known: Vec<_> = ports.iter().map(|(_, port)| port.no.to_string()).collect();
        let error = Diagnostic::at("flow", text, span, format!("there is no port {no}"));
        return Err(error.with_hint(format!("expected {}", known.join(" or "))));
    }
    Ok(no)
}

/// Refuses header fields: the frame is given as it is.
fn only_metadata(text: &str, matches: &Match) -> Result<(), Diagnostic> {
    let mask = matches.mask();
    let headers = &mask.words()[usize::from(word::ETH_DST)..];
    if headers.iter().all(|&bits| bits == 0) {
        return Ok(());
    }
    let error = Diagnostic::at(
        "flow",
        text,
        0..text.len(),
        "with --packet the headers are those of the packet",
    );
    Err(error.with_hint("only in_port and metadata"))
}

/// What the tables see beside the headers.
fn metadata(matches: &Match) -> FlowKey {
    let mut metadata = FlowKey::ZERO;
    let headers = usize::from(word::ETH_DST);
    metadata.words_mut()[..headers].copy_from_slice(&matches.key().words()[..headers]);
    metadata
}

/// Where `name=VALUE` stands in a flow.
fn span_of(text: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let start = text.find(name)?;
    let end = text[start..].find([',', ' ']);
    Some(start..end.map_or(text.len(), |end| start + end))
}
