//! Actions that send a packet somewhere: to ports, groups, the controller, other tables.

use weir_tables::action::{Action, ControllerAction, PacketInReason};
use weir_tables::field::{Field, Prerequisite};
use weir_tables::port::PortNo;

use super::inert::hex_bytes;
use super::{ActionReader, lacks};
use crate::text::error::Fault;
use crate::text::names;
use crate::text::number;
use crate::text::port;
use crate::text::scan::{Form, Pair, Pairs, Tok};
use crate::text::value;

impl ActionReader<'_> {
    /// `5`, `NORMAL`, `"eth0"`
    pub(super) fn bare_port(&self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let first = pair.key.text.bytes().next();
        match port::port(pair.key, self.ports) {
            Ok(port) => {
                pair.bare()?;
                output_port(pair.key, port)
            }
            Err(fault) if first.is_some_and(|byte| byte.is_ascii_digit() || byte == b'"') => {
                Err(fault)
            }
            Err(_) => Err(names::unknown_action(pair.key)),
        }
    }

    pub(super) fn output(&self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let tok = pair.required("a port")?;
        if pair.form == Form::Parenthesised && tok.text.contains('=') {
            return self.output_cut(pair);
        }
        let fault = match port::port(tok, self.ports) {
            Ok(port) => return output_port(tok, port),
            Err(fault) => fault,
        };
        let name = tok.text.split('[').next().unwrap_or(tok.text);
        if Field::by_name(name)
            .or_else(|| Field::by_wire_name(name))
            .is_none()
        {
            return Err(fault);
        }
        let source = value::subfield(tok)?;
        self.readable(tok, source.field)?;
        Ok(Action::OutputField(source))
    }

    /// `output(port=PORT,max_len=BYTES)`
    fn output_cut(&self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let (mut port, mut max_len) = (None, None);
        let mut pairs = Pairs::new(pair.value);
        while let Some(option) = pairs.next()? {
            match option.key.text {
                "port" => {
                    let tok = option.required("a port")?;
                    port = Some(port::port(tok, self.ports)?);
                    let numbered = port.is_some_and(|port| {
                        port.reserved_name().is_none()
                            || matches!(port, PortNo::LOCAL | PortNo::IN_PORT)
                    });
                    if !numbered {
                        let fault = tok.fault(format!("output to {} cannot be cut", tok.text));
                        return Err(fault.hint("expected a numbered port, LOCAL or IN_PORT"));
                    }
                }
                "max_len" => {
                    let tok = option.required("a length")?;
                    let least = u128::from(LEAST_CUT);
                    max_len = Some(number::ranged(tok, "max_len", least, u32::MAX.into())?);
                }
                _ => {
                    let fault = option
                        .key
                        .fault(format!("unknown option {}", option.key.text));
                    return Err(fault.hint("expected port or max_len"));
                }
            }
        }
        match (port, max_len.map(u32::try_from)) {
            (Some(port), Some(Ok(max_len))) => Ok(Action::OutputCut { port, max_len }),
            _ => {
                let fault = pair.whole.fault("output needs a port and max_len");
                Err(fault.hint("such as output(port=1,max_len=100)"))
            }
        }
    }

    pub(super) fn resubmit(&self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let mut parts = pair.value.text.split(',');
        let mut at = 0;
        let mut part = || {
            let text = parts.next().unwrap_or("");
            let tok = pair
                .value
                .part(at.min(pair.value.text.len()), at + text.len());
            at = (at + text.len() + 1).min(pair.value.text.len());
            tok.trim()
        };
        let (port, table, ct, rest) = (part(), part(), part(), part());
        if !rest.is_empty() {
            return Err(rest.fault("resubmit has at most three arguments"));
        }
        let port = match port.is_empty() {
            true => None,
            false => Some(port::port(port, self.ports)?).filter(|port| *port != PortNo::IN_PORT),
        };
        let table = match table.is_empty() {
            true => None,
            false => Some(value::table(table)?),
        };
        let with_ct = match ct.text {
            "" => false,
            "ct" => true,
            _ => return Err(ct.fault("expected ct, or nothing")),
        };
        if port.is_none() && table.is_none() {
            let fault = pair.whole.fault("resubmit needs a port, a table or both");
            return Err(fault.hint("such as resubmit(,5)"));
        }
        if with_ct && let Some(missing) = self.missing(Prerequisite::Ct) {
            return Err(lacks(ct, "ct", missing));
        }
        Ok(Action::Resubmit {
            port,
            table,
            ct: with_ct,
        })
    }
}

/// Bytes that are sent at least: an Ethernet header.
const LEAST_CUT: u32 = 14;

fn output_port(tok: Tok<'_>, port: PortNo) -> Result<Action, Fault> {
    match port {
        PortNo::CONTROLLER => Ok(Action::Controller(Box::default())),
        PortNo::NONE | PortNo::UNSET => Err(tok.fault(format!("{} is not a port", tok.text))),
        _ => Ok(Action::Output(port)),
    }
}

/// `controller`, `controller:MAX_LEN`, `controller(...)`
pub(super) fn controller(pair: &Pair<'_>) -> Result<Action, Fault> {
    let mut action = ControllerAction::default();
    if pair.form == Form::Assigned && !pair.value.text.contains('=') {
        action.max_len = number::narrow(pair.required("a length")?, "max_len")?;
        return Ok(Action::Controller(Box::new(action)));
    }
    let mut pairs = Pairs::new(pair.value);
    while let Some(option) = pairs.next()? {
        match option.key.text {
            "max_len" => action.max_len = number::narrow(option.required("a length")?, "max_len")?,
            "reason" => action.reason = reason(option.required("a reason")?)?,
            "id" => action.id = number::narrow(option.required("a number")?, "id")?,
            "userdata" => action.userdata = hex_bytes(option.value, "userdata")?,
            "pause" => {
                option.bare()?;
                action.pause = true;
            }
            "meter_id" => {
                let meter = number::narrow(option.required("a number")?, "meter_id")?;
                action.meter = Some(meter);
            }
            text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                action.max_len = number::narrow(option.key, "max_len")?;
            }
            _ => {
                let fault = option
                    .key
                    .fault(format!("unknown option {}", option.key.text));
                return Err(fault.hint("expected max_len, reason, id, userdata, pause or meter_id"));
            }
        }
    }
    Ok(Action::Controller(Box::new(action)))
}

fn reason(tok: Tok<'_>) -> Result<PacketInReason, Fault> {
    PacketInReason::ALL
        .into_iter()
        .find(|reason| reason.name() == tok.text)
        .ok_or_else(|| {
            let fault = tok.fault(format!("{} is no reason", tok.text));
            let names = PacketInReason::ALL.map(PacketInReason::name);
            fault.hint(format!("expected {}", names.join(", ")))
        })
}

/// A group's number; those above are reserved.
pub(in crate::text) fn group(tok: Tok<'_>) -> Result<u32, Fault> {
    const MAX: u128 = 0xffff_ff00;
    let id = number::ranged(tok, "group", 0, MAX)?;
    u32::try_from(id).map_err(|_| tok.fault("group out of range"))
}
