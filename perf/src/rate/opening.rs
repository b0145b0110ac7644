//! New connections: the first packet of each, read once from a file.
//!
//! The rate is that over all of them. Programs begin to read while they start, so it is not taken
//! from a clock outside: each says how many cycles its worker spent in polls that brought packets.

use std::thread;
use std::time::{Duration, Instant};

use super::{Measurement, Plan, taken};
use crate::contender::{Busy, Evidence, PortCount, Running};
use crate::failure::Failure;
use crate::processor::ThreadTimes;
use crate::scenario::Scenario;

#[cfg(test)]
mod tests;

/// A contender that gets no further for so long has lost packets.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);
/// So many connections may be missing, or one in two hundred: a switch may poll a port a moment
/// before it knows where its packets go.
const MISSING: u64 = 500;

/// Waits until `running`, which was just started, has read its capture, and measures what that
/// took.
///
/// # Errors
/// If it is disturbed, or does not prove that it opened the connections.
pub fn measure(
    running: &mut dyn Running,
    scenario: &Scenario,
    plan: &Plan,
) -> Result<Measurement, Failure> {
    let frames = u64::from(scenario.frames());
    let (mut most, mut since) = (0, Instant::now());
    let ports = loop {
        let ports = running.ports()?;
        let received = ports[0].received;
        if received >= frames {
            break ports;
        }
        if received > most {
            (most, since) = (received, Instant::now());
        } else if since.elapsed() > PATIENCE {
            let message = format!("of {frames} frames {received} were received");
            return Err(Failure::Unproven(message));
        }
        thread::sleep(PAUSE);
    };
    let times = ThreadTimes::of(running.process())?;
    let on_cpu = times.busiest_since(&ThreadTimes::default()).on_cpu();
    // The last burst may have been on its way.
    thread::sleep(PAUSE);
    let sent = running.ports().map(|[_, two]| two.sent)?;
    let evidence = running.evidence()?;
    let busy = running.busy()?;
    let opened = prove(
        scenario,
        &[ports[0], PortCount { sent, ..ports[1] }],
        &evidence,
        busy,
    );
    let opened = opened.map_err(Failure::Unproven)?;
    let seconds = plan
        .noise
        .counted(busy.cycles as f64 / plan.tsc_hz, on_cpu)?;
    Ok(Measurement {
        version: running.version().to_owned(),
        mpps: opened as f64 / seconds / 1e6,
        on_cpu,
    })
}

/// How many connections were opened, or why that is not proven.
fn prove(
    scenario: &Scenario,
    ports: &[PortCount; 2],
    evidence: &Evidence,
    busy: Busy,
) -> Result<u64, String> {
    let frames = u64::from(scenario.frames());
    let least = frames.saturating_sub(MISSING.max(frames / 200));
    let enough = |what: &str, count: u64| {
        if (least..=frames).contains(&count) {
            Ok(count)
        } else {
            Err(format!(
                "{frames} connections were to be opened, {count} {what}"
            ))
        }
    };
    enough("packets were sent", ports[1].sent)?;
    enough("packets were counted with their cycles", busy.packets)?;
    if let Some(taken) = taken(scenario, &Evidence::default(), evidence)? {
        // A packet that is committed in several tables counts in each.
        let commits = scenario.policy.commits();
        enough("packets opened one", taken.opened.div_ceil(commits))?;
    }
    if let Some(connections) = evidence.connections.filter(|_| scenario.policy.tracks) {
        enough("are tracked", connections)?;
    }
    Ok(ports[1].sent)
}
