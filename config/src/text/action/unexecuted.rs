//! Reads actions of Open vSwitch that are not executed: they are checked and brought to canonical
//! form, so that a policy can be read, compared and printed; what would run it refuses it.

use std::fmt::Write as _;

use weir_tables::action::Action;
use weir_tables::field::{Field, Prerequisite};

use super::{ActionReader, Within, lacks};
use crate::text::error::Fault;
use crate::text::number;
use crate::text::port;
use crate::text::print::subfield_text;
use crate::text::scan::{Form, Pair, Pairs, Tok};
use crate::text::value;

mod learn;
mod links;

/// An action that is not executed.
fn unexecuted(name: &'static str, text: String) -> Action {
    Action::Unexecuted {
        name,
        text,
        in_set: false,
    }
}

/// The same, of one that may be in an action set.
fn in_set(name: &'static str, text: String) -> Action {
    Action::Unexecuted {
        name,
        text,
        in_set: true,
    }
}

impl ActionReader<'_> {
    /// Takes an action that is not executed. Returns whether `key` is one.
    pub(super) fn unexecuted_action(
        &mut self,
        key: &str,
        pair: &Pair<'_>,
        within: Within,
        out: &mut Vec<Action>,
    ) -> Result<bool, Fault> {
        let action = match key {
            "bundle" => self.bundle(pair)?,
            "bundle_load" => self.bundle_load(pair, within)?,
            "multipath" => self.multipath(pair, within)?,
            "learn" => self.learn(pair)?,
            "sample" => self.sample(pair)?,
            "meter" => meter(pair, within, out)?,
            "set_queue" => {
                let queue: u32 = number::narrow(pair.required("a queue")?, "queue")?;
                in_set("set_queue", format!("set_queue:{queue}"))
            }
            "pop_queue" => {
                pair.bare()?;
                unexecuted("pop_queue", "pop_queue".to_owned())
            }
            "enqueue" => {
                self.enqueue(pair, out)?;
                return Ok(true);
            }
            "encap" => self.encap(pair)?,
            "decap" => self.decap(pair)?,
            "dec_nsh_ttl" => {
                pair.bare()?;
                self.needs(pair, Prerequisite::Nsh, within)?;
                in_set("dec_nsh_ttl", "dec_nsh_ttl".to_owned())
            }
            "push_mpls" => self.push_mpls(pair)?,
            "pop_mpls" => self.pop_mpls(pair, within)?,
            "set_mpls_label" => {
                let max = value::ones(Field::MPLS_LABEL);
                let label = number::ranged(pair.required("a label")?, "MPLS label", 0, max)?;
                self.set(pair, Field::MPLS_LABEL, label, out)?;
                return Ok(true);
            }
            "set_mpls_tc" => {
                let class = number::ranged(pair.required("a class")?, "MPLS class", 0, 7)?;
                self.set(pair, Field::MPLS_TC, class, out)?;
                return Ok(true);
            }
            "set_mpls_ttl" => {
                let ttl: u8 = number::narrow(pair.required("a TTL")?, "MPLS TTL")?;
                self.needs(pair, Prerequisite::Mpls, within)?;
                in_set("set_mpls_ttl", format!("set_mpls_ttl({ttl})"))
            }
            "dec_mpls_ttl" => {
                pair.bare()?;
                self.needs(pair, Prerequisite::Mpls, within)?;
                in_set("dec_mpls_ttl", "dec_mpls_ttl".to_owned())
            }
            "debug_recirc" | "debug_slow" | "unroll_xlate" => {
                let fault = pair
                    .whole
                    .fault(format!("{key} is for tests of Open vSwitch"));
                return Err(fault.hint("remove it"));
            }
            _ => return Ok(false),
        };
        out.push(action);
        Ok(true)
    }

    fn needs(
        &self,
        pair: &Pair<'_>,
        prerequisite: Prerequisite,
        within: Within,
    ) -> Result<(), Fault> {
        match self.missing(prerequisite) {
            Some(missing) if within != Within::Set => {
                Err(lacks(pair.whole, pair.key.text, missing))
            }
            _ => Ok(()),
        }
    }

    /// `enqueue:PORT:QUEUE`, which OpenFlow 1.3 writes as three actions.
    fn enqueue(&self, pair: &Pair<'_>, out: &mut Vec<Action>) -> Result<(), Fault> {
        let separator = match pair.form {
            Form::Parenthesised => ",",
            Form::Bare | Form::Assigned => ":",
        };
        let Some((port_tok, queue)) = pair.value.split_once(separator) else {
            let fault = pair.whole.fault("enqueue needs a port and a queue");
            return Err(fault.hint("such as enqueue:1:2 or enqueue(1,2)"));
        };
        let port = port::port(port_tok.trim(), self.ports)?;
        let queue: u32 = number::narrow(queue.trim(), "queue")?;
        out.push(in_set("set_queue", format!("set_queue:{queue}")));
        out.push(Action::Output(port));
        out.push(unexecuted("pop_queue", "pop_queue".to_owned()));
        Ok(())
    }

    fn sample(&self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let mut probability = None;
        let (mut collector, mut domain, mut point) = (0_u32, "0".to_owned(), "0".to_owned());
        let (mut sampled_at, mut direction) = (String::new(), "");
        let mut pairs = Pairs::new(pair.value);
        while let Some(option) = pairs.next()? {
            let what = "a value";
            match option.key.text {
                "probability" => {
                    let tok = option.required(what)?;
                    probability = Some(number::ranged(tok, "probability", 1, 0xffff)?);
                }
                "collector_set_id" => {
                    collector = number::narrow(option.required(what)?, option.key.text)?;
                }
                "obs_domain_id" => domain = self.number_or_field(&option)?,
                "obs_point_id" => point = self.number_or_field(&option)?,
                "sampling_port" => {
                    let port = port::port(option.required("a port")?, self.ports)?;
                    sampled_at = format!(",sampling_port={port}");
                }
                "ingress" => direction = ",ingress",
                "egress" => direction = ",egress",
                text => {
                    let fault = option.key.fault(format!("unknown option {text}"));
                    return Err(fault.hint(
                        "expected probability, collector_set_id, obs_domain_id, obs_point_id, \
                         sampling_port, ingress or egress",
                    ));
                }
            }
        }
        let Some(probability) = probability else {
            let fault = pair.whole.fault("sample needs a probability");
            return Err(fault.hint("such as sample(probability=65535)"));
        };
        let text = format!(
            "sample(probability={probability},collector_set_id={collector},\
             obs_domain_id={domain},obs_point_id={point}{sampled_at}{direction})"
        );
        Ok(unexecuted("sample", text))
    }

    fn number_or_field(&self, option: &Pair<'_>) -> Result<String, Fault> {
        let tok = option.required("a value")?;
        if tok.text.starts_with(|letter: char| letter.is_ascii_digit()) {
            let number: u32 = number::narrow(tok, option.key.text)?;
            return Ok(number.to_string());
        }
        let source = value::subfield(tok)?;
        self.readable(tok, source.field)?;
        Ok(subfield_text(source).to_string())
    }

    fn push_mpls(&mut self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let tok = pair.required("an Ethernet type")?;
        let eth_type: u16 = number::narrow(tok, "Ethernet type")?;
        if !matches!(eth_type, 0x8847 | 0x8848) {
            let fault = tok.fault("not the Ethernet type of MPLS");
            return Err(fault.hint("expected 0x8847 or 0x8848"));
        }
        self.context.becomes(Some(eth_type));
        Ok(in_set("push_mpls", format!("push_mpls:{eth_type:#06x}")))
    }

    fn pop_mpls(&mut self, pair: &Pair<'_>, within: Within) -> Result<Action, Fault> {
        let eth_type: u16 = number::narrow(pair.required("an Ethernet type")?, "Ethernet type")?;
        self.needs(pair, Prerequisite::Mpls, within)?;
        self.context.becomes(Some(eth_type));
        Ok(in_set("pop_mpls", format!("pop_mpls:{eth_type:#06x}")))
    }

    /// `encap(HEADER)`, `encap(nsh(...))`
    fn encap(&mut self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let mut pairs = Pairs::new(pair.value);
        let unknown = |tok: Tok<'_>| {
            tok.fault(format!("unknown header {}", tok.text))
                .hint("expected ethernet, nsh, mpls or mpls_mc")
        };
        let Some(header) = pairs.next()? else {
            return Err(unknown(pair.whole));
        };
        let mut text = format!("encap({}", header.key.text);
        match header.key.text {
            "ethernet" => {}
            "nsh" => {
                text += &nsh(header.value)?;
                self.context.becomes(Some(0x894f));
            }
            "mpls" => self.context.becomes(Some(0x8847)),
            "mpls_mc" => self.context.becomes(Some(0x8848)),
            _ => return Err(unknown(header.key)),
        }
        if let Some(more) = pairs.next()? {
            return Err(more.whole.fault("one header only in encap"));
        }
        Ok(in_set("encap", text + ")"))
    }

    /// `decap`, `decap(packet_type(ns=N,type=T))`
    fn decap(&mut self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let mut text = "decap(".to_owned();
        let mut pairs = Pairs::new(pair.value);
        if let Some(next) = pairs.next()? {
            if next.key.text != "packet_type" {
                let fault = next.key.fault(format!("unknown option {}", next.key.text));
                return Err(fault.hint("expected packet_type(ns=N,type=T)"));
            }
            let (mut namespace, mut kind): (u16, u16) = (0, 0);
            let mut parts = Pairs::new(next.value);
            while let Some(part) = parts.next()? {
                let tok = part.required("a number")?;
                match part.key.text {
                    "ns" => namespace = number::narrow(tok, "namespace")?,
                    "type" => kind = number::narrow(tok, "type")?,
                    text => return Err(part.key.fault(format!("unknown option {text}"))),
                }
            }
            let kind = if kind == 0 {
                "0".to_owned()
            } else {
                format!("{kind:#x}")
            };
            // Writing to a String cannot fail.
            let _ = write!(text, "packet_type(ns={namespace},type={kind})");
        }
        if self.context.eth_type() == Some(0x894f) {
            self.context.becomes(None);
        }
        Ok(in_set("decap", text + ")"))
    }
}

/// `meter:ID` comes first.
fn meter(pair: &Pair<'_>, within: Within, out: &[Action]) -> Result<Action, Fault> {
    let id = number::ranged(pair.required("a meter")?, "meter", 1, 0xffff_0000)?;
    if within != Within::Apply {
        return Err(pair.whole.fault("meter is not allowed here"));
    }
    if !out.is_empty() {
        let fault = pair.whole.fault("meter must stand before all actions");
        return Err(fault.hint("move it to the front"));
    }
    Ok(unexecuted("meter", format!("meter:{id}")))
}

/// `md_type=N`, `tlv(CLASS,TYPE,DATA)`
fn nsh(text: Tok<'_>) -> Result<String, Fault> {
    let mut parts = Vec::new();
    let mut pairs = Pairs::new(text);
    while let Some(pair) = pairs.next()? {
        match pair.key.text {
            "md_type" => {
                let tok = pair.required("a number")?;
                let kind = number::ranged(tok, "md_type", 1, 2)?;
                parts.push(format!("md_type={kind}"));
            }
            "tlv" => {
                let mut numbers = pair.value.text.splitn(3, ',').map(str::trim);
                let mut next = |max: u128| {
                    let text = numbers.next().unwrap_or_default();
                    let number = number::integer(Tok { text, at: 0 }).ok();
                    number.filter(|&number| number <= max)
                };
                let (Some(class), Some(kind)) = (next(0xffff), next(0xff)) else {
                    return Err(tlv_fault(&pair));
                };
                let data = numbers.next().and_then(|data| data.strip_prefix("0x"));
                let Some(data) = data.filter(|data| {
                    !data.is_empty() && data.bytes().all(|digit| digit.is_ascii_hexdigit())
                }) else {
                    return Err(tlv_fault(&pair));
                };
                let even = if data.len() % 2 == 1 { "0" } else { "" };
                let data = data.to_ascii_lowercase();
                parts.push(format!("tlv({class:#06x},{kind},0x{even}{data})"));
            }
            text => {
                let fault = pair.key.fault(format!("unknown option {text}"));
                return Err(fault.hint("expected md_type=1, md_type=2 or tlv(CLASS,TYPE,DATA)"));
            }
        }
    }
    Ok(match parts.is_empty() {
        true => String::new(),
        false => format!("({})", parts.join(",")),
    })
}

fn tlv_fault(pair: &Pair<'_>) -> Fault {
    let fault = pair.whole.fault("bad tlv");
    fault.hint("expected tlv(CLASS,TYPE,DATA), such as tlv(0x1000,10,0x12345678)")
}
