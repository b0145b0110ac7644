//! What flows and groups say of `tun_metadata` fields, held against the options that these stand
//! for.
//!
//! Text does not know how long an option is, and a rule that uses one keeps it from going: so this
//! is looked at when a rule or a group comes, and what is shown of it later says what it means.

use crate::action::{Action, Instructions, Subfield};
use crate::field::Field;
use crate::tunnel::options::{Place, TlvMap};
use crate::wide::Wide;

#[cfg(test)]
mod tests;

/// Why something cannot be done to a `tun_metadata` field; the names are those of Open vSwitch's
/// errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// It stands for no option.
    #[error("{0:?} stands for no option: see add-tlv-map (NXFMFC_INVALID_TLV_FIELD)")]
    Unmapped(Field),
    /// Its option has fewer bits than are asked for.
    #[error(
        "{field:?} has no bit {bit}: its option has {} bits (OFPBAC_BAD_SET_LEN)",
        width
    )]
    TooShort {
        /// The field.
        field: Field,
        /// The highest bit asked for.
        bit: u16,
        /// Bits of its option.
        width: u16,
    },
}

impl OptionError {
    /// Where the field lies.
    pub(crate) fn place(field: Field, map: &TlvMap) -> Result<Place, Self> {
        let place = field.option().and_then(|index| map.place(index));
        place.ok_or(Self::Unmapped(field))
    }
}

/// Brings a value and its mask to the form in which they are kept: a mask with all of the option's
/// bits is all ones, as that of one who does not know how long the option is.
pub(crate) fn normalise(
    field: Field,
    value: &mut Wide,
    mask: &mut Wide,
    width: u16,
) -> Result<(), OptionError> {
    let all = Wide::ones(field.info().width);
    let own = Wide::ones(width);
    let is_whole = *mask == all;
    let longest = if is_whole { &*value } else { &*mask };
    if let Some(bit) = longest.len().checked_sub(1).filter(|bit| *bit >= width) {
        return Err(OptionError::TooShort { field, bit, width });
    }
    if *mask == own {
        *mask = all;
    }
    Ok(())
}

/// The `tun_metadata` fields that `actions` use, as bits.
pub(crate) fn fields_of<'a>(actions: impl IntoIterator<Item = &'a Action>) -> u64 {
    let mut fields = 0;
    for action in actions {
        action.subfields(&mut |bits| {
            fields |= bits.field.option().map_or(0, |index| 1 << index);
        });
    }
    fields
}

/// The same of instructions.
pub(crate) fn fields_of_instructions(instructions: &Instructions) -> u64 {
    fields_of(instructions.apply.iter().chain(&instructions.write_actions))
}

/// Holds actions against `map` and brings them to the form in which they are kept.
///
/// # Errors
/// A field stands for no option, or for a shorter one.
pub(crate) fn resolve(actions: &mut [Action], map: &TlvMap) -> Result<(), OptionError> {
    for action in actions {
        let mut wrong = None;
        action.subfields(&mut |bits| wrong = wrong.or_else(|| fits(bits, map).err()));
        if let Some(error) = wrong {
            return Err(error);
        }
        match action {
            Action::SetOption { field, value, mask } => {
                let width = OptionError::place(*field, map)?.width();
                normalise(*field, value, mask, width)?;
            }
            Action::Clone(actions) => resolve(actions, map)?,
            Action::Ct(ct) => resolve(&mut ct.exec, map)?,
            _ => {}
        }
    }
    Ok(())
}

/// Whether a field that is an option has these bits.
fn fits(bits: Subfield, map: &TlvMap) -> Result<(), OptionError> {
    let Subfield {
        field,
        start,
        width,
    } = bits;
    if field.option().is_none() {
        return Ok(());
    }
    let has = OptionError::place(field, map)?.width();
    let bit = start + width - 1;
    if bit < has {
        Ok(())
    } else {
        let width = has;
        Err(OptionError::TooShort { field, bit, width })
    }
}
