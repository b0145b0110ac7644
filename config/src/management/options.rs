//! Verbs about Geneve options.

use weir_tables::datapath::Datapath;

use super::Management;
use crate::control::{Failure, Frame};
use crate::show::TlvRow;
use crate::text::parse_tlv_map;

impl<D: Datapath> Management<D> {
    pub(super) fn add_tlv_map(&mut self, map: &str) -> Result<Option<Frame>, Failure> {
        let mappings = parse_tlv_map("map", map).map_err(Failure::input)?;
        let added = self.policy.tables.add_options(&mappings);
        added.map_err(Failure::input)?;
        self.publish();
        Ok(None)
    }

    /// Only the field counts, as in Open vSwitch. Without a map, all go.
    pub(super) fn delete_tlv_map(&mut self, map: Option<&str>) -> Result<Option<Frame>, Failure> {
        let mappings = match map {
            Some(map) => parse_tlv_map("map", map).map_err(Failure::input)?,
            None => self.policy.tables.options().iter().copied().collect(),
        };
        let fields: Vec<u8> = mappings.iter().map(|mapping| mapping.index).collect();
        let removed = self.policy.tables.remove_options(&fields);
        removed.map_err(Failure::input)?;
        self.publish();
        Ok(None)
    }

    pub(super) fn tlv_map(&self) -> Frame {
        let rows = self.policy.tables.options().iter().map(TlvRow::of);
        Frame::TlvMap(rows.collect())
    }
}
