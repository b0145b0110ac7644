//! Geneve's options: as they lie in a packet, and as a policy's `tun_metadata` fields have them.
//!
//! A [`TlvMap`] says which option is which field (`add-tlv-map`). Options that no field stands
//! for are not kept: no rule could see them.

use weir_packet::view::{Geneve, GeneveOption, GeneveOptions};

#[cfg(test)]
mod tests;

/// Which option a `tun_metadata` field stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlvMapping {
    /// Who defines the option's type.
    pub class: u16,
    /// The option's type.
    pub option_type: u8,
    /// Size of its data in bytes: 4 to 124, a multiple of 4.
    pub size: u8,
    /// The field's number: 0 to 63.
    pub index: u8,
}

impl TlvMapping {
    /// Whether an option is the one meant.
    fn means(&self, option: &GeneveOption<'_>) -> bool {
        (self.class, self.option_type) == (option.class, option.option_type)
            && usize::from(self.size) == option.data.len()
    }
}

/// The fields of a policy, in the order in which their options are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlvMap(Vec<TlvMapping>);

impl TlvMap {
    /// Most fields there can be.
    pub const FIELDS: u8 = 64;
    /// Longest data of all fields together, in bytes, as in Open vSwitch.
    pub const SIZE: usize = 256;

    /// A map; `None` if two mappings have one field or one option, a size is none, or all of
    /// them together are too long.
    pub fn new(mappings: Vec<TlvMapping>) -> Option<Self> {
        let clash = |a: &TlvMapping, b: &TlvMapping| {
            a.index == b.index || (a.class, a.option_type) == (b.class, b.option_type)
        };
        let fits = |one: &TlvMapping| {
            let size = usize::from(one.size);
            one.index < Self::FIELDS
                && size > 0
                && size <= GeneveOption::MAX_DATA
                && size.is_multiple_of(4)
        };
        let unique = mappings
            .iter()
            .enumerate()
            .all(|(at, one)| !mappings[..at].iter().any(|other| clash(one, other)));
        let size: usize = mappings.iter().map(|one| usize::from(one.size)).sum();
        (unique && mappings.iter().all(fits) && size <= Self::SIZE).then_some(Self(mappings))
    }

    /// The mappings.
    pub fn iter(&self) -> impl Iterator<Item = &TlvMapping> {
        self.0.iter()
    }

    /// Whether no option is any field's.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
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

/// Calls `found` with the number and the value of each field that `options` hold; of an option
/// that is there twice the last counts.
pub fn parse(options: &[u8], map: &TlvMap, mut found: impl FnMut(u8, &[u8])) {
    for option in GeneveOptions::of(options) {
        if let Some(mapping) = map.iter().find(|mapping| mapping.means(&option)) {
            found(mapping.index, option.data);
        }
    }
}

/// The options that carry the fields which `value` knows, in the order of the map. `value`
/// writes a field's value into the bytes handed to it and says whether the packet has the field.
/// A field for which there is no room any more is left out.
pub fn serialise(map: &TlvMap, mut value: impl FnMut(u8, &mut [u8]) -> bool) -> RawOptions {
    let mut all = RawOptions::NONE;
    for mapping in map.iter() {
        let start = usize::from(all.size);
        let data = start + GeneveOption::HEADER_SIZE;
        let end = data + usize::from(mapping.size);
        let Some(place) = all.bytes.get_mut(data..end) else {
            continue;
        };
        if value(mapping.index, place) {
            let [c0, c1] = mapping.class.to_be_bytes();
            let header = [c0, c1, mapping.option_type, mapping.size / 4];
            all.bytes[start..data].copy_from_slice(&header);
            all.size = end as u8;
        }
    }
    // What a field wrote that the packet does not have.
    all.bytes[usize::from(all.size)..].fill(0);
    all
}
