//! The files of a replay.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, Endianness, PcapError, TsResolution};
use weir_ct::DumpStyle;
use weir_packet::Tick;
use weir_tables::port::PortNo;

use super::{Capture, Fed, Input, OfflineSwitch, ReplayError, feed};
use crate::cli::{Replay, ReplayInput};
use crate::file::{Config, Port};
use crate::show::{FLOWS_HEADER, GROUP_STATS_HEADER, Statistics, write_drops};

/// What a replay did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What went through.
    pub fed: Fed,
    /// From the first packet to the last.
    pub span: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fed { received, sent, .. } = self.fed;
        write!(
            f,
            "{received} packets in, {sent} out, in {:.3} s",
            self.span.as_secs_f64()
        )
    }
}

/// Replays what the command line says.
///
/// # Errors
/// If the configuration, a port or a capture is wrong, or a file cannot be read or written.
pub fn run(replay: &Replay) -> Result<Summary, ReplayError> {
    let config = Config::load(&replay.config).map_err(|error| ReplayError::Text(vec![error]))?;
    let inputs = replay
        .inputs
        .iter()
        .map(|input| open(input, &config.ports))
        .collect::<Result<Vec<_>, _>>()?;
    let mut files = Files::clean(&replay.out, &config.ports, &replay.inputs)?;
    let mut begin = Tick::ZERO;
    let start = |now| {
        begin = now;
        OfflineSwitch::new(&config, replay.seed, now).map_err(ReplayError::Text)
    };
    let mut out = |time, port, frame: &[u8]| files.write(time, port, frame);
    let (mut switch, fed) = feed(inputs, start, &mut out)?;
    files.finish()?;
    tell(&replay.out, &mut switch, fed.end)?;
    Ok(Summary {
        fed,
        span: fed.end.since(begin),
    })
}

fn open(input: &ReplayInput, ports: &[Port]) -> Result<Input<File>, ReplayError> {
    let ReplayInput { port, file } = input;
    // What comes out of a tunnel arrives in the packets of the port below.
    let devices = || ports.iter().filter(|candidate| candidate.tunnel.is_none());
    let by_name = devices().find(|candidate| candidate.name == *port);
    let by_number = || devices().find(|candidate| candidate.id.to_string() == *port);
    let found = by_name
        .or_else(by_number)
        .ok_or_else(|| ReplayError::UnknownPort {
            port: port.clone(),
            file: file.display().to_string(),
            known: devices()
                .map(|port| format!("{} ({})", port.name, port.id))
                .collect(),
        })?;
    let source = File::open(file).map_err(failed(file))?;
    let capture = Capture::open(&file.display().to_string(), source)?;
    Ok(Input {
        port: found.id,
        capture,
    })
}

/// Writes what a running switch would say.
fn tell(directory: &Path, switch: &mut OfflineSwitch, now: Tick) -> Result<(), ReplayError> {
    let write = |name: &str, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>| {
        let path = directory.join(name);
        let fill_file = |file: File| {
            let mut file = BufWriter::new(file);
            fill(&mut file)?;
            file.flush()
        };
        File::create(&path)
            .and_then(fill_file)
            .map_err(failed(&path))
    };
    write("flows.txt", &mut |file| {
        writeln!(file, "{FLOWS_HEADER}")?;
        let rows = switch.flows(now);
        rows.iter()
            .try_for_each(|row| writeln!(file, " {}", row.line(Statistics::Shown)))
    })?;
    let groups = switch.groups(now);
    if !groups.is_empty() {
        write("groups.txt", &mut |file| {
            writeln!(file, "{GROUP_STATS_HEADER}")?;
            groups
                .iter()
                .try_for_each(|row| writeln!(file, " {}", row.line()))
        })?;
    }
    write("conntrack.txt", &mut |file| {
        let lines = switch.connections(DumpStyle::default(), now);
        lines.iter().try_for_each(|line| writeln!(file, "{line}"))
    })?;
    write("drops.txt", &mut |file| write_drops(file, &switch.drops()))
}

/// The captures that are written: one for each port that sends something.
struct Files {
    paths: BTreeMap<PortNo, PathBuf>,
    writers: BTreeMap<PortNo, PcapWriter<BufWriter<File>>>,
}

impl Files {
    /// Makes `directory` and removes from it what an earlier replay wrote for `ports`: a port
    /// that sends nothing now must not seem to have sent that.
    fn clean(
        directory: &Path,
        ports: &[Port],
        inputs: &[ReplayInput],
    ) -> Result<Self, ReplayError> {
        std::fs::create_dir_all(directory).map_err(failed(directory))?;
        let identity = |path: &Path| {
            std::fs::metadata(path)
                .ok()
                .map(|meta| (meta.dev(), meta.ino()))
        };
        let inputs: Vec<_> = inputs
            .iter()
            .filter_map(|input| identity(&input.file))
            .collect();
        let paths: BTreeMap<_, _> = ports
            .iter()
            .map(|port| (port.id, directory.join(format!("{}.pcap", port.name))))
            .collect();
        // All are looked at before any is removed.
        for path in paths.values() {
            if identity(path).is_some_and(|file| inputs.contains(&file)) {
                return Err(ReplayError::Overwrite(path.display().to_string()));
            }
        }
        for path in paths.values() {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(path)(error));
                }
                _ => {}
            }
        }
        Ok(Self {
            paths,
            writers: BTreeMap::new(),
        })
    }

    fn write(&mut self, time: u64, port: PortNo, frame: &[u8]) -> Result<(), ReplayError> {
        // The pipeline sends to configured ports only.
        let Some(path) = self.paths.get(&port) else {
            return Ok(());
        };
        let writer = match self.writers.entry(port) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let file = File::create_new(path).map_err(failed(path))?;
                let header = PcapHeader {
                    snaplen: 262_144,
                    datalink: DataLink::ETHERNET,
                    ts_resolution: TsResolution::NanoSecond,
                    endianness: Endianness::Little,
                    ..PcapHeader::default()
                };
                let writer = PcapWriter::with_header(BufWriter::new(file), header);
                entry.insert(writer.map_err(|error| failed(path)(io_error(error)))?)
            }
        };
        let size = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        writer
            .write_packet(&PcapPacket::new(Duration::from_nanos(time), size, frame))
            .map_err(|error| failed(path)(io_error(error)))?;
        Ok(())
    }

    fn finish(self) -> Result<(), ReplayError> {
        for (port, writer) in self.writers {
            let flushed = writer.into_writer().flush();
            flushed.map_err(|error| failed(&self.paths[&port])(error))?;
        }
        Ok(())
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ReplayError {
    let path = path.display().to_string();
    move |error| ReplayError::File {
        path: path.clone(),
        error,
    }
}

fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}
