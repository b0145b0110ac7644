//! Verbs that need no switch.

use std::io::Write;
use std::path::Path;

use weir_packet::Tick;
use weir_tables::classifier::HashSecret;

use super::VerbError;
use crate::file::{Config, read_text};
use crate::policy::Policy;
use crate::text::{Options, flow_text, parse_flow_file};

/// `weir check`: reads all, prints what would run.
pub(super) fn check(path: &Path, out: &mut dyn Write) -> Result<(), VerbError> {
    let config = Config::load(path)?;
    config.require_devices()?;
    let policy = Policy::load(&config, 1, HashSecret(0), Tick::ZERO).map_err(VerbError::Text)?;
    writeln!(out, "{config}")?;
    let groups = policy.tables.groups().len();
    if groups > 0 {
        writeln!(out, "# {groups} groups")?;
    }
    for (table, flows, masks) in policy.tables.table_sizes() {
        let table = table.0;
        writeln!(
            out,
            "# table {table}: {flows} flows with {masks} different masks"
        )?;
    }
    Ok(())
}

/// `weir parse-flows`: prints the canonical form.
pub(super) fn parse_flows(path: &Path, out: &mut dyn Write) -> Result<(), VerbError> {
    let file = read_text(path)?;
    let options = Options {
        name: &file.name,
        ..Options::default()
    };
    let flows = parse_flow_file(&file.text, &options).map_err(VerbError::Text)?;
    flows
        .iter()
        .try_for_each(|flow| writeln!(out, "{}", flow_text(&flow.value)))?;
    Ok(())
}
