//! Actions that do nothing to a packet by themselves.

use weir_tables::action::Action;

use crate::text::error::Fault;
use crate::text::number;
use crate::text::scan::{Pair, Tok};

pub(super) fn conjunction(pair: &Pair<'_>) -> Result<Action, Fault> {
    let syntax = || {
        pair.whole
            .fault("bad conjunction")
            .hint("expected conjunction(ID,K/N)")
    };
    let (id, clause) = pair.value.split_once(",").ok_or_else(syntax)?;
    let (clause, clauses) = clause.split_once("/").ok_or_else(syntax)?;
    let id = number::narrow(id.trim(), "conjunction's ID")?;
    let (clause, clauses) = (clause.trim(), clauses.trim());
    let count = number::ranged(clauses, "number of clauses", 2, 64)?;
    let number = number::ranged(clause, "clause", 1, count)?;
    Ok(Action::Conjunction {
        id,
        clause: u8::try_from(number).map_err(|_| syntax())?,
        clauses: u8::try_from(count).map_err(|_| syntax())?,
    })
}

/// Bytes in a note beyond which it no longer fits into an OpenFlow message.
const NOTE_MAX: usize = 65_494;

/// `note:01.02.ab`, filled with zeros to the size that it has on the wire.
pub(super) fn note(pair: &Pair<'_>) -> Result<Action, Fault> {
    let mut bytes = hex_bytes(pair.value, "note")?;
    if bytes.len() > NOTE_MAX {
        return Err(pair
            .value
            .fault(format!("note of more than {NOTE_MAX} bytes")));
    }
    // The action's header has 10 bytes, and actions are multiples of 8.
    let padded = (bytes.len() + 10).next_multiple_of(8) - 10;
    bytes.resize(padded, 0);
    Ok(Action::Note(bytes))
}

/// Bytes such as `01.02.ab`, with or without the dots.
pub(super) fn hex_bytes(tok: Tok<'_>, what: &str) -> Result<Vec<u8>, Fault> {
    let digits: Vec<u8> = tok
        .text
        .bytes()
        .filter(|byte| !matches!(byte, b'.' | b' ' | b'\t'))
        .collect();
    let (digits, rest) = digits.as_chunks::<2>();
    let bytes: Option<Vec<u8>> = digits
        .iter()
        .map(
            |pair| match pair.map(|digit| char::from(digit).to_digit(16)) {
                [Some(high), Some(low)] => u8::try_from(high << 4 | low).ok(),
                _ => None,
            },
        )
        .collect();
    bytes.filter(|_| rest.is_empty()).ok_or_else(|| {
        tok.fault(format!("bad {what}"))
            .hint("expected bytes such as 01.02.ab")
    })
}
