//! Reads what `ovs-ofctl packet-out` takes: `in_port=P,packet=HEX[,METADATA],actions=...`.

use weir_tables::action::Action;
use weir_tables::field::Field;
use weir_tables::key::FlowKey;
use weir_tables::matching::Match;
use weir_tables::packet_in::packet_key;
use weir_tables::port::PortNo;

use super::action::{ActionReader, Within};
use super::context::Context;
use super::error::Fault;
use super::flow::{Options, actions_text};
use super::matches::MatchBuilder;
use super::names;
use super::port;
use super::scan::{Pairs, Tok};
use crate::diagnostic::Diagnostic;

/// A packet to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketOutText {
    /// The port that it is said to come from.
    pub in_port: PortNo,
    /// What else the tables see of it.
    pub metadata: Match,
    /// The frame.
    pub frame: Vec<u8>,
    /// What to do to it.
    pub actions: Vec<Action>,
}

/// Reads a packet-out.
///
/// # Errors
/// If the text is none: it lacks the packet, or has an action that the packet does not allow.
pub fn parse_packet_out(text: &str, options: &Options<'_>) -> Result<PacketOutText, Diagnostic> {
    read(Tok::new(text), options).map_err(|fault| fault.at(options.name, text))
}

fn read(text: Tok<'_>, options: &Options<'_>) -> Result<PacketOutText, Fault> {
    // As in Open vSwitch: it comes from the controller if nothing else is said.
    let mut in_port = PortNo::CONTROLLER;
    let mut frame = None;
    let mut matches = MatchBuilder::default();
    let mut pairs = Pairs::new(text);
    loop {
        let before = pairs.rest();
        let Some(pair) = pairs.next()? else { break };
        match pair.key.text {
            "in_port" => in_port = port::port(pair.required("a port")?, options.ports)?,
            "packet" => frame = Some(hex(pair.required("a frame")?)?),
            "actions" | "action" => {
                let Some(frame) = frame else {
                    let end = text.from(text.text.trim_end().len());
                    return Err(end.fault("missing packet").hint("packet=HEX,..."));
                };
                let actions = actions_text(before, pair.key)?;
                return finish(in_port, frame, matches, actions, options);
            }
            _ if matches.take(&pair, options.ports)? => {}
            _ => return Err(names::unknown_keyword(pair.key)),
        }
    }
    let end = text.from(text.text.trim_end().len());
    Err(end.fault("missing actions").hint("add actions=ACTION,..."))
}

fn finish(
    in_port: PortNo,
    frame: Vec<u8>,
    matches: MatchBuilder<'_>,
    actions: Tok<'_>,
    options: &Options<'_>,
) -> Result<PacketOutText, Fault> {
    let metadata = matches.finish()?;
    let layout = weir_packet::parse(&frame, frame.len());
    let key = layout.map_or(FlowKey::ZERO, |layout| packet_key(&frame, &layout));
    // Actions are judged by what the packet is.
    let mut known = Match::ANY;
    for field in [
        Field::ETH_TYPE,
        Field::NW_PROTO,
        Field::VLAN_TCI,
        Field::ICMP_TYPE,
        Field::ICMP_CODE,
    ] {
        known.set_exact(field, key.field(field));
    }
    let mut reader = ActionReader {
        ports: options.ports,
        context: Context::of(&known),
        table: None,
        unexecuted: Vec::new(),
    };
    let actions = reader.actions(actions, Within::Apply)?;
    Ok(PacketOutText {
        in_port,
        metadata,
        frame,
        actions,
    })
}

/// A frame of at least an Ethernet header.
fn hex(tok: Tok<'_>) -> Result<Vec<u8>, Fault> {
    let digits: Option<Vec<u8>> = tok
        .text
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    let digits = digits.unwrap_or_default();
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() < 14 || !rest.is_empty() {
        let fault = tok.fault("not a frame");
        return Err(fault.hint("expected at least 14 bytes in hexadecimal"));
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
