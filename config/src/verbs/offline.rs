//! Verbs that need no switch.

use std::io::Write;
use std::path::Path;

use weir_packet::Tick;
use weir_tables::classifier::HashSecret;

use super::VerbError;
use crate::cli::Trace;
use crate::diagnostic::Diagnostic;
use crate::file::{Config, read_text};
use crate::policy::Policy;
use crate::text::{Options, flow_text, parse_flow_file};
use crate::trace::{Asked, write_trace};

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

/// `weir trace CONFIG FLOW`
pub(super) fn trace(args: &Trace, out: &mut dyn Write) -> Result<(), VerbError> {
    let Some((file, flow)) = args.file() else {
        return Ok(());
    };
    let Some(flow) = flow else {
        let message = "what is to be traced is missing: weir trace CONFIG.toml FLOW";
        return Err(Diagnostic::file(file.display().to_string(), message).into());
    };
    let config = Config::load(file)?;
    let asked = Asked {
        flow,
        packet: args.packet.as_deref(),
        ct_next: &args.ct_next,
    };
    let report = crate::trace::offline(asked, &config).map_err(VerbError::Text)?;
    if args.output.json {
        serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    Ok(write_trace(out, &report)?)
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
