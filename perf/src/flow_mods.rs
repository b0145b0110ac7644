//! Throughput while rules of a table that no packet passes come and go.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use weir_config::control::{Request, Verb, call};

use crate::beside::Beside;
use crate::compare::Spread;
use crate::contender::{Placement, Weir};
use crate::failure::Failure;
use crate::rate::{Plan, steady, steady_while};
use crate::scenario::Scenario;
use crate::site::{Run, Site};
use crate::targets::{Bound, Verdict};

#[cfg(test)]
mod tests;

/// Between one change and the next.
const PERIOD: Duration = Duration::from_millis(1);
/// Of the changes that there is time for, so many per cent must have been made.
const LEAST_PERCENT: u64 = 95;

/// Which rules come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Of a table that no packet passes.
    Apart,
    /// Of the table of the firewall that all packets pass; for addresses that nobody has.
    Passed,
    /// Of that table, for addresses and ports of the clients, each of which is in use, but not both by one.
    Among,
    /// Of a table of the nine that all packets pass, for a port that is not there, whose number would stand in
    /// a register.
    Registers,
}

/// What changes did to the rate.
#[derive(Clone, Debug)]
pub struct Influence {
    /// The rate with changes in parts of that without, by round.
    pub ratios: Vec<f64>,
    /// Changes per second, the least over the rounds.
    pub changes_per_second: f64,
}

/// Measures `weir` in `scenario`, `rounds` times quiet and with changes in turn.
///
/// # Errors
/// If it does not run, or does not take so many changes.
pub fn measure(
    weir: &Weir,
    scenario: &Scenario,
    placement: &Placement,
    (plan, rounds): (&Plan, usize),
    mut progress: impl FnMut(&str),
) -> Result<Influence, Failure> {
    let site = Site::of(scenario, placement)?;
    let Run { mut running, home } = site.start(weir, "run", plan)?;
    let socket = Weir::socket(&home);
    let mut influence = Influence {
        ratios: Vec::new(),
        changes_per_second: f64::INFINITY,
    };
    for round in 1..=rounds {
        let quiet = steady(&mut *running, scenario, plan)?;
        let mut changed = Ok(Changes::default());
        let busy = steady_while(&mut *running, scenario, plan, || {
            let socket = socket.clone();
            Beside::start(placement.main_cpu, &mut changed, move |stop| {
                churn(&socket, Rules::Apart, stop)
            })
        })?;
        let changes = changed?;
        changes.enough().map_err(Failure::Unproven)?;
        let rate = changes.made as f64 / changes.span.as_secs_f64();
        influence.changes_per_second = influence.changes_per_second.min(rate);
        influence.ratios.push(busy.mpps / quiet.mpps);
        progress(&format!(
            "{}, round {round}: {:.2} Mpps quiet, {:.2} with {rate:.0} flow-mods per second",
            scenario.name, quiet.mpps, busy.mpps
        ));
    }
    Ok(influence)
}

impl Influence {
    /// Beside the target.
    pub fn verdict(&self, scenario: &Scenario) -> Verdict {
        Verdict {
            what: format!("{}, a flow-mod per ms, times quiet", scenario.name),
            bound: Bound::AtLeast(0.95),
            measured: Spread::of(self.ratios.iter().copied()),
            digits: 3,
        }
    }
}

/// Changes that were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    made: u64,
    span: Duration,
}

impl Changes {
    /// Whether as many were made as there was time for.
    pub(crate) fn enough(&self) -> Result<(), String> {
        let wanted = (self.span.as_nanos() / PERIOD.as_nanos()) as u64;
        if self.made * 100 < wanted * LEAST_PERCENT || self.made == 0 {
            let Self { made, span } = self;
            return Err(format!("{made} flow-mods were made in {span:?}"));
        }
        Ok(())
    }
}

/// Adds and deletes a rule, a change each millisecond, until `stop`. Leaves no rule behind.
pub(crate) fn churn(socket: &Path, rules: Rules, stop: &AtomicBool) -> Result<Changes, Failure> {
    let begun = Instant::now();
    let mut made = 0;
    // Another rule each time, so that nothing can be learned from the last.
    while !stop.load(Ordering::Relaxed) || made % 2 == 1 {
        let due = begun + PERIOD * u32::try_from(made).unwrap_or(u32::MAX);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        change(socket, verb(rules, made))?;
        made += 1;
    }
    Ok(Changes {
        made,
        span: begun.elapsed(),
    })
}

/// So many clients, 16 connections of each, are there at least in a scenario of 10,000 connections.
const CLIENTS: u32 = 625;

/// Change number `number`: a rule comes, then goes.
fn verb(rules: Rules, number: u64) -> Verb {
    let serial = (number / 2) as u32 & 0xffff;
    let address = std::net::Ipv4Addr::from_bits;
    let (table, matches) = match rules {
        Rules::Apart => (200, format!("ip,nw_dst={}", address(0xc612_0000 | serial))),
        // For future use (RFC 1112), so nobody has such an address.
        Rules::Passed => (1, format!("ip,nw_dst={}", address(0xf000_0000 | serial))),
        Rules::Among => {
            let client = serial * 101 % CLIENTS;
            let other = (client + 1 + serial % (CLIENTS - 1)) % CLIENTS;
            let (src, port) = (
                address(0x0a00_0001 + client),
                1024 + 16 * other + serial % 16,
            );
            (1, format!("udp,nw_src={src},tp_src={port}"))
        }
        Rules::Registers => (15, format!("udp,reg6={:#x}", 0x100 + serial)),
    };
    let rule = format!("table={table},priority=10,{matches}");
    if number.is_multiple_of(2) {
        Verb::AddFlow {
            // A cookie of the policy, so that whoever counts knows it.
            flow: format!("cookie=1,{rule},actions=drop"),
        }
    } else {
        Verb::DelFlows {
            strict: true,
            matching: Some(rule),
        }
    }
}

fn change(socket: &Path, verb: Verb) -> Result<(), Failure> {
    let request = Request { bridge: None, verb };
    let failed = |error| Failure::Program(format!("weir does not change a rule: {error}"));
    for frame in call(socket, request).map_err(failed)? {
        frame.map_err(failed)?;
    }
    Ok(())
}
