//! What the fuzz targets do with their bytes: each finds a way into weir that strangers have,
//! and panics if an invariant breaks. `tests/fuzz` calls them with coverage, and
//! `fuzz_regressions.rs` with every input that once was a finding.

use weir_config::file::{Config, NamedText, PortChanges};
use weir_config::text::{
    Options, Strictness, flow_text, match_text, parse_filter, parse_flow, parse_flow_file,
    parse_match,
};
use weir_tables::flow_tables::FlowTables;

mod control;
mod fragments;
mod packet;
mod replay;
mod sctp;
mod seeds;

pub use control::control;
pub use fragments::fragments;
pub use packet::packet_parse;
pub use replay::{join, replay, replayed};
pub use sctp::sctp_chunks;
pub use seeds::seeds;

/// A target: its name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 7] = [
    ("control", control),
    ("flow_text", flow_text_reads_back),
    ("fragments", fragments),
    ("packet_parse", packet_parse),
    ("replay", replay),
    ("sctp_chunks", sctp_chunks),
    ("toml", toml_reads_back),
];

/// Bytes as a file of flows, as a filter and as a match: what is read prints, and reads back
/// as the same.
///
/// # Panics
/// If it does not.
pub fn flow_text_reads_back(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let options = Options {
        name: "fuzz",
        ..Options::default()
    };
    match parse_flow_file(text, &options) {
        Err(errors) => {
            for error in errors {
                assert!(!error.to_string().is_empty());
            }
        }
        Ok(flows) => {
            let options = Options {
                command_word: true,
                ..options
            };
            for flow in flows {
                let printed = flow_text(&flow.value).to_string();
                let again = parse_flow(&printed, &options)
                    .unwrap_or_else(|error| panic!("printed and not read: {error}"));
                assert_eq!(again, flow.value, "{printed}");
                assert_eq!(flow_text(&again).to_string(), printed);
                // Refused or not, it must not panic.
                let _supported = FlowTables::check(&flow.value);
            }
        }
    }
    if let Ok(matches) = parse_match(text, &options) {
        let printed = match_text(&matches).to_string();
        assert_eq!(
            parse_match(&printed, &options).as_ref(),
            Ok(&matches),
            "{printed}"
        );
    }
    for strictness in [Strictness::Loose, Strictness::Strict] {
        if let Ok(filter) = parse_filter(text, strictness, &options) {
            let printed = flow_text(&filter).to_string();
            let read = Options {
                command_word: true,
                ..options
            };
            assert_eq!(
                parse_flow(&printed, &read).as_ref(),
                Ok(&filter),
                "{printed}"
            );
        }
    }
}

/// Bytes as a configuration file: what is read prints, and reads back as the same.
///
/// # Panics
/// If it does not.
pub fn toml_reads_back(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Config::parse("fuzz.toml", text) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(config) => {
            let printed = config.to_string();
            let again = Config::parse("fuzz.toml", &printed)
                .unwrap_or_else(|error| panic!("printed and not read: {error}\n{printed}"));
            assert_eq!(again.to_string(), printed);
            let name = "fuzz.toml".to_owned();
            let source = NamedText {
                name,
                text: printed,
            };
            let complaints = config.needs_restart(&again, &source, true);
            assert_eq!(complaints, [], "{}", source.text);
            let changes = config.port_changes(&again);
            assert_eq!(changes, PortChanges::default(), "{}", source.text);
        }
    }
}
