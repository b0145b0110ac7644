//! What a fuzz target begins with: the cases that the switch is tested with anyway.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, TsResolution};

use super::replay::join;
use super::sctp;
use crate::differential::Case;

/// Inputs for the target called `name`.
///
/// # Panics
/// If the files of the tests cannot be read.
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    let cases = Case::read_all(&tests("differential/cases")).expect("cases that can be read");
    let texts = |folder: &str, ending: &str| -> Vec<Vec<u8>> {
        let entries = fs::read_dir(tests(folder)).expect("a folder").flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|found| found == ending))
            .map(|path| fs::read(path).expect("a file"))
            .collect()
    };
    match name {
        "packet_parse" => cases
            .into_iter()
            .flat_map(|case| case.packets)
            .map(|packet| packet.frame)
            .collect(),
        "fragments" => super::fragments::seeds(),
        "flow_text" => {
            let lines = cases
                .into_iter()
                .flat_map(|case| case.flows)
                .map(String::into_bytes);
            lines
                .chain(texts("../config/tests/seeds", "flows"))
                .collect()
        }
        "toml" => cases
            .iter()
            .map(|case| toml(case).into_bytes())
            .chain(texts("../examples", "toml"))
            .collect(),
        "sctp_chunks" => {
            let scripts = texts("../ct/tests/scripts", "pkt");
            let scripts = scripts.iter().map(|script| String::from_utf8_lossy(script));
            let whole: Vec<_> = scripts.map(|script| sctp::of_script(&script)).collect();
            let whole = whole.into_iter().filter(|packets| !packets.is_empty());
            // Each script, and what comes before its end.
            whole
                .flat_map(|packets| {
                    let some = (1..=4).map(|part| packets[..packets.len() * part / 4].to_vec());
                    some.collect::<Vec<_>>()
                })
                .collect()
        }
        "control" => conversations(),
        "replay" => cases.iter().filter_map(replay).collect(),
        other => panic!("there is no target {other}"),
    }
}

/// What is said on control connections, cut at many places.
fn conversations() -> Vec<Vec<u8>> {
    let said = [
        (0, "PORT 10,0,0,5,156,64\r\nRETR x\r\n"),
        (0, "EPRT |1|10.0.0.5|40000|\r\nNOOP\r\n"),
        (0, "PORT 10,0,0,6,156,64\r\nPORT 10,0,0,5,0,22\r\n"),
        (1, "227 Entering Passive Mode (192,0,2,9,195,80)\r\n"),
        (1, "229 Entering Extended Passive Mode (|||50000|)\r\n"),
        (
            1,
            "211-Features:\r\n PASV\r\n211 End\r\n227 (192,0,2,9,195,80)\r\n",
        ),
    ];
    let cut = |size: usize| {
        said.map(|(whose, text)| {
            let pieces = text.as_bytes().chunks(size);
            let segment = |piece: &[u8]| [&[whose, piece.len() as u8], piece].concat();
            pieces.flat_map(segment).collect()
        })
    };
    [1, 7, 16, 100].into_iter().flat_map(cut).collect()
}

fn tests(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn toml(case: &Case) -> String {
    let mut toml = String::new();
    for port in case.ports.iter().filter(|port| !port.is_local()) {
        let _infallible = writeln!(
            toml,
            "[[port]]\nname = \"{}\"\nid = {}\nvdev = \"net_null{}\"",
            port.name(),
            port.number,
            port.number
        );
        for (key, value) in &port.settings {
            let value = if key == "trunks" {
                format!("[{value}]")
            } else {
                value.clone()
            };
            let _infallible = writeln!(toml, "{key} = {value}");
        }
    }
    toml + &case.config
}

/// `None`: its packets are too many for an input, such as the pieces of a datagram that is too large.
fn replay(case: &Case) -> Option<Vec<u8>> {
    let first = case.ports.first().map(|port| port.number.clone());
    let mut flows = case.flows.join("\n");
    flows.push('\n');
    let one = capture(case, |port| Some(port) == first.as_ref());
    let other = capture(case, |port| Some(port) != first.as_ref());
    u16::try_from(one.len()).ok()?;
    Some(join(&toml(case), &flows, &one, &other))
}

/// The packets of the ports that `wanted` names.
fn capture(case: &Case, wanted: impl Fn(&String) -> bool) -> Vec<u8> {
    let header = PcapHeader {
        datalink: DataLink::ETHERNET,
        ts_resolution: TsResolution::NanoSecond,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header).expect("memory can be written");
    for packet in case.packets.iter().filter(|packet| wanted(&packet.port)) {
        let time = Duration::from_secs(1_000_000_000) + Duration::from_millis(packet.time_ms);
        let size = u32::try_from(packet.frame.len()).expect("a frame is small");
        let packet = PcapPacket::new(time, size, &packet.frame);
        writer.write_packet(&packet).expect("memory can be written");
    }
    writer.into_writer()
}
