//! Runs `scripts/*.pkt`: packets with the verdict each must get, readable by whoever reads
//! packetdrill scripts. One file is one scenario for one fresh tracker.
//!
//! ```text
//! # What it is about.
//! set tcp_loose=false max_connections=2 udp_multiple=180      settings, before all packets
//! +0.01 commit > S seq=100                       => new       TCP, client to server
//! +0    < SA seq=900 ack=101                     => est|rpl   TCP, server to client
//! +1    zone=5 commit(mark=1/0xf) udp 10.0.0.1:1 > 10.0.0.2:2 => new mark=1
//! +0    commit nat(src=9.9.9.9:1-9) udp 10.0.0.1:1 > 10.0.0.2:2 => new|snat to udp 9.9.9.9:1 > 10.0.0.2:2
//! state SYN_SENT CLOSED timeout=30               both ends of the only TCP connection
//! dump udp,orig=(...),reply=(...),zone=5,mark=1  all lines of the dump, in any order
//! dump none
//! flush zone=5 => 1                              how many were flushed
//! expire => 0                                    how many were forgotten
//! counters created=1 flushed=1                   all counters that are not 0
//! ```
//!
//! `+N` advances the clock by N seconds. The client is 10.0.0.1:1000, the server 10.0.0.2:80;
//! any other packet is written as `weir_packet::text` has it. `again` in place of a packet means
//! the packet before, as it then was, in its next `ct()`. States are printed without `trk`; a
//! commit that drops its packet says `drop:` and the reason; `to` is the packet if it was
//! translated. `commit` takes `force`, `mark=V/M`, `label=V/M`; `nat` is bare or takes what
//! `ct(nat(...))` does.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_ct::{Commit, DumpStyle, Filter, Outcome, ProtocolInfo, Request, Seen, Settings, Tracker};
use weir_nat::{NatFlags, NatKind, NatRange, NatSpec, PortChoice};
use weir_packet::{Frame, Tick, VecFrame, text};

#[test]
fn every_script_runs_as_it_says() {
    let mut failures = String::new();
    let scripts = scripts();
    assert!(scripts.len() > 30, "the scripts are there");
    for path in scripts {
        let script = fs::read_to_string(&path).expect("the script can be read");
        if let Err(failure) = Run::new().script(&script) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            writeln!(failures, "{name}:{failure}").expect("a string takes all");
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pkt"))
        .collect();
    paths.sort();
    paths
}

/// A scenario under way.
struct Run {
    settings: Settings,
    tracker: Option<Tracker>,
    millis: u64,
    last: Option<(VecFrame, Option<Seen>)>,
    /// `dump` lines wanted, gathered until another statement comes.
    dump: Option<Vec<String>>,
}

type Check = Result<(), String>;

impl Run {
    fn new() -> Self {
        Self {
            // Fewer than the default: each script has its own table.
            settings: Settings {
                max_connections: 100,
                ..Settings::default()
            },
            tracker: None,
            millis: 0,
            last: None,
            dump: None,
        }
    }

    fn script(mut self, script: &str) -> Check {
        for (number, line) in script.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                self.line(line)
                    .map_err(|error| format!("{}: {error}\n    {line}", number + 1))?;
            }
        }
        self.end_of_dump().map_err(|error| format!("end: {error}"))
    }

    fn line(&mut self, line: &str) -> Check {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        if word == "dump" {
            let wanted = self.dump.get_or_insert_default();
            if rest != "none" {
                wanted.push(rest.to_owned());
            }
            return Ok(());
        }
        self.end_of_dump()?;
        match word {
            "set" => rest
                .split_whitespace()
                .try_for_each(|setting| self.set(setting)),
            "state" => self.state(rest),
            "flush" => self.flush(rest),
            "expire" => {
                let now = self.now();
                let forgotten = self.tracker().expire(now, usize::MAX);
                same(&rest, &format!("=> {forgotten}").as_str())
            }
            "counters" => {
                let counters = self.tracker().counters().clone();
                let there = counters.iter().filter(|(_, value, _)| *value != 0);
                let mut there: Vec<_> = there.map(|(name, n, _)| format!("{name}={n}")).collect();
                let mut wanted: Vec<_> = rest.split_whitespace().map(str::to_owned).collect();
                there.sort();
                wanted.sort();
                same(&wanted, &there)
            }
            _ if word.starts_with('+') => {
                let seconds: f64 = word[1..].parse().map_err(|_| "no time".to_owned())?;
                self.millis += (seconds * 1000.0).round() as u64;
                self.packet(rest)
            }
            _ => Err("no such statement".to_owned()),
        }
    }

    fn set(&mut self, setting: &str) -> Check {
        let (name, value) = setting.split_once('=').ok_or("no value")?;
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| format!("no number: {value}"))
        };
        let settings = &mut self.settings;
        match name {
            "tcp_loose" => settings.tcp_loose = value == "true",
            "max_connections" => settings.max_connections = number()? as u32,
            _ => {
                let timeouts = &mut settings.timeouts;
                *(match name {
                    "tcp_established" => &mut timeouts.tcp_established,
                    "udp_single" => &mut timeouts.udp_single,
                    "udp_multiple" => &mut timeouts.udp_multiple,
                    _ => return Err(format!("no such setting: {name}")),
                }) = Duration::from_secs(number()?);
            }
        }
        if let Some(tracker) = &mut self.tracker {
            tracker
                .reconfigure(&self.settings)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn packet(&mut self, statement: &str) -> Check {
        let (mut packet, wanted) = statement.split_once("=>").ok_or("no `=>`")?;
        let mut request = Request::default();
        let mut spec = None;
        let mut frame = loop {
            packet = packet.trim();
            let (word, rest) = packet.split_once(' ').unwrap_or((packet, ""));
            if let Some(zone) = word.strip_prefix("zone=") {
                request.zone = zone.parse().map_err(|_| "no zone".to_owned())?;
            } else if let Some(arguments) = word.strip_prefix("commit") {
                request.commit = Some(commit(arguments)?);
            } else if let Some(arguments) = word.strip_prefix("nat") {
                spec = Some(nat(arguments)?);
            } else if word == "again" {
                let (frame, seen) = self.last.clone().ok_or("again what?")?;
                request.seen = seen;
                break frame;
            } else {
                let line = match word {
                    ">" => format!("tcp 10.0.0.1:1000 > 10.0.0.2:80 {rest}"),
                    "<" => format!("tcp 10.0.0.2:80 > 10.0.0.1:1000 {rest}"),
                    _ => packet.to_owned(),
                };
                break VecFrame::from(text::parse(&line).map_err(|error| error.to_string())?);
            }
            packet = rest;
        };
        let layout = weir_packet::parse(frame.head(), frame.len()).map_err(|e| format!("{e:?}"))?;
        let now = self.now();
        request.nat = spec.as_ref();
        let outcome = self.tracker().execute(&frame, &layout, &request, now);
        let there = match &outcome {
            Ok(outcome) => {
                let mut told = told(outcome);
                if let Some(translation) = &outcome.translation {
                    let before = frame.clone();
                    translation.apply(frame.head_mut(), &layout);
                    if frame == before {
                        return Err(format!("{told}, translated to what it was"));
                    }
                    told = format!("{told} to {}", text::describe(frame.bytes()));
                }
                told
            }
            Err(drop) => format!("drop: {drop}"),
        };
        let seen = outcome.ok().and_then(|outcome| outcome.seen);
        self.last = Some((frame, seen));
        same(&wanted.trim(), &there.as_str())
    }

    fn state(&mut self, wanted: &str) -> Check {
        let there: Vec<_> = self
            .entries(&Filter::default())
            .iter()
            .filter_map(|entry| match entry.protocol {
                ProtocolInfo::Tcp { original, reply } => Some(format!(
                    "{} {} timeout={}",
                    original.state,
                    reply.state,
                    entry.timeout_left.as_secs_f64()
                )),
                ProtocolInfo::Stateless => None,
            })
            .collect();
        same(&wanted, &there.join("; ").as_str())
    }

    fn flush(&mut self, statement: &str) -> Check {
        let (filter, wanted) = statement.split_once("=>").ok_or("no `=>`")?;
        let arguments: Vec<_> = filter.split_whitespace().collect();
        let filter = Filter::parse(&arguments).map_err(|error| error.to_string())?;
        let (mut cursor, mut flushed) = (Some(0), 0);
        while let Some(at) = cursor {
            cursor = self.tracker().flush(at, 1, &filter, &mut flushed);
        }
        same(&wanted.trim(), &flushed.to_string().as_str())
    }

    fn end_of_dump(&mut self) -> Check {
        let Some(mut wanted) = self.dump.take() else {
            return Ok(());
        };
        let entries = self.entries(&Filter::default());
        let mut there: Vec<_> = entries
            .iter()
            .map(|entry| entry.display(DumpStyle::default()).to_string())
            .collect();
        wanted.sort();
        there.sort();
        same(&wanted, &there)
    }

    fn entries(&mut self, filter: &Filter) -> Vec<weir_ct::Entry> {
        let now = self.now();
        let mut entries = Vec::new();
        let mut cursor = Some(0);
        while let Some(at) = cursor {
            cursor = self.tracker().dump(at, 2, filter, now, &mut entries);
        }
        entries
    }

    fn now(&self) -> Tick {
        // Not at zero, where a clock that goes wrong would not show.
        Tick::from_millis(1_000_037 + self.millis)
    }

    fn tracker(&mut self) -> &mut Tracker {
        self.tracker
            .get_or_insert_with(|| Tracker::new(&self.settings, 7))
    }
}

fn commit(arguments: &str) -> Result<Commit, String> {
    let mut commit = Commit::default();
    let arguments = arguments.trim_start_matches('(').trim_end_matches(')');
    for argument in arguments.split(',').filter(|argument| !argument.is_empty()) {
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        let (value, mask) = value.split_once('/').unwrap_or((value, "0xffffffff"));
        match name {
            "force" => commit.force = true,
            "mark" => commit.mark = Some((number(value)? as u32, number(mask)? as u32)),
            "label" => commit.label = Some((number(value)?, number(mask)?)),
            _ => return Err(format!("no such argument: {name}")),
        }
    }
    Ok(commit)
}

/// `(src=A-B:P-Q,persistent)` and the like; IPv6 without ports.
fn nat(arguments: &str) -> Result<NatSpec, String> {
    let arguments = arguments.trim_start_matches('(').trim_end_matches(')');
    let mut arguments = arguments.split(',').filter(|argument| !argument.is_empty());
    let Some(end) = arguments.next() else {
        return Ok(NatSpec::Existing);
    };
    let (kind, range) = match end.split_once('=') {
        Some((kind, range)) => (kind, Some(nat_range(range)?)),
        None => (end, None),
    };
    let kind = match kind {
        "src" => NatKind::Src,
        "dst" => NatKind::Dst,
        _ => return Err(format!("no such end: {kind}")),
    };
    let mut flags = NatFlags::default();
    for flag in arguments {
        match flag {
            "persistent" => flags.persistent = true,
            "hash" => flags.choice = PortChoice::Hash,
            "random" => flags.choice = PortChoice::Random,
            _ => return Err(format!("no such flag: {flag}")),
        }
    }
    Ok(NatSpec::Allocate { kind, range, flags })
}

fn nat_range(text: &str) -> Result<NatRange, String> {
    fn both<T: std::str::FromStr + Copy>(text: &str) -> Result<(T, T), String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| format!("no end of a range: {text}"))
        };
        Ok((parse(first)?, parse(last)?))
    }
    let v6 = text.matches(':').count() > 1;
    let (addresses, ports) = match text.split_once(':').filter(|_| !v6) {
        Some((addresses, ports)) => (addresses, Some(both(ports)?)),
        None => (text, None),
    };
    let (first, last) = both(addresses)?;
    NatRange::new(first, last, ports).map_err(|error| error.to_string())
}

fn number(text: &str) -> Result<u128, String> {
    match text.strip_prefix("0x") {
        Some(digits) => u128::from_str_radix(digits, 16),
        None => text.parse(),
    }
    .map_err(|_| format!("no number: {text}"))
}

/// What a script says of an outcome.
fn told(outcome: &Outcome) -> String {
    let state = outcome.state.to_string();
    let mut told = match state.split_once("|trk") {
        Some((before, behind)) => format!("{before}{behind}"),
        None => format!("{state} without trk"),
    };
    if outcome.mark != 0 {
        write!(told, " mark={:#x}", outcome.mark).expect("a string takes all");
    }
    if outcome.label != 0 {
        write!(told, " label={:#x}", outcome.label).expect("a string takes all");
    }
    told
}

fn same<T: PartialEq + std::fmt::Debug>(wanted: &T, there: &T) -> Check {
    if wanted == there {
        Ok(())
    } else {
        Err(format!("wanted {wanted:?}, got {there:?}"))
    }
}
