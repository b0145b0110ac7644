//! `--ct-next`: what the next recirculation is to be told.

use weir_ct::CtState;

use crate::diagnostic::Diagnostic;

/// Reads `trk,est`; `|` separates as well.
///
/// # Errors
/// A flag that is none, or flags that exclude each other.
pub(super) fn parse(text: &str) -> Result<CtState, Diagnostic> {
    const NAMES: [(&str, CtState); 9] = [
        ("new", CtState::NEW),
        ("est", CtState::EST),
        ("rel", CtState::REL),
        ("rpl", CtState::RPL),
        ("rpy", CtState::RPL),
        ("inv", CtState::INV),
        ("trk", CtState::TRK),
        ("snat", CtState::SNAT),
        ("dnat", CtState::DNAT),
    ];
    let mut state = CtState::UNTRACKED;
    let mut at = 0;
    for part in text.split([',', '|']) {
        let word = part.trim();
        let known = NAMES.iter().find(|(name, _)| *name == word);
        match known {
            Some((_, flag)) => state |= *flag,
            // Nothing at all is a packet that is not tracked.
            None if text.trim().is_empty() => {}
            None => {
                let message = format!("unknown ct_state flag \"{word}\"");
                let error = Diagnostic::at("--ct-next", text, at..at + part.len(), message);
                return Err(
                    error.with_hint("the flags are new, est, rel, rpl, inv, trk, snat, dnat")
                );
            }
        }
        at += part.len() + 1;
    }
    match fault(state) {
        None => Ok(state),
        Some(message) => Err(Diagnostic::at("--ct-next", text, 0..text.len(), message)),
    }
}

/// What is wrong with a state that no packet can have.
fn fault(state: CtState) -> Option<&'static str> {
    let has = |flag| state.contains(flag);
    let (invalid, tracked) = (CtState::INV, CtState::TRK);
    if state != CtState::UNTRACKED && !has(tracked) {
        Some("without trk no other flag is set")
    } else if has(invalid) && state != invalid | tracked {
        Some("with inv only trk may be set")
    } else if has(CtState::NEW) && has(CtState::EST) {
        Some("new and est exclude each other")
    } else if has(CtState::NEW) && has(CtState::RPL) {
        Some("new and rpl exclude each other")
    } else {
        None
    }
}
