//! Which option is which `tun_metadata` field.
//!
//! Invariants
//!   1. A field has one option and an option one field.
//!   2. No two fields share room in the flow key; a field's place stays while the field does.
//!
//! Threads: written by the management thread, read by lcores as part of a snapshot.

use std::sync::LazyLock;

use weir_packet::view::GeneveOption;

use super::place::Place;

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

/// Why a map cannot be changed as wanted; the names are those of Open vSwitch's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlvError {
    /// The size is none that an option has.
    #[error("an option has 4 to 124 bytes, a multiple of 4, not {0} (NXTTMFC_BAD_OPT_LEN)")]
    Size(u8),
    /// There is no such field.
    #[error("there is no tun_metadata{0}: expected 0 to 63 (NXTTMFC_BAD_FIELD_IDX)")]
    Index(u8),
    /// The field stands for another option.
    #[error("tun_metadata{0} already stands for an option (NXTTMFC_ALREADY_MAPPED)")]
    AlreadyMapped(u8),
    /// The option is another field's.
    #[error("class {class:#x}, type {option_type:#x} is already mapped (NXTTMFC_DUP_ENTRY)")]
    Duplicate {
        /// The option's class.
        class: u16,
        /// The option's type.
        option_type: u8,
    },
    /// There is no room for its value.
    #[error(
        "no room for {size} bytes: {} of {} are taken (NXTTMFC_TABLE_FULL)",
        taken,
        TlvMap::SIZE
    )]
    Full {
        /// The bytes wanted.
        size: u8,
        /// The bytes that other fields have.
        taken: usize,
    },
    /// A flow or a group uses the field.
    #[error("tun_metadata{0} is used by a flow or a group (NXTTMFC_INVALID_TLV_DEL)")]
    InUse(u8),
}

/// The fields of a policy and their options, by the fields' numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlvMap(Vec<Entry>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    mapping: TlvMapping,
    place: Place,
}

impl TlvMap {
    /// Most fields there can be.
    pub const FIELDS: u8 = 64;
    /// Size of all fields together, in bytes, as in Open vSwitch.
    pub const SIZE: usize = 256;

    /// A map of these fields.
    ///
    /// # Errors
    /// As [`TlvMap::add`].
    pub fn new(mappings: &[TlvMapping]) -> Result<Self, TlvError> {
        let mut map = Self::default();
        map.add(mappings)?;
        Ok(map)
    }

    /// A map in which every field has the longest option there is: to find out what can be said
    /// of options at all, not for packets.
    pub(crate) fn any() -> &'static Self {
        static ANY: LazyLock<TlvMap> = LazyLock::new(|| {
            let longest = GeneveOption::MAX_DATA as u8;
            let entry = |index| Entry {
                mapping: TlvMapping {
                    class: 0,
                    option_type: index,
                    size: longest,
                    index,
                },
                place: Place::new(index, longest, 0).expect("there is room for one"),
            };
            TlvMap((0..TlvMap::FIELDS).map(entry).collect())
        });
        &ANY
    }

    /// Adds fields, all of them or none.
    ///
    /// # Errors
    /// Why one of them cannot be.
    pub fn add(&mut self, mappings: &[TlvMapping]) -> Result<(), TlvError> {
        let mut map = self.clone();
        for mapping in mappings {
            map.add_one(*mapping)?;
        }
        *self = map;
        Ok(())
    }

    fn add_one(&mut self, mapping: TlvMapping) -> Result<(), TlvError> {
        let TlvMapping {
            class,
            option_type,
            size,
            index,
        } = mapping;
        if index >= Self::FIELDS {
            return Err(TlvError::Index(index));
        }
        if size == 0 || usize::from(size) > GeneveOption::MAX_DATA || !size.is_multiple_of(4) {
            return Err(TlvError::Size(size));
        }
        if self.place(index).is_some() {
            return Err(TlvError::AlreadyMapped(index));
        }
        if self.place_of(class, option_type).is_some() {
            return Err(TlvError::Duplicate { class, option_type });
        }
        let taken = self
            .0
            .iter()
            .fold(0, |taken, entry| taken | entry.place.bits());
        let place = Place::new(index, size, taken);
        let place = place.ok_or_else(|| TlvError::Full {
            size,
            taken: self.taken(),
        })?;
        let behind = self.0.partition_point(|entry| entry.mapping.index < index);
        self.0.insert(behind, Entry { mapping, place });
        Ok(())
    }

    /// Takes a field out; nothing happens if it stands for no option.
    pub fn remove(&mut self, index: u8) {
        self.0.retain(|entry| entry.mapping.index != index);
    }

    /// The mappings, by the fields' numbers.
    pub fn iter(&self) -> impl Iterator<Item = &TlvMapping> {
        self.0.iter().map(|entry| &entry.mapping)
    }

    /// Whether no option is any field's.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes the fields take.
    pub fn taken(&self) -> usize {
        self.iter().map(|mapping| usize::from(mapping.size)).sum()
    }

    /// The size of a field's option in bytes; `None`: it stands for none.
    pub fn size_of(&self, index: u8) -> Option<u8> {
        self.place(index).map(|place| place.size)
    }

    /// Where a field lies; `None`: it stands for no option.
    pub(crate) fn place(&self, index: u8) -> Option<Place> {
        let entry = self.0.iter().find(|entry| entry.mapping.index == index);
        entry.map(|entry| entry.place)
    }

    /// Where the field of an option lies, if it has one.
    #[inline]
    pub(crate) fn place_of(&self, class: u16, option_type: u8) -> Option<Place> {
        let is_it = |entry: &&Entry| {
            (entry.mapping.class, entry.mapping.option_type) == (class, option_type)
        };
        self.0.iter().find(is_it).map(|entry| entry.place)
    }

    /// The mappings and where each lies.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&TlvMapping, Place)> {
        self.0.iter().map(|entry| (&entry.mapping, entry.place))
    }
}
