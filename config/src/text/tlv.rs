//! Reads which Geneve options are which `tun_metadata` fields, as `add-tlv-map` takes it.

use weir_tables::field::Field;
use weir_tables::tunnel::options::TlvMapping;

use super::error::Fault;
use super::number;
use super::scan::Tok;
use crate::diagnostic::Diagnostic;

/// The form that is expected.
const FORM: &str = "expected {class=CLASS,type=TYPE,len=BYTES}->tun_metadataN,...";

/// Reads `{class=0xffff,type=0,len=4}->tun_metadata0,...`; `name` is how errors call the text.
///
/// # Errors
/// Points at what is no such list.
pub fn parse_tlv_map(name: &str, text: &str) -> Result<Vec<TlvMapping>, Diagnostic> {
    read(Tok::new(text)).map_err(|fault| fault.at(name, text))
}

fn read(text: Tok<'_>) -> Result<Vec<TlvMapping>, Fault> {
    let mut mappings = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (mapping, behind) = one(rest)?;
        mappings.push(mapping);
        let behind = behind.trim();
        rest = match behind.text.strip_prefix(',') {
            Some(_) => behind.from(1).trim(),
            None => behind,
        };
    }
    if mappings.is_empty() {
        return Err(text.fault("no option is named").hint(FORM));
    }
    Ok(mappings)
}

/// The first mapping, and what is behind it.
fn one(text: Tok<'_>) -> Result<(TlvMapping, Tok<'_>), Fault> {
    let bad = || text.fault("not an option and its field").hint(FORM);
    if !text.text.starts_with('{') {
        return Err(bad());
    }
    let (inner, behind) = text.from(1).split_once("}").ok_or_else(bad)?;
    if !behind.text.starts_with("->") {
        return Err(bad());
    }
    let target = behind.from(2);
    let end = target.text.find([',', '{', ' ']);
    let end = end.unwrap_or(target.text.len());
    let name = target.part(0, end);
    let Some(index) = Field::by_name(name.text).and_then(Field::option) else {
        let fault = name.fault(format!("\"{}\" is no field for options", name.text));
        return Err(fault.hint("expected tun_metadata0 to tun_metadata63"));
    };
    let (mut class, mut option_type, mut size) = (None, None, None);
    let mut rest = Some(inner);
    while let Some(all) = rest {
        let (part, behind) = match all.split_once(",") {
            Some((part, behind)) => (part, Some(behind)),
            None => (all, None),
        };
        rest = behind;
        let (key, value) = part.split_once("=").ok_or_else(bad)?;
        match key.trim().text {
            "class" => class = Some(number::narrow(value.trim(), "class")?),
            "type" => option_type = Some(number::narrow(value.trim(), "type")?),
            "len" => size = Some(length(value.trim())?),
            _ => return Err(key.fault("unknown key").hint(FORM)),
        }
    }
    let (Some(class), Some(option_type), Some(size)) = (class, option_type, size) else {
        return Err(bad());
    };
    let mapping = TlvMapping {
        class,
        option_type,
        size,
        index,
    };
    Ok((mapping, target.from(end)))
}

/// Bytes that an option can have.
fn length(tok: Tok<'_>) -> Result<u8, Fault> {
    let size: u8 = number::narrow(tok, "len")?;
    if size == 0 || size > 124 || !size.is_multiple_of(4) {
        let fault = tok.fault(format!("no option has {size} bytes (NXTTMFC_BAD_OPT_LEN)"));
        return Err(fault.hint("expected 4 to 124, a multiple of 4"));
    }
    Ok(size)
}

#[cfg(test)]
mod tests;
