//! weir's side of a case: configuration and captures in a temporary directory, `weir replay`
//! over them, and what it wrote read back. A case that asks something gets a switch with a control
//! socket instead ([`live`]).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use pcap_file::{DataLink, Endianness, TsResolution};
use weir_config::cli::{Replay, ReplayInput};
use weir_config::replay;

use super::case::{Case, port_name};
use super::expectation::Side;
use super::outcome::{Outcome, SentFrame};

mod live;

/// When each case begins, so that no time is zero: seconds since 1970.
const BEGIN: Duration = Duration::from_secs(1_000_000_000);

/// The caches that a case is run with: the first run is held against Open vSwitch, the others
/// against the first.
const CACHES: [&str; 4] = [
    "trajectories = 256\nmegaflows = 256\n",
    "trajectories = 256\nmegaflows = 0\n",
    "trajectories = 0\nmegaflows = 256\n",
    "trajectories = 0\nmegaflows = 0\n",
];

/// Runs one case through `weir replay`, once with each combination of caches.
///
/// # Errors
/// What weir says against the case, what it wrote that cannot be read, or that caches are seen.
pub fn run_weir(case: &Case) -> Result<Outcome, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let at = |name: &str| dir.path().join(name);
    write(&at("case.flows"), &case.flow_file(Side::Weir))?;
    write(&at("case.groups"), &case.groups.join("\n"))?;
    if !case.questions.is_empty() {
        let run = |caches: &str| {
            write(&at("case.toml"), &configuration(case, caches))?;
            live::run(case, &at("case.toml"), &at("weir.sock"))
        };
        let all = run(CACHES[0])?;
        let none = run(CACHES[3])?;
        return match all == none {
            true => Ok(all),
            false => Err(format!("with all caches:\n{all:#?}\nwithout:\n{none:#?}")),
        };
    }
    let inputs = write_captures(case, dir.path())?;
    let run = |caches: &str, out: &str| {
        write(&at("case.toml"), &configuration(case, caches))?;
        let command = Replay {
            config: at("case.toml"),
            inputs: inputs.clone(),
            out: at(out),
            seed: 0,
        };
        replay::run(&command).map_err(|error| error.to_string())?;
        everything_in(&at(out))
    };
    let all = run(CACHES[0], "out")?;
    for (n, caches) in CACHES.iter().enumerate().skip(1) {
        let other = run(caches, &format!("out{n}"))?;
        let mut names = all.keys().chain(other.keys());
        if let Some(name) = names.find(|&name| all.get(name) != other.get(name)) {
            return Err(seen(name, &all, &other, caches));
        }
    }
    let mut sent = vec![Vec::new(); case.packets.len()];
    for port in &case.ports {
        let path = at("out").join(format!("{}.pcap", port.name()));
        if path.exists() {
            read_capture(case, &path, &port.number, &mut sent)?;
        }
    }
    let conntrack = read(&at("out/conntrack.txt"))?
        .lines()
        .map(str::to_owned)
        .collect();
    let flows = read(&at("out/flows.txt"))?;
    let outcome = Outcome::new(sent, conntrack, flows.lines(), case.flows.len())?;
    if case.groups.is_empty() {
        return Ok(outcome);
    }
    let groups = read(&at("out/groups.txt"))?;
    Ok(outcome.with_groups(groups.lines()))
}

/// The files of a folder.
fn everything_in(folder: &Path) -> Result<Files, String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.insert(name, fs::read(entry.path()).map_err(unreadable)?);
    }
    Ok(files)
}

type Files = BTreeMap<String, Vec<u8>>;

/// How the file `name` differs that was written with other caches.
fn seen(name: &str, all: &Files, other: &Files, caches: &str) -> String {
    let text = |files: &Files| match files.get(name) {
        None => "nothing".to_owned(),
        Some(bytes) if name.ends_with(".txt") => String::from_utf8_lossy(bytes).into_owned(),
        Some(bytes) => format!("{} bytes", bytes.len()),
    };
    let (all, other) = (text(all), text(other));
    format!("{name} with all caches:\n{all}\nwith\n{caches}\n{other}")
}

fn configuration(case: &Case, caches: &str) -> String {
    let mut toml = String::new();
    for port in &case.ports {
        let number = if port.is_local() {
            "local = true".to_owned()
        } else {
            format!("id = {}", port.number)
        };
        let _ = writeln!(toml, "[[port]]\nname = \"{}\"\n{number}", port.name());
        for (key, value) in &port.settings {
            let value = if key == "trunks" {
                format!("[{value}]")
            } else {
                value.clone()
            };
            let _ = writeln!(toml, "{key} = {value}");
        }
    }
    toml.push_str("[bridge]\nname = \"br0\"\nflows = [\"case.flows\"]\ngroups = [\"case.groups\"]\nfail_mode = \"secure\"\n");
    if !case.config.contains("[conntrack]") {
        // A table of the default size takes longer to make than a case to run.
        toml.push_str("[conntrack]\nmax_connections = 1000\n");
    }
    let _ = write!(toml, "[cache]\n{caches}");
    toml + &case.config
}

/// One capture per port that receives something.
fn write_captures(case: &Case, dir: &Path) -> Result<Vec<ReplayInput>, String> {
    let mut writers = BTreeMap::new();
    let header = PcapHeader {
        datalink: DataLink::ETHERNET,
        ts_resolution: TsResolution::NanoSecond,
        endianness: Endianness::native(),
        ..PcapHeader::default()
    };
    for packet in &case.packets {
        let port = port_name(&packet.port);
        if !writers.contains_key(&port) {
            let path = dir.join(format!("in-{port}.pcap"));
            let file = File::create(&path).map_err(|error| error.to_string())?;
            let writer = PcapWriter::with_header(BufWriter::new(file), header)
                .map_err(|error| error.to_string())?;
            writers.insert(port.clone(), (path, writer));
        }
        let (_, writer) = writers.get_mut(&port).expect("was made above");
        let size = u32::try_from(packet.frame.len()).map_err(|error| error.to_string())?;
        let time = BEGIN + Duration::from_millis(packet.time_ms);
        writer
            .write_packet(&PcapPacket::new(time, size, &packet.frame))
            .map_err(|error| error.to_string())?;
    }
    Ok(writers
        .into_iter()
        .map(|(port, (file, _))| ReplayInput { port, file })
        .collect())
}

/// Adds what a port sent to the packets that caused it: those of the same time.
fn read_capture(
    case: &Case,
    path: &Path,
    port: &str,
    sent: &mut [Vec<SentFrame>],
) -> Result<(), String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut reader = PcapReader::new(file).map_err(|error| unreadable(&error))?;
    while let Some(packet) = reader.next_packet() {
        let packet = packet.map_err(|error| unreadable(&error))?;
        let at = case
            .packets
            .iter()
            .position(|cause| BEGIN + Duration::from_millis(cause.time_ms) == packet.timestamp)
            .ok_or_else(|| unreadable(&"sent something at a time when nothing came in"))?;
        sent[at].push(SentFrame {
            port: port.to_owned(),
            frame: packet.data.into_owned(),
        });
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
