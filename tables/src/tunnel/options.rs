//! Geneve's options: as they lie in a packet, and as a policy's `tun_metadata` fields have them.
//!
//! A [`TlvMap`] says which option is which field (`add-tlv-map`), and where its value lies in the
//! flow key. Options that no field stands for are not kept: no rule could see them, and what is
//! sent on through another tunnel does not have them.

use weir_packet::view::{Geneve, GeneveOption, GeneveOptions};

use crate::field::Field;
use crate::key::{FlowKey, OPTION_WORDS, WORDS, word};
use crate::wide::Wide;

mod map;
mod place;
#[cfg(test)]
mod tests;

pub use map::{TlvError, TlvMap, TlvMapping};
pub(crate) use place::{Piece, Place};

const _: () = assert!(word::OPTIONS_PRESENT as usize == WORDS);

/// The words of a flow key that tell of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OptionWords([u64; OPTION_WORDS]);

impl OptionWords {
    /// Those of a packet without options.
    pub(crate) const NONE: Self = Self([0; OPTION_WORDS]);

    /// Whether the packet has no field.
    #[inline]
    pub(crate) const fn is_none(&self) -> bool {
        self.0[0] == 0
    }

    /// Whether a packet with the others has the same fields, and in them the same.
    #[inline]
    pub(crate) fn agree(&self, other: &Self) -> bool {
        self.0[0] == other.0[0] && (self.is_none() || self == other)
    }

    /// The words, as a key has them.
    pub(crate) const fn words(&self) -> &[u64; OPTION_WORDS] {
        &self.0
    }

    /// Writes them into a flow key.
    #[inline]
    pub(crate) fn write_to(&self, key: &mut FlowKey) {
        key.set_options((!self.is_none()).then_some(&self.0));
    }

    /// What the options of a received packet say.
    ///
    /// # Errors
    /// An option is cut off, is one that the receiver has to know and does not, or has another
    /// size than its field: the packet is to be dropped, as in Open vSwitch.
    pub(crate) fn read(options: &[u8], map: &TlvMap) -> Result<Self, BadOption> {
        let mut words = Self::NONE;
        let mut size = 0;
        for option in GeneveOptions::of(options) {
            size += GeneveOption::HEADER_SIZE + option.data.len();
            match map.place_of(option.class, option.option_type) {
                Some(place) if usize::from(place.size) == option.data.len() => {
                    words.0[0] |= place.present();
                    for (part, unit) in option.data.chunks_exact(4).zip(place.units()) {
                        let bits = part
                            .iter()
                            .fold(0, |bits, byte| bits << 8 | u64::from(*byte));
                        let shift = Place::shift(unit);
                        let word = &mut words.0[1 + usize::from(unit / 2)];
                        // Of an option that is there twice the last counts.
                        *word = *word & !(0xffff_ffff << shift) | bits << shift;
                    }
                }
                Some(_) => return Err(BadOption),
                None if option.is_critical() => return Err(BadOption),
                None => {}
            }
        }
        if size == options.len() {
            Ok(words)
        } else {
            Err(BadOption)
        }
    }
}

/// An option is not as it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadOption;

impl FlowKey {
    /// The `tun_metadata` fields that the packet has, and what they hold, by their numbers.
    ///
    /// Cost: for what is told of a packet, not for packets.
    pub fn option_fields(&self, map: &TlvMap) -> Vec<(Field, Wide)> {
        let present = self.options().map_or(0, |words| words[0]);
        let places = map.places().map(|(_, place)| place);
        let had = places.filter(|place| present & place.present() != 0);
        let value = |place: Place| {
            place.words_of(self).fold(Wide::ZERO, |all, bits| {
                let mut all = all.shifted_up(32);
                all.add_part(0, bits);
                all
            })
        };
        had.map(|place| (Field::tun_metadata(place.index), value(place)))
            .collect()
    }

    /// Whether the packet has a `tun_metadata` field.
    #[inline]
    pub(crate) fn has_options(&self) -> bool {
        self.options().is_some_and(|words| words[0] != 0)
    }
}

/// The options of one packet, as they lie in it.
#[derive(Clone, Copy)]
pub struct RawOptions {
    size: u8,
    bytes: [u8; Geneve::MAX_OPTIONS],
}

impl RawOptions {
    /// No options.
    pub const NONE: Self = Self {
        size: 0,
        bytes: [0; Geneve::MAX_OPTIONS],
    };

    /// A copy of `bytes`, which are whole options.
    ///
    /// Bytes beyond [`Geneve::MAX_OPTIONS`] are left out.
    #[inline]
    pub fn of(bytes: &[u8]) -> Self {
        let mut all = Self::NONE;
        let size = bytes.len().min(Geneve::MAX_OPTIONS);
        all.bytes[..size].copy_from_slice(&bytes[..size]);
        all.size = size as u8;
        all
    }

    /// The options that carry the fields of `key`, by the fields' numbers. One for which there is
    /// no room any more is left out.
    pub(crate) fn of_key(key: &FlowKey, map: &TlvMap) -> Self {
        let mut all = Self::NONE;
        let Some([present, values @ ..]) = key.options() else {
            return all;
        };
        for (mapping, place) in map.places() {
            if present & place.present() == 0 {
                continue;
            }
            let start = usize::from(all.size);
            let data = start + GeneveOption::HEADER_SIZE;
            let end = data + usize::from(mapping.size);
            let Some(bytes) = all.bytes.get_mut(start..end) else {
                continue;
            };
            let (header, bytes) = bytes.split_at_mut(GeneveOption::HEADER_SIZE);
            let [c0, c1] = mapping.class.to_be_bytes();
            header.copy_from_slice(&[c0, c1, mapping.option_type, mapping.size / 4]);
            for (part, unit) in bytes.chunks_exact_mut(4).zip(place.units()) {
                let bits = values[usize::from(unit / 2)] >> Place::shift(unit);
                part.copy_from_slice(&(bits as u32).to_be_bytes());
            }
            all.size = end as u8;
        }
        all
    }

    /// The options.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.size)]
    }

    /// Whether somebody who does not know one of them has to drop the packet.
    #[inline]
    pub fn has_critical(&self) -> bool {
        GeneveOptions::of(self.bytes()).any(|option| option.is_critical())
    }
}

impl Default for RawOptions {
    fn default() -> Self {
        Self::NONE
    }
}

impl PartialEq for RawOptions {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for RawOptions {}

impl std::hash::Hash for RawOptions {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

impl std::fmt::Debug for RawOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(GeneveOptions::of(self.bytes()))
            .finish()
    }
}
