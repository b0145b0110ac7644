//! Flow tables, and sums over flows.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use weir_tables::action::TableId;

/// The sum over some flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateRow {
    /// Packets that matched them.
    pub packet_count: u64,
    /// Their bytes.
    pub byte_count: u64,
    /// How many flows they are.
    pub flow_count: u64,
}

/// A flow table that holds flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowTableRow {
    /// Its number.
    pub table: u8,
    /// Flows in it.
    pub active: u64,
    /// Packets that matched the flows that are in it now.
    pub matched: u64,
}

/// Prints the sum as `ovs-ofctl -O OpenFlow13 dump-aggregate` does.
///
/// # Errors
/// Those of `out`.
pub fn write_aggregate(out: &mut dyn Write, row: &AggregateRow) -> io::Result<()> {
    let AggregateRow {
        packet_count,
        byte_count,
        flow_count,
    } = row;
    writeln!(
        out,
        "OFPST_AGGREGATE reply (OF1.3) (xid=0x2): packet_count={packet_count} \
         byte_count={byte_count} flow_count={flow_count}"
    )
}

/// Prints all tables as `ovs-ofctl -O OpenFlow13 dump-tables` does; `rows` are those that are
/// not empty, by number. Look-ups are not counted by table.
///
/// # Errors
/// Those of `out`.
pub fn write_tables(out: &mut dyn Write, rows: &[FlowTableRow]) -> io::Result<()> {
    writeln!(out, "OFPST_TABLE reply (OF1.3) (xid=0x2):")?;
    let tables: Vec<FlowTableRow> = (0..=TableId::MAX.0)
        .map(|table| {
            let row = rows.iter().find(|row| row.table == table);
            row.copied().unwrap_or(FlowTableRow {
                table,
                ..FlowTableRow::default()
            })
        })
        .collect();
    let same = |left: &FlowTableRow, right: &FlowTableRow| {
        (left.active, left.matched) == (right.active, right.matched)
    };
    let mut separator = "";
    for alike in tables.chunk_by(same) {
        let (Some(first), Some(last)) = (alike.first(), alike.last()) else {
            continue;
        };
        writeln!(out, "{separator}  table {}:", first.table)?;
        let (active, matched) = (first.active, first.matched);
        writeln!(out, "    active={active}, lookup=?, matched={matched}")?;
        separator = "\n";
        match (first.table + 1, last.table) {
            (ditto, last) if ditto > last => {}
            (ditto, last) if ditto == last => writeln!(out, "\n  table {ditto}: ditto")?,
            (ditto, last) => writeln!(out, "\n  tables {ditto}...{last}: ditto")?,
        }
    }
    Ok(())
}
