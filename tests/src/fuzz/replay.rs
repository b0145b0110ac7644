//! Bytes as everything that `weir replay` reads.

use std::io::Cursor;

use weir_config::file::{Config, FlowSource, NamedText};
use weir_config::replay::{Capture, Input, OfflineSwitch, ReplayError, feed};
use weir_config::show::Statistics;
use weir_ct::DumpStyle;
use weir_tables::drops::DropReason;

/// Between configuration, flows and captures; no text holds it.
const SEPARATOR: u8 = 0;
/// More connections than this only cost memory.
const MAX_CONNECTIONS: u32 = 1024;
/// The most entries of a cache.
const MAX_ENTRIES: usize = 64;

/// Everything that a replay tells.
#[derive(Debug, PartialEq)]
struct Told {
    sent: Vec<(u64, u32, Vec<u8>)>,
    flows: Vec<String>,
    connections: Vec<String>,
    drops: Vec<(String, u64)>,
    packet_ins: u64,
    gathered: u64,
    received: u64,
}

/// An input of [`replay()`]: the captures arrive at the first and the last port.
///
/// # Panics
/// If the first capture is too long for its length.
pub fn join(toml: &str, flows: &str, first: &[u8], last: &[u8]) -> Vec<u8> {
    let len = u16::try_from(first.len()).expect("a capture of a few packets");
    let parts = [
        toml.as_bytes(),
        &[SEPARATOR],
        flows.as_bytes(),
        &[SEPARATOR],
        &len.to_be_bytes(),
        first,
        last,
    ];
    parts.concat()
}

/// `TOML 0 FLOWS 0 LENGTH CAPTURE CAPTURE` ([`join`]). Replayed twice, they say the same, and
/// every packet is accounted for.
///
/// # Panics
/// If they do not.
pub fn replay(bytes: &[u8]) {
    let _packets = replayed(bytes);
}

/// Does what [`replay()`] does and returns how many packets went in; `None` if the input was
/// refused.
///
/// # Panics
/// As [`replay()`].
pub fn replayed(bytes: &[u8]) -> Option<u64> {
    let mut parts = bytes.splitn(3, |byte| *byte == SEPARATOR);
    let toml = std::str::from_utf8(parts.next()?).ok()?;
    let flows = std::str::from_utf8(parts.next()?).ok()?;
    let captures = parts.next()?;
    let mut config = Config::parse("fuzz.toml", toml).ok()?;
    config.conntrack.max_connections = config.conntrack.max_connections.min(MAX_CONNECTIONS);
    // So small that entries have to go, and that no memory is to be found by fuzzing.
    if let Some(trajectories) = &mut config.caches.trajectories {
        trajectories.entries = trajectories.entries.min(MAX_ENTRIES);
    }
    if let Some(megaflows) = &mut config.caches.megaflows {
        megaflows.entries = megaflows.entries.min(MAX_ENTRIES);
    }
    config.bridge.flows = vec![FlowSource::Embedded(NamedText {
        name: "fuzz.flows".to_owned(),
        text: flows.to_owned(),
    })];
    let told = run(&config, captures)?;
    assert_eq!(run(&config, captures).as_ref(), Some(&told));
    let dropped: u64 = told.drops.iter().map(|(_, packets)| packets).sum();
    assert!(
        told.sent.len() as u64 + told.packet_ins + told.gathered + dropped >= told.received,
        "{told:?}"
    );
    Some(told.received)
}

/// `None` if something is refused.
fn run(config: &Config, captures: &[u8]) -> Option<Told> {
    let (len, captures) = captures.split_first_chunk::<2>()?;
    let (first, last) = captures.split_at_checked(u16::from_be_bytes(*len).into())?;
    let ports = [config.ports.first()?.id, config.ports.last()?.id];
    let inputs = ports
        .into_iter()
        .zip([first, last])
        .filter(|(_, capture)| !capture.is_empty())
        .map(|(port, capture)| {
            let capture = Capture::open("fuzz.pcap", Cursor::new(capture)).ok()?;
            Some(Input { port, capture })
        })
        .collect::<Option<Vec<_>>>()?;
    let mut sent = Vec::new();
    let start = |now| OfflineSwitch::new(config, 0, now).map_err(ReplayError::Text);
    let (mut switch, fed) = feed(inputs, start, &mut |time, port, frame: &[u8]| {
        sent.push((time, port.0, frame.to_vec()));
        Ok(())
    })
    .ok()?;
    assert_eq!(fed.sent, sent.len() as u64);
    let flows = switch.flows(fed.end);
    let drops = switch.drops();
    assert!(drops.len() <= DropReason::ALL.len());
    Some(Told {
        sent,
        flows: flows
            .iter()
            .map(|row| row.line(Statistics::Shown))
            .collect(),
        connections: switch.connections(
            DumpStyle {
                statistics: true,
                more: true,
                ..DumpStyle::default()
            },
            fed.end,
        ),
        drops: drops
            .into_iter()
            .map(|row| (row.reason, row.packets))
            .collect(),
        packet_ins: switch.packet_ins(),
        gathered: switch.gathered(),
        received: fed.received,
    })
}
