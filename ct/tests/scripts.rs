//! Runs `scripts/*.pkt`: packets with the verdict each must get, readable by whoever reads
//! packetdrill scripts. One file is one scenario for one fresh tracker; and once more for several
//! that share out the connections, where all must be the same but the ports chosen: these
//! depend on which tracker a tuple belongs to.
//!
//! ```text
//! # What it is about.
//! set tcp_loose=false max_connections=2 udp_multiple=180      settings, at any time
//! set 7:tcp_loose=true 7:limit=2 7:udp_multiple=20             those of zone 7
//! +0.01 commit > S seq=100                       => new       TCP, client to server
//! +0    < SA seq=900 ack=101                     => est|rpl   TCP, server to client
//! +1    zone=5 commit(mark=1/0xf) udp 10.0.0.1:1 > 10.0.0.2:2 => new mark=1
//! +0    commit nat(src=9.9.9.9:1-9) udp 10.0.0.1:1 > 10.0.0.2:2 => new|snat to udp 9.9.9.9:1 > 10.0.0.2:2
//! state SYN_SENT CLOSED timeout=30               both ends of the only TCP connection
//! state ESTABLISHED tags=0x2/0x1 timeout=210     the only SCTP association
//! dump udp,orig=(...),reply=(...),zone=5,mark=1  all lines of the dump, in any order
//! dump none
//! fill zone=5 30 => 20                           UDP connections with an answer are opened, thirty of them tried
//!                                                again and again: so many the zone has in the end
//! flush zone=5 => 1                              how many were flushed
//! expire => 0                                    how many were forgotten
//! counters created=1 flushed=1                   all counters that are not 0
//! zone 7 connections=1 invalid_tcp_window=1      what zone 7 has and counted
//! ```
//! kernel-differs: est  why                       Linux says `est` of the packet above
//! kernel-skips: why                              the script is not for the kernel
//! shards-skip: why                               nor for several shards
//!
//! `+N` advances the clock by N seconds. The client is 10.0.0.1:1000, the server 10.0.0.2:80;
//! any other packet is written as `weir_packet::text` has it. `again` in place of a packet means
//! the packet before, as it then was, in its next `ct()`. States are printed without `trk`; a
//! commit that drops its packet says `drop:` and the reason; `to` is the packet if it was
//! translated. `commit` takes `force`, `mark=V/M`, `label=V/M`, `zone_dir=original`; `nat` is bare or takes what
//! `ct(nat(...))` does.

mod world;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_ct::{
    Bounds, Commit, DumpStyle, Entry, Filter, Outcome, ProtocolInfo, Settings, Timeouts, ZoneDir,
};
use weir_nat::{NatFlags, NatKind, NatRange, NatSpec, PortChoice, rewrite};
use weir_packet::{Frame, Tick, Tuple, VecFrame, text};

use world::{Done, Parcel, Renaming, World, tuple_of};

#[test]
fn every_script_runs_as_it_says() {
    run_all(1, 0);
}

/// Who owns what is another chance for each seed.
const CHANCES: std::ops::Range<u64> = 0..12;

#[test]
fn every_script_runs_as_it_says_on_two_shards() {
    CHANCES.for_each(|chance| run_all(2, chance));
}

#[test]
fn every_script_runs_as_it_says_on_four_shards() {
    CHANCES.for_each(|chance| run_all(4, chance));
}

fn run_all(shards: u16, chance: u64) {
    let mut failures = String::new();
    let scripts = scripts();
    assert!(scripts.len() > 30, "the scripts are there");
    for path in scripts {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let script = fs::read_to_string(&path).expect("the script can be read");
        if shards > 1 && script.lines().any(|line| line.starts_with("shards-skip: ")) {
            continue;
        }
        if let Err(failure) = Run::new(shards, chance).script(&script) {
            writeln!(failures, "{name}:{failure}").expect("a string takes all");
        }
    }
    assert!(
        failures.is_empty(),
        "{shards} shards, chance {chance}:\n{failures}"
    );
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
    shards: u16,
    chance: u64,
    /// One shard, and as many as asked for if that is more. What the script says is meant for
    /// the first, and happens in the second under other names.
    worlds: Vec<World>,
    renaming: Renaming,
    millis: u64,
    /// The last packet, in each world.
    last: Vec<Done>,
    /// `dump` lines wanted, gathered until another statement comes.
    dump: Option<Vec<String>>,
}

type Check = Result<(), String>;

impl Run {
    fn new(shards: u16, chance: u64) -> Self {
        Self {
            // Fewer than the default: each script has its own table.
            settings: Settings {
                max_connections: 100,
                ..Settings::default()
            },
            shards,
            chance,
            worlds: Vec::new(),
            renaming: Renaming::default(),
            millis: 0,
            last: Vec::new(),
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
        self.end_of_dump()
            .map_err(|error| format!("end: {error}"))?;
        let now = self.now();
        self.worlds.into_iter().for_each(|world| world.end(now));
        Ok(())
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
            // What the kernel says instead, and why; `tests/tests/kernel_conntrack.rs` reads it.
            "kernel-differs:" | "kernel-skips:" | "shards-skip:" => Ok(()),
            "fill" => self.fill(rest),
            "state" => self.state(rest),
            "zone" => self.zone(rest),
            "flush" => self.flush(rest),
            "expire" => {
                let now = self.now();
                self.each(|world| {
                    let forgotten = world.expire(now);
                    same(&rest, &format!("=> {forgotten}").as_str())
                })
            }
            "counters" => {
                let mut wanted: Vec<_> = rest.split_whitespace().map(str::to_owned).collect();
                wanted.sort();
                self.each(|world| {
                    let there = world.counters();
                    let there = there.iter().map(|(name, n)| format!("{name}={n}"));
                    let mut there: Vec<_> = there.collect();
                    there.sort();
                    same(&wanted, &there)
                })
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
        // `7:tcp_loose` is zone 7's.
        if let Some((zone, name)) = name.split_once(':') {
            let zone = zone.parse::<u16>().map_err(|_| "no zone".to_owned())?;
            let timeouts = settings.timeouts.clone();
            let zone = settings.zones.entry(zone).or_default();
            match name {
                "tcp_loose" => zone.tcp_loose = Some(value == "true"),
                "tcp_liberal" => zone.tcp_liberal = Some(value == "true"),
                "limit" => zone.limit = Some(number()? as u32),
                "source_limit" => zone.source_limit = Some(number()? as u32),
                _ => {
                    let timeouts = zone.timeouts.get_or_insert(timeouts);
                    *timeout(timeouts, name)? = Duration::from_secs(number()?);
                }
            }
            return self.reconfigure();
        }
        match name {
            "tcp_loose" => settings.tcp_loose = value == "true",
            "max_connections" => settings.max_connections = number()? as u32,
            "tcp_liberal" => settings.tcp_liberal = value == "true",
            "zone_limit" => settings.zone_limit = Some(number()? as u32),
            _ => *timeout(&mut settings.timeouts, name)? = Duration::from_secs(number()?),
        }
        self.reconfigure()
    }

    fn reconfigure(&mut self) -> Check {
        for world in &mut self.worlds {
            let done = world.reconfigure(&self.settings);
            done.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// What a zone counted and how many connections it has.
    fn zone(&mut self, statement: &str) -> Check {
        let mut words = statement.split_whitespace();
        let zone: u16 = words
            .next()
            .and_then(|word| word.parse().ok())
            .ok_or("no zone")?;
        let mut wanted: Vec<_> = words.map(str::to_owned).collect();
        wanted.sort();
        self.each(|world| {
            let mut there = world.zone_counts(zone);
            there.sort();
            same(&wanted, &there)
        })
    }

    /// Opens connections of a zone, each with an answer, as many as there is room for.
    fn fill(&mut self, statement: &str) -> Check {
        let (zone, numbers) = statement
            .strip_prefix("zone=")
            .and_then(|rest| rest.split_once(' '))
            .ok_or("no zone")?;
        let (tries, wanted) = numbers.split_once("=>").ok_or("no `=>`")?;
        let zone: u16 = zone.parse().map_err(|_| "no zone".to_owned())?;
        let tries: u16 = tries.trim().parse().map_err(|_| "no number".to_owned())?;
        let now = self.now();
        self.worlds();
        self.each(|world| {
            let (mut there, mut in_vain) = (0, 0);
            // A shard that refused one may be lent something behind its last packet.
            while in_vain < 2 {
                let before = there;
                for port in 1..=tries {
                    let commit = Some(Commit::default());
                    let lines = [
                        (format!("udp 10.1.1.1:{port} > 10.1.1.2:9"), commit),
                        (format!("udp 10.1.1.2:9 > 10.1.1.1:{port}"), None),
                    ];
                    for (line, commit) in lines {
                        let parcel = Parcel {
                            number: 0,
                            frame: frame_of(&line)?,
                            zone,
                            commit,
                            nat: None,
                            seen: None,
                        };
                        world.packet(parcel, now);
                    }
                }
                let entries = world.entries(now);
                there = entries.iter().filter(|entry| entry.zone == zone).count();
                in_vain = if there > before { 0 } else { in_vain + 1 };
            }
            same(&wanted.trim(), &there.to_string().as_str())
        })
    }

    fn packet(&mut self, statement: &str) -> Check {
        let (mut packet, wanted) = statement.split_once("=>").ok_or("no `=>`")?;
        let (mut zone, mut committed, mut spec) = (0, None, None);
        let frame = loop {
            packet = packet.trim();
            let (word, rest) = packet.split_once(' ').unwrap_or((packet, ""));
            if let Some(number) = word.strip_prefix("zone=") {
                zone = number.parse().map_err(|_| "no zone".to_owned())?;
            } else if let Some(arguments) = word.strip_prefix("commit") {
                committed = Some(commit(arguments)?);
            } else if let Some(arguments) = word.strip_prefix("nat") {
                spec = Some(nat(arguments)?);
            } else if word == "again" {
                break None;
            } else {
                let line = match word {
                    ">" => format!("tcp 10.0.0.1:1000 > 10.0.0.2:80 {rest}"),
                    "<" => format!("tcp 10.0.0.2:80 > 10.0.0.1:1000 {rest}"),
                    _ => packet.to_owned(),
                };
                break Some(frame_of(&line)?);
            }
            packet = rest;
        };
        let now = self.now();
        self.worlds();
        let mut told = Vec::new();
        let mut created = false;
        for (n, world) in self.worlds.iter_mut().enumerate() {
            let before = world.counters().get("created").copied();
            let parcel = |frame, seen| Parcel {
                number: 0,
                frame,
                zone,
                commit: committed,
                nat: spec,
                seen,
            };
            let done = if let Some(frame) = &frame {
                let mut frame = frame.clone();
                if n > 0 {
                    rename(&mut frame, |tuple| self.renaming.there(tuple));
                }
                world.packet(parcel(frame, None), now)
            } else {
                let Done {
                    shard,
                    wire,
                    frame,
                    outcome,
                    ..
                } = self.last.get(n).cloned().ok_or("again what?")?;
                let seen = outcome.ok().and_then(|outcome| outcome.seen);
                world.stay(shard, wire, parcel(frame, seen), now);
                world.settle(now);
                world.done.pop().ok_or("it is lost")?
            };
            let mut frame = done.frame.clone();
            let creates = world.counters().get("created").copied() != before;
            if n == 0 {
                created = creates;
            } else {
                same(&created, &creates)?;
                // What a connection gets is chosen when it is made, and only then.
                if created && let Some(there) = tuple_of(&frame) {
                    let here = tuple_of(&self.last[0].frame).ok_or("it has one")?;
                    self.renaming.learn(here, there);
                }
                rename(&mut frame, |tuple| self.renaming.back(tuple));
                // Names may differ where there is a choice, addresses and one end never.
                if let (Some(a), Some(b)) = (tuple_of(&frame), tuple_of(&done.frame)) {
                    assert_eq!(a.ip, b.ip);
                    assert!(a.src_port == b.src_port || a.dst_port == b.dst_port);
                }
            }
            let translated = match &done.outcome {
                Ok(Outcome {
                    translation: Some(_),
                    ..
                }) if !done.changed => return Err("translated to what it was".to_owned()),
                Ok(Outcome {
                    translation: Some(_),
                    ..
                }) => format!(" to {}", text::describe(frame.bytes())),
                Ok(_) | Err(_) => String::new(),
            };
            told.push(match &done.outcome {
                Ok(outcome) => told_of(outcome) + &translated,
                Err(drop) => format!("drop: {drop}"),
            });
            if n < self.last.len() {
                self.last[n] = done;
            } else {
                self.last.push(done);
            }
            world.check(now);
        }
        told.iter()
            .try_for_each(|there| same(&wanted.trim(), &there.as_str()))
    }

    fn state(&mut self, wanted: &str) -> Check {
        let now = self.now();
        self.each(|world| {
            let entries = world.entries(now);
            let there = entries.iter().filter_map(|entry| match entry.protocol {
                ProtocolInfo::Tcp { original, reply } => Some(format!(
                    "{} {} timeout={}",
                    original.state,
                    reply.state,
                    entry.timeout_left.as_secs_f64()
                )),
                ProtocolInfo::Sctp(association) => Some(format!(
                    "{} tags={:#x}/{:#x} timeout={}",
                    association.state,
                    association.tags[0],
                    association.tags[1],
                    entry.timeout_left.as_secs_f64()
                )),
                ProtocolInfo::Stateless => None,
            });
            let there: Vec<_> = there.collect();
            same(&wanted, &there.join("; ").as_str())
        })
    }

    fn flush(&mut self, statement: &str) -> Check {
        let (filter, wanted) = statement.split_once("=>").ok_or("no `=>`")?;
        let arguments: Vec<_> = filter.split_whitespace().collect();
        let filter = Filter::parse(&arguments).map_err(|error| error.to_string())?;
        let now = self.now();
        self.each(|world| {
            let flushed = world.flush(&filter, now);
            same(&wanted.trim(), &flushed.to_string().as_str())
        })
    }

    fn end_of_dump(&mut self) -> Check {
        let Some(mut wanted) = self.dump.take() else {
            return Ok(());
        };
        wanted.sort();
        let now = self.now();
        self.worlds();
        for (n, world) in self.worlds.iter().enumerate() {
            let line = |mut entry: Entry| {
                if n > 0 {
                    entry.original = self.renaming.back(entry.original);
                    entry.reply = self.renaming.back(entry.reply);
                }
                entry.display(DumpStyle::default()).to_string()
            };
            let mut there: Vec<_> = world.entries(now).into_iter().map(line).collect();
            there.sort();
            same(&wanted, &there)?;
        }
        Ok(())
    }

    /// Says something of each world. First the names of what is gone are forgotten.
    fn each(&mut self, mut check: impl FnMut(&mut World) -> Check) -> Check {
        self.worlds().iter_mut().try_for_each(&mut check)?;
        let entries = self.worlds[0].entries(self.now());
        let there = entries
            .iter()
            .flat_map(|entry| [entry.original, entry.reply]);
        self.renaming.keep(&there.collect::<HashSet<_>>());
        Ok(())
    }

    fn now(&self) -> Tick {
        // Not at zero, where a clock that goes wrong would not show.
        Tick::from_millis(1_000_037 + self.millis)
    }

    fn worlds(&mut self) -> &mut [World] {
        if self.worlds.is_empty() {
            let world =
                |shards| World::new(shards, &self.settings, 7, self.chance, Bounds::default());
            self.worlds.push(world(1));
            if self.shards > 1 {
                self.worlds.push(world(self.shards));
            }
        }
        &mut self.worlds
    }
}

fn timeout<'a>(timeouts: &'a mut Timeouts, name: &str) -> Result<&'a mut Duration, String> {
    Ok(match name {
        "tcp_syn_sent" => &mut timeouts.tcp_syn_sent,
        "tcp_established" => &mut timeouts.tcp_established,
        "udp_first" => &mut timeouts.udp_first,
        "udp_single" => &mut timeouts.udp_single,
        "udp_multiple" => &mut timeouts.udp_multiple,
        "icmp_first" => &mut timeouts.icmp_first,
        "sctp_closed" => &mut timeouts.sctp_closed,
        "sctp_established" => &mut timeouts.sctp_established,
        _ => return Err(format!("no such setting: {name}")),
    })
}

fn frame_of(line: &str) -> Result<VecFrame, String> {
    Ok(VecFrame::from(
        text::parse(line).map_err(|error| error.to_string())?,
    ))
}

/// Gives a packet, or the packet that an error quotes, another tuple.
fn rename(frame: &mut VecFrame, name: impl Fn(Tuple) -> Tuple) {
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    if let Some(tuple) = tuple_of(frame) {
        let other = name(tuple);
        if other != tuple {
            rewrite::set_tuple(frame.head_mut(), &layout, &other);
        }
    } else if let Some((_, quoted)) = text::describe(frame.bytes()).split_once('{')
        && let Some((quoted, _)) = quoted.split_once('}')
        && let Ok(quoted) = frame_of(quoted.trim())
        && let Some(tuple) = tuple_of(&quoted)
    {
        let other = name(tuple);
        if other != tuple {
            rewrite::set_quoted_tuple(frame.head_mut(), &layout, &other);
        }
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
            "zone_dir" => {
                commit.zone_dir = Some(match argument {
                    "zone_dir=original" => ZoneDir::Original,
                    "zone_dir=reply" => ZoneDir::Reply,
                    _ => return Err(format!("no such direction: {argument}")),
                });
            }
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
fn told_of(outcome: &Outcome) -> String {
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
