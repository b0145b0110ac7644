//! `multipath(...)`, `bundle(...)`, `bundle_load(...)`: a hash of the packet chooses a link.

use weir_tables::action::{Action, Subfield};

use super::unexecuted;
use crate::text::action::{ActionReader, Within};
use crate::text::error::Fault;
use crate::text::number;
use crate::text::port;
use crate::text::print::subfield_text;
use crate::text::scan::{Pair, Tok};
use crate::text::value;

/// What a hash can be of.
const FIELDS: [&str; 7] = [
    "eth_src",
    "symmetric_l4",
    "symmetric_l3l4",
    "symmetric_l3l4+udp",
    "nw_src",
    "nw_dst",
    "symmetric_l3",
];

const MULTIPATH: [&str; 4] = ["modulo_n", "hash_threshold", "hrw", "iter_hash"];
const BUNDLE: [&str; 2] = ["active_backup", "hrw"];

impl ActionReader<'_> {
    /// `multipath(FIELDS,BASIS,ALGORITHM,LINKS,ARGUMENT,FIELD)`
    pub(super) fn multipath(&self, pair: &Pair<'_>, within: Within) -> Result<Action, Fault> {
        let arguments = arguments(pair.value);
        let [fields, basis, algorithm, links, argument, dst] = arguments[..] else {
            let fault = pair.whole.fault("multipath needs six arguments");
            return Err(fault.hint("such as multipath(eth_src,50,modulo_n,1,0,reg0[])"));
        };
        let fields = one_of(fields, "fields", &FIELDS)?;
        let basis: u16 = number::narrow(basis, "basis")?;
        let algorithm = one_of(algorithm, "algorithm", &MULTIPATH)?;
        let count = number::ranged(links, "number of links", 1, 65_536)?;
        let argument: u32 = number::narrow(argument, "argument")?;
        let dst = self.destination(dst, within)?;
        if dst.width < 16 && count > 1 << dst.width {
            let fault = links.fault(format!("{count} links do not fit into the field"));
            return Err(fault.hint(format!("it has {}", value::bits(dst.width))));
        }
        let text = format!(
            "multipath({fields},{basis},{algorithm},{count},{argument},{})",
            subfield_text(dst)
        );
        Ok(unexecuted("multipath", text))
    }

    /// `bundle(FIELDS,BASIS,ALGORITHM,ofport,members:PORT,...)`
    pub(super) fn bundle(&self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let arguments = arguments(pair.value);
        let [fields, basis, algorithm, kind, ref members @ ..] = arguments[..] else {
            return Err(too_few(pair));
        };
        let head = head(fields, basis, algorithm, kind)?;
        let members = self.members(pair, members)?;
        Ok(unexecuted("bundle", format!("bundle({head},{members})")))
    }

    /// `bundle_load(FIELDS,BASIS,ALGORITHM,ofport,FIELD,members:PORT,...)`
    pub(super) fn bundle_load(&self, pair: &Pair<'_>, within: Within) -> Result<Action, Fault> {
        let arguments = arguments(pair.value);
        let [fields, basis, algorithm, kind, dst_tok, ref members @ ..] = arguments[..] else {
            return Err(too_few(pair));
        };
        let head = head(fields, basis, algorithm, kind)?;
        let dst = self.destination(dst_tok, within)?;
        if dst.width < 16 {
            let fault = dst_tok.fault(format!("a port has 16 bits, this field {}", dst.width));
            return Err(fault.hint("such as reg0[]"));
        }
        let members = self.members(pair, members)?;
        let text = format!("bundle_load({head},{},{members})", subfield_text(dst));
        Ok(unexecuted("bundle_load", text))
    }

    fn destination(&self, tok: Tok<'_>, within: Within) -> Result<Subfield, Fault> {
        let dst = value::subfield(tok)?;
        self.writable(tok, dst.field, within)?;
        Ok(dst)
    }

    /// `members:PORT,...`, or as it was once called.
    fn members(&self, pair: &Pair<'_>, list: &[Tok<'_>]) -> Result<String, Fault> {
        let prefixes = ["members:", "slaves:"];
        let first = list.first().and_then(|first| {
            let prefix = prefixes
                .iter()
                .find(|prefix| first.text.starts_with(**prefix))?;
            Some(first.from(prefix.len()))
        });
        let Some(first) = first else {
            return Err(too_few(pair));
        };
        let all = std::iter::once(first).chain(list[1..].iter().copied());
        let ports = all
            .map(|tok| tok.trim())
            .filter(|tok| !tok.is_empty())
            .map(|tok| Ok(port::port(tok, self.ports)?.to_string()))
            .collect::<Result<Vec<_>, Fault>>()?;
        Ok(format!("members:{}", ports.join(",")))
    }
}

fn head(
    fields: Tok<'_>,
    basis: Tok<'_>,
    algorithm: Tok<'_>,
    kind: Tok<'_>,
) -> Result<String, Fault> {
    let fields = one_of(fields, "fields", &FIELDS)?;
    let basis: u16 = number::narrow(basis, "basis")?;
    let algorithm = one_of(algorithm, "algorithm", &BUNDLE)?;
    let kind = one_of(kind, "kind of member", &["ofport"])?;
    Ok(format!("{fields},{basis},{algorithm},{kind}"))
}

fn too_few(pair: &Pair<'_>) -> Fault {
    let name = pair.key.text;
    let dst = if name == "bundle" { "" } else { "reg0[]," };
    let fault = pair.whole.fault(format!("{name} has too few arguments"));
    fault.hint(format!(
        "such as {name}(eth_src,0,hrw,ofport,{dst}members:1,2)"
    ))
}

/// What stands between commas.
fn arguments(text: Tok<'_>) -> Vec<Tok<'_>> {
    let mut at = 0;
    let mut parts = Vec::new();
    for part in text.text.split(',') {
        parts.push(text.part(at, at + part.len()).trim());
        at += part.len() + 1;
    }
    parts
}

fn one_of(tok: Tok<'_>, what: &str, known: &[&'static str]) -> Result<&'static str, Fault> {
    known
        .iter()
        .find(|name| **name == tok.text)
        .copied()
        .ok_or_else(|| {
            let fault = tok.fault(format!("unknown {what} {}", tok.text));
            fault.hint(format!("expected {}", known.join(", ")))
        })
}
