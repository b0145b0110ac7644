//! How many instructions a packet takes, counted by callgrind: the same on every run of one
//! program, however busy the machine.
//!
//! Each scenario runs twice under `valgrind --tool=callgrind`, once with more packets; what the
//! second took more is theirs, and setting up cancels out.

use std::path::Path;
use std::process::Command;

use crate::captures::Direction;
use crate::contender::find;
use crate::failure::{Failure, output_of};
use crate::micro::{Caches, Forwarder};
use crate::report::table;
use crate::scenario::{Play, Scenario};

#[cfg(test)]
mod tests;

/// What a packet takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    /// The scenario's name.
    pub scenario: String,
    /// What stands before the tables.
    pub caches: Caches,
    /// Instructions per packet, the copying of the frame included.
    pub per_packet: f64,
}

/// How far a run goes: turns of the captures once all is warm or, where they are played once,
/// halves of the one that opens connections.
const FEW: u32 = 1;
const MANY: u32 = 2;

/// Counts for `scenario`; `program` is this one, which is called as
/// `PROGRAM drive SCENARIO CACHES HOW-FAR`.
///
/// # Errors
/// If valgrind is not installed or a run fails.
pub fn count(program: &Path, scenario: &Scenario, caches: Caches) -> Result<Count, Failure> {
    let dir = crate::compare::temporary_dir()?;
    let valgrind = find("valgrind", "valgrind")?;
    let run = |far: u32| {
        let out = dir.path().join(format!("callgrind.{far}"));
        let mut command = Command::new(&valgrind);
        command
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(program)
            .args(["drive", &scenario.name, caches.name(), &far.to_string()]);
        let packets = output_of(&mut command)?;
        let packets = packets.trim().parse::<u64>().ok();
        let text = std::fs::read_to_string(&out).map_err(Failure::path(&out))?;
        packets.zip(total(&text)).ok_or_else(|| {
            Failure::Program("callgrind does not say how many instructions there were".to_owned())
        })
    };
    let ((some, less), (all, more)) = (run(FEW)?, run(MANY)?);
    if all <= some || more <= less {
        let message = format!("{}: {some} and {all} packets", scenario.name);
        return Err(Failure::Unproven(message));
    }
    Ok(Count {
        scenario: scenario.name.clone(),
        caches,
        per_packet: (more - less) as f64 / (all - some) as f64,
    })
}

/// Runs `scenario` so far, without devices; returns how many packets were sent.
///
/// # Errors
/// If not every packet was sent.
pub fn drive(scenario: &Scenario, caches: Caches, far: u32) -> Result<u64, Failure> {
    let mut forwarder = Forwarder::new(scenario, caches)?;
    let mut sent = 0;
    let expected = match scenario.play {
        Play::Endless => {
            forwarder.one_way(Direction::Forward);
            forwarder.one_way(Direction::Reply);
            // Whatever is learned from what repeats is known after this.
            forwarder.turn();
            sent += (0..far).map(|_| forwarder.turn()).sum::<u64>();
            u64::from(far) * forwarder.packets_per_turn()
        }
        Play::Once => {
            let frames = u64::from(scenario.traffic.frames_per_turn());
            let part = frames * u64::from(far) / u64::from(MANY);
            sent += forwarder.first(Direction::Forward, part as usize);
            part
        }
    };
    if sent != expected || forwarder.drops() > 0 {
        let message = format!("{}: of {expected} packets {sent} were sent", scenario.name);
        return Err(Failure::Unproven(message));
    }
    Ok(sent)
}

/// The total of a callgrind profile.
fn total(profile: &str) -> Option<u64> {
    let line = profile.lines().find_map(|line| {
        line.strip_prefix("summary:")
            .or_else(|| line.strip_prefix("totals:"))
    })?;
    line.split_whitespace().next()?.parse().ok()
}

/// The counts as a table.
pub fn counts_table(counts: &[Count]) -> String {
    let cells = counts.iter().map(|count| {
        vec![
            count.scenario.clone(),
            count.caches.name().to_owned(),
            format!("{:.0}", count.per_packet),
        ]
    });
    let heading = ["scenario", "caches", "instructions/packet"];
    table(&heading, &cells.collect::<Vec<_>>())
}

/// The same, as CSV.
pub fn counts_csv(counts: &[Count]) -> String {
    let mut text = "scenario,caches,instructions_per_packet\n".to_owned();
    for count in counts {
        let (scenario, caches) = (&count.scenario, count.caches.name());
        text.push_str(&format!("{scenario},{caches},{:.1}\n", count.per_packet));
    }
    text
}
