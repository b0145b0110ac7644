//! How many connections zones may have: `ct-get-limits`, `ct-set-limits`, `ct-del-limits`.
//!
//! What is set here holds for packets from the next on, and stays over a reload of files that do
//! not say otherwise, as flows that were added by hand do.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use weir_ct::credits::Scope;
use weir_ct::{Settings, ZoneSettings};
use weir_tables::datapath::{Datapath, LcoreGone};
use weir_tables::lcore::{LcoreAnswer, LcoreRequest};

use super::{Management, gone};
use crate::control::{Failure, Frame};
use crate::diagnostic::Diagnostic;
use crate::policy::Difference;
use crate::show::LimitRow;

/// Limits by zone; `None`: of zones that have none of their own.
pub(super) type LimitSet = BTreeMap<Option<u16>, Limit>;

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    zone: Option<u16>,
    connections: u32,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.zone {
            Some(zone) => write!(f, "ct-limit zone={zone},limit={}", self.connections),
            None => write!(f, "ct-limit default={}", self.connections),
        }
    }
}

/// Zones that are asked for one by one; of more, all zones are looked at.
const FEW: usize = 64;

impl<D: Datapath> Management<D> {
    /// The default, then each zone asked for; of none, each that has a limit of its own.
    pub(super) fn limits(&mut self, words: &[String]) -> Result<Frame, Failure> {
        let asked = match words {
            [] => None,
            [word] => Some(zones(word)?),
            [_, more, ..] => return Err(wrong(more, 0..more.len(), "one list of zones will do")),
        };
        let settings = &self.policy.conntrack;
        let default = settings.zone_limit;
        let zones = asked.unwrap_or_else(|| {
            let limited = settings.zones.iter();
            let limited = limited.filter_map(|(zone, own)| own.limit.map(|_| *zone));
            limited.collect()
        });
        let limits: Vec<_> = zones
            .iter()
            .map(|zone| settings.limit(Scope::Zone(*zone)))
            .collect();
        let counts = self.connections_of(&zones)?;
        let default = LimitRow {
            zone: None,
            limit: default,
            count: None,
        };
        let rows = zones.iter().zip(limits).map(|(&zone, limit)| LimitRow {
            zone: Some(zone),
            limit,
            count: Some(counts.get(&zone).copied().unwrap_or(0)),
        });
        Ok(Frame::Limits(
            std::iter::once(default).chain(rows).collect(),
        ))
    }

    /// `[default=N] [zone=N,limit=N]...`. As in Open vSwitch, `default=0` is no default limit, and
    /// a zone's 0 allows none.
    pub(super) fn set_limits(&mut self, words: &[String]) -> Result<Option<Frame>, Failure> {
        let mut settings = self.policy.conntrack.clone();
        let mut rest = words;
        if let [first, others @ ..] = words
            && let Some(value) = first.strip_prefix("default=")
        {
            let limit = number(value).ok_or_else(|| {
                let message = "invalid default limit";
                wrong(first, "default=".len()..first.len(), message)
            })?;
            settings.zone_limit = (limit > 0).then_some(limit);
            rest = others;
        }
        if words.is_empty() {
            return Err(Failure::input("expected default=N, or zone=N,limit=N"));
        }
        for word in rest {
            let (zone, limit) = zone_limit(word)?;
            settings.zones.entry(zone).or_default().limit = Some(limit);
        }
        self.configure(settings)?;
        Ok(None)
    }

    /// `[default] [zone=N[,N]...]`. A zone without a limit of its own is as it is.
    pub(super) fn delete_limits(&mut self, words: &[String]) -> Result<Option<Frame>, Failure> {
        let mut settings = self.policy.conntrack.clone();
        let zones = match words {
            [] => return Err(Failure::input("expected default, or zone=N[,N]...")),
            [word] if word == "default" => {
                settings.zone_limit = None;
                Vec::new()
            }
            [word, list] if word == "default" => {
                settings.zone_limit = None;
                zones(list)?
            }
            [list] => zones(list)?,
            [_, more, ..] => return Err(wrong(more, 0..more.len(), "one list of zones will do")),
        };
        for zone in zones {
            set_limit(&mut settings, zone, None);
        }
        self.configure(settings)?;
        Ok(None)
    }

    /// Makes `settings` those of all lcores. Where there are several, what is lent of changed limits
    /// depends on what each holds: all are asked before any goes on.
    pub(super) fn configure(&mut self, settings: Settings) -> Result<(), Failure> {
        let lcores = self.datapath.counters().len();
        let mut held = Vec::new();
        for lcore in 0..lcores {
            let request = LcoreRequest::Configure(settings.clone());
            match self.datapath.ask(lcore, request).map_err(gone)? {
                LcoreAnswer::Configured(done) => held.push(done.map_err(Failure::input)?),
                other => unreachable!("an lcore answers what it was asked, not {other:?}"),
            }
        }
        if self.lender.is_needed() {
            let kept = self.lender.begin(&settings, &held);
            for lcore in 0..lcores {
                let request = LcoreRequest::BeginLimits(Arc::clone(&kept));
                self.datapath.ask(lcore, request).map_err(gone)?;
            }
            self.lend();
        }
        self.policy.conntrack = settings;
        Ok(())
    }

    /// Hears which lcores want to have more connections, and lends them what limits leave.
    pub(super) fn lend(&mut self) {
        if !self.lender.is_needed() {
            return;
        }
        let counters = self.datapath.counters();
        let datapath = &mut self.datapath;
        self.lender.look(
            |lcore| counters[lcore].credit_words.read(),
            |lcore, orders| match datapath.ask(lcore, LcoreRequest::Lend(orders)) {
                Ok(LcoreAnswer::Lent(said)) => Some(said),
                // It does not answer; what it was lent stays lent.
                Ok(_) | Err(LcoreGone) => None,
            },
        );
    }

    /// The connections of each of `zones`, on all lcores.
    fn connections_of(&mut self, zones: &[u16]) -> Result<BTreeMap<u16, u64>, Failure> {
        if zones.len() > FEW {
            let all = self.zone_counts()?.into_iter();
            let counts = all.filter_map(|counts| Some((counts.zone?, counts.connections)));
            return Ok(counts.collect());
        }
        let mut counts = BTreeMap::new();
        for lcore in 0..self.datapath.counters().len() {
            for &zone in zones {
                let request = LcoreRequest::ZoneCounts {
                    cursor: zone.into(),
                    budget: 1,
                };
                match self.datapath.ask(lcore, request).map_err(gone)? {
                    LcoreAnswer::Zones { zones, .. } => {
                        // Behind the first, what zones have in common is told, too.
                        for found in zones.iter().filter(|found| found.zone == Some(zone)) {
                            *counts.entry(zone).or_default() += u64::from(found.connections);
                        }
                    }
                    other => unreachable!("an lcore answers what it was asked, not {other:?}"),
                }
            }
        }
        Ok(counts)
    }
}

/// Gives `zone` another limit of its own. A zone of which nothing else is set is forgotten with it.
fn set_limit(settings: &mut Settings, zone: u16, limit: Option<u32>) {
    settings.zones.entry(zone).or_default().limit = limit;
    if settings.zones[&zone] == ZoneSettings::default() {
        settings.zones.remove(&zone);
    }
}

/// The limits that `settings` name.
pub(super) fn limit_set(settings: &Settings) -> LimitSet {
    let own = settings.zones.iter();
    let own = own.filter_map(|(zone, own)| Some((Some(*zone), own.limit?)));
    let all = settings.zone_limit.map(|limit| (None, limit));
    all.into_iter()
        .chain(own)
        .map(|(zone, connections)| (zone, Limit { zone, connections }))
        .collect()
}

/// `wanted` with those limits that somebody set by hand and that stay.
pub(super) fn with_kept(mut wanted: Settings, difference: &Difference<Limit>) -> Settings {
    for kept in &difference.kept {
        match kept.zone {
            Some(zone) => set_limit(&mut wanted, zone, Some(kept.connections)),
            None => wanted.zone_limit = Some(kept.connections),
        }
    }
    wanted
}

/// What else than limits `new` sets otherwise than `old`, as sections of the configuration.
pub(super) fn changed_otherwise(old: &Settings, new: &Settings) -> Vec<String> {
    let plain = |settings: &Settings| Settings {
        zone_limit: None,
        zones: BTreeMap::new(),
        ..settings.clone()
    };
    let own = |settings: &Settings, zone| ZoneSettings {
        limit: None,
        ..settings.zones.get(zone).cloned().unwrap_or_default()
    };
    let zones: BTreeSet<u16> = old.zones.keys().chain(new.zones.keys()).copied().collect();
    let zones = zones.iter().filter(|zone| own(old, zone) != own(new, zone));
    let all = (plain(old) != plain(new)).then(|| "[conntrack]".to_owned());
    let zones = zones.map(|zone| format!("[[zone]] id = {zone}"));
    all.into_iter().chain(zones).collect()
}

/// `zone=N[,N]...`
fn zones(word: &str) -> Result<Vec<u16>, Failure> {
    let Some(list) = word.strip_prefix("zone=") else {
        let message = format!("invalid argument {word}");
        return Err(wrong(word, 0..word.len(), message));
    };
    parts(list, "zone=".len())
        .map(|(span, zone)| number(zone).ok_or_else(|| wrong(word, span, "invalid zone")))
        .collect()
}

/// `zone=N,limit=N`
fn zone_limit(word: &str) -> Result<(u16, u32), Failure> {
    let (mut zone, mut limit) = (None, None);
    for (span, field) in parts(word, 0) {
        let complain = |message: String| Err(wrong(word, span.clone(), message));
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        match key {
            _ if value.is_empty() => return complain(format!("field {key} missing value")),
            "zone" => zone = number(value),
            "limit" => limit = number(value),
            _ => return complain(format!("invalid zone limit field: {key}")),
        }
        let failed = match key {
            "zone" => zone.is_none(),
            _ => limit.is_none(),
        };
        if failed {
            return complain(format!("failed to parse field {key}"));
        }
    }
    match (zone, limit) {
        (Some(zone), Some(limit)) => Ok((zone, limit)),
        _ => Err(wrong(word, 0..word.len(), "failed to parse zone limit")),
    }
}

/// What commas part, and where it stands if the first part stands at `start`.
fn parts(list: &str, start: usize) -> impl Iterator<Item = (Range<usize>, &str)> {
    list.split(',').scan(start, |at, part| {
        let span = *at..*at + part.len();
        *at = span.end + 1;
        Some((span, part))
    })
}

/// A decimal or hexadecimal number that fits.
fn number<T: TryFrom<u64>>(text: &str) -> Option<T> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // `from_str_radix` would take a sign.
    let is_digit = |c: char| c.is_digit(radix);
    let number = u64::from_str_radix(digits, radix).ok();
    number
        .filter(|_| digits.starts_with(is_digit))?
        .try_into()
        .ok()
}

fn wrong(word: &str, span: Range<usize>, message: impl Into<String>) -> Failure {
    Failure::input(Diagnostic::at("limits", word, span, message))
}
