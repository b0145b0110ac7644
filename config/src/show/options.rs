//! Which Geneve options are which `tun_metadata` fields.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use weir_tables::field::Field;
use weir_tables::tunnel::options::{TlvMap, TlvMapping};

/// The line before a dump of the map.
pub const TLV_MAP_HEADER: &str = "NXT_TLV_TABLE_REPLY (OF1.3) (xid=0x2):";

/// One option.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlvRow {
    /// Who defines its type.
    pub class: u16,
    /// Its type.
    #[serde(rename = "type")]
    pub option_type: u8,
    /// Bytes of its data.
    pub len: u8,
    /// The field that it is.
    pub field: String,
}

impl TlvRow {
    /// The row of a mapping.
    pub fn of(mapping: &TlvMapping) -> Self {
        let TlvMapping {
            class,
            option_type,
            size,
            index,
        } = *mapping;
        Self {
            class,
            option_type,
            len: size,
            field: Field::tun_metadata(index).name().to_owned(),
        }
    }
}

/// Writes a dump of the map, as `ovs-ofctl dump-tlv-map` does.
///
/// # Errors
/// If `out` does not take it.
pub fn write_tlv_map(out: &mut dyn Write, rows: &[TlvRow]) -> io::Result<()> {
    let taken: usize = rows.iter().map(|row| usize::from(row.len)).sum();
    writeln!(
        out,
        " max option space={} max fields={}",
        TlvMap::SIZE,
        TlvMap::FIELDS
    )?;
    writeln!(out, " allocated option space={taken}")?;
    writeln!(out)?;
    writeln!(out, " mapping table:")?;
    writeln!(out, "  class  type  length  match field")?;
    writeln!(out, " ------  ----  ------  --------------")?;
    let hex = |number: u16| match number {
        0 => "0".to_owned(),
        _ => format!("{number:#x}"),
    };
    rows.iter().try_for_each(|row| {
        let (class, option_type) = (hex(row.class), hex(row.option_type.into()));
        writeln!(
            out,
            "{class:>7}{option_type:>6}{:>8}  {}",
            row.len, row.field
        )
    })
}
